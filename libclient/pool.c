/*
 * Handles of pools. The moves are protocol/pool.h's; gates as in spsc.c: closed for observers, and
 * that of acquire also while a doorbell is armed.
 */
#include "shmclient/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libclient/bell.h"
#include "libclient/error.h"
#include "libclient/move.h"
#include "libclient/object.h"
#include "libclient/wait.h"
#include "protocol/pool.h"

struct shmc_pool {
	const uint32_t *gate;
	const uint32_t *acquire_gate;
	struct shmp_pool moves;
	enum shmc_pool_role role;
	struct shmc__object object;
};

static void pool_set_gates(struct shmc_pool *pool)
{
	bool is_user = pool->role == SHMC_POOL_USER;

	pool->gate = is_user ? pool->object.alive : &shmc__gate_closed;
	pool->acquire_gate = pool->object.bell.is_armed ? &shmc__gate_closed : pool->gate;
}

/* Opening and closing. */

enum shmc_result shmc_pool_create(struct shmc_client *client, const char *name,
				  const struct shmc_pool_options *options, struct shmc_error *error)
{
	static const struct shmc_pool_options none;
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };

	if (!options)
		options = &none;
	option[SHMP_POOL_OBJECT_BYTES] = options->object_bytes;
	option[SHMP_POOL_OBJECTS] = options->objects;
	option[SHMP_POOL_ENDPOINTS_MAX] = options->endpoints_max;
	return shmc__object_create_as(client, name, &shmp_pool_kind, option, options->mode,
				      options->reuse != 0, options->common, error);
}

static enum shmc_result pool_check(const struct shmc_pool *pool, const char *name,
				   const struct shmc_pool_options *expected,
				   struct shmc_error *error)
{
	const uint64_t *option = pool->object.mapping->segment.plan.option;
	const struct {
		enum shmp_pool_option option;
		uint64_t wanted;
	} rows[] = {
		{ SHMP_POOL_OBJECT_BYTES, expected->object_bytes },
		{ SHMP_POOL_OBJECTS, expected->objects },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t has = option[rows[i].option];

		if (rows[i].wanted != 0 && rows[i].wanted != has)
			return shmc__error(error, SHMC_MISMATCH,
					   "%s: its %s is %" PRIu64 ", not %" PRIu64, name,
					   shmp_pool_kind.options[rows[i].option].name, has,
					   rows[i].wanted);
	}
	return SHMC_OK;
}

static enum shmc_result pool_attach(struct shmc_pool *pool, const char *name,
				    const struct shmc_pool_options *expected,
				    struct shmc_error *error)
{
	enum shmc_result result = expected ? pool_check(pool, name, expected, error) : SHMC_OK;

	if (result == SHMC_OK && pool->role == SHMC_POOL_USER &&
	    shmp_pool_attach(&pool->object.mapping->segment, pool->object.endpoint, &pool->moves) <
		    0)
		result = shmc__error(
			error, SHMC_CORRUPT,
			"%s: an object's word is such that no user wrote: unlink it and "
			"make it anew",
			name);
	if (result != SHMC_OK)
		shmc__object_close(&pool->object);
	return result;
}

enum shmc_result shmc_pool_open(struct shmc_client *client, const char *name,
				enum shmc_pool_role role, const struct shmc_pool_options *expected,
				struct shmc_pool **ret_pool, struct shmc_error *error)
{
	static const char *const names[] = {
		[SHMC_POOL_USER] = "user",
		[SHMC_POOL_OBSERVER] = "observer",
	};
	struct shmc_pool *pool;
	enum shmc_result result;

	if ((unsigned int)role > SHMC_POOL_OBSERVER)
		return shmc__error(error, SHMC_INVALID, "role: neither user nor observer");
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return shmc__error_from_errno(error, "open the pool", ENOMEM);
	pool->role = role;
	result = shmc__object_open(&pool->object, client, name, &shmp_pool_kind, names[role],
				   error);
	if (result == SHMC_OK)
		result = pool_attach(pool, name, expected, error);
	if (result != SHMC_OK) {
		free(pool);
		return result;
	}
	pool_set_gates(pool);
	*ret_pool = pool;
	return SHMC_OK;
}

struct shmc_pool *shmc_pool_close(struct shmc_pool *pool)
{
	if (pool) {
		shmc__object_close(&pool->object);
		free(pool);
	}
	return NULL;
}

