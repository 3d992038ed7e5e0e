/* pool: words, handles, the hint and hand-over; several places in one process. */
#include "protocol/pool.h"

#include <string.h>

#include "tests/support/runner.h"
#include "tests/support/segment.h"

enum {
	PLACES = 4
};

struct scene {
	struct shmt_segment segment;
	struct shmp_pool at[PLACES];
};

static void attach(struct scene *scene, uint32_t place)
{
	shmt_place_assign(&scene->segment, place);
	SHMT_REQUIRE(shmp_pool_attach(&scene->segment.map, place, &scene->at[place]) == 0);
}

static struct scene *open_scene(uint64_t objects)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { 100, objects, PLACES };
	struct scene *scene = calloc(1, sizeof(*scene));

	SHMT_REQUIRE(scene);
	shmt_segment_make(&scene->segment, "pool", option);
	for (uint32_t place = 0; place < PLACES; place++)
		attach(scene, place);
	return scene;
}

static void close_scene(struct scene *scene)
{
	const char *why;

	ck_assert_int_eq(shmp_pool_kind.validate(&scene->segment.map, &why), 0);
	shmt_segment_free(&scene->segment);
	free(scene);
}

static uint64_t acquire(struct scene *scene, uint32_t place)
{
	uint64_t handle;

	ck_assert_int_eq(shmp_pool_acquire(&scene->at[place], &handle), SHMP_DONE);
	return handle;
}

static bool is_exhausted(struct scene *scene, uint32_t place)
{
	uint64_t handle;

	return shmp_pool_acquire(&scene->at[place], &handle) == SHMP_EMPTY;
}

static struct shmp_pool_counts counts(const struct scene *scene)
{
	struct shmp_pool_counts got;

	shmp_pool_count(&scene->segment.map, &got);
	return got;
}

TEST(every_object_is_given_out_once_and_then_none_is_left)
{
	static const uint64_t sizes[] = { 1, 2, 63, 64, 65, 1000, 4096, 4097, 10000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct scene *scene = open_scene(sizes[i]);
		uint64_t *handles = calloc(sizes[i], sizeof(*handles));
		uint8_t *seen = calloc(sizes[i], 1);

		for (int lap = 0; lap < 3; lap++) {
			memset(seen, 0, sizes[i]);
			for (uint64_t k = 0; k < sizes[i]; k++) {
				handles[k] = acquire(scene, (uint32_t)(k % PLACES));
				ck_assert_uint_eq(seen[shmp_pool_index(handles[k])]++, 0);
				ck_assert_uint_ne(handles[k], 0);
			}
			for (uint32_t place = 0; place < PLACES; place++)
				ck_assert(is_exhausted(scene, place));
			for (uint64_t k = 0; k < sizes[i]; k++)
				ck_assert_int_eq(
					shmp_pool_release(&scene->at[k % PLACES], handles[k]),
					SHMP_DONE);
		}
		ck_assert_uint_eq(counts(scene).of[SHMP_POOL_FREE], sizes[i]);
		ck_assert_uint_eq(counts(scene).acquired, 3 * sizes[i]);
		free(handles);
		free(seen);
		close_scene(scene);
	}
}

TEST(objects_do_not_overlap_and_are_a_line_apart)
{
	struct scene *scene = open_scene(50);

	for (uint64_t i = 0; i < 50; i++) {
		uint8_t *at = shmp_pool_at(&scene->at[0].view, shmp_pool_index(acquire(scene, 0)));

		ck_assert_uint_eq((uintptr_t)at % 64, 0);
		for (int k = 0; k < 100; k++)
			ck_assert_uint_eq(at[k], 0);
		memset(at, 1, 100);
	}
	close_scene(scene);
}

