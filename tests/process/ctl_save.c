/*
 * shmbrokerctl save and restore: what was saved under one broker, which is killed then, is there
 * again under the next one, for processes that come anew.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/process/save_scene.h"
#include "tests/support/mpmc_client.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

enum {
	MESSAGES = 300,
	IN_HAND = 3,
};

typedef void (*act_fn)(struct shmc_client *client);

struct acting {
	act_fn act;
	const struct shmt_broker *broker;
};

static void act_as_process(struct shmt_peer *other, void *context)
{
	struct acting *acting = context;
	struct shmc_client *client = shmt_connect(acting->broker);

	acting->act(client);
	shmc_disconnect(client);
}

/* Another process does it, and ends. */
static void in_process(const struct save_scene *scene, act_fn act)
{
	struct acting acting = { act, &scene->broker };
	struct shmt_peer peer = shmt_peer_start(act_as_process, &acting);

	shmt_peer_join(&peer);
}

/* What one process has made is saved; another broker, another process: it is there again. */
static void goes_and_comes(const char *name, act_fn make, act_fn check)
{
	struct save_scene scene = save_begin();

	in_process(&scene, make);
	CTL(0, name, "save", name, scene.file);
	save_replace_broker(&scene);
	CTL(0, name, "restore", scene.file);
	in_process(&scene, check);
	save_end(&scene);
}

#define OPEN(result_) ck_assert_msg((result_) == SHMC_OK, "%s: %s", #result_, error.text)

static struct shmc_error error;

/* spsc */

static void make_spsc(struct shmc_client *client)
{
	struct shmc_spsc_options options = { .capacity_bytes = 32768, .message_bytes_max = 500 };
	struct shmc_message message;
	struct shmc_spsc *queue;

	OPEN(shmc_spsc_create(client, "q", &options, &error));
	OPEN(shmc_spsc_open(client, "q", SHMC_SPSC_PRODUCER, &queue, &error));
	for (uint64_t i = 0; i < 100; i++)
		shmt_assert_ok(shmt_push_numbered(queue, i, 200, SHMC_TRY));
	shmc_spsc_close(queue);
	/* ten are taken; three more were shown to one who went */
	OPEN(shmc_spsc_open(client, "q", SHMC_SPSC_CONSUMER, &queue, &error));
	for (uint64_t i = 0; i < 10; i++)
		shmt_assert_ok(shmt_pop_numbered(queue, i, 200, SHMC_TRY, NULL));
	shmt_assert_ok(shmc_spsc_peek_batch(queue, (struct shmc_message[IN_HAND]){ { .size = 0 } },
					    IN_HAND, SHMC_TRY, &message.size));
	shmc_spsc_close(queue);
}

static void check_spsc(struct shmc_client *client)
{
	struct shmc_spsc_options options;
	struct shmc_spsc *queue;
	uint32_t flags;

	OPEN(shmc_spsc_open(client, "q", SHMC_SPSC_CONSUMER, &queue, &error));
	shmc_spsc_options_of(queue, &options);
	ck_assert_uint_eq(options.capacity_bytes, 32768);
	ck_assert_uint_eq(options.message_bytes_max, 500);
	for (uint64_t i = 10; i < 100; i++) {
		shmt_assert_ok(shmt_pop_numbered(queue, i, 200, SHMC_TRY, &flags));
		ck_assert_uint_eq(flags, i < 10 + IN_HAND ? SHMC_REDELIVERED : 0);
	}
	ck_assert_int_ne(shmt_pop_any(queue, 200, SHMC_TRY, &(uint64_t){ 0 }, &flags), SHMC_OK);
	shmc_spsc_close(queue);
}

TEST(an_spsc_comes_back_with_what_nobody_had_taken)
{
	goes_and_comes("q", make_spsc, check_spsc);
}

/* mpmc: two are in the hands of processes that live on */

static void make_mpmc(struct shmc_client *client)
{
	struct shmc_mpmc *queue;

	shmt_queue_create(client, "m", (struct shmc_mpmc_options){ .slots = 500 });
	queue = shmt_queue_open(client, "m", SHMC_MPMC_PRODUCER);
	for (uint64_t i = 0; i < MESSAGES; i++)
		shmt_assert_ok(shmt_queue_push(queue, i, SHMC_TRY));
	shmc_mpmc_close(queue);
}

