/*
 * MessagePack by msgpack-c, which keeps pointers into what it unpacked: the bytes are copied into the
 * value's own memory first. It also makes room for as many elements as an array says that it has: so
 * all lengths are checked before it sees them.
 */
#include "shmclient/codec_msgpack.h"

#include <msgpack.h>
#include <stdbool.h>
#include <string.h>

/* Containers inside each other; msgpack-c reads no more. */
#define DEPTH_MAX 32u

/* Measuring and writing. */

static bool is_shallow(const msgpack_object *object, unsigned depth)
{
	if (object->type != MSGPACK_OBJECT_ARRAY && object->type != MSGPACK_OBJECT_MAP)
		return true;
	if (depth >= DEPTH_MAX)
		return false;
	if (object->type == MSGPACK_OBJECT_ARRAY) {
		for (uint32_t i = 0; i < object->via.array.size; i++)
			if (!is_shallow(&object->via.array.ptr[i], depth + 1))
				return false;
		return true;
	}
	for (uint32_t i = 0; i < object->via.map.size; i++)
		if (!is_shallow(&object->via.map.ptr[i].key, depth + 1) ||
		    !is_shallow(&object->via.map.ptr[i].val, depth + 1))
			return false;
	return true;
}

static int count_bytes(void *data, const char *from, size_t bytes)
{
	uint64_t *count = data;

	*count += bytes;
	return 0;
}

static enum shmc_result msgpack_measure(const struct shmc_codec *codec, const void *value,
					uint64_t *ret_bytes)
{
	uint64_t bytes = 0;
	msgpack_packer packer;

	if (!is_shallow(value, 0))
		return SHMC_BAD_VALUE;
	msgpack_packer_init(&packer, &bytes, count_bytes);
	if (msgpack_pack_object(&packer, *(const msgpack_object *)value) != 0)
		return SHMC_BAD_VALUE;
	*ret_bytes = bytes;
	return SHMC_OK;
}

struct writer {
	uint8_t *at;
	uint64_t left;
};

static int write_bytes(void *data, const char *from, size_t bytes)
{
	struct writer *writer = data;

	if (bytes > writer->left)
		return -1;
	/* nothing of a value may lie nowhere */
	if (bytes > 0)
		memcpy(writer->at, from, bytes);
	writer->at += bytes;
	writer->left -= bytes;
	return 0;
}

static enum shmc_result msgpack_encode(const struct shmc_codec *codec, const void *value,
				       void *room, uint64_t room_bytes, uint64_t *ret_bytes)
{
	struct writer writer = { .at = room, .left = room_bytes };
	msgpack_packer packer;

	msgpack_packer_init(&packer, &writer, write_bytes);
	/* it was measured: nothing but room can be lacking */
	if (msgpack_pack_object(&packer, *(const msgpack_object *)value) != 0)
		return SHMC_TOO_BIG;
	*ret_bytes = room_bytes - writer.left;
	return SHMC_OK;
}

/* Reading. */

/* What the first byte of an element says, 0xc4 to 0xdf: bytes of the length behind it, bytes of
 * content beside that, and elements for each one counted; 0 elements: the length counts bytes. */
static const struct {
	uint8_t length_bytes, content_bytes, elements;
} heads[] = {
	{ 1, 0, 0 }, { 2, 0, 0 }, { 4, 0, 0 },				  /* bin */
	{ 1, 1, 0 }, { 2, 1, 0 }, { 4, 1, 0 },				  /* ext */
	{ 0, 4, 0 }, { 0, 8, 0 },					  /* float */
	{ 0, 1, 0 }, { 0, 2, 0 }, { 0, 4, 0 }, { 0, 8, 0 },		  /* uint */
	{ 0, 1, 0 }, { 0, 2, 0 }, { 0, 4, 0 }, { 0, 8, 0 },		  /* int */
	{ 0, 2, 0 }, { 0, 3, 0 }, { 0, 5, 0 }, { 0, 9, 0 }, { 0, 17, 0 }, /* fixext */
	{ 1, 0, 0 }, { 2, 0, 0 }, { 4, 0, 0 },				  /* str */
	{ 2, 0, 1 }, { 4, 0, 1 },					  /* array */
	{ 2, 0, 2 }, { 4, 0, 2 },					  /* map */
};

