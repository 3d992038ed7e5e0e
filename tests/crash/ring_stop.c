/*
 * The producer or the consumer of a ring is stopped, not dead, after every instruction of what it
 * does. The other side goes on meanwhile until it finds the ring full or empty, or writes over all
 * of it, and dies and is succeeded. When the stopped one goes on, each element comes once and whole,
 * in order, or is counted as lost, which nothing is where nobody writes over it.
 */
#include "protocol/ring.h"

#include <string.h>
#include <sys/mman.h>

#include "tests/crash/deaths.h"
#include "tests/support/runner.h"

enum {
	ELEMENTS = 64, /* of 64 bytes: each byte of the ring is used */
	WORDS = 8,
	MANY = 3 * ELEMENTS,
	OWN = 5, /* elements of the stopped one's operation */
};

struct element {
	uint64_t word[WORDS];
};

/* Shared with who is stopped. */
struct own {
	struct shmp_ring_producer producer;
	struct shmp_ring_consumer consumer;
	struct element given[ELEMENTS], got[MANY];
	struct shmp_ring_span span; /* of what the stopped one took */
	uint64_t next;		    /* position of the next element to come */
	uint64_t lost;
	int r; /* of the stopped one */
};

static struct scene {
	struct shmt_segment segment;
	struct own *own;
	struct deaths deaths;
	bool writes_over;
} scene;

#define CHECK(condition_) DEATHS_CHECK(&scene.deaths, condition_)

static void give(uint64_t first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		for (uint64_t word = 0; word < WORDS; word++)
			scene.own->given[i].word[word] = (first + i) * WORDS + word;
}

static bool is_element(const struct element *element, uint64_t position)
{
	for (uint64_t word = 0; word < WORDS; word++)
		if (element->word[word] != position * WORDS + word)
			return false;
	return true;
}

static void attach(uint32_t place)
{
	shmt_place_assign(&scene.segment, place);
	if (place == SHMP_RING_PRODUCER)
		CHECK(shmp_ring_attach_producer(&scene.segment.map, &scene.own->producer) == 0);
	else
		CHECK(shmp_ring_attach_consumer(&scene.segment.map, &scene.own->consumer) == 0);
}

/* It goes on behind what came before, but for what is told as lost. */
static void take(const struct shmp_ring_span *span)
{
	CHECK(span->position == scene.own->next + span->lost);
	CHECK(span->lost == 0 || scene.writes_over);
	for (uint64_t i = 0; i < span->count; i++)
		CHECK(is_element(&scene.own->got[i], span->position + i));
	scene.own->lost += span->lost;
	scene.own->next = span->position + span->count;
}

static int push(uint64_t count)
{
	uint64_t went;

	give(scene.own->producer.head, count);
	return shmp_ring_push(&scene.own->producer, scene.own->given, count, count, &went);
}

static int pop(void)
{
	struct shmp_ring_span span;
	int r = shmp_ring_pop(&scene.own->consumer, scene.own->got, OWN, 1, &span);

	if (r == SHMP_DONE)
		take(&span);
	return r;
}

/* Until it says something else, which it does. */
static void push_all(int last)
{
	int r = SHMP_DONE;

	for (int i = 0; i <= ELEMENTS && r == SHMP_DONE; i++)
		r = push(1);
	CHECK(r == last);
}

static void pop_all(int last)
{
	int r = SHMP_DONE;

	for (int i = 0; i <= MANY && r == SHMP_DONE; i++)
		r = pop();
	CHECK(r == last);
}

/* States */

static void has_some(void)
{
	SHMT_REQUIRE(push(ELEMENTS - 10) == SHMP_DONE);
	pop_all(SHMP_EMPTY);
	SHMT_REQUIRE(push(2 * OWN) == SHMP_DONE);
	give(scene.own->producer.head, ELEMENTS);
}

static void is_full(void)
{
	has_some();
	push_all(SHMP_FULL);
	give(scene.own->producer.head, ELEMENTS);
}

/* What the stopped one does, stepped */

static void pushes(void *context)
{
	uint64_t went;

	(void)context;
	scene.own->r = shmp_ring_push(&scene.own->producer, scene.own->given, OWN, OWN, &went);
}

static void pushes_over(void *context)
{
	(void)context;
	scene.own->r = shmp_ring_push_over(&scene.own->producer, scene.own->given, OWN);
}

static void pops(void *context)
{
	(void)context;
	scene.own->r = shmp_ring_pop(&scene.own->consumer, scene.own->got, OWN, OWN,
				     &scene.own->span);
}

static void peeks_and_releases(void *context)
{
	(void)context;
	scene.own->r = shmp_ring_peek(&scene.own->consumer, 0, OWN, OWN, &scene.own->span);
	if (scene.own->r != SHMP_DONE)
		return;
	memcpy(scene.own->got, scene.own->span.data, OWN * sizeof(struct element));
	scene.own->r = shmp_ring_release(&scene.own->consumer, OWN);
}

/* Meanwhile */

static void bury(uint32_t place)
{
	shmt_place_vacate(&scene.segment, place, true, 1 + (int)(scene.deaths.point % 3));
	attach(place);
}

