/* lock: who holds it, and who waits for whom. See lock.h and hold.h. */
#include "protocol/lock.h"

static bool has_mark(const struct shmp_segment *segment, uint32_t endpoint)
{
	/* relaxed: of a dead one final, of others right for some moment */
	return atomic_load_explicit(&segment->endpoints[endpoint].intent[SHMP_LOCK_MARK],
				    memory_order_relaxed) != 0;
}

void shmp_lock_holds(const struct shmp_lock *lock, const struct shmp_segment *segment,
		     uint32_t endpoint, const char *fate, shmp_hold_fn fn, void *context)
{
	uint64_t incarnation = shmp_endpoint_incarnation(&segment->endpoints[endpoint]);
	uint64_t word = shmp_lock_load(lock);
	bool is_named = (word & ~UINT64_C(0xff)) == shmp_lock_name(endpoint, incarnation);

	if (is_named && shmp_lock_state_of(word) == SHMP_LOCK_HELD)
		fn(context, &(struct shmp_hold){ "lock to write", fate, 1, false });
	else if (is_named && shmp_lock_state_of(word) == SHMP_LOCK_PENDING)
		fn(context, &(struct shmp_hold){ "claim of the lock", "withdrawn", 1, false });
	else if (has_mark(segment, endpoint))
		fn(context, &(struct shmp_hold){ "lock to read", "released", 1, false });
}

/* Those who claim it are held up by who reads; at most one does, and hostile bits say of more. */
static void tell_readers(const struct shmp_segment *segment, uint32_t claimant, shmp_wait_fn fn,
			 void *context)
{
	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++) {
		if (i != claimant && has_mark(segment, i))
			fn(context, &(struct shmp_wait){ .endpoint = claimant,
							 .by = i,
							 .what = "lock",
							 .why = "holds it to read" });
	}
}

void shmp_lock_waits_for(const struct shmp_lock *lock, const struct shmp_segment *segment,
			 shmp_wait_fn fn, void *context)
{
	struct shmp_lock_owner owner;

	shmp_lock_look(lock, segment, &owner);
	if (owner.state == SHMP_LOCK_PENDING && shmp_waiter_is_set(&lock->left, owner.endpoint))
		tell_readers(segment, owner.endpoint, fn, context);
	/* free again: who still waits is about to find that out */
	if (owner.state == SHMP_LOCK_FREE)
		return;
	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++) {
		if (!shmp_waiter_is_set(&lock->freed, i))
			continue;
		fn(context, &(struct shmp_wait){ .endpoint = i,
						 .by = owner.endpoint,
						 .what = "lock",
						 .why = owner.state == SHMP_LOCK_HELD ?
								"holds it to write" :
								"has claimed it to write",
						 .since_ns = owner.since_ns,
						 .tid = owner.tid });
	}
}