static void check_mpmc(struct shmc_client *client)
{
	struct shmc_mpmc *queue = shmt_queue_open(client, "m", SHMC_MPMC_CONSUMER);
	uint64_t number;
	uint32_t flags;

	for (uint64_t i = 0; i < MESSAGES; i++) {
		shmt_assert_ok(shmt_queue_pop(queue, &number, &flags, SHMC_TRY));
		ck_assert_uint_eq(number, i);
		ck_assert_uint_eq(flags, i < 2 ? SHMC_REDELIVERED : 0);
	}
	shmt_assert_result(shmt_queue_pop(queue, &number, &flags, SHMC_TRY), SHMC_EMPTY);
	shmc_mpmc_close(queue);
}

TEST(an_mpmc_comes_back_with_what_is_in_hands_too)
{
	struct save_scene scene = save_begin();
	struct shmc_mpmc *hands[2];
	struct shmc_message message;

	in_process(&scene, make_mpmc);
	for (int i = 0; i < 2; i++) {
		hands[i] = shmt_queue_open(scene.client, "m", SHMC_MPMC_CONSUMER);
		shmt_assert_ok(shmc_mpmc_peek(hands[i], SHMC_TRY, &message));
	}
	CTL(0, "300 messages", "save", "m", scene.file);
	for (int i = 0; i < 2; i++) {
		shmt_assert_ok(shmc_mpmc_release(hands[i])); /* nobody took it from them */
		shmc_mpmc_close(hands[i]);
	}
	save_replace_broker(&scene);
	CTL(0, "300 messages", "restore", scene.file);
	in_process(&scene, check_mpmc);
	save_end(&scene);
}

/* broadcast: a ring that was full, written over several times */

static void make_broadcast(struct shmc_client *client)
{
	struct shmc_broadcast_options options = { .capacity_bytes = 8192, .writers_max = 3 };
	struct shmc_broadcast *ring;

	OPEN(shmc_broadcast_create(client, "b", &options, &error));
	OPEN(shmc_broadcast_open(client, "b", SHMC_BROADCAST_WRITER, &ring, &error));
	for (uint64_t i = 0; i < 1000; i++)
		shmt_assert_ok(shmc_broadcast_try_push(ring, &i, sizeof(i)));
	shmc_broadcast_close(ring);
}

static void check_broadcast(struct shmc_client *client)
{
	struct shmc_broadcast_message message;
	struct shmc_broadcast *ring;
	uint64_t number, first = 0, count = 0;

	OPEN(shmc_broadcast_open_from(client, "b", SHMC_BROADCAST_OLDEST, 0, &ring, &error));
	while (shmc_broadcast_try_pop(ring, &number, sizeof(number), &message) == SHMC_OK) {
		first = count == 0 ? number : first;
		ck_assert_uint_eq(number, first + count++);
	}
	ck_assert_uint_eq(first + count, 1000);
	ck_assert_uint_gt(count, 8192 / 32 * 14 / 16);
	shmc_broadcast_close(ring);
}

TEST(a_broadcast_comes_back_with_what_is_in_the_ring)
{
	goes_and_comes("b", make_broadcast, check_broadcast);
}

/* stream */

static void write_frames(struct shmc_stream *stream, int count)
{
	for (int i = 0; i < count; i++)
		shmt_assert_ok(shmc_stream_write(stream, "frame", 5, SHMC_TRY));
}

static void read_frames(struct shmc_stream *stream, int count)
{
	struct shmc_frame frame;
	char room[8];

	for (int i = 0; i < count; i++)
		shmt_assert_ok(shmc_stream_read(stream, room, sizeof(room), SHMC_TRY, &frame));
}

