/*
 * Saving what others go on using at full speed: what comes back must be something that a reader
 * could have found.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/process/save_scene.h"
#include "tests/support/mpmc_client.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

enum {
	SAVES = 12,
	FIELDS = 32,
	BYTES = 300000,
};

static struct shmc_error error;

#define OPEN(result_) ck_assert_msg((result_) == SHMC_OK, "%s: %s", #result_, error.text)

/* Saves it while they run, and brings it back as "copy"; then the next one. What is there must be as
 * many as is said, where it counts. */
static void save_often(struct save_scene *scene, const char *name,
		       uint64_t (*check)(struct shmc_client *client), bool is_counted)
{
	uint64_t found = 0;

	for (int i = 0; i < SAVES; i++) {
		struct shmt_result result;
		uint64_t count;
		char says[64];

		CTL(0, "", "save", name, scene->file);
		result = save_ctl(0, (const char *const[]){ "restore", scene->file, "copy", NULL });
		count = check(scene->client);
		snprintf(says, sizeof(says), ", %llu ", (unsigned long long)count);
		ck_assert_msg(!is_counted || strstr(result.out, says), "found%s, but: %s", says,
			      result.out);
		shmt_result_free(&result);
		found += count;
		shmt_assert_ok(shmc_unlink(scene->client, "copy", NULL));
	}
	printf("# %s: %d saves found %llu\n", name, SAVES, (unsigned long long)found);
}

/* spsc */

static void push_for_ever(struct shmt_peer *test, void *context)
{
	struct shmc_client *client = shmt_connect(context);
	struct shmc_spsc *queue = shmt_open(client, "q", SHMC_SPSC_PRODUCER);

	shmt_peer_tell(test);
	for (uint64_t number = 0;; number++)
		shmt_push_numbered(queue, number, 100, SHMC_FOREVER);
}

static void pop_for_ever(struct shmt_peer *test, void *context)
{
	struct shmc_client *client = shmt_connect(context);
	struct shmc_spsc *queue = shmt_open(client, "q", SHMC_SPSC_CONSUMER);
	uint64_t number;
	uint32_t flags;

	shmt_peer_tell(test);
	for (;;)
		shmt_pop_any(queue, 100, SHMC_FOREVER, &number, &flags);
}

/* One after the other, each whole, and as many as were said to be there. */
static uint64_t check_numbered(struct shmc_client *client)
{
	struct shmc_spsc *queue = shmt_open(client, "copy", SHMC_SPSC_CONSUMER);
	uint64_t first = 0, number, count = 0;
	uint32_t flags;

	while (shmt_pop_any(queue, 100, SHMC_TRY, &number, &flags) == SHMC_OK) {
		first = count == 0 ? number : first;
		ck_assert_uint_eq(number, first + count++);
	}
	shmc_spsc_close(queue);
	return count;
}

TEST(a_queue_that_is_full_is_saved_whole, .timeout_s = 60)
{
	struct save_scene scene = save_begin();
	struct shmt_peer producer;

	shmt_create(scene.client, "q", 65536);
	producer = shmt_peer_start(push_for_ever, &scene.broker);
	shmt_peer_await(&producer);
	save_often(&scene, "q", check_numbered, true);
	shmt_peer_kill(&producer);
	save_end(&scene);
}

TEST(a_queue_that_runs_is_saved_without_a_gap, .timeout_s = 60)
{
	struct save_scene scene = save_begin();
	struct shmt_peer producer, consumer;

	shmt_create(scene.client, "q", 65536);
	producer = shmt_peer_start(push_for_ever, &scene.broker);
	consumer = shmt_peer_start(pop_for_ever, &scene.broker);
	shmt_peer_await(&producer);
	shmt_peer_await(&consumer);
	save_often(&scene, "q", check_numbered, true);
	shmt_peer_kill(&producer);
	shmt_peer_kill(&consumer);
	save_end(&scene);
}

/* mpmc: two of each; a message says whose it is, and which of his */

static int which; /* of the producers, before the fork */

static void produce_for_ever(struct shmt_peer *test, void *context)
{
	struct shmc_client *client = shmt_connect(context);
	struct shmc_mpmc *queue = shmt_queue_open(client, "q", SHMC_MPMC_PRODUCER);

	shmt_peer_tell(test);
	for (uint64_t number = 0;; number++)
		shmt_queue_push(queue, number * 2 + (uint64_t)which, SHMC_FOREVER);
}

static void consume_for_ever(struct shmt_peer *test, void *context)
{
	struct shmc_client *client = shmt_connect(context);
	struct shmc_mpmc *queue = shmt_queue_open(client, "q", SHMC_MPMC_CONSUMER);
	uint64_t number;
	uint32_t flags;

	shmt_peer_tell(test);
	for (;;)
		shmt_queue_pop(queue, &number, &flags, SHMC_FOREVER);
}

