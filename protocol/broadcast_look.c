/*
 * broadcast: what is in it, for who only looks: as a reader of overwrite mode, but that it leaves
 * no trace. A message is whole if the tail says so after the copy.
 */
#include "protocol/broadcast.h"
#include "protocol/broadcast_scan.h"
#include "protocol/look.h"

enum {
	SHOW,
	PASS_OVER, /* padding */
	MISS,	   /* written over */
	STOP,	   /* not published: what is behind it cannot be told */
};

/* Who is about to publish @position, if that can be told. */
static int64_t claimant_of(const struct shmp_broadcast *ring, uint64_t position)
{
	struct shmp_broadcast_intent intent;
	int64_t only = -1;

	for (uint32_t i = 0; i < ring->writers; i++) {
		if (!shmp_broadcast_load_intent(&ring->endpoints[i], &intent) ||
		    intent.position > position ||
		    (intent.position < position && position - intent.position >= intent.need))
			continue;
		if (only >= 0)
			return -1;
		only = i;
	}
	return only;
}

/* What lies at @position; how long it is in @ret_need. -EBADMSG for what nobody writes. */
static int judge(const struct shmp_broadcast *ring, const struct shmp_look *look, uint64_t position,
		 struct shmp_item *item, uint64_t *ret_need)
{
	const struct shmp_broadcast_header *header = shmp_broadcast_header(ring, position);
	uint64_t about, size, need, writer;
	bool is_pad;

	if (!shmp_broadcast_is_tagged(ring, position)) {
		if (!shmp_broadcast_is_whole(ring, position))
			return MISS;
		item->state = "claimed";
		item->flags = SHMP_ITEM_UNFINISHED;
		item->endpoint = claimant_of(ring, position);
		return STOP;
	}
	/* relaxed: published by the tag */
	about = atomic_load_explicit(&header->about, memory_order_relaxed);
	/* relaxed: as above */
	item->number = atomic_load_explicit(&header->sequence, memory_order_relaxed);
	size = about & UINT32_MAX;
	writer = about >> 32 & 0xff;
	is_pad = (about >> 48 & SHMP_BROADCAST_PAD) != 0;
	need = shmp_broadcast_about_need(about);
	item->state = "sent";
	item->endpoint = (int64_t)writer;
	if (!is_pad && size <= ring->message_max)
		shmp_look_take(look, (const uint8_t *)header + SHMP_BROADCAST_HEADER, size, item);
	if (!shmp_broadcast_is_whole(ring, position))
		return MISS;
	if ((!is_pad && size > ring->message_max) || need < 2 || need > ring->capacity ||
	    writer >= ring->writers)
		return -EBADMSG;
	*ret_need = need;
	return is_pad ? PASS_OVER : SHOW;
}

int shmp_broadcast_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
			void *context)
{
	struct shmp_broadcast ring;
	int r = shmp_broadcast_view(segment, &ring);
	uint64_t tail = shmp_broadcast_load_tail(&ring) >> 8;
	bool follows = look->from != SHMP_LOOK_OLDEST;
	uint64_t shown = 0, steps = 2 * ring.capacity;

	if (r < 0)
		return r;
	if (look->from > tail)
		look->from = tail;
	/* bounded: a hostile writer could go on in front of us for ever */
	while (look->from < tail && shown < look->max && steps-- > 0) {
		struct shmp_item item = { .what = "message",
					  .position = look->from,
					  .number = UINT64_MAX,
					  .endpoint = -1 };
		uint64_t need = 0, oldest;

		r = judge(&ring, look, look->from, &item, &need);
		if (r == MISS) {
			oldest = shmp_broadcast_find_oldest(&ring, look->from + 1, 1);
			look->missed += follows ?
						(oldest - look->from) << SHMP_BROADCAST_UNIT_SHIFT :
						0;
			look->from = oldest;
			continue;
		}
		if (r == SHOW || r == STOP) {
			int said = fn(context, &item);

			if (said != 0)
				return said;
			shown++;
			follows = true;
		}
		if (r < 0 || r == STOP)
			return r < 0 ? r : 0;
		look->from += need;
	}
	return 0;
}
