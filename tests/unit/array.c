/* array: sizes that follow from options, and moves that stay inside whatever the elements hold. */
#include "protocol/array.h"

#include <string.h>

#include "tests/support/runner.h"
#include "tests/support/segment.h"

static int plan(uint64_t element_bytes, uint64_t elements, uint64_t type, struct shmp_plan *ret)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { element_bytes, elements, type, 4 };
	const char *why = NULL;
	int r = shmp_array_kind.plan(option, ret, &why);

	ck_assert((r == 0) == (why == NULL));
	return r;
}

TEST(a_type_gives_the_element_its_size)
{
	struct shmp_plan got;

	for (uint32_t type = SHMP_TYPE_BOOL; type <= SHMP_TYPE_DURATION; type++) {
		ck_assert_int_eq(plan(0, 10, type, &got), 0);
		ck_assert_uint_eq(got.option[SHMP_ARRAY_ELEMENT_BYTES], shmp_type_bytes(type));
		ck_assert_int_eq(plan(shmp_type_bytes(type), 10, type, &got), 0);
		ck_assert_int_eq(plan(shmp_type_bytes(type) + 1, 10, type, &got),
				 SHMP_ARRAY_ELEMENT_BYTES + 1);
	}
	ck_assert_int_eq(plan(0, 10, SHMP_TYPE_BYTES, &got), 0);
	ck_assert_uint_eq(got.option[SHMP_ARRAY_ELEMENT_BYTES], 1);
	ck_assert_int_eq(plan(77, 10, SHMP_TYPE_OWN + 9, &got), 0);
}

TEST(what_cannot_be_is_named)
{
	struct shmp_plan got;

	ck_assert_int_eq(plan(8, 10, SHMP_TYPE_STRING, &got), SHMP_ARRAY_ELEMENT_TYPE + 1);
	ck_assert_int_eq(plan(8, 10, SHMP_TYPE_STRUCT, &got), SHMP_ARRAY_ELEMENT_TYPE + 1);
	ck_assert_int_eq(plan(8, 10, 255, &got), SHMP_ARRAY_ELEMENT_TYPE + 1);
	ck_assert_int_eq(plan(UINT64_C(1) << 31, 513, 0, &got), SHMP_ARRAY_ELEMENTS + 1);
	ck_assert_int_eq(plan(UINT64_C(1) << 31, 512, 0, &got), 0);
	ck_assert_uint_eq(got.data_bytes, UINT64_C(1) << 40);
}

TEST(a_fill_stays_within_its_part)
{
	uint8_t room[3 * 20];
	struct shmp_array array = { room + 3, 3, 18 };

	for (uint64_t first = 0; first <= 18; first++) {
		for (uint64_t count = 0; count <= 18 - first; count++) {
			memset(room, 'x', sizeof(room));
			ck_assert(shmp_array_has(&array, first, count));
			shmp_array_fill(&array, first, count, "abc");
			for (uint64_t i = 0; i < sizeof(room); i++) {
				bool is_in = i >= 3 * (first + 1) && i < 3 * (first + 1 + count);

				if (room[i] != (is_in ? "abc"[i % 3] : 'x'))
					ck_abort_msg("%lu from %lu: byte %lu", count, first, i);
			}
		}
	}
}

TEST(a_fill_takes_an_element_of_the_array_itself)
{
	uint8_t room[] = "aabbccddee";
	struct shmp_array array = { room, 2, 5 };

	shmp_array_fill(&array, 1, 3, room + 6);
	ck_assert_str_eq((char *)room, "aaddddddee");
}

TEST(ranges_that_wrap_around_are_none)
{
	struct shmp_array array = { NULL, 8, 10 };

	ck_assert(shmp_array_has(&array, 10, 0));
	ck_assert(!shmp_array_has(&array, 11, 0));
	ck_assert(!shmp_array_has(&array, 9, 2));
	ck_assert(!shmp_array_has(&array, 1, UINT64_MAX));
	ck_assert(!shmp_array_has(&array, UINT64_MAX, 2));
}

static void ignore(void *context, const char *name, uint64_t value)
{
	(void)context;
	(void)name;
	(void)value;
}

TEST(a_segment_full_of_ones_is_an_array_like_any_other)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { 8, 100, 0, 4 };
	struct shmt_segment segment;
	const char *why;

	shmt_segment_make(&segment, "array", option);
	memset(segment.map.head, 0xff, segment.map.plan.ctl_bytes);
	memset(segment.map.data, 0xff, segment.map.plan.data_bytes);
	ck_assert_int_eq(shmp_array_kind.validate(&segment.map, &why), 0);
	shmp_array_kind.figures(&segment.map, ignore, NULL);
	ck_assert_int_eq(shmp_array_kind.repair(&segment.map, 0, true), 0);
	shmp_array_kind.attach(&segment.map, 0);
	ck_assert(!shmp_array_kind.waits(&segment.map, 0));
	shmt_segment_free(&segment);
}

struct seen {
	char text[4][64];
	unsigned count;
};

static int note(void *context, const struct shmp_item *item)
{
	struct seen *seen = context;

	ck_assert_uint_eq(item->position, seen->count + 1);
	ck_assert_uint_eq(item->payload_bytes, item->size);
	snprintf(seen->text[seen->count++ % 4], 64, "%s", item->text);
	return 0;
}

TEST(a_look_shows_elements_from_any_on_as_text_and_bytes)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { 0, 3, SHMP_TYPE_I16, 4 };
	struct seen seen = { .count = 0 };
	struct shmt_segment segment;
	struct shmp_segment map;
	uint8_t room[8];
	struct shmp_look look = { .from = 1, .max = 10, .room = room, .room_bytes = 8 };

	shmt_segment_make(&segment, "array", option);
	memcpy(segment.map.data, (int16_t[]){ 1, -2, 30000 }, 6);
	shmt_segment_map(&segment, "observer", &map);
	ck_assert_int_eq(shmp_array_kind.look(&map, &look, note, &seen), 0);
	ck_assert_uint_eq(seen.count, 2);
	ck_assert_str_eq(seen.text[0], "-2");
	ck_assert_str_eq(seen.text[1], "30000");
	ck_assert_uint_eq(look.from, 3);
	look.from = UINT64_MAX;
	ck_assert_int_eq(shmp_array_kind.look(&map, &look, note, &seen), 0);
	ck_assert_uint_eq(look.from, 3);
	shmp_segment_unmap(&map);
	shmt_segment_free(&segment);
}

static int note_text(void *context, const struct shmp_item *item)
{
	*(bool *)context |= item->text != NULL;
	return 0;
}

/* 2^32 + 2 is nobody's i8, and the element is larger than any value that has a text. */
TEST(own_type_of_a_large_number_is_shown_as_bytes)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { 4096, 2, (UINT64_C(1) << 32) + SHMP_TYPE_I8, 4 };
	struct shmp_look look = { .max = 10 };
	struct shmt_segment segment;
	bool has_text = false;

	shmt_segment_make(&segment, "array", option);
	memset(segment.map.data, 0xff, segment.map.plan.data_bytes);
	ck_assert_int_eq(shmp_array_kind.look(&segment.map, &look, note_text, &has_text), 0);
	ck_assert_uint_eq(look.from, 2);
	ck_assert(!has_text);
	shmt_segment_free(&segment);
}

SHMT_MAIN
