/* figures: see figures.h. */
#include "bench/figures.h"

#include <stdlib.h>
#include <string.h>

struct bench_figures *bench_figures_new(void)
{
	struct bench_figures *figures = calloc(1, sizeof(*figures));

	if (figures == NULL)
		abort();
	return figures;
}

struct bench_figures *bench_figures_free(struct bench_figures *figures)
{
	free(figures);
	return NULL;
}

void bench_figures_clear(struct bench_figures *figures)
{
	memset(figures, 0, sizeof(*figures));
}

/* Exact below 512; from there on, 256 rooms to each power of two. */
static unsigned room_of(uint64_t value)
{
	unsigned shift;

	if (value < 2 * BENCH_FIGURES_FINE)
		return (unsigned)value;
	shift = 63 - (unsigned)__builtin_clzll(value) - 8;
	return shift * BENCH_FIGURES_FINE + (unsigned)(value >> shift);
}

/*
 * Values are counted ticks, so that of a duration of 3.4 some are 3 and some are 4: one of them
 * stands for what is nearer to it than to the next. Where a tick is 10 ns the half of it is more
 * than what is looked for.
 */
static double value_in(unsigned room, double part)
{
	unsigned shift;

	if (room < 2 * BENCH_FIGURES_FINE)
		return room > 0 ? room + part - 0.5 : part / 2;
	shift = room / BENCH_FIGURES_FINE - 1;
	return ((double)(room - shift * BENCH_FIGURES_FINE) + part) *
	       (double)(UINT64_C(1) << shift);
}

void bench_figures_add(struct bench_figures *figures, uint64_t value)
{
	unsigned room = room_of(value);

	figures->room[room < BENCH_FIGURES_ROOMS ? room : BENCH_FIGURES_ROOMS - 1]++;
	figures->count++;
}

void bench_figures_merge(struct bench_figures *figures, const struct bench_figures *more)
{
	figures->count += more->count;
	for (unsigned i = 0; i < BENCH_FIGURES_ROOMS; i++)
		figures->room[i] += more->room[i];
}

double bench_figures_at(const struct bench_figures *figures, double quantile)
{
	double before = quantile * (double)figures->count;
	uint64_t seen = 0;

	for (unsigned i = 0; i < BENCH_FIGURES_ROOMS; i++) {
		uint64_t here = figures->room[i];

		seen += here;
		if (here > 0 && (double)seen >= before)
			return value_in(i, 1 - ((double)seen - before) / (double)here);
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *numbers, unsigned count)
{
	if (count == 0)
		return 0;
	qsort(numbers, count, sizeof(*numbers), compare);
	return (numbers[count / 2] + numbers[(count - 1) / 2]) / 2;
}
