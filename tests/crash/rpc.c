/*
 * A worker or a client of a service dies after every instruction of everything it does. Each call of
 * those who live ends once, with the right answer or as PEER_DEAD where that was chosen; what the
 * dead one had in hand is in other hands or over; each slot can be used again; who slept is up.
 */
#include "protocol/rpc.h"

#include <stdio.h>
#include <string.h>

#include "protocol/doorbell.h"
#include "tests/crash/deaths.h"
#include "tests/support/runner.h"

enum {
	WORKER = 0,
	OTHER_WORKER = 1,
	CLIENT = 2,
	OTHER_CLIENT = 3,
	PLACES = 4,
	CALLS = 3,
	MESSAGE = 100,
	LONGEST = 16,
	HANDS = 4,
};

static struct scene {
	struct shmt_segment segment;
	struct {
		struct shmp_rpc at[PLACES];
		struct shmp_rpc_request hand[PLACES][HANDS];
		uint32_t in_hand[PLACES];
		uint64_t id; /* a call of the client's */
		struct shmp_waiter *slept_on;
		uint32_t sleeper;
		uint32_t key;
	} own;
	uint32_t dead; /* who dies */
	bool redelivers;
	bool is_late; /* deadlines have passed */
	struct deaths deaths;
} scene;

#define CHECK(condition_) DEATHS_CHECK(&scene.deaths, condition_)

static void attach(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	CHECK(shmp_rpc_attach(&scene.segment.map, place, &scene.own.at[place]) == 0);
	scene.own.in_hand[place] = 0;
}

/* Requests say how long they are and of what; answers are the next of these. */
static uint64_t fill(uint8_t *bytes, uint8_t what)
{
	uint64_t size = 1 + what % LONGEST;

	memset(bytes, what, size);
	return size;
}

static bool is_filled(const uint8_t *bytes, uint64_t size)
{
	for (uint64_t i = 0; i < size; i++)
		if (bytes[i] != bytes[0])
			return false;
	return size == UINT64_C(1) + bytes[0] % LONGEST;
}

static uint64_t start(uint32_t client, uint64_t deadline_ns)
{
	struct shmp_rpc *rpc = &scene.own.at[client];
	uint8_t bytes[MESSAGE];
	uint64_t id = 0;
	uint64_t size = fill(bytes, (uint8_t)(2 * (16 * client + rpc->number % 8)));

	CHECK(shmp_rpc_start(rpc, bytes, size, deadline_ns, &id) == SHMP_DONE);
	return id;
}

static bool take(uint32_t worker)
{
	uint32_t count = scene.own.in_hand[worker];
	struct shmp_rpc_request *request = &scene.own.hand[worker][count];
	int r = shmp_rpc_take(&scene.own.at[worker], request);

	CHECK(r == SHMP_DONE || r == SHMP_EMPTY);
	if (r != SHMP_DONE)
		return false;
	CHECK(is_filled(request->data, request->size));
	scene.own.in_hand[worker]++;
	return true;
}

static int answer(uint32_t worker)
{
	struct shmp_rpc_request *request = &scene.own.hand[worker][--scene.own.in_hand[worker]];
	uint8_t what = *(const uint8_t *)request->data;

	return shmp_rpc_answer(&scene.own.at[worker], request, what, request->room,
			       fill(request->room, what + 1));
}

/* All that there is to do, what is in hand first. */
static void serve(uint32_t worker)
{
	do {
		while (scene.own.in_hand[worker] != 0) {
			int r = answer(worker);

			CHECK(r == SHMP_DONE || r == SHMP_RPC_STALE);
		}
	} while (take(worker));
}

/* Every call of his is over, each once; how many of them ended PEER_DEAD or TIMEOUT. */
static uint64_t collect(uint32_t client)
{
	struct shmp_rpc *rpc = &scene.own.at[client];
	uint64_t calls = (uint64_t)__builtin_popcountll(rpc->open), ended = 0;
	struct shmp_rpc_answer got;

	for (uint64_t i = 0; i < calls; i++) {
		int r = shmp_rpc_receive(rpc, 0, &got);

		CHECK(got.id != 0);
		if (r != SHMP_DONE) {
			CHECK(r == SHMP_PEER_DEAD || r == SHMP_RPC_TIMEOUT);
			ended++;
			continue;
		}
		CHECK(got.status == -1 || (is_filled(got.data, got.size) &&
					   got.status + 1 == *(const uint8_t *)got.data));
		CHECK(shmp_rpc_release(rpc, got.id) == SHMP_DONE);
		CHECK(shmp_rpc_release(rpc, got.id) == SHMP_RPC_STALE);
	}
	CHECK(shmp_rpc_receive(rpc, 0, &got) == SHMP_RPC_STALE);
	return ended;
}

