/* broadcast: round trip and stream against spsc, and what more readers cost the writer. */
#include <stdatomic.h>
#include <stdio.h>

#include "bench/daemon.h"
#include "bench/groups.h"
#include "bench/limit.h"
#include "bench/queue.h"
#include "bench/stream.h"
#include "shmclient/shmclient.h"

#define RING_BYTES (UINT64_C(64) << 10)

enum {
	READERS_MAX = 16,
};

/* What a contender is made of; the same for all of a contest. */
struct setting {
	const char *name;
	uint64_t bytes;
	uint64_t ring_bytes;
	enum shmc_broadcast_policy policy;
	bool is_exclusive;
	unsigned readers; /* of broadcast.writer */
};

/* Made before the fork. */
struct shared {
	_Alignas(128) _Atomic uint64_t received;
	uint64_t reserved[15];
	char name[4][32]; /* from side 0 to side 1, and back; two of no use */
};

/* One side's. */
struct own {
	const struct setting *setting;
	struct shared *shared;
	uint64_t *words;
	uint64_t number;
	uint64_t ahead;	     /* messages that one may be ahead of the reader */
	uint64_t said_every; /* so many messages the reader says how far it is */
	uint64_t received;
	uint64_t seen[READERS_MAX]; /* number of the last message */
	struct shmc_client *client;
	struct shmc_broadcast *to;
	struct shmc_broadcast *from[READERS_MAX];
};

/* ---- the calls ------------------------------------------------------------------------------- */

BENCH_INLINE void push(void *context, const void *data, uint64_t bytes)
{
	struct own *own = context;

	if (shmc_broadcast_push(own->to, data, bytes, SHMC_FOREVER) != SHMC_OK)
		bench_die("push failed");
}

BENCH_INLINE void pop(void *context, void *data, uint64_t bytes)
{
	struct own *own = context;
	struct shmc_broadcast_message message;

	if (shmc_broadcast_pop(own->from[0], data, bytes, SHMC_FOREVER, &message) != SHMC_OK ||
	    message.size != bytes)
		bench_die("pop failed");
}

/* So that nothing is lost where nobody waits: half a ring ahead at most. */
BENCH_INLINE void push_in_step(void *context, const void *data, uint64_t bytes)
{
	struct own *own = context;

	while (own->number - own->received > own->ahead) {
		own->received = atomic_load_explicit(&own->shared->received, memory_order_acquire);
		bench_pause();
	}
	push(own, data, bytes);
}

BENCH_INLINE void pop_in_step(void *context, void *data, uint64_t bytes)
{
	struct own *own = context;

	pop(own, data, bytes);
	if (++own->received % own->said_every == 0)
		atomic_store_explicit(&own->shared->received, own->received, memory_order_release);
}

/* ---- contenders ------------------------------------------------------------------------------ */

