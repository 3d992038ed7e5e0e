/* Services through the library and a real broker: order, workers, deadlines, cancel, deaths. */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

#define MS_NS INT64_C(1000000)

enum {
	CALLERS = 5,
	CALLS_EACH = 20,
	LARGE = 3 << 20,
	DEATHS = 20,
};

/* What workers are asked to do. */
enum job {
	ADD_ONE = 0,
	FAIL = 1,
	HANG = 2,	    /* for good, with it in hand */
	HANG_ONCE = 3,	    /* unless it was redelivered */
	TAKE_YOUR_TIME = 4, /* 100 ms */
	TOGETHER = 5,	    /* not before three are in hand at once */
	END = 6,
};

struct order {
	uint64_t job;
	uint64_t number;
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_rpc *rpc;
	size_t descriptors, brokers;
};

static struct shmc_rpc *open_service(struct shmc_client *client, enum shmc_rpc_role role)
{
	struct shmc_error error = { .text = "" };
	struct shmc_rpc *rpc = NULL;

	ck_assert_msg(shmc_rpc_open(client, "service", role, &rpc, &error) == SHMC_OK, "%s",
		      error.text);
	return rpc;
}

static struct scene scene_open(struct shmc_rpc_options options)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };
	struct shmc_error error = { .text = "" };

	scene.brokers = shmt_broker_descriptors(&scene.broker);
	scene.client = shmt_connect(&scene.broker);
	ck_assert_msg(shmc_rpc_create(scene.client, "service", &options, &error) == SHMC_OK, "%s",
		      error.text);
	scene.rpc = open_service(scene.client, SHMC_RPC_CLIENT);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_rpc_close(scene->rpc);
	shmt_assert_ok(shmc_unlink(scene->client, "service", NULL));
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_settle(&scene->broker, scene->brokers);
	shmt_broker_stop(&scene->broker);
}

static struct shmc_rpc_statistics statistics(const struct shmc_rpc *rpc)
{
	struct shmc_rpc_statistics got;

	shmt_assert_ok(shmc_rpc_statistics(rpc, &got));
	return got;
}

static uint64_t ask(struct shmc_rpc *rpc, enum job job, uint64_t number, int64_t timeout_ns)
{
	struct order order = { job, number };
	uint64_t id = 0;

	shmt_assert_ok(shmc_rpc_start(rpc, &order, sizeof(order), timeout_ns, &id));
	return id;
}

static void expect(struct shmc_rpc *rpc, uint64_t id, uint64_t number)
{
	struct shmc_rpc_answer answer;

	shmt_assert_ok(shmc_rpc_receive(rpc, id, SHMC_FOREVER, &answer));
	ck_assert_int_eq(answer.status, 0);
	ck_assert_uint_eq(answer.size, sizeof(number));
	ck_assert_mem_eq(answer.data, &number, sizeof(number));
	shmt_assert_ok(shmc_rpc_end(rpc, answer.id));
}

/* Workers */

static void do_order(struct shmc_rpc *rpc, const struct shmc_rpc_request *request,
		     const struct order *order)
{
	uint64_t number = order->number + 1;
	enum shmc_result result;

	if (order->job == HANG || (order->job == HANG_ONCE && request->flags == 0))
		shmt_peer_hang();
	if (order->job == TAKE_YOUR_TIME)
		usleep(100000); /* a handler that takes that long */
	while (order->job == TOGETHER && statistics(rpc).in_hand + statistics(rpc).answered < 3)
		sched_yield();
	result = shmc_rpc_answer(rpc, request, order->job == FAIL ? -7 : 0, &number,
				 sizeof(number));
	if (result != SHMC_STALE)
		shmt_assert_ok(result);
}

