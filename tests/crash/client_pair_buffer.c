/*
 * Who holds the lock of a buffer and who waits for it both die; see couple.h. A third one lives, and
 * wants it, too: he gets it as soon as the broker has repaired, and is told of a dead owner exactly
 * when there may be something half written. Two successors in the only other places take turns with
 * him.
 */
#include <string.h>

#include "tests/crash/couple.h"
#include "tests/support/buffer_client.h"

enum {
	WORDS = 32, /* all the same, but while somebody writes */
	BYTES = WORDS * 8,
	HOLDER = 0, /* the sides */
	WAITER = 1,
	PLACES = 3,
};

struct act {
	void (*prepare)(void);
	void (*operate)(void);
	bool may_sleep;
	bool is_writing; /* it has it to write when the call begins */
};

static struct scene {
	struct couple couple;
	const struct act *act[2];
	struct shmc_buffer *living;
	/* a child's */
	unsigned self;
	struct shmc_buffer *own;
} scene;

#define CHECK(condition_) COUPLE_CHECK(&scene.couple, condition_)

static void write_all(struct shmc_buffer *buffer, uint64_t value)
{
	uint64_t words[WORDS];

	for (int i = 0; i < WORDS; i++)
		words[i] = value;
	shmc_buffer_write(buffer, 0, words, BYTES);
}

/* Whole, by one. */
static uint64_t read_all(struct shmc_buffer *buffer)
{
	uint64_t words[WORDS];

	CHECK(shmc_buffer_read(buffer, 0, words, BYTES) == SHMC_OK);
	for (int i = 1; i < WORDS; i++)
		CHECK(words[i] == words[0]);
	return words[0];
}

/* What one side writes; 0 was there before. */
static uint64_t value_of(unsigned side)
{
	return side + 1;
}

/* After the deaths */

static void get_it(void)
{
	enum shmc_result result = shmc_buffer_lock_write(scene.living, COUPLE_SOON_NS);
	struct shmc_buffer_owner owner = shmt_buffer_owner(scene.living);
	bool all_ended = scene.couple.has_ended[HOLDER] && scene.couple.has_ended[WAITER];

	CHECK(result == SHMC_OK || result == SHMC_OWNER_DIED);
	CHECK((result == SHMC_OK) == (owner.deaths == 0) && owner.deaths <= 2);
	CHECK(owner.readers == 0);
	CHECK(!all_ended || result == SHMC_OK);
	CHECK(!scene.act[HOLDER]->is_writing || scene.couple.point[HOLDER] > 0 ||
	      result == SHMC_OWNER_DIED);
	if (result == SHMC_OK) {
		uint64_t value = read_all(scene.living);

		CHECK(value <= value_of(WAITER));
		CHECK(value > 0 || !scene.act[HOLDER]->is_writing);
		return;
	}
	write_all(scene.living, 0);
	CHECK(shmc_buffer_mark_consistent(scene.living) == SHMC_OK);
}

static struct shmc_buffer *succeed(void)
{
	struct shmc_buffer *buffer = NULL;

	COUPLE_SUCCEED(&scene.couple, shmc_buffer_open(scene.couple.client, "buffer",
						       SHMC_BUFFER_WRITER, &buffer, NULL));
	return buffer;
}

/* Each writes, and all read that. */
static void take_turns(struct shmc_buffer **places)
{
	for (uint64_t turn = 10; turn < 10 + 2 * PLACES; turn++) {
		struct shmc_buffer *writer = places[turn % PLACES];

		CHECK(shmc_buffer_lock_write(writer, SHMC_TRY) == SHMC_OK);
		write_all(writer, turn);
		for (int i = 1; i < PLACES; i++)
			CHECK(shmc_buffer_lock_read(places[(turn + (uint64_t)i) % PLACES],
						    SHMC_TRY) == SHMC_TIMEOUT);
		CHECK(shmc_buffer_unlock(writer) == SHMC_OK);
		for (int i = 0; i < PLACES; i++) {
			CHECK(shmc_buffer_lock_read(places[i], SHMC_TRY) == SHMC_OK);
			CHECK(read_all(places[i]) == turn);
		}
		for (int i = 0; i < PLACES; i++)
			CHECK(shmc_buffer_unlock(places[i]) == SHMC_OK);
	}
}

