/* What a writer or a reader leaves when it dies, in every state it can be in. */
#include "protocol/broadcast.h"

#include <string.h>

#include "tests/support/broadcast.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

#define OPTIONS(...) (&(const struct shmt_broadcast_options){ __VA_ARGS__ })

enum {
	CAPACITY = 4096,
	WRITERS = 4,
	READER = WRITERS
};

struct fixture {
	struct shmt_broadcast broadcast;
	struct shmp_broadcast_writer writer[WRITERS];
	struct shmp_broadcast_reader reader;
};

static struct fixture *make(bool blocks)
{
	struct fixture *f = calloc(1, sizeof(*f));

	shmt_broadcast_make(&f->broadcast,
			    OPTIONS(.capacity = CAPACITY, .writers = WRITERS, .blocks = blocks));
	for (uint32_t i = 0; i < WRITERS; i++)
		shmt_broadcast_attach_writer(&f->broadcast, i, &f->writer[i]);
	shmt_broadcast_attach_reader(&f->broadcast, 0, SHMP_BROADCAST_FROM_OLDEST, 0, &f->reader);
	return f;
}

static void done(struct fixture *f)
{
	shmt_broadcast_free(&f->broadcast);
	free(f);
}

/* The writer intends @size bytes at what the tail is now, as if stopped there. */
static uint64_t intend(struct fixture *f, uint32_t i, uint64_t size)
{
	uint64_t tail = shmp_broadcast_load_tail(&f->writer[i].ring);

	atomic_store(&f->writer[i].self->intent[1], shmp_broadcast_need(size));
	shmp_broadcast_intend(f->writer[i].self, tail | SHMP_BROADCAST_INTENDED);
	return tail;
}

/* And claims it. */
static uint64_t claim(struct fixture *f, uint32_t i, uint64_t size)
{
	uint64_t tail = 0;

	ck_assert_int_eq(shmp_broadcast_take(&f->writer[i], shmp_broadcast_need(size), &tail),
			 SHMP_DONE);
	return tail;
}

static void settle(struct fixture *f, uint32_t i, uint64_t tail, uint64_t size, uint64_t number)
{
	shmt_message_fill(shmp_broadcast_payload(&f->writer[i].ring, tail >> 8), size, number);
	shmp_broadcast_settle(&f->writer[i], tail, shmp_broadcast_need(size), size, 0);
}

static void bury(struct fixture *f, uint32_t place)
{
	shmt_place_vacate(&f->broadcast.segment, place, true, 2);
	if (place < WRITERS)
		shmt_broadcast_attach_writer(&f->broadcast, place, &f->writer[place]);
}

static void push(struct fixture *f, uint32_t i, uint64_t size, uint64_t number)
{
	ck_assert_int_eq(shmt_broadcast_push(&f->writer[i], size, number), SHMP_DONE);
}

static void pop(struct fixture *f, uint64_t size, uint64_t number, uint64_t sequence)
{
	struct shmp_broadcast_message message;

	ck_assert_int_eq(shmt_broadcast_pop(&f->reader, size, number, &message), SHMP_DONE);
	ck_assert_uint_eq(message.sequence, sequence);
	ck_assert_uint_eq(message.flags, 0);
}

static void is_empty(struct fixture *f)
{
	ck_assert_int_eq(shmt_broadcast_pop(&f->reader, 0, 0, NULL), SHMP_EMPTY);
}

TEST(a_claim_in_dead_hands_becomes_padding)
{
	struct fixture *f = make(false);

	claim(f, 0, 100);
	push(f, 1, 50, 1);
	is_empty(f);
	bury(f, 0);
	pop(f, 50, 1, 0);
	is_empty(f);
	push(f, 0, 60, 2);
	pop(f, 60, 2, 0);
	done(f);
}

TEST(what_was_published_before_the_death_counts_as_sent)
{
	for (int counted = 0; counted < 2; counted++) {
		struct fixture *f = make(false);
		uint64_t tail;

		push(f, 0, 10, 1);
		tail = claim(f, 0, 20);
		settle(f, 0, tail, 20, 2);
		if (!counted)
			atomic_store(&f->writer[0].self->items, 1);
		shmp_broadcast_intend(f->writer[0].self, tail | SHMP_BROADCAST_INTENDED);
		bury(f, 0);
		push(f, 0, 30, 3);
		for (uint64_t i = 0; i < 3; i++)
			pop(f, 10 * (i + 1), i + 1, i);
		done(f);
	}
}

TEST(an_intent_whose_race_was_lost_changes_nothing)
{
	/* the winner's claim is shorter, as long, longer; it is finished or not when he dies */
	static const uint64_t sizes[] = { 8, 100, 1000 };

	for (int finished = 0; finished < 2; finished++) {
		for (size_t i = 0; i < 3; i++) {
			struct fixture *f = make(false);
			uint64_t first, second;

			intend(f, 0, 100);
			first = claim(f, 1, sizes[i]);
			second = claim(f, 2, 200);
			if (finished) {
				settle(f, 1, first, sizes[i], 1);
				settle(f, 2, second, 200, 2);
			}
			bury(f, 0);
			if (!finished) {
				is_empty(f);
				settle(f, 2, second, 200, 2);
				is_empty(f);
				settle(f, 1, first, sizes[i], 1);
			}
			pop(f, sizes[i], 1, 0);
			pop(f, 200, 2, 0);
			is_empty(f);
			done(f);
		}
	}
}

