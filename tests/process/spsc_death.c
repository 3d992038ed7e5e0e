/* What the living see of the dead, the departed and the stopped, and what a successor finds. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define MS_NS INT64_C(1000000)

/* A queue of 4096 bytes, one end here, the other in a peer. */
struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_spsc *queue;
	size_t descriptors;
	/* of the peer */
	uint64_t messages;	 /* it moves first */
	_Atomic uint64_t *moved; /* shared with it */
};

static struct scene scene_open(enum shmc_spsc_role role)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.moved = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	scene.client = shmt_connect(&scene.broker);
	shmt_create(scene.client, "queue", 4096);
	scene.queue = shmt_open(scene.client, "queue", role);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_spsc_close(scene->queue);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	munmap(scene->moved, 4096);
	shmt_broker_stop(&scene->broker);
}

static enum shmc_result pop_byte(struct shmc_spsc *queue, int64_t timeout_ns)
{
	struct shmc_message message;
	char byte;

	return shmc_spsc_pop(queue, &byte, 1, timeout_ns, &message);
}

static void expect_number(struct shmc_spsc *queue, uint64_t number, uint32_t expected_flags)
{
	uint32_t flags;

	shmt_assert_ok(shmt_pop_numbered(queue, number, 100, SHMC_FOREVER, &flags));
	ck_assert_uint_eq(flags, expected_flags);
}

/* Sends some, says so, and stays. */
static void produce_and_stay(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);

	for (uint64_t i = 0; i < scene->messages; i++)
		shmt_assert_ok(shmt_push_numbered(queue, i, 100, SHMC_FOREVER));
	shmt_peer_tell(other);
	shmt_peer_hang();
}

static void produce_and_leave(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);

	for (uint64_t i = 0; i < scene->messages; i++)
		shmt_assert_ok(shmt_push_numbered(queue, i, 100, SHMC_FOREVER));
	shmt_peer_tell(other);
	shmt_peer_await(other);
	shmc_spsc_close(queue);
	shmc_disconnect(client);
}

TEST(all_that_a_dead_producer_sent_is_read_before_its_death_is_told)
{
	struct scene scene = scene_open(SHMC_SPSC_CONSUMER);
	struct shmt_peer peer;
	struct shmc_message message;

	scene.messages = 20;
	peer = shmt_peer_start(produce_and_stay, &scene);
	shmt_peer_await(&peer);
	shmt_peer_kill(&peer);
	for (uint64_t i = 0; i < 20; i++)
		expect_number(scene.queue, i, 0);
	shmt_assert_result(pop_byte(scene.queue, SHMC_FOREVER), SHMC_PEER_DEAD);
	shmt_assert_result(pop_byte(scene.queue, SHMC_TRY), SHMC_PEER_DEAD);
	shmt_assert_result(shmc_spsc_peek(scene.queue, SHMC_FOREVER, &message), SHMC_PEER_DEAD);
	ck_assert_int_eq(shmc_spsc_peer(scene.queue), SHMC_PEER_DIED);
	scene_close(&scene);
}

TEST(a_consumer_waiting_for_ever_learns_of_the_producer_s_death)
{
	struct scene scene = scene_open(SHMC_SPSC_CONSUMER);
	struct shmt_peer peer = shmt_peer_start(produce_and_stay, &scene);

	shmt_peer_await(&peer);
	shmt_peer_kill_soon(&peer);
	shmt_assert_result(pop_byte(scene.queue, SHMC_FOREVER), SHMC_PEER_DEAD);
	shmt_peer_reap(&peer);
	scene_close(&scene);
}

static void consume_asleep(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect_as(&scene->broker,
						     (struct shmc_client_options){ .spin_ns = -1 });
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	enum shmc_result result;

	shmt_peer_tell(other);
	result = pop_byte(queue, SHMC_FOREVER);
	shmt_peer_send(other, &result, sizeof(result));
	shmc_spsc_close(queue);
	shmc_disconnect(client);
}

TEST(a_sleeping_consumer_is_woken_when_the_producer_leaves)
{
	struct scene scene = scene_open(SHMC_SPSC_PRODUCER);
	struct shmt_peer peer = shmt_peer_start(consume_asleep, &scene);
	enum shmc_result result;

	shmt_peer_await(&peer);
	shmt_await_sleeper(scene.queue, 0);
	scene.queue = shmc_spsc_close(scene.queue);
	shmt_peer_receive(&peer, &result, sizeof(result));
	shmt_assert_result(result, SHMC_CLOSED);
	shmt_peer_join(&peer);
	scene_close(&scene);
}

