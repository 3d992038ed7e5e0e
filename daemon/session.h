/*
 * Session: one connection, from accept to close. What goes over it is traffic.h's.
 */
#ifndef SHMBROKER_SESSION_H
#define SHMBROKER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/call.h"
#include "daemon/handles.h"
#include "daemon/list.h"
#include "protocol/wire.h"

struct broker;
struct client;
struct listener;

struct session {
	struct broker *broker;
	const struct listener *listener;
	struct client *client; /* NULL only while closing */
	uid_t uid;	       /* of the client */
	struct handles handles;
	uv_poll_t poll;
	int watched; /* events asked for, 0 = stopped */
	struct shmp_wire wire;
	struct call call;
	struct list link;    /* in broker */
	struct list pending; /* in traffic, ready or retry */
	struct list monitor; /* in events, once it monitors */
	uint64_t events_lost;
	size_t unread_fds;   /* sent and perhaps not read */
	bool has_input;	     /* perhaps whole calls among what has been read */
	bool has_hung_up;    /* will send no more; what it sent may be unread */
	bool is_half_closed; /* all that it sent has been read; it may still read */
	bool is_ending;	     /* closes once everything is sent */
	bool is_closing;
};

void sessions_close(struct broker *broker);

/* Takes over the accepted @fd. 0 or -errno; on failure @fd is closed. */
int session_new(const struct listener *listener, int fd);
/* Ends the connection; its client goes into quarantine or away. */
void session_close(struct session *session);

#endif
