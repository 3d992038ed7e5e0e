/*
 * Handles of spsc queues. The moves are protocol/spsc.h's; what is added here is who may make
 * them now, what to do when there is nothing to move, and telling the other side.
 *
 * Gates. Whether a call may take the short way is one look at one word: the handle points to the
 * process's `alive` word while the call is in order, and to a zero when it is not (other role,
 * reservation open, messages shown, doorbell armed). The word is zero in a forked child, too. Why
 * a gate is closed is found out on the long way. With checksums all are closed for good, so that
 * without them nobody pays for the question.
 */
#include "shmclient/spsc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/bell.h"
#include "libclient/error.h"
#include "libclient/message.h"
#include "libclient/move.h"
#include "libclient/object.h"
#include "libclient/wait.h"
#include "protocol/spsc.h"

struct shmc_spsc {
	const uint32_t *push_gate; /* push, reserve */
	const uint32_t *commit_gate;
	const uint32_t *pop_gate;
	const uint32_t *peek_gate;
	const uint32_t *open_gate; /* what an open one points to */
	union {
		struct shmp_spsc_producer producer;
		struct shmp_spsc_consumer consumer;
	};
	uint8_t *reserved;	 /* NULL: no reservation */
	uint64_t reserved_bytes; /* of it */
	struct shmc__head_start head_start;
	bool is_summed; /* with checksums */
	enum shmc_spsc_role role;
	struct shmc__object object;
};

/* After anything that a gate depends on. */
static void spsc_set_gates(struct shmc_spsc *queue)
{
	const uint32_t *open = queue->is_summed ? &shmc__gate_closed : queue->object.alive;
	bool is_producer = queue->role == SHMC_SPSC_PRODUCER;
	bool is_consumer = queue->role == SHMC_SPSC_CONSUMER && !queue->object.bell.is_armed;

	queue->open_gate = open;
	queue->push_gate = is_producer && !queue->reserved ? open : &shmc__gate_closed;
	queue->commit_gate = is_producer && queue->reserved ? open : &shmc__gate_closed;
	queue->peek_gate = is_consumer ? open : &shmc__gate_closed;
	queue->pop_gate = is_consumer && queue->consumer.shown_items == 0 ? open :
									    &shmc__gate_closed;
}

/* Opening and closing. */

enum shmc_result shmc_spsc_create(struct shmc_client *client, const char *name,
				  const struct shmc_spsc_options *options, struct shmc_error *error)
{
	static const struct shmc_spsc_options none;
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };

	if (!options)
		options = &none;
	option[SHMP_SPSC_CAPACITY_BYTES] = options->capacity_bytes;
	option[SHMP_SPSC_MESSAGE_BYTES_MAX] = options->message_bytes_max;
	option[SHMP_SPSC_CHECKSUM] = options->checksum != 0;
	return shmc__object_create_as(client, name, &shmp_spsc_kind, option, options->mode,
				      options->reuse != 0, options->common, error);
}

static enum shmc_result spsc_attach(struct shmc_spsc *queue, const char *name,
				    struct shmc_error *error)
{
	const struct shmp_segment *segment = &queue->object.mapping->segment;
	int r = 0;

	queue->is_summed = segment->plan.option[SHMP_SPSC_CHECKSUM] != 0;
	if (queue->role == SHMC_SPSC_PRODUCER)
		r = shmp_spsc_attach_producer(segment, &queue->producer);
	else if (queue->role == SHMC_SPSC_CONSUMER)
		r = shmp_spsc_attach_consumer(segment, &queue->consumer);
	if (r == 0)
		return SHMC_OK;
	shmc__object_close(&queue->object);
	return shmc__error(error, SHMC_CORRUPT,
			   "%s: the ring holds bytes that no producer or consumer wrote", name);
}

enum shmc_result shmc_spsc_open(struct shmc_client *client, const char *name,
				enum shmc_spsc_role role, struct shmc_spsc **ret_queue,
				struct shmc_error *error)
{
	static const char *const names[] = {
		[SHMC_SPSC_PRODUCER] = "producer",
		[SHMC_SPSC_CONSUMER] = "consumer",
		[SHMC_SPSC_OBSERVER] = "observer",
	};
	struct shmc_spsc *queue;
	enum shmc_result result;

