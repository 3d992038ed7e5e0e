/*
 * Commands about the broker itself: status, sessions, ping, version.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "config.h"
#include "tools/commands.h"
#include "tools/control.h"
#include "tools/report.h"
#include "tools/show.h"
#include "tools/text.h"
#include "tools/units.h"

#define INTERFACE "org.shmbroker.control."

static void add_pair(struct table *table, const char *name, const cJSON *status, const char *key,
		     void (*cell)(struct table *, const cJSON *, const char *))
{
	table_add(table, "%s", name);
	cell(table, status, key);
}

static void add_memory(struct table *table, const cJSON *status)
{
	uint64_t used = show_u64(status, "bytes");
	uint64_t limit = show_u64(status, "bytes_limit");
	char used_text[UNITS_BYTES];
	char limit_text[UNITS_BYTES];

	table_add(table, "memory");
	table_add(table, "%s of %s (%.1f %%)", units_bytes(used, used_text),
		  units_bytes(limit, limit_text),
		  limit > 0 ? 100 * (double)used / (double)limit : 0);
}

static void add_keeper(struct table *table, const cJSON *status)
{
	const char *by = show_string(status, "kept_by");
	uint64_t pid = show_u64(status, "keeper_pid");

	table_add(table, "kept by");
	if (strcmp(by, "keeper") == 0)
		table_add(table, "keeper, pid %" PRIu64, pid);
	else if (strcmp(by, "lost") == 0 && pid > 0)
		table_add(table, "nobody: the keeper, pid %" PRIu64 ", is gone", pid);
	else if (strcmp(by, "lost") == 0)
		table_add(table, "nobody: who did is gone");
	else
		table_add(table, "%s", *by ? by : "?");
}

static int print_status(const cJSON *status)
{
	struct table *table = table_new_pairs();
	char uptime[UNITS_BYTES];

	table_add(table, "shmbrokerd");
	table_add(table, "%s, pid %" PRIu64 ", up %s", show_string(status, "version"),
		  show_u64(status, "pid"), units_duration(show_u64(status, "uptime_ns"), uptime));
	add_pair(table, "epoch", status, "epoch", show_string_cell);
	add_pair(table, "clients at", status, "client_address", show_string_cell);
	add_pair(table, "control at", status, "control_address", show_string_cell);
	add_keeper(table, status);
	add_memory(table, status);
	add_pair(table, "segments", status, "segments", show_number_cell);
	add_pair(table, "sessions", status, "sessions", show_number_cell);
	add_pair(table, "endpoints", status, "endpoints", show_number_cell);
	add_pair(table, "requests", status, "requests", show_number_cell);
	add_pair(table, "errors", status, "errors", show_number_cell);
	add_pair(table, "deaths", status, "deaths", show_number_cell);
	add_pair(table, "repairs", status, "repairs", show_number_cell);
	add_pair(table, "events lost", status, "events_lost", show_number_cell);
	add_pair(table, "restarts", status, "restarts", show_number_cell);
	table_print(table, stdout);
	table_free(table);
	return report_flush();
}

int run_status(const struct options *options)
{
	struct shmp_varlink_reply reply;
	int code = control_ask(options, CONTROL_SOCKET_CONTROL, INTERFACE "Status", NULL, &reply);

	if (code)
		return code;
	code = options->json ? report_json(reply.parameters) : print_status(reply.parameters);
	shmp_varlink_reply_deinit(&reply);
	return code;
}

static const char *connection_of(const cJSON *session)
{
	if (show_bool(session, "connected"))
		return "yes";
	return show_bool(session, "restored") ? "not yet again" : "quarantine";
}

static void add_session(struct table *table, const cJSON *session)
{
	show_pid_cell(table, session, "pid");
	show_user_cell(table, session, "uid");
	show_string_cell(table, session, "name");
	table_add(table, "%s", connection_of(session));
	show_number_cell(table, session, "endpoints");
	show_age_cell(table, session, "since_ns");
}

/* One page; *after becomes where the next one begins, -1 = there is none. */
static int sessions_page(struct control *control, const struct options *options,
			 struct table *table, int64_t *after)
{
	struct shmp_varlink_reply reply;
	cJSON *parameters = must(cJSON_CreateObject());
	cJSON *session;
	int code;

