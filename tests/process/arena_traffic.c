/*
 * Records, pipes, rings, pools and services that lie in an arena, each between two of its like, in
 * real traffic of two processes, one of which is killed in the end. The neighbours see nothing of it.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/mpmc_client.h"
#include "tests/support/peer.h"
#include "tests/support/record.h"
#include "tests/support/runner.h"

enum {
	LAPS = 20, /* of what holds so many: */
	ELEMENTS = 300,
	OBJECTS = 4,
	OBJECT_BYTES = 1000,
	COMMITS = 2000,
	CALLS = 200,
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	size_t descriptors, brokers;
};

/* Makes what is tested, by name. */
typedef void (*make_fn)(struct shmc_client *client, const char *name);

static struct scene scene_open(make_fn make)
{
	static const char *const names[] = { "sim:left", "sim:it", "sim:right" };
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.brokers = shmt_broker_descriptors(&scene.broker);
	scene.client = shmt_connect(&scene.broker);
	shmt_assert_ok(shmc_arena_create(scene.client, "sim", NULL, NULL));
	for (int i = 0; i < 3; i++)
		make(scene.client, names[i]);
	return scene;
}

/* All that the objects took is there again. */
static void scene_close(struct scene *scene)
{
	struct shmc_arena_statistics statistics;
	struct shmc_arena *arena;

	shmt_assert_ok(shmc_arena_open(scene->client, "sim", &arena, NULL));
	shmt_assert_ok(shmc_unlink(scene->client, "sim:left", NULL));
	shmt_assert_ok(shmc_unlink(scene->client, "sim:it", NULL));
	shmt_assert_ok(shmc_unlink(scene->client, "sim:right", NULL));
	shmt_assert_ok(shmc_arena_statistics(arena, &statistics));
	ck_assert_uint_eq(statistics.data_largest_bytes, statistics.data_bytes);
	ck_assert_uint_eq(statistics.control_largest_bytes, statistics.control_bytes);
	shmc_arena_close(arena);
	shmt_assert_ok(shmc_unlink(scene->client, "sim", NULL));
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_settle(&scene->broker, scene->brokers);
	shmt_broker_stop(&scene->broker);
}

/* Record */

static const struct shmc_field fields[] = {
	{ .name = "left", .type = SHMC_TYPE_I64 },
	{ .name = "right", .type = SHMC_TYPE_I64 },
	{ .name = "samples", .type = SHMC_TYPE_U64, .count = 500 },
};

static void make_record(struct shmc_client *client, const char *name)
{
	shmt_record_create(client, name, fields, 3);
}

/* Both sides of it, and whatever is between them, are of one number. */
static void edit_record(struct shmc_record *record, int64_t number)
{
	struct shmc_place left = shmt_place(record, "left"), right = shmt_place(record, "right"),
			  samples = shmt_place(record, "samples");
	int64_t minus = -number;
	uint64_t values[500];

	for (int i = 0; i < 500; i++)
		values[i] = (uint64_t)number;
	shmt_assert_ok(shmc_record_put(record, &left, SHMC_TYPE_I64, &number, 8));
	shmt_assert_ok(shmc_record_put_array(record, &samples, SHMC_TYPE_U64, values, 500));
	shmt_assert_ok(shmc_record_put(record, &right, SHMC_TYPE_I64, &minus, 8));
}

static int64_t check_record(struct shmc_record *record)
{
	struct shmc_place left = shmt_place(record, "left"), right = shmt_place(record, "right"),
			  samples = shmt_place(record, "samples");
	uint64_t values[500], count;
	int64_t number, minus;

	shmt_assert_ok(shmc_record_get(record, &left, SHMC_TYPE_I64, &number, 8));
	shmt_assert_ok(shmc_record_get(record, &right, SHMC_TYPE_I64, &minus, 8));
	shmt_assert_ok(shmc_record_get_array(record, &samples, SHMC_TYPE_U64, values, 500, &count));
	if (number != -minus)
		ck_abort_msg("%ld beside %ld", (long)number, (long)minus);
	for (uint64_t i = 0; i < count; i++)
		if (values[i] != (uint64_t)number)
			ck_abort_msg("%lu in version %ld", (unsigned long)values[i], (long)number);
	return number;
}

