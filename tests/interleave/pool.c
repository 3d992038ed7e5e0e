/*
 * pool: users, two at a time, and beside a third who dies and is repaired. Every object is in one
 * pair of hands or free, those that are free can be had, and the hint names them unless somebody
 * died. Stores may stay in the buffers where nobody dies.
 */
#include "protocol/pool.h"

#include <string.h>

#include "tests/interleave/explorer.h"
#include "tests/support/runner.h"

enum {
	DEAD = 0, /* places, and actors */
	LIVING = 1,
	BROKER = 2,
	PLACES = 3,
	OBJECTS = 2,
	NOTHING = -1,
};

static struct scene {
	struct shmt_segment segment;
	struct own {
		struct shmp_pool at[PLACES];
		uint64_t handle[PLACES][OBJECTS]; /* what each has, 0 = none */
		int result[PLACES];
	} * own;
	struct explorer explorer;
} scene;

static struct shmp_pool *pool(uint32_t place)
{
	return &scene.own->at[place];
}

static uint64_t *hands(uint32_t place)
{
	return scene.own->handle[place];
}

static void acquire(uint32_t place)
{
	uint64_t handle;
	int r = shmp_pool_acquire(pool(place), &handle);

	if (r == SHMP_DONE)
		hands(place)[hands(place)[0] != 0] = handle;
	scene.own->result[place] = r;
}

static void release(uint32_t place)
{
	scene.own->result[place] = shmp_pool_release(pool(place), hands(place)[0]);
	if (scene.own->result[place] == SHMP_DONE)
		hands(place)[0] = 0;
	if (shmp_pool_is_awaited(pool(place)))
		shmp_pool_tell(pool(place), NULL, NULL);
}

/* Moves */

static void first_acquires(void *context)
{
	acquire(0);
}

static void second_acquires(void *context)
{
	acquire(1);
}

static void second_acquires_twice(void *context)
{
	acquire(1);
	acquire(1);
}

static void first_releases(void *context)
{
	release(0);
}

static void first_transfers(void *context)
{
	scene.own->result[0] = shmp_pool_transfer(pool(0), hands(0)[0], BROKER);
	if (scene.own->result[0] == SHMP_DONE)
		hands(0)[0] = 0;
}

/* Wrong: the hint's bit is cleared, since the object was not free, and nobody looks again. */
static void second_forgets_the_hint(void *context)
{
	const struct shmp_pool_view *view = &pool(1)->view;
	uint64_t handle;

	for (uint64_t index = 0; index < view->count; index++) {
		if (shmp_pool_take(pool(1), index, &handle)) {
			hands(1)[0] = handle;
			break;
		}
		atomic_fetch_and_explicit(&view->bitmap[0], ~(UINT64_C(1) << index),
					  memory_order_seq_cst);
	}
	scene.own->result[1] = hands(1)[0] != 0 ? SHMP_DONE : SHMP_EMPTY;
}

static void broker_repairs(void *context)
{
	shmt_place_vacate(&scene.segment, DEAD, true, 1);
}

/* Of one who has left the place that things are sent to. */
static void broker_closes_the_door(void *context)
{
	shmt_place_vacate(&scene.segment, BROKER, false, 1);
	scene.own->result[1] = SHMP_DONE;
}

/* Judging */

static bool has(uint32_t place, uint64_t index)
{
	for (unsigned i = 0; i < OBJECTS; i++)
		if (hands(place)[i] != 0 && shmp_pool_index(hands(place)[i]) == index)
			return true;
	return false;
}

/* Whether @place has it, and the word says so. */
static const char *judge_object(uint64_t index, bool is_hinted)
{
	const struct shmp_pool_view *view = &pool(LIVING)->view;
	uint64_t word = shmp_pool_load(view, index);
	bool is_free = shmp_pool_state_of(word) == SHMP_POOL_FREE;

	if (has(0, index) && has(1, index))
		return "two have the same";
	for (uint32_t i = 0; i < 2; i++)
		if (has(i, index) && (is_free || shmp_pool_endpoint_of(word) != i))
			return "what somebody has is not his";
	if (!is_free && !has(0, index) && !has(1, index))
		return "it is nobody's, and not free";
	if (is_hinted && is_free && (atomic_load(&view->bitmap[0]) >> index & 1) == 0)
		return "it is free, and the hint does not say so";
	if (is_hinted && is_free && (atomic_load(&view->summary[0]) & 1) == 0)
		return "it is free, and the summary does not say so";
	return NULL;
}

static const char *judge_all(void)
{
	const char *complaint = NULL;
	uint64_t left = 0;

	for (uint64_t index = 0; index < OBJECTS && !complaint; index++) {
		complaint = judge_object(index, true);
		left += !has(0, index) && !has(1, index);
	}
	/* what is free can be had, and no more than that */
	for (uint64_t handle; !complaint && left > 0; left--)
		if (shmp_pool_acquire(pool(LIVING), &handle) != SHMP_DONE)
			complaint = "what is free cannot be had";
	return complaint;
}

