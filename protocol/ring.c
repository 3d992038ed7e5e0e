/* ring: what is not on the fast path, and the broker's side. See ring.h. */
#include "protocol/ring.h"

#define RING_BYTES_MIN UINT64_C(4096)
#define RING_BYTES_MAX (UINT64_C(1) << 36)
#define LOOK_AGAIN     1

static uint64_t load_tail(const struct shmp_ring_view *view)
{
	/* [P] acquire; pairs with shmp_ring_take */
	return atomic_load_explicit(&view->endpoints[SHMP_RING_CONSUMER].cursor,
				    memory_order_acquire);
}

static uint64_t load_floor(const struct shmp_ring_view *view)
{
	/* relaxed: only a first guess, or of one who does not write any more */
	return atomic_load_explicit(&view->control->floor, memory_order_relaxed);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What to say when the other side's place is open and nothing is left to do with it. */
static int gone(enum shmp_endpoint_state state, int otherwise)
{
	if (state == SHMP_ENDPOINT_DEAD)
		return SHMP_PEER_DEAD;
	return state == SHMP_ENDPOINT_LEFT ? SHMP_PEER_LEFT : otherwise;
}

/* Positions */

struct positions {
	uint64_t tail, head, first; /* first: the oldest that is there, head when there is none */
};

/*
 * Loaded once, checked and then used. LOOK_AGAIN: they are of moments too far apart; that never
 * happens where one of the two places is held by nobody.
 */
static int load_positions(const struct shmp_ring_view *view, struct positions *ret_positions)
{
	/* in this order: the head is not behind the tail, nor the floor behind the head's */
	uint64_t tail = load_tail(view);
	uint64_t head = shmp_ring_load_head(view);
	uint64_t first = smaller(larger(tail, load_floor(view)), head);

	*ret_positions = (struct positions){ tail, head, first };
	if (tail <= head && head - first <= view->elements)
		return 0;
	return load_tail(view) != tail ? LOOK_AGAIN : -EBADMSG;
}

/* The same where both places may be held. A tail that never stands still tells nothing. */
static int watch_positions(const struct shmp_ring_view *view, struct positions *ret_positions)
{
	int r = LOOK_AGAIN;

	for (int i = 0; i < SHMP_RING_LOOKS && r == LOOK_AGAIN; i++)
		r = load_positions(view, ret_positions);
	return r;
}

void shmp_ring_view(const struct shmp_segment *segment, struct shmp_ring_view *ret_view)
{
	*ret_view = (struct shmp_ring_view){
		.data = segment->data,
		.mask = segment->plan.data_bytes - 1,
		.bytes = segment->plan.option[SHMP_RING_ELEMENT_BYTES],
		.elements = segment->plan.option[SHMP_RING_ELEMENTS],
		.endpoints = segment->endpoints,
		.control = segment->control,
	};
}

/* Producer */

int shmp_ring_attach_producer(const struct shmp_segment *segment,
			      struct shmp_ring_producer *ret_producer)
{
	struct shmp_ring_producer producer = { .reserved = 0 };
	struct positions positions;

	shmp_ring_view(segment, &producer.view);
	if (watch_positions(&producer.view, &positions) != 0)
		return -EBADMSG;
	producer.head = positions.head;
	producer.tail = positions.tail;
	/* one who died over more than the ring holds has given up what he had not pushed yet */
	producer.floor = smaller(load_floor(&producer.view), positions.head);
	producer.limit = larger(producer.tail, producer.floor) + producer.view.elements;
	/* [F] release; pairs with shmp_ring_judge */
	atomic_store_explicit(&producer.view.control->floor, producer.floor, memory_order_release);
	shmp_ring_publish(&producer, producer.head);
	*ret_producer = producer;
	return 0;
}

/* The consumer's position, bounded by what was seen of it before. */
static int look_at_tail(struct shmp_ring_producer *producer)
{
	uint64_t tail = load_tail(&producer->view);

	if (tail < producer->tail || tail > producer->head)
		return -EBADMSG;
	producer->tail = tail;
	producer->limit = larger(tail, producer->floor) + producer->view.elements;
	return SHMP_DONE;
}

int shmp_ring_room_again(struct shmp_ring_producer *producer, uint64_t least)
{
	/* first, so that what a dead consumer gave back last is counted */
	enum shmp_endpoint_state state =
		shmp_endpoint_look(&producer->view.endpoints[SHMP_RING_CONSUMER]);
	int r = look_at_tail(producer);

	if (r != SHMP_DONE)
		return r;
	if (producer->limit - producer->head >= least)
		return SHMP_DONE;
	return least > producer->view.elements ? SHMP_TOO_BIG : gone(state, SHMP_FULL);
}

/* From now on everything below @floor is lost. */
static void raise_floor(struct shmp_ring_producer *producer, uint64_t floor)
{
	producer->floor = floor;
	producer->limit = floor + producer->view.elements;
	/* relaxed: ordered by the fence */
	atomic_store_explicit(&producer->view.control->floor, floor, memory_order_relaxed);
	/* the floor comes before the first byte */
	atomic_thread_fence(memory_order_release); /* [F] fence; pairs with shmp_ring_judge */
}

int shmp_ring_push_over(struct shmp_ring_producer *producer, const void *elements, uint64_t count)
{
	const struct shmp_ring_view *view = &producer->view;
	uint64_t end = producer->head + count;
	uint64_t kept = smaller(count, view->elements);
	int r;

	if (producer->limit - producer->head < count) {
		r = look_at_tail(producer);
		if (r != SHMP_DONE)
			return r;
	}
	if (producer->limit - producer->head < count)
		raise_floor(producer, end - view->elements);
	shmp_copy(shmp_ring_at(view, end - kept),
		  (const uint8_t *)elements + (count - kept) * view->bytes, kept * view->bytes);
	shmp_ring_publish(producer, end);
	return SHMP_DONE;
}

int shmp_ring_reserve(struct shmp_ring_producer *producer, uint64_t count, uint64_t least,
		      void **ret_elements, uint64_t *ret_count)
{
	int r = shmp_ring_room(producer, count, least, ret_count);

	if (r != SHMP_DONE)
		return r;
	producer->reserved = *ret_count;
	*ret_elements = shmp_ring_at(&producer->view, producer->head);
	return SHMP_DONE;
}

int shmp_ring_commit(struct shmp_ring_producer *producer, uint64_t count)
{
	if (count > producer->reserved)
		return -EINVAL;
	producer->reserved = 0;
	if (count > 0)
		shmp_ring_publish(producer, producer->head + count);
	return SHMP_DONE;
}

/* Tallies */

struct tally {
	uint64_t position, lost, skipped;
};

static struct tally load_tally(const struct shmp_ring_view *view, uint32_t index)
{
	const struct shmp_ring_tally *tally = &view->control->tally[index];
	struct tally loaded;

	/* [T] acquire; pairs with store_tally */
	loaded.position = atomic_load_explicit(&tally->position, memory_order_acquire);
	/* relaxed: ordered by the position */
	loaded.lost = atomic_load_explicit(&tally->lost, memory_order_relaxed);
	/* relaxed: as above */
	loaded.skipped = atomic_load_explicit(&tally->skipped, memory_order_relaxed);
	return loaded;
}

/* The position last: as long as it is the old one, or above the tail, the other tally holds. */
static void store_tally(const struct shmp_ring_view *view, uint32_t index,
			const struct tally *stored)
{
	struct shmp_ring_tally *tally = &view->control->tally[index];

	/* relaxed: ordered by the position */
	atomic_store_explicit(&tally->lost, stored->lost, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&tally->skipped, stored->skipped, memory_order_relaxed);
	/* [T] release; pairs with load_tally */
	atomic_store_explicit(&tally->position, stored->position, memory_order_release);
}

/* The one that holds for @tail; the first when both say the same. */
static uint32_t tally_at(const struct shmp_ring_view *view, uint64_t tail, struct tally *ret_tally)
{
	struct tally one = load_tally(view, 0), other = load_tally(view, 1);
	bool is_other = other.position <= tail &&
			(one.position > tail || one.position < other.position);

	*ret_tally = is_other ? other : one;
	return is_other;
}

void shmp_ring_count(struct shmp_ring_consumer *consumer, uint64_t end, uint64_t lost,
		     uint64_t skipped)
{
	struct tally tally = load_tally(&consumer->view, consumer->tally);

	tally.position = end;
	tally.lost += lost;
	tally.skipped += skipped;
	consumer->tally ^= 1;
	store_tally(&consumer->view, consumer->tally, &tally);
}

/* What a dead one was about to count is over. */
static void settle_tallies(struct shmp_ring_consumer *consumer)
{
	struct shmp_endpoint *self = &consumer->view.endpoints[SHMP_RING_CONSUMER];
	struct tally tally;
	uint64_t items;

	consumer->tally = tally_at(&consumer->view, consumer->tail, &tally);
	if (load_tally(&consumer->view, consumer->tally ^ 1).position > consumer->tail) {
		store_tally(&consumer->view, consumer->tally ^ 1, &tally);
		/* both say the same now, and that is the first one */
		consumer->tally = 0;
	}
	items = consumer->tail - tally.lost - tally.skipped;
	/* relaxed: statistics */
	atomic_store_explicit(&self->items, items, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&self->bytes, items * consumer->view.bytes, memory_order_relaxed);
}

/* Consumer */

int shmp_ring_attach_consumer(const struct shmp_segment *segment,
			      struct shmp_ring_consumer *ret_consumer)
{
	struct shmp_ring_consumer consumer = { .shown_to = 0 };
	struct positions positions;

	shmp_ring_view(segment, &consumer.view);
	if (watch_positions(&consumer.view, &positions) != 0)
		return -EBADMSG;
	consumer.tail = positions.tail;
	consumer.head = positions.head;
	/* [I] acquire; pairs with shmp_ring_intend */
	consumer.seen_to = atomic_load_explicit(
		&consumer.view.endpoints[SHMP_RING_CONSUMER].intent[0], memory_order_acquire);
	consumer.redelivered = consumer.seen_to;
	settle_tallies(&consumer);
	*ret_consumer = consumer;
	return 0;
}

int shmp_ring_look_again(struct shmp_ring_consumer *consumer, uint64_t skipped, uint64_t least,
			 uint64_t *ret_first, uint64_t *ret_count)
{
	const struct shmp_ring_view *view = &consumer->view;
	/* first, so that what came before the death is seen now */
	enum shmp_endpoint_state state = shmp_endpoint_look(&view->endpoints[SHMP_RING_PRODUCER]);
	uint64_t head = shmp_ring_load_head(view);
	uint64_t first = shmp_ring_oldest(consumer), there;

	/* all there was has been written over since: what did that is there, unless it is under way */
	for (int i = 0; i < SHMP_RING_LOOKS && first > head; i++) {
		uint64_t before = head;

		head = shmp_ring_load_head(view);
		if (head == before)
			break;
		first = shmp_ring_oldest(consumer);
	}
	first = smaller(first, head);
	there = head - first;
	if (head < consumer->head || there > view->elements)
		return -EBADMSG;
	consumer->head = head;
	*ret_first = first;
	*ret_count = there;
	if (there >= skipped && there - skipped >= least)
		return SHMP_DONE;
	if (least > view->elements || skipped > view->elements - least)
		return SHMP_TOO_BIG;
	if (state != SHMP_ENDPOINT_DEAD && state != SHMP_ENDPOINT_LEFT)
		return SHMP_EMPTY;
	return there > skipped ? SHMP_DONE : gone(state, SHMP_EMPTY);
}

uint64_t shmp_ring_salvage(void *buffer, uint64_t bytes, uint64_t *first, uint64_t count,
			   uint64_t floor)
{
	uint64_t lost = floor - *first;

	if (lost >= count)
		return 0;
	memmove(buffer, (uint8_t *)buffer + lost * bytes, (count - lost) * bytes);
	*first = floor;
	return count - lost;
}

int shmp_ring_pop_again(struct shmp_ring_consumer *consumer, void *buffer, uint64_t most,
			uint64_t least, struct shmp_ring_span *ret_span)
{
	int r = SHMP_LAPPED;

	for (int i = 1; i < SHMP_RING_LOOKS && r == SHMP_LAPPED; i++)
		r = shmp_ring_pop_once(consumer, buffer, most, least, ret_span);
	return r;
}

int shmp_ring_peek(struct shmp_ring_consumer *consumer, uint64_t skipped, uint64_t most,
		   uint64_t least, struct shmp_ring_span *ret_span)
{
	uint64_t first, count, from;
	int r = shmp_ring_find(consumer, skipped, most, least, &first, &count);

	if (r != SHMP_DONE)
		return r;
	from = first + skipped;
	shmp_ring_intend(consumer, from + count);
	if (consumer->shown_to == 0 || from < consumer->shown_first)
		consumer->shown_first = from;
	consumer->shown = first;
	consumer->shown_to = larger(consumer->shown_to, from + count);
	*ret_span = (struct shmp_ring_span){
		.data = shmp_ring_at(&consumer->view, from),
		.count = count,
		.position = from,
		.lost = first - consumer->tail,
		.redelivered = shmp_ring_redelivered(consumer, from, count),
	};
	return SHMP_DONE;
}

int shmp_ring_release(struct shmp_ring_consumer *consumer, uint64_t count)
{
	uint64_t first = consumer->shown, end = first + count;
	uint64_t floor, lost;
	int r;

	if (consumer->shown_to == 0 || count > consumer->shown_to - first)
		return -EINVAL;
	floor = shmp_ring_judge(&consumer->view);
	r = floor > consumer->shown_first ? SHMP_LAPPED : SHMP_DONE;
	consumer->shown_to = 0;
	if (count == 0)
		return r;
	lost = floor > first ? smaller(floor - first, count) : 0;
	if (first - consumer->tail + lost != 0)
		shmp_ring_count(consumer, end, first - consumer->tail + lost, 0);
	shmp_ring_take(consumer, end, count - lost);
	return r;
}

int shmp_ring_skip(struct shmp_ring_consumer *consumer, uint64_t most, uint64_t *ret_count)
{
	uint64_t first, there;
	int r = shmp_ring_look_again(consumer, 0, 1, &first, &there);

	if (r < 0)
		return r;
	*ret_count = smaller(there, most);
	if (first + *ret_count == consumer->tail)
		return SHMP_DONE;
	shmp_ring_count(consumer, first + *ret_count, first - consumer->tail, *ret_count);
	shmp_ring_take(consumer, first + *ret_count, 0);
	return SHMP_DONE;
}

/* Anybody */

/* The oldest position of which a copy that was made until now is whole. */
static uint64_t judge_all(const struct shmp_ring_view *view)
{
	uint64_t floor = shmp_ring_judge(view);

	/* the bytes come before the tail, behind which the producer may write without the floor */
	atomic_thread_fence(memory_order_acquire); /* [P] fence; pairs with shmp_ring_take */
	return larger(load_tail(view), floor);
}

int shmp_ring_read(const struct shmp_ring_view *view, uint64_t skipped, bool from_newest,
		   void *buffer, uint64_t most, uint64_t *ret_position, uint64_t *ret_count)
{
	for (int i = 0; i < SHMP_RING_LOOKS; i++) {
		struct positions positions;
		uint64_t from, count, whole;
		int r = load_positions(view, &positions);

		if (r == LOOK_AGAIN)
			continue;
		if (r < 0)
			return r;
		if (skipped >= positions.head - positions.first)
			return SHMP_EMPTY;
		count = smaller(positions.head - positions.first - skipped, most);
		from = from_newest ? positions.head - skipped - count : positions.first + skipped;
		shmp_ring_copy_out(buffer, shmp_ring_at(view, from), count * view->bytes);
		whole = judge_all(view);
		if (whole > from)
			count = shmp_ring_salvage(buffer, view->bytes, &from, count, whole);
		if (count > 0) {
			*ret_position = from;
			*ret_count = count;
			return SHMP_DONE;
		}
	}
	return SHMP_LAPPED;
}

/* a - b of numbers that move meanwhile: never below 0 */
static uint64_t ahead(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

void shmp_ring_totals(const struct shmp_segment *segment, struct shmp_ring_totals *ret_totals)
{
	struct positions positions;
	struct shmp_ring_view view;
	struct tally tally;

	shmp_ring_view(segment, &view);
	watch_positions(&view, &positions);
	tally_at(&view, positions.tail, &tally);
	*ret_totals = (struct shmp_ring_totals){
		.pushed = positions.head,
		.popped = ahead(positions.tail, tally.lost + tally.skipped),
		.skipped = tally.skipped,
		.lost = tally.lost + ahead(positions.first, positions.tail),
		.depth = smaller(positions.head - positions.first, view.elements),
	};
}

/* The broker's side */

static int ring_plan(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why)
{
	uint64_t type = option[SHMP_RING_ELEMENT_TYPE], elements = option[SHMP_RING_ELEMENTS];
	uint64_t bytes = 1, ring = RING_BYTES_MIN;
	int r = shmp_element_plan(type, option[SHMP_RING_ELEMENT_BYTES], &bytes, ret_why);

	if (r != 0)
		return (r == SHMP_ELEMENT_TYPE_WRONG ? SHMP_RING_ELEMENT_TYPE :
						       SHMP_RING_ELEMENT_BYTES) +
		       1;
	if (elements > RING_BYTES_MAX / bytes) {
		*ret_why = "elements of element_bytes make more than 2^36 bytes";
		return SHMP_RING_ELEMENTS + 1;
	}
	while (ring < elements * bytes)
		ring <<= 1;
	*ret_plan = (struct shmp_plan){
		.data_bytes = ring,
		.control_bytes = sizeof(struct shmp_ring_control),
		.endpoint_count = 2,
		.option = { [SHMP_RING_ELEMENT_BYTES] = bytes,
			    [SHMP_RING_ELEMENTS] = elements,
			    [SHMP_RING_ELEMENT_TYPE] = type },
	};
	ret_plan->ctl_bytes = shmp_segment_ctl_bytes(ret_plan);
	return 0;
}

static void ring_init(const struct shmp_segment *segment)
{
	/* All zero is an empty ring. */
	(void)segment;
}

static int ring_validate(const struct shmp_segment *segment, const char **ret_why)
{
	struct positions positions;
	struct shmp_ring_view view;

	shmp_ring_view(segment, &view);
	if (watch_positions(&view, &positions) >= 0)
		return 0;
	*ret_why = positions.tail > positions.head ? "more elements were taken than pushed" :
						     "more elements are there than it has room for";
	return -EBADMSG;
}

/* Positions, floor and tallies stay for the successor; what concerned waiting goes. */
static void ring_attach(const struct shmp_segment *segment, uint32_t endpoint)
{
	struct shmp_endpoint *self = &segment->endpoints[endpoint];

	/* relaxed: the place is nobody's; the state's release publishes it to the new owner */
	atomic_store_explicit(&self->park_key, 0, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&self->doorbell, 0, memory_order_relaxed);
}

/* All that a dead holder leaves is its waiter bit; the successor takes up the rest. */
static int ring_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	struct shmp_ring_control *control = segment->control;

	(void)died;
	shmp_waiter_finish(&control->not_empty, endpoint);
	shmp_waiter_finish(&control->not_full, endpoint);
	/* relaxed: a notifier that still sees it rings a bell that nobody hears */
	atomic_store_explicit(&segment->endpoints[endpoint].doorbell, 0, memory_order_relaxed);
	return 0;
}

static void ring_wake(const struct shmp_segment *segment)
{
	struct shmp_ring_control *control = segment->control;

	shmp_waiter_wake_all(&control->not_empty);
	shmp_waiter_wake_all(&control->not_full);
}

static bool ring_waits(const struct shmp_segment *segment, uint32_t endpoint)
{
	const struct shmp_ring_control *control = segment->control;

	return shmp_waiter_is_set(&control->not_empty, endpoint) ||
	       shmp_waiter_is_set(&control->not_full, endpoint);
}

static int ring_require_fence(const struct shmp_segment *segment)
{
	struct shmp_ring_control *control = segment->control;
	int r = shmp_waiter_require_fence(&control->not_empty);

	return r < 0 ? r : shmp_waiter_require_fence(&control->not_full);
}

static void ring_require_pieces(const struct shmp_segment *segment)
{
	struct shmp_ring_control *control = segment->control;

	shmp_waiter_require_pieces(&control->not_empty);
	shmp_waiter_require_pieces(&control->not_full);
}

static void ring_figures(const struct shmp_segment *segment, shmp_figure_fn figure, void *context)
{
	struct shmp_ring_totals totals;

	shmp_ring_totals(segment, &totals);
	figure(context, "depth_elements", totals.depth);
	figure(context, "elements", segment->plan.option[SHMP_RING_ELEMENTS]);
	figure(context, "element_bytes", segment->plan.option[SHMP_RING_ELEMENT_BYTES]);
	figure(context, "pushed_elements", totals.pushed);
	figure(context, "popped_elements", totals.popped);
	figure(context, "skipped_elements", totals.skipped);
	figure(context, "overwritten_elements", totals.lost);
}

/* In the consumer's hands, or in those of one who died. */
static void say_state(const struct shmp_ring_view *view, struct shmp_item *item)
{
	const struct shmp_endpoint *consumer = &view->endpoints[SHMP_RING_CONSUMER];
	/* [I] acquire; pairs with shmp_ring_intend */
	uint64_t seen_to = atomic_load_explicit(&consumer->intent[0], memory_order_acquire);

	item->state = "ready";
	if (item->position >= seen_to)
		return;
	if (shmp_endpoint_is_open(shmp_endpoint_look(consumer)))
		item->flags = SHMP_ITEM_REDELIVERED;
	else
		item->state = "taken";
}

/* Where to begin, given what is there. */
static void look_from(const struct positions *positions, struct shmp_look *look)
{
	if (look->from >= positions->head)
		look->from = positions->head;
	if (look->from >= positions->first)
		return;
	look->missed += look->from != SHMP_LOOK_OLDEST ? positions->first - look->from : 0;
	look->from = positions->first;
}

static int ring_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		     void *context)
{
	uint64_t type = segment->plan.option[SHMP_RING_ELEMENT_TYPE];
	uint32_t typed = shmp_element_typed_bytes(type);
	struct shmp_ring_view view;
	uint64_t steps = 0, shown = 0;
	int r = 0;

	shmp_ring_view(segment, &view);
	/* no further than what it can hold: a busy ring goes on in front of us for ever */
	for (; shown < look->max && steps < 2 * view.elements; steps++) {
		struct shmp_item item = { .what = "element", .number = UINT64_MAX, .endpoint = -1 };
		char text[SHMP_TYPE_TEXT];
		uint64_t value[2] = { 0 };
		struct positions positions;

		if (watch_positions(&view, &positions) < 0)
			return -EBADMSG;
		look_from(&positions, look);
		if (look->from == positions.head)
			return 0;
		shmp_look_take(look, shmp_ring_at(&view, look->from), view.bytes, &item);
		if (typed != 0)
			shmp_look_copy(value, shmp_ring_at(&view, look->from), typed);
		if (judge_all(&view) > look->from)
			continue;
		item.position = look->from;
		shmp_element_show(type, value, text, &item);
		say_state(&view, &item);
		r = fn(context, &item);
		if (r != 0)
			return r;
		look->from++;
		shown++;
	}
	return 0;
}

