#include "tools/capture.h"

#include <stdlib.h>
#include <string.h>

#define LOOKS_IN_VAIN 10000  /* one after the other that showed nothing new */
#define OVERTAKEN_MAX 100000 /* times that a writer may be a whole ring ahead */
#define RING_OVERHEAD 24     /* of a message in a broadcast, then rounded up to 16 */

/* The position within the direction of @item. A pipe's has one of each, of 32 bits. */
static uint64_t position_of(const struct capture *capture, const struct shmc_item *item)
{
	if (!capture->is_pipe)
		return item->position;
	return (uint32_t)(item->endpoint == 0 ? item->position >> 32 : item->position);
}

static bool is_behind(const struct capture *capture, uint32_t sender, uint64_t position,
		      uint64_t end)
{
	uint64_t part = sender == 0 ? end >> 32 : end;

	if (capture->is_pipe)
		return (int32_t)((uint32_t)position - (uint32_t)part) >= 0;
	return position >= end;
}

static bool has_come_to(const struct capture *capture, uint64_t from, uint64_t end)
{
	if (!capture->is_pipe)
		return from >= end;
	return is_behind(capture, 0, from >> 32, end) && is_behind(capture, 1, from, end);
}

static uint32_t sender_of(const struct capture *capture, const struct shmc_item *item)
{
	return capture->is_pipe ? (uint32_t)item->endpoint : 0;
}

/* Whether it is a message that a receiver is to get. */
static bool is_wanted(const struct capture *capture, const struct shmc_item *item)
{
	if (item->flags & (SHMC_ITEM_UNFINISHED | SHMC_ITEM_GONE))
		return false;
	return !capture->is_pipe || !item->state || strcmp(item->state, "stale") != 0;
}

static bool grow(void **room, uint64_t *have, uint64_t need, uint64_t unit)
{
	uint64_t more = *have ? *have : 64;
	void *larger;

	while (more < need)
		more *= 2;
	if (more == *have)
		return true;
	larger = realloc(*room, more * unit);
	if (!larger)
		return false;
	*room = larger;
	*have = more;
	return true;
}

static bool keep(struct capture *capture, const struct shmc_item *item)
{
	struct capture_message message = {
		.position = position_of(capture, item),
		.number = item->number,
		.at = capture->used,
		.size = item->size,
		.sender = sender_of(capture, item),
		.is_in_hand = item->flags & SHMC_ITEM_REDELIVERED ||
			      (item->state && strcmp(item->state, "taken") == 0),
		.is_metadata = strcmp(item->what, "metadata") == 0,
		.is_for_next = item->state && strcmp(item->state, "for the next host") == 0,
		.is_there = true,
	};
	uint64_t room = capture->room;

	if (!grow((void **)&capture->messages, &room, capture->count + 1,
		  sizeof(*capture->messages)) ||
	    !grow((void **)&capture->bytes, &capture->bytes_room, capture->used + item->size, 1))
		return false;
	capture->room = room;
	if (item->size > 0)
		memcpy(capture->bytes + capture->used, item->data, item->size);
	capture->used += item->size;
	capture->messages[capture->count++] = message;
	return true;
}

#define CAME_TO_END 1

static int copy_item(void *context, const struct shmc_item *item)
{
	struct capture *capture = context;
	bool is_metadata = strcmp(item->what, "metadata") == 0;

	if (!is_metadata &&
	    is_behind(capture, sender_of(capture, item), position_of(capture, item), capture->end))
		return capture->is_pipe ? 0 : CAME_TO_END;
	if (!is_wanted(capture, item))
		return 0;
	if (item->data_bytes == item->size && keep(capture, item))
		return 0;
	capture->has_no_room = true;
	return CAME_TO_END;
}

/* Those before it in the list are gone. */
static int see_item(void *context, const struct shmc_item *item)
{
	struct capture *capture = context;
	uint32_t sender = sender_of(capture, item);
	uint64_t position = position_of(capture, item);
	size_t at = capture->next;

	if (strcmp(item->what, "metadata") == 0)
		return 0;
	if (is_behind(capture, sender, position, capture->limit))
		return capture->is_pipe ? 0 : CAME_TO_END;
	while (at < capture->count && (capture->messages[at].sender != sender ||
				       capture->messages[at].position != position))
		at++;
	if (at == capture->count)
		return 0; /* finished since: it was not there at that moment */
	capture->messages[at].is_there = true;
	capture->next = at + 1;
	return 0;
}

/* Looks from the oldest on until all up to @end was shown. */
static enum shmc_result look_to(struct capture *capture, struct shmc_look *look, uint64_t end,
				shmc_item_fn fn)
{
	enum shmc_result result = SHMC_OK;
	int in_vain = 0;

	look->from = SHMC_LOOK_OLDEST;
	do {
		uint64_t before = look->from;

		result = shmc_observer_look(capture->observer, look, fn, capture);
		in_vain = look->from == before ? in_vain + 1 : 0;
	} while (result == SHMC_OK && !has_come_to(capture, look->from, end) &&
		 in_vain < LOOKS_IN_VAIN);
	return result == SHMC_OK && in_vain == LOOKS_IN_VAIN ? SHMC_BUSY : result;
}

