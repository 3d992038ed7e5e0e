/*
 * broadcast: what is not on the fast path. See broadcast.h; whose turn it is: broadcast_turn.c; the
 * broker's side: broadcast_kind.c.
 */
#include "protocol/broadcast.h"

#include "protocol/broadcast_scan.h"

#define BATCH_SHARE 4u /* of the ring for one claim: readers and others wait for it */

#ifdef SHMP_BROADCAST_RACES
/* Not seen by the thread sanitizer: what it would report is what validation is there for. */
__attribute__((no_sanitize("thread"))) void shmp_broadcast_copy_racing(void *to, const void *from,
								       uint64_t bytes)
{
	uint8_t *out = to;
	const uint8_t *in = from;

	for (uint64_t i = 0; i < bytes; i++)
		out[i] = in[i];
}
#endif

int shmp_broadcast_view(const struct shmp_segment *segment, struct shmp_broadcast *ret_ring)
{
	const uint64_t *option = segment->plan.option;
	struct shmp_broadcast_control *control = segment->control;
	uint64_t capacity = option[SHMP_BROADCAST_CAPACITY_BYTES];
	uint64_t units = capacity >> SHMP_BROADCAST_UNIT_SHIFT;
	const char *why;

	*ret_ring = (struct shmp_broadcast){
		.data = segment->data,
		.mask = capacity - 1,
		.capacity = units,
		.secret = control->secret,
		.control = control,
		.endpoints = segment->endpoints,
		.tail = shmp_broadcast_tail(segment),
		.message_max = option[SHMP_BROADCAST_MESSAGE_BYTES_MAX],
		.writers = (uint32_t)option[SHMP_BROADCAST_WRITERS_MAX],
		.readers = (uint32_t)option[SHMP_BROADCAST_READERS_MAX],
		.words = shmp_waiter_words(segment->plan.endpoint_count),
		.sixteenth_shift = (uint32_t)__builtin_ctzll(units / SHMP_BROADCAST_BOUNDARIES),
		.blocks = option[SHMP_BROADCAST_BLOCK] != 0,
		.is_exclusive = option[SHMP_BROADCAST_EXCLUSIVE] != 0,
	};
	return shmp_broadcast_kind.validate(segment, &why);
}

/* Writing */

int shmp_broadcast_attach_writer(const struct shmp_segment *segment, uint32_t endpoint,
				 struct shmp_broadcast_writer *ret_writer)
{
	int r;

	r = shmp_broadcast_view(segment, &ret_writer->ring);
	if (r < 0)
		return r;
	ret_writer->self = &segment->endpoints[endpoint];
	ret_writer->endpoint = endpoint;
	ret_writer->quick_max = ret_writer->ring.message_max;
	if (ret_writer->quick_max > SHMP_COPY_INLINE)
		ret_writer->quick_max = SHMP_COPY_INLINE;
	return 0;
}

/* The least of @gate and of where other writers may still be writing. */
static uint64_t scan_writers(const struct shmp_broadcast_writer *writer, uint64_t tail,
			     uint64_t gate)
{
	const struct shmp_broadcast *ring = &writer->ring;

	for (uint32_t i = 0; i < ring->writers; i++) {
		struct shmp_broadcast_intent intent;

		if (i == writer->endpoint ||
		    !shmp_broadcast_load_intent(&ring->endpoints[i], &intent))
			continue;
		/* one that far back has failed, or the tail could not be where it is */
		if (intent.position < gate && intent.position + ring->capacity >= tail)
			gate = intent.position;
	}
	return gate;
}

static uint64_t scan_readers(const struct shmp_broadcast *ring, uint64_t gate)
{
	uint64_t position;

	for (uint32_t i = 0; i < ring->readers; i++) {
		if (shmp_broadcast_load_cursor(&ring->endpoints[ring->writers + i], &position) &&
		    position < gate)
			gate = position;
	}
	return gate;
}

