/* pipe: a request and its answer, against the machine, and beside two queues of spsc. */
#include "bench/pipe.h"

#include <stdio.h>

#include "bench/daemon.h"
#include "bench/groups.h"
#include "bench/limit.h"
#include "bench/queue.h"
#include "bench/stream.h"
#include "shmclient/shmclient.h"

#define RING_BYTES (UINT64_C(64) << 10)

struct own {
	struct shmc_client *client;
	struct shmc_pipe *pipe;
	uint64_t *words;
	uint64_t number;
};

static void make(struct bench_contender *self)
{
	static unsigned made;
	struct shmc_pipe_options options = { .capacity_bytes = RING_BYTES };
	struct shmc_client *client;
	struct shmc_error error;
	char *name = calloc(1, 32);

	bench_daemon_start();
	if (name == NULL)
		bench_die("out of memory");
	snprintf(name, 32, "bench/pipe%u", made++);
	client = bench_daemon_connect(0);
	if (shmc_pipe_create(client, name, &options, &error) != SHMC_OK)
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
	if (shmc_pipe_open(own->client, self->shared, side == 0 ? SHMC_PIPE_CLIENT : SHMC_PIPE_HOST,
			   NULL, &own->pipe, &error) != SHMC_OK ||
	    shmc_pipe_wait_peer(own->pipe, SHMC_FOREVER) != SHMC_OK)
		bench_die("open: %s", error.text);
	self->own = own;
}

static void close_side(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	shmc_pipe_close(own->pipe);
	shmc_disconnect(own->client);
	free(own->words);
	free(own);
}

static __attribute__((cold, noinline, noreturn)) void failed(const char *what,
							     enum shmc_result result)
{
	bench_die("%s: %s", what, shmc_result_name(result));
}

BENCH_INLINE void push(void *pipe, const void *data, uint64_t bytes)
{
	enum shmc_result result = shmc_pipe_send(pipe, data, bytes, SHMC_FOREVER);

	if (result != SHMC_OK)
		failed("send", result);
}

BENCH_INLINE void pop(void *pipe, void *data, uint64_t bytes)
{
	struct shmc_message message;
	enum shmc_result result = shmc_pipe_receive(pipe, data, bytes, SHMC_FOREVER, &message);

	if (result != SHMC_OK || message.size != bytes)
		failed("receive", result);
}

/* The client calls, the host receives and sends. */
static void ask(struct own *own, uint64_t bytes, uint64_t count, struct bench_pieces *pieces)
{
	struct shmc_message message;

	bench_pieces_start(pieces);
	for (uint64_t end = own->number + count; own->number < end;) {
		enum shmc_result result;

		bench_message_write(own->words, bytes, ++own->number);
		result = shmc_pipe_call(own->pipe, own->words, bytes, own->words, bytes,
					SHMC_FOREVER, &message);
		if (result != SHMC_OK || message.size != bytes)
			failed("call", result);
		bench_message_check(own->words, bytes, own->number);
		bench_pieces_next(pieces);
	}
}

static void run(struct bench_contender *self, unsigned side, uint64_t count,
		struct bench_pieces *pieces)
{
	const uint64_t *bytes = self->argument;
	struct own *own = self->own;

	if (side == 0)
		ask(own, *bytes, count, pieces);
	else
		bench_rtt_answer(own->pipe, push, own->pipe, pop, own->words, *bytes, &own->number,
				 count);
}

struct bench_contender bench_pipe_contender(const uint64_t *bytes)
{
	return (struct bench_contender){ .name = "pipe",
					 .piece = 1,
					 .argument = bytes,
					 .make = make,
					 .open = open_side,
					 .run = run,
					 .close = close_side,
					 .unmake = unmake };
}

static void report_against(struct bench_report *report, const struct bench_contest *contest,
			   const char *name, unsigned limit, uint64_t bytes, double bar)
{
	struct bench_result result = BENCH_RESULT_NULL;

	bench_report_take(&result, contest, 0, limit);
	result.bench = name;
	result.param[0] = (struct bench_param){ .name = "bytes", .number = bytes };
	result.unit = "ns";
	result.bar = bar;
	result.pingpong_ns = bench_contest_centre(contest, 1);
	result.ring_bytes = RING_BYTES;
	result.batch = 1;
	bench_report_close(report, &result, contest, 0, limit);
	bench_report_add(report, &result);
}

static void rtt(struct bench_report *report, uint64_t bytes, double bar)
{
	struct bench_queue queue = { .bytes = bytes, .ring_bytes = RING_BYTES };
	struct bench_contender ours = bench_pipe_contender(&bytes);
	struct bench_contender line = bench_limit_pingpong(1, false);
	struct bench_contender queues = bench_queue_rtt(&queue);
	struct bench_contest contest = {
		.contender = { &ours, &line, &queues },
		.contenders = 3,
		.sides = 2,
		.centre = BENCH_CENTRE_MEDIAN,
		.line = 1,
	};

	queues.name = "two queues of spsc";
	bench_contest_run(&contest);
	report_against(report, &contest, "pipe.rtt", 1, bytes, bar);
	report_against(report, &contest, "pipe.rtt", 2, bytes, NAN);
	bench_contest_deinit(&contest);
}

void bench_pipe_rtt(struct bench_report *report)
{
	rtt(report, 8, 1.15);
	rtt(report, 128, 1.75);
}
