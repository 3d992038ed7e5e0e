/*
 * Handles of streams. The moves are protocol/stream.h's; gates as in spsc.c: write and reserve
 * while nothing is reserved and no doorbell armed, commit while something is; read and borrow while
 * no doorbell is armed.
 */
#include "shmclient/stream.h"

#include <errno.h>
#include <stdlib.h>

#include "libclient/bell.h"
#include "libclient/error.h"
#include "libclient/move.h"
#include "libclient/object.h"
#include "libclient/wait.h"
#include "protocol/stream.h"

#define STREAM_SKIP_MAX (UINT64_C(1) << 32)

static_assert(SHMC_STREAM_LOANS_MAX == SHMP_STREAM_LOANS, "loans");
static_assert(SHMC_REDELIVERED == SHMP_STREAM_REDELIVERED, "redelivered");
static_assert(SHMC_GAP == SHMP_STREAM_GAP, "gap");

struct shmc_stream {
	const uint32_t *write_gate; /* write, reserve */
	const uint32_t *commit_gate;
	const uint32_t *read_gate; /* read, borrow */
	union {
		struct shmp_stream_writer writer;
		struct shmp_stream_reader reader;
	};
	bool is_reserved;
	uint64_t reserved_bytes;
	enum shmc_stream_role role;
	struct shmc__object object;
};

/* After anything that a gate depends on. */
static void stream_set_gates(struct shmc_stream *stream)
{
	const uint32_t *none = &shmc__gate_closed;
	const uint32_t *alive = stream->object.alive;
	const uint32_t *writer = stream->role == SHMC_STREAM_WRITER ? alive : none;
	const uint32_t *reader = stream->role == SHMC_STREAM_READER ? alive : none;
	bool is_armed = stream->object.bell.is_armed;

	stream->write_gate = stream->is_reserved || is_armed ? none : writer;
	stream->commit_gate = stream->is_reserved ? writer : none;
	stream->read_gate = is_armed ? none : reader;
}

/* Opening and closing. */

enum shmc_result shmc_stream_create(struct shmc_client *client, const char *name,
				    const struct shmc_stream_options *options,
				    struct shmc_error *error)
{
	static const struct shmc_stream_options none;
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };

	if (!options)
		options = &none;
	option[SHMP_STREAM_CAPACITY_BYTES] = options->capacity_bytes;
	option[SHMP_STREAM_METADATA_BYTES] = options->metadata_bytes_max;
	return shmc__object_create_as(client, name, &shmp_stream_kind, option, options->mode,
				      options->reuse != 0, options->common, error);
}

static enum shmc_result stream_attach(struct shmc_stream *stream, const char *name,
				      struct shmc_error *error)
{
	const struct shmp_segment *segment = &stream->object.mapping->segment;
	int r = 0;

	if (stream->role == SHMC_STREAM_WRITER)
		r = shmp_stream_attach_writer(segment, &stream->writer);
	else if (stream->role == SHMC_STREAM_READER)
		r = shmp_stream_attach_reader(segment, &stream->reader);
	if (r == 0)
		return SHMC_OK;
	shmc__object_close(&stream->object);
	return shmc__error(error, SHMC_CORRUPT, "%s: the ring holds bytes that no writer wrote",
			   name);
}

enum shmc_result shmc_stream_open(struct shmc_client *client, const char *name,
				  enum shmc_stream_role role, struct shmc_stream **ret_stream,
				  struct shmc_error *error)
{
	static const char *const names[] = {
		[SHMC_STREAM_WRITER] = "writer",
		[SHMC_STREAM_READER] = "reader",
		[SHMC_STREAM_OBSERVER] = "observer",
	};
	struct shmc_stream *stream;
	enum shmc_result result;

