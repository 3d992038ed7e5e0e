/*
 * A user of a small pool dies anywhere in what it does while three others acquire, write, hand on and
 * release as fast as they can.
 *
 * Who has an object puts his name to it, in a list that all share and in the object itself: nobody
 * finds another's there. What the dead one had, or was to get, is free again, and nobody waits for
 * an object that nobody has; in the end all of them are free, and the hint says so.
 */
#include "protocol/pool.h"

#include <string.h>

#include "tests/crash/running.h"
#include "tests/support/runner.h"

enum {
	VICTIM = 0,
	SLEEPER = 1, /* to whom nothing is handed on: it sleeps when there is none */
	OTHERS = 1,  /* 1, 2 and 3 */
	PLACES = 4,
	OBJECTS = 8,
	WORDS = 8,
	HELD_MAX = 2,
	ONE_WAITS_IN = 4, /* deaths, until each who lives got on */
};

/* Shared by all. */
struct world {
	_Atomic uint32_t owner[OBJECTS]; /* place + 1; 0: nobody, or on its way */
	_Atomic uint64_t box[PLACES];	 /* handle of what is handed to whom */
	_Atomic bool is_shared;		 /* the victim got what another had */
};

static struct scene {
	struct shmt_segment segment;
	struct shmp_pool at[PLACES];
	struct world *world;
	/* of one who lives */
	uint64_t held[HELD_MAX];
	uint32_t count;
	struct running running;
} scene;

#define CHECK(condition_) RUNNING_CHECK(&scene.running, condition_)

static _Atomic uint64_t *object(uint64_t handle)
{
	return shmp_pool_at(&scene.at[VICTIM].view, shmp_pool_index(handle));
}

/* Whether it was nobody's, and is @place's now. */
static bool sign(uint32_t place, uint64_t handle)
{
	bool was_free = atomic_exchange(&scene.world->owner[shmp_pool_index(handle)], place + 1) ==
			0;

	for (uint32_t i = 0; i < WORDS; i++)
		atomic_store_explicit(object(handle) + i, place, memory_order_relaxed);
	return was_free;
}

/* Whether it still was @place's, and is nobody's now. */
static bool unsign(uint32_t place, uint64_t handle)
{
	for (uint32_t i = 0; i < WORDS; i++)
		if (atomic_load_explicit(object(handle) + i, memory_order_relaxed) != place)
			return false;
	return atomic_exchange(&scene.world->owner[shmp_pool_index(handle)], 0) == place + 1;
}

static void tell(uint32_t place)
{
	if (shmp_pool_is_awaited(&scene.at[place]))
		shmp_pool_tell(&scene.at[place], NULL, NULL);
}

static void release(uint32_t place, uint64_t handle)
{
	SHMT_REQUIRE(shmp_pool_release(&scene.at[place], handle) == SHMP_DONE);
	tell(place);
}

/* What is not taken up any more goes out of the box again. */
static void hand_on(uint32_t place, uint64_t handle, uint32_t to)
{
	uint64_t none = 0, same = handle;
	int r;

	if (!atomic_compare_exchange_strong(&scene.world->box[to], &none, handle)) {
		release(place, handle);
		return;
	}
	r = shmp_pool_transfer(&scene.at[place], handle, to);
	if (r == SHMP_DONE)
		return;
	SHMT_REQUIRE(to == VICTIM && (r == SHMP_PEER_DEAD || r == SHMP_PEER_LEFT));
	atomic_compare_exchange_strong(&scene.world->box[to], &same, 0);
	release(place, handle);
}

/* The living */

static void keep(uint32_t place, uint64_t handle)
{
	SHMT_REQUIRE(sign(place, handle));
	scene.held[scene.count++] = handle;
}

/* What one who died on the way had handed on is stale; what is not handed on yet is denied. */
static bool take_from_box(uint32_t place)
{
	uint64_t handle = atomic_load(&scene.world->box[place]);
	int r;

	if (handle == 0)
		return false;
	r = shmp_pool_claim(&scene.at[place], handle);
	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_POOL_STALE || r == SHMP_POOL_DENIED);
	if (r == SHMP_POOL_DENIED)
		return false;
	if (r == SHMP_DONE)
		keep(place, handle);
	atomic_store(&scene.world->box[place], 0);
	return r == SHMP_DONE;
}

static bool take_any(uint32_t place)
{
	uint64_t handle = 0;
	int r = shmp_pool_acquire(&scene.at[place], &handle);

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY);
	if (r == SHMP_DONE)
		keep(place, handle);
	return r == SHMP_DONE;
}

static void give_one(uint32_t place)
{
	uint64_t handle = scene.held[--scene.count];

	SHMT_REQUIRE(unsign(place, handle));
	switch (shmt_random_below(&scene.running.random, 4)) {
	case 0:
		hand_on(place, handle, VICTIM);
		break;
	case 1:
		hand_on(place, handle, place == 2 ? 3 : 2);
		break;
	default:
		release(place, handle);
		break;
	}
}

static bool try_move(void *context, unsigned int peer)
{
	uint32_t place = OTHERS + peer;

	if (scene.count < HELD_MAX && (take_from_box(place) || take_any(place)))
		return true;
	if (scene.count == 0)
		return false;
	give_one(place);
	return true;
}

static bool live(void *context, unsigned int peer)
{
	if (OTHERS + peer != SLEEPER)
		return try_move(context, peer);
	return running_move_or_sleep(&scene.running, peer, try_move,
				     &scene.at[SLEEPER].view.control->freed, scene.at[SLEEPER].self,
				     SLEEPER);
}

/* Who dies */

static void attach(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	SHMT_REQUIRE(shmp_pool_attach(&scene.segment.map, place, &scene.at[place]) == 0);
}

