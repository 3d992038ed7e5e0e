/*
 * The reader dies after every instruction of everything it does. No frame is lost; what it held,
 * and what it gave back behind that, comes again, flagged; nothing else is flagged; the successor
 * knows which number comes next, and room comes back.
 */
#include "tests/crash/stream_scene.h"

#include <string.h>

#include "tests/support/ring.h"
#include "tests/support/runner.h"

/* Of the frames from the first on, that is the oldest one held before the operation. */
static struct bounds {
	uint64_t held;	/* were lent before the operation */
	uint64_t shown; /* by its end, those taken included */
	uint64_t taken; /* by its end: not to come again */
	bool copies;	/* the last one shown, to the witness */
} bounds;

static bool is_touched(void)
{
	for (uint64_t i = 0; i < SCENE_LONGEST; i++)
		if (scene.witness[i] != SCENE_UNTOUCHED)
			return true;
	return false;
}

static bool must_be_flagged(uint64_t index)
{
	if (index < bounds.held || (scene.deaths.has_ended && index < bounds.shown))
		return true;
	return bounds.copies && index + 1 == bounds.shown && is_touched();
}

static void check_flags(uint64_t from)
{
	for (uint64_t number = from; number < scene.next; number++) {
		uint64_t index = number - scene.first;
		uint32_t flags = scene.flags[index];

		SCENE_CHECK(index < bounds.shown || flags == 0);
		if (must_be_flagged(index))
			SCENE_CHECK(flags == SHMP_STREAM_REDELIVERED);
	}
}

/* The first frame that comes again or for the first time, as the position says. */
static uint64_t next_number(void)
{
	const struct shmp_endpoint *self = &scene.stream.segment.map.endpoints[SHMP_STREAM_READER];
	uint64_t tail = scene.stream.reader.ring.tail, number = scene.first;

	for (; tail != atomic_load(&self->cursor); number++) {
		SCENE_CHECK(number < scene.next);
		tail += shmp_spsc_need(shmp_stream_message_bytes(scene_size(number)));
	}
	SCENE_CHECK(number <= scene.first + bounds.taken);
	SCENE_CHECK(!scene.deaths.has_ended || number == scene.first + bounds.taken);
	/* what was copied is copied whole before it is taken */
	SCENE_CHECK(!bounds.copies || number == scene.first ||
		    shmt_message_is(scene.witness, scene_size(scene.first), scene.first));
	return number;
}

/* scene_drain sees to it that the number expected is the one that comes. */
static void succeed_and_read(void *context)
{
	uint64_t from = next_number();

	(void)context;
	scene_bury(SHMP_STREAM_READER);
	shmt_stream_attach_reader(&scene.stream);
	SCENE_CHECK(scene_drain(from, SHMP_EMPTY) == scene.next);
	check_flags(from);
	scene_go_on(scene.next);
}

/* One frame, dies, and the next one reads the rest; the writer skips a number meanwhile. */
static void succeed_twice(void *context)
{
	struct shmp_stream_frame frame;
	uint64_t from = next_number();

	(void)context;
	shmp_stream_skip(&scene.stream.writer, 1);
	scene_bury(SHMP_STREAM_READER);
	shmt_stream_attach_reader(&scene.stream);
	if (from < scene.next) {
		SCENE_CHECK(shmp_stream_lend(&scene.stream.reader, &frame) == SHMP_DONE);
		SCENE_CHECK(frame.sequence == from && frame.expected == from);
		SCENE_CHECK(shmp_stream_give_back(&scene.stream.reader, frame.loan,
						  frame.position) == SHMP_DONE);
		scene.flags[from - scene.first] = frame.flags;
	}
	scene_bury(SHMP_STREAM_READER);
	shmt_stream_attach_reader(&scene.stream);
	if (from < scene.next)
		SCENE_CHECK(scene_drain(from + 1, SHMP_EMPTY) == scene.next);
	check_flags(from);
	SCENE_CHECK(shmp_stream_write(&scene.stream.writer, NULL, 0) == SHMP_DONE);
	SCENE_CHECK(shmp_stream_lend(&scene.stream.reader, &frame) == SHMP_DONE);
	SCENE_CHECK(frame.flags == SHMP_STREAM_GAP);
	SCENE_CHECK(frame.expected == scene.next && frame.sequence == scene.next + 1);
}

/* The writer fills the ring before anybody knows: it writes over nothing that is not taken. */
static void fill_and_succeed(void *context)
{
	struct shmt_stream *stream = &scene.stream;
	uint64_t from = next_number(), before = scene.next;

	(void)context;
	while (shmt_stream_write(stream, scene_size(scene.next), scene.next) == SHMP_DONE)
		scene.next++;
	SCENE_CHECK(scene.next - before < SCENE_NUMBERS / 2);
	scene_bury(SHMP_STREAM_READER);
	SCENE_CHECK(shmt_stream_write(stream, scene_size(scene.next), 0) == SHMP_PEER_DEAD);
	shmt_stream_attach_reader(stream);
	SCENE_CHECK(scene_drain(from, SHMP_EMPTY) == scene.next);
	check_flags(from);
	scene_go_on(scene.next);
}

/* Operations */

