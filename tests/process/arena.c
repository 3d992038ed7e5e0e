/* Arenas through the library and a real broker: tables, names, space, and finding by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

enum {
	ROUNDS = 10000,
	NAMES = 24,
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_arena *arena;
	size_t descriptors, brokers;
};

static struct scene scene_open(struct shmc_arena_options options)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };
	struct shmc_error error = { .text = "" };

	scene.brokers = shmt_broker_descriptors(&scene.broker);
	scene.client = shmt_connect(&scene.broker);
	ck_assert_msg(shmc_arena_create(scene.client, "sim", &options, &error) == SHMC_OK, "%s",
		      error.text);
	ck_assert_msg(shmc_arena_open(scene.client, "sim", &scene.arena, &error) == SHMC_OK, "%s",
		      error.text);
	return scene;
}

/* The last one to leave gives everything back. */
static void scene_close(struct scene *scene)
{
	shmc_unlink(scene->client, "sim", NULL);
	shmc_arena_close(scene->arena);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_settle(&scene->broker, scene->brokers);
	shmt_broker_stop(&scene->broker);
}

/* Small ones: a page of data and little control. */
static enum shmc_result make_array(struct shmc_client *client, const char *name, uint64_t elements,
				   struct shmc_error *error)
{
	return shmc_array_create(client, name,
				 &(struct shmc_array_options){ .element_bytes = 8,
							       .elements = elements,
							       .endpoints_max = 4 },
				 error);
}

static struct shmc_array *open_array(struct shmc_client *client, const char *name,
				     enum shmc_array_role role)
{
	struct shmc_error error = { .text = "" };
	struct shmc_array *array = NULL;

	ck_assert_msg(shmc_array_open(client, name, role, NULL, &array, &error) == SHMC_OK, "%s",
		      error.text);
	return array;
}

static struct shmc_arena_statistics statistics_of(const struct scene *scene)
{
	struct shmc_arena_statistics statistics;

	shmt_assert_ok(shmc_arena_statistics(scene->arena, &statistics));
	return statistics;
}

TEST(an_object_is_made_opened_and_unlinked_as_any_segment)
{
	struct scene scene = scene_open((struct shmc_arena_options){ .table = 0 });
	struct shmc_array *writer, *reader;
	struct shmc_arena_object object;
	uint64_t value = 42, got = 0;

	shmt_assert_ok(make_array(scene.client, "sim:positions", 100, NULL));
	shmt_assert_ok(shmc_arena_find(scene.arena, "positions", &object));
	ck_assert_str_eq(object.kind, "array");
	ck_assert_uint_eq(object.data_bytes, 4096);
	writer = open_array(scene.client, "sim:positions", SHMC_ARRAY_WRITER);
	reader = open_array(scene.client, "sim:positions", SHMC_ARRAY_READER);
	shmt_assert_ok(shmc_array_set(writer, 99, &value, 8));
	shmt_assert_ok(shmc_array_get(reader, 99, &got, 8));
	ck_assert_uint_eq(got, 42);
	shmt_assert_ok(shmc_unlink(scene.client, "sim:positions", NULL));
	shmt_assert_result(shmc_arena_find(scene.arena, "positions", NULL), SHMC_NOT_FOUND);
	shmt_assert_ok(shmc_array_get(reader, 99, &got, 8));
	shmc_array_close(writer);
	shmc_array_close(reader);
	scene_close(&scene);
}

TEST(objects_share_nothing_but_the_arena)
{
	struct scene scene = scene_open((struct shmc_arena_options){ .table = 0 });
	struct shmc_array *arrays[NAMES];
	char name[32];

	for (uint64_t i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "sim:a%u", (unsigned int)i);
		shmt_assert_ok(make_array(scene.client, name, 512, NULL));
		arrays[i] = open_array(scene.client, name, SHMC_ARRAY_WRITER);
		shmt_assert_ok(shmc_array_fill(arrays[i], 0, 512, &i));
	}
	for (uint64_t i = 0; i < NAMES; i++) {
		const uint64_t *all = shmc_array_data(arrays[i]);
		struct shmc_statistics statistics;

		for (size_t k = 0; k < 512; k++)
			ck_assert_uint_eq(all[k], i);
		shmt_assert_ok(shmc_array_statistics(arrays[i], &statistics));
		ck_assert_uint_eq(statistics.messages, 512);
		shmc_array_close(arrays[i]);
	}
	scene_close(&scene);
}

