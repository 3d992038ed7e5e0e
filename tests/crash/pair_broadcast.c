/*
 * A broadcast, and two of its writers and readers at once in the middle of something; see pairs.h.
 * What was sent is seen once by every reader that lives, and by all the same; nobody is held up.
 *
 * A message is its number, in three ways.
 */
#include "protocol/broadcast.h"

#include <string.h>
#include <sys/mman.h>

#include "tests/crash/pairs.h"
#include "tests/support/runner.h"

enum {
	WRITER = 0,
	OTHER_WRITER = 1,
	LIVING_WRITER = 2,
	WRITERS = 3,
	READER = 3,
	LIVING_READER = 5,
	PLACES = 6,
	CAPACITY = 4096,
	NUMBERS = 192,
	OWN = 160, /* number of what the first act sends; the second's is the next */
	WORDS = 3,
	BEFORE = 3,
	UNTOLD = -1,
};

struct own {
	struct shmp_broadcast_writer writer[WRITERS];
	struct shmp_broadcast_reader reader[PLACES - WRITERS];
	uint64_t words[2][WORDS]; /* popped by an act */
	int r[2];		  /* of the acts */
	uint64_t next;		  /* number of the next message */
	uint8_t sent[NUMBERS], got[PLACES][NUMBERS];
};

static struct scene {
	struct shmt_segment segment;
	struct own *own;
	bool is_full;
	uint32_t newcomer; /* the place that is taken up by an act, or none */
	struct pairs pairs;
} scene;

#define CHECK(condition_) PAIRS_CHECK(&scene.pairs, condition_)

static int attach(uint32_t place)
{
	if (place < WRITERS)
		return shmp_broadcast_attach_writer(&scene.segment.map, place,
						    &scene.own->writer[place]);
	return shmp_broadcast_attach_reader(&scene.segment.map, place, SHMP_BROADCAST_FROM_NEWEST,
					    0, &scene.own->reader[place - WRITERS]);
}

static void take_up(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	CHECK(attach(place) == 0);
}

static void make(uint64_t number, uint64_t *words)
{
	words[0] = number;
	words[1] = ~number;
	words[2] = number * UINT64_C(0x9e3779b97f4a7c15);
}

static int push_number(uint32_t place, uint64_t number)
{
	uint64_t words[WORDS];

	make(number, words);
	return shmp_broadcast_push(&scene.own->writer[place], words, sizeof(words));
}

static int pop_words(uint32_t place, uint64_t *words)
{
	struct shmp_broadcast_message message;

	return shmp_broadcast_pop(&scene.own->reader[place - WRITERS], words,
				  sizeof(*words) * WORDS, &message);
}

static void note(uint32_t place, const uint64_t *words)
{
	uint64_t whole[WORDS];

	CHECK(words[0] > 0 && words[0] < NUMBERS);
	make(words[0], whole);
	CHECK(memcmp(words, whole, sizeof(whole)) == 0);
	CHECK(++scene.own->got[place][words[0]] == 1);
}

/* Of the living */

static int push(uint32_t place)
{
	int r = push_number(place, scene.own->next);

	CHECK(r == SHMP_DONE || r == SHMP_FULL);
	if (r == SHMP_DONE)
		scene.own->sent[scene.own->next++]++;
	CHECK(scene.own->next < OWN);
	return r;
}

static int pop(uint32_t place)
{
	uint64_t words[WORDS] = { 0 };
	int r = pop_words(place, words);

	CHECK(r == SHMP_DONE || r == SHMP_EMPTY);
	if (r == SHMP_DONE)
		note(place, words);
	return r;
}

static void drain(uint32_t place)
{
	while (pop(place) == SHMP_DONE)
		;
}

static void move(uint32_t place)
{
	if (place < WRITERS)
		push(place);
	else
		pop(place);
}

/* Acts, stepped */

static void act_at(unsigned which)
{
	uint32_t place = scene.pairs.act[which].place;

	if (place == scene.newcomer)
		scene.own->r[which] = attach(place) == 0 ? SHMP_EMPTY : SHMP_TOO_BIG;
	else
		scene.own->r[which] = place < WRITERS ? push_number(place, OWN + which) :
							pop_words(place, scene.own->words[which]);
}

static void first_acts(void)
{
	act_at(0);
}

static void second_acts(void)
{
	act_at(1);
}

/* What must be */

static void note_acts(void)
{
	for (unsigned i = 0; i < 2; i++) {
		uint32_t place = scene.pairs.act[i].place;
		int r = scene.own->r[i];

		CHECK(r == SHMP_DONE || r == SHMP_EMPTY || (r == SHMP_FULL && scene.is_full) ||
		      (r == UNTOLD && scene.pairs.is_dead[i]));
		if (r == SHMP_DONE && place < WRITERS)
			scene.own->sent[OWN + i] = 1;
		else if (r == SHMP_DONE)
			note(place, scene.own->words[i]);
	}
}

