/*
 * What saving means, kind by kind. Nothing is taken, nobody's place is, and only a buffer's lock is
 * held for as long as its bytes are copied.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/varlink.h"
#include "tools/capture.h"
#include "tools/queue.h"
#include "tools/report.h"
#include "tools/save.h"
#include "tools/stop.h"
#include "tools/text.h"
#include "tools/value.h"

#define STEP_BYTES (UINT64_C(1) << 20)

static int no_memory(const struct saving *saving, uint64_t bytes)
{
	return report(EXIT_REFUSED, "NO_SPACE",
		      "'%s': no memory for a copy of %" PRIu64 " bytes; nothing was saved",
		      saving->name, bytes);
}

/* Queues */

static int put_message(struct saving *saving, const struct capture *capture,
		       const struct capture_message *message)
{
	uint64_t number = capture->is_pipe ? message->sender : message->number;

	saving->bytes += message->size;
	if (message->is_metadata)
		return archive_put(saving->writer, ARCHIVE_METADATA, 0, 0,
				   capture->bytes + message->at, message->size);
	saving->count++;
	return archive_put(saving->writer, ARCHIVE_MESSAGE,
			   message->is_in_hand ? ARCHIVE_REDELIVERED : 0, number,
			   capture->bytes + message->at, message->size);
}

static int put_messages(struct saving *saving, const struct capture *capture)
{
	int code = save_begin(saving);

	for (size_t i = 0; code == 0 && i < capture->count; i++)
		code = put_message(saving, capture, &capture->messages[i]);
	return code;
}

static int save_queue(struct saving *saving, struct capture *capture, uint64_t message_bytes_max)
{
	enum shmc_result result;

	capture->observer = saving->observer;
	result = capture_queue(capture, message_bytes_max);
	return result == SHMC_OK ? 0 : save_refuse(saving, result, "looking at its messages");
}

static int save_spsc(struct saving *saving)
{
	struct capture capture = { .count = 0 };
	int code = save_queue(saving, &capture, save_option(saving, "message_bytes_max"));

	if (code == 0)
		code = put_messages(saving, &capture);
	capture_free(&capture);
	return code;
}

/* Without redelivery, what somebody has in hand is his, whatever becomes of him. */
static void leave_in_hand(struct capture *capture)
{
	size_t kept = 0;

	for (size_t i = 0; i < capture->count; i++) {
		if (!capture->messages[i].is_in_hand)
			capture->messages[kept++] = capture->messages[i];
	}
	capture->count = kept;
}

static int save_mpmc(struct saving *saving)
{
	struct capture capture = { .is_shared = true };
	int code = save_queue(saving, &capture, save_option(saving, "message_bytes_max"));

	if (save_option(saving, "redelivery") == 0)
		leave_in_hand(&capture);
	if (code == 0)
		code = put_messages(saving, &capture);
	capture_free(&capture);
	return code;
}

/* What was asked of a host ends with it: the next one begins anew. */
static void leave_questions(const struct saving *saving, struct capture *capture)
{
	size_t kept = 0, left;

	for (size_t i = 0; i < capture->count; i++) {
		if (capture->messages[i].sender == 0 || capture->messages[i].is_for_next)
			capture->messages[kept++] = capture->messages[i];
	}
	left = capture->count - kept;
	capture->count = kept;
	if (left > 0)
		report(0, "Left",
		       "'%s': %zu messages of its client are not saved: they are for the host "
		       "that it speaks with, and no other ever gets them",
		       saving->name, left);
}

static int save_pipe(struct saving *saving)
{
	struct capture capture = { .is_pipe = true };
	int code = save_queue(saving, &capture, save_option(saving, "message_bytes_max"));

	leave_questions(saving, &capture);
	if (code == 0)
		code = put_messages(saving, &capture);
	capture_free(&capture);
	return code;
}

static void pick_sequence(void *context, const char *name, uint64_t value)
{
	if (strcmp(name, "last_sequence") == 0)
		*(uint64_t *)context = value;
}

