/*
 * An array of any geometry, whose memory a hostile peer fills as it likes: bounds come from the plan
 * alone, so no move and no look leaves the mapping. The input is a geometry and a list of commands.
 */
#include "protocol/array.h"

#include <string.h>

#include "tests/support/fuzz.h"

enum {
	PLACES = 4,
	COMMANDS_MAX = 256,
	DATA_MAX = 1 << 20,
};

struct input {
	const uint8_t *at;
	size_t left;
};

static uint64_t take(struct input *input, size_t bytes)
{
	uint64_t value = 0;
	size_t some = bytes < input->left ? bytes : input->left;

	memcpy(&value, input->at, some);
	input->at += some;
	input->left -= some;
	return value;
}

/* On the heap, so that a sanitizer sees the end of each part. False: refused, and for a reason. */
static bool make(struct input *input, struct shmp_segment *segment)
{
	uint8_t type = (uint8_t)take(input, 1);
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_ARRAY_ELEMENT_BYTES] = 1 + take(input, type & 64 ? 4 : 1),
		[SHMP_ARRAY_ELEMENTS] = 1 + take(input, type & 128 ? 5 : 1),
		[SHMP_ARRAY_ELEMENT_TYPE] = type & 32 ? SHMP_TYPE_OWN + type : type % 32,
		[SHMP_ARRAY_ENDPOINTS_MAX] = PLACES,
	};
	const char *why = NULL;
	int r = shmp_array_kind.plan(option, &segment->plan, &why);

	FUZZ_CHECK(r == 0 || (r > 0 && why));
	/* what a plan promises holds also where there is not so much memory */
	if (r == 0)
		FUZZ_CHECK(segment->plan.option[SHMP_ARRAY_ELEMENT_BYTES] *
				   segment->plan.option[SHMP_ARRAY_ELEMENTS] <=
			   segment->plan.data_bytes);
	if (r != 0 || segment->plan.data_bytes > DATA_MAX)
		return false;
	segment->head = aligned_alloc(SHMP_PAGE, segment->plan.ctl_bytes);
	segment->data = aligned_alloc(SHMP_PAGE, segment->plan.data_bytes);
	FUZZ_CHECK(segment->head && segment->data);
	memset(segment->head, 0, segment->plan.ctl_bytes);
	memset(segment->data, 0, segment->plan.data_bytes);
	segment->control = (uint8_t *)segment->head + sizeof(struct shmp_head);
	segment->endpoints = (void *)((uint8_t *)segment->control + segment->plan.control_bytes);
	return true;
}

/* Any word, in ctl or data. */
static void scribble(struct shmp_segment *segment, struct input *input)
{
	uint8_t how = (uint8_t)take(input, 1);
	uint64_t at = take(input, 2), value = take(input, how & 2 ? 8 : 1);
	uint8_t *part = how & 1 ? segment->data : (uint8_t *)segment->head;
	uint64_t bytes = how & 1 ? segment->plan.data_bytes : segment->plan.ctl_bytes;

	if (how & 8)
		memset(part, how & 16 ? 0xff : (int)value, bytes);
	memcpy(part + at * 8 % bytes, &value, sizeof(value));
}

/* A range as a caller hands it in: touched if, and only if, it is said to be there. */
static void fill(const struct shmp_segment *segment, const struct shmp_array *array,
		 struct input *input)
{
	uint8_t how = (uint8_t)take(input, 1);
	uint64_t first = take(input, how & 1 ? 8 : 2), count = take(input, how & 2 ? 8 : 1);
	uint8_t *element;

	if (!shmp_array_has(array, first, count)) {
		FUZZ_CHECK(first > array->count || count > array->count - first);
		return;
	}
	FUZZ_CHECK(shmp_array_at(array, first) >= segment->data);
	FUZZ_CHECK((first + count) * array->element_bytes <= segment->plan.data_bytes);
	element = malloc(array->element_bytes);
	FUZZ_CHECK(element);
	memset(element, how, array->element_bytes);
	shmp_array_fill(array, first, count, element);
	for (uint64_t i = 0; i < count; i += count / 7 + 1)
		FUZZ_CHECK(memcmp(shmp_array_at(array, first + i), element, array->element_bytes) ==
			   0);
	free(element);
}

struct shown {
	uint64_t items;
	uint64_t next;
};

static int show(void *context, const struct shmp_item *item)
{
	struct shown *shown = context;

	FUZZ_CHECK(item->position >= shown->next);
	FUZZ_CHECK(item->payload_bytes <= item->size);
	FUZZ_CHECK(!item->text || strlen(item->text) < 100000);
	shown->next = item->position + 1;
	shown->items++;
	return 0;
}

static void count_figure(void *context, const char *name, uint64_t value)
{
	(void)value;
	*(size_t *)context += strlen(name);
}

static void look(const struct shmp_segment *segment, const struct shmp_array *array,
		 struct input *input)
{
	static uint8_t room[100];
	struct shmp_look look = { .from = take(input, 1),
				  .max = 1 + take(input, 1),
				  .room = room,
				  .room_bytes = take(input, 1) % (sizeof(room) + 1) };
	uint64_t max = look.max;
	struct shown shown = { .next = look.from };
	const char *why;
	size_t names = 0;

	FUZZ_CHECK(shmp_array_kind.validate(segment, &why) == 0);
	shmp_array_kind.figures(segment, count_figure, &names);
	FUZZ_CHECK(shmp_array_kind.look(segment, &look, show, &shown) == 0);
	FUZZ_CHECK(shown.items <= max && look.from <= array->count + 256);
}

static void succeed(const struct shmp_segment *segment, uint32_t place)
{
	FUZZ_CHECK(shmp_array_kind.repair(segment, place, true) == 0);
	shmp_array_kind.wake(segment);
	FUZZ_CHECK(!shmp_array_kind.waits(segment, place));
	shmp_array_kind.attach(segment, place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct shmp_segment segment = { .mirrored = false };
	struct shmp_array array;

	if (!make(&input, &segment))
		return 0;
	shmp_array_view(&segment, &array);
	for (int i = 0; i < COMMANDS_MAX && input.left > 0; i++) {
		uint8_t command = (uint8_t)take(&input, 1);

		if ((command & 3) == 0)
			scribble(&segment, &input);
		else if ((command & 3) == 1)
			fill(&segment, &array, &input);
		else if ((command & 3) == 2)
			look(&segment, &array, &input);
		else
			succeed(&segment, command >> 6);
	}
	free(segment.head);
	free(segment.data);
	return 0;
}