/* States */

static void is_fresh(void)
{
}

static void has_called(void)
{
	scene.own.id = start(CLIENT, UINT64_MAX);
	start(OTHER_CLIENT, UINT64_MAX);
}

static void has_called_often(void)
{
	for (int i = 0; i < CALLS; i++)
		scene.own.id = start(CLIENT, UINT64_MAX);
	for (int i = 0; i < CALLS; i++)
		start(OTHER_CLIENT, UINT64_MAX);
}

static void is_in_hand(void)
{
	has_called();
	CHECK(take(WORKER));
	start(CLIENT, UINT64_MAX);
}

static void are_in_hand(void)
{
	has_called_often();
	CHECK(take(WORKER) && take(WORKER) && take(OTHER_WORKER));
}

static void is_cancelled_in_hand(void)
{
	is_in_hand();
	CHECK(shmp_rpc_release(&scene.own.at[CLIENT], scene.own.id) == SHMP_DONE);
}

static void is_answered(void)
{
	is_in_hand();
	CHECK(answer(WORKER) == SHMP_DONE);
}

static void is_late(void)
{
	scene.is_late = true;
	scene.own.id = start(CLIENT, 1);
	start(OTHER_CLIENT, 1);
}

static void falls_asleep(uint32_t place, struct shmp_waiter *waiter)
{
	scene.own.slept_on = waiter;
	scene.own.sleeper = place;
	scene.own.key = shmp_waiter_prepare(waiter, scene.own.at[place].self, place, false);
}

static void is_awaited_by_worker(void)
{
	falls_asleep(OTHER_WORKER, &scene.own.at[CLIENT].view.control->requests);
}

static void is_awaited_by_client(void)
{
	is_in_hand();
	falls_asleep(CLIENT, &scene.own.at[WORKER].view.answers[0]);
}

/* Operations, stepped */

static void dies_calling(void *context)
{
	start(CLIENT, UINT64_MAX);
	if (shmp_rpc_workers_wait(&scene.own.at[CLIENT]))
		shmp_rpc_tell_workers(&scene.own.at[CLIENT], NULL, NULL);
}

static void dies_receiving(void *context)
{
	struct shmp_rpc_answer got;

	if (shmp_rpc_receive(&scene.own.at[CLIENT], scene.own.id, &got) == SHMP_DONE)
		shmp_rpc_release(&scene.own.at[CLIENT], got.id);
}

static void dies_receiving_any(void *context)
{
	struct shmp_rpc_answer got;

	shmp_rpc_receive(&scene.own.at[CLIENT], 0, &got);
}

static void dies_cancelling(void *context)
{
	shmp_rpc_release(&scene.own.at[CLIENT], scene.own.id);
}

static void dies_taking(void *context)
{
	struct shmp_rpc_request request;

	shmp_rpc_take(&scene.own.at[WORKER], &request);
}

static void dies_answering(void *context)
{
	answer(WORKER);
	if (shmp_rpc_client_waits(&scene.own.at[WORKER], 0))
		shmp_rpc_tell_client(&scene.own.at[WORKER], 0, NULL, NULL);
}

static void dies_working(void *context)
{
	struct shmp_rpc *rpc = &scene.own.at[WORKER];
	struct shmp_rpc_request request;

	while (shmp_rpc_take(rpc, &request) == SHMP_DONE)
		shmp_rpc_answer(rpc, &request, -1, NULL, 0);
}

static void dies_attaching(void *context)
{
	shmp_rpc_attach(&scene.segment.map, scene.dead, &scene.own.at[scene.dead]);
}

static void dies_going_to_sleep(void *context)
{
	struct shmp_rpc *rpc = &scene.own.at[scene.dead];
	struct shmp_waiter *waiter = scene.dead < CLIENT ? &rpc->view.control->requests :
							   &rpc->view.answers[scene.dead - CLIENT];

	shmp_waiter_prepare(waiter, rpc->self, scene.dead, false);
	shmp_waiter_finish(waiter, scene.dead);
	shmp_waiter_arm(waiter, rpc->self, scene.dead, 1, false);
	shmp_doorbell_disarm(waiter, rpc->self, scene.dead);
}

