/* ring: bulk moves, what is written over, and what a successor finds; one process has both roles. */
#include "protocol/ring.h"

#include <string.h>

#include "tests/support/runner.h"
#include "tests/support/segment.h"

#define ELEMENTS_MAX 4096

struct sample {
	uint64_t number;
	uint32_t value;
	uint32_t again; /* value once more */
	uint64_t inverse;
};

struct scene {
	struct shmt_segment segment;
	struct shmp_segment producer_map, consumer_map, observer_map;
	struct shmp_ring_producer producer;
	struct shmp_ring_consumer consumer;
	struct shmp_ring_view observer;
	uint64_t next; /* number of the next sample to push */
};

static struct sample sample_of(uint64_t number)
{
	return (struct sample){ number, (uint32_t)number * 7, (uint32_t)number * 7, ~number };
}

static void attach_producer(struct scene *scene)
{
	shmt_place_assign(&scene->segment, SHMP_RING_PRODUCER);
	SHMT_REQUIRE(shmp_ring_attach_producer(&scene->producer_map, &scene->producer) == 0);
}

static void attach_consumer(struct scene *scene)
{
	shmt_place_assign(&scene->segment, SHMP_RING_CONSUMER);
	SHMT_REQUIRE(shmp_ring_attach_consumer(&scene->consumer_map, &scene->consumer) == 0);
}

static struct scene open_scene(uint64_t elements)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { sizeof(struct sample), elements };
	struct scene scene = { .next = 0 };

	shmt_segment_make(&scene.segment, "ring", option);
	shmt_segment_map(&scene.segment, "producer", &scene.producer_map);
	shmt_segment_map(&scene.segment, "consumer", &scene.consumer_map);
	shmt_segment_map(&scene.segment, "observer", &scene.observer_map);
	attach_producer(&scene);
	attach_consumer(&scene);
	shmp_ring_view(&scene.observer_map, &scene.observer);
	return scene;
}

static void close_scene(struct scene *scene)
{
	shmp_segment_unmap(&scene->producer_map);
	shmp_segment_unmap(&scene->consumer_map);
	shmp_segment_unmap(&scene->observer_map);
	shmt_segment_free(&scene->segment);
}

static const struct sample *samples(struct scene *scene, uint64_t count)
{
	static struct sample made[ELEMENTS_MAX];

	for (uint64_t i = 0; i < count; i++)
		made[i] = sample_of(scene->next + i);
	return made;
}

/* How many went. */
static uint64_t push(struct scene *scene, uint64_t count)
{
	uint64_t went = 0;
	int r = shmp_ring_push(&scene->producer, samples(scene, count), count, 1, &went);

	ck_assert(r == SHMP_DONE || r == SHMP_FULL);
	scene->next += went;
	return went;
}

static void push_over(struct scene *scene, uint64_t count)
{
	ck_assert_int_eq(shmp_ring_push_over(&scene->producer, samples(scene, count), count),
			 SHMP_DONE);
	scene->next += count;
}

/* That they are numbers @first and on. */
static void check(const void *data, uint64_t count, uint64_t first)
{
	const struct sample *got = data;

	for (uint64_t i = 0; i < count; i++) {
		struct sample wanted = sample_of(first + i);

		if (memcmp(&got[i], &wanted, sizeof(wanted)) != 0)
			ck_abort_msg("number %lu instead of %lu", (unsigned long)got[i].number,
				     (unsigned long)(first + i));
	}
}

static struct shmp_ring_span pop(struct scene *scene, uint64_t most)
{
	static struct sample got[ELEMENTS_MAX];
	struct shmp_ring_span span = { .count = 0 };
	int r = shmp_ring_pop(&scene->consumer, got, most, 1, &span);

	ck_assert(r == SHMP_DONE || (r == SHMP_EMPTY && span.count == 0));
	check(span.data, span.count, span.position);
	return span;
}

static struct shmp_ring_totals totals(const struct scene *scene)
{
	struct shmp_ring_totals got;

	shmp_ring_totals(&scene->observer_map, &got);
	ck_assert_uint_eq(got.pushed, got.popped + got.skipped + got.lost + got.depth);
	return got;
}

