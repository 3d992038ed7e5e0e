/*
 * The producer or the consumer of a ring dies after every instruction of everything it does. Of a
 * push all elements are there or none; what was not taken comes again, and what was seen of it is
 * counted; what is gone was written over, and exactly so much is counted as lost; the totals fit,
 * whatever the instant; the successors use the whole ring; who slept is up.
 */
#include "protocol/ring.h"

#include <stdio.h>
#include <string.h>

#include "protocol/doorbell.h"
#include "tests/crash/deaths.h"
#include "tests/support/runner.h"

enum {
	ELEMENTS = 64, /* of 64 bytes: each byte of the ring is used */
	WORDS = 8,
	MANY = 3 * ELEMENTS,
};

struct element {
	uint64_t word[WORDS];
};

/* What the operation may do, of one who lives. */
struct bounds {
	uint64_t pushes; /* elements, all or none */
	uint64_t over;	 /* it writes over so many at most */
	uint64_t takes;	 /* elements, all or none */
	uint64_t skips;
	uint64_t sees; /* from the oldest on */
	uint64_t held; /* were seen before */
};

static struct scene {
	struct shmt_segment segment;
	struct {
		struct shmp_ring_producer producer;
		struct shmp_ring_consumer consumer;
		struct shmp_waiter *slept_on;
		uint32_t key;
	} own;
	struct bounds bounds;
	struct shmp_ring_totals before;
	struct element given[MANY]; /* to be pushed by the operation */
	struct element made[MANY];  /* and by others */
	struct element got[MANY];
	uint32_t dead;
	struct deaths deaths;
} scene;

#define CHECK(condition_) DEATHS_CHECK(&scene.deaths, condition_)

static struct element element_of(uint64_t number)
{
	struct element element;

	for (uint64_t i = 0; i < WORDS; i++)
		element.word[i] = number * WORDS + i;
	return element;
}

static uint64_t number_of(const struct element *element)
{
	struct element wanted = element_of(element->word[0] / WORDS);

	return memcmp(element, &wanted, sizeof(wanted)) == 0 ? element->word[0] / WORDS :
							       UINT64_MAX;
}

static struct shmp_ring_control *control(void)
{
	return scene.segment.map.control;
}

static const struct element *next(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		scene.made[i] = element_of(scene.own.producer.head + i);
	return scene.made;
}

static void attach(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	if (place == SHMP_RING_PRODUCER)
		CHECK(shmp_ring_attach_producer(&scene.segment.map, &scene.own.producer) == 0);
	else
		CHECK(shmp_ring_attach_consumer(&scene.segment.map, &scene.own.consumer) == 0);
}

static void push(uint64_t count)
{
	uint64_t went;

	CHECK(shmp_ring_push(&scene.own.producer, next(count), count, count, &went) == SHMP_DONE);
}

static void push_over(uint64_t count)
{
	CHECK(shmp_ring_push_over(&scene.own.producer, next(count), count) == SHMP_DONE);
}

static void pop(uint64_t count)
{
	struct shmp_ring_span span;

	CHECK(shmp_ring_pop(&scene.own.consumer, scene.got, count, count, &span) == SHMP_DONE);
	for (uint64_t i = 0; i < count; i++)
		CHECK(number_of(&scene.got[i]) == span.position + i);
}

static struct shmp_ring_totals totals(void)
{
	struct shmp_ring_totals got;

	shmp_ring_totals(&scene.segment.map, &got);
	CHECK(got.pushed == got.popped + got.skipped + got.lost + got.depth);
	return got;
}

/* States */

static void is_empty(void)
{
}

static void is_half_full(void)
{
	push(ELEMENTS - 10);
	pop(ELEMENTS - 10);
	push(ELEMENTS / 2);
}

static void is_full(void)
{
	is_half_full();
	push(ELEMENTS / 2);
}

static void is_lapped(void)
{
	is_full();
	push_over(20);
}

static void is_counted_twice(void)
{
	uint64_t count;

	is_lapped();
	pop(3);
	push_over(10);
	CHECK(shmp_ring_skip(&scene.own.consumer, 2, &count) == SHMP_DONE);
	push_over(9);
}

