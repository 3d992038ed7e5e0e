/*
 * A writer or a reader of a broadcast dies anywhere in what it does while others write and read as
 * fast as they can.
 *
 * Message n of a writer is the n-th that its place sent, whoever held it, and all of it follows from
 * writer and n. So a reader that gets each writer's 0, 1, 2 ... whole has lost nothing; one that was
 * lapped is told of what it lost. All get the same in the same order, and nobody is held up.
 * What a reader of block mode was shown stays as it is until his repair.
 *
 * Beside an exclusive writer nobody else writes: its readers follow it and its successors.
 */
#include <string.h>

#include "tests/crash/running.h"
#include "tests/support/broadcast.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

enum {
	CAPACITY = 4096,
	LONGEST = 300,
	WRITERS = 3, /* 0 dies, or nobody is there */
	READERS = 3,
	DEAD_READER = 2,
	OWN = 2, /* messages of a batch */
	UNSENT = 0xff,
	BURST = 12,
	ONE_WAITS_IN = 4, /* deaths, until each who lives got on */
};

/* What a reader has got, of each writer the number that comes next. */
struct tally {
	_Atomic uint64_t next[WRITERS];
	_Atomic uint64_t position;
	_Atomic uint64_t order; /* of all, in a number */
};

/* Shared by all. */
struct world {
	_Atomic bool no_more;		/* writers rest */
	_Atomic uint64_t sent[WRITERS]; /* by those whose push returned */
	struct tally tally[READERS];
	struct shmp_broadcast_message shown; /* to the reader that dies */
	_Atomic bool is_shown;		     /* and may not be written over */
	_Atomic bool is_taken;		     /* its release said so */
	uint8_t witness[LONGEST];	     /* what it read of it */
};

static struct scene {
	struct shmt_broadcast broadcast;
	struct shmp_broadcast_writer writer[WRITERS];
	struct shmp_broadcast_reader reader[READERS];
	struct world *world;
	uint32_t writers; /* who live, from 1 on */
	bool blocks;
	uint64_t next; /* of the writer that dies */
	uint8_t payload[OWN][LONGEST];
	struct running running;
} scene;

#define CHECK(condition_) RUNNING_CHECK(&scene.running, condition_)

static uint64_t size_of(uint64_t sequence)
{
	return sequence % 11 == 0 ? LONGEST - sequence % 97 : 8 + sequence * 37 % 90;
}

static uint64_t number_of(uint64_t writer, uint64_t sequence)
{
	return writer << 48 | sequence;
}

static struct shmp_broadcast_control *control(void)
{
	return scene.broadcast.segment.map.control;
}

/* Its endpoint. */
static uint32_t place_of_reader(uint32_t reader)
{
	return scene.broadcast.writers + reader;
}

static uint64_t count_sent(uint32_t writer)
{
	return atomic_load(&scene.broadcast.segment.map.endpoints[writer].items);
}

static void tell_of_push(struct shmp_broadcast_writer *writer)
{
	if (shmp_broadcast_readers_wait(&writer->ring))
		shmp_broadcast_tell_readers(writer, NULL, NULL);
	if (shmp_broadcast_writers_wait(&writer->ring))
		shmp_broadcast_tell_writers(&writer->ring, &writer->telling_writers,
					    writer->ringing, NULL, NULL);
}

static void tell_of_pop(struct shmp_broadcast_reader *reader)
{
	if (scene.blocks && shmp_broadcast_writers_wait(&reader->ring))
		shmp_broadcast_tell_writers(&reader->ring, &reader->telling_writers,
					    reader->ringing, NULL, NULL);
}

static bool push_next(uint32_t writer)
{
	uint64_t sequence = count_sent(writer);
	int r;

	shmt_message_fill(scene.payload[0], size_of(sequence), number_of(writer, sequence));
	r = shmp_broadcast_push(&scene.writer[writer], scene.payload[0], size_of(sequence));
	/* one who died in the middle of a push holds the others after a lap, until his repair */
	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_FULL);
	if (r != SHMP_DONE)
		return false;
	atomic_store(&scene.world->sent[writer], sequence + 1);
	tell_of_push(&scene.writer[writer]);
	return true;
}

static bool is_whole(const struct shmp_broadcast_message *message, const void *data)
{
	return message->size == size_of(message->sequence) &&
	       shmt_message_is(data, message->size, number_of(message->writer, message->sequence));
}

