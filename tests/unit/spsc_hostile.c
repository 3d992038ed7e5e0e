/*
 * Every word of a ring replaced, in every honest state, by every number at which something might
 * break: all moves end, stay inside and say CORRUPT or something plausible.
 */
#include <string.h>

#include "tests/support/hostile.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

TEST(honest_rings_survive_all_moves)
{
	struct hostile *hostile = hostile_ring();

	for (unsigned int state = 0; state < HOSTILE_STATES; state++) {
		hostile_reset(hostile, state);
		hostile_all_moves(hostile);
		ck_assert(hostile->has_producer && hostile->has_consumer);
	}
}

TEST(any_word_replaced_harms_nobody, .rounds = HOSTILE_STATES, .timeout_s = 60)
{
	struct hostile *hostile = hostile_ring();

	for (uint32_t word = 0; word < HOSTILE_WORDS; word++) {
		for (uint32_t number = 0; number < hostile_number_count; number++) {
			hostile_reset(hostile, (unsigned int)_i);
			hostile_write(hostile, word, hostile_number(number));
			hostile_all_moves(hostile);
		}
	}
}

/* The positions, which need each other to be believed. */
TEST(any_two_positions_replaced_harm_nobody, .rounds = HOSTILE_STATES, .timeout_s = 60)
{
	struct hostile *hostile = hostile_ring();
	struct shmp_endpoint *endpoints = hostile->segment.endpoints;

	for (uint32_t head = 0; head < hostile_number_count; head++) {
		for (uint32_t tail = 0; tail < hostile_number_count; tail++) {
			for (uint64_t apart = 0; apart < 24; apart += 8) {
				hostile_reset(hostile, (unsigned int)_i);
				atomic_store(&endpoints[0].cursor, hostile_number(head) + apart);
				atomic_store(&endpoints[1].cursor, hostile_number(tail));
				atomic_store(&endpoints[1].intent[0], hostile_number(head));
				hostile_all_moves(hostile);
			}
		}
	}
}

/* The producer keeps no copy of its position, and takes it anew for every call. */
TEST(a_position_replaced_in_a_reservation_or_batch_harms_nobody, .rounds = HOSTILE_STATES)
{
	struct hostile *hostile = hostile_ring();
	struct shmp_spsc_producer *producer = &hostile->producer;
	_Atomic uint64_t *position = &hostile->segment.endpoints[SHMP_SPSC_PRODUCER].cursor;
	uint8_t *room;

	for (uint32_t number = 0; number < hostile_number_count; number++) {
		hostile_reset(hostile, (unsigned int)_i);
		if (shmp_spsc_reserve(producer, 1000, &room) == SHMP_DONE) {
			atomic_store(position, hostile_number(number));
			memset(room, 0x55, 1000);
			shmp_spsc_commit(producer, 1000);
		}
		hostile_all_moves(hostile);

		hostile_reset(hostile, (unsigned int)_i);
		shmp_spsc_batch_add(producer, hostile->payload, 500);
		atomic_store(position, hostile_number(number));
		shmp_spsc_batch_add(producer, hostile->payload, 300);
		shmp_spsc_batch_publish(producer);
		hostile_all_moves(hostile);
	}
}

TEST(any_byte_everywhere_harms_nobody, .timeout_s = 60)
{
	struct hostile *hostile = hostile_ring();

	for (unsigned int byte = 0; byte < 256; byte++) {
		hostile_reset(hostile, byte);
		for (uint32_t word = 0; word < HOSTILE_WORDS; word++)
			hostile_write(hostile, word, byte * UINT64_C(0x0101010101010101));
		hostile_all_moves(hostile);
	}
}

TEST(random_bytes_harm_nobody, .timeout_s = 60)
{
	struct shmt_random random = { shmt_seed() };
	struct hostile *hostile = hostile_ring();

	for (int i = 0; i < 2000; i++) {
		hostile_reset(hostile, (unsigned int)i);
		for (uint32_t word = 0; word < HOSTILE_WORDS; word++)
			hostile_write(hostile, word, shmt_random_next(&random));
		hostile_all_moves(hostile);
	}
}

SHMT_MAIN
