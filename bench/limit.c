/* limit: see limit.h. */
#include "bench/limit.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINE	  64u
#define LINES_MAX 4

/* ---- ping-pong ------------------------------------------------------------------------------- */

struct table {
	_Alignas(4096) struct {
		_Atomic uint64_t flag; /* number of the message */
		uint8_t payload[LINES_MAX * LINE - 8];
	} message[2]; /* to side 1, to side 0 */
	uint64_t round[2];
};

static void make_table(struct bench_contender *self)
{
	self->shared = bench_shared_new(sizeof(struct table));
}

static void unmake_table(struct bench_contender *self)
{
	self->shared = bench_shared_free(self->shared, sizeof(struct table));
}

static inline void pingpong(struct bench_contender *self, unsigned side, uint64_t count,
			    struct bench_pieces *pieces, const uint64_t bytes, const unsigned ahead)
{
	struct table *table = self->shared;
	uint64_t words[LINES_MAX * LINE / 8] = { 0 };
	uint64_t round = table->round[side];

	if (pieces != NULL)
		bench_pieces_start(pieces);
	for (uint64_t end = round + count; round < end;) {
		round++;
		if (side == 0) {
			words[0] = words[bytes / 8 - 1] = round;
			memcpy(table->message[0].payload, words, bytes);
			atomic_store_explicit(&table->message[0].flag, round, memory_order_release);
		}
		while (atomic_load_explicit(&table->message[!side].flag, memory_order_acquire) !=
		       round) {
			for (unsigned i = 1; i <= ahead; i++)
				__builtin_prefetch((uint8_t *)&table->message[!side] + i * LINE);
			bench_pause();
		}
		memcpy(words, table->message[!side].payload, bytes);
		if (words[0] != round || words[bytes / 8 - 1] != round)
			bench_die("ping-pong: a wrong message");
		if (side == 1) {
			memcpy(table->message[1].payload, words, bytes);
			atomic_store_explicit(&table->message[1].flag, round, memory_order_release);
		}
		if (pieces != NULL)
			bench_pieces_next(pieces);
	}
	table->round[side] = round;
}

typedef void (*run_fn)(struct bench_contender *, unsigned, uint64_t, struct bench_pieces *);

/* Lines and how many of them are asked for ahead are constants. */
#define PINGPONG(name, bytes, ahead)                                                  \
	static void name(struct bench_contender *self, unsigned side, uint64_t count, \
			 struct bench_pieces *pieces)                                 \
	{                                                                             \
		pingpong(self, side, count, pieces, bytes, ahead);                    \
	}

PINGPONG(pingpong_1, 8, 0)
PINGPONG(pingpong_2, 64, 0)
PINGPONG(pingpong_3, 128, 0)
PINGPONG(pingpong_2_ahead, 64, 1)
PINGPONG(pingpong_3_ahead, 128, 2)

struct bench_contender bench_limit_pingpong(unsigned lines, bool ahead)
{
	static const char *const name[] = { "ping-pong of one line", "ping-pong of two lines",
					    "ping-pong of three lines" };
	static const run_fn run[][2] = { { pingpong_1, pingpong_1 },
					 { pingpong_2, pingpong_2_ahead },
					 { pingpong_3, pingpong_3_ahead } };

	return (struct bench_contender){
		.name = name[lines - 1],
		.piece = 1,
		.make = make_table,
		.run = run[lines - 1][ahead],
		.unmake = unmake_table,
	};
}

/* ---- futex ----------------------------------------------------------------------------------- */

struct bells {
	_Alignas(64) _Atomic uint32_t rung[2]; /* one line: a flag in each direction */
	_Alignas(64) uint32_t round[2];
};

static void make_bells(struct bench_contender *self)
{
	self->shared = bench_shared_new(sizeof(struct bells));
}

static void unmake_bells(struct bench_contender *self)
{
	self->shared = bench_shared_free(self->shared, sizeof(struct bells));
}

