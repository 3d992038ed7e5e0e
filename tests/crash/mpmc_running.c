/*
 * A victim dies after every instruction of a push and of a pop, of a reservation and its commit or
 * abort, of a peek and its release, from its intent on, while two producers and two consumers run,
 * and of push and pop the same with one more process that stands still between its intent and its
 * claim. Every published message comes to one of the living, or the dead one had read it; what comes
 * although he had read it says so; what was given back unsent never comes; and nobody is held up.
 * Without redelivery nothing comes twice, and all that does not come is counted as dropped.
 *
 * A step costs thousands of instructions, so the others keep pace with the steps: at full speed a
 * victim that goes step by step would hardly ever find the queue as it was an instruction before.
 * Beside quick ones it mostly loses its claim, beside slow ones it mostly wins, so it meets both.
 */
#include "protocol/mpmc.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/stepper.h"
#include "tests/support/mpmc.h"
#include "tests/support/runner.h"

enum {
	SLOTS = 4,
	VICTIM = 0,
	STOPPED = 1,
	OTHERS = 2, /* 2 and 3 push, 4 and 5 pop */
	PLACES = 6,
	LONGEST = 48,
	NUMBERS = 1 << 23,
	/* steps between two operations of another, at most */
	PACE_QUICK = STEPPER_SAMPLES ? 256 : 32,
	PACE_SLOW = 16 * PACE_QUICK,
	STEPS = STEPPER_SAMPLES ? 900 : 80, /* more than either takes behind a claim */
	STRIDE = STEPPER_SAMPLES ? 29 : 1,
};

/* Shared by all. Number n is published when state[n] says so, by whoever published it. */
struct world {
	_Atomic bool no_more; /* producers end */
	_Atomic bool is_over; /* consumers end */
	_Atomic bool is_stepping;
	_Atomic unsigned int pace;
	_Atomic uint64_t steps;
	_Atomic uint64_t next;
	_Atomic uint64_t popped;
	_Atomic uint8_t is_sent[NUMBERS];
	_Atomic uint8_t got[NUMBERS];
	_Atomic uint8_t flagged[NUMBERS];
	uint8_t had_read[NUMBERS];  /* by a victim that died */
	uint8_t is_unsent[NUMBERS]; /* that of a victim who would not have sent it */
	/* what the victim read, one word of it; the rest is for the compiler, as in pop */
	uint64_t witness[SHMP_COPY_INLINE / 8];
};

#define NOTHING UINT64_MAX /* as a witness */

/* What a victim dies in. */
struct act {
	const char *name; /* as printed */
	enum shmp_mpmc_role role;
	stepper_fn operate;
	bool is_unsent; /* its message */
};

struct scene {
	struct shmt_mpmc queue;
	struct shmp_mpmc at[PLACES];
	struct world *world;
	pid_t others[4];
	const struct act *act;
	uint64_t own; /* number of the message that the victim sends */
};

/* What a pop says, and the number it got. */
static int pop(struct shmp_mpmc *queue, uint64_t *ret_number, uint32_t *ret_flags)
{
	uint8_t payload[SHMP_COPY_INLINE]; /* or the compiler fears for it */
	struct shmp_mpmc_message message;
	int r = shmp_mpmc_pop(queue, payload, sizeof(payload), &message);

	if (r != SHMP_DONE)
		return r;
	SHMT_REQUIRE(message.size == 8);
	memcpy(ret_number, payload, 8);
	SHMT_REQUIRE(*ret_number < NUMBERS);
	*ret_flags = message.flags;
	return SHMP_DONE;
}

static uint64_t number_next(struct world *world)
{
	uint64_t number = atomic_fetch_add(&world->next, 1);

	SHMT_REQUIRE(number < NUMBERS);
	return number;
}

/* Lets some steps of the victim pass, another number each time. */
static void keep_pace(const struct world *world, unsigned int *seed)
{
	uint64_t until = atomic_load(&world->steps) + rand_r(seed) % atomic_load(&world->pace);

	while (atomic_load(&world->is_stepping) && atomic_load(&world->steps) < until)
		sched_yield();
}