static void make_stream(struct shmc_client *client)
{
	struct shmc_stream *writer, *reader;

	OPEN(shmc_stream_create(client, "s", NULL, &error));
	OPEN(shmc_stream_open(client, "s", SHMC_STREAM_WRITER, &writer, &error));
	OPEN(shmc_stream_open(client, "s", SHMC_STREAM_READER, &reader, &error));
	shmt_assert_ok(shmc_stream_set_metadata(writer, "640x480", 7));
	write_frames(writer, 7);
	read_frames(reader, 4);
	shmt_assert_ok(shmc_stream_skip(writer, 10));
	write_frames(writer, 2);
	shmc_stream_close(writer);
	shmc_stream_close(reader);
}

static void expect_frame(struct shmc_stream *stream, uint64_t sequence, uint32_t flags)
{
	struct shmc_frame frame;
	char room[8];

	shmt_assert_ok(shmc_stream_read(stream, room, sizeof(room), SHMC_TRY, &frame));
	ck_assert_uint_eq(frame.sequence, sequence);
	ck_assert_uint_eq(frame.flags, flags);
	ck_assert_int_eq(memcmp(room, "frame", 5), 0);
}

static void check_stream(struct shmc_client *client)
{
	struct shmc_stream *writer, *reader;
	struct shmc_bytes metadata;

	OPEN(shmc_stream_open(client, "s", SHMC_STREAM_READER, &reader, &error));
	shmt_assert_ok(shmc_stream_metadata(reader, SHMC_TRY, &metadata));
	ck_assert_int_eq(memcmp(metadata.data, "640x480", 7), 0);
	for (uint64_t sequence = 5; sequence <= 7; sequence++)
		expect_frame(reader, sequence, 0);
	expect_frame(reader, 18, SHMC_GAP);
	expect_frame(reader, 19, 0);
	OPEN(shmc_stream_open(client, "s", SHMC_STREAM_WRITER, &writer, &error));
	write_frames(writer, 1);
	expect_frame(reader, 20, 0);
	shmc_stream_close(writer);
	shmc_stream_close(reader);
}

TEST(a_stream_comes_back_with_its_numbers_and_metadata)
{
	goes_and_comes("s", make_stream, check_stream);
}

static void make_read_stream(struct shmc_client *client)
{
	struct shmc_stream *writer, *reader;

	OPEN(shmc_stream_create(client, "s", NULL, &error));
	OPEN(shmc_stream_open(client, "s", SHMC_STREAM_WRITER, &writer, &error));
	OPEN(shmc_stream_open(client, "s", SHMC_STREAM_READER, &reader, &error));
	write_frames(writer, 41);
	read_frames(reader, 41);
	shmc_stream_close(writer);
	shmc_stream_close(reader);
}

static void check_read_stream(struct shmc_client *client)
{
	struct shmc_stream *writer, *reader;

	OPEN(shmc_stream_open(client, "s", SHMC_STREAM_WRITER, &writer, &error));
	OPEN(shmc_stream_open(client, "s", SHMC_STREAM_READER, &reader, &error));
	write_frames(writer, 1);
	expect_frame(reader, 42, 0);
	shmc_stream_close(writer);
	shmc_stream_close(reader);
}

TEST(a_stream_that_was_read_goes_on_counting)
{
	goes_and_comes("s", make_read_stream, check_read_stream);
}

/* pipe */

static void make_answered_pipe(struct shmc_client *client)
{
	struct shmc_pipe *host, *guest;

	OPEN(shmc_pipe_create(client, "p", NULL, &error));
	OPEN(shmc_pipe_open(client, "p", SHMC_PIPE_HOST, NULL, &host, &error));
	OPEN(shmc_pipe_open(client, "p", SHMC_PIPE_CLIENT, NULL, &guest, &error));
	shmt_assert_ok(shmc_pipe_try_send(host, "answer", 6));
	shmt_assert_ok(shmc_pipe_try_send(guest, "question", 8));
	shmc_pipe_close(host);
	shmc_pipe_close(guest);
}

static void check_answered_pipe(struct shmc_client *client)
{
	struct shmc_message message;
	struct shmc_pipe *guest;
	char room[16];

	OPEN(shmc_pipe_open(client, "p", SHMC_PIPE_CLIENT, NULL, &guest, &error));
	shmt_assert_ok(shmc_pipe_try_receive(guest, room, sizeof(room), &message));
	ck_assert_uint_eq(message.size, 6);
	ck_assert_int_eq(memcmp(room, "answer", 6), 0);
	ck_assert_int_ne(shmc_pipe_try_receive(guest, room, sizeof(room), &message), SHMC_OK);
	shmc_pipe_close(guest);
}

