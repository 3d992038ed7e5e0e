/*
 * A ring of elements in which a hostile peer writes what it likes between any two moves of ours. An
 * input is a list of steps of four bytes: what, and an argument of one byte and one of two.
 */
#include <string.h>

#include "tests/support/fuzz.h"
#include "tests/support/hostile_ring.h"

enum {
	STEPS_MAX = 200
};

static void step(struct hostile_ring *hostile, const uint8_t *data, size_t size)
{
	uint16_t argument = (uint16_t)(data[2] | data[3] << 8);
	uint64_t value;

	switch (data[0] % 8) {
	case 0:
		atomic_store(hostile_ring_word(hostile, argument), hostile_ring_number(data[1]));
		break;
	case 1: /* the eight bytes that follow, whatever else they are */
		if (size < 12)
			break;
		memcpy(&value, data + 4, 8);
		atomic_store(hostile_ring_word(hostile, argument), value);
		break;
	case 2: /* near what is there */
		atomic_fetch_add(hostile_ring_word(hostile, data[1]), (uint64_t)(int16_t)argument);
		break;
	default:
		hostile_ring_move(hostile, data[1], argument);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hostile_ring *hostile = hostile_ring_open();

	if (size < 4)
		return 0;
	hostile_ring_reset(hostile, data[0]);
	for (size_t i = 0; i < STEPS_MAX && 4 * i + 4 <= size; i++)
		step(hostile, data + 4 * i, size - 4 * i);
	hostile_ring_all_moves(hostile);
	return 0;
}
