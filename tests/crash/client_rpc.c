/*
 * Services through the library, with a real broker: a client or a worker dies after every instruction
 * of a public call. What a client called is over; what a worker had is answered by another, once, or
 * its caller is told where that was chosen; each slot can be used again.
 */
#include <stdio.h>
#include <string.h>

#include "tests/crash/sweep.h"

enum {
	CALLS = 3, /* open of the parent's client, when a worker dies; and slots of each */
	BYTES = 40,
	BY_DEAD = 1, /* statuses of answers */
	BY_OTHER = 2,
};

struct act {
	const char *name;
	void (*prepare)(void *scene);
	void (*arrange)(void *scene); /* the parent's part */
	void (*operate)(void *scene);
	uint32_t flags;	   /* of the first call, when the dead one had it in the end */
	bool is_answered;  /* or he has answered it then */
	bool is_cancelled; /* its caller does not want it any more */
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	enum shmc_rpc_role role; /* the child's */
	bool redelivers;
	struct shmc_rpc *worker, *caller; /* the parent's */
	struct shmc_rpc_request request;  /* and what his worker has in hand */
	uint64_t ids[CALLS];		  /* and his client has called */
	const struct act *act;
	struct sweep sweep;
	/* the child's */
	struct shmc_rpc *own;
	struct shmc_rpc_request taken;
	struct shmc_rpc_answer answer;
	uint64_t id;
};

#define CHECK(condition) SWEEP_CHECK(&scene->sweep, condition)

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

static void serve(struct scene *scene, uint32_t *ret_flags)
{
	struct shmc_rpc_request request;

	while (shmc_rpc_take(scene->worker, SHMC_TRY, &request) == SHMC_OK) {
		uint8_t what = *(const uint8_t *)request.data;

		CHECK(is_all(request.data, request.size, what));
		if (what < CALLS)
			ret_flags[what] = request.flags;
		CHECK(answer(scene->worker, &request, BY_OTHER) == SHMC_OK);
	}
}

/* Every slot of a client is there, some times. */
static void use_all(struct scene *scene, struct shmc_rpc *caller)
{
	uint32_t flags[CALLS];

	for (int lap = 0; lap < 3; lap++) {
		uint64_t ids[CALLS], one_more;

		for (uint8_t i = 0; i < CALLS; i++)
			CHECK(start(caller, 50 + i, &ids[i]) == SHMC_OK);
		CHECK(start(caller, 0, &one_more) == SHMC_FULL);
		serve(scene, flags);
		for (uint8_t i = 0; i < CALLS; i++) {
			struct shmc_rpc_answer got;

			CHECK(shmc_rpc_receive(caller, ids[i], SHMC_TRY, &got) == SHMC_OK);
			CHECK(is_all(got.data, got.size, 51 + i) && got.status == BY_OTHER);
			CHECK(shmc_rpc_end(caller, ids[i]) == SHMC_OK);
		}
	}
}

/* After the death of a client */

static void check_client(struct scene *scene)
{
	struct shmc_rpc_statistics statistics;
	struct shmc_rpc_request request;
	struct shmc_rpc *successor;

	SWEEP_SUCCEED(&scene->sweep, open_service(scene->client, SHMC_RPC_CLIENT, &successor));
	CHECK(shmc_rpc_take(scene->worker, SHMC_TRY, &request) == SHMC_EMPTY);
	if (scene->request.room)
		CHECK(answer(scene->worker, &scene->request, BY_OTHER) == SHMC_STALE);
	CHECK(shmc_rpc_statistics(successor, &statistics) == SHMC_OK);
	CHECK(statistics.waiting == 0 && statistics.in_hand == 0 && statistics.cancelled == 0);
	use_all(scene, successor);
	use_all(scene, scene->caller);
	shmc_rpc_close(successor);
}

/* After the death of a worker */

/* What became of the first call, which he may have had: it has one outcome. */
static void check_first(struct scene *scene, enum shmc_result result,
			const struct shmc_rpc_answer *got, uint32_t flags)
{
	const struct act *act = scene->act;

	if (result == SHMC_PEER_DEAD) {
		CHECK(!scene->redelivers && got->id == scene->ids[0]);
		CHECK(!act->is_answered || !scene->sweep.has_ended);
		return;
	}
	CHECK(result == SHMC_OK && is_all(got->data, got->size, 1));
	CHECK(got->status == BY_OTHER || (got->status == BY_DEAD && act->is_answered));
	if (got->status == BY_OTHER)
		CHECK(flags == 0 || flags == SHMC_REDELIVERED);
	if (!scene->sweep.has_ended)
		return;
	CHECK((got->status == BY_DEAD) == act->is_answered);
	if (got->status == BY_OTHER)
		CHECK(flags == act->flags);
}