TEST(a_handle_is_worth_nothing_when_its_object_was_released)
{
	struct scene *scene = open_scene(1);
	uint64_t first = acquire(scene, 0), index, second;

	ck_assert_int_eq(shmp_pool_release(&scene->at[1], first), SHMP_POOL_DENIED);
	ck_assert_int_eq(shmp_pool_release(&scene->at[0], first), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_release(&scene->at[0], first), SHMP_POOL_STALE);
	ck_assert(!shmp_pool_is_own(&scene->at[0], first, &index));
	second = acquire(scene, 0);
	ck_assert_uint_ne(second, first);
	ck_assert_int_eq(shmp_pool_release(&scene->at[0], first), SHMP_POOL_STALE);
	ck_assert_int_eq(shmp_pool_transfer(&scene->at[0], first, 1), SHMP_POOL_STALE);
	ck_assert_int_eq(shmp_pool_claim(&scene->at[0], first), SHMP_POOL_STALE);
	ck_assert(shmp_pool_is_own(&scene->at[0], second, &index));
	close_scene(scene);
}

/* As after a pool was made anew while messages with handles of the old one were still about. */
TEST(what_is_adopted_has_its_old_handle_and_older_ones_are_stale)
{
	struct scene *scene = open_scene(4);
	struct shmp_pool *pool = &scene->at[0];
	uint64_t generation = UINT64_C(7) << 32, old = generation | 3;

	ck_assert_int_eq(shmp_pool_adopt(pool, old), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_adopt(pool, old), SHMP_POOL_DENIED);
	ck_assert_int_eq(shmp_pool_transfer(pool, old, SHMP_POOL_ANYONE), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_claim(&scene->at[1], old - (UINT64_C(1) << 32)),
			 SHMP_POOL_STALE);
	ck_assert_int_eq(shmp_pool_claim(&scene->at[1], old), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_release(&scene->at[1], old), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_adopt(pool, old), SHMP_POOL_STALE);
	ck_assert_int_eq(shmp_pool_adopt(pool, old + (UINT64_C(1) << 32)), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_adopt(pool, generation | 5), -EINVAL);
	ck_assert_int_eq(shmp_pool_adopt(pool, generation), -EINVAL);
	for (int i = 0; i < 3; i++)
		acquire(scene, 2);
	ck_assert(is_exhausted(scene, 2));
	ck_assert_uint_eq(counts(scene).of[SHMP_POOL_OWNED], 4);
	close_scene(scene);
}

TEST(what_is_no_handle_is_refused)
{
	struct scene *scene = open_scene(10);
	static const uint64_t handles[] = { 0, 11, UINT32_MAX, UINT64_MAX, UINT64_C(1) << 32 | 11 };

	for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++) {
		ck_assert_int_eq(shmp_pool_release(&scene->at[0], handles[i]), -EINVAL);
		ck_assert_int_eq(shmp_pool_transfer(&scene->at[0], handles[i], 1), -EINVAL);
		ck_assert_int_eq(shmp_pool_claim(&scene->at[0], handles[i]), -EINVAL);
		ck_assert_int_eq(shmp_pool_reclaim(&scene->at[0], handles[i]), -EINVAL);
	}
	/* one that was never given out, and one of a later life */
	ck_assert_int_eq(shmp_pool_release(&scene->at[0], 3), -EINVAL);
	ck_assert_int_eq(shmp_pool_release(&scene->at[0], UINT64_C(7) << 32 | 3), SHMP_POOL_STALE);
	ck_assert_int_eq(shmp_pool_transfer(&scene->at[0], acquire(scene, 0), PLACES), -EINVAL);
	close_scene(scene);
}

