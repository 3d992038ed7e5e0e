/*
 * Limit: what the machine itself allows, as contenders.
 */
#ifndef BENCH_LIMIT_H
#define BENCH_LIMIT_H

#include "bench/contest.h"

/*
 * Ping-pong: each side answers the other's message as soon as it sees it; an operation is a round
 * trip. The message is a flag word with payload behind it: 8 bytes in the one line, 64 in two, 128
 * in three. @ahead: whoever polls the flag asks for the other lines at the same time.
 */
struct bench_contender bench_limit_pingpong(unsigned lines, bool ahead);

/* The same by futex: each side sleeps until it is woken. */
struct bench_contender bench_limit_futex(void);

/* Chunks copied into a shared ring by one side and out of it by the other. */
struct bench_copy {
	uint64_t bytes; /* of a chunk */
	uint64_t chunks;
};
struct bench_contender bench_limit_copy(const struct bench_copy *copy);

#endif
