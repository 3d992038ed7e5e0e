/* A host here, a client in another process: every call of both, while both live. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/pipe_client.h"
#include "tests/support/runner.h"

#define MS_NS	 INT64_C(1000000)
#define CAPACITY 4096

struct scene {
	struct shmt_broker broker;
	size_t descriptors;
	struct shmc_client *client;
	struct shmc_pipe *pipe;
	uint64_t messages; /* of the peer */
};

static struct scene scene_open(uint64_t capacity_bytes)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.client = shmt_connect(&scene.broker);
	shmt_create_pipe(scene.client, capacity_bytes);
	scene.pipe = shmt_open_pipe(scene.client, SHMC_PIPE_HOST);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_pipe_close(scene->pipe);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

/* The client: gives everything back, and leaves when the host does. */
static void echo(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_pipe *pipe = shmt_open_pipe(client, SHMC_PIPE_CLIENT);
	struct shmc_message message;

	shmt_peer_tell(other);
	while (shmc_pipe_peek(pipe, SHMC_FOREVER, &message) == SHMC_OK) {
		shmt_assert_ok(shmc_pipe_send(pipe, message.data, message.size, SHMC_FOREVER));
		shmt_assert_ok(shmc_pipe_release(pipe, 1));
	}
	shmt_assert_result(shmc_pipe_peek(pipe, SHMC_TRY, &message), SHMC_CLOSED);
	shmc_pipe_close(pipe);
	shmc_disconnect(client);
}

static struct shmt_peer start_echo(struct scene *scene)
{
	struct shmt_peer peer = shmt_peer_start(echo, scene);

	shmt_peer_await(&peer);
	return peer;
}

static void end(struct scene *scene, struct shmt_peer *peer)
{
	scene->pipe = shmc_pipe_close(scene->pipe);
	shmt_peer_join(peer);
	scene_close(scene);
}

TEST(a_byte_a_page_and_100_kib_come_back)
{
	static const uint64_t sizes[] = { 0, 1, 8, 1024, 100 * 1024 };
	struct scene scene = scene_open(256 * 1024);
	struct shmt_peer peer = start_echo(&scene);
	uint8_t *sent = malloc(sizes[4]), *got = malloc(sizes[4]);
	struct shmc_message message;

	for (uint64_t i = 0; i < sizes[4]; i++)
		sent[i] = (uint8_t)(i * i >> 3);
	for (int round = 0; round < 100; round++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			shmt_assert_ok(shmc_pipe_call(scene.pipe, sent, sizes[i], got, sizes[4],
						      SHMC_FOREVER, &message));
			ck_assert_uint_eq(message.size, sizes[i]);
			if (memcmp(sent, got, sizes[i]) != 0)
				ck_abort_msg("%lu bytes came back as others", sizes[i]);
		}
	free(sent);
	free(got);
	end(&scene, &peer);
}

/* Sends and receives as both directions let it, numbers of its own. */
static void talk(struct shmc_pipe *pipe, uint64_t messages)
{
	uint64_t sent = 0, got = 0, number, size;
	uint32_t flags;

	while (sent < messages || got < messages) {
		enum shmc_result result = SHMC_FULL;

		while (sent < messages &&
		       (result = shmt_send_number(pipe, sent, 8 + sent % 300, SHMC_TRY)) == SHMC_OK)
			sent++;
		if (sent < messages)
			shmt_assert_result(result, SHMC_FULL);
		result = shmt_receive_number(pipe,
					     got < messages && sent == messages ? 5 * MS_NS : 0,
					     &number, &size, &flags);
		if (result == SHMC_EMPTY || result == SHMC_TIMEOUT)
			continue;
		shmt_assert_ok(result);
		if (number != got || size != 8 + got % 300 || flags != 0)
			ck_abort_msg("%lu came for %lu", number, got);
		got++;
	}
}

static void talk_as_client(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_pipe *pipe = shmt_open_pipe(client, SHMC_PIPE_CLIENT);

	talk(pipe, scene->messages);
	shmt_peer_await(other);
	shmc_pipe_close(pipe);
	shmc_disconnect(client);
}

