#include "tests/support/codec.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "shmclient/codec_json.h"
#include "shmclient/codec_struct.h"
#include "tests/support/fuzz.h"

#if HAVE_MSGPACK
#include <msgpack.h>

#include "shmclient/codec_msgpack.h"
#endif
#if HAVE_PROTOBUF
#include "sample.pb-c.h"
#include "shmclient/codec_protobuf.h"
#endif

#define TEXT_BYTES 104

static void fill_text(char *text, uint64_t number, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		text[i] = (char)('a' + (number + i) % 26);
	text[bytes] = '\0';
}

static bool is_text(const char *text, size_t length, uint64_t number, unsigned bytes)
{
	char expected[TEXT_BYTES];

	fill_text(expected, number, bytes);
	return length == bytes && (bytes == 0 || memcmp(text, expected, bytes) == 0);
}

static void *allocate(size_t bytes)
{
	void *memory = calloc(1, bytes);

	FUZZ_CHECK(memory);
	return memory;
}

/* struct */

struct sample {
	uint64_t number;
	char text[TEXT_BYTES];
};

static const struct shmc_pipe_field sample_fields[] = {
	SHMC_PIPE_FIELD(struct sample, number, SHMC_TYPE_U64),
	SHMC_PIPE_FIELD(struct sample, text, SHMC_TYPE_STRING),
};

static void *struct_make(uint64_t number, unsigned bytes)
{
	struct sample *sample = allocate(sizeof(*sample));

	sample->number = number;
	fill_text(sample->text, number, bytes);
	return sample;
}

static bool struct_is(const union shmt_slot *slot, uint64_t number, unsigned bytes)
{
	const struct sample *sample = (const struct sample *)slot;

	return sample->number == number &&
	       is_text(sample->text, strnlen(sample->text, TEXT_BYTES), number, bytes);
}

static const void *struct_again(const union shmt_slot *slot)
{
	return slot;
}

static struct shmt_codec struct_codec(void)
{
	static struct shmc_codec_struct codec;
	static const struct shmc_pipe_type type = { .name = "sample",
						    .bytes = sizeof(struct sample),
						    .fields = sample_fields,
						    .field_count = 2 };

	_Static_assert(sizeof(struct sample) <= sizeof(union shmt_slot), "a slot holds it");
	FUZZ_CHECK(shmc_codec_struct_init(&type, &codec, NULL) == SHMC_OK);
	return (struct shmt_codec){ &codec.codec, struct_make, free, struct_is, struct_again };
}

/* JSON */

static void *json_make(uint64_t number, unsigned bytes)
{
	cJSON *object = cJSON_CreateObject();
	char text[TEXT_BYTES];

	fill_text(text, number, bytes);
	FUZZ_CHECK(cJSON_AddNumberToObject(object, "number", (double)number));
	FUZZ_CHECK(cJSON_AddStringToObject(object, "text", text));
	return object;
}

static void json_drop(void *value)
{
	cJSON_Delete(value);
}

static bool json_is(const union shmt_slot *slot, uint64_t number, unsigned bytes)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(slot->pointer, "text"));

	return cJSON_GetNumberValue(cJSON_GetObjectItem(slot->pointer, "number")) ==
		       (double)number &&
	       text && is_text(text, strlen(text), number, bytes);
}

static const void *pointer_again(const union shmt_slot *slot)
{
	return slot->pointer;
}

static struct shmt_codec json_codec(void)
{
	return (struct shmt_codec){ shmc_codec_json(), json_make, json_drop, json_is,
				    pointer_again };
}

/* MessagePack: an array of both. */

#if HAVE_MSGPACK
struct pair {
	msgpack_object object;
	msgpack_object part[2];
	char text[TEXT_BYTES];
};

static void *msgpack_make(uint64_t number, unsigned bytes)
{
	struct pair *pair = allocate(sizeof(*pair));

	fill_text(pair->text, number, bytes);
	pair->part[0].type = MSGPACK_OBJECT_POSITIVE_INTEGER;
	pair->part[0].via.u64 = number;
	pair->part[1].type = MSGPACK_OBJECT_STR;
	pair->part[1].via.str.ptr = pair->text;
	pair->part[1].via.str.size = bytes;
	pair->object.type = MSGPACK_OBJECT_ARRAY;
	pair->object.via.array.ptr = pair->part;
	pair->object.via.array.size = 2;
	return pair;
}

static bool msgpack_is(const union shmt_slot *slot, uint64_t number, unsigned bytes)
{
	const msgpack_object *object = &((const msgpack_unpacked *)slot)->data;
	const msgpack_object *part = object->via.array.ptr;

	return object->type == MSGPACK_OBJECT_ARRAY && object->via.array.size == 2 &&
	       part[0].via.u64 == number && part[1].type == MSGPACK_OBJECT_STR &&
	       is_text(part[1].via.str.ptr, part[1].via.str.size, number, bytes);
}

