/*
 * A hundred brokers are killed under full traffic: no message is lost, no call of the data path
 * fails, and the next control call is answered at once. The longest pause of the traffic is shown
 * beside that of a run without kills.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "protocol/waiter.h"
#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

#define KILLS	   100
#define RESUMED_NS (200 * UINT64_C(1000000))

static struct shmt_broker broker;

static struct shared {
	_Atomic bool is_over;
	_Atomic uint64_t moved;
	_Atomic uint64_t longest_ns; /* between two messages */
} * shared;

static void produce(struct shmt_peer *other, void *context)
{
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	uint64_t number = 0;

	while (!atomic_load(&shared->is_over))
		shmt_assert_ok(shmt_push_numbered(queue, number++, 200, SHMC_FOREVER));
	shmc_spsc_close(queue);
	shmc_disconnect(client);
}

static void consume(struct shmt_peer *other, void *context)
{
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	uint64_t number = 0, last_ns, now_ns;
	uint32_t flags;
	enum shmc_result result;

	shmt_assert_ok(shmc_spsc_wait_peer(queue, SHMC_FOREVER));
	last_ns = shmp_clock_ns();
	while ((result = shmt_pop_numbered(queue, number, 200, SHMC_FOREVER, &flags)) == SHMC_OK) {
		ck_assert_uint_eq(flags, 0);
		number++;
		now_ns = shmp_clock_ns();
		if (now_ns - last_ns > atomic_load(&shared->longest_ns))
			atomic_store(&shared->longest_ns, now_ns - last_ns);
		last_ns = now_ns;
		atomic_store(&shared->moved, number);
	}
	shmt_assert_result(result, SHMC_CLOSED);
	shmc_spsc_close(queue);
	shmc_disconnect(client);
}

static int compare(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return (one > other) - (one < other);
}

static void control_call(struct shmc_client *client)
{
	struct shmc_error error;

	shmt_create(client, "other", 4096);
	shmt_assert_ok(shmc_unlink(client, "other", &error));
}

static void await_traffic(void)
{
	uint64_t before = atomic_load(&shared->moved);

	while (atomic_load(&shared->moved) < before + 100)
		sched_yield();
}

static uint64_t call_once(struct shmc_client *client, bool kills)
{
	uint64_t began_ns;

	await_traffic();
	if (kills)
		shmt_broker_kill(&broker);
	began_ns = shmp_clock_ns();
	control_call(client);
	began_ns = shmp_clock_ns() - began_ns;
	if (kills)
		shmt_broker_next(&broker);
	return began_ns;
}

/* Nanoseconds in which 95 of a hundred calls were answered: the others show who else computes. */
static uint64_t run(bool kills)
{
	struct shmt_peer producer, consumer;
	uint64_t took_ns[KILLS];
	struct shmc_client *client;

	*shared = (struct shared){ .is_over = false };
	client = shmt_connect(&broker);
	shmt_create(client, "queue", 65536);
	producer = shmt_peer_start(produce, NULL);
	consumer = shmt_peer_start(consume, NULL);
	for (int i = 0; i < KILLS; i++)
		took_ns[i] = call_once(client, kills);
	atomic_store(&shared->is_over, true);
	shmt_peer_join(&producer);
	shmt_peer_join(&consumer);
	shmt_assert_ok(shmc_unlink(client, "queue", NULL));
	shmc_disconnect(client);
	qsort(took_ns, KILLS, sizeof(took_ns[0]), compare);
	printf("# %s: %llu messages, longest pause %llu us; create and unlink p50 %llu us, max %llu us\n",
	       kills ? "100 brokers killed" : "no broker killed",
	       (unsigned long long)atomic_load(&shared->moved),
	       (unsigned long long)atomic_load(&shared->longest_ns) / 1000,
	       (unsigned long long)took_ns[KILLS / 2] / 1000,
	       (unsigned long long)took_ns[KILLS - 1] / 1000);
	return took_ns[KILLS * 95 / 100];
}

TEST(a_hundred_killed_brokers_cost_no_message_and_no_call, .timeout_s = 60)
{
	static const char *const at_once[] = { "--no-backoff", NULL };

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	broker = shmt_broker_supervised(at_once);
	run(false);
	ck_assert_uint_le(run(true), shmt_scaled(1) * RESUMED_NS);
	shmt_broker_stop(&broker);
}

SHMT_MAIN