/* A frame that is not there was received, so its number is not to come again. */
static int save_stream(struct saving *saving)
{
	uint64_t frame_max = save_option(saving, "capacity_bytes");
	uint64_t metadata_max = save_option(saving, "metadata_bytes_max");
	struct capture capture = { .count = 0 };
	uint64_t last = 0;
	int code = save_queue(saving, &capture,
			      frame_max > metadata_max ? frame_max : metadata_max);

	if (capture.count > 0 && !capture.messages[capture.count - 1].is_metadata)
		last = capture.messages[capture.count - 1].number;
	else
		shmc_observer_figures(saving->observer, pick_sequence, &last);
	shmp_json_add_u64(saving->description, "last_sequence", last);
	if (code == 0)
		code = put_messages(saving, &capture);
	capture_free(&capture);
	return code;
}

static int save_broadcast(struct saving *saving)
{
	struct capture capture = { .observer = saving->observer };
	enum shmc_result result = capture_ring(&capture, save_option(saving, "message_bytes_max"),
					       save_option(saving, "capacity_bytes"));
	int code;

	if (result == SHMC_OK)
		code = put_messages(saving, &capture);
	else
		code = save_refuse(saving, result, "looking at its messages");
	capture_free(&capture);
	return code;
}

/* ring: what was there at one moment, or the newest of it where its producer writes over the rest
 * before it can be copied. */

static enum shmc_result read_ring(const struct shmc_ring *ring, uint8_t *bytes, uint64_t elements,
				  uint64_t *ret_count)
{
	enum shmc_result result = shmc_ring_read(ring, 0, bytes, elements, ret_count);

	for (uint64_t newest = elements; result == SHMC_LAPPED && newest > 0; newest /= 2)
		result = shmc_ring_last(ring, bytes, newest, ret_count);
	if (result == SHMC_EMPTY)
		*ret_count = 0;
	return result == SHMC_EMPTY ? SHMC_OK : result;
}

static int count_in_hand(void *context, const struct shmc_item *item)
{
	bool is_in_hand = item->flags & SHMC_ITEM_REDELIVERED ||
			  (item->state && strcmp(item->state, "taken") == 0);

	*(uint64_t *)context += is_in_hand;
	return !is_in_hand;
}

static int put_elements(struct saving *saving, const uint8_t *bytes, uint64_t count)
{
	struct shmc_look look = { .from = SHMC_LOOK_OLDEST };
	uint64_t in_hand = 0;
	int code;

	shmc_observer_look(saving->observer, &look, count_in_hand, &in_hand);
	saving->count = count;
	saving->bytes += count * save_option(saving, "element_bytes");
	shmp_json_add_u64(saving->description, "elements", count);
	shmp_json_add_u64(saving->description, "redelivered", in_hand < count ? in_hand : count);
	code = save_begin(saving);
	if (code == 0)
		code = archive_put_bytes(saving->writer, 0, bytes,
					 count * save_option(saving, "element_bytes"));
	return code;
}

static int save_ring(struct saving *saving)
{
	uint64_t elements = save_option(saving, "elements");
	uint64_t bytes = elements * save_option(saving, "element_bytes");
	uint8_t *room = malloc(bytes);
	enum shmc_result result;
	struct shmc_error error;
	struct shmc_ring *ring;
	uint64_t count = 0;
	int code;

	if (!room)
		return no_memory(saving, bytes);
	if (shmc_ring_open(saving->client, saving->name, SHMC_RING_OBSERVER, NULL, &ring, &error) !=
	    SHMC_OK) {
		free(room);
		return queue_report_error(&error);
	}
	result = read_ring(ring, room, elements, &count);
	code = result == SHMC_OK ? put_elements(saving, room, count) :
				   save_refuse(saving, result, "reading it");
	shmc_ring_close(ring);
	free(room);
	return code;
}

/* Values */

/* Which ranges have a checksum, and whether it fits. */
static void add_checksums(struct saving *saving, struct shmc_buffer *buffer)
{
	cJSON *list = must(cJSON_AddArrayToObject(saving->description, "checksums"));
	uint64_t max = save_option(saving, "checksums_max");

	for (uint64_t i = 0; i < max; i++) {
		uint64_t offset, bytes;
		cJSON *range;

		if (shmc_buffer_checksum_range(buffer, i, &offset, &bytes) != SHMC_OK)
			continue;
		range = must(cJSON_CreateObject());
		shmp_json_add_u64(range, "offset", offset);
		shmp_json_add_u64(range, "bytes", bytes);
		must(cJSON_AddBoolToObject(
			range, "damaged",
			shmc_buffer_verify(buffer, offset, bytes, NULL, SHMC_TRY) == SHMC_DAMAGED));
		cJSON_AddItemToArray(list, range);
	}
}

