/* Rings through the library and a real broker: bulks, overwriting, waiting, deaths, observers. */
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

#define MS_NS INT64_C(1000000)

enum {
	OBSERVERS = 4,
	DEATHS = 30
};

struct sample {
	uint64_t number;
	double value;
	char unit[8];
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_ring *producer;
	struct shmc_ring *consumer;
	size_t descriptors, brokers;
};

static struct shmc_ring *open_ring(struct shmc_client *client, enum shmc_ring_role role)
{
	struct shmc_error error = { .text = "" };
	struct shmc_ring *ring = NULL;

	ck_assert_msg(shmc_ring_open(client, "ring", role, NULL, &ring, &error) == SHMC_OK, "%s",
		      error.text);
	return ring;
}

static void create(struct shmc_client *client, uint64_t element_bytes, uint64_t elements)
{
	struct shmc_ring_options options = { .element_bytes = element_bytes, .elements = elements };
	struct shmc_error error = { .text = "" };

	ck_assert_msg(shmc_ring_create(client, "ring", &options, &error) == SHMC_OK, "%s",
		      error.text);
}

static struct scene scene_open(uint64_t element_bytes, uint64_t elements)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.brokers = shmt_broker_descriptors(&scene.broker);
	scene.client = shmt_connect(&scene.broker);
	create(scene.client, element_bytes, elements);
	scene.producer = open_ring(scene.client, SHMC_RING_PRODUCER);
	scene.consumer = open_ring(scene.client, SHMC_RING_CONSUMER);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_ring_close(scene->producer);
	shmc_ring_close(scene->consumer);
	shmt_assert_ok(shmc_unlink(scene->client, "ring", NULL));
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_settle(&scene->broker, scene->brokers);
	shmt_broker_stop(&scene->broker);
}

/* Numbers @first and on. */
static const uint64_t *numbers(uint64_t first, uint64_t count)
{
	static uint64_t made[4096];

	for (uint64_t i = 0; i < count; i++)
		made[i] = first + i;
	return made;
}

static enum shmc_result push(struct shmc_ring *ring, uint64_t first, uint64_t count,
			     uint64_t *ret_count)
{
	return shmc_ring_push(ring, numbers(first, count), count, 1, SHMC_TRY, ret_count);
}

static void expect(struct shmc_ring *ring, uint64_t first, uint64_t count)
{
	struct shmc_ring_span span;
	uint64_t got[4096];

	shmt_assert_ok(shmc_ring_pop(ring, got, count, count, SHMC_FOREVER, &span));
	ck_assert_uint_eq(span.count, count);
	ck_assert_int_eq(memcmp(got, numbers(first, count), count * 8), 0);
}

TEST(bulks_go_and_come_in_part)
{
	struct scene scene = scene_open(8, 7);
	struct shmc_ring_span span;
	uint64_t got[16], count;

	shmt_assert_ok(push(scene.producer, 0, 10, &count));
	ck_assert_uint_eq(count, 7);
	shmt_assert_result(push(scene.producer, 7, 1, &count), SHMC_FULL);
	shmt_assert_result(shmc_ring_push(scene.producer, got, 10, 8, SHMC_TRY, &count),
			   SHMC_TOO_BIG);
	shmt_assert_result(shmc_ring_push(scene.producer, got, 1, 1, 10 * MS_NS, &count),
			   SHMC_TIMEOUT);
	expect(scene.consumer, 0, 3);
	shmt_assert_ok(shmc_ring_pop(scene.consumer, got, 16, 1, SHMC_TRY, &span));
	ck_assert_uint_eq(span.count, 4);
	ck_assert_uint_eq(span.position, 3);
	shmt_assert_result(shmc_ring_pop(scene.consumer, got, 16, 1, SHMC_TRY, &span), SHMC_EMPTY);
	shmt_assert_result(shmc_ring_pop(scene.consumer, got, 16, 1, 10 * MS_NS, &span),
			   SHMC_TIMEOUT);
	scene_close(&scene);
}

