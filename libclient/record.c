/*
 * Handles of records. The moves are protocol/record.h's, the lock is libclient/lock.h's; here are
 * fields, types and transactions.
 */
#include "shmclient/record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/bell.h"
#include "libclient/error.h"
#include "libclient/lock.h"
#include "libclient/move.h"
#include "libclient/object.h"
#include "libclient/schema.h"
#include "libclient/wait.h"
#include "protocol/record.h"

static_assert(sizeof(struct shmc_place) == sizeof(struct shmp_place), "one is copied to the other");

struct shmc_record {
	const uint32_t *read_gate;  /* outside of a transaction */
	const uint32_t *begin_gate; /* a writer's, outside of a transaction */
	const uint32_t *draft_gate; /* in one */
	uint8_t *current;	    /* what get reads: the snapshot, or the draft */
	uint8_t *snapshot;
	uint64_t number; /* of the snapshot */
	bool is_writer;
	struct shmp_schema *schema;
	struct shmp_record view;
	struct shmp_locker locker;
	struct shmc__object object;
};

static void record_set_gates(struct shmc_record *record)
{
	const uint32_t *none = &shmc__gate_closed;
	const uint32_t *alive = record->object.alive;
	bool has_draft = record->view.draft != NULL;

	record->read_gate = has_draft ? none : alive;
	record->begin_gate = record->is_writer && !has_draft ? alive : none;
	record->draft_gate = has_draft ? alive : none;
	record->current = has_draft ? record->view.draft : record->snapshot;
}

/* Opening and closing. */

enum shmc_result shmc_record_create(struct shmc_client *client, const char *name,
				    const struct shmc_record_options *options,
				    struct shmc_error *error)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };
	struct shmp_schema *schema;
	enum shmc_result result;

	if (!options)
		return shmc__error(error, SHMC_INVALID, "options: a record has fields");
	result = shmc__schema_build(options->fields, options->field_count, options->version,
				    &schema, error);
	if (result != SHMC_OK)
		return result;
	option[SHMP_RECORD_BYTES] = schema->record_bytes;
	option[SHMP_RECORD_SCHEMA_BYTES] = shmp_schema_bytes(schema->field_count);
	option[SHMP_RECORD_LAYOUT_HASH] = schema->layout_hash;
	option[SHMP_RECORD_SCHEMA_VERSION] = schema->version;
	option[SHMP_RECORD_ENDPOINTS_MAX] = options->endpoints_max;
	result = shmc__object_create_with(client, name, &shmp_record_kind, option, options->mode,
					  options->reuse != 0, options->common, schema,
					  option[SHMP_RECORD_SCHEMA_BYTES], error);
	free(schema);
	return result;
}

static enum shmc_result record_check(struct shmc_record *record, const char *name,
				     const struct shmc_record_expected *expected,
				     struct shmc_error *error)
{
	struct shmp_schema *wanted;
	enum shmc_result result;

	if (expected->rule > SHMC_RECORD_CALLBACK ||
	    (expected->rule == SHMC_RECORD_CALLBACK && !expected->accept))
		return shmc__error(error, SHMC_INVALID, "expected: there is no such rule");
	if (expected->rule == SHMC_RECORD_CALLBACK)
		return expected->accept(expected->context, record) ?
			       SHMC_OK :
			       shmc__error(error, SHMC_MISMATCH,
					   "%s: the application does not accept its fields", name);
	result = shmc__schema_build(expected->fields, expected->field_count, expected->version,
				    &wanted, error);
	if (result != SHMC_OK)
		return result;
	result = shmc__schema_compare(name, record->schema, wanted,
				      (enum shmc_record_rule)expected->rule, error);
	free(wanted);
	return result;
}

/* The schema is believed only as far as it agrees with the sizes that the broker has said. */
static enum shmc_result record_take_schema(struct shmc_record *record, const char *name,
					   struct shmc_error *error)
{
	const struct shmp_segment *segment = &record->object.mapping->segment;
	const char *why = "it is of another record";
	int r;

	shmp_record_view(segment, &record->view);
	r = shmp_schema_take(record->view.schema, segment->plan.option[SHMP_RECORD_SCHEMA_BYTES],
			     &record->schema, &why);
	if (r == 0 && record->schema->record_bytes != record->view.bytes)
		r = -EBADMSG;
	if (r == -EBADMSG)
		return shmc__error(error, SHMC_CORRUPT, "%s: its schema is damaged: %s", name, why);
	record->snapshot = r == 0 ? calloc(1, record->view.bytes) : NULL;
	if (!record->snapshot)
		return shmc__error_from_errno(error, "open the record", ENOMEM);
	return SHMC_OK;
}

