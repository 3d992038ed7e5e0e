/*
 * The writer or the reader of a stream is stopped, not dead, after every instruction of what it
 * does. The other side goes on meanwhile until it finds the ring empty or full, and dies and is
 * succeeded; or it gives up waiting and waits anew. When the stopped one goes on, each frame comes
 * once, whole, with its number, no gap is told that is not there, and nobody stays asleep.
 */
#include "tests/crash/stream_scene.h"

#include <string.h>

#include "tests/support/ring.h"
#include "tests/support/runner.h"

enum {
	SKIPPED = 5,
	BIG = 1100,
	RESERVED = 200,
	MANY = 6, /* frames before a reader's operation */
};

/* Of the run that is checked, by what the others did meanwhile. */
static struct meanwhile {
	uint64_t reached; /* number of the first frame that the reader has not got */
	uint32_t key;	  /* on which somebody sleeps */
	uint64_t tail;	  /* of the reader, when the writer lay down */
} meanwhile;

static struct shmp_spsc_control *ring_control(void)
{
	struct shmp_stream_control *control = scene.stream.segment.map.control;

	return &control->ring;
}

static struct shmp_endpoint *place(uint32_t endpoint)
{
	return &scene.stream.segment.map.endpoints[endpoint];
}

static bool is_first(void)
{
	return scene.deaths.point == 0;
}

static void validate(void)
{
	const char *why;

	SCENE_CHECK(shmp_stream_kind.validate(&scene.stream.segment.map, &why) == 0);
}

/* What a stopped writer does, stepped */

static void tell_reader(void)
{
	struct shmp_spsc_producer *ring = &scene.stream.writer.ring;

	if (shmp_spsc_consumer_waits(ring))
		shmp_spsc_tell_consumer(ring, NULL, NULL);
}

static void writes(void *context)
{
	(void)context;
	scene.r = shmp_stream_write(&scene.stream.writer, scene.payload, scene.size);
	if (scene.r == SHMP_DONE)
		tell_reader();
}

static void reserves_and_commits(void *context)
{
	uint8_t *room;

	(void)context;
	scene.r = shmp_stream_reserve(&scene.stream.writer, 1000, &room);
	if (scene.r != SHMP_DONE)
		return;
	memcpy(room, scene.payload, scene.size);
	shmp_stream_commit(&scene.stream.writer, scene.size);
	tell_reader();
}

static void skips_and_writes(void *context)
{
	shmp_stream_skip(&scene.stream.writer, SKIPPED);
	writes(context);
}

static void sets_metadata(void *context)
{
	(void)context;
	scene.r = shmp_stream_set_metadata(&scene.stream.writer, scene.payload, scene.size);
}

/* Meanwhile, the reader */

/* It dies with the first one in its hands, which alone comes flagged. */
static void succeed_reader(void)
{
	struct shmp_stream_frame frame;
	int r = shmp_stream_lend(&scene.stream.reader, &frame);

	SCENE_CHECK(r == SHMP_DONE || r == SHMP_EMPTY);
	scene_bury(SHMP_STREAM_READER);
	shmt_stream_attach_reader(&scene.stream);
}

static void reader_drains(void *context)
{
	(void)context;
	succeed_reader();
	meanwhile.reached = scene_drain(scene.first, SHMP_EMPTY);
	SCENE_CHECK(meanwhile.reached == scene.next ||
		    (meanwhile.reached == scene.next + 1 && !is_first()));
}

static void reader_dies(void *context)
{
	(void)context;
	scene_bury(SHMP_STREAM_READER);
}

/* Its time is up: it takes what there is and sleeps once more. */
static void reader_waits_again(void *context)
{
	shmp_waiter_finish(&ring_control()->not_empty, SHMP_STREAM_READER);
	meanwhile.key = shmp_waiter_prepare(&ring_control()->not_empty, place(SHMP_STREAM_READER),
					    SHMP_STREAM_READER, false);
	meanwhile.reached = scene_drain(scene.first, SHMP_EMPTY);
	(void)context;
}

