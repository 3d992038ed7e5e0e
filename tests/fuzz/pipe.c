/*
 * Any bytes in a pipe, and any bytes written into it meanwhile. An input is a list of steps of four
 * bytes: what, and an argument of one byte and one of two.
 */
#include "tests/support/fuzz.h"

#include <string.h>

#include "tests/support/hostile_pipe.h"

enum {
	STEPS_MAX = 200,
	CONTROL_WORD = 256 / 8, /* waiters, readers' lines, endpoints */
	WORDS_THAT_MATTER = 96,
};

/* The whole memory from the bytes of the input, over and over. */
static void write_everything(struct hostile_pipe *pipe, const uint8_t *data, size_t size)
{
	uint64_t value = 0;

	for (uint32_t word = 0; word < HOSTILE_PIPE_WORDS; word++) {
		for (size_t i = 0; i < 8; i++)
			value = value << 8 | data[(word * 8 + i) % size];
		hostile_pipe_write(pipe, word, value);
	}
}

static void step(struct hostile_pipe *pipe, const uint8_t *data, size_t size)
{
	uint16_t argument = (uint16_t)(data[2] | data[3] << 8);
	uint64_t value;

	switch (data[0] % 8) {
	case 0:
		hostile_pipe_write(pipe, argument, hostile_pipe_number(data[1]));
		break;
	case 1: /* the eight bytes that follow, whatever else they are */
		if (size < 12)
			break;
		memcpy(&value, data + 4, 8);
		hostile_pipe_write(pipe, argument, value);
		break;
	case 2:
		hostile_pipe_write(pipe, CONTROL_WORD + data[1] % WORDS_THAT_MATTER,
				   hostile_pipe_number(argument));
		break;
	case 3:
		if (argument % 16 == 0)
			write_everything(pipe, data, size);
		break;
	default:
		hostile_pipe_move(pipe, data[1], argument);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hostile_pipe *pipe = hostile_pipe();

	if (size < 4)
		return 0;
	hostile_pipe_reset(pipe, data[0]);
	for (size_t i = 0; i < STEPS_MAX && 4 * i + 4 <= size; i++)
		step(pipe, data + 4 * i, size - 4 * i);
	hostile_pipe_all_moves(pipe);
	return 0;
}