TEST(what_makes_no_sense_is_refused)
{
	struct scene scene = scene_open(8, 7);
	struct shmc_ring_span span;
	uint64_t got[8], count;
	void *room;

	shmt_assert_result(shmc_ring_push(scene.producer, got, 3, 0, SHMC_TRY, &count),
			   SHMC_INVALID);
	shmt_assert_result(shmc_ring_push(scene.producer, got, 3, 4, SHMC_TRY, &count),
			   SHMC_INVALID);
	shmt_assert_result(shmc_ring_push(scene.consumer, got, 1, 1, SHMC_TRY, &count),
			   SHMC_INVALID);
	shmt_assert_result(shmc_ring_push_overwrite(scene.producer, got, 0), SHMC_INVALID);
	shmt_assert_result(shmc_ring_push_overwrite(scene.producer, got, UINT64_MAX), SHMC_INVALID);
	shmt_assert_result(shmc_ring_commit(scene.producer, 1), SHMC_INVALID);
	shmt_assert_result(shmc_ring_pop(scene.producer, got, 1, 1, SHMC_TRY, &span), SHMC_INVALID);
	shmt_assert_result(shmc_ring_pop(scene.consumer, got, 1, 0, SHMC_TRY, &span), SHMC_INVALID);
	shmt_assert_result(shmc_ring_release(scene.consumer, 0), SHMC_INVALID);
	shmt_assert_result(shmc_ring_skip(scene.producer, 1, &count), SHMC_INVALID);
	shmt_assert_result(shmc_ring_read(scene.producer, 0, got, 0, &count), SHMC_INVALID);
	shmt_assert_ok(shmc_ring_reserve(scene.producer, 3, 3, SHMC_TRY, &room, &count));
	shmt_assert_result(push(scene.producer, 0, 1, &count), SHMC_INVALID);
	shmt_assert_result(shmc_ring_push_overwrite(scene.producer, got, 1), SHMC_INVALID);
	shmt_assert_result(shmc_ring_commit(scene.producer, 4), SHMC_INVALID);
	shmt_assert_ok(shmc_ring_abort(scene.producer));
	shmt_assert_ok(push(scene.producer, 0, 3, &count));
	shmt_assert_ok(shmc_ring_peek(scene.consumer, 0, 2, 2, SHMC_TRY, &span));
	shmt_assert_result(shmc_ring_pop(scene.consumer, got, 1, 1, SHMC_TRY, &span), SHMC_INVALID);
	shmt_assert_result(shmc_ring_skip(scene.consumer, 1, NULL), SHMC_INVALID);
	shmt_assert_result(shmc_ring_release(scene.consumer, 3), SHMC_INVALID);
	shmt_assert_ok(shmc_ring_release(scene.consumer, 0));
	expect(scene.consumer, 0, 3);
	scene_close(&scene);
}

TEST(overwriting_keeps_the_newest_and_counts_the_others)
{
	struct scene scene = scene_open(8, 5);
	struct shmc_ring_totals totals;
	struct shmc_ring_span span;
	uint64_t got[20];

	shmt_assert_ok(shmc_ring_push_overwrite(scene.producer, numbers(0, 20), 20));
	shmt_assert_ok(shmc_ring_pop(scene.consumer, got, 20, 1, SHMC_TRY, &span));
	ck_assert_uint_eq(span.count, 5);
	ck_assert_uint_eq(span.lost, 15);
	ck_assert_int_eq(memcmp(got, numbers(15, 5), 40), 0);
	shmt_assert_ok(shmc_ring_totals(scene.producer, &totals));
	ck_assert_uint_eq(totals.pushed, 20);
	ck_assert_uint_eq(totals.popped, 5);
	ck_assert_uint_eq(totals.overwritten, 15);
	ck_assert_uint_eq(totals.depth, 0);
	scene_close(&scene);
}

