/* waiter: the slow half, the only code that sleeps. See waiter.h. */
#include "protocol/waiter.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)

uint64_t shmp_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static int membarrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0) < 0 ? -errno : 0;
}

bool shmp_membarrier_register(void)
{
	return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0 &&
	       membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0;
}

void shmp_membarrier(void)
{
	membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

static uint64_t bit_of(uint32_t endpoint)
{
	return UINT64_C(1) << (endpoint % 64);
}

/* All of them: whoever maps the word may have requeued sleepers, and several may share it. */
static void bump_and_wake(struct shmp_waiter *waiter, uint32_t *ret_sequence)
{
	/* [K] acq_rel; pairs with shmp_waiter_prepare */
	*ret_sequence = 1 + atomic_fetch_add_explicit(&waiter->sequence, 1, memory_order_acq_rel);
	syscall(SYS_futex, &waiter->sequence, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/*
 * Whether the own bump came after @key was taken. One that lies half a round of the sequence back,
 * which others have bumped since, could pass for one that is still to come: it tells nothing.
 */
static bool woken_already(const struct shmp_waiter *waiter, const struct shmp_waiter_memory *memory,
			  uint32_t key)
{
	/* relaxed: never behind the own bump, and a bump too few is one of many */
	uint32_t now = atomic_load_explicit(&waiter->sequence, memory_order_relaxed);

	return memory->has_woken && (int32_t)(now - memory->woken) >= 0 &&
	       (int32_t)(key - memory->woken) < 0;
}

/*
 * Once for each arming. Two holders of a place may both arm by the same number, so it counts
 * together with the incarnation. That one is loaded first: an old incarnation beside a new arming
 * rings once more than needed, a new one beside an old arming could swallow a ring.
 */
static void ring_once(const struct shmp_endpoint *endpoint, uint32_t index,
		      struct shmp_waiter_memory *memory, shmp_ring_fn ring, void *ringer)
{
	uint64_t incarnation = shmp_endpoint_incarnation(endpoint);
	/* relaxed: ordered by the bit */
	uint32_t arming = atomic_load_explicit(&endpoint->doorbell, memory_order_relaxed);

	if (arming == memory->rung && incarnation == memory->incarnation)
		return;
	ring(ringer, index);
	memory->rung = arming;
	memory->incarnation = incarnation;
}

/* Before a second look at the bits, where the first was not ordered against the publication. */
static void fence_if_required(const struct shmp_waiter *waiter)
{
	/* relaxed: set by the broker before any waiter that needs it got its place */
	if (atomic_load_explicit(&waiter->mode, memory_order_relaxed) & SHMP_WAITER_FENCE)
		atomic_thread_fence(
			memory_order_seq_cst); /* [W] fence; pairs with shmp_waiter_prepare */
}

/* Not by a key that was told of already. */
static bool sleeps(const struct shmp_waiter *waiter, const struct shmp_endpoint *endpoint,
		   const struct shmp_waiter_memory *own)
{
	/* relaxed: ordered by the bit; an older key means that its owner will look again anyway */
	uint32_t key = atomic_load_explicit(&endpoint->park_key, memory_order_relaxed);

	return !woken_already(waiter, own, key);
}

/* Rings a bell that is due. True when @endpoint sleeps instead. */
static bool sleeps_or_is_rung(const struct shmp_waiter *waiter,
			      const struct shmp_endpoint *endpoint, uint32_t index,
			      const struct shmp_waiter_memory *own,
			      struct shmp_waiter_memory *memory, shmp_ring_fn ring, void *ringer)
{
	/* relaxed: ordered by the bit */
	if (atomic_load_explicit(&endpoint->doorbell, memory_order_relaxed) != 0) {
		ring_once(endpoint, index, memory, ring, ringer);
		return false;
	}
	return sleeps(waiter, endpoint, own);
}

static uint64_t attention_of(const struct shmp_waiter *waiter, uint32_t word)
{
	/* [W] acquire; pairs with shmp_waiter_prepare: the endpoints' words are those of the bits */
	return atomic_load_explicit(&waiter->attention[word], memory_order_acquire);
}

static void wake(struct shmp_waiter *waiter, struct shmp_waiter_memory *own)
{
	bump_and_wake(waiter, &own->woken);
	own->has_woken = true;
}

void shmp_waiter_notify(struct shmp_waiter *waiter, const struct shmp_endpoint *endpoints,
			uint32_t endpoint, struct shmp_waiter_memory *memory, shmp_ring_fn ring,
			void *ringer)
{
	fence_if_required(waiter);
	if ((attention_of(waiter, endpoint / 64) & bit_of(endpoint)) != 0 &&
	    sleeps_or_is_rung(waiter, &endpoints[endpoint], endpoint, memory, memory, ring, ringer))
		wake(waiter, memory);
}

void shmp_waiter_notify_all(struct shmp_waiter *waiter, const struct shmp_endpoint *endpoints,
			    uint32_t count, struct shmp_waiter_memory *own,
			    struct shmp_waiter_memory *memories, shmp_ring_fn ring, void *ringer)
{
	bool has_sleeper = false;

	fence_if_required(waiter);
	for (uint32_t word = 0; word < SHMP_WAITER_WORDS; word++) {
		for (uint64_t bits = attention_of(waiter, word); bits != 0; bits &= bits - 1) {
			uint32_t i = word * 64 + (uint32_t)__builtin_ctzll(bits);

			if (i < count && sleeps_or_is_rung(waiter, &endpoints[i], i, own,
							   &memories[i], ring, ringer))
				has_sleeper = true;
		}
	}
	if (has_sleeper)
		wake(waiter, own);
}

void shmp_waiter_notify_sleepers(struct shmp_waiter *waiter, const struct shmp_endpoint *endpoints,
				 uint32_t count, struct shmp_waiter_memory *own)
{
	bool has_sleeper = false;

	fence_if_required(waiter);
	for (uint32_t word = 0; word < SHMP_WAITER_WORDS; word++) {
		for (uint64_t bits = attention_of(waiter, word); bits != 0; bits &= bits - 1) {
			uint32_t i = word * 64 + (uint32_t)__builtin_ctzll(bits);

			has_sleeper |= i < count && sleeps(waiter, &endpoints[i], own);
		}
	}
	if (has_sleeper)
		wake(waiter, own);
}

void shmp_waiter_wake_all(struct shmp_waiter *waiter)
{
	uint32_t sequence;

	/* repair and the broker's changes of state: nobody's hot path */
	atomic_thread_fence(memory_order_seq_cst); /* [W] fence; pairs with shmp_waiter_prepare */
	bump_and_wake(waiter, &sequence);
}

/* Sets the own bit; then every publication is either seen by the next look or sees the bit. */
static void announce(struct shmp_waiter *waiter, uint32_t endpoint, bool has_membarrier)
{
	/* [W] seq_cst; pairs with shmp_waiter_notify */
	atomic_fetch_or_explicit(&waiter->attention[endpoint / 64], bit_of(endpoint),
				 memory_order_seq_cst);
	if (has_membarrier)
		shmp_membarrier();
	else
		atomic_thread_fence(
			memory_order_seq_cst); /* [W] fence; pairs with shmp_waiter_notify */
}

uint32_t shmp_waiter_prepare(struct shmp_waiter *waiter, struct shmp_endpoint *self,
			     uint32_t endpoint, bool has_membarrier)
{
	/* [K] acquire; pairs with shmp_waiter_notify */
	uint32_t key = atomic_load_explicit(&waiter->sequence, memory_order_acquire);

	/* relaxed: published by the bit */
	atomic_store_explicit(&self->park_key, key, memory_order_relaxed);
	announce(waiter, endpoint, has_membarrier);
	return key;
}

void shmp_waiter_arm(struct shmp_waiter *waiter, struct shmp_endpoint *self, uint32_t endpoint,
		     uint32_t arming, bool has_membarrier)
{
	/* relaxed: published by the bit */
	atomic_store_explicit(&self->doorbell, arming, memory_order_relaxed);
	announce(waiter, endpoint, has_membarrier);
}

int shmp_waiter_sleep(struct shmp_waiter *waiter, uint32_t key, uint64_t deadline_ns)
{
	uint64_t until = deadline_ns;
	struct timespec at;
	long r;

	/* relaxed: a piece too long or too short by one sleep is a delay, not an error */
	if (atomic_load_explicit(&waiter->mode, memory_order_relaxed) & SHMP_WAITER_PIECES) {
		uint64_t piece = shmp_clock_ns() + SECOND_NS;

		until = piece < deadline_ns ? piece : deadline_ns;
	}
	at.tv_sec = (time_t)(until / SECOND_NS);
	at.tv_nsec = (long)(until % SECOND_NS);
	do {
		/* BITSET takes an absolute time, so that EINTR does not lengthen the wait */
		r = syscall(SYS_futex, &waiter->sequence, FUTEX_WAIT_BITSET, key,
			    until == UINT64_MAX ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY);
	} while (r < 0 && errno == EINTR);
	/* not the kernel's word alone: a peer that never lets the sequence rest gets no other */
	return deadline_ns != UINT64_MAX && shmp_clock_ns() >= deadline_ns ? -ETIMEDOUT : 0;
}

void shmp_waiter_finish(struct shmp_waiter *waiter, uint32_t endpoint)
{
	/* [W] release; pairs with shmp_waiter_notify */
	atomic_fetch_and_explicit(&waiter->attention[endpoint / 64], ~bit_of(endpoint),
				  memory_order_release);
}

int shmp_waiter_require_fence(struct shmp_waiter *waiter)
{
	int r;

	/* [W] seq_cst; pairs with shmp_waiter_notify */
	atomic_fetch_or_explicit(&waiter->mode, SHMP_WAITER_FENCE, memory_order_seq_cst);
	r = membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
	/* a kernel that has none has none for the publishers either: they fence from the start */
	return r == -ENOSYS ? 0 : r;
}

void shmp_waiter_require_pieces(struct shmp_waiter *waiter)
{
	/* relaxed: only a looker who comes later can do harm, and a sleep that has begun is cut
	 * short by the wake that follows */
	atomic_fetch_or_explicit(&waiter->mode, SHMP_WAITER_PIECES, memory_order_relaxed);
	shmp_waiter_wake_all(waiter);
}
