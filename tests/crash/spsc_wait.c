/*
 * Death around waiting: of one who goes to sleep, of one who should wake the other, of one whose
 * doorbell is armed, and of the broker while it repairs. Nobody sleeps on; no bit stays behind.
 */
#include <poll.h>
#include <unistd.h>

#include "protocol/doorbell.h"
#include "tests/crash/scene.h"
#include "tests/support/runner.h"

static struct shmp_spsc_control *control_of(struct scene *scene)
{
	return scene->ring.segment.map.control;
}

static struct shmp_endpoint *place_of(struct scene *scene, uint32_t place)
{
	return &scene->ring.segment.map.endpoints[place];
}

/* One who goes to sleep dies */

static void park(struct scene *scene, uint32_t place, struct shmp_waiter *waiter, uint32_t behind)
{
	struct shmp_endpoint *self = &scene->ring.segment.map.endpoints[place];
	uint32_t key = shmp_waiter_prepare(waiter, self, place, scene->has_membarrier);

	shmp_waiter_sleep(waiter, key - behind, UINT64_MAX);
	shmp_waiter_finish(waiter, place);
}

static void consumer_sleeps(struct scene *scene)
{
	park(scene, SHMP_SPSC_CONSUMER, &control_of(scene)->not_empty, 0);
}

static void consumer_sleeps_too_late(struct scene *scene)
{
	park(scene, SHMP_SPSC_CONSUMER, &control_of(scene)->not_empty, 1);
}

static void producer_sleeps(struct scene *scene)
{
	park(scene, SHMP_SPSC_PRODUCER, &control_of(scene)->not_full, 0);
}

static void producer_sleeps_too_late(struct scene *scene)
{
	park(scene, SHMP_SPSC_PRODUCER, &control_of(scene)->not_full, 1);
}

/* A successor of the sleeper sleeps, too, and is woken. */
static void next_consumer_is_woken(struct scene *scene)
{
	struct shmp_spsc_producer *producer = &scene->ring.producer;

	scene_bury(scene, SHMP_SPSC_CONSUMER);
	SCENE_CHECK(scene, !shmp_spsc_consumer_waits(producer));
	shmt_ring_attach_consumer(&scene->ring);
	scene_put_to_sleep(scene, SHMP_SPSC_CONSUMER);
	SCENE_CHECK(scene, shmp_spsc_push(producer, scene->payload[0], 20) == SHMP_DONE);
	SCENE_CHECK(scene, shmp_spsc_consumer_waits(producer));
	shmp_spsc_tell_consumer(producer, NULL, NULL);
	SCENE_CHECK(scene, scene_await_riser(scene) == SHMP_DONE);
	SCENE_CHECK(scene, !shmp_spsc_consumer_waits(producer));
}

static void next_producer_is_woken(struct scene *scene)
{
	struct shmp_spsc_consumer *consumer = &scene->ring.consumer;

	scene_bury(scene, SHMP_SPSC_PRODUCER);
	SCENE_CHECK(scene, !shmp_spsc_producer_waits(consumer));
	shmt_ring_attach_producer(&scene->ring);
	scene_put_to_sleep(scene, SHMP_SPSC_PRODUCER);
	SCENE_CHECK(scene, shmt_ring_pop(&scene->ring, SCENE_LONGEST, 1, NULL) == SHMP_DONE);
	SCENE_CHECK(scene, shmp_spsc_producer_waits(consumer));
	shmp_spsc_tell_producer(consumer, NULL, NULL);
	SCENE_CHECK(scene, scene_await_riser(scene) == SHMP_DONE);
	SCENE_CHECK(scene, !shmp_spsc_producer_waits(consumer));
}

static scene_fn next_consumer_woken[] = { next_consumer_is_woken, NULL };
static scene_fn next_producer_woken[] = { next_producer_is_woken, NULL };

/* Empty, and a message of 20 bytes to be sent; or exactly full with one message. */
static struct scene *empty_scene(void)
{
	struct scene *scene = scene_open(SCENE_CAPACITY - 16);

	scene_compose(scene, 20);
	return scene;
}

static struct scene *full_scene(void)
{
	struct scene *scene = scene_open(SCENE_CAPACITY - 16);

