/* The kinds of a soak, each a row of the table in kinds.c. */
#ifndef SOAK_KINDS_H
#define SOAK_KINDS_H

#include "tests/soak/player.h"

extern const struct soak_kind soak_arena_mpmc, soak_arena_spsc, soak_array, soak_atomic,
	soak_broadcast, soak_broadcast_block, soak_buffer, soak_mpmc, soak_pipe, soak_pool,
	soak_record, soak_ring, soak_rpc, soak_spsc, soak_stream, soak_visitor;

#endif