TEST(an_atomic_is_found_and_changed_beside_an_array)
{
	struct scene scene = scene_open((struct shmc_arena_options){ .table = 0 });
	struct shmc_atomic_options options = { .type = SHMC_TYPE_U64 };
	struct shmc_atomic *atomic;

	shmt_assert_ok(make_array(scene.client, "sim:one", 1, NULL));
	shmt_assert_ok(shmc_atomic_create(scene.client, "sim:steps", &options, NULL));
	shmt_assert_ok(shmc_atomic_open(scene.client, "sim:steps", SHMC_ATOMIC_WRITER,
					SHMC_TYPE_U64, &atomic, NULL));
	shmc_atomic_close(atomic);
	scene_close(&scene);
}

TEST(the_longest_name_is_accepted_and_a_longer_one_refused_whole)
{
	struct scene scene =
		scene_open((struct shmc_arena_options){ .table = SHMC_ARENA_TABLE_16X16 });
	struct shmc_error error = { .text = "" };

	shmt_assert_ok(make_array(scene.client, "sim:0123456789abcdef", 1, NULL));
	shmt_assert_ok(shmc_arena_find(scene.arena, "0123456789abcdef", NULL));
	shmt_assert_result(shmc_arena_find(scene.arena, "0123456789abcde", NULL), SHMC_NOT_FOUND);
	shmt_assert_result(make_array(scene.client, "sim:0123456789abcdefg", 1, &error),
			   SHMC_TOO_BIG);
	shmt_assert_says(&error, "0123456789abcdefg");
	shmt_assert_says(&error, "16");
	shmt_assert_result(shmc_arena_find(scene.arena, "0123456789abcdefg", NULL), SHMC_NOT_FOUND);
	shmt_assert_result(shmc_arena_find(scene.arena, "", NULL), SHMC_NOT_FOUND);
	scene_close(&scene);
}

TEST(names_that_are_none_are_refused)
{
	static const char *const names[] = { "sim:",	 ":a",	    "sim:a:b", "sim:..",  "sim:/a",
					     "sim:a//b", "sim:a b", "sim:\n",  "../sim:a" };
	struct scene scene = scene_open((struct shmc_arena_options){ .table = 0 });
	struct shmc_error error = { .text = "" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		shmt_assert_result(make_array(scene.client, names[i], 1, NULL), SHMC_INVALID);
	shmt_assert_ok(make_array(scene.client, "sim:a/b", 1, NULL));
	shmt_assert_result(make_array(scene.client, "sim:a/b", 1, &error), SHMC_EXISTS);
	shmt_assert_says(&error, "sim:a/b");
	shmt_assert_result(make_array(scene.client, "other:a", 1, &error), SHMC_NOT_FOUND);
	shmt_assert_says(&error, "other");
	scene_close(&scene);
}

TEST(what_an_object_cannot_have_is_refused_by_name)
{
	struct shmc_create_options huge = { .flags = SHMC_CREATE_HUGE_PAGES };
	struct shmc_create_options given = { .flags = SHMC_CREATE_OWNER };
	struct shmc_array_options options = { .mode = 0644 };
	struct scene scene = scene_open((struct shmc_arena_options){ .table = 0 });
	struct shmc_error error = { .text = "" };

	shmt_assert_result(shmc_array_create(scene.client, "sim:a", &options, &error),
			   SHMC_INVALID);
	shmt_assert_says(&error, "mode");
	options = (struct shmc_array_options){ .common = &given };
	shmt_assert_result(shmc_array_create(scene.client, "sim:a", &options, &error),
			   SHMC_INVALID);
	shmt_assert_says(&error, "owner");
	options = (struct shmc_array_options){ .common = &huge };
	shmt_assert_result(shmc_array_create(scene.client, "sim:a", &options, &error),
			   SHMC_INVALID);
	shmt_assert_says(&error, "huge_pages");
	shmt_assert_result(shmc_arena_create(scene.client, "sim:a", NULL, &error), SHMC_INVALID);
	shmt_assert_says(&error, "arena");
	shmt_assert_ok(shmc_array_create(scene.client, "flat", NULL, NULL));
	shmt_assert_result(make_array(scene.client, "flat:a", 1, &error), SHMC_MISMATCH);
	shmt_assert_says(&error, "array");
	shmt_assert_ok(shmc_unlink(scene.client, "flat", NULL));
	ck_assert_uint_eq(statistics_of(&scene).entries_used, 0);
	scene_close(&scene);
}

static void make_many(struct shmc_client *client, unsigned int count)
{
	char name[32];

	for (unsigned int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "sim:a%u", i);
		shmt_assert_ok(make_array(client, name, 1, NULL));
	}
}

