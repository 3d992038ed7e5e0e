/*
 * mpmc: many producers, many consumers, bounded slots, each message to exactly one consumer.
 *
 * Use. A process holds an endpoint, as producer or as consumer, by one struct shmp_mpmc. What it
 * reserves or peeks at is one slot at a time. After a push it asks consumers_wait, after a pop
 * producers_wait, and tells them.
 *
 * Guarantee. A message whose commit was reached is delivered, whoever is killed at whatever
 * instruction; to one consumer, or, when consumers die with it in hand, again to another, flagged
 * REDELIVERED: k deaths, at most k repeats. What was not committed is never seen. A process that
 * is stopped and owns nothing holds up nobody. One locked instruction for each operation.
 *
 * Layout. ctl: tail, head and epoch in lines of their own, two waiters, a tally for each endpoint,
 * then the endpoints. data: slots, each a whole number of lines.
 *
 *	tail, head:	position of the next claim << 8 | (endpoint + 1 of who owns the one before)
 *	slot word:	lap << 11 | state << 8 | endpoint (TAKEN only)
 *	slot about:	the index word that a claim replaced << 32 | payload bytes
 *
 * lap = position - index of the slot, so that zeroed memory is FREE for positions 0 .. N-1 and
 * there is nothing to initialise. In "about", a producer and then a consumer leaves the low half of
 * the index word that his claim replaced, hence the owner of the position before: together with the
 * index word it is a chain, by which the owner of every position that is not settled can be told
 * although nobody wrote down that he won.
 *
 *	FREE(t) --producer: payload, about--> READY(t) --consumer: reads, about--> FREE(t+N)
 *	  |                                     |
 *	  |                                     +--repair--> REDELIVER(t) --consumer--> TAKEN(t, me)
 *	  |                                                      ^                       |      |
 *	  |                                                      +--------repair---------+   FREE(t+N)
 *	  +--repair, or abort--> TOMB(t) --consumer, or repair of one--> FREE(t+N)
 *
 * Without redelivery repair takes READY to FREE(t+N) and counts it: neither REDELIVER nor TAKEN.
 *
 * push: load tail (t, p); the slot is FREE(t); intent = that index word; CAS of tail to (t+1, me)
 * is the claim. Payload, about = (p, size), READY(t). pop: the same with head and READY(h); the size
 * is looked at before the claim. Its end is FREE(h+N). A TOMB at head is claimed like a message, and
 * freed at once. An intent stands until the next one takes its place, won or lost, over or not: to
 * clear it would be one more store, and one more change between two lines. What it says stays true.
 *
 * Why it is correct.
 * - A position is claimed once, by the CAS of its index, and never comes again. So an index word
 *   has only one value for each position, and whoever intended (t+1, p) knew the owner p of t,
 *   whether his own CAS succeeded or not.
 * - The dead one's intent (t, p) says what he may own, and the slot must look as if somebody owned
 *   t and had not finished. He owns t if the index word names him (its position is t+1); else if
 *   whoever claimed t+1 says so. He says it in his slot's about, or, until that is written, in his
 *   intent, which is visible to whoever sees the index past t+1, and gives way to another only after
 *   the slot says what became of it: slot, then intents, then the slot once more leave no gap.
 *   Before it was his last one, he had finished with all others.
 * - The slot of t+1 can be anything later than that only if slot t has moved on, too: consumers
 *   claim t+1 after t was published, and producers a lap later need slot t+N free. So what it says
 *   is believed only if slot t is as before when looked at again.
 * - Repair therefore touches a slot only for its dead owner, and nobody else writes there. It
 *   writes about before the word, so that the chain holds for the position before; repeated, it
 *   finds the slot moved on. It waits for nobody.
 * - What repair hands back lies behind head. It raises the epoch; consumers compare it on every
 *   pop, scan the slots when it changed, and remember it only when a whole scan found nothing. It
 *   does so whenever it leaves the slot of the dead one's intent handed back, also if an earlier
 *   run of it did that and was killed: the intents are cleared last, and by repair only.
 *
 * Limits, by contract. A producer stopped between claim and READY holds consumers at his position;
 * a consumer stopped with a message in hand makes the queue FULL once the producers come round to
 * it; figures name both. One stopped between publication and telling leaves those asleep who would
 * have been told, until the next one tells.
 *
 * Edges:
 * [T] tail: push -> push, repair; publishes the intent that precedes the claim
 * [H] head: pop -> pop, repair; publishes the intent that precedes the claim
 * [R] slot READY, TOMB: commit, abort -> pop; publishes payload and about
 * [F] slot FREE: release -> push; gives the slot's bytes back
 * [C] slot TAKEN and repair's moves: CAS -> CAS, scan; publishes about
 * [A] about: owner -> repair; who sees it sees that the slot before had moved on
 * [I] intents: owner -> repair; the next one, or none, after the slot of the one before
 * [E] epoch: repair -> pop; publishes REDELIVER
 *
 * Calls that may run together: all, of different endpoints; of one endpoint one at a time. Repair
 * of an endpoint with everything but that endpoint's own and another repair.
 * Progress: push and pop lock-free, wait-free when nobody else claims. Attempts and scans are
 * bounded: hostile bytes end in -EBADMSG, never in a loop.
 */
