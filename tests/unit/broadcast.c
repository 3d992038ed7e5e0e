/* The moves of writers and readers who all live. Deaths: broadcast_repair.c. */
#include "protocol/broadcast.h"

#include <string.h>

#include "tests/support/broadcast.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

#define NEWEST	     SHMP_BROADCAST_FROM_NEWEST
#define OLDEST	     SHMP_BROADCAST_FROM_OLDEST
#define POSITION     SHMP_BROADCAST_FROM_POSITION
#define OPTIONS(...) (&(const struct shmt_broadcast_options){ __VA_ARGS__ })

enum {
	CAPACITY = 4096,
	LONGEST = 3816
};

struct fixture {
	struct shmt_broadcast broadcast;
	struct shmp_broadcast_writer writer[3];
	struct shmp_broadcast_reader reader[3];
};

/* Two writers, or the exclusive one, and two readers from the beginning. */
static struct fixture *make(const struct shmt_broadcast_options *options)
{
	struct fixture *f = calloc(1, sizeof(*f));

	shmt_broadcast_make(&f->broadcast, options);
	for (uint32_t i = 0; i < (options->is_exclusive ? 1 : 2); i++)
		shmt_broadcast_attach_writer(&f->broadcast, i, &f->writer[i]);
	for (uint32_t i = 0; i < 2; i++)
		shmt_broadcast_attach_reader(&f->broadcast, i, OLDEST, 0, &f->reader[i]);
	return f;
}

static struct fixture *make_small(bool blocks)
{
	return make(OPTIONS(.capacity = CAPACITY, .writers = 3, .blocks = blocks));
}

static void done(struct fixture *f)
{
	shmt_broadcast_free(&f->broadcast);
	free(f);
}

static int push(struct fixture *f, uint64_t size, uint64_t number)
{
	return shmt_broadcast_push(&f->writer[0], size, number);
}

static int pop(struct fixture *f, uint32_t reader, uint64_t size, uint64_t number)
{
	struct shmp_broadcast_message message;
	int r = shmt_broadcast_pop(&f->reader[reader], size, number, &message);

	if (r == SHMP_DONE) {
		ck_assert_uint_eq(message.flags, 0);
		ck_assert_uint_eq(message.lost, 0);
	}
	return r;
}

TEST(every_reader_gets_a_message_as_it_was_sent)
{
	struct fixture *f = make_small(false);

	for (uint32_t i = 0; i < 2; i++)
		ck_assert_int_eq(pop(f, i, 0, 0), SHMP_EMPTY);
	ck_assert_int_eq(push(f, 100, 1), SHMP_DONE);
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_int_eq(pop(f, i, 100, 1), SHMP_DONE);
		ck_assert_int_eq(pop(f, i, 0, 0), SHMP_EMPTY);
	}
	done(f);
}

TEST(all_readers_see_the_same_order_of_all_writers)
{
	struct fixture *f = make_small(false);
	struct shmp_broadcast_message message;

	for (uint64_t i = 0; i < 20; i++)
		ck_assert_int_eq(shmt_broadcast_push(&f->writer[i * i % 3 % 2], i, i), SHMP_DONE);
	for (uint32_t k = 0; k < 2; k++) {
		uint64_t next[2] = { 0 };

		for (uint64_t i = 0; i < 20; i++) {
			ck_assert_int_eq(shmt_broadcast_pop(&f->reader[k], i, i, &message),
					 SHMP_DONE);
			ck_assert_uint_eq(message.writer, i * i % 3 % 2);
			ck_assert_uint_eq(message.sequence, next[message.writer]++);
		}
	}
	done(f);
}

TEST(every_length_wraps_at_every_place)
{
	for (int mode = 0; mode < 4; mode++) {
		struct fixture *f = make(OPTIONS(.capacity = CAPACITY, .blocks = mode & 1,
						 .is_exclusive = mode & 2));

		for (uint64_t i = 0; i <= LONGEST + 200; i++) {
			uint64_t size = i % 5 ? i * 7 % 300 : i % (LONGEST + 1);

			ck_assert_int_eq(push(f, size, i), SHMP_DONE);
			ck_assert_int_eq(pop(f, 0, size, i), SHMP_DONE);
			ck_assert_int_eq(pop(f, 1, size, i), SHMP_DONE);
		}
		done(f);
	}
}

