/*
 * Clock: the cheapest counter there is, in ticks, and what a tick is in nanoseconds.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

static inline uint64_t bench_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static inline uint64_t bench_ticks(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#else
	return bench_clock_ns();
#endif
}

/* Nanoseconds of one tick; measured by bench_clock_start, before any process is forked. */
extern double bench_tick_ns;

void bench_clock_start(void);

/* What a polite processor does while it looks at a word again and again. */
static inline void bench_pause(void)
{
#if defined(__x86_64__)
	_mm_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb");
#endif
}

#endif
