#include "tests/crash/pairs.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "tests/interleave/access.h"
#include "tests/support/runner.h"

#if defined(__aarch64__)
#define STACK(registers) ((registers)->sp)
#define VECTORS		 NT_PRFPREG
#else
#define STACK(registers) ((registers)->rsp)
#define VECTORS		 NT_X86_XSTATE
#endif

enum {
	RED_ZONE = 128, /* bytes below the stack pointer that a function may use */
	STACK_MAX = 65536,
	WORDS_MAX = 2 * 64 / 8 + 2, /* that an instruction touches */
	/* Of an act with repair, which is looked at with each point of three: a spread of so many. */
	SPREAD = STEPPER_SAMPLES ? 2 : 4,
	/* Sanitizers multiply the points: one of so many. */
	STRIDE = STEPPER_SAMPLES ? 7 : 1,
};

/* One of the processes. */
struct actor {
	struct pairs *pairs;
	void (*operate)(struct actor *actor);
	const struct pairs_act *act;
	struct stepper stepper;
	struct user_regs_struct begin;
	bool has_ended;
	unsigned long done;
};

/* Where one stands, to come back to. */
struct spot {
	struct user_regs_struct registers;
	uint64_t vectors[1024];
	size_t vector_bytes;
	uint8_t stack[STACK_MAX];
	size_t stack_bytes;
	bool has_ended;
	unsigned long done;
};

/* All memory that outlives a process. */
struct shot {
	uint8_t *ctl, *data, *own;
};

void *pairs_memory(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	SHMT_REQUIRE(memory != MAP_FAILED);
	return memory;
}

/* Memory */

/* As mapped: of a ring its mirror, too. */
static size_t data_room(const struct shmp_segment *map)
{
	return map->data ? shmp_segment_data_room(&map->plan, map->mirrored) : 0;
}

static void shot_open(const struct pairs *pairs, struct shot *ret_shot)
{
	const struct shmp_segment *map = &pairs->segment->map;

	*ret_shot = (struct shot){ malloc(map->plan.ctl_bytes), malloc(data_room(map) + 1),
				   malloc(pairs->own_bytes) };
	SHMT_REQUIRE(ret_shot->ctl && ret_shot->data && ret_shot->own);
}

static void shot_close(struct shot *shot)
{
	free(shot->ctl);
	free(shot->data);
	free(shot->own);
}

static void take_shot(const struct pairs *pairs, struct shot *shot)
{
	const struct shmp_segment *map = &pairs->segment->map;

	memcpy(shot->ctl, map->head, map->plan.ctl_bytes);
	if (map->data)
		memcpy(shot->data, map->data, data_room(map));
	memcpy(shot->own, pairs->own, pairs->own_bytes);
}

static void put_back(const struct pairs *pairs, const struct shot *shot)
{
	const struct shmp_segment *map = &pairs->segment->map;

	memcpy(map->head, shot->ctl, map->plan.ctl_bytes);
	if (map->data)
		memcpy(map->data, shot->data, data_room(map));
	memcpy(pairs->own, shot->own, pairs->own_bytes);
}

/* Handles do not outlive who has them. */
static bool is_as_in(const struct pairs *pairs, const struct shot *shot)
{
	const struct shmp_segment *map = &pairs->segment->map;

	return memcmp(map->head, shot->ctl, map->plan.ctl_bytes) == 0 &&
	       (!map->data || memcmp(map->data, shot->data, data_room(map)) == 0) &&
	       memcmp((uint8_t *)pairs->own + pairs->handle_bytes, shot->own + pairs->handle_bytes,
		      pairs->own_bytes - pairs->handle_bytes) == 0;
}

/* Actors */

static void nothing(void *context)
{
	(void)context;
}

static void run(void *context)
{
	struct actor *actor = context;

	actor->operate(actor);
}

static void acts(struct actor *actor)
{
	actor->act->operate();
}

static void repairs(struct actor *actor)
{
	shmt_place_vacate(actor->pairs->segment, actor->act->place, true, 1);
}

static void start(struct actor *actor, struct pairs *pairs, void (*operate)(struct actor *actor),
		  unsigned which)
{
	*actor = (struct actor){ .pairs = pairs, .operate = operate, .act = &pairs->act[which] };
	stepper_start(&actor->stepper, nothing, run, actor);
	stepper_save(&actor->stepper, &actor->begin);
}

static void rewind_to_begin(struct actor *actor)
{
	stepper_rewind(&actor->stepper, &actor->begin);
	actor->has_ended = false;
	actor->done = 0;
}

