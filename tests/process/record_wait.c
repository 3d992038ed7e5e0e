/* Waiting for the next version of a record: watchers in processes of their own, and who dies. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/peer.h"
#include "tests/support/record.h"
#include "tests/support/runner.h"

#define MS_NS INT64_C(1000000)

enum {
	TURNS = 200,
	WATCHERS = 4,
	COMMITS = 500
};

static const struct shmc_field turn[] = {
	{ .name = "turn", .type = SHMC_TYPE_U64 },
	{ .name = "again", .type = SHMC_TYPE_U64 },
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_record *writer, *watcher;
};

static struct shmc_client *connect_to_sleep(const struct shmt_broker *broker)
{
	return shmt_connect_as(broker, (struct shmc_client_options){ .spin_ns = -1 });
}

static struct scene scene_open(void)
{
	struct scene scene = { .broker = shmt_broker_start(NULL) };

	scene.client = connect_to_sleep(&scene.broker);
	shmt_record_create(scene.client, "record", turn, 2);
	scene.writer = shmt_record_open(scene.client, "record", SHMC_RECORD_WRITER);
	scene.watcher = shmt_record_open(scene.client, "record", SHMC_RECORD_WATCHER);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_record_close(scene->watcher);
	shmc_record_close(scene->writer);
	shmc_disconnect(scene->client);
	shmt_broker_stop(&scene->broker);
}

static void write_turn(struct shmc_record *record, uint64_t number)
{
	uint64_t words[2] = { number, number };

	shmt_assert_ok(shmc_record_write(record, words, sizeof(words), SHMC_FOREVER));
}

/* Of the snapshot; both words are of one version. */
static uint64_t turn_of(const struct shmc_record *record)
{
	const uint64_t *words = shmc_record_data(record);

	ck_assert_uint_eq(words[0], words[1]);
	return words[0];
}

static void await_turn(struct shmc_record *record, uint64_t number)
{
	do
		shmt_assert_ok(shmc_record_wait(record, SHMC_FOREVER));
	while (turn_of(record) != number);
}

TEST(a_watcher_waits_for_versions_newer_than_its_snapshot)
{
	struct scene scene = scene_open();

	shmt_assert_result(shmc_record_wait(scene.watcher, SHMC_TRY), SHMC_EMPTY);
	shmt_assert_result(shmc_record_wait(scene.watcher, MS_NS), SHMC_TIMEOUT);
	write_turn(scene.writer, 1);
	write_turn(scene.writer, 2);
	shmt_assert_ok(shmc_record_wait(scene.watcher, SHMC_FOREVER));
	ck_assert_uint_eq(turn_of(scene.watcher), 2);
	ck_assert_uint_eq(shmc_record_number(scene.watcher), 2);
	shmt_assert_result(shmc_record_wait(scene.watcher, SHMC_TRY), SHMC_EMPTY);
	write_turn(scene.writer, 3);
	shmt_assert_ok(shmc_record_snapshot(scene.watcher));
	shmt_assert_result(shmc_record_wait(scene.watcher, SHMC_TRY), SHMC_EMPTY);
	ck_assert_uint_eq(turn_of(scene.watcher), 3);
	scene_close(&scene);
}

TEST(a_transaction_given_up_wakes_nobody)
{
	struct scene scene = scene_open();

	shmt_assert_ok(shmc_record_begin(scene.writer, SHMC_TRY));
	shmt_assert_ok(shmc_record_put_text(scene.writer, "turn", "1"));
	shmt_assert_result(shmc_record_wait(scene.watcher, SHMC_TRY), SHMC_EMPTY);
	/* who is in a transaction has no snapshot to compare with */
	shmt_assert_result(shmc_record_wait(scene.writer, SHMC_TRY), SHMC_INVALID);
	shmt_assert_ok(shmc_record_abort(scene.writer));
	shmt_assert_result(shmc_record_wait(scene.watcher, SHMC_TRY), SHMC_EMPTY);
	shmt_assert_result(shmc_record_wait(scene.writer, SHMC_TRY), SHMC_EMPTY);
	scene_close(&scene);
}

