/*
 * A writer or a reader of a buffer dies anywhere in what it does while a writer writes and a reader
 * reads, as fast as they can.
 *
 * A version is one number in all words of a range; one range has a checksum, the other none. Who
 * gets the lock finds both whole, or is told that its owner died writing. Then the first who writes,
 * and nobody else, mends: what the checksum says to him is what the dead one left, damaged or not,
 * and behind him all is whole again.
 */
#include "protocol/buffer.h"

#include <string.h>

#include "protocol/checksum.h"
#include "tests/crash/running.h"
#include "tests/support/buffer.h"
#include "tests/support/runner.h"

enum {
	VICTIM = 0,
	WRITER = 1,
	READER = 2,
	PLACES = 3,
	WORDS = 8, /* of a range */
	RANGE = WORDS * 8,
	SUMMED = 0, /* ranges */
	PLAIN = 1,
	RANGES = 2,
	ROOM = 2,				    /* checksums */
	ONE_WAITS_IN = 4,			    /* deaths, until each who lives got on */
	STRIDE_OF_POINTS = STEPPER_SAMPLES ? 1 : 5, /* or it takes too long */
};

/* Shared by all. */
struct world {
	_Atomic uint64_t told;	  /* times that one was told of a death, and mended */
	_Atomic uint64_t damaged; /* ... and found the checksum damaged, or gone */
	_Atomic int left;	  /* what the checksum says of the last dead one's bytes */
	_Atomic bool is_torn;	  /* the victim had the lock and found that */
};

static struct scene {
	struct shmt_buffer buffer;
	struct shmp_buffer at[PLACES];
	struct world *world;
	uint64_t dead_writers, dead_damaged;
	uint64_t value;
	struct running running;
} scene;

#define CHECK(condition_) RUNNING_CHECK(&scene.running, condition_)

static struct shmp_locker *locker(uint32_t place)
{
	return &scene.at[place].locker;
}

static struct shmp_lock *lock(void)
{
	return shmt_buffer_lock(&scene.buffer);
}

static _Atomic uint64_t *words(uint32_t range)
{
	return (void *)shmp_buffer_at(&scene.at[VICTIM], range * RANGE);
}

/* Relaxed, so that nothing but the lock orders them. */
static void write_range(uint32_t range, uint64_t version)
{
	for (uint32_t i = 0; i < WORDS; i++)
		atomic_store_explicit(&words(range)[i], version, memory_order_relaxed);
}

static void read_range(uint32_t range, uint64_t *ret_words)
{
	for (uint32_t i = 0; i < WORDS; i++)
		ret_words[i] = atomic_load_explicit(&words(range)[i], memory_order_relaxed);
}

static bool are_equal(const uint64_t *some)
{
	for (uint32_t i = 1; i < WORDS; i++)
		if (some[i] != some[0])
			return false;
	return true;
}

static int store(uint32_t place)
{
	return shmp_buffer_store_checksum(&scene.at[place], SUMMED * RANGE, RANGE);
}

static int verify(uint32_t place, const void *copy)
{
	return shmp_buffer_verify(&scene.at[place], SUMMED * RANGE, RANGE, copy);
}

/* Holding the lock: both ranges are of one version each, and the checksum says so. */
static bool is_whole(uint32_t place)
{
	uint64_t summed[WORDS], plain[WORDS];

	read_range(SUMMED, summed);
	read_range(PLAIN, plain);
	return are_equal(summed) && are_equal(plain) && verify(place, summed) == SHMP_DONE;
}

/* The living */

static uint64_t next_version(uint32_t place)
{
	return ++scene.value * PLACES + place;
}

static void write_both(uint32_t place)
{
	uint64_t version = next_version(place), summed[WORDS];

	write_range(SUMMED, version);
	SHMT_REQUIRE(store(place) == SHMP_DONE);
	write_range(PLAIN, version);
	read_range(SUMMED, summed);
	SHMT_REQUIRE(summed[0] == version && is_whole(place));
}

/* Before the bytes are written anew. */
static void note_what_is_left(uint32_t place)
{
	int r = verify(place, NULL);

	SHMT_REQUIRE(r == atomic_load(&scene.world->left));
	atomic_fetch_add(&scene.world->damaged, r != SHMP_DONE);
}

