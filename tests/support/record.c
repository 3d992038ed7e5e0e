#include "tests/support/record.h"

static const struct shmc_field point[] = {
	{ .name = "x", .type = SHMC_TYPE_DOUBLE },
	{ .name = "y", .type = SHMC_TYPE_FLOAT },
	{ .name = "tags", .type = SHMC_TYPE_U8, .count = 3 },
};

const struct shmc_field shmt_fields[] = {
	{ .name = "bool", .type = SHMC_TYPE_BOOL },
	{ .name = "i8", .type = SHMC_TYPE_I8 },
	{ .name = "i16", .type = SHMC_TYPE_I16 },
	{ .name = "i32", .type = SHMC_TYPE_I32 },
	{ .name = "i64", .type = SHMC_TYPE_I64 },
	{ .name = "u8", .type = SHMC_TYPE_U8 },
	{ .name = "u16", .type = SHMC_TYPE_U16 },
	{ .name = "u32", .type = SHMC_TYPE_U32 },
	{ .name = "u64", .type = SHMC_TYPE_U64 },
	{ .name = "float", .type = SHMC_TYPE_FLOAT },
	{ .name = "double", .type = SHMC_TYPE_DOUBLE },
	{ .name = "decimal128", .type = SHMC_TYPE_DECIMAL128 },
	{ .name = "uuid", .type = SHMC_TYPE_UUID },
	{ .name = "time", .type = SHMC_TYPE_TIME },
	{ .name = "duration", .type = SHMC_TYPE_DURATION },
	{ .name = "string", .type = SHMC_TYPE_STRING, .bytes = 16 },
	{ .name = "bytes", .type = SHMC_TYPE_BYTES, .bytes = 5 },
	{ .name = "numbers", .type = SHMC_TYPE_I32, .count = 10 },
	{ .name = "names", .type = SHMC_TYPE_STRING, .bytes = 8, .count = 4 },
	{ .name = "point", .type = SHMC_TYPE_STRUCT, .fields = point, .field_count = 3 },
	{ .name = "points",
	  .type = SHMC_TYPE_STRUCT,
	  .count = 3,
	  .fields = point,
	  .field_count = 3 },
};
const uint32_t shmt_field_count = sizeof(shmt_fields) / sizeof(shmt_fields[0]);

void shmt_record_create(struct shmc_client *client, const char *name,
			const struct shmc_field *fields, uint32_t field_count)
{
	struct shmc_record_options options = { .fields = fields,
					       .field_count = field_count,
					       .version = 1 };
	struct shmc_error error = { .text = "" };

	ck_assert_msg(shmc_record_create(client, name, &options, &error) == SHMC_OK, "%s",
		      error.text);
}

struct shmc_record *shmt_record_open(struct shmc_client *client, const char *name,
				     enum shmc_record_role role)
{
	struct shmc_error error = { .text = "" };
	struct shmc_record *record = NULL;

	ck_assert_msg(shmc_record_open(client, name, role, NULL, &record, &error) == SHMC_OK, "%s",
		      error.text);
	return record;
}

struct shmc_place shmt_place(const struct shmc_record *record, const char *path)
{
	struct shmc_place place = { .field = 0 };
	enum shmc_result result = shmc_record_find(record, path, &place);

	ck_assert_msg(result == SHMC_OK, "%s: %s", path, shmc_result_name(result));
	return place;
}