static void sleep_on(struct shmp_waiter *waiter, uint32_t place)
{
	scene.own.slept_on = waiter;
	scene.own.key = shmp_waiter_prepare(waiter, &scene.segment.map.endpoints[place], place,
					    false);
}

static void consumer_sleeps(void)
{
	sleep_on(&control()->not_empty, SHMP_RING_CONSUMER);
}

static void producer_sleeps(void)
{
	is_full();
	sleep_on(&control()->not_full, SHMP_RING_PRODUCER);
}

static void is_shown(void)
{
	struct shmp_ring_span span;

	is_full();
	CHECK(shmp_ring_peek(&scene.own.consumer, 2, 4, 4, &span) == SHMP_DONE);
}

static void is_shown_and_lapped(void)
{
	is_shown();
	push_over(4);
}

/* A consumer died with some in hand; the next one has the place and no handle yet. */
static void has_died_holding(void)
{
	is_shown();
	shmt_place_vacate(&scene.segment, SHMP_RING_CONSUMER, true, 1);
	shmt_place_assign(&scene.segment, SHMP_RING_CONSUMER);
}

/* One died when it had written what it would have lost, and not yet moved. */
static void has_died_counting(void)
{
	is_lapped();
	shmp_ring_count(&scene.own.consumer, scene.own.consumer.tail + 25, 20, 5);
	shmt_place_vacate(&scene.segment, SHMP_RING_CONSUMER, true, 1);
	shmt_place_assign(&scene.segment, SHMP_RING_CONSUMER);
}

static void has_died_overwriting(void)
{
	is_full();
	atomic_store(&control()->floor, scene.own.producer.head - ELEMENTS + 7);
	shmt_place_vacate(&scene.segment, SHMP_RING_PRODUCER, true, 1);
	shmt_place_assign(&scene.segment, SHMP_RING_PRODUCER);
}

/* Operations, stepped */

static void tell_consumer(void)
{
	if (shmp_ring_consumer_waits(&scene.own.producer))
		shmp_ring_tell_consumer(&scene.own.producer, NULL, NULL);
}

static void tell_producer(void)
{
	if (shmp_ring_producer_waits(&scene.own.consumer))
		shmp_ring_tell_producer(&scene.own.consumer, NULL, NULL);
}

static void dies_pushing(void *context)
{
	uint64_t went;

	if (shmp_ring_push(&scene.own.producer, scene.given, 5, 5, &went) == SHMP_DONE)
		tell_consumer();
}

static void dies_overwriting(void *context)
{
	shmp_ring_push_over(&scene.own.producer, scene.given, 5);
	tell_consumer();
}

static void dies_overwriting_all(void *context)
{
	shmp_ring_push_over(&scene.own.producer, scene.given, 2 * ELEMENTS);
	tell_consumer();
}

static void dies_reserving(void *context)
{
	uint64_t count;
	void *room;

	if (shmp_ring_reserve(&scene.own.producer, 5, 1, &room, &count) != SHMP_DONE)
		return;
	memcpy(room, scene.given, count * sizeof(struct element));
	shmp_ring_commit(&scene.own.producer, 5);
	tell_consumer();
}

static void dies_popping(void *context)
{
	struct shmp_ring_span span;

	if (shmp_ring_pop(&scene.own.consumer, scene.got, 4, 4, &span) == SHMP_DONE)
		tell_producer();
}

static void dies_peeking_and_releasing(void *context)
{
	struct shmp_ring_span span;

	if (shmp_ring_peek(&scene.own.consumer, 1, 3, 3, &span) != SHMP_DONE)
		return;
	shmp_ring_release(&scene.own.consumer, 4);
	tell_producer();
}

static void dies_releasing(void *context)
{
	shmp_ring_release(&scene.own.consumer, 6);
	tell_producer();
}

static void dies_skipping(void *context)
{
	uint64_t count;

	shmp_ring_skip(&scene.own.consumer, 4, &count);
	tell_producer();
}