	if (role != SHMC_STREAM_WRITER && role != SHMC_STREAM_READER &&
	    role != SHMC_STREAM_OBSERVER)
		return shmc__error(error, SHMC_INVALID,
				   "role: neither writer nor reader nor observer");
	stream = calloc(1, sizeof(*stream));
	if (!stream)
		return shmc__error_from_errno(error, "open the stream", ENOMEM);
	stream->role = role;
	result = shmc__object_open(&stream->object, client, name, &shmp_stream_kind, names[role],
				   error);
	if (result == SHMC_OK)
		result = stream_attach(stream, name, error);
	if (result != SHMC_OK) {
		free(stream);
		return result;
	}
	stream_set_gates(stream);
	*ret_stream = stream;
	return SHMC_OK;
}

struct shmc_stream *shmc_stream_close(struct shmc_stream *stream)
{
	if (stream) {
		shmc__object_close(&stream->object);
		free(stream);
	}
	return NULL;
}

/* Writing. */

static SHMP_COLD enum shmc_result stream_tell_reader(struct shmc_stream *stream)
{
	shmp_spsc_tell_consumer(&stream->writer.ring, shmc__bell_ring, &stream->object);
	return SHMC_OK;
}

/* After a publication. */
static inline enum shmc_result stream_sent(struct shmc_stream *stream)
{
	if (SHMP_UNLIKELY(shmp_spsc_consumer_waits(&stream->writer.ring)))
		return stream_tell_reader(stream);
	return SHMC_OK;
}

enum shmc_result shmc_stream_set_metadata(struct shmc_stream *stream, const void *data,
					  uint64_t size)
{
	int r;

	if (shmc__object_is_forked(&stream->object) || stream->role != SHMC_STREAM_WRITER)
		return shmc__move_refuse(&stream->object);
	r = shmp_stream_set_metadata(&stream->writer, data, size);
	if (r == SHMP_FULL)
		return SHMC_EXISTS;
	return r == SHMP_DONE ? stream_sent(stream) : shmc__move_result(r);
}

/* Arguments of a writing move, for waiting. */
struct stream_send {
	struct shmc_stream *stream;
	const void *data;
	uint64_t size;
	uint8_t *room;
};

static int stream_move_write(void *context)
{
	struct stream_send *send = context;

	return shmp_stream_write(&send->stream->writer, send->data, send->size);
}

static int stream_move_reserve(void *context)
{
	struct stream_send *send = context;

	return shmp_stream_reserve(&send->stream->writer, send->size, &send->room);
}

/* With a doorbell, or without room at the first look. */
static SHMP_COLD int stream_send(struct stream_send *send, int64_t timeout_ns, shmc__move_fn move)
{
	struct shmc_stream *stream = send->stream;
	int r = shmc__move_receive(&stream->object, stream->writer.ring.not_full, timeout_ns, move,
				   send);

	stream_set_gates(stream);
	return r;
}

/* Why a writer's gate is closed, or OK: it may go the long way. */
static enum shmc_result stream_may_send(const struct shmc_stream *stream)
{
	if (shmc__object_is_forked(&stream->object))
		return SHMC_FORKED;
	return stream->role == SHMC_STREAM_WRITER && !stream->is_reserved ? SHMC_OK : SHMC_INVALID;
}

SHMC__HOT enum shmc_result shmc_stream_write(struct shmc_stream *stream, const void *data,
					     uint64_t size, int64_t timeout_ns)
{
	struct stream_send send = { .stream = stream, .data = data, .size = size };
	enum shmc_result result;
	int r = SHMP_FULL;

	if (shmc__gate_is_open(stream->write_gate))
		r = shmp_stream_write(&stream->writer, data, size);
	if (SHMP_UNLIKELY(r != SHMP_DONE)) {
		result = stream_may_send(stream);
		if (result != SHMC_OK)
			return result;
		r = stream_send(&send, timeout_ns, stream_move_write);
	}
	return SHMP_LIKELY(r == SHMP_DONE) ? stream_sent(stream) :
					     shmc__move_answer(&stream->object, r);
}

