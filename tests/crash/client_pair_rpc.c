/*
 * Two users of a service both die in the middle of a public call: a client and the worker that has his
 * call or another's, or two workers; see couple.h. What the dead client called is over; each call of
 * the client who lives has one outcome; every slot can be used again, by successors, too.
 */
#include <string.h>

#include "tests/crash/couple.h"

enum {
	CALLS = 3, /* slots of each client */
	BYTES = 40,
	BY_DEAD = 1, /* statuses of answers */
	BY_OTHER = 2,
	DEAD_CALL = 100, /* what dead clients call with */
	LATER = 50,
};

struct act {
	enum shmc_rpc_role role;
	void (*prepare)(void);
	void (*operate)(void);
	bool answers;
};

static struct scene {
	struct couple couple;
	const struct act *act[2];
	uint8_t calls; /* of the client who lives, open; the dead worker takes the first ones */
	struct shmc_rpc *worker, *caller; /* the living */
	uint64_t ids[CALLS];
	uint32_t flags[CALLS]; /* of requests that came to the living */
	/* a child's */
	struct shmc_rpc *own;
	struct shmc_rpc_request taken;
	uint64_t id;
} scene;

#define CHECK(condition_) COUPLE_CHECK(&scene.couple, condition_)

static enum shmc_result open_service(struct shmc_client *client, enum shmc_rpc_role role,
				     struct shmc_rpc **ret_rpc)
{
	return shmc_rpc_open(client, "service", role, ret_rpc, NULL);
}

static enum shmc_result start(struct shmc_rpc *rpc, uint8_t what, uint64_t *ret_id)
{
	uint8_t bytes[BYTES];

	memset(bytes, what, BYTES);
	return shmc_rpc_start(rpc, bytes, BYTES, SHMC_FOREVER, ret_id);
}

static bool is_all(const void *data, uint64_t size, uint8_t what)
{
	const uint8_t *bytes = data;

	for (uint64_t i = 0; i < size; i++)
		if (bytes[i] != what)
			return false;
	return size == BYTES;
}

/* Each byte of the answer is one more than those of the request. */
static enum shmc_result answer(struct shmc_rpc *rpc, const struct shmc_rpc_request *request,
			       int32_t by)
{
	memset(request->room, *(const uint8_t *)request->data + 1, BYTES);
	return shmc_rpc_answer(rpc, request, by, request->room, BYTES);
}

/* After the deaths */

static bool has_answered(unsigned side)
{
	return scene.act[side]->answers && scene.couple.has_ended[side];
}

/* All that is waiting; nothing of who is dead, and each call once. */
static void serve(struct shmc_rpc *worker)
{
	struct shmc_rpc_request request;

	while (shmc_rpc_take(worker, SHMC_TRY, &request) == SHMC_OK) {
		uint8_t what = *(const uint8_t *)request.data;

		CHECK(is_all(request.data, request.size, what) && what < DEAD_CALL);
		if (what < CALLS) {
			CHECK(scene.flags[what] == UINT32_MAX);
			scene.flags[what] = request.flags;
		}
		CHECK(answer(worker, &request, BY_OTHER) == SHMC_OK);
	}
}

static void check_outcomes(void)
{
	unsigned by_dead = 0, must = 0;

	for (unsigned side = 0; side < 2; side++)
		must += has_answered(side) && scene.calls != 0;
	for (uint8_t i = 0; i < scene.calls; i++) {
		struct shmc_rpc_answer got;

		CHECK(shmc_rpc_receive(scene.caller, scene.ids[i], SHMC_TRY, &got) == SHMC_OK);
		CHECK(is_all(got.data, got.size, i + 1));
		CHECK(got.status == BY_OTHER || got.status == BY_DEAD);
		/* who answered is who had it, and nobody else */
		CHECK((got.status == BY_DEAD) == (scene.flags[i] == UINT32_MAX));
		CHECK(got.status == BY_DEAD || scene.flags[i] == 0 ||
		      scene.flags[i] == SHMC_REDELIVERED);
		by_dead += got.status == BY_DEAD;
		CHECK(shmc_rpc_end(scene.caller, scene.ids[i]) == SHMC_OK);
	}
	CHECK(by_dead >= must && by_dead <= 2);
}

/* Every slot of a client is there, some times. */
static void use_all(struct shmc_rpc *caller, struct shmc_rpc *worker)
{
	for (int lap = 0; lap < 3; lap++) {
		uint64_t ids[CALLS], one_more;

		for (unsigned i = 0; i < CALLS; i++)
			CHECK(start(caller, (uint8_t)(LATER + i), &ids[i]) == SHMC_OK);
		CHECK(start(caller, 0, &one_more) == SHMC_FULL);
		serve(worker);
		for (unsigned i = 0; i < CALLS; i++) {
			struct shmc_rpc_answer got;

			CHECK(shmc_rpc_receive(caller, ids[i], SHMC_TRY, &got) == SHMC_OK);
			CHECK(is_all(got.data, got.size, (uint8_t)(LATER + i + 1)) &&
			      got.status == BY_OTHER);
			CHECK(shmc_rpc_end(caller, ids[i]) == SHMC_OK);
		}
	}
}