/* The element at *at, which ends at @end at most: how many others are in it; -1: it is none. */
static int64_t skip_head(const uint8_t **at, const uint8_t *end)
{
	uint8_t first = *(*at)++;
	uint64_t content = 0, length = 0;

	if (first <= 0x7f || first >= 0xe0 || first == 0xc0 || first == 0xc2 || first == 0xc3)
		return 0;
	if (first <= 0x8f)
		return (first & 15) * 2;
	if (first <= 0x9f)
		return first & 15;
	if (first == 0xc1)
		return -1;
	if (first <= 0xbf) {
		content = first & 31;
	} else {
		unsigned row = first - 0xc4u;

		if ((size_t)(end - *at) < heads[row].length_bytes)
			return -1;
		for (unsigned i = 0; i < heads[row].length_bytes; i++)
			length = length << 8 | *(*at)++;
		if (heads[row].elements > 0)
			return (int64_t)(length * heads[row].elements);
		content = length + heads[row].content_bytes;
	}
	if (content > (uint64_t)(end - *at))
		return -1;
	*at += content;
	return 0;
}

/* Whether it is one element and nothing else, with no more in it than there are bytes for. */
static bool is_well_formed(const uint8_t *at, uint64_t bytes)
{
	const uint8_t *end = at + bytes;
	int64_t left[DEPTH_MAX + 1] = { 1 };
	unsigned depth = 0;

	for (;;) {
		const uint8_t *head = at;
		int64_t inside;

		while (left[depth] == 0) {
			if (depth == 0)
				return at == end;
			depth--;
		}
		if (at == end)
			return false;
		left[depth]--;
		inside = skip_head(&at, end);
		if (inside < 0 || inside > end - at)
			return false;
		/* the empty ones count, too, as they do in is_shallow */
		if ((*head >= 0x80 && *head <= 0x9f) || (*head >= 0xdc && *head <= 0xdf)) {
			if (depth == DEPTH_MAX)
				return false;
			left[++depth] = inside;
		}
	}
}

static enum shmc_result unpack(msgpack_zone *zone, const void *data, uint64_t bytes,
			       msgpack_object *ret_object)
{
	char *copy = msgpack_zone_malloc(zone, bytes);
	size_t offset = 0;
	int r;

	if (!copy)
		return SHMC_NO_SPACE;
	memcpy(copy, data, bytes);
	if (!is_well_formed((const uint8_t *)copy, bytes))
		return SHMC_BAD_VALUE;
	r = msgpack_unpack(copy, bytes, &offset, zone, ret_object);
	if (r == MSGPACK_UNPACK_NOMEM_ERROR)
		return SHMC_NO_SPACE;
	return r == MSGPACK_UNPACK_SUCCESS ? SHMC_OK : SHMC_BAD_VALUE;
}

static enum shmc_result msgpack_decode(const struct shmc_codec *codec, const void *data,
				       uint64_t bytes, void *ret_value)
{
	msgpack_unpacked *unpacked = ret_value;
	enum shmc_result result;
	msgpack_object object;
	msgpack_zone *zone;

	if (bytes == 0)
		return SHMC_BAD_VALUE;
	zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE);
	if (!zone)
		return SHMC_NO_SPACE;
	result = unpack(zone, data, bytes, &object);
	if (result != SHMC_OK) {
		msgpack_zone_free(zone);
		return result;
	}
	unpacked->zone = zone;
	unpacked->data = object;
	return SHMC_OK;
}

static void msgpack_clear(const struct shmc_codec *codec, void *value)
{
	msgpack_unpacked_destroy(value);
}

const struct shmc_codec *shmc_codec_msgpack(void)
{
	static const struct shmc_codec codec = { .name = "msgpack",
						 .flags = SHMC_CODEC_EXACT | SHMC_CODEC_IN_PLACE,
						 .measure = msgpack_measure,
						 .encode = msgpack_encode,
						 .decode = msgpack_decode,
						 .clear = msgpack_clear };

	return &codec;
}