static void work(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client = shmt_connect(broker);
	struct shmc_rpc *rpc = open_service(client, SHMC_RPC_WORKER);
	struct order order = { ADD_ONE, 0 };

	shmt_peer_tell(test);
	while (order.job != END) {
		struct shmc_rpc_request request;

		shmt_assert_ok(shmc_rpc_take(rpc, SHMC_FOREVER, &request));
		ck_assert_uint_eq(request.size, sizeof(order));
		memcpy(&order, request.data, sizeof(order));
		do_order(rpc, &request, &order);
	}
	shmc_rpc_close(rpc);
	shmc_disconnect(client);
}

static struct shmt_peer start_worker(struct scene *scene)
{
	struct shmt_peer peer = shmt_peer_start(work, &scene->broker);

	shmt_peer_await(&peer);
	return peer;
}

static void end_worker(struct scene *scene, struct shmt_peer *peer)
{
	expect(scene->rpc, ask(scene->rpc, END, 1, SHMC_FOREVER), 2);
	shmt_peer_join(peer);
}

TEST(twenty_requests_have_twenty_answers_and_ten_at_once_come_in_order)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 10 });
	struct shmt_peer worker = start_worker(&scene);

	for (uint64_t i = 0; i < 20; i++)
		expect(scene.rpc, ask(scene.rpc, ADD_ONE, i, SHMC_FOREVER), i + 1);
	for (uint64_t i = 0; i < 10; i++)
		ask(scene.rpc, ADD_ONE, 100 + i, SHMC_FOREVER);
	for (uint64_t i = 0; i < 10; i++)
		expect(scene.rpc, SHMC_RPC_ANY, 101 + i);
	end_worker(&scene, &worker);
	ck_assert_uint_eq(statistics(scene.rpc).answered, 31);
	scene_close(&scene);
}

TEST(three_workers_work_at_once)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 10 });
	struct shmt_peer worker[3];
	uint64_t id[3];

	for (int i = 0; i < 3; i++)
		worker[i] = start_worker(&scene);
	/* none of them is done before all of them are at it */
	for (uint64_t i = 0; i < 3; i++)
		id[i] = ask(scene.rpc, TOGETHER, i, SHMC_FOREVER);
	for (uint64_t i = 3; i-- > 0;)
		expect(scene.rpc, id[i], i + 1);
	for (int i = 0; i < 3; i++)
		expect(scene.rpc, ask(scene.rpc, END, 1, SHMC_FOREVER), 2);
	for (int i = 0; i < 3; i++)
		shmt_peer_join(&worker[i]);
	scene_close(&scene);
}

TEST(a_handlers_error_is_an_answer_and_calls_copy_what_fits)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 2 });
	struct shmt_peer worker = start_worker(&scene);
	struct order order = { FAIL, 5 };
	struct shmc_rpc_answer answer;
	uint64_t number;

	shmt_assert_ok(shmc_rpc_call(scene.rpc, &order, sizeof(order), &number, sizeof(number),
				     SHMC_FOREVER, &answer));
	ck_assert_int_eq(answer.status, -7);
	ck_assert_uint_eq(number, 6);
	shmt_assert_result(
		shmc_rpc_call(scene.rpc, &order, sizeof(order), &number, 4, SHMC_FOREVER, &answer),
		SHMC_TOO_BIG);
	ck_assert_uint_eq(answer.size, 8);
	shmt_assert_result(shmc_rpc_receive(scene.rpc, SHMC_RPC_ANY, SHMC_TRY, &answer),
			   SHMC_STALE);
	end_worker(&scene, &worker);
	scene_close(&scene);
}

