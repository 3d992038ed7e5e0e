/*
 * A producer or a consumer is stopped, not dead, after every instruction of what it does. The others
 * go on meanwhile until they find it full or empty, and two of them die with a slot in hand and are
 * repaired. Nobody waits, and nothing is taken from the stopped one; when it goes on, each message
 * that was sent comes once, those of one producer in their order, and every slot can be used again.
 *
 * A message is its number, from 1.
 */
#include "protocol/mpmc.h"

#include <string.h>
#include <sys/mman.h>

#include "tests/crash/deaths.h"
#include "tests/support/mpmc.h"
#include "tests/support/runner.h"

enum {
	STOPPED_PRODUCER = 0,
	PRODUCER = 1,
	DYING_PRODUCER = 2,
	STOPPED_CONSUMER = 3,
	CONSUMER = 4,
	DYING_CONSUMER = 5,
	PLACES = 6,
	SLOTS = 4,
	NUMBERS = 128,
	OWN = 1,    /* sent by the stopped one */
	WORDS = 16, /* of a buffer; a message is one */
};

/* Shared with who is stopped. */
struct own {
	struct shmp_mpmc at[PLACES];
	uint64_t next;		/* number of the next message */
	uint64_t last;		/* of what PRODUCER sent, the newest that came to CONSUMER */
	uint64_t in_dead_hands; /* number of the one that may come flagged; 0: none */
	uint32_t sent[NUMBERS], got[NUMBERS];
	int r; /* of the stopped one */
};

static struct scene {
	struct shmt_mpmc queue;
	struct own *own;
	struct deaths deaths;
} scene;

#define CHECK(condition_) DEATHS_CHECK(&scene.deaths, condition_)

static struct shmp_mpmc *at(uint32_t place)
{
	return &scene.own->at[place];
}

static void attach(uint32_t place)
{
	shmt_mpmc_attach(&scene.queue, place,
			 place < STOPPED_CONSUMER ? SHMP_MPMC_PRODUCER : SHMP_MPMC_CONSUMER,
			 at(place));
}

static int push(uint32_t place)
{
	uint64_t words[WORDS] = { scene.own->next }, number = words[0];
	int r = shmp_mpmc_push(at(place), words, sizeof(number));

	if (r == SHMP_DONE) {
		CHECK(number < NUMBERS);
		scene.own->sent[scene.own->next++]++;
	}
	return r;
}

static int pop(uint32_t place)
{
	struct shmp_mpmc_message message;
	uint64_t words[WORDS] = { 0 }, number;
	int r = shmp_mpmc_pop(at(place), words, sizeof(words), &message);

	if (r != SHMP_DONE)
		return r;
	number = words[0];
	CHECK(message.size == sizeof(number) && number > 0 && number < NUMBERS);
	CHECK(++scene.own->got[number] == 1);
	CHECK((message.flags == SHMP_MPMC_REDELIVERED) == (number == scene.own->in_dead_hands));
	if (number != OWN && number != scene.own->in_dead_hands) {
		CHECK(number > scene.own->last);
		scene.own->last = number;
	}
	return r;
}

/* States */

static void is_empty(void)
{
}

static void has_two(void)
{
	push(PRODUCER);
	push(PRODUCER);
}

static void is_full(void)
{
	while (push(PRODUCER) == SHMP_DONE)
		;
}

/* What the stopped one does, stepped */

static void pushes(void *context)
{
	static const uint64_t words[WORDS] = { OWN };

	(void)context;
	scene.own->r = shmp_mpmc_push(at(STOPPED_PRODUCER), words, sizeof(words[0]));
}

static void reserves_and_commits(void *context)
{
	uint64_t number = OWN;
	uint8_t *room = NULL;

	(void)context;
	scene.own->r = shmp_mpmc_reserve(at(STOPPED_PRODUCER), sizeof(number), &room);
	if (scene.own->r != SHMP_DONE)
		return;
	memcpy(room, &number, sizeof(number));
	shmp_mpmc_commit(at(STOPPED_PRODUCER), sizeof(number));
}

