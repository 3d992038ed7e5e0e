/* spsc through the library and a real broker, both sides in one process: what each call does. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/runner.h"

struct pair {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_spsc *producer;
	struct shmc_spsc *consumer;
	size_t descriptors;
};

/* A queue of @capacity_bytes with both ends open. */
static struct pair pair_open(uint64_t capacity_bytes)
{
	struct pair pair = { .broker = shmt_broker_start(NULL),
			     .descriptors = shmt_descriptor_count() };

	pair.client = shmt_connect(&pair.broker);
	shmt_create(pair.client, "queue", capacity_bytes);
	pair.producer = shmt_open(pair.client, "queue", SHMC_SPSC_PRODUCER);
	pair.consumer = shmt_open(pair.client, "queue", SHMC_SPSC_CONSUMER);
	return pair;
}

static void pair_close(struct pair *pair)
{
	shmc_spsc_close(pair->producer);
	shmc_spsc_close(pair->consumer);
	shmc_disconnect(pair->client);
	ck_assert_uint_eq(shmt_descriptor_count(), pair->descriptors);
	shmt_broker_stop(&pair->broker);
}

static enum shmc_result push_text(struct pair *pair, const char *text)
{
	return shmc_spsc_try_push(pair->producer, text, strlen(text));
}

static void expect_text(struct pair *pair, const char *text)
{
	char buffer[256];
	struct shmc_message message;

	shmt_assert_ok(shmc_spsc_try_pop(pair->consumer, buffer, sizeof(buffer), &message));
	ck_assert_uint_eq(message.size, strlen(text));
	ck_assert_mem_eq(message.data, text, message.size);
	ck_assert_uint_eq(message.flags, 0);
}

static void expect_nothing(struct pair *pair)
{
	char byte;
	struct shmc_message message;

	shmt_assert_result(shmc_spsc_try_pop(pair->consumer, &byte, 1, &message), SHMC_EMPTY);
}

static uint64_t depth_of(struct pair *pair)
{
	uint64_t depth;

	shmt_assert_ok(shmc_spsc_statistics(pair->consumer, NULL, NULL, &depth));
	return depth;
}

TEST(a_message_arrives_as_it_was_sent)
{
	struct pair pair = pair_open(0);

	shmt_assert_ok(push_text(&pair, "hello"));
	expect_text(&pair, "hello");
	expect_nothing(&pair);
	pair_close(&pair);
}

TEST(messages_arrive_in_the_order_they_were_sent)
{
	struct pair pair = pair_open(0);

	shmt_assert_ok(push_text(&pair, "one"));
	shmt_assert_ok(push_text(&pair, "two"));
	shmt_assert_ok(push_text(&pair, "three"));
	expect_text(&pair, "one");
	expect_text(&pair, "two");
	expect_text(&pair, "three");
	pair_close(&pair);
}

TEST(an_empty_message_is_a_message)
{
	struct pair pair = pair_open(0);
	struct shmc_message message = { .size = 77 };

	shmt_assert_ok(shmc_spsc_try_push(pair.producer, NULL, 0));
	shmt_assert_ok(shmc_spsc_try_pop(pair.consumer, NULL, 0, &message));
	ck_assert_uint_eq(message.size, 0);
	expect_nothing(&pair);
	pair_close(&pair);
}

TEST(every_length_up_to_the_limit_arrives_whole)
{
	struct pair pair = pair_open(8192);
	uint32_t flags;

	for (uint64_t most = 8; most <= 4096; most++) {
		shmt_assert_ok(shmt_push_numbered(pair.producer, most, most, SHMC_TRY));
		shmt_assert_ok(shmt_pop_numbered(pair.consumer, most, most, SHMC_TRY, &flags));
	}
	pair_close(&pair);
}

TEST(the_shortest_messages_arrive_whole)
{
	struct pair pair = pair_open(4096);
	const char text[] = "abcdefghijklmnopqrstuvwxyz";

	for (uint64_t size = 0; size < 24; size++) {
		char buffer[32] = "";
		struct shmc_message message;

		shmt_assert_ok(shmc_spsc_try_push(pair.producer, text, size));
		shmt_assert_ok(shmc_spsc_try_pop(pair.consumer, buffer, sizeof(buffer), &message));
		ck_assert_uint_eq(message.size, size);
		ck_assert_mem_eq(buffer, text, size);
		ck_assert_int_eq(buffer[size], '\0');
	}
	pair_close(&pair);
}

