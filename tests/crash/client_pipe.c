/*
 * Pipes through the library, with a real broker: a host or a client dies after every instruction of a
 * public call. The parent, who is the other side, gets what was sent, whole or not at all, and is told
 * of the end; he opens the dead one's role, and both directions go on. (Doorbells are rung as in
 * client_spsc.c, by the same code.)
 */
#include <stdio.h>
#include <string.h>

#include "tests/crash/sweep.h"
#include "tests/support/pipe_client.h"

enum {
	CAPACITY = 4096,
	BYTES = 48,
	BEFORE = 2, /* messages that the child has sent before, numbers from 100 on */
	THERE = 4,  /* messages that the child finds, numbers from 0 on */
	HELD_MAX = 3,
};

struct act {
	const char *name;
	void (*prepare)(void *scene);
	void (*operate)(void *scene);
	uint64_t sends; /* messages: all of them or none */
	/* of THERE messages, */
	uint64_t held;	/* shown before the call, */
	uint64_t shown; /* by its end, */
	uint64_t taken; /* and taken by its end */
	bool is_met;	/* a new host comes, with THERE messages that are not taken */
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	enum shmc_pipe_role role; /* the child's */
	struct shmc_pipe *pipe;	  /* the parent's end */
	uint8_t *witness;
	const struct act *act;
	struct sweep sweep;
	/* the child's */
	struct shmc_pipe *own;
	uint64_t payload[HELD_MAX][BYTES / 8];
	void *room;
};

#define CHECK(condition) SWEEP_CHECK(&scene->sweep, condition)

static bool is_host(const struct scene *scene)
{
	return scene->role == SHMC_PIPE_HOST;
}

static void fill(uint64_t *words, uint64_t number)
{
	for (uint64_t i = 0; i < BYTES / 8; i++)
		words[i] = number * 1000 + i;
}

static bool is_message(const void *data, uint64_t number)
{
	uint64_t words[BYTES / 8];

	fill(words, number);
	return memcmp(data, words, BYTES) == 0;
}

static enum shmc_result send_number(struct shmc_pipe *pipe, uint64_t number)
{
	uint64_t words[BYTES / 8];

	fill(words, number);
	return shmc_pipe_send(pipe, words, BYTES, SHMC_TRY);
}

/* Receives what must be messages *@number, *@number + 1 ...; says why it stopped. */
static enum shmc_result drain(struct scene *scene, struct shmc_pipe *pipe, int64_t timeout_ns,
			      uint64_t *number, uint32_t *flags)
{
	struct shmc_message message;
	uint8_t bytes[BYTES];
	enum shmc_result result;

	while ((result = shmc_pipe_receive(pipe, bytes, BYTES, timeout_ns, &message)) == SHMC_OK) {
		CHECK(message.size == BYTES && is_message(bytes, *number));
		CHECK(*number < 100 + 10);
		if (flags)
			flags[*number] = message.flags;
		(*number)++;
	}
	return result;
}

/* After the death */

static void read_the_dead_ones(struct scene *scene)
{
	uint64_t number = scene->act->is_met ? 100 + BEFORE : 100, sent;

	CHECK(drain(scene, scene->pipe, SWEEP_SOON_NS, &number, NULL) == SHMC_PEER_DEAD);
	sent = number - 100 - BEFORE;
	CHECK(sent == 0 || sent == scene->act->sends);
	CHECK(!scene->sweep.has_ended || sent == scene->act->sends);
	CHECK(send_number(scene->pipe, 0) == SHMC_PEER_DEAD);
}

static bool is_touched(const struct scene *scene)
{
	for (int i = 0; i < BYTES; i++)
		if (scene->witness[i] != 0xff)
			return true;
	return false;
}

static void check_flags(struct scene *scene, uint64_t first, const uint32_t *flags)
{
	const struct act *act = scene->act;

	for (uint64_t number = first; number < THERE; number++) {
		bool must_be = number < act->held ||
			       (scene->sweep.has_ended && number < act->shown) ||
			       (number == 0 && is_touched(scene));

		CHECK(number < act->shown || flags[number] == 0);
		CHECK(!must_be || flags[number] == SHMC_REDELIVERED);
	}
}

