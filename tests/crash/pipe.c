/*
 * A host or a client dies after every instruction of everything it does. What it sent arrives, whole
 * or not at all, and then its end is told; a client's successor gets what the dead one had not taken,
 * flagged if that may have seen it; a host's gets nothing of the old session. Both directions go on.
 */
#include "protocol/pipe.h"

#include <string.h>

#include "tests/crash/deaths.h"
#include "tests/support/pipe.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

#define HOST   SHMP_PIPE_HOST
#define CLIENT SHMP_PIPE_CLIENT

enum {
	OWN_MAX = 3,
	BEFORE = 4, /* messages of either side that are unread, where there are any */
	SIZES_MAX = 64,
};

/* Messages of a direction are numbered from 0. */
static struct scene {
	struct shmt_pipe pipe; /* its sides are put back before each death */
	uint32_t dead;
	bool succeeds_first; /* before anybody else looks */
	bool is_successor;   /* he who dies came after one who died, and the other has not looked */
	uint64_t sent[2];    /* messages of each side before the operation */
	uint64_t stale;	     /* the first of the other side's: nobody shall get them */
	uint64_t size[2][SIZES_MAX];
	uint64_t base; /* where the first of the other side's lies */
	/* of the operation */
	uint64_t own;	  /* messages it sends, all or none */
	uint64_t takes;	  /* and takes, at most */
	uint64_t shown;	  /* it has seen, those included */
	uint64_t is_held; /* of them it had in hand before */
	bool sends_as_second;
	uint8_t payload[OWN_MAX][1000];
	struct deaths deaths;
} scene;

#define CHECK(condition) DEATHS_CHECK(&scene.deaths, condition)

static struct shmp_pipe *dead(void)
{
	return &scene.pipe.side[scene.dead];
}

static uint32_t other(void)
{
	return 1 - scene.dead;
}

static const struct shmp_endpoint *reader_of(uint32_t sender)
{
	const struct shmp_pipe_control *control = scene.pipe.segment.map.control;

	return &control->reader[sender];
}

/* Afterwards */

/* The next unread message must be @number of the other side, if there is one; what was said. */
static int receive(uint32_t to, uint64_t number, uint32_t *ret_flags)
{
	struct shmp_spsc_message message;
	uint8_t buffer[SHMT_PIPE_LONGEST];
	int r = shmp_pipe_pop(&scene.pipe.side[to], buffer, sizeof(buffer), &message);

	if (r != SHMP_DONE)
		return r;
	CHECK(number < SIZES_MAX && message.size == scene.size[1 - to][number]);
	CHECK(shmt_message_is(buffer, message.size, 100 * (1 - to) + number));
	*ret_flags = message.flags;
	return r;
}

/* The living one reads all that the dead one sent: the operation's messages, all or none. */
static void read_the_dead_ones(int end)
{
	uint64_t number = 0;
	uint32_t flags;
	int r;

	while ((r = receive(other(), number, &flags)) == SHMP_DONE)
		number++;
	CHECK(r == end);
	CHECK(number == scene.sent[scene.dead] + scene.own ||
	      (!scene.deaths.has_ended && number == scene.sent[scene.dead]));
}

static void bury(void)
{
	const struct shmp_pipe_control *control = scene.pipe.segment.map.control;

	shmt_place_vacate(&scene.pipe.segment, scene.dead, true, 1 + (int)(scene.deaths.point % 3));
	for (int i = 0; i < 2; i++) {
		CHECK(!shmp_waiter_is_set(&control->not_empty[i], scene.dead));
		CHECK(!shmp_waiter_is_set(&control->not_full[i], scene.dead));
	}
}

/* How many of the living one's messages the dead one took for good. */
static uint64_t count_taken(void)
{
	uint64_t cursor = atomic_load(&reader_of(other())->cursor), taken = 0;

	for (uint64_t at = scene.base; at != cursor; taken++) {
		CHECK(taken < scene.sent[other()]);
		at += shmp_spsc_need(scene.size[other()][taken]);
	}
	CHECK(taken <= scene.takes);
	CHECK(!scene.deaths.has_ended || taken == scene.takes);
	return taken;
}

static void successor_reads(uint64_t taken)
{
	uint64_t number = taken > scene.stale ? taken : scene.stale;
	uint32_t flags = 0;
	int r;

	while ((r = receive(scene.dead, number, &flags)) == SHMP_DONE) {
		CHECK(number < scene.shown || flags == 0);
		if (number < scene.is_held || (scene.deaths.has_ended && number < scene.shown))
			CHECK(flags == SHMP_PIPE_REDELIVERED);
		number++;
	}
	CHECK(r == SHMP_EMPTY);
	CHECK(scene.dead == HOST ? number == scene.stale : number == scene.sent[other()]);
}

