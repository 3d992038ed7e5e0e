/* Arrays through the library and a real broker: bounds, bulk copies, and processes side by side. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/client.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

enum {
	PEERS = 8,
	SHARE = 1000
};

struct sample {
	uint64_t number;
	double value;
	char name[24];
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_array *writer;
	struct shmc_array *reader;
	size_t descriptors, brokers;
};

static struct shmc_array *open_array(struct shmc_client *client, enum shmc_array_role role)
{
	struct shmc_error error = { .text = "" };
	struct shmc_array *array = NULL;

	ck_assert_msg(shmc_array_open(client, "array", role, NULL, &array, &error) == SHMC_OK, "%s",
		      error.text);
	return array;
}

static void create(struct shmc_client *client, struct shmc_array_options options)
{
	struct shmc_error error = { .text = "" };

	ck_assert_msg(shmc_array_create(client, "array", &options, &error) == SHMC_OK, "%s",
		      error.text);
}

static struct scene scene_open(struct shmc_array_options options)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.brokers = shmt_broker_descriptors(&scene.broker);
	scene.client = shmt_connect(&scene.broker);
	create(scene.client, options);
	scene.writer = open_array(scene.client, SHMC_ARRAY_WRITER);
	scene.reader = open_array(scene.client, SHMC_ARRAY_READER);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_array_close(scene->writer);
	shmc_array_close(scene->reader);
	shmt_assert_ok(shmc_unlink(scene->client, "array", NULL));
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_settle(&scene->broker, scene->brokers);
	shmt_broker_stop(&scene->broker);
}

TEST(elements_beyond_the_bounds_are_refused_and_nothing_is_copied)
{
	struct scene scene =
		scene_open((struct shmc_array_options){ .element_bytes = 4, .elements = 10 });
	uint32_t value = 7, all[10] = { 0 };

	shmt_assert_ok(shmc_array_set(scene.writer, 9, &value, 4));
	shmt_assert_result(shmc_array_set(scene.writer, 10, &value, 4), SHMC_INVALID);
	shmt_assert_result(shmc_array_set(scene.writer, UINT64_MAX, &value, 4), SHMC_INVALID);
	shmt_assert_result(shmc_array_set(scene.writer, 0, &value, 8), SHMC_MISMATCH);
	shmt_assert_result(shmc_array_get(scene.reader, 10, &value, 4), SHMC_INVALID);
	shmt_assert_result(shmc_array_get(scene.reader, 0, &value, 2), SHMC_MISMATCH);
	shmt_assert_result(shmc_array_write(scene.writer, 5, 6, all), SHMC_INVALID);
	shmt_assert_result(shmc_array_write(scene.writer, UINT64_MAX, 2, all), SHMC_INVALID);
	shmt_assert_result(shmc_array_read(scene.reader, 1, UINT64_MAX, all), SHMC_INVALID);
	shmt_assert_result(shmc_array_fill(scene.writer, 10, 1, &value), SHMC_INVALID);
	shmt_assert_ok(shmc_array_write(scene.writer, 10, 0, all));
	shmt_assert_ok(shmc_array_read(scene.reader, 0, 10, all));
	for (int i = 0; i < 10; i++)
		ck_assert_uint_eq(all[i], i == 9 ? 7 : 0);
	scene_close(&scene);
}

TEST(bulk_copies_go_to_their_offset)
{
	struct scene scene = scene_open(
		(struct shmc_array_options){ .element_type = SHMC_TYPE_U16, .elements = 3000 });
	uint16_t in[1000], out[1000];

	for (unsigned i = 0; i < 1000; i++)
		in[i] = (uint16_t)(i * 7 + 1);
	shmt_assert_ok(shmc_array_write(scene.writer, 1999, 1000, in));
	shmt_assert_ok(shmc_array_read(scene.reader, 1999, 1000, out));
	ck_assert_int_eq(memcmp(in, out, sizeof(in)), 0);
	shmt_assert_ok(shmc_array_get(scene.reader, 1998, out, 2));
	ck_assert_uint_eq(out[0], 0);
	shmt_assert_ok(shmc_array_get(scene.reader, 2999, out, 2));
	ck_assert_uint_eq(out[0], 0);
	scene_close(&scene);
}

TEST(a_fill_fills_its_part_and_a_clear_clears_all)
{
	struct scene scene =
		scene_open((struct shmc_array_options){ .element_bytes = 3, .elements = 100 });
	uint8_t got[3];

	shmt_assert_ok(shmc_array_fill(scene.writer, 10, 85, "abc"));
	for (uint64_t i = 0; i < 100; i++) {
		shmt_assert_ok(shmc_array_get(scene.reader, i, got, 3));
		ck_assert_int_eq(memcmp(got, i >= 10 && i < 95 ? "abc" : "\0\0\0", 3), 0);
	}
	shmt_assert_ok(shmc_array_clear(scene.writer));
	for (uint64_t i = 0; i < 300; i++)
		ck_assert_uint_eq(((const uint8_t *)shmc_array_data(scene.reader))[i], 0);
	scene_close(&scene);
}

TEST(structs_are_elements)
{
	struct scene scene = scene_open((struct shmc_array_options){
		.element_bytes = sizeof(struct sample), .element_type = SHMC_TYPE_OWN + 5 });
	const struct sample *seen = shmc_array_data(scene.reader);
	struct sample *edit = shmc_array_edit(scene.writer);
	struct sample one = { 5, 2.5, "five" }, got;

	shmt_assert_ok(shmc_array_set(scene.writer, 1023, &one, sizeof(one)));
	edit[0] = (struct sample){ 1, 0.5, "first" };
	shmt_assert_ok(shmc_array_get(scene.reader, 0, &got, sizeof(got)));
	ck_assert_str_eq(got.name, "first");
	ck_assert_uint_eq(seen[1023].number, 5);
	ck_assert_ptr_null(shmc_array_edit(scene.reader));
	scene_close(&scene);
}

TEST(a_reader_may_not_write)
{
	struct scene scene = scene_open((struct shmc_array_options){ .elements = 4 });

	shmt_assert_result(shmc_array_set(scene.reader, 0, "a", 1), SHMC_INVALID);
	shmt_assert_result(shmc_array_write(scene.reader, 0, 1, "a"), SHMC_INVALID);
	shmt_assert_result(shmc_array_fill(scene.reader, 0, 1, "a"), SHMC_INVALID);
	shmt_assert_result(shmc_array_clear(scene.reader), SHMC_INVALID);
	scene_close(&scene);
}

TEST(one_of_another_size_count_or_type_is_not_opened)
{
	struct scene scene = scene_open(
		(struct shmc_array_options){ .element_type = SHMC_TYPE_DOUBLE, .elements = 10 });
	struct shmc_array_options good = { .element_bytes = 8,
					   .elements = 10,
					   .element_type = SHMC_TYPE_DOUBLE };
	struct shmc_array_options bad = good;
	struct shmc_array *array;
	struct shmc_error error;

	shmt_assert_ok(
		shmc_array_open(scene.client, "array", SHMC_ARRAY_READER, &good, &array, &error));
	shmc_array_close(array);
	bad.element_bytes = 4;
	shmt_assert_result(
		shmc_array_open(scene.client, "array", SHMC_ARRAY_READER, &bad, &array, &error),
		SHMC_MISMATCH);
	shmt_assert_says(&error, "array: its element_bytes is 8, not 4");
	bad = good;
	bad.elements = 11;
	shmt_assert_result(
		shmc_array_open(scene.client, "array", SHMC_ARRAY_READER, &bad, &array, &error),
		SHMC_MISMATCH);
	shmt_assert_says(&error, "array: its elements is 10, not 11");
	bad = good;
	bad.element_type = SHMC_TYPE_I64;
	shmt_assert_result(
		shmc_array_open(scene.client, "array", SHMC_ARRAY_READER, &bad, &array, &error),
		SHMC_MISMATCH);
	shmt_assert_says(&error, "array: its element_type is 11, not 5");
	scene_close(&scene);
}

TEST(an_existing_one_is_as_good_only_if_it_is_the_same)
{
	struct scene scene = scene_open(
		(struct shmc_array_options){ .element_type = SHMC_TYPE_DOUBLE, .elements = 10 });
	struct shmc_array_options again = { .element_type = SHMC_TYPE_DOUBLE,
					    .elements = 10,
					    .reuse = 1 };
	struct shmc_error error;

	shmt_assert_ok(shmc_array_create(scene.client, "array", &again, &error));
	again.elements = 20;
	shmt_assert_result(shmc_array_create(scene.client, "array", &again, &error), SHMC_MISMATCH);
	shmt_assert_says(&error, "elements 10, not 20");
	again.elements = 10;
	again.element_bytes = 4;
	shmt_assert_result(shmc_array_create(scene.client, "array", &again, &error), SHMC_INVALID);
	shmt_assert_says(&error, "element_bytes");
	again = (struct shmc_array_options){ .element_bytes = UINT64_C(1) << 31,
					     .elements = UINT64_C(1) << 30 };
	shmt_assert_result(shmc_array_create(scene.client, "huge", &again, &error), SHMC_INVALID);
	shmt_assert_says(&error, "elements");
	again = (struct shmc_array_options){ .element_type = SHMC_TYPE_STRING };
	shmt_assert_result(shmc_array_create(scene.client, "text", &again, &error), SHMC_INVALID);
	shmt_assert_says(&error, "element_type");
	scene_close(&scene);
}

/* Each knows its part by what it is told, fills it and checks it for some rounds. */
static void work_on_a_part(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_array *array;
	uint64_t part, got[SHARE];

	shmt_peer_receive(test, &part, sizeof(part));
	client = shmt_connect(broker);
	array = open_array(client, SHMC_ARRAY_WRITER);
	for (uint64_t round = 0; round < 100; round++) {
		for (uint64_t i = 0; i < SHARE; i++)
			got[i] = part << 32 | round * SHARE | i;
		shmt_assert_ok(shmc_array_write(array, part * SHARE, SHARE, got));
		memset(got, 0, sizeof(got));
		shmt_assert_ok(shmc_array_read(array, part * SHARE, SHARE, got));
		for (uint64_t i = 0; i < SHARE; i++)
			if (got[i] != (part << 32 | round * SHARE | i))
				ck_abort_msg("element %lu of part %lu", i, part);
	}
	shmt_peer_tell(test);
	shmt_peer_await(test);
	shmc_array_close(array);
	shmc_disconnect(client);
}

