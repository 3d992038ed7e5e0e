/* All kinds in one arena, used from two processes, and what is left when one is killed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/buffer_client.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/mpmc_client.h"
#include "tests/support/peer.h"
#include "tests/support/record.h"
#include "tests/support/runner.h"

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	size_t descriptors, brokers;
};

/* One object of each kind, of little control each. */
static void make_all(struct shmc_client *client)
{
	shmt_assert_ok(shmc_arena_create(client, "sim", NULL, NULL));
	shmt_create(client, "sim:spsc", 8192);
	shmt_queue_create(client, "sim:mpmc",
			  (struct shmc_mpmc_options){ .slots = 16, .endpoints_max = 8 });
	shmt_assert_ok(shmc_broadcast_create(
		client, "sim:broadcast",
		&(struct shmc_broadcast_options){ .capacity_bytes = 4096, .readers_max = 4 },
		NULL));
	shmt_buffer_create(client, "sim:buffer",
			   (struct shmc_buffer_options){ .size_bytes = 5000, .endpoints_max = 8 });
	shmt_record_create(client, "sim:record", shmt_fields, shmt_field_count);
	shmt_assert_ok(shmc_array_create(
		client, "sim:array",
		&(struct shmc_array_options){ .element_bytes = 8, .endpoints_max = 8 }, NULL));
	shmt_assert_ok(shmc_atomic_create(
		client, "sim:atomic",
		&(struct shmc_atomic_options){ .type = SHMC_TYPE_U64, .endpoints_max = 8 }, NULL));
	shmt_assert_ok(shmc_stream_create(client, "sim:stream", NULL, NULL));
}

static struct scene scene_open(void)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.brokers = shmt_broker_descriptors(&scene.broker);
	scene.client = shmt_connect(&scene.broker);
	make_all(scene.client);
	return scene;
}

/* When all is closed, and the arena unlinked, all of it is there to be used. */
static void check_all_given_back(struct shmc_client *client)
{
	static const char *const kinds[] = { "spsc",   "mpmc",	"broadcast", "buffer",
					     "record", "array", "atomic",    "stream" };
	struct shmc_arena_statistics statistics;
	struct shmc_arena *arena;
	char name[32];

	shmt_assert_ok(shmc_arena_open(client, "sim", &arena, NULL));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct shmc_arena_object object;

		shmt_assert_ok(shmc_arena_find(arena, kinds[i], &object));
		ck_assert_str_eq(object.kind, kinds[i]);
		snprintf(name, sizeof(name), "sim:%s", kinds[i]);
		shmt_assert_ok(shmc_unlink(client, name, NULL));
	}
	shmt_assert_ok(shmc_arena_statistics(arena, &statistics));
	ck_assert_uint_eq(statistics.entries_used, 0);
	ck_assert_uint_eq(statistics.data_largest_bytes, statistics.data_bytes);
	ck_assert_uint_eq(statistics.control_largest_bytes, statistics.control_bytes);
	shmc_arena_close(arena);
}

static void scene_close(struct scene *scene)
{
	check_all_given_back(scene->client);
	shmt_assert_ok(shmc_unlink(scene->client, "sim", NULL));
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_settle(&scene->broker, scene->brokers);
	shmt_broker_stop(&scene->broker);
}

/* What one process has open of everything. */
struct all {
	struct shmc_spsc *spsc;
	struct shmc_mpmc *mpmc;
	struct shmc_broadcast *broadcast;
	struct shmc_buffer *buffer;
	struct shmc_record *record;
	struct shmc_array *array;
	struct shmc_atomic *atomic;
	struct shmc_stream *stream;
};

static struct all open_all(struct shmc_client *client, bool sends)
{
	struct all all;

