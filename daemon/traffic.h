/*
 * Traffic: what a session does from one event to the next: receive, take calls, send.
 *
 * It takes a call only while it has nothing to send and none under way: what a client does not
 * read it cannot make the broker hold, and replies go out in call order. Descriptors in flight
 * count against the broker's user, so a session may have 16 unread and then waits, too. A few
 * calls make a turn; who has more to say waits for the others' turns.
 *
 * What a session waits for at any moment is decided in one place, watch().
 */
#ifndef SHMBROKER_TRAFFIC_H
#define SHMBROKER_TRAFFIC_H

#include <stdint.h>
#include <uv.h>

#include "daemon/list.h"

struct broker;
struct session;

struct traffic {
	struct list ready; /* sessions with something to do before the loop sleeps */
	struct list retry; /* sessions that wait for what no event tells */
	uv_idle_t turn;	   /* runs while somebody is ready */
	uv_timer_t timer;  /* runs while somebody retries */
	uint64_t retry_ms;
};

void traffic_init(struct broker *broker);
/* The session is new: its first look. */
void traffic_begin(struct session *session);
/* The session will do what there is to do: send, or take the next call. */
void traffic_wake(struct session *session);

#endif
