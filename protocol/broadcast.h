/*
 * broadcast: many writers, many readers, messages of any length, each reader sees all of them.
 *
 * Use. A process holds a place as writer, by one struct shmp_broadcast_writer, or as reader, by one
 * struct shmp_broadcast_reader. After a push it asks readers_wait and writers_wait, after a pop in
 * block mode writers_wait, and tells them.
 *
 * Guarantee. All readers see the same messages in the same order. A message whose commit was
 * reached is seen, whoever is killed at whatever instruction; one that was not is never seen, nor
 * is a part of it. Overwrite mode: a writer never waits for a reader; a reader that is lapped
 * learns how many messages of each writer it lost. Block mode: nothing unread is overwritten.
 *
 * Layout. ctl: tail, horizon, tickets and boundaries in lines of their own, two waiters, then the
 * endpoints, writers first. data: a ring, a power of two, mapped twice in a row. Positions count
 * units of 16 bytes for ever. A message is
 *
 *	| tag 64 | bytes 32, writer 8, prev 8, flags 16 | sequence 64 | payload | pad to 16 |
 *
 *	tail:	position of the next claim << 8 | (endpoint + 1 of who owns the one before) = owner
 *	tag:	position + the secret of the segment, a random number
 *	prev:	the owner that the tail word named before this claim
 *
 * In-line publication: the tag is released last and says "position p is published". A tag holds for
 * one position only, so that neither a header of an earlier lap nor stale payload passes for it,
 * and nothing is zeroed ahead.
 *
 *	absent --claim, payload, about, sequence, tag--> MESSAGE
 *	   +-----repair of a dead claimant, or abort---> PAD, which readers skip
 *
 * The tail of an exclusive writer is its own cursor: stores that go to one line follow each other,
 * and each change to another line costs as much as a small message.
 *
 * push: (1) load tail (t, p); (2) t + need <= gate; (3) intents: need, then the tail word; (4) CAS
 * of tail to (t + need, me) is the claim; (5) release fence; (6) payload, about, sequence; (7)
 * boundaries; (8) tag; (9) the count of what was sent; (10) the intent is cleared. An exclusive
 * writer stores the tail instead of (4).
 *
 * A batch is one claim of several messages, published in order, each with prev = me but the first.
 * Nobody asks for the prev of those: what a claim ends at is where the next claim begins, and who
 * lost the race for a position that lies inside is not who is named there. Repair goes over those
 * that are published and pads the rest, which is no less than two units, as every message is.
 *
 * gate = min(tail, every other writer's intent, dead ones included, in block mode every reader's
 * cursor) + capacity: nobody claims bytes that somebody who is not finished may still write to, or
 * that are not read. So tail <= t + capacity for each claim t that is not finished, and an intent
 * further back than that is one that failed. Waiting for room comes before the intent.
 *
 * Why it is correct.
 * - A position is a message's beginning once, by one CAS, and never comes again. So the tail has
 *   one value at each position, and whoever intended (e, p) knew the owner p of what ends at e.
 * - The dead one's intent (t, p, need) says what he may own: [t, e), e = t + need. The tail is at t
 *   or before e: his CAS did not happen, or another's of less did. It is at e: it names the owner.
 *   It is behind e: whoever claimed e knows him, and says so in his intent, which is visible to
 *   whoever sees the tail behind e and is cleared after the header at e says the same. Intents,
 *   then header leave no gap. The header at e is whole, since the gate holds at t + capacity.
 * - So repair writes only where its dead owner alone may write. Repeated, it finds the tag there.
 * - A slow writer is never lapped (the gate counts his intent), so nobody copies into a newer
 *   message; a slow broker neither (a dead one's intent counts until repair clears it, last).
 * - Reader: tag, copy, acquire fence, then tail <= p + capacity, or the copy is discarded: who
 *   wrote over any byte of it had claimed it before, behind a release fence.
 * - The horizon saves readers the tail, which every push moves: no claim ends behind it, it is
 *   raised in sixteenths of the ring before the claim, so that horizon <= p + capacity says the
 *   same at the price of a line that is seldom written. Only when it does not, the tail is asked.
 * - Joining in block mode: cursor = tail; full fence; cursor = tail once more. A writer's scan
 *   either saw the cursor or had loaded a tail that the second load is not before, and its gate
 *   ends at most a capacity behind that. What lies before the second load is read as in overwrite
 *   mode.
 * - Sequence numbers: a writer counts what it sent; the count goes on with the next holder of the
 *   place. Repair takes it from the header when the dead one had published, and padding takes none.
 *
 * Boundaries: each push whose end lies in another sixteenth of the ring than its beginning notes
 * that end. They, intents and the tail are where messages begin; a lapped reader goes on at the
 * oldest that is not overwritten. No message takes more than fifteen sixteenths, so that one that
 * is whole has a boundary in or before its first sixteenth. They are hints: the tag decides.
 *
 * Fairness: who lost a race, or sees that others queue, takes a ticket and waits for its turn,
 * briefly; anybody goes past a turn that is not used. Tickets order, they protect nothing. Who has
 * to wait for room says in its cursor for how much and with which ticket: nobody goes past it while
 * that room is not there, or a large message would wait for as long as small ones come. Once it is
 * there, or the one who waited is repaired, the turn is as any other.
 *
 * Limits, by contract. A writer stopped in the middle of a push, also before its CAS, holds the
 * other writers after one lap, and readers at its position; figures name it. A reader stopped in
 * block mode holds the writers after one lap. A reader of overwrite mode writes only its own line
 * and its bits of the waiters.
 *
 * Edges:
 * [T] tail: push -> push, repair, join; publishes the intent that precedes the claim
 * [G] tag: commit, abort, repair -> pop; publishes payload, about and sequence
 * [I] intents: owner -> push's scan, repair; after the tag when cleared
 * [C] reader's cursor: pop, join -> push's scan; gives the bytes back
 * [O] overwriting: push's release fence -> reader's acquire fence; who sees a byte of a claim sees
 *     the tail and the horizon of it
 * [H] horizon: push -> pop; that nothing behind it is claimed
 *
 * Calls that may run together: all, of different endpoints; of one endpoint one at a time. Repair
 * of an endpoint with everything but that endpoint's own and another repair.
 * Progress: push lock-free, and it may give way for a millisecond when writers race; pop wait-free
 * but for being lapped again and again, which is bounded. Attempts are bounded: hostile bytes end
 * in -EBADMSG, never in a loop.
 */
