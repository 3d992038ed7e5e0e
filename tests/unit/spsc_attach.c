/* Successors, departures and hostile bytes. The moves between two who live: spsc.c. */
#include "protocol/spsc.h"

#include <pthread.h>

#include "tests/support/ring.h"
#include "tests/support/runner.h"

#define CAPACITY 4096u

static struct shmp_endpoint *producer_of(const struct shmt_ring *ring)
{
	return &ring->segment.map.endpoints[SHMP_SPSC_PRODUCER];
}

static struct shmp_endpoint *consumer_of(const struct shmt_ring *ring)
{
	return &ring->segment.map.endpoints[SHMP_SPSC_CONSUMER];
}

static void set_header(const struct shmt_ring *ring, uint64_t position, uint64_t header)
{
	atomic_store(shmp_spsc_header(ring->segment.map.data, CAPACITY - 1, position), header);
}

static void replace_producer(struct shmt_ring *ring)
{
	shmt_place_vacate(&ring->segment, SHMP_SPSC_PRODUCER, true, 1);
	shmt_ring_attach_producer(ring);
}

static void replace_consumer(struct shmt_ring *ring)
{
	shmt_place_vacate(&ring->segment, SHMP_SPSC_CONSUMER, true, 1);
	shmt_ring_attach_consumer(ring);
}

/* Pops what must be message @number of 10 bytes, flagged or not. */
static void expect(struct shmt_ring *ring, uint64_t number, uint32_t flags)
{
	uint32_t got = 77;

	ck_assert_int_eq(shmt_ring_pop(ring, 10, number, &got), SHMP_DONE);
	ck_assert_uint_eq(got, flags);
}

static void expect_empty(struct shmt_ring *ring)
{
	ck_assert_int_eq(shmt_ring_pop(ring, 0, 0, NULL), SHMP_EMPTY);
}

static void send(struct shmt_ring *ring, uint64_t first, uint64_t last)
{
	for (uint64_t number = first; number <= last; number++)
		ck_assert_int_eq(shmt_ring_push(ring, 10, number), SHMP_DONE);
}

/* Two who live: all that they push is popped at once, and never is a position out of place. */
static void *move_on(void *context)
{
	struct shmt_ring *ring = context;
	_Atomic uint64_t *head = &producer_of(ring)->cursor;

	for (uint64_t at = CAPACITY - 8; atomic_load(head) != UINT64_MAX; at += CAPACITY - 8) {
		uint64_t before = at - (CAPACITY - 8);

		if (!atomic_compare_exchange_strong(head, &before, at))
			break;
		atomic_store(&consumer_of(ring)->intent[0], at);
		atomic_store(&consumer_of(ring)->cursor, at);
	}
	return NULL;
}

TEST(validation_blames_nobody_for_positions_that_move)
{
	struct shmt_ring ring;
	pthread_t mover;
	const char *why;

	shmt_ring_open(&ring, CAPACITY, 0);
	ck_assert_int_eq(pthread_create(&mover, NULL, move_on, &ring), 0);
	for (int i = 0; i < 100000; i++)
		ck_assert_int_eq(shmp_spsc_kind.validate(&ring.segment.map, &why), 0);
	atomic_store(&producer_of(&ring)->cursor, UINT64_MAX);
	pthread_join(mover, NULL);
	ck_assert_int_eq(shmp_spsc_kind.validate(&ring.segment.map, &why), -EBADMSG);
	shmt_ring_free(&ring);
}

/* Opening and leaving */

TEST(opening_erases_nothing)
{
	struct shmt_ring ring;

	shmt_ring_make(&ring, CAPACITY, 0);
	shmt_ring_attach_producer(&ring);
	send(&ring, 1, 2);
	shmt_place_vacate(&ring.segment, SHMP_SPSC_PRODUCER, false, 1);
	shmt_ring_attach_consumer(&ring);
	expect(&ring, 1, 0);
	shmt_ring_attach_producer(&ring);
	send(&ring, 3, 3);
	expect(&ring, 2, 0);
	expect(&ring, 3, 0);
	expect_empty(&ring);
	shmt_ring_free(&ring);
}