SHMC__HOT enum shmc_result shmc_stream_reserve(struct shmc_stream *stream, uint64_t size,
					       int64_t timeout_ns, void **ret_data)
{
	struct stream_send send = { .stream = stream, .size = size };
	enum shmc_result result;
	int r = SHMP_FULL;

	if (shmc__gate_is_open(stream->write_gate))
		r = stream_move_reserve(&send);
	if (SHMP_UNLIKELY(r != SHMP_DONE)) {
		result = stream_may_send(stream);
		if (result != SHMC_OK)
			return result;
		r = stream_send(&send, timeout_ns, stream_move_reserve);
		if (r != SHMP_DONE)
			return shmc__move_answer(&stream->object, r);
	}
	stream->is_reserved = true;
	stream->reserved_bytes = size;
	stream->write_gate = &shmc__gate_closed;
	stream->commit_gate = stream->object.alive;
	*ret_data = send.room;
	return SHMC_OK;
}

static void stream_drop_reservation(struct shmc_stream *stream)
{
	stream->is_reserved = false;
	stream->write_gate = stream->object.alive;
	stream->commit_gate = &shmc__gate_closed;
}

SHMC__HOT enum shmc_result shmc_stream_commit(struct shmc_stream *stream, uint64_t size)
{
	if (!shmc__gate_is_open(stream->commit_gate) || size > stream->reserved_bytes)
		return shmc__move_refuse(&stream->object);
	shmp_stream_commit(&stream->writer, size);
	stream_drop_reservation(stream);
	return stream_sent(stream);
}

enum shmc_result shmc_stream_abort(struct shmc_stream *stream)
{
	if (!shmc__gate_is_open(stream->commit_gate))
		return shmc__move_refuse(&stream->object);
	stream_drop_reservation(stream);
	return SHMC_OK;
}

enum shmc_result shmc_stream_skip(struct shmc_stream *stream, uint64_t count)
{
	if (shmc__object_is_forked(&stream->object) || stream->role != SHMC_STREAM_WRITER ||
	    count == 0 || count > STREAM_SKIP_MAX)
		return shmc__move_refuse(&stream->object);
	shmp_stream_skip(&stream->writer, count);
	return SHMC_OK;
}

/* Reading. */

static SHMP_COLD enum shmc_result stream_tell_writer(struct shmc_stream *stream)
{
	shmp_spsc_tell_producer(&stream->reader.ring, shmc__bell_ring, &stream->object);
	return SHMC_OK;
}

/* After room was given back, maybe. */
static inline enum shmc_result stream_taken(struct shmc_stream *stream)
{
	if (SHMP_UNLIKELY(shmp_spsc_producer_waits(&stream->reader.ring)))
		return stream_tell_writer(stream);
	return SHMC_OK;
}

/* Arguments of a reading move, for waiting. */
struct stream_receive {
	struct shmc_stream *stream;
	void *buffer;
	uint64_t buffer_bytes;
	struct shmp_stream_frame frame;
	struct shmc_bytes metadata;
};

static int stream_move_read(void *context)
{
	struct stream_receive *receive = context;

	return shmp_stream_read(&receive->stream->reader, receive->buffer, receive->buffer_bytes,
				&receive->frame);
}

static int stream_move_lend(void *context)
{
	struct stream_receive *receive = context;

	return shmp_stream_lend(&receive->stream->reader, &receive->frame);
}

static inline void stream_give(const struct shmp_stream_frame *frame, struct shmc_frame *ret_frame)
{
	ret_frame->data = frame->data;
	ret_frame->size = frame->size;
	ret_frame->sequence = frame->sequence;
	ret_frame->expected = frame->expected;
	ret_frame->flags = frame->flags;
	ret_frame->reserved = 0;
	ret_frame->position = frame->position;
	ret_frame->loan = frame->loan;
}

/* With a doorbell, or with nothing there at the first look. */
static SHMP_COLD int stream_receive(struct stream_receive *receive, int64_t timeout_ns,
				    shmc__move_fn move)
{
	struct shmc_stream *stream = receive->stream;
	int r = shmc__move_receive(&stream->object, stream->reader.ring.not_empty, timeout_ns, move,
				   receive);

	stream_set_gates(stream);
	return r;
}

