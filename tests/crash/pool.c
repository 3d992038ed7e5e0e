/*
 * A user of a pool dies after every instruction of everything it does. What it owned and what was on
 * the way to it is free, once; what others own is theirs; a handle of what was freed is stale; every
 * object can be acquired, and found by the hint alone; who slept is up.
 */
#include "protocol/pool.h"

#include <stdio.h>

#include "protocol/doorbell.h"
#include "tests/crash/deaths.h"
#include "tests/support/runner.h"

enum {
	DEAD = 0,
	OTHER = 1,
	THIRD = 2,
	PLACES = 3,
	FEW = 12,
	MANY = 66, /* more than one word of the bitmap */
	HANDLES = 8,
};

static struct scene {
	struct shmt_segment segment;
	struct {
		struct shmp_pool at[PLACES];
		uint64_t dead[HANDLES]; /* handles that the dead one knows */
		uint64_t count;
		struct shmp_waiter *slept_on;
		uint32_t key;
	} own;
	uint64_t objects;
	uint64_t kept;	/* objects that the others own throughout */
	uint64_t given; /* to anyone: they may stay in transit */
	struct deaths deaths;
} scene;

#define CHECK(condition_) DEATHS_CHECK(&scene.deaths, condition_)

static void attach(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	CHECK(shmp_pool_attach(&scene.segment.map, place, &scene.own.at[place]) == 0);
}

static uint64_t acquire(uint32_t place)
{
	uint64_t handle = 0;

	CHECK(shmp_pool_acquire(&scene.own.at[place], &handle) == SHMP_DONE);
	return handle;
}

static struct shmp_pool_counts counts(void)
{
	struct shmp_pool_counts got;

	shmp_pool_count(&scene.segment.map, &got);
	return got;
}

/* States */

static void is_fresh(void)
{
}

static void has_some(void)
{
	for (scene.own.count = 0; scene.own.count < 4; scene.own.count++)
		scene.own.dead[scene.own.count] = acquire(DEAD);
	for (int i = 0; i < 5; i++)
		acquire(OTHER);
	scene.kept = 5;
}

/* What was released last is the same again. */
static void has_released(void)
{
	has_some();
	CHECK(shmp_pool_release(&scene.own.at[DEAD], scene.own.dead[--scene.own.count]) ==
	      SHMP_DONE);
}

static void is_exhausted(void)
{
	has_some();
	while (scene.kept + scene.own.count < scene.objects) {
		acquire(OTHER);
		scene.kept++;
	}
}

static void is_exhausted_and_awaited(void)
{
	is_exhausted();
	scene.own.slept_on = &scene.own.at[OTHER].view.control->freed;
	scene.own.key = shmp_waiter_prepare(scene.own.slept_on, scene.own.at[OTHER].self, OTHER,
					    false);
}

/* Some are on the way to the dead one, from one who lives. */
static void is_sent_some(void)
{
	has_some();
	for (int i = 0; i < 2; i++) {
		scene.own.dead[i] = acquire(OTHER);
		CHECK(shmp_pool_transfer(&scene.own.at[OTHER], scene.own.dead[i], DEAD) ==
		      SHMP_DONE);
	}
}

static void is_given_some(void)
{
	has_some();
	for (int i = 0; i < 2; i++) {
		scene.own.dead[i] = acquire(OTHER);
		CHECK(shmp_pool_transfer(&scene.own.at[OTHER], scene.own.dead[i],
					 SHMP_POOL_ANYONE) == SHMP_DONE);
	}
	scene.given = 2;
}

/* The hint says nothing any more. */
static void is_unhinted(void)
{
	has_some();
	for (uint64_t i = 0; i < (scene.objects + 63) / 64; i++)
		atomic_store(&scene.own.at[DEAD].view.bitmap[i], 0);
}

/* A recipient whose door is still open in the eyes of the giver. */
static void third_leaves(void)
{
	has_some();
	shmt_place_vacate(&scene.segment, THIRD, true, 1);
}

/* Operations, stepped */

static void tell(void)
{
	if (shmp_pool_is_awaited(&scene.own.at[DEAD]))
		shmp_pool_tell(&scene.own.at[DEAD], NULL, NULL);
}

static void dies_acquiring(void *context)
{
	uint64_t handle;

	shmp_pool_acquire(&scene.own.at[DEAD], &handle);
}

static void dies_acquiring_three(void *context)
{
	for (int i = 0; i < 3; i++)
		dies_acquiring(context);
}

/* As who brings back what an old pool held: one that is free, and one that is not. */
static void dies_adopting(void *context)
{
	struct shmp_pool *pool = &scene.own.at[DEAD];

	shmp_pool_adopt(pool, UINT64_C(9) << 32 | scene.objects);
	shmp_pool_adopt(pool, UINT64_C(9) << 32 | 1);
}

static void dies_releasing(void *context)
{
	shmp_pool_release(&scene.own.at[DEAD], scene.own.dead[0]);
	tell();
}

