/*
 * A record, and two who write or read it at once; see pairs.h. What was committed is seen, whole;
 * nobody is held up by the dead.
 */
#include "protocol/record.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/crash/pairs.h"
#include "tests/support/runner.h"

enum {
	FIRST = 0,
	SECOND = 1,
	THIRD = 2, /* lives */
	PLACES = 3,
	WORDS = 12,
	COMMITS = 5, /* before; each slot is used */
	VALUE = 100, /* of the one at FIRST; the next one's is the next */
	UNTOLD = -1,
};

struct image {
	struct shmp_schema schema;
	struct shmp_schema_field field;
};

struct own {
	struct shmp_record record[PLACES];
	struct shmp_locker locker[PLACES];
	int r[2];	    /* of the acts */
	uint64_t number[2]; /* of the versions that they committed or read */
	bool spoilt;	    /* a read gave what nobody committed */
};

static struct scene {
	struct shmt_segment segment;
	struct own *own;
	bool writes[2];
	struct pairs pairs;
} scene;

/* Stands still, so that an act takes the same path every time. */
time_t time(time_t *ret_now)
{
	if (ret_now)
		*ret_now = 1;
	return 1;
}

#define CHECK(condition_) PAIRS_CHECK(&scene.pairs, condition_)

static void attach(uint32_t place)
{
	shmp_record_view(&scene.segment.map, &scene.own->record[place]);
	shmp_lock_attach(&scene.own->record[place].control->lock, &scene.segment.map, place,
			 &scene.own->locker[place]);
}

static void take_up(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	attach(place);
}

/* As libclient does it; DONE, HELD. */
static int transact(uint32_t place, uint64_t value, uint64_t *ret_number)
{
	struct shmp_record *record = &scene.own->record[place];
	struct shmp_locker *locker = &scene.own->locker[place];
	uint64_t words[WORDS];
	int r = shmp_lock_try_write(locker);

	if (r == SHMP_OWNER_DIED)
		shmp_lock_mark_consistent(locker);
	else if (r != SHMP_DONE)
		return r;
	for (int i = 0; i < WORDS; i++)
		words[i] = value;
	shmp_record_begin(record);
	shmp_record_keep(record);
	memcpy(record->draft, words, sizeof(words));
	*ret_number = record->number;
	shmp_record_commit(record);
	shmp_lock_unlock(locker);
	return SHMP_DONE;
}

/* The newest version, whole; its value. */
static uint64_t look(uint32_t place, uint64_t *ret_number)
{
	uint64_t words[WORDS] = { 0 };

	scene.own->spoilt |= shmp_record_read(&scene.own->record[place], words, ret_number) !=
			     SHMP_DONE;
	for (int i = 1; i < WORDS; i++)
		scene.own->spoilt |= words[i] != words[0];
	return words[0];
}

static void move(uint32_t place)
{
	uint64_t number;

	transact(place, VALUE + PLACES, &number);
}

/* Acts, stepped */

static void first_writes(void)
{
	scene.own->r[FIRST] = transact(FIRST, VALUE + FIRST, &scene.own->number[FIRST]);
}

static void second_writes(void)
{
	scene.own->r[SECOND] = transact(SECOND, VALUE + SECOND, &scene.own->number[SECOND]);
}

static void reads(uint32_t place)
{
	uint64_t value = look(place, &scene.own->number[place]);

	scene.own->spoilt |= value != COMMITS && (value < VALUE || value > VALUE + PLACES);
	scene.own->r[place] = SHMP_DONE;
}

static void first_reads(void)
{
	reads(FIRST);
}

static void second_reads(void)
{
	reads(SECOND);
}

static void first_attaches(void)
{
	attach(FIRST);
	scene.own->r[FIRST] = SHMP_DONE;
}

static void second_attaches(void)
{
	attach(SECOND);
	scene.own->r[SECOND] = SHMP_DONE;
}

/* What must be */

