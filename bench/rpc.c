/* rpc: a call and its answer, one client and one worker, against the same through a pipe. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/daemon.h"
#include "bench/groups.h"
#include "bench/pipe.h"
#include "bench/stream.h"
#include "shmclient/shmclient.h"

struct own {
	struct shmc_client *client;
	struct shmc_rpc *rpc;
	uint64_t *words;
	uint64_t number;
};

static void make(struct bench_contender *self)
{
	static unsigned made;
	struct shmc_rpc_options options = { .calls = 16 };
	struct shmc_client *client;
	struct shmc_error error;
	char *name = calloc(1, 32);

	bench_daemon_start();
	if (name == NULL)
		bench_die("out of memory");
	snprintf(name, 32, "bench/rpc%u", made++);
	client = bench_daemon_connect(0);
	if (shmc_rpc_create(client, name, &options, &error) != SHMC_OK)
		bench_die("create: %s", error.text);
	shmc_disconnect(client);
	self->shared = name;
}

static void unmake(struct bench_contender *self)
{
	struct shmc_client *client = bench_daemon_connect(0);
	struct shmc_error error;

	if (shmc_unlink(client, self->shared, &error) != SHMC_OK)
		bench_die("unlink: %s", error.text);
	shmc_disconnect(client);
	free(self->shared);
}

static void open_side(struct bench_contender *self, unsigned side)
{
	const uint64_t *bytes = self->argument;
	struct own *own = calloc(1, sizeof(*own));
	struct shmc_error error;

	if (own == NULL)
		bench_die("out of memory");
	own->words = bench_message_new(*bytes);
	own->client = bench_daemon_connect(0);
	if (shmc_rpc_open(own->client, self->shared, side == 0 ? SHMC_RPC_CLIENT : SHMC_RPC_WORKER,
			  &own->rpc, &error) != SHMC_OK)
		bench_die("open: %s", error.text);
	self->own = own;
}

static void close_side(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	shmc_rpc_close(own->rpc);
	shmc_disconnect(own->client);
	free(own->words);
	free(own);
}

static __attribute__((cold, noinline, noreturn)) void failed(const char *what,
							     enum shmc_result result)
{
	bench_die("%s: %s", what, shmc_result_name(result));
}

static void ask(struct own *own, uint64_t bytes, uint64_t count, struct bench_pieces *pieces)
{
	struct shmc_rpc_answer answer;

	bench_pieces_start(pieces);
	for (uint64_t end = own->number + count; own->number < end;) {
		enum shmc_result result;

		bench_message_write(own->words, bytes, ++own->number);
		result = shmc_rpc_call(own->rpc, own->words, bytes, own->words, bytes, SHMC_FOREVER,
				       &answer);
		if (result != SHMC_OK || answer.size != bytes)
			failed("call", result);
		bench_message_check(own->words, bytes, own->number);
		bench_pieces_next(pieces);
	}
}

/* As who answers through a queue: what came is taken out, and another goes back. */
static void answer(struct own *own, uint64_t bytes, uint64_t count)
{
	struct shmc_rpc_request request;

	for (uint64_t end = own->number + count; own->number < end;) {
		enum shmc_result result = shmc_rpc_take(own->rpc, SHMC_FOREVER, &request);

		if (result != SHMC_OK || request.size != bytes)
			failed("take", result);
		memcpy(own->words, request.data, bytes);
		bench_message_check(own->words, bytes, ++own->number);
		result = shmc_rpc_answer(own->rpc, &request, 0, own->words, bytes);
		if (result != SHMC_OK)
			failed("answer", result);
	}
}

static void run(struct bench_contender *self, unsigned side, uint64_t count,
		struct bench_pieces *pieces)
{
	const uint64_t *bytes = self->argument;

	if (side == 0)
		ask(self->own, *bytes, count, pieces);
	else
		answer(self->own, *bytes, count);
}

void bench_rpc_rtt(struct bench_report *report)
{
	const uint64_t bytes = 64;
	struct bench_contender ours = { .name = "rpc",
					.piece = 1,
					.argument = &bytes,
					.make = make,
					.open = open_side,
					.run = run,
					.close = close_side,
					.unmake = unmake };
	struct bench_contender pipe = bench_pipe_contender(&bytes);
	struct bench_contest contest = {
		.contender = { &ours, &pipe },
		.contenders = 2,
		.sides = 2,
		.centre = BENCH_CENTRE_MEDIAN,
	};
	struct bench_result result = BENCH_RESULT_NULL;

	bench_contest_run(&contest);
	bench_report_take(&result, &contest, 0, 1);
	result.bench = "rpc.rtt";
	result.param[0] = (struct bench_param){ .name = "bytes", .number = bytes };
	result.unit = "ns";
	result.bar = 2.2;
	result.batch = 1;
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}
