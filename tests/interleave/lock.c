/*
 * lock: readers and writers, two at a time, and beside a third who dies and is repaired. What the
 * lock guards is two words that a writer makes equal and higher: who reads finds them equal, no
 * writing is lost, and who waits is woken. Stores may stay in the buffers where nobody dies.
 */
#include "protocol/lock.h"

#include <string.h>
#include <time.h>

#include "protocol/buffer.h"
#include "tests/interleave/explorer.h"
#include "tests/support/runner.h"

enum {
	DEAD = 0, /* places, and actors */
	LIVING = 1,
	BROKER = 2,
	PLACES = 3,
};

static struct scene {
	struct shmt_segment segment;
	struct own {
		struct shmp_buffer at[PLACES];
		struct did {
			int result;
			bool has_ended, wrote;
			uint64_t read[2];
		} did[2];
	} * own;
	_Atomic uint64_t *word;
	bool has_membarrier;
	struct explorer explorer;
} scene;

/* Stands still, so that an operation takes the same path every time. */
time_t time(time_t *ret_now)
{
	if (ret_now)
		*ret_now = 1;
	return 1;
}

static struct shmp_locker *locker(uint32_t place)
{
	return &scene.own->at[place].locker;
}

static uint64_t get(unsigned i)
{
	return atomic_load_explicit(&scene.word[i], memory_order_relaxed);
}

static void change_words(void)
{
	uint64_t next = get(0) + 1;

	atomic_store_explicit(&scene.word[0], next, memory_order_relaxed);
	atomic_store_explicit(&scene.word[1], next, memory_order_relaxed);
}

static void mend(uint32_t place)
{
	atomic_store_explicit(&scene.word[1], get(0), memory_order_relaxed);
	SHMT_REQUIRE(shmp_lock_mark_consistent(locker(place)) == SHMP_DONE);
}

/* Once */

static void end(unsigned who, int result)
{
	scene.own->did[who].result = result;
	scene.own->did[who].has_ended = true;
}

static void write_held(uint32_t who, int result)
{
	if (result == SHMP_OWNER_DIED)
		mend(who);
	if (result == SHMP_DONE || result == SHMP_OWNER_DIED) {
		change_words();
		shmp_lock_unlock(locker(who));
		scene.own->did[who].wrote = true;
	}
	end(who, result);
}

static void read_held(uint32_t who, int result)
{
	struct did *did = &scene.own->did[who];

	if (result == SHMP_DONE || result == SHMP_OWNER_DIED) {
		did->read[0] = get(0);
		did->read[1] = get(1);
		shmp_lock_unlock(locker(who));
	}
	end(who, result);
}

static void first_writes(void *context)
{
	write_held(0, shmp_lock_try_write(locker(0)));
}

static void second_writes(void *context)
{
	write_held(1, shmp_lock_try_write(locker(1)));
}

static void first_reads(void *context)
{
	read_held(0, shmp_lock_try_read(locker(0)));
}

static void second_reads(void *context)
{
	read_held(1, shmp_lock_try_read(locker(1)));
}

/* Wrong: a mark by a plain store, which others may see only after the look at the word. */
static void first_reads_by_a_plain_mark(void *context)
{
	struct shmp_locker *self = locker(0);
	uint64_t word = shmp_lock_load(self->lock);

	if (word != SHMP_LOCK_FREE)
		return end(0, SHMP_HELD);
	atomic_store_explicit(&self->self->intent[SHMP_LOCK_MARK], 1, memory_order_release);
	word = shmp_lock_load(self->lock);
	if (word != SHMP_LOCK_FREE)
		return end(0, shmp_lock_read_marked(self, word));
	shmp_lock_begin(self, SHMP_LOCK_READING, 0);
	read_held(0, SHMP_DONE);
}

/* Until it has been */

/* Tries again and again, and sleeps in between. */
static int wait_on(uint32_t who, struct shmp_waiter *waiter, int (*try_it)(struct shmp_locker *))
{
	struct shmp_locker *self = locker(who);
	int r = try_it(self);

	while (r == SHMP_HELD) {
		uint32_t key = shmp_waiter_prepare(waiter, self->self, self->endpoint,
						   scene.has_membarrier);

		r = try_it(self);
		if (r == SHMP_HELD)
			shmp_waiter_sleep(waiter, key, UINT64_MAX);
		shmp_waiter_finish(waiter, self->endpoint);
		if (r == SHMP_HELD)
			r = try_it(self);
	}
	return r;
}

static int try_read(struct shmp_locker *self)
{
	return shmp_lock_try_read(self);
}

static int claim(struct shmp_locker *self)
{
	return shmp_lock_claim(self);
}

static int enter(struct shmp_locker *self)
{
	return shmp_lock_enter(self);
}

static void read_at_last(uint32_t who)
{
	read_held(who, wait_on(who, &locker(who)->lock->freed, try_read));
}

static void write_at_last(uint32_t who)
{
	int r = wait_on(who, &locker(who)->lock->freed, claim);

	if (r == SHMP_DONE)
		r = wait_on(who, &locker(who)->lock->left, enter);
	write_held(who, r);
}

static void first_reads_at_last(void *context)
{
	read_at_last(0);
}

static void first_writes_at_last(void *context)
{
	write_at_last(0);
}

static void second_writes_at_last(void *context)
{
	write_at_last(1);
}

/* Judging */

static bool is_torn(const struct did *did)
{
	return did->has_ended && did->result == SHMP_DONE && did->read[0] != did->read[1];
}