TEST(zero_length_is_a_message)
{
	struct fixture *f = make_small(true);

	ck_assert_int_eq(push(f, 0, 1), SHMP_DONE);
	ck_assert_int_eq(push(f, 0, 1), SHMP_DONE);
	ck_assert_int_eq(pop(f, 0, 0, 1), SHMP_DONE);
	ck_assert_int_eq(pop(f, 0, 0, 1), SHMP_DONE);
	ck_assert_int_eq(pop(f, 0, 0, 1), SHMP_EMPTY);
	done(f);
}

TEST(the_longest_goes_and_one_byte_more_is_refused)
{
	struct fixture *f = make_small(false);

	ck_assert_uint_eq(f->writer[0].ring.message_max, LONGEST);
	ck_assert_int_eq(push(f, LONGEST + 1, 1), SHMP_TOO_BIG);
	for (uint64_t i = 0; i < 40; i++) {
		ck_assert_int_eq(push(f, LONGEST, i), SHMP_DONE);
		ck_assert_int_eq(pop(f, 0, LONGEST, i), SHMP_DONE);
	}
	done(f);
}

TEST(a_buffer_too_small_leaves_the_message_and_says_its_length)
{
	struct fixture *f = make_small(false);
	struct shmp_broadcast_message message;
	uint8_t buffer[99];

	push(f, 100, 1);
	ck_assert_int_eq(shmp_broadcast_pop(&f->reader[0], buffer, 99, &message), SHMP_TOO_BIG);
	ck_assert_uint_eq(message.size, 100);
	ck_assert_int_eq(pop(f, 0, 100, 1), SHMP_DONE);
	done(f);
}

/* Block mode */

TEST(block_mode_waits_for_the_slowest_and_goes_on_when_it_reads)
{
	struct fixture *f = make_small(true);
	uint64_t sent = 0;

	while (push(f, 100, sent) == SHMP_DONE)
		sent++;
	ck_assert_uint_eq(sent, CAPACITY / 128);
	ck_assert_int_eq(shmt_broadcast_push(&f->writer[1], 0, 0), SHMP_FULL);
	ck_assert_int_eq(pop(f, 0, 100, 0), SHMP_DONE);
	ck_assert_int_eq(push(f, 100, sent), SHMP_FULL);
	ck_assert_int_eq(pop(f, 1, 100, 0), SHMP_DONE);
	ck_assert_int_eq(push(f, 100, sent), SHMP_DONE);
	ck_assert_int_eq(push(f, 100, sent), SHMP_FULL);
	for (uint32_t k = 0; k < 2; k++) {
		for (uint64_t i = 1; i <= sent; i++)
			ck_assert_int_eq(pop(f, k, 100, i), SHMP_DONE);
		ck_assert_int_eq(pop(f, k, 0, 0), SHMP_EMPTY);
	}
	done(f);
}

TEST(block_mode_waits_for_nobody_when_there_is_no_reader)
{
	struct fixture *f = make_small(true);

	for (uint32_t i = 0; i < 2; i++)
		shmt_place_vacate(&f->broadcast.segment, 3 + i, false, 1);
	for (uint64_t i = 0; i < 1000; i++)
		ck_assert_int_eq(push(f, i % 300, i), SHMP_DONE);
	done(f);
}

TEST(a_reader_that_leaves_holds_nobody)
{
	struct fixture *f = make_small(true);

	while (push(f, 100, 1) == SHMP_DONE)
		;
	shmt_place_vacate(&f->broadcast.segment, 3, false, 1);
	ck_assert_int_eq(push(f, 100, 1), SHMP_FULL);
	shmt_place_vacate(&f->broadcast.segment, 4, true, 2);
	ck_assert_int_eq(push(f, 100, 1), SHMP_DONE);
	done(f);
}

