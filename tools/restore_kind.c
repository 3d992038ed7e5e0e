/*
 * Putting in what was saved, kind by kind, by the calls that any program has. Nobody holds anything
 * afterwards; what was in hands when it was saved comes as from hands that died.
 */
#include <stdlib.h>
#include <string.h>

#include "protocol/varlink.h"
#include "tools/queue.h"
#include "tools/report.h"
#include "tools/restore.h"

#define PIECE(type)   (1u << ARCHIVE_##type)
#define SKIP_MAX      (UINT64_C(1) << 32) /* of shmc_stream_skip() */
#define NUMBER_MAX    (UINT64_C(1) << 53)
#define LOCK_NS	      INT64_C(5000000000)
#define ENDPOINTS_MAX 255 /* of an mpmc */

static uint64_t number_of(const struct restoring *restoring, const char *key)
{
	uint64_t value = 0;

	shmp_json_u64(restoring->description, key, NUMBER_MAX, &value);
	return value;
}

static uint64_t option_of(const struct restoring *restoring, const char *name)
{
	const cJSON *options = cJSON_GetObjectItemCaseSensitive(restoring->description, "options");
	uint64_t value = 0;

	shmp_json_u64(options, name, UINT64_MAX, &value);
	return value;
}

static bool is_set(const struct restoring *restoring, const char *key)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(restoring->description, key));
}

static int refuse_piece(const struct restoring *restoring)
{
	return report(EXIT_DATA, "BadFile",
		      "what the file has of '%s' makes no sense; nothing was restored",
		      restoring->name);
}

/* What a put said. */
static int said(const struct restoring *restoring, enum shmc_result result)
{
	return result == SHMC_OK ? 0 :
				   restore_refuse(restoring, result, "putting in what was saved");
}

static int opened(enum shmc_result result, const struct shmc_error *error)
{
	return result == SHMC_OK ? 0 : queue_report_error(error);
}

/* Counts a message; those in hand are the first ones. */
static int count(struct restoring *restoring, const struct archive_piece *piece,
		 enum shmc_result result)
{
	restoring->count++;
	if ((piece->flags & ARCHIVE_REDELIVERED) != 0)
		restoring->in_hand = restoring->count;
	return said(restoring, result);
}

/* Collecting what is put in as a whole */

static int collect(struct restoring *restoring, uint64_t bytes)
{
	restoring->room = calloc(1, bytes ? bytes : 1);
	restoring->room_bytes = bytes;
	return restoring->room ? 0 :
				 restore_refuse(restoring, SHMC_NO_SPACE, "putting it together");
}

static bool is_within(const struct archive_piece *piece, uint64_t bytes)
{
	return piece->number <= bytes && piece->bytes <= bytes - piece->number;
}

static int put_collected(struct restoring *restoring, const struct archive_piece *piece)
{
	if (!is_within(piece, restoring->room_bytes))
		return refuse_piece(restoring);
	if (piece->bytes > 0)
		memcpy(restoring->room + piece->number, piece->data, piece->bytes);
	return 0;
}

/* spsc */

static int spsc_put(struct restoring *restoring, const struct archive_piece *piece)
{
	struct shmc_spsc **queue = &restoring->handle.spsc;
	struct shmc_error error;
	int code = 0;

	if (!*queue)
		code = opened(shmc_spsc_open(restoring->client, restoring->name, SHMC_SPSC_PRODUCER,
					     queue, &error),
			      &error);
	return code ? code :
		      count(restoring, piece,
			    shmc_spsc_try_push(*queue, piece->data, piece->bytes));
}

static void spsc_close(struct restoring *restoring)
{
	restoring->handle.spsc = shmc_spsc_close(restoring->handle.spsc);
}

