/*
 * A ring that is not written over, and both of its users at once in the middle of something; see
 * pairs.h.
 */
#include "protocol/ring.h"

#include "tests/crash/pairs_queue.h"
#include "tests/support/runner.h"

static int attach(const struct shmp_segment *segment, uint32_t place, void *ret_handle)
{
	return place == SHMP_RING_PRODUCER ? shmp_ring_attach_producer(segment, ret_handle) :
					     shmp_ring_attach_consumer(segment, ret_handle);
}

static int push(void *handle, const uint64_t *words)
{
	uint64_t count;

	return shmp_ring_push(handle, words, 1, 1, &count);
}

static int pop(void *handle, uint64_t *words)
{
	struct shmp_ring_span span;

	return shmp_ring_pop(handle, words, 1, 1, &span);
}

static const uint64_t option[SHMP_OPTIONS_MAX] = {
	[SHMP_RING_ELEMENT_BYTES] = 24, [SHMP_RING_ELEMENTS] = 4
};

static void pair(enum pairs_way way)
{
	struct pairs_queue queue = { .kind = "ring",
				     .option = option,
				     .producers = 1,
				     .consumers = 1,
				     .before = 2,
				     .attach = attach,
				     .push = push,
				     .pop = pop };

	pairs_queue(&queue, "push and pop", way, SHMP_RING_PRODUCER, SHMP_RING_CONSUMER);
	pairs_queue(&queue, "pop and push", way, SHMP_RING_CONSUMER, SHMP_RING_PRODUCER);
	queue.before = 0;
	pairs_queue(&queue, "push and pop, empty", way, SHMP_RING_PRODUCER, SHMP_RING_CONSUMER);
	pairs_queue(&queue, "pop and push, empty", way, SHMP_RING_CONSUMER, SHMP_RING_PRODUCER);
	queue.before = PAIRS_QUEUE_FULL;
	pairs_queue(&queue, "push and pop, full", way, SHMP_RING_PRODUCER, SHMP_RING_CONSUMER);
	pairs_queue(&queue, "pop and push, full", way, SHMP_RING_CONSUMER, SHMP_RING_PRODUCER);
	queue.before = 2;
	pairs_queue_attach(&queue, "attach of a producer, and pop", way, SHMP_RING_PRODUCER,
			   SHMP_RING_CONSUMER, SHMP_RING_PRODUCER);
	pairs_queue_attach(&queue, "pop, and attach of a producer", way, SHMP_RING_CONSUMER,
			   SHMP_RING_PRODUCER, SHMP_RING_PRODUCER);
	pairs_queue_attach(&queue, "attach of a consumer, and push", way, SHMP_RING_CONSUMER,
			   SHMP_RING_PRODUCER, SHMP_RING_CONSUMER);
	pairs_queue_attach(&queue, "push, and attach of a consumer", way, SHMP_RING_PRODUCER,
			   SHMP_RING_CONSUMER, SHMP_RING_CONSUMER);
}

PAIRS_TESTS

PAIRS_MAIN