TEST(a_ring_holds_as_many_as_was_asked_for_and_no_more)
{
	static const uint64_t sizes[] = { 1, 5, 170, 171, 1000, 4096 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct scene scene = open_scene(sizes[i]);

		for (int lap = 0; lap < 5; lap++) {
			uint64_t left = sizes[i];

			while (left > 0)
				left -= push(&scene, left < 7 ? left : 7);
			ck_assert_uint_eq(push(&scene, 1), 0);
			ck_assert_uint_eq(pop(&scene, ELEMENTS_MAX).count, sizes[i]);
			ck_assert_uint_eq(pop(&scene, 1).count, 0);
		}
		close_scene(&scene);
	}
}

TEST(what_does_not_fit_whole_goes_in_part_or_not_at_all)
{
	struct scene scene = open_scene(7);
	struct shmp_ring_producer *producer = &scene.producer;
	uint64_t went = 99;

	ck_assert_int_eq(shmp_ring_push(producer, samples(&scene, 10), 10, 8, &went), SHMP_TOO_BIG);
	ck_assert_uint_eq(push(&scene, 3), 3);
	ck_assert_int_eq(shmp_ring_push(producer, samples(&scene, 10), 10, 5, &went), SHMP_FULL);
	ck_assert_uint_eq(went, 99);
	ck_assert_uint_eq(push(&scene, 10), 4);
	ck_assert_int_eq(shmp_ring_push(producer, samples(&scene, 1), 1, 1, &went), SHMP_FULL);
	ck_assert_uint_eq(totals(&scene).depth, 7);
	close_scene(&scene);
}

TEST(what_is_not_there_whole_comes_in_part_or_not_at_all)
{
	struct scene scene = open_scene(7);
	struct shmp_ring_span span = { .count = 99 };
	struct sample got[10];

	push(&scene, 3);
	ck_assert_int_eq(shmp_ring_pop(&scene.consumer, got, 10, 4, &span), SHMP_EMPTY);
	ck_assert_int_eq(shmp_ring_pop(&scene.consumer, got, 10, 8, &span), SHMP_TOO_BIG);
	ck_assert_uint_eq(span.count, 99);
	ck_assert_uint_eq(pop(&scene, 10).count, 3);
	/* from one who is gone, what is left */
	push(&scene, 2);
	shmt_place_vacate(&scene.segment, SHMP_RING_PRODUCER, true, 1);
	ck_assert_int_eq(shmp_ring_pop(&scene.consumer, got, 10, 4, &span), SHMP_DONE);
	ck_assert_uint_eq(span.count, 2);
	ck_assert_int_eq(shmp_ring_pop(&scene.consumer, got, 10, 4, &span), SHMP_PEER_DEAD);
	ck_assert_int_eq(shmp_ring_pop(&scene.consumer, got, 10, 1, &span), SHMP_PEER_DEAD);
	close_scene(&scene);
}

TEST(bulks_wrap_at_every_offset)
{
	struct scene scene = open_scene(100);

	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t count = 1 + i % 100;

		ck_assert_uint_eq(push(&scene, count), count);
		ck_assert_uint_eq(pop(&scene, 100).count, count);
	}
	close_scene(&scene);
}

TEST(elements_are_aligned_as_their_size_allows)
{
	struct scene scene = open_scene(1000);

	for (int i = 0; i < 3000; i++) {
		void *room;
		uint64_t count;

		ck_assert_int_eq(shmp_ring_reserve(&scene.producer, 5, 5, &room, &count),
				 SHMP_DONE);
		ck_assert_uint_eq((uintptr_t)room % 8, 0);
		memcpy(room, samples(&scene, 5), 5 * sizeof(struct sample));
		ck_assert_int_eq(shmp_ring_commit(&scene.producer, 3), SHMP_DONE);
		scene.next += 3;
		ck_assert_uint_eq(pop(&scene, 5).count, 3);
	}
	close_scene(&scene);
}

TEST(a_commit_of_more_than_was_reserved_is_refused)
{
	struct scene scene = open_scene(10);
	uint64_t count;
	void *room;

	ck_assert_int_eq(shmp_ring_commit(&scene.producer, 1), -EINVAL);
	ck_assert_int_eq(shmp_ring_reserve(&scene.producer, 20, 1, &room, &count), SHMP_DONE);
	ck_assert_uint_eq(count, 10);
	ck_assert_int_eq(shmp_ring_commit(&scene.producer, 11), -EINVAL);
	ck_assert_int_eq(shmp_ring_commit(&scene.producer, 0), SHMP_DONE);
	ck_assert_uint_eq(totals(&scene).pushed, 0);
	close_scene(&scene);
}

