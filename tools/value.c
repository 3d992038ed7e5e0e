/*
 * Commands get and set: values that say of themselves what they are, in records, arrays and
 * atomics. get is an observer and disturbs nobody.
 */
#include "tools/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/type.h"
#include "shmclient/shmclient.h"
#include "tools/commands.h"
#include "tools/control.h"
#include "tools/queue.h"
#include "tools/report.h"
#include "tools/show.h"
#include "tools/text.h"

#define TEXT_BYTES (64u << 10)

struct target {
	const struct options *options;
	const char *name;
	struct shmc_client *client;
	char kind[32];
};

static int connect_client(const struct options *options, struct shmc_client **ret_client)
{
	char room[CONTROL_PATH_BYTES];
	struct shmc_client_options client = { .address = control_client_path(options, room),
					      .name = "shmbrokerctl" };
	struct shmc_error error;

	if (shmc_connect(&client, ret_client, &error) == SHMC_OK)
		return 0;
	return queue_report_error(&error);
}

/* Connects, and asks what kind it is. */
static int target_open(const struct options *options, struct target *ret_target)
{
	struct shmc_observer *observer;
	struct shmc_error error;
	int code;

	*ret_target = (struct target){ .options = options, .name = options->arguments[0] };
	code = connect_client(options, &ret_target->client);
	if (code)
		return code;
	if (shmc_observer_open(ret_target->client, ret_target->name, &observer, &error) !=
	    SHMC_OK) {
		code = queue_report_error(&error);
		shmc_disconnect(ret_target->client);
		return code;
	}
	snprintf(ret_target->kind, sizeof(ret_target->kind), "%s", shmc_observer_kind(observer));
	shmc_observer_close(observer);
	return 0;
}

static const char *argument(const struct target *target, size_t index)
{
	return index < target->options->argument_count ? target->options->arguments[index] : NULL;
}

static int report_result(const struct target *target, const char *what, enum shmc_result result)
{
	return report(result == SHMC_TIMEOUT ? EXIT_TIMEOUT : EXIT_REFUSED,
		      shmc_result_name(result), "'%s'%s%s: %s", target->name, what ? ", " : "",
		      what ? what : "", shmc_result_text(result));
}

static int wants(const struct target *target, size_t count, const char *usage)
{
	if (target->options->argument_count == count)
		return 0;
	return report(EXIT_USAGE, "Usage", "'%s' is of kind %s: %s", target->name, target->kind,
		      usage);
}

static int show(const struct target *target, const char *field, char *text)
{
	cJSON *object;

	if (!target->options->json) {
		printf("%s\n", text_clean(text));
		return report_flush();
	}
	object = must(cJSON_CreateObject());
	must(cJSON_AddStringToObject(object, "name", target->name));
	if (field)
		must(cJSON_AddStringToObject(object, "field", field));
	must(cJSON_AddStringToObject(object, "value", text_utf8(text)));
	return report_json_take(object);
}

/* Records */

static int show_item(void *context, const struct shmc_item *item)
{
	const struct target *target = context;
	char *text = must_print("%s", item->text ? item->text : "");

	if (target->options->json)
		show(target, item->name, text);
	else
		printf("%s = %s\n", item->name ? item->name : "", text_clean(text));
	free(text);
	return 0;
}

/* All fields of one version. */
static int get_all(const struct target *target)
{
	struct shmc_observer *observer;
	struct shmc_look look = { .from = SHMC_LOOK_OLDEST };
	struct shmc_error error;
	enum shmc_result result;

	if (shmc_observer_open(target->client, target->name, &observer, &error) != SHMC_OK)
		return queue_report_error(&error);
	result = shmc_observer_look(observer, &look, show_item, (void *)target);
	shmc_observer_close(observer);
	return result == SHMC_OK ? report_flush() : report_result(target, NULL, result);
}

static int get_record(const struct target *target)
{
	const char *field = argument(target, 1);
	struct shmc_record *record;
	struct shmc_error error;
	enum shmc_result result;
	char *text;
	int code;

	if (!field)
		return get_all(target);
	if (shmc_record_open(target->client, target->name, SHMC_RECORD_READER, NULL, &record,
			     &error) != SHMC_OK)
		return queue_report_error(&error);
	text = must(malloc(TEXT_BYTES));
	result = shmc_record_snapshot(record);
	if (result == SHMC_OK)
		result = shmc_record_get_text(record, field, text, TEXT_BYTES);
	code = result == SHMC_OK ? show(target, field, text) : report_result(target, field, result);
	free(text);
	shmc_record_close(record);
	return code;
}

static int set_record(const struct target *target)
{
	const char *field = argument(target, 1);
	struct shmc_record *record;
	struct shmc_error error;
	enum shmc_result result;
	int code = wants(target, 3, "set NAME FIELD VALUE");

	if (code)
		return code;
	if (shmc_record_open(target->client, target->name, SHMC_RECORD_WRITER, NULL, &record,
			     &error) != SHMC_OK)
		return queue_report_error(&error);
	result = shmc_record_begin(record, target->options->timeout_ns);
	if (result == SHMC_OK)
		result = shmc_record_put_text(record, field, argument(target, 2));
	if (result == SHMC_OK)
		result = shmc_record_commit(record);
	shmc_record_close(record); /* gives up what was refused */
	return result == SHMC_OK ? 0 : report_result(target, field, result);
}

