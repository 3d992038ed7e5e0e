/*
 * Mpmc scene: a queue of few slots, two producers and two consumers, and what each actor did.
 */
#ifndef SHMT_MPMC_SCENE_H
#define SHMT_MPMC_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/mpmc.h"
#include "tests/interleave/explorer.h"
#include "tests/support/segment.h"

enum {
	MPMC_SLOTS = 2,	    /* unless it is said otherwise */
	MPMC_PRODUCERS = 0, /* 0 and 1 */
	MPMC_CONSUMERS = 2, /* 2 and 3 */
	MPMC_PLACES = 4,
	MPMC_MOVES = 4,	 /* of an actor */
	MPMC_DRAIN = 16, /* what the judge pops, at most */
	MPMC_NUMBERS = 64,
	MPMC_UNFINISHED = -1, /* what a move said that has not come back */
};

struct mpmc_move {
	bool is_push;
	int result;
	uint64_t number;
	uint32_t flags;
};

struct mpmc_moves {
	unsigned count;
	bool has_ended;
	struct mpmc_move move[MPMC_DRAIN];
};

struct mpmc_scene {
	struct shmt_segment segment;
	unsigned slots; /* to be set before it is opened, 0: MPMC_SLOTS */
	struct mpmc_own {
		struct shmp_mpmc at[MPMC_PLACES];
		struct mpmc_moves by[2];	     /* the actors */
		uint64_t next;			     /* number of the next message */
		uint8_t buffer[2][SHMP_COPY_INLINE]; /* where each actor pops to, dead or alive */
		unsigned stored;		     /* messages in the queue at the beginning, */
		uint64_t first;			     /* from this number on */
	} * own;
	struct explorer explorer;
};
extern struct mpmc_scene mpmc_scene;

/* Opens it, with so many messages in it after as many laps of others. */
void mpmc_scene_open(const char *name, unsigned laps, unsigned stored);
void mpmc_scene_close(void);

/* Moves of actor @by at @place, which are noted. */
void mpmc_scene_push(unsigned by, uint32_t place);
void mpmc_scene_pop(unsigned by, uint32_t place);
/* What a payload is of, 0: of nothing. */
uint64_t mpmc_scene_number(const void *payload, uint64_t size);
/* Writes message @number. */
#define MPMC_MESSAGE_BYTES 24u
void mpmc_scene_fill(uint64_t *payload, uint64_t number);

/* Pops all that is left; false when that is no end in sight. */
bool mpmc_scene_drain(struct mpmc_moves *ret_moves);
/* The queue is empty: all of it can be used, by everybody who lives. NULL, or what is wrong. */
const char *mpmc_scene_is_whole(void);

#endif
