/*
 * spsc: one producer, one consumer, variable-length messages, contiguous in memory.
 *
 * Layout. ctl: two waiters, then endpoint 0 (producer) and 1 (consumer). data: a ring, a power of
 * two, mapped twice in a row. A message is one header word, its payload, padding to 8:
 *
 *	| header 8 | payload, 0..limit | pad | header of the next: 0 |
 *	  PUBLISHED (bit 63) | payload bytes
 *
 * The moves know of a ring only what struct shmp_spsc_ring says: its bytes, whose lines hold the
 * two positions, where who waits. So other kinds that move messages one way make them, too, on as
 * many rings as they like. Between PUBLISHED and the length such a kind may keep a tag of its own.
 *
 * In-line publication: a header of 0 means "not yet". The producer zeroes the next header, writes
 * the payload before it, then releases the header; the consumer polls that header. One line carries a
 * small message in one transfer. Positions count bytes for ever; cursor of endpoint 0 is where the
 * producer writes next, of endpoint 1 where the consumer reads next. Both are private copies
 * first and are published for the other side's free-space check, for successors and for status.
 *
 * Why it is correct:
 * - Nothing is seen before its header; the header at the true end is always 0, since the push
 *   before zeroed it and only the producer writes there. Hence room for a message is need + 8:
 *   with an exactly full ring, zeroing would wipe the oldest unread header.
 * - Producer dead before the release: published nothing. Dead between release and its cursor:
 *   its successor walks from the cursor while headers are set, and goes on behind them. How many
 *   messages that makes in all was said before the release: first intent[0], the position behind
 *   this one with the last bits of the count that will be, which say whether it came to the second
 *   store, then the count. If the walk ends at intent[0] the count is right, else one too high or
 *   right, as those bits tell.
 * - A batch is written behind a first header that is still 0, which is released last. While it is,
 *   intent[1] holds the count before it, plus 1.
 * - Consumer: stores seen_to (intent 0) before it reads, its cursor after. Dead in between: the
 *   successor starts at the cursor; what lies below seen_to is flagged REDELIVERED. seen_to never
 *   goes back, or a successor that dies over the first of several would hide the others.
 * - PEER_DEAD: the state is loaded first, then the header once more: what was published before
 *   the death is always read before it is reported.
 *
 * Hostile bytes: a header is loaded once and its length bounded by the limit, so that a message
 * always ends inside the double mapping; cursors of the other side are bounded by the capacity
 * and may not go back. What fails is -EBADMSG.
 *
 * Edges:
 * [H] header: push, commit, publish -> pop, peek; publishes payload and the zeroed next header
 * [P] consumer's cursor: pop, release -> push (out of room); gives the bytes back
 * [Q] producer's cursor: push -> status and successors; says what was published
 * [I] seen_to: pop, peek -> successor consumer; for a dead process program order is enough, so
 *     only the compiler must be stopped
 * [N] producer's intents and count: announce -> successor producer; the same holds
 *
 * Calls that may run together: one producer's with one consumer's; repair with either (it only
 * touches the dead one's waiter bits); attach of a role only while its place is held by nobody.
 * Progress: all moves wait-free, bounded by the length of the message or batch; attach_producer
 * bounded by the capacity.
 */
#ifndef SHMP_SPSC_H
#define SHMP_SPSC_H

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

#define SHMP_SPSC_VERSION  1u
#define SHMP_SPSC_PRODUCER 0u /* endpoint */
#define SHMP_SPSC_CONSUMER 1u /* endpoint */

#define SHMP_SPSC_HEADER      8u
#define SHMP_SPSC_AHEAD	      256u /* bytes of a message that is asked for before it is there */
#define SHMP_SPSC_ALONE	      16u  /* bytes of a message that seldom lies in more than one line */
#define SHMP_SPSC_PUBLISHED   (UINT64_C(1) << 63)
#define SHMP_SPSC_REDELIVERED 1u /* message flag */
/* With checksums a header is PUBLISHED, 32 bits of them, and a length of 31. */
#define SHMP_SPSC_SUM_SHIFT  31
#define SHMP_SPSC_SUM_BITS   (UINT64_C(0xffffffff) << SHMP_SPSC_SUM_SHIFT)
#define SHMP_SPSC_SUMMED_MAX ((UINT64_C(1) << SHMP_SPSC_SUM_SHIFT) - 1)