/* A client gets what is left; a host, nothing of the old session. */
static void successor_reads(struct scene *scene, struct shmc_pipe *successor)
{
	const struct act *act = scene->act;
	struct shmc_message message;
	uint32_t flags[THERE];
	uint64_t first = 0, number;

	if (is_host(scene)) {
		CHECK(shmc_pipe_peek(successor, SHMC_TRY, &message) == SHMC_EMPTY);
		return;
	}
	CHECK(shmc_pipe_peek(successor, SHMC_TRY, &message) == SHMC_OK);
	while (!is_message(message.data, first))
		CHECK(++first < THERE);
	CHECK(first <= act->taken && (!scene->sweep.has_ended || first == act->taken));
	flags[first] = message.flags;
	CHECK(shmc_pipe_release(successor, 1) == SHMC_OK);
	number = first + 1;
	CHECK(drain(scene, successor, SHMC_TRY, &number, flags) == SHMC_EMPTY);
	CHECK(number == THERE);
	check_flags(scene, first, flags);
}

/* Some laps, then all of it can be used. */
static void go_on(struct scene *scene, struct shmc_pipe *from, struct shmc_pipe *to)
{
	struct shmc_message message;
	uint8_t bytes[BYTES];

	for (uint64_t number = 0; number < 100; number++) {
		CHECK(send_number(from, number) == SHMC_OK);
		CHECK(shmc_pipe_try_receive(to, bytes, BYTES, &message) == SHMC_OK);
		CHECK(is_message(bytes, number) && message.flags == 0);
	}
	for (uint64_t number = 0; number < (CAPACITY - 8) / (BYTES + 8); number++)
		CHECK(send_number(from, number) == SHMC_OK);
	CHECK(send_number(from, 0) == SHMC_FULL);
}

static void check(void *context)
{
	struct scene *scene = context;
	struct shmc_pipe *successor;

	read_the_dead_ones(scene);
	successor = shmt_open_pipe(scene->client, scene->role);
	CHECK(shmc_pipe_wait_peer(scene->pipe, SHMC_TRY) == SHMC_OK);
	successor_reads(scene, successor);
	go_on(scene, successor, scene->pipe);
	go_on(scene, scene->pipe, successor);
	shmc_pipe_close(successor);
}

/* Before it */

static void open_own_end(struct scene *scene)
{
	scene->pipe = shmt_open_pipe(scene->client,
				     is_host(scene) ? SHMC_PIPE_CLIENT : SHMC_PIPE_HOST);
	for (uint64_t number = 0; number < THERE; number++)
		CHECK(send_number(scene->pipe, number) == SHMC_OK);
}

static void set_up(void *context)
{
	struct scene *scene = context;

	shmt_create_pipe(scene->client, CAPACITY);
	open_own_end(scene);
	scene->witness = sweep_witness(BYTES);
}

static void arrange(void *context)
{
	struct scene *scene = context;

	if (!scene->act->is_met)
		return;
	shmc_pipe_close(scene->pipe);
	open_own_end(scene);
}

static void prepare(void *context)
{
	struct scene *scene = context;
	struct shmc_message messages[HELD_MAX];
	uint64_t count;

	scene->own = shmt_open_pipe(shmt_connect(&scene->broker), scene->role);
	for (uint64_t i = 0; i < BEFORE; i++)
		CHECK(send_number(scene->own, 100 + i) == SHMC_OK);
	for (uint64_t i = 0; i < HELD_MAX; i++)
		fill(scene->payload[i], 100 + BEFORE + i);
	if (scene->act->held != 0)
		shmt_assert_ok(shmc_pipe_peek_batch(scene->own, messages, scene->act->held,
						    SHMC_TRY, &count));
	if (scene->act->prepare)
		scene->act->prepare(scene);
}

static void tear_down(void *context)
{
	struct scene *scene = context;

	shmc_pipe_close(scene->pipe);
	shmt_assert_ok(shmc_unlink(scene->client, "pipe", NULL));
}

static void kill_as(enum shmc_pipe_role role, const struct act *act)
{
	struct scene scene = { .broker = shmt_broker_start(NULL), .role = role, .act = act };
	char name[80];

	snprintf(name, sizeof(name), "%s, %s", act->name,
		 role == SHMC_PIPE_HOST ? "host" : "client");
	scene.client = shmt_connect(&scene.broker);
	scene.sweep = (struct sweep){ .name = name,
				      .scene = &scene,
				      .set_up = set_up,
				      .prepare = prepare,
				      .arrange = arrange,
				      .operate = act->operate,
				      .check = check,
				      .tear_down = tear_down };
	sweep_everywhere(&scene.sweep);
	shmc_disconnect(scene.client);
	shmt_broker_stop(&scene.broker);
}

