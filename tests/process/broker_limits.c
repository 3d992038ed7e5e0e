/*
 * Limits: what is refused says which, how much is in use and which option sets it; what is given
 * back can be had again.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/lives.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

static struct shmt_broker broker;
static struct shmt_raw *raw;

static void begin(const char *option, const char *value)
{
	const char *const options[] = { option, value, NULL };

	broker = shmt_broker_start(options);
	raw = shmt_raw_open(broker.address);
}

static void end(void)
{
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

/* The last reply refused for @limit and names what sets it. */
static void check_quota(const char *limit, const char *option)
{
	ck_assert_str_eq(shmt_raw_string(raw, "limit"), limit);
	ck_assert_ptr_nonnull(strstr(shmt_raw_string(raw, "message"), option));
}

TEST(segments_of_a_user_are_limited_and_come_back)
{
	begin("--segments-per-uid", "2");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'b','kind':'spsc'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'c','kind':'spsc'}"), "Quota");
	check_quota("segments", "segments-per-uid");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'a'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'c','kind':'spsc'}"), "");
	end();
}

TEST(bytes_of_a_user_are_limited_and_come_back_with_the_last_holder)
{
	begin("--bytes-per-uid", "1M");
	ck_assert_str_eq(shmt_raw_call(raw, "Create",
				       "{'name':'a','kind':'spsc','options':"
				       "{'capacity_bytes':524288}}"),
			 "");
	shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'producer'}");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'a'}"), "");
	for (int held = 1; held >= 0; held--) {
		ck_assert_str_eq(shmt_raw_call(raw, "Create",
					       "{'name':'b','kind':'spsc','options':"
					       "{'capacity_bytes':524288}}"),
				 held ? "Quota" : "");
		if (held)
			check_quota("bytes", "bytes-per-uid");
		shmt_raw_call(raw, "Detach", "{'id':1,'endpoint':0,'incarnation':1}");
	}
	end();
}

TEST(memory_of_all_segments_is_limited)
{
	begin("--bytes", "1M");
	ck_assert_str_eq(shmt_raw_call(raw, "Create",
				       "{'name':'a','kind':'spsc','options':"
				       "{'capacity_bytes':1048576}}"),
			 "NoSpace");
	ck_assert_ptr_nonnull(strstr(shmt_raw_string(raw, "message"), "(bytes)"));
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}"), "");
	end();
}

TEST(endpoints_of_a_user_are_limited_and_come_back)
{
	begin("--endpoints-per-uid", "1");
	shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}");
	ck_assert_str_eq(
		shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'producer'}"), "");
	ck_assert_str_eq(
		shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'consumer'}"),
		"Quota");
	check_quota("endpoints", "endpoints-per-uid");
	shmt_raw_call(raw, "Detach", "{'id':1,'endpoint':0,'incarnation':1}");
	ck_assert_str_eq(
		shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'consumer'}"), "");
	end();
}

TEST(connections_of_a_user_are_limited_with_an_answer)
{
	struct shmt_raw *more, *beyond;
	size_t descriptors;

	begin("--connections-per-uid", "2");
	ck_assert_str_eq(shmt_raw_call(raw, "Kinds", "{}"), "");
	descriptors = shmt_broker_descriptors(&broker);
	more = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(more, "Kinds", "{}"), "");
	beyond = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_receive(beyond), "org.shmbroker.Quota");
	ck_assert_str_eq(shmt_raw_string(beyond, "limit"), "connections");
	shmt_raw_expect_close(beyond);
	shmt_raw_close(beyond);
	shmt_raw_close(more);
	shmt_broker_settle(&broker, descriptors);
	more = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(more, "Kinds", "{}"), "");
	shmt_raw_close(more);
	end();
}

static void resume(const char *token, const char *error)
{
	shmt_raw_close(raw);
	raw = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Hello", "{'resume':'%s'}", token), error);
	ck_assert(shmt_raw_bool(raw, "resumed"));
}

TEST(who_has_reached_the_limit_of_connections_can_come_back)
{
	struct shmt_raw *extra, *beyond;
	char token[64];

	begin("--connections-per-uid", "1");
	ck_assert_str_eq(shmt_raw_call(raw, "Hello", "{'start_time':%llu}", shmt_start_time()), "");
	snprintf(token, sizeof(token), "%s", shmt_raw_string(raw, "session"));
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}"), "");
	ck_assert_str_eq(
		shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'producer'}"), "");
	for (int i = 0; i < 3; i++)
		resume(token, "");
	/* one connection for each that is lost, and no more */
	shmt_raw_close(raw);
	extra = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(extra, "Kinds", "{}"), "");
	beyond = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_receive(beyond), "org.shmbroker.Quota");
	shmt_raw_close(beyond);
	raw = extra;
	resume(token, "");
	end();
}

TEST(refusal_is_logged_once_until_it_has_passed)
{
	begin("--segments-per-uid", "0");
	for (int i = 0; i < 50; i++)
		ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}"),
				 "Quota");
	ck_assert_uint_eq(shmt_broker_said(&broker, "event=quota"), 1);
	end();
}

/* Connections take two descriptors each. */
TEST(broker_without_descriptors_recovers_when_some_are_back, .timeout_s = 30)
{
	struct rlimit limit = { 64, 64 };
	struct shmt_raw *many[64];
	size_t descriptors;

	broker = shmt_broker_start(NULL);
	ck_assert_int_eq(prlimit(broker.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	raw = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}"), "");
	descriptors = shmt_broker_descriptors(&broker);
	for (int i = 0; i < 64; i++)
		many[i] = shmt_raw_open(broker.address);
	/* those who found room are served, the others hung up on */
	ck_assert_str_eq(shmt_raw_call(raw, "Kinds", "{}"), "");
	ck_assert_str_eq(shmt_raw_call(many[0], "Kinds", "{}"), "");
	shmt_raw_expect_close(many[63]);
	for (int i = 0; i < 64; i++)
		shmt_raw_close(many[i]);
	shmt_broker_settle(&broker, descriptors);
	ck_assert_str_eq(
		shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'producer'}"), "");
	end();
}

SHMT_MAIN
