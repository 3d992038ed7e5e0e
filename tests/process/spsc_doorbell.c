/* The pollable descriptor of a consumer: readable when it should be, and never missed. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define MS_NS INT64_C(1000000)

/* A consumer here, with its descriptor. */
struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_spsc *queue;
	int fd;
	size_t descriptors;
	/* of the peer */
	uint64_t messages;
	bool leaves; /* closes at the end, else stays */
};

static struct scene scene_open(void)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };
	struct shmc_error error;

	scene.client = shmt_connect(&scene.broker);
	shmt_create(scene.client, "queue", 4096);
	scene.queue = shmt_open(scene.client, "queue", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmc_spsc_fd(scene.queue, &scene.fd, &error));
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_spsc_close(scene->queue);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

static bool is_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int r = poll(&poll_fd, 1, 0);

	ck_assert_int_ge(r, 0);
	ck_assert_int_eq(poll_fd.revents & ~POLLIN, 0);
	return r == 1;
}

static void await_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	while (poll(&poll_fd, 1, -1) != 1)
		;
	ck_assert_int_eq(poll_fd.revents, POLLIN);
}

static enum shmc_result pop_byte(struct shmc_spsc *queue)
{
	struct shmc_message message;
	char byte;

	return shmc_spsc_try_pop(queue, &byte, 1, &message);
}

TEST(it_is_readable_at_first_and_not_after_empty)
{
	struct scene scene = scene_open();
	int again;

	ck_assert(is_readable(scene.fd));
	shmt_assert_result(pop_byte(scene.queue), SHMC_EMPTY);
	ck_assert(!is_readable(scene.fd));
	shmt_assert_ok(shmc_spsc_fd(scene.queue, &again, NULL));
	ck_assert_int_eq(again, scene.fd);
	scene_close(&scene);
}

TEST(it_stays_readable_until_there_is_nothing_more)
{
	struct scene scene = scene_open();
	struct shmc_spsc *producer = shmt_open(scene.client, "queue", SHMC_SPSC_PRODUCER);

	shmt_assert_result(pop_byte(scene.queue), SHMC_EMPTY);
	shmt_assert_ok(shmc_spsc_try_push(producer, "a", 1));
	await_readable(scene.fd);
	shmt_assert_ok(shmc_spsc_try_push(producer, "b", 1));
	shmt_assert_ok(pop_byte(scene.queue));
	ck_assert(is_readable(scene.fd));
	shmt_assert_ok(pop_byte(scene.queue));
	ck_assert(is_readable(scene.fd));
	shmt_assert_result(pop_byte(scene.queue), SHMC_EMPTY);
	ck_assert(!is_readable(scene.fd));
	shmc_spsc_close(producer);
	scene_close(&scene);
}

TEST(each_message_after_an_empty_one_rings_anew)
{
	struct scene scene = scene_open();
	struct shmc_spsc *producer = shmt_open(scene.client, "queue", SHMC_SPSC_PRODUCER);

	for (int i = 0; i < 1000; i++) {
		shmt_assert_result(pop_byte(scene.queue), SHMC_EMPTY);
		shmt_assert_ok(shmc_spsc_try_push(producer, "x", 1));
		await_readable(scene.fd);
		shmt_assert_ok(pop_byte(scene.queue));
	}
	shmc_spsc_close(producer);
	scene_close(&scene);
}

TEST(peeking_arms_it_as_popping_does)
{
	struct scene scene = scene_open();
	struct shmc_spsc *producer = shmt_open(scene.client, "queue", SHMC_SPSC_PRODUCER);
	struct shmc_message message;

	for (int i = 0; i < 100; i++) {
		shmt_assert_result(shmc_spsc_peek(scene.queue, SHMC_TRY, &message), SHMC_EMPTY);
		ck_assert(!is_readable(scene.fd));
		shmt_assert_ok(shmc_spsc_try_push(producer, "x", 1));
		await_readable(scene.fd);
		shmt_assert_ok(shmc_spsc_peek(scene.queue, SHMC_TRY, &message));
		shmt_assert_ok(shmc_spsc_release(scene.queue, 1));
	}
	shmc_spsc_close(producer);
	scene_close(&scene);
}

static void produce(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);

	shmt_peer_tell(other);
	shmt_peer_await(other);
	for (uint64_t i = 0; i < scene->messages; i++)
		shmt_assert_ok(shmt_push_numbered(queue, i, 100, SHMC_FOREVER));
	if (!scene->leaves)
		shmt_peer_hang();
	shmc_spsc_close(queue);
	shmc_disconnect(client);
}

