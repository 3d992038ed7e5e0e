/* rpc: calls, requests, and the broker's side. See rpc.h. */
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

static uint64_t slots_of(const struct shmp_rpc_view *view)
{
	return (uint64_t)view->clients * view->calls;
}

/* The client's slot number @slot of all. */
static struct shmp_rpc_slot *own_slot(const struct shmp_rpc *rpc, uint64_t slot)
{
	return shmp_rpc_slot(&rpc->view, (uint64_t)rpc->client * rpc->view.calls + slot);
}

/* No number of his may come again, also not in the hands of a late worker. */
static void attach_client(struct shmp_rpc *rpc)
{
	rpc->client = rpc->endpoint - rpc->view.workers;
	for (uint64_t i = 0; i < rpc->view.calls; i++) {
		uint64_t number = shmp_rpc_number_of(shmp_rpc_load(own_slot(rpc, i)));

		rpc->number = number > rpc->number ? number : rpc->number;
	}
	shmp_rpc_set_mask(rpc, 0);
}

int shmp_rpc_attach(const struct shmp_segment *segment, uint32_t endpoint, struct shmp_rpc *ret_rpc)
{
	const char *why;
	int r = shmp_rpc_kind.validate(segment, &why);

	if (r < 0)
		return r;
	*ret_rpc = (struct shmp_rpc){ .endpoint = endpoint };
	shmp_rpc_view(segment, &ret_rpc->view);
	ret_rpc->self = &segment->endpoints[endpoint];
	ret_rpc->attention = shmp_waiter_words(segment->plan.endpoint_count);
	if (endpoint >= ret_rpc->view.workers)
		attach_client(ret_rpc);
	return 0;
}

/* Client */

int shmp_rpc_reserve(struct shmp_rpc *rpc, void **ret_room)
{
	uint64_t slot = rpc->filling;

	if (slot == 0) {
		/* the first one, so that who makes one call after the other stays in one */
		while (slot < rpc->view.calls &&
		       ((rpc->open >> slot & 1) != 0 ||
			shmp_rpc_state_of(shmp_rpc_load(own_slot(rpc, slot))) != SHMP_RPC_FREE))
			slot++;
		if (slot == rpc->view.calls)
			return SHMP_FULL;
		rpc->filling = (uint32_t)slot + 1;
	} else {
		slot--;
	}
	*ret_room = shmp_rpc_request_of(own_slot(rpc, slot));
	return SHMP_DONE;
}

int shmp_rpc_post(struct shmp_rpc *rpc, uint64_t size, uint64_t deadline_ns, uint64_t *ret_id)
{
	uint64_t index = rpc->filling - UINT64_C(1);
	struct shmp_rpc_slot *slot;

	if (rpc->filling == 0)
		return -EINVAL;
	if (size > rpc->view.message_max)
		return SHMP_TOO_BIG;
	slot = own_slot(rpc, index);
	slot->deadline_ns = deadline_ns;
	slot->request_bytes = size;
	rpc->filling = 0;
	rpc->numbers[index] = ++rpc->number;
	rpc->deadlines[index] = deadline_ns;
	rpc->open |= UINT64_C(1) << index;
	*ret_id = shmp_rpc_id(index, rpc->number);
	shmp_rpc_put(slot, shmp_rpc_word(rpc->number, 0, 0, SHMP_RPC_OPEN));
	if (rpc->mask != rpc->open)
		shmp_rpc_set_mask(rpc, rpc->open);
	shmp_endpoint_count(&rpc->self->items, 1);
	shmp_endpoint_count(&rpc->self->bytes, size);
	return SHMP_DONE;
}

int shmp_rpc_start(struct shmp_rpc *rpc, const void *data, uint64_t size, uint64_t deadline_ns,
		   uint64_t *ret_id)
{
	void *room;
	int r = size > rpc->view.message_max ? SHMP_TOO_BIG : shmp_rpc_reserve(rpc, &room);

	if (r != SHMP_DONE)
		return r;
	if (size != 0)
		memcpy(room, data, size);
	return shmp_rpc_post(rpc, size, deadline_ns, ret_id);
}