TEST(a_megabyte_arrives_whole)
{
	struct pair pair = pair_open(4 << 20);
	size_t size = (1 << 20) + 3;
	uint8_t *out = malloc(size), *in = malloc(size);
	struct shmc_message message;

	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(i * 7 + i / 255);
	for (int i = 0; i < 10; i++) {
		shmt_assert_ok(shmc_spsc_try_push(pair.producer, out, size));
		memset(in, 0, size);
		shmt_assert_ok(shmc_spsc_try_pop(pair.consumer, in, size, &message));
		ck_assert_uint_eq(message.size, size);
		ck_assert_int_eq(memcmp(in, out, size), 0);
	}
	free(out);
	free(in);
	pair_close(&pair);
}

TEST(the_ring_is_full_at_exactly_its_capacity)
{
	struct pair pair = pair_open(4096);
	uint64_t number = 0;
	uint32_t flags;

	/* 16 bytes each, and 8 for the end: 255 of them */
	while (shmt_push_numbered(pair.producer, number, 8, SHMC_TRY) == SHMC_OK)
		number++;
	ck_assert_uint_eq(number, 255);
	shmt_assert_result(shmt_push_numbered(pair.producer, number, 8, SHMC_TRY), SHMC_FULL);
	shmt_assert_ok(shmt_pop_numbered(pair.consumer, 0, 8, SHMC_TRY, &flags));
	shmt_assert_ok(shmt_push_numbered(pair.producer, number, 8, SHMC_TRY));
	shmt_assert_result(shmt_push_numbered(pair.producer, number, 8, SHMC_TRY), SHMC_FULL);
	for (uint64_t i = 1; i <= number; i++)
		shmt_assert_ok(shmt_pop_numbered(pair.consumer, i, 8, SHMC_TRY, &flags));
	expect_nothing(&pair);
	pair_close(&pair);
}

TEST(a_message_of_the_whole_capacity_fits_and_one_byte_more_is_refused)
{
	struct pair pair = pair_open(4096);
	uint8_t payload[4096] = { 1 };
	struct shmc_message message;

	shmt_assert_result(shmc_spsc_try_push(pair.producer, payload, 4081), SHMC_TOO_BIG);
	expect_nothing(&pair);
	shmt_assert_ok(shmc_spsc_try_push(pair.producer, payload, 4080));
	shmt_assert_result(shmc_spsc_try_push(pair.producer, NULL, 0), SHMC_FULL);
	shmt_assert_ok(shmc_spsc_try_pop(pair.consumer, payload, 4080, &message));
	ck_assert_uint_eq(message.size, 4080);
	pair_close(&pair);
}

TEST(a_message_over_the_limit_is_refused_and_nothing_is_written)
{
	struct shmc_spsc_options options = { .capacity_bytes = 4096, .message_bytes_max = 100 };
	struct pair pair = pair_open(0);
	uint8_t payload[128] = { 0 };
	struct shmc_bytes batch[] = { { payload, 101 }, { payload, 1 } };
	void *room;
	uint64_t count = 9;

	shmt_assert_ok(shmc_spsc_create(pair.client, "limited", &options, NULL));
	pair.producer = shmc_spsc_close(pair.producer);
	pair.producer = shmt_open(pair.client, "limited", SHMC_SPSC_PRODUCER);
	shmt_assert_ok(shmc_spsc_try_push(pair.producer, payload, 100));
	shmt_assert_result(shmc_spsc_try_push(pair.producer, payload, 101), SHMC_TOO_BIG);
	shmt_assert_result(shmc_spsc_push(pair.producer, payload, 101, SHMC_FOREVER), SHMC_TOO_BIG);
	shmt_assert_result(shmc_spsc_reserve(pair.producer, 101, SHMC_TRY, &room), SHMC_TOO_BIG);
	shmt_assert_result(shmc_spsc_push_batch(pair.producer, batch, 2, SHMC_TRY, &count),
			   SHMC_TOO_BIG);
	shmt_assert_result(shmc_spsc_try_push(pair.producer, payload, UINT64_MAX), SHMC_TOO_BIG);
	ck_assert_uint_eq(count, 9);
	shmt_assert_ok(shmc_spsc_statistics(pair.producer, NULL, NULL, &count));
	ck_assert_uint_eq(count, 1);
	pair_close(&pair);
}

TEST(a_message_crosses_the_end_of_the_ring_at_every_offset)
{
	struct pair pair = pair_open(4096);
	uint32_t flags;

	/* 1008 and 16 bytes, and 8 more: every multiple of 8 is begun at once */
	for (uint64_t i = 0; i < 4 * 512; i++) {
		shmt_assert_ok(shmt_push_numbered(pair.producer, i, 1000, SHMC_TRY));
		shmt_assert_ok(shmc_spsc_try_push(pair.producer, NULL, 0));
		shmt_assert_ok(shmt_pop_numbered(pair.consumer, i, 1000, SHMC_TRY, &flags));
		expect_text(&pair, "");
	}
	pair_close(&pair);
}