TEST(it_tells_that_the_producer_came_left_and_came_again)
{
	struct scene scene = scene_open();
	struct shmt_peer peer;

	scene.leaves = true;
	for (int round = 0; round < 3; round++) {
		enum shmc_result nothing = pop_byte(scene.queue);

		shmt_assert_result(nothing, round == 0 ? SHMC_EMPTY : SHMC_CLOSED);
		ck_assert(!is_readable(scene.fd));
		peer = shmt_peer_start(produce, &scene);
		shmt_peer_await(&peer);
		await_readable(scene.fd);
		shmt_assert_result(pop_byte(scene.queue), SHMC_EMPTY);
		shmt_peer_tell(&peer);
		await_readable(scene.fd);
		shmt_peer_join(&peer);
	}
	scene_close(&scene);
}

TEST(it_tells_that_the_producer_died)
{
	struct scene scene = scene_open();
	struct shmt_peer peer = shmt_peer_start(produce, &scene);

	shmt_peer_await(&peer);
	shmt_assert_result(pop_byte(scene.queue), SHMC_EMPTY);
	ck_assert(!is_readable(scene.fd));
	shmt_peer_kill_soon(&peer);
	await_readable(scene.fd);
	shmt_assert_result(pop_byte(scene.queue), SHMC_PEER_DEAD);
	ck_assert(!is_readable(scene.fd));
	shmt_peer_reap(&peer);
	scene_close(&scene);
}

/* Takes all there is; returns the next number to come. */
static uint64_t take_all(struct scene *scene, uint64_t next, enum shmc_result *ret_why)
{
	enum shmc_result result;

	while ((result = shmt_pop_numbered(scene->queue, next, 100, SHMC_TRY, NULL)) == SHMC_OK)
		next++;
	*ret_why = result;
	return next;
}

TEST(no_ring_is_lost_in_poll, .timeout_s = 60)
{
	struct scene scene = scene_open();
	enum shmc_result result = SHMC_EMPTY;
	struct shmt_peer peer;
	uint64_t next = 0;

	scene.messages = 300000;
	scene.leaves = true;
	peer = shmt_peer_start(produce, &scene);
	shmt_peer_await(&peer);
	shmt_peer_tell(&peer);
	while (result == SHMC_EMPTY) {
		await_readable(scene.fd);
		next = take_all(&scene, next, &result);
	}
	shmt_assert_result(result, SHMC_CLOSED);
	ck_assert_uint_eq(next, scene.messages);
	shmt_peer_join(&peer);
	scene_close(&scene);
}

TEST(no_ring_is_lost_in_epoll_edge_triggered, .timeout_s = 60)
{
	struct scene scene = scene_open();
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	enum shmc_result result = SHMC_EMPTY;
	int loop = epoll_create1(EPOLL_CLOEXEC);
	struct shmt_peer peer;
	uint64_t next = 0;

	scene.messages = 300000;
	scene.leaves = true;
	ck_assert_int_eq(epoll_ctl(loop, EPOLL_CTL_ADD, scene.fd, &event), 0);
	peer = shmt_peer_start(produce, &scene);
	shmt_peer_await(&peer);
	shmt_peer_tell(&peer);
	while (result == SHMC_EMPTY) {
		if (epoll_wait(loop, &event, 1, -1) == 1)
			next = take_all(&scene, next, &result);
	}
	ck_assert_uint_eq(next, scene.messages);
	shmt_peer_join(&peer);
	close(loop);
	scene_close(&scene);
}

struct uv_scene {
	struct scene *scene;
	uv_poll_t handle;
	uint64_t next;
	enum shmc_result result;
};

static void on_readable(uv_poll_t *handle, int status, int events)
{
	struct uv_scene *self = handle->data;

	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(events, UV_READABLE);
	self->next = take_all(self->scene, self->next, &self->result);
	if (self->result != SHMC_EMPTY)
		uv_close((uv_handle_t *)handle, NULL);
}

TEST(no_ring_is_lost_in_libuv, .timeout_s = 60)
{
	struct scene scene = scene_open();
	struct uv_scene self = { .scene = &scene };
	struct shmt_peer peer;
	uv_loop_t loop;

	scene.messages = 300000;
	scene.leaves = true;
	uv_loop_init(&loop);
	uv_poll_init(&loop, &self.handle, scene.fd);
	self.handle.data = &self;
	uv_poll_start(&self.handle, UV_READABLE, on_readable);
	peer = shmt_peer_start(produce, &scene);
	shmt_peer_await(&peer);
	shmt_peer_tell(&peer);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_uint_eq(self.next, scene.messages);
	shmt_assert_result(self.result, SHMC_CLOSED);
	shmt_peer_join(&peer);
	uv_loop_close(&loop);
	uv_library_shutdown();
	scene_close(&scene);
}

