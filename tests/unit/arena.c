/* The directory of an arena: look-ups, chains, and readers beside a broker that changes it. */
#include "protocol/arena.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/support/segment.h"

enum {
	ENTRIES = 24,
	CHANGES = 200000,
};

static struct shmt_segment segment;
static struct shmp_arena arena;

static void make(uint64_t name_bytes, uint64_t entries)
{
	const uint64_t option[SHMP_OPTIONS_MAX] = { name_bytes, entries, 4096, 4096 };

	shmt_segment_make(&segment, "arena", option);
	shmp_arena_view(&segment.map, &arena);
}

/* What it says of itself follows from its generation, so that a mixture is seen. */
static void enlist(uint32_t index, const char *name, uint64_t generation)
{
	shmp_arena_enlist(&arena, name,
			  &(struct shmp_arena_object){ .generation = generation,
						       .index = index,
						       .kind = (uint32_t)generation,
						       .control_bytes = generation * 128,
						       .data_offset = generation * 4096,
						       .data_bytes = generation * 8192 });
}

static bool is_whole(const struct shmp_arena_object *object)
{
	return object->kind == (uint32_t)object->generation &&
	       object->control_bytes == (uint64_t)(uint32_t)object->generation * 128 &&
	       object->data_offset == (uint64_t)(uint32_t)object->generation * 4096 &&
	       object->data_bytes == (uint64_t)(uint32_t)(2 * object->generation) * 4096;
}

TEST(names_of_every_length_are_found_and_no_others)
{
	struct shmp_arena_object object;
	char name[SHMP_ARENA_NAME_BYTES_MAX + 2];

	make(256, 256);
	for (uint32_t i = 1; i <= 256; i++) {
		snprintf(name, sizeof(name), "%0*u", (int)i, i % 10);
		enlist(i - 1, name, i);
	}
	for (uint32_t i = 1; i <= 256; i++) {
		snprintf(name, sizeof(name), "%0*u", (int)i, i % 10);
		ck_assert(shmp_arena_find(&arena, name, &object));
		ck_assert_uint_eq(object.index, i - 1);
		ck_assert_uint_eq(object.generation, i);
		ck_assert(is_whole(&object));
		name[i - 1] = 'x';
		ck_assert(!shmp_arena_find(&arena, name, &object));
	}
	memset(name, '0', sizeof(name));
	name[257] = '\0';
	ck_assert(!shmp_arena_find(&arena, name, &object));
	ck_assert(!shmp_arena_find(&arena, "", &object));
	shmt_segment_free(&segment);
}

TEST(any_entry_may_leave_a_chain)
{
	struct shmp_arena_object object;
	char name[16];

	make(16, 64);
	for (uint32_t left = 0; left < 64; left++) {
		for (uint32_t i = 0; i < 64; i++) {
			snprintf(name, sizeof(name), "n%u", i);
			enlist(i, name, 1000 * left + i + 1);
		}
		snprintf(name, sizeof(name), "n%u", left);
		shmp_arena_delist(&arena, left);
		ck_assert(!shmp_arena_find(&arena, name, &object));
		for (uint32_t i = 0; i < 64; i++) {
			snprintf(name, sizeof(name), "n%u", i);
			ck_assert(shmp_arena_find(&arena, name, &object) == (i != left));
			if (i != left)
				shmp_arena_delist(&arena, i);
		}
	}
	ck_assert_uint_eq(atomic_load(&arena.control->used), 0);
	for (uint32_t i = 0; i <= arena.bucket_mask; i++)
		ck_assert_uint_eq(atomic_load(&arena.buckets[i]), 0);
	shmt_segment_free(&segment);
}

TEST(a_generation_is_current_until_its_name_goes)
{
	make(16, 4);
	enlist(2, "a", 7);
	ck_assert(shmp_arena_is_current(&arena, 2, 7));
	ck_assert(!shmp_arena_is_current(&arena, 2, 8));
	ck_assert(!shmp_arena_is_current(&arena, 3, 0));
	ck_assert(!shmp_arena_is_current(&arena, 4, 7));
	shmp_arena_delist(&arena, 2);
	ck_assert(!shmp_arena_is_current(&arena, 2, 7));
	shmt_segment_free(&segment);
}