static void reserves_and_aborts(void *context)
{
	uint8_t *room = NULL;

	(void)context;
	if (shmp_mpmc_reserve(at(STOPPED_PRODUCER), 8, &room) == SHMP_DONE)
		shmp_mpmc_abort(at(STOPPED_PRODUCER));
	scene.own->r = SHMP_FULL;
}

static void takes(const struct shmp_mpmc_message *message)
{
	uint64_t number = 0;

	memcpy(&number, message->data, sizeof(number));
	if (number < NUMBERS)
		scene.own->got[number]++;
}

static void pops(void *context)
{
	struct shmp_mpmc_message message;
	uint64_t words[WORDS];

	(void)context;
	scene.own->r = shmp_mpmc_pop(at(STOPPED_CONSUMER), words, sizeof(words), &message);
	if (scene.own->r == SHMP_DONE)
		takes(&message);
}

static void peeks_and_releases(void *context)
{
	struct shmp_mpmc_message message;

	(void)context;
	scene.own->r = shmp_mpmc_peek(at(STOPPED_CONSUMER), sizeof(uint64_t), &message);
	if (scene.own->r != SHMP_DONE)
		return;
	takes(&message);
	shmp_mpmc_release(at(STOPPED_CONSUMER));
}

/* Meanwhile */

static void bury(uint32_t place)
{
	shmt_place_vacate(&scene.queue.segment, place, true, 1 + (int)(scene.deaths.point % 3));
	attach(place);
}

/* Each with what the next one of the living would have got. */
static void two_die(void)
{
	struct shmp_mpmc_message message;
	uint8_t *room = NULL;

	(void)shmp_mpmc_reserve(at(DYING_PRODUCER), 8, &room);
	if (shmp_mpmc_peek(at(DYING_CONSUMER), 8, &message) == SHMP_DONE)
		memcpy(&scene.own->in_dead_hands, message.data, 8);
	bury(DYING_CONSUMER);
	bury(DYING_PRODUCER);
}

static void pop_all(void)
{
	int r = SHMP_DONE;

	for (int i = 0; i <= SLOTS && r == SHMP_DONE; i++)
		r = pop(CONSUMER);
	CHECK(r == SHMP_EMPTY);
}

static void push_all(void)
{
	int r = SHMP_DONE;

	for (int i = 0; i <= SLOTS && r == SHMP_DONE; i++)
		r = push(PRODUCER);
	CHECK(r == SHMP_FULL);
}

static void one_comes_and_goes(void *context)
{
	(void)context;
	pop(CONSUMER);
	push(PRODUCER);
	pop(CONSUMER);
}

static void others_fill_it(void *context)
{
	(void)context;
	two_die();
	pop_all();
	push_all();
}

static void others_empty_it(void *context)
{
	(void)context;
	two_die();
	push_all();
	pop_all();
	for (int lap = 0; lap < 2; lap++) {
		push(PRODUCER);
		pop_all();
	}
}

/* What must be, when it has ended */

static void all_slots_can_be_used(void)
{
	for (uint32_t lap = 0; lap < 3; lap++) {
		for (uint32_t i = 0; i < SLOTS; i++)
			CHECK(push((lap + i) % STOPPED_CONSUMER) == SHMP_DONE);
		CHECK(push(STOPPED_PRODUCER) == SHMP_FULL);
		for (uint32_t i = 0; i < SLOTS; i++)
			CHECK(pop(STOPPED_CONSUMER + (lap + i) % 3) == SHMP_DONE);
		CHECK(pop(STOPPED_CONSUMER) == SHMP_EMPTY);
	}
	CHECK(shmp_mpmc_depth(&scene.queue.map) == 0);
}

static void each_has_come_once(void *context)
{
	const char *why;

	(void)context;
	pop_all();
	for (uint64_t number = 1; number < NUMBERS; number++)
		CHECK(scene.own->got[number] == scene.own->sent[number]);
	scene.own->in_dead_hands = 0;
	all_slots_can_be_used();
	CHECK(shmp_mpmc_kind.validate(&scene.queue.map, &why) == 0);
}

