/* Values through ports: every codec through every kind, between two processes and a real broker. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/codec.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

#define SECOND_NS INT64_C(1000000000)

enum {
	COUNT = 300,
	LIMIT = 64
};

/* The kinds. */

struct kind {
	const char *name;
	enum shmc_result (*create)(struct shmc_client *client, uint64_t message_bytes_max);
	struct shmc_port (*open)(struct shmc_client *client, bool receives);
	void (*close)(void *handle);
	bool redelivers;
};

static enum shmc_result spsc_create(struct shmc_client *client, uint64_t message_bytes_max)
{
	struct shmc_spsc_options options = { .capacity_bytes = 4096,
					     .message_bytes_max = message_bytes_max };

	return shmc_spsc_create(client, "spsc", &options, NULL);
}

static struct shmc_port spsc_open(struct shmc_client *client, bool receives)
{
	struct shmc_spsc *queue;

	shmt_assert_ok(shmc_spsc_open(
		client, "spsc", receives ? SHMC_SPSC_CONSUMER : SHMC_SPSC_PRODUCER, &queue, NULL));
	return shmc_port_spsc(queue);
}

static void spsc_close(void *handle)
{
	shmc_spsc_close(handle);
}

static enum shmc_result mpmc_create(struct shmc_client *client, uint64_t message_bytes_max)
{
	struct shmc_mpmc_options options = { .slots = 8, .message_bytes_max = message_bytes_max };

	return shmc_mpmc_create(client, "mpmc", &options, NULL);
}

static struct shmc_port mpmc_open(struct shmc_client *client, bool receives)
{
	struct shmc_mpmc *queue;

	shmt_assert_ok(shmc_mpmc_open(
		client, "mpmc", receives ? SHMC_MPMC_CONSUMER : SHMC_MPMC_PRODUCER, &queue, NULL));
	return shmc_port_mpmc(queue);
}

static void mpmc_close(void *handle)
{
	shmc_mpmc_close(handle);
}

static enum shmc_result broadcast_create_as(struct shmc_client *client, const char *name,
					    struct shmc_broadcast_options options)
{
	options.capacity_bytes = 4096;
	return shmc_broadcast_create(client, name, &options, NULL);
}

static enum shmc_result broadcast_create(struct shmc_client *client, uint64_t message_bytes_max)
{
	return broadcast_create_as(
		client, "broadcast",
		(struct shmc_broadcast_options){ .message_bytes_max = message_bytes_max,
						 .policy = SHMC_BROADCAST_BLOCK });
}

static struct shmc_port broadcast_open_as(struct shmc_client *client, const char *name,
					  bool receives)
{
	struct shmc_broadcast *broadcast;

	if (receives)
		shmt_assert_ok(shmc_broadcast_open_from(client, name, SHMC_BROADCAST_OLDEST, 0,
							&broadcast, NULL));
	else
		shmt_assert_ok(
			shmc_broadcast_open(client, name, SHMC_BROADCAST_WRITER, &broadcast, NULL));
	return shmc_port_broadcast(broadcast);
}

static struct shmc_port broadcast_open(struct shmc_client *client, bool receives)
{
	return broadcast_open_as(client, "broadcast", receives);
}

static void broadcast_close(void *handle)
{
	shmc_broadcast_close(handle);
}

/* With one writer, who reserves in the ring. */
static enum shmc_result exclusive_create(struct shmc_client *client, uint64_t message_bytes_max)
{
	return broadcast_create_as(
		client, "exclusive",
		(struct shmc_broadcast_options){ .message_bytes_max = message_bytes_max,
						 .policy = SHMC_BROADCAST_BLOCK,
						 .exclusive = 1 });
}

static struct shmc_port exclusive_open(struct shmc_client *client, bool receives)
{
	return broadcast_open_as(client, "exclusive", receives);
}

static enum shmc_result pipe_create(struct shmc_client *client, uint64_t message_bytes_max)
{
	struct shmc_pipe_options options = { .capacity_bytes = 4096,
					     .message_bytes_max = message_bytes_max };

	return shmc_pipe_create(client, "pipe", &options, NULL);
}

static struct shmc_port pipe_open(struct shmc_client *client, bool receives)
{
	struct shmc_pipe *pipe;

