/* Observers through the library and a real broker: what they see, and what they may not. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/mpmc.h"
#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/mpmc_client.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define MS_NS INT64_C(1000000)

struct scene {
	struct shmt_broker broker;
	size_t descriptors;
	struct shmc_client *client;
};

static struct scene scene_open(void)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.client = shmt_connect(&scene.broker);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

struct shown {
	uint64_t count;
	char last[64];
};

static int note(void *context, const struct shmc_item *item)
{
	struct shown *shown = context;

	shown->count++;
	ck_assert_uint_lt(item->data_bytes, sizeof(shown->last));
	memcpy(shown->last, item->data, item->data_bytes);
	shown->last[item->data_bytes] = '\0';
	return 0;
}

static struct shmc_look whole(void)
{
	static char buffer[63];

	return (struct shmc_look){ .buffer = buffer, .buffer_bytes = sizeof(buffer) };
}

TEST(spsc_observer_sees_messages_and_takes_none)
{
	struct scene scene = scene_open();
	struct shmc_spsc *producer, *consumer, *observer;
	struct shmc_look look = whole();
	struct shown shown = { 0 };
	struct shmc_message message;
	char buffer[8];

	shmt_create(scene.client, "queue", 4096);
	observer = shmt_open(scene.client, "queue", SHMC_SPSC_OBSERVER);
	producer = shmt_open(scene.client, "queue", SHMC_SPSC_PRODUCER);
	consumer = shmt_open(scene.client, "queue", SHMC_SPSC_CONSUMER);
	shmt_assert_ok(shmc_spsc_try_push(producer, "one", 3));
	shmt_assert_ok(shmc_spsc_try_push(producer, "two", 3));
	shmt_assert_ok(shmc_spsc_look(observer, &look, note, &shown));
	ck_assert_uint_eq(shown.count, 2);
	ck_assert_str_eq(shown.last, "two");
	shmt_assert_ok(shmc_spsc_look(observer, &look, note, &shown));
	ck_assert_uint_eq(shown.count, 2);
	shmt_assert_ok(shmc_spsc_try_pop(consumer, buffer, sizeof(buffer), &message));
	ck_assert_uint_eq(message.flags, 0);
	shmc_spsc_close(observer);
	shmc_spsc_close(producer);
	shmc_spsc_close(consumer);
	scene_close(&scene);
}

TEST(spsc_observer_makes_no_move)
{
	struct scene scene = scene_open();
	struct shmc_statistics own, peer;
	struct shmc_spsc *observer;
	struct shmc_message message;
	struct shmc_bytes bytes = { "x", 1 };
	uint64_t count, depth;
	void *room;
	int fd;

	shmt_create(scene.client, "queue", 4096);
	observer = shmt_open(scene.client, "queue", SHMC_SPSC_OBSERVER);
	shmt_assert_result(shmc_spsc_push(observer, "x", 1, SHMC_FOREVER), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_try_push(observer, "x", 1), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_push_batch(observer, &bytes, 1, SHMC_TRY, &count),
			   SHMC_INVALID);
	shmt_assert_result(shmc_spsc_reserve(observer, 1, SHMC_TRY, &room), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_commit(observer, 0), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_abort(observer), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_pop(observer, NULL, 0, SHMC_FOREVER, &message), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_try_pop(observer, NULL, 0, &message), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_peek(observer, SHMC_TRY, &message), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_release(observer, 1), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_fd(observer, &fd, NULL), SHMC_INVALID);
	shmt_assert_result(shmc_spsc_wait_peer(observer, SHMC_FOREVER), SHMC_INVALID);
	ck_assert_int_eq(shmc_spsc_peer(observer), SHMC_PEER_NONE);
	shmt_assert_ok(shmc_spsc_statistics(observer, &own, &peer, &depth));
	ck_assert_uint_eq(own.messages + peer.messages + depth, 0);
	shmc_spsc_close(observer);
	scene_close(&scene);
}

TEST(mpmc_observer_sees_messages_and_makes_no_move)
{
	struct scene scene = scene_open();
	struct shmc_mpmc *producer, *observer;
	struct shmc_mpmc_statistics all;
	struct shmc_mpmc_endpoint one;
	struct shmc_look look = whole();
	struct shown shown = { 0 };
	struct shmc_message message;
	uint64_t count;
	void *room;
	int fd;

	shmt_queue_create(scene.client, "queue", (struct shmc_mpmc_options){ .slots = 4 });
	observer = shmt_queue_open(scene.client, "queue", SHMC_MPMC_OBSERVER);
	producer = shmt_queue_open(scene.client, "queue", SHMC_MPMC_PRODUCER);
	shmt_assert_ok(shmc_mpmc_try_push(producer, "one", 3));
	shmt_assert_ok(shmc_mpmc_look(observer, &look, note, &shown));
	ck_assert_uint_eq(shown.count, 1);
	ck_assert_str_eq(shown.last, "one");
	shmt_assert_result(shmc_mpmc_push(observer, "x", 1, SHMC_FOREVER), SHMC_INVALID);
	shmt_assert_result(shmc_mpmc_reserve(observer, 1, SHMC_TRY, &room), SHMC_INVALID);
	shmt_assert_result(shmc_mpmc_commit(observer, 0), SHMC_INVALID);
	shmt_assert_result(shmc_mpmc_abort(observer), SHMC_INVALID);
	shmt_assert_result(shmc_mpmc_pop(observer, NULL, 0, SHMC_FOREVER, &message), SHMC_INVALID);
	shmt_assert_result(shmc_mpmc_pop_batch(observer, NULL, 0, &message, 1, SHMC_TRY, &count),
			   SHMC_INVALID);
	shmt_assert_result(shmc_mpmc_peek(observer, SHMC_TRY, &message), SHMC_INVALID);
	shmt_assert_result(shmc_mpmc_release(observer), SHMC_INVALID);
	shmt_assert_result(shmc_mpmc_fd(observer, &fd, NULL), SHMC_INVALID);
	shmt_assert_ok(shmc_mpmc_statistics(observer, &all));
	ck_assert_uint_eq(all.producers.messages, 1);
	ck_assert_uint_eq(all.depth, 1);
	shmt_assert_ok(shmc_mpmc_endpoint(observer, 0, &one));
	ck_assert_uint_eq(one.is_own, 0);
	ck_assert_uint_eq(one.pushed.messages, 1);
	shmc_mpmc_close(observer);
	shmc_mpmc_close(producer);
	scene_close(&scene);
}

static void add_figure(void *context, const char *name, uint64_t value)
{
	if (strcmp(name, "depth_messages") == 0)
		*(uint64_t *)context = value;
}

TEST(any_kind_is_observed_by_its_name_alone)
{
	struct scene scene = scene_open();
	struct shmc_observer *observer;
	struct shmc_look look = whole();
	struct shown shown = { 0 };
	struct shmc_mpmc *producer;
	struct shmc_error error;
	uint64_t depth = 0;

	shmt_queue_create(scene.client, "many", (struct shmc_mpmc_options){ .slots = 4 });
	shmt_create(scene.client, "one", 4096);
	producer = shmt_queue_open(scene.client, "many", SHMC_MPMC_PRODUCER);
	shmt_assert_ok(shmc_mpmc_try_push(producer, "hello", 5));
	shmt_assert_ok(shmc_observer_open(scene.client, "many", &observer, &error));
	ck_assert_str_eq(shmc_observer_kind(observer), "mpmc");
	ck_assert_int_eq(shmc_observer_positions(observer), SHMC_POSITIONS_ITEMS);
	shmt_assert_ok(shmc_observer_look(observer, &look, note, &shown));
	ck_assert_str_eq(shown.last, "hello");
	shmt_assert_ok(shmc_observer_figures(observer, add_figure, &depth));
	ck_assert_uint_eq(depth, 1);
	shmc_observer_close(observer);
	shmt_assert_ok(shmc_observer_open(scene.client, "one", &observer, &error));
	ck_assert_str_eq(shmc_observer_kind(observer), "spsc");
	shmc_observer_close(observer);
	shmt_assert_result(shmc_observer_open(scene.client, "none", &observer, &error),
			   SHMC_NOT_FOUND);
	shmt_assert_says(&error, "none");
	shmc_mpmc_close(producer);
	scene_close(&scene);
}

TEST(as_many_observers_as_one_likes_take_no_place)
{
	struct scene scene = scene_open();
	struct shmc_mpmc *observers[10], *producer, *consumer;
	struct shmt_raw *control;

	shmt_queue_create(scene.client, "queue", (struct shmc_mpmc_options){ .endpoints_max = 2 });
	for (int i = 0; i < 10; i++)
		observers[i] = shmt_queue_open(scene.client, "queue", SHMC_MPMC_OBSERVER);
	producer = shmt_queue_open(scene.client, "queue", SHMC_MPMC_PRODUCER);
	consumer = shmt_queue_open(scene.client, "queue", SHMC_MPMC_CONSUMER);
	control = shmt_raw_open(scene.broker.control);
	shmt_raw_call(control, "org.shmbroker.control.Describe", "{'name':'queue'}");
	ck_assert_int_eq(
		cJSON_GetObjectItem(shmt_raw_item(control, "segment"), "observers")->valueint, 10);
	shmt_raw_close(control);
	for (int i = 0; i < 10; i++)
		shmc_mpmc_close(observers[i]);
	shmc_mpmc_close(producer);
	shmc_mpmc_close(consumer);
	scene_close(&scene);
}

TEST(observer_of_the_broker_gets_descriptors_that_cannot_be_written)
{
	struct scene scene = scene_open();
	struct shmt_raw *raw = shmt_raw_open(scene.broker.address);

	shmt_create(scene.client, "queue", 4096);
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", "{'name':'queue','role':'observer'}"), "");
	ck_assert_int_eq(shmt_raw_int(raw, "endpoint"), -1);
	ck_assert_str_eq(shmt_raw_string(raw, "kind"), "spsc");
	ck_assert_int_eq(write(shmt_raw_fd(raw, "ctl"), "x", 1), -1);
	ck_assert_int_eq(write(shmt_raw_fd(raw, "data"), "x", 1), -1);
	ck_assert_str_eq(shmt_raw_call(raw, "Detach", "{'id':%d,'endpoint':-1,'incarnation':0}",
				       (int)shmt_raw_int(raw, "id")),
			 "");
	shmt_raw_close(raw);
	scene_close(&scene);
}

TEST(layout_of_another_version_is_refused_with_both)
{
	struct scene scene = scene_open();
	struct shmt_raw *raw = shmt_raw_open(scene.broker.address);
	const char *message;

	shmt_create(scene.client, "queue", 4096);
	for (int version = 0; version < 3; version++) {
		const char *error = shmt_raw_call(raw, "Attach",
						  "{'name':'queue','kind':'spsc',"
						  "'role':'producer','kind_version':%d}",
						  version * 100 + 1);

		ck_assert_str_eq(error, version == 0 ? "" : "Mismatch");
		if (version == 0)
			continue;
		message = shmt_raw_string(raw, "message");
		ck_assert_str_eq(shmt_raw_string(raw, "parameter"), "kind_version");
		ck_assert_ptr_nonnull(strstr(message, "version 1 of kind spsc"));
		ck_assert_ptr_nonnull(
			strstr(message, version == 1 ? "version 101" : "version 201"));
	}
	shmt_raw_close(raw);
	scene_close(&scene);
}

/* What is shown while others go on is whole, in both kinds. */

