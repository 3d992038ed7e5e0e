/* mpmc through the library and a real broker, all sides in one process: what each call does. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/mpmc_client.h"
#include "tests/support/runner.h"

#define MS_NS INT64_C(1000000)

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_mpmc *producer;
	struct shmc_mpmc *consumer;
	size_t descriptors;
};

static struct scene scene_open(struct shmc_mpmc_options options)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.client = shmt_connect(&scene.broker);
	shmt_queue_create(scene.client, "queue", options);
	scene.producer = shmt_queue_open(scene.client, "queue", SHMC_MPMC_PRODUCER);
	scene.consumer = shmt_queue_open(scene.client, "queue", SHMC_MPMC_CONSUMER);
	return scene;
}

static struct scene scene_of(uint64_t slots)
{
	return scene_open((struct shmc_mpmc_options){ .slots = slots });
}

static void scene_close(struct scene *scene)
{
	shmc_mpmc_close(scene->producer);
	shmc_mpmc_close(scene->consumer);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

static void expect_number(struct scene *scene, uint64_t number)
{
	uint64_t got = 0;
	uint32_t flags = 77;

	shmt_assert_ok(shmt_queue_pop(scene->consumer, &got, &flags, SHMC_TRY));
	ck_assert_uint_eq(got, number);
	ck_assert_uint_eq(flags, 0);
}

static void expect_nothing(struct scene *scene)
{
	uint64_t got;

	shmt_assert_result(shmt_queue_pop(scene->consumer, &got, NULL, SHMC_TRY), SHMC_EMPTY);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 * MS_NS + now.tv_nsec;
}

TEST(messages_arrive_in_order_and_once)
{
	struct scene scene = scene_of(0);

	for (uint64_t i = 0; i < 3000; i++) {
		shmt_assert_ok(shmt_queue_push(scene.producer, i, SHMC_TRY));
		if (i % 3 != 0)
			expect_number(&scene, i / 3 * 2 + i % 3 - 1);
	}
	scene_close(&scene);
}

TEST(it_is_full_at_exactly_as_many_messages_as_slots)
{
	struct scene scene = scene_of(5);

	for (uint64_t i = 0; i < 5; i++)
		shmt_assert_ok(shmt_queue_push(scene.producer, i, SHMC_TRY));
	shmt_assert_result(shmt_queue_push(scene.producer, 5, SHMC_TRY), SHMC_FULL);
	shmt_assert_result(shmt_queue_push(scene.producer, 5, MS_NS), SHMC_TIMEOUT);
	for (uint64_t i = 0; i < 5; i++)
		expect_number(&scene, i);
	expect_nothing(&scene);
	scene_close(&scene);
}

TEST(one_slot_is_refused_by_name)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_mpmc_options options = { .slots = 1 };
	struct shmc_error error;

	shmt_assert_result(shmc_mpmc_create(client, "queue", &options, &error), SHMC_INVALID);
	shmt_assert_says(&error, "slots");
	options = (struct shmc_mpmc_options){ .endpoints_max = 1 };
	shmt_assert_result(shmc_mpmc_create(client, "queue", &options, &error), SHMC_INVALID);
	shmt_assert_says(&error, "endpoints_max");
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(two_slots_do_for_ten_thousand_rounds)
{
	struct scene scene = scene_of(2);

	for (uint64_t i = 0; i < 20000; i += 2) {
		shmt_assert_ok(shmt_queue_push(scene.producer, i, SHMC_TRY));
		shmt_assert_ok(shmt_queue_push(scene.producer, i + 1, SHMC_TRY));
		shmt_assert_result(shmt_queue_push(scene.producer, i, SHMC_TRY), SHMC_FULL);
		expect_number(&scene, i);
		expect_number(&scene, i + 1);
	}
	scene_close(&scene);
}

TEST(a_message_of_no_length_is_a_message)
{
	struct shmc_message message = { .size = 77 };
	struct scene scene = scene_of(0);

	shmt_assert_ok(shmc_mpmc_try_push(scene.producer, NULL, 0));
	shmt_assert_ok(shmc_mpmc_try_pop(scene.consumer, NULL, 0, &message));
	ck_assert_uint_eq(message.size, 0);
	expect_nothing(&scene);
	scene_close(&scene);
}

TEST(too_long_a_message_is_refused_and_changes_nothing)
{
	struct scene scene = scene_open((struct shmc_mpmc_options){ .message_bytes_max = 100 });
	char payload[101] = "";
	void *room = NULL;

	shmt_assert_result(shmc_mpmc_try_push(scene.producer, payload, 101), SHMC_TOO_BIG);
	shmt_assert_result(shmc_mpmc_reserve(scene.producer, 101, SHMC_TRY, &room), SHMC_TOO_BIG);
	ck_assert_ptr_null(room);
	expect_nothing(&scene);
	shmt_assert_ok(shmc_mpmc_try_push(scene.producer, payload, 100));
	scene_close(&scene);
}

TEST(too_small_a_destination_keeps_the_message)
{
	struct shmc_message message;
	struct scene scene = scene_of(0);
	char byte;

	shmt_assert_ok(shmt_queue_push(scene.producer, 9, SHMC_TRY));
	shmt_assert_result(shmc_mpmc_try_pop(scene.consumer, &byte, 1, &message), SHMC_TOO_BIG);
	ck_assert_uint_eq(message.size, 8);
	shmt_assert_result(shmc_mpmc_pop(scene.consumer, &byte, 1, SHMC_FOREVER, &message),
			   SHMC_TOO_BIG);
	expect_number(&scene, 9);
	scene_close(&scene);
}

TEST(a_wait_for_nothing_ends_in_time)
{
	struct scene scene = scene_of(0);
	int64_t began = now_ns(), took;
	uint64_t got;

	shmt_assert_result(shmt_queue_pop(scene.consumer, &got, NULL, 50 * MS_NS), SHMC_TIMEOUT);
	took = now_ns() - began;
	ck_assert_int_ge(took, 50 * MS_NS);
	ck_assert_int_lt(took, (int64_t)shmt_scaled(500) * MS_NS);
	scene_close(&scene);
}

TEST(failed_attempts_are_counted_for_each_and_for_all)
{
	struct shmc_mpmc_statistics all;
	struct shmc_mpmc_endpoint one;
	struct scene scene = scene_of(2);
	uint64_t got;

	for (int i = 0; i < 3; i++)
		expect_nothing(&scene);
	shmt_assert_result(shmt_queue_pop(scene.consumer, &got, NULL, MS_NS), SHMC_TIMEOUT);
	for (uint64_t i = 0; i < 7; i++)
		shmt_queue_push(scene.producer, i, SHMC_TRY);
	expect_number(&scene, 0);
	all = shmt_queue_statistics(scene.producer);
	ck_assert_uint_eq(all.producers.messages, 2);
	ck_assert_uint_eq(all.producers.bytes, 16);
	ck_assert_uint_eq(all.producers.refused, 5);
	ck_assert_uint_eq(all.consumers.messages, 1);
	ck_assert_uint_eq(all.consumers.refused, 4);
	ck_assert_uint_eq(all.consumers.waits, 1);
	ck_assert_uint_eq(all.depth, 1);
	shmt_assert_ok(shmc_mpmc_endpoint(scene.producer, 0, &one));
	ck_assert(one.is_own && one.state == SHMC_PEER_ACTIVE);
	ck_assert_uint_eq(one.pushed.refused, 5);
	ck_assert_uint_eq(one.popped.refused, 0);
	shmt_assert_ok(shmc_mpmc_endpoint(scene.producer, 1, &one));
	ck_assert(!one.is_own && one.state == SHMC_PEER_ACTIVE);
	ck_assert_uint_eq(one.popped.messages, 1);
	shmt_assert_ok(shmc_mpmc_endpoint(scene.producer, 63, &one));
	ck_assert_int_eq(one.state, SHMC_PEER_NONE);
	shmt_assert_result(shmc_mpmc_endpoint(scene.producer, 64, &one), SHMC_INVALID);
	scene_close(&scene);
}

TEST(bursts_come_whole)
{
	struct scene scene = scene_of(64);
	uint64_t sent = 0, got = 0;

	for (uint64_t burst = 1; burst < 200; burst++) {
		for (uint64_t i = 0; i < burst % 65; i++)
			shmt_assert_ok(shmt_queue_push(scene.producer, sent++, SHMC_TRY));
		while (got < sent)
			expect_number(&scene, got++);
		expect_nothing(&scene);
	}
	scene_close(&scene);
}

TEST(a_batch_goes_as_far_as_there_is_room)
{
	struct shmc_message messages[8];
	struct shmc_bytes batch[7];
	struct scene scene = scene_of(5);
	uint64_t numbers[7] = { 0, 1, 2, 3, 4, 5, 6 }, buffer[8], count;

	for (int i = 0; i < 7; i++)
		batch[i] = (struct shmc_bytes){ &numbers[i], 8 };
	shmt_assert_ok(shmc_mpmc_push_batch(scene.producer, batch, 7, SHMC_TRY, &count));
	ck_assert_uint_eq(count, 5);
	shmt_assert_result(shmc_mpmc_push_batch(scene.producer, batch, 7, SHMC_TRY, &count),
			   SHMC_FULL);
	shmt_assert_ok(
		shmc_mpmc_pop_batch(scene.consumer, buffer, 24, messages, 8, SHMC_TRY, &count));
	ck_assert_uint_eq(count, 3); /* that is what the buffer holds */
	shmt_assert_ok(
		shmc_mpmc_pop_batch(scene.consumer, buffer + 3, 40, messages, 8, SHMC_TRY, &count));
	ck_assert_uint_eq(count, 2);
	ck_assert_ptr_eq(messages[1].data, buffer + 4);
	for (uint64_t i = 0; i < 5; i++)
		ck_assert_uint_eq(buffer[i], i);
	shmt_assert_result(
		shmc_mpmc_pop_batch(scene.consumer, buffer, 64, messages, 8, SHMC_TRY, &count),
		SHMC_EMPTY);
	scene_close(&scene);
}

