/* queue: see queue.h. */
#include "bench/queue.h"

#include <dlfcn.h>
#include <stdio.h>

#include "bench/daemon.h"
#include "bench/pair.h"
#include "bench/stream.h"
#include "shmclient/shmclient.h"

#define BATCH_MAX 64

/* What the pair calls; the shared library's are found by name. */
struct library {
	enum shmc_result (*connect)(const struct shmc_client_options *, struct shmc_client **,
				    struct shmc_error *);
	struct shmc_client *(*disconnect)(struct shmc_client *);
	enum shmc_result (*open)(struct shmc_client *, const char *, enum shmc_spsc_role,
				 struct shmc_spsc **, struct shmc_error *);
	struct shmc_spsc *(*close)(struct shmc_spsc *);
	enum shmc_result (*push)(struct shmc_spsc *, const void *, uint64_t, int64_t);
	enum shmc_result (*pop)(struct shmc_spsc *, void *, uint64_t, int64_t,
				struct shmc_message *);
};

static const struct library static_library = {
	.connect = shmc_connect,
	.disconnect = shmc_disconnect,
	.open = shmc_spsc_open,
	.close = shmc_spsc_close,
	.push = shmc_spsc_push,
	.pop = shmc_spsc_pop,
};

struct own {
	const struct library *library;
	struct shmc_client *client;
	struct shmc_spsc *to;
	struct shmc_spsc *from;
	uint64_t *words;
	uint64_t number;
};

/* A queue's two ends and where they go in a message's way; NULL is none. */
struct names {
	char queue[2][32]; /* from side 0 to side 1, and back */
};

static void find(void *handle, const char *name, void *ret_function)
{
	void *function = dlsym(handle, name);

	if (function == NULL)
		bench_die("%s", dlerror());
	memcpy(ret_function, &function, sizeof(function));
}

static const struct library *shared_library(void)
{
	static struct library library;
	void *handle;

	if (library.pop != NULL)
		return &library;
	handle = dlopen(bench_daemon_beside("libclient/libshmclient.so"), RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL)
		bench_die("%s", dlerror());
	find(handle, "shmc_connect", &library.connect);
	find(handle, "shmc_disconnect", &library.disconnect);
	find(handle, "shmc_spsc_open", &library.open);
	find(handle, "shmc_spsc_close", &library.close);
	find(handle, "shmc_spsc_push", &library.push);
	find(handle, "shmc_spsc_pop", &library.pop);
	return &library;
}

/* ---- the calls ------------------------------------------------------------------------------- */

static __attribute__((cold, noinline, noreturn)) void failed(const char *what,
							     enum shmc_result result)
{
	bench_die("%s: %s", what, shmc_result_name(result));
}

BENCH_INLINE void push(void *queue, const void *data, uint64_t bytes)
{
	enum shmc_result result = shmc_spsc_push(queue, data, bytes, SHMC_FOREVER);

	if (result != SHMC_OK)
		failed("push", result);
}

BENCH_INLINE void pop(void *queue, void *data, uint64_t bytes)
{
	struct shmc_message message;
	enum shmc_result result = shmc_spsc_pop(queue, data, bytes, SHMC_FOREVER, &message);

	if (result != SHMC_OK || message.size != bytes)
		failed("pop", result);
}

static void send_batches(struct own *own, uint64_t bytes, uint64_t batch, uint64_t count)
{
	struct shmc_bytes messages[BATCH_MAX];
	uint64_t first[BATCH_MAX];
	uint64_t done, sent;
	enum shmc_result result;

	/* small messages only: each has a word of its own, the rest is shared */
	for (done = 0; done < count;) {
		uint64_t want = count - done < batch ? count - done : batch;

		for (uint64_t i = 0; i < want; i++) {
			first[i] = own->number + i + 1;
			messages[i] = (struct shmc_bytes){ .data = &first[i], .size = bytes };
		}
		for (uint64_t at = 0; at < want; at += sent) {
			result = shmc_spsc_push_batch(own->to, messages + at, want - at,
						      SHMC_FOREVER, &sent);
			if (result != SHMC_OK)
				failed("push_batch", result);
		}
		own->number += want;
		done += want;
	}
}

