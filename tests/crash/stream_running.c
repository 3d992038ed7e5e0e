/*
 * A writer of a stream dies anywhere in what it does while its reader runs, and a reader while its
 * writer runs; a successor takes up the place, runs for a while itself and is the next to die.
 *
 * All of a frame follows from its sequence number. So a reader that gets each number once, whole and
 * without a gap told, has lost nothing; who comes after a dead reader may get, flagged, what that one
 * had seen.
 */
#include <string.h>

#include "tests/crash/running.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"
#include "tests/support/stream.h"

enum {
	CAPACITY = 4096 - SHMP_STREAM_OVERHEAD,
	LONGEST = 1300,
	OWN = 2, /* frames that are lent at once */
	BURST = 20,
	UNTOUCHED = 0xee,
};

/* Shared by all. */
struct world {
	_Atomic uint64_t written;      /* number behind the last whose write returned */
	_Atomic uint64_t read;	       /* number that the living reader gets next */
	_Atomic bool has_returned;     /* the victim's operation */
	_Atomic uint64_t taking;       /* frames that the victim is about to have taken */
	_Atomic uint64_t seen;	       /* frames that it has begun to read */
	uint8_t witness[OWN][LONGEST]; /* and what it read */
};

static struct scene {
	struct shmt_stream stream;
	struct world *world;
	uint64_t next; /* number of the next frame, of the parent's role */
	uint8_t payload[LONGEST];
	struct running running;
} scene;

#define CHECK(condition_) RUNNING_CHECK(&scene.running, condition_)

static uint64_t size_of(uint64_t number)
{
	return number % 13 == 0 ? LONGEST - number % 97 : 8 + number * 37 % 150;
}

static struct shmp_spsc_control *control(void)
{
	return scene.stream.segment.map.control;
}

static void tell_reader(void)
{
	struct shmp_spsc_producer *ring = &scene.stream.writer.ring;

	if (shmp_spsc_consumer_waits(ring))
		shmp_spsc_tell_consumer(ring, NULL, NULL);
}

static void tell_writer(void)
{
	struct shmp_spsc_consumer *ring = &scene.stream.reader.ring;

	if (shmp_spsc_producer_waits(ring))
		shmp_spsc_tell_producer(ring, NULL, NULL);
}

static bool write_next(void)
{
	struct shmp_stream_writer *writer = &scene.stream.writer;
	uint64_t number = writer->sequence;
	int r;

	shmt_message_fill(scene.payload, size_of(number), number);
	r = shmp_stream_write(writer, scene.payload, size_of(number));
	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_FULL || r == SHMP_PEER_DEAD);
	if (r != SHMP_DONE)
		return false;
	atomic_store(&scene.world->written, number + 1);
	tell_reader();
	return true;
}

static bool is_frame(const struct shmp_stream_frame *frame, uint64_t number)
{
	return frame->sequence == number && frame->expected == number &&
	       (frame->flags & SHMP_STREAM_GAP) == 0 && frame->size == size_of(number) &&
	       shmt_message_is(frame->data, frame->size, number);
}

/* The living */

static bool try_read(void *context, unsigned int peer)
{
	uint64_t number = atomic_load(&scene.world->read);
	struct shmp_stream_frame frame;
	uint8_t buffer[LONGEST];
	int r = shmp_stream_read(&scene.stream.reader, buffer, sizeof(buffer), &frame);

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY || r == SHMP_PEER_DEAD);
	if (r != SHMP_DONE)
		return false;
	SHMT_REQUIRE(is_frame(&frame, number) && frame.flags == 0);
	atomic_store(&scene.world->read, number + 1);
	tell_writer();
	return true;
}

static bool live_reading(void *context, unsigned int peer)
{
	return running_move_or_sleep(&scene.running, peer, try_read, &control()->not_empty,
				     &scene.stream.segment.map.endpoints[SHMP_STREAM_READER],
				     SHMP_STREAM_READER);
}

static bool try_write(void *context, unsigned int peer)
{
	return write_next();
}

static bool live_writing(void *context, unsigned int peer)
{
	return running_move_or_sleep(&scene.running, peer, try_write, &control()->not_full,
				     &scene.stream.segment.map.endpoints[SHMP_STREAM_WRITER],
				     SHMP_STREAM_WRITER);
}

/* Writers that die */

static void all_arrive(void)
{
	RUNNING_AWAIT(&scene.running,
		      atomic_load(&scene.world->read) >= atomic_load(&scene.world->written));
}

static void check_nobody_sleeps(void *context)
{
	if (shmt_random_below(&scene.running.random, 2) == 0)
		all_arrive();
}

