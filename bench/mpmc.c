/* mpmc: uncontended pair, stream and contention, against the same without its repair words, and ck. */
#include <stdio.h>

#include "bench/daemon.h"
#include "bench/groups.h"
#include "bench/limit.h"
#include "bench/plain.h"
#include "bench/stream.h"
#include "shmclient/shmclient.h"

#if HAVE_CK
#include <ck_ring.h>
#endif

#define SLOTS UINT64_C(1024)

enum mode {
	PAIR = 0,      /* one process, in and out */
	STREAM = 1,    /* side 1 to side 0 */
	CONTENDED = 2, /* both sides in and out, through one queue */
	MODES = 3,
};

/* What a contender is made of; the same for all of a contest. */
struct setting {
	uint64_t bytes;
	enum mode mode;
	unsigned pauses; /* of those that have no waiting of their own */
};

/* One side's. */
struct own {
	const struct setting *setting;
	uint64_t *words;
	uint64_t number;
	unsigned side;
	void *queue; /* of the others */
	struct shmc_client *client;
	struct shmc_mpmc *to;
	struct shmc_mpmc *from;
};

static struct own *own_new(struct bench_contender *self, unsigned side)
{
	const struct setting *setting = self->argument;
	struct own *own = calloc(1, sizeof(*own));

	if (own == NULL)
		bench_die("out of memory");
	own->setting = setting;
	own->words = bench_message_new(setting->bytes);
	own->side = side;
	own->queue = self->shared;
	self->own = own;
	return own;
}

static void own_free(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	shmc_mpmc_close(own->to);
	shmc_mpmc_close(own->from);
	shmc_disconnect(own->client);
	free(own->words);
	free(own);
}

static void open_side(struct bench_contender *self, unsigned side)
{
	own_new(self, side);
}

static void pause_between(const struct own *own)
{
	for (unsigned i = 0; i < own->setting->pauses; i++)
		bench_pause();
}

/* ---- ours, by the library -------------------------------------------------------------------- */

BENCH_INLINE void push_ours(void *context, const void *data, uint64_t bytes)
{
	struct own *own = context;

	if (shmc_mpmc_push(own->to, data, bytes, SHMC_FOREVER) != SHMC_OK)
		bench_die("push failed");
}

BENCH_INLINE void pop_ours(void *context, void *data, uint64_t bytes)
{
	struct own *own = context;
	struct shmc_message message;

	if (shmc_mpmc_pop(own->from, data, bytes, SHMC_FOREVER, &message) != SHMC_OK ||
	    message.size != bytes)
		bench_die("pop failed");
}

static void make_ours(struct bench_contender *self)
{
	static unsigned made;
	const struct setting *setting = self->argument;
	struct shmc_mpmc_options options = { .slots = SLOTS, .message_bytes_max = setting->bytes };
	struct shmc_client *client;
	struct shmc_error error;
	char *name = calloc(1, 32);

	bench_daemon_start();
	if (name == NULL)
		bench_die("out of memory");
	snprintf(name, 32, "bench/mpmc.%u", made++);
	client = bench_daemon_connect(0);
	if (shmc_mpmc_create(client, name, &options, &error) != SHMC_OK)
		bench_die("create: %s", error.text);
	shmc_disconnect(client);
	self->shared = name;
}

static void unmake_ours(struct bench_contender *self)
{
	struct shmc_client *client = bench_daemon_connect(0);
	struct shmc_error error;

	if (shmc_unlink(client, self->shared, &error) != SHMC_OK)
		bench_die("unlink: %s", error.text);
	shmc_disconnect(client);
	free(self->shared);
}

static struct shmc_mpmc *open_role(const struct own *own, const char *name,
				   enum shmc_mpmc_role role)
{
	struct shmc_mpmc *queue;
	struct shmc_error error;

	if (shmc_mpmc_open(own->client, name, role, &queue, &error) != SHMC_OK)
		bench_die("open: %s", error.text);
	return queue;
}

static void open_ours(struct bench_contender *self, unsigned side)
{
	const struct setting *setting = self->argument;
	struct own *own = own_new(self, side);

	own->client = bench_daemon_connect(0);
	if (setting->mode != STREAM || side == 1)
		own->to = open_role(own, self->shared, SHMC_MPMC_PRODUCER);
	if (setting->mode != STREAM || side == 0)
		own->from = open_role(own, self->shared, SHMC_MPMC_CONSUMER);
}

/* ---- without repair words -------------------------------------------------------------------- */

static uint64_t plain_slot_bytes(const struct setting *setting)
{
	return shmp_round_up(16 + setting->bytes, SHMP_LINE);
}

