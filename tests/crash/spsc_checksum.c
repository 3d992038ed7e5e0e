/*
 * Either side of a ring with checksums dies after every instruction of everything it does: what was
 * published arrives whole and with its checksum, a batch all of it or nothing, nothing is lost, and
 * successors go on.
 */
#include "protocol/spsc.h"

#include <string.h>

#include "tests/crash/deaths.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

enum {
	CAPACITY = 4096,
	BEFORE = 3, /* messages that are there */
	SIZE = 100,
	OWN_MAX = 3
};

struct scene {
	/* put back before each death, from here */
	struct shmp_spsc_producer producer;
	struct shmp_spsc_consumer consumer;
	/* ... to here */
	struct shmt_ring ring;
	uint64_t own; /* messages that the operation sends: all of them or none */
	uint8_t payload[SIZE + OWN_MAX], got[CAPACITY];
	struct deaths deaths;
};

static struct scene scene;

static int push(uint64_t number)
{
	shmt_message_fill(scene.payload, SIZE, number);
	return shmp_spsc_push_summed(&scene.producer, scene.payload, SIZE);
}

static void open_scene(uint64_t own, const char *name)
{
	memset(&scene, 0, sizeof(scene));
	shmt_ring_open_summed(&scene.ring, CAPACITY);
	scene.producer = scene.ring.producer;
	scene.consumer = scene.ring.consumer;
	scene.own = own;
	/* round the ring, so that what the operation sends lies over its end */
	for (uint64_t i = 0; i < CAPACITY / 112; i++) {
		struct shmp_spsc_message message;

		SHMT_REQUIRE(push(i) == SHMP_DONE);
		SHMT_REQUIRE(shmp_spsc_pop_summed(&scene.consumer, scene.got, CAPACITY, &message) ==
			     SHMP_DONE);
	}
	for (uint64_t i = 0; i < BEFORE; i++)
		SHMT_REQUIRE(push(i) == SHMP_DONE);
	shmt_message_fill(scene.payload, SIZE, BEFORE);
	scene.deaths = (struct deaths){ .name = name,
					.segment = &scene.ring.segment,
					.own = &scene,
					.own_bytes = offsetof(struct scene, ring) };
}

/* The messages from here on, each whole; how many there were of those up to @end. */
static uint64_t drain(uint64_t first, uint64_t end)
{
	struct shmp_spsc_message message;
	uint64_t number = first;
	int r;

	while ((r = shmp_spsc_pop_summed(&scene.consumer, scene.got, CAPACITY, &message)) ==
	       SHMP_DONE) {
		DEATHS_CHECK(&scene.deaths, number < end && message.size == SIZE);
		/* a batch is of one message, several times */
		DEATHS_CHECK(&scene.deaths,
			     shmt_message_is(scene.got, SIZE, number < BEFORE ? number : BEFORE));
		number++;
	}
	DEATHS_CHECK(&scene.deaths, r == SHMP_EMPTY || r == SHMP_PEER_DEAD);
	return number - first;
}

static void go_on(void)
{
	struct shmp_spsc_message message;

	shmt_message_fill(scene.payload, SIZE, 77);
	DEATHS_CHECK(&scene.deaths,
		     shmp_spsc_push_summed(&scene.producer, scene.payload, SIZE) == SHMP_DONE);
	shmt_message_fill(scene.payload, SIZE, BEFORE);
	DEATHS_CHECK(&scene.deaths, shmp_spsc_pop_summed(&scene.consumer, scene.got, CAPACITY,
							 &message) == SHMP_DONE);
	DEATHS_CHECK(&scene.deaths, shmt_message_is(scene.got, SIZE, 77));
	DEATHS_CHECK(&scene.deaths, drain(0, 0) == 0);
}

