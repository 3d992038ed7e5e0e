/* buffer through the library and a real broker: bytes that one process writes and another reads. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/buffer_client.h"
#include "tests/support/descriptors.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

#define MIB (UINT64_C(1) << 20)

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_buffer *writer;
	size_t descriptors;
};

static struct scene scene_open(struct shmc_buffer_options options)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.client = shmt_connect(&scene.broker);
	shmt_buffer_create(scene.client, "buffer", options);
	scene.writer = shmt_buffer_open(scene.client, "buffer", SHMC_BUFFER_WRITER);
	return scene;
}

static struct scene scene_of(uint64_t bytes)
{
	return scene_open((struct shmc_buffer_options){ .size_bytes = bytes });
}

static void scene_close(struct scene *scene)
{
	shmc_buffer_close(scene->writer);
	shmc_disconnect(scene->client);
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

static struct shmt_puppet reader_of(const struct scene *scene)
{
	return shmt_puppet_start(&scene->broker, "buffer", SHMC_BUFFER_READER);
}

/* Rounds of one size: the test writes, the other checks. */
struct rounds {
	const struct shmt_broker *broker;
	uint64_t bytes;
	uint64_t count;
};

static void fill(uint64_t *words, uint64_t count, uint64_t seed)
{
	for (uint64_t i = 0; i < count; i++)
		words[i] = seed + i * UINT64_C(0x9e3779b97f4a7c15);
}

/* As many whole words as there are, and a byte where there are none. */
static void make_round(void *data, uint64_t bytes, uint64_t round)
{
	memset(data, (int)(round + 1), bytes % 8);
	fill((void *)((uint8_t *)data + bytes % 8), bytes / 8, round);
}

static void check_rounds(struct shmt_peer *other, void *context)
{
	const struct rounds *rounds = context;
	struct shmc_client *client = shmt_connect(rounds->broker);
	struct shmc_buffer *reader = shmt_buffer_open(client, "buffer", SHMC_BUFFER_READER);
	uint8_t *wanted = malloc(rounds->bytes), *got = malloc(rounds->bytes);

	ck_assert(wanted && got);
	for (uint64_t i = 0; i < rounds->count; i++) {
		make_round(wanted, rounds->bytes, i);
		shmt_peer_await(other);
		shmt_assert_ok(shmc_buffer_read(reader, 0, got, rounds->bytes));
		shmt_peer_tell(other);
		ck_assert(memcmp(got, wanted, rounds->bytes) == 0);
	}
	free(wanted);
	free(got);
	shmc_buffer_close(reader);
	shmc_disconnect(client);
}

static void round_trips(uint64_t bytes, uint64_t count)
{
	struct scene scene = scene_of(bytes);
	struct rounds rounds = { &scene.broker, bytes, count };
	struct shmt_peer peer = shmt_peer_start(check_rounds, &rounds);
	uint8_t *data = malloc(bytes);

	ck_assert(data);
	for (uint64_t i = 0; i < count; i++) {
		make_round(data, bytes, i);
		shmt_assert_ok(shmc_buffer_write(scene.writer, 0, data, bytes));
		shmt_peer_tell(&peer);
		shmt_peer_await(&peer);
	}
	free(data);
	shmt_peer_join(&peer);
	scene_close(&scene);
}

TEST(one_byte_comes_through)
{
	round_trips(1, 100);
}

TEST(sixty_four_kib_come_through)
{
	round_trips(65536, 100);
}

TEST(one_gib_comes_through_sixteen_mib, .timeout_s = 60)
{
	round_trips(16 * MIB, 64);
}

TEST(each_position_is_addressable_on_its_own)
{
	struct scene scene = scene_of(1024);
	struct shmt_puppet reader = reader_of(&scene);

	for (uint64_t i = 0; i < 1024; i++) {
		uint8_t byte = (uint8_t)(i * 7 + 1);

		ck_assert_uint_eq(shmt_puppet_read(&reader, i), 0);
		shmt_assert_ok(shmc_buffer_write(scene.writer, i, &byte, 1));
	}
	for (uint64_t i = 0; i < 1024; i++)
		ck_assert_uint_eq(shmt_puppet_read(&reader, i), (uint8_t)(i * 7 + 1));
	shmt_puppet_end(&reader);
	scene_close(&scene);
}

