/* Creating, opening and closing spsc queues: what is refused, and what stays. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

static void push_numbers(struct shmc_spsc *queue, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		shmt_assert_ok(shmt_push_numbered(queue, i, 300, SHMC_TRY));
}

static void pop_numbers(struct shmc_spsc *queue, uint64_t from, uint64_t to)
{
	uint32_t flags;

	for (uint64_t i = from; i < to; i++) {
		shmt_assert_ok(shmt_pop_numbered(queue, i, 300, SHMC_TRY, &flags));
		ck_assert_uint_eq(flags, 0);
	}
}

TEST(sizes_are_rounded_up_and_reported)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc_options options = { .capacity_bytes = 5000 };
	struct shmc_spsc *queue;

	shmt_assert_ok(shmc_spsc_create(client, "odd", &options, NULL));
	queue = shmt_open(client, "odd", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmc_spsc_options_of(queue, &options));
	ck_assert_uint_eq(options.capacity_bytes, 8192);
	ck_assert_uint_eq(options.message_bytes_max, 8176);
	shmc_spsc_close(queue);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(no_options_are_the_defaults)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc_options options;
	struct shmc_spsc *queue;

	shmt_assert_ok(shmc_spsc_create(client, "plain", NULL, NULL));
	queue = shmt_open(client, "plain", SHMC_SPSC_PRODUCER);
	shmt_assert_ok(shmc_spsc_options_of(queue, &options));
	ck_assert_uint_eq(options.capacity_bytes, 65536);
	ck_assert_uint_eq(options.message_bytes_max, 65520);
	shmc_spsc_close(queue);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(a_name_is_made_once_unless_it_may_be_reused)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc_options reuse = { .capacity_bytes = 8192, .reuse = 1 };
	struct shmc_error error;

	shmt_create(client, "taken", 8192);
	shmt_assert_result(shmc_spsc_create(client, "taken", NULL, &error), SHMC_EXISTS);
	ck_assert_int_eq(error.result, SHMC_EXISTS);
	shmt_assert_says(&error, "taken");
	shmt_assert_ok(shmc_spsc_create(client, "taken", &reuse, &error));
	reuse.capacity_bytes = 16384;
	shmt_assert_result(shmc_spsc_create(client, "taken", &reuse, &error), SHMC_MISMATCH);
	shmt_assert_says(&error, "capacity_bytes");
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(bad_arguments_are_refused_by_name)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc_options options = { .capacity_bytes = 4096, .message_bytes_max = 4081 };
	struct shmc_error error;
	struct shmc_spsc *queue;
	char name[257];

	memset(name, 'x', 256);
	name[256] = '\0';
	shmt_assert_result(shmc_spsc_create(client, name, NULL, &error), SHMC_INVALID);
	shmt_assert_says(&error, "name");
	name[255] = '\0';
	shmt_assert_ok(shmc_spsc_create(client, name, NULL, &error));
	shmt_assert_result(shmc_spsc_create(client, "", NULL, &error), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_create(client, "../up", NULL, &error), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_create(client, "/absolute", NULL, &error), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_create(client, "caf\xc3\xa9", NULL, &error), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_create(client, "big", &options, &error), SHMC_INVALID);
	shmt_assert_says(&error, "message_bytes_max");
	shmt_assert_result(shmc_spsc_open(client, "big", 7, &queue, &error), SHMC_INVALID);
	shmt_assert_says(&error, "role");
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(a_ring_over_the_limit_is_too_big_and_the_limit_is_named)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc_options options = { .capacity_bytes = UINT64_C(1) << 37 };
	struct shmc_error error;

	shmt_assert_result(shmc_spsc_create(client, "vast", &options, &error), SHMC_TOO_BIG);
	shmt_assert_says(&error, "68719476736");
	options.capacity_bytes = UINT64_MAX;
	shmt_assert_result(shmc_spsc_create(client, "vast", &options, &error), SHMC_TOO_BIG);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(what_was_never_made_is_not_found)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_error error;
	struct shmc_spsc *queue = NULL;

	shmt_assert_result(shmc_spsc_open(client, "nowhere", SHMC_SPSC_CONSUMER, &queue, &error),
			   SHMC_NOT_FOUND);
	shmt_assert_says(&error, "nowhere");
	ck_assert_ptr_null(queue);
	shmt_assert_result(shmc_unlink(client, "nowhere", &error), SHMC_NOT_FOUND);
	shmt_assert_result(shmc_unlink(client, "no//where", &error), SHMC_INVALID);
	/* an error that nobody wants to hear */
	shmt_assert_result(shmc_unlink(client, "nowhere", NULL), SHMC_NOT_FOUND);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static void hold_role(struct shmt_peer *other, void *context)
{
	struct shmc_client *client = shmt_connect(context);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);

	shmt_peer_tell(other);
	shmt_peer_await(other);
	shmc_spsc_close(queue);
	shmt_peer_tell(other);
	shmt_peer_await(other);
	shmc_disconnect(client);
}

