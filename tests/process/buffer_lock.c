/* The lock of a buffer, between processes that live: who gets it, who waits, who is refused. */
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/buffer_client.h"
#include "tests/support/descriptors.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define MS_NS INT64_C(1000000)

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_buffer *writer;
	size_t descriptors;
};

static struct scene scene_open(void)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.client = shmt_connect(&scene.broker);
	shmt_buffer_create(scene.client, "buffer", (struct shmc_buffer_options){ 0 });
	scene.writer = shmt_buffer_open(scene.client, "buffer", SHMC_BUFFER_WRITER);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_buffer_close(scene->writer);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

static struct shmt_puppet puppet_of(const struct scene *scene, enum shmc_buffer_role role)
{
	return shmt_puppet_start(&scene->broker, "buffer", role);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 * MS_NS + now.tv_nsec;
}

static void expect_free(struct scene *scene)
{
	struct shmc_buffer_owner owner = shmt_buffer_owner(scene->writer);

	ck_assert_uint_eq(owner.is_held + owner.readers + owner.waiting + owner.owner_died, 0);
	shmt_assert_ok(shmc_buffer_lock_write(scene->writer, SHMC_TRY));
	shmt_assert_ok(shmc_buffer_unlock(scene->writer));
}

TEST(two_readers_hold_it_at_once_and_no_writer)
{
	struct scene scene = scene_open();
	struct shmt_puppet one = puppet_of(&scene, SHMC_BUFFER_READER);
	struct shmt_puppet two = puppet_of(&scene, SHMC_BUFFER_READER);

	shmt_assert_ok(shmt_puppet_do(&one, PUPPET_LOCK_READ, SHMC_TRY));
	shmt_assert_ok(shmt_puppet_do(&two, PUPPET_LOCK_READ, SHMC_FOREVER));
	ck_assert_uint_eq(shmt_buffer_owner(scene.writer).readers, 2);
	shmt_assert_result(shmc_buffer_lock_write(scene.writer, SHMC_TRY), SHMC_TIMEOUT);
	shmt_assert_ok(shmt_puppet_do(&one, PUPPET_UNLOCK, 0));
	shmt_assert_result(shmc_buffer_lock_write(scene.writer, SHMC_TRY), SHMC_TIMEOUT);
	shmt_assert_ok(shmt_puppet_do(&two, PUPPET_UNLOCK, 0));
	expect_free(&scene);
	shmt_puppet_end(&one);
	shmt_puppet_end(&two);
	scene_close(&scene);
}

TEST(a_writer_excludes_readers_and_writers)
{
	struct scene scene = scene_open();
	struct shmt_puppet reader = puppet_of(&scene, SHMC_BUFFER_READER);
	struct shmt_puppet writer = puppet_of(&scene, SHMC_BUFFER_WRITER);

	shmt_assert_ok(shmc_buffer_lock_write(scene.writer, SHMC_TRY));
	shmt_assert_result(shmt_puppet_do(&reader, PUPPET_LOCK_READ, SHMC_TRY), SHMC_TIMEOUT);
	shmt_assert_result(shmt_puppet_do(&writer, PUPPET_LOCK_WRITE, SHMC_TRY), SHMC_TIMEOUT);
	shmt_assert_result(shmt_puppet_do(&writer, PUPPET_LOCK_READ, MS_NS), SHMC_TIMEOUT);
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	shmt_assert_ok(shmt_puppet_do(&reader, PUPPET_LOCK_READ, SHMC_TRY));
	shmt_assert_ok(shmt_puppet_do(&writer, PUPPET_LOCK_READ, SHMC_TRY));
	shmt_puppet_end(&reader);
	shmt_puppet_end(&writer);
	expect_free(&scene);
	scene_close(&scene);
}

