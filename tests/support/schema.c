#include "tests/support/schema.h"

#include <string.h>

#include "protocol/record.h"

struct shmp_schema *shmt_schema_of(const struct shmt_field *fields, uint32_t count)
{
	struct shmp_schema *schema = calloc(1, shmp_schema_bytes(count));

	SHMT_REQUIRE(schema);
	schema->field_count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct shmp_schema_field *field = &shmp_schema_fields(schema)[i];

		strncpy((char *)field->name, fields[i].name, SHMP_SCHEMA_NAME_BYTES - 1);
		field->type = fields[i].type;
		field->count = fields[i].count;
		field->bytes = fields[i].bytes;
		field->parent = fields[i].parent;
	}
	return schema;
}

struct shmp_schema *shmt_schema_sealed(const struct shmt_field *fields, uint32_t count)
{
	struct shmp_schema *schema = shmt_schema_of(fields, count);
	const char *why;
	uint32_t field;

	SHMT_REQUIRE(shmp_schema_seal(schema, &why, &field) == 0);
	return schema;
}

void shmt_record_make(struct shmt_segment *segment, const struct shmt_field *fields, uint32_t count,
		      uint32_t endpoints)
{
	struct shmp_schema *schema = shmt_schema_sealed(fields, count);
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_RECORD_BYTES] = schema->record_bytes,
		[SHMP_RECORD_SCHEMA_BYTES] = shmp_schema_bytes(count),
		[SHMP_RECORD_LAYOUT_HASH] = schema->layout_hash,
		[SHMP_RECORD_ENDPOINTS_MAX] = endpoints,
	};

	shmt_segment_make_with(segment, "record", option, schema, shmp_schema_bytes(count));
	free(schema);
}