#ifndef SHMP_BROADCAST_H
#define SHMP_BROADCAST_H

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

#define SHMP_BROADCAST_VERSION	    1u
#define SHMP_BROADCAST_UNIT_SHIFT   4u
#define SHMP_BROADCAST_HEADER	    24u
#define SHMP_BROADCAST_AHEAD	    256u /* bytes of a message that is asked for before it is there */
#define SHMP_BROADCAST_BOUNDARIES   16u
#define SHMP_BROADCAST_ATTEMPTS	    (1u << 20) /* lost races in a row: more than honest peers cause */
#define SHMP_BROADCAST_POSITION_MAX (UINT64_C(1) << 54)
#define SHMP_BROADCAST_UNKNOWN	    UINT64_MAX /* a sequence number nobody has seen yet */
/* Intent 0 of a writer is tail word | this, 0 = none; intent 1 is its need. */
#define SHMP_BROADCAST_INTENDED (UINT64_C(1) << 63)
/* The cursor of a reader is position << 8 | this, 0 = none. */
#define SHMP_BROADCAST_ACTIVE UINT64_C(1)
/* That of a writer who waits for room: this | the last 31 bits of its ticket << 32 | its need. */
#define SHMP_BROADCAST_QUEUED (UINT64_C(1) << 63)

enum shmp_broadcast_option {
	SHMP_BROADCAST_CAPACITY_BYTES = 0,
	SHMP_BROADCAST_MESSAGE_BYTES_MAX = 1,
	SHMP_BROADCAST_WRITERS_MAX = 2,
	SHMP_BROADCAST_READERS_MAX = 3,
	SHMP_BROADCAST_BLOCK = 4,
	SHMP_BROADCAST_EXCLUSIVE = 5,
};

/* Of a header, and of a message: only LOST is told. */
enum shmp_broadcast_flag {
	SHMP_BROADCAST_PAD = 1u,   /* no message; its bytes are all that was claimed */
	SHMP_BROADCAST_SLACK = 2u, /* one unit more was claimed than the payload needs */
	SHMP_BROADCAST_LOST = 4u,  /* messages of this writer were lost before this one */
};

enum shmp_broadcast_from {
	SHMP_BROADCAST_FROM_NEWEST = 0,
	SHMP_BROADCAST_FROM_OLDEST = 1,
	SHMP_BROADCAST_FROM_POSITION = 2,
};

struct shmp_broadcast_control {
	_Alignas(128) _Atomic uint64_t tail; /* of an exclusive writer it is its cursor */
	uint64_t tail_reserved[15];
	_Alignas(128) _Atomic uint64_t horizon; /* position behind which nothing is claimed */
	uint64_t secret;
	uint64_t horizon_reserved[14];
	_Alignas(128) _Atomic uint64_t tickets; /* next one to be taken */
	_Atomic uint64_t serving;		/* whose turn it is */
	_Atomic uint64_t late;			/* endpoint + 1 of who catches up, 0 = nobody */
	uint64_t tickets_reserved[13];
	_Alignas(128) _Atomic uint64_t boundary[SHMP_BROADCAST_BOUNDARIES];
	struct shmp_waiter not_empty; /* where readers wait */
	struct shmp_waiter not_full;  /* where writers wait */
};
SHMP_FREEZE(shmp_broadcast_control, 640);
SHMP_FIELD(shmp_broadcast_control, tail, 0);
SHMP_FIELD(shmp_broadcast_control, horizon, 128);
SHMP_FIELD(shmp_broadcast_control, secret, 136);
SHMP_FIELD(shmp_broadcast_control, tickets, 256);
SHMP_FIELD(shmp_broadcast_control, serving, 264);
SHMP_FIELD(shmp_broadcast_control, late, 272);
SHMP_FIELD(shmp_broadcast_control, boundary, 384);
SHMP_FIELD(shmp_broadcast_control, not_empty, 512);
SHMP_FIELD(shmp_broadcast_control, not_full, 576);

