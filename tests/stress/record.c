/*
 * Writers and readers of a record as fast as they can, as threads that share one mapping, so that
 * the thread sanitizer sees them: no reader gets a version that nobody wrote, or an older one than
 * before.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/record.h"
#include "tests/support/runner.h"
#include "tests/support/segment.h"

enum {
	WRITERS = 3,
	READERS = 2,
	WORDS = 64,
	COMMITS = 20000
};

struct image {
	struct shmp_schema schema;
	struct shmp_schema_field field;
};

static struct shmt_segment segment;
static _Atomic uint32_t writers_left;

static void make_segment(void)
{
	static struct image image = {
		.schema = { .field_count = 1 },
		.field = { .name = "words", .type = SHMP_TYPE_BYTES, .bytes = WORDS * 8 }
	};
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };
	const char *why;
	uint32_t field;

	SHMT_REQUIRE(shmp_schema_seal(&image.schema, &why, &field) == 0);
	option[SHMP_RECORD_BYTES] = image.schema.record_bytes;
	option[SHMP_RECORD_SCHEMA_BYTES] = sizeof(image);
	option[SHMP_RECORD_LAYOUT_HASH] = image.schema.layout_hash;
	option[SHMP_RECORD_ENDPOINTS_MAX] = WRITERS;
	shmt_segment_make_with(&segment, "record", option, &image, sizeof(image));
}

static uint64_t commits(void)
{
	return COMMITS / shmt_scaled(1);
}

static void *write_all(void *context)
{
	uint32_t place = (uint32_t)(uintptr_t)context;
	struct shmp_record record;
	struct shmp_locker locker;
	uint64_t words[WORDS];

	shmp_record_view(&segment.map, &record);
	shmp_lock_attach(&record.control->lock, &segment.map, place, &locker);
	for (uint64_t i = 0; i < commits(); i++) {
		while (shmp_lock_try_write(&locker) != SHMP_DONE)
			sched_yield();
		shmp_record_begin(&record);
		for (int k = 0; k < WORDS; k++)
			words[k] = record.number * WORDS + (uint64_t)k;
		memcpy(record.draft, words, sizeof(words));
		/* some are given up */
		if (i % 7 != 0)
			shmp_record_commit(&record);
		shmp_lock_unlock(&locker);
	}
	atomic_fetch_sub(&writers_left, 1);
	return NULL;
}

static void *read_all(void *context)
{
	struct shmp_record record;
	uint64_t words[WORDS], number, last = 0;

	(void)context;
	shmp_record_view(&segment.map, &record);
	do {
		SHMT_REQUIRE(shmp_record_read(&record, words, &number) == SHMP_DONE);
		SHMT_REQUIRE(number >= last);
		for (uint64_t k = 0; number > 1 && k < WORDS; k++)
			SHMT_REQUIRE(words[k] == number * WORDS + k);
		last = number;
	} while (atomic_load(&writers_left) > 0);
	return NULL;
}

TEST(readers_get_whole_versions_in_order_beside_many_writers, .timeout_s = 120)
{
	pthread_t thread[WRITERS + READERS];
	struct shmp_record record;

	make_segment();
	for (uint32_t i = 0; i < WRITERS; i++)
		shmt_place_assign(&segment, i);
	atomic_store(&writers_left, WRITERS);
	for (uintptr_t i = 0; i < WRITERS + READERS; i++)
		pthread_create(&thread[i], NULL, i < WRITERS ? write_all : read_all, (void *)i);
	for (int i = 0; i < WRITERS + READERS; i++)
		pthread_join(thread[i], NULL);
	shmp_record_view(&segment.map, &record);
	ck_assert_uint_eq(shmp_record_newest(&record) - 1,
			  WRITERS * (commits() - (commits() + 6) / 7));
	shmt_segment_free(&segment);
}

SHMT_MAIN