TEST(nobody_yet_is_empty_and_full)
{
	struct shmt_ring ring;

	shmt_ring_make(&ring, CAPACITY, 0);
	shmt_ring_attach_consumer(&ring);
	expect_empty(&ring);
	shmt_ring_free(&ring);
	shmt_ring_make(&ring, CAPACITY, 0);
	shmt_ring_attach_producer(&ring);
	ck_assert_int_eq(shmt_ring_push(&ring, 4080, 1), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_push(&ring, 0, 1), SHMP_FULL);
	shmt_ring_free(&ring);
}

TEST(dead_producer_is_reported_when_all_is_read)
{
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	send(&ring, 1, 2);
	shmt_place_vacate(&ring.segment, SHMP_SPSC_PRODUCER, true, 1);
	expect(&ring, 1, 0);
	expect(&ring, 2, 0);
	ck_assert_int_eq(shmt_ring_pop(&ring, 0, 0, NULL), SHMP_PEER_DEAD);
	shmt_ring_attach_producer(&ring);
	expect_empty(&ring);
	send(&ring, 3, 3);
	expect(&ring, 3, 0);
	shmt_ring_free(&ring);
}

TEST(departed_producer_is_reported_when_all_is_read)
{
	struct shmp_spsc_message message;
	struct shmt_ring ring;
	uint64_t count;

	shmt_ring_open(&ring, CAPACITY, 0);
	send(&ring, 1, 1);
	shmt_place_vacate(&ring.segment, SHMP_SPSC_PRODUCER, false, 1);
	expect(&ring, 1, 0);
	ck_assert_int_eq(shmt_ring_pop(&ring, 0, 0, NULL), SHMP_PEER_LEFT);
	ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, &message, 1, &count), SHMP_PEER_LEFT);
	shmt_ring_free(&ring);
}

TEST(dying_producer_is_not_dead_yet)
{
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	shmp_endpoint_set_state(producer_of(&ring), 1, SHMP_ENDPOINT_DYING);
	expect_empty(&ring);
	shmt_ring_free(&ring);
}

TEST(gone_consumer_is_reported_when_the_ring_is_full)
{
	struct shmt_ring ring;

	for (int died = 0; died < 2; died++) {
		shmt_ring_open(&ring, CAPACITY, 0);
		shmt_place_vacate(&ring.segment, SHMP_SPSC_CONSUMER, died, 1);
		ck_assert_int_eq(shmt_ring_push(&ring, 2000, 1), SHMP_DONE);
		ck_assert_int_eq(shmt_ring_push(&ring, 2000, 2), SHMP_DONE);
		ck_assert_int_eq(shmt_ring_push(&ring, 2000, 3),
				 died ? SHMP_PEER_DEAD : SHMP_PEER_LEFT);
		shmt_ring_attach_consumer(&ring);
		ck_assert_int_eq(shmt_ring_push(&ring, 2000, 3), SHMP_FULL);
		ck_assert_int_eq(shmt_ring_pop(&ring, 2000, 1, NULL), SHMP_DONE);
		ck_assert_int_eq(shmt_ring_push(&ring, 2000, 3), SHMP_DONE);
		shmt_ring_free(&ring);
	}
}

/* Successor of a producer */

/* A producer that died between the release of a header and its cursor. */
static void die_before_cursor(struct shmt_ring *ring, uint64_t first, uint64_t last)
{
	uint64_t cursor = atomic_load(&producer_of(ring)->cursor);

	send(ring, first, last);
	atomic_store(&producer_of(ring)->cursor, cursor);
}

