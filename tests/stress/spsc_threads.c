/*
 * Two threads of one process. In one mapping, where the thread sanitizer sees both sides touch the
 * same addresses; and in two mappings of the same memory.
 */
#include <pthread.h>

#include "tests/stress/flow.h"
#include "tests/support/runner.h"

#define MESSAGES 1000000

static void *produce(void *context)
{
	flow_produce(context);
	return NULL;
}

static void *consume(void *context)
{
	flow_consume(context);
	return NULL;
}

static void run(struct shmt_ring *ring, bool producer_has, bool consumer_has)
{
	struct flow_journal journal = { 0 };
	uint64_t seed = shmt_seed(), total = MESSAGES / shmt_scaled(1);
	struct flow producer = { ring, NULL, total, producer_has, { seed }, 0 };
	struct flow consumer = { ring, &journal, total, consumer_has, { seed + 1 }, 0 };
	pthread_t threads[2];

	if (!producer_has || !consumer_has)
		SHMT_REQUIRE(ring->segment.kind->require_fence(&ring->segment.map) == 0);
	pthread_create(&threads[0], NULL, produce, &producer);
	pthread_create(&threads[1], NULL, consume, &consumer);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	printf("# %llu messages checked\n", (unsigned long long)total);
	shmt_ring_free(ring);
}

/* Both roles in the broker's mapping. */
static void open_in_one_mapping(struct shmt_ring *ring)
{
	shmt_ring_open(ring, FLOW_CAPACITY, 0);
	SHMT_REQUIRE(shmp_spsc_attach_producer(&ring->segment.map, &ring->producer) == 0);
	SHMT_REQUIRE(shmp_spsc_attach_consumer(&ring->segment.map, &ring->consumer) == 0);
}

TEST(in_one_mapping_nothing_is_lost_or_torn, .timeout_s = 60)
{
	struct shmt_ring ring;

	open_in_one_mapping(&ring);
	ck_assert(shmp_membarrier_register());
	run(&ring, true, true);
}

TEST(with_fences_nothing_is_lost_or_torn, .timeout_s = 60)
{
	struct shmt_ring ring;

	open_in_one_mapping(&ring);
	run(&ring, false, false);
}

TEST(in_two_mappings_nothing_is_lost_or_torn, .timeout_s = 60)
{
	struct shmt_ring ring;

	shmt_ring_open(&ring, FLOW_CAPACITY, 0);
	ck_assert(shmp_membarrier_register());
	run(&ring, true, true);
}

SHMT_MAIN
