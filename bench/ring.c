/* ring: a bulk of doubles pushed and popped in one process, against the two memcpys alone. */
#include <stdio.h>

#include "bench/daemon.h"
#include "bench/groups.h"
#include "bench/stream.h"
#include "shmclient/shmclient.h"

#define DOUBLES	   UINT64_C(64)
#define BYTES	   (DOUBLES * 8)
#define SPAN_BYTES UINT64_C(16384)
#define PIECE	   UINT64_C(256)

struct own {
	uint64_t *words, *got;
	uint64_t number;
	struct shmc_client *client;
	struct shmc_ring *producer, *consumer;
	uint8_t *memory;
};

static struct own *own_new(struct bench_contender *self)
{
	struct own *own = calloc(1, sizeof(*own));

	if (own == NULL)
		bench_die("out of memory");
	own->words = bench_message_new(BYTES);
	own->got = bench_message_new(BYTES);
	self->own = own;
	return own;
}

static void close_one(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	shmc_ring_close(own->producer);
	shmc_ring_close(own->consumer);
	if (own->client)
		shmc_disconnect(own->client);
	if (own->memory)
		bench_shared_free(own->memory, SPAN_BYTES);
	free(own->words);
	free(own->got);
	free(own);
}

static void open_ours(struct bench_contender *self, unsigned side)
{
	static unsigned made;
	struct shmc_ring_options options = { .element_type = SHMC_TYPE_DOUBLE,
					     .elements = SPAN_BYTES / 8 };
	struct own *own = own_new(self);
	struct shmc_error error;
	char name[32];

	(void)side;
	bench_daemon_start();
	snprintf(name, sizeof(name), "bench/ring.%u", made++);
	own->client = bench_daemon_connect(0);
	if (shmc_ring_create(own->client, name, &options, &error) != SHMC_OK ||
	    shmc_ring_open(own->client, name, SHMC_RING_PRODUCER, &options, &own->producer,
			   &error) != SHMC_OK ||
	    shmc_ring_open(own->client, name, SHMC_RING_CONSUMER, &options, &own->consumer,
			   &error) != SHMC_OK)
		bench_die("%s", error.text);
	shmc_unlink(own->client, name, NULL);
}

static void open_memory(struct bench_contender *self, unsigned side)
{
	(void)side;
	own_new(self)->memory = bench_shared_new(SPAN_BYTES);
}

BENCH_INLINE void move_ours(struct own *own)
{
	struct shmc_ring_span span;
	uint64_t count;

	if (shmc_ring_push(own->producer, own->words, DOUBLES, DOUBLES, SHMC_TRY, &count) !=
		    SHMC_OK ||
	    shmc_ring_pop(own->consumer, own->got, DOUBLES, DOUBLES, SHMC_TRY, &span) != SHMC_OK)
		bench_die("not moved");
}

BENCH_INLINE void move_memory(struct own *own)
{
	uint8_t *at = own->memory + own->number * BYTES % SPAN_BYTES;

	memcpy(at, own->words, BYTES);
	/* the one who copies it out does not know that it was just copied in */
	__asm__ volatile("" : : "r"(at) : "memory");
	memcpy(own->got, at, BYTES);
}

BENCH_INLINE void run(struct own *own, uint64_t count, struct bench_pieces *pieces,
		      void (*move)(struct own *own))
{
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count;) {
		for (uint64_t end = done + PIECE; done < end; done++) {
			bench_message_write(own->words, BYTES, own->number);
			move(own);
			bench_message_check(own->got, BYTES, own->number++);
		}
		bench_pieces_next(pieces);
	}
}

static void run_ours(struct bench_contender *self, unsigned side, uint64_t count,
		     struct bench_pieces *pieces)
{
	(void)side;
	run(self->own, count, pieces, move_ours);
}

static void run_memory(struct bench_contender *self, unsigned side, uint64_t count,
		       struct bench_pieces *pieces)
{
	(void)side;
	run(self->own, count, pieces, move_memory);
}

void bench_ring_bulk(struct bench_report *report)
{
	struct bench_contender ours = { .name = "ring",
					.piece = PIECE,
					.open = open_ours,
					.run = run_ours,
					.close = close_one };
	struct bench_contender memory = { .name = "memcpy",
					  .piece = PIECE,
					  .open = open_memory,
					  .run = run_memory,
					  .close = close_one };
	struct bench_contest contest = { .contender = { &ours, &memory },
					 .contenders = 2,
					 .sides = 1,
					 .centre = BENCH_CENTRE_MEAN };
	struct bench_result result = BENCH_RESULT_NULL;

	bench_contest_run(&contest);
	result.bench = "ring.bulk";
	result.param[0] = (struct bench_param){ .name = "doubles", .number = DOUBLES };
	result.unit = "ns";
	result.bar = 1.3;
	bench_report_take(&result, &contest, 0, 1);
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}