static const char *judge(void *context)
{
	if (scene.own->result[0] == NOTHING || scene.own->result[1] == NOTHING)
		return "somebody has not ended";
	return judge_all();
}

/* Both wanted one, and there was one for each. */
static const char *judge_both_have(void *context)
{
	if (scene.own->result[0] != SHMP_DONE || scene.own->result[1] != SHMP_DONE)
		return "one is refused what is there";
	return judge(context);
}

static const char *judge_one_has(void *context)
{
	if ((scene.own->result[0] == SHMP_DONE) == (scene.own->result[1] == SHMP_DONE))
		return "one of the two should have had it";
	return judge(context);
}

static const char *judge_death(void *context)
{
	if (scene.own->result[LIVING] == NOTHING)
		return "the living one has not ended";
	/* whatever he had: it is not his any more */
	memset(hands(DEAD), 0, sizeof(scene.own->handle[DEAD]));
	return judge_all();
}

/* Scenes */

static void open_scene(const char *name, stepper_fn first, stepper_fn second,
		       const char *(*judged)(void *context))
{
	uint64_t option[SHMP_OPTIONS_MAX] = { 64, OBJECTS, PLACES };

	shmt_segment_make(&scene.segment, "pool", option);
	scene.own = explorer_memory(sizeof(*scene.own));
	for (uint32_t i = 0; i < PLACES; i++) {
		shmt_place_assign(&scene.segment, i);
		SHMT_REQUIRE(shmp_pool_attach(&scene.segment.map, i, pool(i)) == 0);
		scene.own->result[i] = NOTHING;
	}
	scene.explorer = (struct explorer){ .name = name,
					    .segment = &scene.segment,
					    .own = scene.own,
					    .own_bytes = sizeof(*scene.own),
					    .role = { { .name = "first", .operate = first },
						      { .name = "second", .operate = second } },
					    .holds_stores = true,
					    .judge = judged };
}

/* So many are in these hands at the beginning. */
static void give(uint32_t place, unsigned count)
{
	while (count-- > 0)
		acquire(place);
	scene.own->result[place] = NOTHING;
}

static void holds(void)
{
	explore(&scene.explorer);
	EXPLORER_HOLDS(&scene.explorer);
	shmt_segment_free(&scene.segment);
}

static void open_death(const char *name, stepper_fn dead, stepper_fn living)
{
	open_scene(name, dead, living, judge_death);
	scene.explorer.role[DEAD].dies = true;
	scene.explorer.role[DEAD].name = "the dead one";
	scene.explorer.role[LIVING].name = "the living one";
	scene.explorer.role[BROKER] = (struct explorer_role){ .name = "the broker",
							      .operate = broker_repairs,
							      .buries = true };
	scene.explorer.holds_stores = false;
	scene.explorer.common_only = true;
}

#define LONG .timeout_s = 120

TEST(acquire_against_acquire_of_two, LONG)
{
	open_scene(__func__, first_acquires, second_acquires, judge_both_have);
	holds();
}

TEST(acquire_against_acquire_of_one, LONG)
{
	open_scene(__func__, first_acquires, second_acquires, judge_one_has);
	give(LIVING, 1);
	holds();
}

TEST(release_against_acquire, LONG)
{
	open_scene(__func__, first_releases, second_acquires, judge);
	give(0, 1);
	give(1, 1);
	holds();
}

TEST(release_against_two_acquires, LONG)
{
	open_scene(__func__, first_releases, second_acquires_twice, judge);
	give(0, 2);
	holds();
}

TEST(a_hint_that_is_not_looked_at_again_is_found, LONG)
{
	open_scene(__func__, first_releases, second_forgets_the_hint, judge);
	give(0, 1);
	scene.explorer.is_wrong = true;
	explore(&scene.explorer);
	EXPLORER_BREAKS(&scene.explorer);
	ck_assert_ptr_nonnull(strstr(scene.explorer.first, "hint does not say"));
}

TEST(transfer_against_the_leaving_of_its_recipient, LONG)
{
	open_scene(__func__, first_transfers, broker_closes_the_door, judge);
	give(0, 1);
	scene.explorer.common_only = true;
	holds();
}

TEST(acquire_against_the_repair_of_one_who_acquires, LONG)
{
	open_death(__func__, first_acquires, second_acquires);
	holds();
}

TEST(acquire_against_the_repair_of_one_who_releases, LONG)
{
	open_death(__func__, first_releases, second_acquires);
	give(DEAD, 1);
	give(LIVING, 1);
	holds();
}

EXPLORER_MAIN
