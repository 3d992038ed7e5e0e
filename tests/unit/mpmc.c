/* The moves of producers and consumers who all live. Deaths: mpmc_repair.c. */
#include "protocol/mpmc.h"

#include <string.h>

#include "tests/support/mpmc.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

#define PRODUCER SHMP_MPMC_PRODUCER
#define CONSUMER SHMP_MPMC_CONSUMER

/* Not a constant: the compiler would object to what it cannot see to be harmless. */
static void *volatile nowhere;

struct fixture {
	struct shmt_mpmc queue;
	struct shmp_mpmc producer[2];
	struct shmp_mpmc consumer[2];
};

/* Two of each role, at places 0 to 3. */
static struct fixture *make(uint64_t slots, uint64_t message_max)
{
	struct fixture *f = calloc(1, sizeof(*f));

	shmt_mpmc_make(&f->queue, slots, message_max, 8);
	for (uint32_t i = 0; i < 2; i++) {
		shmt_mpmc_attach(&f->queue, i, PRODUCER, &f->producer[i]);
		shmt_mpmc_attach(&f->queue, 2 + i, CONSUMER, &f->consumer[i]);
	}
	return f;
}

static void done(struct fixture *f)
{
	shmt_mpmc_free(&f->queue);
	free(f);
}

static int push(struct fixture *f, uint64_t size, uint64_t number)
{
	return shmt_mpmc_push(&f->producer[number % 2], size, number);
}

static int pop(struct fixture *f, uint64_t size, uint64_t number)
{
	uint32_t flags = 77;
	int r = shmt_mpmc_pop(&f->consumer[number / 2 % 2], size, number, &flags);

	if (r == SHMP_DONE)
		ck_assert_uint_eq(flags, 0);
	return r;
}

TEST(a_message_arrives_as_it_was_sent)
{
	struct fixture *f = make(4, 100);

	ck_assert_int_eq(pop(f, 0, 0), SHMP_EMPTY);
	ck_assert_int_eq(push(f, 100, 1), SHMP_DONE);
	ck_assert_int_eq(pop(f, 100, 1), SHMP_DONE);
	ck_assert_int_eq(pop(f, 0, 0), SHMP_EMPTY);
	done(f);
}

TEST(it_is_full_at_exactly_as_many_messages_as_slots)
{
	for (uint64_t slots = 2; slots < 70; slots++) {
		struct fixture *f = make(slots, 8);

		for (uint64_t lap = 0; lap < 3; lap++) {
			for (uint64_t i = 0; i < slots; i++)
				ck_assert_int_eq(push(f, 8, lap * slots + i), SHMP_DONE);
			ck_assert_int_eq(push(f, 8, 0), SHMP_FULL);
			for (uint64_t i = 0; i < slots; i++)
				ck_assert_int_eq(pop(f, 8, lap * slots + i), SHMP_DONE);
			ck_assert_int_eq(pop(f, 8, 0), SHMP_EMPTY);
		}
		done(f);
	}
}

TEST(two_slots_do_for_ten_thousand_rounds)
{
	struct fixture *f = make(2, 8);

	for (uint64_t i = 0; i < 20000; i += 2) {
		ck_assert_int_eq(push(f, 8, i), SHMP_DONE);
		ck_assert_int_eq(push(f, 8, i + 1), SHMP_DONE);
		ck_assert_int_eq(push(f, 8, i), SHMP_FULL);
		ck_assert_int_eq(pop(f, 8, i), SHMP_DONE);
		ck_assert_int_eq(pop(f, 8, i + 1), SHMP_DONE);
	}
	done(f);
}

TEST(every_length_arrives_in_order)
{
	struct fixture *f = make(5, 300);
	uint64_t sent = 0, got = 0;

	while (got <= 900) {
		while (push(f, sent % 301, sent) == SHMP_DONE)
			sent++;
		while (pop(f, got % 301, got) == SHMP_DONE)
			got++;
	}
	ck_assert_uint_eq(sent, got);
	done(f);
}

TEST(zero_length_is_a_message)
{
	struct shmp_mpmc_message message = { .size = 77 };
	struct fixture *f = make(2, 8);

	ck_assert_int_eq(shmp_mpmc_push(&f->producer[0], nowhere, 0), SHMP_DONE);
	ck_assert_int_eq(shmp_mpmc_pop(&f->consumer[0], nowhere, 0, &message), SHMP_DONE);
	ck_assert_uint_eq(message.size, 0);
	ck_assert_int_eq(shmp_mpmc_pop(&f->consumer[0], nowhere, 0, &message), SHMP_EMPTY);
	done(f);
}