enum shmp_spsc_option {
	SHMP_SPSC_CAPACITY_BYTES = 0,
	SHMP_SPSC_MESSAGE_BYTES_MAX = 1,
	SHMP_SPSC_CHECKSUM = 2, /* 1: the tag of a message is the CRC32C of its payload */
};

struct shmp_spsc_control {
	struct shmp_waiter not_empty; /* where the consumer waits */
	struct shmp_waiter not_full;  /* where the producer waits */
};
SHMP_FREEZE(shmp_spsc_control, 128);
SHMP_FIELD(shmp_spsc_control, not_empty, 0);
SHMP_FIELD(shmp_spsc_control, not_full, 64);

extern const struct shmp_kind shmp_spsc_kind;

#define SHMP_SPSC_CAPACITY_MIN UINT64_C(4096)
#define SHMP_SPSC_OVERHEAD     16u /* header of a message and the zeroed one behind it */

/* One ring, of whatever kind it is a part. */
struct shmp_spsc_ring {
	uint8_t *data; /* mapped twice in a row; may be NULL for those who only look at ctl */
	const uint8_t *read_data; /* the same for reading only; NULL where there is none */
	uint64_t capacity;	  /* bytes, a power of two */
	uint64_t message_max;	  /* payload bytes */
	uint64_t tags;		  /* bits of a header that are the kind's own */
	/* whose own lines hold the two positions; what else is in them is not looked at */
	struct shmp_endpoint *producer;
	struct shmp_endpoint *consumer;
	/* the places of the segment, and those whose holders move */
	struct shmp_endpoint *places;
	uint32_t producer_place;
	uint32_t consumer_place;
	struct shmp_waiter *not_empty; /* where the consumer waits */
	struct shmp_waiter *not_full;  /* where the producer waits */
};

/* Private to the process that holds the role. */
struct shmp_spsc_producer {
	uint8_t *data;
	uint64_t mask;	    /* capacity - 8: a place that is a multiple of 8, of any position */
	uint64_t limit;	    /* no message may end behind this */
	uint64_t quick_max; /* payload bytes of what is pushed quickly */
	struct shmp_endpoint *self; /* the own line */
	struct shmp_waiter *not_empty;
	uint64_t mark;	      /* PUBLISHED, and the tag of what is sent from now on */
	uint64_t message_max; /* payload bytes */
	uint64_t batch_head;  /* where the batch being built begins; there is none when not head */
	uint64_t batch_end;   /* position behind it */
	uint64_t batch_first; /* payload bytes of its first message */
	uint64_t batch_items;
	uint64_t batch_bytes;
	const struct shmp_endpoint *peer; /* the consumer's line */
	const struct shmp_endpoint *peer_place;
	struct shmp_endpoint *places;
	struct shmp_waiter *not_full;
	struct shmp_waiter_memory memory; /* of waking the consumer */
};

struct shmp_spsc_consumer {
	const uint8_t *data; /* one of the two below */
	uint64_t mask;
	uint64_t tail;	/* position of the next message */
	uint64_t quick; /* header of a message to be popped quickly: see shmp_spsc_pop_quick */
	uint64_t quick_least; /* and the buffer larger than this; UINT64_MAX: none is */
	uint64_t quick_size;
	uint64_t quick_need;
	struct shmp_endpoint *self; /* the own line */
	struct shmp_waiter *not_full;
	uint64_t mark; /* PUBLISHED, and the tag of what is taken: a change of it drops `quick` */
	uint64_t message_max;
	uint64_t usual; /* header of the message before: see shmp_spsc_next_quick */
	uint64_t usual_size;
	const uint8_t *short_data; /* the ring, for what is as short as the message before... */
	const uint8_t *long_data;  /* ... or as long */
	uint64_t redelivered;	   /* messages that begin below were in a dead one's hands */
	uint64_t seen_to;	   /* as stored in intent 0; or less, when that is tail */
	uint64_t shown_items;	   /* peeked at and not released, 0 when nothing is */
	uint64_t shown;		   /* position behind them */
	const struct shmp_endpoint *peer_place;
	struct shmp_endpoint *places;
	struct shmp_waiter *not_empty;
	struct shmp_waiter_memory memory; /* of waking the producer */
};