static void judge(void)
{
	uint64_t number, now, value = look(THIRD, &number);
	const char *why;

	CHECK(value == COMMITS || (value >= VALUE && value <= VALUE + PLACES));
	for (unsigned i = 0; i < 2; i++) {
		int r = scene.own->r[i];

		CHECK(r == SHMP_DONE || (r == SHMP_HELD && scene.writes[i]) ||
		      (r == UNTOLD && scene.pairs.is_dead[i]));
		if (r != SHMP_DONE)
			continue;
		CHECK(number >= scene.own->number[i]);
		if (scene.writes[i] && number == scene.own->number[i])
			CHECK(value == VALUE + i);
	}
	for (uint64_t i = 0; i < PLACES * UINT64_C(2); i++) {
		uint32_t place = (uint32_t)i % PLACES;

		CHECK(transact(place, i, &now) == SHMP_DONE && now == number + 1 + i);
		CHECK(look((place + 1) % PLACES, &now) == i && now == number + 1 + i);
	}
	CHECK(!scene.own->spoilt);
	CHECK(shmp_record_kind.validate(&scene.segment.map, &why) == 0);
}

static void make(void)
{
	static struct image image;
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };
	const char *why;
	uint32_t field;

	image = (struct image){
		.schema = { .field_count = 1 },
		.field = { .name = "words", .type = SHMP_TYPE_BYTES, .bytes = WORDS * 8 }
	};
	SHMT_REQUIRE(shmp_schema_seal(&image.schema, &why, &field) == 0);
	option[SHMP_RECORD_BYTES] = image.schema.record_bytes;
	option[SHMP_RECORD_SCHEMA_BYTES] = sizeof(image);
	option[SHMP_RECORD_LAYOUT_HASH] = image.schema.layout_hash;
	option[SHMP_RECORD_ENDPOINTS_MAX] = PLACES;
	shmt_segment_make_with(&scene.segment, "record", option, &image, sizeof(image));
}

/* Given its place, and has not taken it up. */
static void is_new(uint32_t place)
{
	shmt_place_vacate(&scene.segment, place, true, 1);
	shmt_place_assign(&scene.segment, place);
}

static void pair_in(enum pairs_way way, const char *name, void (*first)(void), void (*second)(void))
{
	uint64_t number;

	scene = (struct scene){ .own = pairs_memory(sizeof(*scene.own)),
				.writes = { first == first_writes, second == second_writes } };
	scene.pairs = (struct pairs){ .name = name,
				      .segment = &scene.segment,
				      .own = scene.own,
				      .own_bytes = sizeof(*scene.own),
				      .handle_bytes = offsetof(struct own, r),
				      .act = { { FIRST, first }, { SECOND, second } },
				      .second_is_long = second == second_attaches,
				      .take_up = take_up,
				      .move = move,
				      .judge = judge,
				      .way = "" };
	make();
	for (uint32_t place = 0; place < PLACES; place++)
		take_up(place);
	for (uint64_t i = 1; i <= COMMITS; i++)
		CHECK(transact(THIRD, i, &number) == SHMP_DONE);
	scene.own->r[FIRST] = scene.own->r[SECOND] = UNTOLD;
	if (first == first_attaches)
		is_new(FIRST);
	if (second == second_attaches)
		is_new(SECOND);
	pairs_go(&scene.pairs, way);
	shmt_segment_free(&scene.segment);
	munmap(scene.own, sizeof(*scene.own));
}

static void pair(enum pairs_way way)
{
	pair_in(way, "transaction and transaction", first_writes, second_writes);
	pair_in(way, "transaction and read", first_writes, second_reads);
	pair_in(way, "read and transaction", first_reads, second_writes);
	pair_in(way, "attach and transaction", first_attaches, second_writes);
	pair_in(way, "transaction and attach", first_writes, second_attaches);
}

PAIRS_TESTS

PAIRS_MAIN
