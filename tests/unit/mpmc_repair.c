/* What repair makes of a holder that is gone, in the states that matter; all of them: crash/. */
#include "protocol/mpmc.h"

#include <string.h>

#include "tests/support/mpmc.h"
#include "tests/support/random.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

#define PRODUCER SHMP_MPMC_PRODUCER
#define CONSUMER SHMP_MPMC_CONSUMER

enum {
	ENDPOINTS = 8,
	SLOTS = 4,
};

/* Not a constant: the compiler would object to what it cannot see to be harmless. */
static void *volatile nowhere;

struct fixture {
	struct shmt_mpmc queue;
	struct shmp_mpmc at[ENDPOINTS]; /* 0 to 3: producers, 4 to 7: consumers */
	uint64_t sent;
};

static struct fixture *make(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	shmt_mpmc_make(&f->queue, SLOTS, 8, ENDPOINTS);
	for (uint32_t i = 0; i < ENDPOINTS; i++)
		shmt_mpmc_attach(&f->queue, i, i < 4 ? PRODUCER : CONSUMER, &f->at[i]);
	return f;
}

static void done(struct fixture *f)
{
	const char *why = NULL;

	ck_assert_int_eq(shmp_mpmc_kind.validate(&f->queue.map, &why), 0);
	shmt_mpmc_free(&f->queue);
	free(f);
}

static void bury(struct fixture *f, uint32_t place)
{
	shmt_place_vacate(&f->queue.segment, place, true, 2);
	shmt_mpmc_attach(&f->queue, place, place < 4 ? PRODUCER : CONSUMER, &f->at[place]);
}

static void reserve(struct fixture *f, uint32_t place)
{
	uint8_t *room;

	ck_assert_int_eq(shmp_mpmc_reserve(&f->at[place], 8, &room), SHMP_DONE);
	shmt_message_fill(room, 8, f->sent++);
}

static void peek(struct fixture *f, uint32_t place, uint64_t number, uint32_t flags)
{
	struct shmp_mpmc_message message;

	ck_assert_int_eq(shmp_mpmc_peek(&f->at[place], 8, &message), SHMP_DONE);
	ck_assert(shmt_message_is(message.data, 8, number));
	ck_assert_uint_eq(message.flags, flags);
}

static void pop(struct fixture *f, uint64_t number, uint32_t flags)
{
	peek(f, 7, number, flags);
	shmp_mpmc_release(&f->at[7]);
}

static void expect_nothing(struct fixture *f)
{
	ck_assert_int_eq(shmt_mpmc_pop(&f->at[7], 8, 0, NULL), SHMP_EMPTY);
}

static void push(struct fixture *f, uint32_t place)
{
	ck_assert_int_eq(shmt_mpmc_push(&f->at[place], 8, f->sent), SHMP_DONE);
	f->sent++;
}

/* All slots can be used, and nothing is flagged that was not in dead hands. */
static void go_on(struct fixture *f)
{
	uint64_t first = f->sent;

	for (int lap = 0; lap < 3; lap++) {
		for (uint32_t i = 0; i < SLOTS; i++)
			push(f, i);
		ck_assert_int_eq(shmt_mpmc_push(&f->at[0], 8, 0), SHMP_FULL);
		for (uint32_t i = 0; i < SLOTS; i++)
			pop(f, first++, 0);
		expect_nothing(f);
	}
}

TEST(a_dead_producer_s_claim_becomes_a_tombstone)
{
	struct fixture *f = make();

	reserve(f, 0);
	bury(f, 0);
	ck_assert_int_eq(shmt_mpmc_state(&f->queue, 0), SHMP_MPMC_TOMB);
	expect_nothing(f);
	ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "tombstones"), 1);
	go_on(f);
	done(f);
}

