/*
 * A writer of a record dies after every instruction of everything it does: readers find the version
 * that was committed last or, once it is committed, the new one, whole; the next writer gets the
 * lock after the repair, without being told, and goes on from there.
 */
#include "protocol/record.h"

#include <string.h>

#include "tests/crash/deaths.h"
#include "tests/support/runner.h"

enum {
	DEAD = 0,
	OTHER = 1,
	PLACES = 2,
	WORDS = 12
};

struct image {
	struct shmp_schema schema;
	struct shmp_schema_field field;
};

struct scene {
	struct shmt_segment segment;
	/* put back before each death, from here */
	struct shmp_record dead, other, reader;
	struct shmp_locker dead_locker, other_locker;
	/* ... to here */
	uint64_t before; /* what the words of the newest version say */
	uint64_t after;	 /* and those of the operation's */
	uint32_t key;	 /* of a watcher that sleeps in the other place; -1 = nobody */
	struct deaths deaths;
};

static struct scene scene;

static void make_segment(void)
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

static void attach(uint32_t place, struct shmp_record *record, struct shmp_locker *locker)
{
	shmt_place_assign(&scene.segment, place);
	shmp_record_view(&scene.segment.map, record);
	shmp_lock_attach(&record->control->lock, &scene.segment.map, place, locker);
}

static void fill(struct shmp_record *record, uint64_t value)
{
	uint64_t words[WORDS];

	for (int i = 0; i < WORDS; i++)
		words[i] = value;
	memcpy(record->draft, words, sizeof(words));
}

/* As libclient does it. */
static int transact(struct shmp_record *record, struct shmp_locker *locker, uint64_t value)
{
	int r = shmp_lock_try_write(locker);

	if (r == SHMP_OWNER_DIED)
		shmp_lock_mark_consistent(locker);
	else if (r != SHMP_DONE)
		return r;
	shmp_record_begin(record);
	shmp_record_keep(record);
	fill(record, value);
	shmp_record_commit(record);
	shmp_lock_unlock(locker);
	if (shmp_record_is_watched(record))
		shmp_record_tell(record, NULL, NULL);
	return SHMP_DONE;
}

static void open_scene(int commits, const char *name)
{
	scene = (struct scene){ .before = 0 };
	make_segment();
	attach(DEAD, &scene.dead, &scene.dead_locker);
	attach(OTHER, &scene.other, &scene.other_locker);
	shmp_record_view(&scene.segment.map, &scene.reader);
	for (int i = 1; i <= commits; i++)
		SHMT_REQUIRE(transact(&scene.other, &scene.other_locker, (uint64_t)i * 7) ==
			     SHMP_DONE);
	scene.key = UINT32_MAX;
	scene.before = (uint64_t)commits * 7;
	scene.after = 1000;
	scene.deaths = (struct deaths){ .name = name,
					.segment = &scene.segment,
					.own = &scene.dead,
					.own_bytes = offsetof(struct scene, before) -
						     offsetof(struct scene, dead) };
}

static uint64_t read_one(void)
{
	uint64_t words[WORDS], number;

	DEATHS_CHECK(&scene.deaths, shmp_record_read(&scene.reader, words, &number) == SHMP_DONE);
	for (int i = 1; i < WORDS; i++)
		DEATHS_CHECK(&scene.deaths, words[i] == words[0]);
	return words[0];
}

static bool sleeper_is_up(void)
{
	return atomic_load(&scene.other.control->committed.sequence) != scene.key;
}

static void check(void *context)
{
	struct deaths *deaths = &scene.deaths;
	uint64_t seen = read_one();
	const char *why;

	DEATHS_CHECK(deaths, seen == scene.after || (seen == scene.before && !deaths->has_ended) ||
				     scene.after == scene.before);
	DEATHS_CHECK(deaths, sleeper_is_up() || !deaths->has_ended || scene.after == scene.before);
	shmt_place_vacate(&scene.segment, DEAD, true, 1 + (int)(deaths->point % 3));
	DEATHS_CHECK(deaths, sleeper_is_up());
	shmp_waiter_finish(&scene.other.control->committed, OTHER);
	DEATHS_CHECK(deaths, !shmp_record_is_watched(&scene.other));
	DEATHS_CHECK(deaths, read_one() == seen);
	DEATHS_CHECK(deaths, !shmp_record_kind.waits(&scene.segment.map, DEAD));
	DEATHS_CHECK(deaths, shmp_record_kind.validate(&scene.segment.map, &why) == 0);
	for (uint64_t i = 1; i <= 6; i++) {
		DEATHS_CHECK(deaths,
			     transact(&scene.other, &scene.other_locker, 2000 + i) == SHMP_DONE);
		DEATHS_CHECK(deaths, read_one() == 2000 + i);
	}
	attach(DEAD, &scene.dead, &scene.dead_locker);
	DEATHS_CHECK(deaths, transact(&scene.dead, &scene.dead_locker, 3000) == SHMP_DONE);
	DEATHS_CHECK(deaths, read_one() == 3000);
}