	scene_publish(scene, SCENE_LONGEST);
	return scene;
}

static void try(struct scene *scene, const struct scene_act *act)
{
	scene_kill_everywhere(scene, act);
	scene_close(scene);
}

TEST(a_consumer_that_dies_on_its_way_to_sleep_leaves_no_trace, .timeout_s = 60)
{
	struct scene_act act = { .name = "consumer goes to sleep",
				 .operate = consumer_sleeps,
				 .checks = next_consumer_woken,
				 .may_sleep = true };

	try(empty_scene(), &act);
	act = (struct scene_act){ .name = "consumer comes too late to sleep",
				  .operate = consumer_sleeps_too_late,
				  .checks = next_consumer_woken };
	try(empty_scene(), &act);
}

TEST(a_producer_that_dies_on_its_way_to_sleep_leaves_no_trace, .timeout_s = 60)
{
	struct scene_act act = { .name = "producer goes to sleep",
				 .operate = producer_sleeps,
				 .checks = next_producer_woken,
				 .may_sleep = true };

	try(full_scene(), &act);
	act = (struct scene_act){ .name = "producer comes too late to sleep",
				  .operate = producer_sleeps_too_late,
				  .checks = next_producer_woken };
	try(full_scene(), &act);
}

/* One who should wake the other dies */

static void push_and_tell(struct scene *scene)
{
	struct shmp_spsc_producer *producer = &scene->ring.producer;

	shmp_spsc_push(producer, scene->payload[0], scene->size[scene->next]);
	if (shmp_spsc_consumer_waits(producer))
		shmp_spsc_tell_consumer(producer, NULL, NULL);
}

static void pop_and_tell(struct scene *scene)
{
	struct shmp_spsc_consumer *consumer = &scene->ring.consumer;
	struct shmp_spsc_message message;

	shmp_spsc_pop(consumer, scene->witness, SCENE_LONGEST, &message);
	if (shmp_spsc_producer_waits(consumer))
		shmp_spsc_tell_producer(consumer, NULL, NULL);
}

static void consumer_is_asleep(struct scene *scene)
{
	scene_put_to_sleep(scene, SHMP_SPSC_CONSUMER);
}

static void producer_is_asleep(struct scene *scene)
{
	scene_put_to_sleep(scene, SHMP_SPSC_PRODUCER);
}

/* By the dead one's own call, if it came so far, or by repair. */
static void consumer_wakes_up(struct scene *scene)
{
	uint64_t published;
	int r;

	if (scene->has_ended)
		SCENE_CHECK(scene, scene_await_riser(scene) == SHMP_DONE);
	scene_bury(scene, SHMP_SPSC_PRODUCER);
	r = scene->has_ended ? SHMP_DONE : scene_await_riser(scene);
	shmt_ring_attach_producer(&scene->ring);
	published = scene_published(scene);
	SCENE_CHECK(scene, r == (published ? SHMP_DONE : SHMP_PEER_DEAD));
	SCENE_CHECK(scene, scene_drain(scene, scene->next + published, SHMP_EMPTY) ==
				   scene->next + published);
	scene_go_on(scene);
}

static void producer_wakes_up(struct scene *scene)
{
	uint64_t taken;
	int r;

	if (scene->has_ended)
		SCENE_CHECK(scene, scene_await_riser(scene) == SHMP_DONE);
	taken = atomic_load(&place_of(scene, SHMP_SPSC_CONSUMER)->cursor) != scene->tail;
	scene_bury(scene, SHMP_SPSC_CONSUMER);
	r = scene->has_ended ? SHMP_DONE : scene_await_riser(scene);
	SCENE_CHECK(scene, r == (taken ? SHMP_DONE : SHMP_PEER_DEAD));
	shmt_ring_attach_consumer(&scene->ring);
	scene->size[scene->next] = SCENE_LARGE;
	SCENE_CHECK(scene,
		    scene_drain(scene, scene->first + taken, SHMP_EMPTY) == scene->next + taken);
	scene_go_on(scene);
}

static scene_fn consumer_wakes[] = { consumer_wakes_up, NULL };
static scene_fn producer_wakes[] = { producer_wakes_up, NULL };