uint64_t shmp_broadcast_scan_gate(const struct shmp_broadcast_writer *writer)
{
	const struct shmp_broadcast *ring = &writer->ring;
	uint64_t tail = shmp_broadcast_load_tail(ring) >> 8;
	uint64_t gate = tail;

	/* [C] fence; pairs with shmp_broadcast_attach_reader. A cursor that is not seen now is
	 * moved to a tail that is not before this one */
	atomic_thread_fence(memory_order_seq_cst);
	if (!ring->is_exclusive)
		gate = scan_writers(writer, tail, gate);
	if (ring->blocks)
		gate = scan_readers(ring, gate);
	return gate + ring->capacity;
}

/* Up to the end of the sixteenth of the ring that @end lies in. -EBADMSG or 0. */
static int raise_horizon(const struct shmp_broadcast *ring, uint64_t end, uint64_t *ret_horizon)
{
	uint64_t horizon = shmp_broadcast_load_horizon(ring);
	uint64_t goal = shmp_round_up(end, UINT64_C(1) << ring->sixteenth_shift);

	for (uint32_t attempt = 0; horizon < end; attempt++) {
		if (attempt == SHMP_BROADCAST_ATTEMPTS)
			return -EBADMSG;
		/* [H] acq_rel; pairs with shmp_broadcast_load_horizon */
		if (atomic_compare_exchange_weak_explicit(&ring->control->horizon, &horizon, goal,
							  memory_order_acq_rel,
							  memory_order_relaxed))
			horizon = goal;
	}
	*ret_horizon = horizon;
	return 0;
}

int shmp_broadcast_room_again(struct shmp_broadcast_writer *writer, uint64_t end)
{
	uint64_t horizon;
	int r;

	if (end > SHMP_BROADCAST_POSITION_MAX)
		return -EBADMSG;
	if (end > writer->gate)
		writer->gate = shmp_broadcast_scan_gate(writer);
	if (end > writer->gate)
		return SHMP_FULL;
	r = raise_horizon(&writer->ring, end, &horizon);
	if (r < 0)
		return r;
	writer->limit = horizon < writer->gate ? horizon : writer->gate;
	return SHMP_DONE;
}

/* How many of the first of @pieces go into @room units, @ret_need together. */
static uint64_t count_fitting(const struct shmp_broadcast_writer *writer,
			      const struct shmp_broadcast_piece *pieces, uint64_t count,
			      uint64_t room, uint64_t *ret_need)
{
	uint64_t need = 0, i;

	for (i = 0; i < count && pieces[i].size <= writer->ring.message_max; i++) {
		uint64_t more = shmp_broadcast_need(pieces[i].size);

		if (need + more > room)
			break;
		need += more;
	}
	*ret_need = need;
	return i;
}

/* What was claimed by replacing @tail. */
static void fill_pieces(struct shmp_broadcast_writer *writer, uint64_t tail,
			const struct shmp_broadcast_piece *pieces, uint64_t count)
{
	struct shmp_endpoint *self = writer->self;
	/* relaxed: only this thread writes it */
	uint64_t sequence = atomic_load_explicit(&self->items, memory_order_relaxed);
	uint64_t position = tail >> 8, prev = tail & 0xff, bytes = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t size = pieces[i].size, need = shmp_broadcast_need(size);

		shmp_broadcast_copy(&writer->ring, shmp_broadcast_payload(&writer->ring, position),
				    pieces[i].data, size);
		shmp_broadcast_publish(&writer->ring, position, need,
				       shmp_broadcast_about(size, writer->endpoint, prev, 0),
				       sequence + i);
		position += need;
		prev = writer->endpoint + UINT64_C(1);
		bytes += size;
	}
	/* relaxed: a count; until the intent is cleared, repair takes it from the headers */
	atomic_store_explicit(&self->items, sequence + count, memory_order_relaxed);
	shmp_endpoint_count(&self->bytes, bytes);
	shmp_broadcast_intend(self, 0);
}