static uint64_t plain_bytes(const struct setting *setting)
{
	return sizeof(struct plain) + SLOTS * plain_slot_bytes(setting);
}

static void make_plain(struct bench_contender *self)
{
	struct plain *plain = bench_shared_new(plain_bytes(self->argument));
	const struct setting *setting = self->argument;

	plain->mask = SLOTS - 1;
	plain->slot_bytes = plain_slot_bytes(setting);
	plain->message_max = setting->bytes;
	plain->words = 1;
	self->shared = plain;
}

static void unmake_plain(struct bench_contender *self)
{
	self->shared = bench_shared_free(self->shared, plain_bytes(self->argument));
}

BENCH_INLINE void push_plain(void *context, const void *data, uint64_t bytes)
{
	struct own *own = context;

	while (!plain_push(own->queue, own->side, data, bytes))
		pause_between(own);
}

BENCH_INLINE void pop_plain(void *context, void *data, uint64_t bytes)
{
	struct own *own = context;

	while (!plain_pop(own->queue, 2 + own->side, data, bytes))
		pause_between(own);
}

/* ---- Concurrency Kit ------------------------------------------------------------------------- */

#if HAVE_CK
struct ck_queue {
	ck_ring_t ring;
	_Alignas(4096) uint8_t buffer[];
};

struct many_8 {
	uint64_t words[1];
};
struct many_64 {
	uint64_t words[8];
};

/* NOLINTBEGIN(performance-no-int-to-ptr): the library's own macros */
/* cppcheck-suppress unknownMacro */
CK_RING_PROTOTYPE(many_8, many_8)
CK_RING_PROTOTYPE(many_64, many_64)

static uint64_t ck_bytes(const struct setting *setting)
{
	return sizeof(struct ck_queue) + SLOTS * setting->bytes;
}

static void make_ck(struct bench_contender *self)
{
	struct ck_queue *queue = bench_shared_new(ck_bytes(self->argument));

	ck_ring_init(&queue->ring, (unsigned)SLOTS);
	self->shared = queue;
}

static void unmake_ck(struct bench_contender *self)
{
	self->shared = bench_shared_free(self->shared, ck_bytes(self->argument));
}

BENCH_INLINE void push_ck(void *context, const void *data, uint64_t bytes)
{
	struct own *own = context;
	struct ck_queue *queue = own->queue;

	for (;;) {
		if (bytes == 8 ? CK_RING_ENQUEUE_MPMC(many_8, &queue->ring,
						      (struct many_8 *)(void *)queue->buffer,
						      (void *)(uintptr_t)data) :
				 CK_RING_ENQUEUE_MPMC(many_64, &queue->ring,
						      (struct many_64 *)(void *)queue->buffer,
						      (void *)(uintptr_t)data))
			return;
		pause_between(own);
	}
}

BENCH_INLINE void pop_ck(void *context, void *data, uint64_t bytes)
{
	struct own *own = context;
	struct ck_queue *queue = own->queue;

	for (;;) {
		if (bytes == 8 ?
			    CK_RING_DEQUEUE_MPMC(many_8, &queue->ring,
						 (struct many_8 *)(void *)queue->buffer, data) :
			    CK_RING_DEQUEUE_MPMC(many_64, &queue->ring,
						 (struct many_64 *)(void *)queue->buffer, data))
			return;
		pause_between(own);
	}
}
/* NOLINTEND(performance-no-int-to-ptr) */
#endif

/* ---- the work -------------------------------------------------------------------------------- */

/* In and out again, of whosesoever: the two words of a message must be one's. */
BENCH_INLINE void contend(struct own *own, bench_push_fn push, bench_pop_fn pop, uint64_t bytes,
			  uint64_t count)
{
	for (uint64_t end = own->number + count; own->number < end;) {
		bench_message_write(own->words, bytes, ++own->number);
		push(own, own->words, bytes);
		pop(own, own->words, bytes);
		if (own->words[0] != own->words[bytes / 8 - 1])
			bench_die("message %llu is damaged", (unsigned long long)own->words[0]);
	}
}

BENCH_INLINE void contend_pieces(struct own *own, bench_push_fn push, bench_pop_fn pop,
				 uint64_t bytes, uint64_t count, uint64_t piece,
				 struct bench_pieces *pieces)
{
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count; done += piece) {
		contend(own, push, pop, bytes, piece);
		bench_pieces_next(pieces);
	}
}

BENCH_INLINE void work(struct bench_contender *self, unsigned side, bench_push_fn push,
		       bench_pop_fn pop, uint64_t bytes, uint64_t count,
		       struct bench_pieces *pieces)
{
	struct own *own = self->own;