TEST(what_is_not_done_in_time_or_cancelled_is_over_and_the_service_goes_on)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 2 });
	uint64_t id = ask(scene.rpc, ADD_ONE, 1, SHMC_FOREVER);
	struct shmc_rpc_answer answer;
	struct shmt_peer worker;

	/* there is no worker yet */
	shmt_assert_result(shmc_rpc_receive(scene.rpc, id, MS_NS, &answer), SHMC_TIMEOUT);
	ck_assert_uint_eq(answer.id, 0);
	shmt_assert_ok(shmc_rpc_end(scene.rpc, id));
	id = ask(scene.rpc, ADD_ONE, 1, 10 * MS_NS);
	shmt_assert_result(shmc_rpc_receive(scene.rpc, id, SHMC_FOREVER, &answer), SHMC_TIMEOUT);
	ck_assert_uint_eq(answer.id, id);
	worker = start_worker(&scene);
	id = ask(scene.rpc, TAKE_YOUR_TIME, 1, SHMC_FOREVER);
	shmt_assert_ok(shmc_rpc_end(scene.rpc, id));
	shmt_assert_result(shmc_rpc_end(scene.rpc, id), SHMC_STALE);
	expect(scene.rpc, ask(scene.rpc, ADD_ONE, 1, SHMC_FOREVER), 2);
	end_worker(&scene, &worker);
	scene_close(&scene);
}

/* Deaths */

static void await_in_hand(const struct shmc_rpc *rpc, uint64_t count)
{
	while (statistics(rpc).in_hand != count)
		sched_yield();
}

TEST(what_a_killed_worker_had_is_answered_by_another)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 4 });
	struct shmt_peer other;

	for (uint64_t i = 0; i < DEATHS; i++) {
		struct shmt_peer worker = start_worker(&scene);
		uint64_t id = ask(scene.rpc, HANG_ONCE, i, SHMC_FOREVER);

		await_in_hand(scene.rpc, 1);
		other = start_worker(&scene);
		shmt_peer_kill(&worker);
		expect(scene.rpc, id, i + 1);
		end_worker(&scene, &other);
	}
	ck_assert_uint_eq(statistics(scene.rpc).redelivered, DEATHS);
	scene_close(&scene);
}

TEST(who_is_there_is_counted)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 4 });
	struct shmt_peer workers[2];

	ck_assert_uint_eq(statistics(scene.rpc).workers, 0);
	ck_assert_uint_eq(statistics(scene.rpc).clients, 1);
	for (int i = 0; i < 2; i++)
		workers[i] = start_worker(&scene);
	ck_assert_uint_eq(statistics(scene.rpc).workers, 2);
	shmt_peer_kill(&workers[0]);
	while (statistics(scene.rpc).workers != 1)
		sched_yield();
	end_worker(&scene, &workers[1]);
	scene_close(&scene);
}

TEST(or_his_caller_is_told_where_that_was_chosen)
{
	struct scene scene =
		scene_open((struct shmc_rpc_options){ .calls = 4, .no_redelivery = 1 });
	struct shmt_peer worker = start_worker(&scene), other;
	struct shmc_rpc_answer answer;
	uint64_t id = ask(scene.rpc, HANG, 1, SHMC_FOREVER);

	await_in_hand(scene.rpc, 1);
	other = start_worker(&scene);
	shmt_peer_kill(&worker);
	shmt_assert_result(shmc_rpc_receive(scene.rpc, id, SHMC_FOREVER, &answer), SHMC_PEER_DEAD);
	ck_assert_uint_eq(answer.id, id);
	end_worker(&scene, &other);
	scene_close(&scene);
}

static void call_a_dead_service(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client = shmt_connect(broker);
	struct shmc_rpc *rpc = open_service(client, SHMC_RPC_CLIENT);
	uint64_t id = ask(rpc, HANG_ONCE, 10, SHMC_FOREVER);
	struct shmc_rpc_answer answer;

	shmt_peer_tell(test);
	shmt_assert_result(shmc_rpc_receive(rpc, id, SHMC_FOREVER, &answer), SHMC_PEER_DEAD);
	ck_assert_uint_eq(answer.id, 0);
	shmt_peer_tell(test);
	/* a new one is there */
	shmt_peer_await(test);
	expect(rpc, id, 11);
	shmc_rpc_close(rpc);
	shmc_disconnect(client);
}