TEST(claims_of_dead_producers_in_a_row_are_told_apart)
{
	static const uint32_t orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					      { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

	for (size_t i = 0; i < 6; i++) {
		struct fixture *f = make();

		for (uint32_t place = 0; place < 3; place++)
			reserve(f, place);
		push(f, 3);
		for (int k = 0; k < 3; k++)
			bury(f, orders[i][k]);
		pop(f, 3, 0);
		expect_nothing(f);
		go_on(f);
		done(f);
	}
}

/* The one who lost has the same intent as the one who won, and only the chain tells them apart. */
TEST(who_intended_and_lost_takes_nothing_from_who_won)
{
	struct fixture *f = make();
	uint64_t tail = shmp_mpmc_load_tail(&f->at[0]);

	atomic_store(&f->at[0].self->intent[SHMP_MPMC_PUSHING], tail | SHMP_MPMC_INTENDED);
	reserve(f, 1);
	bury(f, 0);
	ck_assert_int_eq(shmt_mpmc_state(&f->queue, 0), SHMP_MPMC_FREE);
	atomic_store(&f->at[0].self->intent[SHMP_MPMC_PUSHING], tail | SHMP_MPMC_INTENDED);
	reserve(f, 2);
	push(f, 3);
	bury(f, 0);
	shmp_mpmc_commit(&f->at[1], 8);
	shmp_mpmc_commit(&f->at[2], 8);
	for (uint64_t i = 0; i < 3; i++)
		pop(f, i, 0);
	go_on(f);
	done(f);
}

TEST(a_message_in_dead_hands_comes_again_flagged)
{
	struct fixture *f = make();

	push(f, 0);
	push(f, 0);
	peek(f, 4, 0, 0);
	bury(f, 4);
	ck_assert_int_eq(shmt_mpmc_state(&f->queue, 0), SHMP_MPMC_REDELIVER);
	pop(f, 0, SHMP_MPMC_REDELIVERED);
	pop(f, 1, 0);
	expect_nothing(f);
	go_on(f);
	done(f);
}

TEST(it_comes_again_after_each_of_several_deaths)
{
	struct fixture *f = make();

	push(f, 0);
	peek(f, 4, 0, 0);
	bury(f, 4);
	for (int deaths = 0; deaths < 5; deaths++) {
		peek(f, 5, 0, SHMP_MPMC_REDELIVERED);
		ck_assert_int_eq(shmt_mpmc_state(&f->queue, 0), SHMP_MPMC_TAKEN);
		bury(f, 5);
	}
	pop(f, 0, SHMP_MPMC_REDELIVERED);
	expect_nothing(f);
	go_on(f);
	done(f);
}

TEST(messages_of_several_dead_are_told_apart_in_any_order)
{
	static const uint32_t orders[][3] = { { 4, 5, 6 }, { 4, 6, 5 }, { 5, 4, 6 },
					      { 5, 6, 4 }, { 6, 4, 5 }, { 6, 5, 4 } };

	for (size_t i = 0; i < 6; i++) {
		struct fixture *f = make();

		for (uint64_t number = 0; number < 3; number++) {
			push(f, 0);
			peek(f, 4 + (uint32_t)number, number, 0);
		}
		for (int k = 0; k < 3; k++)
			bury(f, orders[i][k]);
		for (uint64_t number = 0; number < 3; number++)
			pop(f, number, SHMP_MPMC_REDELIVERED);
		expect_nothing(f);
		go_on(f);
		done(f);
	}
}

TEST(the_living_keep_what_they_hold_between_the_dead)
{
	struct fixture *f = make();

	for (uint64_t number = 0; number < 3; number++) {
		push(f, 0);
		peek(f, 4 + (uint32_t)number, number, 0);
	}
	bury(f, 4);
	bury(f, 6);
	shmp_mpmc_release(&f->at[5]);
	pop(f, 0, SHMP_MPMC_REDELIVERED);
	pop(f, 2, SHMP_MPMC_REDELIVERED);
	expect_nothing(f);
	go_on(f);
	done(f);
}

TEST(too_small_a_buffer_keeps_what_comes_again)
{
	struct shmp_mpmc_message message = { .size = 0 };
	struct fixture *f = make();

	push(f, 0);
	peek(f, 4, 0, 0);
	bury(f, 4);
	ck_assert_int_eq(shmp_mpmc_pop(&f->at[5], nowhere, 0, &message), SHMP_TOO_BIG);
	ck_assert_uint_eq(message.size, 8);
	pop(f, 0, SHMP_MPMC_REDELIVERED);
	done(f);
}

TEST(leaving_with_something_in_hand_is_as_good_as_dying)
{
	struct fixture *f = make();

	push(f, 0);
	peek(f, 4, 0, 0);
	reserve(f, 1);
	shmt_place_vacate(&f->queue.segment, 4, false, 1);
	shmt_place_vacate(&f->queue.segment, 1, false, 1);
	pop(f, 0, SHMP_MPMC_REDELIVERED);
	expect_nothing(f);
	done(f);
}

TEST(who_leaves_with_nothing_in_hand_makes_nobody_look_for_it)
{
	struct fixture *f = make();
	uint64_t epoch = atomic_load(&f->at[0].control->epoch);

	push(f, 0);
	push(f, 1);
	ck_assert_int_eq(shmt_mpmc_pop(&f->at[4], 8, 0, NULL), SHMP_DONE);
	for (uint32_t place = 0; place < 6; place++)
		shmt_place_vacate(&f->queue.segment, place, place % 2, 1);
	ck_assert_uint_eq(atomic_load(&f->at[0].control->epoch), epoch);
	pop(f, 1, 0);
	done(f);
}

/* An intent stands until the next one: by then its slot is others', laps later. */
TEST(what_the_dead_one_had_finished_stays_whose_it_is_now)
{
	for (uint32_t later = 0; later <= 2 * SLOTS; later++) {
		struct fixture *f = make();

		push(f, 0);
		ck_assert_int_eq(shmt_mpmc_pop(&f->at[4], 8, 0, NULL), SHMP_DONE);
		for (uint32_t i = 0; i < later; i++) {
			push(f, 1);
			ck_assert_int_eq(shmt_mpmc_pop(&f->at[5], 8, i + 1, NULL), SHMP_DONE);
		}
		push(f, 1);
		peek(f, 5, later + 1, 0);
		reserve(f, 2);
		bury(f, 0);
		bury(f, 4);
		shmp_mpmc_release(&f->at[5]);
		shmp_mpmc_commit(&f->at[2], 8);
		pop(f, later + 2, 0);
		expect_nothing(f);
		ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "tombstones"), 0);
		go_on(f);
		done(f);
	}
}

