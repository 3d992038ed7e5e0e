/*
 * The broker's record of deaths, of processes that are really killed: who, how, what they held, and
 * how soon it was taken back.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/deaths.h"
#include "tests/support/holders.h"
#include "tests/support/lives.h"
#include "tests/support/mpmc_client.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define DEATHS_OF "org.shmbroker.control.Deaths"

static struct shmt_broker broker;
static struct shmc_client *client;
static struct shmt_raw *control;

static void begin(void)
{
	broker = shmt_broker_start(NULL);
	client = shmt_connect(&broker);
	control = shmt_raw_open(broker.control);
	shmt_holders_create(client);
}

static void end(void)
{
	shmc_disconnect(client);
	shmt_raw_close(control);
	shmt_broker_stop(&broker);
}

static const cJSON *newest_of(const char *name)
{
	ck_assert_str_eq(shmt_raw_call(control, DEATHS_OF, "{'name':'%s'}", name), "");
	return cJSON_GetArrayItem(shmt_raw_item(control, "deaths"), 0);
}

static int count_all(void)
{
	ck_assert_str_eq(shmt_raw_call(control, DEATHS_OF, "{}"), "");
	return cJSON_GetArraySize(shmt_raw_item(control, "deaths"));
}

static const char *text_of(const cJSON *death, const char *key)
{
	const cJSON *item = cJSON_GetObjectItem(death, key);

	ck_assert_msg(cJSON_IsString(item), "%s is no text", key);
	return item->valuestring;
}

static double number_of(const cJSON *death, const char *key)
{
	const cJSON *item = cJSON_GetObjectItem(death, key);

	ck_assert_msg(cJSON_IsNumber(item), "%s is no number", key);
	return item->valuedouble;
}

/* Of @pid, repaired. */
static const cJSON *await_death(const char *name, pid_t pid)
{
	const cJSON *death;

	do {
		sched_yield();
		death = newest_of(name);
	} while (!death || (pid_t)number_of(death, "pid") != pid ||
		 !cJSON_GetObjectItem(death, "repair_ns"));
	return death;
}

static const cJSON *kill_one(enum shmt_deed deed, const char *segment)
{
	struct shmt_peer peer = shmt_holder_start(&broker, deed);

	/* its parent has not waited for it: any kernel tells how it ended */
	shmt_peer_kill_soon(&peer);
	await_death(segment, peer.pid);
	shmt_peer_reap(&peer);
	return newest_of(segment);
}

static void expect_held(const cJSON *death, const char *what, double count, const char *fate)
{
	const cJSON *held;

	cJSON_ArrayForEach(held, cJSON_GetObjectItem(death, "holds"))
	{
		if (strcmp(text_of(held, "what"), what) != 0)
			continue;
		ck_assert_double_eq(number_of(held, "count"), count);
		ck_assert_ptr_nonnull(strstr(text_of(held, "fate"), fate));
		return;
	}
	ck_abort_msg("%s is not among what it held: %s", what, cJSON_PrintUnformatted(death));
}

TEST(who_is_killed_is_recorded_with_how_and_when_and_what_he_held)
{
	const cJSON *death;

	begin();
	ck_assert_int_eq(count_all(), 0);
	death = kill_one(SHMT_LOCKS_TO_WRITE, "lock");
	ck_assert_str_eq(text_of(death, "name"), "holder");
	ck_assert_double_eq(number_of(death, "uid"), getuid());
	ck_assert_str_eq(text_of(death, "end"), "killed");
	ck_assert_double_eq(number_of(death, "signal"), SIGKILL);
	ck_assert_str_eq(text_of(death, "kind"), "buffer");
	ck_assert_str_eq(text_of(death, "role"), "writer");
	ck_assert_str_eq(text_of(death, "first"), text_of(death, "last"));
	ck_assert_double_eq(number_of(death, "count"), 1);
	ck_assert_double_eq(number_of(death, "held"), 1);
	ck_assert_double_gt(number_of(death, "repair_ns"), 0);
	ck_assert_double_lt(number_of(death, "repair_ns"), 60e9);
	expect_held(death, "lock to write", 1, "has to mend");
	end();
}