struct shmp_broadcast_header {
	_Alignas(8) _Atomic uint64_t tag;
	_Atomic uint64_t about;
	_Atomic uint64_t sequence;
};
SHMP_FREEZE(shmp_broadcast_header, SHMP_BROADCAST_HEADER);
SHMP_FIELD(shmp_broadcast_header, tag, 0);
SHMP_FIELD(shmp_broadcast_header, about, 8);
SHMP_FIELD(shmp_broadcast_header, sequence, 16);

extern const struct shmp_kind shmp_broadcast_kind;

/* The ring as every side of it sees it, from the plan and the secret. */
struct shmp_broadcast {
	uint8_t *data;
	uint64_t mask;	   /* bytes - 1 */
	uint64_t capacity; /* units */
	uint64_t secret;
	struct shmp_broadcast_control *control;
	struct shmp_endpoint *endpoints;
	_Atomic uint64_t *tail;
	uint64_t message_max;
	uint32_t writers;
	uint32_t readers;
	uint32_t words; /* of attention */
	uint32_t sixteenth_shift;
	bool blocks;
	bool is_exclusive;
};

/* Private to the process that holds the place. */
struct shmp_broadcast_writer {
	struct shmp_broadcast ring;
	struct shmp_endpoint *self;
	uint64_t limit;	    /* no claim may end behind this: the lesser of gate and horizon */
	uint64_t quick_max; /* payload bytes of what is pushed quickly */
	uint64_t gate;
	uint32_t endpoint;
	uint32_t turn_left; /* claims; 0: it is not our turn */
	uint64_t ticket;
	uint64_t queued_need; /* of what it waits for, as the cursor says; 0: nothing */
	uint32_t cores;
	bool has_ticket;
	bool is_held_up;       /* the last time the turn was one's who waits for room */
	bool is_late;	       /* catches up */
	uint64_t contended_ns; /* when it was last in others' way */
	bool is_holding;       /* a claim is in hand, by reserve */
	uint64_t held;	       /* the tail word that it replaced */
	uint64_t held_need;
	struct shmp_waiter_memory telling_readers;
	struct shmp_waiter_memory telling_writers;
	struct shmp_waiter_memory ringing[SHMP_ENDPOINTS_MAX];
	uint64_t sent_before[SHMP_ENDPOINTS_MAX]; /* by each writer, when contention began */
};

struct shmp_broadcast_message {
	const void *data;
	uint64_t size;
	uint32_t flags;	   /* LOST */
	uint32_t writer;   /* endpoint */
	uint64_t sequence; /* of the writer, from 0 */
	uint64_t lost; /* of this writer, since the one before; 0 with LOST: not known how many */
	uint64_t position; /* of the one behind it */
};

struct shmp_broadcast_reader {
	struct shmp_broadcast ring;
	struct shmp_endpoint *self;
	uint64_t position;	 /* of the next message */
	uint64_t validate_below; /* what lies there may be overwritten while it is read */
	uint64_t joined;	 /* the cursor is never below it */
	uint32_t endpoint;
	bool is_showing;    /* a message is being peeked at */
	bool has_moved;	    /* the cursor was moved since somebody asked */
	bool has_skipped;   /* something nobody counted is lost: the next message says so */
	uint64_t usual_end; /* bytes of the last message, with its header */
	uint64_t laps;	    /* times it was lapped */
	struct shmp_broadcast_message shown;
	struct shmp_waiter_memory telling_writers;
	struct shmp_waiter_memory ringing[SHMP_ENDPOINTS_MAX];
	uint64_t next[SHMP_ENDPOINTS_MAX]; /* sequence number that each writer's next one has */
	uint64_t lost[SHMP_ENDPOINTS_MAX]; /* of each writer, as far as its next one came */
};

/*
 * Takes up @endpoint, a writer's, of a mapped segment, assigned by the broker. The caller has zeroed
 * @ret_writer, most of which is memory for telling. 0 or -EBADMSG.
 */
int shmp_broadcast_attach_writer(const struct shmp_segment *segment, uint32_t endpoint,
				 struct shmp_broadcast_writer *ret_writer);
/*
 * The same for a reader; @position only for FROM_POSITION. 0, -EBADMSG, or -EINVAL when no message
 * begins at @position.
 */
int shmp_broadcast_attach_reader(const struct shmp_segment *segment, uint32_t endpoint,
				 enum shmp_broadcast_from from, uint64_t position,
				 struct shmp_broadcast_reader *ret_reader);

/* What a mapped segment is. 0 or -EBADMSG. */
int shmp_broadcast_view(const struct shmp_segment *segment, struct shmp_broadcast *ret_ring);

/* Units that a message of @size bytes takes. */
static inline uint64_t shmp_broadcast_need(uint64_t size)
{
	return (SHMP_BROADCAST_HEADER + size + 15) >> SHMP_BROADCAST_UNIT_SHIFT;
}

static inline struct shmp_broadcast_header *shmp_broadcast_header(const struct shmp_broadcast *ring,
								  uint64_t position)
{
	return (void *)(ring->data + (position << SHMP_BROADCAST_UNIT_SHIFT & ring->mask));
}

static inline uint64_t shmp_broadcast_tail_word(uint64_t position, uint64_t owner)
{
	return position << 8 | owner;
}