TEST(twenty_into_five_leave_the_last_five)
{
	struct scene scene = open_scene(5);
	struct shmp_ring_span span;

	push_over(&scene, 20);
	ck_assert_uint_eq(totals(&scene).lost, 15);
	span = pop(&scene, 20);
	ck_assert_uint_eq(span.count, 5);
	ck_assert_uint_eq(span.position, 15);
	ck_assert_uint_eq(span.lost, 15);
	for (int i = 0; i < 20; i++)
		push_over(&scene, 1);
	span = pop(&scene, 3);
	ck_assert_uint_eq(span.position, 35);
	ck_assert_uint_eq(span.lost, 15);
	ck_assert_uint_eq(pop(&scene, 5).lost, 0);
	ck_assert_uint_eq(totals(&scene).lost, 30);
	close_scene(&scene);
}

TEST(an_overwriting_push_with_room_writes_over_nothing)
{
	struct scene scene = open_scene(8);

	for (int i = 0; i < 20; i++) {
		push_over(&scene, 5);
		ck_assert_uint_eq(pop(&scene, 8).count, 5);
	}
	ck_assert_uint_eq(totals(&scene).lost, 0);
	ck_assert_uint_eq(atomic_load(&scene.observer.control->floor), 0);
	close_scene(&scene);
}

TEST(a_push_behind_an_overwriting_one_waits_for_room_again)
{
	struct scene scene = open_scene(5);

	push_over(&scene, 9);
	ck_assert_uint_eq(push(&scene, 1), 0);
	ck_assert_uint_eq(pop(&scene, 2).position, 4);
	ck_assert_uint_eq(push(&scene, 5), 2);
	ck_assert_uint_eq(pop(&scene, 9).count, 5);
	ck_assert_uint_eq(totals(&scene).lost, 4);
	close_scene(&scene);
}

TEST(peek_shows_at_an_offset_and_release_takes_from_the_oldest)
{
	struct scene scene = open_scene(10);
	struct shmp_ring_span span;

	push(&scene, 8);
	ck_assert_int_eq(shmp_ring_peek(&scene.consumer, 5, 10, 1, &span), SHMP_DONE);
	ck_assert_uint_eq(span.count, 3);
	check(span.data, 3, 5);
	ck_assert_int_eq(shmp_ring_peek(&scene.consumer, 2, 2, 1, &span), SHMP_DONE);
	check(span.data, 2, 2);
	ck_assert_int_eq(shmp_ring_peek(&scene.consumer, 8, 1, 1, &span), SHMP_EMPTY);
	ck_assert_int_eq(shmp_ring_peek(&scene.consumer, 10, 1, 1, &span), SHMP_TOO_BIG);
	ck_assert_int_eq(shmp_ring_peek(&scene.consumer, UINT64_MAX, 1, 1, &span), SHMP_TOO_BIG);
	ck_assert_int_eq(shmp_ring_release(&scene.consumer, 9), -EINVAL);
	ck_assert_int_eq(shmp_ring_release(&scene.consumer, 4), SHMP_DONE);
	ck_assert_int_eq(shmp_ring_release(&scene.consumer, 1), -EINVAL);
	ck_assert_uint_eq(pop(&scene, 10).position, 4);
	close_scene(&scene);
}

TEST(what_was_written_over_while_it_was_shown_is_told_at_its_release)
{
	struct scene scene = open_scene(5);
	struct shmp_ring_span span;

	push(&scene, 5);
	ck_assert_int_eq(shmp_ring_peek(&scene.consumer, 0, 5, 5, &span), SHMP_DONE);
	check(span.data, 5, 0);
	push_over(&scene, 2);
	ck_assert_int_eq(shmp_ring_release(&scene.consumer, 3), SHMP_LAPPED);
	ck_assert_uint_eq(totals(&scene).popped, 1);
	ck_assert_uint_eq(totals(&scene).lost, 2);
	/* what lies behind the written over is whole, and so is a look at it */
	ck_assert_int_eq(shmp_ring_peek(&scene.consumer, 2, 2, 2, &span), SHMP_DONE);
	check(span.data, 2, 5);
	push_over(&scene, 3);
	ck_assert_int_eq(shmp_ring_release(&scene.consumer, 0), SHMP_DONE);
	ck_assert_uint_eq(pop(&scene, 5).position, 5);
	close_scene(&scene);
}

