/*
 * Names in order, and names that are taken but not there yet.
 */
#include "daemon/registry.h"

#include <stdio.h>
#include <stdlib.h>

#include "daemon/segment.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define NAMES 500

static struct registry registry;

static struct segment *named(const char *name, bool is_ready)
{
	struct segment *segment = calloc(1, sizeof(*segment));

	segment->name = (char *)name;
	segment->is_ready = is_ready;
	ck_assert_int_eq(registry_add(&registry, segment), 0);
	return segment;
}

static void drop(struct segment *segment)
{
	registry_remove(&registry, segment);
	free(segment);
}

TEST(claimed_name_is_found_by_creators_only)
{
	struct segment *segment = named("a", false);

	ck_assert_ptr_null(registry_find(&registry, "a"));
	ck_assert_ptr_eq(registry_find_claimed(&registry, "a"), segment);
	segment->is_ready = true;
	ck_assert_ptr_eq(registry_find(&registry, "a"), segment);
	drop(segment);
	ck_assert_ptr_null(registry_find_claimed(&registry, "a"));
	registry_deinit(&registry);
}

TEST(paging_goes_on_behind_a_name_that_is_gone)
{
	struct segment *a = named("a", true), *c = named("c", true);

	ck_assert_uint_eq(registry_after(&registry, NULL), 0);
	ck_assert_uint_eq(registry_after(&registry, "a"), 1);
	ck_assert_uint_eq(registry_after(&registry, "b"), 1);
	ck_assert_uint_eq(registry_after(&registry, "c"), 2);
	drop(a);
	drop(c);
	registry_deinit(&registry);
}

TEST(names_stand_in_order_whatever_order_they_came_in)
{
	struct shmt_random random = { shmt_seed() };
	static char names[NAMES][24];
	struct segment *segments[NAMES];

	for (int i = 0; i < NAMES; i++) {
		snprintf(names[i], sizeof(names[i]), "%llx.%d",
			 (unsigned long long)(shmt_random_next(&random) >> 32), i);
		segments[i] = named(names[i], true);
	}
	for (int i = 1; i < NAMES; i++)
		ck_assert_str_lt(registry.segments[i - 1]->name, registry.segments[i]->name);
	for (int i = 0; i < NAMES; i++)
		ck_assert_ptr_eq(registry_find(&registry, names[i]), segments[i]);
	for (int i = 0; i < NAMES; i++)
		drop(segments[i]);
	registry_deinit(&registry);
}

SHMT_MAIN
