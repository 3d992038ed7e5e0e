/*
 * ring: elements of one size, one producer, one consumer, any number of elements at a time; the
 * producer may write over the oldest instead of waiting.
 *
 * Layout. ctl: two waiters, the floor, two tallies, then endpoint 0 (producer) and 1 (consumer).
 * data: a ring of bytes, a power of two, mapped twice in a row, so that elements that follow each
 * other are contiguous in memory. Positions count elements for ever; that of element p is
 * p * element_bytes in the ring. As many elements as were asked for are there at most, however many
 * more bytes the ring has.
 *
 *	tail (cursor of endpoint 1)		head (cursor of endpoint 0)
 *	  | lost |        to be read             |
 *	---------+-------------------------------+---------- positions
 *	       floor
 *
 * Who writes what. Each word has one writer, and no compare-exchange is needed. The head is the
 * producer's and is all there is to a publication: any number of elements are there at once, or
 * none of them. The tail is the consumer's, also where the producer writes over what was not read:
 * it never moves the tail, but raises the floor. What lies below the floor is given up, whatever
 * the tail says. So the oldest element to be read is at the larger of the two.
 *
 * Why it is correct:
 * - A push writes only at positions up to tail + elements, which the consumer is done with. One that
 *   overwrites raises the floor first, to its end - elements, and writes then: whoever has read an
 *   element and sees the floor still not above it, has read it whole. The producer's fence between
 *   the floor and the first byte, and the reader's between the last byte and the floor, see to that.
 * - Copies are made, then judged by the floor; what fell below it meanwhile is dropped from the copy
 *   and counted as lost, exactly, since positions count elements. What is looked at in place is
 *   judged when it is released: LAPPED.
 * - Looking on without taking (read, observers) is judged by tail and floor, since what the consumer
 *   took may be written over without the floor.
 * - Consumer: stores seen_to (intent 0) before it reads, its cursor after. Dead in between: the
 *   successor starts at the cursor, and what lies below seen_to was in dead hands.
 * - Producer dead before the head: published nothing. If it was overwriting, what lies below the
 *   floor is lost for that; its successor goes on at the head, and keeps the floor.
 * - PEER_DEAD: the state is loaded first, then the head once more.
 *
 * Counts. Pushed = head. The tail is the sum of what was taken, skipped and lost, at any instant:
 * lost and skipped stand in the younger of two tallies whose position is not above the tail; a new
 * one is written, with the tail to come as its position, before the tail is stored.
 *
 * Hostile bytes: every word of the other side is loaded once and bounded by the plan; what fails is
 * -EBADMSG. A floor that is too high costs its writer's own elements.
 *
 * Edges:
 * [H] head: push, commit, overwrite -> pop, peek, read; publishes elements
 * [P] tail: pop, release, skip -> push, read; gives the room back, says which tally holds
 * [F] floor: overwrite -> pop, release, read; before the first byte and after the last
 * [I] seen_to: pop, peek -> successor consumer; for a dead process program order is enough
 * [T] tallies: consumer -> successor consumer, statistics
 *
 * Calls that may run together: one producer's with one consumer's and with any number of read and
 * look; repair with either. Attach of a role only while its place is held by nobody.
 * Progress: wait-free, bounded by the elements moved; a copy that is lapped whole is made again, 16
 * times at most.
 */
#ifndef SHMP_RING_H
#define SHMP_RING_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/abi.h"
#include "protocol/copy.h"
#include "protocol/element.h"
#include "protocol/endpoint.h"
#include "protocol/kinds.h"
#include "protocol/outcome.h"
#include "protocol/segment.h"
#include "protocol/waiter.h"

#define SHMP_RING_VERSION  1u
#define SHMP_RING_PRODUCER 0u /* endpoint */
#define SHMP_RING_CONSUMER 1u /* endpoint */
#define SHMP_RING_LOOKS	   16 /* at what is written over again and again */

enum shmp_ring_option {
	SHMP_RING_ELEMENT_BYTES = 0,
	SHMP_RING_ELEMENTS = 1,
	SHMP_RING_ELEMENT_TYPE = 2,
};