TEST(successor_goes_on_behind_what_was_published_but_not_counted)
{
	struct shmt_ring ring;

	shmt_ring_open_at(&ring, CAPACITY, CAPACITY - 24);
	send(&ring, 1, 1);
	die_before_cursor(&ring, 2, 3);
	replace_producer(&ring);
	send(&ring, 4, 4);
	for (uint64_t number = 1; number <= 4; number++)
		expect(&ring, number, 0);
	expect_empty(&ring);
	shmt_ring_free(&ring);
}

TEST(successor_goes_on_behind_what_was_read_but_not_counted)
{
	struct shmt_ring ring;

	for (uint64_t read = 1; read <= 3; read++) {
		shmt_ring_open_at(&ring, CAPACITY, CAPACITY - 24);
		die_before_cursor(&ring, 1, 3);
		for (uint64_t number = 1; number <= read; number++)
			expect(&ring, number, 0);
		replace_producer(&ring);
		send(&ring, 4, 4);
		for (uint64_t number = read + 1; number <= 4; number++)
			expect(&ring, number, 0);
		expect_empty(&ring);
		shmt_ring_free(&ring);
	}
}

TEST(successor_knows_how_many_were_sent)
{
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	send(&ring, 1, 2);
	die_before_cursor(&ring, 3, 3);
	replace_producer(&ring);
	ck_assert_uint_eq(atomic_load(&producer_of(&ring)->items), 3);

	send(&ring, 4, 4);
	replace_producer(&ring);
	ck_assert_uint_eq(atomic_load(&producer_of(&ring)->items), 4);
	shmt_ring_free(&ring);
}

/* However much of what comes before a header's release was stored. */
TEST(successor_does_not_count_what_was_about_to_be_sent)
{
	struct shmp_endpoint *producer;
	struct shmt_ring ring;
	uint64_t end;

	shmt_ring_open(&ring, CAPACITY, 0);
	producer = producer_of(&ring);
	send(&ring, 1, 2);
	end = shmp_spsc_head(&ring.producer) + 24;
	atomic_store(&producer->intent[0], end | 3);
	replace_producer(&ring);
	ck_assert_uint_eq(atomic_load(&producer->items), 2);

	shmp_spsc_announce(producer, end, 3);
	replace_producer(&ring);
	ck_assert_uint_eq(atomic_load(&producer->items), 2);
	shmt_ring_free(&ring);
}

TEST(successor_does_not_count_a_batch_that_was_about_to_be_sent)
{
	struct shmp_endpoint *producer;
	struct shmt_ring ring;
	uint64_t end;

	shmt_ring_open(&ring, CAPACITY, 0);
	producer = producer_of(&ring);
	send(&ring, 1, 2);
	end = shmp_spsc_head(&ring.producer) + 8 * 24;
	atomic_store(&producer->intent[1], 3);
	atomic_store(&producer->intent[0], end | (2 + 8) % 8);
	replace_producer(&ring);
	ck_assert_uint_eq(atomic_load(&producer->items), 2);

	atomic_store(&producer->intent[1], 3);
	shmp_spsc_announce(producer, end, 2 + 8);
	replace_producer(&ring);
	ck_assert_uint_eq(atomic_load(&producer->items), 2);
	ck_assert_uint_eq(atomic_load(&producer->intent[1]), 0);
	shmt_ring_free(&ring);
}

TEST(successor_counts_what_the_consumer_has_read_meanwhile)
{
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	send(&ring, 1, 2);
	die_before_cursor(&ring, 3, 5);
	for (uint64_t number = 1; number <= 4; number++)
		expect(&ring, number, 0);
	replace_producer(&ring);
	ck_assert_uint_eq(atomic_load(&producer_of(&ring)->items), 5);
	shmt_ring_free(&ring);
}

