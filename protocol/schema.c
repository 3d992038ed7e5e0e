/* schema: see schema.h. */
#include "protocol/schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/hash.h"

/* Fields by themselves */

static bool is_name_char(uint8_t c, bool is_first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!is_first && c >= '0' && c <= '9');
}

static bool is_name(const uint8_t *name)
{
	size_t length = 0;

	while (length < SHMP_SCHEMA_NAME_BYTES && name[length] != 0) {
		if (!is_name_char(name[length], length == 0))
			return false;
		length++;
	}
	if (length == 0 || length == SHMP_SCHEMA_NAME_BYTES)
		return false;
	for (size_t i = length; i < SHMP_SCHEMA_NAME_BYTES; i++)
		if (name[i] != 0)
			return false;
	return true;
}

static uint32_t depth_of(const struct shmp_schema_field *fields, uint32_t index)
{
	uint32_t depth = 1;

	/* ends: every parent comes before its child */
	for (; fields[index].parent != 0; index = fields[index].parent - 1)
		depth++;
	return depth;
}

static const char *wrong_with(const struct shmp_schema_field *fields, uint32_t index)
{
	const struct shmp_schema_field *field = &fields[index];
	uint32_t bytes = shmp_type_bytes(field->type);

	if (!is_name(field->name))
		return "a name is 1 to 47 letters, digits and _, and begins with no digit";
	if (field->type >= SHMP_TYPE_COUNT)
		return "there is no such type";
	if (field->count > SHMP_SCHEMA_COUNT_MAX)
		return "an array has at most 2^24 elements";
	if (field->parent > index)
		return "its struct has to come before it";
	if (field->parent != 0 && fields[field->parent - 1].type != SHMP_TYPE_STRUCT)
		return "what it is part of is no struct";
	if (depth_of(fields, index) > SHMP_SCHEMA_DEPTH_MAX)
		return "structs are at most 8 deep";
	if (field->type == SHMP_TYPE_STRUCT)
		return NULL;
	if (bytes != 0 && field->bytes != 0 && field->bytes != bytes)
		return "its type has another size";
	if (bytes == 0 && field->bytes < (field->type == SHMP_TYPE_STRING ? 2 : 1))
		return "its size is missing";
	return field->bytes > SHMP_SCHEMA_RECORD_MAX ? "it is larger than 2^26 bytes" : NULL;
}

static bool has_twin(const struct shmp_schema_field *fields, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++)
		if (fields[i].parent == fields[index].parent &&
		    memcmp(fields[i].name, fields[index].name, SHMP_SCHEMA_NAME_BYTES) == 0)
			return true;
	return false;
}

static const char *check_fields(const struct shmp_schema *schema, uint32_t *ret_field)
{
	const struct shmp_schema_field *fields = shmp_schema_fields(schema);

	for (uint32_t i = 0; i < schema->field_count; i++) {
		const char *why = wrong_with(fields, i);

		*ret_field = i;
		if (!why && has_twin(fields, i))
			why = "the name is there twice";
		if (why)
			return why;
	}
	return NULL;
}

/* Layout */

static uint64_t alignment_of(const struct shmp_schema_field *field)
{
	if (field->count != 0 || field->type == SHMP_TYPE_STRUCT)
		return 8;
	if (field->type == SHMP_TYPE_STRING || field->type == SHMP_TYPE_BYTES)
		return 1;
	return field->bytes < 8 ? field->bytes : 8;
}

static bool has_length(const struct shmp_schema_field *field)
{
	return field->count != 0 && field->type != SHMP_TYPE_STRUCT;
}

static uint64_t extent_of(const struct shmp_schema_field *field)
{
	uint64_t elements = field->count != 0 ? (uint64_t)field->count * field->bytes :
						field->bytes;

	return elements + (has_length(field) ? SHMP_SCHEMA_LENGTH : 0);
}