static void run_producer(struct scene *scene, uint32_t place)
{
	struct world *world = scene->world;
	unsigned int seed = place;

	while (!atomic_load(&world->no_more)) {
		uint64_t number = number_next(world);

		keep_pace(world, &seed);
		while (shmp_mpmc_push(&scene->at[place], &number, sizeof(number)) == SHMP_FULL)
			sched_yield();
		atomic_store(&world->is_sent[number], 1);
	}
}

static void note(struct world *world, uint64_t number, uint32_t flags)
{
	atomic_fetch_add(&world->got[number], 1);
	if (flags == SHMP_MPMC_REDELIVERED)
		atomic_fetch_add(&world->flagged[number], 1);
}

static void run_consumer(struct scene *scene, uint32_t place)
{
	struct world *world = scene->world;
	unsigned int seed = place;
	uint64_t number;
	uint32_t flags;
	int r;

	while (!atomic_load(&world->is_over)) {
		keep_pace(world, &seed);
		r = pop(&scene->at[place], &number, &flags);
		if (r != SHMP_DONE) {
			SHMT_REQUIRE(r == SHMP_EMPTY);
			sched_yield();
			continue;
		}
		note(world, number, flags);
		atomic_fetch_add(&world->popped, 1);
	}
}

static pid_t start(struct scene *scene, void (*run)(struct scene *scene, uint32_t place),
		   uint32_t place)
{
	pid_t pid = fork();

	SHMT_REQUIRE(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run(scene, place);
		_exit(0);
	}
	return pid;
}

static struct scene *scene_open(const struct act *act, bool drops)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	scene->queue.drops = drops;
	shmt_mpmc_make(&scene->queue, SLOTS, LONGEST, PLACES);
	scene->act = act;
	scene->world = mmap(NULL, sizeof(*scene->world), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	SHMT_REQUIRE(scene->world != MAP_FAILED);
	atomic_store(&scene->world->pace, PACE_QUICK);
	for (uint32_t i = OTHERS; i < PLACES; i++) {
		bool produces = i < OTHERS + 2;

		shmt_mpmc_attach(&scene->queue, i,
				 produces ? SHMP_MPMC_PRODUCER : SHMP_MPMC_CONSUMER, &scene->at[i]);
		scene->others[i - OTHERS] = start(scene, produces ? run_producer : run_consumer, i);
	}
	return scene;
}

/* The stepped operations; each is repeated until it has done something. */

static void nothing(void *context)
{
	(void)context;
}

static void operate_push(void *context)
{
	struct scene *scene = context;

	while (shmp_mpmc_push(&scene->at[VICTIM], &scene->own, sizeof(scene->own)) == SHMP_FULL)
		;
	atomic_store(&scene->world->is_sent[scene->own], 1);
}

/* Writes its number into what it reserves, where it could come to others by mistake. */
static void reserve(struct scene *scene)
{
	uint8_t *room = NULL;

	while (shmp_mpmc_reserve(&scene->at[VICTIM], LONGEST, &room) == SHMP_FULL)
		;
	memcpy(room, &scene->own, sizeof(scene->own));
}

static void operate_reserve_and_commit(void *context)
{
	struct scene *scene = context;

	reserve(scene);
	shmp_mpmc_commit(&scene->at[VICTIM], sizeof(scene->own));
	atomic_store(&scene->world->is_sent[scene->own], 1);
}

static void operate_reserve_and_abort(void *context)
{
	struct scene *scene = context;

	reserve(scene);
	shmp_mpmc_abort(&scene->at[VICTIM]);
}

static void operate_pop(void *context)
{
	struct shmp_mpmc_message message;
	struct scene *scene = context;
	struct world *world = scene->world;

	while (shmp_mpmc_pop(&scene->at[VICTIM], world->witness, sizeof(world->witness),
			     &message) == SHMP_EMPTY)
		;
}

