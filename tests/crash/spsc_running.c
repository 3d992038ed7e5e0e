/*
 * A producer dies anywhere in what it does while its consumer runs, and a consumer while its
 * producer runs; a successor takes up the place, runs for a while itself and is the next to die.
 *
 * Message n is the n-th that was pushed, and all of it follows from n. So a consumer that gets 0, 1,
 * 2 ... each whole has lost nothing and got nothing twice. Who lives gets nothing else; who comes
 * after a dead consumer may get, flagged, what that one had seen.
 */
#include <string.h>

#include "tests/crash/running.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

enum {
	CAPACITY = 4096,
	LONGEST = 1300,
	OWN = 2, /* messages of one operation, at most */
	BURST = 20,
	UNTOUCHED = 0xee,
};

/* Shared by all. */
struct world {
	_Atomic uint64_t pushed;       /* by those whose push returned */
	_Atomic uint64_t popped;       /* by the living consumer */
	_Atomic bool has_returned;     /* the victim's operation */
	_Atomic uint64_t taking;       /* messages that the victim is about to have taken */
	_Atomic uint64_t seen;	       /* messages that it has begun to read */
	uint8_t witness[OWN][LONGEST]; /* and what it read */
};

static struct scene {
	struct shmt_ring ring;
	struct world *world;
	uint64_t next; /* number of the next message, of the parent's role */
	uint8_t payload[OWN][LONGEST];
	struct running running;
} scene;

#define CHECK(condition_) RUNNING_CHECK(&scene.running, condition_)

static uint64_t size_of(uint64_t number)
{
	return number % 13 == 0 ? LONGEST - number % 97 : 8 + number * 37 % 150;
}

static struct shmp_spsc_control *control(void)
{
	return scene.ring.segment.map.control;
}

static uint64_t count_sent(void)
{
	return atomic_load(&scene.ring.producer.self->items);
}

static void tell_consumer(void)
{
	if (shmp_spsc_consumer_waits(&scene.ring.producer))
		shmp_spsc_tell_consumer(&scene.ring.producer, NULL, NULL);
}

static void tell_producer(void)
{
	if (shmp_spsc_producer_waits(&scene.ring.consumer))
		shmp_spsc_tell_producer(&scene.ring.consumer, NULL, NULL);
}

/* The next message, whoever sends it. False: there is no room, or nobody who makes any. */
static bool push_next(void)
{
	uint64_t number = count_sent();
	int r;

	shmt_message_fill(scene.payload[0], size_of(number), number);
	r = shmp_spsc_push(&scene.ring.producer, scene.payload[0], size_of(number));
	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_FULL || r == SHMP_PEER_DEAD);
	if (r != SHMP_DONE)
		return false;
	atomic_store(&scene.world->pushed, number + 1);
	tell_consumer();
	return true;
}

/* The living */

static bool try_pop(void *context, unsigned int peer)
{
	uint64_t number = atomic_load(&scene.world->popped);
	struct shmp_spsc_message message;
	uint8_t buffer[LONGEST];
	int r = shmp_spsc_pop(&scene.ring.consumer, buffer, sizeof(buffer), &message);

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY || r == SHMP_PEER_DEAD);
	if (r != SHMP_DONE)
		return false;
	SHMT_REQUIRE(message.flags == 0 && message.size == size_of(number));
	SHMT_REQUIRE(shmt_message_is(buffer, message.size, number));
	atomic_store(&scene.world->popped, number + 1);
	tell_producer();
	return true;
}

static bool live_popping(void *context, unsigned int peer)
{
	return running_move_or_sleep(&scene.running, peer, try_pop, &control()->not_empty,
				     &scene.ring.segment.map.endpoints[SHMP_SPSC_CONSUMER],
				     SHMP_SPSC_CONSUMER);
}

static bool try_push(void *context, unsigned int peer)
{
	return push_next();
}

static bool live_pushing(void *context, unsigned int peer)
{
	return running_move_or_sleep(&scene.running, peer, try_push, &control()->not_full,
				     &scene.ring.segment.map.endpoints[SHMP_SPSC_PRODUCER],
				     SHMP_SPSC_PRODUCER);
}

/* Producers that die */

static void all_arrive(void)
{
	RUNNING_AWAIT(&scene.running, atomic_load(&scene.world->popped) == count_sent());
}

static void push_some(void)
{
	for (uint64_t i = shmt_random_below(&scene.running.random, BURST); i > 0; i--)
		RUNNING_AWAIT(&scene.running, push_next());
	if (shmt_random_below(&scene.running.random, 2) == 0)
		all_arrive();
}

/* What the dead one published arrives without anybody after him. */
static void check_nobody_sleeps(void *context)
{
	if (shmt_random_below(&scene.running.random, 2) == 0)
		RUNNING_AWAIT(&scene.running, atomic_load(&scene.world->popped) >=
						      atomic_load(&scene.world->pushed));
}

