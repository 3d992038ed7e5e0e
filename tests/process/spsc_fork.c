/* A forked child: it may use nothing of its parent's, and whatever it connects anew. */
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_spsc *producer;
	struct shmc_spsc *consumer;
	int fd;
	size_t descriptors;
};

/* Both ends here, with a message in between and the descriptor made. */
static struct scene scene_open(void)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.client = shmt_connect(&scene.broker);
	shmt_create(scene.client, "queue", 4096);
	scene.producer = shmt_open(scene.client, "queue", SHMC_SPSC_PRODUCER);
	scene.consumer = shmt_open(scene.client, "queue", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmc_spsc_fd(scene.consumer, &scene.fd, NULL));
	shmt_assert_ok(shmc_spsc_try_push(scene.producer, "parent", 6));
	return scene;
}

static void scene_close(struct scene *scene)
{
	struct shmc_message message;

	/* all of it still works here */
	shmt_assert_ok(shmc_spsc_peek(scene->consumer, SHMC_TRY, &message));
	ck_assert_uint_eq(message.size, 6);
	shmt_assert_ok(shmc_spsc_release(scene->consumer, 1));
	shmt_assert_result(shmc_spsc_peek(scene->consumer, SHMC_TRY, &message), SHMC_EMPTY);
	shmt_create(scene->client, "another", 4096);
	shmc_spsc_close(scene->producer);
	shmc_spsc_close(scene->consumer);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

static void expect_forked_producer(struct shmc_spsc *queue)
{
	struct shmc_bytes batch = { "", 0 };
	uint64_t count;
	void *room;

	shmt_assert_result(shmc_spsc_try_push(queue, "child", 5), SHMC_FORKED);
	shmt_assert_result(shmc_spsc_push(queue, "child", 5, SHMC_FOREVER), SHMC_FORKED);
	shmt_assert_result(shmc_spsc_push_batch(queue, &batch, 1, SHMC_TRY, &count), SHMC_FORKED);
	shmt_assert_result(shmc_spsc_reserve(queue, 1, SHMC_TRY, &room), SHMC_FORKED);
	shmt_assert_result(shmc_spsc_commit(queue, 0), SHMC_FORKED);
	shmt_assert_result(shmc_spsc_abort(queue), SHMC_FORKED);
	shmt_assert_result(shmc_spsc_wait_peer(queue, SHMC_FOREVER), SHMC_FORKED);
	shmt_assert_result(shmc_spsc_statistics(queue, NULL, NULL, &count), SHMC_FORKED);
	ck_assert_int_eq(shmc_spsc_peer(queue), SHMC_PEER_NONE);
}

static void expect_forked_consumer(struct shmc_spsc *queue)
{
	struct shmc_error error;
	struct shmc_message message;
	uint64_t count;
	char buffer[16];
	int fd;

	shmt_assert_result(shmc_spsc_try_pop(queue, buffer, 16, &message), SHMC_FORKED);
	shmt_assert_result(shmc_spsc_pop(queue, buffer, 16, SHMC_FOREVER, &message), SHMC_FORKED);
	shmt_assert_result(shmc_spsc_peek(queue, SHMC_FOREVER, &message), SHMC_FORKED);
	shmt_assert_result(shmc_spsc_peek_batch(queue, &message, 1, SHMC_TRY, &count), SHMC_FORKED);
	shmt_assert_result(shmc_spsc_release(queue, 1), SHMC_FORKED);
	shmt_assert_result(shmc_spsc_fd(queue, &fd, &error), SHMC_FORKED);
	ck_assert_int_eq(error.result, SHMC_FORKED);
}

static void expect_forked_client(struct shmc_client *client)
{
	struct shmc_error error;
	struct shmc_spsc *queue;

	shmt_assert_result(shmc_spsc_create(client, "child", NULL, &error), SHMC_FORKED);
	shmt_assert_result(shmc_spsc_open(client, "queue", SHMC_SPSC_CONSUMER, &queue, &error),
			   SHMC_FORKED);
	shmt_assert_result(shmc_unlink(client, "queue", &error), SHMC_FORKED);
}

static void expect_forked(struct scene *scene)
{
	expect_forked_producer(scene->producer);
	expect_forked_consumer(scene->consumer);
	expect_forked_client(scene->client);
}

static void try_everything(struct shmt_peer *other, void *context)
{
	(void)other;
	expect_forked(context);
}

TEST(every_call_in_a_child_says_forked_and_changes_nothing)
{
	struct scene scene = scene_open();
	struct shmt_peer peer = shmt_peer_start(try_everything, &scene);

	shmt_peer_join(&peer);
	scene_close(&scene);
}

static void fork_again(struct shmt_peer *other, void *context)
{
	struct shmt_peer peer = shmt_peer_start(try_everything, context);

	(void)other;
	shmt_peer_join(&peer);
	expect_forked(context);
}

TEST(grandchildren_are_forked_too)
{
	struct scene scene = scene_open();
	struct shmt_peer peer = shmt_peer_start(fork_again, &scene);

	shmt_peer_join(&peer);
	scene_close(&scene);
}

/* Past the fork handlers: only the kernel knows of it. */
TEST(a_child_that_the_c_library_does_not_know_of_is_forked_too)
{
	struct scene scene = scene_open();
	int status;
	long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct shmc_message message;
		char byte;

		if (shmc_spsc_try_push(scene.producer, "", 0) != SHMC_FORKED)
			_exit(1);
		if (shmc_spsc_try_pop(scene.consumer, &byte, 1, &message) != SHMC_FORKED)
			_exit(2);
		if (shmc_unlink(scene.client, "queue", NULL) != SHMC_FORKED)
			_exit(3);
		_exit(0);
	}
	ck_assert_int_eq(waitpid((pid_t)pid, &status, 0), (pid_t)pid);
	ck_assert_int_eq(status, 0);
	scene_close(&scene);
}

