/*
 * codec_protobuf: messages of protobuf-c. In a library of its own, libshmclient-protobuf.
 *
 * Sent: const ProtobufCMessage *, that is, &event->base. Received: a pointer to the message, e.g.
 * Event **, to be freed with protobuf_c_message_free_unpacked() or event__free_unpacked().
 *
 * A message of another type than the codec's is MISMATCH where it is sent; where it is received only
 * its bytes are there to be judged by: those of another type may well be a value of this one. Required
 * fields that are missing are BAD_VALUE, and so are more than 100 messages inside each other, which
 * the receiver refuses.
 */
#ifndef SHMCLIENT_CODEC_PROTOBUF_H
#define SHMCLIENT_CODEC_PROTOBUF_H

#include "shmclient/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ProtobufCMessageDescriptor;

/** The codec of one type of messages. */
struct shmc_codec_protobuf {
	struct shmc_codec codec;
	const struct ProtobufCMessageDescriptor *descriptor;
};

/**
 * Makes the codec "protobuf" of a type. Nothing is given back.
 *
 * @param descriptor	e.g. &event__descriptor
 * @param ret_codec	use it by its first member
 *
 * Threads: any. Context: never blocks; signal-safe.
 * Since: 0.1
 */
void shmc_codec_protobuf_init(const struct ProtobufCMessageDescriptor *descriptor,
			      struct shmc_codec_protobuf *ret_codec);

#ifdef __cplusplus
}
#endif

#endif