TEST(a_repair_killed_before_it_told_of_a_message_tells_of_it_when_repeated)
{
	struct fixture *f = make();
	_Atomic uint64_t *epoch = &f->at[0].control->epoch;
	struct shmp_mpmc_message message;
	uint64_t before;

	push(f, 0);
	ck_assert_int_eq(shmp_mpmc_peek(&f->at[7], 0, &message), SHMP_TOO_BIG); /* has scanned */
	peek(f, 4, 0, 0);
	before = atomic_load(epoch);
	/* as the first run of it left everything */
	atomic_store(&f->at[4].hand.slot->word, shmp_mpmc_open(0, SHMP_MPMC_REDELIVER));
	bury(f, 4);
	ck_assert_uint_gt(atomic_load(epoch), before);
	pop(f, 0, SHMP_MPMC_REDELIVERED);
	expect_nothing(f);
	go_on(f);
	done(f);
}

/* Random moves of eight handles, each of which may die at any time with what it holds. */

struct history {
	struct shmt_random random;
	uint32_t pushed[4096]; /* per message: times it was published */
	uint32_t got[4096];
	uint32_t flagged[4096];
	uint64_t in_hand[ENDPOINTS]; /* number + 1 */
	uint64_t numbers;
	uint64_t deaths_in_hand;
};