TEST(structs_are_written_and_read_in_place)
{
	struct scene scene = scene_open(sizeof(struct sample), 100);
	struct shmc_ring_span span;

	for (uint64_t i = 0; i < 1000; i++) {
		const struct sample *seen;
		struct sample *room;
		uint64_t count;

		shmt_assert_ok(
			shmc_ring_reserve(scene.producer, 7, 7, SHMC_TRY, (void **)&room, &count));
		ck_assert_uint_eq((uintptr_t)room % _Alignof(struct sample), 0);
		for (uint64_t k = 0; k < 7; k++)
			room[k] = (struct sample){ i * 7 + k, 0.5, "bar" };
		shmt_assert_ok(shmc_ring_commit(scene.producer, 7));
		shmt_assert_ok(shmc_ring_peek(scene.consumer, 3, 4, 4, SHMC_TRY, &span));
		seen = span.data;
		ck_assert_uint_eq(seen[3].number, i * 7 + 6);
		ck_assert_str_eq(seen[0].unit, "bar");
		shmt_assert_ok(shmc_ring_release(scene.consumer, 7));
	}
	scene_close(&scene);
}

TEST(what_was_overwritten_while_it_was_looked_at_is_told)
{
	struct scene scene = scene_open(8, 4);
	struct shmc_ring_span span;
	uint64_t count;

	shmt_assert_ok(push(scene.producer, 0, 4, &count));
	shmt_assert_ok(shmc_ring_peek(scene.consumer, 0, 4, 4, SHMC_TRY, &span));
	shmt_assert_ok(shmc_ring_push_overwrite(scene.producer, numbers(4, 1), 1));
	shmt_assert_result(shmc_ring_release(scene.consumer, 2), SHMC_LAPPED);
	expect(scene.consumer, 2, 3);
	scene_close(&scene);
}

TEST(skip_clear_read_and_last_say_how_many)
{
	struct scene scene = scene_open(8, 50);
	uint64_t got[50], count;

	shmt_assert_result(shmc_ring_last(scene.consumer, got, 5, &count), SHMC_EMPTY);
	shmt_assert_ok(push(scene.producer, 0, 30, &count));
	shmt_assert_ok(shmc_ring_skip(scene.consumer, 10, &count));
	ck_assert_uint_eq(count, 10);
	shmt_assert_ok(shmc_ring_read(scene.producer, 5, got, 50, &count));
	ck_assert_uint_eq(count, 15);
	ck_assert_int_eq(memcmp(got, numbers(15, 15), 15 * 8), 0);
	shmt_assert_ok(shmc_ring_last(scene.consumer, got, 3, &count));
	ck_assert_uint_eq(count, 3);
	ck_assert_int_eq(memcmp(got, numbers(27, 3), 3 * 8), 0);
	shmt_assert_ok(shmc_ring_skip(scene.consumer, 15, NULL));
	shmt_assert_ok(shmc_ring_skip(scene.consumer, 15, &count));
	ck_assert_uint_eq(count, 5);
	shmt_assert_ok(push(scene.producer, 0, 30, &count));
	shmt_assert_ok(shmc_ring_clear(scene.consumer, &count));
	ck_assert_uint_eq(count, 30);
	shmt_assert_ok(shmc_ring_clear(scene.consumer, NULL));
	scene_close(&scene);
}

TEST(one_of_another_size_count_or_type_is_not_opened)
{
	struct scene scene = scene_open(8, 50);
	struct shmc_ring_options expected = { .element_bytes = 8, .elements = 50 };
	struct shmc_ring *ring;
	struct shmc_error error;

	shmt_assert_ok(
		shmc_ring_open(scene.client, "ring", SHMC_RING_OBSERVER, &expected, &ring, &error));
	shmt_assert_ok(shmc_ring_options_of(ring, &expected));
	ck_assert_uint_eq(expected.elements, 50);
	shmc_ring_close(ring);
	expected.element_bytes = 4;
	shmt_assert_result(
		shmc_ring_open(scene.client, "ring", SHMC_RING_OBSERVER, &expected, &ring, &error),
		SHMC_MISMATCH);
	shmt_assert_says(&error, "ring: its element_bytes is 8, not 4");
	shmt_assert_result(
		shmc_ring_open(scene.client, "ring", SHMC_RING_PRODUCER, NULL, &ring, &error),
		SHMC_BUSY);
	scene_close(&scene);
}

