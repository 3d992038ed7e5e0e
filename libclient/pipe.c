/*
 * Handles of pipes. The moves are protocol/pipe.h's, and so spsc's; what is added here is as in
 * spsc.c: gates, waiting, telling the other side. One handle both sends and receives, so what
 * concerns one direction leaves the gates of the other alone.
 */
#include "shmclient/pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/bell.h"
#include "libclient/error.h"
#include "libclient/message.h"
#include "libclient/move.h"
#include "libclient/object.h"
#include "libclient/wait.h"
#include "protocol/hash.h"
#include "protocol/pipe.h"

struct shmc_pipe {
	const uint32_t *send_gate; /* send, reserve */
	const uint32_t *receive_gate;
	uint64_t least; /* bytes of what may be sent */
	struct shmp_pipe moves;
	const uint32_t *commit_gate;
	const uint32_t *peek_gate;
	uint8_t *reserved;	 /* NULL: no reservation */
	uint64_t reserved_bytes; /* of it */
	enum shmc_pipe_role role;
	struct shmc__object object;
};

/* After anything that a gate depends on. */
static void pipe_set_gates(struct shmc_pipe *pipe)
{
	const uint32_t *alive = pipe->object.alive;
	bool moves = pipe->role != SHMC_PIPE_OBSERVER;
	bool receives = moves && !pipe->object.bell.is_armed;

	pipe->send_gate = moves && !pipe->reserved ? alive : &shmc__gate_closed;
	pipe->commit_gate = moves && pipe->reserved ? alive : &shmc__gate_closed;
	pipe->peek_gate = receives ? alive : &shmc__gate_closed;
	pipe->receive_gate = receives && pipe->moves.in.shown_items == 0 ? alive :
									   &shmc__gate_closed;
}

/* Telling the other side. */

static SHMP_COLD enum shmc_result pipe_tell_reader(struct shmc_pipe *pipe)
{
	shmp_pipe_tell_reader(&pipe->moves, shmc__bell_ring, &pipe->object);
	return SHMC_OK;
}

/* After a publication. */
static inline enum shmc_result pipe_sent(struct shmc_pipe *pipe)
{
	if (SHMP_UNLIKELY(shmp_pipe_reader_waits(&pipe->moves)))
		return pipe_tell_reader(pipe);
	return SHMC_OK;
}

static SHMP_COLD enum shmc_result pipe_tell_sender(struct shmc_pipe *pipe)
{
	shmp_pipe_tell_sender(&pipe->moves, shmc__bell_ring, &pipe->object);
	return SHMC_OK;
}

/* After room was given back, be it what was stale. */
static inline enum shmc_result pipe_taken(struct shmc_pipe *pipe)
{
	if (SHMP_UNLIKELY(shmp_pipe_sender_waits(&pipe->moves)))
		return pipe_tell_sender(pipe);
	return SHMC_OK;
}

/* Types. */

uint64_t shmc_pipe_type_number(const struct shmc_pipe_type *type)
{
	uint64_t hash;

	if (!type || !type->name)
		return 0;
	hash = shmp_hash_bytes(SHMP_HASH_BEGIN, type->name, strlen(type->name) + 1);
	hash = shmp_hash_word(hash, type->bytes);
	for (uint32_t i = 0; type->fields && i < type->field_count; i++) {
		const struct shmc_pipe_field *field = &type->fields[i];
		const char *name = field->name ? field->name : "";

		hash = shmp_hash_bytes(hash, name, strlen(name) + 1);
		hash = shmp_hash_word(hash, (uint64_t)field->type);
		hash = shmp_hash_word(hash, field->offset);
		hash = shmp_hash_word(hash, field->bytes);
	}
	return shmp_hash_end(hash);
}

