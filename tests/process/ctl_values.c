/* shmbrokerctl get, set and describe on records, arrays and atomics, as a person uses them. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/process.h"
#include "tests/support/record.h"
#include "tests/support/runner.h"

#define ARGUMENTS_MAX 16

static struct shmt_broker broker;
static struct shmc_client *client;

static void begin(void)
{
	broker = shmt_broker_start(NULL);
	setenv("SHMBROKER_ADDRESS", broker.address, 1);
	client = shmt_connect(&broker);
}

static void end(void)
{
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static struct shmt_result run(const char *const *arguments)
{
	const char *argv[ARGUMENTS_MAX] = { shmt_program("SHMBROKERCTL") };
	struct shmt_process process;

	for (int i = 1; *arguments && i < ARGUMENTS_MAX - 1; i++)
		argv[i] = *arguments++;
	process = shmt_process_start(argv);
	return shmt_process_finish(&process, "", 0);
}

#define CTL(...)    run((const char *const[]){ __VA_ARGS__, NULL })
#define expect(...) expect_at(__LINE__, __VA_ARGS__)

/* @out begins what it prints; @err is somewhere in what it complains of. */
static void expect_at(int line, struct shmt_result result, int code, const char *out,
		      const char *err)
{
	bool is_said = !err || strstr(result.err, err);

	if (result.code != code || (out && strcmp(result.out, out) != 0) || !is_said)
		ck_abort_msg("line %d: exit code %d, stdout: %s, stderr: %s", line, result.code,
			     result.out, result.err);
	shmt_result_free(&result);
}

static void expect_in(struct shmt_result result, const char *text)
{
	ck_assert_msg(result.code == 0 && strstr(result.out, text), "%s is not in: %s%s", text,
		      result.out, result.err);
	shmt_result_free(&result);
}

TEST(fields_of_any_record_are_shown_and_set)
{
	begin();
	shmt_record_create(client, "r", shmt_fields, shmt_field_count);
	expect(CTL("set", "r", "i32", "--", "-42"), 0, "", NULL);
	expect(CTL("get", "r", "i32"), 0, "-42\n", NULL);
	expect(CTL("set", "r", "string", "warm \xc3\xa4"), 0, "", NULL);
	expect(CTL("set", "r", "points[1].x", "0.25"), 0, "", NULL);
	expect(CTL("get", "r", "points[1].x"), 0, "0.25\n", NULL);
	expect(CTL("set", "r", "numbers[1]", "7"), 0, "", NULL);
	expect(CTL("get", "r", "numbers"), 0, "[0, 7]\n", NULL);
	expect(CTL("set", "r", "time", "2026-11-21T14:30:05.5Z"), 0, "", NULL);
	expect(CTL("get", "r", "time"), 0, "2026-11-21T14:30:05.500000000Z\n", NULL);
	expect(CTL("--json", "get", "r", "i32"), 0,
	       "{\"name\":\"r\",\"field\":\"i32\",\"value\":\"-42\"}\n", NULL);
	expect_in(CTL("get", "r"), "points[1].x = 0.25\n");
	expect_in(CTL("peek", "r"), "-42");
	end();
}

TEST(what_a_field_cannot_hold_is_refused)
{
	begin();
	shmt_record_create(client, "r", shmt_fields, shmt_field_count);
	expect(CTL("set", "r", "i8", "300"), 1, "", "i8");
	expect(CTL("set", "r", "nothing", "3"), 1, "", "nothing");
	expect(CTL("get", "r", "nothing"), 1, "", "nothing");
	expect(CTL("get", "r", "numbers[3]"), 1, "", "numbers[3]");
	expect(CTL("set", "r", "i8"), 2, "", "set NAME FIELD VALUE");
	expect(CTL("get", "r", "i8"), 0, "0\n", NULL);
	expect(CTL("create", "x", "record"), 1, "", "schema");
	expect(CTL("get", "none"), 1, "", "none");
	end();
}

TEST(describe_prints_the_fields)
{
	begin();
	shmt_record_create(client, "r", shmt_fields, shmt_field_count);
	expect_in(CTL("describe", "r"), "points[].tags");
	expect_in(CTL("describe", "r"), "decimal128");
	expect_in(CTL("--json", "describe", "r"), "{\"name\":\"i8\",\"type\":\"i8\"");
	end();
}

TEST(elements_of_arrays_are_shown_and_set)
{
	begin();
	expect(CTL("create", "a", "array", "element_type=11", "elements=3"), 0, NULL, NULL);
	expect(CTL("set", "a", "2", "1.5"), 0, "", NULL);
	expect(CTL("get", "a", "2"), 0, "1.5\n", NULL);
	expect(CTL("get", "a", "3"), 1, "", "0 to 2");
	expect(CTL("set", "a", "1", "warm"), 1, "", "warm");
	expect_in(CTL("peek", "a"), "1.5");
	expect(CTL("create", "b", "array", "element_bytes=3"), 0, NULL, NULL);
	expect(CTL("set", "b", "0", "0a0b0c"), 0, "", NULL);
	expect(CTL("get", "b", "0"), 0, "0a0b0c\n", NULL);
	end();
}

TEST(atomics_are_shown_and_set)
{
	static const struct {
		const char *type, *set, *shown;
	} rows[] = {
		{ "type=1", "true", "true\n" },
		{ "type=4", "-5", "-5\n" },
		{ "type=5", "-50000000000", "-50000000000\n" },
		{ "type=8", "4294967295", "4294967295\n" },
		{ "type=9", "18446744073709551615", "18446744073709551615\n" },
		{ "type=11", "-0.5", "-0.5\n" },
	};

	begin();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		expect(CTL("create", "n", "atomic", rows[i].type), 0, NULL, NULL);
		expect(CTL("set", "n", "--", rows[i].set), 0, "", NULL);
		expect(CTL("get", "n"), 0, rows[i].shown, NULL);
		expect(CTL("set", "n", "nonsense"), 1, "", "nonsense");
		expect(CTL("rm", "n"), 0, NULL, NULL);
	}
	expect(CTL("create", "q"), 0, NULL, NULL);
	expect(CTL("get", "q"), 1, "", "kind spsc");
	end();
}

SHMT_MAIN