static void step_producer(struct fixture *f, struct history *h, uint32_t place)
{
	uint8_t *room;

	if (h->in_hand[place] == 0) {
		if (h->numbers < 4096 && shmp_mpmc_reserve(&f->at[place], 8, &room) == SHMP_DONE) {
			memcpy(room, &h->numbers, 8);
			h->in_hand[place] = ++h->numbers;
		}
	} else if (shmt_random_below(&h->random, 4) == 0) {
		shmp_mpmc_abort(&f->at[place]);
		h->in_hand[place] = 0;
	} else {
		shmp_mpmc_commit(&f->at[place], 8);
		h->pushed[h->in_hand[place] - 1]++;
		h->in_hand[place] = 0;
	}
}

static void step_consumer(struct fixture *f, struct history *h, uint32_t place)
{
	struct shmp_mpmc_message message;
	uint64_t number;

	if (h->in_hand[place] != 0) {
		shmp_mpmc_release(&f->at[place]);
		h->got[h->in_hand[place] - 1]++;
		h->in_hand[place] = 0;
	} else if (shmp_mpmc_peek(&f->at[place], 8, &message) == SHMP_DONE) {
		memcpy(&number, message.data, 8);
		ck_assert_uint_lt(number, h->numbers);
		h->in_hand[place] = number + 1;
		h->flagged[number] += message.flags == SHMP_MPMC_REDELIVERED;
	}
}

static void die(struct fixture *f, struct history *h, uint32_t place)
{
	h->deaths_in_hand += place >= 4 && h->in_hand[place] != 0;
	h->in_hand[place] = 0;
	bury(f, place);
}

TEST(nothing_is_lost_or_doubled_whoever_dies_in_whatever_order, .rounds = 20)
{
	static struct history h;
	struct fixture *f = make();
	uint64_t flagged = 0;

	h = (struct history){ .random = { shmt_seed() + (uint64_t)_i } };
	for (int step = 0; step < 20000; step++) {
		uint32_t place = (uint32_t)shmt_random_below(&h.random, ENDPOINTS);

		if (shmt_random_below(&h.random, 20) == 0)
			die(f, &h, place);
		else if (place < 4)
			step_producer(f, &h, place);
		else
			step_consumer(f, &h, place);
	}
	for (uint32_t place = 0; place < ENDPOINTS; place++)
		die(f, &h, place);
	for (int i = 0; i < 100; i++)
		step_consumer(f, &h, 7);
	for (uint64_t number = 0; number < h.numbers; number++) {
		ck_assert_uint_eq(h.got[number], h.pushed[number]);
		flagged += h.flagged[number];
	}
	ck_assert_uint_eq(flagged, h.deaths_in_hand);
	done(f);
}

TEST(without_redelivery_a_message_in_dead_hands_is_dropped_once)
{
	for (int times = 1; times <= 3; times++) {
		struct fixture *f = calloc(1, sizeof(*f));
		struct shmp_mpmc_message message;

		f->queue.drops = true;
		shmt_mpmc_make(&f->queue, SLOTS, 8, ENDPOINTS);
		for (uint32_t i = 0; i < ENDPOINTS; i++)
			shmt_mpmc_attach(&f->queue, i, i < 4 ? PRODUCER : CONSUMER, &f->at[i]);
		for (uint64_t i = 0; i < SLOTS; i++)
			ck_assert_int_eq(shmt_mpmc_push(&f->at[0], 8, i), SHMP_DONE);
		ck_assert_int_eq(shmp_mpmc_peek(&f->at[4], 8, &message), SHMP_DONE);
		shmt_place_vacate(&f->queue.segment, 4, times != 2, times);
		ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "dropped_messages"), 1);
		for (uint64_t i = 1; i < SLOTS; i++)
			ck_assert_int_eq(shmt_mpmc_pop(&f->at[5], 8, i, NULL), SHMP_DONE);
		ck_assert_int_eq(shmp_mpmc_peek(&f->at[5], 8, &message), SHMP_EMPTY);
		for (uint64_t i = 0; i < 3 * SLOTS; i++) {
			ck_assert_int_eq(shmt_mpmc_push(&f->at[1], 8, i), SHMP_DONE);
			ck_assert_int_eq(shmt_mpmc_pop(&f->at[6], 8, i, NULL), SHMP_DONE);
		}
		done(f);
	}
}

SHMT_MAIN
