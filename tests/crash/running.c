#include "tests/crash/running.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/runner.h"

enum {
	/* steps of the victim between two moves of another, at most */
	PACE_QUICK = STEPPER_SAMPLES ? 256 : 32,
	PACE_SLOW = 16 * PACE_QUICK,
	SLOW_ENOUGH = STEPPER_SAMPLES ? 4000 : 500,
	PACE_SLOWEST = 8 * SLOW_ENOUGH,
	MEASURED = 3,
	ENDS = 4, /* in a row: there is nothing behind them */
	STRIDE_STEPPED = STEPPER_SAMPLES ? 311 : 7,
	STRIDE_RESTING = STEPPER_SAMPLES ? 1 : 3,
	STRIDE = STEPPER_SAMPLES ? 29 : 1,
	FEW = 6, /* unless all are asked for: one in so many */
	STEPS_MAX = (STEPPER_SAMPLES ? 12 : 40) * STRIDE_STEPPED, /* of one who is held up, say */
	ROUNDS_MAX = 8,						  /* of a loop, at a point within */
	REST_NS = 200000, /* of one who rests, between two moves, at most */
	NAP_NS = 10000,
	DEATH_S = 60,	   /* that a death takes, at most */
	TIMES_MAX = 3,	   /* that a repair is made */
	ONE_SLEEPS_IN = 3, /* that find nothing to do */
};

enum haste {
	AT_FULL_SPEED,
	RESTING,
	KEEPING_PACE,
};

struct running_world {
	_Atomic bool is_over;
	_Atomic bool is_dying;
	_Atomic unsigned int haste;
	_Atomic unsigned int pace;
	_Alignas(64) _Atomic uint64_t steps;
	struct {
		_Alignas(64) _Atomic uint64_t moves;
	} of[RUNNING_PEERS_MAX];
};

void *running_share(size_t bytes)
{
	void *shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	SHMT_REQUIRE(shared != MAP_FAILED);
	return shared;
}

/*
 * Who waits for others sleeps: by sched_yield() he goes to the end of the line, behind one who works
 * and never waits for anybody.
 */
static void nap(uint64_t ns)
{
	struct timespec span = { .tv_nsec = (long)ns };

	nanosleep(&span, NULL);
}

/*
 * Lets some steps of the victim pass, another number each time; it may not wait for others for good.
 * Who sleeps through a death and wakes in the next one may find a victim that is not stepped.
 */
static void keep_pace(const struct running_world *world, struct shmt_random *random)
{
	uint64_t until = atomic_load(&world->steps) +
			 shmt_random_below(random, atomic_load(&world->pace));

	while (atomic_load(&world->is_dying) && atomic_load(&world->haste) == KEEPING_PACE &&
	       atomic_load(&world->steps) < until)
		nap(NAP_NS);
}

static void rest(const struct running_world *world, struct shmt_random *random)
{
	if (atomic_load(&world->is_dying))
		nap(shmt_random_below(random, REST_NS));
}

static void wait_between_moves(const struct running_world *world, struct shmt_random *random)
{
	switch (atomic_load(&world->haste)) {
	case RESTING:
		rest(world, random);
		break;
	case KEEPING_PACE:
		keep_pace(world, random);
		break;
	default:
		break;
	}
}

static void run_peer(struct running *running, unsigned int peer)
{
	struct running_world *world = running->world;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	running->random.state += peer + 1;
	while (!atomic_load(&world->is_over)) {
		wait_between_moves(world, &running->random);
		if (running->live(running->context, peer))
			atomic_fetch_add(&world->of[peer].moves, 1);
		else
			sched_yield();
	}
}

void running_start(struct running *running)
{
	SHMT_REQUIRE(running->peers <= RUNNING_PEERS_MAX);
	running->world = running_share(sizeof(*running->world));
	running->has_membarrier = shmp_membarrier_register();
	running->random.state = shmt_seed();
	fflush(NULL);
	for (unsigned int i = 0; i < running->peers; i++) {
		running->pids[i] = fork();
		SHMT_REQUIRE(running->pids[i] >= 0);
		if (running->pids[i] == 0) {
			run_peer(running, i);
			_exit(0);
		}
	}
}

bool running_move_or_sleep(struct running *running, unsigned int peer,
			   bool (*move)(void *context, unsigned int peer),
			   struct shmp_waiter *waiter, struct shmp_endpoint *self, uint32_t place)
{
	bool got_on = move(running->context, peer);
	uint32_t key;

