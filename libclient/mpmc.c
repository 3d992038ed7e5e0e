/*
 * Handles of mpmc queues. The moves are protocol/mpmc.h's; gates as in spsc.c: push while nothing
 * is reserved, commit while something is; pop while nothing is peeked at and no doorbell armed,
 * release while something is.
 */
#include "shmclient/mpmc.h"

#include <errno.h>
#include <stdlib.h>

#include "libclient/bell.h"
#include "libclient/error.h"
#include "libclient/head_start.h"
#include "libclient/move.h"
#include "libclient/object.h"
#include "libclient/wait.h"
#include "protocol/mpmc.h"

struct shmc_mpmc {
	const uint32_t *push_gate; /* push, reserve */
	const uint32_t *commit_gate;
	const uint32_t *pop_gate; /* pop, peek */
	const uint32_t *release_gate;
	uint64_t reserved_bytes;
	enum shmc_mpmc_role role;
	bool is_summed; /* with checksums: push, commit and pop go the long way */
	struct shmc__head_start head_start; /* of who receives */
	struct shmp_mpmc moves;
	struct shmc__object object;
};

/* After anything that a gate depends on. */
static void mpmc_set_gates(struct shmc_mpmc *queue)
{
	const uint32_t *none = &shmc__gate_closed;
	const uint32_t *alive = queue->object.alive;
	const uint32_t *producer = queue->role == SHMC_MPMC_PRODUCER ? alive : none;
	const uint32_t *consumer = queue->role == SHMC_MPMC_CONSUMER ? alive : none;
	bool is_holding = queue->moves.hand.slot != NULL;
	bool is_summed = queue->is_summed;

	queue->push_gate = is_holding || is_summed ? none : producer;
	queue->commit_gate = is_holding && !is_summed ? producer : none;
	queue->pop_gate = is_holding || is_summed || queue->object.bell.is_armed ? none : consumer;
	queue->release_gate = is_holding ? consumer : none;
}

/* Opening and closing. */

enum shmc_result shmc_mpmc_create(struct shmc_client *client, const char *name,
				  const struct shmc_mpmc_options *options, struct shmc_error *error)
{
	static const struct shmc_mpmc_options none;
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };

	if (!options)
		options = &none;
	option[SHMP_MPMC_SLOTS] = options->slots;
	option[SHMP_MPMC_MESSAGE_BYTES_MAX] = options->message_bytes_max;
	option[SHMP_MPMC_ENDPOINTS_MAX] = options->endpoints_max;
	option[SHMP_MPMC_REDELIVERY] = options->no_redelivery != 0 ? SHMC__OPTION_NO : 0;
	option[SHMP_MPMC_CHECKSUM] = options->checksum != 0;
	return shmc__object_create_as(client, name, &shmp_mpmc_kind, option, options->mode,
				      options->reuse != 0, options->common, error);
}

static enum shmc_result mpmc_attach(struct shmc_mpmc *queue, const char *name,
				    struct shmc_error *error)
{
	enum shmp_mpmc_role role = queue->role == SHMC_MPMC_PRODUCER ? SHMP_MPMC_PRODUCER :
								       SHMP_MPMC_CONSUMER;

	if (queue->role == SHMC_MPMC_OBSERVER)
		return SHMC_OK;
	queue->is_summed = queue->object.mapping->segment.plan.option[SHMP_MPMC_CHECKSUM] != 0;
	if (shmp_mpmc_attach(&queue->object.mapping->segment, queue->object.endpoint, role,
			     &queue->moves) == 0)
		return SHMC_OK;
	shmc__object_close(&queue->object);
	return shmc__error(error, SHMC_CORRUPT,
			   "%s: the queue holds bytes that no producer or consumer wrote", name);
}

enum shmc_result shmc_mpmc_open(struct shmc_client *client, const char *name,
				enum shmc_mpmc_role role, struct shmc_mpmc **ret_queue,
				struct shmc_error *error)
{
	static const char *const names[] = {
		[SHMC_MPMC_PRODUCER] = "producer",
		[SHMC_MPMC_CONSUMER] = "consumer",
		[SHMC_MPMC_OBSERVER] = "observer",
	};
	struct shmc_mpmc *queue;
	enum shmc_result result;