static void operate_peek_and_release(void *context)
{
	struct shmp_mpmc_message message;
	struct scene *scene = context;

	while (shmp_mpmc_peek(&scene->at[VICTIM], 8, &message) == SHMP_EMPTY)
		;
	scene->world->witness[0] = *(const uint64_t *)message.data;
	shmp_mpmc_release(&scene->at[VICTIM]);
}

static const struct act push_act = { "producer", SHMP_MPMC_PRODUCER, operate_push, false };
static const struct act commit_act = { "reserve and commit", SHMP_MPMC_PRODUCER,
				       operate_reserve_and_commit, false };
static const struct act abort_act = { "reserve and abort", SHMP_MPMC_PRODUCER,
				      operate_reserve_and_abort, true };
static const struct act pop_act = { "consumer", SHMP_MPMC_CONSUMER, operate_pop, false };
static const struct act release_act = { "peek and release", SHMP_MPMC_CONSUMER,
					operate_peek_and_release, false };

/* So many single steps, whatever way they take. False when the operation ended before. */
static bool step(struct scene *scene, pid_t pid, int steps)
{
	siginfo_t info;
	int status;

	while (steps-- > 0) {
		atomic_fetch_add(&scene->world->steps, 1);
		SHMT_REQUIRE(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
		SHMT_REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
		SHMT_REQUIRE(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0);
		if (info.si_code != TRAP_TRACE)
			return false;
	}
	return true;
}

/* To where it has said what it is going to claim: all before that is no news to the others. */
static void step_to_intent(struct scene *scene, pid_t pid, uint32_t place, enum shmp_mpmc_side side)
{
	const _Atomic uint64_t *intent = &scene->at[place].self->intent[side];

	while (atomic_load(intent) == 0)
		SHMT_REQUIRE(step(scene, pid, 1));
}

/* They get on: each of so many pops is another. */
static void await_progress(struct scene *scene)
{
	uint64_t before = atomic_load(&scene->world->popped);

	while (atomic_load(&scene->world->popped) < before + 4 * SLOTS)
		sched_yield();
}

static void bury(struct scene *scene, uint32_t place, int times)
{
	shmt_place_vacate(&scene->queue.segment, place, true, times);
}

static bool die_after(struct scene *scene, int steps, unsigned int pace)
{
	struct world *world = scene->world;
	const struct act *act = scene->act;
	struct stepper stepper = { .pid = 0 };
	bool goes_on;

	shmt_mpmc_attach(&scene->queue, VICTIM, act->role, &scene->at[VICTIM]);
	world->witness[0] = NOTHING;
	atomic_store(&world->pace, pace);
	atomic_store(&world->is_stepping, true);
	if (act->role == SHMP_MPMC_PRODUCER) {
		scene->own = number_next(world);
		world->is_unsent[scene->own] = act->is_unsent;
	}
	stepper_start(&stepper, nothing, act->operate, scene);
	step_to_intent(scene, stepper.pid, VICTIM,
		       act->role == SHMP_MPMC_PRODUCER ? SHMP_MPMC_PUSHING : SHMP_MPMC_POPPING);
	goes_on = step(scene, stepper.pid, steps);
	stepper_kill(&stepper);
	atomic_store(&world->is_stepping, false);
	if (world->witness[0] != NOTHING)
		world->had_read[world->witness[0]]++;
	bury(scene, VICTIM, 1 + steps % 3);
	await_progress(scene);
	return goes_on;
}

static void end(pid_t pid)
{
	int status = 0;

	SHMT_REQUIRE(waitpid(pid, &status, 0) == pid);
	SHMT_REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* All come to an end, and what is left is taken from another place. */
static void finish(struct scene *scene)
{
	struct world *world = scene->world;
	uint64_t number;
	uint32_t flags;
	int r;

	atomic_store(&world->no_more, true);
	end(scene->others[0]);
	end(scene->others[1]);
	atomic_store(&world->is_over, true);
	end(scene->others[2]);
	end(scene->others[3]);
	shmt_mpmc_attach(&scene->queue, STOPPED, SHMP_MPMC_CONSUMER, &scene->at[STOPPED]);
	while ((r = pop(&scene->at[STOPPED], &number, &flags)) == SHMP_DONE)
		note(world, number, flags);
	ck_assert_int_eq(r, SHMP_EMPTY);
	ck_assert_uint_eq(shmp_mpmc_depth(&scene->queue.map), 0);
}

/*
 * Nothing comes twice. What nobody living got was dropped, or the dead one had read it, who may have
 * been done with it.
 */
static void check_dropped(struct scene *scene)
{
	const struct world *world = scene->world;
	uint64_t lost = 0, unread = 0, count = atomic_load(&world->next);
	uint64_t count_dropped = shmt_mpmc_figure(&scene->queue, "dropped_messages");

	for (uint64_t i = 0; i < count; i++) {
		uint8_t got = atomic_load(&world->got[i]);

		ck_assert_uint_le(got + world->had_read[i], 1);
		ck_assert_uint_eq(atomic_load(&world->flagged[i]), 0);
		if (!atomic_load(&world->is_sent[i]) || got == 1)
			continue;
		lost++;
		unread += world->had_read[i] == 0;
	}
	ck_assert_uint_ge(count_dropped, unread);
	ck_assert_uint_le(count_dropped, lost);
	ck_assert_uint_gt(count_dropped, 0);
	printf("# %lu messages, %lu of them dropped\n", (unsigned long)count,
	       (unsigned long)count_dropped);
	shmt_mpmc_free(&scene->queue);
	free(scene);
}

static void check(struct scene *scene)
{
	const struct world *world = scene->world;
	uint64_t flagged = 0, count = atomic_load(&world->next);

	for (uint64_t i = 0; i < count; i++) {
		uint8_t got = atomic_load(&world->got[i]);

		ck_assert_uint_le(got, 1);
		ck_assert_msg(got == 0 || !world->is_unsent[i], "message %lu was not sent",
			      (unsigned long)i);
		if (atomic_load(&world->is_sent[i]) && got == 0)
			ck_assert_msg(world->had_read[i] > 0, "message %lu is lost",
				      (unsigned long)i);
		if (got == 1 && world->had_read[i] > 0)
			ck_assert_msg(atomic_load(&world->flagged[i]) == 1,
				      "message %lu was read before and does not say so",
				      (unsigned long)i);
		flagged += atomic_load(&world->flagged[i]);
	}
	printf("# %lu messages, %lu of them delivered again, %lu tombstones\n",
	       (unsigned long)count, (unsigned long)flagged,
	       (unsigned long)shmt_mpmc_figure(&scene->queue, "tombstones"));
	shmt_mpmc_free(&scene->queue);
	free(scene);
}

static uint64_t dropped(struct scene *scene)
{
	return shmt_mpmc_figure(&scene->queue, "dropped_messages");
}

static void kill_victims(struct scene *scene)
{
	unsigned long deaths = 0, ended = 0;

	for (int steps = 0; steps < STEPS; steps += STRIDE, deaths += 2)
		ended += !die_after(scene, steps, PACE_QUICK) + !die_after(scene, steps, PACE_SLOW);
	/* some victims win a message before they die: until one has */
	for (int steps = 0; scene->queue.drops && dropped(scene) == 0; steps += STRIDE, deaths++)
		ended += !die_after(scene, steps % STEPS, PACE_SLOW);
	printf("# %s%s: %lu kill points beside running peers\n", scene->act->name,
	       scene->queue.drops ? ", without redelivery" : "", deaths);
	printf("# %lu of them behind the end\n", ended);
	finish(scene);
	if (scene->queue.drops)
		check_dropped(scene);
	else
		check(scene);
}

TEST(producers_die_while_others_run, .timeout_s = 120)
{
	kill_victims(scene_open(&push_act, false));
}

TEST(consumers_die_while_others_run, .timeout_s = 120)
{
	kill_victims(scene_open(&pop_act, false));
}

TEST(consumers_die_while_others_run_and_nothing_comes_again, .timeout_s = 120)
{
	kill_victims(scene_open(&pop_act, true));
}

TEST(producers_die_in_a_reservation_while_others_run, .timeout_s = 120)
{
	kill_victims(scene_open(&commit_act, false));
}

TEST(producers_die_giving_a_reservation_back_while_others_run, .timeout_s = 120)
{
	kill_victims(scene_open(&abort_act, false));
}

TEST(consumers_die_in_peek_and_release_while_others_run, .timeout_s = 120)
{
	kill_victims(scene_open(&release_act, false));
}

/* Goes until its intent is there and holds it there; its claim comes too late for sure. */
static void stop_between_intent_and_claim(struct scene *scene, struct stepper *ret_stepper,
					  stepper_fn operate, enum shmp_mpmc_side side)
{
	shmt_mpmc_attach(&scene->queue, STOPPED,
			 side == SHMP_MPMC_PUSHING ? SHMP_MPMC_PRODUCER : SHMP_MPMC_CONSUMER,
			 &scene->at[STOPPED]);
	*ret_stepper = (struct stepper){ .pid = 0 };
	atomic_store(&scene->world->is_stepping, true);
	stepper_start(ret_stepper, nothing, operate, scene);
	step_to_intent(scene, ret_stepper->pid, STOPPED, side);
	atomic_store(&scene->world->is_stepping, false);
}

static void operate_stopped_push(void *context)
{
	struct scene *scene = context;
	uint64_t number = number_next(scene->world);

	while (shmp_mpmc_push(&scene->at[STOPPED], &number, sizeof(number)) == SHMP_FULL)
		;
	atomic_store(&scene->world->is_sent[number], 1);
}

static void operate_stopped_pop(void *context)
{
	struct scene *scene = context;
	uint64_t number;
	uint32_t flags;

	while (pop(&scene->at[STOPPED], &number, &flags) != SHMP_DONE)
		;
	note(scene->world, number, flags);
}

/* To the end of its operation, which is a trap. */
static void go_on(struct stepper *stepper)
{
	int status = 0;

	SHMT_REQUIRE(ptrace(PTRACE_CONT, stepper->pid, NULL, NULL) == 0);
	SHMT_REQUIRE(waitpid(stepper->pid, &status, 0) == stepper->pid && WIFSTOPPED(status));
	stepper_kill(stepper);
}

static void kill_victims_beside_a_stopped(const struct act *act)
{
	struct scene *scene = scene_open(act, false);
	unsigned long deaths = 0;
	struct stepper stopped;

	for (int steps = 0; steps < STEPS; steps += 4 * STRIDE) {
		bool pushes = steps / (4 * STRIDE) % 2;

		stop_between_intent_and_claim(scene, &stopped,
					      pushes ? operate_stopped_push : operate_stopped_pop,
					      pushes ? SHMP_MPMC_PUSHING : SHMP_MPMC_POPPING);
		for (int more = 0; more < 4 * STRIDE; more += STRIDE, deaths += 2) {
			die_after(scene, steps + more, PACE_QUICK);
			die_after(scene, steps + more, PACE_SLOW);
		}
		go_on(&stopped);
		bury(scene, STOPPED, 1);
		await_progress(scene);
	}
	printf("# %s, one stopped with an intent: %lu kill points beside running peers\n",
	       act->name, deaths);
	finish(scene);
	check(scene);
}

TEST(producers_die_beside_one_stopped_between_intent_and_claim, .timeout_s = 120)
{
	kill_victims_beside_a_stopped(&push_act);
}

TEST(consumers_die_beside_one_stopped_between_intent_and_claim, .timeout_s = 120)
{
	kill_victims_beside_a_stopped(&pop_act);
}

int main(int argc, char **argv)
{
	if (!STEPPER_WORKS)
		return shmt_skip("there is no single-stepping on this processor");
	return shmt_run(argc, argv);
}
