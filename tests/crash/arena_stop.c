/*
 * A client is stopped, not dead, after every instruction of a look into an arena's directory, while
 * the broker takes objects out of all entries but one and puts others in, dies in a change, and its
 * successor makes the directory anew. When the client goes on it finds what was there all the time,
 * finds nothing that never was, and what it is told of an object is of that one. And the broker is
 * stopped in a change, while clients look: they find all that stays, and the change is whole when it
 * goes on.
 */
#include "protocol/arena.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/crash/deaths.h"
#include "tests/support/runner.h"

enum {
	ENTRIES = 16,
	THERE = 12, /* in 16 chains: some are of several */
	NEW = THERE,
	HALF = THERE / 2,
	FEW = 3,
	FIRST_GENERATION = 100,
	GENERATIONS = 128,
	NAME_BYTES = 24,
	ROUNDS = 3,
};

/* What the broker knows; shared with who is stopped, since that may be the broker. */
struct own {
	struct shmp_arena arena;
	uint64_t next;			    /* generation */
	uint64_t at[ENTRIES];		    /* generation in each entry; 0: none */
	char name[GENERATIONS][NAME_BYTES]; /* of each generation */
	uint32_t index[GENERATIONS];
	/* of who is stopped */
	struct shmp_arena_object found;
	char found_name[SHMP_ARENA_NAME_BYTES_MAX + 1];
	char wanted[NAME_BYTES];
	uint32_t subject; /* entry that the operation is about */
	uint64_t old;	  /* generation that was there at first */
	bool is_found;
};

static struct scene {
	struct shmt_segment segment;
	struct own *own;
	struct deaths deaths;
} scene;

#define CHECK(condition_) DEATHS_CHECK(&scene.deaths, condition_)

/* Each field tells the generation. */
static struct shmp_arena_object object_of(uint64_t generation)
{
	return (struct shmp_arena_object){
		.generation = generation,
		.index = scene.own->index[generation - FIRST_GENERATION],
		.kind = (uint32_t)generation,
		.control_bytes = 128 * generation,
		.data_offset = 4096 * generation,
		.data_bytes = 8192 * generation,
	};
}

static const char *name_of(uint64_t generation)
{
	return scene.own->name[generation - FIRST_GENERATION];
}

/* The broker */

/* What is going to be in @index from now on. */
static struct shmp_arena_object announce(uint32_t index, const char *name)
{
	uint64_t generation = scene.own->next++;

	SHMT_REQUIRE(generation < FIRST_GENERATION + GENERATIONS);
	snprintf(scene.own->name[generation - FIRST_GENERATION], NAME_BYTES, "%s", name);
	scene.own->index[generation - FIRST_GENERATION] = index;
	scene.own->at[index] = generation;
	return object_of(generation);
}

static void enlist(uint32_t index, const char *name)
{
	struct shmp_arena_object object = announce(index, name);

	shmp_arena_enlist(&scene.own->arena, name, &object);
}

static void delist(uint32_t index)
{
	scene.own->at[index] = 0;
	shmp_arena_delist(&scene.own->arena, index);
}

static void relist_one(uint32_t index)
{
	struct shmp_arena_object object;

	if (scene.own->at[index] == 0)
		return;
	object = object_of(scene.own->at[index]);
	shmp_arena_relist(&scene.own->arena, name_of(object.generation), &object);
}

static void relist_from(uint32_t first)
{
	for (uint32_t i = first; i < ENTRIES; i++)
		relist_one(i);
}

static void relist(void)
{
	shmp_arena_relist_begin(&scene.own->arena);
	relist_from(0);
	shmp_arena_relist_end(&scene.own->arena);
}

/* What clients may be told */

