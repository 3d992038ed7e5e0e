/*
 * calculator [REQUESTS]: a client asks, a host answers, both ways in structs whose layout the two
 * compare when they open. The first host dies at its work: the client is told so at once, waits for
 * the next one and asks again, and no answer is ever another question's.
 */
#include <shmclient/shmclient.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct request {
	double a, b;
	char operation; /* + - * / */
	char padding[7];
};

struct answer {
	double value;
	uint32_t host; /* pid of who answers */
	uint32_t is_error;
};

static const struct shmc_pipe_field request_fields[] = {
	SHMC_PIPE_FIELD(struct request, a, SHMC_TYPE_DOUBLE),
	SHMC_PIPE_FIELD(struct request, b, SHMC_TYPE_DOUBLE),
	SHMC_PIPE_FIELD(struct request, operation, SHMC_TYPE_BYTES),
};
static const struct shmc_pipe_field answer_fields[] = {
	SHMC_PIPE_FIELD(struct answer, value, SHMC_TYPE_DOUBLE),
	SHMC_PIPE_FIELD(struct answer, host, SHMC_TYPE_U32),
	SHMC_PIPE_FIELD(struct answer, is_error, SHMC_TYPE_U32),
};
static const struct shmc_pipe_type request_type = { "request", sizeof(struct request),
						    request_fields, 3, 0 };
static const struct shmc_pipe_type answer_type = { "answer", sizeof(struct answer), answer_fields,
						   3, 0 };
static const struct shmc_pipe_types types = { .host = &answer_type, .client = &request_type };

static void check(enum shmc_result result, const struct shmc_error *error)
{
	if (result == SHMC_OK)
		return;
	fprintf(stderr, "calculator: %s: %s\n", shmc_result_name(result), error ? error->text : "");
	exit(1);
}

static struct shmc_pipe *join(enum shmc_pipe_role role, struct shmc_client **client)
{
	struct shmc_pipe_options options = { .types = types, .reuse = 1 };
	struct shmc_pipe *pipe;
	struct shmc_error error;

	check(shmc_connect(NULL, client, &error), &error);
	check(shmc_pipe_create(*client, "calculator", &options, &error), &error);
	check(shmc_pipe_open(*client, "calculator", role, &types, &pipe, &error), &error);
	return pipe;
}

static struct answer calculate(const struct request *request)
{
	struct answer answer = { .host = (uint32_t)getpid() };

	switch (request->operation) {
	case '+':
		answer.value = request->a + request->b;
		break;
	case '-':
		answer.value = request->a - request->b;
		break;
	case '*':
		answer.value = request->a * request->b;
		break;
	default:
		answer.is_error = 1;
	}
	return answer;
}

/* @requests 0: until the client leaves. Else it dies with the next one in its hands. */
static void serve(uint64_t requests)
{
	struct shmc_client *client;
	struct shmc_pipe *pipe = join(SHMC_PIPE_HOST, &client);
	struct shmc_message message;
	struct request request;
	struct answer answer;

	for (uint64_t i = 1;; i++) {
		enum shmc_result result = shmc_pipe_receive(pipe, &request, sizeof(request),
							    SHMC_FOREVER, &message);

		if (result == SHMC_CLOSED)
			break;
		check(result, NULL);
		if (i == requests)
			kill(getpid(), SIGKILL);
		answer = calculate(&request);
		check(shmc_pipe_send(pipe, &answer, sizeof(answer), SHMC_FOREVER), NULL);
	}
	shmc_pipe_close(pipe);
	shmc_disconnect(client);
}

static pid_t start(uint64_t requests)
{
	pid_t pid = fork(); /* before anything is connected: a handle is its own process's */

	if (pid == 0) {
		serve(requests);
		exit(0);
	}
	return pid;
}

/* Asks until a host has answered; how often it had to. */
static int ask(struct shmc_pipe *pipe, const struct request *request, struct answer *answer)
{
	struct shmc_message message;
	enum shmc_result result;
	int times = 1;

	while ((result = shmc_pipe_call(pipe, request, sizeof(*request), answer, sizeof(*answer),
					SHMC_FOREVER, &message)) == SHMC_PEER_DEAD) {
		start(0);
		check(shmc_pipe_wait_peer(pipe, SHMC_FOREVER), NULL);
		times++;
	}
	check(result, NULL);
	return times;
}

int main(int argc, char **argv)
{
	uint64_t requests = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
	pid_t first = start(requests / 2);
	struct shmc_client *client;
	struct shmc_pipe *pipe = join(SHMC_PIPE_CLIENT, &client);
	int again = 0;

	for (uint64_t i = 0; i < requests; i++) {
		struct request request = { .a = (double)i, .b = 3, .operation = "+-*"[i % 3] };
		struct answer answer, expected = calculate(&request);

		again += ask(pipe, &request, &answer) - 1;
		if (answer.is_error || answer.value < expected.value ||
		    answer.value > expected.value || (i == 0 && answer.host != (uint32_t)first))
			return 1;
	}
	printf("%llu answers, %d of them by asking again\n", (unsigned long long)requests, again);
	shmc_pipe_close(pipe);
	shmc_disconnect(client);
	while (wait(NULL) > 0)
		;
	return 0;
}
