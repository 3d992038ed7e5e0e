/* broadcast through the library and a real broker, all sides in one process: what each call does. */
#include <poll.h>
#include <string.h>

#include "tests/support/broadcast_client.h"
#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/runner.h"

#define MS_NS	     INT64_C(1000000)
#define OPTIONS(...) ((struct shmc_broadcast_options){ __VA_ARGS__ })

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_broadcast *writer;
	struct shmc_broadcast *reader;
	size_t descriptors;
};

static struct scene scene_open(struct shmc_broadcast_options options)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.client = shmt_connect(&scene.broker);
	shmt_broadcast_create(scene.client, "news", options);
	scene.writer = shmt_writer_open(scene.client, "news");
	scene.reader = shmt_reader_open(scene.client, "news", SHMC_BROADCAST_OLDEST, 0);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_broadcast_close(scene->writer);
	shmc_broadcast_close(scene->reader);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

static void expect_number(struct shmc_broadcast *reader, uint64_t number)
{
	struct shmc_broadcast_message message;
	uint64_t got;

	shmt_assert_ok(shmt_broadcast_receive(reader, &got, &message, SHMC_TRY));
	ck_assert_uint_eq(got, number);
	ck_assert_uint_eq(message.flags, 0);
}

static void expect_nothing(struct shmc_broadcast *reader)
{
	uint64_t got;

	shmt_assert_result(shmt_broadcast_receive(reader, &got, NULL, SHMC_TRY), SHMC_EMPTY);
}

TEST(two_readers_each_get_everything)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 4096));
	struct shmc_broadcast *other = shmt_reader_open(scene.client, "news", SHMC_BROADCAST_NEWEST,
							0);

	for (uint64_t i = 0; i < 1000; i++) {
		shmt_assert_ok(shmt_broadcast_send(scene.writer, i, 8 + i % 700, SHMC_TRY));
		expect_number(scene.reader, i);
		expect_number(other, i);
		expect_nothing(other);
	}
	shmc_broadcast_close(other);
	scene_close(&scene);
}

TEST(late_readers_begin_at_the_oldest_the_newest_or_a_position)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 0));
	struct shmc_broadcast_message message;
	struct shmc_broadcast *late;
	struct shmc_error error;
	uint64_t got;

	for (uint64_t i = 0; i < 10; i++)
		shmt_assert_ok(shmt_broadcast_send(scene.writer, i, 8, SHMC_TRY));
	for (uint64_t i = 0; i < 4; i++)
		shmt_assert_ok(shmt_broadcast_receive(scene.reader, &got, &message, SHMC_TRY));
	late = shmt_reader_open(scene.client, "news", SHMC_BROADCAST_OLDEST, 0);
	expect_number(late, 0);
	shmc_broadcast_close(late);
	late = shmt_reader_open(scene.client, "news", SHMC_BROADCAST_POSITION, message.position);
	expect_number(late, 4);
	shmc_broadcast_close(late);
	late = shmt_reader_open(scene.client, "news", SHMC_BROADCAST_NEWEST, 0);
	expect_nothing(late);
	shmt_assert_ok(shmt_broadcast_send(scene.writer, 10, 8, SHMC_TRY));
	expect_number(late, 10);
	shmc_broadcast_close(late);
	shmt_assert_result(shmc_broadcast_open_from(scene.client, "news", SHMC_BROADCAST_POSITION,
						    message.position + 1, &late, &error),
			   SHMC_INVALID);
	shmt_assert_says(&error, "position");
	scene_close(&scene);
}

TEST(overwrite_a_writer_never_waits_and_the_lapped_learn_what_they_lost)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 4096));
	struct shmc_broadcast_message message;
	uint64_t got, lost, now[1];

	expect_nothing(scene.reader);
	for (uint64_t i = 0; i < 10000; i++)
		shmt_assert_ok(shmt_broadcast_send(scene.writer, i, 8 + i % 300, SHMC_TRY));
	shmt_assert_ok(shmc_broadcast_lost(scene.reader, now, 1));
	shmt_assert_ok(shmt_broadcast_receive(scene.reader, &got, &message, SHMC_TRY));
	ck_assert_uint_eq(message.flags, SHMC_LOST);
	ck_assert_uint_eq(message.lost, got);
	ck_assert_uint_eq(now[0], got);
	lost = got;
	while (got < 9999)
		expect_number(scene.reader, ++got);
	expect_nothing(scene.reader);
	shmt_assert_ok(shmc_broadcast_lost(scene.reader, now, 1));
	ck_assert_uint_eq(now[0], lost);
	scene_close(&scene);
}