	shmt_assert_ok(shmc_pipe_open(client, "pipe", receives ? SHMC_PIPE_CLIENT : SHMC_PIPE_HOST,
				      NULL, &pipe, NULL));
	return shmc_port_pipe(pipe);
}

static void pipe_close(void *handle)
{
	shmc_pipe_close(handle);
}

static enum shmc_result stream_create(struct shmc_client *client, uint64_t message_bytes_max)
{
	struct shmc_stream_options options = { .capacity_bytes = message_bytes_max };

	return shmc_stream_create(client, "stream", &options, NULL);
}

static struct shmc_port stream_open(struct shmc_client *client, bool receives)
{
	struct shmc_stream *stream;

	shmt_assert_ok(shmc_stream_open(client, "stream",
					receives ? SHMC_STREAM_READER : SHMC_STREAM_WRITER, &stream,
					NULL));
	return shmc_port_stream(stream);
}

static void stream_close(void *handle)
{
	shmc_stream_close(handle);
}

static const struct kind kinds[] = {
	{ "spsc", spsc_create, spsc_open, spsc_close, true },
	{ "mpmc", mpmc_create, mpmc_open, mpmc_close, true },
	{ "broadcast", broadcast_create, broadcast_open, broadcast_close, false },
	{ "exclusive", exclusive_create, exclusive_open, broadcast_close, false },
	{ "pipe", pipe_create, pipe_open, pipe_close, true },
	{ "stream", stream_create, stream_open, stream_close, true },
};
enum {
	KINDS = sizeof(kinds) / sizeof(*kinds)
};

/* Codecs of the test's own: any bytes, from and into a struct shmc_bytes. */

static enum shmc_result bytes_encode(const struct shmc_codec *codec, const void *value, void *room,
				     uint64_t room_bytes, uint64_t *ret_bytes)
{
	const struct shmc_bytes *bytes = value;

	if (bytes->size > room_bytes)
		return SHMC_TOO_BIG;
	memcpy(room, bytes->data, bytes->size);
	*ret_bytes = bytes->size;
	return SHMC_OK;
}

static enum shmc_result bytes_decode(const struct shmc_codec *codec, const void *data,
				     uint64_t bytes, void *ret_value)
{
	struct shmc_bytes *value = ret_value;
	void *copy = malloc(bytes);

	memcpy(copy, data, bytes);
	*value = (struct shmc_bytes){ copy, bytes };
	return SHMC_OK;
}

static void bytes_clear(const struct shmc_codec *codec, void *value)
{
	struct shmc_bytes *bytes = value;

	free((void *)bytes->data);
	bytes->data = NULL;
}

static const struct shmc_codec bytes_codec = {
	.name = "bytes", .encode = bytes_encode, .decode = bytes_decode, .clear = bytes_clear
};

static enum shmc_result send_text(struct shmc_port *port, const char *text)
{
	struct shmc_bytes bytes = { text, strlen(text) };

	return shmc_port_send_value(port, &bytes_codec, &bytes, SHMC_TRY);
}

static void expect_text(struct shmc_port *port, const char *text)
{
	struct shmc_message message = { .size = 0 };
	struct shmc_bytes bytes;

	shmt_assert_ok(shmc_port_receive_value(port, &bytes_codec, &bytes, SHMC_TRY, &message));
	ck_assert_uint_eq(bytes.size, strlen(text));
	ck_assert_uint_eq(message.size, strlen(text));
	ck_assert_ptr_null(message.data);
	ck_assert_mem_eq(bytes.data, text, bytes.size);
	bytes_clear(NULL, &bytes);
}

static void expect_nothing(struct shmc_port *port)
{
	struct shmc_bytes bytes;

	shmt_assert_result(shmc_port_receive_value(port, &bytes_codec, &bytes, SHMC_TRY, NULL),
			   SHMC_EMPTY);
}

/* Both ends of a kind in this process. */

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	const struct kind *kind;
	struct shmc_port from, to;
	size_t descriptors;
};

static void scene_begin(struct scene *scene, const struct kind *kind, uint64_t message_bytes_max)
{
	scene->broker = shmt_broker_start(NULL);
	scene->descriptors = shmt_descriptor_count();
	scene->client = shmt_connect(&scene->broker);
	scene->kind = kind;
	shmt_assert_ok(kind->create(scene->client, message_bytes_max));
}

