/* MessagePack: values of every type at its limits, and what is no value. */
#include <float.h>
#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "shmclient/codec_msgpack.h"
#include "tests/support/codec.h"
#include "tests/support/runner.h"

static enum shmc_result decode(const void *data, uint64_t bytes, msgpack_unpacked *ret_unpacked)
{
	return shmc_codec_msgpack()->decode(shmc_codec_msgpack(), data, bytes, ret_unpacked);
}

static void expect_back(msgpack_object object, uint64_t expected_bytes)
{
	msgpack_unpacked back;
	uint64_t bytes;
	uint8_t *data = shmt_codec_encode(shmc_codec_msgpack(), &object, &bytes);

	ck_assert_uint_eq(bytes, expected_bytes);
	ck_assert_int_eq(decode(data, bytes, &back), SHMC_OK);
	free(data);
	ck_assert(msgpack_object_equal(object, back.data));
	shmc_codec_msgpack()->clear(shmc_codec_msgpack(), &back);
}

static void expect_unsigned_back(uint64_t number, uint64_t bytes)
{
	expect_back((msgpack_object){ .type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = number },
		    bytes);
}

static void expect_negative_back(int64_t number, uint64_t bytes)
{
	expect_back((msgpack_object){ .type = MSGPACK_OBJECT_NEGATIVE_INTEGER, .via.i64 = number },
		    bytes);
}

TEST(numbers_come_back_at_the_limits_of_every_width)
{
	static const double reals[] = {
		0, DBL_MAX, -DBL_MAX, DBL_MIN, 5e-324, INFINITY, -INFINITY
	};

	expect_unsigned_back(0, 1);
	expect_unsigned_back(127, 1);
	expect_unsigned_back(128, 2);
	expect_unsigned_back(UINT8_MAX, 2);
	expect_unsigned_back(UINT8_MAX + 1, 3);
	expect_unsigned_back(UINT16_MAX, 3);
	expect_unsigned_back(UINT16_MAX + 1, 5);
	expect_unsigned_back(UINT32_MAX, 5);
	expect_unsigned_back(UINT64_C(1) << 32, 9);
	expect_unsigned_back(UINT64_MAX, 9);
	expect_negative_back(-1, 1);
	expect_negative_back(-32, 1);
	expect_negative_back(-33, 2);
	expect_negative_back(INT8_MIN, 2);
	expect_negative_back(INT8_MIN - 1, 3);
	expect_negative_back(INT16_MIN, 3);
	expect_negative_back(INT16_MIN - 1, 5);
	expect_negative_back(INT32_MIN, 5);
	expect_negative_back((int64_t)INT32_MIN - 1, 9);
	expect_negative_back(INT64_MIN, 9);
	for (size_t i = 0; i < sizeof(reals) / sizeof(*reals); i++)
		expect_back((msgpack_object){ .type = MSGPACK_OBJECT_FLOAT64, .via.f64 = reals[i] },
			    9);
	expect_back((msgpack_object){ .type = MSGPACK_OBJECT_FLOAT32, .via.f64 = FLT_MAX }, 5);
	expect_back((msgpack_object){ .type = MSGPACK_OBJECT_NIL }, 1);
	expect_back((msgpack_object){ .type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = true }, 1);
	expect_back((msgpack_object){ .type = MSGPACK_OBJECT_BOOLEAN }, 1);
}

TEST(bytes_come_back_at_the_limits_of_every_length)
{
	static const struct {
		uint32_t size, str, bin, ext;
	} rows[] = {
		/* size, and what stands before the bytes; ext: of 1, 2, 4, 8, 16 it is not said */
		{ 0, 1, 2, 3 },	  { 1, 1, 2, 2 },     { 16, 1, 2, 2 },
		{ 31, 1, 2, 3 },  { 32, 2, 2, 3 },    { 255, 2, 2, 3 },
		{ 256, 3, 3, 4 }, { 65535, 3, 3, 4 }, { 65536, 5, 5, 6 },
	};
	char *data = malloc(65536);

	memset(data, '\xff', 65536);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint32_t size = rows[i].size;

		expect_back((msgpack_object){ .type = MSGPACK_OBJECT_STR,
					      .via.str = { .ptr = data, .size = size } },
			    size + rows[i].str);
		expect_back((msgpack_object){ .type = MSGPACK_OBJECT_BIN,
					      .via.bin = { .ptr = data, .size = size } },
			    size + rows[i].bin);
		expect_back((msgpack_object){ .type = MSGPACK_OBJECT_EXT,
					      .via.ext = { -1, size, data } },
			    size + rows[i].ext);
	}
	free(data);
}

