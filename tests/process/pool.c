/* Pools through the library and a real broker: handles through a queue, deaths, waiting. */
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/mpmc_client.h"
#include "tests/support/peer.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define MS_NS INT64_C(1000000)

enum {
	PEERS = 8,
	ROUNDS = 10000,
	DEATHS = 20
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_pool *pool;
	size_t descriptors, brokers;
};

static struct shmc_pool *open_pool(struct shmc_client *client, enum shmc_pool_role role)
{
	struct shmc_error error = { .text = "" };
	struct shmc_pool *pool = NULL;

	ck_assert_msg(shmc_pool_open(client, "pool", role, NULL, &pool, &error) == SHMC_OK, "%s",
		      error.text);
	return pool;
}

static void create(struct shmc_client *client, uint64_t object_bytes, uint64_t objects)
{
	struct shmc_pool_options options = { .object_bytes = object_bytes, .objects = objects };
	struct shmc_error error = { .text = "" };

	ck_assert_msg(shmc_pool_create(client, "pool", &options, &error) == SHMC_OK, "%s",
		      error.text);
}

static struct scene scene_open(uint64_t object_bytes, uint64_t objects)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.brokers = shmt_broker_descriptors(&scene.broker);
	scene.client = shmt_connect(&scene.broker);
	create(scene.client, object_bytes, objects);
	scene.pool = open_pool(scene.client, SHMC_POOL_USER);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_pool_close(scene->pool);
	shmt_assert_ok(shmc_unlink(scene->client, "pool", NULL));
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_settle(&scene->broker, scene->brokers);
	shmt_broker_stop(&scene->broker);
}

static uint64_t acquire(struct shmc_pool *pool)
{
	uint64_t handle;

	shmt_assert_ok(shmc_pool_acquire(pool, SHMC_TRY, &handle, NULL));
	return handle;
}

static struct shmc_pool_statistics statistics(const struct shmc_pool *pool)
{
	struct shmc_pool_statistics got;

	shmt_assert_ok(shmc_pool_statistics(pool, &got));
	return got;
}

TEST(handles_are_unique_until_none_is_left)
{
	struct scene scene = scene_open(100, 20);
	uint64_t handles[20], handle;
	void *data[20];

	for (int i = 0; i < 20; i++) {
		shmt_assert_ok(shmc_pool_acquire(scene.pool, SHMC_TRY, &handles[i], &data[i]));
		memset(data[i], i, 100);
		for (int k = 0; k < i; k++)
			ck_assert(handles[k] != handles[i] && data[k] != data[i]);
		ck_assert_ptr_eq(shmc_pool_data(scene.pool, handles[i]), data[i]);
	}
	shmt_assert_result(shmc_pool_acquire(scene.pool, SHMC_TRY, &handle, NULL), SHMC_EMPTY);
	shmt_assert_result(shmc_pool_acquire(scene.pool, 10 * MS_NS, &handle, NULL), SHMC_TIMEOUT);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(((const uint8_t *)data[i])[99], i);
	shmt_assert_ok(shmc_pool_release_batch(scene.pool, handles, 20, NULL));
	ck_assert_uint_eq(statistics(scene.pool).free, 20);
	ck_assert_uint_eq(statistics(scene.pool).refused, 2);
	scene_close(&scene);
}

TEST(batches_come_in_part_and_stop_at_what_is_wrong)
{
	struct scene scene = scene_open(8, 3);
	uint64_t handles[10], count;

	shmt_assert_ok(shmc_pool_acquire_batch(scene.pool, 10, SHMC_TRY, handles, &count));
	ck_assert_uint_eq(count, 3);
	shmt_assert_result(shmc_pool_acquire_batch(scene.pool, 1, SHMC_TRY, &handles[3], &count),
			   SHMC_EMPTY);
	shmt_assert_ok(shmc_pool_release(scene.pool, handles[1]));
	shmt_assert_result(shmc_pool_release_batch(scene.pool, handles, 3, &count), SHMC_STALE);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(statistics(scene.pool).owned, 1);
	scene_close(&scene);
}

