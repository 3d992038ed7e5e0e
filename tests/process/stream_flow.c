/* Frames between processes: all sizes, full speed, slow readers, descriptors, relays, and idling. */
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"
#include "tests/support/stream_client.h"

#define MS_NS INT64_C(1000000)

/* The reader is here, the writer a peer. */
struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_stream *stream;
	size_t descriptors;
	/* of the peer: frames of that size, or of sizes[] when it is there */
	uint64_t frames;
	uint64_t size;
	const uint64_t *sizes;
};

static struct scene scene_open(uint64_t capacity_bytes)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.client = shmt_connect(&scene.broker);
	shmt_frames_create(scene.client, "stream", capacity_bytes);
	scene.stream = shmt_frames_open(scene.client, "stream", SHMC_STREAM_READER);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_stream_close(scene->stream);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

static uint64_t size_of(const struct scene *scene, uint64_t number)
{
	return scene->sizes ? scene->sizes[number - 1] : scene->size;
}

static void write_all(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_stream *stream = shmt_frames_open(client, "stream", SHMC_STREAM_WRITER);

	(void)other;
	for (uint64_t number = 1; number <= scene->frames; number++)
		shmt_assert_ok(
			shmt_frame_write(stream, size_of(scene, number), number, SHMC_FOREVER));
	shmc_stream_close(stream);
	shmc_disconnect(client);
}

/* All of them, then that the writer has left. */
static void expect_all(struct scene *scene, struct shmt_peer *peer)
{
	struct shmc_frame frame;

	for (uint64_t number = 1; number <= scene->frames; number++)
		shmt_frame_expect(scene->stream, size_of(scene, number), number, 0);
	shmt_assert_result(shmc_stream_borrow(scene->stream, SHMC_FOREVER, &frame), SHMC_CLOSED);
	shmt_peer_join(peer);
}

static void run(uint64_t capacity_bytes, uint64_t frames, uint64_t size, const uint64_t *sizes)
{
	struct scene scene = scene_open(capacity_bytes);
	struct shmt_peer peer;

	scene.frames = frames;
	scene.size = size;
	scene.sizes = sizes;
	peer = shmt_peer_start(write_all, &scene);
	expect_all(&scene, &peer);
	scene_close(&scene);
}

TEST(frames_from_1_byte_to_100_mebibytes_arrive_whole, .timeout_s = 60)
{
	static const uint64_t sizes[] = { 1, 1000, 1000000, 100 << 20, 17, 100 << 20, 30 << 20 };

	run(100 << 20, sizeof(sizes) / sizeof(sizes[0]), 0, sizes);
}

TEST(a_frame_that_nearly_fills_it_follows_another_one)
{
	static const uint64_t sizes[] = { 14700, 1, 14700, 16352, 6144, 7168, 16352, 16340, 5 };

	run(16352, sizeof(sizes) / sizeof(sizes[0]), 0, sizes);
}

TEST(ten_thousand_frames_of_a_kibibyte_arrive)
{
	run(8160, 10000, 1024, NULL);
}

/* 9 frames of 400 bytes (416 in the ring) are 3744, 10 do not fit into 4096. */
TEST(five_thousand_frames_at_full_speed_go_through_a_ring_of_nine)
{
	run(4064, 5000, 400, NULL);
}

static uint64_t sleeps_of_writer(struct scene *scene)
{
	struct shmc_statistics statistics;

	shmt_assert_ok(shmc_stream_statistics(scene->stream, NULL, &statistics));
	return statistics.waits;
}

TEST(a_slow_reader_gets_all_frames)
{
	struct scene scene = scene_open(4064);
	struct shmt_peer peer;
	uint64_t sleeps = 0;

	scene.frames = 20;
	scene.size = 2000;
	peer = shmt_peer_start(write_all, &scene);
	for (uint64_t number = 1; number <= 20; number++) {
		/* not before the writer has gone to sleep, while there is more than fits */
		while (number <= 18 && sleeps_of_writer(&scene) == sleeps)
			sched_yield();
		sleeps = sleeps_of_writer(&scene);
		shmt_frame_expect(scene.stream, 2000, number, 0);
	}
	shmt_peer_join(&peer);
	scene_close(&scene);
}

