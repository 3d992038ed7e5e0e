/* The buffer's plan, checksums and look, and what hostile words make of it. */
#include "protocol/buffer.h"

#include <string.h>

#include "protocol/checksum.h"
#include "tests/support/buffer.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

enum {
	SIZE = 10000,
	PLACES = 3,
	SUMS = 4,
};

struct fixture {
	struct shmt_buffer buffer;
	struct shmp_buffer at[PLACES];
};

static struct fixture *make(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	shmt_buffer_make(&f->buffer, SIZE, PLACES, SUMS);
	for (uint32_t i = 0; i < PLACES; i++)
		shmt_buffer_attach(&f->buffer, i, &f->at[i]);
	return f;
}

static void done(struct fixture *f)
{
	shmt_buffer_free(&f->buffer);
	free(f);
}

TEST(the_checksum_is_crc32c)
{
	static uint8_t zeroes[32], ones[32];

	memset(ones, 0xff, sizeof(ones));
	ck_assert_uint_eq(shmp_checksum("123456789", 9), 0xe3069283);
	/* of RFC 3720 */
	ck_assert_uint_eq(shmp_checksum(zeroes, 32), 0x8a9136aa);
	ck_assert_uint_eq(shmp_checksum(ones, 32), 0x62a8ab43);
	ck_assert_uint_eq(shmp_checksum(NULL, 0), 0);
}

TEST(a_plan_has_room_for_all_of_it_and_no_more_than_a_page_over)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { 1, 255, 4096 };
	struct shmp_plan plan;
	const char *why;

	ck_assert_int_eq(shmp_buffer_kind.plan(option, &plan, &why), 0);
	ck_assert_uint_eq(plan.data_bytes, SHMP_PAGE);
	ck_assert_uint_eq(plan.control_bytes, 256 + 4096 * 32);
	ck_assert_uint_eq(plan.endpoint_count, 255);
	option[SHMP_BUFFER_SIZE_BYTES] = UINT64_C(1) << 40;
	ck_assert_int_eq(shmp_buffer_kind.plan(option, &plan, &why), 0);
	ck_assert_uint_eq(plan.data_bytes, UINT64_C(1) << 40);
	option[SHMP_BUFFER_SIZE_BYTES] = 4097;
	ck_assert_int_eq(shmp_buffer_kind.plan(option, &plan, &why), 0);
	ck_assert_uint_eq(plan.data_bytes, 8192);
	ck_assert_uint_eq(plan.option[SHMP_BUFFER_SIZE_BYTES], 4097);
}

TEST(only_what_lies_inside_is_inside)
{
	struct fixture *f = make();
	const struct shmp_buffer *buffer = &f->at[0];

	ck_assert(shmp_buffer_has(buffer, 0, SIZE) && shmp_buffer_has(buffer, SIZE, 0));
	ck_assert(!shmp_buffer_has(buffer, 0, SIZE + 1) && !shmp_buffer_has(buffer, SIZE, 1));
	ck_assert(!shmp_buffer_has(buffer, SIZE + 1, 0) && !shmp_buffer_has(buffer, 1, UINT64_MAX));
	ck_assert(!shmp_buffer_has(buffer, UINT64_MAX, 1) &&
		  !shmp_buffer_has(buffer, UINT64_MAX, 0));
	done(f);
}

TEST(checksums_are_kept_by_range)
{
	struct fixture *f = make();
	struct shmp_buffer *buffer = &f->at[0];

	ck_assert_int_eq(shmp_buffer_verify(buffer, 0, 10, NULL), SHMP_EMPTY);
	for (uint64_t i = 0; i < SUMS; i++)
		ck_assert_int_eq(shmp_buffer_store_checksum(buffer, i, 10), SHMP_DONE);
	ck_assert_int_eq(shmp_buffer_store_checksum(buffer, SUMS, 10), SHMP_FULL);
	ck_assert_int_eq(shmp_buffer_store_checksum(buffer, 0, 10), SHMP_DONE);
	ck_assert_uint_eq(shmt_buffer_figure(&f->buffer, "checksums"), SUMS);
	*shmp_buffer_at(buffer, 2) ^= 1;
	ck_assert_int_eq(shmp_buffer_verify(buffer, 2, 10, NULL), SHMP_DAMAGED);
	ck_assert_int_eq(shmp_buffer_verify(buffer, 3, 10, NULL), SHMP_DONE);
	ck_assert_int_eq(shmp_buffer_verify(buffer, 3, 10, "other bytes"), SHMP_DAMAGED);
	ck_assert_int_eq(shmp_buffer_forget_checksum(buffer, 2, 10), SHMP_DONE);
	ck_assert_int_eq(shmp_buffer_forget_checksum(buffer, 2, 10), SHMP_EMPTY);
	ck_assert_int_eq(shmp_buffer_verify(buffer, 2, 10, NULL), SHMP_EMPTY);
	done(f);
}