	if (role != SHMC_SPSC_PRODUCER && role != SHMC_SPSC_CONSUMER && role != SHMC_SPSC_OBSERVER)
		return shmc__error(error, SHMC_INVALID,
				   "role: neither producer nor consumer nor observer");
	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return shmc__error_from_errno(error, "open the queue", ENOMEM);
	queue->role = role;
	result = shmc__object_open(&queue->object, client, name, &shmp_spsc_kind, names[role],
				   error);
	if (result == SHMC_OK)
		result = spsc_attach(queue, name, error);
	if (result != SHMC_OK) {
		free(queue);
		return result;
	}
	spsc_set_gates(queue);
	*ret_queue = queue;
	return SHMC_OK;
}

struct shmc_spsc *shmc_spsc_close(struct shmc_spsc *queue)
{
	if (queue) {
		shmc__object_close(&queue->object);
		free(queue);
	}
	return NULL;
}

/* Sending. */

static SHMP_COLD enum shmc_result spsc_tell_consumer(struct shmc_spsc *queue)
{
	shmp_spsc_tell_consumer(&queue->producer, shmc__bell_ring, &queue->object);
	return SHMC_OK;
}

/* After a publication. */
static inline enum shmc_result spsc_sent(struct shmc_spsc *queue)
{
	if (SHMP_UNLIKELY(shmp_spsc_consumer_waits(&queue->producer)))
		return spsc_tell_consumer(queue);
	return SHMC_OK;
}

static int spsc_wait_room(struct shmc_spsc *queue, int r, int64_t timeout_ns, shmc__move_fn move,
			  struct shmc__sending *send)
{
	return shmc__move_wait_room(&queue->object, queue->producer.not_full, r, timeout_ns, move,
				    send);
}

static int spsc_move_push(void *context)
{
	struct shmc__sending *send = context;

	return shmp_spsc_push(send->moves, send->data, send->size);
}

/* Whether a gate is closed for the checksums' sake only. */
static SHMP_COLD bool spsc_sends_summed(const struct shmc_spsc *queue, bool has_reserved)
{
	return queue->is_summed && queue->role == SHMC_SPSC_PRODUCER &&
	       (queue->reserved != NULL) == has_reserved && !shmc__object_is_forked(&queue->object);
}

static int spsc_move_push_summed(void *context)
{
	struct shmc__sending *send = context;

	return shmp_spsc_push_summed(send->moves, send->data, send->size);
}

/* The gate is closed. */
static SHMP_COLD enum shmc_result spsc_push_summed(struct shmc_spsc *queue, const void *data,
						   uint64_t size, int64_t timeout_ns)
{
	struct shmc__sending send = { .moves = &queue->producer, .data = data, .size = size };
	int r;

	if (!spsc_sends_summed(queue, false))
		return shmc__move_refuse(&queue->object);
	r = spsc_wait_room(queue, spsc_move_push_summed(&send), timeout_ns, spsc_move_push_summed,
			   &send);
	return r == SHMP_DONE ? spsc_sent(queue) : shmc__move_answer(&queue->object, r);
}

/* Long messages, and whatever is not done at the first look. */
static SHMC__HOT __attribute__((noinline)) enum shmc_result spsc_push_long(struct shmc_spsc *queue,
									   const void *data,
									   uint64_t size,
									   int64_t timeout_ns)
{
	struct shmc__sending send = { .moves = &queue->producer, .data = data, .size = size };
	int r;

	if (!shmc__gate_is_open(queue->push_gate))
		return spsc_push_summed(queue, data, size, timeout_ns);
	r = spsc_wait_room(queue, spsc_move_push(&send), timeout_ns, spsc_move_push, &send);
	return SHMP_LIKELY(r == SHMP_DONE) ? spsc_sent(queue) :
					     shmc__move_answer(&queue->object, r);
}

/* Short messages, with room for all we know: a straight line without a call. */
static inline bool spsc_push_short(struct shmc_spsc *queue, const void *data, uint64_t size)
{
	return shmc__gate_is_open(queue->push_gate) &&
	       SHMP_LIKELY(shmp_spsc_push_quick(&queue->producer, data, size) == SHMP_DONE);
}

SHMC__HOT enum shmc_result shmc_spsc_push(struct shmc_spsc *queue, const void *data, uint64_t size,
					  int64_t timeout_ns)
{
	if (spsc_push_short(queue, data, size))
		return spsc_sent(queue);
	return spsc_push_long(queue, data, size, timeout_ns);
}

SHMC__HOT enum shmc_result shmc_spsc_try_push(struct shmc_spsc *queue, const void *data,
					      uint64_t size)
{
	if (spsc_push_short(queue, data, size))
		return spsc_sent(queue);
	return spsc_push_long(queue, data, size, SHMC_TRY);
}

