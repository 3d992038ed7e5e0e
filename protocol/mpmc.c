/* mpmc: what is not on the fast path, and the broker's side. See mpmc.h. */
#include "protocol/mpmc.h"

#define SLOTS_MIN	UINT64_C(2)
#define SLOTS_MAX	(UINT64_C(1) << 32)
#define MESSAGE_MAX_MAX (UINT64_C(1) << 31)
#define DATA_BYTES_MAX	(UINT64_C(1) << 40)
#define PAYLOAD_AT	offsetof(struct shmp_mpmc_slot, payload)

static uint64_t lap_of(uint64_t word)
{
	return word >> 11;
}

static enum shmp_mpmc_state state_of(uint64_t word)
{
	return (enum shmp_mpmc_state)(word >> 8 & 7);
}

static uint64_t load_intent(const struct shmp_endpoint *endpoint, enum shmp_mpmc_side side)
{
	/* [I] acquire; pairs with shmp_mpmc_intend */
	return atomic_load_explicit(&endpoint->intent[side], memory_order_acquire);
}

static uint64_t load_epoch(const struct shmp_mpmc_control *control)
{
	/* [E] acquire; pairs with hand_back */
	return atomic_load_explicit(&control->epoch, memory_order_acquire);
}

/* Whether @word is what the slot of @position said a lap before. */
static bool is_lap_before(const struct shmp_mpmc *queue, uint64_t position, uint64_t word)
{
	uint64_t lap = position - shmp_mpmc_place(queue, position);

	return lap_of(word) + queue->slot_count == lap;
}

int shmp_mpmc_no_room(const struct shmp_mpmc *queue, uint64_t tail, uint64_t word)
{
	if (shmp_mpmc_load_tail(queue) != tail)
		return SHMP_DONE;
	return is_lap_before(queue, tail >> 8, word) ? SHMP_FULL : -EBADMSG;
}

/* Whoever wins the tombstone at @head frees its slot and counts it. */
static void skip_tomb(struct shmp_mpmc *queue, uint64_t head, uint64_t lap)
{
	uint64_t place = shmp_mpmc_place(queue, head >> 8);

	if (!shmp_mpmc_claim_head(queue, head))
		return;
	shmp_mpmc_settle(shmp_mpmc_slot(queue, place), shmp_mpmc_about(head, SHMP_MPMC_NO_MESSAGE),
			 shmp_mpmc_open(lap + queue->slot_count, SHMP_MPMC_FREE));
	/* relaxed: a statistic */
	atomic_fetch_add_explicit(&queue->control->tombs, 1, memory_order_relaxed);
	if (shmp_mpmc_producers_wait(queue))
		shmp_waiter_wake_all(&queue->control->not_full);
}

int shmp_mpmc_nothing(struct shmp_mpmc *queue, uint64_t head, uint64_t word)
{
	uint64_t lap = (head >> 8) - shmp_mpmc_place(queue, head >> 8);

	if (shmp_mpmc_load_head(queue) != head)
		return SHMP_DONE;
	if (word == shmp_mpmc_open(lap, SHMP_MPMC_TOMB)) {
		skip_tomb(queue, head, lap);
		return SHMP_DONE;
	}
	if (word == shmp_mpmc_open(lap, SHMP_MPMC_FREE))
		return SHMP_EMPTY;
	/* still in another consumer's hands since the lap before: nothing can be published yet */
	return is_lap_before(queue, head >> 8, word) ? SHMP_EMPTY : -EBADMSG;
}

int shmp_mpmc_too_big(const struct shmp_mpmc *queue, uint64_t head, uint64_t size,
		      struct shmp_mpmc_message *ret_message)
{
	if (shmp_mpmc_load_head(queue) != head)
		return SHMP_DONE;
	if (size > queue->message_max)
		return -EBADMSG;
	ret_message->size = size;
	return SHMP_TOO_BIG;
}

/* Takes what repair left in the slot at @place. DONE, EMPTY when another was faster, TOO_BIG. */
static int retake(struct shmp_mpmc *queue, uint64_t place, uint64_t word, uint64_t size_max,
		  struct shmp_mpmc_claim *ret_claim, struct shmp_mpmc_message *ret_message)
{
	struct shmp_mpmc_slot *slot = shmp_mpmc_slot(queue, place);
	uint64_t about = shmp_mpmc_load_about(slot);
	uint64_t size = shmp_mpmc_size_of(about);
	uint64_t lap = lap_of(word);
	uint64_t intent = shmp_mpmc_index_word(lap + place, 0);