static void stream_spsc(const struct shmt_broker *broker)
{
	struct shmc_client *client = shmt_connect(broker);
	struct shmc_spsc *producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	struct shmc_spsc *consumer = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);

	for (uint64_t i = 0;; i++) {
		shmt_push_numbered(producer, i, 60, SHMC_TRY);
		if (i >= 20)
			shmt_pop_numbered(consumer, i - 20, 60, SHMC_TRY, NULL);
	}
}

static void stream_mpmc(const struct shmt_broker *broker)
{
	struct shmc_client *client = shmt_connect(broker);
	struct shmc_mpmc *producer = shmt_queue_open(client, "queue", SHMC_MPMC_PRODUCER);
	struct shmc_mpmc *consumer = shmt_queue_open(client, "queue", SHMC_MPMC_CONSUMER);
	uint64_t same[6], got[6];
	struct shmc_message message;

	for (uint64_t i = 0;; i++) {
		for (int k = 0; k < 6; k++)
			same[k] = i;
		shmc_mpmc_try_push(producer, same, sizeof(same));
		if (i >= 4)
			shmc_mpmc_try_pop(consumer, got, sizeof(got), &message);
	}
}

static int note_numbered(void *context, const struct shmc_item *item)
{
	uint64_t number;

	ck_assert_uint_ge(item->size, 8);
	ck_assert_uint_eq(item->data_bytes, item->size);
	memcpy(&number, item->data, sizeof(number));
	if (item->size != shmt_numbered_size(number, 60))
		ck_abort_msg("message %lu is not whole", (unsigned long)number);
	*(uint64_t *)context += 1;
	return 0;
}