static enum shmc_result record_attach(struct shmc_record *record, const char *name,
				      const struct shmc_record_expected *expected,
				      struct shmc_error *error)
{
	enum shmc_result result = record_take_schema(record, name, error);

	if (result != SHMC_OK)
		return result;
	if (record->is_writer)
		shmp_lock_attach(&record->view.control->lock, &record->object.mapping->segment,
				 record->object.endpoint, &record->locker);
	record_set_gates(record);
	return expected ? record_check(record, name, expected, error) : SHMC_OK;
}

static void record_free(struct shmc_record *record)
{
	free(record->schema);
	free(record->snapshot);
	free(record);
}

enum shmc_result shmc_record_open(struct shmc_client *client, const char *name,
				  enum shmc_record_role role,
				  const struct shmc_record_expected *expected,
				  struct shmc_record **ret_record, struct shmc_error *error)
{
	static const char *const names[] = {
		[SHMC_RECORD_WRITER] = "writer",
		[SHMC_RECORD_READER] = "observer",
		[SHMC_RECORD_WATCHER] = "watcher",
	};
	struct shmc_record *record;
	enum shmc_result result;

	if ((unsigned int)role > SHMC_RECORD_WATCHER)
		return shmc__error(error, SHMC_INVALID,
				   "role: neither writer nor reader nor watcher");
	record = calloc(1, sizeof(*record));
	if (!record)
		return shmc__error_from_errno(error, "open the record", ENOMEM);
	record->is_writer = role == SHMC_RECORD_WRITER;
	result = shmc__object_open(&record->object, client, name, &shmp_record_kind, names[role],
				   error);
	if (result == SHMC_OK) {
		result = record_attach(record, name, expected, error);
		if (result != SHMC_OK)
			shmc__object_close(&record->object);
	}
	if (result != SHMC_OK) {
		record_free(record);
		return result;
	}
	*ret_record = record;
	return SHMC_OK;
}

struct shmc_record *shmc_record_close(struct shmc_record *record)
{
	if (record) {
		shmc__object_close(&record->object);
		record_free(record);
	}
	return NULL;
}

/* Fields. */

uint64_t shmc_record_version(const struct shmc_record *record)
{
	return record->schema->version;
}

uint64_t shmc_record_bytes(const struct shmc_record *record)
{
	return record->schema->record_bytes;
}

uint32_t shmc_record_field_count(const struct shmc_record *record)
{
	return record->schema->field_count;
}

enum shmc_result shmc_record_field(const struct shmc_record *record, uint32_t index,
				   struct shmc_field_info *ret_info)
{
	const struct shmp_schema_field *field;

	if (index >= record->schema->field_count)
		return SHMC_INVALID;
	field = &shmp_schema_fields(record->schema)[index];
	*ret_info = (struct shmc_field_info){
		.name = (const char *)field->name,
		.type = field->type,
		.count = field->count,
		.bytes = field->bytes,
		.parent = field->parent,
		.offset = field->offset,
	};
	return SHMC_OK;
}

static enum shmc_result record_find(const struct shmc_record *record, const char *path,
				    struct shmp_place *ret_place)
{
	int r = path ? shmp_schema_find(record->schema, path, ret_place) : -EINVAL;

	if (r == 0)
		return SHMC_OK;
	return r == -ENOENT ? SHMC_NOT_FOUND : SHMC_INVALID;
}

enum shmc_result shmc_record_find(const struct shmc_record *record, const char *path,
				  struct shmc_place *ret_place)
{
	struct shmp_place place = { .field = 0 };
	enum shmc_result result = record_find(record, path, &place);

	if (result == SHMC_OK)
		memcpy(ret_place, &place, sizeof(place));
	return result;
}

/* Whether what the caller hands in leads anywhere but into this record. */
static bool record_take_place(const struct shmc_record *record, const struct shmc_place *given,
			      struct shmp_place *ret_place)
{
	const struct shmp_schema_field *field;
	uint64_t bytes = record->schema->record_bytes;
	uint64_t elements = given->count != 0 ? given->count : 1;

	if (given->field >= record->schema->field_count)
		return false;
	field = &shmp_schema_fields(record->schema)[given->field];
	if (given->type != field->type || given->bytes != field->bytes ||
	    (given->count != 0 && given->count != field->count) || given->offset > bytes ||
	    elements * given->bytes > bytes - given->offset)
		return false;
	if (given->length_at != UINT64_MAX && given->length_at > bytes - SHMP_SCHEMA_LENGTH)
		return false;
	memcpy(ret_place, given, sizeof(*ret_place));
	return true;
}