TEST(a_writer_that_waits_for_readers_times_out_and_leaves_nothing_held)
{
	struct scene scene = scene_open();
	struct shmt_puppet reader = puppet_of(&scene, SHMC_BUFFER_READER);
	struct shmt_puppet other = puppet_of(&scene, SHMC_BUFFER_READER);
	int64_t before;

	shmt_assert_ok(shmt_puppet_do(&reader, PUPPET_LOCK_READ, SHMC_TRY));
	before = now_ns();
	shmt_assert_result(shmc_buffer_lock_write(scene.writer, 50 * MS_NS), SHMC_TIMEOUT);
	ck_assert_int_ge(now_ns() - before, 50 * MS_NS);
	shmt_assert_ok(shmt_puppet_do(&other, PUPPET_LOCK_READ, SHMC_TRY));
	shmt_assert_ok(shmt_puppet_do(&other, PUPPET_UNLOCK, 0));
	shmt_assert_ok(shmt_puppet_do(&reader, PUPPET_UNLOCK, 0));
	shmt_assert_result(shmc_buffer_unlock(scene.writer), SHMC_INVALID);
	expect_free(&scene);
	shmt_puppet_end(&reader);
	shmt_puppet_end(&other);
	scene_close(&scene);
}

TEST(readers_that_wait_for_a_writer_time_out_and_leave_nothing_held)
{
	struct scene scene = scene_open();
	struct shmt_puppet reader = puppet_of(&scene, SHMC_BUFFER_READER);

	shmt_assert_ok(shmc_buffer_lock_write(scene.writer, SHMC_TRY));
	shmt_assert_result(shmt_puppet_do(&reader, PUPPET_LOCK_READ, 30 * MS_NS), SHMC_TIMEOUT);
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	shmt_assert_result(shmt_puppet_do(&reader, PUPPET_UNLOCK, 0), SHMC_INVALID);
	expect_free(&scene);
	shmt_puppet_end(&reader);
	scene_close(&scene);
}

/* One of each waits; who gets it first gives it to the other. */
static void pass_on(struct shmt_puppet *first, struct shmt_puppet *second)
{
	shmt_assert_ok(shmt_puppet_result(first));
	shmt_assert_ok(shmt_puppet_do(first, PUPPET_UNLOCK, 0));
	shmt_assert_ok(shmt_puppet_result(second));
	shmt_assert_ok(shmt_puppet_do(second, PUPPET_UNLOCK, 0));
}

TEST(who_sleeps_gets_it_when_the_writer_lets_go)
{
	struct scene scene = scene_open();
	struct shmt_puppet reader = puppet_of(&scene, SHMC_BUFFER_READER);
	struct shmt_puppet writer = puppet_of(&scene, SHMC_BUFFER_WRITER);

	for (int i = 0; i < 20; i++) {
		struct shmc_buffer_owner owner;

		shmt_assert_ok(shmc_buffer_lock_write(scene.writer, SHMC_TRY));
		shmt_puppet_begin(&reader, PUPPET_LOCK_READ, SHMC_FOREVER, 0);
		shmt_puppet_begin(&writer, PUPPET_LOCK_WRITE, SHMC_FOREVER, 0);
		shmt_buffer_await_waiting(scene.writer, 2);
		shmt_assert_ok(shmc_buffer_unlock(scene.writer));
		shmt_buffer_await_waiting(scene.writer, 1);
		do
			owner = shmt_buffer_owner(scene.writer);
		while (!owner.is_held && owner.readers == 0);
		if (owner.is_held)
			pass_on(&writer, &reader);
		else
			pass_on(&reader, &writer);
	}
	expect_free(&scene);
	shmt_puppet_end(&reader);
	shmt_puppet_end(&writer);
	scene_close(&scene);
}

TEST(a_sleeping_writer_gets_it_when_the_last_reader_leaves)
{
	struct scene scene = scene_open();
	struct shmt_puppet one = puppet_of(&scene, SHMC_BUFFER_READER);
	struct shmt_puppet two = puppet_of(&scene, SHMC_BUFFER_READER);
	struct shmt_puppet writer = puppet_of(&scene, SHMC_BUFFER_WRITER);

	for (int i = 0; i < 20; i++) {
		shmt_assert_ok(shmt_puppet_do(&one, PUPPET_LOCK_READ, SHMC_TRY));
		shmt_assert_ok(shmt_puppet_do(&two, PUPPET_LOCK_READ, SHMC_TRY));
		shmt_puppet_begin(&writer, PUPPET_LOCK_WRITE, SHMC_FOREVER, 0);
		shmt_buffer_await_waiting(scene.writer, 1);
		shmt_assert_result(shmc_buffer_lock_read(scene.writer, SHMC_TRY), SHMC_TIMEOUT);
		shmt_assert_ok(shmt_puppet_do(&one, PUPPET_UNLOCK, 0));
		ck_assert_uint_eq(shmt_buffer_owner(scene.writer).is_held, 0);
		shmt_assert_ok(shmt_puppet_do(&two, PUPPET_UNLOCK, 0));
		shmt_assert_ok(shmt_puppet_result(&writer));
		shmt_assert_ok(shmt_puppet_do(&writer, PUPPET_UNLOCK, 0));
	}
	expect_free(&scene);
	shmt_puppet_end(&one);
	shmt_puppet_end(&two);
	shmt_puppet_end(&writer);
	scene_close(&scene);
}

