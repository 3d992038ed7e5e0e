/* Protobuf: values of every type at its limits, and what is no value. */
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "sample.pb-c.h"
#include "shmclient/codec_protobuf.h"
#include "tests/support/codec.h"
#include "tests/support/runner.h"

enum {
	DEEP_BYTES = 4096
};

static struct shmc_codec_protobuf sample_codec(void)
{
	struct shmc_codec_protobuf codec;

	shmc_codec_protobuf_init(&shmt__sample__descriptor, &codec);
	return codec;
}

static enum shmc_result decode(const void *data, uint64_t bytes, Shmt__Sample **ret_sample)
{
	struct shmc_codec_protobuf codec = sample_codec();

	return codec.codec.decode(&codec.codec, data, bytes, ret_sample);
}

/* To be freed as what it is. */
static Shmt__Sample *send(const Shmt__Sample *sample)
{
	struct shmc_codec_protobuf codec = sample_codec();
	Shmt__Sample *back = NULL;
	uint64_t bytes;
	uint8_t *data = shmt_codec_encode(&codec.codec, sample, &bytes);

	ck_assert_int_eq(decode(data, bytes, &back), SHMC_OK);
	free(data);
	return back;
}

/* Each number as small, or as large, as it can be. */
static Shmt__Sample extreme(int is_large)
{
	Shmt__Sample sample = SHMT__SAMPLE__INIT;

	sample.number = is_large ? UINT64_MAX : 0;
	sample.has_real = sample.has_small_real = 1;
	sample.real = is_large ? DBL_MAX : -DBL_MAX;
	sample.small_real = is_large ? FLT_MAX : -FLT_MAX;
	sample.has_i32 = sample.has_i64 = sample.has_s32 = sample.has_s64 = 1;
	sample.i32 = sample.s32 = is_large ? INT32_MAX : INT32_MIN;
	sample.i64 = sample.s64 = is_large ? INT64_MAX : INT64_MIN;
	sample.has_u32 = sample.has_f32 = sample.has_f64 = 1;
	sample.u32 = sample.f32 = is_large ? UINT32_MAX : 0;
	sample.f64 = is_large ? UINT64_MAX : 0;
	sample.has_sf32 = sample.has_sf64 = 1;
	sample.sf32 = is_large ? INT32_MAX : INT32_MIN;
	sample.sf64 = is_large ? INT64_MAX : INT64_MIN;
	sample.has_flag = sample.has_level = 1;
	sample.flag = is_large;
	sample.level = is_large ? SHMT__SAMPLE__LEVEL__HIGH : SHMT__SAMPLE__LEVEL__NEGATIVE;
	return sample;
}

TEST(numbers_come_back_at_their_limits)
{
	for (int is_large = 0; is_large < 2; is_large++) {
		Shmt__Sample sample = extreme(is_large), *back = send(&sample);

		ck_assert_uint_eq(back->number, sample.number);
		ck_assert_double_eq(back->real, sample.real);
		ck_assert_float_eq(back->small_real, sample.small_real);
		ck_assert_int_eq(back->i32, sample.i32);
		ck_assert_int_eq(back->i64, sample.i64);
		ck_assert_int_eq(back->s32, sample.s32);
		ck_assert_int_eq(back->s64, sample.s64);
		ck_assert_uint_eq(back->u32, sample.u32);
		ck_assert_uint_eq(back->f32, sample.f32);
		ck_assert_uint_eq(back->f64, sample.f64);
		ck_assert_int_eq(back->sf32, sample.sf32);
		ck_assert_int_eq(back->sf64, sample.sf64);
		ck_assert_int_eq(back->flag, sample.flag);
		ck_assert_int_eq(back->level, sample.level);
		ck_assert(!back->has_data);
		shmt__sample__free_unpacked(back, NULL);
	}
}

