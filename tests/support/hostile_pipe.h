/*
 * A pipe whose peer may write anything at any time, between pages that nobody may touch; as
 * hostile.h.
 */
#ifndef SHMT_HOSTILE_PIPE_H
#define SHMT_HOSTILE_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/pipe.h"

enum {
	HOSTILE_PIPE_RING = 4096,
	HOSTILE_PIPE_MESSAGE = 1000,
	HOSTILE_PIPE_WORDS = 1536, /* 64-bit: 512 of ctl, then 512 of each ring */
	HOSTILE_PIPE_STATES = 6,   /* of a pipe that only honest peers have used */
	HOSTILE_PIPE_NUMBERS = 6,  /* of each of hostile.h's: as it is, and with tags */
};

struct hostile_pipe {
	struct shmp_segment segment;
	struct shmp_pipe side[2];
	bool is_there[2]; /* whether attach let it in */
	uint8_t payload[HOSTILE_PIPE_RING];
};

/* One for the whole program. */
struct hostile_pipe *hostile_pipe(void);
/* An honest state, both roles held. */
void hostile_pipe_reset(struct hostile_pipe *pipe, unsigned int state);
void hostile_pipe_write(struct hostile_pipe *pipe, uint32_t word, uint64_t value);
uint64_t hostile_pipe_number(uint32_t index);
uint32_t hostile_pipe_number_count(void);

/* A move, chosen by @what with @argument as its size or count. */
void hostile_pipe_move(struct hostile_pipe *pipe, uint8_t what, uint16_t argument);
/* Each move there is, of both roles, some twice, successors of both at the end. */
void hostile_pipe_all_moves(struct hostile_pipe *pipe);

#endif
