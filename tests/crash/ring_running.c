/*
 * A producer of a ring dies anywhere in what it does while its consumer runs, and a consumer while
 * its producer runs, which waits for room or writes over the oldest; successors run for a while
 * themselves and are the next to die.
 *
 * The element at position p says p. So a consumer that gets each position whole, or is told that it
 * was lost, has all that was pushed; what it was told is what the ring has counted.
 */
#include "protocol/ring.h"

#include <string.h>
#include <time.h>

#include "tests/crash/running.h"
#include "tests/support/runner.h"

enum {
	ELEMENTS = 64, /* of 64 bytes: each byte of the ring is used */
	WORDS = 8,
	OWN = 5, /* elements of one operation */
	BURST = 20,
	IN_A_ROW = 4096, /* pushes of one who never waits */
	UNTOUCHED = 0xee,
};

struct element {
	uint64_t word[WORDS];
};

/* Shared by all. */
struct world {
	_Atomic uint64_t pushed;   /* position behind what a push that returned has pushed */
	_Atomic uint64_t popped;   /* and behind what the living consumer got or lost */
	_Atomic uint64_t lost;	   /* as consumers were told */
	_Atomic bool has_returned; /* the victim's operation */
	_Atomic uint64_t end;	   /* behind what it took */
	_Atomic uint64_t seen;	   /* elements that it has begun to read in place */
	_Atomic uint64_t begun;	   /* the floor before it began */
	struct element witness[OWN];
};

static struct scene {
	struct shmt_segment segment;
	struct shmp_ring_producer producer;
	struct shmp_ring_consumer consumer;
	struct world *world;
	uint64_t next; /* position of the next element, of the parent's role */
	bool writes_over;
	struct element given[OWN];
	struct running running;
} scene;

#define CHECK(condition_) RUNNING_CHECK(&scene.running, condition_)

static struct element element_of(uint64_t number)
{
	struct element element;

	for (uint64_t i = 0; i < WORDS; i++)
		element.word[i] = number * WORDS + i;
	return element;
}

static bool is_element(const struct element *element, uint64_t number)
{
	struct element wanted = element_of(number);

	return memcmp(element, &wanted, sizeof(wanted)) == 0;
}

static struct shmp_ring_control *control(void)
{
	return scene.segment.map.control;
}

static void tell_consumer(void)
{
	if (shmp_ring_consumer_waits(&scene.producer))
		shmp_ring_tell_consumer(&scene.producer, NULL, NULL);
}

static void tell_producer(void)
{
	if (shmp_ring_producer_waits(&scene.consumer))
		shmp_ring_tell_producer(&scene.consumer, NULL, NULL);
}

static int push(const struct element *elements)
{
	uint64_t went;

	if (scene.writes_over)
		return shmp_ring_push_over(&scene.producer, elements, OWN);
	return shmp_ring_push(&scene.producer, elements, OWN, OWN, &went);
}

static void prepare_elements(void *context)
{
	for (uint64_t i = 0; i < OWN; i++)
		scene.given[i] = element_of(scene.producer.head + i);
}

static bool push_next(void)
{
	int r;

	prepare_elements(NULL);
	r = push(scene.given);
	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_FULL || r == SHMP_PEER_DEAD);
	if (r != SHMP_DONE)
		return false;
	atomic_store(&scene.world->pushed, scene.producer.head);
	tell_consumer();
	return true;
}

/* What is behind @next, or it says how much of that is lost. */
static bool is_span(const struct shmp_ring_span *span, const struct element *got, uint64_t next)
{
	if (span->position != next + span->lost || span->count > OWN)
		return false;
	for (uint64_t i = 0; i < span->count; i++)
		if (!is_element(&got[i], span->position + i))
			return false;
	return scene.writes_over || span->lost == 0;
}

/* The living */

