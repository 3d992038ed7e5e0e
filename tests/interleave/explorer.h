/*
 * Explorer: runs an operation of each of two or three real processes in every order that differs
 * from another one by at most so many preemptions, and has each outcome judged.
 *
 * An actor that stands before a point (actor.h) may be preempted there, which counts, and another
 * goes on. One that has ended, died or gone to sleep makes way, which does not count. An actor that
 * `dies` does so before each of its points, or at its end; whoever `buries` begins after that. With
 * `holds_stores` each plain store may moreover stay in the buffer of whoever made it: until its
 * owner comes to a barrier or goes on after a preemption, or until two others had their turns, or
 * somebody calls membarrier.
 *
 * With `common_only` only points at words that others touch, too, and that somebody changes, are
 * preempted: which ones these are is found out by exploring until there are no more. That is for
 * repair, which looks at much that nobody else touches.
 *
 * What has come to a state that was come to before, with as many preemptions left, goes on as that did
 * and is not gone through again: memory, registers and stacks are compared, by a hash of 64 bits.
 *
 * Schedules are told by their stretches: who went on, and up to which point.
 */
#ifndef SHMT_EXPLORER_H
#define SHMT_EXPLORER_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

#include "tests/interleave/actor.h"

#define EXPLORER_ACTORS	     3
#define EXPLORER_STRETCHES   24
#define EXPLORER_WORDS	     8192 /* of a segment, 8 bytes each */
#define EXPLORER_PREEMPTIONS 2

struct explorer_role {
	const char *name;
	stepper_fn operate; /* gets the explorer's context */
	bool dies;
	bool buries;
	bool may_sleep;
	bool stores_at_once; /* also with holds_stores */
};

struct explorer {
	const char *name;
	const struct shmt_segment *segment;
	void *own; /* memory of the actors beside the segment, shared; put back, too */
	size_t own_bytes;
	void *context;
	struct explorer_role role[EXPLORER_ACTORS]; /* without an operation: there is none */
	bool holds_stores;
	bool common_only;
	bool is_wrong; /* known to be: one finding is enough */
	/* In the parent, after each schedule: NULL, or what is wrong. May use and change all memory. */
	const char *(*judge)(void *context);
	/* what came of it; of those that came to where one before was, one was gone through */
	unsigned long schedules, gone_through, found;
	char first[1024]; /* complaint, and the schedule that led to it */
};

/* Memory that parent and children share, zeroed. */
void *explorer_memory(size_t bytes);
/* Explores, and prints how many schedules there were. All memory is as it was before. */
void explore(struct explorer *explorer);
/* Whether there is time for more (SHMT_DEEP=1): some tests are not for every day. */
bool explorer_is_deep(void);
/* As shmt_run; skips where there is no single-stepping. */
int explorer_main(int argc, char **argv);

/* What holds, and what must be found to be wrong. */
#define EXPLORER_HOLDS(explorer_) ck_assert_msg((explorer_)->found == 0, "%s", (explorer_)->first)
#define EXPLORER_BREAKS(explorer_) \
	ck_assert_msg((explorer_)->found != 0, "%s: nothing was found", (explorer_)->name)

#define EXPLORER_MAIN                             \
	int main(int argc, char **argv)           \
	{                                         \
		return explorer_main(argc, argv); \
	}

#endif
