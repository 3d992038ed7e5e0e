/*
 * Handles of broadcasts. The moves are protocol/broadcast.h's; gates as in spsc.c: push while
 * nothing is reserved and no doorbell armed, commit while something is; pop while nothing is peeked
 * at and no doorbell armed, release while something is.
 */
#include "libclient/broadcast.h"

#include <errno.h>
#include <stdlib.h>

#include "libclient/bell.h"
#include "libclient/error.h"
#include "libclient/move.h"
#include "libclient/wait.h"

enum {
	BROADCAST_PIECES = 64, /* of a batch at most that are one claim */
};

/* After anything that a gate depends on. */
static void broadcast_set_gates(struct shmc_broadcast *broadcast)
{
	const uint32_t *none = &shmc__gate_closed;
	const uint32_t *alive = broadcast->object.alive;
	const uint32_t *writer = broadcast->role == SHMC_BROADCAST_WRITER ? alive : none;
	const uint32_t *reader = broadcast->role == SHMC_BROADCAST_READER ? alive : none;
	bool is_armed = broadcast->object.bell.is_armed;
	bool is_showing = broadcast->role == SHMC_BROADCAST_READER && broadcast->reader.is_showing;

	broadcast->push_gate = broadcast->is_reserved || is_armed ? none : writer;
	broadcast->commit_gate = broadcast->is_reserved ? writer : none;
	broadcast->pop_gate = is_showing || is_armed ? none : reader;
	broadcast->release_gate = is_showing ? reader : none;
}

/* Opening and closing. */

enum shmc_result shmc_broadcast_create(struct shmc_client *client, const char *name,
				       const struct shmc_broadcast_options *options,
				       struct shmc_error *error)
{
	static const struct shmc_broadcast_options none;
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };

	if (!options)
		options = &none;
	if (options->policy != SHMC_BROADCAST_OVERWRITE && options->policy != SHMC_BROADCAST_BLOCK)
		return shmc__error(error, SHMC_INVALID, "policy: neither overwrite nor block");
	option[SHMP_BROADCAST_CAPACITY_BYTES] = options->capacity_bytes;
	option[SHMP_BROADCAST_MESSAGE_BYTES_MAX] = options->message_bytes_max;
	option[SHMP_BROADCAST_WRITERS_MAX] = options->writers_max;
	option[SHMP_BROADCAST_READERS_MAX] = options->readers_max;
	option[SHMP_BROADCAST_BLOCK] = options->policy;
	option[SHMP_BROADCAST_EXCLUSIVE] = options->exclusive != 0;
	return shmc__object_create_as(client, name, &shmp_broadcast_kind, option, options->mode,
				      options->reuse != 0, options->common, error);
}

static int broadcast_attach(struct shmc_broadcast *broadcast, enum shmc_broadcast_from from,
			    uint64_t position)
{
	static const enum shmp_broadcast_from froms[] = {
		[SHMC_BROADCAST_NEWEST] = SHMP_BROADCAST_FROM_NEWEST,
		[SHMC_BROADCAST_OLDEST] = SHMP_BROADCAST_FROM_OLDEST,
		[SHMC_BROADCAST_POSITION] = SHMP_BROADCAST_FROM_POSITION,
	};
	const struct shmp_segment *segment = &broadcast->object.mapping->segment;
	uint32_t endpoint = broadcast->object.endpoint;

	if (broadcast->role == SHMC_BROADCAST_OBSERVER)
		return 0;
	if (broadcast->role == SHMC_BROADCAST_WRITER)
		return shmp_broadcast_attach_writer(segment, endpoint, &broadcast->writer);
	return shmp_broadcast_attach_reader(segment, endpoint, froms[from], position,
					    &broadcast->reader);
}

/* Who joined has moved its cursor: writers may have waited for where it was at first. */
static void broadcast_joined(struct shmc_broadcast *broadcast)
{
	struct shmp_broadcast_reader *reader = &broadcast->reader;

	if (broadcast->role == SHMC_BROADCAST_READER && shmp_broadcast_writers_wait(&reader->ring))
		shmp_broadcast_tell_writers(&reader->ring, &reader->telling_writers,
					    reader->ringing, shmc__bell_ring, &broadcast->object);
	broadcast_set_gates(broadcast);
}

static enum shmc_result broadcast_take_up(struct shmc_broadcast *broadcast, const char *name,
					  enum shmc_broadcast_from from, uint64_t position,
					  struct shmc_error *error)
{
	int r = broadcast_attach(broadcast, from, position);

