/* rpc: words, order, deadlines, cancel, and what is told of workers; several places in one process. */
#include "protocol/rpc.h"

#include <string.h>

#include "tests/support/runner.h"
#include "tests/support/segment.h"

enum {
	WORKERS = 2,
	CLIENTS = 2,
	CALLS = 4,
	MESSAGE = 64,
	PLACES = WORKERS + CLIENTS,
};

struct scene {
	struct shmt_segment segment;
	struct shmp_rpc at[PLACES];
	struct shmp_rpc *worker, *other_worker, *client, *other_client;
};

static void attach(struct scene *scene, uint32_t place)
{
	shmt_place_assign(&scene->segment, place);
	SHMT_REQUIRE(shmp_rpc_attach(&scene->segment.map, place, &scene->at[place]) == 0);
}

static struct scene *open_scene(bool redelivers)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { MESSAGE, CALLS, WORKERS, CLIENTS, redelivers };
	struct scene *scene = calloc(1, sizeof(*scene));

	SHMT_REQUIRE(scene);
	shmt_segment_make(&scene->segment, "rpc", option);
	for (uint32_t place = 0; place < PLACES; place++)
		attach(scene, place);
	scene->worker = &scene->at[0];
	scene->other_worker = &scene->at[1];
	scene->client = &scene->at[2];
	scene->other_client = &scene->at[3];
	return scene;
}

static void close_scene(struct scene *scene)
{
	const char *why;

	ck_assert_int_eq(shmp_rpc_kind.validate(&scene->segment.map, &why), 0);
	shmt_segment_free(&scene->segment);
	free(scene);
}

static uint64_t start(struct shmp_rpc *client, uint64_t value)
{
	uint64_t id = 0;

	ck_assert_int_eq(shmp_rpc_start(client, &value, 8, UINT64_MAX, &id), SHMP_DONE);
	ck_assert_uint_ne(id, 0);
	return id;
}

static struct shmp_rpc_request take(struct shmp_rpc *worker, uint64_t value)
{
	struct shmp_rpc_request request;

	ck_assert_int_eq(shmp_rpc_take(worker, &request), SHMP_DONE);
	ck_assert_uint_eq(request.size, 8);
	ck_assert_mem_eq(request.data, &value, 8);
	return request;
}

static int answer(struct shmp_rpc *worker, const struct shmp_rpc_request *request, uint64_t value)
{
	return shmp_rpc_answer(worker, request, 0, &value, 8);
}

static void receive(struct shmp_rpc *client, uint64_t id, uint64_t value)
{
	struct shmp_rpc_answer got;

	ck_assert_int_eq(shmp_rpc_receive(client, id, &got), SHMP_DONE);
	ck_assert_uint_eq(got.size, 8);
	ck_assert_mem_eq(got.data, &value, 8);
	ck_assert_int_eq(shmp_rpc_release(client, got.id), SHMP_DONE);
}

TEST(requests_of_a_client_are_taken_in_order_and_clients_in_turn)
{
	struct scene *scene = open_scene(true);
	struct shmp_rpc_request request;

	for (uint64_t lap = 0; lap < 50; lap++) {
		for (uint64_t i = 0; i < 3; i++)
			start(scene->client, i);
		start(scene->other_client, 10);
		for (uint64_t i = 0, mine = 0; i < 4; i++) {
			ck_assert_int_eq(shmp_rpc_take(scene->worker, &request), SHMP_DONE);
			/* the other one's turn comes before the second of these */
			if (request.client == 1)
				ck_assert_uint_lt(i, 2);
			else
				ck_assert_uint_eq(*(const uint64_t *)request.data, mine++);
			answer(scene->worker, &request, 100 + i);
		}
		for (int i = 0; i < 3; i++) {
			struct shmp_rpc_answer got;

			ck_assert_int_eq(shmp_rpc_receive(scene->client, 0, &got), SHMP_DONE);
			shmp_rpc_release(scene->client, got.id);
		}
		shmp_rpc_release(scene->other_client, shmp_rpc_id(0, scene->other_client->number));
	}
	ck_assert_int_eq(shmp_rpc_take(scene->worker, &request), SHMP_EMPTY);
	close_scene(scene);
}

TEST(answers_come_out_of_order_and_by_number)
{
	struct scene *scene = open_scene(true);
	uint64_t id[3];
	struct shmp_rpc_request request[3];
	struct shmp_rpc_answer got;

	for (uint64_t i = 0; i < 3; i++)
		id[i] = start(scene->client, i);
	for (uint64_t i = 0; i < 3; i++)
		request[i] = take(&scene->at[i % 2], i);
	ck_assert_int_eq(answer(scene->worker, &request[2], 12), SHMP_DONE);
	ck_assert_int_eq(shmp_rpc_receive(scene->client, id[0], &got), SHMP_EMPTY);
	receive(scene->client, 0, 12);
	ck_assert_int_eq(answer(scene->other_worker, &request[1], 11), SHMP_DONE);
	ck_assert_int_eq(answer(scene->other_worker, &request[1], 11), SHMP_RPC_STALE);
	ck_assert_int_eq(answer(scene->other_worker, &request[0], 10), SHMP_RPC_STALE);
	ck_assert_int_eq(answer(scene->worker, &request[0], 10), SHMP_DONE);
	receive(scene->client, id[1], 11);
	receive(scene->client, 0, 10);
	ck_assert_int_eq(shmp_rpc_receive(scene->client, 0, &got), SHMP_RPC_STALE);
	ck_assert_int_eq(shmp_rpc_receive(scene->client, id[0], &got), SHMP_RPC_STALE);
	close_scene(scene);
}

