/* mpmc with checksums, through the library and a real broker: damaged messages are told of, skipped. */
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/mpmc_client.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

enum {
	BYTES = 100
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_mpmc *producer;
	struct shmc_mpmc *consumer;
	size_t descriptors;
};

static struct scene scene_open(uint64_t slots)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.client = shmt_connect(&scene.broker);
	shmt_queue_create(scene.client, "queue",
			  (struct shmc_mpmc_options){
				  .slots = slots, .message_bytes_max = BYTES, .checksum = 1 });
	scene.producer = shmt_queue_open(scene.client, "queue", SHMC_MPMC_PRODUCER);
	scene.consumer = shmt_queue_open(scene.client, "queue", SHMC_MPMC_CONSUMER);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_mpmc_close(scene->producer);
	shmc_mpmc_close(scene->consumer);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

/* Changes the next message behind its producer's back, as another process that may write could. */
static void damage_next(struct scene *scene)
{
	struct shmc_mpmc *vandal = shmt_queue_open(scene->client, "queue", SHMC_MPMC_CONSUMER);
	struct shmc_message message;

	shmt_assert_ok(shmc_mpmc_peek(vandal, SHMC_TRY, &message));
	*(uint8_t *)message.data ^= 4;
	shmc_mpmc_close(vandal); /* unreleased: it goes to another */
}

TEST(messages_of_all_sizes_come_through_by_every_call)
{
	struct scene scene = scene_open(8);
	uint8_t data[BYTES], got[BYTES];
	struct shmc_message message;
	struct shmc_mpmc_options options;
	void *room;

	shmt_assert_ok(shmc_mpmc_options_of(scene.producer, &options));
	ck_assert_uint_eq(options.checksum, 1);
	for (uint64_t size = 0; size <= BYTES; size++) {
		memset(data, (int)size + 1, sizeof(data));
		shmt_assert_ok(shmc_mpmc_push(scene.producer, data, size, SHMC_FOREVER));
		shmt_assert_ok(shmc_mpmc_try_push(scene.producer, data, size));
		shmt_assert_ok(shmc_mpmc_reserve(scene.producer, BYTES, SHMC_TRY, &room));
		shmt_assert_result(shmc_mpmc_try_push(scene.producer, data, size), SHMC_INVALID);
		memcpy(room, data, size);
		shmt_assert_ok(shmc_mpmc_commit(scene.producer, size));
		shmt_assert_result(shmc_mpmc_commit(scene.producer, size), SHMC_INVALID);
		shmt_assert_ok(shmc_mpmc_pop(scene.consumer, got, sizeof(got), SHMC_TRY, &message));
		ck_assert(message.size == size && memcmp(got, data, size) == 0);
		shmt_assert_ok(shmc_mpmc_peek(scene.consumer, SHMC_TRY, &message));
		ck_assert(message.size == size && memcmp(message.data, data, size) == 0);
		shmt_assert_ok(shmc_mpmc_release(scene.consumer));
		shmt_assert_ok(shmc_mpmc_try_pop(scene.consumer, got, sizeof(got), &message));
		ck_assert(message.size == size && memcmp(got, data, size) == 0);
		shmt_assert_result(shmc_mpmc_try_pop(scene.consumer, got, sizeof(got), &message),
				   SHMC_EMPTY);
	}
	scene_close(&scene);
}

TEST(a_damaged_message_is_told_of_and_skipped)
{
	struct scene scene = scene_open(2);
	struct shmc_message message;
	uint64_t got = 0;

	for (uint64_t i = 0; i < 20; i += 2) {
		shmt_assert_ok(shmt_queue_push(scene.producer, i, SHMC_TRY));
		shmt_assert_ok(shmt_queue_push(scene.producer, i + 1, SHMC_TRY));
		damage_next(&scene);
		/* what went back comes by itself, when it is looked for */
		if (i % 4 == 0)
			shmt_assert_result(shmt_queue_pop(scene.consumer, &got, NULL, SHMC_FOREVER),
					   SHMC_DAMAGED);
		else
			shmt_assert_result(shmc_mpmc_peek(scene.consumer, SHMC_TRY, &message),
					   SHMC_DAMAGED);
		shmt_assert_ok(shmt_queue_pop(scene.consumer, &got, NULL, SHMC_TRY));
		ck_assert_uint_eq(got, i + 1);
		shmt_assert_result(shmt_queue_pop(scene.consumer, &got, NULL, SHMC_TRY),
				   SHMC_EMPTY);
	}
	scene_close(&scene);
}

TEST(batches_keep_what_is_good_and_tell_of_what_is_not)
{
	struct scene scene = scene_open(8);
	struct shmc_message messages[4];
	struct shmc_bytes batch[3] = { { "one", 3 }, { "two", 3 }, { "three", 5 } };
	uint8_t buffer[64];
	uint64_t count = 0;

	shmt_assert_ok(shmc_mpmc_push_batch(scene.producer, batch, 3, SHMC_TRY, &count));
	ck_assert_uint_eq(count, 3);
	damage_next(&scene);
	shmt_assert_result(shmc_mpmc_pop_batch(scene.consumer, buffer, sizeof(buffer), messages, 4,
					       SHMC_TRY, &count),
			   SHMC_DAMAGED);
	for (int i = 1; i < 3; i++) {
		shmt_assert_ok(shmc_mpmc_pop_batch(scene.consumer, buffer, sizeof(buffer), messages,
						   4, SHMC_TRY, &count));
		ck_assert_uint_eq(count, 1);
		ck_assert(memcmp(buffer, batch[i].data, batch[i].size) == 0);
	}
	scene_close(&scene);
}

static void pop_all(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_mpmc *queue = shmt_queue_open(client, "queue", SHMC_MPMC_CONSUMER);
	uint64_t got;

	shmt_peer_tell(other);
	for (uint64_t i = 0; i < 10000; i++) {
		shmt_assert_ok(shmt_queue_pop(queue, &got, NULL, SHMC_FOREVER));
		ck_assert_uint_eq(got, i);
	}
	shmc_mpmc_close(queue);
	shmc_disconnect(client);
}

TEST(two_processes_wait_for_each_other_as_without)
{
	struct scene scene = scene_open(4);
	struct shmt_peer peer = shmt_peer_start(pop_all, &scene);

	shmt_peer_await(&peer);
	for (uint64_t i = 0; i < 10000; i++)
		shmt_assert_ok(shmt_queue_push(scene.producer, i, SHMC_FOREVER));
	shmt_peer_join(&peer);
	scene_close(&scene);
}

SHMT_MAIN
