/*
 * Commands about segments: ls, describe, rm.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/control.h"
#include "tools/report.h"
#include "tools/show.h"
#include "tools/text.h"
#include "tools/units.h"
#include "tools/value.h"

#define CLIENT	"org.shmbroker."
#define CONTROL "org.shmbroker.control."

static cJSON *name_parameter(const char *name)
{
	cJSON *parameters = must(cJSON_CreateObject());

	must(cJSON_AddStringToObject(parameters, "name", name));
	return parameters;
}

/* ls */

/* "producer 123, consumer 124 waiting"; who merely left is not worth the room. */
static char *holders_of(const cJSON *segment)
{
	char *all = must_print("%s", "");
	const cJSON *endpoint;

	cJSON_ArrayForEach(endpoint, cJSON_GetObjectItemCaseSensitive(segment, "endpoints"))
	{
		const char *state = show_string(endpoint, "state");
		bool is_active = strcmp(state, "active") == 0;
		char *more;

		if (strcmp(state, "free") == 0 || strcmp(state, "left") == 0)
			continue;
		more = must_print("%s%s%s %" PRIu64 "%s%s", all, *all ? ", " : "",
				  show_string(endpoint, "role"), show_u64(endpoint, "pid"),
				  is_active ? "" : " ", is_active ? "" : state);
		free(all);
		all = more;
	}
	return all;
}

/* What is in it, in bytes or in pieces of its kind: a pipe's two directions, or an rpc's requests that
 * nobody has taken yet. */
static void add_depth(struct table *table, const cJSON *segment)
{
	static const char *const keys[] = { "depth_messages", "depth_elements", "waiting_requests",
					    "to_host_messages", "to_client_messages" };
	const cJSON *figures = cJSON_GetObjectItemCaseSensitive(segment, "figures");
	uint64_t depth = 0;
	bool is_known = false;

	if (cJSON_GetObjectItemCaseSensitive(figures, "depth_bytes")) {
		show_bytes_cell(table, figures, "depth_bytes");
		return;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		is_known |= cJSON_HasObjectItem(figures, keys[i]);
		depth += show_u64(figures, keys[i]);
	}
	if (is_known)
		table_add(table, "%" PRIu64, depth);
	else
		table_add(table, "-");
}

static void add_segment(struct table *table, const cJSON *segment)
{
	char *holders = holders_of(segment);
	char size[UNITS_BYTES];

	show_string_cell(table, segment, "name");
	show_string_cell(table, segment, "kind");
	show_user_cell(table, segment, "uid");
	table_add(table, "%04" PRIo64, show_u64(segment, "mode"));
	units_bytes(show_u64(segment, "ctl_bytes") + show_u64(segment, "data_bytes"), size);
	table_add(table, "%s", size);
	add_depth(table, segment);
	show_string_cell(table, segment, "health");
	table_add(table, "%s", *holders ? holders : "-");
	free(holders);
}

static bool begins_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* What of one page has the prefix. */
static int list_page(const cJSON *page, const struct options *options, const char *prefix,
		     struct table *table)
{
	cJSON *segment;
	int code = 0;

	cJSON_ArrayForEach(segment, cJSON_GetObjectItemCaseSensitive(page, "segments"))
	{
		if (!begins_with(show_string(segment, "name"), prefix))
			continue;
		if (!options->json)
			add_segment(table, segment);
		else if (code == 0)
			code = report_json(segment);
	}
	return code;
}

/* Page by page from *after on, which is to be freed and becomes NULL at the end. */
static int list_next(struct control *control, const struct options *options, const char *prefix,
		     struct table *table, char **after)
{
	struct shmp_varlink_reply reply;
	cJSON *parameters = must(cJSON_CreateObject());
	const char *next = NULL;
	int code;

	if (*after)
		must(cJSON_AddStringToObject(parameters, "after", *after));
	free(*after);
	*after = NULL;
	code = control_call(control, CONTROL "List", parameters, &reply);
	if (code)
		return code;
	code = list_page(reply.parameters, options, prefix, table);
	shmp_json_string(reply.parameters, "next", &next);
	/* names come in order: behind the last one with the prefix there is none */
	if (next && (begins_with(next, prefix) || strcmp(next, prefix) < 0))
		*after = must_print("%s", next);
	shmp_varlink_reply_deinit(&reply);
	return code;
}

int run_ls(const struct options *options)
{
	static const char *const headers[] = { "NAME",	"KIND",	  "OWNER",  "MODE",
					       ">SIZE", ">DEPTH", "HEALTH", "HELD BY" };
	const char *prefix = options->argument_count > 0 ? options->arguments[0] : "";
	struct table *table;
	struct control control;
	char *after = NULL;
	int code = control_open(options, CONTROL_SOCKET_CONTROL, &control);

	if (code)
		return code;
	table = table_new(headers, sizeof(headers) / sizeof(*headers));
	do {
		code = list_next(&control, options, prefix, table, &after);
	} while (code == 0 && after);
	if (code == 0)
		table_print(table, stdout);
	table_free(table);
	free(after);
	control_close(&control);
	return code ? code : report_flush();
}

/* describe */

static void add_memory(struct table *table, const cJSON *segment)
{
	char ctl[UNITS_BYTES];
	char data[UNITS_BYTES];

	table_add(table, "memory");
	table_add(table, "%s control, %s data%s%s%s",
		  units_bytes(show_u64(segment, "ctl_bytes"), ctl),
		  units_bytes(show_u64(segment, "data_bytes"), data),
		  show_bool(segment, "huge_pages") ? ", huge pages" : "",
		  show_bool(segment, "prefault") ? ", prefaulted" : "",
		  show_bool(segment, "mlock") ? ", locked" : "");
}

