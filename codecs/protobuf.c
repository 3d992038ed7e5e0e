/*
 * Protobuf by protobuf-c, which reads a message twice: it gets a copy. It also goes one call deeper for
 * each message inside another, however many there are: so that is counted before.
 */
#include "shmclient/codec_protobuf.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* Messages inside each other, as many as other implementations read. */
#define DEPTH_MAX 100u

static const ProtobufCMessageDescriptor *descriptor_of(const struct shmc_codec *codec)
{
	return ((const struct shmc_codec_protobuf *)codec)->descriptor;
}

/* Measuring and writing. */

static enum shmc_result protobuf_measure(const struct shmc_codec *codec, const void *value,
					 uint64_t *ret_bytes)
{
	const ProtobufCMessage *message = value;

	if (message->descriptor != descriptor_of(codec))
		return SHMC_MISMATCH;
	if (!protobuf_c_message_check(message))
		return SHMC_BAD_VALUE;
	*ret_bytes = protobuf_c_message_get_packed_size(message);
	return SHMC_OK;
}

/* What was measured is what it takes: packing looks at no limit. It moves what it wrote of a message
 * inside another, but goes by nothing that it reads there. */
static enum shmc_result protobuf_encode(const struct shmc_codec *codec, const void *value,
					void *room, uint64_t room_bytes, uint64_t *ret_bytes)
{
	*ret_bytes = protobuf_c_message_pack(value, room);
	return SHMC_OK;
}

/* Reading. */

struct part {
	const uint8_t *at;
	const uint8_t *end;
	const ProtobufCMessageDescriptor *descriptor;
};

/* A number of @max bytes at most; false: it is none. */
static bool take_number(struct part *part, unsigned max, uint64_t *ret_number)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < max && part->at < part->end; i++) {
		uint8_t byte = *part->at++;

		number |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte < 0x80) {
			*ret_number = number;
			return true;
		}
	}
	return false;
}

/* The next field of *part; where it is a message, that becomes *ret_inside. */
static bool take_field(struct part *part, struct part *ret_inside)
{
	const ProtobufCFieldDescriptor *field;
	uint64_t tag, bytes;

	/* protobuf-c takes some of those for fields that it could not read again */
	if (!take_number(part, 5, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
		return false;
	switch (tag & 7) {
	case PROTOBUF_C_WIRE_TYPE_VARINT:
		return take_number(part, 10, &bytes);
	case PROTOBUF_C_WIRE_TYPE_64BIT:
		bytes = 8;
		break;
	case PROTOBUF_C_WIRE_TYPE_32BIT:
		bytes = 4;
		break;
	case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
		if (!take_number(part, 5, &bytes))
			return false;
		break;
	default:
		return false;
	}
	if (bytes > (uint64_t)(part->end - part->at))
		return false;
	field = protobuf_c_message_descriptor_get_field(part->descriptor, (unsigned)(tag >> 3));
	if ((tag & 7) == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED && field &&
	    field->type == PROTOBUF_C_TYPE_MESSAGE)
		*ret_inside = (struct part){ part->at, part->at + bytes, field->descriptor };
	part->at += bytes;
	return true;
}

static bool is_shallow(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
		       uint64_t bytes)
{
	struct part parts[DEPTH_MAX] = { { data, data + bytes, descriptor } };
	unsigned depth = 0;

	for (;;) {
		struct part inside = { .descriptor = NULL };

		while (parts[depth].at == parts[depth].end) {
			if (depth == 0)
				return true;
			depth--;
		}
		if (!take_field(&parts[depth], &inside))
			return false;
		if (!inside.descriptor)
			continue;
		if (++depth == DEPTH_MAX)
			return false;
		parts[depth] = inside;
	}
}

static enum shmc_result protobuf_decode(const struct shmc_codec *codec, const void *data,
					uint64_t bytes, void *ret_value)
{
	const ProtobufCMessageDescriptor *descriptor = descriptor_of(codec);
	ProtobufCMessage *message, **ret_message = ret_value;

	if (!is_shallow(descriptor, data, bytes))
		return SHMC_BAD_VALUE;
	message = protobuf_c_message_unpack(descriptor, NULL, bytes, data);
	if (!message)
		return SHMC_BAD_VALUE;
	*ret_message = message;
	return SHMC_OK;
}

static void protobuf_clear(const struct shmc_codec *codec, void *value)
{
	ProtobufCMessage **message = value;

	protobuf_c_message_free_unpacked(*message, NULL);
	*message = NULL;
}

void shmc_codec_protobuf_init(const struct ProtobufCMessageDescriptor *descriptor,
			      struct shmc_codec_protobuf *ret_codec)
{
	*ret_codec = (struct shmc_codec_protobuf){
		.codec = { .name = "protobuf",
			   .flags = SHMC_CODEC_EXACT,
			   .measure = protobuf_measure,
			   .encode = protobuf_encode,
			   .decode = protobuf_decode,
			   .clear = protobuf_clear },
		.descriptor = descriptor,
	};
}
