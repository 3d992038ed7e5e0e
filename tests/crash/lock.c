/*
 * A reader or a writer dies after every instruction of everything it does with a lock, in every
 * state that matters, and the broker in its repair. Nobody living loses what he holds; the next
 * ones get the lock, and with OWNER_DIED exactly when the dead one held it to write; no mark, no
 * claim and no waiting bit stays behind; who slept is woken.
 *
 * What the lock guards is two words that a writer makes equal.
 */
#include "protocol/lock.h"

#include <time.h>

#include "tests/crash/deaths.h"
#include "tests/support/buffer.h"
#include "tests/support/runner.h"

enum {
	DEAD = 0,
	READER = 1,
	WRITER = 2,
	SLEEPER = 3, /* asleep on what the dead one may have to tell */
	PLACES = 4,
	WRITTEN = 7,
};

struct own {
	struct shmp_buffer at[PLACES];
	struct shmp_waiter *slept_on;
	uint32_t key;
};

static struct scene {
	struct shmt_buffer buffer;
	struct own own;
	struct deaths deaths;
	int wanted; /* what the next writer is told if the dead one came to his end; -1: any */
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
	return &scene.own.at[place].locker;
}

static struct shmp_lock *lock(void)
{
	return shmt_buffer_lock(&scene.buffer);
}

static uint64_t *words(void)
{
	return (void *)scene.buffer.map.data;
}

static bool has_mark(uint32_t place)
{
	return atomic_load(&scene.buffer.map.endpoints[place].intent[SHMP_LOCK_MARK]) != 0;
}

static void sleep_on(struct shmp_waiter *waiter)
{
	scene.own.slept_on = waiter;
	scene.own.key = shmp_waiter_prepare(waiter, locker(SLEEPER)->self, SLEEPER, false);
}

/* States before the operation */

static void is_free(void)
{
}

static void is_slept_for(void)
{
	sleep_on(&lock()->freed);
}

static void is_read(void)
{
	SHMT_REQUIRE(shmp_lock_try_read(locker(READER)) == SHMP_DONE);
}

static void is_read_and_claimed(void)
{
	is_read();
	SHMT_REQUIRE(shmp_lock_claim(locker(WRITER)) == SHMP_DONE);
	sleep_on(&lock()->left);
}

static void is_written(void)
{
	SHMT_REQUIRE(shmp_lock_try_write(locker(WRITER)) == SHMP_DONE);
}

/* As another dead writer left it. */
static void needs_recovery(void)
{
	is_written();
	words()[0] = 1;
	shmt_place_vacate(&scene.buffer.segment, WRITER, true, 1);
	shmt_buffer_attach(&scene.buffer, WRITER, &scene.own.at[WRITER]);
	sleep_on(&lock()->freed);
}

static void is_read_by_the_dead(void)
{
	SHMT_REQUIRE(shmp_lock_try_read(locker(DEAD)) == SHMP_DONE);
	SHMT_REQUIRE(shmp_lock_claim(locker(WRITER)) == SHMP_DONE);
	sleep_on(&lock()->left);
}

static void is_written_by_the_dead(void)
{
	SHMT_REQUIRE(shmp_lock_try_write(locker(DEAD)) == SHMP_DONE);
	words()[0] = words()[1] = 3;
	sleep_on(&lock()->freed);
}

/* Operations of the dead one, stepped */

static void dies_reading(void *context)
{
	int r = shmp_lock_try_read(locker(DEAD));

	if (r == SHMP_DONE || r == SHMP_OWNER_DIED)
		shmp_lock_unlock(locker(DEAD));
}

static void dies_writing(void *context)
{
	if (shmp_lock_try_write(locker(DEAD)) != SHMP_DONE)
		return;
	words()[0] = WRITTEN;
	words()[1] = WRITTEN;
	shmp_lock_unlock(locker(DEAD));
}

static void dies_writing_again_within(void *context)
{
	if (shmp_lock_try_write(locker(DEAD)) != SHMP_DONE)
		return;
	words()[0] = WRITTEN;
	shmp_lock_try_write(locker(DEAD));
	shmp_lock_try_read(locker(DEAD));
	shmp_lock_unlock(locker(DEAD));
	shmp_lock_unlock(locker(DEAD));
	words()[1] = WRITTEN;
	shmp_lock_unlock(locker(DEAD));
}

static void dies_mending(void *context)
{
	if (shmp_lock_try_write(locker(DEAD)) != SHMP_OWNER_DIED)
		return;
	words()[0] = WRITTEN;
	words()[1] = WRITTEN;
	shmp_lock_mark_consistent(locker(DEAD));
	shmp_lock_unlock(locker(DEAD));
}

static void dies_looking_and_putting_back(void *context)
{
	if (shmp_lock_try_write(locker(DEAD)) == SHMP_OWNER_DIED)
		shmp_lock_put_back(locker(DEAD));
}

static void dies_giving_up(void *context)
{
	if (shmp_lock_try_write(locker(DEAD)) == SHMP_OWNER_DIED)
		shmp_lock_unlock(locker(DEAD));
}