/* A record of just over half the ring, twice: the second needs the first one's bytes. */
TEST(more_than_half_the_ring_goes_twice_with_and_without_readers)
{
	for (int blocks = 0; blocks < 2; blocks++) {
		struct fixture *f = make_small(blocks);

		for (uint64_t i = 0; i < 10; i++) {
			ck_assert_int_eq(push(f, CAPACITY / 2 + 8, i), SHMP_DONE);
			if (blocks)
				ck_assert_int_eq(push(f, CAPACITY / 2 + 8, i), SHMP_FULL);
			for (uint32_t k = 0; k < 2; k++)
				ck_assert_int_eq(pop(f, k, CAPACITY / 2 + 8, i), SHMP_DONE);
		}
		for (uint32_t k = 0; k < 2; k++)
			shmt_place_vacate(&f->broadcast.segment, 3 + k, true, 1);
		for (uint64_t i = 0; i < 10; i++)
			ck_assert_int_eq(push(f, CAPACITY / 2 + 8, i), SHMP_DONE);
		done(f);
	}
}

TEST(a_reader_that_joins_in_block_mode_holds_writers_from_there_on)
{
	struct fixture *f = make_small(true);
	uint64_t sent = 0;

	for (uint32_t k = 0; k < 2; k++)
		shmt_place_vacate(&f->broadcast.segment, 3 + k, true, 1);
	for (int i = 0; i < 100; i++)
		push(f, 100, 7);
	shmt_broadcast_attach_reader(&f->broadcast, 0, NEWEST, 0, &f->reader[0]);
	while (push(f, 100, sent) == SHMP_DONE)
		sent++;
	ck_assert_uint_eq(sent, CAPACITY / 128);
	for (uint64_t i = 0; i < sent; i++)
		ck_assert_int_eq(pop(f, 0, 100, i), SHMP_DONE);
	done(f);
}

/* Overwrite mode */

/* Sends so many messages of 100 bytes, numbered by their sequence, writers in turn. */
static void send_in_turn(struct fixture *f, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct shmp_broadcast_writer *writer = &f->writer[i % 2];
		uint64_t sequence = atomic_load(&writer->self->items);

		ck_assert_int_eq(shmt_broadcast_push(writer, 100, 2 * sequence + i % 2), SHMP_DONE);
	}
}

/* Reads the next one, checks it by its sequence and writer; how many of it were lost before. */
static uint64_t read_any(struct fixture *f, uint32_t *ret_writer, uint64_t *ret_sequence)
{
	struct shmp_broadcast_message message;
	uint8_t buffer[100];
	int r = shmp_broadcast_pop(&f->reader[0], buffer, sizeof(buffer), &message);

	ck_assert_int_eq(r, SHMP_DONE);
	ck_assert(shmt_message_is(buffer, 100, 2 * message.sequence + message.writer));
	ck_assert_int_eq(message.lost != 0, (message.flags & SHMP_BROADCAST_LOST) != 0);
	*ret_writer = message.writer;
	*ret_sequence = message.sequence;
	return message.lost;
}

TEST(a_lapped_reader_learns_exactly_what_it_lost_of_each_writer)
{
	struct fixture *f = make_small(false);
	uint64_t next[2] = { 0 }, left[2] = { 0 }, lost = 0, sequence;
	uint32_t who;

	for (uint64_t round = 1; round < 50; round++) {
		send_in_turn(f, round * 7);
		while (f->reader[0].position < shmp_broadcast_load_tail(&f->reader[0].ring) >> 8) {
			uint64_t gap = read_any(f, &who, &sequence);

			ck_assert_uint_eq(sequence, next[who] + gap);
			next[who] = sequence + 1;
			lost += gap;
			left[who]++;
		}
		for (who = 0; who < 2; who++)
			ck_assert_uint_eq(next[who], atomic_load(&f->writer[who].self->items));
	}
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_eq(lost, f->reader[0].lost[0] + f->reader[0].lost[1]);
	ck_assert_uint_eq(next[0] + next[1], left[0] + left[1] + lost);
	ck_assert_uint_eq(shmt_broadcast_figure(&f->broadcast, "lost_messages"), lost);
	done(f);
}