static inline uint64_t shmp_broadcast_about(uint64_t bytes, uint64_t writer, uint64_t prev,
					    uint64_t flags)
{
	return bytes | writer << 32 | prev << 40 | flags << 48;
}

/* Units that a header with @about says; of hostile bytes anything. */
static inline uint64_t shmp_broadcast_about_need(uint64_t about)
{
	if ((about >> 48 & SHMP_BROADCAST_PAD) != 0)
		return (about & UINT32_MAX) >> SHMP_BROADCAST_UNIT_SHIFT;
	return shmp_broadcast_need(about & UINT32_MAX) +
	       ((about >> 48 & SHMP_BROADCAST_SLACK) != 0);
}

static inline uint64_t shmp_broadcast_load_tail(const struct shmp_broadcast *ring)
{
	/* [T] acquire; pairs with shmp_broadcast_claim */
	return atomic_load_explicit(ring->tail, memory_order_acquire);
}

static inline uint64_t shmp_broadcast_load_horizon(const struct shmp_broadcast *ring)
{
	/* [H] acquire; pairs with raise_horizon */
	return atomic_load_explicit(&ring->control->horizon, memory_order_acquire);
}

/* Whether @position is published. */
static inline bool shmp_broadcast_is_tagged(const struct shmp_broadcast *ring, uint64_t position)
{
	/* [G] acquire; pairs with shmp_broadcast_publish */
	return atomic_load_explicit(&shmp_broadcast_header(ring, position)->tag,
				    memory_order_acquire) == position + ring->secret;
}

/* Payloads that are read while they may be overwritten: a race by design, told from the others. */
#if defined(__SANITIZE_THREAD__)
#define SHMP_BROADCAST_RACES 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHMP_BROADCAST_RACES 1
#endif
#endif
#ifdef SHMP_BROADCAST_RACES
void shmp_broadcast_copy_racing(void *to, const void *from, uint64_t bytes);
#endif

static inline void shmp_broadcast_copy(const struct shmp_broadcast *ring, void *to,
				       const void *from, uint64_t bytes)
{
#ifdef SHMP_BROADCAST_RACES
	if (!ring->blocks) {
		shmp_broadcast_copy_racing(to, from, bytes);
		return;
	}
#endif
	(void)ring;
	shmp_copy(to, from, bytes);
}

/* Up to SHMP_COPY_INLINE bytes. */
static inline void shmp_broadcast_copy_short(const struct shmp_broadcast *ring, void *to,
					     const void *from, uint64_t bytes)
{
#ifdef SHMP_BROADCAST_RACES
	shmp_broadcast_copy(ring, to, from, bytes);
#else
	(void)ring;
	shmp_copy_short(to, from, bytes);
#endif
}

/* Writing. */

/* No claim to @end by what is known: look again. DONE, FULL, -EBADMSG. */
SHMP_COLD int shmp_broadcast_room_again(struct shmp_broadcast_writer *writer, uint64_t end);

/*
 * Lost a race, or others queue: waits for the own turn, briefly. DONE: try; FULL: it is the turn of
 * one who waits for room that is not there, and nobody goes past him.
 */
SHMP_COLD int shmp_broadcast_give_way(struct shmp_broadcast_writer *writer);
/* A claim was made, by one who has a turn or had to wait for room. */
SHMP_COLD void shmp_broadcast_use_turn(struct shmp_broadcast_writer *writer);

/* Who got FULL for a claim of @need units and is going to wait says so: nobody goes past him. */
SHMP_COLD void shmp_broadcast_queue(struct shmp_broadcast_writer *writer, uint64_t need);
/* Does not wait any more, for whatever reason. True: tell the writers. */
SHMP_COLD bool shmp_broadcast_leave_queue(struct shmp_broadcast_writer *writer);

static inline uint64_t shmp_broadcast_queued(uint64_t ticket, uint64_t need)
{
	return SHMP_BROADCAST_QUEUED | (ticket & INT32_MAX) << 32 | need;
}

static inline bool shmp_broadcast_others_queue(const struct shmp_broadcast_writer *writer)
{
	const struct shmp_broadcast_control *control = writer->ring.control;

	/* relaxed: a hint, by which nothing is protected */
	uint64_t tickets = atomic_load_explicit(&control->tickets, memory_order_relaxed);
	/* relaxed: as above */
	uint64_t serving = atomic_load_explicit(&control->serving, memory_order_relaxed);

	/* relaxed: as above */
	return tickets != serving ||
	       atomic_load_explicit(&control->late, memory_order_relaxed) != 0;
}

static inline void shmp_broadcast_intend(struct shmp_endpoint *self, uint64_t intent)
{
	/* [I] release; pairs with load_intent. After the need when made, which the CAS that follows
	 * releases, too; after the tag when cleared */
	atomic_store_explicit(&self->intent[0], intent, memory_order_release);
}