static void reader_sees_metadata_whole(void)
{
	const void *bytes;
	uint64_t size;
	int r = shmp_stream_metadata(&scene.stream.reader_map, &bytes, &size);

	SCENE_CHECK(r == SHMP_DONE || (r == SHMP_EMPTY && scene.r != SHMP_DONE));
	SCENE_CHECK(r != SHMP_DONE || !is_first() || scene.r == SHMP_DONE);
	SCENE_CHECK(r != SHMP_DONE ||
		    (size == scene.size && shmt_message_is(bytes, size, scene.next)));
}

static void reader_looks(void *context)
{
	reader_sees_metadata_whole();
	reader_drains(context);
}

/* What must be when the writer has ended */

/* The last one comes now if it had not come; the writer goes on with the handle it has. */
static void go_on_from(uint64_t sent)
{
	uint64_t number = scene.next + sent;

	SCENE_CHECK(scene_drain(meanwhile.reached, SHMP_EMPTY) == number);
	SCENE_CHECK(sent == 0 || scene.flags[scene.next - scene.first] == 0);
	SCENE_CHECK(scene.stream.writer.sequence == number);
	scene_go_on(number);
	validate();
}

static void is_sent(void *context)
{
	(void)context;
	SCENE_CHECK(scene.r == SHMP_DONE);
	go_on_from(1);
}

/* Who had looked for room before there was some. */
static void is_sent_or_full(void *context)
{
	(void)context;
	SCENE_CHECK(scene.r == SHMP_DONE || (scene.r == SHMP_FULL && !is_first()));
	go_on_from(scene.r == SHMP_DONE);
}

/* Beside a reader who is dead: it matters to who finds no room. */
static void is_for_the_successor(bool is_sent)
{
	shmt_stream_attach_reader(&scene.stream);
	meanwhile.reached = scene.first;
	go_on_from(is_sent);
}

static void is_sent_to_the_successor(void *context)
{
	(void)context;
	SCENE_CHECK(scene.r == SHMP_DONE);
	is_for_the_successor(true);
}

static void is_full_or_told_of_the_death(void *context)
{
	(void)context;
	SCENE_CHECK(scene.r == SHMP_PEER_DEAD || (scene.r == SHMP_FULL && !is_first()));
	is_for_the_successor(false);
}

static void is_sent_and_told(void *context)
{
	SCENE_CHECK(meanwhile.reached > scene.next ||
		    atomic_load(&ring_control()->not_empty.sequence) != meanwhile.key);
	shmp_waiter_finish(&ring_control()->not_empty, SHMP_STREAM_READER);
	is_sent(context);
}

/* The frame behind the skipped numbers came meanwhile, or comes now: with a gap, told once. */
static void drain_with_gap(void)
{
	struct shmp_stream_frame frame;

	while (shmp_stream_lend(&scene.stream.reader, &frame) == SHMP_DONE) {
		bool is_own = frame.sequence == scene.next + SKIPPED;

		SCENE_CHECK(is_own || frame.sequence < scene.next);
		SCENE_CHECK(frame.expected == (is_own ? scene.next : frame.sequence));
		SCENE_CHECK(!is_own || frame.flags == SHMP_STREAM_GAP);
		SCENE_CHECK(!is_own ||
			    shmt_stream_is(&scene.stream, &frame, scene.size, scene.next));
		SCENE_CHECK(frame.sequence >= meanwhile.reached);
		meanwhile.reached = frame.sequence + 1;
		SCENE_CHECK(shmp_stream_give_back(&scene.stream.reader, frame.loan,
						  frame.position) == SHMP_DONE);
	}
}

static void reader_drains_with_gap(void *context)
{
	(void)context;
	meanwhile.reached = scene.first;
	succeed_reader();
	drain_with_gap();
}

static void is_sent_behind_the_gap(void *context)
{
	(void)context;
	SCENE_CHECK(scene.r == SHMP_DONE);
	drain_with_gap();
	SCENE_CHECK(meanwhile.reached == scene.next + SKIPPED + 1);
	SCENE_CHECK(scene.stream.writer.sequence == meanwhile.reached);
	SCENE_CHECK(shmt_stream_figure(&scene.stream, "last_sequence") == scene.next + SKIPPED);
	scene_go_on(meanwhile.reached);
	validate();
}