/* Shown to one who leaves without having taken them. */
static int spsc_end(struct restoring *restoring)
{
	struct shmc_message *messages;
	struct shmc_error error;
	uint64_t shown;
	int code;

	spsc_close(restoring);
	if (restoring->in_hand == 0)
		return 0;
	code = opened(shmc_spsc_open(restoring->client, restoring->name, SHMC_SPSC_CONSUMER,
				     &restoring->handle.spsc, &error),
		      &error);
	messages = calloc(restoring->in_hand, sizeof(*messages));
	if (code == 0 && messages)
		code = said(restoring, shmc_spsc_peek_batch(restoring->handle.spsc, messages,
							    restoring->in_hand, SHMC_TRY, &shown));
	free(messages);
	return code;
}

/* mpmc */

static int mpmc_put(struct restoring *restoring, const struct archive_piece *piece)
{
	struct shmc_mpmc **queue = &restoring->handle.mpmc;
	struct shmc_error error;
	int code = 0;

	if (!*queue)
		code = opened(shmc_mpmc_open(restoring->client, restoring->name, SHMC_MPMC_PRODUCER,
					     queue, &error),
			      &error);
	return code ? code :
		      count(restoring, piece,
			    shmc_mpmc_try_push(*queue, piece->data, piece->bytes));
}

static void mpmc_close(struct restoring *restoring)
{
	restoring->handle.mpmc = shmc_mpmc_close(restoring->handle.mpmc);
}

/* One consumer for each, who leaves with it in hand: as many as there may be at once. */
static int mpmc_end(struct restoring *restoring)
{
	uint64_t max = option_of(restoring, "endpoints_max");
	struct shmc_mpmc *consumers[ENDPOINTS_MAX];
	struct shmc_message message;
	uint64_t open = 0;

	mpmc_close(restoring);
	while (open < max && open < ENDPOINTS_MAX && open < restoring->in_hand &&
	       shmc_mpmc_open(restoring->client, restoring->name, SHMC_MPMC_CONSUMER,
			      &consumers[open], NULL) == SHMC_OK &&
	       shmc_mpmc_peek(consumers[open++], SHMC_TRY, &message) == SHMC_OK)
		;
	while (open > 0)
		shmc_mpmc_close(consumers[--open]);
	return 0;
}

/* broadcast */

static int broadcast_put(struct restoring *restoring, const struct archive_piece *piece)
{
	struct shmc_broadcast **ring = &restoring->handle.broadcast;
	struct shmc_error error;
	int code = 0;

	if (!*ring)
		code = opened(shmc_broadcast_open(restoring->client, restoring->name,
						  SHMC_BROADCAST_WRITER, ring, &error),
			      &error);
	return code ? code :
		      count(restoring, piece,
			    shmc_broadcast_try_push(*ring, piece->data, piece->bytes));
}

static void broadcast_close(struct restoring *restoring)
{
	restoring->handle.broadcast = shmc_broadcast_close(restoring->handle.broadcast);
}

/* pipe: what the host had sent is for a client who comes; what a client had sent before there was
 * any host, for the first one. */

static int pipe_put(struct restoring *restoring, const struct archive_piece *piece)
{
	bool is_host = piece->number == 0;
	struct shmc_pipe **pipe = is_host ? &restoring->handle.pipe : &restoring->client_side;
	struct shmc_error error;
	int code = 0;

	if (piece->number > 1)
		return refuse_piece(restoring);
	if (!*pipe)
		code = opened(shmc_pipe_open(restoring->client, restoring->name,
					     is_host ? SHMC_PIPE_HOST : SHMC_PIPE_CLIENT, NULL,
					     pipe, &error),
			      &error);
	return code ? code :
		      count(restoring, piece, shmc_pipe_try_send(*pipe, piece->data, piece->bytes));
}

static void pipe_close(struct restoring *restoring)
{
	restoring->handle.pipe = shmc_pipe_close(restoring->handle.pipe);
	restoring->client_side = shmc_pipe_close(restoring->client_side);
}