TEST(a_buffer_that_is_too_small_keeps_the_message)
{
	struct pair pair = pair_open(0);
	char buffer[2] = "";
	struct shmc_message message;

	shmt_assert_ok(push_text(&pair, "long"));
	shmt_assert_result(shmc_spsc_try_pop(pair.consumer, buffer, 2, &message), SHMC_TOO_BIG);
	ck_assert_uint_eq(message.size, 4);
	shmt_assert_result(shmc_spsc_pop(pair.consumer, buffer, 2, SHMC_FOREVER, &message),
			   SHMC_TOO_BIG);
	expect_text(&pair, "long");
	pair_close(&pair);
}

TEST(a_long_message_in_a_small_buffer_says_its_length)
{
	struct pair pair = pair_open(0);
	uint8_t payload[1000] = { 0 };
	struct shmc_message message;

	shmt_assert_ok(shmc_spsc_try_push(pair.producer, payload, 1000));
	shmt_assert_result(shmc_spsc_try_pop(pair.consumer, payload, 999, &message), SHMC_TOO_BIG);
	ck_assert_uint_eq(message.size, 1000);
	shmt_assert_ok(shmc_spsc_try_pop(pair.consumer, payload, 1000, &message));
	pair_close(&pair);
}

TEST(a_batch_becomes_visible_in_order)
{
	struct pair pair = pair_open(0);
	struct shmc_bytes batch[] = { { "one", 3 }, { "", 0 }, { "three", 5 } };
	uint64_t count;

	shmt_assert_ok(shmc_spsc_push_batch(pair.producer, batch, 3, SHMC_TRY, &count));
	ck_assert_uint_eq(count, 3);
	ck_assert_uint_eq(depth_of(&pair), 3);
	expect_text(&pair, "one");
	expect_text(&pair, "");
	expect_text(&pair, "three");
	pair_close(&pair);
}

TEST(a_batch_goes_as_far_as_there_is_room)
{
	struct pair pair = pair_open(4096);
	static const uint8_t payload[1016];
	struct shmc_bytes batch[] = { { payload, 1016 },
				      { payload, 1016 },
				      { payload, 1016 },
				      { payload, 1016 },
				      { payload, 1016 } };
	uint64_t count = 0;

	shmt_assert_ok(shmc_spsc_push_batch(pair.producer, batch, 5, SHMC_TRY, &count));
	ck_assert_uint_eq(count, 3);
	shmt_assert_result(shmc_spsc_push_batch(pair.producer, batch, 5, SHMC_TRY, &count),
			   SHMC_FULL);
	ck_assert_uint_eq(count, 3);
	ck_assert_uint_eq(depth_of(&pair), 3);
	pair_close(&pair);
}

TEST(a_batch_stops_before_a_message_that_is_too_big)
{
	struct pair pair = pair_open(4096);
	struct shmc_bytes batch[] = { { "fits", 4 }, { NULL, 5000 } };
	uint64_t count;

	shmt_assert_ok(shmc_spsc_push_batch(pair.producer, batch, 2, SHMC_TRY, &count));
	ck_assert_uint_eq(count, 1);
	expect_text(&pair, "fits");
	expect_nothing(&pair);
	pair_close(&pair);
}

TEST(a_batch_of_none_is_invalid)
{
	struct pair pair = pair_open(0);
	struct shmc_message message;
	uint64_t count;

	shmt_assert_result(shmc_spsc_push_batch(pair.producer, NULL, 0, SHMC_TRY, &count),
			   SHMC_INVALID);
	shmt_assert_result(shmc_spsc_peek_batch(pair.consumer, &message, 0, SHMC_TRY, &count),
			   SHMC_INVALID);
	pair_close(&pair);
}

TEST(a_reservation_is_sent_with_the_size_that_was_used)
{
	struct pair pair = pair_open(0);
	void *room;

	shmt_assert_ok(shmc_spsc_reserve(pair.producer, 200, SHMC_TRY, &room));
	ck_assert_uint_eq((uintptr_t)room % 8, 0);
	expect_nothing(&pair);
	memset(room, 'x', 200);
	shmt_assert_ok(shmc_spsc_commit(pair.producer, 5));
	expect_text(&pair, "xxxxx");
	expect_nothing(&pair);
	shmt_assert_ok(push_text(&pair, "next"));
	expect_text(&pair, "next");
	pair_close(&pair);
}