	if (got_on || shmt_random_below(&running->random, ONE_SLEEPS_IN) > 0)
		return got_on;
	key = shmp_waiter_prepare(waiter, self, place, running->has_membarrier);
	got_on = move(running->context, peer);
	if (!got_on && !atomic_load(&running->world->is_over))
		shmp_waiter_sleep(waiter, key, UINT64_MAX);
	shmp_waiter_finish(waiter, place);
	return got_on;
}

uint64_t running_deadline(void)
{
	return shmp_clock_ns() + shmt_scaled(RUNNING_SOON_NS);
}

bool running_is_patient(struct running *running, uint64_t deadline_ns)
{
	for (unsigned int i = 0; i < running->peers; i++)
		RUNNING_CHECK(running, waitpid(running->pids[i], NULL, WNOHANG) == 0);
	nap(NAP_NS);
	return shmp_clock_ns() < deadline_ns;
}

uint64_t running_moves(const struct running *running, unsigned int peer)
{
	return atomic_load(&running->world->of[peer].moves);
}

void running_await_moves(struct running *running, uint64_t more)
{
	uint64_t before[RUNNING_PEERS_MAX];

	for (unsigned int i = 0; i < running->peers; i++)
		before[i] = running_moves(running, i);
	for (unsigned int i = 0; i < running->peers; i++)
		RUNNING_AWAIT(running, running_moves(running, i) >= before[i] + more);
}

static void nothing(void *context)
{
	(void)context;
}

/*
 * Who takes so many steps gets nowhere beside others as quick as that: they slow down. But not for
 * ever, or one who waits for many of their moves would wait twice as long for each of them.
 */
static void count_step(struct running_world *world, unsigned long done)
{
	atomic_fetch_add(&world->steps, 1);
	if (done > SLOW_ENOUGH && done <= PACE_SLOWEST && done > atomic_load(&world->pace))
		atomic_store(&world->pace, (unsigned int)done);
}

/* So many single steps, whatever way they take. */
static enum stepper_result step(struct running *running, struct stepper *stepper,
				unsigned long steps)
{
	enum stepper_result result = STEPPER_STOPPED;

	for (unsigned long done = 0; done < steps && result == STEPPER_STOPPED; done++) {
		count_step(running->world, done);
		result = stepper_step(stepper);
	}
	return result;
}

/* A successor of the last one comes and is about to begin with what it will die in. */
static void begin(struct running *running, struct stepper *ret_stepper, enum haste haste,
		  unsigned int pace)
{
	struct running_world *world = running->world;

	running->come(running->context);
	*ret_stepper = (struct stepper){
		.may_stray = true,
		.patience_s = (unsigned int)shmt_scaled(DEATH_S),
	};
	atomic_store(&world->haste, haste);
	atomic_store(&world->pace, pace);
	stepper_start(ret_stepper, running->prepare ? running->prepare : nothing, running->operate,
		      running->context);
	atomic_store(&world->is_dying, true);
}

/* Whoever the victim waited for may be the reason, so it is said what they did. */
static void check_not_stuck(struct running *running, enum stepper_result result)
{
	const struct running_world *world = running->world;

	if (result != STEPPER_STUCK)
		return;
	fprintf(stderr,
		"running: %s: stuck before point %lu, haste %u, %lu steps; moves:", running->name,
		running->point, atomic_load(&world->haste),
		(unsigned long)atomic_load(&world->steps));
	for (unsigned int i = 0; i < running->peers; i++)
		fprintf(stderr, " %lu", (unsigned long)running_moves(running, i));
	fputs("\n", stderr);
	running_is_patient(running, 0); /* one who has ended is said first */
	RUNNING_CHECK(running, !"the victim gets on");
}

static void end(struct running *running, struct stepper *stepper, unsigned long point,
		enum stepper_result result)
{
	const struct shmt_segment *segment = running->segment;

	running->point = point;
	running->has_ended = result == STEPPER_ENDED;
	check_not_stuck(running, result);
	stepper_kill(stepper);
	atomic_store(&running->world->is_dying, false);
	if (running->die)
		running->die(running->context);
	shmt_place_vacate(segment, running->place, true, 1 + (int)(point % TIMES_MAX));
	RUNNING_CHECK(running, !segment->kind->waits ||
				       !segment->kind->waits(&segment->map, running->place));
	if (running->check)
		running->check(running->context);
}

static void watch_step(void *context, unsigned long done, bool is_call)
{
	struct running *running = context;

	count_step(running->world, done);
}