static void close_everything(struct shmt_peer *other, void *context)
{
	struct scene *scene = context;
	size_t before = shmt_descriptor_count();
	int line = dup(other->line);

	shmc_spsc_close(scene->producer);
	shmc_spsc_close(scene->consumer);
	shmc_disconnect(scene->client);
	/* nothing that is the child's own was closed */
	ck_assert_uint_eq(shmt_descriptor_count(), before + 1);
	close(line);
}

TEST(a_child_that_closes_its_parent_s_handles_harms_nobody)
{
	struct scene scene = scene_open();
	struct shmt_peer peer = shmt_peer_start(close_everything, &scene);

	shmt_peer_join(&peer);
	scene_close(&scene);
}

static void count_descriptors(struct shmt_peer *other, void *context)
{
	size_t count = shmt_descriptor_count();

	(void)context;
	shmt_peer_send(other, &count, sizeof(count));
}

TEST(a_child_inherits_no_socket_and_no_doorbell)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer = shmt_peer_start(count_descriptors, NULL);
	struct scene scene;
	size_t without, with;

	shmt_peer_receive(&peer, &without, sizeof(without));
	shmt_peer_join(&peer);
	shmt_broker_stop(&broker);
	scene = scene_open();
	peer = shmt_peer_start(count_descriptors, NULL);
	shmt_peer_receive(&peer, &with, sizeof(with));
	shmt_peer_join(&peer);
	ck_assert_uint_eq(with, without);
	scene_close(&scene);
}

/* What the parent peeked at, or reserved, is memory that the child cannot touch. */
struct touch {
	const volatile char *address;
};

static void touch_it(struct shmt_peer *other, void *context)
{
	const struct touch *touch = context;

	(void)other;
	signal(SIGSEGV, SIG_DFL);
	_exit(*touch->address == 0);
}

