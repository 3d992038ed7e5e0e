/*
 * Client: the session with a broker, over whichever connection there is at the moment.
 *
 * A session outlives its connections: a control call that finds the connection gone makes a new
 * one and takes the session up again by its token. Where the broker does not know it any more, a
 * new session begins; ids and endpoints given out in an earlier one mean nothing in it.
 *
 * Threads: the mutex is taken by enter and given by leave. A data-path call never waits for it:
 * what it has to send (a ring) it leaves with the object, and whoever holds the mutex sends it.
 */
#ifndef SHMC__CLIENT_H
#define SHMC__CLIENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "libclient/address.h"
#include "libclient/control.h"
#include "shmclient/client.h"

#define SHMC__TOKEN_BYTES 128

struct shmc__object;

struct shmc_client {
	const uint32_t *alive; /* see process.h */
	/* fixed after shmc_connect */
	char *address; /* NULL: the usual ones */
	char name[64];
	uint64_t spin_ns;
	uint64_t control_timeout_ns;
	bool has_membarrier;
	bool is_pinned; /* to one cpu: whether spinning helps depends on where the others are */
	/* under the mutex */
	pthread_mutex_t mutex;
	struct shmc__control control;
	char connected_to[SHMC__ADDRESS_BYTES];
	char epoch[SHMC__TOKEN_BYTES];
	char token[SHMC__TOKEN_BYTES]; /* "" before the first session */
	uint64_t session;	       /* counts the sessions, from 1 */
	bool is_opening;	       /* an Attach is said again, for want of an answer */
	struct shmc__object *objects;
	/* set without the mutex: some object has a ring to send */
	_Atomic bool owes_ring;
};

/* FORKED, or OK with the mutex held. */
enum shmc_result shmc__client_enter(struct shmc_client *client, struct shmc_error *error);
/* Sends what the data path left to be sent. */
void shmc__client_leave(struct shmc_client *client);

/*
 * Calls org.shmbroker.@method, inside. With @session not 0 the parameters name things of that
 * session, and the call is STALE in any other. OK: a success, the caller's to deinit; otherwise
 * @error says what happened, and a success that comes too late goes to @late with the client.
 */
enum shmc_result shmc__client_call(struct shmc_client *client, const char *method,
				   const cJSON *parameters, uint64_t session, shmc__reply_fn late,
				   struct shmc__reply *ret_reply, struct shmc_error *error);

/* Made again for want of an answer, the call finds by it what it did. */
void shmc__client_add_tag(cJSON *parameters);

/*
 * Sends org.shmbroker.@method, inside, without waiting for anything; makes a new connection if
 * that can be had at once. 0 or -errno.
 */
int shmc__client_send(struct shmc_client *client, const char *method, const cJSON *parameters,
		      shmc__reply_fn fn, void *context);

#endif