TEST(frames_held_of_a_writer_in_full_flight_never_change)
{
	struct scene scene = scene_open(65504);
	struct shmc_frame frames[4];
	struct shmt_peer peer;

	scene.frames = 4000;
	scene.size = 3000;
	peer = shmt_peer_start(write_all, &scene);
	for (uint64_t number = 1; number <= scene.frames; number += 4) {
		static const int orders[][4] = {
			{ 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 3, 0, 2 }, { 2, 0, 3, 1 }
		};

		for (uint64_t i = 0; i < 4; i++)
			shmt_assert_ok(shmc_stream_borrow(scene.stream, SHMC_FOREVER, &frames[i]));
		for (uint64_t i = 0; i < 4; i++) {
			uint64_t which = (uint64_t)orders[number / 4 % 4][i];

			if (!shmt_frame_is(frames[which].data, 3000, number + which))
				ck_abort_msg("a held frame changed");
			shmt_assert_ok(shmc_stream_release(scene.stream, &frames[which]));
		}
	}
	shmt_peer_join(&peer);
	scene_close(&scene);
}

/* Descriptors */

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int r = poll(&poll_fd, 1, timeout_ms);

	ck_assert_int_ge(r, 0);
	return r == 1;
}

TEST(a_reader_s_descriptor_tells_of_frames_and_of_the_end)
{
	struct scene scene = scene_open(4064);
	uint64_t number = 1, rounds = 0;
	enum shmc_result result;
	struct shmc_frame frame;
	struct shmc_error error;
	struct shmt_peer peer;
	int fd;

	shmt_assert_ok(shmc_stream_fd(scene.stream, &fd, &error));
	shmt_assert_result(shmc_stream_borrow(scene.stream, SHMC_TRY, &frame), SHMC_EMPTY);
	ck_assert(!is_readable(fd, 0));
	scene.frames = 3000;
	scene.size = 300;
	peer = shmt_peer_start(write_all, &scene);
	do {
		ck_assert(is_readable(fd, (int)shmt_scaled(5000)));
		while ((result = shmt_frame_read(scene.stream, 300, number, SHMC_TRY, &frame)) ==
		       SHMC_OK)
			number++;
		rounds++;
	} while (result == SHMC_EMPTY);
	shmt_assert_result(result, SHMC_CLOSED);
	ck_assert_uint_eq(number, 3001);
	ck_assert(!is_readable(fd, 0));
	ck_assert_uint_ge(rounds, 2);
	shmt_peer_join(&peer);
	scene_close(&scene);
}

static void write_by_descriptor(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_stream *stream = shmt_frames_open(client, "stream", SHMC_STREAM_WRITER);
	uint64_t number = 1;
	int fd;

	(void)other;
	shmt_assert_ok(shmc_stream_fd(stream, &fd, NULL));
	while (number <= scene->frames) {
		enum shmc_result result = shmt_frame_write(stream, 1000, number, SHMC_TRY);

		if (result == SHMC_OK) {
			number++;
			continue;
		}
		shmt_assert_result(result, SHMC_FULL);
		if (!is_readable(fd, (int)shmt_scaled(5000)))
			ck_abort_msg("no room for ever");
	}
	shmc_stream_close(stream);
	shmc_disconnect(client);
}

TEST(a_writer_s_descriptor_tells_of_room)
{
	struct scene scene = scene_open(4064);
	struct shmt_peer peer;

	scene.frames = 2000;
	scene.size = 1000;
	peer = shmt_peer_start(write_by_descriptor, &scene);
	expect_all(&scene, &peer);
	scene_close(&scene);
}

/* A relay: in, transformed, out, with loans on both sides and nothing between. */

#define FRAME_BYTES UINT64_C(3000000)
#define FRAMES	    50u
#define PERIOD_NS   10000000 /* 100 Hz */

static void create_two(struct scene *scene)
{
	shmt_frames_create(scene->client, "in", 4 * FRAME_BYTES);
	shmt_frames_create(scene->client, "out", 4 * FRAME_BYTES);
}

static void film(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_stream *in = shmt_frames_open(client, "in", SHMC_STREAM_WRITER);
	struct timespec next;

	(void)other;
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (uint64_t number = 1; number <= FRAMES; number++) {
		shmt_assert_ok(shmt_frame_write(in, FRAME_BYTES, number, SHMC_FOREVER));
		next.tv_nsec += PERIOD_NS;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		/* a camera's pace, not a wait for anybody */
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	shmc_stream_close(in);
	shmc_disconnect(client);
}

static void invert(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at++)
		to[at] = (uint8_t)~from[at];
}

