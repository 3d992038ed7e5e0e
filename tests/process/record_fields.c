/* Fields of records through the library and a real broker: every type, what is refused, versions. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/record.h"
#include "tests/support/runner.h"

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_record *writer;
	struct shmc_record *reader;
	size_t descriptors, brokers;
};

static struct scene scene_open(void)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.brokers = shmt_broker_descriptors(&scene.broker);
	scene.client = shmt_connect(&scene.broker);
	shmt_record_create(scene.client, "record", shmt_fields, shmt_field_count);
	scene.writer = shmt_record_open(scene.client, "record", SHMC_RECORD_WRITER);
	scene.reader = shmt_record_open(scene.client, "record", SHMC_RECORD_READER);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_record_close(scene->writer);
	shmc_record_close(scene->reader);
	shmt_assert_ok(shmc_unlink(scene->client, "record", NULL));
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_settle(&scene->broker, scene->brokers);
	shmt_broker_stop(&scene->broker);
}

static void put_and_get(struct scene *scene, const char *path, enum shmc_type type,
			const void *value, size_t bytes)
{
	struct shmc_place to = shmt_place(scene->writer, path);
	struct shmc_place from = shmt_place(scene->reader, path);
	uint8_t got[64];

	shmt_assert_ok(shmc_record_begin(scene->writer, SHMC_TRY));
	shmt_assert_ok(shmc_record_put(scene->writer, &to, type, value, bytes));
	shmt_assert_ok(shmc_record_commit(scene->writer));
	shmt_assert_ok(shmc_record_snapshot(scene->reader));
	shmt_assert_ok(shmc_record_get(scene->reader, &from, type, got, bytes));
	ck_assert_mem_eq(got, value, bytes);
}

#define PUT(path_, type_, ...) \
	put_and_get(&scene, path_, type_, &(__VA_ARGS__), sizeof(__VA_ARGS__))

TEST(integers_keep_their_least_and_their_greatest_values)
{
	struct scene scene = scene_open();

	PUT("bool", SHMC_TYPE_BOOL, (uint8_t){ 1 });
	PUT("bool", SHMC_TYPE_BOOL, (uint8_t){ 0 });
	PUT("i8", SHMC_TYPE_I8, (int8_t){ INT8_MIN });
	PUT("i8", SHMC_TYPE_I8, (int8_t){ INT8_MAX });
	PUT("i16", SHMC_TYPE_I16, (int16_t){ INT16_MIN });
	PUT("i16", SHMC_TYPE_I16, (int16_t){ INT16_MAX });
	PUT("i32", SHMC_TYPE_I32, (int32_t){ INT32_MIN });
	PUT("i32", SHMC_TYPE_I32, (int32_t){ -1 });
	PUT("i64", SHMC_TYPE_I64, (int64_t){ INT64_MIN });
	PUT("i64", SHMC_TYPE_I64, (int64_t){ INT64_MAX });
	PUT("u8", SHMC_TYPE_U8, (uint8_t){ UINT8_MAX });
	PUT("u16", SHMC_TYPE_U16, (uint16_t){ UINT16_MAX });
	PUT("u32", SHMC_TYPE_U32, (uint32_t){ UINT32_MAX });
	PUT("u64", SHMC_TYPE_U64, (uint64_t){ UINT64_MAX });
	PUT("time", SHMC_TYPE_TIME, (int64_t){ INT64_MIN });
	PUT("duration", SHMC_TYPE_DURATION, (int64_t){ INT64_MAX });
	scene_close(&scene);
}

TEST(floats_keep_every_bit)
{
	struct scene scene = scene_open();
	const float floats[] = { FLT_MIN, FLT_MAX, -FLT_MAX, FLT_TRUE_MIN, INFINITY, NAN, -0.0f };
	const double doubles[] = { DBL_MIN,   DBL_MAX,	   -DBL_MAX, DBL_TRUE_MIN,
				   -INFINITY, (double)NAN, -0.0 };

	for (size_t i = 0; i < 7; i++) {
		put_and_get(&scene, "float", SHMC_TYPE_FLOAT, &floats[i], sizeof(float));
		put_and_get(&scene, "double", SHMC_TYPE_DOUBLE, &doubles[i], sizeof(double));
		put_and_get(&scene, "point.x", SHMC_TYPE_DOUBLE, &doubles[i], sizeof(double));
	}
	put_and_get(&scene, "decimal128", SHMC_TYPE_DECIMAL128, "0123456789abcdef", 16);
	put_and_get(&scene, "uuid", SHMC_TYPE_UUID, "fedcba9876543210", 16);
	put_and_get(&scene, "bytes", SHMC_TYPE_BYTES, "\0\1\2\3\4", 5);
	scene_close(&scene);
}

static enum shmc_result put_string(struct scene *scene, const char *path, const char *text)
{
	struct shmc_place place = shmt_place(scene->writer, path);
	enum shmc_result result;

	shmt_assert_ok(shmc_record_begin(scene->writer, SHMC_TRY));
	result = shmc_record_put(scene->writer, &place, SHMC_TYPE_STRING, text, strlen(text));
	shmt_assert_ok(shmc_record_commit(scene->writer));
	shmt_assert_ok(shmc_record_snapshot(scene->reader));
	return result;
}

TEST(strings_are_utf8_below_their_limit)
{
	static const char *const good[] = { "", "a", "123456789012345",
					    "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" };
	struct scene scene = scene_open();
	struct shmc_place place = shmt_place(scene.reader, "string");
	char got[16];

	for (size_t i = 0; i < 4; i++) {
		shmt_assert_ok(put_string(&scene, "string", good[i]));
		shmt_assert_ok(shmc_record_get(scene.reader, &place, SHMC_TYPE_STRING, got, 16));
		ck_assert_str_eq(got, good[i]);
	}
	shmt_assert_result(put_string(&scene, "string", "1234567890123456"), SHMC_TOO_BIG);
	shmt_assert_result(put_string(&scene, "string", "\xff"), SHMC_INVALID);
	shmt_assert_ok(shmc_record_get(scene.reader, &place, SHMC_TYPE_STRING, got, 16));
	ck_assert_str_eq(got, good[3]);
	shmt_assert_result(shmc_record_get(scene.reader, &place, SHMC_TYPE_STRING, got, 9),
			   SHMC_TOO_BIG);
	shmt_assert_ok(shmc_record_get(scene.reader, &place, SHMC_TYPE_STRING, got, 10));
	scene_close(&scene);
}

static enum shmc_result put_numbers(struct scene *scene, uint64_t count)
{
	static const int32_t numbers[11] = { 1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11 };
	struct shmc_place place = shmt_place(scene->writer, "numbers");
	enum shmc_result result;

	shmt_assert_ok(shmc_record_begin(scene->writer, SHMC_TRY));
	result = shmc_record_put_array(scene->writer, &place, SHMC_TYPE_I32, numbers, count);
	shmt_assert_ok(shmc_record_commit(scene->writer));
	shmt_assert_ok(shmc_record_snapshot(scene->reader));
	return result;
}

TEST(arrays_are_empty_partial_or_full_and_not_more)
{
	struct scene scene = scene_open();
	struct shmc_place place = shmt_place(scene.reader, "numbers");
	struct shmc_place third = shmt_place(scene.reader, "numbers[3]");
	int32_t got[10], one;
	uint64_t count = 77;

	for (uint64_t wanted = 0; wanted <= 10; wanted += 5) {
		shmt_assert_ok(put_numbers(&scene, wanted));
		shmt_assert_ok(shmc_record_get_array(scene.reader, &place, SHMC_TYPE_I32, got, 10,
						     &count));
		ck_assert_uint_eq(count, wanted);
		for (uint64_t i = 0; i < wanted; i++)
			ck_assert_int_eq(got[i], i % 2 ? -(int32_t)i - 1 : (int32_t)i + 1);
		shmt_assert_result(shmc_record_get(scene.reader, &third, SHMC_TYPE_I32, &one, 4),
				   wanted > 3 ? SHMC_OK : SHMC_NOT_FOUND);
	}
	shmt_assert_result(put_numbers(&scene, 11), SHMC_TOO_BIG);
	shmt_assert_result(
		shmc_record_get_array(scene.reader, &place, SHMC_TYPE_I32, got, 9, &count),
		SHMC_TOO_BIG);
	shmt_assert_result(shmc_record_find(scene.reader, "numbers[10]", &place), SHMC_INVALID);
	scene_close(&scene);
}

TEST(setting_an_element_uses_all_up_to_it)
{
	struct scene scene = scene_open();
	struct shmc_place place = shmt_place(scene.writer, "names[2]");
	struct shmc_place all = shmt_place(scene.reader, "names");
	char got[4][8];
	uint64_t count;

	shmt_assert_ok(shmc_record_begin(scene.writer, SHMC_TRY));
	shmt_assert_ok(shmc_record_put(scene.writer, &place, SHMC_TYPE_STRING, "third", 5));
	shmt_assert_ok(shmc_record_commit(scene.writer));
	shmt_assert_ok(shmc_record_snapshot(scene.reader));
	shmt_assert_ok(shmc_record_get_array(scene.reader, &all, SHMC_TYPE_STRING, got, 4, &count));
	ck_assert_uint_eq(count, 3);
	ck_assert_str_eq(got[0], "");
	ck_assert_str_eq(got[2], "third");
	shmt_assert_ok(shmc_record_begin(scene.writer, SHMC_TRY));
	memset(got[1], 'x', 8);
	shmt_assert_result(shmc_record_put_array(scene.writer, &all, SHMC_TYPE_STRING, got, 3),
			   SHMC_INVALID);
	shmt_assert_ok(shmc_record_abort(scene.writer));
	scene_close(&scene);
}

TEST(structs_and_arrays_of_structs_have_their_own_fields)
{
	struct scene scene = scene_open();
	struct shmc_field_info info;
	char text[64];

	shmt_assert_ok(shmc_record_begin(scene.writer, SHMC_TRY));
	shmt_assert_ok(shmc_record_put_text(scene.writer, "point.x", "1.5"));
	shmt_assert_ok(shmc_record_put_text(scene.writer, "points[0].x", "2.5"));
	shmt_assert_ok(shmc_record_put_text(scene.writer, "points[2].y", "-3"));
	shmt_assert_ok(shmc_record_put_text(scene.writer, "points[2].tags[1]", "9"));
	shmt_assert_ok(shmc_record_commit(scene.writer));
	shmt_assert_ok(shmc_record_snapshot(scene.reader));
	shmt_assert_ok(shmc_record_get_text(scene.reader, "point.x", text, sizeof(text)));
	ck_assert_str_eq(text, "1.5");
	shmt_assert_ok(shmc_record_get_text(scene.reader, "points[2].tags", text, sizeof(text)));
	ck_assert_str_eq(text, "[0, 9]");
	shmt_assert_ok(shmc_record_get_text(scene.reader, "points[1].x", text, sizeof(text)));
	ck_assert_str_eq(text, "0");
	shmt_assert_ok(shmc_record_field(scene.reader, shmt_field_count - 1 + 3, &info));
	ck_assert_str_eq(info.name, "points");
	ck_assert_uint_eq(info.count, 3);
	scene_close(&scene);
}

TEST(unknown_fields_wrong_types_and_scalars_of_arrays_are_refused)
{
	static const char *const unknown[] = { "nothing", "point.z", "i8x" };
	static const char *const nonsense[] = {
		"",	      ".",	     "point.",	 "i8[0]",	"i8.x",
		"points.x",   "points[3].x", "numbers[", "numbers[-1]", "points[0]x",
		"numbers[0]]"
	};
	struct scene scene = scene_open();
	struct shmc_place place = { .field = 0 };
	double value = 1;

	for (size_t i = 0; i < 3; i++)
		shmt_assert_result(shmc_record_find(scene.reader, unknown[i], &place),
				   SHMC_NOT_FOUND);
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
		shmt_assert_result(shmc_record_find(scene.reader, nonsense[i], &place),
				   SHMC_INVALID);
	shmt_assert_ok(shmc_record_begin(scene.writer, SHMC_TRY));
	place = shmt_place(scene.writer, "i64");
	shmt_assert_result(shmc_record_put(scene.writer, &place, SHMC_TYPE_I32, &value, 4),
			   SHMC_MISMATCH);
	shmt_assert_result(shmc_record_put(scene.writer, &place, SHMC_TYPE_DOUBLE, &value, 8),
			   SHMC_MISMATCH);
	shmt_assert_result(shmc_record_put(scene.writer, &place, SHMC_TYPE_U64, &value, 8),
			   SHMC_MISMATCH);
	shmt_assert_result(shmc_record_put(scene.writer, &place, SHMC_TYPE_I64, &value, 4),
			   SHMC_MISMATCH);
	shmt_assert_result(shmc_record_put_array(scene.writer, &place, SHMC_TYPE_I64, &value, 1),
			   SHMC_MISMATCH);
	place = shmt_place(scene.writer, "numbers");
	shmt_assert_result(shmc_record_put(scene.writer, &place, SHMC_TYPE_I32, &value, 4),
			   SHMC_MISMATCH);
	shmt_assert_result(shmc_record_put_text(scene.writer, "numbers", "1"), SHMC_MISMATCH);
	shmt_assert_result(shmc_record_put_text(scene.writer, "i8", "200"), SHMC_TOO_BIG);
	place = shmt_place(scene.writer, "bool");
	shmt_assert_result(shmc_record_put(scene.writer, &place, SHMC_TYPE_BOOL, "\2", 1),
			   SHMC_INVALID);
	place.offset = 1 << 20;
	shmt_assert_result(shmc_record_put(scene.writer, &place, SHMC_TYPE_BOOL, "\1", 1),
			   SHMC_INVALID);
	shmt_assert_ok(shmc_record_abort(scene.writer));
	scene_close(&scene);
}

static void expect_refusal(struct shmc_client *client, const struct shmc_field *fields,
			   uint32_t count, const char *why)
{
	struct shmc_record_options options = { .fields = fields, .field_count = count };
	struct shmc_error error = { .text = "" };

	shmt_assert_result(shmc_record_create(client, "bad", &options, &error), SHMC_INVALID);
	shmt_assert_says(&error, why);
}

TEST(fields_that_cannot_be_are_named_at_creation)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_field one = { .name = "one", .type = SHMC_TYPE_I8 };

	expect_refusal(client, NULL, 0, "1 to 500");
	expect_refusal(client, (struct shmc_field[]){ one, one }, 2, "twice");
	one.name = "";
	expect_refusal(client, &one, 1, "name");
	one.name = NULL;
	expect_refusal(client, &one, 1, "name");
	one.name = "with space";
	expect_refusal(client, &one, 1, "name");
	one.name = "a234567890123456789012345678901234567890123456789";
	expect_refusal(client, &one, 1, "name");
	one = (struct shmc_field){ .name = "text", .type = SHMC_TYPE_STRING };
	expect_refusal(client, &one, 1, "size");
	one = (struct shmc_field){ .name = "odd", .type = SHMC_TYPE_I32, .bytes = 3 };
	expect_refusal(client, &one, 1, "size");
	one = (struct shmc_field){ .name = "empty", .type = SHMC_TYPE_STRUCT };
	expect_refusal(client, &one, 1, "empty");
	one = (struct shmc_field){ .name = "odd", .type = (enum shmc_type)99 };
	expect_refusal(client, &one, 1, "type");
	one = (struct shmc_field){ .name = "huge", .type = SHMC_TYPE_I64, .count = 1 << 24 };
	expect_refusal(client, &one, 1, "larger");
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

/* Versions */

