/*
 * A broker ends, in whatever way, and the next one goes on where it was: nothing published is lost,
 * nobody is a stranger, and who died in between is repaired.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/state.h"
#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/lives.h"
#include "tests/support/peer.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define MS_NS	    INT64_C(1000000)
#define PATIENCE_NS (10000 * MS_NS)
#define MANY	    1000
#define MANY_KILLS  20

static struct shmt_broker broker;

static void begin(void)
{
	static const char *const at_once[] = { "--no-backoff", NULL };

	broker = shmt_broker_supervised(at_once);
}

static void end(void)
{
	shmt_broker_stop(&broker);
}

static void kill_broker(void)
{
	shmt_broker_kill(&broker);
	shmt_broker_next(&broker);
}

/* ---- one process ----------------------------------------------------------------------------- */

static void restart_orderly(void)
{
	kill(broker.keeper, SIGHUP);
	shmt_broker_next(&broker);
}

TEST(messages_endpoints_and_sessions_outlive_the_broker, .rounds = 2)
{
	void (*restart)(void) = _i == 0 ? kill_broker : restart_orderly;
	struct shmc_spsc *producer, *consumer, *second = NULL;
	struct shmc_client *client;
	struct shmc_error error;
	uint32_t flags;
	int fd;

	begin();
	client = shmt_connect(&broker);
	shmt_create(client, "queue", 4096);
	producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	consumer = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	for (uint64_t round = 0; round < 5; round++) {
		shmt_assert_ok(shmt_push_numbered(producer, round, 100, SHMC_FOREVER));
		restart();
		shmt_assert_ok(shmt_pop_numbered(consumer, round, 100, 0, &flags));
		ck_assert_uint_eq(flags, 0);
		ck_assert_int_eq(shmc_spsc_peer(producer), SHMC_PEER_ACTIVE);
		/* its endpoints are known under the same names, and are still taken */
		shmt_assert_ok(shmc_spsc_fd(consumer, &fd, &error));
		shmt_assert_result(
			shmc_spsc_open(client, "queue", SHMC_SPSC_PRODUCER, &second, &error),
			SHMC_BUSY);
		consumer = shmc_spsc_close(consumer);
		ck_assert_int_eq(shmc_spsc_peer(producer), SHMC_PEER_LEFT);
		consumer = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	}
	shmc_spsc_close(producer);
	shmc_spsc_close(consumer);
	shmt_assert_ok(shmc_unlink(client, "queue", &error));
	shmc_disconnect(client);
	end();
}

TEST(a_handle_can_be_closed_whoever_the_broker_is_by_then)
{
	struct shmc_spsc *producer;
	struct shmc_client *client;

	begin();
	client = shmt_connect(&broker);
	shmt_create(client, "queue", 4096);
	producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	kill_broker();
	shmc_spsc_close(producer);
	producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	kill_broker();
	kill_broker();
	shmc_spsc_close(producer);
	shmc_disconnect(client);
	/* it is not the client's any more */
	client = shmt_connect(&broker);
	producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	shmc_spsc_close(producer);
	shmc_disconnect(client);
	end();
}

/* As one that waits in an event loop does; nothing else is called. */
TEST(a_program_that_only_waits_finds_the_next_broker)
{
	struct pollfd wait = { .events = POLLIN };
	struct shmc_spsc *producer;
	struct shmc_client *client;
	struct shmc_error error;

	begin();
	client = shmt_connect(&broker);
	shmt_create(client, "queue", 4096);
	producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	shmt_assert_ok(shmc_client_resume(client, &error));
	for (int i = 0; i < 3; i++) {
		shmt_assert_ok(shmc_client_fd(client, &wait.fd, &error));
		shmt_broker_kill(&broker);
		ck_assert_int_eq(poll(&wait, 1, 10000), 1);
		shmt_assert_result(shmc_client_check(client, &error), SHMC_BROKER_LOST);
		shmt_assert_ok(shmc_client_resume(client, &error));
		shmt_assert_ok(shmc_client_check(client, &error));
		shmt_broker_next(&broker);
	}
	shmc_spsc_close(producer);
	shmc_disconnect(client);
	end();
}

/* ---- two processes --------------------------------------------------------------------------- */

static void consume_and_stay(struct shmt_peer *other, void *context)
{
	struct shmc_client *client = shmt_connect(&broker);

	shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	shmt_peer_tell(other);
	shmt_peer_hang();
}