TEST(successor_of_a_full_ring_finds_it_full)
{
	struct shmt_ring ring;

	shmt_ring_open_at(&ring, CAPACITY, 1000);
	ck_assert_int_eq(shmt_ring_push(&ring, CAPACITY - 16, 1), SHMP_DONE);
	atomic_store(&producer_of(&ring)->cursor, 1000);
	replace_producer(&ring);
	ck_assert_int_eq(shmt_ring_push(&ring, 0, 2), SHMP_FULL);
	ck_assert_int_eq(shmt_ring_pop(&ring, CAPACITY - 16, 1, NULL), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_push(&ring, CAPACITY - 16, 2), SHMP_DONE);
	shmt_ring_free(&ring);
}

TEST(half_a_batch_is_written_over)
{
	uint8_t payload[100] = { 0 };
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(shmp_spsc_batch_add(&ring.producer, payload, 100), SHMP_DONE);
	replace_producer(&ring);
	expect_empty(&ring);
	for (uint64_t number = 0; number < 20; number++) {
		send(&ring, number, number);
		expect(&ring, number, 0);
		expect_empty(&ring);
	}
	shmt_ring_free(&ring);
}

/* Successor of a consumer */

TEST(what_a_dead_consumer_held_comes_again_flagged)
{
	struct shmp_spsc_message message[3];
	struct shmt_ring ring;
	uint64_t count;

	shmt_ring_open(&ring, CAPACITY, 0);
	send(&ring, 1, 4);
	ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, message, 3, &count), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_release(&ring.consumer, 1), SHMP_DONE);
	replace_consumer(&ring);
	expect(&ring, 2, SHMP_SPSC_REDELIVERED);
	expect(&ring, 3, SHMP_SPSC_REDELIVERED);
	expect(&ring, 4, 0);
	expect_empty(&ring);
	shmt_ring_free(&ring);
}

TEST(flags_end_with_what_was_held_among_messages_alike)
{
	struct shmp_spsc_message message[2];
	struct shmt_ring ring;
	uint32_t flags;
	uint64_t count;

	shmt_ring_open(&ring, CAPACITY, 0);
	for (uint64_t number = 1; number <= 6; number++)
		shmt_ring_push(&ring, 16, number);
	ck_assert_int_eq(shmt_ring_pop(&ring, 16, 1, NULL), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_pop(&ring, 16, 2, NULL), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, message, 2, &count), SHMP_DONE);
	replace_consumer(&ring);
	for (uint64_t number = 3; number <= 6; number++) {
		ck_assert_int_eq(shmt_ring_pop(&ring, 16, number, &flags), SHMP_DONE);
		ck_assert_uint_eq(flags, number < 5 ? SHMP_SPSC_REDELIVERED : 0);
	}
	shmt_ring_free(&ring);
}

TEST(peek_flags_what_a_dead_consumer_held)
{
	struct shmp_spsc_message message[3];
	struct shmt_ring ring;
	uint64_t count;

	shmt_ring_open(&ring, CAPACITY, 0);
	send(&ring, 1, 3);
	ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, message, 2, &count), SHMP_DONE);
	replace_consumer(&ring);
	ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, message, 3, &count), SHMP_DONE);
	ck_assert_uint_eq(message[0].flags, SHMP_SPSC_REDELIVERED);
	ck_assert_uint_eq(message[1].flags, SHMP_SPSC_REDELIVERED);
	ck_assert_uint_eq(message[2].flags, 0);
	shmt_ring_free(&ring);
}

TEST(what_was_taken_does_not_come_again)
{
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	send(&ring, 1, 2);
	expect(&ring, 1, 0);
	replace_consumer(&ring);
	expect(&ring, 2, 0);
	expect_empty(&ring);
	shmt_ring_free(&ring);
}