static bool try_pop(void *context, unsigned int peer)
{
	uint64_t next = atomic_load(&scene.world->popped);
	struct shmp_ring_span span;
	struct element got[OWN];
	int r = shmp_ring_pop(&scene.consumer, got, OWN, 1, &span);

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY || r == SHMP_LAPPED || r == SHMP_PEER_DEAD);
	if (r != SHMP_DONE)
		return false;
	SHMT_REQUIRE(is_span(&span, got, next) && span.redelivered == 0);
	atomic_fetch_add(&scene.world->lost, span.lost);
	atomic_store(&scene.world->popped, span.position + span.count);
	tell_producer();
	return true;
}

static bool live_popping(void *context, unsigned int peer)
{
	return running_move_or_sleep(&scene.running, peer, try_pop, &control()->not_empty,
				     &scene.segment.map.endpoints[SHMP_RING_CONSUMER],
				     SHMP_RING_CONSUMER);
}

static bool try_push(void *context, unsigned int peer)
{
	/* who writes over waits for nobody: the others would come behind it where cores are few */
	if (scene.writes_over && scene.producer.head / OWN % IN_A_ROW == 0)
		nanosleep(&(struct timespec){ .tv_nsec = 1000 }, NULL);
	return push_next();
}

static bool live_pushing(void *context, unsigned int peer)
{
	return running_move_or_sleep(&scene.running, peer, try_push, &control()->not_full,
				     &scene.segment.map.endpoints[SHMP_RING_PRODUCER],
				     SHMP_RING_PRODUCER);
}

/* Producers that die */

static void all_arrive(void)
{
	RUNNING_AWAIT(&scene.running,
		      atomic_load(&scene.world->popped) >= atomic_load(&scene.world->pushed));
}

static void check_nobody_sleeps(void *context)
{
	if (shmt_random_below(&scene.running.random, 2) == 0)
		all_arrive();
}

static void attach_producer(void)
{
	shmt_place_assign(&scene.segment, SHMP_RING_PRODUCER);
	SHMT_REQUIRE(shmp_ring_attach_producer(&scene.segment.map, &scene.producer) == 0);
}

/* Whose predecessor pushed all of it or nothing. */
static void produce(void *context)
{
	attach_producer();
	CHECK(scene.producer.head == scene.next || scene.producer.head == scene.next + OWN);
	CHECK(scene.producer.head >= atomic_load(&scene.world->pushed));
	CHECK(!scene.running.has_ended || scene.producer.head == scene.next + OWN);
	for (uint64_t i = shmt_random_below(&scene.running.random, BURST); i > 0; i--)
		RUNNING_AWAIT(&scene.running, push_next());
	if (shmt_random_below(&scene.running.random, 2) == 0)
		all_arrive();
	scene.next = scene.producer.head;
	scene.running.has_ended = false;
}

static void dies_pushing(void *context)
{
	while (push(scene.given) == SHMP_FULL)
		;
	atomic_store(&scene.world->pushed, scene.producer.head);
	tell_consumer();
}

static void dies_reserving_and_committing(void *context)
{
	void *room = NULL;
	uint64_t count;

	while (shmp_ring_reserve(&scene.producer, OWN, OWN, &room, &count) == SHMP_FULL)
		;
	memcpy(room, scene.given, sizeof(scene.given));
	shmp_ring_commit(&scene.producer, OWN);
	atomic_store(&scene.world->pushed, scene.producer.head);
	tell_consumer();
}

/* Consumers that die */

static void attach_consumer(void)
{
	shmt_place_assign(&scene.segment, SHMP_RING_CONSUMER);
	SHMT_REQUIRE(shmp_ring_attach_consumer(&scene.segment.map, &scene.consumer) == 0);
}