TEST(a_second_producer_is_told_who_is_the_first)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmt_peer peer;
	struct shmc_error error;
	struct shmc_spsc *queue = NULL;
	char pid[32];

	shmt_create(client, "queue", 0);
	peer = shmt_peer_start(hold_role, &broker);
	shmt_peer_await(&peer);
	shmt_assert_result(shmc_spsc_open(client, "queue", SHMC_SPSC_PRODUCER, &queue, &error),
			   SHMC_BUSY);
	snprintf(pid, sizeof(pid), "%d", (int)peer.pid);
	shmt_assert_says(&error, pid);
	shmt_peer_tell(&peer);
	shmt_peer_await(&peer);
	queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	shmt_peer_tell(&peer);
	shmt_peer_join(&peer);
	shmc_spsc_close(queue);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(a_second_consumer_is_refused_and_disturbs_nobody)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc *producer, *consumer, *second = NULL;

	shmt_create(client, "queue", 0);
	producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	consumer = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	push_numbers(producer, 0, 20);
	pop_numbers(consumer, 0, 10);
	shmt_assert_result(shmc_spsc_open(client, "queue", SHMC_SPSC_CONSUMER, &second, NULL),
			   SHMC_BUSY);
	ck_assert_ptr_null(second);
	pop_numbers(consumer, 10, 20);
	shmc_spsc_close(producer);
	shmc_spsc_close(consumer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static void send_and_leave(struct shmt_peer *other, void *context)
{
	struct shmc_client *client = shmt_connect(context);
	struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);

	(void)other;
	push_numbers(queue, 0, 100);
	shmc_spsc_close(queue);
	shmc_disconnect(client);
}

TEST(a_consumer_that_comes_later_reads_what_is_there)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmt_peer peer;
	struct shmc_spsc *queue;
	struct shmc_message message;

	shmt_create(client, "queue", 0);
	peer = shmt_peer_start(send_and_leave, &broker);
	shmt_peer_join(&peer);
	queue = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	pop_numbers(queue, 0, 100);
	shmt_assert_result(shmc_spsc_peek(queue, SHMC_TRY, &message), SHMC_CLOSED);
	shmc_spsc_close(queue);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(opening_erases_nothing)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc *producer, *consumer;

	shmt_create(client, "queue", 0);
	for (uint64_t i = 0; i < 100; i += 10) {
		producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
		push_numbers(producer, i, i + 10);
		shmc_spsc_close(producer);
		consumer = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
		if (i >= 50)
			pop_numbers(consumer, i - 50, i - 40);
		shmc_spsc_close(consumer);
	}
	consumer = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	pop_numbers(consumer, 50, 100);
	shmc_spsc_close(consumer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(an_unlinked_queue_works_on_for_those_who_have_it)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc *producer, *consumer, *other = NULL;
	char byte;
	struct shmc_message message;

	shmt_create(client, "queue", 0);
	producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	consumer = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmc_unlink(client, "queue", NULL));
	shmt_assert_result(shmc_spsc_open(client, "queue", SHMC_SPSC_CONSUMER, &other, NULL),
			   SHMC_NOT_FOUND);
	shmt_create(client, "queue", 0);
	other = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	push_numbers(producer, 0, 10);
	pop_numbers(consumer, 0, 10);
	shmt_assert_result(shmc_spsc_try_pop(other, &byte, 1, &message), SHMC_EMPTY);
	shmc_spsc_close(other);
	shmc_spsc_close(producer);
	shmc_spsc_close(consumer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(a_thousand_openings_leave_nothing_behind, .timeout_s = 30)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	size_t before = shmt_descriptor_count();
	struct shmc_client *client = shmt_connect(&broker);

	shmt_create(client, "queue", 0);
	for (int i = 0; i < 1000; i++) {
		struct shmc_spsc *queue = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);

		shmt_assert_ok(shmt_push_numbered(queue, 1, 8, SHMC_TRY));
		shmc_spsc_close(queue);
	}
	shmc_disconnect(client);
	ck_assert_uint_eq(shmt_descriptor_count(), before);
	shmt_broker_stop(&broker);
}

TEST(closing_and_disconnecting_nothing_is_fine)
{
	ck_assert_ptr_null(shmc_spsc_close(NULL));
	ck_assert_ptr_null(shmc_disconnect(NULL));
}

SHMT_MAIN