TEST(a_second_death_hides_nothing_of_the_first)
{
	struct shmp_spsc_message message[3];
	struct shmt_ring ring;
	uint64_t count;

	shmt_ring_open(&ring, CAPACITY, 0);
	send(&ring, 1, 4);
	ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, message, 3, &count), SHMP_DONE);
	replace_consumer(&ring);
	expect(&ring, 1, SHMP_SPSC_REDELIVERED);
	replace_consumer(&ring);
	ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, message, 1, &count), SHMP_DONE);
	replace_consumer(&ring);
	expect(&ring, 2, SHMP_SPSC_REDELIVERED);
	expect(&ring, 3, SHMP_SPSC_REDELIVERED);
	expect(&ring, 4, 0);
	shmt_ring_free(&ring);
}

/* Hostile bytes */

TEST(strange_headers_are_corrupt)
{
	static const uint64_t strange[] = {
		1,
		100,
		SHMP_SPSC_PUBLISHED - 1,
		SHMP_SPSC_PUBLISHED | 4081,
		SHMP_SPSC_PUBLISHED | UINT64_C(1) << 32,
		SHMP_SPSC_PUBLISHED | UINT64_C(1) << 62,
		UINT64_MAX,
		UINT64_MAX - 7,
	};
	struct shmp_spsc_message message;
	struct shmt_ring ring;
	uint8_t buffer[CAPACITY];
	uint64_t count;

	shmt_ring_open(&ring, CAPACITY, 0);
	for (size_t i = 0; i < sizeof(strange) / sizeof(*strange); i++) {
		set_header(&ring, 0, strange[i]);
		ck_assert_int_eq(shmp_spsc_pop(&ring.consumer, buffer, sizeof(buffer), &message),
				 -EBADMSG);
		ck_assert_int_eq(shmp_spsc_pop(&ring.consumer, buffer, UINT64_MAX, &message),
				 -EBADMSG);
		ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, &message, 1, &count), -EBADMSG);
	}
	shmt_ring_free(&ring);
}

TEST(headers_changed_after_a_peek_do_not_lead_release_astray)
{
	static const uint64_t strange[] = { 0, 1, UINT64_MAX, SHMP_SPSC_PUBLISHED | 1000 };
	struct shmp_spsc_message message[2];
	struct shmt_ring ring;
	uint64_t count;

	for (size_t i = 0; i < sizeof(strange) / sizeof(*strange); i++) {
		shmt_ring_open(&ring, CAPACITY, 0);
		send(&ring, 1, 2);
		ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, message, 2, &count), SHMP_DONE);
		set_header(&ring, 0, strange[i]);
		ck_assert_int_eq(shmp_spsc_release(&ring.consumer, 1), -EBADMSG);
		ck_assert_uint_eq(atomic_load(&consumer_of(&ring)->cursor), 0);
		shmt_ring_free(&ring);
	}
}

TEST(a_consumer_s_cursor_is_believed_between_its_last_and_the_head)
{
	struct shmt_ring ring;
	_Atomic uint64_t *cursor;

	shmt_ring_open_at(&ring, CAPACITY, 1024);
	cursor = &consumer_of(&ring)->cursor;
	ck_assert_int_eq(shmt_ring_push(&ring, 3000, 1), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_push(&ring, 3000, 2), SHMP_FULL);

	/* the last look was at 1024, the head is at 4032 */
	static const uint64_t strange[] = { 0, 1016, 1025, 4040, 4031, 1 << 20, UINT64_MAX - 7 };
	for (size_t i = 0; i < sizeof(strange) / sizeof(*strange); i++) {
		atomic_store(cursor, strange[i]);
		ck_assert_int_eq(shmt_ring_push(&ring, 3000, 2), -EBADMSG);
	}
	atomic_store(cursor, 4032);
	ck_assert_int_eq(shmt_ring_push(&ring, 3000, 2), SHMP_DONE);
	shmt_ring_free(&ring);
}