/* Whether it is whole, and what comes next, or, if some @may_be_lost, what is missing is said. */
static bool is_next(const struct shmp_broadcast_message *message, struct tally *tally,
		    bool may_be_lost)
{
	uint64_t next = atomic_load(&tally->next[message->writer]);
	bool has_lost = (message->flags & SHMP_BROADCAST_LOST) != 0;

	if (!is_whole(message, message->data))
		return false;
	atomic_store(&tally->next[message->writer], message->sequence + 1);
	atomic_store(&tally->order, atomic_load(&tally->order) * UINT64_C(0x100000001b3) +
					    number_of(message->writer, message->sequence));
	if (next == SHMP_BROADCAST_UNKNOWN)
		return true;
	if (!has_lost)
		return message->sequence == next;
	return may_be_lost && message->sequence >= next &&
	       (message->lost == 0 || message->sequence == next + message->lost);
}

/* The living */

static bool try_pop(void *context, unsigned int peer)
{
	uint32_t place = peer - scene.writers;
	struct shmp_broadcast_reader *reader = &scene.reader[place];
	struct shmp_broadcast_message message;
	uint8_t buffer[LONGEST];
	int r = shmp_broadcast_pop(reader, buffer, sizeof(buffer), &message);

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY);
	if (r == SHMP_DONE)
		SHMT_REQUIRE(is_next(&message, &scene.world->tally[place], !scene.blocks));
	atomic_store(&scene.world->tally[place].position, reader->position);
	tell_of_pop(reader);
	return r == SHMP_DONE;
}

static bool try_push(void *context, unsigned int peer)
{
	return !atomic_load(&scene.world->no_more) && push_next(1 + peer);
}

static bool live(void *context, unsigned int peer)
{
	struct running *running = &scene.running;

	if (peer < scene.writers)
		return running_move_or_sleep(running, peer, try_push, &control()->not_full,
					     scene.writer[1 + peer].self, 1 + peer);
	return running_move_or_sleep(running, peer, try_pop, &control()->not_empty,
				     scene.reader[peer - scene.writers].self,
				     place_of_reader(peer - scene.writers));
}

static void check_others(void *context)
{
	if (shmt_random_below(&scene.running.random, ONE_WAITS_IN) == 0)
		running_await_moves(&scene.running, 1);
}

static uint64_t tail(void)
{
	return shmp_broadcast_load_tail(&scene.reader[0].ring) >> 8;
}

/* Of an exclusive writer: they go no further than it did. */
static void check_readers(void *context)
{
	if (shmt_random_below(&scene.running.random, ONE_WAITS_IN) > 0)
		return;
	for (uint32_t i = 0; i < scene.running.peers; i++)
		RUNNING_AWAIT(&scene.running,
			      atomic_load(&scene.world->tally[i].position) == tail());
}

/* Writers that die */

static void write_on(void *context)
{
	shmt_broadcast_attach_writer(&scene.broadcast, 0, &scene.writer[0]);
	CHECK(count_sent(0) >= scene.next && count_sent(0) <= scene.next + OWN);
	CHECK(count_sent(0) >= atomic_load(&scene.world->sent[0]));
	for (uint64_t i = shmt_random_below(&scene.running.random, BURST); i > 0; i--)
		RUNNING_AWAIT(&scene.running, push_next(0));
	scene.next = count_sent(0);
}

static void prepare_messages(void *context)
{
	for (uint64_t i = 0; i < OWN; i++)
		shmt_message_fill(scene.payload[i], size_of(scene.next + i),
				  number_of(0, scene.next + i));
}

static void dies_pushing(void *context)
{
	while (shmp_broadcast_push(&scene.writer[0], scene.payload[0], size_of(scene.next)) ==
	       SHMP_FULL)
		;
	atomic_store(&scene.world->sent[0], scene.next + 1);
	tell_of_push(&scene.writer[0]);
}

static void dies_sending_a_batch(void *context)
{
	struct shmp_broadcast_piece pieces[OWN];
	uint64_t count = 0;

	for (uint64_t i = 0; i < OWN; i++)
		pieces[i] = (struct shmp_broadcast_piece){ scene.payload[i],
							   size_of(scene.next + i) };
	while (shmp_broadcast_push_pieces(&scene.writer[0], pieces, OWN, &count) == SHMP_FULL)
		;
	atomic_store(&scene.world->sent[0], scene.next + count);
	tell_of_push(&scene.writer[0]);
}

/* More than it takes: the rest becomes padding. */
static void dies_reserving_and_committing(void *context)
{
	uint64_t size = size_of(scene.next);
	uint8_t *room = NULL;

	while (shmp_broadcast_reserve(&scene.writer[0], LONGEST, &room) == SHMP_FULL)
		;
	memcpy(room, scene.payload[0], size);
	shmp_broadcast_commit(&scene.writer[0], size);
	atomic_store(&scene.world->sent[0], scene.next + 1);
	tell_of_push(&scene.writer[0]);
}