static bool is_whole(const struct shmp_arena_object *object)
{
	struct shmp_arena_object expected;

	if (object->generation < FIRST_GENERATION || object->generation >= scene.own->next)
		return false;
	expected = object_of(object->generation);
	return object->index == expected.index && object->kind == expected.kind &&
	       object->control_bytes == expected.control_bytes &&
	       object->data_offset == expected.data_offset &&
	       object->data_bytes == expected.data_bytes;
}

static void is_found(const char *name, uint64_t generation)
{
	struct shmp_arena_object object;

	CHECK(shmp_arena_find(&scene.own->arena, name, &object));
	CHECK(object.generation == generation && is_whole(&object));
}

/* Every entry but @index, in which there may be anything, or nothing. */
static void all_others_are_found(uint32_t index)
{
	char name[SHMP_ARENA_NAME_BYTES_MAX + 1];
	struct shmp_arena_object object;

	for (uint32_t i = 0; i < ENTRIES; i++) {
		uint64_t generation = scene.own->at[i];

		if (i == index)
			continue;
		CHECK(shmp_arena_read(&scene.own->arena, i, name, &object) == (generation != 0));
		CHECK(shmp_arena_is_current(&scene.own->arena, i, generation) == (generation != 0));
		if (generation == 0)
			continue;
		CHECK(object.generation == generation && is_whole(&object));
		CHECK(strcmp(name, name_of(generation)) == 0);
		is_found(name, generation);
	}
}

static void all_is_well(void)
{
	uint64_t used = 0;

	for (uint32_t i = 0; i < ENTRIES; i++)
		used += scene.own->at[i] != 0;
	CHECK(atomic_load(&scene.own->arena.control->version) % 2 == 0);
	CHECK(atomic_load(&scene.own->arena.control->used) == used);
	all_others_are_found(ENTRIES);
}

/* A client is stopped: what it does, stepped */

static void finds(void *context)
{
	(void)context;
	scene.own->is_found = shmp_arena_find(&scene.own->arena, scene.own->wanted,
					      &scene.own->found);
}

static void reads(void *context)
{
	(void)context;
	scene.own->is_found = shmp_arena_read(&scene.own->arena, scene.own->subject,
					      scene.own->found_name, &scene.own->found);
}

static void asks(void *context)
{
	(void)context;
	scene.own->is_found = shmp_arena_is_current(&scene.own->arena, scene.own->subject,
						    scene.own->old);
}

/* Meanwhile, the broker: every entry but one gets others, so that links lead elsewhere. */

static void change_all_but(uint32_t stays)
{
	char name[NAME_BYTES];

	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (uint32_t i = 0; i < THERE; i++) {
			if (i == stays)
				continue;
			delist(i);
			snprintf(name, sizeof(name), "other-%u", round * ENTRIES + i);
			enlist(i, name);
		}
	}
}

static void die_in_a_change(void)
{
	if (scene.deaths.point % 2)
		shmp_arena_relist_begin(&scene.own->arena); /* and no further */
	relist();
}

static void others_come_and_go(void *context)
{
	(void)context;
	change_all_but(scene.own->subject);
	die_in_a_change();
	all_is_well();
}

/* It is deleted, and made again in another entry. */
static void it_moves(void *context)
{
	(void)context;
	change_all_but(ENTRIES);
	die_in_a_change();
	enlist(NEW, scene.own->wanted);
	all_is_well();
}

/* What must be, when it has ended */

static void has_found_what_stayed(void *context)
{
	(void)context;
	CHECK(scene.own->is_found && scene.own->found.generation == scene.own->old);
	CHECK(is_whole(&scene.own->found));
	all_is_well();
}

static void has_found_it_or_not(void *context)
{
	(void)context;
	CHECK(scene.own->is_found || scene.deaths.point > 0);
	if (scene.own->is_found) {
		CHECK(is_whole(&scene.own->found));
		CHECK(strcmp(name_of(scene.own->found.generation), scene.own->wanted) == 0);
		CHECK(scene.deaths.point > 0 || scene.own->found.generation == scene.own->at[NEW]);
	}
	all_is_well();
}