static void run_to_end(struct actor *actor)
{
	if (!actor->has_ended)
		SHMT_REQUIRE(stepper_run(&actor->stepper) == STEPPER_ENDED);
	actor->has_ended = true;
}

static struct iovec stack_of(const struct actor *actor, const struct user_regs_struct *registers)
{
	struct iovec stack = { .iov_base = (void *)(STACK(registers) - RED_ZONE),
			       .iov_len = STACK(&actor->begin) - STACK(registers) + RED_ZONE };

	SHMT_REQUIRE(stack.iov_len <= STACK_MAX);
	return stack;
}

static void note_spot(const struct actor *actor, struct spot *ret_spot)
{
	struct iovec vectors = { ret_spot->vectors, sizeof(ret_spot->vectors) };
	struct iovec there, here = { .iov_base = ret_spot->stack };

	ret_spot->has_ended = actor->has_ended;
	ret_spot->done = actor->done;
	if (actor->has_ended)
		return;
	stepper_save(&actor->stepper, &ret_spot->registers);
	SHMT_REQUIRE(ptrace(PTRACE_GETREGSET, actor->stepper.pid, VECTORS, &vectors) == 0);
	ret_spot->vector_bytes = vectors.iov_len;
	there = stack_of(actor, &ret_spot->registers);
	here.iov_len = ret_spot->stack_bytes = there.iov_len;
	SHMT_REQUIRE(process_vm_readv(actor->stepper.pid, &here, 1, &there, 1, 0) ==
		     (ssize_t)there.iov_len);
}

static void go_back(struct actor *actor, struct spot *spot)
{
	struct iovec vectors = { spot->vectors, spot->vector_bytes };
	struct iovec there, here = { spot->stack, spot->stack_bytes };

	actor->has_ended = spot->has_ended;
	actor->done = spot->done;
	if (spot->has_ended)
		return;
	there = stack_of(actor, &spot->registers);
	stepper_rewind(&actor->stepper, &spot->registers);
	SHMT_REQUIRE(ptrace(PTRACE_SETREGSET, actor->stepper.pid, VECTORS, &vectors) == 0);
	SHMT_REQUIRE(process_vm_writev(actor->stepper.pid, &here, 1, &there, 1, 0) ==
		     (ssize_t)there.iov_len);
}

static bool is_in(uintptr_t address, const void *begin, size_t bytes)
{
	return begin && address - (uintptr_t)begin < bytes;
}

/* Which eighth byte of the segment that is, the same wherever it is mapped; -1: no part of it. */
static long word_of(const struct shmp_segment *map, uintptr_t address)
{
	const struct shmp_plan *plan = &map->plan;
	uint64_t ring = plan->data_bytes / (plan->rings ? plan->rings : 1);
	uint64_t room = map->mirrored ? 2 * ring : ring;
	uint64_t shown = shmp_segment_data_addresses(plan, map->mirrored);

	if (is_in(address, map->head, plan->ctl_bytes))
		return (long)((address - (uintptr_t)map->head) / 8);
	if (is_in(address, map->data, shown)) {
		uint64_t offset = (address - (uintptr_t)map->data) % data_room(map);

		return (long)((plan->ctl_bytes + offset / room * ring + offset % ring) / 8);
	}
	return -1;
}

#if ACCESS_WORKS
/* What the next instruction touches; a fork has its parent's code where its parent has it. */
static bool decode(const struct user_regs_struct *registers, struct access *ret_access)
{
	const uint8_t *at = (const uint8_t *)registers->rip;

	if (!access_decode(at, registers, ret_access))
		return false;
	/* stos is told as one that reads, too, where rsi points by chance */
	if (ret_access->rounds_length != 0 && (at[ret_access->rounds_length - 1] & 0xfe) == 0xaa)
		ret_access->count = 1;
	return true;
}

/* All rounds at once of what repeats itself and clears or copies memory of nobody else's. */
static void end_rounds(struct actor *actor, const struct user_regs_struct *registers)
{
	const struct shmp_segment *map = &actor->pairs->segment->map;
	struct access access;

	if (!decode(registers, &access) || access.rounds_length == 0)
		return;
	for (unsigned i = 0; i < access.count; i++)
		if (word_of(map, access.address[i]) >= 0)
			return;
	SHMT_REQUIRE(stepper_run_to(&actor->stepper, registers->rip + access.rounds_length) ==
		     STEPPER_STOPPED);
}
#endif

