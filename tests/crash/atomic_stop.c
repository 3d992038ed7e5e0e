/*
 * A user of an atomic is stopped, not dead, after every instruction of everything it does. Others
 * change the value meanwhile, one of them dies between its change and the telling and is repaired,
 * and a third gives up waiting and waits anew. When the stopped one goes on, its operation was done
 * once, before all that or behind it, and says so; and nobody sleeps who has not seen the last value.
 */
#include "protocol/atomic.h"

#include <string.h>
#include <sys/mman.h>

#include "tests/crash/deaths.h"
#include "tests/support/runner.h"

enum {
	STOPPED = 0,
	OTHER = 1,
	SLEEPER = 2,
	THIRD = 3, /* dies meanwhile */
	PLACES = 4,
	START = 40,
	STEP = 6, /* what the stopped one's operation is done with */
	OTHERS = 100,
	THIRDS = 1000,
};

/* What the operation is, and the value after it. */
struct act {
	const char *name;
	enum shmp_type type;
	enum shmp_atomic_op op;
	void (*operate)(void *context);
	uint64_t (*result)(uint64_t before);
};

/* Shared with who is stopped. */
struct own {
	struct shmp_atomic at[PLACES];
	uint64_t before;     /* of the operation, as it said */
	bool is_done;	     /* as it said */
	bool says_before;    /* it says what was before */
	uint64_t last, seen; /* by the others; by the sleeper, before he lay down */
	uint32_t key;
};

static struct scene {
	struct shmt_segment segment;
	struct own *own;
	const struct act *act;
	struct deaths deaths;
} scene;

#define CHECK(condition_) DEATHS_CHECK(&scene.deaths, condition_)

static struct shmp_atomic *at(uint32_t place)
{
	return &scene.own->at[place];
}

static uint64_t value(void)
{
	return shmp_atomic_load(at(OTHER), memory_order_seq_cst);
}

static void attach(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	memset(at(place), 0, sizeof(*at(place)));
	shmp_atomic_view(&scene.segment.map, at(place));
}

static void tell(uint32_t place)
{
	if (shmp_atomic_is_watched(at(place)))
		shmp_atomic_tell(at(place), NULL, NULL);
}

static uint64_t bits_of(double number)
{
	uint64_t bits;

	memcpy(&bits, &number, sizeof(bits));
	return bits;
}

static double number_of(uint64_t bits)
{
	double number;

	memcpy(&number, &bits, sizeof(number));
	return number;
}

/* As numbers of the type. */
static uint64_t sum(uint64_t word, uint64_t more)
{
	if (scene.act->type == SHMP_TYPE_DOUBLE)
		return bits_of(number_of(word) + (double)more);
	return word + more;
}

static uint64_t start(void)
{
	return scene.act->type == SHMP_TYPE_DOUBLE ? bits_of(START) : START;
}

/* What the stopped one does, stepped */

static void stores(void *context)
{
	(void)context;
	shmp_atomic_store(at(STOPPED), STEP, memory_order_release);
	scene.own->is_done = true;
	tell(STOPPED);
}

static void loads(void *context)
{
	(void)context;
	scene.own->before = shmp_atomic_load(at(STOPPED), memory_order_acquire);
	scene.own->is_done = scene.own->says_before = true;
}

static void changes(void *context)
{
	(void)context;
	scene.own->before = shmp_atomic_change(at(STOPPED), scene.act->op, STEP,
					       memory_order_seq_cst);
	scene.own->is_done = scene.own->says_before = true;
	tell(STOPPED);
}

static void compares_and_exchanges(void *context)
{
	uint64_t expected = START;

	(void)context;
	scene.own->is_done = shmp_atomic_compare_exchange(at(STOPPED), &expected, STEP);
	scene.own->before = expected;
	scene.own->says_before = true;
	if (scene.own->is_done)
		tell(STOPPED);
}

static void adds_double(void *context)
{
	(void)context;
	scene.own->before = bits_of(shmp_atomic_add_double(at(STOPPED), STEP));
	scene.own->is_done = scene.own->says_before = true;
	tell(STOPPED);
}

/* What comes of it */

static uint64_t is_stored(uint64_t before)
{
	(void)before;
	return STEP;
}

static uint64_t is_left(uint64_t before)
{
	return before;
}

