/* lock: taken and given back with nobody else there, against one exchange. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/daemon.h"
#include "bench/groups.h"
#include "shmclient/shmclient.h"

#define PIECE UINT64_C(4096)

struct own {
	struct shmc_client *client;
	struct shmc_buffer *buffer;
};

static void open_ours(struct bench_contender *self, unsigned side)
{
	static unsigned made;
	struct own *own = calloc(1, sizeof(*own));
	struct shmc_error error;
	char name[32];

	(void)side;
	if (own == NULL)
		bench_die("out of memory");
	bench_daemon_start();
	snprintf(name, sizeof(name), "bench/lock.%u", made++);
	own->client = bench_daemon_connect(0);
	if (shmc_buffer_create(own->client, name, NULL, &error) != SHMC_OK ||
	    shmc_buffer_open(own->client, name, SHMC_BUFFER_WRITER, &own->buffer, &error) !=
		    SHMC_OK)
		bench_die("%s", error.text);
	shmc_unlink(own->client, name, NULL);
	self->own = own;
}

static void close_ours(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	shmc_buffer_close(own->buffer);
	shmc_disconnect(own->client);
	free(own);
}

static void run_read(struct bench_contender *self, unsigned side, uint64_t count,
		     struct bench_pieces *pieces)
{
	struct own *own = self->own;

	(void)side;
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count; done += PIECE) {
		for (uint64_t i = 0; i < PIECE; i++)
			if (shmc_buffer_lock_read(own->buffer, SHMC_FOREVER) != SHMC_OK ||
			    shmc_buffer_unlock(own->buffer) != SHMC_OK)
				bench_die("read lock failed");
		bench_pieces_next(pieces);
	}
}

static void run_write(struct bench_contender *self, unsigned side, uint64_t count,
		      struct bench_pieces *pieces)
{
	struct own *own = self->own;

	(void)side;
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count; done += PIECE) {
		for (uint64_t i = 0; i < PIECE; i++)
			if (shmc_buffer_lock_write(own->buffer, SHMC_FOREVER) != SHMC_OK ||
			    shmc_buffer_unlock(own->buffer) != SHMC_OK)
				bench_die("write lock failed");
		bench_pieces_next(pieces);
	}
}

static void make_word(struct bench_contender *self)
{
	self->shared = bench_shared_new(4096);
}

static void unmake_word(struct bench_contender *self)
{
	self->shared = bench_shared_free(self->shared, 4096);
}

static void run_exchange(struct bench_contender *self, unsigned side, uint64_t count,
			 struct bench_pieces *pieces)
{
	_Atomic uint64_t *word = self->shared;

	(void)side;
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count; done += PIECE) {
		for (uint64_t i = 0; i < PIECE; i++)
			atomic_exchange_explicit(word, i, memory_order_seq_cst);
		bench_pieces_next(pieces);
	}
}

static void measure(struct bench_report *report, bool writes)
{
	struct bench_contender ours = { .name = "lock",
					.piece = PIECE,
					.open = open_ours,
					.run = writes ? run_write : run_read,
					.close = close_ours };
	struct bench_contender exchange = { .name = "one exchange",
					    .piece = PIECE,
					    .make = make_word,
					    .run = run_exchange,
					    .unmake = unmake_word };
	struct bench_contest contest = { .contender = { &ours, &exchange },
					 .contenders = 2,
					 .sides = 1,
					 .centre = BENCH_CENTRE_MEAN };
	struct bench_result result = BENCH_RESULT_NULL;

	bench_contest_run(&contest);
	result.bench = writes ? "lock.write" : "lock.read";
	result.unit = "ns";
	result.bar = writes ? 4 : 3;
	bench_report_take(&result, &contest, 0, 1);
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}

void bench_lock_read(struct bench_report *report)
{
	measure(report, false);
}

void bench_lock_write(struct bench_report *report)
{
	measure(report, true);
}