/* One instruction, or a round of it that others may see. */
static void step(struct actor *actor)
{
#if ACCESS_WORKS
	struct user_regs_struct before, after;

	stepper_save(&actor->stepper, &before);
#endif
	actor->has_ended = stepper_step(&actor->stepper) == STEPPER_ENDED;
	actor->done += !actor->has_ended;
#if ACCESS_WORKS
	stepper_save(&actor->stepper, &after);
	if (!actor->has_ended && after.rip == before.rip)
		end_rounds(actor, &after);
#endif
}

/*
 * What the instruction before which it stands does to the segment: in ret_words the words that it
 * touches. False: that is not known, or it calls the kernel, which may do anything.
 */
static bool look_ahead(const struct actor *actor, long *ret_words, unsigned *ret_count)
{
#if ACCESS_WORKS
	const struct shmp_segment *map = &actor->pairs->segment->map;
	struct user_regs_struct registers;
	struct access access;

	*ret_count = 0;
	stepper_save(&actor->stepper, &registers);
	if (!decode(&registers, &access) || access.is_system_call)
		return false;
	for (unsigned i = 0; i < access.count; i++)
		for (unsigned byte = 0; byte < access.bytes; byte += 8) {
			long word = word_of(map, access.address[i] + byte);

			if (word >= 0)
				ret_words[(*ret_count)++] = word;
		}
	return true;
#else
	(void)actor;
	(void)ret_words;
	(void)ret_count;
	return false;
#endif
}

/*
 * Whether it matters that it is stopped here and not before: next, it touches the segment, and of
 * that, where @touched is given, what another one touches.
 */
static bool is_point(const struct actor *actor, const bool *touched)
{
	long words[WORDS_MAX];
	unsigned count;

	if (actor->has_ended || actor->done == 0 || !look_ahead(actor, words, &count))
		return true;
	for (unsigned i = 0; i < count; i++)
		if (!touched || touched[words[i]])
			return true;
	return false;
}

/* Marks in @touched what @actor touches on its way from its beginning to its end. */
static void find_touched(struct actor *actor, bool *touched)
{
	const struct shmp_plan *plan = &actor->pairs->segment->map.plan;
	long words[WORDS_MAX];
	unsigned count;

	for (rewind_to_begin(actor); !actor->has_ended; step(actor)) {
		if (!look_ahead(actor, words, &count))
			memset(touched, 1, (plan->ctl_bytes + plan->data_bytes) / 8);
		else
			for (unsigned i = 0; i < count; i++)
				touched[words[i]] = true;
	}
}

/* Leads @actor from where it stands to its end; @see where its death would leave something else. */
static void lead_on(struct actor *actor, unsigned long stride, void (*see)(void *context),
		    void *context)
{
	struct pairs *pairs = actor->pairs;
	unsigned long *at = &pairs->at[actor->act - pairs->act], seen = 0;
	bool is_first = true;
	struct shot shot;

	shot_open(pairs, &shot);
	for (;; step(actor)) {
		bool is_new = is_first || !is_as_in(pairs, &shot);

		is_first = false;
		if (is_new) {
			take_shot(pairs, &shot);
			*at = actor->done;
			if (seen++ % stride == 0 || actor->has_ended) {
				see(context);
				put_back(pairs, &shot);
			}
		}
		if (actor->has_ended)
			break;
	}
	shot_close(&shot);
}

static void lead(struct actor *actor, unsigned long stride, void (*see)(void *context),
		 void *context)
{
	rewind_to_begin(actor);
	lead_on(actor, stride, see, context);
}

static void count(void *context)
{
	++*(unsigned long *)context;
}

/* Cases */

struct stage {
	struct pairs *pairs;
	struct actor actor[2], broker;
	struct shot shot;  /* of the case that several things are tried on */
	struct spot *spot; /* of whoever comes back */
	bool *touched;	   /* words of the segment that the second one touches */
	unsigned long cases;
	bool succeeds, lives_on;
};

static void bury(struct pairs *pairs, unsigned which)
{
	shmt_place_vacate(pairs->segment, pairs->act[which].place, true, 1);
}

static void judge(struct pairs *pairs, const char *way)
{
	const struct shmt_segment *segment = pairs->segment;

	pairs->way = way;
	for (unsigned i = 0; i < 2; i++) {
		uint32_t place = pairs->act[i].place;

		if (!pairs->is_dead[i])
			continue;
		PAIRS_CHECK(pairs, !segment->kind->waits(&segment->map, place));
		if (shmp_endpoint_is_open(shmp_endpoint_look(&segment->map.endpoints[place])))
			pairs->take_up(place);
	}
	pairs->judge();
}

