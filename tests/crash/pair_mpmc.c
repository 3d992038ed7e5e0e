/*
 * An mpmc queue, and two of its users at once in the middle of something; see pairs.h.
 */
#include "protocol/mpmc.h"

#include "tests/crash/pairs_queue.h"
#include "tests/support/runner.h"

enum {
	PRODUCER = 0,
	OTHER_PRODUCER = 1, /* one more lives */
	CONSUMER = 3,
	OTHER_CONSUMER = 4, /* and one more */
	SLOTS = 4,
};

static int attach(const struct shmp_segment *segment, uint32_t place, void *ret_handle)
{
	return shmp_mpmc_attach(segment, place,
				place < CONSUMER ? SHMP_MPMC_PRODUCER : SHMP_MPMC_CONSUMER,
				ret_handle);
}

static int push(void *handle, const uint64_t *words)
{
	return shmp_mpmc_push(handle, words, sizeof(*words) * PAIRS_QUEUE_WORDS);
}

static int pop(void *handle, uint64_t *words)
{
	struct shmp_mpmc_message message;

	return shmp_mpmc_pop(handle, words, sizeof(*words) * PAIRS_QUEUE_WORDS, &message);
}

static const uint64_t option[SHMP_OPTIONS_MAX] = { [SHMP_MPMC_SLOTS] = SLOTS,
						   [SHMP_MPMC_MESSAGE_BYTES_MAX] = 24,
						   [SHMP_MPMC_ENDPOINTS_MAX] = 6,
						   [SHMP_MPMC_REDELIVERY] = 1 };

static void pair(enum pairs_way way)
{
	struct pairs_queue queue = { .kind = "mpmc",
				     .option = option,
				     .producers = 3,
				     .consumers = 3,
				     .before = 2,
				     .attach = attach,
				     .push = push,
				     .pop = pop };

	_Static_assert(sizeof(struct shmp_mpmc) <= PAIRS_QUEUE_HANDLE, "a handle has room");
	pairs_queue(&queue, "push and push", way, PRODUCER, OTHER_PRODUCER);
	pairs_queue(&queue, "pop and pop", way, CONSUMER, OTHER_CONSUMER);
	pairs_queue(&queue, "push and pop", way, PRODUCER, CONSUMER);
	pairs_queue(&queue, "pop and push", way, CONSUMER, PRODUCER);
	queue.before = 0;
	pairs_queue(&queue, "push and pop, empty", way, PRODUCER, CONSUMER);
	queue.before = PAIRS_QUEUE_FULL;
	pairs_queue(&queue, "push and pop, full", way, PRODUCER, CONSUMER);
	queue.before = 2;
	pairs_queue_attach(&queue, "attach of a producer, and pop", way, PRODUCER, CONSUMER,
			   PRODUCER);
	pairs_queue_attach(&queue, "pop, and attach of a producer", way, CONSUMER, PRODUCER,
			   PRODUCER);
	pairs_queue_attach(&queue, "attach of a consumer, and push", way, CONSUMER, PRODUCER,
			   CONSUMER);
	pairs_queue_attach(&queue, "push, and attach of a consumer", way, PRODUCER, CONSUMER,
			   CONSUMER);
}

PAIRS_TESTS

PAIRS_MAIN