/* What it writes is no message: nobody may get it. */
static void dies_reserving_and_aborting(void *context)
{
	uint8_t *room = NULL;

	while (shmp_broadcast_reserve(&scene.writer[0], LONGEST, &room) == SHMP_FULL)
		;
	memset(room, UNSENT, size_of(scene.next));
	shmp_broadcast_abort(&scene.writer[0]);
	tell_of_push(&scene.writer[0]);
}

/* Readers that die */

static void forget(struct tally *tally)
{
	for (uint32_t i = 0; i < WRITERS; i++)
		atomic_store(&tally->next[i], SHMP_BROADCAST_UNKNOWN);
}

/* Begins anew, at either end; what was there before may be written over before it is read. */
static void read_on(void *context)
{
	struct tally *tally = &scene.world->tally[DEAD_READER];
	struct shmp_broadcast_reader *reader = &scene.reader[DEAD_READER];
	struct shmp_broadcast_message message;
	uint8_t buffer[LONGEST];

	shmt_broadcast_attach_reader(&scene.broadcast, DEAD_READER,
				     shmt_random_below(&scene.running.random, 2) ?
					     SHMP_BROADCAST_FROM_OLDEST :
					     SHMP_BROADCAST_FROM_NEWEST,
				     0, reader);
	forget(tally);
	for (uint64_t i = shmt_random_below(&scene.running.random, BURST); i > 0; i--) {
		RUNNING_AWAIT(&scene.running, shmp_broadcast_pop(reader, buffer, sizeof(buffer),
								 &message) == SHMP_DONE);
		CHECK(is_next(&message, tally, true));
		tell_of_pop(reader);
	}
}

/* As one who would sleep if there were nothing. */
static void dies_popping(void *context)
{
	struct shmp_broadcast_reader *reader = &scene.reader[DEAD_READER];
	struct shmp_broadcast_message message;
	uint8_t buffer[LONGEST];
	int r;

	do {
		shmp_waiter_prepare(&control()->not_empty, reader->self,
				    place_of_reader(DEAD_READER), scene.running.has_membarrier);
		r = shmp_broadcast_pop(reader, buffer, sizeof(buffer), &message);
		shmp_waiter_finish(&control()->not_empty, place_of_reader(DEAD_READER));
	} while (r == SHMP_EMPTY);
	tell_of_pop(reader);
}

static void dies_peeking_and_releasing(void *context)
{
	struct shmp_broadcast_reader *reader = &scene.reader[DEAD_READER];
	struct world *world = scene.world;
	struct shmp_broadcast_message message;

	do {
		while (shmp_broadcast_peek(reader, &world->shown) == SHMP_EMPTY)
			;
		/* others may write over what was there before it joined */
		atomic_store(&world->is_shown, reader->position >= reader->validate_below);
		memcpy(world->witness, world->shown.data, world->shown.size);
		atomic_store(&world->is_shown, false);
	} while (shmp_broadcast_release(reader, &message) == SHMP_EMPTY);
	atomic_store(&world->is_taken, true);
	tell_of_pop(reader);
}

/* Between death and repair. */
static void look_what_was_shown(void *context)
{
	struct world *world = scene.world;

	if (atomic_load(&world->is_shown))
		CHECK(is_whole(&world->shown, world->shown.data));
	if (atomic_load(&world->is_taken))
		CHECK(is_whole(&world->shown, world->witness));
	atomic_store(&world->is_shown, false);
	atomic_store(&world->is_taken, false);
}

static void come_to_join(void *context)
{
	shmt_place_assign(&scene.broadcast.segment, place_of_reader(DEAD_READER));
	memset(&scene.reader[DEAD_READER], 0, sizeof(scene.reader[DEAD_READER]));
}

static void dies_joining(void *context)
{
	shmp_broadcast_attach_reader(&scene.broadcast.reader_map, place_of_reader(DEAD_READER),
				     SHMP_BROADCAST_FROM_OLDEST, 0, &scene.reader[DEAD_READER]);
}

/* Runs */

/* All is read, and by all the same. */
static void settle(uint32_t readers)
{
	struct world *world = scene.world;

	atomic_store(&world->no_more, true);
	/* what a writer was about to push may still come */
	for (uint32_t i = 0; i < readers; i++)
		for (uint32_t w = 0; w < scene.broadcast.writers && scene.blocks; w++)
			RUNNING_AWAIT(&scene.running,
				      atomic_load(&world->tally[i].next[w]) == count_sent(w));
	for (uint32_t i = 0; i < readers; i++)
		RUNNING_AWAIT(&scene.running, atomic_load(&world->tally[i].position) == tail());
	for (uint32_t i = 1; i < readers && scene.blocks; i++)
		ck_assert_uint_eq(atomic_load(&world->tally[i].order),
				  atomic_load(&world->tally[0].order));
	for (uint32_t w = 0; w < scene.broadcast.writers; w++)
		ck_assert_uint_ge(count_sent(w), atomic_load(&world->sent[w]));
}

