/*
 * Pools through the library, with a real broker: a user dies after every instruction of a public call.
 * What was his is free again, what he gave away is on its way or free, what he gave to one who lives
 * can be claimed or is free, and no object is in two hands or lost.
 */
#include <string.h>

#include "tests/crash/sweep.h"

enum {
	OBJECTS = 5,
	BYTES = 100,
	BATCH = 3,
};

/* Where the objects that the call is about may be afterwards. */
enum outcome {
	ALL_FREE = 0,
	GIVEN_TO_ANYONE = 1, /* if it has ended; otherwise that, or free */
	GIVEN_TO_US = 2,     /* the same */
	ON_THEIR_WAY = 3,    /* as before, unless it got hold of them: then they are free */
};

struct act {
	const char *name;
	void (*prepare)(void *scene);
	void (*operate)(void *scene);
	uint64_t gives; /* the parent to anyone, before */
	uint64_t ended; /* objects on their way, if it has ended */
	enum outcome outcome;
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_pool *pool; /* the parent's */
	uint64_t *handles;	/* in shared memory: those that the call is about */
	const struct act *act;
	struct sweep sweep;
	struct shmc_pool *own; /* the child's */
};

#define CHECK(condition) SWEEP_CHECK(&scene->sweep, condition)

static enum shmc_result open_pool(struct shmc_client *client, struct shmc_pool **ret_pool)
{
	return shmc_pool_open(client, "pool", SHMC_POOL_USER, NULL, ret_pool, NULL);
}

static struct shmc_pool_statistics statistics_of(struct scene *scene)
{
	struct shmc_pool_statistics statistics;

	CHECK(shmc_pool_statistics(scene->pool, &statistics) == SHMC_OK);
	return statistics;
}

/* Every object once, and then no more; and back. */
static void use_all(struct scene *scene, struct shmc_pool *pool, uint64_t count)
{
	uint64_t handles[OBJECTS], handle;
	void *data[OBJECTS];

	for (uint64_t i = 0; i < count; i++) {
		CHECK(shmc_pool_acquire(pool, SHMC_TRY, &handles[i], &data[i]) == SHMC_OK);
		memset(data[i], (int)i, BYTES);
		for (uint64_t k = 0; k < i; k++)
			CHECK(handles[k] != handles[i] && data[k] != data[i]);
	}
	CHECK(shmc_pool_acquire(pool, SHMC_TRY, &handle, NULL) == SHMC_EMPTY);
	for (uint64_t i = 0; i < count; i++)
		CHECK(shmc_pool_release(pool, handles[i]) == SHMC_OK);
}

/* What is on its way can be claimed, what is not is free for long. */
static void claim(struct scene *scene, uint64_t on_their_way)
{
	uint64_t claimed = 0;

	for (int i = 0; i < BATCH; i++) {
		void *data;
		enum shmc_result result = scene->handles[i] == UINT64_MAX ?
						  SHMC_STALE :
						  shmc_pool_claim(scene->pool, scene->handles[i],
								  &data);

		CHECK(result == SHMC_OK || result == SHMC_STALE);
		if (result != SHMC_OK)
			continue;
		for (int at = 0; at < BYTES; at++)
			CHECK(((const uint8_t *)data)[at] == 7);
		CHECK(shmc_pool_release(scene->pool, scene->handles[i]) == SHMC_OK);
		CHECK(shmc_pool_claim(scene->pool, scene->handles[i], NULL) == SHMC_STALE);
		claimed++;
	}
	CHECK(claimed == on_their_way);
}

static void check(void *context)
{
	struct scene *scene = context;
	const struct act *act = scene->act;
	struct shmc_pool_statistics now;
	struct shmc_pool *successor;
	uint64_t to_anyone, to_us;

	SWEEP_SUCCEED(&scene->sweep, open_pool(scene->client, &successor));
	now = statistics_of(scene);
	to_anyone = now.in_transit_to_anyone;
	to_us = now.in_transit_to_one;
	CHECK(now.owned == 0 && now.free + to_anyone + to_us == OBJECTS);
	CHECK(to_us == 0 || act->outcome == GIVEN_TO_US);
	CHECK(to_anyone == 0 || act->outcome == GIVEN_TO_ANYONE || act->outcome == ON_THEIR_WAY);
	CHECK(to_anyone + to_us <= (act->gives > act->ended ? act->gives : act->ended));
	if (scene->sweep.has_ended)
		CHECK(to_anyone + to_us == act->ended);
	use_all(scene, successor, now.free);
	claim(scene, to_anyone + to_us);
	use_all(scene, successor, OBJECTS);
	shmc_pool_close(successor);
	use_all(scene, scene->pool, OBJECTS);
}

/* Before it */

static void give(struct scene *scene, struct shmc_pool *pool, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		void *data;

		shmt_assert_ok(shmc_pool_acquire(pool, SHMC_TRY, &scene->handles[i], &data));
		memset(data, 7, BYTES);
		shmt_assert_ok(shmc_pool_transfer(pool, scene->handles[i], SHMC_POOL_ANYONE));
	}
}

