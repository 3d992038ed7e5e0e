/*
 * The producer dies after every instruction of everything it does. What was published before
 * arrives exactly, what it was about to send arrives whole or not at all, its successor counts
 * right and goes on.
 */
#include "tests/crash/scene.h"
#include "tests/support/runner.h"

/* What a finished operation has sent. */
static uint64_t sent_if_ended(const struct scene *scene)
{
	return scene->has_ended ? scene->own : 0;
}

/* All of it or nothing; all if the call returned. */
static void check_published(struct scene *scene, uint64_t published)
{
	SCENE_CHECK(scene, published == 0 || published == scene->own);
	SCENE_CHECK(scene, published >= sent_if_ended(scene));
}

/* The consumer reads all there is before the broker even knows. */
static void read_then_succeed(struct scene *scene)
{
	uint64_t end = scene_drain(scene, scene->first, SHMP_EMPTY);

	check_published(scene, end - scene->next);
	scene_bury(scene, SHMP_SPSC_PRODUCER);
	SCENE_CHECK(scene, scene_drain(scene, end, SHMP_PEER_DEAD) == end);
	shmt_ring_attach_producer(&scene->ring);
	SCENE_CHECK(scene, scene_published(scene) == end - scene->next);
	SCENE_CHECK(scene, scene_drain(scene, end, SHMP_EMPTY) == end);
	scene_go_on(scene);
}

/* The successor comes first and sends behind what is there. */
static void succeed_then_read(struct scene *scene)
{
	uint64_t published, end;

	scene_bury(scene, SHMP_SPSC_PRODUCER);
	shmt_ring_attach_producer(&scene->ring);
	published = scene_published(scene);
	check_published(scene, published);
	end = scene->next + published;
	scene->size[end] = 0; /* fits into the fullest ring that is not full */
	if (shmt_ring_push(&scene->ring, 0, end) == SHMP_DONE)
		end++;
	SCENE_CHECK(scene, scene_drain(scene, scene->first, SHMP_EMPTY) == end);
	scene_go_on(scene);
}

/* The consumer reads one, the producer is buried, two successors die idle, the rest is read. */
static void read_some_and_succeed_thrice(struct scene *scene)
{
	struct shmp_spsc_message message;
	uint8_t buffer[SCENE_LONGEST];
	uint64_t number = scene->first, size;

	if (shmp_spsc_pop(&scene->ring.consumer, buffer, sizeof(buffer), &message) == SHMP_DONE) {
		size = scene->size[number];
		SCENE_CHECK(scene, message.size == size && shmt_message_is(buffer, size, number));
		number++;
	}
	for (int i = 0; i < 3; i++) {
		scene_bury(scene, SHMP_SPSC_PRODUCER);
		shmt_ring_attach_producer(&scene->ring);
	}
	number = scene_drain(scene, number, SHMP_EMPTY);
	check_published(scene, number - scene->next);
	SCENE_CHECK(scene, scene_published(scene) == number - scene->next);
	scene_go_on(scene);
}

static scene_fn sent_or_not[] = {
	read_then_succeed,
	succeed_then_read,
	read_some_and_succeed_thrice,
	NULL,
};

/* Nothing is sent: the ring is full, or it is only a reservation. */
static void nothing_was_sent(struct scene *scene)
{
	SCENE_CHECK(scene, scene_drain(scene, scene->first, SHMP_EMPTY) == scene->next);
	scene_bury(scene, SHMP_SPSC_PRODUCER);
	shmt_ring_attach_producer(&scene->ring);
	SCENE_CHECK(scene, scene_published(scene) == 0);
	scene_go_on(scene);
}

static scene_fn nothing_sent[] = { nothing_was_sent, NULL };

/* Operations */

static void tell(struct scene *scene)
{
	struct shmp_spsc_producer *producer = &scene->ring.producer;

	if (shmp_spsc_consumer_waits(producer))
		shmp_spsc_tell_consumer(producer, NULL, NULL);
}

static void push(struct scene *scene)
{
	if (shmp_spsc_push(&scene->ring.producer, scene->payload[0], scene->size[scene->next]) ==
	    SHMP_DONE)
		tell(scene);
}

static void reserve(struct scene *scene)
{
	uint64_t size = scene->size[scene->next];
	uint8_t *room;

	if (shmp_spsc_reserve(&scene->ring.producer, size, &room) == SHMP_DONE)
		memcpy(room, scene->payload[0], size);
}

static void commit(struct scene *scene)
{
	shmp_spsc_commit(&scene->ring.producer, scene->size[scene->next]);
	tell(scene);
}

