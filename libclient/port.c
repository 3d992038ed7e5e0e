/*
 * Ports: one table of moves for each kind, and what is done with them once for all. They are the
 * public calls of the kinds, so that no kind knows of values.
 */
#include "shmclient/port.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/broadcast.h"
#include "libclient/move.h"
#include "libclient/process.h"
#include "protocol/abi.h"
#include "shmclient/mpmc.h"
#include "shmclient/pipe.h"
#include "shmclient/spsc.h"
#include "shmclient/stream.h"

/* Up to here a value that is not encoded or decoded in place is on the stack. */
#define SMALL_BYTES 2048u

struct shmc_port_kind {
	enum shmc_result (*reserve)(void *handle, uint64_t size, int64_t timeout_ns,
				    void **ret_data);
	enum shmc_result (*commit)(void *handle, uint64_t size, int64_t timeout_ns);
	enum shmc_result (*abort)(void *handle);
	/* shows the next message in port->message */
	enum shmc_result (*peek)(struct shmc_port *port, int64_t timeout_ns);
	enum shmc_result (*release)(struct shmc_port *port);
	bool (*is_whole)(const void *handle); /* NULL: nobody writes over what is in hand */
};

/* A limit that is not known is for the kind to tell. */
static struct shmc_port port_of(const struct shmc_port_kind *kind, void *handle,
				enum shmc_result result, uint64_t message_bytes_max)
{
	struct shmc_port port = { .kind = kind,
				  .handle = handle,
				  .alive = &shmc__gate_closed,
				  .message_bytes_max = result == SHMC_OK ? message_bytes_max :
									   UINT64_MAX };

	/* never fails: there is a handle */
	(void)shmc__process_enter(&port.alive);
	return port;
}

/* spsc. */

static enum shmc_result spsc_reserve(void *handle, uint64_t size, int64_t timeout_ns,
				     void **ret_data)
{
	return shmc_spsc_reserve(handle, size, timeout_ns, ret_data);
}

static enum shmc_result spsc_commit(void *handle, uint64_t size, int64_t timeout_ns)
{
	return shmc_spsc_commit(handle, size);
}

static enum shmc_result spsc_abort(void *handle)
{
	return shmc_spsc_abort(handle);
}

static enum shmc_result spsc_peek(struct shmc_port *port, int64_t timeout_ns)
{
	return shmc_spsc_peek(port->handle, timeout_ns, &port->message);
}

static enum shmc_result spsc_release(struct shmc_port *port)
{
	return shmc_spsc_release(port->handle, 1);
}

struct shmc_port shmc_port_spsc(struct shmc_spsc *queue)
{
	static const struct shmc_port_kind kind = { .reserve = spsc_reserve,
						    .commit = spsc_commit,
						    .abort = spsc_abort,
						    .peek = spsc_peek,
						    .release = spsc_release };
	struct shmc_spsc_options options = { .message_bytes_max = 0 };
	enum shmc_result result = shmc_spsc_options_of(queue, &options);

	return port_of(&kind, queue, result, options.message_bytes_max);
}

/* mpmc. */

static enum shmc_result mpmc_reserve(void *handle, uint64_t size, int64_t timeout_ns,
				     void **ret_data)
{
	return shmc_mpmc_reserve(handle, size, timeout_ns, ret_data);
}

static enum shmc_result mpmc_commit(void *handle, uint64_t size, int64_t timeout_ns)
{
	return shmc_mpmc_commit(handle, size);
}

static enum shmc_result mpmc_abort(void *handle)
{
	return shmc_mpmc_abort(handle);
}

static enum shmc_result mpmc_peek(struct shmc_port *port, int64_t timeout_ns)
{
	return shmc_mpmc_peek(port->handle, timeout_ns, &port->message);
}

static enum shmc_result mpmc_release(struct shmc_port *port)
{
	return shmc_mpmc_release(port->handle);
}

struct shmc_port shmc_port_mpmc(struct shmc_mpmc *queue)
{
	static const struct shmc_port_kind kind = { .reserve = mpmc_reserve,
						    .commit = mpmc_commit,
						    .abort = mpmc_abort,
						    .peek = mpmc_peek,
						    .release = mpmc_release };
	struct shmc_mpmc_options options = { .message_bytes_max = 0 };
	enum shmc_result result = shmc_mpmc_options_of(queue, &options);

	return port_of(&kind, queue, result, options.message_bytes_max);
}

/* pipe. */

static enum shmc_result pipe_reserve(void *handle, uint64_t size, int64_t timeout_ns,
				     void **ret_data)
{
	return shmc_pipe_reserve(handle, size, timeout_ns, ret_data);
}

static enum shmc_result pipe_commit(void *handle, uint64_t size, int64_t timeout_ns)
{
	return shmc_pipe_commit(handle, size);
}

static enum shmc_result pipe_abort(void *handle)
{
	return shmc_pipe_abort(handle);
}

