/* Hosts and clients that die, leave, stop and come again; what the other side sees of it. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/pipe_client.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define MS_NS	 INT64_C(1000000)
#define CAPACITY 4096

/* One side is here, the other in peers that come one after the other. */
struct scene {
	struct shmt_broker broker;
	size_t descriptors;
	struct shmc_client *client;
	struct shmc_pipe *pipe;
	enum shmc_pipe_role peers;
	uint64_t first; /* of the peer: it sends these */
	uint64_t count;
};

static struct scene scene_open(enum shmc_pipe_role peers)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count(),
			       .peers = peers };

	scene.client = shmt_connect(&scene.broker);
	shmt_create_pipe(scene.client, CAPACITY);
	scene.pipe = shmt_open_pipe(scene.client,
				    peers == SHMC_PIPE_HOST ? SHMC_PIPE_CLIENT : SHMC_PIPE_HOST);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_pipe_close(scene->pipe);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

/* The peer: sends some, says so, stays. */
static void send_and_hang(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_pipe *pipe = shmt_open_pipe(client, scene->peers);

	for (uint64_t i = 0; i < scene->count; i++)
		shmt_assert_ok(shmt_send_number(pipe, scene->first + i, 40, SHMC_TRY));
	shmt_peer_tell(other);
	shmt_peer_hang();
}

static struct shmt_peer start(struct scene *scene, shmt_peer_fn fn, uint64_t first, uint64_t count)
{
	struct shmt_peer peer;

	scene->first = first;
	scene->count = count;
	peer = shmt_peer_start(fn, scene);
	shmt_peer_await(&peer);
	return peer;
}

/* Sending and receiving say it, again and again; a call as well. */
static void expect_ended(struct shmc_pipe *pipe, enum shmc_result result)
{
	struct shmc_message message;
	uint64_t word = 0;
	void *room;

	shmt_expect_no_message(pipe, SHMC_FOREVER, result);
	shmt_expect_no_message(pipe, SHMC_TRY, result);
	shmt_assert_result(shmc_pipe_peek(pipe, SHMC_FOREVER, &message), result);
	shmt_assert_result(shmc_pipe_send(pipe, &word, 8, SHMC_FOREVER), result);
	shmt_assert_result(shmc_pipe_reserve(pipe, 8, SHMC_FOREVER, &room), result);
	shmt_assert_result(shmc_pipe_call(pipe, &word, 8, &word, 8, SHMC_FOREVER, &message),
			   result);
}

TEST(all_that_the_dead_one_sent_is_read_before_its_death_is_told, .rounds = 2)
{
	struct scene scene = scene_open((enum shmc_pipe_role)_i);
	struct shmt_peer peer = start(&scene, send_and_hang, 10, 20);

	shmt_peer_kill(&peer);
	for (uint64_t i = 0; i < 20; i++)
		shmt_expect_number(scene.pipe, 10 + i, 0);
	expect_ended(scene.pipe, SHMC_PEER_DEAD);
	ck_assert_int_eq(shmc_pipe_peer(scene.pipe), SHMC_PEER_DIED);
	shmt_assert_result(shmc_pipe_wait_peer(scene.pipe, MS_NS), SHMC_TIMEOUT);
	scene_close(&scene);
}

static bool is_readable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

/* What it sent was rung for before it was met, when it could not be received. */
TEST(the_descriptor_tells_of_what_a_successor_sent_before_it_was_met, .rounds = 2)
{
	struct scene scene = scene_open((enum shmc_pipe_role)_i);
	struct shmt_peer peer = start(&scene, send_and_hang, 0, 0);
	int fd;

	shmt_assert_ok(shmc_pipe_fd(scene.pipe, &fd, NULL));
	shmt_peer_kill(&peer);
	shmt_expect_no_message(scene.pipe, SHMC_FOREVER, SHMC_PEER_DEAD);
	peer = start(&scene, send_and_hang, 7, 1);
	do /* the broker may still be ringing */
		shmt_expect_no_message(scene.pipe, SHMC_TRY, SHMC_PEER_DEAD);
	while (is_readable(fd));
	shmt_assert_ok(shmc_pipe_wait_peer(scene.pipe, SHMC_TRY));
	ck_assert(is_readable(fd));
	shmt_expect_number(scene.pipe, 7, 0);
	shmt_expect_no_message(scene.pipe, SHMC_TRY, SHMC_EMPTY);
	ck_assert(!is_readable(fd));
	shmt_peer_kill(&peer);
	scene_close(&scene);
}

