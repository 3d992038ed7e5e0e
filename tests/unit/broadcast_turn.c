/* Whose turn it is among writers of a broadcast. Handles of one process, so nobody really waits. */
#include "protocol/broadcast.h"

#include <string.h>

#include "tests/support/broadcast.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

enum {
	CAPACITY = 4096,
	WRITERS = 3,
	LARGE = 2000,
};

struct fixture {
	struct shmt_broadcast broadcast;
	struct shmp_broadcast_writer writer[WRITERS];
	struct shmp_broadcast_reader reader;
};

/* In block mode, full of messages of 100 bytes. */
static struct fixture *make_full(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	shmt_broadcast_make(&f->broadcast,
			    &(const struct shmt_broadcast_options){
				    .capacity = CAPACITY, .writers = WRITERS, .blocks = true });
	for (uint32_t i = 0; i < WRITERS; i++)
		shmt_broadcast_attach_writer(&f->broadcast, i, &f->writer[i]);
	shmt_broadcast_attach_reader(&f->broadcast, 0, SHMP_BROADCAST_FROM_OLDEST, 0, &f->reader);
	while (shmt_broadcast_push(&f->writer[0], 100, 1) == SHMP_DONE)
		;
	return f;
}

static void done(struct fixture *f)
{
	shmt_broadcast_free(&f->broadcast);
	free(f);
}

static int push(struct fixture *f, uint32_t i, uint64_t size)
{
	return shmt_broadcast_push(&f->writer[i], size, size);
}

/* As the library does before it waits. */
static void push_or_queue(struct fixture *f, uint32_t i, uint64_t size)
{
	ck_assert_int_eq(push(f, i, size), SHMP_FULL);
	shmp_broadcast_queue(&f->writer[i], shmp_broadcast_need(size));
}

static void pop(struct fixture *f, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		ck_assert_int_eq(shmt_broadcast_pop(&f->reader, 100, 1, NULL), SHMP_DONE);
}

TEST(nobody_goes_past_one_who_waits_for_room)
{
	struct fixture *f = make_full();

	push_or_queue(f, 0, LARGE);
	for (int i = 0; i < 15; i++) {
		pop(f, 1);
		ck_assert_int_eq(push(f, 1, 8), SHMP_FULL);
		ck_assert_int_eq(push(f, 0, LARGE), SHMP_FULL);
	}
	pop(f, 1);
	ck_assert_int_eq(push(f, 0, LARGE), SHMP_DONE);
	pop(f, 1);
	ck_assert_int_eq(push(f, 1, 8), SHMP_DONE);
	done(f);
}

TEST(those_who_wait_for_room_get_it_in_their_order)
{
	struct fixture *f = make_full();

	push_or_queue(f, 2, 500);
	push_or_queue(f, 0, 1000);
	push_or_queue(f, 1, 8);
	pop(f, 4);
	ck_assert_int_eq(push(f, 1, 8), SHMP_FULL);
	ck_assert_int_eq(push(f, 0, 1000), SHMP_FULL);
	pop(f, 1);
	ck_assert_int_eq(push(f, 2, 500), SHMP_DONE);
	ck_assert_int_eq(push(f, 1, 8), SHMP_FULL);
	pop(f, 8);
	ck_assert_int_eq(push(f, 0, 1000), SHMP_DONE);
	pop(f, 1);
	ck_assert_int_eq(push(f, 1, 8), SHMP_DONE);
	done(f);
}

TEST(who_waited_for_room_and_does_not_take_it_is_gone_past)
{
	struct fixture *f = make_full();

	push_or_queue(f, 0, LARGE);
	ck_assert_int_eq(push(f, 1, 8), SHMP_FULL);
	pop(f, 17);
	ck_assert_int_eq(push(f, 1, 8), SHMP_DONE);
	/* and waits again, in a turn of its own */
	while (push(f, 1, 100) == SHMP_DONE)
		;
	push_or_queue(f, 0, LARGE);
	pop(f, 1);
	ck_assert_int_eq(push(f, 1, 8), SHMP_FULL);
	done(f);
}

TEST(who_gives_up_waiting_lets_the_others_go)
{
	struct fixture *f = make_full();

	push_or_queue(f, 0, LARGE);
	pop(f, 1);
	ck_assert_int_eq(push(f, 1, 8), SHMP_FULL);
	ck_assert(shmp_broadcast_leave_queue(&f->writer[0]));
	ck_assert(!shmp_broadcast_leave_queue(&f->writer[0]));
	ck_assert_int_eq(push(f, 1, 8), SHMP_DONE);
	done(f);
}

TEST(who_dies_waiting_lets_the_others_go)
{
	struct fixture *f = make_full();

	push_or_queue(f, 0, LARGE);
	pop(f, 1);
	ck_assert_int_eq(push(f, 1, 8), SHMP_FULL);
	shmt_place_vacate(&f->broadcast.segment, 0, true, 2);
	ck_assert_int_eq(push(f, 1, 8), SHMP_DONE);
	done(f);
}

/* Words that say nothing true hold nobody up: more than there can be is not waited for. */
TEST(nonsense_in_the_words_of_turns_holds_nobody_up)
{
	static const uint64_t words[] = { 1, UINT64_C(1) << 32, UINT64_C(1) << 63, UINT64_MAX };
	struct fixture *f = make_full();
	struct shmp_broadcast_control *control = f->writer[0].ring.control;

	pop(f, 31);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		atomic_store(&control->late, words[i]);
		atomic_store(&control->tickets, words[i]);
		atomic_store(&f->writer[2].self->cursor, UINT64_MAX);
		ck_assert_int_eq(push(f, i % 2, 8), SHMP_DONE);
		atomic_store(&control->serving, words[i]);
		ck_assert_int_eq(push(f, i % 2, 8), SHMP_DONE);
	}
	done(f);
}

/* @count messages of 100 bytes, each read at once. */
static void push_and_pop(struct fixture *f, uint32_t i, uint64_t count)
{
	while (count-- > 0) {
		ck_assert_int_eq(push(f, i, 100), SHMP_DONE);
		ck_assert_int_eq(shmt_broadcast_pop(&f->reader, 100, 100, NULL), SHMP_DONE);
	}
}

/* One whose turn was gone past is owed what the busiest has sent meanwhile. */
TEST(who_was_gone_past_catches_up)
{
	struct fixture *f = make_full();
	struct shmp_broadcast_control *control = f->writer[0].ring.control;

	push_or_queue(f, 0, 100);
	push_or_queue(f, 0, 100);
	pop(f, 32);
	push_and_pop(f, 1, 200);
	ck_assert_uint_eq(atomic_load(&control->late), 0);
	/* somebody else is there, too: they take turns */
	atomic_fetch_add(&control->tickets, 1);
	push_and_pop(f, 0, 199);
	ck_assert_uint_eq(atomic_load(&control->late), 1);
	push_and_pop(f, 0, 1);
	ck_assert_uint_eq(atomic_load(&control->late), 0);
	done(f);
}

TEST(who_does_not_use_the_time_to_catch_up_is_gone_past)
{
	struct fixture *f = make_full();
	struct shmp_broadcast_control *control = f->writer[0].ring.control;

	pop(f, 32);
	atomic_store(&control->late, 1);
	push_and_pop(f, 1, 1);
	ck_assert_uint_eq(atomic_load(&control->late), 0);
	done(f);
}

SHMT_MAIN