#ifndef SHMP_MPMC_H
#define SHMP_MPMC_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/abi.h"
#include "protocol/copy.h"
#include "protocol/endpoint.h"
#include "protocol/kinds.h"
#include "protocol/outcome.h"
#include "protocol/segment.h"
#include "protocol/waiter.h"

#define SHMP_MPMC_VERSION     2u
#define SHMP_MPMC_REDELIVERED 1u	 /* message flag */
#define SHMP_MPMC_ATTEMPTS    (1u << 20) /* more lost races in a row than honest peers can cause */
#define SHMP_MPMC_QUICK_MAX   SHMP_COPY_INLINE /* payload bytes of what is moved quickly */
#define SHMP_MPMC_NO_MESSAGE  UINT32_MAX       /* as a size: of a tombstone */

enum shmp_mpmc_option {
	SHMP_MPMC_SLOTS = 0,
	SHMP_MPMC_MESSAGE_BYTES_MAX = 1,
	SHMP_MPMC_ENDPOINTS_MAX = 2,
	SHMP_MPMC_REDELIVERY = 3, /* 0: what was in hands that died is dropped */
	SHMP_MPMC_CHECKSUM = 4,	  /* 1: the last word of a slot is its message's CRC32C */
};

/* Index in the kind's roles; the endpoint's cursor holds the role of its last holder + 1. */
enum shmp_mpmc_role {
	SHMP_MPMC_PRODUCER = 0,
	SHMP_MPMC_CONSUMER = 1,
	SHMP_MPMC_OBSERVER = 2, /* holds no endpoint */
};

enum shmp_mpmc_state {
	SHMP_MPMC_FREE = 0,
	SHMP_MPMC_READY = 1,
	SHMP_MPMC_TOMB = 2,
	SHMP_MPMC_REDELIVER = 3,
	SHMP_MPMC_TAKEN = 4,
};

/* Which claim an intent concerns: it is index word | flags, 0 = none yet. */
enum shmp_mpmc_side {
	SHMP_MPMC_PUSHING = 0,
	SHMP_MPMC_POPPING = 1,
};
#define SHMP_MPMC_INTENDED (UINT64_C(1) << 63)
#define SHMP_MPMC_RETAKING (UINT64_C(1) << 62) /* what repair handed back; no part of the chain */

struct shmp_mpmc_control {
	_Alignas(128) _Atomic uint64_t tail; /* index word of the next push */
	uint64_t tail_reserved[15];
	_Alignas(128) _Atomic uint64_t head; /* index word of the next pop */
	uint64_t head_reserved[15];
	_Alignas(128) _Atomic uint64_t epoch; /* raised by repair */
	_Atomic uint64_t tombs;		      /* claims given back unsent */
	_Atomic uint64_t dropped;	      /* messages that died with their receivers */
	uint64_t epoch_reserved[5];
	struct shmp_waiter not_empty;		   /* where consumers wait */
	_Alignas(128) struct shmp_waiter not_full; /* where producers wait */
	uint64_t reserved[8];
};
SHMP_FREEZE(shmp_mpmc_control, 512);
SHMP_FIELD(shmp_mpmc_control, tail, 0);
SHMP_FIELD(shmp_mpmc_control, head, 128);
SHMP_FIELD(shmp_mpmc_control, epoch, 256);
SHMP_FIELD(shmp_mpmc_control, tombs, 264);
SHMP_FIELD(shmp_mpmc_control, dropped, 272);
SHMP_FIELD(shmp_mpmc_control, epoch_reserved, 280);
SHMP_FIELD(shmp_mpmc_control, not_empty, 320);
SHMP_FIELD(shmp_mpmc_control, not_full, 384);
SHMP_FIELD(shmp_mpmc_control, reserved, 448);