TEST(lists_bytes_and_messages_come_back)
{
	Shmt__Sample sample = SHMT__SAMPLE__INIT, part = SHMT__SAMPLE__INIT, *back;
	Shmt__Sample *parts[] = { &part, &part };
	char *names[] = { (char *)"a", (char *)"" };
	uint8_t data[300] = { 0, 1, 2 };
	int32_t values[1000];

	for (int32_t i = 0; i < 1000; i++)
		values[i] = i * i - 5;
	sample.has_data = 1;
	sample.data = (ProtobufCBinaryData){ sizeof(data), data };
	sample.n_values = 1000;
	sample.values = values;
	sample.n_names = 2;
	sample.names = names;
	sample.n_parts = 2;
	sample.parts = parts;
	sample.cause = &part;
	part.number = 9;
	sample.choice_case = SHMT__SAMPLE__CHOICE_THAT_ONE;
	sample.that_one = (char *)"that";
	back = send(&sample);
	ck_assert_uint_eq(back->data.len, sizeof(data));
	ck_assert_mem_eq(back->data.data, data, sizeof(data));
	ck_assert_uint_eq(back->n_values, 1000);
	ck_assert_mem_eq(back->values, values, sizeof(values));
	ck_assert_uint_eq(back->n_names, 2);
	ck_assert_str_eq(back->names[1], "");
	ck_assert_uint_eq(back->n_parts, 2);
	ck_assert_uint_eq(back->parts[1]->number, 9);
	ck_assert_uint_eq(back->cause->number, 9);
	ck_assert_int_eq(back->choice_case, SHMT__SAMPLE__CHOICE_THAT_ONE);
	ck_assert_str_eq(back->that_one, "that");
	shmt__sample__free_unpacked(back, NULL);
}

TEST(a_message_of_another_type_or_with_a_field_missing_is_not_sent)
{
	struct shmc_codec_protobuf codec = sample_codec();
	ProtobufCMessageDescriptor other = shmt__sample__descriptor;
	Shmt__Sample sample = SHMT__SAMPLE__INIT;
	uint64_t bytes = 77;

	sample.n_names = 1;
	ck_assert_int_eq(codec.codec.measure(&codec.codec, &sample, &bytes), SHMC_BAD_VALUE);
	sample.base.descriptor = &other;
	ck_assert_int_eq(codec.codec.measure(&codec.codec, &sample, &bytes), SHMC_MISMATCH);
	ck_assert_uint_eq(bytes, 77);
}

/* Samples inside each other by their field 19, the outermost last; where they begin in @room. */
static uint8_t *nested(uint8_t *room, unsigned depth)
{
	uint8_t *at = room + DEEP_BYTES;
	uint64_t bytes;

	*--at = 0; /* number = 0 */
	*--at = 1 << 3;
	for (unsigned i = 1; i < depth; i++) {
		bytes = (uint64_t)(room + DEEP_BYTES - at);
		ck_assert_uint_lt(bytes, 1 << 14);
		*--at = (uint8_t)(bytes >> 7);
		*--at = (uint8_t)(bytes & 0x7f) | 0x80;
		*--at = (19 << 3 | 2) >> 7;
		*--at = ((19 << 3 | 2) & 0x7f) | 0x80;
		*--at = 0;
		*--at = 1 << 3;
	}
	return at;
}

TEST(a_hundred_messages_inside_each_other_are_a_value_and_no_more)
{
	uint8_t *room = malloc(DEEP_BYTES), *at = nested(room, 100);
	Shmt__Sample *sample;

	ck_assert_int_eq(decode(at, (uint64_t)(room + DEEP_BYTES - at), &sample), SHMC_OK);
	shmt__sample__free_unpacked(sample, NULL);
	at = nested(room, 101);
	ck_assert_int_eq(decode(at, (uint64_t)(room + DEEP_BYTES - at), &sample), SHMC_BAD_VALUE);
	free(room);
}

TEST(what_is_no_message_is_bad)
{
	static const struct {
		uint8_t bytes[12];
		uint64_t count;
	} rows[] = {
		{ { 0 }, 0 },				 /* number is required */
		{ { 0x08 }, 1 },			 /* nothing behind the tag */
		{ { 0x08, 0x80 }, 2 },			 /* a number without end */
		{ { 0x08, 0x01, 0x12, 0x05, 0x41 }, 5 }, /* a string of five bytes */
		{ { 0x08, 0x01, 0x12, 0xff, 0xff, 0xff, 0xff, 0x0f }, 8 },
		{ { 0x08, 0x01, 0x0b }, 3 },		       /* a group */
		{ { 0x08, 0x01, 0x21, 0x00 }, 4 },	       /* half a double */
		{ { 0x08, 0x01, 0x9a, 0x01, 0x01, 0x08 }, 6 }, /* a broken message inside */
		{ { 0x08, 0x01, 0x00, 0x01 }, 4 },	       /* no field has number 0 */
		/* the same in two bytes, which protobuf-c lets pass */
		{ { 0x08, 0x01, 0x81, 0x00, 1, 2, 3, 4, 5, 6, 7, 8 }, 12 },
	};
	Shmt__Sample *sample;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		ck_assert_msg(decode(rows[i].bytes, rows[i].count, &sample) == SHMC_BAD_VALUE,
			      "%zu", i);
}

SHMT_MAIN
