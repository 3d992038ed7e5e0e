#include "tests/support/stream.h"

#include <string.h>

#include "tests/support/ring.h"

void shmt_stream_make(struct shmt_stream *stream, uint64_t capacity, uint64_t metadata_max)
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_STREAM_CAPACITY_BYTES] = capacity,
		[SHMP_STREAM_METADATA_BYTES] = metadata_max,
	};

	memset(stream, 0, sizeof(*stream));
	shmt_segment_make(&stream->segment, "stream", option);
	shmt_segment_map(&stream->segment, "writer", &stream->writer_map);
	shmt_segment_map(&stream->segment, "reader", &stream->reader_map);
}

void shmt_stream_attach_writer(struct shmt_stream *stream)
{
	shmt_place_assign(&stream->segment, SHMP_STREAM_WRITER);
	SHMT_REQUIRE(shmp_stream_attach_writer(&stream->writer_map, &stream->writer) == 0);
}

void shmt_stream_attach_reader(struct shmt_stream *stream)
{
	shmt_place_assign(&stream->segment, SHMP_STREAM_READER);
	SHMT_REQUIRE(shmp_stream_attach_reader(&stream->reader_map, &stream->reader) == 0);
}

void shmt_stream_open(struct shmt_stream *stream, uint64_t capacity, uint64_t metadata_max)
{
	shmt_stream_make(stream, capacity, metadata_max);
	shmt_stream_attach_writer(stream);
	shmt_stream_attach_reader(stream);
}

void shmt_stream_free(struct shmt_stream *stream)
{
	shmp_segment_unmap(&stream->writer_map);
	shmp_segment_unmap(&stream->reader_map);
	shmt_segment_free(&stream->segment);
}

int shmt_stream_write(struct shmt_stream *stream, uint64_t size, uint64_t number)
{
	uint8_t *payload = malloc(size ? size : 1);
	int r;

	shmt_message_fill(payload, size, number);
	r = shmp_stream_write(&stream->writer, payload, size);
	free(payload);
	return r;
}

int shmt_stream_read(struct shmt_stream *stream, uint64_t size, uint64_t number, uint64_t sequence)
{
	uint64_t room = stream->segment.plan.option[SHMP_STREAM_CAPACITY_BYTES];
	struct shmp_stream_frame frame;
	uint8_t *buffer = malloc(room);
	int r = shmp_stream_read(&stream->reader, buffer, room, &frame);

	if (r == SHMP_DONE) {
		SHMT_REQUIRE(frame.size == size && frame.data == buffer);
		SHMT_REQUIRE(shmt_message_is(buffer, size, number));
		SHMT_REQUIRE(frame.sequence == sequence);
	}
	free(buffer);
	return r;
}

bool shmt_stream_is(const struct shmt_stream *stream, const struct shmp_stream_frame *frame,
		    uint64_t size, uint64_t number)
{
	const uint8_t *data = frame->data, *first = stream->reader_map.data;

	return frame->size == size && data >= first &&
	       data + size <= first + 2 * stream->segment.plan.data_bytes &&
	       (uintptr_t)data % SHMP_STREAM_ALIGN == 0 && shmt_message_is(data, size, number);
}

struct wanted {
	const char *name;
	uint64_t value;
};

static void note_figure(void *context, const char *name, uint64_t value)
{
	struct wanted *wanted = context;

	if (strcmp(name, wanted->name) == 0)
		wanted->value = value;
}

uint64_t shmt_stream_figure(const struct shmt_stream *stream, const char *name)
{
	struct wanted wanted = { .name = name, .value = UINT64_MAX };

	shmp_stream_kind.figures(&stream->segment.map, note_figure, &wanted);
	return wanted.value;
}