TEST(skip_goes_no_further_than_what_is_there)
{
	struct scene scene = open_scene(10);
	uint64_t count = 99;

	ck_assert_int_eq(shmp_ring_skip(&scene.consumer, 3, &count), SHMP_DONE);
	ck_assert_uint_eq(count, 0);
	push(&scene, 10);
	ck_assert_int_eq(shmp_ring_skip(&scene.consumer, 3, &count), SHMP_DONE);
	ck_assert_uint_eq(count, 3);
	ck_assert_uint_eq(pop(&scene, 1).position, 3);
	push_over(&scene, 5);
	ck_assert_int_eq(shmp_ring_skip(&scene.consumer, 3, &count), SHMP_DONE);
	ck_assert_uint_eq(count, 3);
	ck_assert_uint_eq(pop(&scene, 1).position, 8);
	ck_assert_int_eq(shmp_ring_skip(&scene.consumer, UINT64_MAX, &count), SHMP_DONE);
	ck_assert_uint_eq(count, 6);
	ck_assert_uint_eq(totals(&scene).skipped, 12);
	ck_assert_uint_eq(totals(&scene).lost, 1);
	ck_assert_uint_eq(totals(&scene).depth, 0);
	close_scene(&scene);
}

TEST(anybody_reads_at_an_offset_and_the_last_ones_and_takes_nothing)
{
	struct scene scene = open_scene(10);
	uint64_t position, count;
	struct sample got[20];

	ck_assert_int_eq(shmp_ring_read(&scene.observer, 0, false, got, 5, &position, &count),
			 SHMP_EMPTY);
	push_over(&scene, 14);
	ck_assert_int_eq(shmp_ring_read(&scene.observer, 3, false, got, 4, &position, &count),
			 SHMP_DONE);
	ck_assert_uint_eq(count, 4);
	check(got, 4, 7);
	ck_assert_int_eq(shmp_ring_read(&scene.observer, 0, true, got, 3, &position, &count),
			 SHMP_DONE);
	check(got, 3, 11);
	ck_assert_int_eq(shmp_ring_read(&scene.producer.view, 0, true, got, 20, &position, &count),
			 SHMP_DONE);
	ck_assert_uint_eq(count, 10);
	check(got, 10, 4);
	ck_assert_int_eq(shmp_ring_read(&scene.observer, 10, false, got, 1, &position, &count),
			 SHMP_EMPTY);
	ck_assert_uint_eq(pop(&scene, 20).count, 10);
	close_scene(&scene);
}

TEST(what_was_seen_and_not_taken_comes_to_the_successor_and_is_counted)
{
	struct scene scene = open_scene(10);
	struct shmp_ring_span span;

	push(&scene, 8);
	pop(&scene, 2);
	ck_assert_int_eq(shmp_ring_peek(&scene.consumer, 0, 3, 1, &span), SHMP_DONE);
	shmt_place_vacate(&scene.segment, SHMP_RING_CONSUMER, true, 2);
	attach_consumer(&scene);
	span = pop(&scene, 2);
	ck_assert_uint_eq(span.position, 2);
	ck_assert_uint_eq(span.redelivered, 2);
	ck_assert_uint_eq(pop(&scene, 10).redelivered, 1);
	ck_assert_uint_eq(totals(&scene).popped, 8);
	close_scene(&scene);
}

TEST(a_successor_to_one_who_died_overwriting_goes_on_with_what_is_whole)
{
	for (uint64_t count = 1; count <= 12; count++) {
		struct scene scene = open_scene(5);
		uint64_t lost = count < 5 ? count : 5;
		struct shmp_ring_span span;

		push(&scene, 5);
		/* as far as the first byte, and some of them */
		atomic_store(&scene.producer.view.control->floor, count);
		memset(shmp_ring_at(&scene.producer.view, 5), 0xee, sizeof(struct sample));
		shmt_place_vacate(&scene.segment, SHMP_RING_PRODUCER, true, 1);
		attach_producer(&scene);
		ck_assert_uint_eq(push(&scene, 5), lost);
		span = pop(&scene, 10);
		ck_assert_uint_eq(span.lost, lost);
		ck_assert_uint_eq(span.position, lost);
		ck_assert_uint_eq(span.count, 5);
		ck_assert_uint_eq(totals(&scene).lost, lost);
		close_scene(&scene);
	}
}