TEST(of_every_kind_it_is_told_what_was_in_dead_hands, .timeout_s = 30)
{
	struct shmc_mpmc *queue;
	struct shmc_rpc *service = NULL;
	uint64_t id;

	begin();
	expect_held(kill_one(SHMT_LOCKS_TO_READ, "lock"), "lock to read", 1, "released");
	/* header and payload, in words of 8 */
	expect_held(kill_one(SHMT_PEEKS, "queue"), "received bytes", 112, "flagged");
	expect_held(kill_one(SHMT_PEEKS_ELEMENTS, "elements"), "received elements", 3, "flagged");
	expect_held(kill_one(SHMT_RESERVES_SLOT, "slots"), "unsent message", 1, "never sent");
	queue = shmt_queue_open(client, "slots", SHMC_MPMC_PRODUCER);
	shmt_assert_ok(shmt_queue_push(queue, 1, SHMC_FOREVER));
	expect_held(kill_one(SHMT_PEEKS_SLOT, "slots"), "received message", 1, "to another");
	/* and once more, what is handed on a second time */
	expect_held(kill_one(SHMT_PEEKS_SLOT, "slots"), "received message", 1, "to another");
	shmc_mpmc_close(queue);
	expect_held(kill_one(SHMT_RESERVES_IN_RING, "ring"), "claimed bytes", 128, "passed over");
	expect_held(kill_one(SHMT_ACQUIRES, "pool"), "objects", 2, "freed");
	expect_held(kill_one(SHMT_CALLS, "service"), "calls", 2, "ended");
	shmt_assert_ok(shmc_rpc_open(client, "service", SHMC_RPC_CLIENT, &service, NULL));
	shmt_assert_ok(shmc_rpc_start(service, "", 1, SHMC_FOREVER, &id));
	expect_held(kill_one(SHMT_TAKES_REQUEST, "service"), "requests", 1, "to another");
	shmc_rpc_close(service);
	end();
}

TEST(who_held_nothing_in_hand_is_recorded_with_his_place)
{
	const cJSON *death;

	begin();
	death = kill_one(SHMT_WAITS_TO_POP, "queue");
	ck_assert_str_eq(text_of(death, "role"), "consumer");
	ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(death, "holds")), 0);
	end();
}

TEST(an_observer_s_death_is_recorded_without_a_place)
{
	const cJSON *death;

	begin();
	death = kill_one(SHMT_OBSERVES, "queue");
	ck_assert_str_eq(text_of(death, "role"), "observer");
	ck_assert_ptr_null(cJSON_GetObjectItem(death, "endpoint"));
	end();
}

static void consume_and_exit(struct shmt_peer *test, void *context)
{
	shmt_open(shmt_connect(&broker), "queue", SHMC_SPSC_CONSUMER);
	shmt_peer_tell(test);
	shmt_peer_await(test);
	_exit(7);
}

TEST(the_log_and_monitors_say_how_a_process_died_and_in_what)
{
	struct shmt_raw *monitor;
	const cJSON *event, *segments;

	begin();
	monitor = shmt_raw_open(broker.control);
	shmt_raw_send(monitor, "{\"method\":\"org.shmbroker.control.Monitor\",\"more\":true}");
	kill_one(SHMT_LOCKS_TO_WRITE, "lock");
	do {
		ck_assert_str_eq(shmt_raw_receive(monitor), "");
		event = shmt_raw_item(monitor, "event");
	} while (strcmp(text_of(event, "kind"), "died") != 0);
	ck_assert_str_eq(text_of(event, "end"), "killed");
	ck_assert_double_eq(number_of(event, "signal"), SIGKILL);
	segments = cJSON_GetObjectItem(event, "segments");
	ck_assert_int_eq(cJSON_GetArraySize(segments), 1);
	ck_assert_str_eq(cJSON_GetArrayItem(segments, 0)->valuestring, "lock");
	ck_assert_uint_eq(
		shmt_broker_said(&broker, "attachments=1 ended_by=\"SIGKILL\" segments=\"lock\""),
		1);
	shmt_raw_close(monitor);
	end();
}