TEST(overwrite_what_is_peeked_at_is_told_to_be_lost)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 4096));
	struct shmc_broadcast_message message;

	shmt_assert_ok(shmt_broadcast_send(scene.writer, 1, 100, SHMC_TRY));
	shmt_assert_ok(shmc_broadcast_peek(scene.reader, SHMC_TRY, &message));
	shmt_assert_result(shmc_broadcast_peek(scene.reader, SHMC_TRY, &message), SHMC_INVALID);
	shmt_assert_ok(shmc_broadcast_release(scene.reader));
	shmt_assert_result(shmc_broadcast_release(scene.reader), SHMC_INVALID);
	shmt_assert_ok(shmt_broadcast_send(scene.writer, 2, 100, SHMC_TRY));
	shmt_assert_ok(shmc_broadcast_peek(scene.reader, SHMC_TRY, &message));
	for (uint64_t i = 0; i < 100; i++)
		shmt_assert_ok(shmt_broadcast_send(scene.writer, i, 100, SHMC_TRY));
	shmt_assert_result(shmc_broadcast_release(scene.reader), SHMC_LAPPED);
	shmt_assert_ok(shmc_broadcast_peek(scene.reader, SHMC_TRY, &message));
	ck_assert_uint_eq(message.flags, SHMC_LOST);
	ck_assert_uint_gt(message.lost, 0);
	shmt_assert_ok(shmc_broadcast_release(scene.reader));
	scene_close(&scene);
}

TEST(block_waits_for_the_slowest_and_loses_nothing)
{
	struct scene scene =
		scene_open(OPTIONS(.capacity_bytes = 4096, .policy = SHMC_BROADCAST_BLOCK));
	uint64_t sent = 0, got = 0;

	while (got < 5000) {
		while (shmt_broadcast_send(scene.writer, sent, 8 + sent % 900, SHMC_TRY) == SHMC_OK)
			sent++;
		shmt_assert_result(shmt_broadcast_send(scene.writer, sent, 8 + sent % 900, MS_NS),
				   SHMC_TIMEOUT);
		for (uint64_t i = 0; i <= got % 5 && got < sent; i++)
			expect_number(scene.reader, got++);
	}
	scene_close(&scene);
}

TEST(more_than_half_the_ring_goes_twice_with_and_without_a_reader)
{
	struct scene scene =
		scene_open(OPTIONS(.capacity_bytes = 4096, .policy = SHMC_BROADCAST_BLOCK));

	for (uint64_t i = 0; i < 10; i++) {
		shmt_assert_ok(shmt_broadcast_send(scene.writer, i, 2056, SHMC_TRY));
		expect_number(scene.reader, i);
	}
	scene.reader = shmc_broadcast_close(scene.reader);
	for (uint64_t i = 0; i < 10; i++)
		shmt_assert_ok(shmt_broadcast_send(scene.writer, i, 2056, SHMC_TRY));
	scene_close(&scene);
}

TEST(an_empty_message_is_a_message)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 0));
	struct shmc_broadcast_message message;

	shmt_assert_ok(shmc_broadcast_push(scene.writer, NULL, 0, SHMC_TRY));
	shmt_assert_ok(shmc_broadcast_pop(scene.reader, NULL, 0, SHMC_TRY, &message));
	ck_assert_uint_eq(message.size, 0);
	shmt_assert_result(shmc_broadcast_try_pop(scene.reader, NULL, 0, &message), SHMC_EMPTY);
	scene_close(&scene);
}

TEST(too_long_is_refused_and_too_small_a_buffer_keeps_the_message)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 4096, .message_bytes_max = 100));
	struct shmc_broadcast_message message;
	uint8_t bytes[101] = { 0 };

	shmt_assert_result(shmc_broadcast_push(scene.writer, bytes, 101, SHMC_TRY), SHMC_TOO_BIG);
	shmt_assert_ok(shmc_broadcast_push(scene.writer, bytes, 100, SHMC_TRY));
	shmt_assert_result(shmc_broadcast_pop(scene.reader, bytes, 99, SHMC_TRY, &message),
			   SHMC_TOO_BIG);
	ck_assert_uint_eq(message.size, 100);
	shmt_assert_ok(shmc_broadcast_pop(scene.reader, bytes, 100, SHMC_TRY, &message));
	scene_close(&scene);
}

TEST(a_wait_for_nothing_ends_in_time)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 0));
	uint64_t got;

	shmt_assert_result(shmt_broadcast_receive(scene.reader, &got, NULL, 50 * MS_NS),
			   SHMC_TIMEOUT);
	scene_close(&scene);
}

