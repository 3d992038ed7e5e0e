/*
 * What peers do to segments of which any one word was replaced: every 64-bit word of ctl and data,
 * by values that are likely to break something. Handles that were there before and such that come
 * after must end every move, stay between the pages that nobody may touch, and say what they have a
 * word for. The broker's and the observers' part is in kinds_hostile.c.
 *
 * A kind is added by a row: how one takes up a place, and all moves once.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "protocol/array.h"
#include "protocol/atomic.h"
#include "protocol/broadcast.h"
#include "protocol/buffer.h"
#include "protocol/mpmc.h"
#include "protocol/pipe.h"
#include "protocol/pool.h"
#include "protocol/record.h"
#include "protocol/ring.h"
#include "protocol/rpc.h"
#include "protocol/spsc.h"
#include "protocol/stream.h"
#include "protocol/waiter.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/support/schema.h"
#include "tests/support/segment.h"

enum {
	PLACES = 2, /* one to write, one to read; those of the row */
	SIZE = 100,
	VALUES = 17, /* for each word */
	SAMPLED = 5, /* words a sanitizer goes on by: it takes ten times as long */
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRIDE SAMPLED
#else
#define STRIDE 1
#endif

/* What is private to the peers. */
struct handles {
	bool has[PLACES];
	union {
		struct {
			struct shmp_spsc_producer producer;
			struct shmp_spsc_consumer consumer;
		} spsc;
		struct shmp_mpmc mpmc[PLACES];
		struct {
			struct shmp_broadcast_writer writer;
			struct shmp_broadcast_reader reader;
		} broadcast;
		struct {
			struct shmp_stream_writer writer;
			struct shmp_stream_reader reader;
		} stream;
		struct {
			struct shmp_ring_producer producer;
			struct shmp_ring_consumer consumer;
		} ring;
		struct {
			struct shmp_record record;
			struct shmp_locker locker;
		} record[PLACES];
		struct shmp_pipe pipe[PLACES];
		struct shmp_pool pool[PLACES];
		struct shmp_rpc rpc[PLACES];
		struct shmp_buffer buffer[PLACES];
		struct shmp_array array;
		struct shmp_atomic atomic;
	};
};

struct world {
	const struct row *row;
	struct shmt_segment segment;
	struct shmp_segment map; /* between pages that nobody may touch */
	struct handles now, before;
	uint8_t *ctl_before, *data_before;
	uint8_t payload[4096];
};

struct row {
	const char *name, *kind;
	uint64_t option[SHMP_OPTIONS_MAX];
	uint32_t place[PLACES];
	int (*attach)(struct world *world, uint32_t i); /* 0 or -EBADMSG */
	void (*move)(struct world *world);
};

/* An outcome, or bytes that nobody honest writes. */
static bool is_known(int r)
{
	return (r >= 0 && r <= 100) || r == -EBADMSG;
}

#define KNOWN(call_)                           \
	do {                                   \
		int said_ = (call_);           \
		SHMT_REQUIRE(is_known(said_)); \
	} while (0)

/* All of it must be readable. */
static void touch(struct world *world, const void *data, uint64_t size)
{
	SHMT_REQUIRE(size <= sizeof(world->payload));
	memcpy(world->payload, data, size);
}

/* spsc */

static int attach_spsc(struct world *world, uint32_t i)
{
	return i == 0 ? shmp_spsc_attach_producer(&world->map, &world->now.spsc.producer) :
			shmp_spsc_attach_consumer(&world->map, &world->now.spsc.consumer);
}

static void move_spsc(struct world *world)
{
	struct shmp_spsc_producer *producer = &world->now.spsc.producer;
	struct shmp_spsc_consumer *consumer = &world->now.spsc.consumer;
	struct shmp_spsc_message message = { .size = 0 };

	if (world->now.has[0]) {
		KNOWN(shmp_spsc_push(producer, world->payload, SIZE));
		KNOWN(shmp_spsc_batch_add(producer, world->payload, SIZE));
		KNOWN(shmp_spsc_batch_add(producer, world->payload, 8));
		shmp_spsc_batch_publish(producer);
		if (shmp_spsc_consumer_waits(producer))
			shmp_spsc_tell_consumer(producer, NULL, NULL);
	}
	for (int i = 0; world->now.has[1] && i < 4; i++)
		KNOWN(shmp_spsc_pop(consumer, world->payload, sizeof(world->payload), &message));
}

/* mpmc */

