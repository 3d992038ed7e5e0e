/* rpc: whose calls are in whose hands, and who waits for whom. See rpc.h and hold.h. */
#include "protocol/rpc.h"

/* A client's calls by where they are. */
struct calls {
	uint64_t of[SHMP_RPC_STATES];
	uint64_t taken[SHMP_ENDPOINTS_MAX]; /* by worker */
};

static uint64_t load(const struct shmp_rpc_view *view, uint64_t slot)
{
	return shmp_rpc_load(shmp_rpc_slot(view, slot));
}

static void count_calls(const struct shmp_rpc_view *view, uint32_t client, struct calls *ret_calls)
{
	*ret_calls = (struct calls){ .of = { 0 } };
	for (uint64_t i = 0; i < view->calls; i++) {
		uint64_t word = load(view, (uint64_t)client * view->calls + i);
		enum shmp_rpc_state state = shmp_rpc_state_of(word);

		ret_calls->of[state]++;
		if (state == SHMP_RPC_TAKEN && shmp_rpc_worker_of(word) < view->workers)
			ret_calls->taken[shmp_rpc_worker_of(word)]++;
	}
}

static void worker_holds(const struct shmp_rpc_view *view, uint32_t worker, shmp_hold_fn fn,
			 void *context)
{
	uint64_t incarnation = shmp_endpoint_incarnation(&view->endpoints[worker]);
	uint64_t name = shmp_rpc_name(worker, incarnation);
	uint64_t taken = 0, orphans = 0;

	for (uint64_t slot = 0; slot < shmp_rpc_slots(view); slot++) {
		uint64_t word = load(view, slot);

		if ((word & SHMP_RPC_NAME) != name)
			continue;
		taken += shmp_rpc_state_of(word) == SHMP_RPC_TAKEN;
		orphans += shmp_rpc_state_of(word) == SHMP_RPC_ORPHAN;
	}
	if (taken > 0)
		fn(context, &(struct shmp_hold){ "requests",
						 view->redelivers ? "given to another, flagged" :
								    "ended; their callers are told",
						 taken, false });
	if (orphans > 0)
		fn(context, &(struct shmp_hold){ "cancelled requests", "ended", orphans, false });
}

static void client_holds(const struct shmp_rpc_view *view, uint32_t client, shmp_hold_fn fn,
			 void *context)
{
	struct calls calls;
	uint64_t open;

	count_calls(view, client, &calls);
	open = view->calls - calls.of[SHMP_RPC_FREE] - calls.of[SHMP_RPC_ORPHAN];
	if (open > 0)
		fn(context, &(struct shmp_hold){ "calls", "ended", open, false });
}

void shmp_rpc_holds(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
		    void *context)
{
	struct shmp_rpc_view view;

	if (!segment->data)
		return;
	shmp_rpc_view(segment, &view);
	if (endpoint < view.workers)
		worker_holds(&view, endpoint, fn, context);
	else
		client_holds(&view, endpoint - view.workers, fn, context);
}

static void client_waits(const struct shmp_rpc_view *view, uint32_t client, shmp_wait_fn fn,
			 void *context)
{
	uint32_t endpoint = view->workers + client;
	struct calls calls;

	count_calls(view, client, &calls);
	for (uint32_t i = 0; i < view->workers; i++) {
		if (calls.taken[i] > 0)
			fn(context, &(struct shmp_wait){ .endpoint = endpoint,
							 .by = i,
							 .what = "answer",
							 .why = "has his requests in hand",
							 .count = calls.taken[i] });
	}
	if (calls.of[SHMP_RPC_FREE] + calls.of[SHMP_RPC_ORPHAN] == view->calls)
		fn(context, &(struct shmp_wait){ .endpoint = endpoint,
						 .is_idle = true,
						 .by = -1,
						 .role = "worker",
						 .what = "worker",
						 .why = "has not come" });
	if (calls.of[SHMP_RPC_OPEN] > 0)
		fn(context, &(struct shmp_wait){ .endpoint = endpoint,
						 .by = -1,
						 .role = "worker",
						 .what = "answer",
						 .why = "has not taken his requests",
						 .count = calls.of[SHMP_RPC_OPEN] });
}

void shmp_rpc_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context)
{
	struct shmp_rpc_view view;

	if (!segment->data)
		return;
	shmp_rpc_view(segment, &view);
	for (uint32_t i = 0; i < view.workers; i++) {
		if (shmp_waiter_is_set(&view.control->requests, i))
			fn(context, &(struct shmp_wait){ .endpoint = i,
							 .is_idle = true,
							 .by = -1,
							 .role = "client",
							 .what = "request",
							 .why = "has asked for nothing more" });
	}
	for (uint32_t i = 0; i < view.clients; i++) {
		if (shmp_waiter_is_set(&view.answers[i], view.workers + i))
			client_waits(&view, i, fn, context);
	}
}