/* Waiting */

static void push_slowly(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client = shmt_connect(broker);
	struct shmc_ring *ring = open_ring(client, SHMC_RING_PRODUCER);
	uint64_t sizes[] = { 1, 3, 60, 36 }, at = 0, count;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		shmt_peer_await(test);
		shmt_assert_ok(push(ring, at, sizes[i], &count));
		at += count;
	}
	shmt_peer_await(test);
	shmc_ring_close(ring);
	shmc_disconnect(client);
}

TEST(who_waits_for_many_sleeps_until_so_many_are_there)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_ring_totals totals;
	struct shmc_ring_span span;
	struct shmt_peer peer;
	struct shmc_ring *ring;
	uint64_t got[128];

	create(client, 8, 100);
	peer = shmt_peer_start(push_slowly, &broker);
	ring = open_ring(client, SHMC_RING_CONSUMER);
	for (int i = 0; i < 3; i++)
		shmt_peer_tell(&peer);
	shmt_assert_ok(shmc_ring_pop(ring, got, 128, 64, SHMC_FOREVER, &span));
	ck_assert_uint_eq(span.count, 64);
	shmt_assert_result(shmc_ring_pop(ring, got, 128, 64, 20 * MS_NS, &span), SHMC_TIMEOUT);
	shmt_assert_ok(shmc_ring_totals(ring, &totals));
	ck_assert_uint_gt(totals.pop_waits, 0);
	/* of one who has gone, what is left */
	shmt_peer_tell(&peer);
	shmt_peer_tell(&peer);
	shmt_assert_ok(shmc_ring_pop(ring, got, 128, 64, SHMC_FOREVER, &span));
	ck_assert_uint_eq(span.count, 36);
	ck_assert_int_eq(memcmp(got, numbers(64, 36), 36 * 8), 0);
	shmt_assert_result(shmc_ring_pop(ring, got, 128, 1, SHMC_FOREVER, &span), SHMC_CLOSED);
	shmt_peer_join(&peer);
	shmc_ring_close(ring);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static void take_slowly(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client = shmt_connect(broker);
	struct shmc_ring *ring = open_ring(client, SHMC_RING_CONSUMER);
	struct shmc_ring_totals totals;

	do {
		sched_yield();
		shmt_assert_ok(shmc_ring_totals(ring, &totals));
	} while (totals.push_waits == 0);
	expect(ring, 0, 10);
	expect(ring, 10, 50);
	shmt_peer_tell(test);
	shmt_peer_hang();
}

TEST(who_waits_for_room_sleeps_until_it_is_there_or_nobody_is_left_to_make_it)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmt_peer peer;
	struct shmc_ring *ring;
	uint64_t count;

	create(client, 8, 100);
	ring = open_ring(client, SHMC_RING_PRODUCER);
	peer = shmt_peer_start(take_slowly, &broker);
	shmt_assert_ok(push(ring, 0, 100, &count));
	shmt_assert_ok(shmc_ring_push(ring, numbers(100, 60), 60, 60, SHMC_FOREVER, &count));
	shmt_peer_await(&peer);
	shmt_peer_kill_soon(&peer);
	shmt_assert_result(shmc_ring_push(ring, numbers(160, 60), 60, 60, SHMC_FOREVER, &count),
			   SHMC_PEER_DEAD);
	ck_assert_int_eq(shmc_ring_peer(ring), SHMC_PEER_DIED);
	shmt_peer_reap(&peer);
	shmc_ring_close(ring);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

