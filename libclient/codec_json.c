/*
 * JSON of cJSON's values. Measuring looks at everything once, and refuses what could not be received;
 * writing then has nothing left to refuse but a lack of room. It goes forward only, and never reads
 * what it wrote: the room may be another process's, too.
 */
#include "shmclient/codec_json.h"

#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/varlink.h"

/* Longest text of a double: sign, 17 digits, point, "e-308". */
#define NUMBER_BYTES 24u
/* Below this whole numbers are written as such: all of them are doubles. */
#define WHOLE_END 9007199254740992.0

/* Characters of a string that take more than themselves: \n and the like, and \u0000. */
static const uint8_t more_bytes[256] = {
	5, 5, 5, 5, 5, 5, 5, 5, 1, 1, 1, 5, 1, 1, 5, 5,		5,
	5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, ['"'] = 1, ['\\'] = 1,
};

/* Measuring. */

static bool is_whole(double number)
{
	return fabs(number) < WHOLE_END && number == (double)(int64_t)number;
}

static bool measure_number(double number, uint64_t *bytes)
{
	uint64_t rest = is_whole(number) ? (uint64_t)fabs(number) : 0;

	if (!isfinite(number))
		return false;
	if (!is_whole(number)) {
		*bytes += NUMBER_BYTES;
		return true;
	}
	*bytes += signbit(number) != 0;
	do
		++*bytes;
	while (rest /= 10);
	return true;
}

static bool measure_string(const char *text, uint64_t *bytes)
{
	const unsigned char *at = (const unsigned char *)text;
	unsigned char seen = 0;
	uint64_t more = 0;

	if (!text)
		return false;
	for (; *at != '\0'; at++) {
		more += more_bytes[*at];
		seen |= *at;
	}
	*bytes += (uint64_t)(at - (const unsigned char *)text) + more + 2;
	return seen < 0x80 || shmp_json_is_text(text, strlen(text));
}

static bool measure_item(const cJSON *item, unsigned depth, uint64_t *bytes);

/* Brackets, commas, names with their colons, and what is inside. */
static bool measure_children(const cJSON *item, bool is_object, unsigned depth, uint64_t *bytes)
{
	const cJSON *child;

	if (depth >= CJSON_NESTING_LIMIT)
		return false;
	*bytes += item->child == NULL;
	for (child = item->child; child; child = child->next) {
		if (is_object && !measure_string(child->string, bytes))
			return false;
		*bytes += 1 + (uint64_t)is_object;
		if (!measure_item(child, depth + 1, bytes))
			return false;
	}
	++*bytes;
	return true;
}

static bool measure_item(const cJSON *item, unsigned depth, uint64_t *bytes)
{
	switch (item->type & 0xff) {
	case cJSON_False:
		*bytes += strlen("false");
		return true;
	case cJSON_True:
	case cJSON_NULL:
		*bytes += strlen("null");
		return true;
	case cJSON_Number:
		return measure_number(item->valuedouble, bytes);
	case cJSON_String:
		return measure_string(item->valuestring, bytes);
	case cJSON_Raw:
		*bytes += item->valuestring ? strlen(item->valuestring) : 0;
		return item->valuestring != NULL;
	case cJSON_Array:
	case cJSON_Object:
		return measure_children(item, cJSON_IsObject(item), depth, bytes);
	default:
		return false;
	}
}

static enum shmc_result json_measure(const struct shmc_codec *codec, const void *value,
				     uint64_t *ret_bytes)
{
	uint64_t bytes = 0;

	if (!measure_item(value, 0, &bytes))
		return SHMC_BAD_VALUE;
	*ret_bytes = bytes;
	return SHMC_OK;
}

/* Writing. */

struct writer {
	uint8_t *at;
	uint8_t *end;
	bool is_full;
};

static void put(struct writer *writer, const void *text, size_t bytes)
{
	if ((size_t)(writer->end - writer->at) < bytes) {
		writer->is_full = true;
		writer->end = writer->at;
		return;
	}
	memcpy(writer->at, text, bytes);
	writer->at += bytes;
}

static void put_byte(struct writer *writer, char byte)
{
	put(writer, &byte, 1);
}