static void write_record(struct shmt_peer *test, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_record *record = shmt_record_open(client, "sim:it", SHMC_RECORD_WRITER);
	int64_t commits = COMMITS / (int64_t)shmt_scaled(1);

	shmt_peer_send(test, &commits, sizeof(commits));
	for (int64_t i = 1; i <= commits + 1; i++) {
		shmt_assert_ok(shmc_record_begin(record, SHMC_FOREVER));
		edit_record(record, i);
		if (i <= commits)
			shmt_assert_ok(shmc_record_commit(record));
	}
	/* the last one is in the middle */
	shmt_peer_tell(test);
	shmt_peer_hang();
}

static uint64_t versions_of(struct shmc_client *client, const char *name)
{
	struct shmc_record *record = shmt_record_open(client, name, SHMC_RECORD_READER);
	uint64_t number;

	shmt_assert_ok(shmc_record_snapshot(record));
	number = shmc_record_number(record);
	shmc_record_close(record);
	return number;
}

TEST(a_record_is_read_whole_and_its_dead_writer_left_nothing, .timeout_s = 60)
{
	struct scene scene = scene_open(make_record);
	struct shmt_peer peer = shmt_peer_start(write_record, &scene);
	struct shmc_record *watcher, *writer;
	int64_t commits, seen = 0;

	watcher = shmt_record_open(scene.client, "sim:it", SHMC_RECORD_WATCHER);
	shmt_peer_receive(&peer, &commits, sizeof(commits));
	while (seen < commits) {
		int64_t number;

		shmt_assert_ok(shmc_record_wait(watcher, SHMC_FOREVER));
		number = check_record(watcher);
		ck_assert_int_gt(number, seen);
		seen = number;
	}
	shmt_peer_await(&peer);
	writer = shmt_record_open(scene.client, "sim:it", SHMC_RECORD_WRITER);
	shmt_assert_result(shmc_record_begin(writer, SHMC_TRY), SHMC_TIMEOUT);
	shmt_peer_kill(&peer);
	shmt_assert_ok(shmc_record_begin(writer, SHMC_FOREVER));
	edit_record(writer, commits + 2);
	shmt_assert_ok(shmc_record_commit(writer));
	shmt_assert_ok(shmc_record_wait(watcher, SHMC_FOREVER));
	ck_assert_int_eq(check_record(watcher), commits + 2);
	ck_assert_uint_eq(versions_of(scene.client, "sim:it"), (uint64_t)commits + 1);
	ck_assert_uint_eq(versions_of(scene.client, "sim:left"), 0);
	ck_assert_uint_eq(versions_of(scene.client, "sim:right"), 0);
	shmc_record_close(watcher);
	shmc_record_close(writer);
	scene_close(&scene);
}

/* Pipe */

static void make_pipe(struct shmc_client *client, const char *name)
{
	struct shmc_pipe_options options = { .capacity_bytes = 4096 };

	shmt_assert_ok(shmc_pipe_create(client, name, &options, NULL));
}

static struct shmc_pipe *open_pipe(struct shmc_client *client, const char *name,
				   enum shmc_pipe_role role)
{
	struct shmc_pipe *pipe;

	shmt_assert_ok(shmc_pipe_open(client, name, role, NULL, &pipe, NULL));
	return pipe;
}

static uint64_t question(uint8_t *bytes, uint64_t number)
{
	uint64_t size = 1 + number * 37 % 900;

	memset(bytes, (int)number, size);
	return size;
}

/* Answers what is asked, each byte one more; the last question not. */
static void answer_in_pipe(struct shmt_peer *test, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_pipe *pipe = open_pipe(client, "sim:it", SHMC_PIPE_HOST);
	struct shmc_message message;
	uint8_t bytes[1024];

	shmt_peer_tell(test);
	for (uint64_t i = 0; i < CALLS; i++) {
		shmt_assert_ok(
			shmc_pipe_receive(pipe, bytes, sizeof(bytes), SHMC_FOREVER, &message));
		for (uint64_t k = 0; k < message.size; k++)
			bytes[k]++;
		shmt_assert_ok(shmc_pipe_send(pipe, bytes, message.size, SHMC_FOREVER));
	}
	shmt_assert_ok(shmc_pipe_peek(pipe, SHMC_FOREVER, &message));
	shmt_assert_ok(shmc_pipe_send(pipe, "last words", 10, SHMC_FOREVER));
	shmt_peer_tell(test);
	shmt_peer_hang();
}