/* Whose predecessor sent all of it or nothing, and all of it if it was told so. */
static void produce(void *context)
{
	shmt_ring_attach_producer(&scene.ring);
	CHECK(count_sent() == scene.next ||
	      count_sent() == scene.next + atomic_load(&scene.world->taking));
	CHECK(count_sent() >= atomic_load(&scene.world->pushed));
	CHECK(!scene.running.has_ended ||
	      count_sent() == scene.next + atomic_load(&scene.world->taking));
	push_some();
	scene.next = count_sent();
	atomic_store(&scene.world->taking, 0);
}

static void prepare_messages(void *context)
{
	for (uint64_t i = 0; i < OWN; i++)
		shmt_message_fill(scene.payload[i], size_of(scene.next + i), scene.next + i);
}

static void dies_pushing(void *context)
{
	uint64_t size = size_of(scene.next);

	atomic_store(&scene.world->taking, 1);
	while (shmp_spsc_push(&scene.ring.producer, scene.payload[0], size) == SHMP_FULL)
		;
	atomic_store(&scene.world->pushed, scene.next + 1);
	tell_consumer();
}

static void dies_reserving_and_committing(void *context)
{
	uint64_t size = size_of(scene.next);
	uint8_t *room = NULL;

	atomic_store(&scene.world->taking, 1);
	while (shmp_spsc_reserve(&scene.ring.producer, size, &room) == SHMP_FULL)
		;
	memcpy(room, scene.payload[0], size);
	shmp_spsc_commit(&scene.ring.producer, size);
	atomic_store(&scene.world->pushed, scene.next + 1);
	tell_consumer();
}

static void dies_sending_a_batch(void *context)
{
	struct shmp_spsc_producer *producer = &scene.ring.producer;

	atomic_store(&scene.world->taking, OWN);
	for (uint64_t i = 0; i < OWN; i++)
		while (shmp_spsc_batch_add(producer, scene.payload[i], size_of(scene.next + i)) ==
		       SHMP_FULL)
			;
	shmp_spsc_batch_publish(producer);
	atomic_store(&scene.world->pushed, scene.next + OWN);
	tell_consumer();
}

/* Consumers that die */

/* What the dead one had not taken comes again, what it had seen flagged. */
static void take_over(void)
{
	uint64_t taking = atomic_load(&scene.world->taking), seen = atomic_load(&scene.world->seen);
	struct shmp_spsc_message message;
	uint8_t buffer[LONGEST];

	RUNNING_AWAIT(&scene.running, shmp_spsc_pop(&scene.ring.consumer, buffer, sizeof(buffer),
						    &message) == SHMP_DONE);
	if (!shmt_message_is(buffer, message.size, scene.next)) { /* it is taken: seen, whole */
		CHECK(taking > 0 && seen >= taking);
		for (uint64_t i = 0; i < taking; i++)
			CHECK(shmt_message_is(scene.world->witness[i], size_of(scene.next + i),
					      scene.next + i));
		scene.next += taking;
		seen -= taking;
	} else {
		CHECK(!atomic_load(&scene.world->has_returned));
	}
	CHECK(message.size == size_of(scene.next));
	CHECK(shmt_message_is(buffer, message.size, scene.next));
	CHECK(seen == 0 || message.flags == SHMP_SPSC_REDELIVERED);
	scene.next++;
	for (uint64_t i = 1; i < OWN; i++) {
		RUNNING_AWAIT(&scene.running, shmp_spsc_pop(&scene.ring.consumer, buffer,
							    sizeof(buffer), &message) == SHMP_DONE);
		CHECK(message.size == size_of(scene.next));
		CHECK(shmt_message_is(buffer, message.size, scene.next));
		CHECK(i >= seen || message.flags == SHMP_SPSC_REDELIVERED);
		scene.next++;
	}
}

static void pop_some(void)
{
	struct shmp_spsc_message message;
	uint8_t buffer[LONGEST];

	for (uint64_t i = shmt_random_below(&scene.running.random, BURST); i > 0; i--) {
		RUNNING_AWAIT(&scene.running, shmp_spsc_pop(&scene.ring.consumer, buffer,
							    sizeof(buffer), &message) == SHMP_DONE);
		CHECK(message.flags == 0 && message.size == size_of(scene.next));
		CHECK(shmt_message_is(buffer, message.size, scene.next));
		scene.next++;
		tell_producer();
	}
}

static void consume(void *context)
{
	shmt_ring_attach_consumer(&scene.ring);
	take_over();
	tell_producer();
	pop_some();
	atomic_store(&scene.world->has_returned, false);
	atomic_store(&scene.world->taking, 0);
	atomic_store(&scene.world->seen, 0);
	memset(scene.world->witness, UNTOUCHED, sizeof(scene.world->witness));
}