static int spsc_move_batch_add(void *context)
{
	struct shmc__sending *send = context;

	return shmp_spsc_batch_add(send->moves, send->data, send->size);
}

static int spsc_move_batch_add_summed(void *context)
{
	struct shmc__sending *send = context;

	return shmp_spsc_batch_add_summed(send->moves, send->data, send->size);
}

/* The gate is closed. */
static SHMP_COLD enum shmc_result spsc_push_batch_summed(struct shmc_spsc *queue,
							 const struct shmc_bytes *messages,
							 uint64_t count, int64_t timeout_ns,
							 uint64_t *ret_count)
{
	struct shmc__sending first = { .moves = &queue->producer };
	uint64_t sent;
	int r;

	if (!spsc_sends_summed(queue, false) || count == 0)
		return shmc__move_refuse(&queue->object);
	first.data = messages[0].data;
	first.size = messages[0].size;
	r = spsc_wait_room(queue, spsc_move_batch_add_summed(&first), timeout_ns,
			   spsc_move_batch_add_summed, &first);
	if (r != SHMP_DONE)
		return shmc__move_answer(&queue->object, r);
	for (sent = 1; sent < count; sent++) {
		if (shmp_spsc_batch_add_summed(&queue->producer, messages[sent].data,
					       messages[sent].size) != SHMP_DONE)
			break;
	}
	shmp_spsc_batch_publish_summed(&queue->producer);
	*ret_count = sent;
	return spsc_sent(queue);
}

enum shmc_result shmc_spsc_push_batch(struct shmc_spsc *queue, const struct shmc_bytes *messages,
				      uint64_t count, int64_t timeout_ns, uint64_t *ret_count)
{
	struct shmc__sending first = { .moves = &queue->producer };
	uint64_t sent;
	int r;

	if (!shmc__gate_is_open(queue->push_gate) || count == 0)
		return spsc_push_batch_summed(queue, messages, count, timeout_ns, ret_count);
	first.data = messages[0].data;
	first.size = messages[0].size;
	r = spsc_wait_room(queue, spsc_move_batch_add(&first), timeout_ns, spsc_move_batch_add,
			   &first);
	if (r != SHMP_DONE)
		return shmc__move_answer(&queue->object, r);
	for (sent = 1; sent < count; sent++) {
		if (shmp_spsc_batch_add(&queue->producer, messages[sent].data,
					messages[sent].size) != SHMP_DONE)
			break;
	}
	shmp_spsc_batch_publish(&queue->producer);
	*ret_count = sent;
	return spsc_sent(queue);
}

static int spsc_move_reserve(void *context)
{
	struct shmc__sending *send = context;

	return shmp_spsc_reserve(send->moves, send->size, &send->room);
}

SHMC__HOT enum shmc_result shmc_spsc_reserve(struct shmc_spsc *queue, uint64_t size,
					     int64_t timeout_ns, void **ret_data)
{
	struct shmc__sending send = { .moves = &queue->producer, .size = size };
	int r;

	if (!shmc__gate_is_open(queue->push_gate) && !spsc_sends_summed(queue, false))
		return shmc__move_refuse(&queue->object);
	r = spsc_move_reserve(&send);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		r = spsc_wait_room(queue, r, timeout_ns, spsc_move_reserve, &send);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return shmc__move_answer(&queue->object, r);
	queue->reserved = send.room;
	queue->reserved_bytes = size;
	queue->push_gate = &shmc__gate_closed;
	queue->commit_gate = queue->open_gate;
	*ret_data = send.room;
	return SHMC_OK;
}

static void spsc_drop_reservation(struct shmc_spsc *queue)
{
	queue->reserved = NULL;
	queue->push_gate = queue->open_gate;
	queue->commit_gate = &shmc__gate_closed;
}

/* The gate is closed, or the message longer than what was reserved. */
static SHMP_COLD enum shmc_result spsc_commit_summed(struct shmc_spsc *queue, uint64_t size)
{
	if (!spsc_sends_summed(queue, true) || size > queue->reserved_bytes)
		return shmc__move_refuse(&queue->object);
	shmp_spsc_commit_summed(&queue->producer, size);
	spsc_drop_reservation(queue);
	return spsc_sent(queue);
}