/* Whose predecessor's last frame was sent, or was not. */
static void write_on(void *context)
{
	const struct shmp_stream_writer *writer = &scene.stream.writer;

	shmt_stream_attach_writer(&scene.stream);
	CHECK(writer->sequence == scene.next || writer->sequence == scene.next + 1);
	CHECK(writer->sequence >= atomic_load(&scene.world->written));
	CHECK(!scene.running.has_ended || writer->sequence == scene.next + 1);
	scene.running.has_ended = false;
	for (uint64_t i = shmt_random_below(&scene.running.random, BURST); i > 0; i--)
		RUNNING_AWAIT(&scene.running, write_next());
	if (shmt_random_below(&scene.running.random, 2) == 0)
		all_arrive();
	scene.next = writer->sequence;
}

static void prepare_frame(void *context)
{
	shmt_message_fill(scene.payload, size_of(scene.next), scene.next);
}

static void dies_writing(void *context)
{
	uint64_t size = size_of(scene.next);

	while (shmp_stream_write(&scene.stream.writer, scene.payload, size) == SHMP_FULL)
		;
	atomic_store(&scene.world->written, scene.next + 1);
	tell_reader();
}

/* As one who would sleep if there were no room. */
static void dies_reserving_and_committing(void *context)
{
	struct shmp_endpoint *self = &scene.stream.segment.map.endpoints[SHMP_STREAM_WRITER];
	uint64_t size = size_of(scene.next);
	uint8_t *room = NULL;
	int r;

	do {
		shmp_waiter_prepare(&control()->not_full, self, SHMP_STREAM_WRITER,
				    scene.running.has_membarrier);
		r = shmp_stream_reserve(&scene.stream.writer, size, &room);
		shmp_waiter_finish(&control()->not_full, SHMP_STREAM_WRITER);
	} while (r == SHMP_FULL);
	memcpy(room, scene.payload, size);
	shmp_stream_commit(&scene.stream.writer, size);
	atomic_store(&scene.world->written, scene.next + 1);
	tell_reader();
}

/* Readers that die */

static void read_next(struct shmp_stream_frame *ret_frame)
{
	uint8_t buffer[LONGEST];

	RUNNING_AWAIT(&scene.running, shmp_stream_read(&scene.stream.reader, buffer, sizeof(buffer),
						       ret_frame) == SHMP_DONE);
	CHECK(is_frame(ret_frame, ret_frame->sequence));
}

/* What the dead one had not taken comes again, what it had seen flagged. */
static void take_over(void)
{
	uint64_t taking = atomic_load(&scene.world->taking), seen = atomic_load(&scene.world->seen);
	struct shmp_stream_frame frame;

	read_next(&frame);
	if (frame.sequence != scene.next) { /* it is taken: seen, whole */
		CHECK(taking > 0 && frame.sequence == scene.next + taking && seen >= taking);
		for (uint64_t i = 0; i < taking; i++)
			CHECK(shmt_message_is(scene.world->witness[i], size_of(scene.next + i),
					      scene.next + i));
		scene.next += taking;
		seen -= taking;
	} else {
		CHECK(!atomic_load(&scene.world->has_returned));
	}
	for (uint64_t i = 0; i < OWN; i++) {
		if (i > 0)
			read_next(&frame);
		CHECK(frame.sequence == scene.next++);
		CHECK(i >= seen || frame.flags == SHMP_STREAM_REDELIVERED);
	}
}

static void read_on(void *context)
{
	struct shmp_stream_frame frame;

	shmt_stream_attach_reader(&scene.stream);
	take_over();
	tell_writer();
	for (uint64_t i = shmt_random_below(&scene.running.random, BURST); i > 0; i--) {
		read_next(&frame);
		CHECK(frame.sequence == scene.next++ && frame.flags == 0);
		tell_writer();
	}
	atomic_store(&scene.world->has_returned, false);
	atomic_store(&scene.world->taking, 0);
	atomic_store(&scene.world->seen, 0);
	memset(scene.world->witness, UNTOUCHED, sizeof(scene.world->witness));
}

/* As one who would sleep if there were nothing. */
static void dies_reading(void *context)
{
	struct shmp_endpoint *self = &scene.stream.segment.map.endpoints[SHMP_STREAM_READER];
	struct world *world = scene.world;
	struct shmp_stream_frame frame;
	int r;

	atomic_store(&world->taking, 1);
	do {
		shmp_waiter_prepare(&control()->not_empty, self, SHMP_STREAM_READER,
				    scene.running.has_membarrier);
		r = shmp_stream_read(&scene.stream.reader, world->witness[0], LONGEST, &frame);
		shmp_waiter_finish(&control()->not_empty, SHMP_STREAM_READER);
	} while (r == SHMP_EMPTY);
	atomic_store(&world->has_returned, true);
	tell_writer();
}

