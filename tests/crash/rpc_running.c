/*
 * A worker or a client of a service dies anywhere in what it does while another worker and others
 * call and answer as fast as they can.
 *
 * Each call has a number, and all of request and answer follows from it. Each call of who lives ends
 * once, with its answer; only where that was chosen, as PEER_DEAD, and as often as the broker has
 * counted. A request that was in dead hands says so, and in the end every slot is free.
 */
#include "protocol/rpc.h"

#include <string.h>

#include "tests/crash/running.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

enum {
	WORKERS = 2, /* places 0 and 1 */
	CLIENTS = 2, /* 2 and 3 */
	PLACES = WORKERS + CLIENTS,
	CALLS = 3,
	LONGEST = 96,
	RECENT = 1 << 10, /* numbers of calls that may be open at a time, and far more */
	BURST = 8,
	ONE_WAITS_IN = 4, /* deaths, until each who lives got on */
};

#define ANSWER (UINT64_C(1) << 63)

/* Shared by all. */
struct world {
	_Atomic bool no_more; /* clients call no more */
	_Atomic uint64_t number;
	_Atomic uint64_t taken[RECENT]; /* number + 1 of a call that a worker has had in hand */
	_Atomic uint64_t open[CLIENTS]; /* calls of who lives */
	_Atomic uint64_t lost;		/* of these, that ended with their worker */
	_Atomic bool is_wrong;		/* the victim got what is not its answer */
};

static struct scene {
	struct shmt_segment segment;
	struct shmp_rpc at[PLACES];
	struct world *world;
	bool redelivers;
	uint32_t victim, others[PLACES - 1];
	uint64_t asked[CALLS]; /* numbers of a client's calls, by slot */
	struct running running;
} scene;

#define CHECK(condition_) RUNNING_CHECK(&scene.running, condition_)

/* A message that says which it is: how long it is. */
static uint64_t compose(uint8_t *bytes, uint64_t number)
{
	uint64_t more = number % (LONGEST - 8);

	memcpy(bytes, &number, 8);
	shmt_message_fill(bytes + 8, more, number);
	return 8 + more;
}

static bool is_composed(const void *bytes, uint64_t size, uint64_t *ret_number)
{
	memcpy(ret_number, bytes, 8);
	return size == 8 + *ret_number % (LONGEST - 8) &&
	       shmt_message_is((const uint8_t *)bytes + 8, size - 8, *ret_number);
}

/* Clients */

static struct shmp_waiter *answers_of(uint32_t place)
{
	return &scene.at[place].view.answers[place - WORKERS];
}

/* False: his slots are in others' hands. */
static bool call(uint32_t place, uint64_t *ret_id)
{
	uint64_t number = atomic_fetch_add(&scene.world->number, 1);
	struct shmp_rpc *rpc = &scene.at[place];
	uint8_t bytes[LONGEST];
	int r = shmp_rpc_start(rpc, bytes, compose(bytes, number), UINT64_MAX, ret_id);

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_FULL);
	if (r == SHMP_FULL)
		return false;
	scene.asked[*ret_id % 64] = number;
	if (shmp_rpc_workers_wait(rpc))
		shmp_rpc_tell_workers(rpc, NULL, NULL);
	return true;
}

static bool is_answer(const struct shmp_rpc_answer *answer)
{
	uint64_t number;

	return is_composed(answer->data, answer->size, &number) &&
	       number == (scene.asked[answer->id % 64] | ANSWER);
}

/* An outcome of any call; EMPTY: none yet. */
static int receive(uint32_t place)
{
	struct shmp_rpc_answer answer;
	int r = shmp_rpc_receive(&scene.at[place], 0, &answer);

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY ||
		     (r == SHMP_PEER_DEAD && answer.id != 0 && !scene.redelivers));
	if (r == SHMP_PEER_DEAD)
		atomic_fetch_add(&scene.world->lost, 1);
	if (r == SHMP_DONE) {
		SHMT_REQUIRE(is_answer(&answer));
		SHMT_REQUIRE(shmp_rpc_release(&scene.at[place], answer.id) == SHMP_DONE);
	}
	return r;
}