TEST(a_wait_for_a_message_ends_with_the_other_side, .rounds = 2)
{
	struct scene scene = scene_open((enum shmc_pipe_role)_i);
	struct shmt_peer peer = start(&scene, send_and_hang, 0, 0);

	shmt_peer_kill_soon(&peer);
	shmt_expect_no_message(scene.pipe, SHMC_FOREVER, SHMC_PEER_DEAD);
	shmt_peer_reap(&peer);
	scene_close(&scene);
}

TEST(a_wait_for_room_ends_with_the_other_side, .rounds = 2)
{
	struct scene scene = scene_open((enum shmc_pipe_role)_i);
	struct shmt_peer peer = start(&scene, send_and_hang, 0, 0);

	while (shmt_send_number(scene.pipe, 1, 500, SHMC_TRY) == SHMC_OK)
		;
	shmt_peer_kill_soon(&peer);
	shmt_assert_result(shmt_send_number(scene.pipe, 1, 500, SHMC_FOREVER), SHMC_PEER_DEAD);
	shmt_peer_reap(&peer);
	scene_close(&scene);
}

TEST(a_call_ends_with_the_other_side, .rounds = 2)
{
	struct scene scene = scene_open((enum shmc_pipe_role)_i);
	struct shmt_peer peer = start(&scene, send_and_hang, 0, 0);
	struct shmc_message message;
	uint64_t word = 1;

	shmt_peer_kill_soon(&peer);
	shmt_assert_result(shmc_pipe_call(scene.pipe, &word, 8, &word, 8, SHMC_FOREVER, &message),
			   SHMC_PEER_DEAD);
	shmt_peer_reap(&peer);
	scene_close(&scene);
}

/* A process here sleeps in a call when the host dies and another one is there at once. */
static void call_and_say(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_pipe *pipe = shmt_open_pipe(client, scene->peers);
	struct shmc_message message;
	uint64_t word = 77;

	shmt_peer_tell(other);
	shmt_assert_result(shmc_pipe_call(pipe, &word, 8, &word, 8, SHMC_FOREVER, &message),
			   SHMC_CLOSED);
	shmt_peer_tell(other);
	shmt_assert_ok(shmc_pipe_wait_peer(pipe, SHMC_FOREVER));
	word = 78;
	shmt_assert_ok(shmc_pipe_call(pipe, &word, 8, &word, 8, SHMC_FOREVER, &message));
	ck_assert_uint_eq(word, 79);
	shmc_pipe_close(pipe);
	shmc_disconnect(client);
}

TEST(a_call_ends_whoever_comes_after_the_one_who_was_asked, .rounds = 2)
{
	struct scene scene = scene_open((enum shmc_pipe_role)_i);
	enum shmc_pipe_role role = scene.peers == SHMC_PIPE_HOST ? SHMC_PIPE_CLIENT :
								   SHMC_PIPE_HOST;
	struct shmt_peer peer = start(&scene, call_and_say, 0, 0);

	shmt_await_pipe_sleeper(scene.pipe, scene.peers, 0);
	shmc_pipe_close(scene.pipe);
	scene.pipe = shmt_open_pipe(scene.client, role);
	shmt_peer_await(&peer);
	/* of a client's questions its successor knows nothing; a host's are all its session's */
	if (role == SHMC_PIPE_CLIENT)
		shmt_expect_number(scene.pipe, 77, 0);
	shmt_expect_number(scene.pipe, 78, 0);
	shmt_assert_ok(shmt_send_number(scene.pipe, 79, 8, SHMC_TRY));
	shmt_peer_join(&peer);
	scene_close(&scene);
}

TEST(a_new_host_gets_no_stale_messages)
{
	struct scene scene = scene_open(SHMC_PIPE_CLIENT);
	struct shmt_peer peer = start(&scene, send_and_hang, 1, 10);
	struct shmc_pipe_statistics statistics;

	shmt_assert_ok(shmt_send_number(scene.pipe, 5, 8, SHMC_TRY));
	shmc_pipe_close(scene.pipe); /* this host was never told of them */
	scene.pipe = shmt_open_pipe(scene.client, SHMC_PIPE_HOST);
	shmt_expect_no_message(scene.pipe, SHMC_TRY, SHMC_EMPTY);
	shmt_assert_ok(shmc_pipe_statistics(scene.pipe, &statistics));
	ck_assert_uint_eq(statistics.to_host.stale, 10);
	ck_assert_uint_eq(statistics.to_host.depth, 0);
	ck_assert_uint_eq(statistics.session, 2);
	shmt_peer_kill(&peer);
	scene_close(&scene);
}

