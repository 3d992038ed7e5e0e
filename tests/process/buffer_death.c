/* The lock of a buffer when its holders are killed or stopped, with a real broker. */
#include <signal.h>
#include <string.h>
#include <time.h>

#include "tests/support/broker.h"
#include "tests/support/buffer_client.h"
#include "tests/support/descriptors.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define MS_NS	  INT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)

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

static struct shmt_puppet writer_with_the_lock(const struct scene *scene)
{
	struct shmt_puppet writer = puppet_of(scene, SHMC_BUFFER_WRITER);

	shmt_assert_ok(shmt_puppet_do(&writer, PUPPET_LOCK_WRITE, SHMC_FOREVER));
	return writer;
}

/* A writer is killed with it in hand. */
static void leave_half_done(const struct scene *scene)
{
	struct shmt_puppet dead = writer_with_the_lock(scene);

	shmt_assert_ok(shmt_puppet_write(&dead, 0, 0xdd));
	shmt_peer_kill(&dead.peer);
}

static void mend(struct scene *scene)
{
	shmt_assert_ok(shmc_buffer_mark_consistent(scene->writer));
	shmt_assert_ok(shmc_buffer_unlock(scene->writer));
	shmt_assert_ok(shmc_buffer_lock_write(scene->writer, SHMC_TRY));
	shmt_assert_ok(shmc_buffer_unlock(scene->writer));
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

TEST(after_a_killed_writer_the_next_one_is_told)
{
	struct scene scene = scene_open();

	for (uint64_t i = 1; i <= 10; i++) {
		leave_half_done(&scene);
		shmt_assert_result(shmc_buffer_lock_write(scene.writer, SHMC_FOREVER),
				   SHMC_OWNER_DIED);
		ck_assert_uint_eq(shmt_buffer_owner(scene.writer).deaths, i);
		mend(&scene);
	}
	scene_close(&scene);
}

/* Some 0.2 ms on a calm machine; here, as long as nobody could call it waiting for a timeout. */
TEST(who_waits_for_a_killed_writer_is_told_within_repair_time)
{
	struct scene scene = scene_open();
	struct shmt_puppet dead = writer_with_the_lock(&scene);
	struct shmt_puppet waiter = puppet_of(&scene, SHMC_BUFFER_WRITER);
	int64_t before;

	shmt_puppet_begin(&waiter, PUPPET_LOCK_WRITE, SHMC_FOREVER, 0);
	shmt_buffer_await_waiting(scene.writer, 1);
	before = now_ns();
	shmt_peer_kill_soon(&dead.peer);
	shmt_assert_result(shmt_puppet_result(&waiter), SHMC_OWNER_DIED);
	ck_assert_int_lt(now_ns() - before, (int64_t)shmt_scaled(5) * SECOND_NS);
	shmt_peer_reap(&dead.peer);
	shmt_assert_ok(shmt_puppet_do(&waiter, PUPPET_MARK_CONSISTENT, 0));
	shmt_assert_ok(shmt_puppet_do(&waiter, PUPPET_UNLOCK, 0));
	shmt_puppet_end(&waiter);
	shmt_assert_ok(shmc_buffer_lock_write(scene.writer, SHMC_TRY));
	scene_close(&scene);
}

TEST(readers_too_are_told_until_a_writer_mends_it)
{
	struct scene scene = scene_open();
	struct shmt_puppet one = puppet_of(&scene, SHMC_BUFFER_READER);
	struct shmt_puppet two = puppet_of(&scene, SHMC_BUFFER_READER);

	leave_half_done(&scene);
	for (int i = 0; i < 2; i++) {
		shmt_assert_result(shmt_puppet_do(&one, PUPPET_LOCK_READ, SHMC_FOREVER),
				   SHMC_OWNER_DIED);
		shmt_assert_result(shmt_puppet_do(&two, PUPPET_LOCK_READ, SHMC_FOREVER),
				   SHMC_OWNER_DIED);
		ck_assert_uint_eq(shmt_puppet_read(&one, 0), 0xdd);
		shmt_assert_ok(shmt_puppet_do(&one, PUPPET_UNLOCK, 0));
		shmt_assert_ok(shmt_puppet_do(&two, PUPPET_UNLOCK, 0));
	}
	shmt_assert_result(shmc_buffer_lock_write(scene.writer, SHMC_FOREVER), SHMC_OWNER_DIED);
	mend(&scene);
	shmt_assert_ok(shmt_puppet_do(&one, PUPPET_LOCK_READ, SHMC_FOREVER));
	shmt_puppet_end(&one);
	shmt_puppet_end(&two);
	scene_close(&scene);
}

static void has_health(const struct scene *scene, const char *health)
{
	struct shmt_raw *control = shmt_raw_open(scene->broker.control);
	const char *said;

	ck_assert_str_eq(
		shmt_raw_call(control, "org.shmbroker.control.Describe", "{'name':'buffer'}"), "");
	said = cJSON_GetObjectItem(shmt_raw_item(control, "segment"), "health")->valuestring;
	ck_assert_msg(strncmp(said, health, strlen(health)) == 0, "health: %s", said);
	shmt_raw_close(control);
}

TEST(the_operator_is_told_what_wants_mending)
{
	struct scene scene = scene_open();

	has_health(&scene, "good");
	leave_half_done(&scene);
	shmt_assert_result(shmc_buffer_lock_write(scene.writer, 5 * SECOND_NS), SHMC_OWNER_DIED);
	has_health(&scene, "half written");
	shmt_assert_ok(shmc_buffer_mark_consistent(scene.writer));
	has_health(&scene, "good");
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	leave_half_done(&scene);
	shmt_assert_result(shmc_buffer_lock_write(scene.writer, 5 * SECOND_NS), SHMC_OWNER_DIED);
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	has_health(&scene, "given up");
	scene_close(&scene);
}

TEST(given_back_without_mending_it_is_unrecoverable_for_good)
{
	struct scene scene = scene_open();
	struct shmt_puppet reader = puppet_of(&scene, SHMC_BUFFER_READER);
	struct shmc_buffer_owner owner;

	leave_half_done(&scene);
	shmt_assert_result(shmc_buffer_lock_write(scene.writer, SHMC_FOREVER), SHMC_OWNER_DIED);
	shmt_assert_ok(shmc_buffer_owner(scene.writer, &owner));
	ck_assert_uint_eq(owner.unrecoverable, 0);
	shmt_puppet_begin(&reader, PUPPET_LOCK_READ, SHMC_FOREVER, 0);
	shmt_buffer_await_waiting(scene.writer, 1);
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	shmt_assert_result(shmt_puppet_result(&reader), SHMC_UNRECOVERABLE);
	for (int i = 0; i < 2; i++) {
		shmt_assert_result(shmc_buffer_lock_write(scene.writer, SHMC_FOREVER),
				   SHMC_UNRECOVERABLE);
		shmt_assert_result(shmt_puppet_do(&reader, PUPPET_LOCK_READ, SHMC_TRY),
				   SHMC_UNRECOVERABLE);
	}
	shmt_assert_ok(shmc_buffer_owner(scene.writer, &owner));
	ck_assert_uint_eq(owner.unrecoverable, 1);
	ck_assert_uint_eq(owner.is_held, 0);
	shmt_puppet_end(&reader);
	reader = puppet_of(&scene, SHMC_BUFFER_READER);
	shmt_assert_result(shmt_puppet_do(&reader, PUPPET_LOCK_READ, SHMC_FOREVER),
			   SHMC_UNRECOVERABLE);
	shmt_puppet_end(&reader);
	scene_close(&scene);
}

TEST(put_back_it_can_still_be_mended)
{
	struct scene scene = scene_open();
	struct shmt_puppet other = puppet_of(&scene, SHMC_BUFFER_WRITER);

	leave_half_done(&scene);
	shmt_assert_result(shmt_puppet_do(&other, PUPPET_LOCK_WRITE, SHMC_FOREVER),
			   SHMC_OWNER_DIED);
	shmt_assert_ok(shmt_puppet_do(&other, PUPPET_PUT_BACK, 0));
	shmt_assert_result(shmc_buffer_store_checksum(scene.writer, 0, 1, SHMC_FOREVER),
			   SHMC_OWNER_DIED);
	shmt_assert_result(shmc_buffer_verify(scene.writer, 0, 1, NULL, SHMC_FOREVER),
			   SHMC_NOT_FOUND);
	shmt_assert_result(shmc_buffer_lock_write(scene.writer, SHMC_FOREVER), SHMC_OWNER_DIED);
	shmt_assert_ok(shmc_buffer_store_checksum(scene.writer, 0, 1, SHMC_FOREVER));
	mend(&scene);
	shmt_puppet_end(&other);
	scene_close(&scene);
}

TEST(a_killed_reader_no_longer_blocks)
{
	struct scene scene = scene_open();
	struct shmt_puppet reader = puppet_of(&scene, SHMC_BUFFER_READER);
	struct shmt_puppet waiter = puppet_of(&scene, SHMC_BUFFER_WRITER);

	shmt_assert_ok(shmt_puppet_do(&reader, PUPPET_LOCK_READ, SHMC_TRY));
	shmt_puppet_begin(&waiter, PUPPET_LOCK_WRITE, SHMC_FOREVER, 0);
	shmt_buffer_await_waiting(scene.writer, 1);
	shmt_peer_kill(&reader.peer);
	shmt_assert_ok(shmt_puppet_result(&waiter));
	ck_assert_uint_eq(shmt_buffer_owner(scene.writer).readers, 0);
	ck_assert_uint_eq(shmt_buffer_owner(scene.writer).deaths, 0);
	shmt_assert_ok(shmt_puppet_do(&waiter, PUPPET_UNLOCK, 0));
	shmt_puppet_end(&waiter);
	scene_close(&scene);
}

TEST(who_is_killed_waiting_for_it_is_no_dead_owner)
{
	struct scene scene = scene_open();
	struct shmt_puppet claims = puppet_of(&scene, SHMC_BUFFER_WRITER);
	struct shmt_puppet waits = puppet_of(&scene, SHMC_BUFFER_WRITER);
	struct shmt_puppet reads = puppet_of(&scene, SHMC_BUFFER_READER);

	shmt_assert_ok(shmc_buffer_lock_read(scene.writer, SHMC_TRY));
	shmt_puppet_begin(&claims, PUPPET_LOCK_WRITE, SHMC_FOREVER, 0);
	shmt_buffer_await_waiting(scene.writer, 1);
	shmt_puppet_begin(&waits, PUPPET_LOCK_WRITE, SHMC_FOREVER, 0);
	shmt_buffer_await_waiting(scene.writer, 2);
	shmt_puppet_begin(&reads, PUPPET_LOCK_READ, SHMC_FOREVER, 0);
	shmt_buffer_await_waiting(scene.writer, 3);
	shmt_peer_kill(&waits.peer);
	shmt_buffer_await_waiting(scene.writer, 2);
	shmt_peer_kill(&claims.peer);
	shmt_assert_ok(shmt_puppet_result(&reads));
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	shmt_puppet_end(&reads);
	shmt_assert_ok(shmc_buffer_lock_write(scene.writer, SHMC_FOREVER));
	ck_assert_uint_eq(shmt_buffer_owner(scene.writer).deaths, 0);
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	scene_close(&scene);
}

TEST(of_two_that_wait_for_a_dead_writer_one_owns_it)
{
	struct scene scene = scene_open();

	for (int i = 0; i < 5; i++) {
		struct shmt_puppet dead = writer_with_the_lock(&scene);
		struct shmt_puppet one = puppet_of(&scene, SHMC_BUFFER_WRITER);
		struct shmt_puppet two = puppet_of(&scene, SHMC_BUFFER_WRITER);
		struct shmc_buffer_owner owner;

		shmt_puppet_begin(&one, PUPPET_LOCK_WRITE, SHMC_FOREVER, 0);
		shmt_puppet_begin(&two, PUPPET_LOCK_WRITE, SHMC_FOREVER, 0);
		shmt_buffer_await_waiting(scene.writer, 2);
		shmt_peer_kill(&dead.peer);
		shmt_buffer_await_waiting(scene.writer, 1);
		do
			owner = shmt_buffer_owner(scene.writer);
		while (!owner.is_held);
		if ((pid_t)owner.pid != one.peer.pid) {
			struct shmt_puppet swap = one;

			one = two;
			two = swap;
		}
		ck_assert_int_eq((pid_t)owner.pid, one.peer.pid);
		shmt_assert_result(shmt_puppet_result(&one), SHMC_OWNER_DIED);
		shmt_assert_ok(shmt_puppet_do(&one, PUPPET_MARK_CONSISTENT, 0));
		shmt_assert_ok(shmt_puppet_do(&one, PUPPET_UNLOCK, 0));
		shmt_assert_ok(shmt_puppet_result(&two));
		shmt_assert_ok(shmt_puppet_do(&two, PUPPET_UNLOCK, 0));
		shmt_puppet_end(&one);
		shmt_puppet_end(&two);
	}
	scene_close(&scene);
}

/* Minutes are the same as this: there is no clock in it that could run out. */
TEST(a_stopped_holder_keeps_it)
{
	struct scene scene = scene_open();
	struct shmt_puppet holder = writer_with_the_lock(&scene);

	ck_assert_int_eq(kill(holder.peer.pid, SIGSTOP), 0);
	shmt_assert_result(shmc_buffer_lock_write(scene.writer, 300 * MS_NS), SHMC_TIMEOUT);
	shmt_assert_result(shmc_buffer_lock_read(scene.writer, 300 * MS_NS), SHMC_TIMEOUT);
	ck_assert_int_eq((pid_t)shmt_buffer_owner(scene.writer).pid, holder.peer.pid);
	ck_assert_int_eq(kill(holder.peer.pid, SIGCONT), 0);
	shmt_assert_ok(shmt_puppet_do(&holder, PUPPET_UNLOCK, 0));
	shmt_assert_ok(shmc_buffer_lock_write(scene.writer, SHMC_FOREVER));
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	shmt_puppet_end(&holder);
	scene_close(&scene);
}

TEST(a_handle_closed_with_it_in_hand_counts_as_dead)
{
	struct scene scene = scene_open();
	struct shmt_puppet writer = writer_with_the_lock(&scene);

	shmt_puppet_end(&writer);
	shmt_assert_result(shmc_buffer_lock_write(scene.writer, SHMC_FOREVER), SHMC_OWNER_DIED);
	mend(&scene);
	writer = puppet_of(&scene, SHMC_BUFFER_READER);
	shmt_assert_ok(shmt_puppet_do(&writer, PUPPET_LOCK_READ, SHMC_FOREVER));
	shmt_puppet_end(&writer);
	shmt_assert_ok(shmc_buffer_lock_write(scene.writer, SHMC_FOREVER));
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	scene_close(&scene);
}

TEST(without_a_broker_the_living_go_on)
{
	struct scene scene = scene_open();
	struct shmt_puppet other = puppet_of(&scene, SHMC_BUFFER_WRITER);

	shmt_broker_kill(&scene.broker);
	for (int i = 0; i < 10; i++) {
		shmt_assert_ok(shmc_buffer_lock_write(scene.writer, SHMC_FOREVER));
		shmt_puppet_begin(&other, PUPPET_LOCK_WRITE, SHMC_FOREVER, 0);
		shmt_buffer_await_waiting(scene.writer, 1);
		shmt_assert_ok(shmc_buffer_unlock(scene.writer));
		shmt_assert_ok(shmt_puppet_result(&other));
		shmt_assert_ok(shmt_puppet_do(&other, PUPPET_UNLOCK, 0));
	}
	shmt_puppet_end(&other);
	shmc_buffer_close(scene.writer);
	shmc_disconnect(scene.client);
	shmt_broker_remove(&scene.broker);
}

SHMT_MAIN