TEST(death_is_told_after_what_was_pushed_before_it)
{
	struct scene scene = open_scene(4);
	struct shmp_ring_span span;
	struct sample got[4];
	uint64_t count;

	push(&scene, 4);
	shmt_place_vacate(&scene.segment, SHMP_RING_PRODUCER, false, 1);
	ck_assert_uint_eq(pop(&scene, 3).count, 3);
	ck_assert_uint_eq(pop(&scene, 3).count, 1);
	ck_assert_int_eq(shmp_ring_pop(&scene.consumer, got, 1, 1, &span), SHMP_PEER_LEFT);
	attach_producer(&scene);
	shmt_place_vacate(&scene.segment, SHMP_RING_CONSUMER, true, 1);
	ck_assert_uint_eq(push(&scene, 3), 3);
	ck_assert_int_eq(shmp_ring_push(&scene.producer, samples(&scene, 2), 2, 2, &count),
			 SHMP_PEER_DEAD);
	ck_assert_uint_eq(push(&scene, 2), 1);
	push_over(&scene, 1);
	close_scene(&scene);
}

static void note(void *context, const char *name, uint64_t value)
{
	if (strcmp(name, "depth_elements") == 0)
		*(uint64_t *)context = value;
}

struct seen {
	uint64_t count, first, last, flagged;
	bool is_right;
};

static int see(void *context, const struct shmp_item *item)
{
	struct seen *seen = context;
	struct sample wanted = sample_of(item->position);

	if (seen->count++ == 0)
		seen->first = item->position;
	seen->last = item->position;
	seen->flagged += item->flags == SHMP_ITEM_REDELIVERED;
	seen->is_right &= item->size == sizeof(wanted) &&
			  memcmp(item->payload, &wanted, sizeof(wanted)) == 0;
	return 0;
}

TEST(a_looker_sees_what_is_there_and_what_he_missed)
{
	struct scene scene = open_scene(6);
	struct seen seen = { .is_right = true };
	uint8_t room[sizeof(struct sample)];
	struct shmp_look look = { .max = 4, .room = room, .room_bytes = sizeof(room) };
	uint64_t depth = 0;

	push(&scene, 6);
	ck_assert_int_eq(shmp_ring_kind.look(&scene.observer_map, &look, see, &seen), 0);
	ck_assert_uint_eq(seen.count, 4);
	ck_assert_uint_eq(look.from, 4);
	push_over(&scene, 6);
	ck_assert_int_eq(shmp_ring_kind.look(&scene.observer_map, &look, see, &seen), 0);
	ck_assert_uint_eq(look.missed, 2);
	ck_assert_uint_eq(seen.last, 9);
	shmp_ring_kind.figures(&scene.observer_map, note, &depth);
	ck_assert_uint_eq(depth, 6);
	look = (struct shmp_look){ .from = SHMP_LOOK_NEWEST, .max = 4 };
	ck_assert_int_eq(shmp_ring_kind.look(&scene.observer_map, &look, see, &seen), 0);
	ck_assert_uint_eq(look.from, 12);
	ck_assert(seen.is_right);
	close_scene(&scene);
}

TEST(options_that_cannot_be_are_named)
{
	static const struct {
		uint64_t option[3];
		int wrong;
	} rows[] = {
		{ { 8, 10, SHMP_TYPE_STRING }, SHMP_RING_ELEMENT_TYPE + 1 },
		{ { 4, 10, SHMP_TYPE_DOUBLE }, SHMP_RING_ELEMENT_BYTES + 1 },
		{ { UINT64_C(1) << 31, 33, 0 }, SHMP_RING_ELEMENTS + 1 },
		{ { UINT64_C(1) << 31, 32, 0 }, 0 },
		{ { 24, 171, 0 }, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t option[SHMP_OPTIONS_MAX] = { 0 };
		const char *why = NULL;
		struct shmp_plan plan;

		memcpy(option, rows[i].option, sizeof(rows[i].option));
		ck_assert_int_eq(shmp_ring_kind.plan(option, &plan, &why), rows[i].wrong);
		ck_assert((rows[i].wrong == 0) == (why == NULL));
		if (rows[i].wrong == 0)
			ck_assert_uint_eq(plan.data_bytes & (plan.data_bytes - 1), 0);
	}
}

SHMT_MAIN