struct shmp_spsc_message {
	const void *data;
	uint64_t size;
	uint32_t flags;
};

/*
 * Takes up a role in a mapped segment whose place the broker has assigned to this process.
 * 0, or -EBADMSG when the ring holds what no producer or consumer wrote.
 */
int shmp_spsc_attach_producer(const struct shmp_segment *segment,
			      struct shmp_spsc_producer *ret_producer);
int shmp_spsc_attach_consumer(const struct shmp_segment *segment,
			      struct shmp_spsc_consumer *ret_consumer);

/* The same in any ring. What is sent has no tag, and what has one is not taken. */
int shmp_spsc_ring_attach_producer(const struct shmp_spsc_ring *ring,
				   struct shmp_spsc_producer *ret_producer);
int shmp_spsc_ring_attach_consumer(const struct shmp_spsc_ring *ring,
				   struct shmp_spsc_consumer *ret_consumer);

/*
 * Position of the next message. There is no copy of it: stores that follow each other in one line
 * are nearly free, and each change to another line is not. Who scribbles over it sends the producer
 * to another place of the same ring and no further, since positions are masked, and there is room
 * only between the consumer and a ring's length from there.
 */
static inline uint64_t shmp_spsc_head(const struct shmp_spsc_producer *producer)
{
	/* relaxed: written by this thread only */
	return atomic_load_explicit(&producer->self->cursor, memory_order_relaxed);
}

/* Either side's position, as others see it. */
static inline uint64_t shmp_spsc_load_cursor(const struct shmp_endpoint *line)
{
	/* [P] acquire; pairs with shmp_spsc_take
	 * [Q] acquire; pairs with shmp_spsc_publish */
	return atomic_load_explicit(&line->cursor, memory_order_acquire);
}

/* Bytes of ring a payload of @size takes. */
static inline uint64_t shmp_spsc_need(uint64_t size)
{
	return (SHMP_SPSC_HEADER + size + 7) & ~UINT64_C(7);
}

static inline _Atomic uint64_t *shmp_spsc_header(uint8_t *data, uint64_t mask, uint64_t position)
{
	return (_Atomic uint64_t *)(void *)(data + (position & mask));
}

/*
 * Out of room by the cached limit, for what begins at @head or further on and ends at @end: look at
 * the consumer again. DONE, FULL, PEER_*, -EBADMSG.
 */
SHMP_COLD int shmp_spsc_room_again(struct shmp_spsc_producer *producer, uint64_t head,
				   uint64_t end);

/* Whether a message that ends at @end may be written, with the zero behind it, for all we know. */
static inline bool shmp_spsc_has_room(const struct shmp_spsc_producer *producer, uint64_t end)
{
	return producer->limit - end <= producer->mask;
}

/* DONE when there is room. */
static inline int shmp_spsc_room(struct shmp_spsc_producer *producer, uint64_t head, uint64_t end)
{
	if (SHMP_LIKELY(shmp_spsc_has_room(producer, end)))
		return SHMP_DONE;
	return shmp_spsc_room_again(producer, head, end);
}

/* Says, before it is published, that @items messages in all will lie below @end. */
static inline void shmp_spsc_announce(struct shmp_endpoint *self, uint64_t end, uint64_t items)
{
	/* [N] release; pairs with count_messages. Behind all that the last publication stored */
	atomic_store_explicit(&self->intent[0], end | items % 8, memory_order_release);
	/* [N] release; pairs with count_messages */
	atomic_store_explicit(&self->items, items, memory_order_release);
}