TEST(a_sleeping_consumer_is_woken_when_the_producer_is_killed)
{
	struct scene scene = scene_open(SHMC_SPSC_CONSUMER);
	struct shmt_peer producer, consumer;
	enum shmc_result result;

	scene.queue = shmc_spsc_close(scene.queue);
	consumer = shmt_peer_start(consume_asleep, &scene);
	shmt_peer_await(&consumer);
	producer = shmt_peer_start(produce_and_stay, &scene);
	shmt_peer_await(&producer);
	shmt_peer_kill(&producer);
	shmt_peer_receive(&consumer, &result, sizeof(result));
	shmt_assert_result(result, SHMC_PEER_DEAD);
	shmt_peer_join(&consumer);
	scene_close(&scene);
}

TEST(all_that_a_departed_producer_sent_is_read_before_closed)
{
	struct scene scene = scene_open(SHMC_SPSC_CONSUMER);
	struct shmt_peer peer;

	scene.messages = 20;
	peer = shmt_peer_start(produce_and_leave, &scene);
	shmt_peer_await(&peer);
	shmt_peer_tell(&peer);
	shmt_peer_join(&peer);
	for (uint64_t i = 0; i < 20; i++)
		expect_number(scene.queue, i, 0);
	shmt_assert_result(pop_byte(scene.queue, SHMC_FOREVER), SHMC_CLOSED);
	ck_assert_int_eq(shmc_spsc_peer(scene.queue), SHMC_PEER_LEFT);
	scene_close(&scene);
}

/* Takes some, shows itself some more, and stays. */
static void consume_and_stay(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);

	for (uint64_t i = 0; i < scene->messages; i++)
		expect_number(queue, i, 0);
	shmt_peer_tell(other);
	shmt_peer_hang();
}

TEST(a_producer_waiting_for_room_learns_of_the_consumer_s_death)
{
	struct scene scene = scene_open(SHMC_SPSC_PRODUCER);
	struct shmt_peer peer = shmt_peer_start(consume_and_stay, &scene);
	static const uint8_t payload[4000];

	shmt_peer_await(&peer);
	shmt_assert_ok(shmc_spsc_try_push(scene.queue, payload, 4000));
	shmt_assert_result(shmc_spsc_try_push(scene.queue, payload, 4000), SHMC_FULL);
	shmt_peer_kill_soon(&peer);
	shmt_assert_result(shmc_spsc_push(scene.queue, payload, 4000, SHMC_FOREVER),
			   SHMC_PEER_DEAD);
	shmt_peer_reap(&peer);
	/* with room, it is a successor's */
	shmt_assert_ok(shmc_spsc_try_push(scene.queue, payload, 8));
	scene_close(&scene);
}

TEST(a_producer_waiting_for_room_learns_that_the_consumer_left)
{
	struct scene scene = scene_open(SHMC_SPSC_PRODUCER);
	struct shmc_spsc *consumer = shmt_open(scene.client, "queue", SHMC_SPSC_CONSUMER);
	static const uint8_t payload[4000];

	shmt_assert_ok(shmc_spsc_try_push(scene.queue, payload, 4000));
	shmc_spsc_close(consumer);
	shmt_assert_result(shmc_spsc_push(scene.queue, payload, 4000, SHMC_FOREVER), SHMC_CLOSED);
	shmt_assert_result(shmc_spsc_try_push(scene.queue, payload, 4000), SHMC_CLOSED);
	scene_close(&scene);
}

static void show_and_stay(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	struct shmc_message shown[3];
	uint64_t count;

	expect_number(queue, 0, 0);
	shmt_assert_ok(shmc_spsc_peek_batch(queue, shown, 3, SHMC_FOREVER, &count));
	ck_assert_uint_eq(count, 3);
	shmt_assert_ok(shmc_spsc_release(queue, 1));
	shmt_peer_tell(other);
	shmt_peer_hang();
}