TEST(a_lapped_reader_goes_on_within_a_sixteenth_of_the_oldest)
{
	struct fixture *f = make_small(false);
	uint64_t sequence, lost;
	uint32_t who;

	for (uint64_t count = 33; count < 200; count++) {
		send_in_turn(f, count);
		lost = read_any(f, &who, &sequence);
		(void)lost;
		/* a ring of 32 messages, two in each sixteenth */
		ck_assert_uint_ge((shmp_broadcast_load_tail(&f->reader[0].ring) >> 8) -
					  (f->reader[0].position - 8),
				  30 * 8);
		while (f->reader[0].position < shmp_broadcast_load_tail(&f->reader[0].ring) >> 8)
			read_any(f, &who, &sequence);
	}
	done(f);
}

TEST(what_is_lost_is_known_at_once_when_asked_for)
{
	struct fixture *f = make_small(false);
	uint64_t lost[SHMP_ENDPOINTS_MAX];

	send_in_turn(f, 200);
	for (uint64_t i = 0; i < 300; i++)
		ck_assert_int_eq(shmt_broadcast_push(&f->writer[1], 100, 2 * (100 + i) + 1),
				 SHMP_DONE);
	ck_assert_int_eq(shmp_broadcast_count_lost(&f->reader[0], lost), SHMP_DONE);
	ck_assert_uint_eq(lost[0], 100); /* all: it sent nothing since */
	ck_assert_uint_ge(lost[1], 400 - 32);
	ck_assert_uint_le(lost[1], 400 - 30);
	ck_assert_uint_eq(lost[2], 0);
	ck_assert_uint_eq(f->reader[0].position, 0);
	done(f);
}

TEST(what_is_peeked_at_and_overwritten_is_worth_nothing)
{
	struct fixture *f = make_small(false);
	struct shmp_broadcast_message message;
	uint64_t sequence;
	uint32_t who;

	send_in_turn(f, 10);
	ck_assert_int_eq(shmp_broadcast_peek(&f->reader[0], &message), SHMP_DONE);
	ck_assert(shmt_message_is(message.data, 100, 0));
	ck_assert_int_eq(shmp_broadcast_release(&f->reader[0], &message), SHMP_DONE);
	ck_assert_int_eq(shmp_broadcast_peek(&f->reader[0], &message), SHMP_DONE);
	send_in_turn(f, 100);
	ck_assert_int_eq(shmp_broadcast_release(&f->reader[0], &message), SHMP_EMPTY);
	ck_assert_uint_gt(read_any(f, &who, &sequence), 0);
	done(f);
}

TEST(a_reader_that_is_not_lapped_is_not_told_so)
{
	struct fixture *f = make_small(false);

	send_in_turn(f, CAPACITY / 128);
	for (uint64_t i = 0; i < CAPACITY / 128; i++) {
		uint64_t sequence;
		uint32_t who;

		ck_assert_uint_eq(read_any(f, &who, &sequence), 0);
		ck_assert_uint_eq(2 * sequence + who, i);
	}
	ck_assert_uint_eq(f->reader[0].laps, 0);
	done(f);
}

/* From where */

TEST(late_readers_begin_at_the_oldest_the_newest_or_a_position)
{
	struct fixture *f = make_small(false);
	struct shmp_broadcast_message message;
	uint64_t position;

	for (uint64_t i = 0; i < 5; i++)
		push(f, 8, i);
	for (uint64_t i = 0; i < 3; i++)
		ck_assert_int_eq(shmt_broadcast_pop(&f->reader[0], 8, i, &message), SHMP_DONE);
	position = message.position;
	shmt_broadcast_attach_reader(&f->broadcast, 2, NEWEST, 0, &f->reader[2]);
	ck_assert_int_eq(pop(f, 2, 0, 0), SHMP_EMPTY);
	push(f, 8, 5);
	ck_assert_int_eq(pop(f, 2, 8, 5), SHMP_DONE);
	shmt_place_vacate(&f->broadcast.segment, 5, false, 1);
	shmt_broadcast_attach_reader(&f->broadcast, 2, POSITION, position, &f->reader[2]);
	for (uint64_t i = 3; i < 6; i++)
		ck_assert_int_eq(pop(f, 2, 8, i), SHMP_DONE);
	shmt_place_vacate(&f->broadcast.segment, 5, false, 1);
	shmt_broadcast_attach_reader(&f->broadcast, 2, OLDEST, 0, &f->reader[2]);
	for (uint64_t i = 0; i < 6; i++)
		ck_assert_int_eq(pop(f, 2, 8, i), SHMP_DONE);
	done(f);
}