static void check(void)
{
	struct shmc_buffer *places[PLACES] = { scene.living };
	struct shmc_buffer_owner owner;

	get_it();
	CHECK(shmc_buffer_unlock(scene.living) == SHMC_OK);
	places[1] = succeed();
	places[2] = succeed();
	owner = shmt_buffer_owner(scene.living);
	CHECK(!owner.is_held && owner.readers == 0 && owner.waiting == 0 && !owner.owner_died);
	take_turns(places);
	for (int i = 0; i < PLACES; i++)
		shmc_buffer_close(places[i]);
}

/* Before */

static void set_up(void)
{
	struct shmc_buffer_options options = { .size_bytes = BYTES, .endpoints_max = PLACES };

	shmt_buffer_create(scene.couple.client, "buffer", options);
	scene.living = shmt_buffer_open(scene.couple.client, "buffer", SHMC_BUFFER_WRITER);
}

static void tear_down(void)
{
	shmt_assert_ok(shmc_unlink(scene.couple.client, "buffer", NULL));
}

static void prepare(unsigned side)
{
	struct shmc_client *client = shmt_connect_as(&scene.couple.broker,
						     (struct shmc_client_options){ .spin_ns = -1 });

	scene.self = side;
	scene.own = shmt_buffer_open(client, "buffer", SHMC_BUFFER_WRITER);
	if (scene.act[side]->prepare)
		scene.act[side]->prepare();
}

static void holder_prepares(void)
{
	prepare(HOLDER);
}

static void waiter_prepares(void)
{
	prepare(WAITER);
}

static void die_in(const char *name, const struct act *holder, const struct act *waiter)
{
	scene = (struct scene){ .act = { holder, waiter } };
	scene.couple = (struct couple){
		.name = name,
		.side = { { holder_prepares, holder->operate, holder->may_sleep },
			  { waiter_prepares, waiter->operate, waiter->may_sleep } },
		.set_up = set_up,
		.check = check,
		.tear_down = tear_down
	};
	couple_everywhere(&scene.couple);
}

/* Calls */

static void lock_to_write(void)
{
	shmc_buffer_lock_write(scene.own, SHMC_TRY);
}

static void lock_to_read(void)
{
	shmc_buffer_lock_read(scene.own, SHMC_TRY);
}

static void write_and_unlock(void)
{
	write_all(scene.own, value_of(scene.self));
	shmc_buffer_unlock(scene.own);
}

static void unlock(void)
{
	shmc_buffer_unlock(scene.own);
}

/* An owner that died is no reason to give up here: it goes on to die, or mends what is there. */
static void wait_to_write(void)
{
	if (shmc_buffer_lock_write(scene.own, SHMC_FOREVER) == SHMC_OWNER_DIED)
		shmc_buffer_put_back(scene.own);
	else
		write_and_unlock();
}

static void wait_to_read(void)
{
	if (shmc_buffer_lock_read(scene.own, SHMC_FOREVER) == SHMC_OWNER_DIED)
		shmc_buffer_put_back(scene.own);
	else
		unlock();
}

static const struct act writes = { lock_to_write, write_and_unlock, .is_writing = true };
static const struct act reads = { lock_to_read, unlock, .may_sleep = false };
static const struct act waits_to_write = { NULL, wait_to_write, .may_sleep = true };
static const struct act waits_to_read = { NULL, wait_to_read, .may_sleep = true };

TEST(who_writes_and_who_waits_for_him_die, .timeout_s = 60)
{
	die_in("shmc_buffer_unlock, writing, and shmc_buffer_lock_write, waiting", &writes,
	       &waits_to_write);
	die_in("shmc_buffer_unlock, writing, and shmc_buffer_lock_read, waiting", &writes,
	       &waits_to_read);
}

TEST(who_reads_and_who_waits_to_write_die, .timeout_s = 60)
{
	die_in("shmc_buffer_unlock, reading, and shmc_buffer_lock_write, waiting", &reads,
	       &waits_to_write);
}

COUPLE_MAIN
