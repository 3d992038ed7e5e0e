/*
 * broadcast: a writer against a writer, against a reader whom he laps, against a reader who joins,
 * and beside one who dies and is repaired. A reader gets every message whole, once and in its
 * writer's order, or is told how many he lost; in block mode he loses none.
 */
#include "protocol/broadcast.h"

#include <string.h>

#include "tests/interleave/explorer.h"
#include "tests/support/runner.h"

enum {
	DEAD = 0, /* places of writers, and actors */
	LIVING = 1,
	BROKER = 2,
	WRITERS = 2,
	READER = 2, /* places of readers: there from the beginning */
	JOINER = 3,
	CAPACITY = 4096,
	UNITS = CAPACITY >> SHMP_BROADCAST_UNIT_SHIFT,
	LARGE = 2000, /* bytes; the ring holds two */
	MESSAGES = 24,
	LAPPING = 85, /* messages of three units; the next one is written over the first */
};

struct message {
	uint64_t writer, sequence, check;
};

struct received {
	uint32_t writer;
	uint64_t sequence, lost;
	bool is_whole;
};

static struct scene {
	struct shmt_segment segment;
	struct own {
		struct shmp_broadcast_writer writer[WRITERS];
		struct shmp_broadcast_reader reader, joiner;
		uint64_t clock_ns;
		uint64_t pushed[WRITERS]; /* DONE, all together */
		bool is_pushing[WRITERS]; /* in the middle of one */
		bool has_ended[WRITERS];  /* the actors */
		unsigned count;
		struct received received[MESSAGES + LAPPING];
		int last; /* what the last pop said */
	} * own;
	struct explorer explorer;
} scene;

/* The clock of those who give way to each other: a path must not depend on how slow the steps are. */
uint64_t __wrap_shmp_clock_ns(void);
uint64_t __wrap_shmp_clock_ns(void)
{
	return scene.own->clock_ns += 60000;
}

static struct message message_of(uint32_t writer, uint64_t sequence)
{
	return (struct message){ writer, sequence, ~(writer << 16 ^ sequence) };
}

/* Moves */

static void push(uint32_t who)
{
	struct own *own = scene.own;
	struct message message = message_of(who, own->pushed[who]);

	own->is_pushing[who] = true;
	if (shmp_broadcast_push(&own->writer[who], &message, sizeof(message)) == SHMP_DONE)
		own->pushed[who]++;
	own->is_pushing[who] = false;
}

/* As a push, of so many bytes that nobody copies. */
static void push_large(uint32_t who)
{
	struct own *own = scene.own;
	struct shmp_broadcast_writer *writer = &own->writer[who];
	uint64_t need = shmp_broadcast_need(LARGE), tail;

	if (shmp_broadcast_take(writer, need, &tail) != SHMP_DONE)
		return;
	shmp_broadcast_settle(writer, tail, need, LARGE, 0);
	own->pushed[who]++;
}

/* False: there is nothing more. */
static bool pop(struct shmp_broadcast_reader *reader, bool has_payload)
{
	struct own *own = scene.own;
	struct received *received = &own->received[own->count];
	struct shmp_broadcast_message message;
	uint8_t buffer[LARGE];
	struct message wanted;

	own->last = shmp_broadcast_pop(reader, buffer, sizeof(buffer), &message);
	if (own->last != SHMP_DONE || own->count == MESSAGES + LAPPING - 1)
		return false;
	wanted = message_of(message.writer, message.sequence);
	*received = (struct received){ .writer = message.writer,
				       .sequence = message.sequence,
				       .lost = message.lost };
	if (has_payload)
		received->is_whole = message.size == sizeof(wanted) &&
				     memcmp(buffer, &wanted, sizeof(wanted)) == 0;
	else
		received->is_whole = message.size == LARGE;
	own->count++;
	return true;
}

static void first_pushes(void *context)
{
	push(0);
	scene.own->has_ended[0] = true;
}

static void second_pushes(void *context)
{
	push(1);
	scene.own->has_ended[1] = true;
}

static void second_pushes_twice(void *context)
{
	push(1);
	second_pushes(context);
}

static void first_pops_twice(void *context)
{
	pop(&scene.own->reader, true);
	pop(&scene.own->reader, true);
	scene.own->has_ended[0] = true;
}

static void second_pushes_a_lap(void *context)
{
	for (int i = 0; i < 3; i++)
		push_large(1);
	scene.own->has_ended[1] = true;
}

static void first_joins(void *context)
{
	shmp_broadcast_attach_reader(&scene.segment.map, JOINER, SHMP_BROADCAST_FROM_NEWEST, 0,
				     &scene.own->joiner);
	scene.own->has_ended[0] = true;
}

