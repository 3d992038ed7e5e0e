/*
 * Any bytes in a ring, and any bytes written into it meanwhile. An input is a list of steps of four
 * bytes: what, and an argument of one byte and one of two.
 */
#include "tests/support/fuzz.h"

#include <string.h>

#include "tests/support/hostile.h"

enum {
	STEPS_MAX = 200
};

/* The whole memory from the bytes of the input, over and over. */
static void write_everything(struct hostile *hostile, const uint8_t *data, size_t size)
{
	uint64_t value = 0;

	for (uint32_t word = 0; word < HOSTILE_WORDS; word++) {
		for (size_t i = 0; i < 8; i++)
			value = value << 8 | data[(word * 8 + i) % size];
		hostile_write(hostile, word, value);
	}
}

static void step(struct hostile *hostile, const uint8_t *data, size_t size)
{
	uint16_t argument = (uint16_t)(data[2] | data[3] << 8);
	uint64_t value;

	switch (data[0] % 8) {
	case 0:
		hostile_write(hostile, argument, hostile_number(data[1]));
		break;
	case 1: /* the eight bytes that follow, whatever else they are */
		if (size < 12)
			break;
		memcpy(&value, data + 4, 8);
		hostile_write(hostile, argument, value);
		break;
	case 2: /* a position: words that matter most */
		hostile_write(hostile, 256 / 8 + 128 / 8 + data[1] % 32,
			      hostile_number(data[1]) + argument);
		break;
	case 3:
		if (argument % 16 == 0)
			write_everything(hostile, data, size);
		break;
	default:
		hostile_move(hostile, data[1], argument);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hostile *hostile = hostile_ring();

	if (size < 4)
		return 0;
	hostile_reset(hostile, data[0]);
	for (size_t i = 0; i < STEPS_MAX && 4 * i + 4 <= size; i++)
		step(hostile, data + 4 * i, size - 4 * i);
	hostile_all_moves(hostile);
	return 0;
}
