/* contest: see contest.h. */
#include "bench/contest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECES_MAX     (1u << 20)
#define DISTURBED_PART 50  /* one part in this many of a slice, waited for a core */
#define ROUNDS_FACTOR  4   /* rounds tried for each undisturbed one wanted, at most */
#define APART_NS       150 /* a line's round trip between processors that share no cache, at least */
#define APART_PATIENCE UINT64_C(60000000000) /* ns that it is waited for them to be apart */
#define APART_ENOUGH   3		     /* one part in so many of the rounds wanted */

struct bench_manner bench_manner = { .slice_ns = 50000000, .rounds = 25, .cpu = { 0, 1 } };

/* Between the two processes of a contest. */
struct floor {
	_Alignas(64) _Atomic uint32_t go; /* number of the slice to begin */
	uint32_t contender;
	uint64_t count;
	bool end;
	_Alignas(64) _Atomic uint32_t ready; /* number of the slice that side 1 stands ready for */
	_Alignas(64) _Atomic uint32_t done;
	uint64_t waited_ns; /* for a core, side 1, in the last slice */
};

void bench_die(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fputs("shmbench: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

void bench_place(pid_t pid, int cpu, int other)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	CPU_SET((size_t)other, &set);
	if (sched_setaffinity(pid, sizeof(set), &set) < 0)
		bench_die("cannot run on processors %d and %d: %s", cpu, other, strerror(errno));
}

void bench_pin(int cpu)
{
	bench_place(0, cpu, cpu);
}

void bench_unpin(void)
{
	bench_place(0, bench_manner.cpu[0], bench_manner.cpu[1]);
}

pid_t bench_fork(int cpu)
{
	pid_t parent = getpid();
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	bench_pin(cpu);
	return 0;
}

void *bench_shared_new(uint64_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		bench_die("out of memory: %s", strerror(errno));
	return memory;
}

void *bench_shared_free(void *memory, uint64_t bytes)
{
	if (memory != NULL)
		munmap(memory, bytes);
	return NULL;
}

/* Time this process was able to run and had no core, so far; 0 where the kernel does not say. */
static uint64_t waited_ns(void)
{
	static int fd = -1;
	static pid_t owner;
	char text[96];
	unsigned long long ran = 0, waited = 0;
	ssize_t n;

	if (owner != getpid()) {
		fd = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
		owner = getpid();
	}
	n = pread(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return sscanf(text, "%llu %llu", &ran, &waited) == 2 ? waited : 0;
}

static void await(const _Atomic uint32_t *word, uint32_t value)
{
	for (unsigned looks = 0; atomic_load_explicit(word, memory_order_acquire) != value;) {
		bench_pause();
		if (++looks % 65536 == 0)
			sched_yield();
	}
}

static void open_all(struct bench_contest *contest, unsigned side)
{
	for (unsigned i = 0; i < contest->contenders; i++)
		if (contest->contender[i]->open != NULL)
			contest->contender[i]->open(contest->contender[i], side);
}

static void close_all(struct bench_contest *contest, unsigned side)
{
	for (unsigned i = 0; i < contest->contenders; i++)
		if (contest->contender[i]->close != NULL)
			contest->contender[i]->close(contest->contender[i], side);
}

static void second_side(struct bench_contest *contest, struct floor *floor)
{
	uint64_t waited;

	open_all(contest, 1);
	for (uint32_t slice = 1;; slice++) {
		atomic_store_explicit(&floor->ready, slice, memory_order_release);
		await(&floor->go, slice);
		if (floor->end)
			break;
		waited = waited_ns();
		contest->contender[floor->contender]->run(contest->contender[floor->contender], 1,
							  floor->count, NULL);
		floor->waited_ns = waited_ns() - waited;
		atomic_store_explicit(&floor->done, slice, memory_order_release);
	}
	close_all(contest, 1);
}

struct arena {
	struct bench_contest *contest;
	struct floor *floor; /* NULL: one side only */
	uint32_t slice;
	struct bench_pieces pieces;
	uint64_t waited_ns; /* for a core, either side, in the last slice */
};

/* One slice. Returns its duration in ticks. */
static uint64_t run_slice(struct arena *arena, unsigned i, uint64_t count)
{
	struct bench_contender *contender = arena->contest->contender[i];
	struct floor *floor = arena->floor;
	uint64_t waited, since, ticks;

	arena->pieces.count = 0;
	if (floor != NULL) {
		await(&floor->ready, arena->slice);
		floor->contender = i;
		floor->count = count;
	}
	waited = waited_ns();
	if (floor != NULL)
		atomic_store_explicit(&floor->go, arena->slice, memory_order_release);
	since = bench_ticks();
	contender->run(contender, 0, count, &arena->pieces);
	ticks = bench_ticks() - since;
	arena->waited_ns = waited_ns() - waited;
	if (floor != NULL) {
		await(&floor->done, arena->slice++);
		arena->waited_ns += floor->waited_ns;
	}
	return ticks;
}

/* Warms up, and finds how many operations take a slice: the fastest of several looks. */
static uint64_t find_count(struct arena *arena, unsigned i)
{
	uint64_t piece = arena->contest->contender[i]->piece;
	uint64_t count = piece, most = PIECES_MAX * piece;
	double ns, best = 1e18, passed = 0;

	while (passed < (double)bench_manner.slice_ns) {
		ns = (double)run_slice(arena, i, count) * bench_tick_ns;
		passed += ns;
		best = ns / (double)count < best ? ns / (double)count : best;
		if (ns < (double)bench_manner.slice_ns / 8 && count < most / 2)
			count *= 2;
	}
	count = (uint64_t)((double)bench_manner.slice_ns / best);
	count = count < most ? count : most;
	return count < piece ? piece : count - count % piece;
}

static double centre_of(struct arena *arena, unsigned i, uint64_t ticks, uint64_t count,
			struct bench_figures *figures)
{
	bench_figures_clear(figures);
	for (uint64_t n = 0; n < arena->pieces.count; n++)
		bench_figures_add(figures, arena->pieces.ticks[n]);
	if (arena->contest->centre == BENCH_CENTRE_MEAN)
		return (double)ticks * bench_tick_ns / (double)count;
	return bench_figures_at(figures, 0.5) * bench_tick_ns /
	       (double)arena->contest->contender[i]->piece;
}

/* Whether the last round is to be left out because the two processors were close to each other. */
static bool is_close(const struct bench_contest *contest)
{
	return contest->line != 0 && contest->slice[contest->line][contest->rounds] < APART_NS;
}

static void put_aside(struct bench_contest *contest)
{
	unsigned n = contest->close_rounds;

	if (n == BENCH_ROUNDS_MAX)
		return;
	for (unsigned i = 0; i < contest->contenders; i++)
		contest->close[i][n] = contest->slice[i][contest->rounds];
	contest->close_rounds++;
}

/* They are not apart for long enough: whatever comes is taken, and nothing of what was. */
static void begin_anew(struct bench_contest *contest)
{
	contest->line = 0;
	contest->rounds = 0;
	contest->disturbed = 0;
	contest->close_rounds = 0;
	for (unsigned i = 0; i < contest->contenders; i++)
		bench_figures_clear(contest->figures[i]);
}

/*
 * Rounds until enough were undisturbed. Of the others, kept apart in the meantime, the last are
 * used in the end where the machine never was quiet.
 */
static void run_rounds(struct arena *arena, const uint64_t *count)
{
	struct bench_contest *contest = arena->contest;
	struct bench_figures *figures[BENCH_CONTENDERS_MAX] = { NULL };
	unsigned want = bench_manner.rounds;
	uint64_t until = bench_clock_ns() + APART_PATIENCE;
	unsigned aside = 0;

	for (unsigned i = 0; i < contest->contenders; i++)
		figures[i] = bench_figures_new();
	for (unsigned tried = 0; contest->rounds < want; tried++) {
		bool disturbed = false;
		bool keep = tried - aside >= (ROUNDS_FACTOR - 1) * want;

		for (unsigned n = 0; n < contest->contenders; n++) {
			/* the first is not always first */
			unsigned i = tried % 2 ? contest->contenders - 1 - n : n;
			uint64_t ticks = run_slice(arena, i, count[i]);

			contest->slice[i][contest->rounds] = centre_of(arena, i, ticks, count[i],
								       figures[i]);
			if (!contest->is_crowded && (double)arena->waited_ns * DISTURBED_PART >
							    (double)ticks * bench_tick_ns)
				disturbed = true;
		}
		if (is_close(contest)) {
			put_aside(contest);
			aside++;
			if (bench_clock_ns() < until)
				continue;
			if (contest->rounds >= want / APART_ENOUGH)
				break;
			begin_anew(contest);
			continue;
		}
		contest->disturbed += disturbed;
		if (disturbed && !keep)
			continue;
		for (unsigned i = 0; i < contest->contenders; i++)
			bench_figures_merge(contest->figures[i], figures[i]);
		contest->rounds++;
	}
	for (unsigned i = 0; i < contest->contenders; i++)
		bench_figures_free(figures[i]);
}

static void run_first_side(struct bench_contest *contest, struct floor *floor)
{
	struct arena arena = {
		.contest = contest,
		.floor = floor,
		.slice = 1,
		.pieces = { .ticks = calloc(PIECES_MAX, sizeof(uint32_t)), .room = PIECES_MAX },
	};
	uint64_t count[BENCH_CONTENDERS_MAX] = { 0 };

	if (arena.pieces.ticks == NULL)
		bench_die("out of memory");
	open_all(contest, 0);
	for (unsigned i = 0; i < contest->contenders; i++) {
		contest->figures[i] = bench_figures_new();
		count[i] = find_count(&arena, i);
	}
	run_rounds(&arena, count);
	if (floor != NULL) {
		await(&floor->ready, arena.slice);
		floor->end = true;
		atomic_store_explicit(&floor->go, arena.slice, memory_order_release);
	}
	close_all(contest, 0);
	free(arena.pieces.ticks);
}

static pid_t second;

/* The other side may end only when all is over, or the first would wait for ever. */
static void second_ended(int signal)
{
	static const char text[] = "shmbench: the other process of the contest failed\n";
	int status;

	(void)signal;
	if (second == 0 || waitpid(second, &status, WNOHANG) != second)
		return;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		second = 0;
		return;
	}
	if (write(2, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

static void fork_second(struct bench_contest *contest, struct floor *floor)
{
	pid_t parent = getpid();
	sigset_t set, before;

	fflush(stdout);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &before);
	signal(SIGCHLD, second_ended);
	second = fork();
	if (second < 0)
		bench_die("fork: %s", strerror(errno));
	if (second == 0)
		signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (second != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	bench_pin(bench_manner.cpu[1]);
	second_side(contest, floor);
	_exit(0);
}

static void await_second(void)
{
	int status = 0;

	signal(SIGCHLD, SIG_DFL);
	if (second != 0 && waitpid(second, &status, 0) == second && status != 0)
		bench_die("the other process of the contest failed");
	second = 0;
}

void bench_contest_run(struct bench_contest *contest)
{
	struct floor *floor = NULL;

	bench_pin(bench_manner.cpu[0]);
	for (unsigned i = 0; i < contest->contenders; i++)
		if (contest->contender[i]->make != NULL)
			contest->contender[i]->make(contest->contender[i]);
	if (contest->sides == 2) {
		floor = bench_shared_new(sizeof(*floor));
		fork_second(contest, floor);
	}
	run_first_side(contest, floor);
	if (contest->sides == 2)
		await_second();
	bench_shared_free(floor, sizeof(*floor));
	for (unsigned i = 0; i < contest->contenders; i++)
		if (contest->contender[i]->unmake != NULL)
			contest->contender[i]->unmake(contest->contender[i]);
}

void bench_contest_deinit(struct bench_contest *contest)
{
	for (unsigned i = 0; i < contest->contenders; i++)
		contest->figures[i] = bench_figures_free(contest->figures[i]);
}

double bench_contest_at(const struct bench_contest *contest, unsigned i, double quantile)
{
	return bench_figures_at(contest->figures[i], quantile) * bench_tick_ns /
	       (double)contest->contender[i]->piece;
}

static double centre_of_rounds(const double *slices, unsigned rounds)
{
	double slice[BENCH_ROUNDS_MAX];

	memcpy(slice, slices, rounds * sizeof(double));
	return bench_median(slice, rounds);
}

double bench_contest_centre(const struct bench_contest *contest, unsigned i)
{
	return centre_of_rounds(contest->slice[i], contest->rounds);
}

double bench_contest_close_centre(const struct bench_contest *contest, unsigned i)
{
	return centre_of_rounds(contest->close[i], contest->close_rounds);
}

static double ratio_of(const double *a, const double *b, unsigned rounds)
{
	double ratio[BENCH_ROUNDS_MAX];

	for (unsigned i = 0; i < rounds; i++)
		ratio[i] = a[i] / b[i];
	return bench_median(ratio, rounds);
}

double bench_contest_ratio(const struct bench_contest *contest, unsigned a, unsigned b)
{
	return ratio_of(contest->slice[a], contest->slice[b], contest->rounds);
}

double bench_contest_close_ratio(const struct bench_contest *contest, unsigned a, unsigned b)
{
	return ratio_of(contest->close[a], contest->close[b], contest->close_rounds);
}
