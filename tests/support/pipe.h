/*
 * Both sides of a pipe, each with a mapping of its own, and numbered messages as in ring.h: how long
 * one is, its test knows; every byte of it follows from its number.
 */
#ifndef SHMT_PIPE_H
#define SHMT_PIPE_H

#include "protocol/pipe.h"
#include "tests/support/segment.h"

enum {
	SHMT_PIPE_CAPACITY = 4096,
	SHMT_PIPE_LONGEST = SHMT_PIPE_CAPACITY - 16
};

struct shmt_pipe {
	struct shmt_segment segment;
	struct shmp_segment map[2];
	struct shmp_pipe side[2];
};

/* Nobody is there yet. */
void shmt_pipe_make(struct shmt_pipe *pipe);
/* The same, with the host there, then the client. */
void shmt_pipe_open(struct shmt_pipe *pipe);
void shmt_pipe_free(struct shmt_pipe *pipe);

/* Somebody comes to the place of @role, leaves it or dies in it. */
void shmt_pipe_come(struct shmt_pipe *pipe, uint32_t role);
void shmt_pipe_go(struct shmt_pipe *pipe, uint32_t role, bool died);
/* One after the other. */
void shmt_pipe_succeed(struct shmt_pipe *pipe, uint32_t role, bool died);

/* Moves numbered messages; what a move says. What is received is checked. */
int shmt_pipe_send(struct shmt_pipe *pipe, uint32_t from, uint64_t size, uint64_t number);
int shmt_pipe_receive(struct shmt_pipe *pipe, uint32_t to, uint64_t size, uint64_t number,
		      uint32_t *ret_flags);

#endif