static uint64_t is_changed(uint64_t before)
{
	switch (scene.act->op) {
	case SHMP_ATOMIC_ADD:
		return before + STEP;
	case SHMP_ATOMIC_SUB:
		return before - STEP;
	case SHMP_ATOMIC_AND:
		return before & STEP;
	case SHMP_ATOMIC_OR:
		return before | STEP;
	case SHMP_ATOMIC_XOR:
		return before ^ STEP;
	default:
		return STEP;
	}
}

static bool was_expected(uint64_t before)
{
	return before == START;
}

static uint64_t is_exchanged(uint64_t before)
{
	return was_expected(before) ? STEP : before;
}

static uint64_t is_added(uint64_t before)
{
	return bits_of(number_of(before) + STEP);
}

/* Meanwhile */

static void add(uint32_t place, uint64_t more)
{
	if (scene.act->type == SHMP_TYPE_DOUBLE)
		shmp_atomic_add_double(at(place), (double)more);
	else
		shmp_atomic_change(at(place), SHMP_ATOMIC_ADD, more, memory_order_acq_rel);
}

static struct shmp_waiter *changed(void)
{
	return &at(SLEEPER)->control->changed;
}

static void lie_down(void)
{
	scene.own->key = shmp_waiter_prepare(changed(), &scene.segment.map.endpoints[SLEEPER],
					     SLEEPER, false);
	scene.own->seen = value();
}

static void others_go_on(void *context)
{
	uint64_t before = value();

	(void)context;
	CHECK(before == start() || before == scene.act->result(start()));
	add(OTHER, OTHERS);
	tell(OTHER);
	add(THIRD, THIRDS); /* and dies before it tells anybody */
	shmt_place_vacate(&scene.segment, THIRD, true, 1 + (int)(scene.deaths.point % 3));
	attach(THIRD);
	CHECK(value() == sum(before, OTHERS + THIRDS));
	shmp_waiter_finish(changed(), SLEEPER); /* his time is up */
	lie_down();
}

/* What must be, when it has ended */

static void all_go_on(void)
{
	const char *why;

	CHECK(value() == scene.own->seen || atomic_load(&changed()->sequence) != scene.own->key);
	shmp_waiter_finish(changed(), SLEEPER);
	for (uint32_t place = 0; place < PLACES; place++) {
		uint64_t before = value();

		CHECK(!shmp_atomic_is_watched(at(place)));
		add(place, 1);
		CHECK(value() == sum(before, 1));
	}
	CHECK(shmp_atomic_kind.validate(&scene.segment.map, &why) == 0);
}

static bool was_done(uint64_t before)
{
	return scene.act->operate != compares_and_exchanges || was_expected(before);
}

/* Before all that the others did, or behind it. */
static bool fits(uint64_t before, uint64_t after)
{
	return value() == after && scene.own->is_done == was_done(before) &&
	       (!scene.own->says_before || scene.own->before == before);
}

static void is_done_once(void *context)
{
	uint64_t all = OTHERS + THIRDS, late = sum(start(), all);
	bool is_late = fits(late, scene.act->result(late));

	(void)context;
	CHECK(is_late || fits(start(), sum(scene.act->result(start()), all)));
	CHECK(is_late || scene.deaths.point > 0);
	all_go_on();
}

static void stop_in(const struct act *act, void (*meanwhile)(void *), void (*check)(void *))
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_ATOMIC_TYPE] = act->type, [SHMP_ATOMIC_ENDPOINTS_MAX] = PLACES
	};

	scene = (struct scene){ .own = mmap(NULL, sizeof(*scene.own), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0),
				.act = act };
	SHMT_REQUIRE(scene.own != MAP_FAILED);
	shmt_segment_make(&scene.segment, "atomic", option);
	for (uint32_t place = 0; place < PLACES; place++)
		attach(place);
	shmp_atomic_store(at(OTHER), start(), memory_order_seq_cst);
	lie_down();
	scene.deaths = (struct deaths){ .name = act->name,
					.segment = &scene.segment,
					.own = scene.own,
					.own_bytes = sizeof(*scene.own),
					.operate = act->operate,
					.meanwhile = meanwhile,
					.check = check };
	deaths_everywhere(&scene.deaths);
	shmt_segment_free(&scene.segment);
	munmap(scene.own, sizeof(*scene.own));
}

