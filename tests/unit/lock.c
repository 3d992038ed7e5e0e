/* The lock's moves and its repair, one process playing all; who really waits: process/, stress/. */
#include "protocol/lock.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/runner.h"

enum {
	PLACES = 6,
	INCARNATION = 7,
};

struct fixture {
	struct shmp_lock lock;
	struct shmp_endpoint places[PLACES];
	struct shmp_segment segment;
	struct shmp_locker at[PLACES];
};

static void come(struct fixture *f, uint32_t place, uint64_t incarnation)
{
	shmp_lock_admit(&f->lock, &f->segment, place);
	shmp_endpoint_set_state(&f->places[place], incarnation, SHMP_ENDPOINT_ACTIVE);
	shmp_lock_attach(&f->lock, &f->segment, place, &f->at[place]);
	f->at[place].tid = 100 + place;
}

static struct fixture *make(void)
{
	struct fixture *f = aligned_alloc(128, shmp_round_up(sizeof(*f), 128));

	ck_assert(f);
	memset(f, 0, sizeof(*f));
	f->segment.endpoints = f->places;
	f->segment.plan.endpoint_count = PLACES;
	for (uint32_t i = 0; i < PLACES; i++) {
		come(f, i, INCARNATION);
		f->places[i].pid = 1000 + i;
	}
	return f;
}

static void done(struct fixture *f)
{
	const char *why = NULL;

	ck_assert_int_eq(shmp_lock_validate(&f->lock, &f->segment, &why), 0);
	free(f);
}

/* Twice, as if the broker had died after the first. */
static void bury(struct fixture *f, uint32_t place)
{
	for (int i = 0; i < 2; i++) {
		shmp_endpoint_set_state(&f->places[place], INCARNATION, SHMP_ENDPOINT_DYING);
		shmp_lock_repair(&f->lock, &f->segment, place);
	}
	shmp_lock_wake(&f->lock);
}

static int to_read(struct fixture *f, uint32_t place)
{
	return shmp_lock_try_read(&f->at[place]);
}

static int to_write(struct fixture *f, uint32_t place)
{
	return shmp_lock_try_write(&f->at[place]);
}

static void unlock(struct fixture *f, uint32_t place)
{
	ck_assert_int_eq(shmp_lock_unlock(&f->at[place]), SHMP_DONE);
}

static struct shmp_lock_owner look(const struct fixture *f)
{
	struct shmp_lock_owner owner;

	shmp_lock_look(&f->lock, &f->segment, &owner);
	return owner;
}

static void is_free(struct fixture *f)
{
	ck_assert_uint_eq(shmp_lock_load(&f->lock), SHMP_LOCK_FREE);
	ck_assert_uint_eq(look(f).readers, 0);
	for (uint32_t i = 0; i < PLACES; i++) {
		ck_assert_int_eq(to_write(f, i), SHMP_DONE);
		unlock(f, i);
		ck_assert_int_eq(to_read(f, i), SHMP_DONE);
		unlock(f, i);
	}
}

TEST(two_readers_hold_it_at_once)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_read(f, 0), SHMP_DONE);
	ck_assert_int_eq(to_read(f, 1), SHMP_DONE);
	ck_assert_uint_eq(look(f).readers, 2);
	unlock(f, 0);
	unlock(f, 1);
	is_free(f);
	done(f);
}

TEST(a_writer_keeps_everybody_out)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_write(f, 2), SHMP_DONE);
	ck_assert_int_eq(to_read(f, 0), SHMP_HELD);
	ck_assert_int_eq(to_write(f, 1), SHMP_HELD);
	ck_assert_uint_eq(look(f).readers, 0);
	unlock(f, 2);
	is_free(f);
	done(f);
}

TEST(a_writer_that_finds_a_reader_leaves_no_claim)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_read(f, 0), SHMP_DONE);
	ck_assert_int_eq(to_write(f, 1), SHMP_HELD);
	ck_assert_int_eq(to_read(f, 2), SHMP_DONE);
	unlock(f, 0);
	ck_assert_int_eq(to_write(f, 1), SHMP_HELD);
	unlock(f, 2);
	is_free(f);
	done(f);
}

