/*
 * The same through the library, with a real broker: a process dies after every instruction of a
 * public call; the broker notices and repairs by itself, and the parent, who has the other end,
 * sees it and opens the dead one's role.
 */
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "protocol/waiter.h"
#include "tests/crash/stepper.h"
#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/runner.h"

enum {
	WORDS = 6, /* of a message */
	BYTES = WORDS * 8,
	BEFORE_MAX = 2,
	OWN = 3,   /* messages of the producer's, after those before */
	THERE = 4, /* messages that a consumer finds */
	NUMBERS = 16,
	SAMPLES = 500,		/* of a call that talks with the broker; else every point */
	SAMPLES_SANITIZED = 20, /* of any */
};
#define SOON_NS INT64_C(5000000000)

/* What the child popped or was shown, so that it outlives it; all ones before. */
struct witness {
	uint64_t words[WORDS];
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_spsc *queue; /* the parent's end */
	int bell;
	struct witness *witness;
	const struct act *act;
	unsigned long point;
	bool has_ended;
	/* the child's */
	struct shmc_spsc *own;
	uint64_t payload[OWN][WORDS];
	void *room;
};

struct act {
	const char *name;
	enum shmc_spsc_role role;
	void (*prepare)(struct scene *scene);
	void (*operate)(struct scene *scene);
	void (*check)(struct scene *scene); /* after the death */
	bool has_bell;	 /* the parent's end, armed: then the call talks with the broker */
	uint64_t before; /* producer: messages sent before, numbers from 0 on */
	uint64_t sends;	 /* by the call: all of them or none */
	uint64_t base;	 /* consumer: messages taken before; and from there on, */
	uint64_t held;	 /* shown before the call, */
	uint64_t shown;	 /* by its end, */
	uint64_t taken;	 /* and taken by its end */
};

#define CHECK(scene_, condition_)                                                            \
	do {                                                                                 \
		if (!(condition_))                                                           \
			ck_abort_msg("%s: %s, %lu instructions done%s", (scene_)->act->name, \
				     #condition_, (scene_)->point,                           \
				     (scene_)->has_ended ? ", all of them" : "");            \
	} while (0)

/* Numbered messages */

static void fill(uint64_t *words, uint64_t number)
{
	for (uint64_t i = 0; i < WORDS; i++)
		words[i] = number * 1000 + i;
}

static bool is_message(const void *data, uint64_t size, uint64_t number)
{
	uint64_t words[WORDS];

	fill(words, number);
	return size == BYTES && memcmp(data, words, BYTES) == 0;
}

static void push(struct scene *scene, struct shmc_spsc *queue, uint64_t number)
{
	uint64_t words[WORDS];

	fill(words, number);
	CHECK(scene, shmc_spsc_push(queue, words, BYTES, SHMC_TRY) == SHMC_OK);
}

/* Pops what must be message @number, *@number + 1 ...; says why it stopped. */
static enum shmc_result drain(struct scene *scene, struct shmc_spsc *queue, int64_t timeout_ns,
			      uint64_t *number, uint32_t *flags)
{
	struct shmc_message message;
	uint64_t words[WORDS];
	enum shmc_result result;

	for (;;) {
		result = shmc_spsc_pop(queue, words, sizeof(words), timeout_ns, &message);
		if (result != SHMC_OK)
			return result;
		CHECK(scene, *number < NUMBERS);
		CHECK(scene, is_message(message.data, message.size, *number));
		flags[(*number)++] = message.flags;
	}
}

static void go_on(struct scene *scene, struct shmc_spsc *producer, struct shmc_spsc *consumer)
{
	struct shmc_message message;
	uint64_t words[WORDS];

	for (uint64_t number = 0; number < 200; number++) {
		push(scene, producer, number);
		CHECK(scene,
		      shmc_spsc_pop(consumer, words, sizeof(words), SHMC_TRY, &message) == SHMC_OK);
		CHECK(scene, is_message(words, message.size, number) && message.flags == 0);
	}
	for (uint64_t number = 0; number < (4096 - 8) / (BYTES + 8); number++)
		push(scene, producer, number);
	CHECK(scene, shmc_spsc_push(producer, words, BYTES, SHMC_TRY) == SHMC_FULL);
}

/* Soon, or never. */
static bool is_rung(int bell)
{
	struct pollfd at = { .fd = bell, .events = POLLIN };

	return poll(&at, 1, (int)shmt_scaled(5000)) == 1 && at.revents == POLLIN;
}

/* After the death of a producer */