TEST(both_callers_of_a_killed_service_are_told_and_go_on_with_the_next)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 4 });
	struct shmt_peer worker = start_worker(&scene), caller[2];

	for (int i = 0; i < 2; i++) {
		caller[i] = shmt_peer_start(call_a_dead_service, &scene.broker);
		shmt_peer_await(&caller[i]);
	}
	await_in_hand(scene.rpc, 1);
	shmt_peer_kill(&worker);
	for (int i = 0; i < 2; i++)
		shmt_peer_await(&caller[i]);
	/* one request waits for the first time, and the first one's worker hangs with it */
	worker = start_worker(&scene);
	await_in_hand(scene.rpc, 1);
	shmt_peer_kill(&worker);
	worker = start_worker(&scene);
	for (int i = 0; i < 2; i++) {
		shmt_peer_tell(&caller[i]);
		shmt_peer_join(&caller[i]);
	}
	end_worker(&scene, &worker);
	scene_close(&scene);
}

static void call_and_hang(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client = shmt_connect(broker);
	struct shmc_rpc *rpc = open_service(client, SHMC_RPC_CLIENT);

	ask(rpc, TAKE_YOUR_TIME, 1, SHMC_FOREVER);
	ask(rpc, HANG, 1, SHMC_FOREVER);
	shmt_peer_tell(test);
	shmt_peer_hang();
}

TEST(what_a_killed_client_called_is_dropped_and_the_service_goes_on)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 4 });
	struct shmt_peer worker, caller = shmt_peer_start(call_and_hang, &scene.broker);

	shmt_peer_await(&caller);
	shmt_peer_kill(&caller);
	while (statistics(scene.rpc).dropped != 2)
		sched_yield();
	worker = start_worker(&scene);
	expect(scene.rpc, ask(scene.rpc, ADD_ONE, 1, SHMC_FOREVER), 2);
	end_worker(&scene, &worker);
	scene_close(&scene);
}

/* Many */

static void call_a_lot(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client = shmt_connect(broker);
	struct shmc_rpc *rpc = open_service(client, SHMC_RPC_CLIENT);

	(void)test;
	for (uint64_t i = 0; i < CALLS_EACH; i++) {
		uint64_t id[4];

		for (uint64_t k = 0; k < 4; k++)
			id[k] = ask(rpc, ADD_ONE, 1000 * i + k, SHMC_FOREVER);
		for (uint64_t k = 4; k-- > 0;)
			expect(rpc, id[k], 1000 * i + k + 1);
	}
	shmc_rpc_close(rpc);
	shmc_disconnect(client);
}

TEST(five_clients_get_each_his_own)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 4 });
	struct shmt_peer worker[2], caller[CALLERS];

	for (int i = 0; i < 2; i++)
		worker[i] = start_worker(&scene);
	for (int i = 0; i < CALLERS; i++)
		caller[i] = shmt_peer_start(call_a_lot, &scene.broker);
	for (int i = 0; i < CALLERS; i++)
		shmt_peer_join(&caller[i]);
	for (int i = 0; i < 2; i++)
		expect(scene.rpc, ask(scene.rpc, END, 1, SHMC_FOREVER), 2);
	for (int i = 0; i < 2; i++)
		shmt_peer_join(&worker[i]);
	ck_assert_uint_eq(statistics(scene.rpc).answered, CALLERS * CALLS_EACH * 4 + 2);
	scene_close(&scene);
}

