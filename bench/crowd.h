/*
 * Crowd: a thousand segments and two hundred clients that are at peace, to see whether they cost
 * others anything.
 */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include <sys/types.h>

struct shmc_client;

#define BENCH_CROWD_NAME "1000 segments, 200 clients"

/* Returns when all of them are there, with what disperse needs. */
pid_t bench_crowd_gather(struct shmc_client *client);
void bench_crowd_disperse(struct shmc_client *client, pid_t crowd);

#endif