TEST(the_oldest_is_within_a_sixteenth_of_a_lap_behind)
{
	for (int blocks = 0; blocks < 2; blocks++) {
		struct fixture *f = make_small(blocks);
		uint64_t tail;

		for (uint32_t k = 0; k < 2; k++)
			shmt_place_vacate(&f->broadcast.segment, 3 + k, false, 1);
		for (uint64_t i = 0; i < 500; i++) {
			push(f, i * 13 % 90, i);
			shmt_broadcast_attach_reader(&f->broadcast, 0, OLDEST, 0, &f->reader[0]);
			tail = shmp_broadcast_load_tail(&f->writer[0].ring) >> 8;
			if (tail > 256)
				ck_assert_uint_ge(tail - f->reader[0].position, 256 - 16 - 8);
			else
				ck_assert_uint_eq(f->reader[0].position, 0);
			ck_assert_uint_le(tail - f->reader[0].position, 256);
			for (uint64_t at = 0; f->reader[0].position < tail; at++) {
				struct shmp_broadcast_message message;

				ck_assert_int_eq(shmp_broadcast_peek(&f->reader[0], &message),
						 SHMP_DONE);
				ck_assert_uint_eq(message.size, message.sequence * 13 % 90);
				shmp_broadcast_release(&f->reader[0], &message);
			}
			shmt_place_vacate(&f->broadcast.segment, 3, false, 1);
		}
		done(f);
	}
}

TEST(a_position_where_no_message_begins_is_refused)
{
	struct fixture *f = make_small(false);
	static struct shmp_broadcast_reader reader;

	push(f, 100, 1);
	shmt_place_assign(&f->broadcast.segment, 5);
	for (uint64_t position = 1; position < 20; position++) {
		int r = shmp_broadcast_attach_reader(&f->broadcast.reader_map, 5, POSITION,
						     position, &reader);

		ck_assert_int_eq(r, position == 8 ? 0 : -EINVAL);
	}
	for (int i = 0; i < 100; i++)
		push(f, 100, 1);
	/* one that was overwritten is none of these: it goes on, and says that it lost some */
	ck_assert_int_eq(
		shmp_broadcast_attach_reader(&f->broadcast.reader_map, 5, POSITION, 8, &reader), 0);
	ck_assert(reader.has_skipped);
	done(f);
}

TEST(who_is_lapped_before_its_first_message_is_told_so)
{
	struct fixture *f = make_small(false);
	static struct shmp_broadcast_reader reader;
	struct shmp_broadcast_message message;
	uint8_t bytes[200];

	push(f, 100, 1);
	shmt_place_assign(&f->broadcast.segment, 5);
	ck_assert_int_eq(
		shmp_broadcast_attach_reader(&f->broadcast.reader_map, 5, POSITION, 8, &reader), 0);
	ck_assert(!reader.has_skipped);
	for (int i = 0; i < 100; i++)
		push(f, 100, 1);
	ck_assert_int_eq(shmp_broadcast_pop(&reader, bytes, sizeof(bytes), &message), SHMP_DONE);
	ck_assert_uint_gt(message.sequence, 1);
	ck_assert_uint_eq(message.flags, SHMP_BROADCAST_LOST);
	ck_assert_uint_eq(message.lost, 0); /* of how many nobody knows */
	ck_assert_int_eq(shmp_broadcast_pop(&reader, bytes, sizeof(bytes), &message), SHMP_DONE);
	ck_assert_uint_eq(message.flags, 0);
	done(f);
}

