/* spsc with checksums: every call, every size, and what is damaged behind the producer's back. */
#include "protocol/spsc.h"

#include "tests/support/random.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

enum {
	CAPACITY = 4096,
	LONGEST = CAPACITY - SHMP_SPSC_OVERHEAD
};

static struct shmt_ring ring;
static uint8_t payload[LONGEST + 1], got[LONGEST];

static int push(uint64_t size, uint64_t number)
{
	shmt_message_fill(payload, size, number);
	return shmp_spsc_push_summed(&ring.producer, payload, size);
}

static int pop(uint64_t size, uint64_t number)
{
	struct shmp_spsc_message message;
	int r = shmp_spsc_pop_summed(&ring.consumer, got, sizeof(got), &message);

	if (r == SHMP_DONE) {
		ck_assert_uint_eq(message.size, size);
		ck_assert_ptr_eq(message.data, got);
		ck_assert(shmt_message_is(got, size, number));
	}
	return r;
}

/* Byte @index of the payload at @position. */
static uint8_t *byte_at(uint64_t position, uint64_t index)
{
	return ring.producer_map.data + (position + SHMP_SPSC_HEADER + index) % CAPACITY;
}

TEST(messages_of_all_sizes_come_through_at_every_offset)
{
	shmt_ring_open_summed(&ring, CAPACITY);
	for (uint64_t size = 0; size <= LONGEST; size += size < 300 ? 1 : 61) {
		ck_assert_int_eq(push(size, size), SHMP_DONE);
		ck_assert_int_eq(pop(size, size), SHMP_DONE);
		ck_assert_int_eq(pop(0, 0), SHMP_EMPTY);
	}
	ck_assert_int_eq(push(LONGEST + 1, 0), SHMP_TOO_BIG);
	shmt_ring_free(&ring);
}

TEST(it_is_full_where_it_is_without_checksums)
{
	uint64_t count = 0;

	shmt_ring_open_summed(&ring, CAPACITY);
	while (push(24, count) == SHMP_DONE)
		count++;
	ck_assert_uint_eq(count, (CAPACITY - 8) / 32);
	for (uint64_t i = 0; i < count; i++)
		ck_assert_int_eq(pop(24, i), SHMP_DONE);
	ck_assert_int_eq(pop(24, 0), SHMP_EMPTY);
	shmt_ring_free(&ring);
}

TEST(reserved_and_peeked_at_they_are_checked_as_well)
{
	struct shmp_spsc_message messages[4];
	uint64_t count = 0;
	uint8_t *room;

	shmt_ring_open_summed(&ring, CAPACITY);
	for (uint64_t i = 0; i < 3; i++) {
		ck_assert_int_eq(shmp_spsc_reserve(&ring.producer, 200, &room), SHMP_DONE);
		shmt_message_fill(room, 100 + i, i);
		shmp_spsc_commit_summed(&ring.producer, 100 + i);
	}
	for (int again = 0; again < 2; again++) {
		ck_assert_int_eq(shmp_spsc_peek_summed(&ring.consumer, messages, 4, &count),
				 SHMP_DONE);
		ck_assert_uint_eq(count, 3);
		for (uint64_t i = 0; i < 3; i++)
			ck_assert(messages[i].size == 100 + i &&
				  shmt_message_is(messages[i].data, 100 + i, i));
	}
	ck_assert_int_eq(shmp_spsc_release_summed(&ring.consumer, 4), -EINVAL);
	ck_assert_int_eq(shmp_spsc_release_summed(&ring.consumer, 2), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_release_summed(&ring.consumer, 1), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_peek_summed(&ring.consumer, messages, 4, &count), SHMP_EMPTY);
	ck_assert_uint_eq(ring.segment.map.endpoints[SHMP_SPSC_CONSUMER].items, 3);
	ck_assert_uint_eq(ring.segment.map.endpoints[SHMP_SPSC_CONSUMER].bytes, 303);
	shmt_ring_free(&ring);
}

