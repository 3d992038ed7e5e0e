/*
 * A reader or a writer of a lock dies anywhere in what it does while two writers and a reader run.
 *
 * What the lock guards is some words that a writer makes equal, one after the other. Who reads finds
 * them equal; who writes is alone, and finds them equal unless he is told that one died writing. That
 * is told to one writer for each who did, and nobody is held up.
 */
#include <string.h>

#include "tests/crash/running.h"
#include "tests/support/buffer.h"
#include "tests/support/runner.h"

enum {
	VICTIM = 0,
	OTHERS = 1, /* 1 and 2 write, 3 reads */
	PLACES = 4,
	WRITERS = 2,
	WORDS = 8,
	ONE_WAITS_IN = 4, /* deaths, until each who lives got on */
};

/* Shared by all. */
struct world {
	_Atomic uint64_t writing; /* place + 1 of the living one who does */
	_Atomic uint64_t told;	  /* times that one was told of a death, and mended */
	_Atomic bool is_torn;	  /* the victim had the lock and found that */
};

static struct scene {
	struct shmt_buffer buffer;
	struct shmp_buffer at[PLACES];
	struct world *world;
	uint64_t dead_writers;
	uint64_t value;
	struct running running;
} scene;

#define CHECK(condition_) RUNNING_CHECK(&scene.running, condition_)

static struct shmp_locker *locker(uint32_t place)
{
	return &scene.at[place].locker;
}

static struct shmp_lock *lock(void)
{
	return shmt_buffer_lock(&scene.buffer);
}

static _Atomic uint64_t *words(void)
{
	return (void *)scene.buffer.map.data;
}

/* Relaxed, so that nothing but the lock orders them. */
static uint64_t get(uint32_t index)
{
	return atomic_load_explicit(&words()[index], memory_order_relaxed);
}

static bool are_equal(void)
{
	for (uint32_t i = 1; i < WORDS; i++)
		if (get(i) != get(0))
			return false;
	return true;
}

static void make_equal(uint64_t value)
{
	for (uint32_t i = 0; i < WORDS; i++)
		atomic_store_explicit(&words()[i], value, memory_order_relaxed);
}

/* The living */

static void write_alone(uint64_t place)
{
	struct world *world = scene.world;

	SHMT_REQUIRE(atomic_exchange(&world->writing, place + 1) == 0);
	make_equal(++scene.value * PLACES + place);
	SHMT_REQUIRE(are_equal() && get(0) == scene.value * PLACES + place);
	SHMT_REQUIRE(atomic_exchange(&world->writing, 0) == place + 1);
}

static bool try_write(void *context, unsigned int peer)
{
	uint32_t place = OTHERS + peer;
	int r = shmp_lock_enter(locker(place));

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_OWNER_DIED || r == SHMP_HELD);
	if (r == SHMP_HELD)
		return false;
	SHMT_REQUIRE(r == SHMP_OWNER_DIED || are_equal());
	write_alone(place);
	if (r == SHMP_OWNER_DIED) {
		SHMT_REQUIRE(shmp_lock_mark_consistent(locker(place)) == SHMP_DONE);
		atomic_fetch_add(&scene.world->told, 1);
	}
	SHMT_REQUIRE(shmp_lock_unlock(locker(place)) == SHMP_DONE);
	return true;
}

/* Got on, at least by a claim. */
static bool try_claim(void *context, unsigned int peer)
{
	int r = shmp_lock_claim(locker(OTHERS + peer));

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_HELD);
	if (r == SHMP_DONE)
		try_write(context, peer);
	return r == SHMP_DONE;
}

static bool try_read(void *context, unsigned int peer)
{
	struct shmp_locker *own = locker(OTHERS + peer);
	int r = shmp_lock_try_read(own);

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_OWNER_DIED || r == SHMP_HELD);
	if (r == SHMP_HELD)
		return false;
	SHMT_REQUIRE(atomic_load(&scene.world->writing) == 0);
	SHMT_REQUIRE(r == SHMP_OWNER_DIED || are_equal());
	SHMT_REQUIRE(shmp_lock_unlock(own) == SHMP_DONE);
	return true;
}

static bool live(void *context, unsigned int peer)
{
	struct shmp_locker *own = locker(OTHERS + peer);
	bool has_claimed = own->hold == SHMP_LOCK_CLAIMING;

	if (peer >= WRITERS)
		return running_move_or_sleep(&scene.running, peer, try_read, &lock()->freed,
					     own->self, OTHERS + peer);
	return running_move_or_sleep(&scene.running, peer, has_claimed ? try_write : try_claim,
				     has_claimed ? &lock()->left : &lock()->freed, own->self,
				     OTHERS + peer);
}