/* Both directions hold as much as ever, for some laps. */
static void go_on(void)
{
	struct shmt_pipe *pipe = &scene.pipe;

	for (uint64_t lap = 0; lap < 3; lap++)
		for (uint32_t from = 0; from < 2; from++) {
			CHECK(shmt_pipe_send(pipe, from, SHMT_PIPE_LONGEST, lap) == SHMP_DONE);
			CHECK(shmt_pipe_send(pipe, from, 0, lap) == SHMP_FULL);
			CHECK(shmt_pipe_receive(pipe, 1 - from, SHMT_PIPE_LONGEST, lap, NULL) ==
			      SHMP_DONE);
			CHECK(shmt_pipe_receive(pipe, 1 - from, 0, 0, NULL) == SHMP_EMPTY);
		}
	for (uint32_t from = 0; from < 2; from++)
		CHECK(atomic_load(&reader_of(from)->items) <=
		      atomic_load(&pipe->segment.map.endpoints[from].items));
}

/*
 * What a second client sent before it died comes by itself, and then its end; a second host's is stale
 * as soon as there is a third.
 */
static void hear_the_second(void)
{
	uint32_t flags;
	int r = receive(other(), scene.sent[scene.dead], &flags);

	if (r == SHMP_DONE) {
		CHECK(scene.dead == CLIENT);
		CHECK(receive(other(), 0, &flags) == SHMP_PEER_DEAD);
		CHECK(shmp_pipe_meet(&scene.pipe.side[other()]) == SHMP_DONE);
	} else {
		CHECK(r == SHMP_EMPTY && (scene.dead == HOST || !scene.deaths.has_ended));
	}
}

static void check(void *context)
{
	/* a host's successor gets nothing, whatever that one took */
	uint64_t taken = scene.dead == CLIENT ? count_taken() : 0;
	uint32_t flags;

	(void)context;
	if (scene.succeeds_first) {
		bury();
		shmt_pipe_come(&scene.pipe, scene.dead);
		read_the_dead_ones(SHMP_PEER_DEAD);
	} else {
		read_the_dead_ones(scene.is_successor ? SHMP_PEER_DEAD : SHMP_EMPTY);
		bury();
		CHECK(receive(other(), 0, &flags) == SHMP_PEER_DEAD);
		shmt_pipe_come(&scene.pipe, scene.dead);
	}
	CHECK(shmt_pipe_send(&scene.pipe, other(), 0, 0) == SHMP_PEER_DEAD);
	CHECK(shmp_pipe_meet(&scene.pipe.side[other()]) == SHMP_DONE);
	if (scene.sends_as_second)
		hear_the_second();
	successor_reads(taken);
	go_on();
}

/* Before */

static void publish(uint32_t from, uint64_t size)
{
	uint64_t number = scene.sent[from]++;

	SHMT_REQUIRE(number < SIZES_MAX);
	scene.size[from][number] = size;
	SHMT_REQUIRE(shmt_pipe_send(&scene.pipe, from, size, 100 * from + number) == SHMP_DONE);
}

/* The operation will send a message of this size. */
static void compose(uint64_t size)
{
	uint64_t number = scene.sent[scene.dead] + scene.own;

	scene.size[scene.dead][number] = size;
	shmt_message_fill(scene.payload[scene.own++], size, 100 * scene.dead + number);
}

/* Both are there, and the next message of either lies at @offset, which is below a lap. */
static void open_at(uint32_t role, uint64_t offset)
{
	scene = (struct scene){ .dead = role };
	shmt_pipe_open(&scene.pipe);
	for (uint32_t from = 0; from < 2 && offset != 0; from++) {
		SHMT_REQUIRE(shmt_pipe_send(&scene.pipe, from, offset - 8, 0) == SHMP_DONE);
		SHMT_REQUIRE(shmt_pipe_receive(&scene.pipe, 1 - from, offset - 8, 0, NULL) ==
			     SHMP_DONE);
	}
	scene.base = offset;
}

static void kill_in(const char *name, void (*operate)(void *context))
{
	static const char *const roles[] = { "host", "client" };
	char text[80];

	for (int first = 0; first < 2; first++) {
		snprintf(text, sizeof(text), "%s, %s%s", name, roles[scene.dead],
			 first ? ", succeeded at once" : "");
		scene.succeeds_first = first;
		scene.deaths = (struct deaths){ .name = text,
						.segment = &scene.pipe.segment,
						.own = scene.pipe.side,
						.own_bytes = sizeof(scene.pipe.side),
						.operate = operate,
						.check = check };
		deaths_everywhere(&scene.deaths);
	}
	shmt_pipe_free(&scene.pipe);
}

/* Operations, as libclient does them */

