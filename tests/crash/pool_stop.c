/*
 * A user of a pool is stopped, not dead, after every instruction of everything it does. The others
 * go on meanwhile, and one of them dies and is repaired; none of them waits or gets what the stopped
 * one has. When it goes on, its call ends as if it had been made before or after theirs: each object
 * is in the hands that were told so, or free, and all free ones are found.
 */
#include "protocol/pool.h"

#include <string.h>
#include <sys/mman.h>

#include "tests/crash/deaths.h"
#include "tests/support/runner.h"

enum {
	STOPPED = 0,
	OTHER = 1,
	THIRD = 2, /* dies meanwhile */
	PLACES = 3,
	OBJECTS = 12,
	EACH = 2, /* what each one has, before */
};

/* What a place was told that it has. */
struct hand {
	uint64_t handle[OBJECTS + 1];
	uint64_t count;
};

/* Shared with who is stopped. */
struct own {
	struct shmp_pool at[PLACES];
	struct hand hand[PLACES];
	uint64_t subject; /* handle that is handed over */
	uint64_t reclaimed;
	int r, second_r;
	uint32_t key;
	bool sleeps; /* OTHER, since `key` */
};

static struct scene {
	struct shmt_segment segment;
	struct own *own;
	struct deaths deaths;
} scene;

#define CHECK(condition_) DEATHS_CHECK(&scene.deaths, condition_)

static struct shmp_pool *at(uint32_t place)
{
	return &scene.own->at[place];
}

static void attach(uint32_t place)
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