/* Under the lock, for as long as the copy takes; what a dead writer left is said to be that. */
static int copy_buffer(struct saving *saving, struct shmc_buffer *buffer, uint8_t *room,
		       uint64_t bytes)
{
	enum shmc_result result = shmc_buffer_lock_read(buffer, saving->options->timeout_ns);
	bool is_held = result == SHMC_OK || result == SHMC_OWNER_DIED;

	if (!is_held && result != SHMC_UNRECOVERABLE)
		return save_refuse(saving, result, "waiting for its lock");
	if (result != SHMC_OK)
		must(cJSON_AddTrueToObject(saving->description,
					   is_held ? "owner_died" : "unrecoverable"));
	result = shmc_buffer_read(buffer, 0, room, bytes);
	if (is_held) {
		add_checksums(saving, buffer);
		shmc_buffer_put_back(buffer);
	}
	return result == SHMC_OK ? 0 : save_refuse(saving, result, "reading it");
}

static int save_buffer(struct saving *saving)
{
	uint64_t bytes = save_option(saving, "size_bytes");
	uint8_t *room = malloc(bytes);
	struct shmc_buffer *buffer;
	struct shmc_error error;
	int code;

	if (!room)
		return no_memory(saving, bytes);
	if (shmc_buffer_open(saving->client, saving->name, SHMC_BUFFER_READER, &buffer, &error) !=
	    SHMC_OK) {
		free(room);
		return queue_report_error(&error);
	}
	code = copy_buffer(saving, buffer, room, bytes);
	shmc_buffer_close(buffer);
	saving->bytes += bytes;
	if (code == 0)
		code = save_begin(saving);
	if (code == 0)
		code = archive_put_bytes(saving->writer, 0, room, bytes);
	free(room);
	return code;
}

static int save_record(struct saving *saving)
{
	struct shmc_record *record;
	struct shmc_error error;
	enum shmc_result result;
	int code;

	value_add_fields(saving->options, saving->name, saving->description);
	if (!cJSON_GetObjectItemCaseSensitive(saving->description, "fields"))
		return save_refuse(saving, SHMC_BUSY, "reading its fields");
	if (shmc_record_open(saving->client, saving->name, SHMC_RECORD_READER, NULL, &record,
			     &error) != SHMC_OK)
		return queue_report_error(&error);
	result = shmc_record_snapshot(record);
	if (result == SHMC_OK) {
		shmp_json_add_u64(saving->description, "number", shmc_record_number(record));
		saving->count = shmc_record_field_count(record);
		saving->bytes += shmc_record_bytes(record);
		code = save_begin(saving);
		if (code == 0)
			code = archive_put_bytes(saving->writer, 0, shmc_record_data(record),
						 shmc_record_bytes(record));
	} else {
		code = save_refuse(saving, result, "reading it");
	}
	shmc_record_close(record);
	return code;
}

/* Element by element: nothing is promised to who reads while another writes. */
static int put_array(struct saving *saving, const struct shmc_array *array,
		     const struct shmc_array_options *options)
{
	uint64_t step = options->element_bytes < STEP_BYTES ? STEP_BYTES / options->element_bytes :
							      1;
	uint8_t *room = malloc(step * options->element_bytes);
	int code;

	if (!room)
		return no_memory(saving, step * options->element_bytes);
	saving->count = options->elements;
	saving->bytes += options->elements * options->element_bytes;
	code = save_begin(saving);
	for (uint64_t first = 0; code == 0 && first < options->elements; first += step) {
		uint64_t count = options->elements - first < step ? options->elements - first :
								    step;

		shmc_array_read(array, first, count, room);
		code = archive_put_bytes(saving->writer, first * options->element_bytes, room,
					 count * options->element_bytes);
	}
	free(room);
	return code;
}

static int save_array(struct saving *saving)
{
	struct shmc_array_options options;
	struct shmc_array *array;
	struct shmc_error error;
	int code;

	if (shmc_array_open(saving->client, saving->name, SHMC_ARRAY_OBSERVER, NULL, &array,
			    &error) != SHMC_OK)
		return queue_report_error(&error);
	shmc_array_options_of(array, &options);
	code = put_array(saving, array, &options);
	shmc_array_close(array);
	return code;
}