TEST(a_watcher_writes_nothing_and_a_reader_cannot_wait)
{
	struct scene scene = scene_open();
	struct shmc_record *reader = shmt_record_open(scene.client, "record", SHMC_RECORD_READER);
	struct shmc_error error;
	uint64_t words[2] = { 0 };
	int fd;

	shmt_assert_result(shmc_record_wait(reader, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(shmc_record_fd(reader, &fd, &error), SHMC_INVALID);
	shmt_assert_says(&error, "watcher");
	shmt_assert_result(shmc_record_begin(scene.watcher, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(shmc_record_write(scene.watcher, words, sizeof(words), SHMC_TRY),
			   SHMC_INVALID);
	shmt_assert_result(shmc_record_put_text(scene.watcher, "turn", "1"), SHMC_INVALID);
	ck_assert_ptr_null(shmc_record_edit(scene.watcher));
	shmc_record_close(reader);
	scene_close(&scene);
}

static void answer(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_record *record;

	shmt_peer_await(test);
	client = connect_to_sleep(broker);
	record = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	for (uint64_t i = 0; i < TURNS; i += 2) {
		await_turn(record, i + 1);
		write_turn(record, i + 2);
	}
	shmc_record_close(record);
	shmc_disconnect(client);
}

TEST(two_processes_wake_each_other_by_versions, .timeout_s = 60)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer = shmt_peer_start(answer, &broker);
	struct shmc_client *client = connect_to_sleep(&broker);
	struct shmc_statistics statistics;
	struct shmc_record *record;

	shmt_record_create(client, "record", turn, 2);
	record = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	shmt_peer_tell(&peer);
	for (uint64_t i = 0; i < TURNS; i += 2) {
		write_turn(record, i + 1);
		await_turn(record, i + 2);
	}
	shmt_peer_join(&peer);
	shmt_assert_ok(shmc_record_statistics(record, &statistics));
	ck_assert_uint_eq(statistics.messages, TURNS);
	ck_assert_uint_gt(statistics.waits, 0);
	shmc_record_close(record);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

/* Sees the numbers grow up to the last one. */
static void watch(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_record *record;
	uint64_t seen = 0;

	shmt_peer_await(test);
	client = connect_to_sleep(broker);
	record = shmt_record_open(client, "record", SHMC_RECORD_WATCHER);
	shmt_peer_tell(test);
	while (seen < COMMITS) {
		shmt_assert_ok(shmc_record_wait(record, SHMC_FOREVER));
		ck_assert_uint_gt(shmc_record_number(record), seen);
		seen = shmc_record_number(record);
		ck_assert_uint_eq(turn_of(record), seen);
	}
	shmc_record_close(record);
	shmc_disconnect(client);
}

TEST(no_watcher_of_many_sleeps_through_the_last_version, .timeout_s = 60)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer[WATCHERS];
	struct shmc_client *client;
	struct shmc_record *writer;

	for (int i = 0; i < WATCHERS; i++)
		peer[i] = shmt_peer_start(watch, &broker);
	client = shmt_connect(&broker);
	shmt_record_create(client, "record", turn, 2);
	writer = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	for (int i = 0; i < WATCHERS; i++) {
		shmt_peer_tell(&peer[i]);
		shmt_peer_await(&peer[i]);
	}
	for (uint64_t i = 1; i <= COMMITS; i++)
		write_turn(writer, i);
	for (int i = 0; i < WATCHERS; i++)
		shmt_peer_join(&peer[i]);
	shmc_record_close(writer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

TEST(a_descriptor_tells_of_versions)
{
	struct scene scene = scene_open();
	int fd;

	shmt_assert_ok(shmc_record_fd(scene.watcher, &fd, NULL));
	for (uint64_t i = 1; i <= 20; i++) {
		shmt_assert_result(shmc_record_wait(scene.watcher, SHMC_TRY), SHMC_EMPTY);
		ck_assert(!is_readable(fd, 0));
		write_turn(scene.writer, i);
		ck_assert(is_readable(fd, 10000));
		shmt_assert_ok(shmc_record_wait(scene.watcher, SHMC_TRY));
		ck_assert_uint_eq(turn_of(scene.watcher), i);
	}
	scene_close(&scene);
}

TEST(a_writer_with_an_armed_descriptor_writes_and_is_told)
{
	struct scene scene = scene_open();
	struct shmc_record *other = shmt_record_open(scene.client, "record", SHMC_RECORD_WRITER);
	int fd;

	shmt_assert_ok(shmc_record_fd(scene.writer, &fd, NULL));
	shmt_assert_result(shmc_record_wait(scene.writer, SHMC_TRY), SHMC_EMPTY);
	/* parks at the lock, with the descriptor armed */
	shmt_assert_ok(shmc_record_begin(other, SHMC_TRY));
	shmt_assert_result(shmc_record_begin(scene.writer, MS_NS), SHMC_TIMEOUT);
	ck_assert(!is_readable(fd, 0));
	shmt_assert_ok(shmc_record_commit(other));
	ck_assert(is_readable(fd, 10000));
	shmt_assert_ok(shmc_record_wait(scene.writer, SHMC_TRY));
	shmc_record_close(other);
	scene_close(&scene);
}

static void die_in_a_transaction(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_record *record;

	shmt_be_child();
	shmt_peer_await(test);
	client = shmt_connect(broker);
	record = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	shmt_assert_ok(shmc_record_begin(record, SHMC_FOREVER));
	shmt_assert_ok(shmc_record_put_text(record, "turn", "666"));
	shmt_peer_tell(test);
	shmt_peer_hang();
}

TEST(a_watcher_is_not_told_of_a_killed_writer_but_of_the_next_ones_version)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer = shmt_peer_start(die_in_a_transaction, &broker);
	struct shmc_client *client = connect_to_sleep(&broker);
	struct shmc_record *writer, *watcher;

	shmt_record_create(client, "record", turn, 2);
	writer = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	watcher = shmt_record_open(client, "record", SHMC_RECORD_WATCHER);
	shmt_peer_tell(&peer);
	shmt_peer_await(&peer);
	shmt_peer_kill(&peer);
	shmt_assert_result(shmc_record_wait(watcher, MS_NS), SHMC_TIMEOUT);
	write_turn(writer, 5);
	shmt_assert_ok(shmc_record_wait(watcher, SHMC_FOREVER));
	ck_assert_uint_eq(turn_of(watcher), 5);
	shmc_record_close(watcher);
	shmc_record_close(writer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static void sleep_and_die(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_record *record;

	shmt_be_child();
	shmt_peer_await(test);
	client = connect_to_sleep(broker);
	record = shmt_record_open(client, "record", SHMC_RECORD_WATCHER);
	shmt_peer_tell(test);
	shmc_record_wait(record, SHMC_FOREVER);
	shmt_peer_hang();
}

TEST(a_watcher_killed_asleep_leaves_its_place_and_nothing_else)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer = shmt_peer_start(sleep_and_die, &broker);
	struct shmc_record_options options = { .fields = turn,
					       .field_count = 2,
					       .endpoints_max = 2 };
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_record *writer, *watcher = NULL;
	struct shmc_statistics statistics = { .waits = 0 };
	struct shmc_error error;
	size_t descriptors;

	shmt_assert_ok(shmc_record_create(client, "record", &options, NULL));
	writer = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	descriptors = shmt_broker_descriptors(&broker);
	shmt_peer_tell(&peer);
	shmt_peer_await(&peer);
	while (statistics.waits == 0)
		shmt_assert_ok(shmc_record_statistics(writer, &statistics));
	shmt_assert_result(
		shmc_record_open(client, "record", SHMC_RECORD_WATCHER, NULL, &watcher, &error),
		SHMC_BUSY);
	shmt_peer_kill(&peer);
	shmt_broker_settle(&broker, descriptors);
	write_turn(writer, 1);
	watcher = shmt_record_open(client, "record", SHMC_RECORD_WATCHER);
	shmt_assert_ok(shmc_record_wait(watcher, SHMC_TRY));
	shmc_record_close(watcher);
	shmc_record_close(writer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

/* Which of the two mappings of a segment may be written: ctl 1, data 2. */
static unsigned int writable_maps(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned int found = 0;

	ck_assert(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (strstr(line, "shmbroker:") && strstr(line, " rw-s "))
			found |= strstr(line, ".ctl") ? 1 : 2;
	}
	fclose(maps);
	return found;
}

static void map_as_watcher(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_record *record;

	shmt_peer_await(test);
	client = shmt_connect(broker);
	record = shmt_record_open(client, "record", SHMC_RECORD_WATCHER);
	ck_assert_uint_eq(writable_maps(), 1);
	shmc_record_close(record);
	shmc_disconnect(client);
}

TEST(a_watcher_maps_the_versions_read_only)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer = shmt_peer_start(map_as_watcher, &broker);
	struct shmc_client *client = shmt_connect(&broker);

	shmt_record_create(client, "record", turn, 2);
	shmt_peer_tell(&peer);
	shmt_peer_join(&peer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(a_forked_child_cannot_wait)
{
	struct scene scene = scene_open();
	struct shmc_error error;
	int status, fd;
	pid_t pid = fork();

	if (pid == 0)
		_exit(shmc_record_wait(scene.watcher, SHMC_TRY) == SHMC_FORKED &&
				      shmc_record_fd(scene.watcher, &fd, &error) == SHMC_FORKED ?
			      0 :
			      1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	scene_close(&scene);
}

SHMT_MAIN