static enum shmc_result pipe_peek(struct shmc_port *port, int64_t timeout_ns)
{
	return shmc_pipe_peek(port->handle, timeout_ns, &port->message);
}

static enum shmc_result pipe_release(struct shmc_port *port)
{
	return shmc_pipe_release(port->handle, 1);
}

struct shmc_port shmc_port_pipe(struct shmc_pipe *pipe)
{
	static const struct shmc_port_kind kind = { .reserve = pipe_reserve,
						    .commit = pipe_commit,
						    .abort = pipe_abort,
						    .peek = pipe_peek,
						    .release = pipe_release };
	struct shmc_pipe_info info = { .message_bytes_max = 0 };
	enum shmc_result result = shmc_pipe_options_of(pipe, &info);

	return port_of(&kind, pipe, result, info.message_bytes_max);
}

/* broadcast. */

static enum shmc_result broadcast_reserve(void *handle, uint64_t size, int64_t timeout_ns,
					  void **ret_data)
{
	return shmc_broadcast_reserve(handle, size, timeout_ns, ret_data);
}

static enum shmc_result broadcast_commit(void *handle, uint64_t size, int64_t timeout_ns)
{
	return shmc_broadcast_commit(handle, size, timeout_ns);
}

static enum shmc_result broadcast_abort(void *handle)
{
	return shmc_broadcast_abort(handle);
}

static enum shmc_result broadcast_peek(struct shmc_port *port, int64_t timeout_ns)
{
	struct shmc_broadcast_message message;
	enum shmc_result result = shmc_broadcast_peek(port->handle, timeout_ns, &message);

	if (result == SHMC_OK)
		port->message = (struct shmc_message){ .data = message.data,
						       .size = message.size,
						       .flags = message.flags };
	return result;
}

static enum shmc_result broadcast_release(struct shmc_port *port)
{
	return shmc_broadcast_release(port->handle);
}

static bool broadcast_is_whole(const void *handle)
{
	const struct shmc_broadcast *broadcast = handle;

	return shmp_broadcast_is_valid(&broadcast->reader);
}

struct shmc_port shmc_port_broadcast(struct shmc_broadcast *broadcast)
{
	static const struct shmc_port_kind kind = { .reserve = broadcast_reserve,
						    .commit = broadcast_commit,
						    .abort = broadcast_abort,
						    .peek = broadcast_peek,
						    .release = broadcast_release,
						    .is_whole = broadcast_is_whole };
	struct shmc_broadcast_options options = { .message_bytes_max = 0 };
	enum shmc_result result = shmc_broadcast_options_of(broadcast, &options);

	return port_of(&kind, broadcast, result, options.message_bytes_max);
}

/* stream. */

static enum shmc_result stream_reserve(void *handle, uint64_t size, int64_t timeout_ns,
				       void **ret_data)
{
	return shmc_stream_reserve(handle, size, timeout_ns, ret_data);
}

static enum shmc_result stream_commit(void *handle, uint64_t size, int64_t timeout_ns)
{
	return shmc_stream_commit(handle, size);
}

static enum shmc_result stream_abort(void *handle)
{
	return shmc_stream_abort(handle);
}

static enum shmc_result stream_peek(struct shmc_port *port, int64_t timeout_ns)
{
	struct shmc_frame frame;
	enum shmc_result result = shmc_stream_borrow(port->handle, timeout_ns, &frame);

	if (result != SHMC_OK)
		return result;
	port->message = (struct shmc_message){ .data = frame.data,
					       .size = frame.size,
					       .flags = frame.flags };
	port->loan = frame.loan;
	port->position = frame.position;
	return SHMC_OK;
}

static enum shmc_result stream_release(struct shmc_port *port)
{
	struct shmc_frame frame = { .loan = port->loan, .position = port->position };

	return shmc_stream_release(port->handle, &frame);
}

struct shmc_port shmc_port_stream(struct shmc_stream *stream)
{
	static const struct shmc_port_kind kind = { .reserve = stream_reserve,
						    .commit = stream_commit,
						    .abort = stream_abort,
						    .peek = stream_peek,
						    .release = stream_release };
	struct shmc_stream_options options = { .capacity_bytes = 0 };
	enum shmc_result result = shmc_stream_options_of(stream, &options);

	return port_of(&kind, stream, result, options.capacity_bytes);
}

/* Sending. */

static enum shmc_result port_reserved(struct shmc_port *port, enum shmc_result result,
				      uint64_t bytes, int64_t timeout_ns)
{
	if (result == SHMC_OK)
		result = port->kind->commit(port->handle, bytes, timeout_ns);
	if (result != SHMC_OK)
		port->kind->abort(port->handle);
	return result;
}

static enum shmc_result port_send_in_place(struct shmc_port *port, const struct shmc_codec *codec,
					   const void *value, uint64_t measured, int64_t timeout_ns)
{
	uint64_t bytes = 0;
	void *room;
	enum shmc_result result = port->kind->reserve(port->handle, measured, timeout_ns, &room);

	if (result != SHMC_OK)
		return result;
	result = codec->encode(codec, value, room, measured, &bytes);
	return port_reserved(port, result, bytes, timeout_ns);
}

