/*
 * mpmc: one dies at every point of a move, another is in the middle of his, and the broker repairs,
 * in every order. Nothing published is lost, nothing comes twice to the living, what the dead one
 * had read comes with a flag, and the queue is whole afterwards.
 *
 * Two moves that are known to be wrong are made of the right ones' parts, and must be found out.
 */
#include "protocol/mpmc.h"

#include <stdio.h>
#include <string.h>

#include "tests/interleave/mpmc_scene.h"
#include "tests/support/runner.h"

enum {
	DEAD = 0, /* the actors */
	LIVING = 1,
	BROKER = 2,
};

static uint32_t dead_place;

static struct mpmc_own *own(void)
{
	return mpmc_scene.own;
}

/* Judging */

struct tally {
	unsigned times[MPMC_NUMBERS], flagged[MPMC_NUMBERS];
	bool is_garbage;
};

static void count(struct tally *tally, const struct mpmc_moves *moves)
{
	for (unsigned i = 0; i < moves->count; i++) {
		const struct mpmc_move *move = &moves->move[i];

		if (move->is_push || move->result != SHMP_DONE)
			continue;
		tally->is_garbage |= move->number == 0;
		tally->times[move->number]++;
		tally->flagged[move->number] += move->flags == SHMP_MPMC_REDELIVERED;
	}
}

/* What must be there unless the dead one has it. */
static const char *judge_sent(const struct tally *tally, uint64_t number, uint64_t had)
{
	if (tally->times[number] > 1)
		return "a message comes twice";
	if (tally->times[number] == 0 && had != number)
		return "a message is lost";
	if (tally->times[number] == 1 && had == number && !tally->flagged[number])
		return "what the dead one had read comes without a flag";
	return NULL;
}

static const char *judge_pushes(const struct tally *tally, const struct mpmc_moves *moves,
				uint64_t had)
{
	const char *complaint = NULL;

	for (unsigned i = 0; i < moves->count && !complaint; i++) {
		const struct mpmc_move *move = &moves->move[i];

		if (move->is_push && move->result == SHMP_DONE)
			complaint = judge_sent(tally, move->number, had);
		else if (move->is_push && move->result == MPMC_UNFINISHED &&
			 tally->times[move->number] > 1)
			complaint = "what the dead one sent comes twice";
		else if (move->is_push && move->result == SHMP_FULL && tally->times[move->number])
			complaint = "what was refused comes";
	}
	return complaint;
}

static const char *judge(void *context)
{
	uint64_t had = mpmc_scene_number(own()->buffer[DEAD], MPMC_MESSAGE_BYTES);
	struct tally tally = { .is_garbage = false };
	const char *complaint = NULL;
	struct mpmc_moves left;

	if (!own()->by[LIVING].has_ended)
		return "the living one has not ended";
	if (!mpmc_scene_drain(&left))
		return "the rest cannot be had";
	count(&tally, &own()->by[LIVING]);
	count(&tally, &left);
	if (tally.is_garbage)
		return "something comes that nobody sent";
	for (unsigned i = 0; i < own()->stored && !complaint; i++)
		complaint = judge_sent(&tally, own()->first + i, had);
	if (!complaint)
		complaint = judge_pushes(&tally, &own()->by[LIVING], had);
	if (!complaint)
		complaint = judge_pushes(&tally, &own()->by[DEAD], had);
	return complaint ? complaint : mpmc_scene_is_whole();
}

/* Moves */

static void dead_pushes(void *context)
{
	mpmc_scene_push(DEAD, MPMC_PRODUCERS);
}

static void dead_pops(void *context)
{
	mpmc_scene_pop(DEAD, MPMC_CONSUMERS);
}

static void living_pushes(void *context)
{
	mpmc_scene_push(LIVING, MPMC_PRODUCERS + 1);
	own()->by[LIVING].has_ended = true;
}

static void living_pushes_twice(void *context)
{
	mpmc_scene_push(LIVING, MPMC_PRODUCERS + 1);
	living_pushes(context);
}

static void living_pops(void *context)
{
	mpmc_scene_pop(LIVING, MPMC_CONSUMERS + 1);
	own()->by[LIVING].has_ended = true;
}

static void living_pops_twice(void *context)
{
	mpmc_scene_pop(LIVING, MPMC_CONSUMERS + 1);
	living_pops(context);
}

static void broker_repairs(void *context)
{
	shmt_place_vacate(&mpmc_scene.segment, dead_place, true, 1);
}

/* As if it had been killed after the first repair, and its successor repeats it. */
static void brokers_repair(void *context)
{
	shmt_place_vacate(&mpmc_scene.segment, dead_place, true, 2);
}

/*
 * Wrong: the intent is cleared as soon as the claim is made, before the slot says what came of it.
 * For a moment nobody can tell who owns the position before.
 */
static void living_pushes_without_intent(void *context)
{
	struct mpmc_moves *moves = &own()->by[LIVING];
	struct shmp_mpmc *queue = &own()->at[MPMC_PRODUCERS + 1];
	struct mpmc_move *move = &moves->move[moves->count++];
	struct shmp_mpmc_claim claim;
	uint64_t payload[3];

	*move = (struct mpmc_move){ .is_push = true, .number = own()->next };
	mpmc_scene_fill(payload, move->number);
	move->result = shmp_mpmc_claim_room(queue, sizeof(payload), &claim);
	if (move->result == SHMP_DONE) {
		shmp_mpmc_intend(queue, SHMP_MPMC_PUSHING, 0);
		shmp_copy(claim.slot->payload, payload, sizeof(payload));
		shmp_mpmc_publish(queue, &claim, sizeof(payload));
	}
	moves->has_ended = true;
}