TEST(a_batch_is_seen_at_once_and_each_message_checked)
{
	shmt_ring_open_summed(&ring, CAPACITY);
	for (uint64_t turn = 0; turn < 100; turn++) {
		for (uint64_t i = 0; i < 5; i++) {
			shmt_message_fill(payload, 70 + i, turn + i);
			ck_assert_int_eq(
				shmp_spsc_batch_add_summed(&ring.producer, payload, 70 + i),
				SHMP_DONE);
			ck_assert_int_eq(pop(0, 0), SHMP_EMPTY);
		}
		shmp_spsc_batch_publish_summed(&ring.producer);
		for (uint64_t i = 0; i < 5; i++)
			ck_assert_int_eq(pop(70 + i, turn + i), SHMP_DONE);
	}
	shmp_spsc_batch_publish_summed(&ring.producer); /* none */
	ck_assert_int_eq(pop(0, 0), SHMP_EMPTY);
	shmt_ring_free(&ring);
}

TEST(any_changed_bit_of_a_payload_is_noticed_and_the_message_skipped)
{
	struct shmp_spsc_message message;
	uint64_t count;

	shmt_ring_open_summed(&ring, CAPACITY);
	for (uint64_t bit = 0; bit < 37 * 8; bit++) {
		uint64_t head = shmp_spsc_head(&ring.producer);

		ck_assert_int_eq(push(37, bit), SHMP_DONE);
		ck_assert_int_eq(push(9, bit + 1), SHMP_DONE);
		*byte_at(head, bit / 8) ^= (uint8_t)(1u << bit % 8);
		if (bit % 2)
			ck_assert_int_eq(pop(37, bit), SHMP_DAMAGED);
		else
			ck_assert_int_eq(shmp_spsc_peek_summed(&ring.consumer, &message, 1, &count),
					 SHMP_DAMAGED);
		ck_assert_int_eq(pop(9, bit + 1), SHMP_DONE);
		ck_assert_int_eq(pop(0, 0), SHMP_EMPTY);
	}
	shmt_ring_free(&ring);
}

TEST(a_peek_shows_what_comes_before_the_damaged_one)
{
	struct shmp_spsc_message messages[4];
	uint64_t count = 0, third = 0;

	shmt_ring_open_summed(&ring, CAPACITY);
	for (uint64_t i = 0; i < 4; i++) {
		third = i == 2 ? shmp_spsc_head(&ring.producer) : third;
		ck_assert_int_eq(push(16, i), SHMP_DONE);
	}
	*byte_at(third, 5) ^= 1;
	ck_assert_int_eq(shmp_spsc_peek_summed(&ring.consumer, messages, 4, &count), SHMP_DONE);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(shmp_spsc_release_summed(&ring.consumer, 2), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_peek_summed(&ring.consumer, messages, 4, &count), SHMP_DAMAGED);
	ck_assert_int_eq(shmp_spsc_peek_summed(&ring.consumer, messages, 4, &count), SHMP_DONE);
	ck_assert_uint_eq(count, 1);
	ck_assert(shmt_message_is(messages[0].data, 16, 3));
	ck_assert_int_eq(shmp_spsc_release_summed(&ring.consumer, 1), SHMP_DONE);
	ck_assert_int_eq(pop(0, 0), SHMP_EMPTY);
	shmt_ring_free(&ring);
}

TEST(one_damaged_while_it_is_shown_is_skipped)
{
	struct shmp_spsc_message messages[2];
	uint64_t count = 0;

	shmt_ring_open_summed(&ring, CAPACITY);
	ck_assert_int_eq(push(16, 1), SHMP_DONE);
	ck_assert_int_eq(push(16, 2), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_peek_summed(&ring.consumer, messages, 2, &count), SHMP_DONE);
	*byte_at(0, 3) ^= 8;
	ck_assert_int_eq(shmp_spsc_peek_summed(&ring.consumer, messages, 2, &count), SHMP_DAMAGED);
	ck_assert_int_eq(shmp_spsc_release_summed(&ring.consumer, 2), -EINVAL);
	ck_assert_int_eq(shmp_spsc_release_summed(&ring.consumer, 1), SHMP_DONE);
	ck_assert_int_eq(pop(0, 0), SHMP_EMPTY);
	shmt_ring_free(&ring);
}

