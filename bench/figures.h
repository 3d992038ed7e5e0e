/*
 * Figures: many durations, kept as a histogram of half a percent, and the quantiles of them.
 */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <stdint.h>

#define BENCH_FIGURES_FINE  256u /* buckets to each power of two */
#define BENCH_FIGURES_ROOMS (BENCH_FIGURES_FINE * 56)

struct bench_figures {
	uint64_t count;
	uint64_t room[BENCH_FIGURES_ROOMS];
};

struct bench_figures *bench_figures_new(void);
struct bench_figures *bench_figures_free(struct bench_figures *figures);

void bench_figures_clear(struct bench_figures *figures);
void bench_figures_add(struct bench_figures *figures, uint64_t value);
void bench_figures_merge(struct bench_figures *figures, const struct bench_figures *more);

/*
 * The value that a share of @quantile (0 to 1) does not exceed; 0 when there is none. Between two
 * that were counted as many lie as between any others near them.
 */
double bench_figures_at(const struct bench_figures *figures, double quantile);

/* Of a few numbers, which it sorts. */
double bench_median(double *numbers, unsigned count);

#endif