TEST(of_a_pipe_comes_back_what_its_host_had_sent)
{
	goes_and_comes("p", make_answered_pipe, check_answered_pipe);
}

static void make_asked_pipe(struct shmc_client *client)
{
	struct shmc_pipe *guest;

	OPEN(shmc_pipe_create(client, "p", NULL, &error));
	OPEN(shmc_pipe_open(client, "p", SHMC_PIPE_CLIENT, NULL, &guest, &error));
	shmt_assert_ok(shmc_pipe_try_send(guest, "question", 8));
	shmc_pipe_close(guest);
}

static void check_asked_pipe(struct shmc_client *client)
{
	struct shmc_message message;
	struct shmc_pipe *host;
	char room[16];

	OPEN(shmc_pipe_open(client, "p", SHMC_PIPE_HOST, NULL, &host, &error));
	shmt_assert_ok(shmc_pipe_try_receive(host, room, sizeof(room), &message));
	ck_assert_uint_eq(message.size, 8);
	shmc_pipe_close(host);
}

TEST(of_a_pipe_without_a_host_comes_back_what_waits_for_one)
{
	goes_and_comes("p", make_asked_pipe, check_asked_pipe);
}

/* ring */

static void make_ring(struct shmc_client *client)
{
	struct shmc_ring_options options = { .element_type = SHMC_TYPE_DOUBLE, .elements = 100 };
	struct shmc_ring_span span;
	struct shmc_ring *ring;
	double value;

	OPEN(shmc_ring_create(client, "r", &options, &error));
	OPEN(shmc_ring_open(client, "r", SHMC_RING_PRODUCER, NULL, &ring, &error));
	for (value = 0; value < 150; value++)
		shmt_assert_ok(shmc_ring_push_overwrite(ring, &value, 1));
	shmc_ring_close(ring);
	OPEN(shmc_ring_open(client, "r", SHMC_RING_CONSUMER, NULL, &ring, &error));
	shmt_assert_ok(shmc_ring_pop(ring, &value, 1, 1, SHMC_TRY, &span));
	shmt_assert_ok(shmc_ring_peek(ring, 0, 2, 2, SHMC_TRY, &span));
	shmc_ring_close(ring);
}

static void check_ring(struct shmc_client *client)
{
	struct shmc_ring_options expected = { .element_type = SHMC_TYPE_DOUBLE, .elements = 100 };
	struct shmc_ring_span span;
	struct shmc_ring *ring;
	double values[100];

	OPEN(shmc_ring_open(client, "r", SHMC_RING_CONSUMER, &expected, &ring, &error));
	shmt_assert_ok(shmc_ring_pop(ring, values, 100, 1, SHMC_TRY, &span));
	ck_assert_uint_eq(span.count, 99);
	ck_assert_uint_eq(span.redelivered, 2);
	for (int i = 0; i < 99; i++)
		ck_assert_double_eq(values[i], 51 + i);
	shmc_ring_close(ring);
}

TEST(a_ring_comes_back_with_its_newest_elements)
{
	goes_and_comes("r", make_ring, check_ring);
}

/* record */

static const struct shmc_field wheel[] = { { .name = "pressure", .type = SHMC_TYPE_FLOAT },
					   { .name = "marks", .type = SHMC_TYPE_I32, .count = 3 } };
static const struct shmc_field fields[] = {
	{ .name = "label", .type = SHMC_TYPE_STRING, .bytes = 32 },
	{ .name = "wheels",
	  .type = SHMC_TYPE_STRUCT,
	  .count = 4,
	  .field_count = 2,
	  .fields = wheel },
	{ .name = "temperature", .type = SHMC_TYPE_DOUBLE },
};