TEST(messages_written_in_place_arrive)
{
	for (uint32_t exclusive = 0; exclusive < 2; exclusive++) {
		struct scene scene = scene_open(OPTIONS(.capacity_bytes = 4096,
							.exclusive = exclusive,
							.policy = SHMC_BROADCAST_BLOCK));

		for (uint64_t i = 0; i < 1000; i++) {
			uint64_t *room = NULL, size = i * 24 % 800;

			shmt_assert_ok(shmc_broadcast_reserve(scene.writer, size + 8, SHMC_TRY,
							      (void **)&room));
			for (uint64_t k = 0; k <= size / 8; k++)
				room[k] = i;
			shmt_assert_result(shmc_broadcast_push(scene.writer, NULL, 0, SHMC_TRY),
					   SHMC_INVALID);
			expect_nothing(scene.reader);
			if (i % 3 == 0) {
				shmt_assert_ok(shmc_broadcast_abort(scene.writer));
				continue;
			}
			shmt_assert_result(shmc_broadcast_commit(scene.writer, size + 9, SHMC_TRY),
					   SHMC_INVALID);
			shmt_assert_ok(shmc_broadcast_commit(scene.writer, size / 2 / 8 * 8 + 8,
							     SHMC_TRY));
			expect_number(scene.reader, i);
		}
		expect_nothing(scene.reader);
		scene_close(&scene);
	}
}

TEST(batches_go_as_far_as_there_is_room)
{
	struct scene scene =
		scene_open(OPTIONS(.capacity_bytes = 4096, .policy = SHMC_BROADCAST_BLOCK));
	struct shmc_broadcast_message got[40];
	uint8_t buffer[4096], bytes[100] = { 7 };
	struct shmc_bytes messages[40];
	uint64_t count;

	for (int i = 0; i < 40; i++)
		messages[i] = (struct shmc_bytes){ bytes, 100 };
	shmt_assert_ok(shmc_broadcast_push_batch(scene.writer, messages, 40, SHMC_TRY, &count));
	ck_assert_uint_eq(count, 32);
	shmt_assert_result(shmc_broadcast_push_batch(scene.writer, messages, 40, SHMC_TRY, &count),
			   SHMC_FULL);
	shmt_assert_ok(
		shmc_broadcast_pop_batch(scene.reader, buffer, 1000, got, 40, SHMC_TRY, &count));
	ck_assert_uint_eq(count, 9);
	shmt_assert_ok(shmc_broadcast_pop_batch(scene.reader, buffer, sizeof(buffer), got, 40,
						SHMC_TRY, &count));
	ck_assert_uint_eq(count, 23);
	for (uint64_t i = 0; i < count; i++)
		ck_assert_mem_eq(got[i].data, bytes, 100);
	scene_close(&scene);
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

/* The first ring goes by way of the broker. */
static void await_readable(int fd)
{
	ck_assert(is_readable(fd, 20000));
}

TEST(a_reader_s_descriptor_tells_of_messages)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 0));
	int fd = -1;

	shmt_assert_ok(shmc_broadcast_fd(scene.reader, &fd, NULL));
	for (uint64_t i = 0; i < 10; i++) {
		expect_nothing(scene.reader);
		ck_assert(!is_readable(fd, 0));
		shmt_assert_ok(shmt_broadcast_send(scene.writer, i, 8, SHMC_TRY));
		await_readable(fd);
		expect_number(scene.reader, i);
	}
	scene_close(&scene);
}

TEST(a_writer_s_descriptor_tells_of_room)
{
	struct scene scene =
		scene_open(OPTIONS(.capacity_bytes = 4096, .policy = SHMC_BROADCAST_BLOCK));
	uint64_t sent = 0, got = 0;
	int fd = -1;

	shmt_assert_ok(shmc_broadcast_fd(scene.writer, &fd, NULL));
	for (int i = 0; i < 10; i++) {
		while (shmt_broadcast_send(scene.writer, sent, 1000, SHMC_TRY) == SHMC_OK)
			sent++;
		ck_assert(!is_readable(fd, 0));
		expect_number(scene.reader, got++);
		await_readable(fd);
	}
	scene_close(&scene);
}

TEST(options_are_reported_in_effective_values)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 5000, .exclusive = 1));
	struct shmc_broadcast_options options;

	shmt_assert_ok(shmc_broadcast_options_of(scene.reader, &options));
	ck_assert_uint_eq(options.capacity_bytes, 8192);
	ck_assert_uint_eq(options.message_bytes_max, 8192 / 16 * 15 - 24);
	ck_assert_uint_eq(options.writers_max, 1);
	ck_assert_uint_eq(options.readers_max, 64);
	ck_assert_uint_eq(options.policy, SHMC_BROADCAST_OVERWRITE);
	ck_assert_uint_eq(options.exclusive, 1);
	scene_close(&scene);
}

