/* ck: see ck.h. */
#include "bench/ck.h"

#include <ck_backoff.h>
#include <ck_ring.h>

#include "bench/stream.h"

struct ck_shared {
	ck_ring_t ring;
	_Alignas(64) uint64_t number[2];
	_Alignas(4096) uint8_t buffer[];
};

static uint64_t shared_bytes(const struct bench_ck *ck)
{
	return sizeof(struct ck_shared) + ck->ring_bytes;
}

static void make(struct bench_contender *self)
{
	const struct bench_ck *ck = self->argument;
	struct ck_shared *shared = bench_shared_new(shared_bytes(ck));

	ck_ring_init(&shared->ring, (unsigned)(ck->ring_bytes / ck->bytes));
	self->shared = shared;
}

static void unmake(struct bench_contender *self)
{
	self->shared = bench_shared_free(self->shared, shared_bytes(self->argument));
}

static void open_side(struct bench_contender *self, unsigned side)
{
	const struct bench_ck *ck = self->argument;

	(void)side;
	self->own = bench_message_new(ck->bytes);
}

static void close_side(struct bench_contender *self, unsigned side)
{
	(void)side;
	free(self->own);
}

BENCH_INLINE void wait_once(enum bench_ck_wait wait, ck_backoff_t *backoff)
{
	if (wait == BENCH_CK_BACKOFF)
		ck_backoff_eb(backoff);
	else
		for (unsigned i = 0; i < (wait == BENCH_CK_PACE ? 32 : 1); i++)
			ck_pr_stall();
}

#define FOR_WAIT(bytes, name, wait)                                                            \
	static inline void push_##bytes##_##name(void *queue, const void *data, uint64_t size) \
	{                                                                                      \
		struct ck_shared *shared = queue;                                              \
		ck_backoff_t backoff = CK_BACKOFF_INITIALIZER;                                 \
                                                                                               \
		(void)size;                                                                    \
		while (!CK_RING_ENQUEUE_SPSC(element_##bytes, &shared->ring,                   \
					     (struct element_##bytes *)(void *)shared->buffer, \
					     (void *)(uintptr_t)data))                         \
			wait_once(wait, &backoff);                                             \
	}                                                                                      \
	static inline void pop_##bytes##_##name(void *queue, void *data, uint64_t size)        \
	{                                                                                      \
		struct ck_shared *shared = queue;                                              \
		ck_backoff_t backoff = CK_BACKOFF_INITIALIZER;                                 \
                                                                                               \
		(void)size;                                                                    \
		while (!CK_RING_DEQUEUE_SPSC(element_##bytes, &shared->ring,                   \
					     (struct element_##bytes *)(void *)shared->buffer, \
					     data))                                            \
			wait_once(wait, &backoff);                                             \
	}                                                                                      \
	static void stream_##bytes##_##name(struct bench_contender *self, unsigned side,       \
					    uint64_t count, struct bench_pieces *pieces)       \
	{                                                                                      \
		struct ck_shared *shared = self->shared;                                       \
		uint64_t number = shared->number[side];                                        \
                                                                                               \
		if (side == 0)                                                                 \
			bench_stream_receive(shared, pop_##bytes##_##name, self->own, bytes,   \
					     &number, count, self->piece, pieces);             \
		else                                                                           \
			bench_stream_send(shared, push_##bytes##_##name, self->own, bytes,     \
					  &number, count);                                     \
		shared->number[side] = number;                                                 \
	}

#define FOR_BYTES(bytes)                                                                         \
	struct element_##bytes {                                                                 \
		uint64_t words[(bytes) / 8];                                                     \
	};                                                                                       \
	CK_RING_PROTOTYPE(element_##bytes, element_##bytes)                                      \
	FOR_WAIT(bytes, stall, BENCH_CK_STALL)                                                   \
	FOR_WAIT(bytes, backoff, BENCH_CK_BACKOFF)                                               \
	FOR_WAIT(bytes, pace, BENCH_CK_PACE)                                                     \
	static void pair_##bytes(struct bench_contender *self, unsigned side, uint64_t count,    \
				 struct bench_pieces *pieces)                                    \
	{                                                                                        \
		struct ck_shared *shared = self->shared;                                         \
		uint64_t number = shared->number[side];                                          \
                                                                                                 \
		bench_pair(shared, push_##bytes##_stall, shared, pop_##bytes##_stall, self->own, \
			   bytes, &number, count, self->piece, pieces);                          \
		shared->number[side] = number;                                                   \
	}

/* NOLINTBEGIN(performance-no-int-to-ptr): the library's own macros */
/* cppcheck-suppress unknownMacro */
FOR_BYTES(8)
FOR_BYTES(64)
FOR_BYTES(128)
FOR_BYTES(1024)
FOR_BYTES(65536)
/* NOLINTEND(performance-no-int-to-ptr) */

static const struct {
	uint64_t bytes;
	void (*stream[3])(struct bench_contender *, unsigned, uint64_t, struct bench_pieces *);
	void (*pair)(struct bench_contender *, unsigned, uint64_t, struct bench_pieces *);
} table[] = {
#define ROW(bytes)                                                          \
	{                                                                   \
		bytes,                                                      \
			{ stream_##bytes##_stall, stream_##bytes##_backoff, \
			  stream_##bytes##_pace },                          \
			pair_##bytes                                        \
	}
	ROW(8), ROW(64), ROW(128), ROW(1024), ROW(65536),
};

static struct bench_contender contender(const struct bench_ck *ck, const char *name)
{
	return (struct bench_contender){
		.name = name,
		.piece = ck->bytes < 65536 ? 1024 : 1,
		.argument = ck,
		.make = make,
		.open = open_side,
		.close = close_side,
		.unmake = unmake,
	};
}

static unsigned row_of(const struct bench_ck *ck)
{
	unsigned row = 0;

	while (table[row].bytes != ck->bytes)
		if (++row == sizeof(table) / sizeof(table[0]))
			bench_die("no ck ring for %llu bytes", (unsigned long long)ck->bytes);
	return row;
}

struct bench_contender bench_ck_stream(const struct bench_ck *ck, enum bench_ck_wait wait)
{
	static const char *const names[] = { "ck ring", "ck ring, ck_backoff_eb",
					     "ck ring, 32 pauses" };
	struct bench_contender self = contender(ck, names[wait]);

	self.run = table[row_of(ck)].stream[wait];
	return self;
}

struct bench_contender bench_ck_pair(const struct bench_ck *ck)
{
	struct bench_contender self = contender(ck, "ck ring pair");

	self.run = table[row_of(ck)].pair;
	return self;
}
