#include "tests/stress/flow.h"

#include <sched.h>

enum {
	FLOW_BATCH = 8
};

uint64_t flow_size(uint64_t number)
{
	struct shmt_random random = { number };
	uint64_t kind = shmt_random_below(&random, 100);

	if (kind < 70)
		return shmt_random_below(&random, 65);
	if (kind < 99)
		return shmt_random_below(&random, 500);
	return shmt_random_below(&random, FLOW_LONGEST + 1);
}

static bool chance(struct flow *flow, uint64_t in)
{
	return shmt_random_below(&flow->random, in) == 0;
}

/* Waiting: spins, yields or sleeps, with a deadline or without. */

static bool is_nothing(int r)
{
	return r == SHMP_FULL || r == SHMP_EMPTY || r == SHMP_PEER_DEAD;
}

typedef int (*flow_fn)(struct flow *flow, uint64_t number);

static int sleep_or_move(struct flow *flow, uint32_t place, flow_fn move, uint64_t number)
{
	struct shmp_spsc_control *control = flow->ring->segment.map.control;
	struct shmp_waiter *waiter = place == SHMP_SPSC_CONSUMER ? &control->not_empty :
								   &control->not_full;
	struct shmp_endpoint *self = &flow->ring->segment.map.endpoints[place];
	uint64_t deadline = UINT64_MAX;
	uint32_t key = shmp_waiter_prepare(waiter, self, place, flow->has_membarrier);
	int r = move(flow, number);

	if (is_nothing(r)) {
		if (chance(flow, 2))
			deadline = shmp_clock_ns() + shmt_random_below(&flow->random, 200000);
		shmp_waiter_sleep(waiter, key, deadline);
	}
	shmp_waiter_finish(waiter, place);
	return r;
}

/* The move until it is made. */
static void insist(struct flow *flow, uint32_t place, flow_fn move, uint64_t number)
{
	int r = move(flow, number);

	while (is_nothing(r)) {
		if (chance(flow, 3)) {
			r = sleep_or_move(flow, place, move, number);
			continue;
		}
		if (chance(flow, 4))
			sched_yield();
		r = move(flow, number);
	}
	SHMT_REQUIRE(r == SHMP_DONE);
}

/* Sending */

static void tell_consumer(struct flow *flow)
{
	if (shmp_spsc_consumer_waits(&flow->ring->producer))
		shmp_spsc_tell_consumer(&flow->ring->producer, NULL, NULL);
}

static int push_one(struct flow *flow, uint64_t number)
{
	uint8_t payload[FLOW_LONGEST];
	uint64_t size = flow_size(number);

	shmt_message_fill(payload, size, number);
	return shmp_spsc_push(&flow->ring->producer, payload, size);
}

/* Reserves as much as needed or more, writes in place. */
static int reserve_one(struct flow *flow, uint64_t number)
{
	uint64_t size = flow_size(number), more = size;
	uint8_t *room;
	int r;

	if (size + 64 <= FLOW_LONGEST && chance(flow, 2))
		more += shmt_random_below(&flow->random, 64);
	r = shmp_spsc_reserve(&flow->ring->producer, more, &room);
	if (r != SHMP_DONE)
		return r;
	if (chance(flow, 8)) { /* given up, tried again */
		memset(room, 0xff, more);
		return shmp_spsc_reserve(&flow->ring->producer, size, &room) == SHMP_DONE ?
			       push_one(flow, number) :
			       -1;
	}
	shmt_message_fill(room, size, number);
	shmp_spsc_commit(&flow->ring->producer, size);
	return SHMP_DONE;
}

static int batch_one(struct flow *flow, uint64_t number)
{
	uint8_t payload[FLOW_LONGEST];
	uint64_t size = flow_size(number);

	shmt_message_fill(payload, size, number);
	return shmp_spsc_batch_add(&flow->ring->producer, payload, size);
}

/* Return: how many. */
static uint64_t send_batch(struct flow *flow, uint64_t number)
{
	uint64_t count = 1;

	insist(flow, SHMP_SPSC_PRODUCER, batch_one, number);
	while (count < FLOW_BATCH && number + count < flow->total &&
	       batch_one(flow, number + count) == SHMP_DONE)
		count++;
	shmp_spsc_batch_publish(&flow->ring->producer);
	return count;
}