static enum shmc_result pipe_check_type(const char *side, const struct shmc_pipe_type *type,
					struct shmc_error *error)
{
	if (!type)
		return SHMC_OK;
	if (!type->name || *type->name == '\0')
		return shmc__error(error, SHMC_INVALID, "types.%s: it has no name", side);
	if (type->reserved != 0)
		return shmc__error(error, SHMC_INVALID, "types.%s.reserved: must be 0", side);
	for (uint32_t i = 0; type->fields && i < type->field_count; i++) {
		const struct shmc_pipe_field *field = &type->fields[i];

		if (type->bytes != 0 &&
		    (field->offset > type->bytes || field->bytes > type->bytes - field->offset))
			return shmc__error(error, SHMC_INVALID,
					   "types.%s: field %u (\"%.47s\") ends behind the type's "
					   "%llu bytes",
					   side, i, field->name ? field->name : "",
					   (unsigned long long)type->bytes);
	}
	return SHMC_OK;
}

/* As options: what is not named is 0. */
static enum shmc_result pipe_add_types(const struct shmc_pipe_types *types, uint64_t *option,
				       struct shmc_error *error)
{
	enum shmc_result result = pipe_check_type("host", types->host, error);

	if (result == SHMC_OK)
		result = pipe_check_type("client", types->client, error);
	if (result != SHMC_OK)
		return result;
	option[SHMP_PIPE_HOST_BYTES] = types->host ? types->host->bytes : 0;
	option[SHMP_PIPE_HOST_TYPE] = shmc_pipe_type_number(types->host);
	option[SHMP_PIPE_CLIENT_BYTES] = types->client ? types->client->bytes : 0;
	option[SHMP_PIPE_CLIENT_TYPE] = shmc_pipe_type_number(types->client);
	return SHMC_OK;
}

/* Opening and closing. */

enum shmc_result shmc_pipe_create(struct shmc_client *client, const char *name,
				  const struct shmc_pipe_options *options, struct shmc_error *error)
{
	static const struct shmc_pipe_options none;
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };
	enum shmc_result result;

	if (!options)
		options = &none;
	option[SHMP_PIPE_CAPACITY_BYTES] = options->capacity_bytes;
	option[SHMP_PIPE_MESSAGE_BYTES_MAX] = options->message_bytes_max;
	result = pipe_add_types(&options->types, option, error);
	if (result != SHMC_OK)
		return result;
	return shmc__object_create_as(client, name, &shmp_pipe_kind, option, options->mode,
				      options->reuse != 0, options->common, error);
}

static enum shmc_result pipe_attach(struct shmc_pipe *pipe, const char *name,
				    struct shmc_error *error)
{
	const struct shmp_segment *segment = &pipe->object.mapping->segment;
	uint32_t role = pipe->role == SHMC_PIPE_HOST ? SHMP_PIPE_HOST : SHMP_PIPE_CLIENT;

	if (pipe->role == SHMC_PIPE_OBSERVER)
		return SHMC_OK;
	pipe->least = segment->plan.option[role == SHMP_PIPE_HOST ? SHMP_PIPE_HOST_BYTES :
								    SHMP_PIPE_CLIENT_BYTES];
	if (shmp_pipe_attach(segment, role, &pipe->moves) == 0)
		return SHMC_OK;
	shmc__object_close(&pipe->object);
	return shmc__error(error, SHMC_CORRUPT,
			   "%s: a ring holds bytes that no host or client wrote", name);
}

enum shmc_result shmc_pipe_open(struct shmc_client *client, const char *name,
				enum shmc_pipe_role role, const struct shmc_pipe_types *types,
				struct shmc_pipe **ret_pipe, struct shmc_error *error)
{
	static const char *const names[] = {
		[SHMC_PIPE_HOST] = "host",
		[SHMC_PIPE_CLIENT] = "client",
		[SHMC_PIPE_OBSERVER] = "observer",
	};
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };
	enum shmc_result result;
	struct shmc_pipe *pipe;

	if (role != SHMC_PIPE_HOST && role != SHMC_PIPE_CLIENT && role != SHMC_PIPE_OBSERVER)
		return shmc__error(error, SHMC_INVALID,
				   "role: neither host nor client nor observer");
	result = types ? pipe_add_types(types, option, error) : SHMC_OK;
	if (result != SHMC_OK)
		return result;
	pipe = calloc(1, sizeof(*pipe));
	if (!pipe)
		return shmc__error_from_errno(error, "open the pipe", ENOMEM);
	pipe->role = role;
	result = shmc__object_open_expecting(&pipe->object, client, name, &shmp_pipe_kind,
					     names[role], types ? option : NULL, error);
	if (result == SHMC_OK)
		result = pipe_attach(pipe, name, error);
	if (result != SHMC_OK) {
		free(pipe);
		return result;
	}
	pipe_set_gates(pipe);
	/* what was stale is dropped by now */
	if (role != SHMC_PIPE_OBSERVER)
		pipe_taken(pipe);
	*ret_pipe = pipe;
	return SHMC_OK;
}