static const struct shmc_field first[] = { { .name = "a", .type = SHMC_TYPE_I32 },
					   { .name = "b", .type = SHMC_TYPE_I32 } };
static const struct shmc_field later[] = { { .name = "b", .type = SHMC_TYPE_I32 },
					   { .name = "c", .type = SHMC_TYPE_DOUBLE },
					   { .name = "a", .type = SHMC_TYPE_I32 } };
static const struct shmc_field other[] = { { .name = "b", .type = SHMC_TYPE_I32 },
					   { .name = "a", .type = SHMC_TYPE_I32 } };
static const struct shmc_field retyped[] = { { .name = "a", .type = SHMC_TYPE_FLOAT } };

static enum shmc_result open_as(struct shmc_client *client, const char *name,
				const struct shmc_field *fields, uint32_t count, uint64_t version,
				enum shmc_record_rule rule, struct shmc_error *error)
{
	struct shmc_record_expected expected = {
		.fields = fields, .field_count = count, .version = version, .rule = rule
	};
	struct shmc_record *record;
	enum shmc_result result = shmc_record_open(client, name, SHMC_RECORD_READER, &expected,
						   &record, error);

	if (result == SHMC_OK)
		shmc_record_close(record);
	return result;
}

static void make_versions(struct shmc_client *client)
{
	struct shmc_record_options options = { .fields = first, .field_count = 2, .version = 1 };

	shmt_assert_ok(shmc_record_create(client, "v1", &options, NULL));
	options = (struct shmc_record_options){ .fields = later, .field_count = 3, .version = 2 };
	shmt_assert_ok(shmc_record_create(client, "v2", &options, NULL));
}

