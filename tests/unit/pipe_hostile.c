/*
 * Every word of a pipe replaced, in every honest state, by every number at which something might
 * break, tags among them: all moves of both sides end, stay inside and say what they may say.
 */
#include "tests/support/hostile.h"
#include "tests/support/hostile_pipe.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

TEST(honest_pipes_survive_all_moves)
{
	struct hostile_pipe *pipe = hostile_pipe();

	for (unsigned int state = 0; state < HOSTILE_PIPE_STATES; state++) {
		hostile_pipe_reset(pipe, state);
		hostile_pipe_all_moves(pipe);
		ck_assert(pipe->is_there[0] && pipe->is_there[1]);
	}
}

/* The words of ctl that mean something, and those of the rings that were used. */
TEST(any_word_replaced_harms_nobody, .rounds = HOSTILE_PIPE_STATES, .timeout_s = 60)
{
	struct hostile_pipe *pipe = hostile_pipe();

	for (uint32_t word = 0; word < HOSTILE_PIPE_WORDS; word++) {
		uint32_t step = word < 128 ? 1 : 7;

		if (word % 512 >= 256)
			continue;
		for (uint32_t number = word % step; number < hostile_pipe_number_count();
		     number += step) {
			hostile_pipe_reset(pipe, (unsigned int)_i);
			hostile_pipe_write(pipe, word, hostile_pipe_number(number));
			hostile_pipe_all_moves(pipe);
		}
	}
}

TEST(a_word_replaced_between_two_moves_harms_nobody, .timeout_s = 60)
{
	struct shmt_random random = { shmt_seed() };
	struct hostile_pipe *pipe = hostile_pipe();

	for (int i = 0; i < 20000; i++) {
		if (i % 100 == 0)
			hostile_pipe_reset(pipe, (unsigned int)(i / 100));
		hostile_pipe_write(pipe, (uint32_t)shmt_random_below(&random, HOSTILE_PIPE_WORDS),
				   hostile_pipe_number((uint32_t)shmt_random_next(&random) %
						       hostile_pipe_number_count()));
		hostile_pipe_move(pipe, (uint8_t)shmt_random_next(&random),
				  (uint16_t)shmt_random_next(&random));
	}
}

TEST(random_bytes_harm_nobody, .timeout_s = 60)
{
	struct shmt_random random = { shmt_seed() };
	struct hostile_pipe *pipe = hostile_pipe();

	for (int i = 0; i < 1000; i++) {
		hostile_pipe_reset(pipe, (unsigned int)i);
		for (uint32_t word = 0; word < HOSTILE_PIPE_WORDS; word++)
			hostile_pipe_write(pipe, word,
					   i % 2 ? shmt_random_next(&random) :
						   (uint64_t)i * UINT64_C(0x0101010101010101));
		hostile_pipe_all_moves(pipe);
	}
}

SHMT_MAIN
