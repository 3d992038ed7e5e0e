/*
 * Plain: the algorithm of protocol/mpmc.h without what its repair needs: no intents, no owner in the
 * index words, no about but the size, no epoch. Everything else is the same: slots, words, one
 * compare-exchange, counters, and the look at who waits. What the difference costs is what safety
 * costs.
 */
#ifndef BENCH_PLAIN_H
#define BENCH_PLAIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/copy.h"
#include "protocol/waiter.h"

struct plain_slot {
	_Alignas(64) _Atomic uint64_t word; /* lap << 1 | is ready */
	uint64_t size;
	uint8_t payload[48];
};

struct plain {
	_Alignas(128) _Atomic uint64_t tail;
	_Alignas(128) _Atomic uint64_t head;
	_Alignas(128) struct shmp_waiter not_empty;
	_Alignas(128) struct shmp_waiter not_full;
	struct {
		_Alignas(128) _Atomic uint64_t items;
		_Atomic uint64_t bytes;
	} count[4];
	/* read only */
	_Alignas(128) uint64_t mask;
	uint64_t slot_bytes;
	uint64_t message_max;
	uint32_t words;
	_Alignas(4096) uint8_t slots[];
};

static inline struct plain_slot *plain_slot(struct plain *plain, uint64_t place)
{
	return (struct plain_slot *)(void *)(plain->slots + place * plain->slot_bytes);
}

static inline void plain_count(_Atomic uint64_t *counter, uint64_t more)
{
	uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, now + more, memory_order_relaxed);
}

/* @who: whose counters. False when it is full; or somebody was faster, which is tried again. */
static inline bool plain_push(struct plain *plain, unsigned who, const void *data, uint64_t bytes)
{
	if (bytes > plain->message_max)
		return false;
	for (;;) {
		uint64_t tail = atomic_load_explicit(&plain->tail, memory_order_acquire);
		uint64_t place = tail & plain->mask;
		struct plain_slot *slot = plain_slot(plain, place);
		uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);

		if (word != (tail - place) << 1) {
			if (atomic_load_explicit(&plain->tail, memory_order_acquire) == tail)
				return false;
			continue;
		}
		if (!atomic_compare_exchange_strong_explicit(&plain->tail, &tail, tail + 1,
							     memory_order_acq_rel,
							     memory_order_relaxed))
			continue;
		shmp_copy(slot->payload, data, bytes);
		slot->size = bytes;
		atomic_store_explicit(&slot->word, word | 1, memory_order_release);
		plain_count(&plain->count[who].items, 1);
		plain_count(&plain->count[who].bytes, bytes);
		if (shmp_waiter_wanted(&plain->not_empty, plain->words))
			__builtin_trap(); /* nobody waits here */
		return true;
	}
}

static inline bool plain_pop(struct plain *plain, unsigned who, void *data, uint64_t bytes)
{
	for (;;) {
		uint64_t head = atomic_load_explicit(&plain->head, memory_order_acquire);
		uint64_t place = head & plain->mask;
		struct plain_slot *slot = plain_slot(plain, place);
		uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
		uint64_t size = slot->size;

		if (word != ((head - place) << 1 | 1)) {
			if (atomic_load_explicit(&plain->head, memory_order_acquire) == head)
				return false;
			continue;
		}
		if (size > bytes)
			return false;
		if (!atomic_compare_exchange_strong_explicit(&plain->head, &head, head + 1,
							     memory_order_acq_rel,
							     memory_order_relaxed))
			continue;
		shmp_copy(data, slot->payload, size);
		atomic_store_explicit(&slot->word, (head - place + plain->mask + 1) << 1,
				      memory_order_release);
		plain_count(&plain->count[who].items, 1);
		plain_count(&plain->count[who].bytes, size);
		if (shmp_waiter_wanted(&plain->not_full, plain->words) ||
		    shmp_waiter_wanted(&plain->not_empty, plain->words))
			__builtin_trap();
		return true;
	}
}

#endif