static bool try_writing(void *context, unsigned int peer)
{
	int r = shmp_lock_enter(locker(WRITER));

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_OWNER_DIED || r == SHMP_HELD);
	if (r == SHMP_HELD)
		return false;
	if (r == SHMP_OWNER_DIED)
		note_what_is_left(WRITER);
	else
		SHMT_REQUIRE(is_whole(WRITER));
	write_both(WRITER);
	if (r == SHMP_OWNER_DIED) {
		SHMT_REQUIRE(shmp_lock_mark_consistent(locker(WRITER)) == SHMP_DONE);
		atomic_fetch_add(&scene.world->told, 1);
	}
	SHMT_REQUIRE(shmp_lock_unlock(locker(WRITER)) == SHMP_DONE);
	return true;
}

/* Got on, at least by a claim. */
static bool try_claiming(void *context, unsigned int peer)
{
	int r = shmp_lock_claim(locker(WRITER));

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_HELD);
	if (r == SHMP_DONE)
		try_writing(context, peer);
	return r == SHMP_DONE;
}

/* Who is told of a death may find anything, but what the checksum says is so. */
static bool try_reading(void *context, unsigned int peer)
{
	int r = shmp_lock_try_read(locker(READER));

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_OWNER_DIED || r == SHMP_HELD);
	if (r == SHMP_HELD)
		return false;
	if (r == SHMP_OWNER_DIED)
		SHMT_REQUIRE(verify(READER, NULL) == atomic_load(&scene.world->left));
	else
		SHMT_REQUIRE(is_whole(READER));
	SHMT_REQUIRE(shmp_lock_unlock(locker(READER)) == SHMP_DONE);
	return true;
}

static bool live(void *context, unsigned int peer)
{
	bool has_claimed = locker(WRITER)->hold == SHMP_LOCK_CLAIMING;

	if (peer > 0)
		return running_move_or_sleep(&scene.running, peer, try_reading, &lock()->freed,
					     locker(READER)->self, READER);
	return running_move_or_sleep(&scene.running, peer, has_claimed ? try_writing : try_claiming,
				     has_claimed ? &lock()->left : &lock()->freed,
				     locker(WRITER)->self, WRITER);
}

/* Who dies */

/* A successor; one in some of them works before the next one dies. */
static void come(void *context)
{
	shmt_buffer_attach(&scene.buffer, VICTIM, &scene.at[VICTIM]);
	if (shmt_random_below(&scene.running.random, ONE_WAITS_IN) > 0)
		return;
	RUNNING_AWAIT(&scene.running, shmp_lock_claim(locker(VICTIM)) == SHMP_DONE);
	RUNNING_AWAIT(&scene.running, shmp_lock_enter(locker(VICTIM)) == SHMP_DONE);
	CHECK(is_whole(VICTIM));
	write_both(VICTIM);
	CHECK(shmp_lock_unlock(locker(VICTIM)) == SHMP_DONE);
}

static void take_to_write(void)
{
	int r;

	while (shmp_lock_claim(locker(VICTIM)) == SHMP_HELD)
		;
	do
		r = shmp_lock_enter(locker(VICTIM));
	while (r == SHMP_HELD);
	if (r != SHMP_DONE)
		atomic_store(&scene.world->is_torn, true); /* all dead ones' bytes were mended */
}

static void dies_writing(void *context)
{
	take_to_write();
	write_range(PLAIN, next_version(VICTIM));
	shmp_lock_unlock(locker(VICTIM));
}

static void dies_writing_with_checksum(void *context)
{
	take_to_write();
	write_range(SUMMED, next_version(VICTIM));
	store(VICTIM);
	shmp_lock_unlock(locker(VICTIM));
}

/* As one who would sleep while another writes. */
static void dies_reading(void *context)
{
	int r;

	do {
		shmp_waiter_prepare(&lock()->freed, locker(VICTIM)->self, VICTIM,
				    scene.running.has_membarrier);
		r = shmp_lock_try_read(locker(VICTIM));
		shmp_waiter_finish(&lock()->freed, VICTIM);
	} while (r == SHMP_HELD);
	if (r != SHMP_DONE || !is_whole(VICTIM))
		atomic_store(&scene.world->is_torn, true);
	shmp_lock_unlock(locker(VICTIM));
}