static void make_record(struct shmc_client *client)
{
	struct shmc_record_options options = { .fields = fields, .field_count = 3, .version = 8 };
	struct shmc_record *record;

	OPEN(shmc_record_create(client, "v", &options, &error));
	OPEN(shmc_record_open(client, "v", SHMC_RECORD_WRITER, NULL, &record, &error));
	shmt_assert_ok(shmc_record_begin(record, SHMC_TRY));
	shmt_assert_ok(shmc_record_put_text(record, "label", "left"));
	shmt_assert_ok(shmc_record_put_text(record, "temperature", "36.5"));
	shmt_assert_ok(shmc_record_put_text(record, "wheels[3].pressure", "2.5"));
	shmt_assert_ok(shmc_record_put_text(record, "wheels[3].marks[1]", "-7"));
	shmt_assert_ok(shmc_record_commit(record));
	/* never committed */
	shmt_assert_ok(shmc_record_begin(record, SHMC_TRY));
	shmt_assert_ok(shmc_record_put_text(record, "label", "right"));
	shmc_record_close(record);
}

static void expect_field(const struct shmc_record *record, const char *path, const char *value)
{
	char text[64];

	shmt_assert_ok(shmc_record_get_text(record, path, text, sizeof(text)));
	ck_assert_str_eq(text, value);
}

static void check_record(struct shmc_client *client)
{
	struct shmc_record_expected expected = {
		.fields = fields, .field_count = 3, .version = 8, .rule = SHMC_RECORD_STRICT
	};
	struct shmc_record *record;

	OPEN(shmc_record_open(client, "v", SHMC_RECORD_READER, &expected, &record, &error));
	shmt_assert_ok(shmc_record_snapshot(record));
	expect_field(record, "label", "left");
	expect_field(record, "temperature", "36.5");
	expect_field(record, "wheels[3].pressure", "2.5");
	expect_field(record, "wheels[3].marks", "[0, -7]");
	expect_field(record, "wheels[0].marks", "[]");
	shmc_record_close(record);
}

TEST(a_record_comes_back_with_its_fields_as_committed)
{
	goes_and_comes("v", make_record, check_record);
}

/* array, atomic */

static void make_array(struct shmc_client *client)
{
	struct shmc_array_options options = { .element_bytes = 24,
					      .elements = 100000,
					      .element_type = SHMC_TYPE_OWN + 4 };
	struct shmc_array *array;

	OPEN(shmc_array_create(client, "a", &options, &error));
	OPEN(shmc_array_open(client, "a", SHMC_ARRAY_WRITER, NULL, &array, &error));
	for (uint64_t i = 0; i < 100000; i += 997)
		memcpy((char *)shmc_array_edit(array) + 24 * i, &i, sizeof(i));
	shmc_array_close(array);
}

static void check_array(struct shmc_client *client)
{
	struct shmc_array_options expected = { .element_bytes = 24,
					       .elements = 100000,
					       .element_type = SHMC_TYPE_OWN + 4 };
	struct shmc_array *array;

	OPEN(shmc_array_open(client, "a", SHMC_ARRAY_READER, &expected, &array, &error));
	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t value;

		memcpy(&value, (const char *)shmc_array_data(array) + 24 * i, sizeof(value));
		ck_assert_uint_eq(value, i % 997 == 0 ? i : 0);
	}
	shmc_array_close(array);
}

TEST(an_array_comes_back_element_by_element)
{
	goes_and_comes("a", make_array, check_array);
}

TEST(atomics_of_all_types_come_back)
{
	static const char *const rows[][2] = {
		{ "type=bool", "true" },
		{ "type=i32", "-2147483648" },
		{ "type=u32", "4294967295" },
		{ "type=i64", "-9223372036854775808" },
		{ "type=u64", "18446744073709551615" },
		{ "type=double", "-0.125" },
		{ "type=u64", "0" },
	};
	struct save_scene scene = save_begin();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CTL(0, "", "create", "n", "atomic", rows[i][0]);
		CTL(0, "", "set", "n", "--", rows[i][1]);
		CTL(0, "", "save", "n", scene.file);
		CTL(0, "", "rm", "n");
		CTL(0, "", "restore", scene.file);
		CTL(0, rows[i][1], "get", "n");
		CTL(0, "", "rm", "n");
	}
	save_end(&scene);
}