TEST(successors_of_both_find_what_is_there_with_its_checksums)
{
	struct shmp_spsc_message message;
	uint64_t count;

	shmt_ring_open_summed(&ring, CAPACITY);
	for (uint64_t i = 0; i < 6; i++)
		ck_assert_int_eq(push(50 + i, i), SHMP_DONE);
	/* as if it had died before its position was stored */
	atomic_store(&ring.segment.map.endpoints[SHMP_SPSC_PRODUCER].cursor, 64);
	ck_assert_int_eq(shmp_spsc_peek_summed(&ring.consumer, &message, 1, &count), SHMP_DONE);
	shmt_place_vacate(&ring.segment, SHMP_SPSC_PRODUCER, true, 1);
	shmt_place_vacate(&ring.segment, SHMP_SPSC_CONSUMER, true, 1);
	shmt_ring_attach_producer(&ring);
	shmt_ring_attach_consumer(&ring);
	ck_assert_int_eq(push(99, 99), SHMP_DONE);
	for (uint64_t i = 0; i < 6; i++) {
		ck_assert_int_eq(shmp_spsc_pop_summed(&ring.consumer, got, sizeof(got), &message),
				 SHMP_DONE);
		ck_assert(message.size == 50 + i && shmt_message_is(got, 50 + i, i));
		ck_assert_uint_eq(message.flags, i == 0 ? SHMP_SPSC_REDELIVERED : 0);
	}
	ck_assert_int_eq(pop(99, 99), SHMP_DONE);
	shmt_ring_free(&ring);
}

static int count_whole(void *context, const struct shmp_item *item)
{
	uint64_t *seen = context;

	ck_assert(item->size == 20 && shmt_message_is(item->payload, 20, *seen));
	++*seen;
	return 0;
}

TEST(who_looks_sees_sizes_without_checksums)
{
	uint8_t room[64];
	struct shmp_look look = { .max = 10, .room = room, .room_bytes = sizeof(room) };
	uint64_t seen = 0;

	shmt_ring_open_summed(&ring, CAPACITY);
	for (uint64_t i = 0; i < 3; i++)
		ck_assert_int_eq(push(20, i), SHMP_DONE);
	ck_assert_int_eq(shmp_spsc_kind.look(&ring.segment.map, &look, count_whole, &seen), 0);
	ck_assert_uint_eq(seen, 3);
	shmt_ring_free(&ring);
}

TEST(a_message_that_has_no_room_for_its_length_is_refused_at_creation)
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_SPSC_CAPACITY_BYTES] = UINT64_C(1) << 32, [SHMP_SPSC_CHECKSUM] = 1
	};
	struct shmp_plan plan;
	const char *why;

	ck_assert_int_eq(shmp_spsc_kind.plan(option, &plan, &why), SHMP_SPSC_MESSAGE_BYTES_MAX + 1);
	option[SHMP_SPSC_MESSAGE_BYTES_MAX] = SHMP_SPSC_SUMMED_MAX;
	ck_assert_int_eq(shmp_spsc_kind.plan(option, &plan, &why), 0);
	ck_assert_uint_eq(plan.option[SHMP_SPSC_CHECKSUM], 1);
}

static bool is_known(int r)
{
	return r == SHMP_DONE || r == SHMP_EMPTY || r == SHMP_TOO_BIG || r == SHMP_DAMAGED ||
	       r == -EBADMSG || r == -EINVAL || r == SHMP_FULL;
}

/* Anything in a header, and in what is around it. */
static void scribble(struct shmt_random *random)
{
	uint64_t word = shmt_random_next(random) >> shmt_random_next(random) % 64;
	uint64_t at = shmt_random_next(random) % (CAPACITY / 8) * 8;

	if (shmt_random_next(random) % 2)
		word |= SHMP_SPSC_PUBLISHED;
	if (shmt_random_next(random) % 2)
		at = ring.consumer.tail % CAPACITY;
	memcpy(ring.producer_map.data + at, &word, sizeof(word));
}

TEST(a_hostile_producer_makes_no_move_leave_the_ring)
{
	struct shmt_random random = { shmt_seed() };
	struct shmp_spsc_message messages[8];
	uint64_t count;

	shmt_ring_open_summed(&ring, CAPACITY);
	for (int i = 0; i < 200000; i++) {
		uint64_t choice = shmt_random_next(&random) % 8;

		if (choice < 3)
			scribble(&random);
		else if (choice == 3)
			ck_assert(is_known(push(shmt_random_next(&random) % 600, 1)));
		else if (choice == 4)
			ck_assert(is_known(
				shmp_spsc_peek_summed(&ring.consumer, messages, 8, &count)));
		else if (choice == 5)
			ck_assert(is_known(shmp_spsc_release_summed(
				&ring.consumer, shmt_random_next(&random) % 4)));
		else if (ring.consumer.shown_items == 0)
			ck_assert(is_known(
				shmp_spsc_pop_summed(&ring.consumer, got, sizeof(got), messages)));
	}
	shmt_ring_free(&ring);
}

SHMT_MAIN