/* What the consumers up to a position did not get. */
struct shmp_ring_tally {
	_Atomic uint64_t position;
	_Atomic uint64_t lost;	  /* written over before they were read */
	_Atomic uint64_t skipped; /* unread, because the consumer wanted it so */
	uint64_t reserved;
};
SHMP_FREEZE(shmp_ring_tally, 32);
SHMP_FIELD(shmp_ring_tally, position, 0);
SHMP_FIELD(shmp_ring_tally, lost, 8);
SHMP_FIELD(shmp_ring_tally, skipped, 16);
SHMP_FIELD(shmp_ring_tally, reserved, 24);

struct shmp_ring_control {
	struct shmp_waiter not_empty;	      /* where the consumer waits */
	struct shmp_waiter not_full;	      /* where the producer waits */
	_Alignas(128) _Atomic uint64_t floor; /* the producer's; below it nothing is whole */
	uint64_t reserved[7];
	struct shmp_ring_tally tally[2]; /* the consumer's */
};
SHMP_FREEZE(shmp_ring_control, 256);
SHMP_FIELD(shmp_ring_control, not_empty, 0);
SHMP_FIELD(shmp_ring_control, not_full, 64);
SHMP_FIELD(shmp_ring_control, floor, 128);
SHMP_FIELD(shmp_ring_control, reserved, 136);
SHMP_FIELD(shmp_ring_control, tally, 192);

extern const struct shmp_kind shmp_ring_kind;

/* Where elements lie, from the plan alone. */
struct shmp_ring_view {
	uint8_t *data;
	uint64_t mask;	   /* bytes of the ring - 1 */
	uint64_t bytes;	   /* of an element */
	uint64_t elements; /* there are at most */
	struct shmp_endpoint *endpoints;
	struct shmp_ring_control *control;
};

/* Private to the process that holds the role. */
struct shmp_ring_producer {
	struct shmp_ring_view view;
	uint64_t head;	/* position of the next element */
	uint64_t limit; /* no element may end behind this, for all we know */
	uint64_t tail;	/* the consumer's, as last seen */
	uint64_t floor;
	uint64_t reserved;		  /* elements that may be committed */
	struct shmp_waiter_memory memory; /* of waking the consumer */
};

struct shmp_ring_consumer {
	struct shmp_ring_view view;
	uint64_t tail; /* as stored */
	uint64_t head; /* as last seen */
	uint64_t seen_to;
	uint64_t redelivered; /* elements below were in a dead one's hands */
	uint32_t tally;	      /* the one that holds */
	/* what is looked at in place; there is none when shown_to is 0 */
	uint64_t shown_first; /* position of the oldest when the first of it was shown */
	uint64_t shown;	      /* and when the last was */
	uint64_t shown_to;
	struct shmp_waiter_memory memory; /* of waking the producer */
};

struct shmp_ring_span {
	const void *data;
	uint64_t count;
	uint64_t position;    /* of the first */
	uint64_t lost;	      /* written over since the last one that was taken, before this */
	uint64_t redelivered; /* so many, from the first on, were in hands that died */
};

/*
 * Takes up a role in a mapped segment whose place the broker has assigned to this process.
 * 0, or -EBADMSG when positions are such that no producer or consumer wrote.
 */
int shmp_ring_attach_producer(const struct shmp_segment *segment,
			      struct shmp_ring_producer *ret_producer);
int shmp_ring_attach_consumer(const struct shmp_segment *segment,
			      struct shmp_ring_consumer *ret_consumer);
/* For who only looks. */
void shmp_ring_view(const struct shmp_segment *segment, struct shmp_ring_view *ret_view);

static inline uint8_t *shmp_ring_at(const struct shmp_ring_view *view, uint64_t position)
{
	return view->data + (position * view->bytes & view->mask);
}

/* Out of the segment, what may be written over meanwhile. */
#if defined(__SANITIZE_THREAD__)
#define SHMP_RING_RACES 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHMP_RING_RACES 1
#endif
#endif

static inline void shmp_ring_copy_out(void *to, const void *from, uint64_t bytes)
{
#ifdef SHMP_RING_RACES
	shmp_look_copy(to, from, bytes); /* not seen by the thread sanitizer */
#else
	shmp_copy(to, from, bytes);
#endif
}

