/*
 * Two users of a pool both die in the middle of a public call; see couple.h. What was theirs, or on its
 * way from one to the other, is free again, once; what one who lives holds stays his.
 */
#include <string.h>

#include "tests/crash/couple.h"

enum {
	OBJECTS = 6,
	BYTES = 100,
	BATCH = 3,
	PLACES = 3, /* who lives has the first one, the sides those behind it */
	FILLED = 7,
	LIVING = 9,
};

struct act {
	void (*prepare)(void);
	void (*operate)(void);
};

static struct scene {
	struct couple couple;
	const struct act *act[2];
	bool gives; /* the first one has given something to anyone, before */
	bool takes; /* who has ended has got that, or taken it back */
	struct shmc_pool *living;
	uint64_t handle; /* his */
	uint8_t *data;
	uint64_t (*handles)[BATCH]; /* of both sides */
	/* a child's */
	unsigned self;
	struct shmc_pool *own;
} scene;

#define CHECK(condition_) COUPLE_CHECK(&scene.couple, condition_)

static bool is_all(const uint8_t *bytes, uint8_t what)
{
	for (int i = 0; i < BYTES; i++)
		if (bytes[i] != what)
			return false;
	return true;
}

static enum shmc_result open_pool(struct shmc_client *client, struct shmc_pool **ret_pool)
{
	return shmc_pool_open(client, "pool", SHMC_POOL_USER, NULL, ret_pool, NULL);
}

/* After the deaths */

/* Every object once, and then no more; and back. */
static void use_all(struct shmc_pool *pool, uint64_t count)
{
	uint64_t handles[OBJECTS], handle;
	void *data[OBJECTS];

	CHECK(count <= OBJECTS);
	for (uint64_t i = 0; i < count; i++) {
		CHECK(shmc_pool_acquire(pool, SHMC_TRY, &handles[i], &data[i]) == SHMC_OK);
		CHECK(data[i] != scene.data);
		memset(data[i], (int)i, BYTES);
		for (uint64_t k = 0; k < i; k++)
			CHECK(handles[k] != handles[i] && data[k] != data[i]);
	}
	CHECK(shmc_pool_acquire(pool, SHMC_TRY, &handle, NULL) == SHMC_EMPTY);
	for (uint64_t i = 0; i < count; i++)
		CHECK(shmc_pool_release(pool, handles[i]) == SHMC_OK);
}

/* What is still on its way to anyone comes to who lives, whole. */
static void claim_it(void)
{
	void *data;

	CHECK(shmc_pool_claim(scene.living, scene.handles[0][0], &data) == SHMC_OK);
	CHECK(is_all(data, FILLED));
	CHECK(shmc_pool_release(scene.living, scene.handles[0][0]) == SHMC_OK);
}

static void exchange(struct shmc_pool *from, struct shmc_pool *to)
{
	uint64_t handle;
	void *data;

	CHECK(shmc_pool_acquire(from, SHMC_TRY, &handle, &data) == SHMC_OK);
	memset(data, FILLED, BYTES);
	CHECK(shmc_pool_transfer(from, handle, SHMC_POOL_ANYONE) == SHMC_OK);
	CHECK(shmc_pool_claim(to, handle, &data) == SHMC_OK && is_all(data, FILLED));
	CHECK(shmc_pool_release(to, handle) == SHMC_OK);
}

static void check_figures(struct shmc_pool_statistics *ret_now)
{
	struct shmc_pool_statistics now;
	bool has_ended = scene.couple.has_ended[0] || scene.couple.has_ended[1];

	CHECK(shmc_pool_statistics(scene.living, &now) == SHMC_OK);
	CHECK(now.owned == 1 && now.in_transit_to_one == 0);
	CHECK(now.free + now.in_transit_to_anyone == OBJECTS - 1);
	CHECK(now.in_transit_to_anyone <= scene.gives);
	CHECK(!scene.takes || !has_ended || now.in_transit_to_anyone == 0);
	*ret_now = now;
}

