/* mpmc: what the living see of those who are killed or stopped, with a real broker. */
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/mpmc_client.h"
#include "tests/support/peer.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define MS_NS INT64_C(1000000)

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
	shmt_queue_create(scene.client, "queue", (struct shmc_mpmc_options){ .slots = slots });
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

static void reserve_and_stay(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_mpmc *queue = shmt_queue_open(shmt_connect(&scene->broker), "queue",
						  SHMC_MPMC_PRODUCER);
	void *room;

	shmt_assert_ok(shmc_mpmc_reserve(queue, 8, SHMC_FOREVER, &room));
	shmt_peer_tell(other);
	shmt_peer_hang();
}

static void peek_and_stay(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_mpmc *queue = shmt_queue_open(shmt_connect(&scene->broker), "queue",
						  SHMC_MPMC_CONSUMER);
	struct shmc_message message;

	shmt_assert_ok(shmc_mpmc_peek(queue, SHMC_FOREVER, &message));
	shmt_peer_tell(other);
	shmt_peer_hang();
}

static void expect_number(struct scene *scene, uint64_t number, uint32_t expected_flags)
{
	uint64_t got;
	uint32_t flags;

	shmt_assert_ok(shmt_queue_pop(scene->consumer, &got, &flags, SHMC_FOREVER));
	ck_assert_uint_eq(got, number);
	ck_assert_uint_eq(flags, expected_flags);
}

TEST(a_killed_producer_s_claim_holds_up_nobody_who_waits)
{
	struct scene scene = scene_open(4);

	for (uint64_t i = 0; i < 10; i++) {
		struct shmt_peer peer = shmt_peer_start(reserve_and_stay, &scene);

		shmt_peer_await(&peer);
		shmt_assert_ok(shmt_queue_push(scene.producer, i, SHMC_TRY));
		shmt_peer_kill_soon(&peer);
		expect_number(&scene, i, 0); /* waits for the repair */
		shmt_peer_reap(&peer);
	}
	ck_assert_uint_eq(shmt_queue_statistics(scene.consumer).tombstones, 10);
	scene_close(&scene);
}

TEST(a_message_in_a_killed_consumer_s_hands_wakes_another)
{
	struct scene scene = scene_open(4);

	for (uint64_t i = 0; i < 10; i++) {
		struct shmt_peer peer = shmt_peer_start(peek_and_stay, &scene);

		shmt_assert_ok(shmt_queue_push(scene.producer, i, SHMC_TRY));
		shmt_peer_await(&peer);
		shmt_peer_kill_soon(&peer);
		expect_number(&scene, i, SHMC_REDELIVERED);
		shmt_peer_reap(&peer);
	}
	scene_close(&scene);
}

TEST(room_held_by_a_killed_consumer_comes_back_to_who_waits_for_it)
{
	struct scene scene = scene_open(2);
	struct shmt_peer peer = shmt_peer_start(peek_and_stay, &scene);

	shmt_assert_ok(shmt_queue_push(scene.producer, 0, SHMC_TRY));
	shmt_peer_await(&peer);
	shmt_assert_ok(shmt_queue_push(scene.producer, 1, SHMC_TRY));
	expect_number(&scene, 1, 0);
	shmt_assert_result(shmt_queue_push(scene.producer, 2, SHMC_TRY), SHMC_FULL);
	shmt_peer_kill(&peer);
	expect_number(&scene, 0, SHMC_REDELIVERED);
	shmt_assert_ok(shmt_queue_push(scene.producer, 2, SHMC_FOREVER));
	expect_number(&scene, 2, 0);
	scene_close(&scene);
}

TEST(k_deaths_with_a_message_in_hand_are_at_most_k_repeats)
{
	struct scene scene = scene_open(2);

	shmt_assert_ok(shmt_queue_push(scene.producer, 5, SHMC_TRY));
	for (int i = 0; i < 6; i++) {
		struct shmt_peer peer = shmt_peer_start(peek_and_stay, &scene);

		shmt_peer_await(&peer);
		shmt_peer_kill(&peer);
	}
	expect_number(&scene, 5, SHMC_REDELIVERED);
	ck_assert_uint_eq(shmt_queue_statistics(scene.consumer).consumers.messages, 1);
	scene_close(&scene);
}