static const struct shmp_role ring_roles[] = {
	{ .name = "producer",
	  .first = SHMP_RING_PRODUCER,
	  .count = 1,
	  .ctl = SHMP_ACCESS_WRITE,
	  .data = SHMP_ACCESS_WRITE,
	  .writes = true },
	{ .name = "consumer",
	  .first = SHMP_RING_CONSUMER,
	  .count = 1,
	  .ctl = SHMP_ACCESS_WRITE,
	  .data = SHMP_ACCESS_READ },
	SHMP_ROLE_OBSERVER,
};

static const struct shmp_option ring_options[] = {
	[SHMP_RING_ELEMENT_BYTES] = { .name = "element_bytes",
				      .help = "size of one element; 0 = that of element_type",
				      .min = 0,
				      .max = SHMP_ELEMENT_BYTES_MAX },
	[SHMP_RING_ELEMENTS] = { .name = "elements",
				 .help = "how many it holds at most",
				 .min = 1,
				 .max = RING_BYTES_MAX,
				 .preset = 1024 },
	[SHMP_RING_ELEMENT_TYPE] = { .name = "element_type",
				     .help = SHMP_ELEMENT_TYPES,
				     .min = 0,
				     .max = SHMP_ELEMENT_TYPE_MAX },
};

const struct shmp_kind shmp_ring_kind = {
	.name = "ring",
	.id = 10,
	.version = SHMP_RING_VERSION,
	.mirrored = true,
	.streams = true,
	.ctl_suffices = true,
	.roles = ring_roles,
	.role_count = sizeof(ring_roles) / sizeof(ring_roles[0]),
	.options = ring_options,
	.option_count = sizeof(ring_options) / sizeof(ring_options[0]),
	.plan = ring_plan,
	.init = ring_init,
	.validate = ring_validate,
	.attach = ring_attach,
	.repair = ring_repair,
	.wake = ring_wake,
	.waits = ring_waits,
	.require_fence = ring_require_fence,
	.require_pieces = ring_require_pieces,
	.holds = shmp_ring_holds,
	.waits_for = shmp_ring_waits_for,
	.figures = ring_figures,
	.look = ring_look,
};