TEST(what_a_dead_consumer_had_in_its_hands_comes_again_flagged)
{
	struct scene scene = scene_open(SHMC_SPSC_PRODUCER);
	struct shmt_peer peer;
	struct shmc_spsc *successor;

	for (uint64_t i = 0; i < 6; i++)
		shmt_assert_ok(shmt_push_numbered(scene.queue, i, 100, SHMC_TRY));
	peer = shmt_peer_start(show_and_stay, &scene);
	shmt_peer_await(&peer);
	shmt_peer_kill(&peer);
	while (shmc_spsc_peer(scene.queue) != SHMC_PEER_DIED)
		shmc_spsc_wait_peer(scene.queue, MS_NS);
	successor = shmt_open(scene.client, "queue", SHMC_SPSC_CONSUMER);
	expect_number(successor, 2, SHMC_REDELIVERED);
	expect_number(successor, 3, SHMC_REDELIVERED);
	expect_number(successor, 4, 0);
	expect_number(successor, 5, 0);
	shmc_spsc_close(successor);
	scene_close(&scene);
}

TEST(what_is_shown_when_the_consumer_closes_comes_again_flagged)
{
	struct scene scene = scene_open(SHMC_SPSC_PRODUCER);
	struct shmc_spsc *consumer = shmt_open(scene.client, "queue", SHMC_SPSC_CONSUMER);
	struct shmc_message message;

	shmt_assert_ok(shmt_push_numbered(scene.queue, 0, 100, SHMC_TRY));
	shmt_assert_ok(shmt_push_numbered(scene.queue, 1, 100, SHMC_TRY));
	shmt_assert_ok(shmc_spsc_peek(consumer, SHMC_TRY, &message));
	shmc_spsc_close(consumer);
	consumer = shmt_open(scene.client, "queue", SHMC_SPSC_CONSUMER);
	expect_number(consumer, 0, SHMC_REDELIVERED);
	expect_number(consumer, 1, 0);
	shmc_spsc_close(consumer);
	scene_close(&scene);
}

TEST(sender_who_came_and_went_meanwhile_has_been_met)
{
	struct scene scene = scene_open(SHMC_SPSC_CONSUMER);
	struct shmc_spsc *producer = shmt_open(scene.client, "queue", SHMC_SPSC_PRODUCER);

	shmc_spsc_close(producer);
	shmt_assert_result(shmt_pop_numbered(scene.queue, 0, 100, SHMC_TRY, NULL), SHMC_CLOSED);
	shmt_assert_result(shmc_spsc_wait_peer(scene.queue, SHMC_TRY), SHMC_TIMEOUT);
	producer = shmt_open(scene.client, "queue", SHMC_SPSC_PRODUCER);
	shmt_assert_ok(shmt_push_numbered(producer, 0, 100, SHMC_TRY));
	shmc_spsc_close(producer);
	shmt_assert_ok(shmc_spsc_wait_peer(scene.queue, SHMC_FOREVER));
	expect_number(scene.queue, 0, 0);
	shmt_assert_result(shmc_spsc_wait_peer(scene.queue, SHMC_TRY), SHMC_TIMEOUT);
	scene_close(&scene);
}

TEST(receiver_who_came_and_went_meanwhile_has_been_met)
{
	struct scene scene = scene_open(SHMC_SPSC_PRODUCER);
	struct shmc_spsc *consumer = shmt_open(scene.client, "queue", SHMC_SPSC_CONSUMER);
	uint64_t count = 0;

	shmc_spsc_close(consumer);
	while (shmt_push_numbered(scene.queue, count, 100, SHMC_TRY) == SHMC_OK)
		count++;
	shmt_assert_result(shmc_spsc_wait_peer(scene.queue, SHMC_TRY), SHMC_TIMEOUT);
	consumer = shmt_open(scene.client, "queue", SHMC_SPSC_CONSUMER);
	expect_number(consumer, 0, 0);
	shmc_spsc_close(consumer);
	shmt_assert_ok(shmc_spsc_wait_peer(scene.queue, SHMC_FOREVER));
	shmt_assert_ok(shmt_push_numbered(scene.queue, count, 100, SHMC_TRY));
	scene_close(&scene);
}

/* Streams without end, from where the place's history says. */
static void produce_on(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	struct shmc_statistics own;

	(void)other;
	shmt_assert_ok(shmc_spsc_statistics(queue, &own, NULL, NULL));
	for (uint64_t i = own.messages;; i++) {
		shmt_assert_ok(shmt_push_numbered(queue, i, 100, SHMC_FOREVER));
		atomic_store(scene->moved, i + 1);
	}
}