struct shmc_pipe *shmc_pipe_close(struct shmc_pipe *pipe)
{
	if (pipe) {
		shmc__object_close(&pipe->object);
		free(pipe);
	}
	return NULL;
}

/* Sending. */

static struct shmp_waiter *pipe_reader_waiter(struct shmc_pipe *pipe)
{
	return pipe->moves.in.not_empty;
}

/* Nobody sleeps with a doorbell armed: who is to be told is told one way. */
static SHMP_COLD int pipe_wait_room(struct shmc_pipe *pipe, int r, int64_t timeout_ns,
				    shmc__move_fn move, struct shmc__sending *send)
{
	if (r == SHMP_FULL && timeout_ns != 0 && pipe->object.bell.is_armed) {
		shmc__bell_disarm(&pipe->object, pipe_reader_waiter(pipe));
		pipe_set_gates(pipe);
	}
	return shmc__move_wait_room(&pipe->object, pipe->moves.out.not_full, r, timeout_ns, move,
				    send);
}

static int pipe_move_push(void *context)
{
	struct shmc__sending *send = context;

	return shmp_pipe_push(send->moves, send->data, send->size);
}

/* Long messages, and whatever is not done at the first look. */
static SHMC__HOT __attribute__((noinline)) enum shmc_result pipe_send_long(struct shmc_pipe *pipe,
									   const void *data,
									   uint64_t size,
									   int64_t timeout_ns)
{
	struct shmc__sending send = { .moves = &pipe->moves, .data = data, .size = size };
	int r;

	if (!shmc__gate_is_open(pipe->send_gate))
		return shmc__move_refuse(&pipe->object);
	if (SHMP_UNLIKELY(size < pipe->least))
		return SHMC_MISMATCH;
	r = pipe_move_push(&send);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		r = pipe_wait_room(pipe, r, timeout_ns, pipe_move_push, &send);
	return SHMP_LIKELY(r == SHMP_DONE) ? pipe_sent(pipe) : shmc__move_answer(&pipe->object, r);
}

/* Short messages, with room for all we know: a straight line without a call. */
static inline bool pipe_send_short(struct shmc_pipe *pipe, const void *data, uint64_t size)
{
	return shmc__gate_is_open(pipe->send_gate) && SHMP_LIKELY(size >= pipe->least) &&
	       SHMP_LIKELY(shmp_pipe_push_quick(&pipe->moves, data, size) == SHMP_DONE);
}

SHMC__HOT enum shmc_result shmc_pipe_send(struct shmc_pipe *pipe, const void *data, uint64_t size,
					  int64_t timeout_ns)
{
	if (pipe_send_short(pipe, data, size))
		return pipe_sent(pipe);
	return pipe_send_long(pipe, data, size, timeout_ns);
}

SHMC__HOT enum shmc_result shmc_pipe_try_send(struct shmc_pipe *pipe, const void *data,
					      uint64_t size)
{
	if (pipe_send_short(pipe, data, size))
		return pipe_sent(pipe);
	return pipe_send_long(pipe, data, size, SHMC_TRY);
}

static int pipe_move_batch_add(void *context)
{
	struct shmc__sending *send = context;

	return shmp_pipe_batch_add(send->moves, send->data, send->size);
}

