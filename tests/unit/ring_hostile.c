/*
 * Every word of a ring's control replaced, in every honest state, by every number at which something
 * might break: all moves end, stay inside and say CORRUPT or something plausible. What stands in the
 * elements means nothing to anybody.
 */
#include "tests/support/hostile_ring.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

TEST(honest_rings_survive_all_moves)
{
	struct hostile_ring *hostile = hostile_ring_open();

	for (unsigned int state = 0; state < HOSTILE_RING_STATES; state++) {
		hostile_ring_reset(hostile, state);
		hostile_ring_all_moves(hostile);
		ck_assert(hostile->has_producer && hostile->has_consumer);
	}
}

TEST(any_word_replaced_harms_nobody, .rounds = HOSTILE_RING_STATES, .timeout_s = 60)
{
	struct hostile_ring *hostile = hostile_ring_open();

	for (uint32_t word = 0; word < hostile_ring_words(hostile); word++) {
		for (uint32_t number = 0; number < hostile_ring_number_count; number++) {
			hostile_ring_reset(hostile, (unsigned int)_i);
			atomic_store(hostile_ring_word(hostile, word), hostile_ring_number(number));
			hostile_ring_all_moves(hostile);
		}
	}
}

/* The positions, which need each other to be believed. */
TEST(any_three_positions_replaced_harm_nobody, .rounds = HOSTILE_RING_STATES, .timeout_s = 60)
{
	struct hostile_ring *hostile = hostile_ring_open();
	struct shmp_endpoint *endpoints = hostile->segment.endpoints;
	struct shmp_ring_control *control = hostile->segment.control;

	for (uint32_t head = 0; head < hostile_ring_number_count; head++) {
		for (uint32_t tail = 0; tail < hostile_ring_number_count; tail++) {
			for (uint32_t floor = 0; floor < hostile_ring_number_count; floor++) {
				hostile_ring_reset(hostile, (unsigned int)_i);
				atomic_store(&endpoints[0].cursor, hostile_ring_number(head));
				atomic_store(&endpoints[1].cursor, hostile_ring_number(tail));
				atomic_store(&control->floor, hostile_ring_number(floor));
				hostile_ring_all_moves(hostile);
			}
		}
	}
}

TEST(random_words_harm_nobody, .timeout_s = 60)
{
	struct shmt_random random = { shmt_seed() };
	struct hostile_ring *hostile = hostile_ring_open();

	for (int i = 0; i < 5000; i++) {
		hostile_ring_reset(hostile, (unsigned int)i);
		for (uint32_t word = 0; word < hostile_ring_words(hostile); word++)
			atomic_store(hostile_ring_word(hostile, word),
				     shmt_random_next(&random) >> shmt_random_below(&random, 64));
		hostile_ring_all_moves(hostile);
	}
}

SHMT_MAIN
