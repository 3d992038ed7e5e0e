/* Several messages of a broadcast by one claim. */
#include "protocol/broadcast.h"

#include <string.h>

#include "tests/support/broadcast.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

enum {
	CAPACITY = 4096,
	PIECES = 64,
};

struct fixture {
	struct shmt_broadcast broadcast;
	struct shmp_broadcast_writer writer[2];
	struct shmp_broadcast_reader reader;
	struct shmp_broadcast_piece piece[PIECES];
	uint8_t payload[PIECES][CAPACITY];
};

static struct fixture *make(bool is_exclusive)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint64_t writers = is_exclusive ? 1 : 2;

	shmt_broadcast_make(&f->broadcast,
			    &(const struct shmt_broadcast_options){ .capacity = CAPACITY,
								    .writers = writers,
								    .readers = 2,
								    .blocks = true,
								    .is_exclusive = is_exclusive });
	for (uint32_t i = 0; i < writers; i++)
		shmt_broadcast_attach_writer(&f->broadcast, i, &f->writer[i]);
	shmt_broadcast_attach_reader(&f->broadcast, 0, SHMP_BROADCAST_FROM_OLDEST, 0, &f->reader);
	return f;
}

static void done(struct fixture *f)
{
	shmt_broadcast_free(&f->broadcast);
	free(f);
}

/* Message @number of the batch, which is its place in it, too. */
static void compose(struct fixture *f, uint64_t number, uint64_t size)
{
	shmt_message_fill(f->payload[number], size, number);
	f->piece[number] = (struct shmp_broadcast_piece){ f->payload[number], size };
}

static int send(struct fixture *f, uint64_t count, uint64_t *ret_sent)
{
	return shmp_broadcast_push_pieces(&f->writer[0], f->piece, count, ret_sent);
}

static void receive(struct fixture *f, uint64_t number, uint64_t sequence)
{
	struct shmp_broadcast_message message;

	ck_assert_int_eq(shmt_broadcast_pop(&f->reader, f->piece[number].size, number, &message),
			 SHMP_DONE);
	ck_assert_uint_eq(message.sequence, sequence);
	ck_assert_uint_eq(message.flags, 0);
}

TEST(a_batch_arrives_in_its_order_wherever_it_lies)
{
	for (int is_exclusive = 0; is_exclusive < 2; is_exclusive++) {
		struct fixture *f = make(is_exclusive);
		uint64_t sent, sequence = 0;

		for (uint64_t round = 0; round < 300; round++) {
			uint64_t count = 1 + round % 5;

			for (uint64_t i = 0; i < count; i++)
				compose(f, i, (round * 7 + i * 31) % 150);
			ck_assert_int_eq(send(f, count, &sent), SHMP_DONE);
			ck_assert_uint_eq(sent, count);
			for (uint64_t i = 0; i < count; i++)
				receive(f, i, sequence++);
			ck_assert_int_eq(shmt_broadcast_pop(&f->reader, 0, 0, NULL), SHMP_EMPTY);
		}
		ck_assert_uint_eq(atomic_load(&f->writer[0].self->items), sequence);
		done(f);
	}
}

TEST(a_batch_is_one_claim)
{
	struct fixture *f = make(false);
	uint64_t before, sent;

	for (uint64_t i = 0; i < 4; i++)
		compose(f, i, 40);
	before = shmp_broadcast_load_tail(&f->writer[0].ring) >> 8;
	ck_assert_int_eq(send(f, 4, &sent), SHMP_DONE);
	ck_assert_uint_eq(shmp_broadcast_load_tail(&f->writer[0].ring) >> 8,
			  before + 4 * shmp_broadcast_need(40));
	done(f);
}

TEST(a_batch_goes_as_far_as_there_is_room)
{
	struct fixture *f = make(false);
	uint64_t sent, all = 0;

	for (uint64_t i = 0; i < PIECES; i++)
		compose(f, i, 104);
	while (send(f, PIECES - all, &sent) == SHMP_DONE)
		all += sent;
	ck_assert_uint_eq(all, CAPACITY / 128);
	receive(f, 0, 0);
	ck_assert_int_eq(send(f, 3, &sent), SHMP_DONE);
	ck_assert_uint_eq(sent, 1);
	ck_assert_int_eq(send(f, 3, &sent), SHMP_FULL);
	done(f);
}

