/* array: reading elements through the pointer, against the same loop over the heap. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/daemon.h"
#include "bench/groups.h"
#include "shmclient/shmclient.h"

#define ELEMENTS UINT64_C(131072) /* of 8 bytes: 1 MiB, no huge page on either side */
#define PIECE	 UINT64_C(4096)

struct setting {
	bool is_random;
};

struct own {
	const uint64_t *elements;
	uint64_t at; /* position, or state of the generator */
	uint64_t sum;
	struct shmc_client *client;
	struct shmc_array *array;
};

static uint64_t value_at(uint64_t index)
{
	return index * UINT64_C(0x9e3779b97f4a7c15);
}

static struct own *own_new(struct bench_contender *self)
{
	struct own *own = calloc(1, sizeof(*own));

	if (own == NULL)
		bench_die("out of memory");
	self->own = own;
	return own;
}

static void open_ours(struct bench_contender *self, unsigned side)
{
	static unsigned made;
	struct shmc_array_options options = { .element_type = SHMC_TYPE_U64, .elements = ELEMENTS };
	struct own *own = own_new(self);
	struct shmc_error error;
	uint64_t *elements;
	char name[32];

	(void)side;
	bench_daemon_start();
	snprintf(name, sizeof(name), "bench/array.%u", made++);
	own->client = bench_daemon_connect(0);
	if (shmc_array_create(own->client, name, &options, &error) != SHMC_OK ||
	    shmc_array_open(own->client, name, SHMC_ARRAY_WRITER, &options, &own->array, &error) !=
		    SHMC_OK)
		bench_die("%s", error.text);
	elements = shmc_array_edit(own->array);
	for (uint64_t i = 0; i < ELEMENTS; i++)
		elements[i] = value_at(i);
	own->elements = shmc_array_data(own->array);
	shmc_unlink(own->client, name, NULL);
}

static void close_ours(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	shmc_array_close(own->array);
	shmc_disconnect(own->client);
	free(own);
}

static void open_heap(struct bench_contender *self, unsigned side)
{
	struct own *own = own_new(self);
	uint64_t *elements = aligned_alloc(4096, ELEMENTS * sizeof(*elements));

	(void)side;
	if (elements == NULL)
		bench_die("out of memory");
	for (uint64_t i = 0; i < ELEMENTS; i++)
		elements[i] = value_at(i);
	own->elements = elements;
}

static void close_heap(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	free((void *)own->elements);
	free(own);
}

/* One loop for both, so that what differs is the memory and nothing else. */
static __attribute__((noinline)) void read_in_order(struct own *own, uint64_t count)
{
	const uint64_t *elements = own->elements;
	uint64_t sum = own->sum, at = own->at;

	for (uint64_t i = 0; i < count; i++) {
		sum ^= elements[at];
		at = (at + 1) % ELEMENTS;
	}
	own->sum = sum;
	own->at = at;
}

static __attribute__((noinline)) void read_anywhere(struct own *own, uint64_t count)
{
	const uint64_t *elements = own->elements;
	uint64_t sum = own->sum, at = own->at;

	for (uint64_t i = 0; i < count; i++) {
		at = at * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		sum ^= elements[at >> 47];
	}
	own->sum = sum;
	own->at = at;
}

static void run(struct bench_contender *self, unsigned side, uint64_t count,
		struct bench_pieces *pieces)
{
	const struct setting *setting = self->argument;
	struct own *own = self->own;

	(void)side;
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count; done += PIECE) {
		if (setting->is_random)
			read_anywhere(own, PIECE);
		else
			read_in_order(own, PIECE);
		bench_pieces_next(pieces);
	}
}

static void measure(struct bench_report *report, bool is_random)
{
	struct setting setting = { is_random };
	struct bench_contender ours = { .name = "array",
					.piece = PIECE,
					.argument = &setting,
					.open = open_ours,
					.run = run,
					.close = close_ours };
	struct bench_contender heap = { .name = "heap",
					.piece = PIECE,
					.argument = &setting,
					.open = open_heap,
					.run = run,
					.close = close_heap };
	struct bench_contest contest = { .contender = { &ours, &heap },
					 .contenders = 2,
					 .sides = 1,
					 .centre = BENCH_CENTRE_MEAN };
	struct bench_result result = BENCH_RESULT_NULL;

	bench_contest_run(&contest);
	bench_report_take(&result, &contest, 0, 1);
	result.bench = "array.read";
	result.param[0] = (struct bench_param){ .name = "order",
						.text = is_random ? "random" : "sequential" };
	result.unit = "ns";
	result.bar = 1.03;
	result.batch = 1;
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}

void bench_array_read(struct bench_report *report)
{
	measure(report, false);
	measure(report, true);
}
