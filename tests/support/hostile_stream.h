/*
 * A stream whose peer may write anything at any time, between pages that nobody may touch; as
 * hostile.h, whose numbers it shares.
 */
#ifndef SHMT_HOSTILE_STREAM_H
#define SHMT_HOSTILE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/stream.h"

enum {
	HOSTILE_STREAM_RING = 4096,
	HOSTILE_STREAM_FRAME = HOSTILE_STREAM_RING - SHMP_STREAM_OVERHEAD,
	HOSTILE_STREAM_METADATA = 128,
	HOSTILE_STREAM_WORDS = 1024, /* 64-bit: 512 of ctl, then 512 of data */
	HOSTILE_STREAM_STATES = 5,   /* of a stream that only honest peers have used */
	HOSTILE_STREAM_HELD = 4,
};

struct hostile_stream {
	struct shmp_segment segment;
	struct shmp_stream_writer writer;
	struct shmp_stream_reader reader;
	bool has_writer, has_reader; /* whether attach let them in */
	struct shmp_stream_frame held[HOSTILE_STREAM_HELD];
};

/* One for the whole program. */
struct hostile_stream *hostile_stream(void);
/* An honest state, both roles held. */
void hostile_stream_reset(struct hostile_stream *stream, unsigned int state);
void hostile_stream_write(struct hostile_stream *stream, uint32_t word, uint64_t value);

/* A move, chosen by @what with @argument as its size or the like. */
void hostile_stream_move(struct hostile_stream *stream, uint8_t what, uint16_t argument);
/* Each move there is, some twice, successors of both roles at the end. */
void hostile_stream_all_moves(struct hostile_stream *stream);

#endif
