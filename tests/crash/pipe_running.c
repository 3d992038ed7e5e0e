/*
 * A host of a pipe dies anywhere in sending while its client runs, and a client anywhere in receiving
 * while its host runs; successors run for a while themselves and are the next to die.
 *
 * Message n of a session is the n-th that its host sent. A client that lives gets each session's 0, 1,
 * 2 ... whole, all that was sent, before it is told that the host is dead. Who comes after a dead
 * client goes on where that one was, and gets again, flagged, what that one had seen.
 */
#include <string.h>

#include "tests/crash/running.h"
#include "tests/support/pipe.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

enum {
	LONGEST = 1300,
	SESSIONS = 1 << 16,
	BURST = 20,
	UNTOUCHED = 0xee,
};

/* Shared by all. */
struct world {
	_Atomic uint64_t sent[SESSIONS]; /* of each session, by sends that returned */
	_Atomic uint64_t session;	 /* that the living client is in */
	_Atomic uint64_t got;		 /* of that */
	_Atomic bool has_returned;	 /* the victim's receive */
	uint8_t witness[LONGEST];	 /* and where to */
};

static struct scene {
	struct shmt_pipe pipe;
	struct world *world;
	uint64_t next; /* message of the session, of the parent's role */
	uint8_t payload[LONGEST];
	struct running running;
} scene;

#define CHECK(condition_) RUNNING_CHECK(&scene.running, condition_)

static struct shmp_pipe *host(void)
{
	return &scene.pipe.side[SHMP_PIPE_HOST];
}

static struct shmp_pipe *client(void)
{
	return &scene.pipe.side[SHMP_PIPE_CLIENT];
}

static uint64_t size_of(uint64_t number)
{
	return number % 13 == 0 ? LONGEST - number % 97 : 8 + number * 37 % 150;
}

static uint64_t number_of(uint64_t session, uint64_t number)
{
	return session << 32 | number;
}

static _Atomic uint64_t *sent(uint64_t session)
{
	SHMT_REQUIRE(session < SESSIONS);
	return &scene.world->sent[session];
}

static struct shmp_pipe_control *control(void)
{
	return scene.pipe.segment.map.control;
}

static struct shmp_endpoint *place(uint32_t role)
{
	return &scene.pipe.segment.map.endpoints[role];
}

static bool is_message(const uint8_t *bytes, uint64_t size, uint64_t session, uint64_t number)
{
	return size == size_of(number) && shmt_message_is(bytes, size, number_of(session, number));
}

/* The next of the session; who is gone is waited for. */
static bool send_next(uint64_t number)
{
	int r;

	shmt_message_fill(scene.payload, size_of(number), number_of(host()->self, number));
	r = shmp_pipe_push(host(), scene.payload, size_of(number));
	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_FULL || r == SHMP_PEER_DEAD);
	/* who comes while this one goes to sleep tells him once, which may have been before */
	if (r == SHMP_PEER_DEAD && shmp_pipe_meet(host()) == SHMP_DONE)
		r = shmp_pipe_push(host(), scene.payload, size_of(number));
	if (r != SHMP_DONE)
		return false;
	atomic_store(sent(host()->self), number + 1);
	if (shmp_pipe_reader_waits(host()))
		shmp_pipe_tell_reader(host(), NULL, NULL);
	return true;
}

/* The living */

/* He who is met, or waited for, is another one than before. */
static void enter_session(void)
{
	if (client()->peer == atomic_load(&scene.world->session))
		return;
	atomic_store(&scene.world->got, 0);
	atomic_store(&scene.world->session, client()->peer);
}

static bool try_receive(void *context, unsigned int peer)
{
	struct world *world = scene.world;
	struct shmp_spsc_message message;
	uint8_t buffer[LONGEST];
	uint64_t number;
	int r = shmp_pipe_pop(client(), buffer, sizeof(buffer), &message);

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY || r == SHMP_PEER_DEAD);
	enter_session();
	number = atomic_load(&world->got);
	if (r == SHMP_PEER_DEAD) {
		SHMT_REQUIRE(number >= atomic_load(sent(client()->peer)));
		return shmp_pipe_meet(client()) == SHMP_DONE;
	}
	if (r != SHMP_DONE)
		return false;
	SHMT_REQUIRE(message.flags == 0);
	SHMT_REQUIRE(is_message(buffer, message.size, client()->peer, number));
	atomic_store(&world->got, number + 1);
	if (shmp_pipe_sender_waits(client()))
		shmp_pipe_tell_sender(client(), NULL, NULL);
	return true;
}

static bool live_receiving(void *context, unsigned int peer)
{
	return running_move_or_sleep(&scene.running, peer, try_receive,
				     &control()->not_empty[SHMP_PIPE_HOST], place(SHMP_PIPE_CLIENT),
				     SHMP_PIPE_CLIENT);
}

static bool try_send(void *context, unsigned int peer)
{
	return send_next(atomic_load(sent(host()->self)));
}

static bool live_sending(void *context, unsigned int peer)
{
	return running_move_or_sleep(&scene.running, peer, try_send,
				     &control()->not_full[SHMP_PIPE_HOST], place(SHMP_PIPE_HOST),
				     SHMP_PIPE_HOST);
}

/* Hosts that die */