static void read_and_succeed(struct scene *scene)
{
	struct shmc_statistics statistics;
	struct shmc_spsc *successor;
	uint32_t flags[NUMBERS];
	uint64_t number = 0, sent;

	if (scene->act->has_bell)
		CHECK(scene, is_rung(scene->bell));
	CHECK(scene, drain(scene, scene->queue, SOON_NS, &number, flags) == SHMC_PEER_DEAD);
	sent = number - scene->act->before;
	CHECK(scene, sent == 0 || sent == scene->act->sends);
	CHECK(scene, !scene->has_ended || sent == scene->act->sends);
	successor = shmt_open(scene->client, "queue", SHMC_SPSC_PRODUCER);
	CHECK(scene, shmc_spsc_statistics(successor, &statistics, NULL, NULL) == SHMC_OK);
	CHECK(scene, statistics.messages == number);
	go_on(scene, successor, scene->queue);
	shmc_spsc_close(successor);
}

/* After the death of a consumer */

static void await_death(struct scene *scene)
{
	uint64_t end_ns = shmp_clock_ns() + shmt_scaled((unsigned long)SOON_NS);

	while (shmc_spsc_peer(scene->queue) != SHMC_PEER_DIED) {
		CHECK(scene, shmp_clock_ns() < end_ns);
		sched_yield();
	}
}

static bool is_touched(const struct scene *scene)
{
	for (size_t i = 0; i < WORDS; i++)
		if (scene->witness->words[i] != UINT64_MAX)
			return true;
	return false;
}

static void check_flags(struct scene *scene, uint64_t first, const uint32_t *flags)
{
	const struct act *act = scene->act;

	for (uint64_t number = first; number < THERE; number++) {
		uint64_t index = number - act->base;
		bool must_be = index < act->held || (scene->has_ended && index < act->shown) ||
			       (index == 0 && is_touched(scene));

		CHECK(scene, index < act->shown || flags[number] == 0);
		CHECK(scene, !must_be || flags[number] == SHMC_REDELIVERED);
	}
}

/* Which message the successor gets first; the dead one took those before. */
static uint64_t first_of(struct scene *scene, struct shmc_spsc *successor, uint32_t *flags)
{
	const struct act *act = scene->act;
	struct shmc_message message;
	uint64_t first = act->base;

	CHECK(scene, shmc_spsc_peek(successor, SHMC_TRY, &message) == SHMC_OK);
	while (!is_message(message.data, message.size, first))
		CHECK(scene, ++first < THERE);
	CHECK(scene, shmc_spsc_release(successor, 1) == SHMC_OK);
	CHECK(scene, first <= act->base + act->taken);
	CHECK(scene, !scene->has_ended || first == act->base + act->taken);
	flags[first] = message.flags;
	return first;
}

static void succeed_and_read(struct scene *scene)
{
	uint32_t flags[NUMBERS];
	struct shmc_spsc *successor;
	uint64_t first, number;

	await_death(scene);
	/* the first one takes one and leaves, so that flags must outlive it */
	successor = shmt_open(scene->client, "queue", SHMC_SPSC_CONSUMER);
	first = first_of(scene, successor, flags);
	shmc_spsc_close(successor);
	successor = shmt_open(scene->client, "queue", SHMC_SPSC_CONSUMER);
	number = first + 1;
	CHECK(scene, drain(scene, successor, SHMC_TRY, &number, flags) == SHMC_EMPTY);
	CHECK(scene, number == THERE);
	check_flags(scene, first, flags);
	go_on(scene, scene->queue, successor);
	shmc_spsc_close(successor);
}

/* All had been taken; the successor has a bell of its own, and the producer finds it. */
static void succeed_with_a_bell(struct scene *scene)
{
	struct shmc_spsc *successor;
	uint64_t number = THERE;
	uint32_t flags[NUMBERS];
	int bell;

	await_death(scene);
	successor = shmt_open(scene->client, "queue", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmc_spsc_fd(successor, &bell, NULL));
	CHECK(scene, drain(scene, successor, SHMC_TRY, &number, flags) == SHMC_EMPTY);
	push(scene, scene->queue, THERE);
	CHECK(scene, is_rung(bell));
	CHECK(scene, drain(scene, successor, SHMC_TRY, &number, flags) == SHMC_EMPTY);
	CHECK(scene, number == THERE + 1 && flags[THERE] == 0);
	shmc_spsc_close(successor);
}

/* The child */

static void child_prepare(void *context)
{
	struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);

	scene->own = shmt_open(client, "queue", scene->act->role);
	if (scene->act->role == SHMC_SPSC_PRODUCER)
		for (uint64_t number = 0; number < scene->act->before; number++)
			push(scene, scene->own, number);
	for (uint64_t i = 0; i < OWN; i++)
		fill(scene->payload[i], scene->act->before + i);
	if (scene->act->prepare)
		scene->act->prepare(scene);
}