/* As one who would sleep if there were nothing. */
static void dies_popping(void *context)
{
	struct world *world = scene.world;
	struct shmp_spsc_message message;
	int r;

	atomic_store(&world->taking, 1);
	do {
		shmp_waiter_prepare(&control()->not_empty, scene.ring.consumer.self,
				    SHMP_SPSC_CONSUMER, scene.running.has_membarrier);
		r = shmp_spsc_pop(&scene.ring.consumer, world->witness[0], LONGEST, &message);
		shmp_waiter_finish(&control()->not_empty, SHMP_SPSC_CONSUMER);
	} while (r == SHMP_EMPTY);
	atomic_store(&world->has_returned, true);
	tell_producer();
}

/* A pop says nothing of having begun to read: what it has read does. */
static void look_what_was_seen(void *context)
{
	struct world *world = scene.world;

	for (uint64_t i = 0; i < LONGEST && atomic_load(&world->seen) == 0; i++)
		if (world->witness[0][i] != UNTOUCHED)
			atomic_store(&world->seen, 1);
}

static void dies_peeking_and_releasing(void *context)
{
	struct shmp_spsc_message messages[OWN];
	struct world *world = scene.world;
	uint64_t count;

	while (shmp_spsc_peek(&scene.ring.consumer, messages, OWN, &count) == SHMP_EMPTY)
		;
	for (uint64_t i = 0; i < count; i++) {
		atomic_store(&world->seen, i + 1);
		memcpy(world->witness[i], messages[i].data, messages[i].size);
	}
	atomic_store(&world->taking, count);
	shmp_spsc_release(&scene.ring.consumer, count);
	atomic_store(&world->has_returned, true);
	tell_producer();
}

/* Runs */

static void check_all_is_well(void)
{
	const struct shmp_segment *map = &scene.ring.segment.map;
	const char *why = NULL;

	ck_assert_msg(scene.ring.segment.kind->validate(map, &why) == 0, "%s", why);
	ck_assert_uint_eq(atomic_load(&map->endpoints[SHMP_SPSC_PRODUCER].cursor),
			  atomic_load(&map->endpoints[SHMP_SPSC_CONSUMER].cursor));
	shmt_ring_free(&scene.ring);
}

static void set_up(const char *name, void (*operate)(void *context))
{
	memset(&scene, 0, sizeof(scene));
	shmt_ring_make(&scene.ring, CAPACITY, LONGEST);
	scene.world = running_share(sizeof(*scene.world));
	memset(scene.world->witness, UNTOUCHED, sizeof(scene.world->witness));
	scene.running = (struct running){
		.name = name,
		.segment = &scene.ring.segment,
		.peers = 1,
		.operate = operate,
	};
}

static void kill_producers(const char *name, void (*operate)(void *context))
{
	set_up(name, operate);
	shmt_ring_attach_consumer(&scene.ring);
	scene.running.live = live_popping;
	scene.running.place = SHMP_SPSC_PRODUCER;
	scene.running.come = produce;
	scene.running.prepare = prepare_messages;
	scene.running.check = check_nobody_sleeps;
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	produce(NULL);
	all_arrive();
	running_finish(&scene.running);
	ck_assert_uint_eq(atomic_load(&scene.world->popped), count_sent());
	check_all_is_well();
}

static void kill_consumers(const char *name, void (*operate)(void *context))
{
	uint64_t sent;

	set_up(name, operate);
	shmt_ring_attach_producer(&scene.ring);
	scene.running.live = live_pushing;
	scene.running.place = SHMP_SPSC_CONSUMER;
	scene.running.come = consume;
	scene.running.die = look_what_was_seen;
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	consume(NULL);
	running_finish(&scene.running);
	sent = count_sent();
	ck_assert_uint_eq(atomic_load(&scene.world->pushed), sent);
	while (scene.next < sent) {
		uint32_t flags;

		ck_assert_int_eq(
			shmt_ring_pop(&scene.ring, size_of(scene.next), scene.next, &flags),
			SHMP_DONE);
		ck_assert_uint_eq(flags, 0);
		scene.next++;
	}
	check_all_is_well();
}

TEST(producers_die_in_a_push_while_their_consumer_runs, .timeout_s = 120)
{
	kill_producers("push", dies_pushing);
}

TEST(producers_die_in_a_reservation_while_their_consumer_runs, .timeout_s = 120)
{
	kill_producers("reserve and commit", dies_reserving_and_committing);
}

TEST(producers_die_in_a_batch_while_their_consumer_runs, .timeout_s = 120)
{
	kill_producers("batch of 2", dies_sending_a_batch);
}

TEST(consumers_die_in_a_pop_while_their_producer_runs, .timeout_s = 120)
{
	kill_consumers("pop", dies_popping);
}

TEST(consumers_die_in_peek_and_release_while_their_producer_runs, .timeout_s = 120)
{
	kill_consumers("peek 2 and release", dies_peeking_and_releasing);
}

RUNNING_MAIN
