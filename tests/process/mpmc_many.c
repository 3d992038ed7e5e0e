/* mpmc between many processes, through the library and a real broker: none lost, none doubled. */
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/mpmc_client.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

enum {
	MANY = 16,
	MESSAGES_MAX = 1000000,
	/* a number that says "no more" */
	THE_END = MESSAGES_MAX,
};

struct plan {
	struct shmt_broker broker;
	uint64_t slots;
	uint32_t producers, consumers;
	uint32_t messages;
	bool in_place;
	bool by_batch;			 /* with one consumer: another could take its end, too */
	_Atomic uint32_t next;		 /* who comes gets a number */
	_Atomic uint8_t *got;		 /* of each message */
	_Atomic uint32_t was_not_in_row; /* messages that came behind a later one of the same */
};

static void produce_batch(struct shmc_mpmc *queue, const struct plan *plan, uint32_t *at)
{
	struct shmc_bytes batch[32];
	uint64_t numbers[32], count = 0, sent;

	for (uint32_t i = *at; i < plan->messages && count < 32; i += plan->producers, count++) {
		numbers[count] = i;
		batch[count] = (struct shmc_bytes){ &numbers[count], 8 };
	}
	shmt_assert_ok(shmc_mpmc_push_batch(queue, batch, count, SHMC_FOREVER, &sent));
	*at += (uint32_t)sent * plan->producers;
}

static void produce_in_place(struct shmc_mpmc *queue, uint64_t number)
{
	void *room;

	shmt_assert_ok(shmc_mpmc_reserve(queue, 8, SHMC_FOREVER, &room));
	memcpy(room, &number, 8);
	shmt_assert_ok(shmc_mpmc_commit(queue, 8));
}

static void produce(struct shmt_peer *other, void *context)
{
	struct plan *plan = context;
	struct shmc_client *client = shmt_connect(&plan->broker);
	struct shmc_mpmc *queue = shmt_queue_open(client, "queue", SHMC_MPMC_PRODUCER);
	uint32_t at = atomic_fetch_add(&plan->next, 1);

	shmt_peer_tell(other);
	shmt_peer_await(other);
	while (at < plan->messages) {
		if (plan->by_batch) {
			produce_batch(queue, plan, &at);
			continue;
		}
		if (plan->in_place)
			produce_in_place(queue, at);
		else
			shmt_assert_ok(shmt_queue_push(queue, at, SHMC_FOREVER));
		at += plan->producers;
	}
	shmc_mpmc_close(queue);
	shmc_disconnect(client);
}

static void note(struct plan *plan, uint64_t number, uint64_t *next)
{
	if (number >= plan->messages)
		ck_abort_msg("message %lu was not sent", (unsigned long)number);
	atomic_fetch_add(&plan->got[number], 1);
	if (number < next[number % plan->producers])
		atomic_fetch_add(&plan->was_not_in_row, 1);
	next[number % plan->producers] = number;
}

static bool consume_batch(struct shmc_mpmc *queue, struct plan *plan, uint64_t *next)
{
	struct shmc_message messages[32];
	uint64_t buffer[32], count;
	bool goes_on = true;

	shmt_assert_ok(shmc_mpmc_pop_batch(queue, buffer, sizeof(buffer), messages, 32,
					   SHMC_FOREVER, &count));
	for (uint64_t i = 0; i < count; i++) {
		uint64_t number = *(const uint64_t *)messages[i].data;

		if (number == THE_END)
			goes_on = false;
		else
			note(plan, number, next);
	}
	return goes_on;
}

static bool consume_one(struct shmc_mpmc *queue, struct plan *plan, uint64_t *next)
{
	struct shmc_message message;
	uint64_t number;
	uint32_t flags = 0;

	if (plan->in_place) {
		shmt_assert_ok(shmc_mpmc_peek(queue, SHMC_FOREVER, &message));
		memcpy(&number, message.data, 8);
		flags = message.flags;
		shmt_assert_ok(shmc_mpmc_release(queue));
	} else {
		shmt_assert_ok(shmt_queue_pop(queue, &number, &flags, SHMC_FOREVER));
	}
	ck_assert(flags == 0);
	if (number == THE_END)
		return false;
	note(plan, number, next);
	return true;
}