static void dies_reading(void *context)
{
	uint64_t position, count;

	shmp_ring_read(&scene.own.consumer.view, 3, false, scene.got, 4, &position, &count);
	shmp_ring_read(&scene.own.consumer.view, 0, true, scene.got, 4, &position, &count);
}

static void dies_attaching_to_push(void *context)
{
	shmp_ring_attach_producer(&scene.segment.map, &scene.own.producer);
}

static void dies_attaching_to_pop(void *context)
{
	shmp_ring_attach_consumer(&scene.segment.map, &scene.own.consumer);
}

static void dies_going_to_sleep(void *context)
{
	struct shmp_waiter *waiter = scene.dead == SHMP_RING_PRODUCER ? &control()->not_full :
									&control()->not_empty;
	struct shmp_endpoint *self = &scene.segment.map.endpoints[scene.dead];

	shmp_waiter_prepare(waiter, self, scene.dead, false);
	shmp_waiter_finish(waiter, scene.dead);
	shmp_waiter_arm(waiter, self, scene.dead, 1, false);
	shmp_doorbell_disarm(waiter, self, scene.dead);
}

static void dies_repairing(void *context)
{
	shmp_ring_kind.repair(&scene.segment.map, scene.dead, true);
	shmp_ring_kind.wake(&scene.segment.map);
	shmp_ring_kind.attach(&scene.segment.map, scene.dead);
}

/* What must be, however far it came */

/* All or nothing of what the operation does. */
static void check_totals(const struct shmp_ring_totals *now)
{
	const struct shmp_ring_totals *before = &scene.before;
	const struct bounds *bounds = &scene.bounds;
	uint64_t pushed = now->pushed - before->pushed, lost = now->lost - before->lost;
	uint64_t taken = now->popped - before->popped + now->skipped - before->skipped;

	CHECK(pushed == 0 || pushed == bounds->pushes);
	CHECK(taken == 0 || taken == bounds->takes + bounds->skips);
	CHECK(now->skipped == before->skipped || now->skipped == before->skipped + bounds->skips);
	CHECK(lost == 0 || bounds->over != 0);
	CHECK(lost <= bounds->over + (pushed > ELEMENTS ? pushed - ELEMENTS : 0));
	if (!scene.deaths.has_ended)
		return;
	CHECK(pushed == bounds->pushes);
	CHECK(taken == bounds->takes + bounds->skips);
}

static void bury(void)
{
	shmt_place_vacate(&scene.segment, scene.dead, true, 1 + (int)(scene.deaths.point % 3));
	CHECK(!shmp_ring_kind.waits(&scene.segment.map, scene.dead));
	if (scene.own.slept_on) {
		CHECK(atomic_load(&scene.own.slept_on->sequence) != scene.own.key);
		shmp_waiter_finish(scene.own.slept_on, 1 - scene.dead);
	}
}

/* All that is there, from the oldest on; nothing is missing between them. */
static void drain(const struct shmp_ring_totals *now)
{
	uint64_t position = now->pushed - now->depth, flagged = 0;
	struct shmp_ring_span span;

	for (uint64_t left = now->depth; left > 0; left -= span.count) {
		CHECK(shmp_ring_pop(&scene.own.consumer, scene.got, 10, 1, &span) == SHMP_DONE);
		CHECK(span.position == position && span.count <= left);
		for (uint64_t i = 0; i < span.count; i++)
			CHECK(number_of(&scene.got[i]) == position + i);
		/* the first ones only, and only those */
		CHECK(span.redelivered == 0 || flagged == position - (now->pushed - now->depth));
		flagged += span.redelivered;
		position += span.count;
	}
	CHECK(flagged <= scene.bounds.sees || flagged <= scene.bounds.held);
	if (now->popped == scene.before.popped)
		CHECK(flagged >= scene.bounds.held);
	CHECK(shmp_ring_pop(&scene.own.consumer, scene.got, 1, 1, &span) == SHMP_EMPTY);
}

