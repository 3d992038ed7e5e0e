/* Free ranges: first fit, growing together, and a random life against a plain map of units. */
#include "daemon/heap.h"

#include <string.h>

#include "tests/support/random.h"
#include "tests/support/runner.h"

enum {
	UNITS = 200,
	PIECES = 40,
};

static struct heap heap;

static uint64_t take(uint64_t bytes)
{
	uint64_t offset = UINT64_MAX;

	ck_assert_int_eq(heap_take(&heap, bytes, &offset), 0);
	return offset;
}

TEST(the_lowest_range_that_is_large_enough_is_taken)
{
	uint64_t offset;

	ck_assert_int_eq(heap_init(&heap, 10), 0);
	ck_assert_uint_eq(take(3), 0);
	ck_assert_uint_eq(take(3), 3);
	ck_assert_uint_eq(take(4), 6);
	ck_assert_int_eq(heap_take(&heap, 1, &offset), 1);
	heap_give(&heap, 0, 3);
	heap_give(&heap, 6, 4);
	ck_assert_uint_eq(heap_largest(&heap), 4);
	ck_assert_uint_eq(take(4), 6);
	ck_assert_uint_eq(take(2), 0);
	ck_assert_uint_eq(heap.free_bytes, 1);
	heap_give(&heap, 0, 2);
	heap_give(&heap, 3, 3);
	heap_give(&heap, 6, 4);
	heap_deinit(&heap);
}

TEST(neighbours_grow_together_in_any_order)
{
	static const uint64_t orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					      { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		ck_assert_int_eq(heap_init(&heap, 30), 0);
		for (int k = 0; k < 3; k++)
			take(10);
		for (int k = 0; k < 3; k++)
			heap_give(&heap, orders[i][k] * 10, 10);
		ck_assert_uint_eq(heap.count, 1);
		ck_assert_uint_eq(heap_largest(&heap), 30);
		heap_deinit(&heap);
	}
}

TEST(a_random_life_takes_nothing_twice_and_loses_nothing)
{
	struct shmt_random random = { shmt_seed() };
	uint64_t offset[PIECES], bytes[PIECES] = { 0 }, used = 0;
	uint8_t map[UNITS] = { 0 };

	ck_assert_int_eq(heap_init(&heap, UNITS), 0);
	for (int round = 0; round < 20000; round++) {
		uint64_t i = shmt_random_below(&random, PIECES);

		if (bytes[i] != 0) {
			memset(map + offset[i], 0, bytes[i]);
			heap_give(&heap, offset[i], bytes[i]);
			used -= bytes[i];
			bytes[i] = 0;
		} else {
			uint64_t wanted = 1 + shmt_random_below(&random, 20);
			uint64_t largest = heap_largest(&heap);
			int r = heap_take(&heap, wanted, &offset[i]);

			ck_assert_int_eq(r, wanted > largest);
			if (r != 0)
				continue;
			bytes[i] = wanted;
			used += wanted;
			for (uint64_t at = offset[i]; at < offset[i] + wanted; at++)
				ck_assert_uint_eq(map[at]++, 0);
		}
		ck_assert_uint_eq(heap.free_bytes, UNITS - used);
	}
	for (int i = 0; i < PIECES; i++)
		if (bytes[i] != 0)
			heap_give(&heap, offset[i], bytes[i]);
	ck_assert_uint_eq(heap_largest(&heap), UNITS);
	heap_deinit(&heap);
}

SHMT_MAIN