TEST(what_is_transferred_is_claimed_by_its_recipient_only)
{
	struct scene *scene = open_scene(3);
	uint64_t handle = acquire(scene, 0), index;

	ck_assert_int_eq(shmp_pool_claim(&scene->at[1], handle), SHMP_POOL_DENIED);
	ck_assert_int_eq(shmp_pool_transfer(&scene->at[1], handle, 2), SHMP_POOL_DENIED);
	ck_assert_int_eq(shmp_pool_transfer(&scene->at[0], handle, 1), SHMP_DONE);
	ck_assert(!shmp_pool_is_own(&scene->at[0], handle, &index));
	ck_assert_int_eq(shmp_pool_release(&scene->at[0], handle), SHMP_POOL_DENIED);
	ck_assert_int_eq(shmp_pool_claim(&scene->at[2], handle), SHMP_POOL_DENIED);
	ck_assert_int_eq(shmp_pool_claim(&scene->at[1], handle), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_claim(&scene->at[1], handle), SHMP_POOL_DENIED);
	ck_assert_int_eq(shmp_pool_transfer(&scene->at[1], handle, SHMP_POOL_ANYONE), SHMP_DONE);
	ck_assert_uint_eq(counts(scene).of[SHMP_POOL_TRANSIT_ANY], 1);
	ck_assert_int_eq(shmp_pool_claim(&scene->at[3], handle), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_release(&scene->at[3], handle), SHMP_DONE);
	close_scene(scene);
}

TEST(what_the_dead_and_the_departed_had_is_free_again, .rounds = 2)
{
	struct scene *scene = open_scene(10);
	uint64_t owned = acquire(scene, 1), sent = acquire(scene, 0), given = acquire(scene, 1);
	uint64_t others = acquire(scene, 2);

	ck_assert_int_eq(shmp_pool_transfer(&scene->at[0], sent, 1), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_transfer(&scene->at[1], given, SHMP_POOL_ANYONE), SHMP_DONE);
	shmt_place_vacate(&scene->segment, 1, _i == 0, 2);
	ck_assert_uint_eq(counts(scene).of[SHMP_POOL_FREE], 8);
	ck_assert_uint_eq(counts(scene).returned, 2);
	ck_assert_int_eq(shmp_pool_release(&scene->at[1], owned), SHMP_POOL_STALE);
	ck_assert_int_eq(shmp_pool_reclaim(&scene->at[0], sent), SHMP_POOL_STALE);
	/* to who is not there */
	ck_assert_int_eq(shmp_pool_transfer(&scene->at[2], others, 1),
			 _i == 0 ? SHMP_PEER_DEAD : SHMP_PEER_LEFT);
	ck_assert_int_eq(shmp_pool_release(&scene->at[2], others), SHMP_DONE);
	/* what he gave to anyone is on its way still */
	ck_assert_int_eq(shmp_pool_claim(&scene->at[3], given), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_release(&scene->at[3], given), SHMP_DONE);
	close_scene(scene);
}

TEST(a_repair_repeated_takes_nothing_from_the_successor)
{
	struct scene *scene = open_scene(4);
	uint64_t owned = acquire(scene, 1), index;

	shmt_place_vacate(&scene->segment, 1, true, 1);
	attach(scene, 1);
	owned = acquire(scene, 1);
	/* the successor's name differs by his incarnation: as if of the one before */
	shmp_endpoint_set_state(&scene->segment.map.endpoints[1], 1, SHMP_ENDPOINT_DYING);
	ck_assert_int_eq(shmp_pool_kind.repair(&scene->segment.map, 1, true), 0);
	ck_assert(shmp_pool_is_own(&scene->at[1], owned, &index));
	close_scene(scene);
}

TEST(what_is_in_transit_is_listed_and_reclaimed)
{
	struct scene *scene = open_scene(5);
	uint64_t to_one = acquire(scene, 0), to_any = acquire(scene, 0), index;
	uint64_t kept = acquire(scene, 0);

	ck_assert_int_eq(shmp_pool_transfer(&scene->at[0], to_one, 1), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_transfer(&scene->at[0], to_any, SHMP_POOL_ANYONE), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_reclaim(&scene->at[2], kept), SHMP_POOL_DENIED);
	ck_assert_int_eq(shmp_pool_reclaim(&scene->at[2], to_one), SHMP_DONE);
	ck_assert_int_eq(shmp_pool_claim(&scene->at[1], to_one), SHMP_POOL_STALE);
	ck_assert_uint_eq(shmp_pool_reclaim_abandoned(&scene->at[2]), 0);
	shmt_place_vacate(&scene->segment, 0, true, 1);
	ck_assert_uint_eq(shmp_pool_reclaim_abandoned(&scene->at[2]), 1);
	ck_assert_int_eq(shmp_pool_claim(&scene->at[1], to_any), SHMP_POOL_STALE);
	ck_assert_uint_eq(counts(scene).of[SHMP_POOL_FREE], 5);
	ck_assert(!shmp_pool_is_own(&scene->at[0], kept, &index));
	close_scene(scene);
}