/* From tail word @tail to @next, after the intent. */
static inline bool shmp_broadcast_claim(struct shmp_broadcast_writer *writer, uint64_t tail,
					uint64_t next)
{
	shmp_broadcast_intend(writer->self, tail | SHMP_BROADCAST_INTENDED);
	if (writer->ring.is_exclusive) {
		/* [T] release; pairs with shmp_broadcast_load_tail. Nobody else stores here */
		atomic_store_explicit(&writer->self->cursor, next, memory_order_release);
		return true;
	}
	/* [T] acq_rel; pairs with shmp_broadcast_load_tail */
	if (SHMP_LIKELY(atomic_compare_exchange_strong_explicit(
		    writer->ring.tail, &tail, next, memory_order_acq_rel, memory_order_relaxed)))
		return true;
	shmp_broadcast_intend(writer->self, 0);
	return false;
}

/* Claims @need units; what it replaced. DONE, FULL, -EBADMSG. */
static inline int shmp_broadcast_take(struct shmp_broadcast_writer *writer, uint64_t need,
				      uint64_t *ret_tail)
{
	/* relaxed: the intent's release publishes it */
	atomic_store_explicit(&writer->self->intent[1], need, memory_order_relaxed);
	if (!writer->ring.is_exclusive && SHMP_UNLIKELY(shmp_broadcast_others_queue(writer))) {
		int r = shmp_broadcast_give_way(writer);

		if (r != SHMP_DONE)
			return r;
	}
	for (uint32_t attempt = 0; attempt < SHMP_BROADCAST_ATTEMPTS; attempt++) {
		uint64_t tail = shmp_broadcast_load_tail(&writer->ring);
		uint64_t end = (tail >> 8) + need;
		int r;

		if (SHMP_UNLIKELY(end > writer->limit)) {
			r = shmp_broadcast_room_again(writer, end);
			if (r != SHMP_DONE)
				return r;
		}
		if (SHMP_LIKELY(shmp_broadcast_claim(
			    writer, tail,
			    shmp_broadcast_tail_word(end, writer->endpoint + UINT64_C(1))))) {
			/* [O] fence; pairs with shmp_broadcast_is_whole. Before the first byte */
			atomic_thread_fence(memory_order_release);
			if (SHMP_UNLIKELY((writer->turn_left | writer->queued_need) != 0))
				shmp_broadcast_use_turn(writer);
			*ret_tail = tail;
			return SHMP_DONE;
		}
		r = shmp_broadcast_give_way(writer);
		if (r != SHMP_DONE)
			return r;
	}
	return -EBADMSG;
}

/* Behind what was claimed at @position something begins: notes the first of each sixteenth. */
static inline void shmp_broadcast_note(const struct shmp_broadcast *ring, uint64_t position,
				       uint64_t need)
{
	uint64_t first = position >> ring->sixteenth_shift;
	uint64_t last = (position + need) >> ring->sixteenth_shift;

	if (SHMP_LIKELY(first == last))
		return;
	/* relaxed: a hint where to look; the tag there decides */
	atomic_store_explicit(&ring->control->boundary[last % SHMP_BROADCAST_BOUNDARIES],
			      position + need, memory_order_relaxed);
}

/* Header and boundaries of what was claimed at @position, tag last. */
static inline void shmp_broadcast_publish(const struct shmp_broadcast *ring, uint64_t position,
					  uint64_t need, uint64_t about, uint64_t sequence)
{
	struct shmp_broadcast_header *header = shmp_broadcast_header(ring, position);

	/* relaxed: published by the tag */
	atomic_store_explicit(&header->about, about, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&header->sequence, sequence, memory_order_relaxed);
	shmp_broadcast_note(ring, position, need);
	/* [G] release; pairs with shmp_broadcast_is_tagged */
	atomic_store_explicit(&header->tag, position + ring->secret, memory_order_release);
}

/* Publishes a message of @size bytes that was claimed by replacing @tail. */
static inline void shmp_broadcast_settle(struct shmp_broadcast_writer *writer, uint64_t tail,
					 uint64_t need, uint64_t size, uint64_t flags)
{
	struct shmp_endpoint *self = writer->self;
	/* relaxed: only this thread writes it */
	uint64_t sequence = atomic_load_explicit(&self->items, memory_order_relaxed);

	shmp_broadcast_publish(&writer->ring, tail >> 8, need,
			       shmp_broadcast_about(size, writer->endpoint, tail & 0xff, flags),
			       sequence);
	/* relaxed: a count; until the intent is cleared, repair takes it from the header */
	atomic_store_explicit(&self->items, sequence + 1, memory_order_relaxed);
	shmp_endpoint_count(&self->bytes, size);
	shmp_broadcast_intend(self, 0);
}

static inline uint8_t *shmp_broadcast_payload(const struct shmp_broadcast *ring, uint64_t position)
{
	return (uint8_t *)shmp_broadcast_header(ring, position) + SHMP_BROADCAST_HEADER;
}

/*
 * Push and pop come in two steps, as those of spsc. The quick one is a straight line for short
 * messages that goes by what this process knows already; where it has any doubt it does nothing and
 * says FULL or EMPTY, and the whole one does it. What is stored comes in the order of its lines, and
 * all addresses are worked out before the payload, behind which nothing is known any more.
 */
