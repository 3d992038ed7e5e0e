/*
 * An spsc queue, and both of its users at once in the middle of something; see pairs.h.
 */
#include "protocol/spsc.h"

#include "tests/crash/pairs_queue.h"
#include "tests/support/runner.h"

static int attach(const struct shmp_segment *segment, uint32_t place, void *ret_handle)
{
	return place == SHMP_SPSC_PRODUCER ? shmp_spsc_attach_producer(segment, ret_handle) :
					     shmp_spsc_attach_consumer(segment, ret_handle);
}

static int push(void *handle, const uint64_t *words)
{
	return shmp_spsc_push(handle, words, sizeof(*words) * PAIRS_QUEUE_WORDS);
}

static int pop(void *handle, uint64_t *words)
{
	struct shmp_spsc_message message;

	return shmp_spsc_pop(handle, words, sizeof(*words) * PAIRS_QUEUE_WORDS, &message);
}

static const uint64_t option[SHMP_OPTIONS_MAX] = {
	[SHMP_SPSC_CAPACITY_BYTES] = 4096, [SHMP_SPSC_MESSAGE_BYTES_MAX] = 0
};

static void pair(enum pairs_way way)
{
	struct pairs_queue queue = { .kind = "spsc",
				     .option = option,
				     .producers = 1,
				     .consumers = 1,
				     .before = 2,
				     .attach = attach,
				     .push = push,
				     .pop = pop };

	pairs_queue(&queue, "push and pop", way, SHMP_SPSC_PRODUCER, SHMP_SPSC_CONSUMER);
	pairs_queue(&queue, "pop and push", way, SHMP_SPSC_CONSUMER, SHMP_SPSC_PRODUCER);
	queue.before = 0;
	pairs_queue(&queue, "push and pop, empty", way, SHMP_SPSC_PRODUCER, SHMP_SPSC_CONSUMER);
	pairs_queue(&queue, "pop and push, empty", way, SHMP_SPSC_CONSUMER, SHMP_SPSC_PRODUCER);
	queue.before = PAIRS_QUEUE_FULL;
	pairs_queue(&queue, "push and pop, full", way, SHMP_SPSC_PRODUCER, SHMP_SPSC_CONSUMER);
	pairs_queue(&queue, "pop and push, full", way, SHMP_SPSC_CONSUMER, SHMP_SPSC_PRODUCER);
	queue.before = 2;
	pairs_queue_attach(&queue, "attach of a producer, and pop", way, SHMP_SPSC_PRODUCER,
			   SHMP_SPSC_CONSUMER, SHMP_SPSC_PRODUCER);
	pairs_queue_attach(&queue, "pop, and attach of a producer", way, SHMP_SPSC_CONSUMER,
			   SHMP_SPSC_PRODUCER, SHMP_SPSC_PRODUCER);
	pairs_queue_attach(&queue, "attach of a consumer, and push", way, SHMP_SPSC_CONSUMER,
			   SHMP_SPSC_PRODUCER, SHMP_SPSC_CONSUMER);
	pairs_queue_attach(&queue, "push, and attach of a consumer", way, SHMP_SPSC_PRODUCER,
			   SHMP_SPSC_CONSUMER, SHMP_SPSC_CONSUMER);
}

PAIRS_TESTS

PAIRS_MAIN
