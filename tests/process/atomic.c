/* Atomics through the library and a real broker: every type, every operation, waits across processes. */
#include <float.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

enum {
	PEERS = 4,
	INCREMENTS = 1000
};

#define MS_NS	INT64_C(1000000)
#define RELAXED SHMC_ORDER_RELAXED
#define SEQ_CST SHMC_ORDER_SEQ_CST

static const enum shmc_type types[] = { SHMC_TYPE_BOOL, SHMC_TYPE_I32, SHMC_TYPE_U32,
					SHMC_TYPE_I64,	SHMC_TYPE_U64, SHMC_TYPE_DOUBLE };
enum {
	TYPES = sizeof(types) / sizeof(types[0])
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_atomic *atomic;
	size_t descriptors, brokers;
};

static struct shmc_atomic *open_atomic(struct shmc_client *client, enum shmc_atomic_role role)
{
	struct shmc_error error = { .text = "" };
	struct shmc_atomic *atomic = NULL;

	ck_assert_msg(shmc_atomic_open(client, "atomic", role, SHMC_TYPE_BYTES, &atomic, &error) ==
			      SHMC_OK,
		      "%s", error.text);
	return atomic;
}

static void create(struct shmc_client *client, enum shmc_type type)
{
	struct shmc_atomic_options options = { .type = type };
	struct shmc_error error = { .text = "" };

	ck_assert_msg(shmc_atomic_create(client, "atomic", &options, &error) == SHMC_OK, "%s",
		      error.text);
}

static struct scene scene_open(enum shmc_type type)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.brokers = shmt_broker_descriptors(&scene.broker);
	scene.client = shmt_connect(&scene.broker);
	create(scene.client, type);
	scene.atomic = open_atomic(scene.client, SHMC_ATOMIC_WRITER);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_atomic_close(scene->atomic);
	shmt_assert_ok(shmc_unlink(scene->client, "atomic", NULL));
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_settle(&scene->broker, scene->brokers);
	shmt_broker_stop(&scene->broker);
}

static uint64_t value_of(struct shmc_atomic *atomic)
{
	uint64_t value = 0;

	shmt_assert_ok(shmc_atomic_load(atomic, SHMC_ORDER_ACQUIRE, &value));
	return value;
}

static void expect_change(enum shmc_result result, const uint64_t *before, uint64_t expected)
{
	shmt_assert_ok(result);
	ck_assert_uint_eq(*before, expected);
}

static void check_bits(struct shmc_atomic *atomic, uint64_t all)
{
	uint64_t before = 77;

	shmt_assert_ok(shmc_atomic_store(atomic, 0, SEQ_CST));
	expect_change(shmc_atomic_or(atomic, all, RELAXED, &before), &before, 0);
	expect_change(shmc_atomic_and(atomic, 1, SHMC_ORDER_ACQ_REL, &before), &before, all);
	expect_change(shmc_atomic_xor(atomic, 1, SEQ_CST, &before), &before, 1);
	expect_change(shmc_atomic_exchange(atomic, all, SEQ_CST, &before), &before, 0);
	ck_assert_uint_eq(value_of(atomic), all);
}

TEST(bitwise_operations_work_on_every_integer_and_on_bools)
{
	static const uint64_t all[TYPES] = { 1, UINT64_MAX, UINT32_MAX, UINT64_MAX, UINT64_MAX };

	for (int i = 0; types[i] != SHMC_TYPE_DOUBLE; i++) {
		struct scene scene = scene_open(types[i]);

		ck_assert_int_eq(shmc_atomic_type(scene.atomic), types[i]);
		check_bits(scene.atomic, all[i]);
		scene_close(&scene);
	}
}

