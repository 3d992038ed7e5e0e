/* broadcast with a process for each writer and reader, and a real broker; some die or stop. */
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/broadcast_client.h"
#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define MS_NS	     INT64_C(1000000)
#define OPTIONS(...) ((struct shmc_broadcast_options){ __VA_ARGS__ })

enum {
	PEERS_MAX = 80
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_broadcast *writer;
	struct shmc_broadcast *reader;
	size_t descriptors;
	/* of a peer, as it is forked */
	uint64_t own, count, size;
	struct shared {
		_Atomic uint64_t sent[PEERS_MAX];
		_Atomic bool stop;
	} * shared;
};

static struct scene scene_open(struct shmc_broadcast_options options)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.shared = mmap(NULL, sizeof(*scene.shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	scene.client = shmt_connect(&scene.broker);
	shmt_broadcast_create(scene.client, "news", options);
	return scene;
}

static void open_both(struct scene *scene)
{
	scene->writer = shmt_writer_open(scene->client, "news");
	scene->reader = shmt_reader_open(scene->client, "news", SHMC_BROADCAST_OLDEST, 0);
}

static void scene_close(struct scene *scene)
{
	shmc_broadcast_close(scene->writer);
	shmc_broadcast_close(scene->reader);
	shmc_disconnect(scene->client);
	munmap(scene->shared, sizeof(*scene->shared));
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

static struct shmt_peer start(struct scene *scene, shmt_peer_fn fn, uint64_t own)
{
	struct shmt_peer peer;

	scene->own = own;
	peer = shmt_peer_start(fn, scene);
	shmt_peer_await(&peer);
	return peer;
}

/* A message says whose it is and which. */
static uint64_t number_of(uint64_t own, uint64_t i)
{
	return own << 32 | i;
}

static void write_so_many(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_broadcast *writer = shmt_writer_open(client, "news");

	shmt_peer_tell(other);
	shmt_peer_await(other);
	for (uint64_t i = 0; i < scene->count; i++)
		shmt_assert_ok(shmt_broadcast_send(writer, number_of(scene->own, i),
						   8 + i * 13 % scene->size, SHMC_FOREVER));
	shmc_broadcast_close(writer);
	shmc_disconnect(client);
}

/* Everything of everybody, in each one's order. */
static void read_all(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_broadcast *reader = shmt_reader_open(client, "news", SHMC_BROADCAST_NEWEST, 0);
	uint64_t next[PEERS_MAX] = { 0 }, number;
	struct shmc_broadcast_message message;

	shmt_peer_tell(other);
	for (uint64_t i = 0; i < scene->own * scene->count; i++) {
		shmt_assert_ok(shmt_broadcast_receive(reader, &number, &message, SHMC_FOREVER));
		ck_assert_uint_eq(number & UINT32_MAX, next[number >> 32]++);
		ck_assert_uint_eq(message.flags, 0);
	}
	shmt_assert_result(shmt_broadcast_receive(reader, &number, NULL, SHMC_TRY), SHMC_EMPTY);
	shmc_broadcast_close(reader);
	shmc_disconnect(client);
}

static void everybody_gets_everything(uint32_t writers, uint32_t readers, uint64_t count,
				      struct shmc_broadcast_options options)
{
	struct scene scene = scene_open(options);
	struct shmt_peer peers[PEERS_MAX];

	scene.count = count;
	scene.size = 300;
	for (uint32_t i = 0; i < readers; i++)
		peers[i] = start(&scene, read_all, writers);
	for (uint32_t i = 0; i < writers; i++)
		peers[readers + i] = start(&scene, write_so_many, i);
	for (uint32_t i = 0; i < writers; i++)
		shmt_peer_tell(&peers[readers + i]);
	for (uint32_t i = 0; i < readers + writers; i++)
		shmt_peer_join(&peers[i]);
	scene_close(&scene);
}

TEST(five_writers_of_a_hundred_are_five_hundred_for_each_reader, .timeout_s = 60)
{
	everybody_gets_everything(5, 2, 100, OPTIONS(.capacity_bytes = 1 << 20));
}

TEST(a_blocking_ring_loses_nothing_to_a_slow_reader, .timeout_s = 60)
{
	everybody_gets_everything(3, 3, 2000,
				  OPTIONS(.capacity_bytes = 4096, .policy = SHMC_BROADCAST_BLOCK));
}

TEST(an_exclusive_writer_reaches_all, .timeout_s = 60)
{
	everybody_gets_everything(
		1, 4, 3000,
		OPTIONS(.capacity_bytes = 4096, .policy = SHMC_BROADCAST_BLOCK, .exclusive = 1));
}

TEST(seventy_readers_each_get_everything, .timeout_s = 60)
{
	everybody_gets_everything(
		2, 70, 50,
		OPTIONS(.capacity_bytes = 4096, .policy = SHMC_BROADCAST_BLOCK, .readers_max = 70));
}

/* Overwrite */

static void write_until_stopped(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_broadcast *writer = shmt_writer_open(client, "news");
	uint64_t i;

	shmt_peer_tell(other);
	for (i = 0; !atomic_load(&scene->shared->stop); i++) {
		shmt_assert_ok(shmt_broadcast_send(writer, number_of(scene->own, i),
						   8 + i * 13 % scene->size, SHMC_FOREVER));
		atomic_store(&scene->shared->sent[scene->own], i + 1);
	}
	shmc_broadcast_close(writer);
	shmc_disconnect(client);
}

/* What was lost of each writer is exactly what is missing, and what comes is whole. */
TEST(a_lapped_reader_loses_exactly_what_it_is_told, .timeout_s = 60)
{
	enum {
		WRITERS = 3
	};
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 4096));
	uint64_t next[WRITERS] = { 0 }, lost[WRITERS] = { 0 }, number, told[WRITERS];
	uint32_t place[WRITERS] = { UINT32_MAX, UINT32_MAX, UINT32_MAX }, seen = 0;
	struct shmc_broadcast_message message;
	struct shmt_peer peers[WRITERS];
	enum shmc_result result;

	open_both(&scene);
	scene.writer = shmc_broadcast_close(scene.writer);
	scene.size = 500;
	for (uint32_t i = 0; i < WRITERS; i++)
		peers[i] = start(&scene, write_until_stopped, i);
	for (uint64_t read = 0;; read++) {
		if (read >= 3000 && seen == WRITERS)
			atomic_store(&scene.shared->stop, true);
		result = shmt_broadcast_receive(scene.reader, &number, &message, 1000 * MS_NS);
		if (result == SHMC_TIMEOUT && atomic_load(&scene.shared->stop))
			break;
		shmt_assert_ok(result);
		ck_assert_uint_eq(number & UINT32_MAX, next[number >> 32] + message.lost);
		next[number >> 32] = (number & UINT32_MAX) + 1;
		seen += place[number >> 32] == UINT32_MAX;
		place[number >> 32] = message.writer;
		lost[number >> 32] += message.lost;
		/* each in turn, or those that do not run just now would never be seen */
		if (!atomic_load(&scene.shared->stop) && read % 50 == 49) {
			_Atomic uint64_t *sent = &scene.shared->sent[read / 50 % WRITERS];
			uint64_t before = atomic_load(sent);

			while (atomic_load(sent) < before + 100)
				;
		}
	}
	for (uint32_t i = 0; i < WRITERS; i++)
		shmt_peer_join(&peers[i]);
	ck_assert_uint_gt(lost[0] + lost[1] + lost[2], 0);
	/* the last of one writer may all have been overwritten by the others' */
	shmt_assert_ok(shmc_broadcast_lost(scene.reader, told, WRITERS));
	for (uint32_t i = 0; i < WRITERS; i++) {
		ck_assert_uint_lt(place[i], WRITERS);
		ck_assert_uint_ge(told[place[i]], lost[i]);
		ck_assert_uint_eq(next[i] + told[place[i]] - lost[i],
				  atomic_load(&scene.shared->sent[i]));
	}
	scene_close(&scene);
}