static int pipe_end(struct restoring *restoring)
{
	bool is_host = restoring->handle.pipe != NULL;
	struct shmc_message *messages;
	struct shmc_error error;
	uint64_t shown;
	int code;

	pipe_close(restoring);
	if (restoring->in_hand == 0 || !is_host)
		return 0;
	code = opened(shmc_pipe_open(restoring->client, restoring->name, SHMC_PIPE_CLIENT, NULL,
				     &restoring->client_side, &error),
		      &error);
	messages = calloc(restoring->in_hand, sizeof(*messages));
	if (code == 0 && messages)
		code = said(restoring, shmc_pipe_peek_batch(restoring->client_side, messages,
							    restoring->in_hand, SHMC_TRY, &shown));
	free(messages);
	return code;
}

/* stream: numbers go on where they were, and who reads expects the first one that is there. */

static int stream_open(struct restoring *restoring)
{
	struct shmc_error error;

	if (restoring->handle.stream)
		return 0;
	return opened(shmc_stream_open(restoring->client, restoring->name, SHMC_STREAM_WRITER,
				       &restoring->handle.stream, &error),
		      &error);
}

static int stream_skip(struct restoring *restoring, uint64_t numbers)
{
	enum shmc_result result = SHMC_OK;

	restoring->sequence += numbers;
	while (numbers > 0 && result == SHMC_OK) {
		uint64_t step = numbers < SKIP_MAX ? numbers : SKIP_MAX;

		result = shmc_stream_skip(restoring->handle.stream, step);
		numbers -= step;
	}
	return said(restoring, result);
}

/* The frame @last was received: one is, of that number. */
static int stream_reach(struct restoring *restoring, uint64_t last)
{
	struct shmc_stream *reader;
	struct shmc_frame frame;
	struct shmc_error error;
	int code = stream_open(restoring);

	if (code == 0 && last > 1)
		code = stream_skip(restoring, last - 1);
	if (code == 0)
		code = said(restoring,
			    shmc_stream_write(restoring->handle.stream, NULL, 0, SHMC_TRY));
	if (code == 0)
		code = opened(shmc_stream_open(restoring->client, restoring->name,
					       SHMC_STREAM_READER, &reader, &error),
			      &error);
	if (code)
		return code;
	restoring->sequence = last;
	code = said(restoring, shmc_stream_read(reader, NULL, 0, SHMC_TRY, &frame));
	shmc_stream_close(reader);
	return code;
}

static int stream_metadata(struct restoring *restoring, const struct archive_piece *piece)
{
	int code = stream_open(restoring);

	return code ? code :
		      said(restoring, shmc_stream_set_metadata(restoring->handle.stream,
							       piece->data, piece->bytes));
}

static int stream_put(struct restoring *restoring, const struct archive_piece *piece)
{
	int code = 0;

	if (piece->type == ARCHIVE_METADATA)
		return stream_metadata(restoring, piece);
	if (piece->number <= restoring->sequence || piece->number > NUMBER_MAX)
		return refuse_piece(restoring);
	if (restoring->count == 0 && piece->number > 1)
		code = stream_reach(restoring, piece->number - 1);
	else
		code = stream_open(restoring);
	if (code == 0 && piece->number > restoring->sequence + 1)
		code = stream_skip(restoring, piece->number - restoring->sequence - 1);
	restoring->sequence = piece->number;
	return code ? code :
		      count(restoring, piece,
			    shmc_stream_write(restoring->handle.stream, piece->data, piece->bytes,
					      SHMC_TRY));
}

static void stream_close(struct restoring *restoring)
{
	restoring->handle.stream = shmc_stream_close(restoring->handle.stream);
}

static int stream_end(struct restoring *restoring)
{
	uint64_t last = number_of(restoring, "last_sequence");
	enum shmc_result result = SHMC_OK;
	struct shmc_frame frame;
	struct shmc_error error;
	int code = 0;

	if (restoring->count == 0 && last > 0)
		code = stream_reach(restoring, last);
	stream_close(restoring);
	if (code || restoring->in_hand == 0)
		return code;
	code = opened(shmc_stream_open(restoring->client, restoring->name, SHMC_STREAM_READER,
				       &restoring->handle.stream, &error),
		      &error);
	for (uint64_t i = 0;
	     code == 0 && result == SHMC_OK && i < restoring->in_hand && i < SHMC_STREAM_LOANS_MAX;
	     i++)
		result = shmc_stream_borrow(restoring->handle.stream, SHMC_TRY, &frame);
	return code ? code : said(restoring, result);
}