/* All that stays behind: a lock that anybody can have, and what was written. */
static const char *judge_what_stays(uint64_t least, uint64_t most)
{
	struct shmp_locker *self = locker(LIVING);
	int r;

	if (is_torn(&scene.own->did[0]) || is_torn(&scene.own->did[1]))
		return "a reader reads beside a writer";
	r = shmp_lock_try_write(self);
	if (r == SHMP_OWNER_DIED)
		mend(LIVING);
	if (r != SHMP_DONE && r != SHMP_OWNER_DIED)
		return "nobody can write any more";
	shmp_lock_unlock(self);
	if (shmp_lock_try_read(self) != SHMP_DONE)
		return "nobody can read any more";
	shmp_lock_unlock(self);
	if (get(0) != get(1))
		return "it was left torn";
	return get(0) < least || get(0) > most ? "what was written is not what is there" : NULL;
}

static const char *judge(void *context)
{
	const struct did *did = scene.own->did;
	uint64_t writings = (uint64_t)did[0].wrote + did[1].wrote;

	if (!did[0].has_ended || !did[1].has_ended)
		return "somebody has not ended";
	return judge_what_stays(writings, writings);
}

static const char *judge_first_was_in(void *context)
{
	if (scene.own->did[0].result != SHMP_DONE)
		return "who waits for it does not get it";
	return judge(context);
}

static const char *judge_death(void *context)
{
	const struct did *did = scene.own->did;
	uint64_t least = (uint64_t)did[DEAD].wrote + did[LIVING].wrote;

	if (!did[LIVING].has_ended)
		return "the living one has not ended";
	if (did[LIVING].result == SHMP_UNRECOVERABLE)
		return "it was given up, and nobody did that";
	/* the dead one may have written and died before he could note it */
	return judge_what_stays(least, least + 1);
}

/* Scenes */

static void open_scene(const char *name, stepper_fn first, stepper_fn second,
		       const char *(*judged)(void *context))
{
	uint64_t option[SHMP_OPTIONS_MAX] = { 64, PLACES, 1 };

	shmt_segment_make(&scene.segment, "buffer", option);
	scene.word = (void *)scene.segment.map.data;
	scene.own = explorer_memory(sizeof(*scene.own));
	scene.has_membarrier = shmp_membarrier_register();
	for (uint32_t i = 0; i < PLACES; i++) {
		shmt_place_assign(&scene.segment, i);
		SHMT_REQUIRE(shmp_buffer_attach(&scene.segment.map, i, &scene.own->at[i]) == 0);
		locker(i)->second = time(NULL);
	}
	scene.explorer = (struct explorer){
		.name = name,
		.segment = &scene.segment,
		.own = scene.own,
		.own_bytes = sizeof(*scene.own),
		.role = { { .name = "first", .operate = first, .may_sleep = true },
			  { .name = "second", .operate = second, .may_sleep = true } },
		.holds_stores = true,
		.judge = judged,
	};
}

static void holds(void)
{
	explore(&scene.explorer);
	EXPLORER_HOLDS(&scene.explorer);
	shmt_segment_free(&scene.segment);
}

static void broker_repairs(void *context)
{
	shmt_place_vacate(&scene.segment, DEAD, true, 1);
}

static void open_death(const char *name, stepper_fn dead, stepper_fn living)
{
	open_scene(name, dead, living, judge_death);
	scene.explorer.role[DEAD].dies = true;
	scene.explorer.role[DEAD].name = "the dead one";
	scene.explorer.role[LIVING].name = "the living one";
	scene.explorer.role[DEAD].may_sleep = scene.explorer.role[LIVING].may_sleep = false;
	scene.explorer.role[BROKER] = (struct explorer_role){ .name = "the broker",
							      .operate = broker_repairs,
							      .buries = true };
	scene.explorer.holds_stores = false;
	scene.explorer.common_only = true;
}

#define LONG .timeout_s = 120

TEST(read_against_write, LONG)
{
	open_scene(__func__, first_reads, second_writes, judge);
	holds();
}

TEST(write_against_write, LONG)
{
	open_scene(__func__, first_writes, second_writes, judge);
	holds();
}

TEST(a_mark_by_a_plain_store_is_found, LONG)
{
	open_scene(__func__, first_reads_by_a_plain_mark, second_writes, judge);
	scene.explorer.is_wrong = true;
	explore(&scene.explorer);
	EXPLORER_BREAKS(&scene.explorer);
	ck_assert_ptr_nonnull(strstr(scene.explorer.first, "beside a writer"));
}

TEST(waiting_to_read_against_writing, LONG)
{
	open_scene(__func__, first_reads_at_last, second_writes, judge_first_was_in);
	scene.explorer.common_only = true;
	scene.explorer.holds_stores = explorer_is_deep(); /* that is waiter.c's affair */
	holds();
}

TEST(waiting_to_write_against_writing, LONG)
{
	open_scene(__func__, first_writes_at_last, second_writes, judge_first_was_in);
	scene.explorer.common_only = true;
	scene.explorer.holds_stores = explorer_is_deep(); /* that is waiter.c's affair */
	holds();
}

TEST(write_against_the_repair_of_a_writer, LONG)
{
	open_death(__func__, first_writes, second_writes);
	holds();
}

TEST(read_against_the_repair_of_a_writer, LONG)
{
	open_death(__func__, first_writes, second_reads);
	holds();
}

TEST(write_against_the_repair_of_a_reader, LONG)
{
	open_death(__func__, first_reads, second_writes);
	holds();
}

/* Not only that it can be had afterwards: who sleeps is woken by the repair. */
TEST(waiting_to_write_against_the_repair_of_a_writer, LONG)
{
	if (!explorer_is_deep())
		return;
	open_death(__func__, first_writes, second_writes_at_last);
	scene.explorer.role[LIVING].may_sleep = true;
	holds();
}

EXPLORER_MAIN
