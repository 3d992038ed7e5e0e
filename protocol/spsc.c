/* spsc: what is not on the fast path, and the broker's side. See spsc.h. */
#include "protocol/spsc.h"

#define SPSC_CAPACITY_MIN UINT64_C(4096)
#define SPSC_CAPACITY_MAX (UINT64_C(1) << 36)
/* Header of the message and the zeroed one behind it. */
#define SPSC_OVERHEAD  16u
#define VALIDATE_LOOKS 16
#define LOOK_AGAIN     1
#define LOOKS_AGAIN    64 /* a consumer that is always faster leaves nothing to see */

static uint64_t load_cursor(const struct shmp_endpoint *endpoint)
{
	/* [P] acquire; pairs with shmp_spsc_take
	 * [Q] acquire; pairs with shmp_spsc_publish */
	return atomic_load_explicit(&endpoint->cursor, memory_order_acquire);
}

static bool is_position(uint64_t position, uint64_t since, uint64_t capacity)
{
	return position - since <= capacity && position % 8 == 0;
}

/* What to say when the other side's place is open and nothing is left to do with it. */
static int gone(enum shmp_endpoint_state state, int otherwise)
{
	if (state == SHMP_ENDPOINT_DEAD)
		return SHMP_PEER_DEAD;
	return state == SHMP_ENDPOINT_LEFT ? SHMP_PEER_LEFT : otherwise;
}

int shmp_spsc_room_again(struct shmp_spsc_producer *producer, uint64_t head, uint64_t end)
{
	const struct shmp_endpoint *peer = &producer->endpoints[SHMP_SPSC_CONSUMER];
	/* the zero behind the last message takes its place, too */
	uint64_t most = producer->mask;
	uint64_t seen = producer->limit - most;
	/* first, so that what a dead consumer gave back last is counted */
	enum shmp_endpoint_state state = shmp_endpoint_look(peer);
	uint64_t tail = load_cursor(peer);

	/* neither ahead of the producer nor further behind than the last look */
	if (!is_position(head, seen, most) || !is_position(tail, seen, head - seen))
		return -EBADMSG;
	producer->limit = tail + most;
	if (shmp_spsc_has_room(producer, end))
		return SHMP_DONE;
	return gone(state, SHMP_FULL);
}

int shmp_spsc_empty(const struct shmp_spsc_consumer *consumer, uint64_t position)
{
	const struct shmp_endpoint *peer = &consumer->endpoints[SHMP_SPSC_PRODUCER];
	enum shmp_endpoint_state state = shmp_endpoint_look(peer);
	uint64_t header;

	shmp_spsc_ask_ahead(consumer, position);
	if (state != SHMP_ENDPOINT_DEAD && state != SHMP_ENDPOINT_LEFT)
		return SHMP_EMPTY;
	/* [H] acquire; pairs with shmp_spsc_publish. After the state: what came before the death
	 * is seen now */
	header = atomic_load_explicit(
		(const _Atomic uint64_t *)(const void *)(consumer->data +
							 (position & consumer->mask)),
		memory_order_acquire);
	return header != 0 ? SHMP_DONE : gone(state, SHMP_EMPTY);
}

int shmp_spsc_batch_add(struct shmp_spsc_producer *producer, const void *payload, uint64_t size)
{
	uint64_t head = shmp_spsc_head(producer);
	bool is_first = producer->batch_head != head;
	uint64_t at = is_first ? head : producer->batch_end;
	uint64_t end = at + shmp_spsc_need(size);
	int r;

	if (size > producer->message_max)
		return SHMP_TOO_BIG;
	r = shmp_spsc_room(producer, head, end);
	if (r != SHMP_DONE)
		return r;
	shmp_copy(producer->data + (at & producer->mask) + SHMP_SPSC_HEADER, payload, size);
	if (is_first) {
		producer->batch_head = at;
		producer->batch_first = size;
		producer->batch_items = 0; /* an earlier one may have been pushed over */
		producer->batch_bytes = 0;
	} else {
		/* relaxed: the first header's release publishes it, and nobody comes here before */
		atomic_store_explicit(shmp_spsc_header(producer->data, producer->mask, at),
				      SHMP_SPSC_PUBLISHED | size, memory_order_relaxed);
	}
	producer->batch_end = end;
	producer->batch_items++;
	producer->batch_bytes += size;
	return SHMP_DONE;
}