TEST(its_descriptor_is_readable_when_there_is_something)
{
	struct scene scene = scene_open(8, 10);
	struct shmc_ring_span span;
	uint64_t got[10], count;
	int fd;

	shmt_assert_result(shmc_ring_fd(scene.producer, &fd, NULL), SHMC_INVALID);
	shmt_assert_ok(shmc_ring_fd(scene.consumer, &fd, NULL));
	for (int i = 0; i < 3; i++) {
		while (shmc_ring_pop(scene.consumer, got, 10, 1, SHMC_TRY, &span) == SHMC_OK)
			;
		ck_assert(!is_readable(fd, 0));
		shmt_assert_ok(push(scene.producer, 0, 2, &count));
		ck_assert(is_readable(fd, 5000));
		expect(scene.consumer, 0, 2);
	}
	while (shmc_ring_pop(scene.consumer, got, 10, 1, SHMC_TRY, &span) == SHMC_OK)
		;
	ck_assert(!is_readable(fd, 0));
	scene.producer = shmc_ring_close(scene.producer);
	ck_assert(is_readable(fd, 5000));
	shmt_assert_result(shmc_ring_pop(scene.consumer, got, 10, 1, SHMC_TRY, &span), SHMC_CLOSED);
	scene_close(&scene);
}

/* Deaths */

/* Pushes and overwrites until it is killed. */
static void push_until_killed(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_ring_totals totals;
	struct shmc_ring *ring;
	uint64_t count;

	shmt_be_child();
	client = shmt_connect(broker);
	ring = open_ring(client, SHMC_RING_PRODUCER);
	shmt_assert_ok(shmc_ring_totals(ring, &totals));
	shmt_peer_tell(test);
	for (uint64_t at = totals.pushed;; at += count) {
		count = 1 + at % 40;
		if (at % 3 != 0)
			shmc_ring_push_overwrite(ring, numbers(at, count), count);
		else if (push(ring, at, count, &count) != SHMC_OK)
			count = 0;
	}
}

TEST(whatever_producers_die_in_comes_whole_and_in_order, .timeout_s = 60)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_ring_span span;
	struct shmc_ring_totals totals;
	struct shmc_ring *ring;
	uint64_t got[64], next = 0, popped = 0;

	create(client, 8, 64);
	ring = open_ring(client, SHMC_RING_CONSUMER);
	for (int i = 0; i < DEATHS; i++) {
		struct shmt_peer peer = shmt_peer_start(push_until_killed, &broker);
		enum shmc_result result;
		int pops = 0;

		shmt_peer_await(&peer);
		do {
			result = shmc_ring_pop(ring, got, 64, 1, SHMC_FOREVER, &span);
			if (result == SHMC_LAPPED)
				continue;
			if (++pops == 100 + 50 * i)
				shmt_peer_kill_soon(&peer);
			if (result != SHMC_OK)
				continue;
			if (span.position != next + span.lost ||
			    memcmp(got, numbers(span.position, span.count), span.count * 8) != 0)
				ck_abort_msg("at %lu", (unsigned long)span.position);
			next = span.position + span.count;
			popped += span.count;
		} while (result != SHMC_PEER_DEAD);
		if (pops < 100 + 50 * i)
			ck_abort_msg("death was told of one who lives");
		shmt_peer_reap(&peer);
	}
	shmt_assert_ok(shmc_ring_totals(ring, &totals));
	ck_assert_uint_eq(totals.popped, popped);
	ck_assert_uint_eq(totals.pushed, totals.popped + totals.overwritten);
	shmc_ring_close(ring);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static void look_and_stay(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_ring_span span;
	struct shmc_ring *ring;

	shmt_be_child();
	client = shmt_connect(broker);
	ring = open_ring(client, SHMC_RING_CONSUMER);
	expect(ring, 0, 5);
	shmt_assert_ok(shmc_ring_peek(ring, 0, 3, 3, SHMC_TRY, &span));
	shmt_peer_tell(test);
	shmt_peer_hang();
}

TEST(what_was_in_a_killed_consumer_s_hands_comes_to_the_next_and_is_counted)
{
	struct scene scene = scene_open(8, 50);
	struct shmc_ring_span span;
	struct shmt_peer peer;
	uint64_t got[50], count;

	shmt_assert_ok(push(scene.producer, 0, 20, &count));
	scene.consumer = shmc_ring_close(scene.consumer);
	peer = shmt_peer_start(look_and_stay, &scene.broker);
	shmt_peer_await(&peer);
	shmt_peer_kill(&peer);
	scene.consumer = open_ring(scene.client, SHMC_RING_CONSUMER);
	shmt_assert_ok(shmc_ring_pop(scene.consumer, got, 50, 1, SHMC_TRY, &span));
	ck_assert_uint_eq(span.position, 5);
	ck_assert_uint_eq(span.count, 15);
	ck_assert_uint_eq(span.redelivered, 3);
	scene_close(&scene);
}