/* Why a reader's gate is closed, or OK: it may go the long way. */
static enum shmc_result stream_may_receive(const struct shmc_stream *stream)
{
	if (shmc__object_is_forked(&stream->object))
		return SHMC_FORKED;
	if (stream->role != SHMC_STREAM_READER)
		return SHMC_INVALID;
	/* nobody but the caller can change that: there is nothing to wait for */
	return shmp_stream_is_lent_out(&stream->reader) ? SHMC_FULL : SHMC_OK;
}

enum shmc_result shmc_stream_read(struct shmc_stream *stream, void *buffer, uint64_t buffer_bytes,
				  int64_t timeout_ns, struct shmc_frame *ret_frame)
{
	struct stream_receive receive = { .stream = stream,
					  .buffer = buffer,
					  .buffer_bytes = buffer_bytes };
	enum shmc_result result;
	int r = SHMP_EMPTY;

	if (shmc__gate_is_open(stream->read_gate))
		r = stream_move_read(&receive);
	if (SHMP_UNLIKELY(r != SHMP_DONE)) {
		result = stream_may_receive(stream);
		if (result != SHMC_OK)
			return result;
		r = stream_receive(&receive, timeout_ns, stream_move_read);
	}
	if (r == SHMP_DONE || r == SHMP_TOO_BIG)
		stream_give(&receive.frame, ret_frame);
	return SHMP_LIKELY(r == SHMP_DONE) ? stream_taken(stream) :
					     shmc__move_answer(&stream->object, r);
}

SHMC__HOT enum shmc_result shmc_stream_borrow(struct shmc_stream *stream, int64_t timeout_ns,
					      struct shmc_frame *ret_frame)
{
	struct stream_receive receive;
	enum shmc_result result;
	int r = SHMP_EMPTY;

	receive.stream = stream;
	if (shmc__gate_is_open(stream->read_gate))
		r = stream_move_lend(&receive);
	if (SHMP_UNLIKELY(r != SHMP_DONE)) {
		result = stream_may_receive(stream);
		if (result != SHMC_OK)
			return result;
		r = stream_receive(&receive, timeout_ns, stream_move_lend);
		if (r != SHMP_DONE)
			return shmc__move_answer(&stream->object, r);
	}
	stream_give(&receive.frame, ret_frame);
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_stream_release(struct shmc_stream *stream,
					       const struct shmc_frame *frame)
{
	if (SHMP_UNLIKELY(shmc__object_is_forked(&stream->object) ||
			  stream->role != SHMC_STREAM_READER))
		return shmc__move_refuse(&stream->object);
	if (SHMP_UNLIKELY(shmp_stream_give_back(&stream->reader, frame->loan, frame->position) !=
			  SHMP_DONE))
		return SHMC_INVALID;
	return stream_taken(stream);
}

static int stream_move_metadata(void *context)
{
	struct stream_receive *receive = context;
	const struct shmp_segment *segment = &receive->stream->object.mapping->segment;
	const struct shmp_endpoint *writer = &segment->endpoints[SHMP_STREAM_WRITER];
	/* first: what was written before the death is seen now */
	enum shmp_endpoint_state state = shmp_endpoint_look(writer);
	int r = shmp_stream_metadata(segment, &receive->metadata.data, &receive->metadata.size);

	if (r == SHMP_EMPTY && state == SHMP_ENDPOINT_DEAD)
		return SHMP_PEER_DEAD;
	if (r == SHMP_EMPTY && state == SHMP_ENDPOINT_LEFT)
		return SHMP_PEER_LEFT;
	return r;
}

enum shmc_result shmc_stream_metadata(struct shmc_stream *stream, int64_t timeout_ns,
				      struct shmc_bytes *ret_metadata)
{
	struct stream_receive receive = { .stream = stream };
	int r;