int shmp_broadcast_push_pieces(struct shmp_broadcast_writer *writer,
			       const struct shmp_broadcast_piece *pieces, uint64_t count,
			       uint64_t *ret_count)
{
	uint64_t first = shmp_broadcast_need(pieces[0].size), share, need, tail;
	int r;

	if (pieces[0].size > writer->ring.message_max)
		return SHMP_TOO_BIG;
	share = writer->ring.capacity / BATCH_SHARE;
	count = count_fitting(writer, pieces, count, share > first ? share : first, &need);
	r = shmp_broadcast_take(writer, need, &tail);
	if (r == SHMP_FULL && count > 1) {
		/* fewer, by the gate that was just looked at */
		tail = shmp_broadcast_load_tail(&writer->ring) >> 8;
		share = writer->gate > tail ? writer->gate - tail : 0;
		count = count_fitting(writer, pieces, count, share, &need);
		if (count > 0)
			r = shmp_broadcast_take(writer, need, &tail);
	}
	if (r != SHMP_DONE)
		return r;
	fill_pieces(writer, tail, pieces, count);
	*ret_count = count;
	return SHMP_DONE;
}

int shmp_broadcast_reserve(struct shmp_broadcast_writer *writer, uint64_t size,
			   uint8_t **ret_payload)
{
	uint64_t need = shmp_broadcast_need(size);
	int r;

	if (size > writer->ring.message_max)
		return SHMP_TOO_BIG;
	r = shmp_broadcast_take(writer, need, &writer->held);
	if (r != SHMP_DONE)
		return r;
	writer->is_holding = true;
	writer->held_need = need;
	*ret_payload = shmp_broadcast_payload(&writer->ring, writer->held >> 8);
	return SHMP_DONE;
}

/* Padding over what was claimed at @position and is not used. */
static void publish_padding(const struct shmp_broadcast_writer *writer, uint64_t position,
			    uint64_t need, uint64_t prev)
{
	/* relaxed: only this thread writes it */
	uint64_t sequence = atomic_load_explicit(&writer->self->items, memory_order_relaxed);

	shmp_broadcast_publish(&writer->ring, position, need,
			       shmp_broadcast_about(need << SHMP_BROADCAST_UNIT_SHIFT,
						    writer->endpoint, prev, SHMP_BROADCAST_PAD),
			       sequence);
}

void shmp_broadcast_commit(struct shmp_broadcast_writer *writer, uint64_t size)
{
	uint64_t need = shmp_broadcast_need(size);
	uint64_t left = writer->held_need - need;
	uint64_t flags = left == 1 ? SHMP_BROADCAST_SLACK : 0;

	/* the tail stays where it is, since readers may have seen it: the rest becomes padding */
	if (left > 1)
		publish_padding(writer, (writer->held >> 8) + need, left,
				writer->endpoint + UINT64_C(1));
	else
		need = writer->held_need;
	shmp_broadcast_settle(writer, writer->held, need, size, flags);
	writer->is_holding = false;
}

void shmp_broadcast_abort(struct shmp_broadcast_writer *writer)
{
	publish_padding(writer, writer->held >> 8, writer->held_need, writer->held & 0xff);
	shmp_broadcast_intend(writer->self, 0);
	writer->is_holding = false;
}

/* Reading */

static uint64_t oldest_of(uint64_t candidate, uint64_t least, uint64_t oldest)
{
	return candidate >= least && candidate < oldest ? candidate : oldest;
}

uint64_t shmp_broadcast_find_oldest(const struct shmp_broadcast *ring, uint64_t least,
				    uint64_t later)
{
	uint64_t tail = shmp_broadcast_load_tail(ring) >> 8;
	uint64_t oldest = tail, position;

	if (tail > ring->capacity && tail - ring->capacity > least)
		least = tail - ring->capacity;
	else if (least == 0)
		return 0;
	least += later << ring->sixteenth_shift;
	for (uint32_t i = 0; i < SHMP_BROADCAST_BOUNDARIES; i++) {
		/* relaxed: a hint; the tag there decides */
		position = atomic_load_explicit(&ring->control->boundary[i], memory_order_relaxed);
		oldest = oldest_of(position, least, oldest);
	}
	for (uint32_t i = 0; i < ring->writers; i++) {
		struct shmp_broadcast_intent intent;

		if (shmp_broadcast_load_intent(&ring->endpoints[i], &intent))
			oldest = oldest_of(intent.position, least, oldest);
	}
	return oldest;
}

