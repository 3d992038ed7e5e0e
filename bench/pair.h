/*
 * Pair: push and pop in one thread by the static library, compiled twice from one file: as it is
 * when the library is linked as usual, and when it is linked with -flto, which compiles the calls
 * into the loop. Where the compiler cannot do that, the two are the same.
 */
#ifndef BENCH_PAIR_H
#define BENCH_PAIR_H

#include "bench/contest.h"
#include "shmclient/shmclient.h"

struct bench_pair {
	struct shmc_spsc *to;
	struct shmc_spsc *from;
	uint64_t *words;
	uint64_t bytes;
	uint64_t number;
	uint64_t piece;
};

void bench_pair_called(struct bench_pair *pair, uint64_t count, struct bench_pieces *pieces);
void bench_pair_inlined(struct bench_pair *pair, uint64_t count, struct bench_pieces *pieces);

#endif
