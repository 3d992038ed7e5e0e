/*
 * Move: what the handles of all message structures do around a move of protocol/: say what came of
 * it, find out why it was not allowed, and receive the long way.
 */
#ifndef SHMC__MOVE_H
#define SHMC__MOVE_H

#include <stdint.h>

#include "libclient/object.h"
#include "libclient/wait.h"
#include "protocol/abi.h"
#include "protocol/waiter.h"

/* The hot calls of the library, kept together in memory. */
#define SHMC__HOT __attribute__((hot))

/* A gate that is closed: see spsc.c. */
extern const uint32_t shmc__gate_closed;

static inline bool shmc__gate_is_open(const uint32_t *gate)
{
	return SHMP_LIKELY(*gate != 0);
}

/* An outcome, SHMC__WAIT_TIMEOUT or -errno, as the caller of the library gets it. */
enum shmc_result shmc__move_result(int r);
/* The same for a move that did not do it; counted if it is that there is nothing to do now. */
SHMP_COLD enum shmc_result shmc__move_answer(struct shmc__object *object, int r);
/* FORKED, or INVALID: why a gate is closed. */
SHMP_COLD enum shmc_result shmc__move_refuse(const struct shmc__object *object);

static inline void shmc__move_give(const void *data, uint64_t size, uint32_t flags,
				   struct shmc_message *ret_message)
{
	ret_message->data = data;
	ret_message->size = size;
	ret_message->flags = flags;
	ret_message->reserved = 0;
}

/* Bytes of a batch's buffer that a message takes; the last one may lack the padding. */
static inline uint64_t shmc__move_step(uint64_t size, uint64_t left)
{
	uint64_t step = shmp_round_up(size, 8);

	return step < left ? step : left;
}

/* A sending move that said @r: waits for room if that is what it lacks. */
int shmc__move_wait_room(struct shmc__object *object, struct shmp_waiter *waiter, int r,
			 int64_t timeout_ns, shmc__move_fn move, void *context);

/*
 * The long way of all receiving calls: with a doorbell, or with nothing there at the first look. A
 * try that finds nothing arms the doorbell, if there is one; looking again comes last, so that what
 * was sent before the arming is not missed. The same for sending calls of a side with a doorbell.
 */
SHMP_COLD int shmc__move_receive(struct shmc__object *object, struct shmp_waiter *waiter,
				 int64_t timeout_ns, shmc__move_fn move, void *context);

#endif
