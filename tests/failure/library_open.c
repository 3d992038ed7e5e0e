/*
 * libshmclient under faults: opening and closing, of every kind, and descriptors to wait with.
 */
#include "tests/failure/acts.h"
#include "tests/support/runner.h"

/* ---- opening, by kind ------------------------------------------------------------------------ */

static union {
	struct shmc_spsc *spsc;
	struct shmc_mpmc *mpmc;
	struct shmc_pipe *pipe;
	struct shmc_rpc *rpc;
	struct shmc_record *record;
	struct shmc_broadcast *broadcast;
	struct shmc_pool *pool;
	struct shmc_arena *arena;
	struct shmc_stream *stream;
	struct shmc_ring *ring;
	struct shmc_array *array;
	struct shmc_atomic *atomic;
	struct shmc_buffer *buffer;
	struct shmc_observer *observer;
} own;

static const struct shmc_field fields[] = {
	{ .name = "speed", .type = SHMC_TYPE_DOUBLE },
};

#define OPENS(kind_, open_, ...)                                                         \
	static enum shmc_result kind_##_opens(void)                                      \
	{                                                                                \
		return shmc_##open_(client, "queue", ##__VA_ARGS__, &own.kind_, &error); \
	}                                                                                \
	static void kind_##_closes(void)                                                 \
	{                                                                                \
		own.kind_ = shmc_##kind_##_close(own.kind_);                             \
	}                                                                                \
	static enum shmc_result kind_##_opens_and_closes(void)                           \
	{                                                                                \
		bool was_armed = act_pause();                                            \
		enum shmc_result result;                                                 \
		result = kind_##_opens();                                                \
		act_go_on(was_armed);                                                    \
		if (result == SHMC_OK)                                                   \
			kind_##_closes();                                                \
		return result;                                                           \
	}

OPENS(spsc, spsc_open, SHMC_SPSC_CONSUMER)
OPENS(mpmc, mpmc_open, SHMC_MPMC_CONSUMER)
OPENS(pipe, pipe_open, SHMC_PIPE_CLIENT, NULL)
OPENS(rpc, rpc_open, SHMC_RPC_CLIENT)
OPENS(record, record_open, SHMC_RECORD_WATCHER, NULL)
OPENS(broadcast, broadcast_open, SHMC_BROADCAST_READER)
OPENS(pool, pool_open, SHMC_POOL_USER, NULL)
OPENS(arena, arena_open)
OPENS(stream, stream_open, SHMC_STREAM_READER)
OPENS(ring, ring_open, SHMC_RING_CONSUMER, NULL)
OPENS(array, array_open, SHMC_ARRAY_WRITER, NULL)
OPENS(atomic, atomic_open, SHMC_ATOMIC_READER, SHMC_TYPE_I64)
OPENS(buffer, buffer_open, SHMC_BUFFER_WRITER)
OPENS(observer, observer_open)

#define FDS(kind_)                                                \
	static enum shmc_result kind_##_fds(void)                 \
	{                                                         \
		int fd;                                           \
		return shmc_##kind_##_fd(own.kind_, &fd, &error); \
	}

#define OPENING(kind_, options_)                                                            \
	TEST(opening_of_##kind_##_fails_whole, .timeout_s = 60)                             \
	{                                                                                   \
		act_begin();                                                                \
		shmt_assert_ok(shmc_##kind_##_create(second, "queue", options_, NULL));     \
		act_fail_everywhere(&(struct act){ "open " #kind_, .run = kind_##_opens,    \
						   .undo = kind_##_closes });               \
		act_fail_everywhere(                                                        \
			&(struct act){ "close " #kind_, .run = kind_##_opens_and_closes }); \
		act_end();                                                                  \
	}

OPENING(spsc, NULL)
OPENING(mpmc, NULL)
OPENING(pipe, NULL)
OPENING(rpc, NULL)
OPENING(record, (&(struct shmc_record_options){ .fields = fields, .field_count = 1 }))
OPENING(broadcast, NULL)
OPENING(pool, NULL)
OPENING(stream, NULL)
OPENING(ring, NULL)
OPENING(array, NULL)
OPENING(atomic, NULL)
OPENING(buffer, NULL)
OPENING(arena, NULL)

TEST(observing_fails_whole, .timeout_s = 60)
{
	act_begin();
	shmt_assert_ok(shmc_mpmc_create(second, "queue", NULL, NULL));
	act_fail_everywhere(
		&(struct act){ "observe", .run = observer_opens, .undo = observer_closes });
	act_fail_everywhere(&(struct act){ "look away", .run = observer_opens_and_closes });
	act_end();
}

static struct shmc_spsc *inside;

static enum shmc_result opens_object(void)
{
	return shmc_spsc_open(client, "arena:object", SHMC_SPSC_CONSUMER, &inside, &error);
}

static void closes_object(void)
{
	inside = shmc_spsc_close(inside);
}

static enum shmc_result creates_object(void)
{
	return shmc_spsc_create(client, "arena:made", NULL, &error);
}

static void unlinks_object(void)
{
	shmt_assert_ok(shmc_unlink(second, "arena:made", NULL));
}

static void unlinks_object_if_there(void)
{
	shmc_unlink(second, "arena:made", NULL);
}

TEST(objects_of_an_arena_fail_whole, .timeout_s = 60)
{
	act_begin();
	shmt_assert_ok(shmc_arena_create(
		second, "arena", &(struct shmc_arena_options){ .data_bytes = 1 << 20 }, NULL));
	shmt_assert_ok(shmc_spsc_create(second, "arena:object", NULL, NULL));
	act_fail_everywhere(
		&(struct act){ "open an object", .run = opens_object, .undo = closes_object });
	act_fail_everywhere(&(struct act){ "create an object", .run = creates_object,
					   .undo = unlinks_object,
					   .clean = unlinks_object_if_there });
	act_end();
}

/* ---- doorbells ------------------------------------------------------------------------------- */

/* Made once for a handle: each round needs a new one. */
#define BELLS(kind_, options_)                                                          \
	FDS(kind_)                                                                      \
	static enum shmc_result kind_##_opens_for_fd(void)                              \
	{                                                                               \
		bool was_armed = act_pause();                                           \
		enum shmc_result result;                                                \
		result = kind_##_opens();                                               \
		act_go_on(was_armed);                                                   \
		if (result == SHMC_OK) {                                                \
			result = kind_##_fds();                                         \
			fault->is_armed = false;                                        \
			/* on the same handle, at once */                               \
			if (result != SHMC_OK)                                          \
				shmt_assert_ok(kind_##_fds());                          \
			kind_##_closes();                                               \
			act_go_on(was_armed);                                           \
		}                                                                       \
		return result;                                                          \
	}                                                                               \
	TEST(doorbell_of_##kind_##_fails_whole, .timeout_s = 60)                        \
	{                                                                               \
		act_begin();                                                            \
		shmt_assert_ok(shmc_##kind_##_create(second, "queue", options_, NULL)); \
		act_fail_everywhere(                                                    \
			&(struct act){ "fd of " #kind_, .run = kind_##_opens_for_fd }); \
		act_end();                                                              \
	}

BELLS(spsc, NULL)
BELLS(mpmc, NULL)
BELLS(pipe, NULL)
BELLS(rpc, NULL)
BELLS(broadcast, NULL)
BELLS(pool, NULL)
BELLS(stream, NULL)
BELLS(ring, NULL)
BELLS(atomic, NULL)
BELLS(record, (&(struct shmc_record_options){ .fields = fields, .field_count = 1 }))