	if (size > size_max) {
		if (shmp_mpmc_load_slot(slot) != word)
			return SHMP_EMPTY;
		if (size > queue->message_max)
			return -EBADMSG;
		ret_message->size = size;
		return SHMP_TOO_BIG;
	}
	shmp_mpmc_intend(queue, SHMP_MPMC_POPPING,
			 intent | SHMP_MPMC_INTENDED | SHMP_MPMC_RETAKING);
	if (!shmp_mpmc_move(slot, word, shmp_mpmc_word(lap, SHMP_MPMC_TAKEN, queue->endpoint)))
		return SHMP_EMPTY;
	/* the first taker's about stays: the chain was written with it */
	*ret_claim = (struct shmp_mpmc_claim){ slot, lap, about };
	*ret_message = (struct shmp_mpmc_message){ slot->payload, size, SHMP_MPMC_REDELIVERED };
	return SHMP_DONE;
}

int shmp_mpmc_scan(struct shmp_mpmc *queue, uint64_t size_max, struct shmp_mpmc_claim *ret_claim,
		   struct shmp_mpmc_message *ret_message)
{
	/* before the scan, so that a later raise is seen at the next pop */
	uint64_t epoch = load_epoch(queue->control);

	for (uint64_t i = 0; i < queue->slot_count; i++) {
		uint64_t word = shmp_mpmc_load_slot(shmp_mpmc_slot(queue, i));
		int r = SHMP_EMPTY;

		if (word == shmp_mpmc_open(lap_of(word), SHMP_MPMC_REDELIVER))
			r = retake(queue, i, word, size_max, ret_claim, ret_message);
		if (r != SHMP_EMPTY)
			return r;
	}
	queue->epoch = epoch;
	return SHMP_EMPTY;
}

void shmp_mpmc_pass_on(struct shmp_mpmc *queue, shmp_ring_fn ring, void *ringer)
{
	uint64_t head = shmp_mpmc_load_head(queue) >> 8;
	uint64_t place = shmp_mpmc_place(queue, head);

	if (shmp_mpmc_load_slot(shmp_mpmc_slot(queue, place)) ==
	    shmp_mpmc_open(head - place, SHMP_MPMC_READY))
		shmp_mpmc_tell_consumers(queue, ring, ringer);
}

static uint64_t slot_bytes_of(const uint64_t *option)
{
	uint64_t checksum = option[SHMP_MPMC_CHECKSUM] != 0 ? sizeof(uint64_t) : 0;

	return shmp_round_up(PAYLOAD_AT + option[SHMP_MPMC_MESSAGE_BYTES_MAX] + checksum,
			     SHMP_LINE);
}

uint64_t shmp_mpmc_slot_bytes(const struct shmp_plan *plan)
{
	return slot_bytes_of(plan->option);
}

/* Shorter messages than this are moved quickly, which needs a mask. */
static uint64_t quick_limit_of(uint64_t mask, uint64_t message_max)
{
	if (mask == 0)
		return 0;
	return (message_max < SHMP_MPMC_QUICK_MAX ? message_max : SHMP_MPMC_QUICK_MAX) + 1;
}

/* What the moves need, from the plan alone. */
static void view(const struct shmp_segment *segment, uint32_t endpoint, struct shmp_mpmc *ret_queue)
{
	const uint64_t *option = segment->plan.option;
	uint64_t count = option[SHMP_MPMC_SLOTS];
	uint64_t mask = (count & (count - 1)) == 0 ? count - 1 : 0;

	*ret_queue = (struct shmp_mpmc){
		.slots = segment->data,
		.control = segment->control,
		.self = &segment->endpoints[endpoint],
		.slot_count = count,
		.slot_bytes = slot_bytes_of(option),
		.mask = mask,
		.message_max = option[SHMP_MPMC_MESSAGE_BYTES_MAX],
		.quick_limit = quick_limit_of(mask, option[SHMP_MPMC_MESSAGE_BYTES_MAX]),
		.redelivers = option[SHMP_MPMC_REDELIVERY] != 0,
		.step = endpoint + UINT64_C(2),
		.endpoint = endpoint,
		.words = shmp_waiter_words(segment->plan.endpoint_count),
		.endpoints = segment->endpoints,
		.endpoint_count = segment->plan.endpoint_count,
	};
}

