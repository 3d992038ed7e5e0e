#include "tests/support/holders.h"

#include <string.h>

#include "tests/support/broadcast_client.h"
#include "tests/support/buffer_client.h"
#include "tests/support/mpmc_client.h"

enum {
	MESSAGE = 100
};

static const uint8_t bytes[4096];

/* Of a call that must succeed and says why not. */
#define DO(call)                                                               \
	do {                                                                   \
		struct shmc_error error = { .text = "" };                      \
		ck_assert_msg((call) == SHMC_OK, "%s: %s", #call, error.text); \
	} while (0)

void shmt_holders_create(struct shmc_client *client)
{
	struct shmc_ring_options elements = { .element_bytes = 4, .elements = 8 };
	struct shmc_pool_options pool = { .object_bytes = 64, .objects = 3 };
	struct shmc_atomic_options number = { .type = SHMC_TYPE_U64 };
	struct shmc_rpc_options service = { .message_bytes_max = 64 };

	shmt_buffer_create(client, "lock", (struct shmc_buffer_options){ .size_bytes = 4096 });
	shmt_create(client, "queue", 4096);
	shmt_queue_create(client, "slots", (struct shmc_mpmc_options){ .slots = 2 });
	shmt_broadcast_create(client, "ring",
			      (struct shmc_broadcast_options){ .capacity_bytes = 4096,
							       .policy = SHMC_BROADCAST_BLOCK,
							       .exclusive = 1 });
	DO(shmc_ring_create(client, "elements", &elements, &error));
	DO(shmc_pool_create(client, "pool", &pool, &error));
	DO(shmc_rpc_create(client, "service", &service, &error));
	DO(shmc_atomic_create(client, "number", &number, &error));
}

static struct shmc_pool *open_pool(struct shmc_client *client)
{
	struct shmc_pool *pool = NULL;

	DO(shmc_pool_open(client, "pool", SHMC_POOL_USER, NULL, &pool, &error));
	return pool;
}

static struct shmc_rpc *open_service(struct shmc_client *client, enum shmc_rpc_role role)
{
	struct shmc_rpc *rpc = NULL;

	DO(shmc_rpc_open(client, "service", role, &rpc, &error));
	return rpc;
}

static struct shmc_ring *open_elements(struct shmc_client *client, enum shmc_ring_role role)
{
	struct shmc_ring *ring = NULL;

	DO(shmc_ring_open(client, "elements", role, NULL, &ring, &error));
	return ring;
}

/* Holding */

static void peek_at_queue(struct shmc_client *client)
{
	struct shmc_spsc *producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	struct shmc_message message;

	shmt_assert_ok(shmc_spsc_push(producer, bytes, MESSAGE, SHMC_TRY));
	shmc_spsc_close(producer);
	shmt_assert_ok(
		shmc_spsc_peek(shmt_open(client, "queue", SHMC_SPSC_CONSUMER), SHMC_TRY, &message));
}

static void peek_at_elements(struct shmc_client *client)
{
	struct shmc_ring *producer = open_elements(client, SHMC_RING_PRODUCER);
	struct shmc_ring_span span;
	uint64_t count;

	shmt_assert_ok(shmc_ring_push(producer, bytes, 3, 3, SHMC_TRY, &count));
	shmc_ring_close(producer);
	shmt_assert_ok(shmc_ring_peek(open_elements(client, SHMC_RING_CONSUMER), 0, 3, 3, SHMC_TRY,
				      &span));
}

static void acquire(struct shmc_pool *pool)
{
	uint64_t handle;

	shmt_assert_ok(shmc_pool_acquire(pool, SHMC_TRY, &handle, NULL));
}

static void call(struct shmc_rpc *rpc)
{
	uint64_t id;

	shmt_assert_ok(shmc_rpc_start(rpc, bytes, 8, SHMC_FOREVER, &id));
}

static void hold(struct shmc_client *client, enum shmt_deed deed)
{
	struct shmc_message message;
	struct shmc_rpc_request request;
	struct shmc_pool *pool;
	struct shmc_rpc *rpc;
	void *room;

	switch (deed) {
	case SHMT_LOCKS_TO_WRITE:
		shmt_assert_ok(shmc_buffer_lock_write(
			shmt_buffer_open(client, "lock", SHMC_BUFFER_WRITER), SHMC_TRY));
		break;
	case SHMT_LOCKS_TO_READ:
		shmt_assert_ok(shmc_buffer_lock_read(
			shmt_buffer_open(client, "lock", SHMC_BUFFER_READER), SHMC_TRY));
		break;
	case SHMT_PEEKS:
		peek_at_queue(client);
		break;
	case SHMT_PEEKS_ELEMENTS:
		peek_at_elements(client);
		break;
	case SHMT_RESERVES_SLOT:
		shmt_assert_ok(shmc_mpmc_reserve(
			shmt_queue_open(client, "slots", SHMC_MPMC_PRODUCER), 8, SHMC_TRY, &room));
		break;
	case SHMT_PEEKS_SLOT:
		shmt_assert_ok(shmc_mpmc_peek(shmt_queue_open(client, "slots", SHMC_MPMC_CONSUMER),
					      SHMC_TRY, &message));
		break;
	case SHMT_RESERVES_IN_RING:
		shmt_assert_ok(shmc_broadcast_reserve(shmt_writer_open(client, "ring"), MESSAGE,
						      SHMC_TRY, &room));
		break;
	case SHMT_JOINS_RING:
		shmt_reader_open(client, "ring", SHMC_BROADCAST_OLDEST, 0);
		break;
	case SHMT_ACQUIRES:
		pool = open_pool(client);
		acquire(pool);
		acquire(pool);
		break;
	case SHMT_TAKES_REQUEST:
		shmt_assert_ok(
			shmc_rpc_take(open_service(client, SHMC_RPC_WORKER), SHMC_TRY, &request));
		break;
	case SHMT_CALLS:
		rpc = open_service(client, SHMC_RPC_CLIENT);
		call(rpc);
		call(rpc);
		break;
	default: /* SHMT_OBSERVES */
		shmt_open(client, "queue", SHMC_SPSC_OBSERVER);
		break;
	}
}

/* Waiting: each is told of just before it begins. */

static void wait_to_push(struct shmt_peer *test, struct shmc_client *client)
{
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);

	while (shmc_spsc_push(queue, bytes, MESSAGE, SHMC_TRY) == SHMC_OK)
		;
	shmt_peer_tell(test);
	shmc_spsc_push(queue, bytes, MESSAGE, SHMC_FOREVER);
}

