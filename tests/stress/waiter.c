/*
 * No wake-up is lost: two who do nothing but wait for each other, with membarrier, with fences,
 * and with one of each; as threads and as processes. A lost one is a test that hangs.
 */
#include "protocol/waiter.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/support/segment.h"

#define ROUNDS 100000

/* What each side waits for is that the other one's turn moves on. */
struct game {
	struct shmp_waiter waiter[2];
	struct shmp_endpoint endpoints[2];
	_Atomic uint64_t turn[2];
	_Atomic uint32_t rings;
	uint64_t rounds;
};

struct player {
	struct game *game;
	uint32_t self;
	bool has_membarrier;
	struct shmp_waiter_memory memory;
	struct shmt_random random;
};

static void no_ring(void *ringer, uint32_t endpoint)
{
	abort();
}

static void move_on(struct player *player, uint64_t round)
{
	struct game *game = player->game;
	uint32_t other = !player->self;

	atomic_store_explicit(&game->turn[player->self], round, memory_order_release);
	if (shmp_waiter_wanted_by(&game->waiter[other], other))
		shmp_waiter_notify(&game->waiter[other], game->endpoints, other, &player->memory,
				   no_ring, NULL);
}

static bool has_moved(const struct player *player, uint64_t round)
{
	return atomic_load_explicit(&player->game->turn[!player->self], memory_order_acquire) >=
	       round;
}

/* Without a spin in between: the race is between the other's look and this one's announcement. */
static void wait_for(struct player *player, uint64_t round)
{
	struct game *game = player->game;
	struct shmp_waiter *waiter = &game->waiter[player->self];

	while (!has_moved(player, round)) {
		uint32_t key = shmp_waiter_prepare(waiter, &game->endpoints[player->self],
						   player->self, player->has_membarrier);

		if (!has_moved(player, round))
			shmp_waiter_sleep(waiter, key, UINT64_MAX);
		shmp_waiter_finish(waiter, player->self);
	}
}

static void *play(void *context)
{
	struct player *player = context;

	for (uint64_t round = 1; round <= player->game->rounds; round++) {
		if (player->self == 0)
			move_on(player, round);
		/* the other is on its way to sleep by then, or not yet, or asleep */
		for (uint64_t i = shmt_random_below(&player->random, 200); i > 0; i--)
			atomic_signal_fence(memory_order_seq_cst);
		wait_for(player, round);
		if (player->self == 1)
			move_on(player, round);
	}
	return NULL;
}

static void set_up(struct game *game, struct player *players, bool first_has, bool second_has)
{
	uint64_t seed = shmt_seed();

	game->rounds = ROUNDS / shmt_scaled(1);
	for (uint32_t i = 0; i < 2; i++) {
		shmp_endpoint_set_state(&game->endpoints[i], 1, SHMP_ENDPOINT_ACTIVE);
		players[i] = (struct player){ .game = game, .self = i, .random = { seed + i } };
	}
	players[0].has_membarrier = first_has;
	players[1].has_membarrier = second_has;
	ck_assert(shmp_membarrier_register());
	for (uint32_t i = 0; i < 2 && (!first_has || !second_has); i++)
		ck_assert_int_eq(shmp_waiter_require_fence(&game->waiter[i]), 0);
}

static void play_as_threads(bool first_has, bool second_has)
{
	struct game game = { 0 };
	struct player players[2];
	pthread_t thread;

	set_up(&game, players, first_has, second_has);
	pthread_create(&thread, NULL, play, &players[1]);
	play(&players[0]);
	pthread_join(thread, NULL);
}

static void play_as_processes(bool first_has, bool second_has)
{
	struct game *game = mmap(NULL, sizeof(*game), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct player players[2];
	int status = 0;
	pid_t pid;

	set_up(game, players, first_has, second_has);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		play(&players[1]);
		_exit(0);
	}
	play(&players[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	munmap(game, sizeof(*game));
}

TEST(threads_with_membarrier_lose_no_wakeup, .timeout_s = 60)
{
	play_as_threads(true, true);
}

TEST(threads_with_fences_lose_no_wakeup, .timeout_s = 60)
{
	play_as_threads(false, false);
}

TEST(processes_with_membarrier_lose_no_wakeup, .timeout_s = 60)
{
	play_as_processes(true, true);
}

TEST(processes_with_fences_lose_no_wakeup, .timeout_s = 60)
{
	play_as_processes(false, false);
}

TEST(processes_one_with_membarrier_one_with_fences_lose_no_wakeup, .timeout_s = 60)
{
	play_as_processes(true, false);
}

SHMT_MAIN
