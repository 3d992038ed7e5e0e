/* Streams whose writers and readers die, leave, stop, race and come back. */
#include <sched.h>
#include <signal.h>

#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/support/stream_client.h"

#define MS_NS	 INT64_C(1000000)
#define CAPACITY 8160u
#define LONGEST	 3000u

/* A stream, one end here, the other in a peer. */
struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_stream *stream;
	size_t descriptors;
	uint64_t frames; /* of the peer: it writes or reads so many, or for ever when 0 */
};

static struct scene scene_open(enum shmc_stream_role role)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.client = shmt_connect(&scene.broker);
	shmt_frames_create(scene.client, "stream", CAPACITY);
	scene.stream = shmt_frames_open(scene.client, "stream", role);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_stream_close(scene->stream);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

static uint64_t size_of(uint64_t number)
{
	return number * UINT64_C(0x9e3779b97f4a7c15) % (LONGEST + 1);
}

static struct shmc_stream *open_peer(const struct scene *scene, enum shmc_stream_role role)
{
	return shmt_frames_open(shmt_connect(&scene->broker), "stream", role);
}

/* Frames with the number that is next, whoever wrote those before. */
static void write_and_stay(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_stream *stream = open_peer(scene, SHMC_STREAM_WRITER);
	uint64_t number = shmt_frames_status(stream).last_sequence + 1;

	shmt_peer_tell(other);
	for (uint64_t i = 0; scene->frames == 0 || i < scene->frames; i++, number++)
		shmt_assert_ok(shmt_frame_write(stream, size_of(number), number, SHMC_FOREVER));
	shmt_peer_tell(other);
	shmt_peer_hang();
}

TEST(a_dead_writer_s_frames_are_read_before_its_death_is_told)
{
	struct scene scene = scene_open(SHMC_STREAM_READER);
	struct shmc_frame frame;
	struct shmt_peer peer;

	scene.frames = 3;
	peer = shmt_peer_start(write_and_stay, &scene);
	shmt_peer_await(&peer);
	shmt_peer_await(&peer);
	shmt_peer_kill(&peer);
	for (uint64_t number = 1; number <= 3; number++)
		shmt_frame_expect(scene.stream, size_of(number), number, 0);
	shmt_assert_result(shmc_stream_borrow(scene.stream, SHMC_FOREVER, &frame), SHMC_PEER_DEAD);
	shmt_assert_result(shmc_stream_read(scene.stream, NULL, 0, SHMC_TRY, &frame),
			   SHMC_PEER_DEAD);
	ck_assert_int_eq(shmc_stream_peer(scene.stream), SHMC_PEER_DIED);
	scene_close(&scene);
}

TEST(a_reader_waiting_for_ever_learns_of_the_writer_s_death)
{
	struct scene scene = scene_open(SHMC_STREAM_READER);
	struct shmc_frame frame;
	struct shmt_peer peer;

	scene.frames = 1;
	peer = shmt_peer_start(write_and_stay, &scene);
	shmt_frame_expect(scene.stream, size_of(1), 1, 0);
	shmt_peer_kill_soon(&peer);
	shmt_assert_result(shmc_stream_borrow(scene.stream, SHMC_FOREVER, &frame), SHMC_PEER_DEAD);
	shmt_peer_reap(&peer);
	scene_close(&scene);
}

static void write_and_leave(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_stream *stream = open_peer(scene, SHMC_STREAM_WRITER);

	shmt_peer_await(other);
	shmt_assert_ok(shmt_frame_write(stream, 10, 1, SHMC_TRY));
	shmc_stream_close(stream);
}

TEST(a_writer_that_leaves_has_closed)
{
	struct scene scene = scene_open(SHMC_STREAM_READER);
	struct shmt_peer peer = shmt_peer_start(write_and_leave, &scene);
	struct shmc_frame frame;

	shmt_peer_tell(&peer);
	shmt_frame_expect(scene.stream, 10, 1, 0);
	shmt_assert_result(shmc_stream_borrow(scene.stream, SHMC_FOREVER, &frame), SHMC_CLOSED);
	shmt_peer_join(&peer);
	scene_close(&scene);
}