	if (role != SHMC_MPMC_PRODUCER && role != SHMC_MPMC_CONSUMER && role != SHMC_MPMC_OBSERVER)
		return shmc__error(error, SHMC_INVALID,
				   "role: neither producer nor consumer nor observer");
	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return shmc__error_from_errno(error, "open the queue", ENOMEM);
	queue->role = role;
	result = shmc__object_open(&queue->object, client, name, &shmp_mpmc_kind, names[role],
				   error);
	if (result == SHMC_OK)
		result = mpmc_attach(queue, name, error);
	if (result != SHMC_OK) {
		free(queue);
		return result;
	}
	mpmc_set_gates(queue);
	*ret_queue = queue;
	return SHMC_OK;
}

struct shmc_mpmc *shmc_mpmc_close(struct shmc_mpmc *queue)
{
	if (queue) {
		shmc__object_close(&queue->object);
		free(queue);
	}
	return NULL;
}

/* Sending. */

static SHMP_COLD enum shmc_result mpmc_tell_consumers(struct shmc_mpmc *queue)
{
	shmp_mpmc_tell_consumers(&queue->moves, shmc__bell_ring, &queue->object);
	return SHMC_OK;
}

/* After a publication. */
static inline enum shmc_result mpmc_sent(struct shmc_mpmc *queue)
{
	if (SHMP_UNLIKELY(shmp_mpmc_consumers_wait(&queue->moves)))
		return mpmc_tell_consumers(queue);
	return SHMC_OK;
}

/* Arguments of a sending move, for waiting. */
struct mpmc_send {
	struct shmc_mpmc *queue;
	const void *data;
	uint64_t size;
	uint8_t *room;
};

/* FULL at the first look: waits if that is wanted. */
static int mpmc_send_again(struct mpmc_send *send, int r, int64_t timeout_ns, shmc__move_fn move)
{
	struct shmc_mpmc *queue = send->queue;

	if (r == SHMP_FULL && timeout_ns != 0 && queue->object.client->spin_ns != 0)
		shmc__head_start_give_receivers(queue->moves.slot_count);
	return shmc__move_wait_room(&queue->object, &queue->moves.control->not_full, r, timeout_ns,
				    move, send);
}

static int mpmc_move_push(void *context)
{
	struct mpmc_send *send = context;

	return shmp_mpmc_push(&send->queue->moves, send->data, send->size);
}

/* Whether a gate is closed for the checksums' sake only. */
static SHMP_COLD bool mpmc_sends_summed(const struct shmc_mpmc *queue, bool is_holding)
{
	return queue->is_summed && queue->role == SHMC_MPMC_PRODUCER &&
	       (queue->moves.hand.slot != NULL) == is_holding &&
	       !shmc__object_is_forked(&queue->object);
}

static int mpmc_move_push_summed(void *context)
{
	struct mpmc_send *send = context;

	return shmp_mpmc_push_summed(&send->queue->moves, send->data, send->size);
}

/* The gate is closed. */
static SHMP_COLD enum shmc_result mpmc_push_summed(struct shmc_mpmc *queue, const void *data,
						   uint64_t size, int64_t timeout_ns)
{
	struct mpmc_send send = { .queue = queue, .data = data, .size = size };
	int r;

	if (!mpmc_sends_summed(queue, false))
		return shmc__move_refuse(&queue->object);
	r = mpmc_send_again(&send, mpmc_move_push_summed(&send), timeout_ns, mpmc_move_push_summed);
	return r == SHMP_DONE ? mpmc_sent(queue) : shmc__move_answer(&queue->object, r);
}