static bool may_have_sent(uint64_t number)
{
	uint64_t which = number - OWN;

	return number >= OWN && which < 2 && scene.pairs.act[which].place < WRITERS &&
	       scene.own->r[which] == UNTOLD;
}

/* A reader that was there all the time; what it sees, another one sees. */
static void has_seen_all(uint32_t place)
{
	for (uint64_t number = 1; number < NUMBERS; number++) {
		CHECK(scene.own->got[place][number] == scene.own->sent[number] ||
		      may_have_sent(number));
		CHECK(scene.own->got[place][number] == scene.own->got[LIVING_READER][number]);
	}
}

static void forget(void)
{
	memset(scene.own->sent, 0, sizeof(scene.own->sent));
	memset(scene.own->got, 0, sizeof(scene.own->got));
	scene.own->next = 1;
}

static void use_all(void)
{
	for (uint32_t lap = 0; lap < 2; lap++) {
		for (uint32_t place = READER; place < PLACES; place++)
			drain(place);
		forget();
		/* all of it, where that is the end of it */
		for (uint32_t i = 0; i < (scene.is_full ? 1000 : 6); i++)
			if (push((lap + i) % WRITERS) != SHMP_DONE)
				break;
		CHECK(scene.own->next > 6);
		for (uint32_t place = READER; place < PLACES; place++) {
			drain(place);
			CHECK(memcmp(scene.own->got[place], scene.own->sent,
				     sizeof(scene.own->sent)) == 0);
		}
	}
}

static void judge(void)
{
	uint32_t second = scene.pairs.act[1].place;
	const char *why;

	CHECK(shmp_broadcast_kind.validate(&scene.segment.map, &why) == 0);
	note_acts();
	drain(LIVING_READER);
	has_seen_all(LIVING_READER);
	if (second >= READER && second != scene.newcomer && !scene.pairs.is_dead[1]) {
		drain(second);
		has_seen_all(second);
	}
	use_all();
	CHECK(shmp_broadcast_kind.validate(&scene.segment.map, &why) == 0);
}

static void pair_as(enum pairs_way way, const char *name, uint32_t first, uint32_t second,
		    bool blocks, bool is_full, uint32_t newcomer)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { [SHMP_BROADCAST_CAPACITY_BYTES] = CAPACITY,
					      [SHMP_BROADCAST_MESSAGE_BYTES_MAX] = 24,
					      [SHMP_BROADCAST_WRITERS_MAX] = WRITERS,
					      [SHMP_BROADCAST_READERS_MAX] = PLACES - WRITERS,
					      [SHMP_BROADCAST_BLOCK] = blocks };

	scene = (struct scene){ .own = pairs_memory(sizeof(*scene.own)),
				.is_full = is_full,
				.newcomer = newcomer };
	scene.pairs = (struct pairs){ .name = name,
				      .segment = &scene.segment,
				      .own = scene.own,
				      .own_bytes = sizeof(*scene.own),
				      .handle_bytes = offsetof(struct own, words),
				      .act = { { first, first_acts }, { second, second_acts } },
				      .second_is_long = second == newcomer,
				      .take_up = take_up,
				      .move = move,
				      .judge = judge,
				      .way = "" };
	shmt_segment_make(&scene.segment, "broadcast", option);
	for (uint32_t place = 0; place < PLACES; place++)
		take_up(place);
	use_all();
	forget();
	for (int i = 0; i < (is_full ? 1000 : BEFORE); i++)
		if (push(LIVING_WRITER) != SHMP_DONE)
			break;
	scene.own->r[0] = scene.own->r[1] = UNTOLD;
	if (newcomer != PLACES) {
		shmt_place_vacate(&scene.segment, newcomer, true, 1);
		shmt_place_assign(&scene.segment, newcomer);
	}
	pairs_go(&scene.pairs, way);
	shmt_segment_free(&scene.segment);
	munmap(scene.own, sizeof(*scene.own));
}

static void pair_in(enum pairs_way way, const char *name, uint32_t first, uint32_t second,
		    bool blocks, bool is_full)
{
	pair_as(way, name, first, second, blocks, is_full, PLACES);
}

static void pair(enum pairs_way way)
{
	pair_in(way, "push and push", WRITER, OTHER_WRITER, false, false);
	pair_in(way, "push and pop", WRITER, READER, false, false);
	pair_in(way, "push and push, blocking", WRITER, OTHER_WRITER, true, false);
	pair_in(way, "pop and push, blocking", READER, WRITER, true, false);
	pair_in(way, "pop and push, blocking and full", READER, WRITER, true, true);
	pair_as(way, "attach of a writer, and push", WRITER, OTHER_WRITER, false, false, WRITER);
	pair_as(way, "push, and attach of a writer", OTHER_WRITER, WRITER, false, false, WRITER);
	pair_as(way, "attach of a reader, and push, blocking", READER, WRITER, true, false, READER);
	pair_as(way, "push, and attach of a reader, blocking", WRITER, READER, true, false, READER);
}

PAIRS_TESTS

PAIRS_MAIN