static void child_operate(void *context)
{
	struct scene *scene = context;

	scene->act->operate(scene);
}

/* Runs */

static void set_up(struct scene *scene)
{
	bool is_producer = scene->act->role == SHMC_SPSC_PRODUCER;

	shmt_create(scene->client, "queue", 4096);
	scene->queue = shmt_open(scene->client, "queue",
				 is_producer ? SHMC_SPSC_CONSUMER : SHMC_SPSC_PRODUCER);
	for (uint64_t number = 0; !is_producer && number < THERE; number++)
		push(scene, scene->queue, number);
	memset(scene->witness, 0xff, sizeof(*scene->witness));
	if (scene->act->has_bell) {
		uint64_t number = 0;

		shmt_assert_ok(shmc_spsc_fd(scene->queue, &scene->bell, NULL));
		CHECK(scene, drain(scene, scene->queue, SHMC_TRY, &number, NULL) == SHMC_EMPTY);
	}
}

static void tear_down(struct scene *scene)
{
	shmc_spsc_close(scene->queue);
	shmt_assert_ok(shmc_unlink(scene->client, "queue", NULL));
}

static void measure(struct scene *scene, struct stepper_path *ret_path)
{
	struct stepper stepper = { 0 };

	set_up(scene);
	stepper_start(&stepper, child_prepare, child_operate, scene);
	stepper_measure(&stepper, ret_path);
	stepper_kill(&stepper);
	tear_down(scene);
}

static void die_at(struct scene *scene, const struct stepper_path *path, unsigned long point)
{
	struct stepper stepper = { .may_stray = scene->act->has_bell };

	set_up(scene);
	stepper_start(&stepper, child_prepare, child_operate, scene);
	scene->point = point;
	scene->has_ended = stepper_go_to(&stepper, path, point) == STEPPER_ENDED;
	stepper_kill(&stepper);
	scene->act->check(scene);
	tear_down(scene);
}

