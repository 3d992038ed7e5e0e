#include "daemon/event.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <time.h>

#include "daemon/broker.h"
#include "daemon/call.h"
#include "daemon/client.h"
#include "daemon/session.h"
#include "daemon/status.h"
#include "protocol/varlink.h"

void events_init(struct events *events)
{
	list_init(&events->monitors);
	events->lost = 0;
}

static void add_time(cJSON *object)
{
	struct timespec now;
	struct tm parts;
	char text[64];
	size_t used;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	used = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text + used, sizeof(text) - used, ".%06ldZ", now.tv_nsec / 1000);
	shmp_json_add_text(object, "time", text);
}

static void add_text(cJSON *object, const char *key, const char *text)
{
	if (text)
		shmp_json_add_text(object, key, text);
}

static void add_obituary(cJSON *object, const struct obituary *obituary)
{
	cJSON *segments = shmp_json_add_array(object, "segments");

	status_add_end(object, obituary->end, obituary->end_value);
	for (size_t i = 0; i < obituary->segment_count; i++)
		shmp_json_append(segments, cJSON_CreateString(obituary->segments[i]));
}

static cJSON *reply_of(const struct event *event)
{
	cJSON *reply = cJSON_CreateObject();
	cJSON *object = shmp_json_add_object(reply, "event");

	add_text(object, "kind", event->kind);
	add_time(object);
	if (event->who) {
		shmp_json_add_i64(object, "pid", event->who->credentials.pid);
		shmp_json_add_u64(object, "uid", event->who->credentials.uid);
	}
	add_text(object, "segment", event->segment);
	add_text(object, "role", event->role);
	if (event->has_endpoint)
		shmp_json_add_u64(object, "endpoint", event->endpoint);
	if (event->count)
		shmp_json_add_u64(object, "count", event->count);
	if (event->obituary)
		add_obituary(object, event->obituary);
	add_text(object, "message", event->message);
	return reply;
}

/* Many events may come in one turn: only what the socket does not take is too much. */
static bool has_room(struct session *session)
{
	size_t most = session->broker->options->monitor_bytes;

	if (session->wire.out_bytes > most)
		(void)shmp_wire_flush(&session->wire); /* what fails is seen at its turn */
	return session->wire.out_bytes <= most;
}

static void tell(struct session *session, const cJSON *reply)
{
	if (has_room(session) && call_continue(&session->call, reply) == 0)
		return;
	session->events_lost++;
	session->broker->events.lost++;
}

void event_emit(struct broker *broker, const struct event *event)
{
	struct list *monitors = &broker->events.monitors;
	cJSON *reply;

	if (list_is_empty(monitors))
		return;
	reply = reply_of(event);
	for (struct list *at = monitors->next, *next; at != monitors; at = next) {
		next = at->next;
		tell(list_entry(at, struct session, monitor), reply);
	}
	cJSON_Delete(reply);
}

void event_monitor(struct session *session)
{
	list_append(&session->broker->events.monitors, &session->monitor);
}

void event_drained(struct session *session)
{
	uint64_t lost = session->events_lost;
	cJSON *reply;

	if (lost == 0 || list_is_empty(&session->monitor))
		return;
	reply = reply_of(&(struct event){ .kind = "lost", .count = lost });
	if (call_continue(&session->call, reply) == 0)
		session->events_lost = 0;
	cJSON_Delete(reply);
}
