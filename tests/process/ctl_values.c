/* shmbrokerctl get, set and describe on records, arrays and atomics, as a person uses them. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/process.h"
#include "tests/support/record.h"
#include "tests/support/runner.h"

#define ARGUMENTS_MAX 20

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
static void expect_at(size_t line, struct shmt_result result, int code, const char *out,
		      const char *err)
{
	bool is_said = !err || strstr(result.err, err);

	if (result.code != code || (out && strcmp(result.out, out) != 0) || !is_said)
		ck_abort_msg("line %zu: exit code %d, stdout: %s, stderr: %s", line, result.code,
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
	expect(CTL("create", "x", "record"), 2, "", "--field");
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

TEST(a_record_is_made_described_read_and_set_with_no_program_compiled)
{
	begin();
	expect(CTL("create", "r", "--field", "unit:string:8", "--field", "value:double",
		   "--field=recent:i32[4]", "--field", "wheels:struct[2]", "--field",
		   "wheels.pressure:float", "--field", "pose.x:double", "schema_version=3"),
	       0, NULL, NULL);
	expect_in(CTL("describe", "r"), "wheels[].pressure");
	expect_in(CTL("describe", "r"), "schema_version 3");
	expect(CTL("set", "r", "unit", "mbar"), 0, "", NULL);
	expect(CTL("set", "r", "wheels[1].pressure", "2.5"), 0, "", NULL);
	expect(CTL("set", "r", "recent[2]", "7"), 0, "", NULL);
	expect(CTL("get", "r"), 0,
	       "unit = mbar\nvalue = 0\nrecent = [0, 0, 7]\nwheels[0].pressure = 0\n"
	       "wheels[1].pressure = 2.5\npose.x = 0\n",
	       NULL);
	/* the kind may be said, and the size of a string as it is written elsewhere */
	expect(CTL("create", "s", "record", "--field", "names:string(8)[2]"), 0, NULL, NULL);
	expect_in(CTL("--json", "describe", "s"),
		  "{\"name\":\"names\",\"type\":\"string\",\"count\":2,\"bytes\":8");
	end();
}

TEST(a_record_made_by_hand_is_the_one_that_a_program_would_make)
{
	struct shmc_field inner[] = { { .name = "x", .type = SHMC_TYPE_DOUBLE } };
	struct shmc_field fields[] = {
		{ .name = "unit", .type = SHMC_TYPE_STRING, .bytes = 8 },
		{ .name = "poses",
		  .type = SHMC_TYPE_STRUCT,
		  .count = 3,
		  .field_count = 1,
		  .fields = inner },
		{ .name = "raw", .type = SHMC_TYPE_BYTES, .bytes = 5, .count = 2 },
	};
	struct shmc_record_options options = {
		.fields = fields, .field_count = 3, .version = 2, .reuse = 1
	};
	struct shmc_error error = { .text = "" };

	begin();
	expect(CTL("create", "r", "record", "--field", "unit:string:8", "--field",
		   "poses:struct[3]", "--field", "poses[].x:double", "--field", "raw:bytes:5[2]",
		   "schema_version=2"),
	       0, NULL, NULL);
	ck_assert_msg(shmc_record_create(client, "r", &options, &error) == SHMC_OK, "%s",
		      error.text);
	expect(CTL("create", "r", "--reuse", "--field", "unit:string:9"), 1, "", "r");
	end();
}

static struct shmt_result run_with(const char *input, const char *const *arguments)
{
	const char *argv[ARGUMENTS_MAX] = { shmt_program("SHMBROKERCTL") };
	struct shmt_process process;

	for (int i = 1; *arguments && i < ARGUMENTS_MAX - 1; i++)
		argv[i] = *arguments++;
	process = shmt_process_start(argv);
	return shmt_process_finish(&process, input, strlen(input));
}

#define CREATE_FROM(input) \
	run_with(input, (const char *const[]){ "create", "j", "record", "--fields", "-", NULL })