static void are_there(void *context)
{
	(void)context;
	SCENE_CHECK(scene.r == SHMP_DONE);
	reader_sees_metadata_whole();
	SCENE_CHECK(shmp_stream_set_metadata(&scene.stream.writer, "", 1) == SHMP_FULL);
	go_on_from(0);
}

/* The writer's tests */

static void open_for_writing(const char *name, uint64_t offset, uint64_t size)
{
	scene_open(name, offset);
	scene_publish();
	scene_publish();
	scene_compose(size);
	meanwhile = (struct meanwhile){ .reached = scene.first };
	scene.r = -1;
}

static void open_full(const char *name)
{
	open_for_writing(name, 0, BIG);
	while (shmp_spsc_head(&scene.stream.writer.ring) - scene.stream.reader.ring.tail <
	       SCENE_RING - BIG)
		scene_publish();
	scene_compose(BIG);
}

TEST(a_writer_stopped_anywhere_in_a_write_ends_it_later, .timeout_s = 60)
{
	open_for_writing("write", 0, 100);
	scene_stop_everywhere(writes, reader_drains, is_sent, "it is read");
	scene_stop_everywhere(writes, reader_dies, is_sent_to_the_successor, "its reader dies");
	scene_close();
	open_for_writing("write, payload wraps", SCENE_RING - 64, 200);
	scene_stop_everywhere(writes, reader_drains, is_sent, "it is read");
	scene_close();
}

TEST(a_writer_stopped_anywhere_in_a_write_without_room_ends_it_later, .timeout_s = 60)
{
	open_full("write, ring full");
	scene_stop_everywhere(writes, reader_drains, is_sent_or_full, "it is read");
	scene_stop_everywhere(writes, reader_dies, is_full_or_told_of_the_death, "its reader dies");
	scene_close();
}

TEST(a_writer_stopped_anywhere_in_waking_the_reader_leaves_nobody_asleep, .timeout_s = 60)
{
	open_for_writing("write", 48, 100);
	scene_stop_everywhere(writes, reader_waits_again, is_sent_and_told, "its reader waits");
	shmp_waiter_prepare(&ring_control()->not_empty, place(SHMP_STREAM_READER),
			    SHMP_STREAM_READER, false);
	scene_stop_everywhere(writes, reader_waits_again, is_sent_and_told,
			      "its reader waits again");
	scene_close();
}

TEST(a_writer_stopped_anywhere_in_a_reservation_ends_it_later, .timeout_s = 60)
{
	open_for_writing("reserve, fill and commit", SCENE_RING - 512, 100);
	scene_stop_everywhere(reserves_and_commits, reader_drains, is_sent, "it is read");
	scene_close();
}

TEST(a_writer_stopped_anywhere_in_a_skip_ends_it_later, .timeout_s = 60)
{
	open_for_writing("skip and write", 0, 100);
	scene_stop_everywhere(skips_and_writes, reader_drains_with_gap, is_sent_behind_the_gap,
			      "it is read");
	scene_close();
}

TEST(a_writer_stopped_anywhere_in_setting_metadata_ends_it_later, .timeout_s = 60)
{
	open_for_writing("set_metadata", 0, 60);
	scene_stop_everywhere(sets_metadata, reader_looks, are_there, "they are looked at");
	scene_close();
}

/* What a stopped reader does, stepped */

static void tell_writer(void)
{
	struct shmp_spsc_consumer *ring = &scene.stream.reader.ring;

	if (shmp_spsc_producer_waits(ring))
		shmp_spsc_tell_producer(ring, NULL, NULL);
}

static void reads(void *context)
{
	struct shmp_stream_frame frame;

	(void)context;
	scene.r = shmp_stream_read(&scene.stream.reader, scene.witness, SCENE_LONGEST, &frame);
	if (scene.r == SHMP_DONE)
		tell_writer();
}

static void borrows_and_releases(void *context)
{
	struct shmp_stream_frame frame;

	(void)context;
	scene.r = shmp_stream_lend(&scene.stream.reader, &frame);
	if (scene.r != SHMP_DONE)
		return;
	memcpy(scene.witness, frame.data, frame.size);
	scene.r = shmp_stream_give_back(&scene.stream.reader, frame.loan, frame.position);
	tell_writer();
}

