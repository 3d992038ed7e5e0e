#include "tests/crash/deaths.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/runner.h"

enum {
	SAMPLES_MAX = 60
};

struct saved {
	void *ctl, *data, *own;
};

static struct count {
	unsigned long operations, points;
} * count;

static void *copy_of(const void *from, size_t bytes)
{
	void *copy = malloc(bytes ? bytes : 1);

	SHMT_REQUIRE(copy);
	if (bytes)
		memcpy(copy, from, bytes);
	return copy;
}

/* As mapped: of a ring its mirror, too. */
static size_t data_room(const struct shmp_segment *map)
{
	return map->data ? shmp_segment_data_room(&map->plan, map->mirrored) : 0;
}

static void save(const struct deaths *deaths, struct saved *saved)
{
	const struct shmp_segment *map = &deaths->segment->map;

	saved->ctl = copy_of(map->head, map->plan.ctl_bytes);
	saved->data = copy_of(map->data, data_room(map));
	saved->own = copy_of(deaths->own, deaths->own_bytes);
}

static void restore(const struct deaths *deaths, const struct saved *saved)
{
	const struct shmp_segment *map = &deaths->segment->map;

	memcpy(map->head, saved->ctl, map->plan.ctl_bytes);
	if (map->data)
		memcpy(map->data, saved->data, data_room(map));
	if (deaths->own)
		memcpy(deaths->own, saved->own, deaths->own_bytes);
}

static void prepare(void *context)
{
	(void)context;
}

static void measure(const struct deaths *deaths, struct stepper_path *ret_path)
{
	struct stepper stepper = { .may_stray = true }; /* a lock looks at the clock */

	stepper_start(&stepper, prepare, deaths->operate, deaths->context);
	stepper_measure(&stepper, ret_path);
	stepper_kill(&stepper);
}

/* False: it has strayed, and ended the operation: there is nothing to be stopped any more. */
static bool die_at(struct deaths *deaths, const struct stepper_path *path, unsigned long point)
{
	struct stepper stepper = { .may_stray = true }; /* a lock looks at the clock */

	stepper_start(&stepper, prepare, deaths->operate, deaths->context);
	deaths->has_ended = stepper_go_to(&stepper, path, point) == STEPPER_ENDED;
	deaths->point = point;
	if (!deaths->meanwhile || deaths->has_ended) {
		stepper_kill(&stepper);
		return !deaths->meanwhile;
	}
	stepper_stop(&stepper);
	deaths->meanwhile(deaths->context);
	stepper_go_on(&stepper);
	return true;
}

void deaths_everywhere(struct deaths *deaths)
{
	struct stepper_path path;
	struct saved saved;
	unsigned long stride, last, points = 0;

	save(deaths, &saved);
	measure(deaths, &path);
	stride = STEPPER_SAMPLES ? 1 + path.count / SAMPLES_MAX : 1;
	last = deaths->meanwhile ? path.count - 1 : path.count; /* who has ended is not stopped */
	for (unsigned long point = 0; point <= last; point += stride, points++) {
		restore(deaths, &saved);
		if (die_at(deaths, &path, point))
			deaths->check(deaths->context);
	}
	restore(deaths, &saved);
	stepper_forget(&path);
	free(saved.ctl);
	free(saved.data);
	free(saved.own);
	printf("# %s: %lu %s\n", deaths->name, points, deaths->meanwhile ? "stops" : "kill points");
	count->operations++;
	count->points += points;
}

int deaths_main(int argc, char **argv)
{
	int r;

	if (!STEPPER_WORKS)
		return shmt_skip("there is no single-stepping on this processor");
	count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	SHMT_REQUIRE(count != MAP_FAILED);
	r = shmt_run(argc, argv);
	printf("# in all: %lu points of %lu operations\n", count->points, count->operations);
	return r;
}
