/*
 * A pool, and two of its users at once in the middle of something; see pairs.h. Each object is in the
 * one hand that was told so, or on its way to one that is there, or free and to be had.
 */
#include "protocol/pool.h"

#include <sys/mman.h>

#include "tests/crash/pairs.h"
#include "tests/support/runner.h"

enum {
	FIRST = 0,
	SECOND = 1,
	THIRD = 2, /* lives */
	PLACES = 3,
	OBJECTS = 6,
	UNTOLD = -1,
};

/* What a place was told that it has. */
struct hand {
	uint64_t handle[OBJECTS + 1];
	uint64_t count;
};

struct own {
	struct shmp_pool at[PLACES];
	struct hand hand[PLACES];
	uint64_t subject; /* handle that is handed over */
	int r[2];	  /* of the acts */
};

static struct scene {
	struct shmt_segment segment;
	struct own *own;
	struct pairs pairs;
} scene;

#define CHECK(condition_) PAIRS_CHECK(&scene.pairs, condition_)

static struct shmp_pool *at(uint32_t place)
{
	return &scene.own->at[place];
}

static void take_up(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	CHECK(shmp_pool_attach(&scene.segment.map, place, at(place)) == 0);
	scene.own->hand[place].count = 0;
}

static void keep(uint32_t place, uint64_t handle)
{
	struct hand *hand = &scene.own->hand[place];

	hand->handle[hand->count++] = handle;
}

static uint64_t let_go_of_last(uint32_t place)
{
	struct hand *hand = &scene.own->hand[place];

	return hand->handle[--hand->count];
}

static int acquire(uint32_t place)
{
	uint64_t handle = 0;
	int r = shmp_pool_acquire(at(place), &handle);

	if (r == SHMP_DONE)
		keep(place, handle);
	return r;
}

static uint64_t count_of(enum shmp_pool_state state)
{
	struct shmp_pool_counts got;

	shmp_pool_count(&scene.segment.map, &got);
	return got.of[state];
}

/* EMPTY is true when it is said. */
static void take_all(uint32_t place)
{
	while (acquire(place) == SHMP_DONE)
		CHECK(scene.own->hand[place].count <= OBJECTS);
	CHECK(count_of(SHMP_POOL_FREE) == 0);
}

static void release_all(uint32_t place)
{
	while (scene.own->hand[place].count > 0)
		CHECK(shmp_pool_release(at(place), let_go_of_last(place)) == SHMP_DONE);
}

static void move(uint32_t place)
{
	acquire(place);
}

/* States */

static void each_has_one(void)
{
	for (uint32_t place = 0; place < PLACES; place++)
		CHECK(acquire(place) == SHMP_DONE);
}

static void first_has_the_subject(void)
{
	each_has_one();
	scene.own->subject = let_go_of_last(FIRST);
}

static void second_has_the_subject(void)
{
	each_has_one();
	scene.own->subject = let_go_of_last(SECOND);
}

static void is_exhausted(void)
{
	first_has_the_subject();
	take_all(THIRD);
}

static void is_sent_to_first(void)
{
	second_has_the_subject();
	CHECK(shmp_pool_transfer(at(SECOND), scene.own->subject, FIRST) == SHMP_DONE);
}

static void is_sent_to_second(void)
{
	first_has_the_subject();
	CHECK(shmp_pool_transfer(at(FIRST), scene.own->subject, SECOND) == SHMP_DONE);
}

static void is_given(void)
{
	second_has_the_subject();
	CHECK(shmp_pool_transfer(at(SECOND), scene.own->subject, SHMP_POOL_ANYONE) == SHMP_DONE);
}

static void is_new(uint32_t place)
{
	each_has_one();
	shmt_place_vacate(&scene.segment, place, true, 1);
	shmt_place_assign(&scene.segment, place);
	scene.own->hand[place].count = 0;
}

/* Given its place, and has not taken it up. */
static void first_is_new(void)
{
	is_new(FIRST);
}

static void second_is_new(void)
{
	is_new(SECOND);
}

/* Acts, stepped */

static void attaches(uint32_t place)
{
	scene.own->r[place] = shmp_pool_attach(&scene.segment.map, place, at(place));
}

static void first_attaches(void)
{
	attaches(FIRST);
}

static void second_attaches(void)
{
	attaches(SECOND);
}

static void first_acquires(void)
{
	scene.own->r[FIRST] = acquire(FIRST);
}

static void second_acquires(void)
{
	scene.own->r[SECOND] = acquire(SECOND);
}

static void releases(uint32_t place)
{
	scene.own->r[place] = shmp_pool_release(at(place), scene.own->subject);
}

static void first_releases(void)
{
	releases(FIRST);
}

static void second_releases(void)
{
	releases(SECOND);
}

static void transfers(uint32_t place, uint32_t to)
{
	int r = shmp_pool_transfer(at(place), scene.own->subject, to);

	if (r != SHMP_DONE)
		keep(place, scene.own->subject);
	scene.own->r[place] = r;
}

static void first_sends_to_second(void)
{
	transfers(FIRST, SECOND);
}

static void second_sends_to_first(void)
{
	transfers(SECOND, FIRST);
}

static void first_gives(void)
{
	transfers(FIRST, SHMP_POOL_ANYONE);
}

