/* spsc between two processes: all that was sent arrives, once, whole and in order. */
#include <stdio.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

#define SECOND_NS INT64_C(1000000000)

/* What the two of them do. */
struct plan {
	struct shmt_broker broker;
	uint64_t messages;
	uint64_t most; /* bytes of a message */
	uint64_t capacity;
	int64_t timeout_ns; /* of each call */
	int64_t spin_ns;
	uint64_t batch; /* 0: one by one */
	bool in_place;
};

static struct shmc_client *plan_connect(const struct plan *plan)
{
	return shmt_connect_as(&plan->broker,
			       (struct shmc_client_options){ .spin_ns = plan->spin_ns });
}

static void send_in_place(struct shmc_spsc *queue, uint64_t number)
{
	void *room;

	shmt_assert_ok(shmc_spsc_reserve(queue, 64, SHMC_FOREVER, &room));
	*(uint64_t *)room = number;
	shmt_assert_ok(shmc_spsc_commit(queue, 8));
}

static void send_one(struct shmc_spsc *queue, const struct plan *plan, uint64_t number)
{
	enum shmc_result result;

	do
		result = shmt_push_numbered(queue, number, plan->most, plan->timeout_ns);
	while (result == SHMC_FULL);
	shmt_assert_ok(result);
}

static void send_batch(struct shmc_spsc *queue, uint64_t from, uint64_t to)
{
	uint64_t numbers[64];
	struct shmc_bytes batch[64];
	uint64_t sent;

	for (uint64_t i = from; i < to; i++) {
		numbers[i - from] = i;
		batch[i - from] = (struct shmc_bytes){ &numbers[i - from], 8 };
	}
	for (uint64_t at = 0; at < to - from; at += sent)
		shmt_assert_ok(shmc_spsc_push_batch(queue, batch + at, to - from - at, SHMC_FOREVER,
						    &sent));
}

static void produce(struct shmt_peer *other, void *context)
{
	const struct plan *plan = context;
	struct shmc_client *client = plan_connect(plan);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	uint64_t step = plan->batch ? plan->batch : 1;

	(void)other;
	for (uint64_t i = 0; i < plan->messages; i += step) {
		uint64_t end = i + step < plan->messages ? i + step : plan->messages;

		if (plan->batch)
			send_batch(queue, i, end);
		else if (plan->in_place)
			send_in_place(queue, i);
		else
			send_one(queue, plan, i);
	}
	shmc_spsc_close(queue);
	shmc_disconnect(client);
}

static void receive_shown(struct shmc_spsc *queue, uint64_t messages)
{
	struct shmc_message shown[32];
	uint64_t count;

	for (uint64_t next = 0; next < messages; next += count) {
		shmt_assert_ok(shmc_spsc_peek_batch(queue, shown, 32, SHMC_FOREVER, &count));
		for (uint64_t i = 0; i < count; i++) {
			if (*(const uint64_t *)shown[i].data != next + i)
				ck_abort_msg("message %lu is another", (unsigned long)(next + i));
		}
		shmt_assert_ok(shmc_spsc_release(queue, count));
	}
}

static void receive_all(struct shmc_spsc *queue, const struct plan *plan)
{
	for (uint64_t i = 0; i < plan->messages; i++) {
		uint32_t flags;
		enum shmc_result result;

		do
			result = shmt_pop_numbered(queue, i, plan->most, plan->timeout_ns, &flags);
		while (result == SHMC_EMPTY);
		if (result != SHMC_OK || flags != 0)
			ck_abort_msg("message %lu: %s, flags %u", (unsigned long)i,
				     shmc_result_name(result), flags);
	}
}

static void run(struct plan plan)
{
	struct shmc_client *client;
	struct shmc_spsc *queue;
	struct shmc_message message;
	struct shmt_peer peer;
	size_t descriptors;

	plan.broker = shmt_broker_start(NULL);
	descriptors = shmt_descriptor_count();
	client = plan_connect(&plan);
	shmt_create(client, "queue", plan.capacity);
	queue = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	peer = shmt_peer_start(produce, &plan);
	if (plan.batch || plan.in_place)
		receive_shown(queue, plan.messages);
	else
		receive_all(queue, &plan);
	shmt_assert_result(shmc_spsc_peek(queue, SHMC_FOREVER, &message), SHMC_CLOSED);
	shmt_peer_join(&peer);
	shmc_spsc_close(queue);
	shmc_disconnect(client);
	ck_assert_uint_eq(shmt_descriptor_count(), descriptors);
	shmt_broker_stop(&plan.broker);
}

TEST(five_million_messages_arrive_in_order, .timeout_s = 60)
{
	run((struct plan){ .messages = 5000000, .most = 40, .timeout_ns = SHMC_FOREVER });
}

TEST(lengths_from_next_to_nothing_to_the_limit_arrive_mixed, .timeout_s = 60)
{
	run((struct plan){
		.messages = 200000, .most = 4080, .capacity = 16384, .timeout_ns = SHMC_FOREVER });
}

TEST(a_ring_of_one_message_passes_them_one_by_one, .timeout_s = 60)
{
	run((struct plan){
		.messages = 20000, .most = 4080, .capacity = 4096, .timeout_ns = SHMC_FOREVER });
}

TEST(two_who_only_ever_try_lose_nothing, .timeout_s = 60)
{
	run((struct plan){ .messages = 200000, .most = 100, .capacity = 4096 });
}

TEST(two_who_wait_with_a_limit_lose_nothing, .timeout_s = 60)
{
	run((struct plan){
		.messages = 200000, .most = 100, .capacity = 4096, .timeout_ns = 30 * SECOND_NS });
}

TEST(two_who_sleep_at_once_lose_no_wake_up, .timeout_s = 60)
{
	run((struct plan){ .messages = 100000,
			   .most = 1000,
			   .capacity = 4096,
			   .timeout_ns = SHMC_FOREVER,
			   .spin_ns = -1 });
}

TEST(batches_arrive_complete, .timeout_s = 60)
{
	run((struct plan){ .messages = 1000000, .batch = 32 });
}

TEST(batches_larger_than_the_ring_s_room_go_in_parts, .timeout_s = 60)
{
	run((struct plan){ .messages = 200000, .batch = 64, .capacity = 4096, .spin_ns = -1 });
}

TEST(messages_written_and_read_in_place_arrive, .timeout_s = 60)
{
	run((struct plan){ .messages = 1000000, .in_place = true });
}

SHMT_MAIN