TEST(the_last_byte_can_be_written_and_read)
{
	struct scene scene = scene_of(5000);
	struct shmt_puppet reader = reader_of(&scene);
	uint8_t byte = 77;

	shmt_assert_ok(shmc_buffer_write(scene.writer, 4999, &byte, 1));
	ck_assert_uint_eq(shmt_puppet_read(&reader, 4999), 77);
	shmt_assert_result(shmt_puppet_do(&reader, PUPPET_READ, 5000), SHMC_TOO_BIG);
	shmt_puppet_end(&reader);
	scene_close(&scene);
}

struct range {
	uint64_t offset, bytes;
};

TEST(ranges_that_do_not_lie_inside_are_refused_and_nothing_is_written)
{
	static const struct range ranges[] = {
		{ 1000, 1 },
		{ 999, 2 },
		{ 0, 1001 },
		{ 500, 501 },
		{ 1001, 0 },
		{ (uint64_t)-1, 1 },
		{ (uint64_t)-1, 0 },
		{ 1, (uint64_t)-1 },
		{ 999, (uint64_t)-1 },
		{ (uint64_t)-8, 16 },
		{ UINT64_MAX, UINT64_MAX },
		{ UINT64_C(1) << 63, UINT64_C(1) << 63 },
	};
	struct scene scene = scene_of(1000);
	struct shmt_puppet reader = reader_of(&scene);
	uint8_t data[2048] = { 1, 2, 3 }, before = 9;
	const void *view = &before;
	void *edit = &before;

	memset(data, 0xff, sizeof(data));
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		const struct range *range = &ranges[i];

		shmt_assert_result(
			shmc_buffer_write(scene.writer, range->offset, data, range->bytes),
			SHMC_TOO_BIG);
		shmt_assert_result(
			shmc_buffer_read(scene.writer, range->offset, data, range->bytes),
			SHMC_TOO_BIG);
		shmt_assert_result(
			shmc_buffer_view(scene.writer, range->offset, range->bytes, &view),
			SHMC_TOO_BIG);
		shmt_assert_result(
			shmc_buffer_edit(scene.writer, range->offset, range->bytes, &edit),
			SHMC_TOO_BIG);
		shmt_assert_result(shmc_buffer_store_checksum(scene.writer, range->offset,
							      range->bytes, SHMC_TRY),
				   SHMC_TOO_BIG);
		shmt_assert_result(shmc_buffer_verify(scene.writer, range->offset, range->bytes,
						      NULL, SHMC_TRY),
				   SHMC_TOO_BIG);
	}
	ck_assert_ptr_eq(view, &before);
	ck_assert_ptr_eq(edit, &before);
	for (uint64_t i = 0; i < 1000; i++)
		ck_assert_uint_eq(shmt_puppet_read(&reader, i), 0);
	ck_assert_uint_eq(data[0], 0xff);
	shmt_puppet_end(&reader);
	scene_close(&scene);
}

TEST(no_length_is_fine_everywhere_inside)
{
	struct scene scene = scene_of(1000);

	for (uint64_t i = 0; i <= 1000; i += 250) {
		shmt_assert_ok(shmc_buffer_write(scene.writer, i, NULL, 0));
		shmt_assert_ok(shmc_buffer_read(scene.writer, i, NULL, 0));
	}
	scene_close(&scene);
}

TEST(what_is_written_in_place_is_seen_in_place)
{
	struct scene scene = scene_of(10000);
	struct shmc_buffer *reader = shmt_buffer_open(scene.client, "buffer", SHMC_BUFFER_READER);
	struct shmt_puppet other = reader_of(&scene);
	const void *view;
	void *edit;

	shmt_assert_ok(shmc_buffer_edit(scene.writer, 5000, 100, &edit));
	shmt_assert_ok(shmc_buffer_view(reader, 5000, 100, &view));
	memset(edit, 0x5a, 100);
	for (uint64_t i = 0; i < 100; i++)
		ck_assert_uint_eq(((const uint8_t *)view)[i], 0x5a);
	ck_assert_uint_eq(shmt_puppet_read(&other, 5099), 0x5a);
	ck_assert_uint_eq(shmt_puppet_read(&other, 5100), 0);
	shmt_puppet_end(&other);
	shmc_buffer_close(reader);
	scene_close(&scene);
}