static void put_whole(struct writer *writer, double number)
{
	char text[NUMBER_BYTES];
	size_t at = sizeof(text);
	uint64_t rest = (uint64_t)fabs(number);

	do
		text[--at] = (char)('0' + rest % 10);
	while (rest /= 10);
	if (signbit(number))
		text[--at] = '-';
	put(writer, text + at, sizeof(text) - at);
}

/* As short as 15 digits, if they are enough. */
static void put_number(struct writer *writer, double number)
{
	char text[NUMBER_BYTES + 8], *point;
	int bytes;

	if (is_whole(number)) {
		put_whole(writer, number);
		return;
	}
	bytes = snprintf(text, sizeof(text), "%.15g", number);
	if (strtod(text, NULL) != number)
		bytes = snprintf(text, sizeof(text), "%.17g", number);
	/* the point that the locale writes is one byte, wherever cJSON can read it */
	point = strchr(text, localeconv()->decimal_point[0]);
	if (point)
		*point = '.';
	put(writer, text, (size_t)bytes);
}

static void put_escaped(struct writer *writer, unsigned char byte)
{
	static const char letters[128] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n',  ['\f'] = 'f',
		['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\',
	};
	static const char digits[] = "0123456789abcdef";
	char text[] = "\\u00xx";

	if (more_bytes[byte] == 1) {
		text[1] = letters[byte & 0x7f];
	} else {
		text[4] = digits[byte >> 4];
		text[5] = digits[byte & 15];
	}
	put(writer, text, more_bytes[byte] + 1u);
}

static void put_string(struct writer *writer, const char *text)
{
	const char *from = text;

	put_byte(writer, '"');
	for (; *text != '\0'; text++) {
		if (more_bytes[(unsigned char)*text] == 0)
			continue;
		put(writer, from, (size_t)(text - from));
		put_escaped(writer, (unsigned char)*text);
		from = text + 1;
	}
	put(writer, from, (size_t)(text - from));
	put_byte(writer, '"');
}

static void put_item(struct writer *writer, const cJSON *item);

static void put_children(struct writer *writer, const cJSON *item, bool is_object)
{
	const cJSON *child;

	put_byte(writer, is_object ? '{' : '[');
	for (child = item->child; child; child = child->next) {
		if (is_object) {
			put_string(writer, child->string);
			put_byte(writer, ':');
		}
		put_item(writer, child);
		if (child->next)
			put_byte(writer, ',');
	}
	put_byte(writer, is_object ? '}' : ']');
}

static void put_item(struct writer *writer, const cJSON *item)
{
	switch (item->type & 0xff) {
	case cJSON_False:
		put(writer, "false", 5);
		break;
	case cJSON_True:
		put(writer, "true", 4);
		break;
	case cJSON_NULL:
		put(writer, "null", 4);
		break;
	case cJSON_Number:
		put_number(writer, item->valuedouble);
		break;
	case cJSON_String:
		put_string(writer, item->valuestring);
		break;
	case cJSON_Raw:
		put(writer, item->valuestring, strlen(item->valuestring));
		break;
	default:
		put_children(writer, item, cJSON_IsObject(item));
	}
}

static enum shmc_result json_encode(const struct shmc_codec *codec, const void *value, void *room,
				    uint64_t room_bytes, uint64_t *ret_bytes)
{
	struct writer writer = { .at = room, .end = (uint8_t *)room + room_bytes };

	put_item(&writer, value);
	if (writer.is_full)
		return SHMC_TOO_BIG;
	*ret_bytes = (uint64_t)(writer.at - (uint8_t *)room);
	return SHMC_OK;
}

/* Reading. */

static enum shmc_result json_decode(const struct shmc_codec *codec, const void *data,
				    uint64_t bytes, void *ret_value)
{
	cJSON *item, **ret_item = ret_value;

	if (shmp_json_parse(data, bytes, &item) != 0)
		return SHMC_BAD_VALUE;
	*ret_item = item;
	return SHMC_OK;
}

static void json_clear(const struct shmc_codec *codec, void *value)
{
	cJSON **item = value;

	cJSON_Delete(*item);
	*item = NULL;
}

const struct shmc_codec *shmc_codec_json(void)
{
	/* cJSON looks at strings twice: it gets a copy */
	static const struct shmc_codec codec = { .name = "json",
						 .measure = json_measure,
						 .encode = json_encode,
						 .decode = json_decode,
						 .clear = json_clear };

	return &codec;
}