/* ring */

static int ring_begin(struct restoring *restoring)
{
	uint64_t bytes = option_of(restoring, "element_bytes");

	restoring->count = number_of(restoring, "elements");
	if (restoring->count > option_of(restoring, "elements"))
		return refuse_piece(restoring);
	return collect(restoring, restoring->count * bytes);
}

static int ring_push(struct restoring *restoring)
{
	enum shmc_result result;
	struct shmc_ring *ring;
	struct shmc_error error;
	uint64_t pushed;
	int code = opened(shmc_ring_open(restoring->client, restoring->name, SHMC_RING_PRODUCER,
					 NULL, &ring, &error),
			  &error);

	if (code)
		return code;
	result = shmc_ring_push(ring, restoring->room, restoring->count, restoring->count, SHMC_TRY,
				&pushed);
	shmc_ring_close(ring);
	return said(restoring, result);
}

static int ring_end(struct restoring *restoring)
{
	uint64_t in_hand = number_of(restoring, "redelivered");
	struct shmc_ring_span span;
	enum shmc_result result;
	struct shmc_ring *ring;
	struct shmc_error error;
	int code = restoring->count > 0 ? ring_push(restoring) : 0;

	if (code || in_hand == 0 || in_hand > restoring->count)
		return code;
	code = opened(shmc_ring_open(restoring->client, restoring->name, SHMC_RING_CONSUMER, NULL,
				     &ring, &error),
		      &error);
	if (code)
		return code;
	result = shmc_ring_peek(ring, 0, in_hand, in_hand, SHMC_TRY, &span);
	shmc_ring_close(ring);
	return said(restoring, result);
}

/* buffer: nobody gets its lock before everything is there; who is killed on the way leaves it as
 * any writer does. */

static int buffer_begin(struct restoring *restoring)
{
	struct shmc_error error;
	int code = opened(shmc_buffer_open(restoring->client, restoring->name, SHMC_BUFFER_WRITER,
					   &restoring->handle.buffer, &error),
			  &error);

	return code ? code :
		      said(restoring, shmc_buffer_lock_write(restoring->handle.buffer, LOCK_NS));
}

static int buffer_put(struct restoring *restoring, const struct archive_piece *piece)
{
	return said(restoring, shmc_buffer_write(restoring->handle.buffer, piece->number,
						 piece->data, piece->bytes));
}

static void buffer_close(struct restoring *restoring)
{
	restoring->handle.buffer = shmc_buffer_close(restoring->handle.buffer);
}

/* One that did not fit any more is made of other bytes, so that it does not fit again. */
static enum shmc_result store_checksum(struct shmc_buffer *buffer, const cJSON *range)
{
	uint64_t offset = UINT64_MAX, bytes = 0;
	bool is_damaged = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(range, "damaged"));
	enum shmc_result result;
	void *at;

	shmp_json_u64(range, "offset", UINT64_MAX, &offset);
	shmp_json_u64(range, "bytes", UINT64_MAX, &bytes);
	result = shmc_buffer_edit(buffer, offset, bytes, &at);
	if (result != SHMC_OK)
		return result;
	if (is_damaged && bytes > 0)
		*(uint8_t *)at ^= 1;
	result = shmc_buffer_store_checksum(buffer, offset, bytes, SHMC_TRY);
	if (is_damaged && bytes > 0)
		*(uint8_t *)at ^= 1;
	return result;
}

/* Who goes with the lock in hand leaves OWNER_DIED; who gives it back then without a word, nothing
 * that anybody could lock. */
