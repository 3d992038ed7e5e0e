/*
 * Queue: libshmclient's spsc through its public calls, as a contender. Waiting is the library's
 * own: every call says SHMC_FOREVER.
 */
#ifndef BENCH_QUEUE_H
#define BENCH_QUEUE_H

#include "bench/contest.h"

/* How the pair's loop comes by push and pop. */
enum bench_linkage {
	BENCH_STATIC_INLINED = 0, /* static library, -flto */
	BENCH_STATIC = 1,
	BENCH_SHARED = 2,
};

struct bench_queue {
	uint64_t bytes; /* of a message */
	uint64_t ring_bytes;
	uint64_t batch;	 /* messages to a call; 0: one, by shmc_spsc_push and pop */
	int64_t spin_ns; /* as in shmc_client_options */
	enum bench_linkage linkage;
};

/* An operation is a message and its answer, through two queues. */
struct bench_contender bench_queue_rtt(const struct bench_queue *queue);
/* An operation is a message from side 1 to side 0. */
struct bench_contender bench_queue_stream(const struct bench_queue *queue);
/* An operation is a push and a pop, in one thread. */
struct bench_contender bench_queue_pair(const struct bench_queue *queue);

#endif