	if (r == 0) {
		broadcast_joined(broadcast);
		return SHMC_OK;
	}
	shmc__object_close(&broadcast->object);
	if (r == -EINVAL)
		return shmc__error(error, SHMC_INVALID,
				   "%s: position: no message begins there; note that of the last "
				   "message that was read",
				   name);
	return shmc__error(error, SHMC_CORRUPT, "%s: it holds bytes that no writer wrote", name);
}

static enum shmc_result broadcast_open(struct shmc_client *client, const char *name,
				       enum shmc_broadcast_role role, enum shmc_broadcast_from from,
				       uint64_t position, struct shmc_broadcast **ret_broadcast,
				       struct shmc_error *error)
{
	static const char *const names[] = {
		[SHMC_BROADCAST_WRITER] = "writer",
		[SHMC_BROADCAST_READER] = "reader",
		[SHMC_BROADCAST_OBSERVER] = "observer",
	};
	struct shmc_broadcast *broadcast = calloc(1, sizeof(*broadcast));
	enum shmc_result result;

	if (!broadcast)
		return shmc__error_from_errno(error, "open the broadcast", ENOMEM);
	broadcast->role = role;
	result = shmc__object_open(&broadcast->object, client, name, &shmp_broadcast_kind,
				   names[role], error);
	if (result == SHMC_OK)
		result = broadcast_take_up(broadcast, name, from, position, error);
	if (result == SHMC_OK)
		*ret_broadcast = broadcast;
	else
		free(broadcast);
	return result;
}

enum shmc_result shmc_broadcast_open(struct shmc_client *client, const char *name,
				     enum shmc_broadcast_role role,
				     struct shmc_broadcast **ret_broadcast,
				     struct shmc_error *error)
{
	if (role != SHMC_BROADCAST_WRITER && role != SHMC_BROADCAST_READER &&
	    role != SHMC_BROADCAST_OBSERVER)
		return shmc__error(error, SHMC_INVALID,
				   "role: neither writer nor reader nor observer");
	return broadcast_open(client, name, role, SHMC_BROADCAST_NEWEST, 0, ret_broadcast, error);
}

enum shmc_result shmc_broadcast_open_from(struct shmc_client *client, const char *name,
					  enum shmc_broadcast_from from, uint64_t position,
					  struct shmc_broadcast **ret_broadcast,
					  struct shmc_error *error)
{
	if (from != SHMC_BROADCAST_NEWEST && from != SHMC_BROADCAST_OLDEST &&
	    from != SHMC_BROADCAST_POSITION)
		return shmc__error(error, SHMC_INVALID,
				   "from: neither newest nor oldest nor position");
	return broadcast_open(client, name, SHMC_BROADCAST_READER, from, position, ret_broadcast,
			      error);
}

struct shmc_broadcast *shmc_broadcast_close(struct shmc_broadcast *broadcast)
{
	if (broadcast) {
		shmc__object_close(&broadcast->object);
		free(broadcast->staged);
		free(broadcast);
	}
	return NULL;
}

/* Sending. */

static SHMP_COLD enum shmc_result broadcast_tell(struct shmc_broadcast *broadcast)
{
	struct shmp_broadcast_writer *writer = &broadcast->writer;

	if (shmp_broadcast_readers_wait(&writer->ring))
		shmp_broadcast_tell_readers(writer, shmc__bell_ring, &broadcast->object);
	if (shmp_broadcast_writers_wait(&writer->ring))
		shmp_broadcast_tell_writers(&writer->ring, &writer->telling_writers,
					    writer->ringing, shmc__bell_ring, &broadcast->object);
	return SHMC_OK;
}

/* After a publication: readers wait for it, and writers for it to be finished. */
static inline enum shmc_result broadcast_sent(struct shmc_broadcast *broadcast)
{
	const struct shmp_broadcast *ring = &broadcast->writer.ring;

	if (SHMP_UNLIKELY(shmp_broadcast_readers_wait(ring)))
		return broadcast_tell(broadcast);
	if (!ring->is_exclusive && SHMP_UNLIKELY(shmp_broadcast_writers_wait(ring)))
		return broadcast_tell(broadcast);
	return SHMC_OK;
}

/* Arguments of a sending move, for waiting. */
struct broadcast_send {
	struct shmc_broadcast *broadcast;
	const void *data;
	uint64_t size;
	uint8_t *room;
	bool waits; /* for room, if there is none */
};

