#include "libclient/move.h"

#include <errno.h>

#include "libclient/bell.h"
#include "protocol/endpoint.h"
#include "protocol/outcome.h"

const uint32_t shmc__gate_closed;

enum shmc_result shmc__move_result(int r)
{
	switch (r) {
	case SHMP_DONE:
		return SHMC_OK;
	case SHMP_FULL:
		return SHMC_FULL;
	case SHMP_EMPTY:
		return SHMC_EMPTY;
	case SHMP_TOO_BIG:
		return SHMC_TOO_BIG;
	case SHMP_PEER_DEAD:
		return SHMC_PEER_DEAD;
	case SHMP_PEER_LEFT:
		return SHMC_CLOSED;
	case SHMP_HELD:
	case SHMC__WAIT_TIMEOUT:
		return SHMC_TIMEOUT;
	case SHMP_OWNER_DIED:
		return SHMC_OWNER_DIED;
	case SHMP_UNRECOVERABLE:
		return SHMC_UNRECOVERABLE;
	case SHMP_DAMAGED:
		return SHMC_DAMAGED;
	case SHMP_LAPPED:
		return SHMC_LAPPED;
	case -EINVAL:
		return SHMC_INVALID;
	default:
		return SHMC_CORRUPT;
	}
}

enum shmc_result shmc__move_answer(struct shmc__object *object, int r)
{
	if (r == SHMP_FULL || r == SHMP_EMPTY || r == SHMP_HELD || r == SHMC__WAIT_TIMEOUT)
		shmp_endpoint_count(&shmc__object_self(object)->refused, 1);
	return shmc__move_result(r);
}

enum shmc_result shmc__move_refuse(const struct shmc__object *object)
{
	return shmc__object_is_forked(object) ? SHMC_FORKED : SHMC_INVALID;
}

int shmc__move_wait_room(struct shmc__object *object, struct shmp_waiter *waiter, int r,
			 int64_t timeout_ns, shmc__move_fn move, void *context)
{
	if (r != SHMP_FULL || timeout_ns == 0)
		return r;
	return shmc__wait(object, waiter, timeout_ns, move, context);
}

static bool move_found_nothing(int r)
{
	return r == SHMP_EMPTY || r == SHMP_FULL || r == SHMP_PEER_DEAD || r == SHMP_PEER_LEFT;
}

static int move_arm_and_look(struct shmc__object *object, struct shmp_waiter *waiter,
			     shmc__move_fn move, void *context)
{
	int broken = shmc__bell_arm(object, waiter);
	int r = move(context);

	return r != SHMP_DONE && broken < 0 ? broken : r;
}

static bool move_may_wait(int r)
{
	return r == SHMP_EMPTY || r == SHMP_FULL;
}

int shmc__move_receive(struct shmc__object *object, struct shmp_waiter *waiter, int64_t timeout_ns,
		       shmc__move_fn move, void *context)
{
	int r = move(context);

	if (move_found_nothing(r) && shmc__bell_is_open(&object->bell) && timeout_ns == 0)
		r = move_arm_and_look(object, waiter, move, context);
	if (r == SHMP_DONE || (move_may_wait(r) && timeout_ns != 0))
		shmc__bell_disarm(object, waiter);
	if (move_may_wait(r) && timeout_ns != 0)
		r = shmc__wait(object, waiter, timeout_ns, move, context);
	return r;
}