enum shmc_result shmc_pipe_send_batch(struct shmc_pipe *pipe, const struct shmc_bytes *messages,
				      uint64_t count, int64_t timeout_ns, uint64_t *ret_count)
{
	struct shmc__sending send = { .moves = &pipe->moves };
	uint64_t sent;
	int r;

	if (!shmc__gate_is_open(pipe->send_gate) || count == 0)
		return shmc__move_refuse(&pipe->object);
	if (messages[0].size < pipe->least)
		return SHMC_MISMATCH;
	send.data = messages[0].data;
	send.size = messages[0].size;
	r = pipe_wait_room(pipe, pipe_move_batch_add(&send), timeout_ns, pipe_move_batch_add,
			   &send);
	if (r != SHMP_DONE)
		return shmc__move_answer(&pipe->object, r);
	for (sent = 1; sent < count && messages[sent].size >= pipe->least; sent++) {
		send.data = messages[sent].data;
		send.size = messages[sent].size;
		if (pipe_move_batch_add(&send) != SHMP_DONE)
			break;
	}
	shmp_spsc_batch_publish(&pipe->moves.out);
	*ret_count = sent;
	return pipe_sent(pipe);
}

static int pipe_move_reserve(void *context)
{
	struct shmc__sending *send = context;

	return shmp_pipe_reserve(send->moves, send->size, &send->room);
}

SHMC__HOT enum shmc_result shmc_pipe_reserve(struct shmc_pipe *pipe, uint64_t size,
					     int64_t timeout_ns, void **ret_data)
{
	struct shmc__sending send = { .moves = &pipe->moves, .size = size };
	int r;

	if (!shmc__gate_is_open(pipe->send_gate))
		return shmc__move_refuse(&pipe->object);
	if (SHMP_UNLIKELY(size < pipe->least))
		return SHMC_MISMATCH;
	r = pipe_move_reserve(&send);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		r = pipe_wait_room(pipe, r, timeout_ns, pipe_move_reserve, &send);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return shmc__move_answer(&pipe->object, r);
	pipe->reserved = send.room;
	pipe->reserved_bytes = size;
	pipe->send_gate = &shmc__gate_closed;
	pipe->commit_gate = pipe->object.alive;
	*ret_data = send.room;
	return SHMC_OK;
}

static void pipe_drop_reservation(struct shmc_pipe *pipe)
{
	pipe->reserved = NULL;
	pipe->send_gate = pipe->object.alive;
	pipe->commit_gate = &shmc__gate_closed;
}

SHMC__HOT enum shmc_result shmc_pipe_commit(struct shmc_pipe *pipe, uint64_t size)
{
	if (!shmc__gate_is_open(pipe->commit_gate) || size > pipe->reserved_bytes)
		return shmc__move_refuse(&pipe->object);
	if (SHMP_UNLIKELY(size < pipe->least))
		return SHMC_MISMATCH;
	shmp_spsc_commit(&pipe->moves.out, size);
	pipe_drop_reservation(pipe);
	return pipe_sent(pipe);
}

enum shmc_result shmc_pipe_abort(struct shmc_pipe *pipe)
{
	if (!shmc__gate_is_open(pipe->commit_gate))
		return shmc__move_refuse(&pipe->object);
	pipe_drop_reservation(pipe);
	return SHMC_OK;
}

/* Receiving. */

static inline void pipe_look_closely(const struct shmc_pipe *pipe, int64_t timeout_ns)
{
	if (timeout_ns != 0 && pipe->object.client->spin_ns != 0)
		shmc__message_look_closely(&pipe->moves.in);
}

static SHMP_COLD int pipe_receive(struct shmc_pipe *pipe, int64_t timeout_ns, shmc__move_fn move,
				  struct shmc__receiving *receive)
{
	int r = shmc__move_receive(&pipe->object, pipe_reader_waiter(pipe), timeout_ns, move,
				   receive);

	if (shmc__bell_is_open(&pipe->object.bell))
		pipe_set_gates(pipe);
	/* what was stale has left room, whatever came of it */
	pipe_taken(pipe);
	return r;
}