TEST(a_reader_cannot_write)
{
	struct scene scene = scene_of(0);
	struct shmt_puppet reader = reader_of(&scene);
	struct shmc_buffer *own = shmt_buffer_open(scene.client, "buffer", SHMC_BUFFER_READER);
	void *edit;

	shmt_assert_result(shmt_puppet_write(&reader, 0, 1), SHMC_INVALID);
	shmt_assert_result(shmt_puppet_do(&reader, PUPPET_LOCK_WRITE, SHMC_FOREVER), SHMC_INVALID);
	shmt_assert_result(shmc_buffer_edit(own, 0, 1, &edit), SHMC_INVALID);
	shmt_assert_result(shmc_buffer_mark_consistent(own), SHMC_INVALID);
	shmt_assert_result(shmc_buffer_store_checksum(own, 0, 1, SHMC_TRY), SHMC_INVALID);
	shmt_puppet_end(&reader);
	shmc_buffer_close(own);
	scene_close(&scene);
}

static int note_range(void *context, const struct shmc_item *item)
{
	uint64_t *bytes = context;

	ck_assert_str_eq(item->what, "range");
	ck_assert_uint_eq(item->position, *bytes);
	ck_assert_ptr_null(item->state);
	ck_assert_uint_eq(item->data_bytes, item->size);
	for (uint64_t i = 0; i < item->size; i++)
		ck_assert_uint_eq(((const uint8_t *)item->data)[i], (uint8_t)(*bytes + i));
	*bytes += item->size;
	return 0;
}