static bool try_client(void *context, unsigned int peer)
{
	uint32_t place = scene.others[peer];
	_Atomic uint64_t *open = &scene.world->open[place - WORKERS];
	uint64_t id;

	if (atomic_load(open) < CALLS && !atomic_load(&scene.world->no_more)) {
		/* before, so that who waits for all to end misses none */
		atomic_fetch_add(open, 1);
		SHMT_REQUIRE(call(place, &id));
		return true;
	}
	if (atomic_load(open) == 0 || receive(place) == SHMP_EMPTY)
		return false;
	atomic_fetch_sub(open, 1);
	return true;
}

/* Workers */

/* A request that was in another's hands before says so. */
static bool take(uint32_t place, struct shmp_rpc_request *ret_request, uint64_t *ret_number)
{
	int r = shmp_rpc_take(&scene.at[place], ret_request);
	bool was_taken;

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY);
	if (r == SHMP_EMPTY)
		return false;
	SHMT_REQUIRE(is_composed(ret_request->data, ret_request->size, ret_number));
	was_taken = atomic_exchange(&scene.world->taken[*ret_number % RECENT], *ret_number + 1) ==
		    *ret_number + 1;
	SHMT_REQUIRE(!was_taken ||
		     (scene.redelivers && ret_request->flags == SHMP_RPC_REDELIVERED));
	return true;
}

/* Who called may have died. */
static void answer(uint32_t place, const struct shmp_rpc_request *request, uint64_t number)
{
	struct shmp_rpc *rpc = &scene.at[place];
	int r = shmp_rpc_answer(rpc, request, 0, request->room,
				compose(request->room, number | ANSWER));

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_RPC_STALE);
	if (shmp_rpc_client_waits(rpc, request->client))
		shmp_rpc_tell_client(rpc, request->client, NULL, NULL);
}

static bool try_worker(void *context, unsigned int peer)
{
	struct shmp_rpc_request request;
	uint64_t number;

	if (!take(scene.others[peer], &request, &number))
		return false;
	answer(scene.others[peer], &request, number);
	return true;
}

static bool live(void *context, unsigned int peer)
{
	uint32_t place = scene.others[peer];
	struct shmp_rpc *rpc = &scene.at[place];
	bool works = place < WORKERS;

	return running_move_or_sleep(&scene.running, peer, works ? try_worker : try_client,
				     works ? &rpc->view.control->requests : answers_of(place),
				     rpc->self, place);
}

static void check_others(void *context)
{
	CHECK(!atomic_load(&scene.world->is_wrong));
	if (shmt_random_below(&scene.running.random, ONE_WAITS_IN) == 0)
		running_await_moves(&scene.running, 1);
}

/* Who dies */

static void attach(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	SHMT_REQUIRE(shmp_rpc_attach(&scene.segment.map, place, &scene.at[place]) == 0);
}

static void come_to_work(void *context)
{
	struct shmp_rpc_request request;
	uint64_t number;

	attach(scene.victim);
	for (uint64_t i = shmt_random_below(&scene.running.random, BURST); i > 0; i--) {
		RUNNING_AWAIT(&scene.running, take(scene.victim, &request, &number));
		answer(scene.victim, &request, number);
	}
}

/* As one who would sleep if there were nothing; two in hand, the later is answered first. */
static void dies_working(void *context)
{
	struct shmp_rpc *rpc = &scene.at[scene.victim];
	struct shmp_waiter *requests = &rpc->view.control->requests;
	struct shmp_rpc_request first, second;
	uint64_t number, later;
	bool has_taken;

	do {
		shmp_waiter_prepare(requests, rpc->self, scene.victim,
				    scene.running.has_membarrier);
		has_taken = take(scene.victim, &first, &number);
		shmp_waiter_finish(requests, scene.victim);
	} while (!has_taken);
	if (take(scene.victim, &second, &later))
		answer(scene.victim, &second, later);
	answer(scene.victim, &first, number);
}

/* Each slot of the dead one can be used again, as soon as no worker has his hands in it. */
static void come_to_call(void *context)
{
	uint64_t id;

	attach(scene.victim);
	for (int i = 0; i < CALLS; i++)
		RUNNING_AWAIT(&scene.running, call(scene.victim, &id));
	for (int i = 0; i < CALLS; i++)
		RUNNING_AWAIT(&scene.running, receive(scene.victim) != SHMP_EMPTY);
}