static void reserve_and_commit(struct scene *scene)
{
	reserve(scene);
	commit(scene);
}

static void reserve_and_abandon(struct scene *scene)
{
	uint8_t *room;

	/* a reservation that is given up is one that nobody speaks of again */
	shmp_spsc_reserve(&scene->ring.producer, scene->size[scene->next], &room);
}

static void add_all(struct scene *scene)
{
	for (uint64_t i = 0; i < scene->own; i++)
		shmp_spsc_batch_add(&scene->ring.producer, scene->payload[i],
				    scene->size[scene->next + i]);
}

static void publish(struct scene *scene)
{
	shmp_spsc_batch_publish(&scene->ring.producer);
	tell(scene);
}

static void add_all_and_publish(struct scene *scene)
{
	add_all(scene);
	publish(scene);
}

static void attach(struct scene *scene)
{
	shmp_spsc_attach_producer(&scene->ring.producer_map, &scene->ring.producer);
}

/* States */

static struct scene *empty_at(uint64_t offset, uint64_t size)
{
	struct scene *scene = scene_open(offset);

	scene_compose(scene, size);
	return scene;
}

/* Messages that leave exactly @room bytes of the ring, the zero behind the last not counted. */
static struct scene *with_room(uint64_t offset, uint64_t room)
{
	struct scene *scene = scene_open(offset);

	scene_publish(scene, 1000);
	scene_publish(scene, SCENE_CAPACITY - 8 - 1008 - room - 8);
	return scene;
}

static void try(struct scene *scene, const char *name, void (*operate)(struct scene *),
		scene_fn *checks)
{
	scene_kill_everywhere(
		scene, &(struct scene_act){ .name = name, .operate = operate, .checks = checks });
	scene_close(scene);
}

TEST(push_into_an_empty_ring_is_whole_or_not_at_all, .timeout_s = 60)
{
	try(empty_at(0, 40), "push, ring empty", push, sent_or_not);
}

TEST(push_of_every_copy_path_is_whole_or_not_at_all, .timeout_s = 60)
{
	static const uint64_t sizes[] = { 1, 8, 13, 30, 64, 65, 100, 128, 300 };
	char name[64];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		snprintf(name, sizeof(name), "push of %d bytes", (int)sizes[i]);
		try(empty_at(2048, sizes[i]), name, push, sent_or_not);
	}
}

TEST(push_of_zero_length_is_sent_or_not, .timeout_s = 60)
{
	try(empty_at(8, 0), "push of zero length", push, sent_or_not);
}

TEST(push_across_the_end_is_whole_or_not_at_all, .timeout_s = 60)
{
	try(empty_at(SCENE_CAPACITY - 32, 100), "push, payload wraps", push, sent_or_not);
	try(empty_at(SCENE_CAPACITY - 8, 100), "push, wraps behind its header", push, sent_or_not);
	try(empty_at(SCENE_CAPACITY - 48, 40), "push, the zero behind wraps", push, sent_or_not);
}

TEST(push_behind_others_is_whole_or_not_at_all, .timeout_s = 60)
{
	struct scene *scene = scene_open(3000);

	for (uint64_t size = 0; size < 5; size++)
		scene_publish(scene, size * 31);
	scene_compose(scene, 50);
	try(scene, "push behind five", push, sent_or_not);
}

TEST(push_into_the_last_room_is_whole_or_not_at_all, .timeout_s = 60)
{
	struct scene *scene = with_room(1000, 64);

	scene_compose(scene, 56);
	try(scene, "push into the last room", push, sent_or_not);
}

/* The producer believes the ring to be fuller than it is, and looks at the consumer again. */
TEST(push_that_looks_for_room_is_whole_or_not_at_all, .timeout_s = 60)
{
	struct scene *scene = with_room(0, 48);

	SHMT_REQUIRE(shmt_ring_pop(&scene->ring, 1000, 1, NULL) == SHMP_DONE);
	scene->first = 2;
	scene_compose(scene, 56);
	try(scene, "push, limit out of date", push, sent_or_not);
}

TEST(push_into_a_full_ring_sends_nothing, .timeout_s = 60)
{
	struct scene *scene = with_room(2000, 0);

	scene_compose(scene, 0);
	try(scene, "push, ring exactly full", push, nothing_sent);
	scene = with_room(2000, 48);
	scene_compose(scene, 56);
	try(scene, "push, eight bytes missing", push, nothing_sent);
}