static void ask_in_pipe(struct shmc_pipe *pipe, uint64_t number)
{
	uint8_t bytes[1024], answer[1024], expected[1024];
	uint64_t size = question(bytes, number);
	struct shmc_message message;

	question(expected, number);
	for (uint64_t i = 0; i < size; i++)
		expected[i]++;
	shmt_assert_ok(
		shmc_pipe_call(pipe, bytes, size, answer, sizeof(answer), SHMC_FOREVER, &message));
	ck_assert_uint_eq(message.size, size);
	ck_assert_int_eq(memcmp(answer, expected, size), 0);
}

static void assert_unused_pipe(struct shmc_client *client, const char *name)
{
	struct shmc_pipe *pipe = open_pipe(client, name, SHMC_PIPE_CLIENT);
	struct shmc_pipe_statistics statistics;
	struct shmc_message message;

	shmt_assert_ok(shmc_pipe_statistics(pipe, &statistics));
	ck_assert_uint_eq(statistics.to_host.sent + statistics.to_client.sent, 0);
	shmt_assert_result(shmc_pipe_try_receive(pipe, NULL, 0, &message), SHMC_EMPTY);
	shmc_pipe_close(pipe);
}

TEST(a_pipe_answers_for_many_laps_and_a_killed_host_is_told_and_succeeded)
{
	struct scene scene = scene_open(make_pipe);
	struct shmt_peer peer = shmt_peer_start(answer_in_pipe, &scene);
	struct shmc_pipe *pipe = open_pipe(scene.client, "sim:it", SHMC_PIPE_CLIENT);
	struct shmc_message message;
	char bytes[16];

	shmt_peer_await(&peer);
	for (uint64_t i = 0; i < CALLS; i++)
		ask_in_pipe(pipe, i);
	shmt_assert_ok(shmc_pipe_send(pipe, "?", 1, SHMC_FOREVER));
	shmt_peer_await(&peer);
	shmt_peer_kill(&peer);
	shmt_assert_ok(shmc_pipe_receive(pipe, bytes, sizeof(bytes), SHMC_FOREVER, &message));
	ck_assert_int_eq(memcmp(bytes, "last words", 10), 0);
	shmt_assert_result(shmc_pipe_receive(pipe, bytes, sizeof(bytes), SHMC_FOREVER, &message),
			   SHMC_PEER_DEAD);
	assert_unused_pipe(scene.client, "sim:left");
	assert_unused_pipe(scene.client, "sim:right");
	peer = shmt_peer_start(answer_in_pipe, &scene);
	shmt_assert_ok(shmc_pipe_wait_peer(pipe, SHMC_FOREVER));
	for (uint64_t i = 0; i < CALLS; i++)
		ask_in_pipe(pipe, i);
	shmt_peer_kill(&peer);
	shmc_pipe_close(pipe);
	scene_close(&scene);
}

/* Ring */

static void make_ring(struct shmc_client *client, const char *name)
{
	struct shmc_ring_options options = { .element_bytes = 24, .elements = ELEMENTS };

	shmt_assert_ok(shmc_ring_create(client, name, &options, NULL));
}

static struct shmc_ring *open_ring(struct shmc_client *client, const char *name,
				   enum shmc_ring_role role)
{
	struct shmc_ring *ring;

	shmt_assert_ok(shmc_ring_open(client, name, role, NULL, &ring, NULL));
	return ring;
}

struct element {
	uint64_t number[3];
};

static void push_elements(struct shmc_ring *ring, uint64_t first, uint64_t count)
{
	struct element elements[64];
	uint64_t went;

	for (uint64_t i = 0; i < count; i++)
		elements[i] = (struct element){ { first + i, ~(first + i), first * 3 } };
	shmt_assert_ok(shmc_ring_push(ring, elements, count, count, SHMC_FOREVER, &went));
}

static bool is_element(const struct element *element, uint64_t number)
{
	return element->number[0] == number && element->number[1] == ~number;
}

/* All there are; the first of which must be @number, and so on. */
static void expect_elements(const struct shmc_ring_span *span, uint64_t number)
{
	const struct element *elements = span->data;

	ck_assert_uint_eq(span->position, number);
	for (uint64_t i = 0; i < span->count; i++)
		if (!is_element(&elements[i], number + i))
			ck_abort_msg("%lu is not element %lu", (unsigned long)elements[i].number[0],
				     (unsigned long)(number + i));
}

