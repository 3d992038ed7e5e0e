/*
 * Two of a broadcast's users both die in the middle of a public call: two readers, a writer and a
 * reader, two writers; see couple.h. Writers wait for readers here, so that either can hold up the
 * writer and the reader who live; they are not held up, the reader gets all that was sent, and two
 * successors in the dead ones' places, of which there are no more, go on with them.
 */
#include <string.h>

#include "tests/crash/couple.h"
#include "tests/support/broadcast_client.h"

enum {
	WORDS = 6,
	BYTES = WORDS * 8,
	RING = 4096,
	FILL = RING / 80, /* messages that fill it */
	THERE = 3,	  /* messages of the living writer's, before */
	OWN = 2,	  /* messages of a dead one's call, at most */
	SOURCES = 5,	  /* the dead as they are numbered, the one who lives, and successors */
	LIVING = 2,
	SUCCESSORS = 3,
	MEMBERS = 3, /* in one role */
};

struct act {
	enum shmc_broadcast_role role;
	void (*prepare)(void);
	void (*operate)(void);
	uint64_t sends; /* the first ones of them, when it dies in between */
	bool takes;	/* the first message, that it notes before */
};

struct reader {
	struct shmc_broadcast *broadcast;
	uint64_t next[SOURCES]; /* number of the next message of each */
};

struct writer {
	struct shmc_broadcast *broadcast;
	unsigned source;
};

static struct scene {
	struct couple couple;
	const struct act *act[2];
	struct reader readers[MEMBERS]; /* the first ones live */
	struct writer writers[MEMBERS];
	unsigned reader_count, writer_count;
	uint64_t sent[SOURCES];
	uint64_t (*witness)[WORDS]; /* what each side got */
	/* a child's */
	unsigned self;
	struct shmc_broadcast *own;
} scene;

#define CHECK(condition_) COUPLE_CHECK(&scene.couple, condition_)

static void fill(uint64_t *words, unsigned source, uint64_t number)
{
	words[0] = source;
	for (uint64_t i = 1; i < WORDS; i++)
		words[i] = number * 1000 + i;
}

static bool is_message(const uint64_t *words, unsigned source, uint64_t number)
{
	uint64_t whole[WORDS];

	fill(whole, source, number);
	return memcmp(words, whole, BYTES) == 0;
}

static enum shmc_result push(struct writer *writer, int64_t timeout_ns)
{
	uint64_t words[WORDS];
	enum shmc_result result;

	fill(words, writer->source, scene.sent[writer->source]);
	result = shmc_broadcast_push(writer->broadcast, words, BYTES, timeout_ns);
	scene.sent[writer->source] += result == SHMC_OK;
	return result;
}

/* The next one of whoever sent it. */
static enum shmc_result pop(struct reader *reader, int64_t timeout_ns)
{
	struct shmc_broadcast_message message;
	uint64_t words[WORDS];
	enum shmc_result result = shmc_broadcast_pop(reader->broadcast, words, BYTES, timeout_ns,
						     &message);

	if (result != SHMC_OK)
		return result;
	CHECK(message.size == BYTES && message.flags == 0 && message.lost == 0);
	CHECK(words[0] < SOURCES);
	CHECK(is_message(words, (unsigned)words[0], reader->next[words[0]]));
	reader->next[words[0]]++;
	return result;
}

static void read_up_to(struct reader *reader, unsigned source)
{
	while (reader->next[source] < scene.sent[source])
		CHECK(pop(reader, COUPLE_SOON_NS) == SHMC_OK);
}

/* After the deaths */

/* More than a lap: the dead hold nothing in the ring for longer than the broker needs. */
static void living_go_on(void)
{
	for (int i = 0; i < 2 * FILL; i++) {
		CHECK(push(&scene.writers[0], COUPLE_SOON_NS) == SHMC_OK);
		read_up_to(&scene.readers[0], LIVING);
	}
	CHECK(pop(&scene.readers[0], SHMC_TRY) == SHMC_EMPTY);
}

static void check_side(unsigned side)
{
	const struct act *act = scene.act[side];
	uint64_t got = scene.readers[0].next[side];

	CHECK(got <= act->sends && (!scene.couple.has_ended[side] || got == act->sends));
	if (act->takes && scene.couple.has_ended[side])
		CHECK(is_message(scene.witness[side], LIVING, 0));
}

static void succeed(unsigned side)
{
	struct shmc_broadcast *broadcast = NULL;

	COUPLE_SUCCEED(&scene.couple, shmc_broadcast_open(scene.couple.client, "news",
							  scene.act[side]->role, &broadcast, NULL));
	if (scene.act[side]->role == SHMC_BROADCAST_WRITER) {
		scene.writers[scene.writer_count++] = (struct writer){ broadcast,
								       SUCCESSORS + side };
		return;
	}
	scene.readers[scene.reader_count] = (struct reader){ .broadcast = broadcast };
	memcpy(scene.readers[scene.reader_count++].next, scene.sent, sizeof(scene.sent));
}

/* All with all; then the whole ring can be used. */
static void all_go_on(void)
{
	struct writer *writer;

	for (unsigned i = 0; i < FILL; i++) {
		writer = &scene.writers[i % scene.writer_count];
		CHECK(push(writer, SHMC_TRY) == SHMC_OK);
		for (unsigned k = 0; k < scene.reader_count; k++)
			CHECK(pop(&scene.readers[k], SHMC_TRY) == SHMC_OK);
	}
	for (unsigned i = 0; i < FILL; i++)
		CHECK(push(&scene.writers[i % scene.writer_count], SHMC_TRY) == SHMC_OK);
	CHECK(push(&scene.writers[0], SHMC_TRY) == SHMC_FULL);
	for (unsigned k = 0; k < scene.reader_count; k++) {
		for (unsigned i = 0; i < FILL; i++)
			CHECK(pop(&scene.readers[k], SHMC_TRY) == SHMC_OK);
		CHECK(pop(&scene.readers[k], SHMC_TRY) == SHMC_EMPTY);
	}
}

