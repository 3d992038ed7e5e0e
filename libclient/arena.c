/*
 * Handles of arenas: the directory, read-only. What is in an arena is opened by its own kind.
 */
#include "shmclient/arena.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libclient/error.h"
#include "libclient/move.h"
#include "libclient/object.h"
#include "protocol/arena.h"

struct shmc_arena {
	const uint32_t *gate;
	struct shmp_arena view;
	struct shmc__object object;
};

static const struct {
	uint64_t name_bytes;
	uint64_t entries;
} arena_tables[] = {
	[SHMC_ARENA_TABLE_16X16] = { 16, 16 },
	[SHMC_ARENA_TABLE_32X64] = { 32, 64 },
	[SHMC_ARENA_TABLE_64X256] = { 64, 256 },
	[SHMC_ARENA_TABLE_256X1024] = { 256, 1024 },
};

static enum shmc_result arena_check_options(const struct shmc_arena_options *options,
					    struct shmc_error *error)
{
	if (options->reserved != 0)
		return shmc__error(error, SHMC_INVALID, "reserved: must be 0");
	if (options->table > SHMC_ARENA_TABLE_256X1024)
		return shmc__error(error, SHMC_INVALID,
				   "table: %" PRIu32 " is none of enum shmc_arena_table",
				   options->table);
	if (options->table != SHMC_ARENA_TABLE_OWN &&
	    (options->name_bytes != 0 || options->entries != 0))
		return shmc__error(error, SHMC_INVALID,
				   "table: says name_bytes and entries, which must be 0 then");
	return SHMC_OK;
}

enum shmc_result shmc_arena_create(struct shmc_client *client, const char *name,
				   const struct shmc_arena_options *options,
				   struct shmc_error *error)
{
	static const struct shmc_arena_options none;
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };
	enum shmc_result result;

	if (!options)
		options = &none;
	result = arena_check_options(options, error);
	if (result != SHMC_OK)
		return result;
	option[SHMP_ARENA_NAME_BYTES] = options->name_bytes;
	option[SHMP_ARENA_ENTRIES] = options->entries;
	if (options->table != SHMC_ARENA_TABLE_OWN) {
		option[SHMP_ARENA_NAME_BYTES] = arena_tables[options->table].name_bytes;
		option[SHMP_ARENA_ENTRIES] = arena_tables[options->table].entries;
	}
	option[SHMP_ARENA_CONTROL_BYTES] = options->control_bytes;
	option[SHMP_ARENA_DATA_BYTES] = options->data_bytes;
	return shmc__object_create_as(client, name, &shmp_arena_kind, option, options->mode,
				      options->reuse != 0, options->common, error);
}

enum shmc_result shmc_arena_open(struct shmc_client *client, const char *name,
				 struct shmc_arena **ret_arena, struct shmc_error *error)
{
	struct shmc_arena *arena = calloc(1, sizeof(*arena));
	enum shmc_result result;

	if (!arena)
		return shmc__error_from_errno(error, "open the arena", ENOMEM);
	result = shmc__object_open(&arena->object, client, name, &shmp_arena_kind, "observer",
				   error);
	if (result != SHMC_OK) {
		free(arena);
		return result;
	}
	shmp_arena_view(&arena->object.mapping->segment, &arena->view);
	arena->gate = arena->object.alive;
	*ret_arena = arena;
	return SHMC_OK;
}

struct shmc_arena *shmc_arena_close(struct shmc_arena *arena)
{
	if (arena) {
		shmc__object_close(&arena->object);
		free(arena);
	}
	return NULL;
}

static const char *arena_kind_name(uint32_t id)
{
	for (size_t i = 0; i < shmp_kind_count; i++)
		if (shmp_kinds[i]->id == id)
			return shmp_kinds[i]->name;
	return "";
}

