/*
 * Handles of rings. The moves are protocol/ring.h's; gates as in spsc.c: push while nothing is
 * reserved, commit while something is; pop while nothing is shown and no doorbell armed.
 */
#include "shmclient/ring.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "libclient/bell.h"
#include "libclient/error.h"
#include "libclient/move.h"
#include "libclient/object.h"
#include "libclient/wait.h"
#include "protocol/ring.h"

struct shmc_ring {
	const uint32_t *push_gate; /* push, reserve */
	const uint32_t *commit_gate;
	const uint32_t *pop_gate;
	union {
		struct shmp_ring_producer producer;
		struct shmp_ring_consumer consumer;
		struct shmp_ring_view view; /* of any role: the first of both */
	};
	enum shmc_ring_role role;
	struct shmc__object object;
};

static_assert(offsetof(struct shmp_ring_producer, view) == 0, "view of a producer");
static_assert(offsetof(struct shmp_ring_consumer, view) == 0, "view of a consumer");

/* After anything that a gate depends on. */
static void ring_set_gates(struct shmc_ring *ring)
{
	const uint32_t *alive = ring->object.alive;
	bool is_producer = ring->role == SHMC_RING_PRODUCER;
	bool has_reserved = is_producer && ring->producer.reserved != 0;
	bool may_pop = ring->role == SHMC_RING_CONSUMER && ring->consumer.shown_to == 0 &&
		       !ring->object.bell.is_armed;

	ring->push_gate = is_producer && !has_reserved ? alive : &shmc__gate_closed;
	ring->commit_gate = has_reserved ? alive : &shmc__gate_closed;
	ring->pop_gate = may_pop ? alive : &shmc__gate_closed;
}

/* Opening and closing. */

enum shmc_result shmc_ring_create(struct shmc_client *client, const char *name,
				  const struct shmc_ring_options *options, struct shmc_error *error)
{
	static const struct shmc_ring_options none;
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };

	if (!options)
		options = &none;
	option[SHMP_RING_ELEMENT_BYTES] = options->element_bytes;
	option[SHMP_RING_ELEMENTS] = options->elements;
	option[SHMP_RING_ELEMENT_TYPE] = options->element_type;
	return shmc__object_create_as(client, name, &shmp_ring_kind, option, options->mode,
				      options->reuse != 0, options->common, error);
}

static enum shmc_result ring_check(const struct shmc_ring *ring, const char *name,
				   const struct shmc_ring_options *expected,
				   struct shmc_error *error)
{
	const uint64_t *option = ring->object.mapping->segment.plan.option;
	const struct {
		enum shmp_ring_option option;
		uint64_t wanted;
	} rows[] = {
		{ SHMP_RING_ELEMENT_BYTES, expected->element_bytes },
		{ SHMP_RING_ELEMENTS, expected->elements },
		{ SHMP_RING_ELEMENT_TYPE, expected->element_type },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t has = option[rows[i].option];

		if (rows[i].wanted != 0 && rows[i].wanted != has)
			return shmc__error(error, SHMC_MISMATCH,
					   "%s: its %s is %" PRIu64 ", not %" PRIu64, name,
					   shmp_ring_kind.options[rows[i].option].name, has,
					   rows[i].wanted);
	}
	return SHMC_OK;
}

static enum shmc_result ring_attach(struct shmc_ring *ring, const char *name,
				    const struct shmc_ring_options *expected,
				    struct shmc_error *error)
{
	const struct shmp_segment *segment = &ring->object.mapping->segment;
	enum shmc_result result = expected ? ring_check(ring, name, expected, error) : SHMC_OK;
	int r = 0;

	if (result == SHMC_OK && ring->role == SHMC_RING_PRODUCER)
		r = shmp_ring_attach_producer(segment, &ring->producer);
	else if (result == SHMC_OK && ring->role == SHMC_RING_CONSUMER)
		r = shmp_ring_attach_consumer(segment, &ring->consumer);
	else
		shmp_ring_view(segment, &ring->view);
	if (r < 0)
		result = shmc__error(error, SHMC_CORRUPT,
				     "%s: the ring's positions are such that no producer or "
				     "consumer wrote: unlink it and make it anew",
				     name);
	if (result != SHMC_OK)
		shmc__object_close(&ring->object);
	return result;
}

