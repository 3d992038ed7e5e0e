/*
 * Streams through the library, with a real broker: a process dies after every instruction of a public
 * call; the broker notices and repairs by itself, and the parent, who has the other end, sees it and
 * opens the dead one's role. (Doorbells are rung as in client_spsc.c, by the same code.)
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "protocol/waiter.h"
#include "tests/crash/stepper.h"
#include "tests/support/broker.h"
#include "tests/support/runner.h"
#include "tests/support/stream_client.h"

enum {
	CAPACITY = 4064,
	BYTES = 48, /* of a frame before the call, and of the call's */
	THERE = 4,  /* frames that a reader finds, numbers from 1 on */
	HELD_MAX = 3,
	SAMPLES_SANITIZED = 20,
};
#define SOON_NS INT64_C(5000000000)

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_stream *stream; /* the parent's end */
	uint8_t *witness;	    /* BYTES that outlive the child, where it reads to */
	const struct act *act;
	unsigned long point;
	bool has_ended;
	/* the child's */
	struct shmc_stream *own;
	struct shmc_frame held[HELD_MAX];
	uint8_t payload[BYTES];
	void *room;
};

struct act {
	const char *name;
	enum shmc_stream_role role;
	void (*prepare)(struct scene *scene);
	void (*operate)(struct scene *scene);
	uint64_t sends;	  /* frames, by a writer's call: all or none */
	uint64_t skips;	  /* numbers */
	bool is_metadata; /* what it writes */
	/* reader: of THERE frames, */
	uint64_t held;	/* lent before the call, */
	uint64_t shown; /* by its end, */
	uint64_t taken; /* and not to come again by its end */
};

#define CHECK(scene_, condition_)                                                            \
	do {                                                                                 \
		if (!(condition_))                                                           \
			ck_abort_msg("%s: %s, %lu instructions done%s", (scene_)->act->name, \
				     #condition_, (scene_)->point,                           \
				     (scene_)->has_ended ? ", all of them" : "");            \
	} while (0)

static void write_frame(struct scene *scene, struct shmc_stream *stream, uint64_t number)
{
	CHECK(scene, shmt_frame_write(stream, BYTES, number, SHMC_TRY) == SHMC_OK);
}

/* Reads what must be frames *@number, *@number + 1 ...; says why it stopped. */
static enum shmc_result drain(struct scene *scene, struct shmc_stream *stream, int64_t timeout_ns,
			      uint64_t *number, uint32_t *flags)
{
	struct shmc_frame frame;
	enum shmc_result result;

	while ((result = shmt_frame_read(stream, BYTES, *number, timeout_ns, &frame)) == SHMC_OK) {
		CHECK(scene, frame.sequence == *number && frame.expected == *number);
		flags[(*number)++] = frame.flags;
		CHECK(scene, *number < 16);
	}
	return result;
}

/* Some laps, with frame @number first; then all of it can be used. */
static void go_on(struct scene *scene, struct shmc_stream *writer, struct shmc_stream *reader,
		  uint64_t number)
{
	struct shmc_frame frame;

	for (uint64_t end = number + 200; number < end; number++) {
		write_frame(scene, writer, number);
		CHECK(scene, shmt_frame_read(reader, BYTES, number, SHMC_TRY, &frame) == SHMC_OK);
		CHECK(scene, frame.sequence == number && frame.flags == 0);
	}
	CHECK(scene, shmt_frame_write(writer, CAPACITY, number, SHMC_TRY) == SHMC_OK);
	CHECK(scene, shmc_stream_write(writer, "x", 1, SHMC_TRY) == SHMC_FULL);
}

/* After the death of a writer */

static void check_metadata(struct scene *scene, struct shmc_stream *successor)
{
	struct shmc_bytes metadata;
	enum shmc_result result = shmc_stream_metadata(scene->stream, SHMC_TRY, &metadata);

	CHECK(scene, result == SHMC_OK || (result == SHMC_EMPTY && !scene->has_ended));
	if (result == SHMC_OK)
		CHECK(scene, metadata.size == BYTES && shmt_frame_is(metadata.data, BYTES, 1));
	result = shmc_stream_set_metadata(successor, "x", 1);
	CHECK(scene, result == SHMC_OK || result == SHMC_EXISTS);
}

