#include "tests/support/runner.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SHMT_TESTS_MAX = 512,
	SHMT_TIMEOUT_S = 10,
};

static struct shmt_test {
	const TTest *test;
	struct shmt_options options;
} shmt_tests[SHMT_TESTS_MAX];
static size_t shmt_test_count;

void shmt_add(const TTest *test, const struct shmt_options *options)
{
	struct shmt_test *added = &shmt_tests[shmt_test_count];

	if (shmt_test_count == SHMT_TESTS_MAX) {
		fprintf(stderr, "%s: more than %d tests\n", test->file, SHMT_TESTS_MAX);
		exit(1);
	}
	*added = (struct shmt_test){ test, *options };
	if (!added->options.timeout_s)
		added->options.timeout_s = SHMT_TIMEOUT_S;
	if (!added->options.rounds)
		added->options.rounds = 1;
	shmt_test_count++;
}

unsigned long shmt_scaled(unsigned long duration)
{
	const char *text = getenv("SHMT_SLOW");
	unsigned long slow = text ? strtoul(text, NULL, 10) : 1;

	return duration * (slow ? slow : 1);
}

/* check's file has lost its name: "/tmp/check_XXXXXX (deleted)" */
static int shmt_is_notes(int folder, const char *name)
{
	char target[PATH_MAX];
	ssize_t bytes = readlinkat(folder, name, target, sizeof(target) - 1);

	if (bytes < 0)
		return 0;
	target[bytes] = '\0';
	return strstr(target, "/check_") && strstr(target, " (deleted)");
}

void shmt_be_child(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		if (shmt_is_notes(dirfd(folder), entry->d_name))
			dup3(nowhere, atoi(entry->d_name), O_CLOEXEC);
	}
	if (folder)
		closedir(folder);
	close(nowhere);
}

int shmt_skip(const char *reason)
{
	printf("1..0 # SKIP %s\n", reason);
	return 0;
}

/* The language leaves the order of constructors open; a report follows the file. */
static int shmt_compare(const void *a, const void *b)
{
	const struct shmt_test *x = a, *y = b;
	int by_file = strcmp(x->test->file, y->test->file);

	return by_file ? by_file : x->test->line - y->test->line;
}

/* Keeps, in the order of the file, the tests whose names contain one of `words` (none: all). */
static void shmt_choose(char **words)
{
	size_t kept = 0;

	qsort(shmt_tests, shmt_test_count, sizeof(*shmt_tests), shmt_compare);
	for (size_t i = 0; i < shmt_test_count; i++) {
		char **word = words;

		while (*word && !strstr(shmt_tests[i].test->name, *word))
			word++;
		if (*word || !*words)
			shmt_tests[kept++] = shmt_tests[i];
	}
	shmt_test_count = kept;
}

static int shmt_report(const struct shmt_test *test, TestResult *result, int number, int round)
{
	int passed = tr_rtype(result) == CK_PASS;

	printf("%s %d - %s", passed ? "ok" : "not ok", number, test->test->name);
	if (test->options.rounds > 1)
		printf(" (%d)", round);
	printf("\n");
	if (!passed)
		printf("# %s:%d: %s\n", tr_lfile(result), tr_lno(result), tr_msg(result));
	return passed;
}

/*
 * One test through check, in all its rounds. It gets a suite of its own because check sets time
 * limits per case, and because check's own TAP has no line numbers. Return: how many failed.
 */
static int shmt_run_test(const struct shmt_test *test, int number)
{
	Suite *suite = suite_create(test->test->name);
	TCase *tcase = tcase_create(test->test->name);
	SRunner *runner = srunner_create(suite);
	TestResult **results;
	int ran, failed = 0;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, (double)shmt_scaled((unsigned long)test->options.timeout_s));
	tcase_add_loop_test(tcase, test->test, 0, test->options.rounds);

	srunner_run_all(runner, CK_SILENT);
	ran = srunner_ntests_run(runner);
	results = srunner_results(runner);
	for (int i = 0; i < ran; i++)
		failed += !shmt_report(test, results[i], number + i, i);
	free(results);
	srunner_free(runner);
	return failed;
}

int shmt_run(int argc, char **argv)
{
	int list = argc > 1 && strcmp(argv[1], "--list") == 0;
	int number = 1, count = 0, failed = 0;

	/* A program that is killed has still reported what it finished, and a child that
	 * leaves by exit() has nothing of ours to print a second time. */
	setvbuf(stdout, NULL, _IOLBF, 0);

	shmt_choose(argv + 1 + list);
	for (size_t i = 0; i < shmt_test_count; i++) {
		count += shmt_tests[i].options.rounds;
		if (list)
			puts(shmt_tests[i].test->name);
	}
	if (list)
		return 0;

	printf("1..%d\n", count);
	for (size_t i = 0; i < shmt_test_count; i++) {
		failed += shmt_run_test(&shmt_tests[i], number);
		number += shmt_tests[i].options.rounds;
	}
	return failed || !count;
}
