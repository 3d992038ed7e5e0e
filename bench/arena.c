/* arena: finding an object by its name, against one system call. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/daemon.h"
#include "bench/groups.h"
#include "shmclient/shmclient.h"

#define PIECE UINT64_C(1024)

struct setting {
	uint64_t objects;
	enum shmc_arena_table table;
};

struct own {
	struct shmc_client *client;
	struct shmc_arena *arena;
	char (*names)[40]; /* in no order of the table's */
};

/* As small as they can be: one endpoint, one page. */
static void fill(struct own *own, const char *arena, uint64_t objects)
{
	struct shmc_array_options options = { .elements = 1, .endpoints_max = 1 };
	struct shmc_error error;
	char name[64];

	own->names = calloc(objects, sizeof(own->names[0]));
	if (own->names == NULL)
		bench_die("out of memory");
	for (uint64_t i = 0; i < objects; i++) {
		uint64_t at = i * 389 % objects; /* a prime that divides none of them */

		snprintf(own->names[at], sizeof(own->names[at]), "body/%04llu/state",
			 (unsigned long long)i);
		snprintf(name, sizeof(name), "%s:%s", arena, own->names[at]);
		if (shmc_array_create(own->client, name, &options, &error) != SHMC_OK)
			bench_die("%s", error.text);
	}
}

static void open_ours(struct bench_contender *self, unsigned side)
{
	static unsigned made;
	const struct setting *setting = self->argument;
	struct shmc_arena_options options = { .table = setting->table,
					      .control_bytes = setting->objects * 512,
					      .data_bytes = setting->objects * 4096 };
	struct own *own = calloc(1, sizeof(*own));
	struct shmc_error error;
	char name[32];

	(void)side;
	if (own == NULL)
		bench_die("out of memory");
	bench_daemon_start();
	snprintf(name, sizeof(name), "bench/arena.%u", made++);
	own->client = bench_daemon_connect(0);
	if (shmc_arena_create(own->client, name, &options, &error) != SHMC_OK ||
	    shmc_arena_open(own->client, name, &own->arena, &error) != SHMC_OK)
		bench_die("%s", error.text);
	fill(own, name, setting->objects);
	self->own = own;
}

static void close_ours(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	shmc_arena_close(own->arena);
	shmc_disconnect(own->client);
	free(own->names);
	free(own);
}

static void run(struct bench_contender *self, unsigned side, uint64_t count,
		struct bench_pieces *pieces)
{
	const struct setting *setting = self->argument;
	struct own *own = self->own;
	struct shmc_arena_object object;
	uint64_t at = 0;

	(void)side;
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count; done += PIECE) {
		for (uint64_t i = 0; i < PIECE; i++) {
			if (shmc_arena_find(own->arena, own->names[at], &object) != SHMC_OK)
				bench_die("%s is not found", own->names[at]);
			at = at + 1 < setting->objects ? at + 1 : 0;
		}
		bench_pieces_next(pieces);
	}
}

static void run_system_call(struct bench_contender *self, unsigned side, uint64_t count,
			    struct bench_pieces *pieces)
{
	(void)self;
	(void)side;
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count; done += PIECE) {
		for (uint64_t i = 0; i < PIECE; i++)
			syscall(SYS_getppid);
		bench_pieces_next(pieces);
	}
}

static void measure(struct bench_report *report, uint64_t objects, enum shmc_arena_table table,
		    const char *text, double bar)
{
	struct setting setting = { objects, table };
	struct bench_contender ours = { .name = "arena",
					.piece = PIECE,
					.argument = &setting,
					.open = open_ours,
					.run = run,
					.close = close_ours };
	struct bench_contender call = { .name = "one system call",
					.piece = PIECE,
					.run = run_system_call };
	struct bench_contest contest = { .contender = { &ours, &call },
					 .contenders = 2,
					 .sides = 1,
					 .centre = BENCH_CENTRE_MEAN };
	struct bench_result result = BENCH_RESULT_NULL;

	bench_contest_run(&contest);
	bench_report_take(&result, &contest, 0, 1);
	result.bench = "arena.lookup";
	result.param[0] = (struct bench_param){ .name = "objects", .text = text };
	result.unit = "ns";
	result.bar = bar; /* 100 and 200 ns, where a system call takes 95 to 120 */
	result.batch = 1;
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}

void bench_arena_lookup(struct bench_report *report)
{
	measure(report, 64, SHMC_ARENA_TABLE_32X64, "64", 1);
	measure(report, 1024, SHMC_ARENA_TABLE_256X1024, "1024", 2);
}