/* Who dies */

static void come(void *context)
{
	shmt_buffer_attach(&scene.buffer, VICTIM, &scene.at[VICTIM]);
}

static void check_equal(void)
{
	if (!are_equal())
		atomic_store(&scene.world->is_torn, true);
}

/* As one who would sleep while others have it. */
static void dies_reading(void *context)
{
	struct shmp_locker *own = locker(VICTIM);
	int r;

	do {
		shmp_waiter_prepare(&lock()->freed, own->self, VICTIM,
				    scene.running.has_membarrier);
		r = shmp_lock_try_read(own);
		shmp_waiter_finish(&lock()->freed, VICTIM);
	} while (r == SHMP_HELD);
	check_equal();
	shmp_lock_unlock(own);
}

static void dies_writing(void *context)
{
	struct shmp_locker *own = locker(VICTIM);
	uint64_t value = get(0) + 1;

	while (shmp_lock_claim(own) == SHMP_HELD)
		;
	while (shmp_lock_enter(own) == SHMP_HELD)
		;
	check_equal();
	make_equal(value);
	shmp_lock_unlock(own);
}

static void dies_claiming_and_withdrawing(void *context)
{
	struct shmp_locker *own = locker(VICTIM);
	int r;

	while (shmp_lock_claim(own) == SHMP_HELD)
		;
	r = shmp_lock_enter(own);
	if (r == SHMP_HELD)
		shmp_lock_withdraw(own);
	else
		shmp_lock_put_back(own);
}

/* Before the repair. */
static void count_writer(void *context)
{
	uint64_t word = shmp_lock_load(lock());

	scene.dead_writers += (word & ~UINT64_C(0xff)) == locker(VICTIM)->name &&
			      shmp_lock_state_of(word) == SHMP_LOCK_HELD;
}

static void check_others(void *context)
{
	CHECK(!atomic_load(&scene.world->is_torn));
	CHECK(atomic_load(&locker(VICTIM)->self->intent[SHMP_LOCK_MARK]) == 0);
	RUNNING_AWAIT(&scene.running, atomic_load(&scene.world->told) == scene.dead_writers);
	if (shmt_random_below(&scene.running.random, ONE_WAITS_IN) == 0)
		running_await_moves(&scene.running, 1);
	CHECK(atomic_load(&scene.world->told) == scene.dead_writers);
}

/* Runs */

/* The living have left; the lock is everybody's. */
static void check_all_is_well(void)
{
	const char *why = NULL;

	for (uint32_t place = OTHERS; place < PLACES; place++)
		shmt_place_vacate(&scene.buffer.segment, place, false, 1);
	ck_assert_uint_eq(shmp_lock_load(lock()), SHMP_LOCK_FREE);
	ck_assert_uint_eq(atomic_load(&lock()->deaths), scene.dead_writers);
	ck_assert(are_equal());
	come(NULL);
	ck_assert_int_eq(shmp_lock_try_write(locker(VICTIM)), SHMP_DONE);
	ck_assert_int_eq(shmp_lock_unlock(locker(VICTIM)), SHMP_DONE);
	ck_assert_msg(shmp_buffer_kind.validate(&scene.buffer.map, &why) == 0, "%s", why);
	shmt_buffer_free(&scene.buffer);
}

static void kill_holders(const char *name, void (*operate)(void *context))
{
	memset(&scene, 0, sizeof(scene));
	shmt_buffer_make(&scene.buffer, WORDS * sizeof(uint64_t), PLACES, 1);
	scene.world = running_share(sizeof(*scene.world));
	for (uint32_t place = OTHERS; place < PLACES; place++)
		shmt_buffer_attach(&scene.buffer, place, &scene.at[place]);
	scene.running = (struct running){
		.name = name,
		.segment = &scene.buffer.segment,
		.peers = PLACES - OTHERS,
		.live = live,
		.place = VICTIM,
		.come = come,
		.operate = operate,
		.die = count_writer,
		.check = check_others,
	};
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	running_finish(&scene.running);
	check_all_is_well();
}

TEST(readers_die_while_others_run, .timeout_s = 120)
{
	kill_holders("read", dies_reading);
	ck_assert_uint_eq(scene.dead_writers, 0);
}

TEST(writers_die_while_others_run, .timeout_s = 120)
{
	kill_holders("write", dies_writing);
	ck_assert_uint_gt(scene.dead_writers, 0);
}

TEST(claimants_die_while_others_run, .timeout_s = 120)
{
	kill_holders("claim and withdraw", dies_claiming_and_withdrawing);
}

RUNNING_MAIN