void shmp_spsc_batch_publish(struct shmp_spsc_producer *producer)
{
	struct shmp_endpoint *self = &producer->endpoints[SHMP_SPSC_PRODUCER];
	uint64_t head = shmp_spsc_head(producer);

	if (producer->batch_head != head)
		return;
	/* [N] release; pairs with count_messages */
	atomic_store_explicit(&self->intent[1], shmp_spsc_items(producer, 0) + 1,
			      memory_order_release);
	shmp_spsc_send(producer, head, producer->batch_first, producer->batch_end,
		       producer->batch_items, producer->batch_bytes);
	/* [N] release; pairs with count_messages */
	atomic_store_explicit(&self->intent[1], 0, memory_order_release);
}

int shmp_spsc_peek(struct shmp_spsc_consumer *consumer, struct shmp_spsc_message *messages,
		   uint64_t max, uint64_t *ret_count)
{
	uint64_t at = consumer->tail;
	uint64_t count;
	int r = SHMP_DONE;

	for (count = 0; count < max; count++) {
		r = shmp_spsc_next(consumer, at, &messages[count], &at);
		if (r != SHMP_DONE)
			break;
	}
	if (count == 0)
		return r;
	shmp_spsc_intend(consumer, at);
	consumer->quick_least = UINT64_MAX; /* more than the next one has been seen */
	if (consumer->shown_items == 0 || at > consumer->shown)
		consumer->shown = at;
	if (count > consumer->shown_items)
		consumer->shown_items = count;
	*ret_count = count;
	return SHMP_DONE;
}

int shmp_spsc_release(struct shmp_spsc_consumer *consumer, uint64_t count)
{
	struct shmp_spsc_message message;
	uint64_t shown = consumer->shown;
	uint64_t left = consumer->shown_items - count;
	uint64_t at = consumer->tail;
	uint64_t bytes = 0;
	int r;

	if (count > consumer->shown_items)
		return -EINVAL;
	/* The headers may have been scribbled over since they were shown: bound them again. */
	for (uint64_t i = 0; i < count; i++) {
		r = shmp_spsc_next(consumer, at, &message, &at);
		if (r != SHMP_DONE || at > shown)
			return -EBADMSG;
		bytes += message.size;
	}
	shmp_spsc_take(consumer, at, count, bytes);
	consumer->shown_items = left;
	return SHMP_DONE;
}

struct positions {
	uint64_t head, tail, seen_to;
};

/*
 * Loaded once, checked and then used: a hostile peer may change them at any time. 0 or -EBADMSG.
 * One of the two places is held by nobody, so that at most one position moves meanwhile.
 */
static int load_positions(const struct shmp_segment *segment, struct positions *ret_positions,
			  const char **ret_why)
{
	/* the zero behind the last message takes its place, too */
	uint64_t most = segment->plan.option[SHMP_SPSC_CAPACITY_BYTES] - SHMP_SPSC_HEADER;
	const struct shmp_endpoint *consumer = &segment->endpoints[SHMP_SPSC_CONSUMER];
	uint64_t tail = load_cursor(consumer);
	/* The head is read later, so it is not behind the tail unless the producer died between a
	 * header and its cursor; then by one message or batch at most, that is by the capacity. */
	uint64_t head = load_cursor(&segment->endpoints[SHMP_SPSC_PRODUCER]);
	/* [I] acquire; pairs with shmp_spsc_intend */
	uint64_t seen_to = atomic_load_explicit(&consumer->intent[0], memory_order_acquire);

	if (tail % 8 != 0 || head % 8 != 0)
		*ret_why = "a position is not a multiple of 8";
	else if (head - tail > most && tail - head > most)
		*ret_why = "producer and consumer are further apart than the ring is long";
	else if (seen_to > tail && seen_to - tail > most)
		*ret_why = "the consumer claims to hold more than the ring";
	else {
		*ret_positions = (struct positions){ head, tail, seen_to };
		return 0;
	}
	return -EBADMSG;
}