static void check_worker(struct scene *scene)
{
	struct shmc_rpc *successor;
	uint32_t flags[CALLS] = { 0 };

	SWEEP_SUCCEED(&scene->sweep, open_service(scene->client, SHMC_RPC_WORKER, &successor));
	serve(scene, flags);
	for (uint8_t i = 0; i < CALLS; i++) {
		struct shmc_rpc_answer got;
		enum shmc_result result = shmc_rpc_receive(scene->caller, scene->ids[i], SHMC_TRY,
							   &got);

		if (i == 0 && scene->act->is_cancelled) {
			CHECK(result == SHMC_STALE);
			continue;
		}
		if (i == 0)
			check_first(scene, result, &got, flags[0]);
		else
			CHECK(result == SHMC_OK && is_all(got.data, got.size, i + 1) &&
			      got.status == BY_OTHER && flags[i] == 0);
		if (result == SHMC_OK)
			CHECK(shmc_rpc_end(scene->caller, scene->ids[i]) == SHMC_OK);
	}
	use_all(scene, scene->caller);
	shmc_rpc_close(successor);
}

static void check(void *context)
{
	struct scene *scene = context;

	if (scene->role == SHMC_RPC_CLIENT)
		check_client(scene);
	else
		check_worker(scene);
}

/* Before it */

static void set_up(void *context)
{
	struct scene *scene = context;
	struct shmc_rpc_options options = { .message_bytes_max = BYTES,
					    .calls = CALLS,
					    .workers_max = 2,
					    .clients_max = 2,
					    .no_redelivery = !scene->redelivers };

	shmt_assert_ok(shmc_rpc_create(scene->client, "service", &options, NULL));
	shmt_assert_ok(open_service(scene->client, SHMC_RPC_WORKER, &scene->worker));
	shmt_assert_ok(open_service(scene->client, SHMC_RPC_CLIENT, &scene->caller));
	for (uint8_t i = 0; scene->role == SHMC_RPC_WORKER && i < CALLS; i++)
		shmt_assert_ok(start(scene->caller, i, &scene->ids[i]));
	scene->request.room = NULL;
}

static void arrange(void *context)
{
	struct scene *scene = context;

	if (scene->act->arrange)
		scene->act->arrange(scene);
}

static void prepare(void *context)
{
	struct scene *scene = context;

	shmt_assert_ok(open_service(shmt_connect(&scene->broker), scene->role, &scene->own));
	if (scene->act->prepare)
		scene->act->prepare(scene);
}

static void tear_down(void *context)
{
	struct scene *scene = context;

	shmc_rpc_close(scene->worker);
	shmc_rpc_close(scene->caller);
	shmt_assert_ok(shmc_unlink(scene->client, "service", NULL));
}

static void kill_as(enum shmc_rpc_role role, bool redelivers, const struct act *act)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .role = role,
			       .redelivers = redelivers,
			       .act = act };
	char name[80];

	snprintf(name, sizeof(name), "%s%s", act->name, redelivers ? "" : ", without redelivery");
	scene.client = shmt_connect(&scene.broker);
	scene.sweep = (struct sweep){ .name = name,
				      .scene = &scene,
				      .set_up = set_up,
				      .prepare = prepare,
				      .arrange = arrange,
				      .operate = act->operate,
				      .check = check,
				      .tear_down = tear_down };
	sweep_everywhere(&scene.sweep);
	shmc_disconnect(scene.client);
	shmt_broker_stop(&scene.broker);
}

static void kill_client(struct act act)
{
	kill_as(SHMC_RPC_CLIENT, true, &act);
}

static void kill_worker(struct act act)
{
	kill_as(SHMC_RPC_WORKER, true, &act);
	kill_as(SHMC_RPC_WORKER, false, &act);
}

/* The client's calls, and the parent's part in them */

static void take_it(void *context)
{
	struct scene *scene = context;

	shmt_assert_ok(shmc_rpc_take(scene->worker, SHMC_TRY, &scene->request));
}

static void take_and_answer(void *context)
{
	struct scene *scene = context;

	take_it(scene);
	shmt_assert_ok(answer(scene->worker, &scene->request, BY_OTHER));
}

static void do_start(void *context)
{
	struct scene *scene = context;

	start(scene->own, 7, &scene->id);
}

static void start_three(void *context)
{
	struct scene *scene = context;

	for (int i = 0; i < CALLS; i++)
		shmt_assert_ok(start(scene->own, 7, &scene->id));
}