/* The type's smallest and largest values, and that a step beyond them wraps around. */
TEST(sums_wrap_around_in_the_type)
{
	static const struct {
		enum shmc_type type;
		uint64_t least, most;
	} rows[] = {
		{ SHMC_TYPE_I32, (uint64_t)(int64_t)INT32_MIN, INT32_MAX },
		{ SHMC_TYPE_U32, 0, UINT32_MAX },
		{ SHMC_TYPE_I64, (uint64_t)INT64_MIN, INT64_MAX },
		{ SHMC_TYPE_U64, 0, UINT64_MAX },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scene scene = scene_open(rows[i].type);
		uint64_t before;

		shmt_assert_ok(shmc_atomic_store(scene.atomic, rows[i].most, SEQ_CST));
		expect_change(shmc_atomic_add(scene.atomic, 1, SEQ_CST, &before), &before,
			      rows[i].most);
		ck_assert_uint_eq(value_of(scene.atomic), rows[i].least);
		shmt_assert_ok(shmc_atomic_subtract(scene.atomic, 1, SEQ_CST, NULL));
		ck_assert_uint_eq(value_of(scene.atomic), rows[i].most);
		shmt_assert_ok(shmc_atomic_subtract(scene.atomic, 5, SEQ_CST, NULL));
		ck_assert_uint_eq(value_of(scene.atomic), rows[i].most - 5);
		scene_close(&scene);
	}
}

TEST(doubles_keep_every_bit)
{
	struct scene scene = scene_open(SHMC_TYPE_DOUBLE);
	const double values[] = { 0.0,		-0.0,	  DBL_MIN,   DBL_MAX,	  -DBL_MAX,
				  DBL_TRUE_MIN, INFINITY, -INFINITY, (double)NAN, 0.1 };
	uint32_t is_done;
	double got, before;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		shmt_assert_ok(shmc_atomic_store_double(scene.atomic, values[i], SEQ_CST));
		shmt_assert_ok(shmc_atomic_load_double(scene.atomic, SEQ_CST, &got));
		ck_assert_int_eq(memcmp(&got, &values[i], sizeof(got)), 0);
	}
	shmt_assert_ok(shmc_atomic_add_double(scene.atomic, 0.5, &before));
	ck_assert(before == 0.1);
	got = 0.6;
	shmt_assert_ok(shmc_atomic_compare_exchange_double(scene.atomic, &got, 7, &is_done));
	ck_assert_uint_eq(is_done, 1);
	shmt_assert_ok(shmc_atomic_compare_exchange_double(scene.atomic, &got, 8, &is_done));
	ck_assert(is_done == 0 && got == 7);
	shmt_assert_ok(shmc_atomic_exchange_double(scene.atomic, 9, RELAXED, &before));
	ck_assert(before == 7);
	scene_close(&scene);
}

TEST(what_the_type_cannot_hold_is_refused_and_changes_nothing)
{
	struct scene scene = scene_open(SHMC_TYPE_I32);
	uint64_t too_big = UINT64_C(1) << 31, one = 1;
	uint32_t is_done;
	double number;

	shmt_assert_result(shmc_atomic_store(scene.atomic, too_big, SEQ_CST), SHMC_INVALID);
	shmt_assert_result(shmc_atomic_exchange(scene.atomic, too_big, SEQ_CST, NULL),
			   SHMC_INVALID);
	shmt_assert_result(shmc_atomic_or(scene.atomic, too_big, SEQ_CST, NULL), SHMC_INVALID);
	shmt_assert_result(shmc_atomic_compare_exchange(scene.atomic, &one, too_big, &is_done),
			   SHMC_INVALID);
	shmt_assert_result(shmc_atomic_add(scene.atomic, UINT64_C(1) << 40, SEQ_CST, NULL),
			   SHMC_INVALID);
	shmt_assert_result(shmc_atomic_store_double(scene.atomic, 1, SEQ_CST), SHMC_INVALID);
	shmt_assert_result(shmc_atomic_load_double(scene.atomic, SEQ_CST, &number), SHMC_INVALID);
	shmt_assert_result(shmc_atomic_load(scene.atomic, SHMC_ORDER_RELEASE, &one), SHMC_INVALID);
	shmt_assert_result(shmc_atomic_store(scene.atomic, 1, SHMC_ORDER_ACQUIRE), SHMC_INVALID);
	shmt_assert_result(shmc_atomic_add(scene.atomic, 1, (enum shmc_order)9, NULL),
			   SHMC_INVALID);
	ck_assert_uint_eq(value_of(scene.atomic), 0);
	scene_close(&scene);
	scene = scene_open(SHMC_TYPE_BOOL);
	shmt_assert_result(shmc_atomic_store(scene.atomic, 2, SEQ_CST), SHMC_INVALID);
	shmt_assert_result(shmc_atomic_add(scene.atomic, 1, SEQ_CST, NULL), SHMC_INVALID);
	scene_close(&scene);
}