static void dies_repairing(void *context)
{
	shmp_rpc_kind.repair(&scene.segment.map, scene.dead, true);
	shmp_rpc_kind.wake(&scene.segment.map);
}

/* What must be, however far it came */

static void bury(void)
{
	shmt_place_vacate(&scene.segment, scene.dead, true, 1 + (int)(scene.deaths.point % 3));
	CHECK(!shmp_rpc_kind.waits(&scene.segment.map, scene.dead));
	if (scene.own.slept_on) {
		CHECK(atomic_load(&scene.own.slept_on->sequence) != scene.own.key);
		shmp_waiter_finish(scene.own.slept_on, scene.own.sleeper);
	}
}

static struct shmp_rpc_counts counts(void)
{
	struct shmp_rpc_counts got;

	shmp_rpc_count(&scene.segment.map, &got);
	return got;
}

/* Every slot of every client, once more, by both workers. */
static void use_all(void)
{
	for (uint32_t client = CLIENT; client <= OTHER_CLIENT; client++)
		for (int i = 0; i < CALLS; i++)
			start(client, UINT64_MAX);
	CHECK(take(WORKER) && take(OTHER_WORKER));
	serve(OTHER_WORKER);
	serve(WORKER);
	CHECK(collect(CLIENT) == 0);
	CHECK(collect(OTHER_CLIENT) == 0);
	CHECK(counts().of[SHMP_RPC_FREE] == UINT64_C(2) * CALLS);
}

static void check(void *context)
{
	uint32_t left = scene.dead < CLIENT ? OTHER_WORKER : WORKER;
	uint64_t ended = 0;
	const char *why;

	bury();
	CHECK(shmp_rpc_kind.validate(&scene.segment.map, &why) == 0);
	serve(left);
	if (scene.dead >= CLIENT)
		serve(OTHER_WORKER);
	for (uint32_t client = CLIENT; client <= OTHER_CLIENT; client++)
		if (client != scene.dead)
			ended += collect(client);
	CHECK(ended == 0 || !scene.redelivers || scene.is_late);
	CHECK(counts().of[SHMP_RPC_FREE] == UINT64_C(2) * CALLS);
	attach(scene.dead);
	use_all();
}

/* The others go on before anybody knows; the slots of calls that are cancelled are free later. */
static void check_with_those_who_do_not_know(void *context)
{
	serve(OTHER_WORKER);
	if (scene.dead >= CLIENT)
		serve(WORKER);
	check(context);
}

/* A broker that knows of the dead one only repairs, though the place was used again. */
static void repair_of(uint64_t incarnation)
{
	struct shmp_endpoint *place = &scene.segment.map.endpoints[scene.dead];
	uint64_t now = atomic_load(&place->state);

	shmp_endpoint_set_state(place, incarnation, SHMP_ENDPOINT_DYING);
	CHECK(shmp_rpc_kind.repair(&scene.segment.map, scene.dead, true) == 0);
	atomic_store(&place->state, now);
	shmp_rpc_kind.wake(&scene.segment.map);
}

/* The broker's repair ended anywhere, a successor is at work, and repair begins anew. */
static void check_with_the_place_used_again(void *context)
{
	struct shmp_endpoint *place = &scene.segment.map.endpoints[scene.dead];
	uint64_t incarnation = shmp_endpoint_incarnation(place), ended = 0;
	void *room;

	shmp_endpoint_set_state(place, incarnation, SHMP_ENDPOINT_DEAD);
	attach(scene.dead);
	if (scene.dead < CLIENT)
		CHECK(take(scene.dead));
	else if (shmp_rpc_reserve(&scene.own.at[scene.dead], &room) == SHMP_DONE)
		start(scene.dead, UINT64_MAX);
	repair_of(incarnation);
	repair_of(incarnation);
	if (scene.dead < CLIENT)
		CHECK(answer(scene.dead) == SHMP_DONE);
	serve(OTHER_WORKER);
	serve(WORKER);
	for (uint32_t client = CLIENT; client <= OTHER_CLIENT; client++)
		ended += collect(client);
	CHECK(ended == 0 || (!scene.redelivers && scene.dead < CLIENT));
	use_all();
}