/* Of one receiver, what is before something that is gone is gone as well. */
static void follow_receiver(struct capture *capture)
{
	bool is_gone[2] = { false, false };

	for (size_t i = capture->count; i-- > 0;) {
		struct capture_message *message = &capture->messages[i];

		if (!message->is_there)
			is_gone[message->sender] = true;
		else if (is_gone[message->sender] && !message->is_metadata)
			message->is_there = false;
	}
}

/* What was not seen again is taken out. Where the last of it was, if any. */
static bool take_out(struct capture *capture, uint64_t *ret_last)
{
	size_t kept = 0;
	bool is_less = false;

	for (size_t i = 0; i < capture->count; i++) {
		struct capture_message *message = &capture->messages[i];

		if (message->is_there) {
			capture->messages[kept++] = *message;
		} else {
			*ret_last = message->position;
			is_less = true;
		}
	}
	capture->count = kept;
	return is_less;
}

/*
 * Looks again. Where several receive, what is before the last one that is gone has to be looked at
 * once more, since its receiver may have taken it in the meantime; there is less of it each time.
 */
static enum shmc_result confirm(struct capture *capture)
{
	struct shmc_look look = { .from = SHMC_LOOK_OLDEST };
	enum shmc_result result;

	capture->limit = capture->end;
	do {
		capture->next = 0;
		for (size_t i = 0; i < capture->count; i++) {
			struct capture_message *message = &capture->messages[i];

			message->is_there = message->is_metadata ||
					    is_behind(capture, message->sender, message->position,
						      capture->limit);
		}
		result = look_to(capture, &look, capture->limit, see_item);
		if (!capture->is_shared)
			follow_receiver(capture);
	} while (result == SHMC_OK && take_out(capture, &capture->limit) && capture->is_shared);
	return result;
}

static enum shmc_result find_end(struct capture *capture)
{
	struct shmc_look look = { .from = SHMC_LOOK_NEWEST };
	enum shmc_result result = shmc_observer_look(capture->observer, &look, copy_item, capture);

	capture->end = look.from;
	return result;
}

enum shmc_result capture_queue(struct capture *capture, uint64_t message_bytes_max)
{
	struct shmc_look look = { .buffer_bytes = message_bytes_max ? message_bytes_max : 1 };
	enum shmc_result result = find_end(capture);

	if (result != SHMC_OK)
		return result;
	look.buffer = malloc(look.buffer_bytes);
	if (!look.buffer)
		return SHMC_NO_SPACE;
	result = look_to(capture, &look, capture->end, copy_item);
	free(look.buffer);
	if (result == SHMC_OK && capture->has_no_room)
		return SHMC_NO_SPACE;
	return result == SHMC_OK ? confirm(capture) : result;
}

/* What was copied before a gap has been written over: of @count messages only those behind it stay. */
static void forget(struct capture *capture, size_t count)
{
	size_t left = capture->count - count;

	if (left > 0) {
		struct capture_message *last = &capture->messages[count];

		memmove(capture->bytes, capture->bytes + last->at, last->size);
		capture->messages[0] = *last;
		capture->messages[0].at = 0;
	}
	capture->count = left;
	capture->used = left > 0 ? capture->messages[0].size : 0;
}

static uint64_t all_need(const struct capture *capture)
{
	return capture->used + capture->count * (RING_OVERHEAD + 15);
}

/* One message at a time, to hear at once of what was missed before it. */
static enum shmc_result walk(struct capture *capture, struct shmc_look *look,
			     uint64_t capacity_bytes)
{
	enum shmc_result result;
	uint64_t before, missed;
	int overtaken = 0;
	size_t count;

	do {
		before = look->from;
		missed = look->missed;
		count = capture->count;
		result = shmc_observer_look(capture->observer, look, copy_item, capture);
		if (result == SHMC_OK && look->missed != missed) {
			forget(capture, count);
			overtaken++;
		}
	} while (result == SHMC_OK && look->from != before && !capture->has_no_room &&
		 overtaken < OVERTAKEN_MAX && all_need(capture) < 2 * capacity_bytes);
	return result;
}

/* No more than the ring itself can hold: the newest. */
static void trim(struct capture *capture, uint64_t capacity_bytes)
{
	uint64_t need = 0;
	size_t first = capture->count;

	while (first > 0) {
		need += (capture->messages[first - 1].size + RING_OVERHEAD + 15) / 16 * 16;
		if (need > capacity_bytes)
			break;
		first--;
	}
	capture->count -= first;
	memmove(capture->messages, capture->messages + first,
		capture->count * sizeof(*capture->messages));
}

enum shmc_result capture_ring(struct capture *capture, uint64_t message_bytes_max,
			      uint64_t capacity_bytes)
{
	struct shmc_look look = { .from = SHMC_LOOK_OLDEST,
				  .max = 1,
				  .buffer_bytes = message_bytes_max ? message_bytes_max : 1 };
	enum shmc_result result;

	capture->end = UINT64_MAX;
	look.buffer = malloc(look.buffer_bytes);
	if (!look.buffer)
		return SHMC_NO_SPACE;
	result = walk(capture, &look, capacity_bytes);
	free(look.buffer);
	if (capture->count > 0)
		trim(capture, capacity_bytes);
	return result == SHMC_OK && capture->has_no_room ? SHMC_NO_SPACE : result;
}

void capture_free(struct capture *capture)
{
	free(capture->messages);
	free(capture->bytes);
	*capture = (struct capture){ .observer = NULL };
}