static void come(void *context)
{
	atomic_store(&scene.world->box[VICTIM], 0);
	attach(VICTIM);
}

static void use(uint64_t handle)
{
	if (!sign(VICTIM, handle) || !unsign(VICTIM, handle))
		atomic_store(&scene.world->is_shared, true);
}

/* As one who would sleep if there were none. */
static uint64_t acquire_one(void)
{
	struct shmp_pool *pool = &scene.at[VICTIM];
	uint64_t handle = 0;
	int r;

	do {
		shmp_waiter_prepare(&pool->view.control->freed, pool->self, VICTIM,
				    scene.running.has_membarrier);
		r = shmp_pool_acquire(pool, &handle);
		shmp_waiter_finish(&pool->view.control->freed, VICTIM);
	} while (r == SHMP_EMPTY);
	return handle;
}

static void dies_acquiring_and_releasing(void *context)
{
	uint64_t handle = acquire_one();

	use(handle);
	shmp_pool_release(&scene.at[VICTIM], handle);
	tell(VICTIM);
}

static void dies_acquiring_and_handing_on(void *context)
{
	uint64_t handle = acquire_one();

	use(handle);
	hand_on(VICTIM, handle, 2);
}

static void await_something_handed_on(void *context)
{
	while (atomic_load(&scene.world->box[VICTIM]) == 0)
		;
}

/* What another has in mind to hand on may not be on its way yet. */
static void dies_claiming_and_releasing(void *context)
{
	uint64_t handle = atomic_load(&scene.world->box[VICTIM]);
	int r;

	do
		r = shmp_pool_claim(&scene.at[VICTIM], handle);
	while (r == SHMP_POOL_DENIED);
	if (r != SHMP_DONE)
		return;
	atomic_store(&scene.world->box[VICTIM], 0);
	use(handle);
	shmp_pool_release(&scene.at[VICTIM], handle);
	tell(VICTIM);
}

/* Before the repair: what had his name is nobody's. */
static void strike_out(void *context)
{
	for (uint32_t i = 0; i < OBJECTS; i++) {
		uint32_t dead = VICTIM + 1;

		atomic_compare_exchange_strong(&scene.world->owner[i], &dead, 0);
	}
}

/* But for one who is handing something on to him and takes it back. */
static bool has_nothing(void)
{
	for (uint64_t i = 0; i < OBJECTS; i++) {
		uint64_t word = shmp_pool_load(&scene.at[VICTIM].view, i);

		if ((word & SHMP_POOL_NAME) == (scene.at[VICTIM].owned & SHMP_POOL_NAME) &&
		    (shmp_pool_state_of(word) == SHMP_POOL_OWNED ||
		     shmp_pool_state_of(word) == SHMP_POOL_TRANSIT_TO))
			return false;
	}
	return true;
}

static void check_others(void *context)
{
	CHECK(!atomic_load(&scene.world->is_shared));
	RUNNING_AWAIT(&scene.running, has_nothing());
	if (shmt_random_below(&scene.running.random, ONE_WAITS_IN) == 0)
		running_await_moves(&scene.running, 1);
}

/* Runs */

/* The living have left. */
static void check_all_are_free(void)
{
	struct shmp_pool_counts counts;
	const char *why = NULL;
	uint64_t handle;

	for (uint32_t place = OTHERS; place < PLACES; place++)
		shmt_place_vacate(&scene.segment, place, false, 1);
	shmp_pool_count(&scene.segment.map, &counts);
	ck_assert_uint_eq(counts.of[SHMP_POOL_FREE], OBJECTS);
	ck_assert_uint_eq(atomic_load(scene.at[VICTIM].view.bitmap), (1u << OBJECTS) - 1);
	ck_assert_uint_eq(atomic_load(scene.at[VICTIM].view.summary), 1);
	come(NULL);
	for (uint32_t i = 0; i < OBJECTS; i++)
		ck_assert_int_eq(shmp_pool_acquire(&scene.at[VICTIM], &handle), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_acquire(&scene.at[VICTIM], &handle), SHMP_EMPTY);
	ck_assert_msg(shmp_pool_kind.validate(&scene.segment.map, &why) == 0, "%s", why);
	shmt_segment_free(&scene.segment);
}

static void kill_users(const char *name, void (*prepare)(void *context),
		       void (*operate)(void *context))
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_POOL_OBJECT_BYTES] = WORDS * sizeof(uint64_t),
		[SHMP_POOL_OBJECTS] = OBJECTS,
		[SHMP_POOL_ENDPOINTS_MAX] = PLACES,
	};

	memset(&scene, 0, sizeof(scene));
	shmt_segment_make(&scene.segment, "pool", option);
	scene.world = running_share(sizeof(*scene.world));
	for (uint32_t place = OTHERS; place < PLACES; place++)
		attach(place);
	shmp_pool_view(&scene.segment.map, &scene.at[VICTIM].view);
	scene.running = (struct running){
		.name = name,
		.segment = &scene.segment,
		.peers = PLACES - OTHERS,
		.live = live,
		.place = VICTIM,
		.come = come,
		.prepare = prepare,
		.operate = operate,
		.die = strike_out,
		.check = check_others,
	};
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	running_finish(&scene.running);
	check_all_are_free();
}

TEST(users_die_acquiring_and_releasing_while_others_run, .timeout_s = 120)
{
	kill_users("acquire and release", NULL, dies_acquiring_and_releasing);
}

TEST(users_die_handing_on_while_others_run, .timeout_s = 120)
{
	kill_users("acquire and transfer", NULL, dies_acquiring_and_handing_on);
}

TEST(users_die_claiming_while_others_run, .timeout_s = 120)
{
	kill_users("claim and release", await_something_handed_on, dies_claiming_and_releasing);
}

RUNNING_MAIN