static void stage_open(struct stage *stage, struct pairs *pairs)
{
	const struct shmp_plan *plan = &pairs->segment->map.plan;

	*stage = (struct stage){ .pairs = pairs,
				 .spot = malloc(sizeof(*stage->spot)),
				 .touched = malloc((plan->ctl_bytes + plan->data_bytes) / 8) };
	SHMT_REQUIRE(stage->spot && stage->touched);
	shot_open(pairs, &stage->shot);
	for (unsigned i = 0; i < 2; i++)
		start(&stage->actor[i], pairs, acts, i);
	memset(pairs->at, 0, sizeof(pairs->at));
	pairs->is_dead[0] = pairs->is_dead[1] = true;
}

static void stage_close(struct stage *stage, const char *what, const char *unit)
{
	for (unsigned i = 0; i < 2; i++)
		stepper_kill(&stage->actor[i].stepper);
	shot_close(&stage->shot);
	free(stage->spot);
	free(stage->touched);
	printf("# %s%s: %lu %s\n", stage->pairs->name, what, stage->cases, unit);
}

/* Both */

static void both_are_dead(void *context)
{
	struct stage *stage = context;
	struct pairs *pairs = stage->pairs;

	take_shot(pairs, &stage->shot);
	bury(pairs, 0);
	bury(pairs, 1);
	judge(pairs, "the first is repaired first");
	put_back(pairs, &stage->shot);
	bury(pairs, 1);
	bury(pairs, 0);
	judge(pairs, "the second is repaired first");
	put_back(pairs, &stage->shot);
	/* as a broker finds them that was not there when they died */
	for (unsigned i = 0; i < 2; i++) {
		struct shmp_endpoint *place = &pairs->segment->map.endpoints[pairs->act[i].place];

		shmp_endpoint_set_state(place, shmp_endpoint_incarnation(place),
					SHMP_ENDPOINT_DYING);
	}
	bury(pairs, stage->cases % 2);
	bury(pairs, 1 - stage->cases % 2);
	judge(pairs, "both are known to be dead before one is repaired");
	stage->cases++;
}

static void first_is_dead(void *context)
{
	struct stage *stage = context;

	lead(&stage->actor[1], STRIDE, both_are_dead, stage);
}

static void die(struct pairs *pairs)
{
	struct stage stage;

	stage_open(&stage, pairs);
	lead(&stage.actor[0], STRIDE, first_is_dead, &stage);
	stage_close(&stage, ", both die", "pairs of kill points");
}

/* In repair */

static void another_dies_in_repair(void *context)
{
	struct stage *stage = context;
	struct pairs *pairs = stage->pairs;

	take_shot(pairs, &stage->shot);
	run_to_end(&stage->broker);
	bury(pairs, 1);
	judge(pairs, "the repair ends, and another begins");
	put_back(pairs, &stage->shot);
	go_back(&stage->broker, stage->spot);
	/* the broker dies here, too, and its successor finds both */
	bury(pairs, 1);
	bury(pairs, 0);
	judge(pairs, "the next broker repairs the second one, and the first one again");
	stage->cases++;
}

/* What the second one may touch, whether it comes before the repair or after it. */
static void find_what_second_touches(struct stage *stage)
{
	const struct shmp_plan *plan = &stage->pairs->segment->map.plan;
	struct shot shot;

	shot_open(stage->pairs, &shot);
	take_shot(stage->pairs, &shot);
	memset(stage->touched, 0, (plan->ctl_bytes + plan->data_bytes) / 8);
	find_touched(&stage->actor[1], stage->touched);
	put_back(stage->pairs, &shot);
	bury(stage->pairs, 0);
	find_touched(&stage->actor[1], stage->touched);
	put_back(stage->pairs, &shot);
	shot_close(&shot);
}

/* How much of the first one's repair is done matters where the second one sees it. */
static void is_being_repaired(void *context)
{
	struct stage *stage = context;
	struct actor *broker = &stage->broker;
	unsigned long seen = 0;
	struct shot shot;

	find_what_second_touches(stage);
	shot_open(stage->pairs, &shot);
	for (rewind_to_begin(broker);; step(broker)) {
		if ((is_point(broker, stage->touched) && seen++ % STRIDE == 0) ||
		    broker->has_ended) {
			stage->pairs->at[2] = broker->done;
			take_shot(stage->pairs, &shot);
			note_spot(broker, stage->spot);
			lead(&stage->actor[1], STRIDE, another_dies_in_repair, stage);
			put_back(stage->pairs, &shot);
			go_back(broker, stage->spot);
		}
		if (broker->has_ended)
			break;
	}
	shot_close(&shot);
}