/* As left by one who died between a word and its bit, and by one who cleared what he should not. */
TEST(a_hint_without_any_bit_costs_time_and_no_object)
{
	struct scene *scene = open_scene(5000);
	struct shmp_pool_view *view = &scene->at[0].view;

	for (uint64_t i = 0; i < 79; i++)
		atomic_store(&view->bitmap[i], 0);
	atomic_store(&view->summary[0], 0);
	atomic_store(&view->summary[1], 0);
	for (uint64_t i = 0; i < 5000; i++)
		acquire(scene, 0);
	ck_assert(is_exhausted(scene, 0));
	close_scene(scene);
}

TEST(repair_sets_the_bits_that_are_missing_and_goes_in_pieces)
{
	uint64_t objects = SHMP_POOL_CHUNK + 100;
	struct scene *scene = open_scene(objects);
	struct shmp_pool_view *view = &scene->at[0].view;
	int runs = 1;

	for (uint64_t i = 0; i < objects / 2; i++)
		acquire(scene, 1);
	for (uint64_t i = 0; i < (objects + 63) / 64; i++)
		atomic_store(&view->bitmap[i], 0);
	shmp_endpoint_set_state(&view->endpoints[1], 1, SHMP_ENDPOINT_DYING);
	while (shmp_pool_kind.repair(&scene->segment.map, 1, true) == 1)
		runs++;
	ck_assert_int_eq(runs, 2);
	ck_assert_uint_eq(counts(scene).of[SHMP_POOL_FREE], objects);
	for (uint64_t i = 0; i < objects / 64; i++)
		ck_assert_uint_eq(atomic_load(&view->bitmap[i]), UINT64_MAX);
	close_scene(scene);
}

/* Its giver looked at the door before it was closed, and died before he could look again. */
TEST(what_was_sent_behind_the_back_of_a_repair_is_free_again)
{
	struct scene *scene = open_scene(SHMP_POOL_CHUNK + 100);
	struct shmp_pool_view *view = &scene->at[0].view;
	uint64_t word;

	shmp_endpoint_set_state(&view->endpoints[2], 1, SHMP_ENDPOINT_DYING);
	ck_assert_int_eq(shmp_pool_kind.repair(&scene->segment.map, 2, true), 1);
	word = shmp_pool_name(2, 1) | SHMP_POOL_TRANSIT_TO;
	atomic_store(&view->words[5], word);
	shmp_endpoint_set_state(&view->endpoints[1], 1, SHMP_ENDPOINT_DYING);
	ck_assert_int_eq(shmp_pool_kind.repair(&scene->segment.map, 1, true), 1);
	ck_assert_int_eq(shmp_pool_kind.repair(&scene->segment.map, 2, true), 0);
	ck_assert_int_eq(shmp_pool_kind.repair(&scene->segment.map, 1, true), 0);
	ck_assert_uint_eq(counts(scene).of[SHMP_POOL_FREE], SHMP_POOL_CHUNK + 100);
	close_scene(scene);
}

TEST(who_releases_and_acquires_gets_the_same_object)
{
	struct scene *scene = open_scene(100);
	uint64_t handle = acquire(scene, 0), index = shmp_pool_index(handle);

	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(shmp_pool_release(&scene->at[0], handle), SHMP_DONE);
		handle = acquire(scene, 0);
		ck_assert_uint_eq(shmp_pool_index(handle), index);
	}
	/* another finds out what its bit still says, and that it is not so */
	for (int i = 0; i < 99; i++)
		ck_assert_uint_ne(shmp_pool_index(acquire(scene, 1)), index);
	ck_assert(is_exhausted(scene, 1));
	ck_assert_int_eq(shmp_pool_release(&scene->at[0], handle), SHMP_DONE);
	ck_assert_uint_eq(shmp_pool_index(acquire(scene, 1)), index);
	close_scene(scene);
}

