/* shmbrokerctl doctor: what it finds, what it says to do, and its exit code. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/holders.h"
#include "tests/support/lives.h"
#include "tests/support/process.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

static struct shmt_broker broker;
static struct shmc_client *client;

static void begin(const char *option, const char *value)
{
	const char *const options[] = { option, value, NULL };

	broker = shmt_broker_start(options);
	setenv("SHMBROKER_ADDRESS", broker.address, 1);
	client = shmt_connect(&broker);
}

static void end(void)
{
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static struct shmt_result doctor(const char *option)
{
	const char *argv[] = { shmt_program("SHMBROKERCTL"), "doctor", option, NULL };
	struct shmt_process process = shmt_process_start(argv);

	return shmt_process_finish(&process, "", 0);
}

/* Its exit code, and a part of what it says for people. */
static void expect(int code, const char *part)
{
	struct shmt_result result = doctor(NULL);

	ck_assert_msg(result.code == code && strstr(result.out, part), "%d: %s, in: %s%s",
		      result.code, part, result.out, result.err);
	shmt_result_free(&result);
}

/* The finding of that check; the last one, if there are several. */
static cJSON *find(const struct shmt_result *result, const char *check)
{
	char *copy = strdup(result->out), *rest = copy, *line;
	cJSON *found = NULL;

	while ((line = strsep(&rest, "\n")) != NULL && *line) {
		cJSON *finding = cJSON_Parse(line);

		ck_assert_msg(finding != NULL, "no JSON: %s", line);
		if (strcmp(cJSON_GetObjectItem(finding, "check")->valuestring, check) == 0) {
			cJSON_Delete(found);
			found = finding;
		} else {
			cJSON_Delete(finding);
		}
	}
	free(copy);
	return found;
}

/* That check's finding, by severity and part of where; a finding says what to do. */
static void expect_finding(int code, const char *check, const char *severity, const char *where)
{
	struct shmt_result result = doctor("--json");
	cJSON *finding = find(&result, check);

	ck_assert_msg(finding && result.code == code, "%d: no %s in: %s%s", result.code, check,
		      result.out, result.err);
	ck_assert_str_eq(cJSON_GetObjectItem(finding, "severity")->valuestring, severity);
	ck_assert_ptr_nonnull(strstr(cJSON_GetObjectItem(finding, "where")->valuestring, where));
	ck_assert_str_ne(cJSON_GetObjectItem(finding, "what")->valuestring, "");
	ck_assert_str_ne(cJSON_GetObjectItem(finding, "remedy")->valuestring, "");
	cJSON_Delete(finding);
	shmt_result_free(&result);
}

static void await_finding(const char *check)
{
	for (;;) {
		struct shmt_result result = doctor("--json");
		cJSON *finding = find(&result, check);

		shmt_result_free(&result);
		cJSON_Delete(finding);
		if (finding)
			return;
	}
}

static void expect_no_finding(const char *check)
{
	struct shmt_result result = doctor("--json");
	cJSON *finding = find(&result, check);

	ck_assert_msg(!finding, "%s", result.out);
	shmt_result_free(&result);
}

static void stop(pid_t pid)
{
	int status;

	kill(pid, SIGSTOP);
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert(WIFSTOPPED(status));
}

TEST(a_broker_in_use_is_healthy)
{
	struct shmc_spsc *queue;

	begin(NULL, NULL);
	shmt_holders_create(client);
	queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	expect(0, "healthy: 0 errors, 0 warnings");
	shmc_spsc_close(queue);
	end();
}

TEST(without_a_keeper_segments_are_lost_with_the_broker)
{
	begin(NULL, NULL);
	expect_finding(0, "keeper", "note", broker.control);
	end();
	broker = shmt_broker_supervised(NULL);
	setenv("SHMBROKER_ADDRESS", broker.address, 1);
	expect_no_finding("keeper");
	shmt_broker_stop(&broker);
}

/* A line of `status`. */
__attribute__((format(printf, 1, 2))) static void expect_status(const char *format, ...)
{
	const char *argv[] = { shmt_program("SHMBROKERCTL"), "status", NULL };
	struct shmt_process process = shmt_process_start(argv);
	struct shmt_result result = shmt_process_finish(&process, "", 0);
	char *line = NULL;
	va_list arguments;

	va_start(arguments, format);
	ck_assert_int_ge(vasprintf(&line, format, arguments), 0);
	va_end(arguments);
	ck_assert_msg(strstr(result.out, line) != NULL, "no %s in: %s", line, result.out);
	free(line);
	shmt_result_free(&result);
}