/* The same with the consumer's bit set: the way to the futex. */
TEST(push_to_a_waiting_consumer_is_whole_or_not_at_all, .timeout_s = 60)
{
	struct scene *scene = empty_at(500 * 8, 24);
	struct shmp_spsc_control *control = scene->ring.segment.map.control;
	struct shmp_endpoint *consumer = scene->ring.consumer.self;

	shmp_waiter_prepare(&control->not_empty, consumer, SHMP_SPSC_CONSUMER, false);
	try(scene, "push, consumer waits", push, sent_or_not);
}

TEST(reserve_sends_nothing, .timeout_s = 60)
{
	try(empty_at(64, 90), "reserve and write", reserve, nothing_sent);
	try(empty_at(64, 90), "reserve and abandon", reserve_and_abandon, nothing_sent);
}

TEST(commit_is_whole_or_not_at_all, .timeout_s = 60)
{
	struct scene *scene = empty_at(SCENE_CAPACITY - 40, 90);
	struct scene_act act = {
		.name = "commit", .prepare = reserve, .operate = commit, .checks = sent_or_not
	};

	scene_kill_everywhere(scene, &act);
	scene_close(scene);
	try(empty_at(64, 90), "reserve, write and commit", reserve_and_commit, sent_or_not);
}

static struct scene *batch_at(uint64_t offset)
{
	struct scene *scene = scene_open(offset);

	scene_publish(scene, 77);
	scene_compose(scene, 20);
	scene_compose(scene, 0);
	scene_compose(scene, 45);
	return scene;
}

TEST(adding_to_a_batch_sends_nothing, .timeout_s = 60)
{
	try(batch_at(0), "batch of 3, add", add_all, nothing_sent);
}

TEST(publishing_a_batch_sends_all_or_nothing, .timeout_s = 60)
{
	struct scene *scene = batch_at(0);
	struct scene_act act = { .name = "batch of 3, publish",
				 .prepare = add_all,
				 .operate = publish,
				 .checks = sent_or_not };

	scene_kill_everywhere(scene, &act);
	scene_close(scene);
}

TEST(a_batch_is_sent_all_or_nothing, .timeout_s = 60)
{
	try(batch_at(0), "batch of 3", add_all_and_publish, sent_or_not);
	try(batch_at(SCENE_CAPACITY - 88), "batch of 3, first wraps", add_all_and_publish,
	    sent_or_not);
	try(batch_at(SCENE_CAPACITY - 88 - 32), "batch of 3, second wraps", add_all_and_publish,
	    sent_or_not);
	try(batch_at(SCENE_CAPACITY - 88 - 80), "batch of 3, third wraps", add_all_and_publish,
	    sent_or_not);
}

/* A producer died between the release of a header and its cursor. */
static struct scene *died_before_cursor(bool is_read)
{
	struct scene *scene = scene_open(SCENE_CAPACITY - 64);
	struct shmp_endpoint *producer = scene->ring.producer.self;
	uint64_t before;

	scene_publish(scene, 10);
	before = atomic_load(&producer->cursor);
	scene_publish(scene, 100);
	atomic_store(&producer->cursor, before);
	if (is_read) {
		SHMT_REQUIRE(shmt_ring_pop(&scene->ring, 10, 1, NULL) == SHMP_DONE);
		SHMT_REQUIRE(shmt_ring_pop(&scene->ring, 100, 2, NULL) == SHMP_DONE);
		scene->first = 3;
	}
	shmt_place_vacate(&scene->ring.segment, SHMP_SPSC_PRODUCER, true, 1);
	shmt_place_assign(&scene->ring.segment, SHMP_SPSC_PRODUCER);
	return scene;
}

TEST(attach_is_done_or_not, .timeout_s = 60)
{
	try(scene_open(64), "attach_producer, ring empty", attach, nothing_sent);
	try(died_before_cursor(false), "attach_producer, after a death", attach, nothing_sent);
	try(died_before_cursor(true), "attach_producer, after a death and read", attach,
	    nothing_sent);
}

static void attach_and_push(struct scene *scene)
{
	attach(scene);
	push(scene);
}

TEST(successor_that_dies_in_turn_sends_whole_or_not_at_all, .timeout_s = 60)
{
	for (int is_read = 0; is_read < 2; is_read++) {
		struct scene *scene = died_before_cursor(is_read);

		scene_compose(scene, 33);
		try(scene,
		    is_read ? "second death in a row, first one's read" : "second death in a row",
		    attach_and_push, sent_or_not);
	}
}

SCENE_MAIN