/* buffer */

static struct shmc_buffer *open_buffer(struct shmc_client *client, enum shmc_buffer_role role)
{
	struct shmc_buffer *buffer;

	OPEN(shmc_buffer_open(client, "bytes", role, &buffer, &error));
	return buffer;
}

static void make_buffer(struct shmc_client *client)
{
	struct shmc_buffer_options options = { .size_bytes = 3000001 };
	struct shmc_buffer *buffer;

	OPEN(shmc_buffer_create(client, "bytes", &options, &error));
	buffer = open_buffer(client, SHMC_BUFFER_WRITER);
	shmt_assert_ok(shmc_buffer_write(buffer, 0, "first", 5));
	shmt_assert_ok(shmc_buffer_write(buffer, 3000000, "x", 1));
	shmt_assert_ok(shmc_buffer_store_checksum(buffer, 0, 5, SHMC_TRY));
	shmt_assert_ok(shmc_buffer_store_checksum(buffer, 100, 50, SHMC_TRY));
	shmt_assert_ok(shmc_buffer_write(buffer, 120, "not what it was", 15));
	shmc_buffer_close(buffer);
}

static void check_buffer(struct shmc_client *client)
{
	struct shmc_buffer *buffer = open_buffer(client, SHMC_BUFFER_WRITER);
	struct shmc_buffer_options options;
	char room[16];

	shmc_buffer_options_of(buffer, &options);
	ck_assert_uint_eq(options.size_bytes, 3000001);
	shmt_assert_ok(shmc_buffer_lock_write(buffer, SHMC_TRY)); /* nobody holds it */
	shmt_assert_ok(shmc_buffer_unlock(buffer));
	shmt_assert_ok(shmc_buffer_verify(buffer, 0, 5, room, SHMC_TRY));
	ck_assert_int_eq(memcmp(room, "first", 5), 0);
	shmt_assert_result(shmc_buffer_verify(buffer, 100, 50, NULL, SHMC_TRY), SHMC_DAMAGED);
	shmt_assert_result(shmc_buffer_verify(buffer, 0, 6, NULL, SHMC_TRY), SHMC_NOT_FOUND);
	shmt_assert_ok(shmc_buffer_read(buffer, 120, room, 15));
	ck_assert_int_eq(memcmp(room, "not what it was", 15), 0);
	shmt_assert_ok(shmc_buffer_read(buffer, 2999999, room, 2));
	ck_assert_int_eq(memcmp(room, "\0x", 2), 0);
	shmc_buffer_close(buffer);
}

TEST(a_buffer_comes_back_with_its_checksums)
{
	goes_and_comes("bytes", make_buffer, check_buffer);
}

static void leave_with_lock(struct shmc_client *client)
{
	struct shmc_buffer *buffer;

	make_buffer(client);
	buffer = open_buffer(client, SHMC_BUFFER_WRITER);
	shmt_assert_ok(shmc_buffer_lock_write(buffer, SHMC_TRY));
	shmc_buffer_close(buffer);
}

static void check_is_told(struct shmc_client *client)
{
	struct shmc_buffer *buffer = open_buffer(client, SHMC_BUFFER_WRITER);

	shmt_assert_result(shmc_buffer_lock_write(buffer, SHMC_TRY), SHMC_OWNER_DIED);
	shmt_assert_ok(shmc_buffer_mark_consistent(buffer));
	shmc_buffer_unlock(buffer);
	shmc_buffer_close(buffer);
	check_buffer(client);
}

TEST(what_a_dead_writer_left_is_told_after_it_came_back)
{
	goes_and_comes("bytes", leave_with_lock, check_is_told);
}

static void give_up(struct shmc_client *client)
{
	struct shmc_buffer *buffer;

	leave_with_lock(client);
	buffer = open_buffer(client, SHMC_BUFFER_WRITER);
	shmt_assert_result(shmc_buffer_lock_write(buffer, SHMC_TRY), SHMC_OWNER_DIED);
	shmc_buffer_unlock(buffer);
	shmc_buffer_close(buffer);
}