static int broadcast_move_push(void *context)
{
	struct broadcast_send *send = context;
	struct shmp_broadcast_writer *writer = &send->broadcast->writer;
	int r = shmp_broadcast_push(writer, send->data, send->size);

	if (r == SHMP_FULL && send->waits)
		shmp_broadcast_queue(writer, shmp_broadcast_need(send->size));
	return r;
}

static int broadcast_move_reserve(void *context)
{
	struct broadcast_send *send = context;

	return shmp_broadcast_reserve(&send->broadcast->writer, send->size, &send->room);
}

/* With a doorbell, or without room at the first look. DONE, or a result's outcome. */
static SHMP_COLD int broadcast_send(struct broadcast_send *send, int64_t timeout_ns,
				    shmc__move_fn move)
{
	struct shmc_broadcast *broadcast = send->broadcast;
	int r;

	send->waits = timeout_ns != 0 || shmc__bell_is_open(&broadcast->object.bell);
	r = shmc__move_receive(&broadcast->object, &broadcast->writer.ring.control->not_full,
			       timeout_ns, move, send);
	if (r != SHMP_DONE && timeout_ns != 0 && shmp_broadcast_leave_queue(&broadcast->writer))
		broadcast_tell(broadcast);
	broadcast_set_gates(broadcast);
	return r;
}

/* Whether a writer's call may go the long way; its gate is closed, or there was no room. */
static enum shmc_result broadcast_may_send(const struct shmc_broadcast *broadcast)
{
	if (shmc__object_is_forked(&broadcast->object))
		return SHMC_FORKED;
	return broadcast->role == SHMC_BROADCAST_WRITER && !broadcast->is_reserved ? SHMC_OK :
										     SHMC_INVALID;
}

static SHMP_COLD enum shmc_result broadcast_push_again(struct shmc_broadcast *broadcast,
						       const void *data, uint64_t size,
						       int64_t timeout_ns)
{
	struct broadcast_send send = { .broadcast = broadcast, .data = data, .size = size };
	enum shmc_result result = broadcast_may_send(broadcast);
	int r;

	if (result != SHMC_OK)
		return result;
	r = broadcast_send(&send, timeout_ns, broadcast_move_push);
	return r == SHMP_DONE ? broadcast_sent(broadcast) :
				shmc__move_answer(&broadcast->object, r);
}

static inline bool broadcast_push_at_once(struct shmc_broadcast *broadcast, const void *data,
					  uint64_t size)
{
	return shmc__gate_is_open(broadcast->push_gate) &&
	       SHMP_LIKELY(shmp_broadcast_push_quick(&broadcast->writer, data, size) == SHMP_DONE);
}

SHMC__HOT enum shmc_result shmc_broadcast_push(struct shmc_broadcast *broadcast, const void *data,
					       uint64_t size, int64_t timeout_ns)
{
	if (broadcast_push_at_once(broadcast, data, size))
		return broadcast_sent(broadcast);
	return broadcast_push_again(broadcast, data, size, timeout_ns);
}

SHMC__HOT enum shmc_result shmc_broadcast_try_push(struct shmc_broadcast *broadcast,
						   const void *data, uint64_t size)
{
	if (broadcast_push_at_once(broadcast, data, size))
		return broadcast_sent(broadcast);
	return broadcast_push_again(broadcast, data, size, SHMC_TRY);
}

/* As many of a batch as go into one claim. */
struct broadcast_batch {
	struct broadcast_send send; /* the first member, since the move gets its address */
	const struct shmc_bytes *messages;
	uint64_t count, sent;
};

static int broadcast_move_batch(void *context)
{
	struct broadcast_batch *batch = context;
	struct shmp_broadcast_writer *writer = &batch->send.broadcast->writer;
	struct shmp_broadcast_piece pieces[BROADCAST_PIECES];
	uint64_t count = batch->count - batch->sent, sent;
	int r;

	if (count > BROADCAST_PIECES)
		count = BROADCAST_PIECES;
	for (uint64_t i = 0; i < count; i++) {
		pieces[i].data = batch->messages[batch->sent + i].data;
		pieces[i].size = batch->messages[batch->sent + i].size;
	}
	r = shmp_broadcast_push_pieces(writer, pieces, count, &sent);
	if (r == SHMP_DONE)
		batch->sent += sent;
	else if (r == SHMP_FULL && batch->send.waits)
		shmp_broadcast_queue(writer, shmp_broadcast_need(pieces[0].size));
	return r;
}