/* Of a writer that the reader has not seen yet nobody can say how much is lost, but that some is. */
static bool may_lose_unseen(const struct shmp_broadcast_reader *reader)
{
	for (uint32_t i = 0; i < reader->ring.writers; i++) {
		/* relaxed: a writer that begins just now is seen in time */
		if (reader->next[i] == SHMP_BROADCAST_UNKNOWN &&
		    atomic_load_explicit(&reader->ring.endpoints[i].items, memory_order_relaxed))
			return true;
	}
	return false;
}

/* Where to begin, or to go on: where nothing may be lost, not behind where the reader joined. */
static uint64_t oldest_for(const struct shmp_broadcast_reader *reader, uint64_t least,
			   uint64_t later)
{
	uint64_t oldest = shmp_broadcast_find_oldest(&reader->ring, least, later);

	if (reader->ring.blocks && least <= reader->joined && reader->joined < oldest)
		return reader->joined;
	return oldest;
}

void shmp_broadcast_lapped(struct shmp_broadcast_reader *reader, uint32_t attempt)
{
	/* one who is lapped again and again starts further away from the edge */
	uint64_t later = attempt < SHMP_BROADCAST_BOUNDARIES ? attempt : SHMP_BROADCAST_BOUNDARIES;

	shmp_broadcast_move_to(reader, oldest_for(reader, reader->position + 1, later));
	reader->laps++;
	if (may_lose_unseen(reader))
		reader->has_skipped = true;
}

int shmp_broadcast_nothing(struct shmp_broadcast_reader *reader, uint32_t attempt)
{
	const struct shmp_broadcast *ring = &reader->ring;
	uint64_t last = reader->position + ring->capacity;
	uint64_t horizon = shmp_broadcast_load_horizon(ring);

	shmp_broadcast_ask_ahead(reader);
	if (horizon <= last)
		return horizon >= reader->position ? SHMP_EMPTY : -EBADMSG;
	if (shmp_broadcast_load_tail(ring) >> 8 <= last)
		return SHMP_EMPTY;
	shmp_broadcast_lapped(reader, attempt);
	return SHMP_DONE;
}

int shmp_broadcast_odd(struct shmp_broadcast_reader *reader, uint64_t about, uint32_t attempt)
{
	const struct shmp_broadcast *ring = &reader->ring;
	uint64_t need = (about & UINT32_MAX) >> SHMP_BROADCAST_UNIT_SHIFT;

	if (!shmp_broadcast_is_valid(reader)) {
		shmp_broadcast_lapped(reader, attempt);
		return SHMP_DONE;
	}
	if ((about >> 48 & SHMP_BROADCAST_PAD) == 0 || need < 2 || need > ring->capacity)
		return -EBADMSG;
	shmp_broadcast_move_to(reader, reader->position + need);
	return SHMP_DONE;
}

/* Says in @message what is lost before it. */
static void measure_gap(const struct shmp_broadcast_reader *reader,
			struct shmp_broadcast_message *message)
{
	uint64_t next = reader->next[message->writer];

	if (next != SHMP_BROADCAST_UNKNOWN && message->sequence > next)
		message->lost = message->sequence - next;
	if (message->lost != 0 || reader->has_skipped)
		message->flags |= SHMP_BROADCAST_LOST;
}

void shmp_broadcast_gap(struct shmp_broadcast_reader *reader,
			struct shmp_broadcast_message *message)
{
	measure_gap(reader, message);
	reader->has_skipped = false;
	reader->lost[message->writer] += message->lost;
	shmp_endpoint_count(&reader->self->intent[0], message->lost);
}

uint64_t shmp_broadcast_total_lost(const struct shmp_endpoint *reader)
{
	/* relaxed: a statistic; a reader has no other use for its intent */
	return atomic_load_explicit(&reader->intent[0], memory_order_relaxed);
}

int shmp_broadcast_peek(struct shmp_broadcast_reader *reader,
			struct shmp_broadcast_message *ret_message)
{
	for (uint32_t attempt = 0;; attempt++) {
		int r = shmp_broadcast_next(reader, &reader->shown, &attempt);

		if (r != SHMP_DONE)
			return r;
		if (shmp_broadcast_is_valid(reader))
			break;
		shmp_broadcast_lapped(reader, attempt);
	}
	measure_gap(reader, &reader->shown);
	reader->is_showing = true;
	*ret_message = reader->shown;
	return SHMP_DONE;
}

