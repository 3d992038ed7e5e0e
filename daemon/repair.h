/*
 * Repair: from a process's end to its endpoints, and the list of what could not be finished.
 *
 * Repair never waits. A place whose past cannot be decided yet, because a living process stands
 * in the middle of a move, is tried again by a timer and after each death.
 */
#ifndef SHMBROKER_REPAIR_H
#define SHMBROKER_REPAIR_H

#include <uv.h>

#include "daemon/handles.h"
#include "daemon/list.h"

struct broker;
struct client;
struct segment;

struct repairs {
	struct list pending; /* segments */
	uv_timer_t timer;    /* runs only while something is pending */
};

void repairs_init(struct broker *broker);
/* The process of @client has ended: everything it held is taken back, and the client ends. */
void repair_client(struct client *client);
/* Some place of @segment is_repairing still. */
void repair_later(struct segment *segment);

#endif