static int note_same(void *context, const struct shmc_item *item)
{
	uint64_t same[6];

	if (item->flags & SHMC_ITEM_UNFINISHED)
		return 0;
	ck_assert_uint_eq(item->size, sizeof(same));
	memcpy(same, item->data, sizeof(same));
	for (int k = 1; k < 6; k++) {
		if (same[k] != same[0])
			ck_abort_msg("half of message %lu", (unsigned long)same[0]);
	}
	*(uint64_t *)context += 1;
	return 0;
}

static void look_on(struct scene *scene, void (*stream)(const struct shmt_broker *),
		    shmc_item_fn check)
{
	struct shmc_observer *observer;
	struct shmc_look look = whole();
	uint64_t count = 0;
	pid_t child = fork();

	if (child == 0) {
		shmt_be_child();
		stream(&scene->broker);
	}
	shmt_assert_ok(shmc_observer_open(scene->client, "queue", &observer, NULL));
	look.flags = SHMC_LOOK_GONE;
	while (count < 5000)
		shmt_assert_ok(shmc_observer_look(observer, &look, check, &count));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	shmc_observer_close(observer);
}

TEST(what_is_shown_of_a_running_spsc_is_whole, .timeout_s = 60)
{
	struct scene scene = scene_open();

	shmt_create(scene.client, "queue", 4096);
	look_on(&scene, stream_spsc, note_numbered);
	scene_close(&scene);
}

