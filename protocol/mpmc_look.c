/*
 * mpmc: what is in it, for who only looks. A slot's word holds for one position: a payload is whole
 * if the word said so before the copy and says the same after it. A message that was taken is whole
 * as long as nobody has claimed its slot again, which tail tells.
 */
#include "protocol/mpmc.h"

struct view {
	const struct shmp_segment *segment;
	const struct shmp_mpmc_control *control;
	uint64_t slots;
	uint64_t slot_bytes;
	uint64_t message_max;
};

/* How one slot was found. */
struct found {
	const struct shmp_mpmc_slot *slot;
	uint64_t word;
	uint64_t lap; /* of the position that is looked for */
};

static struct view view_of(const struct shmp_segment *segment)
{
	return (struct view){
		.segment = segment,
		.control = segment->control,
		.slots = segment->plan.option[SHMP_MPMC_SLOTS],
		.slot_bytes = shmp_mpmc_slot_bytes(&segment->plan),
		.message_max = segment->plan.option[SHMP_MPMC_MESSAGE_BYTES_MAX],
	};
}

static uint64_t position_of(const _Atomic uint64_t *index)
{
	/* [mpmc.T] acquire; pairs with shmp_mpmc_claim_tail
	 * [mpmc.H] acquire; pairs with shmp_mpmc_claim_head */
	return atomic_load_explicit(index, memory_order_acquire) >> 8;
}

static struct found find(const struct view *view, uint64_t position)
{
	uint64_t place = position % view->slots;
	const uint8_t *at = view->segment->data + place * view->slot_bytes;
	struct found found = { .slot = (const void *)at, .lap = position - place };

	found.word = shmp_mpmc_load_slot(found.slot);
	return found;
}

/* What the word says of a message that is still there; NULL when it says something else. */
static const char *state_of(const struct view *view, const struct found *found, uint64_t position,
			    struct shmp_item *item)
{
	int64_t endpoint = (int64_t)(found->word & 0xff);

	if (found->word == shmp_mpmc_open(found->lap, SHMP_MPMC_READY)) {
		if (position_of(&view->control->head) <= position)
			return "ready";
		item->endpoint = shmp_mpmc_owner(view->segment, SHMP_MPMC_POPPING, position);
		return "taken";
	}
	if (found->word == shmp_mpmc_open(found->lap, SHMP_MPMC_REDELIVER)) {
		item->flags = SHMP_ITEM_REDELIVERED;
		return "ready";
	}
	if (found->word == shmp_mpmc_word(found->lap, SHMP_MPMC_TAKEN, (uint32_t)endpoint)) {
		item->flags = SHMP_ITEM_REDELIVERED;
		item->endpoint = endpoint;
		return "taken";
	}
	return NULL;
}

static bool is_free_again(const struct view *view, const struct found *found)
{
	return found->word == shmp_mpmc_open(found->lap + view->slots, SHMP_MPMC_FREE);
}

/* Whether what was copied out of the slot was whole until then. */
static bool stood_still(const struct view *view, const struct found *found, uint64_t position)
{
	/* the copy comes before the second look at what allows it */
	atomic_thread_fence(memory_order_acquire); /* [mpmc.F] fence; pairs with shmp_mpmc_settle */
	if (shmp_mpmc_load_slot(found->slot) != found->word)
		return false;
	return !is_free_again(view, found) ||
	       position_of(&view->control->tail) <= position + view->slots;
}

enum {
	SHOW,
	PASS_OVER, /* there is no message, and never was one */
	MISS,	   /* it has gone */
};

/* What to do about @position, which somebody has claimed. -EBADMSG for what nobody writes. */
static int judge(const struct view *view, const struct shmp_look *look, uint64_t position,
		 struct shmp_item *item)
{
	struct found found = find(view, position);
	uint64_t size;

	item->state = state_of(view, &found, position, item);
	if (found.word == shmp_mpmc_open(found.lap, SHMP_MPMC_FREE)) {
		item->state = "claimed";
		item->flags = SHMP_ITEM_UNFINISHED;
		item->endpoint = shmp_mpmc_owner(view->segment, SHMP_MPMC_PUSHING, position);
		return SHOW;
	}
	if (found.word == shmp_mpmc_open(found.lap, SHMP_MPMC_TOMB))
		return PASS_OVER;
	if (!item->state && look->gone && is_free_again(view, &found)) {
		item->state = "gone";
		item->flags = SHMP_ITEM_GONE;
	}
	if (!item->state)
		return found.word >> 11 > found.lap ? MISS : -EBADMSG;
	size = shmp_mpmc_size_of(shmp_mpmc_load_about(found.slot));
	if (size <= view->message_max)
		shmp_look_take(look, found.slot->payload, size, item);
	if (!stood_still(view, &found, position))
		return MISS;
	if (size == SHMP_MPMC_NO_MESSAGE)
		return PASS_OVER;
	return size <= view->message_max ? SHOW : -EBADMSG;
}

int shmp_mpmc_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		   void *context)
{
	const struct view view = view_of(segment);
	uint64_t tail = position_of(&view.control->tail);
	uint64_t oldest = tail > view.slots ? tail - view.slots : 0;
	bool follows = look->from != SHMP_LOOK_OLDEST;
	uint64_t shown = 0;

	if (look->from > tail)
		look->from = tail;
	if (look->from < oldest) {
		look->missed += follows ? oldest - look->from : 0;
		look->from = oldest;
	}
	for (; look->from < tail && shown < look->max; look->from++) {
		struct shmp_item item = { .what = "message",
					  .position = look->from,
					  .number = UINT64_MAX,
					  .endpoint = -1 };
		int r = judge(&view, look, look->from, &item);

		if (r == SHOW) {
			r = fn(context, &item);
			shown++;
		} else if (r > 0) {
			look->missed += r == MISS && follows;
			r = 0;
		}
		if (r != 0)
			return r;
	}
	return 0;
}