static void dies_claiming_and_withdrawing(void *context)
{
	if (shmp_lock_claim(locker(DEAD)) == SHMP_DONE &&
	    shmp_lock_enter(locker(DEAD)) == SHMP_HELD)
		shmp_lock_withdraw(locker(DEAD));
}

static void dies_releasing(void *context)
{
	shmp_lock_unlock(locker(DEAD));
}

static void dies_wanting_more(void *context)
{
	shmp_lock_try_write(locker(DEAD));
}

static void dies_going_to_sleep(void *context)
{
	shmp_waiter_prepare(&lock()->freed, locker(DEAD)->self, DEAD, false);
	shmp_lock_try_read(locker(DEAD));
	shmp_waiter_finish(&lock()->freed, DEAD);
	shmp_waiter_prepare(&lock()->left, locker(DEAD)->self, DEAD, false);
	shmp_waiter_finish(&lock()->left, DEAD);
}

static void dies_repairing(void *context)
{
	shmp_buffer_kind.repair(&scene.buffer.map, DEAD, true);
	shmp_buffer_kind.wake(&scene.buffer.map);
}

static void dies_giving_a_place_out(void *context)
{
	shmp_buffer_kind.attach(&scene.buffer.map, PLACES - 1);
}

/* What must be, however far he came */

static void bury(void)
{
	shmt_place_vacate(&scene.buffer.segment, DEAD, true, 1 + (int)(scene.deaths.point % 3));
	CHECK(!has_mark(DEAD));
	CHECK(!shmp_buffer_kind.waits(&scene.buffer.map, DEAD));
	/* the sleeper's futex does not hold his key any more: he is up */
	if (scene.own.slept_on) {
		CHECK(atomic_load(&scene.own.slept_on->sequence) != scene.own.key);
		shmp_waiter_finish(scene.own.slept_on, SLEEPER);
	}
}

/* Whoever lived and had it, has it still, and gives it back. */
static void let_go_of(uint32_t place)
{
	const struct shmp_locker *own = locker(place);

	if (own->hold == SHMP_LOCK_READING)
		CHECK(has_mark(place));
	if (own->hold == SHMP_LOCK_CLAIMING || own->hold == SHMP_LOCK_WRITING)
		CHECK((shmp_lock_load(lock()) & ~UINT64_C(0xff)) == own->name);
	if (own->hold != SHMP_LOCK_NOTHING)
		shmp_lock_put_back(locker(place));
}

/* The next writer; what he is told must be true of what he finds. */
static void succeed(bool is_told)
{
	int r = shmp_lock_try_write(locker(WRITER));

	CHECK(r == SHMP_DONE || r == SHMP_OWNER_DIED);
	CHECK((r == SHMP_OWNER_DIED) == is_told);
	CHECK(r == SHMP_OWNER_DIED || words()[0] == words()[1]);
	words()[0] = words()[1] = 100;
	CHECK(shmp_lock_mark_consistent(locker(WRITER)) == SHMP_DONE);
	CHECK(shmp_lock_unlock(locker(WRITER)) == SHMP_DONE);
}

static void all_take_it(void)
{
	const char *why;

	for (uint32_t place = 0; place < PLACES; place++) {
		CHECK(shmp_lock_try_read(locker(place)) == SHMP_DONE);
		CHECK(shmp_lock_unlock(locker(place)) == SHMP_DONE);
		CHECK(shmp_lock_try_write(locker(place)) == SHMP_DONE);
		CHECK(shmp_lock_try_read(locker((place + 1) % PLACES)) == SHMP_HELD);
		CHECK(shmp_lock_unlock(locker(place)) == SHMP_DONE);
	}
	CHECK(shmp_lock_load(lock()) == SHMP_LOCK_FREE);
	CHECK(shmp_buffer_kind.validate(&scene.buffer.map, &why) == 0);
}

static bool is_dead_writer(uint64_t word)
{
	return (word & ~UINT64_C(0xff)) == locker(DEAD)->name &&
	       shmp_lock_state_of(word) == SHMP_LOCK_HELD;
}

static void check(void *context)
{
	uint64_t word = shmp_lock_load(lock());
	bool is_told = is_dead_writer(word) || (word & SHMP_LOCK_NEEDS_RECOVERY) != 0;

	bury();
	let_go_of(READER);
	let_go_of(WRITER);
	if (word == SHMP_LOCK_UNRECOVERABLE) {
		CHECK(scene.wanted == SHMP_UNRECOVERABLE);
		CHECK(shmp_lock_try_write(locker(WRITER)) == SHMP_UNRECOVERABLE);
		CHECK(shmp_lock_try_read(locker(READER)) == SHMP_UNRECOVERABLE);
		return;
	}
	if (scene.deaths.has_ended && scene.wanted >= 0)
		CHECK(scene.wanted == (is_told ? SHMP_OWNER_DIED : SHMP_DONE));
	succeed(is_told);
	shmt_buffer_attach(&scene.buffer, DEAD, &scene.own.at[DEAD]);
	all_take_it();
}