static void make(struct bench_contender *self)
{
	static unsigned made;
	const struct setting *setting = self->argument;
	struct shmc_broadcast_options options = { .capacity_bytes = setting->ring_bytes,
						  .policy = setting->policy,
						  .exclusive = setting->is_exclusive };
	struct shared *shared = bench_shared_new(sizeof(*shared));
	struct shmc_client *client;
	struct shmc_error error;

	bench_daemon_start();
	client = bench_daemon_connect(0);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(shared->name[i], sizeof(shared->name[i]), "bench/broadcast.%u", made++);
		if (shmc_broadcast_create(client, shared->name[i], &options, &error) != SHMC_OK)
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

static struct own *own_new(struct bench_contender *self)
{
	const struct setting *setting = self->argument;
	struct own *own = calloc(1, sizeof(*own));

	if (own == NULL)
		bench_die("out of memory");
	own->setting = setting;
	own->shared = self->shared;
	own->words = bench_message_new(setting->bytes);
	own->ahead = setting->ring_bytes / 2 / (setting->bytes + 40);
	own->said_every = own->ahead / 4 + 1;
	own->client = bench_daemon_connect(0);
	self->own = own;
	return own;
}

static struct shmc_broadcast *open_role(struct own *own, const char *name,
					enum shmc_broadcast_role role)
{
	struct shmc_broadcast *broadcast;
	struct shmc_error error;

	if (shmc_broadcast_open(own->client, name, role, &broadcast, &error) != SHMC_OK)
		bench_die("open: %s", error.text);
	return broadcast;
}

static void open_rtt(struct bench_contender *self, unsigned side)
{
	struct own *own = own_new(self);

	own->to = open_role(own, own->shared->name[side], SHMC_BROADCAST_WRITER);
	own->from[0] = open_role(own, own->shared->name[!side], SHMC_BROADCAST_READER);
}

static void open_stream(struct bench_contender *self, unsigned side)
{
	struct own *own = own_new(self);

	if (side == 1)
		own->to = open_role(own, own->shared->name[0], SHMC_BROADCAST_WRITER);
	else
		own->from[0] = open_role(own, own->shared->name[0], SHMC_BROADCAST_READER);
}

/* The writer is timed, so it is side 0. */
static void open_writer(struct bench_contender *self, unsigned side)
{
	struct own *own = own_new(self);

	if (side == 0)
		own->to = open_role(own, own->shared->name[0], SHMC_BROADCAST_WRITER);
	for (unsigned i = 0; side == 1 && i < own->setting->readers; i++)
		own->from[i] = open_role(own, own->shared->name[0], SHMC_BROADCAST_READER);
}

static void close_own(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	shmc_broadcast_close(own->to);
	for (unsigned i = 0; i < READERS_MAX; i++)
		shmc_broadcast_close(own->from[i]);
	shmc_disconnect(own->client);
	free(own->words);
	free(own);
}

static void run_rtt(struct bench_contender *self, unsigned side, uint64_t count,
		    struct bench_pieces *pieces)
{
	struct own *own = self->own;

	if (side == 0)
		bench_rtt_ask(own, push, own, pop, own->words, own->setting->bytes, &own->number,
			      count, pieces);
	else
		bench_rtt_answer(own, push, own, pop, own->words, own->setting->bytes, &own->number,
				 count);
}

static void run_stream(struct bench_contender *self, unsigned side, uint64_t count,
		       struct bench_pieces *pieces)
{
	struct own *own = self->own;
	bool is_in_step = own->setting->policy == SHMC_BROADCAST_OVERWRITE;

	if (side == 0 && is_in_step)
		bench_stream_receive(own, pop_in_step, own->words, own->setting->bytes,
				     &own->number, count, self->piece, pieces);
	else if (side == 0)
		bench_stream_receive(own, pop, own->words, own->setting->bytes, &own->number, count,
				     self->piece, pieces);
	else if (is_in_step)
		bench_stream_send(own, push_in_step, own->words, own->setting->bytes, &own->number,
				  count);
	else
		bench_stream_send(own, push, own->words, own->setting->bytes, &own->number, count);
}

static void write_alone(struct own *own, uint64_t count, uint64_t piece,
			struct bench_pieces *pieces)
{
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count; done += piece) {
		for (uint64_t i = 0; i < piece; i++) {
			bench_message_write(own->words, own->setting->bytes, ++own->number);
			push(own, own->words, own->setting->bytes);
		}
		bench_pieces_next(pieces);
	}
}

/* All that comes, by all readers in turn, until each has seen the last. */
static void read_what_comes(struct own *own, uint64_t count)
{
	struct shmc_broadcast_message message;
	uint64_t end = own->number + count;
	unsigned done = 0;

	while (done < own->setting->readers) {
		done = 0;
		for (unsigned i = 0; i < own->setting->readers; i++) {
			enum shmc_result result = shmc_broadcast_try_pop(
				own->from[i], own->words, own->setting->bytes, &message);

			if (result == SHMC_OK && own->words[0] != own->words[message.size / 8 - 1])
				bench_die("a message is damaged");
			if (result != SHMC_OK && result != SHMC_EMPTY)
				bench_die("pop failed");
			if (result == SHMC_OK)
				own->seen[i] = own->words[0];
			done += own->seen[i] == end;
		}
	}
	own->number = end;
}

static void run_writer(struct bench_contender *self, unsigned side, uint64_t count,
		       struct bench_pieces *pieces)
{
	struct own *own = self->own;

	if (side == 0)
		write_alone(own, count, self->piece, pieces);
	else
		read_what_comes(own, count);
}

static struct bench_contender contender(const struct setting *setting)
{
	return (struct bench_contender){
		.name = setting->name,
		.piece = setting->bytes < 4096 ? 1024 : 64,
		.argument = setting,
		.make = make,
		.close = close_own,
		.unmake = unmake,
	};
}

/* ---- round trip ------------------------------------------------------------------------------ */