static inline int shmp_broadcast_push_quick(struct shmp_broadcast_writer *writer,
					    const void *payload, uint64_t size)
{
	const struct shmp_broadcast *ring = &writer->ring;
	uint64_t tail = shmp_broadcast_load_tail(ring), position = tail >> 8;
	uint64_t need = shmp_broadcast_need(size), end = position + need;
	uint64_t owner = writer->endpoint, tag = position + ring->secret, sequence;
	struct shmp_endpoint *self = writer->self;
	struct shmp_broadcast_header *header;

	if (SHMP_UNLIKELY(size > writer->quick_max || end > writer->limit))
		return SHMP_FULL;
	/* a boundary to be noted, a turn to be used */
	if (SHMP_UNLIKELY((position ^ end) >> ring->sixteenth_shift != 0 ||
			  (writer->turn_left | writer->queued_need) != 0))
		return SHMP_FULL;
	if (!ring->is_exclusive && SHMP_UNLIKELY(shmp_broadcast_others_queue(writer)))
		return SHMP_FULL;
	/* relaxed: the intent's release publishes it */
	atomic_store_explicit(&self->intent[1], need, memory_order_relaxed);
	if (SHMP_UNLIKELY(
		    !shmp_broadcast_claim(writer, tail, shmp_broadcast_tail_word(end, owner + 1))))
		return SHMP_FULL;
	/* [O] fence; pairs with shmp_broadcast_is_whole. Before the first byte */
	atomic_thread_fence(memory_order_release);
	header = shmp_broadcast_header(ring, position);
	/* relaxed: only this thread writes it */
	sequence = atomic_load_explicit(&self->items, memory_order_relaxed);
	/* relaxed: published by the tag */
	atomic_store_explicit(&header->about, shmp_broadcast_about(size, owner, tail & 0xff, 0),
			      memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&header->sequence, sequence, memory_order_relaxed);
	shmp_broadcast_copy_short(ring, (uint8_t *)header + SHMP_BROADCAST_HEADER, payload, size);
	/* [G] release; pairs with shmp_broadcast_is_tagged */
	atomic_store_explicit(&header->tag, tag, memory_order_release);
	/* relaxed: a count; until the intent is cleared, repair takes it from the header */
	atomic_store_explicit(&self->items, sequence + 1, memory_order_relaxed);
	shmp_endpoint_count(&self->bytes, size);
	shmp_broadcast_intend(self, 0);
	return SHMP_DONE;
}

/* DONE, FULL, TOO_BIG, -EBADMSG. */
static inline int shmp_broadcast_push(struct shmp_broadcast_writer *writer, const void *payload,
				      uint64_t size)
{
	uint64_t need = shmp_broadcast_need(size);
	uint64_t tail;
	int r;

	if (shmp_broadcast_push_quick(writer, payload, size) == SHMP_DONE)
		return SHMP_DONE;
	if (SHMP_UNLIKELY(size > writer->ring.message_max))
		return SHMP_TOO_BIG;
	r = shmp_broadcast_take(writer, need, &tail);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return r;
	shmp_broadcast_copy(&writer->ring, shmp_broadcast_payload(&writer->ring, tail >> 8),
			    payload, size);
	shmp_broadcast_settle(writer, tail, need, size, 0);
	return SHMP_DONE;
}

struct shmp_broadcast_piece {
	const void *data;
	uint64_t size;
};

/*
 * Pushes as many of @count messages as there is room for, at least one, by one claim, @ret_count of
 * them. DONE, FULL, TOO_BIG, -EBADMSG.
 */
int shmp_broadcast_push_pieces(struct shmp_broadcast_writer *writer,
			       const struct shmp_broadcast_piece *pieces, uint64_t count,
			       uint64_t *ret_count);

/*
 * Claims room for a payload of @size: where to write it. One at a time. Others' messages behind it
 * are not seen before it is settled: only for an exclusive writer. DONE, FULL, TOO_BIG, -EBADMSG.
 */
int shmp_broadcast_reserve(struct shmp_broadcast_writer *writer, uint64_t size,
			   uint8_t **ret_payload);
/* Publishes what was reserved; @size up to what was asked for. */
void shmp_broadcast_commit(struct shmp_broadcast_writer *writer, uint64_t size);
/* Gives what was reserved back unsent: padding, which readers skip. */
void shmp_broadcast_abort(struct shmp_broadcast_writer *writer);

/* Reading. */

/* After looking at what lies at @position: whether it may have been written over meanwhile. */
static inline bool shmp_broadcast_is_whole(const struct shmp_broadcast *ring, uint64_t position)
{
	/* [O] fence; pairs with shmp_broadcast_take */
	atomic_thread_fence(memory_order_acquire);
	/* relaxed: ordered by the fence */
	if (SHMP_LIKELY(atomic_load_explicit(&ring->control->horizon, memory_order_relaxed) <=
			position + ring->capacity))
		return true;
	return shmp_broadcast_load_tail(ring) >> 8 <= position + ring->capacity;
}

/*
 * Asks for the lines of a message that is not there yet together with its tag, as spsc does: the
 * next one is expected to be as long as the one before. Of a long one the lines would only be taken
 * from the writer who is filling them.
 */
static inline void shmp_broadcast_ask_ahead(const struct shmp_broadcast_reader *reader)
{
	const uint8_t *at = (const uint8_t *)shmp_broadcast_header(&reader->ring, reader->position);

	if (reader->usual_end > SHMP_BROADCAST_AHEAD)
		return;
	for (uint64_t offset = SHMP_LINE - ((uintptr_t)at & (SHMP_LINE - 1));
	     offset < reader->usual_end; offset += SHMP_LINE)
		__builtin_prefetch(at + offset);
}

