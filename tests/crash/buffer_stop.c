/*
 * Somebody is stopped, not dead, after every instruction of writing a range of a buffer with its
 * checksum, of reading and verifying it, of forgetting it, or of looking at it from outside. The
 * others read, write and look meanwhile as far as the lock lets them, and one of them dies in the
 * middle of storing a checksum, is repaired, and what it left is mended. Whoever gets in finds bytes
 * of one writer with the checksum of these, and so does the stopped one when it goes on; what is
 * shown as whole is.
 */
#include "protocol/buffer.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/crash/deaths.h"
#include "tests/support/buffer.h"
#include "tests/support/runner.h"

enum {
	STOPPED = 0,
	READER = 1,
	WRITER = 2,
	THIRD = 3, /* dies meanwhile */
	PLACES = 4,
	RANGE = 64,
	SIZE = 4 * RANGE,
	ROOM = 3, /* checksums */
	OTHER_RANGE = 0,
	OWN_RANGE = 1, /* that the operation is about */
	BEFORE = 0x11,
	OWN = 0x22,
	OTHERS = 0x33,
	NEVER = 0x66, /* of who dies */
};

/* Shared with who is stopped. */
struct own {
	struct shmp_buffer at[PLACES];
	uint8_t copy[RANGE];
	int r;
	int verified;	   /* what the checksum said */
	bool is_whole;	   /* what was looked at was shown so */
	uint64_t others;   /* last byte that the living wrote */
	bool is_left;	   /* something by THIRD, and not mended */
	bool is_forgotten; /* the checksum, if it may be */
};

static struct scene {
	struct shmt_buffer buffer;
	struct shmp_segment eye; /* of who looks */
	struct own *own;
	struct deaths deaths;
} scene;

/* Stands still, so that an operation takes the same path every time. */
time_t time(time_t *ret_now)
{
	if (ret_now)
		*ret_now = 1;
	return 1;
}

#define CHECK(condition_) DEATHS_CHECK(&scene.deaths, condition_)

static struct shmp_buffer *at(uint32_t place)
{
	return &scene.own->at[place];
}

static struct shmp_locker *locker(uint32_t place)
{
	return &at(place)->locker;
}

static struct shmp_lock *lock(void)
{
	return shmt_buffer_lock(&scene.buffer);
}

static void attach(uint32_t place)
{
	shmt_buffer_attach(&scene.buffer, place, at(place));
	locker(place)->second = time(NULL); /* or it looks at the clock, now and then */
}

/* Word by word: how often a single step stops within memset is the processor's affair. */
static void set_range(uint32_t place, uint64_t byte)
{
	volatile uint64_t *word = (void *)shmp_buffer_at(at(place), OWN_RANGE * RANGE);

	for (uint64_t i = 0; i < RANGE / sizeof(*word); i++)
		word[i] = byte * UINT64_C(0x0101010101010101);
}

static int store(uint32_t place, uint64_t range)
{
	return shmp_buffer_store_checksum(at(place), range * RANGE, RANGE);
}

static int verify(uint32_t place, uint64_t range)
{
	return shmp_buffer_verify(at(place), range * RANGE, RANGE, NULL);
}

static bool is_uniform(const uint8_t *bytes)
{
	return memcmp(bytes, bytes + 1, RANGE - 1) == 0 && bytes[0] != NEVER;
}

/* Of one who has the lock, and nothing is to be mended. */
static void is_consistent(uint32_t place)
{
	int r = verify(place, OWN_RANGE);

	CHECK(verify(place, OTHER_RANGE) == SHMP_DONE);
	CHECK(is_uniform(shmp_buffer_at(at(place), OWN_RANGE * RANGE)));
	CHECK(r == SHMP_DONE || (r == SHMP_EMPTY && scene.own->is_forgotten));
}

/* The stopped one writes, or claims. */
static bool is_claimed(void)
{
	return (shmp_lock_load(lock()) & ~UINT64_C(0xff)) == locker(STOPPED)->name;
}

/* ... or reads. */
static bool is_in_the_way(void)
{
	return is_claimed() || atomic_load(&locker(STOPPED)->self->intent[SHMP_LOCK_MARK]) != 0;
}

/* What the stopped one does, stepped */

static bool takes_it(void)
{
	scene.own->r = shmp_lock_try_write(locker(STOPPED));
	if (scene.own->r != SHMP_DONE && scene.own->r != SHMP_OWNER_DIED)
		return false;
	if (scene.own->r == SHMP_OWNER_DIED)
		shmp_lock_mark_consistent(locker(STOPPED));
	return true;
}