static void check_is_given_up(struct shmc_client *client)
{
	struct shmc_buffer *buffer = open_buffer(client, SHMC_BUFFER_READER);
	char room[5];

	shmt_assert_result(shmc_buffer_lock_read(buffer, SHMC_TRY), SHMC_UNRECOVERABLE);
	shmt_assert_ok(shmc_buffer_read(buffer, 0, room, 5));
	ck_assert_int_eq(memcmp(room, "first", 5), 0);
	shmc_buffer_close(buffer);
}

TEST(what_was_given_up_is_given_up_after_it_came_back)
{
	goes_and_comes("bytes", give_up, check_is_given_up);
}

/* pool and queue in an arena: handles that are on their way */

static void make_arena(struct shmc_client *client)
{
	struct shmc_arena_options options = { .data_bytes = 4 << 20, .mode = 0640 };
	struct shmc_pool *pool;
	struct shmc_mpmc *queue;
	struct shmc_atomic *number;
	uint64_t handle;
	void *data;

	OPEN(shmc_arena_create(client, "sim", &options, &error));
	OPEN(shmc_pool_create(client, "sim:images", NULL, &error));
	OPEN(shmc_mpmc_create(client, "sim:ready", NULL, &error));
	OPEN(shmc_atomic_create(client, "sim:step", NULL, &error));
	OPEN(shmc_rpc_create(client, "sim:service", &(struct shmc_rpc_options){ .clients_max = 2 },
			     &error));
	OPEN(shmc_pool_open(client, "sim:images", SHMC_POOL_USER, NULL, &pool, &error));
	OPEN(shmc_mpmc_open(client, "sim:ready", SHMC_MPMC_PRODUCER, &queue, &error));
	OPEN(shmc_atomic_open(client, "sim:step", SHMC_ATOMIC_WRITER, SHMC_TYPE_BYTES, &number,
			      &error));
	shmt_assert_ok(shmc_atomic_store(number, 12, SHMC_ORDER_SEQ_CST));
	for (int i = 0; i < 8; i++) {
		shmt_assert_ok(shmc_pool_acquire(pool, SHMC_TRY, &handle, &data));
		memset(data, 'a' + i, 4096);
		if (i % 2 == 0) {
			shmt_assert_ok(shmc_pool_release(pool, handle));
			continue;
		}
		shmt_assert_ok(shmc_pool_transfer(pool, handle, SHMC_POOL_ANYONE));
		shmt_assert_ok(shmc_mpmc_try_push(queue, &handle, sizeof(handle)));
	}
	/* one that was released is known under its old handle, too */
	shmt_assert_ok(shmc_pool_acquire(pool, SHMC_TRY, &handle, &data));
	shmt_assert_ok(shmc_mpmc_try_push(queue, &handle, sizeof(handle)));
	shmt_assert_ok(shmc_pool_release(pool, handle));
	shmc_atomic_close(number);
	shmc_mpmc_close(queue);
	shmc_pool_close(pool);
}

static void check_arena_as(struct shmc_client *client, const char *arena)
{
	struct shmc_pool_statistics counts;
	struct shmc_message message;
	struct shmc_mpmc *queue;
	struct shmc_pool *pool;
	uint64_t handle;
	char name[64], *data;

	snprintf(name, sizeof(name), "%s:images", arena);
	OPEN(shmc_pool_open(client, name, SHMC_POOL_USER, NULL, &pool, &error));
	snprintf(name, sizeof(name), "%s:ready", arena);
	OPEN(shmc_mpmc_open(client, name, SHMC_MPMC_CONSUMER, &queue, &error));
	shmc_pool_statistics(pool, &counts);
	ck_assert_uint_eq(counts.in_transit_to_anyone, 4);
	for (int i = 1; i < 8; i += 2) {
		shmt_assert_ok(shmc_mpmc_try_pop(queue, &handle, sizeof(handle), &message));
		shmt_assert_ok(shmc_pool_claim(pool, handle, (void **)&data));
		ck_assert_int_eq(data[0], 'a' + i);
		ck_assert_int_eq(data[4095], 'a' + i);
		shmt_assert_ok(shmc_pool_release(pool, handle));
	}
	shmt_assert_ok(shmc_mpmc_try_pop(queue, &handle, sizeof(handle), &message));
	shmt_assert_result(shmc_pool_claim(pool, handle, NULL), SHMC_STALE);
	shmc_pool_statistics(pool, &counts);
	ck_assert_uint_eq(counts.free, 64);
	shmc_mpmc_close(queue);
	shmc_pool_close(pool);
}