/* Writers die at any moment, one after the other; the numbers go on through all of them. */
TEST(killed_writers_lose_no_frame_and_no_number, .timeout_s = 60)
{
	struct scene scene = scene_open(SHMC_STREAM_READER);
	struct shmt_random random = { shmt_seed() };
	uint64_t number = 1;

	for (int life = 0; life < 20; life++) {
		struct shmt_peer peer = shmt_peer_start(write_and_stay, &scene);
		uint64_t until = number + shmt_random_below(&random, 300);
		struct shmc_frame frame;
		enum shmc_result result;

		shmt_peer_await(&peer);
		for (; number < until; number++)
			shmt_frame_expect(scene.stream, size_of(number), number, 0);
		shmt_peer_kill_soon(&peer);
		while ((result = shmt_frame_read(scene.stream, size_of(number), number,
						 SHMC_FOREVER, &frame)) == SHMC_OK) {
			ck_assert_uint_eq(frame.sequence, number);
			ck_assert_uint_eq(frame.flags, 0);
			number++;
		}
		shmt_assert_result(result, SHMC_PEER_DEAD);
		shmt_peer_reap(&peer);
	}
	ck_assert_uint_eq(shmt_frames_status(scene.stream).last_sequence, number - 1);
	scene_close(&scene);
}

/* Reads some, holds two and gives the later one back, and stays. */
static void read_and_hold(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_stream *stream = open_peer(scene, SHMC_STREAM_READER);
	struct shmc_frame held, frame;

	for (uint64_t number = 1; number <= scene->frames; number++)
		shmt_frame_expect(stream, size_of(number), number, 0);
	shmt_assert_ok(shmc_stream_borrow(stream, SHMC_FOREVER, &held));
	shmt_assert_ok(shmc_stream_borrow(stream, SHMC_FOREVER, &frame));
	shmt_assert_ok(shmc_stream_release(stream, &frame));
	shmt_peer_tell(other);
	shmt_peer_hang();
}

TEST(a_dead_reader_s_frames_come_again_flagged_and_the_writer_learns_of_it_when_full)
{
	struct scene scene = scene_open(SHMC_STREAM_WRITER);
	struct shmc_stream *reader;
	struct shmt_peer peer;
	uint64_t number = 1;

	scene.frames = 2;
	peer = shmt_peer_start(read_and_hold, &scene);
	for (; number <= 4; number++)
		shmt_assert_ok(
			shmt_frame_write(scene.stream, size_of(number), number, SHMC_FOREVER));
	shmt_peer_await(&peer);
	while (shmt_frame_write(scene.stream, size_of(number), number, SHMC_TRY) == SHMC_OK)
		number++;
	shmt_peer_kill_soon(&peer);
	shmt_assert_result(shmt_frame_write(scene.stream, size_of(number), number, SHMC_FOREVER),
			   SHMC_PEER_DEAD);
	shmt_peer_reap(&peer);
	reader = shmt_frames_open(scene.client, "stream", SHMC_STREAM_READER);
	for (uint64_t got = 3; got < number; got++)
		shmt_frame_expect(reader, size_of(got), got, got < 5 ? SHMC_REDELIVERED : 0);
	for (uint64_t end = number + 20; number < end; number++) {
		shmt_assert_ok(shmt_frame_write(scene.stream, size_of(number), number, SHMC_TRY));
		shmt_frame_expect(reader, size_of(number), number, 0);
	}
	shmc_stream_close(reader);
	scene_close(&scene);
}

/* From the first frame on that comes, as long as it lives; they come in a row, with no gap. */
static void read_and_die(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_stream *stream = open_peer(scene, SHMC_STREAM_READER);
	uint64_t number = 0;

	shmt_peer_tell(other);
	for (;;) {
		struct shmc_frame frame;

		shmt_assert_ok(shmc_stream_borrow(stream, SHMC_FOREVER, &frame));
		if (frame.sequence != frame.expected || frame.flags & SHMC_GAP)
			ck_abort_msg("a gap where there is none");
		if (number != 0 && frame.sequence != number + 1)
			ck_abort_msg("a frame is missing");
		number = frame.sequence;
		if (frame.size != size_of(number) || !shmt_frame_is(frame.data, frame.size, number))
			ck_abort_msg("not the frame that was written");
		shmt_assert_ok(shmc_stream_release(stream, &frame));
	}
}

