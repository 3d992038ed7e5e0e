/*
 * buffer: what is in it, for who only looks. The bytes are shown in ranges. Of what was written
 * under the lock a range is whole if the lock's word said before the copy that nobody writes, and
 * its count of turns says after the copy what it said before the word: that nobody began to. What
 * is written without the lock nobody can tell.
 */
#include "protocol/buffer.h"

enum {
	RANGE_BYTES = 4096,
	ATTEMPTS = 4,
};

/* Whether nobody wrote since @turns was @before. */
static bool stood_still(const struct shmp_lock *lock, uint64_t before)
{
	/* the copy comes before the second look */
	atomic_thread_fence(memory_order_acquire); /* [lock.T] fence; pairs with shmp_lock_turn */
	return shmp_lock_turns(lock) == before;
}

/* What is to be said of bytes that nobody writes. */
static const char *state_of(uint64_t word)
{
	if ((word & SHMP_LOCK_UNRECOVERABLE) != 0)
		return "given up";
	return (word & SHMP_LOCK_NEEDS_RECOVERY) != 0 ? "left by a dead writer" : NULL;
}

/* Copies a range; what does not stand still after some attempts is shown as what it is. */
static void take(const struct shmp_segment *segment, const struct shmp_look *look, uint64_t bytes,
		 struct shmp_item *item)
{
	const struct shmp_buffer_control *control = segment->control;
	const struct shmp_lock *lock = &control->lock;

	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		uint64_t turns = shmp_lock_turns(lock);
		uint64_t word = shmp_lock_load(lock);

		item->state = state_of(word);
		shmp_look_take(look, segment->data + item->position, bytes, item);
		if (shmp_lock_state_of(word) != SHMP_LOCK_HELD && stood_still(lock, turns))
			return;
	}
	item->state = "being written";
	item->endpoint = shmp_lock_holder(lock, segment);
}

int shmp_buffer_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		     void *context)
{
	uint64_t size = segment->plan.option[SHMP_BUFFER_SIZE_BYTES];
	uint64_t step = RANGE_BYTES;
	uint64_t shown;

	if (look->room && look->room_bytes > 0 && look->room_bytes < step)
		step = look->room_bytes;
	if (look->from > size)
		look->from = size;
	for (shown = 0; look->from < size && shown < look->max; shown++) {
		uint64_t bytes = step < size - look->from ? step : size - look->from;
		struct shmp_item item = { .what = "range",
					  .position = look->from,
					  .number = UINT64_MAX,
					  .endpoint = -1 };
		int r;

		take(segment, look, bytes, &item);
		r = fn(context, &item);
		if (r != 0)
			return r;
		look->from += bytes;
	}
	return 0;
}