TEST(one_byte_over_the_limit_is_too_big_and_changes_nothing)
{
	struct fixture *f = make(2, 100);
	uint8_t payload[101] = { 0 }, *room = NULL;

	ck_assert_int_eq(shmp_mpmc_push(&f->producer[0], payload, 101), SHMP_TOO_BIG);
	ck_assert_int_eq(shmp_mpmc_reserve(&f->producer[0], 101, &room), SHMP_TOO_BIG);
	ck_assert_int_eq(shmp_mpmc_reserve(&f->producer[0], UINT64_MAX, &room), SHMP_TOO_BIG);
	ck_assert_ptr_null(room);
	ck_assert_uint_eq(shmp_mpmc_depth(&f->queue.map), 0);
	ck_assert_int_eq(push(f, 100, 1), SHMP_DONE);
	done(f);
}

TEST(too_small_a_buffer_keeps_the_message_and_tells_its_length)
{
	struct shmp_mpmc_message message = { .size = 0 };
	struct fixture *f = make(2, 100);
	uint8_t buffer[100];

	push(f, 100, 1);
	memset(buffer, 0xee, sizeof(buffer));
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(shmp_mpmc_pop(&f->consumer[i], buffer, 99, &message),
				 SHMP_TOO_BIG);
		ck_assert_uint_eq(message.size, 100);
		ck_assert_uint_eq(atomic_load(&f->consumer[i].self->intent[SHMP_MPMC_POPPING]), 0);
	}
	for (size_t i = 0; i < sizeof(buffer); i++)
		ck_assert_uint_eq(buffer[i], 0xee);
	ck_assert_int_eq(pop(f, 100, 1), SHMP_DONE);
	done(f);
}

TEST(pop_writes_no_byte_behind_the_message)
{
	struct fixture *f = make(3, 300);
	struct shmp_mpmc_message message;
	uint8_t buffer[400];

	for (uint64_t size = 0; size <= 300; size++) {
		push(f, size, size);
		memset(buffer, 0xee, sizeof(buffer));
		ck_assert_int_eq(shmp_mpmc_pop(&f->consumer[0], buffer, sizeof(buffer), &message),
				 SHMP_DONE);
		ck_assert(shmt_message_is(buffer, size, size));
		for (size_t i = size; i < sizeof(buffer); i++)
			ck_assert_uint_eq(buffer[i], 0xee);
	}
	done(f);
}

TEST(what_is_reserved_holds_back_what_is_sent_behind_it)
{
	struct fixture *f = make(4, 8);
	uint8_t *room;

	ck_assert_int_eq(shmp_mpmc_reserve(&f->producer[0], 8, &room), SHMP_DONE);
	ck_assert_int_eq(shmt_mpmc_push(&f->producer[1], 8, 2), SHMP_DONE);
	ck_assert_int_eq(pop(f, 8, 0), SHMP_EMPTY);
	shmt_message_fill(room, 8, 1);
	shmp_mpmc_commit(&f->producer[0], 8);
	ck_assert_int_eq(pop(f, 8, 1), SHMP_DONE);
	ck_assert_int_eq(pop(f, 8, 2), SHMP_DONE);
	done(f);
}

TEST(commit_of_less_sends_less)
{
	struct fixture *f = make(4, 100);
	uint8_t *room;

	ck_assert_int_eq(shmp_mpmc_reserve(&f->producer[0], 100, &room), SHMP_DONE);
	memset(room, 0xff, 100);
	shmt_message_fill(room, 20, 1);
	shmp_mpmc_commit(&f->producer[0], 20);
	ck_assert_int_eq(pop(f, 20, 1), SHMP_DONE);
	done(f);
}

TEST(what_is_aborted_is_skipped_and_counted)
{
	struct fixture *f = make(4, 8);
	uint8_t *room;

	for (uint64_t i = 0; i < 100; i++) {
		ck_assert_int_eq(shmp_mpmc_reserve(&f->producer[0], 8, &room), SHMP_DONE);
		shmp_mpmc_abort(&f->producer[0]);
		ck_assert_int_eq(push(f, 8, i), SHMP_DONE);
		ck_assert_int_eq(pop(f, 8, i), SHMP_DONE);
		ck_assert_int_eq(pop(f, 8, i), SHMP_EMPTY);
	}
	ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "tombstones"), 100);
	ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "depth_messages"), 0);
	done(f);
}

TEST(aborted_reservations_alone_fill_it_only_until_somebody_looks)
{
	struct fixture *f = make(2, 8);
	uint8_t *room;

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(shmp_mpmc_reserve(&f->producer[i], 8, &room), SHMP_DONE);
		shmp_mpmc_abort(&f->producer[i]);
	}
	ck_assert_int_eq(push(f, 8, 1), SHMP_FULL);
	ck_assert_int_eq(pop(f, 8, 1), SHMP_EMPTY);
	ck_assert_int_eq(push(f, 8, 1), SHMP_DONE);
	done(f);
}