static void receive_batches(struct own *own, uint64_t bytes, uint64_t batch, uint64_t count,
			    uint64_t piece, struct bench_pieces *pieces)
{
	struct shmc_message messages[BATCH_MAX];
	uint64_t done, got, in_piece = 0;
	enum shmc_result result;

	bench_pieces_start(pieces);
	for (done = 0; done < count; done += got) {
		uint64_t want = count - done < batch ? count - done : batch;

		result = shmc_spsc_peek_batch(own->from, messages, want, SHMC_FOREVER, &got);
		if (result != SHMC_OK)
			failed("peek_batch", result);
		for (uint64_t i = 0; i < got; i++) {
			memcpy(own->words, messages[i].data, bytes);
			bench_message_check(own->words, messages[i].size, ++own->number);
			if (++in_piece == piece) {
				bench_pieces_next(pieces);
				in_piece = 0;
			}
		}
		result = shmc_spsc_release(own->from, got);
		if (result != SHMC_OK)
			failed("release", result);
	}
}

/* ---- contenders ------------------------------------------------------------------------------ */

static void make_queue(const struct bench_queue *queue, char (*name)[32])
{
	static unsigned made;
	struct shmc_client *client = bench_daemon_connect(0);
	struct shmc_spsc_options options = { .capacity_bytes = queue->ring_bytes };
	struct shmc_error error;

	snprintf(*name, sizeof(*name), "bench/%u", made++);
	if (shmc_spsc_create(client, *name, &options, &error) != SHMC_OK)
		bench_die("create: %s", error.text);
	shmc_disconnect(client);
}

static void make(struct bench_contender *self)
{
	struct names *names = calloc(1, sizeof(*names));

	bench_daemon_start();
	if (names == NULL)
		bench_die("out of memory");
	for (unsigned i = 0; i < 2; i++)
		make_queue(self->argument, &names->queue[i]);
	self->shared = names;
}

static void unmake(struct bench_contender *self)
{
	struct names *names = self->shared;
	struct shmc_client *client = bench_daemon_connect(0);
	struct shmc_error error;

	for (unsigned i = 0; i < 2; i++)
		if (shmc_unlink(client, names->queue[i], &error) != SHMC_OK)
			bench_die("unlink: %s", error.text);
	shmc_disconnect(client);
	free(names);
}

static struct own *open_own(struct bench_contender *self)
{
	const struct bench_queue *queue = self->argument;
	struct shmc_client_options options = { .address = bench_daemon_start(),
					       .spin_ns = queue->spin_ns };
	struct own *own = calloc(1, sizeof(*own));
	struct shmc_error error;

	if (own == NULL)
		bench_die("out of memory");
	own->library = queue->linkage == BENCH_SHARED ? shared_library() : &static_library;
	own->words = bench_message_new(queue->bytes);
	if (own->library->connect(&options, &own->client, &error) != SHMC_OK)
		bench_die("connect: %s", error.text);
	self->own = own;
	return own;
}

static struct shmc_spsc *open_role(struct own *own, const char *name, enum shmc_spsc_role role)
{
	struct shmc_spsc *queue;
	struct shmc_error error;

	if (own->library->open(own->client, name, role, &queue, &error) != SHMC_OK)
		bench_die("open: %s", error.text);
	return queue;
}

static void open_rtt(struct bench_contender *self, unsigned side)
{
	struct names *names = self->shared;
	struct own *own = open_own(self);

	own->to = open_role(own, names->queue[side], SHMC_SPSC_PRODUCER);
	own->from = open_role(own, names->queue[!side], SHMC_SPSC_CONSUMER);
}

static void open_stream(struct bench_contender *self, unsigned side)
{
	struct names *names = self->shared;
	struct own *own = open_own(self);

	if (side == 1)
		own->to = open_role(own, names->queue[0], SHMC_SPSC_PRODUCER);
	else
		own->from = open_role(own, names->queue[0], SHMC_SPSC_CONSUMER);
}

static void open_pair(struct bench_contender *self, unsigned side)
{
	struct names *names = self->shared;
	struct own *own = open_own(self);

	(void)side;
	own->to = open_role(own, names->queue[0], SHMC_SPSC_PRODUCER);
	own->from = open_role(own, names->queue[0], SHMC_SPSC_CONSUMER);
}

static void close_own(struct bench_contender *self, unsigned side)
{
	struct own *own = self->own;

	(void)side;
	own->library->close(own->to);
	own->library->close(own->from);
	own->library->disconnect(own->client);
	free(own->words);
	free(own);
}