/* Holding and waiting */

/* Whether @found is that of a claim that is not over. */
static bool is_claimed(const struct found *found, enum shmp_mpmc_side side)
{
	if (side == SHMP_MPMC_PUSHING)
		return found->word == shmp_mpmc_open(found->lap, SHMP_MPMC_FREE);
	return found->word == shmp_mpmc_open(found->lap, SHMP_MPMC_READY) ||
	       found->word == shmp_mpmc_open(found->lap, SHMP_MPMC_TOMB);
}

/* The endpoint that holds the others up at the slot of @position; -1 when there is none. */
static int64_t holder_at(const struct view *view, enum shmp_mpmc_side side, uint64_t position)
{
	struct found found = find(view, position);
	int64_t owner = -1;

	if (found.word == shmp_mpmc_word(found.lap, SHMP_MPMC_TAKEN, found.word & 0xff))
		owner = (int64_t)(found.word & 0xff);
	else if (is_claimed(&found, side))
		owner = shmp_mpmc_owner(view->segment, side, position);
	/* it counts if the slot still is as it was */
	if (owner >= view->segment->plan.endpoint_count ||
	    shmp_mpmc_load_slot(found.slot) != found.word)
		return -1;
	return owner;
}

int64_t shmp_mpmc_holder(const struct shmp_segment *segment, enum shmp_mpmc_side side)
{
	struct view view = view_of(segment);
	uint64_t head, tail;

	if (!segment->data)
		return -1;
	head = position_of(&view.control->head);
	tail = position_of(&view.control->tail);
	if (side == SHMP_MPMC_PUSHING)
		return head < tail ? holder_at(&view, side, head) : -1;
	if (tail < view.slots || tail - view.slots >= head)
		return -1;
	return holder_at(&view, side, tail - view.slots);
}

/* Whether the intent @word of @endpoint is of something that it owns and that is not over. */
static bool is_unfinished(const struct view *view, uint32_t endpoint, enum shmp_mpmc_side side,
			  uint64_t word)
{
	uint64_t position = (word & ~(SHMP_MPMC_INTENDED | SHMP_MPMC_RETAKING)) >> 8;
	struct found found = find(view, position);

	if ((word & SHMP_MPMC_RETAKING) != 0)
		return found.word == shmp_mpmc_word(found.lap, SHMP_MPMC_TAKEN, endpoint);
	if ((word & SHMP_MPMC_INTENDED) == 0 || !is_claimed(&found, side) ||
	    found.word == shmp_mpmc_open(found.lap, SHMP_MPMC_TOMB))
		return false;
	return shmp_mpmc_owner(view->segment, side, position) == (int64_t)endpoint;
}

void shmp_mpmc_holds(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
		     void *context)
{
	const _Atomic uint64_t *intents = segment->endpoints[endpoint].intent;
	/* [mpmc.I] acquire; pairs with shmp_mpmc_intend */
	uint64_t pushing = atomic_load_explicit(&intents[SHMP_MPMC_PUSHING], memory_order_acquire);
	/* [mpmc.I] acquire; pairs with shmp_mpmc_intend */
	uint64_t popping = atomic_load_explicit(&intents[SHMP_MPMC_POPPING], memory_order_acquire);
	bool redelivers = segment->plan.option[SHMP_MPMC_REDELIVERY] != 0;
	struct view view = view_of(segment);

	if (!segment->data)
		return;
	if (is_unfinished(&view, endpoint, SHMP_MPMC_PUSHING, pushing))
		fn(context, &(struct shmp_hold){ "unsent message", "never sent", 1, false });
	if (is_unfinished(&view, endpoint, SHMP_MPMC_POPPING, popping))
		fn(context, &(struct shmp_hold){ "received message",
						 redelivers ? "given to another, flagged" :
							      "dropped, as the queue says",
						 1, false });
}

/* Whose move those of one side wait for. */
static struct shmp_wait reason_of(const struct shmp_segment *segment, bool pushes)
{
	int64_t by = shmp_mpmc_holder(segment, pushes ? SHMP_MPMC_POPPING : SHMP_MPMC_PUSHING);

	if (by >= 0)
		return (struct shmp_wait){
			.by = by,
			.what = pushes ? "room" : "message",
			.why = pushes ? "has a message in hand" :
					"has claimed a slot and sent nothing in it",
		};
	if (pushes)
		return (struct shmp_wait){ .by = -1,
					   .role = "consumer",
					   .what = "room",
					   .why = "has not taken the messages in it",
					   .count = shmp_mpmc_depth(segment) };
	return (struct shmp_wait){ .is_idle = true,
				   .by = -1,
				   .role = "producer",
				   .what = "message",
				   .why = "has sent nothing more" };
}

static void tell_waiting(const struct shmp_waiter *waiter, uint32_t count, struct shmp_wait wait,
			 shmp_wait_fn fn, void *context)
{
	for (uint32_t i = 0; i < count; i++) {
		wait.endpoint = i;
		if (shmp_waiter_is_set(waiter, i))
			fn(context, &wait);
	}
}

void shmp_mpmc_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context)
{
	const struct shmp_mpmc_control *control = segment->control;
	uint32_t count = segment->plan.endpoint_count;

	tell_waiting(&control->not_full, count, reason_of(segment, true), fn, context);
	tell_waiting(&control->not_empty, count, reason_of(segment, false), fn, context);
}