TEST(two_consumers_hold_two_messages_and_give_them_back_in_any_order)
{
	struct shmp_mpmc_message message[2];
	struct fixture *f = make(2, 8);

	push(f, 8, 0);
	push(f, 8, 1);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(shmp_mpmc_peek(&f->consumer[i], 8, &message[i]), SHMP_DONE);
		ck_assert(shmt_message_is(message[i].data, 8, (uint64_t)i));
	}
	ck_assert_int_eq(push(f, 8, 2), SHMP_FULL);
	shmp_mpmc_release(&f->consumer[1]);
	ck_assert_int_eq(push(f, 8, 2), SHMP_FULL); /* it is the first one's turn */
	shmp_mpmc_release(&f->consumer[0]);
	ck_assert_int_eq(push(f, 8, 2), SHMP_DONE);
	ck_assert_int_eq(push(f, 8, 3), SHMP_DONE);
	ck_assert_int_eq(pop(f, 8, 2), SHMP_DONE);
	ck_assert_int_eq(pop(f, 8, 3), SHMP_DONE);
	done(f);
}

TEST(what_is_in_hand_is_not_written_over)
{
	struct shmp_mpmc_message message;
	struct fixture *f = make(3, 8);

	push(f, 8, 0);
	ck_assert_int_eq(shmp_mpmc_peek(&f->consumer[0], 8, &message), SHMP_DONE);
	for (uint64_t i = 1; i < 3; i++)
		ck_assert_int_eq(push(f, 8, i), SHMP_DONE);
	ck_assert_int_eq(push(f, 8, 3), SHMP_FULL);
	for (uint64_t i = 1; i < 3; i++)
		ck_assert_int_eq(shmt_mpmc_pop(&f->consumer[1], 8, i, NULL), SHMP_DONE);
	ck_assert_int_eq(push(f, 8, 3), SHMP_FULL);
	ck_assert_int_eq(shmt_mpmc_pop(&f->consumer[1], 8, 3, NULL), SHMP_EMPTY);
	ck_assert(shmt_message_is(message.data, 8, 0));
	done(f);
}

TEST(figures_name_whom_the_others_wait_for)
{
	struct shmp_mpmc_message message;
	struct fixture *f = make(3, 8);
	uint8_t *room;

	ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "unpublished_by_endpoint"), UINT64_MAX);
	shmp_mpmc_reserve(&f->producer[1], 8, &room);
	ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "unpublished_by_endpoint"), 1);
	shmt_mpmc_push(&f->producer[0], 8, 1);
	shmt_mpmc_push(&f->producer[0], 8, 2);
	ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "unpublished_by_endpoint"), 1);
	shmp_mpmc_commit(&f->producer[1], 8);
	ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "unpublished_by_endpoint"), UINT64_MAX);
	ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "unreleased_by_endpoint"), UINT64_MAX);
	shmp_mpmc_peek(&f->consumer[1], 8, &message);
	ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "unreleased_by_endpoint"), 3);
	shmt_mpmc_pop(&f->consumer[0], 8, 1, NULL);
	ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "unreleased_by_endpoint"), 3);
	shmp_mpmc_release(&f->consumer[1]);
	ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "unreleased_by_endpoint"), UINT64_MAX);
	done(f);
}

/* Counting */

static uint64_t count_of(struct fixture *f, uint32_t place, enum shmp_mpmc_role role,
			 enum shmp_mpmc_counter counter)
{
	struct shmp_mpmc_counts counts;

	shmp_mpmc_count_endpoint(&f->queue.map, place, role, &counts);
	return counts.of[counter];
}

TEST(each_endpoint_and_each_role_counts_for_itself)
{
	struct shmp_mpmc_counts counts;
	struct fixture *f = make(8, 100);

	for (uint64_t i = 0; i < 7; i++)
		push(f, 10, i);
	for (uint64_t i = 0; i < 5; i++)
		shmt_mpmc_pop(&f->consumer[0], 10, i, NULL);
	ck_assert_uint_eq(count_of(f, 0, PRODUCER, SHMP_MPMC_ITEMS), 4);
	ck_assert_uint_eq(count_of(f, 1, PRODUCER, SHMP_MPMC_ITEMS), 3);
	ck_assert_uint_eq(count_of(f, 0, CONSUMER, SHMP_MPMC_ITEMS), 0);
	ck_assert_uint_eq(count_of(f, 2, CONSUMER, SHMP_MPMC_BYTES), 50);
	ck_assert_uint_eq(count_of(f, 3, CONSUMER, SHMP_MPMC_ITEMS), 0);
	shmp_mpmc_count_role(&f->queue.map, PRODUCER, &counts);
	ck_assert_uint_eq(counts.of[SHMP_MPMC_ITEMS], 7);
	ck_assert_uint_eq(counts.of[SHMP_MPMC_BYTES], 70);
	ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "pushed_messages"), 7);
	ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "popped_messages"), 5);
	ck_assert_uint_eq(shmt_mpmc_figure(&f->queue, "depth_messages"), 2);
	done(f);
}