enum shmc_result shmc_broadcast_push_batch(struct shmc_broadcast *broadcast,
					   const struct shmc_bytes *messages, uint64_t count,
					   int64_t timeout_ns, uint64_t *ret_count)
{
	struct broadcast_batch batch = { .send.broadcast = broadcast,
					 .messages = messages,
					 .count = count };
	enum shmc_result result = broadcast_may_send(broadcast);
	int r;

	if (result != SHMC_OK || count == 0)
		return result != SHMC_OK ? result : SHMC_INVALID;
	r = broadcast_send(&batch.send, timeout_ns, broadcast_move_batch);
	if (r != SHMP_DONE)
		return shmc__move_answer(&broadcast->object, r);
	batch.send.waits = false;
	while (batch.sent < count && broadcast_move_batch(&batch) == SHMP_DONE)
		;
	*ret_count = batch.sent;
	return broadcast_sent(broadcast);
}

/* Memory of its own for one writer of many. */
static enum shmc_result broadcast_stage(struct shmc_broadcast *broadcast, uint64_t size,
					uint8_t **ret_room)
{
	uint64_t max = broadcast->writer.ring.message_max;

	if (size > max)
		return SHMC_TOO_BIG;
	if (!broadcast->staged)
		broadcast->staged = malloc(max);
	*ret_room = broadcast->staged;
	return broadcast->staged ? SHMC_OK : SHMC_NO_SPACE;
}

enum shmc_result shmc_broadcast_reserve(struct shmc_broadcast *broadcast, uint64_t size,
					int64_t timeout_ns, void **ret_data)
{
	struct broadcast_send send = { .broadcast = broadcast, .size = size };
	enum shmc_result result = broadcast_may_send(broadcast);
	int r;

	if (result != SHMC_OK)
		return result;
	if (broadcast->writer.ring.is_exclusive) {
		r = broadcast_send(&send, timeout_ns, broadcast_move_reserve);
		if (r != SHMP_DONE)
			return shmc__move_answer(&broadcast->object, r);
	} else {
		result = broadcast_stage(broadcast, size, &send.room);
		if (result != SHMC_OK)
			return result;
	}
	broadcast->reserved_bytes = size;
	broadcast->is_reserved = true;
	broadcast_set_gates(broadcast);
	*ret_data = send.room;
	return SHMC_OK;
}

enum shmc_result shmc_broadcast_commit(struct shmc_broadcast *broadcast, uint64_t size,
				       int64_t timeout_ns)
{
	struct broadcast_send send = { .broadcast = broadcast,
				       .data = broadcast->staged,
				       .size = size };
	int r;

	if (!shmc__gate_is_open(broadcast->commit_gate) || size > broadcast->reserved_bytes)
		return shmc__move_refuse(&broadcast->object);
	if (broadcast->writer.ring.is_exclusive) {
		shmp_broadcast_commit(&broadcast->writer, size);
	} else {
		r = broadcast_send(&send, timeout_ns, broadcast_move_push);
		if (r != SHMP_DONE)
			return shmc__move_answer(&broadcast->object, r);
	}
	broadcast->is_reserved = false;
	broadcast_set_gates(broadcast);
	return broadcast_sent(broadcast);
}

enum shmc_result shmc_broadcast_abort(struct shmc_broadcast *broadcast)
{
	if (!shmc__gate_is_open(broadcast->commit_gate))
		return shmc__move_refuse(&broadcast->object);
	if (broadcast->writer.ring.is_exclusive)
		shmp_broadcast_abort(&broadcast->writer);
	broadcast->is_reserved = false;
	broadcast_set_gates(broadcast);
	return SHMC_OK;
}

/* Receiving. */

static SHMP_COLD void broadcast_tell_writers(struct shmc_broadcast *broadcast)
{
	struct shmp_broadcast_reader *reader = &broadcast->reader;

	shmp_broadcast_tell_writers(&reader->ring, &reader->telling_writers, reader->ringing,
				    shmc__bell_ring, &broadcast->object);
}

/* After a look that may have moved the cursor, also over padding only. */
static inline void broadcast_moved(struct shmc_broadcast *broadcast)
{
	struct shmp_broadcast_reader *reader = &broadcast->reader;

	if (!reader->ring.blocks || !reader->has_moved)
		return;
	reader->has_moved = false;
	if (SHMP_UNLIKELY(shmp_broadcast_writers_wait(&reader->ring)))
		broadcast_tell_writers(broadcast);
}

