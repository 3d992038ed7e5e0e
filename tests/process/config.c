/*
 * Options and configuration file: what is wrong is named, and what wins.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/process.h"
#include "tests/support/runner.h"

#define EXIT_CONFIG 78

static char path[] = "/tmp/shmbroker-test.XXXXXX";

/* Runs the broker with --config of @text, if any, and up to two more words. */
static struct shmt_result run(const char *text, const char *first, const char *second)
{
	const char *argv[8] = { shmt_program("SHMBROKERD") };
	struct shmt_process process;
	int fd = -1, count = 1;

	if (text) {
		fd = mkstemp(path);
		ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
		close(fd);
		argv[count++] = "--config";
		argv[count++] = path;
	}
	argv[count++] = first;
	argv[count++] = second;
	process = shmt_process_start(argv);
	return shmt_process_finish(&process, "", 0);
}

static void check_refusal(const char *text, const char *first, const char *second,
			  const char *names)
{
	struct shmt_result result = run(text, first, second);

	ck_assert_int_eq(result.code, EXIT_CONFIG);
	ck_assert_msg(strstr(result.err, names) != NULL, "\"%s\" is not in: %s", names, result.err);
	shmt_result_free(&result);
	if (text)
		unlink(path);
	strcpy(path, "/tmp/shmbroker-test.XXXXXX");
}

TEST(good_configuration_is_called_good)
{
	struct shmt_result result = run("{\"bytes\":\"512M\",\"segments_per_uid\":10,"
					"\"control_mode\":\"0600\",\"create\":[{\"prefix\":\"a/\","
					"\"uids\":[1000],\"gids\":[]}]}",
					"--check-config", NULL);

	ck_assert_int_eq(result.code, 0);
	shmt_result_free(&result);
	unlink(path);
}

TEST(wrong_keys_and_values_are_named_with_their_limit)
{
	static const char *const bad[][2] = {
		{ "{\"colour\":1}", "colour: no such key" },
		{ "{\"bytes\":\"lots\"}", "bytes: \"lots\"" },
		{ "{\"bytes\":-1}", "bytes" },
		{ "{\"bytes\":true}", "bytes" },
		{ "{\"monitor_bytes\":10}", "monitor-bytes: 10 is not between 1024 and" },
		{ "{\"client_mode\":\"0999\"}", "client-mode" },
		{ "{\"client_mode\":438}", "client-mode" },
		{ "{\"config\":\"x\"}", "config: no such key" },
		{ "{\"client_socket\":\"\"}", "client-socket" },
		{ "{\"create\":{}}", "create" },
		{ "{\"create\":[{\"prefix\":\"a\"},{\"uids\":[1]}]}", "create[1]: prefix" },
		{ "{\"create\":[{\"prefix\":\"a\",\"uids\":[65534]}]}", "create[0]: uids" },
		{ "{\"create\":[{\"prefix\":\"a\",\"users\":[1]}]}", "create[0]" },
		{ "{\"bytes\":1048576,\"monitor_bytes\":4096,\"bytes\":2097152}",
		  "bytes: the key stands twice" },
		{ "{\"create\":[],\"create\":[]}", "create: the key stands twice" },
		{ "{\"create\":[{\"prefix\":\"a\",\"uids\":[1],\"uids\":[2]}]}",
		  "create[0]: has a key twice" },
		{ "[]", "object" },
		{ "{\n\n\"bytes\":}", "line 3" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_refusal(bad[i][0], "--check-config", NULL, bad[i][1]);
}

TEST(wrong_options_are_named)
{
	check_refusal(NULL, "--colour", NULL, "--colour: no such option");
	check_refusal(NULL, "stray", NULL, "stray: no such option");
	check_refusal(NULL, "--bytes", NULL, "bytes needs a value");
	check_refusal(NULL, "--user=1", NULL, "user takes no value");
	check_refusal(NULL, "--bytes=1X", NULL, "bytes: \"1X\"");
	check_refusal(NULL, "--connections-per-uid", "0", "is not between 1 and");
	check_refusal(NULL, "--config", "/nowhere/at/all", "/nowhere/at/all");
}

TEST(path_longer_than_a_socket_address_is_refused)
{
	char word[256];

	snprintf(word, sizeof(word), "--client-socket=/%0200d", 0);
	check_refusal(NULL, word, "--check-config", "107 bytes");
}

TEST(command_line_wins_over_the_file)
{
	struct shmt_result result = run("{\"client_socket\":\"/nowhere/at/all/a\"}",
					"--client-socket=/nowhere/at/all/b", NULL);

	ck_assert_int_eq(result.code, 1);
	ck_assert_ptr_nonnull(strstr(result.err, "path=/nowhere/at/all/b"));
	shmt_result_free(&result);
	unlink(path);
}

TEST(user_scope_without_a_runtime_folder_says_what_to_do)
{
	unsetenv("XDG_RUNTIME_DIR");
	check_refusal(NULL, "--user", NULL, "XDG_RUNTIME_DIR is not set");
}

TEST(help_says_every_option_with_its_default)
{
	static const char *const words[] = { "--user",
					     "--config",
					     "--check-config",
					     "--client-socket",
					     "--control-socket",
					     "--client-mode",
					     "--bytes BYTES",
					     "--bytes-per-uid",
					     "--segments-per-uid",
					     "--connections-per-uid",
					     "--endpoints-per-uid",
					     "default: 0660",
					     "default: 4096" };
	struct shmt_result result = run(NULL, "--help", NULL);

	ck_assert_int_eq(result.code, 0);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		ck_assert_msg(strstr(result.out, words[i]) != NULL, "no %s", words[i]);
	ck_assert_ptr_null(strstr(result.out, "no-peer-pidfd"));
	shmt_result_free(&result);
}

SHMT_MAIN
