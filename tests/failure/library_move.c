/*
 * libshmclient under faults: what moves through a segment moves, whatever fails. Each move is made by
 * handles that were just opened, by one who has a doorbell and found nothing, so that it is also the
 * first use of everything: who sends has to fetch the bell's other end. What waits in vain says so.
 */
#include <poll.h>
#include <string.h>
#include <time.h>

#include "tests/failure/acts.h"
#include "tests/support/runner.h"

#define SHORT_NS 100000

/* Opened by the client; its peer by the other. */
static union {
	struct shmc_spsc *spsc;
	struct shmc_mpmc *mpmc;
	struct shmc_pipe *pipe;
	struct shmc_rpc *rpc;
	struct shmc_record *record;
	struct shmc_broadcast *broadcast;
	struct shmc_pool *pool;
	struct shmc_stream *stream;
	struct shmc_ring *ring;
	struct shmc_array *array;
	struct shmc_atomic *atomic;
	struct shmc_buffer *buffer;
	struct shmc_arena *arena;
} own, peer;

static char bytes[64];

/* The first that is not OK. */
#define TRY(call_)                                  \
	do {                                        \
		enum shmc_result result_ = (call_); \
		if (result_ != SHMC_OK)             \
			return result_;             \
	} while (0)

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Waits in vain, and as long as it was to. */
#define TRY_IN_VAIN(call_)                                                     \
	do {                                                                   \
		int64_t begun_ns = now_ns();                                   \
		enum shmc_result result_ = (call_);                            \
		if (result_ != SHMC_TIMEOUT || now_ns() - begun_ns < SHORT_NS) \
			return result_ ? result_ : -1;                         \
	} while (0)

/* ---- messages -------------------------------------------------------------------------------- */

static enum shmc_result spsc_moves(void)
{
	struct shmc_message message;

	TRY(shmc_spsc_push(peer.spsc, "text", 5, ACT_TIMEOUT_NS));
	TRY(shmc_spsc_pop(own.spsc, bytes, sizeof(bytes), ACT_TIMEOUT_NS, &message));
	TRY_IN_VAIN(shmc_spsc_pop(own.spsc, bytes, sizeof(bytes), SHORT_NS, &message));
	return SHMC_OK;
}

static enum shmc_result mpmc_moves(void)
{
	struct shmc_message message;

	TRY(shmc_mpmc_push(peer.mpmc, "text", 5, ACT_TIMEOUT_NS));
	TRY(shmc_mpmc_pop(own.mpmc, bytes, sizeof(bytes), ACT_TIMEOUT_NS, &message));
	TRY_IN_VAIN(shmc_mpmc_pop(own.mpmc, bytes, sizeof(bytes), SHORT_NS, &message));
	return SHMC_OK;
}

static enum shmc_result broadcast_moves(void)
{
	struct shmc_broadcast_message message;

	TRY(shmc_broadcast_push(peer.broadcast, "text", 5, ACT_TIMEOUT_NS));
	TRY(shmc_broadcast_pop(own.broadcast, bytes, sizeof(bytes), ACT_TIMEOUT_NS, &message));
	TRY_IN_VAIN(shmc_broadcast_pop(own.broadcast, bytes, sizeof(bytes), SHORT_NS, &message));
	return SHMC_OK;
}

static enum shmc_result pipe_moves(void)
{
	struct shmc_message message;

	TRY(shmc_pipe_send(peer.pipe, "ask", 4, ACT_TIMEOUT_NS));
	TRY(shmc_pipe_receive(own.pipe, bytes, sizeof(bytes), ACT_TIMEOUT_NS, &message));
	TRY(shmc_pipe_send(own.pipe, "say", 4, ACT_TIMEOUT_NS));
	TRY(shmc_pipe_receive(peer.pipe, bytes, sizeof(bytes), ACT_TIMEOUT_NS, &message));
	TRY_IN_VAIN(shmc_pipe_receive(own.pipe, bytes, sizeof(bytes), SHORT_NS, &message));
	return SHMC_OK;
}

static enum shmc_result stream_moves(void)
{
	struct shmc_bytes metadata;
	struct shmc_frame frame;

	TRY(shmc_stream_write(peer.stream, "frame", 6, ACT_TIMEOUT_NS));
	TRY(shmc_stream_metadata(own.stream, ACT_TIMEOUT_NS, &metadata));
	TRY(shmc_stream_borrow(own.stream, ACT_TIMEOUT_NS, &frame));
	TRY(shmc_stream_release(own.stream, &frame));
	TRY_IN_VAIN(shmc_stream_read(own.stream, bytes, sizeof(bytes), SHORT_NS, &frame));
	return SHMC_OK;
}