enum shmp_mpmc_counter {
	SHMP_MPMC_ITEMS = 0,
	SHMP_MPMC_BYTES = 1,
	SHMP_MPMC_REFUSED = 2,
	SHMP_MPMC_WAITS = 3,
	SHMP_MPMC_COUNTERS = 4,
};

/*
 * Behind the control, one for each endpoint. A place may be held by a producer and then by a
 * consumer, while its counters go on. Row r says what of them the other role than r did, and holds
 * while the place's role is r; it is written before the role changes, so that no death loses it.
 */
struct shmp_mpmc_tally {
	_Alignas(64) _Atomic uint64_t others[2][SHMP_MPMC_COUNTERS];
};
SHMP_FREEZE(shmp_mpmc_tally, 64);
SHMP_FIELD(shmp_mpmc_tally, others, 0);

struct shmp_mpmc_slot {
	_Alignas(64) _Atomic uint64_t word;
	_Atomic uint64_t about;
	uint8_t payload[48]; /* the first of it; a longer slot goes on behind */
};
SHMP_FREEZE(shmp_mpmc_slot, 64);
SHMP_FIELD(shmp_mpmc_slot, word, 0);
SHMP_FIELD(shmp_mpmc_slot, about, 8);
SHMP_FIELD(shmp_mpmc_slot, payload, 16);

extern const struct shmp_kind shmp_mpmc_kind;

/* A slot that is the own one. */
struct shmp_mpmc_claim {
	struct shmp_mpmc_slot *slot; /* NULL: there is none */
	uint64_t lap;
	uint64_t about; /* what it has to say in the end; of a push, without the size */
};

/* Private to the process that holds the endpoint; the same for producers and consumers. */
struct shmp_mpmc {
	uint8_t *slots;
	struct shmp_mpmc_control *control;
	struct shmp_endpoint *self;
	uint64_t slot_count;
	uint64_t slot_bytes;
	uint64_t mask; /* slot_count - 1 when that is a power of two, else 0 */
	uint64_t message_max;
	uint64_t quick_limit; /* messages shorter than this are moved quickly; 0 without a mask */
	uint64_t epoch;	      /* the last one whose scan found nothing */
	uint64_t step;	      /* of an index word, by a claim: endpoint + 2 */
	uint32_t endpoint;
	uint32_t words; /* of attention */
	bool redelivers;
	struct shmp_mpmc_claim hand; /* by reserve or peek */
	struct shmp_endpoint *endpoints;
	uint32_t endpoint_count;
	struct shmp_waiter_memory telling_consumers;
	struct shmp_waiter_memory telling_producers;
	struct shmp_waiter_memory ringing[SHMP_ENDPOINTS_MAX];
};

struct shmp_mpmc_message {
	const void *data;
	uint64_t size;
	uint32_t flags;
};

/* Takes up @endpoint of a mapped segment, assigned by the broker. 0 or -EBADMSG. */
int shmp_mpmc_attach(const struct shmp_segment *segment, uint32_t endpoint,
		     enum shmp_mpmc_role role, struct shmp_mpmc *ret_queue);

static inline uint64_t shmp_mpmc_word(uint64_t lap, enum shmp_mpmc_state state, uint32_t endpoint)
{
	return lap << 11 | (uint64_t)state << 8 | endpoint;
}

/* The word of a slot that names no endpoint. */
static inline uint64_t shmp_mpmc_open(uint64_t lap, enum shmp_mpmc_state state)
{
	return shmp_mpmc_word(lap, state, 0);
}

