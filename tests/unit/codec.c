/* Codecs by themselves: values of every type at its limits, and what is no value. */
#include <cjson/cJSON.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmclient/codec_json.h"
#include "shmclient/codec_struct.h"
#include "tests/support/codec.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

static enum shmc_result decode(const struct shmc_codec *codec, const void *data, uint64_t bytes,
			       union shmt_slot *ret_slot)
{
	memset(ret_slot, 0, sizeof(*ret_slot));
	return codec->decode(codec, data, bytes, ret_slot);
}

static enum shmc_result measure(const struct shmc_codec *codec, const void *value)
{
	uint64_t bytes;

	return codec->measure(codec, value, &bytes);
}

/* Any codec. */

TEST(every_codec_brings_back_what_it_was_given)
{
	for (const struct shmt_codec *codec = shmt_codecs(); codec->codec; codec++) {
		for (unsigned i = 0; i <= 100; i++) {
			void *value = codec->make(i * 1000003, i);
			union shmt_slot slot;
			uint64_t bytes;
			uint8_t *data = shmt_codec_encode(codec->codec, value, &bytes);

			ck_assert_int_eq(decode(codec->codec, data, bytes, &slot), SHMC_OK);
			free(data); /* a value does not need them */
			ck_assert(codec->is(&slot, i * 1000003, i));
			if (codec->codec->clear)
				codec->codec->clear(codec->codec, &slot);
			codec->drop(value);
		}
	}
}

TEST(too_little_room_is_too_big_a_value)
{
	for (const struct shmt_codec *codec = shmt_codecs(); codec->codec; codec++) {
		void *value = codec->make(1, 50);
		uint64_t bytes, written = 77;
		uint8_t *data = shmt_codec_encode(codec->codec, value, &bytes);

		/* Protobuf is never asked to */
		for (uint64_t i = 0; i < bytes && strcmp(codec->codec->name, "protobuf") != 0;
		     i++) {
			uint8_t *room = malloc(i);

			ck_assert_int_eq(
				codec->codec->encode(codec->codec, value, room, i, &written),
				SHMC_TOO_BIG);
			ck_assert_uint_eq(written, 77);
			free(room);
		}
		free(data);
		codec->drop(value);
	}
}

/* struct. */

struct point {
	double x, y;
	uint32_t marks[2];
};

static const struct shmc_pipe_field point_fields[] = {
	SHMC_PIPE_FIELD(struct point, x, SHMC_TYPE_DOUBLE),
	SHMC_PIPE_FIELD(struct point, y, SHMC_TYPE_DOUBLE),
	SHMC_PIPE_FIELD(struct point, marks, SHMC_TYPE_U32),
};

static struct shmc_pipe_type point_type(void)
{
	return (struct shmc_pipe_type){ .name = "point",
					.bytes = sizeof(struct point),
					.fields = point_fields,
					.field_count = 3 };
}

static struct shmc_codec_struct struct_codec(struct shmc_pipe_type type)
{
	struct shmc_codec_struct codec;
	struct shmc_error error;

	ck_assert_msg(shmc_codec_struct_init(&type, &codec, &error) == SHMC_OK, "%s", error.text);
	return codec;
}

/* What the reader of another type says of a point. */
static enum shmc_result read_as(struct shmc_pipe_type type)
{
	static const struct point point = { 1, 2, { 3, 4 } };
	struct shmc_codec_struct sent = struct_codec(point_type()), expected = struct_codec(type);
	union shmt_slot slot;
	uint64_t bytes;
	uint8_t *data = shmt_codec_encode(&sent.codec, &point, &bytes);
	enum shmc_result result = decode(&expected.codec, data, bytes, &slot);

	ck_assert_uint_eq(bytes, sizeof(point) + 8);
	if (result == SHMC_OK)
		ck_assert_mem_eq(&slot, &point, sizeof(point));
	free(data);
	return result;
}

TEST(another_name_size_or_field_is_another_type)
{
	struct shmc_pipe_field fields[3];
	struct shmc_pipe_type type = point_type();

	ck_assert_int_eq(read_as(type), SHMC_OK);
	type.name = "points";
	ck_assert_int_eq(read_as(type), SHMC_MISMATCH);
	type = point_type();
	type.bytes += 8;
	ck_assert_int_eq(read_as(type), SHMC_MISMATCH);
	type = point_type();
	type.field_count = 2;
	ck_assert_int_eq(read_as(type), SHMC_MISMATCH);
	type = point_type();
	type.fields = fields;
	memcpy(fields, point_fields, sizeof(fields));
	ck_assert_int_eq(read_as(type), SHMC_OK);
	fields[1].name = "z";
	ck_assert_int_eq(read_as(type), SHMC_MISMATCH);
	fields[1] = point_fields[1];
	fields[1].type = SHMC_TYPE_I64;
	ck_assert_int_eq(read_as(type), SHMC_MISMATCH);
	fields[1] = point_fields[0];
	fields[0] = point_fields[1];
	ck_assert_int_eq(read_as(type), SHMC_MISMATCH);
}

