/*
 * Messages to cJSON and back. What is checked before cJSON sees the text is what it lets through:
 * bytes that are not UTF-8, and U+0000, which would cut a string short without a word.
 */
#include "protocol/varlink.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first doubles beyond the integers; cppcheck 2.10 misreads 0x1p63. */
#define TWO_TO_63 9223372036854775808.0
#define TWO_TO_64 18446744073709551616.0

/* Bytes of the UTF-8 sequence at @text, 0 when it is none (or NUL). */
static size_t utf8_length(const unsigned char *text, size_t bytes)
{
	/* first byte up to which, sequence length, bounds of the second byte (RFC 3629) */
	static const struct {
		unsigned char last, length, low, high;
	} rows[] = {
		{ 0xc1, 0, 0, 0 },	 { 0xdf, 2, 0x80, 0xbf }, { 0xe0, 3, 0xa0, 0xbf },
		{ 0xec, 3, 0x80, 0xbf }, { 0xed, 3, 0x80, 0x9f }, { 0xef, 3, 0x80, 0xbf },
		{ 0xf0, 4, 0x90, 0xbf }, { 0xf3, 4, 0x80, 0xbf }, { 0xf4, 4, 0x80, 0x8f },
		{ 0xff, 0, 0, 0 },
	};
	size_t row = 0;

	if (text[0] < 0x80)
		return text[0] != '\0';
	while (text[0] > rows[row].last)
		row++;
	if (rows[row].length == 0 || rows[row].length > bytes)
		return 0;
	if (text[1] < rows[row].low || text[1] > rows[row].high)
		return 0;
	for (size_t i = 2; i < rows[row].length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	}
	return rows[row].length;
}

bool shmp_json_is_text(const char *text, size_t bytes)
{
	size_t length;

	for (size_t i = 0; i < bytes; i += length) {
		length = utf8_length((const unsigned char *)text + i, bytes - i);
		if (length == 0)
			return false;
	}
	return true;
}

/* Whether an escape in JSON @text stands for NUL. */
static bool has_nul_escape(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] != '\\')
			continue;
		if (bytes - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0)
			return true;
		i++; /* what is escaped begins no escape */
	}
	return false;
}

int shmp_json_parse(const char *text, size_t bytes, cJSON **ret_item)
{
	const char *end = NULL;
	cJSON *item;

	if (!shmp_json_is_text(text, bytes) || has_nul_escape(text, bytes))
		return -EBADMSG;
	/* cJSON does not say whether it was the text or memory: what fails twice is the text */
	item = cJSON_ParseWithLengthOpts(text, bytes, &end, false);
	if (!item)
		item = cJSON_ParseWithLengthOpts(text, bytes, &end, false);
	if (!item)
		return -EBADMSG;
	/* what cJSON takes for white space; NUL is no text */
	while (end < text + bytes && (unsigned char)*end <= ' ')
		end++;
	if (end != text + bytes) {
		cJSON_Delete(item);
		return -EBADMSG;
	}
	*ret_item = item;
	return 0;
}

/* The whole text must be one object. */
static int parse_object(const char *text, size_t bytes, cJSON **ret_object)
{
	cJSON *object = NULL;

	if (shmp_json_parse(text, bytes, &object) != 0)
		return -EBADMSG;
	if (!cJSON_IsObject(object)) {
		cJSON_Delete(object);
		return -EBADMSG;
	}
	*ret_object = object;
	return 0;
}

/* The object under "parameters", made when there is none. */
static int read_parameters(cJSON *message, cJSON **ret_parameters)
{
	cJSON *parameters = cJSON_GetObjectItemCaseSensitive(message, "parameters");

	if (!parameters || cJSON_IsNull(parameters)) {
		cJSON_DeleteItemFromObjectCaseSensitive(message, "parameters");
		parameters = cJSON_AddObjectToObject(message, "parameters");
		if (!parameters)
			return -ENOMEM;
	}
	if (!cJSON_IsObject(parameters))
		return -EBADMSG;
	*ret_parameters = parameters;
	return 0;
}

static int read_call(struct shmp_varlink_call *call)
{
	if (shmp_json_string(call->message, "method", &call->method) != 0 ||
	    shmp_json_bool(call->message, "oneway", &call->oneway) < 0 ||
	    shmp_json_bool(call->message, "more", &call->more) < 0 ||
	    shmp_json_bool(call->message, "upgrade", &call->upgrade) < 0)
		return -EBADMSG;
	return read_parameters(call->message, &call->parameters);
}

int shmp_varlink_parse_call(const char *text, size_t bytes, struct shmp_varlink_call *ret_call)
{
	struct shmp_varlink_call call = SHMP_VARLINK_CALL_NULL;
	int r = parse_object(text, bytes, &call.message);

	if (r == 0)
		r = read_call(&call);
	if (r < 0) {
		shmp_varlink_call_deinit(&call);
		return r;
	}
	*ret_call = call;
	return 0;
}

