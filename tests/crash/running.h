/*
 * Running: somebody dies after every instruction of an operation while others, who live, work on the
 * same segment at full speed.
 *
 *	running_start()			the living, each a process that makes one move after another
 *	running_kill_everywhere()	a fresh victim for each point, its repair, its successor
 *	running_finish()		the living come to an end; then the test accounts for everything
 *
 * What the victim meets differs from run to run, and with it its path. So it is gone through in two
 * ways. Some victims are led step by step, and what they come to is noted; each instruction that
 * was met by one of them is then a point to which others run at their own speed, beside others who
 * run as fast as they can; to every third one, the seed says which, also beside others who rest
 * between two moves, so that the victim finds things as it left them. A step costs thousands of
 * instructions: beside those who die after 0 steps, after a few, and so on, until they have come to
 * the end before, the others let some steps pass between two moves, or a single-stepped one would
 * hardly ever get on.
 */
#ifndef SHMT_RUNNING_H
#define SHMT_RUNNING_H

#include <check.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol/waiter.h"
#include "tests/crash/stepper.h"
#include "tests/support/random.h"
#include "tests/support/segment.h"

#define RUNNING_SOON_NS UINT64_C(20000000000) /* or never */

enum {
	RUNNING_PEERS_MAX = 6,
};

struct running_world; /* what all of them share */

struct running {
	const char *name; /* as printed */
	const struct shmt_segment *segment;
	void *context;
	unsigned int peers;
	/* one try of a living one, in its own process: whether it got on */
	bool (*live)(void *context, unsigned int peer);
	uint32_t place;			/* the victim's */
	void (*come)(void *context);	/* parent: takes the place up, first and as a successor */
	void (*prepare)(void *context); /* victim, not stepped; may be NULL */
	void (*operate)(void *context); /* victim, stepped */
	void (*die)(void *context);	/* parent, between death and repair; may be NULL */
	void (*check)(void *context);	/* parent, behind the repair; may be NULL */
	unsigned long stride;		/* of the points; 0: 1. The seed says where to begin */
	/* of the death that is being checked */
	unsigned long point;
	bool has_ended; /* the operation */
	bool has_membarrier;
	struct shmt_random random; /* of the parent; a living one has its own */
	pid_t pids[RUNNING_PEERS_MAX];
	struct running_world *world;
};

void running_start(struct running *running);
void running_kill_everywhere(struct running *running);
/* Everybody is woken until he has ended. */
void running_finish(struct running *running);

/*
 * A living one makes its @move; if there is nothing to be done it now and then sleeps on @waiter
 * until there is. Whether it got on.
 */
bool running_move_or_sleep(struct running *running, unsigned int peer,
			   bool (*move)(void *context, unsigned int peer),
			   struct shmp_waiter *waiter, struct shmp_endpoint *self, uint32_t place);

/* How often a living one got on. */
uint64_t running_moves(const struct running *running, unsigned int peer);
/* Each of them gets on so many times more. */
void running_await_moves(struct running *running, uint64_t more);

/* Bytes that all processes share, zeroed. */
void *running_share(size_t bytes);
/* As shmt_run, where there is stepping. */
int running_main(int argc, char **argv);

#define RUNNING_MAIN                             \
	int main(int argc, char **argv)          \
	{                                        \
		return running_main(argc, argv); \
	}

/* ck_assert without a note for each of so many successes, saying at which point. */
#define RUNNING_CHECK(running_, condition_)                                              \
	do {                                                                             \
		if (!(condition_))                                                       \
			ck_abort_msg("%s:%d: %s, point %lu of %s%s", __FILE__, __LINE__, \
				     #condition_, (running_)->point, (running_)->name,   \
				     (running_)->has_ended ? ", behind the end" : "");   \
	} while (0)

/* Parent: until it is so. Nobody may have ended, or be wedged. */
#define RUNNING_AWAIT(running_, condition_)                                         \
	do {                                                                        \
		uint64_t running_until_ = running_deadline();                       \
                                                                                    \
		while (!(condition_))                                               \
			if (!running_is_patient((running_), running_until_))        \
				RUNNING_CHECK((running_), !"in time " #condition_); \
	} while (0)

uint64_t running_deadline(void);
/* Lets others run. False: it is too late. */
bool running_is_patient(struct running *running, uint64_t deadline_ns);

#endif