static enum shmc_result ring_moves(void)
{
	struct shmc_ring_span span;
	uint64_t count;

	TRY(shmc_ring_push(peer.ring, "abc", 3, 3, ACT_TIMEOUT_NS, &count));
	TRY(shmc_ring_pop(own.ring, bytes, 3, 3, ACT_TIMEOUT_NS, &span));
	TRY(shmc_ring_push_overwrite(peer.ring, "abc", 3));
	TRY(shmc_ring_clear(own.ring, &count));
	TRY_IN_VAIN(shmc_ring_pop(own.ring, bytes, 3, 3, SHORT_NS, &span));
	return SHMC_OK;
}

/* ---- calls and objects ----------------------------------------------------------------------- */

static enum shmc_result rpc_moves(void)
{
	struct shmc_rpc_request taken;
	struct shmc_rpc_answer answer;
	uint64_t id;

	TRY(shmc_rpc_start(own.rpc, "ask", 4, ACT_TIMEOUT_NS, &id));
	TRY(shmc_rpc_take(peer.rpc, ACT_TIMEOUT_NS, &taken));
	TRY_IN_VAIN(shmc_rpc_receive(own.rpc, id, SHORT_NS, &answer));
	TRY(shmc_rpc_answer(peer.rpc, &taken, 0, "say", 4));
	TRY(shmc_rpc_receive(own.rpc, id, ACT_TIMEOUT_NS, &answer));
	return shmc_rpc_end(own.rpc, id);
}

/* Both are the peer's, and awaited. */
static uint64_t handles[2];

static enum shmc_result pool_moves(void)
{
	uint64_t handle;
	void *data;

	TRY_IN_VAIN(shmc_pool_acquire(own.pool, SHORT_NS, &handle, &data));
	TRY(shmc_pool_release(peer.pool, handles[0]));
	TRY(shmc_pool_release(peer.pool, handles[1]));
	TRY(shmc_pool_acquire(own.pool, ACT_TIMEOUT_NS, &handle, &data));
	return shmc_pool_release(own.pool, handle);
}

/* ---- values ---------------------------------------------------------------------------------- */

static enum shmc_result array_moves(void)
{
	TRY(shmc_array_set(peer.array, 0, "a", 1));
	TRY(shmc_array_fill(peer.array, 1, 3, "b"));
	TRY(shmc_array_get(own.array, 0, bytes, 1));
	TRY(shmc_array_read(own.array, 0, 4, bytes));
	return memcmp(bytes, "abbb", 4) == 0 ? SHMC_OK : -1;
}

static enum shmc_result atomic_moves(void)
{
	uint64_t value;

	TRY(shmc_atomic_load(own.atomic, SHMC_ORDER_ACQUIRE, &value));
	TRY_IN_VAIN(shmc_atomic_wait(own.atomic, value, SHORT_NS, &value));
	TRY(shmc_atomic_store(peer.atomic, value + 1, SHMC_ORDER_RELEASE));
	TRY(shmc_atomic_wake(peer.atomic));
	return shmc_atomic_wait(own.atomic, value, ACT_TIMEOUT_NS, &value);
}

static enum shmc_result buffer_moves(void)
{
	TRY(shmc_buffer_lock_write(peer.buffer, ACT_TIMEOUT_NS));
	TRY_IN_VAIN(shmc_buffer_lock_read(own.buffer, SHORT_NS));
	TRY(shmc_buffer_write(peer.buffer, 0, "text", 5));
	TRY(shmc_buffer_store_checksum(peer.buffer, 0, 5, ACT_TIMEOUT_NS));
	TRY(shmc_buffer_unlock(peer.buffer));
	TRY(shmc_buffer_lock_read(own.buffer, ACT_TIMEOUT_NS));
	TRY(shmc_buffer_verify(own.buffer, 0, 5, bytes, ACT_TIMEOUT_NS));
	return shmc_buffer_unlock(own.buffer);
}

static enum shmc_result record_moves(void)
{
	const double speed = 7;
	struct shmc_place place;
	double value = 0;

	TRY(shmc_record_find(peer.record, "speed", &place));
	TRY(shmc_record_begin(peer.record, ACT_TIMEOUT_NS));
	TRY(shmc_record_put(peer.record, &place, SHMC_TYPE_DOUBLE, &speed, sizeof(speed)));
	TRY(shmc_record_commit(peer.record));
	TRY(shmc_record_wait(own.record, ACT_TIMEOUT_NS));
	TRY(shmc_record_snapshot(own.record));
	TRY(shmc_record_get(own.record, &place, SHMC_TYPE_DOUBLE, &value, sizeof(value)));
	TRY_IN_VAIN(shmc_record_wait(own.record, SHORT_NS));
	return SHMC_OK;
}

