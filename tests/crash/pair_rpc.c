/*
 * A service, and two of its workers or clients at once in the middle of something; see pairs.h. Each
 * call of who lives ends once, with the right answer; each slot can be used again.
 */
#include "protocol/rpc.h"

#include <string.h>
#include <sys/mman.h>

#include "tests/crash/pairs.h"
#include "tests/support/runner.h"

enum {
	WORKER = 0,
	OTHER_WORKER = 1,
	CLIENT = 2,
	OTHER_CLIENT = 3,
	PLACES = 4,
	CALLS = 2,
	MESSAGE = 24,
	LONGEST = 16,
	HANDS = 2 * CALLS,
};

struct own {
	struct shmp_rpc at[PLACES];
	struct shmp_rpc_request hand[PLACES][HANDS];
	uint32_t in_hand[PLACES];
	uint64_t id; /* a call of CLIENT's */
	bool spoilt; /* an act found what cannot be */
	bool ended[2];
};

static struct scene {
	struct shmt_segment segment;
	struct own *own;
	struct pairs pairs;
} scene;

#define CHECK(condition_) PAIRS_CHECK(&scene.pairs, condition_)

static void take_up(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	CHECK(shmp_rpc_attach(&scene.segment.map, place, &scene.own->at[place]) == 0);
	scene.own->in_hand[place] = 0;
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

/* Each says whether it found what may be; acts cannot check by themselves. */

static bool start(uint32_t client, uint64_t *ret_id)
{
	struct shmp_rpc *rpc = &scene.own->at[client];
	uint8_t bytes[MESSAGE];
	uint64_t size = fill(bytes, (uint8_t)(2 * (16 * client + rpc->number % 8)));

	return shmp_rpc_start(rpc, bytes, size, UINT64_MAX, ret_id) == SHMP_DONE;
}

static int take(uint32_t worker)
{
	uint32_t count = scene.own->in_hand[worker];
	struct shmp_rpc_request *request = &scene.own->hand[worker][count];
	int r = shmp_rpc_take(&scene.own->at[worker], request);

	if (r == SHMP_DONE) {
		scene.own->in_hand[worker]++;
		scene.own->spoilt |= !is_filled(request->data, request->size);
	}
	return r;
}

static int answer(uint32_t worker)
{
	struct shmp_rpc_request *request = &scene.own->hand[worker][--scene.own->in_hand[worker]];
	uint8_t what = *(const uint8_t *)request->data;

	return shmp_rpc_answer(&scene.own->at[worker], request, what, request->room,
			       fill(request->room, what + 1));
}

static int receive(uint32_t client, uint64_t id)
{
	struct shmp_rpc *rpc = &scene.own->at[client];
	struct shmp_rpc_answer got;
	int r = shmp_rpc_receive(rpc, id, &got);

	if (r != SHMP_DONE)
		return r;
	scene.own->spoilt |= !is_filled(got.data, got.size) ||
			     got.status + 1 != *(const uint8_t *)got.data ||
			     shmp_rpc_release(rpc, got.id) != SHMP_DONE;
	return r;
}

/* All that there is to do, what is in hand first. */
static void serve(uint32_t worker)
{
	int r;

	do {
		while (scene.own->in_hand[worker] != 0) {
			r = answer(worker);
			CHECK(r == SHMP_DONE || r == SHMP_RPC_STALE);
		}
		r = take(worker);
	} while (r == SHMP_DONE);
	CHECK(r == SHMP_EMPTY);
}

/* Every call of his is over, each once. */
static void collect(uint32_t client)
{
	uint64_t calls = (uint64_t)__builtin_popcountll(scene.own->at[client].open);

	for (uint64_t i = 0; i < calls; i++)
		CHECK(receive(client, 0) == SHMP_DONE);
	CHECK(receive(client, 0) == SHMP_RPC_STALE);
}

static void move(uint32_t place)
{
	uint64_t id;

	if (place < CLIENT)
		take(place);
	else
		start(place, &id);
}

/* States */

static void has_called(void)
{
	uint64_t id;

	CHECK(start(CLIENT, &scene.own->id) && start(OTHER_CLIENT, &id));
}

static void is_in_hand(void)
{
	uint64_t id;

	CHECK(start(CLIENT, &scene.own->id));
	CHECK(take(WORKER) == SHMP_DONE);
	CHECK(start(OTHER_CLIENT, &id));
}

static void both_are_in_hands(void)
{
	is_in_hand();
	CHECK(take(OTHER_WORKER) == SHMP_DONE);
}

/* Given its place, and has not taken it up. */
static void is_new(uint32_t place)
{
	shmt_place_vacate(&scene.segment, place, true, 1);
	shmt_place_assign(&scene.segment, place);
	scene.own->in_hand[place] = 0;
}

static void worker_is_new(void)
{
	is_in_hand();
	is_new(WORKER);
}

static void client_is_new(void)
{
	has_called();
	is_new(CLIENT);
}

/* Acts, stepped */

static void attaches(unsigned which)
{
	uint32_t place = scene.pairs.act[which].place;

	scene.own->spoilt |= shmp_rpc_attach(&scene.segment.map, place, &scene.own->at[place]) != 0;
	scene.own->ended[which] = true;
}

static void first_attaches(void)
{
	attaches(0);
}

static void second_attaches(void)
{
	attaches(1);
}

static void acts(unsigned which)
{
	uint32_t place = scene.pairs.act[which].place;
	uint64_t id;
	int r;

	if (place >= CLIENT) {
		start(place, &id);
	} else if (scene.own->in_hand[place] > 0) {
		r = answer(place);
		scene.own->spoilt |= r != SHMP_DONE && r != SHMP_RPC_STALE;
	} else {
		r = take(place);
		scene.own->spoilt |= r != SHMP_DONE && r != SHMP_EMPTY;
	}
	scene.own->ended[which] = true;
}

static void first_acts(void)
{
	acts(0);
}

static void second_acts(void)
{
	acts(1);
}

static void receives(unsigned which)
{
	uint32_t place = scene.pairs.act[which].place;
	int r = receive(place, scene.own->id);

	scene.own->spoilt |= r != SHMP_DONE && r != SHMP_EMPTY;
	scene.own->ended[which] = true;
}

static void first_receives(void)
{
	receives(0);
}

static void second_receives(void)
{
	receives(1);
}

static void cancels(unsigned which)
{
	shmp_rpc_release(&scene.own->at[scene.pairs.act[which].place], scene.own->id);
	scene.own->ended[which] = true;
}

static void first_cancels(void)
{
	cancels(0);
}

static void second_cancels(void)
{
	cancels(1);
}

/* What must be */

static uint64_t count_of(enum shmp_rpc_state state)
{
	struct shmp_rpc_counts got;

	shmp_rpc_count(&scene.segment.map, &got);
	return got.of[state];
}

/* Every slot of every client, once more, by both workers. */
static void use_all(void)
{
	uint64_t id;

	for (uint32_t client = CLIENT; client <= OTHER_CLIENT; client++)
		for (int i = 0; i < CALLS; i++)
			CHECK(start(client, &id));
	CHECK(take(WORKER) == SHMP_DONE && take(OTHER_WORKER) == SHMP_DONE);
	serve(OTHER_WORKER);
	serve(WORKER);
	collect(CLIENT);
	collect(OTHER_CLIENT);
	CHECK(count_of(SHMP_RPC_FREE) == UINT64_C(2) * CALLS);
}

static void judge(void)
{
	const char *why;

	for (int i = 0; i < 2; i++)
		CHECK(scene.own->ended[i] || scene.pairs.is_dead[i]);
	CHECK(shmp_rpc_kind.validate(&scene.segment.map, &why) == 0);
	serve(WORKER);
	serve(OTHER_WORKER);
	collect(CLIENT);
	collect(OTHER_CLIENT);
	CHECK(count_of(SHMP_RPC_FREE) == UINT64_C(2) * CALLS);
	use_all();
	CHECK(!scene.own->spoilt);
	CHECK(shmp_rpc_kind.validate(&scene.segment.map, &why) == 0);
}

static void pair_in(enum pairs_way way, const char *name, void (*state)(void),
		    struct pairs_act first, struct pairs_act second)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { [SHMP_RPC_MESSAGE_BYTES_MAX] = MESSAGE,
					      [SHMP_RPC_CALLS] = CALLS,
					      [SHMP_RPC_WORKERS_MAX] = 2,
					      [SHMP_RPC_CLIENTS_MAX] = 2,
					      [SHMP_RPC_REDELIVERY] = 1 };

	scene = (struct scene){ .own = pairs_memory(sizeof(*scene.own)) };
	scene.pairs = (struct pairs){ .name = name,
				      .segment = &scene.segment,
				      .own = scene.own,
				      .own_bytes = sizeof(*scene.own),
				      .handle_bytes = offsetof(struct own, hand),
				      .act = { first, second },
				      .second_is_long = second.operate == second_attaches,
				      .take_up = take_up,
				      .move = move,
				      .judge = judge,
				      .way = "" };
	shmt_segment_make(&scene.segment, "rpc", option);
	for (uint32_t place = 0; place < PLACES; place++)
		take_up(place);
	state();
	pairs_go(&scene.pairs, way);
	shmt_segment_free(&scene.segment);
	munmap(scene.own, sizeof(*scene.own));
}