static enum shmc_result port_send_bytes(struct shmc_port *port, const void *data, uint64_t bytes,
					int64_t timeout_ns)
{
	void *room;
	enum shmc_result result = port->kind->reserve(port->handle, bytes, timeout_ns, &room);

	if (result != SHMC_OK)
		return result;
	memcpy(room, data, bytes);
	return port_reserved(port, SHMC_OK, bytes, timeout_ns);
}

/* How long it will be is not known: it is encoded into ever more room of our own. */
static SHMP_COLD enum shmc_result port_send_copy(struct shmc_port *port,
						 const struct shmc_codec *codec, const void *value,
						 int64_t timeout_ns)
{
	uint64_t small[SMALL_BYTES / sizeof(uint64_t)];
	uint64_t room_bytes = sizeof(small), bytes = 0;
	enum shmc_result result;
	void *room = small;

	if (room_bytes > port->message_bytes_max)
		room_bytes = port->message_bytes_max;
	while ((result = codec->encode(codec, value, room, room_bytes, &bytes)) == SHMC_TOO_BIG) {
		if (room != small)
			free(room);
		if (room_bytes >= port->message_bytes_max)
			return SHMC_TOO_BIG;
		room_bytes = room_bytes > port->message_bytes_max / 4 ? port->message_bytes_max :
									room_bytes * 4;
		room = malloc(room_bytes);
		if (!room)
			return SHMC_NO_SPACE;
	}
	if (result == SHMC_OK)
		result = port_send_bytes(port, room, bytes, timeout_ns);
	if (room != small)
		free(room);
	return result;
}

enum shmc_result shmc_port_send_value(struct shmc_port *port, const struct shmc_codec *codec,
				      const void *value, int64_t timeout_ns)
{
	enum shmc_result result;
	uint64_t measured;

	if (!codec->encode)
		return SHMC_UNSUPPORTED;
	if (!codec->measure)
		return port_send_copy(port, codec, value, timeout_ns);
	result = codec->measure(codec, value, &measured);
	if (result != SHMC_OK)
		return result;
	if (measured <= port->message_bytes_max)
		return port_send_in_place(port, codec, value, measured, timeout_ns);
	if (codec->flags & SHMC_CODEC_EXACT)
		return SHMC_TOO_BIG;
	/* that was a bound, and what it really takes may still fit */
	return port_send_copy(port, codec, value, timeout_ns);
}

/* Receiving. */

/* Others may write to the message at any time: a codec that cannot bear that gets a copy. */
static enum shmc_result port_decode(const struct shmc_port *port, const struct shmc_codec *codec,
				    void *ret_value)
{
	const struct shmc_message *message = &port->message;
	uint64_t small[SMALL_BYTES / sizeof(uint64_t)];
	enum shmc_result result;
	void *copy = small;

	if (codec->flags & SHMC_CODEC_IN_PLACE)
		return codec->decode(codec, message->data, message->size, ret_value);
	if (message->size > sizeof(small)) {
		copy = malloc(message->size);
		if (!copy)
			return SHMC_NO_SPACE;
	}
	memcpy(copy, message->data, message->size);
	result = codec->decode(codec, copy, message->size, ret_value);
	if (copy != small)
		free(copy);
	return result;
}

enum shmc_result shmc_port_release(struct shmc_port *port)
{
	enum shmc_result result;

	if (shmc__process_is_forked(port->alive))
		return SHMC_FORKED;
	if (!port->is_holding)
		return SHMC_INVALID;
	result = port->kind->release(port);
	/* what is scribbled over stays, whatever is tried */
	if (result != SHMC_CORRUPT)
		port->is_holding = 0;
	return result;
}

enum shmc_result shmc_port_receive_value(struct shmc_port *port, const struct shmc_codec *codec,
					 void *ret_value, int64_t timeout_ns,
					 struct shmc_message *ret_message)
{
	const struct shmc_port_kind *kind = port->kind;
	enum shmc_result result;

	if (!codec->decode)
		return SHMC_UNSUPPORTED;
	/* in a forked child not even what is in hand can be looked at */
	if (shmc__process_is_forked(port->alive))
		return SHMC_FORKED;
	if (!port->is_holding) {
		result = kind->peek(port, timeout_ns);
		if (result != SHMC_OK)
			return result;
		port->is_holding = 1;
	}
	if (ret_message)
		*ret_message = port->message;
	result = port_decode(port, codec, ret_value);
	if (result != SHMC_OK && (!kind->is_whole || kind->is_whole(port->handle)))
		return result;
	if (ret_message)
		ret_message->data = NULL;
	if (result != SHMC_OK)
		return shmc_port_release(port);
	result = shmc_port_release(port);
	if (result != SHMC_OK && codec->clear)
		codec->clear(codec, ret_value);
	return result;
}
