/* A writer dies after every instruction of everything it does. See broadcast_scene.h. */
#include <string.h>

#include "tests/crash/broadcast_scene.h"

/* Operations of the dead one, stepped */

static void dies_in_push(struct scene *scene)
{
	struct shmp_broadcast_writer *writer = &scene->writer[DEAD_WRITER];

	if (shmp_broadcast_push(writer, scene->payload[0], scene->own_size[0]) != SHMP_DONE)
		return;
	if (shmp_broadcast_readers_wait(&writer->ring))
		shmp_broadcast_tell_readers(writer, NULL, NULL);
	if (shmp_broadcast_writers_wait(&writer->ring))
		shmp_broadcast_tell_writers(&writer->ring, &writer->telling_writers,
					    writer->ringing, NULL, NULL);
}

static void dies_in_batch(struct scene *scene)
{
	struct shmp_broadcast_piece pieces[OWN];
	uint64_t sent;

	for (int i = 0; i < OWN; i++) {
		pieces[i].data = scene->payload[i];
		pieces[i].size = scene->own_size[i];
	}
	shmp_broadcast_push_pieces(&scene->writer[DEAD_WRITER], pieces, OWN, &sent);
}

static void dies_in_reserve_and_commit(struct scene *scene)
{
	struct shmp_broadcast_writer *writer = &scene->writer[DEAD_WRITER];
	uint64_t size = scene->own_size[0];
	uint8_t *room;

	if (shmp_broadcast_reserve(writer, size + 90, &room) != SHMP_DONE)
		return;
	memcpy(room, scene->payload[0], size);
	shmp_broadcast_commit(writer, size);
}

static void dies_in_reserve_and_abort(struct scene *scene)
{
	uint8_t *room;

	if (shmp_broadcast_reserve(&scene->writer[DEAD_WRITER], 300, &room) == SHMP_DONE)
		shmp_broadcast_abort(&scene->writer[DEAD_WRITER]);
}

static void dies_attaching_to_write(struct scene *scene)
{
	static struct shmp_broadcast_writer writer;

	shmp_broadcast_attach_writer(&scene->broadcast.writer_map, DEAD_WRITER, &writer);
}

TEST(a_push_into_a_fresh_ring, LONG)
{
	scene_kill_in(is_fresh, OVERWRITE, ACT(dies_in_push, .sends = 1));
}

TEST(a_push_laps_later, LONG)
{
	scene_kill_in(is_laps_later, OVERWRITE, ACT(dies_in_push, .sends = 1));
}

TEST(a_push_that_blocks_others, LONG)
{
	scene_kill_in(is_laps_later, BLOCK, ACT(dies_in_push, .sends = 1));
}

TEST(a_push_that_finds_it_full, LONG)
{
	scene_kill_in(is_full, BLOCK, ACT(dies_in_push, .sends = 0));
}

TEST(a_push_that_tells_a_sleeping_reader, LONG)
{
	scene_kill_in(is_waited_for, OVERWRITE, ACT(dies_in_push, .sends = 1));
}

TEST(a_push_that_tells_a_sleeping_writer, LONG)
{
	scene_kill_in(is_waited_for_room, OVERWRITE, ACT(dies_in_push, .sends = 1));
}

TEST(an_exclusive_push, LONG)
{
	scene_kill_in(is_laps_later, EXCLUSIVE, ACT(dies_in_push, .sends = 1));
}

/* Short enough for the quick way, which the one above is not. */
TEST(an_exclusive_push_of_little, LONG)
{
	scene_kill_in(is_fresh, EXCLUSIVE, ACT(dies_in_push, .sends = 1));
}

TEST(a_batch_into_a_fresh_ring, LONG)
{
	scene_kill_in(is_fresh, OVERWRITE, ACT(dies_in_batch, .sends = OWN));
}

TEST(a_batch_laps_later, LONG)
{
	scene_kill_in(is_laps_later, OVERWRITE, ACT(dies_in_batch, .sends = OWN));
}

TEST(a_batch_that_blocks_others, LONG)
{
	scene_kill_in(is_laps_later, BLOCK, ACT(dies_in_batch, .sends = OWN));
}

TEST(an_exclusive_batch, LONG)
{
	scene_kill_in(is_laps_later, EXCLUSIVE, ACT(dies_in_batch, .sends = OWN));
}

TEST(a_reservation_and_its_commit, LONG)
{
	scene_kill_in(has_some, EXCLUSIVE, ACT(dies_in_reserve_and_commit, .sends = 1));
}

TEST(a_reservation_and_its_end_unsent, LONG)
{
	scene_kill_in(has_some, EXCLUSIVE, ACT(dies_in_reserve_and_abort, .sends = 0));
}

TEST(attaching_to_write, LONG)
{
	struct scene *scene = scene_open(has_some, OVERWRITE);

	scene_kill_everywhere(scene, ACT(dies_attaching_to_write, .takes = false),
			      scene_nobody_moves, 1, "");
	scene_close(scene);
}

int main(int argc, char **argv)
{
	return scene_main(argc, argv);
}
