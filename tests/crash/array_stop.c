/*
 * A user of an array is stopped, not dead, after every instruction of storing or loading an element,
 * or many. Others store and load all the others meanwhile, and one of them dies storing. Nothing is
 * held up; when the stopped one goes on, its elements are what it stored, and all others what those
 * stored. An element of up to 8 bytes that is stored alone is the old or the new at every instant.
 */
#include "protocol/array.h"

#include <string.h>
#include <sys/mman.h>

#include "protocol/copy.h"
#include "tests/crash/deaths.h"
#include "tests/support/runner.h"

enum {
	STOPPED = 0,
	OTHER = 1,
	THIRD = 2, /* dies meanwhile */
	PLACES = 3,
	ELEMENTS = 24,
	FIRST = 5, /* of the operation's */
	MANY = 11,
	LARGEST = 48,
	ROOM = SHMP_COPY_INLINE, /* as much as the compiler believes to be copied */
	BEFORE = 0x11,
	OWN = 0x22,
	OTHERS = 0x33,
};

/* Shared with who is stopped. */
struct own {
	uint8_t elements[MANY * ROOM]; /* that it stores, or has loaded */
};

static struct scene {
	struct shmt_segment segment;
	struct shmp_array array;
	struct own *own;
	uint64_t count; /* of the operation's elements */
	bool stores;
	struct deaths deaths;
} scene;

#define CHECK(condition_) DEATHS_CHECK(&scene.deaths, condition_)

static uint64_t element_bytes(void)
{
	return scene.array.element_bytes;
}

/* Bytes that tell the element, too. */
static void make(uint8_t *element, uint64_t index, uint8_t byte)
{
	memset(element, (int)(byte + index * 7), element_bytes());
}

static bool is(const uint8_t *element, uint64_t index, uint8_t byte)
{
	uint8_t expected[ROOM];

	make(expected, index, byte);
	return memcmp(element, expected, element_bytes()) == 0;
}

static bool is_own(uint64_t index)
{
	return index >= FIRST && index < FIRST + scene.count;
}

/* As libclient does it: inline for one, memcpy for many */

static void set(uint64_t index, const uint8_t *element)
{
	shmp_copy(shmp_array_at(&scene.array, index), element, element_bytes());
}

static void get(uint64_t index, uint8_t *ret_element)
{
	shmp_copy(ret_element, shmp_array_at(&scene.array, index), element_bytes());
}

/* What the stopped one does, stepped */

static void stores_one(void *context)
{
	(void)context;
	set(FIRST, scene.own->elements);
}

static void loads_one(void *context)
{
	(void)context;
	get(FIRST, scene.own->elements);
}

static void writes_many(void *context)
{
	(void)context;
	memcpy(shmp_array_at(&scene.array, FIRST), scene.own->elements, MANY * element_bytes());
}

static void reads_many(void *context)
{
	(void)context;
	memcpy(scene.own->elements, shmp_array_at(&scene.array, FIRST), MANY * element_bytes());
}

static void fills_many(void *context)
{
	(void)context;
	shmp_array_fill(&scene.array, FIRST, MANY, scene.own->elements);
}

static bool fills(void)
{
	return scene.deaths.operate == fills_many;
}

/* What the stopped one's element @index becomes. */
static bool is_stored(const uint8_t *element, uint64_t index)
{
	return is(element, fills() ? FIRST : index, OWN);
}

/* Meanwhile */

static void third_dies(uint64_t index)
{
	uint8_t element[ROOM];

	make(element, index, BEFORE + 1);
	memcpy(shmp_array_at(&scene.array, index), element, element_bytes() / 2);
	shmt_place_vacate(&scene.segment, THIRD, true, 1 + (int)(scene.deaths.point % 3));
	shmt_place_assign(&scene.segment, THIRD);
}

static void others_go_on(void *context)
{
	uint8_t element[ROOM];

	(void)context;
	third_dies(0);
	for (uint64_t i = 0; i < ELEMENTS; i++) {
		if (is_own(i)) {
			get(i, element);
			CHECK(scene.count > 1 || element_bytes() > 8 || is(element, i, BEFORE) ||
			      (scene.stores && is_stored(element, i)));
			continue;
		}
		make(element, i, OTHERS);
		set(i, element);
		get(i, element);
		CHECK(is(element, i, OTHERS));
	}
}

/* What must be, when it has ended */

static void is_ended(void *context)
{
	const char *why;

	(void)context;
	for (uint64_t i = 0; i < ELEMENTS; i++) {
		uint8_t element[ROOM];

		get(i, element);
		if (!is_own(i))
			CHECK(is(element, i, OTHERS));
		else if (scene.stores)
			CHECK(is_stored(element, i));
		else
			CHECK(is(scene.own->elements + (i - FIRST) * element_bytes(), i, BEFORE));
	}
	CHECK(shmp_array_kind.validate(&scene.segment.map, &why) == 0);
}

static void make_ready(void)
{
	uint8_t element[ROOM];

	for (uint64_t i = 0; i < ELEMENTS; i++) {
		make(element, i, BEFORE);
		set(i, element);
	}
	for (uint64_t i = 0; scene.stores && i < scene.count; i++)
		make(scene.own->elements + i * element_bytes(), FIRST + i, OWN);
}

static void stop_in(const char *what, void (*operate)(void *), uint64_t count, bool stores)
{
	static const uint64_t sizes[] = { 1, 2, 4, 8, 12, LARGEST };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t option[SHMP_OPTIONS_MAX] = { [SHMP_ARRAY_ELEMENT_BYTES] = sizes[i],
						      [SHMP_ARRAY_ELEMENTS] = ELEMENTS,
						      [SHMP_ARRAY_ENDPOINTS_MAX] = PLACES };
		char name[64];

		snprintf(name, sizeof(name), "%s, of %u bytes", what, (unsigned int)sizes[i]);
		scene = (struct scene){ .own = mmap(NULL, sizeof(*scene.own),
						    PROT_READ | PROT_WRITE,
						    MAP_SHARED | MAP_ANONYMOUS, -1, 0),
					.count = count,
					.stores = stores };
		SHMT_REQUIRE(scene.own != MAP_FAILED);
		shmt_segment_make(&scene.segment, "array", option);
		shmp_array_view(&scene.segment.map, &scene.array);
		for (uint32_t place = 0; place < PLACES; place++)
			shmt_place_assign(&scene.segment, place);
		make_ready();
		scene.deaths = (struct deaths){ .name = name,
						.segment = &scene.segment,
						.own = scene.own,
						.own_bytes = sizeof(*scene.own),
						.operate = operate,
						.meanwhile = others_go_on,
						.check = is_ended };
		deaths_everywhere(&scene.deaths);
		shmt_segment_free(&scene.segment);
		munmap(scene.own, sizeof(*scene.own));
	}
}

TEST(who_is_stopped_storing_or_loading_an_element_holds_up_nobody, .timeout_s = 60)
{
	stop_in("store", stores_one, 1, true);
	stop_in("load", loads_one, 1, false);
}

TEST(who_is_stopped_storing_or_loading_many_touches_no_others, .timeout_s = 60)
{
	stop_in("write 11", writes_many, MANY, true);
	stop_in("read 11", reads_many, MANY, false);
	stop_in("fill 11", fills_many, MANY, true);
}

DEATHS_MAIN