TEST(what_is_too_long_ends_a_batch_or_is_refused)
{
	struct fixture *f = make(false);
	uint64_t sent = 77;

	compose(f, 0, 8);
	compose(f, 1, CAPACITY);
	ck_assert_int_eq(send(f, 2, &sent), SHMP_DONE);
	ck_assert_uint_eq(sent, 1);
	f->piece[0] = f->piece[1];
	sent = 77;
	ck_assert_int_eq(send(f, 2, &sent), SHMP_TOO_BIG);
	ck_assert_uint_eq(sent, 77);
	done(f);
}

TEST(a_long_message_is_a_batch_of_one)
{
	struct fixture *f = make(false);
	uint64_t sent;

	compose(f, 0, 3000);
	compose(f, 1, 8);
	ck_assert_int_eq(send(f, 2, &sent), SHMP_DONE);
	ck_assert_uint_eq(sent, 1);
	receive(f, 0, 0);
	done(f);
}

/* Of three messages of 40 bytes the first is there: who noted where it ends may join there. */
TEST(readers_join_within_a_batch_that_is_not_finished)
{
	struct fixture *f = make(false);
	uint64_t need = shmp_broadcast_need(40), tail, at;
	struct shmp_broadcast_reader *late = calloc(1, sizeof(*late));

	ck_assert_int_eq(shmt_broadcast_push(&f->writer[0], 8, 1), SHMP_DONE);
	ck_assert_int_eq(shmp_broadcast_take(&f->writer[0], 3 * need, &tail), SHMP_DONE);
	at = tail >> 8;
	shmp_broadcast_publish(&f->writer[0].ring, at, need,
			       shmp_broadcast_about(40, 0, tail & 0xff, 0), 1);
	for (uint64_t i = 0; i < 3 * need; i++) {
		int expected = i == 0 || i == need ? 0 : -EINVAL;

		shmt_place_assign(&f->broadcast.segment, 3);
		memset(late, 0, sizeof(*late));
		ck_assert_int_eq(shmp_broadcast_attach_reader(&f->broadcast.reader_map, 3,
							      SHMP_BROADCAST_FROM_POSITION, at + i,
							      late),
				 expected);
		shmt_place_vacate(&f->broadcast.segment, 3, false, 1);
	}
	free(late);
	done(f);
}

TEST(what_a_dead_one_has_published_of_a_batch_stays)
{
	for (uint64_t published = 0; published <= 3; published++) {
		struct fixture *f = make(false);
		uint64_t need = shmp_broadcast_need(40), tail, prev;

		ck_assert_int_eq(shmp_broadcast_take(&f->writer[0], 3 * need, &tail), SHMP_DONE);
		compose(f, 5, 20);
		ck_assert_int_eq(shmt_broadcast_push(&f->writer[1], 20, 5), SHMP_DONE);
		prev = tail & 0xff;
		for (uint64_t i = 0; i < published; i++) {
			uint64_t at = (tail >> 8) + i * need;

			compose(f, i, 40);
			memcpy(shmp_broadcast_payload(&f->writer[0].ring, at), f->payload[i], 40);
			shmp_broadcast_publish(&f->writer[0].ring, at, need,
					       shmp_broadcast_about(40, 0, prev, 0), i);
			prev = 1;
		}
		shmt_place_vacate(&f->broadcast.segment, 0, true, 2);
		for (uint64_t i = 0; i < published; i++)
			receive(f, i, i);
		receive(f, 5, 0);
		shmt_broadcast_attach_writer(&f->broadcast, 0, &f->writer[0]);
		compose(f, 0, 60);
		ck_assert_int_eq(shmt_broadcast_push(&f->writer[0], 60, 0), SHMP_DONE);
		receive(f, 0, published);
		done(f);
	}
}

SHMT_MAIN