static void check(void)
{
	unsigned one = scene.couple.turn & 1;

	living_go_on();
	check_side(0);
	check_side(1);
	/* what came of the dead, for who comes now */
	scene.sent[0] = scene.readers[0].next[0];
	scene.sent[1] = scene.readers[0].next[1];
	succeed(one);
	succeed(!one);
	all_go_on();
	for (unsigned i = 0; i < scene.reader_count; i++)
		shmc_broadcast_close(scene.readers[i].broadcast);
	for (unsigned i = 0; i < scene.writer_count; i++)
		shmc_broadcast_close(scene.writers[i].broadcast);
}

/* Before */

static void set_up(void)
{
	unsigned writers = (scene.act[0]->role == SHMC_BROADCAST_WRITER) +
			   (scene.act[1]->role == SHMC_BROADCAST_WRITER);
	struct shmc_broadcast_options options = { .capacity_bytes = RING,
						  .policy = SHMC_BROADCAST_BLOCK,
						  .writers_max = 1 + writers,
						  .readers_max = 1 + 2 - writers };

	shmt_broadcast_create(scene.couple.client, "news", options);
	memset(scene.sent, 0, sizeof(scene.sent));
	scene.reader_count = scene.writer_count = 1;
	scene.writers[0] = (struct writer){ shmt_writer_open(scene.couple.client, "news"), LIVING };
	scene.readers[0] = (struct reader){
		.broadcast = shmt_reader_open(scene.couple.client, "news", SHMC_BROADCAST_OLDEST, 0)
	};
	for (int i = 0; i < THERE; i++)
		CHECK(push(&scene.writers[0], SHMC_TRY) == SHMC_OK);
	scene.witness = couple_memory(2 * sizeof(*scene.witness));
}

static void tear_down(void)
{
	shmt_assert_ok(shmc_unlink(scene.couple.client, "news", NULL));
}

static void prepare(unsigned side)
{
	const struct act *act = scene.act[side];
	struct shmc_client *client = shmt_connect(&scene.couple.broker);

	scene.self = side;
	scene.own = act->role == SHMC_BROADCAST_WRITER ?
			    shmt_writer_open(client, "news") :
			    shmt_reader_open(client, "news", SHMC_BROADCAST_OLDEST, 0);
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

static void die_in_more(const char *name, const struct act *one, const struct act *other,
			unsigned cases)
{
	scene = (struct scene){ .act = { one, other } };
	scene.couple = (struct couple){
		.name = name,
		.cases = cases,
		.side = { { .prepare = first_prepares, .operate = one->operate },
			  { .prepare = second_prepares, .operate = other->operate } },
		.set_up = set_up,
		.check = check,
		.tear_down = tear_down
	};
	couple_everywhere(&scene.couple);
}

static void die_in(const char *name, const struct act *one, const struct act *other)
{
	die_in_more(name, one, other, 0);
}

/* Calls */

static void push_one(void)
{
	uint64_t words[WORDS];

	fill(words, scene.self, 0);
	shmc_broadcast_push(scene.own, words, BYTES, SHMC_TRY);
}

static void push_batch(void)
{
	uint64_t payload[OWN][WORDS];
	struct shmc_bytes messages[OWN];
	uint64_t count;

	for (size_t i = 0; i < OWN; i++) {
		fill(payload[i], scene.self, i);
		messages[i] = (struct shmc_bytes){ .data = payload[i], .size = BYTES };
	}
	shmc_broadcast_push_batch(scene.own, messages, OWN, SHMC_TRY, &count);
}

static void pop_one(void)
{
	struct shmc_broadcast_message message;

	shmc_broadcast_pop(scene.own, scene.witness[scene.self], BYTES, SHMC_TRY, &message);
}

static void peek_and_release(void)
{
	struct shmc_broadcast_message message;

	if (shmc_broadcast_peek(scene.own, SHMC_TRY, &message) != SHMC_OK)
		return;
	memcpy(scene.witness[scene.self], message.data, BYTES);
	shmc_broadcast_release(scene.own);
}

static const struct act pushes = { SHMC_BROADCAST_WRITER, NULL, push_one, .sends = 1 };
static const struct act pushes_a_batch = { SHMC_BROADCAST_WRITER, NULL, push_batch, .sends = OWN };
static const struct act pops = { SHMC_BROADCAST_READER, NULL, pop_one, .takes = true };
static const struct act peeks = { SHMC_BROADCAST_READER, NULL, peek_and_release, .takes = true };

TEST(two_readers_die_beside_a_writer_that_waits_for_readers, .timeout_s = 60)
{
	die_in("two of shmc_broadcast_pop", &pops, &pops);
	die_in("shmc_broadcast_pop and shmc_broadcast_release", &pops, &peeks);
}

TEST(a_writer_and_a_reader_die_beside_another_of_each, .timeout_s = 60)
{
	die_in("shmc_broadcast_push and shmc_broadcast_pop", &pushes, &pops);
	die_in("shmc_broadcast_push_batch and shmc_broadcast_release", &pushes_a_batch, &peeks);
}

TEST(two_writers_die_beside_a_third, .timeout_s = 60)
{
	/* so that some die with claims that are next to each other */
	die_in_more("two of shmc_broadcast_push", &pushes, &pushes, 61);
	die_in("shmc_broadcast_push_batch and shmc_broadcast_push", &pushes_a_batch, &pushes);
}

COUPLE_MAIN