static int pipe_move_pop(void *context)
{
	struct shmc__receiving *receive = context;
	struct shmp_spsc_message message = { .size = 0 };
	int r = shmp_pipe_pop(receive->moves, receive->buffer, receive->buffer_bytes, &message);

	return shmc__message_popped(receive, r, &message);
}

/* A short message that is there: a straight line without a call. */
static inline bool pipe_receive_short(struct shmc_pipe *pipe, void *buffer, uint64_t buffer_bytes,
				      struct shmc_message *ret_message)
{
	struct shmp_spsc_message message;

	if (!shmc__gate_is_open(pipe->receive_gate))
		return false;
	if (SHMP_UNLIKELY(shmp_spsc_pop_quick(&pipe->moves.in, buffer, buffer_bytes, &message) !=
			  SHMP_DONE))
		return false;
	shmc__message_give(&message, ret_message);
	return true;
}

static SHMC__HOT __attribute__((noinline)) enum shmc_result pipe_receive_long(
	struct shmc_pipe *pipe, void *buffer, uint64_t buffer_bytes, int64_t timeout_ns,
	struct shmc_message *ret_message)
{
	struct shmc__receiving receive = {
		.moves = &pipe->moves,
		.buffer = buffer,
		.buffer_bytes = buffer_bytes,
		.messages = ret_message,
	};
	int r;

	if (shmc__object_is_forked(&pipe->object))
		return SHMC_FORKED;
	if (pipe->role == SHMC_PIPE_OBSERVER || pipe->moves.in.shown_items != 0)
		return SHMC_INVALID;
	pipe_look_closely(pipe, timeout_ns);
	/* again: an answer comes while it is looked for, and goes on being waited for */
	if (pipe_receive_short(pipe, buffer, buffer_bytes, ret_message))
		return pipe_taken(pipe);
	r = pipe_receive(pipe, timeout_ns, pipe_move_pop, &receive);
	return r == SHMP_DONE ? SHMC_OK : shmc__move_answer(&pipe->object, r);
}

SHMC__HOT enum shmc_result shmc_pipe_receive(struct shmc_pipe *pipe, void *buffer,
					     uint64_t buffer_bytes, int64_t timeout_ns,
					     struct shmc_message *ret_message)
{
	if (pipe_receive_short(pipe, buffer, buffer_bytes, ret_message))
		return pipe_taken(pipe);
	return pipe_receive_long(pipe, buffer, buffer_bytes, timeout_ns, ret_message);
}

SHMC__HOT enum shmc_result shmc_pipe_try_receive(struct shmc_pipe *pipe, void *buffer,
						 uint64_t buffer_bytes,
						 struct shmc_message *ret_message)
{
	if (pipe_receive_short(pipe, buffer, buffer_bytes, ret_message))
		return pipe_taken(pipe);
	return pipe_receive_long(pipe, buffer, buffer_bytes, SHMC_TRY, ret_message);
}

/* Both. */

/* What is left of a call's time after waiting for room since @since_ns; never a mere try. */
static int64_t pipe_time_left(int64_t timeout_ns, uint64_t since_ns)
{
	uint64_t gone_ns = shmp_clock_ns() - since_ns;

	return gone_ns < (uint64_t)timeout_ns ? timeout_ns - (int64_t)gone_ns : 1;
}

static SHMP_COLD enum shmc_result pipe_call_long(struct shmc_pipe *pipe, const void *request,
						 uint64_t size, int64_t timeout_ns,
						 int64_t *ret_left_ns)
{
	uint64_t since_ns = timeout_ns > 0 ? shmp_clock_ns() : 0;
	enum shmc_result result = pipe_send_long(pipe, request, size, timeout_ns);

	if (timeout_ns > 0)
		*ret_left_ns = pipe_time_left(timeout_ns, since_ns);
	return result == SHMC_TIMEOUT ? SHMC_FULL : result;
}