TEST(who_died_while_there_was_no_broker_is_repaired_by_the_next)
{
	struct shmt_raw *control;
	struct shmc_client *client;
	struct shmc_spsc *producer;
	struct shmt_peer peer;

	begin();
	client = shmt_connect(&broker);
	shmt_create(client, "queue", 4096);
	producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	peer = shmt_peer_start(consume_and_stay, NULL);
	shmt_peer_await(&peer);
	kill(broker.keeper, SIGSTOP);
	shmt_broker_kill(&broker);
	shmt_peer_kill(&peer);
	ck_assert_int_eq(shmc_spsc_peer(producer), SHMC_PEER_ACTIVE);
	while (shmc_spsc_try_push(producer, "x", 1) == SHMC_OK)
		;
	kill(broker.keeper, SIGCONT);
	shmt_assert_result(shmc_spsc_push(producer, "x", 1, PATIENCE_NS), SHMC_PEER_DEAD);
	ck_assert_int_eq(shmc_spsc_peer(producer), SHMC_PEER_DIED);
	shmt_broker_next(&broker);
	control = shmt_raw_open(broker.control);
	shmt_wait_for_state(control, "queue", 1, "dead");
	ck_assert_int_eq(shmt_endpoint_field(control, "queue", 1, "deaths")->valueint, 1);
	kill_broker();
	shmt_raw_close(control);
	control = shmt_raw_open(broker.control);
	shmt_wait_for_state(control, "queue", 1, "dead");
	ck_assert_int_eq(shmt_endpoint_field(control, "queue", 1, "deaths")->valueint, 1);
	shmt_raw_close(control);
	shmc_spsc_close(producer);
	shmc_disconnect(client);
	end();
}

static void produce_when_told(struct shmt_peer *other, void *context)
{
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc *producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);

	shmt_peer_tell(other);
	shmt_peer_await(other);
	shmt_await_sleeper(producer, 0);
	shmt_assert_ok(shmc_spsc_try_push(producer, "x", 1));
	shmt_peer_await(other);
	shmc_spsc_close(producer);
	shmc_disconnect(client);
}

TEST(a_sleeper_is_woken_by_what_comes_after_the_restart)
{
	struct shmc_client *client;
	struct shmc_spsc *consumer;
	struct shmc_message message;
	struct shmt_peer peer;
	char byte;

	begin();
	client = shmt_connect(&broker);
	shmt_create(client, "queue", 4096);
	consumer = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	peer = shmt_peer_start(produce_when_told, NULL);
	shmt_peer_await(&peer);
	kill_broker();
	shmt_peer_tell(&peer);
	shmt_assert_ok(shmc_spsc_pop(consumer, &byte, 1, PATIENCE_NS, &message));
	shmt_peer_tell(&peer);
	shmt_peer_join(&peer);
	shmc_spsc_close(consumer);
	shmc_disconnect(client);
	end();
}

static void produce_each_time(struct shmt_peer *other, void *context)
{
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc *producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);

	shmt_peer_tell(other);
	for (int i = 0; i < 3; i++) {
		shmt_peer_await(other);
		shmt_assert_ok(shmc_spsc_try_push(producer, "x", 1));
	}
	shmc_spsc_close(producer);
	shmc_disconnect(client);
}

/* Made before the restart, asked for by its ringer after it; and rung without asking again. */
TEST(a_doorbell_rings_across_a_restart)
{
	struct shmc_message message;
	struct shmc_client *client;
	struct shmc_spsc *consumer;
	struct pollfd bell = { .events = POLLIN };
	struct shmt_peer peer;
	char byte;

	begin();
	client = shmt_connect(&broker);
	shmt_create(client, "queue", 4096);
	consumer = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmc_spsc_fd(consumer, &bell.fd, NULL));
	peer = shmt_peer_start(produce_each_time, NULL);
	shmt_peer_await(&peer);
	for (int i = 0; i < 3; i++) {
		shmt_assert_result(shmc_spsc_try_pop(consumer, &byte, 1, &message), SHMC_EMPTY);
		ck_assert_int_eq(poll(&bell, 1, 0), 0);
		kill_broker();
		ck_assert_int_eq(poll(&bell, 1, 0), 0);
		shmt_peer_tell(&peer);
		ck_assert_int_eq(poll(&bell, 1, 10000), 1);
		ck_assert_int_eq(bell.revents, POLLIN);
		shmt_assert_ok(shmc_spsc_try_pop(consumer, &byte, 1, &message));
	}
	shmt_peer_join(&peer);
	shmc_spsc_close(consumer);
	shmc_disconnect(client);
	end();
}

/* ---- calls that are made again --------------------------------------------------------------- */