static void set_up(const char *name, void (*operate)(void *context), bool blocks, uint32_t writers,
		   uint32_t readers)
{
	struct shmt_broadcast_options options = { .capacity = CAPACITY,
						  .message_max = LONGEST,
						  .writers = writers > 0 ? WRITERS : 1,
						  .readers = READERS,
						  .blocks = blocks,
						  .is_exclusive = writers == 0 };

	memset(&scene, 0, sizeof(scene));
	scene.blocks = blocks;
	scene.writers = writers;
	scene.world = running_share(sizeof(*scene.world));
	shmt_broadcast_make(&scene.broadcast, &options);
	for (uint32_t i = 1; i <= writers; i++)
		shmt_broadcast_attach_writer(&scene.broadcast, i, &scene.writer[i]);
	for (uint32_t i = 0; i < readers; i++)
		shmt_broadcast_attach_reader(&scene.broadcast, i, SHMP_BROADCAST_FROM_OLDEST, 0,
					     &scene.reader[i]);
	scene.running = (struct running){
		.name = name,
		.segment = &scene.broadcast.segment,
		.peers = writers + readers,
		.live = live,
		.operate = operate,
		.check = writers > 0 ? check_others : check_readers,
	};
}

static void check_all_is_well(void)
{
	const char *why = NULL;

	running_finish(&scene.running);
	ck_assert_msg(shmp_broadcast_kind.validate(&scene.broadcast.segment.map, &why) == 0, "%s",
		      why);
	shmt_broadcast_free(&scene.broadcast);
}

static void kill_writers_beside(uint32_t writers, const char *name, void (*operate)(void *context),
				bool blocks)
{
	set_up(name, operate, blocks, writers, 2);
	scene.running.place = 0;
	scene.running.stride = writers > 0 ? 2 : 1;
	scene.running.come = write_on;
	scene.running.prepare = prepare_messages;
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	write_on(NULL);
	settle(2);
	check_all_is_well();
}

static void kill_writers(const char *name, void (*operate)(void *context), bool blocks)
{
	kill_writers_beside(1, name, operate, blocks);
}

static void kill_exclusive_writers(const char *name, void (*operate)(void *context))
{
	kill_writers_beside(0, name, operate, true);
}

static void kill_readers(const char *name, void (*operate)(void *context),
			 void (*come)(void *context), bool blocks)
{
	set_up(name, operate, blocks, 2, 1);
	scene.running.place = place_of_reader(DEAD_READER);
	scene.running.come = come;
	scene.running.die = look_what_was_shown;
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	settle(1);
	check_all_is_well();
}

TEST(writers_die_in_a_push_that_overwrites_while_others_run, .timeout_s = 120)
{
	kill_writers("push, overwriting", dies_pushing, false);
}

TEST(writers_die_in_a_push_that_waits_for_readers_while_others_run, .timeout_s = 120)
{
	kill_writers("push, blocking", dies_pushing, true);
}

TEST(writers_die_in_a_batch_while_others_run, .timeout_s = 120)
{
	kill_writers("batch of 2, blocking", dies_sending_a_batch, true);
}

TEST(exclusive_writers_die_in_a_push_while_their_readers_run, .timeout_s = 120)
{
	kill_exclusive_writers("push, exclusive", dies_pushing);
}

TEST(exclusive_writers_die_in_a_reservation_while_their_readers_run, .timeout_s = 120)
{
	kill_exclusive_writers("reserve and commit, exclusive", dies_reserving_and_committing);
}

TEST(exclusive_writers_die_giving_a_reservation_back_while_their_readers_run, .timeout_s = 120)
{
	kill_exclusive_writers("reserve and abort, exclusive", dies_reserving_and_aborting);
}

TEST(readers_die_in_a_pop_of_what_is_overwritten_while_others_run, .timeout_s = 120)
{
	kill_readers("pop, overwritten", dies_popping, read_on, false);
}

TEST(readers_die_in_a_pop_that_writers_wait_for_while_others_run, .timeout_s = 120)
{
	kill_readers("pop, blocking", dies_popping, read_on, true);
}

TEST(readers_die_in_peek_and_release_of_what_is_overwritten_while_others_run, .timeout_s = 120)
{
	kill_readers("peek and release, overwritten", dies_peeking_and_releasing, read_on, false);
}

TEST(readers_die_in_peek_and_release_that_writers_wait_for_while_others_run, .timeout_s = 120)
{
	kill_readers("peek and release, blocking", dies_peeking_and_releasing, read_on, true);
}

TEST(readers_die_joining_while_others_run, .timeout_s = 120)
{
	kill_readers("join, blocking", dies_joining, come_to_join, true);
}

RUNNING_MAIN