/* Producer */

/* Less room than @least by what is known: look at the consumer again. DONE, FULL, PEER_*,
 * -EBADMSG. */
SHMP_COLD int shmp_ring_room_again(struct shmp_ring_producer *producer, uint64_t least);

/* How many elements there is room for, if @least of them. As shmp_ring_room_again. */
static inline int shmp_ring_room(struct shmp_ring_producer *producer, uint64_t most, uint64_t least,
				 uint64_t *ret_count)
{
	uint64_t room = producer->limit - producer->head;

	if (SHMP_UNLIKELY(room < most)) {
		int r = shmp_ring_room_again(producer, least);

		if (r != SHMP_DONE)
			return r;
		room = producer->limit - producer->head;
	}
	*ret_count = room < most ? room : most;
	return SHMP_DONE;
}

/* Everything below @end is there. */
static inline void shmp_ring_publish(struct shmp_ring_producer *producer, uint64_t end)
{
	struct shmp_endpoint *self = &producer->view.endpoints[SHMP_RING_PRODUCER];

	producer->head = end;
	/* [H] release; pairs with shmp_ring_load_head */
	atomic_store_explicit(&self->cursor, end, memory_order_release);
	/* relaxed: statistics, and the position once more */
	atomic_store_explicit(&self->items, end, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&self->bytes, end * producer->view.bytes, memory_order_relaxed);
}

/*
 * Copies in as many of @count elements (1 or more) as there is room for, if that is @least of them
 * (1 to @count). DONE, FULL, TOO_BIG when @least is more than the ring holds, PEER_DEAD,
 * PEER_LEFT, -EBADMSG.
 */
static inline int shmp_ring_push(struct shmp_ring_producer *producer, const void *elements,
				 uint64_t count, uint64_t least, uint64_t *ret_count)
{
	uint64_t room;
	int r = shmp_ring_room(producer, count, least, &room);

	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return r;
	shmp_copy(shmp_ring_at(&producer->view, producer->head), elements,
		  room * producer->view.bytes);
	shmp_ring_publish(producer, producer->head + room);
	*ret_count = room;
	return SHMP_DONE;
}

/*
 * Copies in all of @count elements and writes over the oldest where there is no room; if they are
 * more than the ring holds, the last ones are what it holds. DONE, -EBADMSG.
 */
int shmp_ring_push_over(struct shmp_ring_producer *producer, const void *elements, uint64_t count);

/* Room for as many as shmp_ring_push would push, to be written in place and then committed. */
int shmp_ring_reserve(struct shmp_ring_producer *producer, uint64_t count, uint64_t least,
		      void **ret_elements, uint64_t *ret_count);
/* Publishes the first @count (0 or more) of what was reserved. DONE; -EINVAL when it was less. */
int shmp_ring_commit(struct shmp_ring_producer *producer, uint64_t count);

static inline bool shmp_ring_consumer_waits(const struct shmp_ring_producer *producer)
{
	return shmp_waiter_wanted_by(&producer->view.control->not_empty, SHMP_RING_CONSUMER);
}

static inline void shmp_ring_tell_consumer(struct shmp_ring_producer *producer, shmp_ring_fn ring,
					   void *ringer)
{
	shmp_waiter_notify(&producer->view.control->not_empty, producer->view.endpoints,
			   SHMP_RING_CONSUMER, &producer->memory, ring, ringer);
}

/* Consumer */

static inline uint64_t shmp_ring_load_head(const struct shmp_ring_view *view)
{
	/* [H] acquire; pairs with shmp_ring_publish */
	return atomic_load_explicit(&view->endpoints[SHMP_RING_PRODUCER].cursor,
				    memory_order_acquire);
}

/* Whatever was read before this is judged by it. */
static inline uint64_t shmp_ring_judge(const struct shmp_ring_view *view)
{
	/* the bytes come before the floor */
	atomic_thread_fence(memory_order_acquire); /* [F] fence; pairs with shmp_ring_push_over */
	/* relaxed: ordered by the fence */
	return atomic_load_explicit(&view->control->floor, memory_order_relaxed);
}