/* @lead messages are there before it joins; then as many come as there is room for. */
static void join_far_behind(uint64_t lead)
{
	struct fixture *f = make_small(true);
	static struct shmp_broadcast_reader reader;
	struct shmp_broadcast_message message;
	uint64_t number = 1, first = 0, bytes;

	for (uint32_t k = 0; k < 2; k++)
		shmt_place_vacate(&f->broadcast.segment, 3 + k, false, 1);
	for (uint64_t i = 0; i < lead; i++)
		push(f, 8, number++);
	shmt_place_assign(&f->broadcast.segment, 5);
	ck_assert_int_eq(
		shmp_broadcast_attach_reader(&f->broadcast.reader_map, 5, POSITION, 0, &reader), 0);
	first = number;
	while (shmt_broadcast_push(&f->writer[0], 8, number) == SHMP_DONE)
		number++;
	ck_assert_int_eq(shmp_broadcast_pop(&reader, &bytes, sizeof(bytes), &message), SHMP_DONE);
	ck_assert_uint_eq(message.flags, SHMP_BROADCAST_LOST);
	ck_assert_uint_le(message.sequence + 1, first);
	for (uint64_t sequence = message.sequence + 1; sequence < number - 1; sequence++) {
		ck_assert_int_eq(shmp_broadcast_pop(&reader, &bytes, sizeof(bytes), &message),
				 SHMP_DONE);
		ck_assert_uint_eq(message.sequence, sequence);
		ck_assert_uint_eq(message.flags, 0);
	}
	done(f);
}

TEST(nothing_that_comes_after_a_reader_joined_is_lost_where_writers_wait)
{
	for (uint64_t lead = 1; lead < 40; lead++)
		join_far_behind(lead);
}

/* The exclusive writer */

TEST(an_exclusive_writer_writes_in_place_any_part_of_what_it_reserved)
{
	for (int blocks = 0; blocks < 2; blocks++) {
		struct fixture *f =
			make(OPTIONS(.capacity = CAPACITY, .is_exclusive = true, .blocks = blocks));
		struct shmp_broadcast_writer *writer = &f->writer[0];
		uint64_t sent = 0;
		uint8_t *room;

		for (uint64_t i = 0; i < 1000; i++) {
			uint64_t size = i * 11 % 200, used = i * 5 % (size + 1);

			ck_assert_int_eq(shmp_broadcast_reserve(writer, size, &room), SHMP_DONE);
			shmt_message_fill(room, used, i);
			for (uint32_t k = 0; k < 2; k++)
				ck_assert_int_eq(pop(f, k, 0, 0), SHMP_EMPTY);
			if (i % 7 == 0) {
				shmp_broadcast_abort(writer);
				continue;
			}
			shmp_broadcast_commit(writer, used);
			sent++;
			for (uint32_t k = 0; k < 2; k++)
				ck_assert_int_eq(pop(f, k, used, i), SHMP_DONE);
		}
		ck_assert_uint_eq(atomic_load(&writer->self->items), sent);
		done(f);
	}
}

/* Sequence and hints */

TEST(a_writer_goes_on_counting_where_the_last_one_in_its_place_stopped)
{
	struct fixture *f = make_small(false);
	struct shmp_broadcast_message message;

	push(f, 8, 0);
	shmt_broadcast_pop(&f->reader[0], 8, 0, &message);
	shmt_place_vacate(&f->broadcast.segment, 0, false, 1);
	shmt_broadcast_attach_writer(&f->broadcast, 0, &f->writer[0]);
	push(f, 8, 1);
	ck_assert_int_eq(shmt_broadcast_pop(&f->reader[0], 8, 1, &message), SHMP_DONE);
	ck_assert_uint_eq(message.sequence, 1);
	ck_assert_uint_eq(message.flags, 0);
	done(f);
}

