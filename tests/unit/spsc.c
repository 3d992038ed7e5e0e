/* The moves of one producer and one consumer who both live. Successors: spsc_attach.c. */
#include "protocol/spsc.h"

#include "tests/support/ring.h"
#include "tests/support/runner.h"

#define CAPACITY 4096u
#define LONGEST	 (CAPACITY - 16)

/* Not a constant: the compiler would object to what it cannot see to be harmless. */
static void *volatile nowhere;

static uint64_t cursor_of(const struct shmt_ring *ring, uint32_t place)
{
	return atomic_load(&ring->segment.map.endpoints[place].cursor);
}

/* Everything a push may change: the ring and the producer's line. */
static bool is_same_as(const struct shmt_ring *ring, const uint8_t *data, uint64_t head)
{
	return memcmp(ring->segment.map.data, data, CAPACITY) == 0 &&
	       cursor_of(ring, SHMP_SPSC_PRODUCER) == head;
}

static uint64_t fill_with(struct shmt_ring *ring, uint64_t size)
{
	uint64_t count = 0;

	while (shmt_ring_push(ring, size, count) == SHMP_DONE)
		count++;
	return count;
}

TEST(a_message_arrives_as_it_was_sent)
{
	struct shmt_ring ring;
	uint32_t flags = 77;

	shmt_ring_open(&ring, CAPACITY, 0);
	ck_assert_int_eq(shmt_ring_push(&ring, 100, 1), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_pop(&ring, 100, 1, &flags), SHMP_DONE);
	ck_assert_uint_eq(flags, 0);
	ck_assert_int_eq(shmt_ring_pop(&ring, 0, 0, NULL), SHMP_EMPTY);
	shmt_ring_free(&ring);
}

/* Moves the ring on so that the next message begins 8 behind the last one, a lap later. */
static void step(struct shmt_ring *ring, uint64_t last_size)
{
	uint8_t filler[CAPACITY] = { 0 };
	uint64_t need = shmp_spsc_need(last_size);
	struct shmp_spsc_message message;

	if (need == 8)
		return;
	ck_assert_int_eq(shmp_spsc_push(&ring->producer, filler, CAPACITY - need), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_pop(&ring->consumer, filler, CAPACITY, &message), SHMP_DONE);
}

TEST(every_length_arrives_at_every_offset, .timeout_s = 30)
{
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	for (uint64_t size = 0; size <= 200; size++) {
		for (uint64_t number = 0; number < CAPACITY / 8; number++) {
			ck_assert_int_eq(shmt_ring_push(&ring, size, number), SHMP_DONE);
			ck_assert_int_eq(shmt_ring_pop(&ring, size, number, NULL), SHMP_DONE);
			step(&ring, size);
		}
	}
	shmt_ring_free(&ring);
}

TEST(messages_of_all_lengths_come_in_order)
{
	struct shmt_ring ring;
	uint64_t sent = 0, got = 0;

	shmt_ring_open(&ring, CAPACITY, 0);
	while (got < 3 * LONGEST) {
		while (shmt_ring_push(&ring, sent % (LONGEST + 1), sent) == SHMP_DONE)
			sent++;
		while (shmt_ring_pop(&ring, got % (LONGEST + 1), got, NULL) == SHMP_DONE)
			got++;
	}
	ck_assert_uint_eq(sent, got);
	shmt_ring_free(&ring);
}

TEST(zero_length_is_a_message)
{
	struct shmp_spsc_message message;
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	ck_assert_int_eq(shmp_spsc_push(&ring.producer, nowhere, 0), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_push(&ring.producer, nowhere, 0), SHMP_DONE);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(shmp_spsc_pop(&ring.consumer, nowhere, 0, &message), SHMP_DONE);
		ck_assert_uint_eq(message.size, 0);
	}
	ck_assert_int_eq(shmp_spsc_pop(&ring.consumer, nowhere, 0, &message), SHMP_EMPTY);
	shmt_ring_free(&ring);
}

TEST(longest_message_fits_into_the_empty_ring_at_every_offset)
{
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	for (uint64_t i = 0; i < CAPACITY / 8; i++) {
		/* need is capacity - 8: it begins 8 earlier each time */
		ck_assert_int_eq(shmt_ring_push(&ring, LONGEST, i), SHMP_DONE);
		ck_assert_int_eq(shmt_ring_push(&ring, 0, i), SHMP_FULL);
		ck_assert_int_eq(shmt_ring_pop(&ring, LONGEST, i, NULL), SHMP_DONE);
	}
	shmt_ring_free(&ring);
}