static void read_frame(void *context)
{
	struct shmp_stream_frame frame;
	struct shmp_spsc_consumer *ring = &scene.stream.reader.ring;

	(void)context;
	if (shmp_stream_read(&scene.stream.reader, scene.witness, SCENE_LONGEST, &frame) ==
		    SHMP_DONE &&
	    shmp_spsc_producer_waits(ring))
		shmp_spsc_tell_producer(ring, NULL, NULL);
}

static void read_into_too_little(void *context)
{
	struct shmp_stream_frame frame;

	(void)context;
	shmp_stream_read(&scene.stream.reader, scene.witness, 1, &frame);
}

static void lend(void *context)
{
	struct shmp_stream_frame frame;

	(void)context;
	shmp_stream_lend(&scene.stream.reader, &frame);
}

static void give_back(int index)
{
	shmp_stream_give_back(&scene.stream.reader, scene.held[index].loan,
			      scene.held[index].position);
}

static void give_back_0(void *context)
{
	(void)context;
	give_back(0);
}

static void give_back_1(void *context)
{
	(void)context;
	give_back(1);
}

static void give_back_2(void *context)
{
	(void)context;
	give_back(2);
}

static void give_back_backwards(void *context)
{
	(void)context;
	for (int i = 2; i >= 0; i--)
		give_back(i);
}

static void attach(void *context)
{
	struct shmp_stream_reader successor;

	(void)context;
	shmp_stream_attach_reader(&scene.stream.reader_map, &successor);
}

/* @held, @shown and @taken as in bounds. */
static void kill_everywhere(void (*operate)(void *), uint64_t held, uint64_t shown, uint64_t taken)
{
	bounds = (struct bounds){ held, shown, taken, operate == read_frame && shown > 0 };
	scene_kill_everywhere(operate, succeed_and_read, "succeeded");
	scene_kill_everywhere(operate, succeed_twice, "succeeded twice");
	scene_kill_everywhere(operate, fill_and_succeed, "filled, then succeeded");
	scene_close();
}

/* Six frames, of which @held are lent. */
static void open_with(const char *name, uint64_t offset, int held)
{
	scene_open(name, offset);
	for (int i = 0; i < 6; i++)
		scene_publish();
	for (int i = 0; i < held; i++)
		scene_hold(i);
}

TEST(a_frame_being_read_is_taken_or_comes_again, .timeout_s = 120)
{
	open_with("read", 0, 0);
	kill_everywhere(read_frame, 0, 1, 1);
	open_with("read, payload wraps", SCENE_RING - 32, 0);
	kill_everywhere(read_frame, 0, 1, 1);
	open_with("read, writer waits", 64, 0);
	shmp_waiter_prepare(
		&((struct shmp_stream_control *)scene.stream.segment.map.control)->ring.not_full,
		&scene.stream.segment.map.endpoints[SHMP_STREAM_WRITER], SHMP_STREAM_WRITER, false);
	kill_everywhere(read_frame, 0, 1, 1);
}

TEST(what_is_too_big_is_not_touched, .timeout_s = 120)
{
	open_with("read, buffer too small", 0, 0);
	kill_everywhere(read_into_too_little, 0, 0, 0);
}

TEST(an_empty_stream_leaves_no_trace, .timeout_s = 120)
{
	scene_open("read, nothing there", 0);
	kill_everywhere(read_frame, 0, 0, 0);
}

TEST(a_frame_lent_comes_again, .timeout_s = 120)
{
	open_with("lend", 0, 0);
	kill_everywhere(lend, 0, 1, 0);
	open_with("lend, two are held", SCENE_RING - 48, 2);
	kill_everywhere(lend, 2, 3, 0);
}

TEST(what_is_read_behind_a_loan_comes_again_with_it, .timeout_s = 120)
{
	open_with("read, one is held", 0, 1);
	kill_everywhere(read_frame, 1, 2, 0);
}

TEST(a_loan_given_back_first_is_taken_or_comes_again, .timeout_s = 120)
{
	open_with("give_back, the only one", 0, 1);
	kill_everywhere(give_back_0, 1, 1, 1);
	open_with("give_back, the oldest of three", 0, 3);
	kill_everywhere(give_back_0, 3, 3, 1);
}

TEST(a_loan_given_back_before_an_older_one_comes_again, .timeout_s = 120)
{
	open_with("give_back, the second of three", 0, 3);
	kill_everywhere(give_back_1, 3, 3, 0);
	open_with("give_back, the last two of three", 0, 3);
	give_back(1);
	kill_everywhere(give_back_2, 3, 3, 0);
}

TEST(the_oldest_loan_takes_what_was_given_back_behind_it_along, .timeout_s = 120)
{
	open_with("give_back, three from the last to the first", SCENE_RING - 64, 3);
	kill_everywhere(give_back_backwards, 3, 3, 3);
}

TEST(a_successor_that_dies_taking_the_place_changes_nothing, .timeout_s = 120)
{
	open_with("attach_reader, after a death", 0, 2);
	give_back(1);
	shmt_place_vacate(&scene.stream.segment, SHMP_STREAM_READER, true, 1);
	shmt_place_assign(&scene.stream.segment, SHMP_STREAM_READER);
	kill_everywhere(attach, 2, 2, 0);
}

DEATHS_MAIN
