/* clock: see clock.h. */
#include "bench/clock.h"

#define CALIBRATION_NS UINT64_C(50000000)

double bench_tick_ns = 1;

void bench_clock_start(void)
{
	uint64_t since_ns = bench_clock_ns();
	uint64_t since = bench_ticks();
	uint64_t now_ns;

	do
		now_ns = bench_clock_ns();
	while (now_ns - since_ns < CALIBRATION_NS);
	bench_tick_ns = (double)(now_ns - since_ns) / (double)(bench_ticks() - since);
}