TEST(one_byte_over_the_limit_is_too_big_and_changes_nothing)
{
	uint8_t before[CAPACITY], *room = NULL, *payload = malloc(CAPACITY);
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 1000);
	memset(payload, 1, CAPACITY);
	memcpy(before, ring.segment.map.data, CAPACITY);
	ck_assert_int_eq(shmp_spsc_push(&ring.producer, payload, 1001), SHMP_TOO_BIG);
	ck_assert_int_eq(shmp_spsc_reserve(&ring.producer, 1001, &room), SHMP_TOO_BIG);
	ck_assert_int_eq(shmp_spsc_reserve(&ring.producer, UINT64_MAX, &room), SHMP_TOO_BIG);
	ck_assert_int_eq(shmp_spsc_batch_add(&ring.producer, payload, 1001), SHMP_TOO_BIG);
	ck_assert_int_eq(shmp_spsc_batch_add(&ring.producer, payload, UINT64_MAX), SHMP_TOO_BIG);
	shmp_spsc_batch_publish(&ring.producer);
	ck_assert_ptr_null(room);
	ck_assert(is_same_as(&ring, before, 0));
	ck_assert_int_eq(shmp_spsc_push(&ring.producer, payload, 1000), SHMP_DONE);
	free(payload);
	shmt_ring_free(&ring);
}

TEST(capacity_is_exact_for_every_length)
{
	struct shmt_ring ring;

	for (uint64_t size = 0; size <= LONGEST; size++) {
		shmt_ring_open_at(&ring, CAPACITY, size & 0xff8);
		ck_assert_uint_eq(fill_with(&ring, size), (CAPACITY - 8) / shmp_spsc_need(size));
		shmt_ring_free(&ring);
	}
}

TEST(full_ring_push_changes_nothing)
{
	uint8_t before[CAPACITY], *room = NULL;
	struct shmt_ring ring;
	uint64_t head;

	shmt_ring_open_at(&ring, CAPACITY, 2048);
	fill_with(&ring, 24);
	memcpy(before, ring.segment.map.data, CAPACITY);
	head = cursor_of(&ring, SHMP_SPSC_PRODUCER);
	ck_assert_int_eq(shmt_ring_push(&ring, 24, 1), SHMP_FULL);
	ck_assert_int_eq(shmp_spsc_reserve(&ring.producer, 24, &room), SHMP_FULL);
	ck_assert_int_eq(shmp_spsc_batch_add(&ring.producer, before, 24), SHMP_FULL);
	shmp_spsc_batch_publish(&ring.producer);
	ck_assert_ptr_null(room);
	ck_assert(is_same_as(&ring, before, head));
	shmt_ring_free(&ring);
}

/* Zeroing the header behind a message that ends where the oldest begins would wipe that one. */
TEST(room_for_the_zero_behind_is_part_of_the_need)
{
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	ck_assert_int_eq(shmt_ring_push(&ring, CAPACITY / 2 - 8, 1), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_push(&ring, CAPACITY / 2 - 8, 2), SHMP_FULL);
	ck_assert_int_eq(shmt_ring_push(&ring, CAPACITY / 2 - 16, 2), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_pop(&ring, CAPACITY / 2 - 8, 1, NULL), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_pop(&ring, CAPACITY / 2 - 16, 2, NULL), SHMP_DONE);
	shmt_ring_free(&ring);
}

TEST(one_pop_makes_room_for_one_push)
{
	struct shmt_ring ring;
	uint64_t sent, got = 0;

	shmt_ring_open(&ring, CAPACITY, 0);
	sent = fill_with(&ring, 56);
	for (int i = 0; i < 500; i++) {
		ck_assert_int_eq(shmt_ring_push(&ring, 56, sent), SHMP_FULL);
		ck_assert_int_eq(shmt_ring_pop(&ring, 56, got++, NULL), SHMP_DONE);
		ck_assert_int_eq(shmt_ring_push(&ring, 56, sent++), SHMP_DONE);
	}
	shmt_ring_free(&ring);
}