static inline uint64_t shmp_mpmc_index_word(uint64_t position, uint64_t owner)
{
	return position << 8 | owner;
}

static inline uint64_t shmp_mpmc_about(uint64_t index, uint64_t size)
{
	return index << 32 | size;
}

/* Endpoint + 1 of who owns the position before. */
static inline uint64_t shmp_mpmc_owner_before(uint64_t about)
{
	return about >> 32 & 0xff;
}

static inline uint64_t shmp_mpmc_size_of(uint64_t about)
{
	return about & UINT32_MAX;
}

static inline uint64_t shmp_mpmc_place(const struct shmp_mpmc *queue, uint64_t position)
{
	return queue->mask != 0 ? position & queue->mask : position % queue->slot_count;
}

static inline struct shmp_mpmc_slot *shmp_mpmc_slot(const struct shmp_mpmc *queue, uint64_t place)
{
	return (struct shmp_mpmc_slot *)(void *)(queue->slots + place * queue->slot_bytes);
}

static inline uint64_t shmp_mpmc_load_slot(const struct shmp_mpmc_slot *slot)
{
	/* [R] acquire; pairs with shmp_mpmc_settle
	 * [F] acquire; pairs with shmp_mpmc_settle
	 * [C] acquire; pairs with shmp_mpmc_move */
	return atomic_load_explicit(&slot->word, memory_order_acquire);
}

static inline uint64_t shmp_mpmc_load_about(const struct shmp_mpmc_slot *slot)
{
	/* [A] acquire; pairs with shmp_mpmc_settle */
	return atomic_load_explicit(&slot->about, memory_order_acquire);
}

/* Repair's moves, and taking what it left; false when the slot has moved on. */
static inline bool shmp_mpmc_move(struct shmp_mpmc_slot *slot, uint64_t from, uint64_t to)
{
	/* [C] acq_rel; pairs with shmp_mpmc_load_slot */
	return atomic_compare_exchange_strong_explicit(&slot->word, &from, to, memory_order_acq_rel,
						       memory_order_acquire);
}

static inline uint64_t shmp_mpmc_load_tail(const struct shmp_mpmc *queue)
{
	/* [T] acquire; pairs with shmp_mpmc_claim_tail */
	return atomic_load_explicit(&queue->control->tail, memory_order_acquire);
}

static inline uint64_t shmp_mpmc_load_head(const struct shmp_mpmc *queue)
{
	/* [H] acquire; pairs with shmp_mpmc_claim_head */
	return atomic_load_explicit(&queue->control->head, memory_order_acquire);
}

static inline void shmp_mpmc_intend(struct shmp_mpmc *queue, enum shmp_mpmc_side side,
				    uint64_t intent)
{
	/* [I] release; pairs with load_intent. The CAS that follows releases it, too; it comes after
	 * the slot of the one before says how that ended */
	atomic_store_explicit(&queue->self->intent[side], intent, memory_order_release);
}

/* The index word that a claim puts in the place of @index. */
static inline uint64_t shmp_mpmc_claimed(const struct shmp_mpmc *queue, uint64_t index)
{
	/* the last owner out, which carries into the position, and the own endpoint + 1 in */
	return (index | 0xff) + queue->step;
}

/* Claims the position that index word @tail names, after the intent. */
static inline bool shmp_mpmc_claim_tail(struct shmp_mpmc *queue, uint64_t tail)
{
	uint64_t next = shmp_mpmc_claimed(queue, tail);

	shmp_mpmc_intend(queue, SHMP_MPMC_PUSHING, tail | SHMP_MPMC_INTENDED);
	/* [T] acq_rel; pairs with shmp_mpmc_load_tail */
	return SHMP_LIKELY(atomic_compare_exchange_strong_explicit(
		&queue->control->tail, &tail, next, memory_order_acq_rel, memory_order_relaxed));
}

