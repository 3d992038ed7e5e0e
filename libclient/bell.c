#include "libclient/bell.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libclient/client.h"
#include "libclient/error.h"
#include "libclient/object.h"
#include "protocol/doorbell.h"
#include "protocol/endpoint.h"

static uint32_t bell_ringer_count(const struct shmc__object *object)
{
	return object->mapping->segment.plan.endpoint_count;
}

int shmc__bell_init(struct shmc__object *object)
{
	object->bell.poll = SHMC__HOLDING_NULL;
	object->bell.ring = SHMC__HOLDING_NULL;
	object->bell.is_armed = false;
	object->bell.arming = 0;
	object->ringers = calloc(bell_ringer_count(object), sizeof(*object->ringers));
	if (!object->ringers)
		return -ENOMEM;
	for (uint32_t i = 0; i < bell_ringer_count(object); i++) {
		object->ringers[i].object = object;
		object->ringers[i].endpoint = i;
		object->ringers[i].ring = SHMC__HOLDING_NULL;
	}
	return 0;
}

void shmc__bell_deinit(struct shmc__object *object)
{
	for (uint32_t i = 0; i < bell_ringer_count(object); i++) {
		shmc__control_forget(&object->client->control, &object->ringers[i]);
		shmc__process_close_fd(&object->ringers[i].ring);
	}
	shmc__process_close_fd(&object->bell.poll);
	shmc__process_close_fd(&object->bell.ring);
}

void shmc__bell_free(struct shmc__object *object)
{
	free(object->ringers);
	object->ringers = NULL;
}

/* Takes descriptor @key out of the reply. */
static int bell_take_fd(struct shmc__reply *reply, const char *key, struct shmc__holding *ret_fd)
{
	int64_t index;

	if (shmp_json_i64(reply->varlink.parameters, key, 0, (int64_t)reply->fd_count - 1,
			  &index) != 0)
		return -1;
	shmc__process_lock();
	shmc__process_hold_fd(ret_fd, reply->fds[index]);
	shmc__process_unlock();
	reply->fds[index] = -1;
	return 0;
}

static enum shmc_result bell_make(struct shmc__object *object, struct shmc_error *error)
{
	cJSON *parameters = cJSON_CreateObject();
	struct shmc__reply reply;
	enum shmc_result result;

	shmp_json_add_u64(parameters, "id", object->id);
	shmp_json_add_u64(parameters, "endpoint", object->endpoint);
	shmp_json_add_u64(parameters, "incarnation", object->incarnation);
	result = shmc__client_call(object->client, "MakeDoorbell", parameters, object->session,
				   NULL, &reply, error);
	cJSON_Delete(parameters);
	if (result != SHMC_OK)
		return result;
	if (bell_take_fd(&reply, "ring", &object->bell.ring) < 0 ||
	    bell_take_fd(&reply, "poll", &object->bell.poll) < 0) {
		shmc__process_close_fd(&object->bell.ring);
		result = shmc__error(error, SHMC_UNSUPPORTED,
				     "the broker's answer to MakeDoorbell lacks a descriptor");
	}
	shmc__reply_deinit(&reply);
	return result;
}

enum shmc_result shmc__bell_open(struct shmc__object *object, struct shmc_error *error)
{
	enum shmc_result result;

	if (shmc__bell_is_open(&object->bell))
		return SHMC_OK;
	result = shmc__client_enter(object->client, error);
	if (result != SHMC_OK)
		return result;
	result = bell_make(object, error);
	shmc__client_leave(object->client);
	return result;
}

int shmc__bell_arm(struct shmc__object *object, struct shmp_waiter *waiter)
{
	struct shmc__bell *bell = &object->bell;

	if (++bell->arming == 0)
		bell->arming = 1;
	bell->is_armed = true;
	return shmp_doorbell_arm(bell->poll.fd, waiter, shmc__object_self(object), object->endpoint,
				 bell->arming, object->client->has_membarrier);
}

void shmc__bell_disarm(struct shmc__object *object, struct shmp_waiter *waiter)
{
	if (!object->bell.is_armed)
		return;
	shmp_doorbell_disarm(waiter, shmc__object_self(object), object->endpoint);
	object->bell.is_armed = false;
	/* Nobody rings from now on. Whether somebody did before is not known: the last message may
	 * have been found between its publication and the ring. */
	shmp_doorbell_ring(object->bell.ring.fd);
}

/* The ringing side. */

static uint32_t ringer_state(const struct shmc__ringer *ringer)
{
	/* [R] acquire; pairs with ringer_set: HELD comes with the descriptor */
	return atomic_load_explicit(&ringer->state, memory_order_acquire);
}

static void ringer_set(struct shmc__ringer *ringer, enum shmc__ringer_state state)
{
	/* [R] release; pairs with ringer_state: hands over the rest */
	atomic_store_explicit(&ringer->state, state, memory_order_release);
}

/* The answer to TakeDoorbell. */
static void ringer_take(void *context, struct shmc__reply *reply)
{
	struct shmc__ringer *ringer = context;

	if (reply && *reply->varlink.error == '\0' &&
	    shmp_json_u64(reply->varlink.parameters, "incarnation", UINT64_MAX,
			  &ringer->incarnation) == 0 &&
	    bell_take_fd(reply, "ring", &ringer->ring) == 0)
		ringer_set(ringer, SHMC__RINGER_HELD);
	else
		ringer_set(ringer, SHMC__RINGER_NONE);
}

