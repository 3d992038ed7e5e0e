/*
 * Processes that do one thing in one segment and stay there: with something in their hands, or
 * waiting for it. For tests of what is told about them when they die, are stopped, or wait.
 */
#ifndef SHMT_HOLDERS_H
#define SHMT_HOLDERS_H

#include "tests/support/client.h"
#include "tests/support/peer.h"

enum shmt_deed {
	/* holds something, and is done when its process is returned */
	SHMT_LOCKS_TO_WRITE,   /* buffer "lock" */
	SHMT_LOCKS_TO_READ,    /* the same */
	SHMT_PEEKS,	       /* spsc "queue": one message of 100 bytes */
	SHMT_PEEKS_ELEMENTS,   /* ring "elements": three of them */
	SHMT_RESERVES_SLOT,    /* mpmc "slots" */
	SHMT_PEEKS_SLOT,       /* the same; there must be a message */
	SHMT_RESERVES_IN_RING, /* broadcast "ring" */
	SHMT_JOINS_RING,       /* the same, as a reader that does not read on */
	SHMT_ACQUIRES,	       /* pool "pool": two objects */
	SHMT_TAKES_REQUEST,    /* rpc "service"; there must be one */
	SHMT_CALLS,	       /* the same: two calls, not waited for */
	SHMT_OBSERVES,	       /* spsc "queue" */
	/* waits for ever, or is about to, when its process is returned */
	SHMT_WAITS_TO_LOCK,
	SHMT_WAITS_TO_POP,     /* spsc "queue" */
	SHMT_WAITS_TO_PUSH,    /* the same, which it fills first */
	SHMT_WAITS_FOR_SLOT,   /* mpmc "slots", the same */
	SHMT_WAITS_AT_SLOT,    /* the same, for a message */
	SHMT_WAITS_IN_RING,    /* broadcast "ring", the same */
	SHMT_WAITS_FOR_OBJECT, /* pool "pool" */
	SHMT_WAITS_FOR_ANSWER, /* rpc "service" */
	SHMT_WAITS_FOR_CHANGE, /* atomic "number" */
};

/* Makes all of these segments. "slots" has 2 slots, "pool" 3 objects; "ring" blocks, for one writer. */
void shmt_holders_create(struct shmc_client *client);
/* The process calls itself "holder". */
struct shmt_peer shmt_holder_start(const struct shmt_broker *broker, enum shmt_deed deed);

#endif
