/*
 * org.shmbroker.control: what is there, who holds it, what happens. Whoever may open the socket
 * may use all of it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "daemon/broker.h"
#include "daemon/call.h"
#include "daemon/client.h"
#include "daemon/dispatch.h"
#include "daemon/methods_postmortem.h"
#include "daemon/segment.h"
#include "daemon/status.h"
#include "daemon/systemd.h"
#include "protocol/interfaces.h"
#include "protocol/name.h"
#include "protocol/waiter.h"

#define PAGE_MAX	   100u
#define PAGE_ENDPOINTS_MAX 2000u /* a reply stays far below what the wire takes */

static size_t session_count(const struct broker *broker)
{
	size_t count = 0;

	for (struct list *at = broker->clients.next; at != &broker->clients; at = at->next)
		count += !list_entry(at, struct client, link)->is_control;
	return count;
}

static void add_keeper(cJSON *reply, const struct broker *broker)
{
	static const char *const names[] = {
		[SYSTEMD_KEEPER_NOBODY] = "nobody",
		[SYSTEMD_KEEPER_SYSTEMD] = "systemd",
		[SYSTEMD_KEEPER_PARENT] = "keeper",
		[SYSTEMD_KEEPER_LOST] = "lost",
	};
	pid_t pid;
	enum systemd_keeper keeper = systemd_keeper(&pid);

	shmp_json_add_bool(reply, "kept", state_is_there(&broker->state) && systemd_has_store());
	shmp_json_add_text(reply, "kept_by", names[keeper]);
	if (pid > 0)
		shmp_json_add_i64(reply, "keeper_pid", pid);
}

static void status(struct call *call)
{
	struct broker *broker = call_broker(call);
	cJSON *reply = cJSON_CreateObject();

	shmp_json_add_text(reply, "version", SHMBROKER_VERSION);
	shmp_json_add_text(reply, "epoch", broker->epoch);
	shmp_json_add_i64(reply, "pid", getpid());
	shmp_json_add_u64(reply, "uptime_ns", shmp_clock_ns() - broker->started_ns);
	shmp_json_add_text(reply, "client_address", broker->client_listener.path);
	shmp_json_add_text(reply, "control_address", broker->control_listener.path);
	shmp_json_add_u64(reply, "segments", broker->registry.count);
	shmp_json_add_u64(reply, "sessions", session_count(broker));
	shmp_json_add_u64(reply, "endpoints", broker->endpoint_count);
	shmp_json_add_u64(reply, "bytes", broker->segment_bytes);
	shmp_json_add_u64(reply, "bytes_limit", broker->options->bytes);
	shmp_json_add_u64(reply, "requests", broker->counters.requests);
	shmp_json_add_u64(reply, "errors", broker->counters.errors);
	shmp_json_add_u64(reply, "deaths", broker->counters.deaths);
	shmp_json_add_u64(reply, "repairs", broker->counters.repairs);
	shmp_json_add_u64(reply, "events_lost", broker->events.lost);
	add_keeper(reply, broker);
	shmp_json_add_u64(reply, "restarts", broker->restarts);
	call_reply(call, reply);
}

/* Segments. */

static void list(struct call *call)
{
	const struct registry *registry = &call_broker(call)->registry;
	uint64_t limit = PAGE_MAX, endpoints = 0;
	const char *after = NULL, *last = NULL;
	cJSON *reply, *segments;
	size_t at;

	if (!call_string_optional(call, "after", &after) ||
	    !call_u64_optional(call, "limit", INT64_MAX, &limit))
		return;
	if (limit == 0 || limit > PAGE_MAX)
		limit = PAGE_MAX;
	reply = cJSON_CreateObject();
	segments = shmp_json_add_array(reply, "segments");
	for (at = registry_after(registry, after);
	     at < registry->count && limit > 0 && endpoints < PAGE_ENDPOINTS_MAX; at++) {
		struct segment *segment = registry->segments[at];

		last = segment->name;
		if (!segment->is_ready)
			continue;
		shmp_json_append(segments, status_of_segment(segment));
		endpoints += segment->plan.endpoint_count;
		limit--;
	}
	if (at < registry->count)
		shmp_json_add_text(reply, "next", last);
	call_reply(call, reply);
}

