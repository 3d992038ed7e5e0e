/*
 * The writer dies after every instruction of everything it does. What was committed arrives, whole
 * and once; nothing else does; the successor's first frame has the next number.
 */
#include "tests/crash/stream_scene.h"

#include <string.h>

#include "tests/support/ring.h"
#include "tests/support/runner.h"

static bool sends;	 /* the operation */
static uint64_t skipped; /* by it */

/* Frames that are there now: those from before, and that of the operation, or not yet. */
static void check_number(uint64_t number)
{
	SCENE_CHECK(number == scene.next || (sends && number == scene.next + 1));
	SCENE_CHECK(!scene.deaths.has_ended || number == scene.next + sends);
}

/* Also that the numbers go on, behind those that were skipped. */
static void succeed(uint64_t number)
{
	struct shmp_stream_frame frame;
	struct shmt_stream *stream = &scene.stream;
	uint64_t gap;

	shmt_stream_attach_writer(stream);
	gap = stream->writer.sequence - number;
	SCENE_CHECK(gap == 0 || gap == skipped);
	SCENE_CHECK(!scene.deaths.has_ended || gap == skipped);
	SCENE_CHECK(shmt_stream_figure(stream, "last_sequence") == number + gap - 1);
	if (gap == 0)
		return;
	SCENE_CHECK(shmp_stream_write(&stream->writer, NULL, 0) == SHMP_DONE);
	SCENE_CHECK(shmp_stream_lend(&stream->reader, &frame) == SHMP_DONE);
	SCENE_CHECK(frame.flags == SHMP_STREAM_GAP);
	SCENE_CHECK(frame.expected == number && frame.sequence == number + gap);
	SCENE_CHECK(shmp_stream_give_back(&stream->reader, frame.loan, frame.position) ==
		    SHMP_DONE);
}

static void check_metadata(void)
{
	const void *bytes;
	uint64_t size;

	if (shmp_stream_metadata(&scene.stream.reader_map, &bytes, &size) != SHMP_DONE)
		return;
	SCENE_CHECK(size == scene.size && shmt_message_is(bytes, size, scene.next));
}

/* The reader drains before anybody knows of the death, and after. */
static void read_and_succeed(void *context)
{
	uint64_t number = scene_drain(scene.first, SHMP_EMPTY);

	(void)context;
	check_number(number);
	scene_bury(SHMP_STREAM_WRITER);
	SCENE_CHECK(scene_drain(number, SHMP_PEER_DEAD) == number);
	check_metadata();
	succeed(number);
	scene_go_on(scene.stream.writer.sequence);
}

/* The successor comes first, and another one after it; the reader sees no difference. */
static void succeed_twice_and_read(void *context)
{
	struct shmt_stream *stream = &scene.stream;
	uint64_t number, composed = scene.next;

	(void)context;
	scene_bury(SHMP_STREAM_WRITER);
	shmt_stream_attach_writer(stream);
	number = stream->writer.sequence;
	if (skipped == 0) {
		check_number(number);
		SCENE_CHECK(shmp_stream_write(&stream->writer, NULL, 0) == SHMP_DONE);
		scene_bury(SHMP_STREAM_WRITER);
		shmt_stream_attach_writer(stream);
		SCENE_CHECK(stream->writer.sequence == number + 1);
	}
	/* what was there before any of them */
	for (uint64_t at = scene.first; at < composed; at++)
		SCENE_CHECK(shmt_stream_read(stream, scene_size(at), at, at) == SHMP_DONE);
	if (skipped == 0 && number == composed + 1)
		SCENE_CHECK(shmt_stream_read(stream, scene.size, composed, composed) == SHMP_DONE);
	if (skipped == 0)
		SCENE_CHECK(shmt_stream_read(stream, 0, 0, number) == SHMP_DONE);
	SCENE_CHECK(shmt_stream_read(stream, 0, 0, 0) == SHMP_EMPTY);
}

static void kill_everywhere(void (*operate)(void *), bool is_sent)
{
	sends = is_sent;
	skipped = 0;
	scene_kill_everywhere(operate, read_and_succeed, "read, then succeeded");
	scene_kill_everywhere(operate, succeed_twice_and_read, "succeeded, then read");
	scene_close();
}

/* Operations */

static void tell(void)
{
	struct shmp_spsc_producer *ring = &scene.stream.writer.ring;

	if (shmp_spsc_consumer_waits(ring))
		shmp_spsc_tell_consumer(ring, NULL, NULL);
}

static void write_frame(void *context)
{
	(void)context;
	if (shmp_stream_write(&scene.stream.writer, scene.payload, scene.size) == SHMP_DONE)
		tell();
}

static void reserve_and_fill(void *context)
{
	uint8_t *room;

	(void)context;
	if (shmp_stream_reserve(&scene.stream.writer, 1000, &room) == SHMP_DONE)
		memcpy(room, scene.payload, scene.size);
}

