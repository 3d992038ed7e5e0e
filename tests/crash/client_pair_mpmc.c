/*
 * Two of a queue's users both die in the middle of a public call: two producers, a producer and a
 * consumer, two consumers; see couple.h. A third one lives, in the only other place: it goes on, and
 * two successors take the dead ones' places.
 */
#include <string.h>

#include "tests/crash/couple.h"
#include "tests/support/mpmc_client.h"

enum {
	WORDS = 6,
	SLOTS = 8,
	THERE = 4, /* messages sent before by one who left, numbers from 0 on */
	OWN = 2,   /* at most by one side; its numbers are side_number() */
	LATER = 16,
	NUMBERS = 64,
};

struct act {
	enum shmc_mpmc_role role;
	void (*prepare)(void);
	void (*operate)(void);
	uint64_t sends; /* the first ones of them, when it dies in between */
	bool takes;	/* a message, that it notes before */
};

static struct scene {
	struct couple couple;
	const struct act *act[2];
	struct shmc_mpmc *living;
	enum shmc_mpmc_role living_role;
	/* successors and who lives */
	struct shmc_mpmc *producers[2], *consumers[2];
	unsigned producer_count, consumer_count;
	uint32_t got[NUMBERS], flags[NUMBERS];
	uint64_t (*witness)[WORDS]; /* what each side got */
	/* a child's */
	unsigned self;
	struct shmc_mpmc *own;
	void *room;
} scene;

#define CHECK(condition_) COUPLE_CHECK(&scene.couple, condition_)

static uint64_t side_number(unsigned side, uint64_t index)
{
	return THERE + side * OWN + index;
}

static void fill(uint64_t *words, uint64_t number)
{
	words[0] = number;
	for (uint64_t i = 1; i < WORDS; i++)
		words[i] = number * 1000 + i;
}

static bool is_number(const uint64_t *words, uint64_t number)
{
	uint64_t whole[WORDS];

	fill(whole, number);
	return memcmp(words, whole, sizeof(whole)) == 0;
}

static enum shmc_result push(struct shmc_mpmc *queue, uint64_t number)
{
	uint64_t words[WORDS];

	fill(words, number);
	return shmc_mpmc_push(queue, words, sizeof(words), SHMC_TRY);
}

static enum shmc_result pop(struct shmc_mpmc *queue, int64_t timeout_ns, uint64_t *ret_number)
{
	uint64_t words[WORDS];
	struct shmc_message message;
	enum shmc_result result = shmc_mpmc_pop(queue, words, sizeof(words), timeout_ns, &message);

	if (result != SHMC_OK)
		return result;
	CHECK(message.size == sizeof(words) && words[0] < NUMBERS && is_number(words, words[0]));
	CHECK(++scene.got[words[0]] == 1);
	scene.flags[words[0]] = message.flags;
	*ret_number = words[0];
	return result;
}

/* Of the two that died */

static bool is_consumer(unsigned side)
{
	return scene.act[side]->role == SHMC_MPMC_CONSUMER;
}

/* It had got the whole of it, and perhaps taken it. */
static bool has_in_hand(unsigned side, uint64_t number)
{
	return is_consumer(side) && is_number(scene.witness[side], number);
}

static bool has_taken(unsigned side, uint64_t number)
{
	return scene.act[side]->takes && scene.couple.has_ended[side] && has_in_hand(side, number);
}

static void check_message(uint64_t number)
{
	bool may_be_taken = false, may_be_flagged = false;

	for (unsigned side = 0; side < 2; side++) {
		bool has = has_in_hand(side, number);

		may_be_taken |= has && scene.act[side]->takes;
		may_be_flagged |= is_consumer(side) && !has_taken(side, number);
		CHECK(!has_taken(side, number) || scene.got[number] == 0);
		CHECK(!has || scene.got[number] == 0 || scene.flags[number] == SHMC_REDELIVERED);
	}
	CHECK(scene.got[number] == 1 || may_be_taken);
	CHECK(scene.flags[number] == 0 || may_be_flagged);
}