/* Arrays */

/* The element at the index in the arguments; its type must be one that has a text. */
static int find_element(const struct target *target, const struct shmc_array *array,
			uint64_t *ret_index, struct shmc_array_options *ret_options)
{
	const char *text = argument(target, 1);
	char *end;

	*ret_index = strtoull(text, &end, 10);
	shmc_array_options_of(array, ret_options);
	if (end == text || *end != '\0' || *ret_index >= ret_options->elements)
		return report(EXIT_REFUSED, "INVALID",
			      "'%s' has elements 0 to %" PRIu64 ", and no \"%s\"", target->name,
			      ret_options->elements - 1, text);
	if (ret_options->element_bytes > TEXT_BYTES / 4)
		return report(EXIT_REFUSED, "TOO_BIG", "'%s': its elements are too large to show",
			      target->name);
	return 0;
}

static int open_array(const struct target *target, enum shmc_array_role role,
		      struct shmc_array **ret_array)
{
	struct shmc_error error;

	if (shmc_array_open(target->client, target->name, role, NULL, ret_array, &error) == SHMC_OK)
		return 0;
	return queue_report_error(&error);
}

static uint32_t type_of(const struct shmc_array_options *options)
{
	return options->element_type < SHMC_TYPE_OWN ? (uint32_t)options->element_type :
						       SHMP_TYPE_BYTES;
}

static int get_array(const struct target *target)
{
	struct shmc_array_options options;
	struct shmc_array *array;
	uint64_t index;
	char *value, *text;
	int code;

	if (!argument(target, 1))
		return get_all(target);
	code = open_array(target, SHMC_ARRAY_OBSERVER, &array);
	if (code)
		return code;
	code = find_element(target, array, &index, &options);
	if (code == 0) {
		value = must(malloc(options.element_bytes));
		text = must(malloc(TEXT_BYTES));
		shmc_array_get(array, index, value, options.element_bytes);
		shmp_type_format(type_of(&options), value, options.element_bytes, text, TEXT_BYTES);
		code = show(target, argument(target, 1), text);
		free(value);
		free(text);
	}
	shmc_array_close(array);
	return code;
}

static int set_element(const struct target *target, struct shmc_array *array)
{
	struct shmc_array_options options;
	uint64_t index;
	uint8_t value[64];
	enum shmc_result result = SHMC_OK;
	int code = find_element(target, array, &index, &options);

	if (code)
		return code;
	if (options.element_bytes > sizeof(value))
		result = SHMC_TOO_BIG;
	else if (shmp_type_parse(type_of(&options), argument(target, 2), value,
				 options.element_bytes) < 0)
		result = SHMC_INVALID;
	if (result == SHMC_OK)
		result = shmc_array_set(array, index, value, options.element_bytes);
	return result == SHMC_OK ? 0 : report_result(target, argument(target, 2), result);
}

static int set_array(const struct target *target)
{
	struct shmc_array *array;
	int code = wants(target, 3, "set NAME INDEX VALUE");

	if (code == 0)
		code = open_array(target, SHMC_ARRAY_WRITER, &array);
	if (code)
		return code;
	code = set_element(target, array);
	shmc_array_close(array);
	return code;
}

/* Atomics */

static uint64_t widen(uint32_t type, const uint8_t *value)
{
	uint64_t wide = 0;
	uint32_t narrow;
	int32_t number;

	switch (type) {
	case SHMC_TYPE_BOOL:
		return value[0];
	case SHMC_TYPE_I32:
		memcpy(&number, value, sizeof(number));
		return (uint64_t)(int64_t)number;
	case SHMC_TYPE_U32:
		memcpy(&narrow, value, sizeof(narrow));
		return narrow;
	default:
		memcpy(&wide, value, sizeof(wide));
		return wide;
	}
}

static enum shmc_result store(struct shmc_atomic *atomic, const char *text)
{
	enum shmc_type type = shmc_atomic_type(atomic);
	uint8_t value[16];
	double number;

	if (shmp_type_parse((uint32_t)type, text, value, shmp_type_bytes((uint32_t)type)) < 0)
		return SHMC_INVALID;
	if (type != SHMC_TYPE_DOUBLE)
		return shmc_atomic_store(atomic, widen((uint32_t)type, value), SHMC_ORDER_SEQ_CST);
	memcpy(&number, value, sizeof(number));
	return shmc_atomic_store_double(atomic, number, SHMC_ORDER_SEQ_CST);
}

