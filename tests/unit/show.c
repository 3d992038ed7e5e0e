/*
 * What shmbrokerctl makes of numbers and of strangers' words.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/runner.h"
#include "tools/item.h"
#include "tools/show.h"
#include "tools/table.h"
#include "tools/text.h"
#include "tools/units.h"

static void assert_bytes(uint64_t bytes, const char *expected)
{
	char text[UNITS_BYTES];

	ck_assert_str_eq(units_bytes(bytes, text), expected);
}

static void assert_duration(uint64_t ns, const char *expected)
{
	char text[UNITS_BYTES];

	ck_assert_str_eq(units_duration(ns, text), expected);
}

TEST(bytes_are_shown_in_binary_units)
{
	assert_bytes(0, "0 B");
	assert_bytes(1023, "1023 B");
	assert_bytes(1024, "1 KiB");
	assert_bytes(1536, "1.5 KiB");
	assert_bytes(64u << 20, "64 MiB");
	assert_bytes(UINT64_MAX, "16 EiB");
}

TEST(figures_are_not_rounded)
{
	cJSON *figures = cJSON_Parse("{\"capacity_bytes\":65536,\"message_bytes_max\":65520,"
				     "\"depth_messages\":2048}");
	char *text = show_figures(figures);

	ck_assert_str_eq(text, "capacity_bytes 64 KiB, message_bytes_max 65520 B, "
			       "depth_messages 2048");
	free(text);
	cJSON_Delete(figures);
}

TEST(moments_are_shown_as_how_long_ago)
{
	cJSON *figures = cJSON_Parse("{\"lock_held_since_ns\":1}");
	char *text = show_figures(figures);

	ck_assert(strncmp(text, "lock_held_since ", 16) == 0);
	ck_assert_str_eq(text + strlen(text) - 4, " ago");
	free(text);
	cJSON_Delete(figures);
}

TEST(limits_are_shown_without_losing_a_digit)
{
	char text[UNITS_BYTES];

	ck_assert_str_eq(units_bytes_exact(0, text), "0 B");
	ck_assert_str_eq(units_bytes_exact(65520, text), "65520 B");
	ck_assert_str_eq(units_bytes_exact(65536, text), "64 KiB");
	ck_assert_str_eq(units_bytes_exact(1025 * 1024, text), "1025 KiB");
	ck_assert_str_eq(units_bytes_exact(1u << 30, text), "1 GiB");
}

TEST(durations_are_shown_with_two_units_at_most)
{
	assert_duration(0, "0 ns");
	assert_duration(999, "999 ns");
	assert_duration(1500, "1.5 us");
	assert_duration(12300000000, "12 s");
	assert_duration(60000000000, "1 m 0 s");
	assert_duration(3725000000000, "1 h 2 m");
	assert_duration(UINT64_MAX, "213503 d 23 h");
}

TEST(sizes_are_read_with_suffixes)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "4096B", 4096 },
		{ "64K", 65536 },
		{ "1m", 1u << 20 },
		{ "2GiB", 2u << 30 },
		{ "15E", 15ull << 60 },
		{ "18446744073709551615", UINT64_MAX },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		uint64_t value = 1;

		ck_assert_msg(units_parse(good[i].text, &value) == 0, "%s", good[i].text);
		ck_assert_uint_eq(value, good[i].value);
	}
}

TEST(what_is_no_size_is_refused)
{
	static const char *const bad[] = { "", "-1", " 1", "+1", "K", "1 K", "1X", "1Kx", "1.5K" };
	uint64_t value = 7;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(units_parse(bad[i], &value) == -EINVAL, "%s", bad[i]);
	ck_assert_int_eq(units_parse("18446744073709551616", &value), -ERANGE);
	ck_assert_int_eq(units_parse("16E", &value), -ERANGE);
	ck_assert_uint_eq(value, 7);
}

TEST(seconds_may_have_fractions)
{
	int64_t ns = 0;

	ck_assert_int_eq(units_parse_seconds("0.25", &ns), 0);
	ck_assert_int_eq(ns, 250000000);
	ck_assert_int_eq(units_parse_seconds("-1", &ns), -EINVAL);
	ck_assert_int_eq(units_parse_seconds("nan", &ns), -EINVAL);
	ck_assert_int_eq(units_parse_seconds("1s", &ns), -EINVAL);
	ck_assert_int_eq(units_parse_seconds("1e20", &ns), -ERANGE);
}

TEST(control_characters_reach_no_terminal)
{
	char text[] = "a\033[2Jb\x7f\tc\xc2\x9b\xc3\xa9\n";

	ck_assert_str_eq(text_clean(text), "a?[2Jb??c??\xc3\xa9?");
}

TEST(columns_are_aligned_by_characters)
{
	static const char *const headers[] = { "NAME", ">SIZE", "LAST" };
	struct table *table = table_new(headers, 3);
	char *text = NULL;
	size_t bytes;
	FILE *file = open_memstream(&text, &bytes);

	table_add(table, "\xc3\xa9t\xc3\xa9");
	table_add(table, "%d", 7);
	table_add(table, "x\033");
	table_add(table, "longer");
	table_add(table, "%d", 123456);
	table_add(table, "y");
	table_print(table, file);
	fclose(file);
	ck_assert_str_eq(text, "NAME      SIZE  LAST\n"
			       "\xc3\xa9t\xc3\xa9          7  x?\n"
			       "longer  123456  y\n");
	free(text);
	table_free(table);
}

TEST(empty_table_prints_nothing)
{
	static const char *const headers[] = { "NAME" };
	struct table *table = table_new(headers, 1);
	char *text = NULL;
	size_t bytes;
	FILE *file = open_memstream(&text, &bytes);

	table_print(table, file);
	fclose(file);
	ck_assert_str_eq(text, "");
	free(text);
	table_free(table);
}

/* What item_print() says of an item whose text is @text; to be freed. */
static char *printed(const char *text, bool as_json)
{
	struct options options = { .json = as_json };
	struct shmc_item item = {
		.what = "field", .name = "f", .number = UINT64_MAX, .endpoint = -1, .text = text
	};
	char *said = calloc(1, 256);
	FILE *file = tmpfile();
	int saved = dup(STDOUT_FILENO);

	ck_assert(file && said && saved >= 0);
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	ck_assert_int_eq(item_print(&options, &item), 0);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(file);
	ck_assert_uint_gt(fread(said, 1, 255, file), 0);
	fclose(file);
	return said;
}

/* A string in a record is its writer's, and who looks at it may be root at a terminal. */
TEST(values_that_strangers_wrote_command_no_terminal)
{
	char *said = printed("a\033[2Jb\302\233c\xff", false);

	ck_assert_str_eq(said, "f  a?[2Jb??c?\n");
	free(said);
}

TEST(values_that_strangers_wrote_are_json)
{
	char *said = printed("caf\303\251", true);
	cJSON *object = cJSON_Parse(said);

	ck_assert_str_eq(cJSON_GetObjectItem(object, "value")->valuestring, "caf\303\251");
	cJSON_Delete(object);
	free(said);
	said = printed("cut \303", true);
	object = cJSON_Parse(said);
	ck_assert_str_eq(cJSON_GetObjectItem(object, "value")->valuestring, "cut ?");
	cJSON_Delete(object);
	free(said);
}

SHMT_MAIN