/* The first frame of the successor tells how many numbers were left out. */
static uint64_t check_gap(struct scene *scene, struct shmc_stream *successor, uint64_t number)
{
	struct shmc_frame frame;

	CHECK(scene, shmc_stream_write(successor, NULL, 0, SHMC_TRY) == SHMC_OK);
	CHECK(scene, shmc_stream_read(scene->stream, NULL, 0, SHMC_TRY, &frame) == SHMC_OK);
	CHECK(scene, frame.expected == number);
	CHECK(scene, frame.sequence == number + scene->act->skips ||
			     (frame.sequence == number && !scene->has_ended));
	CHECK(scene, frame.flags == (frame.sequence == number ? 0 : SHMC_GAP));
	return frame.sequence + 1;
}

static void read_and_succeed(struct scene *scene)
{
	struct shmc_stream *successor;
	uint32_t flags[16];
	uint64_t number = 1, sent;

	CHECK(scene, drain(scene, scene->stream, SOON_NS, &number, flags) == SHMC_PEER_DEAD);
	sent = number - 1 - THERE;
	CHECK(scene, sent == 0 || sent == scene->act->sends);
	CHECK(scene, !scene->has_ended || sent == scene->act->sends);
	successor = shmt_frames_open(scene->client, "stream", SHMC_STREAM_WRITER);
	if (scene->act->is_metadata)
		check_metadata(scene, successor);
	number = check_gap(scene, successor, number);
	go_on(scene, successor, scene->stream, number);
	shmc_stream_close(successor);
}

/* After the death of a reader */

static bool is_touched(const struct scene *scene)
{
	for (int i = 0; i < BYTES; i++)
		if (scene->witness[i] != 0xff)
			return true;
	return false;
}

static void check_flags(struct scene *scene, uint64_t first, const uint32_t *flags)
{
	const struct act *act = scene->act;

	for (uint64_t number = first; number <= THERE; number++) {
		uint64_t index = number - 1;
		bool must_be = index < act->held || (scene->has_ended && index < act->shown) ||
			       (index + 1 == act->shown && is_touched(scene));

		CHECK(scene, index < act->shown || flags[number] == 0);
		CHECK(scene, !must_be || flags[number] == SHMC_REDELIVERED);
	}
}

static void succeed_and_read(struct scene *scene)
{
	uint64_t end_ns = shmp_clock_ns() + shmt_scaled((unsigned long)SOON_NS);
	struct shmc_stream *successor;
	uint32_t flags[16];
	uint64_t first, number;

	while (shmc_stream_peer(scene->stream) != SHMC_PEER_DIED) {
		CHECK(scene, shmp_clock_ns() < end_ns);
		sched_yield();
	}
	successor = shmt_frames_open(scene->client, "stream", SHMC_STREAM_READER);
	/* all frames are of one size */
	first = 1 + (shmt_frames_status(successor).payload_read_position - 16) / (BYTES + 16);
	CHECK(scene, first <= 1 + scene->act->taken);
	CHECK(scene, !scene->has_ended || first == 1 + scene->act->taken);
	if (first > 1 && scene->act->held == 0)
		CHECK(scene, shmt_frame_is(scene->witness, BYTES, 1));
	number = first;
	CHECK(scene, drain(scene, successor, SHMC_TRY, &number, flags) == SHMC_EMPTY);
	CHECK(scene, number == THERE + 1);
	check_flags(scene, first, flags);
	go_on(scene, scene->stream, successor, number);
	shmc_stream_close(successor);
}

/* The child */