/* How many messages were sent, @more of them now. */
static inline uint64_t shmp_spsc_items(const struct shmp_spsc_producer *producer, uint64_t more)
{
	/* relaxed: a statistic, written by this thread only */
	return more + atomic_load_explicit(&producer->self->items, memory_order_relaxed);
}

/*
 * The first half of a publication: @items messages in all will lie below @end, address @next.
 * It comes before the payload where that is to be copied, since a store that follows another into
 * the same line is nearly free, and one that goes back and forth between lines is not.
 */
static inline void shmp_spsc_prepare(struct shmp_spsc_producer *producer, uint8_t *next,
				     uint64_t end, uint64_t items)
{
	shmp_spsc_announce(producer->self, end, items);
	/* relaxed: published by the release in shmp_spsc_publish; nobody looks at it before */
	atomic_store_explicit((_Atomic uint64_t *)(void *)next, 0, memory_order_relaxed);
}

/*
 * The second half: publishes what lies at @at, the address of head, up to @end as prepared, @bytes
 * of payload in all; the first message is of @size, and all but its header is in place. Who writes
 * the payload has worked out the addresses before: what is written through a byte pointer could be
 * anything, and the compiler would read everything again.
 */
static inline void shmp_spsc_publish(struct shmp_spsc_producer *producer, uint8_t *at,
				     uint64_t size, uint64_t end, uint64_t bytes)
{
	struct shmp_endpoint *self = producer->self;

	/* [H] release; pairs with shmp_spsc_next_quick */
	atomic_store_explicit((_Atomic uint64_t *)(void *)at, producer->mark | size,
			      memory_order_release);
	/* [Q] release; pairs with shmp_spsc_load_cursor */
	atomic_store_explicit(&self->cursor, end, memory_order_release);
	shmp_endpoint_count(&self->bytes, bytes);
}

/* Both, for whoever has written the payload at @head before. */
static inline void shmp_spsc_send(struct shmp_spsc_producer *producer, uint64_t head, uint64_t size,
				  uint64_t end, uint64_t more, uint64_t bytes)
{
	shmp_spsc_prepare(producer, producer->data + (end & producer->mask), end,
			  shmp_spsc_items(producer, more));
	shmp_spsc_publish(producer, producer->data + (head & producer->mask), size, end, bytes);
}

/*
 * Room for a payload of @size: where to write it. The message is sent by shmp_spsc_commit with
 * the size really used. DONE, FULL, TOO_BIG, PEER_DEAD, PEER_LEFT, -EBADMSG.
 */
static inline int shmp_spsc_reserve(struct shmp_spsc_producer *producer, uint64_t size,
				    uint8_t **ret_payload)
{
	uint64_t head = shmp_spsc_head(producer);
	int r;

	if (SHMP_UNLIKELY(size > producer->message_max))
		return SHMP_TOO_BIG;
	r = shmp_spsc_room(producer, head, head + shmp_spsc_need(size));
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return r;
	*ret_payload = producer->data + (head & producer->mask) + SHMP_SPSC_HEADER;
	return SHMP_DONE;
}

static inline void shmp_spsc_commit(struct shmp_spsc_producer *producer, uint64_t size)
{
	uint64_t head = shmp_spsc_head(producer);

	shmp_spsc_send(producer, head, size, head + shmp_spsc_need(size), 1, size);
}

/*
 * Push and pop come in two steps. The quick one is a straight line for short messages that goes by
 * what this process knows already; it calls nothing and so needs no stack frame. Where it has any
 * doubt it does nothing and says FULL or EMPTY, and the whole one does it.
 */