/*
 * For status both places may be held: then positions of two moments lie apart for no reason, and
 * only what stands while the tail does is held against them. A tail that never stands tells nothing.
 */
static int spsc_validate(const struct shmp_segment *segment, const char **ret_why)
{
	const struct shmp_endpoint *consumer = &segment->endpoints[SHMP_SPSC_CONSUMER];
	struct positions positions;

	for (int i = 0; i < VALIDATE_LOOKS; i++) {
		uint64_t before = load_cursor(consumer);
		int r = load_positions(segment, &positions, ret_why);

		if (r == 0 || load_cursor(consumer) == before)
			return r;
	}
	return 0;
}

/*
 * Goes from the dead or departed producer's last stored cursor to the first header that is 0: it
 * may have died after the release of a header and before its cursor. Bounded by the ring: every
 * step is at least 8 bytes, and room for the zero behind the last must remain.
 */
static int walk_to_end(const struct shmp_spsc_producer *producer, uint64_t tail, uint64_t *head,
		       uint64_t *ret_bytes)
{
	/* what may be published yet; not the position of its end, which a hostile one can wrap */
	uint64_t left = tail + producer->mask - *head;
	uint64_t header, size, need, bytes = 0;

	for (;;) {
		/* [H] acquire; pairs with shmp_spsc_publish */
		header = atomic_load_explicit(
			shmp_spsc_header(producer->data, producer->mask, *head),
			memory_order_acquire);
		if (header == 0) {
			*ret_bytes = bytes;
			return 0;
		}
		size = header ^ SHMP_SPSC_PUBLISHED;
		need = shmp_spsc_need(size);
		if (size > producer->message_max || need > left)
			return -EBADMSG;
		left -= need;
		*head += need;
		bytes += size;
	}
}

/*
 * How many messages lie before the walk's end: as many as were announced, if that is where the walk
 * ended. Otherwise the announcement was not kept, and the count may or may not have been raised.
 */
static uint64_t count_messages(const struct shmp_endpoint *self, uint64_t head)
{
	/* [N] acquire; pairs with shmp_spsc_announce */
	uint64_t announced = atomic_load_explicit(&self->intent[0], memory_order_acquire);
	/* [N] acquire; pairs with shmp_spsc_batch_publish */
	uint64_t before_batch = atomic_load_explicit(&self->intent[1], memory_order_acquire);
	/* [N] acquire; pairs with shmp_spsc_announce */
	uint64_t items = atomic_load_explicit(&self->items, memory_order_acquire);

	if (announced - announced % 8 == head)
		return items;
	if (before_batch != 0)
		return before_batch - 1;
	return items != 0 && items % 8 == announced % 8 ? items - 1 : items;
}

/* What the dead one announced last is over; who dies in here leaves what gives the same again. */
static void settle_count(struct shmp_endpoint *self, uint64_t head)
{
	uint64_t items = count_messages(self, head);

	/* [N] release; pairs with count_messages */
	atomic_store_explicit(&self->items, items, memory_order_release);
	/* [N] release; pairs with count_messages */
	atomic_store_explicit(&self->intent[0], head | items % 8, memory_order_release);
	/* [N] release; pairs with count_messages */
	atomic_store_explicit(&self->intent[1], 0, memory_order_release);
}

int shmp_spsc_attach_producer(const struct shmp_segment *segment,
			      struct shmp_spsc_producer *ret_producer)
{
	struct shmp_endpoint *self = &segment->endpoints[SHMP_SPSC_PRODUCER];
	uint64_t capacity = segment->plan.option[SHMP_SPSC_CAPACITY_BYTES];
	struct shmp_spsc_producer producer = {
		.data = segment->data,
		.mask = capacity - SHMP_SPSC_HEADER,
		.quick_max = segment->plan.option[SHMP_SPSC_MESSAGE_BYTES_MAX],
		.message_max = segment->plan.option[SHMP_SPSC_MESSAGE_BYTES_MAX],
		.endpoints = segment->endpoints,
		.control = segment->control,
		.batch_head = UINT64_MAX, /* no position */
	};
	struct positions positions;
	uint64_t head, bytes;
	const char *why;
	int r = load_positions(segment, &positions, &why);