TEST(nested_takes_by_the_holder_work)
{
	struct scene scene = scene_open();
	struct shmt_puppet other = puppet_of(&scene, SHMC_BUFFER_READER);

	for (int i = 0; i < 3; i++)
		shmt_assert_ok(shmc_buffer_lock_write(scene.writer, SHMC_FOREVER));
	shmt_assert_ok(shmc_buffer_lock_read(scene.writer, SHMC_FOREVER));
	for (int i = 0; i < 3; i++)
		shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	shmt_assert_result(shmt_puppet_do(&other, PUPPET_LOCK_READ, SHMC_TRY), SHMC_TIMEOUT);
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	shmt_assert_ok(shmt_puppet_do(&other, PUPPET_LOCK_READ, SHMC_TRY));
	shmt_assert_ok(shmt_puppet_do(&other, PUPPET_LOCK_READ, SHMC_TRY));
	shmt_assert_ok(shmt_puppet_do(&other, PUPPET_UNLOCK, 0));
	shmt_assert_result(shmc_buffer_lock_write(scene.writer, SHMC_TRY), SHMC_TIMEOUT);
	shmt_puppet_end(&other);
	expect_free(&scene);
	scene_close(&scene);
}

TEST(a_reader_s_second_take_does_not_wait_for_a_writer_that_waits_for_it)
{
	struct scene scene = scene_open();
	struct shmt_puppet writer = puppet_of(&scene, SHMC_BUFFER_WRITER);

	shmt_assert_ok(shmc_buffer_lock_read(scene.writer, SHMC_TRY));
	shmt_puppet_begin(&writer, PUPPET_LOCK_WRITE, SHMC_FOREVER, 0);
	shmt_buffer_await_waiting(scene.writer, 1);
	shmt_assert_ok(shmc_buffer_lock_read(scene.writer, SHMC_FOREVER));
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	shmt_assert_ok(shmt_puppet_result(&writer));
	shmt_puppet_end(&writer);
	scene_close(&scene);
}

TEST(going_over_from_reading_to_writing_is_refused_at_once)
{
	struct scene scene = scene_open();
	struct shmt_puppet other = puppet_of(&scene, SHMC_BUFFER_WRITER);

	shmt_assert_ok(shmc_buffer_lock_read(scene.writer, SHMC_TRY));
	shmt_assert_result(shmc_buffer_lock_write(scene.writer, SHMC_FOREVER), SHMC_INVALID);
	shmt_assert_result(shmc_buffer_store_checksum(scene.writer, 0, 1, SHMC_FOREVER),
			   SHMC_INVALID);
	shmt_assert_ok(shmt_puppet_do(&other, PUPPET_LOCK_READ, SHMC_TRY));
	shmt_assert_result(shmt_puppet_do(&other, PUPPET_LOCK_WRITE, SHMC_FOREVER), SHMC_INVALID);
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	shmt_puppet_end(&other);
	expect_free(&scene);
	scene_close(&scene);
}