/* Arguments of a receiving move, for waiting. */
struct broadcast_receive {
	struct shmc_broadcast *broadcast;
	void *buffer;
	uint64_t buffer_bytes;
	struct shmc_broadcast_message *message;
};

static inline void broadcast_give(const struct shmp_broadcast_message *message,
				  struct shmc_broadcast_message *ret_message)
{
	ret_message->data = message->data;
	ret_message->size = message->size;
	ret_message->flags = message->flags & SHMP_BROADCAST_LOST ? SHMC_LOST : 0;
	ret_message->writer = message->writer;
	ret_message->sequence = message->sequence;
	ret_message->lost = message->lost;
	ret_message->position = message->position;
}

static int broadcast_gives(struct broadcast_receive *receive, int r,
			   const struct shmp_broadcast_message *message)
{
	if (SHMP_LIKELY(r == SHMP_DONE))
		broadcast_give(message, receive->message);
	else if (r == SHMP_TOO_BIG)
		receive->message->size = message->size;
	/* before this one sleeps, those whom it may have let go on */
	broadcast_moved(receive->broadcast);
	return r;
}

static int broadcast_move_pop(void *context)
{
	struct broadcast_receive *receive = context;
	struct shmp_broadcast_message message = { .size = 0 };
	int r = shmp_broadcast_pop(&receive->broadcast->reader, receive->buffer,
				   receive->buffer_bytes, &message);

	return broadcast_gives(receive, r, &message);
}

static int broadcast_move_peek(void *context)
{
	struct broadcast_receive *receive = context;
	struct shmp_broadcast_message message = { .size = 0 };
	int r = shmp_broadcast_peek(&receive->broadcast->reader, &message);

	return broadcast_gives(receive, r, &message);
}

/* With a doorbell, or with nothing there at the first look. DONE, or a result's outcome. */
static SHMP_COLD int broadcast_receive(struct broadcast_receive *receive, int64_t timeout_ns,
				       shmc__move_fn move)
{
	struct shmc_broadcast *broadcast = receive->broadcast;
	int r = shmc__move_receive(&broadcast->object, &broadcast->reader.ring.control->not_empty,
				   timeout_ns, move, receive);

	broadcast_set_gates(broadcast);
	return r;
}

/* Whether a reader's call may go the long way; its gate is closed, or nothing was there. */
static enum shmc_result broadcast_may_receive(const struct shmc_broadcast *broadcast)
{
	if (shmc__object_is_forked(&broadcast->object))
		return SHMC_FORKED;
	return broadcast->role == SHMC_BROADCAST_READER && !broadcast->reader.is_showing ?
		       SHMC_OK :
		       SHMC_INVALID;
}

static SHMP_COLD enum shmc_result broadcast_pop_again(struct shmc_broadcast *broadcast,
						      void *buffer, uint64_t buffer_bytes,
						      int64_t timeout_ns,
						      struct shmc_broadcast_message *ret_message)
{
	struct broadcast_receive receive = { broadcast, buffer, buffer_bytes, ret_message };
	enum shmc_result result = broadcast_may_receive(broadcast);
	int r;

	if (result != SHMC_OK)
		return result;
	r = broadcast_receive(&receive, timeout_ns, broadcast_move_pop);
	return r == SHMP_DONE ? SHMC_OK : shmc__move_answer(&broadcast->object, r);
}

/* The first look, when nothing stands against it. */
static inline bool broadcast_pop_at_once(struct shmc_broadcast *broadcast, void *buffer,
					 uint64_t buffer_bytes,
					 struct shmc_broadcast_message *ret_message)
{
	struct shmp_broadcast_message message;

	if (!shmc__gate_is_open(broadcast->pop_gate))
		return false;
	if (SHMP_UNLIKELY(shmp_broadcast_pop_quick(&broadcast->reader, buffer, buffer_bytes,
						   &message) != SHMP_DONE))
		return false;
	broadcast_give(&message, ret_message);
	broadcast_moved(broadcast);
	return true;
}

SHMC__HOT enum shmc_result shmc_broadcast_pop(struct shmc_broadcast *broadcast, void *buffer,
					      uint64_t buffer_bytes, int64_t timeout_ns,
					      struct shmc_broadcast_message *ret_message)
{
	if (broadcast_pop_at_once(broadcast, buffer, buffer_bytes, ret_message))
		return SHMC_OK;
	return broadcast_pop_again(broadcast, buffer, buffer_bytes, timeout_ns, ret_message);
}

