/* death_queue: those who die where messages pass. */
#include <unistd.h>

#include "bench/contest.h"
#include "bench/death.h"
#include "shmclient/shmclient.h"

#define RING_BYTES 4096

static bool is_over(enum shmc_peer peer)
{
	return peer != SHMC_PEER_ACTIVE && peer != SHMC_PEER_DYING;
}

/* Between the notice and the end of the repair the place is not free yet. */
static void rest(void)
{
	usleep(20);
}

/* ---- spsc: told to who waits for messages, and to who waits for room ------------------------- */

static void spsc_create(struct shmc_client *client, const char *name)
{
	const struct shmc_spsc_options options = { .capacity_bytes = RING_BYTES };

	bench_death_expect(shmc_spsc_create(client, name, &options, NULL), SHMC_OK, "create");
}

static void spsc_open(struct shmc_client *client, const char *name, enum shmc_spsc_role role,
		      struct bench_ends *ends)
{
	bench_death_expect(shmc_spsc_open(client, name, role, &ends->own.spsc, NULL), SHMC_OK,
			   "open");
}

static void spsc_open_producer(struct shmc_client *client, const char *name, bool is_victim,
			       struct bench_ends *ends)
{
	spsc_open(client, name, is_victim ? SHMC_SPSC_PRODUCER : SHMC_SPSC_CONSUMER, ends);
}

static void spsc_open_consumer(struct shmc_client *client, const char *name, bool is_victim,
			       struct bench_ends *ends)
{
	spsc_open(client, name, is_victim ? SHMC_SPSC_CONSUMER : SHMC_SPSC_PRODUCER, ends);
}

static void spsc_act_producer(struct bench_ends *ends)
{
	bench_death_expect(shmc_spsc_try_push(ends->own.spsc, "last", 4), SHMC_OK, "push");
}

static void spsc_act_consumer(struct bench_ends *ends)
{
	(void)ends; /* it is there, and takes nothing */
}

static enum shmc_result spsc_pop(struct bench_ends *ends)
{
	struct shmc_message message;
	char buffer[8];

	return shmc_spsc_pop(ends->own.spsc, buffer, sizeof(buffer), BENCH_PATIENCE_NS, &message);
}

static void spsc_await_producer(struct bench_ends *ends)
{
	bench_death_expect(spsc_pop(ends), SHMC_OK, "the message");
	bench_death_expect(spsc_pop(ends), SHMC_PEER_DEAD, "the producer's death");
}

static void spsc_await_consumer(struct bench_ends *ends)
{
	while (shmc_spsc_try_push(ends->own.spsc, "full", 4) == SHMC_OK)
		;
	bench_death_expect(shmc_spsc_push(ends->own.spsc, "full", 4, BENCH_PATIENCE_NS),
			   SHMC_PEER_DEAD, "the consumer's death");
}

static void spsc_settle(struct bench_ends *ends)
{
	while (!is_over(shmc_spsc_peer(ends->own.spsc)))
		rest();
}

static void spsc_close(struct bench_ends *ends)
{
	shmc_spsc_close(ends->own.spsc);
}

/* ---- pipe: told to the host ------------------------------------------------------------------ */

static void pipe_create(struct shmc_client *client, const char *name)
{
	const struct shmc_pipe_options options = { .capacity_bytes = RING_BYTES };

	bench_death_expect(shmc_pipe_create(client, name, &options, NULL), SHMC_OK, "create");
}

static void pipe_open(struct shmc_client *client, const char *name, bool is_victim,
		      struct bench_ends *ends)
{
	bench_death_expect(shmc_pipe_open(client, name,
					  is_victim ? SHMC_PIPE_CLIENT : SHMC_PIPE_HOST, NULL,
					  &ends->own.pipe, NULL),
			   SHMC_OK, "open");
}

static void pipe_act(struct bench_ends *ends)
{
	bench_death_expect(shmc_pipe_try_send(ends->own.pipe, "last", 4), SHMC_OK, "send");
}

static enum shmc_result pipe_receive(struct bench_ends *ends)
{
	struct shmc_message message;
	char buffer[8];

	return shmc_pipe_receive(ends->own.pipe, buffer, sizeof(buffer), BENCH_PATIENCE_NS,
				 &message);
}

static void pipe_await(struct bench_ends *ends)
{
	bench_death_expect(shmc_pipe_wait_peer(ends->own.pipe, BENCH_PATIENCE_NS), SHMC_OK,
			   "the client");
	bench_death_expect(pipe_receive(ends), SHMC_OK, "the message");
	bench_death_expect(pipe_receive(ends), SHMC_PEER_DEAD, "the client's death");
}

static void pipe_settle(struct bench_ends *ends)
{
	while (!is_over(shmc_pipe_peer(ends->own.pipe)))
		rest();
}