TEST(contradictory_options_are_refused_by_name)
{
	static const struct {
		struct shmc_broadcast_options options;
		const char *name;
	} rows[] = {
		{ { .exclusive = 1, .writers_max = 2 }, "writers_max" },
		{ { .capacity_bytes = 4096, .message_bytes_max = 4000 }, "message_bytes_max" },
		{ { .writers_max = 200, .readers_max = 56 }, "readers_max" },
		{ { .policy = 2 }, "policy" },
	};
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 0));
	struct shmc_error error;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		shmt_assert_result(
			shmc_broadcast_create(scene.client, "other", &rows[i].options, &error),
			SHMC_INVALID);
		shmt_assert_says(&error, rows[i].name);
	}
	scene_close(&scene);
}

TEST(places_of_each_role_are_as_many_as_chosen)
{
	struct scene scene = scene_open(OPTIONS(.exclusive = 1, .readers_max = 2));
	struct shmc_broadcast *second = NULL, *third = NULL;
	struct shmc_error error;

	shmt_assert_result(
		shmc_broadcast_open(scene.client, "news", SHMC_BROADCAST_WRITER, &third, &error),
		SHMC_BUSY);
	second = shmt_reader_open(scene.client, "news", SHMC_BROADCAST_NEWEST, 0);
	shmt_assert_result(
		shmc_broadcast_open(scene.client, "news", SHMC_BROADCAST_READER, &third, &error),
		SHMC_BUSY);
	shmc_broadcast_close(second);
	second = shmt_reader_open(scene.client, "news", SHMC_BROADCAST_NEWEST, 0);
	shmc_broadcast_close(second);
	scene_close(&scene);
}

TEST(statistics_count_what_was_sent_read_and_lost)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 4096));
	struct shmc_broadcast_statistics all;
	struct shmc_broadcast_endpoint one;
	uint64_t got;

	expect_nothing(scene.reader);
	for (uint64_t i = 0; i < 100; i++)
		shmt_assert_ok(shmt_broadcast_send(scene.writer, i, 100, SHMC_TRY));
	shmt_assert_ok(shmt_broadcast_receive(scene.reader, &got, NULL, SHMC_TRY));
	shmt_assert_ok(shmc_broadcast_statistics(scene.writer, &all));
	ck_assert_uint_eq(all.writers.messages, 100);
	ck_assert_uint_eq(all.writers.bytes, 10000);
	ck_assert_uint_eq(all.readers.messages, 1);
	ck_assert_uint_eq(all.readers.refused, 1);
	ck_assert_uint_eq(all.lost, got);
	ck_assert_uint_eq(all.behind_bytes, (99 - got) * 128);
	shmt_assert_ok(shmc_broadcast_endpoint(scene.reader, 16, &one));
	ck_assert_int_eq(one.role, SHMC_BROADCAST_READER);
	ck_assert_int_eq(one.state, SHMC_PEER_ACTIVE);
	ck_assert(one.is_own);
	ck_assert_uint_eq(one.lost, got);
	shmt_assert_result(shmc_broadcast_endpoint(scene.reader, 80, &one), SHMC_INVALID);
	scene_close(&scene);
}

static int count_item(void *context, const struct shmc_item *item)
{
	ck_assert_str_eq(item->what, "message");
	ck_assert_uint_eq(item->size, 100);
	++*(uint64_t *)context;
	return 0;
}

TEST(who_only_looks_sees_what_is_there)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 4096));
	struct shmc_look look = { .from = SHMC_LOOK_OLDEST };
	uint64_t seen = 0;

	for (uint64_t i = 0; i < 100; i++)
		shmt_assert_ok(shmt_broadcast_send(scene.writer, i, 100, SHMC_TRY));
	shmt_assert_ok(shmc_broadcast_look(scene.reader, &look, count_item, &seen));
	ck_assert_uint_ge(seen, 28);
	ck_assert_uint_le(seen, 32);
	seen = 0;
	shmt_assert_ok(shmt_broadcast_send(scene.writer, 0, 100, SHMC_TRY));
	shmt_assert_ok(shmc_broadcast_look(scene.reader, &look, count_item, &seen));
	ck_assert_uint_eq(seen, 1);
	scene_close(&scene);
}

TEST(the_wrong_role_is_told_so)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 0));
	struct shmc_broadcast_message message;
	uint64_t lost;

	shmt_assert_result(shmc_broadcast_push(scene.reader, NULL, 0, SHMC_FOREVER), SHMC_INVALID);
	shmt_assert_result(shmc_broadcast_pop(scene.writer, NULL, 0, SHMC_FOREVER, &message),
			   SHMC_INVALID);
	shmt_assert_result(shmc_broadcast_release(scene.writer), SHMC_INVALID);
	shmt_assert_result(shmc_broadcast_abort(scene.reader), SHMC_INVALID);
	shmt_assert_result(shmc_broadcast_lost(scene.writer, &lost, 1), SHMC_INVALID);
	scene_close(&scene);
}

SHMT_MAIN