/* What looks show one by one */

struct putting {
	struct saving *saving;
	int code;
};

static int put_value(void *context, const struct shmc_item *item)
{
	struct putting *putting = context;

	putting->saving->bytes += item->size;
	putting->code = archive_put_bytes(putting->saving->writer, 0, item->data, item->size);
	return putting->code;
}

/* What is nobody's keeps its place in the count of handles, and has no content. */
static int put_object(void *context, const struct shmc_item *item)
{
	struct putting *putting = context;
	struct saving *saving = putting->saving;
	bool is_free = strcmp(item->state, "free") == 0;

	if (is_free && item->number >> 32 == 0)
		return stop_code(); /* as in a new pool */
	saving->count += !is_free;
	saving->bytes += is_free ? 0 : item->size;
	putting->code = archive_put(saving->writer, ARCHIVE_OBJECT, is_free ? ARCHIVE_FREE : 0,
				    item->number, item->data, is_free ? 0 : item->size);
	return putting->code;
}

static int save_items(struct saving *saving, uint64_t bytes, shmc_item_fn fn)
{
	struct putting putting = { .saving = saving };
	struct shmc_look look = { .from = SHMC_LOOK_OLDEST,
				  .buffer = malloc(bytes),
				  .buffer_bytes = bytes };
	enum shmc_result result;

	if (!look.buffer)
		return no_memory(saving, bytes);
	putting.code = save_begin(saving);
	if (putting.code == 0) {
		result = shmc_observer_look(saving->observer, &look, fn, &putting);
		if (putting.code == 0 && result != SHMC_OK)
			putting.code = save_refuse(saving, result, "looking at it");
	}
	free(look.buffer);
	return putting.code;
}

static int save_atomic(struct saving *saving)
{
	return save_items(saving, sizeof(uint64_t), put_value);
}

static int save_pool(struct saving *saving)
{
	return save_items(saving, save_option(saving, "object_bytes"), put_object);
}

static int save_rpc(struct saving *saving)
{
	if (saving->is_part)
		return save_begin(saving);
	return report(
		EXIT_REFUSED, "UNSUPPORTED",
		"'%s' is of kind rpc: a call is its caller's, who waits for the answer, and ends "
		"with him, so there is nothing that could be kept; make the service anew with "
		"the options that describe shows",
		saving->name);
}

/* Arenas */

struct names {
	char **at;
	size_t count;
};

static int note_name(void *context, const struct shmc_item *item)
{
	struct names *names = context;

	names->at = must(realloc(names->at, (names->count + 1) * sizeof(*names->at)));
	names->at[names->count++] = must_print("%s", item->name);
	return 0;
}

/* One object after the other, each as of a moment of its own. */
static int save_arena(struct saving *saving)
{
	struct shmc_look look = { .from = SHMC_LOOK_OLDEST };
	struct names names = { .count = 0 };
	int code = save_begin(saving);

	shmc_observer_look(saving->observer, &look, note_name, &names);
	for (size_t i = 0; i < names.count; i++) {
		char *name = must_print("%s:%s", saving->name, names.at[i]);
		uint64_t before = saving->writer->pieces;

		if (code == 0)
			code = save_segment(saving, name, true);
		saving->count += saving->writer->pieces > before;
		free(name);
		free(names.at[i]);
	}
	free(names.at);
	return code;
}

static const struct save_kind rows[] = {
	{ "arena", "objects", save_arena },
	{ "array", "elements", save_array },
	{ "atomic", NULL, save_atomic },
	{ "broadcast", "messages", save_broadcast },
	{ "buffer", NULL, save_buffer },
	{ "mpmc", "messages", save_mpmc },
	{ "pipe", "messages", save_pipe },
	{ "pool", "objects", save_pool },
	{ "record", "fields", save_record },
	{ "ring", "elements", save_ring },
	{ "rpc", NULL, save_rpc },
	{ "spsc", "messages", save_spsc },
	{ "stream", "messages", save_stream },
};

const struct save_kind *save_kind_find(const char *name)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	}
	return NULL;
}
