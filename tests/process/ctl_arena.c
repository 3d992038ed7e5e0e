/* shmbrokerctl on an arena and on what is in it, from a shell's point of view. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"

#define ARGUMENTS_MAX 12

static struct shmt_result run(const char *in, const char *const *arguments)
{
	const char *argv[ARGUMENTS_MAX] = { shmt_program("SHMBROKERCTL") };
	struct shmt_process process;

	for (int i = 1; *arguments && i < ARGUMENTS_MAX - 1; i++)
		argv[i] = *arguments++;
	process = shmt_process_start(argv);
	return shmt_process_finish(&process, in, strlen(in));
}

#define RUN(in, ...) run(in, (const char *const[]){ __VA_ARGS__, NULL })

/* It ends well, and says all of @words, of which each ends with a line. */
static void says(struct shmt_result result, const char *words)
{
	char *copy = strdup(words), *rest = copy, *word;

	if (result.code != 0)
		ck_abort_msg("exit code %d, stderr: %s", result.code, result.err);
	while ((word = strsep(&rest, "\n")) && *word)
		if (!strstr(result.out, word))
			ck_abort_msg("no \"%s\" in: %s", word, result.out);
	free(copy);
	shmt_result_free(&result);
}

static struct shmt_broker begin(void)
{
	struct shmt_broker broker = shmt_broker_start(NULL);

	setenv("SHMBROKER_ADDRESS", broker.address, 1);
	says(RUN("", "create", "sim", "arena", "entries=5"), "entries 5\n");
	says(RUN("", "create", "sim:pos", "array", "elements=4", "element_type=double"),
	     "created sim:pos\n");
	says(RUN("", "create", "sim:q", "mpmc", "endpoints_max=4"), "created sim:q\n");
	return broker;
}

TEST(objects_are_listed_and_described_with_their_arena)
{
	struct shmt_broker broker = begin();

	says(RUN("", "ls"), "sim \nsim:pos\nsim:q\n");
	says(RUN("", "ls", "sim:"), "sim:pos\nsim:q\n");
	says(RUN("", "peek", "sim"), "pos  #2  array\nq  #3  mpmc\n");
	says(RUN("", "describe", "sim"), "objects 2\ndata_free_bytes\nhealth      good\n");
	says(RUN("", "describe", "sim:pos"), "array, version 1\nelements 4\nhealth      good\n");
	shmt_broker_stop(&broker);
}

TEST(values_and_messages_of_objects_are_used_by_name)
{
	struct shmt_broker broker = begin();

	says(RUN("", "set", "sim:pos", "2", "1.5"), "");
	says(RUN("", "get", "sim:pos", "2"), "1.5\n");
	says(RUN("hello\n", "pub", "sim:q"), "");
	says(RUN("", "peek", "sim:q"), "ready  5 B  hello\n");
	says(RUN("", "sub", "sim:q", "--count", "1"), "hello\n");
	shmt_broker_stop(&broker);
}

TEST(removing_an_object_leaves_the_others_and_removing_the_arena_none)
{
	struct shmt_broker broker = begin();
	struct shmt_result result;

	says(RUN("", "rm", "sim:pos"), "");
	says(RUN("", "ls"), "sim:q\n");
	result = RUN("", "get", "sim:pos", "2");
	ck_assert_int_ne(result.code, 0);
	ck_assert_ptr_nonnull(strstr(result.err, "sim:pos"));
	shmt_result_free(&result);
	says(RUN("", "rm", "sim"), "");
	result = RUN("", "ls");
	ck_assert_ptr_null(strstr(result.out, "sim"));
	shmt_result_free(&result);
	shmt_broker_stop(&broker);
}

SHMT_MAIN
