/*
 * A host and a client, threads of one process, as fast as they can: both directions at once, every
 * byte checked; and one of them over and over again, dying or leaving with what it likes, while the
 * other one must tell every life from the next. In one mapping, where the thread sanitizer sees both
 * sides touch the same addresses, and in two.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/pipe.h"
#include "tests/support/random.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

enum {
	MESSAGES = 200000,
	LIVES = 3000,
	SHORT = 120,
};

static struct shmt_pipe pipe;

static void make(bool shares)
{
	shmt_pipe_make(&pipe);
	if (!shares)
		return;
	/* one mapping for both, and one address of each byte */
	for (uint32_t role = 0; role < 2; role++) {
		shmp_segment_unmap(&pipe.map[role]);
		pipe.map[role] = pipe.segment.map;
		pipe.map[role].read_data = NULL;
	}
}

static void unmake(bool shares)
{
	if (shares)
		memset(pipe.map, 0, sizeof(pipe.map));
	shmt_pipe_free(&pipe);
}

static uint64_t size_of(uint64_t number)
{
	struct shmt_random random = { number };

	return shmt_random_below(&random, number % 64 == 0 ? SHMT_PIPE_LONGEST : SHORT);
}

/* Sends and receives what there is room and time for. */
static void *talk(void *context)
{
	uint32_t role = *(const uint32_t *)context;
	uint64_t total = MESSAGES / shmt_scaled(1), sent = 0, got = 0;

	while (sent < total || got < total) {
		bool has_moved = false;
		int r = SHMP_FULL;

		while (sent < total &&
		       (r = shmt_pipe_send(&pipe, role, size_of(sent), sent)) == SHMP_DONE) {
			sent++;
			has_moved = true;
		}
		SHMT_REQUIRE(sent == total || r == SHMP_FULL);
		while (got < total &&
		       (r = shmt_pipe_receive(&pipe, role, size_of(got), got, NULL)) == SHMP_DONE) {
			got++;
			has_moved = true;
		}
		SHMT_REQUIRE(got == total || r == SHMP_EMPTY);
		if (!has_moved)
			sched_yield();
	}
	return NULL;
}

TEST(both_directions_at_once, .rounds = 2, .timeout_s = 60)
{
	static const uint32_t roles[2] = { SHMP_PIPE_HOST, SHMP_PIPE_CLIENT };
	pthread_t threads[2];

	make(_i);
	shmt_pipe_come(&pipe, SHMP_PIPE_HOST);
	shmt_pipe_come(&pipe, SHMP_PIPE_CLIENT);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, talk, (void *)&roles[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t role = 0; role < 2; role++)
		ck_assert_int_eq(shmt_pipe_receive(&pipe, role, 0, 0, NULL), SHMP_EMPTY);
	unmake(_i);
}

/* What one life has sent is said ahead of its end. */
static struct {
	uint32_t role; /* of who comes and goes */
	uint64_t lives;
	_Atomic uint64_t sent[LIVES + 1];
} series;

/* Life and number within it, in a message of the length that both give. */
static int send_of(uint32_t role, uint64_t life, uint64_t number)
{
	uint64_t words[16] = { life, number };

	return shmp_pipe_push(&pipe.side[role], words, 16);
}

static void *live_often(void *context)
{
	struct shmt_random random = { shmt_seed() };
	uint32_t role = series.role;
	uint8_t buffer[SHMT_PIPE_LONGEST];
	struct shmp_spsc_message message;

	for (uint64_t life = 1; life <= series.lives; life++) {
		uint64_t wanted = shmt_random_below(&random, 40), sent = 0;
		bool died = shmt_random_below(&random, 2);

		shmt_pipe_come(&pipe, role);
		while (sent < wanted && send_of(role, life, sent) == SHMP_DONE)
			sent++;
		while (shmt_random_below(&random, 4) != 0)
			shmp_pipe_pop(&pipe.side[role], buffer, sizeof(buffer), &message);
		atomic_store(&series.sent[life], sent);
		shmt_pipe_go(&pipe, role, died);
		if (shmt_random_below(&random, 3) == 0)
			sched_yield();
	}
	return context;
}

/*
 * Receives until it is told of the end of the last life. Of a life that it hears of it hears all, from
 * the first message on; a host hears of every one that had something to say. How much it was.
 */
static uint64_t outlive(uint32_t role)
{
	struct shmp_pipe *self = &pipe.side[role];
	struct shmp_spsc_message message;
	uint64_t words[16], life = 0, next = 0, heard = 0;

	for (;;) {
		int r = shmp_pipe_pop(self, words, sizeof(words), &message);

		if (r == SHMP_DONE) {
			if (next == 0)
				life = words[0];
			SHMT_REQUIRE(words[0] == life && words[1] == next++);
			heard++;
			if (life % 3 == 0)
				shmp_pipe_push(self, words, 16);
		} else if (r == SHMP_EMPTY) {
			sched_yield();
		} else {
			SHMT_REQUIRE(r == SHMP_PEER_DEAD || r == SHMP_PEER_LEFT);
			SHMT_REQUIRE(life == 0 || next == 0 || series.sent[life] == next);
			next = 0;
			life = self->peer > life ? self->peer : life;
			if (life == series.lives)
				return heard;
			while ((r = shmp_pipe_meet(self)) == SHMP_EMPTY &&
			       shmp_endpoint_incarnation(self->place) < series.lives)
				sched_yield();
			SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY);
			if (r == SHMP_EMPTY && shmp_pipe_meet(self) == SHMP_EMPTY)
				return heard; /* the last one came for nothing */
		}
	}
}

TEST(every_life_is_told_from_the_next, .rounds = 4, .timeout_s = 60)
{
	bool shares = _i % 2;
	uint32_t role = _i / 2 ? SHMP_PIPE_HOST : SHMP_PIPE_CLIENT;
	uint64_t heard, sent = 0;
	pthread_t thread;

	series.role = role;
	series.lives = LIVES / shmt_scaled(1);
	make(shares);
	shmt_pipe_come(&pipe, 1 - role);
	ck_assert_int_eq(pthread_create(&thread, NULL, live_often, NULL), 0);
	heard = outlive(1 - role);
	pthread_join(thread, NULL);
	for (uint64_t life = 1; life <= series.lives; life++)
		sent += series.sent[life];
	ck_assert_uint_le(heard, sent);
	if (role == SHMP_PIPE_CLIENT)
		ck_assert_uint_eq(heard, sent);
	printf("# heard %lu of %lu messages\n", heard, sent);
	unmake(shares);
}

SHMT_MAIN