static inline bool shmp_mpmc_claim_head(struct shmp_mpmc *queue, uint64_t head)
{
	uint64_t next = shmp_mpmc_claimed(queue, head);

	shmp_mpmc_intend(queue, SHMP_MPMC_POPPING, head | SHMP_MPMC_INTENDED);
	/* [H] acq_rel; pairs with shmp_mpmc_load_head */
	return SHMP_LIKELY(atomic_compare_exchange_strong_explicit(
		&queue->control->head, &head, next, memory_order_acq_rel, memory_order_relaxed));
}

/* Ends a claim: about, then the slot's new word. The store of the slot's bytes comes before. */
static inline void shmp_mpmc_settle(struct shmp_mpmc_slot *slot, uint64_t about, uint64_t word)
{
	/* [A] release; pairs with shmp_mpmc_load_about */
	atomic_store_explicit(&slot->about, about, memory_order_release);
	/* [R] release; pairs with shmp_mpmc_load_slot
	 * [F] release; pairs with shmp_mpmc_load_slot */
	atomic_store_explicit(&slot->word, word, memory_order_release);
}

/* Behind the slot, and right before the next intent, whose line it is. */
static inline void shmp_mpmc_count(struct shmp_mpmc *queue, uint64_t size)
{
	struct shmp_endpoint *self = queue->self;

	shmp_endpoint_count(&self->items, 1);
	shmp_endpoint_count(&self->bytes, size);
}

/* A claimed slot with the message in it: READY. */
static inline void shmp_mpmc_publish(struct shmp_mpmc *queue, const struct shmp_mpmc_claim *claim,
				     uint64_t size)
{
	shmp_mpmc_settle(claim->slot, claim->about | size,
			 shmp_mpmc_open(claim->lap, SHMP_MPMC_READY));
	shmp_mpmc_count(queue, size);
}

/* A slot whose message has been read: FREE. */
static inline void shmp_mpmc_free(struct shmp_mpmc *queue, const struct shmp_mpmc_claim *claim)
{
	shmp_mpmc_settle(claim->slot, claim->about,
			 shmp_mpmc_open(claim->lap + queue->slot_count, SHMP_MPMC_FREE));
	shmp_mpmc_count(queue, shmp_mpmc_size_of(claim->about));
}

/*
 * The slot at index word @tail is not free, @word is what it says: FULL, DONE to try again,
 * -EBADMSG. The same for the slot at @head that is not READY: EMPTY, DONE to try again, -EBADMSG.
 */
SHMP_COLD int shmp_mpmc_no_room(const struct shmp_mpmc *queue, uint64_t tail, uint64_t word);
SHMP_COLD int shmp_mpmc_nothing(struct shmp_mpmc *queue, uint64_t head, uint64_t word);

/* Repair may have left something behind head: takes it. DONE, EMPTY, TOO_BIG, -EBADMSG. */
SHMP_COLD int shmp_mpmc_scan(struct shmp_mpmc *queue, uint64_t size_max,
			     struct shmp_mpmc_claim *ret_claim,
			     struct shmp_mpmc_message *ret_message);

/* DONE, FULL, TOO_BIG, -EBADMSG. */
static inline int shmp_mpmc_claim_room(struct shmp_mpmc *queue, uint64_t size,
				       struct shmp_mpmc_claim *ret_claim)
{
	if (SHMP_UNLIKELY(size > queue->message_max))
		return SHMP_TOO_BIG;
	for (uint32_t attempt = 0; attempt < SHMP_MPMC_ATTEMPTS; attempt++) {
		uint64_t tail = shmp_mpmc_load_tail(queue);
		uint64_t place = shmp_mpmc_place(queue, tail >> 8);
		uint64_t lap = (tail >> 8) - place;
		struct shmp_mpmc_slot *slot = shmp_mpmc_slot(queue, place);
		uint64_t word = shmp_mpmc_load_slot(slot);

		if (SHMP_UNLIKELY(word != shmp_mpmc_open(lap, SHMP_MPMC_FREE))) {
			int r = shmp_mpmc_no_room(queue, tail, word);

			if (r != SHMP_DONE)
				return r;
		} else if (SHMP_LIKELY(shmp_mpmc_claim_tail(queue, tail))) {
			*ret_claim = (struct shmp_mpmc_claim){ slot, lap,
							       shmp_mpmc_about(tail, 0) };
			return SHMP_DONE;
		}
	}
	return -EBADMSG;
}