TEST(an_aborted_reservation_leaves_nothing)
{
	struct pair pair = pair_open(0);
	void *room;

	shmt_assert_ok(shmc_spsc_reserve(pair.producer, 4, SHMC_TRY, &room));
	memcpy(room, "gone", 4);
	shmt_assert_ok(shmc_spsc_abort(pair.producer));
	expect_nothing(&pair);
	shmt_assert_ok(push_text(&pair, "here"));
	expect_text(&pair, "here");
	pair_close(&pair);
}

TEST(an_open_reservation_is_in_the_way_of_sending_otherwise)
{
	struct pair pair = pair_open(0);
	struct shmc_bytes batch = { "", 0 };
	uint64_t count;
	void *room;

	shmt_assert_ok(shmc_spsc_reserve(pair.producer, 8, SHMC_TRY, &room));
	shmt_assert_result(push_text(&pair, "x"), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_push(pair.producer, "x", 1, SHMC_FOREVER), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_push_batch(pair.producer, &batch, 1, SHMC_TRY, &count),
			   SHMC_INVALID);
	shmt_assert_result(shmc_spsc_reserve(pair.producer, 8, SHMC_TRY, &room), SHMC_INVALID);
	shmt_assert_ok(shmc_spsc_abort(pair.producer));
	shmt_assert_ok(push_text(&pair, "x"));
	pair_close(&pair);
}

TEST(more_than_was_reserved_is_not_sent_and_the_reservation_stays)
{
	struct pair pair = pair_open(0);
	void *room;

	shmt_assert_ok(shmc_spsc_reserve(pair.producer, 4, SHMC_TRY, &room));
	shmt_assert_result(shmc_spsc_commit(pair.producer, 5), SHMC_INVALID);
	memcpy(room, "four", 4);
	shmt_assert_ok(shmc_spsc_commit(pair.producer, 4));
	expect_text(&pair, "four");
	pair_close(&pair);
}

TEST(without_a_reservation_there_is_nothing_to_commit_or_abort)
{
	struct pair pair = pair_open(0);

	shmt_assert_result(shmc_spsc_commit(pair.producer, 0), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_abort(pair.producer), SHMC_INVALID);
	pair_close(&pair);
}

TEST(a_closed_producer_takes_its_reservation_along)
{
	struct pair pair = pair_open(0);
	char byte;
	struct shmc_message message;
	void *room;

	shmt_assert_ok(shmc_spsc_reserve(pair.producer, 4, SHMC_TRY, &room));
	pair.producer = shmc_spsc_close(pair.producer);
	shmt_assert_result(shmc_spsc_try_pop(pair.consumer, &byte, 1, &message), SHMC_CLOSED);
	pair_close(&pair);
}

TEST(peek_shows_the_same_message_until_it_is_released)
{
	struct pair pair = pair_open(0);
	struct shmc_message first, second;

	shmt_assert_ok(push_text(&pair, "shown"));
	shmt_assert_ok(shmc_spsc_peek(pair.consumer, SHMC_TRY, &first));
	shmt_assert_ok(shmc_spsc_peek(pair.consumer, SHMC_TRY, &second));
	ck_assert_ptr_eq(first.data, second.data);
	ck_assert_uint_eq(first.size, 5);
	ck_assert_mem_eq(first.data, "shown", 5);
	ck_assert_uint_eq((uintptr_t)first.data % 8, 0);
	shmt_assert_ok(shmc_spsc_release(pair.consumer, 1));
	shmt_assert_result(shmc_spsc_peek(pair.consumer, SHMC_TRY, &first), SHMC_EMPTY);
	pair_close(&pair);
}

TEST(several_are_shown_and_released_in_parts)
{
	struct pair pair = pair_open(0);
	struct shmc_message shown[8];
	uint64_t count;

	shmt_assert_ok(push_text(&pair, "one"));
	shmt_assert_ok(push_text(&pair, "two"));
	shmt_assert_ok(push_text(&pair, "three"));
	shmt_assert_ok(shmc_spsc_peek_batch(pair.consumer, shown, 8, SHMC_TRY, &count));
	ck_assert_uint_eq(count, 3);
	ck_assert_mem_eq(shown[2].data, "three", 5);
	shmt_assert_ok(shmc_spsc_release(pair.consumer, 2));
	ck_assert_uint_eq(depth_of(&pair), 1);
	shmt_assert_result(shmc_spsc_release(pair.consumer, 2), SHMC_INVALID);
	shmt_assert_ok(shmc_spsc_release(pair.consumer, 1));
	shmt_assert_result(shmc_spsc_release(pair.consumer, 1), SHMC_INVALID);
	expect_nothing(&pair);
	pair_close(&pair);
}