/* The gate is closed: all that there is room for, each told of by itself. */
static SHMP_COLD enum shmc_result mpmc_push_batch_summed(struct shmc_mpmc *queue,
							 const struct shmc_bytes *messages,
							 uint64_t count, int64_t timeout_ns,
							 uint64_t *ret_count)
{
	enum shmc_result result;
	uint64_t sent;

	if (count == 0)
		return shmc__move_refuse(&queue->object);
	result = mpmc_push_summed(queue, messages[0].data, messages[0].size, timeout_ns);
	if (result != SHMC_OK)
		return result;
	for (sent = 1; sent < count; sent++)
		if (mpmc_push_summed(queue, messages[sent].data, messages[sent].size, SHMC_TRY) !=
		    SHMC_OK)
			break;
	*ret_count = sent;
	return SHMC_OK;
}

/* Long messages, and whatever is not done at the first look. */
static SHMC__HOT __attribute__((noinline)) enum shmc_result mpmc_push_long(struct shmc_mpmc *queue,
									   const void *data,
									   uint64_t size,
									   int64_t timeout_ns)
{
	struct mpmc_send send = { .queue = queue, .data = data, .size = size };
	int r;

	if (!shmc__gate_is_open(queue->push_gate))
		return mpmc_push_summed(queue, data, size, timeout_ns);
	r = mpmc_send_again(&send, mpmc_move_push(&send), timeout_ns, mpmc_move_push);
	return SHMP_LIKELY(r == SHMP_DONE) ? mpmc_sent(queue) :
					     shmc__move_answer(&queue->object, r);
}

/* Short messages, with room and no rival: a straight line without a call. */
static inline bool mpmc_push_short(struct shmc_mpmc *queue, const void *data, uint64_t size)
{
	return shmc__gate_is_open(queue->push_gate) &&
	       SHMP_LIKELY(shmp_mpmc_push_quick(&queue->moves, data, size));
}

SHMC__HOT enum shmc_result shmc_mpmc_push(struct shmc_mpmc *queue, const void *data, uint64_t size,
					  int64_t timeout_ns)
{
	if (mpmc_push_short(queue, data, size))
		return mpmc_sent(queue);
	return mpmc_push_long(queue, data, size, timeout_ns);
}

SHMC__HOT enum shmc_result shmc_mpmc_try_push(struct shmc_mpmc *queue, const void *data,
					      uint64_t size)
{
	if (mpmc_push_short(queue, data, size))
		return mpmc_sent(queue);
	return mpmc_push_long(queue, data, size, SHMC_TRY);
}

enum shmc_result shmc_mpmc_push_batch(struct shmc_mpmc *queue, const struct shmc_bytes *messages,
				      uint64_t count, int64_t timeout_ns, uint64_t *ret_count)
{
	struct mpmc_send first = { .queue = queue };
	uint64_t sent;
	int r;

	if (!shmc__gate_is_open(queue->push_gate) || count == 0)
		return mpmc_push_batch_summed(queue, messages, count, timeout_ns, ret_count);
	first.data = messages[0].data;
	first.size = messages[0].size;
	r = mpmc_send_again(&first, mpmc_move_push(&first), timeout_ns, mpmc_move_push);
	if (r != SHMP_DONE)
		return shmc__move_answer(&queue->object, r);
	for (sent = 1; sent < count; sent++) {
		if (shmp_mpmc_push(&queue->moves, messages[sent].data, messages[sent].size) !=
		    SHMP_DONE)
			break;
	}
	*ret_count = sent;
	return mpmc_sent(queue);
}

static int mpmc_move_reserve(void *context)
{
	struct mpmc_send *send = context;

	return shmp_mpmc_reserve(&send->queue->moves, send->size, &send->room);
}

SHMC__HOT enum shmc_result shmc_mpmc_reserve(struct shmc_mpmc *queue, uint64_t size,
					     int64_t timeout_ns, void **ret_data)
{
	struct mpmc_send send = { .queue = queue, .size = size };
	int r;

	if (!shmc__gate_is_open(queue->push_gate) && !mpmc_sends_summed(queue, false))
		return shmc__move_refuse(&queue->object);
	r = mpmc_send_again(&send, mpmc_move_reserve(&send), timeout_ns, mpmc_move_reserve);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return shmc__move_answer(&queue->object, r);
	queue->reserved_bytes = size;
	mpmc_set_gates(queue);
	*ret_data = send.room;
	return SHMC_OK;
}

