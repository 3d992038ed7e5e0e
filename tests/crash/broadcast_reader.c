/* A reader dies after every instruction of everything it does. See broadcast_scene.h. */
#include <string.h>

#include "tests/crash/broadcast_scene.h"

/* Operations of the dead one, stepped */

/* More than is used, so that the rest becomes padding. */
static void dies_in_pop(struct scene *scene)
{
	struct shmp_broadcast_reader *reader = &scene->reader[DEAD_READER];
	struct shmp_broadcast_message message;

	if (shmp_broadcast_pop(reader, scene->witness, LONGEST, &message) == SHMP_DONE &&
	    shmp_broadcast_writers_wait(&reader->ring))
		shmp_broadcast_tell_writers(&reader->ring, &reader->telling_writers,
					    reader->ringing, NULL, NULL);
}

static void dies_in_peek_and_release(struct scene *scene)
{
	struct shmp_broadcast_reader *reader = &scene->reader[DEAD_READER];
	struct shmp_broadcast_message message;

	if (shmp_broadcast_peek(reader, &message) != SHMP_DONE)
		return;
	memcpy(scene->witness, message.data, message.size);
	shmp_broadcast_release(reader, &message);
}

static void dies_in_pop_of_too_much(struct scene *scene)
{
	struct shmp_broadcast_message message;

	shmp_broadcast_pop(&scene->reader[DEAD_READER], scene->witness, 0, &message);
}

static void dies_in_counting(struct scene *scene)
{
	uint64_t lost[SHMP_ENDPOINTS_MAX];

	shmp_broadcast_count_lost(&scene->reader[DEAD_READER], lost);
}

static void dies_joining(struct scene *scene, enum shmp_broadcast_from from)
{
	/* not on the stack, of which clearing it all would be most of the steps */
	static struct shmp_broadcast_reader reader;

	shmp_broadcast_attach_reader(&scene->broadcast.reader_map, ALL_WRITERS + LATE_READER, from,
				     0, &reader);
}

static void dies_joining_at_the_newest(struct scene *scene)
{
	dies_joining(scene, SHMP_BROADCAST_FROM_NEWEST);
}

static void dies_joining_at_the_oldest(struct scene *scene)
{
	dies_joining(scene, SHMP_BROADCAST_FROM_OLDEST);
}

TEST(a_pop, LONG)
{
	scene_kill_reader_in(is_laps_later, OVERWRITE, ACT(dies_in_pop, .takes = true));
}

TEST(a_pop_that_others_wait_for, LONG)
{
	scene_kill_reader_in(is_waited_for_room, BLOCK, ACT(dies_in_pop, .takes = true));
}

TEST(a_pop_that_finds_nothing, LONG)
{
	scene_kill_reader_in(is_fresh, BLOCK, ACT(dies_in_pop, .takes = false));
}

TEST(a_pop_over_padding, LONG)
{
	scene_kill_reader_in(begins_with_padding, BLOCK, ACT(dies_in_pop, .takes = true));
}

TEST(a_pop_by_one_who_was_lapped, LONG)
{
	scene_kill_reader_in(has_lapped_him, OVERWRITE, ACT(dies_in_pop, .takes = false));
}

TEST(a_peek_and_its_release, LONG)
{
	scene_kill_reader_in(has_some, BLOCK, ACT(dies_in_peek_and_release, .takes = true));
}

TEST(a_pop_into_too_small_a_buffer, LONG)
{
	scene_kill_reader_in(has_some, OVERWRITE, ACT(dies_in_pop_of_too_much, .takes = false));
}

/* These are of the one who reads; nothing of it is shared. */
TEST(counting_what_was_lost, LONG)
{
	struct scene *scene = scene_open(has_lapped_him, OVERWRITE);

	scene_kill_everywhere(scene, ACT(dies_in_counting, .takes = false), scene_nobody_moves, 1,
			      "");
	scene_close(scene);
}

TEST(joining_at_the_newest, LONG)
{
	scene_kill_reader_in(is_laps_later, BLOCK, ACT(dies_joining_at_the_newest, .takes = false));
}

TEST(joining_at_the_oldest, LONG)
{
	scene_kill_reader_in(is_laps_later, BLOCK, ACT(dies_joining_at_the_oldest, .takes = false));
}

int main(int argc, char **argv)
{
	return scene_main(argc, argv);
}
