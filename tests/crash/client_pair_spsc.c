/*
 * The producer and the consumer of a queue both die in the middle of a public call; see couple.h.
 * Nobody else knows what was in the queue: two successors find it as the dead left it, whichever of
 * them comes first.
 */
#include <string.h>

#include "tests/crash/couple.h"

enum {
	WORDS = 6,
	BYTES = WORDS * 8,
	CAPACITY = 4096,
	PRODUCER = 0, /* the sides */
	CONSUMER = 1,
	THERE = 4, /* messages sent before, numbers from 0 on */
	OWN = 3,
	NUMBERS = THERE + OWN,
};

struct act {
	const char *name;
	void (*prepare)(void);
	void (*operate)(void);
	uint64_t sends; /* all of them or none */
	/* of what was there, */
	uint64_t held;	/* shown before the call, */
	uint64_t shown; /* by its end, */
	uint64_t taken; /* and taken by its end */
};

static struct scene {
	struct couple couple;
	const struct act *produce, *consume;
	uint64_t *witness; /* popped to */
	/* a child's */
	struct shmc_spsc *own;
	uint64_t payload[OWN][WORDS];
	void *room;
} scene;

#define CHECK(condition_) COUPLE_CHECK(&scene.couple, condition_)

static void fill(uint64_t *words, uint64_t number)
{
	for (uint64_t i = 0; i < WORDS; i++)
		words[i] = number * 1000 + i;
}

static bool is_message(const void *data, uint64_t size, uint64_t number)
{
	uint64_t words[WORDS];

	fill(words, number);
	return size == BYTES && memcmp(data, words, BYTES) == 0;
}

static enum shmc_result push(struct shmc_spsc *queue, uint64_t number)
{
	uint64_t words[WORDS];

	fill(words, number);
	return shmc_spsc_push(queue, words, BYTES, SHMC_TRY);
}

/* The successors */

static struct shmc_spsc *succeed(enum shmc_spsc_role role)
{
	struct shmc_spsc *queue = NULL;

	COUPLE_SUCCEED(&scene.couple,
		       shmc_spsc_open(scene.couple.client, "queue", role, &queue, NULL));
	return queue;
}

static bool is_touched(void)
{
	for (int i = 0; i < WORDS; i++)
		if (scene.witness[i] != UINT64_MAX)
			return true;
	return false;
}

static void check_flags(uint64_t number, uint32_t flags)
{
	const struct act *act = scene.consume;
	bool must_be = number < act->held ||
		       (scene.couple.has_ended[CONSUMER] && number < act->shown) ||
		       (number == 0 && is_touched());

	CHECK(flags == 0 || flags == SHMC_REDELIVERED);
	CHECK(number < act->shown || flags == 0);
	CHECK(!must_be || flags == SHMC_REDELIVERED);
}

/* All that was sent and not taken, once. Return: how many were sent in all. */
static uint64_t read_all(struct shmc_spsc *queue, enum shmc_result end, int64_t timeout_ns)
{
	const struct act *consume = scene.consume, *produce = scene.produce;
	uint64_t number = 0, words[WORDS], sent;
	struct shmc_message message;
	enum shmc_result result;
	bool is_first = true;

	while ((result = shmc_spsc_pop(queue, words, BYTES, timeout_ns, &message)) == SHMC_OK) {
		while (is_first && !is_message(words, message.size, number))
			CHECK(++number <= consume->taken);
		CHECK(!is_first || !scene.couple.has_ended[CONSUMER] || number == consume->taken);
		is_first = false;
		CHECK(number < NUMBERS && is_message(words, message.size, number));
		check_flags(number, message.flags);
		number++;
	}
	CHECK(result == end && number >= THERE);
	sent = number - THERE;
	CHECK(sent == 0 || sent == produce->sends);
	CHECK(!scene.couple.has_ended[PRODUCER] || sent == produce->sends);
	return number;
}

static void go_on(struct shmc_spsc *producer, struct shmc_spsc *consumer)
{
	struct shmc_message message;
	uint64_t words[WORDS];

	for (uint64_t number = 0; number < 100; number++) {
		CHECK(push(producer, number) == SHMC_OK);
		CHECK(shmc_spsc_pop(consumer, words, BYTES, SHMC_TRY, &message) == SHMC_OK);
		CHECK(is_message(words, message.size, number) && message.flags == 0);
	}
	for (uint64_t number = 0; number < (CAPACITY - 8) / (BYTES + 8); number++)
		CHECK(push(producer, number) == SHMC_OK);
	CHECK(push(producer, 0) == SHMC_FULL);
}

