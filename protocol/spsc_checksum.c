/*
 * spsc: messages with checksums, where the creator wants them. A message's stands in its header, as
 * its tag, and is published with it. Apart from spsc.h, so that those without pay nothing.
 */
#include "protocol/checksum.h"
#include "protocol/spsc.h"

static uint64_t tag_of(const void *payload, uint64_t size)
{
	return (uint64_t)shmp_checksum(payload, size) << SHMP_SPSC_SUM_SHIFT;
}

/* Sending */

/* What is sent next is @size bytes at @payload. */
static void mark(struct shmp_spsc_producer *producer, const void *payload, uint64_t size)
{
	producer->mark = SHMP_SPSC_PUBLISHED | tag_of(payload, size);
}

static const uint8_t *payload_at(const struct shmp_spsc_producer *producer, uint64_t head)
{
	return producer->data + (head & producer->mask) + SHMP_SPSC_HEADER;
}

void shmp_spsc_commit_summed(struct shmp_spsc_producer *producer, uint64_t size)
{
	mark(producer, payload_at(producer, shmp_spsc_head(producer)), size);
	shmp_spsc_commit(producer, size);
}

int shmp_spsc_push_summed(struct shmp_spsc_producer *producer, const void *payload, uint64_t size)
{
	uint8_t *room;
	int r = shmp_spsc_reserve(producer, size, &room);

	if (r != SHMP_DONE)
		return r;
	shmp_copy(room, payload, size);
	shmp_spsc_commit_summed(producer, size);
	return SHMP_DONE;
}

int shmp_spsc_batch_add_summed(struct shmp_spsc_producer *producer, const void *payload,
			       uint64_t size)
{
	/* the first one's header is written at last */
	if (producer->batch_head == shmp_spsc_head(producer) && size <= producer->message_max)
		mark(producer, payload, size);
	return shmp_spsc_batch_add(producer, payload, size);
}

void shmp_spsc_batch_publish_summed(struct shmp_spsc_producer *producer)
{
	if (producer->batch_head == shmp_spsc_head(producer))
		mark(producer, payload_at(producer, producer->batch_head), producer->batch_first);
	shmp_spsc_batch_publish(producer);
}

/* Receiving */

/* As shmp_spsc_next, each message with a tag of its own. */
static int next(struct shmp_spsc_consumer *consumer, uint64_t position,
		struct shmp_spsc_message *ret_message, uint64_t *ret_end, uint64_t *ret_tag)
{
	const uint8_t *at = consumer->data + (position & consumer->mask);

	for (int looks = 0; looks < 2; looks++) {
		/* [spsc.H] acquire; pairs with shmp_spsc_publish */
		uint64_t header = atomic_load_explicit((const _Atomic uint64_t *)(const void *)at,
						       memory_order_acquire);
		int r;

		if (header != 0) {
			*ret_tag = header & SHMP_SPSC_SUM_BITS;
			consumer->mark = SHMP_SPSC_PUBLISHED | *ret_tag;
			return shmp_spsc_next_quick(consumer, position, ret_message, ret_end);
		}
		r = shmp_spsc_empty(consumer, position);
		if (r != SHMP_DONE)
			return r;
	}
	return -EBADMSG; /* what was published is not any more */
}

int shmp_spsc_pop_summed(struct shmp_spsc_consumer *consumer, void *buffer, uint64_t buffer_bytes,
			 struct shmp_spsc_message *ret_message)
{
	uint64_t end, tag;
	int r = next(consumer, consumer->tail, ret_message, &end, &tag);

	if (r != SHMP_DONE)
		return r;
	if (ret_message->size > buffer_bytes)
		return SHMP_TOO_BIG;
	shmp_spsc_intend(consumer, end);
	/* the copy is checked, since a hostile producer may change the ring meanwhile */
	shmp_copy(buffer, ret_message->data, ret_message->size);
	ret_message->data = buffer;
	shmp_spsc_take(consumer, end, 1, ret_message->size);
	return tag_of(buffer, ret_message->size) == tag ? SHMP_DONE : SHMP_DAMAGED;
}

/* Takes the next message, of @size up to @end, which may be shown. */
static void skip(struct shmp_spsc_consumer *consumer, uint64_t end, uint64_t size)
{
	shmp_spsc_intend(consumer, end);
	shmp_spsc_take(consumer, end, 1, size);
	if (consumer->shown_items != 0)
		consumer->shown_items--;
}

int shmp_spsc_peek_summed(struct shmp_spsc_consumer *consumer, struct shmp_spsc_message *messages,
			  uint64_t max, uint64_t *ret_count)
{
	uint64_t at = consumer->tail, end = at, tag, count;
	int r = SHMP_DONE;

	for (count = 0; count < max; count++, at = end) {
		r = next(consumer, at, &messages[count], &end, &tag);
		if (r == SHMP_DONE && tag_of(messages[count].data, messages[count].size) != tag)
			r = SHMP_DAMAGED;
		if (r != SHMP_DONE)
			break;
	}
	if (count == 0 && r == SHMP_DAMAGED)
		skip(consumer, end, messages[0].size);
	if (count == 0)
		return r;
	shmp_spsc_show(consumer, count, at);
	*ret_count = count;
	return SHMP_DONE;
}

int shmp_spsc_release_summed(struct shmp_spsc_consumer *consumer, uint64_t count)
{
	uint64_t at = consumer->tail, shown = consumer->shown, bytes = 0, tag;
	struct shmp_spsc_message message;

	if (count > consumer->shown_items)
		return -EINVAL;
	/* the headers may have been scribbled over since they were shown: bound them again */
	for (uint64_t i = 0; i < count; i++) {
		if (next(consumer, at, &message, &at, &tag) != SHMP_DONE || at > shown)
			return -EBADMSG;
		bytes += message.size;
	}
	consumer->shown_items -= count;
	shmp_spsc_take(consumer, at, count, bytes);
	return SHMP_DONE;
}