static void is_sent(void *context)
{
	CHECK(scene.own->r == SHMP_DONE);
	scene.own->sent[OWN] = 1;
	each_has_come_once(context);
}

/* Who had not claimed a slot before they filled it finds none. */
static void is_sent_or_full(void *context)
{
	CHECK(scene.own->r == SHMP_DONE || scene.own->r == SHMP_FULL);
	scene.own->sent[OWN] = scene.own->r == SHMP_DONE;
	each_has_come_once(context);
}

static void is_taken(void *context)
{
	CHECK(scene.own->r == SHMP_DONE);
	each_has_come_once(context);
}

static void is_taken_or_empty(void *context)
{
	CHECK(scene.own->r == SHMP_DONE || scene.own->r == SHMP_EMPTY);
	each_has_come_once(context);
}

static void stop_in(const char *name, void (*state)(void), void (*operate)(void *),
		    void (*meanwhile)(void *), void (*check)(void *))
{
	scene = (struct scene){ .own = mmap(NULL, sizeof(*scene.own), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0) };
	SHMT_REQUIRE(scene.own != MAP_FAILED);
	shmt_mpmc_make(&scene.queue, SLOTS, 8, PLACES);
	scene.deaths = (struct deaths){ .name = name,
					.segment = &scene.queue.segment,
					.own = scene.own,
					.own_bytes = sizeof(*scene.own),
					.operate = operate,
					.meanwhile = meanwhile,
					.check = check };
	for (uint32_t place = 0; place < PLACES; place++)
		attach(place);
	scene.own->next = OWN + 1;
	CHECK(pop(CONSUMER) ==
	      SHMP_EMPTY); /* it looks around, the first time; the stopped one does not */
	state();
	scene.own->r = -1;
	deaths_everywhere(&scene.deaths);
	shmt_mpmc_free(&scene.queue);
	munmap(scene.own, sizeof(*scene.own));
}

TEST(a_producer_stopped_anywhere_in_a_push_ends_it_later, .timeout_s = 60)
{
	stop_in("push, one comes and goes", has_two, pushes, one_comes_and_goes, is_sent);
	stop_in("push, others fill it", is_empty, pushes, others_fill_it, is_sent_or_full);
	stop_in("push, others empty it", has_two, pushes, others_empty_it, is_sent);
	stop_in("push into a full one, others empty it", is_full, pushes, others_empty_it,
		is_sent_or_full);
}

TEST(a_producer_stopped_anywhere_in_a_reservation_ends_it_later, .timeout_s = 60)
{
	stop_in("reserve and commit, others fill it", has_two, reserves_and_commits, others_fill_it,
		is_sent_or_full);
	stop_in("reserve and commit, others empty it", has_two, reserves_and_commits,
		others_empty_it, is_sent);
	stop_in("reserve and abort, others fill it", has_two, reserves_and_aborts, others_fill_it,
		is_sent_or_full);
}

TEST(a_consumer_stopped_anywhere_in_a_pop_ends_it_later, .timeout_s = 60)
{
	stop_in("pop, others fill it", has_two, pops, others_fill_it, is_taken);
	stop_in("pop, others empty it", has_two, pops, others_empty_it, is_taken_or_empty);
	stop_in("pop from a full one, others empty it", is_full, pops, others_empty_it,
		is_taken_or_empty);
	stop_in("pop from an empty one, others fill it", is_empty, pops, others_fill_it,
		is_taken_or_empty);
}

TEST(a_consumer_stopped_anywhere_in_peek_and_release_ends_it_later, .timeout_s = 60)
{
	stop_in("peek and release, others fill it", has_two, peeks_and_releases, others_fill_it,
		is_taken);
	stop_in("peek and release, others empty it", has_two, peeks_and_releases, others_empty_it,
		is_taken_or_empty);
}

DEATHS_MAIN