/* Wrong: the fence between the cursor and the second look at the tail is missing. */
static void first_joins_without_fence(void *context)
{
	struct shmp_broadcast_reader *reader = &scene.own->joiner;
	uint64_t tail;

	shmp_broadcast_view(&scene.segment.map, &reader->ring);
	reader->self = &scene.segment.map.endpoints[JOINER];
	reader->endpoint = JOINER;
	for (uint32_t i = 0; i < WRITERS; i++)
		reader->next[i] = SHMP_BROADCAST_UNKNOWN;
	tail = shmp_broadcast_load_tail(&reader->ring) >> 8;
	atomic_store_explicit(&reader->self->cursor, tail << 8 | SHMP_BROADCAST_ACTIVE,
			      memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst); /* that is: not for the processor */
	reader->joined = shmp_broadcast_load_tail(&reader->ring) >> 8;
	shmp_broadcast_move_to(reader, reader->joined);
	reader->validate_below = reader->joined;
	scene.own->has_ended[0] = true;
}

/* Wrong: the intent is cleared when the claim is made, before the header is there. */
static void second_pushes_without_intent(void *context)
{
	struct own *own = scene.own;
	struct shmp_broadcast_writer *writer = &own->writer[1];
	struct message message = message_of(1, own->pushed[1]);
	uint64_t need = shmp_broadcast_need(sizeof(message)), tail;

	if (shmp_broadcast_take(writer, need, &tail) == SHMP_DONE) {
		shmp_broadcast_intend(writer->self, 0);
		shmp_broadcast_copy(&writer->ring, shmp_broadcast_payload(&writer->ring, tail >> 8),
				    &message, sizeof(message));
		shmp_broadcast_settle(writer, tail, need, sizeof(message), 0);
		own->pushed[1]++;
	}
	own->has_ended[1] = true;
}

static void broker_repairs(void *context)
{
	shmt_place_vacate(&scene.segment, DEAD, true, 1);
}

/* Judging */

static uint64_t tail_of(const struct shmp_broadcast_reader *reader)
{
	return shmp_broadcast_load_tail(&reader->ring) >> 8;
}

static const char *judge_received(uint64_t *ret_next, bool may_lose)
{
	const struct own *own = scene.own;

	for (unsigned i = 0; i < own->count; i++) {
		const struct received *received = &own->received[i];
		uint64_t *next = &ret_next[received->writer];

		if (!received->is_whole)
			return "a message is not what was sent";
		if (received->sequence < *next)
			return "a message comes again";
		if (received->sequence - *next != received->lost)
			return "what is lost is not what is told";
		if (received->lost > 0 && !may_lose)
			return "a message is lost";
		*next = received->sequence + 1;
	}
	return NULL;
}

/* The reader who was there from the beginning: what he read as an actor, and the rest. */
static const char *judge_with(bool may_lose)
{
	struct own *own = scene.own;
	uint64_t next[WRITERS] = { 0, 0 };
	const char *complaint;

	while (pop(&own->reader, true))
		;
	if (own->last != SHMP_EMPTY)
		return "what is there is not valid";
	if (own->reader.position != tail_of(&own->reader))
		return "the reader does not come to the end";
	complaint = judge_received(next, may_lose);
	for (unsigned i = 0; i < WRITERS && !complaint; i++) {
		/* one who died in the middle may have sent it */
		if (next[i] != own->pushed[i] &&
		    !(own->is_pushing[i] && next[i] == own->pushed[i] + 1))
			complaint = "the last message is lost";
	}
	return complaint;
}

static const char *judge(void *context)
{
	if (!scene.own->has_ended[0] || !scene.own->has_ended[1])
		return "somebody has not ended";
	return judge_with(false);
}

static const char *judge_lap(void *context)
{
	if (!scene.own->has_ended[0] || !scene.own->has_ended[1])
		return "somebody has not ended";
	return judge_with(true);
}

static const char *judge_death(void *context)
{
	const char *complaint;

	if (!scene.own->has_ended[LIVING])
		return "the living one has not ended";
	complaint = judge_with(false);
	/* nobody is held up a lap later */
	for (int i = 0; i < UNITS / 2 && !complaint; i++) {
		uint64_t before = scene.own->pushed[LIVING];

		push(LIVING);
		if (scene.own->pushed[LIVING] == before)
			complaint = "there is no room for the living";
	}
	return complaint;
}

/* In block mode nothing that comes after the joining is written over. */
static const char *judge_join(void *context)
{
	struct own *own = scene.own;

	if (!own->has_ended[0] || !own->has_ended[1])
		return "somebody has not ended";
	if (tail_of(&own->joiner) > own->joiner.joined + UNITS)
		return "what a reader has yet to read is written over";
	while (pop(&own->joiner, false))
		;
	if (own->last != SHMP_EMPTY || own->joiner.position != tail_of(&own->joiner))
		return "the reader does not come to the end";
	if (own->joiner.laps > 0)
		return "a reader is lapped in block mode";
	for (unsigned i = 0; i < own->count; i++)
		if (!own->received[i].is_whole || own->received[i].lost > 0 ||
		    own->received[i].sequence != own->pushed[1] - own->count + i)
			return "a message is lost";
	return NULL;
}

