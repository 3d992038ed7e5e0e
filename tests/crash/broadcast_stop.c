/*
 * A writer or a reader of a broadcast is stopped, not dead, after every instruction of what it does.
 * The others go on meanwhile for more than a lap, or until they are held up, as the contract says;
 * another one dies with a claim, and is repaired. When the stopped one goes on, its messages are
 * seen once by everybody in one order, nothing that it holds was written over, what it lost it is
 * told, and it goes on with the handle it has. See broadcast_scene.h.
 */
#include <string.h>

#include "tests/crash/broadcast_scene.h"

enum {
	STOPPED = 0, /* as writer and as reader; the scene's DEAD ones */
	ROUNDS = 40, /* more than a lap */
};

/* Of the run that is checked, by what the others did meanwhile. */
static struct meanwhile {
	bool held_up;  /* the writers */
	uint32_t key;  /* on which somebody sleeps */
	uint64_t got;  /* messages that he had got by then */
	uint64_t from; /* cursor of who is stopped, when he lay down */
	bool joined;   /* who joins: from here on nothing is written over, where it blocks */
	uint64_t next; /* number of the first message that the others sent */
} meanwhile;

#define CHECK(condition_) SCENE_CHECK(scene, condition_)

static uint32_t place_of_reader(const struct scene *scene, uint32_t reader)
{
	return scene->broadcast.writers + reader;
}

static uint64_t cursor_of(const struct scene *scene, uint32_t reader)
{
	return atomic_load(
		&scene->broadcast.segment.map.endpoints[place_of_reader(scene, reader)].cursor);
}

/* What a stopped writer does, stepped */

static void tell_from(struct shmp_broadcast_writer *writer)
{
	if (shmp_broadcast_readers_wait(&writer->ring))
		shmp_broadcast_tell_readers(writer, NULL, NULL);
	if (!writer->ring.is_exclusive && shmp_broadcast_writers_wait(&writer->ring))
		shmp_broadcast_tell_writers(&writer->ring, &writer->telling_writers,
					    writer->ringing, NULL, NULL);
}

static void pushes(struct scene *scene)
{
	struct shmp_broadcast_writer *writer = &scene->writer[STOPPED];

	scene->r = shmp_broadcast_push(writer, scene->payload[0], scene->own_size[0]);
	if (scene->r == SHMP_DONE)
		tell_from(writer);
}

static void pushes_a_batch(struct scene *scene)
{
	struct shmp_broadcast_piece pieces[OWN];
	uint64_t sent = 0;

	for (int i = 0; i < OWN; i++) {
		pieces[i].data = scene->payload[i];
		pieces[i].size = scene->own_size[i];
	}
	scene->r = shmp_broadcast_push_pieces(&scene->writer[STOPPED], pieces, OWN, &sent);
	if (scene->r == SHMP_DONE && sent != OWN)
		scene->r = -1;
}

static void reserves_and_commits(struct scene *scene)
{
	struct shmp_broadcast_writer *writer = &scene->writer[STOPPED];
	uint64_t size = scene->own_size[0];
	uint8_t *room;

	scene->r = shmp_broadcast_reserve(writer, size + 90, &room);
	if (scene->r != SHMP_DONE)
		return;
	memcpy(room, scene->payload[0], size);
	shmp_broadcast_commit(writer, size);
}

static void reserves_and_aborts(struct scene *scene)
{
	struct shmp_broadcast_writer *writer = &scene->writer[STOPPED];
	uint8_t *room;

	scene->r = shmp_broadcast_reserve(writer, 300, &room);
	if (scene->r == SHMP_DONE)
		shmp_broadcast_abort(writer);
}

/* What a stopped reader does, stepped */

static void pops(struct scene *scene)
{
	struct shmp_broadcast_reader *reader = &scene->reader[STOPPED];

	scene->r = shmp_broadcast_pop(reader, scene->witness, LONGEST, &scene->message);
	if (scene->r == SHMP_DONE && shmp_broadcast_writers_wait(&reader->ring))
		shmp_broadcast_tell_writers(&reader->ring, &reader->telling_writers,
					    reader->ringing, NULL, NULL);
}

static void peeks_and_releases(struct scene *scene)
{
	struct shmp_broadcast_reader *reader = &scene->reader[STOPPED];

	scene->r = shmp_broadcast_peek(reader, &scene->message);
	if (scene->r != SHMP_DONE)
		return;
	memcpy(scene->witness, scene->message.data, scene->message.size);
	scene->r = shmp_broadcast_release(reader, &scene->message);
	scene->message.data = scene->witness;
}