	if (own->setting->mode == PAIR)
		bench_pair(own, push, own, pop, own->words, bytes, &own->number, count, self->piece,
			   pieces);
	else if (own->setting->mode == CONTENDED && side == 0)
		contend_pieces(own, push, pop, bytes, count, self->piece, pieces);
	else if (own->setting->mode == CONTENDED)
		contend(own, push, pop, bytes, count);
	else if (side == 0)
		bench_stream_receive(own, pop, own->words, bytes, &own->number, count, self->piece,
				     pieces);
	else
		bench_stream_send(own, push, own->words, bytes, &own->number, count);
}

#define WORK(of)                                                                          \
	static void run_##of(struct bench_contender *self, unsigned side, uint64_t count, \
			     struct bench_pieces *pieces)                                 \
	{                                                                                 \
		const struct setting *setting = self->argument;                           \
                                                                                          \
		if (setting->bytes == 8)                                                  \
			work(self, side, push_##of, pop_##of, 8, count, pieces);          \
		else                                                                      \
			work(self, side, push_##of, pop_##of, 64, count, pieces);         \
	}                                                                                 \
                                                                                          \
	static struct bench_contender contender_##of(const struct setting *setting,       \
						     const char *name)                    \
	{                                                                                 \
		return (struct bench_contender){                                          \
			.name = name,                                                     \
			.piece = 1024,                                                    \
			.argument = setting,                                              \
			.make = make_##of,                                                \
			.open = open_##of,                                                \
			.run = run_##of,                                                  \
			.close = own_free,                                                \
			.unmake = unmake_##of,                                            \
		};                                                                        \
	}

#define open_plain open_side
#define open_ck	   open_side

WORK(ours)
WORK(plain)
#if HAVE_CK
WORK(ck)
#endif

/* ---- groups ---------------------------------------------------------------------------------- */

static const char *const bench_names[] = { "mpmc.uncontended", "mpmc.1p1c", "mpmc.contended" };

/* The faster of two neighbours, which differ in how they wait. */
static unsigned better(const struct bench_contest *contest, unsigned first)
{
	return bench_contest_centre(contest, first) <= bench_contest_centre(contest, first + 1) ?
		       first :
		       first + 1;
}

static void add(struct bench_report *report, const struct bench_contest *contest,
		const struct setting *setting, unsigned against, double bar)
{
	struct bench_result result = BENCH_RESULT_NULL;

	bench_report_take(&result, contest, 0, against);
	result.bench = bench_names[setting->mode];
	result.param[0] = (struct bench_param){ .name = "bytes", .number = setting->bytes };
	result.param[1] = (struct bench_param){ .name = "slots", .number = SLOTS };
	result.unit = "ns";
	result.bar = bar;
	result.batch = 1;
	if (setting->mode != PAIR)
		result.pingpong_ns = bench_contest_centre(contest, 1);
	bench_report_add(report, &result);
}

static void run(struct bench_report *report, enum mode mode, uint64_t bytes)
{
	struct setting closely = { bytes, mode, 1 }, paced = { bytes, mode, 32 };
	struct bench_contender line = bench_limit_pingpong(1, false);
	struct bench_contender all[] = {
		contender_ours(&closely, "mpmc"),
		contender_plain(&closely, "without repair words"),
		contender_plain(&paced, "without repair words, 32 pauses"),
#if HAVE_CK
		contender_ck(&closely, "ck ring mpmc"),
		contender_ck(&paced, "ck ring mpmc, 32 pauses"),
#endif
	};
	struct bench_contest contest = {
		.sides = mode == PAIR ? 1 : 2,
		.centre = BENCH_CENTRE_MEAN,
	};
	unsigned first;

	contest.contender[contest.contenders++] = &all[0];
	if (mode != PAIR)
		contest.contender[contest.contenders++] = &line;
	first = contest.contenders;
	for (size_t i = 1; i < sizeof(all) / sizeof(all[0]); i++)
		contest.contender[contest.contenders++] = &all[i];
	bench_contest_run(&contest);
	add(report, &contest, &closely, better(&contest, first), mode == PAIR ? 1.6 : 1.10);
#if HAVE_CK
	add(report, &contest, &closely, better(&contest, first + 2), mode == PAIR ? 1.6 : 1.05);
#endif
	bench_contest_deinit(&contest);
}

void bench_mpmc_uncontended(struct bench_report *report)
{
	run(report, PAIR, 8);
	run(report, PAIR, 64);
}

void bench_mpmc_1p1c(struct bench_report *report)
{
	run(report, STREAM, 8);
	run(report, STREAM, 64);
}

void bench_mpmc_contended(struct bench_report *report)
{
	run(report, CONTENDED, 8);
	run(report, CONTENDED, 64);
}