static void pipe_close(struct bench_ends *ends)
{
	shmc_pipe_close(ends->own.pipe);
}

/* ---- mpmc: a claim of the dead is passed, and what he had in hand goes to another ------------ */

static void mpmc_create(struct shmc_client *client, const char *name)
{
	bench_death_expect(shmc_mpmc_create(client, name, NULL, NULL), SHMC_OK, "create");
}

/* The victim's aide sends what its own end cannot: it has a reservation, or takes. */
static void mpmc_open(struct shmc_client *client, const char *name, bool is_victim,
		      enum shmc_mpmc_role role, struct bench_ends *ends)
{
	bench_death_expect(shmc_mpmc_open(client, name, is_victim ? role : SHMC_MPMC_CONSUMER,
					  &ends->own.mpmc, NULL),
			   SHMC_OK, "open");
	if (is_victim)
		bench_death_expect(
			shmc_mpmc_open(client, name, SHMC_MPMC_PRODUCER, &ends->aide.mpmc, NULL),
			SHMC_OK, "open");
}

static void mpmc_open_producer(struct shmc_client *client, const char *name, bool is_victim,
			       struct bench_ends *ends)
{
	mpmc_open(client, name, is_victim, SHMC_MPMC_PRODUCER, ends);
}

static void mpmc_open_consumer(struct shmc_client *client, const char *name, bool is_victim,
			       struct bench_ends *ends)
{
	mpmc_open(client, name, is_victim, SHMC_MPMC_CONSUMER, ends);
}

static void mpmc_act_producer(struct bench_ends *ends)
{
	void *never;

	bench_death_expect(shmc_mpmc_reserve(ends->own.mpmc, 8, SHMC_TRY, &never), SHMC_OK,
			   "reserve");
	bench_death_expect(shmc_mpmc_try_push(ends->aide.mpmc, "behind", 6), SHMC_OK, "push");
}

static void mpmc_act_consumer(struct bench_ends *ends)
{
	struct shmc_message message;

	bench_death_expect(shmc_mpmc_try_push(ends->aide.mpmc, "in hand", 7), SHMC_OK, "push");
	bench_death_expect(shmc_mpmc_peek(ends->own.mpmc, SHMC_TRY, &message), SHMC_OK, "peek");
}

static struct shmc_message mpmc_pop(struct bench_ends *ends)
{
	struct shmc_message message;
	char buffer[8];

	bench_death_expect(
		shmc_mpmc_pop(ends->own.mpmc, buffer, sizeof(buffer), BENCH_PATIENCE_NS, &message),
		SHMC_OK, "pop");
	return message;
}

static void mpmc_await_producer(struct bench_ends *ends)
{
	struct shmc_message message = mpmc_pop(ends);

	if (message.size != 6 || message.flags != 0)
		bench_die("detect: not the message behind the claim");
}

static void mpmc_await_consumer(struct bench_ends *ends)
{
	struct shmc_message message = mpmc_pop(ends);

	if (message.size != 7 || message.flags != SHMC_REDELIVERED)
		bench_die("detect: not the message in hand");
}

static void mpmc_close(struct bench_ends *ends)
{
	shmc_mpmc_close(ends->own.mpmc);
}

/* ---- broadcast: who waits for a reader gets room --------------------------------------------- */

static void broadcast_create(struct shmc_client *client, const char *name)
{
	const struct shmc_broadcast_options options = { .capacity_bytes = RING_BYTES,
							.policy = SHMC_BROADCAST_BLOCK };

	bench_death_expect(shmc_broadcast_create(client, name, &options, NULL), SHMC_OK, "create");
}

static void broadcast_open(struct shmc_client *client, const char *name, bool is_victim,
			   struct bench_ends *ends)
{
	bench_death_expect(
		shmc_broadcast_open(client, name,
				    is_victim ? SHMC_BROADCAST_READER : SHMC_BROADCAST_WRITER,
				    &ends->own.broadcast, NULL),
		SHMC_OK, "open");
}

static void broadcast_act(struct bench_ends *ends)
{
	(void)ends; /* it is there, and reads nothing */
}

static void broadcast_await(struct bench_ends *ends)
{
	static const char data[500];

	/* no more than fill it: once the reader is gone there is always room */
	for (size_t filled = 0; filled < RING_BYTES; filled += sizeof(data))
		if (shmc_broadcast_try_push(ends->own.broadcast, data, sizeof(data)) != SHMC_OK)
			break;
	bench_death_expect(
		shmc_broadcast_push(ends->own.broadcast, data, sizeof(data), BENCH_PATIENCE_NS),
		SHMC_OK, "room");
}

static void broadcast_close(struct bench_ends *ends)
{
	shmc_broadcast_close(ends->own.broadcast);
}