	if (shmc__object_is_forked(&stream->object))
		return SHMC_FORKED;
	r = stream_move_metadata(&receive);
	if (r == SHMP_EMPTY && timeout_ns != 0) {
		if (stream->role != SHMC_STREAM_READER)
			return SHMC_INVALID;
		shmc__bell_disarm(&stream->object, stream->reader.ring.not_empty);
		stream_set_gates(stream);
		r = shmc__wait(&stream->object, stream->reader.ring.not_empty, timeout_ns,
			       stream_move_metadata, &receive);
	}
	if (r != SHMP_DONE)
		return shmc__move_result(r);
	*ret_metadata = receive.metadata;
	return SHMC_OK;
}

/* Waiting otherwise. */

enum shmc_result shmc_stream_fd(struct shmc_stream *stream, int *ret_fd, struct shmc_error *error)
{
	enum shmc_result result;

	if (shmc__object_is_forked(&stream->object))
		return shmc__error(error, SHMC_FORKED, "this stream is the parent process's");
	if (stream->role == SHMC_STREAM_OBSERVER)
		return shmc__error(error, SHMC_INVALID, "an observer has no descriptor");
	result = shmc__bell_open(&stream->object, error);
	if (result == SHMC_OK)
		*ret_fd = stream->object.bell.poll.fd;
	return result;
}

enum shmc_peer shmc_stream_peer(const struct shmc_stream *stream)
{
	if (shmc__object_is_forked(&stream->object) || stream->role == SHMC_STREAM_OBSERVER)
		return SHMC_PEER_NONE;
	return shmc__object_peer(&stream->object, stream->role == SHMC_STREAM_WRITER ?
							  SHMP_STREAM_READER :
							  SHMP_STREAM_WRITER);
}

/* Who has come and gone again meanwhile counts: what he wrote, or the room he left, is there. */
static int stream_move_meet(void *context)
{
	const struct shmc_stream *stream = context;
	bool has_met = shmc_stream_peer(stream) == SHMC_PEER_ACTIVE ||
		       (stream->role == SHMC_STREAM_WRITER ?
				shmp_spsc_was_emptied(&stream->writer.ring) :
				shmp_stream_look(&stream->reader));

	return has_met ? SHMP_DONE : SHMP_EMPTY;
}

static int stream_move_connect(void *context)
{
	return shmc_stream_peer(context) == SHMC_PEER_ACTIVE ? SHMP_DONE : SHMP_EMPTY;
}

/* Waits for the other side; not an observer's. */
static enum shmc_result stream_wait_for(struct shmc_stream *stream, int64_t timeout_ns,
					shmc__move_fn move)
{
	struct shmp_waiter *waiter = stream->role == SHMC_STREAM_WRITER ?
					     stream->writer.ring.not_full :
					     stream->reader.ring.not_empty;

	if (move(stream) == SHMP_DONE)
		return SHMC_OK;
	if (timeout_ns == 0)
		return SHMC_TIMEOUT;
	shmc__bell_disarm(&stream->object, waiter);
	stream_set_gates(stream);
	return shmc__wait(&stream->object, waiter, timeout_ns, move, stream) == SHMP_DONE ?
		       SHMC_OK :
		       SHMC_TIMEOUT;
}

enum shmc_result shmc_stream_wait_peer(struct shmc_stream *stream, int64_t timeout_ns)
{
	if (shmc__object_is_forked(&stream->object) || stream->role == SHMC_STREAM_OBSERVER)
		return shmc__move_refuse(&stream->object);
	return stream_wait_for(stream, timeout_ns, stream_move_meet);
}

static enum shmc_result stream_is_connected(struct shmc_stream *stream, enum shmc_stream_role role,
					    int64_t timeout_ns)
{
	uint32_t place = role == SHMC_STREAM_WRITER ? SHMP_STREAM_WRITER : SHMP_STREAM_READER;

	if (shmc__object_is_forked(&stream->object))
		return SHMC_FORKED;
	if (shmc__object_peer(&stream->object, place) == SHMC_PEER_ACTIVE)
		return SHMC_OK;
	/* an own place that is not active any more will not be: the broker was restarted */
	if (timeout_ns == 0 || stream->role == role)
		return SHMC_TIMEOUT;
	if (stream->role == SHMC_STREAM_OBSERVER)
		return SHMC_INVALID;
	return stream_wait_for(stream, timeout_ns, stream_move_connect);
}

enum shmc_result shmc_stream_is_writer_connected(struct shmc_stream *stream, int64_t timeout_ns)
{
	return stream_is_connected(stream, SHMC_STREAM_WRITER, timeout_ns);
}

enum shmc_result shmc_stream_is_reader_connected(struct shmc_stream *stream, int64_t timeout_ns)
{
	return stream_is_connected(stream, SHMC_STREAM_READER, timeout_ns);
}

/* Looking. */

enum shmc_result shmc_stream_look(const struct shmc_stream *stream, struct shmc_look *look,
				  shmc_item_fn fn, void *context)
{
	return shmc__object_look(&stream->object, look, fn, context);
}

enum shmc_result shmc_stream_options_of(const struct shmc_stream *stream,
					struct shmc_stream_options *ret_options)
{
	const uint64_t *option = stream->object.mapping->segment.plan.option;