/* Counts */

static struct shmp_mpmc_tally *tally_of(const struct shmp_segment *segment, uint32_t endpoint)
{
	struct shmp_mpmc_control *control = segment->control;

	return (struct shmp_mpmc_tally *)(void *)(control + 1) + endpoint;
}

/* A statistic that others write, or wrote; hostile ones may make it run backwards. */
static uint64_t load_counter(const _Atomic uint64_t *counter)
{
	/* relaxed: right for some moment, nothing follows from it */
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* What all holders of the place moved, in whatever role. */
static void load_totals(const struct shmp_endpoint *place, uint64_t *ret_totals)
{
	ret_totals[SHMP_MPMC_ITEMS] = load_counter(&place->items);
	ret_totals[SHMP_MPMC_BYTES] = load_counter(&place->bytes);
	ret_totals[SHMP_MPMC_REFUSED] = load_counter(&place->refused);
	/* relaxed: as load_counter */
	ret_totals[SHMP_MPMC_WAITS] = atomic_load_explicit(&place->waits, memory_order_relaxed);
}

/* The role of the place's last holder, or -1. */
static int role_of(const struct shmp_endpoint *place)
{
	uint64_t cursor = load_counter(&place->cursor);

	return cursor == SHMP_MPMC_PRODUCER + 1 || cursor == SHMP_MPMC_CONSUMER + 1 ?
		       (int)cursor - 1 :
		       -1;
}

void shmp_mpmc_count_endpoint(const struct shmp_segment *segment, uint32_t endpoint,
			      enum shmp_mpmc_role role, struct shmp_mpmc_counts *ret_counts)
{
	const struct shmp_endpoint *place = &segment->endpoints[endpoint];
	const struct shmp_mpmc_tally *tally = tally_of(segment, endpoint);
	int now = role_of(place);
	uint64_t totals[SHMP_MPMC_COUNTERS];

	*ret_counts = (struct shmp_mpmc_counts){ { 0 } };
	if (now < 0)
		return;
	load_totals(place, totals);
	for (int i = 0; i < SHMP_MPMC_COUNTERS; i++) {
		uint64_t others = load_counter(&tally->others[now][i]);

		ret_counts->of[i] = now == (int)role ? minus(totals[i], others) : others;
	}
}

void shmp_mpmc_count_role(const struct shmp_segment *segment, enum shmp_mpmc_role role,
			  struct shmp_mpmc_counts *ret_counts)
{
	struct shmp_mpmc_counts sum = { { 0 } }, one;

	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++) {
		shmp_mpmc_count_endpoint(segment, i, role, &one);
		for (int k = 0; k < SHMP_MPMC_COUNTERS; k++)
			sum.of[k] += one.of[k];
	}
	*ret_counts = sum;
}

/* The new holder's, before he counts anything: what was counted stays whose it was. */
static void take_role(const struct shmp_segment *segment, uint32_t endpoint,
		      enum shmp_mpmc_role role)
{
	struct shmp_endpoint *place = &segment->endpoints[endpoint];
	struct shmp_mpmc_tally *tally = tally_of(segment, endpoint);
	struct shmp_mpmc_counts others;

	if (role_of(place) == (int)role)
		return;
	shmp_mpmc_count_endpoint(
		segment, endpoint,
		role == SHMP_MPMC_PRODUCER ? SHMP_MPMC_CONSUMER : SHMP_MPMC_PRODUCER, &others);
	for (int i = 0; i < SHMP_MPMC_COUNTERS; i++)
		/* relaxed: not looked at before the role has changed */
		atomic_store_explicit(&tally->others[role][i], others.of[i], memory_order_relaxed);
	/* keeps the compiler from changing the role first, lest a death in between mix them up */
	atomic_signal_fence(memory_order_seq_cst); /* [I] fence; for the dead, program order */
	/* relaxed: as above */
	atomic_store_explicit(&place->cursor, role + UINT64_C(1), memory_order_relaxed);
}

int shmp_mpmc_attach(const struct shmp_segment *segment, uint32_t endpoint,
		     enum shmp_mpmc_role role, struct shmp_mpmc *ret_queue)
{
	const char *why;
	int r = shmp_mpmc_kind.validate(segment, &why);