/* Places the children of @parent; their bytes are known. 0 = too large, or empty. */
static uint64_t lay_out(struct shmp_schema *schema, uint32_t parent)
{
	struct shmp_schema_field *fields = shmp_schema_fields(schema);
	uint64_t at = 0;

	for (uint32_t i = parent; i < schema->field_count; i++) {
		if (fields[i].parent != parent)
			continue;
		at = shmp_round_up(at, alignment_of(&fields[i]));
		fields[i].offset = at;
		at += extent_of(&fields[i]);
		if (at > SHMP_SCHEMA_RECORD_MAX)
			return 0;
	}
	return shmp_round_up(at, 8);
}

/* Over what decides where a field lies and what it means. */
static uint64_t hash_of(const struct shmp_schema *schema)
{
	const struct shmp_schema_field *fields = shmp_schema_fields(schema);
	uint64_t hash = shmp_hash_word(SHMP_HASH_BEGIN, schema->record_bytes);

	for (uint32_t i = 0; i < schema->field_count; i++) {
		hash = shmp_hash_bytes(hash, fields[i].name, sizeof(fields[i].name));
		hash = shmp_hash_word(hash, fields[i].type);
		hash = shmp_hash_word(hash, fields[i].count);
		hash = shmp_hash_word(hash, fields[i].bytes);
		hash = shmp_hash_word(hash, fields[i].parent);
		hash = shmp_hash_word(hash, fields[i].offset);
	}
	return shmp_hash_end(hash);
}

int shmp_schema_seal(struct shmp_schema *schema, const char **ret_why, uint32_t *ret_field)
{
	struct shmp_schema_field *fields = shmp_schema_fields(schema);

	*ret_field = schema->field_count;
	*ret_why = "a record has 1 to 500 fields";
	if (schema->field_count == 0 || schema->field_count > SHMP_SCHEMA_FIELDS_MAX)
		return -EINVAL;
	*ret_why = check_fields(schema, ret_field);
	if (*ret_why)
		return -EINVAL;
	/* children first: they come behind their parents */
	for (uint32_t i = schema->field_count; i-- > 0;) {
		uint64_t bytes = shmp_type_bytes(fields[i].type);

		if (fields[i].type == SHMP_TYPE_STRUCT)
			bytes = lay_out(schema, i + 1);
		else if (bytes == 0)
			bytes = fields[i].bytes;
		*ret_field = i;
		*ret_why = "it is empty, or larger than 2^26 bytes";
		if (bytes == 0)
			return -EINVAL;
		fields[i].bytes = (uint32_t)bytes;
	}
	*ret_field = schema->field_count;
	*ret_why = "the record is larger than 2^26 bytes";
	schema->record_bytes = lay_out(schema, 0);
	if (schema->record_bytes == 0)
		return -EINVAL;
	schema->magic = SHMP_SCHEMA_MAGIC;
	schema->format = SHMP_SCHEMA_VERSION;
	schema->layout_hash = hash_of(schema);
	return 0;
}

int shmp_schema_take(const void *image, size_t bytes, struct shmp_schema **ret_schema,
		     const char **ret_why)
{
	struct shmp_schema *schema;
	uint64_t hash, record_bytes;
	uint32_t field;
	int r = -EBADMSG;

	*ret_why = "the schema is shorter or longer than its fields";
	if (bytes < sizeof(*schema) || bytes > SHMP_SCHEMA_BYTES_MAX)
		return -EBADMSG;
	schema = malloc(bytes);
	if (!schema)
		return -ENOMEM;
	memcpy(schema, image, bytes);
	hash = schema->layout_hash;
	record_bytes = schema->record_bytes;
	if (schema->magic != SHMP_SCHEMA_MAGIC || schema->format != SHMP_SCHEMA_VERSION)
		*ret_why = "it is no schema of a version that is known here";
	else if (shmp_schema_bytes(schema->field_count) != bytes)
		*ret_why = "the schema is shorter or longer than its fields";
	else if (hash_of(schema) != hash)
		*ret_why = "the schema's hash is another";
	else if (shmp_schema_seal(schema, ret_why, &field) == 0)
		r = schema->layout_hash == hash && schema->record_bytes == record_bytes ? 0 :
											  -EBADMSG;
	if (r == 0) {
		*ret_schema = schema;
		return 0;
	}
	free(schema);
	return r;
}