/* Looking */

static int note_states(void *context, const struct shmp_item *item)
{
	*(size_t *)context += item->state != NULL;
	return 0;
}

static size_t count_states(const struct fixture *f)
{
	static uint8_t room[SIZE];
	struct shmp_look look = { .max = UINT64_MAX, .room = room, .room_bytes = sizeof(room) };
	size_t states = 0;

	ck_assert_int_eq(shmp_buffer_look(&f->buffer.map, &look, note_states, &states), 0);
	ck_assert_uint_eq(look.from, SIZE);
	return states;
}

TEST(who_looks_is_told_what_is_being_written)
{
	struct fixture *f = make();

	ck_assert_uint_eq(count_states(f), 0);
	ck_assert_int_eq(shmp_lock_try_read(&f->at[1].locker), SHMP_DONE);
	ck_assert_uint_eq(count_states(f), 0);
	shmp_lock_unlock(&f->at[1].locker);
	ck_assert_int_eq(shmp_lock_try_write(&f->at[1].locker), SHMP_DONE);
	ck_assert_uint_eq(count_states(f), 3);
	ck_assert_int_eq(shmp_lock_holder(&f->at[1].locker.lock[0], &f->buffer.map), 1);
	shmp_lock_unlock(&f->at[1].locker);
	ck_assert_uint_eq(count_states(f), 0);
	ck_assert_int_eq(shmp_lock_holder(&f->at[1].locker.lock[0], &f->buffer.map), -1);
	done(f);
}

static int note_state(void *context, const struct shmp_item *item)
{
	*(const char **)context = item->state;
	return 0;
}

static const char *state_shown(const struct fixture *f)
{
	struct shmp_look look = { .max = 1 };
	const char *state = NULL;

	ck_assert_int_eq(shmp_buffer_look(&f->buffer.map, &look, note_state, &state), 0);
	return state ? state : "";
}

TEST(what_a_dead_writer_left_is_shown_as_that_until_it_is_mended)
{
	struct fixture *f = make();
	struct shmp_locker *locker = &f->at[0].locker;

	atomic_store(&locker->lock->word, SHMP_LOCK_NEEDS_RECOVERY);
	ck_assert_str_eq(state_shown(f), "left by a dead writer");
	ck_assert_int_eq(shmp_lock_claim(locker), SHMP_DONE);
	ck_assert_str_eq(state_shown(f), "left by a dead writer");
	ck_assert_int_eq(shmp_lock_enter(locker), SHMP_OWNER_DIED);
	ck_assert_str_eq(state_shown(f), "being written");
	ck_assert_int_eq(shmp_lock_mark_consistent(locker), SHMP_DONE);
	shmp_lock_unlock(locker);
	ck_assert_str_eq(state_shown(f), "");
	atomic_store(&locker->lock->word, SHMP_LOCK_UNRECOVERABLE);
	ck_assert_str_eq(state_shown(f), "given up");
	done(f);
}

TEST(a_turn_in_between_is_noticed)
{
	struct fixture *f = make();
	uint64_t turns = shmp_lock_turns(f->at[0].locker.lock);

	shmp_lock_try_write(&f->at[1].locker);
	ck_assert_uint_eq(shmp_lock_turns(f->at[0].locker.lock), turns + 1);
	shmp_lock_try_write(&f->at[1].locker);
	shmp_lock_unlock(&f->at[1].locker);
	shmp_lock_unlock(&f->at[1].locker);
	ck_assert_uint_eq(shmp_lock_turns(f->at[0].locker.lock), turns + 1);
	done(f);
}

