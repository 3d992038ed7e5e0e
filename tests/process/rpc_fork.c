/* A service's handles in a forked child: every call says so, and the parent's go on. */
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/runner.h"

static void use_client_in_child(struct shmc_rpc *rpc)
{
	struct shmc_rpc_answer answer;
	uint64_t id;
	void *room;

	shmt_assert_result(shmc_rpc_start(rpc, "", 0, SHMC_FOREVER, &id), SHMC_FORKED);
	shmt_assert_result(shmc_rpc_reserve(rpc, &room), SHMC_FORKED);
	shmt_assert_result(shmc_rpc_commit(rpc, 0, SHMC_FOREVER, &id), SHMC_FORKED);
	shmt_assert_result(shmc_rpc_abort(rpc), SHMC_FORKED);
	shmt_assert_result(shmc_rpc_receive(rpc, 0, SHMC_FOREVER, &answer), SHMC_FORKED);
	shmt_assert_result(shmc_rpc_call(rpc, "", 0, NULL, 0, SHMC_FOREVER, &answer), SHMC_FORKED);
	shmt_assert_result(shmc_rpc_end(rpc, 1), SHMC_FORKED);
	shmt_assert_result(shmc_rpc_wait_worker(rpc, SHMC_FOREVER), SHMC_FORKED);
	ck_assert_uint_eq(shmc_rpc_next_deadline(rpc), UINT64_MAX);
}

static void use_worker_in_child(struct shmc_rpc *worker, const struct shmc_rpc_request *in_hand)
{
	struct shmc_rpc_request request;

	shmt_assert_result(shmc_rpc_take(worker, SHMC_FOREVER, &request), SHMC_FORKED);
	shmt_assert_result(shmc_rpc_answer(worker, in_hand, 0, "", 0), SHMC_FORKED);
}

static void look_in_child(struct shmc_rpc *rpc)
{
	struct shmc_rpc_statistics got;
	struct shmc_rpc_options options;
	int fd;

	shmt_assert_result(shmc_rpc_fd(rpc, &fd, NULL), SHMC_FORKED);
	shmt_assert_result(shmc_rpc_statistics(rpc, &got), SHMC_FORKED);
	shmt_assert_result(shmc_rpc_options_of(rpc, &options), SHMC_FORKED);
	shmc_rpc_close(rpc);
}

TEST(a_forked_child_is_told_so_by_every_call)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_rpc *rpc, *worker;
	struct shmc_rpc_request request;
	struct shmc_rpc_answer answer;
	uint64_t id;
	int status;
	pid_t pid;

	shmt_assert_ok(shmc_rpc_create(client, "service", NULL, NULL));
	shmt_assert_ok(shmc_rpc_open(client, "service", SHMC_RPC_CLIENT, &rpc, NULL));
	shmt_assert_ok(shmc_rpc_open(client, "service", SHMC_RPC_WORKER, &worker, NULL));
	shmt_assert_ok(shmc_rpc_start(rpc, "?", 1, SHMC_FOREVER, &id));
	shmt_assert_ok(shmc_rpc_take(worker, SHMC_TRY, &request));
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		shmt_be_child();
		use_client_in_child(rpc);
		use_worker_in_child(worker, &request);
		look_in_child(rpc);
		look_in_child(worker);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	shmt_assert_ok(shmc_rpc_answer(worker, &request, 0, "!", 1));
	shmt_assert_ok(shmc_rpc_receive(rpc, id, SHMC_FOREVER, &answer));
	ck_assert_mem_eq(answer.data, "!", 1);
	shmt_assert_ok(shmc_rpc_end(rpc, id));
	shmc_rpc_close(worker);
	shmc_rpc_close(rpc);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

SHMT_MAIN