/* Paths */

static const char *name_end(const char *at)
{
	while (is_name_char((uint8_t)*at, false))
		at++;
	return at;
}

static bool find_child(const struct shmp_schema *schema, uint32_t parent, const char *name,
		       size_t length, uint32_t *ret_index)
{
	const struct shmp_schema_field *fields = shmp_schema_fields(schema);

	for (uint32_t i = parent; i < schema->field_count; i++) {
		if (fields[i].parent == parent && length < SHMP_SCHEMA_NAME_BYTES &&
		    memcmp(fields[i].name, name, length) == 0 && fields[i].name[length] == 0) {
			*ret_index = i;
			return true;
		}
	}
	return false;
}

/* "[7]": 0, moving *at behind it; -EINVAL, -ERANGE. */
static int read_index(const char **at, uint32_t count, uint32_t *ret_index)
{
	uint64_t index = 0;
	const char *digit = *at + 1;

	if (*digit < '0' || *digit > '9')
		return -EINVAL;
	for (; *digit >= '0' && *digit <= '9'; digit++) {
		index = index * 10 + (uint64_t)(*digit - '0');
		if (index >= count)
			return -ERANGE;
	}
	if (*digit != ']')
		return -EINVAL;
	*at = digit + 1;
	*ret_index = (uint32_t)index;
	return 0;
}

static struct shmp_place place_of(const struct shmp_schema *schema, uint32_t index, uint64_t base)
{
	const struct shmp_schema_field *field = &shmp_schema_fields(schema)[index];
	uint64_t at = base + field->offset;

	return (struct shmp_place){
		.offset = has_length(field) ? at + SHMP_SCHEMA_LENGTH : at,
		.length_at = has_length(field) ? at : UINT64_MAX,
		.type = field->type,
		.count = field->count,
		.bytes = field->bytes,
		.field = index,
	};
}

/* From an array to one of its elements. */
static void go_to(struct shmp_place *place, uint32_t index)
{
	place->offset += (uint64_t)index * place->bytes;
	place->index = index;
	place->count = 0;
}

int shmp_schema_find(const struct shmp_schema *schema, const char *path,
		     struct shmp_place *ret_place)
{
	struct shmp_place place = { .field = 0 };
	uint32_t parent = 0, index;
	uint64_t base = 0;
	const char *end;

	for (;; path = end + 1) {
		end = name_end(path);
		if (!find_child(schema, parent, path, (size_t)(end - path), &index))
			return end == path ? -EINVAL : -ENOENT;
		place = place_of(schema, index, base);
		if (*end == '[') {
			int r = place.count == 0 ? -EINVAL : read_index(&end, place.count, &index);

			if (r < 0)
				return r;
			go_to(&place, index);
		}
		if (*end == '\0')
			break;
		if (*end != '.' || place.type != SHMP_TYPE_STRUCT || place.count != 0)
			return -EINVAL;
		base = place.offset;
		parent = place.field + 1;
	}
	*ret_place = place;
	return 0;
}

int shmp_schema_length(const struct shmp_place *place, const uint8_t *record, uint64_t *ret_length)
{
	uint64_t length = place->count;

	if (place->length_at != UINT64_MAX)
		memcpy(&length, record + place->length_at, sizeof(length));
	if (place->count != 0 && length > place->count)
		return -EBADMSG;
	*ret_length = length;
	return 0;
}

