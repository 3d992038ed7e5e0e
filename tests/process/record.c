/* Records with separate processes: transactions seen whole or not at all, whoever dies or stops. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/record.h"
#include "tests/support/runner.h"

enum {
	VALUES = 50000,
	WRITERS = 4,
	COMMITS = 40
};

#define MS_NS INT64_C(1000000)

/* 50 000 values of 16 bytes each. */
static const struct shmc_field many[] = {
	{ .name = "values", .type = SHMC_TYPE_UUID, .count = VALUES },
};

static const struct shmc_field pair[] = {
	{ .name = "left", .type = SHMC_TYPE_I64 },
	{ .name = "right", .type = SHMC_TYPE_I64 },
	{ .name = "label", .type = SHMC_TYPE_STRING, .bytes = 100 },
};

/* Both halves of every value, and all values, are one number. */
static void write_values(struct shmc_record *record, uint64_t number)
{
	struct shmc_place place = shmt_place(record, "values");
	uint64_t *values;

	shmt_assert_ok(shmc_record_begin(record, SHMC_FOREVER));
	values = (uint64_t *)shmc_record_edit(record) + place.offset / 8;
	values[-1] = VALUES;
	for (uint64_t i = 0; i < 2 * VALUES; i++)
		values[i] = number;
	shmt_assert_ok(shmc_record_commit(record));
}

static void check_values(const struct shmc_record *record)
{
	const uint64_t *values = (const uint64_t *)shmc_record_data(record) + 1;

	for (uint64_t i = 1; i < 2 * VALUES; i++)
		if (values[i] != values[0])
			ck_abort_msg("value %lu is %lx, the first one %lx", i / 2, values[i],
				     values[0]);
}

static uint64_t commits(void)
{
	uint64_t count = COMMITS / shmt_scaled(1);

	return count > 4 ? count : 4;
}

static void write_many(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_record *record;
	uint64_t writer;

	shmt_peer_receive(test, &writer, sizeof(writer));
	client = shmt_connect(broker);
	record = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	for (uint64_t i = 0; i < commits(); i++)
		write_values(record, writer << 32 | i);
	shmc_record_close(record);
	shmc_disconnect(client);
}

TEST(no_value_of_fifty_thousand_is_torn_under_four_writers, .timeout_s = 60)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer[WRITERS];
	struct shmc_client *client;
	struct shmc_record *record;
	uint64_t snapshots = 0;

	for (int i = 0; i < WRITERS; i++)
		peer[i] = shmt_peer_start(write_many, &broker);
	client = shmt_connect(&broker);
	shmt_record_create(client, "record", many, 1);
	record = shmt_record_open(client, "record", SHMC_RECORD_READER);
	for (uint64_t i = 0; i < WRITERS; i++)
		shmt_peer_send(&peer[i], &i, sizeof(i));
	do {
		shmt_assert_ok(shmc_record_snapshot(record));
		check_values(record);
		snapshots++;
	} while (shmc_record_number(record) < WRITERS * commits());
	ck_assert_uint_gt(snapshots, 0);
	for (int i = 0; i < WRITERS; i++)
		shmt_peer_join(&peer[i]);
	shmc_record_close(record);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

/* What each type can be at its ends, as text. */
static const struct {
	const char *path, *text;
} ends[] = {
	{ "bool", "true" },
	{ "i8", "-128" },
	{ "i16", "-32768" },
	{ "i32", "-2147483648" },
	{ "i64", "-9223372036854775808" },
	{ "u8", "255" },
	{ "u16", "65535" },
	{ "u32", "4294967295" },
	{ "u64", "18446744073709551615" },
	{ "float", "1.40129846e-45" },
	{ "double", "-inf" },
	{ "point.x", "nan" },
	{ "points[2].x", "1.7976931348623157e+308" },
	{ "decimal128", "00112233445566778899aabbccddeeff" },
	{ "uuid", "00112233-4455-6677-8899-aabbccddeeff" },
	{ "time", "2026-11-21T14:30:05.123456789Z" },
	{ "duration", "-1.500000000s" },
	{ "string", "123456789012345" },
	{ "bytes", "0001020304" },
	{ "numbers[9]", "-1" },
	{ "names[3]", "\xc3\xa4\xe2\x82\xac" },
	{ "points[1].tags[2]", "255" },
};
enum {
	ENDS = sizeof(ends) / sizeof(ends[0])
};

/* Whether any mapping of a segment could be written by this process. */
static bool maps_to_write(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned int segments = 0;
	bool writes = false;

	ck_assert(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (!strstr(line, "shmbroker:"))
			continue;
		segments++;
		writes |= strstr(line, " r--s ") == NULL;
	}
	fclose(maps);
	ck_assert_uint_eq(segments, 2);
	return writes;
}