static void ring(_Atomic uint32_t *bell, uint32_t round)
{
	atomic_store_explicit(bell, round, memory_order_release);
	syscall(SYS_futex, bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void hear(_Atomic uint32_t *bell, uint32_t round)
{
	while (atomic_load_explicit(bell, memory_order_acquire) != round)
		syscall(SYS_futex, bell, FUTEX_WAIT, round - 1, NULL, NULL, 0);
}

static void futex_run(struct bench_contender *self, unsigned side, uint64_t count,
		      struct bench_pieces *pieces)
{
	struct bells *bells = self->shared;
	uint32_t round = bells->round[side];

	if (pieces != NULL)
		bench_pieces_start(pieces);
	for (uint64_t i = 0; i < count; i++) {
		round++;
		if (side == 0)
			ring(&bells->rung[0], round);
		hear(&bells->rung[!side], round);
		if (side == 1)
			ring(&bells->rung[1], round);
		if (pieces != NULL)
			bench_pieces_next(pieces);
	}
	bells->round[side] = round;
}

struct bench_contender bench_limit_futex(void)
{
	return (struct bench_contender){
		.name = "futex",
		.piece = 1,
		.make = make_bells,
		.run = futex_run,
		.unmake = unmake_bells,
	};
}

/* ---- copy ------------------------------------------------------------------------------------ */

struct belt {
	_Alignas(64) uint64_t next[2];
	_Alignas(4096) uint8_t bytes[]; /* flags, a line each, then the chunks */
};

static uint64_t belt_bytes(const struct bench_copy *copy)
{
	return sizeof(struct belt) + copy->chunks * (LINE + copy->bytes);
}

static void make_belt(struct bench_contender *self)
{
	self->shared = bench_shared_new(belt_bytes(self->argument));
}

static void unmake_belt(struct bench_contender *self)
{
	self->shared = bench_shared_free(self->shared, belt_bytes(self->argument));
}

static void open_belt(struct bench_contender *self, unsigned side)
{
	const struct bench_copy *copy = self->argument;

	(void)side;
	self->own = aligned_alloc(4096, copy->bytes);
	if (self->own == NULL)
		bench_die("out of memory");
	memset(self->own, 1, copy->bytes);
}

static void close_belt(struct bench_contender *self, unsigned side)
{
	(void)side;
	free(self->own);
}

/* The flag of a chunk counts its fillings and emptyings: even = empty. */
static void copy_run(struct bench_contender *self, unsigned side, uint64_t count,
		     struct bench_pieces *pieces)
{
	const struct bench_copy *copy = self->argument;
	struct belt *belt = self->shared;
	uint8_t *chunks = belt->bytes + copy->chunks * LINE;
	uint64_t *own = self->own;
	uint64_t last = copy->bytes / 8 - 1;
	uint64_t at = belt->next[side];

	if (pieces != NULL)
		bench_pieces_start(pieces);
	for (uint64_t end = at + count; at < end;) {
		uint64_t lap = at / copy->chunks, chunk = at % copy->chunks;
		_Atomic uint64_t *flag = (_Atomic uint64_t *)(void *)(belt->bytes + chunk * LINE);
		uint8_t *there = chunks + chunk * copy->bytes;
		uint64_t turn = 2 * lap + !side; /* side 0 is the receiver */

		while (atomic_load_explicit(flag, memory_order_acquire) != turn)
			bench_pause();
		at++;
		if (side == 1) {
			own[0] = own[last] = at;
			memcpy(there, own, copy->bytes);
		} else {
			memcpy(own, there, copy->bytes);
			if (own[0] != at || own[last] != at)
				bench_die("copy: a wrong chunk");
		}
		atomic_store_explicit(flag, turn + 1, memory_order_release);
		if (pieces != NULL)
			bench_pieces_next(pieces);
	}
	belt->next[side] = at;
}

struct bench_contender bench_limit_copy(const struct bench_copy *copy)
{
	return (struct bench_contender){
		.name = "bare cross-process copy",
		.piece = 1,
		.argument = copy,
		.make = make_belt,
		.open = open_belt,
		.run = copy_run,
		.close = close_belt,
		.unmake = unmake_belt,
	};
}