SHMC__HOT enum shmc_result shmc_pipe_call(struct shmc_pipe *pipe, const void *request,
					  uint64_t size, void *buffer, uint64_t buffer_bytes,
					  int64_t timeout_ns, struct shmc_message *ret_message)
{
	int64_t left_ns = timeout_ns;
	enum shmc_result result;

	ret_message->size = 0;
	if (SHMP_UNLIKELY(pipe->moves.in.shown_items != 0))
		return shmc__move_refuse(&pipe->object);
	if (pipe_send_short(pipe, request, size))
		result = pipe_sent(pipe);
	else
		result = pipe_call_long(pipe, request, size, timeout_ns, &left_ns);
	if (SHMP_UNLIKELY(result != SHMC_OK))
		return result;
	return shmc_pipe_receive(pipe, buffer, buffer_bytes, left_ns, ret_message);
}

/* Receiving in place. */

static int pipe_move_peek(void *context)
{
	struct shmc__receiving *receive = context;

	return shmc__message_shown(receive,
				   shmp_pipe_peek(receive->moves, (void *)receive->messages,
						  receive->max, &receive->count));
}

SHMC__HOT enum shmc_result shmc_pipe_peek_batch(struct shmc_pipe *pipe,
						struct shmc_message *messages, uint64_t max,
						int64_t timeout_ns, uint64_t *ret_count)
{
	struct shmc__receiving receive = { .moves = &pipe->moves,
					   .messages = messages,
					   .max = max };
	int r = SHMP_EMPTY;

	if (SHMP_UNLIKELY(shmc__object_is_forked(&pipe->object)))
		return SHMC_FORKED;
	if (SHMP_UNLIKELY(pipe->role == SHMC_PIPE_OBSERVER || max == 0))
		return SHMC_INVALID;
	if (shmc__gate_is_open(pipe->peek_gate))
		r = pipe_move_peek(&receive);
	if (SHMP_UNLIKELY(r != SHMP_DONE)) {
		pipe_look_closely(pipe, timeout_ns);
		r = pipe_receive(pipe, timeout_ns, pipe_move_peek, &receive);
	}
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return shmc__move_answer(&pipe->object, r);
	pipe->receive_gate = &shmc__gate_closed;
	*ret_count = receive.count;
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_pipe_peek(struct shmc_pipe *pipe, int64_t timeout_ns,
					  struct shmc_message *ret_message)
{
	uint64_t count;

	return shmc_pipe_peek_batch(pipe, ret_message, 1, timeout_ns, &count);
}

SHMC__HOT enum shmc_result shmc_pipe_release(struct shmc_pipe *pipe, uint64_t count)
{
	int r;

	if (SHMP_UNLIKELY(shmc__object_is_forked(&pipe->object)))
		return SHMC_FORKED;
	if (SHMP_UNLIKELY(pipe->role == SHMC_PIPE_OBSERVER))
		return SHMC_INVALID;
	r = shmp_spsc_release(&pipe->moves.in, count);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return shmc__move_result(r);
	if (pipe->moves.in.shown_items == 0)
		pipe_set_gates(pipe);
	return pipe_taken(pipe);
}

/* Waiting otherwise, and looking. */

enum shmc_result shmc_pipe_fd(struct shmc_pipe *pipe, int *ret_fd, struct shmc_error *error)
{
	enum shmc_result result;

	if (shmc__object_is_forked(&pipe->object))
		return shmc__error(error, SHMC_FORKED, "this pipe is the parent process's");
	if (pipe->role == SHMC_PIPE_OBSERVER)
		return shmc__error(error, SHMC_INVALID, "an observer has no descriptor");
	result = shmc__bell_open(&pipe->object, error);
	if (result == SHMC_OK)
		*ret_fd = pipe->object.bell.poll.fd;
	return result;
}

enum shmc_peer shmc_pipe_peer(const struct shmc_pipe *pipe)
{
	if (shmc__object_is_forked(&pipe->object) || pipe->role == SHMC_PIPE_OBSERVER)
		return SHMC_PEER_NONE;
	return shmc__object_peer(&pipe->object, 1 - pipe->moves.role);
}

static int pipe_move_meet(void *context)
{
	struct shmc_pipe *pipe = context;

	return shmp_pipe_meet(&pipe->moves);
}

enum shmc_result shmc_pipe_wait_peer(struct shmc_pipe *pipe, int64_t timeout_ns)
{
	int r;

	if (shmc__object_is_forked(&pipe->object))
		return SHMC_FORKED;
	if (pipe->role == SHMC_PIPE_OBSERVER || pipe->reserved || pipe->moves.in.shown_items != 0)
		return SHMC_INVALID;
	r = shmp_pipe_meet(&pipe->moves);
	/* what a successor sent before it was met has been rung for, and could not be received */
	if (r == SHMP_DONE || (r == SHMP_EMPTY && timeout_ns != 0)) {
		shmc__bell_disarm(&pipe->object, pipe_reader_waiter(pipe));
		pipe_set_gates(pipe);
	}
	if (r == SHMP_EMPTY && timeout_ns != 0)
		r = shmc__wait(&pipe->object, pipe_reader_waiter(pipe), timeout_ns, pipe_move_meet,
			       pipe);
	pipe_taken(pipe);
	return r == SHMP_EMPTY ? SHMC_TIMEOUT : shmc__move_result(r);
}

enum shmc_result shmc_pipe_look(const struct shmc_pipe *pipe, struct shmc_look *look,
				shmc_item_fn fn, void *context)
{
	return shmc__object_look(&pipe->object, look, fn, context);
}

enum shmc_result shmc_pipe_options_of(const struct shmc_pipe *pipe, struct shmc_pipe_info *ret_info)
{
	const uint64_t *option;

	if (shmc__object_is_forked(&pipe->object))
		return SHMC_FORKED;
	option = pipe->object.mapping->segment.plan.option;
	*ret_info = (struct shmc_pipe_info){
		.capacity_bytes = option[SHMP_PIPE_CAPACITY_BYTES],
		.message_bytes_max = option[SHMP_PIPE_MESSAGE_BYTES_MAX],
		.host_bytes = option[SHMP_PIPE_HOST_BYTES],
		.host_type = option[SHMP_PIPE_HOST_TYPE],
		.client_bytes = option[SHMP_PIPE_CLIENT_BYTES],
		.client_type = option[SHMP_PIPE_CLIENT_TYPE],
	};
	return SHMC_OK;
}

static uint64_t pipe_figure(const _Atomic uint64_t *counter)
{
	/* relaxed: a statistic, right for some moment */
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t pipe_ahead(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static struct shmc_pipe_direction pipe_direction(const struct shmc_pipe *pipe, uint32_t sender)
{
	struct shmp_spsc_ring ring = shmp_pipe_ring(&pipe->object.mapping->segment, sender);
	/* what was taken first: nothing is taken before it is sent */
	uint64_t stale = pipe_figure(&ring.consumer->refused);
	uint64_t taken = pipe_figure(&ring.consumer->items);
	struct shmc_pipe_direction direction = {
		.received = pipe_ahead(taken, stale),
		.received_bytes = pipe_figure(&ring.consumer->bytes),
		.stale = stale,
		.sent = pipe_figure(&ring.producer->items),
		.sent_bytes = pipe_figure(&ring.producer->bytes),
	};

	direction.depth = pipe_ahead(direction.sent, taken);
	return direction;
}

enum shmc_result shmc_pipe_statistics(const struct shmc_pipe *pipe,
				      struct shmc_pipe_statistics *ret_statistics)
{
	const struct shmp_segment *segment;

	if (shmc__object_is_forked(&pipe->object))
		return SHMC_FORKED;
	segment = &pipe->object.mapping->segment;
	*ret_statistics = (struct shmc_pipe_statistics){
		.to_client = pipe_direction(pipe, SHMP_PIPE_HOST),
		.to_host = pipe_direction(pipe, SHMP_PIPE_CLIENT),
		.session = shmp_endpoint_incarnation(&segment->endpoints[SHMP_PIPE_HOST]),
	};
	shmc__object_statistics(&pipe->object, SHMP_PIPE_HOST, &ret_statistics->host);
	shmc__object_statistics(&pipe->object, SHMP_PIPE_CLIENT, &ret_statistics->client);
	return SHMC_OK;
}