static void push_laps(struct shmt_peer *test, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_ring *ring = open_ring(client, "sim:it", SHMC_RING_PRODUCER);
	uint64_t count = 0;
	void *room;

	/* in bulks of all sizes */
	for (uint64_t bulk = 1; count < LAPS * ELEMENTS; count += bulk, bulk = bulk % 64 + 1)
		push_elements(ring, count, bulk);
	shmt_peer_send(test, &count, sizeof(count));
	shmt_assert_ok(shmc_ring_reserve(ring, 2, 1, SHMC_FOREVER, &room, &count));
	memset(room, 0xff, 24);
	shmt_peer_tell(test);
	shmt_peer_hang();
}

static void assert_unused_ring(struct shmc_client *client, const char *name)
{
	struct shmc_ring *ring = open_ring(client, name, SHMC_RING_OBSERVER);
	struct shmc_ring_totals totals;

	shmt_assert_ok(shmc_ring_totals(ring, &totals));
	ck_assert_uint_eq(totals.pushed, 0);
	shmc_ring_close(ring);
}

TEST(a_rings_bulks_arrive_for_many_laps_before_its_producers_death)
{
	struct scene scene = scene_open(make_ring);
	struct shmt_peer peer = shmt_peer_start(push_laps, &scene);
	struct shmc_ring *ring = open_ring(scene.client, "sim:it", SHMC_RING_CONSUMER), *producer;
	struct element elements[50];
	struct shmc_ring_span span;
	uint64_t number = 0, count;

	while (number < LAPS * ELEMENTS) {
		shmt_assert_ok(
			shmc_ring_pop(ring, elements, 1 + number % 50, 1, SHMC_FOREVER, &span));
		expect_elements(&span, number);
		number += span.count;
	}
	shmt_peer_receive(&peer, &count, sizeof(count));
	shmt_peer_await(&peer);
	shmt_peer_kill(&peer);
	while (shmc_ring_pop(ring, elements, 50, 1, SHMC_FOREVER, &span) == SHMC_OK) {
		expect_elements(&span, number);
		number += span.count;
	}
	ck_assert_uint_eq(number, count);
	shmt_assert_result(shmc_ring_pop(ring, elements, 50, 1, SHMC_FOREVER, &span),
			   SHMC_PEER_DEAD);
	producer = open_ring(scene.client, "sim:it", SHMC_RING_PRODUCER);
	push_elements(producer, number, 30);
	shmt_assert_ok(shmc_ring_pop(ring, elements, 50, 30, SHMC_FOREVER, &span));
	expect_elements(&span, number);
	assert_unused_ring(scene.client, "sim:left");
	assert_unused_ring(scene.client, "sim:right");
	shmc_ring_close(producer);
	shmc_ring_close(ring);
	scene_close(&scene);
}

/* Takes some laps, and holds ten when it is killed. */
static void pop_laps(struct shmt_peer *test, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_ring *ring = open_ring(client, "sim:it", SHMC_RING_CONSUMER);
	struct shmc_ring_span span;
	struct element elements[50];
	uint64_t number = 0;

	for (; number < LAPS * ELEMENTS; number += span.count) {
		shmt_assert_ok(shmc_ring_pop(ring, elements, 50, 1, SHMC_FOREVER, &span));
		expect_elements(&span, number);
	}
	shmt_peer_send(test, &number, sizeof(number));
	shmt_assert_ok(shmc_ring_peek(ring, 0, 10, 10, SHMC_FOREVER, &span));
	expect_elements(&span, number);
	shmt_peer_tell(test);
	shmt_peer_hang();
}

TEST(what_a_killed_consumer_of_a_ring_had_in_hand_comes_again)
{
	struct scene scene = scene_open(make_ring);
	struct shmt_peer peer = shmt_peer_start(pop_laps, &scene);
	struct shmc_ring *ring = open_ring(scene.client, "sim:it", SHMC_RING_PRODUCER), *consumer;
	struct shmc_ring_span span;
	struct element elements[60];
	uint64_t taken, number = 0;

	/* the last bulks stay */
	for (; number < LAPS * ELEMENTS + 100; number += 50)
		push_elements(ring, number, 50);
	shmt_peer_receive(&peer, &taken, sizeof(taken));
	shmt_peer_await(&peer);
	shmt_peer_kill(&peer);
	while (shmc_ring_peer(ring) != SHMC_PEER_DIED)
		sched_yield();
	consumer = open_ring(scene.client, "sim:it", SHMC_RING_CONSUMER);
	shmt_assert_ok(shmc_ring_pop(consumer, elements, 60, 1, SHMC_FOREVER, &span));
	expect_elements(&span, taken);
	ck_assert_uint_eq(span.redelivered, 10);
	shmc_ring_close(consumer);
	shmc_ring_close(ring);
	scene_close(&scene);
}

