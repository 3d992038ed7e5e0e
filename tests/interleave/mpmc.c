/*
 * mpmc: producers and consumers, two at a time. What they did is what a plain queue does, in some
 * order of their moves.
 */
#include "protocol/mpmc.h"

#include <stdio.h>
#include <string.h>

#include "tests/interleave/mpmc_scene.h"
#include "tests/support/runner.h"

/* A plain queue. */
struct plain {
	uint64_t number[MPMC_DRAIN];
	unsigned head, tail;
};

/* Whether the plain queue says to the move what the real one said. */
static bool moves_so(struct plain *plain, const struct mpmc_move *move)
{
	unsigned depth = plain->tail - plain->head;

	if (move->is_push && depth == MPMC_SLOTS)
		return move->result == SHMP_FULL;
	if (!move->is_push && depth == 0)
		return move->result == SHMP_EMPTY;
	if (move->result != SHMP_DONE || move->flags != 0)
		return false;
	if (move->is_push)
		plain->number[plain->tail++] = move->number;
	else if (plain->number[plain->head++] != move->number)
		return false;
	return true;
}

static bool holds_what_is_left(const struct plain *plain, const struct mpmc_moves *left)
{
	return plain->tail - plain->head == left->count &&
	       (left->count == 0 || plain->number[plain->head] == left->move[0].number);
}

/* Whether some order of the moves that are left explains them all. */
static bool is_explained(const struct plain *plain, const struct mpmc_moves *by,
			 const unsigned *done, const struct mpmc_moves *left)
{
	bool is_any = false;

	for (unsigned i = 0; i < 2; i++) {
		struct plain after = *plain;
		unsigned then[2] = { done[0], done[1] };

		if (done[i] == by[i].count)
			continue;
		is_any = true;
		then[i]++;
		if (moves_so(&after, &by[i].move[done[i]]) && is_explained(&after, by, then, left))
			return true;
	}
	if (is_any)
		return false;
	/* what is left comes in its order */
	for (unsigned i = 0; i < left->count; i++)
		if (i < plain->tail - plain->head &&
		    plain->number[plain->head + i] != left->move[i].number)
			return false;
	return holds_what_is_left(plain, left);
}

static const char *judge(void *context)
{
	const struct mpmc_own *own = mpmc_scene.own;
	struct plain plain = { .tail = own->stored };
	unsigned none[2] = { 0, 0 };
	struct mpmc_moves left;

	for (unsigned i = 0; i < own->stored; i++)
		plain.number[i] = own->first + i;
	if (!own->by[0].has_ended || !own->by[1].has_ended)
		return "somebody has not ended";
	if (!mpmc_scene_drain(&left))
		return "the rest cannot be had";
	if (!is_explained(&plain, own->by, none, &left))
		return "no queue does that";
	return mpmc_scene_is_whole();
}

static void push_often(unsigned by, unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		mpmc_scene_push(by, MPMC_PRODUCERS + by);
	mpmc_scene.own->by[by].has_ended = true;
}

static void pop_often(unsigned by, unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		mpmc_scene_pop(by, MPMC_CONSUMERS + by);
	mpmc_scene.own->by[by].has_ended = true;
}

static void first_pushes(void *context)
{
	push_often(0, 1);
}

static void second_pushes(void *context)
{
	push_often(1, 1);
}

static void first_pushes_twice(void *context)
{
	push_often(0, 2);
}

static void first_pops(void *context)
{
	pop_often(0, 1);
}

static void second_pops(void *context)
{
	pop_often(1, 1);
}

static void second_pops_twice(void *context)
{
	pop_often(1, 2);
}

static void explore_pair(const char *name, unsigned laps, unsigned stored, stepper_fn first,
			 stepper_fn second)
{
	char title[100];

	snprintf(title, sizeof(title), "%s, %u there", name, stored);
	mpmc_scene_open(title, laps, stored);
	mpmc_scene.explorer.role[0] = (struct explorer_role){ .name = "first", .operate = first };
	mpmc_scene.explorer.role[1] = (struct explorer_role){ .name = "second", .operate = second };
	mpmc_scene.explorer.judge = judge;
	explore(&mpmc_scene.explorer);
	EXPLORER_HOLDS(&mpmc_scene.explorer);
	mpmc_scene_close();
}

#define LONG .timeout_s = 120

TEST(push_against_push, LONG)
{
	explore_pair(__func__, 1, 0, first_pushes, second_pushes);
	explore_pair(__func__, 1, 1, first_pushes, second_pushes);
}

TEST(two_pushes_against_a_push, LONG)
{
	explore_pair(__func__, 0, 0, first_pushes_twice, second_pushes);
}

TEST(push_against_pop, LONG)
{
	explore_pair(__func__, 1, 0, first_pushes, second_pops);
	explore_pair(__func__, 1, 1, first_pushes, second_pops);
	explore_pair(__func__, 1, 2, first_pushes, second_pops);
}

TEST(two_pushes_against_two_pops, LONG)
{
	explore_pair(__func__, 1, 1, first_pushes_twice, second_pops_twice);
}

TEST(pop_against_pop, LONG)
{
	explore_pair(__func__, 1, 1, first_pops, second_pops);
	explore_pair(__func__, 1, 2, first_pops, second_pops);
}

EXPLORER_MAIN