TEST(a_claim_holds_new_readers_off_until_it_is_withdrawn)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_read(f, 0), SHMP_DONE);
	ck_assert_int_eq(shmp_lock_claim(&f->at[1]), SHMP_DONE);
	ck_assert_int_eq(shmp_lock_enter(&f->at[1]), SHMP_HELD);
	ck_assert_int_eq(to_read(f, 2), SHMP_HELD);
	ck_assert_int_eq(to_write(f, 3), SHMP_HELD);
	ck_assert_uint_eq(look(f).readers, 1);
	shmp_lock_withdraw(&f->at[1]);
	ck_assert_int_eq(to_read(f, 2), SHMP_DONE);
	unlock(f, 0);
	unlock(f, 2);
	is_free(f);
	done(f);
}

TEST(a_claim_gets_in_when_the_last_reader_has_left)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_read(f, 0), SHMP_DONE);
	ck_assert_int_eq(shmp_lock_claim(&f->at[1]), SHMP_DONE);
	ck_assert_int_eq(shmp_lock_enter(&f->at[1]), SHMP_HELD);
	unlock(f, 0);
	ck_assert_int_eq(shmp_lock_enter(&f->at[1]), SHMP_DONE);
	ck_assert_int_eq(to_read(f, 0), SHMP_HELD);
	unlock(f, 1);
	is_free(f);
	done(f);
}

TEST(its_holder_may_take_it_again_and_gives_it_back_as_often)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_write(f, 0), SHMP_DONE);
	ck_assert_int_eq(to_write(f, 0), SHMP_DONE);
	ck_assert_int_eq(to_read(f, 0), SHMP_DONE);
	unlock(f, 0);
	unlock(f, 0);
	ck_assert_int_eq(to_read(f, 1), SHMP_HELD);
	unlock(f, 0);
	ck_assert_int_eq(to_read(f, 1), SHMP_DONE);
	ck_assert_int_eq(to_read(f, 1), SHMP_DONE);
	unlock(f, 1);
	ck_assert_int_eq(to_write(f, 0), SHMP_HELD);
	unlock(f, 1);
	is_free(f);
	done(f);
}

/* A claim between a reader's first and second hold would stop him for ever. */
TEST(a_reader_takes_it_again_past_a_claim)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_read(f, 0), SHMP_DONE);
	ck_assert_int_eq(shmp_lock_claim(&f->at[1]), SHMP_DONE);
	ck_assert_int_eq(to_read(f, 0), SHMP_DONE);
	unlock(f, 0);
	ck_assert_int_eq(shmp_lock_enter(&f->at[1]), SHMP_HELD);
	unlock(f, 0);
	ck_assert_int_eq(shmp_lock_enter(&f->at[1]), SHMP_DONE);
	unlock(f, 1);
	is_free(f);
	done(f);
}

TEST(a_reader_who_wants_to_write_is_refused_and_reads_on)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_read(f, 0), SHMP_DONE);
	ck_assert_int_eq(to_write(f, 0), -EINVAL);
	ck_assert_uint_eq(look(f).readers, 1);
	ck_assert_uint_eq(shmp_lock_load(&f->lock), SHMP_LOCK_FREE);
	unlock(f, 0);
	is_free(f);
	done(f);
}

TEST(who_does_not_hold_it_cannot_release_it)
{
	struct fixture *f = make();

	ck_assert_int_eq(shmp_lock_unlock(&f->at[0]), -EINVAL);
	ck_assert_int_eq(to_write(f, 1), SHMP_DONE);
	ck_assert_int_eq(shmp_lock_unlock(&f->at[0]), -EINVAL);
	unlock(f, 1);
	ck_assert_int_eq(shmp_lock_unlock(&f->at[1]), -EINVAL);
	ck_assert_int_eq(to_read(f, 1), SHMP_DONE);
	ck_assert_int_eq(shmp_lock_unlock(&f->at[0]), -EINVAL);
	unlock(f, 1);
	ck_assert_int_eq(shmp_lock_unlock(&f->at[1]), -EINVAL);
	is_free(f);
	done(f);
}