TEST(a_full_table_and_a_full_heap_are_different_and_harm_nothing)
{
	struct scene scene = scene_open((struct shmc_arena_options){
		.entries = 3, .control_bytes = 8192, .data_bytes = 16384 });
	struct shmc_error error = { .text = "" };

	shmt_assert_result(make_array(scene.client, "sim:big", 2049, &error), SHMC_NO_SPACE);
	shmt_assert_says(&error, "20480");
	shmt_assert_says(&error, "16384");
	shmt_assert_says(&error, "data_bytes");
	shmt_assert_result(shmc_array_create(scene.client, "sim:wide", NULL, &error),
			   SHMC_NO_SPACE);
	shmt_assert_says(&error, "control_bytes");
	ck_assert_uint_eq(statistics_of(&scene).data_free_bytes, 16384);
	ck_assert_uint_eq(statistics_of(&scene).control_free_bytes, 8192);
	make_many(scene.client, 3);
	shmt_assert_result(make_array(scene.client, "sim:more", 1, &error), SHMC_QUOTA);
	shmt_assert_says(&error, "entries");
	ck_assert_uint_eq(statistics_of(&scene).entries_used, 3);
	ck_assert_uint_eq(statistics_of(&scene).data_largest_bytes, 4096);
	shmt_assert_ok(shmc_unlink(scene.client, "sim:a1", NULL));
	shmt_assert_ok(make_array(scene.client, "sim:more", 1, NULL));
	for (int i = 0; i < 3; i++)
		shmt_assert_ok(shmc_arena_find(scene.arena,
					       i == 1 ? "more" :
					       i      ? "a2" :
							"a0",
					       NULL));
	scene_close(&scene);
}

static int count_object(void *context, const char *name, const struct shmc_arena_object *object)
{
	ck_assert_int_eq(name[0], 'a');
	ck_assert_str_eq(object->kind, "array");
	++*(unsigned int *)context;
	return 0;
}

TEST(a_hundred_objects_are_all_found_and_all_shown)
{
	struct scene scene =
		scene_open((struct shmc_arena_options){ .table = SHMC_ARENA_TABLE_64X256 });
	unsigned int count = 0;
	char name[32];

	make_many(scene.client, 100);
	shmt_assert_ok(shmc_arena_each(scene.arena, count_object, &count));
	ck_assert_uint_eq(count, 100);
	for (unsigned int i = 0; i < 101; i++) {
		snprintf(name, sizeof(name), "a%u", i);
		shmt_assert_result(shmc_arena_find(scene.arena, name, NULL),
				   i < 100 ? SHMC_OK : SHMC_NOT_FOUND);
	}
	scene_close(&scene);
}