static const void *msgpack_again(const union shmt_slot *slot)
{
	return &((const msgpack_unpacked *)slot)->data;
}

static struct shmt_codec msgpack_codec(void)
{
	_Static_assert(sizeof(msgpack_unpacked) <= sizeof(union shmt_slot), "a slot holds it");
	return (struct shmt_codec){ shmc_codec_msgpack(), msgpack_make, free, msgpack_is,
				    msgpack_again };
}
#endif

/* Protobuf */

#if HAVE_PROTOBUF
static void *protobuf_make(uint64_t number, unsigned bytes)
{
	Shmt__Sample *sample = allocate(sizeof(*sample));

	shmt__sample__init(sample);
	sample->number = number;
	sample->text = allocate(TEXT_BYTES);
	fill_text(sample->text, number, bytes);
	return sample;
}

static void protobuf_drop(void *value)
{
	free(((Shmt__Sample *)value)->text);
	free(value);
}

static bool protobuf_is(const union shmt_slot *slot, uint64_t number, unsigned bytes)
{
	const Shmt__Sample *sample = slot->pointer;

	return sample->number == number && sample->text &&
	       is_text(sample->text, strlen(sample->text), number, bytes);
}

static struct shmt_codec protobuf_codec(void)
{
	static struct shmc_codec_protobuf codec;

	shmc_codec_protobuf_init(&shmt__sample__descriptor, &codec);
	return (struct shmt_codec){ &codec.codec, protobuf_make, protobuf_drop, protobuf_is,
				    pointer_again };
}
#endif

/* All of them */

const struct shmt_codec *shmt_codecs(void)
{
	static struct shmt_codec codecs[SHMT_CODECS_MAX + 1];
	struct shmt_codec *next = codecs;

	if (codecs[0].codec)
		return codecs;
	*next++ = struct_codec();
	*next++ = json_codec();
#if HAVE_MSGPACK
	*next++ = msgpack_codec();
#endif
#if HAVE_PROTOBUF
	*next++ = protobuf_codec();
#endif
	return codecs;
}

uint8_t *shmt_codec_encode(const struct shmc_codec *codec, const void *value, uint64_t *ret_bytes)
{
	uint64_t measured, bytes;
	uint8_t *room;

	FUZZ_CHECK(codec->measure(codec, value, &measured) == SHMC_OK);
	room = malloc(measured);
	FUZZ_CHECK(room || measured == 0);
	FUZZ_CHECK(codec->encode(codec, value, room, measured, &bytes) == SHMC_OK);
	FUZZ_CHECK(codec->flags & SHMC_CODEC_EXACT ? bytes == measured : bytes <= measured);
	if (bytes > 0)
		room = realloc(room, bytes);
	*ret_bytes = bytes;
	return room;
}

static void clear(const struct shmc_codec *codec, union shmt_slot *slot)
{
	if (codec->clear)
		codec->clear(codec, slot);
}

/* What a value that was received becomes when it is sent, received and sent once more. */
static void send_again(const struct shmt_codec *of, const union shmt_slot *slot)
{
	const struct shmc_codec *codec = of->codec;
	union shmt_slot second = { .pointer = NULL };
	uint64_t measured, bytes, bytes_again;
	uint8_t *room, *room_again;

	/* JSON's 1e999 */
	if (codec->measure(codec, of->again(slot), &measured) != SHMC_OK)
		return;
	room = shmt_codec_encode(codec, of->again(slot), &bytes);
	FUZZ_CHECK(codec->decode(codec, room, bytes, &second) == SHMC_OK);
	room_again = shmt_codec_encode(codec, of->again(&second), &bytes_again);
	FUZZ_CHECK(bytes == bytes_again);
	FUZZ_CHECK(bytes == 0 || memcmp(room, room_again, bytes) == 0);
	clear(codec, &second);
	free(room_again);
	free(room);
}

bool shmt_codec_feed(const struct shmt_codec *of, const uint8_t *data, size_t size)
{
	const struct shmc_codec *codec = of->codec;
	union shmt_slot slot = { .pointer = NULL };
	/* as much as there is and no more: a sanitizer sees who reads behind it */
	uint8_t *copy = malloc(size);
	enum shmc_result result;

	FUZZ_CHECK(copy || size == 0);
	if (size > 0)
		memcpy(copy, data, size);
	result = codec->decode(codec, copy, size, &slot);
	FUZZ_CHECK(result == SHMC_OK || result == SHMC_BAD_VALUE || result == SHMC_MISMATCH);
	/* a value does not need the bytes it was made of */
	free(copy);
	if (result != SHMC_OK) {
		FUZZ_CHECK(!slot.pointer);
		return false;
	}
	send_again(of, &slot);
	clear(codec, &slot);
	return true;
}