/* Nothing is published at the reader's position: EMPTY; DONE to look again, moved on; -EBADMSG. */
SHMP_COLD int shmp_broadcast_nothing(struct shmp_broadcast_reader *reader, uint32_t attempt);
/* What is published there is no message: DONE to look again, moved on; -EBADMSG. */
SHMP_COLD int shmp_broadcast_odd(struct shmp_broadcast_reader *reader, uint64_t about,
				 uint32_t attempt);
/* Moves on to the oldest message that is not overwritten, for the @attempt-th time in a row. */
SHMP_COLD void shmp_broadcast_lapped(struct shmp_broadcast_reader *reader, uint32_t attempt);
/* The message's sequence number is not the one expected: counts what was lost between. */
SHMP_COLD void shmp_broadcast_gap(struct shmp_broadcast_reader *reader,
				  struct shmp_broadcast_message *message);

/* The next message, in place, not yet taken, not yet validated. DONE, EMPTY, -EBADMSG. */
static inline int shmp_broadcast_next(struct shmp_broadcast_reader *reader,
				      struct shmp_broadcast_message *ret_message, uint32_t *attempt)
{
	const struct shmp_broadcast *ring = &reader->ring;

	for (; *attempt < SHMP_BROADCAST_ATTEMPTS; ++*attempt) {
		uint64_t position = reader->position;
		struct shmp_broadcast_header *header = shmp_broadcast_header(ring, position);
		uint64_t about, size, flags;
		uint32_t who;
		int r;

		if (!shmp_broadcast_is_tagged(ring, position)) {
			r = shmp_broadcast_nothing(reader, *attempt);
			if (r != SHMP_DONE)
				return r;
			continue;
		}
		/* relaxed: published by the tag */
		about = atomic_load_explicit(&header->about, memory_order_relaxed);
		size = about & UINT32_MAX;
		who = about >> 32 & 0xff;
		flags = about >> 48;
		if (SHMP_UNLIKELY((flags & SHMP_BROADCAST_PAD) != 0 || size > ring->message_max ||
				  who >= ring->writers)) {
			r = shmp_broadcast_odd(reader, about, *attempt);
			if (r != SHMP_DONE)
				return r;
			continue;
		}
		ret_message->data = (const uint8_t *)header + SHMP_BROADCAST_HEADER;
		ret_message->size = size;
		ret_message->flags = 0;
		ret_message->writer = who;
		/* relaxed: published by the tag */
		ret_message->sequence = atomic_load_explicit(&header->sequence,
							     memory_order_relaxed);
		ret_message->lost = 0;
		ret_message->position = position + shmp_broadcast_need(size) +
					((flags & SHMP_BROADCAST_SLACK) != 0);
		return SHMP_DONE;
	}
	return -EBADMSG;
}

/* Whether what was read at the reader's position is what was sent. */
static inline bool shmp_broadcast_is_valid(const struct shmp_broadcast_reader *reader)
{
	return reader->position >= reader->validate_below ||
	       shmp_broadcast_is_whole(&reader->ring, reader->position);
}

/* The reader is done with all below @position. */
static inline void shmp_broadcast_move_to(struct shmp_broadcast_reader *reader, uint64_t position)
{
	uint64_t cursor = position > reader->joined ? position : reader->joined;

	reader->position = position;
	reader->has_moved = true;
	/* [C] release; pairs with shmp_broadcast_load_cursor */
	atomic_store_explicit(&reader->self->cursor, cursor << 8 | SHMP_BROADCAST_ACTIVE,
			      memory_order_release);
}

/* Takes the valid @message, says what was lost before it. */
static inline void shmp_broadcast_accept(struct shmp_broadcast_reader *reader,
					 struct shmp_broadcast_message *message)
{
	if (SHMP_UNLIKELY(message->sequence != reader->next[message->writer] ||
			  reader->has_skipped))
		shmp_broadcast_gap(reader, message);
	reader->next[message->writer] = message->sequence + 1;
	shmp_broadcast_move_to(reader, message->position);
	reader->usual_end = SHMP_BROADCAST_HEADER + message->size;
	shmp_endpoint_count(&reader->self->items, 1);
	shmp_endpoint_count(&reader->self->bytes, message->size);
}

static inline int shmp_broadcast_pop_quick(struct shmp_broadcast_reader *reader, void *buffer,
					   uint64_t buffer_bytes,
					   struct shmp_broadcast_message *ret_message)
{
	const struct shmp_broadcast *ring = &reader->ring;
	struct shmp_endpoint *self = reader->self;
	uint64_t position = reader->position, about, size, sequence, next;
	struct shmp_broadcast_header *header = shmp_broadcast_header(ring, position);
	uint32_t who;