static void writes(void *context)
{
	(void)context;
	if (!takes_it())
		return;
	set_range(STOPPED, OWN);
	scene.own->verified = store(STOPPED, OWN_RANGE);
	shmp_lock_unlock(locker(STOPPED));
}

static void forgets(void *context)
{
	(void)context;
	if (!takes_it())
		return;
	scene.own->verified = shmp_buffer_forget_checksum(at(STOPPED), OWN_RANGE * RANGE, RANGE);
	shmp_lock_unlock(locker(STOPPED));
}

static void copy_range(const uint8_t *from)
{
	for (uint64_t i = 0; i < RANGE; i += sizeof(uint64_t))
		memcpy(scene.own->copy + i, from + i, sizeof(uint64_t));
}

static void reads(void *context)
{
	(void)context;
	scene.own->r = shmp_lock_try_read(locker(STOPPED));
	if (scene.own->r != SHMP_DONE && scene.own->r != SHMP_OWNER_DIED)
		return;
	copy_range(shmp_buffer_at(at(STOPPED), OWN_RANGE * RANGE));
	scene.own->verified = shmp_buffer_verify(at(STOPPED), OWN_RANGE * RANGE, RANGE,
						 scene.own->copy);
	shmp_lock_unlock(locker(STOPPED));
}

static int note(void *context, const struct shmp_item *item)
{
	(void)context;
	scene.own->is_whole = item->state == NULL;
	copy_range(item->payload);
	return 0;
}

static int look(void)
{
	uint8_t room[RANGE];
	struct shmp_look look = {
		.from = OWN_RANGE * RANGE, .max = 1, .room = room, .room_bytes = RANGE
	};

	return shmp_buffer_kind.look(&scene.eye, &look, note, NULL);
}

static void looks(void *context)
{
	(void)context;
	scene.own->r = look();
}

/* Meanwhile */

static void try_reading(void)
{
	int r = shmp_lock_try_read(locker(READER));

	CHECK(r == SHMP_DONE || (r == SHMP_HELD && is_claimed()));
	if (r == SHMP_HELD)
		return;
	is_consistent(READER);
	CHECK(shmp_lock_unlock(locker(READER)) == SHMP_DONE);
}

static void try_looking(void)
{
	struct own before = *scene.own;

	CHECK(look() == 0);
	CHECK(!scene.own->is_whole || is_uniform(scene.own->copy));
	CHECK(scene.own->is_whole || is_claimed());
	*scene.own = before;
}

/* With the checksum of other bytes, or none. */
static void third_dies(void)
{
	int r = shmp_lock_try_write(locker(THIRD));

	CHECK(r == SHMP_DONE || (r == SHMP_HELD && is_in_the_way()));
	if (r == SHMP_DONE) {
		set_range(THIRD, NEVER);
		if (scene.deaths.point % 2)
			shmp_buffer_forget_checksum(at(THIRD), OWN_RANGE * RANGE, RANGE);
	}
	shmt_place_vacate(&scene.buffer.segment, THIRD, true, 1 + (int)(scene.deaths.point % 3));
	attach(THIRD);
	scene.own->is_left = r == SHMP_DONE;
}

/* Whoever gets it behind a dead one is told so, and mends. */
static void write_if_possible(uint64_t byte)
{
	int r = shmp_lock_try_write(locker(WRITER));

	CHECK(r == SHMP_DONE || r == SHMP_OWNER_DIED || (r == SHMP_HELD && is_in_the_way()));
	CHECK((r == SHMP_OWNER_DIED) == scene.own->is_left);
	if (r == SHMP_HELD)
		return;
	if (r == SHMP_DONE)
		is_consistent(WRITER);
	set_range(WRITER, byte);
	CHECK(store(WRITER, OWN_RANGE) == SHMP_DONE);
	shmp_lock_mark_consistent(locker(WRITER));
	CHECK(shmp_lock_unlock(locker(WRITER)) == SHMP_DONE);
	scene.own->is_left = false;
	scene.own->others = byte;
}

static void others_go_on(void *context)
{
	(void)context;
	try_reading();
	try_looking();
	write_if_possible(OTHERS);
	third_dies();
	write_if_possible(OTHERS + 1);
	try_reading();
	try_looking();
}

/* What must be, when it has ended */