/* What a killed keeper leaves. */
static void remove_beside(const char *ending)
{
	char path[128];

	snprintf(path, sizeof(path), "%s.%s", broker.control, ending);
	ck_assert_int_eq(unlink(path), 0);
}

TEST(who_keeps_the_segments_is_told_and_that_he_is_gone, .timeout_s = 30)
{
	begin(NULL, NULL);
	expect_status("kept by      nobody\n");
	end();
	broker = shmt_broker_supervised(NULL);
	setenv("SHMBROKER_ADDRESS", broker.address, 1);
	expect_status("kept by      keeper, pid %d\n", broker.keeper);
	shmt_broker_kill(&broker);
	shmt_broker_next(&broker);
	expect_status("kept by      keeper, pid %d\n", broker.keeper);
	/* seconds before the broker would write to it: it has to look */
	kill(broker.keeper, SIGKILL);
	ck_assert_int_eq(waitpid(broker.keeper, NULL, 0), broker.keeper);
	expect_finding(1, "keeper", "warning", broker.control);
	expect_status("kept by      nobody: the keeper, pid %d, is gone\n", broker.keeper);
	ck_assert_uint_eq(shmt_broker_said(&broker, "event=keeper_lost"), 1);
	kill(broker.pid, SIGTERM);
	while (access(broker.control, F_OK) == 0)
		;
	remove_beside("keeper");
	remove_beside("keeper.lock");
	shmt_broker_remove(&broker);
}

TEST(no_broker_is_told_with_the_addresses_that_were_tried)
{
	struct shmt_result result;

	begin(NULL, NULL);
	end();
	expect(2, broker.control);
	expect_finding(2, "reach", "error", broker.control);
	setenv("XDG_RUNTIME_DIR", "/nowhere", 1);
	result = doctor("--user");
	ck_assert_int_eq(result.code, 2);
	ck_assert_ptr_nonnull(strstr(result.out, "/nowhere/shmbroker/control.sock (No such file"));
	shmt_result_free(&result);
}

TEST(a_killed_broker_is_told_from_none, .timeout_s = 30)
{
	begin(NULL, NULL);
	shmt_broker_kill(&broker);
	expect(2, "the broker has ended");
	shmc_disconnect(client);
	shmt_broker_remove(&broker);
}

TEST(a_stopped_broker_takes_connections_and_does_not_answer, .timeout_s = 40)
{
	begin(NULL, NULL);
	stop(broker.pid);
	expect_finding(2, "answer", "error", broker.control);
	kill(broker.pid, SIGCONT);
	end();
}

TEST(a_client_socket_that_is_gone_is_an_error)
{
	char aside[128];

	begin(NULL, NULL);
	snprintf(aside, sizeof(aside), "%s.aside", broker.address);
	ck_assert_int_eq(rename(broker.address, aside), 0);
	expect_finding(1, "client-socket", "error", broker.address);
	ck_assert_int_eq(rename(aside, broker.address), 0);
	expect_no_finding("client-socket");
	end();
}

TEST(limits_that_are_nearly_used_up_are_told)
{
	begin("--segments-per-uid", "5");
	for (int i = 0; i < 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "s%d", i);
		shmt_create(client, name, 4096);
	}
	expect_no_finding("limit");
	shmt_create(client, "s3", 4096);
	expect_finding(1, "limit", "warning", "segments of user ");
	shmt_create(client, "s4", 4096);
	expect_finding(1, "limit", "error", "segments of user ");
	expect(1, "raise segments-per-uid");
	end();
}

TEST(a_socket_open_to_everybody_is_a_warning)
{
	begin("--control-mode", "0666");
	expect_finding(1, "socket", "warning", broker.control);
	end();
	begin("--client-mode", "0600");
	expect_finding(0, "socket", "note", broker.address);
	chmod(broker.folder, 0777);
	expect_finding(1, "folder", "warning", broker.folder);
	end();
}

TEST(a_stopped_holder_is_a_warning_and_an_error_where_others_stand_behind_it)
{
	struct shmt_peer idler, holder;

	begin(NULL, NULL);
	shmt_holders_create(client);
	idler = shmt_holder_start(&broker, SHMT_PEEKS);
	stop(idler.pid);
	expect_finding(1, "process", "warning", "queue, pid ");
	shmt_peer_kill(&idler);
	holder = shmt_holder_start(&broker, SHMT_LOCKS_TO_WRITE);
	expect_no_finding("process");
	stop(holder.pid);
	expect_finding(1, "process", "error", "lock, pid ");
	expect(1, "kill -CONT");
	shmt_peer_kill(&holder);
	end();
}