	if (r < 0)
		return r;
	take_role(segment, endpoint, role);
	view(segment, endpoint, ret_queue);
	/* one behind, so that the first pop scans */
	ret_queue->epoch = load_epoch(ret_queue->control) - 1;
	return 0;
}

/* The broker's side */

static int mpmc_plan(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why)
{
	uint64_t slots = option[SHMP_MPMC_SLOTS];
	uint64_t message_max = option[SHMP_MPMC_MESSAGE_BYTES_MAX];
	uint64_t endpoints = option[SHMP_MPMC_ENDPOINTS_MAX];

	if (slots > DATA_BYTES_MAX / slot_bytes_of(option)) {
		*ret_why = "slots of message_bytes_max make more than 2^40 bytes";
		return SHMP_MPMC_SLOTS + 1;
	}
	*ret_plan = (struct shmp_plan){
		.data_bytes = shmp_round_up(slots * slot_bytes_of(option), SHMP_PAGE),
		.control_bytes = shmp_round_up(sizeof(struct shmp_mpmc_control) +
						       endpoints * sizeof(struct shmp_mpmc_tally),
					       2 * SHMP_LINE),
		.endpoint_count = (uint32_t)endpoints,
		.option = { [SHMP_MPMC_SLOTS] = slots,
			    [SHMP_MPMC_MESSAGE_BYTES_MAX] = message_max,
			    [SHMP_MPMC_ENDPOINTS_MAX] = endpoints,
			    [SHMP_MPMC_REDELIVERY] = option[SHMP_MPMC_REDELIVERY],
			    [SHMP_MPMC_CHECKSUM] = option[SHMP_MPMC_CHECKSUM] },
	};
	ret_plan->ctl_bytes = shmp_segment_ctl_bytes(ret_plan);
	return 0;
}

static void mpmc_init(const struct shmp_segment *segment)
{
	/* All zero is an empty queue: every slot FREE in lap 0, nobody's claim before it. */
	(void)segment;
}

static int mpmc_validate(const struct shmp_segment *segment, const char **ret_why)
{
	struct shmp_mpmc queue;
	uint64_t head, tail;

	view(segment, 0, &queue);
	/* head first: tail only grows meanwhile, and cannot be more than the slots ahead of head */
	head = shmp_mpmc_load_head(&queue) >> 8;
	tail = shmp_mpmc_load_tail(&queue) >> 8;
	if (head > tail)
		*ret_why = "more messages were taken than sent";
	else if (shmp_mpmc_load_head(&queue) >> 8 == head && tail - head > queue.slot_count)
		*ret_why = "more messages are there than slots";
	else
		return 0;
	return -EBADMSG;
}

static void mpmc_attach(const struct shmp_segment *segment, uint32_t endpoint)
{
	struct shmp_endpoint *self = &segment->endpoints[endpoint];

	for (int side = 0; side < SHMP_INTENTS; side++)
		/* [I] release; pairs with load_intent */
		atomic_store_explicit(&self->intent[side], 0, memory_order_release);
	/* relaxed: the place is nobody's; the state's release publishes it to the new owner */
	atomic_store_explicit(&self->park_key, 0, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&self->doorbell, 0, memory_order_relaxed);
}

/* Whose claims: those of producers or those of consumers. */
static uint64_t load_index(const struct shmp_mpmc *queue, enum shmp_mpmc_side side)
{
	return side == SHMP_MPMC_PUSHING ? shmp_mpmc_load_tail(queue) : shmp_mpmc_load_head(queue);
}

/* Whether the claim of @position is over or handed on, so that its about names the owner before. */
static bool is_settled(const struct shmp_mpmc *queue, enum shmp_mpmc_side side, uint64_t position,
		       uint64_t word)
{
	uint64_t lap = position - shmp_mpmc_place(queue, position);
	enum shmp_mpmc_state state = state_of(word);

	if (side == SHMP_MPMC_PUSHING)
		return word >> 11 == lap && state != SHMP_MPMC_FREE;
	return word == shmp_mpmc_open(lap + queue->slot_count, SHMP_MPMC_FREE) ||
	       (word >> 11 == lap && (state == SHMP_MPMC_REDELIVER || state == SHMP_MPMC_TAKEN));
}