TEST(presets_cost_what_they_may_and_hold_what_they_say)
{
	static const struct {
		enum shmc_arena_table table;
		uint64_t name_bytes, entries, at_most;
	} rows[] = {
		{ SHMC_ARENA_TABLE_16X16, 16, 16, 904 },
		{ SHMC_ARENA_TABLE_32X64, 32, 64, 4600 },
		{ SHMC_ARENA_TABLE_64X256, 64, 256, 27000 },
		{ SHMC_ARENA_TABLE_256X1024, 256, 1024, 304000 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scene scene = scene_open((struct shmc_arena_options){
			.table = rows[i].table, .control_bytes = 4096 });
		struct shmc_arena_options options;

		shmt_assert_ok(shmc_arena_options_of(scene.arena, &options));
		ck_assert_uint_eq(options.name_bytes, rows[i].name_bytes);
		ck_assert_uint_eq(options.entries, rows[i].entries);
		ck_assert_uint_le(statistics_of(&scene).directory_bytes, rows[i].at_most);
		scene_close(&scene);
	}
}

TEST(a_table_of_ones_own_is_rounded_up)
{
	struct scene scene = scene_open((struct shmc_arena_options){
		.name_bytes = 9, .entries = 5, .control_bytes = 1, .data_bytes = 5000 });
	struct shmc_arena_options options, wanted = { .table = 9 };
	struct shmc_error error = { .text = "" };

	shmt_assert_ok(shmc_arena_options_of(scene.arena, &options));
	ck_assert_uint_eq(options.name_bytes, 16);
	ck_assert_uint_eq(options.entries, 5);
	ck_assert_uint_eq(options.control_bytes, 4096);
	ck_assert_uint_eq(options.data_bytes, 8192);
	shmt_assert_result(shmc_arena_create(scene.client, "b", &wanted, &error), SHMC_INVALID);
	shmt_assert_says(&error, "table");
	wanted = (struct shmc_arena_options){ .table = SHMC_ARENA_TABLE_16X16, .entries = 5 };
	shmt_assert_result(shmc_arena_create(scene.client, "b", &wanted, &error), SHMC_INVALID);
	wanted = (struct shmc_arena_options){ .entries = 4097 };
	shmt_assert_result(shmc_arena_create(scene.client, "b", &wanted, &error), SHMC_TOO_BIG);
	shmt_assert_says(&error, "4096");
	scene_close(&scene);
}

TEST(deleting_and_making_again_ten_thousand_times_does_not_run_out, .timeout_s = 120)
{
	struct scene scene = scene_open((struct shmc_arena_options){
		.entries = 2, .control_bytes = 4096, .data_bytes = 8192 });
	struct shmc_arena_statistics before = statistics_of(&scene), after;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		shmt_assert_ok(make_array(scene.client, i % 2 ? "sim:odd" : "sim:even", 512, NULL));
		shmt_assert_ok(make_array(scene.client, "sim:x", 512, NULL));
		shmt_assert_ok(shmc_unlink(scene.client, i % 2 ? "sim:odd" : "sim:even", NULL));
		shmt_assert_ok(shmc_unlink(scene.client, "sim:x", NULL));
	}
	after = statistics_of(&scene);
	ck_assert_int_eq(memcmp(&before, &after, sizeof(before)), 0);
	scene_close(&scene);
}

TEST(a_new_object_begins_with_zeroes_where_an_old_one_was)
{
	struct scene scene = scene_open((struct shmc_arena_options){ .data_bytes = 2u << 20 });

	/* cleared by the broker, and by its helper */
	for (uint64_t elements = 512; elements <= 131072; elements *= 16) {
		uint64_t ones = UINT64_MAX;
		struct shmc_array *array;

		for (int round = 0; round < 2; round++) {
			const uint64_t *all;

			shmt_assert_ok(make_array(scene.client, "sim:a", elements, NULL));
			array = open_array(scene.client, "sim:a", SHMC_ARRAY_WRITER);
			all = shmc_array_data(array);
			for (uint64_t i = 0; i < elements; i++)
				ck_assert_uint_eq(all[i], 0);
			shmt_assert_ok(shmc_array_fill(array, 0, elements, &ones));
			shmc_array_close(array);
			shmt_assert_ok(shmc_unlink(scene.client, "sim:a", NULL));
		}
	}
	scene_close(&scene);
}

TEST(memory_of_an_unlinked_object_is_its_holders_until_they_close_it)
{
	struct scene scene = scene_open((struct shmc_arena_options){ .data_bytes = 4096 });
	struct shmc_array *old, *new;
	struct shmc_arena_object found;
	uint64_t value = 7, got = 0;

	shmt_assert_ok(make_array(scene.client, "sim:a", 512, NULL));
	shmt_assert_ok(shmc_arena_find(scene.arena, "a", &found));
	old = open_array(scene.client, "sim:a", SHMC_ARRAY_WRITER);
	shmt_assert_ok(shmc_unlink(scene.client, "sim:a", NULL));
	shmt_assert_result(shmc_arena_check(scene.arena, &found), SHMC_NOT_FOUND);
	shmt_assert_result(make_array(scene.client, "sim:a", 512, NULL), SHMC_NO_SPACE);
	shmt_assert_ok(shmc_array_set(old, 5, &value, 8));
	shmc_array_close(old);
	shmt_assert_ok(make_array(scene.client, "sim:a", 512, NULL));
	new = open_array(scene.client, "sim:a", SHMC_ARRAY_READER);
	shmt_assert_ok(shmc_array_get(new, 5, &got, 8));
	ck_assert_uint_eq(got, 0);
	shmc_array_close(new);
	scene_close(&scene);
}

