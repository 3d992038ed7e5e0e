/*
 * rpc_calculator [CALLS]: two worker processes calculate for a caller who has eight calls open. In the
 * middle whoever takes it is killed with a call in hand; the other one answers it, and none is lost.
 *
 * Ends with status 1 when a result is wrong.
 */
#include <shmclient/shmclient.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS	     2
#define OPEN_AT_ONCE 8
#define NOT_A_NUMBER 33 /* the handlers' own error */
#define DEADLY	     '!'

struct term {
	char sign;
	double left, right;
};

static void check(enum shmc_result result, const struct shmc_error *error)
{
	if (result == SHMC_OK)
		return;
	fprintf(stderr, "rpc_calculator: %s\n", error->text);
	exit(1);
}

static struct shmc_rpc *join(enum shmc_rpc_role role, struct shmc_client **client)
{
	struct shmc_rpc_options options = { .message_bytes_max = sizeof(struct term),
					    .calls = OPEN_AT_ONCE,
					    .reuse = 1 };
	struct shmc_rpc *rpc;
	struct shmc_error error;

	check(shmc_connect(NULL, client, &error), &error);
	check(shmc_rpc_create(*client, "calculator", &options, &error), &error);
	check(shmc_rpc_open(*client, "calculator", role, &rpc, &error), &error);
	return rpc;
}

static int calculate(const struct term *term, double *ret_value)
{
	switch (term->sign) {
	case '+':
		*ret_value = term->left + term->right;
		return 0;
	case '*':
		*ret_value = term->left * term->right;
		return 0;
	default:
		return NOT_A_NUMBER;
	}
}

/* For ever, or until a deadly call, unless somebody died in it before. */
static void work(void)
{
	struct shmc_client *client;
	struct shmc_rpc *rpc = join(SHMC_RPC_WORKER, &client);
	struct shmc_rpc_request request;

	while (shmc_rpc_take(rpc, SHMC_FOREVER, &request) == SHMC_OK) {
		struct term term;
		double value = 0;
		int status;

		memcpy(&term, request.data, sizeof(term));
		status = calculate(&term, &value);
		if (term.sign == DEADLY && (request.flags & SHMC_REDELIVERED) == 0)
			raise(SIGKILL);
		shmc_rpc_answer(rpc, &request, status, &value, sizeof(value));
	}
}

static struct term term_of(unsigned long i, unsigned long calls)
{
	static const char signs[] = "+*/";

	return (struct term){ .sign = i == calls / 2 ? DEADLY : signs[i % 3],
			      .left = (double)i,
			      .right = 3 };
}

/* 1 if it is not what it should be. */
static unsigned long is_wrong(struct term term, const struct shmc_rpc_answer *answer)
{
	double value, expected = 0;

	if (answer->status != calculate(&term, &expected))
		return 1;
	memcpy(&value, answer->data, sizeof(value));
	return value < expected || value > expected;
}

/* Its outcome, though there be no worker for a while. */
static enum shmc_result receive(struct shmc_rpc *rpc, uint64_t id, struct shmc_rpc_answer *answer)
{
	enum shmc_result result;

	do {
		result = shmc_rpc_receive(rpc, id, SHMC_FOREVER, answer);
	} while (result == SHMC_PEER_DEAD && answer->id == 0 &&
		 shmc_rpc_wait_worker(rpc, SHMC_FOREVER) == SHMC_OK);
	return result;
}

static unsigned long call(unsigned long calls)
{
	struct shmc_client *client;
	struct shmc_rpc *rpc = join(SHMC_RPC_CLIENT, &client);
	uint64_t id[OPEN_AT_ONCE];
	unsigned long wrong = 0;

	for (unsigned long i = 0; i < calls + OPEN_AT_ONCE; i++) {
		struct shmc_rpc_answer answer;
		struct term term = term_of(i, calls);

		if (i >= OPEN_AT_ONCE) {
			if (receive(rpc, id[i % OPEN_AT_ONCE], &answer) != SHMC_OK)
				return calls;
			wrong += is_wrong(term_of(i - OPEN_AT_ONCE, calls), &answer);
			shmc_rpc_end(rpc, answer.id);
		}
		if (i < calls && shmc_rpc_start(rpc, &term, sizeof(term), SHMC_FOREVER,
						&id[i % OPEN_AT_ONCE]) != SHMC_OK)
			return calls;
	}
	shmc_rpc_close(rpc);
	shmc_disconnect(client);
	return wrong;
}

int main(int argc, char **argv)
{
	unsigned long calls = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000, wrong;
	pid_t worker[WORKERS];
	int status, died = 0;

	for (int i = 0; i < WORKERS; i++) {
		worker[i] = fork();
		if (worker[i] == 0)
			work();
	}
	wrong = call(calls);
	for (int i = 0; i < WORKERS; i++) {
		kill(worker[i], SIGTERM);
		waitpid(worker[i], &status, 0);
		died += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	}
	printf("%lu calls, %lu wrong, %d of %d workers killed in one of them\n", calls, wrong, died,
	       WORKERS);
	return wrong == 0 ? 0 : 1;
}
