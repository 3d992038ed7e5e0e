/*
 * A stream, and both of its users at once in the middle of something; see pairs.h.
 */
#include "protocol/stream.h"

#include "tests/crash/pairs_queue.h"
#include "tests/support/runner.h"

static int attach(const struct shmp_segment *segment, uint32_t place, void *ret_handle)
{
	return place == SHMP_STREAM_WRITER ? shmp_stream_attach_writer(segment, ret_handle) :
					     shmp_stream_attach_reader(segment, ret_handle);
}

static int push(void *handle, const uint64_t *words)
{
	return shmp_stream_write(handle, words, sizeof(*words) * PAIRS_QUEUE_WORDS);
}

static int pop(void *handle, uint64_t *words)
{
	struct shmp_stream_frame frame;

	return shmp_stream_read(handle, words, sizeof(*words) * PAIRS_QUEUE_WORDS, &frame);
}

static const uint64_t option[SHMP_OPTIONS_MAX] = { [SHMP_STREAM_CAPACITY_BYTES] = 4096 - 32 };

static void pair(enum pairs_way way)
{
	struct pairs_queue queue = { .kind = "stream",
				     .option = option,
				     .producers = 1,
				     .consumers = 1,
				     .before = 2,
				     .attach = attach,
				     .push = push,
				     .pop = pop };

	pairs_queue(&queue, "write and read", way, SHMP_STREAM_WRITER, SHMP_STREAM_READER);
	pairs_queue(&queue, "read and write", way, SHMP_STREAM_READER, SHMP_STREAM_WRITER);
	queue.before = 0;
	pairs_queue(&queue, "write and read, empty", way, SHMP_STREAM_WRITER, SHMP_STREAM_READER);
	pairs_queue(&queue, "read and write, empty", way, SHMP_STREAM_READER, SHMP_STREAM_WRITER);
	queue.before = PAIRS_QUEUE_FULL;
	pairs_queue(&queue, "write and read, full", way, SHMP_STREAM_WRITER, SHMP_STREAM_READER);
	pairs_queue(&queue, "read and write, full", way, SHMP_STREAM_READER, SHMP_STREAM_WRITER);
	queue.before = 2;
	pairs_queue_attach(&queue, "attach of a writer, and read", way, SHMP_STREAM_WRITER,
			   SHMP_STREAM_READER, SHMP_STREAM_WRITER);
	pairs_queue_attach(&queue, "read, and attach of a writer", way, SHMP_STREAM_READER,
			   SHMP_STREAM_WRITER, SHMP_STREAM_WRITER);
	pairs_queue_attach(&queue, "attach of a reader, and write", way, SHMP_STREAM_READER,
			   SHMP_STREAM_WRITER, SHMP_STREAM_READER);
	pairs_queue_attach(&queue, "write, and attach of a reader", way, SHMP_STREAM_WRITER,
			   SHMP_STREAM_READER, SHMP_STREAM_READER);
}

PAIRS_TESTS

PAIRS_MAIN
