/*
 * codec: how a value becomes the bytes of a message and is made of them again. The library brings
 * some (codec_struct.h, codec_json.h), small libraries beside it others (codec_msgpack.h,
 * codec_protobuf.h), and an application adds its own: it fills in this struct, or one that begins
 * with it. Values are sent and received with it by port.h, through every kind of messages.
 *
 * A codec is never changed by those who use it, and serves any number of threads.
 */
#ifndef SHMCLIENT_CODEC_H
#define SHMCLIENT_CODEC_H

#include <stdint.h>

#include "shmclient/result.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_codec;

/**
 * How much room @value needs to be encoded. As cheap as it can be: it comes before each encoding.
 *
 * @param ret_bytes	not less than what encode will write; little more, for room is scarce
 *
 * Return: OK; BAD_VALUE (it cannot be encoded at all), or another result for the caller of send.
 */
typedef enum shmc_result (*shmc_measure_fn)(const struct shmc_codec *codec, const void *value,
					    uint64_t *ret_bytes);

/**
 * Writes the bytes of @value.
 *
 * @param room		@room_bytes writable bytes, aligned to 8. Others may see and change them: what
 *			was written is not to be read again
 * @param room_bytes	as much as was measured; without SHMC_CODEC_EXACT also less, where that is
 *			more than a message may have, or anything, where nothing was measured
 * @param ret_bytes	how many were written
 *
 * Return: OK; TOO_BIG (@room_bytes are too few); BAD_VALUE, or another result for the caller.
 */
typedef enum shmc_result (*shmc_encode_fn)(const struct shmc_codec *codec, const void *value,
					   void *room, uint64_t room_bytes, uint64_t *ret_bytes);

/**
 * Makes a value of bytes that anybody may have written.
 *
 * @param data		@bytes readable bytes, of no alignment; gone when the call returns
 * @param ret_value	where the value goes, of whatever type this codec has; untouched unless OK
 *
 * Return: OK; BAD_VALUE (no value has these bytes), MISMATCH (one of another type has); NO_SPACE, or
 * another result for the caller. Unless OK, nothing stays behind.
 */
typedef enum shmc_result (*shmc_decode_fn)(const struct shmc_codec *codec, const void *data,
					   uint64_t bytes, void *ret_value);

/** Frees what decode made. @value: what decode was given as ret_value. */
typedef void (*shmc_clear_fn)(const struct shmc_codec *codec, void *value);

/** measure says exactly how much encode will write. */
#define SHMC_CODEC_EXACT 1u
/** decode may be given a message where it lies, though another process may change it meanwhile: it
 *  reads each byte once at most, copies what it checks, and keeps no pointer into it. Without this
 *  flag it gets a copy that nobody else knows of. */
#define SHMC_CODEC_IN_PLACE 2u

struct shmc_codec {
	const char *name; /* e.g. "json" */
	uint32_t flags;	  /* SHMC_CODEC_* */
	uint32_t reserved;
	shmc_measure_fn measure; /* NULL: it is encoded beside the message, then copied */
	shmc_encode_fn encode;	 /* NULL: sending says UNSUPPORTED */
	shmc_decode_fn decode;	 /* NULL: receiving says UNSUPPORTED */
	shmc_clear_fn clear;	 /* NULL: there is nothing to be freed */
};

#ifdef __cplusplus
}
#endif

#endif
