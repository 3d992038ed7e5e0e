/*
 * An image of a schema that anybody may have written, and a record behind it: it is refused, or every
 * path in it stays inside the record. The input is a list of fields; the header is made to fit, with
 * right and wrong hashes, so that more than the first check is met.
 */
#include "protocol/schema.h"

#include <string.h>

#include "tests/support/fuzz.h"

enum {
	FIELDS_MAX = 40,
	RECORD_MAX = 1 << 16
};

struct walk {
	const struct shmp_schema *schema;
	const uint8_t *record;
	uint64_t steps;
};

static int visit(void *context, const char *path, const struct shmp_place *place)
{
	struct walk *walk = context;
	struct shmp_place found;
	uint64_t elements = place->count ? place->count : 1;
	char text[200];
	uint64_t length;

	FUZZ_CHECK(strlen(path) < SHMP_SCHEMA_PATH_BYTES);
	FUZZ_CHECK(place->offset <= walk->schema->record_bytes);
	FUZZ_CHECK(elements * place->bytes <= walk->schema->record_bytes - place->offset);
	FUZZ_CHECK(shmp_schema_find(walk->schema, path, &found) == 0);
	FUZZ_CHECK(found.offset == place->offset && found.bytes == place->bytes);
	FUZZ_CHECK(shmp_schema_text(place, walk->record, text, sizeof(text)) < sizeof(text));
	shmp_schema_length(place, walk->record, &length);
	return ++walk->steps == 2000;
}

static void use(const struct shmp_schema *schema, const uint8_t *data, size_t size)
{
	uint8_t *record;
	struct walk walk = { .schema = schema };
	struct shmp_place place;
	char path[64];
	size_t length = size < sizeof(path) - 1 ? size : sizeof(path) - 1;

	if (schema->record_bytes > RECORD_MAX)
		return;
	record = calloc(1, schema->record_bytes);
	FUZZ_CHECK(record);
	for (uint64_t i = 0; size > 0 && i < schema->record_bytes; i++)
		record[i] = data[i % size];
	walk.record = record;
	shmp_schema_each(schema, visit, &walk);
	memcpy(path, data, length);
	path[length] = '\0';
	if (shmp_schema_find(schema, path, &place) == 0) {
		FUZZ_CHECK(place.offset + place.bytes <= schema->record_bytes);
		shmp_schema_parse(&place, path, record);
	}
	free(record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t count = size / sizeof(struct shmp_schema_field);
	struct shmp_schema *schema, *taken = NULL;
	size_t bytes;
	const char *why = NULL;
	uint32_t field;

	/* as it is */
	if (shmp_schema_take(data, size, &taken, &why) == 0) {
		use(taken, data, size);
		free(taken);
	}
	if (count == 0 || count > FIELDS_MAX)
		return 0;
	bytes = shmp_schema_bytes(count);
	schema = calloc(1, bytes);
	FUZZ_CHECK(schema);
	memcpy(shmp_schema_fields(schema), data, count * sizeof(struct shmp_schema_field));
	schema->field_count = (uint32_t)count;
	if (shmp_schema_seal(schema, &why, &field) == 0) {
		FUZZ_CHECK(shmp_schema_take(schema, bytes, &taken, &why) == 0);
		use(taken, data + count, size - count);
		free(taken);
		/* one word of it changed by somebody else */
		((uint64_t *)(void *)schema)[data[0] % (bytes / 8)] ^= UINT64_C(1) << data[1] % 64;
		if (shmp_schema_take(schema, bytes, &taken, &why) == 0) {
			use(taken, data, size);
			free(taken);
		}
	}
	free(schema);
	return 0;
}
