/*
 * A writer dies after every instruction of storing or forgetting a checksum, with the lock in hand
 * as always: the range has the checksum that it had, or the new one, or none; never one of other
 * bytes, and no other range's is touched. And after every instruction of a public call, with a real
 * broker that notices and repairs by itself.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "protocol/buffer.h"
#include "protocol/checksum.h"
#include "tests/crash/deaths.h"
#include "tests/support/buffer.h"
#include "tests/support/buffer_client.h"
#include "tests/support/runner.h"

enum {
	DEAD = 0,
	OTHER = 1,
	PLACES = 2,
	SIZE = 256,
	ROOM = 3, /* checksums */
};

/* Stands still, so that an operation takes the same path every time. */
time_t time(time_t *ret_now)
{
	if (ret_now)
		*ret_now = 1;
	return 1;
}

static struct scene {
	struct shmt_buffer buffer;
	struct shmp_buffer at[PLACES];
	struct deaths deaths;
} scene;

#define CHECK(condition_) DEATHS_CHECK(&scene.deaths, condition_)

static struct shmp_buffer *dead(void)
{
	return &scene.at[DEAD];
}

static struct shmp_buffer *other(void)
{
	return &scene.at[OTHER];
}

/* Range 0 has a checksum in every state, range 1 is the operation's. */
static void store_range(struct shmp_buffer *buffer, uint64_t range)
{
	SHMT_REQUIRE(shmp_lock_try_write(&buffer->locker) == SHMP_DONE);
	SHMT_REQUIRE(shmp_buffer_store_checksum(buffer, range * 64, 64) == SHMP_DONE);
	SHMT_REQUIRE(shmp_lock_unlock(&buffer->locker) == SHMP_DONE);
}

static void has_none(void)
{
	store_range(other(), 0);
}

static void has_one(void)
{
	store_range(other(), 1);
	store_range(other(), 0);
}

static void has_one_of_other_bytes(void)
{
	has_one();
	memset(shmp_buffer_at(other(), 64), 0x11, 64);
}

static void has_no_room(void)
{
	store_range(other(), 0);
	store_range(other(), 2);
	store_range(other(), 3);
}

static void dies_storing(void *context)
{
	shmp_lock_try_write(&dead()->locker);
	shmp_buffer_store_checksum(dead(), 64, 64);
	shmp_lock_unlock(&dead()->locker);
}

static void dies_forgetting(void *context)
{
	shmp_lock_try_write(&dead()->locker);
	shmp_buffer_forget_checksum(dead(), 64, 64);
	shmp_lock_unlock(&dead()->locker);
}

static void dies_verifying(void *context)
{
	shmp_lock_try_read(&dead()->locker);
	shmp_buffer_verify(dead(), 64, 64, NULL);
	shmp_lock_unlock(&dead()->locker);
}

static int verify(uint64_t range)
{
	return shmp_buffer_verify(other(), range * 64, 64, NULL);
}

static int bury_and_verify(void)
{
	const char *why;
	int r;

	shmt_place_vacate(&scene.buffer.segment, DEAD, true, 1 + (int)(scene.deaths.point % 3));
	r = shmp_lock_try_write(&other()->locker);
	CHECK(r == SHMP_DONE || r == SHMP_OWNER_DIED);
	CHECK(!scene.deaths.has_ended || r == SHMP_DONE);
	CHECK(verify(0) == SHMP_DONE);
	r = verify(1);
	shmp_lock_mark_consistent(&other()->locker);
	CHECK(shmp_lock_unlock(&other()->locker) == SHMP_DONE);
	CHECK(shmp_buffer_kind.validate(&scene.buffer.map, &why) == 0);
	return r;
}

static void check_stored(void *context)
{
	int r = bury_and_verify();

	CHECK(r == SHMP_DONE || (r == SHMP_EMPTY && !scene.deaths.has_ended));
}

/* The old one is of other bytes, and may still be there. */
static void check_replaced(void *context)
{
	int r = bury_and_verify();

	CHECK(r == SHMP_DONE || !scene.deaths.has_ended);
}

static void check_forgotten(void *context)
{
	int r = bury_and_verify();

	CHECK(r == SHMP_EMPTY || (r == SHMP_DONE && !scene.deaths.has_ended));
}

static void check_still_there(void *context)
{
	CHECK(bury_and_verify() == SHMP_DONE);
}

static void check_still_none(void *context)
{
	CHECK(bury_and_verify() == SHMP_EMPTY);
	CHECK(shmt_buffer_figure(&scene.buffer, "checksums") == ROOM);
}