TEST(stale_handles_second_releases_and_strangers_are_refused)
{
	struct scene scene = scene_open(8, 3);
	struct shmc_pool *other = open_pool(scene.client, SHMC_POOL_USER);
	struct shmc_pool *observer = open_pool(scene.client, SHMC_POOL_OBSERVER);
	uint64_t handle = acquire(scene.pool);
	void *data;

	ck_assert_ptr_null(shmc_pool_data(other, handle));
	shmt_assert_result(shmc_pool_release(other, handle), SHMC_DENIED);
	shmt_assert_result(shmc_pool_claim(other, handle, &data), SHMC_DENIED);
	shmt_assert_result(shmc_pool_reclaim(other, handle), SHMC_DENIED);
	shmt_assert_result(shmc_pool_release(observer, handle), SHMC_INVALID);
	shmt_assert_result(shmc_pool_acquire(observer, SHMC_FOREVER, &handle, &data), SHMC_INVALID);
	ck_assert_uint_eq(shmc_pool_endpoint(observer), SHMC_POOL_ANYONE);
	shmt_assert_ok(shmc_pool_release(scene.pool, handle));
	shmt_assert_result(shmc_pool_release(scene.pool, handle), SHMC_STALE);
	shmt_assert_result(shmc_pool_transfer(scene.pool, handle, SHMC_POOL_ANYONE), SHMC_STALE);
	ck_assert_ptr_null(shmc_pool_data(scene.pool, handle));
	shmt_assert_result(shmc_pool_release(scene.pool, 0), SHMC_INVALID);
	shmt_assert_result(shmc_pool_release(scene.pool, UINT64_MAX), SHMC_INVALID);
	shmc_pool_close(other);
	shmc_pool_close(observer);
	scene_close(&scene);
}

TEST(one_of_another_size_or_count_is_not_opened)
{
	struct scene scene = scene_open(100, 3);
	struct shmc_pool_options expected = { .object_bytes = 100, .objects = 3 };
	struct shmc_pool *pool;
	struct shmc_error error;

	shmt_assert_ok(
		shmc_pool_open(scene.client, "pool", SHMC_POOL_USER, &expected, &pool, &error));
	shmt_assert_ok(shmc_pool_options_of(pool, &expected));
	ck_assert_uint_eq(expected.endpoints_max, 64);
	shmc_pool_close(pool);
	expected.objects = 4;
	shmt_assert_result(
		shmc_pool_open(scene.client, "pool", SHMC_POOL_USER, &expected, &pool, &error),
		SHMC_MISMATCH);
	shmt_assert_says(&error, "pool: its objects is 3, not 4");
	expected = (struct shmc_pool_options){ .objects = (1 << 20) + 1 };
	shmt_assert_result(shmc_pool_create(scene.client, "large", &expected, &error),
			   SHMC_TOO_BIG);
	shmt_assert_says(&error, "objects");
	scene_close(&scene);
}

TEST(what_was_handed_to_one_who_left_is_free_and_what_to_nobody_is_kept)
{
	struct scene scene = scene_open(8, 4);
	struct shmc_pool *other = open_pool(scene.client, SHMC_POOL_USER);
	uint32_t to = shmc_pool_endpoint(other);
	uint64_t sent = acquire(scene.pool), kept = acquire(scene.pool);

	shmt_assert_ok(shmc_pool_transfer(scene.pool, sent, to));
	ck_assert_uint_eq(statistics(scene.pool).in_transit_to_one, 1);
	shmc_pool_close(other);
	ck_assert_uint_eq(statistics(scene.pool).in_transit_to_one, 0);
	ck_assert_uint_eq(statistics(scene.pool).returned, 1);
	shmt_assert_result(shmc_pool_transfer(scene.pool, kept, to), SHMC_CLOSED);
	shmt_assert_result(shmc_pool_transfer(scene.pool, kept, 64), SHMC_INVALID);
	ck_assert_ptr_nonnull(shmc_pool_data(scene.pool, kept));
	scene_close(&scene);
}

/* Waiting */

static void wait_for_one(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client = shmt_connect(broker);
	struct shmc_pool *pool = open_pool(client, SHMC_POOL_USER);
	uint64_t handle;

	shmt_peer_tell(test);
	shmt_assert_ok(shmc_pool_acquire(pool, SHMC_FOREVER, &handle, NULL));
	shmt_peer_tell(test);
	shmt_peer_hang();
}

static void await_sleeper(const struct shmc_pool *pool, uint64_t times)
{
	while (statistics(pool).waits < times)
		sched_yield();
}