static void tell_reader(void)
{
	if (shmp_pipe_reader_waits(dead()))
		shmp_pipe_tell_reader(dead(), NULL, NULL);
}

static void tell_sender(void)
{
	if (shmp_pipe_sender_waits(dead()))
		shmp_pipe_tell_sender(dead(), NULL, NULL);
}

static void send(void *context)
{
	(void)context;
	if (shmp_pipe_push(dead(), scene.payload[0],
			   scene.size[scene.dead][scene.sent[scene.dead]]) == SHMP_DONE)
		tell_reader();
}

static void reserve_and_commit(void *context)
{
	uint64_t size = scene.size[scene.dead][scene.sent[scene.dead]];
	uint8_t *room = NULL;

	(void)context;
	if (shmp_pipe_reserve(dead(), size, &room) != SHMP_DONE)
		return;
	memcpy(room, scene.payload[0], size);
	shmp_spsc_commit(&dead()->out, size);
	tell_reader();
}

static void send_batch(void *context)
{
	(void)context;
	for (uint64_t i = 0; i < scene.own; i++)
		shmp_pipe_batch_add(dead(), scene.payload[i],
				    scene.size[scene.dead][scene.sent[scene.dead] + i]);
	shmp_spsc_batch_publish(&dead()->out);
	tell_reader();
}

static void take(void *context)
{
	struct shmp_spsc_message message;
	uint8_t buffer[1000];

	(void)context;
	if (shmp_pipe_pop(dead(), buffer, sizeof(buffer), &message) == SHMP_DONE)
		tell_sender();
}

static void take_2(void *context)
{
	take(context);
	take(context);
}

static void call(void *context)
{
	send(context);
	take(context);
}

static void peek_2(void *context)
{
	struct shmp_spsc_message messages[2];
	uint64_t count;

	(void)context;
	shmp_pipe_peek(dead(), messages, 2, &count);
}

static void release_2(void *context)
{
	(void)context;
	shmp_spsc_release(&dead()->in, 2);
	tell_sender();
}

static void attach(void *context)
{
	(void)context;
	shmp_pipe_attach(&scene.pipe.map[scene.dead], scene.dead, dead());
	tell_sender();
}

static void attach_and_send(void *context)
{
	attach(context);
	send(context);
}

static void meet(void *context)
{
	(void)context;
	shmp_pipe_meet(dead());
	tell_sender();
}

static void prepare_to_sleep(void *context)
{
	(void)context;
	shmp_waiter_prepare(dead()->in.not_empty, &dead()->in.places[scene.dead], scene.dead,
			    false);
	shmp_waiter_finish(dead()->in.not_empty, scene.dead);
	shmp_waiter_prepare(dead()->out.not_full, &dead()->in.places[scene.dead], scene.dead,
			    false);
	shmp_waiter_finish(dead()->out.not_full, scene.dead);
}

/* Tests: each for a host and for a client */

#define BOTH .rounds = 2, .timeout_s = 60

TEST(a_message_is_sent_whole_or_not_at_all, BOTH)
{
	static const uint64_t sizes[] = { 0, 8, 40, 100, 300 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char name[32];

		open_at((uint32_t)_i, 64);
		publish(scene.dead, 33);
		publish(other(), 10);
		compose(sizes[i]);
		snprintf(name, sizeof(name), "send of %d bytes", (int)sizes[i]);
		kill_in(name, send);
	}
}

TEST(a_message_across_the_end_is_sent_whole_or_not_at_all, BOTH)
{
	open_at((uint32_t)_i, SHMT_PIPE_CAPACITY - 24);
	compose(90);
	kill_in("send, wraps", send);
}

TEST(a_message_to_one_who_waits_is_sent_whole_or_not_at_all, BOTH)
{
	open_at((uint32_t)_i, 0);
	shmp_waiter_prepare(scene.pipe.side[other()].in.not_empty,
			    &scene.pipe.segment.map.endpoints[other()], other(), false);
	compose(24);
	kill_in("send, the other waits", send);
}

TEST(a_reservation_is_sent_whole_or_not_at_all, BOTH)
{
	open_at((uint32_t)_i, 128);
	compose(200);
	kill_in("reserve and commit", reserve_and_commit);
}

TEST(a_batch_is_sent_all_or_nothing, BOTH)
{
	open_at((uint32_t)_i, SHMT_PIPE_CAPACITY - 88);
	publish(scene.dead, 77);
	compose(20);
	compose(0);
	compose(45);
	kill_in("batch of 3", send_batch);
}

static void with_messages(uint32_t role, uint64_t offset, uint64_t size)
{
	open_at(role, offset);
	for (int i = 0; i < BEFORE; i++)
		publish(other(), size);
	publish(scene.dead, 9);
}

