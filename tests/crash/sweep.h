/*
 * Sweep: a public call of the library with a real broker, and the end of who makes it after every
 * instruction; or he is stopped there, and goes on when the world has changed. For each death the
 * scene is set up anew; the child connects and prepares by itself, is stepped through the call and
 * killed; then `check` sees, in the parent, what the broker made of it.
 *
 * The calls take the same path every time, but for a look at the clock that its change delays: they
 * do not wait, and nobody else is at the segment.
 */
#ifndef SHMT_SWEEP_H
#define SHMT_SWEEP_H

#include <stdbool.h>

#include "protocol/waiter.h"
#include "tests/crash/stepper.h"
#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/runner.h"

#define SWEEP_SOON_NS INT64_C(5000000000) /* or never */

typedef void (*sweep_fn)(void *scene);

struct sweep {
	const char *name; /* as printed */
	void *scene;
	sweep_fn set_up;  /* in the parent */
	sweep_fn prepare; /* in the child */
	sweep_fn arrange; /* in the parent, when the child is about to make the call; may be NULL */
	sweep_fn operate; /* in the child, stepped */
	/* in the parent: he is stopped, not dead, while this is done, and ends the call before `check`.
	 * NULL: he dies */
	sweep_fn meanwhile;
	sweep_fn check;	    /* in the parent, after the death */
	sweep_fn tear_down; /* in the parent */
	/* of a long call: about so many points, and those behind its system calls. 0: every one */
	unsigned long samples;
	/* of the death that is being checked */
	unsigned long point;
	bool has_ended;
};

void sweep_everywhere(struct sweep *sweep);
/* Bytes that outlive the child, all 0xff, for what it reads or is shown; the same each time. */
void *sweep_witness(size_t bytes);
/* shmt_run, where there is stepping. */
int sweep_main(int argc, char **argv);

#define SWEEP_MAIN                             \
	int main(int argc, char **argv)        \
	{                                      \
		return sweep_main(argc, argv); \
	}

/* ck_assert without a note for each of so many successes, saying at which point. */
#define SWEEP_CHECK(sweep_, condition_)                                                      \
	do {                                                                                 \
		if (!(condition_))                                                           \
			ck_abort_msg("%s:%d: %s, %lu instructions of %s done%s", __FILE__,   \
				     __LINE__, #condition_, (sweep_)->point, (sweep_)->name, \
				     (sweep_)->has_ended ? ", all of them" : "");            \
	} while (0)

/* Repeats @attempt, which opens the dead one's place, until the broker has taken that back. */
#define SWEEP_SUCCEED(sweep_, attempt_)                                                     \
	do {                                                                                \
		uint64_t sweep_end_ns_ = shmp_clock_ns() +                                  \
					 shmt_scaled((unsigned long)SWEEP_SOON_NS);         \
		enum shmc_result sweep_result_;                                             \
                                                                                            \
		while ((sweep_result_ = (attempt_)) == SHMC_BUSY)                           \
			SWEEP_CHECK(sweep_, shmp_clock_ns() < sweep_end_ns_);               \
		if (sweep_result_ != SHMC_OK)                                               \
			ck_abort_msg("%s: %s", #attempt_, shmc_result_name(sweep_result_)); \
	} while (0)

#endif