/* What doctor says of the one who is stopped, when the other waits for him. */
static void await_waiter(struct shmt_peer *stopped, struct shmt_peer *waiter, const char *role)
{
	char part[128];

	snprintf(part, sizeof(part), "; %s %d waits for %s", role, waiter->pid,
		 strcmp(role, "client") == 0 ? "an answer" : "room");
	stop(stopped->pid);
	for (bool is_told = false; !is_told;) {
		struct shmt_result result = doctor(NULL);

		is_told = strstr(result.out, part) && strstr(result.out, "error ");
		shmt_result_free(&result);
	}
	expect_finding(1, "process", "error", "pid ");
	shmt_peer_kill(stopped);
	shmt_peer_kill(waiter);
}

TEST(who_waits_for_a_stopped_process_is_named)
{
	struct shmt_peer stopped, waiter;

	begin(NULL, NULL);
	shmt_holders_create(client);
	stopped = shmt_holder_start(&broker, SHMT_PEEKS);
	waiter = shmt_holder_start(&broker, SHMT_WAITS_TO_PUSH);
	await_waiter(&stopped, &waiter, "producer");
	waiter = shmt_holder_start(&broker, SHMT_WAITS_FOR_ANSWER);
	stopped = shmt_holder_start(&broker, SHMT_TAKES_REQUEST);
	await_waiter(&stopped, &waiter, "client");
	end();
}

TEST(what_a_dead_writer_left_is_told_with_who_has_to_mend_it)
{
	struct shmt_peer holder;

	begin(NULL, NULL);
	shmt_holders_create(client);
	holder = shmt_holder_start(&broker, SHMT_LOCKS_TO_WRITE);
	shmt_peer_kill(&holder);
	await_finding("deaths");
	expect_finding(1, "segment", "warning", "lock");
	expect_finding(1, "deaths", "note", broker.control);
	end();
}

TEST(holes_that_a_peer_punched_are_an_error)
{
	struct shmt_raw *raw;

	begin(NULL, NULL);
	raw = shmt_hello(broker.address);
	shmt_raw_call(raw, "Create", "{'name':'holey','kind':'spsc'}");
	shmt_raw_call(raw, "Attach", "{'name':'holey','kind':'spsc','role':'producer'}");
	ck_assert_int_eq(fallocate(shmt_raw_fd(raw, "data"),
				   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192),
			 0);
	expect_finding(1, "segment", "error", "holey");
	expect(1, "punched out 8192 bytes");
	shmt_raw_close(raw);
	end();
}

TEST(who_waits_where_nobody_can_help_is_told)
{
	struct shmt_peer waiter;

	begin(NULL, NULL);
	shmt_holders_create(client);
	waiter = shmt_holder_start(&broker, SHMT_WAITS_TO_PUSH);
	await_finding("wait");
	expect_finding(1, "wait", "warning", "queue, pid ");
	expect(1, "the producer waits for room, and no consumer is there");
	shmt_peer_kill(&waiter);
	end();
}

static void lose_the_connection(struct shmt_peer *test, void *context)
{
	struct shmt_raw *raw = shmt_hello(broker.address);

	shmt_raw_call(raw, "Attach", "{'name':'queue','kind':'spsc','role':'producer'}");
	shmt_raw_close(raw);
	shmt_peer_tell(test);
	shmt_peer_hang();
}

TEST(a_process_in_quarantine_is_a_warning)
{
	struct shmt_peer peer;

	begin(NULL, NULL);
	shmt_holders_create(client);
	peer = shmt_peer_start(lose_the_connection, NULL);
	shmt_peer_await(&peer);
	await_finding("quarantine");
	expect_finding(1, "quarantine", "warning", "pid ");
	shmt_peer_kill(&peer);
	end();
}

TEST(who_has_not_called_since_a_restart_is_no_warning)
{
	struct shmc_spsc *queue;

	broker = shmt_broker_supervised(NULL);
	setenv("SHMBROKER_ADDRESS", broker.address, 1);
	client = shmt_connect(&broker);
	shmt_create(client, "queue", 4096);
	queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	shmt_broker_kill(&broker);
	shmt_broker_next(&broker);
	expect_finding(0, "restored", "note", "");
	expect_no_finding("quarantine");
	shmt_assert_ok(shmc_client_resume(client, NULL));
	expect_no_finding("restored");
	shmc_spsc_close(queue);
	end();
}

TEST(what_the_kernel_does_not_give_is_a_note)
{
	begin("--no-passrights", NULL);
	expect_finding(0, "kernel", "note", "passrights");
	end();
}

SHMT_MAIN
