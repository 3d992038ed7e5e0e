/* ring: what its consumer has in hand, and who waits for whom. See ring.h and hold.h. */
#include "protocol/ring.h"

static uint64_t load(const _Atomic uint64_t *word)
{
	/* relaxed: of a dead one final, of others right for some moment */
	return atomic_load_explicit(word, memory_order_relaxed);
}

void shmp_ring_holds(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
		     void *context)
{
	const struct shmp_endpoint *consumer = &segment->endpoints[SHMP_RING_CONSUMER];
	uint64_t held = load(&consumer->intent[0]) - load(&consumer->cursor);

	if (endpoint != SHMP_RING_CONSUMER || held == 0 ||
	    held > segment->plan.option[SHMP_RING_ELEMENTS])
		return;
	fn(context, &(struct shmp_hold){ "received elements", "kept for a successor, flagged", held,
					 false });
}

void shmp_ring_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context)
{
	const struct shmp_ring_control *control = segment->control;
	struct shmp_ring_totals totals;

	shmp_ring_totals(segment, &totals);
	if (shmp_waiter_is_set(&control->not_empty, SHMP_RING_CONSUMER))
		fn(context, &(struct shmp_wait){ .endpoint = SHMP_RING_CONSUMER,
						 .is_idle = true,
						 .by = SHMP_RING_PRODUCER,
						 .what = "element",
						 .why = "has sent nothing more" });
	if (shmp_waiter_is_set(&control->not_full, SHMP_RING_PRODUCER))
		fn(context, &(struct shmp_wait){ .endpoint = SHMP_RING_PRODUCER,
						 .by = SHMP_RING_CONSUMER,
						 .what = "room",
						 .why = "has not taken the elements in it",
						 .count = totals.depth });
}