TEST(too_small_a_buffer_keeps_the_message_and_tells_its_length)
{
	struct shmp_spsc_message message;
	struct shmt_ring ring;
	uint8_t buffer[100];

	shmt_ring_open(&ring, CAPACITY, 0);
	shmt_ring_push(&ring, 100, 1);
	memset(buffer, 0xee, sizeof(buffer));
	ck_assert_int_eq(shmp_spsc_pop(&ring.consumer, buffer, 99, &message), SHMP_TOO_BIG);
	ck_assert_uint_eq(message.size, 100);
	ck_assert_int_eq(shmp_spsc_pop(&ring.consumer, nowhere, 0, &message), SHMP_TOO_BIG);
	for (size_t i = 0; i < sizeof(buffer); i++)
		ck_assert_uint_eq(buffer[i], 0xee);
	ck_assert_uint_eq(cursor_of(&ring, SHMP_SPSC_CONSUMER), 0);
	ck_assert_int_eq(shmt_ring_pop(&ring, 100, 1, NULL), SHMP_DONE);
	shmt_ring_free(&ring);
}

/* The second of two alike is popped the quick way. */
TEST(too_small_a_buffer_is_noticed_among_messages_alike)
{
	struct shmp_spsc_message message;
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	shmt_ring_push(&ring, 100, 1);
	shmt_ring_push(&ring, 100, 2);
	ck_assert_int_eq(shmt_ring_pop(&ring, 100, 1, NULL), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_pop(&ring.consumer, nowhere, 0, &message), SHMP_TOO_BIG);
	ck_assert_uint_eq(message.size, 100);
	ck_assert_int_eq(shmt_ring_pop(&ring, 100, 2, NULL), SHMP_DONE);
	shmt_ring_free(&ring);
}

TEST(pop_among_messages_alike_writes_no_byte_behind_them)
{
	struct shmp_spsc_message message;
	struct shmt_ring ring;
	uint8_t buffer[400];

	shmt_ring_open(&ring, CAPACITY, 0);
	for (uint64_t i = 0; i < 3 * 300; i++) {
		uint64_t size = i / 3;

		shmt_ring_push(&ring, size, i);
		memset(buffer, 0xee, sizeof(buffer));
		ck_assert_int_eq(shmp_spsc_pop(&ring.consumer, buffer, sizeof(buffer), &message),
				 SHMP_DONE);
		ck_assert(message.size == size && message.data == buffer && message.flags == 0);
		ck_assert(shmt_message_is(buffer, size, i));
		for (size_t k = size; k < sizeof(buffer); k++)
			ck_assert_uint_eq(buffer[k], 0xee);
	}
	shmt_ring_free(&ring);
}

TEST(pop_writes_no_byte_behind_the_message)
{
	struct shmp_spsc_message message;
	struct shmt_ring ring;
	uint8_t buffer[400];

	shmt_ring_open(&ring, CAPACITY, 0);
	for (uint64_t size = 0; size < 300; size++) {
		shmt_ring_push(&ring, size, size);
		memset(buffer, 0xee, sizeof(buffer));
		ck_assert_int_eq(shmp_spsc_pop(&ring.consumer, buffer, sizeof(buffer), &message),
				 SHMP_DONE);
		ck_assert(shmt_message_is(buffer, size, size));
		for (size_t i = size; i < sizeof(buffer); i++)
			ck_assert_uint_eq(buffer[i], 0xee);
	}
	shmt_ring_free(&ring);
}

TEST(reservation_is_aligned_contiguous_and_invisible_until_commit)
{
	struct shmt_ring ring;
	uint8_t *room;

	shmt_ring_open_at(&ring, CAPACITY, CAPACITY - 8);
	ck_assert_int_eq(shmp_spsc_reserve(&ring.producer, 1000, &room), SHMP_DONE);
	ck_assert_uint_eq((uintptr_t)room % 8, 0);
	shmt_message_fill(room, 1000, 5);
	ck_assert_int_eq(shmt_ring_pop(&ring, 0, 0, NULL), SHMP_EMPTY);
	shmp_spsc_commit(&ring.producer, 1000);
	ck_assert_int_eq(shmt_ring_pop(&ring, 1000, 5, NULL), SHMP_DONE);
	shmt_ring_free(&ring);
}