/* The broker dies, and is started anew: place DEAD is still to be repaired. */
static void check_repaired_again(void *context)
{
	bury();
	succeed(scene.wanted == SHMP_OWNER_DIED);
	shmt_buffer_attach(&scene.buffer, DEAD, &scene.own.at[DEAD]);
	all_take_it();
}

static void check_given_out_again(void *context)
{
	let_go_of(READER);
	shmp_buffer_kind.attach(&scene.buffer.map, PLACES - 1);
	shmp_waiter_finish(&lock()->freed, SLEEPER);
	all_take_it();
}

/* Runs */

static void kill_in(void (*state)(void), const char *name, void (*operate)(void *), int wanted,
		    void (*judge)(void *))
{
	shmt_buffer_make(&scene.buffer, 64, PLACES, 1);
	for (uint32_t i = 0; i < PLACES; i++) {
		shmt_buffer_attach(&scene.buffer, i, &scene.own.at[i]);
		locker(i)->second = time(NULL);
	}
	scene.own.slept_on = NULL;
	state();
	scene.wanted = wanted;
	scene.deaths = (struct deaths){ .name = name,
					.segment = &scene.buffer.segment,
					.own = &scene.own,
					.own_bytes = sizeof(scene.own),
					.operate = operate,
					.check = judge };
	deaths_everywhere(&scene.deaths);
	shmt_buffer_free(&scene.buffer);
}

#define LONG .timeout_s = 60

TEST(a_read_of_a_free_lock, LONG)
{
	kill_in(is_free, __func__, dies_reading, SHMP_DONE, check);
}

TEST(a_read_beside_a_reader, LONG)
{
	kill_in(is_read, __func__, dies_reading, SHMP_DONE, check);
}

TEST(a_read_that_finds_a_claim, LONG)
{
	kill_in(is_read_and_claimed, __func__, dies_reading, SHMP_DONE, check);
}

TEST(a_read_that_finds_a_writer, LONG)
{
	kill_in(is_written, __func__, dies_reading, SHMP_DONE, check);
}

TEST(a_read_of_what_a_dead_writer_left, LONG)
{
	kill_in(needs_recovery, __func__, dies_reading, SHMP_OWNER_DIED, check);
}

TEST(the_release_of_the_last_reader_that_a_writer_waits_for, LONG)
{
	kill_in(is_read_by_the_dead, __func__, dies_releasing, SHMP_DONE, check);
}

TEST(a_reader_s_wish_to_write, LONG)
{
	kill_in(is_read_by_the_dead, __func__, dies_wanting_more, SHMP_DONE, check);
}

TEST(a_write_of_a_free_lock, LONG)
{
	kill_in(is_free, __func__, dies_writing, SHMP_DONE, check);
}

TEST(a_write_that_others_wait_for, LONG)
{
	kill_in(is_slept_for, __func__, dies_writing, SHMP_DONE, check);
}

TEST(a_write_within_a_write, LONG)
{
	kill_in(is_slept_for, __func__, dies_writing_again_within, SHMP_DONE, check);
}

TEST(a_write_that_finds_a_reader, LONG)
{
	kill_in(is_read, __func__, dies_writing, SHMP_DONE, check);
}

TEST(a_write_that_finds_a_writer, LONG)
{
	kill_in(is_written, __func__, dies_writing, SHMP_DONE, check);
}

TEST(a_claim_that_finds_a_reader_and_is_withdrawn, LONG)
{
	kill_in(is_read, __func__, dies_claiming_and_withdrawing, SHMP_DONE, check);
}

TEST(the_release_of_a_writer_that_others_wait_for, LONG)
{
	kill_in(is_written_by_the_dead, __func__, dies_releasing, -1, check);
}

TEST(mending_what_a_dead_writer_left, LONG)
{
	kill_in(needs_recovery, __func__, dies_mending, SHMP_DONE, check);
}

TEST(looking_at_what_a_dead_writer_left_and_putting_it_back, LONG)
{
	kill_in(needs_recovery, __func__, dies_looking_and_putting_back, SHMP_OWNER_DIED, check);
}

TEST(giving_up_what_a_dead_writer_left, LONG)
{
	kill_in(needs_recovery, __func__, dies_giving_up, SHMP_UNRECOVERABLE, check);
}

TEST(going_to_sleep_and_waking_up, LONG)
{
	kill_in(is_written, __func__, dies_going_to_sleep, SHMP_DONE, check);
}

TEST(the_broker_repairs_a_reader, LONG)
{
	kill_in(is_read_by_the_dead, __func__, dies_repairing, SHMP_DONE, check);
}

TEST(the_broker_repairs_a_writer, LONG)
{
	kill_in(is_written_by_the_dead, __func__, dies_repairing, SHMP_OWNER_DIED,
		check_repaired_again);
}

TEST(the_broker_gives_a_place_out, LONG)
{
	kill_in(is_read, __func__, dies_giving_a_place_out, SHMP_DONE, check_given_out_again);
}

DEATHS_MAIN