static void add_figures(struct table *table, const cJSON *segment, const char *key)
{
	char *text = show_figures(cJSON_GetObjectItemCaseSensitive(segment, key));

	table_add(table, "%s", key);
	table_add(table, "%s", *text ? text : "-");
	free(text);
}

static void print_facts(const cJSON *segment)
{
	struct table *table = table_new_pairs();

	table_add(table, "name");
	show_string_cell(table, segment, "name");
	table_add(table, "kind");
	table_add(table, "%s, version %" PRIu64, show_string(segment, "kind"),
		  show_u64(segment, "kind_version"));
	table_add(table, "owner");
	show_user_cell(table, segment, "uid");
	table_add(table, "group");
	show_group_cell(table, segment, "gid");
	table_add(table, "mode");
	table_add(table, "%04" PRIo64, show_u64(segment, "mode"));
	table_add(table, "created");
	show_string_cell(table, segment, "created");
	table_add(table, "generation");
	show_number_cell(table, segment, "generation");
	add_memory(table, segment);
	add_figures(table, segment, "options");
	add_figures(table, segment, "figures");
	table_add(table, "observers");
	show_number_cell(table, segment, "observers");
	table_add(table, "health");
	show_string_cell(table, segment, "health");
	table_print(table, stdout);
	table_free(table);
}

static bool is_free(const cJSON *endpoint)
{
	return strcmp(show_string(endpoint, "state"), "free") == 0;
}

static void add_endpoint(struct table *table, const cJSON *endpoint)
{
	show_number_cell(table, endpoint, "index");
	table_add(table, "%s",
		  *show_string(endpoint, "role") ? show_string(endpoint, "role") : "-");
	table_add(table, "%s%s", show_string(endpoint, "state"),
		  show_bool(endpoint, "waiting") ? ", waiting" : "");
	show_pid_cell(table, endpoint, "pid");
	if (is_free(endpoint))
		table_add(table, "-"); /* nobody was there yet: its uid means nothing */
	else
		show_user_cell(table, endpoint, "uid");
	show_age_cell(table, endpoint, "since_ns");
	show_number_cell(table, endpoint, "items");
	show_bytes_cell(table, endpoint, "bytes");
	show_number_cell(table, endpoint, "refused");
	show_number_cell(table, endpoint, "waits");
	show_number_cell(table, endpoint, "deaths");
}

/* "never taken: 7 worker, 31 client": of endpoints with the role that comes first, then the next. */
static void print_free(const cJSON *endpoints)
{
	const cJSON *first, *endpoint;
	const char *before = "never taken: ";
	const char *role = NULL;

	cJSON_ArrayForEach(first, endpoints)
	{
		uint64_t count = 0;

		if (!is_free(first) || (role && strcmp(show_string(first, "role"), role) == 0))
			continue;
		role = show_string(first, "role");
		cJSON_ArrayForEach(endpoint, endpoints) count +=
			is_free(endpoint) && strcmp(show_string(endpoint, "role"), role) == 0;
		printf("%s%" PRIu64 " %s", before, count, *role ? role : "of any role");
		before = ", ";
	}
	if (role)
		putchar('\n');
}

/* Endpoints that nobody ever took tell nothing, unless there is one for each role. */
static void print_endpoints(const cJSON *segment)
{
	static const char *const headers[] = { ">ENDPOINT", "ROLE",   "STATE",	   ">PID",
					       "USER",	    ">SINCE", ">MESSAGES", ">BYTES",
					       ">REFUSED",  ">WAITS", ">DEATHS" };
	const cJSON *endpoints = cJSON_GetObjectItemCaseSensitive(segment, "endpoints");
	struct table *table = table_new(headers, sizeof(headers) / sizeof(*headers));
	bool are_many = cJSON_GetArraySize(endpoints) > 2;
	const cJSON *endpoint;

	cJSON_ArrayForEach(endpoint, endpoints)
	{
		if (!are_many || !is_free(endpoint))
			add_endpoint(table, endpoint);
	}
	putchar('\n');
	table_print(table, stdout);
	table_free(table);
	if (are_many)
		print_free(endpoints);
}

static int print_segment(cJSON *segment, bool as_json)
{
	if (as_json)
		return report_json(segment);
	print_facts(segment);
	value_print_fields(segment);
	print_endpoints(segment);
	return report_flush();
}

int run_describe(const struct options *options)
{
	struct shmp_varlink_reply reply;
	cJSON *segment;
	int code = control_ask(options, CONTROL_SOCKET_CONTROL, CONTROL "Describe",
			       name_parameter(options->arguments[0]), &reply);

	if (code)
		return code;
	segment = cJSON_GetObjectItemCaseSensitive(reply.parameters, "segment");
	if (cJSON_IsObject(segment))
		value_add_fields(options, options->arguments[0], segment);
	if (cJSON_IsObject(segment))
		code = print_segment(segment, options->json);
	shmp_varlink_reply_deinit(&reply);
	return code;
}

/* rm */

/* Whoever may not administrate the broker may still remove his own: as a client. */
static int unlink_name(const struct options *options, const char *name,
		       struct shmp_varlink_reply *ret_reply)
{
	struct control control;
	int code;

	if (control_open_quietly(options, &control) != 0)
		return control_ask(options, CONTROL_SOCKET_CLIENT, CLIENT "Unlink",
				   name_parameter(name), ret_reply);
	code = control_call(&control, CONTROL "Unlink", name_parameter(name), ret_reply);
	control_close(&control);
	return code;
}

int run_rm(const struct options *options)
{
	struct shmp_varlink_reply reply;
	int code = unlink_name(options, options->arguments[0], &reply);

	if (code)
		return code;
	shmp_varlink_reply_deinit(&reply);
	return options->json ? report_json_take(name_parameter(options->arguments[0])) : 0;
}