TEST(killed_readers_lose_no_frame_and_tell_no_gap, .timeout_s = 60)
{
	struct scene scene = scene_open(SHMC_STREAM_WRITER);
	struct shmt_random random = { shmt_seed() };
	uint64_t number = 1;

	for (int life = 0; life < 20; life++) {
		struct shmt_peer peer = shmt_peer_start(read_and_die, &scene);
		uint64_t until = number + shmt_random_below(&random, 300);

		shmt_peer_await(&peer);
		for (; number < until; number++)
			shmt_assert_ok(shmt_frame_write(scene.stream, size_of(number), number,
							SHMC_FOREVER));
		shmt_peer_kill_soon(&peer);
		while (shmt_frame_write(scene.stream, size_of(number), number, SHMC_FOREVER) ==
		       SHMC_OK)
			number++;
		ck_assert_int_eq(shmc_stream_peer(scene.stream), SHMC_PEER_DIED);
		shmt_peer_reap(&peer);
	}
	scene_close(&scene);
}

/* Creating */

static void create_at_once(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	enum shmc_result result;

	shmt_peer_tell(other);
	shmt_peer_await(other);
	result = shmc_stream_create(client, "raced", NULL, NULL);
	shmt_peer_send(other, &result, sizeof(result));
	shmc_disconnect(client);
}

TEST(of_two_who_create_at_once_one_wins)
{
	struct scene scene = scene_open(SHMC_STREAM_READER);

	for (int round = 0; round < 10; round++) {
		struct shmt_peer one = shmt_peer_start(create_at_once, &scene);
		struct shmt_peer two = shmt_peer_start(create_at_once, &scene);
		enum shmc_result results[2];

		shmt_peer_await(&one);
		shmt_peer_await(&two);
		shmt_peer_tell(&one);
		shmt_peer_tell(&two);
		shmt_peer_receive(&one, &results[0], sizeof(results[0]));
		shmt_peer_receive(&two, &results[1], sizeof(results[1]));
		ck_assert(results[0] == SHMC_OK || results[1] == SHMC_OK);
		ck_assert(results[0] == SHMC_EXISTS || results[1] == SHMC_EXISTS);
		shmt_peer_join(&one);
		shmt_peer_join(&two);
		shmt_assert_ok(shmc_unlink(scene.client, "raced", NULL));
	}
	scene_close(&scene);
}

/* Who is there */

TEST(whether_a_writer_is_connected_can_be_asked_and_waited_for)
{
	struct scene scene = scene_open(SHMC_STREAM_READER);
	struct shmc_stream *observer = shmt_frames_open(scene.client, "stream",
							SHMC_STREAM_OBSERVER);
	struct shmt_peer peer;

	shmt_assert_result(shmc_stream_is_writer_connected(scene.stream, SHMC_TRY), SHMC_TIMEOUT);
	shmt_assert_result(shmc_stream_is_writer_connected(scene.stream, 5 * MS_NS), SHMC_TIMEOUT);
	shmt_assert_result(shmc_stream_is_writer_connected(observer, SHMC_TRY), SHMC_TIMEOUT);
	shmt_assert_result(shmc_stream_is_writer_connected(observer, MS_NS), SHMC_INVALID);
	shmt_assert_ok(shmc_stream_is_reader_connected(scene.stream, SHMC_TRY));
	shmt_assert_ok(shmc_stream_is_reader_connected(observer, SHMC_TRY));
	peer = shmt_peer_start(write_and_stay, &scene);
	shmt_assert_ok(shmc_stream_is_writer_connected(scene.stream, SHMC_FOREVER));
	shmt_assert_ok(shmc_stream_is_writer_connected(observer, SHMC_TRY));
	ck_assert_uint_eq(shmt_frames_status(observer).writer_pid, (uint32_t)peer.pid);
	shmt_peer_await(&peer);
	ck_assert_int_eq(kill(peer.pid, SIGSTOP), 0);
	shmt_assert_ok(shmc_stream_is_writer_connected(scene.stream, SHMC_TRY));
	shmt_peer_kill(&peer);
	while (shmc_stream_peer(scene.stream) != SHMC_PEER_DIED)
		sched_yield();
	shmt_assert_result(shmc_stream_is_writer_connected(scene.stream, SHMC_TRY), SHMC_TIMEOUT);
	ck_assert_uint_eq(shmt_frames_status(observer).writer_pid, 0);
	shmc_stream_close(observer);
	scene_close(&scene);
}