TEST(a_second_release_or_a_stranger_s_is_refused)
{
	struct scene scene = scene_open();
	struct shmt_puppet stranger = puppet_of(&scene, SHMC_BUFFER_WRITER);

	shmt_assert_result(shmc_buffer_unlock(scene.writer), SHMC_INVALID);
	shmt_assert_ok(shmc_buffer_lock_write(scene.writer, SHMC_TRY));
	shmt_assert_result(shmt_puppet_do(&stranger, PUPPET_UNLOCK, 0), SHMC_INVALID);
	shmt_assert_result(shmt_puppet_do(&stranger, PUPPET_PUT_BACK, 0), SHMC_INVALID);
	shmt_assert_result(shmt_puppet_do(&stranger, PUPPET_MARK_CONSISTENT, 0), SHMC_INVALID);
	ck_assert_uint_ne(shmt_buffer_owner(scene.writer).is_held, 0);
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	shmt_assert_result(shmc_buffer_unlock(scene.writer), SHMC_INVALID);
	shmt_assert_ok(shmt_puppet_do(&stranger, PUPPET_LOCK_READ, SHMC_TRY));
	shmt_assert_result(shmc_buffer_unlock(scene.writer), SHMC_INVALID);
	ck_assert_uint_eq(shmt_buffer_owner(scene.writer).readers, 1);
	shmt_puppet_end(&stranger);
	expect_free(&scene);
	scene_close(&scene);
}

static void write_guarded(struct shmc_buffer *buffer, bool gives_back_early)
{
	__attribute__((cleanup(shmc_buffer_guard))) struct shmc_buffer *held = buffer;

	shmt_assert_ok(shmc_buffer_lock_write(buffer, SHMC_TRY));
	if (gives_back_early) {
		shmt_assert_ok(shmc_buffer_unlock(buffer));
		held = NULL;
	}
}

TEST(a_guard_gives_it_back_once)
{
	struct scene scene = scene_open();
	struct shmt_puppet other = puppet_of(&scene, SHMC_BUFFER_READER);
	struct shmc_buffer *held = scene.writer;

	write_guarded(scene.writer, false);
	shmt_assert_ok(shmt_puppet_do(&other, PUPPET_LOCK_READ, SHMC_TRY));
	shmt_assert_ok(shmt_puppet_do(&other, PUPPET_UNLOCK, 0));
	write_guarded(scene.writer, true);
	shmt_assert_ok(shmc_buffer_lock_write(scene.writer, SHMC_TRY));
	shmt_assert_ok(shmc_buffer_lock_write(scene.writer, SHMC_TRY));
	shmc_buffer_guard(&held);
	ck_assert_ptr_null(held);
	shmc_buffer_guard(&held);
	shmt_assert_result(shmt_puppet_do(&other, PUPPET_LOCK_READ, SHMC_TRY), SHMC_TIMEOUT);
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	expect_free(&scene);
	shmt_puppet_end(&other);
	scene_close(&scene);
}

TEST(the_owner_is_told_by_pid_and_thread_and_time)
{
	struct scene scene = scene_open();
	struct shmt_puppet other = puppet_of(&scene, SHMC_BUFFER_WRITER);
	int64_t before = now_ns();
	struct shmc_buffer_owner owner;

	shmt_assert_ok(shmt_puppet_do(&other, PUPPET_LOCK_WRITE, SHMC_TRY));
	owner = shmt_buffer_owner(scene.writer);
	ck_assert_uint_ne(owner.is_held, 0);
	ck_assert_int_eq((pid_t)owner.pid, other.peer.pid);
	ck_assert_int_eq((pid_t)owner.tid, other.peer.pid);
	ck_assert_int_ge((int64_t)owner.since_ns, before - 1000 * MS_NS);
	ck_assert_int_le((int64_t)owner.since_ns, now_ns());
	shmt_puppet_end(&other);
	shmt_assert_ok(shmc_buffer_lock_write(scene.writer, SHMC_FOREVER) == SHMC_OWNER_DIED ?
			       shmc_buffer_mark_consistent(scene.writer) :
			       SHMC_INVALID);
	owner = shmt_buffer_owner(scene.writer);
	ck_assert_int_eq((pid_t)owner.pid, getpid());
	ck_assert_int_eq((pid_t)owner.tid, (pid_t)syscall(SYS_gettid));
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	expect_free(&scene);
	scene_close(&scene);
}

/* Traffic: who holds it writes the same number everywhere, and whoever looks finds it so. */

enum {
	CELLS = 16
};