TEST(eight_processes_write_disjoint_ranges, .timeout_s = 60)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client;
	struct shmc_array *array;
	struct shmt_peer peer[PEERS];
	const uint64_t *all;

	for (int i = 0; i < PEERS; i++)
		peer[i] = shmt_peer_start(work_on_a_part, &broker);
	client = shmt_connect(&broker);
	create(client,
	       (struct shmc_array_options){ .element_bytes = 8, .elements = PEERS * SHARE });
	for (uint64_t i = 0; i < PEERS; i++)
		shmt_peer_send(&peer[i], &i, sizeof(i));
	for (int i = 0; i < PEERS; i++)
		shmt_peer_await(&peer[i]);
	array = open_array(client, SHMC_ARRAY_READER);
	all = shmc_array_data(array);
	for (uint64_t i = 0; i < PEERS * SHARE; i++)
		ck_assert_uint_eq(all[i], (i / SHARE) << 32 | 99 * SHARE | i % SHARE);
	for (int i = 0; i < PEERS; i++) {
		shmt_peer_tell(&peer[i]);
		shmt_peer_join(&peer[i]);
	}
	shmc_array_close(array);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

static void write_until_killed(struct shmt_peer *test, void *context)
{
	struct shmt_broker *broker = context;
	struct shmc_client *client;
	struct shmc_array *array;

	shmt_be_child();
	shmt_peer_await(test);
	client = shmt_connect(broker);
	array = open_array(client, SHMC_ARRAY_WRITER);
	shmt_assert_ok(shmc_array_set(array, 3, "kept", 4));
	shmt_peer_tell(test);
	shmt_peer_hang();
}