static void joins(struct scene *scene, enum shmp_broadcast_from from, uint64_t position)
{
	scene->r = shmp_broadcast_attach_reader(&scene->broadcast.reader_map,
						place_of_reader(scene, LATE_READER), from, position,
						&scene->reader[LATE_READER]);
}

static void joins_at_the_newest(struct scene *scene)
{
	joins(scene, SHMP_BROADCAST_FROM_NEWEST, 0);
}

static void joins_at_the_oldest(struct scene *scene)
{
	joins(scene, SHMP_BROADCAST_FROM_OLDEST, 0);
}

/* Where one is who left, and had noted it. */
static void joins_at_a_position(struct scene *scene)
{
	joins(scene, SHMP_BROADCAST_FROM_POSITION, scene->reader[STOPPED].position);
}

/* Meanwhile */

static void bury_reader(struct scene *scene, uint32_t reader)
{
	scene_bury(scene, place_of_reader(scene, reader));
}

static void die_with_a_claim(struct scene *scene, uint32_t writer)
{
	uint64_t tail;

	(void)shmp_broadcast_take(&scene->writer[writer], 5, &tail);
	scene_bury(scene, writer);
}

/* Two readers keep up with the writers, as far as they are shown something. */
static void others_go_on(struct scene *scene)
{
	meanwhile.held_up = false;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t writer = scene->is_exclusive ? 0 : WRITERS + i % 2;
		int r = scene_push(scene, writer);

		CHECK(r == SHMP_DONE || r == SHMP_FULL);
		meanwhile.held_up |= r == SHMP_FULL;
		scene_pop(scene, READERS);
		scene_pop(scene, READERS + 1);
	}
}

/* By a claim that is not finished, after one lap; by nothing before it was begun. */
static void others_beside_a_writer(struct scene *scene)
{
	uint64_t intent = atomic_load(&scene->writer[STOPPED].self->intent[0]);

	bury_reader(scene, STOPPED);
	bury_reader(scene, LATE_READER);
	if (scene->is_exclusive) {
		scene_drain(scene);
		return;
	}
	die_with_a_claim(scene, STOPPED_WRITER);
	others_go_on(scene);
	CHECK(meanwhile.held_up == (intent != 0));
}

/* Whoever reads holds up nobody where messages are written over, and the others after one lap where
 * they are not. */
static void others_beside_a_reader(struct scene *scene)
{
	bury_reader(scene, LATE_READER);
	die_with_a_claim(scene, STOPPED);
	if (scene->is_exclusive) /* its successor goes on: there is nobody else */
		shmt_broadcast_attach_writer(&scene->broadcast, STOPPED, &scene->writer[STOPPED]);
	others_go_on(scene);
	CHECK(meanwhile.held_up == scene->blocks);
}

static void others_beside_who_joins(struct scene *scene)
{
	bool is_there = cursor_of(scene, LATE_READER) != 0;

	meanwhile.joined = scene->reader[LATE_READER].joined != 0;
	meanwhile.next = scene->next;
	bury_reader(scene, STOPPED);
	die_with_a_claim(scene, STOPPED);
	if (scene->is_exclusive) /* its successor goes on: there is nobody else */
		shmt_broadcast_attach_writer(&scene->broadcast, STOPPED, &scene->writer[STOPPED]);
	others_go_on(scene);
	CHECK(meanwhile.held_up == (is_there && scene->blocks));
}

static void readers_make_room(struct scene *scene)
{
	bury_reader(scene, STOPPED);
	bury_reader(scene, LATE_READER);
	die_with_a_claim(scene, STOPPED_WRITER);
	scene_drain(scene);
}

/* Its time is up: it takes what there is and sleeps once more. */
static void reader_waits_again(struct scene *scene)
{
	struct shmp_broadcast_reader *reader = &scene->reader[READERS];
	struct shmp_waiter *waiter = &reader->ring.control->not_empty;

	bury_reader(scene, STOPPED);
	bury_reader(scene, LATE_READER);
	shmp_waiter_finish(waiter, reader->endpoint);
	meanwhile.key = shmp_waiter_prepare(waiter, reader->self, reader->endpoint, false);
	scene_drain(scene);
	meanwhile.got = scene->got[READERS];
}