static inline int shmp_spsc_push_quick(struct shmp_spsc_producer *producer, const void *payload,
				       uint64_t size)
{
	uint64_t head = shmp_spsc_head(producer);
	uint64_t need = shmp_spsc_need(size);
	uint64_t end = head + need;
	uint8_t *at = producer->data + (head & producer->mask);

	if (SHMP_UNLIKELY(size > producer->quick_max))
		return SHMP_FULL;
	if (SHMP_UNLIKELY(!shmp_spsc_has_room(producer, end)))
		return SHMP_FULL;
	/* the next header is behind this message, also where that is in the second mapping */
	shmp_spsc_prepare(producer, at + need, end, shmp_spsc_items(producer, 1));
	shmp_copy_short(at + SHMP_SPSC_HEADER, payload, size);
	shmp_spsc_publish(producer, at, size, end, size);
	return SHMP_DONE;
}

/* DONE, FULL, TOO_BIG, PEER_DEAD, PEER_LEFT, -EBADMSG. */
static inline int shmp_spsc_push(struct shmp_spsc_producer *producer, const void *payload,
				 uint64_t size)
{
	uint8_t *room;
	int r;

	if (shmp_spsc_push_quick(producer, payload, size) == SHMP_DONE)
		return SHMP_DONE;
	r = shmp_spsc_reserve(producer, size, &room);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return r;
	shmp_copy(room, payload, size);
	shmp_spsc_commit(producer, size);
	return SHMP_DONE;
}

/*
 * Adds a message to a batch, invisible until shmp_spsc_batch_publish. As shmp_spsc_push. A push
 * meanwhile drops the batch; reserve writes over it.
 */
int shmp_spsc_batch_add(struct shmp_spsc_producer *producer, const void *payload, uint64_t size);
/* Makes the batch visible all at once; nothing to do without one. */
void shmp_spsc_batch_publish(struct shmp_spsc_producer *producer);

/* Whether the consumer wants to be told, after a publication; then shmp_spsc_tell_consumer. */
static inline bool shmp_spsc_consumer_waits(const struct shmp_spsc_producer *producer)
{
	return shmp_waiter_wanted_by(producer->not_empty, SHMP_SPSC_CONSUMER);
}

static inline void shmp_spsc_tell_consumer(struct shmp_spsc_producer *producer, shmp_ring_fn ring,
					   void *ringer)
{
	shmp_waiter_notify(producer->not_empty, producer->places, SHMP_SPSC_CONSUMER,
			   &producer->memory, ring, ringer);
}

/*
 * Whoever looks for a message will read its other lines, too, and one after the other they take a
 * transfer each; asked for together with the header they come together. The next message is
 * expected to be as long as the one before. Of a long one the lines would only be taken from the
 * producer who is filling them.
 */
static inline void shmp_spsc_ask_ahead(const struct shmp_spsc_consumer *consumer, uint64_t position)
{
	const uint8_t *at = consumer->data + (position & consumer->mask);
	uint64_t end = SHMP_SPSC_HEADER + consumer->usual_size;

	if (end > SHMP_SPSC_AHEAD)
		return;
	for (uint64_t offset = SHMP_LINE - ((uintptr_t)at & (SHMP_LINE - 1)); offset < end;
	     offset += SHMP_LINE)
		__builtin_prefetch(at + offset);
}

/* Whether the consumer, or one who has gone again, took something since the last look. */
static inline bool shmp_spsc_was_emptied(const struct shmp_spsc_producer *producer)
{
	/* relaxed: a hint; whoever goes for the room loads it again */
	uint64_t tail = atomic_load_explicit(&producer->peer->cursor, memory_order_relaxed);

	return tail + producer->mask != producer->limit;
}

/* A look at the next header and nothing else, for whoever looks often: is there something? */
static inline bool shmp_spsc_look(const struct shmp_spsc_consumer *consumer)
{
	const uint8_t *at = consumer->data + (consumer->tail & consumer->mask);

	/* relaxed: a hint; whoever goes for the message loads the header again */
	if (atomic_load_explicit((const _Atomic uint64_t *)(const void *)at,
				 memory_order_relaxed) != 0)
		return true;
	shmp_spsc_ask_ahead(consumer, consumer->tail);
	return false;
}

