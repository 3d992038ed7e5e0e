/*
 * Events: what happens, told to every monitor as it happens.
 *
 * A monitor is a session whose Monitor call goes on. It may have so many bytes unread; what comes
 * on top is dropped and counted, and it is told the count as soon as it reads again.
 */
#ifndef SHMBROKER_EVENT_H
#define SHMBROKER_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/list.h"

struct broker;
struct client;
struct session;

struct events {
	struct list monitors;
	uint64_t lost;
};

#define OBITUARY_SEGMENTS_MAX  8u
#define OBITUARY_SEGMENT_BYTES 256u

/* What is told of a death at once, so that the record need not be asked. */
struct obituary {
	uint32_t end; /* enum death_end */
	uint32_t end_value;
	size_t segment_count; /* the first so many, each once */
	char segments[OBITUARY_SEGMENTS_MAX][OBITUARY_SEGMENT_BYTES];
};

struct event {
	const char *kind;
	const struct client *who; /* NULL = the broker itself */
	const char *segment;
	const char *role;
	bool has_endpoint;
	uint32_t endpoint;
	uint64_t count;			 /* 0 = not said */
	const struct obituary *obituary; /* NULL = nobody died */
	const char *message;
};

void events_init(struct events *events);
/* Costs nothing while nobody listens. */
void event_emit(struct broker *broker, const struct event *event);
/* Makes the session's call in flight a monitor; it ends with the session. */
void event_monitor(struct session *session);
/* The monitor has read everything. */
void event_drained(struct session *session);

#endif