static int attach_mpmc(struct world *world, uint32_t i)
{
	return shmp_mpmc_attach(&world->map, i, i == 0 ? SHMP_MPMC_PRODUCER : SHMP_MPMC_CONSUMER,
				&world->now.mpmc[i]);
}

static void move_mpmc(struct world *world)
{
	struct shmp_mpmc *producer = &world->now.mpmc[0], *consumer = &world->now.mpmc[1];
	struct shmp_mpmc_message message = { .size = 0 };

	for (int i = 0; world->now.has[0] && i < 3; i++)
		KNOWN(shmp_mpmc_push(producer, world->payload, SIZE));
	for (int i = 0; world->now.has[1] && i < 4; i++)
		KNOWN(shmp_mpmc_pop(consumer, world->payload, sizeof(world->payload), &message));
}

/* broadcast */

static int attach_broadcast(struct world *world, uint32_t i)
{
	struct handles *now = &world->now;

	if (i == 0)
		return shmp_broadcast_attach_writer(&world->map, 0, &now->broadcast.writer);
	return shmp_broadcast_attach_reader(&world->map, world->row->place[1],
					    SHMP_BROADCAST_FROM_OLDEST, 0, &now->broadcast.reader);
}

static void write_broadcast(struct world *world)
{
	struct shmp_broadcast_writer *writer = &world->now.broadcast.writer;
	const struct shmp_broadcast_piece pieces[] = { { world->payload, SIZE },
						       { world->payload, 0 },
						       { world->payload, 8 } };
	uint64_t count;
	uint8_t *room;

	KNOWN(shmp_broadcast_push(writer, world->payload, SIZE));
	KNOWN(shmp_broadcast_push_pieces(writer, pieces, 3, &count));
	if (writer->ring.is_exclusive && shmp_broadcast_reserve(writer, SIZE, &room) == SHMP_DONE) {
		memset(room, 1, SIZE);
		shmp_broadcast_commit(writer, 8);
	}
	shmp_broadcast_queue(writer, 9);
	shmp_broadcast_leave_queue(writer);
	if (shmp_broadcast_readers_wait(&writer->ring))
		shmp_broadcast_tell_readers(writer, NULL, NULL);
}

static void read_broadcast(struct world *world)
{
	struct shmp_broadcast_reader *reader = &world->now.broadcast.reader;
	struct shmp_broadcast_message message = { .size = 0 };
	uint64_t lost[SHMP_ENDPOINTS_MAX];

	KNOWN(shmp_broadcast_count_lost(reader, lost));
	if (shmp_broadcast_peek(reader, &message) == SHMP_DONE) {
		touch(world, message.data, message.size);
		KNOWN(shmp_broadcast_release(reader, &message));
	}
	for (int i = 0; i < 3; i++)
		KNOWN(shmp_broadcast_pop(reader, world->payload, sizeof(world->payload), &message));
}

static void move_broadcast(struct world *world)
{
	if (world->now.has[0])
		write_broadcast(world);
	if (world->now.has[1])
		read_broadcast(world);
}

/* stream */

static int attach_stream(struct world *world, uint32_t i)
{
	return i == 0 ? shmp_stream_attach_writer(&world->map, &world->now.stream.writer) :
			shmp_stream_attach_reader(&world->map, &world->now.stream.reader);
}

static void move_stream(struct world *world)
{
	struct shmp_stream_frame frame = { .size = 0 };
	const void *bytes;
	uint64_t size;

	if (world->now.has[0]) {
		KNOWN(shmp_stream_set_metadata(&world->now.stream.writer, "metadata", 8));
		KNOWN(shmp_stream_write(&world->now.stream.writer, world->payload, SIZE));
	}
	if (shmp_stream_metadata(&world->map, &bytes, &size) == SHMP_DONE)
		touch(world, bytes, size);
	for (int i = 0; world->now.has[1] && i < 3; i++)
		KNOWN(shmp_stream_read(&world->now.stream.reader, world->payload,
				       sizeof(world->payload), &frame));
}

/* buffer */

static int attach_buffer(struct world *world, uint32_t i)
{
	return shmp_buffer_attach(&world->map, i, &world->now.buffer[i]);
}