/* Pool */

static void make_pool(struct shmc_client *client, const char *name)
{
	struct shmc_pool_options options = { .object_bytes = OBJECT_BYTES,
					     .objects = OBJECTS,
					     .endpoints_max = 4 };

	shmt_assert_ok(shmc_pool_create(client, name, &options, NULL));
}

static struct shmc_pool *open_pool(struct shmc_client *client, const char *name)
{
	struct shmc_pool *pool;

	shmt_assert_ok(shmc_pool_open(client, name, SHMC_POOL_USER, NULL, &pool, NULL));
	return pool;
}

static struct shmc_pool_statistics pool_statistics(const struct shmc_pool *pool)
{
	struct shmc_pool_statistics got;

	shmt_assert_ok(shmc_pool_statistics(pool, &got));
	return got;
}

/* Images by their handles, through a queue beside the pool; keeps two when it is killed. */
static void send_images(struct shmt_peer *test, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_pool *pool = open_pool(client, "sim:it");
	struct shmc_mpmc *queue = shmt_queue_open(client, "sim:handles", SHMC_MPMC_PRODUCER);
	uint64_t handle;
	void *data;

	for (int i = 0; i < CALLS; i++) {
		shmt_assert_ok(shmc_pool_acquire(pool, SHMC_FOREVER, &handle, &data));
		ck_assert_uint_eq((uintptr_t)data % 64, 0);
		memset(data, i, OBJECT_BYTES);
		shmt_assert_ok(shmc_pool_transfer(pool, handle, SHMC_POOL_ANYONE));
		shmt_assert_ok(shmt_queue_push(queue, handle, SHMC_FOREVER));
	}
	for (int i = 0; i < 2; i++)
		shmt_assert_ok(shmc_pool_acquire(pool, SHMC_FOREVER, &handle, &data));
	shmt_peer_tell(test);
	shmt_peer_hang();
}

static void assert_unused_pool(struct shmc_client *client, const char *name)
{
	struct shmc_pool *pool = open_pool(client, name);

	ck_assert_uint_eq(pool_statistics(pool).acquired, 0);
	shmc_pool_close(pool);
}

static void look_at_image(struct shmc_pool *pool, uint64_t handle, int what)
{
	const uint8_t *bytes;
	void *data;

	shmt_assert_ok(shmc_pool_claim(pool, handle, &data));
	bytes = data;
	for (int i = 0; i < OBJECT_BYTES; i++)
		if (bytes[i] != (uint8_t)what)
			ck_abort_msg("byte %d of image %d is %d", i, what, bytes[i]);
	shmt_assert_ok(shmc_pool_release(pool, handle));
}

TEST(a_pools_objects_go_to_another_process_and_come_back_from_the_dead)
{
	struct scene scene = scene_open(make_pool);
	uint64_t handles[OBJECTS], handle, count = 0;
	struct shmc_mpmc *queue;
	struct shmc_pool *pool;
	struct shmt_peer peer;
	uint32_t flags;

	shmt_queue_create(scene.client, "sim:handles",
			  (struct shmc_mpmc_options){ .slots = 16, .endpoints_max = 4 });
	peer = shmt_peer_start(send_images, &scene);
	queue = shmt_queue_open(scene.client, "sim:handles", SHMC_MPMC_CONSUMER);
	pool = open_pool(scene.client, "sim:it");
	for (int i = 0; i < CALLS; i++) {
		shmt_assert_ok(shmt_queue_pop(queue, &handle, &flags, SHMC_FOREVER));
		look_at_image(pool, handle, i);
	}
	shmt_peer_await(&peer);
	ck_assert_uint_eq(pool_statistics(pool).free, OBJECTS - 2);
	shmt_peer_kill(&peer);
	/* the last two when he is repaired */
	while (count < OBJECTS)
		shmt_assert_ok(shmc_pool_acquire(pool, SHMC_FOREVER, &handles[count++], NULL));
	shmt_assert_ok(shmc_pool_release_batch(pool, handles, OBJECTS, NULL));
	assert_unused_pool(scene.client, "sim:left");
	assert_unused_pool(scene.client, "sim:right");
	shmc_pool_close(pool);
	shmc_mpmc_close(queue);
	shmt_assert_ok(shmc_unlink(scene.client, "sim:handles", NULL));
	scene_close(&scene);
}