static void stop_beside(const char *name, enum shmp_type type, enum shmp_atomic_op op,
			void (*operate)(void *), uint64_t (*result)(uint64_t))
{
	stop_in(&(const struct act){ name, type, op, operate, result }, others_go_on, is_done_once);
}

TEST(a_store_or_load_that_is_stopped_is_done_once, .timeout_s = 60)
{
	stop_beside("store", SHMP_TYPE_U64, SHMP_ATOMIC_EXCHANGE, stores, is_stored);
	stop_beside("store, narrow", SHMP_TYPE_U32, SHMP_ATOMIC_EXCHANGE, stores, is_stored);
	stop_beside("load", SHMP_TYPE_U64, SHMP_ATOMIC_EXCHANGE, loads, is_left);
	stop_beside("load, narrow", SHMP_TYPE_U32, SHMP_ATOMIC_EXCHANGE, loads, is_left);
}

TEST(a_change_that_is_stopped_is_done_once, .timeout_s = 60)
{
	stop_beside("exchange", SHMP_TYPE_U64, SHMP_ATOMIC_EXCHANGE, changes, is_changed);
	stop_beside("add", SHMP_TYPE_U64, SHMP_ATOMIC_ADD, changes, is_changed);
	stop_beside("sub", SHMP_TYPE_U64, SHMP_ATOMIC_SUB, changes, is_changed);
	stop_beside("and", SHMP_TYPE_U64, SHMP_ATOMIC_AND, changes, is_changed);
	stop_beside("or", SHMP_TYPE_U64, SHMP_ATOMIC_OR, changes, is_changed);
	stop_beside("xor", SHMP_TYPE_U64, SHMP_ATOMIC_XOR, changes, is_changed);
	stop_beside("exchange, narrow", SHMP_TYPE_U32, SHMP_ATOMIC_EXCHANGE, changes, is_changed);
	stop_beside("add, narrow", SHMP_TYPE_U32, SHMP_ATOMIC_ADD, changes, is_changed);
	stop_beside("xor, narrow", SHMP_TYPE_U32, SHMP_ATOMIC_XOR, changes, is_changed);
}

TEST(a_compare_exchange_that_is_stopped_is_done_once_or_fails, .timeout_s = 60)
{
	stop_beside("compare exchange", SHMP_TYPE_U64, SHMP_ATOMIC_EXCHANGE, compares_and_exchanges,
		    is_exchanged);
	stop_beside("compare exchange, narrow", SHMP_TYPE_U32, SHMP_ATOMIC_EXCHANGE,
		    compares_and_exchanges, is_exchanged);
}

TEST(an_addition_of_doubles_that_is_stopped_is_done_once, .timeout_s = 60)
{
	stop_beside("add, doubles", SHMP_TYPE_DOUBLE, SHMP_ATOMIC_EXCHANGE, adds_double, is_added);
}

/* The stopped one is who goes to sleep. */

static void goes_to_sleep(void *context)
{
	struct shmp_endpoint *self = &scene.segment.map.endpoints[STOPPED];

	(void)context;
	scene.own->key = shmp_waiter_prepare(changed(), self, STOPPED, false);
	scene.own->before = shmp_atomic_load(at(STOPPED), memory_order_acquire);
	scene.own->is_done = scene.own->says_before = true;
}

static void others_change_it(void *context)
{
	(void)context;
	shmp_waiter_finish(changed(), SLEEPER);
	add(OTHER, OTHERS);
	tell(OTHER);
	add(OTHER, THIRDS);
	tell(OTHER);
}

static void misses_nothing(void *context)
{
	uint32_t now = atomic_load(&changed()->sequence);

	(void)context;
	CHECK(scene.own->before == value() || now != scene.own->key);
	shmp_waiter_finish(changed(), STOPPED);
	CHECK(!shmp_atomic_is_watched(at(OTHER)));
}

TEST(who_is_stopped_going_to_sleep_misses_nothing, .timeout_s = 60)
{
	stop_in(&(const struct act){ "going to sleep", SHMP_TYPE_U64, SHMP_ATOMIC_EXCHANGE,
				     goes_to_sleep, is_left },
		others_change_it, misses_nothing);
}

DEATHS_MAIN
