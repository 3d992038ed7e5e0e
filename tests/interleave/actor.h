/*
 * Actor: a process that goes through one operation on shared memory from point to point, again and
 * again.
 *
 * A point is before an access to the segment, before a system call, or before an instruction that
 * empties the processor's store buffer. What lies between two points touches nothing that others
 * see, so that it does not matter when it is done.
 *
 * The store buffer of x86-64 is played: an actor that `holds` keeps its stores back, in order, and
 * sees them itself, until it comes to a barrier or a system call, until somebody calls membarrier,
 * or until it is told to let them out. The bytes lie in the segment only while it takes a step.
 *
 * A run begins with actor_rewind(), when segment and private memory are as they were at
 * actor_start(). Nobody forks for it.
 */
#ifndef SHMT_ACTOR_H
#define SHMT_ACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/crash/stepper.h"
#include "tests/interleave/access.h"
#include "tests/support/segment.h"

#define ACTOR_HELD_MAX 64
#define ACTOR_FOREVER  200000 /* instructions of one operation */

enum actor_state {
	ACTOR_STANDS, /* before an instruction */
	ACTOR_ENDED,
	ACTOR_SLEEPS, /* in a system call */
	ACTOR_DEAD,   /* never goes on in this run */
	ACTOR_LOST,   /* goes on for ever */
};

struct actor_store {
	uint8_t *at;
	unsigned bytes;
	uint8_t value[64], under[64];
};

struct actor {
	const char *name;
	const struct shmt_segment *segment;
	stepper_fn operate;
	void *context;
	bool may_sleep;
	/* the actor's own */
	struct stepper stepper;
	struct user_regs_struct begin,
		registers; /* at the beginning; before the next instruction */
	enum actor_state state;
	struct access access; /* of the instruction that it stands before */
	unsigned long taken;  /* instructions of this run */
	bool holds;
	unsigned held_count;
	struct actor_store held[ACTOR_HELD_MAX];
};

void actor_start(struct actor *actor);
void actor_end(struct actor *actor);
/* To the beginning; one who sleeps for good is replaced. */
void actor_rewind(struct actor *actor);

/* Finds out what the next instruction does; the state stays. */
void actor_look(struct actor *actor);
/* Whether what it stands before is a point, after a look. */
bool actor_is_at_point(const struct actor *actor);
/* One instruction, or one round of it. Look before, and after if it still stands. */
void actor_step(struct actor *actor);
/* Until it stands before the instruction at @pc for the @times-th time, this one included. */
void actor_run_to(struct actor *actor, uintptr_t pc, unsigned long times);
/* To the end, or to sleep; not while it holds stores. */
void actor_run(struct actor *actor);
/* A sleeper stands again if somebody has woken him. */
void actor_rouse(struct actor *actor);
/* Whether it is going to call membarrier. */
bool actor_is_at_membarrier(const struct actor *actor);
/* Lets out what it holds back. */
void actor_let_out(struct actor *actor);

/* Mixes all that it goes on by into @hash, but for the memory that is put back. */
uint64_t actor_hash(const struct actor *actor, uint64_t hash);
/* The same with bytes; their count is rounded up to a multiple of 8, and must have room for that. */
uint64_t actor_hash_bytes(uint64_t hash, const void *bytes, size_t count);

/* Which eighth byte of the segment an address is, the same for all that map it; -1: no part of it. */
int64_t actor_word(const struct actor *actor, uintptr_t address);

#endif