/* Of each producer in order; without a gap but behind what was in a hand. */
static uint64_t check_two(struct shmc_client *client)
{
	struct shmc_mpmc *queue = shmt_queue_open(client, "copy", SHMC_MPMC_CONSUMER);
	uint64_t last[2] = { UINT64_MAX, UINT64_MAX }, number, count = 0;
	bool was_in_hand[2] = { true, true };
	uint32_t flags;

	while (shmt_queue_pop(queue, &number, &flags, SHMC_TRY) == SHMC_OK) {
		uint64_t of = number % 2;

		number /= 2;
		if (last[of] != UINT64_MAX) {
			ck_assert_uint_gt(number, last[of]);
			ck_assert(number == last[of] + 1 || was_in_hand[of]);
		}
		was_in_hand[of] = (flags & SHMC_REDELIVERED) != 0;
		last[of] = number;
		count++;
	}
	shmc_mpmc_close(queue);
	return count;
}

TEST(a_queue_of_many_is_saved_in_the_order_of_each, .timeout_s = 60)
{
	struct save_scene scene = save_begin();
	struct shmt_peer peers[4];

	shmt_queue_create(scene.client, "q", (struct shmc_mpmc_options){ .slots = 256 });
	for (which = 0; which < 4; which++) {
		peers[which] = shmt_peer_start(which < 2 ? produce_for_ever : consume_for_ever,
					       &scene.broker);
		shmt_peer_await(&peers[which]);
	}
	save_often(&scene, "q", check_two, true);
	for (int i = 0; i < 4; i++)
		shmt_peer_kill(&peers[i]);
	save_end(&scene);
}

/* broadcast and ring: what is slow is written over */

static void broadcast_for_ever(struct shmt_peer *test, void *context)
{
	struct shmc_client *client = shmt_connect(context);
	struct shmc_broadcast *ring;

	OPEN(shmc_broadcast_open(client, "b", SHMC_BROADCAST_WRITER, &ring, &error));
	for (uint64_t number = 0;; number++) {
		shmc_broadcast_try_push(ring, &number, sizeof(number));
		if (number == 10000)
			shmt_peer_tell(test);
	}
}

static uint64_t check_broadcast(struct shmc_client *client)
{
	struct shmc_broadcast_message message;
	struct shmc_broadcast *ring;
	uint64_t number, first = 0, count = 0;

	OPEN(shmc_broadcast_open_from(client, "copy", SHMC_BROADCAST_OLDEST, 0, &ring, &error));
	while (shmc_broadcast_try_pop(ring, &number, sizeof(number), &message) == SHMC_OK) {
		first = count == 0 ? number : first;
		ck_assert_uint_eq(number, first + count++);
	}
	shmc_broadcast_close(ring);
	ck_assert_uint_gt(count, 0);
	return count;
}

TEST(a_ring_that_is_written_over_is_saved_without_a_gap, .timeout_s = 60)
{
	struct save_scene scene = save_begin();
	struct shmt_peer writer;

	OPEN(shmc_broadcast_create(scene.client, "b", NULL, &error));
	writer = shmt_peer_start(broadcast_for_ever, &scene.broker);
	shmt_peer_await(&writer);
	save_often(&scene, "b", check_broadcast, true);
	shmt_peer_kill(&writer);
	save_end(&scene);
}

static void overwrite_for_ever(struct shmt_peer *test, void *context)
{
	struct shmc_client *client = shmt_connect(context);
	uint64_t numbers[10];
	struct shmc_ring *ring;

	OPEN(shmc_ring_open(client, "r", SHMC_RING_PRODUCER, NULL, &ring, &error));
	for (uint64_t number = 0;;) {
		for (int i = 0; i < 10; i++)
			numbers[i] = number++;
		shmc_ring_push_overwrite(ring, numbers, 10);
		if (number == 100000)
			shmt_peer_tell(test);
	}
}

static uint64_t check_ring(struct shmc_client *client)
{
	static uint64_t numbers[4000];
	struct shmc_ring_span span = { .count = 0 };
	struct shmc_ring *ring;

	OPEN(shmc_ring_open(client, "copy", SHMC_RING_CONSUMER, NULL, &ring, &error));
	shmt_assert_ok(shmc_ring_pop(ring, numbers, 4000, 1, SHMC_TRY, &span));
	for (uint64_t i = 1; i < span.count; i++)
		ck_assert_uint_eq(numbers[i], numbers[0] + i);
	shmc_ring_close(ring);
	return span.count;
}

TEST(elements_that_are_written_over_are_saved_without_a_gap, .timeout_s = 60)
{
	struct shmc_ring_options options = { .element_type = SHMC_TYPE_U64, .elements = 4000 };
	struct save_scene scene = save_begin();
	struct shmt_peer producer;

	OPEN(shmc_ring_create(scene.client, "r", &options, &error));
	producer = shmt_peer_start(overwrite_for_ever, &scene.broker);
	shmt_peer_await(&producer);
	save_often(&scene, "r", check_ring, true);
	shmt_peer_kill(&producer);
	save_end(&scene);
}