/*
 * Wrong: the epoch that is remembered is not the one from before the scan but the one of now. What
 * was handed back meanwhile, at a slot that was looked at already, is not looked for again.
 */
static void living_pops_without_a_second_scan(void *context)
{
	struct shmp_mpmc *queue = &own()->at[MPMC_CONSUMERS + 1];
	struct shmp_mpmc_message message;
	struct shmp_mpmc_claim claim;

	queue->epoch--; /* as after some repair before */
	if (shmp_mpmc_scan(queue, queue->message_max, &claim, &message) == SHMP_EMPTY)
		queue->epoch = atomic_load_explicit(&queue->control->epoch, memory_order_acquire);
	else
		shmp_mpmc_free(queue, &claim);
	own()->by[LIVING].has_ended = true;
}

/* The same, right: the scan's own word on which epoch it was. */
static void living_scans(void *context)
{
	own()->at[MPMC_CONSUMERS + 1].epoch--;
	living_pops(context);
}

static void run(const char *name, unsigned laps, unsigned stored, stepper_fn dead,
		stepper_fn living, stepper_fn broker)
{
	char title[100];

	snprintf(title, sizeof(title), "%s, %u there", name, stored);
	dead_place = dead == dead_pushes ? MPMC_PRODUCERS : MPMC_CONSUMERS;
	mpmc_scene_open(title, laps, stored);
	mpmc_scene.explorer.role[DEAD] =
		(struct explorer_role){ .name = "the dead one", .operate = dead, .dies = true };
	mpmc_scene.explorer.role[LIVING] = (struct explorer_role){ .name = "the living one",
								   .operate = living };
	mpmc_scene.explorer.role[BROKER] =
		(struct explorer_role){ .name = "the broker", .operate = broker, .buries = true };
	mpmc_scene.explorer.common_only = true;
	mpmc_scene.explorer.is_wrong = living == living_pushes_without_intent ||
				       living == living_pops_without_a_second_scan;
	mpmc_scene.explorer.judge = judge;
	explore(&mpmc_scene.explorer);
	mpmc_scene_close();
}

static void holds(const char *name, unsigned laps, unsigned stored, stepper_fn dead,
		  stepper_fn living)
{
	run(name, laps, stored, dead, living, broker_repairs);
	EXPLORER_HOLDS(&mpmc_scene.explorer);
}

#define LONG .timeout_s = 240

TEST(push_against_the_repair_of_a_producer, LONG)
{
	holds(__func__, 1, 0, dead_pushes, living_pushes);
	if (explorer_is_deep())
		holds(__func__, 1, 1, dead_pushes, living_pushes);
}

TEST(pop_against_the_repair_of_a_producer, LONG)
{
	holds(__func__, 1, 0, dead_pushes, living_pops);
	holds(__func__, 1, 1, dead_pushes, living_pops);
}

TEST(pop_against_the_repair_of_a_consumer, LONG)
{
	holds(__func__, 1, 1, dead_pops, living_pops);
	holds(__func__, 1, 2, dead_pops, living_pops);
}

TEST(push_against_the_repair_of_a_consumer, LONG)
{
	holds(__func__, 1, 1, dead_pops, living_pushes);
	holds(__func__, 1, 2, dead_pops, living_pushes);
}

TEST(push_against_a_repair_that_is_repeated, LONG)
{
	if (!explorer_is_deep())
		return;
	run(__func__, 1, 0, dead_pushes, living_pushes, brokers_repair);
	EXPLORER_HOLDS(&mpmc_scene.explorer);
}

TEST(pop_against_a_repair_that_is_repeated, LONG)
{
	if (!explorer_is_deep())
		return;
	run(__func__, 1, 2, dead_pops, living_pops, brokers_repair);
	EXPLORER_HOLDS(&mpmc_scene.explorer);
}

TEST(two_pushes_against_the_repair_of_a_producer, LONG)
{
	/* with room for both behind the dead one's, so that the first intent gives way to another */
	mpmc_scene.slots = 3;
	holds(__func__, 0, 0, dead_pushes, living_pushes_twice);
}

TEST(two_pops_against_the_repair_of_a_consumer, LONG)
{
	if (explorer_is_deep())
		holds(__func__, 1, 2, dead_pops, living_pops_twice);
}

TEST(an_intent_that_is_cleared_early_is_found, LONG)
{
	run(__func__, 1, 0, dead_pushes, living_pushes_without_intent, broker_repairs);
	EXPLORER_BREAKS(&mpmc_scene.explorer);
}

TEST(a_scan_that_is_not_repeated_is_found, LONG)
{
	run(__func__, 1, 1, dead_pops, living_pops_without_a_second_scan, broker_repairs);
	EXPLORER_BREAKS(&mpmc_scene.explorer);
}

TEST(a_scan_against_the_repair_of_a_consumer, LONG)
{
	holds(__func__, 1, 1, dead_pops, living_scans);
	if (explorer_is_deep())
		holds(__func__, 1, 2, dead_pops, living_scans);
}

EXPLORER_MAIN