/* Observers */

struct watched {
	struct shmt_broker broker;
	_Atomic uint64_t *has_ended;
};

static void watch(struct shmt_peer *test, void *context)
{
	const struct watched *watched = context;
	struct shmc_client *client = shmt_connect(&watched->broker);
	struct shmc_ring *ring = open_ring(client, SHMC_RING_OBSERVER);
	uint64_t got[32], count, reads = 0;
	struct shmc_ring_span span;

	shmt_assert_result(shmc_ring_pop(ring, got, 1, 1, SHMC_TRY, &span), SHMC_INVALID);
	shmt_assert_result(push(ring, 0, 1, &count), SHMC_INVALID);
	shmt_assert_result(shmc_ring_clear(ring, NULL), SHMC_INVALID);
	shmt_peer_tell(test);
	do {
		enum shmc_result result = reads % 2 ? shmc_ring_last(ring, got, 32, &count) :
						      shmc_ring_read(ring, 3, got, 32, &count);

		if (result == SHMC_OK && memcmp(got, numbers(got[0], count), count * 8) != 0)
			ck_abort_msg("torn at %lu", (unsigned long)got[0]);
		else if (result != SHMC_OK && result != SHMC_LAPPED)
			shmt_assert_result(result, SHMC_EMPTY);
		reads++;
		sched_yield();
	} while (atomic_load(watched->has_ended) == 0);
	shmc_ring_close(ring);
	shmc_disconnect(client);
}

TEST(four_observers_read_whole_elements_beside_both_sides, .timeout_s = 60)
{
	struct scene scene = scene_open(8, 512);
	struct watched watched = { .broker = scene.broker };
	struct shmt_peer peer[OBSERVERS];
	uint64_t at = 0;

	watched.has_ended = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
				 0);
	for (int i = 0; i < OBSERVERS; i++)
		peer[i] = shmt_peer_start(watch, &watched);
	for (int i = 0; i < OBSERVERS; i++)
		shmt_peer_await(&peer[i]);
	for (uint64_t i = 0; i < 20000 / shmt_scaled(1); i++) {
		uint64_t count = 1 + i % 300;
		struct shmc_ring_span span;
		uint64_t got[512];

		if (i % 3 == 0)
			shmt_assert_ok(shmc_ring_push_overwrite(scene.producer, numbers(at, count),
								count));
		else if (push(scene.producer, at, count, &count) != SHMC_OK)
			count = 0;
		at += count;
		if (i % 5 == 0)
			shmc_ring_pop(scene.consumer, got, count ? count : 1, 1, SHMC_TRY, &span);
	}
	atomic_store(watched.has_ended, 1);
	for (int i = 0; i < OBSERVERS; i++)
		shmt_peer_join(&peer[i]);
	munmap(watched.has_ended, 4096);
	scene_close(&scene);
}

TEST(a_forked_child_may_do_nothing)
{
	struct scene scene = scene_open(8, 10);
	struct shmc_ring_span span;
	uint64_t got[4], count;
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		bool is_right =
			push(scene.producer, 0, 1, &count) == SHMC_FORKED &&
			shmc_ring_push_overwrite(scene.producer, got, 1) == SHMC_FORKED &&
			shmc_ring_pop(scene.consumer, got, 1, 1, SHMC_TRY, &span) == SHMC_FORKED &&
			shmc_ring_peek(scene.consumer, 0, 1, 1, SHMC_TRY, &span) == SHMC_FORKED &&
			shmc_ring_clear(scene.consumer, &count) == SHMC_FORKED &&
			shmc_ring_last(scene.consumer, got, 1, &count) == SHMC_FORKED;

		_exit(is_right ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	scene_close(&scene);
}

SHMT_MAIN