/*
 * Claims a slot for a payload of @size: where to write it. One at a time.
 * DONE, FULL, TOO_BIG, -EBADMSG.
 */
static inline int shmp_mpmc_reserve(struct shmp_mpmc *queue, uint64_t size, uint8_t **ret_payload)
{
	int r = shmp_mpmc_claim_room(queue, size, &queue->hand);

	if (SHMP_LIKELY(r == SHMP_DONE))
		*ret_payload = queue->hand.slot->payload;
	return r;
}

/* Publishes what was reserved; @size up to what was asked for. */
static inline void shmp_mpmc_commit(struct shmp_mpmc *queue, uint64_t size)
{
	shmp_mpmc_publish(queue, &queue->hand, size);
	queue->hand.slot = NULL;
}

/* Gives what was reserved back unsent: a tombstone, which consumers skip. */
static inline void shmp_mpmc_abort(struct shmp_mpmc *queue)
{
	shmp_mpmc_settle(queue->hand.slot, queue->hand.about | SHMP_MPMC_NO_MESSAGE,
			 shmp_mpmc_open(queue->hand.lap, SHMP_MPMC_TOMB));
	queue->hand.slot = NULL;
}

/* DONE, FULL, TOO_BIG, -EBADMSG. */
static inline int shmp_mpmc_push(struct shmp_mpmc *queue, const void *payload, uint64_t size)
{
	struct shmp_mpmc_claim claim;
	int r = shmp_mpmc_claim_room(queue, size, &claim);

	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return r;
	shmp_copy(claim.slot->payload, payload, size);
	shmp_mpmc_publish(queue, &claim, size);
	return SHMP_DONE;
}

/*
 * A short push, when nothing stands against it: no loop and no call, so that nothing is saved on
 * the stack, which is one more line to store to. False: not done, shmp_mpmc_push says why.
 */
static inline bool shmp_mpmc_push_quick(struct shmp_mpmc *queue, const void *payload, uint64_t size)
{
	uint64_t tail = shmp_mpmc_load_tail(queue);
	uint64_t place = tail >> 8 & queue->mask;
	uint64_t lap = (tail >> 8) - place;
	struct shmp_mpmc_claim claim = { .slot = shmp_mpmc_slot(queue, place), .lap = lap };

	if (SHMP_UNLIKELY(shmp_mpmc_load_slot(claim.slot) != shmp_mpmc_open(lap, SHMP_MPMC_FREE) ||
			  size >= queue->quick_limit || !shmp_mpmc_claim_tail(queue, tail)))
		return false;
	claim.about = shmp_mpmc_about(tail, 0);
	shmp_copy_short(claim.slot->payload, payload, size);
	shmp_mpmc_publish(queue, &claim, size);
	return true;
}

/*
 * The message at @head is longer than @size_max: is it, still? TOO_BIG with its size in
 * ret_message, DONE to try again, -EBADMSG.
 */
SHMP_COLD int shmp_mpmc_too_big(const struct shmp_mpmc *queue, uint64_t head, uint64_t size,
				struct shmp_mpmc_message *ret_message);

/* Whether repair has left something behind head since the last scan that found nothing. */
static inline bool shmp_mpmc_must_scan(const struct shmp_mpmc *queue)
{
	/* [E] acquire; pairs with hand_back */
	return SHMP_UNLIKELY(atomic_load_explicit(&queue->control->epoch, memory_order_acquire) !=
			     queue->epoch);
}

/* As peek; what is taken is in the caller's hands. */
static inline int shmp_mpmc_claim_message(struct shmp_mpmc *queue, uint64_t size_max,
					  struct shmp_mpmc_claim *ret_claim,
					  struct shmp_mpmc_message *ret_message)
{
	int r;