static void has_found_nothing(void *context)
{
	(void)context;
	CHECK(!scene.own->is_found);
	all_is_well();
}

static void has_read_one(void *context)
{
	(void)context;
	CHECK(scene.own->is_found || scene.deaths.point > 0);
	if (scene.own->is_found) {
		CHECK(is_whole(&scene.own->found));
		CHECK(scene.own->found.index == scene.own->subject);
		CHECK(strcmp(name_of(scene.own->found.generation), scene.own->found_name) == 0);
	}
	all_is_well();
}

static void was_current_or_not(void *context)
{
	(void)context;
	CHECK(!scene.own->is_found || scene.deaths.point > 0);
	CHECK(!shmp_arena_is_current(&scene.own->arena, scene.own->subject, scene.own->old));
	all_is_well();
}

/* The broker is stopped: what it does, stepped; what it knows is noted before */

static void enlists(void *context)
{
	struct shmp_arena_object object = object_of(scene.own->at[scene.own->subject]);

	(void)context;
	shmp_arena_enlist(&scene.own->arena, name_of(object.generation), &object);
}

static void delists(void *context)
{
	(void)context;
	shmp_arena_delist(&scene.own->arena, scene.own->subject);
}

static void begins_anew(void *context)
{
	(void)context;
	shmp_arena_relist_begin(&scene.own->arena);
}

static void relists_one(void *context)
{
	(void)context;
	relist_one(HALF);
}

static void ends_it(void *context)
{
	(void)context;
	shmp_arena_relist_end(&scene.own->arena);
}

/* Meanwhile, clients */

static void clients_look(void *context)
{
	char name[SHMP_ARENA_NAME_BYTES_MAX + 1];
	struct shmp_arena_object found, shown;
	uint32_t subject = scene.own->subject;
	bool is_found_too;

	(void)context;
	all_others_are_found(subject);
	CHECK(!shmp_arena_find(&scene.own->arena, "never", &found));
	if (subject == ENTRIES)
		return;
	is_found_too = shmp_arena_find(&scene.own->arena, scene.own->wanted, &found);
	CHECK(shmp_arena_read(&scene.own->arena, subject, name, &shown) == is_found_too);
	if (!is_found_too)
		return;
	CHECK(is_whole(&found) && is_whole(&shown) && found.generation == shown.generation);
	CHECK(strcmp(name, scene.own->wanted) == 0);
}

static void is_changed(void *context)
{
	(void)context;
	all_is_well();
}

/* The broker goes on with the rest of it. */
static void is_begun(void *context)
{
	relist_from(0);
	ends_it(context);
	all_is_well();
}

static void is_half_done(void *context)
{
	relist_from(HALF + 1);
	ends_it(context);
	all_is_well();
}

/* Tests */

static void open_scene_of(uint32_t count)
{
	const uint64_t option[SHMP_OPTIONS_MAX] = { NAME_BYTES, ENTRIES, 4096, 4096 };
	char name[NAME_BYTES];

	scene = (struct scene){ .own = mmap(NULL, sizeof(*scene.own), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0) };
	SHMT_REQUIRE(scene.own != MAP_FAILED);
	shmt_segment_make(&scene.segment, "arena", option);
	shmp_arena_view(&scene.segment.map, &scene.own->arena);
	scene.own->next = FIRST_GENERATION;
	scene.own->subject = ENTRIES;
	for (uint32_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "object-%u", i);
		enlist(i, name);
	}
}

static void open_scene(void)
{
	open_scene_of(THERE);
}

/* The operation is about entry @index, and the name that it has. */
static void choose(uint32_t index)
{
	scene.own->subject = index;
	scene.own->old = scene.own->at[index];
	snprintf(scene.own->wanted, NAME_BYTES, "%s", name_of(scene.own->old));
}