/* Reading. */

SHMC__HOT enum shmc_result shmc_record_snapshot(struct shmc_record *record)
{
	if (!shmc__gate_is_open(record->read_gate))
		return shmc__move_refuse(&record->object);
	if (SHMP_UNLIKELY(shmp_record_read(&record->view, record->snapshot, &record->number) !=
			  SHMP_DONE))
		return SHMC_CORRUPT;
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_record_read(const struct shmc_record *record, void *ret_record,
					    uint64_t bytes, uint64_t *ret_number)
{
	uint64_t number;

	if (shmc__object_is_forked(&record->object))
		return SHMC_FORKED;
	if (bytes < record->view.bytes)
		return SHMC_TOO_BIG;
	if (SHMP_UNLIKELY(shmp_record_read(&record->view, ret_record, &number) != SHMP_DONE))
		return SHMC_CORRUPT;
	if (ret_number)
		*ret_number = number - 1;
	return SHMC_OK;
}

/* Waiting. */

static int record_move_look(void *context)
{
	struct shmc_record *record = context;

	if (!shmp_record_is_newer(&record->view, record->number))
		return SHMP_EMPTY;
	return shmp_record_read(&record->view, record->snapshot, &record->number);
}

enum shmc_result shmc_record_wait(struct shmc_record *record, int64_t timeout_ns)
{
	int r;

	if (!shmc__gate_is_open(record->read_gate) || shmc__object_observes(&record->object))
		return shmc__move_refuse(&record->object);
	r = shmc__move_receive(&record->object, &record->view.control->committed, timeout_ns,
			       record_move_look, record);
	return r == SHMP_DONE ? SHMC_OK : shmc__move_answer(&record->object, r);
}

enum shmc_result shmc_record_fd(struct shmc_record *record, int *ret_fd, struct shmc_error *error)
{
	enum shmc_result result;

	if (shmc__object_is_forked(&record->object))
		return shmc__error(error, SHMC_FORKED, "this record is the parent process's");
	if (shmc__object_observes(&record->object))
		return shmc__error(error, SHMC_INVALID,
				   "a reader has no descriptor: open it as watcher");
	result = shmc__bell_open(&record->object, error);
	if (result == SHMC_OK)
		*ret_fd = record->object.bell.poll.fd;
	return result;
}

uint64_t shmc_record_number(const struct shmc_record *record)
{
	return record->number != 0 ? record->number - 1 : 0;
}

const void *shmc_record_data(const struct shmc_record *record)
{
	return shmc__object_is_forked(&record->object) ? NULL : record->current;
}

/* An element that its array does not use now is not there. */
static enum shmc_result record_is_used(const struct shmc_record *record,
				       const struct shmp_place *place)
{
	uint64_t length;

	if (place->length_at == UINT64_MAX)
		return SHMC_OK;
	memcpy(&length, record->current + place->length_at, sizeof(length));
	return place->index < length ? SHMC_OK : SHMC_NOT_FOUND;
}

static enum shmc_result record_get_string(const uint8_t *from, uint32_t room, void *ret_value,
					  uint64_t bytes)
{
	size_t length = strnlen((const char *)from, room);

	if (length == room)
		return SHMC_CORRUPT;
	if (length >= bytes)
		return SHMC_TOO_BIG;
	memcpy(ret_value, from, length);
	((char *)ret_value)[length] = '\0';
	return SHMC_OK;
}

enum shmc_result shmc_record_get(const struct shmc_record *record, const struct shmc_place *given,
				 enum shmc_type type, void *ret_value, uint64_t bytes)
{
	struct shmp_place place;
	enum shmc_result result;

	if (shmc__object_is_forked(&record->object))
		return SHMC_FORKED;
	if (!record_take_place(record, given, &place))
		return SHMC_INVALID;
	if (place.type != (uint32_t)type || place.count != 0)
		return SHMC_MISMATCH;
	result = record_is_used(record, &place);
	if (result != SHMC_OK)
		return result;
	if (type == SHMC_TYPE_STRING)
		return record_get_string(record->current + place.offset, place.bytes, ret_value,
					 bytes);
	if (bytes != place.bytes)
		return SHMC_MISMATCH;
	memcpy(ret_value, record->current + place.offset, bytes);
	return SHMC_OK;
}

enum shmc_result shmc_record_get_array(const struct shmc_record *record,
				       const struct shmc_place *given, enum shmc_type type,
				       void *ret_values, uint64_t max, uint64_t *ret_count)
{
	struct shmp_place place;
	uint64_t length;

	if (shmc__object_is_forked(&record->object))
		return SHMC_FORKED;
	if (!record_take_place(record, given, &place))
		return SHMC_INVALID;
	if (place.type != (uint32_t)type || place.count == 0)
		return SHMC_MISMATCH;
	if (shmp_schema_length(&place, record->current, &length) < 0)
		return SHMC_CORRUPT;
	if (length > max)
		return SHMC_TOO_BIG;
	if (length != 0)
		memcpy(ret_values, record->current + place.offset, length * place.bytes);
	*ret_count = length;
	return SHMC_OK;
}

enum shmc_result shmc_record_get_text(const struct shmc_record *record, const char *path,
				      char *ret_text, uint64_t bytes)
{
	struct shmp_place place = { .field = 0 };
	enum shmc_result result;

	if (shmc__object_is_forked(&record->object))
		return SHMC_FORKED;
	result = record_find(record, path, &place);
	if (result == SHMC_OK && place.count == 0)
		result = record_is_used(record, &place);
	if (result == SHMC_OK && place.type == SHMP_TYPE_STRUCT)
		result = SHMC_MISMATCH;
	if (result == SHMC_OK)
		shmp_schema_text(&place, record->current, ret_text, bytes);
	return result;
}

/* Transactions. */

static enum shmc_result record_lock(struct shmc_record *record, int64_t timeout_ns)
{
	int r;

	if (!shmc__gate_is_open(record->begin_gate))
		return shmc__move_refuse(&record->object);
	r = shmc__lock_write(&record->object, &record->locker, timeout_ns);
	if (SHMP_UNLIKELY(r == SHMP_OWNER_DIED)) {
		/* what he left unfinished is nowhere to be seen */
		shmp_lock_mark_consistent(&record->locker);
		return SHMC_OK;
	}
	/* no writer of a record leaves it so */
	if (SHMP_UNLIKELY(r == SHMP_UNRECOVERABLE))
		return SHMC_CORRUPT;
	return SHMP_LIKELY(r == SHMP_DONE) ? SHMC_OK : shmc__move_answer(&record->object, r);
}

static SHMP_COLD void record_tell(struct shmc_record *record)
{
	shmp_record_tell(&record->view, shmc__bell_ring, &record->object);
}

static void record_publish(struct shmc_record *record)
{
	struct shmp_endpoint *self = shmc__object_self(&record->object);

	shmp_record_commit(&record->view);
	shmp_endpoint_count(&self->items, 1);
	shmp_endpoint_count(&self->bytes, record->view.bytes);
	shmp_lock_unlock(&record->locker);
	/* last: nobody waits for the lock while others are woken */
	if (SHMP_UNLIKELY(shmp_record_is_watched(&record->view)))
		record_tell(record);
}

enum shmc_result shmc_record_begin(struct shmc_record *record, int64_t timeout_ns)
{
	enum shmc_result result = record_lock(record, timeout_ns);

	if (result != SHMC_OK)
		return result;
	shmp_record_begin(&record->view);
	shmp_record_keep(&record->view);
	record_set_gates(record);
	return SHMC_OK;
}

enum shmc_result shmc_record_commit(struct shmc_record *record)
{
	if (!shmc__gate_is_open(record->draft_gate))
		return shmc__move_refuse(&record->object);
	record_publish(record);
	record_set_gates(record);
	return SHMC_OK;
}

enum shmc_result shmc_record_abort(struct shmc_record *record)
{
	if (!shmc__gate_is_open(record->draft_gate))
		return shmc__move_refuse(&record->object);
	record->view.draft = NULL;
	shmp_lock_unlock(&record->locker);
	record_set_gates(record);
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_record_write(struct shmc_record *record, const void *data,
					     uint64_t bytes, int64_t timeout_ns)
{
	enum shmc_result result;

	if (SHMP_UNLIKELY(bytes != record->view.bytes))
		return shmc__object_is_forked(&record->object) ? SHMC_FORKED : SHMC_MISMATCH;
	result = record_lock(record, timeout_ns);
	if (SHMP_UNLIKELY(result != SHMC_OK))
		return result;
	shmp_record_begin(&record->view);
	shmp_record_copy(record->view.draft, data, bytes);
	record_publish(record);
	return SHMC_OK;
}

void *shmc_record_edit(struct shmc_record *record)
{
	return shmc__gate_is_open(record->draft_gate) ? record->view.draft : NULL;
}

static bool record_is_bool(uint32_t type, const void *value)
{
	return type != SHMP_TYPE_BOOL || *(const uint8_t *)value <= 1;
}

static enum shmc_result record_put_string(uint8_t *to, uint32_t room, const void *value,
					  uint64_t bytes)
{
	if (bytes >= room)
		return SHMC_TOO_BIG;
	if (!shmp_type_is_text(value, bytes))
		return SHMC_INVALID;
	memcpy(to, value, bytes);
	memset(to + bytes, 0, room - bytes);
	return SHMC_OK;
}

/* Uses all elements up to the one that was set. */
static void record_use(struct shmc_record *record, const struct shmp_place *place)
{
	uint64_t length;

	if (place->length_at == UINT64_MAX)
		return;
	memcpy(&length, record->current + place->length_at, sizeof(length));
	if (length > place->index)
		return;
	length = place->index + UINT64_C(1);
	memcpy(record->current + place->length_at, &length, sizeof(length));
}

enum shmc_result shmc_record_put(struct shmc_record *record, const struct shmc_place *given,
				 enum shmc_type type, const void *value, uint64_t bytes)
{
	enum shmc_result result = SHMC_OK;
	struct shmp_place place;

	if (!shmc__gate_is_open(record->draft_gate) || !record_take_place(record, given, &place))
		return shmc__move_refuse(&record->object);
	if (place.type != (uint32_t)type || place.count != 0)
		return SHMC_MISMATCH;
	if (type == SHMC_TYPE_STRING)
		result = record_put_string(record->current + place.offset, place.bytes, value,
					   bytes);
	else if (bytes != place.bytes)
		result = SHMC_MISMATCH;
	else if (!record_is_bool(place.type, value))
		result = SHMC_INVALID;
	else
		memcpy(record->current + place.offset, value, bytes);
	if (result == SHMC_OK)
		record_use(record, &place);
	return result;
}

/* Elements as they will lie there: strings ended and of UTF-8, bools one of two. */
static bool record_are_good(const struct shmp_place *place, const uint8_t *values, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++, values += place->bytes) {
		size_t length;

		if (!record_is_bool(place->type, values))
			return false;
		if (place->type != SHMP_TYPE_STRING)
			continue;
		length = strnlen((const char *)values, place->bytes);
		if (length == place->bytes || !shmp_type_is_text((const char *)values, length))
			return false;
	}
	return true;
}

enum shmc_result shmc_record_put_array(struct shmc_record *record, const struct shmc_place *given,
				       enum shmc_type type, const void *values, uint64_t count)
{
	struct shmp_place place;

	if (!shmc__gate_is_open(record->draft_gate) || !record_take_place(record, given, &place))
		return shmc__move_refuse(&record->object);
	if (place.type != (uint32_t)type || place.count == 0)
		return SHMC_MISMATCH;
	if (count > place.count)
		return SHMC_TOO_BIG;
	if (place.length_at == UINT64_MAX && count != place.count)
		return SHMC_INVALID;
	if (!record_are_good(&place, values, count))
		return SHMC_INVALID;
	if (count != 0)
		memcpy(record->current + place.offset, values, count * place.bytes);
	if (place.length_at != UINT64_MAX)
		memcpy(record->current + place.length_at, &count, sizeof(count));
	return SHMC_OK;
}

enum shmc_result shmc_record_put_text(struct shmc_record *record, const char *path,
				      const char *text)
{
	struct shmp_place place = { .field = 0 };
	enum shmc_result result;
	int r;

	if (!shmc__gate_is_open(record->draft_gate))
		return shmc__move_refuse(&record->object);
	result = record_find(record, path, &place);
	if (result != SHMC_OK)
		return result;
	if (place.type == SHMP_TYPE_STRUCT || place.count != 0)
		return SHMC_MISMATCH;
	r = shmp_schema_parse(&place, text, record->current);
	if (r == 0)
		return SHMC_OK;
	return r == -ERANGE ? SHMC_TOO_BIG : SHMC_INVALID;
}

enum shmc_result shmc_record_statistics(const struct shmc_record *record,
					struct shmc_statistics *ret_statistics)
{
	if (shmc__object_is_forked(&record->object))
		return SHMC_FORKED;
	shmc__object_statistics_of_all(&record->object, ret_statistics);
	return SHMC_OK;
}