SHMC__HOT enum shmc_result shmc_spsc_commit(struct shmc_spsc *queue, uint64_t size)
{
	if (!shmc__gate_is_open(queue->commit_gate) || size > queue->reserved_bytes)
		return spsc_commit_summed(queue, size);
	shmp_spsc_commit(&queue->producer, size);
	spsc_drop_reservation(queue);
	return spsc_sent(queue);
}

enum shmc_result shmc_spsc_abort(struct shmc_spsc *queue)
{
	if (!shmc__gate_is_open(queue->commit_gate) && !spsc_sends_summed(queue, true))
		return shmc__move_refuse(&queue->object);
	spsc_drop_reservation(queue);
	return SHMC_OK;
}

/* Receiving. */

static SHMP_COLD enum shmc_result spsc_tell_producer(struct shmc_spsc *queue)
{
	shmp_spsc_tell_producer(&queue->consumer, shmc__bell_ring, &queue->object);
	return SHMC_OK;
}

/* After room was given back. */
static inline enum shmc_result spsc_taken(struct shmc_spsc *queue)
{
	if (SHMP_UNLIKELY(shmp_spsc_producer_waits(&queue->consumer)))
		return spsc_tell_producer(queue);
	return SHMC_OK;
}

static struct shmp_waiter *spsc_consumer_waiter(struct shmc_spsc *queue)
{
	return queue->consumer.not_empty;
}

/* Whether something came. */
static bool spsc_look_closely(struct shmc_spsc *queue)
{
	/* relaxed: written by this thread only */
	uint64_t taken = atomic_load_explicit(&shmc__object_self(&queue->object)->items,
					      memory_order_relaxed);
	unsigned int looks;

	if (queue->object.client->spin_ns == 0 || shmc__head_start_give(&queue->head_start, taken))
		return true;
	looks = shmc__message_look_closely(&queue->consumer);
	shmc__head_start_note(&queue->head_start, looks);
	return looks < SHMC__HEAD_START_LOOKS;
}

static SHMP_COLD int spsc_receive(struct shmc_spsc *queue, int64_t timeout_ns, shmc__move_fn move,
				  struct shmc__receiving *receive)
{
	int r = shmc__move_receive(&queue->object, spsc_consumer_waiter(queue), timeout_ns, move,
				   receive);

	if (shmc__bell_is_open(&queue->object.bell))
		spsc_set_gates(queue);
	return r;
}

static int spsc_move_pop(void *context)
{
	struct shmc__receiving *receive = context;
	struct shmp_spsc_message message = { .size = 0 };
	int r = shmp_spsc_pop(receive->moves, receive->buffer, receive->buffer_bytes, &message);

	return shmc__message_popped(receive, r, &message);
}

static int spsc_move_pop_summed(void *context)
{
	struct shmc__receiving *receive = context;
	struct shmp_spsc_message message = { .size = 0 };
	int r = shmp_spsc_pop_summed(receive->moves, receive->buffer, receive->buffer_bytes,
				     &message);

	return shmc__message_popped(receive, r, &message);
}

/* Who skips a message gives its room back as well. */
static SHMP_COLD int spsc_receive_summed(struct shmc_spsc *queue, int64_t timeout_ns,
					 shmc__move_fn move, struct shmc__receiving *receive)
{
	int r = spsc_receive(queue, timeout_ns, move, receive);

	if (r == SHMP_DAMAGED)
		spsc_taken(queue);
	return r;
}

/* A short message that is there: a straight line without a call. */
static inline bool spsc_pop_short(struct shmc_spsc *queue, void *buffer, uint64_t buffer_bytes,
				  struct shmc_message *ret_message)
{
	struct shmp_spsc_message message;

	if (!shmc__gate_is_open(queue->pop_gate))
		return false;
	if (SHMP_UNLIKELY(shmp_spsc_pop_quick(&queue->consumer, buffer, buffer_bytes, &message) !=
			  SHMP_DONE))
		return false;
	shmc__message_give(&message, ret_message);
	return true;
}

static SHMC__HOT __attribute__((noinline)) enum shmc_result spsc_pop_long(
	struct shmc_spsc *queue, void *buffer, uint64_t buffer_bytes, int64_t timeout_ns,
	struct shmc_message *ret_message)
{
	struct shmc__receiving receive = {
		.moves = &queue->consumer,
		.buffer = buffer,
		.buffer_bytes = buffer_bytes,
		.messages = ret_message,
	};
	int r;