static void kill_in(void (*state)(void), const char *name, void (*operate)(void *),
		    void (*check)(void *))
{
	shmt_buffer_make(&scene.buffer, SIZE, PLACES, ROOM);
	for (uint32_t i = 0; i < PLACES; i++) {
		shmt_buffer_attach(&scene.buffer, i, &scene.at[i]);
		scene.at[i].locker.second = time(NULL);
	}
	for (uint64_t i = 0; i < SIZE; i++)
		*shmp_buffer_at(other(), i) = (uint8_t)(i * 7);
	state();
	scene.deaths = (struct deaths){ .name = name,
					.segment = &scene.buffer.segment,
					.own = scene.at,
					.own_bytes = sizeof(scene.at),
					.operate = operate,
					.check = check };
	deaths_everywhere(&scene.deaths);
	shmt_buffer_free(&scene.buffer);
}

#define LONG .timeout_s = 60

TEST(a_first_checksum_is_stored_or_not, LONG)
{
	kill_in(has_none, __func__, dies_storing, check_stored);
}

TEST(a_checksum_stored_again_is_there_or_none, LONG)
{
	kill_in(has_one, __func__, dies_storing, check_stored);
}

TEST(a_checksum_of_other_bytes_is_replaced_or_not, LONG)
{
	kill_in(has_one_of_other_bytes, __func__, dies_storing, check_replaced);
}

TEST(a_checksum_is_forgotten_or_not, LONG)
{
	kill_in(has_one, __func__, dies_forgetting, check_forgotten);
}

TEST(a_checksum_that_finds_no_room_takes_none, LONG)
{
	kill_in(has_no_room, __func__, dies_storing, check_still_none);
}

TEST(verifying_changes_nothing, LONG)
{
	kill_in(has_one, __func__, dies_verifying, check_still_there);
}

/* Through the library: the child connects, opens and prepares unseen, then the call is stepped. */

static struct play {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_buffer *buffer; /* the parent's */
	const struct call *call;
	struct shmc_buffer *own; /* the child's */
	unsigned long point;
	bool has_ended;
} play;

struct call {
	const char *name;
	enum shmc_buffer_role role;
	void (*prepare)(struct shmc_buffer *own);
	void (*operate)(struct shmc_buffer *own);
	bool is_held;	      /* to write, by its end */
	bool changes_nothing; /* nobody is ever told of its death */
};

#define PLAY_CHECK(condition_)                                                           \
	do {                                                                             \
		if (!(condition_))                                                       \
			ck_abort_msg("%s: %s, %lu instructions done%s", play.call->name, \
				     #condition_, play.point,                            \
				     play.has_ended ? ", all of them" : "");             \
	} while (0)

static uint8_t bytes[64];

static void reads(struct shmc_buffer *own)
{
	shmc_buffer_read(own, 8, bytes, sizeof(bytes));
}

static void writes(struct shmc_buffer *own)
{
	shmc_buffer_write(own, 8, bytes, sizeof(bytes));
}

static void locks_to_read(struct shmc_buffer *own)
{
	shmc_buffer_lock_read(own, SHMC_TRY);
}

static void locks_to_write(struct shmc_buffer *own)
{
	shmc_buffer_lock_write(own, SHMC_TRY);
}

static void unlocks(struct shmc_buffer *own)
{
	shmc_buffer_unlock(own);
}

static void marks_consistent(struct shmc_buffer *own)
{
	shmc_buffer_mark_consistent(own);
}

static void puts_back(struct shmc_buffer *own)
{
	shmc_buffer_put_back(own);
}

static void stores_checksum(struct shmc_buffer *own)
{
	shmc_buffer_store_checksum(own, 0, 64, SHMC_TRY);
}

static void verifies(struct shmc_buffer *own)
{
	shmc_buffer_verify(own, 0, 64, NULL, SHMC_TRY);
}

/* So that no path depends on what is done at the first call only. */
static void warms_up(struct shmc_buffer *own)
{
	shmc_buffer_lock_write(own, SHMC_TRY);
	shmc_buffer_unlock(own);
	shmc_buffer_verify(own, 0, 64, NULL, SHMC_TRY);
}

static void warms_up_and_locks_to_write(struct shmc_buffer *own)
{
	warms_up(own);
	shmc_buffer_lock_write(own, SHMC_TRY);
}

static void child_prepares(void *context)
{
	play.own = shmt_buffer_open(shmt_connect(&play.broker), "buffer", play.call->role);
	play.call->prepare(play.own);
}

static void child_operates(void *context)
{
	play.call->operate(play.own);
}

/* The next one gets the same place, and takes the same path. */
static void await_repair(void)
{
	struct shmc_buffer_endpoint place;

	do {
		sched_yield();
		PLAY_CHECK(shmc_buffer_endpoint(play.buffer, 1, &place) == SHMC_OK);
	} while (place.state != SHMC_PEER_DIED);
}