static SHMP_COLD enum shmc_result mpmc_commit_summed(struct shmc_mpmc *queue, uint64_t size)
{
	if (!mpmc_sends_summed(queue, true) || size > queue->reserved_bytes)
		return shmc__move_refuse(&queue->object);
	shmp_mpmc_commit_summed(&queue->moves, size);
	mpmc_set_gates(queue);
	return mpmc_sent(queue);
}

SHMC__HOT enum shmc_result shmc_mpmc_commit(struct shmc_mpmc *queue, uint64_t size)
{
	if (!shmc__gate_is_open(queue->commit_gate) || size > queue->reserved_bytes)
		return mpmc_commit_summed(queue, size);
	shmp_mpmc_commit(&queue->moves, size);
	mpmc_set_gates(queue);
	return mpmc_sent(queue);
}

enum shmc_result shmc_mpmc_abort(struct shmc_mpmc *queue)
{
	if (!shmc__gate_is_open(queue->commit_gate) && !mpmc_sends_summed(queue, true))
		return shmc__move_refuse(&queue->object);
	shmp_mpmc_abort(&queue->moves);
	mpmc_set_gates(queue);
	/* what was sent behind it can be received now */
	return mpmc_sent(queue);
}

/* Receiving. */

static SHMP_COLD enum shmc_result mpmc_tell(struct shmc_mpmc *queue)
{
	if (shmp_mpmc_producers_wait(&queue->moves))
		shmp_mpmc_tell_producers(&queue->moves, shmc__bell_ring, &queue->object);
	if (shmp_mpmc_consumers_wait(&queue->moves))
		shmp_mpmc_pass_on(&queue->moves, shmc__bell_ring, &queue->object);
	return SHMC_OK;
}

/* After a slot was given back, or a position taken. */
static inline enum shmc_result mpmc_taken(struct shmc_mpmc *queue)
{
	if (SHMP_UNLIKELY(shmp_mpmc_producers_wait(&queue->moves) ||
			  shmp_mpmc_consumers_wait(&queue->moves)))
		return mpmc_tell(queue);
	return SHMC_OK;
}

/* Arguments of a receiving move, for waiting. */
struct mpmc_receive {
	struct shmc_mpmc *queue;
	void *buffer;
	uint64_t buffer_bytes;
	struct shmc_message *message;
};

static int mpmc_gives(int r, const struct shmp_mpmc_message *message,
		      struct shmc_message *ret_message)
{
	if (SHMP_LIKELY(r == SHMP_DONE))
		shmc__move_give(message->data, message->size, message->flags, ret_message);
	else if (r == SHMP_TOO_BIG)
		ret_message->size = message->size;
	return r;
}

static int mpmc_move_pop(void *context)
{
	struct mpmc_receive *receive = context;
	struct shmp_mpmc_message message = { .size = 0 };
	int r = shmp_mpmc_pop(&receive->queue->moves, receive->buffer, receive->buffer_bytes,
			      &message);

	return mpmc_gives(r, &message, receive->message);
}

static int mpmc_move_peek(void *context)
{
	struct mpmc_receive *receive = context;
	struct shmp_mpmc_message message = { .size = 0 };
	int r = shmp_mpmc_peek(&receive->queue->moves, receive->queue->moves.message_max, &message);

	return mpmc_gives(r, &message, receive->message);
}

static int mpmc_move_pop_summed(void *context)
{
	struct mpmc_receive *receive = context;
	struct shmp_mpmc_message message = { .size = 0 };
	int r = shmp_mpmc_pop_summed(&receive->queue->moves, receive->buffer, receive->buffer_bytes,
				     &message);

	return mpmc_gives(r, &message, receive->message);
}