TEST(a_dead_reader_is_taken_off)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_read(f, 0), SHMP_DONE);
	ck_assert_int_eq(shmp_lock_claim(&f->at[1]), SHMP_DONE);
	ck_assert_int_eq(shmp_lock_enter(&f->at[1]), SHMP_HELD);
	bury(f, 0);
	ck_assert_int_eq(shmp_lock_enter(&f->at[1]), SHMP_DONE);
	unlock(f, 1);
	come(f, 0, INCARNATION + 1);
	is_free(f);
	done(f);
}

TEST(who_died_while_he_only_claimed_is_no_dead_owner)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_read(f, 0), SHMP_DONE);
	ck_assert_int_eq(shmp_lock_claim(&f->at[1]), SHMP_DONE);
	bury(f, 1);
	ck_assert_uint_eq(atomic_load(&f->lock.deaths), 0);
	unlock(f, 0);
	come(f, 1, INCARNATION + 1);
	is_free(f);
	done(f);
}

TEST(the_next_ones_are_told_of_a_dead_writer_until_one_mends)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_write(f, 0), SHMP_DONE);
	bury(f, 0);
	ck_assert(look(f).needs_recovery);
	ck_assert_uint_eq(atomic_load(&f->lock.deaths), 1);
	for (uint32_t i = 1; i < 3; i++)
		ck_assert_int_eq(to_read(f, i), SHMP_OWNER_DIED);
	for (uint32_t i = 1; i < 3; i++)
		unlock(f, i);
	ck_assert_int_eq(to_write(f, 3), SHMP_OWNER_DIED);
	ck_assert_int_eq(shmp_lock_mark_consistent(&f->at[3]), SHMP_DONE);
	unlock(f, 3);
	come(f, 0, INCARNATION + 1);
	is_free(f);
	done(f);
}

TEST(only_a_writer_can_mend)
{
	struct fixture *f = make();

	ck_assert_int_eq(shmp_lock_mark_consistent(&f->at[1]), -EINVAL);
	ck_assert_int_eq(to_write(f, 0), SHMP_DONE);
	bury(f, 0);
	ck_assert_int_eq(to_read(f, 1), SHMP_OWNER_DIED);
	ck_assert_int_eq(shmp_lock_mark_consistent(&f->at[1]), -EINVAL);
	unlock(f, 1);
	ck_assert(look(f).needs_recovery);
	done(f);
}

TEST(a_writer_who_lets_go_without_mending_leaves_it_unrecoverable)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_write(f, 0), SHMP_DONE);
	bury(f, 0);
	ck_assert_int_eq(to_write(f, 1), SHMP_OWNER_DIED);
	unlock(f, 1);
	ck_assert(look(f).is_unrecoverable);
	for (uint32_t i = 1; i < PLACES; i++) {
		ck_assert_int_eq(to_read(f, i), SHMP_UNRECOVERABLE);
		ck_assert_int_eq(to_write(f, i), SHMP_UNRECOVERABLE);
	}
	ck_assert_uint_eq(look(f).readers, 0);
	done(f);
}

TEST(put_back_it_still_wants_mending)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_write(f, 0), SHMP_DONE);
	bury(f, 0);
	ck_assert_int_eq(to_write(f, 1), SHMP_OWNER_DIED);
	shmp_lock_put_back(&f->at[1]);
	ck_assert_int_eq(to_read(f, 2), SHMP_OWNER_DIED);
	shmp_lock_put_back(&f->at[2]);
	ck_assert_uint_eq(look(f).readers, 0);
	ck_assert_int_eq(to_write(f, 2), SHMP_OWNER_DIED);
	ck_assert_int_eq(shmp_lock_mark_consistent(&f->at[2]), SHMP_DONE);
	unlock(f, 2);
	come(f, 0, INCARNATION + 1);
	is_free(f);
	done(f);
}