/* What the pool says beside the outcomes of all structures. */
static enum shmc_result pool_result(int r)
{
	if (r == SHMP_POOL_STALE)
		return SHMC_STALE;
	return r == SHMP_POOL_DENIED ? SHMC_DENIED : shmc__move_result(r);
}

/* Acquiring. */

struct pool_acquire {
	struct shmc_pool *pool;
	uint64_t *ret_handle;
};

static int pool_move_acquire(void *context)
{
	struct pool_acquire *acquire = context;

	return shmp_pool_acquire(&acquire->pool->moves, acquire->ret_handle);
}

static void *pool_at(const struct shmc_pool *pool, uint64_t handle)
{
	return shmp_pool_at(&pool->moves.view, shmp_pool_index(handle));
}

/* With a doorbell, or with nothing free at the first look. */
static SHMP_COLD enum shmc_result pool_acquire_again(struct shmc_pool *pool, int64_t timeout_ns,
						     uint64_t *ret_handle)
{
	struct pool_acquire acquire = { pool, ret_handle };
	int r;

	if (!shmc__gate_is_open(pool->gate))
		return shmc__move_refuse(&pool->object);
	r = shmc__move_receive(&pool->object, &pool->moves.view.control->freed, timeout_ns,
			       pool_move_acquire, &acquire);
	pool_set_gates(pool);
	return r == SHMP_DONE ? SHMC_OK : shmc__move_answer(&pool->object, r);
}

SHMC__HOT enum shmc_result shmc_pool_acquire(struct shmc_pool *pool, int64_t timeout_ns,
					     uint64_t *ret_handle, void **ret_data)
{
	enum shmc_result result = SHMC_OK;

	if (!shmc__gate_is_open(pool->acquire_gate) ||
	    SHMP_UNLIKELY(shmp_pool_acquire(&pool->moves, ret_handle) != SHMP_DONE))
		result = pool_acquire_again(pool, timeout_ns, ret_handle);
	if (ret_data && SHMP_LIKELY(result == SHMC_OK))
		*ret_data = pool_at(pool, *ret_handle);
	return result;
}

enum shmc_result shmc_pool_acquire_batch(struct shmc_pool *pool, uint64_t count, int64_t timeout_ns,
					 uint64_t *ret_handles, uint64_t *ret_count)
{
	enum shmc_result result;
	uint64_t got;

	if (count == 0)
		return shmc__move_refuse(&pool->object);
	result = shmc_pool_acquire(pool, timeout_ns, ret_handles, NULL);
	if (result != SHMC_OK)
		return result;
	for (got = 1; got < count; got++)
		if (shmp_pool_acquire(&pool->moves, &ret_handles[got]) != SHMP_DONE)
			break;
	*ret_count = got;
	return SHMC_OK;
}

/* Releasing. */

static SHMP_COLD enum shmc_result pool_tell(struct shmc_pool *pool)
{
	shmp_pool_tell(&pool->moves, shmc__bell_ring, &pool->object);
	return SHMC_OK;
}

