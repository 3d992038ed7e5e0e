/*
 * codec_msgpack: values of msgpack-c as MessagePack. In a library of its own, libshmclient-msgpack.
 *
 * Sent: const struct msgpack_object *. Received: struct msgpack_unpacked *, which owns the value; to
 * be freed with msgpack_unpacked_destroy(). What it held before is not looked at.
 *
 * More than 32 containers inside each other, and anything behind the value, are BAD_VALUE. A message
 * that says of itself to be larger than it is costs nothing: all of it is checked before the first
 * element gets room.
 */
#ifndef SHMCLIENT_CODEC_MSGPACK_H
#define SHMCLIENT_CODEC_MSGPACK_H

#include "shmclient/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The codec "msgpack". Threads: any. Context: never blocks; signal-safe. Since: 0.1 */
const struct shmc_codec *shmc_codec_msgpack(void);

#ifdef __cplusplus
}
#endif

#endif