TEST(a_place_that_changes_its_role_keeps_both_counts)
{
	struct fixture *f = make(64, 100);
	uint64_t pushed = 0, popped = 0;

	for (uint64_t round = 1; round < 10; round++) {
		struct shmp_mpmc handle;

		shmt_mpmc_attach(&f->queue, 5, round % 3 ? PRODUCER : CONSUMER, &handle);
		for (uint64_t i = 0; i < round; i++) {
			if (round % 3)
				ck_assert_int_eq(shmt_mpmc_push(&handle, 7, pushed++), SHMP_DONE);
			else
				ck_assert_int_eq(shmt_mpmc_pop(&handle, 7, popped++, NULL),
						 SHMP_DONE);
		}
		shmt_place_vacate(&f->queue.segment, 5, round % 2, 1);
		ck_assert_uint_eq(count_of(f, 5, PRODUCER, SHMP_MPMC_ITEMS), pushed);
		ck_assert_uint_eq(count_of(f, 5, CONSUMER, SHMP_MPMC_ITEMS), popped);
		ck_assert_uint_eq(count_of(f, 5, CONSUMER, SHMP_MPMC_BYTES), 7 * popped);
	}
	done(f);
}

/* The plan */

static int plan_of(uint64_t slots, uint64_t message_max, uint64_t endpoints,
		   struct shmp_plan *ret_plan)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { slots, message_max, endpoints };
	const char *why = NULL;
	int r = shmp_mpmc_kind.plan(option, ret_plan, &why);

	ck_assert_int_eq(r != 0, why != NULL);
	return r;
}

TEST(a_small_message_shares_a_line_with_its_word)
{
	struct shmp_plan plan;

	ck_assert_int_eq(plan_of(1024, 48, 2, &plan), 0);
	ck_assert_uint_eq(plan.data_bytes, UINT64_C(65536));
	ck_assert_int_eq(plan_of(1024, 49, 2, &plan), 0);
	ck_assert_uint_eq(plan.data_bytes, UINT64_C(131072));
}

TEST(plan_holds_all_endpoints_and_their_tallies)
{
	struct shmp_plan plan;

	for (uint64_t endpoints = 2; endpoints <= SHMP_ENDPOINTS_MAX; endpoints++) {
		ck_assert_int_eq(plan_of(2, 1, endpoints, &plan), 0);
		ck_assert_uint_eq(plan.endpoint_count, endpoints);
		ck_assert_uint_eq(plan.control_bytes % 128, 0);
		ck_assert_uint_ge(plan.control_bytes,
				  sizeof(struct shmp_mpmc_control) +
					  endpoints * sizeof(struct shmp_mpmc_tally));
	}
}

TEST(more_than_can_be_is_refused_by_its_option)
{
	struct shmp_plan plan;

	ck_assert_int_eq(plan_of(UINT64_C(1) << 32, 48, 2, &plan), 0);
	ck_assert_int_eq(plan_of(UINT64_C(1) << 32, UINT64_C(1) << 31, 2, &plan),
			 SHMP_MPMC_SLOTS + 1);
}

TEST(one_slot_is_below_the_minimum)
{
	ck_assert_uint_eq(shmp_mpmc_kind.options[SHMP_MPMC_SLOTS].min, 2);
}

TEST(the_last_endpoint_of_255_works)
{
	struct shmp_mpmc producer, consumer;
	struct shmt_mpmc queue = { .drops = false };

	shmt_mpmc_make(&queue, 2, 8, 255);
	shmt_mpmc_attach(&queue, 254, PRODUCER, &producer);
	shmt_mpmc_attach(&queue, 253, CONSUMER, &consumer);
	for (uint64_t i = 0; i < 5; i++) {
		ck_assert_int_eq(shmt_mpmc_push(&producer, 8, i), SHMP_DONE);
		ck_assert_int_eq(shmt_mpmc_pop(&consumer, 8, i, NULL), SHMP_DONE);
	}
	shmt_mpmc_free(&queue);
}

SHMT_MAIN
