/* shmbrokerctl blocked: who waits for whom, and whether that one is stopped. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/support/holders.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"

static struct shmt_broker broker;
static struct shmc_client *client;

static void begin(void)
{
	broker = shmt_broker_start(NULL);
	setenv("SHMBROKER_ADDRESS", broker.address, 1);
	client = shmt_connect(&broker);
	shmt_holders_create(client);
}

static void end(void)
{
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

/* To be freed. */
static char *blocked(const char *first, const char *second)
{
	const char *argv[] = { shmt_program("SHMBROKERCTL"), "blocked", first, second, NULL };
	struct shmt_process process = shmt_process_start(argv);
	struct shmt_result result = shmt_process_finish(&process, "", 0);

	ck_assert_msg(result.code == 0, "%s", result.err);
	free(result.err);
	return result.out;
}

/* The line for people of who waits, as soon as he does. */
static void await_line(const char *option, const char *part)
{
	for (;;) {
		char *text = blocked(option, NULL);
		bool is_there = strstr(text, part) != NULL;

		free(text);
		if (is_there)
			return;
	}
}

static void expect(const char *first, const char *second, const char *part)
{
	char *text = blocked(first, second);

	ck_assert_msg(strstr(text, part), "%s is not in: %s", part, text);
	free(text);
}

static void expect_nothing(const char *first)
{
	char *text = blocked(first, NULL);

	ck_assert_str_eq(text, "");
	free(text);
}

static void stop(const struct shmt_peer *peer)
{
	int status;

	kill(peer->pid, SIGSTOP);
	ck_assert_int_eq(waitpid(peer->pid, &status, WUNTRACED), peer->pid);
	ck_assert(WIFSTOPPED(status));
}

/* "ROLE PID" */
static const char *named(const char *role, const struct shmt_peer *peer)
{
	static char text[64];

	snprintf(text, sizeof(text), "%s %d", role, peer->pid);
	return text;
}

TEST(nobody_is_blocked_where_nobody_waits)
{
	struct shmt_peer holder;

	begin();
	expect_nothing(NULL);
	holder = shmt_holder_start(&broker, SHMT_LOCKS_TO_WRITE);
	expect_nothing("--all");
	shmt_peer_kill(&holder);
	end();
}

TEST(who_waits_for_a_lock_waits_for_its_holder_since_he_has_it)
{
	struct shmt_peer holder, waiter;

	begin();
	holder = shmt_holder_start(&broker, SHMT_LOCKS_TO_WRITE);
	waiter = shmt_holder_start(&broker, SHMT_WAITS_TO_LOCK);
	await_line(NULL, named("writer", &waiter));
	expect(NULL, NULL, named("writer", &holder));
	expect(NULL, NULL, "holds it to write");
	expect("--json", NULL, "\"since_ns\":");
	expect("--json", NULL, "\"tid\":");
	expect("--json", NULL, "\"by_states\":[\"live\"],\"trouble\":\"\"");
	shmt_peer_kill(&holder);
	shmt_peer_kill(&waiter);
	end();
}

TEST(a_stopped_holder_is_named_as_stopped)
{
	struct shmt_peer holder, waiter;
	char text[64];

	begin();
	holder = shmt_holder_start(&broker, SHMT_LOCKS_TO_WRITE);
	waiter = shmt_holder_start(&broker, SHMT_WAITS_TO_LOCK);
	await_line(NULL, named("writer", &waiter));
	stop(&holder);
	snprintf(text, sizeof(text), "writer %d (stopped)", holder.pid);
	expect(NULL, NULL, text);
	expect("--json", NULL, "\"trouble\":\"stopped\"");
	kill(holder.pid, SIGCONT);
	await_line("--json", "\"trouble\":\"\"");
	shmt_peer_kill(&holder);
	shmt_peer_kill(&waiter);
	end();
}

TEST(a_writer_waits_for_each_reader)
{
	struct shmt_peer readers[2], waiter;

	begin();
	readers[0] = shmt_holder_start(&broker, SHMT_LOCKS_TO_READ);
	readers[1] = shmt_holder_start(&broker, SHMT_LOCKS_TO_READ);
	waiter = shmt_holder_start(&broker, SHMT_WAITS_TO_LOCK);
	await_line(NULL, "holds it to read");
	expect(NULL, NULL, named("reader", &readers[0]));
	expect(NULL, NULL, named("reader", &readers[1]));
	expect(NULL, NULL, named("writer", &waiter));
	shmt_peer_kill(&readers[0]);
	shmt_peer_kill(&readers[1]);
	shmt_peer_kill(&waiter);
	end();
}