static void read_one_and_leave(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_stream *stream;
	struct shmc_frame frame;

	shmt_peer_await(other);
	stream = open_peer(scene, SHMC_STREAM_READER);
	shmt_assert_ok(shmt_frame_read(stream, 8, 1, SHMC_FOREVER, &frame));
	shmt_peer_await(other);
	shmc_stream_close(stream);
}

TEST(whether_a_reader_is_connected_can_be_asked_and_waited_for)
{
	struct scene scene = scene_open(SHMC_STREAM_WRITER);
	struct shmt_peer peer = shmt_peer_start(read_one_and_leave, &scene);

	shmt_assert_result(shmc_stream_is_reader_connected(scene.stream, SHMC_TRY), SHMC_TIMEOUT);
	shmt_assert_result(shmc_stream_wait_peer(scene.stream, SHMC_TRY), SHMC_TIMEOUT);
	shmt_assert_ok(shmt_frame_write(scene.stream, 8, 1, SHMC_TRY));
	shmt_peer_tell(&peer);
	shmt_assert_ok(shmc_stream_is_reader_connected(scene.stream, SHMC_FOREVER));
	shmt_assert_ok(shmc_stream_wait_peer(scene.stream, SHMC_FOREVER));
	shmt_peer_tell(&peer);
	shmt_peer_join(&peer);
	shmt_assert_result(shmc_stream_is_reader_connected(scene.stream, SHMC_TRY), SHMC_TIMEOUT);
	ck_assert_int_eq(shmc_stream_peer(scene.stream), SHMC_PEER_LEFT);
	scene_close(&scene);
}

/* Metadata */

static void set_metadata(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_stream *stream = open_peer(scene, SHMC_STREAM_WRITER);

	shmt_peer_await(other);
	shmt_assert_ok(shmc_stream_set_metadata(stream, "about", 5));
	shmt_peer_hang();
}

static void expect_metadata(struct scene *scene)
{
	struct shmc_bytes metadata;

	shmt_assert_ok(shmc_stream_metadata(scene->stream, SHMC_FOREVER, &metadata));
	ck_assert_uint_eq(metadata.size, 5);
	ck_assert_mem_eq(metadata.data, "about", 5);
}

TEST(metadata_are_waited_for_and_outlive_their_writer)
{
	struct scene scene = scene_open(SHMC_STREAM_READER);
	struct shmt_peer peer = shmt_peer_start(set_metadata, &scene);

	shmt_peer_tell(&peer);
	expect_metadata(&scene);
	shmt_peer_kill(&peer);
	expect_metadata(&scene);
	shmc_stream_close(scene.stream);
	scene.stream = shmt_frames_open(scene.client, "stream", SHMC_STREAM_READER);
	expect_metadata(&scene);
	scene_close(&scene);
}

TEST(who_waits_for_metadata_learns_that_nobody_is_left_to_write_them)
{
	struct scene scene = scene_open(SHMC_STREAM_READER);
	struct shmt_peer peer = shmt_peer_start(set_metadata, &scene);
	struct shmc_bytes metadata;

	shmt_assert_ok(shmc_stream_is_writer_connected(scene.stream, SHMC_FOREVER));
	shmt_peer_kill_soon(&peer);
	shmt_assert_result(shmc_stream_metadata(scene.stream, SHMC_FOREVER, &metadata),
			   SHMC_PEER_DEAD);
	shmt_peer_reap(&peer);
	scene_close(&scene);
}

SHMT_MAIN
