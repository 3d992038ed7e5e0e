/*
 * A writer, a reader or a watcher of a record dies anywhere in what it does while a writer commits
 * and a watcher reads, as fast as they can.
 *
 * Version n says n in all of its words. So whoever reads finds one version whole, none that is older
 * than one he knows of, and nobody is held up.
 */
#include "protocol/record.h"

#include <string.h>

#include "tests/crash/running.h"
#include "tests/support/runner.h"

enum {
	VICTIM = 0,
	WRITER = 1,
	WATCHER = 2,
	PLACES = 3,
	WORDS = 12,
	ONE_WAITS_IN = 4, /* deaths, until each who lives got on */
};

struct image {
	struct shmp_schema schema;
	struct shmp_schema_field field;
};

/* Shared by all. */
struct world {
	_Atomic uint64_t committed; /* number of a version whose commit returned */
	_Atomic bool is_wrong;	    /* the victim read what is none */
};

static struct scene {
	struct shmt_segment segment;
	struct shmp_record at[PLACES];
	struct shmp_locker locker[PLACES];
	struct world *world;
	uint64_t seen; /* number of the last version that this process read */
	struct running running;
} scene;

#define CHECK(condition_) RUNNING_CHECK(&scene.running, condition_)

static struct shmp_lock *lock(void)
{
	return &scene.at[VICTIM].control->lock;
}

static struct shmp_waiter *committed(void)
{
	return &scene.at[VICTIM].control->committed;
}

/* As libclient does it; the lock is held, and what a dead one left needs no mending. */
static void commit(uint32_t place, int r)
{
	struct shmp_record *record = &scene.at[place];
	uint64_t words[WORDS], number;

	if (r == SHMP_OWNER_DIED)
		shmp_lock_mark_consistent(&scene.locker[place]);
	shmp_record_begin(record);
	shmp_record_keep(record);
	number = record->number;
	for (int i = 0; i < WORDS; i++)
		words[i] = number;
	memcpy(record->draft, words, sizeof(words));
	shmp_record_commit(record);
	atomic_store(&scene.world->committed, number);
	shmp_lock_unlock(&scene.locker[place]);
	if (shmp_record_is_watched(record))
		shmp_record_tell(record, NULL, NULL);
}

/* A version, whole, and not older than what is known. */
static bool read_newest(uint32_t place)
{
	uint64_t words[WORDS], number = 0, known = atomic_load(&scene.world->committed);

	if (shmp_record_read(&scene.at[place], words, &number) != SHMP_DONE || number < known ||
	    number < scene.seen)
		return false;
	for (int i = 0; i < WORDS; i++)
		if (words[i] != (number == 1 ? 0 : number)) /* of zeroes to begin with */
			return false;
	scene.seen = number;
	return true;
}

/* The living */

static bool try_commit(void *context, unsigned int peer)
{
	int r = shmp_lock_try_write(&scene.locker[WRITER]);

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_OWNER_DIED || r == SHMP_HELD);
	if (r == SHMP_HELD)
		return false;
	commit(WRITER, r);
	return true;
}

static bool try_read(void *context, unsigned int peer)
{
	if (!shmp_record_is_newer(&scene.at[WATCHER], scene.seen))
		return false;
	SHMT_REQUIRE(read_newest(WATCHER));
	return true;
}

static bool live(void *context, unsigned int peer)
{
	bool writes = peer == 0;
	uint32_t place = writes ? WRITER : WATCHER;

	return running_move_or_sleep(&scene.running, peer, writes ? try_commit : try_read,
				     writes ? &lock()->freed : committed(),
				     scene.locker[place].self, place);
}

/* Who dies */

static void attach(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	shmp_record_view(&scene.segment.map, &scene.at[place]);
	shmp_lock_attach(&scene.at[place].control->lock, &scene.segment.map, place,
			 &scene.locker[place]);
}

static void come(void *context)
{
	attach(VICTIM);
}

/* As one who would sleep while another writes. */
static void dies_committing(void *context)
{
	int r;

	do {
		shmp_waiter_prepare(&lock()->freed, scene.locker[VICTIM].self, VICTIM,
				    scene.running.has_membarrier);
		r = shmp_lock_try_write(&scene.locker[VICTIM]);
		shmp_waiter_finish(&lock()->freed, VICTIM);
	} while (r == SHMP_HELD);
	commit(VICTIM, r);
}

static void dies_giving_up(void *context)
{
	struct shmp_record *record = &scene.at[VICTIM];
	int r;

	do
		r = shmp_lock_try_write(&scene.locker[VICTIM]);
	while (r == SHMP_HELD);
	if (r == SHMP_OWNER_DIED)
		shmp_lock_mark_consistent(&scene.locker[VICTIM]);
	shmp_record_begin(record);
	shmp_record_keep(record);
	memset(record->draft, 0xee, WORDS * sizeof(uint64_t));
	shmp_lock_unlock(&scene.locker[VICTIM]);
}

/* As one who would sleep until there is a newer version. */
static void dies_watching(void *context)
{
	shmp_waiter_prepare(committed(), scene.locker[VICTIM].self, VICTIM,
			    scene.running.has_membarrier);
	while (!shmp_record_is_newer(&scene.at[VICTIM], scene.seen))
		;
	shmp_waiter_finish(committed(), VICTIM);
	if (!read_newest(VICTIM))
		atomic_store(&scene.world->is_wrong, true);
}

static void check_others(void *context)
{
	CHECK(!atomic_load(&scene.world->is_wrong));
	CHECK(read_newest(VICTIM));
	if (shmt_random_below(&scene.running.random, ONE_WAITS_IN) == 0)
		running_await_moves(&scene.running, 1);
}

/* Runs */

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

static void check_all_is_well(void)
{
	const char *why = NULL;

	for (uint32_t place = WRITER; place < PLACES; place++)
		shmt_place_vacate(&scene.segment, place, false, 1);
	come(NULL);
	dies_committing(NULL);
	ck_assert(read_newest(VICTIM));
	ck_assert_uint_eq(shmp_lock_load(lock()), SHMP_LOCK_FREE);
	ck_assert_msg(shmp_record_kind.validate(&scene.segment.map, &why) == 0, "%s", why);
	shmt_segment_free(&scene.segment);
}

static void kill_everywhere(const char *name, void (*operate)(void *context))
{
	memset(&scene, 0, sizeof(scene));
	make_segment();
	scene.world = running_share(sizeof(*scene.world));
	attach(WRITER);
	attach(WATCHER);
	shmp_record_view(&scene.segment.map, &scene.at[VICTIM]);
	scene.running = (struct running){
		.name = name,
		.segment = &scene.segment,
		.peers = PLACES - 1,
		.live = live,
		.place = VICTIM,
		.come = come,
		.operate = operate,
		.check = check_others,
	};
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	running_finish(&scene.running);
	check_all_is_well();
}

TEST(writers_die_committing_while_others_run, .timeout_s = 120)
{
	kill_everywhere("commit", dies_committing);
}

TEST(writers_die_giving_up_while_others_run, .timeout_s = 120)
{
	kill_everywhere("give up", dies_giving_up);
}

TEST(watchers_die_while_others_run, .timeout_s = 120)
{
	kill_everywhere("watch and read", dies_watching);
}

RUNNING_MAIN