TEST(large_requests_and_answers_lie_where_they_were_written)
{
	struct scene scene = scene_open((struct shmc_rpc_options){
		.message_bytes_max = LARGE, .calls = 1, .clients_max = 1, .workers_max = 1 });
	struct shmc_rpc *worker = open_service(scene.client, SHMC_RPC_WORKER);
	struct shmc_rpc_request request;
	struct shmc_rpc_answer answer;
	uint64_t id;
	void *room;

	shmt_assert_ok(shmc_rpc_reserve(scene.rpc, &room));
	memset(room, 'q', LARGE);
	shmt_assert_result(shmc_rpc_commit(scene.rpc, LARGE + 1, SHMC_FOREVER, &id), SHMC_TOO_BIG);
	shmt_assert_result(shmc_rpc_start(scene.rpc, "", 1, SHMC_FOREVER, &id), SHMC_INVALID);
	shmt_assert_ok(shmc_rpc_commit(scene.rpc, LARGE, SHMC_FOREVER, &id));
	shmt_assert_result(shmc_rpc_start(scene.rpc, "", 1, SHMC_FOREVER, &id), SHMC_FULL);
	shmt_assert_ok(shmc_rpc_take(worker, SHMC_TRY, &request));
	ck_assert_uint_eq(request.size, LARGE);
	ck_assert_int_eq(((const char *)request.data)[LARGE - 1], 'q');
	memset(request.room, 'a', LARGE);
	shmt_assert_ok(shmc_rpc_answer(worker, &request, 0, request.room, LARGE));
	shmt_assert_result(shmc_rpc_answer(worker, &request, 0, request.room, LARGE), SHMC_STALE);
	shmt_assert_ok(shmc_rpc_receive(scene.rpc, SHMC_RPC_ANY, SHMC_TRY, &answer));
	ck_assert_uint_eq(answer.size, LARGE);
	ck_assert_int_eq(((const char *)answer.data)[LARGE - 1], 'a');
	shmt_assert_ok(shmc_rpc_end(scene.rpc, answer.id));
	shmc_rpc_close(worker);
	scene_close(&scene);
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

TEST(both_sides_have_a_descriptor_for_an_event_loop)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 4 });
	struct shmc_rpc *worker = open_service(scene.client, SHMC_RPC_WORKER);
	struct shmc_rpc_request request;
	struct shmc_rpc_answer answer;
	struct order order;
	int ours, theirs;

	shmt_assert_ok(shmc_rpc_fd(scene.rpc, &ours, NULL));
	shmt_assert_ok(shmc_rpc_fd(worker, &theirs, NULL));
	for (uint64_t i = 0; i < 3; i++) {
		uint64_t id;

		shmt_assert_result(shmc_rpc_take(worker, SHMC_TRY, &request), SHMC_EMPTY);
		ck_assert(!is_readable(theirs, 0));
		id = ask(scene.rpc, ADD_ONE, i, SHMC_FOREVER);
		ck_assert(is_readable(theirs, 5000));
		shmt_assert_result(shmc_rpc_receive(scene.rpc, SHMC_RPC_ANY, SHMC_TRY, &answer),
				   SHMC_EMPTY);
		ck_assert(!is_readable(ours, 0));
		shmt_assert_ok(shmc_rpc_take(worker, SHMC_TRY, &request));
		memcpy(&order, request.data, sizeof(order));
		do_order(worker, &request, &order);
		ck_assert(is_readable(ours, 5000));
		expect(scene.rpc, id, i + 1);
		/* who has no calls has nothing to look for until the next one */
		shmt_assert_result(shmc_rpc_receive(scene.rpc, SHMC_RPC_ANY, SHMC_TRY, &answer),
				   SHMC_STALE);
		ck_assert(!is_readable(ours, 0));
	}
	shmc_rpc_close(worker);
	scene_close(&scene);
}

/* Waiting for a worker */

static void await_sleeps(const struct shmc_rpc *rpc, uint64_t more)
{
	while (statistics(rpc).waits < more)
		sched_yield();
}

/* Waits for one, then calls him. */
static void wait_and_call(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client = shmt_connect(broker);
	struct shmc_rpc *rpc = open_service(client, SHMC_RPC_CLIENT);

	shmt_peer_tell(test);
	shmt_assert_ok(shmc_rpc_wait_worker(rpc, SHMC_FOREVER));
	expect(rpc, ask(rpc, ADD_ONE, 1, SHMC_FOREVER), 2);
	shmc_rpc_close(rpc);
	shmc_disconnect(client);
}