int shmp_broadcast_release(struct shmp_broadcast_reader *reader,
			   struct shmp_broadcast_message *ret_message)
{
	reader->is_showing = false;
	if (!shmp_broadcast_is_valid(reader)) {
		shmp_broadcast_lapped(reader, 0);
		return SHMP_EMPTY;
	}
	shmp_broadcast_accept(reader, &reader->shown);
	*ret_message = reader->shown;
	return SHMP_DONE;
}

/* One step of the search from @position: notes the first message of each writer in @found. */
static int search_step(const struct shmp_broadcast *ring, uint64_t *position, uint64_t *found)
{
	struct shmp_broadcast_header *header = shmp_broadcast_header(ring, *position);
	uint64_t about, sequence, need;
	uint32_t who;

	if (!shmp_broadcast_is_tagged(ring, *position))
		return SHMP_EMPTY;
	/* relaxed: published by the tag */
	about = atomic_load_explicit(&header->about, memory_order_relaxed);
	/* relaxed: as above */
	sequence = atomic_load_explicit(&header->sequence, memory_order_relaxed);
	if (!shmp_broadcast_is_whole(ring, *position))
		return SHMP_EMPTY;
	who = about >> 32 & 0xff;
	need = shmp_broadcast_about_need(about);
	if ((about >> 48 & SHMP_BROADCAST_PAD) == 0 && who < ring->writers &&
	    found[who] == SHMP_BROADCAST_UNKNOWN)
		found[who] = sequence;
	if (need < 2 || need > ring->capacity || who >= ring->writers)
		return -EBADMSG;
	*position += need;
	return SHMP_DONE;
}

int shmp_broadcast_count_lost(struct shmp_broadcast_reader *reader, uint64_t *ret_lost)
{
	const struct shmp_broadcast *ring = &reader->ring;
	uint64_t sent[SHMP_ENDPOINTS_MAX], found[SHMP_ENDPOINTS_MAX];
	uint64_t tail, position = reader->position;
	int r = SHMP_DONE;

	/* first what was sent, then up to where: it lies before that */
	for (uint32_t i = 0; i < ring->writers; i++) {
		/* relaxed: the fence below orders them */
		sent[i] = atomic_load_explicit(&ring->endpoints[i].items, memory_order_relaxed);
		found[i] = SHMP_BROADCAST_UNKNOWN;
		ret_lost[i] = reader->lost[i];
	}
	/* [O] fence; pairs with shmp_broadcast_take, which comes between claim and count */
	atomic_thread_fence(memory_order_acquire);
	tail = shmp_broadcast_load_tail(ring) >> 8;
	if (tail > position + ring->capacity)
		position = shmp_broadcast_find_oldest(ring, position + 1, 0);
	while (r == SHMP_DONE && position < tail)
		r = search_step(ring, &position, found);
	for (uint32_t i = 0; i < ring->writers; i++) {
		uint64_t end = found[i];

		if (end == SHMP_BROADCAST_UNKNOWN && r == SHMP_DONE)
			end = sent[i];
		if (end != SHMP_BROADCAST_UNKNOWN && reader->next[i] != SHMP_BROADCAST_UNKNOWN &&
		    end > reader->next[i])
			ret_lost[i] += end - reader->next[i];
	}
	return r;
}

/* What every writer has sent before @position, the tail, if that can be told just now. */
static void learn_sequences(struct shmp_broadcast_reader *reader, uint64_t position)
{
	const struct shmp_broadcast *ring = &reader->ring;
	uint64_t next[SHMP_ENDPOINTS_MAX];

	for (uint32_t i = 0; i < ring->writers; i++) {
		struct shmp_broadcast_intent intent;

		if (shmp_broadcast_load_intent(&ring->endpoints[i], &intent))
			return;
		/* relaxed: not ordered against the tail but by the fence below */
		next[i] = atomic_load_explicit(&ring->endpoints[i].items, memory_order_relaxed);
	}
	/* [O] fence; pairs with shmp_broadcast_take, which comes between claim and count */
	atomic_thread_fence(memory_order_acquire);
	if (shmp_broadcast_load_tail(ring) >> 8 != position)
		return;
	for (uint32_t i = 0; i < ring->writers; i++)
		reader->next[i] = next[i];
}

