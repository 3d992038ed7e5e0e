/*
 * codec_json: values of cJSON as JSON text in UTF-8, without spaces, without NUL behind it.
 *
 * Sent: const struct cJSON *. Received: struct cJSON **, to be freed with cJSON_Delete().
 *
 * Whatever is sent can be received: numbers that are not finite, text that is not UTF-8 and more than
 * 1000 containers inside each other are BAD_VALUE on both sides. Numbers come back bit by bit, and
 * whole ones below 2^53 are written as plain digits. What cJSON cannot hold is refused rather than
 * cut: U+0000 in a string, anything but spaces behind the value. A cJSON_Raw goes as it is.
 *
 * The text is written into the message by code of ours, not by cJSON, which reads what it has
 * written: another process could have changed it.
 */
#ifndef SHMCLIENT_CODEC_JSON_H
#define SHMCLIENT_CODEC_JSON_H

#include "shmclient/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The codec "json". Threads: any. Context: never blocks; signal-safe. Since: 0.1 */
const struct shmc_codec *shmc_codec_json(void);

#ifdef __cplusplus
}
#endif

#endif
