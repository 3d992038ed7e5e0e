/* Connecting: who gets in, and what those are told who do not. */
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

SHMT_MAIN
