/*
 * A host of a pipe dies anywhere in sending, or in receiving, while its client runs, and a client
 * while its host runs; successors run for a while themselves and are the next to die.
 *
 * Message n of an era is the n-th of it that was sent. What a host sends is of its session, what a
 * client that dies sends is that client's: the one who lives gets each one's 0, 1, 2 ... whole, all
 * that was sent, before it is told that the one is dead. Who comes after a dead client goes on where
 * that one was, and gets again, flagged, what that one had seen. What a client that lives sends is
 * its host's session's: who comes after a dead host gets nothing of it, but its own from 0 on.
 */
#include <string.h>
#include <sys/mman.h>

#include "tests/crash/running.h"
#include "tests/support/pipe.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

enum {
	LONGEST = 1300,
	ERAS = 1 << 16,
	BURST = 20,
	OWN = 2, /* messages of an operation on several */
	UNTOUCHED = 0xee,
};

/* Shared by all. */
struct world {
	_Atomic uint64_t sent[ERAS]; /* by sends that returned */
	/* of each victim, by the one who lives */
	_Atomic uint64_t got[ERAS];
	_Atomic bool is_met[ERAS];
	_Atomic bool is_told[ERAS];	/* that it is dead */
	_Atomic bool has_returned;	/* the victim's receive */
	uint8_t witness[OWN * LONGEST]; /* and where to */
};

static struct scene {
	struct shmt_pipe pipe;
	struct world *world;
	uint32_t victim;      /* role */
	uint64_t next;	      /* message of the era, of the parent's role */
	uint64_t own;	      /* that the victim sends, all or none */
	uint64_t begun[ERAS]; /* sent, when the victim began with them */
	uint8_t payload[OWN][LONGEST];
	struct running running;
} scene;

#define CHECK(condition_) RUNNING_CHECK(&scene.running, condition_)

static struct shmp_pipe *victim(void)
{
	return &scene.pipe.side[scene.victim];
}

static struct shmp_pipe *living(void)
{
	return &scene.pipe.side[1 - scene.victim];
}

static uint64_t size_of(uint64_t number)
{
	return number % 13 == 0 ? LONGEST - number % 97 : 8 + number * 37 % 150;
}

static uint64_t number_of(uint64_t era, uint64_t number)
{
	return era << 32 | number;
}

static _Atomic uint64_t *sent(uint64_t era)
{
	SHMT_REQUIRE(era < ERAS);
	return &scene.world->sent[era];
}

/* Of what this side sends: the session, or a client's own where clients die. */
static uint64_t era_of(const struct shmp_pipe *sender)
{
	return sender->role == SHMP_PIPE_HOST || sender == victim() ? sender->self : sender->peer;
}

static struct shmp_pipe_control *control(void)
{
	return scene.pipe.segment.map.control;
}

static struct shmp_endpoint *place(uint32_t role)
{
	return &scene.pipe.segment.map.endpoints[role];
}

static bool is_message(const uint8_t *bytes, uint64_t size, uint64_t era, uint64_t number)
{
	return size == size_of(number) && shmt_message_is(bytes, size, number_of(era, number));
}

static void tell_reader(struct shmp_pipe *sender)
{
	if (shmp_pipe_reader_waits(sender))
		shmp_pipe_tell_reader(sender, NULL, NULL);
}

static void tell_sender(struct shmp_pipe *reader)
{
	if (shmp_pipe_sender_waits(reader))
		shmp_pipe_tell_sender(reader, NULL, NULL);
}

/* The living one is told that its peer is dead. Whether there is a successor. */
static bool meet_next(struct shmp_pipe *side)
{
	SHMT_REQUIRE(side == living() && side->peer < ERAS);
	atomic_store(&scene.world->is_told[side->peer], true);
	return shmp_pipe_meet(side) == SHMP_DONE;
}

static int push_next(struct shmp_pipe *sender)
{
	uint64_t era = era_of(sender), number = atomic_load(sent(era));

	shmt_message_fill(scene.payload[0], size_of(number), number_of(era, number));
	return shmp_pipe_push(sender, scene.payload[0], size_of(number));
}

/* The next of the era; who is gone is waited for. */
static bool send_next(struct shmp_pipe *sender)
{
	int r = push_next(sender);

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_FULL || r == SHMP_PEER_DEAD);
	/* who comes while this one goes to sleep tells him once, which may have been before */
	if (r == SHMP_PEER_DEAD && meet_next(sender))
		r = push_next(sender);
	if (r != SHMP_DONE)
		return false;
	atomic_fetch_add(sent(era_of(sender)), 1);
	tell_reader(sender);
	return true;
}

