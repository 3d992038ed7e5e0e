/*
 * A writer or a reader of a record is stopped, not dead, after every instruction of what it does.
 * Others read, write if they get the lock, and one dies in a transaction and is repaired. A read
 * gives one committed version, whole, and none older than was there when it began; of the stopped
 * one's transaction nothing is seen before its commit, and all of it afterwards.
 */
#include "protocol/record.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/crash/deaths.h"
#include "tests/support/runner.h"

enum {
	STOPPED = 0,
	OTHER = 1,
	THIRD = 2, /* dies meanwhile */
	PLACES = 3,
	WORDS = 12,
	COMMITS = 5, /* before; each slot is used */
	OWN = 1000,
	OTHERS = 2000,
	NEVER = 666,
};

struct image {
	struct shmp_schema schema;
	struct shmp_schema_field field;
};

/* Shared with who is stopped. */
struct own {
	struct shmp_record record[PLACES];
	struct shmp_locker locker[PLACES];
	uint64_t words[WORDS], number; /* that the stopped one read */
	uint64_t newest;	       /* number of the version that was seen last */
	uint64_t value;		       /* that was committed last by others */
	int r;
};

static struct scene {
	struct shmt_segment segment;
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

static void attach(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	shmp_record_view(&scene.segment.map, &scene.own->record[place]);
	shmp_lock_attach(&scene.own->record[place].control->lock, &scene.segment.map, place,
			 &scene.own->locker[place]);
	scene.own->locker[place].second = time(NULL);
}

/* As libclient does it; DONE, HELD. */
static int begin(uint32_t place, uint64_t value)
{
	struct shmp_record *record = &scene.own->record[place];
	uint64_t words[WORDS];
	int r = shmp_lock_try_write(&scene.own->locker[place]);

	if (r == SHMP_OWNER_DIED)
		shmp_lock_mark_consistent(&scene.own->locker[place]);
	else if (r != SHMP_DONE)
		return r;
	for (int i = 0; i < WORDS; i++)
		words[i] = value;
	shmp_record_begin(record);
	shmp_record_keep(record);
	memcpy(record->draft, words, sizeof(words));
	return SHMP_DONE;
}

static int transact(uint32_t place, uint64_t value)
{
	int r = begin(place, value);

	if (r != SHMP_DONE)
		return r;
	shmp_record_commit(&scene.own->record[place]);
	shmp_lock_unlock(&scene.own->locker[place]);
	return SHMP_DONE;
}

static bool is_whole(const uint64_t *words)
{
	for (int i = 1; i < WORDS; i++)
		if (words[i] != words[0])
			return false;
	return words[0] != NEVER;
}

/* The newest version, never an older one than before. */
static uint64_t look(void)
{
	uint64_t words[WORDS], number;

	CHECK(shmp_record_read(&scene.own->record[OTHER], words, &number) == SHMP_DONE);
	CHECK(is_whole(words) && number >= scene.own->newest);
	scene.own->newest = number;
	return words[0];
}

/* What the stopped one does, stepped */

static void writes(void *context)
{
	(void)context;
	scene.own->r = transact(STOPPED, OWN);
}

static void reads(void *context)
{
	(void)context;
	scene.own->r = shmp_record_read(&scene.own->record[STOPPED], scene.own->words,
					&scene.own->number);
}

/* Meanwhile */

static void others_go_on(void *context)
{
	uint64_t seen = look();

	(void)context;
	for (uint64_t i = 1; i <= 6; i++) {
		uint64_t value = OTHERS + i;

		if (begin(THIRD, NEVER) == SHMP_DONE)
			CHECK(look() == seen);
		shmt_place_vacate(&scene.segment, THIRD, true, 1 + (int)(scene.deaths.point % 3));
		attach(THIRD);
		if (transact(OTHER, value) == SHMP_DONE)
			seen = scene.own->value = value;
		CHECK(look() == seen);
	}
}

/* What must be, when it has ended */

static void go_on(void)
{
	const char *why;

	for (uint64_t i = 0; i < PLACES * SHMP_RECORD_SLOTS; i++) {
		CHECK(transact((uint32_t)i % PLACES, 3000 + i) == SHMP_DONE);
		CHECK(look() == 3000 + i);
	}
	CHECK(shmp_record_kind.validate(&scene.segment.map, &why) == 0);
}

/* Behind the others' versions, or in their stead. */
static void is_committed(void *context)
{
	uint64_t value = look();

	(void)context;
	CHECK(scene.own->r == SHMP_DONE);
	CHECK(value == OWN || value == scene.own->value);
	CHECK(value == OWN || scene.deaths.point > 0);
	CHECK(scene.own->newest == COMMITS + 2 + (scene.own->value > OTHERS ? 6 : 0));
	go_on();
}

static void is_read(void *context)
{
	(void)context;
	CHECK(scene.own->r == SHMP_DONE && is_whole(scene.own->words));
	CHECK(scene.own->words[0] == COMMITS || scene.own->words[0] == scene.own->value);
	CHECK(scene.deaths.point > 0 || scene.own->words[0] == scene.own->value);
	go_on();
}

static void stop_in(const char *name, void (*operate)(void *), void (*check)(void *))
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
	scene = (struct scene){ .own = mmap(NULL, sizeof(*scene.own), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0) };
	SHMT_REQUIRE(scene.own != MAP_FAILED);
	shmt_segment_make_with(&scene.segment, "record", option, &image, sizeof(image));
	for (uint32_t place = 0; place < PLACES; place++)
		attach(place);
	for (uint64_t i = 1; i <= COMMITS; i++)
		SHMT_REQUIRE(transact(OTHER, i) == SHMP_DONE);
	scene.own->value = COMMITS;
	scene.deaths = (struct deaths){ .name = name,
					.segment = &scene.segment,
					.own = scene.own,
					.own_bytes = sizeof(*scene.own),
					.operate = operate,
					.meanwhile = others_go_on,
					.check = check };
	deaths_everywhere(&scene.deaths);
	shmt_segment_free(&scene.segment);
	munmap(scene.own, sizeof(*scene.own));
}

TEST(a_writer_stopped_anywhere_in_a_transaction_ends_it_later, .timeout_s = 60)
{
	stop_in("transaction, others go on", writes, is_committed);
}

TEST(a_reader_stopped_anywhere_in_a_read_gets_one_version, .timeout_s = 60)
{
	stop_in("read, others go on", reads, is_read);
}

DEATHS_MAIN