TEST(a_stale_handle_is_told_from_its_successor)
{
	struct scene scene = scene_open((struct shmc_arena_options){ .entries = 1 });
	struct shmc_arena_object first, second, none = { .index = UINT32_MAX };

	shmt_assert_ok(make_array(scene.client, "sim:a", 1, NULL));
	shmt_assert_ok(shmc_arena_find(scene.arena, "a", &first));
	shmt_assert_ok(shmc_arena_check(scene.arena, &first));
	shmt_assert_ok(shmc_unlink(scene.client, "sim:a", NULL));
	shmt_assert_result(shmc_arena_check(scene.arena, &first), SHMC_NOT_FOUND);
	shmt_assert_ok(make_array(scene.client, "sim:a", 1, NULL));
	shmt_assert_ok(shmc_arena_find(scene.arena, "a", &second));
	ck_assert_uint_eq(first.index, second.index);
	ck_assert_uint_ne(first.generation, second.generation);
	shmt_assert_result(shmc_arena_check(scene.arena, &first), SHMC_NOT_FOUND);
	shmt_assert_ok(shmc_arena_check(scene.arena, &second));
	shmt_assert_result(shmc_arena_check(scene.arena, &none), SHMC_NOT_FOUND);
	scene_close(&scene);
}

TEST(an_arena_that_is_unlinked_takes_its_names_along_and_stays_for_its_holders)
{
	struct scene scene = scene_open((struct shmc_arena_options){ .table = 0 });
	struct shmc_array *array;
	uint64_t value = 3, got = 0;

	make_many(scene.client, 3);
	array = open_array(scene.client, "sim:a1", SHMC_ARRAY_WRITER);
	shmt_assert_ok(shmc_unlink(scene.client, "sim", NULL));
	shmt_assert_result(shmc_unlink(scene.client, "sim:a0", NULL), SHMC_NOT_FOUND);
	shmt_assert_result(make_array(scene.client, "sim:a0", 1, NULL), SHMC_NOT_FOUND);
	shmt_assert_result(shmc_arena_find(scene.arena, "a0", NULL), SHMC_NOT_FOUND);
	shmt_assert_ok(shmc_arena_create(scene.client, "sim", NULL, NULL));
	shmt_assert_ok(make_array(scene.client, "sim:a1", 1, NULL));
	shmt_assert_ok(shmc_array_set(array, 0, &value, 8));
	shmt_assert_ok(shmc_array_get(array, 0, &got, 8));
	ck_assert_uint_eq(got, 3);
	shmc_array_close(array);
	scene_close(&scene);
}

TEST(reuse_takes_an_object_that_is_as_wanted)
{
	struct shmc_array_options options = { .element_bytes = 8, .endpoints_max = 4, .reuse = 1 };
	struct scene scene = scene_open((struct shmc_arena_options){ .table = 0 });
	struct shmc_arena_object first, second;
	struct shmc_error error = { .text = "" };

	shmt_assert_ok(shmc_array_create(scene.client, "sim:a", &options, NULL));
	shmt_assert_ok(shmc_arena_find(scene.arena, "a", &first));
	shmt_assert_ok(shmc_array_create(scene.client, "sim:a", &options, NULL));
	shmt_assert_ok(shmc_arena_find(scene.arena, "a", &second));
	ck_assert_uint_eq(first.generation, second.generation);
	options.elements = 7;
	shmt_assert_result(shmc_array_create(scene.client, "sim:a", &options, &error),
			   SHMC_MISMATCH);
	shmt_assert_says(&error, "elements");
	scene_close(&scene);
}

static int end_at_first(void *context, const char *name, const struct shmc_arena_object *object)
{
	(void)name;
	(void)object;
	return ++*(int *)context;
}