static void dies_releasing_twice(void *context)
{
	shmp_pool_release(&scene.own.at[DEAD], scene.own.dead[0]);
	shmp_pool_release(&scene.own.at[DEAD], scene.own.dead[0]);
}

static void dies_transferring(void *context)
{
	shmp_pool_transfer(&scene.own.at[DEAD], scene.own.dead[0], OTHER);
}

static void dies_transferring_to_none(void *context)
{
	shmp_pool_transfer(&scene.own.at[DEAD], scene.own.dead[0], THIRD);
}

static void dies_giving(void *context)
{
	shmp_pool_transfer(&scene.own.at[DEAD], scene.own.dead[0], SHMP_POOL_ANYONE);
}

static void dies_claiming(void *context)
{
	shmp_pool_claim(&scene.own.at[DEAD], scene.own.dead[0]);
}

static void dies_reclaiming(void *context)
{
	shmp_pool_reclaim(&scene.own.at[DEAD], scene.own.dead[0]);
	tell();
}

static void dies_reclaiming_all(void *context)
{
	shmp_pool_reclaim_abandoned(&scene.own.at[DEAD]);
	tell();
}

static void dies_attaching(void *context)
{
	shmp_pool_attach(&scene.segment.map, DEAD, &scene.own.at[DEAD]);
}

static void dies_going_to_sleep(void *context)
{
	struct shmp_waiter *waiter = &scene.own.at[DEAD].view.control->freed;

	shmp_waiter_prepare(waiter, scene.own.at[DEAD].self, DEAD, false);
	shmp_waiter_finish(waiter, DEAD);
	shmp_waiter_arm(waiter, scene.own.at[DEAD].self, DEAD, 1, false);
	shmp_doorbell_disarm(waiter, scene.own.at[DEAD].self, DEAD);
}

static void dies_repairing(void *context)
{
	shmp_pool_kind.repair(&scene.segment.map, DEAD, true);
	shmp_pool_kind.wake(&scene.segment.map);
}

/* What must be, however far it came */

static void bury(void)
{
	shmt_place_vacate(&scene.segment, DEAD, true, 1 + (int)(scene.deaths.point % 3));
	CHECK(!shmp_pool_kind.waits(&scene.segment.map, DEAD));
	if (scene.own.slept_on) {
		CHECK(atomic_load(&scene.own.slept_on->sequence) != scene.own.key);
		shmp_waiter_finish(scene.own.slept_on, OTHER);
	}
}

/* What the dead one's handles name is not his any more. */
static void check_handles(void)
{
	for (uint64_t i = 0; i < scene.own.count; i++) {
		int r = shmp_pool_release(&scene.own.at[DEAD], scene.own.dead[i]);

		CHECK(r == SHMP_POOL_STALE || r == SHMP_POOL_DENIED);
	}
}

/* In transit to one who lives: he takes it; to anyone: it is reclaimed. */
static void collect(void)
{
	struct shmp_pool *other = &scene.own.at[OTHER];

	for (uint64_t index = 0; index < scene.objects; index++) {
		uint64_t word = shmp_pool_load(&other->view, index);
		uint64_t handle = shmp_pool_handle(word, index);

		if (shmp_pool_state_of(word) == SHMP_POOL_TRANSIT_TO) {
			CHECK(shmp_pool_endpoint_of(word) == OTHER);
			CHECK(shmp_pool_claim(other, handle) == SHMP_DONE);
			CHECK(shmp_pool_release(other, handle) == SHMP_DONE);
		} else if (shmp_pool_state_of(word) == SHMP_POOL_TRANSIT_ANY) {
			CHECK(shmp_pool_reclaim(other, handle) == SHMP_DONE);
		}
	}
}

/* Each object once. */
static void use_all(uint32_t place)
{
	struct shmp_pool *pool = &scene.own.at[place];
	uint64_t handles[MANY], taken = scene.objects - scene.kept;
	uint8_t seen[MANY] = { 0 };

	for (uint64_t i = 0; i < taken; i++) {
		uint64_t index;

		handles[i] = acquire(place);
		index = shmp_pool_index(handles[i]);
		CHECK(seen[index]++ == 0);
	}
	CHECK(shmp_pool_acquire(pool, &handles[0]) == SHMP_EMPTY || taken == 0);
	for (uint64_t i = 0; i < taken; i++)
		CHECK(shmp_pool_release(pool, handles[i]) == SHMP_DONE);
}

static bool has_bit(const _Atomic uint64_t *bits, uint64_t index)
{
	return atomic_load(&bits[index / 64]) >> index % 64 & 1;
}

static void check_hint(void)
{
	const struct shmp_pool_view *view = &scene.own.at[OTHER].view;

	for (uint64_t i = 0; i < scene.objects; i++) {
		if (shmp_pool_state_of(shmp_pool_load(view, i)) != SHMP_POOL_FREE)
			continue;
		CHECK(has_bit(view->bitmap, i));
		CHECK(has_bit(view->summary, i / 64));
	}
}