static bool told_by_slot(const struct shmp_mpmc *queue, enum shmp_mpmc_side side, uint64_t position,
			 uint64_t *ret_owner)
{
	const struct shmp_mpmc_slot *slot = shmp_mpmc_slot(queue, shmp_mpmc_place(queue, position));

	if (!is_settled(queue, side, position, shmp_mpmc_load_slot(slot)))
		return false;
	*ret_owner = shmp_mpmc_owner_before(shmp_mpmc_load_about(slot));
	return true;
}

static bool told_by_intent(const struct shmp_mpmc *queue, enum shmp_mpmc_side side,
			   uint64_t position, uint64_t *ret_owner)
{
	uint64_t wanted = shmp_mpmc_index_word(position, 0) | SHMP_MPMC_INTENDED;

	for (uint32_t i = 0; i < queue->endpoint_count; i++) {
		uint64_t intent = load_intent(&queue->endpoints[i], side);

		if ((intent & ~UINT64_C(0xff)) == wanted) {
			*ret_owner = intent & 0xff;
			return true;
		}
	}
	return false;
}

/*
 * Endpoint + 1 of who claimed @position, 0 for nobody. It counts only if the slot of @position
 * still is as it was when looked at again.
 */
static uint64_t owner_of(const struct shmp_mpmc *queue, enum shmp_mpmc_side side, uint64_t position)
{
	uint64_t index = load_index(queue, side);
	uint64_t owner;

	if (index >> 8 <= position)
		return 0;
	if (index >> 8 == position + 1)
		return index & 0xff;
	if (told_by_slot(queue, side, position + 1, &owner) ||
	    told_by_intent(queue, side, position + 1, &owner) ||
	    told_by_slot(queue, side, position + 1, &owner))
		return owner;
	return 0;
}

int64_t shmp_mpmc_owner(const struct shmp_segment *segment, enum shmp_mpmc_side side,
			uint64_t position)
{
	struct shmp_mpmc queue;
	uint64_t owner;

	view(segment, 0, &queue);
	owner = owner_of(&queue, side, position);
	return owner <= queue.endpoint_count ? (int64_t)owner - 1 : -1;
}

/* Whether @word, of the slot of @position, is that of a claim that is not over. */
static bool is_claimable(enum shmp_mpmc_side side, uint64_t lap, uint64_t word)
{
	if (side == SHMP_MPMC_PUSHING)
		return word == shmp_mpmc_open(lap, SHMP_MPMC_FREE);
	return word == shmp_mpmc_open(lap, SHMP_MPMC_READY) ||
	       word == shmp_mpmc_open(lap, SHMP_MPMC_TOMB);
}

/* What an unfinished claim becomes when its owner is gone. */
static uint64_t given_back(const struct shmp_mpmc *queue, uint64_t lap, uint64_t word)
{
	switch (state_of(word)) {
	case SHMP_MPMC_FREE:
		return shmp_mpmc_open(lap, SHMP_MPMC_TOMB);
	case SHMP_MPMC_READY:
		if (queue->redelivers)
			return shmp_mpmc_open(lap, SHMP_MPMC_REDELIVER);
		return shmp_mpmc_open(lap + queue->slot_count, SHMP_MPMC_FREE);
	default: /* TOMB */
		return shmp_mpmc_open(lap + queue->slot_count, SHMP_MPMC_FREE);
	}
}

/* The dead one's claim, if he won it and it is not over. */
static void repair_claim(struct shmp_mpmc *queue, enum shmp_mpmc_side side, uint64_t index)
{
	uint64_t position = index >> 8;
	uint64_t place = shmp_mpmc_place(queue, position);
	struct shmp_mpmc_slot *slot = shmp_mpmc_slot(queue, place);
	uint64_t lap = position - place;
	uint64_t word = shmp_mpmc_load_slot(slot);
	uint64_t size;

	if (!is_claimable(side, lap, word) ||
	    owner_of(queue, side, position) != queue->endpoint + UINT64_C(1) ||
	    shmp_mpmc_load_slot(slot) != word)
		return;
	size = side == SHMP_MPMC_PUSHING ? SHMP_MPMC_NO_MESSAGE :
					   shmp_mpmc_size_of(shmp_mpmc_load_about(slot));
	/* [A] release; pairs with shmp_mpmc_load_about */
	atomic_store_explicit(&slot->about, shmp_mpmc_about(index, size), memory_order_release);
	if (shmp_mpmc_move(slot, word, given_back(queue, lap, word)) &&
	    state_of(word) == SHMP_MPMC_READY && !queue->redelivers)
		/* relaxed: a statistic; one too few where the broker dies right here */
		atomic_fetch_add_explicit(&queue->control->dropped, 1, memory_order_relaxed);
}

