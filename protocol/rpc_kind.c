/* rpc: the kind, the broker's side, and what those who only look see. See rpc.h. */
#include "protocol/rpc.h"

#define MESSAGE_MAX_MAX (UINT64_C(1) << 30)
#define DATA_BYTES_MAX	(UINT64_C(1) << 40)

static uint64_t room_of(const uint64_t *option)
{
	return shmp_round_up(option[SHMP_RPC_MESSAGE_BYTES_MAX], SHMP_LINE);
}

static uint64_t stride_of(const uint64_t *option)
{
	return sizeof(struct shmp_rpc_slot) + 2 * room_of(option);
}

/* Bytes of the masks, whole lines. */
static uint64_t masks_bytes(const uint64_t *option)
{
	return shmp_round_up(8 * option[SHMP_RPC_CLIENTS_MAX], SHMP_LINE);
}

void shmp_rpc_view(const struct shmp_segment *segment, struct shmp_rpc_view *ret_view)
{
	const uint64_t *option = segment->plan.option;
	struct shmp_rpc_control *control = segment->control;
	uint8_t *masks = (uint8_t *)(control + 1);

	*ret_view = (struct shmp_rpc_view){
		.data = segment->data,
		.message_max = option[SHMP_RPC_MESSAGE_BYTES_MAX],
		.room = room_of(option),
		.stride = stride_of(option),
		.calls = (uint32_t)option[SHMP_RPC_CALLS],
		.workers = (uint32_t)option[SHMP_RPC_WORKERS_MAX],
		.clients = (uint32_t)option[SHMP_RPC_CLIENTS_MAX],
		.redelivers = option[SHMP_RPC_REDELIVERY] != 0,
		.masks = (_Atomic uint64_t *)(void *)masks,
		.answers = (struct shmp_waiter *)(void *)(masks + masks_bytes(option)),
		.control = control,
		.endpoints = segment->endpoints,
	};
}