	if (SHMP_UNLIKELY(!shmp_broadcast_is_tagged(ring, position)))
		return SHMP_EMPTY;
	/* relaxed: published by the tag */
	about = atomic_load_explicit(&header->about, memory_order_relaxed);
	/* relaxed: as above */
	sequence = atomic_load_explicit(&header->sequence, memory_order_relaxed);
	size = about & UINT32_MAX;
	who = about >> 32 & 0xff;
	if (SHMP_UNLIKELY(about >> 48 != 0 || size > SHMP_COPY_INLINE || size > buffer_bytes ||
			  size > ring->message_max || who >= ring->writers ||
			  sequence != reader->next[who] || reader->has_skipped))
		return SHMP_EMPTY;
	next = position + shmp_broadcast_need(size);
	shmp_broadcast_copy_short(ring, buffer, (const uint8_t *)header + SHMP_BROADCAST_HEADER,
				  size);
	if (SHMP_UNLIKELY(!shmp_broadcast_is_valid(reader)))
		return SHMP_EMPTY;
	reader->next[who] = sequence + 1;
	shmp_broadcast_move_to(reader, next);
	reader->usual_end = SHMP_BROADCAST_HEADER + size;
	shmp_endpoint_count(&self->items, 1);
	shmp_endpoint_count(&self->bytes, size);
	*ret_message = (struct shmp_broadcast_message){
		.data = buffer, .size = size, .writer = who, .sequence = sequence, .position = next
	};
	return SHMP_DONE;
}

/* DONE; EMPTY; TOO_BIG, the message stays and ret_message->size says how long it is; -EBADMSG. */
static inline int shmp_broadcast_pop(struct shmp_broadcast_reader *reader, void *buffer,
				     uint64_t buffer_bytes,
				     struct shmp_broadcast_message *ret_message)
{
	if (shmp_broadcast_pop_quick(reader, buffer, buffer_bytes, ret_message) == SHMP_DONE)
		return SHMP_DONE;
	for (uint32_t attempt = 0;; attempt++) {
		int r = shmp_broadcast_next(reader, ret_message, &attempt);
		bool fits;

		if (r != SHMP_DONE)
			return r;
		fits = ret_message->size <= buffer_bytes;
		if (SHMP_LIKELY(fits))
			shmp_broadcast_copy(&reader->ring, buffer, ret_message->data,
					    ret_message->size);
		if (SHMP_UNLIKELY(!shmp_broadcast_is_valid(reader))) {
			shmp_broadcast_lapped(reader, attempt);
			continue;
		}
		if (SHMP_UNLIKELY(!fits))
			return SHMP_TOO_BIG;
		ret_message->data = buffer;
		shmp_broadcast_accept(reader, ret_message);
		return SHMP_DONE;
	}
}

/* Shows the next message where it lies; valid only if release says so. DONE, EMPTY, -EBADMSG. */
int shmp_broadcast_peek(struct shmp_broadcast_reader *reader,
			struct shmp_broadcast_message *ret_message);
/*
 * Takes the message that was peeked at, with what was lost before it in @ret_message. DONE; EMPTY
 * when it has been written over meanwhile: what was read is worth nothing, and it counts as lost.
 */
int shmp_broadcast_release(struct shmp_broadcast_reader *reader,
			   struct shmp_broadcast_message *ret_message);

/*
 * How many messages of each writer the reader has lost so far, now, not only at the writer's next
 * message: @ret_lost has room for as many as there are writers. DONE; EMPTY while a message that is
 * being written stands in the way: then it is what is known so far; -EBADMSG.
 */
int shmp_broadcast_count_lost(struct shmp_broadcast_reader *reader, uint64_t *ret_lost);

/*
 * Where the oldest message begins of those that are not written over, @later sixteenths of the ring
 * away from it; the tail when none is known. Never before @least.
 */
uint64_t shmp_broadcast_find_oldest(const struct shmp_broadcast *ring, uint64_t least,
				    uint64_t later);

/* The kind's look, in broadcast_look.c. */
int shmp_broadcast_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
			void *context);

/* Telling. */

/* Whether readers want to be told, after a publication; then shmp_broadcast_tell_readers. */
static inline bool shmp_broadcast_readers_wait(const struct shmp_broadcast *ring)
{
	return shmp_waiter_wanted(&ring->control->not_empty, ring->words);
}

/* Whether writers want to be told, after a push, which others may have waited for, or a pop. */
static inline bool shmp_broadcast_writers_wait(const struct shmp_broadcast *ring)
{
	return shmp_waiter_wanted(&ring->control->not_full, ring->words);
}

static inline void shmp_broadcast_tell_readers(struct shmp_broadcast_writer *writer,
					       shmp_ring_fn ring, void *ringer)
{
	shmp_waiter_notify_all(&writer->ring.control->not_empty, writer->ring.endpoints,
			       writer->ring.writers + writer->ring.readers,
			       &writer->telling_readers, writer->ringing, ring, ringer);
}

/* @own and @ringing: the writer's or reader's. */
static inline void shmp_broadcast_tell_writers(const struct shmp_broadcast *shared,
					       struct shmp_waiter_memory *own,
					       struct shmp_waiter_memory *ringing,
					       shmp_ring_fn ring, void *ringer)
{
	shmp_waiter_notify_all(&shared->control->not_full, shared->endpoints,
			       shared->writers + shared->readers, own, ringing, ring, ringer);
}

/* Messages that readers have lost in all, as far as they know. */
uint64_t shmp_broadcast_total_lost(const struct shmp_endpoint *reader);

#endif