TEST(a_claim_of_what_wants_mending_is_withdrawn_or_dies_without_changing_that)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_write(f, 0), SHMP_DONE);
	bury(f, 0);
	ck_assert_int_eq(to_read(f, 1), SHMP_OWNER_DIED);
	ck_assert_int_eq(to_write(f, 2), SHMP_HELD);
	ck_assert(look(f).needs_recovery);
	ck_assert_int_eq(shmp_lock_claim(&f->at[3]), SHMP_DONE);
	bury(f, 3);
	ck_assert(look(f).needs_recovery);
	ck_assert_uint_eq(atomic_load(&f->lock.deaths), 1);
	unlock(f, 1);
	ck_assert_int_eq(to_write(f, 2), SHMP_OWNER_DIED);
	bury(f, 2);
	ck_assert_uint_eq(atomic_load(&f->lock.deaths), 2);
	ck_assert_int_eq(to_write(f, 4), SHMP_OWNER_DIED);
	done(f);
}

TEST(a_repair_that_comes_again_takes_nothing_from_the_successor)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_write(f, 0), SHMP_DONE);
	bury(f, 0);
	come(f, 0, INCARNATION + 1);
	ck_assert_int_eq(to_write(f, 0), SHMP_OWNER_DIED);
	shmp_endpoint_set_state(&f->places[0], INCARNATION, SHMP_ENDPOINT_DYING);
	shmp_lock_repair(&f->lock, &f->segment, 0);
	ck_assert_int_eq(to_read(f, 1), SHMP_HELD);
	ck_assert_int_eq(shmp_lock_mark_consistent(&f->at[0]), SHMP_DONE);
	unlock(f, 0);
	done(f);
}

TEST(repair_takes_nothing_from_the_living)
{
	struct fixture *f = make();

	ck_assert_int_eq(to_write(f, 0), SHMP_DONE);
	bury(f, 1);
	ck_assert_int_eq(to_read(f, 2), SHMP_HELD);
	unlock(f, 0);
	ck_assert_int_eq(to_read(f, 0), SHMP_DONE);
	bury(f, 2);
	ck_assert_int_eq(to_write(f, 3), SHMP_HELD);
	unlock(f, 0);
	done(f);
}

TEST(it_tells_who_holds_it_and_since_when)
{
	struct fixture *f = make();
	uint64_t before = shmp_clock_ns();
	struct shmp_lock_owner owner;

	ck_assert_int_eq(look(f).state, SHMP_LOCK_FREE);
	ck_assert_int_eq(to_write(f, 3), SHMP_DONE);
	owner = look(f);
	ck_assert_int_eq(owner.state, SHMP_LOCK_HELD);
	ck_assert_uint_eq(owner.endpoint, 3);
	ck_assert_uint_eq(owner.pid, 1003);
	ck_assert_uint_eq(owner.tid, 103);
	ck_assert(owner.since_ns >= before && owner.since_ns <= shmp_clock_ns());
	unlock(f, 3);
	ck_assert_int_eq(to_read(f, 0), SHMP_DONE);
	ck_assert_int_eq(shmp_lock_claim(&f->at[3]), SHMP_DONE);
	owner = look(f);
	ck_assert_int_eq(owner.state, SHMP_LOCK_PENDING);
	ck_assert_uint_eq(owner.endpoint, 3);
	ck_assert_uint_eq(owner.tid, 0);
	ck_assert_uint_eq(owner.readers, 1);
	shmp_waiter_prepare(&f->lock.freed, &f->places[4], 4, false);
	shmp_waiter_prepare(&f->lock.left, &f->places[3], 3, false);
	ck_assert_uint_eq(look(f).waiting, 2);
	ck_assert(shmp_lock_waits(&f->lock, 3) && shmp_lock_waits(&f->lock, 4));
	done(f);
}

static uint32_t sequence_of(const struct shmp_waiter *waiter)
{
	return atomic_load(&waiter->sequence);
}

