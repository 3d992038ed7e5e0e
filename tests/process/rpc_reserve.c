/* Requests that are written in place, and those that are not sent after all. */
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/runner.h"

TEST(what_is_reserved_can_be_given_back)
{
	struct shmc_rpc_options options = { .calls = 1 };
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_rpc *rpc, *worker;
	struct shmc_rpc_request request;
	uint64_t id;
	void *room;

	shmt_assert_ok(shmc_rpc_create(client, "service", &options, NULL));
	shmt_assert_ok(shmc_rpc_open(client, "service", SHMC_RPC_CLIENT, &rpc, NULL));
	shmt_assert_ok(shmc_rpc_open(client, "service", SHMC_RPC_WORKER, &worker, NULL));
	shmt_assert_result(shmc_rpc_abort(rpc), SHMC_INVALID);
	shmt_assert_result(shmc_rpc_abort(worker), SHMC_INVALID);
	shmt_assert_ok(shmc_rpc_reserve(rpc, &room));
	memcpy(room, "never", 5);
	shmt_assert_ok(shmc_rpc_abort(rpc));
	shmt_assert_result(shmc_rpc_abort(rpc), SHMC_INVALID);
	shmt_assert_result(shmc_rpc_commit(rpc, 5, SHMC_FOREVER, &id), SHMC_INVALID);
	shmt_assert_result(shmc_rpc_take(worker, SHMC_TRY, &request), SHMC_EMPTY);
	shmt_assert_ok(shmc_rpc_start(rpc, "now", 3, SHMC_FOREVER, &id));
	shmt_assert_ok(shmc_rpc_take(worker, SHMC_TRY, &request));
	ck_assert_uint_eq(request.size, 3);
	ck_assert_mem_eq(request.data, "now", 3);
	shmc_rpc_close(worker);
	shmc_rpc_close(rpc);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

SHMT_MAIN
