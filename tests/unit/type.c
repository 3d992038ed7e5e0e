/* Values as text and back. */
#include "protocol/type.h"

#include <errno.h>
#include <float.h>
#include <string.h>

#include "tests/support/runner.h"

static const char *text_of(uint32_t type, const void *value, size_t bytes)
{
	static char text[128];

	ck_assert_uint_eq(shmp_type_format(type, value, bytes, text, sizeof(text)), strlen(text));
	return text;
}

TEST(numbers_come_back_as_they_went)
{
	static const struct {
		uint32_t type;
		const char *text[4];
	} rows[] = {
		{ SHMP_TYPE_BOOL, { "true", "false" } },
		{ SHMP_TYPE_I8, { "-128", "127" } },
		{ SHMP_TYPE_I16, { "-32768", "32767" } },
		{ SHMP_TYPE_I32, { "-2147483648", "2147483647" } },
		{ SHMP_TYPE_I64, { "-9223372036854775808", "9223372036854775807" } },
		{ SHMP_TYPE_U8, { "0", "255" } },
		{ SHMP_TYPE_U16, { "0", "65535" } },
		{ SHMP_TYPE_U32, { "0", "4294967295" } },
		{ SHMP_TYPE_U64, { "0", "18446744073709551615" } },
		{ SHMP_TYPE_FLOAT, { "0.5", "-inf", "nan", "1.40129846e-45" } },
		{ SHMP_TYPE_DOUBLE, { "-0", "inf", "nan", "4.9406564584124654e-324" } },
		{ SHMP_TYPE_DECIMAL128, { "00112233445566778899aabbccddeeff" } },
		{ SHMP_TYPE_UUID, { "00112233-4455-6677-8899-aabbccddeeff" } },
		{ SHMP_TYPE_TIME,
		  { "1970-01-01T00:00:00.000000000Z", "2026-11-21T14:30:05.123456789Z",
		    "1969-12-31T23:59:59.999999999Z", "1900-02-28T00:00:00.000000000Z" } },
		{ SHMP_TYPE_DURATION, { "0.000000000s", "-1.500000000s" } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t bytes = shmp_type_bytes(rows[i].type);

		for (int k = 0; k < 4 && rows[i].text[k]; k++) {
			uint8_t value[16];

			ck_assert_msg(
				shmp_type_parse(rows[i].type, rows[i].text[k], value, bytes) == 0,
				"%s", rows[i].text[k]);
			ck_assert_str_eq(text_of(rows[i].type, value, bytes), rows[i].text[k]);
		}
	}
}

TEST(first_and_last_time_that_there_is_have_a_text)
{
	int64_t first = INT64_MIN, last = INT64_MAX;

	ck_assert_str_eq(text_of(SHMP_TYPE_TIME, &first, sizeof(first)),
			 "1677-09-21T00:12:43.145224192Z");
	ck_assert_str_eq(text_of(SHMP_TYPE_TIME, &last, sizeof(last)),
			 "2262-04-11T23:47:16.854775807Z");
}

TEST(what_does_not_fit_the_type_is_refused_and_stores_nothing)
{
	static const struct {
		uint32_t type;
		const char *text;
		int error;
	} rows[] = {
		{ SHMP_TYPE_BOOL, "2", -EINVAL },
		{ SHMP_TYPE_I8, "128", -ERANGE },
		{ SHMP_TYPE_I8, "-129", -ERANGE },
		{ SHMP_TYPE_I16, "1.5", -EINVAL },
		{ SHMP_TYPE_U8, "-1", -ERANGE },
		{ SHMP_TYPE_U64, "-1", -ERANGE },
		{ SHMP_TYPE_U32, "4294967296", -ERANGE },
		{ SHMP_TYPE_I64, "", -EINVAL },
		{ SHMP_TYPE_U64, "18446744073709551616", -ERANGE },
		{ SHMP_TYPE_FLOAT, "1e39", -ERANGE },
		{ SHMP_TYPE_DOUBLE, "1e309", -ERANGE },
		{ SHMP_TYPE_DOUBLE, "1,5", -EINVAL },
		{ SHMP_TYPE_UUID, "0011", -EINVAL },
		{ SHMP_TYPE_UUID, "x", -EINVAL },
		{ SHMP_TYPE_UUID, "00112233-4455-6677-8899-aabbccddeeff00", -ERANGE },
		{ SHMP_TYPE_TIME, "2026-13-01T00:00:00Z", -EINVAL },
		{ SHMP_TYPE_TIME, "2026-11-21T14:30:05", -EINVAL },
		{ SHMP_TYPE_TIME, "3000-01-01T00:00:00Z", -ERANGE },
		{ SHMP_TYPE_DURATION, "5 weeks", -EINVAL },
		{ SHMP_TYPE_DURATION, "1e10s", -ERANGE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t value[16], before[16];

		memset(value, 0x5a, sizeof(value));
		memset(before, 0x5a, sizeof(before));
		ck_assert_msg(shmp_type_parse(rows[i].type, rows[i].text, value,
					      shmp_type_bytes(rows[i].type)) == rows[i].error,
			      "%s", rows[i].text);
		ck_assert_mem_eq(value, before, sizeof(value));
	}
}

TEST(durations_have_units)
{
	static const struct {
		const char *text;
		int64_t ns;
	} rows[] = { { "1500", 1500 },
		     { "1.5us", 1500 },
		     { "2ms", 2000000 },
		     { "-3s", -3000000000 },
		     { "7ns", 7 } };
	int64_t ns;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_int_eq(shmp_type_parse(SHMP_TYPE_DURATION, rows[i].text, &ns, 8), 0);
		ck_assert_int_eq(ns, rows[i].ns);
	}
}

TEST(strings_are_utf8_below_their_limit)
{
	char value[8];

	ck_assert_int_eq(shmp_type_parse(SHMP_TYPE_STRING, "", value, 8), 0);
	ck_assert_int_eq(shmp_type_parse(SHMP_TYPE_STRING, "1234567", value, 8), 0);
	ck_assert_str_eq(text_of(SHMP_TYPE_STRING, value, 8), "1234567");
	ck_assert_int_eq(shmp_type_parse(SHMP_TYPE_STRING, "12345678", value, 8), -ERANGE);
	ck_assert_int_eq(shmp_type_parse(SHMP_TYPE_STRING, "\xc3\xa4\xe2\x82\xac", value, 8), 0);
	ck_assert_str_eq(text_of(SHMP_TYPE_STRING, value, 8), "\xc3\xa4\xe2\x82\xac");
}

TEST(what_is_no_utf8_is_known)
{
	static const char *const bad[] = { "\x80",
					   "\xc3",
					   "\xc0\x80",
					   "\xe0\x80\x80",
					   "\xed\xa0\x80",
					   "\xf4\x90\x80\x80",
					   "\xf5\x80\x80\x80",
					   "a\xff" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert(!shmp_type_is_text(bad[i], strlen(bad[i])));
	ck_assert(!shmp_type_is_text("a\0b", 3));
	ck_assert(shmp_type_is_text("\xf4\x8f\xbf\xbf\xed\x9f\xbf", 7));
}

TEST(any_bytes_have_a_text_that_stays_in_its_room)
{
	uint8_t value[64];
	char text[80];

	for (int fill = 0; fill < 256; fill += 51) {
		memset(value, fill, sizeof(value));
		for (uint32_t type = 0; type < SHMP_TYPE_COUNT + 2; type++) {
			for (size_t room = 0; room < 70; room++) {
				size_t bytes = shmp_type_bytes(type);

				memset(text, '#', sizeof(text));
				shmp_type_format(type, value, bytes ? bytes : 64, text, room);
				ck_assert_int_eq(text[room], '#');
				ck_assert(room == 0 || memchr(text, '\0', room));
			}
		}
	}
}

SHMT_MAIN
