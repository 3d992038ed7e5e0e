/*
 * A broadcast's handle, for the files that it is spread over: broadcast.c moves, broadcast_figures.c
 * looks and counts.
 */
#ifndef SHMC__BROADCAST_H
#define SHMC__BROADCAST_H

#include <stdbool.h>
#include <stdint.h>

#include "libclient/object.h"
#include "protocol/broadcast.h"
#include "shmclient/broadcast.h"

struct shmc_broadcast {
	const uint32_t *push_gate; /* push, reserve */
	const uint32_t *commit_gate;
	const uint32_t *pop_gate; /* pop, peek */
	const uint32_t *release_gate;
	uint64_t reserved_bytes;
	enum shmc_broadcast_role role;
	bool is_reserved;
	uint8_t *staged; /* of one writer of many: what it reserves */
	union {
		struct shmp_broadcast_writer writer;
		struct shmp_broadcast_reader reader;
	};
	struct shmc__object object;
};

#endif
