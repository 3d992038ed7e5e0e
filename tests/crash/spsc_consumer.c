/*
 * The consumer dies after every instruction of everything it does. No message is lost; what was in
 * its hands comes again, flagged, or was taken; nothing else is flagged; room comes back.
 */
#include "tests/crash/scene.h"
#include "tests/support/runner.h"

/* Of the messages from the first on. */
static struct bounds {
	uint64_t held;	/* were shown before the operation */
	uint64_t shown; /* have been by its end, those taken included */
	uint64_t taken; /* by its end */
	bool copies;	/* the first one, to the witness */
} bounds;

/* The first message that was not taken. */
static uint64_t next_number(struct scene *scene)
{
	const struct shmp_endpoint *self = &scene->ring.segment.map.endpoints[SHMP_SPSC_CONSUMER];
	uint64_t position = scene->tail, number = scene->first;

	while (position != atomic_load(&self->cursor)) {
		SCENE_CHECK(scene, number < scene->next);
		position += shmp_spsc_need(scene->size[number++]);
	}
	SCENE_CHECK(scene, number <= scene->first + bounds.taken);
	if (scene->has_ended)
		SCENE_CHECK(scene, number == scene->first + bounds.taken);
	return number;
}

static bool is_touched(const struct scene *scene)
{
	for (uint64_t i = 0; i < SCENE_LONGEST; i++)
		if (scene->witness[i] != SCENE_UNTOUCHED)
			return true;
	return false;
}

static bool must_be_flagged(const struct scene *scene, uint64_t index)
{
	if (index < bounds.held || (scene->has_ended && index < bounds.shown))
		return true;
	return bounds.copies && index == 0 && is_touched(scene);
}

static void check_flags(struct scene *scene, uint64_t from, uint64_t end)
{
	for (uint64_t number = from; number < end; number++) {
		uint64_t index = number - scene->first;
		uint32_t flags = scene->flags[number];

		SCENE_CHECK(scene, index < bounds.shown || flags == 0);
		if (must_be_flagged(scene, index))
			SCENE_CHECK(scene, flags == SHMP_SPSC_REDELIVERED);
	}
}

static void succeed_and_read(struct scene *scene)
{
	uint64_t from = next_number(scene);

	scene_bury(scene, SHMP_SPSC_CONSUMER);
	shmt_ring_attach_consumer(&scene->ring);
	SCENE_CHECK(scene, scene_drain(scene, from, SHMP_EMPTY) == scene->next);
	check_flags(scene, from, scene->next);
	scene_go_on(scene);
}

/* The producer fills the ring before anybody knows, then is told; it writes over nothing. */
static void fill_and_succeed(struct scene *scene)
{
	struct shmt_ring *ring = &scene->ring;
	uint64_t from = next_number(scene), end = scene->next;

	while (shmt_ring_push(ring, 8, end) == SHMP_DONE)
		scene->size[end++] = 8;
	SCENE_CHECK(scene, shmt_ring_push(ring, 8, end) == SHMP_FULL);
	scene_bury(scene, SHMP_SPSC_CONSUMER);
	SCENE_CHECK(scene, shmt_ring_push(ring, 8, end) == SHMP_PEER_DEAD);
	shmt_ring_attach_consumer(ring);
	SCENE_CHECK(scene, shmt_ring_push(ring, 8, end) == SHMP_FULL);
	SCENE_CHECK(scene, scene_drain(scene, from, SHMP_EMPTY) == end);
	check_flags(scene, from, end);
	scene_go_on(scene);
}

static void succeed(struct scene *scene)
{
	scene_bury(scene, SHMP_SPSC_CONSUMER);
	shmt_ring_attach_consumer(&scene->ring);
}

/* One successor takes a message, the next looks at one, the third reads the rest. */
static void succeed_thrice(struct scene *scene)
{
	struct shmp_spsc_message message = { .data = scene->witness };
	uint64_t from = next_number(scene), number = from, count;
	uint8_t buffer[SCENE_LONGEST];

	succeed(scene);
	if (shmp_spsc_pop(&scene->ring.consumer, buffer, sizeof(buffer), &message) == SHMP_DONE) {
		SCENE_CHECK(scene, message.size == scene->size[number]);
		SCENE_CHECK(scene, shmt_message_is(buffer, message.size, number));
		scene->flags[number++] = message.flags;
	}
	check_flags(scene, from, number);
	succeed(scene);
	shmp_spsc_peek(&scene->ring.consumer, &message, 1, &count);
	succeed(scene);
	SCENE_CHECK(scene, scene_drain(scene, number, SHMP_EMPTY) == scene->next);
	if (number < scene->next) {
		SCENE_CHECK(scene, scene->flags[number] == SHMP_SPSC_REDELIVERED);
		check_flags(scene, number + 1, scene->next);
	}
	scene_go_on(scene);
}