static int count_object(void *context, const char *name, const struct shmc_arena_object *object)
{
	return 0;
}

static enum shmc_result arena_moves(void)
{
	struct shmc_arena_statistics statistics;
	struct shmc_arena_object object;

	TRY(shmc_arena_find(own.arena, "object", &object));
	TRY(shmc_arena_check(own.arena, &object));
	TRY(shmc_arena_each(own.arena, count_object, NULL));
	return shmc_arena_statistics(own.arena, &statistics);
}

/* ---- the acts -------------------------------------------------------------------------------- */

/* The run of an act: @open_ and @close_ do not fail. */
#define MOVES(kind_, open_own_, open_peer_, prepare_)            \
	static enum shmc_result kind_##_opens_moves_closes(void) \
	{                                                        \
		bool was_armed = act_pause();                    \
		enum shmc_result result;                         \
		shmt_assert_ok(open_own_);                       \
		shmt_assert_ok(open_peer_);                      \
		prepare_;                                        \
		act_go_on(was_armed);                            \
		result = kind_##_moves();                        \
		act_pause();                                     \
		shmc_##kind_##_close(peer.kind_);                \
		shmc_##kind_##_close(own.kind_);                 \
		act_go_on(was_armed);                            \
		return result;                                   \
	}

#define BOTH(kind_, own_role_, peer_role_, prepare_)                                      \
	MOVES(kind_, shmc_##kind_##_open(client, "queue", own_role_, &own.kind_, &error), \
	      shmc_##kind_##_open(second, "queue", peer_role_, &peer.kind_, NULL), prepare_)

#define BOTH_EXPECTING(kind_, own_role_, peer_role_, expected_, prepare_)                     \
	MOVES(kind_,                                                                          \
	      shmc_##kind_##_open(client, "queue", own_role_, expected_, &own.kind_, &error), \
	      shmc_##kind_##_open(second, "queue", peer_role_, expected_, &peer.kind_, NULL), \
	      prepare_)

/* Has a bell, and finds nothing: from now on it is rung. */
#define HAS_BELL(who_, kind_, look_)                                  \
	do {                                                          \
		int fd;                                               \
		shmt_assert_ok(shmc_##kind_##_fd(who_, &fd, &error)); \
		look_;                                                \
	} while (0)

static struct shmc_message seen;
static struct shmc_broadcast_message heard;
static struct shmc_ring_span span;
static struct shmc_frame frame;
static struct shmc_rpc_request request;
static uint64_t number;
static void *object;

BOTH(spsc, SHMC_SPSC_CONSUMER, SHMC_SPSC_PRODUCER,
     HAS_BELL(own.spsc, spsc, shmc_spsc_try_pop(own.spsc, bytes, sizeof(bytes), &seen)))
BOTH(mpmc, SHMC_MPMC_CONSUMER, SHMC_MPMC_PRODUCER,
     HAS_BELL(own.mpmc, mpmc, shmc_mpmc_try_pop(own.mpmc, bytes, sizeof(bytes), &seen)))
BOTH(broadcast, SHMC_BROADCAST_READER, SHMC_BROADCAST_WRITER,
     HAS_BELL(own.broadcast, broadcast,
	      shmc_broadcast_try_pop(own.broadcast, bytes, sizeof(bytes), &heard)))
BOTH_EXPECTING(pipe, SHMC_PIPE_CLIENT, SHMC_PIPE_HOST, NULL,
	       HAS_BELL(own.pipe, pipe,
			shmc_pipe_try_receive(own.pipe, bytes, sizeof(bytes), &seen)))
BOTH(stream, SHMC_STREAM_READER, SHMC_STREAM_WRITER,
     HAS_BELL(own.stream, stream, shmc_stream_read(own.stream, bytes, sizeof(bytes), 0, &frame));
     shmc_stream_set_metadata(peer.stream, "about", 6))
BOTH_EXPECTING(ring, SHMC_RING_CONSUMER, SHMC_RING_PRODUCER, NULL,
	       HAS_BELL(own.ring, ring, shmc_ring_pop(own.ring, bytes, 1, 1, 0, &span)))
BOTH(rpc, SHMC_RPC_CLIENT, SHMC_RPC_WORKER,
     HAS_BELL(peer.rpc, rpc, shmc_rpc_take(peer.rpc, 0, &request)))
BOTH_EXPECTING(pool, SHMC_POOL_USER, SHMC_POOL_USER, NULL,
	       shmt_assert_ok(shmc_pool_acquire_batch(peer.pool, 2, 0, handles, &number));
	       HAS_BELL(own.pool, pool, shmc_pool_acquire(own.pool, 0, &number, &object)))
BOTH_EXPECTING(array, SHMC_ARRAY_READER, SHMC_ARRAY_WRITER, NULL, )
BOTH_EXPECTING(atomic, SHMC_ATOMIC_READER, SHMC_ATOMIC_WRITER, SHMC_TYPE_I64,
	       HAS_BELL(own.atomic, atomic,
			shmc_atomic_load(own.atomic, SHMC_ORDER_ACQUIRE, &number);
			shmc_atomic_wait(own.atomic, number, 0, &number)))
BOTH(buffer, SHMC_BUFFER_READER, SHMC_BUFFER_WRITER, )
BOTH_EXPECTING(record, SHMC_RECORD_WATCHER, SHMC_RECORD_WRITER, NULL,
	       HAS_BELL(own.record, record, shmc_record_wait(own.record, 0);
			shmc_record_snapshot(own.record); shmc_record_wait(own.record, 0)))
MOVES(arena, shmc_arena_open(client, "queue", &own.arena, &error),
      shmc_arena_open(second, "queue", &peer.arena, NULL), )

/* What they have: of most the default is enough. */
static const struct shmc_field fields[] = { { .name = "speed", .type = SHMC_TYPE_DOUBLE } };
static const struct shmc_record_options record_options = { .fields = fields, .field_count = 1 };
static const struct shmc_pool_options pool_options = { .objects = 2 };
static const struct shmc_arena_options arena_options = { .data_bytes = 1 << 20 };

#define MOVING(kind_, options_, ...)                                                    \
	TEST(kind_##_moves_whatever_fails, .timeout_s = 60)                             \
	{                                                                               \
		const struct act act = { .name = "move in " #kind_,                     \
					 .run = kind_##_opens_moves_closes,             \
					 .always_works = true,                          \
					 __VA_ARGS__ };                                 \
		act_begin();                                                            \
		shmt_assert_ok(shmc_##kind_##_create(second, "queue", options_, NULL)); \
		act_fail_everywhere(&act);                                              \
		act_end();                                                              \
	}

MOVING(spsc, NULL)
MOVING(mpmc, NULL)
MOVING(broadcast, NULL)
MOVING(pipe, NULL)
MOVING(stream, NULL)
MOVING(ring, NULL)
MOVING(rpc, NULL)
MOVING(pool, &pool_options)
MOVING(array, NULL, .asks_nobody = true)
MOVING(atomic, NULL)
MOVING(buffer, NULL)
MOVING(record, &record_options)

TEST(arena_is_looked_into_whatever_fails, .timeout_s = 60)
{
	const struct act act = { .name = "look into an arena",
				 .run = arena_opens_moves_closes,
				 .always_works = true,
				 .asks_nobody = true };

	act_begin();
	shmt_assert_ok(shmc_arena_create(second, "queue", &arena_options, NULL));
	shmt_assert_ok(shmc_spsc_create(second, "queue:object", NULL, NULL));
	act_fail_everywhere(&act);
	act_end();
}

/* ---- sleepers -------------------------------------------------------------------------------- */

/* The first push after the consumer has got a descriptor: the producer has to ask for its end. */
static void push_at_sleeper(const struct fault_round *round)
{
	struct shmc_message message;
	struct pollfd bell = { .events = POLLIN };
	enum shmc_result result;
	char buffer[64];

	own.spsc = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	peer.spsc = shmt_open(second, "queue", SHMC_SPSC_PRODUCER);
	shmt_assert_ok(shmc_spsc_fd(own.spsc, &bell.fd, &error));
	shmt_assert_result(shmc_spsc_try_pop(own.spsc, buffer, sizeof(buffer), &message),
			   SHMC_EMPTY);
	fault_arm(round->chosen, round->error);
	result = shmc_spsc_try_push(peer.spsc, "text", 5);
	fault_disarm();
	shmt_assert_ok(result);
	if (poll(&bell, 1, (int)shmt_scaled(2000)) != 1)
		ck_abort_msg("call %lu (%s): nobody was woken", round->chosen, fault_text());
	shmt_assert_ok(shmc_spsc_try_pop(own.spsc, buffer, sizeof(buffer), &message));
	shmc_spsc_close(peer.spsc);
	shmc_spsc_close(own.spsc);
}

TEST(push_wakes_whatever_fails, .timeout_s = 60)
{
	struct fault_round round = { .chosen = 0 };

	act_begin();
	shmt_create(second, "queue", 4096);
	while (fault_next(&round))
		push_at_sleeper(&round);
	printf("# first push: %lu failures\n", round.failures);
	ck_assert_uint_gt(round.failures, 0);
	act_end();
}