static void move_buffer(struct world *world)
{
	for (uint32_t i = 0; i < PLACES; i++) {
		struct shmp_buffer *buffer = &world->now.buffer[i];
		int r;

		if (!world->now.has[i])
			continue;
		r = shmp_lock_try_write(&buffer->locker);
		SHMT_REQUIRE(is_known(r));
		if (r != SHMP_DONE && r != SHMP_OWNER_DIED)
			continue;
		KNOWN(shmp_buffer_store_checksum(buffer, 0, SIZE));
		KNOWN(shmp_buffer_verify(buffer, 0, SIZE, NULL));
		KNOWN(shmp_buffer_forget_checksum(buffer, 0, SIZE));
		if (r == SHMP_OWNER_DIED)
			KNOWN(shmp_lock_mark_consistent(&buffer->locker));
		KNOWN(shmp_lock_unlock(&buffer->locker));
		r = shmp_lock_try_read(&buffer->locker);
		SHMT_REQUIRE(is_known(r));
		if (r == SHMP_DONE || r == SHMP_OWNER_DIED)
			KNOWN(shmp_lock_unlock(&buffer->locker));
	}
}

/* atomic */

static int attach_atomic(struct world *world, uint32_t i)
{
	shmp_atomic_view(&world->map, &world->now.atomic);
	return 0;
}

static void move_atomic(struct world *world)
{
	uint64_t expected = shmp_atomic_load(&world->now.atomic, memory_order_acquire);

	shmp_atomic_compare_exchange(&world->now.atomic, &expected, 7);
	shmp_atomic_change(&world->now.atomic, SHMP_ATOMIC_ADD, 3, memory_order_seq_cst);
	if (shmp_atomic_is_watched(&world->now.atomic))
		shmp_atomic_tell(&world->now.atomic, NULL, NULL);
}

/* array */

static int attach_array(struct world *world, uint32_t i)
{
	shmp_array_view(&world->map, &world->now.array);
	return 0;
}

static void move_array(struct world *world)
{
	if (shmp_array_has(&world->now.array, 5, 3))
		shmp_array_fill(&world->now.array, 5, 3, world->payload);
}

/* pipe */

static int attach_pipe(struct world *world, uint32_t i)
{
	return shmp_pipe_attach(&world->map, i == 0 ? SHMP_PIPE_HOST : SHMP_PIPE_CLIENT,
				&world->now.pipe[i]);
}

static void move_pipe(struct world *world)
{
	struct shmp_spsc_message message = { .size = 0 };

	for (uint32_t i = 0; i < PLACES; i++)
		if (world->now.has[i])
			KNOWN(shmp_pipe_push(&world->now.pipe[i], world->payload, SIZE));
	for (uint32_t i = 0; i < PLACES; i++)
		for (int times = 0; world->now.has[i] && times < 2; times++)
			KNOWN(shmp_pipe_pop(&world->now.pipe[i], world->payload,
					    sizeof(world->payload), &message));
}

/* ring */

static int attach_ring(struct world *world, uint32_t i)
{
	return i == 0 ? shmp_ring_attach_producer(&world->map, &world->now.ring.producer) :
			shmp_ring_attach_consumer(&world->map, &world->now.ring.consumer);
}

static void move_ring(struct world *world)
{
	struct shmp_ring_span span = { .count = 0 };
	uint64_t count;

	if (world->now.has[0]) {
		KNOWN(shmp_ring_push(&world->now.ring.producer, world->payload, 9, 1, &count));
		KNOWN(shmp_ring_push_over(&world->now.ring.producer, world->payload, 3));
	}
	for (int i = 0; world->now.has[1] && i < 2; i++)
		KNOWN(shmp_ring_pop(&world->now.ring.consumer, world->payload, 8, 1, &span));
}

/* pool */

static int attach_pool(struct world *world, uint32_t i)
{
	return shmp_pool_attach(&world->map, i, &world->now.pool[i]);
}

/* What is acquired is given back, handed over, or left in transit. */
static void use_pool(struct shmp_pool *pool, uint32_t to)
{
	uint64_t handle;
	int r = shmp_pool_acquire(pool, &handle);

	SHMT_REQUIRE(is_known(r));
	if (r == SHMP_DONE) {
		SHMT_REQUIRE(shmp_pool_index(handle) < pool->view.count);
		memset(shmp_pool_at(&pool->view, shmp_pool_index(handle)), 1, SIZE);
		KNOWN(shmp_pool_transfer(pool, handle, to));
		KNOWN(shmp_pool_claim(pool, handle));
		KNOWN(shmp_pool_reclaim(pool, handle));
	}
	if (shmp_pool_acquire(pool, &handle) == SHMP_DONE)
		KNOWN(shmp_pool_release(pool, handle));
	shmp_pool_reclaim_abandoned(pool);
	if (shmp_pool_is_awaited(pool))
		shmp_pool_tell(pool, NULL, NULL);
}

