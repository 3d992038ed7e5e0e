/*
 * A ring whose peer may write anything at any time, between pages that nobody may touch. All moves
 * of both roles and the broker's part run on it; whatever it holds, they must end, stay inside,
 * and say what they may say. What is found wrong aborts.
 */
#ifndef SHMT_HOSTILE_H
#define SHMT_HOSTILE_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/spsc.h"

enum {
	HOSTILE_CAPACITY = 4096,
	HOSTILE_WORDS = 1024, /* 64-bit: 512 of ctl, then 512 of data */
	HOSTILE_STATES = 6,   /* of a ring that only honest peers have used */
};

struct hostile {
	struct shmp_segment segment;
	struct shmp_spsc_producer producer;
	struct shmp_spsc_consumer consumer;
	int has_producer, has_consumer; /* whether attach let them in */
	uint8_t payload[HOSTILE_CAPACITY];
};

/* One for the whole program. */
struct hostile *hostile_ring(void);
/* An honest state, both roles held. */
void hostile_reset(struct hostile *hostile, unsigned int state);
void hostile_write(struct hostile *hostile, uint32_t word, uint64_t value);
/* Numbers at which lengths, positions and states break, those of this ring among them. */
uint64_t hostile_number(uint32_t index);
extern const uint32_t hostile_number_count;

/* A move, chosen by @what with @argument as its size or count. */
void hostile_move(struct hostile *hostile, uint8_t what, uint16_t argument);
/* Each move there is, some twice, successors of both roles at the end. */
void hostile_all_moves(struct hostile *hostile);

#endif