/* What the host sent arrives, whether he lives or not. */
static void all_arrive(void)
{
	const struct world *world = scene.world;
	uint64_t session = host()->self;

	if (atomic_load(sent(session)) > 0)
		RUNNING_AWAIT(&scene.running,
			      atomic_load(&world->session) > session ||
				      (atomic_load(&world->session) == session &&
				       atomic_load(&world->got) >= atomic_load(sent(session))));
}

static void check_nobody_sleeps(void *context)
{
	if (shmt_random_below(&scene.running.random, 2) == 0)
		all_arrive();
}

/* A session of his own. */
static void come_to_send(void *context)
{
	shmt_pipe_come(&scene.pipe, SHMP_PIPE_HOST);
	for (uint64_t i = shmt_random_below(&scene.running.random, BURST); i > 0; i--)
		RUNNING_AWAIT(&scene.running, send_next(atomic_load(sent(host()->self))));
	scene.next = atomic_load(sent(host()->self));
}

static void prepare_message(void *context)
{
	shmt_message_fill(scene.payload, size_of(scene.next), number_of(host()->self, scene.next));
}

static void dies_sending(void *context)
{
	while (shmp_pipe_push(host(), scene.payload, size_of(scene.next)) == SHMP_FULL)
		;
	atomic_store(sent(host()->self), scene.next + 1);
	if (shmp_pipe_reader_waits(host()))
		shmp_pipe_tell_reader(host(), NULL, NULL);
}

/* Clients that die */

static void receive_next(struct shmp_spsc_message *ret_message, uint8_t *buffer)
{
	RUNNING_AWAIT(&scene.running,
		      shmp_pipe_pop(client(), buffer, LONGEST, ret_message) == SHMP_DONE);
	if (shmp_pipe_sender_waits(client()))
		shmp_pipe_tell_sender(client(), NULL, NULL);
}

/* What the dead one had taken he had read; what he had only read is flagged. */
static void come_to_receive(void *context)
{
	struct world *world = scene.world;
	struct shmp_spsc_message message;
	uint8_t buffer[LONGEST];

	shmt_pipe_come(&scene.pipe, SHMP_PIPE_CLIENT);
	scene.pipe.segment.kind->wake(&scene.pipe.segment.map); /* as the broker does */
	receive_next(&message, buffer);
	if (!is_message(buffer, message.size, host()->self, scene.next)) {
		CHECK(is_message(world->witness, size_of(scene.next), host()->self, scene.next));
		scene.next++;
		CHECK(message.flags == 0);
	} else {
		CHECK(!atomic_load(&world->has_returned));
		for (uint64_t i = 0; i < LONGEST; i++)
			CHECK(world->witness[i] == UNTOUCHED ||
			      message.flags == SHMP_PIPE_REDELIVERED);
	}
	CHECK(is_message(buffer, message.size, host()->self, scene.next++));
	for (uint64_t i = shmt_random_below(&scene.running.random, BURST); i > 0; i--) {
		receive_next(&message, buffer);
		CHECK(message.flags == 0);
		CHECK(is_message(buffer, message.size, host()->self, scene.next++));
	}
	memset(world->witness, UNTOUCHED, LONGEST);
	atomic_store(&world->has_returned, false);
}

/* As one who would sleep if there were nothing. */
static void dies_receiving(void *context)
{
	struct shmp_waiter *not_empty = &control()->not_empty[SHMP_PIPE_HOST];
	struct shmp_spsc_message message;
	int r;

	do {
		shmp_waiter_prepare(not_empty, place(SHMP_PIPE_CLIENT), SHMP_PIPE_CLIENT,
				    scene.running.has_membarrier);
		r = shmp_pipe_pop(client(), scene.world->witness, LONGEST, &message);
		shmp_waiter_finish(not_empty, SHMP_PIPE_CLIENT);
	} while (r == SHMP_EMPTY);
	atomic_store(&scene.world->has_returned, true);
	if (shmp_pipe_sender_waits(client()))
		shmp_pipe_tell_sender(client(), NULL, NULL);
}

/* Runs */

static void set_up(const char *name, uint32_t victim)
{
	memset(&scene, 0, sizeof(scene));
	shmt_pipe_make(&scene.pipe);
	shmt_pipe_come(&scene.pipe, 1 - victim);
	scene.world = running_share(sizeof(*scene.world));
	memset(scene.world->witness, UNTOUCHED, LONGEST);
	scene.running = (struct running){
		.name = name,
		.segment = &scene.pipe.segment,
		.peers = 1,
		.place = victim,
	};
}

static void check_all_is_well(void)
{
	const char *why = NULL;

	running_finish(&scene.running);
	ck_assert_msg(shmp_pipe_kind.validate(&scene.pipe.segment.map, &why) == 0, "%s", why);
	shmt_pipe_free(&scene.pipe);
}

TEST(hosts_die_sending_while_their_client_runs, .timeout_s = 120)
{
	set_up("send", SHMP_PIPE_HOST);
	scene.running.live = live_receiving;
	scene.running.come = come_to_send;
	scene.running.prepare = prepare_message;
	scene.running.operate = dies_sending;
	scene.running.check = check_nobody_sleeps;
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	come_to_send(NULL);
	all_arrive();
	check_all_is_well();
}

TEST(clients_die_receiving_while_their_host_runs, .timeout_s = 120)
{
	set_up("receive", SHMP_PIPE_CLIENT);
	scene.running.live = live_sending;
	scene.running.come = come_to_receive;
	scene.running.operate = dies_receiving;
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	come_to_receive(NULL);
	check_all_is_well();
}

RUNNING_MAIN