/* No message at @position: why. EMPTY, PEER_DEAD, PEER_LEFT, or DONE when one came just now. */
SHMP_COLD int shmp_spsc_empty(const struct shmp_spsc_consumer *consumer, uint64_t position);

/*
 * From now on most messages have this header. One in a line of its own goes to and fro soonest
 * where the line comes to its reader as one to be written; of many lines each would have to be got
 * back by its writer: see shmp_segment_data_addresses.
 */
static inline void shmp_spsc_expect(struct shmp_spsc_consumer *consumer, uint64_t header,
				    uint64_t size)
{
	consumer->usual = header;
	consumer->usual_size = size;
	consumer->data = size <= SHMP_SPSC_ALONE ? consumer->short_data : consumer->long_data;
}

/*
 * The message at @position, not yet taken. Bounded: the payload lies inside the mapping whatever
 * a hostile producer does. DONE, EMPTY, -EBADMSG.
 *
 * Where the next message lies follows from this one's header, which would make a chain of loads
 * that each wait for the one before, and for the line to come from the other core. Most messages
 * are as long as the one before: comparing with that turns the chain into a guess of the branch
 * predictor, and the next message is being read before this header has come.
 */
static inline int shmp_spsc_next_quick(struct shmp_spsc_consumer *consumer, uint64_t position,
				       struct shmp_spsc_message *ret_message, uint64_t *ret_end)
{
	const uint8_t *at = consumer->data + (position & consumer->mask);
	/* [H] acquire; pairs with shmp_spsc_publish */
	uint64_t header = atomic_load_explicit((const _Atomic uint64_t *)(const void *)at,
					       memory_order_acquire);

	if (SHMP_UNLIKELY(header != consumer->usual)) {
		uint64_t size = header ^ consumer->mark;

		if (header == 0)
			return SHMP_EMPTY;
		if (SHMP_UNLIKELY(size > consumer->message_max))
			return -EBADMSG; /* also: not PUBLISHED, or another tag */
		shmp_spsc_expect(consumer, header, size);
	}
	ret_message->data = at + SHMP_SPSC_HEADER;
	ret_message->size = consumer->usual_size;
	ret_message->flags = position < consumer->redelivered ? SHMP_SPSC_REDELIVERED : 0;
	*ret_end = position + shmp_spsc_need(consumer->usual_size);
	return SHMP_DONE;
}

/* As next_quick, and when there is none, why. DONE, EMPTY, PEER_DEAD, PEER_LEFT, -EBADMSG. */
static inline int shmp_spsc_next(struct shmp_spsc_consumer *consumer, uint64_t position,
				 struct shmp_spsc_message *ret_message, uint64_t *ret_end)
{
	int r = shmp_spsc_next_quick(consumer, position, ret_message, ret_end);

	if (SHMP_LIKELY(r != SHMP_EMPTY))
		return r;
	r = shmp_spsc_empty(consumer, position);
	if (r != SHMP_DONE)
		return r;
	return shmp_spsc_next_quick(consumer, position, ret_message, ret_end);
}

/* Says, before the payload is read, that everything below @end may be in this one's hands. */
static inline void shmp_spsc_say_seen(struct shmp_endpoint *self, uint64_t end)
{
	/* [I] release; pairs with shmp_spsc_attach_consumer */
	atomic_store_explicit(&self->intent[0], end, memory_order_release);
	/* [I] fence; a dead process's stores are exact in program order: stop the compiler */
	atomic_signal_fence(memory_order_seq_cst);
}

/* The same, unless it was said before, by a predecessor or for a longer peek. */
static inline void shmp_spsc_intend(struct shmp_spsc_consumer *consumer, uint64_t end)
{
	if (SHMP_UNLIKELY(end <= consumer->seen_to))
		return;
	consumer->seen_to = end;
	shmp_spsc_say_seen(consumer->self, end);
}

