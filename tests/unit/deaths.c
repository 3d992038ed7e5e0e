/* The record of deaths: what is one entry, what gives way, and what a killed broker leaves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/deaths.h"
#include "tests/support/runner.h"

enum {
	ROOM = 9
};

static struct death_record storage[ROOM];
static struct deaths deaths;
static uint64_t moment;

static void begin(void)
{
	memset(storage, 0, sizeof(storage));
	deaths_init(&deaths, storage, ROOM);
}

/* A process that dies with one place in @segment. */
static uint64_t die(uint32_t uid, const char *name, const char *segment)
{
	uint64_t now = ++moment;
	struct death_place place = {
		.segment = segment, .kind = "spsc", .role = "consumer", .endpoint = 1
	};
	struct death_notice notice = { .name = name,
				       .pid = (uint32_t)now,
				       .uid = uid,
				       .held = 1,
				       .at_ns = 1000 * now,
				       .noticed_ns = now };

	deaths_begin(&deaths, &notice);
	return deaths_note(&deaths, &place);
}

static size_t count(void)
{
	size_t entries = 0;
	const struct death_record *record = NULL;

	while ((record = deaths_next(&deaths, record ? record->serial : UINT64_MAX)) != NULL)
		entries++;
	return entries;
}

static const struct death_record *newest(void)
{
	const struct death_record *record = deaths_next(&deaths, UINT64_MAX);

	ck_assert_ptr_nonnull(record);
	return record;
}

TEST(nobody_has_died_at_first)
{
	begin();
	ck_assert_uint_eq(count(), 0);
	deaths_repaired(&deaths, 1);
	ck_assert_uint_eq(count(), 0);
}

TEST(who_dies_again_is_one_entry_with_the_first_and_the_last_time)
{
	uint64_t id;

	begin();
	id = die(1000, "worker", "queue");
	for (int i = 0; i < 99; i++)
		ck_assert_uint_eq(die(1000, "worker", "queue"), id);
	ck_assert_uint_eq(count(), 1);
	ck_assert_uint_eq(newest()->count, 100);
	ck_assert_uint_eq(newest()->first_ns, 1000 * (moment - 99));
	ck_assert_uint_eq(newest()->last_ns, 1000 * moment);
	ck_assert_uint_eq(newest()->pid, moment);
}

TEST(another_user_name_segment_or_role_is_another_entry)
{
	struct death_place place = { .segment = "queue", .kind = "spsc", .role = "producer" };

	begin();
	die(1000, "worker", "queue");
	die(1001, "worker", "queue");
	die(1000, "other", "queue");
	die(1000, "worker", "other");
	deaths_note(&deaths, &place);
	ck_assert_uint_eq(count(), 5);
	ck_assert_str_eq(newest()->role, "producer");
}

TEST(the_newest_come_first)
{
	const struct death_record *second;

	begin();
	die(1, "a", "queue");
	die(1, "b", "queue");
	die(1, "c", "queue");
	die(1, "a", "queue");
	ck_assert_str_eq(newest()->name, "a");
	second = deaths_next(&deaths, newest()->serial);
	ck_assert_str_eq(second->name, "c");
}

TEST(where_there_is_no_room_the_oldest_gives_way)
{
	char name[16];

	begin();
	for (uint32_t i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		die(i, name, "queue");
	}
	ck_assert_uint_eq(count(), ROOM - 1);
	ck_assert_str_eq(newest()->name, "p99");
	for (size_t i = 0; i < ROOM; i++)
		if (storage[i].check != 0)
			ck_assert_uint_ge(storage[i].uid, 100 - (ROOM - 1));
}

TEST(a_user_who_dies_by_a_hundred_names_hides_no_other)
{
	char name[16];

	begin();
	die(1, "quiet", "queue");
	die(2, "quiet", "queue");
	for (uint32_t i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		die(1000, name, "queue");
	}
	ck_assert_uint_eq(count(), 2 + ROOM / 2);
	ck_assert_uint_eq(die(2, "quiet", "queue"), 2);
	ck_assert_uint_eq(newest()->count, 2);
}

TEST(one_process_makes_so_many_entries_and_no_more)
{
	struct death_notice notice = { .name = "hoarder", .pid = 1, .noticed_ns = 1, .held = 100 };
	struct death_record *large = calloc(DEATHS_ROOM, sizeof(*large));
	char name[16];

	deaths_init(&deaths, large, DEATHS_ROOM);
	deaths_begin(&deaths, &notice);
	for (uint32_t i = 0; i < 100; i++) {
		struct death_place place = { .segment = name, .kind = "spsc", .role = "producer" };
		uint64_t id;

		snprintf(name, sizeof(name), "s%u", i);
		id = deaths_note(&deaths, &place);
		ck_assert_int_eq(id != 0, i < DEATH_PLACES_MAX);
	}
	ck_assert_uint_eq(count(), DEATH_PLACES_MAX);
	ck_assert_uint_eq(newest()->held, 100);
	deaths_say_end(&deaths, DEATH_END_KILLED, 9);
	for (size_t i = 0; i < DEATHS_ROOM; i++)
		ck_assert(large[i].check == 0 || large[i].end_value == 9);
	free(large);
}