	if (r < 0)
		return r;
	if (producer.quick_max > SHMP_COPY_INLINE)
		producer.quick_max = SHMP_COPY_INLINE;
	producer.limit = positions.tail + capacity - SHMP_SPSC_HEADER;
	/* The consumer may already have read what the dead one published and had no time to say. */
	head = positions.head - positions.tail < capacity ? positions.head : positions.tail;
	r = walk_to_end(&producer, positions.tail, &head, &bytes);
	if (r < 0)
		return r;
	settle_count(self, head);
	shmp_endpoint_count(&self->bytes, bytes);
	/* [Q] release; pairs with load_cursor */
	atomic_store_explicit(&self->cursor, head, memory_order_release);
	*ret_producer = producer;
	return 0;
}

int shmp_spsc_attach_consumer(const struct shmp_segment *segment,
			      struct shmp_spsc_consumer *ret_consumer)
{
	uint64_t capacity = segment->plan.option[SHMP_SPSC_CAPACITY_BYTES];
	struct positions positions;
	const char *why;
	int r = load_positions(segment, &positions, &why);

	if (r < 0)
		return r;
	*ret_consumer = (struct shmp_spsc_consumer){
		.data = segment->data,
		.mask = capacity - 1,
		.tail = positions.tail,
		.quick_least = UINT64_MAX,
		.usual = SHMP_SPSC_PUBLISHED, /* an empty message; usual_size = 0 */
		.message_max = segment->plan.option[SHMP_SPSC_MESSAGE_BYTES_MAX],
		.endpoints = segment->endpoints,
		.control = segment->control,
		.redelivered = positions.seen_to,
		.seen_to = positions.seen_to,
	};
	return 0;
}

/* The broker's side */

static int spsc_plan(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why)
{
	uint64_t capacity = SPSC_CAPACITY_MIN;
	uint64_t message_max = option[SHMP_SPSC_MESSAGE_BYTES_MAX];

	while (capacity < option[SHMP_SPSC_CAPACITY_BYTES])
		capacity <<= 1;
	if (message_max == 0)
		message_max = capacity - SPSC_OVERHEAD;
	if (message_max > capacity - SPSC_OVERHEAD) {
		*ret_why = "a message and 16 bytes must fit into capacity_bytes";
		return SHMP_SPSC_MESSAGE_BYTES_MAX + 1;
	}
	*ret_plan = (struct shmp_plan){
		.data_bytes = capacity,
		.control_bytes = sizeof(struct shmp_spsc_control),
		.endpoint_count = 2,
		.option = { [SHMP_SPSC_CAPACITY_BYTES] = capacity,
			    [SHMP_SPSC_MESSAGE_BYTES_MAX] = message_max },
	};
	ret_plan->ctl_bytes = shmp_segment_ctl_bytes(ret_plan);
	return 0;
}

static void spsc_init(const struct shmp_segment *segment)
{
	/* All zero is an empty ring: position 0, and its header is not published. */
	(void)segment;
}

/* Positions, seen_to and figures stay for the successor; what concerned waiting goes. */
static void spsc_attach(const struct shmp_segment *segment, uint32_t endpoint)
{
	struct shmp_endpoint *self = &segment->endpoints[endpoint];

	/* relaxed: the place is nobody's; the state's release publishes it to the new owner */
	atomic_store_explicit(&self->park_key, 0, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&self->doorbell, 0, memory_order_relaxed);
}

/*
 * All that a dead holder leaves is its waiter bit; ring and positions are taken up by the
 * successor's walk.
 */
static int spsc_repair(const struct shmp_segment *segment, uint32_t endpoint, bool died)
{
	struct shmp_spsc_control *control = segment->control;

	(void)died;
	shmp_waiter_finish(&control->not_empty, endpoint);
	shmp_waiter_finish(&control->not_full, endpoint);
	/* relaxed: a notifier that still sees it rings a bell that nobody hears */
	atomic_store_explicit(&segment->endpoints[endpoint].doorbell, 0, memory_order_relaxed);
	return 0;
}

static void spsc_wake(const struct shmp_segment *segment)
{
	struct shmp_spsc_control *control = segment->control;

	shmp_waiter_wake_all(&control->not_empty);
	shmp_waiter_wake_all(&control->not_full);
}

