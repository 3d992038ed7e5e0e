/*
 * Waiter: an event count on a shared futex, the only code that sleeps.
 *
 * Use, waiting side:			Use, publishing side:
 *	key = shmp_waiter_prepare(...)		publish
 *	look again at the condition		if (shmp_waiter_wanted(w))
 *	shmp_waiter_sleep(w, key, ...)			shmp_waiter_notify(...)
 *	shmp_waiter_finish(...)
 *
 * Guarantee: whoever prepared and then found the condition false is woken by every publication
 * that his look missed. The publisher pays two loads of a line that nobody writes while both
 * sides are awake: no locked instruction, no fence, no system call.
 *
 * Why: the waiter sets its bit and then runs membarrier, a full barrier inside every registered
 * process. A publication before that barrier is seen by the second look; one after it comes from
 * a publisher whose next load sees the bit. A process that may not register makes the broker set
 * SHMP_WAITER_FENCE (and run membarrier once itself) before it gets its endpoint; from then on
 * every publisher fences between publication and look, and the waiter that has no membarrier
 * fences too. One that has membarrier always uses it, whatever the mode says: a publisher may
 * still be past its load of the mode.
 *
 * Bits are set and cleared by their owner, or by repair when he is dead; never by the publisher.
 * A bit says "tell me": the endpoint's own words say how. doorbell != 0: ring it, once for each
 * arming. Otherwise it sleeps on park_key: bump the sequence and wake all. A publisher remembers
 * in its private memory what it has done already, so that a slow riser does not cost a system
 * call for each message; it never relies on what another publisher began, since that one may be
 * stopped between the bump and the wake.
 *
 * Crash: publisher dead between publication and wake: repair bumps and wakes. Waiter dead asleep:
 * repair clears its bit. Both unconditionally, so a broker killed in the middle repeats it.
 *
 * Edges:
 * [W] attention: waiter -> publisher, publishes park_key/doorbell; ordered against the
 *     publication by membarrier or the fences named here
 * [K] sequence: publisher -> waiter, publishes that something happened since the key was taken
 *
 * Progress: wanted wait-free; notify wait-free; sleep blocking.
 */
#ifndef SHMP_WAITER_H
#define SHMP_WAITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/abi.h"
#include "protocol/endpoint.h"

#define SHMP_WAITER_WORDS 4

enum shmp_waiter_mode {
	SHMP_WAITER_FENCE = 1u,	 /* publishers fence before they look */
	SHMP_WAITER_PIECES = 2u, /* an observer of another uid may requeue: sleep in 1 s pieces */
};

struct shmp_waiter {
	_Alignas(64) _Atomic uint32_t sequence; /* the futex word */
	_Atomic uint32_t mode;			/* set by the broker, never cleared */
	_Atomic uint64_t attention[SHMP_WAITER_WORDS];
	uint64_t reserved[3];
};
SHMP_FREEZE(shmp_waiter, 64);
SHMP_FIELD(shmp_waiter, sequence, 0);
SHMP_FIELD(shmp_waiter, mode, 4);
SHMP_FIELD(shmp_waiter, attention, 8);
SHMP_FIELD(shmp_waiter, reserved, 40);

/* What a publisher privately remembers about one waiting endpoint. Zeroed at attach. */
struct shmp_waiter_memory {
	uint32_t woken; /* sequence after the last bump whose wake call is done; 0 = none yet */
	uint32_t rung;	/* arming that has been rung, of the holder named by incarnation */
	bool has_woken;
	uint64_t incarnation;
};

/* Called by notify for an endpoint with an armed doorbell: ring it, without blocking. */
typedef void (*shmp_ring_fn)(void *ringer, uint32_t endpoint);

/*
 * The publisher's question, right after its publication; @endpoint is the only one that can
 * wait here (one counterpart).
 */
static inline bool shmp_waiter_wanted_by(const struct shmp_waiter *waiter, uint32_t endpoint)
{
	/* keeps the compiler from looking before it publishes; the cpu is held by membarrier */
	atomic_signal_fence(memory_order_seq_cst); /* [W] fence; pairs with shmp_waiter_prepare */
	/* relaxed: a hint; FENCE is handled out of line, with its own fence and second look */
	if (SHMP_UNLIKELY(atomic_load_explicit(&waiter->mode, memory_order_relaxed) &
			  SHMP_WAITER_FENCE))
		return true;
	/* relaxed: ordered by the waiter's membarrier; notify loads it again with acquire */
	return SHMP_UNLIKELY(
		atomic_load_explicit(&waiter->attention[endpoint / 64], memory_order_relaxed) &
		UINT64_C(1) << (endpoint % 64));
}