	all.spsc = shmt_open(client, "sim:spsc", sends ? SHMC_SPSC_PRODUCER : SHMC_SPSC_CONSUMER);
	all.mpmc = shmt_queue_open(client, "sim:mpmc",
				   sends ? SHMC_MPMC_PRODUCER : SHMC_MPMC_CONSUMER);
	shmt_assert_ok(shmc_broadcast_open(client, "sim:broadcast",
					   sends ? SHMC_BROADCAST_WRITER : SHMC_BROADCAST_READER,
					   &all.broadcast, NULL));
	all.buffer = shmt_buffer_open(client, "sim:buffer",
				      sends ? SHMC_BUFFER_WRITER : SHMC_BUFFER_READER);
	all.record = shmt_record_open(client, "sim:record",
				      sends ? SHMC_RECORD_WRITER : SHMC_RECORD_READER);
	shmt_assert_ok(shmc_array_open(client, "sim:array",
				       sends ? SHMC_ARRAY_WRITER : SHMC_ARRAY_READER, NULL,
				       &all.array, NULL));
	shmt_assert_ok(shmc_atomic_open(client, "sim:atomic",
					sends ? SHMC_ATOMIC_WRITER : SHMC_ATOMIC_READER,
					SHMC_TYPE_U64, &all.atomic, NULL));
	shmt_assert_ok(shmc_stream_open(client, "sim:stream",
					sends ? SHMC_STREAM_WRITER : SHMC_STREAM_READER,
					&all.stream, NULL));
	return all;
}

static void close_all(struct all *all)
{
	shmc_spsc_close(all->spsc);
	shmc_mpmc_close(all->mpmc);
	shmc_broadcast_close(all->broadcast);
	shmc_buffer_close(all->buffer);
	shmc_record_close(all->record);
	shmc_array_close(all->array);
	shmc_atomic_close(all->atomic);
	shmc_stream_close(all->stream);
}

/* Enough that every ring wraps. */
static void send_all(struct all *all)
{
	for (uint64_t i = 0; i < 2000; i++)
		shmt_assert_ok(shmt_push_numbered(all->spsc, i, 300, SHMC_FOREVER));
	for (uint64_t i = 0; i < 100; i++)
		shmt_assert_ok(shmt_queue_push(all->mpmc, i, SHMC_FOREVER));
	shmt_assert_ok(shmc_broadcast_push(all->broadcast, "news", 4, SHMC_FOREVER));
	shmt_assert_ok(shmc_buffer_write(all->buffer, 4990, "0123456789", 10));
	shmt_assert_ok(shmc_array_write(all->array, 7, 1, "elements"));
	for (int i = 0; i < 100; i++)
		shmt_assert_ok(shmc_stream_write(all->stream, "a frame of it", 13, SHMC_FOREVER));
	shmt_assert_ok(shmc_atomic_store(all->atomic, 5, SHMC_ORDER_RELEASE));
	shmt_assert_ok(shmc_atomic_wake(all->atomic));
}

static void receive_all(struct all *all)
{
	struct shmc_broadcast_message news;
	uint64_t number, value = 0;
	uint32_t flags;
	char text[16] = "";

	for (uint64_t i = 0; i < 2000; i++)
		shmt_assert_ok(shmt_pop_numbered(all->spsc, i, 300, SHMC_FOREVER, &flags));
	for (uint64_t i = 0; i < 100; i++) {
		shmt_assert_ok(shmt_queue_pop(all->mpmc, &number, &flags, SHMC_FOREVER));
		ck_assert_uint_eq(number, i);
	}
	shmt_assert_ok(shmc_broadcast_pop(all->broadcast, text, 16, SHMC_FOREVER, &news));
	ck_assert_str_eq(text, "news");
	for (int i = 0; i < 100; i++) {
		struct shmc_frame frame;

		shmt_assert_ok(shmc_stream_read(all->stream, text, 16, SHMC_FOREVER, &frame));
		ck_assert_int_eq(memcmp(text, "a frame of it", 13), 0);
	}
	shmt_assert_ok(shmc_atomic_wait(all->atomic, 0, SHMC_FOREVER, &value));
	ck_assert_uint_eq(value, 5);
	shmt_assert_ok(shmc_buffer_read(all->buffer, 4990, text, 10));
	ck_assert_int_eq(memcmp(text, "0123456789", 10), 0);
	shmt_assert_ok(shmc_array_read(all->array, 7, 1, text));
	ck_assert_int_eq(memcmp(text, "elements", 8), 0);
}

static void send_in_another_process(struct shmt_peer *test, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct all all = open_all(client, true);

	shmt_peer_tell(test);
	send_all(&all);
	shmt_peer_await(test);
	close_all(&all);
	shmc_disconnect(client);
}