static void kill_with(bool redelivers, uint32_t dead, const char *name, void (*state)(void),
		      void (*operate)(void *))
{
	static void (*const checks[])(void *) = { check, check_with_those_who_do_not_know,
						  check_with_the_place_used_again };
	static const char *const titles[] = { "", ", others go on first", ", place used again" };
	uint64_t option[SHMP_OPTIONS_MAX] = { MESSAGE, CALLS, 2, 2, redelivers };
	char title[120];

	scene = (struct scene){ .dead = dead, .redelivers = redelivers };
	shmt_segment_make(&scene.segment, "rpc", option);
	scene.deaths = (struct deaths){ .segment = &scene.segment,
					.own = &scene.own,
					.own_bytes = sizeof(scene.own),
					.operate = operate };
	for (uint32_t place = 0; place < PLACES; place++)
		attach(place);
	state();
	for (size_t i = 0; i < 3; i++) {
		if ((i == 1 && !redelivers) || (i == 2 && operate != dies_repairing))
			continue;
		/* the name once more for another count */
		snprintf(title, sizeof(title), "%s%s%s", name,
			 redelivers ? "" : ", without redelivery", titles[i]);
		scene.deaths.name = title;
		scene.deaths.check = checks[i];
		deaths_everywhere(&scene.deaths);
	}
	shmt_segment_free(&scene.segment);
}

static void kill_everywhere(uint32_t dead, const char *name, void (*state)(void),
			    void (*operate)(void *))
{
	kill_with(true, dead, name, state, operate);
	if (dead < CLIENT)
		kill_with(false, dead, name, state, operate);
}

TEST(what_a_client_calls_is_dropped_with_him, .timeout_s = 120)
{
	kill_everywhere(CLIENT, "call, fresh", is_fresh, dies_calling);
	kill_everywhere(CLIENT, "call, beside others", has_called, dies_calling);
	kill_everywhere(CLIENT, "call, awaited", is_awaited_by_worker, dies_calling);
	kill_everywhere(CLIENT, "cancel of what waits", has_called, dies_cancelling);
	kill_everywhere(CLIENT, "cancel of what is in hand", is_in_hand, dies_cancelling);
}

TEST(what_he_receives_is_over, .timeout_s = 120)
{
	kill_everywhere(CLIENT, "receive", is_answered, dies_receiving);
	kill_everywhere(CLIENT, "receive any", is_answered, dies_receiving_any);
	kill_everywhere(CLIENT, "receive, nothing yet", are_in_hand, dies_receiving_any);
	kill_everywhere(CLIENT, "receive, too late", is_late, dies_receiving);
}

TEST(what_a_worker_takes_is_answered_once, .timeout_s = 120)
{
	kill_everywhere(WORKER, "take, nothing there", is_fresh, dies_taking);
	kill_everywhere(WORKER, "take, too late", is_late, dies_taking);
	kill_everywhere(WORKER, "take", has_called, dies_taking);
	kill_everywhere(WORKER, "take another of many", are_in_hand, dies_taking);
	kill_everywhere(WORKER, "take and answer all", has_called, dies_working);
}

TEST(what_he_answers_is_answered_once, .timeout_s = 120)
{
	kill_everywhere(WORKER, "answer", is_in_hand, dies_answering);
	kill_everywhere(WORKER, "answer, two in hand", are_in_hand, dies_answering);
	kill_everywhere(WORKER, "answer, awaited", is_awaited_by_client, dies_answering);
	kill_everywhere(WORKER, "answer of what was cancelled", is_cancelled_in_hand,
			dies_answering);
}

TEST(coming_and_going_to_sleep_leave_no_trace, .timeout_s = 120)
{
	kill_everywhere(WORKER, "attach of a worker", has_called, dies_attaching);
	kill_everywhere(CLIENT, "attach of a client", is_fresh, dies_attaching);
	kill_everywhere(WORKER, "worker going to sleep or arming a bell", has_called,
			dies_going_to_sleep);
	kill_everywhere(CLIENT, "client going to sleep or arming a bell", has_called,
			dies_going_to_sleep);
}

TEST(a_broker_that_dies_repairing_ends_it_all_the_same, .timeout_s = 120)
{
	kill_everywhere(WORKER, "broker repairs a worker", are_in_hand, dies_repairing);
	kill_everywhere(WORKER, "broker repairs a worker, cancelled", is_cancelled_in_hand,
			dies_repairing);
	kill_everywhere(CLIENT, "broker repairs a client", are_in_hand, dies_repairing);
	kill_everywhere(CLIENT, "broker repairs a client of two calls", is_in_hand, dies_repairing);
}

DEATHS_MAIN