TEST(without_redelivery_what_died_with_its_consumer_is_dropped_and_counted)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };
	struct shmc_mpmc_options options;

	scene.client = shmt_connect(&scene.broker);
	shmt_queue_create(scene.client, "queue",
			  (struct shmc_mpmc_options){ .slots = 2, .no_redelivery = 1 });
	scene.producer = shmt_queue_open(scene.client, "queue", SHMC_MPMC_PRODUCER);
	scene.consumer = shmt_queue_open(scene.client, "queue", SHMC_MPMC_CONSUMER);
	shmt_assert_ok(shmc_mpmc_options_of(scene.producer, &options));
	ck_assert_uint_eq(options.no_redelivery, 1);
	for (uint64_t i = 0; i < 10; i++) {
		struct shmt_peer peer = shmt_peer_start(peek_and_stay, &scene);

		shmt_assert_ok(shmt_queue_push(scene.producer, i, SHMC_FOREVER));
		shmt_peer_await(&peer);
		shmt_assert_ok(shmt_queue_push(scene.producer, 100 + i, SHMC_TRY));
		expect_number(&scene, 100 + i, 0);
		shmt_peer_kill_soon(&peer);
		/* its room comes back to who waits for it */
		shmt_assert_ok(shmt_queue_push(scene.producer, 200 + i, SHMC_FOREVER));
		expect_number(&scene, 200 + i, 0);
		shmt_peer_reap(&peer);
	}
	ck_assert_uint_eq(shmt_queue_statistics(scene.consumer).dropped, 10);
	ck_assert_uint_eq(shmt_queue_statistics(scene.consumer).depth, 0);
	scene_close(&scene);
}

/* Asleep in a pop, for ever. */
static void pop_one_and_tell(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_mpmc *queue = shmt_queue_open(shmt_connect(&scene->broker), "queue",
						  SHMC_MPMC_CONSUMER);
	uint64_t number;

	shmt_peer_tell(other);
	shmt_assert_ok(shmt_queue_pop(queue, &number, NULL, SHMC_FOREVER));
	shmt_peer_send(other, &number, sizeof(number));
	shmt_peer_hang();
}

TEST(a_sleeper_that_is_stopped_keeps_no_message_from_another)
{
	struct scene scene = scene_open(4);
	struct shmt_peer stopped = shmt_peer_start(pop_one_and_tell, &scene);
	struct shmt_peer other = shmt_peer_start(pop_one_and_tell, &scene);
	uint64_t number;

	shmt_peer_await(&stopped);
	shmt_peer_await(&other);
	shmt_queue_await_sleeps(scene.producer, SHMC_MPMC_CONSUMER, 2);
	kill(stopped.pid, SIGSTOP);
	shmt_assert_ok(shmt_queue_push(scene.producer, 3, SHMC_TRY));
	shmt_peer_receive(&other, &number, sizeof(number));
	ck_assert_uint_eq(number, 3);
	shmt_assert_ok(shmt_queue_push(scene.producer, 4, SHMC_TRY));
	kill(stopped.pid, SIGCONT);
	shmt_peer_receive(&stopped, &number, sizeof(number));
	ck_assert_uint_eq(number, 4);
	shmt_peer_kill(&stopped);
	shmt_peer_kill(&other);
	scene_close(&scene);
}

/* Deaths at random, while 2 and 2 go on */

enum {
	NUMBERS = 1 << 20,
	DEATHS = 60,
};

struct world {
	_Atomic uint64_t next;
	_Atomic uint64_t popped;
	_Atomic bool no_more, is_over;
	_Atomic uint8_t is_sent[NUMBERS];
	_Atomic uint8_t got[NUMBERS];
	_Atomic uint8_t flagged[NUMBERS];
};

struct busy {
	struct shmt_broker broker;
	struct world *world;
};