TEST(what_is_received_is_taken_or_comes_to_the_successor, BOTH)
{
	static const uint64_t sizes[] = { 0, 8, 100, 300 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char name[32];

		with_messages((uint32_t)_i, SHMT_PIPE_CAPACITY - 24, sizes[i]);
		scene.takes = scene.shown = 2;
		snprintf(name, sizeof(name), "receive 2 of %d bytes", (int)sizes[i]);
		kill_in(name, take_2);
	}
}

TEST(what_is_received_from_one_who_waits_is_taken_or_comes_again, BOTH)
{
	with_messages((uint32_t)_i, 0, 500);
	shmp_waiter_prepare(scene.pipe.side[other()].out.not_full,
			    &scene.pipe.segment.map.endpoints[other()], other(), false);
	scene.takes = scene.shown = 1;
	kill_in("receive, the other waits for room", take);
}

TEST(nothing_is_received_from_nobody, BOTH)
{
	open_at((uint32_t)_i, 0);
	kill_in("receive, nothing there", take);
}

TEST(what_is_peeked_at_comes_to_the_successor, BOTH)
{
	with_messages((uint32_t)_i, 0, 50);
	scene.shown = 2;
	kill_in("peek at 2", peek_2);
}

TEST(what_is_released_is_taken_or_comes_to_the_successor, BOTH)
{
	with_messages((uint32_t)_i, 64, 50);
	peek_2(NULL);
	scene.is_held = scene.shown = scene.takes = 2;
	kill_in("release 2", release_2);
}

TEST(a_call_is_sent_or_not_and_its_answer_taken_or_not, BOTH)
{
	with_messages((uint32_t)_i, 0, 16);
	scene.takes = scene.shown = 1;
	compose(16);
	kill_in("call", call);
}

TEST(who_dies_on_his_way_to_sleep_leaves_no_trace, BOTH)
{
	with_messages((uint32_t)_i, 0, 16);
	kill_in("going to sleep and not", prepare_to_sleep);
}

/* One came to the place of a dead one, and dies taking it up, or right after. */
static void with_a_predecessor(uint32_t role)
{
	with_messages(role, SHMT_PIPE_CAPACITY - 64, 50);
	peek_2(NULL);
	shmt_pipe_go(&scene.pipe, role, true);
	shmt_place_assign(&scene.pipe.segment, role);
	scene.is_successor = true;
	if (role == CLIENT)
		scene.is_held = scene.shown = 2;
}

TEST(who_takes_up_a_place_has_it_or_not, BOTH)
{
	with_a_predecessor((uint32_t)_i);
	kill_in("attach", attach);
}

/* What the second one sends is told apart from the first one's: the living one stops before it. */
TEST(successors_that_die_in_turn_are_told_apart, BOTH)
{
	with_a_predecessor((uint32_t)_i);
	compose(30);
	scene.own = 0; /* it is none of the first one's */
	scene.sends_as_second = true;
	kill_in("attach and send", attach_and_send);
}

/* The other side was succeeded, which was told; what is unread of the first is in the way. */
static void with_another_peer(uint32_t role)
{
	with_messages(role, 0, 50);
	scene.sent[role] = 0;
	shmt_pipe_succeed(&scene.pipe, other(), true);
	SHMT_REQUIRE(shmt_pipe_send(&scene.pipe, role, 0, 0) == SHMP_PEER_DEAD);
	scene.stale = scene.takes = scene.sent[other()];
	publish(other(), 60);
	publish(other(), 70);
}

TEST(meeting_a_new_host_drops_what_is_stale_or_leaves_it_to_the_successor, .timeout_s = 60)
{
	with_another_peer(CLIENT);
	kill_in("meet", meet);
}

TEST(meeting_a_new_client_is_done_or_not, .timeout_s = 60)
{
	uint32_t flags;

	with_another_peer(HOST);
	/* the new client has read what the host sent to the first */
	CHECK(shmt_pipe_receive(&scene.pipe, CLIENT, 9, 0, &flags) == SHMP_DONE);
	kill_in("meet", meet);
}

/* A client did not know that its host had died, and its message came after the new one. */
TEST(a_host_drops_what_is_stale_or_leaves_it_to_its_successor, .timeout_s = 60)
{
	open_at(HOST, SHMT_PIPE_CAPACITY - 48);
	shmt_pipe_succeed(&scene.pipe, HOST, true);
	SHMT_REQUIRE(shmp_spsc_push(&scene.pipe.side[CLIENT].out, "late", 4) == SHMP_DONE);
	SHMT_REQUIRE(shmt_pipe_send(&scene.pipe, CLIENT, 0, 0) == SHMP_PEER_DEAD);
	SHMT_REQUIRE(shmp_pipe_meet(&scene.pipe.side[CLIENT]) == SHMP_DONE);
	kill_in("receive what is stale", take);
}

DEATHS_MAIN