TEST(a_creation_said_again_is_the_same_creation)
{
	struct shmt_raw *raw, *other;

	begin();
	raw = shmt_hello(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc','tag':77}"), "");
	kill_broker();
	shmt_raw_close(raw);
	raw = shmt_hello(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc','tag':77}"), "");
	ck_assert(shmt_raw_bool(raw, "created"));
	/* known by its tag alone: a record cannot be made without its schema */
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'record','tag':77}"), "");
	other = shmt_hello(broker.address);
	ck_assert_str_eq(shmt_raw_call(other, "Create", "{'name':'a','kind':'spsc','tag':78}"),
			 "Exists");
	ck_assert_str_eq(shmt_raw_call(other, "Create", "{'name':'a','kind':'spsc'}"), "Exists");
	shmt_raw_close(raw);
	shmt_raw_close(other);
	end();
}

TEST(an_unlink_said_again_is_the_same_unlink)
{
	struct shmt_raw *raw;

	begin();
	raw = shmt_hello(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'a','tag':77}"), "");
	kill_broker();
	shmt_raw_close(raw);
	raw = shmt_hello(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'a','tag':78}"), "NotFound");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'a','tag':77}"), "");
	/* what has the name by now is another */
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'a','tag':77}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'a','tag':79}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'a','tag':80}"), "NotFound");
	shmt_raw_close(raw);
	end();
}

TEST(what_a_client_was_not_told_of_is_given_back)
{
	struct shmt_raw *raw;
	char token[64];
	int64_t id;

	begin();
	raw = shmt_hello(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Hello", "{}"), "");
	snprintf(token, sizeof(token), "%s", shmt_raw_string(raw, "session"));
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", "{'name':'a','role':'producer'}"), "");
	id = shmt_raw_int(raw, "id");
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", "{'name':'a','role':'consumer'}"), "");
	kill_broker();
	shmt_raw_close(raw);
	raw = shmt_hello(broker.address);
	ck_assert_str_eq(
		shmt_raw_call(raw, "Hello", "{'resume':'%s','held':[%lld]}", token, (long long)id),
		"");
	ck_assert(shmt_raw_bool(raw, "resumed"));
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", "{'name':'a','role':'producer'}"), "Busy");
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", "{'name':'a','role':'consumer'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Hello", "{'held':[-1]}"),
			 "org.varlink.service.InvalidParameter");
	shmt_raw_close(raw);
	end();
}

/* ---- memory ---------------------------------------------------------------------------------- */

TEST(what_is_unlinked_gives_its_memory_back_at_once)
{
	struct shmt_raw *raw;
	struct stat file;
	int fd;

	begin();
	raw = shmt_hello(broker.address);
	ck_assert_str_eq(
		shmt_raw_call(raw, "Create",
			      "{'name':'a','kind':'buffer','options':{'size_bytes':8388608}}"),
		"");
	kill_broker();
	shmt_raw_close(raw);
	raw = shmt_hello(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", "{'name':'a','role':'observer'}"), "");
	fd = dup(shmt_raw_fd(raw, "data"));
	ck_assert_int_eq(fstat(fd, &file), 0);
	ck_assert_int_ge(file.st_blocks, 8388608 / 512);
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'a'}"), "");
	ck_assert_int_eq(fstat(fd, &file), 0);
	ck_assert_int_ge(file.st_blocks, 8388608 / 512);
	ck_assert_str_eq(shmt_raw_call(raw, "Leave", "{}"), "");
	ck_assert_int_eq(fstat(fd, &file), 0);
	ck_assert_int_eq(file.st_blocks, 0);
	close(fd);
	shmt_raw_close(raw);
	end();
}

TEST(a_thousand_segments_outlive_many_brokers, .timeout_s = 60)
{
	struct shmc_client *client;
	struct shmc_spsc *producer[8];
	struct shmt_raw *control;
	struct shmc_error error;
	char name[32];

	begin();
	client = shmt_connect(&broker);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		shmt_create(client, name, 4096);
	}
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "many/%d", i * 100);
		producer[i] = shmt_open(client, name, SHMC_SPSC_PRODUCER);
	}
	for (int i = 0; i < MANY_KILLS; i++) {
		snprintf(name, sizeof(name), "many/%d", i * 7 + 1);
		shmt_assert_ok(shmc_unlink(client, name, &error));
		kill_broker();
		shmt_create(client, name, 4096);
	}
	control = shmt_raw_open(broker.control);
	ck_assert_str_eq(shmt_raw_call(control, "org.shmbroker.control.Status", "{}"), "");
	ck_assert_int_eq(shmt_raw_int(control, "segments"), MANY);
	ck_assert_int_eq(shmt_raw_int(control, "endpoints"), 8);
	shmt_raw_close(control);
	ck_assert_uint_eq(shmt_broker_said(&broker, "lost=0"), MANY_KILLS);
	for (int i = 0; i < 8; i++)
		shmc_spsc_close(producer[i]);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many/%d", i);
		shmt_assert_ok(shmc_unlink(client, name, &error));
	}
	kill_broker();
	control = shmt_raw_open(broker.control);
	ck_assert_str_eq(shmt_raw_call(control, "org.shmbroker.control.Status", "{}"), "");
	ck_assert_int_eq(shmt_raw_int(control, "segments"), 0);
	ck_assert_int_eq(shmt_raw_int(control, "bytes"), 0);
	shmt_raw_close(control);
	shmc_disconnect(client);
	end();
}

