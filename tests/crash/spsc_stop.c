/*
 * Either side is stopped, not dead, after every instruction of what it does. Nobody takes anything
 * from it or is told that it died; when it goes on, it ends as if nothing had been.
 */
#include "tests/crash/scene.h"
#include "tests/support/runner.h"

/* Behind the last message that was read or sent while the other side was stopped. */
static uint64_t reached;

/* The producer is stopped */

static void read_meanwhile(struct scene *scene)
{
	reached = scene_drain(scene, scene->first, SHMP_EMPTY);
	SCENE_CHECK(scene, reached == scene->next || reached == scene->next + scene->own);
}

static void read_the_rest(struct scene *scene)
{
	SCENE_CHECK(scene, scene_drain(scene, reached, SHMP_EMPTY) == scene->next + scene->own);
	scene_bury(scene, SHMP_SPSC_PRODUCER); /* it has ended by now */
	shmt_ring_attach_producer(&scene->ring);
	SCENE_CHECK(scene, scene_published(scene) == scene->own);
	scene_go_on(scene);
}

static scene_fn reads_meanwhile[] = { read_meanwhile, NULL };

static void push(struct scene *scene)
{
	SHMT_REQUIRE(shmp_spsc_push(&scene->ring.producer, scene->payload[0],
				    scene->size[scene->next]) == SHMP_DONE);
}

static void push_batch(struct scene *scene)
{
	for (uint64_t i = 0; i < scene->own; i++)
		SHMT_REQUIRE(shmp_spsc_batch_add(&scene->ring.producer, scene->payload[i],
						 scene->size[scene->next + i]) == SHMP_DONE);
	shmp_spsc_batch_publish(&scene->ring.producer);
}

static void stop_producer(const char *name, void (*operate)(struct scene *), int count)
{
	struct scene_act act = { .name = name, .operate = operate, .checks = reads_meanwhile };
	struct scene *scene = scene_open(SCENE_CAPACITY - 80);

	scene_publish(scene, 20);
	for (int i = 0; i < count; i++)
		scene_compose(scene, 100);
	scene_stop_everywhere(scene, &act, read_the_rest);
	scene_close(scene);
}

TEST(producer_stopped_anywhere_in_a_push_ends_it_later, .timeout_s = 60)
{
	stop_producer("push, stopped", push, 1);
}

TEST(producer_stopped_anywhere_in_a_batch_ends_it_later, .timeout_s = 60)
{
	stop_producer("batch of 2, stopped", push_batch, 2);
}

/* The consumer is stopped */

static void fill_meanwhile(struct scene *scene)
{
	struct shmt_ring *ring = &scene->ring;

	reached = scene->next;
	while (shmt_ring_push(ring, 8, reached) == SHMP_DONE)
		scene->size[reached++] = 8;
	SCENE_CHECK(scene, shmt_ring_push(ring, 8, reached) == SHMP_FULL);
}

/* The consumer was at the first message, and has taken that one. */
static void read_the_others(struct scene *scene)
{
	scene_bury(scene, SHMP_SPSC_CONSUMER); /* it has ended by now */
	shmt_ring_attach_consumer(&scene->ring);
	SCENE_CHECK(scene, shmt_message_is(scene->witness, scene->size[1], 1));
	SCENE_CHECK(scene, scene_drain(scene, scene->first + 1, SHMP_EMPTY) == reached);
	for (uint64_t number = scene->first + 1; number < reached; number++)
		SCENE_CHECK(scene, scene->flags[number] == 0);
	scene_go_on(scene);
}

static scene_fn fills_meanwhile[] = { fill_meanwhile, NULL };

static void pop(struct scene *scene)
{
	struct shmp_spsc_message message;

	SHMT_REQUIRE(shmp_spsc_pop(&scene->ring.consumer, scene->witness, SCENE_LONGEST,
				   &message) == SHMP_DONE);
}

static void peek_and_release(struct scene *scene)
{
	struct shmp_spsc_message message;
	uint64_t count;

	SHMT_REQUIRE(shmp_spsc_peek(&scene->ring.consumer, &message, 1, &count) == SHMP_DONE);
	memcpy(scene->witness, message.data, message.size);
	SHMT_REQUIRE(shmp_spsc_release(&scene->ring.consumer, 1) == SHMP_DONE);
}

static void stop_consumer(const char *name, void (*operate)(struct scene *))
{
	struct scene_act act = { .name = name, .operate = operate, .checks = fills_meanwhile };
	struct scene *scene = scene_open(SCENE_CAPACITY - 80);

	for (int i = 0; i < 3; i++)
		scene_publish(scene, 100);
	scene_stop_everywhere(scene, &act, read_the_others);
	scene_close(scene);
}

TEST(consumer_stopped_anywhere_in_a_pop_ends_it_later, .timeout_s = 60)
{
	stop_consumer("pop, stopped", pop);
}

TEST(consumer_stopped_anywhere_in_peek_and_release_ends_it_later, .timeout_s = 60)
{
	stop_consumer("peek and release, stopped", peek_and_release);
}

SCENE_MAIN