static struct scene scene_open(const struct kind *kind, uint64_t message_bytes_max)
{
	struct scene scene;

	scene_begin(&scene, kind, message_bytes_max);
	scene.to = kind->open(scene.client, false);
	scene.from = kind->open(scene.client, true);
	return scene;
}

static void scene_close(struct scene *scene)
{
	if (scene->to.handle)
		scene->kind->close(scene->to.handle);
	if (scene->from.handle)
		scene->kind->close(scene->from.handle);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

/* Two processes. */

static void clear(const struct shmt_codec *codec, union shmt_slot *slot)
{
	if (codec->codec->clear)
		codec->codec->clear(codec->codec, slot);
}

static void send_all(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_port port = scene->kind->open(client, false);

	for (const struct shmt_codec *codec = shmt_codecs(); codec->codec; codec++) {
		for (unsigned i = 0; i < COUNT; i++) {
			void *value = codec->make(i, i % 101);

			shmt_assert_ok(
				shmc_port_send_value(&port, codec->codec, value, SHMC_FOREVER));
			codec->drop(value);
		}
	}
	/* who leaves in the middle leaves the pipe as well */
	shmt_peer_await(other);
	scene->kind->close(port.handle);
	shmc_disconnect(client);
}

TEST(every_codec_goes_through_every_kind_to_another_process, .rounds = KINDS)
{
	struct scene scene = { .kind = NULL };
	struct shmt_peer peer;

	scene_begin(&scene, &kinds[_i], 200);
	scene.from = kinds[_i].open(scene.client, true);
	peer = shmt_peer_start(send_all, &scene);
	for (const struct shmt_codec *codec = shmt_codecs(); codec->codec; codec++) {
		for (unsigned i = 0; i < COUNT; i++) {
			struct shmc_message message;
			union shmt_slot slot;

			shmt_assert_ok(shmc_port_receive_value(&scene.from, codec->codec, &slot,
							       SHMC_FOREVER, &message));
			ck_assert_msg(codec->is(&slot, i, i % 101), "%s %u", codec->codec->name, i);
			ck_assert_uint_eq(message.flags, 0);
			clear(codec, &slot);
		}
	}
	expect_nothing(&scene.from);
	shmt_peer_tell(&peer);
	shmt_peer_join(&peer);
	scene_close(&scene);
}

static void hold_a_bad_one(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_port port = scene->kind->open(client, true);
	void *value;

	shmt_assert_result(
		shmc_port_receive_value(&port, shmc_codec_json(), &value, SHMC_FOREVER, NULL),
		SHMC_BAD_VALUE);
	shmt_peer_tell(other);
	shmt_peer_hang();
}

TEST(a_bad_value_in_dead_hands_comes_again, .rounds = KINDS)
{
	struct shmc_message message;
	struct scene scene = { .kind = NULL };
	struct shmc_bytes bytes;
	struct shmt_peer peer;

	if (!kinds[_i].redelivers)
		return;
	scene_begin(&scene, &kinds[_i], 200);
	scene.to = kinds[_i].open(scene.client, false);
	shmt_assert_ok(send_text(&scene.to, "{bad"));
	peer = shmt_peer_start(hold_a_bad_one, &scene);
	shmt_peer_await(&peer);
	shmt_peer_kill(&peer);
	/* the place is free as soon as the broker knows */
	shmt_broker_settle(&scene.broker, shmt_broker_descriptors(&scene.broker));
	scene.from = kinds[_i].open(scene.client, true);
	shmt_assert_ok(
		shmc_port_receive_value(&scene.from, &bytes_codec, &bytes, SECOND_NS, &message));
	ck_assert_uint_eq(message.flags, SHMC_REDELIVERED);
	ck_assert_uint_eq(bytes.size, 4);
	bytes_clear(NULL, &bytes);
	scene_close(&scene);
}

/* Bad data. */

TEST(a_bad_value_stays_readable_until_it_is_released, .rounds = KINDS)
{
	struct scene scene = scene_open(&kinds[_i], 200);

	for (const struct shmt_codec *codec = shmt_codecs(); codec->codec; codec++) {
		struct shmc_message message;
		union shmt_slot slot;

		shmt_assert_ok(send_text(&scene.to, "\xc1nonsense"));
		shmt_assert_ok(send_text(&scene.to, "next"));
		for (int again = 0; again < 2; again++) {
			enum shmc_result result = shmc_port_receive_value(
				&scene.from, codec->codec, &slot, SHMC_TRY, &message);

			ck_assert_msg(result == SHMC_BAD_VALUE || result == SHMC_MISMATCH, "%s: %s",
				      codec->codec->name, shmc_result_name(result));
			ck_assert_uint_eq(message.size, 9);
			ck_assert_mem_eq(message.data, "\xc1nonsense", 9);
		}
		shmt_assert_ok(shmc_port_release(&scene.from));
		shmt_assert_result(shmc_port_release(&scene.from), SHMC_INVALID);
		expect_text(&scene.from, "next");
	}
	expect_nothing(&scene.from);
	scene_close(&scene);
}

TEST(what_one_codec_cannot_read_another_may, .rounds = KINDS)
{
	const struct shmt_codec *codec = shmt_codecs();
	struct scene scene = scene_open(&kinds[_i], 200);
	void *value = codec[1].make(5, 10);
	union shmt_slot slot;

	shmt_assert_ok(shmc_port_send_value(&scene.to, codec[1].codec, value, SHMC_TRY));
	shmt_assert_result(
		shmc_port_receive_value(&scene.from, codec[0].codec, &slot, SHMC_TRY, NULL),
		SHMC_MISMATCH);
	shmt_assert_ok(shmc_port_receive_value(&scene.from, codec[1].codec, &slot, SHMC_TRY, NULL));
	ck_assert(codec[1].is(&slot, 5, 10));
	clear(&codec[1], &slot);
	codec[1].drop(value);
	expect_nothing(&scene.from);
	scene_close(&scene);
}

/* Limits. */

TEST(too_big_a_value_sends_nothing, .rounds = KINDS)
{
	struct scene scene = scene_open(&kinds[_i], LIMIT);
	uint64_t limit = scene.to.message_bytes_max;
	char *text = calloc(1, limit + 2);

	/* a stream's frame is as long as its ring allows */
	ck_assert(limit == LIMIT || (strcmp(kinds[_i].name, "stream") == 0 && limit == 4064));
	memset(text, 'x', limit + 1);
	shmt_assert_result(send_text(&scene.to, text), SHMC_TOO_BIG);
	for (const struct shmt_codec *codec = shmt_codecs(); codec->codec && limit == LIMIT;
	     codec++) {
		void *value = codec->make(1, 100);

		shmt_assert_result(shmc_port_send_value(&scene.to, codec->codec, value, SHMC_TRY),
				   SHMC_TOO_BIG);
		codec->drop(value);
	}
	expect_nothing(&scene.from);
	text[limit] = '\0';
	shmt_assert_ok(send_text(&scene.to, text));
	expect_text(&scene.from, text);
	free(text);
	scene_close(&scene);
}

/* JSON is measured with more than it may take: what fits all the same is sent. */
TEST(json_of_exactly_the_limit_is_sent, .rounds = KINDS)
{
	struct scene scene = scene_open(&kinds[_i], LIMIT);
	char text[LIMIT] = "0.5"; /* beside it: brackets, comma and quotes */
	cJSON *item = cJSON_CreateArray(), *back;
	struct shmc_message message;

	if (scene.to.message_bytes_max == LIMIT) {
		memset(text, 'x', LIMIT - 8);
		cJSON_AddItemToArray(item, cJSON_CreateNumber(0.5));
		cJSON_AddItemToArray(item, cJSON_CreateString(text));
		shmt_assert_ok(shmc_port_send_value(&scene.to, shmc_codec_json(), item, SHMC_TRY));
		shmt_assert_ok(shmc_port_receive_value(&scene.from, shmc_codec_json(), &back,
						       SHMC_TRY, &message));
		ck_assert_uint_eq(message.size, LIMIT);
		ck_assert(cJSON_Compare(item, back, true));
		cJSON_Delete(back);
		cJSON_AddItemToArray(item, cJSON_CreateNull());
		shmt_assert_result(
			shmc_port_send_value(&scene.to, shmc_codec_json(), item, SHMC_TRY),
			SHMC_TOO_BIG);
	}
	expect_nothing(&scene.from);
	cJSON_Delete(item);
	scene_close(&scene);
}

TEST(a_codec_that_cannot_measure_gets_as_much_room_as_there_may_be)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_bytes sent = { NULL, 100000 }, got;
	struct shmc_spsc *producer, *consumer;
	struct shmc_port from, to;

	shmt_create(client, "spsc", 1 << 18);
	producer = shmt_open(client, "spsc", SHMC_SPSC_PRODUCER);
	consumer = shmt_open(client, "spsc", SHMC_SPSC_CONSUMER);
	to = shmc_port_spsc(producer);
	from = shmc_port_spsc(consumer);
	sent.data = calloc(1, sent.size);
	shmt_assert_ok(shmc_port_send_value(&to, &bytes_codec, &sent, SHMC_TRY));
	shmt_assert_ok(shmc_port_receive_value(&from, &bytes_codec, &got, SHMC_TRY, NULL));
	ck_assert_uint_eq(got.size, sent.size);
	ck_assert_mem_eq(got.data, sent.data, sent.size);
	bytes_clear(NULL, &got);
	bytes_clear(NULL, &sent);
	shmc_spsc_close(producer);
	shmc_spsc_close(consumer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(a_full_queue_says_so_and_an_empty_one, .rounds = KINDS)
{
	struct scene scene = scene_open(&kinds[_i], LIMIT);
	unsigned sent = 0, got = 0;
	struct shmc_bytes bytes;

	while (send_text(&scene.to, "text") == SHMC_OK)
		sent++;
	shmt_assert_result(send_text(&scene.to, "text"), SHMC_FULL);
	for (;
	     shmc_port_receive_value(&scene.from, &bytes_codec, &bytes, SHMC_TRY, NULL) == SHMC_OK;
	     got++)
		bytes_clear(NULL, &bytes);
	ck_assert_uint_eq(sent, got);
	expect_nothing(&scene.from);
	shmt_assert_ok(send_text(&scene.to, "text"));
	expect_text(&scene.from, "text");
	scene_close(&scene);
}

/* Codecs of half a mind. */

static enum shmc_result any_measure(const struct shmc_codec *codec, const void *value,
				    uint64_t *ret_bytes)
{
	*ret_bytes = 10;
	return SHMC_OK;
}

static enum shmc_result bad_encode(const struct shmc_codec *codec, const void *value, void *room,
				   uint64_t room_bytes, uint64_t *ret_bytes)
{
	ck_assert_uint_eq(room_bytes, 10);
	memset(room, 'x', 10);
	return SHMC_BAD_VALUE;
}

static enum shmc_result bad_measure(const struct shmc_codec *codec, const void *value,
				    uint64_t *ret_bytes)
{
	return SHMC_BAD_VALUE;
}

TEST(a_value_that_cannot_be_encoded_sends_nothing, .rounds = KINDS)
{
	static const struct shmc_codec late = { .measure = any_measure, .encode = bad_encode };
	static const struct shmc_codec early = { .measure = bad_measure, .encode = bad_encode };
	struct scene scene = scene_open(&kinds[_i], LIMIT);

	for (int i = 0; i < 5; i++)
		shmt_assert_result(shmc_port_send_value(&scene.to, &late, NULL, SHMC_TRY),
				   SHMC_BAD_VALUE);
	shmt_assert_result(shmc_port_send_value(&scene.to, &early, NULL, SHMC_TRY), SHMC_BAD_VALUE);
	expect_nothing(&scene.from);
	shmt_assert_ok(send_text(&scene.to, "good"));
	expect_text(&scene.from, "good");
	scene_close(&scene);
}

TEST(a_codec_may_lack_either_direction, .rounds = KINDS)
{
	static const struct shmc_codec none = { .name = "none" };
	struct scene scene = scene_open(&kinds[_i], LIMIT);
	void *value;

	shmt_assert_result(shmc_port_send_value(&scene.to, &none, &value, SHMC_TRY),
			   SHMC_UNSUPPORTED);
	shmt_assert_ok(send_text(&scene.to, "text"));
	shmt_assert_result(shmc_port_receive_value(&scene.from, &none, &value, SHMC_TRY, NULL),
			   SHMC_UNSUPPORTED);
	expect_text(&scene.from, "text");
	scene_close(&scene);
}

TEST(the_wrong_side_of_anything_but_a_pipe_is_invalid, .rounds = KINDS)
{
	struct scene scene = scene_open(&kinds[_i], LIMIT);
	struct shmc_bytes bytes = { "text", 4 };

	if (strcmp(kinds[_i].name, "pipe") != 0) {
		shmt_assert_result(send_text(&scene.from, "text"), SHMC_INVALID);
		shmt_assert_result(
			shmc_port_receive_value(&scene.to, &bytes_codec, &bytes, SHMC_TRY, NULL),
			SHMC_INVALID);
	} else {
		shmt_assert_ok(send_text(&scene.from, "text"));
		expect_text(&scene.to, "text");
	}
	scene_close(&scene);
}

TEST(a_forked_child_may_not_even_look_at_what_is_in_hand, .rounds = KINDS)
{
	struct scene scene = scene_open(&kinds[_i], LIMIT);
	void *value;
	int status;
	pid_t pid;

	shmt_assert_ok(send_text(&scene.to, "{bad"));
	shmt_assert_result(
		shmc_port_receive_value(&scene.from, shmc_codec_json(), &value, SHMC_TRY, NULL),
		SHMC_BAD_VALUE);
	pid = fork();
	if (pid == 0)
		_exit(shmc_port_receive_value(&scene.from, shmc_codec_json(), &value, SHMC_TRY,
					      NULL) != SHMC_FORKED ||
		      shmc_port_release(&scene.from) != SHMC_FORKED ||
		      send_text(&scene.to, "text") != SHMC_FORKED);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	expect_text(&scene.from, "{bad");
	scene_close(&scene);
}

/* A broadcast that writes over what is being decoded. */

struct lapping {
	struct shmc_codec codec;
	struct shmc_broadcast *writer;
	enum shmc_result result;
	int *cleared;
};

static enum shmc_result lapping_decode(const struct shmc_codec *codec, const void *data,
				       uint64_t bytes, void *ret_value)
{
	const struct lapping *lapping = (const struct lapping *)codec;
	char text[100] = "";

	for (int i = 0; i < 100; i++)
		shmt_assert_ok(shmc_broadcast_push(lapping->writer, text, sizeof(text), SHMC_TRY));
	return lapping->result;
}

static void lapping_clear(const struct shmc_codec *codec, void *value)
{
	++*((const struct lapping *)codec)->cleared;
}

static void read_lapped(enum shmc_result result, int expected_cleared)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_message message;
	struct shmc_port to, from;
	int cleared = 0;
	struct lapping lapping = { .codec = { .decode = lapping_decode, .clear = lapping_clear },
				   .result = result,
				   .cleared = &cleared };
	struct shmc_bytes bytes;

	shmt_assert_ok(broadcast_create_as(client, "broadcast",
					   (struct shmc_broadcast_options){ .mode = 0 }));
	to = broadcast_open(client, false);
	from = broadcast_open(client, true);
	lapping.writer = to.handle;
	shmt_assert_ok(send_text(&to, "text"));
	shmt_assert_result(shmc_port_receive_value(&from, &lapping.codec, NULL, SHMC_TRY, &message),
			   SHMC_LAPPED);
	ck_assert_ptr_null(message.data);
	ck_assert_int_eq(cleared, expected_cleared);
	shmt_assert_result(shmc_port_release(&from), SHMC_INVALID);
	/* the oldest there is, and that some were lost */
	shmt_assert_ok(shmc_port_receive_value(&from, &bytes_codec, &bytes, SHMC_TRY, &message));
	ck_assert_uint_eq(bytes.size, 100);
	ck_assert_uint_eq(message.flags, SHMC_LOST);
	bytes_clear(NULL, &bytes);
	shmc_broadcast_close(to.handle);
	shmc_broadcast_close(from.handle);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(what_is_written_over_while_it_is_decoded_is_no_value_and_not_bad)
{
	read_lapped(SHMC_OK, 1);
	read_lapped(SHMC_BAD_VALUE, 0);
}

SHMT_MAIN