static void writer_waits_again(struct scene *scene)
{
	struct shmp_broadcast_writer *writer = &scene->writer[WRITERS];
	struct shmp_waiter *waiter = &writer->ring.control->not_full;

	bury_reader(scene, LATE_READER);
	shmp_waiter_finish(waiter, writer->endpoint);
	meanwhile.key = shmp_waiter_prepare(waiter, writer->self, writer->endpoint, false);
	meanwhile.from = cursor_of(scene, STOPPED);
	scene_drain(scene);
	while (scene_push(scene, WRITERS) == SHMP_DONE)
		;
}

/* What must be when he has ended */

/* Of what the first reader got, in that order; all of it from the first one on, or with gaps. */
static void check_order(struct scene *scene, uint32_t reader, bool has_gaps)
{
	uint64_t at = 0;

	for (uint64_t i = 0; i < scene->got[reader]; i++, at++) {
		while (at < scene->got[READERS] && (i == 0 || has_gaps) &&
		       scene->order[READERS][at] != scene->order[reader][i])
			at++;
		CHECK(at < scene->got[READERS]);
		CHECK(scene->order[READERS][at] == scene->order[reader][i]);
	}
	CHECK(scene->got[reader] == 0 || has_gaps || at == scene->got[READERS]);
}

static void is_sent(struct scene *scene, const struct act *act)
{
	CHECK(scene->r == SHMP_DONE);
	scene_drain(scene);
	check_order(scene, READERS + 1, false);
	scene_check(scene, act);
}

/* Who had looked for room before there was some. */
static void is_sent_or_full(struct scene *scene, const struct act *act)
{
	struct act none = *act;

	CHECK(scene->r == SHMP_DONE || (scene->r == SHMP_FULL && scene->point > 0));
	if (scene->r == SHMP_FULL)
		none.sends = 0;
	scene_check(scene, &none);
}

static void is_sent_and_told(struct scene *scene, const struct act *act)
{
	struct shmp_broadcast_reader *reader = &scene->reader[READERS];
	struct shmp_waiter *waiter = &reader->ring.control->not_empty;

	CHECK(scene->seen[READERS][scene->own] > 0 ||
	      atomic_load(&waiter->sequence) != meanwhile.key);
	shmp_waiter_finish(waiter, reader->endpoint);
	is_sent(scene, act);
}

/* What came to him in the operation, and then the rest. */
static void drain_who_was_stopped(struct scene *scene)
{
	int r;

	CHECK(scene->r == SHMP_DONE || scene->r == SHMP_EMPTY);
	if (scene->r == SHMP_DONE)
		scene_note(scene, STOPPED, scene_number_of(scene, &scene->message));
	while ((r = scene_pop(scene, STOPPED)) == SHMP_DONE)
		;
	CHECK(r == SHMP_EMPTY);
}

static uint64_t sent_in_all(const struct scene *scene)
{
	uint64_t sent = 0;

	for (uint32_t i = 0; i < scene->broadcast.writers; i++)
		sent += atomic_load(&scene->broadcast.segment.map.endpoints[i].items);
	return sent;
}

/* Where nothing is written over he gets all of it, and what was next first. */
static void is_taken(struct scene *scene, const struct act *act)
{
	CHECK(scene->r == SHMP_DONE);
	CHECK(scene_number_of(scene, &scene->message) == scene->target);
	drain_who_was_stopped(scene);
	scene_drain(scene);
	check_order(scene, STOPPED, false);
	CHECK(scene->got[STOPPED] == sent_in_all(scene));
	scene_check(scene, act);
}

/* Elsewhere all that he did not get is counted as lost. */
static void is_taken_or_lost(struct scene *scene, const struct act *act)
{
	uint64_t lost;

	drain_who_was_stopped(scene);
	scene_drain(scene);
	check_order(scene, STOPPED, true);
	lost = shmp_broadcast_total_lost(scene->reader[STOPPED].self);
	CHECK(scene->got[STOPPED] + lost == sent_in_all(scene));
	CHECK(lost > 0);
	scene_check(scene, act);
}

/* From the moment on when he is there. */
static void has_joined(struct scene *scene, const struct act *act)
{
	int r;

	CHECK(scene->r == 0);
	while ((r = scene_pop(scene, LATE_READER)) == SHMP_DONE)
		;
	CHECK(r == SHMP_EMPTY);
	scene_drain(scene);
	check_order(scene, LATE_READER, false);
	CHECK(act->operate != joins_at_the_oldest || scene->got[LATE_READER] > 0);
	scene_check(scene, act);
}