static void all_go_on(void)
{
	const char *why;

	for (uint32_t place = 0; place < PLACES; place++) {
		CHECK(shmp_lock_try_read(locker(place)) == SHMP_DONE);
		is_consistent(place);
		CHECK(shmp_lock_unlock(locker(place)) == SHMP_DONE);
	}
	scene.own->is_forgotten = false;
	for (uint32_t place = 0; place < PLACES; place++) {
		uint32_t other = (place + 1) % PLACES;

		CHECK(shmp_lock_try_write(locker(place)) == SHMP_DONE);
		set_range(place, BEFORE + place);
		CHECK(store(place, OWN_RANGE) == SHMP_DONE);
		CHECK(shmp_lock_try_read(locker(other)) == SHMP_HELD);
		CHECK(shmp_lock_unlock(locker(place)) == SHMP_DONE);
		CHECK(shmp_lock_try_read(locker(other)) == SHMP_DONE);
		is_consistent(other);
		CHECK(shmp_lock_unlock(locker(other)) == SHMP_DONE);
	}
	CHECK(shmp_buffer_kind.validate(&scene.buffer.map, &why) == 0);
}

static uint8_t shown_now(void)
{
	return *shmp_buffer_at(at(READER), OWN_RANGE * RANGE);
}

/* Who had begun to try before the others had done does not get it, and has done nothing. */
static bool has_got_it(void)
{
	bool has = scene.own->r == SHMP_DONE || scene.own->r == SHMP_OWNER_DIED;

	CHECK(has || (scene.own->r == SHMP_HELD && scene.deaths.point > 0));
	CHECK(scene.own->r != SHMP_OWNER_DIED || scene.own->is_left);
	return has;
}

static void is_written(void *context)
{
	(void)context;
	if (has_got_it()) {
		CHECK(scene.own->verified == SHMP_DONE);
		CHECK(shown_now() == OWN || shown_now() == scene.own->others);
		CHECK(scene.deaths.point > 0 || shown_now() == OWN);
	} else {
		CHECK(shown_now() == scene.own->others);
	}
	all_go_on();
}

static void is_forgotten(void *context)
{
	(void)context;
	if (has_got_it())
		CHECK(scene.own->verified == SHMP_DONE);
	CHECK(shown_now() == scene.own->others);
	all_go_on();
}

static void is_read(void *context)
{
	(void)context;
	if (has_got_it()) {
		CHECK(scene.own->verified == SHMP_DONE);
		CHECK(is_uniform(scene.own->copy));
	}
	all_go_on();
}

static void is_looked_at(void *context)
{
	(void)context;
	CHECK(scene.own->r == 0);
	CHECK(!scene.own->is_whole || is_uniform(scene.own->copy));
	CHECK(scene.own->is_whole || scene.deaths.point > 0);
	all_go_on();
}

static void stop_in(const char *name, void (*operate)(void *), void (*check)(void *))
{
	scene = (struct scene){ .own = mmap(NULL, sizeof(*scene.own), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0) };
	SHMT_REQUIRE(scene.own != MAP_FAILED);
	shmt_buffer_make(&scene.buffer, SIZE, PLACES, ROOM);
	shmt_segment_map(&scene.buffer.segment, "observer", &scene.eye);
	for (uint32_t place = 0; place < PLACES; place++)
		attach(place);
	SHMT_REQUIRE(shmp_lock_try_write(locker(WRITER)) == SHMP_DONE);
	set_range(WRITER, BEFORE);
	SHMT_REQUIRE(store(WRITER, OTHER_RANGE) == SHMP_DONE);
	SHMT_REQUIRE(store(WRITER, OWN_RANGE) == SHMP_DONE);
	SHMT_REQUIRE(shmp_lock_unlock(locker(WRITER)) == SHMP_DONE);
	scene.own->others = BEFORE;
	scene.own->r = scene.own->verified = -1;
	scene.own->is_forgotten = operate == forgets;
	scene.deaths = (struct deaths){ .name = name,
					.segment = &scene.buffer.segment,
					.own = scene.own,
					.own_bytes = sizeof(*scene.own),
					.operate = operate,
					.meanwhile = others_go_on,
					.check = check };
	deaths_everywhere(&scene.deaths);
	shmp_segment_unmap(&scene.eye);
	shmt_buffer_free(&scene.buffer);
	munmap(scene.own, sizeof(*scene.own));
}

TEST(who_is_stopped_writing_with_a_checksum_is_seen_whole_or_not_at_all, .timeout_s = 60)
{
	stop_in("write and store", writes, is_written);
}

TEST(who_is_stopped_forgetting_a_checksum_leaves_the_others_alone, .timeout_s = 60)
{
	stop_in("forget", forgets, is_forgotten);
}

TEST(who_is_stopped_reading_with_a_checksum_gets_the_bytes_of_one_writer, .timeout_s = 60)
{
	stop_in("read and verify", reads, is_read);
}

TEST(who_is_stopped_looking_shows_as_whole_what_is, .timeout_s = 60)
{
	stop_in("look", looks, is_looked_at);
}

DEATHS_MAIN