static void relay(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_stream *in = shmt_frames_open(client, "in", SHMC_STREAM_READER);
	struct shmc_stream *out = shmt_frames_open(client, "out", SHMC_STREAM_WRITER);
	struct shmc_frame frame;
	enum shmc_result result;
	void *room;

	(void)other;
	while ((result = shmc_stream_borrow(in, SHMC_FOREVER, &frame)) == SHMC_OK) {
		shmt_assert_ok(shmc_stream_reserve(out, frame.size, SHMC_FOREVER, &room));
		invert(room, frame.data, frame.size);
		shmt_assert_ok(shmc_stream_commit(out, frame.size));
		shmt_assert_ok(shmc_stream_release(in, &frame));
	}
	shmt_assert_result(result, SHMC_CLOSED);
	shmc_stream_close(in);
	shmc_stream_close(out);
	shmc_disconnect(client);
}

TEST(frames_of_3_megabytes_at_100_hertz_go_through_a_relay, .timeout_s = 60)
{
	struct scene scene = scene_open(4064);
	uint8_t *expected = malloc(FRAME_BYTES);
	struct shmc_frame frame;
	struct shmt_peer camera, middle;
	struct shmc_stream *out;

	create_two(&scene);
	out = shmt_frames_open(scene.client, "out", SHMC_STREAM_READER);
	middle = shmt_peer_start(relay, &scene);
	camera = shmt_peer_start(film, &scene);
	for (uint64_t number = 1; number <= FRAMES; number++) {
		shmt_assert_ok(shmc_stream_borrow(out, SHMC_FOREVER, &frame));
		ck_assert_uint_eq(frame.sequence, number);
		ck_assert_uint_eq(frame.size, FRAME_BYTES);
		invert(expected, frame.data, FRAME_BYTES);
		ck_assert(shmt_frame_is(expected, FRAME_BYTES, number));
		shmt_assert_ok(shmc_stream_release(out, &frame));
	}
	shmt_assert_result(shmc_stream_borrow(out, SHMC_FOREVER, &frame), SHMC_CLOSED);
	shmt_peer_join(&camera);
	shmt_peer_join(&middle);
	shmc_stream_close(out);
	free(expected);
	scene_close(&scene);
}

/* Idling */

static void read_one(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_stream *stream = shmt_frames_open(client, "idle", SHMC_STREAM_READER);
	struct shmc_frame frame;

	(void)other;
	shmt_assert_ok(shmt_frame_read(stream, 8, 1, SHMC_FOREVER, &frame));
	shmc_stream_close(stream);
	shmc_disconnect(client);
}

static int64_t cpu_ns(pid_t pid)
{
	struct timespec used;
	clockid_t clock;

	ck_assert_int_eq(clock_getcpuclockid(pid, &clock), 0);
	ck_assert_int_eq(clock_gettime(clock, &used), 0);
	return used.tv_sec * INT64_C(1000000000) + used.tv_nsec;
}

TEST(who_waits_uses_no_processor_on_either_side)
{
	struct scene scene = scene_open(4064);
	struct shmc_stream *idle, *full;
	struct shmc_statistics statistics = { .waits = 0 };
	int64_t theirs, ours;
	struct shmt_peer peer;

	shmt_frames_create(scene.client, "idle", 4064);
	shmt_frames_create(scene.client, "full", 4064);
	idle = shmt_frames_open(scene.client, "idle", SHMC_STREAM_WRITER);
	full = shmt_frames_open(scene.client, "full", SHMC_STREAM_WRITER);
	shmt_assert_ok(shmt_frame_write(full, 4064, 1, SHMC_TRY));
	peer = shmt_peer_start(read_one, &scene);
	while (statistics.waits == 0) {
		shmt_assert_ok(shmc_stream_statistics(idle, NULL, &statistics));
		sched_yield();
	}
	theirs = cpu_ns(peer.pid);
	ours = cpu_ns(0);
	shmt_assert_result(shmt_frame_write(full, 8, 2, 300 * MS_NS), SHMC_TIMEOUT);
	ck_assert_int_lt(cpu_ns(peer.pid) - theirs, (int64_t)shmt_scaled(10 * MS_NS));
	ck_assert_int_lt(cpu_ns(0) - ours, (int64_t)shmt_scaled(10 * MS_NS));
	shmt_assert_ok(shmt_frame_write(idle, 8, 1, SHMC_TRY));
	shmt_peer_join(&peer);
	shmc_stream_close(idle);
	shmc_stream_close(full);
	scene_close(&scene);
}

SHMT_MAIN