static void move_pool(struct world *world)
{
	struct shmp_pool_counts counts;

	for (uint32_t i = 0; i < PLACES; i++)
		if (world->now.has[i])
			use_pool(&world->now.pool[i], i == 0 ? 1 : SHMP_POOL_ANYONE);
	shmp_pool_count(&world->map, &counts);
}

/* rpc */

static int attach_rpc(struct world *world, uint32_t i)
{
	return shmp_rpc_attach(&world->map, world->row->place[i], &world->now.rpc[i]);
}

static void work_rpc(struct world *world, struct shmp_rpc *rpc)
{
	struct shmp_rpc_request request = { .size = 0 };

	for (int i = 0; i < 2 && shmp_rpc_take(rpc, &request) == SHMP_DONE; i++) {
		touch(world, request.data, request.size);
		KNOWN(shmp_rpc_answer(rpc, &request, 0, world->payload, SIZE));
		if (shmp_rpc_client_waits(rpc, request.client))
			shmp_rpc_tell_client(rpc, request.client, NULL, NULL);
	}
}

static void call_rpc(struct world *world, struct shmp_rpc *rpc)
{
	struct shmp_rpc_answer answer = { .id = 0 };
	uint64_t id = 0;

	if (shmp_rpc_receive(rpc, 0, &answer) == SHMP_DONE) {
		touch(world, answer.data, answer.size);
		KNOWN(shmp_rpc_release(rpc, answer.id));
	}
	KNOWN(shmp_rpc_start(rpc, world->payload, SIZE, 1, &id));
	KNOWN(shmp_rpc_start(rpc, world->payload, SIZE, UINT64_MAX, &id));
	KNOWN(shmp_rpc_release(rpc, id));
	KNOWN(shmp_rpc_start(rpc, world->payload, SIZE, UINT64_MAX, &id));
	KNOWN(shmp_rpc_receive(rpc, 0, &answer));
	if (shmp_rpc_workers_wait(rpc))
		shmp_rpc_tell_workers(rpc, NULL, NULL);
}

static void move_rpc(struct world *world)
{
	struct shmp_rpc_counts counts;

	if (world->now.has[1])
		call_rpc(world, &world->now.rpc[1]);
	if (world->now.has[0])
		work_rpc(world, &world->now.rpc[0]);
	if (world->now.has[1])
		call_rpc(world, &world->now.rpc[1]);
	shmp_rpc_count(&world->map, &counts);
}

/* record */

static const struct shmt_field record_fields[] = {
	{ .name = "a", .type = SHMP_TYPE_U64, .count = 1 },
	{ .name = "b", .type = SHMP_TYPE_U64, .count = 1 },
};

static int attach_record(struct world *world, uint32_t i)
{
	struct shmp_record *record = &world->now.record[i].record;

	shmp_record_view(&world->map, record);
	shmp_lock_attach(&record->control->lock, &world->map, i, &world->now.record[i].locker);
	return 0;
}

static void move_record(struct world *world)
{
	uint64_t number;

	for (uint32_t i = 0; i < PLACES; i++) {
		struct shmp_record *record = &world->now.record[i].record;
		struct shmp_locker *locker = &world->now.record[i].locker;
		int r = shmp_lock_try_write(locker);

		SHMT_REQUIRE(is_known(r));
		if (r == SHMP_DONE || r == SHMP_OWNER_DIED) {
			shmp_record_begin(record);
			shmp_record_keep(record);
			shmp_record_commit(record);
			if (r == SHMP_OWNER_DIED)
				KNOWN(shmp_lock_mark_consistent(locker));
			KNOWN(shmp_lock_unlock(locker));
		}
		KNOWN(shmp_record_read(record, world->payload, &number));
	}
}

