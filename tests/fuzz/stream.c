/*
 * Any bytes in a stream, and any bytes written into it meanwhile. An input is a list of steps of four
 * bytes: what, and an argument of one byte and one of two.
 */
#include "tests/support/fuzz.h"

#include <string.h>

#include "tests/support/hostile.h"
#include "tests/support/hostile_stream.h"

enum {
	STEPS_MAX = 200,
	CONTROL_WORD = sizeof(struct shmp_head) / 8,
	/* control, with room for metadata, and both endpoints */
	WORDS_THAT_MATTER = (256 + HOSTILE_STREAM_METADATA + 2 * 128) / 8,
};

/* The whole memory from the bytes of the input, over and over. */
static void write_everything(struct hostile_stream *stream, const uint8_t *data, size_t size)
{
	uint64_t value = 0;

	for (uint32_t word = 0; word < HOSTILE_STREAM_WORDS; word++) {
		for (size_t i = 0; i < 8; i++)
			value = value << 8 | data[(word * 8 + i) % size];
		hostile_stream_write(stream, word, value);
	}
}

static void step(struct hostile_stream *stream, const uint8_t *data, size_t size)
{
	uint16_t argument = (uint16_t)(data[2] | data[3] << 8);
	uint64_t value;

	switch (data[0] % 8) {
	case 0:
		hostile_stream_write(stream, argument, hostile_number(data[1]));
		break;
	case 1: /* the eight bytes that follow, whatever else they are */
		if (size < 12)
			break;
		memcpy(&value, data + 4, 8);
		hostile_stream_write(stream, argument, value);
		break;
	case 2:
		hostile_stream_write(stream, CONTROL_WORD + data[1] % WORDS_THAT_MATTER,
				     hostile_number(data[1]) + argument);
		break;
	case 3:
		if (argument % 16 == 0)
			write_everything(stream, data, size);
		break;
	default:
		hostile_stream_move(stream, data[1], argument);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hostile_stream *stream = hostile_stream();

	if (size < 4)
		return 0;
	hostile_stream_reset(stream, data[0]);
	for (size_t i = 0; i < STEPS_MAX && 4 * i + 4 <= size; i++)
		step(stream, data + 4 * i, size - 4 * i);
	hostile_stream_all_moves(stream);
	return 0;
}