TEST(another_type_is_not_opened)
{
	struct scene scene = scene_open(SHMC_TYPE_U32);
	struct shmc_atomic_options options = { .type = SHMC_TYPE_FLOAT };
	struct shmc_atomic *atomic;
	struct shmc_error error;

	shmt_assert_result(shmc_atomic_open(scene.client, "atomic", SHMC_ATOMIC_READER,
					    SHMC_TYPE_I32, &atomic, &error),
			   SHMC_MISMATCH);
	shmt_assert_says(&error, "atomic is u32, not i32");
	shmt_assert_result(shmc_atomic_create(scene.client, "float", &options, &error),
			   SHMC_INVALID);
	shmt_assert_says(&error, "type");
	options = (struct shmc_atomic_options){ .type = SHMC_TYPE_I64, .reuse = 1 };
	shmt_assert_result(shmc_atomic_create(scene.client, "atomic", &options, &error),
			   SHMC_MISMATCH);
	shmt_assert_says(&error, "type 8, not 5");
	scene_close(&scene);
}

TEST(a_reader_may_load_and_wait_and_nothing_else)
{
	struct scene scene = scene_open(SHMC_TYPE_U64);
	struct shmc_atomic *reader = open_atomic(scene.client, SHMC_ATOMIC_READER);

	shmt_assert_ok(shmc_atomic_store(scene.atomic, 5, SEQ_CST));
	ck_assert_uint_eq(value_of(reader), 5);
	shmt_assert_result(shmc_atomic_store(reader, 1, SEQ_CST), SHMC_INVALID);
	shmt_assert_result(shmc_atomic_add(reader, 1, SEQ_CST, NULL), SHMC_INVALID);
	shmt_assert_result(shmc_atomic_wake(reader), SHMC_INVALID);
	shmt_assert_result(shmc_atomic_wait(reader, 5, SHMC_TRY, NULL), SHMC_EMPTY);
	shmt_assert_result(shmc_atomic_wait(reader, 5, MS_NS, NULL), SHMC_TIMEOUT);
	shmt_assert_ok(shmc_atomic_wait(reader, 4, SHMC_FOREVER, NULL));
	shmc_atomic_close(reader);
	scene_close(&scene);
}

/* As the type allows: added, or set by a compare-exchange loop, or handed around. */
static void increment(struct shmc_atomic *atomic, int way)
{
	uint64_t now = 0;
	uint32_t is_done = 0;
	double number = 0;

	if (shmc_atomic_type(atomic) == SHMC_TYPE_DOUBLE && way == 0) {
		shmt_assert_ok(shmc_atomic_add_double(atomic, 1, NULL));
		return;
	}
	if (shmc_atomic_type(atomic) == SHMC_TYPE_DOUBLE) {
		shmt_assert_ok(shmc_atomic_load_double(atomic, RELAXED, &number));
		while (!is_done)
			shmt_assert_ok(shmc_atomic_compare_exchange_double(atomic, &number,
									   number + 1, &is_done));
		return;
	}
	if (way == 0) {
		shmt_assert_ok(shmc_atomic_add(atomic, 1, RELAXED, NULL));
		return;
	}
	shmt_assert_ok(shmc_atomic_load(atomic, RELAXED, &now));
	while (!is_done)
		shmt_assert_ok(shmc_atomic_compare_exchange(atomic, &now, now + 1, &is_done));
}

static void increment_many(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_atomic *atomic;

	shmt_peer_await(test);
	client = shmt_connect(broker);
	atomic = open_atomic(client, SHMC_ATOMIC_WRITER);
	for (int i = 0; i < INCREMENTS; i++)
		increment(atomic, i & 1);
	shmc_atomic_close(atomic);
	shmc_disconnect(client);
}