static int set_atomic(const struct target *target)
{
	struct shmc_atomic *atomic;
	struct shmc_error error;
	enum shmc_result result;
	int code = wants(target, 2, "set NAME VALUE");

	if (code)
		return code;
	if (shmc_atomic_open(target->client, target->name, SHMC_ATOMIC_WRITER, SHMC_TYPE_BYTES,
			     &atomic, &error) != SHMC_OK)
		return queue_report_error(&error);
	result = store(atomic, argument(target, 1));
	shmc_atomic_close(atomic);
	return result == SHMC_OK ? 0 : report_result(target, argument(target, 1), result);
}

static int keep_text(void *context, const struct shmc_item *item)
{
	*(char **)context = must_print("%s", item->text ? item->text : "");
	return 0;
}

static int get_atomic(const struct target *target)
{
	struct shmc_observer *observer;
	struct shmc_look look = { .max = 1 };
	struct shmc_error error;
	char *text = NULL;
	int code = wants(target, 1, "get NAME");

	if (code)
		return code;
	if (shmc_observer_open(target->client, target->name, &observer, &error) != SHMC_OK)
		return queue_report_error(&error);
	shmc_observer_look(observer, &look, keep_text, (void *)&text);
	shmc_observer_close(observer);
	code = text ? show(target, NULL, text) : report_result(target, NULL, SHMC_CORRUPT);
	free(text);
	return code;
}

/* By kind */

static const struct {
	const char *kind;
	int (*get)(const struct target *target);
	int (*set)(const struct target *target);
} kinds[] = {
	{ "array", get_array, set_array },
	{ "atomic", get_atomic, set_atomic },
	{ "record", get_record, set_record },
};

static int run(const struct options *options, bool sets)
{
	struct target target;
	int code = target_open(options, &target);
	size_t i = 0;

	if (code)
		return code;
	while (i < sizeof(kinds) / sizeof(kinds[0]) && strcmp(kinds[i].kind, target.kind) != 0)
		i++;
	if (i == sizeof(kinds) / sizeof(kinds[0]))
		code = report(EXIT_REFUSED, "MISMATCH",
			      "'%s' is of kind %s, which has no values by name: try peek",
			      target.name, target.kind);
	else
		code = (sets ? kinds[i].set : kinds[i].get)(&target);
	shmc_disconnect(target.client);
	return code;
}

int run_get(const struct options *options)
{
	return run(options, false);
}

int run_set(const struct options *options)
{
	return run(options, true);
}

/* Fields, for describe. */

static void add_field(cJSON *fields, const struct shmc_record *record, uint32_t index)
{
	struct shmc_field_info info, parent;
	cJSON *field;
	char *path;

	if (shmc_record_field(record, index, &info) != SHMC_OK)
		return;
	path = must_print("%s", info.name);
	for (uint32_t up = info.parent; up != 0; up = parent.parent) {
		char *longer;

		if (shmc_record_field(record, up - 1, &parent) != SHMC_OK)
			break;
		longer = must_print("%s%s.%s", parent.name, parent.count ? "[]" : "", path);
		free(path);
		path = longer;
	}
	field = must(cJSON_CreateObject());
	must(cJSON_AddStringToObject(field, "name", path));
	must(cJSON_AddStringToObject(field, "type", shmp_type_name(info.type)));
	must(cJSON_AddNumberToObject(field, "count", info.count));
	must(cJSON_AddNumberToObject(field, "bytes", info.bytes));
	must(cJSON_AddNumberToObject(field, "offset", (double)info.offset));
	cJSON_AddItemToArray(fields, field);
	free(path);
}

void value_add_fields(const struct options *options, const char *name, cJSON *segment)
{
	char room[CONTROL_PATH_BYTES];
	struct shmc_client_options how = { .address = control_client_path(options, room),
					   .name = "shmbrokerctl" };
	struct shmc_client *client;
	struct shmc_record *record;

	if (strcmp(show_string(segment, "kind"), "record") != 0 ||
	    shmc_connect(&how, &client, NULL) != SHMC_OK)
		return;
	if (shmc_record_open(client, name, SHMC_RECORD_READER, NULL, &record, NULL) == SHMC_OK) {
		cJSON *fields = must(cJSON_AddArrayToObject(segment, "fields"));

		for (uint32_t i = 0; i < shmc_record_field_count(record); i++)
			add_field(fields, record, i);
		shmc_record_close(record);
	}
	shmc_disconnect(client);
}

void value_print_fields(const cJSON *segment)
{
	static const char *const headers[] = { "FIELD", "TYPE", ">COUNT", ">BYTES", ">OFFSET" };
	const cJSON *fields = cJSON_GetObjectItemCaseSensitive(segment, "fields");
	struct table *table;
	const cJSON *field;

	if (!fields)
		return;
	table = table_new(headers, sizeof(headers) / sizeof(*headers));
	cJSON_ArrayForEach(field, fields)
	{
		show_string_cell(table, field, "name");
		show_string_cell(table, field, "type");
		show_number_cell(table, field, "count");
		show_number_cell(table, field, "bytes");
		show_number_cell(table, field, "offset");
	}
	putchar('\n');
	table_print(table, stdout);
	table_free(table);
}