static void check_arena(struct shmc_client *client)
{
	check_arena_as(client, "sim");
}

static void check_twin(struct shmc_client *client)
{
	check_arena_as(client, "twin");
}

TEST(an_arena_comes_back_with_its_objects_also_under_another_name)
{
	struct save_scene scene = save_begin();

	in_process(&scene, make_arena);
	CTL(0, "\"objects\":4", "save", "--json", "sim", scene.file);
	save_replace_broker(&scene);
	CTL(0, "4 objects", "restore", scene.file);
	CTL(0, "\"objects\":4", "restore", "--json", scene.file, "twin");
	in_process(&scene, check_arena);
	in_process(&scene, check_twin);
	CTL(0, "0640", "describe", "twin");
	CTL(0, "12", "get", "twin:step");
	CTL(0, "clients_max", "describe", "twin:service");
	save_end(&scene);
}

TEST(an_object_is_saved_alone_and_put_into_another_arena_or_none)
{
	struct save_scene scene = save_begin();

	CTL(0, "", "create", "sim", "arena");
	CTL(0, "", "create", "sim:n", "atomic");
	CTL(0, "", "set", "sim:n", "5");
	CTL(0, "", "save", "sim:n", scene.file);
	CTL(1, "exists", "restore", scene.file);
	CTL(0, "", "restore", scene.file, "sim:other");
	CTL(0, "", "restore", scene.file, "alone");
	CTL(0, "5", "get", "sim:other");
	CTL(0, "5", "get", "alone");
	CTL(0, "", "rm", "sim");
	CTL(1, "sim", "restore", scene.file); /* no arena to put it in */
	save_end(&scene);
}

TEST(owned_objects_of_a_pool_come_back_under_their_handles)
{
	struct save_scene scene = save_begin();
	struct shmc_pool_options options = { .objects = 3, .object_bytes = 100 };
	struct shmc_pool *pool;
	uint64_t handle, count;
	char *data;

	OPEN(shmc_pool_create(scene.client, "pool", &options, &error));
	OPEN(shmc_pool_open(scene.client, "pool", SHMC_POOL_USER, NULL, &pool, &error));
	shmt_assert_ok(shmc_pool_acquire(pool, SHMC_TRY, &handle, (void **)&data));
	memset(data, 'x', 100);
	CTL(0, "1 objects", "save", "pool", scene.file);
	shmc_pool_close(pool);
	shmt_assert_ok(shmc_unlink(scene.client, "pool", &error));
	CTL(0, "1 objects", "restore", scene.file);
	OPEN(shmc_pool_open(scene.client, "pool", SHMC_POOL_USER, &options, &pool, &error));
	shmt_assert_ok(shmc_pool_claim(pool, handle, (void **)&data));
	ck_assert_int_eq(data[99], 'x');
	shmt_assert_ok(shmc_pool_transfer(pool, handle, SHMC_POOL_ANYONE));
	shmc_pool_close(pool);
	OPEN(shmc_pool_open(scene.client, "pool", SHMC_POOL_USER, &options, &pool, &error));
	shmt_assert_ok(shmc_pool_reclaim_abandoned(pool, &count));
	ck_assert_uint_eq(count, 1);
	shmc_pool_close(pool);
	save_end(&scene);
}

TEST(a_service_is_refused_with_the_reason)
{
	struct save_scene scene = save_begin();

	CTL(0, "", "create", "x", "rpc");
	CTL(1, "kind rpc: a call is its caller's", "save", "x", scene.file);
	CTL(1, "NOT_FOUND", "save", "--json", "nothing", scene.file);
	ck_assert(save_folder_is_clean(&scene));
	save_end(&scene);
}

SHMT_MAIN
