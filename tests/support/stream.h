/*
 * Both sides of a stream without a broker, each with a mapping of its own, and numbered frames as
 * in ring.h.
 */
#ifndef SHMT_STREAM_H
#define SHMT_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/stream.h"
#include "tests/support/segment.h"

struct shmt_stream {
	struct shmt_segment segment;
	struct shmp_segment writer_map;
	struct shmp_segment reader_map;
	struct shmp_stream_writer writer;
	struct shmp_stream_reader reader;
};

/* Nobody is attached yet. */
void shmt_stream_make(struct shmt_stream *stream, uint64_t capacity, uint64_t metadata_max);
/* The same with both roles held. */
void shmt_stream_open(struct shmt_stream *stream, uint64_t capacity, uint64_t metadata_max);
void shmt_stream_free(struct shmt_stream *stream);

/* Takes the place and the role up. */
void shmt_stream_attach_writer(struct shmt_stream *stream);
void shmt_stream_attach_reader(struct shmt_stream *stream);

/* Moves numbered frames; what a move says. A read checks size, bytes and sequence number. */
int shmt_stream_write(struct shmt_stream *stream, uint64_t size, uint64_t number);
int shmt_stream_read(struct shmt_stream *stream, uint64_t size, uint64_t number, uint64_t sequence);
/* Whether a frame is the one with that number, and lies inside the reader's mapping. */
bool shmt_stream_is(const struct shmt_stream *stream, const struct shmp_stream_frame *frame,
		    uint64_t size, uint64_t number);

/* The figure of that name; UINT64_MAX when there is none. */
uint64_t shmt_stream_figure(const struct shmt_stream *stream, const char *name);

#endif