#define ACT(place_, operate_) ((struct pairs_act){ place_, operate_ })

static void pair(enum pairs_way way)
{
	pair_in(way, "take and take", has_called, ACT(WORKER, first_acts),
		ACT(OTHER_WORKER, second_acts));
	pair_in(way, "answer and take", is_in_hand, ACT(WORKER, first_acts),
		ACT(OTHER_WORKER, second_acts));
	pair_in(way, "take and call", has_called, ACT(WORKER, first_acts),
		ACT(CLIENT, second_acts));
	pair_in(way, "call and take", has_called, ACT(CLIENT, first_acts),
		ACT(WORKER, second_acts));
	pair_in(way, "call and call", has_called, ACT(CLIENT, first_acts),
		ACT(OTHER_CLIENT, second_acts));
	pair_in(way, "answer and receive", is_in_hand, ACT(WORKER, first_acts),
		ACT(CLIENT, second_receives));
	pair_in(way, "receive and answer", is_in_hand, ACT(CLIENT, first_receives),
		ACT(WORKER, second_acts));
	pair_in(way, "answer and cancel", both_are_in_hands, ACT(WORKER, first_acts),
		ACT(CLIENT, second_cancels));
	pair_in(way, "cancel and answer", both_are_in_hands, ACT(CLIENT, first_cancels),
		ACT(WORKER, second_acts));
	pair_in(way, "attach of a worker, and take", worker_is_new, ACT(WORKER, first_attaches),
		ACT(OTHER_WORKER, second_acts));
	pair_in(way, "take, and attach of a worker", worker_is_new, ACT(OTHER_WORKER, first_acts),
		ACT(WORKER, second_attaches));
	pair_in(way, "attach of a client, and take", client_is_new, ACT(CLIENT, first_attaches),
		ACT(WORKER, second_acts));
	pair_in(way, "take, and attach of a client", client_is_new, ACT(WORKER, first_acts),
		ACT(CLIENT, second_attaches));
	pair_in(way, "cancel and take", has_called, ACT(CLIENT, first_cancels),
		ACT(WORKER, second_acts));
}

PAIRS_TESTS

PAIRS_MAIN