	if (shmp_mpmc_must_scan(queue)) {
		r = shmp_mpmc_scan(queue, size_max, ret_claim, ret_message);
		if (r != SHMP_EMPTY)
			return r;
	}
	for (uint32_t attempt = 0; attempt < SHMP_MPMC_ATTEMPTS; attempt++) {
		uint64_t head = shmp_mpmc_load_head(queue);
		uint64_t place = shmp_mpmc_place(queue, head >> 8);
		uint64_t lap = (head >> 8) - place;
		struct shmp_mpmc_slot *slot = shmp_mpmc_slot(queue, place);
		uint64_t word = shmp_mpmc_load_slot(slot);
		/* as it was published, if the claim succeeds: only who claims changes it */
		uint64_t size = shmp_mpmc_size_of(shmp_mpmc_load_about(slot));

		if (SHMP_UNLIKELY(word != shmp_mpmc_open(lap, SHMP_MPMC_READY))) {
			r = shmp_mpmc_nothing(queue, head, word);
			if (r != SHMP_DONE)
				return r;
		} else if (SHMP_UNLIKELY(size > size_max)) {
			r = shmp_mpmc_too_big(queue, head, size, ret_message);
			if (r != SHMP_DONE)
				return r;
		} else if (SHMP_LIKELY(shmp_mpmc_claim_head(queue, head))) {
			*ret_claim = (struct shmp_mpmc_claim){ slot, lap,
							       shmp_mpmc_about(head, size) };
			*ret_message = (struct shmp_mpmc_message){ slot->payload, size, 0 };
			return SHMP_DONE;
		}
	}
	return -EBADMSG;
}

/*
 * Takes the next message of at most @size_max bytes, up to message_max, into the own hands. One at
 * a time. DONE; EMPTY; TOO_BIG with its size in ret_message, left in place; -EBADMSG.
 */
static inline int shmp_mpmc_peek(struct shmp_mpmc *queue, uint64_t size_max,
				 struct shmp_mpmc_message *ret_message)
{
	return shmp_mpmc_claim_message(queue, size_max, &queue->hand, ret_message);
}

/* Done with what peek took: its slot is the producers' again. */
static inline void shmp_mpmc_release(struct shmp_mpmc *queue)
{
	shmp_mpmc_free(queue, &queue->hand);
	queue->hand.slot = NULL;
}

/* DONE; EMPTY; TOO_BIG, the message stays and ret_message->size says how long it is; -EBADMSG. */
static inline int shmp_mpmc_pop(struct shmp_mpmc *queue, void *buffer, uint64_t buffer_bytes,
				struct shmp_mpmc_message *ret_message)
{
	uint64_t size_max = buffer_bytes < queue->message_max ? buffer_bytes : queue->message_max;
	struct shmp_mpmc_claim claim;
	int r = shmp_mpmc_claim_message(queue, size_max, &claim, ret_message);

	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return r;
	shmp_copy(buffer, ret_message->data, ret_message->size);
	ret_message->data = buffer;
	shmp_mpmc_free(queue, &claim);
	return SHMP_DONE;
}

/* A short pop, as shmp_mpmc_push_quick. False: not done, shmp_mpmc_pop says why. */
static inline bool shmp_mpmc_pop_quick(struct shmp_mpmc *queue, void *buffer, uint64_t buffer_bytes,
				       struct shmp_mpmc_message *ret_message)
{
	uint64_t head = shmp_mpmc_load_head(queue);
	uint64_t place = head >> 8 & queue->mask;
	uint64_t lap = (head >> 8) - place;
	struct shmp_mpmc_claim claim = { .slot = shmp_mpmc_slot(queue, place), .lap = lap };
	uint64_t size;

	if (SHMP_UNLIKELY(shmp_mpmc_load_slot(claim.slot) != shmp_mpmc_open(lap, SHMP_MPMC_READY)))
		return false;
	/* as in shmp_mpmc_claim_message */
	size = shmp_mpmc_size_of(shmp_mpmc_load_about(claim.slot));
	if (SHMP_UNLIKELY(size >= queue->quick_limit || size > buffer_bytes ||
			  shmp_mpmc_must_scan(queue) || !shmp_mpmc_claim_head(queue, head)))
		return false;
	claim.about = shmp_mpmc_about(head, size);
	*ret_message = (struct shmp_mpmc_message){ buffer, size, 0 };
	shmp_copy_short(buffer, claim.slot->payload, size);
	shmp_mpmc_free(queue, &claim);
	return true;
}