TEST(nonsense_behind_the_cursor_refuses_the_successor)
{
	static const uint64_t strange[] = { 1, UINT64_MAX, SHMP_SPSC_PUBLISHED | 4081,
					    SHMP_SPSC_PUBLISHED | 4080 };
	struct shmp_spsc_producer producer;
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	send(&ring, 1, 1);
	for (size_t i = 0; i < sizeof(strange) / sizeof(*strange); i++) {
		set_header(&ring, 24, strange[i]);
		ck_assert_int_eq(shmp_spsc_attach_producer(&ring.producer_map, &producer),
				 -EBADMSG);
	}
	set_header(&ring, 24, 0);
	ck_assert_int_eq(shmp_spsc_attach_producer(&ring.producer_map, &producer), 0);
	shmt_ring_free(&ring);
}

TEST(a_ring_of_nothing_but_headers_refuses_the_successor)
{
	struct shmp_spsc_producer producer;
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	for (uint64_t at = 0; at < CAPACITY; at += 8)
		set_header(&ring, at, SHMP_SPSC_PUBLISHED);
	ck_assert_int_eq(shmp_spsc_attach_producer(&ring.producer_map, &producer), -EBADMSG);
	shmt_ring_free(&ring);
}

static const struct positions {
	uint64_t head, tail, seen_to;
	int r; /* of validate and of the consumer's attach */
} positions[] = {
	{ 0, 0, 0, 0 },
	{ CAPACITY - 8, 0, CAPACITY - 8, 0 },
	{ 0, CAPACITY - 8, 0, 0 }, /* dead before its cursor, read since */
	{ 8192, 8000, 7000, 0 },
	{ 1, 0, 0, -EBADMSG },
	{ 0, 4, 0, -EBADMSG },
	{ CAPACITY, 0, 0, -EBADMSG },
	{ 0, CAPACITY, 0, -EBADMSG },
	{ 0, 0, CAPACITY, -EBADMSG },
	{ UINT64_MAX - 7, 16384, 0, -EBADMSG },
	{ 16384, UINT64_MAX - 7, 0, -EBADMSG },
	{ UINT64_MAX, UINT64_MAX, UINT64_MAX, -EBADMSG },
};

static void set_positions(const struct shmt_ring *ring, const struct positions *set)
{
	atomic_store(&producer_of(ring)->cursor, set->head);
	atomic_store(&consumer_of(ring)->cursor, set->tail);
	atomic_store(&consumer_of(ring)->intent[0], set->seen_to);
}

TEST(impossible_positions_are_corrupt, .rounds = sizeof(positions) / sizeof(*positions))
{
	const struct positions *set = &positions[_i];
	struct shmp_spsc_producer producer;
	struct shmp_spsc_consumer consumer;
	struct shmt_ring ring;
	const char *why = NULL;

	shmt_ring_make(&ring, CAPACITY, 0);
	set_positions(&ring, set);
	ck_assert_int_eq(shmp_spsc_kind.validate(&ring.segment.map, &why), set->r);
	ck_assert_int_eq(why != NULL, set->r != 0);
	ck_assert_int_eq(shmp_spsc_attach_consumer(&ring.consumer_map, &consumer), set->r);
	ck_assert_int_eq(shmp_spsc_attach_producer(&ring.producer_map, &producer), set->r);
	shmt_ring_free(&ring);
}

/* Steps of 16 from a multiple of 16 never meet the last 8 bytes before the wrap. */
TEST(a_walk_ends_even_where_positions_wrap)
{
	const struct positions end = { UINT64_MAX - 4095, UINT64_MAX - 4095, 0, 0 };
	struct shmp_spsc_producer producer;
	struct shmt_ring ring;

	shmt_ring_make(&ring, CAPACITY, 0);
	set_positions(&ring, &end);
	for (uint64_t at = 0; at < CAPACITY; at += 8)
		set_header(&ring, at, SHMP_SPSC_PUBLISHED | 8);
	ck_assert_int_eq(shmp_spsc_attach_producer(&ring.producer_map, &producer), -EBADMSG);
	shmt_ring_free(&ring);
}

struct flipper {
	struct shmt_ring *ring;
	_Atomic int is_done;
};

