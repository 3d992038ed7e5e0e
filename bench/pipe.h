/*
 * Pipe: libshmclient's pipe through its public calls, as a contender for others to be measured by.
 */
#ifndef BENCH_PIPE_H
#define BENCH_PIPE_H

#include "bench/contest.h"

/* An operation is a call and its answer, of *@bytes each. */
struct bench_contender bench_pipe_contender(const uint64_t *bytes);

#endif