/* The living */

static bool try_receive(void *context, unsigned int peer)
{
	struct world *world = scene.world;
	struct shmp_spsc_message message;
	uint8_t buffer[LONGEST];
	uint64_t era = living()->peer, number;
	int r = shmp_pipe_pop(living(), buffer, sizeof(buffer), &message);

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY || r == SHMP_PEER_DEAD);
	SHMT_REQUIRE(era < ERAS && living()->peer == era);
	number = atomic_load(&world->got[era]);
	if (r == SHMP_PEER_DEAD) {
		SHMT_REQUIRE(number >= atomic_load(sent(era)));
		return meet_next(living());
	}
	if (r != SHMP_DONE)
		return false;
	SHMT_REQUIRE(!atomic_load(&world->is_told[era]));
	SHMT_REQUIRE(message.flags == 0);
	SHMT_REQUIRE(is_message(buffer, message.size, era, number));
	atomic_store(&world->is_met[era], true);
	atomic_store(&world->got[era], number + 1);
	tell_sender(living());
	return true;
}

static bool live_receiving(void *context, unsigned int peer)
{
	return running_move_or_sleep(&scene.running, peer, try_receive,
				     &control()->not_empty[scene.victim], place(living()->role),
				     living()->role);
}

static bool try_send(void *context, unsigned int peer)
{
	return send_next(living());
}

static bool live_sending(void *context, unsigned int peer)
{
	return running_move_or_sleep(&scene.running, peer, try_send,
				     &control()->not_full[living()->role], place(living()->role),
				     living()->role);
}

/* Who comes, a successor or the first, is announced as by the broker. */
static void come(void)
{
	shmt_pipe_come(&scene.pipe, scene.victim);
	scene.pipe.segment.kind->wake(&scene.pipe.segment.map);
	SHMT_REQUIRE(victim()->self < ERAS);
}

/* Those who die sending */

/*
 * What the victim sent arrives, whether he lives or not. Before there is a successor: a client that
 * meets a host gets nothing of those before it.
 */
static void all_arrive(void)
{
	uint64_t era = victim()->self;

	RUNNING_AWAIT(&scene.running,
		      atomic_load(&scene.world->got[era]) >= atomic_load(sent(era)));
}

static void check_nobody_sleeps(void *context)
{
	uint64_t era = victim()->self;

	if (shmt_random_below(&scene.running.random, 2) == 0)
		return;
	all_arrive();
	/* nobody is told of one whom he had not met */
	if (atomic_load(sent(era)) > 0)
		RUNNING_AWAIT(&scene.running, atomic_load(&scene.world->is_told[era]));
}

/* Messages of his own. */
static void come_to_send(void *context)
{
	come();
	for (uint64_t i = shmt_random_below(&scene.running.random, BURST); i > 0; i--)
		RUNNING_AWAIT(&scene.running, send_next(victim()));
	scene.next = atomic_load(sent(victim()->self));
	scene.begun[victim()->self] = scene.next;
}

static void prepare_messages(void *context)
{
	for (uint64_t i = 0; i < scene.own; i++)
		shmt_message_fill(scene.payload[i], size_of(scene.next + i),
				  number_of(victim()->self, scene.next + i));
}

static void has_sent(void)
{
	atomic_store(sent(victim()->self), scene.next + scene.own);
	tell_reader(victim());
}

static void dies_sending(void *context)
{
	while (shmp_pipe_push(victim(), scene.payload[0], size_of(scene.next)) == SHMP_FULL)
		;
	has_sent();
}

static void dies_reserving_and_committing(void *context)
{
	uint64_t size = size_of(scene.next);
	uint8_t *room = NULL;

	while (shmp_pipe_reserve(victim(), size, &room) == SHMP_FULL)
		;
	memcpy(room, scene.payload[0], size);
	shmp_spsc_commit(&victim()->out, size);
	has_sent();
}

static void dies_sending_a_batch(void *context)
{
	for (uint64_t i = 0; i < OWN; i++)
		while (shmp_pipe_batch_add(victim(), scene.payload[i], size_of(scene.next + i)) ==
		       SHMP_FULL)
			;
	shmp_spsc_batch_publish(&victim()->out);
	has_sent();
}

