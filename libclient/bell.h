/*
 * Bell: the doorbell of a receiving handle, and the ringing ends in a sending one, one for each
 * endpoint that may have a doorbell.
 *
 * Receiving: the descriptor is asked for once. From then on, a try that finds nothing drains and
 * arms, and the first call that finds something again, or that sleeps by other means, disarms and
 * rings itself. So it is readable whenever it is not armed, whatever the owner does in between.
 *
 * Ringing: the ringing end is asked for when the first ring is due, and until it is there the
 * broker rings. Neither waits: the request's answer is collected whenever the connection is
 * looked at again. An end belongs to one incarnation of the counterpart, and is given up with it.
 *
 *	NONE --ring--> ASKED --answer--> HELD --other incarnation--> NONE
 *	                 +----refused----> NONE
 *
 * The client's mutex is held for every move; HELD is left by the handle's thread only, which may
 * use the descriptor without the mutex.
 *
 * Edges:
 * [R] ringer state: whoever collects the answer -> data path; hands over the descriptor
 * [O] is_owed, owes_rings, owes_ring: data path -> payer; hands over what is to be rung: the
 *     ringer's, the object's and the client's. The marks are set before the mutex is tried, and
 *     looked at again after it was given back, a full fence between each pair: one of the two
 *     sees the other
 */
#ifndef SHMC__BELL_H
#define SHMC__BELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "libclient/process.h"
#include "protocol/waiter.h"
#include "shmclient/result.h"

struct shmc__object;
struct shmc_client;

struct shmc__bell {
	struct shmc__holding poll; /* fd -1: never asked for */
	struct shmc__holding ring; /* for oneself, and so that a dead broker is no hang-up */
	uint32_t arming;	   /* counts the armings, never 0 */
	bool is_armed;
};

enum shmc__ringer_state {
	SHMC__RINGER_NONE = 0,
	SHMC__RINGER_ASKED = 1,
	SHMC__RINGER_HELD = 2,
};

struct shmc__ringer {
	struct shmc__object *object;
	uint32_t endpoint; /* to be rung */
	_Atomic uint32_t state;
	_Atomic bool is_owed; /* a ring that could not be sent at once */
	uint64_t incarnation; /* whose bell it is */
	struct shmc__holding ring;
};

/* The object is mapped and knows its endpoint. 0 or -ENOMEM. */
int shmc__bell_init(struct shmc__object *object);
/* Client's mutex held; not in a forked child, where nothing is left to close. */
void shmc__bell_deinit(struct shmc__object *object);
/* What is memory only. */
void shmc__bell_free(struct shmc__object *object);

/* Asks the broker once. */
enum shmc_result shmc__bell_open(struct shmc__object *object, struct shmc_error *error);

static inline bool shmc__bell_is_open(const struct shmc__bell *bell)
{
	return bell->poll.fd >= 0;
}

/* Drains, arms, passes the barrier; the caller looks again. -EBADMSG: it is no use any more. */
int shmc__bell_arm(struct shmc__object *object, struct shmp_waiter *waiter);
void shmc__bell_disarm(struct shmc__object *object, struct shmp_waiter *waiter);

/* A shmp_ring_fn; @context is the object. Never blocks. */
void shmc__bell_ring(void *context, uint32_t endpoint);

/* Client's mutex held: sends the rings that are owed. */
void shmc__bell_pay(struct shmc_client *client);

#endif