static int buffer_end(struct restoring *restoring)
{
	const cJSON *ranges = cJSON_GetObjectItemCaseSensitive(restoring->description, "checksums");
	bool is_given_up = is_set(restoring, "unrecoverable");
	enum shmc_result result = SHMC_OK;
	struct shmc_error error;
	const cJSON *range;
	int code;

	cJSON_ArrayForEach(range, ranges)
	{
		if (result == SHMC_OK)
			result = store_checksum(restoring->handle.buffer, range);
	}
	if (result != SHMC_OK)
		return said(restoring, result);
	if (!is_given_up && !is_set(restoring, "owner_died"))
		return said(restoring, shmc_buffer_unlock(restoring->handle.buffer));
	buffer_close(restoring);
	if (!is_given_up)
		return 0;
	code = opened(shmc_buffer_open(restoring->client, restoring->name, SHMC_BUFFER_WRITER,
				       &restoring->handle.buffer, &error),
		      &error);
	if (code == 0 &&
	    shmc_buffer_lock_write(restoring->handle.buffer, LOCK_NS) == SHMC_OWNER_DIED)
		shmc_buffer_unlock(restoring->handle.buffer);
	return code;
}

/* record, atomic: in one go */

static int record_begin(struct restoring *restoring)
{
	return collect(restoring, option_of(restoring, "record_bytes"));
}

static int record_end(struct restoring *restoring)
{
	enum shmc_result result;
	struct shmc_record *record;
	struct shmc_error error;
	int code;

	if (number_of(restoring, "number") == 0)
		return 0; /* never written */
	code = opened(shmc_record_open(restoring->client, restoring->name, SHMC_RECORD_WRITER, NULL,
				       &record, &error),
		      &error);
	if (code)
		return code;
	restoring->count = shmc_record_field_count(record);
	result = shmc_record_write(record, restoring->room, restoring->room_bytes, LOCK_NS);
	shmc_record_close(record);
	return said(restoring, result);
}

static int atomic_begin(struct restoring *restoring)
{
	return collect(restoring, sizeof(uint64_t));
}

static enum shmc_result atomic_store(struct shmc_atomic *atomic, const uint8_t *bytes)
{
	enum shmc_type type = shmc_atomic_type(atomic);
	int32_t narrow;
	uint64_t wide;
	double real;

	memcpy(&narrow, bytes, sizeof(narrow));
	memcpy(&wide, bytes, sizeof(wide));
	memcpy(&real, bytes, sizeof(real));
	if (type == SHMC_TYPE_DOUBLE)
		return shmc_atomic_store_double(atomic, real, SHMC_ORDER_SEQ_CST);
	if (type == SHMC_TYPE_I32)
		wide = (uint64_t)(int64_t)narrow;
	return shmc_atomic_store(atomic, wide, SHMC_ORDER_SEQ_CST);
}

static int atomic_end(struct restoring *restoring)
{
	enum shmc_result result;
	struct shmc_atomic *atomic;
	struct shmc_error error;
	int code = opened(shmc_atomic_open(restoring->client, restoring->name, SHMC_ATOMIC_WRITER,
					   SHMC_TYPE_BYTES, &atomic, &error),
			  &error);

	if (code)
		return code;
	result = atomic_store(atomic, restoring->room);
	shmc_atomic_close(atomic);
	return said(restoring, result);
}

/* array */

static int array_begin(struct restoring *restoring)
{
	struct shmc_error error;

	restoring->count = option_of(restoring, "elements");
	return opened(shmc_array_open(restoring->client, restoring->name, SHMC_ARRAY_WRITER, NULL,
				      &restoring->handle.array, &error),
		      &error);
}

static int array_put(struct restoring *restoring, const struct archive_piece *piece)
{
	uint64_t bytes = option_of(restoring, "elements") * option_of(restoring, "element_bytes");
	uint8_t *to = shmc_array_edit(restoring->handle.array);

	if (!is_within(piece, bytes))
		return refuse_piece(restoring);
	if (piece->bytes > 0)
		memcpy(to + piece->number, piece->data, piece->bytes);
	return 0;
}