static void arena_give(const struct shmp_arena_object *object, struct shmc_arena_object *ret_object)
{
	*ret_object = (struct shmc_arena_object){
		.generation = object->generation,
		.data_bytes = object->data_bytes,
		.control_bytes = object->control_bytes,
		.kind = arena_kind_name(object->kind),
		.index = object->index,
	};
}

SHMC__HOT enum shmc_result shmc_arena_find(const struct shmc_arena *arena, const char *name,
					   struct shmc_arena_object *ret_object)
{
	struct shmp_arena_object object;

	if (!shmc__gate_is_open(arena->gate))
		return SHMC_FORKED;
	if (!shmp_arena_find(&arena->view, name, &object))
		return SHMC_NOT_FOUND;
	if (ret_object)
		arena_give(&object, ret_object);
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_arena_check(const struct shmc_arena *arena,
					    const struct shmc_arena_object *object)
{
	if (!shmc__gate_is_open(arena->gate))
		return SHMC_FORKED;
	return shmp_arena_is_current(&arena->view, object->index, object->generation) ?
		       SHMC_OK :
		       SHMC_NOT_FOUND;
}

enum shmc_result shmc_arena_each(const struct shmc_arena *arena, shmc_arena_fn fn, void *context)
{
	char name[SHMP_ARENA_NAME_BYTES_MAX + 1];
	struct shmp_arena_object object;
	struct shmc_arena_object given;

	if (shmc__object_is_forked(&arena->object))
		return SHMC_FORKED;
	for (uint32_t i = 0; i < arena->view.entry_count; i++) {
		if (!shmp_arena_read(&arena->view, i, name, &object))
			continue;
		arena_give(&object, &given);
		if (fn(context, name, &given) != 0)
			break;
	}
	return SHMC_OK;
}

enum shmc_result shmc_arena_statistics(const struct shmc_arena *arena,
				       struct shmc_arena_statistics *ret_statistics)
{
	const struct shmp_arena_control *control = arena->view.control;
	const uint64_t *option;

	if (shmc__object_is_forked(&arena->object))
		return SHMC_FORKED;
	option = arena->object.mapping->segment.plan.option;
	*ret_statistics = (struct shmc_arena_statistics){
		.entries = option[SHMP_ARENA_ENTRIES],
		.directory_bytes = shmp_arena_directory_bytes(option[SHMP_ARENA_NAME_BYTES],
							      option[SHMP_ARENA_ENTRIES]),
		.control_bytes = option[SHMP_ARENA_CONTROL_BYTES],
		.data_bytes = option[SHMP_ARENA_DATA_BYTES],
	};
	/* relaxed: statistics, each right for some moment */
	ret_statistics->entries_used = atomic_load_explicit(&control->used, memory_order_relaxed);
	/* relaxed: as above */
	ret_statistics->control_free_bytes = atomic_load_explicit(&control->control_free,
								  memory_order_relaxed);
	/* relaxed: as above */
	ret_statistics->control_largest_bytes = atomic_load_explicit(&control->control_largest,
								     memory_order_relaxed);
	/* relaxed: as above */
	ret_statistics->data_free_bytes = atomic_load_explicit(&control->data_free,
							       memory_order_relaxed);
	/* relaxed: as above */
	ret_statistics->data_largest_bytes = atomic_load_explicit(&control->data_largest,
								  memory_order_relaxed);
	return SHMC_OK;
}

enum shmc_result shmc_arena_options_of(const struct shmc_arena *arena,
				       struct shmc_arena_options *ret_options)
{
	const uint64_t *option;

	if (shmc__object_is_forked(&arena->object))
		return SHMC_FORKED;
	option = arena->object.mapping->segment.plan.option;
	*ret_options = (struct shmc_arena_options){
		.name_bytes = option[SHMP_ARENA_NAME_BYTES],
		.entries = option[SHMP_ARENA_ENTRIES],
		.control_bytes = option[SHMP_ARENA_CONTROL_BYTES],
		.data_bytes = option[SHMP_ARENA_DATA_BYTES],
	};
	return SHMC_OK;
}