static void rtt(struct bench_report *report, uint64_t bytes)
{
	struct setting setting = { .name = "broadcast", .bytes = bytes, .ring_bytes = RING_BYTES };
	struct bench_queue queue = { .bytes = bytes, .ring_bytes = RING_BYTES };
	struct bench_contender ours = contender(&setting);
	struct bench_contender line = bench_limit_pingpong(1, false);
	struct bench_contender spsc = bench_queue_rtt(&queue);
	struct bench_contest contest = {
		.contender = { &ours, &line, &spsc },
		.contenders = 3,
		.sides = 2,
		.centre = BENCH_CENTRE_MEDIAN,
	};
	struct bench_result result = BENCH_RESULT_NULL;

	ours.piece = 1;
	ours.open = open_rtt;
	ours.run = run_rtt;
	bench_contest_run(&contest);
	bench_report_take(&result, &contest, 0, 2);
	result.bench = "broadcast.rtt";
	result.param[0] = (struct bench_param){ .name = "bytes", .number = bytes };
	result.unit = "ns";
	result.bar = 1.3;
	result.pingpong_ns = bench_contest_centre(&contest, 1);
	result.ring_bytes = RING_BYTES;
	result.batch = 1;
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}

void bench_broadcast_rtt(struct bench_report *report)
{
	rtt(report, 8);
	rtt(report, 64);
}

/* ---- stream ---------------------------------------------------------------------------------- */

static void stream(struct bench_report *report, struct setting setting, double bar)
{
	struct bench_queue queue = { .bytes = setting.bytes, .ring_bytes = setting.ring_bytes };
	struct bench_contender ours, line = bench_limit_pingpong(1, false);
	struct bench_contender spsc = bench_queue_stream(&queue);
	struct bench_contest contest = {
		.contender = { &ours, &line, &spsc },
		.contenders = 3,
		.sides = 2,
		.centre = BENCH_CENTRE_MEAN,
	};
	struct bench_result result = BENCH_RESULT_NULL;

	setting.name = "broadcast";
	ours = contender(&setting);
	ours.open = open_stream;
	ours.run = run_stream;
	bench_contest_run(&contest);
	bench_report_take(&result, &contest, 0, 2);
	result.bench = "broadcast.throughput";
	result.param[0] = (struct bench_param){ .name = "bytes", .number = setting.bytes };
	result.param[1] = (struct bench_param){ .name = "mode",
						.text = setting.policy == SHMC_BROADCAST_BLOCK ?
								"block" :
								"overwrite" };
	result.param[2] = (struct bench_param){ .name = "writers",
						.text = setting.is_exclusive ? "exclusive" :
									       "many" };
	result.unit = "ns";
	result.bar = bar;
	result.pingpong_ns = bench_contest_centre(&contest, 1);
	result.ring_bytes = setting.ring_bytes;
	result.batch = 1;
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}

void bench_broadcast_throughput(struct bench_report *report)
{
	for (int exclusive = 1; exclusive >= 0; exclusive--) {
		for (int policy = SHMC_BROADCAST_OVERWRITE; policy <= SHMC_BROADCAST_BLOCK;
		     policy++) {
			struct setting setting = { .bytes = 64,
						   .ring_bytes = RING_BYTES,
						   .policy = (enum shmc_broadcast_policy)policy,
						   .is_exclusive = exclusive };

			stream(report, setting, exclusive ? 1.25 : 2.5);
			setting.bytes = 4096;
			stream(report, setting, 1.25);
		}
	}
}

/* ---- the writer among readers ---------------------------------------------------------------- */

static void writer(struct bench_report *report, unsigned readers)
{
	struct setting setting = {
		.name = "readers", .bytes = 64, .ring_bytes = RING_BYTES, .readers = readers
	};
	struct setting setting_of_one = {
		.name = "1 reader", .bytes = 64, .ring_bytes = RING_BYTES, .readers = 1
	};
	struct bench_contender ours = contender(&setting), one = contender(&setting_of_one);
	struct bench_contender line = bench_limit_pingpong(1, false);
	struct bench_contest contest = {
		.contender = { &ours, &line, &one },
		.contenders = 3,
		.sides = 2,
		.centre = BENCH_CENTRE_MEAN,
	};
	struct bench_result result = BENCH_RESULT_NULL;

	ours.open = one.open = open_writer;
	ours.run = one.run = run_writer;
	bench_contest_run(&contest);
	bench_report_take(&result, &contest, 0, 2);
	result.bench = "broadcast.writer";
	result.param[0] = (struct bench_param){ .name = "readers", .number = readers };
	result.unit = "ns";
	result.bar = 1.10;
	result.pingpong_ns = bench_contest_centre(&contest, 1);
	result.ring_bytes = RING_BYTES;
	result.batch = 1;
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}

void bench_broadcast_writer(struct bench_report *report)
{
	writer(report, 4);
	writer(report, 16);
}
