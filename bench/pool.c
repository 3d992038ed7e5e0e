/* pool: an object acquired and released again, nobody else there, against one compare-exchange. */
#include <stdatomic.h>
#include <stdio.h>

#include "bench/daemon.h"
#include "bench/groups.h"
#include "bench/stream.h"
#include "shmclient/shmclient.h"

#define PIECE UINT64_C(4096)

struct own {
	struct shmc_client *client;
	struct shmc_pool *pool;
	_Atomic uint64_t *word;
};

static struct own *own_new(struct bench_contender *self)
{
	struct own *own = calloc(1, sizeof(*own));

	if (own == NULL)
		bench_die("out of memory");
	self->own = own;
	return own;
}

static void close_one(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	shmc_pool_close(own->pool);
	if (own->client)
		shmc_disconnect(own->client);
	if (own->word)
		bench_shared_free(own->word, 4096);
	free(own);
}

static void open_ours(struct bench_contender *self, unsigned side)
{
	static unsigned made;
	struct shmc_pool_options options = { .object_bytes = 4096, .objects = 64 };
	struct own *own = own_new(self);
	struct shmc_error error;
	char name[32];

	(void)side;
	bench_daemon_start();
	snprintf(name, sizeof(name), "bench/pool.%u", made++);
	own->client = bench_daemon_connect(0);
	if (shmc_pool_create(own->client, name, &options, &error) != SHMC_OK ||
	    shmc_pool_open(own->client, name, SHMC_POOL_USER, &options, &own->pool, &error) !=
		    SHMC_OK)
		bench_die("%s", error.text);
	shmc_unlink(own->client, name, NULL);
}

static void open_word(struct bench_contender *self, unsigned side)
{
	(void)side;
	own_new(self)->word = bench_shared_new(4096);
}

static void run_ours(struct bench_contender *self, unsigned side, uint64_t count,
		     struct bench_pieces *pieces)
{
	struct own *own = self->own;
	uint64_t handle;
	void *data;

	(void)side;
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count;) {
		for (uint64_t end = done + PIECE; done < end; done++)
			if (shmc_pool_acquire(own->pool, SHMC_TRY, &handle, &data) != SHMC_OK ||
			    shmc_pool_release(own->pool, handle) != SHMC_OK)
				bench_die("neither acquired nor released");
		bench_pieces_next(pieces);
	}
}

static void run_word(struct bench_contender *self, unsigned side, uint64_t count,
		     struct bench_pieces *pieces)
{
	struct own *own = self->own;
	uint64_t value = atomic_load_explicit(own->word, memory_order_relaxed);

	(void)side;
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count;) {
		for (uint64_t end = done + PIECE; done < end; done++) {
			if (!atomic_compare_exchange_strong_explicit(own->word, &value, value + 1,
								     memory_order_seq_cst,
								     memory_order_acquire))
				bench_die("somebody else is there");
			value++;
		}
		bench_pieces_next(pieces);
	}
}

void bench_pool_cycle(struct bench_report *report)
{
	struct bench_contender ours = { .name = "pool",
					.piece = PIECE,
					.open = open_ours,
					.run = run_ours,
					.close = close_one };
	struct bench_contender word = { .name = "one compare-exchange",
					.piece = PIECE,
					.open = open_word,
					.run = run_word,
					.close = close_one };
	struct bench_contest contest = { .contender = { &ours, &word },
					 .contenders = 2,
					 .sides = 1,
					 .centre = BENCH_CENTRE_MEAN };
	struct bench_result result = BENCH_RESULT_NULL;

	bench_contest_run(&contest);
	result.bench = "pool.cycle";
	result.unit = "ns";
	result.bar = 4;
	bench_report_take(&result, &contest, 0, 1);
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}