static const struct row rows[] = {
	{ "spsc", "spsc", { [SHMP_SPSC_CAPACITY_BYTES] = 4096 }, { 0, 1 }, attach_spsc, move_spsc },
	{ "mpmc",
	  "mpmc",
	  { [SHMP_MPMC_SLOTS] = 8,
	    [SHMP_MPMC_MESSAGE_BYTES_MAX] = 200,
	    [SHMP_MPMC_ENDPOINTS_MAX] = 4 },
	  { 0, 1 },
	  attach_mpmc,
	  move_mpmc },
	{ "broadcast, overwrite",
	  "broadcast",
	  { [SHMP_BROADCAST_CAPACITY_BYTES] = 4096,
	    [SHMP_BROADCAST_WRITERS_MAX] = 2,
	    [SHMP_BROADCAST_READERS_MAX] = 2 },
	  { 0, 2 },
	  attach_broadcast,
	  move_broadcast },
	{ "broadcast, block",
	  "broadcast",
	  { [SHMP_BROADCAST_CAPACITY_BYTES] = 4096,
	    [SHMP_BROADCAST_WRITERS_MAX] = 2,
	    [SHMP_BROADCAST_READERS_MAX] = 2,
	    [SHMP_BROADCAST_BLOCK] = 1 },
	  { 0, 2 },
	  attach_broadcast,
	  move_broadcast },
	{ "broadcast, exclusive",
	  "broadcast",
	  { [SHMP_BROADCAST_CAPACITY_BYTES] = 4096,
	    [SHMP_BROADCAST_READERS_MAX] = 2,
	    [SHMP_BROADCAST_EXCLUSIVE] = 1 },
	  { 0, 1 },
	  attach_broadcast,
	  move_broadcast },
	{ "stream",
	  "stream",
	  { [SHMP_STREAM_CAPACITY_BYTES] = 4096, [SHMP_STREAM_METADATA_BYTES] = 64 },
	  { 0, 1 },
	  attach_stream,
	  move_stream },
	{ "buffer",
	  "buffer",
	  { [SHMP_BUFFER_SIZE_BYTES] = 4096,
	    [SHMP_BUFFER_ENDPOINTS_MAX] = 4,
	    [SHMP_BUFFER_CHECKSUMS_MAX] = 4 },
	  { 0, 1 },
	  attach_buffer,
	  move_buffer },
	{ "record", "record", { 0 }, { 0, 1 }, attach_record, move_record },
	{ "array",
	  "array",
	  { [SHMP_ARRAY_ELEMENT_BYTES] = 8,
	    [SHMP_ARRAY_ELEMENTS] = 64,
	    [SHMP_ARRAY_ENDPOINTS_MAX] = 4 },
	  { 0, 1 },
	  attach_array,
	  move_array },
	{ "pipe", "pipe", { [SHMP_PIPE_CAPACITY_BYTES] = 4096 }, { 0, 1 }, attach_pipe, move_pipe },
	{ "ring",
	  "ring",
	  { [SHMP_RING_ELEMENT_BYTES] = 24, [SHMP_RING_ELEMENTS] = 32 },
	  { 0, 1 },
	  attach_ring,
	  move_ring },
	{ "pool",
	  "pool",
	  { [SHMP_POOL_OBJECT_BYTES] = SIZE,
	    [SHMP_POOL_OBJECTS] = 70,
	    [SHMP_POOL_ENDPOINTS_MAX] = 4 },
	  { 0, 1 },
	  attach_pool,
	  move_pool },
	{ "rpc",
	  "rpc",
	  { [SHMP_RPC_MESSAGE_BYTES_MAX] = 200,
	    [SHMP_RPC_CALLS] = 3,
	    [SHMP_RPC_WORKERS_MAX] = 2,
	    [SHMP_RPC_CLIENTS_MAX] = 2,
	    [SHMP_RPC_REDELIVERY] = 1 },
	  { 0, 2 },
	  attach_rpc,
	  move_rpc },
	{ "atomic",
	  "atomic",
	  { [SHMP_ATOMIC_ENDPOINTS_MAX] = 4 },
	  { 0, 1 },
	  attach_atomic,
	  move_atomic },
};

/* The world */

static uint64_t data_bytes(const struct world *world)
{
	return world->segment.plan.data_bytes == 0 ?
		       0 :
		       shmp_segment_data_room(&world->segment.plan, world->segment.kind->mirrored);
}

static void attach_all(struct world *world)
{
	memset(&world->now, 0, sizeof(world->now));
	for (uint32_t i = 0; i < PLACES; i++) {
		int r = world->row->attach(world, i);

		SHMT_REQUIRE(r == 0 || r == -EBADMSG);
		world->now.has[i] = r == 0;
	}
}

static struct world *make(const struct row *row)
{
	struct world *world = calloc(1, sizeof(*world));
	uint64_t option[SHMP_OPTIONS_MAX];
	const struct shmp_kind *kind = shmp_kind_find(row->kind);