/* Scenes */

static void attach_reader(void)
{
	shmt_place_assign(&scene.segment, READER);
	SHMT_REQUIRE(shmp_broadcast_attach_reader(&scene.segment.map, READER,
						  SHMP_BROADCAST_FROM_NEWEST, 0,
						  &scene.own->reader) == 0);
}

static void open_scene(const char *name, bool blocks, stepper_fn first, stepper_fn second,
		       const char *(*judged)(void *context))
{
	uint64_t option[SHMP_OPTIONS_MAX] = { [SHMP_BROADCAST_CAPACITY_BYTES] = CAPACITY,
					      [SHMP_BROADCAST_WRITERS_MAX] = WRITERS,
					      [SHMP_BROADCAST_READERS_MAX] = 2,
					      [SHMP_BROADCAST_BLOCK] = blocks };

	shmt_segment_make(&scene.segment, "broadcast", option);
	scene.own = explorer_memory(sizeof(*scene.own));
	for (uint32_t i = 0; i < WRITERS; i++) {
		shmt_place_assign(&scene.segment, i);
		SHMT_REQUIRE(shmp_broadcast_attach_writer(&scene.segment.map, i,
							  &scene.own->writer[i]) == 0);
		scene.own->writer[i].cores = 2; /* known: finding it out opens files */
	}
	scene.explorer = (struct explorer){ .name = name,
					    .segment = &scene.segment,
					    .own = scene.own,
					    .own_bytes = sizeof(*scene.own),
					    .role = { { .name = "first", .operate = first },
						      { .name = "second", .operate = second } },
					    .common_only = true,
					    .judge = judged };
}

static void holds(void)
{
	explore(&scene.explorer);
	EXPLORER_HOLDS(&scene.explorer);
	shmt_segment_free(&scene.segment);
}

static void breaks(void)
{
	scene.explorer.is_wrong = true;
	explore(&scene.explorer);
	EXPLORER_BREAKS(&scene.explorer);
	shmt_segment_free(&scene.segment);
}

static void open_death(const char *name, stepper_fn living, bool takes_long)
{
	open_scene(name, false, first_pushes, living, judge_death);
	attach_reader();
	/* so that they know of room; without that it is the long way */
	for (uint32_t i = 0; i < WRITERS && !takes_long; i++)
		push(i);
	scene.explorer.role[DEAD].dies = true;
	scene.explorer.role[DEAD].name = "the dead one";
	scene.explorer.role[LIVING].name = "the living one";
	scene.explorer.role[BROKER] = (struct explorer_role){ .name = "the broker",
							      .operate = broker_repairs,
							      .buries = true };
}

/* With the first of the large messages pushed, by a gate that is known from then on. */
static void open_join(const char *name, stepper_fn first)
{
	open_scene(name, true, first, second_pushes_a_lap, judge_join);
	push_large(1);
	shmt_place_assign(&scene.segment, JOINER);
	scene.explorer.role[0].name = "the reader";
	scene.explorer.role[1].name = "the writer";
	scene.explorer.holds_stores = true;
	scene.explorer.role[1].stores_at_once = !explorer_is_deep();
}

#define LONG .timeout_s = 180

TEST(claim_against_claim, LONG)
{
	open_scene(__func__, false, first_pushes, second_pushes, judge);
	attach_reader();
	holds();
}

TEST(claim_against_two_claims, LONG)
{
	open_scene(__func__, false, first_pushes, second_pushes_twice, judge);
	attach_reader();
	holds();
}

TEST(claim_against_a_reader_who_is_lapped, LONG)
{
	open_scene(__func__, false, first_pops_twice, second_pushes_twice, judge_lap);
	attach_reader();
	for (int i = 0; i < LAPPING; i++)
		push(1);
	scene.explorer.role[0].name = "the reader";
	scene.explorer.role[1].name = "the writer";
	holds();
}

TEST(claim_against_a_reader_who_joins, LONG)
{
	open_join(__func__, first_joins);
	holds();
}

TEST(a_join_without_its_fence_is_found, LONG)
{
	open_join(__func__, first_joins_without_fence);
	breaks();
}

TEST(claim_against_the_repair_of_a_writer, LONG)
{
	open_death(__func__, second_pushes, false);
	holds();
}

TEST(claim_against_the_repair_of_a_writer_by_the_long_way, LONG)
{
	if (!explorer_is_deep())
		return;
	open_death(__func__, second_pushes, true);
	holds();
}

TEST(an_intent_that_is_cleared_early_is_found, LONG)
{
	open_death(__func__, second_pushes_without_intent, false);
	breaks();
}

EXPLORER_MAIN