static bool spsc_waits(const struct shmp_segment *segment, uint32_t endpoint)
{
	const struct shmp_spsc_control *control = segment->control;

	return shmp_waiter_is_set(&control->not_empty, endpoint) ||
	       shmp_waiter_is_set(&control->not_full, endpoint);
}

static int spsc_require_fence(const struct shmp_segment *segment)
{
	struct shmp_spsc_control *control = segment->control;
	int r = shmp_waiter_require_fence(&control->not_empty);

	return r < 0 ? r : shmp_waiter_require_fence(&control->not_full);
}

/* a - b of numbers that move meanwhile: never below 0 */
static uint64_t ahead(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void spsc_figures(const struct shmp_segment *segment, shmp_figure_fn figure, void *context)
{
	const struct shmp_endpoint *producer = &segment->endpoints[SHMP_SPSC_PRODUCER];
	const struct shmp_endpoint *consumer = &segment->endpoints[SHMP_SPSC_CONSUMER];
	/* relaxed: statistics; each is right for some moment */
	uint64_t popped = atomic_load_explicit(&consumer->items, memory_order_relaxed);
	/* relaxed: as above */
	uint64_t pushed = atomic_load_explicit(&producer->items, memory_order_relaxed);
	uint64_t tail = load_cursor(consumer);
	uint64_t depth_bytes = ahead(load_cursor(producer), tail);

	/* Counts may be one message off that its holder died with; the positions are not. */
	figure(context, "depth_messages", depth_bytes != 0 ? ahead(pushed, popped) : 0);
	figure(context, "depth_bytes", depth_bytes);
	figure(context, "capacity_bytes", segment->plan.option[SHMP_SPSC_CAPACITY_BYTES]);
}

/*
 * A message as a looker finds it. It is whole if the consumer, behind whom the producer may write,
 * has not gone past it when it was copied.
 */
static int look_at(const struct shmp_segment *segment, const struct shmp_look *look,
		   struct shmp_item *item)
{
	uint64_t capacity = segment->plan.option[SHMP_SPSC_CAPACITY_BYTES];
	const struct shmp_endpoint *consumer = &segment->endpoints[SHMP_SPSC_CONSUMER];
	const uint8_t *at = segment->data + (look->from & (capacity - 1));
	/* [H] acquire; pairs with shmp_spsc_publish */
	uint64_t header = atomic_load_explicit((const _Atomic uint64_t *)(const void *)at,
					       memory_order_acquire);
	uint64_t size = header ^ SHMP_SPSC_PUBLISHED;
	bool is_sane = size <= segment->plan.option[SHMP_SPSC_MESSAGE_BYTES_MAX];
	uint64_t tail;

	if (is_sane)
		shmp_look_take(look, at + SHMP_SPSC_HEADER, size, item);
	/* the copy comes before the second look at the cursor */
	atomic_thread_fence(memory_order_acquire); /* [P] fence; pairs with shmp_spsc_take_to */
	tail = load_cursor(consumer);
	if (look->from - tail > capacity)
		return LOOK_AGAIN;
	if (header == 0)
		return SHMP_EMPTY;
	return is_sane && shmp_spsc_need(size) <= tail + capacity - look->from ? SHMP_DONE :
										 -EBADMSG;
}

/* In the consumer's hands, or in those of one who died. */
static void say_state(const struct shmp_segment *segment, struct shmp_item *item)
{
	const struct shmp_endpoint *consumer = &segment->endpoints[SHMP_SPSC_CONSUMER];
	/* [I] acquire; pairs with shmp_spsc_say_seen */
	uint64_t seen_to = atomic_load_explicit(&consumer->intent[0], memory_order_acquire);

	item->state = "ready";
	if (item->position >= seen_to)
		return;
	if (shmp_endpoint_is_open(shmp_endpoint_look(consumer)))
		item->flags = SHMP_ITEM_REDELIVERED;
	else
		item->state = "taken";
}

/* Where to begin, given where the consumer is. */
static void look_from(const struct shmp_segment *segment, uint64_t tail, struct shmp_look *look)
{
	uint64_t ahead_of_tail = look->from - tail;

	if (look->from == SHMP_LOOK_NEWEST)
		look->from = load_cursor(&segment->endpoints[SHMP_SPSC_PRODUCER]);
	else if (ahead_of_tail <= segment->plan.option[SHMP_SPSC_CAPACITY_BYTES] &&
		 look->from % 8 == 0)
		return;
	else if (look->from != SHMP_LOOK_OLDEST && tail > look->from)
		look->missed += tail - look->from;
	if (look->from - tail > segment->plan.option[SHMP_SPSC_CAPACITY_BYTES] ||
	    look->from % 8 != 0)
		look->from = tail;
}

static int spsc_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		     void *context)
{
	const struct shmp_endpoint *consumer = &segment->endpoints[SHMP_SPSC_CONSUMER];
	uint64_t capacity = segment->plan.option[SHMP_SPSC_CAPACITY_BYTES];
	uint64_t shown = 0, walked = 0;
	int again = 0;

	/* no further than what it can hold: a busy queue goes on in front of us for ever */
	while (shown < look->max && walked < capacity && again < LOOKS_AGAIN) {
		struct shmp_item item = { .what = "message", .number = UINT64_MAX, .endpoint = -1 };
		uint64_t tail = load_cursor(consumer);
		int r;

		if (tail % 8 != 0)
			return -EBADMSG;
		look_from(segment, tail, look);
		item.position = look->from;
		r = look_at(segment, look, &item);
		if (r == LOOK_AGAIN) {
			again++;
			continue;
		}
		if (r != SHMP_DONE)
			return r == SHMP_EMPTY ? 0 : r;
		say_state(segment, &item);
		r = fn(context, &item);
		if (r != 0)
			return r;
		look->from += shmp_spsc_need(item.size);
		walked += shmp_spsc_need(item.size);
		shown++;
	}
	return 0;
}