TEST(each_rule_of_versions_accepts_what_it_says)
{
	static const struct {
		const char *name;
		const struct shmc_field *fields;
		uint32_t count, version;
		bool accepted[4]; /* strict, forward, backward, full */
	} rows[] = {
		{ "v1", first, 2, 1, { true, true, true, true } },
		{ "v2", first, 2, 1, { false, true, false, true } },
		{ "v1", later, 3, 2, { false, false, true, true } },
		{ "v1", other, 2, 1, { false, false, false, false } },
		{ "v2", retyped, 1, 1, { false, false, false, false } },
		{ "v1", retyped, 1, 2, { false, false, false, false } },
	};
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);

	make_versions(client);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int rule = 0; rule < 4; rule++) {
			struct shmc_error error = { .text = "accepted" };
			enum shmc_result result = open_as(client, rows[i].name, rows[i].fields,
							  rows[i].count, rows[i].version,
							  (enum shmc_record_rule)rule, &error);

			ck_assert_msg(result == (rows[i].accepted[rule] ? SHMC_OK : SHMC_MISMATCH),
				      "row %zu, rule %d: %s", i, rule, error.text);
		}
	}
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(reordered_fields_of_the_same_version_are_told)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_error error;

	make_versions(client);
	shmt_assert_result(open_as(client, "v1", other, 2, 1, SHMC_RECORD_FULL, &error),
			   SHMC_MISMATCH);
	shmt_assert_says(&error, "another order");
	shmt_assert_result(open_as(client, "v2", first, 2, 1, SHMC_RECORD_STRICT, &error),
			   SHMC_MISMATCH);
	shmt_assert_says(&error, "version 2, not 1");
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static int accept_if_c(void *context, const struct shmc_record *record)
{
	struct shmc_place place;

	++*(int *)context;
	return shmc_record_version(record) == 2 && shmc_record_find(record, "c", &place) == SHMC_OK;
}