/* Whether there is something at head, or repair has left something; a look only. */
static inline bool shmp_mpmc_has_news(const struct shmp_mpmc *queue)
{
	uint64_t head = shmp_mpmc_load_head(queue) >> 8;
	uint64_t place = shmp_mpmc_place(queue, head);

	return shmp_mpmc_load_slot(shmp_mpmc_slot(queue, place)) >=
		       shmp_mpmc_open(head - place, SHMP_MPMC_READY) ||
	       shmp_mpmc_must_scan(queue);
}

/* Whether consumers want to be told, after a publication; then shmp_mpmc_tell_consumers. */
static inline bool shmp_mpmc_consumers_wait(const struct shmp_mpmc *queue)
{
	return shmp_waiter_wanted(&queue->control->not_empty, queue->words);
}

static inline void shmp_mpmc_tell_consumers(struct shmp_mpmc *queue, shmp_ring_fn ring,
					    void *ringer)
{
	shmp_waiter_notify_all(&queue->control->not_empty, queue->endpoints, queue->endpoint_count,
			       &queue->telling_consumers, queue->ringing, ring, ringer);
}

/* Whether producers want to be told, after a release; then shmp_mpmc_tell_producers. */
static inline bool shmp_mpmc_producers_wait(const struct shmp_mpmc *queue)
{
	return shmp_waiter_wanted(&queue->control->not_full, queue->words);
}

static inline void shmp_mpmc_tell_producers(struct shmp_mpmc *queue, shmp_ring_fn ring,
					    void *ringer)
{
	shmp_waiter_notify_all(&queue->control->not_full, queue->endpoints, queue->endpoint_count,
			       &queue->telling_producers, queue->ringing, ring, ringer);
}

/*
 * After a pop while consumers wait: what was published behind an unpublished position could not be
 * taken when it was told. If the next one is ready, passes the telling on.
 */
SHMP_COLD void shmp_mpmc_pass_on(struct shmp_mpmc *queue, shmp_ring_fn ring, void *ringer);

/* What an endpoint did in @role, over all its holders. */
struct shmp_mpmc_counts {
	uint64_t of[SHMP_MPMC_COUNTERS];
};

void shmp_mpmc_count_endpoint(const struct shmp_segment *segment, uint32_t endpoint,
			      enum shmp_mpmc_role role, struct shmp_mpmc_counts *ret_counts);
/* Of all endpoints. */
void shmp_mpmc_count_role(const struct shmp_segment *segment, enum shmp_mpmc_role role,
			  struct shmp_mpmc_counts *ret_counts);
/* Messages published and not yet taken, as far as the indices tell. */
uint64_t shmp_mpmc_depth(const struct shmp_segment *segment);

/* Bytes of a slot. */
uint64_t shmp_mpmc_slot_bytes(const struct shmp_plan *plan);

/* With SHMP_MPMC_CHECKSUM, instead of the moves of these names; DAMAGED: it was skipped. */
void shmp_mpmc_commit_summed(struct shmp_mpmc *queue, uint64_t size);
int shmp_mpmc_push_summed(struct shmp_mpmc *queue, const void *data, uint64_t size);
int shmp_mpmc_peek_summed(struct shmp_mpmc *queue, uint64_t size_max,
			  struct shmp_mpmc_message *ret_message);
int shmp_mpmc_pop_summed(struct shmp_mpmc *queue, void *buffer, uint64_t buffer_bytes,
			 struct shmp_mpmc_message *ret_message);
/* Endpoint that claimed @position and has not finished, -1 when that cannot be told. */
int64_t shmp_mpmc_owner(const struct shmp_segment *segment, enum shmp_mpmc_side side,
			uint64_t position);
/* The kind's look, in mpmc_look.c. */
/*
 * The endpoint that holds up all consumers by a claim it has published nothing in (PUSHING), or all
 * producers by a message it has not released (POPPING); -1 = none.
 */
int64_t shmp_mpmc_holder(const struct shmp_segment *segment, enum shmp_mpmc_side side);
/* The kind's. */
void shmp_mpmc_holds(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
		     void *context);
void shmp_mpmc_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context);
int shmp_mpmc_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		   void *context);

#endif