TEST(commit_of_less_gives_the_rest_back)
{
	struct shmt_ring ring;
	uint8_t *room;

	shmt_ring_open(&ring, CAPACITY, 0);
	ck_assert_int_eq(shmp_spsc_reserve(&ring.producer, LONGEST, &room), SHMP_DONE);
	memset(room, 0xff, LONGEST);
	shmt_message_fill(room, 20, 1);
	shmp_spsc_commit(&ring.producer, 20);
	ck_assert_int_eq(shmt_ring_push(&ring, LONGEST - 32, 2), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_pop(&ring, 20, 1, NULL), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_pop(&ring, LONGEST - 32, 2, NULL), SHMP_DONE);
	shmt_ring_free(&ring);
}

TEST(abandoned_reservation_is_written_over)
{
	struct shmt_ring ring;
	uint8_t *room;

	shmt_ring_open(&ring, CAPACITY, 0);
	ck_assert_int_eq(shmp_spsc_reserve(&ring.producer, 500, &room), SHMP_DONE);
	memset(room, 0xff, 500);
	ck_assert_int_eq(shmt_ring_push(&ring, 5, 1), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_pop(&ring, 5, 1, NULL), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_pop(&ring, 0, 0, NULL), SHMP_EMPTY);
	shmt_ring_free(&ring);
}

static int batch_add(struct shmt_ring *ring, uint64_t size, uint64_t number)
{
	uint8_t payload[LONGEST];

	shmt_message_fill(payload, size, number);
	return shmp_spsc_batch_add(&ring->producer, payload, size);
}

TEST(batch_is_invisible_until_published_and_then_whole)
{
	struct shmt_ring ring;

	shmt_ring_open_at(&ring, CAPACITY, CAPACITY - 64);
	for (uint64_t i = 0; i < 5; i++)
		ck_assert_int_eq(batch_add(&ring, 10 * i, i), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_pop(&ring, 0, 0, NULL), SHMP_EMPTY);
	shmp_spsc_batch_publish(&ring.producer);
	for (uint64_t i = 0; i < 5; i++)
		ck_assert_int_eq(shmt_ring_pop(&ring, 10 * i, i, NULL), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_pop(&ring, 0, 0, NULL), SHMP_EMPTY);
	shmt_ring_free(&ring);
}

TEST(batch_takes_as_many_as_fit)
{
	struct shmt_ring ring;
	uint64_t count = 0;

	shmt_ring_open(&ring, CAPACITY, 0);
	while (batch_add(&ring, 100, count) == SHMP_DONE)
		count++;
	ck_assert_uint_eq(count, (CAPACITY - 8) / shmp_spsc_need(100));
	shmp_spsc_batch_publish(&ring.producer);
	for (uint64_t i = 0; i < count; i++)
		ck_assert_int_eq(shmt_ring_pop(&ring, 100, i, NULL), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_pop(&ring, 0, 0, NULL), SHMP_EMPTY);
	shmt_ring_free(&ring);
}

TEST(empty_batch_publishes_nothing)
{
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	shmp_spsc_batch_publish(&ring.producer);
	ck_assert_int_eq(shmt_ring_pop(&ring, 0, 0, NULL), SHMP_EMPTY);
	ck_assert_uint_eq(cursor_of(&ring, SHMP_SPSC_PRODUCER), 0);
	shmt_ring_free(&ring);
}

TEST(push_into_a_batch_drops_the_batch)
{
	const struct shmp_endpoint *producer;
	struct shmt_ring ring;

	shmt_ring_open(&ring, CAPACITY, 0);
	producer = &ring.segment.map.endpoints[SHMP_SPSC_PRODUCER];
	for (uint64_t i = 0; i < 5; i++)
		batch_add(&ring, 100, i);
	ck_assert_int_eq(shmt_ring_push(&ring, 10, 7), SHMP_DONE);
	batch_add(&ring, 20, 8);
	shmp_spsc_batch_publish(&ring.producer);
	ck_assert_uint_eq(atomic_load(&producer->items), 2);
	ck_assert_uint_eq(atomic_load(&producer->bytes), 30);
	ck_assert_int_eq(shmt_ring_pop(&ring, 10, 7, NULL), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_pop(&ring, 20, 8, NULL), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_pop(&ring, 0, 0, NULL), SHMP_EMPTY);
	shmt_ring_free(&ring);
}