/* What cannot be a name is not repeated: it may be long, or no text to show. */
static void answer_not_found(struct call *call, const char *name)
{
	const char *shown = shmp_name_check(name) ? "of that name" : name;
	cJSON *parameters = cJSON_CreateObject();
	char message[SHMP_NAME_MAX + 32];

	snprintf(message, sizeof(message), "there is no segment %s", shown);
	shmp_json_add_text(parameters, "name", name);
	shmp_json_add_text(parameters, "message", message);
	call_error(call, "org.shmbroker.control.NotFound", parameters);
}

struct segment *control_segment(struct call *call, const char *name)
{
	struct segment *segment = registry_find(&call_broker(call)->registry, name);

	if (!segment)
		answer_not_found(call, name);
	return segment;
}

static struct segment *find(struct call *call)
{
	const char *name;

	return call_string(call, "name", &name) ? control_segment(call, name) : NULL;
}

static void describe(struct call *call)
{
	struct segment *segment = find(call);
	cJSON *reply;

	if (!segment)
		return;
	reply = cJSON_CreateObject();
	shmp_json_put(reply, "segment", status_of_segment(segment));
	call_reply(call, reply);
}

static void unlink_segment(struct call *call)
{
	struct segment *segment = find(call);

	if (!segment)
		return;
	event_emit(call_broker(call), &(struct event){ .kind = "unlinked",
						       .who = call_client(call),
						       .segment = segment->name });
	segment_unlink(segment);
	call_done(call);
}

/* Sessions. */

static cJSON *session_object(const struct client *client)
{
	cJSON *object = cJSON_CreateObject();

	shmp_json_add_i64(object, "pid", client->credentials.pid);
	shmp_json_add_u64(object, "uid", client->credentials.uid);
	shmp_json_add_u64(object, "gid", client->credentials.gid);
	shmp_json_add_text(object, "name", client->name);
	shmp_json_add_bool(object, "connected", client->session != NULL);
	shmp_json_add_bool(object, "restored", client->is_restored);
	shmp_json_add_u64(object, "endpoints", client->attachment_count);
	shmp_json_add_u64(object, "since_ns", client->since_ns);
	return object;
}

static void sessions(struct call *call)
{
	struct broker *broker = call_broker(call);
	uint64_t after = 0, limit = PAGE_MAX, last = 0;
	cJSON *reply, *page;
	struct list *at;

	if (!call_u64_optional(call, "after", INT64_MAX, &after) ||
	    !call_u64_optional(call, "limit", INT64_MAX, &limit))
		return;
	if (limit == 0 || limit > PAGE_MAX)
		limit = PAGE_MAX;
	reply = cJSON_CreateObject();
	page = shmp_json_add_array(reply, "sessions");
	for (at = broker->clients.next; at != &broker->clients && limit > 0; at = at->next) {
		struct client *client = list_entry(at, struct client, link);

		if (client->is_control || client->serial <= after)
			continue;
		shmp_json_append(page, session_object(client));
		last = client->serial;
		limit--;
	}
	if (at != &broker->clients)
		shmp_json_add_u64(reply, "next", last);
	call_reply(call, reply);
}

/* The rest. */

static void monitor(struct call *call)
{
	if (!call->message.more) {
		call_error(call, "org.varlink.service.ExpectedMore", cJSON_CreateObject());
		return;
	}
	event_monitor(call_session(call));
}

static void ping(struct call *call)
{
	const char *text;
	cJSON *reply;

	if (!call_string(call, "ping", &text))
		return;
	reply = cJSON_CreateObject();
	shmp_json_add_text(reply, "pong", text);
	call_reply(call, reply);
}

static const struct method methods[] = {
	{ "Status", "", status },
	{ "List", "after limit", list },
	{ "Describe", "name", describe },
	{ "Sessions", "after limit", sessions },
	{ "Unlink", "name", unlink_segment },
	{ "Deaths", "name before limit", method_deaths },
	{ "Blocked", "name after", method_blocked },
	{ "Health", "", method_health },
	{ "Monitor", "", monitor },
	{ "Ping", "ping", ping },
};

const struct interface interface_control = {
	.name = "org.shmbroker.control",
	.text = shmp_interface_control,
	.methods = methods,
	.method_count = sizeof(methods) / sizeof(methods[0]),
};
