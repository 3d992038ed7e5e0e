/*
 * Contest: contenders that do the same work, side by side in one run.
 *
 * A contender has one side or two; two sides are two processes, each pinned to a core. After a
 * warm-up, which also finds how many operations fill a slice, the contenders take turns, one
 * slice each, over and over. What counts is the median of the ratios slice by slice: a machine
 * that changes its speed meanwhile changes it for all. A round in which somebody else was given
 * one of the two cores for a noticeable part is left out, as long as enough rounds remain.
 *
 * How long a line takes from one processor to the other changes while a virtual machine runs: two
 * that share a cache are four times as near to each other as two that do not, and then it is
 * another thing that is measured. Where a contest says which of its contenders is the bare line,
 * what counts are rounds in which the two were apart, as they were where the bars were set; those
 * in which they were close are told beside them, and count only where the two never are apart.
 *
 * The timing side says when an operation, or a piece of several, was done; it is the first.
 */
#ifndef BENCH_CONTEST_H
#define BENCH_CONTEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/clock.h"
#include "bench/figures.h"

#define BENCH_CONTENDERS_MAX 8
#define BENCH_ROUNDS_MAX     256

/* How all contests are run; set once, by main. */
struct bench_manner {
	uint64_t slice_ns;
	unsigned rounds; /* that must be undisturbed */
	int cpu[2];
};

extern struct bench_manner bench_manner;

/* Durations as the timing side writes them down during a slice. */
struct bench_pieces {
	uint32_t *ticks;
	uint64_t room;
	uint64_t count;
	uint64_t last;
};

static inline void bench_pieces_start(struct bench_pieces *pieces)
{
	pieces->last = bench_ticks();
}

/* A piece ends now; the next begins. */
static inline void bench_pieces_next(struct bench_pieces *pieces)
{
	uint64_t now = bench_ticks();
	uint64_t ticks = now - pieces->last;

	if (pieces->count < pieces->room)
		pieces->ticks[pieces->count++] = ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
	pieces->last = now;
}

/* Which number of a slice stands for it in the ratio. */
enum bench_centre {
	BENCH_CENTRE_MEDIAN, /* of its pieces: latencies */
	BENCH_CENTRE_MEAN,   /* duration by operations: rates */
};

struct bench_contender {
	const char *name;
	uint64_t piece; /* operations to a piece */
	const void *argument;
	void *shared; /* made before the fork; the same address on both sides */
	void *own;    /* made by open */

	/* All may be NULL but run. make and unmake: before the fork and after the end. */
	void (*make)(struct bench_contender *self);
	void (*open)(struct bench_contender *self, unsigned side);
	/* @count operations, a multiple of piece. @pieces on the timing side, else NULL. */
	void (*run)(struct bench_contender *self, unsigned side, uint64_t count,
		    struct bench_pieces *pieces);
	void (*close)(struct bench_contender *self, unsigned side);
	void (*unmake)(struct bench_contender *self);
};

struct bench_contest {
	struct bench_contender *contender[BENCH_CONTENDERS_MAX];
	unsigned contenders;
	unsigned sides;
	bool is_crowded; /* more processes than cores: that one waits for them is what is measured */
	enum bench_centre centre;
	unsigned line; /* which contender it is; 0, who is never that: it is not asked for */

	/* what came out, in ns per operation */
	unsigned rounds;
	unsigned disturbed; /* rounds left out */
	double slice[BENCH_CONTENDERS_MAX][BENCH_ROUNDS_MAX];
	unsigned close_rounds; /* left out, too: the processors were close to each other */
	double close[BENCH_CONTENDERS_MAX][BENCH_ROUNDS_MAX];
	struct bench_figures *figures[BENCH_CONTENDERS_MAX]; /* ticks per piece */
};

void bench_contest_run(struct bench_contest *contest);
void bench_contest_deinit(struct bench_contest *contest);

/* ns per operation: quantile of the pieces; median over the slices. */
double bench_contest_at(const struct bench_contest *contest, unsigned contender, double quantile);
double bench_contest_centre(const struct bench_contest *contest, unsigned contender);
/* Median over the rounds of a's slice by b's. */
double bench_contest_ratio(const struct bench_contest *contest, unsigned a, unsigned b);
/* The same of the rounds that were left out because the processors were close, if there are any. */
double bench_contest_close_centre(const struct bench_contest *contest, unsigned contender);
double bench_contest_close_ratio(const struct bench_contest *contest, unsigned a, unsigned b);

/* Zeroed memory that a forked process shares. */
void *bench_shared_new(uint64_t bytes);
void *bench_shared_free(void *memory, uint64_t bytes);

void bench_pin(int cpu);
void bench_unpin(void); /* to both */
/* The same to another process; 0: this one. */
void bench_place(pid_t pid, int cpu, int other);
/* As fork, or ends the run; the new process is pinned, and ends with this one. */
pid_t bench_fork(int cpu);

/* Prints "shmbench: ..." and ends the whole run. */
__attribute__((noreturn, format(printf, 1, 2))) void bench_die(const char *format, ...);

#endif
