/*
 * waiter: one goes to sleep, or arms his doorbell, while another publishes. Stores may stay in the
 * buffers. Nobody sleeps for ever, and no bell that is armed stays silent.
 */
#include "protocol/waiter.h"

#include <string.h>

#include "protocol/doorbell.h"
#include "tests/interleave/explorer.h"
#include "tests/support/runner.h"

enum {
	WAITER = 0, /* the places */
	PUBLISHER = 1,
	OTHER = 2,
	PLACES = 3,
};

static struct scene {
	struct shmt_segment segment;
	/* in the segment */
	_Atomic uint64_t *published;
	_Atomic uint64_t *rung;
	struct shmp_waiter *waiter;
	struct own {
		struct shmp_waiter_memory all[PLACES], each[PLACES];
		bool went_away; /* the waiter, with an armed bell */
	} * own;
	bool has_membarrier;
	uint64_t wanted; /* how many publications the waiters wait for */
	struct explorer explorer;
} scene;

static bool is_there(void)
{
	return atomic_load_explicit(scene.published, memory_order_acquire) >= scene.wanted;
}

/* As the kinds wait: look, prepare, look again, sleep. */
static void wait_at(uint32_t place)
{
	struct shmp_endpoint *self = &scene.segment.map.endpoints[place];

	while (!is_there()) {
		uint32_t key = shmp_waiter_prepare(scene.waiter, self, place, scene.has_membarrier);

		if (!is_there())
			shmp_waiter_sleep(scene.waiter, key, UINT64_MAX);
		shmp_waiter_finish(scene.waiter, place);
	}
}

static void waits(void *context)
{
	wait_at(WAITER);
}

static void other_waits(void *context)
{
	wait_at(OTHER);
}

/* Wrong: a fence in the waiter's process only, where the publisher has none. */
static void waits_by_own_fence(void *context)
{
	struct shmp_endpoint *self = &scene.segment.map.endpoints[WAITER];

	while (!is_there()) {
		uint32_t key = shmp_waiter_prepare(scene.waiter, self, WAITER, false);

		if (!is_there())
			shmp_waiter_sleep(scene.waiter, key, UINT64_MAX);
		shmp_waiter_finish(scene.waiter, WAITER);
	}
}

/* In the receiver's next call that finds nothing; then it goes and waits for the bell. */
static void arms_and_goes(void *context)
{
	if (is_there())
		return;
	shmp_waiter_arm(scene.waiter, &scene.segment.map.endpoints[WAITER], WAITER, 1,
			scene.has_membarrier);
	scene.own->went_away = !is_there();
}

/* Wrong: looks before the bell is armed, and not after that. */
static void looks_and_arms(void *context)
{
	scene.own->went_away = !is_there();
	shmp_waiter_arm(scene.waiter, &scene.segment.map.endpoints[WAITER], WAITER, 1,
			scene.has_membarrier);
}

static void ring(void *ringer, uint32_t endpoint)
{
	atomic_store_explicit(scene.rung, 1, memory_order_release);
}

static void publish(void)
{
	uint64_t now = atomic_load_explicit(scene.published, memory_order_relaxed);

	atomic_store_explicit(scene.published, now + 1, memory_order_release);
	if (shmp_waiter_wanted(scene.waiter, 1))
		shmp_waiter_notify_all(scene.waiter, scene.segment.map.endpoints, PLACES,
				       &scene.own->all[PUBLISHER], scene.own->each, ring, NULL);
}

static void publishes(void *context)
{
	publish();
}

static void publishes_twice(void *context)
{
	publish();
	publish();
}

static const char *judge(void *context)
{
	if (scene.own->went_away && atomic_load(scene.rung) == 0)
		return "a bell that is armed stays silent";
	return NULL;
}

static void open_scene(const char *name, stepper_fn first, stepper_fn second)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { 4096, PLACES };

	shmt_segment_make(&scene.segment, "buffer", option);
	scene.published = (void *)scene.segment.map.data;
	scene.rung = (void *)(scene.segment.map.data + 64);
	scene.waiter = (void *)(scene.segment.map.data + 128);
	scene.own = explorer_memory(sizeof(*scene.own));
	scene.has_membarrier = shmp_membarrier_register();
	scene.wanted = 1;
	for (uint32_t i = 0; i < PLACES; i++)
		shmt_place_assign(&scene.segment, i);
	scene.explorer = (struct explorer){
		.name = name,
		.segment = &scene.segment,
		.own = scene.own,
		.own_bytes = sizeof(*scene.own),
		.role = { { .name = "the waiter", .operate = first, .may_sleep = true },
			  { .name = "the publisher", .operate = second } },
		.holds_stores = true,
		.judge = judge,
	};
}

static void holds(void)
{
	explore(&scene.explorer);
	EXPLORER_HOLDS(&scene.explorer);
	shmt_segment_free(&scene.segment);
}

static void breaks(void)
{
	scene.explorer.is_wrong = true;
	explore(&scene.explorer);
	EXPLORER_BREAKS(&scene.explorer);
	shmt_segment_free(&scene.segment);
}

#define LONG .timeout_s = 120

TEST(parking_against_publishing, LONG)
{
	open_scene(__func__, waits, publishes);
	holds();
}

TEST(parking_for_the_second_of_two_publications, LONG)
{
	open_scene(__func__, waits, publishes_twice);
	scene.wanted = 2;
	holds();
}

TEST(two_who_park_against_publishing, LONG)
{
	if (!explorer_is_deep())
		return;
	open_scene(__func__, waits, publishes);
	scene.explorer.role[2] = (struct explorer_role){ .name = "the other waiter",
							 .operate = other_waits,
							 .may_sleep = true };
	scene.explorer.common_only = true;
	holds();
}

TEST(parking_without_membarrier_where_publishers_fence, LONG)
{
	open_scene(__func__, waits, publishes);
	ck_assert_int_eq(shmp_waiter_require_fence(scene.waiter), 0);
	scene.has_membarrier = false;
	holds();
}

TEST(parking_with_membarrier_where_publishers_fence, LONG)
{
	open_scene(__func__, waits, publishes);
	ck_assert_int_eq(shmp_waiter_require_fence(scene.waiter), 0);
	holds();
}

TEST(a_fence_that_is_missing_is_found, LONG)
{
	open_scene(__func__, waits_by_own_fence, publishes);
	breaks();
	ck_assert_ptr_nonnull(strstr(scene.explorer.first, "sleeps for ever"));
}

TEST(without_store_buffers_nobody_would_find_it, LONG)
{
	open_scene(__func__, waits_by_own_fence, publishes);
	scene.explorer.holds_stores = false;
	holds();
}

TEST(arming_a_bell_against_publishing, LONG)
{
	open_scene(__func__, arms_and_goes, publishes);
	holds();
}

TEST(a_bell_that_is_armed_after_the_look_is_found, LONG)
{
	open_scene(__func__, looks_and_arms, publishes);
	breaks();
	ck_assert_ptr_nonnull(strstr(scene.explorer.first, "silent"));
}

EXPLORER_MAIN