/* The first of a chain of several, or the last of it. */
static uint32_t in_a_chain(bool is_last)
{
	const struct shmp_arena *arena = &scene.own->arena;

	for (uint32_t i = 0; i <= arena->bucket_mask; i++) {
		uint32_t at = atomic_load(&arena->buckets[i]);
		const struct shmp_arena_entry *entry;

		if (at == 0)
			continue;
		entry = (const void *)(arena->entries + (at - 1) * arena->entry_bytes);
		if (atomic_load(&entry->next) != 0)
			return (is_last ? atomic_load(&entry->next) : at) - 1;
	}
	ck_abort_msg("no two names share a chain");
}

static void stop_in(const char *name, void (*operate)(void *), void (*meanwhile)(void *),
		    void (*check)(void *))
{
	scene.deaths = (struct deaths){ .name = name,
					.segment = &scene.segment,
					.own = scene.own,
					.own_bytes = sizeof(*scene.own),
					.operate = operate,
					.meanwhile = meanwhile,
					.check = check };
	deaths_everywhere(&scene.deaths);
	shmt_segment_free(&scene.segment);
	munmap(scene.own, sizeof(*scene.own));
}

TEST(who_is_stopped_looking_up_a_name_finds_what_stays, .timeout_s = 60)
{
	open_scene();
	choose(in_a_chain(true));
	stop_in("find, the last of a chain", finds, others_come_and_go, has_found_what_stayed);
	open_scene();
	choose(in_a_chain(false));
	stop_in("find, the first of a chain", finds, others_come_and_go, has_found_what_stayed);
}

TEST(who_is_stopped_looking_up_a_name_finds_either_that_had_it, .timeout_s = 60)
{
	open_scene();
	choose(in_a_chain(true));
	stop_in("find, it is made anew", finds, it_moves, has_found_it_or_not);
}

TEST(who_is_stopped_looking_up_a_name_finds_none_that_never_was, .timeout_s = 60)
{
	open_scene();
	snprintf(scene.own->wanted, NAME_BYTES, "never");
	stop_in("find, none", finds, others_come_and_go, has_found_nothing);
}

TEST(who_is_stopped_reading_an_entry_is_shown_one_object, .timeout_s = 60)
{
	open_scene();
	choose(in_a_chain(true));
	stop_in("read", reads, it_moves, has_read_one);
}

TEST(who_is_stopped_asking_for_an_object_is_not_told_of_another, .timeout_s = 60)
{
	open_scene();
	choose(in_a_chain(true));
	stop_in("is current", asks, it_moves, was_current_or_not);
}

TEST(a_broker_stopped_anywhere_in_a_change_hides_nothing_that_stays, .timeout_s = 60)
{
	open_scene();
	announce(NEW, "new");
	choose(NEW);
	stop_in("enlist", enlists, clients_look, is_changed);
	for (int is_last = 0; is_last < 2; is_last++) {
		open_scene();
		choose(in_a_chain(is_last));
		scene.own->at[scene.own->subject] = 0;
		stop_in(is_last ? "delist the last of a chain" : "delist the first of a chain",
			delists, clients_look, is_changed);
	}
}

TEST(a_broker_stopped_anywhere_in_making_it_anew_hides_nothing, .timeout_s = 60)
{
	open_scene();
	stop_in("relist, begin", begins_anew, clients_look, is_begun);
	open_scene();
	shmp_arena_relist_begin(&scene.own->arena);
	for (uint32_t i = 0; i < HALF; i++)
		relist_one(i);
	stop_in("relist, one in the middle", relists_one, clients_look, is_half_done);
	/* one that was on its way out, or in, when a broker died; of few, since each is a walk */
	open_scene_of(FEW);
	choose(FEW / 2);
	scene.own->at[scene.own->subject] = 0;
	shmp_arena_relist_begin(&scene.own->arena);
	relist_from(0);
	stop_in("relist, end", ends_it, clients_look, is_changed);
}

DEATHS_MAIN