TEST(a_client_gets_no_stale_messages_from_the_host_before)
{
	struct scene scene = scene_open(SHMC_PIPE_HOST);
	struct shmt_peer peer = start(&scene, send_and_hang, 1, 3);

	shmt_expect_number(scene.pipe, 1, 0);
	shmt_peer_kill(&peer);
	peer = start(&scene, send_and_hang, 100, 2);
	/* it speaks with the first one to its end */
	shmt_expect_number(scene.pipe, 2, 0);
	shmt_assert_result(shmt_send_number(scene.pipe, 9, 8, SHMC_TRY), SHMC_PEER_DEAD);
	shmt_assert_ok(shmc_pipe_wait_peer(scene.pipe, SHMC_FOREVER));
	shmt_expect_number(scene.pipe, 100, 0);
	shmc_pipe_close(scene.pipe);
	/* and so does the next client */
	shmt_peer_kill(&peer);
	peer = start(&scene, send_and_hang, 200, 1);
	scene.pipe = shmt_open_pipe(scene.client, SHMC_PIPE_CLIENT);
	shmt_expect_number(scene.pipe, 200, 0);
	shmt_expect_no_message(scene.pipe, SHMC_TRY, SHMC_EMPTY);
	shmt_peer_kill(&peer);
	scene_close(&scene);
}

/* The peer: receives one, holds another in its hands. */
static void receive_and_hang(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_pipe *pipe = shmt_open_pipe(client, scene->peers);
	struct shmc_message message;

	shmt_expect_number(pipe, 1, 0);
	shmt_assert_ok(shmc_pipe_peek(pipe, SHMC_FOREVER, &message));
	shmt_peer_tell(other);
	shmt_peer_hang();
}

static void receive_the_rest(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_pipe *pipe = shmt_open_pipe(client, scene->peers);

	shmt_expect_number(pipe, 2, SHMC_REDELIVERED);
	shmt_expect_number(pipe, 3, 0);
	shmt_peer_tell(other);
	shmt_expect_number(pipe, 4, 0);
	shmc_pipe_close(pipe);
	shmc_disconnect(client);
}

TEST(a_new_client_goes_on_where_the_dead_one_was)
{
	struct scene scene = scene_open(SHMC_PIPE_CLIENT);
	struct shmt_peer peer;

	for (uint64_t number = 1; number <= 3; number++)
		shmt_assert_ok(shmt_send_number(scene.pipe, number, 8, SHMC_TRY));
	peer = start(&scene, receive_and_hang, 0, 0);
	shmt_peer_kill(&peer);
	shmt_expect_no_message(scene.pipe, SHMC_FOREVER, SHMC_PEER_DEAD);
	shmt_assert_result(shmt_send_number(scene.pipe, 4, 8, SHMC_FOREVER), SHMC_PEER_DEAD);
	peer = start(&scene, receive_the_rest, 0, 0);
	expect_ended(scene.pipe, SHMC_PEER_DEAD);
	shmt_assert_ok(shmc_pipe_wait_peer(scene.pipe, SHMC_TRY));
	shmt_assert_ok(shmt_send_number(scene.pipe, 4, 8, SHMC_TRY));
	shmt_peer_join(&peer);
	scene_close(&scene);
}

TEST(the_end_of_one_who_leaves_is_told_as_such, .rounds = 2)
{
	struct scene scene = scene_open((enum shmc_pipe_role)_i);
	struct shmc_pipe *there = shmt_open_pipe(scene.client, scene.peers);

	shmt_assert_ok(shmc_pipe_wait_peer(scene.pipe, SHMC_TRY));
	shmt_assert_ok(shmt_send_number(there, 3, 8, SHMC_TRY));
	shmc_pipe_close(there);
	shmt_expect_number(scene.pipe, 3, 0);
	expect_ended(scene.pipe, SHMC_CLOSED);
	there = shmt_open_pipe(scene.client, scene.peers);
	expect_ended(scene.pipe, SHMC_CLOSED);
	shmt_assert_ok(shmc_pipe_wait_peer(scene.pipe, SHMC_TRY));
	shmt_assert_ok(shmt_send_number(scene.pipe, 4, 8, SHMC_TRY));
	shmt_expect_number(there, 4, 0);
	shmc_pipe_close(there);
	scene_close(&scene);
}