static void go_on(void)
{
	const char *why;

	for (uint64_t i = 1; i < 2 * ELEMENTS; i++) {
		push(1 + i % ELEMENTS);
		pop(1 + i % ELEMENTS);
	}
	push(ELEMENTS);
	push_over(3);
	pop(ELEMENTS);
	totals();
	CHECK(shmp_ring_kind.validate(&scene.segment.map, &why) == 0);
}

static void check(void *context)
{
	struct shmp_ring_totals now = totals();

	check_totals(&now);
	bury();
	attach(scene.dead);
	check_totals(&now);
	CHECK(totals().pushed == now.pushed);
	drain(&now);
	go_on();
}

/* The living one goes on first, before anybody knows. */
static void check_with_one_who_does_not_know(void *context)
{
	struct shmp_ring_totals now = totals();
	uint64_t went = 0;

	if (scene.dead == SHMP_RING_CONSUMER)
		CHECK(shmp_ring_push(&scene.own.producer, next(ELEMENTS), ELEMENTS, 1, &went) !=
		      -EBADMSG);
	else
		drain(&now);
	now = totals();
	bury();
	attach(scene.dead);
	if (scene.dead == SHMP_RING_CONSUMER)
		drain(&now);
	go_on();
}

static void kill_everywhere(const char *name, uint32_t dead, void (*state)(void),
			    void (*operate)(void *), struct bounds bounds)
{
	static void (*const checks[])(void *) = { check, check_with_one_who_does_not_know };
	uint64_t option[SHMP_OPTIONS_MAX] = { sizeof(struct element), ELEMENTS };
	char title[100];

	scene = (struct scene){ .dead = dead, .bounds = bounds };
	shmt_segment_make(&scene.segment, "ring", option);
	scene.deaths = (struct deaths){ .segment = &scene.segment,
					.own = &scene.own,
					.own_bytes = sizeof(scene.own),
					.operate = operate };
	attach(SHMP_RING_PRODUCER);
	attach(SHMP_RING_CONSUMER);
	state();
	scene.before = totals();
	memcpy(scene.given, next(2 * (uint64_t)ELEMENTS),
	       2 * (uint64_t)ELEMENTS * sizeof(struct element));
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		/* the name once more for another count */
		snprintf(title, sizeof(title), "%s%s", name, i ? ", the other goes on first" : "");
		scene.deaths.name = title;
		scene.deaths.check = checks[i];
		deaths_everywhere(&scene.deaths);
	}
	shmt_segment_free(&scene.segment);
}

#define PRODUCER    SHMP_RING_PRODUCER
#define CONSUMER    SHMP_RING_CONSUMER
#define BOUNDS(...) ((struct bounds){ __VA_ARGS__ })

TEST(a_push_is_there_whole_or_not_at_all, .timeout_s = 60)
{
	kill_everywhere("push into an empty ring", PRODUCER, is_empty, dies_pushing,
			BOUNDS(.pushes = 5));
	kill_everywhere("push that wraps", PRODUCER, is_half_full, dies_pushing,
			BOUNDS(.pushes = 5));
	kill_everywhere("push into a full ring", PRODUCER, is_full, dies_pushing, BOUNDS(0));
	kill_everywhere("push, consumer asleep", PRODUCER, consumer_sleeps, dies_pushing,
			BOUNDS(.pushes = 5));
}

TEST(an_overwriting_push_loses_what_it_writes_over_and_nothing_else, .timeout_s = 60)
{
	kill_everywhere("overwrite, room", PRODUCER, is_half_full, dies_overwriting,
			BOUNDS(.pushes = 5));
	kill_everywhere("overwrite, full", PRODUCER, is_full, dies_overwriting,
			BOUNDS(.pushes = 5, .over = 5));
	kill_everywhere("overwrite, lapped", PRODUCER, is_lapped, dies_overwriting,
			BOUNDS(.pushes = 5, .over = 5));
	kill_everywhere("overwrite, with more than fit", PRODUCER, is_half_full,
			dies_overwriting_all,
			BOUNDS(.pushes = 2 * (uint64_t)ELEMENTS, .over = ELEMENTS / 2));
	kill_everywhere("overwrite, consumer asleep", PRODUCER, consumer_sleeps, dies_overwriting,
			BOUNDS(.pushes = 5));
}