/* Position of the oldest element there is, if it is not behind @head. */
static inline uint64_t shmp_ring_oldest(const struct shmp_ring_consumer *consumer)
{
	/* relaxed: only a first guess; what is read is judged afterwards */
	uint64_t floor = atomic_load_explicit(&consumer->view.control->floor, memory_order_relaxed);

	return floor > consumer->tail ? floor : consumer->tail;
}

/*
 * Fewer than @least elements behind @skipped others by what is known, or fewer than wanted: look at
 * the producer again. DONE with what there is, EMPTY, PEER_DEAD, PEER_LEFT, -EBADMSG.
 */
SHMP_COLD int shmp_ring_look_again(struct shmp_ring_consumer *consumer, uint64_t skipped,
				   uint64_t least, uint64_t *ret_first, uint64_t *ret_count);

/* The oldest element and how many there are from @skipped behind it on. */
static inline int shmp_ring_find(struct shmp_ring_consumer *consumer, uint64_t skipped,
				 uint64_t most, uint64_t least, uint64_t *ret_first,
				 uint64_t *ret_count)
{
	uint64_t first = shmp_ring_oldest(consumer);
	uint64_t there = consumer->head - first;

	/* also: a floor above the head that is known */
	if (SHMP_UNLIKELY(there > consumer->view.elements || there < skipped ||
			  there - skipped < most)) {
		int r = shmp_ring_look_again(consumer, skipped, least, &first, &there);

		if (r != SHMP_DONE)
			return r;
	}
	*ret_first = first;
	*ret_count = there - skipped < most ? there - skipped : most;
	return SHMP_DONE;
}

/* Says, before it is read, that everything below @end may be in this one's hands. */
static inline void shmp_ring_intend(struct shmp_ring_consumer *consumer, uint64_t end)
{
	if (end <= consumer->seen_to)
		return;
	consumer->seen_to = end;
	/* [I] release; pairs with shmp_ring_attach_consumer */
	atomic_store_explicit(&consumer->view.endpoints[SHMP_RING_CONSUMER].intent[0], end,
			      memory_order_release);
	/* [I] fence; a dead process's stores are exact in program order: stop the compiler */
	atomic_signal_fence(memory_order_seq_cst);
}

/* Before the tail becomes @end: @lost and @skipped more of what is below it were not taken. */
SHMP_COLD void shmp_ring_count(struct shmp_ring_consumer *consumer, uint64_t end, uint64_t lost,
			       uint64_t skipped);

/* Gives everything below @end back, of which @items were taken. */
static inline void shmp_ring_take(struct shmp_ring_consumer *consumer, uint64_t end, uint64_t items)
{
	struct shmp_endpoint *self = &consumer->view.endpoints[SHMP_RING_CONSUMER];

	consumer->tail = end;
	/* [P] release; pairs with load_tail */
	atomic_store_explicit(&self->cursor, end, memory_order_release);
	shmp_endpoint_count(&self->items, items);
	shmp_endpoint_count(&self->bytes, items * consumer->view.bytes);
}

/* How many of the elements from @position on are below what a dead one had seen. */
static inline uint64_t shmp_ring_redelivered(const struct shmp_ring_consumer *consumer,
					     uint64_t position, uint64_t count)
{
	uint64_t seen;

	if (SHMP_LIKELY(position >= consumer->redelivered))
		return 0;
	seen = consumer->redelivered - position;
	return seen < count ? seen : count;
}

/*
 * What is left of @count elements that were copied from @first on into @buffer, as the floor has it
 * now: moved to its beginning. 0: nothing.
 */
SHMP_COLD uint64_t shmp_ring_salvage(void *buffer, uint64_t bytes, uint64_t *first, uint64_t count,
				     uint64_t floor);