void flow_produce(struct flow *flow)
{
	const struct shmp_endpoint *self = &flow->ring->segment.map.endpoints[SHMP_SPSC_PRODUCER];
	uint64_t number = atomic_load(&self->items);

	while (number < flow->total) {
		uint64_t way = shmt_random_below(&flow->random, 4);

		if (way == 0) {
			number += send_batch(flow, number);
		} else {
			insist(flow, SHMP_SPSC_PRODUCER, way == 1 ? reserve_one : push_one, number);
			number++;
		}
		tell_consumer(flow);
		SHMT_REQUIRE(atomic_load(&self->items) == number);
	}
}

/* Taking */

static void tell_producer(struct flow *flow)
{
	if (shmp_spsc_producer_waits(&flow->ring->consumer))
		shmp_spsc_tell_producer(&flow->ring->consumer, NULL, NULL);
}

static struct flow_progress progress(const struct flow *flow)
{
	return flow->journal->record[atomic_load(&flow->journal->now)];
}

/* Messages before @number are taken, those before @seen have been looked at. */
static void note(struct flow *flow, uint64_t number, uint64_t seen)
{
	uint32_t next = !atomic_load(&flow->journal->now);
	struct flow_progress *record = &flow->journal->record[next];

	record->number = number;
	record->position = flow->ring->consumer.tail;
	record->seen = seen;
	atomic_store(&flow->journal->now, next);
}

/* Whether it is right, and flagged if it was given out before. */
static void check(struct flow *flow, uint64_t number, const struct shmp_spsc_message *message)
{
	SHMT_REQUIRE(message->size == flow_size(number));
	SHMT_REQUIRE(shmt_message_is(message->data, message->size, number));
	if (number < flow->given)
		SHMT_REQUIRE(message->flags == SHMP_SPSC_REDELIVERED);
}

static int pop_one(struct flow *flow, uint64_t number)
{
	uint8_t buffer[FLOW_LONGEST];
	struct shmp_spsc_message message;
	uint64_t size = flow_size(number);
	int r;

	if (size > 0 && chance(flow, 16)) {
		r = shmp_spsc_pop(&flow->ring->consumer, buffer, size - 1, &message);
		if (r != SHMP_TOO_BIG)
			return r;
		SHMT_REQUIRE(message.size == size);
	}
	r = shmp_spsc_pop(&flow->ring->consumer, buffer, sizeof(buffer), &message);
	if (r != SHMP_DONE)
		return r;
	check(flow, number, &message);
	note(flow, number + 1, number + 1);
	return r;
}

/* Shows some, takes some of them. */
static int peek_some(struct flow *flow, uint64_t number)
{
	struct shmp_spsc_message messages[FLOW_BATCH];
	uint64_t max = 1 + shmt_random_below(&flow->random, FLOW_BATCH), count, seen;
	int r = shmp_spsc_peek(&flow->ring->consumer, messages, max, &count);

	if (r != SHMP_DONE)
		return r;
	for (uint64_t i = 0; i < count; i++)
		check(flow, number + i, &messages[i]);
	seen = progress(flow).seen;
	if (seen < number + count)
		seen = number + count;
	note(flow, number, seen);
	count = 1 + shmt_random_below(&flow->random, count);
	SHMT_REQUIRE(shmp_spsc_release(&flow->ring->consumer, count) == SHMP_DONE);
	note(flow, number + count, seen);
	return r;
}

/* All that is shown is taken before the next pop. */
static void release_rest(struct flow *flow)
{
	uint64_t count = flow->ring->consumer.shown_items;
	struct flow_progress now = progress(flow);

	if (count == 0)
		return;
	SHMT_REQUIRE(shmp_spsc_release(&flow->ring->consumer, count) == SHMP_DONE);
	note(flow, now.number + count, now.seen);
}

/* The number of the message at the cursor. A predecessor may have died between that and its note. */
static uint64_t take_up(struct flow *flow)
{
	struct flow_progress last = progress(flow);

	while (last.position != flow->ring->consumer.tail) {
		SHMT_REQUIRE(last.number < flow->total);
		last.position += shmp_spsc_need(flow_size(last.number++));
	}
	flow->given = last.seen;
	note(flow, last.number, last.seen > last.number ? last.seen : last.number);
	return last.number;
}

void flow_consume(struct flow *flow)
{
	uint64_t number = take_up(flow);

	while (number < flow->total) {
		if (chance(flow, 3)) {
			insist(flow, SHMP_SPSC_CONSUMER, peek_some, number);
		} else {
			release_rest(flow);
			tell_producer(flow);
			number = progress(flow).number;
			if (number == flow->total)
				break;
			insist(flow, SHMP_SPSC_CONSUMER, pop_one, number);
		}
		tell_producer(flow);
		number = progress(flow).number;
	}
}
