/*
 * Death: for each kind, who may die, in the middle of what, and the wait of another that it ends.
 *
 * Not here, since nobody waits for the end of anybody: atomic and array, whose dead leave a value;
 * a broadcast's reader, who is told of no writer's death, as any other may go on; an arena, whose
 * objects are of these kinds. Nor what takes a death between two instructions: that is the crash
 * suite's.
 */
#ifndef BENCH_DEATH_H
#define BENCH_DEATH_H

#include <stdbool.h>
#include <stdint.h>

#include "shmclient/client.h"

/* A kind's handle, by its own name in each. */
union bench_end {
	struct shmc_broadcast *broadcast;
	struct shmc_buffer *buffer;
	struct shmc_mpmc *mpmc;
	struct shmc_pipe *pipe;
	struct shmc_pool *pool;
	struct shmc_record *record;
	struct shmc_ring *ring;
	struct shmc_rpc *rpc;
	struct shmc_spsc *spsc;
	struct shmc_stream *stream;
};

/* What one process has open, and what its waits have brought it. */
struct bench_ends {
	union bench_end own;
	union bench_end aide; /* a victim's second one, where its own cannot do everything */
	uint64_t number;
};

struct bench_death {
	const char *kind;
	const char *who; /* dies */
	void (*create)(struct shmc_client *client, const char *name);
	void (*open)(struct shmc_client *client, const char *name, bool is_victim,
		     struct bench_ends *ends);
	/* The survivor, before there is a victim; may be NULL. */
	void (*prepare)(struct bench_ends *ends);
	/* The victim, before it dies. */
	void (*act)(struct bench_ends *ends);
	/* The survivor, until it has what is promised; anything else ends the run. */
	void (*await)(struct bench_ends *ends);
	/* The survivor: ready for the next victim; may be NULL. */
	void (*settle)(struct bench_ends *ends);
	void (*close)(struct bench_ends *ends);
};

/* NULL behind the last one. */
const struct bench_death *bench_death_at(unsigned index);

/* Where they are; each ends with one of no kind. */
extern const struct bench_death bench_queue_deaths[];
extern const struct bench_death bench_share_deaths[];

/* Nobody waits longer than this for anything: what does not come is a failure, not a figure. */
#define BENCH_PATIENCE_NS INT64_C(10000000000)

/* Ends the run when it is another. */
void bench_death_expect(enum shmc_result result, enum shmc_result expected, const char *what);

#endif
