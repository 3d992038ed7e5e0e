/*
 * ck: Concurrency Kit's single-producer single-consumer ring, as its users have it: fixed-size
 * elements, inlined, between two processes or in one thread.
 */
#ifndef BENCH_CK_H
#define BENCH_CK_H

#include "bench/contest.h"

/* What its user does when the ring is empty or full. */
enum bench_ck_wait {
	BENCH_CK_STALL = 0,   /* one pause, look again */
	BENCH_CK_BACKOFF = 1, /* ck_backoff_eb: longer and longer */
	BENCH_CK_PACE = 2,    /* 32 pauses, look again */
	BENCH_CK_WAITS = 3,
};

struct bench_ck {
	uint64_t bytes;	     /* of an element: 8, 64, 128, 1024 or 65536 */
	uint64_t ring_bytes; /* a power of two */
};

/* One way; side 0 receives. */
struct bench_contender bench_ck_stream(const struct bench_ck *ck, enum bench_ck_wait wait);
/* In and out, one side. */
struct bench_contender bench_ck_pair(const struct bench_ck *ck);

#endif