/* What the dead one took of what an earlier repair had handed back. */
static void repair_retake(struct shmp_mpmc *queue, uint64_t position)
{
	uint64_t place = shmp_mpmc_place(queue, position);
	uint64_t lap = position - place;

	shmp_mpmc_move(shmp_mpmc_slot(queue, place),
		       shmp_mpmc_word(lap, SHMP_MPMC_TAKEN, queue->endpoint),
		       shmp_mpmc_open(lap, SHMP_MPMC_REDELIVER));
}

static void repair_intent(struct shmp_mpmc *queue, enum shmp_mpmc_side side, uint64_t intent)
{
	uint64_t index = intent & ~(SHMP_MPMC_INTENDED | SHMP_MPMC_RETAKING);

	if (side == SHMP_MPMC_POPPING && (intent & SHMP_MPMC_RETAKING) != 0)
		repair_retake(queue, index >> 8);
	else if ((intent & SHMP_MPMC_INTENDED) != 0)
		repair_claim(queue, side, index);
}

/* Tells consumers of what stands at the position of the dead one's intent, if that is for them. */
static void hand_back(struct shmp_mpmc *queue, uint64_t intent)
{
	uint64_t position = (intent & ~(SHMP_MPMC_INTENDED | SHMP_MPMC_RETAKING)) >> 8;
	uint64_t place = shmp_mpmc_place(queue, position);

	/* also when this run changed nothing: one before it may have been killed right there */
	if (shmp_mpmc_load_slot(shmp_mpmc_slot(queue, place)) ==
	    shmp_mpmc_open(position - place, SHMP_MPMC_REDELIVER))
		/* [E] acq_rel; pairs with shmp_mpmc_must_scan */
		atomic_fetch_add_explicit(&queue->control->epoch, 1, memory_order_acq_rel);
}

static int mpmc_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	const struct shmp_endpoint *self = &segment->endpoints[endpoint];
	uint64_t pushing = load_intent(self, SHMP_MPMC_PUSHING);
	uint64_t popping = load_intent(self, SHMP_MPMC_POPPING);
	struct shmp_mpmc queue;

	(void)died; /* who left in good order may have had something in hand as well */
	view(segment, endpoint, &queue);
	repair_intent(&queue, SHMP_MPMC_PUSHING, pushing);
	repair_intent(&queue, SHMP_MPMC_POPPING, popping);
	hand_back(&queue, popping);
	shmp_waiter_finish(&queue.control->not_empty, endpoint);
	shmp_waiter_finish(&queue.control->not_full, endpoint);
	/* the intents last: until then, repair is repeated */
	mpmc_attach(segment, endpoint);
	return 0;
}

static void mpmc_wake(const struct shmp_segment *segment)
{
	struct shmp_mpmc_control *control = segment->control;

	shmp_waiter_wake_all(&control->not_empty);
	shmp_waiter_wake_all(&control->not_full);
}

static bool mpmc_waits(const struct shmp_segment *segment, uint32_t endpoint)
{
	const struct shmp_mpmc_control *control = segment->control;

	return shmp_waiter_is_set(&control->not_empty, endpoint) ||
	       shmp_waiter_is_set(&control->not_full, endpoint);
}

static void mpmc_require_pieces(const struct shmp_segment *segment)
{
	struct shmp_mpmc_control *control = segment->control;

	shmp_waiter_require_pieces(&control->not_empty);
	shmp_waiter_require_pieces(&control->not_full);
}

static int mpmc_require_fence(const struct shmp_segment *segment)
{
	struct shmp_mpmc_control *control = segment->control;
	int r = shmp_waiter_require_fence(&control->not_empty);

	return r < 0 ? r : shmp_waiter_require_fence(&control->not_full);
}

uint64_t shmp_mpmc_depth(const struct shmp_segment *segment)
{
	struct shmp_mpmc queue;
	uint64_t head;

	view(segment, 0, &queue);
	head = shmp_mpmc_load_head(&queue) >> 8;
	return minus(shmp_mpmc_load_tail(&queue) >> 8, head);
}