TEST(both_directions_are_in_order_at_once, .timeout_s = 60)
{
	struct scene scene = scene_open(CAPACITY);
	struct shmt_peer peer;

	scene.messages = 100000 / shmt_scaled(1);
	peer = shmt_peer_start(talk_as_client, &scene);
	talk(scene.pipe, scene.messages);
	shmt_peer_tell(&peer);
	shmt_peer_join(&peer);
	shmt_expect_no_message(scene.pipe, SHMC_FOREVER, SHMC_CLOSED);
	scene_close(&scene);
}

/* A client that hears, says nothing until it is told to, then echoes all. */
static void answer_late(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_pipe *pipe = shmt_open_pipe(client, SHMC_PIPE_CLIENT);
	uint64_t number, size;
	uint32_t flags;

	shmt_peer_tell(other);
	shmt_peer_await(other);
	while (shmt_receive_number(pipe, SHMC_FOREVER, &number, &size, &flags) == SHMC_OK)
		shmt_assert_ok(shmt_send_number(pipe, number, size, SHMC_FOREVER));
	shmc_pipe_close(pipe);
	shmc_disconnect(client);
}

TEST(a_call_says_whether_it_was_sent)
{
	struct scene scene = scene_open(CAPACITY);
	struct shmt_peer peer = shmt_peer_start(answer_late, &scene);
	struct shmc_message message;
	uint64_t request[128] = { 1 }, answer[128];

	shmt_peer_await(&peer);
	shmt_assert_result(
		shmc_pipe_call(scene.pipe, request, 8, answer, sizeof(answer), SHMC_TRY, &message),
		SHMC_EMPTY);
	request[0] = 2;
	shmt_assert_result(shmc_pipe_call(scene.pipe, request, 8, answer, sizeof(answer),
					  20 * MS_NS, &message),
			   SHMC_TIMEOUT);
	for (request[0] = 3; shmc_pipe_try_send(scene.pipe, request, 8) == SHMC_OK; request[0]++)
		;
	shmt_assert_result(shmc_pipe_call(scene.pipe, request, 8, answer, sizeof(answer),
					  20 * MS_NS, &message),
			   SHMC_FULL);
	shmt_assert_result(
		shmc_pipe_call(scene.pipe, request, 8, answer, sizeof(answer), SHMC_TRY, &message),
		SHMC_FULL);
	shmt_assert_result(shmc_pipe_call(scene.pipe, request, CAPACITY, answer, sizeof(answer),
					  SHMC_TRY, &message),
			   SHMC_TOO_BIG);
	ck_assert_uint_eq(message.size, 0);
	shmt_peer_tell(&peer);
	for (uint64_t number = 1; number < request[0]; number++)
		shmt_expect_number(scene.pipe, number, 0);
	shmt_expect_no_message(scene.pipe, SHMC_TRY, SHMC_EMPTY);
	request[0] = 77;
	shmt_assert_ok(shmc_pipe_call(scene.pipe, request, 8, answer, 8, 10000 * MS_NS, &message));
	ck_assert_uint_eq(answer[0], 77);
	memset(request, 0, sizeof(request));
	shmt_assert_result(
		shmc_pipe_call(scene.pipe, request, 8, answer, 4, SHMC_FOREVER, &message),
		SHMC_TOO_BIG);
	ck_assert_uint_eq(message.size, 8);
	shmt_assert_ok(shmc_pipe_receive(scene.pipe, answer, 8, SHMC_TRY, &message));
	end(&scene, &peer);
}

