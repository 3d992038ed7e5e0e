/*
 * The lock under traffic: threads on one mapping, and processes of which one after the other is
 * killed wherever it is. What it guards is a row of equal numbers: whoever holds it finds them so,
 * or has been told that somebody died over them.
 */
#include "protocol/lock.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/buffer.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

enum {
	THREADS = 8,
	CELLS = 8,
	TURNS = 20000,
	KILLS = 200,
};

struct worker {
	struct shmp_buffer at;
	uint64_t seed;
	uint32_t turns;
	uint64_t writes_of_8;
	uint64_t written;
};

/* As libclient waits, without its spinning. */
static int wait_for(struct shmp_locker *locker, struct shmp_waiter *waiter,
		    int (*move)(struct shmp_locker *locker))
{
	int r = move(locker);

	while (r == SHMP_HELD) {
		uint32_t key = shmp_waiter_prepare(waiter, locker->self, locker->endpoint, true);

		r = move(locker);
		if (r == SHMP_HELD)
			shmp_waiter_sleep(waiter, key, UINT64_MAX);
		shmp_waiter_finish(waiter, locker->endpoint);
		if (r == SHMP_HELD)
			r = move(locker);
	}
	return r;
}

static int move_read(struct shmp_locker *locker)
{
	return shmp_lock_try_read(locker);
}

static int move_claim(struct shmp_locker *locker)
{
	return shmp_lock_claim(locker);
}

static int move_enter(struct shmp_locker *locker)
{
	return shmp_lock_enter(locker);
}

static int take(struct shmp_locker *locker, bool writes)
{
	int r = wait_for(locker, &locker->lock->freed, writes ? move_claim : move_read);

	return writes && r == SHMP_DONE ? wait_for(locker, &locker->lock->left, move_enter) : r;
}

static uint64_t *cells_of(const struct shmp_buffer *buffer)
{
	return (void *)shmp_buffer_at(buffer, 0);
}

static bool are_equal(const uint64_t *cells)
{
	for (int i = 1; i < CELLS; i++)
		if (cells[i] != cells[0])
			return false;
	return true;
}

static void raise_all(uint64_t *cells)
{
	uint64_t value = cells[0] + 1;

	for (int i = 0; i < CELLS; i++)
		cells[i] = value;
}

/* Whether all was as it must be. */
static bool take_turn(struct worker *worker, bool writes)
{
	struct shmp_locker *locker = &worker->at.locker;
	uint64_t *cells = cells_of(&worker->at);
	int r = take(locker, writes);
	bool is_right = r == SHMP_OWNER_DIED || (r == SHMP_DONE && are_equal(cells));

	if (writes) {
		raise_all(cells);
		worker->written++;
		shmp_lock_mark_consistent(locker);
	}
	return shmp_lock_unlock(locker) == SHMP_DONE && is_right;
}

static bool work(struct worker *worker)
{
	struct shmt_random random = { worker->seed };

	for (uint32_t i = 0; i < worker->turns; i++)
		if (!take_turn(worker, shmt_random_below(&random, 8) < worker->writes_of_8))
			return false;
	return true;
}

static void *run(void *context)
{
	return work(context) ? NULL : context;
}

static void run_threads(uint64_t writes_of_8, uint64_t writers)
{
	struct shmt_buffer buffer;
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	uint64_t seed = shmt_seed(), sum = 0;

	ck_assert(shmp_membarrier_register());
	shmt_buffer_make(&buffer, CELLS * 8, THREADS, 1);
	for (uint32_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .seed = seed + i,
					      .turns = TURNS,
					      .writes_of_8 = i < writers ? writes_of_8 : 0 };
		shmt_buffer_attach(&buffer, i, &workers[i].at);
	}
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run, &workers[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		void *wrong;

		ck_assert_int_eq(pthread_join(threads[i], &wrong), 0);
		ck_assert_ptr_null(wrong);
		sum += workers[i].written;
	}
	ck_assert_uint_eq(cells_of(&workers[0].at)[0], sum);
	ck_assert_uint_eq(shmp_lock_load(shmt_buffer_lock(&buffer)), SHMP_LOCK_FREE);
	shmt_buffer_free(&buffer);
}

TEST(threads_that_read_and_write_at_random_find_all_equal, .timeout_s = 60)
{
	run_threads(2, THREADS);
}

TEST(writers_and_readers_find_all_equal, .timeout_s = 60)
{
	run_threads(8, THREADS / 2);
}

/* Deaths */

static pid_t start(struct worker *worker)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		shmt_be_child();
		_exit(work(worker) ? 0 : 1);
	}
	return pid;
}

static void reap(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
			      (WIFEXITED(status) && WEXITSTATUS(status) == 0),
		      "a worker found what nobody wrote");
}

TEST(processes_that_are_killed_anywhere_hold_up_nobody, .timeout_s = 60)
{
	enum {
		PROCESSES = 4
	};
	struct shmt_buffer buffer;
	struct worker workers[PROCESSES];
	pid_t pids[PROCESSES];
	struct shmt_random random = { shmt_seed() };
	struct worker last = { .turns = 1, .writes_of_8 = 8 };

	ck_assert(shmp_membarrier_register()); /* the children, too */
	shmt_buffer_make(&buffer, CELLS * 8, PROCESSES, 1);
	for (uint32_t i = 0; i < PROCESSES; i++) {
		workers[i] = (struct worker){ .turns = UINT32_MAX, .writes_of_8 = 3 };
		shmt_buffer_attach(&buffer, i, &workers[i].at);
		pids[i] = start(&workers[i]);
	}
	for (uint32_t i = 0; i < KILLS; i++) {
		uint32_t victim = (uint32_t)shmt_random_below(&random, PROCESSES);

		usleep((useconds_t)shmt_random_below(&random, 3000));
		ck_assert_int_eq(kill(pids[victim], SIGKILL), 0);
		reap(pids[victim]);
		shmt_place_vacate(&buffer.segment, victim, true, 2);
		shmt_buffer_attach(&buffer, victim, &workers[victim].at);
		workers[victim].seed = i;
		pids[victim] = start(&workers[victim]);
	}
	for (uint32_t i = 0; i < PROCESSES; i++) {
		kill(pids[i], SIGKILL);
		reap(pids[i]);
		shmt_place_vacate(&buffer.segment, i, true, 2);
	}
	shmt_buffer_attach(&buffer, 0, &last.at);
	ck_assert(work(&last));
	ck_assert_uint_eq(shmp_lock_load(shmt_buffer_lock(&buffer)), SHMP_LOCK_FREE);
	printf("# %llu writers died writing\n",
	       (unsigned long long)shmt_buffer_figure(&buffer, "lock_deaths"));
	shmt_buffer_free(&buffer);
}

SHMT_MAIN