static int mpmc_move_peek_summed(void *context)
{
	struct mpmc_receive *receive = context;
	struct shmp_mpmc_message message = { .size = 0 };
	int r = shmp_mpmc_peek_summed(&receive->queue->moves, receive->queue->moves.message_max,
				      &message);

	return mpmc_gives(r, &message, receive->message);
}

/*
 * An answer to what was just sent comes within a few hundred ns: nothing is done between looks.
 * Whether something came.
 */
static bool mpmc_look_closely(struct shmc_mpmc *queue)
{
	/* relaxed: written by this thread only */
	uint64_t taken = atomic_load_explicit(&queue->moves.self->items, memory_order_relaxed);
	unsigned looks = 0;

	if (queue->object.client->spin_ns == 0 || shmc__head_start_give(&queue->head_start, taken))
		return true;
	while (looks < SHMC__HEAD_START_LOOKS && !shmp_mpmc_has_news(&queue->moves)) {
		shmc__wait_pause();
		looks++;
	}
	shmc__head_start_note(&queue->head_start, looks);
	return looks < SHMC__HEAD_START_LOOKS;
}

/* With a doorbell or checksums, or with nothing there so far. DONE, or a result's outcome. */
static SHMP_COLD int mpmc_receive_long(struct shmc_mpmc *queue, int64_t timeout_ns,
				       shmc__move_fn move, struct mpmc_receive *receive)
{
	int r = shmc__move_receive(&queue->object, &queue->moves.control->not_empty, timeout_ns,
				   move, receive);

	mpmc_set_gates(queue);
	return r;
}

/* The same with a first look, when nothing stands against it, and a close one. */
static int mpmc_receive(struct shmc_mpmc *queue, int64_t timeout_ns, shmc__move_fn move,
			struct mpmc_receive *receive)
{
	int r;

	if (shmc__gate_is_open(queue->pop_gate)) {
		r = move(receive);
		if (r != SHMP_EMPTY)
			return r;
		if (timeout_ns != 0 && mpmc_look_closely(queue)) {
			r = move(receive);
			if (r != SHMP_EMPTY)
				return r;
		}
	}
	return mpmc_receive_long(queue, timeout_ns, move, receive);
}

/* A message that was damaged has been taken all the same, and left room. */
static SHMP_COLD enum shmc_result mpmc_gave_none(struct shmc_mpmc *queue, int r)
{
	if (r == SHMP_DAMAGED)
		mpmc_taken(queue);
	return shmc__move_answer(&queue->object, r);
}

/* Whether a consumer's call may go the long way; its gate is closed, or nothing was there. */
static enum shmc_result mpmc_may_receive(const struct shmc_mpmc *queue)
{
	if (shmc__object_is_forked(&queue->object))
		return SHMC_FORKED;
	return queue->role == SHMC_MPMC_CONSUMER && !queue->moves.hand.slot ? SHMC_OK :
									      SHMC_INVALID;
}

/* A short message that is there: a straight line without a call. */
static inline bool mpmc_pop_short(struct shmc_mpmc *queue, void *buffer, uint64_t buffer_bytes,
				  struct shmc_message *ret_message)
{
	struct shmp_mpmc_message message;

	if (!shmc__gate_is_open(queue->pop_gate))
		return false;
	if (SHMP_UNLIKELY(!shmp_mpmc_pop_quick(&queue->moves, buffer, buffer_bytes, &message)))
		return false;
	shmc__move_give(message.data, message.size, message.flags, ret_message);
	return true;
}

static SHMC__HOT __attribute__((noinline)) enum shmc_result mpmc_pop_long(
	struct shmc_mpmc *queue, void *buffer, uint64_t buffer_bytes, int64_t timeout_ns,
	struct shmc_message *ret_message)
{
	struct mpmc_receive receive = { queue, buffer, buffer_bytes, ret_message };
	enum shmc_result result = mpmc_may_receive(queue);
	int r;