TEST(what_is_shown_of_a_running_mpmc_is_whole, .timeout_s = 60)
{
	struct scene scene = scene_open();

	shmt_queue_create(scene.client, "queue", (struct shmc_mpmc_options){ .slots = 16 });
	look_on(&scene, stream_mpmc, note_same);
	scene_close(&scene);
}

TEST(observer_in_a_forked_child_is_nobodys)
{
	struct scene scene = scene_open();
	struct shmc_observer *observer;
	struct shmc_look look = whole();
	struct shown shown = { 0 };
	pid_t child;
	int status;

	shmt_create(scene.client, "queue", 4096);
	shmt_assert_ok(shmc_observer_open(scene.client, "queue", &observer, NULL));
	child = fork();
	if (child == 0) {
		shmt_be_child();
		_exit(shmc_observer_look(observer, &look, note, &shown) != SHMC_FORKED);
	}
	waitpid(child, &status, 0);
	ck_assert_int_eq(status, 0);
	shmc_observer_close(observer);
	scene_close(&scene);
}

struct options {
	uint64_t count;
	uint64_t slots;
	uint64_t message_bytes_max;
};

static void note_option(void *context, const char *name, uint64_t value)
{
	struct options *options = context;

	options->count++;
	if (strcmp(name, "slots") == 0)
		options->slots = value;
	if (strcmp(name, "message_bytes_max") == 0)
		options->message_bytes_max = value;
}

TEST(what_it_was_made_with_is_told)
{
	static const struct shmc_create_options common = { .flags = SHMC_CREATE_PREFAULT };
	struct shmc_mpmc_options how = { .slots = 7, .mode = 0640, .common = &common };
	struct scene scene = scene_open();
	struct shmc_observer *observer;
	struct shmc_observer_info info;
	struct options options = { 0 };
	struct shmc_error error;

	shmt_queue_create(scene.client, "queue", how);
	shmt_assert_ok(shmc_observer_open(scene.client, "queue", &observer, &error));
	shmt_assert_ok(shmc_observer_info(observer, &info));
	ck_assert_uint_eq(info.mode, 0640);
	ck_assert_uint_eq(info.owner, geteuid());
	ck_assert_uint_eq(info.group, getegid());
	ck_assert_uint_eq(info.flags, SHMC_CREATE_PREFAULT);
	ck_assert_uint_eq(info.kind_version, SHMP_MPMC_VERSION);
	shmt_assert_ok(shmc_observer_options(observer, note_option, &options));
	ck_assert_uint_eq(options.count, 5);
	ck_assert_uint_eq(options.slots, 7);
	ck_assert_uint_eq(options.message_bytes_max, 48);
	shmc_observer_close(observer);
	scene_close(&scene);
}

SHMT_MAIN
