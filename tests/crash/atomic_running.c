/*
 * A user of an atomic dies anywhere in what it does while two add and one waits for changes, as fast
 * as they can.
 *
 * The lower 16 bits of the value are the number of the victim, by whatever operation it comes there;
 * above them the living count what they add. So after each death the number says whether the dead
 * one's operation was done, which it is once or not at all, and in the end nothing that the living
 * added is lost or there twice. A store begins their count anew: then each counts from the number
 * that he met. Beside some deaths all of the living only wait, so that nobody but the dead one and
 * its repair could wake them.
 */
#include "protocol/atomic.h"

#include <string.h>

#include "tests/crash/running.h"
#include "tests/support/runner.h"

enum {
	VICTIM = 0,
	OTHERS = 1, /* 1 and 2 add, 3 waits */
	PLACES = 4,
	ADDERS = 2,
	NUMBER_BITS = 16,
	ONE_WAITS_IN = 4,    /* deaths, until each who lives got on */
	ONE_IS_QUIET_IN = 2, /* deaths */
};

#define ONE_MORE (UINT64_C(1) << NUMBER_BITS) /* of the living */

/* Shared by all. */
struct world {
	_Atomic bool is_quiet; /* nobody adds */
	_Atomic bool is_done;  /* the victim's operation, as it returned */
	_Atomic uint64_t next; /* number of the victim */
	struct {
		_Alignas(64) _Atomic uint64_t number; /* that it has seen */
		_Atomic uint64_t added;		      /* since that one, or since ever */
	} of[PLACES];
};

static struct scene {
	struct shmt_segment segment;
	struct shmp_atomic at[PLACES];
	struct world *world;
	void (*operate)(void *context);
	enum shmp_type type;
	bool changes; /* the victim's operation, the number */
	bool stores;
	bool is_over;
	uint64_t deaths;
	uint64_t seen; /* by who waits */
	struct running running;
} scene;

#define CHECK(condition_) RUNNING_CHECK(&scene.running, condition_)

static struct shmp_waiter *changed(void)
{
	return &scene.at[VICTIM].control->changed;
}

static uint64_t value(uint32_t place)
{
	return shmp_atomic_load(&scene.at[place], memory_order_acquire);
}

static uint64_t number_of(uint64_t word)
{
	return word % ONE_MORE;
}

static void tell(uint32_t place)
{
	if (shmp_atomic_is_watched(&scene.at[place]))
		shmp_atomic_tell(&scene.at[place], NULL, NULL);
}

/* Adds it by trying, as who computes something else than a sum. The word before. */
static uint64_t exchange(uint32_t place, uint64_t more)
{
	uint64_t before = value(place);

	while (!shmp_atomic_compare_exchange(&scene.at[place], &before, before + more))
		;
	return before;
}

/* The living */

/* Numbers only grow. False: it is the one that he knows. */
static bool note_number(uint32_t place, uint64_t word)
{
	uint64_t known = atomic_load(&scene.world->of[place].number);

	SHMT_REQUIRE(number_of(word) >= known);
	atomic_store(&scene.world->of[place].number, number_of(word));
	return number_of(word) > known;
}

static void add(uint32_t place)
{
	_Atomic uint64_t *added = &scene.world->of[place].added;
	uint64_t before, count;

	if (place == OTHERS)
		before = shmp_atomic_change(&scene.at[place], SHMP_ATOMIC_ADD, ONE_MORE,
					    memory_order_acq_rel);
	else
		before = exchange(place, ONE_MORE);
	count = note_number(place, before) && scene.stores ? 0 : atomic_load(added);
	SHMT_REQUIRE(scene.type != SHMP_TYPE_U64 || before / ONE_MORE >= count);
	atomic_store(added, count + 1);
	tell(place);
}

static bool try_adding(void *context, unsigned int peer)
{
	uint32_t place = OTHERS + peer;

	/* a number that is noted without adding begins the count of a store's anew, too */
	if (atomic_load(&scene.world->is_quiet)) {
		if (!note_number(place, value(place)))
			return false;
		if (scene.stores)
			atomic_store(&scene.world->of[place].added, 0);
		return true;
	}
	add(place);
	return true;
}

static bool try_seeing(void *context, unsigned int peer)
{
	uint64_t word = value(OTHERS + peer);

	if (word == scene.seen)
		return false;
	scene.seen = word;
	note_number(OTHERS + peer, word);
	return true;
}

static bool live(void *context, unsigned int peer)
{
	uint32_t place = OTHERS + peer;

	return running_move_or_sleep(&scene.running, peer, peer < ADDERS ? try_adding : try_seeing,
				     changed(), &scene.segment.map.endpoints[place], place);
}

/* Who dies */

static bool all_wait(void)
{
	for (uint32_t place = OTHERS; place < PLACES; place++)
		if (!shmp_waiter_is_set(changed(), place))
			return false;
	return true;
}