/* Whatever it was doing: the next one gets the lock as soon as the broker knows, and all is well. */
static void go_on(void)
{
	enum shmc_result result = shmc_buffer_lock_write(play.buffer, SHMC_FOREVER);

	PLAY_CHECK(result == SHMC_OK || result == SHMC_OWNER_DIED);
	PLAY_CHECK(!play.call->changes_nothing || result == SHMC_OK);
	if (play.has_ended)
		PLAY_CHECK(result == (play.call->is_held ? SHMC_OWNER_DIED : SHMC_OK));
	PLAY_CHECK(shmt_buffer_owner(play.buffer).readers == 0);
	result = shmc_buffer_verify(play.buffer, 0, 64, NULL, SHMC_TRY);
	PLAY_CHECK(result == SHMC_OK || result == SHMC_NOT_FOUND ||
		   (result == SHMC_DAMAGED && play.call->operate == writes));
	PLAY_CHECK(shmc_buffer_mark_consistent(play.buffer) == SHMC_OK);
	shmc_buffer_forget_checksum(play.buffer, 0, 64, SHMC_TRY);
	PLAY_CHECK(shmc_buffer_unlock(play.buffer) == SHMC_OK);
	await_repair();
}

static void kill_client_everywhere(const struct call *call)
{
	struct stepper stepper = { .pid = 0 };
	struct stepper_path path;
	unsigned long stride, points = 0;

	/* what ISA-L finds out at its first call is no part of an operation */
	shmp_checksum(bytes, sizeof(bytes));
	play.broker = shmt_broker_start(NULL);
	play.client = shmt_connect(&play.broker);
	shmt_buffer_create(play.client, "buffer", (struct shmc_buffer_options){ 0 });
	play.buffer = shmt_buffer_open(play.client, "buffer", SHMC_BUFFER_WRITER);
	play.call = call;
	stepper_start(&stepper, child_prepares, child_operates, NULL);
	stepper_measure(&stepper, &path);
	stepper_kill(&stepper);
	go_on();
	stride = STEPPER_SAMPLES ? 1 + path.count / 20 : 1;
	for (unsigned long point = 0; point <= path.count; point += stride, points++) {
		stepper = (struct stepper){ .pid = 0 };
		stepper_start(&stepper, child_prepares, child_operates, NULL);
		play.point = point;
		play.has_ended = stepper_go_to(&stepper, &path, point) == STEPPER_ENDED;
		stepper_kill(&stepper);
		go_on();
	}
	stepper_forget(&path);
	printf("# %s: %lu kill points\n", call->name, points);
	shmc_buffer_close(play.buffer);
	shmc_disconnect(play.client);
	shmt_broker_stop(&play.broker);
}

TEST(calls_that_copy, LONG)
{
	kill_client_everywhere(&(const struct call){ .name = "shmc_buffer_read",
						     .role = SHMC_BUFFER_READER,
						     .prepare = reads,
						     .operate = reads,
						     .changes_nothing = true });
	kill_client_everywhere(&(const struct call){ .name = "shmc_buffer_write",
						     .role = SHMC_BUFFER_WRITER,
						     .prepare = writes,
						     .operate = writes,
						     .changes_nothing = true });
}

TEST(calls_of_readers, LONG)
{
	kill_client_everywhere(&(const struct call){ .name = "shmc_buffer_lock_read",
						     .role = SHMC_BUFFER_READER,
						     .prepare = reads,
						     .operate = locks_to_read,
						     .changes_nothing = true });
	kill_client_everywhere(&(const struct call){ .name = "shmc_buffer_unlock, a reader's",
						     .role = SHMC_BUFFER_READER,
						     .prepare = locks_to_read,
						     .operate = unlocks,
						     .changes_nothing = true });
	kill_client_everywhere(&(const struct call){ .name = "shmc_buffer_verify",
						     .role = SHMC_BUFFER_READER,
						     .prepare = verifies,
						     .operate = verifies,
						     .changes_nothing = true });
}

TEST(calls_of_writers, LONG)
{
	kill_client_everywhere(&(const struct call){ .name = "shmc_buffer_lock_write",
						     .role = SHMC_BUFFER_WRITER,
						     .prepare = warms_up,
						     .operate = locks_to_write,
						     .is_held = true });
	kill_client_everywhere(&(const struct call){ .name = "shmc_buffer_unlock, a writer's",
						     .role = SHMC_BUFFER_WRITER,
						     .prepare = warms_up_and_locks_to_write,
						     .operate = unlocks });
	kill_client_everywhere(&(const struct call){ .name = "shmc_buffer_mark_consistent",
						     .role = SHMC_BUFFER_WRITER,
						     .prepare = warms_up_and_locks_to_write,
						     .operate = marks_consistent,
						     .is_held = true });
	kill_client_everywhere(&(const struct call){ .name = "shmc_buffer_put_back",
						     .role = SHMC_BUFFER_WRITER,
						     .prepare = warms_up_and_locks_to_write,
						     .operate = puts_back });
	kill_client_everywhere(&(const struct call){ .name = "shmc_buffer_store_checksum",
						     .role = SHMC_BUFFER_WRITER,
						     .prepare = warms_up,
						     .operate = stores_checksum });
}

DEATHS_MAIN