static void check(void *context)
{
	struct shmp_pool_counts now;
	const char *why;

	bury();
	now = counts();
	CHECK(now.of[SHMP_POOL_OWNED] == scene.kept);
	CHECK(now.of[SHMP_POOL_TRANSIT_ANY] <= scene.given);
	check_handles();
	check_hint();
	collect();
	CHECK(counts().of[SHMP_POOL_FREE] == scene.objects - scene.kept);
	use_all(OTHER);
	attach(DEAD);
	use_all(DEAD);
	use_all(OTHER);
	CHECK(shmp_pool_kind.validate(&scene.segment.map, &why) == 0);
}

/* The others go on before anybody knows. */
static void check_with_those_who_do_not_know(void *context)
{
	uint64_t handle;

	if (shmp_pool_acquire(&scene.own.at[OTHER], &handle) == SHMP_DONE)
		CHECK(shmp_pool_release(&scene.own.at[OTHER], handle) == SHMP_DONE);
	if (shmp_pool_acquire(&scene.own.at[OTHER], &handle) == SHMP_DONE)
		scene.kept++;
	else
		handle = 0;
	check(context);
	if (handle != 0) {
		CHECK(shmp_pool_release(&scene.own.at[OTHER], handle) == SHMP_DONE);
		scene.kept--;
	}
}

static void kill_among(uint64_t objects, const char *name, void (*state)(void),
		       void (*operate)(void *))
{
	static void (*const checks[])(void *) = { check, check_with_those_who_do_not_know };
	uint64_t option[SHMP_OPTIONS_MAX] = { 64, objects, PLACES };
	char title[100];

	scene = (struct scene){ .objects = objects };
	shmt_segment_make(&scene.segment, "pool", option);
	scene.deaths = (struct deaths){ .segment = &scene.segment,
					.own = &scene.own,
					.own_bytes = sizeof(scene.own),
					.operate = operate };
	for (uint32_t place = 0; place < PLACES; place++)
		attach(place);
	state();
	if (operate == dies_giving)
		scene.given++;
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		/* the name once more for another count */
		snprintf(title, sizeof(title), "%s%s", name, i ? ", others go on first" : "");
		scene.deaths.name = title;
		scene.deaths.check = checks[i];
		deaths_everywhere(&scene.deaths);
	}
	shmt_segment_free(&scene.segment);
}

static void kill_everywhere(const char *name, void (*state)(void), void (*operate)(void *))
{
	kill_among(FEW, name, state, operate);
}

TEST(what_is_acquired_is_free_again, .timeout_s = 60)
{
	kill_everywhere("acquire, fresh", is_fresh, dies_acquiring);
	kill_everywhere("acquire, beside others", has_some, dies_acquiring_three);
	kill_everywhere("acquire of what was released last", has_released, dies_acquiring);
	kill_everywhere("acquire, exhausted", is_exhausted, dies_acquiring);
	kill_everywhere("acquire, without a hint", is_unhinted, dies_acquiring_three);
	kill_among(MANY, "acquire among many", has_some, dies_acquiring);
	kill_everywhere("adopt, fresh", is_fresh, dies_adopting);
	kill_everywhere("adopt, beside others", has_some, dies_adopting);
}

TEST(what_is_released_is_free_once, .timeout_s = 60)
{
	kill_everywhere("release", has_some, dies_releasing);
	kill_everywhere("release, all others taken", is_exhausted, dies_releasing);
	kill_everywhere("release, awaited", is_exhausted_and_awaited, dies_releasing);
	kill_everywhere("release twice", has_some, dies_releasing_twice);
}

TEST(what_is_handed_over_is_in_one_hand_or_free, .timeout_s = 60)
{
	kill_everywhere("transfer to one", has_some, dies_transferring);
	kill_everywhere("transfer to one who is gone", third_leaves, dies_transferring_to_none);
	kill_everywhere("transfer to anyone", has_some, dies_giving);
	kill_everywhere("claim of what was sent", is_sent_some, dies_claiming);
	kill_everywhere("claim of what was given", is_given_some, dies_claiming);
	kill_everywhere("reclaim", is_given_some, dies_reclaiming);
	kill_everywhere("reclaim, abandoned", is_given_some, dies_reclaiming_all);
}

TEST(coming_and_going_to_sleep_leave_no_trace, .timeout_s = 60)
{
	kill_everywhere("attach", has_some, dies_attaching);
	kill_everywhere("going to sleep or arming a bell", is_exhausted, dies_going_to_sleep);
}

TEST(a_broker_that_dies_repairing_returns_all_in_the_end, .timeout_s = 60)
{
	kill_everywhere("broker repairs", is_sent_some, dies_repairing);
	kill_everywhere("broker repairs, awaited", is_exhausted_and_awaited, dies_repairing);
}

DEATHS_MAIN
