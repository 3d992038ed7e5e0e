/* spsc with checksums, through the library and a real broker: damaged messages are told of, skipped. */
#include <poll.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

enum {
	BYTES = 700
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_spsc *producer;
	struct shmc_spsc *consumer;
	size_t descriptors;
};

static void create(struct shmc_client *client)
{
	struct shmc_spsc_options options = { .capacity_bytes = 4096, .checksum = 1 };

	shmt_assert_ok(shmc_spsc_create(client, "queue", &options, NULL));
}

static struct scene scene_open(void)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.client = shmt_connect(&scene.broker);
	create(scene.client);
	scene.producer = shmt_open(scene.client, "queue", SHMC_SPSC_PRODUCER);
	scene.consumer = shmt_open(scene.client, "queue", SHMC_SPSC_CONSUMER);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_spsc_close(scene->producer);
	shmc_spsc_close(scene->consumer);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

/* Sends @data and changes a byte of it behind: the producer's mapping may be written. */
static void push_damaged(struct scene *scene, const void *data, uint64_t size)
{
	void *room;

	shmt_assert_ok(shmc_spsc_reserve(scene->producer, size, SHMC_TRY, &room));
	memcpy(room, data, size);
	shmt_assert_ok(shmc_spsc_commit(scene->producer, size));
	((uint8_t *)room)[size / 2] ^= 4;
}

TEST(messages_of_all_sizes_come_through_by_every_call)
{
	struct scene scene = scene_open();
	uint8_t data[BYTES], got[BYTES];
	struct shmc_spsc_options options;
	struct shmc_message message;
	void *room;

	shmt_assert_ok(shmc_spsc_options_of(scene.producer, &options));
	ck_assert_uint_eq(options.checksum, 1);
	for (uint64_t size = 0; size <= BYTES; size++) {
		memset(data, (int)size + 1, sizeof(data));
		shmt_assert_ok(shmc_spsc_push(scene.producer, data, size, SHMC_FOREVER));
		shmt_assert_ok(shmc_spsc_try_push(scene.producer, data, size));
		shmt_assert_ok(shmc_spsc_reserve(scene.producer, BYTES, SHMC_TRY, &room));
		shmt_assert_result(shmc_spsc_try_push(scene.producer, data, size), SHMC_INVALID);
		shmt_assert_result(shmc_spsc_commit(scene.producer, BYTES + 1), SHMC_INVALID);
		memcpy(room, data, size);
		shmt_assert_ok(shmc_spsc_commit(scene.producer, size));
		shmt_assert_result(shmc_spsc_commit(scene.producer, size), SHMC_INVALID);
		shmt_assert_result(shmc_spsc_abort(scene.producer), SHMC_INVALID);
		shmt_assert_ok(shmc_spsc_pop(scene.consumer, got, sizeof(got), SHMC_TRY, &message));
		ck_assert(message.size == size && memcmp(got, data, size) == 0);
		shmt_assert_ok(shmc_spsc_peek(scene.consumer, SHMC_TRY, &message));
		ck_assert(message.size == size && memcmp(message.data, data, size) == 0);
		shmt_assert_result(shmc_spsc_try_pop(scene.consumer, got, sizeof(got), &message),
				   SHMC_INVALID);
		shmt_assert_ok(shmc_spsc_release(scene.consumer, 1));
		if (size > 0)
			shmt_assert_result(
				shmc_spsc_try_pop(scene.consumer, got, size - 1, &message),
				SHMC_TOO_BIG);
		shmt_assert_ok(shmc_spsc_try_pop(scene.consumer, got, sizeof(got), &message));
		ck_assert(message.size == size && memcmp(got, data, size) == 0);
		shmt_assert_result(shmc_spsc_try_pop(scene.consumer, got, sizeof(got), &message),
				   SHMC_EMPTY);
	}
	shmt_assert_ok(shmc_spsc_reserve(scene.producer, BYTES, SHMC_TRY, &room));
	shmt_assert_ok(shmc_spsc_abort(scene.producer));
	shmt_assert_result(shmc_spsc_try_pop(scene.consumer, got, sizeof(got), &message),
			   SHMC_EMPTY);
	scene_close(&scene);
}

TEST(a_damaged_message_is_told_of_and_skipped)
{
	struct scene scene = scene_open();
	struct shmc_message messages[4];
	uint8_t got[BYTES];
	uint64_t count;

	for (int i = 0; i < 40; i++) {
		push_damaged(&scene, "damaged", 7);
		shmt_assert_ok(shmc_spsc_try_push(scene.producer, "whole", 5));
		if (i % 4 == 0)
			shmt_assert_result(shmc_spsc_pop(scene.consumer, got, sizeof(got),
							 SHMC_FOREVER, messages),
					   SHMC_DAMAGED);
		else if (i % 4 == 1)
			shmt_assert_result(
				shmc_spsc_try_pop(scene.consumer, got, sizeof(got), messages),
				SHMC_DAMAGED);
		else
			shmt_assert_result(
				shmc_spsc_peek_batch(scene.consumer, messages, 4,
						     i % 4 == 2 ? SHMC_TRY : SHMC_FOREVER, &count),
				SHMC_DAMAGED);
		shmt_assert_ok(shmc_spsc_try_pop(scene.consumer, got, sizeof(got), messages));
		ck_assert(messages[0].size == 5 && memcmp(got, "whole", 5) == 0);
		shmt_assert_result(shmc_spsc_try_pop(scene.consumer, got, sizeof(got), messages),
				   SHMC_EMPTY);
	}
	scene_close(&scene);
}