/* Of each victim all came or nothing, and all that it was told to have sent. */
static void account_for_all(void)
{
	const struct world *world = scene.world;
	uint64_t last = victim()->self;

	for (uint64_t era = 1; era <= last; era++) {
		uint64_t got = atomic_load(&world->got[era]), most = atomic_load(sent(era));

		/* a host whom its client never met spoke to nobody */
		if (scene.victim == SHMP_PIPE_HOST && !atomic_load(&world->is_met[era]))
			continue;
		ck_assert_msg(got == scene.begun[era] ||
				      (era < last && got == scene.begun[era] + scene.own),
			      "%s: of %d's messages came %d, not %d", scene.running.name, (int)era,
			      (int)got, (int)scene.begun[era]);
		ck_assert_uint_ge(got, most);
		ck_assert(era == last || most == 0 || atomic_load(&world->is_told[era]));
	}
	ck_assert(!atomic_load(&world->is_told[last]));
}

/* Those who die receiving */

static void receive_next(struct shmp_spsc_message *ret_message, uint8_t *buffer)
{
	RUNNING_AWAIT(&scene.running,
		      shmp_pipe_pop(victim(), buffer, LONGEST, ret_message) == SHMP_DONE);
	tell_sender(victim());
}

/* Of what the victim receives: the session. */
static uint64_t incoming_era(void)
{
	return scene.pipe.side[SHMP_PIPE_HOST].self;
}

/* They must be the next ones, never seen before. */
static void receive_some(uint64_t count)
{
	struct shmp_spsc_message message;
	uint8_t buffer[LONGEST];

	while (count-- > 0) {
		receive_next(&message, buffer);
		CHECK(message.flags == 0);
		CHECK(is_message(buffer, message.size, incoming_era(), scene.next));
		scene.next++;
	}
}

static void forget_the_dead_one(void)
{
	memset(scene.world->witness, UNTOUCHED, sizeof(scene.world->witness));
	atomic_store(&scene.world->has_returned, false);
}

/* What the dead one had taken he had read; what he had only read is flagged. */
static void come_as_client(void *context)
{
	struct world *world = scene.world;
	struct shmp_spsc_message message;
	uint8_t buffer[LONGEST];
	uint64_t era = incoming_era();

	come();
	receive_next(&message, buffer);
	if (!is_message(buffer, message.size, era, scene.next)) {
		CHECK(is_message(world->witness, size_of(scene.next), era, scene.next));
		scene.next++;
		CHECK(message.flags == 0);
	} else {
		CHECK(!atomic_load(&world->has_returned));
		for (uint64_t i = 0; i < LONGEST; i++)
			CHECK(world->witness[i] == UNTOUCHED ||
			      message.flags == SHMP_PIPE_REDELIVERED);
	}
	CHECK(is_message(buffer, message.size, era, scene.next));
	scene.next++;
	receive_some(shmt_random_below(&scene.running.random, BURST));
	forget_the_dead_one();
}

/* What was sent to the dead one, taken or not, has gone with it. */
static void come_as_host(void *context)
{
	come();
	scene.next = 0;
	receive_some(1 + shmt_random_below(&scene.running.random, BURST));
	forget_the_dead_one();
}

/* What the dead host had received was its own; its client is told, and waits for the next one. */
static void check_client_is_told(void *context)
{
	const struct world *world = scene.world;
	uint64_t era = victim()->self;

	if (atomic_load(&world->has_returned))
		CHECK(is_message(world->witness, size_of(scene.next), era, scene.next));
	if (shmt_random_below(&scene.running.random, 2) == 0)
		RUNNING_AWAIT(&scene.running, atomic_load(&world->is_told[era]));
}

/* As one who would sleep if there were nothing. */
static void dies_receiving(void *context)
{
	struct shmp_waiter *not_empty = &control()->not_empty[living()->role];
	struct shmp_spsc_message message;
	int r;

	do {
		shmp_waiter_prepare(not_empty, place(scene.victim), scene.victim,
				    scene.running.has_membarrier);
		r = shmp_pipe_pop(victim(), scene.world->witness, LONGEST, &message);
		shmp_waiter_finish(not_empty, scene.victim);
	} while (r == SHMP_EMPTY);
	atomic_store(&scene.world->has_returned, true);
	tell_sender(victim());
}