/* Every way of sending and receiving, with the handle of either role. */
static void use_all_calls(struct shmc_pipe *pipe)
{
	struct shmc_bytes batch[3] = { { "one", 3 }, { NULL, 0 }, { "three", 5 } };
	struct shmc_message messages[4];
	uint64_t count;
	char buffer[8];
	void *room;

	shmt_assert_ok(shmc_pipe_send_batch(pipe, batch, 3, SHMC_FOREVER, &count));
	ck_assert_uint_eq(count, 3);
	shmt_assert_ok(shmc_pipe_reserve(pipe, 100, SHMC_TRY, &room));
	shmt_assert_result(shmc_pipe_try_send(pipe, "x", 1), SHMC_INVALID);
	shmt_assert_result(shmc_pipe_wait_peer(pipe, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(shmc_pipe_commit(pipe, 101), SHMC_INVALID);
	memcpy(room, "four", 4);
	shmt_assert_ok(shmc_pipe_commit(pipe, 4));
	shmt_assert_ok(shmc_pipe_reserve(pipe, 100, SHMC_TRY, &room));
	shmt_assert_ok(shmc_pipe_abort(pipe));
	shmt_assert_result(shmc_pipe_abort(pipe), SHMC_INVALID);
	shmt_assert_result(shmc_pipe_reserve(pipe, CAPACITY, SHMC_TRY, &room), SHMC_TOO_BIG);

	shmt_assert_result(shmc_pipe_receive(pipe, buffer, 2, SHMC_FOREVER, messages),
			   SHMC_TOO_BIG);
	ck_assert_uint_eq(messages[0].size, 3);
	shmt_assert_ok(shmc_pipe_receive(pipe, buffer, 8, SHMC_FOREVER, messages));
	ck_assert_mem_eq(buffer, "one", 3);
	do
		shmt_assert_ok(shmc_pipe_peek_batch(pipe, messages, 4, SHMC_FOREVER, &count));
	while (count < 3);
	ck_assert_uint_eq(messages[0].size, 0);
	ck_assert_mem_eq(messages[1].data, "three", 5);
	shmt_assert_result(shmc_pipe_try_receive(pipe, buffer, 8, messages), SHMC_INVALID);
	shmt_assert_result(shmc_pipe_call(pipe, "x", 1, buffer, 8, SHMC_TRY, messages + 3),
			   SHMC_INVALID);
	shmt_assert_result(shmc_pipe_wait_peer(pipe, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(shmc_pipe_release(pipe, 5), SHMC_INVALID);
	shmt_assert_ok(shmc_pipe_release(pipe, 3));
	shmt_expect_no_message(pipe, SHMC_TRY, SHMC_EMPTY);
	shmt_expect_no_message(pipe, MS_NS, SHMC_TIMEOUT);
}

static void use_all_calls_as_client(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_pipe *pipe = shmt_open_pipe(client, SHMC_PIPE_CLIENT);

	use_all_calls(pipe);
	shmt_peer_tell(other);
	shmt_peer_await(other);
	shmc_pipe_close(pipe);
	shmc_disconnect(client);
}

TEST(both_roles_have_every_call)
{
	struct scene scene = scene_open(CAPACITY);
	struct shmt_peer peer = shmt_peer_start(use_all_calls_as_client, &scene);

	use_all_calls(scene.pipe);
	shmt_peer_await(&peer);
	shmt_peer_tell(&peer);
	shmt_peer_join(&peer);
	scene_close(&scene);
}

/* Opens a pipe that another process has, as host and as client, and is refused. */
static void intrude(struct shmt_peer *other, void *context)
{
	static const struct shmc_pipe_type type = { .name = "another" };
	const struct shmc_pipe_types types = { .host = &type };
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_pipe *pipe = NULL;
	struct shmc_error error;
	struct shmc_spsc *queue = NULL;

	for (int i = 0; i < 50; i++) {
		shmt_assert_result(
			shmc_pipe_open(client, "pipe", SHMC_PIPE_HOST, NULL, &pipe, &error),
			SHMC_BUSY);
		shmt_assert_says(&error, "its host already");
		shmt_assert_result(
			shmc_pipe_open(client, "pipe", SHMC_PIPE_CLIENT, NULL, &pipe, &error),
			SHMC_BUSY);
		shmt_assert_says(&error, "its client already");
		shmt_assert_result(
			shmc_pipe_open(client, "pipe", SHMC_PIPE_CLIENT, &types, &pipe, &error),
			SHMC_MISMATCH);
		shmt_assert_says(&error, "host_type");
		shmt_assert_result(
			shmc_spsc_open(client, "pipe", SHMC_SPSC_CONSUMER, &queue, &error),
			SHMC_MISMATCH);
	}
	shmc_disconnect(client);
	(void)other;
}

TEST(second_host_and_client_are_refused_and_disturb_nobody)
{
	struct scene scene = scene_open(CAPACITY);
	struct shmt_peer peer = start_echo(&scene);
	struct shmt_peer intruder = shmt_peer_start(intrude, &scene);
	struct shmc_pipe_statistics statistics;
	struct shmc_message message;
	uint64_t answer;

	for (uint64_t number = 0; number < 20000 / shmt_scaled(1); number++) {
		shmt_assert_ok(
			shmc_pipe_call(scene.pipe, &number, 8, &answer, 8, SHMC_FOREVER, &message));
		ck_assert(answer == number);
	}
	shmt_peer_join(&intruder);
	shmt_assert_ok(shmc_pipe_statistics(scene.pipe, &statistics));
	ck_assert_uint_eq(statistics.session, 1);
	ck_assert_uint_eq(statistics.to_host.stale + statistics.to_client.stale, 0);
	ck_assert_uint_eq(statistics.to_client.sent, 20000 / shmt_scaled(1));
	ck_assert_uint_eq(statistics.to_host.received, 20000 / shmt_scaled(1));
	ck_assert_uint_eq(statistics.to_host.received_bytes, 8 * statistics.to_host.received);
	ck_assert_uint_eq(statistics.to_host.depth, 0);
	end(&scene, &peer);
}

static void send_and_stay(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_pipe *pipe = shmt_open_pipe(client, SHMC_PIPE_CLIENT);

	shmt_assert_ok(shmt_send_number(pipe, 1, 100, SHMC_TRY));
	shmt_peer_tell(other);
	shmt_expect_number(pipe, 2, 0);
	shmc_pipe_close(pipe);
	shmc_disconnect(client);
}

TEST(who_opens_first_waits_for_the_other_and_opening_erases_nothing)
{
	struct scene scene = scene_open(CAPACITY);
	struct shmt_peer peer;

	scene.pipe = shmc_pipe_close(scene.pipe);
	peer = shmt_peer_start(send_and_stay, &scene);
	shmt_peer_await(&peer);
	scene.pipe = shmt_open_pipe(scene.client, SHMC_PIPE_HOST);
	shmt_assert_ok(shmc_pipe_wait_peer(scene.pipe, SHMC_TRY));
	shmt_expect_number(scene.pipe, 1, 0);
	shmt_assert_ok(shmt_send_number(scene.pipe, 2, 8, SHMC_TRY));
	shmt_peer_join(&peer);
	scene_close(&scene);
}

/* The descriptor */

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

/* Takes messages, waiting by the descriptor alone, until the end is told. */
static void drain_by(int fd, struct shmc_pipe *pipe)
{
	uint64_t number, size;
	uint32_t flags;

	for (;;) {
		enum shmc_result result = shmt_receive_number(pipe, SHMC_TRY, &number, &size,
							      &flags);

		if (result == SHMC_EMPTY)
			ck_assert(is_readable(fd, -1));
		else if (result == SHMC_PEER_DEAD)
			return;
		else
			shmt_assert_ok(result);
	}
}

TEST(a_descriptor_is_readable_when_there_are_messages_or_news)
{
	struct scene scene = scene_open(CAPACITY);
	struct shmt_peer peer;
	uint64_t number, got, size;
	uint32_t flags;
	int fd;

	shmt_assert_ok(shmc_pipe_fd(scene.pipe, &fd, NULL));
	shmt_expect_no_message(scene.pipe, SHMC_TRY, SHMC_EMPTY);
	ck_assert(!is_readable(fd, 0));
	peer = start_echo(&scene);
	ck_assert(is_readable(fd, -1)); /* somebody came */
	for (number = 0; number < 500; number++) {
		enum shmc_result result;

		shmt_assert_ok(shmt_send_number(scene.pipe, number, 8, SHMC_TRY));
		while ((result = shmt_receive_number(scene.pipe, SHMC_TRY, &got, &size, &flags)) ==
		       SHMC_EMPTY)
			ck_assert(is_readable(fd, -1));
		shmt_assert_ok(result);
		ck_assert_uint_eq(got, number);
	}
	/* waiting for room with the descriptor armed: two have room each way */
	shmt_expect_no_message(scene.pipe, SHMC_TRY, SHMC_EMPTY);
	for (number = 0; number < 4; number++)
		shmt_assert_ok(shmt_send_number(scene.pipe, number, 1900, SHMC_FOREVER));
	ck_assert(is_readable(fd, -1));
	shmt_expect_number(scene.pipe, 0, 0);
	shmt_peer_kill(&peer);
	drain_by(fd, scene.pipe);
	do /* the broker may still be ringing */
		shmt_expect_no_message(scene.pipe, SHMC_TRY, SHMC_PEER_DEAD);
	while (is_readable(fd, 0));
	scene_close(&scene);
}

/* Types */

struct request {
	uint32_t number;
	char text[12];
};

struct answer {
	double value;
	uint64_t at;
};

static const struct shmc_pipe_field request_fields[] = {
	SHMC_PIPE_FIELD(struct request, number, SHMC_TYPE_U32),
	SHMC_PIPE_FIELD(struct request, text, SHMC_TYPE_STRING),
};
static const struct shmc_pipe_field answer_fields[] = {
	SHMC_PIPE_FIELD(struct answer, value, SHMC_TYPE_DOUBLE),
	SHMC_PIPE_FIELD(struct answer, at, SHMC_TYPE_TIME),
};

static const struct shmc_pipe_type request_type = { "request", sizeof(struct request),
						    request_fields, 2, 0 };
static const struct shmc_pipe_type answer_type = { "answer", sizeof(struct answer), answer_fields,
						   2, 0 };
static const struct shmc_pipe_types types = { .host = &answer_type, .client = &request_type };

static void ask_typed(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct request request = { .number = 7, .text = "seven" };
	struct shmc_message message;
	struct shmc_pipe *pipe;
	struct answer answer;
	void *room;

	shmt_assert_ok(shmc_pipe_open(client, "typed", SHMC_PIPE_CLIENT, &types, &pipe, NULL));
	shmt_assert_ok(shmc_pipe_call(pipe, &request, sizeof(request), &answer, sizeof(answer),
				      SHMC_FOREVER, &message));
	ck_assert(answer.value > 6.9 && answer.value < 7.1);
	shmt_assert_result(shmc_pipe_try_send(pipe, &request, 15), SHMC_MISMATCH);
	shmt_assert_result(shmc_pipe_try_send(pipe, &request, 17), SHMC_TOO_BIG);
	shmt_assert_result(shmc_pipe_reserve(pipe, 15, SHMC_TRY, &room), SHMC_MISMATCH);
	shmt_assert_ok(shmc_pipe_reserve(pipe, 16, SHMC_TRY, &room));
	shmt_assert_result(shmc_pipe_commit(pipe, 15), SHMC_MISMATCH);
	shmt_assert_ok(shmc_pipe_abort(pipe));
	shmc_pipe_close(pipe);
	shmc_disconnect(client);
	(void)other;
}

TEST(messages_of_a_type_are_of_its_size)
{
	struct scene scene = scene_open(CAPACITY);
	struct shmc_pipe_options options = { .capacity_bytes = CAPACITY, .types = types };
	struct shmc_pipe_info info;
	struct shmc_message message;
	struct request request;
	struct answer answer = { 0 };
	struct shmt_peer peer;
	struct shmc_pipe *pipe;

	shmt_assert_ok(shmc_pipe_create(scene.client, "typed", &options, NULL));
	peer = shmt_peer_start(ask_typed, &scene);
	shmt_assert_ok(shmc_pipe_open(scene.client, "typed", SHMC_PIPE_HOST, &types, &pipe, NULL));
	shmt_assert_ok(shmc_pipe_receive(pipe, &request, sizeof(request), SHMC_FOREVER, &message));
	ck_assert_uint_eq(message.size, sizeof(request));
	ck_assert_str_eq(request.text, "seven");
	answer.value = request.number;
	shmt_assert_ok(shmc_pipe_send(pipe, &answer, sizeof(answer), SHMC_FOREVER));
	shmt_peer_join(&peer);
	shmt_assert_ok(shmc_pipe_options_of(pipe, &info));
	ck_assert_uint_eq(info.client_bytes, sizeof(request));
	ck_assert_uint_eq(info.client_type, shmc_pipe_type_number(&request_type));
	ck_assert_uint_eq(info.host_type, shmc_pipe_type_number(&answer_type));
	shmc_pipe_close(pipe);
	scene_close(&scene);
}

static void refuse_type(struct scene *scene, const struct shmc_pipe_type *host,
			const struct shmc_pipe_type *client, const char *words)
{
	struct shmc_pipe_types wanted = { .host = host, .client = client };
	struct shmc_pipe *pipe = NULL;
	struct shmc_error error;

	shmt_assert_result(
		shmc_pipe_open(scene->client, "typed", SHMC_PIPE_HOST, &wanted, &pipe, &error),
		SHMC_MISMATCH);
	shmt_assert_says(&error, words);
	shmt_assert_says(&error, "typed");
}

TEST(a_type_of_another_name_size_or_layout_is_refused_before_anything_is_touched)
{
	struct scene scene = scene_open(CAPACITY);
	struct shmc_pipe_options options = { .capacity_bytes = CAPACITY, .types = types };
	struct shmc_pipe_statistics statistics;
	struct shmc_pipe_field fields[2] = { request_fields[0], request_fields[1] };
	struct shmc_pipe_type other = request_type;
	struct shmc_pipe *pipe;

	shmt_assert_ok(shmc_pipe_create(scene.client, "typed", &options, NULL));
	refuse_type(&scene, &request_type, NULL, "host_type");
	other.name = "Request";
	refuse_type(&scene, NULL, &other, "client_type");
	other = request_type;
	other.bytes = 24;
	refuse_type(&scene, NULL, &other, "client_bytes 16");
	other = request_type;
	other.fields = fields;
	fields[0].name = "numbers";
	refuse_type(&scene, NULL, &other, "client_type");
	fields[0].name = "number";
	fields[0].type = SHMC_TYPE_I32;
	refuse_type(&scene, NULL, &other, "client_type");
	fields[0] = request_fields[0];
	fields[1].offset = 5;
	fields[1].bytes = 11;
	refuse_type(&scene, NULL, &other, "client_type");
	shmt_assert_ok(shmc_pipe_open(scene.client, "typed", SHMC_PIPE_HOST, &types, &pipe, NULL));
	shmt_assert_ok(shmc_pipe_statistics(pipe, &statistics));
	ck_assert_uint_eq(statistics.session, 1); /* nobody was let in before */
	shmc_pipe_close(pipe);
	scene_close(&scene);
}

TEST(bad_arguments_are_named)
{
	struct scene scene = scene_open(CAPACITY);
	struct shmc_pipe_type type = { .bytes = 8 };
	struct shmc_pipe_options options = { .types = { .client = &type } };
	struct shmc_pipe *pipe;
	struct shmc_error error;

	shmt_assert_result(shmc_pipe_create(scene.client, "x", &options, &error), SHMC_INVALID);
	shmt_assert_says(&error, "types.client: it has no name");
	type = (struct shmc_pipe_type){ "t", 8, request_fields, 2, 0 };
	shmt_assert_result(shmc_pipe_create(scene.client, "x", &options, &error), SHMC_INVALID);
	shmt_assert_says(&error, "field 1 (\"text\") ends behind the type's 8 bytes");
	type = (struct shmc_pipe_type){ "t", 5000, NULL, 0, 0 };
	options.capacity_bytes = CAPACITY;
	shmt_assert_result(shmc_pipe_create(scene.client, "x", &options, &error), SHMC_INVALID);
	shmt_assert_says(&error, "client_bytes 5000");
	options.capacity_bytes = UINT64_C(1) << 33;
	shmt_assert_result(shmc_pipe_create(scene.client, "x", &options, &error), SHMC_TOO_BIG);
	shmt_assert_says(&error, "capacity_bytes");
	shmt_assert_result(
		shmc_pipe_open(scene.client, "pipe", (enum shmc_pipe_role)7, NULL, &pipe, &error),
		SHMC_INVALID);
	shmt_assert_result(
		shmc_pipe_open(scene.client, "no", SHMC_PIPE_CLIENT, NULL, &pipe, &error),
		SHMC_NOT_FOUND);
	scene_close(&scene);
}

/* Observers, children */

static int count_item(void *context, const struct shmc_item *item)
{
	uint64_t *counts = context;

	counts[item->endpoint]++;
	return 0;
}

TEST(an_observer_sees_both_directions_and_moves_nothing)
{
	struct scene scene = scene_open(CAPACITY);
	struct shmc_pipe *observer = shmt_open_pipe(scene.client, SHMC_PIPE_OBSERVER);
	struct shmc_look look = { 0 };
	struct shmc_pipe_statistics statistics;
	struct shmc_message message;
	uint64_t counts[2] = { 0 };
	struct shmt_peer peer;
	void *room;
	int fd;

	peer = shmt_peer_start(send_and_stay, &scene);
	shmt_peer_await(&peer);
	shmt_assert_ok(shmc_pipe_look(observer, &look, count_item, counts));
	ck_assert_uint_eq(counts[1], 1);
	ck_assert_uint_eq(counts[0], 0);
	shmt_assert_result(shmc_pipe_try_send(observer, "", 0), SHMC_INVALID);
	shmt_assert_result(shmc_pipe_reserve(observer, 0, SHMC_TRY, &room), SHMC_INVALID);
	shmt_assert_result(shmc_pipe_try_receive(observer, NULL, 0, &message), SHMC_INVALID);
	shmt_assert_result(shmc_pipe_peek(observer, SHMC_TRY, &message), SHMC_INVALID);
	shmt_assert_result(shmc_pipe_release(observer, 0), SHMC_INVALID);
	shmt_assert_result(shmc_pipe_call(observer, "", 0, NULL, 0, SHMC_TRY, &message),
			   SHMC_INVALID);
	shmt_assert_result(shmc_pipe_wait_peer(observer, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(shmc_pipe_fd(observer, &fd, NULL), SHMC_INVALID);
	ck_assert_int_eq(shmc_pipe_peer(observer), SHMC_PEER_NONE);
	shmt_assert_ok(shmc_pipe_statistics(observer, &statistics));
	ck_assert_uint_eq(statistics.to_host.depth, 1);
	ck_assert_uint_eq(statistics.to_host.sent_bytes, 100);
	shmt_assert_ok(shmt_send_number(scene.pipe, 2, 8, SHMC_TRY));
	shmt_peer_join(&peer);
	shmc_pipe_close(observer);
	scene_close(&scene);
}

static void use_in_child(struct shmc_pipe *pipe)
{
	struct shmc_bytes batch = { "", 0 };
	struct shmc_pipe_statistics statistics;
	struct shmc_pipe_info info;
	struct shmc_look look = { 0 };
	struct shmc_message message;
	uint64_t count;
	char buffer[8];
	void *room;
	int fd;

	shmt_assert_result(shmc_pipe_send(pipe, "", 0, SHMC_FOREVER), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_try_send(pipe, "", 0), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_send_batch(pipe, &batch, 1, SHMC_TRY, &count), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_reserve(pipe, 1, SHMC_TRY, &room), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_commit(pipe, 0), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_abort(pipe), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_receive(pipe, buffer, 8, SHMC_FOREVER, &message), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_try_receive(pipe, buffer, 8, &message), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_call(pipe, "", 0, buffer, 8, SHMC_FOREVER, &message),
			   SHMC_FORKED);
	shmt_assert_result(shmc_pipe_peek(pipe, SHMC_FOREVER, &message), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_peek_batch(pipe, &message, 1, SHMC_TRY, &count), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_release(pipe, 0), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_fd(pipe, &fd, NULL), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_wait_peer(pipe, SHMC_FOREVER), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_look(pipe, &look, count_item, NULL), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_statistics(pipe, &statistics), SHMC_FORKED);
	shmt_assert_result(shmc_pipe_options_of(pipe, &info), SHMC_FORKED);
	ck_assert_int_eq(shmc_pipe_peer(pipe), SHMC_PEER_NONE);
	shmc_pipe_close(pipe);
}

TEST(a_forked_child_is_told_so_by_every_call)
{
	struct scene scene = scene_open(CAPACITY);
	struct shmt_peer peer = start_echo(&scene);
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		shmt_be_child();
		use_in_child(scene.pipe);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	shmt_assert_ok(shmt_send_number(scene.pipe, 5, 50, SHMC_TRY));
	shmt_expect_number(scene.pipe, 5, 0);
	end(&scene, &peer);
}

SHMT_MAIN