static void dies_calling(void *context)
{
	struct shmp_rpc *rpc = &scene.at[scene.victim];
	struct shmp_rpc_answer got;
	uint64_t id;
	int r;

	while (!call(scene.victim, &id))
		;
	do {
		shmp_waiter_prepare(answers_of(scene.victim), rpc->self, scene.victim,
				    scene.running.has_membarrier);
		r = shmp_rpc_receive(rpc, id, &got);
		shmp_waiter_finish(answers_of(scene.victim), scene.victim);
	} while (r == SHMP_EMPTY);
	if (r != SHMP_DONE || !is_answer(&got))
		atomic_store(&scene.world->is_wrong, true);
	shmp_rpc_release(rpc, id);
}

static void dies_cancelling(void *context)
{
	uint64_t first, second;

	while (!call(scene.victim, &first))
		;
	while (!call(scene.victim, &second))
		;
	shmp_rpc_release(&scene.at[scene.victim], first);
	shmp_rpc_release(&scene.at[scene.victim], second);
}

/* Runs */

static void set_up(const char *name, uint32_t victim, bool redelivers)
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_RPC_MESSAGE_BYTES_MAX] = LONGEST, [SHMP_RPC_CALLS] = CALLS,
		[SHMP_RPC_WORKERS_MAX] = WORKERS,	[SHMP_RPC_CLIENTS_MAX] = CLIENTS,
		[SHMP_RPC_REDELIVERY] = redelivers,
	};

	memset(&scene, 0, sizeof(scene));
	shmt_segment_make(&scene.segment, "rpc", option);
	scene.world = running_share(sizeof(*scene.world));
	scene.redelivers = redelivers;
	scene.victim = victim;
	for (uint32_t place = 0, i = 0; place < PLACES; place++) {
		if (place == victim)
			continue;
		attach(place);
		scene.others[i++] = place;
	}
	scene.running = (struct running){
		.name = name,
		.segment = &scene.segment,
		.peers = PLACES - 1,
		.live = live,
		.place = victim,
		.come = victim < WORKERS ? come_to_work : come_to_call,
		.check = check_others,
	};
}

static void kill_everywhere(void (*operate)(void *context))
{
	struct shmp_rpc_counts counts;
	const char *why = NULL;

	scene.running.operate = operate;
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	atomic_store(&scene.world->no_more, true);
	for (uint32_t i = 0; i < CLIENTS; i++)
		RUNNING_AWAIT(&scene.running, atomic_load(&scene.world->open[i]) == 0);
	running_finish(&scene.running);
	for (uint32_t i = 0; i < PLACES - 1; i++)
		shmt_place_vacate(&scene.segment, scene.others[i], false, 1);
	shmp_rpc_count(&scene.segment.map, &counts);
	ck_assert_uint_eq(counts.of[SHMP_RPC_FREE], CLIENTS * CALLS);
	ck_assert_uint_eq(counts.lost, atomic_load(&scene.world->lost));
	ck_assert_uint_eq(counts.lost > 0, !scene.redelivers);
	ck_assert_msg(shmp_rpc_kind.validate(&scene.segment.map, &why) == 0, "%s", why);
	shmt_segment_free(&scene.segment);
}

TEST(workers_die_while_others_run, .timeout_s = 120)
{
	set_up("take two and answer", 0, true);
	kill_everywhere(dies_working);
}

TEST(workers_die_while_others_run_and_nothing_comes_again, .timeout_s = 120)
{
	set_up("take two and answer, without redelivery", 0, false);
	kill_everywhere(dies_working);
}

TEST(clients_die_calling_while_others_run, .timeout_s = 120)
{
	set_up("call and receive", WORKERS, true);
	kill_everywhere(dies_calling);
}

TEST(clients_die_cancelling_while_others_run, .timeout_s = 120)
{
	set_up("call twice and cancel", WORKERS, true);
	kill_everywhere(dies_cancelling);
}

RUNNING_MAIN