/* Before the repair, while nobody else gets in. */
static void look_what_is_left(void *context)
{
	uint64_t word = shmp_lock_load(lock()), summed[WORDS];
	int left;

	if ((word & ~UINT64_C(0xff)) != locker(VICTIM)->name ||
	    shmp_lock_state_of(word) != SHMP_LOCK_HELD)
		return;
	read_range(SUMMED, summed);
	left = verify(VICTIM, NULL);
	CHECK(left == SHMP_DONE || left == SHMP_DAMAGED || left == SHMP_EMPTY);
	CHECK(left != SHMP_DONE || are_equal(summed));
	CHECK(left == SHMP_DONE || scene.running.operate == dies_writing_with_checksum);
	scene.dead_writers++;
	scene.dead_damaged += left != SHMP_DONE;
	atomic_store(&scene.world->left, left);
}

static bool are_all_told(void)
{
	return atomic_load(&scene.world->told) == scene.dead_writers &&
	       atomic_load(&scene.world->damaged) == scene.dead_damaged;
}

static void check_others(void *context)
{
	CHECK(!atomic_load(&scene.world->is_torn));
	CHECK(atomic_load(&locker(VICTIM)->self->intent[SHMP_LOCK_MARK]) == 0);
	RUNNING_AWAIT(&scene.running, are_all_told());
	if (shmt_random_below(&scene.running.random, ONE_WAITS_IN) == 0)
		running_await_moves(&scene.running, 1);
	CHECK(are_all_told());
}

/* Runs */

/* The living have left; the lock is everybody's. */
static void check_all_is_well(void)
{
	const char *why = NULL;

	for (uint32_t place = WRITER; place < PLACES; place++)
		shmt_place_vacate(&scene.buffer.segment, place, false, 1);
	ck_assert_uint_eq(shmp_lock_load(lock()), SHMP_LOCK_FREE);
	ck_assert_uint_eq(atomic_load(&lock()->deaths), scene.dead_writers);
	shmt_buffer_attach(&scene.buffer, VICTIM, &scene.at[VICTIM]);
	ck_assert_int_eq(shmp_lock_try_write(locker(VICTIM)), SHMP_DONE);
	ck_assert(is_whole(VICTIM));
	write_both(VICTIM);
	ck_assert_int_eq(shmp_lock_unlock(locker(VICTIM)), SHMP_DONE);
	ck_assert_msg(shmp_buffer_kind.validate(&scene.buffer.map, &why) == 0, "%s", why);
	shmt_buffer_free(&scene.buffer);
}

static void kill_holders(const char *name, void (*operate)(void *context))
{
	memset(&scene, 0, sizeof(scene));
	shmt_buffer_make(&scene.buffer, RANGES * RANGE, PLACES, ROOM);
	scene.world = running_share(sizeof(*scene.world));
	for (uint32_t place = 0; place < PLACES; place++)
		shmt_buffer_attach(&scene.buffer, place, &scene.at[place]);
	/* also, what ISA-L finds out at its first call is no part of an operation */
	SHMT_REQUIRE(shmp_lock_try_write(locker(VICTIM)) == SHMP_DONE);
	write_both(VICTIM);
	SHMT_REQUIRE(shmp_lock_unlock(locker(VICTIM)) == SHMP_DONE);
	shmt_place_vacate(&scene.buffer.segment, VICTIM, false, 1);
	scene.running = (struct running){
		.name = name,
		.segment = &scene.buffer.segment,
		.peers = PLACES - WRITER,
		.live = live,
		.place = VICTIM,
		.come = come,
		.operate = operate,
		.die = look_what_is_left,
		.check = check_others,
		.stride = STRIDE_OF_POINTS,
	};
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	running_finish(&scene.running);
	check_all_is_well();
}

TEST(writers_die_while_others_read_and_write, .timeout_s = 120)
{
	kill_holders("write", dies_writing);
	ck_assert(STEPPER_SAMPLES || scene.dead_writers > 0);
	ck_assert_uint_eq(scene.dead_damaged, 0);
}

TEST(writers_die_with_a_checksum_while_others_read_and_write, .timeout_s = 120)
{
	kill_holders("write with checksum", dies_writing_with_checksum);
	/* samples may miss them */
	ck_assert(STEPPER_SAMPLES || scene.dead_writers > scene.dead_damaged);
	ck_assert(STEPPER_SAMPLES || scene.dead_damaged > 0);
}

TEST(readers_die_while_others_read_and_write, .timeout_s = 120)
{
	kill_holders("read and verify", dies_reading);
	ck_assert_uint_eq(scene.dead_writers, 0);
}

RUNNING_MAIN