static void reserve_and_commit(void *context)
{
	reserve_and_fill(context);
	shmp_stream_commit(&scene.stream.writer, scene.size);
}

static void skip(void *context)
{
	(void)context;
	shmp_stream_skip(&scene.stream.writer, 5);
}

static void set_metadata(void *context)
{
	(void)context;
	shmp_stream_set_metadata(&scene.stream.writer, scene.payload, scene.size);
}

static void attach(void *context)
{
	struct shmp_stream_writer successor;

	(void)context;
	shmp_stream_attach_writer(&scene.stream.writer_map, &successor);
}

TEST(a_write_of_every_length_is_whole_or_not_at_all, .timeout_s = 120)
{
	static const uint64_t sizes[] = { 0, 1, 8, 16, 100, 128, 300, 1000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "write of %u bytes", (unsigned int)sizes[i]);
		scene_open(name, 0);
		scene_publish();
		scene_publish();
		scene_compose(sizes[i]);
		kill_everywhere(write_frame, true);
	}
}

TEST(a_write_across_the_end_is_whole_or_not_at_all, .timeout_s = 120)
{
	scene_open("write, payload wraps", SCENE_RING - 64);
	scene_compose(200);
	kill_everywhere(write_frame, true);
	scene_open("write, wraps behind its word", SCENE_RING - 16);
	scene_compose(200);
	kill_everywhere(write_frame, true);
	scene_open("write, the zero behind wraps", SCENE_RING - 112);
	scene_compose(96);
	kill_everywhere(write_frame, true);
}

TEST(a_write_that_wakes_the_reader_is_whole_or_not_at_all, .timeout_s = 120)
{
	scene_open("write, reader waits", 48);
	scene_compose(100);
	shmp_waiter_prepare(
		&((struct shmp_stream_control *)scene.stream.segment.map.control)->ring.not_empty,
		&scene.stream.segment.map.endpoints[SHMP_STREAM_READER], SHMP_STREAM_READER, false);
	kill_everywhere(write_frame, true);
}

TEST(a_write_without_room_sends_nothing, .timeout_s = 120)
{
	scene_open("write, ring full", 0);
	while (shmp_spsc_head(&scene.stream.writer.ring) < 3 * SCENE_RING / 4 + SCENE_RING)
		scene_publish();
	scene_compose(1100);
	kill_everywhere(write_frame, false);
}

TEST(a_reservation_is_never_sent, .timeout_s = 120)
{
	scene_open("reserve and fill", 0);
	scene_publish();
	scene_compose(100);
	kill_everywhere(reserve_and_fill, false);
}

TEST(a_commit_of_less_than_was_reserved_is_whole_or_not_at_all, .timeout_s = 120)
{
	scene_open("reserve, fill and commit", SCENE_RING - 512);
	scene_publish();
	scene_compose(100);
	kill_everywhere(reserve_and_commit, true);
}

TEST(a_skip_is_done_or_not, .timeout_s = 120)
{
	scene_open("skip", 0);
	scene_publish();
	sends = false;
	skipped = 5;
	scene_kill_everywhere(skip, read_and_succeed, "read, then succeeded");
	scene_close();
}

TEST(metadata_are_there_whole_or_not_at_all, .timeout_s = 120)
{
	scene_open("set_metadata", 0);
	scene_publish();
	scene_compose(60);
	kill_everywhere(set_metadata, false);
}

/* As it stands when a writer died between the release of the header and its position. */
static void die_before_the_position(uint64_t size)
{
	struct shmp_endpoint *self = &scene.stream.segment.map.endpoints[SHMP_STREAM_WRITER];
	uint64_t head = shmp_spsc_head(&scene.stream.writer.ring);

	scene_compose(size);
	SHMT_REQUIRE(shmp_stream_write(&scene.stream.writer, scene.payload, size) == SHMP_DONE);
	atomic_store(&self->cursor, head);
	shmt_place_vacate(&scene.stream.segment, SHMP_STREAM_WRITER, true, 1);
	shmt_place_assign(&scene.stream.segment, SHMP_STREAM_WRITER);
}

static void succeed_after_two(void *context)
{
	scene_bury(SHMP_STREAM_WRITER);
	shmt_stream_attach_writer(&scene.stream);
	SCENE_CHECK(scene.stream.writer.sequence == scene.next + 1);
	SCENE_CHECK(scene_drain(scene.first, SHMP_EMPTY) == scene.next + 1);
	scene_go_on(scene.next + 1);
	(void)context;
}

TEST(a_successor_that_dies_taking_the_place_leaves_it_to_the_next, .timeout_s = 120)
{
	scene_open("attach_writer, after a death", SCENE_RING - 64);
	scene_publish();
	die_before_the_position(150);
	scene_kill_everywhere(attach, succeed_after_two, "succeeded");
	scene_close();
}

DEATHS_MAIN