/* Both died over one position, one of them as its owner, with claims of two lengths. */
TEST(two_deaths_at_one_position_pad_what_was_claimed)
{
	static const uint64_t sizes[] = { 8, 100, 1000 };

	for (uint32_t first = 0; first < 2; first++) {
		for (size_t i = 0; i < 9; i++) {
			struct fixture *f = make(false);

			intend(f, 0, sizes[i / 3]);
			claim(f, 1, sizes[i % 3]);
			push(f, 2, 10, 3);
			bury(f, first);
			bury(f, 1 - first);
			pop(f, 10, 3, 0);
			push(f, 0, 20, 4);
			pop(f, 20, 4, 0);
			is_empty(f);
			done(f);
		}
	}
}

TEST(the_next_claimant_knows_the_owner_also_when_it_dies_before_or_after)
{
	for (int order = 0; order < 6; order++) {
		struct fixture *f = make(false);
		static const uint32_t orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
						       { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

		for (uint32_t i = 0; i < 3; i++)
			claim(f, i, 100 * (i + 1));
		push(f, 3, 10, 1);
		is_empty(f);
		for (int i = 0; i < 3; i++)
			bury(f, orders[order][i]);
		pop(f, 10, 1, 0);
		is_empty(f);
		done(f);
	}
}

TEST(nobody_claims_over_what_is_not_finished)
{
	struct fixture *f = make(false);
	uint64_t tail, sent = 0;

	push(f, 1, 100, 0);
	tail = claim(f, 0, 100);
	while (shmt_broadcast_push(&f->writer[1], 100, sent) == SHMP_DONE)
		sent++;
	ck_assert_uint_eq(sent, CAPACITY / 128 - 1);
	ck_assert_int_eq(shmt_broadcast_push(&f->writer[2], 0, 0), SHMP_FULL);
	settle(f, 0, tail, 100, 77);
	ck_assert_int_eq(shmt_broadcast_push(&f->writer[2], 0, 0), SHMP_DONE);
	done(f);
}

TEST(nobody_claims_over_what_a_dead_one_has_not_finished)
{
	struct fixture *f = make(false);

	claim(f, 0, 100);
	while (shmt_broadcast_push(&f->writer[1], 100, 1) == SHMP_DONE)
		;
	bury(f, 0);
	for (int i = 0; i < 100; i++)
		push(f, 1, 100, 1);
	done(f);
}

/* It loaded the tail a lap ago, or many, and stands there: it owns nothing. */
TEST(an_intent_of_laps_ago_holds_nobody)
{
	struct fixture *f = make(false);
	uint64_t tail;

	push(f, 1, 100, 1);
	tail = shmp_broadcast_load_tail(&f->writer[0].ring);
	for (int i = 0; i < 100; i++)
		push(f, 1, 100, 1);
	atomic_store(&f->writer[0].self->intent[1], 8);
	shmp_broadcast_intend(f->writer[0].self, tail | SHMP_BROADCAST_INTENDED);
	for (int i = 0; i < 100; i++)
		push(f, 1, 100, 1);
	bury(f, 0);
	for (int i = 0; i < 100; i++)
		push(f, 0, 100, 1);
	done(f);
}

TEST(repair_run_again_changes_nothing)
{
	struct fixture *f = make(true);
	uint8_t *ctl = malloc(f->broadcast.segment.plan.ctl_bytes), *data = malloc(CAPACITY);
	struct shmp_segment *map = &f->broadcast.segment.map;
	struct shmp_waiter *waiter = &f->reader.ring.control->not_empty;

	claim(f, 0, 100);
	ck_assert_int_eq(shmp_broadcast_kind.repair(map, 0, true), 0);
	memcpy(ctl, map->head, f->broadcast.segment.plan.ctl_bytes);
	memcpy(data, map->data, CAPACITY);
	ck_assert_int_eq(shmp_broadcast_kind.repair(map, 0, true), 0);
	ck_assert_mem_eq(ctl, map->head, f->broadcast.segment.plan.ctl_bytes);
	ck_assert_mem_eq(data, map->data, CAPACITY);
	shmp_broadcast_kind.wake(map);
	ck_assert_uint_eq(atomic_load(&waiter->sequence), 1);
	free(ctl);
	free(data);
	done(f);
}

TEST(a_reader_that_died_over_a_message_holds_nobody)
{
	struct shmp_broadcast_message message;
	struct fixture *f = make(true);

	while (shmt_broadcast_push(&f->writer[1], 100, 1) == SHMP_DONE)
		;
	ck_assert_int_eq(shmp_broadcast_peek(&f->reader, &message), SHMP_DONE);
	shmp_waiter_prepare(&f->reader.ring.control->not_empty, f->reader.self, READER, false);
	bury(f, READER);
	ck_assert(!shmp_broadcast_readers_wait(&f->writer[0].ring));
	for (int i = 0; i < 100; i++)
		push(f, 1, 100, 1);
	done(f);
}

TEST(an_exclusive_writers_successor_goes_on_behind_its_padding)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint8_t *room;

	shmt_broadcast_make(&f->broadcast, OPTIONS(.capacity = CAPACITY, .is_exclusive = true));
	shmt_broadcast_attach_writer(&f->broadcast, 0, &f->writer[0]);
	shmt_broadcast_attach_reader(&f->broadcast, 0, SHMP_BROADCAST_FROM_NEWEST, 0, &f->reader);
	for (uint64_t i = 0; i < 100; i++) {
		push(f, 0, i, i);
		ck_assert_int_eq(shmp_broadcast_reserve(&f->writer[0], 3 * i, &room), SHMP_DONE);
		shmt_place_vacate(&f->broadcast.segment, 0, i % 2, 1);
		shmt_broadcast_attach_writer(&f->broadcast, 0, &f->writer[0]);
		pop(f, i, i, i);
		is_empty(f);
	}
	done(f);
}

SHMT_MAIN