/* What the dead one took it had read whole; what it had not taken was lost before that. */
static void account_for_taken(uint64_t tail)
{
	const struct element *witness = scene.world->witness;
	uint64_t first = witness[0].word[0] / WORDS;

	CHECK(first >= scene.next && first < tail && tail - first <= OWN);
	CHECK(scene.writes_over || first == scene.next);
	for (uint64_t i = 0; i < tail - first; i++)
		CHECK(is_element(&witness[i], first + i));
	atomic_fetch_add(&scene.world->lost, first - scene.next);
}

/* Whether @number lies behind all that the dead one was about to read, and can be of a later lap. */
static bool is_of_next_lap(uint64_t number)
{
	uint64_t seen_to = scene.consumer.redelivered;

	return scene.writes_over && number >= seen_to &&
	       number >= atomic_load(&scene.world->begun) + ELEMENTS;
}

/*
 * What it may have read, and it is there again, says so. Where it is written over meanwhile, what
 * lies behind all that it was about to read can have come to such a place a lap later: then the floor is
 * above what it was about to read there, and it would have thrown it away.
 */
static void check_flagged(const struct shmp_ring_span *span)
{
	uint64_t flagged = span->position + span->redelivered;

	for (uint64_t i = 0; i < OWN; i++) {
		uint64_t number = scene.world->witness[i].word[0] / WORDS;

		if (!is_element(&scene.world->witness[i], number) || number < span->position ||
		    number >= span->position + span->count)
			continue;
		CHECK(number < flagged || is_of_next_lap(number));
	}
	for (uint64_t i = 0; i < atomic_load(&scene.world->seen) && i < span->count; i++)
		CHECK(scene.next + i < flagged);
}

static void pop_next(bool is_first)
{
	struct shmp_ring_span span;
	struct element got[OWN];

	RUNNING_AWAIT(&scene.running,
		      shmp_ring_pop(&scene.consumer, got, OWN, 1, &span) == SHMP_DONE);
	CHECK(is_span(&span, got, scene.next));
	if (is_first)
		check_flagged(&span);
	atomic_fetch_add(&scene.world->lost, span.lost);
	scene.next = span.position + span.count;
	tell_producer();
}

static void consume(void *context)
{
	struct world *world = scene.world;

	attach_consumer();
	if (atomic_load(&world->has_returned))
		CHECK(scene.consumer.tail == atomic_load(&world->end));
	if (scene.consumer.tail != scene.next) {
		account_for_taken(scene.consumer.tail);
		scene.next = scene.consumer.tail;
		atomic_store(&world->seen, 0);
	}
	pop_next(true);
	for (uint64_t i = shmt_random_below(&scene.running.random, BURST); i > 0; i--)
		pop_next(false);
	atomic_store(&world->has_returned, false);
	atomic_store(&world->seen, 0);
	memset(world->witness, UNTOUCHED, sizeof(world->witness));
}

static void note_floor(void *context)
{
	atomic_store(&scene.world->begun, atomic_load(&control()->floor));
}

/* As one who would sleep if there were nothing. */
static void dies_popping(void *context)
{
	struct world *world = scene.world;
	struct shmp_ring_span span;
	int r;

	do {
		shmp_waiter_prepare(&control()->not_empty,
				    &scene.segment.map.endpoints[SHMP_RING_CONSUMER],
				    SHMP_RING_CONSUMER, scene.running.has_membarrier);
		r = shmp_ring_pop(&scene.consumer, world->witness, OWN, 1, &span);
		shmp_waiter_finish(&control()->not_empty, SHMP_RING_CONSUMER);
	} while (r != SHMP_DONE);
	atomic_store(&world->end, span.position + span.count);
	atomic_store(&world->has_returned, true);
	tell_producer();
}

/* Of one who does not write over: what is shown is there. */
static void dies_peeking_and_releasing(void *context)
{
	struct world *world = scene.world;
	const struct element *shown;
	struct shmp_ring_span span;

	while (shmp_ring_peek(&scene.consumer, 0, OWN, 1, &span) != SHMP_DONE)
		;
	shown = span.data;
	for (uint64_t i = 0; i < span.count; i++) {
		atomic_store(&world->seen, i + 1);
		world->witness[i] = shown[i];
	}
	shmp_ring_release(&scene.consumer, span.count);
	atomic_store(&world->end, span.position + span.count);
	atomic_store(&world->has_returned, true);
	tell_producer();
}

