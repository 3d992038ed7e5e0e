/*
 * The broker dies after every instruction of a change to an arena's directory: each other object is
 * found as before, and the one that came or went is there whole, or not.
 */
#include "protocol/arena.h"

#include <stdio.h>

#include "tests/crash/deaths.h"
#include "tests/support/runner.h"

enum {
	ENTRIES = 16,
	THERE = 12, /* in 16 chains: some are of several */
	NEW = THERE,
};

struct scene {
	struct shmt_segment segment;
	struct shmp_arena arena;
	uint32_t changed; /* the entry that comes or goes */
	char name[16];	  /* its own */
	struct deaths deaths;
};

static struct scene scene;

static void name_of(uint32_t index, char *ret_name)
{
	snprintf(ret_name, 16, "object-%u", index);
}

static void enlist(uint32_t index, const char *name)
{
	shmp_arena_enlist(&scene.arena, name,
			  &(struct shmp_arena_object){ .generation = 100 + index,
						       .index = index,
						       .kind = index,
						       .control_bytes = 128 * index,
						       .data_offset = 4096 * index,
						       .data_bytes = 8192 * index });
}

static bool is_whole(const struct shmp_arena_object *object, uint32_t index)
{
	return object->index == index && object->generation == 100 + index &&
	       object->kind == index && object->control_bytes == 128 * index &&
	       object->data_offset == 4096 * index && object->data_bytes == 8192 * index;
}

static void open_scene(const char *name)
{
	const uint64_t option[SHMP_OPTIONS_MAX] = { 16, ENTRIES, 4096, 4096 };

	shmt_segment_make(&scene.segment, "arena", option);
	shmp_arena_view(&scene.segment.map, &scene.arena);
	for (uint32_t i = 0; i < THERE; i++) {
		name_of(i, scene.name);
		enlist(i, scene.name);
	}
	scene.deaths = (struct deaths){ .name = name, .segment = &scene.segment };
}

/* Every look-up, and what is shown, beside a change that nobody will end. */
static void check(bool comes)
{
	const struct deaths *deaths = &scene.deaths;

	for (uint32_t i = 0; i <= NEW; i++) {
		bool is_changed = i == scene.changed, is_there = i < THERE;
		struct shmp_arena_object object, shown;
		char name[16], shown_name[SHMP_ARENA_NAME_BYTES_MAX + 1];
		bool is_found, is_shown;

		name_of(i, name);
		is_found = shmp_arena_find(&scene.arena, name, &object);
		is_shown = shmp_arena_read(&scene.arena, i, shown_name, &shown);
		DEATHS_CHECK(deaths, is_changed || is_found == is_there);
		DEATHS_CHECK(deaths, is_found == is_shown);
		DEATHS_CHECK(deaths, !is_found || is_whole(&object, i));
		DEATHS_CHECK(deaths,
			     !is_shown || (is_whole(&shown, i) && strcmp(shown_name, name) == 0));
		DEATHS_CHECK(deaths, !is_changed || !deaths->has_ended || is_found == comes);
	}
}

static void check_coming(void *context)
{
	(void)context;
	check(true);
}

static void check_going(void *context)
{
	(void)context;
	check(false);
}

static void dies_in_enlist(void *context)
{
	(void)context;
	enlist(scene.changed, scene.name);
}

static void dies_in_delist(void *context)
{
	(void)context;
	shmp_arena_delist(&scene.arena, scene.changed);
}

static void kill_in(void (*operate)(void *), void (*checks)(void *))
{
	scene.deaths.operate = operate;
	scene.deaths.check = checks;
	deaths_everywhere(&scene.deaths);
	shmt_segment_free(&scene.segment);
}

TEST(an_object_comes_whole_or_not_and_hides_no_other, .timeout_s = 60)
{
	open_scene("enlist");
	scene.changed = NEW;
	name_of(NEW, scene.name);
	kill_in(dies_in_enlist, check_coming);
}

/* The first of a chain of several, and the last of it. */
static uint32_t in_a_chain(bool is_last)
{
	for (uint32_t i = 0; i <= scene.arena.bucket_mask; i++) {
		uint32_t at = atomic_load(&scene.arena.buckets[i]);
		const struct shmp_arena_entry *entry;

		if (at == 0)
			continue;
		entry = (const void *)(scene.arena.entries + (at - 1) * scene.arena.entry_bytes);
		if (atomic_load(&entry->next) != 0)
			return (is_last ? atomic_load(&entry->next) : at) - 1;
	}
	ck_abort_msg("no two names share a chain");
}

TEST(the_first_of_a_chain_goes_whole_and_takes_no_other_along, .timeout_s = 60)
{
	open_scene("delist the first of a chain");
	scene.changed = in_a_chain(false);
	kill_in(dies_in_delist, check_going);
}

TEST(the_last_of_a_chain_goes_whole_and_takes_no_other_along, .timeout_s = 60)
{
	open_scene("delist the last of a chain");
	scene.changed = in_a_chain(true);
	kill_in(dies_in_delist, check_going);
}

DEATHS_MAIN
