/*
 * codec_struct: a struct as it lies in memory, behind the number of its type, which both sides must
 * agree on. The fastest codec there is, and good for structs without pointers. Types are those of
 * pipes (pipe.h); a pipe that was made with types checks them by itself and takes structs alone.
 *
 * Sent: const struct ... *. Received: into a struct of the same type; there is nothing to be freed.
 * A message takes 8 bytes more than the struct. Padding goes along: clear it if it is nobody's
 * business.
 */
#ifndef SHMCLIENT_CODEC_STRUCT_H
#define SHMCLIENT_CODEC_STRUCT_H

#include <stdint.h>

#include "shmclient/codec.h"
#include "shmclient/pipe.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The codec of one type; what stands behind `codec` is the library's. */
struct shmc_codec_struct {
	struct shmc_codec codec;
	uint64_t number;
	uint64_t bytes;
};

/**
 * Makes the codec "struct" of a type: with a name, a size from 1 to 2^32 - 1, and fields or none. A
 * message of another type or layout is MISMATCH; one of the right number and another size is
 * BAD_VALUE. Nothing is given back.
 *
 * @param type		is not needed any more afterwards
 * @param ret_codec	use it by its first member
 *
 * Return: OK; INVALID (names the argument).
 * Threads: any. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_codec_struct_init(const struct shmc_pipe_type *type,
					struct shmc_codec_struct *ret_codec,
					struct shmc_error *error);

#ifdef __cplusplus
}
#endif

#endif