TEST(who_ends_without_a_word_is_recorded_with_his_exit_code)
{
	struct shmt_peer peer;
	const cJSON *death;

	begin();
	peer = shmt_peer_start(consume_and_exit, NULL);
	shmt_peer_await(&peer);
	shmt_peer_tell(&peer);
	death = await_death("queue", peer.pid);
	ck_assert_str_eq(text_of(death, "end"), "exited");
	ck_assert_double_eq(number_of(death, "code"), 7);
	waitpid(peer.pid, NULL, 0);
	end();
}

/* Linux 6.15 tells of a process that its parent has waited for. */
static bool tells_of_the_reaped(void)
{
	struct utsname name;
	int major = 0, minor = 0;

	uname(&name);
	sscanf(name.release, "%d.%d", &major, &minor);
	return major > 6 || (major == 6 && minor >= 15);
}

TEST(who_was_waited_for_before_the_broker_looked_is_told_of_where_the_kernel_can)
{
	struct shmt_peer peer;
	const cJSON *death;
	int status;

	begin();
	peer = shmt_holder_start(&broker, SHMT_LOCKS_TO_READ);
	kill(broker.pid, SIGSTOP);
	waitpid(broker.pid, &status, WUNTRACED);
	shmt_peer_kill(&peer);
	kill(broker.pid, SIGCONT);
	death = await_death("lock", peer.pid);
	if (tells_of_the_reaped())
		ck_assert_str_eq(text_of(death, "end"), "killed");
	end();
}

TEST(who_leaves_is_stopped_or_holds_nothing_is_not_dead)
{
	struct shmt_peer peer;
	struct shmc_client *other;
	int status;

	begin();
	other = shmt_connect(&broker);
	shmc_spsc_close(shmt_open(other, "queue", SHMC_SPSC_PRODUCER));
	shmc_disconnect(other);
	peer = shmt_holder_start(&broker, SHMT_LOCKS_TO_WRITE);
	kill(peer.pid, SIGSTOP);
	waitpid(peer.pid, &status, WUNTRACED);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(count_all(), 0);
	shmt_peer_kill(&peer);
	await_death("lock", peer.pid);
	ck_assert_int_eq(count_all(), 1);
	end();
}

TEST(who_dies_again_and_again_is_one_entry, .timeout_s = 30)
{
	const cJSON *death = NULL;

	begin();
	for (int i = 0; i < 50; i++)
		death = kill_one(SHMT_LOCKS_TO_READ, "lock");
	ck_assert_int_eq(count_all(), 1);
	death = newest_of("lock");
	ck_assert_double_eq(number_of(death, "count"), 50);
	ck_assert_str_lt(text_of(death, "first"), text_of(death, "last"));
	ck_assert_double_ge(number_of(death, "repair_max_ns"), number_of(death, "repair_ns"));
	/* another one is beside it, and the newest comes first */
	kill_one(SHMT_PEEKS, "queue");
	ck_assert_int_eq(count_all(), 2);
	ck_assert_str_eq(
		text_of(cJSON_GetArrayItem(shmt_raw_item(control, "deaths"), 0), "segment"),
		"queue");
	ck_assert_double_eq(number_of(newest_of("holder"), "count"), 1);
	end();
}

/* One place each in as many segments as it is told. */
static void hold_many(struct shmt_peer *test, void *context)
{
	int count = *(int *)context;
	struct shmc_client *self = shmt_connect(&broker);
	char name[16];

	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		shmt_create(self, name, 4096);
		shmt_open(self, name, SHMC_SPSC_PRODUCER);
	}
	shmt_peer_tell(test);
	shmt_peer_hang();
}