/* Of what one sends, what came is the first of it. */
static void check_side(unsigned side)
{
	uint64_t sends = scene.act[side]->sends, sent = 0;

	for (uint64_t i = 0; i < OWN; i++)
		if (scene.got[side_number(side, i)] || has_in_hand(!side, side_number(side, i)))
			sent = i + 1;
	CHECK(sent <= sends && (!scene.couple.has_ended[side] || sent == sends));
	for (uint64_t i = 0; i < sent; i++)
		check_message(side_number(side, i));
}

static void check_all(void)
{
	for (uint64_t number = 0; number < THERE; number++)
		check_message(number);
	for (unsigned side = 0; side < 2; side++)
		check_side(side);
}

/* The living */

static void join(struct shmc_mpmc *queue, enum shmc_mpmc_role role)
{
	if (role == SHMC_MPMC_PRODUCER)
		scene.producers[scene.producer_count++] = queue;
	else
		scene.consumers[scene.consumer_count++] = queue;
}

static void succeed(unsigned side)
{
	enum shmc_mpmc_role role = scene.act[side]->role;
	struct shmc_mpmc *queue = NULL;

	COUPLE_SUCCEED(&scene.couple,
		       shmc_mpmc_open(scene.couple.client, "queue", role, &queue, NULL));
	join(queue, role);
}

/* Each of them with each other one, in order, and all of the room. */
static void go_on(void)
{
	uint64_t number;

	for (unsigned lap = 0; lap < 4; lap++) {
		memset(scene.got, 0, sizeof(scene.got));
		for (unsigned i = 0; i < SLOTS; i++)
			CHECK(push(scene.producers[(lap + i) % scene.producer_count], LATER + i) ==
			      SHMC_OK);
		CHECK(push(scene.producers[0], 0) == SHMC_FULL);
		for (unsigned i = 0; i < SLOTS; i++) {
			struct shmc_mpmc *to =
				scene.consumers[(lap / 2 + i) % scene.consumer_count];

			CHECK(pop(to, SHMC_TRY, &number) == SHMC_OK && number == LATER + i);
			CHECK(scene.flags[number] == 0);
		}
		CHECK(pop(scene.consumers[0], SHMC_TRY, &number) == SHMC_EMPTY);
	}
}

static void check(void)
{
	unsigned one = scene.couple.turn & 1;
	uint64_t number;

	memset(scene.got, 0, sizeof(scene.got));
	memset(scene.flags, 0, sizeof(scene.flags));
	scene.producer_count = scene.consumer_count = 0;
	join(scene.living, scene.living_role);
	/* before anybody comes in their place */
	if (scene.living_role == SHMC_MPMC_CONSUMER)
		CHECK(pop(scene.living, COUPLE_SOON_NS, &number) == SHMC_OK);
	else
		CHECK(push(scene.living, NUMBERS - 1) == SHMC_OK);
	succeed(one);
	succeed(!one);
	while (pop(scene.consumers[0], SHMC_TRY, &number) == SHMC_OK)
		;
	CHECK(scene.living_role == SHMC_MPMC_CONSUMER || scene.got[NUMBERS - 1] == 1);
	check_all();
	go_on();
	for (unsigned i = 0; i < scene.producer_count; i++)
		shmc_mpmc_close(scene.producers[i]);
	for (unsigned i = 0; i < scene.consumer_count; i++)
		shmc_mpmc_close(scene.consumers[i]);
}

/* Before */

static void set_up(void)
{
	struct shmc_mpmc *before;

	shmt_queue_create(scene.couple.client, "queue",
			  (struct shmc_mpmc_options){ .slots = SLOTS, .endpoints_max = 3 });
	before = shmt_queue_open(scene.couple.client, "queue", SHMC_MPMC_PRODUCER);
	for (uint64_t number = 0; number < THERE; number++)
		CHECK(push(before, number) == SHMC_OK);
	shmc_mpmc_close(before);
	scene.living = shmt_queue_open(scene.couple.client, "queue", scene.living_role);
	scene.witness = couple_memory(2 * sizeof(*scene.witness));
}

