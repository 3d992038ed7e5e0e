#include "tests/crash/sweep.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum {
	SAMPLES_SANITIZED = 20
};

static void child_prepare(void *context)
{
	const struct sweep *sweep = context;

	sweep->prepare(sweep->scene);
}

static void child_operate(void *context)
{
	const struct sweep *sweep = context;

	sweep->operate(sweep->scene);
}

static void start(struct sweep *sweep, struct stepper *stepper)
{
	sweep->set_up(sweep->scene);
	stepper_start(stepper, child_prepare, child_operate, sweep);
	if (sweep->arrange)
		sweep->arrange(sweep->scene);
}

static void measure(struct sweep *sweep, struct stepper_path *ret_path)
{
	struct stepper stepper = { .may_stray = true }; /* a deadline looks at the clock */

	start(sweep, &stepper);
	stepper_measure(&stepper, ret_path);
	stepper_kill(&stepper);
	sweep->tear_down(sweep->scene);
}

static void die_at(struct sweep *sweep, const struct stepper_path *path, unsigned long point)
{
	struct stepper stepper = { .may_stray = true }; /* a deadline looks at the clock */

	start(sweep, &stepper);
	sweep->point = point;
	sweep->has_ended = stepper_go_to(&stepper, path, point) == STEPPER_ENDED;
	stepper_kill(&stepper);
	sweep->check(sweep->scene);
	sweep->tear_down(sweep->scene);
}

void sweep_everywhere(struct sweep *sweep)
{
	unsigned long stride = 1, points = 0;
	struct stepper_path path;

	measure(sweep, &path);
	if (STEPPER_SAMPLES)
		stride = 1 + path.count / SAMPLES_SANITIZED;
	for (unsigned long point = 0; point < path.count; point += stride, points++)
		die_at(sweep, &path, point);
	die_at(sweep, &path, path.count);
	points++;
	printf("# %s: %lu kill points\n", sweep->name, points);
	if (points <= path.count)
		printf("# (samples of %lu)\n", path.count + 1);
	stepper_forget(&path);
}

void *sweep_witness(size_t bytes)
{
	static void *witness;

	if (!witness)
		witness = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			       0);
	ck_assert(witness != MAP_FAILED && bytes <= 4096);
	return memset(witness, 0xff, bytes);
}

int sweep_main(int argc, char **argv)
{
	return STEPPER_WORKS ? shmt_run(argc, argv) :
			       shmt_skip("there is no single-stepping on this processor");
}
