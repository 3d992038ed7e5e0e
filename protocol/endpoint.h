/*
 * Endpoint: one process's place in a segment, one record per place in ctl.
 *
 * Two lines. The first belongs to the owner: position, intents, counters, stored plainly on the
 * data path by one thread at a time. The second belongs to the broker: who holds the place and
 * whether he lives; counterparts read it, it changes only when somebody comes or goes, so reading
 * it costs a cache hit.
 *
 *	FREE --attach--> ACTIVE --detach--> LEFT --attach--> ACTIVE
 *	                   |
 *	                   +--process ended--> DYING --repaired--> DEAD --attach--> ACTIVE
 *
 * Every move is the broker's; a dead broker's successor repeats DYING. The incarnation grows by
 * one at each attach, so a state word never comes back while a place is held again.
 *
 * Edges:
 * [S] state: broker -> counterpart, publishes that the place's past is final (repair, last stores)
 */
#ifndef SHMP_ENDPOINT_H
#define SHMP_ENDPOINT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/abi.h"

#define SHMP_ENDPOINTS_MAX 255u
#define SHMP_INTENTS	   2

enum shmp_endpoint_state {
	SHMP_ENDPOINT_FREE = 0,
	SHMP_ENDPOINT_ACTIVE = 1,
	SHMP_ENDPOINT_LEFT = 2,
	SHMP_ENDPOINT_DYING = 3,
	SHMP_ENDPOINT_DEAD = 4,
};

struct shmp_endpoint {
	/* the owner's line */
	_Alignas(128) _Atomic uint64_t cursor; /* position in the structure, bytes or items */
	_Atomic uint64_t items;		       /* messages moved, all incarnations */
	_Atomic uint64_t bytes;		       /* payload bytes moved, all incarnations */
	_Atomic uint64_t
		intent[SHMP_INTENTS]; /* what is about to be taken; meaning is the kind's */
	_Atomic uint64_t refused;     /* FULL or EMPTY answers */
	_Atomic uint32_t waits;	      /* times it went to sleep */
	_Atomic uint32_t park_key;    /* waiter: sequence it sleeps on */
	_Atomic uint32_t doorbell;    /* doorbell: count of the arming now in force, 0 = none */
	uint32_t owner_reserved;
	/* the broker's line */
	_Alignas(8) _Atomic uint64_t state; /* incarnation << 8 | enum shmp_endpoint_state */
	uint64_t start_time; /* of the process, clock ticks since boot, 0 = unknown */
	uint64_t since_ns;   /* CLOCK_MONOTONIC of the last change of state */
	uint32_t pid;	     /* as the broker sees it */
	uint32_t uid;
	_Atomic uint32_t deaths; /* holders of this place that died in it; before `state` */
	uint32_t broker_reserved[7];
};
SHMP_FREEZE(shmp_endpoint, 128);
SHMP_FIELD(shmp_endpoint, cursor, 0);
SHMP_FIELD(shmp_endpoint, items, 8);
SHMP_FIELD(shmp_endpoint, bytes, 16);
SHMP_FIELD(shmp_endpoint, intent, 24);
SHMP_FIELD(shmp_endpoint, refused, 40);
SHMP_FIELD(shmp_endpoint, waits, 48);
SHMP_FIELD(shmp_endpoint, park_key, 52);
SHMP_FIELD(shmp_endpoint, doorbell, 56);
SHMP_FIELD(shmp_endpoint, owner_reserved, 60);
SHMP_FIELD(shmp_endpoint, state, 64);
SHMP_FIELD(shmp_endpoint, start_time, 72);
SHMP_FIELD(shmp_endpoint, since_ns, 80);
SHMP_FIELD(shmp_endpoint, pid, 88);
SHMP_FIELD(shmp_endpoint, uid, 92);
SHMP_FIELD(shmp_endpoint, deaths, 96);
SHMP_FIELD(shmp_endpoint, broker_reserved, 100);

static inline enum shmp_endpoint_state shmp_endpoint_state_of(uint64_t word)
{
	return (enum shmp_endpoint_state)(word & 0xff);
}

static inline uint64_t shmp_endpoint_incarnation_of(uint64_t word)
{
	return word >> 8;
}

/* The counterpart's view. Load this first, then look at the structure once more, then report. */
static inline enum shmp_endpoint_state shmp_endpoint_look(const struct shmp_endpoint *endpoint)
{
	/* [S] acquire; pairs with shmp_endpoint_set_state */
	return shmp_endpoint_state_of(atomic_load_explicit(&endpoint->state, memory_order_acquire));
}

/* Which holder of the place this is. What is loaded after it is his or a later one's. */
static inline uint64_t shmp_endpoint_incarnation(const struct shmp_endpoint *endpoint)
{
	/* [S] acquire; pairs with shmp_endpoint_set_state */
	return shmp_endpoint_incarnation_of(
		atomic_load_explicit(&endpoint->state, memory_order_acquire));
}

/* True when nobody holds the place and a successor may take it. */
static inline bool shmp_endpoint_is_open(enum shmp_endpoint_state state)
{
	return state == SHMP_ENDPOINT_FREE || state == SHMP_ENDPOINT_LEFT ||
	       state == SHMP_ENDPOINT_DEAD;
}

/* Broker only. */
static inline void shmp_endpoint_set_state(struct shmp_endpoint *endpoint, uint64_t incarnation,
					   enum shmp_endpoint_state state)
{
	/* [S] release; pairs with shmp_endpoint_look */
	atomic_store_explicit(&endpoint->state, incarnation << 8 | state, memory_order_release);
}

/*
 * A counter of the owner's line: one writer, so load, add and store need not be one step.
 */
static inline void shmp_endpoint_count(_Atomic uint64_t *counter, uint64_t more)
{
	/* relaxed: a statistic; only its owner writes it and nothing is published by it */
	uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(counter, now + more, memory_order_relaxed);
}

#endif