/* A statistic that others write, or wrote. */
static uint64_t load_counter(const _Atomic uint64_t *counter)
{
	/* relaxed: right for some moment, nothing follows from it */
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void shmp_rpc_count(const struct shmp_segment *segment, struct shmp_rpc_counts *ret_counts)
{
	struct shmp_rpc_counts counts = { .called = 0 };
	struct shmp_rpc_view view;

	shmp_rpc_view(segment, &view);
	/* without data, slots cannot be counted */
	for (uint64_t slot = 0; segment->data && slot < shmp_rpc_slots(&view); slot++)
		counts.of[shmp_rpc_state_of(load_counter(&shmp_rpc_slot(&view, slot)->word))]++;
	for (uint32_t i = 0; i < view.workers; i++)
		counts.answered += load_counter(&view.endpoints[i].items);
	for (uint32_t i = 0; i < view.clients; i++)
		counts.called += load_counter(&view.endpoints[view.workers + i].items);
	counts.returned = load_counter(&view.control->returned);
	counts.lost = load_counter(&view.control->lost);
	counts.dropped = load_counter(&view.control->dropped);
	*ret_counts = counts;
}

/* The broker's side */

static int rpc_plan(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why)
{
	uint64_t slots = option[SHMP_RPC_CLIENTS_MAX] * option[SHMP_RPC_CALLS];
	uint64_t endpoints = option[SHMP_RPC_WORKERS_MAX] + option[SHMP_RPC_CLIENTS_MAX];

	if (endpoints > SHMP_ENDPOINTS_MAX) {
		*ret_why = "workers and clients together are more than 255";
		return SHMP_RPC_CLIENTS_MAX + 1;
	}
	if (slots > DATA_BYTES_MAX / stride_of(option)) {
		*ret_why = "calls of message_bytes_max make more than 2^40 bytes";
		return SHMP_RPC_MESSAGE_BYTES_MAX + 1;
	}
	*ret_plan = (struct shmp_plan){
		.data_bytes = shmp_round_up(slots * stride_of(option), SHMP_PAGE),
		.control_bytes = shmp_round_up(
			sizeof(struct shmp_rpc_control) + masks_bytes(option) +
				option[SHMP_RPC_CLIENTS_MAX] * sizeof(struct shmp_waiter),
			2 * SHMP_LINE),
		.endpoint_count = (uint32_t)endpoints,
	};
	for (int i = SHMP_RPC_MESSAGE_BYTES_MAX; i <= SHMP_RPC_REDELIVERY; i++)
		ret_plan->option[i] = option[i];
	ret_plan->ctl_bytes = shmp_segment_ctl_bytes(ret_plan);
	return 0;
}

static void rpc_init(const struct shmp_segment *segment)
{
	/* All zero are slots that are free, and masks that name none. */
	(void)segment;
}

static bool is_held(uint64_t word)
{
	return shmp_rpc_state_of(word) == SHMP_RPC_TAKEN ||
	       shmp_rpc_state_of(word) == SHMP_RPC_ORPHAN;
}

static int rpc_validate(const struct shmp_segment *segment, const char **ret_why)
{
	struct shmp_rpc_view view;

	shmp_rpc_view(segment, &view);
	for (uint64_t slot = 0; slot < shmp_rpc_slots(&view); slot++) {
		uint64_t word = shmp_rpc_load(shmp_rpc_slot(&view, slot));

		if (shmp_rpc_state_of(word) <= SHMP_RPC_EXPIRED &&
		    (!is_held(word) || shmp_rpc_worker_of(word) < view.workers))
			continue;
		*ret_why = "a call is in a state or in hands that there cannot be";
		return -EBADMSG;
	}
	return 0;
}

static void rpc_attach(const struct shmp_segment *segment, uint32_t endpoint)
{
	struct shmp_endpoint *self = &segment->endpoints[endpoint];

	/* relaxed: the place is nobody's; the state's release publishes it to the new owner */
	atomic_store_explicit(&self->park_key, 0, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&self->doorbell, 0, memory_order_relaxed);
}

/* relaxed: a statistic; one too few where the broker dies right here */
static void count_one(_Atomic uint64_t *counter)
{
	/* relaxed: as above */
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* His, or an earlier holder's of the place: what a later one has in hand is not repair's. */
static bool is_in_hands_of(uint64_t word, uint32_t worker, uint64_t incarnation)
{
	return is_held(word) && shmp_rpc_worker_of(word) == worker &&
	       !shmp_rpc_is_later(shmp_rpc_incarnation_of(word), incarnation);
}

/* What a dead worker had in hand. */
static void repair_held(const struct shmp_rpc_view *view, struct shmp_rpc_slot *slot,
			uint32_t worker, uint64_t incarnation)
{
	/* its client may give it up meanwhile, once */
	for (int i = 0; i < 2; i++) {
		uint64_t word = shmp_rpc_load(slot);

		if (!is_in_hands_of(word, worker, incarnation))
			return;
		if (shmp_rpc_state_of(word) == SHMP_RPC_ORPHAN) {
			shmp_rpc_move(slot, word, shmp_rpc_turned(word, SHMP_RPC_FREE));
		} else if (view->redelivers) {
			if (shmp_rpc_move(slot, word,
					  shmp_rpc_turned(word, SHMP_RPC_OPEN) |
						  SHMP_RPC_REDELIVERED))
				count_one(&view->control->returned);
		} else if (shmp_rpc_move(slot, word, shmp_rpc_turned(word, SHMP_RPC_DEAD))) {
			count_one(&view->control->lost);
		}
	}
}

static void repair_worker(const struct shmp_rpc_view *view, uint32_t worker, uint64_t incarnation)
{
	for (uint64_t slot = 0; slot < shmp_rpc_slots(view); slot++)
		repair_held(view, shmp_rpc_slot(view, slot), worker, incarnation);
	shmp_waiter_finish(&view->control->requests, worker);
}

/* What a dead client called. */
static void repair_call(const struct shmp_rpc_view *view, struct shmp_rpc_slot *slot,
			uint64_t incarnation)
{
	uint64_t word = shmp_rpc_load(slot);
	enum shmp_rpc_state state = shmp_rpc_state_of(word);
	/* relaxed: behind the word, and it stands until that is FREE */
	uint32_t caller = atomic_load_explicit(&slot->caller, memory_order_relaxed);

	if (state == SHMP_RPC_FREE || state == SHMP_RPC_ORPHAN ||
	    shmp_rpc_is_later(caller, incarnation))
		return;
	if (shmp_rpc_end(slot, shmp_rpc_number_of(word)))
		count_one(&view->control->dropped);
}

static void repair_client(const struct shmp_rpc_view *view, uint32_t client, uint64_t incarnation)
{
	for (uint64_t i = 0; i < view->calls; i++)
		repair_call(view, shmp_rpc_slot(view, (uint64_t)client * view->calls + i),
			    incarnation);
	shmp_waiter_finish(&view->answers[client], view->workers + client);
}

static int rpc_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	uint64_t incarnation = shmp_endpoint_incarnation(&segment->endpoints[endpoint]);
	struct shmp_rpc_view view;

	(void)died; /* who left in good order may have had something in hand as well */
	shmp_rpc_view(segment, &view);
	if (endpoint < view.workers)
		repair_worker(&view, endpoint, incarnation);
	else
		repair_client(&view, endpoint - view.workers, incarnation);
	rpc_attach(segment, endpoint);
	return 0;
}

static void rpc_wake(const struct shmp_segment *segment)
{
	struct shmp_rpc_view view;

	shmp_rpc_view(segment, &view);
	shmp_waiter_wake_all(&view.control->requests);
	for (uint32_t i = 0; i < view.clients; i++)
		shmp_waiter_wake_all(&view.answers[i]);
}

static bool rpc_waits(const struct shmp_segment *segment, uint32_t endpoint)
{
	struct shmp_rpc_view view;

	shmp_rpc_view(segment, &view);
	return endpoint < view.workers ?
		       shmp_waiter_is_set(&view.control->requests, endpoint) :
		       shmp_waiter_is_set(&view.answers[endpoint - view.workers], endpoint);
}

static int rpc_require_fence(const struct shmp_segment *segment)
{
	struct shmp_rpc_view view;
	int r;

	shmp_rpc_view(segment, &view);
	r = shmp_waiter_require_fence(&view.control->requests);
	for (uint32_t i = 0; r == 0 && i < view.clients; i++)
		r = shmp_waiter_require_fence(&view.answers[i]);
	return r;
}

static void rpc_require_pieces(const struct shmp_segment *segment)
{
	struct shmp_rpc_view view;

	shmp_rpc_view(segment, &view);
	shmp_waiter_require_pieces(&view.control->requests);
	for (uint32_t i = 0; i < view.clients; i++)
		shmp_waiter_require_pieces(&view.answers[i]);
}

static void rpc_figures(const struct shmp_segment *segment, shmp_figure_fn figure, void *context)
{
	struct shmp_rpc_counts counts;

	shmp_rpc_count(segment, &counts);
	figure(context, "waiting_requests", counts.of[SHMP_RPC_OPEN]);
	figure(context, "requests_in_hand", counts.of[SHMP_RPC_TAKEN]);
	figure(context, "cancelled_in_hand", counts.of[SHMP_RPC_ORPHAN]);
	figure(context, "waiting_answers", counts.of[SHMP_RPC_DONE]);
	figure(context, "called", counts.called);
	figure(context, "answered", counts.answered);
	figure(context, "redelivered_by_repair", counts.returned);
	figure(context, "ended_by_repair", counts.lost);
	figure(context, "dropped_of_dead_clients", counts.dropped);
}

static void describe_call(const struct shmp_rpc_view *view, uint64_t index, uint64_t word,
			  const struct shmp_look *look, struct shmp_item *item)
{
	static const char *const states[SHMP_RPC_STATES] = {
		"free",	    "waiting",	   "in hand", "cancelled in hand",
		"answered", "worker died", "expired", "?",
	};
	struct shmp_rpc_slot *slot = shmp_rpc_slot(view, index);
	bool is_done = shmp_rpc_state_of(word) == SHMP_RPC_DONE;
	/* relaxed: whether it is of this call is told by the word afterwards */
	uint64_t size = atomic_load_explicit(is_done ? &slot->answer_bytes : &slot->request_bytes,
					     memory_order_relaxed);

	*item = (struct shmp_item){
		.what = is_done ? "answer" : "request",
		.state = states[shmp_rpc_state_of(word)],
		.position = index,
		.number = shmp_rpc_number_of(word),
		.endpoint = (int64_t)(view->workers + index / view->calls),
		.flags = word & SHMP_RPC_REDELIVERED ? SHMP_ITEM_REDELIVERED : 0,
	};
	shmp_look_take(look, is_done ? shmp_rpc_answer_of(view, slot) : shmp_rpc_request_of(slot),
		       size <= view->message_max ? size : view->message_max, item);
}

/* The calls that are not over; a copy counts if the call is in the same state behind it. */
static int rpc_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		    void *context)
{
	struct shmp_rpc_view view;
	uint64_t shown = 0;

	shmp_rpc_view(segment, &view);
	if (look->from > shmp_rpc_slots(&view))
		look->from = shmp_rpc_slots(&view);
	for (; look->from < shmp_rpc_slots(&view) && shown < look->max; look->from++) {
		struct shmp_rpc_slot *slot = shmp_rpc_slot(&view, look->from);
		uint64_t word = shmp_rpc_load(slot);
		struct shmp_item item;
		int r;

		if (shmp_rpc_state_of(word) == SHMP_RPC_FREE)
			continue;
		describe_call(&view, look->from, word, look, &item);
		/* the copy comes before the second look */
		/* [rpc.W] fence; pairs with shmp_rpc_put */
		atomic_thread_fence(memory_order_acquire);
		if (shmp_rpc_load(slot) != word)
			continue;
		r = fn(context, &item);
		if (r != 0)
			return r;
		shown++;
	}
	return 0;
}

