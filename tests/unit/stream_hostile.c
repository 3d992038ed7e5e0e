/*
 * Every word of a stream replaced, in every honest state, by every number at which something might
 * break: all moves end, stay inside and say CORRUPT or something plausible.
 */
#include <errno.h>
#include <string.h>

#include "tests/support/hostile.h"
#include "tests/support/hostile_stream.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

/* Words of frames: number and slack. */
static const uint64_t words[] = {
	UINT64_C(15) << 60 | 1,
	UINT64_C(1) << 60,
	UINT64_C(8) << 60 | 3,
	UINT64_C(1) << 60 | (SHMP_STREAM_SEQUENCES - 1),
	SHMP_STREAM_SEQUENCES,
	SHMP_SPSC_PUBLISHED | 24,
	SHMP_SPSC_PUBLISHED | 40,
	SHMP_SPSC_PUBLISHED | HOSTILE_STREAM_FRAME,
	SHMP_SPSC_PUBLISHED | (HOSTILE_STREAM_FRAME + 8),
	SHMP_SPSC_PUBLISHED | (HOSTILE_STREAM_FRAME + 24),
	SHMP_STREAM_PUBLISHED | HOSTILE_STREAM_METADATA,
	SHMP_STREAM_PUBLISHED | (HOSTILE_STREAM_METADATA + 1),
};

#define WORDS ((uint32_t)(sizeof(words) / sizeof(words[0])))

static uint64_t number(uint32_t index)
{
	return index < WORDS ? words[index] : hostile_number(index - WORDS);
}

TEST(honest_streams_survive_all_moves)
{
	struct hostile_stream *stream = hostile_stream();

	for (unsigned int state = 0; state < HOSTILE_STREAM_STATES; state++) {
		hostile_stream_reset(stream, state);
		hostile_stream_all_moves(stream);
		ck_assert(stream->has_writer && stream->has_reader);
	}
}

TEST(any_word_replaced_harms_nobody, .rounds = HOSTILE_STREAM_STATES, .timeout_s = 60)
{
	struct hostile_stream *stream = hostile_stream();

	for (uint32_t word = 0; word < HOSTILE_STREAM_WORDS; word++) {
		for (uint32_t i = 0; i < WORDS + hostile_number_count; i++) {
			hostile_stream_reset(stream, (unsigned int)_i);
			hostile_stream_write(stream, word, number(i));
			hostile_stream_all_moves(stream);
		}
	}
}

/* The writer keeps no copy of its position, and takes it anew for every call. */
TEST(a_position_replaced_in_a_reservation_harms_nobody, .rounds = HOSTILE_STREAM_STATES)
{
	struct hostile_stream *stream = hostile_stream();
	_Atomic uint64_t *position = &stream->segment.endpoints[SHMP_STREAM_WRITER].cursor;
	uint8_t *room;

	for (uint32_t i = 0; i < WORDS + hostile_number_count; i++) {
		hostile_stream_reset(stream, (unsigned int)_i);
		if (shmp_stream_reserve(&stream->writer, 900, &room) == SHMP_DONE) {
			atomic_store(position, number(i));
			memset(room, 0x55, 900);
			shmp_stream_commit(&stream->writer, 900);
		}
		hostile_stream_all_moves(stream);
	}
}

/* A writer that goes round and round over what is held: the reader does not follow it. */
TEST(a_writer_that_knows_no_room_is_corrupt)
{
	struct hostile_stream *stream = hostile_stream();
	struct shmp_stream_frame frame;
	int r = SHMP_DONE;

	hostile_stream_reset(stream, 0);
	for (uint32_t word = 0; word < 512; word += 2) {
		hostile_stream_write(stream, 512 + word, SHMP_SPSC_PUBLISHED | 8);
		hostile_stream_write(stream, 512 + word + 1, 1);
	}
	for (uint32_t i = 0; i < 2 * HOSTILE_STREAM_RING / 16 && r == SHMP_DONE; i++)
		r = shmp_stream_lend(&stream->reader, &frame);
	ck_assert(r == -EBADMSG || r == SHMP_FULL);
}

TEST(any_byte_everywhere_harms_nobody, .timeout_s = 60)
{
	struct hostile_stream *stream = hostile_stream();

	for (unsigned int byte = 0; byte < 256; byte++) {
		hostile_stream_reset(stream, byte);
		for (uint32_t word = 0; word < HOSTILE_STREAM_WORDS; word++)
			hostile_stream_write(stream, word, byte * UINT64_C(0x0101010101010101));
		hostile_stream_all_moves(stream);
	}
}

TEST(random_bytes_harm_nobody, .timeout_s = 60)
{
	struct shmt_random random = { shmt_seed() };
	struct hostile_stream *stream = hostile_stream();

	for (int i = 0; i < 2000; i++) {
		hostile_stream_reset(stream, (unsigned int)i);
		for (uint32_t word = 0; word < HOSTILE_STREAM_WORDS; word++)
			hostile_stream_write(stream, word, shmt_random_next(&random));
		hostile_stream_all_moves(stream);
	}
}

SHMT_MAIN