static void produce(struct shmt_peer *other, void *context)
{
	struct busy *busy = context;
	struct world *world = busy->world;
	struct shmc_mpmc *queue = shmt_queue_open(shmt_connect(&busy->broker), "queue",
						  SHMC_MPMC_PRODUCER);

	shmt_peer_tell(other);
	while (!atomic_load(&world->no_more)) {
		uint64_t number = atomic_fetch_add(&world->next, 1);

		if (number >= NUMBERS)
			break;
		shmt_assert_ok(shmt_queue_push(queue, number, SHMC_FOREVER));
		atomic_store(&world->is_sent[number], 1);
	}
}

static void consume(struct shmt_peer *other, void *context)
{
	struct busy *busy = context;
	struct world *world = busy->world;
	struct shmc_mpmc *queue = shmt_queue_open(shmt_connect(&busy->broker), "queue",
						  SHMC_MPMC_CONSUMER);
	enum shmc_result result;
	uint64_t number;
	uint32_t flags;

	shmt_peer_tell(other);
	while (!atomic_load(&world->is_over)) {
		result = shmt_queue_pop(queue, &number, &flags, 20 * MS_NS);
		if (result == SHMC_TIMEOUT)
			continue;
		shmt_assert_ok(result);
		atomic_fetch_add(&world->flagged[number], flags == SHMC_REDELIVERED);
		atomic_fetch_add(&world->got[number], 1);
		atomic_fetch_add(&world->popped, 1);
	}
}

static void pause_ns(uint64_t ns)
{
	struct timespec span = { 0, (long)ns };

	nanosleep(&span, NULL);
}

/* Kills them one after the other, at any moment of their work. */
static void kill_some(struct busy *busy)
{
	struct shmt_random random = { shmt_seed() };

	for (int i = 0; i < DEATHS; i++) {
		struct shmt_peer victim = shmt_peer_start(i % 2 ? produce : consume, busy);
		uint64_t before;

		shmt_peer_await(&victim);
		pause_ns(shmt_random_below(&random, 1000000));
		shmt_peer_kill(&victim);
		before = atomic_load(&busy->world->popped);
		while (atomic_load(&busy->world->popped) < before + 50 &&
		       atomic_load(&busy->world->next) < NUMBERS)
			pause_ns(100000);
	}
}

static void check(const struct world *world)
{
	uint64_t lost = 0, doubled = 0, flagged = 0;

	for (uint64_t i = 0; i < NUMBERS; i++) {
		lost += atomic_load(&world->is_sent[i]) && atomic_load(&world->got[i]) == 0;
		flagged += atomic_load(&world->flagged[i]);
		if (atomic_load(&world->got[i]) > 1) {
			doubled++;
			ck_assert_uint_ge(atomic_load(&world->flagged[i]), 1);
		}
	}
	/* what a consumer had taken and had no time to note */
	ck_assert_uint_le(lost, DEATHS / 2);
	ck_assert_uint_le(doubled, DEATHS / 2);
	ck_assert_uint_le(flagged, DEATHS / 2);
}

TEST(two_and_two_go_on_while_others_are_killed_at_random, .timeout_s = 120)
{
	struct busy busy = { .broker = shmt_broker_start(NULL) };
	struct shmc_client *client = shmt_connect(&busy.broker);
	struct shmt_peer peers[4];

	busy.world = mmap(NULL, sizeof(*busy.world), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	shmt_queue_create(client, "queue", (struct shmc_mpmc_options){ .slots = 8 });
	for (int i = 0; i < 4; i++) {
		peers[i] = shmt_peer_start(i < 2 ? produce : consume, &busy);
		shmt_peer_await(&peers[i]);
	}
	kill_some(&busy);
	atomic_store(&busy.world->no_more, true);
	shmt_peer_join(&peers[0]);
	shmt_peer_join(&peers[1]);
	for (uint64_t before = UINT64_MAX; before != atomic_load(&busy.world->popped);) {
		before = atomic_load(&busy.world->popped);
		pause_ns(100 * MS_NS);
	}
	atomic_store(&busy.world->is_over, true);
	shmt_peer_join(&peers[2]);
	shmt_peer_join(&peers[3]);
	check(busy.world);
	shmc_disconnect(client);
	shmt_broker_stop(&busy.broker);
}

SHMT_MAIN