/* Gives everything below @end back to the producer; @self is the consumer's endpoint. */
static inline void shmp_spsc_take_to(struct shmp_spsc_consumer *consumer,
				     struct shmp_endpoint *self, uint64_t end, uint64_t items,
				     uint64_t bytes)
{
	consumer->tail = end;
	/* [P] release; pairs with shmp_spsc_load_cursor */
	atomic_store_explicit(&self->cursor, end, memory_order_release);
	shmp_endpoint_count(&self->items, items);
	shmp_endpoint_count(&self->bytes, bytes);
}

static inline void shmp_spsc_take(struct shmp_spsc_consumer *consumer, uint64_t end, uint64_t items,
				  uint64_t bytes)
{
	shmp_spsc_take_to(consumer, consumer->self, end, items, bytes);
}

/*
 * The other quick one: for a short message just as long as the one popped before, with nothing
 * behind it that was ever in somebody's hands, so that it is not flagged and seen_to only grows.
 * DONE, or EMPTY with nothing done.
 */
static inline int shmp_spsc_pop_quick(struct shmp_spsc_consumer *consumer, void *buffer,
				      uint64_t buffer_bytes, struct shmp_spsc_message *ret_message)
{
	struct shmp_endpoint *self = consumer->self;
	uint64_t tail = consumer->tail;
	const uint8_t *at = consumer->data + (tail & consumer->mask);
	uint64_t size, end;

	/* [H] acquire; pairs with shmp_spsc_publish */
	if (atomic_load_explicit((const _Atomic uint64_t *)(const void *)at,
				 memory_order_acquire) != consumer->quick)
		return SHMP_EMPTY;
	if (SHMP_UNLIKELY(buffer_bytes <= consumer->quick_least))
		return SHMP_EMPTY;
	size = consumer->quick_size;
	end = tail + consumer->quick_need;
	shmp_spsc_say_seen(self, end);
	shmp_copy_short(buffer, at + SHMP_SPSC_HEADER, size);
	shmp_spsc_take_to(consumer, self, end, 1, size);
	ret_message->data = buffer;
	ret_message->size = size;
	ret_message->flags = 0;
	return SHMP_DONE;
}

/*
 * From now on a message with the header of the one just taken is popped quickly, if it may be. One
 * without payload may not, so that a least of size - 1 leaves a value for "none": there is no
 * header that a hostile producer could not write.
 */
static inline void shmp_spsc_learn(struct shmp_spsc_consumer *consumer)
{
	uint64_t size = consumer->usual_size;
	bool is_quick = size <= SHMP_COPY_INLINE && consumer->seen_to <= consumer->tail;

	consumer->quick = consumer->usual;
	consumer->quick_least = is_quick ? size - 1 : UINT64_MAX;
	consumer->quick_size = size;
	consumer->quick_need = shmp_spsc_need(size);
}

/*
 * Takes the next message into @buffer; not while any is shown by peek. TOO_BIG leaves it and says
 * in ret_message how long it is. DONE, EMPTY, TOO_BIG, PEER_DEAD, PEER_LEFT, -EBADMSG.
 */
static inline int shmp_spsc_pop(struct shmp_spsc_consumer *consumer, void *buffer,
				uint64_t buffer_bytes, struct shmp_spsc_message *ret_message)
{
	uint64_t end;
	int r;

	if (shmp_spsc_pop_quick(consumer, buffer, buffer_bytes, ret_message) == SHMP_DONE)
		return SHMP_DONE;
	r = shmp_spsc_next(consumer, consumer->tail, ret_message, &end);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return r;
	if (SHMP_UNLIKELY(ret_message->size > buffer_bytes))
		return SHMP_TOO_BIG;
	shmp_spsc_intend(consumer, end);
	shmp_copy(buffer, ret_message->data, ret_message->size);
	ret_message->data = buffer;
	shmp_spsc_take(consumer, end, 1, ret_message->size);
	shmp_spsc_learn(consumer);
	return SHMP_DONE;
}