TEST(an_answer_that_was_given_is_not_given_again)
{
	struct scene *scene = open_scene(true);
	struct shmp_rpc_answer got;
	struct shmp_rpc_request request;

	start(scene->client, 1);
	request = take(scene->worker, 1);
	answer(scene->worker, &request, 2);
	ck_assert_int_eq(shmp_rpc_receive(scene->client, 0, &got), SHMP_DONE);
	ck_assert_int_eq(shmp_rpc_receive(scene->client, 0, &got), SHMP_RPC_STALE);
	close_scene(scene);
}

TEST(there_is_room_for_so_many_calls_and_bytes)
{
	struct scene *scene = open_scene(true);
	uint8_t bytes[MESSAGE + 1] = { 0 };
	struct shmp_rpc_request request;
	uint64_t id;
	void *room;

	ck_assert_int_eq(shmp_rpc_post(scene->client, 1, UINT64_MAX, &id), -EINVAL);
	ck_assert_int_eq(shmp_rpc_start(scene->client, bytes, MESSAGE + 1, UINT64_MAX, &id),
			 SHMP_TOO_BIG);
	for (int i = 0; i < CALLS; i++)
		ck_assert_int_eq(shmp_rpc_start(scene->client, bytes, MESSAGE, UINT64_MAX, &id),
				 SHMP_DONE);
	ck_assert_int_eq(shmp_rpc_reserve(scene->client, &room), SHMP_FULL);
	ck_assert_int_eq(shmp_rpc_take(scene->worker, &request), SHMP_DONE);
	ck_assert_uint_eq(request.size, MESSAGE);
	ck_assert_int_eq(shmp_rpc_answer(scene->worker, &request, 0, bytes, MESSAGE + 1),
			 SHMP_TOO_BIG);
	ck_assert_int_eq(shmp_rpc_answer(scene->worker, &request, 0, bytes, MESSAGE), SHMP_DONE);
	close_scene(scene);
}

TEST(what_is_cancelled_is_not_taken_and_its_slot_is_used_when_the_worker_let_go)
{
	struct scene *scene = open_scene(true);
	struct shmp_rpc_request request;
	uint64_t id[CALLS], more;

	for (uint64_t i = 0; i < CALLS; i++)
		id[i] = start(scene->client, i);
	request = take(scene->worker, 0);
	for (uint64_t i = 0; i < CALLS; i++)
		ck_assert_int_eq(shmp_rpc_release(scene->client, id[i]), SHMP_DONE);
	ck_assert_int_eq(shmp_rpc_release(scene->client, id[0]), SHMP_RPC_STALE);
	for (uint64_t i = 1; i < CALLS; i++)
		start(scene->client, 10 + i);
	ck_assert_int_eq(shmp_rpc_start(scene->client, &more, 8, UINT64_MAX, &more), SHMP_FULL);
	ck_assert_int_eq(answer(scene->worker, &request, 5), SHMP_RPC_STALE);
	start(scene->client, 10 + CALLS);
	for (uint64_t i = 1; i <= CALLS; i++) {
		request = take(scene->worker, 10 + i);
		answer(scene->worker, &request, 20 + i);
	}
	for (uint64_t i = 1; i <= CALLS; i++)
		receive(scene->client, 0, 20 + i);
	close_scene(scene);
}

TEST(what_is_too_late_is_not_done_and_told_as_such)
{
	struct scene *scene = open_scene(true);
	struct shmp_rpc_answer got;
	struct shmp_rpc_request request;
	uint64_t id[2];

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(shmp_rpc_start(scene->client, "", 0, 1, &id[i]), SHMP_DONE);
	ck_assert_uint_eq(shmp_rpc_next_deadline(scene->client, 0), 1);
	ck_assert_int_eq(shmp_rpc_receive(scene->client, id[1], &got), SHMP_RPC_TIMEOUT);
	ck_assert_uint_eq(got.id, id[1]);
	ck_assert_int_eq(shmp_rpc_take(scene->worker, &request), SHMP_EMPTY);
	ck_assert_int_eq(shmp_rpc_receive(scene->client, 0, &got), SHMP_RPC_TIMEOUT);
	ck_assert_uint_eq(got.id, id[0]);
	ck_assert_uint_eq(shmp_rpc_next_deadline(scene->client, 0), UINT64_MAX);
	close_scene(scene);
}