/* After something became free. */
static inline enum shmc_result pool_freed(struct shmc_pool *pool)
{
	if (SHMP_UNLIKELY(shmp_pool_is_awaited(&pool->moves)))
		return pool_tell(pool);
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_pool_release(struct shmc_pool *pool, uint64_t handle)
{
	int r;

	if (!shmc__gate_is_open(pool->gate))
		return shmc__move_refuse(&pool->object);
	r = shmp_pool_release(&pool->moves, handle);
	return SHMP_LIKELY(r == SHMP_DONE) ? pool_freed(pool) : pool_result(r);
}

enum shmc_result shmc_pool_release_batch(struct shmc_pool *pool, const uint64_t *handles,
					 uint64_t count, uint64_t *ret_count)
{
	uint64_t done = 0;
	int r = SHMP_DONE;

	if (!shmc__gate_is_open(pool->gate))
		return shmc__move_refuse(&pool->object);
	while (done < count && (r = shmp_pool_release(&pool->moves, handles[done])) == SHMP_DONE)
		done++;
	if (ret_count)
		*ret_count = done;
	pool_freed(pool);
	return pool_result(r);
}

void *shmc_pool_data(const struct shmc_pool *pool, uint64_t handle)
{
	uint64_t index;

	if (!shmc__gate_is_open(pool->gate) || !shmp_pool_is_own(&pool->moves, handle, &index))
		return NULL;
	return shmp_pool_at(&pool->moves.view, index);
}

/* Handing over. */

enum shmc_result shmc_pool_transfer(struct shmc_pool *pool, uint64_t handle, uint32_t to)
{
	if (!shmc__gate_is_open(pool->gate))
		return shmc__move_refuse(&pool->object);
	return pool_result(shmp_pool_transfer(&pool->moves, handle, to));
}

enum shmc_result shmc_pool_claim(struct shmc_pool *pool, uint64_t handle, void **ret_data)
{
	int r;

	if (!shmc__gate_is_open(pool->gate))
		return shmc__move_refuse(&pool->object);
	r = shmp_pool_claim(&pool->moves, handle);
	if (r == SHMP_DONE && ret_data)
		*ret_data = pool_at(pool, handle);
	return pool_result(r);
}

enum shmc_result shmc_pool_adopt(struct shmc_pool *pool, uint64_t handle, void **ret_data)
{
	int r;

	if (!shmc__gate_is_open(pool->gate))
		return shmc__move_refuse(&pool->object);
	r = shmp_pool_adopt(&pool->moves, handle);
	if (r == SHMP_DONE && ret_data)
		*ret_data = pool_at(pool, handle);
	return pool_result(r);
}

enum shmc_result shmc_pool_reclaim(struct shmc_pool *pool, uint64_t handle)
{
	int r;

	if (!shmc__gate_is_open(pool->gate))
		return shmc__move_refuse(&pool->object);
	r = shmp_pool_reclaim(&pool->moves, handle);
	return r == SHMP_DONE ? pool_freed(pool) : pool_result(r);
}

enum shmc_result shmc_pool_reclaim_abandoned(struct shmc_pool *pool, uint64_t *ret_count)
{
	uint64_t count;

	if (!shmc__gate_is_open(pool->gate))
		return shmc__move_refuse(&pool->object);
	count = shmp_pool_reclaim_abandoned(&pool->moves);
	if (ret_count)
		*ret_count = count;
	return pool_freed(pool);
}

uint32_t shmc_pool_endpoint(const struct shmc_pool *pool)
{
	return pool->role == SHMC_POOL_USER ? pool->object.endpoint : SHMC_POOL_ANYONE;
}

/* Waiting otherwise, and looking. */

enum shmc_result shmc_pool_fd(struct shmc_pool *pool, int *ret_fd, struct shmc_error *error)
{
	enum shmc_result result;

	if (shmc__object_is_forked(&pool->object))
		return shmc__error(error, SHMC_FORKED, "this pool is the parent process's");
	if (pool->role != SHMC_POOL_USER)
		return shmc__error(error, SHMC_INVALID, "an observer has no descriptor");
	result = shmc__bell_open(&pool->object, error);
	if (result == SHMC_OK)
		*ret_fd = pool->object.bell.poll.fd;
	return result;
}

enum shmc_result shmc_pool_look(const struct shmc_pool *pool, struct shmc_look *look,
				shmc_item_fn fn, void *context)
{
	return shmc__object_look(&pool->object, look, fn, context);
}

enum shmc_result shmc_pool_options_of(const struct shmc_pool *pool,
				      struct shmc_pool_options *ret_options)
{
	const uint64_t *option;

	if (shmc__object_is_forked(&pool->object))
		return SHMC_FORKED;
	option = pool->object.mapping->segment.plan.option;
	*ret_options = (struct shmc_pool_options){
		.object_bytes = option[SHMP_POOL_OBJECT_BYTES],
		.objects = option[SHMP_POOL_OBJECTS],
		.endpoints_max = option[SHMP_POOL_ENDPOINTS_MAX],
	};
	return SHMC_OK;
}

enum shmc_result shmc_pool_statistics(const struct shmc_pool *pool,
				      struct shmc_pool_statistics *ret_statistics)
{
	struct shmp_pool_counts counts;
	struct shmc_statistics all;

	if (shmc__object_is_forked(&pool->object))
		return SHMC_FORKED;
	shmp_pool_count(&pool->object.mapping->segment, &counts);
	shmc__object_statistics_of_all(&pool->object, &all);
	*ret_statistics = (struct shmc_pool_statistics){
		.free = counts.of[SHMP_POOL_FREE],
		.owned = counts.of[SHMP_POOL_OWNED],
		.in_transit_to_one = counts.of[SHMP_POOL_TRANSIT_TO],
		.in_transit_to_anyone = counts.of[SHMP_POOL_TRANSIT_ANY],
		.acquired = counts.acquired,
		.released = counts.released,
		.returned = counts.returned,
		.refused = all.refused,
		.waits = all.waits,
	};
	return SHMC_OK;
}
