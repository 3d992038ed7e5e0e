/*
 * Command monitor: what happens, one line each, under one broker after the other.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "protocol/waiter.h"
#include "tools/commands.h"
#include "tools/control.h"
#include "tools/report.h"
#include "tools/show.h"
#include "tools/text.h"
#include "tools/units.h"

#define PATIENCE_NS INT64_C(10000000000)
#define RETRY_MS    10
#define EPOCH_BYTES 40

struct monitor {
	const struct options *options;
	struct control control;
	char epoch[EPOCH_BYTES]; /* the broker's: another one knows nothing of what there was */
};

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

/* Of one who died. */
static void print_end(const cJSON *event)
{
	const char *before = " in ";
	char end[SHOW_END_BYTES];
	const cJSON *segment;

	if (!cJSON_GetObjectItemCaseSensitive(event, "end"))
		return;
	printf(" ended by %s", show_end(event, end));
	cJSON_ArrayForEach(segment, cJSON_GetObjectItemCaseSensitive(event, "segments"))
	{
		const char *name = cJSON_GetStringValue(segment);

		put(must_print("%s%s", before, name ? name : "?"));
		before = ", ";
	}
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
	print_end(event);
	if (*message)
		put(must_print(": %s", message));
	putchar('\n');
	return report_flush();
}

static int show_event(cJSON *event, const struct options *options)
{
	return options->json ? report_json(event) : print_event(event);
}

static int next_event(struct monitor *monitor)
{
	struct shmp_varlink_reply reply;
	cJSON *event;
	int code = control_next(&monitor->control, &reply);

	if (code)
		return code;
	event = cJSON_GetObjectItemCaseSensitive(reply.parameters, "event");
	if (cJSON_IsObject(event))
		code = show_event(event, monitor->options);
	shmp_varlink_reply_deinit(&reply);
	return code;
}

/* On a connection that is open; closed when it fails. */
static int subscribe(struct monitor *monitor)
{
	struct control *control = &monitor->control;
	struct shmp_varlink_reply reply;
	int code = control_call(control, "org.shmbroker.control.Status", NULL, &reply);

	if (code == 0) {
		snprintf(monitor->epoch, sizeof(monitor->epoch), "%s",
			 show_string(reply.parameters, "epoch"));
		/* the socket tells who made it, maybe an earlier one */
		control->pid = (int)show_u64(reply.parameters, "pid");
		shmp_varlink_reply_deinit(&reply);
		code = control_call_more(control, "org.shmbroker.control.Monitor");
	}
	control->is_patient = true;
	if (code)
		control_close(control);
	return code;
}

static int report_gone(const struct monitor *monitor, int64_t patience_ns)
{
	char text[UNITS_BYTES];

	return report(EXIT_NO_BROKER, "BrokerLost",
		      "the broker at %s (pid %d) closed the connection, and none was back within "
		      "%s; its log says why",
		      monitor->control.path, monitor->control.pid,
		      units_duration((uint64_t)patience_ns, text));
}

static cJSON *time_now(void)
{
	struct timespec now;
	struct tm parts;
	char text[64];
	size_t used;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	used = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text + used, sizeof(text) - used, ".%06ldZ", now.tv_nsec / 1000);
	return cJSON_CreateString(text);
}

/* As the broker tells events; it does not know itself who missed it. */
static int tell_return(const struct monitor *monitor, uint64_t lost_ns, bool is_same_epoch)
{
	cJSON *event = must(cJSON_CreateObject());
	char text[UNITS_BYTES], *message;
	int code;

	message = must_print("%s; of %s nothing was heard",
			     is_same_epoch ? "the next one, with all that there was" :
					     "a new one, without the segments there were",
			     units_duration(lost_ns, text));
	must(cJSON_AddStringToObject(event, "kind", "broker-back"));
	cJSON_AddItemToObject(event, "time", must(time_now()));
	must(cJSON_AddNumberToObject(event, "pid", monitor->control.pid));
	shmp_json_add_u64(event, "lost_ns", lost_ns);
	shmp_json_add_bool(event, "same_epoch", is_same_epoch);
	must(cJSON_AddStringToObject(event, "message", message));
	free(message);
	code = show_event(event, monitor->options);
	cJSON_Delete(event);
	return code;
}

/* The next broker, as soon as it answers: an exit code ends it. */
static int await_next(struct monitor *monitor)
{
	int64_t patience_ns = monitor->options->timeout_ns < 0 ? PATIENCE_NS :
								 monitor->options->timeout_ns;
	uint64_t lost_ns = shmp_clock_ns();
	char epoch[EPOCH_BYTES];

	memcpy(epoch, monitor->epoch, sizeof(epoch));
	while (shmp_clock_ns() - lost_ns < (uint64_t)patience_ns) {
		struct control next;

		if (control_open_quietly(monitor->options, &next) == 0) {
			int code;

			next.is_patient = true;
			monitor->control = next;
			code = subscribe(monitor);
			if (code == 0)
				return tell_return(monitor, shmp_clock_ns() - lost_ns,
						   strcmp(epoch, monitor->epoch) == 0);
			if (!monitor->control.is_lost)
				return code;
		}
		poll(NULL, 0, RETRY_MS);
	}
	return report_gone(monitor, patience_ns);
}

/* Signals end it as they end any program: there is nothing to put in order. */
int run_monitor(const struct options *options)
{
	struct monitor monitor = { .options = options, .control = CONTROL_NULL };
	int code = control_open(options, CONTROL_SOCKET_CONTROL, &monitor.control);

	if (code)
		return code;
	code = subscribe(&monitor);
	while (code == 0) {
		code = next_event(&monitor);
		if (code == 0)
			continue;
		control_close(&monitor.control);
		if (monitor.control.is_lost)
			code = await_next(&monitor);
	}
	return code;
}