TEST(a_struct_of_another_size_than_its_number_says_is_bad)
{
	static const struct point point = { 1, 2, { 3, 4 } };
	struct shmc_codec_struct codec = struct_codec(point_type());
	union shmt_slot slot;
	uint64_t bytes;
	uint8_t *data = shmt_codec_encode(&codec.codec, &point, &bytes);

	data = realloc(data, bytes + 1);
	data[bytes] = 0;
	ck_assert_int_eq(decode(&codec.codec, data, bytes + 1, &slot), SHMC_BAD_VALUE);
	ck_assert_int_eq(decode(&codec.codec, data, bytes - 1, &slot), SHMC_BAD_VALUE);
	ck_assert_int_eq(decode(&codec.codec, data, 7, &slot), SHMC_BAD_VALUE);
	ck_assert_int_eq(decode(&codec.codec, data, 0, &slot), SHMC_BAD_VALUE);
	free(data);
}

static void expect_refused(struct shmc_pipe_type type, const char *words)
{
	struct shmc_codec_struct codec = { .number = 77 };
	struct shmc_error error;

	ck_assert_int_eq(shmc_codec_struct_init(&type, &codec, &error), SHMC_INVALID);
	ck_assert_msg(strstr(error.text, words) != NULL, "%s", error.text);
	ck_assert_uint_eq(codec.number, 77);
}

TEST(a_type_that_is_none_is_refused_by_name)
{
	struct shmc_pipe_field field = point_fields[2];
	struct shmc_pipe_type type = point_type();

	type.name = "";
	expect_refused(type, "type.name");
	type = point_type();
	type.bytes = 0;
	expect_refused(type, "point.bytes");
	type = point_type();
	type.fields = NULL;
	expect_refused(type, "point.fields");
	type = point_type();
	type.fields = &field;
	type.field_count = 1;
	field.bytes++;
	expect_refused(type, "point.fields[0] (\"marks\")");
	field.offset = UINT32_MAX;
	expect_refused(type, "point.fields[0] (\"marks\")");
	field.name = NULL;
	expect_refused(type, "point.fields[0]");
}

/* JSON. */

static char *json_text(const cJSON *item)
{
	uint64_t bytes;
	uint8_t *data = shmt_codec_encode(shmc_codec_json(), item, &bytes);

	data = realloc(data, bytes + 1);
	data[bytes] = '\0';
	return (char *)data;
}

static cJSON *json_value(const char *text)
{
	union shmt_slot slot;

	ck_assert_msg(decode(shmc_codec_json(), text, strlen(text), &slot) == SHMC_OK, "%s", text);
	return slot.pointer;
}

/* Takes @item. */
static void expect_json(cJSON *item, const char *expected)
{
	char *text = json_text(item);

	ck_assert_str_eq(text, expected);
	free(text);
	cJSON_Delete(item);
}

TEST(json_is_written_as_short_as_it_can_be)
{
	expect_json(cJSON_CreateNull(), "null");
	expect_json(cJSON_CreateTrue(), "true");
	expect_json(cJSON_CreateFalse(), "false");
	expect_json(cJSON_CreateArray(), "[]");
	expect_json(cJSON_CreateObject(), "{}");
	expect_json(cJSON_CreateString(""), "\"\"");
	expect_json(cJSON_CreateNumber(0), "0");
	expect_json(cJSON_CreateNumber(-0.0), "-0");
	expect_json(cJSON_CreateNumber(0.1), "0.1");
	expect_json(cJSON_CreateNumber(-2147483648.0), "-2147483648");
	expect_json(cJSON_CreateNumber(1e15), "1000000000000000");
	expect_json(cJSON_CreateNumber(9007199254740991.0), "9007199254740991");
	expect_json(cJSON_CreateNumber(-9007199254740991.0), "-9007199254740991");
	expect_json(cJSON_CreateNumber(1e300), "1e+300");
	expect_json(cJSON_CreateRaw("{\"a\":[1,2]}"), "{\"a\":[1,2]}");
	expect_json(json_value(" { \"a\" : [ 1 , { } , \"b\" ] , \"c\" : null } \n"),
		    "{\"a\":[1,{},\"b\"],\"c\":null}");
}