static int read_reply(struct shmp_varlink_reply *reply)
{
	reply->error = "";
	if (shmp_json_string(reply->message, "error", &reply->error) < 0 ||
	    shmp_json_bool(reply->message, "continues", &reply->continues) < 0)
		return -EBADMSG;
	return read_parameters(reply->message, &reply->parameters);
}

int shmp_varlink_parse_reply(const char *text, size_t bytes, struct shmp_varlink_reply *ret_reply)
{
	struct shmp_varlink_reply reply = SHMP_VARLINK_REPLY_NULL;
	int r = parse_object(text, bytes, &reply.message);

	if (r == 0)
		r = read_reply(&reply);
	if (r < 0) {
		shmp_varlink_reply_deinit(&reply);
		return r;
	}
	*ret_reply = reply;
	return 0;
}

void shmp_varlink_call_deinit(struct shmp_varlink_call *call)
{
	cJSON_Delete(call->message);
	*call = SHMP_VARLINK_CALL_NULL;
}

void shmp_varlink_reply_deinit(struct shmp_varlink_reply *reply)
{
	cJSON_Delete(reply->message);
	*reply = SHMP_VARLINK_REPLY_NULL;
}

/* Refers to @parameters without owning it; its delete leaves it alone. (What cJSON has for that
 * loses the reference where the key finds no memory.) */
static bool add_parameters(cJSON *message, const cJSON *parameters)
{
	cJSON *reference;

	if (!parameters)
		return cJSON_AddObjectToObject(message, "parameters");
	if (!shmp_json_is_whole(parameters))
		return false;
	reference = cJSON_IsRaw(parameters) ? cJSON_CreateRaw(parameters->valuestring) :
					      cJSON_CreateObjectReference(parameters->child);
	if (reference && cJSON_AddItemToObject(message, "parameters", reference))
		return true;
	cJSON_Delete(reference);
	return false;
}

static bool add_flag(cJSON *message, const char *key, bool value)
{
	return !value || cJSON_AddTrueToObject(message, key);
}

/*
 * Prints and queues; @message and, if @close_fds, the descriptors are gone afterwards, whatever
 * happens. A NULL @message is one that could not be built.
 */
static int queue_message(struct shmp_wire *wire, cJSON *message, size_t bytes_max, const int *fds,
			 size_t fd_count, bool close_fds)
{
	char *text = message ? cJSON_PrintUnformatted(message) : NULL;
	size_t bytes = text ? strlen(text) : 0;
	int r = bytes > bytes_max ? -EMSGSIZE : 0;

	if (r == 0)
		r = shmp_wire_queue(wire, text, bytes, fds, fd_count, close_fds);
	else if (close_fds)
		shmp_wire_close_fds(fds, fd_count);
	cJSON_free(text);
	cJSON_Delete(message);
	return r;
}

int shmp_varlink_queue_call(struct shmp_wire *wire, const char *method, const cJSON *parameters,
			    bool oneway, bool more)
{
	cJSON *message = cJSON_CreateObject();

	if (!cJSON_AddStringToObject(message, "method", method) ||
	    !add_parameters(message, parameters) || !add_flag(message, "oneway", oneway) ||
	    !add_flag(message, "more", more)) {
		cJSON_Delete(message);
		return -ENOMEM;
	}
	return queue_message(wire, message, SHMP_WIRE_REQUEST_BYTES_MAX, NULL, 0, false);
}

int shmp_varlink_queue_reply(struct shmp_wire *wire, const cJSON *parameters, bool continues,
			     const int *fds, size_t fd_count, bool close_fds)
{
	cJSON *message = cJSON_CreateObject();

	if (!add_parameters(message, parameters) || !add_flag(message, "continues", continues)) {
		cJSON_Delete(message);
		message = NULL;
	}
	return queue_message(wire, message, SHMP_WIRE_REPLY_BYTES_MAX, fds, fd_count, close_fds);
}

int shmp_varlink_queue_error(struct shmp_wire *wire, const char *error, const cJSON *parameters)
{
	cJSON *message = cJSON_CreateObject();

	if (!cJSON_AddStringToObject(message, "error", error) ||
	    !add_parameters(message, parameters)) {
		cJSON_Delete(message);
		return -ENOMEM;
	}
	return queue_message(wire, message, SHMP_WIRE_REPLY_BYTES_MAX, NULL, 0, false);
}

/* cJSON has no use for the number of an object or array. */
#define SPOILT (-1)

void shmp_json_spoil(cJSON *object)
{
	if (object)
		object->valueint = SPOILT;
}

bool shmp_json_is_whole(const cJSON *item)
{
	const cJSON *inner;

	if (!item)
		return false;
	if (!cJSON_IsObject(item) && !cJSON_IsArray(item))
		return true;
	if (item->valueint == SPOILT)
		return false;
	cJSON_ArrayForEach(inner, item)
	{
		if (!shmp_json_is_whole(inner))
			return false;
	}
	return true;
}

