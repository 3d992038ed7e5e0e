/*
 * The option table through each of its mouths.
 */
#include "daemon/options.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/runner.h"

static struct options options;
static struct complaint complaint;

static int read_line(char *first, char *second, char *third)
{
	char *argv[] = { (char[]){ "shmbrokerd" }, first, second, third, NULL };

	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	setenv("XDG_CONFIG_HOME", "/nowhere", 1);
	return options_read(first ? second ? third ? 4 : 3 : 2 : 1, argv, &options, &complaint);
}

#define READ(first, second, third) read_line((char[]){ first }, (char[]){ second }, third)

TEST(without_options_everything_has_its_default)
{
	ck_assert_int_eq(read_line(NULL, NULL, NULL), 0);
	ck_assert_str_eq(options.client_socket, "/run/shmbroker/shmbroker.sock");
	ck_assert_str_eq(options.control_socket, "/run/shmbroker/control.sock");
	ck_assert_uint_eq(options.client_mode, 0666);
	ck_assert_uint_eq(options.control_mode, 0660);
	ck_assert_uint_gt(options.bytes, 0);
	ck_assert_uint_eq(options.bytes_per_uid, options.bytes);
	ck_assert(!options.user);
	options_deinit(&options);
}

TEST(user_scope_has_the_users_sockets)
{
	ck_assert_int_eq(read_line((char[]){ "--user" }, NULL, NULL), 0);
	ck_assert_str_eq(options.client_socket, "/run/user/7/shmbroker/shmbroker.sock");
	ck_assert_str_eq(options.control_socket, "/run/user/7/shmbroker/control.sock");
	options_deinit(&options);
}

TEST(last_word_wins)
{
	ck_assert_int_eq(READ("--user", "--system", (char[]){ "--bytes=1" }), 0);
	ck_assert(!options.user);
	options_deinit(&options);
}

TEST(sizes_take_suffixes_that_count_by_1024)
{
	static const struct {
		char text[24];
		uint64_t bytes;
	} sizes[] = {
		{ "1", 1 },	    { "2K", 2048 },	  { "3M", 3u << 20 },
		{ "1G", 1u << 30 }, { "1T", 1ull << 40 },
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char text[24];

		strcpy(text, sizes[i].text);
		ck_assert_int_eq(READ("--bytes", "0", NULL), 0);
		options_deinit(&options);
		ck_assert_int_eq(read_line((char[]){ "--bytes" }, text, NULL), 0);
		ck_assert_uint_eq(options.bytes, sizes[i].bytes);
		options_deinit(&options);
	}
}

TEST(sizes_that_are_none_are_refused)
{
	static const char *const texts[] = {
		"",	     "K",   "-1", "+1",	  " 1",
		"1 ",	     "1KB", "1k", "0x10", "18446744073709551616",
		"16777216T", "1.5"
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[32];

		strcpy(text, texts[i]);
		ck_assert_msg(read_line((char[]){ "--bytes" }, text, NULL) < 0, "%s", text);
		ck_assert_ptr_nonnull(strstr(complaint.text, "bytes"));
	}
}

TEST(keys_of_the_file_are_the_options_with_underscores)
{
	options_init(&options);
	ck_assert_int_eq(options_read_config(&options,
					     "{\"segments_per_uid\":3,\"client_mode\":\"0600\","
					     "\"client_socket\":\"/a\"}",
					     &complaint),
			 0);
	ck_assert_uint_eq(options.segments_per_uid, 3);
	ck_assert_uint_eq(options.client_mode, 0600);
	ck_assert_str_eq(options.client_socket, "/a");
	ck_assert_int_lt(options_read_config(&options, "{\"segments-per-uid\":3}", &complaint), 0);
	options_deinit(&options);
}

TEST(flags_and_the_file_itself_are_no_keys)
{
	options_init(&options);
	ck_assert_int_lt(options_read_config(&options, "{\"user\":true}", &complaint), 0);
	ck_assert_int_lt(options_read_config(&options, "{\"config\":\"x\"}", &complaint), 0);
	ck_assert_int_lt(options_read_config(&options, "{\"help\":true}", &complaint), 0);
	options_deinit(&options);
}

SHMT_MAIN
