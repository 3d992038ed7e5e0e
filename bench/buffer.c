/* buffer: copies in and out by offset, against memcpy to and from shared memory of its own. */
#include <stdio.h>

#include "bench/daemon.h"
#include "bench/groups.h"
#include "bench/stream.h"
#include "shmclient/shmclient.h"

#define SPAN_BYTES UINT64_C(16384) /* copies go round in it, or in one place if they are larger */

struct setting {
	uint64_t bytes;
	bool writes;
};

struct own {
	uint64_t *words; /* the caller's side of a copy */
	uint64_t number;
	struct shmc_client *client;
	struct shmc_buffer *buffer;
	uint8_t *memory;
};

static uint64_t span_of(const struct setting *setting)
{
	return setting->bytes > SPAN_BYTES ? setting->bytes : SPAN_BYTES;
}

static struct own *own_new(struct bench_contender *self)
{
	const struct setting *setting = self->argument;
	struct own *own = calloc(1, sizeof(*own));

	if (own == NULL)
		bench_die("out of memory");
	own->words = bench_message_new(setting->bytes);
	self->own = own;
	return own;
}

static void close_one(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	shmc_buffer_close(own->buffer);
	shmc_disconnect(own->client);
	bench_shared_free(own->memory, span_of(self->argument));
	free(own->words);
	free(own);
}

static void open_ours(struct bench_contender *self, unsigned side)
{
	static unsigned made;
	struct shmc_buffer_options options = { .size_bytes = span_of(self->argument) };
	struct own *own = own_new(self);
	struct shmc_error error;
	char name[32];

	(void)side;
	bench_daemon_start();
	snprintf(name, sizeof(name), "bench/buffer.%u", made++);
	own->client = bench_daemon_connect(0);
	if (shmc_buffer_create(own->client, name, &options, &error) != SHMC_OK ||
	    shmc_buffer_open(own->client, name, SHMC_BUFFER_WRITER, &own->buffer, &error) !=
		    SHMC_OK)
		bench_die("%s", error.text);
	shmc_unlink(own->client, name, NULL);
}

static void open_memory(struct bench_contender *self, unsigned side)
{
	(void)side;
	own_new(self)->memory = bench_shared_new(span_of(self->argument));
}

typedef void (*copy_fn)(struct own *own, uint64_t offset, uint64_t bytes);

BENCH_INLINE void write_ours(struct own *own, uint64_t offset, uint64_t bytes)
{
	if (shmc_buffer_write(own->buffer, offset, own->words, bytes) != SHMC_OK)
		bench_die("write failed");
}

BENCH_INLINE void read_ours(struct own *own, uint64_t offset, uint64_t bytes)
{
	if (shmc_buffer_read(own->buffer, offset, own->words, bytes) != SHMC_OK)
		bench_die("read failed");
}

BENCH_INLINE void write_memory(struct own *own, uint64_t offset, uint64_t bytes)
{
	memcpy(own->memory + offset, own->words, bytes);
}

BENCH_INLINE void read_memory(struct own *own, uint64_t offset, uint64_t bytes)
{
	memcpy(own->words, own->memory + offset, bytes);
}

/* Writing changes what is copied each time; reading looks at what was. */
BENCH_INLINE void run(struct bench_contender *self, uint64_t count, struct bench_pieces *pieces,
		      copy_fn copy, const bool writes)
{
	const struct setting *setting = self->argument;
	struct own *own = self->own;
	uint64_t bytes = setting->bytes, span = span_of(setting), offset = 0;

	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count;) {
		for (uint64_t end = done + self->piece; done < end; done++) {
			if (writes)
				bench_message_write(own->words, bytes, own->number++);
			copy(own, offset, bytes);
			if (!writes && own->words[0] != own->words[bytes / 8 - 1])
				bench_die("read what was not written");
			offset = (offset + bytes) % span;
		}
		bench_pieces_next(pieces);
	}
}

#define RUN(name, copy, writes)                                                       \
	static void name(struct bench_contender *self, unsigned side, uint64_t count, \
			 struct bench_pieces *pieces)                                 \
	{                                                                             \
		(void)side;                                                           \
		run(self, count, pieces, copy, writes);                               \
	}

RUN(run_write_ours, write_ours, true)
RUN(run_write_memory, write_memory, true)
RUN(run_read_ours, read_ours, false)
RUN(run_read_memory, read_memory, false)

static void measure(struct bench_report *report, bool writes, uint64_t bytes)
{
	struct setting setting = { bytes, writes };
	uint64_t piece = bytes < 65536 ? 65536 / bytes : 1;
	struct bench_contender ours = { .name = "buffer",
					.piece = piece,
					.argument = &setting,
					.open = open_ours,
					.run = writes ? run_write_ours : run_read_ours,
					.close = close_one };
	struct bench_contender memory = { .name = "memcpy",
					  .piece = piece,
					  .argument = &setting,
					  .open = open_memory,
					  .run = writes ? run_write_memory : run_read_memory,
					  .close = close_one };
	struct bench_contest contest = { .contender = { &ours, &memory },
					 .contenders = 2,
					 .sides = 1,
					 .centre = BENCH_CENTRE_MEAN };
	struct bench_result result = BENCH_RESULT_NULL;

	bench_contest_run(&contest);
	result.bench = writes ? "buffer.write" : "buffer.read";
	result.param[0] = (struct bench_param){ .name = "bytes", .number = bytes };
	result.unit = "ns";
	result.bar = bytes == 64 ? 1.15 : 1.05;
	bench_report_take(&result, &contest, 0, 1);
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}

static void measure_all(struct bench_report *report, bool writes)
{
	static const uint64_t sizes[] = { 64, 1024, 65536, 1048576 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		measure(report, writes, sizes[i]);
}

void bench_buffer_write(struct bench_report *report)
{
	measure_all(report, true);
}

void bench_buffer_read(struct bench_report *report)
{
	measure_all(report, false);
}