	if (*after >= 0)
		shmp_json_add_i64(parameters, "after", *after);
	code = control_call(control, INTERFACE "Sessions", parameters, &reply);
	if (code)
		return code;
	cJSON_ArrayForEach(session, cJSON_GetObjectItemCaseSensitive(reply.parameters, "sessions"))
	{
		if (!options->json)
			add_session(table, session);
		else if (code == 0)
			code = report_json(session);
	}
	*after = -1;
	shmp_json_i64(reply.parameters, "next", 0, INT64_MAX, after);
	shmp_varlink_reply_deinit(&reply);
	return code;
}

int run_sessions(const struct options *options)
{
	static const char *const headers[] = { ">PID",	    "USER",	  "NAME",
					       "CONNECTED", ">ENDPOINTS", ">SINCE" };
	struct table *table;
	struct control control;
	int64_t after = -1;
	int code = control_open(options, CONTROL_SOCKET_CONTROL, &control);

	if (code)
		return code;
	table = table_new(headers, sizeof(headers) / sizeof(*headers));
	do {
		code = sessions_page(&control, options, table, &after);
	} while (code == 0 && after >= 0);
	if (code == 0)
		table_print(table, stdout);
	table_free(table);
	control_close(&control);
	return code ? code : report_flush();
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int print_ping(const struct options *options, const struct control *control, uint64_t ns)
{
	char text[UNITS_BYTES];
	cJSON *object;

	if (!options->json) {
		printf("the broker at %s (pid %d) answered within %s\n", control->path,
		       control->pid, units_duration(ns, text));
		return report_flush();
	}
	object = must(cJSON_CreateObject());
	must(cJSON_AddStringToObject(object, "address", control->path));
	must(cJSON_AddNumberToObject(object, "pid", control->pid));
	must(cJSON_AddNumberToObject(object, "round_trip_ns", (double)ns));
	return report_json_take(object);
}

int run_ping(const struct options *options)
{
	struct control control;
	struct shmp_varlink_reply reply;
	cJSON *parameters;
	uint64_t begin_ns;
	int code = control_open(options, CONTROL_SOCKET_CONTROL, &control);

	if (code)
		return code;
	parameters = must(cJSON_CreateObject());
	must(cJSON_AddStringToObject(parameters, "ping", "shmbrokerctl"));
	begin_ns = now_ns();
	code = control_call(&control, INTERFACE "Ping", parameters, &reply);
	if (code == 0) {
		code = print_ping(options, &control, now_ns() - begin_ns);
		shmp_varlink_reply_deinit(&reply);
	}
	control_close(&control);
	return code;
}

static int print_version(const struct options *options, const struct control *control,
			 const char *broker)
{
	cJSON *object;

	if (!options->json) {
		printf("shmbrokerctl %s\n", SHMBROKER_VERSION);
		if (broker)
			printf("shmbrokerd %s at %s\n", broker, control->path);
		return report_flush();
	}
	object = must(cJSON_CreateObject());
	must(cJSON_AddStringToObject(object, "shmbrokerctl", SHMBROKER_VERSION));
	if (broker)
		must(cJSON_AddStringToObject(object, "shmbrokerd", broker));
	return report_json_take(object);
}

/* The broker's version is nice to know; without one this is still an answer. */
int run_version(const struct options *options)
{
	struct control control = CONTROL_NULL;
	struct shmp_varlink_reply reply;
	int code;

	if (control_open_quietly(options, &control) != 0)
		return print_version(options, &control, NULL);
	code = control_call(&control, INTERFACE "Status", NULL, &reply);
	if (code == 0) {
		code = print_version(options, &control, show_string(reply.parameters, "version"));
		shmp_varlink_reply_deinit(&reply);
	}
	control_close(&control);
	return code;
}