static void array_close(struct restoring *restoring)
{
	restoring->handle.array = shmc_array_close(restoring->handle.array);
}

/* pool: what somebody had is under its handle for whoever knows that, and what nobody had keeps its
 * place in the count, so that handles of before are stale. */

static int pool_begin(struct restoring *restoring)
{
	struct shmc_error error;

	return opened(shmc_pool_open(restoring->client, restoring->name, SHMC_POOL_USER, NULL,
				     &restoring->handle.pool, &error),
		      &error);
}

static int pool_put(struct restoring *restoring, const struct archive_piece *piece)
{
	struct shmc_pool *pool = restoring->handle.pool;
	bool is_free = (piece->flags & ARCHIVE_FREE) != 0;
	enum shmc_result result;
	void *data;

	if (piece->bytes != (is_free ? 0 : option_of(restoring, "object_bytes")))
		return refuse_piece(restoring);
	result = shmc_pool_adopt(pool, piece->number, &data);
	if (result == SHMC_OK && is_free)
		return said(restoring, shmc_pool_release(pool, piece->number));
	if (result != SHMC_OK)
		return said(restoring, result);
	restoring->count++;
	memcpy(data, piece->data, piece->bytes);
	return said(restoring, shmc_pool_transfer(pool, piece->number, SHMC_POOL_ANYONE));
}

static void pool_close(struct restoring *restoring)
{
	restoring->handle.pool = shmc_pool_close(restoring->handle.pool);
}

static const struct restore_kind rows[] = {
	{ .name = "arena", .counts = "objects" },
	{ .name = "array",
	  .counts = "elements",
	  .pieces = PIECE(BYTES),
	  .begin = array_begin,
	  .put = array_put,
	  .close = array_close },
	{ .name = "atomic",
	  .pieces = PIECE(BYTES),
	  .begin = atomic_begin,
	  .put = put_collected,
	  .end = atomic_end },
	{ .name = "broadcast",
	  .counts = "messages",
	  .pieces = PIECE(MESSAGE),
	  .put = broadcast_put,
	  .close = broadcast_close },
	{ .name = "buffer",
	  .pieces = PIECE(BYTES),
	  .begin = buffer_begin,
	  .put = buffer_put,
	  .end = buffer_end,
	  .close = buffer_close },
	{ .name = "mpmc",
	  .counts = "messages",
	  .pieces = PIECE(MESSAGE),
	  .put = mpmc_put,
	  .end = mpmc_end,
	  .close = mpmc_close },
	{ .name = "pipe",
	  .counts = "messages",
	  .pieces = PIECE(MESSAGE),
	  .put = pipe_put,
	  .end = pipe_end,
	  .close = pipe_close },
	{ .name = "pool",
	  .counts = "objects",
	  .pieces = PIECE(OBJECT),
	  .begin = pool_begin,
	  .put = pool_put,
	  .close = pool_close },
	{ .name = "record",
	  .counts = "fields",
	  .pieces = PIECE(BYTES),
	  .begin = record_begin,
	  .put = put_collected,
	  .end = record_end },
	{ .name = "ring",
	  .counts = "elements",
	  .pieces = PIECE(BYTES),
	  .begin = ring_begin,
	  .put = put_collected,
	  .end = ring_end },
	{ .name = "rpc" },
	{ .name = "spsc",
	  .counts = "messages",
	  .pieces = PIECE(MESSAGE),
	  .put = spsc_put,
	  .end = spsc_end,
	  .close = spsc_close },
	{ .name = "stream",
	  .counts = "messages",
	  .pieces = PIECE(MESSAGE) | PIECE(METADATA),
	  .put = stream_put,
	  .end = stream_end,
	  .close = stream_close },
};

const struct restore_kind *restore_kind_find(const char *name)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	}
	return NULL;
}
