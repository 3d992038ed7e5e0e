#include "tools/item.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/varlink.h"
#include "tools/report.h"
#include "tools/text.h"

#define HEX_COLUMNS	  16
#define HEX_BYTES_UNASKED 256

/* To be freed. */
static char *base64(const unsigned char *data, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = must(malloc((size + 2) / 3 * 4 + 1));
	char *to = text;

	for (size_t i = 0; i < size; i += 3) {
		uint32_t three = (uint32_t)data[i] << 16;

		three |= i + 1 < size ? (uint32_t)data[i + 1] << 8 : 0;
		three |= i + 2 < size ? data[i + 2] : 0;
		*to++ = digits[three >> 18];
		*to++ = digits[three >> 12 & 63];
		*to++ = i + 1 < size ? digits[three >> 6 & 63] : '=';
		*to++ = i + 2 < size ? digits[three & 63] : '=';
	}
	*to = '\0';
	return text;
}

/* From a copy: its sender could change it between check and use. */
void item_add_bytes(cJSON *object, const void *data, size_t bytes)
{
	char *copy = must(malloc(bytes + 1));
	char *digits;

	if (bytes > 0)
		memcpy(copy, data, bytes);
	copy[bytes] = '\0';
	if (shmp_json_is_text(copy, bytes)) {
		must(cJSON_AddStringToObject(object, "text", copy));
	} else {
		digits = base64((unsigned char *)copy, bytes);
		must(cJSON_AddStringToObject(object, "base64", digits));
		free(digits);
	}
	free(copy);
}

static void add_string(cJSON *object, const char *key, const char *value)
{
	if (value)
		must(cJSON_AddStringToObject(object, key, value));
}

static void add_flag(cJSON *object, const char *key, bool is_set)
{
	if (is_set)
		must(cJSON_AddTrueToObject(object, key));
}

/* Whole, also where a double would not hold it: the handle of an object in a pool. */
static void add_number(cJSON *object, const char *key, uint64_t number)
{
	char *text;

	if (number == UINT64_MAX)
		return;
	text = must_print("%" PRIu64, number);
	must(cJSON_AddRawToObject(object, key, text));
	free(text);
}

static int print_object(const struct shmc_item *item)
{
	cJSON *object = must(cJSON_CreateObject());

	must(cJSON_AddStringToObject(object, "what", item->what));
	add_string(object, "name", item->name);
	must(cJSON_AddNumberToObject(object, "position", (double)item->position));
	add_number(object, "number", item->number);
	add_string(object, "state", item->state);
	if (item->endpoint >= 0)
		must(cJSON_AddNumberToObject(object, "endpoint", (double)item->endpoint));
	add_flag(object, "redelivered", item->flags & SHMC_ITEM_REDELIVERED);
	add_flag(object, "unfinished", item->flags & SHMC_ITEM_UNFINISHED);
	add_flag(object, "gone", item->flags & SHMC_ITEM_GONE);
	if (item->text) {
		char *text = text_utf8(must_print("%s", item->text));

		add_string(object, "value", text);
		free(text);
	}
	if (item->data) {
		must(cJSON_AddNumberToObject(object, "bytes", (double)item->size));
		item_add_bytes(object, item->data, item->data_bytes);
		add_flag(object, "cut", item->data_bytes < item->size);
	}
	return report_json_take(object);
}

/* Returns how many bytes are shown: all of them, or at most @max. */
static uint64_t print_hex(const struct shmc_item *item, uint64_t max)
{
	const unsigned char *data = item->data;
	uint64_t bytes = item->data_bytes < max ? item->data_bytes : max;

	for (uint64_t at = 0; at < bytes; at += HEX_COLUMNS) {
		uint64_t left = bytes - at;
		uint64_t count = left < HEX_COLUMNS ? left : HEX_COLUMNS;

		printf("\n  %08" PRIx64 " ", at);
		for (uint64_t i = 0; i < HEX_COLUMNS; i++) {
			if (i < count)
				printf(" %02x", data[at + i]);
			else
				fputs("   ", stdout);
		}
		fputs("  ", stdout);
		for (uint64_t i = 0; i < count; i++)
			putchar(data[at + i] >= 0x20 && data[at + i] < 0x7f ? data[at + i] : '.');
	}
	return bytes;
}

/* A few bytes that are no text. */
static void print_digits(const struct shmc_item *item)
{
	const unsigned char *data = item->data;

	putchar(' ');
	for (uint64_t i = 0; i < item->data_bytes; i++)
		printf(" %02x", data[i]);
}

/* UTF-8 without control characters other than blanks, which are shown as '?'. */
static bool is_text(const struct shmc_item *item)
{
	const unsigned char *data = item->data;

	for (uint64_t i = 0; i < item->data_bytes; i++) {
		if (data[i] == 0x7f ||
		    (data[i] < 0x20 && data[i] != '\t' && data[i] != '\n' && data[i] != '\r'))
			return false;
	}
	return true;
}

/* As one line if it is text, else as digits: a screenful of a picture is enough for who did not ask for
 * digits. Returns how many bytes are shown. */
static uint64_t print_text(const struct shmc_item *item)
{
	uint64_t shown = item->data_bytes;
	char *copy = must(malloc(item->data_bytes + 1));

	if (item->data_bytes > 0)
		memcpy(copy, item->data, item->data_bytes);
	copy[item->data_bytes] = '\0';
	if (is_text(item) && shmp_json_is_text(copy, item->data_bytes))
		printf("  %s", text_clean(copy));
	else if (item->data_bytes <= HEX_COLUMNS)
		print_digits(item);
	else
		shown = print_hex(item, HEX_BYTES_UNASKED);
	free(copy);
	return shown;
}

/* A string in a record is whatever its writer wants. */
static void print_value(const char *value)
{
	char *text = must_print("%s", value);

	printf("  %s", text_clean(text));
	free(text);
}

static void print_head(const struct shmc_item *item)
{
	if (item->name)
		printf("%s", item->name);
	else
		printf("%" PRIu64, item->position);
	if (item->number != UINT64_MAX)
		printf("  #%" PRIu64, item->number);
	if (item->state)
		printf("  %s", item->state);
	if (item->flags & SHMC_ITEM_REDELIVERED)
		fputs(", to be redelivered", stdout);
	if (item->endpoint >= 0)
		printf("  endpoint %" PRId64, item->endpoint);
	if (item->data)
		printf("  %" PRIu64 " B", item->size);
}

int item_print(const struct options *options, const struct shmc_item *item)
{
	uint64_t shown = item->data_bytes;

	if (options->json)
		return print_object(item);
	print_head(item);
	if (item->text)
		print_value(item->text);
	else if (item->data && options->hex)
		print_hex(item, UINT64_MAX);
	else if (item->data)
		shown = print_text(item);
	if (item->data && shown < item->size)
		printf("\n  and %" PRIu64 " B more%s", item->size - shown,
		       shown < item->data_bytes ? " (--hex)" : "");
	putchar('\n');
	return ferror(stdout) ? report_flush() : 0;
}
