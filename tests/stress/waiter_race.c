/*
 * The race under every wait, by itself: one announces that it waits and looks, the other publishes
 * and looks for an announcement, both at the same moment, a great many times. At least one must see
 * the other; if none does, that is a wake-up lost.
 */
#include "protocol/waiter.h"

#include <pthread.h>
#include <sched.h>

#include "tests/support/random.h"
#include "tests/support/runner.h"

#define ROUNDS	   1000000
#define SECONDS_NS UINT64_C(5000000000) /* a busy machine does not get that far */

struct race {
	struct shmp_waiter waiter;
	struct shmp_endpoint endpoint[1];
	_Alignas(64) _Atomic uint64_t published;  /* round */
	_Alignas(64) _Atomic uint64_t arrived[2]; /* round that each side has come to */
	_Alignas(64) _Atomic uint64_t finished; /* round whose outcome of the publisher is there */
	bool has_membarrier;
	bool has_told;
	bool is_over; /* set by the one who announces, before they meet */
	uint64_t rounds;
	uint64_t lost;
};

/*
 * Both leave at the same time, but for a few nanoseconds that the seed decides. Both have the
 * other's line in their cache, as who waits and publishes all the time has: that is what lets a
 * load overtake a store.
 */
static void meet(struct race *race, int side, uint64_t round, struct shmt_random *random)
{
	atomic_store(&race->arrived[side], round);
	for (int spins = 0; atomic_load(&race->arrived[!side]) < round; spins++)
		if (spins > 1000)
			sched_yield();
	shmp_waiter_wanted_by(&race->waiter, 0);
	atomic_load(&race->published);
	for (uint64_t i = shmt_random_below(random, 300); i > 0; i--)
		atomic_signal_fence(memory_order_seq_cst);
}

static void no_ring(void *ringer, uint32_t endpoint)
{
	abort();
}

static void *publish(void *context)
{
	struct race *race = context;
	struct shmp_waiter_memory memory = { 0 };
	struct shmt_random random = { 1 };

	for (uint64_t round = 1;; round++) {
		uint32_t before = atomic_load(&race->waiter.sequence);

		meet(race, 0, round, &random);
		if (race->is_over)
			break;
		atomic_store_explicit(&race->published, round, memory_order_release);
		if (shmp_waiter_wanted_by(&race->waiter, 0))
			shmp_waiter_notify(&race->waiter, race->endpoint, 0, &memory, no_ring,
					   NULL);
		race->has_told = atomic_load(&race->waiter.sequence) != before;
		atomic_store_explicit(&race->finished, round, memory_order_release);
	}
	return NULL;
}

static void await_finish(const struct race *race, uint64_t round)
{
	for (int spins = 0; atomic_load_explicit(&race->finished, memory_order_acquire) < round;
	     spins++)
		if (spins > 1000)
			sched_yield();
}

static void announce_and_look(struct race *race, struct shmt_random *random)
{
	uint64_t end_ns = shmp_clock_ns() + SECONDS_NS;

	for (uint64_t round = 1;; round++) {
		bool has_seen;

		if (round == ROUNDS || shmp_clock_ns() > end_ns)
			race->is_over = true;
		meet(race, 1, round, random);
		if (race->is_over)
			break;
		shmp_waiter_prepare(&race->waiter, &race->endpoint[0], 0, race->has_membarrier);
		has_seen = atomic_load_explicit(&race->published, memory_order_acquire) == round;
		await_finish(race, round);
		race->lost += !has_seen && !race->has_told;
		race->rounds++;
		shmp_waiter_finish(&race->waiter, 0);
	}
}

static void run(bool has_membarrier)
{
	struct race race = { .has_membarrier = has_membarrier };
	struct shmt_random random = { shmt_seed() };
	pthread_t thread;

	shmp_endpoint_set_state(race.endpoint, 1, SHMP_ENDPOINT_ACTIVE);
	ck_assert(shmp_membarrier_register());
	if (!has_membarrier)
		ck_assert_int_eq(shmp_waiter_require_fence(&race.waiter), 0);
	pthread_create(&thread, NULL, publish, &race);
	announce_and_look(&race, &random);
	pthread_join(thread, NULL);
	printf("# %llu rounds\n", (unsigned long long)race.rounds);
	ck_assert_uint_eq(race.lost, 0);
}

TEST(with_membarrier_one_sees_the_other, .timeout_s = 60)
{
	run(true);
}

TEST(with_fences_one_sees_the_other, .timeout_s = 60)
{
	run(false);
}

SHMT_MAIN