/* record and buffer: all of it is of one writer's turn */

static const struct shmc_field fields[] = {
	{ .name = "values", .type = SHMC_TYPE_U64, .count = FIELDS },
};

static void commit_for_ever(struct shmt_peer *test, void *context)
{
	struct shmc_client *client = shmt_connect(context);
	struct shmc_record *record;
	struct shmc_place place;
	uint64_t values[FIELDS];

	OPEN(shmc_record_open(client, "v", SHMC_RECORD_WRITER, NULL, &record, &error));
	shmt_assert_ok(shmc_record_find(record, "values", &place));
	for (uint64_t number = 1;; number++) {
		for (int i = 0; i < FIELDS; i++)
			values[i] = number;
		shmc_record_begin(record, SHMC_FOREVER);
		shmc_record_put_array(record, &place, SHMC_TYPE_U64, values, FIELDS);
		shmc_record_commit(record);
		if (number == 100)
			shmt_peer_tell(test);
	}
}

static uint64_t check_record(struct shmc_client *client)
{
	struct shmc_record *record;
	struct shmc_place place;
	uint64_t values[FIELDS], count;

	OPEN(shmc_record_open(client, "copy", SHMC_RECORD_READER, NULL, &record, &error));
	shmt_assert_ok(shmc_record_find(record, "values", &place));
	shmt_assert_ok(shmc_record_snapshot(record));
	shmt_assert_ok(
		shmc_record_get_array(record, &place, SHMC_TYPE_U64, values, FIELDS, &count));
	ck_assert_uint_eq(count, FIELDS);
	for (int i = 0; i < FIELDS; i++)
		ck_assert_uint_eq(values[i], values[0]);
	ck_assert_uint_ge(values[0], 100);
	shmc_record_close(record);
	return values[0];
}

TEST(a_record_is_saved_as_of_one_version, .timeout_s = 60)
{
	struct shmc_record_options options = { .fields = fields, .field_count = 1 };
	struct save_scene scene = save_begin();
	struct shmt_peer writers[2];

	OPEN(shmc_record_create(scene.client, "v", &options, &error));
	for (int i = 0; i < 2; i++) {
		writers[i] = shmt_peer_start(commit_for_ever, &scene.broker);
		shmt_peer_await(&writers[i]);
	}
	save_often(&scene, "v", check_record, false);
	for (int i = 0; i < 2; i++)
		shmt_peer_kill(&writers[i]);
	save_end(&scene);
}

static void write_for_ever(struct shmt_peer *test, void *context)
{
	struct shmc_client *client = shmt_connect(context);
	struct shmc_buffer *buffer;
	void *data;

	OPEN(shmc_buffer_open(client, "bytes", SHMC_BUFFER_WRITER, &buffer, &error));
	shmt_assert_ok(shmc_buffer_edit(buffer, 0, BYTES, &data));
	for (int turn = 1;; turn++) {
		shmc_buffer_lock_write(buffer, SHMC_FOREVER);
		/* who looks without the lock finds both halves of different turns */
		memset(data, turn % 250 + 1, BYTES / 2);
		sched_yield();
		memset((char *)data + BYTES / 2, turn % 250 + 1, BYTES / 2);
		shmc_buffer_unlock(buffer);
		if (turn == 10)
			shmt_peer_tell(test);
		/* a reader gets its turn between those of one who writes without a pause */
		sched_yield();
	}
}

static uint64_t check_bytes(struct shmc_client *client)
{
	struct shmc_buffer *buffer;
	const uint8_t *data;
	const void *view;
	uint64_t first;

	OPEN(shmc_buffer_open(client, "copy", SHMC_BUFFER_READER, &buffer, &error));
	shmt_assert_ok(shmc_buffer_lock_read(buffer, SHMC_TRY));
	shmt_assert_ok(shmc_buffer_view(buffer, 0, BYTES, &view));
	data = view;
	first = data[0];
	ck_assert_uint_ne(first, 0);
	ck_assert_int_eq(memcmp(data, data + 1, BYTES - 1), 0);
	shmc_buffer_close(buffer);
	return first;
}

TEST(a_buffer_is_saved_as_one_writer_left_it, .timeout_s = 60)
{
	struct shmc_buffer_options options = { .size_bytes = BYTES };
	struct save_scene scene = save_begin();
	struct shmt_peer writer;

	OPEN(shmc_buffer_create(scene.client, "bytes", &options, &error));
	writer = shmt_peer_start(write_for_ever, &scene.broker);
	shmt_peer_await(&writer);
	save_often(&scene, "bytes", check_bytes, false);
	shmt_peer_kill(&writer);
	save_end(&scene);
}

SHMT_MAIN