/* A read says nothing of having begun: what it has read does. */
static void look_what_was_seen(void *context)
{
	struct world *world = scene.world;

	for (uint64_t i = 0; i < LONGEST && atomic_load(&world->seen) == 0; i++)
		if (world->witness[0][i] != UNTOUCHED)
			atomic_store(&world->seen, 1);
}

/* The later one is given back first, which takes nothing yet. */
static void dies_lending_and_giving_back(void *context)
{
	struct shmp_stream_reader *reader = &scene.stream.reader;
	struct shmp_stream_frame frame[OWN];
	struct world *world = scene.world;

	for (uint64_t i = 0; i < OWN; i++) {
		while (shmp_stream_lend(reader, &frame[i]) == SHMP_EMPTY)
			;
		atomic_store(&world->seen, i + 1);
		memcpy(world->witness[i], frame[i].data, frame[i].size);
	}
	for (uint64_t i = OWN; i-- > 0;) {
		if (i == 0)
			atomic_store(&world->taking, OWN);
		shmp_stream_give_back(reader, frame[i].loan, frame[i].position);
	}
	atomic_store(&world->has_returned, true);
	tell_writer();
}

/* Runs */

static void set_up(const char *name, void (*operate)(void *context))
{
	memset(&scene, 0, sizeof(scene));
	shmt_stream_make(&scene.stream, CAPACITY, 0);
	scene.world = running_share(sizeof(*scene.world));
	memset(scene.world->witness, UNTOUCHED, sizeof(scene.world->witness));
	scene.next = 1;
	atomic_store(&scene.world->read, 1);
	atomic_store(&scene.world->written, 1);
	scene.running = (struct running){
		.name = name,
		.segment = &scene.stream.segment,
		.peers = 1,
		.operate = operate,
	};
}

static void check_all_is_well(void)
{
	const struct shmp_segment *map = &scene.stream.segment.map;
	struct shmp_stream_status status;
	const char *why = NULL;

	ck_assert_msg(shmp_stream_kind.validate(map, &why) == 0, "%s", why);
	shmp_stream_status(map, &status);
	ck_assert_uint_eq(status.write_position, status.read_position);
	ck_assert_uint_eq(status.last_sequence + 1, atomic_load(&scene.world->written));
	shmt_stream_free(&scene.stream);
}

static void kill_writers(const char *name, void (*operate)(void *context))
{
	set_up(name, operate);
	shmt_stream_attach_reader(&scene.stream);
	scene.running.live = live_reading;
	scene.running.place = SHMP_STREAM_WRITER;
	scene.running.come = write_on;
	scene.running.prepare = prepare_frame;
	scene.running.check = check_nobody_sleeps;
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	write_on(NULL);
	RUNNING_AWAIT(&scene.running, write_next()); /* so that the last one said how far it is */
	all_arrive();
	running_finish(&scene.running);
	check_all_is_well();
}

static void kill_readers(const char *name, void (*operate)(void *context))
{
	struct shmp_stream_frame frame;

	set_up(name, operate);
	shmt_stream_attach_writer(&scene.stream);
	scene.running.live = live_writing;
	scene.running.place = SHMP_STREAM_READER;
	scene.running.come = read_on;
	scene.running.die = look_what_was_seen;
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	read_on(NULL);
	running_finish(&scene.running);
	scene.running.peers = 0;
	while (scene.next < atomic_load(&scene.world->written)) {
		read_next(&frame);
		ck_assert_uint_eq(frame.sequence, scene.next++);
		ck_assert_uint_eq(frame.flags, 0);
	}
	check_all_is_well();
}

TEST(writers_die_in_a_write_while_their_reader_runs, .timeout_s = 120)
{
	kill_writers("write", dies_writing);
}

TEST(writers_die_in_a_reservation_while_their_reader_runs, .timeout_s = 120)
{
	kill_writers("reserve and commit", dies_reserving_and_committing);
}

TEST(readers_die_in_a_read_while_their_writer_runs, .timeout_s = 120)
{
	kill_readers("read", dies_reading);
}

TEST(readers_die_holding_frames_while_their_writer_runs, .timeout_s = 120)
{
	kill_readers("lend 2 and give back", dies_lending_and_giving_back);
}

RUNNING_MAIN