TEST(a_process_with_many_places_makes_a_bounded_number_of_entries)
{
	struct shmt_peer peer;
	int count = DEATH_PLACES_MAX + 10;
	const cJSON *death;

	begin();
	peer = shmt_peer_start(hold_many, &count);
	shmt_peer_await(&peer);
	shmt_peer_kill_soon(&peer);
	/* the last one to be given back is the first that was opened; the first ones are noted */
	await_death("many10", peer.pid);
	ck_assert_int_eq(count_all(), DEATH_PLACES_MAX);
	death = newest_of("many10");
	ck_assert_double_eq(number_of(death, "held"), count);
	ck_assert_str_eq(text_of(death, "end"), "killed");
	shmt_peer_reap(&peer);
	end();
}

static void die_by_name(struct shmt_peer *test, void *context)
{
	struct shmc_client_options options = { .name = context };

	shmt_open(shmt_connect_as(&broker, options), "queue", SHMC_SPSC_CONSUMER);
	shmt_peer_tell(test);
	shmt_peer_hang();
}

static int count_pages(int limit)
{
	int64_t before = INT64_C(1) << 53;
	int count = 0;

	for (;;) {
		const cJSON *next;

		ck_assert_str_eq(shmt_raw_call(control, DEATHS_OF, "{'before':%lld,'limit':%d}",
					       (long long)before, limit),
				 "");
		count += cJSON_GetArraySize(shmt_raw_item(control, "deaths"));
		next = cJSON_GetObjectItem(control->reply.parameters, "next");
		if (!next)
			return count;
		ck_assert_double_lt(next->valuedouble, (double)before);
		before = (int64_t)next->valuedouble;
	}
}

TEST(the_record_is_bounded_and_comes_in_pages, .timeout_s = 60)
{
	enum {
		DEAD = DEATHS_ROOM / 2 + 20
	};
	char name[16];

	begin();
	for (int i = 0; i < DEAD; i++) {
		struct shmt_peer peer;

		snprintf(name, sizeof(name), "p%d", i);
		peer = shmt_peer_start(die_by_name, name);
		shmt_peer_await(&peer);
		shmt_peer_kill(&peer);
		await_death(name, peer.pid);
	}
	/* one user's may take half of the room: the oldest of them have given way */
	ck_assert_int_eq(count_pages(7), DEATHS_ROOM / 2);
	ck_assert_int_eq(count_pages(100), DEATHS_ROOM / 2);
	ck_assert_ptr_null(newest_of("p0"));
	ck_assert_ptr_nonnull(newest_of(name));
	end();
}

static void acquire_from_large(struct shmt_peer *test, void *context)
{
	struct shmc_pool *pool = NULL;
	uint64_t handles[100], count = 0;

	shmt_assert_ok(
		shmc_pool_open(shmt_connect(&broker), "large", SHMC_POOL_USER, NULL, &pool, NULL));
	shmt_assert_ok(shmc_pool_acquire_batch(pool, 100, SHMC_TRY, handles, &count));
	ck_assert_uint_eq(count, 100);
	shmt_peer_tell(test);
	shmt_peer_hang();
}

/* Its repair goes in pieces: the record says not yet, and then how long all of them took. */
TEST(a_repair_in_pieces_is_recorded_when_the_last_is_done)
{
	struct shmc_pool_options options = { .object_bytes = 1, .objects = 200000 };
	struct shmt_peer peer;
	const cJSON *death;

	begin();
	shmt_assert_ok(shmc_pool_create(client, "large", &options, NULL));
	peer = shmt_peer_start(acquire_from_large, NULL);
	shmt_peer_await(&peer);
	shmt_peer_kill(&peer);
	death = await_death("large", peer.pid);
	expect_held(death, "objects", 100, "freed");
	ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(
		cJSON_GetArrayItem(cJSON_GetObjectItem(death, "holds"), 0), "at_least")));
	/* it was tried again by a timer, 10 ms later */
	ck_assert_double_gt(number_of(death, "repair_ns"), 5e6);
	end();
}

SHMT_MAIN
