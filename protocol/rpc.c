/* rpc: the moves of clients and workers. See rpc.h. */
#include "protocol/rpc.h"

/* The client's slot @slot of his own. */
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
	*ret_rpc = (struct shmp_rpc){
		.self = &segment->endpoints[endpoint],
		.endpoint = endpoint,
		.incarnation = shmp_endpoint_incarnation(&segment->endpoints[endpoint]),
		.attention = shmp_waiter_words(segment->plan.endpoint_count),
	};
	shmp_rpc_view(segment, &ret_rpc->view);
	ret_rpc->name = shmp_rpc_name(endpoint, ret_rpc->incarnation);
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
	/* relaxed: the word publishes it */
	atomic_store_explicit(&slot->deadline_ns, deadline_ns, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&slot->request_bytes, size, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&slot->caller, (uint32_t)rpc->incarnation, memory_order_relaxed);
	rpc->filling = 0;
	rpc->number = rpc->number == SHMP_RPC_NUMBER_MAX ? 1 : rpc->number + 1;
	rpc->numbers[index] = rpc->number;
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

bool shmp_rpc_end(struct shmp_rpc_slot *slot, uint64_t number)
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
	return shmp_rpc_end(own_slot(rpc, index), rpc->numbers[index]) ? SHMP_DONE : -EBADMSG;
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

	/* relaxed: the word published it; once, since a hostile worker may change it */
	ret_answer->size = atomic_load_explicit(&slot->answer_bytes, memory_order_relaxed);
	/* relaxed: as above */
	ret_answer->status = atomic_load_explicit(&slot->status, memory_order_relaxed);
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

static bool has_worker(const struct shmp_rpc_view *view)
{
	for (uint32_t i = 0; i < view->workers; i++)
		if (shmp_endpoint_look(&view->endpoints[i]) == SHMP_ENDPOINT_ACTIVE)
			return true;
	return false;
}

int shmp_rpc_meet(const struct shmp_rpc *rpc)
{
	if (has_worker(&rpc->view))
		return SHMP_DONE;
	/* who has come and gone again meanwhile may have done something */
	for (uint64_t rest = rpc->open & ~rpc->given; rest != 0; rest &= rest - 1) {
		uint64_t word = shmp_rpc_load(own_slot(rpc, (uint64_t)__builtin_ctzll(rest)));

		if (shmp_rpc_state_of(word) != SHMP_RPC_OPEN &&
		    shmp_rpc_state_of(word) != SHMP_RPC_TAKEN)
			return SHMP_DONE;
	}
	return SHMP_EMPTY;
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

	/* relaxed: the word published it; once, since a hostile client may change it */
	request->size = atomic_load_explicit(&slot->request_bytes, memory_order_relaxed);
	/* relaxed: as above */
	request->deadline_ns = atomic_load_explicit(&slot->deadline_ns, memory_order_relaxed);
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
		request->word = shmp_rpc_word(shmp_rpc_number_of(word), rpc->name,
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
	if (request->slot >= shmp_rpc_slots(&rpc->view) ||
	    shmp_rpc_state_of(taken) != SHMP_RPC_TAKEN || (taken & SHMP_RPC_NAME) != rpc->name)
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
	/* relaxed: the word publishes it */
	atomic_store_explicit(&slot->answer_bytes, size, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&slot->status, status, memory_order_relaxed);
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