TEST(what_a_dead_worker_had_goes_to_another_flagged)
{
	struct scene *scene = open_scene(true);
	struct shmp_rpc_request request;

	start(scene->client, 1);
	take(scene->worker, 1);
	shmt_place_vacate(&scene->segment, 0, true, 1);
	request = take(scene->other_worker, 1);
	ck_assert_uint_eq(request.flags, SHMP_RPC_REDELIVERED);
	answer(scene->other_worker, &request, 2);
	receive(scene->client, 0, 2);
	close_scene(scene);
}

TEST(or_ends_where_that_was_chosen)
{
	struct scene *scene = open_scene(false);
	struct shmp_rpc_request request;
	struct shmp_rpc_answer got;
	uint64_t id = start(scene->client, 1);

	take(scene->worker, 1);
	shmt_place_vacate(&scene->segment, 0, true, 1);
	ck_assert_int_eq(shmp_rpc_take(scene->other_worker, &request), SHMP_EMPTY);
	ck_assert_int_eq(shmp_rpc_receive(scene->client, id, &got), SHMP_PEER_DEAD);
	ck_assert_uint_eq(got.id, id);
	ck_assert_int_eq(shmp_rpc_receive(scene->client, id, &got), SHMP_RPC_STALE);
	close_scene(scene);
}

TEST(who_waits_is_told_when_the_last_worker_has_gone_and_goes_on_with_the_next)
{
	struct scene *scene = open_scene(true);
	struct shmp_rpc_request request;
	struct shmp_rpc_answer got;
	uint64_t id = start(scene->client, 1);

	shmt_place_vacate(&scene->segment, 0, false, 1);
	ck_assert_int_eq(shmp_rpc_receive(scene->client, id, &got), SHMP_EMPTY);
	shmt_place_vacate(&scene->segment, 1, false, 1);
	ck_assert_int_eq(shmp_rpc_receive(scene->client, id, &got), SHMP_PEER_LEFT);
	attach(scene, 1);
	ck_assert_int_eq(shmp_rpc_receive(scene->client, id, &got), SHMP_EMPTY);
	take(scene->other_worker, 1);
	shmt_place_vacate(&scene->segment, 1, true, 1);
	ck_assert_int_eq(shmp_rpc_receive(scene->client, id, &got), SHMP_PEER_DEAD);
	ck_assert_uint_eq(got.id, 0);
	attach(scene, 0);
	request = take(scene->worker, 1);
	answer(scene->worker, &request, 2);
	receive(scene->client, id, 2);
	close_scene(scene);
}

TEST(a_dead_clients_calls_are_dropped_and_its_successor_starts_anew)
{
	struct scene *scene = open_scene(true);
	struct shmp_rpc_request request, none;
	uint64_t id = start(scene->client, 1);

	start(scene->client, 2);
	request = take(scene->worker, 1);
	shmt_place_vacate(&scene->segment, 2, true, 2);
	ck_assert_int_eq(shmp_rpc_take(scene->worker, &none), SHMP_EMPTY);
	attach(scene, 2);
	for (uint64_t i = 1; i < CALLS; i++)
		ck_assert_uint_ne(start(scene->client, 10), id);
	ck_assert_int_eq(answer(scene->worker, &request, 3), SHMP_RPC_STALE);
	start(scene->client, 10);
	for (int i = 0; i < CALLS; i++) {
		request = take(scene->worker, 10);
		answer(scene->worker, &request, 11);
	}
	for (int i = 0; i < CALLS; i++)
		receive(scene->client, 0, 11);
	close_scene(scene);
}

TEST(nonsense_is_corrupt_or_hurts_its_author_only)
{
	struct scene *scene = open_scene(true);
	struct shmp_rpc_request request;
	struct shmp_rpc_answer got;
	uint64_t id = start(scene->client, 1);

	/* a request that is longer than can be */
	shmp_rpc_slot(&scene->client->view, 0)->request_bytes = UINT64_MAX;
	start(scene->other_client, 2);
	request = take(scene->worker, 2);
	answer(scene->worker, &request, 3);
	receive(scene->other_client, 0, 3);
	ck_assert_int_eq(shmp_rpc_receive(scene->client, id, &got), SHMP_PEER_DEAD);
	/* an answer that is */
	id = start(scene->client, 1);
	request = take(scene->worker, 1);
	answer(scene->worker, &request, 2);
	shmp_rpc_slot(&scene->client->view, 0)->answer_bytes = MESSAGE + 1;
	ck_assert_int_eq(shmp_rpc_receive(scene->client, id, &got), -EBADMSG);
	ck_assert_int_eq(shmp_rpc_release(scene->client, id), SHMP_DONE);
	/* a mask that names slots there are none of */
	atomic_store(&scene->client->view.masks[0], UINT64_MAX);
	atomic_store(&scene->client->view.masks[1], UINT64_MAX);
	ck_assert_int_eq(shmp_rpc_take(scene->worker, &request), SHMP_EMPTY);
	close_scene(scene);
}

SHMT_MAIN