static void check(void)
{
	struct shmc_pool *one = NULL, *other = NULL;
	struct shmc_pool_statistics now;

	COUPLE_SUCCEED(&scene.couple, open_pool(scene.couple.client, &one));
	COUPLE_SUCCEED(&scene.couple, open_pool(scene.couple.client, &other));
	check_figures(&now);
	use_all(one, now.free);
	if (now.in_transit_to_anyone != 0)
		claim_it();
	exchange(one, other);
	exchange(other, scene.living);
	exchange(scene.living, one);
	use_all(other, OBJECTS - 1);
	CHECK(is_all(scene.data, LIVING));
	CHECK(shmc_pool_release(scene.living, scene.handle) == SHMC_OK);
	scene.data = NULL;
	use_all(one, OBJECTS);
	shmc_pool_close(one);
	shmc_pool_close(other);
	shmc_pool_close(scene.living);
}

/* Before */

static void set_up(void)
{
	struct shmc_pool_options options = { .object_bytes = BYTES,
					     .objects = OBJECTS,
					     .endpoints_max = PLACES };
	void *data;

	shmt_assert_ok(shmc_pool_create(scene.couple.client, "pool", &options, NULL));
	shmt_assert_ok(open_pool(scene.couple.client, &scene.living));
	shmt_assert_ok(shmc_pool_acquire(scene.living, SHMC_TRY, &scene.handle, &data));
	scene.data = memset(data, LIVING, BYTES);
	scene.handles = couple_memory(2 * sizeof(*scene.handles));
}

static void tear_down(void)
{
	shmt_assert_ok(shmc_unlink(scene.couple.client, "pool", NULL));
}

static void prepare(unsigned side)
{
	scene.self = side;
	shmt_assert_ok(open_pool(shmt_connect(&scene.couple.broker), &scene.own));
	if (scene.act[side]->prepare)
		scene.act[side]->prepare();
}

static void first_prepares(void)
{
	prepare(0);
}

static void second_prepares(void)
{
	prepare(1);
}

static void die_in(const char *name, const struct act *one, const struct act *other, bool gives,
		   bool takes)
{
	scene = (struct scene){ .act = { one, other }, .gives = gives, .takes = takes };
	scene.couple = (struct couple){
		.name = name,
		.side = { { .prepare = first_prepares, .operate = one->operate },
			  { .prepare = second_prepares, .operate = other->operate } },
		.set_up = set_up,
		.check = check,
		.tear_down = tear_down
	};
	couple_everywhere(&scene.couple);
}

/* Calls */

static void acquire(void)
{
	void *data;

	if (shmc_pool_acquire(scene.own, SHMC_TRY, &scene.handles[scene.self][0], &data) == SHMC_OK)
		memset(data, FILLED, BYTES);
}

static void acquire_batch(void)
{
	uint64_t count;

	shmc_pool_acquire_batch(scene.own, BATCH, SHMC_TRY, scene.handles[scene.self], &count);
}

static void release(void)
{
	shmc_pool_release(scene.own, scene.handles[scene.self][0]);
}

static void release_batch(void)
{
	shmc_pool_release_batch(scene.own, scene.handles[scene.self], BATCH, NULL);
}

static void transfer_to_the_other(void)
{
	shmc_pool_transfer(scene.own, scene.handles[scene.self][0], scene.self == 0 ? 2 : 1);
}

static void give(void)
{
	acquire();
	shmt_assert_ok(
		shmc_pool_transfer(scene.own, scene.handles[scene.self][0], SHMC_POOL_ANYONE));
}

static void claim(void)
{
	shmc_pool_claim(scene.own, scene.handles[0][0], NULL);
}

static void reclaim(void)
{
	shmc_pool_reclaim(scene.own, scene.handles[0][0]);
}

static const struct act acquires = { NULL, acquire_batch };
static const struct act releases = { acquire, release };
static const struct act releases_a_batch = { acquire_batch, release_batch };
static const struct act transfers = { acquire, transfer_to_the_other };
static const struct act reclaims = { give, reclaim };
static const struct act claims = { NULL, claim };

TEST(two_users_die_acquiring_and_releasing, .timeout_s = 60)
{
	die_in("two of shmc_pool_acquire_batch", &acquires, &acquires, false, false);
	die_in("shmc_pool_acquire_batch and shmc_pool_release", &acquires, &releases, false, false);
	die_in("shmc_pool_release_batch and shmc_pool_acquire_batch", &releases_a_batch, &acquires,
	       false, false);
}

TEST(two_users_die_handing_on_to_each_other, .timeout_s = 60)
{
	die_in("two of shmc_pool_transfer, each to the other", &transfers, &transfers, false,
	       false);
	die_in("shmc_pool_reclaim and shmc_pool_claim", &reclaims, &claims, true, true);
}

COUPLE_MAIN
