/*
 * record: a snapshot against three memcpys of its size and 5 ns, a commit against the lock that it
 * takes and three memcpys. Both in one process, nobody else there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/daemon.h"
#include "bench/groups.h"
#include "shmclient/shmclient.h"

#define PIECE UINT64_C(1024)

struct setting {
	uint64_t bytes;
	bool commits;
};

struct own {
	const struct setting *setting;
	uint8_t *copy[4];
	struct shmc_client *client;
	struct shmc_record *record;
	struct shmc_buffer *buffer; /* for its lock, which is the same */
};

static struct own *own_new(struct bench_contender *self)
{
	struct own *own = calloc(1, sizeof(*own));

	if (own == NULL)
		bench_die("out of memory");
	own->setting = self->argument;
	for (int i = 0; i < 4; i++) {
		own->copy[i] = aligned_alloc(4096, (own->setting->bytes + 4095) / 4096 * 4096);
		if (own->copy[i] == NULL)
			bench_die("out of memory");
		memset(own->copy[i], i, own->setting->bytes);
	}
	self->own = own;
	return own;
}

static void own_free(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	shmc_record_close(own->record);
	shmc_buffer_close(own->buffer);
	if (own->client)
		shmc_disconnect(own->client);
	for (int i = 0; i < 4; i++)
		free(own->copy[i]);
	free(own);
}

static void open_record(struct bench_contender *self, unsigned side)
{
	static unsigned made;
	struct own *own = own_new(self);
	const struct shmc_field field = { .name = "bytes",
					  .type = SHMC_TYPE_BYTES,
					  .bytes = (uint32_t)own->setting->bytes };
	struct shmc_record_options options = { .fields = &field, .field_count = 1 };
	struct shmc_error error;
	char name[32];

	(void)side;
	bench_daemon_start();
	snprintf(name, sizeof(name), "bench/record.%u", made++);
	own->client = bench_daemon_connect(0);
	if (shmc_record_create(own->client, name, &options, &error) != SHMC_OK ||
	    shmc_record_open(own->client, name, SHMC_RECORD_WRITER, NULL, &own->record, &error) !=
		    SHMC_OK)
		bench_die("%s", error.text);
	shmc_unlink(own->client, name, NULL);
}

static void open_lock(struct bench_contender *self, unsigned side)
{
	static unsigned made;
	struct own *own = own_new(self);
	struct shmc_error error;
	char name[32];

	(void)side;
	if (!own->setting->commits)
		return;
	bench_daemon_start();
	snprintf(name, sizeof(name), "bench/record-lock.%u", made++);
	own->client = bench_daemon_connect(0);
	if (shmc_buffer_create(own->client, name, NULL, &error) != SHMC_OK ||
	    shmc_buffer_open(own->client, name, SHMC_BUFFER_WRITER, &own->buffer, &error) !=
		    SHMC_OK)
		bench_die("%s", error.text);
	shmc_unlink(own->client, name, NULL);
}

/* Not to be optimised away, nor one copy for three. */
static inline void touch(void *memory)
{
	__asm__ volatile("" : : "r"(memory) : "memory");
}

static void run_record(struct bench_contender *self, unsigned side, uint64_t count,
		       struct bench_pieces *pieces)
{
	struct own *own = self->own;
	uint64_t bytes = own->setting->bytes;

	(void)side;
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count; done += PIECE) {
		for (uint64_t i = 0; i < PIECE; i++) {
			enum shmc_result result =
				own->setting->commits ?
					shmc_record_write(own->record, own->copy[0], bytes,
							  SHMC_TRY) :
					shmc_record_read(own->record, own->copy[0], bytes, NULL);

			if (result != SHMC_OK)
				bench_die("record: %s", shmc_result_name(result));
			touch(own->copy[0]);
		}
		bench_pieces_next(pieces);
	}
}

static inline void copy_thrice(struct own *own, const uint64_t bytes)
{
	for (int i = 0; i < 3; i++) {
		memcpy(own->copy[i + 1], own->copy[i], bytes);
		touch(own->copy[i + 1]);
	}
}

/* The size is a variable, as it is for the library. */
static void run_limit(struct bench_contender *self, unsigned side, uint64_t count,
		      struct bench_pieces *pieces)
{
	struct own *own = self->own;

	(void)side;
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count; done += PIECE) {
		for (uint64_t i = 0; i < PIECE; i++) {
			if (own->buffer && shmc_buffer_lock_write(own->buffer, SHMC_TRY) != SHMC_OK)
				bench_die("lock");
			copy_thrice(own, own->setting->bytes);
			if (own->buffer)
				shmc_buffer_unlock(own->buffer);
		}
		bench_pieces_next(pieces);
	}
}

static void measure(struct bench_report *report, bool commits, uint64_t bytes)
{
	struct setting setting = { bytes, commits };
	struct bench_contender ours = { .name = "record",
					.piece = PIECE,
					.argument = &setting,
					.open = open_record,
					.run = run_record,
					.close = own_free };
	struct bench_contender limit = { .name = commits ? "write lock and three memcpys" :
							   "three memcpys and 5 ns",
					 .piece = PIECE,
					 .argument = &setting,
					 .open = open_lock,
					 .run = run_limit,
					 .close = own_free };
	struct bench_contest contest = { .contender = { &ours, &limit },
					 .contenders = 2,
					 .sides = 1,
					 .centre = BENCH_CENTRE_MEAN };
	struct bench_result result = BENCH_RESULT_NULL;

	bench_contest_run(&contest);
	/* the 5 ns: by the limit's own slices, so that the ratio stays one of neighbours */
	for (unsigned i = 0; !commits && i < contest.rounds; i++)
		contest.slice[1][i] += 5;
	bench_report_take(&result, &contest, 0, 1);
	result.bench = commits ? "record.commit" : "record.snapshot";
	result.param[0] = (struct bench_param){ .name = "bytes", .number = bytes };
	result.unit = "ns";
	if (bytes == 64)
		result.bar = 1.0;
	result.batch = 1;
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}

void bench_record_snapshot(struct bench_report *report)
{
	measure(report, false, 64);
	measure(report, false, 4096);
}

void bench_record_commit(struct bench_report *report)
{
	measure(report, true, 64);
	measure(report, true, 4096);
}