static void check_producer(void *context)
{
	uint64_t came;

	shmt_place_vacate(&scene.ring.segment, SHMP_SPSC_PRODUCER, true,
			  1 + (int)(scene.deaths.point % 3));
	came = drain(0, BEFORE + scene.own);
	DEATHS_CHECK(&scene.deaths,
		     came == BEFORE + scene.own || (came == BEFORE && !scene.deaths.has_ended));
	shmt_place_assign(&scene.ring.segment, SHMP_SPSC_PRODUCER);
	DEATHS_CHECK(&scene.deaths,
		     shmp_spsc_attach_producer(&scene.ring.producer_map, &scene.producer) == 0);
	go_on();
}

/* The successor gets all from some message on that the dead one may not have been done with. */
static void check_consumer(void *context)
{
	struct shmp_spsc_message message;
	uint64_t first = 0;

	shmt_place_vacate(&scene.ring.segment, SHMP_SPSC_CONSUMER, true,
			  1 + (int)(scene.deaths.point % 3));
	shmt_place_assign(&scene.ring.segment, SHMP_SPSC_CONSUMER);
	DEATHS_CHECK(&scene.deaths,
		     shmp_spsc_attach_consumer(&scene.ring.consumer_map, &scene.consumer) == 0);
	if (shmp_spsc_pop_summed(&scene.consumer, scene.got, CAPACITY, &message) == SHMP_DONE) {
		while (first < BEFORE && !shmt_message_is(scene.got, SIZE, first))
			first++;
		DEATHS_CHECK(&scene.deaths, first < BEFORE);
		DEATHS_CHECK(&scene.deaths, drain(first + 1, BEFORE) == BEFORE - first - 1);
	} else {
		first = BEFORE;
	}
	DEATHS_CHECK(&scene.deaths, first == scene.own || (first == 0 && !scene.deaths.has_ended));
	go_on();
}

static void kill_everywhere(void (*operate)(void *), void (*check)(void *))
{
	scene.deaths.operate = operate;
	scene.deaths.check = check;
	deaths_everywhere(&scene.deaths);
	shmt_ring_free(&scene.ring);
}

static void dies_in_push(void *context)
{
	shmp_spsc_push_summed(&scene.producer, scene.payload, SIZE);
}

static void dies_in_commit(void *context)
{
	uint8_t *room;

	SHMT_REQUIRE(shmp_spsc_reserve(&scene.producer, SIZE, &room) == SHMP_DONE);
	memcpy(room, scene.payload, SIZE);
	shmp_spsc_commit_summed(&scene.producer, SIZE);
}

static void dies_in_batch(void *context)
{
	for (int i = 0; i < OWN_MAX; i++)
		shmp_spsc_batch_add_summed(&scene.producer, scene.payload, SIZE);
	shmp_spsc_batch_publish_summed(&scene.producer);
}

static void dies_in_pop(void *context)
{
	struct shmp_spsc_message message;

	shmp_spsc_pop_summed(&scene.consumer, scene.got, CAPACITY, &message);
}

static void dies_in_peek_and_release(void *context)
{
	struct shmp_spsc_message messages[2];
	uint64_t count;

	shmp_spsc_peek_summed(&scene.consumer, messages, 2, &count);
	shmp_spsc_release_summed(&scene.consumer, 2);
}

TEST(a_push_with_its_checksum_arrives_or_was_not, .timeout_s = 60)
{
	open_scene(1, __func__);
	kill_everywhere(dies_in_push, check_producer);
}

TEST(a_reservation_with_its_checksum_arrives_or_was_not, .timeout_s = 60)
{
	open_scene(1, __func__);
	kill_everywhere(dies_in_commit, check_producer);
}

TEST(a_batch_with_checksums_arrives_whole_or_not_at_all, .timeout_s = 60)
{
	open_scene(OWN_MAX, __func__);
	kill_everywhere(dies_in_batch, check_producer);
}

TEST(a_checked_pop_takes_the_message_or_leaves_it, .timeout_s = 60)
{
	open_scene(1, __func__);
	kill_everywhere(dies_in_pop, check_consumer);
}

TEST(checked_messages_are_shown_again_until_they_are_released, .timeout_s = 60)
{
	open_scene(2, __func__);
	kill_everywhere(dies_in_peek_and_release, check_consumer);
}

DEATHS_MAIN