static void child_prepare(void *context)
{
	struct scene *scene = context;

	scene->own = shmt_frames_open(shmt_connect(&scene->broker), "stream", scene->act->role);
	if (scene->act->role == SHMC_STREAM_WRITER)
		for (uint64_t number = 1; number <= THERE; number++)
			write_frame(scene, scene->own, number);
	for (uint64_t i = 0; i < scene->act->held; i++)
		CHECK(scene, shmc_stream_borrow(scene->own, SHMC_TRY, &scene->held[i]) == SHMC_OK);
	shmt_frame_fill(scene->payload, BYTES, scene->act->is_metadata ? 1 : THERE + 1);
	if (scene->act->prepare)
		scene->act->prepare(scene);
}

static void child_operate(void *context)
{
	struct scene *scene = context;

	scene->act->operate(scene);
}

/* Runs */

static void set_up(struct scene *scene)
{
	bool is_writer = scene->act->role == SHMC_STREAM_WRITER;

	shmt_frames_create(scene->client, "stream", CAPACITY);
	scene->stream = shmt_frames_open(scene->client, "stream",
					 is_writer ? SHMC_STREAM_READER : SHMC_STREAM_WRITER);
	for (uint64_t number = 1; !is_writer && number <= THERE; number++)
		write_frame(scene, scene->stream, number);
	memset(scene->witness, 0xff, BYTES);
}

static void tear_down(struct scene *scene)
{
	shmc_stream_close(scene->stream);
	shmt_assert_ok(shmc_unlink(scene->client, "stream", NULL));
}

static void measure(struct scene *scene, struct stepper_path *ret_path)
{
	struct stepper stepper = { 0 };

	set_up(scene);
	stepper_start(&stepper, child_prepare, child_operate, scene);
	stepper_measure(&stepper, ret_path);
	stepper_kill(&stepper);
	tear_down(scene);
}

static void die_at(struct scene *scene, const struct stepper_path *path, unsigned long point)
{
	struct stepper stepper = { 0 };

	set_up(scene);
	stepper_start(&stepper, child_prepare, child_operate, scene);
	scene->point = point;
	scene->has_ended = stepper_go_to(&stepper, path, point) == STEPPER_ENDED;
	stepper_kill(&stepper);
	if (scene->act->role == SHMC_STREAM_WRITER)
		read_and_succeed(scene);
	else
		succeed_and_read(scene);
	tear_down(scene);
}

static void kill_everywhere(struct act act)
{
	struct scene scene = { .broker = shmt_broker_start(NULL), .act = &act };
	unsigned long stride = 1, points = 0;
	struct stepper_path path;

	scene.client = shmt_connect(&scene.broker);
	scene.witness = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			     0);
	measure(&scene, &path);
	if (STEPPER_SAMPLES)
		stride = 1 + path.count / SAMPLES_SANITIZED;
	for (unsigned long point = 0; point < path.count; point += stride, points++)
		die_at(&scene, &path, point);
	die_at(&scene, &path, path.count);
	points++;
	printf("# %s: %lu kill points\n", act.name, points);
	if (points <= path.count)
		printf("# (samples of %lu)\n", path.count + 1);
	stepper_forget(&path);
	munmap(scene.witness, BYTES);
	shmc_disconnect(scene.client);
	shmt_broker_stop(&scene.broker);
}

/* The writer's calls */

static void do_write(struct scene *scene)
{
	shmc_stream_write(scene->own, scene->payload, BYTES, SHMC_FOREVER);
}

static void do_reserve(struct scene *scene)
{
	if (shmc_stream_reserve(scene->own, 100, SHMC_TRY, &scene->room) == SHMC_OK)
		memcpy(scene->room, scene->payload, BYTES);
}

static void do_commit(struct scene *scene)
{
	shmc_stream_commit(scene->own, BYTES);
}

static void do_abort(struct scene *scene)
{
	shmc_stream_abort(scene->own);
}

static void do_skip(struct scene *scene)
{
	shmc_stream_skip(scene->own, 3);
}

static void do_set_metadata(struct scene *scene)
{
	shmc_stream_set_metadata(scene->own, scene->payload, BYTES);
}