static void *flip(void *context)
{
	static const struct positions strange = { 3, UINT64_C(1) << 40 | 4, 1, 0 };
	static const struct positions sane = { 0 };
	struct flipper *flipper = context;

	while (!atomic_load(&flipper->is_done)) {
		set_positions(flipper->ring, &strange);
		set_positions(flipper->ring, &sane);
	}
	return NULL;
}

TEST(positions_that_change_during_an_attach_are_not_believed)
{
	struct shmp_spsc_producer producer;
	struct shmp_spsc_consumer consumer;
	struct shmt_ring ring;
	struct flipper flipper = { .ring = &ring };
	pthread_t thread;

	shmt_ring_make(&ring, CAPACITY, 0);
	pthread_create(&thread, NULL, flip, &flipper);
	for (int i = 0; i < 200000; i++) {
		if (shmp_spsc_attach_producer(&ring.producer_map, &producer) == 0)
			ck_assert_uint_eq(producer.limit, CAPACITY - 8);
		if (shmp_spsc_attach_consumer(&ring.consumer_map, &consumer) == 0)
			ck_assert(consumer.tail == 0 && consumer.seen_to <= 1);
	}
	atomic_store(&flipper.is_done, 1);
	pthread_join(thread, NULL);
	shmt_ring_free(&ring);
}

/* The broker's side */

static uint32_t sequence_of(const struct shmp_waiter *waiter)
{
	return atomic_load(&waiter->sequence);
}

TEST(repair_takes_back_what_the_dead_waited_for)
{
	struct shmp_spsc_control *control;
	struct shmt_ring ring;

	for (uint32_t place = 0; place < 2; place++) {
		shmt_ring_open(&ring, CAPACITY, 0);
		control = ring.segment.map.control;
		shmp_waiter_prepare(&control->not_full, producer_of(&ring), SHMP_SPSC_PRODUCER,
				    false);
		shmp_waiter_arm(&control->not_empty, consumer_of(&ring), SHMP_SPSC_CONSUMER, 7,
				false);
		shmt_place_vacate(&ring.segment, place, true, 2);
		ck_assert_uint_eq(atomic_load(&control->not_full.attention[0]), place == 0 ? 0 : 1);
		ck_assert_uint_eq(atomic_load(&control->not_empty.attention[0]),
				  place == 1 ? 0 : 2);
		ck_assert_uint_eq(atomic_load(&consumer_of(&ring)->doorbell), place == 1 ? 0 : 7);
		shmt_ring_free(&ring);
	}
}

TEST(wake_moves_both_sequences)
{
	struct shmp_spsc_control *control;
	struct shmt_ring ring;

	shmt_ring_make(&ring, CAPACITY, 0);
	control = ring.segment.map.control;
	shmp_spsc_kind.wake(&ring.segment.map);
	ck_assert_uint_eq(sequence_of(&control->not_empty), 1);
	ck_assert_uint_eq(sequence_of(&control->not_full), 1);
	shmt_ring_free(&ring);
}

TEST(attach_keeps_positions_and_clears_what_concerned_waiting)
{
	struct shmp_endpoint *consumer;
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	consumer = consumer_of(&ring);
	send(&ring, 1, 2);
	expect(&ring, 1, 0);
	atomic_store(&consumer->park_key, 5);
	atomic_store(&consumer->doorbell, 5);
	shmp_spsc_kind.attach(&ring.segment.map, SHMP_SPSC_CONSUMER);
	ck_assert_uint_eq(atomic_load(&consumer->park_key), 0);
	ck_assert_uint_eq(atomic_load(&consumer->doorbell), 0);
	ck_assert_uint_eq(atomic_load(&consumer->cursor), 24);
	ck_assert_uint_eq(atomic_load(&consumer->intent[0]), 24);
	ck_assert_uint_eq(atomic_load(&consumer->items), 1);
	shmt_ring_free(&ring);
}

SHMT_MAIN
