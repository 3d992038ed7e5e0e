/*
 * Deaths and what only looks like one: what a client held comes back when its process has ended,
 * and not before. SHMT_FALLBACK=1 runs all of it as on kernels before 6.5, where the broker must
 * be told the start time.
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

TEST(place_of_a_killed_process_is_free_and_counts_the_death)
{
	pid_t pid;

	begin();
	pid = shmt_child(consume);
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "consumer"), "Busy");
	ck_assert_int_eq(shmt_raw_int(raw, "pid"), pid);
	shmt_bury(pid);
	shmt_wait_for_state(control, "a", SHMP_SPSC_CONSUMER, "dead");
	ck_assert_int_eq(shmt_endpoint_field(control, "a", SHMP_SPSC_CONSUMER, "deaths")->valueint,
			 1);
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "consumer"), "");
	ck_assert_int_eq(shmt_raw_int(raw, "incarnation"), 2);
	ck_assert_str_eq(shmt_raw_call(raw, "Leave", "{}"), "");
	end();
}

TEST(sleeper_is_woken_after_the_counterpart_is_marked_dead)
{
	struct shmp_segment map;
	struct shmp_spsc_control *words;
	uint32_t key;
	pid_t pid;

	begin();
	pid = shmt_child(consume);
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "producer"), "");
	map = shmt_raw_map(raw, true);
	words = map.control;
	key = shmp_waiter_prepare(&words->not_full, &map.endpoints[SHMP_SPSC_PRODUCER],
				  SHMP_SPSC_PRODUCER, false);
	kill(pid, SIGKILL);
	ck_assert_int_eq(shmp_waiter_sleep(&words->not_full, key, UINT64_MAX), 0);
	ck_assert_int_eq(shmp_endpoint_look(&map.endpoints[SHMP_SPSC_CONSUMER]),
			 SHMP_ENDPOINT_DEAD);
	shmt_bury(pid);
	shmp_segment_unmap(&map);
	ck_assert_str_eq(shmt_raw_call(raw, "Leave", "{}"), "");
	end();
}

TEST(doorbell_rings_when_the_counterpart_dies)
{
	char bytes[64];
	pid_t pid;
	int bell;

	begin();
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "producer"), "");
	pid = shmt_child(consume);
	ck_assert_str_eq(
		shmt_raw_call(raw, "MakeDoorbell", "{'id':1,'endpoint':0,'incarnation':1}"), "");
	bell = shmt_raw_fd(raw, "poll");
	ck_assert_int_gt(read(bell, bytes, sizeof(bytes)), 0); /* rung once when made */
	fcntl(bell, F_SETFL, 0);
	kill(pid, SIGKILL);
	ck_assert_int_gt(read(bell, bytes, sizeof(bytes)), 0);
	shmt_bury(pid);
	ck_assert_str_eq(shmt_raw_call(raw, "Leave", "{}"), "");
	end();
}

TEST(zombie_is_dead)
{
	pid_t pid;

	begin();
	pid = shmt_child(consume);
	kill(pid, SIGKILL);
	shmt_wait_for_state(control, "a", SHMP_SPSC_CONSUMER, "dead");
	/* nobody has waited for it: its number is still taken */
	ck_assert_int_eq(kill(pid, 0), 0);
	waitpid(pid, NULL, 0);
	end();
}

TEST(stopped_process_is_alive)
{
	pid_t pid;
	int status;

	begin();
	pid = shmt_child(consume);
	kill(pid, SIGSTOP);
	waitpid(pid, &status, WUNTRACED);
	ck_assert(WIFSTOPPED(status));
	for (int i = 0; i < 100; i++)
		ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "consumer"), "Busy");
	ck_assert_str_eq(
		shmt_endpoint_field(control, "a", SHMP_SPSC_CONSUMER, "state")->valuestring,
		"active");
	shmt_bury(pid);
	shmt_wait_for_state(control, "a", SHMP_SPSC_CONSUMER, "dead");
	end();
}