static void dies_in_transaction(void *context)
{
	transact(&scene.dead, &scene.dead_locker, scene.after);
}

static void dies_in_abort(void *context)
{
	SHMT_REQUIRE(shmp_lock_try_write(&scene.dead_locker) == SHMP_DONE);
	shmp_record_begin(&scene.dead);
	shmp_record_keep(&scene.dead);
	fill(&scene.dead, 666);
	shmp_lock_unlock(&scene.dead_locker);
}

static void dies_in_read(void *context)
{
	uint64_t words[WORDS], number;

	shmp_record_read(&scene.dead, words, &number);
}

static void kill_everywhere(void (*operate)(void *))
{
	scene.deaths.operate = operate;
	scene.deaths.check = check;
	deaths_everywhere(&scene.deaths);
	shmt_segment_free(&scene.segment);
}

TEST(the_first_transaction_is_seen_whole_or_not_at_all, .timeout_s = 60)
{
	open_scene(0, __func__);
	kill_everywhere(dies_in_transaction);
}

TEST(a_transaction_in_each_slot_is_seen_whole_or_not_at_all, .rounds = 4, .timeout_s = 60)
{
	open_scene(5 + _i, __func__);
	kill_everywhere(dies_in_transaction);
}

TEST(a_transaction_behind_a_dead_one_is_seen_whole_or_not_at_all, .timeout_s = 60)
{
	open_scene(6, __func__);
	/* one before died in the middle, in the slot that comes next */
	SHMT_REQUIRE(shmp_lock_try_write(&scene.dead_locker) == SHMP_DONE);
	shmp_record_begin(&scene.dead);
	fill(&scene.dead, 555);
	shmt_place_vacate(&scene.segment, DEAD, true, 1);
	attach(DEAD, &scene.dead, &scene.dead_locker);
	kill_everywhere(dies_in_transaction);
}

TEST(a_transaction_that_tells_a_waiting_writer_leaves_nobody_asleep, .timeout_s = 60)
{
	struct shmp_waiter *waiter;

	open_scene(6, __func__);
	waiter = &scene.other.control->lock.freed;
	shmp_waiter_prepare(waiter, &scene.segment.map.endpoints[OTHER], OTHER, false);
	kill_everywhere(dies_in_transaction);
}

static void other_sleeps(void)
{
	scene.key = shmp_waiter_prepare(&scene.other.control->committed,
					&scene.segment.map.endpoints[OTHER], OTHER, false);
}

TEST(a_transaction_that_tells_a_watcher_leaves_it_awake, .timeout_s = 60)
{
	open_scene(6, __func__);
	other_sleeps();
	kill_everywhere(dies_in_transaction);
}

static void dies_on_its_way_to_sleep(void *context)
{
	struct shmp_waiter *waiter = &scene.dead.control->committed;
	uint64_t words[WORDS], number = 7;

	shmp_waiter_prepare(waiter, &scene.segment.map.endpoints[DEAD], DEAD, false);
	SHMT_REQUIRE(!shmp_record_is_newer(&scene.dead, number));
	shmp_waiter_finish(waiter, DEAD);
	shmp_record_read(&scene.dead, words, &number);
}

TEST(a_watcher_that_dies_on_its_way_to_sleep_leaves_no_trace, .timeout_s = 60)
{
	open_scene(6, __func__);
	scene.after = scene.before;
	kill_everywhere(dies_on_its_way_to_sleep);
}

TEST(a_transaction_given_up_is_not_seen, .timeout_s = 60)
{
	open_scene(6, __func__);
	scene.after = scene.before;
	kill_everywhere(dies_in_abort);
}

TEST(a_read_leaves_no_trace, .timeout_s = 60)
{
	open_scene(6, __func__);
	scene.after = scene.before;
	kill_everywhere(dies_in_read);
}

DEATHS_MAIN