/* ---- stream: told to the reader -------------------------------------------------------------- */

static void stream_create(struct shmc_client *client, const char *name)
{
	const struct shmc_stream_options options = { .capacity_bytes = RING_BYTES - 32 };

	bench_death_expect(shmc_stream_create(client, name, &options, NULL), SHMC_OK, "create");
}

static void stream_open(struct shmc_client *client, const char *name, bool is_victim,
			struct bench_ends *ends)
{
	bench_death_expect(shmc_stream_open(client, name,
					    is_victim ? SHMC_STREAM_WRITER : SHMC_STREAM_READER,
					    &ends->own.stream, NULL),
			   SHMC_OK, "open");
}

static void stream_act(struct bench_ends *ends)
{
	bench_death_expect(shmc_stream_write(ends->own.stream, "last", 4, SHMC_TRY), SHMC_OK,
			   "write");
}

static void stream_await(struct bench_ends *ends)
{
	struct shmc_frame frame;
	char buffer[8];

	bench_death_expect(shmc_stream_read(ends->own.stream, buffer, sizeof(buffer),
					    BENCH_PATIENCE_NS, &frame),
			   SHMC_OK, "the frame");
	bench_death_expect(shmc_stream_read(ends->own.stream, buffer, sizeof(buffer),
					    BENCH_PATIENCE_NS, &frame),
			   SHMC_PEER_DEAD, "the writer's death");
}

static void stream_settle(struct bench_ends *ends)
{
	while (!is_over(shmc_stream_peer(ends->own.stream)))
		rest();
}

static void stream_close(struct bench_ends *ends)
{
	shmc_stream_close(ends->own.stream);
}

/* ---- ring: told to the consumer -------------------------------------------------------------- */

static void ring_create(struct shmc_client *client, const char *name)
{
	const struct shmc_ring_options options = { .element_bytes = 8, .elements = 64 };

	bench_death_expect(shmc_ring_create(client, name, &options, NULL), SHMC_OK, "create");
}

static void ring_open(struct shmc_client *client, const char *name, bool is_victim,
		      struct bench_ends *ends)
{
	bench_death_expect(shmc_ring_open(client, name,
					  is_victim ? SHMC_RING_PRODUCER : SHMC_RING_CONSUMER, NULL,
					  &ends->own.ring, NULL),
			   SHMC_OK, "open");
}

static void ring_act(struct bench_ends *ends)
{
	uint64_t count, last = 0;

	bench_death_expect(shmc_ring_push(ends->own.ring, &last, 1, 1, SHMC_TRY, &count), SHMC_OK,
			   "push");
}

static void ring_await(struct bench_ends *ends)
{
	struct shmc_ring_span span;
	uint64_t element;

	bench_death_expect(shmc_ring_pop(ends->own.ring, &element, 1, 1, BENCH_PATIENCE_NS, &span),
			   SHMC_OK, "the element");
	bench_death_expect(shmc_ring_pop(ends->own.ring, &element, 1, 1, BENCH_PATIENCE_NS, &span),
			   SHMC_PEER_DEAD, "the producer's death");
}

static void ring_settle(struct bench_ends *ends)
{
	while (!is_over(shmc_ring_peer(ends->own.ring)))
		rest();
}

static void ring_close(struct bench_ends *ends)
{
	shmc_ring_close(ends->own.ring);
}

/* ---------------------------------------------------------------------------------------------- */

const struct bench_death bench_queue_deaths[] = {
	{ "spsc", "producer", spsc_create, spsc_open_producer, NULL, spsc_act_producer,
	  spsc_await_producer, spsc_settle, spsc_close },
	{ "spsc", "consumer", spsc_create, spsc_open_consumer, NULL, spsc_act_consumer,
	  spsc_await_consumer, spsc_settle, spsc_close },
	{ "pipe", "client", pipe_create, pipe_open, NULL, pipe_act, pipe_await, pipe_settle,
	  pipe_close },
	{ "mpmc", "producer", mpmc_create, mpmc_open_producer, NULL, mpmc_act_producer,
	  mpmc_await_producer, NULL, mpmc_close },
	{ "mpmc", "consumer", mpmc_create, mpmc_open_consumer, NULL, mpmc_act_consumer,
	  mpmc_await_consumer, NULL, mpmc_close },
	{ "broadcast", "reader", broadcast_create, broadcast_open, NULL, broadcast_act,
	  broadcast_await, NULL, broadcast_close },
	{ "stream", "writer", stream_create, stream_open, NULL, stream_act, stream_await,
	  stream_settle, stream_close },
	{ "ring", "producer", ring_create, ring_open, NULL, ring_act, ring_await, ring_settle,
	  ring_close },
	{ .kind = NULL },
};
