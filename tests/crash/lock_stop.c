/*
 * A reader or a writer is stopped, not dead, after every instruction of everything it does with a
 * lock. The others try meanwhile, and one of them dies with it and is repaired: nobody waits for
 * ever, and nobody gets in beside the stopped one. When it goes on, its call ends as if it had been
 * made before or after theirs, and it is told of a dead owner exactly when there was one.
 *
 * What the lock guards is two words that a writer makes equal.
 */
#include "protocol/lock.h"

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
	WRITTEN = 7, /* by the stopped one */
};

/* Shared with who is stopped. */
struct own {
	struct shmp_buffer at[PLACES];
	int r;
	bool spoilt; /* the stopped one found what cannot be under the lock */
	uint32_t key;
	struct shmp_waiter *slept_on; /* by WRITER, or by the stopped one */
};

static struct scene {
	struct shmt_buffer buffer;
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

static struct shmp_locker *locker(uint32_t place)
{
	return &scene.own->at[place].locker;
}

static struct shmp_lock *lock(void)
{
	return shmt_buffer_lock(&scene.buffer);
}

/* Each access an instruction of its own. */
static volatile uint64_t *words(void)
{
	return (void *)scene.buffer.map.data;
}

static void write_words(uint64_t value)
{
	words()[0] = value;
	words()[1] = value;
}

static bool is_equal(void)
{
	uint64_t first = words()[0];

	return words()[1] == first;
}

static bool has_mark(uint32_t place)
{
	return atomic_load(&scene.buffer.map.endpoints[place].intent[SHMP_LOCK_MARK]) != 0;
}

static bool names(uint64_t word, uint32_t place)
{
	return (word & ~UINT64_C(0xff)) == locker(place)->name;
}

/* The stopped one has it, or is on its way. */
static bool is_in_the_way(void)
{
	return has_mark(STOPPED) || names(shmp_lock_load(lock()), STOPPED);
}

/* States */

static void is_free(void)
{
}

static void is_read(void)
{
	SHMT_REQUIRE(shmp_lock_try_read(locker(READER)) == SHMP_DONE);
}

static void is_written(void)
{
	SHMT_REQUIRE(shmp_lock_try_write(locker(WRITER)) == SHMP_DONE);
}

static void is_read_by_the_stopped(void)
{
	SHMT_REQUIRE(shmp_lock_try_read(locker(STOPPED)) == SHMP_DONE);
	scene.own->r = SHMP_DONE;
}

static void is_written_by_the_stopped(void)
{
	SHMT_REQUIRE(shmp_lock_try_write(locker(STOPPED)) == SHMP_DONE);
	scene.own->r = SHMP_DONE;
}

/* THIRD dies writing, if it gets it; claiming, if it gets so far; or reading. */
static void third_dies(void)
{
	uint64_t word;
	bool had_mark;

	if (shmp_lock_claim(locker(THIRD)) != SHMP_DONE) {
		CHECK(shmp_lock_try_read(locker(THIRD)) == SHMP_HELD);
	} else if (shmp_lock_enter(locker(THIRD)) != SHMP_HELD) {
		CHECK(is_equal() || locker(THIRD)->flags != 0);
		words()[0]++;
	} else if (scene.deaths.point % 2) {
		shmp_lock_withdraw(locker(THIRD));
		CHECK(shmp_lock_try_read(locker(THIRD)) != SHMP_HELD);
	}
	word = shmp_lock_load(lock());
	had_mark = has_mark(STOPPED);
	shmt_place_vacate(&scene.buffer.segment, THIRD, true, 1 + (int)(scene.deaths.point % 3));
	CHECK(has_mark(STOPPED) == had_mark);
	CHECK(names(word, THIRD) || shmp_lock_load(lock()) == word);
	shmt_buffer_attach(&scene.buffer, THIRD, &scene.own->at[THIRD]);
}

static void needs_recovery(void)
{
	third_dies();
	SHMT_REQUIRE(shmp_lock_load(lock()) == SHMP_LOCK_NEEDS_RECOVERY);
}

/* What the stopped one does, stepped */

static void reads(void *context)
{
	int r = shmp_lock_try_read(locker(STOPPED));

	(void)context;
	scene.own->r = r;
	if (r == SHMP_DONE)
		scene.own->spoilt |= !is_equal();
	if (r == SHMP_DONE || r == SHMP_OWNER_DIED)
		shmp_lock_unlock(locker(STOPPED));
}

static void writes_within(void)
{
	scene.own->spoilt |= scene.own->r == SHMP_DONE && !is_equal();
	write_words(WRITTEN);
	scene.own->spoilt |= words()[0] != WRITTEN || words()[1] != WRITTEN;
	if (scene.own->r == SHMP_OWNER_DIED)
		shmp_lock_mark_consistent(locker(STOPPED));
	shmp_lock_unlock(locker(STOPPED));
}

static void writes(void *context)
{
	(void)context;
	scene.own->r = shmp_lock_try_write(locker(STOPPED));
	if (scene.own->r == SHMP_DONE || scene.own->r == SHMP_OWNER_DIED)
		writes_within();
}

static void writes_and_releases(void *context)
{
	(void)context;
	writes_within();
}

static void releases(void *context)
{
	(void)context;
	shmp_lock_unlock(locker(STOPPED));
}

static void claims_and_withdraws(void *context)
{
	(void)context;
	scene.own->r = shmp_lock_claim(locker(STOPPED));
	if (scene.own->r == SHMP_DONE)
		scene.own->r = shmp_lock_enter(locker(STOPPED));
	if (scene.own->r == SHMP_HELD)
		shmp_lock_withdraw(locker(STOPPED));
	else
		writes_within();
}

/* As who waits: announces himself, and looks. */
static void goes_to_sleep(void *context)
{
	(void)context;
	scene.own->slept_on = &lock()->freed;
	scene.own->key = shmp_waiter_prepare(&lock()->freed, locker(STOPPED)->self, STOPPED, false);
	reads(context);
}

/* Meanwhile */

static void try_reading(void)
{
	int r = shmp_lock_try_read(locker(READER));

	CHECK(r == SHMP_DONE || r == SHMP_OWNER_DIED || r == SHMP_HELD);
	CHECK(r != SHMP_HELD || names(shmp_lock_load(lock()), STOPPED));
	CHECK(r != SHMP_DONE || is_equal());
	if (r != SHMP_HELD)
		shmp_lock_unlock(locker(READER));
}

static int try_writing(uint64_t value)
{
	int r = shmp_lock_try_write(locker(WRITER));

	CHECK(r == SHMP_DONE || r == SHMP_OWNER_DIED || r == SHMP_HELD);
	if (r == SHMP_HELD) {
		CHECK(is_in_the_way() || locker(READER)->hold == SHMP_LOCK_READING);
		return r;
	}
	CHECK(r != SHMP_DONE || is_equal());
	write_words(value);
	shmp_lock_mark_consistent(locker(WRITER));
	return r;
}

static void write_if_possible(uint64_t value)
{
	if (try_writing(value) != SHMP_HELD)
		shmp_lock_unlock(locker(WRITER));
}

static void others_pass(void *context)
{
	(void)context;
	try_reading();
	write_if_possible(50);
	third_dies();
	try_reading();
	write_if_possible(60);
}

static void one_dies_and_nobody_mends(void *context)
{
	(void)context;
	third_dies();
}

static void writer_stays(void *context)
{
	(void)context;
	try_writing(70);
}

static void sleep_on(struct shmp_waiter *waiter)
{
	scene.own->slept_on = waiter;
	scene.own->key = shmp_waiter_prepare(waiter, locker(WRITER)->self, WRITER, false);
}

static void wake_up(void)
{
	shmp_waiter_finish(scene.own->slept_on, WRITER);
	scene.own->slept_on = NULL;
}

static void writer_waits(void *context)
{
	(void)context;
	sleep_on(&lock()->freed);
	if (shmp_lock_claim(locker(WRITER)) != SHMP_DONE)
		return;
	wake_up();
	sleep_on(&lock()->left);
	if (shmp_lock_enter(locker(WRITER)) == SHMP_HELD)
		return;
	wake_up();
	shmp_lock_unlock(locker(WRITER));
}

static void writer_lets_go(void *context)
{
	(void)context;
	write_words(80);
	shmp_lock_unlock(locker(WRITER));
}

/* What must be, when it has ended */

/* The next writer is told of a dead one, if what that left was not mended. */
static void all_take_it(void)
{
	const char *why;
	int r;

	CHECK(!scene.own->spoilt && !has_mark(STOPPED));
	CHECK(!names(shmp_lock_load(lock()), STOPPED));
	CHECK(locker(STOPPED)->hold == SHMP_LOCK_NOTHING);
	if (locker(READER)->hold != SHMP_LOCK_NOTHING)
		shmp_lock_unlock(locker(READER));
	r = shmp_lock_try_write(locker(WRITER));
	CHECK(r == SHMP_DONE || r == SHMP_OWNER_DIED);
	CHECK((r == SHMP_DONE) == is_equal());
	write_words(100);
	CHECK(shmp_lock_mark_consistent(locker(WRITER)) == SHMP_DONE);
	CHECK(shmp_lock_unlock(locker(WRITER)) == SHMP_DONE);
	for (uint32_t place = 0; place < PLACES; place++) {
		CHECK(shmp_lock_try_write(locker(place)) == SHMP_DONE);
		CHECK(shmp_lock_try_read(locker((place + 1) % PLACES)) == SHMP_HELD);
		CHECK(shmp_lock_unlock(locker(place)) == SHMP_DONE);
	}
	CHECK(shmp_lock_load(lock()) == SHMP_LOCK_FREE);
	CHECK(shmp_buffer_kind.validate(&scene.buffer.map, &why) == 0);
}

/* The others came and went between two of its instructions. */
static void has_had_it(void *context)
{
	(void)context;
	CHECK(scene.own->r == SHMP_DONE || scene.own->r == SHMP_OWNER_DIED);
	all_take_it();
}

static void has_found_a_reader(void *context)
{
	(void)context;
	CHECK(scene.own->r == SHMP_HELD && locker(READER)->hold == SHMP_LOCK_READING);
	CHECK(has_mark(READER));
	all_take_it();
}

/* Who got it meanwhile has it to himself. */
static void one_has_had_it(void *context)
{
	bool stays = locker(WRITER)->hold == SHMP_LOCK_WRITING;

	(void)context;
	CHECK(scene.own->r == SHMP_DONE || (scene.own->r == SHMP_HELD && stays));
	if (stays) {
		CHECK(shmp_lock_load(lock()) == (locker(WRITER)->name | SHMP_LOCK_HELD));
		CHECK(words()[0] == 70 && words()[1] == 70);
		shmp_lock_unlock(locker(WRITER));
	}
	all_take_it();
}

/* Nobody sleeps when there is nothing to wait for. */
static void has_told(void *context)
{
	(void)context;
	CHECK(scene.own->r == SHMP_DONE || scene.own->r == SHMP_HELD);
	if (scene.own->slept_on) {
		CHECK(atomic_load(&scene.own->slept_on->sequence) != scene.own->key);
		wake_up();
		CHECK(shmp_lock_claim(locker(WRITER)) == SHMP_DONE);
		CHECK(shmp_lock_enter(locker(WRITER)) == SHMP_DONE);
		shmp_lock_unlock(locker(WRITER));
	} else {
		CHECK(!shmp_buffer_kind.waits(&scene.buffer.map, WRITER));
	}
	all_take_it();
}

static void has_it_or_was_told(void *context)
{
	(void)context;
	CHECK(scene.own->r == SHMP_DONE ||
	      (scene.own->r == SHMP_HELD &&
	       atomic_load(&scene.own->slept_on->sequence) != scene.own->key));
	shmp_waiter_finish(scene.own->slept_on, STOPPED);
	all_take_it();
}

/* Runs */

static void stop_in(const char *name, void (*state)(void), void (*operate)(void *),
		    void (*meanwhile)(void *), void (*check)(void *))
{
	scene = (struct scene){ .own = mmap(NULL, sizeof(*scene.own), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0) };
	SHMT_REQUIRE(scene.own != MAP_FAILED);
	shmt_buffer_make(&scene.buffer, 64, PLACES, 1);
	for (uint32_t i = 0; i < PLACES; i++) {
		shmt_buffer_attach(&scene.buffer, i, &scene.own->at[i]);
		locker(i)->second = time(NULL);
	}
	scene.own->r = -1;
	scene.deaths = (struct deaths){ .name = name,
					.segment = &scene.buffer.segment,
					.own = scene.own,
					.own_bytes = sizeof(*scene.own),
					.operate = operate,
					.meanwhile = meanwhile,
					.check = check };
	state();
	deaths_everywhere(&scene.deaths);
	shmt_buffer_free(&scene.buffer);
	munmap(scene.own, sizeof(*scene.own));
}

#define LONG .timeout_s = 60

TEST(who_is_stopped_reading_is_alone_with_readers, LONG)
{
	stop_in("read, others pass", is_free, reads, others_pass, has_had_it);
	stop_in("read, one dies writing", is_free, reads, one_dies_and_nobody_mends, has_had_it);
	stop_in("read, a writer stays", is_free, reads, writer_stays, one_has_had_it);
	stop_in("read beside a reader, others pass", is_read, reads, others_pass, has_had_it);
	stop_in("read of what a dead writer left, others pass", needs_recovery, reads, others_pass,
		has_had_it);
	stop_in("end of a read, others pass", is_read_by_the_stopped, releases, others_pass,
		has_had_it);
}

TEST(who_is_stopped_writing_is_alone, LONG)
{
	stop_in("write, others pass", is_free, writes, others_pass, has_had_it);
	stop_in("write, one dies writing", is_free, writes, one_dies_and_nobody_mends, has_had_it);
	stop_in("write, a writer stays", is_free, writes, writer_stays, one_has_had_it);
	stop_in("write of what a dead writer left, others pass", needs_recovery, writes,
		others_pass, has_had_it);
	stop_in("rest of a write, others pass", is_written_by_the_stopped, writes_and_releases,
		others_pass, has_had_it);
}

TEST(a_claim_of_who_is_stopped_is_taken_back_when_he_goes_on, LONG)
{
	stop_in("claim beside a reader, others pass", is_read, claims_and_withdraws, others_pass,
		has_found_a_reader);
	stop_in("write beside a reader, others pass", is_read, writes, others_pass,
		has_found_a_reader);
}

TEST(who_waits_for_one_that_is_stopped_is_woken_when_he_goes_on, LONG)
{
	stop_in("read, a writer waits", is_free, reads, writer_waits, has_told);
	stop_in("end of a read, a writer waits", is_read_by_the_stopped, releases, writer_waits,
		has_told);
	stop_in("write, a writer waits", is_free, writes, writer_waits, has_told);
	stop_in("rest of a write, a writer waits", is_written_by_the_stopped, writes_and_releases,
		writer_waits, has_told);
}

TEST(who_is_stopped_going_to_sleep_misses_nothing, LONG)
{
	stop_in("going to sleep, the writer lets go", is_written, goes_to_sleep, writer_lets_go,
		has_it_or_was_told);
}

DEATHS_MAIN
