/*
 * A writer and a reader, threads of one process, as fast as they can: copied or in place, with
 * numbers left out, up to eight frames held and given back in a random order. Every byte is checked
 * when a frame is given back, so that what is held is seen to last. In one mapping, where the thread
 * sanitizer sees both sides touch the same addresses; and in two mappings of the same memory.
 */
#include <pthread.h>
#include <string.h>

#include "tests/support/random.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"
#include "tests/support/stream.h"

enum {
	FRAMES = 300000,
	CAPACITY = 16384 - SHMP_STREAM_OVERHEAD,
	LONG = 3000,
	HELD_MAX = 8,
};

struct side {
	struct shmt_stream *stream;
	uint64_t total; /* frames */
	struct shmt_random random;
};

/* By number: mostly short, some long, now and then the largest there is. */
static uint64_t size_of(uint64_t number)
{
	struct shmt_random random = { number };
	uint64_t kind = shmt_random_below(&random, 1000);

	if (kind == 0)
		return CAPACITY;
	return shmt_random_below(&random, kind < 100 ? LONG : 200);
}

/* Numbers that are left out before this one. */
static uint64_t gap_before(uint64_t number)
{
	struct shmt_random random = { ~number };

	return shmt_random_below(&random, 50) == 0 ? 1 + shmt_random_below(&random, 3) : 0;
}

static int write_one(struct side *side, uint64_t number)
{
	struct shmp_stream_writer *writer = &side->stream->writer;
	uint64_t size = size_of(number);
	uint8_t *room;
	int r;

	if (number % 2)
		return shmt_stream_write(side->stream, size, number);
	r = shmp_stream_reserve(writer, size, &room);
	if (r != SHMP_DONE)
		return r;
	shmt_message_fill(room, size, number);
	shmp_stream_commit(writer, size);
	return SHMP_DONE;
}

static void *write_all(void *context)
{
	struct side *side = context;
	struct shmp_spsc_producer *ring = &side->stream->writer.ring;
	struct shmp_endpoint *self = ring->self;

	for (uint64_t number = 0; number < side->total; number++) {
		uint64_t gap = gap_before(number);
		int r;

		if (gap)
			shmp_stream_skip(&side->stream->writer, gap);
		while ((r = write_one(side, number)) == SHMP_FULL) {
			uint32_t key = shmp_waiter_prepare(ring->not_full, self, SHMP_STREAM_WRITER,
							   true);

			if (shmp_stream_reserve(&side->stream->writer, size_of(number),
						&(uint8_t *){ NULL }) == SHMP_FULL)
				shmp_waiter_sleep(ring->not_full, key, UINT64_MAX);
			shmp_waiter_finish(ring->not_full, SHMP_STREAM_WRITER);
		}
		SHMT_REQUIRE(r == SHMP_DONE);
		if (shmp_spsc_consumer_waits(ring))
			shmp_spsc_tell_consumer(ring, NULL, NULL);
	}
	return NULL;
}

struct held {
	struct shmp_stream_frame frame[HELD_MAX];
	uint64_t number[HELD_MAX];
	uint32_t count;
};

static void give_one_back(struct side *side, struct held *held)
{
	uint32_t which = (uint32_t)shmt_random_below(&side->random, held->count);
	struct shmp_stream_frame *frame = &held->frame[which];
	struct shmp_spsc_consumer *ring = &side->stream->reader.ring;

	SHMT_REQUIRE(shmt_stream_is(side->stream, frame, size_of(held->number[which]),
				    held->number[which]));
	SHMT_REQUIRE(shmp_stream_give_back(&side->stream->reader, frame->loan, frame->position) ==
		     SHMP_DONE);
	held->count--;
	*frame = held->frame[held->count];
	held->number[which] = held->number[held->count];
	if (shmp_spsc_producer_waits(ring))
		shmp_spsc_tell_producer(ring, NULL, NULL);
}

/* What is not there yet is waited for with nothing held: the writer may need the room. */
static void wait_for_one(struct side *side, struct held *held)
{
	struct shmp_spsc_consumer *ring = &side->stream->reader.ring;
	uint32_t key;

	if (held->count > 0) {
		give_one_back(side, held);
		return;
	}
	key = shmp_waiter_prepare(ring->not_empty, ring->self, SHMP_STREAM_READER, true);
	if (!shmp_stream_look(&side->stream->reader))
		shmp_waiter_sleep(ring->not_empty, key, UINT64_MAX);
	shmp_waiter_finish(ring->not_empty, SHMP_STREAM_READER);
}

static void *read_all(void *context)
{
	struct side *side = context;
	struct held held = { .count = 0 };
	uint64_t number = 0, sequence = 0;

	while (number < side->total) {
		struct shmp_stream_frame frame;
		int r = shmp_stream_lend(&side->stream->reader, &frame);

		if (r == SHMP_EMPTY) {
			wait_for_one(side, &held);
			continue;
		}
		SHMT_REQUIRE(r == SHMP_DONE);
		SHMT_REQUIRE(frame.expected == sequence + 1);
		sequence += 1 + gap_before(number);
		SHMT_REQUIRE(frame.sequence == sequence);
		held.frame[held.count] = frame;
		held.number[held.count++] = number++;
		while (held.count == HELD_MAX ||
		       (held.count > 0 && shmt_random_below(&side->random, 3) == 0))
			give_one_back(side, &held);
	}
	while (held.count > 0)
		give_one_back(side, &held);
	return NULL;
}

static void run(struct shmt_stream *stream)
{
	uint64_t seed = shmt_seed(), total = FRAMES / shmt_scaled(1);
	struct side writer = { stream, total, { seed } };
	struct side reader = { stream, total, { seed + 1 } };
	pthread_t threads[2];

	ck_assert(shmp_membarrier_register());
	pthread_create(&threads[0], NULL, write_all, &writer);
	pthread_create(&threads[1], NULL, read_all, &reader);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	ck_assert_uint_eq(shmt_stream_figure(stream, "free_bytes"), CAPACITY);
	printf("# %llu frames checked\n", (unsigned long long)total);
}

TEST(in_one_mapping_nothing_is_lost_or_torn, .timeout_s = 60)
{
	struct shmt_stream stream;

	shmt_stream_open(&stream, CAPACITY, 0);
	SHMT_REQUIRE(shmp_stream_attach_writer(&stream.segment.map, &stream.writer) == 0);
	SHMT_REQUIRE(shmp_stream_attach_reader(&stream.segment.map, &stream.reader) == 0);
	/* where a held frame must lie */
	shmp_segment_unmap(&stream.reader_map);
	stream.reader_map = stream.segment.map;
	run(&stream);
	stream.reader_map = SHMP_SEGMENT_NULL; /* it was the segment's */
	shmt_stream_free(&stream);
}

TEST(in_two_mappings_nothing_is_lost_or_torn, .timeout_s = 60)
{
	struct shmt_stream stream;

	shmt_stream_open(&stream, CAPACITY, 0);
	run(&stream);
	shmt_stream_free(&stream);
}

SHMT_MAIN
