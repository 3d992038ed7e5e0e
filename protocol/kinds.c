/* kinds: the table. A row for each structure, sorted by id. */
#include "protocol/kinds.h"

#include <string.h>

#include "protocol/arena.h"
#include "protocol/array.h"
#include "protocol/atomic.h"
#include "protocol/broadcast.h"
#include "protocol/buffer.h"
#include "protocol/mpmc.h"
#include "protocol/pipe.h"
#include "protocol/pool.h"
#include "protocol/record.h"
#include "protocol/ring.h"
#include "protocol/rpc.h"
#include "protocol/spsc.h"
#include "protocol/stream.h"

/* a row for each */
/* clang-format off */
const struct shmp_kind *const shmp_kinds[] = {
	&shmp_spsc_kind,
	&shmp_mpmc_kind,
	&shmp_broadcast_kind,
	&shmp_buffer_kind,
	&shmp_record_kind,
	&shmp_array_kind,
	&shmp_atomic_kind,
	&shmp_pipe_kind,
	&shmp_stream_kind,
	&shmp_ring_kind,
	&shmp_pool_kind,
	&shmp_rpc_kind,
	&shmp_arena_kind,
};
/* clang-format on */
const size_t shmp_kind_count = sizeof(shmp_kinds) / sizeof(shmp_kinds[0]);

const struct shmp_kind *shmp_kind_find(const char *name)
{
	for (size_t i = 0; i < shmp_kind_count; i++)
		if (strcmp(shmp_kinds[i]->name, name) == 0)
			return shmp_kinds[i];
	return NULL;
}

const struct shmp_role *shmp_kind_role(const struct shmp_kind *kind, const char *name)
{
	for (size_t i = 0; i < kind->role_count; i++)
		if (strcmp(kind->roles[i].name, name) == 0)
			return &kind->roles[i];
	return NULL;
}

uint32_t shmp_role_first(const struct shmp_role *role, const struct shmp_plan *plan)
{
	return role->first_option != 0 ? (uint32_t)plan->option[role->first_option - 1] :
					 role->first;
}

uint32_t shmp_role_places(const struct shmp_role *role, const struct shmp_plan *plan)
{
	if (role->observes)
		return 0;
	if (role->count_option != 0)
		return (uint32_t)plan->option[role->count_option - 1];
	return role->count != 0 ? role->count : plan->endpoint_count - shmp_role_first(role, plan);
}

int shmp_kind_option(const struct shmp_kind *kind, const char *name)
{
	for (size_t i = 0; i < kind->option_count; i++)
		if (strcmp(kind->options[i].name, name) == 0)
			return (int)i;
	return -1;
}