TEST(an_older_message_with_the_bytes_of_a_header_is_none)
{
	struct fixture *f = make_small(false);
	uint64_t forged[3] = { 0 };

	/* the payload says what a header of the next lap would, but for the secret */
	forged[0] = CAPACITY / 16 + 2;
	ck_assert_int_eq(shmp_broadcast_push(&f->writer[0], forged, sizeof(forged)), SHMP_DONE);
	for (uint64_t i = 0; i < 60; i++) {
		uint8_t buffer[64];
		struct shmp_broadcast_message message;

		ck_assert_int_eq(shmp_broadcast_pop(&f->reader[0], buffer, 64, &message),
				 SHMP_DONE);
		ck_assert_int_eq(shmp_broadcast_pop(&f->reader[0], buffer, 64, &message),
				 SHMP_EMPTY);
		ck_assert_int_eq(push(f, 40, i), SHMP_DONE);
	}
	done(f);
}

TEST(those_who_wait_are_told_and_nobody_else)
{
	struct fixture *f = make_small(true);
	struct shmp_broadcast *ring = &f->writer[0].ring;

	ck_assert(!shmp_broadcast_readers_wait(ring) && !shmp_broadcast_writers_wait(ring));
	shmp_waiter_prepare(&ring->control->not_empty, f->reader[1].self, f->reader[1].endpoint,
			    false);
	ck_assert(shmp_broadcast_readers_wait(ring) && !shmp_broadcast_writers_wait(ring));
	ck_assert(shmp_broadcast_kind.waits(&f->broadcast.segment.map, f->reader[1].endpoint));
	shmp_broadcast_tell_readers(&f->writer[0], NULL, NULL);
	ck_assert_uint_eq(atomic_load(&ring->control->not_empty.sequence), 1);
	shmp_waiter_prepare(&ring->control->not_full, f->writer[1].self, 1, false);
	ck_assert(shmp_broadcast_writers_wait(ring));
	shmp_broadcast_tell_writers(ring, &f->reader[0].telling_writers, f->reader[0].ringing, NULL,
				    NULL);
	ck_assert_uint_eq(atomic_load(&ring->control->not_full.sequence), 1);
	done(f);
}

TEST(figures_name_the_slowest_and_who_holds_up_the_others)
{
	struct fixture *f = make(OPTIONS(.capacity = CAPACITY, .is_exclusive = true));
	uint8_t *room;

	push(f, 100, 1);
	push(f, 100, 2);
	pop(f, 0, 100, 1);
	ck_assert_uint_eq(shmt_broadcast_figure(&f->broadcast, "sent_messages"), 2);
	ck_assert_uint_eq(shmt_broadcast_figure(&f->broadcast, "received_messages"), 1);
	ck_assert_uint_eq(shmt_broadcast_figure(&f->broadcast, "slowest_reader_endpoint"), 2);
	ck_assert_uint_eq(shmt_broadcast_figure(&f->broadcast, "slowest_reader_behind_bytes"), 256);
	ck_assert_uint_eq(shmt_broadcast_figure(&f->broadcast, "unpublished_by_endpoint"),
			  UINT64_MAX);
	shmp_broadcast_reserve(&f->writer[0], 10, &room);
	ck_assert_uint_eq(shmt_broadcast_figure(&f->broadcast, "unpublished_by_endpoint"), 0);
	done(f);
}

TEST(plans_that_cannot_be_had_are_refused_by_the_option)
{
	static const struct {
		uint64_t option[SHMP_OPTIONS_MAX];
		int r;
	} rows[] = {
		{ { 4096, 3816, 1, 1, 0, 1 }, 0 },
		{ { 4096, 3817, 1, 1, 0, 1 }, SHMP_BROADCAST_MESSAGE_BYTES_MAX + 1 },
		{ { 4097, 3817, 1, 1, 0, 1 }, 0 },
		{ { 4096, 0, 2, 1, 0, 1 }, SHMP_BROADCAST_WRITERS_MAX + 1 },
		{ { 4096, 0, 0, 254, 0, 1 }, 0 },
		{ { 4096, 0, 2, 254, 0, 0 }, SHMP_BROADCAST_READERS_MAX + 1 },
		{ { 4096, 0, 1, 254, 1, 0 }, 0 },
	};
	struct shmp_plan plan;
	const char *why;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_int_eq(shmp_broadcast_kind.plan(rows[i].option, &plan, &why), rows[i].r);
}

SHMT_MAIN