/* Of what the first reader got, which that is. */
static uint64_t index_of(const struct scene *scene, uint64_t number)
{
	uint64_t at = 0;

	while (at < scene->got[READERS] && scene->order[READERS][at] != number)
		at++;
	CHECK(at < scene->got[READERS]);
	return at;
}

/* One message, which is message @next of all, or behind it, and says so. Return: which it is. */
static uint64_t gets_the_next(struct scene *scene, const struct shmp_broadcast_message *message,
			      uint64_t next)
{
	uint64_t number = scene_number_of(scene, message), at = index_of(scene, number);

	CHECK(at >= next);
	CHECK((at > next) == (message->flags == SHMP_BROADCAST_LOST));
	scene_note(scene, LATE_READER, number);
	return at;
}

/* From the position on; what is gone it is told, and where it blocks, what came since is not. */
static void has_joined_at_its_position(struct scene *scene, const struct act *act)
{
	struct shmp_broadcast_reader *reader = &scene->reader[LATE_READER];
	uint64_t next = scene->got[STOPPED], at;
	struct shmp_broadcast_message message;
	uint8_t bytes[LONGEST];
	int r;

	CHECK(scene->r == 0);
	scene_drain(scene);
	while ((r = shmp_broadcast_pop(reader, bytes, sizeof(bytes), &message)) == SHMP_DONE) {
		at = gets_the_next(scene, &message, next);
		CHECK(at == next || !scene->blocks || !meanwhile.joined ||
		      at <= index_of(scene, meanwhile.next));
		next = at + 1;
	}
	CHECK(r == SHMP_EMPTY);
	CHECK(next == scene->got[READERS] && scene->got[LATE_READER] > 0);
	scene_check(scene, act);
}

static void is_taken_and_told(struct scene *scene, const struct act *act)
{
	struct shmp_broadcast_writer *writer = &scene->writer[WRITERS];
	struct shmp_waiter *waiter = &writer->ring.control->not_full;

	CHECK(cursor_of(scene, STOPPED) == meanwhile.from ||
	      atomic_load(&waiter->sequence) != meanwhile.key);
	shmp_waiter_finish(waiter, writer->endpoint);
	is_taken(scene, act);
}

/* Tests */

static void stop_in(scene_fn state, enum mode mode, const struct act *act, scene_fn others,
		    void (*check)(struct scene *scene, const struct act *act), const char *what)
{
	struct scene *scene = scene_open(state, mode);

	scene->r = -1;
	scene_stop_everywhere(scene, act, others, check, what);
	scene_close(scene);
}

static void is_full_and_waited_for(struct scene *scene)
{
	is_full(scene);
	is_waited_for_room(scene);
}

/* His turn is his until he has claimed something, and holds up nobody who does not want to wait. */
static void has_the_turn(struct scene *scene)
{
	has_some(scene);
	SHMT_REQUIRE(shmp_broadcast_give_way(&scene->writer[STOPPED]) == SHMP_DONE);
}

TEST(a_writer_stopped_anywhere_in_a_push_ends_it_later, LONG)
{
	const struct act *act = &(const struct act){ "push", pushes, .sends = 1 };

	stop_in(is_laps_later, OVERWRITE, act, others_beside_a_writer, is_sent, ", overwrites");
	stop_in(is_laps_later, BLOCK, act, others_beside_a_writer, is_sent, ", blocks");
	stop_in(is_laps_later, EXCLUSIVE, act, others_beside_a_writer, is_sent, ", exclusive");
}

TEST(a_writer_stopped_anywhere_in_its_turn_ends_it_later, LONG)
{
	const struct act *act = &(const struct act){ "push", pushes, .sends = 1 };

	stop_in(has_the_turn, OVERWRITE, act, others_beside_a_writer, is_sent, ", in his turn");
}

TEST(a_writer_stopped_anywhere_in_a_push_without_room_ends_it_later, LONG)
{
	const struct act *act = &(const struct act){ "push", pushes, .sends = 1 };

	stop_in(is_full, BLOCK, act, readers_make_room, is_sent_or_full, ", full");
}

TEST(a_writer_stopped_anywhere_in_a_batch_ends_it_later, LONG)
{
	const struct act *act = &(const struct act){ "batch", pushes_a_batch, .sends = OWN };

	stop_in(is_laps_later, BLOCK, act, others_beside_a_writer, is_sent, ", blocks");
}