struct traffic {
	const struct shmt_broker *broker;
	uint64_t seed;
	uint32_t rounds;
	uint32_t writes_of_8; /* how many of eight takes are to write */
};

static void check_cells(struct shmc_buffer *buffer)
{
	uint64_t cells[CELLS];

	shmt_assert_ok(shmc_buffer_read(buffer, 0, cells, sizeof(cells)));
	for (int i = 1; i < CELLS; i++)
		ck_assert_uint_eq(cells[i], cells[0]);
}

static void raise_cells(struct shmc_buffer *buffer)
{
	uint64_t value, *cells;
	void *edit;

	check_cells(buffer);
	shmt_assert_ok(shmc_buffer_edit(buffer, 0, CELLS * sizeof(value), &edit));
	cells = edit;
	value = cells[0] + 1;
	for (int i = 0; i < CELLS; i++)
		cells[i] = value;
}

static uint64_t take_turns(struct shmc_buffer *buffer, const struct traffic *traffic)
{
	struct shmt_random random = { traffic->seed };
	uint64_t written = 0;

	for (uint32_t i = 0; i < traffic->rounds; i++) {
		bool writes = shmt_random_below(&random, 8) < traffic->writes_of_8;
		int64_t timeout = shmt_random_below(&random, 4) ?
					  SHMC_FOREVER :
					  (int64_t)shmt_random_below(&random, 200000);
		enum shmc_result result = writes ? shmc_buffer_lock_write(buffer, timeout) :
						   shmc_buffer_lock_read(buffer, timeout);

		if (result == SHMC_TIMEOUT && timeout != SHMC_FOREVER)
			continue;
		shmt_assert_ok(result);
		if (writes)
			raise_cells(buffer);
		else
			check_cells(buffer);
		written += writes;
		shmt_assert_ok(shmc_buffer_unlock(buffer));
	}
	return written;
}

static void make_traffic(struct shmt_peer *other, void *context)
{
	const struct traffic *traffic = context;
	struct shmc_client *client = shmt_connect(traffic->broker);
	struct shmc_buffer *buffer = shmt_buffer_open(client, "buffer", SHMC_BUFFER_WRITER);
	uint64_t written;

	shmt_peer_tell(other);
	shmt_peer_await(other);
	written = take_turns(buffer, traffic);
	shmt_peer_send(other, &written, sizeof(written));
	shmc_buffer_close(buffer);
	shmc_disconnect(client);
}

static void run_traffic(const struct traffic *traffic, size_t count)
{
	struct scene scene = scene_open();
	struct shmt_peer peers[32];
	uint64_t written, sum = 0, cells[CELLS];

	for (size_t i = 0; i < count; i++) {
		struct traffic own = traffic[i];

		own.broker = &scene.broker;
		own.seed += i * 1000;
		peers[i] = shmt_peer_start(make_traffic, &own);
		shmt_peer_await(&peers[i]);
	}
	for (size_t i = 0; i < count; i++)
		shmt_peer_tell(&peers[i]);
	for (size_t i = 0; i < count; i++) {
		shmt_peer_receive(&peers[i], &written, sizeof(written));
		shmt_peer_join(&peers[i]);
		sum += written;
	}
	shmt_assert_ok(shmc_buffer_read(scene.writer, 0, cells, sizeof(cells)));
	ck_assert_uint_eq(cells[0], sum);
	expect_free(&scene);
	scene_close(&scene);
}

TEST(thirty_two_processes_of_random_traffic_stay_consistent, .timeout_s = 60)
{
	struct traffic traffic[32];
	uint64_t seed = shmt_seed();

	for (size_t i = 0; i < 32; i++)
		traffic[i] = (struct traffic){ .seed = seed, .rounds = 400, .writes_of_8 = 2 };
	run_traffic(traffic, 32);
}

TEST(four_writers_and_four_readers_take_ten_thousand_turns_each, .timeout_s = 60)
{
	struct traffic traffic[8];
	uint64_t seed = shmt_seed();

	for (size_t i = 0; i < 8; i++)
		traffic[i] = (struct traffic){ .seed = seed,
					       .rounds = 10000,
					       .writes_of_8 = i < 4 ? 8 : 0 };
	run_traffic(traffic, 8);
}

SHMT_MAIN