/* Registers the reader: from here on, in block mode, nothing at or behind joined is overwritten. */
static void join(struct shmp_broadcast_reader *reader)
{
	const struct shmp_broadcast *ring = &reader->ring;
	uint64_t tail = shmp_broadcast_load_tail(ring) >> 8;

	/* relaxed: the fence orders it */
	atomic_store_explicit(&reader->self->cursor, tail << 8 | SHMP_BROADCAST_ACTIVE,
			      memory_order_relaxed);
	/* [C] fence; pairs with shmp_broadcast_scan_gate */
	atomic_thread_fence(memory_order_seq_cst);
	reader->joined = shmp_broadcast_load_tail(ring) >> 8;
	shmp_broadcast_move_to(reader, reader->joined);
	reader->validate_below = ring->blocks ? reader->joined : UINT64_MAX;
}

/* Whether the claim from @from on leads to @position, over messages of it that are there. */
static bool leads_to(const struct shmp_broadcast *ring, uint64_t from, uint64_t position)
{
	while (from < position && position - from <= ring->capacity &&
	       shmp_broadcast_is_tagged(ring, from)) {
		/* relaxed: published by the tag */
		uint64_t about = atomic_load_explicit(&shmp_broadcast_header(ring, from)->about,
						      memory_order_relaxed);

		if (shmp_broadcast_about_need(about) < 2)
			return false;
		from += shmp_broadcast_about_need(about);
	}
	return from == position;
}

/* Whether a message begins at @position, or is going to. */
static bool is_beginning(const struct shmp_broadcast *ring, uint64_t position)
{
	if (shmp_broadcast_is_tagged(ring, position))
		return true;
	for (uint32_t i = 0; i < ring->writers; i++) {
		struct shmp_broadcast_intent intent;

		if (shmp_broadcast_load_intent(&ring->endpoints[i], &intent) &&
		    leads_to(ring, intent.position, position))
			return true;
	}
	return shmp_broadcast_is_tagged(ring, position);
}

static int start_at(struct shmp_broadcast_reader *reader, uint64_t position)
{
	const struct shmp_broadcast *ring = &reader->ring;

	if (position > reader->joined)
		return -EINVAL;
	if (position != reader->joined && !is_beginning(ring, position)) {
		/* looked at before the tail, so that it was not overwritten only after */
		if (shmp_broadcast_load_tail(ring) >> 8 <= position + ring->capacity)
			return -EINVAL;
	}
	reader->position = position;
	if (shmp_broadcast_is_whole(ring, position))
		return 0;
	reader->has_skipped = true;
	shmp_broadcast_lapped(reader, 0);
	return 0;
}

int shmp_broadcast_attach_reader(const struct shmp_segment *segment, uint32_t endpoint,
				 enum shmp_broadcast_from from, uint64_t position,
				 struct shmp_broadcast_reader *ret_reader)
{
	struct shmp_broadcast_reader *reader = ret_reader;
	int r;

	r = shmp_broadcast_view(segment, &reader->ring);
	if (r < 0)
		return r;
	reader->self = &segment->endpoints[endpoint];
	reader->endpoint = endpoint;
	for (uint32_t i = 0; i < reader->ring.writers; i++)
		reader->next[i] = SHMP_BROADCAST_UNKNOWN;
	join(reader);
	if (from == SHMP_BROADCAST_FROM_OLDEST)
		reader->position = oldest_for(reader, 0, 0);
	else if (from == SHMP_BROADCAST_FROM_POSITION)
		r = start_at(reader, position);
	else
		learn_sequences(reader, reader->position);
	/* from the first message of all on, everybody's first is number 0 */
	for (uint32_t i = 0; i < reader->ring.writers && reader->position == 0; i++)
		reader->next[i] = 0;
	return r;
}