TEST(a_message_is_written_and_read_in_place)
{
	struct shmc_message message;
	struct scene scene = scene_of(0);
	void *room;

	shmt_assert_ok(shmc_mpmc_reserve(scene.producer, 40, SHMC_TRY, &room));
	ck_assert_uint_eq((uintptr_t)room % 16, 0);
	memcpy(room, "in place", 8);
	expect_nothing(&scene);
	shmt_assert_result(shmt_queue_push(scene.producer, 1, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(shmc_mpmc_commit(scene.producer, 41), SHMC_INVALID);
	shmt_assert_ok(shmc_mpmc_commit(scene.producer, 8));
	shmt_assert_result(shmc_mpmc_commit(scene.producer, 8), SHMC_INVALID);
	shmt_assert_ok(shmc_mpmc_peek(scene.consumer, SHMC_TRY, &message));
	ck_assert_uint_eq(message.size, 8);
	ck_assert_mem_eq(message.data, "in place", 8);
	shmt_assert_result(shmc_mpmc_peek(scene.consumer, SHMC_TRY, &message), SHMC_INVALID);
	shmt_assert_ok(shmc_mpmc_release(scene.consumer));
	shmt_assert_result(shmc_mpmc_release(scene.consumer), SHMC_INVALID);
	expect_nothing(&scene);
	scene_close(&scene);
}

TEST(an_aborted_reservation_is_skipped)
{
	struct scene scene = scene_of(4);
	void *room;

	for (uint64_t i = 0; i < 10; i++) {
		shmt_assert_ok(shmc_mpmc_reserve(scene.producer, 8, SHMC_TRY, &room));
		shmt_assert_ok(shmc_mpmc_abort(scene.producer));
		shmt_assert_result(shmc_mpmc_abort(scene.producer), SHMC_INVALID);
		shmt_assert_ok(shmt_queue_push(scene.producer, i, SHMC_TRY));
		expect_number(&scene, i);
	}
	expect_nothing(&scene);
	ck_assert_uint_eq(shmt_queue_statistics(scene.consumer).tombstones, 10);
	scene_close(&scene);
}

TEST(closing_with_a_message_in_hand_gives_it_to_another_flagged)
{
	struct shmc_message message;
	struct scene scene = scene_of(0);
	struct shmc_mpmc *other = shmt_queue_open(scene.client, "queue", SHMC_MPMC_CONSUMER);
	uint64_t got;
	uint32_t flags;

	shmt_assert_ok(shmt_queue_push(scene.producer, 7, SHMC_TRY));
	shmt_assert_ok(shmc_mpmc_peek(other, SHMC_TRY, &message));
	expect_nothing(&scene);
	shmc_mpmc_close(other);
	shmt_assert_ok(shmt_queue_pop(scene.consumer, &got, &flags, SHMC_FOREVER));
	ck_assert_uint_eq(got, 7);
	ck_assert_uint_eq(flags, SHMC_REDELIVERED);
	scene_close(&scene);
}

TEST(roles_keep_to_their_calls)
{
	struct shmc_message message;
	struct shmc_error error;
	struct scene scene = scene_of(0);
	void *room;
	int fd;

	shmt_assert_result(shmt_queue_push(scene.consumer, 1, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(shmc_mpmc_reserve(scene.consumer, 1, SHMC_TRY, &room), SHMC_INVALID);
	shmt_assert_result(shmc_mpmc_try_pop(scene.producer, &message, 8, &message), SHMC_INVALID);
	shmt_assert_result(shmc_mpmc_peek(scene.producer, SHMC_TRY, &message), SHMC_INVALID);
	shmt_assert_result(shmc_mpmc_fd(scene.producer, &fd, &error), SHMC_INVALID);
	scene_close(&scene);
}

TEST(more_than_endpoints_max_are_busy)
{
	struct scene scene = scene_open((struct shmc_mpmc_options){ .endpoints_max = 2 });
	struct shmc_mpmc *third = NULL;
	struct shmc_error error;

	shmt_assert_result(
		shmc_mpmc_open(scene.client, "queue", SHMC_MPMC_CONSUMER, &third, &error),
		SHMC_BUSY);
	shmt_assert_says(&error, "all 2 places");
	/* either role may take what is free again */
	scene.consumer = shmc_mpmc_close(scene.consumer);
	third = shmt_queue_open(scene.client, "queue", SHMC_MPMC_PRODUCER);
	shmt_assert_ok(shmt_queue_push(third, 1, SHMC_TRY));
	shmc_mpmc_close(third);
	scene_close(&scene);
}

TEST(a_queue_of_another_kind_is_a_mismatch)
{
	struct scene scene = scene_of(0);
	struct shmc_spsc *queue = NULL;
	struct shmc_error error;

	shmt_assert_result(
		shmc_spsc_open(scene.client, "queue", SHMC_SPSC_PRODUCER, &queue, &error),
		SHMC_MISMATCH);
	shmt_assert_says(&error, "mpmc");
	scene_close(&scene);
}

TEST(options_are_told_in_effective_values)
{
	struct shmc_mpmc_options options;
	struct scene scene = scene_open((struct shmc_mpmc_options){ .slots = 7 });

	shmt_assert_ok(shmc_mpmc_options_of(scene.consumer, &options));
	ck_assert_uint_eq(options.slots, 7);
	ck_assert_uint_eq(options.message_bytes_max, 48);
	ck_assert_uint_eq(options.endpoints_max, 64);
	scene_close(&scene);
}

/* Descriptors */

static bool is_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

static void await_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	ck_assert_int_eq(poll(&poll_fd, 1, (int)shmt_scaled(5000)), 1);
}

TEST(the_descriptors_of_all_consumers_tell_of_a_message)
{
	struct scene scene = scene_of(0);
	struct shmc_mpmc *consumers[3];
	uint64_t got;
	int fds[3];

	for (int i = 0; i < 3; i++) {
		consumers[i] = shmt_queue_open(scene.client, "queue", SHMC_MPMC_CONSUMER);
		shmt_assert_ok(shmc_mpmc_fd(consumers[i], &fds[i], NULL));
	}
	for (uint64_t round = 0; round < 100; round++) {
		for (int i = 0; i < 3; i++) {
			shmt_assert_result(shmt_queue_pop(consumers[i], &got, NULL, SHMC_TRY),
					   SHMC_EMPTY);
			ck_assert(!is_readable(fds[i]));
		}
		shmt_assert_ok(shmt_queue_push(scene.producer, round, SHMC_TRY));
		for (int i = 0; i < 3; i++)
			await_readable(fds[i]);
		shmt_assert_ok(shmt_queue_pop(consumers[round % 3], &got, NULL, SHMC_TRY));
		ck_assert_uint_eq(got, round);
	}
	for (int i = 0; i < 3; i++)
		shmc_mpmc_close(consumers[i]);
	scene_close(&scene);
}

TEST(making_and_removing_queues_in_use_leaves_nothing_behind)
{
	struct scene scene = scene_of(4);
	size_t own = shmt_descriptor_count();
	size_t broker = shmt_broker_descriptors(&scene.broker);

	for (int i = 0; i < 100; i++) {
		struct shmc_mpmc *producer, *consumer;
		uint64_t got;

		shmt_queue_create(scene.client, "other", (struct shmc_mpmc_options){ .slots = 2 });
		producer = shmt_queue_open(scene.client, "other", SHMC_MPMC_PRODUCER);
		consumer = shmt_queue_open(scene.client, "other", SHMC_MPMC_CONSUMER);
		shmt_assert_ok(shmt_queue_push(producer, 1, SHMC_TRY));
		shmt_assert_ok(shmc_unlink(scene.client, "other", NULL));
		shmt_assert_ok(shmt_queue_push(producer, 2, SHMC_TRY));
		shmt_assert_ok(shmt_queue_pop(consumer, &got, NULL, SHMC_TRY));
		shmc_mpmc_close(producer);
		shmt_assert_ok(shmt_queue_pop(consumer, &got, NULL, SHMC_TRY));
		shmc_mpmc_close(consumer);
	}
	ck_assert_uint_eq(shmt_descriptor_count(), own);
	shmt_broker_settle(&scene.broker, broker);
	scene_close(&scene);
}

SHMT_MAIN
