/*
 * Users that acquire, write, hand over through a table, claim, release and die, as threads that
 * share one mapping, so that the thread sanitizer sees them. Nothing is in two hands at once, and in
 * the end every object is free and found by the hint.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "protocol/pool.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/support/segment.h"

enum {
	USERS = 4,
	OBJECTS = 100,
	WORDS = 8,
	HELD = 40, /* of each at most: together more than there are */
	ROUNDS = 150000
};

static struct shmt_segment segment;
static _Atomic uint64_t table[16]; /* handles on their way, 0 = none */
static uint64_t seed;

struct user {
	struct shmp_pool pool;
	uint32_t place;
	uint64_t held[HELD];
	uint64_t count, exhausted, stale;
	struct shmt_random random;
};

static uint64_t *words_of(struct user *user, uint64_t handle)
{
	uint64_t index;

	SHMT_REQUIRE(shmp_pool_is_own(&user->pool, handle, &index));
	return shmp_pool_at(&user->pool.view, index);
}

/* Others would write other numbers. */
static void write_all(struct user *user, uint64_t handle)
{
	uint64_t *words = words_of(user, handle);

	for (uint64_t i = 0; i < WORDS; i++)
		words[i] = handle * WORDS + i;
}

static void check_all(struct user *user, uint64_t handle)
{
	const uint64_t *words = words_of(user, handle);

	for (uint64_t i = 0; i < WORDS; i++)
		SHMT_REQUIRE(words[i] == handle * WORDS + i);
}

static void acquire(struct user *user)
{
	int r;

	if (user->count == HELD)
		return;
	r = shmp_pool_acquire(&user->pool, &user->held[user->count]);
	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY);
	if (r == SHMP_DONE)
		write_all(user, user->held[user->count++]);
	else
		user->exhausted++;
}

static uint64_t pick(struct user *user)
{
	uint64_t at = shmt_random_below(&user->random, user->count);
	uint64_t handle = user->held[at];

	user->held[at] = user->held[--user->count];
	return handle;
}

static void release(struct user *user)
{
	uint64_t handle;

	if (user->count == 0)
		return;
	handle = pick(user);
	check_all(user, handle);
	SHMT_REQUIRE(shmp_pool_release(&user->pool, handle) == SHMP_DONE);
	SHMT_REQUIRE(shmp_pool_release(&user->pool, handle) == SHMP_POOL_STALE ||
		     shmp_pool_state_of(shmp_pool_load(&user->pool.view,
						       shmp_pool_index(handle))) != SHMP_POOL_FREE);
}

static void hand_over(struct user *user)
{
	_Atomic uint64_t *slot = &table[shmt_random_below(&user->random, 16)];
	uint32_t to = (uint32_t)shmt_random_below(&user->random, USERS + 1);
	uint64_t none = 0, handle;
	int r;

	if (user->count == 0 || atomic_load(slot) != 0)
		return;
	handle = pick(user);
	check_all(user, handle);
	r = shmp_pool_transfer(&user->pool, handle, to < USERS ? to : SHMP_POOL_ANYONE);
	if (r == SHMP_PEER_DEAD || r == SHMP_PEER_LEFT) {
		user->held[user->count++] = handle;
		return;
	}
	SHMT_REQUIRE(r == SHMP_DONE);
	if (!atomic_compare_exchange_strong(slot, &none, handle))
		shmp_pool_reclaim(&user->pool, handle);
}

static void take_over(struct user *user)
{
	_Atomic uint64_t *slot = &table[shmt_random_below(&user->random, 16)];
	uint64_t handle;
	int r;

	if (user->count == HELD)
		return;
	handle = atomic_exchange(slot, 0);
	if (handle == 0)
		return;
	r = shmp_pool_claim(&user->pool, handle);
	if (r == SHMP_DONE) {
		check_all(user, handle);
		user->held[user->count++] = handle;
		return;
	}
	/* for another, who does not get it now, or freed with one who died */
	SHMT_REQUIRE(r == SHMP_POOL_DENIED || r == SHMP_POOL_STALE);
	user->stale += r == SHMP_POOL_STALE;
	if (r == SHMP_POOL_DENIED)
		shmp_pool_reclaim(&user->pool, handle);
}

static void attach(struct user *user)
{
	shmt_place_assign(&segment, user->place);
	SHMT_REQUIRE(shmp_pool_attach(&segment.map, user->place, &user->pool) == 0);
	user->count = 0;
}

static void *use(void *context)
{
	struct user *user = context;

	for (uint64_t i = 0; i < ROUNDS / shmt_scaled(1); i++) {
		switch (shmt_random_below(&user->random, 8)) {
		case 0:
		case 1:
		case 2:
			acquire(user);
			break;
		case 3:
		case 4:
			release(user);
			break;
		case 5:
		case 6:
			hand_over(user);
			break;
		default:
			take_over(user);
		}
		/* dies, in the eyes of the others, between two moves */
		if (shmt_random_below(&user->random, 2000) == 0) {
			shmt_place_vacate(&segment, user->place, true, 1);
			attach(user);
		}
		if (i % 64 == 0)
			sched_yield();
	}
	shmt_place_vacate(&segment, user->place, false, 1);
	return NULL;
}

TEST(nothing_is_in_two_hands_and_nothing_is_lost, .timeout_s = 120)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { WORDS * 8, OBJECTS, USERS + 1 };
	static struct user user[USERS + 1];
	struct shmp_pool_counts counts;
	pthread_t thread[USERS];
	uint64_t none;

	seed = shmt_seed();
	shmt_segment_make(&segment, "pool", option);
	for (uint32_t i = 0; i <= USERS; i++) {
		user[i].place = i;
		user[i].random.state = seed + i;
		attach(&user[i]);
	}
	for (uint32_t i = 0; i < USERS; i++)
		pthread_create(&thread[i], NULL, use, &user[i]);
	for (uint32_t i = 0; i < USERS; i++) {
		pthread_join(thread[i], NULL);
		printf("# user %u: %llu times nothing was free, %llu stale\n", i,
		       (unsigned long long)user[i].exhausted, (unsigned long long)user[i].stale);
	}
	shmp_pool_reclaim_abandoned(&user[USERS].pool);
	shmp_pool_count(&segment.map, &counts);
	ck_assert_uint_eq(counts.of[SHMP_POOL_FREE], OBJECTS);
	printf("# %llu acquired, %llu released, %llu returned\n",
	       (unsigned long long)counts.acquired, (unsigned long long)counts.released,
	       (unsigned long long)counts.returned);
	for (uint64_t i = 0; i < OBJECTS; i++)
		ck_assert(atomic_load(&user[0].pool.view.bitmap[i / 64]) >> i % 64 & 1);
	for (uint64_t i = 0; i < OBJECTS; i++)
		ck_assert_int_eq(shmp_pool_acquire(&user[USERS].pool, &none), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_acquire(&user[USERS].pool, &none), SHMP_EMPTY);
	shmt_segment_free(&segment);
}

SHMT_MAIN
