/*
 * Handles of services. The moves are protocol/rpc.h's; gates as in spsc.c: one for each role, and
 * that of start is closed while something is reserved.
 */
#include "shmclient/rpc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/bell.h"
#include "libclient/error.h"
#include "libclient/move.h"
#include "libclient/object.h"
#include "libclient/wait.h"
#include "protocol/rpc.h"

struct shmc_rpc {
	const uint32_t *worker_gate;
	const uint32_t *client_gate;
	enum shmc_rpc_role role;
	struct shmp_rpc moves;
	struct shmc__object object;
};

/* Opening and closing. */

enum shmc_result shmc_rpc_create(struct shmc_client *client, const char *name,
				 const struct shmc_rpc_options *options, struct shmc_error *error)
{
	static const struct shmc_rpc_options none;
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };

	if (!options)
		options = &none;
	option[SHMP_RPC_MESSAGE_BYTES_MAX] = options->message_bytes_max;
	option[SHMP_RPC_CALLS] = options->calls;
	option[SHMP_RPC_WORKERS_MAX] = options->workers_max;
	option[SHMP_RPC_CLIENTS_MAX] = options->clients_max;
	option[SHMP_RPC_REDELIVERY] = options->no_redelivery != 0 ? SHMC__OPTION_NO : 0;
	return shmc__object_create_as(client, name, &shmp_rpc_kind, option, options->mode,
				      options->reuse != 0, options->common, error);
}

static enum shmc_result rpc_attach(struct shmc_rpc *rpc, const char *name, struct shmc_error *error)
{
	if (rpc->role == SHMC_RPC_OBSERVER ||
	    shmp_rpc_attach(&rpc->object.mapping->segment, rpc->object.endpoint, &rpc->moves) == 0)
		return SHMC_OK;
	shmc__object_close(&rpc->object);
	return shmc__error(
		error, SHMC_CORRUPT,
		"%s: a call's word is such that no worker or client wrote: unlink it and "
		"make it anew",
		name);
}

enum shmc_result shmc_rpc_open(struct shmc_client *client, const char *name,
			       enum shmc_rpc_role role, struct shmc_rpc **ret_rpc,
			       struct shmc_error *error)
{
	struct shmc_rpc *rpc;
	enum shmc_result result;

	if ((unsigned int)role > SHMC_RPC_OBSERVER)
		return shmc__error(error, SHMC_INVALID,
				   "role: neither worker nor client nor observer");
	rpc = calloc(1, sizeof(*rpc));
	if (!rpc)
		return shmc__error_from_errno(error, "open the service", ENOMEM);
	rpc->role = role;
	result = shmc__object_open(&rpc->object, client, name, &shmp_rpc_kind,
				   shmp_rpc_kind.roles[role].name, error);
	if (result == SHMC_OK)
		result = rpc_attach(rpc, name, error);
	if (result != SHMC_OK) {
		free(rpc);
		return result;
	}
	rpc->worker_gate = role == SHMC_RPC_WORKER ? rpc->object.alive : &shmc__gate_closed;
	rpc->client_gate = role == SHMC_RPC_CLIENT ? rpc->object.alive : &shmc__gate_closed;
	*ret_rpc = rpc;
	return SHMC_OK;
}

struct shmc_rpc *shmc_rpc_close(struct shmc_rpc *rpc)
{
	if (rpc) {
		shmc__object_close(&rpc->object);
		free(rpc);
	}
	return NULL;
}

/* What a service says beside the outcomes of all structures. */
static enum shmc_result rpc_result(struct shmc_rpc *rpc, int r)
{
	if (r == SHMP_RPC_STALE)
		return SHMC_STALE;
	return r == SHMP_RPC_TIMEOUT ? SHMC_TIMEOUT : shmc__move_answer(&rpc->object, r);
}

/* Calling. */

static uint64_t rpc_deadline(int64_t timeout_ns)
{
	return timeout_ns < 0 ? UINT64_MAX : shmp_clock_ns() + (uint64_t)timeout_ns;
}