static void wait_for_slot(struct shmt_peer *test, struct shmc_client *client)
{
	struct shmc_mpmc *queue = shmt_queue_open(client, "slots", SHMC_MPMC_PRODUCER);

	while (shmc_mpmc_push(queue, bytes, 8, SHMC_TRY) == SHMC_OK)
		;
	shmt_peer_tell(test);
	shmc_mpmc_push(queue, bytes, 8, SHMC_FOREVER);
}

static void wait_at_slot(struct shmt_peer *test, struct shmc_client *client)
{
	struct shmc_mpmc *queue = shmt_queue_open(client, "slots", SHMC_MPMC_CONSUMER);
	struct shmc_message message;
	uint8_t room[MESSAGE];

	shmt_peer_tell(test);
	shmc_mpmc_pop(queue, room, sizeof(room), SHMC_FOREVER, &message);
}

static void wait_in_ring(struct shmt_peer *test, struct shmc_client *client)
{
	struct shmc_broadcast *ring = shmt_writer_open(client, "ring");

	while (shmc_broadcast_push(ring, bytes, MESSAGE, SHMC_TRY) == SHMC_OK)
		;
	shmt_peer_tell(test);
	shmc_broadcast_push(ring, bytes, MESSAGE, SHMC_FOREVER);
}

static void wait_for_object(struct shmt_peer *test, struct shmc_client *client)
{
	struct shmc_pool *pool = open_pool(client);
	uint64_t handle;

	while (shmc_pool_acquire(pool, SHMC_TRY, &handle, NULL) == SHMC_OK)
		;
	shmt_peer_tell(test);
	shmc_pool_acquire(pool, SHMC_FOREVER, &handle, NULL);
}

static void wait_for_answer(struct shmt_peer *test, struct shmc_client *client)
{
	struct shmc_rpc *rpc = open_service(client, SHMC_RPC_CLIENT);
	struct shmc_rpc_answer answer;

	call(rpc);
	shmt_peer_tell(test);
	shmc_rpc_receive(rpc, 0, SHMC_FOREVER, &answer);
}

static void wait_for_change(struct shmt_peer *test, struct shmc_client *client)
{
	struct shmc_atomic *number = NULL;

	DO(shmc_atomic_open(client, "number", SHMC_ATOMIC_READER, SHMC_TYPE_U64, &number, &error));
	shmt_peer_tell(test);
	shmc_atomic_wait(number, 0, SHMC_FOREVER, NULL);
}

static void wait(struct shmt_peer *test, struct shmc_client *client, enum shmt_deed deed)
{
	struct shmc_buffer *lock;
	struct shmc_message message;
	struct shmc_spsc *queue;
	uint8_t room[MESSAGE];

	switch (deed) {
	case SHMT_WAITS_TO_LOCK:
		lock = shmt_buffer_open(client, "lock", SHMC_BUFFER_WRITER);
		shmt_peer_tell(test);
		shmc_buffer_lock_write(lock, SHMC_FOREVER);
		break;
	case SHMT_WAITS_TO_POP:
		queue = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
		shmt_peer_tell(test);
		shmc_spsc_pop(queue, room, sizeof(room), SHMC_FOREVER, &message);
		break;
	case SHMT_WAITS_TO_PUSH:
		wait_to_push(test, client);
		break;
	case SHMT_WAITS_FOR_SLOT:
		wait_for_slot(test, client);
		break;
	case SHMT_WAITS_AT_SLOT:
		wait_at_slot(test, client);
		break;
	case SHMT_WAITS_IN_RING:
		wait_in_ring(test, client);
		break;
	case SHMT_WAITS_FOR_OBJECT:
		wait_for_object(test, client);
		break;
	case SHMT_WAITS_FOR_ANSWER:
		wait_for_answer(test, client);
		break;
	default: /* SHMT_WAITS_FOR_CHANGE */
		wait_for_change(test, client);
		break;
	}
}

struct order {
	const struct shmt_broker *broker;
	enum shmt_deed deed;
};

static void live(struct shmt_peer *test, void *context)
{
	const struct order *order = context;
	struct shmc_client *client =
		shmt_connect_as(order->broker, (struct shmc_client_options){ .name = "holder" });

	if (order->deed < SHMT_WAITS_TO_LOCK) {
		hold(client, order->deed);
		shmt_peer_tell(test);
	} else {
		wait(test, client, order->deed);
	}
	shmt_peer_hang();
}

struct shmt_peer shmt_holder_start(const struct shmt_broker *broker, enum shmt_deed deed)
{
	struct order order = { broker, deed };
	struct shmt_peer peer = shmt_peer_start(live, &order);

	shmt_peer_await(&peer);
	return peer;
}