static void consume(struct shmt_peer *other, void *context)
{
	struct plan *plan = context;
	struct shmc_client *client = shmt_connect(&plan->broker);
	struct shmc_mpmc *queue = shmt_queue_open(client, "queue", SHMC_MPMC_CONSUMER);
	uint64_t next[MANY] = { 0 };

	shmt_peer_tell(other);
	shmt_peer_await(other);
	while (plan->by_batch ? consume_batch(queue, plan, next) : consume_one(queue, plan, next))
		;
	shmc_mpmc_close(queue);
	shmc_disconnect(client);
}

static void start(struct plan *plan, struct shmt_peer *peers)
{
	uint32_t count = plan->producers + plan->consumers;

	for (uint32_t i = 0; i < count; i++)
		peers[i] = shmt_peer_start(i < plan->producers ? produce : consume, plan);
	for (uint32_t i = 0; i < count; i++)
		shmt_peer_await(&peers[i]);
	for (uint32_t i = 0; i < count; i++)
		shmt_peer_tell(&peers[i]);
}

static void check(struct plan *plan, const struct shmc_mpmc *queue)
{
	struct shmc_mpmc_statistics all = shmt_queue_statistics(queue);

	for (uint32_t i = 0; i < plan->messages; i++) {
		if (atomic_load(&plan->got[i]) != 1)
			ck_abort_msg("message %u came %u times", i, atomic_load(&plan->got[i]));
	}
	ck_assert_uint_eq(atomic_load(&plan->was_not_in_row), 0);
	ck_assert_uint_eq(all.producers.messages, plan->messages + plan->consumers);
	ck_assert_uint_eq(all.consumers.messages, plan->messages + plan->consumers);
	ck_assert_uint_eq(all.depth, 0);
}

static void run(struct plan wanted)
{
	struct plan *plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct shmt_peer peers[2 * MANY];
	struct shmc_client *client;
	struct shmc_mpmc *queue;
	size_t descriptors;

	*plan = wanted;
	plan->got = mmap(NULL, MESSAGES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			 0);
	plan->broker = shmt_broker_start(NULL);
	descriptors = shmt_descriptor_count();
	client = shmt_connect(&plan->broker);
	shmt_queue_create(client, "queue", (struct shmc_mpmc_options){ .slots = plan->slots });
	queue = shmt_queue_open(client, "queue", SHMC_MPMC_PRODUCER);
	start(plan, peers);
	for (uint32_t i = 0; i < plan->producers; i++)
		shmt_peer_join(&peers[i]);
	for (uint32_t i = 0; i < plan->consumers; i++)
		shmt_assert_ok(shmt_queue_push(queue, THE_END, SHMC_FOREVER));
	for (uint32_t i = 0; i < plan->consumers; i++)
		shmt_peer_join(&peers[plan->producers + i]);
	check(plan, queue);
	shmc_mpmc_close(queue);
	shmc_disconnect(client);
	ck_assert_uint_eq(shmt_descriptor_count(), descriptors);
	shmt_broker_stop(&plan->broker);
}

#define LONG .timeout_s = 120

TEST(one_to_one_keeps_the_order, LONG)
{
	run((struct plan){ .slots = 64, .producers = 1, .consumers = 1, .messages = 300000 });
}

TEST(four_to_one_loses_nothing, LONG)
{
	run((struct plan){ .slots = 64, .producers = 4, .consumers = 1, .messages = 200000 });
}

TEST(one_to_four_gives_each_to_one, LONG)
{
	run((struct plan){ .slots = 64, .producers = 1, .consumers = 4, .messages = 200000 });
}

TEST(four_to_four_a_million, LONG)
{
	run((struct plan){ .slots = 0, .producers = 4, .consumers = 4, .messages = 1000000 });
}

TEST(sixteen_to_sixteen_a_million, LONG)
{
	run((struct plan){ .slots = 0, .producers = 16, .consumers = 16, .messages = 1000000 });
}

TEST(four_to_four_through_two_slots, LONG)
{
	run((struct plan){ .slots = 2, .producers = 4, .consumers = 4, .messages = 20000 });
}

TEST(four_to_four_in_place, LONG)
{
	run((struct plan){ .slots = 64,
			   .producers = 4,
			   .consumers = 4,
			   .messages = 200000,
			   .in_place = true });
}

TEST(four_to_one_by_batches, LONG)
{
	run((struct plan){ .slots = 64,
			   .producers = 4,
			   .consumers = 1,
			   .messages = 400000,
			   .by_batch = true });
}

SHMT_MAIN
