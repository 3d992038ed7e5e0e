/*
 * A buffer's lock, and two who want it or have it at once; see pairs.h. Nobody writes beside another
 * one, nobody is held up by the dead, and of a writer who died the next one is told.
 *
 * What the lock guards is two words that a writer makes equal.
 */
#include "protocol/buffer.h"

#include <sys/mman.h>
#include <time.h>

#include "tests/crash/pairs.h"
#include "tests/support/runner.h"

enum {
	FIRST = 0,
	SECOND = 1,
	THIRD = 2, /* lives */
	PLACES = 3,
	UNTOLD = -1,
	VALUE = 10, /* of the one at FIRST; the next one's is the next */
};

struct own {
	struct shmp_buffer at[PLACES];
	int r[2];    /* of the acts */
	bool spoilt; /* an act found what cannot be under the lock */
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

static struct shmp_locker *locker(uint32_t place)
{
	return &scene.own->at[place].locker;
}

static void take_up(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	CHECK(shmp_buffer_attach(&scene.segment.map, place, &scene.own->at[place]) == 0);
}

/* Each access an instruction of its own. */
static volatile uint64_t *words(void)
{
	return (void *)scene.segment.map.data;
}

static bool is_equal(void)
{
	uint64_t first = words()[0];

	return words()[1] == first;
}

static bool is_in(int r)
{
	return r == SHMP_DONE || r == SHMP_OWNER_DIED;
}

/* DONE, OWNER_DIED, HELD. */
static int write_words(uint32_t place, uint64_t value)
{
	int r = shmp_lock_try_write(locker(place));

	if (!is_in(r))
		return r;
	if (r == SHMP_OWNER_DIED)
		scene.own->spoilt |= shmp_lock_mark_consistent(locker(place)) != SHMP_DONE;
	else
		scene.own->spoilt |= !is_equal();
	words()[0] = value;
	words()[1] = value;
	shmp_lock_unlock(locker(place));
	return r;
}

static int read_words(uint32_t place)
{
	int r = shmp_lock_try_read(locker(place));

	if (!is_in(r))
		return r;
	scene.own->spoilt |= r == SHMP_DONE && !is_equal();
	shmp_lock_unlock(locker(place));
	return r;
}

static void move(uint32_t place)
{
	write_words(place, VALUE + PLACES);
}

/* States */

static void is_free(void)
{
}

static void is_written_by(uint32_t place)
{
	CHECK(shmp_lock_try_write(locker(place)) == SHMP_DONE);
	scene.writes[place] = true;
}

static void is_written_by_first(void)
{
	is_written_by(FIRST);
}

static void is_written_by_second(void)
{
	is_written_by(SECOND);
}

static void is_read_by_third(void)
{
	CHECK(shmp_lock_try_read(locker(THIRD)) == SHMP_DONE);
}

/* Given its place, and has not taken it up. */
static void is_new(uint32_t place)
{
	shmt_place_vacate(&scene.segment, place, true, 1);
	shmt_place_assign(&scene.segment, place);
}

static void first_is_new(void)
{
	is_new(FIRST);
}

static void second_is_new(void)
{
	is_new(SECOND);
}

/* Acts, stepped */

static void attaches(uint32_t place)
{
	scene.own->r[place] = shmp_buffer_attach(&scene.segment.map, place, &scene.own->at[place]);
}

static void first_attaches(void)
{
	attaches(FIRST);
}

static void second_attaches(void)
{
	attaches(SECOND);
}

static void first_writes(void)
{
	scene.own->r[FIRST] = write_words(FIRST, VALUE + FIRST);
}

static void second_writes(void)
{
	scene.own->r[SECOND] = write_words(SECOND, VALUE + SECOND);
}

static void first_reads(void)
{
	scene.own->r[FIRST] = read_words(FIRST);
}

static void second_reads(void)
{
	scene.own->r[SECOND] = read_words(SECOND);
}

static void ends(uint32_t place)
{
	words()[0] = VALUE + place;
	words()[1] = VALUE + place;
	scene.own->r[place] = shmp_lock_unlock(locker(place));
}

static void first_ends(void)
{
	ends(FIRST);
}

static void second_ends(void)
{
	ends(SECOND);
}

/* What must be */

static bool may_have_died_writing(void)
{
	for (unsigned i = 0; i < 2; i++)
		if (scene.pairs.is_dead[i] && scene.writes[i] && scene.own->r[i] == UNTOLD)
			return true;
	return false;
}

static void judge(void)
{
	bool was_told_written = false;
	const char *why;
	int r;

	for (unsigned i = 0; i < 2; i++) {
		r = scene.own->r[i];
		CHECK(is_in(r) || r == SHMP_HELD || (r == UNTOLD && scene.pairs.is_dead[i]));
		was_told_written |= scene.writes[i] && is_in(r);
	}
	CHECK(!scene.own->spoilt);
	shmp_lock_unlock(locker(THIRD)); /* if it reads */
	r = shmp_lock_try_write(locker(THIRD));
	CHECK(r == SHMP_DONE || (r == SHMP_OWNER_DIED && may_have_died_writing()));
	if (r == SHMP_DONE)
		CHECK(is_equal() && (!was_told_written || words()[0] >= VALUE));
	else
		CHECK(shmp_lock_mark_consistent(locker(THIRD)) == SHMP_DONE);
	words()[0] = words()[1] = VALUE;
	CHECK(shmp_lock_unlock(locker(THIRD)) == SHMP_DONE);
	for (uint32_t place = 0; place < PLACES; place++) {
		CHECK(write_words(place, place) == SHMP_DONE);
		for (uint32_t reader = 0; reader < PLACES; reader++)
			CHECK(read_words(reader) == SHMP_DONE);
	}
	CHECK(!scene.own->spoilt);
	CHECK(shmp_buffer_kind.validate(&scene.segment.map, &why) == 0);
}

static void pair_in(enum pairs_way way, const char *name, void (*state)(void), void (*first)(void),
		    void (*second)(void))
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_BUFFER_SIZE_BYTES] = 64, [SHMP_BUFFER_ENDPOINTS_MAX] = PLACES
	};

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
	shmt_segment_make(&scene.segment, "buffer", option);
	for (uint32_t place = 0; place < PLACES; place++)
		take_up(place);
	state();
	scene.own->r[FIRST] = scene.own->r[SECOND] = UNTOLD;
	pairs_go(&scene.pairs, way);
	shmt_segment_free(&scene.segment);
	munmap(scene.own, sizeof(*scene.own));
}

static void pair(enum pairs_way way)
{
	pair_in(way, "write and write", is_free, first_writes, second_writes);
	pair_in(way, "write and read", is_free, first_writes, second_reads);
	pair_in(way, "read and write", is_free, first_reads, second_writes);
	pair_in(way, "read and read", is_free, first_reads, second_reads);
	pair_in(way, "write and write, while it is read", is_read_by_third, first_writes,
		second_writes);
	pair_in(way, "end of writing, and write", is_written_by_first, first_ends, second_writes);
	pair_in(way, "end of writing, and read", is_written_by_first, first_ends, second_reads);
	pair_in(way, "write, and end of writing", is_written_by_second, first_writes, second_ends);
	pair_in(way, "read, and end of writing", is_written_by_second, first_reads, second_ends);
	pair_in(way, "attach and write", first_is_new, first_attaches, second_writes);
	pair_in(way, "write and attach", second_is_new, first_writes, second_attaches);
}

PAIRS_TESTS

PAIRS_MAIN
