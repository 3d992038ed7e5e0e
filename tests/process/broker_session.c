/*
 * Sessions and their connections: a hang-up is no death, and a process finds its own again. With
 * SHMT_FALLBACK=1 as on kernels before 6.5.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "protocol/spsc.h"
#include "tests/support/broker.h"
#include "tests/support/lives.h"
#include "tests/support/random.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define ATTACH "{'name':'a','kind':'spsc','role':'%s'}"

static struct shmt_broker broker;
static struct shmt_raw *raw, *control;
static size_t descriptors;

static void begin(void)
{
	static const char *const fallback[] = { "--no-peer-pidfd", NULL };

	broker = shmt_broker_start(getenv("SHMT_FALLBACK") ? fallback : NULL);
	control = shmt_raw_open(broker.control);
	raw = shmt_hello(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}"), "");
	ck_assert_str_eq(shmt_raw_call(control, "org.shmbroker.control.Status", "{}"), "");
	descriptors = shmt_broker_descriptors(&broker);
}

static void end(void)
{
	shmt_broker_settle(&broker, descriptors);
	shmt_raw_close(raw);
	shmt_raw_close(control);
	shmt_broker_stop(&broker);
}

static void consume(void)
{
	ck_assert_str_eq(shmt_raw_call(shmt_hello(broker.address), "Attach", ATTACH, "consumer"),
			 "");
}

static void consume_and_hang_up(void)
{
	struct shmt_raw *client = shmt_hello(broker.address);

	ck_assert_str_eq(shmt_raw_call(client, "Attach", ATTACH, "consumer"), "");
	shmt_raw_close(client);
}

TEST(hang_up_of_a_living_process_takes_nothing_from_it)
{
	pid_t pid;

	begin();
	pid = shmt_child(consume_and_hang_up);
	for (int i = 0; i < 100; i++)
		ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "consumer"), "Busy");
	shmt_bury(pid);
	shmt_wait_for_state(control, "a", SHMP_SPSC_CONSUMER, "dead");
	end();
}

TEST(process_takes_its_session_up_on_a_new_connection)
{
	struct shmt_raw *later;
	char token[64];

	begin();
	later = shmt_hello(broker.address);
	snprintf(token, sizeof(token), "%s", shmt_raw_string(later, "session"));
	ck_assert_str_eq(shmt_raw_call(later, "Attach", ATTACH, "consumer"), "");
	shmt_raw_close(later);
	later = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(later, "Hello", "{'resume':'%s','start_time':%llu}", token,
				       shmt_start_time()),
			 "");
	ck_assert(shmt_raw_bool(later, "resumed"));
	ck_assert_str_eq(shmt_raw_string(later, "session"), token);
	ck_assert_str_eq(shmt_raw_call(later, "Detach", "{'id':1,'endpoint':1,'incarnation':1}"),
			 "");
	ck_assert_str_eq(
		shmt_endpoint_field(control, "a", SHMP_SPSC_CONSUMER, "state")->valuestring,
		"left");
	shmt_raw_close(later);
	end();
}

TEST(new_connection_wins_while_the_old_one_still_hangs)
{
	struct shmt_raw *earlier, *later;
	char token[64];

	begin();
	earlier = shmt_hello(broker.address);
	snprintf(token, sizeof(token), "%s", shmt_raw_string(earlier, "session"));
	ck_assert_str_eq(shmt_raw_call(earlier, "Attach", ATTACH, "consumer"), "");
	later = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(later, "Hello", "{'resume':'%s','start_time':%llu}", token,
				       shmt_start_time()),
			 "");
	ck_assert(shmt_raw_bool(later, "resumed"));
	shmt_raw_expect_close(earlier);
	ck_assert_str_eq(
		shmt_endpoint_field(control, "a", SHMP_SPSC_CONSUMER, "state")->valuestring,
		"active");
	ck_assert_str_eq(shmt_raw_call(later, "Leave", "{}"), "");
	shmt_raw_expect_close(later);
	ck_assert_str_eq(
		shmt_endpoint_field(control, "a", SHMP_SPSC_CONSUMER, "state")->valuestring,
		"left");
	shmt_raw_close(earlier);
	shmt_raw_close(later);
	end();
}

TEST(session_of_another_process_cannot_be_taken_up)
{
	int tokens[2];
	char token[64] = "";
	pid_t pid;

	begin();
	ck_assert_int_eq(pipe(tokens), 0);
	pid = fork();
	if (pid == 0) {
		struct shmt_raw *client = shmt_hello(broker.address);
		const char *text = shmt_raw_string(client, "session");
		ssize_t r = write(tokens[1], text, strlen(text));

		_exit(r > 0 && pause() ? 0 : 1);
	}
	ck_assert_int_gt(read(tokens[0], token, sizeof(token) - 1), 0);
	ck_assert_str_eq(shmt_raw_call(raw, "Hello", "{'resume':'%s'}", token), "Denied");
	ck_assert_str_eq(shmt_raw_call(raw, "Hello", "{'resume':'unknown'}"), "");
	ck_assert(!shmt_raw_bool(raw, "resumed"));
	shmt_bury(pid);
	end();
}

TEST(process_that_execs_keeps_its_place_until_it_ends)
{
	pid_t pid;

	begin();
	pid = fork();
	if (pid == 0) {
		consume();
		execlp("sleep", "sleep", "1000", NULL);
		_exit(1);
	}
	shmt_wait_for_state(control, "a", SHMP_SPSC_CONSUMER, "active");
	/* close-on-exec has hung up: one descriptor less, the pidfd is left */
	shmt_broker_settle(&broker, descriptors + 1);
	ck_assert_str_eq(
		shmt_endpoint_field(control, "a", SHMP_SPSC_CONSUMER, "state")->valuestring,
		"active");
	shmt_bury(pid);
	shmt_wait_for_state(control, "a", SHMP_SPSC_CONSUMER, "dead");
	end();
}

SHMT_MAIN