TEST(every_kind_works_in_an_arena_between_two_processes, .timeout_s = 30)
{
	struct scene scene = scene_open();
	struct shmt_peer peer = shmt_peer_start(send_in_another_process, &scene);
	struct all all = open_all(scene.client, false);

	shmt_peer_await(&peer);
	receive_all(&all);
	shmt_peer_tell(&peer);
	shmt_peer_join(&peer);
	close_all(&all);
	scene_close(&scene);
}

static void hold_everything(struct shmt_peer *test, void *context)
{
	const struct scene *scene = context;
	struct all all = open_all(shmt_connect(&scene->broker), true);
	struct shmc_mpmc *consumer;
	struct shmc_message message;
	void *room;

	consumer = shmt_queue_open(shmt_connect(&scene->broker), "sim:mpmc", SHMC_MPMC_CONSUMER);
	shmt_assert_ok(shmt_push_numbered(all.spsc, 0, 300, SHMC_FOREVER));
	shmt_assert_ok(shmc_spsc_reserve(all.spsc, 8, SHMC_FOREVER, &room));
	shmt_assert_ok(shmt_queue_push(all.mpmc, 77, SHMC_FOREVER));
	shmt_assert_ok(shmc_mpmc_peek(consumer, SHMC_FOREVER, &message));
	shmt_assert_ok(shmc_array_write(all.array, 0, 1, "survivor"));
	shmt_assert_ok(shmc_buffer_lock_write(all.buffer, SHMC_FOREVER));
	shmt_assert_ok(shmc_buffer_write(all.buffer, 0, "half", 4));
	shmt_peer_tell(test);
	shmt_peer_hang();
}

/* Each by the rules of its kind, and none in another's stead. */
static void find_what_the_dead_left(const struct scene *scene)
{
	struct all all = open_all(scene->client, false);
	struct shmc_buffer *writer;
	uint32_t flags = 0;
	uint64_t number;
	char text[8];

	shmt_assert_ok(shmt_pop_numbered(all.spsc, 0, 300, SHMC_FOREVER, &flags));
	shmt_assert_result(shmt_pop_numbered(all.spsc, 1, 300, SHMC_FOREVER, &flags),
			   SHMC_PEER_DEAD);
	shmt_assert_ok(shmt_queue_pop(all.mpmc, &number, &flags, SHMC_FOREVER));
	ck_assert_uint_eq(number, 77);
	ck_assert_uint_eq(flags & SHMC_REDELIVERED, SHMC_REDELIVERED);
	shmt_assert_ok(shmc_array_read(all.array, 0, 1, text));
	ck_assert_int_eq(memcmp(text, "survivor", 8), 0);
	writer = shmt_buffer_open(scene->client, "sim:buffer", SHMC_BUFFER_WRITER);
	shmt_assert_result(shmc_buffer_lock_write(writer, SHMC_FOREVER), SHMC_OWNER_DIED);
	shmt_assert_ok(shmc_buffer_mark_consistent(writer));
	shmt_assert_ok(shmc_buffer_unlock(writer));
	shmc_buffer_close(writer);
	close_all(&all);
}

TEST(what_a_killed_process_held_is_repaired_object_by_object, .timeout_s = 30)
{
	struct scene scene = scene_open();
	struct shmt_peer peer = shmt_peer_start(hold_everything, &scene);
	struct all successor;

	shmt_peer_await(&peer);
	shmt_peer_kill(&peer);
	find_what_the_dead_left(&scene);
	successor = open_all(scene.client, true);
	shmt_assert_ok(shmt_push_numbered(successor.spsc, 1, 300, SHMC_FOREVER));
	close_all(&successor);
	scene_close(&scene);
}

static void make_and_end(struct shmt_peer *test, void *context)
{
	struct shmc_client *client = shmt_connect(context);
	struct shmc_array *array;

	make_all(client);
	shmt_assert_ok(shmc_array_open(client, "sim:array", SHMC_ARRAY_WRITER, NULL, &array, NULL));
	shmt_assert_ok(shmc_array_write(array, 3, 1, "as found"));
	shmt_peer_tell(test);
	shmt_peer_await(test);
}