	*ret_options = (struct shmc_stream_options){
		.capacity_bytes = option[SHMP_STREAM_CAPACITY_BYTES],
		.metadata_bytes_max = option[SHMP_STREAM_METADATA_BYTES],
	};
	return SHMC_OK;
}

/* 0 when nobody is there. */
static uint32_t stream_pid(const struct shmc_stream *stream, uint32_t place, enum shmc_peer peer)
{
	return peer == SHMC_PEER_ACTIVE ? stream->object.mapping->segment.endpoints[place].pid : 0;
}

enum shmc_result shmc_stream_status(const struct shmc_stream *stream,
				    struct shmc_stream_status *ret_status)
{
	const struct shmp_segment *segment = &stream->object.mapping->segment;
	uint64_t metadata_size = segment->plan.option[SHMP_STREAM_METADATA_BYTES];
	enum shmc_peer writer, reader;
	struct shmp_stream_status status;

	if (shmc__object_is_forked(&stream->object))
		return SHMC_FORKED;
	shmp_stream_status(segment, &status);
	writer = shmc__object_peer(&stream->object, SHMP_STREAM_WRITER);
	reader = shmc__object_peer(&stream->object, SHMP_STREAM_READER);
	*ret_status = (struct shmc_stream_status){
		.metadata_size = metadata_size,
		.metadata_free_bytes = status.has_metadata ? 0 : metadata_size,
		.metadata_written_bytes = status.metadata_bytes,
		.payload_size = segment->plan.option[SHMP_STREAM_CAPACITY_BYTES],
		.payload_free_bytes = status.free_bytes,
		.payload_write_position = status.write_position,
		.payload_read_position = status.read_position,
		.payload_written_count = status.written,
		.payload_read_count = status.read,
		.payload_skipped_count = status.skipped,
		.last_sequence = status.last_sequence,
		.writer_pid = stream_pid(stream, SHMP_STREAM_WRITER, writer),
		.reader_pid = stream_pid(stream, SHMP_STREAM_READER, reader),
		.writer = writer,
		.reader = reader,
	};
	return SHMC_OK;
}

enum shmc_result shmc_stream_statistics(const struct shmc_stream *stream,
					struct shmc_statistics *ret_own,
					struct shmc_statistics *ret_peer)
{
	bool is_reader = stream->role == SHMC_STREAM_READER;
	uint32_t own = is_reader ? SHMP_STREAM_READER : SHMP_STREAM_WRITER;
	uint32_t peer = is_reader ? SHMP_STREAM_WRITER : SHMP_STREAM_READER;

	if (shmc__object_is_forked(&stream->object))
		return SHMC_FORKED;
	if (ret_own)
		shmc__object_statistics(&stream->object, own, ret_own);
	if (ret_peer)
		shmc__object_statistics(&stream->object, peer, ret_peer);
	return SHMC_OK;
}