TEST(producers_killed_in_full_flow_lose_nothing_and_repeat_nothing, .timeout_s = 60)
{
	struct scene scene = scene_open(SHMC_SPSC_CONSUMER);
	struct shmt_random random = { .state = shmt_seed() };
	uint64_t next = 0;

	for (int round = 0; round < 100; round++) {
		struct shmt_peer peer = shmt_peer_start(produce_on, &scene);
		uint64_t until = next + 1 + shmt_random_below(&random, 3000);
		enum shmc_result result;

		shmt_assert_ok(shmc_spsc_wait_peer(scene.queue, SHMC_FOREVER));
		for (; next < until; next++)
			expect_number(scene.queue, next, 0);
		shmt_peer_kill(&peer);
		while ((result = shmt_pop_numbered(scene.queue, next, 100, SHMC_FOREVER, NULL)) ==
		       SHMC_OK)
			next++;
		shmt_assert_result(result, SHMC_PEER_DEAD);
		/* a push that returned has arrived, and at most one more had begun */
		ck_assert_uint_ge(next, atomic_load(scene.moved));
		ck_assert_uint_le(next, atomic_load(scene.moved) + 1);
	}
	scene_close(&scene);
}

static void consume_on(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	uint64_t next = atomic_load(scene->moved);
	uint64_t first = 0;
	uint32_t flags = 0;

	shmt_peer_tell(other);
	/* the last one may have been taken, but not counted */
	shmt_assert_ok(shmt_pop_any(queue, 100, SHMC_FOREVER, &first, &flags));
	if (first == next)
		ck_assert_uint_le(flags, SHMC_REDELIVERED);
	else
		ck_assert_uint_eq(first, next + 1);
	for (uint64_t i = first + 1;; i++) {
		atomic_store(scene->moved, i);
		expect_number(queue, i, 0);
	}
}

TEST(consumers_killed_in_full_flow_lose_nothing, .timeout_s = 60)
{
	struct scene scene = scene_open(SHMC_SPSC_PRODUCER);
	struct shmt_random random = { .state = shmt_seed() };
	uint64_t next = 0;

	for (int round = 0; round < 100; round++) {
		struct shmt_peer peer = shmt_peer_start(consume_on, &scene);
		uint64_t until = next + 1 + shmt_random_below(&random, 3000);

		shmt_peer_await(&peer);
		for (; next < until; next++)
			shmt_assert_ok(shmt_push_numbered(scene.queue, next, 100, SHMC_FOREVER));
		shmt_peer_kill(&peer);
		while (shmc_spsc_peer(scene.queue) != SHMC_PEER_DIED)
			shmc_spsc_wait_peer(scene.queue, MS_NS);
	}
	ck_assert_uint_le(atomic_load(scene.moved), next);
	scene_close(&scene);
}

TEST(a_new_pair_finds_no_stale_messages)
{
	struct scene scene = scene_open(SHMC_SPSC_CONSUMER);

	scene.messages = 10;
	for (int round = 0; round < 5; round++) {
		struct shmt_peer peer = shmt_peer_start(produce_and_stay, &scene);

		shmt_assert_ok(shmc_spsc_wait_peer(scene.queue, SHMC_FOREVER));
		shmt_peer_await(&peer);
		for (uint64_t i = 0; i < 10; i++)
			expect_number(scene.queue, i, 0);
		shmt_assert_result(pop_byte(scene.queue, SHMC_TRY), SHMC_EMPTY);
		shmt_peer_kill(&peer);
		shmt_assert_result(pop_byte(scene.queue, SHMC_FOREVER), SHMC_PEER_DEAD);
		scene.queue = shmc_spsc_close(scene.queue);
		scene.queue = shmt_open(scene.client, "queue", SHMC_SPSC_CONSUMER);
		shmt_assert_result(pop_byte(scene.queue, SHMC_TRY), SHMC_PEER_DEAD);
	}
	scene_close(&scene);
}

TEST(a_stopped_producer_is_alive)
{
	struct scene scene = scene_open(SHMC_SPSC_CONSUMER);
	struct shmt_peer peer = shmt_peer_start(produce_and_stay, &scene);

	shmt_peer_await(&peer);
	kill(peer.pid, SIGSTOP);
	ck_assert_int_eq(waitpid(peer.pid, NULL, WUNTRACED), peer.pid);
	shmt_assert_result(pop_byte(scene.queue, 50 * MS_NS), SHMC_TIMEOUT);
	ck_assert_int_eq(shmc_spsc_peer(scene.queue), SHMC_PEER_ACTIVE);
	shmt_peer_kill(&peer);
	scene_close(&scene);
}

SHMT_MAIN
