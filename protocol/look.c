/* look: copying beside those who write. See look.h. */
#include "protocol/look.h"

#include <stddef.h>
#include <string.h>

#if defined(__has_attribute)
#if __has_attribute(no_sanitize_thread)
#define UNWATCHED __attribute__((no_sanitize_thread, noinline))
#endif
#endif
#ifndef UNWATCHED
#define UNWATCHED
#endif

/*
 * A race on purpose: what comes of it counts only if a word says afterwards that there was none.
 */
UNWATCHED void shmp_look_copy(void *to, const void *from, uint64_t bytes)
{
	/* volatile: each byte is loaded once, and no call of memcpy is made of it */
	const volatile uint8_t *byte = from;
	uint8_t *target = to;
	uint64_t at = 0;

	for (; at < bytes && ((uintptr_t)(byte + at) & 7) != 0; at++)
		target[at] = byte[at];
	for (; bytes - at >= 8; at += 8) {
		/* volatile: as above */
		uint64_t word = *(const volatile uint64_t *)(const volatile void *)(byte + at);

		memcpy(target + at, &word, sizeof(word));
	}
	for (; at < bytes; at++)
		target[at] = byte[at];
}

void shmp_look_take(const struct shmp_look *look, const void *from, uint64_t size,
		    struct shmp_item *item)
{
	item->size = size;
	item->payload = NULL;
	item->payload_bytes = 0;
	if (!look->room)
		return;
	item->payload = look->room;
	item->payload_bytes = size < look->room_bytes ? size : look->room_bytes;
	shmp_look_copy(look->room, from, item->payload_bytes);
}