TEST(fields_come_from_json_also_from_that_of_describe)
{
	struct shmt_result described;

	begin();
	shmt_record_create(client, "r", shmt_fields, shmt_field_count);
	described = CTL("--json", "describe", "r");
	expect(CREATE_FROM(described.out), 0, NULL, NULL);
	shmt_result_free(&described);
	expect(CTL("rm", "r"), 0, NULL, NULL);
	shmt_record_create(client, "r", shmt_fields, shmt_field_count);
	expect(CTL("get", "j", "points[2].tags"), 0, "[]\n", NULL);
	expect_in(CTL("describe", "j"), "schema_version 1");
	expect(CTL("rm", "j"), 0, NULL, NULL);
	expect(CREATE_FROM("[{\"name\":\"a\",\"type\":\"u8\"},{\"name\":\"s\",\"count\":2,"
			   "\"fields\":[{\"name\":\"b\",\"type\":\"bool\"}]}]"),
	       0, NULL, NULL);
	expect(CTL("set", "j", "s[1].b", "true"), 0, "", NULL);
	expect(CTL("get", "j", "s[1].b"), 0, "true\n", NULL);
	end();
}

TEST(what_is_wrong_with_a_field_is_said_with_its_name)
{
	static const struct {
		const char *field, *says;
	} rows[] = {
		{ "v", "NAME:TYPE" },
		{ "v:flaot", "\"v\": there is no type \"flaot\"; types: bytes bool" },
		{ "v:string", "\"v\": its size is missing" },
		{ "v:u8:2", "\"v\": its type has another size" },
		{ "v:u8[0]", "\"v\": behind its type" },
		{ "v:u8[x]", "\"v\": behind its type" },
		{ "v:u8[2", "\"v\": behind its type" },
		{ "v:u8[2]x", "\"v\": behind its type" },
		{ "v:u8[32M]", "\"v\": an array has at most" },
		{ "v:string:1G", "\"v\": behind its type" },
		{ ":u8", "\"\": a name is" },
		{ "9v:u8", "\"9v\": a name is" },
		{ "a-name-that-is-longer-than-any-field-s-can-ever-be:u8", "a name is" },
		{ "a.:u8", "\"a.\": a name is" },
		{ "s:struct", "\"s\": it is empty" },
		{ "w[].x:u8", "\"w[].x\": say before it how many" },
		{ "a:u8", "\"a\": the name is there twice" },
		{ "a.x:u8", "\"a.x\": what it is part of is no struct" },
		{ "b.c.d.e.f.g.h.i.j:u8", "structs are at most 8 deep" },
	};

	begin();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_at(i + 1000,
			  CTL("create", "x", "--field", i > 15 ? "a:u8" : "ok:u8", "--field",
			      rows[i].field),
			  2, "", rows[i].says);
	expect(CTL("create", "x", "spsc", "--field", "a:u8"), 2, "", "spsc has no fields");
	expect(CTL("create", "x", "--field", "a:u8", "record_bytes=8"), 2, "",
	       "record_bytes follows from the fields");
	expect(CTL("create", "x", "--fields", "/nowhere/at/all"), 2, "", "/nowhere/at/all");
	expect(CREATE_FROM("nonsense"), 2, "", "no JSON");
	expect(CREATE_FROM("{\"field\":[]}"), 2, "", "neither an array");
	expect(CREATE_FROM("[]"), 2, "", "1 to 500 fields");
	expect(CREATE_FROM("[{\"name\":\"v\",\"type\":\"u8\",\"cout\":3}]"), 2, "",
	       "\"v\": \"cout\" says nothing");
	expect(CREATE_FROM("[{\"name\":\"v\",\"type\":\"u8\",\"count\":-3}]"), 2, "",
	       "\"v\": its count");
	expect(CREATE_FROM("[{\"name\":\"v\",\"type\":\"u8\",\"fields\":[]}]"), 2, "",
	       "\"v\": only a struct");
	expect(CREATE_FROM("[{\"type\":\"u8\"}]"), 2, "", "a name is");
	expect(CREATE_FROM("[7]"), 2, "", "no type");
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
	expect_in(CTL("describe", "a"), "element_type double");
	expect_in(CTL("--json", "describe", "a"), "\"element_type\":11");
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