static void release(int index)
{
	const struct shmp_stream_frame *frame = &scene.held[index];

	scene.r = shmp_stream_give_back(&scene.stream.reader, frame->loan, frame->position);
	tell_writer();
}

/* The one in the middle first, so that it goes back with the oldest, which is looked at till then. */
static void releases_three(void *context)
{
	(void)context;
	release(1);
	memcpy(scene.witness, scene.held[0].data, scene.held[0].size);
	release(0);
	release(2);
}

/* Meanwhile, the writer */

static void write_until(int last)
{
	int r;

	while ((r = shmt_stream_write(&scene.stream, scene_size(scene.next), scene.next)) ==
	       SHMP_DONE)
		scene.next++;
	SCENE_CHECK(r == last);
	SCENE_CHECK(scene.next - scene.first < SCENE_NUMBERS);
}

/* What the reader has lent and not given back is not written over. */
static void held_is_untouched(void)
{
	uint64_t tail = atomic_load(&place(SHMP_STREAM_READER)->cursor);

	for (int i = 0; i < SCENE_HELD; i++)
		if (scene.held[i].data && scene.held[i].position >= tail)
			SCENE_CHECK(shmt_stream_is(&scene.stream, &scene.held[i],
						   scene_size(scene.held[i].sequence),
						   scene.held[i].sequence));
}

/* It dies with a reservation, if there is room for one. */
static void writer_fills_it(void *context)
{
	uint8_t *room;

	(void)context;
	if (shmp_stream_reserve(&scene.stream.writer, RESERVED, &room) == SHMP_DONE)
		memset(room, SCENE_UNTOUCHED, RESERVED);
	scene_bury(SHMP_STREAM_WRITER);
	shmt_stream_attach_writer(&scene.stream);
	write_until(SHMP_FULL);
	held_is_untouched();
}

static void writer_dies(void *context)
{
	(void)context;
	shmt_stream_write(&scene.stream, scene_size(scene.next), scene.next);
	scene.next++;
	scene_bury(SHMP_STREAM_WRITER);
	held_is_untouched();
}

/* Its time is up: it fills what room there is and sleeps once more. */
static void writer_waits_again(void *context)
{
	(void)context;
	shmp_waiter_finish(&ring_control()->not_full, SHMP_STREAM_WRITER);
	meanwhile.key = shmp_waiter_prepare(&ring_control()->not_full, place(SHMP_STREAM_WRITER),
					    SHMP_STREAM_WRITER, false);
	meanwhile.tail = atomic_load(&place(SHMP_STREAM_READER)->cursor);
	write_until(SHMP_FULL);
	held_is_untouched();
}

/* What must be when the reader has ended */

static uint64_t taken; /* by the operation, when it is done */

/* The rest comes, none of it flagged; the reader goes on with the handle it has. */
static void go_on_behind(uint64_t count, int end)
{
	uint64_t first = scene.first + count;

	SCENE_CHECK(count == 0 ||
		    shmt_message_is(scene.witness, scene_size(scene.first), scene.first));
	SCENE_CHECK(scene_drain(first, end) == scene.next);
	for (uint64_t number = first; number < scene.next; number++)
		SCENE_CHECK(scene.flags[number - scene.first] == 0);
	if (end == SHMP_PEER_DEAD)
		shmt_stream_attach_writer(&scene.stream);
	scene_go_on(scene.next);
	validate();
}

static void is_taken(void *context)
{
	(void)context;
	SCENE_CHECK(scene.r == SHMP_DONE);
	go_on_behind(taken, SHMP_EMPTY);
}

static void is_taken_and_death_is_told(void *context)
{
	(void)context;
	SCENE_CHECK(scene.r == SHMP_DONE);
	go_on_behind(taken, SHMP_PEER_DEAD);
}

/* Who had looked before there was something. */
static void is_taken_or_empty(void *context)
{
	(void)context;
	SCENE_CHECK(scene.r == SHMP_DONE || (scene.r == SHMP_EMPTY && !is_first()));
	go_on_behind(scene.r == SHMP_DONE, SHMP_EMPTY);
}