SHMC__HOT enum shmc_result shmc_broadcast_try_pop(struct shmc_broadcast *broadcast, void *buffer,
						  uint64_t buffer_bytes,
						  struct shmc_broadcast_message *ret_message)
{
	if (broadcast_pop_at_once(broadcast, buffer, buffer_bytes, ret_message))
		return SHMC_OK;
	return broadcast_pop_again(broadcast, buffer, buffer_bytes, SHMC_TRY, ret_message);
}

enum shmc_result shmc_broadcast_pop_batch(struct shmc_broadcast *broadcast, void *buffer,
					  uint64_t buffer_bytes,
					  struct shmc_broadcast_message *messages, uint64_t max,
					  int64_t timeout_ns, uint64_t *ret_count)
{
	struct broadcast_receive receive = { broadcast, buffer, buffer_bytes, messages };
	enum shmc_result result = broadcast_may_receive(broadcast);
	uint64_t count, step;
	int r;

	if (result != SHMC_OK || max == 0)
		return result != SHMC_OK ? result : SHMC_INVALID;
	r = broadcast_receive(&receive, timeout_ns, broadcast_move_pop);
	if (r != SHMP_DONE)
		return shmc__move_answer(&broadcast->object, r);
	for (count = 1; count < max; count++) {
		struct shmc_broadcast_message next;

		step = shmc__move_step(messages[count - 1].size, receive.buffer_bytes);
		receive.buffer = step ? (uint8_t *)receive.buffer + step : receive.buffer;
		receive.buffer_bytes -= step;
		receive.message = &next;
		if (broadcast_move_pop(&receive) != SHMP_DONE)
			break;
		messages[count] = next;
	}
	*ret_count = count;
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_broadcast_peek(struct shmc_broadcast *broadcast, int64_t timeout_ns,
					       struct shmc_broadcast_message *ret_message)
{
	struct broadcast_receive receive = { .broadcast = broadcast, .message = ret_message };
	enum shmc_result result = broadcast_may_receive(broadcast);
	int r = SHMP_EMPTY;

	if (SHMP_UNLIKELY(result != SHMC_OK))
		return result;
	if (shmc__gate_is_open(broadcast->pop_gate))
		r = broadcast_move_peek(&receive);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		r = broadcast_receive(&receive, timeout_ns, broadcast_move_peek);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return shmc__move_answer(&broadcast->object, r);
	broadcast_set_gates(broadcast);
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_broadcast_release(struct shmc_broadcast *broadcast)
{
	struct shmp_broadcast_message message;
	int r;

	if (!shmc__gate_is_open(broadcast->release_gate))
		return shmc__move_refuse(&broadcast->object);
	r = shmp_broadcast_release(&broadcast->reader, &message);
	broadcast_set_gates(broadcast);
	broadcast_moved(broadcast);
	return r == SHMP_DONE ? SHMC_OK : SHMC_LAPPED;
}

enum shmc_result shmc_broadcast_lost(struct shmc_broadcast *broadcast, uint64_t *ret_lost,
				     uint32_t count)
{
	uint64_t lost[SHMP_ENDPOINTS_MAX];
	int r;

	if (shmc__object_is_forked(&broadcast->object))
		return SHMC_FORKED;
	if (broadcast->role != SHMC_BROADCAST_READER || count > broadcast->reader.ring.writers)
		return SHMC_INVALID;
	r = shmp_broadcast_count_lost(&broadcast->reader, lost);
	for (uint32_t i = 0; i < count; i++)
		ret_lost[i] = lost[i];
	return shmc__move_result(r);
}

/* Waiting otherwise. */

enum shmc_result shmc_broadcast_fd(struct shmc_broadcast *broadcast, int *ret_fd,
				   struct shmc_error *error)
{
	enum shmc_result result;

	if (shmc__object_is_forked(&broadcast->object))
		return shmc__error(error, SHMC_FORKED, "this broadcast is the parent process's");
	if (broadcast->role == SHMC_BROADCAST_OBSERVER)
		return shmc__error(error, SHMC_INVALID, "an observer has no descriptor");
	result = shmc__bell_open(&broadcast->object, error);
	if (result == SHMC_OK)
		*ret_fd = broadcast->object.bell.poll.fd;
	return result;
}