enum shmc_result shmc_ring_open(struct shmc_client *client, const char *name,
				enum shmc_ring_role role, const struct shmc_ring_options *expected,
				struct shmc_ring **ret_ring, struct shmc_error *error)
{
	static const char *const names[] = {
		[SHMC_RING_PRODUCER] = "producer",
		[SHMC_RING_CONSUMER] = "consumer",
		[SHMC_RING_OBSERVER] = "observer",
	};
	struct shmc_ring *ring;
	enum shmc_result result;

	if ((unsigned int)role > SHMC_RING_OBSERVER)
		return shmc__error(error, SHMC_INVALID,
				   "role: neither producer nor consumer nor observer");
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return shmc__error_from_errno(error, "open the ring", ENOMEM);
	ring->role = role;
	result = shmc__object_open(&ring->object, client, name, &shmp_ring_kind, names[role],
				   error);
	if (result == SHMC_OK)
		result = ring_attach(ring, name, expected, error);
	if (result != SHMC_OK) {
		free(ring);
		return result;
	}
	ring_set_gates(ring);
	*ret_ring = ring;
	return SHMC_OK;
}

struct shmc_ring *shmc_ring_close(struct shmc_ring *ring)
{
	if (ring) {
		shmc__object_close(&ring->object);
		free(ring);
	}
	return NULL;
}

/* Pushing. */

static SHMP_COLD enum shmc_result ring_tell_consumer(struct shmc_ring *ring)
{
	shmp_ring_tell_consumer(&ring->producer, shmc__bell_ring, &ring->object);
	return SHMC_OK;
}

/* After a publication. */
static inline enum shmc_result ring_pushed(struct shmc_ring *ring)
{
	if (SHMP_UNLIKELY(shmp_ring_consumer_waits(&ring->producer)))
		return ring_tell_consumer(ring);
	return SHMC_OK;
}

/* Arguments of a pushing move, for waiting. */
struct ring_push {
	struct shmc_ring *ring;
	const void *elements;
	uint64_t count;
	uint64_t least;
	uint64_t *ret_count;
	void **ret_elements;
};

static int ring_wait_room(struct ring_push *push, int r, int64_t timeout_ns, shmc__move_fn move)
{
	return shmc__move_wait_room(&push->ring->object, &push->ring->view.control->not_full, r,
				    timeout_ns, move, push);
}

static int ring_move_push(void *context)
{
	struct ring_push *push = context;

	return shmp_ring_push(&push->ring->producer, push->elements, push->count, push->least,
			      push->ret_count);
}

/* Whether a call for @least of @count elements makes sense. */
static inline bool ring_is_range(uint64_t count, uint64_t least)
{
	return SHMP_LIKELY(least - 1 < count);
}

static SHMP_COLD enum shmc_result ring_push_again(struct ring_push push, int r, int64_t timeout_ns)
{
	r = ring_wait_room(&push, r, timeout_ns, ring_move_push);
	return r == SHMP_DONE ? ring_pushed(push.ring) : shmc__move_answer(&push.ring->object, r);
}

SHMC__HOT enum shmc_result shmc_ring_push(struct shmc_ring *ring, const void *elements,
					  uint64_t count, uint64_t least, int64_t timeout_ns,
					  uint64_t *ret_count)
{
	int r;

	if (!shmc__gate_is_open(ring->push_gate) || !ring_is_range(count, least))
		return shmc__move_refuse(&ring->object);
	r = shmp_ring_push(&ring->producer, elements, count, least, ret_count);
	if (SHMP_LIKELY(r == SHMP_DONE))
		return ring_pushed(ring);
	return ring_push_again((struct ring_push){ .ring = ring,
						   .elements = elements,
						   .count = count,
						   .least = least,
						   .ret_count = ret_count },
			       r, timeout_ns);
}

SHMC__HOT enum shmc_result shmc_ring_push_overwrite(struct shmc_ring *ring, const void *elements,
						    uint64_t count)
{
	int r;

	/* no memory holds so many elements that their bytes could not be counted */
	if (!shmc__gate_is_open(ring->push_gate) || count == 0 ||
	    count > SIZE_MAX / ring->view.bytes)
		return shmc__move_refuse(&ring->object);
	r = shmp_ring_push_over(&ring->producer, elements, count);
	return SHMP_LIKELY(r == SHMP_DONE) ? ring_pushed(ring) :
					     shmc__move_answer(&ring->object, r);
}

static int ring_move_reserve(void *context)
{
	struct ring_push *push = context;

	return shmp_ring_reserve(&push->ring->producer, push->count, push->least,
				 push->ret_elements, push->ret_count);
}

