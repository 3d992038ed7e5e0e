/*
 * Kernels before 6.5 do not say whose a connection is: the process must say when it started, and
 * is believed only as far as the kernel agrees.
 */
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/lives.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define ATTACH "{'name':'a','kind':'spsc','role':'consumer'}"

static struct shmt_broker broker;
static struct shmt_raw *raw;

static void begin(const char *option)
{
	const char *const options[] = { option, NULL };

	broker = shmt_broker_start(options);
	raw = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}"), "");
}

static void end(void)
{
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

TEST(unidentified_process_gets_no_place_and_is_told_how)
{
	begin("--no-peer-pidfd");
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH), "Unsupported");
	ck_assert_ptr_nonnull(strstr(shmt_raw_string(raw, "message"), "start_time"));
	end();
}

TEST(process_that_started_at_another_time_is_another_process)
{
	begin("--no-peer-pidfd");
	ck_assert_str_eq(shmt_raw_call(raw, "Hello", "{'start_time':%llu}", shmt_start_time() + 1),
			 "Invalid");
	ck_assert_str_eq(shmt_raw_string(raw, "parameter"), "start_time");
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH), "Unsupported");
	end();
}

TEST(process_that_says_when_it_started_gets_its_place)
{
	begin("--no-peer-pidfd");
	ck_assert_str_eq(shmt_raw_call(raw, "Hello", "{'start_time':%llu}", shmt_start_time()), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Leave", "{}"), "");
	end();
}

TEST(where_the_kernel_tells_nobody_is_asked)
{
	begin(NULL);
	ck_assert_str_eq(shmt_raw_call(raw, "Hello", "{'start_time':1}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Leave", "{}"), "");
	end();
}

SHMT_MAIN