	SHMT_REQUIRE(kind);
	world->row = row;
	for (size_t i = 0; i < SHMP_OPTIONS_MAX; i++)
		option[i] = row->option[i] == 0 && i < kind->option_count ?
				    kind->options[i].preset :
				    row->option[i];
	if (kind == &shmp_record_kind)
		shmt_record_make(&world->segment, record_fields, 2, 4);
	else
		shmt_segment_make(&world->segment, row->kind, option);
	world->map = shmt_segment_map_guarded(&world->segment, PROT_READ | PROT_WRITE);
	for (uint32_t i = 0; i < PLACES; i++)
		shmt_place_assign(&world->segment, row->place[i]);
	attach_all(world);
	SHMT_REQUIRE(world->now.has[0] && world->now.has[1]);
	row->move(world);
	row->move(world);
	world->ctl_before = malloc(world->segment.plan.ctl_bytes);
	world->data_before = malloc(data_bytes(world) + 1);
	SHMT_REQUIRE(world->ctl_before && world->data_before);
	memcpy(world->ctl_before, world->map.head, world->segment.plan.ctl_bytes);
	if (data_bytes(world) > 0)
		memcpy(world->data_before, world->map.data, data_bytes(world));
	world->before = world->now;
	return world;
}

static void restore(struct world *world)
{
	memcpy(world->map.head, world->ctl_before, world->segment.plan.ctl_bytes);
	if (data_bytes(world) > 0)
		memcpy(world->map.data, world->data_before, data_bytes(world));
	world->now = world->before;
}

static void done(struct world *world)
{
	free(world->ctl_before);
	free(world->data_before);
	shmt_segment_free(&world->segment);
	free(world);
}

/* Those who were there; then the broker gives both places to others. */
static void play(struct world *world)
{
	const struct shmp_kind *kind = world->segment.kind;

	world->row->move(world);
	for (uint32_t i = 0; i < PLACES; i++) {
		kind->repair(&world->map, world->row->place[i], true);
		kind->attach(&world->map, world->row->place[i]);
	}
	attach_all(world);
	world->row->move(world);
}

/* What @word is replaced by: VALUES of them. */
static void choose_values(uint64_t word, struct shmt_random *random, uint64_t *ret_values)
{
	const uint64_t values[] = {
		0,
		1,
		UINT64_MAX,
		UINT64_C(1) << 63,
		UINT64_C(1) << 31,
		word + 1,
		word - 1,
		word + 8,
		word - 8,
		word + 4096,
		word - 4096,
		word + (256 << 8), /* a lap of positions in units, over an owner */
		word - (256 << 8),
		word ^ UINT64_C(1) << 63,
		~word,
		shmt_random_next(random),
		shmt_random_next(random) >> shmt_random_next(random) % 64,
	};

	static_assert(sizeof(values) == VALUES * sizeof(uint64_t), "VALUES");
	memcpy(ret_values, values, sizeof(values));
}

static void replace_each(struct world *world, struct shmt_random *random, uint8_t *part,
			 uint64_t bytes)
{
	uint64_t word, values[VALUES];

	restore(world);
	for (uint64_t at = 0; at + 8 <= bytes; at += 8 * STRIDE) {
		memcpy(&word, part + at, 8);
		choose_values(word, random, values);
		for (size_t i = 0; i < VALUES; i++) {
			memcpy(part + at, &values[i], 8);
			play(world);
			restore(world);
		}
	}
}

TEST(any_word_replaced_beside_any_peer_harms_nobody, .timeout_s = 60)
{
	struct shmt_random random = { shmt_seed() };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t since = shmp_clock_ns();
		struct world *world = make(&rows[i]);

		play(world);
		replace_each(world, &random, (uint8_t *)world->map.head,
			     world->segment.plan.ctl_bytes);
		replace_each(world, &random, world->map.data, world->segment.plan.data_bytes);
		done(world);
		printf("# %s: %lu ms\n", rows[i].name,
		       (unsigned long)((shmp_clock_ns() - since) / 1000000));
	}
}

/* Where all can only look, there is no peer whose words could be hostile. */
static bool has_peers(const struct shmp_kind *kind)
{
	for (size_t i = 0; i < kind->role_count; i++)
		if (!kind->roles[i].observes)
			return true;
	return false;
}

/* One that comes without a row would not be tested. */
TEST(every_kind_has_a_row)
{
	for (size_t i = 0; i < shmp_kind_count; i++) {
		bool has_row = !has_peers(shmp_kinds[i]);

		for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
			has_row = has_row || strcmp(rows[k].kind, shmp_kinds[i]->name) == 0;
		ck_assert_msg(has_row, "%s: no row above", shmp_kinds[i]->name);
	}
}

SHMT_MAIN