TEST(who_waits_for_a_worker_sleeps_until_one_comes)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 2 });
	uint64_t slept = statistics(scene.rpc).waits;
	struct shmt_peer caller = shmt_peer_start(wait_and_call, &scene.broker), worker;

	shmt_peer_await(&caller);
	await_sleeps(scene.rpc, slept + 1);
	shmt_assert_result(shmc_rpc_wait_worker(scene.rpc, SHMC_TRY), SHMC_TIMEOUT);
	shmt_assert_result(shmc_rpc_wait_worker(scene.rpc, 20 * MS_NS), SHMC_TIMEOUT);
	worker = start_worker(&scene);
	shmt_assert_ok(shmc_rpc_wait_worker(scene.rpc, SHMC_TRY));
	shmt_peer_join(&caller);
	end_worker(&scene, &worker);
	shmt_assert_result(shmc_rpc_wait_worker(scene.rpc, SHMC_TRY), SHMC_TIMEOUT);
	scene_close(&scene);
}

TEST(a_call_that_nobody_is_there_for_is_answered_by_who_comes_after_the_wait)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 2 });
	struct shmt_peer worker = start_worker(&scene);
	struct shmc_rpc_answer answer;
	uint64_t id = ask(scene.rpc, HANG_ONCE, 1, SHMC_FOREVER);

	await_in_hand(scene.rpc, 1);
	shmt_peer_kill(&worker);
	shmt_assert_result(shmc_rpc_receive(scene.rpc, id, SHMC_FOREVER, &answer), SHMC_PEER_DEAD);
	shmt_assert_result(shmc_rpc_wait_worker(scene.rpc, MS_NS), SHMC_TIMEOUT);
	worker = start_worker(&scene);
	shmt_assert_ok(shmc_rpc_wait_worker(scene.rpc, SHMC_FOREVER));
	expect(scene.rpc, id, 2);
	end_worker(&scene, &worker);
	scene_close(&scene);
}

/* Has a call open, and is stopped while workers come and go. */
static void wait_stopped(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client = shmt_connect(broker);
	struct shmc_rpc *rpc = open_service(client, SHMC_RPC_CLIENT);
	uint64_t id = ask(rpc, ADD_ONE, 1, SHMC_FOREVER);

	shmt_peer_tell(test);
	shmt_assert_ok(shmc_rpc_wait_worker(rpc, SHMC_FOREVER));
	expect(rpc, id, 2);
	shmt_assert_result(shmc_rpc_wait_worker(rpc, SHMC_TRY), SHMC_TIMEOUT);
	shmt_peer_tell(test);
	shmt_assert_ok(shmc_rpc_wait_worker(rpc, SHMC_FOREVER));
	expect(rpc, ask(rpc, ADD_ONE, 2, SHMC_FOREVER), 3);
	shmc_rpc_close(rpc);
	shmc_disconnect(client);
}

static void stop(const struct shmt_peer *peer)
{
	siginfo_t info;

	ck_assert_int_eq(kill(peer->pid, SIGSTOP), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)peer->pid, &info, WSTOPPED), 0);
}

TEST(a_worker_who_came_and_died_meanwhile_counts_if_he_answered)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 2 });
	uint64_t slept = statistics(scene.rpc).waits;
	struct shmt_peer caller = shmt_peer_start(wait_stopped, &scene.broker), worker;

	shmt_peer_await(&caller);
	await_sleeps(scene.rpc, slept + 1);
	stop(&caller);
	worker = start_worker(&scene);
	while (statistics(scene.rpc).answered != 1)
		sched_yield();
	shmt_peer_kill(&worker);
	while (shmc_rpc_wait_worker(scene.rpc, SHMC_TRY) == SHMC_OK)
		sched_yield();
	kill(caller.pid, SIGCONT);
	shmt_peer_await(&caller);
	/* this one does nothing for him */
	await_sleeps(scene.rpc, slept + 2);
	stop(&caller);
	worker = start_worker(&scene);
	shmt_peer_kill(&worker);
	while (shmc_rpc_wait_worker(scene.rpc, SHMC_TRY) == SHMC_OK)
		sched_yield();
	kill(caller.pid, SIGCONT);
	await_sleeps(scene.rpc, slept + 3);
	worker = start_worker(&scene);
	shmt_peer_join(&caller);
	end_worker(&scene, &worker);
	scene_close(&scene);
}

