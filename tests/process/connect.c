/* Connecting: who gets in, and what those are told who do not. */
#include <poll.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/runner.h"

TEST(whatever_a_program_is_called_it_can_connect)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client =
		shmt_connect_as(&broker, (struct shmc_client_options){ .name = "\"a\\b\"\n\xff" });

	shmt_create(client, "queue", 0);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

/* The broker says so and hangs up, often before it was asked anything. */
TEST(one_connection_too_many_is_told_that_it_is_a_quota)
{
	static const char *const options[] = { "--connections-per-uid", "1", NULL };
	struct shmt_broker broker = shmt_broker_start(options);
	struct shmc_client_options address = { .address = broker.address };
	struct shmc_client *client = shmt_connect(&broker), *more = NULL;
	struct shmc_error error;

	for (int i = 0; i < 100; i++)
		shmt_assert_result(shmc_connect(&address, &more, &error), SHMC_QUOTA);
	shmt_assert_says(&error, "connections-per-uid");
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(end_of_the_broker_can_be_polled_for)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct pollfd pollfd = { .events = POLLIN };
	struct shmc_error error;

	shmt_create(client, "queue", 0);
	shmt_assert_ok(shmc_client_fd(client, &pollfd.fd, &error));
	ck_assert_int_eq(poll(&pollfd, 1, 0), 0);
	shmt_assert_ok(shmc_client_check(client, &error));
	shmt_broker_kill(&broker);
	ck_assert_int_eq(poll(&pollfd, 1, -1), 1);
	shmt_assert_result(shmc_client_check(client, &error), SHMC_BROKER_LOST);
	shmt_assert_says(&error, broker.address);
	shmt_assert_result(shmc_client_fd(client, &pollfd.fd, &error), SHMC_BROKER_LOST);
	shmc_disconnect(client);
	shmt_broker_remove(&broker);
}

SHMT_MAIN