SHMC__HOT enum shmc_result shmc_ring_reserve(struct shmc_ring *ring, uint64_t count, uint64_t least,
					     int64_t timeout_ns, void **ret_elements,
					     uint64_t *ret_count)
{
	struct ring_push push = { .ring = ring,
				  .count = count,
				  .least = least,
				  .ret_count = ret_count,
				  .ret_elements = ret_elements };
	int r;

	if (!shmc__gate_is_open(ring->push_gate) || !ring_is_range(count, least))
		return shmc__move_refuse(&ring->object);
	r = ring_move_reserve(&push);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		r = ring_wait_room(&push, r, timeout_ns, ring_move_reserve);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return shmc__move_answer(&ring->object, r);
	ring_set_gates(ring);
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_ring_commit(struct shmc_ring *ring, uint64_t count)
{
	if (!shmc__gate_is_open(ring->commit_gate) ||
	    shmp_ring_commit(&ring->producer, count) != SHMP_DONE)
		return shmc__move_refuse(&ring->object);
	ring_set_gates(ring);
	return ring_pushed(ring);
}

enum shmc_result shmc_ring_abort(struct shmc_ring *ring)
{
	if (!shmc__gate_is_open(ring->commit_gate))
		return shmc__move_refuse(&ring->object);
	shmp_ring_commit(&ring->producer, 0);
	ring_set_gates(ring);
	return SHMC_OK;
}

/* Taking. */

static SHMP_COLD enum shmc_result ring_tell_producer(struct shmc_ring *ring)
{
	shmp_ring_tell_producer(&ring->consumer, shmc__bell_ring, &ring->object);
	return SHMC_OK;
}

/* After room was given back. */
static inline enum shmc_result ring_taken(struct shmc_ring *ring)
{
	if (SHMP_UNLIKELY(shmp_ring_producer_waits(&ring->consumer)))
		return ring_tell_producer(ring);
	return SHMC_OK;
}

/* The two are the same but for their names: filled in as one, read as the other. */
static_assert(sizeof(struct shmc_ring_span) == sizeof(struct shmp_ring_span), "span size");
static_assert(offsetof(struct shmc_ring_span, data) == offsetof(struct shmp_ring_span, data),
	      "span.data");
static_assert(offsetof(struct shmc_ring_span, count) == offsetof(struct shmp_ring_span, count),
	      "span.count");
static_assert(offsetof(struct shmc_ring_span, position) ==
		      offsetof(struct shmp_ring_span, position),
	      "span.position");
static_assert(offsetof(struct shmc_ring_span, lost) == offsetof(struct shmp_ring_span, lost),
	      "span.lost");
static_assert(offsetof(struct shmc_ring_span, redelivered) ==
		      offsetof(struct shmp_ring_span, redelivered),
	      "span.redelivered");

static inline void ring_give(const struct shmp_ring_span *span, struct shmc_ring_span *ret_span)
{
	*ret_span = (struct shmc_ring_span){ .data = span->data,
					     .count = span->count,
					     .position = span->position,
					     .lost = span->lost,
					     .redelivered = span->redelivered };
}

/* Arguments of a taking move, for waiting. */
struct ring_pop {
	struct shmc_ring *ring;
	void *buffer;
	uint64_t offset;
	uint64_t max;
	uint64_t least;
	struct shmc_ring_span *ret_span;
};

static int ring_move_pop(void *context)
{
	struct ring_pop *pop = context;
	struct shmp_ring_span span;
	int r = shmp_ring_pop(&pop->ring->consumer, pop->buffer, pop->max, pop->least, &span);

	if (SHMP_LIKELY(r == SHMP_DONE))
		ring_give(&span, pop->ret_span);
	return r;
}

static int ring_move_peek(void *context)
{
	struct ring_pop *pop = context;
	struct shmp_ring_span span;
	int r = shmp_ring_peek(&pop->ring->consumer, pop->offset, pop->max, pop->least, &span);

	if (SHMP_LIKELY(r == SHMP_DONE))
		ring_give(&span, pop->ret_span);
	return r;
}

static SHMP_COLD int ring_receive(struct ring_pop *pop, int64_t timeout_ns, shmc__move_fn move)
{
	int r = shmc__move_receive(&pop->ring->object, &pop->ring->view.control->not_empty,
				   timeout_ns, move, pop);

	ring_set_gates(pop->ring);
	return r;
}

static enum shmc_result ring_may_take(const struct shmc_ring *ring)
{
	if (shmc__object_is_forked(&ring->object))
		return SHMC_FORKED;
	return ring->role == SHMC_RING_CONSUMER ? SHMC_OK : SHMC_INVALID;
}

static SHMP_COLD enum shmc_result ring_pop_again(struct ring_pop pop, int64_t timeout_ns)
{
	enum shmc_result result = ring_may_take(pop.ring);
	int r;

	if (result != SHMC_OK)
		return result;
	if (pop.ring->consumer.shown_to != 0 || !ring_is_range(pop.max, pop.least))
		return SHMC_INVALID;
	r = ring_receive(&pop, timeout_ns, ring_move_pop);
	return r == SHMP_DONE ? ring_taken(pop.ring) : shmc__move_answer(&pop.ring->object, r);
}

SHMC__HOT enum shmc_result shmc_ring_pop(struct shmc_ring *ring, void *buffer, uint64_t max,
					 uint64_t least, int64_t timeout_ns,
					 struct shmc_ring_span *ret_span)
{
	struct ring_pop pop = {
		.ring = ring, .buffer = buffer, .max = max, .least = least, .ret_span = ret_span
	};

	if (shmc__gate_is_open(ring->pop_gate) && ring_is_range(max, least) &&
	    SHMP_LIKELY(ring_move_pop(&pop) == SHMP_DONE))
		return ring_taken(ring);
	return ring_pop_again(pop, timeout_ns);
}

SHMC__HOT enum shmc_result shmc_ring_peek(struct shmc_ring *ring, uint64_t offset, uint64_t max,
					  uint64_t least, int64_t timeout_ns,
					  struct shmc_ring_span *ret_span)
{
	struct ring_pop pop = {
		.ring = ring, .offset = offset, .max = max, .least = least, .ret_span = ret_span
	};
	enum shmc_result result = ring_may_take(ring);
	int r = SHMP_EMPTY;

	if (SHMP_UNLIKELY(result != SHMC_OK))
		return result;
	if (!ring_is_range(max, least))
		return SHMC_INVALID;
	if (!ring->object.bell.is_armed)
		r = ring_move_peek(&pop);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		r = ring_receive(&pop, timeout_ns, ring_move_peek);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return shmc__move_answer(&ring->object, r);
	ring->pop_gate = &shmc__gate_closed;
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_ring_release(struct shmc_ring *ring, uint64_t count)
{
	enum shmc_result result = ring_may_take(ring);
	int r;

	if (SHMP_UNLIKELY(result != SHMC_OK))
		return result;
	r = shmp_ring_release(&ring->consumer, count);
	if (SHMP_UNLIKELY(r < 0))
		return shmc__move_result(r);
	ring_set_gates(ring);
	ring_taken(ring);
	return shmc__move_result(r);
}

enum shmc_result shmc_ring_skip(struct shmc_ring *ring, uint64_t count, uint64_t *ret_count)
{
	enum shmc_result result = ring_may_take(ring);
	uint64_t skipped;
	int r;

	if (result != SHMC_OK)
		return result;
	if (ring->consumer.shown_to != 0)
		return SHMC_INVALID;
	r = shmp_ring_skip(&ring->consumer, count, &skipped);
	if (r != SHMP_DONE)
		return shmc__move_result(r);
	if (ret_count)
		*ret_count = skipped;
	return ring_taken(ring);
}

enum shmc_result shmc_ring_clear(struct shmc_ring *ring, uint64_t *ret_count)
{
	return shmc_ring_skip(ring, UINT64_MAX, ret_count);
}

/* Reading without taking. */

static enum shmc_result ring_read(const struct shmc_ring *ring, uint64_t offset, bool from_newest,
				  void *buffer, uint64_t max, uint64_t *ret_count)
{
	uint64_t position;

	if (shmc__object_is_forked(&ring->object))
		return SHMC_FORKED;
	if (max == 0)
		return SHMC_INVALID;
	return shmc__move_result(shmp_ring_read(&ring->view, offset, from_newest, buffer, max,
						&position, ret_count));
}

enum shmc_result shmc_ring_read(const struct shmc_ring *ring, uint64_t offset, void *buffer,
				uint64_t max, uint64_t *ret_count)
{
	return ring_read(ring, offset, false, buffer, max, ret_count);
}

enum shmc_result shmc_ring_last(const struct shmc_ring *ring, void *buffer, uint64_t max,
				uint64_t *ret_count)
{
	return ring_read(ring, 0, true, buffer, max, ret_count);
}

/* Waiting otherwise, and looking. */

enum shmc_result shmc_ring_fd(struct shmc_ring *ring, int *ret_fd, struct shmc_error *error)
{
	enum shmc_result result;

	if (shmc__object_is_forked(&ring->object))
		return shmc__error(error, SHMC_FORKED, "this ring is the parent process's");
	if (ring->role != SHMC_RING_CONSUMER)
		return shmc__error(error, SHMC_INVALID, "only a consumer has a descriptor");
	result = shmc__bell_open(&ring->object, error);
	if (result == SHMC_OK)
		*ret_fd = ring->object.bell.poll.fd;
	return result;
}

enum shmc_peer shmc_ring_peer(const struct shmc_ring *ring)
{
	if (shmc__object_is_forked(&ring->object) || ring->role == SHMC_RING_OBSERVER)
		return SHMC_PEER_NONE;
	return shmc__object_peer(&ring->object, ring->role == SHMC_RING_PRODUCER ?
							SHMP_RING_CONSUMER :
							SHMP_RING_PRODUCER);
}

/* Whether the other side did something that this one has not seen yet. */
static bool ring_has_moved(const struct shmc_ring *ring)
{
	uint64_t count;

	if (ring->role == SHMC_RING_CONSUMER)
		return shmp_ring_load_head(&ring->view) != ring->consumer.tail;
	count = atomic_load_explicit(&ring->view.endpoints[SHMP_RING_CONSUMER].cursor,
				     memory_order_relaxed); /* relaxed: a hint */
	return count != ring->producer.tail;
}

/* Who has come and gone again meanwhile counts: what he pushed, or the room he left, is there. */
static int ring_move_meet(void *context)
{
	const struct shmc_ring *ring = context;

	return shmc_ring_peer(ring) == SHMC_PEER_ACTIVE || ring_has_moved(ring) ? SHMP_DONE :
										  SHMP_EMPTY;
}

enum shmc_result shmc_ring_wait_peer(struct shmc_ring *ring, int64_t timeout_ns)
{
	struct shmp_ring_control *control = ring->view.control;
	bool is_producer = ring->role == SHMC_RING_PRODUCER;
	int r;

	if (shmc__object_is_forked(&ring->object))
		return SHMC_FORKED;
	if (ring->role == SHMC_RING_OBSERVER)
		return SHMC_INVALID;
	if (ring_move_meet(ring) == SHMP_DONE)
		return SHMC_OK;
	if (timeout_ns == 0)
		return SHMC_TIMEOUT;
	if (!is_producer) {
		shmc__bell_disarm(&ring->object, &control->not_empty);
		ring_set_gates(ring);
	}
	r = shmc__wait(&ring->object, is_producer ? &control->not_full : &control->not_empty,
		       timeout_ns, ring_move_meet, ring);
	return r == SHMP_DONE ? SHMC_OK : SHMC_TIMEOUT;
}

enum shmc_result shmc_ring_look(const struct shmc_ring *ring, struct shmc_look *look,
				shmc_item_fn fn, void *context)
{
	return shmc__object_look(&ring->object, look, fn, context);
}

enum shmc_result shmc_ring_options_of(const struct shmc_ring *ring,
				      struct shmc_ring_options *ret_options)
{
	const uint64_t *option;

	if (shmc__object_is_forked(&ring->object))
		return SHMC_FORKED;
	option = ring->object.mapping->segment.plan.option;
	*ret_options = (struct shmc_ring_options){
		.element_bytes = option[SHMP_RING_ELEMENT_BYTES],
		.elements = option[SHMP_RING_ELEMENTS],
		.element_type = option[SHMP_RING_ELEMENT_TYPE],
	};
	return SHMC_OK;
}

enum shmc_result shmc_ring_totals(const struct shmc_ring *ring, struct shmc_ring_totals *ret_totals)
{
	struct shmc_statistics producer, consumer;
	struct shmp_ring_totals totals;

	if (shmc__object_is_forked(&ring->object))
		return SHMC_FORKED;
	shmp_ring_totals(&ring->object.mapping->segment, &totals);
	shmc__object_statistics(&ring->object, SHMP_RING_PRODUCER, &producer);
	shmc__object_statistics(&ring->object, SHMP_RING_CONSUMER, &consumer);
	*ret_totals = (struct shmc_ring_totals){
		.pushed = totals.pushed,
		.popped = totals.popped,
		.skipped = totals.skipped,
		.overwritten = totals.lost,
		.depth = totals.depth,
		.push_refused = producer.refused,
		.pop_refused = consumer.refused,
		.push_waits = producer.waits,
		.pop_waits = consumer.waits,
	};
	return SHMC_OK;
}
