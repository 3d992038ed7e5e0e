/*
 * libshmclient on kernels that know less.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/failure/acts.h"
#include "tests/support/runner.h"

/* ---- kernels that know less ------------------------------------------------------------------ */

#define MESSAGES 500

static struct shmc_spsc *producer, *consumer;

/* Sleeps for nearly each of them. */
static int consume(void)
{
	for (uint64_t i = 0; i < MESSAGES; i++)
		if (shmt_pop_numbered(consumer, i, 100, ACT_TIMEOUT_NS, NULL) != SHMC_OK)
			return 1;
	return 0;
}

static void exchange(unsigned producer_lacks, unsigned consumer_lacks)
{
	struct shmc_client_options options = { .address = NULL, .spin_ns = -1 };
	int status = 1;
	pid_t pid;

	broker = shmt_broker_start(NULL);
	fault->lacks = producer_lacks;
	client = shmt_connect_as(&broker, options);
	fault->lacks = 0;
	shmt_create(client, "queue", 4096);
	producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		shmt_be_child();
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fault->lacks = consumer_lacks;
		second = shmt_connect_as(&broker, options);
		consumer = shmt_open(second, "queue", SHMC_SPSC_CONSUMER);
		_exit(consume());
	}
	/* each finds the consumer asleep, or going to sleep */
	for (uint64_t i = 0; i < MESSAGES; i++) {
		shmt_await_sleeper(producer, i);
		shmt_assert_ok(shmt_push_numbered(producer, i, 100, ACT_TIMEOUT_NS));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	shmc_spsc_close(producer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(producer_without_membarrier_wakes_a_sleeper, .timeout_s = 60)
{
	exchange(FAULT_WITHOUT_MEMBARRIER, 0);
	ck_assert_uint_gt(fault->refusals, 0);
}

TEST(consumer_without_membarrier_is_woken, .timeout_s = 60)
{
	fault_share();
	exchange(0, FAULT_WITHOUT_MEMBARRIER);
	ck_assert_uint_gt(fault->refusals, 0);
}

TEST(nobody_has_membarrier, .timeout_s = 60)
{
	exchange(FAULT_WITHOUT_MEMBARRIER, FAULT_WITHOUT_MEMBARRIER);
	ck_assert_uint_gt(fault->refusals, 0);
}