/* All moves of all places, on whatever words there are. */
static void move_all(struct scene *scene)
{
	uint64_t handles[PLACES] = { 0 }, index;

	for (int i = 0; i < 30; i++) {
		uint32_t place = (uint32_t)i % PLACES;
		struct shmp_pool *pool = &scene->at[place];

		if (shmp_pool_acquire(pool, &handles[place]) == SHMP_DONE)
			ck_assert_uint_lt(shmp_pool_index(handles[place]), pool->view.count);
		shmp_pool_transfer(pool, handles[place],
				   i % 5 ? (place + 1) % PLACES : SHMP_POOL_ANYONE);
		shmp_pool_claim(pool, handles[(place + 1) % PLACES]);
		if (shmp_pool_is_own(pool, handles[place], &index))
			memset(shmp_pool_at(&pool->view, index), 1, 100);
		shmp_pool_release(pool, handles[place]);
		shmp_pool_reclaim(pool, handles[(place + 2) % PLACES]);
	}
	ck_assert_int_eq(shmp_pool_kind.repair(&scene->segment.map, 0, true), 0);
	shmp_pool_reclaim_abandoned(&scene->at[1]);
}

TEST(any_word_replaced_harms_nobody)
{
	static const uint64_t numbers[] = {
		0,	    1, 2, 3, 0x101, 0x3fd, UINT32_MAX, UINT64_C(1) << 32, UINT64_C(1) << 63,
		UINT64_MAX,
	};
	struct scene *scene = open_scene(10);
	uint64_t words = (scene->segment.plan.ctl_bytes - sizeof(struct shmp_head)) / 8;
	_Atomic uint64_t *control = scene->segment.map.control;
	uint8_t *before = malloc(words * 8);

	memcpy(before, scene->segment.map.control, words * 8);
	for (uint64_t at = 0; at < words; at++) {
		for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
			atomic_store(&control[at], numbers[i]);
			move_all(scene);
			memcpy(scene->segment.map.control, before, words * 8);
		}
	}
	free(before);
	close_scene(scene);
}

struct seen {
	uint64_t of[4];
	uint64_t handles;
};

static int see(void *context, const struct shmp_item *item)
{
	static const char *const states[] = { "free", "owned", "in transit",
					      "in transit to anyone" };
	struct seen *seen = context;

	for (int i = 0; i < 4; i++)
		seen->of[i] += strcmp(item->state, states[i]) == 0;
	seen->handles += item->number != UINT64_MAX;
	return 0;
}

TEST(a_looker_sees_whose_each_object_is)
{
	struct scene *scene = open_scene(10);
	struct shmp_look look = { .max = UINT64_MAX };
	struct shmp_segment map;
	struct seen seen = { .handles = 0 };

	acquire(scene, 0);
	acquire(scene, 0);
	shmp_pool_transfer(&scene->at[1], acquire(scene, 1), 2);
	shmp_pool_transfer(&scene->at[1], acquire(scene, 1), SHMP_POOL_ANYONE);
	shmt_segment_map(&scene->segment, "observer", &map);
	ck_assert_int_eq(shmp_pool_kind.look(&map, &look, see, &seen), 0);
	ck_assert_uint_eq(seen.of[SHMP_POOL_FREE], 6);
	ck_assert_uint_eq(seen.of[SHMP_POOL_OWNED], 2);
	ck_assert_uint_eq(seen.of[SHMP_POOL_TRANSIT_TO], 1);
	ck_assert_uint_eq(seen.of[SHMP_POOL_TRANSIT_ANY], 1);
	ck_assert_uint_eq(seen.handles, 10); /* of a free one, the next */
	shmp_segment_unmap(&map);
	close_scene(scene);
}

SHMT_MAIN