	if (SHMP_UNLIKELY(result != SHMC_OK))
		return result;
	r = mpmc_receive(queue, timeout_ns, queue->is_summed ? mpmc_move_pop_summed : mpmc_move_pop,
			 &receive);
	return SHMP_LIKELY(r == SHMP_DONE) ? mpmc_taken(queue) : mpmc_gave_none(queue, r);
}

SHMC__HOT enum shmc_result shmc_mpmc_pop(struct shmc_mpmc *queue, void *buffer,
					 uint64_t buffer_bytes, int64_t timeout_ns,
					 struct shmc_message *ret_message)
{
	if (mpmc_pop_short(queue, buffer, buffer_bytes, ret_message))
		return mpmc_taken(queue);
	return mpmc_pop_long(queue, buffer, buffer_bytes, timeout_ns, ret_message);
}

SHMC__HOT enum shmc_result shmc_mpmc_try_pop(struct shmc_mpmc *queue, void *buffer,
					     uint64_t buffer_bytes,
					     struct shmc_message *ret_message)
{
	if (mpmc_pop_short(queue, buffer, buffer_bytes, ret_message))
		return mpmc_taken(queue);
	return mpmc_pop_long(queue, buffer, buffer_bytes, SHMC_TRY, ret_message);
}

enum shmc_result shmc_mpmc_pop_batch(struct shmc_mpmc *queue, void *buffer, uint64_t buffer_bytes,
				     struct shmc_message *messages, uint64_t max,
				     int64_t timeout_ns, uint64_t *ret_count)
{
	struct mpmc_receive receive = { queue, buffer, buffer_bytes, messages };
	enum shmc_result result = mpmc_may_receive(queue);
	uint64_t count, step;
	int r;

	if (result != SHMC_OK || max == 0)
		return result != SHMC_OK ? result : SHMC_INVALID;
	r = mpmc_receive(queue, timeout_ns, queue->is_summed ? mpmc_move_pop_summed : mpmc_move_pop,
			 &receive);
	if (r != SHMP_DONE)
		return mpmc_gave_none(queue, r);
	/* with checksums one at a time, so that each damaged one is told of */
	for (count = 1; count < max && !queue->is_summed; count++) {
		struct shmc_message next;

		step = shmc__move_step(messages[count - 1].size, receive.buffer_bytes);
		receive.buffer = step ? (uint8_t *)receive.buffer + step : receive.buffer;
		receive.buffer_bytes -= step;
		receive.message = &next;
		if (mpmc_move_pop(&receive) != SHMP_DONE)
			break;
		messages[count] = next;
	}
	*ret_count = count;
	return mpmc_taken(queue);
}

SHMC__HOT enum shmc_result shmc_mpmc_peek(struct shmc_mpmc *queue, int64_t timeout_ns,
					  struct shmc_message *ret_message)
{
	struct mpmc_receive receive = { .queue = queue, .message = ret_message };
	enum shmc_result result = mpmc_may_receive(queue);
	int r;

	if (SHMP_UNLIKELY(result != SHMC_OK))
		return result;
	r = mpmc_receive(queue, timeout_ns,
			 queue->is_summed ? mpmc_move_peek_summed : mpmc_move_peek, &receive);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return mpmc_gave_none(queue, r);
	mpmc_set_gates(queue);
	/* who waits may get the next one while this one is looked at */
	return mpmc_taken(queue);
}

SHMC__HOT enum shmc_result shmc_mpmc_release(struct shmc_mpmc *queue)
{
	if (!shmc__gate_is_open(queue->release_gate))
		return shmc__move_refuse(&queue->object);
	shmp_mpmc_release(&queue->moves);
	mpmc_set_gates(queue);
	return mpmc_taken(queue);
}

/* Waiting otherwise, and looking. */

enum shmc_result shmc_mpmc_fd(struct shmc_mpmc *queue, int *ret_fd, struct shmc_error *error)
{
	enum shmc_result result;