TEST(places_of_one_process_in_one_role_are_one_death)
{
	struct death_place place = { .segment = "pool",
				     .kind = "pool",
				     .role = "user",
				     .hold_count = 1,
				     .holds = { { "objects", "freed", 3, false } } };

	begin();
	deaths_begin(&deaths, &(struct death_notice){ .name = "", .pid = 7, .noticed_ns = 7 });
	deaths_note(&deaths, &place);
	place.endpoint = 1;
	place.holds[0].is_least = true;
	deaths_note(&deaths, &place);
	ck_assert_uint_eq(newest()->count, 1);
	ck_assert_uint_eq(newest()->places, 2);
	ck_assert_uint_eq(newest()->hold_count, 1);
	ck_assert_uint_eq(newest()->holds[0].count, 6);
	ck_assert_uint_eq(newest()->holds[0].is_least, 1);
}

TEST(a_repair_that_goes_on_has_taken_no_time_yet)
{
	struct death_place place = {
		.segment = "pool", .kind = "pool", .role = "user", .is_pending = true
	};
	uint64_t id;

	begin();
	deaths_begin(&deaths, &(struct death_notice){ .name = "", .pid = 7, .noticed_ns = 7 });
	id = deaths_note(&deaths, &place);
	ck_assert_uint_eq(deaths_note(&deaths, &place), id);
	deaths_repaired(&deaths, id);
	ck_assert_uint_eq(newest()->repair_ns, 0);
	deaths_repaired(&deaths, id);
	ck_assert_uint_ne(newest()->repair_ns, 0);
	ck_assert_uint_eq(newest()->repair_max_ns, newest()->repair_ns);
	deaths_repaired(&deaths, id);
	deaths_repaired(&deaths, id + 1);
	ck_assert_uint_eq(newest()->pending, 0);
}

TEST(what_another_broker_left_is_taken_up)
{
	uint64_t id;

	begin();
	die(1, "a", "queue");
	id = die(1, "b", "queue");
	deaths_init(&deaths, storage, ROOM);
	ck_assert_uint_eq(count(), 2);
	ck_assert_uint_eq(die(1, "b", "queue"), id);
	ck_assert_uint_eq(newest()->count, 2);
	ck_assert_uint_eq(die(1, "c", "queue"), newest()->id);
	ck_assert_uint_eq(count(), 3);
}

/* A store of @bytes, cut off anywhere. */
TEST(a_record_that_is_half_written_does_not_count)
{
	struct death_record whole;

	for (size_t bytes = 0; bytes < sizeof(whole); bytes++) {
		begin();
		die(1, "a", "queue");
		whole = storage[0].check != 0 ? storage[0] : storage[1];
		memset(storage, 0, sizeof(storage));
		/* all that differs from zero is missing behind it */
		memcpy(&storage[3], &whole, bytes);
		deaths_init(&deaths, storage, ROOM);
		if (memcmp(&storage[3], &whole, sizeof(whole)) != 0)
			ck_assert_uint_eq(count(), 0);
	}
}

TEST(any_flipped_byte_is_noticed)
{
	begin();
	die(1, "a", "queue");
	for (size_t i = 0; i < sizeof(storage[0]); i++) {
		struct death_record copy[ROOM];

		memcpy(copy, storage, sizeof(copy));
		for (size_t k = 0; k < ROOM; k++)
			if (copy[k].check != 0)
				((unsigned char *)&copy[k])[i] ^= 0x40;
		deaths_init(&deaths, copy, ROOM);
		ck_assert_uint_eq(count(), 0);
	}
}

TEST(of_two_records_of_an_entry_the_later_counts)
{
	struct death_record before;
	size_t slot = 0;

	begin();
	die(1, "a", "queue");
	while (storage[slot].check == 0)
		slot++;
	before = storage[slot];
	die(1, "a", "queue");
	ck_assert_uint_eq(storage[slot].check, 0);
	/* the broker was killed before it had cleared the old one */
	storage[slot] = before;
	deaths_init(&deaths, storage, ROOM);
	ck_assert_uint_eq(count(), 1);
	ck_assert_uint_eq(newest()->count, 2);
}

TEST(storage_without_a_free_slot_is_made_to_have_one)
{
	begin();
	for (uint32_t i = 0; i < ROOM - 1; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%u", i);
		die(i, name, "queue");
	}
	for (size_t i = 0; i < ROOM; i++)
		if (storage[i].check == 0)
			storage[i] = storage[(i + 1) % ROOM];
	deaths_init(&deaths, storage, ROOM);
	ck_assert_uint_lt(count(), ROOM);
	die(77, "new", "queue");
	ck_assert_str_eq(newest()->name, "new");
}

TEST(names_as_long_as_they_may_be_are_kept_whole)
{
	char segment[256], name[65];

	memset(segment, 's', 255);
	segment[255] = '\0';
	memset(name, 'n', 64);
	name[64] = '\0';
	begin();
	die(1, name, segment);
	die(1, name, segment);
	ck_assert_str_eq(newest()->segment, segment);
	ck_assert_str_eq(newest()->name, name);
	ck_assert_uint_eq(newest()->count, 2);
}

SHMT_MAIN
