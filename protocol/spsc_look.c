/* spsc: what those who only look see of a ring. See spsc.h and look.h. */
#include "protocol/spsc.h"

#define LOOK_AGAIN  1
#define LOOKS_AGAIN 64 /* a consumer that is always faster leaves nothing to see */

/* a - b of numbers that move meanwhile: never below 0 */
static uint64_t ahead(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

void shmp_spsc_ring_depth(const struct shmp_spsc_ring *ring, uint64_t *ret_messages,
			  uint64_t *ret_bytes)
{
	/* relaxed: statistics; each is right for some moment */
	uint64_t popped = atomic_load_explicit(&ring->consumer->items, memory_order_relaxed);
	/* relaxed: as above */
	uint64_t pushed = atomic_load_explicit(&ring->producer->items, memory_order_relaxed);
	uint64_t tail = shmp_spsc_load_cursor(ring->consumer);
	uint64_t bytes = ahead(shmp_spsc_load_cursor(ring->producer), tail);

	/* Counts may be one message off that its holder died with; the positions are not. */
	*ret_messages = bytes != 0 ? ahead(pushed, popped) : 0;
	*ret_bytes = bytes;
}

/*
 * A message as a looker finds it. It is whole if the consumer, behind whom the producer may write,
 * has not gone past it when it was copied.
 */
static int look_at(const struct shmp_spsc_ring *ring, const struct shmp_look *look,
		   struct shmp_item *item, uint64_t *ret_tag)
{
	const uint8_t *at = ring->data + (look->from & (ring->capacity - 1));
	/* [spsc.H] acquire; pairs with shmp_spsc_publish */
	uint64_t header = atomic_load_explicit((const _Atomic uint64_t *)(const void *)at,
					       memory_order_acquire);
	uint64_t size = (header & ~ring->tags) ^ SHMP_SPSC_PUBLISHED;
	bool is_sane = size <= ring->message_max;
	uint64_t tail;

	*ret_tag = header & ring->tags;
	if (is_sane)
		shmp_look_take(look, at + SHMP_SPSC_HEADER, size, item);
	/* the copy comes before the second look at the cursor */
	atomic_thread_fence(
		memory_order_acquire); /* [spsc.P] fence; pairs with shmp_spsc_take_to */
	tail = shmp_spsc_load_cursor(ring->consumer);
	if (look->from - tail > ring->capacity)
		return LOOK_AGAIN;
	if (header == 0)
		return SHMP_EMPTY;
	return is_sane && shmp_spsc_need(size) <= tail + ring->capacity - look->from ? SHMP_DONE :
										       -EBADMSG;
}

/* In the consumer's hands, or in those of one who died. */
static void say_state(const struct shmp_spsc_ring *ring, struct shmp_item *item)
{
	/* [spsc.I] acquire; pairs with shmp_spsc_say_seen */
	uint64_t seen_to = atomic_load_explicit(&ring->consumer->intent[0], memory_order_acquire);

	item->state = "ready";
	if (item->position >= seen_to)
		return;
	if (shmp_endpoint_is_open(shmp_endpoint_look(&ring->places[ring->consumer_place])))
		item->flags = SHMP_ITEM_REDELIVERED;
	else
		item->state = "taken";
}

/* Where to begin, given where the consumer is. */
static void look_from(const struct shmp_spsc_ring *ring, uint64_t tail, struct shmp_look *look)
{
	uint64_t ahead_of_tail = look->from - tail;

	if (look->from == SHMP_LOOK_NEWEST)
		look->from = shmp_spsc_load_cursor(ring->producer);
	else if (ahead_of_tail <= ring->capacity && look->from % 8 == 0)
		return;
	else if (look->from != SHMP_LOOK_OLDEST && tail > look->from)
		look->missed += tail - look->from;
	if (look->from - tail > ring->capacity || look->from % 8 != 0)
		look->from = tail;
}

int shmp_spsc_ring_look(const struct shmp_spsc_ring *ring, struct shmp_look *look,
			shmp_spsc_item_fn fn, void *context)
{
	uint64_t shown = 0, walked = 0;
	int again = 0;

	/* no further than what it can hold: a busy queue goes on in front of us for ever */
	while (shown < look->max && walked < ring->capacity && again < LOOKS_AGAIN) {
		struct shmp_item item = { .what = "message", .number = UINT64_MAX, .endpoint = -1 };
		uint64_t tail = shmp_spsc_load_cursor(ring->consumer);
		uint64_t tag;
		int r;

		if (tail % 8 != 0)
			return -EBADMSG;
		look_from(ring, tail, look);
		item.position = look->from;
		r = look_at(ring, look, &item, &tag);
		if (r == LOOK_AGAIN) {
			again++;
			continue;
		}
		if (r != SHMP_DONE)
			return r == SHMP_EMPTY ? 0 : r;
		say_state(ring, &item);
		r = fn(context, &item, tag);
		if (r != 0)
			return r;
		look->from += shmp_spsc_need(item.size);
		walked += shmp_spsc_need(item.size);
		shown++;
	}
	return 0;
}

/* What is seen and not given back; its messages cannot be counted without the data. */
void shmp_spsc_ring_holds(const struct shmp_spsc_ring *ring, uint32_t endpoint, shmp_hold_fn fn,
			  void *context)
{
	/* [spsc.I] acquire; pairs with shmp_spsc_say_seen */
	uint64_t seen_to = atomic_load_explicit(&ring->consumer->intent[0], memory_order_acquire);
	uint64_t held = ahead(seen_to, shmp_spsc_load_cursor(ring->consumer));

	if (endpoint != ring->consumer_place || held == 0 || held > ring->capacity)
		return;
	fn(context,
	   &(struct shmp_hold){ "received bytes", "kept for a successor, flagged", held, false });
}

void shmp_spsc_ring_waits_for(const struct shmp_spsc_ring *ring, shmp_wait_fn fn, void *context)
{
	uint64_t messages, bytes;

	shmp_spsc_ring_depth(ring, &messages, &bytes);
	if (shmp_waiter_is_set(ring->not_empty, ring->consumer_place))
		fn(context, &(struct shmp_wait){ .endpoint = ring->consumer_place,
						 .is_idle = true,
						 .by = ring->producer_place,
						 .what = "message",
						 .why = "has sent nothing more" });
	if (shmp_waiter_is_set(ring->not_full, ring->producer_place))
		fn(context, &(struct shmp_wait){ .endpoint = ring->producer_place,
						 .by = ring->consumer_place,
						 .what = "room",
						 .why = "has not taken the bytes in it",
						 .count = bytes });
}