static void check(void)
{
	unsigned one = scene.couple.turn & 1;
	struct shmc_rpc_statistics now;
	struct shmc_rpc *successors[2];

	memset(scene.flags, 0xff, sizeof(scene.flags));
	for (unsigned i = 0; i < 2; i++) {
		unsigned side = i == 0 ? one : !one;

		COUPLE_SUCCEED(&scene.couple,
			       open_service(scene.couple.client, scene.act[side]->role,
					    &successors[side]));
	}
	serve(scene.worker);
	check_outcomes();
	CHECK(shmc_rpc_statistics(scene.caller, &now) == SHMC_OK);
	CHECK(now.waiting == 0 && now.in_hand == 0 && now.cancelled == 0);
	use_all(scene.caller, scene.worker);
	for (unsigned side = 0; side < 2; side++) {
		if (scene.act[side]->role == SHMC_RPC_CLIENT)
			use_all(successors[side], scene.worker);
		else
			use_all(scene.caller, successors[side]);
		shmc_rpc_close(successors[side]);
	}
	shmc_rpc_close(scene.worker);
	shmc_rpc_close(scene.caller);
}

/* Before */

static void set_up(void)
{
	unsigned workers = (scene.act[0]->role == SHMC_RPC_WORKER) +
			   (scene.act[1]->role == SHMC_RPC_WORKER);
	struct shmc_rpc_options options = { .message_bytes_max = BYTES,
					    .calls = CALLS,
					    .workers_max = 1 + workers,
					    .clients_max = 1 + 2 - workers };

	shmt_assert_ok(shmc_rpc_create(scene.couple.client, "service", &options, NULL));
	shmt_assert_ok(open_service(scene.couple.client, SHMC_RPC_WORKER, &scene.worker));
	shmt_assert_ok(open_service(scene.couple.client, SHMC_RPC_CLIENT, &scene.caller));
	for (uint8_t i = 0; i < scene.calls; i++)
		shmt_assert_ok(start(scene.caller, i, &scene.ids[i]));
}

static void tear_down(void)
{
	shmt_assert_ok(shmc_unlink(scene.couple.client, "service", NULL));
}

static void prepare(unsigned side)
{
	const struct act *act = scene.act[side];

	shmt_assert_ok(open_service(shmt_connect(&scene.couple.broker), act->role, &scene.own));
	if (act->prepare)
		act->prepare();
}

static void first_prepares(void)
{
	prepare(0);
}

static void second_prepares(void)
{
	prepare(1);
}

static void die_in(const char *name, const struct act *one, const struct act *other, uint8_t calls)
{
	scene = (struct scene){ .act = { one, other }, .calls = calls };
	scene.couple = (struct couple){
		.name = name,
		.side = { { .prepare = first_prepares, .operate = one->operate },
			  { .prepare = second_prepares, .operate = other->operate } },
		.set_up = set_up,
		.check = check,
		.tear_down = tear_down
	};
	couple_everywhere(&scene.couple);
}

/* Calls */

static void call(void)
{
	start(scene.own, DEAD_CALL, &scene.id);
}

static void end(void)
{
	shmc_rpc_end(scene.own, scene.id);
}

static void receive(void)
{
	struct shmc_rpc_answer got;

	shmc_rpc_receive(scene.own, scene.id, SHMC_TRY, &got);
}

static void take(void)
{
	shmc_rpc_take(scene.own, SHMC_TRY, &scene.taken);
}

static void answer_it(void)
{
	answer(scene.own, &scene.taken, BY_DEAD);
}

static void take_and_answer(void)
{
	take();
	if (scene.taken.room)
		answer_it();
}

static const struct act starts = { SHMC_RPC_CLIENT, NULL, call, .answers = false };
static const struct act ends = { SHMC_RPC_CLIENT, call, end, .answers = false };
static const struct act receives = { SHMC_RPC_CLIENT, call, receive, .answers = false };
static const struct act takes = { SHMC_RPC_WORKER, NULL, take, .answers = false };
static const struct act answers = { SHMC_RPC_WORKER, take, answer_it, .answers = true };
static const struct act serves = { SHMC_RPC_WORKER, NULL, take_and_answer, .answers = true };

TEST(a_client_and_the_worker_that_has_his_call_die, .timeout_s = 60)
{
	die_in("shmc_rpc_receive and shmc_rpc_answer", &receives, &answers, 0);
	die_in("shmc_rpc_end and shmc_rpc_take", &ends, &takes, 0);
}

TEST(a_client_and_the_worker_of_another_die, .timeout_s = 60)
{
	die_in("shmc_rpc_start and shmc_rpc_answer", &starts, &answers, CALLS);
}

TEST(two_workers_die, .timeout_s = 60)
{
	die_in("two of shmc_rpc_take, and shmc_rpc_answer", &serves, &serves, CALLS);
	die_in("shmc_rpc_take and shmc_rpc_answer", &takes, &answers, CALLS);
}

COUPLE_MAIN