TEST(showing_ends_when_the_caller_says_so)
{
	struct scene scene = scene_open((struct shmc_arena_options){ .table = 0 });
	int count = 0;

	make_many(scene.client, 3);
	shmt_assert_ok(shmc_arena_each(scene.arena, end_at_first, &count));
	ck_assert_int_eq(count, 1);
	scene_close(&scene);
}

/* What others do meanwhile. */

static void make_and_unlink(struct shmt_peer *test, void *broker)
{
	struct shmc_client *client = shmt_connect(broker);
	char name[32];

	shmt_peer_tell(test);
	for (unsigned int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "sim:b%u", i % 7);
		shmt_assert_ok(make_array(client, name, 1, NULL));
		snprintf(name, sizeof(name), "sim:c%u", i % 5);
		shmt_assert_ok(make_array(client, name, 1, NULL));
		shmt_assert_ok(shmc_unlink(client, name, NULL));
		snprintf(name, sizeof(name), "sim:b%u", i % 7);
		shmt_assert_ok(shmc_unlink(client, name, NULL));
	}
	shmt_peer_tell(test);
	shmc_disconnect(client);
}

static int note_object(void *context, const char *name, const struct shmc_arena_object *object)
{
	unsigned int *seen = context;

	ck_assert_str_eq(object->kind, "array");
	ck_assert_uint_eq(object->data_bytes, 4096);
	ck_assert_msg(strlen(name) >= 2 && strchr("abc", name[0]), "\"%s\"", name);
	if (name[0] == 'a')
		seen[atoi(name + 1)]++;
	return 0;
}

TEST(what_stays_is_found_and_shown_while_others_make_and_unlink, .timeout_s = 60)
{
	struct scene scene = scene_open((struct shmc_arena_options){ .table = 0 });
	struct shmt_peer peer;
	uint64_t rounds = 0;

	make_many(scene.client, NAMES);
	peer = shmt_peer_start(make_and_unlink, &scene.broker);
	shmt_peer_await(&peer);
	while (rounds < 1000 || statistics_of(&scene).entries_used > NAMES) {
		unsigned int seen[NAMES] = { 0 };
		char name[32];

		shmt_assert_ok(shmc_arena_each(scene.arena, note_object, seen));
		for (unsigned int i = 0; i < NAMES; i++) {
			snprintf(name, sizeof(name), "a%u", i);
			shmt_assert_ok(shmc_arena_find(scene.arena, name, NULL));
			ck_assert_uint_eq(seen[i], 1);
		}
		rounds++;
	}
	shmt_peer_await(&peer);
	shmt_peer_join(&peer);
	scene_close(&scene);
}

static void race_for_names(struct shmt_peer *test, void *broker)
{
	struct shmc_client *client = shmt_connect(broker);
	uint32_t won = 0;
	char name[32];

	shmt_peer_tell(test);
	shmt_peer_await(test);
	for (unsigned int i = 0; i < 40; i++) {
		enum shmc_result result;

		snprintf(name, sizeof(name), "sim:a%u", i);
		result = make_array(client, name, 1, NULL);
		ck_assert(result == SHMC_OK || result == SHMC_EXISTS);
		won += result == SHMC_OK;
	}
	shmt_peer_send(test, &won, sizeof(won));
	shmc_disconnect(client);
}

TEST(of_two_who_make_one_object_one_wins)
{
	struct scene scene = scene_open((struct shmc_arena_options){ .table = 0 });
	struct shmt_peer peers[2];
	uint32_t won, sum = 0;

	for (int i = 0; i < 2; i++) {
		peers[i] = shmt_peer_start(race_for_names, &scene.broker);
		shmt_peer_await(&peers[i]);
	}
	for (int i = 0; i < 2; i++)
		shmt_peer_tell(&peers[i]);
	for (int i = 0; i < 2; i++) {
		shmt_peer_receive(&peers[i], &won, sizeof(won));
		sum += won;
		shmt_peer_join(&peers[i]);
	}
	ck_assert_uint_eq(sum, 40);
	ck_assert_uint_eq(statistics_of(&scene).entries_used, 40);
	scene_close(&scene);
}

SHMT_MAIN
