/*
 * Command monitor: what happens, one line each.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tools/commands.h"
#include "tools/control.h"
#include "tools/report.h"
#include "tools/show.h"
#include "tools/text.h"

/* Cleans, prints, frees. */
static void put(char *text)
{
	fputs(text_clean(text), stdout);
	free(text);
}

static bool has(const cJSON *object, const char *key)
{
	return cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(object, key));
}

/* TIME KIND SEGMENT ROLE, then what there is beside. */
static int print_event(const cJSON *event)
{
	const char *message = show_string(event, "message");
	const char *role = show_string(event, "role");

	put(must_print("%s ", show_string(event, "time")));
	put(must_print("%-12s", show_string(event, "kind")));
	if (has(event, "pid"))
		printf(" pid %lu", (unsigned long)show_u64(event, "pid"));
	if (has(event, "uid"))
		printf(" uid %lu", (unsigned long)show_u64(event, "uid"));
	if (*show_string(event, "segment"))
		put(must_print(" %s", show_string(event, "segment")));
	if (*role)
		put(must_print(" %s", role));
	if (has(event, "endpoint"))
		printf(" endpoint %lu", (unsigned long)show_u64(event, "endpoint"));
	if (has(event, "count"))
		printf(" count %lu", (unsigned long)show_u64(event, "count"));
	if (*message)
		put(must_print(": %s", message));
	putchar('\n');
	return report_flush();
}

static int next_event(struct control *control, const struct options *options)
{
	struct shmp_varlink_reply reply;
	cJSON *event;
	int code = control_next(control, &reply);

	if (code)
		return code;
	event = cJSON_GetObjectItemCaseSensitive(reply.parameters, "event");
	if (cJSON_IsObject(event))
		code = options->json ? report_json(event) : print_event(event);
	shmp_varlink_reply_deinit(&reply);
	return code;
}

/* Signals end it as they end any program: there is nothing to put in order. */
int run_monitor(const struct options *options)
{
	struct control control;
	int code = control_open(options, CONTROL_SOCKET_CONTROL, &control);

	if (code)
		return code;
	code = control_call_more(&control, "org.shmbroker.control.Monitor");
	while (code == 0)
		code = next_event(&control, options);
	control_close(&control);
	return code;
}