static void is_taken_or_empty_before_the_death(void *context)
{
	(void)context;
	SCENE_CHECK(scene.r == SHMP_DONE || (scene.r == SHMP_EMPTY && !is_first()));
	go_on_behind(scene.r == SHMP_DONE, SHMP_PEER_DEAD);
}

static void is_taken_and_told(void *context)
{
	SCENE_CHECK(atomic_load(&place(SHMP_STREAM_READER)->cursor) == meanwhile.tail ||
		    atomic_load(&ring_control()->not_full.sequence) != meanwhile.key);
	shmp_waiter_finish(&ring_control()->not_full, SHMP_STREAM_WRITER);
	is_taken(context);
}

/* What was lent before is still that frame, and comes to an end. */
static void is_taken_behind_a_loan(void *context)
{
	(void)context;
	SCENE_CHECK(scene.r == SHMP_DONE);
	SCENE_CHECK(shmt_message_is(scene.witness, scene_size(scene.first + 1), scene.first + 1));
	held_is_untouched();
	memcpy(scene.witness, scene.held[0].data, scene.held[0].size);
	SCENE_CHECK(shmp_stream_give_back(&scene.stream.reader, scene.held[0].loan,
					  scene.held[0].position) == SHMP_DONE);
	go_on_behind(2, SHMP_EMPTY);
}

/* The reader's tests */

static void open_for_reading(const char *name, uint64_t offset, int count, int held)
{
	scene_open(name, offset);
	for (int i = 0; i < count; i++)
		scene_publish();
	for (int i = 0; i < held; i++)
		scene_hold(i);
	taken = held > 0 ? (uint64_t)held : 1;
	meanwhile = (struct meanwhile){ .reached = 0 };
	scene.r = -1;
}

TEST(a_reader_stopped_anywhere_in_a_read_ends_it_later, .timeout_s = 60)
{
	open_for_reading("read", SCENE_RING - 32, MANY, 0);
	scene_stop_everywhere(reads, writer_fills_it, is_taken, "it is filled");
	scene_stop_everywhere(reads, writer_dies, is_taken_and_death_is_told, "its writer dies");
	scene_close();
	open_for_reading("read, nothing there", 0, 0, 0);
	scene_stop_everywhere(reads, writer_fills_it, is_taken_or_empty, "it is filled");
	scene_stop_everywhere(reads, writer_dies, is_taken_or_empty_before_the_death,
			      "its writer dies");
	scene_close();
}

TEST(a_reader_stopped_anywhere_in_waking_the_writer_leaves_nobody_asleep, .timeout_s = 60)
{
	open_for_reading("read, ring full", 0, 0, 0);
	write_until(SHMP_FULL);
	scene_stop_everywhere(reads, writer_waits_again, is_taken_and_told, "its writer waits");
	shmp_waiter_prepare(&ring_control()->not_full, place(SHMP_STREAM_WRITER),
			    SHMP_STREAM_WRITER, false);
	scene_stop_everywhere(reads, writer_waits_again, is_taken_and_told,
			      "its writer waits again");
	scene_close();
}

TEST(a_reader_stopped_anywhere_in_borrow_and_release_keeps_what_it_has, .timeout_s = 60)
{
	open_for_reading("borrow and release", 0, MANY, 0);
	scene_stop_everywhere(borrows_and_releases, writer_fills_it, is_taken, "it is filled");
	scene_stop_everywhere(borrows_and_releases, writer_dies, is_taken_and_death_is_told,
			      "its writer dies");
	scene_close();
	open_for_reading("release of three", SCENE_RING - 64, MANY, 3);
	scene_stop_everywhere(releases_three, writer_fills_it, is_taken, "it is filled");
	scene_stop_everywhere(releases_three, writer_waits_again, is_taken_and_told,
			      "its writer waits");
	scene_close();
}

TEST(a_reader_stopped_anywhere_in_a_read_behind_a_loan_keeps_what_it_has, .timeout_s = 60)
{
	open_for_reading("read, one is held", 0, MANY, 1);
	scene_stop_everywhere(reads, writer_fills_it, is_taken_behind_a_loan, "it is filled");
	scene_close();
}

DEATHS_MAIN