/* After a post. */
static inline enum shmc_result rpc_called(struct shmc_rpc *rpc)
{
	if (SHMP_UNLIKELY(shmp_rpc_workers_wait(&rpc->moves)))
		shmp_rpc_tell_workers(&rpc->moves, shmc__bell_ring, &rpc->object);
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_rpc_start(struct shmc_rpc *rpc, const void *data, uint64_t size,
					  int64_t timeout_ns, uint64_t *ret_id)
{
	int r;

	if (!shmc__gate_is_open(rpc->client_gate) || rpc->moves.filling != 0)
		return shmc__move_refuse(&rpc->object);
	r = shmp_rpc_start(&rpc->moves, data, size, rpc_deadline(timeout_ns), ret_id);
	return SHMP_LIKELY(r == SHMP_DONE) ? rpc_called(rpc) : rpc_result(rpc, r);
}

enum shmc_result shmc_rpc_reserve(struct shmc_rpc *rpc, void **ret_data)
{
	if (!shmc__gate_is_open(rpc->client_gate) || rpc->moves.filling != 0)
		return shmc__move_refuse(&rpc->object);
	return rpc_result(rpc, shmp_rpc_reserve(&rpc->moves, ret_data));
}

enum shmc_result shmc_rpc_commit(struct shmc_rpc *rpc, uint64_t size, int64_t timeout_ns,
				 uint64_t *ret_id)
{
	int r;

	if (!shmc__gate_is_open(rpc->client_gate))
		return shmc__move_refuse(&rpc->object);
	r = shmp_rpc_post(&rpc->moves, size, rpc_deadline(timeout_ns), ret_id);
	return r == SHMP_DONE ? rpc_called(rpc) : rpc_result(rpc, r);
}

enum shmc_result shmc_rpc_abort(struct shmc_rpc *rpc)
{
	if (!shmc__gate_is_open(rpc->client_gate) || rpc->moves.filling == 0)
		return shmc__move_refuse(&rpc->object);
	shmp_rpc_unreserve(&rpc->moves);
	return SHMC_OK;
}

struct rpc_receive {
	struct shmc_rpc *rpc;
	uint64_t id;
	struct shmp_rpc_answer answer;
};

static int rpc_move_receive(void *context)
{
	struct rpc_receive *receive = context;

	return shmp_rpc_receive(&receive->rpc->moves, receive->id, &receive->answer);
}

/* No longer than until a call's own time is up. */
static int64_t rpc_until_deadline(const struct rpc_receive *receive, int64_t timeout_ns)
{
	uint64_t deadline = shmp_rpc_next_deadline(&receive->rpc->moves, receive->id), now;

	if (deadline == UINT64_MAX || timeout_ns == 0)
		return timeout_ns;
	now = shmp_clock_ns();
	/* one at least: 0 would be a try */
	if (deadline <= now)
		return 1;
	if (deadline - now > INT64_MAX)
		return timeout_ns;
	return timeout_ns < 0 || (int64_t)(deadline - now) < timeout_ns ?
		       (int64_t)(deadline - now) :
		       timeout_ns;
}

/* In pieces, since a call that times out is one that others need not wait for. */
static int rpc_wait(struct rpc_receive *receive, int64_t timeout_ns)
{
	struct shmc_rpc *rpc = receive->rpc;
	uint64_t until = rpc_deadline(timeout_ns);
	int r;

	do {
		r = shmc__move_receive(&rpc->object, &rpc->moves.view.answers[rpc->moves.client],
				       rpc_until_deadline(receive, timeout_ns), rpc_move_receive,
				       receive);
		if (r == SHMC__WAIT_TIMEOUT) {
			int again = rpc_move_receive(receive);

			r = again == SHMP_EMPTY ? r : again;
		}
		if (timeout_ns > 0)
			timeout_ns = (int64_t)(until - shmp_clock_ns());
	} while (r == SHMC__WAIT_TIMEOUT &&
		 (timeout_ns < 0 ? until == UINT64_MAX : timeout_ns > 0));
	return r;
}

SHMC__HOT enum shmc_result shmc_rpc_receive(struct shmc_rpc *rpc, uint64_t id, int64_t timeout_ns,
					    struct shmc_rpc_answer *ret_answer)
{
	struct rpc_receive receive = { .rpc = rpc, .id = id };
	int r;

	if (!shmc__gate_is_open(rpc->client_gate))
		return shmc__move_refuse(&rpc->object);
	r = rpc_wait(&receive, timeout_ns);
	/* no call, no answer: the descriptor tells of the next one's */
	if (r == SHMP_RPC_STALE && id == SHMC_RPC_ANY && timeout_ns == 0 &&
	    shmc__bell_is_open(&rpc->object.bell))
		shmc__bell_arm(&rpc->object, &rpc->moves.view.answers[rpc->moves.client]);
	if (r == SHMP_EMPTY || r == SHMC__WAIT_TIMEOUT || r == SHMP_RPC_STALE || r < 0)
		receive.answer.id = 0;
	*ret_answer = (struct shmc_rpc_answer){
		.id = receive.answer.id,
		.data = receive.answer.data,
		.size = receive.answer.size,
		.status = receive.answer.status,
	};
	return rpc_result(rpc, r);
}

enum shmc_result shmc_rpc_end(struct shmc_rpc *rpc, uint64_t id)
{
	if (!shmc__gate_is_open(rpc->client_gate))
		return shmc__move_refuse(&rpc->object);
	return rpc_result(rpc, shmp_rpc_release(&rpc->moves, id));
}

enum shmc_result shmc_rpc_call(struct shmc_rpc *rpc, const void *data, uint64_t size, void *buffer,
			       uint64_t buffer_bytes, int64_t timeout_ns,
			       struct shmc_rpc_answer *ret_answer)
{
	uint64_t id = 0;
	enum shmc_result result = shmc_rpc_start(rpc, data, size, timeout_ns, &id);

	if (result != SHMC_OK) {
		ret_answer->id = 0;
		return result;
	}
	result = shmc_rpc_receive(rpc, id, SHMC_FOREVER, ret_answer);
	if (result == SHMC_OK && ret_answer->size > buffer_bytes)
		result = SHMC_TOO_BIG;
	else if (result == SHMC_OK && ret_answer->size != 0)
		memcpy(buffer, ret_answer->data, ret_answer->size);
	ret_answer->data = buffer;
	/* over already, where its own time was up or its worker died */
	shmp_rpc_release(&rpc->moves, id);
	return result;
}

static int rpc_move_meet(void *context)
{
	const struct shmc_rpc *rpc = context;

	return shmp_rpc_meet(&rpc->moves);
}

enum shmc_result shmc_rpc_wait_worker(struct shmc_rpc *rpc, int64_t timeout_ns)
{
	int r;

	if (!shmc__gate_is_open(rpc->client_gate))
		return shmc__move_refuse(&rpc->object);
	r = shmc__move_receive(&rpc->object, &rpc->moves.view.answers[rpc->moves.client],
			       timeout_ns, rpc_move_meet, rpc);
	return r == SHMP_EMPTY ? SHMC_TIMEOUT : shmc__move_result(r);
}

uint64_t shmc_rpc_next_deadline(const struct shmc_rpc *rpc)
{
	return shmc__gate_is_open(rpc->client_gate) ? shmp_rpc_next_deadline(&rpc->moves, 0) :
						      UINT64_MAX;
}

/* Working. */

struct rpc_take {
	struct shmc_rpc *rpc;
	struct shmp_rpc_request *request;
};

static int rpc_move_take(void *context)
{
	struct rpc_take *take = context;

	return shmp_rpc_take(&take->rpc->moves, take->request);
}

SHMC__HOT enum shmc_result shmc_rpc_take(struct shmc_rpc *rpc, int64_t timeout_ns,
					 struct shmc_rpc_request *ret_request)
{
	struct shmp_rpc_request request;
	struct rpc_take take = { rpc, &request };
	int r;

	if (!shmc__gate_is_open(rpc->worker_gate))
		return shmc__move_refuse(&rpc->object);
	r = shmc__move_receive(&rpc->object, &rpc->moves.view.control->requests, timeout_ns,
			       rpc_move_take, &take);
	if (r != SHMP_DONE)
		return shmc__move_answer(&rpc->object, r);
	*ret_request = (struct shmc_rpc_request){
		.call = { request.slot, request.word },
		.data = request.data,
		.size = request.size,
		.room = request.room,
		.deadline_ns = request.deadline_ns,
		.client = request.client,
		.flags = request.flags != 0 ? SHMC_REDELIVERED : 0,
	};
	return SHMC_OK;
}

SHMC__HOT enum shmc_result shmc_rpc_answer(struct shmc_rpc *rpc,
					   const struct shmc_rpc_request *request, int32_t status,
					   const void *data, uint64_t size)
{
	const struct shmp_rpc_request taken = {
		.slot = request->call[0],
		.word = request->call[1],
	};
	uint32_t client;
	int r;

	if (!shmc__gate_is_open(rpc->worker_gate))
		return shmc__move_refuse(&rpc->object);
	r = shmp_rpc_answer(&rpc->moves, &taken, status, data, size);
	if (SHMP_UNLIKELY(r != SHMP_DONE))
		return rpc_result(rpc, r);
	client = (uint32_t)(taken.slot / rpc->moves.view.calls);
	if (SHMP_UNLIKELY(shmp_rpc_client_waits(&rpc->moves, client)))
		shmp_rpc_tell_client(&rpc->moves, client, shmc__bell_ring, &rpc->object);
	return SHMC_OK;
}

/* Waiting otherwise, and looking. */

enum shmc_result shmc_rpc_fd(struct shmc_rpc *rpc, int *ret_fd, struct shmc_error *error)
{
	enum shmc_result result;

	if (shmc__object_is_forked(&rpc->object))
		return shmc__error(error, SHMC_FORKED, "this service is the parent process's");
	if (rpc->role == SHMC_RPC_OBSERVER)
		return shmc__error(error, SHMC_INVALID, "an observer has no descriptor");
	result = shmc__bell_open(&rpc->object, error);
	if (result == SHMC_OK)
		*ret_fd = rpc->object.bell.poll.fd;
	return result;
}

enum shmc_result shmc_rpc_look(const struct shmc_rpc *rpc, struct shmc_look *look, shmc_item_fn fn,
			       void *context)
{
	return shmc__object_look(&rpc->object, look, fn, context);
}

enum shmc_result shmc_rpc_options_of(const struct shmc_rpc *rpc,
				     struct shmc_rpc_options *ret_options)
{
	const uint64_t *option;

	if (shmc__object_is_forked(&rpc->object))
		return SHMC_FORKED;
	option = rpc->object.mapping->segment.plan.option;
	*ret_options = (struct shmc_rpc_options){
		.message_bytes_max = option[SHMP_RPC_MESSAGE_BYTES_MAX],
		.calls = option[SHMP_RPC_CALLS],
		.workers_max = option[SHMP_RPC_WORKERS_MAX],
		.clients_max = option[SHMP_RPC_CLIENTS_MAX],
		.no_redelivery = option[SHMP_RPC_REDELIVERY] == 0,
	};
	return SHMC_OK;
}

/* How many of the places from @first on somebody has now. */
static uint64_t rpc_present(const struct shmc_rpc *rpc, uint32_t first, uint64_t count)
{
	uint64_t present = 0;

	for (uint64_t i = 0; i < count; i++)
		present += shmc__object_peer(&rpc->object, first + (uint32_t)i) == SHMC_PEER_ACTIVE;
	return present;
}

enum shmc_result shmc_rpc_statistics(const struct shmc_rpc *rpc,
				     struct shmc_rpc_statistics *ret_statistics)
{
	const uint64_t *option;
	struct shmp_rpc_counts counts;
	struct shmc_statistics all;

	if (shmc__object_is_forked(&rpc->object))
		return SHMC_FORKED;
	option = rpc->object.mapping->segment.plan.option;
	shmp_rpc_count(&rpc->object.mapping->segment, &counts);
	shmc__object_statistics_of_all(&rpc->object, &all);
	*ret_statistics = (struct shmc_rpc_statistics){
		.waiting = counts.of[SHMP_RPC_OPEN],
		.in_hand = counts.of[SHMP_RPC_TAKEN],
		.cancelled = counts.of[SHMP_RPC_ORPHAN],
		.called = counts.called,
		.answered = counts.answered,
		.redelivered = counts.returned,
		.lost = counts.lost,
		.dropped = counts.dropped,
		.refused = all.refused,
		.waits = all.waits,
		.workers = rpc_present(rpc, 0, option[SHMP_RPC_WORKERS_MAX]),
		.clients = rpc_present(rpc, (uint32_t)option[SHMP_RPC_WORKERS_MAX],
				       option[SHMP_RPC_CLIENTS_MAX]),
	};
	return SHMC_OK;
}