/*
 * Ends a call of which the caller wants to hear nothing more, whatever it has come to. False: its
 * word is none of it, or does not stand still as it would among honest workers.
 */
static bool end_call(struct shmp_rpc_slot *slot, uint64_t number)
{
	for (int i = 0; i < SHMP_RPC_ATTEMPTS; i++) {
		uint64_t word = shmp_rpc_load(slot);

		if (shmp_rpc_number_of(word) != number)
			return false;
		switch (shmp_rpc_state_of(word)) {
		case SHMP_RPC_FREE:
		case SHMP_RPC_ORPHAN:
			return true;
		case SHMP_RPC_TAKEN:
			if (shmp_rpc_move(slot, word, word - SHMP_RPC_TAKEN + SHMP_RPC_ORPHAN))
				return true;
			break;
		default:
			if (shmp_rpc_move(slot, word, shmp_rpc_turned(word, SHMP_RPC_FREE)))
				return true;
		}
	}
	return false;
}

static int close_call(struct shmp_rpc *rpc, uint64_t index)
{
	rpc->open &= ~(UINT64_C(1) << index);
	rpc->given &= ~(UINT64_C(1) << index);
	return end_call(own_slot(rpc, index), rpc->numbers[index]) ? SHMP_DONE : -EBADMSG;
}

static bool is_own_call(const struct shmp_rpc *rpc, uint64_t id)
{
	return (rpc->open >> id % 64 & 1) != 0 && rpc->numbers[id % 64] == id / 64;
}

int shmp_rpc_release(struct shmp_rpc *rpc, uint64_t id)
{
	return is_own_call(rpc, id) ? close_call(rpc, id % 64) : SHMP_RPC_STALE;
}

/* Closes it, and says @outcome. */
static int closed_with(struct shmp_rpc *rpc, uint64_t index, int outcome)
{
	int r = close_call(rpc, index);

	return r < 0 ? r : outcome;
}

static int give_answer(struct shmp_rpc *rpc, uint64_t index, struct shmp_rpc_answer *ret_answer)
{
	struct shmp_rpc_slot *slot = own_slot(rpc, index);

	ret_answer->size = slot->answer_bytes;
	ret_answer->status = slot->status;
	ret_answer->data = shmp_rpc_answer_of(&rpc->view, slot);
	if (ret_answer->size > rpc->view.message_max)
		return -EBADMSG;
	rpc->given |= UINT64_C(1) << index;
	return SHMP_DONE;
}

static int look_at_call(struct shmp_rpc *rpc, uint64_t index, struct shmp_rpc_answer *ret_answer)
{
	uint64_t word = shmp_rpc_load(own_slot(rpc, index));

	ret_answer->id = shmp_rpc_id(index, rpc->numbers[index]);
	if (shmp_rpc_number_of(word) != rpc->numbers[index])
		return -EBADMSG;
	switch (shmp_rpc_state_of(word)) {
	case SHMP_RPC_OPEN:
	case SHMP_RPC_TAKEN:
		if (rpc->deadlines[index] != UINT64_MAX && shmp_clock_ns() >= rpc->deadlines[index])
			return closed_with(rpc, index, SHMP_RPC_TIMEOUT);
		return SHMP_EMPTY;
	case SHMP_RPC_DONE:
		return give_answer(rpc, index, ret_answer);
	case SHMP_RPC_DEAD:
		return closed_with(rpc, index, SHMP_PEER_DEAD);
	case SHMP_RPC_EXPIRED:
		return closed_with(rpc, index, SHMP_RPC_TIMEOUT);
	default:
		return -EBADMSG;
	}
}

/* The first that has come to anything, the oldest first. */
static int look_at_all(struct shmp_rpc *rpc, struct shmp_rpc_answer *ret_answer)
{
	uint64_t left = rpc->open & ~rpc->given;

	if (left == 0)
		return SHMP_RPC_STALE;
	while (left != 0) {
		uint64_t oldest = (uint64_t)__builtin_ctzll(left);
		int r;

		for (uint64_t rest = left; rest != 0; rest &= rest - 1) {
			uint64_t index = (uint64_t)__builtin_ctzll(rest);

			if (rpc->numbers[index] < rpc->numbers[oldest])
				oldest = index;
		}
		r = look_at_call(rpc, oldest, ret_answer);
		if (r != SHMP_EMPTY)
			return r;
		left &= ~(UINT64_C(1) << oldest);
	}
	return SHMP_EMPTY;
}