TEST(who_waits_gets_what_is_released_and_what_the_dead_had)
{
	struct scene scene = scene_open(8, 1);
	struct shmt_peer peer[2];
	uint64_t handle = acquire(scene.pool);

	for (int i = 0; i < 2; i++) {
		peer[i] = shmt_peer_start(wait_for_one, &scene.broker);
		shmt_peer_await(&peer[i]);
		await_sleeper(scene.pool, (uint64_t)i + 1);
		if (i == 0)
			shmt_assert_ok(shmc_pool_release(scene.pool, handle));
		else
			shmt_peer_kill(&peer[0]);
		shmt_peer_await(&peer[i]);
	}
	shmt_peer_kill(&peer[1]);
	shmt_assert_ok(shmc_pool_acquire(scene.pool, SHMC_FOREVER, &handle, NULL));
	/* counted right behind the word that this one saw */
	while (statistics(scene.pool).returned != 2)
		sched_yield();
	scene_close(&scene);
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

TEST(its_descriptor_is_readable_when_something_became_free)
{
	struct scene scene = scene_open(8, 1);
	struct shmc_pool *other = open_pool(scene.client, SHMC_POOL_USER);
	uint64_t handle;
	int fd;

	shmt_assert_ok(shmc_pool_fd(other, &fd, NULL));
	for (int i = 0; i < 3; i++) {
		uint64_t held = acquire(scene.pool);

		shmt_assert_result(shmc_pool_acquire(other, SHMC_TRY, &handle, NULL), SHMC_EMPTY);
		ck_assert(!is_readable(fd, 0));
		shmt_assert_ok(shmc_pool_release(scene.pool, held));
		ck_assert(is_readable(fd, 5000));
		shmt_assert_ok(shmc_pool_acquire(other, SHMC_TRY, &handle, NULL));
		shmt_assert_ok(shmc_pool_release(other, handle));
	}
	shmc_pool_close(other);
	scene_close(&scene);
}

/* Many processes */

static void use_a_lot(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmt_random random;
	struct shmc_client *client;
	struct shmc_pool *pool;
	uint64_t handles[20], count = 0, index;

	shmt_peer_receive(test, &random, sizeof(random));
	client = shmt_connect(broker);
	pool = open_pool(client, SHMC_POOL_USER);
	for (uint64_t i = 0; i < ROUNDS / shmt_scaled(1); i++) {
		uint64_t *data, handle;

		if (count < 20 && shmt_random_below(&random, 2) == 0) {
			if (shmc_pool_acquire(pool, SHMC_TRY, &handle, (void **)&data) != SHMC_OK)
				continue;
			data[0] = handle;
			data[7] = ~handle;
			handles[count++] = handle;
		} else if (count > 0) {
			index = shmt_random_below(&random, count);
			handle = handles[index];
			handles[index] = handles[--count];
			data = shmc_pool_data(pool, handle);
			if (!data || data[0] != handle || data[7] != ~handle)
				ck_abort_msg("another wrote into %lx", (unsigned long)handle);
			shmt_assert_ok(shmc_pool_release(pool, handle));
		}
	}
	shmt_assert_ok(shmc_pool_release_batch(pool, handles, count, NULL));
	shmc_pool_close(pool);
	shmc_disconnect(client);
}

TEST(eight_processes_leave_it_as_it_was, .timeout_s = 60)
{
	struct scene scene = scene_open(64, 100);
	struct shmt_peer peer[PEERS];
	uint64_t seed = shmt_seed();

	for (uint64_t i = 0; i < PEERS; i++) {
		struct shmt_random random = { seed + i };

		peer[i] = shmt_peer_start(use_a_lot, &scene.broker);
		shmt_peer_send(&peer[i], &random, sizeof(random));
	}
	for (int i = 0; i < PEERS; i++)
		shmt_peer_join(&peer[i]);
	ck_assert_uint_eq(statistics(scene.pool).free, 100);
	ck_assert_uint_eq(statistics(scene.pool).acquired, statistics(scene.pool).released);
	scene_close(&scene);
}

/* Handles through a queue: the receiver may be killed with any of them in hand. */
static void receive_until_killed(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_mpmc *queue;
	struct shmc_message message;
	struct shmc_pool *pool;
	uint64_t handle, *data;

	shmt_be_child();
	client = shmt_connect(broker);
	pool = open_pool(client, SHMC_POOL_USER);
	queue = shmt_queue_open(client, "queue", SHMC_MPMC_CONSUMER);
	shmt_peer_tell(test);
	for (;;) {
		if (shmc_mpmc_pop(queue, &handle, sizeof(handle), SHMC_FOREVER, &message) !=
		    SHMC_OK)
			_exit(1);
		/* STALE: it came again, and had been claimed by one who died */
		if (shmc_pool_claim(pool, handle, (void **)&data) != SHMC_OK)
			continue;
		if (data[0] != handle)
			_exit(2);
		shmc_pool_release(pool, handle);
	}
}

TEST(images_through_a_queue_survive_their_receivers, .timeout_s = 60)
{
	struct scene scene = scene_open(4096, 16);
	struct shmc_mpmc *queue;
	uint64_t handle, *data, count;

	shmt_queue_create(scene.client, "queue", (struct shmc_mpmc_options){ .slots = 32 });
	queue = shmt_queue_open(scene.client, "queue", SHMC_MPMC_PRODUCER);
	for (int i = 0; i < DEATHS; i++) {
		struct shmt_peer peer = shmt_peer_start(receive_until_killed, &scene.broker);

		shmt_peer_await(&peer);
		for (int k = 0; k < 50 * (i % 4 + 1); k++) {
			shmt_assert_ok(shmc_pool_acquire(scene.pool, SHMC_FOREVER, &handle,
							 (void **)&data));
			data[0] = handle;
			shmt_assert_ok(shmc_pool_transfer(scene.pool, handle, SHMC_POOL_ANYONE));
			shmt_assert_ok(
				shmc_mpmc_push(queue, &handle, sizeof(handle), SHMC_FOREVER));
		}
		shmt_peer_kill(&peer);
		/* what nobody had claimed is still on its way, and comes to the next */
		while (statistics(scene.pool).owned != 0)
			sched_yield();
	}
	scene.pool = shmc_pool_close(scene.pool);
	scene.pool = open_pool(scene.client, SHMC_POOL_USER);
	count = statistics(scene.pool).in_transit_to_anyone;
	shmt_assert_ok(shmc_pool_reclaim_abandoned(scene.pool, &handle));
	ck_assert_uint_eq(handle, count);
	ck_assert_uint_eq(statistics(scene.pool).free, 16);
	shmc_mpmc_close(queue);
	shmt_assert_ok(shmc_unlink(scene.client, "queue", NULL));
	scene_close(&scene);
}

TEST(counts_stay_when_it_is_opened_again)
{
	struct scene scene = scene_open(8, 10);

	for (int i = 0; i < 5; i++)
		shmt_assert_ok(shmc_pool_release(scene.pool, acquire(scene.pool)));
	acquire(scene.pool);
	shmc_pool_close(scene.pool);
	scene.pool = open_pool(scene.client, SHMC_POOL_USER);
	ck_assert_uint_eq(statistics(scene.pool).acquired, 6);
	ck_assert_uint_eq(statistics(scene.pool).released, 5);
	ck_assert_uint_eq(statistics(scene.pool).returned, 1);
	ck_assert_uint_eq(statistics(scene.pool).free, 10);
	scene_close(&scene);
}

TEST(a_handle_of_an_older_pool_is_adopted_once)
{
	struct scene scene = scene_open(8, 10);
	uint64_t handle = UINT64_C(5) << 32 | 3;
	void *data;

	shmt_assert_ok(shmc_pool_adopt(scene.pool, handle, &data));
	ck_assert_ptr_eq(data, shmc_pool_data(scene.pool, handle));
	shmt_assert_result(shmc_pool_adopt(scene.pool, handle, NULL), SHMC_DENIED);
	shmt_assert_ok(shmc_pool_release(scene.pool, handle));
	shmt_assert_result(shmc_pool_adopt(scene.pool, handle, NULL), SHMC_STALE);
	shmt_assert_result(shmc_pool_adopt(scene.pool, handle + 8, NULL), SHMC_INVALID);
	ck_assert_uint_eq(statistics(scene.pool).free, 10);
	scene_close(&scene);
}

TEST(a_forked_child_may_do_nothing)
{
	struct scene scene = scene_open(8, 10);
	uint64_t handle = acquire(scene.pool), other;
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		bool is_right = shmc_pool_acquire(scene.pool, SHMC_TRY, &other, NULL) ==
					SHMC_FORKED &&
				shmc_pool_release(scene.pool, handle) == SHMC_FORKED &&
				shmc_pool_claim(scene.pool, handle, NULL) == SHMC_FORKED &&
				shmc_pool_adopt(scene.pool, handle, NULL) == SHMC_FORKED &&
				shmc_pool_transfer(scene.pool, handle, 0) == SHMC_FORKED &&
				shmc_pool_data(scene.pool, handle) == NULL;

		_exit(is_right ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	shmt_assert_ok(shmc_pool_release(scene.pool, handle));
	scene_close(&scene);
}

SHMT_MAIN