/* Rpc */

static void make_service(struct shmc_client *client, const char *name)
{
	struct shmc_rpc_options options = {
		.message_bytes_max = 1000, .calls = 4, .workers_max = 2, .clients_max = 2
	};

	shmt_assert_ok(shmc_rpc_create(client, name, &options, NULL));
}

static struct shmc_rpc *open_service(struct shmc_client *client, const char *name,
				     enum shmc_rpc_role role)
{
	struct shmc_rpc *rpc;

	shmt_assert_ok(shmc_rpc_open(client, name, role, &rpc, NULL));
	return rpc;
}

/* Does what comes, but hangs in the last one. */
static void work(struct shmt_peer *test, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_rpc *rpc = open_service(client, "sim:it", SHMC_RPC_WORKER);
	struct shmc_rpc_request request;

	for (int i = 0; i < CALLS; i++) {
		const uint8_t *bytes;

		shmt_assert_ok(shmc_rpc_take(rpc, SHMC_FOREVER, &request));
		bytes = request.data;
		memset(request.room, bytes[0] + 1, request.size);
		shmt_assert_ok(shmc_rpc_answer(rpc, &request, 0, request.room, request.size));
	}
	shmt_assert_ok(shmc_rpc_take(rpc, SHMC_FOREVER, &request));
	shmt_peer_tell(test);
	shmt_peer_hang();
}

static void expect_answer(struct shmc_rpc *rpc, uint64_t id, uint64_t number)
{
	uint8_t expected[1000];
	uint64_t size = question(expected, number);
	struct shmc_rpc_answer answer;

	memset(expected, (int)number + 1, size);
	shmt_assert_ok(shmc_rpc_receive(rpc, id, SHMC_FOREVER, &answer));
	ck_assert_uint_eq(answer.size, size);
	ck_assert_int_eq(memcmp(answer.data, expected, size), 0);
	shmt_assert_ok(shmc_rpc_end(rpc, id));
}

static void assert_unused_service(struct shmc_client *client, const char *name)
{
	struct shmc_rpc *rpc = open_service(client, name, SHMC_RPC_OBSERVER);
	struct shmc_rpc_statistics statistics;

	shmt_assert_ok(shmc_rpc_statistics(rpc, &statistics));
	ck_assert_uint_eq(statistics.called, 0);
	shmc_rpc_close(rpc);
}

TEST(a_service_answers_and_what_its_killed_worker_had_goes_to_the_next)
{
	struct scene scene = scene_open(make_service);
	struct shmt_peer peer = shmt_peer_start(work, &scene);
	struct shmc_rpc *rpc = open_service(scene.client, "sim:it", SHMC_RPC_CLIENT);
	struct shmc_rpc_answer answer;
	uint64_t ids[4], size;
	uint8_t bytes[1000];

	for (uint64_t i = 0; i < CALLS + 4; i++) {
		if (i >= 4)
			expect_answer(rpc, ids[i % 4], i - 4);
		size = question(bytes, i);
		if (i < CALLS)
			shmt_assert_ok(shmc_rpc_start(rpc, bytes, size, SHMC_FOREVER, &ids[i % 4]));
	}
	shmt_assert_ok(shmc_rpc_start(rpc, bytes, size, SHMC_FOREVER, &ids[0]));
	shmt_peer_await(&peer);
	shmt_peer_kill(&peer);
	shmt_assert_result(shmc_rpc_receive(rpc, ids[0], SHMC_FOREVER, &answer), SHMC_PEER_DEAD);
	peer = shmt_peer_start(work, &scene);
	shmt_assert_ok(shmc_rpc_wait_worker(rpc, SHMC_FOREVER));
	expect_answer(rpc, ids[0], CALLS + 3);
	shmt_peer_kill(&peer);
	assert_unused_service(scene.client, "sim:left");
	assert_unused_service(scene.client, "sim:right");
	shmc_rpc_close(rpc);
	scene_close(&scene);
}

SHMT_MAIN