static const struct shmp_role rpc_roles[] = {
	[SHMP_RPC_WORKER] = { .name = "worker",
			      .count_option = SHMP_RPC_WORKERS_MAX + 1,
			      .ctl = SHMP_ACCESS_WRITE,
			      .data = SHMP_ACCESS_WRITE,
			      .writes = true },
	[SHMP_RPC_CLIENT] = { .name = "client",
			      .first_option = SHMP_RPC_WORKERS_MAX + 1,
			      .count_option = SHMP_RPC_CLIENTS_MAX + 1,
			      .ctl = SHMP_ACCESS_WRITE,
			      .data = SHMP_ACCESS_WRITE,
			      .writes = true },
	[SHMP_RPC_OBSERVER] = SHMP_ROLE_OBSERVER,
};

static const struct shmp_option rpc_options[] = {
	[SHMP_RPC_MESSAGE_BYTES_MAX] = { .name = "message_bytes_max",
					 .help = "largest request, and largest answer",
					 .min = 1,
					 .max = MESSAGE_MAX_MAX,
					 .preset = 1024 },
	[SHMP_RPC_CALLS] = { .name = "calls",
			     .help = "open at the same time, of each client",
			     .min = 1,
			     .max = SHMP_RPC_CALLS_MAX,
			     .preset = 16 },
	[SHMP_RPC_WORKERS_MAX] = { .name = "workers_max",
				   .help = "workers at the same time",
				   .min = 1,
				   .max = SHMP_ENDPOINTS_MAX - 1,
				   .preset = 8 },
	[SHMP_RPC_CLIENTS_MAX] = { .name = "clients_max",
				   .help = "clients at the same time",
				   .min = 1,
				   .max = SHMP_ENDPOINTS_MAX - 1,
				   .preset = 32 },
	[SHMP_RPC_REDELIVERY] = { .name = "redelivery",
				  .help = "1: what a worker died with goes to another, 0: its "
					  "caller is told",
				  .min = 0,
				  .max = 1,
				  .preset = 1 },
};

const struct shmp_kind shmp_rpc_kind = {
	.name = "rpc",
	.id = 12,
	.version = SHMP_RPC_VERSION,
	.roles = rpc_roles,
	.role_count = sizeof(rpc_roles) / sizeof(rpc_roles[0]),
	.options = rpc_options,
	.option_count = sizeof(rpc_options) / sizeof(rpc_options[0]),
	.plan = rpc_plan,
	.init = rpc_init,
	.validate = rpc_validate,
	.attach = rpc_attach,
	.repair = rpc_repair,
	.wake = rpc_wake,
	.waits = rpc_waits,
	.require_fence = rpc_require_fence,
	.require_pieces = rpc_require_pieces,
	.holds = shmp_rpc_holds,
	.waits_for = shmp_rpc_waits_for,
	.figures = rpc_figures,
	.look = rpc_look,
};