static void die_in_repair(struct pairs *pairs)
{
	unsigned long deaths = 0;
	struct stage stage;
	struct shot before;

	stage_open(&stage, pairs);
	shot_open(pairs, &before);
	take_shot(pairs, &before);
	start(&stage.broker, pairs, repairs, 0);
	lead(&stage.actor[0], 1, count, &deaths);
	put_back(pairs, &before);
	lead(&stage.actor[0], (deaths + SPREAD - 1) / SPREAD, is_being_repaired, &stage);
	put_back(pairs, &before);
	stepper_kill(&stage.broker.stepper);
	shot_close(&before);
	stage_close(&stage, ", the second while the first is repaired", "kill points");
}

/* Standing by */

/* Or comes further, and dies there. */
static void dies_later(void *context)
{
	struct stage *stage = context;

	bury(stage->pairs, 1);
	judge(stage->pairs, stage->succeeds ? "the first was succeeded, and the second dies later" :
					      "the first was repaired, and the second dies later");
	stage->cases++;
}

static void goes_on_beside_a_death(void *context)
{
	struct stage *stage = context;
	struct pairs *pairs = stage->pairs;

	bury(pairs, 0);
	if (stage->succeeds) {
		pairs->take_up(pairs->act[0].place);
		pairs->move(pairs->act[0].place);
	}
	take_shot(pairs, &stage->shot);
	pairs->at[1] = stage->spot->done;
	pairs->is_dead[1] = false;
	run_to_end(&stage->actor[1]);
	judge(pairs, stage->succeeds ? "the first is succeeded" : "the first is repaired");
	stage->cases++;
	put_back(pairs, &stage->shot);
	go_back(&stage->actor[1], stage->spot);
	if (!stage->lives_on) {
		pairs->is_dead[1] = true;
		lead_on(&stage->actor[1], STRIDE, dies_later, stage);
	}
	go_back(&stage->actor[1], stage->spot);
}

static void stand_by(struct pairs *pairs, bool succeeds)
{
	struct actor *stopped;
	unsigned long seen = 0;
	struct stage stage;
	struct shot before, stop;

	stage_open(&stage, pairs);
	stage.succeeds = succeeds;
	shot_open(pairs, &stop);
	stopped = &stage.actor[1];
	shot_open(pairs, &before);
	take_shot(pairs, &before);
	for (rewind_to_begin(stopped); !stopped->has_ended; step(stopped)) {
		if (!is_point(stopped, NULL) || seen++ % STRIDE != 0)
			continue;
		take_shot(pairs, &stop);
		note_spot(stopped, stage.spot);
		pairs->at[2] = stopped->done;
		/* it dies later at every other point, and at those between in the other way */
		stage.lives_on = pairs->second_is_long || (seen / STRIDE + succeeds) % 2;
		lead(&stage.actor[0], STRIDE, goes_on_beside_a_death, &stage);
		put_back(pairs, &stop);
	}
	put_back(pairs, &before);
	shot_close(&before);
	shot_close(&stop);
	stage_close(&stage,
		    succeeds ? ", the second stands by, the first is succeeded" :
			       ", the second stands by",
		    "kill points");
}

void pairs_go(struct pairs *pairs, enum pairs_way way)
{
	if (pairs->second_is_long && (way == PAIRS_DIE || way == PAIRS_DIE_IN_REPAIR))
		return;
	/* sanitizers keep notes of each frame, which do not go back with who comes back */
	if (STEPPER_SAMPLES && way != PAIRS_DIE)
		return;
	switch (way) {
	case PAIRS_DIE:
		die(pairs);
		break;
	case PAIRS_DIE_IN_REPAIR:
		die_in_repair(pairs);
		break;
	case PAIRS_STAND_BY:
		stand_by(pairs, false);
		break;
	case PAIRS_SUCCEED:
		stand_by(pairs, true);
		break;
	}
}

void pairs_fail(const struct pairs *pairs, const char *file, int line, const char *condition)
{
	ck_abort_msg("%s:%d: %s; %s: %lu and %lu instructions done, %lu of what was stopped; %s",
		     file, line, condition, pairs->name, pairs->at[0], pairs->at[1], pairs->at[2],
		     pairs->way);
}

int pairs_main(int argc, char **argv)
{
	return STEPPER_WORKS ? shmt_run(argc, argv) :
			       shmt_skip("there is no single-stepping on this processor");
}