	if (shmc__object_is_forked(&queue->object))
		return shmc__error(error, SHMC_FORKED, "this queue is the parent process's");
	if (queue->role != SHMC_MPMC_CONSUMER)
		return shmc__error(error, SHMC_INVALID, "only a consumer has a descriptor");
	result = shmc__bell_open(&queue->object, error);
	if (result == SHMC_OK)
		*ret_fd = queue->object.bell.poll.fd;
	return result;
}

enum shmc_result shmc_mpmc_look(const struct shmc_mpmc *queue, struct shmc_look *look,
				shmc_item_fn fn, void *context)
{
	return shmc__object_look(&queue->object, look, fn, context);
}

enum shmc_result shmc_mpmc_options_of(const struct shmc_mpmc *queue,
				      struct shmc_mpmc_options *ret_options)
{
	const uint64_t *option;

	if (shmc__object_is_forked(&queue->object))
		return SHMC_FORKED;
	option = queue->object.mapping->segment.plan.option;
	*ret_options = (struct shmc_mpmc_options){
		.slots = option[SHMP_MPMC_SLOTS],
		.message_bytes_max = option[SHMP_MPMC_MESSAGE_BYTES_MAX],
		.endpoints_max = option[SHMP_MPMC_ENDPOINTS_MAX],
		.no_redelivery = option[SHMP_MPMC_REDELIVERY] == 0,
		.checksum = option[SHMP_MPMC_CHECKSUM] != 0,
	};
	return SHMC_OK;
}

static struct shmc_statistics mpmc_statistics(const struct shmp_mpmc_counts *counts)
{
	return (struct shmc_statistics){
		.messages = counts->of[SHMP_MPMC_ITEMS],
		.bytes = counts->of[SHMP_MPMC_BYTES],
		.refused = counts->of[SHMP_MPMC_REFUSED],
		.waits = counts->of[SHMP_MPMC_WAITS],
	};
}

enum shmc_result shmc_mpmc_statistics(const struct shmc_mpmc *queue,
				      struct shmc_mpmc_statistics *ret_statistics)
{
	struct shmp_mpmc_counts producers, consumers;
	const struct shmp_segment *segment;
	const struct shmp_mpmc_control *control;

	if (shmc__object_is_forked(&queue->object))
		return SHMC_FORKED;
	segment = &queue->object.mapping->segment;
	control = segment->control;
	/* The consumers first: nothing is taken before it is sent. */
	shmp_mpmc_count_role(segment, SHMP_MPMC_CONSUMER, &consumers);
	shmp_mpmc_count_role(segment, SHMP_MPMC_PRODUCER, &producers);
	*ret_statistics = (struct shmc_mpmc_statistics){
		.producers = mpmc_statistics(&producers),
		.consumers = mpmc_statistics(&consumers),
		.depth = shmp_mpmc_depth(segment),
		/* relaxed: a statistic */
		.tombstones = atomic_load_explicit(&control->tombs, memory_order_relaxed),
		/* relaxed: as above */
		.dropped = atomic_load_explicit(&control->dropped, memory_order_relaxed),
	};
	return SHMC_OK;
}

enum shmc_result shmc_mpmc_endpoint(const struct shmc_mpmc *queue, uint32_t index,
				    struct shmc_mpmc_endpoint *ret_endpoint)
{
	struct shmp_mpmc_counts pushed, popped;
	const struct shmp_segment *segment;

	if (shmc__object_is_forked(&queue->object))
		return SHMC_FORKED;
	segment = &queue->object.mapping->segment;
	if (index >= segment->plan.endpoint_count)
		return SHMC_INVALID;
	shmp_mpmc_count_endpoint(segment, index, SHMP_MPMC_PRODUCER, &pushed);
	shmp_mpmc_count_endpoint(segment, index, SHMP_MPMC_CONSUMER, &popped);
	*ret_endpoint = (struct shmc_mpmc_endpoint){
		.state = shmc__object_peer(&queue->object, index),
		.is_own = index == queue->object.endpoint,
		.pushed = mpmc_statistics(&pushed),
		.popped = mpmc_statistics(&popped),
	};
	return SHMC_OK;
}