static void kill_everywhere(const struct act *act)
{
	struct scene scene = { .broker = shmt_broker_start(NULL), .act = act };
	unsigned long stride = 1, points = 0;
	struct stepper_path path;

	scene.client = shmt_connect(&scene.broker);
	scene.witness = mmap(NULL, sizeof(*scene.witness), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	measure(&scene, &path);
	if (STEPPER_SAMPLES)
		stride = 1 + path.count / SAMPLES_SANITIZED;
	else if (act->has_bell)
		stride = 1 + path.count / SAMPLES;
	for (unsigned long point = 0; point < path.count; point += stride, points++)
		die_at(&scene, &path, point);
	die_at(&scene, &path, path.count);
	points++;
	printf("# %s: %lu kill points\n", act->name, points);
	if (points <= path.count)
		printf("# (samples of %lu)\n", path.count + 1);
	stepper_forget(&path);
	munmap(scene.witness, sizeof(*scene.witness));
	shmc_disconnect(scene.client);
	shmt_broker_stop(&scene.broker);
}

/* The producer's calls */

static void do_push(struct scene *scene)
{
	shmc_spsc_push(scene->own, scene->payload[0], BYTES, SHMC_FOREVER);
}

static void do_try_push(struct scene *scene)
{
	shmc_spsc_try_push(scene->own, scene->payload[0], BYTES);
}

static void do_reserve(struct scene *scene)
{
	if (shmc_spsc_reserve(scene->own, BYTES, SHMC_TRY, &scene->room) == SHMC_OK)
		memcpy(scene->room, scene->payload[0], BYTES);
}

static void do_commit(struct scene *scene)
{
	shmc_spsc_commit(scene->own, BYTES);
}

static void do_abort(struct scene *scene)
{
	shmc_spsc_abort(scene->own);
}

static void do_push_batch(struct scene *scene)
{
	struct shmc_bytes messages[3];
	uint64_t count;

	for (size_t i = 0; i < 3; i++)
		messages[i] = (struct shmc_bytes){ .data = scene->payload[i], .size = BYTES };
	shmc_spsc_push_batch(scene->own, messages, 3, SHMC_TRY, &count);
}

static void try_sending(const char *name, void (*prepare)(struct scene *),
			void (*operate)(struct scene *), uint64_t sends)
{
	kill_everywhere(&(struct act){ .name = name,
				       .role = SHMC_SPSC_PRODUCER,
				       .prepare = prepare,
				       .operate = operate,
				       .check = read_and_succeed,
				       .before = 2,
				       .sends = sends });
}

TEST(a_push_is_sent_or_not, .timeout_s = 60)
{
	try_sending("shmc_spsc_push", NULL, do_push, 1);
	try_sending("shmc_spsc_try_push", NULL, do_try_push, 1);
}

/* The first of a handle: it asks the broker to ring, and for the ringing end. */
TEST(a_push_that_rings_is_sent_or_not_and_the_bell_is_rung, .timeout_s = 60)
{
	kill_everywhere(&(struct act){ .name = "shmc_spsc_push, doorbell armed",
				       .role = SHMC_SPSC_PRODUCER,
				       .operate = do_push,
				       .check = read_and_succeed,
				       .has_bell = true,
				       .sends = 1 });
}

TEST(a_reservation_is_never_sent, .timeout_s = 60)
{
	try_sending("shmc_spsc_reserve", NULL, do_reserve, 0);
	try_sending("shmc_spsc_abort", do_reserve, do_abort, 0);
}

TEST(a_commit_is_sent_or_not, .timeout_s = 60)
{
	try_sending("shmc_spsc_commit", do_reserve, do_commit, 1);
}

TEST(a_batch_is_sent_whole_or_not_at_all, .timeout_s = 60)
{
	try_sending("shmc_spsc_push_batch of 3", NULL, do_push_batch, 3);
}

/* The consumer's calls */

static void do_pop(struct scene *scene)
{
	struct shmc_message message;

	shmc_spsc_pop(scene->own, scene->witness->words, BYTES, SHMC_FOREVER, &message);
}

static void do_peek(struct scene *scene)
{
	struct shmc_message message;

	shmc_spsc_peek(scene->own, SHMC_TRY, &message);
}

static void do_peek_3(struct scene *scene)
{
	struct shmc_message messages[3];
	uint64_t count;

	shmc_spsc_peek_batch(scene->own, messages, 3, SHMC_TRY, &count);
}

static void do_release_1(struct scene *scene)
{
	shmc_spsc_release(scene->own, 1);
}

static void do_release_3(struct scene *scene)
{
	shmc_spsc_release(scene->own, 3);
}

static void do_arm(struct scene *scene)
{
	struct shmc_message message;

	shmc_spsc_try_pop(scene->own, scene->witness->words, BYTES, &message);
}

static void take_all_and_have_bell(struct scene *scene)
{
	uint32_t flags[NUMBERS];
	uint64_t number = 0;
	int bell;

	CHECK(scene, drain(scene, scene->own, SHMC_TRY, &number, flags) == SHMC_EMPTY);
	shmt_assert_ok(shmc_spsc_fd(scene->own, &bell, NULL));
}

static void take_one(struct scene *scene)
{
	struct shmc_message message;
	uint64_t words[WORDS];

	shmt_assert_ok(shmc_spsc_try_pop(scene->own, words, BYTES, &message));
}

/* @set: base, held, shown and taken. */
static void try_taking(const char *name, void (*prepare)(struct scene *),
		       void (*operate)(struct scene *), struct act set)
{
	set.name = name;
	set.role = SHMC_SPSC_CONSUMER;
	set.prepare = prepare;
	set.operate = operate;
	set.check = succeed_and_read;
	kill_everywhere(&set);
}

TEST(a_pop_takes_the_message_or_it_comes_again, .timeout_s = 60)
{
	try_taking("shmc_spsc_pop", NULL, do_pop, (struct act){ .shown = 1, .taken = 1 });
	try_taking("shmc_spsc_pop, one like the last", take_one, do_pop,
		   (struct act){ .base = 1, .shown = 1, .taken = 1 });
}

TEST(a_pop_that_arms_the_bell_leaves_no_trace, .timeout_s = 60)
{
	kill_everywhere(&(struct act){ .name = "shmc_spsc_try_pop, arms the doorbell",
				       .role = SHMC_SPSC_CONSUMER,
				       .prepare = take_all_and_have_bell,
				       .operate = do_arm,
				       .check = succeed_with_a_bell });
}

TEST(what_was_peeked_at_comes_again_flagged, .timeout_s = 60)
{
	try_taking("shmc_spsc_peek", NULL, do_peek, (struct act){ .shown = 1 });
	try_taking("shmc_spsc_peek_batch of 3", NULL, do_peek_3, (struct act){ .shown = 3 });
}

TEST(a_release_gives_back_all_of_it_or_nothing, .timeout_s = 60)
{
	try_taking("shmc_spsc_release of 1 of 3", do_peek_3, do_release_1,
		   (struct act){ .held = 3, .shown = 3, .taken = 1 });
	try_taking("shmc_spsc_release of 3 of 3", do_peek_3, do_release_3,
		   (struct act){ .held = 3, .shown = 3, .taken = 3 });
}

int main(int argc, char **argv)
{
	return STEPPER_WORKS ? shmt_run(argc, argv) :
			       shmt_skip("there is no single-stepping on this processor");
}