static void dies_peeking_and_releasing(void *context)
{
	struct shmp_spsc_message messages[OWN];
	uint64_t count;

	while (shmp_pipe_peek(victim(), messages, OWN, &count) == SHMP_EMPTY)
		;
	for (uint64_t i = 0; i < count; i++)
		memcpy(scene.world->witness + i * LONGEST, messages[i].data, messages[i].size);
	shmp_spsc_release(&victim()->in, count);
	atomic_store(&scene.world->has_returned, true);
	tell_sender(victim());
}

/* All that is left of the last host's, when its client has come to an end. */
static void drain(void)
{
	uint64_t count = atomic_load(sent(victim()->self));
	struct shmp_spsc_message message;
	uint8_t buffer[LONGEST];

	receive_some(count - scene.next);
	ck_assert_int_eq(shmp_pipe_pop(victim(), buffer, LONGEST, &message), SHMP_EMPTY);
	for (uint64_t era = 1; era < victim()->self; era++)
		ck_assert(atomic_load(&scene.world->is_told[era]));
}

/* Runs */

static void set_up(const char *name, uint32_t role, void (*operate)(void *context))
{
	memset(&scene, 0, sizeof(scene));
	scene.victim = role;
	shmt_pipe_make(&scene.pipe);
	shmt_pipe_come(&scene.pipe, 1 - role);
	scene.world = running_share(sizeof(*scene.world));
	forget_the_dead_one();
	scene.running = (struct running){
		.name = name,
		.segment = &scene.pipe.segment,
		.peers = 1,
		.place = role,
		.operate = operate,
	};
}

static void check_all_is_well(void)
{
	const char *why = NULL;

	ck_assert_msg(shmp_pipe_kind.validate(&scene.pipe.segment.map, &why) == 0, "%s", why);
	shmt_pipe_free(&scene.pipe);
	munmap(scene.world, sizeof(*scene.world));
}

static void kill_sending(const char *name, uint32_t role, uint64_t own,
			 void (*operate)(void *context))
{
	set_up(name, role, operate);
	scene.own = own;
	scene.running.live = live_receiving;
	scene.running.come = come_to_send;
	scene.running.prepare = prepare_messages;
	scene.running.check = check_nobody_sleeps;
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	come_to_send(NULL);
	/* what the last one sent comes behind the ends of the others */
	RUNNING_AWAIT(&scene.running, send_next(victim()));
	scene.begun[victim()->self]++;
	all_arrive();
	running_finish(&scene.running);
	account_for_all();
	check_all_is_well();
}

static void kill_hosts_receiving(const char *name, void (*operate)(void *context))
{
	set_up(name, SHMP_PIPE_HOST, operate);
	scene.running.live = live_sending;
	scene.running.come = come_as_host;
	scene.running.check = check_client_is_told;
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	come_as_host(NULL);
	running_finish(&scene.running);
	drain();
	check_all_is_well();
}

TEST(hosts_die_sending_while_their_client_runs, .timeout_s = 120)
{
	kill_sending("host sends", SHMP_PIPE_HOST, 1, dies_sending);
}

TEST(clients_die_sending_while_their_host_runs, .timeout_s = 120)
{
	kill_sending("client sends", SHMP_PIPE_CLIENT, 1, dies_sending);
}

TEST(clients_die_in_a_reservation_while_their_host_runs, .timeout_s = 120)
{
	kill_sending("client reserves and commits", SHMP_PIPE_CLIENT, 1,
		     dies_reserving_and_committing);
}

TEST(clients_die_in_a_batch_while_their_host_runs, .timeout_s = 120)
{
	kill_sending("client sends a batch of 2", SHMP_PIPE_CLIENT, OWN, dies_sending_a_batch);
}

TEST(clients_die_receiving_while_their_host_runs, .timeout_s = 120)
{
	set_up("client receives", SHMP_PIPE_CLIENT, dies_receiving);
	scene.running.live = live_sending;
	scene.running.come = come_as_client;
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	come_as_client(NULL);
	running_finish(&scene.running);
	check_all_is_well();
}

TEST(hosts_die_receiving_while_their_client_runs, .timeout_s = 120)
{
	kill_hosts_receiving("host receives", dies_receiving);
}

TEST(hosts_die_in_peek_and_release_while_their_client_runs, .timeout_s = 120)
{
	kill_hosts_receiving("host peeks at 2 and releases", dies_peeking_and_releasing);
}

RUNNING_MAIN