static void measure(struct running *running, unsigned int pace, struct stepper_path *ret_path)
{
	struct stepper stepper;

	begin(running, &stepper, KEEPING_PACE, pace);
	stepper.watch = watch_step;
	stepper.watch_context = running;
	stepper_measure(&stepper, ret_path);
	end(running, &stepper, ret_path->count, ret_path->end);
}

static void run_to_point(struct running *running, const struct stepper_path *path,
			 unsigned long point, enum haste haste)
{
	struct stepper stepper;

	begin(running, &stepper, haste, 0);
	end(running, &stepper, point, stepper_go_to(&stepper, path, point));
}

static bool is_on(const struct stepper_path *path, uintptr_t at)
{
	for (unsigned long point = 0; point < path->count; point++)
		if (path->at[point] == at)
			return true;
	return false;
}

/* A point on the last of @count paths that was on none before; in the first, loops are gone round. */
static bool is_wanted(const struct stepper_path *paths, unsigned int count, unsigned long point)
{
	const struct stepper_path *path = &paths[count - 1];

	for (unsigned int i = 0; i + 1 < count; i++)
		if (is_on(&paths[i], path->at[point]))
			return false;
	return point - path->via[point] <= (count == 1 ? ROUNDS_MAX : 0);
}

/* Beside others a death takes long: all points only where RUNNING_ALL is in the environment. */
static unsigned long one_in(void)
{
	return STEPPER_SAMPLES || getenv("RUNNING_ALL") ? 1 : FEW;
}

/* To each instruction that a measured victim came to. */
static unsigned long kill_running(struct running *running, unsigned long first)
{
	struct stepper_path paths[MEASURED];
	unsigned long stride = STRIDE * one_in() * (running->stride ? running->stride : 1);
	unsigned long points = MEASURED;

	for (unsigned int i = 0; i < MEASURED; i++) {
		measure(running, i % 2 ? PACE_QUICK : PACE_SLOW, &paths[i]);
		for (unsigned long point = first % stride; point < paths[i].count;
		     point += stride) {
			if (!is_wanted(paths, i + 1, point))
				continue;
			run_to_point(running, &paths[i], point, AT_FULL_SPEED);
			points++;
			if ((first + point) % STRIDE_RESTING > 0)
				continue;
			run_to_point(running, &paths[i], point, RESTING);
			points++;
		}
	}
	for (unsigned int i = 0; i < MEASURED; i++)
		stepper_forget(&paths[i]);
	return points;
}

static unsigned long kill_stepped(struct running *running, unsigned long first, unsigned int pace)
{
	unsigned long points = 0, stride = STRIDE_STEPPED * one_in();

	for (unsigned long steps = first % stride, ends = 0; ends < ENDS && steps < STEPS_MAX;
	     steps += stride, points++) {
		struct stepper stepper;

		begin(running, &stepper, KEEPING_PACE, pace);
		end(running, &stepper, steps, step(running, &stepper, steps));
		ends = running->has_ended ? ends + 1 : 0;
	}
	return points;
}

void running_kill_everywhere(struct running *running)
{
	unsigned long first = (unsigned long)shmt_random_next(&running->random) % STEPS_MAX;
	unsigned long points = kill_running(running, first);

	points += kill_stepped(running, first, PACE_QUICK);
	points += kill_stepped(running, first + STRIDE_STEPPED / 2, PACE_SLOW);
	printf("# %s: %lu kill points beside running peers\n", running->name, points);
	if (STEPPER_SAMPLES || one_in() > 1)
		printf("# (samples)\n");
}

static bool has_ended(pid_t pid)
{
	int status = 0;
	pid_t r = waitpid(pid, &status, WNOHANG);

	SHMT_REQUIRE(r >= 0);
	if (r == 0)
		return false;
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		      "one who lives ended with status 0x%x", (unsigned int)status);
	return true;
}

void running_finish(struct running *running)
{
	uint64_t until = running_deadline();

	atomic_store(&running->world->is_over, true);
	for (unsigned int i = 0; i < running->peers; i++)
		while (!has_ended(running->pids[i])) {
			ck_assert_msg(shmp_clock_ns() < until, "one who lives does not end");
			running->segment->kind->wake(&running->segment->map);
			sched_yield();
		}
	munmap(running->world, sizeof(*running->world));
}

int running_main(int argc, char **argv)
{
	if (!STEPPER_WORKS)
		return shmt_skip("there is no single-stepping on this processor");
	return shmt_run(argc, argv);
}
