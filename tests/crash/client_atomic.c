/*
 * Atomics through the library, with a real broker: who changes the value or waits for a change dies
 * after every instruction of a public call. The value is the one before or the one after, others go
 * on with it, and the dead one's place, of which there is no other, is free again.
 */
#include "shmclient/atomic.h"
#include "tests/crash/sweep.h"

enum {
	PLACES = 2, /* the parent's and the child's */
	BEFORE = 7,
	CHANGE = 9,
};

struct act {
	const char *name;
	enum shmc_atomic_role role;
	void (*operate)(void *scene);
	uint64_t after; /* what the call makes of it */
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_atomic *other; /* the parent's */
	uint64_t *witness;
	const struct act *act;
	struct sweep sweep;
	struct shmc_atomic *own; /* the child's */
};

#define CHECK(condition) SWEEP_CHECK(&scene->sweep, condition)

static enum shmc_result open_atomic(struct shmc_client *client, enum shmc_atomic_role role,
				    struct shmc_atomic **ret_atomic)
{
	return shmc_atomic_open(client, "value", role, SHMC_TYPE_U64, ret_atomic, NULL);
}

static void check(void *context)
{
	struct scene *scene = context;
	const struct act *act = scene->act;
	struct shmc_atomic *successor;
	uint64_t value, before;

	CHECK(shmc_atomic_load(scene->other, SHMC_ORDER_ACQUIRE, &value) == SHMC_OK);
	CHECK(value == act->after || (!scene->sweep.has_ended && value == BEFORE));
	if (*scene->witness != UINT64_MAX)
		CHECK(*scene->witness == BEFORE);
	SWEEP_SUCCEED(&scene->sweep, open_atomic(scene->client, act->role, &successor));
	CHECK(shmc_atomic_add(scene->other, 1, SHMC_ORDER_SEQ_CST, &before) == SHMC_OK);
	CHECK(before == value);
	CHECK(shmc_atomic_wait(successor, value, SHMC_TRY, &value) == SHMC_OK);
	CHECK(value == before + 1);
	shmc_atomic_close(successor);
}

static void set_up(void *context)
{
	struct shmc_atomic_options options = { .type = SHMC_TYPE_U64, .endpoints_max = PLACES };
	struct scene *scene = context;

	shmt_assert_ok(shmc_atomic_create(scene->client, "value", &options, NULL));
	shmt_assert_ok(open_atomic(scene->client, SHMC_ATOMIC_WRITER, &scene->other));
	shmt_assert_ok(shmc_atomic_store(scene->other, BEFORE, SHMC_ORDER_SEQ_CST));
	scene->witness = sweep_witness(sizeof(*scene->witness));
}

static void prepare(void *context)
{
	struct scene *scene = context;

	shmt_assert_ok(open_atomic(shmt_connect(&scene->broker), scene->act->role, &scene->own));
}

static void tear_down(void *context)
{
	struct scene *scene = context;

	shmc_atomic_close(scene->other);
	shmt_assert_ok(shmc_unlink(scene->client, "value", NULL));
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

static void do_store(void *context)
{
	struct scene *scene = context;

	shmc_atomic_store(scene->own, CHANGE, SHMC_ORDER_SEQ_CST);
}

static void do_exchange(void *context)
{
	struct scene *scene = context;

	shmc_atomic_exchange(scene->own, CHANGE, SHMC_ORDER_SEQ_CST, scene->witness);
}

static void do_add(void *context)
{
	struct scene *scene = context;

	shmc_atomic_add(scene->own, CHANGE, SHMC_ORDER_SEQ_CST, scene->witness);
}

static void do_compare_exchange(void *context)
{
	struct scene *scene = context;
	uint64_t expected = BEFORE;
	uint32_t done;

	shmc_atomic_compare_exchange(scene->own, &expected, CHANGE, &done);
}

static void do_wake(void *context)
{
	struct scene *scene = context;

	shmc_atomic_wake(scene->own);
}

static void do_wait(void *context)
{
	struct scene *scene = context;

	shmc_atomic_wait(scene->own, BEFORE, SHMC_TRY, scene->witness);
}

TEST(a_change_is_made_or_not, .timeout_s = 120)
{
	kill_everywhere(
		(struct act){ .name = "shmc_atomic_store", .operate = do_store, .after = CHANGE });
	kill_everywhere((struct act){
		.name = "shmc_atomic_exchange", .operate = do_exchange, .after = CHANGE });
	kill_everywhere((struct act){
		.name = "shmc_atomic_add", .operate = do_add, .after = BEFORE + CHANGE });
	kill_everywhere((struct act){ .name = "shmc_atomic_compare_exchange",
				      .operate = do_compare_exchange,
				      .after = CHANGE });
}

TEST(who_dies_waking_or_waiting_leaves_no_trace, .timeout_s = 120)
{
	kill_everywhere(
		(struct act){ .name = "shmc_atomic_wake", .operate = do_wake, .after = BEFORE });
	kill_everywhere((struct act){ .name = "shmc_atomic_wait",
				      .role = SHMC_ATOMIC_READER,
				      .operate = do_wait,
				      .after = BEFORE });
}

SWEEP_MAIN