static scene_fn taken_or_again[] = { succeed_and_read, fill_and_succeed, succeed_thrice, NULL };

/* Operations */

static void tell(struct scene *scene)
{
	struct shmp_spsc_consumer *consumer = &scene->ring.consumer;

	if (shmp_spsc_producer_waits(consumer))
		shmp_spsc_tell_producer(consumer, NULL, NULL);
}

static void pop(struct scene *scene)
{
	struct shmp_spsc_message message;

	if (shmp_spsc_pop(&scene->ring.consumer, scene->witness, SCENE_LONGEST, &message) ==
	    SHMP_DONE)
		tell(scene);
}

static void pop_into_too_little(struct scene *scene)
{
	struct shmp_spsc_message message;

	shmp_spsc_pop(&scene->ring.consumer, scene->witness, 1, &message);
}

static void peek(struct scene *scene, uint64_t max)
{
	struct shmp_spsc_message messages[3];
	uint64_t count;

	shmp_spsc_peek(&scene->ring.consumer, messages, max, &count);
}

static void peek_1(struct scene *scene)
{
	peek(scene, 1);
}

static void peek_3(struct scene *scene)
{
	peek(scene, 3);
}

static void release_1(struct scene *scene)
{
	shmp_spsc_release(&scene->ring.consumer, 1);
	tell(scene);
}

static void release_3(struct scene *scene)
{
	shmp_spsc_release(&scene->ring.consumer, 3);
	tell(scene);
}

static void peek_and_release_3(struct scene *scene)
{
	peek_3(scene);
	release_3(scene);
}

static void attach(struct scene *scene)
{
	shmp_spsc_attach_consumer(&scene->ring.consumer_map, &scene->ring.consumer);
}

static void attach_and_pop(struct scene *scene)
{
	attach(scene);
	pop(scene);
}

/* States */

static struct scene *with_messages(uint64_t offset, uint64_t count, uint64_t size)
{
	struct scene *scene = scene_open(offset);

	for (uint64_t i = 0; i < count; i++)
		scene_publish(scene, size + 3 * i);
	return scene;
}

static void try(struct scene *scene, const struct scene_act *act, struct bounds set)
{
	bounds = set;
	scene_kill_everywhere(scene, act);
	scene_close(scene);
}

static void try_pop(struct scene *scene, const char *name)
{
	struct scene_act act = { .name = name, .operate = pop, .checks = taken_or_again };

	try(scene, &act, (struct bounds){ .shown = 1, .taken = 1, .copies = true });
}

TEST(pop_of_one_of_many_takes_it_or_it_comes_again, .timeout_s = 60)
{
	try_pop(with_messages(0, 4, 40), "pop, one of four");
}

TEST(pop_of_the_last_one_takes_it_or_it_comes_again, .timeout_s = 60)
{
	try_pop(with_messages(800, 1, 40), "pop, the last one");
}

TEST(pop_on_every_copy_path_takes_it_or_it_comes_again, .timeout_s = 60)
{
	static const uint64_t sizes[] = { 0, 1, 8, 13, 30, 64, 65, 100, 128, 300 };
	char name[64];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		snprintf(name, sizeof(name), "pop of %d bytes", (int)sizes[i]);
		try_pop(with_messages(2048, 2, sizes[i]), name);
	}
}

/* The first of three was taken: the consumer knows what to expect. */
static struct scene *as_before(uint64_t offset, uint64_t size)
{
	struct scene *scene = scene_open(offset);

	for (uint64_t i = 0; i < 3; i++)
		scene_publish(scene, size);
	SHMT_REQUIRE(shmt_ring_pop(&scene->ring, size, 1, NULL) == SHMP_DONE);
	scene->first = 2;
	return scene;
}

TEST(pop_of_one_like_the_last_takes_it_or_it_comes_again, .timeout_s = 60)
{
	static const uint64_t sizes[] = { 0, 1, 8, 13, 30, 64, 65, 100, 128, 129 };
	char name[64];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		snprintf(name, sizeof(name), "pop of %d bytes again", (int)sizes[i]);
		try_pop(as_before(2048, sizes[i]), name);
	}
	try_pop(as_before(SCENE_CAPACITY - 128, 100), "pop of 100 bytes again, wraps");
}

TEST(pop_of_one_like_the_last_with_a_waiting_producer, .timeout_s = 60)
{
	struct scene *scene = as_before(128, 8);
	struct shmp_spsc_control *control = scene->ring.segment.map.control;
	struct shmp_endpoint *producer = scene->ring.producer.self;

	shmp_waiter_prepare(&control->not_full, producer, SHMP_SPSC_PRODUCER, false);
	try_pop(scene, "pop of 8 bytes again, producer waits");
}