static void check(void)
{
	struct shmc_statistics statistics;
	struct shmc_spsc *producer = NULL, *consumer;
	bool is_late = scene.couple.turn & 1;
	uint64_t sent;

	if (!is_late)
		producer = succeed(SHMC_SPSC_PRODUCER);
	consumer = succeed(SHMC_SPSC_CONSUMER);
	sent = is_late ? read_all(consumer, SHMC_PEER_DEAD, COUPLE_SOON_NS) :
			 read_all(consumer, SHMC_EMPTY, SHMC_TRY);
	if (is_late)
		producer = succeed(SHMC_SPSC_PRODUCER);
	CHECK(shmc_spsc_statistics(producer, &statistics, NULL, NULL) == SHMC_OK);
	CHECK(statistics.messages == sent);
	go_on(producer, consumer);
	shmc_spsc_close(producer);
	shmc_spsc_close(consumer);
}

/* The two */

static void set_up(void)
{
	shmt_create(scene.couple.client, "queue", CAPACITY);
	scene.witness = couple_memory(BYTES);
}

static void tear_down(void)
{
	shmt_assert_ok(shmc_unlink(scene.couple.client, "queue", NULL));
}

static void producer_prepares(void)
{
	scene.own = shmt_open(shmt_connect(&scene.couple.broker), "queue", SHMC_SPSC_PRODUCER);
	for (uint64_t number = 0; number < THERE; number++)
		CHECK(push(scene.own, number) == SHMC_OK);
	for (uint64_t i = 0; i < OWN; i++)
		fill(scene.payload[i], THERE + i);
	if (scene.produce->prepare)
		scene.produce->prepare();
}

static void consumer_prepares(void)
{
	scene.own = shmt_open(shmt_connect(&scene.couple.broker), "queue", SHMC_SPSC_CONSUMER);
	if (scene.consume->prepare)
		scene.consume->prepare();
}

static void die_in(const char *name, const struct act *produce, const struct act *consume)
{
	scene = (struct scene){ .produce = produce, .consume = consume };
	scene.couple = (struct couple){
		.name = name,
		.side = { { .prepare = producer_prepares, .operate = produce->operate },
			  { .prepare = consumer_prepares, .operate = consume->operate } },
		.set_up = set_up,
		.check = check,
		.tear_down = tear_down
	};
	couple_everywhere(&scene.couple);
}

/* Calls */

static void push_one(void)
{
	shmc_spsc_push(scene.own, scene.payload[0], BYTES, SHMC_TRY);
}

static void push_batch(void)
{
	struct shmc_bytes messages[OWN];
	uint64_t count;

	for (size_t i = 0; i < OWN; i++)
		messages[i] = (struct shmc_bytes){ .data = scene.payload[i], .size = BYTES };
	shmc_spsc_push_batch(scene.own, messages, OWN, SHMC_TRY, &count);
}

static void reserve(void)
{
	if (shmc_spsc_reserve(scene.own, BYTES, SHMC_TRY, &scene.room) == SHMC_OK)
		memcpy(scene.room, scene.payload[0], BYTES);
}

static void commit(void)
{
	shmc_spsc_commit(scene.own, BYTES);
}

static void pop(void)
{
	struct shmc_message message;

	shmc_spsc_pop(scene.own, scene.witness, BYTES, SHMC_TRY, &message);
}

static void peek_batch(void)
{
	struct shmc_message messages[3];
	uint64_t count;

	shmc_spsc_peek_batch(scene.own, messages, 3, SHMC_TRY, &count);
}

static void release_2(void)
{
	shmc_spsc_release(scene.own, 2);
}

static const struct act pushes = { .operate = push_one, .sends = 1 };
static const struct act pushes_a_batch = { .operate = push_batch, .sends = OWN };
static const struct act reserves = { .operate = reserve, .sends = 0 };
static const struct act commits = { .prepare = reserve, .operate = commit, .sends = 1 };
static const struct act pops = { .operate = pop, .shown = 1, .taken = 1 };
static const struct act peeks = { .operate = peek_batch, .shown = 3 };
static const struct act releases = {
	.prepare = peek_batch, .operate = release_2, .held = 3, .shown = 3, .taken = 2
};

TEST(producer_and_consumer_die_in_push_and_pop, .timeout_s = 60)
{
	die_in("shmc_spsc_push and shmc_spsc_pop", &pushes, &pops);
	die_in("shmc_spsc_push_batch and shmc_spsc_pop", &pushes_a_batch, &pops);
}

TEST(producer_and_consumer_die_working_in_place, .timeout_s = 60)
{
	die_in("shmc_spsc_reserve and shmc_spsc_peek_batch", &reserves, &peeks);
	die_in("shmc_spsc_commit and shmc_spsc_release of 2 of 3", &commits, &releases);
}

COUPLE_MAIN
