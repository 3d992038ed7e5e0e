#include "tests/crash/pairs_queue.h"

#include <string.h>
#include <sys/mman.h>

enum {
	NUMBERS = 192,
	OWN = 160, /* the number of what the one at the first place sends; the next one's is the next */
	UNTOLD = -1,
	NOBODY = PAIRS_QUEUE_PLACES,
};

struct own {
	_Alignas(64) uint8_t handle[PAIRS_QUEUE_PLACES][PAIRS_QUEUE_HANDLE];
	uint64_t words[PAIRS_QUEUE_PLACES][PAIRS_QUEUE_WORDS]; /* popped by an act */
	int r[PAIRS_QUEUE_PLACES];			       /* what acts were told */
	uint64_t next;					       /* number of the next message */
	uint32_t sent[NUMBERS], got[NUMBERS];
};

static struct scene {
	const struct pairs_queue *queue;
	struct shmt_segment segment;
	struct own *own;
	uint64_t room;	   /* messages that it takes, when it is empty */
	uint32_t newcomer; /* the place that is taken up by an act, or none */
	struct pairs pairs;
} scene;

#define CHECK(condition_) PAIRS_CHECK(&scene.pairs, condition_)

static uint32_t places(void)
{
	return scene.queue->producers + scene.queue->consumers;
}

static bool is_producer(uint32_t place)
{
	return place < scene.queue->producers;
}

static void make(uint64_t number, uint64_t *words)
{
	words[0] = number;
	words[1] = ~number;
	words[2] = number * UINT64_C(0x9e3779b97f4a7c15);
}

static bool is_made_of(uint64_t number, const uint64_t *words)
{
	uint64_t whole[PAIRS_QUEUE_WORDS];

	make(number, whole);
	return memcmp(words, whole, sizeof(whole)) == 0;
}

static int push_number(uint32_t place, uint64_t number)
{
	uint64_t words[PAIRS_QUEUE_WORDS];

	make(number, words);
	return scene.queue->push(scene.own->handle[place], words);
}

static void note(const uint64_t *words)
{
	CHECK(words[0] > 0 && words[0] < NUMBERS && is_made_of(words[0], words));
	CHECK(++scene.own->got[words[0]] == 1);
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
	uint64_t words[PAIRS_QUEUE_WORDS] = { 0 };
	int r = scene.queue->pop(scene.own->handle[place], words);

	CHECK(r == SHMP_DONE || r == SHMP_EMPTY);
	if (r == SHMP_DONE)
		note(words);
	return r;
}

static int attach(uint32_t place)
{
	return scene.queue->attach(&scene.segment.map, place, scene.own->handle[place]);
}

static void take_up(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	CHECK(attach(place) == 0);
}

static void move(uint32_t place)
{
	if (is_producer(place))
		push(place);
	else
		pop(place);
}

/* Stepped. What is not told when it dies is what the call returned. */