static void expect_untouchable(const void *address)
{
	struct touch touch = { address };
	struct shmt_peer peer = shmt_peer_start(touch_it, &touch);
	int status;

	ck_assert_int_eq(waitpid(peer.pid, &status, 0), peer.pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGSEGV);
	close(peer.line);
}

TEST(a_child_can_touch_none_of_its_parent_s_memory)
{
	struct scene scene = scene_open();
	struct shmc_message message;
	void *room;

	shmt_assert_ok(shmc_spsc_peek(scene.consumer, SHMC_TRY, &message));
	expect_untouchable(message.data);
	shmt_assert_ok(shmc_spsc_reserve(scene.producer, 10, SHMC_TRY, &room));
	expect_untouchable(room);
	/* the second mapping of the ring */
	expect_untouchable((char *)room + 4096);
	shmt_assert_ok(shmc_spsc_abort(scene.producer));
	scene_close(&scene);
}

static void connect_anew(struct shmt_peer *other, void *context)
{
	struct scene *scene = context;
	struct shmc_client *client;
	struct shmc_spsc *queue;
	char buffer[16];
	struct shmc_message message;

	expect_forked_client(scene->client);
	client = shmt_connect(&scene->broker);
	/* still, with a word of its own beside the old one */
	expect_forked_client(scene->client);
	expect_forked_producer(scene->producer);
	queue = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmc_spsc_pop(queue, buffer, sizeof(buffer), SHMC_FOREVER, &message));
	ck_assert_uint_eq(message.size, 6);
	shmt_assert_ok(shmc_spsc_pop(queue, buffer, sizeof(buffer), SHMC_FOREVER, &message));
	ck_assert_uint_eq(message.size, 4);
	shmt_peer_tell(other);
	shmc_spsc_close(scene->producer);
	shmc_spsc_close(queue);
	shmc_disconnect(client);
	expect_forked_client(scene->client);
}

TEST(a_child_may_connect_by_itself_and_talk_to_its_parent)
{
	struct scene scene = scene_open();
	struct shmt_peer peer;

	scene.consumer = shmc_spsc_close(scene.consumer);
	peer = shmt_peer_start(connect_anew, &scene);
	shmt_assert_ok(shmc_spsc_push(scene.producer, "more", 4, SHMC_FOREVER));
	shmt_peer_await(&peer);
	shmt_peer_join(&peer);
	scene.consumer = shmt_open(scene.client, "queue", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmc_spsc_try_push(scene.producer, "parent", 6));
	scene_close(&scene);
}

static void linger(struct shmt_peer *other, void *context)
{
	(void)context;
	shmt_peer_tell(other);
	shmt_peer_hang();
}

/* Produces, and has a child that outlives it. */
static void leave_a_child(struct shmt_peer *other, void *context)
{
	struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_spsc *queue = shmt_open(client, "orphan", SHMC_SPSC_PRODUCER);
	struct shmt_peer child = shmt_peer_start(linger, NULL);

	(void)queue;
	shmt_peer_await(&child);
	shmt_peer_send(other, &child.pid, sizeof(child.pid));
	shmt_peer_hang();
}

TEST(a_parent_s_death_is_seen_though_its_child_lives)
{
	struct scene scene = scene_open();
	struct shmc_spsc *queue;
	struct shmc_message message;
	struct shmt_peer peer;
	pid_t child;

	shmt_create(scene.client, "orphan", 4096);
	queue = shmt_open(scene.client, "orphan", SHMC_SPSC_CONSUMER);
	peer = shmt_peer_start(leave_a_child, &scene);
	shmt_peer_receive(&peer, &child, sizeof(child));
	shmt_peer_kill_soon(&peer);
	shmt_assert_result(shmc_spsc_peek(queue, SHMC_FOREVER, &message), SHMC_PEER_DEAD);
	shmt_peer_reap(&peer);
	kill(child, SIGKILL);
	shmc_spsc_close(queue);
	scene_close(&scene);
}

SHMT_MAIN