static void mpmc_figures(const struct shmp_segment *segment, shmp_figure_fn figure, void *context)
{
	const struct shmp_mpmc_control *control = segment->control;
	struct shmp_mpmc_counts pushed, popped;
	int64_t holder;

	shmp_mpmc_count_role(segment, SHMP_MPMC_CONSUMER, &popped);
	shmp_mpmc_count_role(segment, SHMP_MPMC_PRODUCER, &pushed);
	figure(context, "depth_messages", shmp_mpmc_depth(segment));
	figure(context, "slots", segment->plan.option[SHMP_MPMC_SLOTS]);
	figure(context, "pushed_messages", pushed.of[SHMP_MPMC_ITEMS]);
	figure(context, "popped_messages", popped.of[SHMP_MPMC_ITEMS]);
	figure(context, "push_refused", pushed.of[SHMP_MPMC_REFUSED]);
	figure(context, "pop_refused", popped.of[SHMP_MPMC_REFUSED]);
	figure(context, "tombstones", load_counter(&control->tombs));
	figure(context, "dropped_messages", load_counter(&control->dropped));
	holder = shmp_mpmc_holder(segment, SHMP_MPMC_PUSHING);
	if (holder >= 0)
		figure(context, "unpublished_by_endpoint", (uint64_t)holder);
	holder = shmp_mpmc_holder(segment, SHMP_MPMC_POPPING);
	if (holder >= 0)
		figure(context, "unreleased_by_endpoint", (uint64_t)holder);
}

static const struct shmp_role mpmc_roles[] = {
	[SHMP_MPMC_PRODUCER] = { .name = "producer",
				 .ctl = SHMP_ACCESS_WRITE,
				 .data = SHMP_ACCESS_WRITE,
				 .writes = true },
	/* a consumer hands slots back, so it writes them, too */
	[SHMP_MPMC_CONSUMER] = { .name = "consumer",
				 .ctl = SHMP_ACCESS_WRITE,
				 .data = SHMP_ACCESS_WRITE },
	[SHMP_MPMC_OBSERVER] = SHMP_ROLE_OBSERVER,
};

static const struct shmp_option mpmc_options[] = {
	[SHMP_MPMC_SLOTS] = { .name = "slots",
			      .help = "messages it holds at most",
			      .min = SLOTS_MIN,
			      .max = SLOTS_MAX,
			      .preset = 1024 },
	[SHMP_MPMC_MESSAGE_BYTES_MAX] = { .name = "message_bytes_max",
					  .help = "largest message",
					  .min = 1,
					  .max = MESSAGE_MAX_MAX,
					  .preset = 48 },
	[SHMP_MPMC_ENDPOINTS_MAX] = { .name = "endpoints_max",
				      .help = "producers and consumers together",
				      .min = 2,
				      .max = SHMP_ENDPOINTS_MAX,
				      .preset = 64 },
	[SHMP_MPMC_REDELIVERY] = { .name = "redelivery",
				   .help = "1: what a consumer died with goes to another, 0: is lost",
				   .min = 0,
				   .max = 1,
				   .preset = 1 },
	[SHMP_MPMC_CHECKSUM] = { .name = "checksum",
				 .help = "1: messages carry a checksum, damaged ones are skipped",
				 .min = 0,
				 .max = 1,
				 .preset = 0 },
};

const struct shmp_kind shmp_mpmc_kind = {
	.name = "mpmc",
	.id = 2,
	.version = SHMP_MPMC_VERSION,
	.streams = true,
	.roles = mpmc_roles,
	.role_count = sizeof(mpmc_roles) / sizeof(mpmc_roles[0]),
	.options = mpmc_options,
	.option_count = sizeof(mpmc_options) / sizeof(mpmc_options[0]),
	.plan = mpmc_plan,
	.init = mpmc_init,
	.validate = mpmc_validate,
	.attach = mpmc_attach,
	.repair = mpmc_repair,
	.wake = mpmc_wake,
	.waits = mpmc_waits,
	.require_fence = mpmc_require_fence,
	.require_pieces = mpmc_require_pieces,
	.holds = shmp_mpmc_holds,
	.waits_for = shmp_mpmc_waits_for,
	.figures = mpmc_figures,
	.look = shmp_mpmc_look,
};