TEST(peek_shows_the_same_messages_until_release)
{
	struct shmp_spsc_message message[4];
	struct shmt_ring ring;
	uint64_t count;

	shmt_ring_open_at(&ring, CAPACITY, CAPACITY - 64);
	for (uint64_t i = 0; i < 3; i++)
		shmt_ring_push(&ring, 50, i);
	for (int again = 0; again < 3; again++) {
		ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, message, 4, &count), SHMP_DONE);
		ck_assert_uint_eq(count, 3);
		for (uint64_t i = 0; i < 3; i++)
			ck_assert(message[i].size == 50 && message[i].flags == 0 &&
				  shmt_message_is(message[i].data, 50, i));
	}
	ck_assert_uint_eq(cursor_of(&ring, SHMP_SPSC_CONSUMER), CAPACITY - 64);
	ck_assert_int_eq(shmp_spsc_release(&ring.consumer, 3), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, message, 4, &count), SHMP_EMPTY);
	shmt_ring_free(&ring);
}

TEST(release_of_some_keeps_the_others)
{
	struct shmp_spsc_message message[3];
	struct shmt_ring ring;
	uint64_t count;

	shmt_ring_open(&ring, CAPACITY, 0);
	for (uint64_t i = 0; i < 3; i++)
		shmt_ring_push(&ring, 30, i);
	ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, message, 3, &count), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_release(&ring.consumer, 1), SHMP_DONE);
	ck_assert(shmt_message_is(message[1].data, 30, 1));
	ck_assert_int_eq(shmp_spsc_release(&ring.consumer, 0), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, message, 3, &count), SHMP_DONE);
	ck_assert_uint_eq(count, 2);
	ck_assert(shmt_message_is(message[0].data, 30, 1));
	ck_assert_int_eq(shmp_spsc_release(&ring.consumer, 2), SHMP_DONE);
	shmt_ring_free(&ring);
}

TEST(release_beyond_what_was_shown_changes_nothing)
{
	struct shmp_spsc_message message[2];
	struct shmt_ring ring;
	uint64_t count;

	shmt_ring_open(&ring, CAPACITY, 0);
	for (uint64_t i = 0; i < 3; i++)
		shmt_ring_push(&ring, 30, i);
	ck_assert_int_eq(shmp_spsc_release(&ring.consumer, 1), -EINVAL);
	ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, message, 2, &count), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_release(&ring.consumer, 3), -EINVAL);
	ck_assert_int_eq(shmp_spsc_release(&ring.consumer, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(shmp_spsc_release(&ring.consumer, 2), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_release(&ring.consumer, 1), -EINVAL);
	ck_assert_int_eq(shmt_ring_pop(&ring, 30, 2, NULL), SHMP_DONE);
	shmt_ring_free(&ring);
}

TEST(a_shorter_peek_forgets_nothing_of_a_longer_one)
{
	struct shmp_spsc_message message[3];
	struct shmt_ring ring;
	uint64_t count;

	shmt_ring_open(&ring, CAPACITY, 0);
	for (uint64_t i = 0; i < 3; i++)
		shmt_ring_push(&ring, 30, i);
	ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, message, 3, &count), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, message, 1, &count), SHMP_DONE);
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(shmp_spsc_release(&ring.consumer, 3), SHMP_DONE);
	ck_assert_int_eq(shmt_ring_pop(&ring, 0, 0, NULL), SHMP_EMPTY);
	shmt_ring_free(&ring);
}

TEST(what_is_shown_is_not_written_over)
{
	struct shmp_spsc_message message;
	struct shmt_ring ring;
	uint64_t count;

	shmt_ring_open(&ring, CAPACITY, 0);
	shmt_ring_push(&ring, 2000, 1);
	ck_assert_int_eq(shmp_spsc_peek(&ring.consumer, &message, 1, &count), SHMP_DONE);
	fill_with(&ring, 8);
	ck_assert_int_eq(shmt_ring_push(&ring, 0, 0), SHMP_FULL);
	ck_assert(shmt_message_is(message.data, 2000, 1));
	shmt_ring_free(&ring);
}