TEST(a_full_queue_names_a_stopped_reader_or_nobody)
{
	struct shmt_peer producer, consumer;
	char text[64];

	begin();
	producer = shmt_holder_start(&broker, SHMT_WAITS_TO_PUSH);
	await_line(NULL, "consumer (nobody, free)");
	consumer = shmt_holder_start(&broker, SHMT_OBSERVES); /* does not help */
	expect("--json", NULL, "\"trouble\":\"nobody\"");
	shmt_peer_kill(&consumer);
	shmt_peer_kill(&producer);
	/* of many to many no one alone is to blame */
	producer = shmt_holder_start(&broker, SHMT_WAITS_FOR_SLOT);
	await_line(NULL, "consumer (nobody)");
	consumer = shmt_holder_start(&broker, SHMT_PEEKS_SLOT);
	stop(&consumer);
	/* but he whose message is in the way is */
	snprintf(text, sizeof(text), "consumer %d (stopped)", consumer.pid);
	await_line(NULL, text);
	expect(NULL, NULL, "has a message in hand");
	shmt_peer_kill(&consumer);
	await_line(NULL, "consumer (nobody)");
	shmt_peer_kill(&producer);
	end();
}

TEST(a_full_ring_names_its_slowest_reader)
{
	struct shmt_peer writer, reader;

	begin();
	reader = shmt_holder_start(&broker, SHMT_JOINS_RING);
	writer = shmt_holder_start(&broker, SHMT_WAITS_IN_RING);
	await_line(NULL, named("writer", &writer));
	expect(NULL, NULL, named("reader", &reader));
	expect(NULL, NULL, "is the slowest reader");
	shmt_peer_kill(&reader);
	shmt_peer_kill(&writer);
	end();
}

TEST(an_unsent_message_that_others_wait_behind_names_its_writer)
{
	struct shmt_peer producer, consumer;

	begin();
	consumer = shmt_holder_start(&broker, SHMT_WAITS_AT_SLOT);
	await_line(NULL, named("consumer", &consumer));
	expect(NULL, NULL, "producer (nobody)");
	producer = shmt_holder_start(&broker, SHMT_RESERVES_SLOT);
	await_line(NULL, named("producer", &producer));
	expect(NULL, "slots", "has claimed a slot and sent nothing in it");
	expect("--json", "slots", "\"idle\":false");
	shmt_peer_kill(&producer);
	shmt_peer_kill(&consumer);
	end();
}

TEST(an_empty_pool_names_who_has_most_of_it)
{
	struct shmt_peer holder, waiter;

	begin();
	holder = shmt_holder_start(&broker, SHMT_ACQUIRES);
	waiter = shmt_holder_start(&broker, SHMT_WAITS_FOR_OBJECT);
	await_line(NULL, named("user", &waiter));
	expect(NULL, NULL, named("user", &holder));
	expect(NULL, "pool", "has most of them: 2");
	shmt_peer_kill(&holder);
	shmt_peer_kill(&waiter);
	end();
}

TEST(a_caller_waits_for_the_worker_that_has_his_request)
{
	struct shmt_peer caller, worker, idler;
	struct shmc_rpc *rpc = NULL;
	struct shmc_error error;

	begin();
	shmt_assert_ok(shmc_rpc_open(client, "service", SHMC_RPC_WORKER, &rpc, &error));
	caller = shmt_holder_start(&broker, SHMT_WAITS_FOR_ANSWER);
	await_line(NULL, "has not taken his requests: 1");
	worker = shmt_holder_start(&broker, SHMT_TAKES_REQUEST);
	expect(NULL, NULL, named("worker", &worker));
	expect(NULL, NULL, "has his requests in hand: 1");
	expect("--json", "service", "\"what\":\"answer\"");
	/* who waits for a change is owed nothing */
	idler = shmt_holder_start(&broker, SHMT_WAITS_FOR_CHANGE);
	await_line("--all", "has changed nothing");
	shmt_peer_kill(&idler);
	shmt_peer_kill(&caller);
	shmt_peer_kill(&worker);
	shmc_rpc_close(rpc);
	end();
}

TEST(who_waits_for_what_nobody_owes_him_is_shown_when_asked_for)
{
	struct shmt_peer consumer;
	struct shmc_spsc *producer;

	begin();
	producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	consumer = shmt_holder_start(&broker, SHMT_WAITS_TO_POP);
	await_line("--all", "has sent nothing more");
	expect_nothing(NULL);
	expect_nothing("--json");
	/* without anybody who could send it is another matter */
	shmt_peer_kill(&consumer);
	shmc_spsc_close(producer);
	consumer = shmt_holder_start(&broker, SHMT_WAITS_FOR_CHANGE);
	await_line(NULL, "writer (nobody)");
	shmt_peer_kill(&consumer);
	end();
}

TEST(a_name_that_is_none_is_refused)
{
	const char *argv[] = { shmt_program("SHMBROKERCTL"), "blocked", "nothing", NULL };
	struct shmt_process process;
	struct shmt_result result;

	begin();
	process = shmt_process_start(argv);
	result = shmt_process_finish(&process, "", 0);
	ck_assert_int_eq(result.code, 1);
	ck_assert_ptr_nonnull(strstr(result.err, "there is no segment nothing"));
	shmt_result_free(&result);
	end();
}

SHMT_MAIN