TEST(containers_come_back_at_the_limits_of_every_length)
{
	static const uint32_t sizes[] = { 0, 1, 15, 16, 65535, 65536 };
	msgpack_object_kv *pairs = calloc(65536, sizeof(*pairs));
	msgpack_object *objects = calloc(65536, sizeof(*objects));

	for (uint32_t i = 0; i < 65536; i++) {
		objects[i].type = MSGPACK_OBJECT_POSITIVE_INTEGER;
		objects[i].via.u64 = i % 100;
		pairs[i] = (msgpack_object_kv){ objects[i], objects[i] };
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint32_t size = sizes[i];
		uint32_t head = size < 16 ? 1 : size <= UINT16_MAX ? 3 : 5;

		expect_back((msgpack_object){ .type = MSGPACK_OBJECT_ARRAY,
					      .via.array = { size, objects } },
			    size + head);
		expect_back(
			(msgpack_object){ .type = MSGPACK_OBJECT_MAP, .via.map = { size, pairs } },
			2 * size + head);
	}
	free(objects);
	free(pairs);
}

/* Arrays inside each other; the innermost is empty, or holds nil. */
static msgpack_object nested(msgpack_object *room, unsigned depth, bool is_empty)
{
	room[0] = (msgpack_object){ .type = MSGPACK_OBJECT_NIL };
	for (unsigned i = 1; i <= depth; i++)
		room[i] = (msgpack_object){ .type = MSGPACK_OBJECT_ARRAY,
					    .via.array = { i > 1 || !is_empty, &room[i - 1] } };
	return room[depth];
}

TEST(thirty_two_containers_inside_each_other_are_a_value_and_no_more)
{
	msgpack_object room[40], object;
	msgpack_unpacked back;
	uint8_t data[34];
	uint64_t bytes;

	expect_back(nested(room, 32, false), 33);
	expect_back(nested(room, 32, true), 32);
	object = nested(room, 33, true);
	ck_assert_int_eq(shmc_codec_msgpack()->measure(shmc_codec_msgpack(), &object, &bytes),
			 SHMC_BAD_VALUE);
	memset(data, 0x91, sizeof(data));
	data[33] = 0xc0;
	ck_assert_int_eq(decode(data, 34, &back), SHMC_BAD_VALUE);
	data[32] = 0x90;
	ck_assert_int_eq(decode(data, 33, &back), SHMC_BAD_VALUE);
	ck_assert_int_eq(decode(data + 1, 33 - 1, &back), SHMC_OK);
	msgpack_unpacked_destroy(&back);
}

TEST(what_says_to_be_larger_than_it_is_is_bad)
{
	static const struct {
		uint8_t bytes[8];
		uint64_t count;
	} rows[] = {
		{ { 0xdd, 0xff, 0xff, 0xff, 0xff }, 5 }, /* array */
		{ { 0xdd, 0x0f, 0xff, 0xff, 0xff, 0xc0 }, 6 },
		{ { 0xdf, 0xff, 0xff, 0xff, 0xff, 0xc0 }, 6 }, /* map */
		{ { 0xdf, 0x00, 0x00, 0x00, 0x01, 0xc0 }, 6 },
		{ { 0xdb, 0xff, 0xff, 0xff, 0xff, 0x41 }, 6 }, /* str */
		{ { 0xc6, 0xff, 0xff, 0xff, 0xff, 0x41 }, 6 }, /* bin */
		{ { 0xc9, 0xff, 0xff, 0xff, 0xff, 0x41 }, 6 }, /* ext */
		{ { 0xc7, 0x00 }, 2 },
		{ { 0xd8, 0x01 }, 2 },
		{ { 0x92, 0xc0 }, 2 },
		{ { 0xcf, 1, 2, 3, 4, 5, 6, 7 }, 8 },
		{ { 0xc1 }, 1 },       /* never used */
		{ { 0xc0, 0xc0 }, 2 }, /* more than one */
		{ { 0 }, 0 },
	};
	msgpack_unpacked back;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		ck_assert_msg(decode(rows[i].bytes, rows[i].count, &back) == SHMC_BAD_VALUE, "%zu",
			      i);
}

SHMT_MAIN