static void ringer_ask(struct shmc__ringer *ringer, const cJSON *parameters)
{
	ringer_set(ringer, SHMC__RINGER_ASKED);
	if (shmc__client_send(ringer->object->client, "TakeDoorbell", parameters, ringer_take,
			      ringer) < 0)
		ringer_set(ringer, SHMC__RINGER_NONE);
}

/* True when the end that is held is that of the counterpart of now. */
static bool ringer_is_good(const struct shmc__ringer *ringer)
{
	const struct shmp_endpoint *endpoints = ringer->object->mapping->segment.endpoints;

	return ringer_state(ringer) == SHMC__RINGER_HELD &&
	       ringer->incarnation == shmp_endpoint_incarnation(&endpoints[ringer->endpoint]);
}

/* Without memory, which may be short: somebody sleeps, and nobody else may come and wake him. */
static int ringer_say(const struct shmc__ringer *ringer)
{
	const struct shmc__object *object = ringer->object;
	char text[160];
	int bytes = snprintf(text, sizeof(text),
			     "{\"method\":\"org.shmbroker.Ring\",\"parameters\":{\"id\":%" PRIu64
			     ",\"endpoint\":%" PRIu32 "},\"oneway\":true}",
			     object->id, ringer->endpoint);

	return shmc__control_send_text(&object->client->control, text, (size_t)bytes + 1);
}

/* Has the broker ring. What cannot be said now is owed still, and paid with the next call. */
static void ringer_have_rung(struct shmc__ringer *ringer, const cJSON *parameters)
{
	struct shmc__object *object = ringer->object;

	if (ringer_say(ringer) == 0)
		return;
	/* behind others, or over a new connection, whose first message may fail like this one's */
	for (int attempt = 0; attempt < 2; attempt++) {
		if (shmc__client_send(object->client, "Ring", parameters, NULL, NULL) == 0)
			return;
	}
	/* relaxed: looked at with the mutex held, as here */
	atomic_store_explicit(&ringer->is_owed, true, memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&object->owes_rings, true, memory_order_relaxed);
}

/* Without the end, has the broker ring, and asks for it. */
static void ringer_pay(struct shmc__ringer *ringer)
{
	const struct shmc__object *object = ringer->object;
	cJSON *parameters;

	if (ringer_is_good(ringer)) {
		shmp_doorbell_ring(ringer->ring.fd);
		return;
	}
	if (object->session != object->client->session)
		return; /* a broker that does not know this segment rings nobody in it */
	parameters = cJSON_CreateObject();
	shmp_json_add_u64(parameters, "id", object->id);
	shmp_json_add_u64(parameters, "endpoint", ringer->endpoint);
	ringer_have_rung(ringer, parameters);
	/* One at a time: a client with many unread descriptors is not listened to. */
	if (ringer_state(ringer) == SHMC__RINGER_NONE &&
	    !shmc__control_awaits(&object->client->control))
		ringer_ask(ringer, parameters);
	cJSON_Delete(parameters);
}

/* Takes the mark back; what it stands for is looked at after that. */
static bool ringer_takes(_Atomic bool *mark)
{
	/* [O] acquire; pairs with ringer_owe */
	return atomic_exchange_explicit(mark, false, memory_order_acquire);
}

void shmc__bell_pay(struct shmc_client *client)
{
	/* relaxed: ordered by the fence */
	atomic_store_explicit(&client->owes_ring, false, memory_order_relaxed);
	/* what is owed is looked for after the mark is taken back */
	atomic_thread_fence(memory_order_seq_cst); /* [O] fence; pairs with ringer_owe */
	for (struct shmc__object *object = client->objects; object; object = object->next) {
		if (!ringer_takes(&object->owes_rings))
			continue;
		for (uint32_t i = 0; i < bell_ringer_count(object); i++) {
			if (ringer_takes(&object->ringers[i].is_owed))
				ringer_pay(&object->ringers[i]);
		}
	}
}

/* By the handle's thread with the mutex held: who pays for it has only the one, and must not close
 * what this thread is using. */
static void ringer_drop_old(struct shmc__ringer *ringer)
{
	if (ringer_state(ringer) != SHMC__RINGER_HELD || ringer_is_good(ringer))
		return;
	shmc__process_close_fd(&ringer->ring);
	ringer_set(ringer, SHMC__RINGER_NONE);
}

/* Leaves the ring with the object, and sends it if nobody else is at the connection. */
static void ringer_owe(struct shmc__ringer *ringer)
{
	struct shmc_client *client = ringer->object->client;

	/* [O] release; pairs with ringer_takes */
	atomic_store_explicit(&ringer->is_owed, true, memory_order_release);
	/* [O] release; pairs with ringer_takes: who sees it finds the one above */
	atomic_store_explicit(&ringer->object->owes_rings, true, memory_order_release);
	/* [O] release; pairs with shmc__client_leave: who sees it finds what is owed */
	atomic_store_explicit(&client->owes_ring, true, memory_order_release);
	/* the trylock comes after the mark */
	atomic_thread_fence(memory_order_seq_cst); /* [O] fence; pairs with shmc__client_leave */
	if (pthread_mutex_trylock(&client->mutex) != 0)
		return;
	shmc__control_collect(&client->control);
	ringer_drop_old(ringer);
	shmc__bell_pay(client);
	shmc__client_leave(client);
}

void shmc__bell_ring(void *context, uint32_t endpoint)
{
	struct shmc__object *object = context;
	struct shmc__ringer *ringer = &object->ringers[endpoint];

	if (ringer_is_good(ringer))
		shmp_doorbell_ring(ringer->ring.fd);
	else
		ringer_owe(ringer);
}