static void producer_fills_it(void *context)
{
	(void)context;
	push_all(SHMP_FULL);
	bury(SHMP_RING_PRODUCER);
	push_all(SHMP_FULL);
}

static void producer_writes_over_all(void *context)
{
	(void)context;
	for (int i = 0; i < 2; i++) {
		give(scene.own->producer.head, ELEMENTS);
		CHECK(shmp_ring_push_over(&scene.own->producer, scene.own->given, ELEMENTS) ==
		      SHMP_DONE);
	}
	bury(SHMP_RING_PRODUCER);
}

/* What it has in its hands when it dies comes again. */
static void consumer_empties_it(void *context)
{
	struct shmp_ring_span span;

	(void)context;
	pop();
	CHECK(shmp_ring_peek(&scene.own->consumer, 0, 2, 1, &span) == SHMP_DONE);
	bury(SHMP_RING_CONSUMER);
	pop_all(SHMP_EMPTY);
}

/* What must be, when it has ended */

static void go_on(void)
{
	struct shmp_ring_totals totals;
	const char *why;

	pop_all(SHMP_EMPTY);
	CHECK(scene.own->next == scene.own->producer.head);
	for (int lap = 0; lap < 3; lap++) {
		CHECK(push(ELEMENTS) == SHMP_DONE);
		CHECK(push(1) == SHMP_FULL);
		pop_all(SHMP_EMPTY);
	}
	CHECK(scene.own->next == scene.own->producer.head);
	shmp_ring_totals(&scene.segment.map, &totals);
	CHECK(totals.lost == scene.own->lost);
	CHECK(totals.pushed == totals.popped + totals.lost && totals.depth == 0);
	CHECK(shmp_ring_kind.validate(&scene.segment.map, &why) == 0);
}

static void is_pushed(void *context)
{
	(void)context;
	CHECK(scene.own->r == SHMP_DONE);
	go_on();
}

static void is_pushed_or_full(void *context)
{
	(void)context;
	CHECK(scene.own->r == SHMP_DONE || (scene.own->r == SHMP_FULL && scene.deaths.point > 0));
	go_on();
}

static void is_taken(void *context)
{
	(void)context;
	CHECK(scene.own->r == SHMP_DONE && scene.own->span.count == OWN);
	take(&scene.own->span);
	go_on();
}

/* In place nothing keeps a writer off: what was released is over, and counted as lost. */
static void is_taken_or_lapped(void *context)
{
	CHECK(scene.own->r == SHMP_DONE || scene.own->r == SHMP_LAPPED);
	if (scene.own->r == SHMP_DONE) {
		is_taken(context);
		return;
	}
	scene.own->lost += scene.own->span.lost + OWN;
	scene.own->next = scene.own->span.position + OWN;
	go_on();
}

static void stop_in(const char *name, void (*state)(void), void (*operate)(void *),
		    void (*meanwhile)(void *), void (*check)(void *))
{
	uint64_t option[SHMP_OPTIONS_MAX] = { sizeof(struct element), ELEMENTS };

	scene = (struct scene){ .own = mmap(NULL, sizeof(*scene.own), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0),
				.writes_over = operate == pushes_over ||
					       meanwhile == producer_writes_over_all };
	SHMT_REQUIRE(scene.own != MAP_FAILED);
	shmt_segment_make(&scene.segment, "ring", option);
	scene.deaths = (struct deaths){ .name = name,
					.segment = &scene.segment,
					.own = scene.own,
					.own_bytes = sizeof(*scene.own),
					.operate = operate,
					.meanwhile = meanwhile,
					.check = check };
	attach(SHMP_RING_PRODUCER);
	attach(SHMP_RING_CONSUMER);
	state();
	scene.own->r = -1;
	deaths_everywhere(&scene.deaths);
	shmt_segment_free(&scene.segment);
	munmap(scene.own, sizeof(*scene.own));
}

TEST(a_producer_stopped_anywhere_in_a_bulk_push_ends_it_later, .timeout_s = 60)
{
	stop_in("push, it is emptied", has_some, pushes, consumer_empties_it, is_pushed);
	stop_in("push into a full one, it is emptied", is_full, pushes, consumer_empties_it,
		is_pushed_or_full);
}

TEST(a_producer_stopped_anywhere_in_writing_over_ends_it_later, .timeout_s = 60)
{
	stop_in("overwrite, it is emptied", is_full, pushes_over, consumer_empties_it, is_pushed);
}

TEST(a_consumer_stopped_anywhere_in_a_bulk_pop_ends_it_later, .timeout_s = 60)
{
	stop_in("pop, it is filled", has_some, pops, producer_fills_it, is_taken);
	stop_in("pop, all is written over", has_some, pops, producer_writes_over_all, is_taken);
}

TEST(a_consumer_stopped_anywhere_in_looking_in_place_ends_it_later, .timeout_s = 60)
{
	stop_in("peek and release, it is filled", has_some, peeks_and_releases, producer_fills_it,
		is_taken);
	stop_in("peek and release, all is written over", has_some, peeks_and_releases,
		producer_writes_over_all, is_taken_or_lapped);
}

DEATHS_MAIN
