/*
 * All codecs that were built, and a value of each that says which it is. Every failure ends the
 * program.
 */
#ifndef SHMT_CODEC_H
#define SHMT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmclient/codec.h"

/* What a codec decodes into. */
union shmt_slot {
	void *pointer;
	uint64_t room[16];
};

struct shmt_codec {
	const struct shmc_codec *codec;
	/* a value to be sent, which holds @number and a text of @bytes, 0 to 100 */
	void *(*make)(uint64_t number, unsigned bytes);
	void (*drop)(void *value);
	/* of a decoded value: its number, and whether the text fits it */
	bool (*is)(const union shmt_slot *slot, uint64_t number, unsigned bytes);
	/* a decoded value as one to be sent */
	const void *(*again)(const union shmt_slot *slot);
};

enum {
	SHMT_CODECS_MAX = 4
};

/* Ends with one whose codec is NULL. */
const struct shmt_codec *shmt_codecs(void);

/* The bytes of a value, exactly as many as they are, to be freed. */
uint8_t *shmt_codec_encode(const struct shmc_codec *codec, const void *value, uint64_t *ret_bytes);

/*
 * The property: whatever the bytes are, they are refused by a result that says so, or they are a value
 * that can be sent again, unless that is refused as well, and stays the same then. Whether they were
 * a value.
 */
bool shmt_codec_feed(const struct shmt_codec *codec, const uint8_t *data, size_t size);

#endif