TEST(a_sleeping_consumer_wakes_whenever_its_producer_dies, .timeout_s = 60)
{
	struct scene_act act = { .name = "push, consumer asleep",
				 .operate = push_and_tell,
				 .checks = consumer_wakes,
				 .before = consumer_is_asleep };

	try(empty_scene(), &act);
}

TEST(a_sleeping_producer_wakes_whenever_its_consumer_dies, .timeout_s = 60)
{
	struct scene_act act = { .name = "pop, producer asleep",
				 .operate = pop_and_tell,
				 .checks = producer_wakes,
				 .before = producer_is_asleep };
	struct scene *scene = scene_open(0);

	scene_publish(scene, 1500);
	scene_publish(scene, 1500);
	try(scene, &act);
}

/* With a doorbell */

/* Of the consumer, made by the broker, that holds both ends. */
static int bell_ring = -1, bell_poll = -1;

static void make_bell(struct scene *scene)
{
	if (bell_ring >= 0)
		close(bell_ring);
	if (bell_poll >= 0)
		close(bell_poll);
	SHMT_REQUIRE(shmp_doorbell_make(true, &bell_ring, &bell_poll) == 0);
	(void)scene;
}

static void arm_bell(struct scene *scene)
{
	shmp_doorbell_arm(bell_poll, &control_of(scene)->not_empty,
			  place_of(scene, SHMP_SPSC_CONSUMER), SHMP_SPSC_CONSUMER, 1,
			  scene->has_membarrier);
}

static void make_and_arm_bell(struct scene *scene)
{
	make_bell(scene);
	arm_bell(scene);
}

static void arm_and_disarm_bell(struct scene *scene)
{
	arm_bell(scene);
	shmp_doorbell_disarm(&control_of(scene)->not_empty, place_of(scene, SHMP_SPSC_CONSUMER),
			     SHMP_SPSC_CONSUMER);
}

static void ring_bell(void *ringer, uint32_t endpoint)
{
	(void)ringer;
	SHMT_REQUIRE(endpoint == SHMP_SPSC_CONSUMER);
	shmp_doorbell_ring(bell_ring);
}

static void push_and_ring(struct scene *scene)
{
	struct shmp_spsc_producer *producer = &scene->ring.producer;

	shmp_spsc_push(producer, scene->payload[0], scene->size[scene->next]);
	if (shmp_spsc_consumer_waits(producer))
		shmp_spsc_tell_consumer(producer, ring_bell, NULL);
}

static bool is_rung(void)
{
	struct pollfd at = { .fd = bell_poll, .events = POLLIN };

	return poll(&at, 1, 0) == 1;
}

static void bell_is_rung(struct scene *scene)
{
	if (scene->has_ended)
		SCENE_CHECK(scene, is_rung());
	scene_bury(scene, SHMP_SPSC_PRODUCER);
	shmp_doorbell_ring(bell_ring); /* as the broker does, for all that are armed */
	SCENE_CHECK(scene, is_rung());
	shmt_ring_attach_producer(&scene->ring);
	scene_drain(scene, scene->next, SHMP_EMPTY);
	arm_bell(scene);
	SCENE_CHECK(scene, !is_rung());
	push_and_ring(scene);
	SCENE_CHECK(scene, is_rung());
}

/* The same number of an arming as the dead one's, and a producer that has rung for that. */
static void next_bell_is_rung(struct scene *scene)
{
	push_and_ring(scene);
	scene_bury(scene, SHMP_SPSC_CONSUMER);
	shmt_ring_attach_consumer(&scene->ring);
	scene_drain(scene, scene->next, SHMP_EMPTY);
	make_and_arm_bell(scene);
	SCENE_CHECK(scene, !is_rung());
	push_and_ring(scene);
	SCENE_CHECK(scene, is_rung());
}

static scene_fn bell_rung[] = { bell_is_rung, NULL };
static scene_fn next_bell_rung[] = { next_bell_is_rung, NULL };