TEST(successor_right_after_a_death_finds_the_place_free)
{
	begin();
	for (int i = 0; i < 100; i++) {
		pid_t pid = shmt_child(consume);

		shmt_bury(pid);
		ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "consumer"), "");
		ck_assert_str_eq(shmt_raw_call(raw, "Detach",
					       "{'id':%lld,'endpoint':1,'incarnation':%lld}",
					       (long long)shmt_raw_int(raw, "id"),
					       (long long)shmt_raw_int(raw, "incarnation")),
				 "");
	}
	end();
}

static int life[2];

static void consume_and_leave_the_socket_to_a_child(void)
{
	char byte;

	consume();
	if (fork() > 0)
		return;
	/* until the test ends, which alone holds the other end then */
	close(life[1]);
	_exit((int)read(life[0], &byte, 1));
}

TEST(death_is_seen_though_a_forked_child_holds_the_socket)
{
	pid_t pid;

	begin();
	ck_assert_int_eq(pipe(life), 0);
	pid = shmt_child(consume_and_leave_the_socket_to_a_child);
	shmt_bury(pid);
	shmt_wait_for_state(control, "a", SHMP_SPSC_CONSUMER, "dead");
	/* while the child still lives */
	shmt_broker_settle(&broker, descriptors);
	close(life[1]);
	end();
}

/* What a client says in its life, one more message each time, and is killed. */
static void say(int count)
{
	static const char *const words[][2] = {
		{ "Hello", "{'membarrier':true,'start_time':%llu}" },
		{ "Create", "{'name':'b','kind':'spsc','reuse':true}" },
		{ "Attach", "{'name':'b','kind':'spsc','role':'producer'}" },
		{ "Attach", "{'name':'a','kind':'spsc','role':'producer'}" },
		{ "MakeDoorbell", "{'id':1,'endpoint':0,'incarnation':%llu}" },
		{ "TakeDoorbell", "{'id':1,'endpoint':0}" },
		{ "Unlink", "{'name':'b'}" },
		{ "Leave", "{}" },
	};
	struct shmt_raw *client = shmt_raw_open(broker.address);
	unsigned long long number = shmt_start_time();

	for (int i = 0; i < count; i++) {
		char parameters[128];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(parameters, sizeof(parameters), words[i][1], number);
#pragma GCC diagnostic pop
		ck_assert_str_eq(shmt_raw_call(client, words[i][0], "%s", parameters), "");
		if (i == 2)
			number = (unsigned long long)shmt_raw_int(client, "incarnation");
	}
	kill(getpid(), SIGKILL);
}

TEST(client_killed_between_any_two_messages_leaves_nothing, .timeout_s = 30)
{
	begin();
	for (int count = 0; count <= 8; count++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			shmt_be_child();
			say(count);
		}
		waitpid(pid, &status, 0);
		ck_assert_msg(WIFSIGNALED(status), "child failed after %d", count);
		if (count >= 2)
			shmt_raw_call(raw, "Unlink", "{'name':'b'}");
		shmt_broker_settle(&broker, descriptors);
	}
	end();
}

static void attach_and_detach_for_ever(void)
{
	struct shmt_raw *client = shmt_hello(broker.address);

	for (;;) {
		if (strcmp(shmt_raw_call(client, "Attach", ATTACH, "consumer"), "") != 0)
			continue;
		shmt_raw_call(client, "Detach", "{'id':%lld,'endpoint':1,'incarnation':%lld}",
			      (long long)shmt_raw_int(client, "id"),
			      (long long)shmt_raw_int(client, "incarnation"));
	}
}

/* Random moments find what a list of moments does not. */
TEST(clients_killed_at_any_moment_of_attach_leave_nothing, .timeout_s = 60)
{
	struct shmt_random random = { shmt_seed() };

	begin();
	for (int i = 0; i < 200; i++) {
		struct timespec moment = { .tv_nsec = (long)shmt_random_below(&random, 2000000) };
		pid_t pid = fork();

		if (pid == 0) {
			shmt_be_child();
			attach_and_detach_for_ever();
		}
		nanosleep(&moment, NULL);
		shmt_bury(pid);
	}
	shmt_broker_settle(&broker, descriptors);
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "consumer"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Leave", "{}"), "");
	end();
}

SHMT_MAIN