TEST(a_stopped_reader_holds_no_writer_that_overwrites, .timeout_s = 60)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 4096));
	struct shmt_peer peer;

	scene.count = 1 << 20; /* more than come */
	peer = start(&scene, read_all, 1);
	ck_assert_int_eq(kill(peer.pid, SIGSTOP), 0);
	open_both(&scene);
	for (uint64_t i = 0; i < 5000; i++)
		shmt_assert_ok(shmt_broadcast_send(scene.writer, i, 100, SHMC_TRY));
	shmt_peer_kill(&peer);
	scene_close(&scene);
}

/* Waiting and dying */

static void read_and_stay(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;

	shmt_reader_open(shmt_connect(&scene->broker), "news", SHMC_BROADCAST_NEWEST, 0);
	shmt_peer_tell(other);
	shmt_peer_hang();
}

TEST(a_reader_that_is_killed_or_leaves_lets_a_waiting_writer_go, .timeout_s = 60)
{
	struct scene scene =
		scene_open(OPTIONS(.capacity_bytes = 4096, .policy = SHMC_BROADCAST_BLOCK));
	struct shmc_broadcast *reader;
	uint64_t sent = 0;

	open_both(&scene);
	scene.reader = shmc_broadcast_close(scene.reader);
	for (int i = 0; i < 5; i++) {
		struct shmt_peer peer = start(&scene, read_and_stay, 0);

		while (shmt_broadcast_send(scene.writer, sent, 500, SHMC_TRY) == SHMC_OK)
			sent++;
		shmt_peer_kill_soon(&peer);
		shmt_assert_ok(shmt_broadcast_send(scene.writer, sent, 500, SHMC_FOREVER));
		shmt_peer_reap(&peer);
		reader = shmt_reader_open(scene.client, "news", SHMC_BROADCAST_NEWEST, 0);
		while (shmt_broadcast_send(scene.writer, sent, 500, SHMC_TRY) == SHMC_OK)
			sent++;
		shmc_broadcast_close(reader);
		shmt_assert_ok(shmt_broadcast_send(scene.writer, sent, 500, SHMC_TRY));
	}
	scene_close(&scene);
}