/* The peer: comes late. */
static void come_and_leave(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_pipe *pipe;

	shmt_peer_tell(other);
	shmt_peer_await(other);
	pipe = shmt_open_pipe(client, scene->peers);
	shmt_expect_number(pipe, 6, 0);
	shmc_pipe_close(pipe);
	shmc_disconnect(client);
}

TEST(a_wait_for_somebody_ends_when_he_comes, .rounds = 2)
{
	struct scene scene = scene_open((enum shmc_pipe_role)_i);
	struct shmt_peer peer = start(&scene, come_and_leave, 0, 0);

	shmt_assert_result(shmc_pipe_wait_peer(scene.pipe, SHMC_TRY), SHMC_TIMEOUT);
	shmt_peer_tell(&peer);
	shmt_assert_ok(shmc_pipe_wait_peer(scene.pipe, SHMC_FOREVER));
	shmt_assert_ok(shmt_send_number(scene.pipe, 6, 8, SHMC_TRY));
	shmt_peer_join(&peer);
	expect_ended(scene.pipe, SHMC_CLOSED);
	scene_close(&scene);
}

TEST(a_stopped_peer_is_alive, .rounds = 2)
{
	struct scene scene = scene_open((enum shmc_pipe_role)_i);
	struct shmt_peer peer = start(&scene, send_and_hang, 1, 1);

	kill(peer.pid, SIGSTOP);
	shmt_expect_number(scene.pipe, 1, 0);
	shmt_expect_no_message(scene.pipe, 50 * MS_NS, SHMC_TIMEOUT);
	while (shmt_send_number(scene.pipe, 1, 500, SHMC_TRY) == SHMC_OK)
		;
	shmt_assert_result(shmt_send_number(scene.pipe, 1, 500, 20 * MS_NS), SHMC_TIMEOUT);
	ck_assert_int_eq(shmc_pipe_peer(scene.pipe), SHMC_PEER_ACTIVE);
	shmt_peer_kill(&peer);
	scene_close(&scene);
}

/* A host that answers every request of its session with its number and the session's. */
static void serve(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_pipe *pipe = shmt_open_pipe(client, SHMC_PIPE_HOST);
	struct shmc_message message;
	uint64_t words[2];

	shmt_peer_tell(other);
	for (;;) {
		if (shmc_pipe_receive(pipe, words, 8, SHMC_FOREVER, &message) != SHMC_OK) {
			shmt_assert_ok(shmc_pipe_wait_peer(pipe, SHMC_FOREVER));
			continue;
		}
		words[1] = scene->first;
		shmc_pipe_send(pipe, words, 16, SHMC_FOREVER);
	}
}

/* Calls until the host is gone; every answer is this host's, to this question. */
static uint64_t call_until_gone(struct scene *scene, uint64_t number, uint64_t session)
{
	struct shmc_message message;
	uint64_t answer[2];

	for (;; number++) {
		enum shmc_result result = shmc_pipe_call(scene->pipe, &number, 8, answer, 16,
							 SHMC_FOREVER, &message);

		if (result == SHMC_PEER_DEAD)
			return number;
		shmt_assert_ok(result);
		if (message.size != 16 || answer[0] != number || answer[1] != session)
			ck_abort_msg("asked %lu of host %lu, and host %lu answered %lu", number,
				     session, answer[1], answer[0]);
	}
}

TEST(no_answer_is_ever_another_host_s, .timeout_s = 60)
{
	struct shmt_random random = { shmt_seed() };
	struct scene scene = scene_open(SHMC_PIPE_HOST);
	uint64_t number = 1;

	for (uint64_t session = 1; session <= 60 / shmt_scaled(1) + 3; session++) {
		struct shmt_peer peer = start(&scene, serve, session, 0);
		uint64_t before = number;

		shmt_assert_ok(shmc_pipe_wait_peer(scene.pipe, SHMC_FOREVER));
		for (uint64_t i = shmt_random_next(&random) % 50; i > 0; i--, number++) {
			struct shmc_message message;
			uint64_t answer[2];

			shmt_assert_ok(shmc_pipe_call(scene.pipe, &number, 8, answer, 16,
						      SHMC_FOREVER, &message));
			ck_assert(answer[0] == number && answer[1] == session);
		}
		shmt_peer_kill_soon(&peer);
		number = call_until_gone(&scene, number, session) + 1;
		ck_assert_uint_gt(number, before);
		shmt_peer_reap(&peer);
	}
	scene_close(&scene);
}

SHMT_MAIN
