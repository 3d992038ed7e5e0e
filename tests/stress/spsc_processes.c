/*
 * Two processes, while the broker's part is played by a third: undisturbed, and with one side or
 * the other killed every few milliseconds and succeeded at once.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/stress/flow.h"
#include "tests/support/runner.h"

#define MESSAGES 1000000

struct stress {
	struct shmt_ring ring;
	struct flow_journal *journal;
	struct shmt_random random;
	uint64_t total;
	bool has_membarrier[2]; /* by place */
	pid_t pid[2];
	uint64_t deaths;
};

static struct stress *open_stress(bool producer_has, bool consumer_has)
{
	struct stress *stress = calloc(1, sizeof(*stress));

	SHMT_REQUIRE(stress && shmp_membarrier_register());
	shmt_ring_make(&stress->ring, FLOW_CAPACITY, 0);
	stress->journal = mmap(NULL, sizeof(*stress->journal), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	SHMT_REQUIRE(stress->journal != MAP_FAILED);
	stress->random.state = shmt_seed();
	stress->total = MESSAGES / shmt_scaled(1);
	stress->has_membarrier[SHMP_SPSC_PRODUCER] = producer_has;
	stress->has_membarrier[SHMP_SPSC_CONSUMER] = consumer_has;
	if (!producer_has || !consumer_has)
		SHMT_REQUIRE(stress->ring.segment.kind->require_fence(&stress->ring.segment.map) ==
			     0);
	return stress;
}

static void close_stress(struct stress *stress)
{
	printf("# %llu messages checked, %llu deaths\n", (unsigned long long)stress->total,
	       (unsigned long long)stress->deaths);
	munmap(stress->journal, sizeof(*stress->journal));
	shmt_ring_free(&stress->ring);
	free(stress);
}

static void run_child(struct stress *stress, uint32_t place, uint64_t seed)
{
	struct flow flow = { &stress->ring, stress->journal,
			     stress->total, stress->has_membarrier[place],
			     { seed },	    0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (place == SHMP_SPSC_PRODUCER) {
		SHMT_REQUIRE(shmp_spsc_attach_producer(&stress->ring.producer_map,
						       &stress->ring.producer) == 0);
		flow_produce(&flow);
	} else {
		SHMT_REQUIRE(shmp_spsc_attach_consumer(&stress->ring.consumer_map,
						       &stress->ring.consumer) == 0);
		flow_consume(&flow);
	}
	_exit(0);
}

static void begin(struct stress *stress, uint32_t place)
{
	uint64_t seed = shmt_random_next(&stress->random);

	shmt_place_assign(&stress->ring.segment, place);
	fflush(NULL);
	stress->pid[place] = fork();
	SHMT_REQUIRE(stress->pid[place] >= 0);
	if (stress->pid[place] == 0)
		run_child(stress, place, seed);
}

/* Return: whether it has ended by itself, all done. */
static bool end(struct stress *stress, uint32_t place)
{
	int status = 0;

	SHMT_REQUIRE(waitpid(stress->pid[place], &status, 0) == stress->pid[place]);
	if (WIFSIGNALED(status))
		SHMT_REQUIRE(WTERMSIG(status) == SIGKILL);
	shmt_place_vacate(&stress->ring.segment, place, WIFSIGNALED(status), 1);
	return !WIFSIGNALED(status);
}

static void pause_ms(uint64_t ms)
{
	nanosleep(&(struct timespec){ 0, (long)ms * 1000000 }, NULL);
}

static void run_undisturbed(bool producer_has, bool consumer_has)
{
	struct stress *stress = open_stress(producer_has, consumer_has);

	begin(stress, SHMP_SPSC_PRODUCER);
	begin(stress, SHMP_SPSC_CONSUMER);
	ck_assert(end(stress, SHMP_SPSC_PRODUCER));
	ck_assert(end(stress, SHMP_SPSC_CONSUMER));
	close_stress(stress);
}

TEST(nothing_is_lost_or_torn, .timeout_s = 60)
{
	run_undisturbed(true, true);
}

TEST(with_one_side_fencing_nothing_is_lost_or_torn, .timeout_s = 60)
{
	run_undisturbed(false, true);
}

/* Kills one of them now and then, until both have come to the end. */
static void run_with_deaths(struct stress *stress)
{
	bool is_done[2] = { false, false };

	begin(stress, SHMP_SPSC_PRODUCER);
	begin(stress, SHMP_SPSC_CONSUMER);
	while (!is_done[0] || !is_done[1]) {
		uint32_t place = (uint32_t)shmt_random_below(&stress->random, 2);

		if (is_done[place])
			place = !place;
		pause_ms(shmt_random_below(&stress->random, 8));
		kill(stress->pid[place], SIGKILL);
		is_done[place] = end(stress, place);
		if (!is_done[place]) {
			stress->deaths++;
			begin(stress, place);
		}
	}
}

TEST(with_either_side_dying_all_the_time_nothing_is_lost, .timeout_s = 100)
{
	struct stress *stress = open_stress(true, true);

	run_with_deaths(stress);
	ck_assert_uint_gt(stress->deaths, 0);
	close_stress(stress);
}

SHMT_MAIN
