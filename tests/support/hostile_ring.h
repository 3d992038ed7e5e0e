/*
 * A ring of elements whose peer may write anything at any time, between pages that nobody may touch:
 * as hostile.h for spsc. What is found wrong aborts.
 */
#ifndef SHMT_HOSTILE_RING_H
#define SHMT_HOSTILE_RING_H

#include <stdint.h>

#include "protocol/ring.h"

enum {
	HOSTILE_RING_ELEMENTS = 100, /* of 12 bytes */
	HOSTILE_RING_STATES = 6,     /* of a ring that only honest peers have used */
	HOSTILE_RING_MOVES = 16,
};

struct hostile_ring {
	struct shmp_segment segment;
	struct shmp_ring_producer producer;
	struct shmp_ring_consumer consumer;
	int has_producer, has_consumer; /* whether attach let them in */
};

/* One for the whole program. */
struct hostile_ring *hostile_ring_open(void);
/* An honest state, both roles held. */
void hostile_ring_reset(struct hostile_ring *hostile, unsigned int state);
/* A word of ctl, behind the head. */
_Atomic uint64_t *hostile_ring_word(struct hostile_ring *hostile, uint32_t word);
uint32_t hostile_ring_words(const struct hostile_ring *hostile);
/* Numbers at which positions and states break, those of this ring among them. */
uint64_t hostile_ring_number(uint32_t index);
extern const uint32_t hostile_ring_number_count;

/* A move, chosen by @what with @argument as its count. */
void hostile_ring_move(struct hostile_ring *hostile, uint8_t what, uint16_t argument);
/* Each move there is, some twice, successors of both roles at the end. */
void hostile_ring_all_moves(struct hostile_ring *hostile);

#endif