	if (shmc__object_is_forked(&queue->object))
		return SHMC_FORKED;
	if (queue->role != SHMC_SPSC_CONSUMER || queue->consumer.shown_items != 0)
		return SHMC_INVALID;
	if (timeout_ns != 0 && spsc_look_closely(queue) &&
	    spsc_pop_short(queue, buffer, buffer_bytes, ret_message))
		return spsc_taken(queue);
	if (SHMP_UNLIKELY(queue->is_summed))
		r = spsc_receive_summed(queue, timeout_ns, spsc_move_pop_summed, &receive);
	else
		r = spsc_receive(queue, timeout_ns, spsc_move_pop, &receive);
	return r == SHMP_DONE ? spsc_taken(queue) : shmc__move_answer(&queue->object, r);
}

SHMC__HOT enum shmc_result shmc_spsc_pop(struct shmc_spsc *queue, void *buffer,
					 uint64_t buffer_bytes, int64_t timeout_ns,
					 struct shmc_message *ret_message)
{
	if (spsc_pop_short(queue, buffer, buffer_bytes, ret_message))
		return spsc_taken(queue);
	return spsc_pop_long(queue, buffer, buffer_bytes, timeout_ns, ret_message);
}

SHMC__HOT enum shmc_result shmc_spsc_try_pop(struct shmc_spsc *queue, void *buffer,
					     uint64_t buffer_bytes,
					     struct shmc_message *ret_message)
{
	if (spsc_pop_short(queue, buffer, buffer_bytes, ret_message))
		return spsc_taken(queue);
	return spsc_pop_long(queue, buffer, buffer_bytes, SHMC_TRY, ret_message);
}

static int spsc_move_peek(void *context)
{
	struct shmc__receiving *receive = context;

	return shmc__message_shown(receive,
				   shmp_spsc_peek(receive->moves, (void *)receive->messages,
						  receive->max, &receive->count));
}

static int spsc_move_peek_summed(void *context)
{
	struct shmc__receiving *receive = context;

	return shmc__message_shown(receive,
				   shmp_spsc_peek_summed(receive->moves, (void *)receive->messages,
							 receive->max, &receive->count));
}