static void run_rtt(struct bench_contender *self, unsigned side, uint64_t count,
		    struct bench_pieces *pieces)
{
	const struct bench_queue *queue = self->argument;
	struct own *own = self->own;

	if (side == 0)
		bench_rtt_ask(own->to, push, own->from, pop, own->words, queue->bytes, &own->number,
			      count, pieces);
	else
		bench_rtt_answer(own->to, push, own->from, pop, own->words, queue->bytes,
				 &own->number, count);
}

static void run_stream(struct bench_contender *self, unsigned side, uint64_t count,
		       struct bench_pieces *pieces)
{
	const struct bench_queue *queue = self->argument;
	struct own *own = self->own;

	if (side == 0)
		bench_stream_receive(own->from, pop, own->words, queue->bytes, &own->number, count,
				     self->piece, pieces);
	else
		bench_stream_send(own->to, push, own->words, queue->bytes, &own->number, count);
}

static void run_batches(struct bench_contender *self, unsigned side, uint64_t count,
			struct bench_pieces *pieces)
{
	const struct bench_queue *queue = self->argument;

	if (side == 0)
		receive_batches(self->own, queue->bytes, queue->batch, count, self->piece, pieces);
	else
		send_batches(self->own, queue->bytes, queue->batch, count);
}

static void run_pair(struct bench_contender *self, unsigned side, uint64_t count,
		     struct bench_pieces *pieces)
{
	const struct bench_queue *queue = self->argument;
	struct own *own = self->own;
	struct bench_pair pair = {
		.to = own->to,
		.from = own->from,
		.words = own->words,
		.bytes = queue->bytes,
		.number = own->number,
		.piece = self->piece,
	};

	(void)side;
	(queue->linkage == BENCH_STATIC ? bench_pair_called : bench_pair_inlined)(&pair, count,
										  pieces);
	own->number = pair.number;
}

/* The same through pointers, as through the table by which a program calls a shared library. */
BENCH_INLINE void pair_of_shared(struct bench_contender *self, uint64_t count,
				 struct bench_pieces *pieces, const uint64_t bytes)
{
	struct own *own = self->own;
	struct library library = *own->library;
	struct shmc_message message = { .size = 0 };
	uint64_t number = own->number;

	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count; done += self->piece) {
		for (uint64_t i = 0; i < self->piece; i++) {
			bench_message_write(own->words, bytes, ++number);
			if (library.push(own->to, own->words, bytes, SHMC_FOREVER) != SHMC_OK ||
			    library.pop(own->from, own->words, bytes, SHMC_FOREVER, &message) !=
				    SHMC_OK ||
			    message.size != bytes)
				bench_die("the shared library's pair failed");
			bench_message_check(own->words, bytes, number);
		}
		bench_pieces_next(pieces);
	}
	own->number = number;
}

static void run_pair_shared(struct bench_contender *self, unsigned side, uint64_t count,
			    struct bench_pieces *pieces)
{
	const struct bench_queue *queue = self->argument;

	(void)side;
	if (queue->bytes == 8)
		pair_of_shared(self, count, pieces, 8);
	else if (queue->bytes == 64)
		pair_of_shared(self, count, pieces, 64);
	else
		pair_of_shared(self, count, pieces, queue->bytes);
}

static struct bench_contender contender(const struct bench_queue *queue, const char *name)
{
	return (struct bench_contender){
		.name = name,
		.piece = queue->bytes < 65536 ? 1024 : 1,
		.argument = queue,
		.make = make,
		.close = close_own,
		.unmake = unmake,
	};
}

struct bench_contender bench_queue_rtt(const struct bench_queue *queue)
{
	struct bench_contender self = contender(queue, "spsc");

	self.piece = 1;
	self.open = open_rtt;
	self.run = run_rtt;
	return self;
}

struct bench_contender bench_queue_stream(const struct bench_queue *queue)
{
	struct bench_contender self = contender(queue, "spsc");

	if (queue->batch > BATCH_MAX)
		bench_die("a batch of more than %d", BATCH_MAX);
	self.open = open_stream;
	self.run = queue->batch != 0 ? run_batches : run_stream;
	return self;
}

struct bench_contender bench_queue_pair(const struct bench_queue *queue)
{
	struct bench_contender self = contender(queue, "spsc pair");

	self.open = open_pair;
	self.run = queue->linkage == BENCH_SHARED ? run_pair_shared : run_pair;
	return self;
}