static void claims(uint32_t place)
{
	int r = shmp_pool_claim(at(place), scene.own->subject);

	if (r == SHMP_DONE)
		keep(place, scene.own->subject);
	scene.own->r[place] = r;
}

static void first_claims(void)
{
	claims(FIRST);
}

static void second_claims(void)
{
	claims(SECOND);
}

/* What must be */

/* What is on the way to somebody is taken by him, what is on the way to anyone by one who lives. */
static void take_what_comes(void)
{
	for (uint64_t index = 0; index < OBJECTS; index++) {
		uint64_t word = shmp_pool_load(&at(THIRD)->view, index);
		uint64_t handle = shmp_pool_handle(word, index);
		uint32_t to = shmp_pool_endpoint_of(word);

		if (shmp_pool_state_of(word) == SHMP_POOL_TRANSIT_ANY)
			to = THIRD;
		else if (shmp_pool_state_of(word) != SHMP_POOL_TRANSIT_TO)
			continue;
		CHECK(handle == scene.own->subject);
		CHECK(shmp_pool_claim(at(to), handle) == SHMP_DONE);
		keep(to, handle);
	}
}

static bool has_bit(const _Atomic uint64_t *bits, uint64_t index)
{
	return atomic_load(&bits[index / 64]) >> index % 64 & 1;
}

/* Who died between a word and its bit was repaired, so no free object is without its bit. */
static void check_hint(void)
{
	const struct shmp_pool_view *view = &at(THIRD)->view;

	for (uint64_t i = 0; i < OBJECTS; i++)
		if (shmp_pool_state_of(shmp_pool_load(view, i)) == SHMP_POOL_FREE)
			CHECK(has_bit(view->bitmap, i) && has_bit(view->summary, i / 64));
}

static void judge(void)
{
	uint64_t owned = 0;
	const char *why;

	for (uint32_t i = 0; i < 2; i++)
		CHECK((scene.own->r[i] == UNTOLD && scene.pairs.is_dead[i]) ||
		      scene.own->r[i] >= 0);
	take_what_comes();
	for (uint32_t place = 0; place < PLACES; place++)
		owned += scene.own->hand[place].count;
	CHECK(count_of(SHMP_POOL_OWNED) == owned);
	CHECK(count_of(SHMP_POOL_FREE) == OBJECTS - owned);
	check_hint();
	for (uint32_t place = 0; place < PLACES; place++)
		release_all(place);
	CHECK(count_of(SHMP_POOL_FREE) == OBJECTS);
	for (uint32_t place = 0; place < PLACES; place++) {
		take_all(place);
		CHECK(scene.own->hand[place].count == OBJECTS);
		release_all(place);
	}
	CHECK(shmp_pool_kind.validate(&scene.segment.map, &why) == 0);
}

static void pair_in(enum pairs_way way, const char *name, void (*state)(void), void (*first)(void),
		    void (*second)(void))
{
	uint64_t option[SHMP_OPTIONS_MAX] = { 64, OBJECTS, PLACES };

	scene = (struct scene){ .own = pairs_memory(sizeof(*scene.own)) };
	scene.pairs = (struct pairs){ .name = name,
				      .segment = &scene.segment,
				      .own = scene.own,
				      .own_bytes = sizeof(*scene.own),
				      .handle_bytes = offsetof(struct own, hand),
				      .act = { { FIRST, first }, { SECOND, second } },
				      .second_is_long = second == second_attaches,
				      .take_up = take_up,
				      .move = move,
				      .judge = judge,
				      .way = "" };
	shmt_segment_make(&scene.segment, "pool", option);
	for (uint32_t place = 0; place < PLACES; place++)
		take_up(place);
	state();
	scene.own->r[FIRST] = scene.own->r[SECOND] = UNTOLD;
	pairs_go(&scene.pairs, way);
	shmt_segment_free(&scene.segment);
	munmap(scene.own, sizeof(*scene.own));
}

static void pair(enum pairs_way way)
{
	pair_in(way, "acquire and acquire", each_has_one, first_acquires, second_acquires);
	pair_in(way, "release and acquire", first_has_the_subject, first_releases, second_acquires);
	pair_in(way, "release and acquire, exhausted", is_exhausted, first_releases,
		second_acquires);
	pair_in(way, "acquire and release", second_has_the_subject, first_acquires,
		second_releases);
	pair_in(way, "transfer to who acquires", first_has_the_subject, first_sends_to_second,
		second_acquires);
	pair_in(way, "acquire and a transfer to it", second_has_the_subject, first_acquires,
		second_sends_to_first);
	pair_in(way, "transfer and claim", first_has_the_subject, first_sends_to_second,
		second_claims);
	pair_in(way, "claim and transfer", second_has_the_subject, first_claims,
		second_sends_to_first);
	pair_in(way, "claim of what was sent, and acquire", is_sent_to_first, first_claims,
		second_acquires);
	pair_in(way, "acquire, and claim of what was sent", is_sent_to_second, first_acquires,
		second_claims);
	pair_in(way, "give and claim", first_has_the_subject, first_gives, second_claims);
	pair_in(way, "claim and claim", is_given, first_claims, second_claims);
	pair_in(way, "attach and acquire", first_is_new, first_attaches, second_acquires);
	pair_in(way, "acquire and attach", second_is_new, first_acquires, second_attaches);
}

PAIRS_TESTS

PAIRS_MAIN