static void come(void *context)
{
	struct world *world = scene.world;

	shmt_place_assign(&scene.segment, VICTIM);
	shmp_atomic_view(&scene.segment.map, &scene.at[VICTIM]);
	if (scene.changes) {
		atomic_store(&world->next, number_of(value(VICTIM)) + 1);
		scene.operate(context);
		CHECK(number_of(value(VICTIM)) == atomic_load(&world->next));
	}
	atomic_store(&world->next, number_of(value(VICTIM)) + scene.changes);
	atomic_store(&world->is_done, false);
	if (scene.changes && !scene.is_over &&
	    (scene.deaths++ == 0 ||
	     shmt_random_below(&scene.running.random, ONE_IS_QUIET_IN) == 0)) {
		atomic_store(&world->is_quiet, true);
		RUNNING_AWAIT(&scene.running, all_wait());
	}
}

static void dies_adding(void *context)
{
	shmp_atomic_change(&scene.at[VICTIM], SHMP_ATOMIC_ADD, 1, memory_order_seq_cst);
	atomic_store(&scene.world->is_done, true);
	tell(VICTIM);
}

static void dies_exchanging(void *context)
{
	exchange(VICTIM, 1);
	atomic_store(&scene.world->is_done, true);
	tell(VICTIM);
}

static void dies_storing(void *context)
{
	shmp_atomic_store(&scene.at[VICTIM], atomic_load(&scene.world->next), memory_order_release);
	atomic_store(&scene.world->is_done, true);
	tell(VICTIM);
}

/* It does not get up late: who keeps pace with its steps would wait for it. */
static void dies_waiting(void *context)
{
	uint64_t before = value(VICTIM);
	uint32_t key;

	do {
		key = shmp_waiter_prepare(changed(), &scene.segment.map.endpoints[VICTIM], VICTIM,
					  scene.running.has_membarrier);
		if (value(VICTIM) == before)
			shmp_waiter_sleep(changed(), key, 1);
		shmp_waiter_finish(changed(), VICTIM);
	} while (value(VICTIM) == before);
}

static bool all_have_seen(uint64_t number)
{
	for (uint32_t place = OTHERS; place < PLACES; place++)
		if (atomic_load(&scene.world->of[place].number) != number)
			return false;
	return true;
}

static void check_others(void *context)
{
	uint64_t number = number_of(value(VICTIM)), next = atomic_load(&scene.world->next);

	CHECK(number == next || (scene.changes && number == next - 1 && !scene.running.has_ended));
	CHECK(number == next || !atomic_load(&scene.world->is_done));
	if (atomic_load(&scene.world->is_quiet)) {
		RUNNING_AWAIT(&scene.running, all_have_seen(number));
		atomic_store(&scene.world->is_quiet, false);
		scene.segment.kind->wake(&scene.segment.map);
	}
	if (shmt_random_below(&scene.running.random, ONE_WAITS_IN) == 0)
		running_await_moves(&scene.running, 1);
}

/* Runs */

/* All that the living added, and nothing else. */
static void check_sum(void)
{
	uint64_t number = number_of(value(VICTIM)), sum = number;

	for (uint32_t place = OTHERS; place < OTHERS + ADDERS; place++)
		if (!scene.stores || atomic_load(&scene.world->of[place].number) == number)
			sum += atomic_load(&scene.world->of[place].added) * ONE_MORE;
	if (scene.type == SHMP_TYPE_U32)
		sum = (uint32_t)sum;
	ck_assert_uint_eq(value(VICTIM), sum);
}

static void kill_everywhere(const char *name, enum shmp_type type, void (*operate)(void *context))
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_ATOMIC_TYPE] = type, [SHMP_ATOMIC_ENDPOINTS_MAX] = PLACES
	};
	const char *why = NULL;

	memset(&scene, 0, sizeof(scene));
	scene.type = type;
	scene.operate = operate;
	scene.changes = operate != dies_waiting;
	scene.stores = operate == dies_storing;
	shmt_segment_make(&scene.segment, "atomic", option);
	scene.world = running_share(sizeof(*scene.world));
	for (uint32_t place = 0; place < PLACES; place++)
		shmp_atomic_view(&scene.segment.map, &scene.at[place]);
	for (uint32_t place = OTHERS; place < PLACES; place++)
		shmt_place_assign(&scene.segment, place);
	scene.running = (struct running){
		.name = name,
		.segment = &scene.segment,
		.peers = PLACES - OTHERS,
		.live = live,
		.place = VICTIM,
		.come = come,
		.operate = operate,
		.check = check_others,
	};
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	running_finish(&scene.running);
	check_sum();
	scene.is_over = true;
	come(NULL);
	check_sum();
	ck_assert(!shmp_atomic_is_watched(&scene.at[VICTIM]));
	ck_assert_msg(shmp_atomic_kind.validate(&scene.segment.map, &why) == 0, "%s", why);
	shmt_segment_free(&scene.segment);
}

TEST(users_die_adding_while_others_run, .timeout_s = 120)
{
	kill_everywhere("add", SHMP_TYPE_U64, dies_adding);
	kill_everywhere("add, narrow", SHMP_TYPE_U32, dies_adding);
}

TEST(users_die_comparing_and_exchanging_while_others_run, .timeout_s = 120)
{
	kill_everywhere("compare exchange", SHMP_TYPE_U64, dies_exchanging);
}

TEST(users_die_storing_while_others_run, .timeout_s = 120)
{
	kill_everywhere("store", SHMP_TYPE_U64, dies_storing);
}

TEST(users_die_waiting_for_a_change_while_others_run, .timeout_s = 120)
{
	kill_everywhere("wait", SHMP_TYPE_U64, dies_waiting);
}

RUNNING_MAIN
