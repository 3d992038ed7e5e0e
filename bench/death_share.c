/* death_share: those who die with something in hand that others want. */
#include "bench/contest.h"
#include "bench/death.h"
#include "shmclient/shmclient.h"

/* ---- pool: the only object goes to who waits for one ----------------------------------------- */

static void pool_create(struct shmc_client *client, const char *name)
{
	const struct shmc_pool_options options = { .object_bytes = 64, .objects = 1 };

	bench_death_expect(shmc_pool_create(client, name, &options, NULL), SHMC_OK, "create");
}

static void pool_open(struct shmc_client *client, const char *name, bool is_victim,
		      struct bench_ends *ends)
{
	(void)is_victim;
	bench_death_expect(
		shmc_pool_open(client, name, SHMC_POOL_USER, NULL, &ends->own.pool, NULL), SHMC_OK,
		"open");
}

/* The victim's object, and then the survivor's. */
static void pool_acquire(struct bench_ends *ends)
{
	bench_death_expect(
		shmc_pool_acquire(ends->own.pool, BENCH_PATIENCE_NS, &ends->number, NULL), SHMC_OK,
		"the object");
}

static void pool_settle(struct bench_ends *ends)
{
	bench_death_expect(shmc_pool_release(ends->own.pool, ends->number), SHMC_OK, "release");
}

static void pool_close(struct bench_ends *ends)
{
	shmc_pool_close(ends->own.pool);
}

/* ---- rpc: told to the caller, whose handler shall not run twice ------------------------------ */

static void rpc_create(struct shmc_client *client, const char *name)
{
	const struct shmc_rpc_options options = { .no_redelivery = 1 };

	bench_death_expect(shmc_rpc_create(client, name, &options, NULL), SHMC_OK, "create");
}

static void rpc_open(struct shmc_client *client, const char *name, bool is_victim,
		     struct bench_ends *ends)
{
	bench_death_expect(shmc_rpc_open(client, name,
					 is_victim ? SHMC_RPC_WORKER : SHMC_RPC_CLIENT,
					 &ends->own.rpc, NULL),
			   SHMC_OK, "open");
}

static void rpc_prepare(struct bench_ends *ends)
{
	bench_death_expect(shmc_rpc_start(ends->own.rpc, "call", 4, SHMC_FOREVER, &ends->number),
			   SHMC_OK, "call");
}

static void rpc_act(struct bench_ends *ends)
{
	struct shmc_rpc_request request;

	bench_death_expect(shmc_rpc_take(ends->own.rpc, BENCH_PATIENCE_NS, &request), SHMC_OK,
			   "take");
}

static void rpc_await(struct bench_ends *ends)
{
	struct shmc_rpc_answer answer;

	bench_death_expect(
		shmc_rpc_receive(ends->own.rpc, ends->number, BENCH_PATIENCE_NS, &answer),
		SHMC_PEER_DEAD, "the worker's death");
	if (answer.id != ends->number)
		bench_die("detect: the call goes on");
}

static void rpc_close(struct bench_ends *ends)
{
	shmc_rpc_close(ends->own.rpc);
}

/* ---- buffer: the lock goes to who waits for it, who is told ---------------------------------- */

static void buffer_create(struct shmc_client *client, const char *name)
{
	const struct shmc_buffer_options options = { .size_bytes = 4096 };

	bench_death_expect(shmc_buffer_create(client, name, &options, NULL), SHMC_OK, "create");
}

static void buffer_open(struct shmc_client *client, const char *name, bool is_victim,
			struct bench_ends *ends)
{
	(void)is_victim;
	bench_death_expect(
		shmc_buffer_open(client, name, SHMC_BUFFER_WRITER, &ends->own.buffer, NULL),
		SHMC_OK, "open");
}

static void buffer_act(struct bench_ends *ends)
{
	bench_death_expect(shmc_buffer_lock_write(ends->own.buffer, BENCH_PATIENCE_NS), SHMC_OK,
			   "lock");
}

static void buffer_await(struct bench_ends *ends)
{
	bench_death_expect(shmc_buffer_lock_write(ends->own.buffer, BENCH_PATIENCE_NS),
			   SHMC_OWNER_DIED, "the lock");
}

static void buffer_settle(struct bench_ends *ends)
{
	bench_death_expect(shmc_buffer_mark_consistent(ends->own.buffer), SHMC_OK,
			   "mark consistent");
	bench_death_expect(shmc_buffer_unlock(ends->own.buffer), SHMC_OK, "unlock");
}

static void buffer_close(struct bench_ends *ends)
{
	shmc_buffer_close(ends->own.buffer);
}

/* ---- record: the next transaction begins ----------------------------------------------------- */

static void record_create(struct shmc_client *client, const char *name)
{
	const struct shmc_field field = { .name = "value", .type = SHMC_TYPE_U64 };
	const struct shmc_record_options options = { .fields = &field, .field_count = 1 };

	bench_death_expect(shmc_record_create(client, name, &options, NULL), SHMC_OK, "create");
}

static void record_open(struct shmc_client *client, const char *name, bool is_victim,
			struct bench_ends *ends)
{
	(void)is_victim;
	bench_death_expect(
		shmc_record_open(client, name, SHMC_RECORD_WRITER, NULL, &ends->own.record, NULL),
		SHMC_OK, "open");
}

/* The victim's transaction, and then the survivor's. */
static void record_begin(struct bench_ends *ends)
{
	bench_death_expect(shmc_record_begin(ends->own.record, BENCH_PATIENCE_NS), SHMC_OK,
			   "the transaction");
}

static void record_settle(struct bench_ends *ends)
{
	bench_death_expect(shmc_record_abort(ends->own.record), SHMC_OK, "abort");
}

static void record_close(struct bench_ends *ends)
{
	shmc_record_close(ends->own.record);
}

/* ---------------------------------------------------------------------------------------------- */

const struct bench_death bench_share_deaths[] = {
	{ "pool", "owner", pool_create, pool_open, NULL, pool_acquire, pool_acquire, pool_settle,
	  pool_close },
	{ "rpc", "worker", rpc_create, rpc_open, rpc_prepare, rpc_act, rpc_await, NULL, rpc_close },
	{ "buffer", "writer", buffer_create, buffer_open, NULL, buffer_act, buffer_await,
	  buffer_settle, buffer_close },
	{ "record", "writer", record_create, record_open, NULL, record_begin, record_begin,
	  record_settle, record_close },
	{ .kind = NULL },
};