TEST(what_is_shown_is_in_the_way_of_pop)
{
	struct pair pair = pair_open(0);
	struct shmc_message message;
	char byte;

	shmt_assert_ok(push_text(&pair, "a"));
	shmt_assert_ok(push_text(&pair, "b"));
	shmt_assert_ok(shmc_spsc_peek(pair.consumer, SHMC_TRY, &message));
	shmt_assert_result(shmc_spsc_try_pop(pair.consumer, &byte, 1, &message), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_pop(pair.consumer, &byte, 1, SHMC_FOREVER, &message),
			   SHMC_INVALID);
	shmt_assert_ok(shmc_spsc_release(pair.consumer, 1));
	expect_text(&pair, "b");
	pair_close(&pair);
}

TEST(released_room_is_the_producer_s_again)
{
	struct pair pair = pair_open(4096);
	static const uint8_t payload[2000];
	struct shmc_message message;

	shmt_assert_ok(shmc_spsc_try_push(pair.producer, payload, 2000));
	shmt_assert_ok(shmc_spsc_try_push(pair.producer, payload, 2000));
	shmt_assert_ok(shmc_spsc_peek(pair.consumer, SHMC_TRY, &message));
	shmt_assert_result(shmc_spsc_try_push(pair.producer, payload, 2000), SHMC_FULL);
	shmt_assert_ok(shmc_spsc_release(pair.consumer, 1));
	shmt_assert_ok(shmc_spsc_try_push(pair.producer, payload, 2000));
	pair_close(&pair);
}

TEST(each_role_has_its_calls)
{
	struct pair pair = pair_open(0);
	struct shmc_bytes batch = { "", 0 };
	struct shmc_message message;
	uint64_t count;
	void *room;
	char byte;
	int fd;

	shmt_assert_result(shmc_spsc_try_push(pair.consumer, "", 0), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_push(pair.consumer, "", 0, SHMC_FOREVER), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_push_batch(pair.consumer, &batch, 1, SHMC_TRY, &count),
			   SHMC_INVALID);
	shmt_assert_result(shmc_spsc_reserve(pair.consumer, 1, SHMC_TRY, &room), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_commit(pair.consumer, 0), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_abort(pair.consumer), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_try_pop(pair.producer, &byte, 1, &message), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_pop(pair.producer, &byte, 1, SHMC_FOREVER, &message),
			   SHMC_INVALID);
	shmt_assert_result(shmc_spsc_peek(pair.producer, SHMC_TRY, &message), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_release(pair.producer, 1), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_fd(pair.producer, &fd, NULL), SHMC_INVALID);
	pair_close(&pair);
}

TEST(statistics_count_what_was_moved_and_refused)
{
	struct pair pair = pair_open(0);
	struct shmc_statistics own, peer;
	uint64_t depth;

	shmt_assert_ok(push_text(&pair, "12345"));
	shmt_assert_ok(push_text(&pair, "67"));
	expect_text(&pair, "12345");
	shmt_assert_ok(shmc_spsc_statistics(pair.producer, &own, &peer, &depth));
	ck_assert_uint_eq(own.messages, 2);
	ck_assert_uint_eq(own.bytes, 7);
	ck_assert_uint_eq(peer.messages, 1);
	ck_assert_uint_eq(peer.bytes, 5);
	ck_assert_uint_eq(depth, 1);
	expect_text(&pair, "67");
	expect_nothing(&pair);
	shmt_assert_ok(shmc_spsc_statistics(pair.consumer, &own, NULL, NULL));
	ck_assert_uint_eq(own.refused, 1);
	pair_close(&pair);
}

TEST(the_other_side_is_seen_to_come_and_go)
{
	struct pair pair = pair_open(0);

	ck_assert_int_eq(shmc_spsc_peer(pair.producer), SHMC_PEER_ACTIVE);
	ck_assert_int_eq(shmc_spsc_peer(pair.consumer), SHMC_PEER_ACTIVE);
	pair.consumer = shmc_spsc_close(pair.consumer);
	ck_assert_int_eq(shmc_spsc_peer(pair.producer), SHMC_PEER_LEFT);
	pair.consumer = shmt_open(pair.client, "queue", SHMC_SPSC_CONSUMER);
	ck_assert_int_eq(shmc_spsc_peer(pair.producer), SHMC_PEER_ACTIVE);
	pair_close(&pair);
}

SHMT_MAIN