/* Words of attention that @count endpoints need. */
static inline uint32_t shmp_waiter_words(uint32_t count)
{
	return (count + 63) / 64;
}

/* The same where any of many endpoints may wait, which take @words of attention. */
static inline bool shmp_waiter_wanted(const struct shmp_waiter *waiter, uint32_t words)
{
	uint64_t bits;

	/* as in shmp_waiter_wanted_by */
	atomic_signal_fence(memory_order_seq_cst); /* [W] fence; pairs with shmp_waiter_prepare */
	/* relaxed: as in shmp_waiter_wanted_by */
	bits = atomic_load_explicit(&waiter->mode, memory_order_relaxed) & SHMP_WAITER_FENCE;
	/* relaxed: as in shmp_waiter_wanted_by */
	bits |= atomic_load_explicit(&waiter->attention[0], memory_order_relaxed);
	for (uint32_t i = 1; SHMP_UNLIKELY(i < words); i++)
		/* relaxed: as in shmp_waiter_wanted_by */
		bits |= atomic_load_explicit(&waiter->attention[i], memory_order_relaxed);
	return SHMP_UNLIKELY(bits != 0);
}

/* The slow half: tells @endpoint if it still wants to know. Wakes everybody on the futex. */
SHMP_COLD void shmp_waiter_notify(struct shmp_waiter *waiter, const struct shmp_endpoint *endpoints,
				  uint32_t endpoint, struct shmp_waiter_memory *memory,
				  shmp_ring_fn ring, void *ringer);

/*
 * The slow half where anybody may wait: tells every one of @count endpoints who wants to know.
 * @memories: one for each of them; @own: what concerns the futex, which all share.
 */
SHMP_COLD void shmp_waiter_notify_all(struct shmp_waiter *waiter,
				      const struct shmp_endpoint *endpoints, uint32_t count,
				      struct shmp_waiter_memory *own,
				      struct shmp_waiter_memory *memories, shmp_ring_fn ring,
				      void *ringer);

/* The same where nobody has a doorbell: wakes those of @count endpoints who sleep here. */
SHMP_COLD void shmp_waiter_notify_sleepers(struct shmp_waiter *waiter,
					   const struct shmp_endpoint *endpoints, uint32_t count,
					   struct shmp_waiter_memory *own);

/* Broker: bump and wake all sleepers, whoever they are. */
void shmp_waiter_wake_all(struct shmp_waiter *waiter);

/* Sets the own bit and passes the barrier. Returns the key to sleep on. */
uint32_t shmp_waiter_prepare(struct shmp_waiter *waiter, struct shmp_endpoint *self,
			     uint32_t endpoint, bool has_membarrier);

/* The same for a doorbell: the non-zero @arming instead of a key. See doorbell.h. */
void shmp_waiter_arm(struct shmp_waiter *waiter, struct shmp_endpoint *self, uint32_t endpoint,
		     uint32_t arming, bool has_membarrier);

/*
 * Sleeps until the sequence leaves @key, @deadline_ns (CLOCK_MONOTONIC, UINT64_MAX = none) or,
 * in PIECES mode, a second has passed; a signal is no reason to return. May return for nothing:
 * look again. Returns 0, or -ETIMEDOUT once the deadline has passed.
 */
int shmp_waiter_sleep(struct shmp_waiter *waiter, uint32_t key, uint64_t deadline_ns);

/* For status: whether the bit is set. */
static inline bool shmp_waiter_is_set(const struct shmp_waiter *waiter, uint32_t endpoint)
{
	/* relaxed: right for some moment */
	return atomic_load_explicit(&waiter->attention[endpoint / 64], memory_order_relaxed) >>
		       (endpoint % 64) &
	       1;
}

/* Takes the own bit back; also repair's move for the dead. */
void shmp_waiter_finish(struct shmp_waiter *waiter, uint32_t endpoint);

/* Broker: from now on publishers fence. Runs membarrier itself; -errno when that is refused. */
int shmp_waiter_require_fence(struct shmp_waiter *waiter);

/* Broker: from now on whoever sleeps here looks again every second. */
void shmp_waiter_require_pieces(struct shmp_waiter *waiter);

/*
 * Registers this process as a publisher for membarrier (once, cheap while single-threaded).
 * Returns whether it may publish without fences and wait with membarrier.
 */
bool shmp_membarrier_register(void);
/* The barrier itself; only after a successful register. */
void shmp_membarrier(void);

uint64_t shmp_clock_ns(void);

#endif