static int look_once(struct shmp_rpc *rpc, uint64_t id, struct shmp_rpc_answer *ret_answer)
{
	if (id == 0)
		return look_at_all(rpc, ret_answer);
	return is_own_call(rpc, id) ? look_at_call(rpc, id % 64, ret_answer) : SHMP_RPC_STALE;
}

/* One look at each place after the other. *ret_came: how many have ever come to them. */
static int look_at_each(const struct shmp_rpc_view *view, uint64_t *ret_came)
{
	int r = SHMP_EMPTY;

	*ret_came = 0;
	for (uint32_t i = 0; i < view->workers; i++) {
		/* [endpoint.S] acquire; pairs with shmp_endpoint_set_state */
		uint64_t word = atomic_load_explicit(&view->endpoints[i].state,
						     memory_order_acquire);
		enum shmp_endpoint_state state = shmp_endpoint_state_of(word);

		if (!shmp_endpoint_is_open(state))
			return SHMP_EMPTY;
		if (state == SHMP_ENDPOINT_DEAD)
			r = SHMP_PEER_DEAD;
		else if (state == SHMP_ENDPOINT_LEFT && r == SHMP_EMPTY)
			r = SHMP_PEER_LEFT;
		*ret_came += shmp_endpoint_incarnation_of(word);
	}
	return r;
}

/*
 * EMPTY while there is a worker, or was none yet; otherwise how the last ones went. One may have come
 * to a place that was looked at already while the last one died in another; so it is believed that
 * there is none if nobody has come between two looks.
 */
static int look_at_workers(const struct shmp_rpc_view *view)
{
	uint64_t came, came_since;
	int r = look_at_each(view, &came);

	if (r == SHMP_EMPTY)
		return SHMP_EMPTY;
	r = look_at_each(view, &came_since);
	return came == came_since ? r : SHMP_EMPTY;
}

int shmp_rpc_receive(struct shmp_rpc *rpc, uint64_t id, struct shmp_rpc_answer *ret_answer)
{
	int r = look_once(rpc, id, ret_answer), gone;

	if (r != SHMP_EMPTY)
		return r;
	gone = look_at_workers(&rpc->view);
	if (gone == SHMP_EMPTY)
		return SHMP_EMPTY;
	/* what they did before they went counts */
	r = look_once(rpc, id, ret_answer);
	if (r != SHMP_EMPTY)
		return r;
	ret_answer->id = 0;
	return gone;
}

uint64_t shmp_rpc_next_deadline(const struct shmp_rpc *rpc, uint64_t id)
{
	uint64_t next = UINT64_MAX;

	if (id != 0)
		return is_own_call(rpc, id) ? rpc->deadlines[id % 64] : UINT64_MAX;

	for (uint64_t rest = rpc->open & ~rpc->given; rest != 0; rest &= rest - 1) {
		uint64_t deadline = rpc->deadlines[__builtin_ctzll(rest)];

		next = deadline < next ? deadline : next;
	}
	return next;
}

/* Worker */

/* The oldest that @client has open; NULL: none. */
static struct shmp_rpc_slot *oldest_of(const struct shmp_rpc_view *view, uint32_t client,
				       uint64_t *ret_word, uint64_t *ret_slot)
{
	uint64_t calls = view->calls == 64 ? UINT64_MAX : (UINT64_C(1) << view->calls) - 1;
	uint64_t rest = shmp_rpc_load_mask(view, client) & calls;
	struct shmp_rpc_slot *oldest = NULL;

	for (; rest != 0; rest &= rest - 1) {
		uint64_t index = (uint64_t)client * view->calls + (uint64_t)__builtin_ctzll(rest);
		struct shmp_rpc_slot *slot = shmp_rpc_slot(view, index);
		uint64_t word = shmp_rpc_load(slot);

		if (shmp_rpc_state_of(word) != SHMP_RPC_OPEN ||
		    (oldest && shmp_rpc_number_of(word) > shmp_rpc_number_of(*ret_word)))
			continue;
		oldest = slot;
		*ret_word = word;
		*ret_slot = index;
	}
	return oldest;
}