/*
 * Shows up to @max next messages (1 or more) in place, from the first not released on, and marks
 * them as being in this one's hands. DONE with *ret_count >= 1; EMPTY, PEER_*, -EBADMSG with none.
 */
int shmp_spsc_peek(struct shmp_spsc_consumer *consumer, struct shmp_spsc_message *messages,
		   uint64_t max, uint64_t *ret_count);

/* Says so of @count messages, 1 or more, up to @end. */
static inline void shmp_spsc_show(struct shmp_spsc_consumer *consumer, uint64_t count, uint64_t end)
{
	shmp_spsc_intend(consumer, end);
	consumer->quick_least = UINT64_MAX; /* more than the next one has been seen */
	if (consumer->shown_items == 0 || end > consumer->shown)
		consumer->shown = end;
	if (count > consumer->shown_items)
		consumer->shown_items = count;
}

/* Takes the first @count of the messages shown. DONE; -EINVAL when fewer are; -EBADMSG. */
int shmp_spsc_release(struct shmp_spsc_consumer *consumer, uint64_t count);

/*
 * With SHMP_SPSC_CHECKSUM, instead of the moves of these names, none of which may be used then; in
 * spsc_checksum.c. DAMAGED: the message is not what its producer sent, and was skipped. A pop checks
 * its copy, a peek what it shows: up to the first that is damaged, and that only if it comes first.
 */
int shmp_spsc_push_summed(struct shmp_spsc_producer *producer, const void *payload, uint64_t size);
void shmp_spsc_commit_summed(struct shmp_spsc_producer *producer, uint64_t size);
int shmp_spsc_batch_add_summed(struct shmp_spsc_producer *producer, const void *payload,
			       uint64_t size);
void shmp_spsc_batch_publish_summed(struct shmp_spsc_producer *producer);
int shmp_spsc_pop_summed(struct shmp_spsc_consumer *consumer, void *buffer, uint64_t buffer_bytes,
			 struct shmp_spsc_message *ret_message);
int shmp_spsc_peek_summed(struct shmp_spsc_consumer *consumer, struct shmp_spsc_message *messages,
			  uint64_t max, uint64_t *ret_count);
int shmp_spsc_release_summed(struct shmp_spsc_consumer *consumer, uint64_t count);

static inline bool shmp_spsc_producer_waits(const struct shmp_spsc_consumer *consumer)
{
	return shmp_waiter_wanted_by(consumer->not_full, SHMP_SPSC_PRODUCER);
}

static inline void shmp_spsc_tell_producer(struct shmp_spsc_consumer *consumer, shmp_ring_fn ring,
					   void *ringer)
{
	shmp_waiter_notify(consumer->not_full, consumer->places, SHMP_SPSC_PRODUCER,
			   &consumer->memory, ring, ringer);
}

/* For the broker, which may map no more than ctl. */

/* Bytes that a peer may have written: 0, or -EBADMSG with *ret_why. */
int shmp_spsc_ring_validate(const struct shmp_spsc_ring *ring, const char **ret_why);

/* What was published and not given back, each for some moment. */
void shmp_spsc_ring_depth(const struct shmp_spsc_ring *ring, uint64_t *ret_messages,
			  uint64_t *ret_bytes);

/* A kind's holds and waits_for, as far as they concern this ring. */
void shmp_spsc_ring_holds(const struct shmp_spsc_ring *ring, uint32_t endpoint, shmp_hold_fn fn,
			  void *context);
void shmp_spsc_ring_waits_for(const struct shmp_spsc_ring *ring, shmp_wait_fn fn, void *context);

/* For who looks, read-only. */

/* Gets one message and its tag. 0: go on; anything else ends the look with this message. */
typedef int (*shmp_spsc_item_fn)(void *context, const struct shmp_item *item, uint64_t tag);

/* As a kind's look() says; @look->from is a position of the ring. */
int shmp_spsc_ring_look(const struct shmp_spsc_ring *ring, struct shmp_look *look,
			shmp_spsc_item_fn fn, void *context);

#endif
