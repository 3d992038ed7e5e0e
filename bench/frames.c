/*
 * stream: from loan to loan. A frame is reserved, committed, borrowed and released, and so is its
 * answer; nobody writes or reads a payload, so that what is measured is what the library does
 * beyond that. Against the same with messages of 8 bytes through spsc.
 */
#include <stdio.h>

#include "bench/daemon.h"
#include "bench/groups.h"
#include "bench/limit.h"
#include "bench/queue.h"
#include "bench/stream.h"
#include "shmclient/shmclient.h"

#define RING_BYTES (UINT64_C(64) << 10)

struct setting {
	uint64_t bytes;
	uint64_t capacity_bytes;
};

/* Made before the fork. */
struct shared {
	char name[2][32]; /* from side 0 to side 1, and back */
};

struct own {
	uint64_t bytes;
	uint64_t number;
	struct shmc_client *client;
	struct shmc_stream *to;
	struct shmc_stream *from;
};

static void make(struct bench_contender *self)
{
	static unsigned made;
	const struct setting *setting = self->argument;
	struct shmc_stream_options options = { .capacity_bytes = setting->capacity_bytes };
	struct shared *shared = bench_shared_new(sizeof(*shared));
	struct shmc_client *client;
	struct shmc_error error;

	bench_daemon_start();
	client = bench_daemon_connect(0);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(shared->name[i], sizeof(shared->name[i]), "bench/stream.%u", made++);
		if (shmc_stream_create(client, shared->name[i], &options, &error) != SHMC_OK)
			bench_die("create: %s", error.text);
	}
	shmc_disconnect(client);
	self->shared = shared;
}

static void unmake(struct bench_contender *self)
{
	struct shared *shared = self->shared;
	struct shmc_client *client = bench_daemon_connect(0);
	struct shmc_error error;

	for (unsigned i = 0; i < 2; i++)
		if (shmc_unlink(client, shared->name[i], &error) != SHMC_OK)
			bench_die("unlink: %s", error.text);
	shmc_disconnect(client);
	bench_shared_free(shared, sizeof(*shared));
}

static struct shmc_stream *open_role(struct own *own, const char *name, enum shmc_stream_role role)
{
	struct shmc_stream *stream;
	struct shmc_error error;

	if (shmc_stream_open(own->client, name, role, &stream, &error) != SHMC_OK)
		bench_die("open: %s", error.text);
	return stream;
}

static void open_both(struct bench_contender *self, unsigned side)
{
	const struct setting *setting = self->argument;
	struct shared *shared = self->shared;
	struct own *own = calloc(1, sizeof(*own));

	if (own == NULL)
		bench_die("out of memory");
	own->bytes = setting->bytes;
	own->client = bench_daemon_connect(0);
	own->to = open_role(own, shared->name[side], SHMC_STREAM_WRITER);
	own->from = open_role(own, shared->name[!side], SHMC_STREAM_READER);
	self->own = own;
}

static void close_both(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	shmc_stream_close(own->to);
	shmc_stream_close(own->from);
	shmc_disconnect(own->client);
	free(own);
}

BENCH_INLINE void send(struct own *own)
{
	void *room;

	if (shmc_stream_reserve(own->to, own->bytes, SHMC_FOREVER, &room) != SHMC_OK ||
	    shmc_stream_commit(own->to, own->bytes) != SHMC_OK)
		bench_die("a frame was not written");
}

BENCH_INLINE void receive(struct own *own)
{
	struct shmc_frame frame;

	if (shmc_stream_borrow(own->from, SHMC_FOREVER, &frame) != SHMC_OK ||
	    frame.size != own->bytes || frame.sequence != ++own->number ||
	    shmc_stream_release(own->from, &frame) != SHMC_OK)
		bench_die("a frame was not read");
}

static void run(struct bench_contender *self, unsigned side, uint64_t count,
		struct bench_pieces *pieces)
{
	struct own *own = self->own;

	if (side == 0)
		bench_pieces_start(pieces);
	for (uint64_t i = 0; i < count; i++) {
		if (side == 0) {
			send(own);
			receive(own);
			bench_pieces_next(pieces);
		} else {
			receive(own);
			send(own);
		}
	}
}

static void loan(struct bench_report *report, uint64_t bytes, uint64_t ring_bytes)
{
	struct setting setting = { .bytes = bytes, .capacity_bytes = ring_bytes - 32 };
	struct bench_queue queue = { .bytes = 8, .ring_bytes = RING_BYTES };
	struct bench_contender ours = {
		.name = "stream",
		.piece = 1,
		.argument = &setting,
		.make = make,
		.open = open_both,
		.run = run,
		.close = close_both,
		.unmake = unmake,
	};
	struct bench_contender line = bench_limit_pingpong(1, false);
	struct bench_contender spsc = bench_queue_rtt(&queue);
	struct bench_contest contest = {
		.contender = { &ours, &line, &spsc },
		.contenders = 3,
		.sides = 2,
		.centre = BENCH_CENTRE_MEDIAN,
	};
	struct bench_result result = BENCH_RESULT_NULL;

	spsc.name = "spsc, 8 B";
	bench_contest_run(&contest);
	bench_report_take(&result, &contest, 0, 2);
	result.bench = "stream.loan";
	result.param[0] = (struct bench_param){ .name = "bytes", .number = bytes };
	result.unit = "ns";
	result.bar = 1.5;
	result.pingpong_ns = bench_contest_centre(&contest, 1);
	result.ring_bytes = ring_bytes;
	result.batch = 1;
	result.note = "round trip of frames that nobody writes into or reads";
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}

void bench_stream_loan(struct bench_report *report)
{
	loan(report, 1024, RING_BYTES);
	loan(report, 3000000, UINT64_C(1) << 24);
}