static int settle(cJSON *object, const cJSON *added)
{
	if (added)
		return 0;
	shmp_json_spoil(object);
	return -ENOMEM;
}

int shmp_json_add_text(cJSON *object, const char *key, const char *text)
{
	return settle(object, cJSON_AddStringToObject(object, key, text));
}

int shmp_json_add_bool(cJSON *object, const char *key, bool value)
{
	return settle(object, cJSON_AddBoolToObject(object, key, value));
}

int shmp_json_put(cJSON *object, const char *key, cJSON *item)
{
	if (object && item && cJSON_AddItemToObject(object, key, item))
		return 0;
	cJSON_Delete(item);
	shmp_json_spoil(object);
	return -ENOMEM;
}

int shmp_json_append(cJSON *array, cJSON *item)
{
	if (array && item && cJSON_AddItemToArray(array, item))
		return 0;
	cJSON_Delete(item);
	shmp_json_spoil(array);
	return -ENOMEM;
}

int shmp_json_add_id(cJSON *array, uint64_t id)
{
	return shmp_json_append(array, cJSON_CreateNumber((double)id));
}

cJSON *shmp_json_add_object(cJSON *object, const char *key)
{
	cJSON *added = cJSON_AddObjectToObject(object, key);

	settle(object, added);
	return added;
}

cJSON *shmp_json_add_array(cJSON *object, const char *key)
{
	cJSON *added = cJSON_AddArrayToObject(object, key);

	settle(object, added);
	return added;
}

int shmp_json_add_u64(cJSON *object, const char *key, uint64_t value)
{
	return shmp_json_add_i64(object, key, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

int shmp_json_add_i64(cJSON *object, const char *key, int64_t value)
{
	char digits[32];

	snprintf(digits, sizeof(digits), "%" PRId64, value);
	return settle(object, cJSON_AddRawToObject(object, key, digits));
}

/* NULL when absent or null, which are the same. */
static const cJSON *find(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNull(item) ? NULL : item;
}

int shmp_json_u64(const cJSON *object, const char *key, uint64_t max, uint64_t *ret_value)
{
	const cJSON *item = find(object, key);
	double number = cJSON_GetNumberValue(item); /* NaN when it is none */

	if (!item)
		return 1;
	/* NaN fails every comparison */
	if (!(number >= 0 && number < TWO_TO_64) || number != (double)(uint64_t)number)
		return -EINVAL;
	if ((uint64_t)number > max)
		return -EINVAL;
	*ret_value = (uint64_t)number;
	return 0;
}

int shmp_json_i64(const cJSON *object, const char *key, int64_t min, int64_t max,
		  int64_t *ret_value)
{
	const cJSON *item = find(object, key);
	double number = cJSON_GetNumberValue(item); /* NaN when it is none */

	if (!item)
		return 1;
	if (!(number >= -TWO_TO_63 && number < TWO_TO_63) || number != (double)(int64_t)number)
		return -EINVAL;
	if ((int64_t)number < min || (int64_t)number > max)
		return -EINVAL;
	*ret_value = (int64_t)number;
	return 0;
}

int shmp_json_bool(const cJSON *object, const char *key, bool *ret_value)
{
	const cJSON *item = find(object, key);

	if (!item)
		return 1;
	if (!cJSON_IsBool(item))
		return -EINVAL;
	*ret_value = cJSON_IsTrue(item);
	return 0;
}

int shmp_json_string(const cJSON *object, const char *key, const char **ret_value)
{
	const cJSON *item = find(object, key);

	if (!item)
		return 1;
	if (!cJSON_IsString(item))
		return -EINVAL;
	*ret_value = item->valuestring;
	return 0;
}

int shmp_json_object(const cJSON *object, const char *key, const cJSON **ret_value)
{
	const cJSON *item = find(object, key);

	if (!item)
		return 1;
	if (!cJSON_IsObject(item))
		return -EINVAL;
	*ret_value = item;
	return 0;
}

int shmp_json_array(const cJSON *object, const char *key, const cJSON **ret_value)
{
	const cJSON *list = find(object, key), *item;

	if (!list)
		return 1;
	if (!cJSON_IsArray(list))
		return -EINVAL;
	cJSON_ArrayForEach(item, list)
	{
		if (!cJSON_IsNumber(item) || item->valuedouble < 0 ||
		    item->valuedouble > 9007199254740991.0)
			return -EINVAL;
	}
	*ret_value = list;
	return 0;
}

const char *shmp_json_repeated(const cJSON *object)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, object)
	{
		if (item->string && cJSON_GetObjectItemCaseSensitive(object, item->string) != item)
			return item->string;
	}
	return NULL;
}
