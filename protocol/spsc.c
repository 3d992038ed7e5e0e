/* spsc: what is not on the fast path. See spsc.h. */
#include "protocol/spsc.h"

#define VALIDATE_LOOKS 16

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
	/* the zero behind the last message takes its place, too */
	uint64_t most = producer->mask;
	uint64_t seen = producer->limit - most;
	/* first, so that what a dead consumer gave back last is counted */
	enum shmp_endpoint_state state = shmp_endpoint_look(producer->peer_place);
	uint64_t tail = shmp_spsc_load_cursor(producer->peer);

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
	enum shmp_endpoint_state state = shmp_endpoint_look(consumer->peer_place);
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
				      producer->mark | size, memory_order_relaxed);
	}
	producer->batch_end = end;
	producer->batch_items++;
	producer->batch_bytes += size;
	return SHMP_DONE;
}

void shmp_spsc_batch_publish(struct shmp_spsc_producer *producer)
{
	struct shmp_endpoint *self = producer->self;
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
	shmp_spsc_show(consumer, count, at);
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
static int load_positions(const struct shmp_spsc_ring *ring, struct positions *ret_positions,
			  const char **ret_why)
{
	/* the zero behind the last message takes its place, too */
	uint64_t most = ring->capacity - SHMP_SPSC_HEADER;
	uint64_t tail = shmp_spsc_load_cursor(ring->consumer);
	/* The head is read later, so it is not behind the tail unless the producer died between a
	 * header and its cursor; then by one message or batch at most, that is by the capacity. */
	uint64_t head = shmp_spsc_load_cursor(ring->producer);
	/* [I] acquire; pairs with shmp_spsc_intend */
	uint64_t seen_to = atomic_load_explicit(&ring->consumer->intent[0], memory_order_acquire);

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
int shmp_spsc_ring_validate(const struct shmp_spsc_ring *ring, const char **ret_why)
{
	struct positions positions;

	for (int i = 0; i < VALIDATE_LOOKS; i++) {
		uint64_t before = shmp_spsc_load_cursor(ring->consumer);
		int r = load_positions(ring, &positions, ret_why);

		if (r == 0 || shmp_spsc_load_cursor(ring->consumer) == before)
			return r;
	}
	return 0;
}

/*
 * Goes from the dead or departed producer's last stored cursor to the first header that is 0: it
 * may have died after the release of a header and before its cursor. Bounded by the ring: every
 * step is at least 8 bytes, and room for the zero behind the last must remain.
 */
static int walk_to_end(const struct shmp_spsc_ring *ring, uint64_t tail, uint64_t *head,
		       uint64_t *ret_bytes)
{
	uint64_t mask = ring->capacity - SHMP_SPSC_HEADER;
	/* what may be published yet; not the position of its end, which a hostile one can wrap */
	uint64_t left = tail + mask - *head;
	uint64_t header, size, need, bytes = 0;

	for (;;) {
		/* [H] acquire; pairs with shmp_spsc_publish */
		header = atomic_load_explicit(shmp_spsc_header(ring->data, mask, *head),
					      memory_order_acquire);
		if (header == 0) {
			*ret_bytes = bytes;
			return 0;
		}
		size = (header & ~ring->tags) ^ SHMP_SPSC_PUBLISHED;
		need = shmp_spsc_need(size);
		if (size > ring->message_max || need > left)
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

int shmp_spsc_ring_attach_producer(const struct shmp_spsc_ring *ring,
				   struct shmp_spsc_producer *ret_producer)
{
	struct shmp_endpoint *self = ring->producer;
	struct positions positions;
	uint64_t head, bytes;
	const char *why;
	int r = load_positions(ring, &positions, &why);

	if (r < 0)
		return r;
	/* The consumer may already have read what the dead one published and had no time to say. */
	head = positions.head - positions.tail < ring->capacity ? positions.head : positions.tail;
	r = walk_to_end(ring, positions.tail, &head, &bytes);
	if (r < 0)
		return r;
	settle_count(self, head);
	shmp_endpoint_count(&self->bytes, bytes);
	/* [Q] release; pairs with shmp_spsc_load_cursor */
	atomic_store_explicit(&self->cursor, head, memory_order_release);
	*ret_producer = (struct shmp_spsc_producer){
		.data = ring->data,
		.mask = ring->capacity - SHMP_SPSC_HEADER,
		.limit = positions.tail + ring->capacity - SHMP_SPSC_HEADER,
		.quick_max = ring->message_max < SHMP_COPY_INLINE ? ring->message_max :
								    SHMP_COPY_INLINE,
		.self = self,
		.not_empty = ring->not_empty,
		.mark = SHMP_SPSC_PUBLISHED,
		.message_max = ring->message_max,
		.batch_head = UINT64_MAX, /* no position */
		.peer = ring->consumer,
		.peer_place = &ring->places[ring->consumer_place],
		.places = ring->places,
		.not_full = ring->not_full,
	};
	return 0;
}

int shmp_spsc_ring_attach_consumer(const struct shmp_spsc_ring *ring,
				   struct shmp_spsc_consumer *ret_consumer)
{
	struct positions positions;
	const char *why;
	int r = load_positions(ring, &positions, &why);

	if (r < 0)
		return r;
	*ret_consumer = (struct shmp_spsc_consumer){
		.data = ring->data,
		.mask = ring->capacity - 1,
		.tail = positions.tail,
		.quick_least = UINT64_MAX,
		.self = ring->consumer,
		.not_full = ring->not_full,
		.mark = SHMP_SPSC_PUBLISHED,
		.message_max = ring->message_max,
		.usual = SHMP_SPSC_PUBLISHED, /* an empty message; usual_size = 0 */
		.short_data = ring->data,
		.long_data = ring->read_data ? ring->read_data : ring->data,
		.redelivered = positions.seen_to,
		.seen_to = positions.seen_to,
		.peer_place = &ring->places[ring->producer_place],
		.places = ring->places,
		.not_empty = ring->not_empty,
	};
	return 0;
}