TEST(a_write_arrives_or_not, .timeout_s = 60)
{
	kill_everywhere((struct act){ .name = "shmc_stream_write",
				      .role = SHMC_STREAM_WRITER,
				      .operate = do_write,
				      .sends = 1 });
}

TEST(a_reservation_never_arrives, .timeout_s = 60)
{
	kill_everywhere((struct act){
		.name = "shmc_stream_reserve", .role = SHMC_STREAM_WRITER, .operate = do_reserve });
	kill_everywhere((struct act){ .name = "shmc_stream_abort",
				      .role = SHMC_STREAM_WRITER,
				      .prepare = do_reserve,
				      .operate = do_abort });
}

TEST(a_commit_arrives_or_not, .timeout_s = 60)
{
	kill_everywhere((struct act){ .name = "shmc_stream_commit",
				      .role = SHMC_STREAM_WRITER,
				      .prepare = do_reserve,
				      .operate = do_commit,
				      .sends = 1 });
}

TEST(numbers_are_left_out_or_not, .timeout_s = 60)
{
	kill_everywhere((struct act){ .name = "shmc_stream_skip",
				      .role = SHMC_STREAM_WRITER,
				      .operate = do_skip,
				      .skips = 3 });
}

TEST(metadata_are_there_or_not, .timeout_s = 60)
{
	kill_everywhere((struct act){ .name = "shmc_stream_set_metadata",
				      .role = SHMC_STREAM_WRITER,
				      .operate = do_set_metadata,
				      .is_metadata = true });
}

/* The reader's calls */

static void do_read(struct scene *scene)
{
	struct shmc_frame frame;

	shmc_stream_read(scene->own, scene->witness, BYTES, SHMC_FOREVER, &frame);
}

static void do_borrow(struct scene *scene)
{
	struct shmc_frame frame;

	shmc_stream_borrow(scene->own, SHMC_FOREVER, &frame);
}

static void do_release_first(struct scene *scene)
{
	shmc_stream_release(scene->own, &scene->held[0]);
}

static void do_release_last(struct scene *scene)
{
	shmc_stream_release(scene->own, &scene->held[HELD_MAX - 1]);
}

static void release_later_ones(struct scene *scene)
{
	shmc_stream_release(scene->own, &scene->held[2]);
	shmc_stream_release(scene->own, &scene->held[1]);
}

/* @set: held, shown and taken. */
static void try_reading(const char *name, void (*prepare)(struct scene *),
			void (*operate)(struct scene *), struct act set)
{
	set.name = name;
	set.role = SHMC_STREAM_READER;
	set.prepare = prepare;
	set.operate = operate;
	kill_everywhere(set);
}

TEST(a_read_takes_the_frame_or_it_comes_again, .timeout_s = 60)
{
	try_reading("shmc_stream_read", NULL, do_read, (struct act){ .shown = 1, .taken = 1 });
	try_reading("shmc_stream_read, two are held", NULL, do_read,
		    (struct act){ .held = 2, .shown = 3 });
}

TEST(what_was_borrowed_comes_again_flagged, .timeout_s = 60)
{
	try_reading("shmc_stream_borrow", NULL, do_borrow, (struct act){ .shown = 1 });
	try_reading("shmc_stream_borrow, two are held", NULL, do_borrow,
		    (struct act){ .held = 2, .shown = 3 });
}

TEST(a_release_gives_back_or_not, .timeout_s = 60)
{
	try_reading("shmc_stream_release of the first of 3", NULL, do_release_first,
		    (struct act){ .held = 3, .shown = 3, .taken = 1 });
	try_reading("shmc_stream_release of the last of 3", NULL, do_release_last,
		    (struct act){ .held = 3, .shown = 3 });
	try_reading("shmc_stream_release of the first, the others are released", release_later_ones,
		    do_release_first, (struct act){ .held = 3, .shown = 3, .taken = 3 });
}

int main(int argc, char **argv)
{
	return STEPPER_WORKS ? shmt_run(argc, argv) :
			       shmt_skip("there is no single-stepping on this processor");
}
