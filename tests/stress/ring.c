/*
 * A producer that now waits for room and now writes over the oldest, a consumer that takes in every
 * way there is, and two who only read, as fast as they can, as threads that share one mapping, so
 * that the thread sanitizer sees them. Nobody gets an element that is torn or not where it says, and
 * what did not come is exactly what was counted as lost.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "protocol/ring.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/support/segment.h"

enum {
	ELEMENTS = 64, /* of 64 bytes: each byte of the ring is used */
	WORDS = 8,
	BULK = 100,
	READERS = 2,
	PUSHES = 150000
};

struct element {
	uint64_t word[WORDS];
};

static struct shmt_segment segment;
static _Atomic bool has_ended;
static bool overwrites; /* else nothing may be lost */
static uint64_t seed;

static void fill(struct element *elements, uint64_t first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		for (uint64_t k = 0; k < WORDS; k++)
			elements[i].word[k] = (first + i) * WORDS + k;
}

static void check(const struct element *elements, uint64_t first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		for (uint64_t k = 0; k < WORDS; k++)
			SHMT_REQUIRE(elements[i].word[k] == (first + i) * WORDS + k);
}

static void push_in_place(struct shmp_ring_producer *producer, uint64_t count)
{
	uint64_t got;
	void *room;

	if (shmp_ring_reserve(producer, count, 1, &room, &got) != SHMP_DONE)
		return;
	fill(room, producer->head, got);
	SHMT_REQUIRE(shmp_ring_commit(producer, got) == SHMP_DONE);
}

static void *produce(void *context)
{
	static struct shmp_ring_producer producer;
	static struct element made[BULK];
	struct shmt_random random = { seed };
	uint64_t went;

	(void)context;
	SHMT_REQUIRE(shmp_ring_attach_producer(&segment.map, &producer) == 0);
	for (uint64_t i = 0; i < PUSHES / shmt_scaled(1); i++) {
		uint64_t count = 1 + shmt_random_below(&random, i % 64 ? 20 : BULK);
		uint64_t how = shmt_random_below(&random, overwrites ? 3 : 2);

		fill(made, producer.head, count);
		if (how == 0)
			push_in_place(&producer, count);
		else if (how == 1)
			SHMT_REQUIRE(shmp_ring_push(&producer, made, count, 1, &went) >= 0);
		else
			SHMT_REQUIRE(shmp_ring_push_over(&producer, made, count) == SHMP_DONE);
		if (i % 16 == 0)
			sched_yield();
	}
	atomic_store(&has_ended, true);
	return NULL;
}

/* Takes some in place; what was written over meanwhile says so. */
static void take_in_place(struct shmp_ring_consumer *consumer, uint64_t offset, uint64_t count)
{
	static struct element got[BULK];
	struct shmp_ring_span span;
	int r = shmp_ring_peek(consumer, offset, count, 1, &span);

	if (r == SHMP_EMPTY)
		return;
	SHMT_REQUIRE(r == SHMP_DONE && span.count <= count);
	/* a race on purpose */
	shmp_look_copy(got, span.data, span.count * sizeof(got[0]));
	r = shmp_ring_release(consumer, offset + span.count);
	SHMT_REQUIRE(r == SHMP_DONE || (overwrites && r == SHMP_LAPPED));
	if (r == SHMP_DONE)
		check(got, span.position, span.count);
}

static void *consume(void *context)
{
	static struct shmp_ring_consumer consumer;
	static struct element got[BULK];
	struct shmt_random random = { seed + 1 };
	struct shmp_ring_totals totals;
	uint64_t none;
	bool is_last;

	(void)context;
	SHMT_REQUIRE(shmp_ring_attach_consumer(&segment.map, &consumer) == 0);
	do {
		uint64_t count = 1 + shmt_random_below(&random, BULK);
		uint64_t tail = consumer.tail;
		struct shmp_ring_span span;
		int r = SHMP_DONE;

		is_last = atomic_load(&has_ended);
		switch (shmt_random_below(&random, 8)) {
		case 0:
			take_in_place(&consumer, shmt_random_below(&random, 3), count);
			break;
		case 1:
			SHMT_REQUIRE(shmp_ring_skip(&consumer, count / 16, &none) == SHMP_DONE);
			break;
		default:
			r = shmp_ring_pop(&consumer, got, count, 1, &span);
			SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY ||
				     (overwrites && r == SHMP_LAPPED));
			if (r != SHMP_DONE)
				break;
			SHMT_REQUIRE(span.position == tail + span.lost);
			SHMT_REQUIRE(overwrites || span.lost == 0);
			check(got, span.position, span.count);
		}
		shmp_ring_totals(&segment.map, &totals);
		is_last = is_last && totals.depth == 0;
		if (r == SHMP_EMPTY)
			sched_yield();
	} while (!is_last);
	return NULL;
}

static void *read_only(void *context)
{
	bool from_newest = (uintptr_t)context % 2;
	struct shmt_random random = { seed + 2 + (uintptr_t)context };
	struct element got[BULK];
	struct shmp_ring_view view;
	uint64_t reads = 0, tries = 0;

	shmp_ring_view(&segment.map, &view);
	while (!atomic_load(&has_ended)) {
		uint64_t position, count, most = 1 + shmt_random_below(&random, BULK);
		uint64_t offset = from_newest ? 0 : shmt_random_below(&random, 10);
		int r = shmp_ring_read(&view, offset, from_newest, got, most, &position, &count);

		SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY || r == SHMP_LAPPED);
		if (r == SHMP_DONE)
			check(got, position, count);
		reads += r == SHMP_DONE;
		/* there are fewer cores than threads */
		if (++tries % 64 == 0)
			sched_yield();
	}
	printf("# %llu reads\n", (unsigned long long)reads);
	return NULL;
}

static void run(bool may_overwrite)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { sizeof(struct element), ELEMENTS };
	pthread_t thread[2 + READERS];
	struct shmp_ring_totals totals;

	seed = shmt_seed();
	overwrites = may_overwrite;
	atomic_store(&has_ended, false);
	shmt_segment_make(&segment, "ring", option);
	shmt_place_assign(&segment, SHMP_RING_PRODUCER);
	shmt_place_assign(&segment, SHMP_RING_CONSUMER);
	pthread_create(&thread[0], NULL, produce, NULL);
	pthread_create(&thread[1], NULL, consume, NULL);
	for (uintptr_t i = 0; i < READERS; i++)
		pthread_create(&thread[2 + i], NULL, read_only, (void *)i);
	for (int i = 0; i < 2 + READERS; i++)
		pthread_join(thread[i], NULL);
	shmp_ring_totals(&segment.map, &totals);
	printf("# %llu pushed, %llu popped, %llu skipped, %llu lost\n",
	       (unsigned long long)totals.pushed, (unsigned long long)totals.popped,
	       (unsigned long long)totals.skipped, (unsigned long long)totals.lost);
	ck_assert_uint_eq(totals.pushed, totals.popped + totals.skipped + totals.lost);
	ck_assert(overwrites || totals.lost == 0);
	shmt_segment_free(&segment);
}

TEST(without_overwriting_nothing_is_lost_or_torn, .timeout_s = 60)
{
	run(false);
}

TEST(what_is_written_over_is_counted_and_nothing_is_torn, .timeout_s = 60)
{
	run(true);
}

SHMT_MAIN