TEST(a_bell_is_rung_whenever_the_producer_dies, .timeout_s = 60)
{
	struct scene_act act = { .name = "push, doorbell armed",
				 .operate = push_and_ring,
				 .checks = bell_rung,
				 .before = make_and_arm_bell };

	try(empty_scene(), &act);
}

TEST(a_consumer_that_dies_arming_its_bell_leaves_no_trace, .timeout_s = 60)
{
	struct scene_act arm = { .name = "arm a doorbell",
				 .operate = arm_bell,
				 .checks = next_bell_rung,
				 .before = make_bell };
	struct scene_act both = { .name = "arm and disarm a doorbell",
				  .operate = arm_and_disarm_bell,
				  .checks = next_bell_rung,
				  .before = make_bell };

	try(empty_scene(), &arm);
	try(empty_scene(), &both);
}

/* The broker dies */

static void repair_producer(struct scene *scene)
{
	shmt_place_vacate(&scene->ring.segment, SHMP_SPSC_PRODUCER, true, 1);
}

static void repair_consumer(struct scene *scene)
{
	shmt_place_vacate(&scene->ring.segment, SHMP_SPSC_CONSUMER, true, 1);
}

static void give_producer_out(struct scene *scene)
{
	shmt_place_assign(&scene->ring.segment, SHMP_SPSC_PRODUCER);
}

/* The next broker repeats a repair that is not done, and wakes whatever it finds. */
static void repair_again(struct scene *scene, uint32_t place)
{
	const struct shmt_segment *segment = &scene->ring.segment;

	if (shmp_endpoint_look(place_of(scene, place)) != SHMP_ENDPOINT_DEAD)
		scene_bury(scene, place);
	segment->kind->wake(&segment->map);
}

static void consumer_wakes_after_all(struct scene *scene)
{
	repair_again(scene, SHMP_SPSC_PRODUCER);
	SCENE_CHECK(scene, scene_await_riser(scene) == SHMP_PEER_DEAD);
	shmt_ring_attach_producer(&scene->ring);
	scene_go_on(scene);
}

static void producer_wakes_after_all(struct scene *scene)
{
	repair_again(scene, SHMP_SPSC_CONSUMER);
	SCENE_CHECK(scene, scene_await_riser(scene) == SHMP_PEER_DEAD);
	shmt_ring_attach_consumer(&scene->ring);
	SCENE_CHECK(scene, scene_drain(scene, scene->first, SHMP_EMPTY) == scene->next);
	scene_go_on(scene);
}

/* The next broker finds the place as it was, or held by one who never heard of it. */
static void producer_is_given_out_again(struct scene *scene)
{
	if (!shmp_endpoint_is_open(shmp_endpoint_look(place_of(scene, SHMP_SPSC_PRODUCER))))
		scene_bury(scene, SHMP_SPSC_PRODUCER);
	shmt_ring_attach_producer(&scene->ring);
	SCENE_CHECK(scene, scene_drain(scene, scene->first, SHMP_EMPTY) == scene->next);
	scene_go_on(scene);
}

static scene_fn consumer_wakes_after[] = { consumer_wakes_after_all, NULL };
static scene_fn producer_wakes_after[] = { producer_wakes_after_all, NULL };
static scene_fn given_out_again[] = { producer_is_given_out_again, NULL };

TEST(a_broker_that_dies_repairing_leaves_nobody_asleep, .timeout_s = 60)
{
	struct scene_act producer = { .name = "broker repairs a producer",
				      .operate = repair_producer,
				      .checks = consumer_wakes_after,
				      .before = consumer_is_asleep };
	struct scene_act consumer = { .name = "broker repairs a consumer",
				      .operate = repair_consumer,
				      .checks = producer_wakes_after,
				      .before = producer_is_asleep };

	try(empty_scene(), &producer);
	try(full_scene(), &consumer);
}

TEST(a_broker_that_dies_giving_a_place_out_harms_nobody, .timeout_s = 60)
{
	struct scene_act act = { .name = "broker gives a place out",
				 .operate = give_producer_out,
				 .checks = given_out_again,
				 .before = repair_producer };
	struct scene *scene = scene_open(64);

	scene_publish(scene, 100);
	scene_publish(scene, 0);
	try(scene, &act);
}

SCENE_MAIN