TEST(a_wait_under_a_dead_broker_ends_in_time)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 2 });
	struct shmt_peer worker = start_worker(&scene);

	shmt_broker_kill(&scene.broker);
	shmt_assert_ok(shmc_rpc_wait_worker(scene.rpc, SHMC_FOREVER));
	end_worker(&scene, &worker);
	shmc_rpc_close(scene.rpc);
	shmc_disconnect(scene.client);
	shmt_broker_remove(&scene.broker);

	scene = scene_open((struct shmc_rpc_options){ .calls = 2 });
	shmt_broker_kill(&scene.broker);
	shmt_assert_result(shmc_rpc_wait_worker(scene.rpc, 20 * MS_NS), SHMC_TIMEOUT);
	shmc_rpc_close(scene.rpc);
	shmc_disconnect(scene.client);
	shmt_broker_remove(&scene.broker);
}

TEST(a_descriptor_tells_of_a_workers_coming)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .calls = 2 });
	struct shmc_rpc *worker;
	int fd;

	shmt_assert_ok(shmc_rpc_fd(scene.rpc, &fd, NULL));
	for (int i = 0; i < 3; i++) {
		shmt_assert_result(shmc_rpc_wait_worker(scene.rpc, SHMC_TRY), SHMC_TIMEOUT);
		ck_assert(!is_readable(fd, 0));
		worker = open_service(scene.client, SHMC_RPC_WORKER);
		ck_assert(is_readable(fd, 5000));
		shmt_assert_ok(shmc_rpc_wait_worker(scene.rpc, SHMC_TRY));
		shmc_rpc_close(worker);
	}
	scene_close(&scene);
}

TEST(each_role_does_its_part_only_and_limits_are_told)
{
	struct scene scene = scene_open((struct shmc_rpc_options){ .workers_max = 1 });
	struct shmc_rpc *worker = open_service(scene.client, SHMC_RPC_WORKER);
	struct shmc_rpc *observer = open_service(scene.client, SHMC_RPC_OBSERVER), *none;
	struct shmc_rpc_options options = { .workers_max = 200, .clients_max = 100 };
	struct shmc_rpc_request request;
	struct shmc_rpc_answer answer;
	struct shmc_error error;
	uint64_t id;

	shmt_assert_result(shmc_rpc_start(worker, "", 1, SHMC_FOREVER, &id), SHMC_INVALID);
	shmt_assert_result(shmc_rpc_receive(worker, 0, SHMC_TRY, &answer), SHMC_INVALID);
	shmt_assert_result(shmc_rpc_wait_worker(worker, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(shmc_rpc_wait_worker(observer, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(shmc_rpc_take(scene.rpc, SHMC_TRY, &request), SHMC_INVALID);
	shmt_assert_result(shmc_rpc_take(observer, SHMC_TRY, &request), SHMC_INVALID);
	shmt_assert_result(shmc_rpc_open(scene.client, "service", SHMC_RPC_WORKER, &none, &error),
			   SHMC_BUSY);
	shmt_assert_result(shmc_rpc_create(scene.client, "large", &options, &error), SHMC_INVALID);
	shmt_assert_says(&error, "255");
	shmt_assert_ok(shmc_rpc_options_of(observer, &options));
	ck_assert_uint_eq(options.message_bytes_max, 1024);
	ck_assert_uint_eq(options.clients_max, 32);
	shmc_rpc_close(observer);
	shmc_rpc_close(worker);
	scene_close(&scene);
}

SHMT_MAIN