/* One message at a time, each sent when the one before was taken: every one of them has to ring. */
static void answer_each(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmt_random random = { .state = 1 };
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	uint64_t depth;

	(void)other;
	for (uint64_t i = 0; i < scene->messages; i++) {
		do
			shmt_assert_ok(shmc_spsc_statistics(queue, NULL, NULL, &depth));
		while (depth > 0);
		for (uint64_t j = shmt_random_below(&random, 2000); j > 0; j--)
			__asm__ __volatile__("" ::: "memory");
		shmt_assert_ok(shmt_push_numbered(queue, i, 100, SHMC_TRY));
	}
	shmc_spsc_close(queue);
	shmc_disconnect(client);
}

TEST(no_ring_is_lost_where_each_message_has_to_ring, .timeout_s = 60)
{
	struct scene scene = scene_open();
	enum shmc_result result = SHMC_EMPTY;
	struct shmt_peer peer;
	uint64_t next = 0;

	scene.messages = 50000;
	peer = shmt_peer_start(answer_each, &scene);
	while (result == SHMC_EMPTY) {
		await_readable(scene.fd);
		next = take_all(&scene, next, &result);
	}
	ck_assert_uint_eq(next, scene.messages);
	shmt_peer_join(&peer);
	scene_close(&scene);
}

TEST(sleeping_in_pop_and_in_poll_may_alternate, .timeout_s = 60)
{
	struct scene scene = scene_open();
	struct shmt_peer peer;
	enum shmc_result result = SHMC_EMPTY;
	uint64_t next = 0;

	scene.messages = 20000;
	peer = shmt_peer_start(answer_each, &scene);
	while (result == SHMC_EMPTY) {
		if (next % 3 == 0) {
			result = shmt_pop_numbered(scene.queue, next, 100, SHMC_FOREVER, NULL);
			next += result == SHMC_OK;
			result = result == SHMC_OK ? SHMC_EMPTY : result;
		} else {
			await_readable(scene.fd);
			result = shmt_pop_numbered(scene.queue, next, 100, SHMC_TRY, NULL);
			next += result == SHMC_OK;
			result = result == SHMC_OK ? SHMC_EMPTY : result;
		}
	}
	shmt_assert_result(result, SHMC_CLOSED);
	ck_assert_uint_eq(next, scene.messages);
	shmt_peer_join(&peer);
	scene_close(&scene);
}

static void ring_on_command(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);

	for (uint64_t i = 0; i < scene->messages; i++) {
		shmt_peer_tell(other);
		shmt_peer_await(other);
		shmt_assert_ok(shmc_spsc_try_push(queue, "x", 1));
	}
	shmc_spsc_close(queue);
	shmc_disconnect(client);
}

TEST(the_bell_of_a_new_consumer_is_rung_and_not_that_of_the_old_one)
{
	struct scene scene = scene_open();
	struct shmt_peer peer;

	scene.messages = 200;
	peer = shmt_peer_start(ring_on_command, &scene);
	shmt_peer_await(&peer);
	for (uint64_t i = 0; i < scene.messages; i++) {
		shmt_assert_result(pop_byte(scene.queue), SHMC_EMPTY);
		shmt_peer_tell(&peer);
		await_readable(scene.fd);
		shmt_assert_ok(pop_byte(scene.queue));
		if (i + 1 < scene.messages)
			shmt_peer_await(&peer);
		/* each fourth ring is for another holder of the place, its arming the first */
		if (i % 4 == 3) {
			scene.queue = shmc_spsc_close(scene.queue);
			scene.queue = shmt_open(scene.client, "queue", SHMC_SPSC_CONSUMER);
			shmt_assert_ok(shmc_spsc_fd(scene.queue, &scene.fd, NULL));
		}
	}
	shmt_peer_join(&peer);
	scene_close(&scene);
}

/* A thread that keeps the producer's connection busy with calls of its own. */
struct busy {
	struct shmc_client *client;
	_Atomic bool is_over;
};

static void *be_busy(void *context)
{
	struct busy *busy = context;

	while (!atomic_load(&busy->is_over))
		shmc_unlink(busy->client, "nothing", NULL);
	return NULL;
}

static void produce_beside_calls(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct busy busy = { .client = shmt_connect(&scene->broker) };
	pthread_t thread;

	for (int i = 0; i < 20; i++) {
		struct shmc_spsc *queue = shmt_open(busy.client, "queue", SHMC_SPSC_PRODUCER);

		/* each opening asks for the ringing end anew, through the busy connection */
		atomic_store(&busy.is_over, false);
		pthread_create(&thread, NULL, be_busy, &busy);
		for (uint64_t n = 0; n < scene->messages; n++) {
			shmt_peer_await(other);
			shmt_assert_ok(shmc_spsc_try_push(queue, "x", 1));
		}
		atomic_store(&busy.is_over, true);
		pthread_join(thread, NULL);
		shmc_spsc_close(queue);
	}
	shmc_disconnect(busy.client);
}