TEST(a_broker_that_died_within_a_change_leaves_all_others_to_be_found)
{
	struct shmp_arena_object object;

	make(16, 8);
	enlist(0, "a", 1);
	enlist(1, "b", 2);
	/* odd for good, and chains that lead nowhere */
	atomic_fetch_add(&arena.control->version, 1);
	for (uint32_t i = 0; i <= arena.bucket_mask; i++)
		atomic_store(&arena.buckets[i], 0);
	ck_assert(shmp_arena_find(&arena, "a", &object));
	ck_assert(shmp_arena_find(&arena, "b", &object));
	ck_assert(!shmp_arena_find(&arena, "c", &object));
	shmt_segment_free(&segment);
}

TEST(nonsense_in_the_directory_ends_a_look_up)
{
	struct shmt_random random = { shmt_seed() };
	uint64_t bytes = shmp_arena_directory_bytes(16, ENTRIES);
	struct shmp_arena_object object;
	char name[SHMP_ARENA_NAME_BYTES_MAX + 1];

	make(16, ENTRIES);
	for (int round = 0; round < 2000; round++) {
		for (uint64_t at = 0; at < bytes; at += 8) {
			uint64_t word = shmt_random_next(&random) >> shmt_random_below(&random, 64);

			memcpy((uint8_t *)segment.map.control + at, &word, 8);
		}
		shmp_arena_find(&arena, "a", &object);
		for (uint32_t i = 0; i < ENTRIES; i++)
			shmp_arena_read(&arena, i, name, &object);
		shmp_arena_delist(&arena, (uint32_t)round % ENTRIES);
		enlist((uint32_t)round % ENTRIES, "b", (uint64_t)round + 1);
	}
	shmt_segment_free(&segment);
}

/* Beside a broker: half of the entries stay, the others come and go under names of one chain. */

static _Atomic bool is_over;

static void *change(void *unused)
{
	struct shmt_random random = { 1 };
	bool is_there[ENTRIES] = { false };
	uint64_t generation = ENTRIES;
	char name[16];

	(void)unused;
	for (int i = 0; i < CHANGES; i++) {
		uint32_t index = ENTRIES / 2 + (uint32_t)shmt_random_below(&random, ENTRIES / 2);

		if (is_there[index]) {
			shmp_arena_delist(&arena, index);
		} else {
			generation++;
			snprintf(name, sizeof(name), "v%u",
				 (unsigned int)(generation % 1000 * ENTRIES + index));
			enlist(index, name, generation);
		}
		is_there[index] = !is_there[index];
	}
	atomic_store(&is_over, true);
	return NULL;
}

/* The name tells the entry, and with the generation what it must say. */
static void check_all(unsigned int *ret_stayed)
{
	char name[SHMP_ARENA_NAME_BYTES_MAX + 1];
	struct shmp_arena_object object;
	unsigned int number;

	for (uint32_t i = 0; i < ENTRIES; i++) {
		if (!shmp_arena_read(&arena, i, name, &object))
			continue;
		SHMT_REQUIRE(is_whole(&object) && object.index == i);
		number = (unsigned int)strtoul(name + 1, NULL, 10);
		SHMT_REQUIRE(number % ENTRIES == i);
		*ret_stayed += name[0] == 's';
		SHMT_REQUIRE(name[0] == 's' || number / ENTRIES == object.generation % 1000);
	}
}

TEST(what_stays_is_always_found_and_never_mixed_beside_changes, .timeout_s = 60)
{
	struct shmp_arena_object object;
	pthread_t broker;
	char name[16];

	make(16, ENTRIES);
	for (uint32_t i = 0; i < ENTRIES / 2; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		enlist(i, name, i + 1);
	}
	SHMT_REQUIRE(pthread_create(&broker, NULL, change, NULL) == 0);
	while (!atomic_load(&is_over)) {
		unsigned int stayed = 0;

		for (uint32_t i = 0; i < ENTRIES; i++) {
			snprintf(name, sizeof(name), "s%u", i);
			SHMT_REQUIRE(shmp_arena_find(&arena, name, &object) == (i < ENTRIES / 2));
			SHMT_REQUIRE(i >= ENTRIES / 2 || object.index == i);
		}
		check_all(&stayed);
		SHMT_REQUIRE(stayed == ENTRIES / 2);
	}
	pthread_join(broker, NULL);
	shmt_segment_free(&segment);
}

SHMT_MAIN