static void spsc_require_pieces(const struct shmp_segment *segment)
{
	struct shmp_spsc_control *control = segment->control;

	shmp_waiter_require_pieces(&control->not_empty);
	shmp_waiter_require_pieces(&control->not_full);
}

static const struct shmp_role spsc_roles[] = {
	{ .name = "producer",
	  .first = SHMP_SPSC_PRODUCER,
	  .count = 1,
	  .ctl = SHMP_ACCESS_WRITE,
	  .data = SHMP_ACCESS_WRITE,
	  .writes = true },
	{ .name = "consumer",
	  .first = SHMP_SPSC_CONSUMER,
	  .count = 1,
	  .ctl = SHMP_ACCESS_WRITE,
	  .data = SHMP_ACCESS_READ },
	SHMP_ROLE_OBSERVER,
};

static const struct shmp_option spsc_options[] = {
	[SHMP_SPSC_CAPACITY_BYTES] = { .name = "capacity_bytes",
				       .help = "ring size, rounded up to a power of two",
				       .min = 0,
				       .max = SPSC_CAPACITY_MAX,
				       .preset = 65536 },
	[SHMP_SPSC_MESSAGE_BYTES_MAX] = { .name = "message_bytes_max",
					  .help = "largest message, 0 = capacity_bytes - 16",
					  .min = 0,
					  .max = SPSC_CAPACITY_MAX - SPSC_OVERHEAD,
					  .preset = 0 },
};

const struct shmp_kind shmp_spsc_kind = {
	.name = "spsc",
	.id = 1,
	.version = SHMP_SPSC_VERSION,
	.mirrored = true,
	.streams = true,
	.byte_positions = true,
	.ctl_suffices = true,
	.roles = spsc_roles,
	.role_count = sizeof(spsc_roles) / sizeof(spsc_roles[0]),
	.options = spsc_options,
	.option_count = sizeof(spsc_options) / sizeof(spsc_options[0]),
	.plan = spsc_plan,
	.init = spsc_init,
	.validate = spsc_validate,
	.attach = spsc_attach,
	.repair = spsc_repair,
	.wake = spsc_wake,
	.waits = spsc_waits,
	.require_fence = spsc_require_fence,
	.require_pieces = spsc_require_pieces,
	.figures = spsc_figures,
	.look = spsc_look,
};