TEST(counters_say_what_was_moved)
{
	struct shmp_spsc_message message[2];
	const struct shmp_endpoint *endpoints;
	struct shmt_ring ring;
	uint64_t count;

	shmt_ring_open(&ring, CAPACITY, 0);
	endpoints = ring.segment.map.endpoints;
	shmt_ring_push(&ring, 10, 0);
	for (uint64_t i = 1; i < 4; i++)
		batch_add(&ring, 10 * i, i);
	shmp_spsc_batch_publish(&ring.producer);
	ck_assert_uint_eq(atomic_load(&endpoints[SHMP_SPSC_PRODUCER].items), 4);
	ck_assert_uint_eq(atomic_load(&endpoints[SHMP_SPSC_PRODUCER].bytes), 70);
	shmt_ring_pop(&ring, 10, 0, NULL);
	shmp_spsc_peek(&ring.consumer, message, 2, &count);
	shmp_spsc_release(&ring.consumer, 2);
	ck_assert_uint_eq(atomic_load(&endpoints[SHMP_SPSC_CONSUMER].items), 3);
	ck_assert_uint_eq(atomic_load(&endpoints[SHMP_SPSC_CONSUMER].bytes), 40);
	shmt_ring_free(&ring);
}

static void note_figure(void *context, const char *name, uint64_t value)
{
	uint64_t *figures = context;

	if (strcmp(name, "depth_messages") == 0)
		figures[0] = value;
	else if (strcmp(name, "depth_bytes") == 0)
		figures[1] = value;
	else if (strcmp(name, "capacity_bytes") == 0)
		figures[2] = value;
}

TEST(figures_tell_the_depth)
{
	struct shmt_ring ring;
	uint64_t figures[3];

	shmt_ring_open(&ring, CAPACITY, 0);
	for (uint64_t i = 0; i < 3; i++)
		shmt_ring_push(&ring, 8, i);
	shmt_ring_pop(&ring, 8, 0, NULL);
	shmp_spsc_kind.figures(&ring.segment.map, note_figure, figures);
	ck_assert_uint_eq(figures[0], 2);
	ck_assert_uint_eq(figures[1], 32);
	ck_assert_uint_eq(figures[2], CAPACITY);
	shmt_ring_free(&ring);
}

/* The plan */

static int plan_of(uint64_t capacity, uint64_t message_max, struct shmp_plan *ret_plan)
{
	const char *why = NULL;
	uint64_t option[SHMP_OPTIONS_MAX] = { capacity, message_max };
	int r = shmp_spsc_kind.plan(option, ret_plan, &why);

	ck_assert_int_eq(r != 0, why != NULL);
	return r;
}

TEST(capacity_is_rounded_up_to_a_power_of_two)
{
	static const uint64_t asked[][2] = {
		{ 0, 4096 },
		{ 1, 4096 },
		{ 4096, 4096 },
		{ 4097, 8192 },
		{ 65536, 65536 },
		{ (1 << 20) + 1, 2 << 20 },
		{ UINT64_C(1) << 36, UINT64_C(1) << 36 },
	};
	struct shmp_plan plan;

	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
		ck_assert_int_eq(plan_of(asked[i][0], 0, &plan), 0);
		ck_assert_uint_eq(plan.option[SHMP_SPSC_CAPACITY_BYTES], asked[i][1]);
		ck_assert_uint_eq(plan.data_bytes, asked[i][1]);
		ck_assert_uint_eq(plan.option[SHMP_SPSC_MESSAGE_BYTES_MAX], asked[i][1] - 16);
	}
}

TEST(a_limit_that_cannot_fit_is_refused_by_its_option)
{
	struct shmp_plan plan;

	ck_assert_int_eq(plan_of(4096, 4080, &plan), 0);
	ck_assert_uint_eq(plan.option[SHMP_SPSC_MESSAGE_BYTES_MAX], 4080);
	ck_assert_int_eq(plan_of(4096, 4081, &plan), SHMP_SPSC_MESSAGE_BYTES_MAX + 1);
	ck_assert_int_eq(plan_of(4097, 4081, &plan), 0);
	ck_assert_int_eq(plan_of(0, UINT64_C(1) << 36, &plan), SHMP_SPSC_MESSAGE_BYTES_MAX + 1);
}

TEST(plan_holds_both_endpoints_in_whole_pages)
{
	struct shmp_plan plan;

	ck_assert_int_eq(plan_of(0, 0, &plan), 0);
	ck_assert_uint_eq(plan.endpoint_count, 2);
	ck_assert_uint_eq(plan.control_bytes % 128, 0);
	ck_assert_uint_eq(plan.ctl_bytes % SHMP_PAGE, 0);
	ck_assert_uint_ge(plan.ctl_bytes, sizeof(struct shmp_head) + plan.control_bytes +
						  2 * sizeof(struct shmp_endpoint));
}

SHMT_MAIN