TEST(a_writer_stopped_anywhere_in_a_reservation_ends_it_later, LONG)
{
	const struct act *commit = &(const struct act){ "reserve and commit", reserves_and_commits,
							.sends = 1 };
	const struct act *abort = &(const struct act){ "reserve and abort", reserves_and_aborts,
						       .sends = 0 };

	stop_in(is_laps_later, EXCLUSIVE, commit, others_beside_a_writer, is_sent, ", exclusive");
	stop_in(is_laps_later, OVERWRITE, commit, others_beside_a_writer, is_sent, ", overwrites");
	stop_in(is_laps_later, BLOCK, commit, others_beside_a_writer, is_sent, ", blocks");
	stop_in(is_laps_later, BLOCK, abort, others_beside_a_writer, is_sent, ", blocks");
}

TEST(a_writer_stopped_anywhere_in_waking_readers_leaves_nobody_asleep, LONG)
{
	const struct act *act = &(const struct act){ "push", pushes, .sends = 1 };

	stop_in(has_some, OVERWRITE, act, reader_waits_again, is_sent_and_told, ", a reader waits");
	stop_in(is_waited_for, OVERWRITE, act, reader_waits_again, is_sent_and_told,
		", a reader waits again");
}

TEST(a_reader_stopped_anywhere_in_a_pop_ends_it_later, LONG)
{
	const struct act *act = &(const struct act){ "pop", pops, .sends = 0 };

	stop_in(is_laps_later, BLOCK, act, others_beside_a_reader, is_taken, ", blocks");
	stop_in(is_laps_later, OVERWRITE, act, others_beside_a_reader, is_taken_or_lost,
		", overwrites");
	stop_in(is_laps_later, EXCLUSIVE, act, others_beside_a_reader, is_taken_or_lost,
		", exclusive");
}

TEST(a_reader_stopped_anywhere_in_peek_and_release_ends_it_later, LONG)
{
	const struct act *act = &(const struct act){ "peek and release", peeks_and_releases,
						     .sends = 0 };

	stop_in(is_laps_later, BLOCK, act, others_beside_a_reader, is_taken, ", blocks");
	stop_in(is_laps_later, OVERWRITE, act, others_beside_a_reader, is_taken_or_lost,
		", overwrites");
}

TEST(a_reader_stopped_anywhere_in_waking_writers_leaves_nobody_asleep, LONG)
{
	const struct act *act = &(const struct act){ "pop", pops, .sends = 0 };

	stop_in(is_full, BLOCK, act, writer_waits_again, is_taken_and_told, ", a writer waits");
	stop_in(is_full_and_waited_for, BLOCK, act, writer_waits_again, is_taken_and_told,
		", a writer waits again");
}

TEST(a_reader_stopped_anywhere_in_joining_sees_all_from_then_on, LONG)
{
	const struct act *newest = &(const struct act){ "join at the newest", joins_at_the_newest,
							.sends = 0 };
	const struct act *oldest = &(const struct act){ "join at the oldest", joins_at_the_oldest,
							.sends = 0 };

	stop_in(is_laps_later, BLOCK, newest, others_beside_who_joins, has_joined, ", blocks");
	stop_in(is_laps_later, BLOCK, oldest, others_beside_who_joins, has_joined, ", blocks");
	stop_in(is_laps_later, OVERWRITE, oldest, others_beside_who_joins, has_joined,
		", overwrites");
}

static void has_read_all(struct scene *scene)
{
	is_laps_later(scene);
	while (scene_pop(scene, STOPPED) == SHMP_DONE)
		;
}

TEST(a_reader_stopped_anywhere_in_joining_at_a_position_sees_all_from_there_on, LONG)
{
	const struct act *act = &(const struct act){ "join at a position", joins_at_a_position,
						     .sends = 0 };

	stop_in(is_laps_later, BLOCK, act, others_beside_who_joins, has_joined_at_its_position,
		", blocks");
	stop_in(is_laps_later, OVERWRITE, act, others_beside_who_joins, has_joined_at_its_position,
		", overwrites");
	stop_in(is_laps_later, EXCLUSIVE, act, others_beside_who_joins, has_joined_at_its_position,
		", exclusive");
	stop_in(has_read_all, BLOCK, act, others_beside_who_joins, has_joined_at_its_position,
		", nothing is there yet");
	stop_in(has_lapped_him, OVERWRITE, act, others_beside_who_joins, has_joined_at_its_position,
		", which is gone");
}

int main(int argc, char **argv)
{
	return scene_main(argc, argv);
}