static void kill_everywhere(struct act act)
{
	kill_as(SHMC_PIPE_HOST, &act);
	kill_as(SHMC_PIPE_CLIENT, &act);
}

/* Calls */

static void do_send(void *context)
{
	struct scene *scene = context;

	shmc_pipe_send(scene->own, scene->payload[0], BYTES, SHMC_FOREVER);
}

static void do_reserve(void *context)
{
	struct scene *scene = context;

	if (shmc_pipe_reserve(scene->own, BYTES, SHMC_TRY, &scene->room) == SHMC_OK)
		memcpy(scene->room, scene->payload[0], BYTES);
}

static void do_commit(void *context)
{
	struct scene *scene = context;

	shmc_pipe_commit(scene->own, BYTES);
}

static void do_abort(void *context)
{
	struct scene *scene = context;

	shmc_pipe_abort(scene->own);
}

static void do_send_batch(void *context)
{
	struct scene *scene = context;
	struct shmc_bytes messages[HELD_MAX];
	uint64_t count;

	for (size_t i = 0; i < HELD_MAX; i++)
		messages[i] = (struct shmc_bytes){ .data = scene->payload[i], .size = BYTES };
	shmc_pipe_send_batch(scene->own, messages, HELD_MAX, SHMC_TRY, &count);
}

static void do_receive(void *context)
{
	struct scene *scene = context;
	struct shmc_message message;

	shmc_pipe_receive(scene->own, scene->witness, BYTES, SHMC_FOREVER, &message);
}

static void do_peek(void *context)
{
	struct scene *scene = context;
	struct shmc_message message;

	shmc_pipe_peek(scene->own, SHMC_TRY, &message);
}

static void do_release_2(void *context)
{
	struct scene *scene = context;

	shmc_pipe_release(scene->own, 2);
}

/* The answer to an earlier question is there already. */
static void do_call(void *context)
{
	struct scene *scene = context;
	struct shmc_message message;

	shmc_pipe_call(scene->own, scene->payload[0], BYTES, scene->witness, BYTES, SHMC_FOREVER,
		       &message);
}

static void do_meet(void *context)
{
	struct scene *scene = context;
	struct shmc_message message;
	uint8_t bytes[BYTES];

	while (shmc_pipe_receive(scene->own, bytes, BYTES, SHMC_TRY, &message) == SHMC_OK)
		;
	shmc_pipe_wait_peer(scene->own, SHMC_TRY);
}

TEST(a_message_is_sent_or_not, .timeout_s = 120)
{
	kill_everywhere((struct act){ .name = "shmc_pipe_send", .operate = do_send, .sends = 1 });
}

TEST(a_reservation_is_sent_with_its_commit_or_never, .timeout_s = 120)
{
	kill_everywhere((struct act){ .name = "shmc_pipe_reserve", .operate = do_reserve });
	kill_everywhere((struct act){
		.name = "shmc_pipe_abort", .prepare = do_reserve, .operate = do_abort });
	kill_everywhere((struct act){ .name = "shmc_pipe_commit",
				      .prepare = do_reserve,
				      .operate = do_commit,
				      .sends = 1 });
}

TEST(a_batch_is_sent_whole_or_not_at_all, .timeout_s = 120)
{
	kill_everywhere((struct act){
		.name = "shmc_pipe_send_batch of 3", .operate = do_send_batch, .sends = HELD_MAX });
}

TEST(what_is_received_is_taken_or_comes_to_a_clients_successor, .timeout_s = 120)
{
	kill_everywhere((struct act){
		.name = "shmc_pipe_receive", .operate = do_receive, .shown = 1, .taken = 1 });
	kill_everywhere((struct act){ .name = "shmc_pipe_peek", .operate = do_peek, .shown = 1 });
	kill_everywhere((struct act){ .name = "shmc_pipe_release of 2 of 3",
				      .operate = do_release_2,
				      .held = 3,
				      .shown = 3,
				      .taken = 2 });
}

TEST(a_call_is_sent_or_not_and_its_answer_taken_or_not, .timeout_s = 120)
{
	kill_everywhere((struct act){
		.name = "shmc_pipe_call", .operate = do_call, .sends = 1, .shown = 1, .taken = 1 });
}

TEST(a_new_host_is_met_or_left_to_the_successor, .timeout_s = 120)
{
	kill_as(SHMC_PIPE_CLIENT, &(struct act){ .name = "shmc_pipe_wait_peer, a new host",
						 .operate = do_meet,
						 .is_met = true });
}

SWEEP_MAIN