TEST(pop_across_the_end_takes_it_or_it_comes_again, .timeout_s = 60)
{
	try_pop(with_messages(SCENE_CAPACITY - 32, 2, 100), "pop, payload wraps");
	try_pop(with_messages(SCENE_CAPACITY - 8, 2, 100), "pop, wraps behind its header");
}

TEST(pop_from_a_full_ring_takes_it_or_it_comes_again, .timeout_s = 60)
{
	struct scene *scene = with_messages(0, 2, 1300);

	scene_publish(scene, SCENE_CAPACITY - 8 - 2 * 1312 - 8);
	try_pop(scene, "pop, ring exactly full");
}

TEST(pop_with_a_waiting_producer_takes_it_or_it_comes_again, .timeout_s = 60)
{
	struct scene *scene = with_messages(0, 2, 2000);
	struct shmp_spsc_control *control = scene->ring.segment.map.control;
	struct shmp_endpoint *producer = scene->ring.producer.self;

	shmp_waiter_prepare(&control->not_full, producer, SHMP_SPSC_PRODUCER, false);
	try_pop(scene, "pop, producer waits");
}

TEST(pop_that_finds_nothing_takes_nothing, .timeout_s = 60)
{
	struct scene_act empty = { .name = "pop, ring empty",
				   .operate = pop,
				   .checks = taken_or_again };
	struct scene_act little = { .name = "pop, buffer too small",
				    .operate = pop_into_too_little,
				    .checks = taken_or_again };

	try(scene_open(80), &empty, (struct bounds){ 0 });
	try(with_messages(80, 2, 30), &little, (struct bounds){ 0 });
}

TEST(what_is_peeked_at_comes_again_flagged, .timeout_s = 60)
{
	struct scene_act one = { .name = "peek", .operate = peek_1, .checks = taken_or_again };
	struct scene_act three = { .name = "peek 3", .operate = peek_3, .checks = taken_or_again };
	struct scene_act more = { .name = "peek 3 after 1",
				  .prepare = peek_1,
				  .operate = peek_3,
				  .checks = taken_or_again };
	struct scene_act less = { .name = "peek 1 after 3",
				  .prepare = peek_3,
				  .operate = peek_1,
				  .checks = taken_or_again };

	try(with_messages(80, 3, 30), &one, (struct bounds){ .shown = 1 });
	try(with_messages(SCENE_CAPACITY - 56, 4, 30), &three, (struct bounds){ .shown = 3 });
	try(with_messages(80, 4, 30), &more, (struct bounds){ .held = 1, .shown = 3 });
	try(with_messages(80, 4, 30), &less, (struct bounds){ .held = 3, .shown = 3 });
}

TEST(release_gives_back_all_or_nothing, .timeout_s = 60)
{
	struct scene_act one = { .name = "release 1 of 3",
				 .prepare = peek_3,
				 .operate = release_1,
				 .checks = taken_or_again };
	struct scene_act three = { .name = "release 3 of 3",
				   .prepare = peek_3,
				   .operate = release_3,
				   .checks = taken_or_again };
	struct scene_act both = { .name = "peek 3 and release 3",
				  .operate = peek_and_release_3,
				  .checks = taken_or_again };
	struct bounds all = { .held = 3, .shown = 3, .taken = 3 };

	try(with_messages(SCENE_CAPACITY - 56, 4, 30), &one,
	    (struct bounds){ .held = 3, .shown = 3, .taken = 1 });
	try(with_messages(SCENE_CAPACITY - 56, 4, 30), &three, all);
	all.held = 0;
	try(with_messages(SCENE_CAPACITY - 56, 4, 30), &both, all);
}

/* A consumer died with three messages in hand; another has the place and no handle yet. */
static struct scene *died_holding_3(void)
{
	struct scene *scene = with_messages(SCENE_CAPACITY - 56, 5, 30);

	peek_3(scene);
	shmt_place_vacate(&scene->ring.segment, SHMP_SPSC_CONSUMER, true, 1);
	shmt_place_assign(&scene->ring.segment, SHMP_SPSC_CONSUMER);
	return scene;
}

TEST(attach_takes_nothing_and_hides_nothing, .timeout_s = 60)
{
	struct scene_act act = { .name = "attach_consumer, after a death",
				 .operate = attach,
				 .checks = taken_or_again };

	try(died_holding_3(), &act, (struct bounds){ .held = 3, .shown = 3 });
	act.name = "attach_consumer";
	try(with_messages(160, 3, 30), &act, (struct bounds){ 0 });
}

TEST(successor_that_dies_in_turn_hides_nothing, .timeout_s = 60)
{
	struct scene_act act = { .name = "second death in a row, pop",
				 .operate = attach_and_pop,
				 .checks = taken_or_again };

	try(died_holding_3(), &act,
	    (struct bounds){ .held = 3, .shown = 3, .taken = 1, .copies = true });
}

SCENE_MAIN