static void release_last(uint32_t place)
{
	CHECK(shmp_pool_release(at(place), let_go_of_last(place)) == SHMP_DONE);
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

static void third_dies(void)
{
	shmt_place_vacate(&scene.segment, THIRD, true, 1 + (int)(scene.deaths.point % 3));
	scene.own->hand[THIRD].count = 0;
}

/* States */

static void each_has_some(void)
{
	for (uint32_t place = 0; place < PLACES; place++)
		for (int i = 0; i < EACH; i++)
			CHECK(acquire(place) == SHMP_DONE);
}

static void is_exhausted(void)
{
	each_has_some();
	take_all(OTHER);
}

static void holds_the_subject(void)
{
	each_has_some();
	scene.own->subject = let_go_of_last(STOPPED);
}

static void holds_the_subject_of_all(void)
{
	is_exhausted();
	scene.own->subject = let_go_of_last(STOPPED);
}

static void is_sent_the_subject(void)
{
	each_has_some();
	scene.own->subject = let_go_of_last(OTHER);
	CHECK(shmp_pool_transfer(at(OTHER), scene.own->subject, STOPPED) == SHMP_DONE);
}

static void is_given_the_subject(void)
{
	each_has_some();
	scene.own->subject = let_go_of_last(OTHER);
	CHECK(shmp_pool_transfer(at(OTHER), scene.own->subject, SHMP_POOL_ANYONE) == SHMP_DONE);
}

/* By one who is gone. */
static void is_left_some(void)
{
	each_has_some();
	for (int i = 0; i < EACH; i++)
		CHECK(shmp_pool_transfer(at(THIRD), let_go_of_last(THIRD), SHMP_POOL_ANYONE) ==
		      SHMP_DONE);
	third_dies();
	attach(THIRD);
}

/* What the stopped one does, stepped */

static void acquires(void *context)
{
	(void)context;
	scene.own->r = acquire(STOPPED);
}

static void releases(void *context)
{
	(void)context;
	scene.own->r = shmp_pool_release(at(STOPPED), scene.own->subject);
	if (shmp_pool_is_awaited(at(STOPPED)))
		shmp_pool_tell(at(STOPPED), NULL, NULL);
}

static void releases_twice(void *context)
{
	releases(context);
	scene.own->second_r = shmp_pool_release(at(STOPPED), scene.own->subject);
}

static void transfers(uint32_t to)
{
	scene.own->r = shmp_pool_transfer(at(STOPPED), scene.own->subject, to);
	if (scene.own->r != SHMP_DONE)
		keep(STOPPED, scene.own->subject);
}

static void sends_to_other(void *context)
{
	(void)context;
	transfers(OTHER);
}

static void sends_to_third(void *context)
{
	(void)context;
	transfers(THIRD);
}

static void gives(void *context)
{
	(void)context;
	transfers(SHMP_POOL_ANYONE);
}

static void claims(void *context)
{
	(void)context;
	scene.own->r = shmp_pool_claim(at(STOPPED), scene.own->subject);
	if (scene.own->r == SHMP_DONE)
		keep(STOPPED, scene.own->subject);
}

static void reclaims(void *context)
{
	(void)context;
	scene.own->r = shmp_pool_reclaim(at(STOPPED), scene.own->subject);
}

static void reclaims_all(void *context)
{
	(void)context;
	scene.own->reclaimed += shmp_pool_reclaim_abandoned(at(STOPPED));
}

/* Meanwhile */

static void all_come_and_go(void *context)
{
	(void)context;
	take_all(OTHER);
	while (scene.own->hand[OTHER].count > 0)
		release_last(OTHER);
	third_dies();
	attach(THIRD);
	CHECK(acquire(THIRD) == SHMP_DONE);
}

static void all_is_taken(void *context)
{
	(void)context;
	take_all(OTHER);
	third_dies();
	take_all(OTHER);
}

static void one_is_released(void *context)
{
	(void)context;
	release_last(OTHER);
}

static void one_waits(void *context)
{
	struct shmp_waiter *freed = &at(OTHER)->view.control->freed;

	(void)context;
	scene.own->key = shmp_waiter_prepare(freed, at(OTHER)->self, OTHER, false);
	scene.own->sleeps = acquire(OTHER) == SHMP_EMPTY;
	if (!scene.own->sleeps)
		shmp_waiter_finish(freed, OTHER);
}

static void other_claims(void *context)
{
	(void)context;
	if (shmp_pool_claim(at(OTHER), scene.own->subject) == SHMP_DONE)
		keep(OTHER, scene.own->subject);
	all_come_and_go(NULL);
}

static void other_claims_and_keeps(void *context)
{
	(void)context;
	all_come_and_go(NULL);
	if (shmp_pool_claim(at(OTHER), scene.own->subject) == SHMP_DONE)
		keep(OTHER, scene.own->subject);
}

static void recipient_dies(void *context)
{
	(void)context;
	third_dies();
	take_all(OTHER);
}

static void other_reclaims_all(void *context)
{
	(void)context;
	scene.own->reclaimed += shmp_pool_reclaim_abandoned(at(OTHER));
	take_all(OTHER);
}

/* What must be, when it has ended */

/* What was handed over and is on the way still is taken by whom it is for. */
static uint64_t take_what_comes(void)
{
	uint64_t count = 0;

	for (uint64_t index = 0; index < OBJECTS; index++) {
		uint64_t word = shmp_pool_load(&at(OTHER)->view, index);
		uint64_t handle = shmp_pool_handle(word, index);
		uint32_t to = shmp_pool_endpoint_of(word);

		if (shmp_pool_state_of(word) == SHMP_POOL_TRANSIT_ANY)
			to = OTHER;
		else if (shmp_pool_state_of(word) != SHMP_POOL_TRANSIT_TO)
			continue;
		CHECK(handle == scene.own->subject);
		CHECK(shmp_pool_claim(at(to), handle) == SHMP_DONE);
		keep(to, handle);
		count++;
	}
	return count;
}

static bool has_bit(const _Atomic uint64_t *bits, uint64_t index)
{
	return atomic_load(&bits[index / 64]) >> index % 64 & 1;
}

/* Nobody died without his repair, so no free object is without its bit. */
static void check_hint(void)
{
	const struct shmp_pool_view *view = &at(OTHER)->view;

	for (uint64_t i = 0; i < OBJECTS; i++)
		if (shmp_pool_state_of(shmp_pool_load(view, i)) == SHMP_POOL_FREE)
			CHECK(has_bit(view->bitmap, i) && has_bit(view->summary, i / 64));
}

/* Each object is in the one hand that was told so, or free and to be had. */
static void all_is_accounted_for(void)
{
	uint64_t owned = 0;
	const char *why;

	take_what_comes();
	for (uint32_t place = 0; place < PLACES; place++)
		owned += scene.own->hand[place].count;
	CHECK(count_of(SHMP_POOL_OWNED) == owned);
	CHECK(count_of(SHMP_POOL_FREE) == OBJECTS - owned);
	check_hint();
	for (uint32_t place = 0; place < PLACES; place++)
		while (scene.own->hand[place].count > 0)
			release_last(place);
	CHECK(count_of(SHMP_POOL_FREE) == OBJECTS);
	for (uint32_t place = STOPPED; place <= OTHER; place++) {
		take_all(place);
		CHECK(scene.own->hand[place].count == OBJECTS);
		while (scene.own->hand[place].count > 0)
			release_last(place);
	}
	CHECK(shmp_pool_kind.validate(&scene.segment.map, &why) == 0);
}

static void is_done(void *context)
{
	(void)context;
	CHECK(scene.own->r == SHMP_DONE);
	all_is_accounted_for();
}

/* There was a moment at which nothing was free. */
static void is_done_or_empty(void *context)
{
	(void)context;
	CHECK(scene.own->r == SHMP_DONE || scene.own->r == SHMP_EMPTY);
	all_is_accounted_for();
}

/* And later one was, which who only begins then must get. */
static void is_done_or_empty_at_first(void *context)
{
	CHECK(scene.own->r == SHMP_DONE || scene.deaths.point > 0);
	is_done_or_empty(context);
}

static void is_done_once(void *context)
{
	CHECK(scene.own->second_r == SHMP_POOL_STALE);
	is_done(context);
}

/* Whoever waits was told, or had it. */
static void has_told(void *context)
{
	struct shmp_waiter *freed = &at(OTHER)->view.control->freed;

	if (scene.own->sleeps) {
		CHECK(atomic_load(&freed->sequence) != scene.own->key);
		shmp_waiter_finish(freed, OTHER);
		CHECK(acquire(OTHER) == SHMP_DONE);
	}
	is_done(context);
}

/* Nothing stays on the way to who is dead; who kept it was told so. */
static void is_not_sent_to_the_dead(void *context)
{
	(void)context;
	CHECK(scene.own->r == SHMP_DONE || scene.own->r == SHMP_PEER_DEAD);
	CHECK(count_of(SHMP_POOL_TRANSIT_TO) == 0);
	all_is_accounted_for();
}

/* Or to his successor, if that was there before it was sent. */
static void is_sent_to_one_or_kept(void *context)
{
	(void)context;
	CHECK(scene.own->r == SHMP_DONE || scene.own->r == SHMP_PEER_DEAD ||
	      scene.own->r == SHMP_PEER_LEFT);
	CHECK(scene.own->r == SHMP_DONE || count_of(SHMP_POOL_TRANSIT_TO) == 0);
	all_is_accounted_for();
}

/* One of the two has it, and the other knows. */
static void one_has_it(void *context)
{
	(void)context;
	CHECK(scene.own->r == SHMP_DONE || scene.own->r == SHMP_POOL_DENIED ||
	      scene.own->r == SHMP_POOL_STALE);
	CHECK(count_of(SHMP_POOL_TRANSIT_ANY) == 0);
	all_is_accounted_for();
}

static void each_is_reclaimed_once(void *context)
{
	(void)context;
	CHECK(scene.own->reclaimed == EACH);
	CHECK(count_of(SHMP_POOL_TRANSIT_ANY) == 0);
	all_is_accounted_for();
}

static void stop_in(const char *name, void (*state)(void), void (*operate)(void *),
		    void (*meanwhile)(void *), void (*check)(void *))
{
	uint64_t option[SHMP_OPTIONS_MAX] = { 64, OBJECTS, PLACES };

	scene = (struct scene){ .own = mmap(NULL, sizeof(*scene.own), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0) };
	SHMT_REQUIRE(scene.own != MAP_FAILED);
	shmt_segment_make(&scene.segment, "pool", option);
	scene.deaths = (struct deaths){ .name = name,
					.segment = &scene.segment,
					.own = scene.own,
					.own_bytes = sizeof(*scene.own),
					.operate = operate,
					.meanwhile = meanwhile,
					.check = check };
	for (uint32_t place = 0; place < PLACES; place++)
		attach(place);
	state();
	scene.own->r = -1;
	deaths_everywhere(&scene.deaths);
	shmt_segment_free(&scene.segment);
	munmap(scene.own, sizeof(*scene.own));
}

TEST(who_is_stopped_acquiring_gets_one_that_nobody_has, .timeout_s = 60)
{
	stop_in("acquire, all come and go", each_has_some, acquires, all_come_and_go, is_done);
	stop_in("acquire, all is taken", each_has_some, acquires, all_is_taken, is_done_or_empty);
	stop_in("acquire, exhausted, one is released", is_exhausted, acquires, one_is_released,
		is_done_or_empty_at_first);
	stop_in("acquire, exhausted, all come and go", is_exhausted, acquires, all_come_and_go,
		is_done_or_empty_at_first);
}

TEST(who_is_stopped_releasing_holds_up_nobody, .timeout_s = 60)
{
	stop_in("release, all come and go", holds_the_subject, releases, all_come_and_go, is_done);
	stop_in("release, all is taken", holds_the_subject, releases, all_is_taken, is_done);
	stop_in("release twice, all come and go", holds_the_subject, releases_twice,
		all_come_and_go, is_done_once);
	stop_in("release, one waits", holds_the_subject_of_all, releases, one_waits, has_told);
}

TEST(what_is_handed_over_by_who_is_stopped_is_in_one_hand, .timeout_s = 60)
{
	stop_in("transfer, it is claimed", holds_the_subject, sends_to_other,
		other_claims_and_keeps, is_done);
	stop_in("transfer, its recipient dies", holds_the_subject, sends_to_third, recipient_dies,
		is_not_sent_to_the_dead);
	stop_in("transfer, its recipient is succeeded", holds_the_subject, sends_to_third,
		all_come_and_go, is_sent_to_one_or_kept);
	stop_in("give, it is claimed", holds_the_subject, gives, other_claims_and_keeps, is_done);
}

TEST(what_is_claimed_by_who_is_stopped_is_in_one_hand, .timeout_s = 60)
{
	stop_in("claim of what was sent, all come and go", is_sent_the_subject, claims,
		all_come_and_go, is_done);
	stop_in("claim of what was given, another claims and releases", is_given_the_subject,
		claims, other_claims, one_has_it);
	stop_in("claim of what was given, another claims", is_given_the_subject, claims,
		other_claims_and_keeps, one_has_it);
	stop_in("reclaim, another claims", is_given_the_subject, reclaims, other_claims_and_keeps,
		one_has_it);
	stop_in("reclaim of all, another does, too", is_left_some, reclaims_all, other_reclaims_all,
		each_is_reclaimed_once);
}

DEATHS_MAIN