/* Runs */

static void set_up(const char *name, void (*operate)(void *context), bool writes_over)
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_RING_ELEMENT_BYTES] = sizeof(struct element), [SHMP_RING_ELEMENTS] = ELEMENTS
	};

	memset(&scene, 0, sizeof(scene));
	shmt_segment_make(&scene.segment, "ring", option);
	scene.writes_over = writes_over;
	scene.world = running_share(sizeof(*scene.world));
	memset(scene.world->witness, UNTOUCHED, sizeof(scene.world->witness));
	scene.running = (struct running){
		.name = name,
		.segment = &scene.segment,
		.peers = 1,
		.operate = operate,
	};
}

/* Of all that was pushed the totals say what became of it, and nothing is left. */
static void check_all_is_well(void)
{
	struct shmp_ring_totals totals;
	const char *why = NULL;

	shmp_ring_totals(&scene.segment.map, &totals);
	ck_assert_uint_ge(totals.pushed, atomic_load(&scene.world->pushed));
	ck_assert_uint_eq(totals.lost, atomic_load(&scene.world->lost));
	ck_assert_uint_eq(totals.depth, 0);
	ck_assert_uint_eq(totals.pushed, totals.popped + totals.lost);
	ck_assert_uint_eq(totals.lost > 0, scene.writes_over);
	ck_assert_msg(shmp_ring_kind.validate(&scene.segment.map, &why) == 0, "%s", why);
	shmt_segment_free(&scene.segment);
}

static void kill_producers(const char *name, void (*operate)(void *context), bool writes_over)
{
	set_up(name, operate, writes_over);
	attach_consumer();
	scene.running.live = live_popping;
	scene.running.place = SHMP_RING_PRODUCER;
	scene.running.come = produce;
	scene.running.prepare = prepare_elements;
	scene.running.check = check_nobody_sleeps;
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	produce(NULL);
	all_arrive();
	running_finish(&scene.running);
	check_all_is_well();
}

static void kill_consumers(const char *name, void (*operate)(void *context), bool writes_over)
{
	set_up(name, operate, writes_over);
	attach_producer();
	scene.running.live = live_pushing;
	scene.running.place = SHMP_RING_CONSUMER;
	scene.running.come = consume;
	scene.running.prepare = note_floor;
	running_start(&scene.running);
	running_kill_everywhere(&scene.running);
	consume(NULL);
	running_finish(&scene.running);
	scene.running.peers = 0;
	while (scene.next < atomic_load(&scene.world->pushed))
		pop_next(false);
	check_all_is_well();
}

TEST(producers_die_in_a_push_while_their_consumer_runs, .timeout_s = 120)
{
	kill_producers("push of 5", dies_pushing, false);
}

TEST(producers_die_in_a_reservation_while_their_consumer_runs, .timeout_s = 120)
{
	kill_producers("reserve and commit 5", dies_reserving_and_committing, false);
}

TEST(producers_die_writing_over_while_their_consumer_runs, .timeout_s = 120)
{
	kill_producers("push of 5 over the oldest", dies_pushing, true);
}

TEST(consumers_die_in_a_pop_while_their_producer_runs, .timeout_s = 120)
{
	kill_consumers("pop of 5", dies_popping, false);
}

TEST(consumers_die_in_peek_and_release_while_their_producer_runs, .timeout_s = 120)
{
	kill_consumers("peek 5 and release", dies_peeking_and_releasing, false);
}

TEST(consumers_die_in_a_pop_while_their_producer_writes_over, .timeout_s = 120)
{
	kill_consumers("pop of 5, lapped", dies_popping, true);
}

RUNNING_MAIN