TEST(a_callback_decides)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	int asked = 0;
	struct shmc_record_expected expected = { .rule = SHMC_RECORD_CALLBACK,
						 .accept = accept_if_c,
						 .context = &asked };
	struct shmc_record *record;
	struct shmc_error error;

	make_versions(client);
	shmt_assert_ok(
		shmc_record_open(client, "v2", SHMC_RECORD_READER, &expected, &record, &error));
	shmc_record_close(record);
	shmt_assert_result(
		shmc_record_open(client, "v1", SHMC_RECORD_READER, &expected, &record, &error),
		SHMC_MISMATCH);
	ck_assert_int_eq(asked, 2);
	expected.accept = NULL;
	shmt_assert_result(
		shmc_record_open(client, "v2", SHMC_RECORD_READER, &expected, &record, &error),
		SHMC_INVALID);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(a_reader_of_another_version_finds_fields_by_name)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_record *writer, *reader;
	struct shmc_record_expected expected = {
		.fields = first, .field_count = 2, .version = 1, .rule = SHMC_RECORD_FORWARD
	};
	struct shmc_place place;
	int32_t a = 0;

	make_versions(client);
	writer = shmt_record_open(client, "v2", SHMC_RECORD_WRITER);
	shmt_assert_ok(shmc_record_begin(writer, SHMC_TRY));
	shmt_assert_ok(shmc_record_put_text(writer, "a", "-5"));
	shmt_assert_ok(shmc_record_commit(writer));
	shmt_assert_ok(
		shmc_record_open(client, "v2", SHMC_RECORD_READER, &expected, &reader, NULL));
	place = shmt_place(reader, "a");
	shmt_assert_ok(shmc_record_snapshot(reader));
	shmt_assert_ok(shmc_record_get(reader, &place, SHMC_TYPE_I32, &a, 4));
	ck_assert_int_eq(a, -5);
	shmc_record_close(reader);
	shmc_record_close(writer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(an_existing_record_is_as_good_only_with_the_same_schema)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_record_options options = {
		.fields = first, .field_count = 2, .version = 1, .reuse = 1
	};
	struct shmc_error error;

	shmt_assert_ok(shmc_record_create(client, "v", &options, &error));
	shmt_assert_ok(shmc_record_create(client, "v", &options, &error));
	options.version = 2;
	shmt_assert_result(shmc_record_create(client, "v", &options, &error), SHMC_MISMATCH);
	shmt_assert_says(&error, "schema_version 1, not 2");
	options.version = 1;
	options.fields = other;
	shmt_assert_result(shmc_record_create(client, "v", &options, &error), SHMC_MISMATCH);
	shmt_assert_says(&error, "layout_hash");
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(a_reader_before_the_creator_is_told_so)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_record *record;
	struct shmc_error error;

	shmt_assert_result(
		shmc_record_open(client, "none", SHMC_RECORD_READER, NULL, &record, &error),
		SHMC_NOT_FOUND);
	shmt_assert_says(&error, "none");
	shmt_record_create(client, "none", first, 2);
	record = shmt_record_open(client, "none", SHMC_RECORD_READER);
	shmt_assert_ok(shmc_record_snapshot(record));
	ck_assert_uint_eq(shmc_record_number(record), 0);
	shmc_record_close(record);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

SHMT_MAIN