static void tear_down(void)
{
	shmt_assert_ok(shmc_unlink(scene.couple.client, "queue", NULL));
}

static void prepare(unsigned side)
{
	const struct act *act = scene.act[side];

	scene.self = side;
	scene.own = shmt_queue_open(shmt_connect(&scene.couple.broker), "queue", act->role);
	if (act->prepare)
		act->prepare();
}

static void first_prepares(void)
{
	prepare(0);
}

static void second_prepares(void)
{
	prepare(1);
}

static void die_in(const char *name, const struct act *one, const struct act *other)
{
	bool consume = one->role == SHMC_MPMC_CONSUMER && other->role == SHMC_MPMC_CONSUMER;

	scene = (struct scene){ .act = { one, other },
				.living_role = consume ? SHMC_MPMC_PRODUCER : SHMC_MPMC_CONSUMER };
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

static void push_one(void)
{
	push(scene.own, side_number(scene.self, 0));
}

static void push_batch(void)
{
	uint64_t payload[OWN][WORDS];
	struct shmc_bytes messages[OWN];
	uint64_t count;

	for (size_t i = 0; i < OWN; i++) {
		fill(payload[i], side_number(scene.self, i));
		messages[i] = (struct shmc_bytes){ .data = payload[i], .size = sizeof(payload[i]) };
	}
	shmc_mpmc_push_batch(scene.own, messages, OWN, SHMC_TRY, &count);
}

static void reserve(void)
{
	uint64_t bytes = sizeof(uint64_t[WORDS]);

	if (shmc_mpmc_reserve(scene.own, bytes, SHMC_TRY, &scene.room) == SHMC_OK)
		fill(scene.room, side_number(scene.self, 0));
}

static void commit(void)
{
	shmc_mpmc_commit(scene.own, sizeof(uint64_t[WORDS]));
}

static void pop_one(void)
{
	uint64_t *words = scene.witness[scene.self];
	struct shmc_message message;

	shmc_mpmc_pop(scene.own, words, sizeof(uint64_t[WORDS]), SHMC_TRY, &message);
}

static void peek(void)
{
	struct shmc_message message;

	if (shmc_mpmc_peek(scene.own, SHMC_TRY, &message) == SHMC_OK)
		memcpy(scene.witness[scene.self], message.data, sizeof(uint64_t[WORDS]));
}

static void release(void)
{
	shmc_mpmc_release(scene.own);
}

static const struct act pushes = { SHMC_MPMC_PRODUCER, NULL, push_one, .sends = 1 };
static const struct act pushes_a_batch = { SHMC_MPMC_PRODUCER, NULL, push_batch, .sends = OWN };
static const struct act reserves = { SHMC_MPMC_PRODUCER, NULL, reserve, .sends = 0 };
static const struct act commits = { SHMC_MPMC_PRODUCER, reserve, commit, .sends = 1 };
static const struct act pops = { SHMC_MPMC_CONSUMER, NULL, pop_one, .takes = true };
static const struct act peeks = { SHMC_MPMC_CONSUMER, NULL, peek, .takes = false };
static const struct act releases = { SHMC_MPMC_CONSUMER, peek, release, .takes = true };

TEST(two_producers_die_beside_a_consumer, .timeout_s = 60)
{
	die_in("two of shmc_mpmc_push", &pushes, &pushes);
	die_in("shmc_mpmc_push_batch and shmc_mpmc_reserve", &pushes_a_batch, &reserves);
	die_in("two of shmc_mpmc_commit", &commits, &commits);
}

TEST(a_producer_and_a_consumer_die_beside_another_consumer, .timeout_s = 60)
{
	die_in("shmc_mpmc_push and shmc_mpmc_pop", &pushes, &pops);
	die_in("shmc_mpmc_commit and shmc_mpmc_release", &commits, &releases);
}

TEST(two_consumers_die_beside_a_producer, .timeout_s = 60)
{
	die_in("two of shmc_mpmc_pop", &pops, &pops);
	die_in("shmc_mpmc_peek and shmc_mpmc_release", &peeks, &releases);
}

COUPLE_MAIN
