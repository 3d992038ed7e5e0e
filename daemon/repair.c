#include "daemon/repair.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/attachment.h"
#include "daemon/broker.h"
#include "daemon/client.h"
#include "daemon/ledger.h"
#include "daemon/liveness.h"
#include "daemon/log.h"
#include "daemon/place.h"
#include "daemon/segment.h"
#include "protocol/waiter.h"

#define RETRY_MS       10
#define END_BYTES      24
#define SEGMENTS_BYTES 512u /* of a line in the log */

static void retry_segment(struct segment *segment)
{
	for (uint32_t i = 0; i < segment->plan.endpoint_count; i++) {
		if (segment->places[i].is_repairing)
			place_repair(segment, i);
	}
	if (segment->repairing > 0)
		repair_later(segment);
	else
		segment_release(segment);
}

static void retry_all(struct broker *broker)
{
	struct list todo;

	list_init(&todo);
	list_move_all(&broker->repairs.pending, &todo);
	while (!list_is_empty(&todo)) {
		struct segment *segment = list_entry(todo.next, struct segment, pending);

		list_remove(&segment->pending);
		retry_segment(segment);
	}
	if (list_is_empty(&broker->repairs.pending))
		uv_timer_stop(&broker->repairs.timer);
}

static void on_timer(uv_timer_t *timer)
{
	retry_all(handles_owner((uv_handle_t *)timer));
}

void repairs_init(struct broker *broker)
{
	list_init(&broker->repairs.pending);
	uv_timer_init(&broker->loop, &broker->repairs.timer);
	handles_adopt(&broker->handles, (uv_handle_t *)&broker->repairs.timer);
}

void repair_later(struct segment *segment)
{
	struct repairs *repairs = &segment->broker->repairs;

	if (list_is_empty(&segment->pending))
		list_append(&repairs->pending, &segment->pending);
	if (!uv_is_active((uv_handle_t *)&repairs->timer))
		uv_timer_start(&repairs->timer, on_timer, RETRY_MS, RETRY_MS);
}

/* Before the segment may go. Each once, as many as there is room for. */
static void name_segment(struct obituary *obituary, const struct segment *segment)
{
	size_t count = obituary->segment_count;

	for (size_t i = 0; i < count; i++) {
		if (strcmp(obituary->segments[i], segment->name) == 0)
			return;
	}
	if (count == OBITUARY_SEGMENTS_MAX)
		return;
	snprintf(obituary->segments[count], OBITUARY_SEGMENT_BYTES, "%s", segment->name);
	obituary->segment_count++;
}

/* "SIGKILL", "exit 7", "?" where the kernel tells only the parent */
static void say_end(const struct obituary *obituary, char room[END_BYTES])
{
	const char *name = sigabbrev_np((int)obituary->end_value);

	if (obituary->end == DEATH_END_EXITED)
		snprintf(room, END_BYTES, "exit %" PRIu32, obituary->end_value);
	else if (obituary->end == DEATH_END_KILLED && name)
		snprintf(room, END_BYTES, "SIG%s", name);
	else if (obituary->end == DEATH_END_KILLED)
		snprintf(room, END_BYTES, "signal %" PRIu32, obituary->end_value);
	else
		snprintf(room, END_BYTES, "?");
}

/* As many as a line has room for. */
static void say_segments(const struct obituary *obituary, char room[SEGMENTS_BYTES])
{
	size_t used = 0;

	*room = '\0';
	for (size_t i = 0; i < obituary->segment_count; i++) {
		size_t left = SEGMENTS_BYTES - used;

		if (strlen(obituary->segments[i]) + 2 > left)
			return;
		used += (size_t)snprintf(room + used, left, "%s%s", i > 0 ? "," : "",
					 obituary->segments[i]);
	}
}

static void log_death(const struct client *client, size_t held, const struct obituary *obituary)
{
	char end[END_BYTES], segments[SEGMENTS_BYTES];

	say_end(obituary, end);
	say_segments(obituary, segments);
	log_event(LOG_NOTICE, "died",
		  "pid=%d uid=%u name=\"%s\" attachments=%zu ended_by=\"%s\" segments=\"%s\"",
		  client->credentials.pid, client->credentials.uid, client->name, held, end,
		  segments);
}

/* Who held nothing has left like any other: its end may come before its hang-up. */
static void tell_death(struct client *client, size_t held, const struct obituary *obituary)
{
	struct broker *broker = client->broker;

	event_emit(broker, &(struct event){ .kind = held > 0 ? "died" : "disconnected",
					    .who = client,
					    .count = held,
					    .obituary = held > 0 ? obituary : NULL });
	if (held == 0)
		return;
	broker->counters.deaths++;
	log_death(client, held, obituary);
}

/* Returns how much he held. */
static size_t begin_record(struct client *client)
{
	struct death_notice notice = { .name = client->name,
				       .start_time = client->start_time,
				       .noticed_ns = shmp_clock_ns(),
				       .pid = (uint32_t)client->credentials.pid,
				       .uid = client->credentials.uid,
				       .held = (uint32_t)client->attachment_count };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	notice.at_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	ledger_client_died(client, &notice);
	deaths_begin(&client->broker->deaths, &notice);
	return notice.held;
}

/* Behind the repairs: nobody waits for it, and its parent has had time to wait for it. */
static void end_record(const struct client *client, struct obituary *obituary)
{
	uint32_t value;
	enum death_end end = liveness_end(client->pidfd, client->credentials.pid,
					  client->credentials.uid, &value);

	obituary->end = end;
	obituary->end_value = value;
	deaths_say_end(&client->broker->deaths, end, value);
}

/* A view leaves nothing to be repaired, but its holder has died all the same. */
static void record_view(struct broker *broker, const struct attachment *attachment)
{
	deaths_note(&broker->deaths, &(struct death_place){ .segment = attachment->segment->name,
							    .kind = attachment->segment->kind->name,
							    .role = attachment->role->name,
							    .endpoint = UINT32_MAX });
}

void repair_client(struct client *client)
{
	struct broker *broker = client->broker;
	struct obituary obituary;
	size_t held = 0;

	obituary.end = DEATH_END_UNKNOWN;
	obituary.end_value = 0;
	obituary.segment_count = 0;
	if (client->attachment_count > 0 || ledger_is_dying(client))
		held = begin_record(client);
	/* the waiting first, the telling after */
	while (client->attachment_count > 0) {
		struct attachment *attachment = client->attachments[client->attachment_count - 1];

		name_segment(&obituary, attachment->segment);
		if (attachment_observes(attachment))
			record_view(broker, attachment);
		attachment_close(attachment, true);
	}
	if (held > 0)
		end_record(client, &obituary);
	tell_death(client, held, &obituary);
	client_close(client);
	if (!list_is_empty(&broker->repairs.pending))
		retry_all(broker);
}