TEST(json_text_is_what_cjson_prints)
{
	cJSON *item = json_value(
		"{\"time\":1700000000.25,\"id\":7,\"tags\":[\"a\",\"b\\n\\\"\\\\\","
		"\"\\u0001\\u001f\\b\\f\\r\\t/\"],\"none\":null,\"yes\":true}");
	char *expected = cJSON_PrintUnformatted(item), *text = json_text(item);

	ck_assert_str_eq(text, expected);
	free(text);
	free(expected);
	cJSON_Delete(item);
}

static void expect_number_back(double number)
{
	cJSON *item = cJSON_CreateNumber(number), *back;
	char *text = json_text(item);

	back = json_value(text);
	ck_assert_msg(memcmp(&back->valuedouble, &number, sizeof(number)) == 0, "%s", text);
	cJSON_Delete(back);
	cJSON_Delete(item);
	free(text);
}

TEST(json_numbers_come_back_bit_by_bit)
{
	static const double numbers[] = { DBL_MAX,
					  -DBL_MAX,
					  DBL_MIN,
					  -DBL_MIN,
					  5e-324,
					  -5e-324,
					  DBL_EPSILON,
					  1 / 3.0,
					  2 / 3.0,
					  9007199254740992.0,
					  -9007199254740992.0,
					  1e16,
					  1e22,
					  1e23,
					  123456789012345678.0,
					  M_PI };
	struct shmt_random random = { shmt_seed() };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		expect_number_back(numbers[i]);
	for (int i = 0; i < 20000; i++) {
		uint64_t bits = shmt_random_next(&random);
		double number;

		memcpy(&number, &bits, sizeof(number));
		if (isfinite(number))
			expect_number_back(number);
	}
}

TEST(every_character_comes_back_in_a_string)
{
	/* all of one byte but NUL, then the first and last of two, three and four */
	static const char wide[] = "\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80"
				   "\xf4\x8f\xbf\xbf";
	char text[127 + sizeof(wide)], *json;
	cJSON *item, *back;

	for (int i = 1; i < 128; i++)
		text[i - 1] = (char)i;
	memcpy(text + 127, wide, sizeof(wide));
	item = cJSON_CreateString(text);
	json = json_text(item);
	back = json_value(json);
	ck_assert_str_eq(back->valuestring, text);
	cJSON_Delete(back);
	cJSON_Delete(item);
	free(json);
}

/* Takes @item. */
static void expect_not_json(cJSON *item)
{
	ck_assert_int_eq(measure(shmc_codec_json(), item), SHMC_BAD_VALUE);
	cJSON_Delete(item);
}

static cJSON *json_nested(unsigned depth)
{
	cJSON *item = cJSON_CreateArray();

	while (--depth > 0) {
		cJSON *outer = cJSON_CreateArray();

		cJSON_AddItemToArray(outer, item);
		item = outer;
	}
	return item;
}

TEST(what_json_could_not_bring_back_is_not_sent)
{
	cJSON *item = cJSON_CreateString("x");

	expect_not_json(cJSON_CreateNumber(NAN));
	expect_not_json(cJSON_CreateNumber(INFINITY));
	expect_not_json(cJSON_CreateNumber(-INFINITY));
	expect_not_json(cJSON_CreateString("\xff"));
	expect_not_json(cJSON_CreateString("\xc3"));
	expect_not_json(cJSON_CreateString("\xed\xa0\x80"));
	expect_not_json(json_nested(1001));
	item->type = 0;
	expect_not_json(item);
}

TEST(a_thousand_containers_inside_each_other_are_json)
{
	cJSON *item = json_nested(1000), *back;
	char *text = json_text(item);

	back = json_value(text);
	ck_assert(cJSON_Compare(item, back, true));
	cJSON_Delete(back);
	cJSON_Delete(item);
	free(text);
}

TEST(what_is_not_json_is_bad)
{
	static const char *const texts[] = {
		"",	   "{",		 "}",		"[1,]",	     "{\"a\"}",	 "{\"a\":}",
		"nul",	   "truer",	 "1 2",		"\"",	     "\"\\\"",	 "\"\\u12\"",
		"'a'",	   "[1] x",	 "\"\\u0000\"", "\"a\xff\"", "\"\xc3\"", "-",
		"\"\\x\"", "{\"a\":1,}", "\"\\ud800\"",
	};
	union shmt_slot slot;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		ck_assert_msg(decode(shmc_codec_json(), texts[i], strlen(texts[i]), &slot) ==
				      SHMC_BAD_VALUE,
			      "%s", texts[i]);
	/* also where it lies behind a NUL */
	ck_assert_int_eq(decode(shmc_codec_json(), "[]\0", 3, &slot), SHMC_BAD_VALUE);
}

SHMT_MAIN