/* It is this one's: whether there is anything to do about it. */
static bool is_worth_doing(struct shmp_rpc *rpc, struct shmp_rpc_slot *slot,
			   struct shmp_rpc_request *request)
{
	enum shmp_rpc_state state = SHMP_RPC_TAKEN;

	request->size = slot->request_bytes;
	request->deadline_ns = slot->deadline_ns;
	if (request->size > rpc->view.message_max)
		state = SHMP_RPC_DEAD;
	else if (request->deadline_ns != UINT64_MAX && shmp_clock_ns() >= request->deadline_ns)
		state = SHMP_RPC_EXPIRED;
	if (state == SHMP_RPC_TAKEN)
		return true;
	/* he does not wait for more than his own clock */
	if (!shmp_rpc_move(slot, request->word, shmp_rpc_turned(request->word, state)))
		shmp_rpc_move(slot, request->word - SHMP_RPC_TAKEN + SHMP_RPC_ORPHAN,
			      shmp_rpc_turned(request->word, SHMP_RPC_FREE));
	return false;
}

static bool take_of(struct shmp_rpc *rpc, uint32_t client, struct shmp_rpc_request *request)
{
	/* who loses so often has others who work */
	for (int i = 0; i < SHMP_RPC_ATTEMPTS; i++) {
		uint64_t word;
		struct shmp_rpc_slot *slot = oldest_of(&rpc->view, client, &word, &request->slot);

		if (!slot)
			return false;
		request->word = shmp_rpc_word(shmp_rpc_number_of(word), rpc->endpoint,
					      word & SHMP_RPC_REDELIVERED, SHMP_RPC_TAKEN);
		if (!shmp_rpc_move(slot, word, request->word) ||
		    !is_worth_doing(rpc, slot, request))
			continue;
		request->client = client;
		request->flags = (uint32_t)(word & SHMP_RPC_REDELIVERED);
		request->data = shmp_rpc_request_of(slot);
		request->room = shmp_rpc_answer_of(&rpc->view, slot);
		return true;
	}
	return false;
}

int shmp_rpc_take(struct shmp_rpc *rpc, struct shmp_rpc_request *ret_request)
{
	uint32_t client = rpc->client;

	for (uint32_t i = 0; i < rpc->view.clients; i++) {
		if (client >= rpc->view.clients)
			client = 0;
		if (take_of(rpc, client, ret_request)) {
			rpc->client = client + 1; /* the others first, next time */
			return SHMP_DONE;
		}
		client++;
	}
	return SHMP_EMPTY;
}

int shmp_rpc_answer(struct shmp_rpc *rpc, const struct shmp_rpc_request *request, int32_t status,
		    const void *data, uint64_t size)
{
	uint64_t taken = request->word, orphan = taken - SHMP_RPC_TAKEN + SHMP_RPC_ORPHAN, now;
	struct shmp_rpc_slot *slot;
	void *room;

	if (size > rpc->view.message_max)
		return SHMP_TOO_BIG;
	if (request->slot >= slots_of(&rpc->view) || shmp_rpc_state_of(taken) != SHMP_RPC_TAKEN ||
	    shmp_rpc_worker_of(taken) != rpc->endpoint)
		return SHMP_RPC_STALE;
	slot = shmp_rpc_slot(&rpc->view, request->slot);
	now = shmp_rpc_load(slot);
	if (now == orphan) {
		shmp_rpc_move(slot, orphan, shmp_rpc_turned(orphan, SHMP_RPC_FREE));
		return SHMP_RPC_STALE;
	}
	if (now != taken)
		return SHMP_RPC_STALE;
	room = shmp_rpc_answer_of(&rpc->view, slot);
	if (size != 0 && data != room)
		memcpy(room, data, size);
	slot->answer_bytes = size;
	slot->status = status;
	if (!shmp_rpc_move(slot, taken, shmp_rpc_turned(taken, SHMP_RPC_DONE))) {
		shmp_rpc_move(slot, orphan, shmp_rpc_turned(orphan, SHMP_RPC_FREE));
		return SHMP_RPC_STALE;
	}
	shmp_endpoint_count(&rpc->self->items, 1);
	shmp_endpoint_count(&rpc->self->bytes, size);
	return SHMP_DONE;
}

