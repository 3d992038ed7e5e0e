/*
 * Copy: memcpy for payloads, inline where a message is small. A call costs more than the copy up
 * to two lines; overlapping fixed-size pieces need no loop and no length-dependent jump table,
 * and the same pattern on both sides lets a store be forwarded to the load that follows it.
 */
#ifndef SHMP_COPY_H
#define SHMP_COPY_H

#include <stdint.h>
#include <string.h>

#include "protocol/abi.h"

#define SHMP_COPY_INLINE 128u

struct shmp_copy16 {
	uint64_t half[2];
};

static inline void shmp_copy_step(uint8_t *to, const uint8_t *from, uint64_t at)
{
	struct shmp_copy16 piece;

	memcpy(&piece, from + at, sizeof(piece));
	memcpy(to + at, &piece, sizeof(piece));
}

/*
 * 17 to SHMP_COPY_INLINE bytes: pieces from the front and from the end, which overlap. No address
 * but these two is needed, and so no register that a caller would have to save.
 */
static inline void shmp_copy_pieces(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
	shmp_copy_step(to, from, 0);
	if (bytes > 32) {
		shmp_copy_step(to, from, 16);
		if (bytes > 64) {
			shmp_copy_step(to, from, 32);
			shmp_copy_step(to, from, 48);
			shmp_copy_step(to, from, bytes - 64);
			shmp_copy_step(to, from, bytes - 48);
		}
		shmp_copy_step(to, from, bytes - 32);
	}
	shmp_copy_step(to, from, bytes - 16);
}

/* 1 to 7 bytes. What is 2 or 4 and aligned is loaded whole, as an element of an array must be. */
static inline void shmp_copy_crumbs(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
	if (bytes >= 4) {
		memcpy(to, from, 4);
		memcpy(to + bytes - 4, from + bytes - 4, 4);
	} else if (bytes >= 2) {
		memcpy(to, from, 2);
		if (bytes == 3)
			to[2] = from[2];
	} else {
		to[0] = from[0];
	}
}

/* Kept apart from the inline ones: gcc warns of it in callers whose bounds exclude it. */
static __attribute__((noinline, unused)) void shmp_copy_long(void *to, const void *from,
							     uint64_t bytes)
{
	memcpy(to, from, bytes);
}

/* Up to SHMP_COPY_INLINE bytes, without a call: a caller who knows that needs no stack frame. */
static inline void shmp_copy_short(void *destination, const void *source, uint64_t bytes)
{
	uint8_t *to = destination;
	const uint8_t *from = source;

	if (bytes == 8) {
		memcpy(to, from, 8);
	} else if (bytes <= 8) {
		if (bytes != 0)
			shmp_copy_crumbs(to, from, bytes);
	} else if (bytes <= 16) {
		memcpy(to, from, 8);
		memcpy(to + bytes - 8, from + bytes - 8, 8);
	} else {
		shmp_copy_pieces(to, from, bytes);
	}
}

static inline void shmp_copy(void *destination, const void *source, uint64_t bytes)
{
	if (bytes <= SHMP_COPY_INLINE)
		shmp_copy_short(destination, source, bytes);
	else
		shmp_copy_long(destination, source, bytes);
}

#endif
