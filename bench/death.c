/* death: see death.h. */
#include "bench/death.h"

#include <stddef.h>

#include "bench/contest.h"

const struct bench_death *bench_death_at(unsigned index)
{
	static const struct bench_death *const rooms[] = { bench_queue_deaths, bench_share_deaths };

	for (unsigned i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++)
		for (const struct bench_death *death = rooms[i]; death->kind != NULL; death++)
			if (index-- == 0)
				return death;
	return NULL;
}

void bench_death_expect(enum shmc_result result, enum shmc_result expected, const char *what)
{
	if (result != expected)
		bench_die("detect: %s: %s", what, shmc_result_name(result));
}