static void check_ends(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_record *record;
	char text[64];

	shmt_peer_await(test);
	client = shmt_connect(broker);
	record = shmt_record_open(client, "record", SHMC_RECORD_READER);
	ck_assert(!maps_to_write());
	for (uint64_t i = 0; i < ENDS; i++) {
		shmt_peer_tell(test);
		shmt_peer_await(test);
		shmt_assert_ok(shmc_record_snapshot(record));
		ck_assert_uint_eq(shmc_record_number(record), i + 1);
		/* and all that was set before */
		for (uint64_t k = 0; k <= i; k++) {
			shmt_assert_ok(
				shmc_record_get_text(record, ends[k].path, text, sizeof(text)));
			ck_assert_str_eq(text, ends[k].text);
		}
	}
	shmc_record_close(record);
	shmc_disconnect(client);
}

TEST(a_process_that_maps_it_read_only_sees_every_type_at_its_ends)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer = shmt_peer_start(check_ends, &broker);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_record *record;

	shmt_record_create(client, "record", shmt_fields, shmt_field_count);
	record = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	shmt_peer_tell(&peer);
	for (int i = 0; i < ENDS; i++) {
		shmt_peer_await(&peer);
		shmt_assert_ok(shmc_record_begin(record, SHMC_FOREVER));
		shmt_assert_ok(shmc_record_put_text(record, ends[i].path, ends[i].text));
		shmt_assert_ok(shmc_record_commit(record));
		shmt_peer_tell(&peer);
	}
	shmt_peer_join(&peer);
	shmc_record_close(record);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static void write_pairs(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_record *record;
	struct shmc_place left, right;

	shmt_be_child();
	shmt_peer_await(test);
	client = shmt_connect(broker);
	record = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	left = shmt_place(record, "left");
	right = shmt_place(record, "right");
	shmt_peer_tell(test);
	for (int64_t i = 1;; i++) {
		int64_t minus = -i;

		shmt_assert_ok(shmc_record_begin(record, SHMC_FOREVER));
		shmt_assert_ok(shmc_record_put(record, &left, SHMC_TYPE_I64, &i, 8));
		shmt_assert_ok(shmc_record_put(record, &right, SHMC_TYPE_I64, &minus, 8));
		shmt_assert_ok(shmc_record_commit(record));
	}
}

static int64_t sum_of(struct shmc_record *record)
{
	struct shmc_place left = shmt_place(record, "left"), right = shmt_place(record, "right");
	int64_t a, b;

	shmt_assert_ok(shmc_record_snapshot(record));
	shmt_assert_ok(shmc_record_get(record, &left, SHMC_TYPE_I64, &a, 8));
	shmt_assert_ok(shmc_record_get(record, &right, SHMC_TYPE_I64, &b, 8));
	return a + b;
}