static void reserve_and_stay(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_broadcast *writer = shmt_writer_open(shmt_connect(&scene->broker), "news");
	void *room;

	shmt_assert_ok(shmt_broadcast_send(writer, scene->own, 8, SHMC_FOREVER));
	shmt_assert_ok(shmc_broadcast_reserve(writer, 500, SHMC_FOREVER, &room));
	shmt_peer_tell(other);
	shmt_peer_hang();
}

TEST(a_killed_writer_s_successor_goes_on_and_readers_see_no_gap, .timeout_s = 60)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 4096, .exclusive = 1));
	struct shmc_broadcast_message message;
	uint64_t number;

	scene.reader = shmt_reader_open(scene.client, "news", SHMC_BROADCAST_OLDEST, 0);
	for (uint64_t i = 0; i < 20; i++) {
		struct shmt_peer peer = start(&scene, reserve_and_stay, i);

		shmt_assert_ok(
			shmt_broadcast_receive(scene.reader, &number, &message, SHMC_FOREVER));
		ck_assert_uint_eq(number, i);
		ck_assert_uint_eq(message.sequence, i);
		ck_assert_uint_eq(message.flags, 0);
		shmt_peer_kill(&peer);
	}
	scene_close(&scene);
}

TEST(writers_killed_anywhere_hold_up_nobody, .timeout_s = 60)
{
	enum {
		WRITERS = 3,
		ROUNDS = 25
	};
	struct scene scene =
		scene_open(OPTIONS(.capacity_bytes = 8192, .policy = SHMC_BROADCAST_BLOCK));
	uint64_t next[WRITERS], number, got = 0;
	struct shmc_broadcast_message message;
	struct shmt_random random = { 7 };
	struct shmt_peer peers[WRITERS];

	open_both(&scene);
	scene.size = 200;
	for (uint32_t i = 0; i < WRITERS; i++)
		peers[i] = start(&scene, write_until_stopped, i);
	memset(next, 0, sizeof(next));
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t until = got + shmt_random_next(&random) % 300;
		uint32_t victim = (uint32_t)(shmt_random_next(&random) % WRITERS);

		for (; got < until; got++) {
			shmt_assert_ok(shmt_broadcast_receive(scene.reader, &number, &message,
							      SHMC_FOREVER));
			ck_assert_uint_eq(message.lost, 0);
			/* one who comes after a killed one begins anew */
			if ((number & UINT32_MAX) != 0)
				ck_assert_uint_eq(number & UINT32_MAX, next[number >> 32]);
			next[number >> 32] = (number & UINT32_MAX) + 1;
		}
		shmt_peer_kill(&peers[victim]);
		peers[victim] = start(&scene, write_until_stopped, victim);
	}
	atomic_store(&scene.shared->stop, true);
	while (shmt_broadcast_receive(scene.reader, &number, &message, 1000 * MS_NS) == SHMC_OK)
		;
	for (uint32_t i = 0; i < WRITERS; i++)
		shmt_peer_join(&peers[i]);
	shmt_assert_ok(shmt_broadcast_send(scene.writer, 1, 8, SHMC_TRY));
	scene_close(&scene);
}

static void read_slowly_asleep(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_broadcast *reader = shmt_reader_open(shmt_connect(&scene->broker), "news",
							 SHMC_BROADCAST_NEWEST, 0);
	uint64_t number;

	shmt_peer_tell(other);
	for (uint64_t i = 0; i < scene->count; i++) {
		shmt_assert_ok(shmt_broadcast_receive(reader, &number, NULL, SHMC_FOREVER));
		ck_assert_uint_eq(number, i);
	}
	shmt_peer_tell(other);
	shmt_peer_hang();
}

TEST(sleeping_readers_are_all_woken, .timeout_s = 60)
{
	enum {
		READERS = 3
	};
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 4096));
	struct shmt_peer peers[READERS];

	scene.writer = shmt_writer_open(scene.client, "news");
	scene.count = 5;
	for (int i = 0; i < READERS; i++)
		peers[i] = start(&scene, read_slowly_asleep, 0);
	for (uint64_t i = 0; i < scene.count; i++) {
		shmt_broadcast_await_sleeps(scene.writer, SHMC_BROADCAST_READER, READERS * (i + 1));
		shmt_assert_ok(shmt_broadcast_send(scene.writer, i, 8, SHMC_TRY));
	}
	for (int i = 0; i < READERS; i++) {
		shmt_peer_await(&peers[i]);
		shmt_peer_kill(&peers[i]);
	}
	scene_close(&scene);
}

SHMT_MAIN