static void act_at(unsigned which)
{
	uint32_t place = scene.pairs.act[which].place;

	if (place == scene.newcomer)
		scene.own->r[place] = attach(place) == 0 ? SHMP_EMPTY : SHMP_TOO_BIG;
	else
		scene.own->r[place] = is_producer(place) ?
					      push_number(place, OWN + which) :
					      scene.queue->pop(scene.own->handle[place],
							       scene.own->words[place]);
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

/* A dead consumer that was not told may have had one message, in its buffer. */
static bool was_in_dead_hands(uint64_t number)
{
	for (unsigned i = 0; i < 2; i++) {
		uint32_t place = scene.pairs.act[i].place;

		if (!is_producer(place) && scene.own->r[place] == UNTOLD &&
		    is_made_of(number, scene.own->words[place]))
			return true;
	}
	return false;
}

static void note_acts(void)
{
	for (unsigned i = 0; i < 2; i++) {
		uint32_t place = scene.pairs.act[i].place;
		int r = scene.own->r[place];

		CHECK(r == SHMP_DONE || r == SHMP_FULL || r == SHMP_EMPTY || r == SHMP_PEER_DEAD ||
		      (r == UNTOLD && scene.pairs.is_dead[i]));
		if (r == SHMP_DONE && is_producer(place))
			scene.own->sent[OWN + i] = 1;
		else if (r == SHMP_DONE)
			note(scene.own->words[place]);
	}
}

/* Of whom it is not known that he sent what came, or did not send what did not. */
static bool may_have_sent(uint64_t number)
{
	uint64_t which = number - OWN;

	return number >= OWN && which < 2 && is_producer(scene.pairs.act[which].place) &&
	       scene.own->r[scene.pairs.act[which].place] == UNTOLD;
}

static void each_has_come_once(void)
{
	for (uint64_t number = 1; number < NUMBERS; number++) {
		uint32_t sent = scene.own->sent[number], got = scene.own->got[number];

		if (sent == got || may_have_sent(number))
			continue;
		CHECK(sent == 1 && got == 0);
		CHECK(was_in_dead_hands(number));
	}
}

static void forget(void)
{
	memset(scene.own->sent, 0, sizeof(scene.own->sent));
	memset(scene.own->got, 0, sizeof(scene.own->got));
	scene.own->next = 1;
}

/* All of it, by everybody. */
static void use_all(void)
{
	uint32_t consumer = scene.queue->producers;

	for (uint32_t lap = 0; lap < 2; lap++) {
		forget();
		for (uint32_t i = 0; i < scene.room; i++)
			CHECK(push((lap + i) % scene.queue->producers) == SHMP_DONE);
		for (uint32_t i = 0; i < scene.room; i++)
			CHECK(pop(consumer + (lap + i) % scene.queue->consumers) == SHMP_DONE);
		CHECK(pop(consumer) == SHMP_EMPTY);
		each_has_come_once();
	}
}

static void judge(void)
{
	const char *why;

	CHECK(scene.segment.kind->validate(&scene.segment.map, &why) == 0);
	note_acts();
	while (pop(places() - 1) == SHMP_DONE)
		;
	each_has_come_once();
	use_all();
	CHECK(scene.segment.kind->validate(&scene.segment.map, &why) == 0);
}

/* All have done something, they are in the middle of a lap, and it is empty. */
static void look_around(void)
{
	forget();
	while (push(scene.queue->producers - 1) == SHMP_DONE)
		scene.room++;
	for (uint64_t i = 0; i < scene.room; i++)
		CHECK(pop(scene.queue->producers + (uint32_t)i % scene.queue->consumers) ==
		      SHMP_DONE);
	forget();
	for (uint32_t place = 0; place < scene.queue->producers; place++) {
		CHECK(push(place) == SHMP_DONE);
		CHECK(pop(places() - 1) == SHMP_DONE);
	}
	CHECK(pop(places() - 1) == SHMP_EMPTY);
	forget();
}

void pairs_queue_attach(const struct pairs_queue *queue, const char *name, enum pairs_way way,
			uint32_t first, uint32_t second, uint32_t newcomer)
{
	scene = (struct scene){ .queue = queue,
				.own = pairs_memory(sizeof(*scene.own)),
				.newcomer = newcomer };
	SHMT_REQUIRE(places() <= PAIRS_QUEUE_PLACES);
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
	shmt_segment_make(&scene.segment, queue->kind, queue->option);
	for (uint32_t place = 0; place < places(); place++)
		take_up(place);
	look_around();
	for (uint64_t i = 0; i < queue->before && push(queue->producers - 1) == SHMP_DONE; i++)
		;
	for (uint32_t place = 0; place < places(); place++)
		scene.own->r[place] = UNTOLD;
	if (newcomer != NOBODY) {
		shmt_place_vacate(&scene.segment, newcomer, true, 1);
		shmt_place_assign(&scene.segment, newcomer);
	}
	pairs_go(&scene.pairs, way);
	shmt_segment_free(&scene.segment);
	munmap(scene.own, sizeof(*scene.own));
}

void pairs_queue(const struct pairs_queue *queue, const char *name, enum pairs_way way,
		 uint32_t first, uint32_t second)
{
	pairs_queue_attach(queue, name, way, first, second, NOBODY);
}