TEST(a_transaction_of_several_fields_is_seen_whole_while_writers_are_killed, .timeout_s = 60)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer[8];
	struct shmc_client *client;
	struct shmc_record *reader, *writer;
	uint64_t number;

	for (int i = 0; i < 8; i++)
		peer[i] = shmt_peer_start(write_pairs, &broker);
	client = shmt_connect(&broker);
	shmt_record_create(client, "record", pair, 3);
	reader = shmt_record_open(client, "record", SHMC_RECORD_READER);
	writer = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	for (int i = 0; i < 8; i++) {
		shmt_peer_tell(&peer[i]);
		shmt_peer_await(&peer[i]);
		number = shmc_record_number(reader);
		do
			ck_assert_int_eq(sum_of(reader), 0);
		while (shmc_record_number(reader) < number + 100);
		shmt_peer_kill(&peer[i]);
		ck_assert_int_eq(sum_of(reader), 0);
		/* the next one gets in, and is not told anything */
		shmt_assert_ok(shmc_record_begin(writer, SHMC_FOREVER));
		shmt_assert_ok(shmc_record_put_text(writer, "label", "still here"));
		shmt_assert_ok(shmc_record_commit(writer));
		ck_assert_int_eq(sum_of(reader), 0);
	}
	shmc_record_close(reader);
	shmc_record_close(writer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static void stop_in_a_transaction(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_record *record;

	shmt_be_child();
	shmt_peer_await(test);
	client = shmt_connect(broker);
	record = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	shmt_assert_ok(shmc_record_begin(record, SHMC_FOREVER));
	shmt_assert_ok(shmc_record_put_text(record, "left", "666"));
	shmt_peer_tell(test);
	shmt_peer_await(test);
	shmt_assert_ok(shmc_record_put_text(record, "right", "-666"));
	shmt_assert_ok(shmc_record_commit(record));
	shmt_peer_tell(test);
	shmt_peer_hang();
}

TEST(readers_go_on_beside_a_writer_that_is_stopped_in_a_transaction)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer = shmt_peer_start(stop_in_a_transaction, &broker);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_record *reader, *writer;

	shmt_record_create(client, "record", pair, 3);
	reader = shmt_record_open(client, "record", SHMC_RECORD_READER);
	writer = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	shmt_peer_tell(&peer);
	shmt_peer_await(&peer);
	kill(peer.pid, SIGSTOP);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(sum_of(reader), 0);
	ck_assert_uint_eq(shmc_record_number(reader), 0);
	shmt_assert_result(shmc_record_begin(writer, SHMC_TRY), SHMC_TIMEOUT);
	shmt_assert_result(shmc_record_begin(writer, 20 * MS_NS), SHMC_TIMEOUT);
	kill(peer.pid, SIGCONT);
	shmt_peer_tell(&peer);
	shmt_peer_await(&peer);
	ck_assert_int_eq(sum_of(reader), 0);
	ck_assert_uint_eq(shmc_record_number(reader), 1);
	shmt_assert_ok(shmc_record_begin(writer, SHMC_FOREVER));
	shmt_assert_ok(shmc_record_abort(writer));
	shmt_peer_kill(&peer);
	shmc_record_close(reader);
	shmc_record_close(writer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(a_transaction_given_up_never_was)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_record *reader, *writer;
	struct shmc_statistics statistics;
	char text[100];

	shmt_record_create(client, "record", pair, 3);
	reader = shmt_record_open(client, "record", SHMC_RECORD_READER);
	writer = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	shmt_assert_ok(shmc_record_begin(writer, SHMC_TRY));
	shmt_assert_ok(shmc_record_put_text(writer, "label", "first"));
	shmt_assert_ok(shmc_record_commit(writer));
	shmt_assert_ok(shmc_record_begin(writer, SHMC_TRY));
	shmt_assert_ok(shmc_record_put_text(writer, "label", "second"));
	shmt_assert_ok(shmc_record_get_text(writer, "label", text, sizeof(text)));
	ck_assert_str_eq(text, "second");
	shmt_assert_result(shmc_record_begin(writer, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(shmc_record_snapshot(writer), SHMC_INVALID);
	shmt_assert_ok(shmc_record_abort(writer));
	shmt_assert_result(shmc_record_commit(writer), SHMC_INVALID);
	shmt_assert_ok(shmc_record_snapshot(reader));
	shmt_assert_ok(shmc_record_get_text(reader, "label", text, sizeof(text)));
	ck_assert_str_eq(text, "first");
	shmt_assert_result(shmc_record_begin(reader, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(shmc_record_put_text(reader, "label", "x"), SHMC_INVALID);
	ck_assert_ptr_null(shmc_record_edit(reader));
	shmt_assert_ok(shmc_record_statistics(reader, &statistics));
	ck_assert_uint_eq(statistics.messages, 1);
	/* closed in the middle: the same */
	shmt_assert_ok(shmc_record_begin(writer, SHMC_TRY));
	shmc_record_close(writer);
	writer = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	shmt_assert_ok(shmc_record_begin(writer, SHMC_TRY));
	shmc_record_close(writer);
	shmc_record_close(reader);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(a_whole_record_is_written_and_read_at_once)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_record *reader, *writer;
	int64_t in[16] = { 5, -5 }, out[16] = { 0 };
	uint64_t number;

	shmt_record_create(client, "record", pair, 3);
	reader = shmt_record_open(client, "record", SHMC_RECORD_READER);
	writer = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	ck_assert_uint_eq(shmc_record_bytes(reader), 120);
	shmt_assert_ok(shmc_record_write(writer, in, 120, SHMC_TRY));
	shmt_assert_result(shmc_record_write(writer, in, 128, SHMC_TRY), SHMC_MISMATCH);
	shmt_assert_result(shmc_record_read(reader, out, 119, NULL), SHMC_TOO_BIG);
	shmt_assert_ok(shmc_record_read(reader, out, sizeof(out), &number));
	ck_assert_mem_eq(in, out, 120);
	ck_assert_uint_eq(number, 1);
	shmc_record_close(writer);
	shmc_record_close(reader);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static void try_in_child(struct shmc_record *record)
{
	int64_t values[16];
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(shmc_record_read(record, values, sizeof(values), NULL) == SHMC_FORKED &&
				      shmc_record_snapshot(record) == SHMC_FORKED &&
				      shmc_record_begin(record, SHMC_TRY) == SHMC_FORKED ?
			      0 :
			      1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

TEST(a_forked_child_is_refused)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_record *writer;

	shmt_record_create(client, "record", pair, 3);
	writer = shmt_record_open(client, "record", SHMC_RECORD_WRITER);
	try_in_child(writer);
	shmc_record_close(writer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

SHMT_MAIN