TEST(a_reservation_is_pushed_whole_or_not_at_all, .timeout_s = 60)
{
	kill_everywhere("reserve and commit", PRODUCER, is_half_full, dies_reserving,
			BOUNDS(.pushes = 5));
}

TEST(a_pop_takes_all_or_they_come_again, .timeout_s = 60)
{
	kill_everywhere("pop", CONSUMER, is_half_full, dies_popping, BOUNDS(.takes = 4, .sees = 4));
	kill_everywhere("pop, lapped", CONSUMER, is_lapped, dies_popping,
			BOUNDS(.takes = 4, .sees = 4));
	kill_everywhere("pop, lapped again", CONSUMER, is_counted_twice, dies_popping,
			BOUNDS(.takes = 4, .sees = 4));
	kill_everywhere("pop, ring empty", CONSUMER, is_empty, dies_popping, BOUNDS(0));
	kill_everywhere("pop, producer asleep", CONSUMER, producer_sleeps, dies_popping,
			BOUNDS(.takes = 4, .sees = 4));
}

TEST(what_is_shown_is_taken_or_comes_again, .timeout_s = 60)
{
	kill_everywhere("peek and release", CONSUMER, is_full, dies_peeking_and_releasing,
			BOUNDS(.takes = 4, .sees = 4));
	kill_everywhere("peek and release, lapped", CONSUMER, is_counted_twice,
			dies_peeking_and_releasing, BOUNDS(.takes = 4, .sees = 4));
	kill_everywhere("release", CONSUMER, is_shown, dies_releasing,
			BOUNDS(.takes = 6, .held = 6));
	kill_everywhere("release, lapped", CONSUMER, is_shown_and_lapped, dies_releasing,
			BOUNDS(.takes = 2, .held = 2));
}

TEST(a_skip_skips_all_or_nothing, .timeout_s = 60)
{
	kill_everywhere("skip", CONSUMER, is_half_full, dies_skipping, BOUNDS(.skips = 4));
	kill_everywhere("skip, lapped", CONSUMER, is_counted_twice, dies_skipping,
			BOUNDS(.skips = 4));
	kill_everywhere("skip, producer asleep", CONSUMER, producer_sleeps, dies_skipping,
			BOUNDS(.skips = 4));
}

TEST(reading_changes_nothing, .timeout_s = 60)
{
	kill_everywhere("read and last", CONSUMER, is_lapped, dies_reading, BOUNDS(0));
}

TEST(attaching_takes_nothing_and_hides_nothing, .timeout_s = 60)
{
	kill_everywhere("attach_producer", PRODUCER, is_half_full, dies_attaching_to_push,
			BOUNDS(0));
	kill_everywhere("attach_producer, after a death", PRODUCER, has_died_overwriting,
			dies_attaching_to_push, BOUNDS(0));
	kill_everywhere("attach_consumer, after a death", CONSUMER, has_died_holding,
			dies_attaching_to_pop, BOUNDS(.held = 6));
	kill_everywhere("attach_consumer, after a death in counting", CONSUMER, has_died_counting,
			dies_attaching_to_pop, BOUNDS(0));
}

TEST(going_to_sleep_leaves_no_trace, .timeout_s = 60)
{
	kill_everywhere("producer goes to sleep", PRODUCER, is_full, dies_going_to_sleep,
			BOUNDS(0));
	kill_everywhere("consumer goes to sleep or arms its bell", CONSUMER, is_empty,
			dies_going_to_sleep, BOUNDS(0));
}

TEST(a_broker_that_dies_repairing_harms_nobody, .timeout_s = 60)
{
	kill_everywhere("broker repairs a producer", PRODUCER, consumer_sleeps, dies_repairing,
			BOUNDS(0));
	kill_everywhere("broker repairs a consumer", CONSUMER, producer_sleeps, dies_repairing,
			BOUNDS(0));
}

DEATHS_MAIN