static void set_up(void *context)
{
	struct scene *scene = context;
	struct shmc_pool_options options = { .object_bytes = BYTES,
					     .objects = OBJECTS,
					     .endpoints_max = 2 };

	shmt_assert_ok(shmc_pool_create(scene->client, "pool", &options, NULL));
	shmt_assert_ok(open_pool(scene->client, &scene->pool));
	scene->handles = sweep_witness(BATCH * sizeof(uint64_t));
	give(scene, scene->pool, scene->act->gives);
}

static void prepare(void *context)
{
	struct scene *scene = context;

	shmt_assert_ok(open_pool(shmt_connect(&scene->broker), &scene->own));
	if (scene->act->prepare)
		scene->act->prepare(scene);
}

static void tear_down(void *context)
{
	struct scene *scene = context;

	shmc_pool_close(scene->pool);
	shmt_assert_ok(shmc_unlink(scene->client, "pool", NULL));
}

static void kill_everywhere(struct act act)
{
	struct scene scene = { .broker = shmt_broker_start(NULL), .act = &act };

	scene.client = shmt_connect(&scene.broker);
	scene.sweep = (struct sweep){ .name = act.name,
				      .scene = &scene,
				      .set_up = set_up,
				      .prepare = prepare,
				      .operate = act.operate,
				      .check = check,
				      .tear_down = tear_down };
	sweep_everywhere(&scene.sweep);
	shmc_disconnect(scene.client);
	shmt_broker_stop(&scene.broker);
}

/* Calls */

static void do_acquire(void *context)
{
	struct scene *scene = context;
	void *data;

	shmc_pool_acquire(scene->own, SHMC_FOREVER, &scene->handles[0], &data);
}

static void do_acquire_3(void *context)
{
	struct scene *scene = context;
	uint64_t count;

	shmc_pool_acquire_batch(scene->own, BATCH, SHMC_TRY, scene->handles, &count);
}

static void acquire_all(void *context)
{
	struct scene *scene = context;
	uint64_t handles[OBJECTS], count;

	shmt_assert_ok(shmc_pool_acquire_batch(scene->own, OBJECTS, SHMC_TRY, handles, &count));
	memcpy(scene->handles, handles, BATCH * sizeof(uint64_t));
}

static void acquire_and_fill(void *context)
{
	struct scene *scene = context;
	void *data;

	shmt_assert_ok(shmc_pool_acquire(scene->own, SHMC_TRY, &scene->handles[0], &data));
	memset(data, 7, BYTES);
}

static void do_release(void *context)
{
	struct scene *scene = context;

	shmc_pool_release(scene->own, scene->handles[0]);
}

static void do_release_3(void *context)
{
	struct scene *scene = context;

	shmc_pool_release_batch(scene->own, scene->handles, BATCH, NULL);
}

static void do_transfer_to_anyone(void *context)
{
	struct scene *scene = context;

	shmc_pool_transfer(scene->own, scene->handles[0], SHMC_POOL_ANYONE);
}

static void do_transfer_to_us(void *context)
{
	struct scene *scene = context;

	/* the parent was there first */
	shmc_pool_transfer(scene->own, scene->handles[0], 0);
}

static void do_claim(void *context)
{
	struct scene *scene = context;

	shmc_pool_claim(scene->own, scene->handles[0], NULL);
}

static void do_reclaim(void *context)
{
	struct scene *scene = context;

	shmc_pool_reclaim(scene->own, scene->handles[0]);
}

TEST(what_is_acquired_is_free_again, .timeout_s = 120)
{
	kill_everywhere((struct act){ .name = "shmc_pool_acquire", .operate = do_acquire });
	kill_everywhere(
		(struct act){ .name = "shmc_pool_acquire_batch of 3", .operate = do_acquire_3 });
	kill_everywhere((struct act){ .name = "shmc_pool_acquire, nothing free",
				      .prepare = acquire_all,
				      .operate = do_acquire_3 });
}

TEST(what_is_released_is_free_once, .timeout_s = 120)
{
	kill_everywhere((struct act){
		.name = "shmc_pool_release", .prepare = do_acquire, .operate = do_release });
	kill_everywhere((struct act){ .name = "shmc_pool_release_batch of 3",
				      .prepare = acquire_all,
				      .operate = do_release_3 });
}

TEST(what_is_given_away_is_on_its_way_or_free, .timeout_s = 120)
{
	kill_everywhere((struct act){ .name = "shmc_pool_transfer to anyone",
				      .prepare = acquire_and_fill,
				      .operate = do_transfer_to_anyone,
				      .ended = 1,
				      .outcome = GIVEN_TO_ANYONE });
	kill_everywhere((struct act){ .name = "shmc_pool_transfer to one",
				      .prepare = acquire_and_fill,
				      .operate = do_transfer_to_us,
				      .ended = 1,
				      .outcome = GIVEN_TO_US });
}

TEST(what_is_claimed_is_still_on_its_way_or_free, .timeout_s = 120)
{
	kill_everywhere((struct act){ .name = "shmc_pool_claim",
				      .operate = do_claim,
				      .gives = 1,
				      .outcome = ON_THEIR_WAY });
	kill_everywhere((struct act){ .name = "shmc_pool_reclaim of 1 of 3",
				      .operate = do_reclaim,
				      .gives = BATCH,
				      .ended = BATCH - 1,
				      .outcome = ON_THEIR_WAY });
}

SWEEP_MAIN
