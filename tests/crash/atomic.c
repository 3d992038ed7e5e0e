/*
 * A writer of an atomic dies after every instruction of everything it does: the value is as before
 * or as after, nobody stays asleep, and the others go on.
 */
#include "protocol/atomic.h"

#include "tests/crash/deaths.h"
#include "tests/support/runner.h"

enum {
	DEAD = 0,
	OTHER = 1,
	PLACES = 2,
	START = 40,
	STEP = 2
};

struct scene {
	struct shmt_segment segment;
	struct shmp_atomic dead, other;
	uint32_t key; /* of the other one, who sleeps; 0 = nobody */
	struct deaths deaths;
};

static struct scene scene;

static void open_scene(enum shmp_type type, const char *name)
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_ATOMIC_TYPE] = type, [SHMP_ATOMIC_ENDPOINTS_MAX] = PLACES
	};

	shmt_segment_make(&scene.segment, "atomic", option);
	shmt_place_assign(&scene.segment, DEAD);
	shmt_place_assign(&scene.segment, OTHER);
	shmp_atomic_view(&scene.segment.map, &scene.dead);
	shmp_atomic_view(&scene.segment.map, &scene.other);
	shmp_atomic_store(&scene.other, START, memory_order_seq_cst);
	scene.deaths = (struct deaths){ .name = name, .segment = &scene.segment };
}

static void other_sleeps(void)
{
	scene.key = shmp_waiter_prepare(&scene.other.control->changed,
					&scene.segment.map.endpoints[OTHER], OTHER, false);
	shmp_waiter_finish(&scene.other.control->changed, OTHER);
	shmp_waiter_prepare(&scene.other.control->changed, &scene.segment.map.endpoints[OTHER],
			    OTHER, false);
}

/* What the value may be after the death; the last one if the operation was done. */
static void check_against(uint64_t done)
{
	const struct deaths *deaths = &scene.deaths;
	struct shmp_waiter *waiter = &scene.other.control->changed;
	uint64_t value;
	const char *why;

	shmt_place_vacate(&scene.segment, DEAD, true, 1 + (int)(deaths->point % 3));
	value = shmp_atomic_load(&scene.other, memory_order_acquire);
	DEATHS_CHECK(deaths, value == done || (value == START && !deaths->has_ended));
	DEATHS_CHECK(deaths, !shmp_atomic_kind.waits(&scene.segment.map, DEAD));
	/* the sleeper's futex does not hold his key any more: he is up */
	DEATHS_CHECK(deaths, atomic_load(&waiter->sequence) != scene.key);
	shmp_waiter_finish(waiter, OTHER);
	DEATHS_CHECK(deaths, !shmp_atomic_is_watched(&scene.other));
	shmt_place_assign(&scene.segment, DEAD);
	shmp_atomic_change(&scene.other, SHMP_ATOMIC_ADD, 1, memory_order_seq_cst);
	DEATHS_CHECK(deaths, shmp_atomic_load(&scene.other, memory_order_acquire) == value + 1);
	DEATHS_CHECK(deaths, shmp_atomic_kind.validate(&scene.segment.map, &why) == 0);
}

static void tell(void)
{
	if (shmp_atomic_is_watched(&scene.dead))
		shmp_atomic_tell(&scene.dead, NULL, NULL);
}

static void dies_in_store(void *context)
{
	shmp_atomic_store(&scene.dead, START + STEP, memory_order_release);
	tell();
}

static void dies_in_add(void *context)
{
	shmp_atomic_change(&scene.dead, SHMP_ATOMIC_ADD, STEP, memory_order_acq_rel);
	tell();
}

static void dies_in_exchange(void *context)
{
	uint64_t expected = START;

	shmp_atomic_compare_exchange(&scene.dead, &expected, START + STEP);
	tell();
}

static void check_step(void *context)
{
	check_against(START + STEP);
}

static void check_double(void *context)
{
	double sum = 2.5;
	uint64_t bits;

	/* START is the bits of a number that is too small to change the sum */
	memcpy(&bits, &sum, sizeof(bits));
	check_against(bits);
}

static void dies_in_add_double(void *context)
{
	shmp_atomic_add_double(&scene.dead, 2.5);
	tell();
}

static void dies_on_its_way_to_sleep(void *context)
{
	struct shmp_endpoint *self = &scene.segment.map.endpoints[DEAD];

	shmp_waiter_prepare(&scene.dead.control->changed, self, DEAD, false);
	shmp_waiter_finish(&scene.dead.control->changed, DEAD);
}

static void check_unchanged(void *context)
{
	check_against(START);
}

static void kill_in(enum shmp_type type, const char *name, void (*operate)(void *),
		    void (*check)(void *))
{
	open_scene(type, name);
	other_sleeps();
	scene.deaths.operate = operate;
	scene.deaths.check = check;
	deaths_everywhere(&scene.deaths);
	shmt_segment_free(&scene.segment);
}

TEST(a_store_is_done_or_not_and_its_sleeper_wakes, .timeout_s = 60)
{
	kill_in(SHMP_TYPE_U64, __func__, dies_in_store, check_step);
}

TEST(an_addition_is_done_or_not_and_its_sleeper_wakes, .timeout_s = 60)
{
	kill_in(SHMP_TYPE_I32, __func__, dies_in_add, check_step);
}

TEST(a_compare_exchange_is_done_or_not_and_its_sleeper_wakes, .timeout_s = 60)
{
	kill_in(SHMP_TYPE_I64, __func__, dies_in_exchange, check_step);
}

TEST(an_addition_of_doubles_is_done_or_not_and_its_sleeper_wakes, .timeout_s = 60)
{
	kill_in(SHMP_TYPE_DOUBLE, __func__, dies_in_add_double, check_double);
}

TEST(a_waiter_that_dies_on_its_way_to_sleep_leaves_no_trace, .timeout_s = 60)
{
	kill_in(SHMP_TYPE_BOOL, __func__, dies_on_its_way_to_sleep, check_unchanged);
}

DEATHS_MAIN
