/*
 * Random numbers for tests: always seeded, and the seed always printed, so that a failure can be
 * repeated with SHMT_SEED. Everything here belongs to the calling thread.
 */
#ifndef SHMT_RANDOM_H
#define SHMT_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct shmt_random {
	uint64_t state;
};

/* The seed of this run, printed as a TAP comment: SHMT_SEED, else the same one every time. */
static inline uint64_t shmt_seed(void)
{
	const char *text = getenv("SHMT_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 20240229;

	printf("# SHMT_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

/* 64 random bits (splitmix64: any seed is a good one, neighbours are independent). */
static inline uint64_t shmt_random_next(struct shmt_random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* A number below `limit`, 0 when `limit` is 0. */
static inline uint64_t shmt_random_below(struct shmt_random *random, uint64_t limit)
{
	return limit ? shmt_random_next(random) % limit : 0;
}

#endif
