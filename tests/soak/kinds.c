#include "tests/soak/kinds.h"

#include <stddef.h>

const struct soak_kind *const soak_kinds[] = {
	&soak_spsc,    &soak_mpmc, &soak_broadcast,  &soak_broadcast_block, &soak_stream,
	&soak_ring,    &soak_rpc,  &soak_buffer,     &soak_record,	    &soak_array,
	&soak_atomic,  &soak_pool, &soak_arena_spsc, &soak_arena_mpmc,	    &soak_pipe,
	&soak_visitor, NULL, /* ends it */
};