static void read_after_the_end_of_its_maker(bool is_killed)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer = shmt_peer_start(make_and_end, &broker);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_array *array;
	char text[8];

	shmt_peer_await(&peer);
	if (is_killed) {
		shmt_peer_kill(&peer);
	} else {
		shmt_peer_tell(&peer);
		shmt_peer_join(&peer);
	}
	shmt_assert_ok(shmc_array_open(client, "sim:array", SHMC_ARRAY_READER, NULL, &array, NULL));
	shmt_assert_ok(shmc_array_read(array, 3, 1, text));
	ck_assert_int_eq(memcmp(text, "as found", 8), 0);
	shmc_array_close(array);
	check_all_given_back(client);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(data_survives_the_exit_of_its_maker)
{
	read_after_the_end_of_its_maker(false);
}

TEST(data_survives_a_kill_of_its_maker)
{
	read_after_the_end_of_its_maker(true);
}

static void unlink_and_stay(struct shmt_peer *test, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_spsc *queue = shmt_open(client, "sim:spsc", SHMC_SPSC_PRODUCER);

	shmt_assert_ok(shmt_push_numbered(queue, 0, 300, SHMC_FOREVER));
	shmt_assert_ok(shmc_unlink(client, "sim:spsc", NULL));
	shmt_peer_tell(test);
	shmt_peer_hang();
}

/* A name is free at once; the memory when the last has gone, killed or not. */
TEST(memory_of_an_unlinked_object_comes_back_with_the_death_of_its_last_holder)
{
	struct scene scene = scene_open();
	struct shmt_peer peer = shmt_peer_start(unlink_and_stay, &scene);
	struct shmc_spsc *consumer;
	uint32_t flags;

	consumer = shmt_open(scene.client, "sim:spsc", SHMC_SPSC_CONSUMER);
	shmt_peer_await(&peer);
	shmt_create(scene.client, "sim:spsc", 8192);
	shmt_peer_kill(&peer);
	shmt_assert_ok(shmt_pop_numbered(consumer, 0, 300, SHMC_FOREVER, &flags));
	shmt_assert_result(shmt_pop_numbered(consumer, 1, 300, SHMC_FOREVER, &flags),
			   SHMC_PEER_DEAD);
	shmc_spsc_close(consumer);
	scene_close(&scene);
}

TEST(one_mapping_serves_a_reader_and_a_writer_who_comes_later)
{
	struct scene scene = scene_open();
	struct shmc_array *reader, *writer;
	const uint64_t *seen;
	uint64_t value = 9;

	shmt_assert_ok(
		shmc_array_open(scene.client, "sim:array", SHMC_ARRAY_READER, NULL, &reader, NULL));
	seen = shmc_array_data(reader);
	shmt_assert_ok(
		shmc_array_open(scene.client, "sim:array", SHMC_ARRAY_WRITER, NULL, &writer, NULL));
	ck_assert_ptr_eq(shmc_array_edit(writer), seen);
	shmt_assert_ok(shmc_array_set(writer, 0, &value, 8));
	ck_assert_uint_eq(seen[0], 9);
	shmc_array_close(reader);
	shmt_assert_ok(shmc_array_set(writer, 1, &value, 8));
	ck_assert_uint_eq(seen[1], 9);
	shmc_array_close(writer);
	scene_close(&scene);
}

TEST(a_forked_child_is_refused_by_arena_and_objects)
{
	struct scene scene = scene_open();
	struct shmc_arena_object object;
	struct shmc_arena *arena;
	struct shmc_array *array;
	uint64_t value = 1;
	int status;
	pid_t pid;

	shmt_assert_ok(shmc_arena_open(scene.client, "sim", &arena, NULL));
	shmt_assert_ok(shmc_arena_find(arena, "array", &object));
	shmt_assert_ok(
		shmc_array_open(scene.client, "sim:array", SHMC_ARRAY_WRITER, NULL, &array, NULL));
	pid = fork();
	if (pid == 0) {
		bool is_refused = shmc_arena_find(arena, "array", &object) == SHMC_FORKED &&
				  shmc_arena_check(arena, &object) == SHMC_FORKED &&
				  shmc_array_set(array, 0, &value, 8) == SHMC_FORKED;

		_exit(is_refused ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	shmt_assert_ok(shmc_arena_find(arena, "array", NULL));
	shmc_array_close(array);
	shmc_arena_close(arena);
	scene_close(&scene);
}

SHMT_MAIN