TEST(who_waits_is_told_of_every_move_that_concerns_him)
{
	struct fixture *f = make();
	uint32_t before;

	/* a reader's end, to the writer */
	ck_assert_int_eq(to_read(f, 0), SHMP_DONE);
	ck_assert_int_eq(shmp_lock_claim(&f->at[1]), SHMP_DONE);
	before = shmp_waiter_prepare(&f->lock.left, &f->places[1], 1, false);
	unlock(f, 0);
	ck_assert_uint_ne(sequence_of(&f->lock.left), before);
	/* the writer's end, and that of a claim, to all */
	before = shmp_waiter_prepare(&f->lock.freed, &f->places[2], 2, false);
	ck_assert_int_eq(shmp_lock_enter(&f->at[1]), SHMP_DONE);
	unlock(f, 1);
	ck_assert_uint_ne(sequence_of(&f->lock.freed), before);
	ck_assert_int_eq(shmp_lock_claim(&f->at[1]), SHMP_DONE);
	before = shmp_waiter_prepare(&f->lock.freed, &f->places[2], 2, false);
	shmp_lock_withdraw(&f->at[1]);
	ck_assert_uint_ne(sequence_of(&f->lock.freed), before);
	done(f);
}

/* Looked at first free, then taken: the mark may have been seen, so it counts as a reader's end. */
TEST(a_reader_who_backs_out_tells_the_writer)
{
	struct fixture *f = make();
	uint32_t before;

	ck_assert_int_eq(shmp_lock_claim(&f->at[1]), SHMP_DONE);
	shmp_lock_mark(&f->at[0]);
	ck_assert_int_eq(shmp_lock_enter(&f->at[1]), SHMP_HELD);
	before = shmp_waiter_prepare(&f->lock.left, &f->places[1], 1, false);
	ck_assert_int_eq(shmp_lock_read_marked(&f->at[0], shmp_lock_load(&f->lock)), SHMP_HELD);
	ck_assert_uint_ne(sequence_of(&f->lock.left), before);
	ck_assert_int_eq(shmp_lock_enter(&f->at[1]), SHMP_DONE);
	done(f);
}

TEST(repair_clears_the_bits_of_one_who_died_waiting)
{
	struct fixture *f = make();

	shmp_waiter_prepare(&f->lock.freed, &f->places[4], 4, false);
	shmp_waiter_prepare(&f->lock.left, &f->places[4], 4, false);
	bury(f, 4);
	ck_assert_uint_eq(look(f).waiting, 0);
	done(f);
}

TEST(no_look_goes_beyond_the_places_that_were_given_out)
{
	struct fixture *f = make();

	memset(f->places, 0, sizeof(f->places));
	atomic_store(&f->lock.reach, 0);
	come(f, 1, INCARNATION);
	ck_assert_uint_eq(atomic_load(&f->lock.reach), 2);
	come(f, 0, INCARNATION);
	ck_assert_uint_eq(atomic_load(&f->lock.reach), 2);
	atomic_store(&f->places[3].intent[SHMP_LOCK_MARK], 1);
	ck_assert_int_eq(to_write(f, 0), SHMP_DONE);
	unlock(f, 0);
	free(f);
}

TEST(words_that_nobody_writes_are_refused)
{
	static const uint64_t words[] = {
		UINT64_MAX,
		3,
		SHMP_LOCK_HELD,
		SHMP_LOCK_PENDING,
		SHMP_LOCK_HELD | (PLACES + UINT64_C(1)) << 8,
		SHMP_LOCK_UNRECOVERABLE | SHMP_LOCK_NEEDS_RECOVERY,
		SHMP_LOCK_UNRECOVERABLE | 1 << 8,
		UINT64_C(1) << 8,
		SHMP_LOCK_NEEDS_RECOVERY | UINT64_C(1) << 40,
		UINT64_C(1) << 4,
		UINT64_C(1) << 63,
	};
	const char *why = NULL;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct fixture *f = make();

		atomic_store(&f->lock.word, words[i]);
		ck_assert_int_eq(to_read(f, 0), -EBADMSG);
		ck_assert_int_eq(to_write(f, 1), -EBADMSG);
		ck_assert_int_eq(shmp_lock_validate(&f->lock, &f->segment, &why), -EBADMSG);
		ck_assert_uint_eq(look(f).readers, 0);
		ck_assert_int_eq(look(f).state, SHMP_LOCK_FREE);
		bury(f, 0);
		free(f);
	}
}

SHMT_MAIN