TEST(what_a_killed_writer_stored_stays_and_its_place_is_free_again)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_peer peer = shmt_peer_start(write_until_killed, &broker);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_array *array;
	char got[5] = "";

	create(client, (struct shmc_array_options){ .element_bytes = 4, .endpoints_max = 1 });
	shmt_peer_tell(&peer);
	shmt_peer_await(&peer);
	shmt_assert_result(shmc_array_open(client, "array", SHMC_ARRAY_READER, NULL, &array, NULL),
			   SHMC_BUSY);
	shmt_peer_kill(&peer);
	array = open_array(client, SHMC_ARRAY_READER);
	shmt_assert_ok(shmc_array_get(array, 3, got, 4));
	ck_assert_str_eq(got, "kept");
	shmc_array_close(array);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(copies_are_counted)
{
	struct scene scene = scene_open((struct shmc_array_options){ .element_bytes = 2 });
	struct shmc_statistics statistics;

	shmt_assert_ok(shmc_array_fill(scene.writer, 0, 10, "ab"));
	shmt_assert_ok(shmc_array_set(scene.writer, 5, "cd", 2));
	shmt_assert_ok(shmc_array_statistics(scene.reader, &statistics));
	ck_assert_uint_eq(statistics.messages, 11);
	ck_assert_uint_eq(statistics.bytes, 22);
	scene_close(&scene);
}

SHMT_MAIN