/* As many as there is room for. */
static int fill(struct shmt_raw *raw, int first)
{
	int i = first;

	while (*shmt_raw_call(raw, "Create", "{'name':'n/%d','kind':'spsc'}", i) == '\0')
		i++;
	ck_assert_ptr_nonnull(strstr(shmt_raw_string(raw, "message"), "RLIMIT_NOFILE"));
	return i;
}

/* What was dropped still lies in the bundles: there is no room for both. */
TEST(a_broker_without_descriptors_left_has_a_successor)
{
	const struct rlimit low = { 256, 256 };
	struct shmt_raw *raw;
	int count;

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	begin();
	raw = shmt_hello(broker.address);
	count = fill(raw, 0);
	ck_assert_int_gt(count, 40);
	for (int i = 1; i < count; i++)
		ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'n/%d'}", i), "");
	/* what a bundle has besides may be one segment's worth: that depends on what was inherited */
	ck_assert_int_ge(fill(raw, count), 2 * count - 2);
	kill_broker();
	shmt_raw_close(raw);
	raw = shmt_hello(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'n/0','kind':'spsc'}"), "Exists");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'n/0'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'n/0','kind':'spsc'}"), "");
	shmt_raw_close(raw);
	end();
}

/* ---- other versions -------------------------------------------------------------------------- */

/* The keeper's descriptor of the state. */
static int open_state(void)
{
	char folder[64], path[320], target[64];
	const struct dirent *entry;
	int fd = -1;
	DIR *dir;

	snprintf(folder, sizeof(folder), "/proc/%d/fd", broker.keeper);
	dir = opendir(folder);
	ck_assert_ptr_nonnull(dir);
	while (fd < 0 && (entry = readdir(dir))) {
		ssize_t bytes;

		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		bytes = readlink(path, target, sizeof(target) - 1);
		target[bytes > 0 ? bytes : 0] = '\0';
		if (strstr(target, "memfd:shmbroker:state"))
			fd = open(path, O_RDWR | O_CLOEXEC);
	}
	closedir(dir);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* What the broker before says of itself. */
static void write_broker(int fd, const char *version)
{
	ck_assert_int_gt(
		pwrite(fd, version, strlen(version) + 1, offsetof(struct state_head, broker)), 0);
}

/* The one segment's, where it lies in the file. */
static off_t find_kind_version(int fd)
{
	uint64_t word = STATE_FREE;
	off_t at = 0;

	while (word != STATE_SEGMENT) {
		at += STATE_BLOCK_BYTES;
		ck_assert_int_eq(pread(fd, &word, sizeof(word), at), sizeof(word));
	}
	return at + (off_t)offsetof(struct state_segment, kind_version);
}

/* Where the number lies that another version has, 0 = of the state, 1 = of a kind. */
static off_t find_version(int fd, int which)
{
	return which == 0 ? (off_t)offsetof(struct state_head, version) : find_kind_version(fd);
}

static uint32_t read_version(int fd, off_t at)
{
	uint32_t version;

	ck_assert_int_eq(pread(fd, &version, sizeof(version), at), sizeof(version));
	return version;
}

static void write_version(int fd, off_t at, uint32_t version)
{
	ck_assert_int_eq(pwrite(fd, &version, sizeof(version), at), sizeof(version));
}

TEST(what_a_broker_of_another_version_left_is_refused_and_left_in_place, .rounds = 2)
{
	struct shmc_client *client;
	struct shmc_spsc *producer, *consumer;
	uint32_t version;
	int state;
	off_t at;

	begin();
	client = shmt_connect(&broker);
	shmt_create(client, "queue", 4096);
	producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	consumer = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	state = open_state();
	at = find_version(state, _i);
	version = read_version(state, at);
	write_version(state, at, version + 1);
	write_broker(state, "7.8.9");
	shmt_broker_kill(&broker);
	while (shmt_broker_said(&broker, "event=other_version") < 2)
		poll(NULL, 0, 1);
	ck_assert_uint_ge(shmt_broker_said(&broker, "left_by=7.8.9 "), 2);
	ck_assert_uint_ge(shmt_broker_said(&broker, "remedy="), 2);
	/* nothing has happened to what is there */
	shmt_assert_ok(shmt_push_numbered(producer, 1, 100, 0));
	shmt_assert_ok(shmt_pop_numbered(consumer, 1, 100, 0, NULL));
	write_version(state, at, version);
	close(state);
	shmt_broker_next(&broker);
	shmc_spsc_close(producer);
	producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	shmc_spsc_close(producer);
	shmc_spsc_close(consumer);
	shmc_disconnect(client);
	end();
}

SHMT_MAIN