TEST(batches_keep_what_is_good_and_tell_of_what_is_not)
{
	struct scene scene = scene_open();
	struct shmc_message messages[4];
	struct shmc_bytes batch[3] = { { "one", 3 }, { "two", 3 }, { "three", 5 } };
	uint64_t count = 0;

	shmt_assert_ok(shmc_spsc_push_batch(scene.producer, batch, 3, SHMC_TRY, &count));
	ck_assert_uint_eq(count, 3);
	push_damaged(&scene, "four", 4);
	shmt_assert_ok(shmc_spsc_peek_batch(scene.consumer, messages, 4, SHMC_TRY, &count));
	ck_assert_uint_eq(count, 3);
	for (int i = 0; i < 3; i++)
		ck_assert(messages[i].size == batch[i].size &&
			  memcmp(messages[i].data, batch[i].data, batch[i].size) == 0);
	shmt_assert_ok(shmc_spsc_release(scene.consumer, 3));
	shmt_assert_result(shmc_spsc_peek_batch(scene.consumer, messages, 4, SHMC_TRY, &count),
			   SHMC_DAMAGED);
	shmt_assert_result(shmc_spsc_peek_batch(scene.consumer, messages, 4, SHMC_TRY, &count),
			   SHMC_EMPTY);
	scene_close(&scene);
}

TEST(room_of_a_skipped_message_is_given_back_to_who_waits)
{
	struct scene scene = scene_open();
	static const uint8_t large[3000];
	struct shmc_message message;
	uint8_t got[3000];

	for (int i = 0; i < 50; i++) {
		push_damaged(&scene, large, sizeof(large));
		shmt_assert_result(shmc_spsc_try_push(scene.producer, large, sizeof(large)),
				   SHMC_FULL);
		shmt_assert_result(shmc_spsc_try_pop(scene.consumer, got, sizeof(got), &message),
				   SHMC_DAMAGED);
		shmt_assert_ok(shmc_spsc_try_push(scene.producer, large, sizeof(large)));
		shmt_assert_ok(shmc_spsc_try_pop(scene.consumer, got, sizeof(got), &message));
	}
	scene_close(&scene);
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

TEST(a_descriptor_works_as_without)
{
	struct scene scene = scene_open();
	struct shmc_message message;
	uint8_t got[16];
	int fd;

	shmt_assert_ok(shmc_spsc_fd(scene.consumer, &fd, NULL));
	for (int i = 0; i < 20; i++) {
		shmt_assert_result(shmc_spsc_try_pop(scene.consumer, got, sizeof(got), &message),
				   SHMC_EMPTY);
		ck_assert(!is_readable(fd, 0));
		push_damaged(&scene, "damaged", 7);
		shmt_assert_ok(shmc_spsc_try_push(scene.producer, "whole", 5));
		ck_assert(is_readable(fd, 10000));
		shmt_assert_result(shmc_spsc_try_pop(scene.consumer, got, sizeof(got), &message),
				   SHMC_DAMAGED);
		ck_assert(is_readable(fd, 0));
		shmt_assert_ok(shmc_spsc_try_pop(scene.consumer, got, sizeof(got), &message));
	}
	scene_close(&scene);
}

static void pop_all(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);

	shmt_peer_tell(other);
	for (uint64_t i = 0; i < 20000; i++)
		shmt_assert_ok(shmt_pop_numbered(queue, i, BYTES, SHMC_FOREVER, NULL));
	shmc_spsc_close(queue);
	shmc_disconnect(client);
}

TEST(two_processes_wait_for_each_other_as_without, .timeout_s = 60)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };
	struct shmt_peer peer;

	scene.client = shmt_connect(&scene.broker);
	create(scene.client);
	peer = shmt_peer_start(pop_all, &scene);
	scene.producer = shmt_open(scene.client, "queue", SHMC_SPSC_PRODUCER);
	shmt_peer_await(&peer);
	for (uint64_t i = 0; i < 20000; i++)
		shmt_assert_ok(shmt_push_numbered(scene.producer, i, BYTES, SHMC_FOREVER));
	shmt_peer_join(&peer);
	shmc_spsc_close(scene.producer);
	shmc_disconnect(scene.client);
	shmt_broker_stop(&scene.broker);
}

TEST(who_does_not_know_of_them_is_told_the_other_options)
{
	struct scene scene = scene_open();
	struct shmc_spsc_options options = { .capacity_bytes = 4096, .reuse = 1 };
	struct shmc_error error;

	shmt_assert_result(shmc_spsc_create(scene.client, "queue", &options, &error),
			   SHMC_MISMATCH);
	shmt_assert_says(&error, "checksum");
	options = (struct shmc_spsc_options){ .capacity_bytes = UINT64_C(1) << 32, .checksum = 1 };
	shmt_assert_result(shmc_spsc_create(scene.client, "large", &options, &error), SHMC_INVALID);
	shmt_assert_says(&error, "message_bytes_max");
	shmt_assert_says(&error, "2^31");
	scene_close(&scene);
}

SHMT_MAIN