TEST(an_observer_sees_all_bytes_and_does_nothing_else)
{
	struct scene scene = scene_of(10000);
	struct shmc_buffer *observer = shmt_buffer_open(scene.client, "buffer",
							SHMC_BUFFER_OBSERVER);
	static uint8_t room[1500];
	struct shmc_look look = { .buffer = room, .buffer_bytes = sizeof(room) };
	struct shmc_statistics statistics;
	uint64_t bytes = 0;
	const void *view;

	for (uint64_t i = 0; i < 10000; i++) {
		uint8_t byte = (uint8_t)i;

		shmt_assert_ok(shmc_buffer_write(scene.writer, i, &byte, 1));
	}
	shmt_assert_ok(shmc_buffer_look(observer, &look, note_range, &bytes));
	ck_assert_uint_eq(bytes, 10000);
	shmt_assert_result(shmc_buffer_view(observer, 0, 1, &view), SHMC_INVALID);
	shmt_assert_result(shmc_buffer_read(observer, 0, room, 1), SHMC_INVALID);
	shmt_assert_result(shmc_buffer_write(observer, 0, room, 1), SHMC_INVALID);
	shmt_assert_result(shmc_buffer_lock_read(observer, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(shmc_buffer_lock_write(observer, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(shmc_buffer_unlock(observer), SHMC_INVALID);
	shmt_assert_result(shmc_buffer_put_back(observer), SHMC_INVALID);
	shmt_assert_result(shmc_buffer_verify(observer, 0, 1, NULL, SHMC_TRY), SHMC_INVALID);
	shmt_assert_ok(shmc_buffer_statistics(observer, &statistics));
	ck_assert_uint_eq(statistics.messages, 10000);
	ck_assert_uint_eq(shmt_buffer_owner(observer).is_held, 0);
	shmc_buffer_close(observer);
	scene_close(&scene);
}

TEST(options_are_kept_and_wrong_ones_refused_by_name)
{
	struct scene scene = scene_open((struct shmc_buffer_options){
		.size_bytes = 12345, .endpoints_max = 3, .checksums_max = 7 });
	struct shmc_buffer_options options;
	struct shmc_error error;

	shmt_assert_ok(shmc_buffer_options_of(scene.writer, &options));
	ck_assert_uint_eq(options.size_bytes, 12345);
	ck_assert_uint_eq(options.endpoints_max, 3);
	ck_assert_uint_eq(options.checksums_max, 7);
	options = (struct shmc_buffer_options){ .size_bytes = (UINT64_C(1) << 40) + 1 };
	shmt_assert_result(shmc_buffer_create(scene.client, "large", &options, &error),
			   SHMC_TOO_BIG);
	shmt_assert_says(&error, "size_bytes");
	options = (struct shmc_buffer_options){ .endpoints_max = 256 };
	shmt_assert_result(shmc_buffer_create(scene.client, "many", &options, &error),
			   SHMC_TOO_BIG);
	shmt_assert_says(&error, "endpoints_max");
	options = (struct shmc_buffer_options){ .size_bytes = 12346, .reuse = 1 };
	shmt_assert_result(shmc_buffer_create(scene.client, "buffer", &options, &error),
			   SHMC_MISMATCH);
	scene_close(&scene);
}

TEST(statistics_count_copies_of_each)
{
	struct scene scene = scene_of(0);
	struct shmt_puppet reader = reader_of(&scene);
	struct shmc_buffer_endpoint endpoint;
	struct shmc_statistics all;
	uint8_t data[10] = { 0 };

	for (int i = 0; i < 5; i++)
		shmt_assert_ok(shmc_buffer_write(scene.writer, 0, data, sizeof(data)));
	shmt_puppet_read(&reader, 0);
	shmt_assert_ok(shmc_buffer_endpoint(scene.writer, 0, &endpoint));
	ck_assert_uint_ne(endpoint.is_own, 0);
	ck_assert_uint_eq(endpoint.did.messages, 5);
	ck_assert_uint_eq(endpoint.did.bytes, 50);
	shmt_assert_ok(shmc_buffer_endpoint(scene.writer, 1, &endpoint));
	ck_assert_int_eq(endpoint.state, SHMC_PEER_ACTIVE);
	ck_assert_uint_eq(endpoint.is_own, 0);
	ck_assert_uint_eq(endpoint.did.messages, 1);
	shmt_assert_ok(shmc_buffer_statistics(scene.writer, &all));
	ck_assert_uint_eq(all.messages, 6);
	ck_assert_uint_eq(all.bytes, 51);
	shmt_assert_result(shmc_buffer_endpoint(scene.writer, 64, &endpoint), SHMC_INVALID);
	shmt_puppet_end(&reader);
	scene_close(&scene);
}

TEST(a_forked_child_can_do_nothing)
{
	struct scene scene = scene_of(0);
	struct shmc_buffer_owner owner;
	struct shmc_statistics statistics;
	const void *view;
	int status;
	pid_t pid;

	shmt_assert_ok(shmc_buffer_lock_write(scene.writer, SHMC_TRY));
	pid = fork();
	if (pid == 0) {
		shmt_be_child();
		shmt_assert_result(shmc_buffer_write(scene.writer, 0, "x", 1), SHMC_FORKED);
		shmt_assert_result(shmc_buffer_view(scene.writer, 0, 1, &view), SHMC_FORKED);
		shmt_assert_result(shmc_buffer_lock_read(scene.writer, SHMC_FOREVER), SHMC_FORKED);
		shmt_assert_result(shmc_buffer_lock_write(scene.writer, SHMC_FOREVER), SHMC_FORKED);
		shmt_assert_result(shmc_buffer_unlock(scene.writer), SHMC_FORKED);
		shmt_assert_result(shmc_buffer_owner(scene.writer, &owner), SHMC_FORKED);
		shmt_assert_result(shmc_buffer_statistics(scene.writer, &statistics), SHMC_FORKED);
		shmc_buffer_close(scene.writer);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_uint_ne(shmt_buffer_owner(scene.writer).is_held, 0);
	shmt_assert_ok(shmc_buffer_unlock(scene.writer));
	scene_close(&scene);
}

/* Checksums */

TEST(equal_bytes_have_equal_checksums_and_others_do_not)
{
	struct scene scene = scene_of(256);
	struct shmt_puppet reader = reader_of(&scene);
	uint8_t data[256], byte;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31);
	shmt_assert_ok(shmc_buffer_write(scene.writer, 0, data, sizeof(data)));
	shmt_assert_ok(shmc_buffer_store_checksum(scene.writer, 0, sizeof(data), SHMC_TRY));
	shmt_assert_ok(shmc_buffer_verify(scene.writer, 0, sizeof(data), NULL, SHMC_TRY));
	for (size_t i = 0; i < sizeof(data); i++) {
		byte = data[i] ^ (uint8_t)(1u << i % 8);
		shmt_assert_ok(shmc_buffer_write(scene.writer, i, &byte, 1));
		shmt_assert_result(
			shmc_buffer_verify(scene.writer, 0, sizeof(data), NULL, SHMC_TRY),
			SHMC_DAMAGED);
		shmt_assert_ok(shmc_buffer_write(scene.writer, i, &data[i], 1));
		shmt_assert_ok(shmc_buffer_verify(scene.writer, 0, sizeof(data), NULL, SHMC_TRY));
	}
	shmt_assert_ok(shmc_buffer_store_checksum(scene.writer, 9, 1, SHMC_TRY));
	shmt_assert_ok(shmt_puppet_do(&reader, PUPPET_VERIFY, 9));
	byte = 1;
	shmt_assert_ok(shmc_buffer_write(scene.writer, 9, &byte, 1));
	shmt_assert_result(shmt_puppet_do(&reader, PUPPET_VERIFY, 9), SHMC_DAMAGED);
	shmt_puppet_end(&reader);
	scene_close(&scene);
}

TEST(none_stored_is_an_answer_of_its_own)
{
	struct scene scene = scene_of(100);
	struct shmt_puppet reader = reader_of(&scene);

	shmt_assert_result(shmt_puppet_do(&reader, PUPPET_VERIFY, 5), SHMC_NOT_FOUND);
	shmt_assert_result(shmc_buffer_forget_checksum(scene.writer, 5, 1, SHMC_TRY),
			   SHMC_NOT_FOUND);
	shmt_assert_ok(shmc_buffer_store_checksum(scene.writer, 5, 1, SHMC_TRY));
	shmt_assert_ok(shmt_puppet_do(&reader, PUPPET_VERIFY, 5));
	shmt_assert_result(shmt_puppet_do(&reader, PUPPET_VERIFY, 4), SHMC_NOT_FOUND);
	shmt_assert_result(shmc_buffer_verify(scene.writer, 5, 2, NULL, SHMC_TRY), SHMC_NOT_FOUND);
	shmt_assert_ok(shmc_buffer_forget_checksum(scene.writer, 5, 1, SHMC_TRY));
	shmt_assert_result(shmt_puppet_do(&reader, PUPPET_VERIFY, 5), SHMC_NOT_FOUND);
	shmt_puppet_end(&reader);
	scene_close(&scene);
}

TEST(ranges_with_a_checksum_are_listed)
{
	struct scene scene = scene_open((struct shmc_buffer_options){ .checksums_max = 3 });
	uint64_t offset, bytes, listed = 0;

	shmt_assert_ok(shmc_buffer_store_checksum(scene.writer, 7, 10, SHMC_TRY));
	shmt_assert_ok(shmc_buffer_store_checksum(scene.writer, 20, 0, SHMC_TRY));
	shmt_assert_ok(shmc_buffer_forget_checksum(scene.writer, 7, 10, SHMC_TRY));
	for (uint64_t i = 0; i < 3; i++) {
		if (shmc_buffer_checksum_range(scene.writer, i, &offset, &bytes) != SHMC_OK)
			continue;
		ck_assert_uint_eq(offset, 20);
		ck_assert_uint_eq(bytes, 0);
		listed++;
	}
	ck_assert_uint_eq(listed, 1);
	shmt_assert_result(shmc_buffer_checksum_range(scene.writer, 3, &offset, &bytes),
			   SHMC_INVALID);
	scene_close(&scene);
}

TEST(a_full_table_of_checksums_takes_no_other_range)
{
	struct scene scene = scene_open((struct shmc_buffer_options){ .checksums_max = 3 });

	for (uint64_t i = 0; i < 3; i++)
		shmt_assert_ok(shmc_buffer_store_checksum(scene.writer, i, 10, SHMC_TRY));
	shmt_assert_result(shmc_buffer_store_checksum(scene.writer, 3, 10, SHMC_TRY), SHMC_FULL);
	shmt_assert_ok(shmc_buffer_store_checksum(scene.writer, 2, 10, SHMC_TRY));
	shmt_assert_ok(shmc_buffer_forget_checksum(scene.writer, 1, 10, SHMC_TRY));
	shmt_assert_ok(shmc_buffer_store_checksum(scene.writer, 3, 10, SHMC_TRY));
	for (uint64_t i = 0; i < 4; i++)
		shmt_assert_result(shmc_buffer_verify(scene.writer, i, 10, NULL, SHMC_TRY),
				   i == 1 ? SHMC_NOT_FOUND : SHMC_OK);
	scene_close(&scene);
}

enum {
	SUMMED = 64 * 1024,
	ROUNDS = 10000,
};

struct range_of_rounds {
	const struct shmt_broker *broker;
	uint64_t seed;
};

/* Writes somewhere, always under the lock, and always so that its checksum holds when it leaves. */
static void write_and_sum(struct shmt_peer *other, void *context)
{
	const struct range_of_rounds *work = context;
	struct shmc_client *client = shmt_connect(work->broker);
	struct shmc_buffer *buffer = shmt_buffer_open(client, "buffer", SHMC_BUFFER_WRITER);
	struct shmt_random random = { work->seed };

	shmt_peer_tell(other);
	for (int i = 0; i < ROUNDS / 2; i++) {
		uint64_t offset = shmt_random_below(&random, SUMMED - 512);
		uint64_t bytes = 1 + shmt_random_below(&random, 512);
		uint8_t byte = (uint8_t)shmt_random_next(&random);

		shmt_assert_ok(shmc_buffer_lock_write(buffer, SHMC_FOREVER));
		shmt_assert_ok(shmc_buffer_write(buffer, offset + bytes / 2, &byte, 1));
		shmt_assert_ok(shmc_buffer_store_checksum(buffer, offset, bytes, SHMC_TRY));
		shmt_assert_ok(shmc_buffer_verify(buffer, offset, bytes, NULL, SHMC_TRY));
		shmt_assert_ok(shmc_buffer_forget_checksum(buffer, offset, bytes, SHMC_TRY));
		shmt_assert_ok(shmc_buffer_store_checksum(buffer, 0, SUMMED / 16, SHMC_TRY));
		shmt_assert_ok(shmc_buffer_unlock(buffer));
	}
	shmc_buffer_close(buffer);
	shmc_disconnect(client);
}

TEST(ten_thousand_checksums_of_random_ranges_hold_beside_locked_writers, .timeout_s = 60)
{
	struct scene scene = scene_of(SUMMED);
	struct range_of_rounds works[2] = { { &scene.broker, 1 }, { &scene.broker, 2 } };
	struct shmt_peer peers[2];
	uint64_t verified = 0;

	shmt_assert_ok(shmc_buffer_store_checksum(scene.writer, 0, SUMMED / 16, SHMC_TRY));
	for (int i = 0; i < 2; i++)
		peers[i] = shmt_peer_start(write_and_sum, &works[i]);
	for (int i = 0; i < 2; i++)
		shmt_peer_await(&peers[i]);
	for (; verified < ROUNDS; verified++)
		shmt_assert_ok(
			shmc_buffer_verify(scene.writer, 0, SUMMED / 16, NULL, SHMC_FOREVER));
	for (int i = 0; i < 2; i++)
		shmt_peer_join(&peers[i]);
	scene_close(&scene);
}

SHMT_MAIN
