/*
 * broadcast: how others' lines are read, by writers that look for room and by repair. What was
 * loaded is bounded here, so that whoever uses it may calculate with it.
 */
#ifndef SHMP_BROADCAST_SCAN_H
#define SHMP_BROADCAST_SCAN_H

#include "protocol/broadcast.h"

/* Where the tail is. */
static inline _Atomic uint64_t *shmp_broadcast_tail(const struct shmp_segment *segment)
{
	struct shmp_broadcast_control *control = segment->control;

	return segment->plan.option[SHMP_BROADCAST_EXCLUSIVE] != 0 ? &segment->endpoints[0].cursor :
								     &control->tail;
}

struct shmp_broadcast_intent {
	uint64_t position;
	uint64_t prev; /* owner of what ends there */
	uint64_t need; /* of the owner of the intent alone, when he is dead */
};

/* False when the writer @endpoint intends nothing. */
static inline bool shmp_broadcast_load_intent(const struct shmp_endpoint *endpoint,
					      struct shmp_broadcast_intent *ret_intent)
{
	/* [broadcast.I] acquire; pairs with shmp_broadcast_intend */
	uint64_t word = atomic_load_explicit(&endpoint->intent[0], memory_order_acquire);

	if ((word & SHMP_BROADCAST_INTENDED) == 0)
		return false;
	word &= ~SHMP_BROADCAST_INTENDED;
	ret_intent->position = word >> 8;
	ret_intent->prev = word & 0xff;
	/* relaxed: stored before the intent by one who is dead; nobody else asks */
	ret_intent->need = atomic_load_explicit(&endpoint->intent[1], memory_order_relaxed);
	return true;
}

/* False when the reader @endpoint has not joined, or is gone. */
static inline bool shmp_broadcast_load_cursor(const struct shmp_endpoint *endpoint,
					      uint64_t *ret_position)
{
	/* [broadcast.C] acquire; pairs with shmp_broadcast_move_to */
	uint64_t word = atomic_load_explicit(&endpoint->cursor, memory_order_acquire);

	*ret_position = word >> 8;
	return (word & SHMP_BROADCAST_ACTIVE) != 0;
}

/* Whether the writer @endpoint waits for room in the turn @turn, and how much. */
static inline bool shmp_broadcast_load_queued(const struct shmp_endpoint *endpoint, uint64_t turn,
					      uint64_t *ret_need)
{
	/* relaxed: advice, as the tickets are */
	uint64_t word = atomic_load_explicit(&endpoint->cursor, memory_order_relaxed);

	*ret_need = word & UINT32_MAX;
	return word >> 32 == shmp_broadcast_queued(turn, 0) >> 32;
}

/* The gate as it is now, for @writer. */
uint64_t shmp_broadcast_scan_gate(const struct shmp_broadcast_writer *writer);

#endif