static void do_reserve(void *context)
{
	struct scene *scene = context;
	void *room;

	if (shmc_rpc_reserve(scene->own, &room) == SHMC_OK)
		memset(room, 7, BYTES);
}

static void do_commit(void *context)
{
	struct scene *scene = context;

	shmc_rpc_commit(scene->own, BYTES, SHMC_FOREVER, &scene->id);
}

static void do_abort(void *context)
{
	struct scene *scene = context;

	shmc_rpc_abort(scene->own);
}

static void do_receive(void *context)
{
	struct scene *scene = context;

	shmc_rpc_receive(scene->own, scene->id, SHMC_FOREVER, &scene->answer);
}

static void do_receive_any(void *context)
{
	struct scene *scene = context;

	shmc_rpc_receive(scene->own, SHMC_RPC_ANY, SHMC_TRY, &scene->answer);
}

static void do_end(void *context)
{
	struct scene *scene = context;

	shmc_rpc_end(scene->own, scene->id);
}

static void do_wait_worker(void *context)
{
	struct scene *scene = context;

	shmc_rpc_wait_worker(scene->own, SHMC_FOREVER);
}

TEST(what_a_client_calls_is_over_with_him, .timeout_s = 120)
{
	kill_client((struct act){ .name = "shmc_rpc_start", .operate = do_start });
	kill_client((struct act){
		.name = "shmc_rpc_start, one is open", .prepare = do_start, .operate = do_start });
	kill_client((struct act){ .name = "shmc_rpc_reserve", .operate = do_reserve });
	kill_client((struct act){
		.name = "shmc_rpc_commit", .prepare = do_reserve, .operate = do_commit });
	kill_client((struct act){
		.name = "shmc_rpc_abort", .prepare = do_reserve, .operate = do_abort });
}

TEST(what_he_receives_or_ends_is_over, .timeout_s = 120)
{
	kill_client((struct act){ .name = "shmc_rpc_receive",
				  .prepare = do_start,
				  .arrange = take_and_answer,
				  .operate = do_receive });
	kill_client((struct act){ .name = "shmc_rpc_receive of any of 3",
				  .prepare = start_three,
				  .arrange = take_and_answer,
				  .operate = do_receive_any });
	kill_client((struct act){ .name = "shmc_rpc_end of what is answered",
				  .prepare = do_start,
				  .arrange = take_and_answer,
				  .operate = do_end });
	kill_client((struct act){
		.name = "shmc_rpc_end of what waits", .prepare = do_start, .operate = do_end });
	kill_client((struct act){ .name = "shmc_rpc_end of what is in hand",
				  .prepare = do_start,
				  .arrange = take_it,
				  .operate = do_end });
	kill_client((struct act){
		.name = "shmc_rpc_wait_worker", .prepare = do_start, .operate = do_wait_worker });
}

/* The worker's calls */

static void do_take(void *context)
{
	struct scene *scene = context;

	shmc_rpc_take(scene->own, SHMC_FOREVER, &scene->taken);
}

static void do_answer(void *context)
{
	struct scene *scene = context;

	answer(scene->own, &scene->taken, BY_DEAD);
}

static void do_answer_with_a_copy(void *context)
{
	struct scene *scene = context;
	uint8_t bytes[BYTES];

	memset(bytes, 1, BYTES);
	shmc_rpc_answer(scene->own, &scene->taken, BY_DEAD, bytes, BYTES);
}

static void cancel(void *context)
{
	struct scene *scene = context;

	shmt_assert_ok(shmc_rpc_end(scene->caller, scene->ids[0]));
}

TEST(what_a_worker_takes_is_answered_once_or_his_caller_told, .timeout_s = 120)
{
	kill_worker((struct act){
		.name = "shmc_rpc_take", .operate = do_take, .flags = SHMC_REDELIVERED });
}

TEST(what_he_answers_is_answered_once_or_his_caller_told, .timeout_s = 120)
{
	kill_worker((struct act){ .name = "shmc_rpc_answer in place",
				  .prepare = do_take,
				  .operate = do_answer,
				  .is_answered = true });
	kill_worker((struct act){ .name = "shmc_rpc_answer",
				  .prepare = do_take,
				  .operate = do_answer_with_a_copy,
				  .is_answered = true });
	kill_worker((struct act){ .name = "shmc_rpc_answer of what was cancelled",
				  .prepare = do_take,
				  .arrange = cancel,
				  .operate = do_answer,
				  .is_cancelled = true });
}

SWEEP_MAIN