TEST(a_ring_is_not_lost_beside_another_thread_s_calls, .timeout_s = 60)
{
	struct scene scene = scene_open();
	struct shmt_peer peer;

	scene.messages = 10;
	peer = shmt_peer_start(produce_beside_calls, &scene);
	for (uint64_t i = 0; i < 20 * scene.messages; i++) {
		while (pop_byte(scene.queue) == SHMC_OK)
			;
		shmt_peer_tell(&peer);
		do
			await_readable(scene.fd);
		while (pop_byte(scene.queue) != SHMC_OK);
	}
	shmt_peer_join(&peer);
	scene_close(&scene);
}

#define MANY 40

static void name_of(int i, char (*ret_name)[16])
{
	snprintf(*ret_name, sizeof(*ret_name), "many/%d", i);
}

static void produce_to_many(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_spsc *queue[MANY];
	char name[16];

	for (int i = 0; i < MANY; i++) {
		name_of(i, &name);
		queue[i] = shmt_open(client, name, SHMC_SPSC_PRODUCER);
	}
	for (int round = 0; round < 3; round++) {
		shmt_peer_await(other);
		for (int i = 0; i < MANY; i++)
			shmt_assert_ok(shmc_spsc_try_push(queue[i], "x", 1));
	}
	for (int i = 0; i < MANY; i++)
		shmc_spsc_close(queue[i]);
	shmc_disconnect(client);
}

TEST(many_bells_are_rung_over_one_connection)
{
	struct scene scene = scene_open();
	struct shmc_spsc *queue[MANY];
	struct shmt_peer peer;
	char name[16];
	int fd[MANY];

	for (int i = 0; i < MANY; i++) {
		name_of(i, &name);
		shmt_create(scene.client, name, 4096);
		queue[i] = shmt_open(scene.client, name, SHMC_SPSC_CONSUMER);
		shmt_assert_ok(shmc_spsc_fd(queue[i], &fd[i], NULL));
	}
	peer = shmt_peer_start(produce_to_many, &scene);
	for (int i = 0; i < MANY; i++)
		shmt_assert_ok(shmc_spsc_wait_peer(queue[i], SHMC_FOREVER));
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++)
			shmt_assert_result(pop_byte(queue[i]), SHMC_EMPTY);
		shmt_peer_tell(&peer);
		for (int i = 0; i < MANY; i++) {
			await_readable(fd[i]);
			shmt_assert_ok(pop_byte(queue[i]));
		}
	}
	shmt_peer_join(&peer);
	for (int i = 0; i < MANY; i++)
		shmc_spsc_close(queue[i]);
	scene_close(&scene);
}

TEST(one_message_for_each_time_it_is_readable_is_enough, .timeout_s = 60)
{
	struct scene scene = scene_open();
	struct shmt_peer peer;
	enum shmc_result result = SHMC_EMPTY;
	uint64_t next = 0;

	scene.messages = 100000;
	scene.leaves = true;
	peer = shmt_peer_start(produce, &scene);
	shmt_peer_await(&peer);
	shmt_peer_tell(&peer);
	while (result == SHMC_OK || result == SHMC_EMPTY) {
		await_readable(scene.fd);
		result = shmt_pop_numbered(scene.queue, next, 100, SHMC_TRY, NULL);
		next += result == SHMC_OK;
	}
	shmt_assert_result(result, SHMC_CLOSED);
	ck_assert_uint_eq(next, scene.messages);
	shmt_peer_join(&peer);
	scene_close(&scene);
}

TEST(a_dead_broker_does_not_make_it_readable)
{
	struct scene scene = scene_open();
	struct shmc_spsc *producer = shmt_open(scene.client, "queue", SHMC_SPSC_PRODUCER);
	int i;

	/* rung twice: by the broker, and from then on without it */
	for (i = 0; i < 2; i++) {
		shmt_assert_result(pop_byte(scene.queue), SHMC_EMPTY);
		shmt_assert_ok(shmc_spsc_try_push(producer, "x", 1));
		await_readable(scene.fd);
		shmt_assert_ok(pop_byte(scene.queue));
	}
	shmt_assert_result(pop_byte(scene.queue), SHMC_EMPTY);
	shmt_broker_kill(&scene.broker);
	ck_assert(!is_readable(scene.fd));
	shmt_assert_ok(shmc_spsc_try_push(producer, "x", 1));
	await_readable(scene.fd);
	shmt_assert_ok(pop_byte(scene.queue));
	shmc_spsc_close(producer);
	shmc_spsc_close(scene.queue);
	shmc_disconnect(scene.client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene.descriptors);
	shmt_broker_remove(&scene.broker);
}

SHMT_MAIN