/* Telling */

void shmp_rpc_tell_workers(struct shmp_rpc *rpc, shmp_ring_fn ring, void *ringer)
{
	shmp_waiter_notify_all(&rpc->view.control->requests, rpc->view.endpoints, rpc->view.workers,
			       &rpc->telling, rpc->ringing, ring, ringer);
}

void shmp_rpc_tell_client(struct shmp_rpc *rpc, uint32_t client, shmp_ring_fn ring, void *ringer)
{
	uint32_t endpoint = rpc->view.workers + client;

	shmp_waiter_notify(&rpc->view.answers[client], rpc->view.endpoints, endpoint,
			   &rpc->ringing[endpoint], ring, ringer);
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
	for (uint64_t slot = 0; segment->data && slot < slots_of(&view); slot++)
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
	for (uint64_t slot = 0; slot < slots_of(&view); slot++) {
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

/* What a dead worker had in hand. */
static void repair_held(const struct shmp_rpc_view *view, struct shmp_rpc_slot *slot,
			uint32_t worker)
{
	/* its client may give it up meanwhile, once */
	for (int i = 0; i < 2; i++) {
		uint64_t word = shmp_rpc_load(slot);

		if (!is_held(word) || shmp_rpc_worker_of(word) != worker)
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

static void repair_worker(const struct shmp_rpc_view *view, uint32_t worker)
{
	for (uint64_t slot = 0; slot < slots_of(view); slot++)
		repair_held(view, shmp_rpc_slot(view, slot), worker);
	shmp_waiter_finish(&view->control->requests, worker);
}

static void repair_client(const struct shmp_rpc_view *view, uint32_t client)
{
	for (uint64_t i = 0; i < view->calls; i++) {
		struct shmp_rpc_slot *slot = shmp_rpc_slot(view,
							   (uint64_t)client * view->calls + i);
		uint64_t word = shmp_rpc_load(slot);
		enum shmp_rpc_state state = shmp_rpc_state_of(word);

		if (state != SHMP_RPC_FREE && state != SHMP_RPC_ORPHAN &&
		    end_call(slot, shmp_rpc_number_of(word)))
			count_one(&view->control->dropped);
	}
	shmp_waiter_finish(&view->answers[client], view->workers + client);
}

static int rpc_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	struct shmp_rpc_view view;

	(void)died; /* who left in good order may have had something in hand as well */
	shmp_rpc_view(segment, &view);
	if (endpoint < view.workers)
		repair_worker(&view, endpoint);
	else
		repair_client(&view, endpoint - view.workers);
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
	struct shmp_rpc_slot head;
	bool is_done = shmp_rpc_state_of(word) == SHMP_RPC_DONE;
	uint64_t size;

	shmp_look_copy(&head, slot, sizeof(head));
	size = is_done ? head.answer_bytes : head.request_bytes;
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
	if (look->from > slots_of(&view))
		look->from = slots_of(&view);
	for (; look->from < slots_of(&view) && shown < look->max; look->from++) {
		struct shmp_rpc_slot *slot = shmp_rpc_slot(&view, look->from);
		uint64_t word = shmp_rpc_load(slot);
		struct shmp_item item;
		int r;

		if (shmp_rpc_state_of(word) == SHMP_RPC_FREE)
			continue;
		describe_call(&view, look->from, word, look, &item);
		/* the copy comes before the second look */
		atomic_thread_fence(memory_order_acquire); /* [W] fence; pairs with shmp_rpc_put */
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
	.figures = rpc_figures,
	.look = rpc_look,
};