TEST(four_processes_of_a_thousand_increments_make_four_thousand, .rounds = TYPES - 1,
     .timeout_s = 60)
{
	enum shmc_type type = types[_i + 1];
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer[PEERS];
	struct shmc_client *client;
	struct shmc_atomic *atomic;
	double number = PEERS * INCREMENTS;

	for (int i = 0; i < PEERS; i++)
		peer[i] = shmt_peer_start(increment_many, &broker);
	client = shmt_connect(&broker);
	create(client, type);
	for (int i = 0; i < PEERS; i++)
		shmt_peer_tell(&peer[i]);
	for (int i = 0; i < PEERS; i++)
		shmt_peer_join(&peer[i]);
	atomic = open_atomic(client, SHMC_ATOMIC_READER);
	if (type == SHMC_TYPE_DOUBLE)
		shmt_assert_ok(shmc_atomic_load_double(atomic, SEQ_CST, &number));
	else
		ck_assert_uint_eq(value_of(atomic), PEERS * INCREMENTS);
	ck_assert(number == PEERS * INCREMENTS);
	shmc_atomic_close(atomic);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

/* A bool has no sum: it is a lock that is spun for, around a plain number beside it. */
static void take_turns(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_atomic *atomic;
	struct shmc_array *array;
	uint64_t before;

	shmt_peer_await(test);
	client = shmt_connect(broker);
	atomic = open_atomic(client, SHMC_ATOMIC_WRITER);
	shmt_assert_ok(shmc_array_open(client, "number", SHMC_ARRAY_WRITER, NULL, &array, NULL));
	for (int i = 0; i < INCREMENTS; i++) {
		for (;;) {
			shmt_assert_ok(shmc_atomic_exchange(atomic, 1, SEQ_CST, &before));
			if (before == 0)
				break;
			shmt_assert_ok(shmc_atomic_wait(atomic, 1, SHMC_FOREVER, NULL));
		}
		++*(uint64_t *)shmc_array_edit(array);
		shmt_assert_ok(shmc_atomic_store(atomic, 0, SHMC_ORDER_RELEASE));
	}
	shmc_array_close(array);
	shmc_atomic_close(atomic);
	shmc_disconnect(client);
}

TEST(four_processes_take_turns_by_a_bool, .timeout_s = 60)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer[PEERS];
	struct shmc_array_options options = { .element_bytes = 8, .elements = 1 };
	struct shmc_client *client;
	struct shmc_array *array;

	for (int i = 0; i < PEERS; i++)
		peer[i] = shmt_peer_start(take_turns, &broker);
	client = shmt_connect(&broker);
	create(client, SHMC_TYPE_BOOL);
	shmt_assert_ok(shmc_array_create(client, "number", &options, NULL));
	for (int i = 0; i < PEERS; i++)
		shmt_peer_tell(&peer[i]);
	for (int i = 0; i < PEERS; i++)
		shmt_peer_join(&peer[i]);
	shmt_assert_ok(shmc_array_open(client, "number", SHMC_ARRAY_READER, NULL, &array, NULL));
	ck_assert_uint_eq(*(const uint64_t *)shmc_array_data(array), PEERS * INCREMENTS);
	shmc_array_close(array);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static void await_and_answer(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_atomic *atomic;
	uint64_t now;

	shmt_peer_await(test);
	client = shmt_connect_as(broker, (struct shmc_client_options){ .spin_ns = -1 });
	atomic = open_atomic(client, SHMC_ATOMIC_WRITER);
	for (uint64_t turn = 0; turn < 200; turn += 2) {
		do
			shmt_assert_ok(shmc_atomic_wait(atomic, turn, SHMC_FOREVER, &now));
		while (now != turn + 1);
		shmt_assert_ok(shmc_atomic_store(atomic, turn + 2, SHMC_ORDER_RELEASE));
	}
	shmc_atomic_close(atomic);
	shmc_disconnect(client);
}

TEST(two_processes_wake_each_other, .timeout_s = 60)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer = shmt_peer_start(await_and_answer, &broker);
	struct shmc_client *client = shmt_connect_as(&broker,
						     (struct shmc_client_options){ .spin_ns = -1 });
	struct shmc_statistics statistics;
	struct shmc_atomic *atomic;

	create(client, SHMC_TYPE_U32);
	atomic = open_atomic(client, SHMC_ATOMIC_WRITER);
	shmt_peer_tell(&peer);
	for (uint64_t turn = 0; turn < 200; turn += 2) {
		shmt_assert_ok(shmc_atomic_add(atomic, 1, SEQ_CST, NULL));
		shmt_assert_ok(shmc_atomic_wait(atomic, turn + 1, SHMC_FOREVER, NULL));
	}
	shmt_peer_join(&peer);
	shmt_assert_ok(shmc_atomic_statistics(atomic, &statistics));
	ck_assert_uint_eq(statistics.messages, 200);
	ck_assert_uint_gt(statistics.waits, 0);
	shmc_atomic_close(atomic);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

TEST(a_descriptor_tells_of_changes)
{
	struct scene scene = scene_open(SHMC_TYPE_DOUBLE);
	struct shmc_atomic *reader = open_atomic(scene.client, SHMC_ATOMIC_READER);
	double now;
	int fd;

	shmt_assert_ok(shmc_atomic_fd(reader, &fd, NULL));
	shmt_assert_result(shmc_atomic_wait_double(reader, 0, SHMC_TRY, NULL), SHMC_EMPTY);
	ck_assert(!is_readable(fd, 0));
	shmt_assert_ok(shmc_atomic_add_double(scene.atomic, 2, NULL));
	ck_assert(is_readable(fd, 10000));
	shmt_assert_ok(shmc_atomic_wait_double(reader, 0, SHMC_TRY, &now));
	ck_assert(now == 2);
	shmc_atomic_close(reader);
	scene_close(&scene);
}

TEST(an_observer_sees_the_value_and_makes_no_move)
{
	struct scene scene = scene_open(SHMC_TYPE_I32);
	struct shmc_atomic *observer = open_atomic(scene.client, SHMC_ATOMIC_OBSERVER);

	shmt_assert_ok(shmc_atomic_store(scene.atomic, (uint64_t)-7, SEQ_CST));
	ck_assert_uint_eq(value_of(observer), (uint64_t)-7);
	shmt_assert_result(shmc_atomic_wait(observer, 0, SHMC_TRY, NULL), SHMC_INVALID);
	shmt_assert_result(shmc_atomic_store(observer, 0, SEQ_CST), SHMC_INVALID);
	shmc_atomic_close(observer);
	scene_close(&scene);
}

static void change_and_die(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_atomic *atomic;

	shmt_be_child();
	shmt_peer_await(test);
	client = shmt_connect(broker);
	atomic = open_atomic(client, SHMC_ATOMIC_WRITER);
	shmt_assert_ok(shmc_atomic_store(atomic, 41, SEQ_CST));
	shmt_peer_tell(test);
	shmt_assert_ok(shmc_atomic_wait(atomic, 41, SHMC_FOREVER, NULL));
	shmt_peer_hang();
}

TEST(a_killed_waiter_leaves_the_value_and_nothing_else)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer = shmt_peer_start(change_and_die, &broker);
	struct shmc_client *client = shmt_connect(&broker);
	size_t descriptors;
	struct shmc_atomic *atomic;

	create(client, SHMC_TYPE_I64);
	descriptors = shmt_broker_descriptors(&broker);
	shmt_peer_tell(&peer);
	shmt_peer_await(&peer);
	shmt_peer_kill(&peer);
	shmt_broker_settle(&broker, descriptors);
	atomic = open_atomic(client, SHMC_ATOMIC_WRITER);
	ck_assert_uint_eq(value_of(atomic), 41);
	shmt_assert_ok(shmc_atomic_add(atomic, 1, SEQ_CST, NULL));
	shmc_atomic_close(atomic);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

SHMT_MAIN