TEST(figures_tell_who_holds_the_lock_and_who_waits)
{
	struct fixture *f = make();

	ck_assert_uint_eq(shmt_buffer_figure(&f->buffer, "size_bytes"), SIZE);
	ck_assert_uint_eq(shmt_buffer_figure(&f->buffer, "lock_held_by_endpoint"), UINT64_MAX);
	ck_assert_int_eq(shmp_lock_try_write(&f->at[2].locker), SHMP_DONE);
	shmp_waiter_prepare(&f->at[0].locker.lock->freed, f->at[0].locker.self, 0, false);
	ck_assert_uint_eq(shmt_buffer_figure(&f->buffer, "lock_held_by_endpoint"), 2);
	ck_assert_uint_eq(shmt_buffer_figure(&f->buffer, "lock_waiting"), 1);
	ck_assert_uint_ne(shmt_buffer_figure(&f->buffer, "lock_held_since_ns"), UINT64_MAX);
	shmt_place_vacate(&f->buffer.segment, 2, true, 1);
	ck_assert_uint_eq(shmt_buffer_figure(&f->buffer, "lock_needs_recovery"), 1);
	ck_assert_uint_eq(shmt_buffer_figure(&f->buffer, "lock_deaths"), 1);
	done(f);
}

/* Hostile words */

static void count_figure(void *context, const char *name, uint64_t value)
{
	++*(size_t *)context;
}

static void all_moves(struct fixture *f)
{
	struct shmp_locker *one = &f->at[0].locker, *two = &f->at[1].locker;
	struct shmp_segment *map = &f->buffer.map;
	size_t figures = 0;
	const char *why;

	count_states(f);
	shmp_buffer_kind.figures(map, count_figure, &figures);
	ck_assert_uint_gt(figures, 0);
	for (int i = 0; i < 2; i++) {
		if (shmp_lock_try_read(one) == SHMP_DONE)
			shmp_lock_unlock(one);
		if (shmp_lock_claim(two) == SHMP_DONE && shmp_lock_enter(two) != SHMP_HELD)
			shmp_lock_mark_consistent(two);
		shmp_buffer_store_checksum(&f->at[1], 0, SIZE);
		shmp_buffer_verify(&f->at[0], 0, SIZE, NULL);
		shmp_buffer_forget_checksum(&f->at[1], 0, SIZE);
		shmp_lock_put_back(two);
		shmp_buffer_kind.repair(map, 2, true);
		shmp_buffer_kind.wake(map);
		shmp_buffer_kind.attach(map, 2);
	}
	shmp_buffer_kind.validate(map, &why);
	if (shmp_buffer_attach(map, 2, &f->at[2]) == 0 &&
	    shmp_lock_try_write(&f->at[2].locker) == SHMP_DONE)
		shmp_lock_unlock(&f->at[2].locker);
}

/* As it was made; the handles know of nothing. */
static void reset(struct fixture *f)
{
	const struct shmp_segment *map = &f->buffer.map;

	memset(map->control, 0, map->plan.ctl_bytes - sizeof(struct shmp_head));
	for (uint32_t i = 0; i < PLACES; i++)
		shmt_buffer_attach(&f->buffer, i, &f->at[i]);
}

TEST(any_word_replaced_harms_nobody, .timeout_s = 60)
{
	static const uint64_t numbers[] = {
		0,     1,	2,	    3,	  4,	  8,	      0x102,
		0x302, 0x10102, UINT32_MAX, 1000, 1 << 8, UINT64_MAX, UINT64_MAX / 2
	};
	struct fixture *f = make();
	uint64_t *words = f->buffer.map.control;
	size_t count = (f->buffer.map.plan.ctl_bytes - sizeof(struct shmp_head)) / 8;

	for (size_t i = 0; i < count; i++) {
		for (size_t n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
			reset(f);
			words[i] = numbers[n];
			all_moves(f);
		}
	}
	done(f);
}

TEST(all_ones_and_random_bytes_harm_nobody, .timeout_s = 60)
{
	struct shmt_random random = { shmt_seed() };
	struct fixture *f = make();
	uint64_t *words = f->buffer.map.control;
	size_t count = (f->buffer.map.plan.ctl_bytes - sizeof(struct shmp_head)) / 8;

	memset(words, 0xff, count * 8);
	all_moves(f);
	for (int round = 0; round < 500; round++) {
		reset(f);
		for (size_t i = 0; i < count; i++)
			words[i] = shmt_random_next(&random);
		all_moves(f);
	}
	done(f);
}

SHMT_MAIN
