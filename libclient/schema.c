#include "libclient/schema.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/error.h"

/* How many there are with those inside; more than the limit is as good as the limit + 1. */
static uint32_t schema_count(const struct shmc_field *fields, uint32_t field_count, uint32_t depth)
{
	uint32_t count = field_count;

	for (uint32_t i = 0; i < field_count && count <= SHMP_SCHEMA_FIELDS_MAX; i++)
		if (fields[i].fields && depth < SHMP_SCHEMA_DEPTH_MAX)
			count += schema_count(fields[i].fields, fields[i].field_count, depth + 1);
	return count <= SHMP_SCHEMA_FIELDS_MAX ? count : SHMP_SCHEMA_FIELDS_MAX + 1;
}

/* Parents first. False: a name that no field can have. */
static bool schema_add(struct shmp_schema *schema, const struct shmc_field *fields,
		       uint32_t field_count, uint32_t parent, uint32_t depth)
{
	for (uint32_t i = 0; i < field_count; i++) {
		struct shmp_schema_field *field = &shmp_schema_fields(schema)[schema->field_count];
		size_t length = fields[i].name ? strlen(fields[i].name) : 0;

		*field = (struct shmp_schema_field){
			.type = (uint32_t)fields[i].type,
			.count = fields[i].count,
			.bytes = fields[i].bytes,
			.parent = parent,
		};
		/* one that is too long stays empty, and is refused as such */
		if (length < SHMP_SCHEMA_NAME_BYTES)
			memcpy(field->name, fields[i].name ? fields[i].name : "", length);
		schema->field_count++;
		if (fields[i].fields && depth < SHMP_SCHEMA_DEPTH_MAX &&
		    !schema_add(schema, fields[i].fields, fields[i].field_count,
				schema->field_count, depth + 1))
			return false;
	}
	return true;
}

enum shmc_result shmc__schema_build(const struct shmc_field *fields, uint32_t field_count,
				    uint64_t version, struct shmp_schema **ret_schema,
				    struct shmc_error *error)
{
	uint32_t count = fields ? schema_count(fields, field_count, 1) : 0;
	struct shmp_schema *schema;
	const char *why;
	uint32_t wrong;

	if (count == 0 || count > SHMP_SCHEMA_FIELDS_MAX)
		return shmc__error(error, SHMC_INVALID, "fields: a record has 1 to %u of them",
				   SHMP_SCHEMA_FIELDS_MAX);
	schema = calloc(1, shmp_schema_bytes(count));
	if (!schema)
		return shmc__error_from_errno(error, "lay out the record", ENOMEM);
	schema->version = version;
	schema_add(schema, fields, field_count, 0, 1);
	if (shmp_schema_seal(schema, &why, &wrong) == 0) {
		*ret_schema = schema;
		return SHMC_OK;
	}
	if (wrong < schema->field_count)
		shmc__error(error, SHMC_INVALID, "field %u (\"%.47s\"): %s", wrong,
			    (const char *)shmp_schema_fields(schema)[wrong].name, why);
	else
		shmc__error(error, SHMC_INVALID, "fields: %s", why);
	free(schema);
	return SHMC_INVALID;
}

/* The field of the same name, in the struct of the same name. NULL: there is none. */
static const struct shmp_schema_field *schema_twin(const struct shmp_schema *of,
						   const struct shmp_schema *from,
						   const struct shmp_schema_field *field,
						   uint32_t *ret_index)
{
	const struct shmp_schema_field *fields = shmp_schema_fields(of);
	uint32_t parent = 0;

	if (field->parent != 0) {
		if (!schema_twin(of, from, &shmp_schema_fields(from)[field->parent - 1], &parent))
			return NULL;
		parent++;
	}
	for (uint32_t i = parent; i < of->field_count; i++) {
		*ret_index = i;
		if (fields[i].parent == parent &&
		    memcmp(fields[i].name, field->name, sizeof(field->name)) == 0)
			return &fields[i];
	}
	return NULL;
}

static enum shmc_result schema_compare_fields(const char *name, const struct shmp_schema *has,
					      const struct shmp_schema *wanted, bool may_lack,
					      struct shmc_error *error)
{
	for (uint32_t i = 0; i < wanted->field_count; i++) {
		const struct shmp_schema_field *want = &shmp_schema_fields(wanted)[i];
		const struct shmp_schema_field *is;
		uint32_t index;

		is = schema_twin(has, wanted, want, &index);
		if (!is && !may_lack)
			return shmc__error(error, SHMC_MISMATCH,
					   "%s, version %" PRIu64 ", has no field \"%s\"", name,
					   has->version, (const char *)want->name);
		if (!is || want->type == SHMP_TYPE_STRUCT) {
			if (is && (is->type != want->type || is->count != want->count))
				return shmc__error(error, SHMC_MISMATCH,
						   "%s: field \"%s\" is another struct", name,
						   (const char *)want->name);
			continue;
		}
		if (is->type != want->type || is->bytes != want->bytes || is->count != want->count)
			return shmc__error(error, SHMC_MISMATCH,
					   "%s: field \"%s\" is %s of %u bytes times %u, not %s of "
					   "%u times %u",
					   name, (const char *)want->name, shmp_type_name(is->type),
					   is->bytes, is->count, shmp_type_name(want->type),
					   want->bytes, want->count);
	}
	return SHMC_OK;
}

enum shmc_result shmc__schema_compare(const char *name, const struct shmp_schema *has,
				      const struct shmp_schema *wanted, enum shmc_record_rule rule,
				      struct shmc_error *error)
{
	bool takes_later = rule == SHMC_RECORD_FORWARD || rule == SHMC_RECORD_FULL;
	bool takes_earlier = rule == SHMC_RECORD_BACKWARD || rule == SHMC_RECORD_FULL;

	if (has->version == wanted->version)
		return has->layout_hash == wanted->layout_hash ?
			       SHMC_OK :
			       shmc__error(error, SHMC_MISMATCH,
					   "%s has version %" PRIu64
					   ", as expected, but other fields, or in another order",
					   name, has->version);
	if (has->version > wanted->version ? !takes_later : !takes_earlier)
		return shmc__error(error, SHMC_MISMATCH,
				   "%s has fields of version %" PRIu64 ", not %" PRIu64, name,
				   has->version, wanted->version);
	return schema_compare_fields(name, has, wanted, rule != SHMC_RECORD_FORWARD, error);
}
