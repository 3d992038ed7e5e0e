#include "tests/crash/sweep.h"

#include <stdio.h>
#include <stdlib.h>
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

/* Points behind system calls. */
struct calls {
	unsigned long *at;
	unsigned long count;
};

static void note_call(void *context, unsigned long done, bool is_call)
{
	struct calls *calls = context;

	if (!is_call)
		return;
	calls->at = realloc(calls->at, (calls->count + 1) * sizeof(*calls->at));
	ck_assert_ptr_nonnull(calls->at);
	calls->at[calls->count++] = done;
}

static void measure(struct sweep *sweep, struct stepper_path *ret_path, struct calls *ret_calls)
{
	struct stepper stepper = { .may_stray = true, /* a deadline looks at the clock */
				   .watch = sweep->samples ? note_call : NULL,
				   .watch_context = ret_calls };

	start(sweep, &stepper);
	stepper_measure(&stepper, ret_path);
	stepper_kill(&stepper);
	sweep->tear_down(sweep->scene);
}

static void end_at(struct sweep *sweep, const struct stepper_path *path, unsigned long point)
{
	struct stepper stepper = { .may_stray = true }; /* a deadline looks at the clock */

	sweep->point = point;
	start(sweep, &stepper);
	sweep->has_ended = stepper_go_to(&stepper, path, point) == STEPPER_ENDED;
	if (sweep->meanwhile && !sweep->has_ended) {
		stepper_stop(&stepper);
		sweep->meanwhile(sweep->scene);
		stepper_go_on(&stepper);
	} else {
		stepper_kill(&stepper);
	}
	/* who strayed and has ended cannot be stopped any more */
	if (!sweep->meanwhile || !sweep->has_ended)
		sweep->check(sweep->scene);
	sweep->tear_down(sweep->scene);
}

void sweep_everywhere(struct sweep *sweep)
{
	struct calls calls = { .at = NULL };
	unsigned long stride = 1, points = 0, last = 0;
	struct stepper_path path;

	measure(sweep, &path, &calls);
	/* samples are points that a breakpoint comes to */
	if (sweep->samples)
		stride = 1 + path.count / sweep->samples;
	if (STEPPER_SAMPLES)
		stride = 1 + path.count / SAMPLES_SANITIZED;
	for (unsigned long point = 0; point < path.count; point += stride) {
		unsigned long at = sweep->samples ? path.via[point] : point;

		if (points > 0 && at <= last)
			continue;
		end_at(sweep, &path, at);
		last = at;
		points++;
	}
	for (unsigned long i = 0; i < calls.count && !STEPPER_SAMPLES; i++, points++)
		end_at(sweep, &path, calls.at[i]);
	if (!sweep->meanwhile) {
		end_at(sweep, &path, path.count);
		points++;
	}
	printf("# %s: %lu %s\n", sweep->name, points, sweep->meanwhile ? "stops" : "kill points");
	if (points <= path.count)
		printf("# (samples of %lu)\n", path.count + !sweep->meanwhile);
	stepper_forget(&path);
	free(calls.at);
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