static size_t text_of_array(const struct shmp_place *place, const uint8_t *record, char *text,
			    size_t room)
{
	uint64_t length;
	size_t at = 1;

	if (shmp_schema_length(place, record, &length) < 0)
		return (size_t)snprintf(text, room, "?");
	text[0] = '[';
	/* room for the dots, the bracket and the end */
	for (uint64_t i = 0; i < length; i++) {
		char one[SHMP_TYPE_TEXT * 4];
		size_t bytes = shmp_type_format(place->type,
						record + place->offset + i * place->bytes,
						place->bytes, one, sizeof(one));

		if (bytes >= sizeof(one))
			bytes = sizeof(one) - 1;
		if (at + bytes + 10 > room) {
			memcpy(text + at, "...", 3);
			at += 3;
			break;
		}
		memcpy(text + at, one, bytes);
		at += bytes;
		if (i + 1 < length) {
			memcpy(text + at, ", ", 2);
			at += 2;
		}
	}
	text[at++] = ']';
	text[at] = '\0';
	return at;
}

size_t shmp_schema_text(const struct shmp_place *place, const uint8_t *record, char *text,
			size_t room)
{
	size_t length;

	if (room < 16 || place->type == SHMP_TYPE_STRUCT) {
		if (room > 0)
			text[0] = '\0';
		return 0;
	}
	if (place->count != 0)
		return text_of_array(place, record, text, room);
	length = shmp_type_format(place->type, record + place->offset, place->bytes, text, room);
	return length < room ? length : room - 1;
}

int shmp_schema_parse(const struct shmp_place *place, const char *text, uint8_t *record)
{
	uint64_t length;
	int r;

	if (place->type == SHMP_TYPE_STRUCT || place->count != 0)
		return -EINVAL;
	r = shmp_type_parse(place->type, text, record + place->offset, place->bytes);
	if (r < 0 || place->length_at == UINT64_MAX)
		return r;
	memcpy(&length, record + place->length_at, sizeof(length));
	if (length <= place->index) {
		length = place->index + UINT64_C(1);
		memcpy(record + place->length_at, &length, sizeof(length));
	}
	return 0;
}

/* Walking */

struct walk {
	const struct shmp_schema *schema;
	shmp_schema_fn fn;
	void *context;
	char path[SHMP_SCHEMA_PATH_BYTES];
};

static int walk_children(struct walk *walk, uint32_t parent, uint64_t base, size_t at);

static int walk_struct(struct walk *walk, const struct shmp_place *place, size_t at)
{
	uint32_t count = place->count;
	int r = 0;

	if (count == 0) {
		walk->path[at] = '.';
		return walk_children(walk, place->field + 1, place->offset, at + 1);
	}
	for (uint32_t i = 0; r == 0 && i < count; i++) {
		size_t length = (size_t)snprintf(walk->path + at, sizeof(walk->path) - at, "[%u].",
						 i);

		r = walk_children(walk, place->field + 1,
				  place->offset + (uint64_t)i * place->bytes, at + length);
	}
	return r;
}

/* Bounded by the depth and, since every struct has bytes, by those of the record. */
static int walk_children(struct walk *walk, uint32_t parent, uint64_t base, size_t at)
{
	const struct shmp_schema_field *fields = shmp_schema_fields(walk->schema);
	int r = 0;

	for (uint32_t i = parent; r == 0 && i < walk->schema->field_count; i++) {
		struct shmp_place place;
		size_t length;

		if (fields[i].parent != parent)
			continue;
		place = place_of(walk->schema, i, base);
		length = strlen((const char *)fields[i].name);
		memcpy(walk->path + at, fields[i].name, length + 1);
		if (place.type == SHMP_TYPE_STRUCT)
			r = walk_struct(walk, &place, at + length);
		else
			r = walk->fn(walk->context, walk->path, &place);
	}
	return r;
}

int shmp_schema_each(const struct shmp_schema *schema, shmp_schema_fn fn, void *context)
{
	struct walk walk = { .schema = schema, .fn = fn, .context = context };

	return walk_children(&walk, 0, 0, 0);
}