SHMC__HOT enum shmc_result shmc_spsc_peek_batch(struct shmc_spsc *queue,
						struct shmc_message *messages, uint64_t max,
						int64_t timeout_ns, uint64_t *ret_count)
{
	struct shmc__receiving receive = { .moves = &queue->consumer,
					   .messages = messages,
					   .max = max };
	int r = SHMP_EMPTY;

	if (SHMP_UNLIKELY(shmc__object_is_forked(&queue->object)))
		return SHMC_FORKED;
	if (SHMP_UNLIKELY(queue->role != SHMC_SPSC_CONSUMER || max == 0))
		return SHMC_INVALID;
	if (shmc__gate_is_open(queue->peek_gate))
		r = spsc_move_peek(&receive);
	if (SHMP_UNLIKELY(r != SHMP_DONE)) {
		if (timeout_ns != 0)
			(void)spsc_look_closely(queue);
		if (SHMP_UNLIKELY(queue->is_summed))
			r = spsc_receive_summed(queue, timeout_ns, spsc_move_peek_summed, &receive);
		else
			r = spsc_receive(queue, timeout_ns, spsc_move_peek, &receive);
	}
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return shmc__move_answer(&queue->object, r);
	queue->pop_gate = &shmc__gate_closed;
	*ret_count = receive.count;
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_spsc_peek(struct shmc_spsc *queue, int64_t timeout_ns,
					  struct shmc_message *ret_message)
{
	uint64_t count;

	return shmc_spsc_peek_batch(queue, ret_message, 1, timeout_ns, &count);
}

SHMC__HOT enum shmc_result shmc_spsc_release(struct shmc_spsc *queue, uint64_t count)
{
	int r;

	if (SHMP_UNLIKELY(shmc__object_is_forked(&queue->object)))
		return SHMC_FORKED;
	if (SHMP_UNLIKELY(queue->role != SHMC_SPSC_CONSUMER))
		return SHMC_INVALID;
	r = SHMP_UNLIKELY(queue->is_summed) ? shmp_spsc_release_summed(&queue->consumer, count) :
					      shmp_spsc_release(&queue->consumer, count);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return shmc__move_result(r);
	if (queue->consumer.shown_items == 0)
		spsc_set_gates(queue);
	return spsc_taken(queue);
}

/* Waiting otherwise, and looking. */

enum shmc_result shmc_spsc_fd(struct shmc_spsc *queue, int *ret_fd, struct shmc_error *error)
{
	enum shmc_result result;

	if (shmc__object_is_forked(&queue->object))
		return shmc__error(error, SHMC_FORKED, "this queue is the parent process's");
	if (queue->role != SHMC_SPSC_CONSUMER)
		return shmc__error(error, SHMC_INVALID, "only a consumer has a descriptor");
	result = shmc__bell_open(&queue->object, error);
	if (result == SHMC_OK)
		*ret_fd = queue->object.bell.poll.fd;
	return result;
}

static uint32_t spsc_peer_endpoint(const struct shmc_spsc *queue)
{
	return queue->role == SHMC_SPSC_PRODUCER ? SHMP_SPSC_CONSUMER : SHMP_SPSC_PRODUCER;
}

enum shmc_peer shmc_spsc_peer(const struct shmc_spsc *queue)
{
	if (shmc__object_is_forked(&queue->object) || queue->role == SHMC_SPSC_OBSERVER)
		return SHMC_PEER_NONE;
	return shmc__object_peer(&queue->object, spsc_peer_endpoint(queue));
}

/* Who has come and gone again meanwhile counts: what he sent, or the room he left, is there. */
static int spsc_move_meet(void *context)
{
	const struct shmc_spsc *queue = context;
	bool has_met = shmc_spsc_peer(queue) == SHMC_PEER_ACTIVE ||
		       (queue->role == SHMC_SPSC_PRODUCER ?
				shmp_spsc_was_emptied(&queue->producer) :
				shmp_spsc_look(&queue->consumer));

	return has_met ? SHMP_DONE : SHMP_EMPTY;
}

enum shmc_result shmc_spsc_wait_peer(struct shmc_spsc *queue, int64_t timeout_ns)
{
	struct shmp_waiter *waiter;
	int r;

	if (shmc__object_is_forked(&queue->object))
		return SHMC_FORKED;
	if (queue->role == SHMC_SPSC_OBSERVER)
		return SHMC_INVALID;
	if (spsc_move_meet(queue) == SHMP_DONE)
		return SHMC_OK;
	if (timeout_ns == 0)
		return SHMC_TIMEOUT;
	if (queue->role == SHMC_SPSC_PRODUCER) {
		waiter = queue->producer.not_full;
	} else {
		waiter = spsc_consumer_waiter(queue);
		shmc__bell_disarm(&queue->object, waiter);
		spsc_set_gates(queue);
	}
	r = shmc__wait(&queue->object, waiter, timeout_ns, spsc_move_meet, queue);
	return r == SHMP_DONE ? SHMC_OK : SHMC_TIMEOUT;
}

enum shmc_result shmc_spsc_look(const struct shmc_spsc *queue, struct shmc_look *look,
				shmc_item_fn fn, void *context)
{
	return shmc__object_look(&queue->object, look, fn, context);
}

enum shmc_result shmc_spsc_options_of(const struct shmc_spsc *queue,
				      struct shmc_spsc_options *ret_options)
{
	const uint64_t *option = queue->object.mapping->segment.plan.option;

	*ret_options = (struct shmc_spsc_options){
		.capacity_bytes = option[SHMP_SPSC_CAPACITY_BYTES],
		.message_bytes_max = option[SHMP_SPSC_MESSAGE_BYTES_MAX],
		.checksum = option[SHMP_SPSC_CHECKSUM] != 0,
	};
	return SHMC_OK;
}

enum shmc_result shmc_spsc_statistics(const struct shmc_spsc *queue,
				      struct shmc_statistics *ret_own,
				      struct shmc_statistics *ret_peer, uint64_t *ret_depth)
{
	struct shmc_statistics producer, consumer;
	bool is_producer = queue->role != SHMC_SPSC_CONSUMER;

	if (shmc__object_is_forked(&queue->object))
		return SHMC_FORKED;
	/* The consumer first: nothing is taken before it is sent, so the depth is not negative. */
	shmc__object_statistics(&queue->object, SHMP_SPSC_CONSUMER, &consumer);
	shmc__object_statistics(&queue->object, SHMP_SPSC_PRODUCER, &producer);
	if (ret_own)
		*ret_own = is_producer ? producer : consumer;
	if (ret_peer)
		*ret_peer = is_producer ? consumer : producer;
	if (ret_depth)
		*ret_depth = producer.messages > consumer.messages ?
				     producer.messages - consumer.messages :
				     0;
	return SHMC_OK;
}