/* One try of shmp_ring_pop; LAPPED: all of it was written over while it was copied. */
static inline int shmp_ring_pop_once(struct shmp_ring_consumer *consumer, void *buffer,
				     uint64_t most, uint64_t least, struct shmp_ring_span *ret_span)
{
	const struct shmp_ring_view *view = &consumer->view;
	uint64_t first, count, floor;
	int r = shmp_ring_find(consumer, 0, most, least, &first, &count);

	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return r;
	shmp_ring_intend(consumer, first + count);
	shmp_ring_copy_out(buffer, shmp_ring_at(view, first), count * view->bytes);
	floor = shmp_ring_judge(view);
	if (SHMP_UNLIKELY(floor > first)) {
		count = shmp_ring_salvage(buffer, view->bytes, &first, count, floor);
		if (count == 0)
			return SHMP_LAPPED;
	}
	*ret_span = (struct shmp_ring_span){
		.data = buffer,
		.count = count,
		.position = first,
		.lost = first - consumer->tail,
		.redelivered = shmp_ring_redelivered(consumer, first, count),
	};
	if (SHMP_UNLIKELY(ret_span->lost != 0))
		shmp_ring_count(consumer, first + count, ret_span->lost, 0);
	shmp_ring_take(consumer, first + count, count);
	return SHMP_DONE;
}

/* After a first try that was lapped. */
SHMP_COLD int shmp_ring_pop_again(struct shmp_ring_consumer *consumer, void *buffer, uint64_t most,
				  uint64_t least, struct shmp_ring_span *ret_span);

/*
 * Takes up to @most elements (1 or more) into @buffer, if there are @least of them (1 to @most) or
 * the producer is gone. Not while any are shown. DONE with 1 or more; EMPTY, PEER_DEAD, PEER_LEFT,
 * TOO_BIG when @least is more than the ring holds; LAPPED when they were written over each time
 * they were copied; -EBADMSG.
 */
static inline int shmp_ring_pop(struct shmp_ring_consumer *consumer, void *buffer, uint64_t most,
				uint64_t least, struct shmp_ring_span *ret_span)
{
	int r = shmp_ring_pop_once(consumer, buffer, most, least, ret_span);

	if (SHMP_UNLIKELY(r == SHMP_LAPPED))
		return shmp_ring_pop_again(consumer, buffer, most, least, ret_span);
	return r;
}

/* Shows what lies @skipped elements behind the oldest, in place, until release. As pop. */
int shmp_ring_peek(struct shmp_ring_consumer *consumer, uint64_t skipped, uint64_t most,
		   uint64_t least, struct shmp_ring_span *ret_span);

/*
 * Takes the first @count elements from what was the oldest at the last peek on, and ends what is
 * shown. DONE; LAPPED: the same, but some of what was shown had been written over; -EINVAL: so many
 * were not shown, nothing is done.
 */
int shmp_ring_release(struct shmp_ring_consumer *consumer, uint64_t count);

/* Takes up to @most elements unread. DONE, -EBADMSG. */
int shmp_ring_skip(struct shmp_ring_consumer *consumer, uint64_t most, uint64_t *ret_count);

static inline bool shmp_ring_producer_waits(const struct shmp_ring_consumer *consumer)
{
	return shmp_waiter_wanted_by(&consumer->view.control->not_full, SHMP_RING_PRODUCER);
}

static inline void shmp_ring_tell_producer(struct shmp_ring_consumer *consumer, shmp_ring_fn ring,
					   void *ringer)
{
	shmp_waiter_notify(&consumer->view.control->not_full, consumer->view.endpoints,
			   SHMP_RING_PRODUCER, &consumer->memory, ring, ringer);
}

/* Anybody */

/*
 * Copies up to @most elements from @skipped behind the oldest on, or, with @from_newest, the last
 * ones before the newest @skipped, and takes nothing. DONE, EMPTY, LAPPED, -EBADMSG.
 */
int shmp_ring_read(const struct shmp_ring_view *view, uint64_t skipped, bool from_newest,
		   void *buffer, uint64_t most, uint64_t *ret_position, uint64_t *ret_count);

struct shmp_ring_totals {
	uint64_t pushed;
	uint64_t popped;
	uint64_t skipped;
	uint64_t lost; /* what was written over and not come upon yet included */
	uint64_t depth;
};

void shmp_ring_totals(const struct shmp_segment *segment, struct shmp_ring_totals *ret_totals);

/* The kind's. */
void shmp_ring_holds(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
		     void *context);
void shmp_ring_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context);

#endif
