/* Streams through the library and a real broker, both sides in one process: what each call does. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/runner.h"
#include "tests/support/stream_client.h"

#define MS_NS	 INT64_C(1000000)
#define METADATA 100

struct pair {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_stream *writer;
	struct shmc_stream *reader;
	size_t descriptors;
};

static struct pair pair_open(uint64_t capacity_bytes)
{
	struct shmc_stream_options options = { .capacity_bytes = capacity_bytes,
					       .metadata_bytes_max = METADATA };
	struct pair pair = { .broker = shmt_broker_start(NULL),
			     .descriptors = shmt_descriptor_count() };

	pair.client = shmt_connect(&pair.broker);
	shmt_assert_ok(shmc_stream_create(pair.client, "stream", &options, NULL));
	pair.writer = shmt_frames_open(pair.client, "stream", SHMC_STREAM_WRITER);
	pair.reader = shmt_frames_open(pair.client, "stream", SHMC_STREAM_READER);
	return pair;
}

static void pair_close(struct pair *pair)
{
	shmc_stream_close(pair->writer);
	shmc_stream_close(pair->reader);
	shmc_disconnect(pair->client);
	ck_assert_uint_eq(shmt_descriptor_count(), pair->descriptors);
	shmt_broker_stop(&pair->broker);
}

static struct shmc_frame borrow(struct pair *pair)
{
	struct shmc_frame frame;

	shmt_assert_ok(shmc_stream_borrow(pair->reader, SHMC_TRY, &frame));
	return frame;
}

TEST(frames_arrive_in_order_with_their_numbers)
{
	struct pair pair = pair_open(0);
	struct shmc_frame frame;
	char buffer[10];

	shmt_assert_ok(shmc_stream_write(pair.writer, "one", 3, SHMC_TRY));
	shmt_assert_ok(shmc_stream_write(pair.writer, "", 0, SHMC_TRY));
	shmt_assert_ok(shmc_stream_write(pair.writer, "three", 5, SHMC_TRY));
	for (uint64_t i = 1; i <= 3; i++) {
		static const char *const texts[] = { "one", "", "three" };

		shmt_assert_ok(shmc_stream_read(pair.reader, buffer, 10, SHMC_TRY, &frame));
		ck_assert_uint_eq(frame.size, strlen(texts[i - 1]));
		ck_assert_mem_eq(frame.data, texts[i - 1], frame.size);
		ck_assert_uint_eq(frame.sequence, i);
		ck_assert_uint_eq(frame.expected, i);
		ck_assert_uint_eq(frame.flags, 0);
	}
	shmt_assert_result(shmc_stream_read(pair.reader, buffer, 10, SHMC_TRY, &frame), SHMC_EMPTY);
	pair_close(&pair);
}

TEST(a_full_stream_times_out_and_takes_a_frame_once_one_was_read)
{
	struct pair pair = pair_open(10000);
	uint64_t number = 1;

	for (; shmt_frame_write(pair.writer, 1000, number, SHMC_TRY) == SHMC_OK; number++)
		;
	ck_assert_uint_eq(number - 1, 16384 / 1024 - 1);
	shmt_assert_result(shmt_frame_write(pair.writer, 1000, number, 10 * MS_NS), SHMC_TIMEOUT);
	shmt_frame_expect(pair.reader, 1000, 1, 0);
	shmt_assert_ok(shmt_frame_write(pair.writer, 1000, number, SHMC_TRY));
	pair_close(&pair);
}

TEST(every_frame_up_to_the_limit_fits_once_it_is_empty)
{
	static const uint64_t sizes[] = { 6144,	 7168, 9216,  1,    9216,  10240, 0,	 16352,
					  16352, 3,    16352, 1000, 16352, 16351, 16352, 15 };
	struct pair pair = pair_open(10240);
	struct shmc_stream_options options;
	void *room;

	shmt_assert_ok(shmc_stream_options_of(pair.writer, &options));
	ck_assert_uint_eq(options.capacity_bytes, 16384 - 32);
	for (uint64_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		shmt_assert_ok(shmt_frame_write(pair.writer, sizes[i], i + 1, SHMC_TRY));
		shmt_frame_expect(pair.reader, sizes[i], i + 1, 0);
	}
	shmt_assert_result(shmc_stream_reserve(pair.writer, 16353, SHMC_TRY, &room), SHMC_TOO_BIG);
	pair_close(&pair);
}

TEST(free_bytes_come_back_after_any_number_of_wraps)
{
	struct pair pair = pair_open(4096);
	uint64_t all = shmt_frames_status(pair.writer).payload_free_bytes;

	ck_assert_uint_eq(all, shmt_frames_status(pair.writer).payload_size);
	for (uint64_t i = 1; i <= 10000; i++) {
		uint64_t size = i * 7 % 3000;

		shmt_assert_ok(shmt_frame_write(pair.writer, size, i, SHMC_TRY));
		shmt_frame_expect(pair.reader, size, i, 0);
		ck_assert_uint_eq(shmt_frames_status(pair.reader).payload_free_bytes, all);
	}
	pair_close(&pair);
}

TEST(a_reservation_is_a_frame_only_once_it_is_committed)
{
	struct pair pair = pair_open(8192);
	struct shmc_frame frame;
	void *room;

	shmt_assert_ok(shmc_stream_reserve(pair.writer, 4096, SHMC_TRY, &room));
	shmt_assert_result(shmc_stream_reserve(pair.writer, 1, SHMC_TRY, &room), SHMC_INVALID);
	shmt_assert_result(shmc_stream_write(pair.writer, "x", 1, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(shmc_stream_commit(pair.writer, 4097), SHMC_INVALID);
	shmt_assert_result(shmc_stream_borrow(pair.reader, SHMC_TRY, &frame), SHMC_EMPTY);
	shmt_assert_ok(shmc_stream_abort(pair.writer));
	shmt_assert_result(shmc_stream_abort(pair.writer), SHMC_INVALID);
	shmt_assert_result(shmc_stream_borrow(pair.reader, SHMC_TRY, &frame), SHMC_EMPTY);
	shmt_assert_ok(shmt_frame_write(pair.writer, 4096, 1, SHMC_TRY));
	shmt_frame_expect(pair.reader, 4096, 1, 0);
	shmt_assert_ok(shmc_stream_reserve(pair.writer, 4096, SHMC_TRY, &room));
	shmt_frame_fill(room, 77, 2);
	shmt_assert_ok(shmc_stream_commit(pair.writer, 77));
	shmt_frame_expect(pair.reader, 77, 2, 0);
	pair_close(&pair);
}

TEST(a_buffer_too_small_leaves_the_frame_and_says_its_length)
{
	struct pair pair = pair_open(0);
	struct shmc_frame frame;
	char buffer[100];

	shmt_assert_ok(shmt_frame_write(pair.writer, 100, 1, SHMC_TRY));
	shmt_assert_result(shmc_stream_read(pair.reader, buffer, 99, SHMC_FOREVER, &frame),
			   SHMC_TOO_BIG);
	ck_assert_uint_eq(frame.size, 100);
	shmt_assert_ok(shmc_stream_read(pair.reader, buffer, 100, SHMC_FOREVER, &frame));
	ck_assert(shmt_frame_is(buffer, 100, 1));
	pair_close(&pair);
}

/* Sequence numbers */

TEST(a_gap_is_told_as_expected_and_got)
{
	struct pair pair = pair_open(0);
	struct shmc_frame frame;

	shmt_assert_ok(shmt_frame_write(pair.writer, 8, 1, SHMC_TRY));
	shmt_assert_ok(shmc_stream_skip(pair.writer, 3));
	shmt_assert_ok(shmt_frame_write(pair.writer, 8, 5, SHMC_TRY));
	shmt_assert_result(shmc_stream_skip(pair.writer, 0), SHMC_INVALID);
	shmt_assert_result(shmc_stream_skip(pair.reader, 1), SHMC_INVALID);
	shmt_frame_expect(pair.reader, 8, 1, 0);
	frame = borrow(&pair);
	ck_assert_uint_eq(frame.expected, 2);
	ck_assert_uint_eq(frame.sequence, 5);
	ck_assert_uint_eq(frame.flags, SHMC_GAP);
	ck_assert_uint_eq(shmt_frames_status(pair.reader).payload_skipped_count, 3);
	ck_assert_uint_eq(shmt_frames_status(pair.reader).last_sequence, 5);
	pair_close(&pair);
}

TEST(a_new_writer_goes_on_counting)
{
	struct pair pair = pair_open(0);

	for (uint64_t number = 1; number <= 10; number++) {
		shmt_assert_ok(shmt_frame_write(pair.writer, 8, number, SHMC_TRY));
		shmc_stream_close(pair.writer);
		pair.writer = shmt_frames_open(pair.client, "stream", SHMC_STREAM_WRITER);
	}
	for (uint64_t number = 1; number <= 10; number++)
		shmt_frame_expect(pair.reader, 8, number, 0);
	pair_close(&pair);
}

TEST(a_new_reader_knows_which_number_comes_next)
{
	struct pair pair = pair_open(0);
	struct shmc_frame frame;

	shmt_assert_ok(shmt_frame_write(pair.writer, 8, 1, SHMC_TRY));
	shmt_frame_expect(pair.reader, 8, 1, 0);
	shmc_stream_close(pair.reader);
	shmt_assert_ok(shmc_stream_skip(pair.writer, 1));
	shmt_assert_ok(shmt_frame_write(pair.writer, 8, 3, SHMC_TRY));
	pair.reader = shmt_frames_open(pair.client, "stream", SHMC_STREAM_READER);
	frame = borrow(&pair);
	ck_assert_uint_eq(frame.expected, 2);
	ck_assert_uint_eq(frame.sequence, 3);
	ck_assert_uint_eq(frame.flags, SHMC_GAP);
	pair_close(&pair);
}

/* Loans */

TEST(two_frames_are_held_and_released_in_either_order_also_across_the_wrap)
{
	struct pair pair = pair_open(4064);

	for (uint64_t number = 1; number < 400; number += 2) {
		struct shmc_frame first, second;

		shmt_assert_ok(shmt_frame_write(pair.writer, 1200, number, SHMC_TRY));
		shmt_assert_ok(shmt_frame_write(pair.writer, 1300, number + 1, SHMC_TRY));
		first = borrow(&pair);
		second = borrow(&pair);
		ck_assert_uint_eq((uintptr_t)second.data % 16, 0);
		shmt_assert_result(shmt_frame_write(pair.writer, 2000, 0, SHMC_TRY), SHMC_FULL);
		if (number % 4 == 1)
			shmt_assert_ok(shmc_stream_release(pair.reader, &second));
		/* neither room comes back before the older one is released */
		shmt_assert_result(shmt_frame_write(pair.writer, 2000, 0, SHMC_TRY), SHMC_FULL);
		ck_assert(shmt_frame_is(first.data, 1200, number));
		shmt_assert_ok(shmc_stream_release(pair.reader, &first));
		if (number % 4 != 1) {
			ck_assert(shmt_frame_is(second.data, 1300, number + 1));
			shmt_assert_ok(shmc_stream_release(pair.reader, &second));
		}
		shmt_assert_result(shmc_stream_release(pair.reader, &second), SHMC_INVALID);
	}
	pair_close(&pair);
}

TEST(frames_are_read_while_others_are_held)
{
	struct pair pair = pair_open(0);
	struct shmc_frame held, frame;
	char buffer[8];

	shmt_assert_ok(shmt_frame_write(pair.writer, 8, 1, SHMC_TRY));
	held = borrow(&pair);
	for (uint64_t number = 2; number <= 1000; number++) {
		shmt_assert_ok(shmt_frame_write(pair.writer, 8, number, SHMC_TRY));
		shmt_assert_ok(shmc_stream_read(pair.reader, buffer, 8, SHMC_TRY, &frame));
		ck_assert(shmt_frame_is(buffer, 8, number));
	}
	ck_assert(shmt_frame_is(held.data, 8, 1));
	shmt_assert_ok(shmc_stream_release(pair.reader, &held));
	ck_assert_uint_eq(shmt_frames_status(pair.reader).payload_read_count, 1000);
	pair_close(&pair);
}

TEST(more_loans_than_there_may_be_are_refused_at_once)
{
	struct pair pair = pair_open(0);
	struct shmc_frame first, frame;

	for (uint64_t number = 1; number <= SHMC_STREAM_LOANS_MAX + 1; number++)
		shmt_assert_ok(shmt_frame_write(pair.writer, 8, number, SHMC_TRY));
	first = borrow(&pair);
	for (uint64_t number = 2; number <= SHMC_STREAM_LOANS_MAX; number++)
		borrow(&pair);
	shmt_assert_result(shmc_stream_borrow(pair.reader, SHMC_FOREVER, &frame), SHMC_FULL);
	shmt_assert_ok(shmc_stream_release(pair.reader, &first));
	frame = borrow(&pair);
	ck_assert_uint_eq(frame.sequence, SHMC_STREAM_LOANS_MAX + 1);
	pair_close(&pair);
}

TEST(what_is_held_at_the_close_comes_again_flagged)
{
	struct pair pair = pair_open(0);
	struct shmc_frame frame;

	for (uint64_t number = 1; number <= 4; number++)
		shmt_assert_ok(shmt_frame_write(pair.writer, 8, number, SHMC_TRY));
	shmt_frame_expect(pair.reader, 8, 1, 0);
	borrow(&pair);
	frame = borrow(&pair);
	shmt_assert_ok(shmc_stream_release(pair.reader, &frame));
	shmc_stream_close(pair.reader);
	pair.reader = shmt_frames_open(pair.client, "stream", SHMC_STREAM_READER);
	shmt_frame_expect(pair.reader, 8, 2, SHMC_REDELIVERED);
	shmt_frame_expect(pair.reader, 8, 3, SHMC_REDELIVERED);
	shmt_frame_expect(pair.reader, 8, 4, 0);
	pair_close(&pair);
}

/* Metadata */

TEST(metadata_are_written_once_and_read_by_all)
{
	struct pair pair = pair_open(0);
	struct shmc_stream *observer = shmt_frames_open(pair.client, "stream",
							SHMC_STREAM_OBSERVER);
	struct shmc_bytes metadata;
	char over[METADATA + 1] = "";

	shmt_assert_result(shmc_stream_metadata(pair.reader, SHMC_TRY, &metadata), SHMC_EMPTY);
	shmt_assert_result(shmc_stream_metadata(pair.reader, MS_NS, &metadata), SHMC_TIMEOUT);
	shmt_assert_result(shmc_stream_metadata(observer, MS_NS, &metadata), SHMC_INVALID);
	shmt_assert_result(shmc_stream_set_metadata(pair.writer, over, sizeof(over)), SHMC_TOO_BIG);
	shmt_assert_result(shmc_stream_set_metadata(pair.reader, "x", 1), SHMC_INVALID);
	ck_assert_uint_eq(shmt_frames_status(observer).metadata_free_bytes, METADATA);
	shmt_assert_ok(shmc_stream_set_metadata(pair.writer, "640x480", 7));
	shmt_assert_result(shmc_stream_set_metadata(pair.writer, "again", 5), SHMC_EXISTS);
	shmc_stream_close(pair.writer);
	pair.writer = shmt_frames_open(pair.client, "stream", SHMC_STREAM_WRITER);
	shmt_assert_result(shmc_stream_set_metadata(pair.writer, "again", 5), SHMC_EXISTS);
	for (int i = 0; i < 3; i++) {
		struct shmc_stream *all[] = { pair.writer, pair.reader, observer };

		shmt_assert_ok(shmc_stream_metadata(all[i], SHMC_TRY, &metadata));
		ck_assert_uint_eq(metadata.size, 7);
		ck_assert_mem_eq(metadata.data, "640x480", 7);
		ck_assert_uint_eq(shmt_frames_status(all[i]).metadata_written_bytes, 7);
		ck_assert_uint_eq(shmt_frames_status(all[i]).metadata_free_bytes, 0);
	}
	shmc_stream_close(observer);
	pair_close(&pair);
}

TEST(metadata_of_no_bytes_and_of_all_there_is_room_for_are_metadata)
{
	for (uint64_t size = 0; size <= METADATA; size += METADATA) {
		struct pair pair = pair_open(0);
		struct shmc_bytes metadata;
		char bytes[METADATA];

		shmt_frame_fill(bytes, METADATA, 1);
		shmt_assert_ok(shmc_stream_set_metadata(pair.writer, size ? bytes : NULL, size));
		shmt_assert_ok(shmc_stream_metadata(pair.reader, SHMC_TRY, &metadata));
		ck_assert_uint_eq(metadata.size, size);
		ck_assert_int_eq(memcmp(metadata.data, bytes, size), 0);
		pair_close(&pair);
	}
}

/* Roles, options, status */

TEST(each_role_does_what_is_its_own_and_no_more)
{
	struct pair pair = pair_open(0);
	struct shmc_stream *observer = shmt_frames_open(pair.client, "stream",
							SHMC_STREAM_OBSERVER);
	struct shmc_stream *wrong[] = { pair.reader, observer, pair.writer, observer };
	struct shmc_frame frame = { .loan = 0 };
	struct shmc_error error;
	void *room;
	int fd;

	for (int i = 0; i < 2; i++) {
		shmt_assert_result(shmc_stream_write(wrong[i], "x", 1, SHMC_FOREVER), SHMC_INVALID);
		shmt_assert_result(shmc_stream_reserve(wrong[i], 1, SHMC_TRY, &room), SHMC_INVALID);
		shmt_assert_result(shmc_stream_commit(wrong[i], 0), SHMC_INVALID);
		shmt_assert_result(shmc_stream_abort(wrong[i]), SHMC_INVALID);
	}
	for (int i = 2; i < 4; i++) {
		shmt_assert_result(shmc_stream_read(wrong[i], NULL, 0, SHMC_FOREVER, &frame),
				   SHMC_INVALID);
		shmt_assert_result(shmc_stream_borrow(wrong[i], SHMC_TRY, &frame), SHMC_INVALID);
		shmt_assert_result(shmc_stream_release(wrong[i], &frame), SHMC_INVALID);
	}
	shmt_assert_result(shmc_stream_fd(observer, &fd, &error), SHMC_INVALID);
	shmt_assert_result(shmc_stream_wait_peer(observer, SHMC_TRY), SHMC_INVALID);
	shmt_assert_result(
		shmc_stream_open(pair.client, "stream", SHMC_STREAM_WRITER, &observer, &error),
		SHMC_BUSY);
	shmt_assert_result(
		shmc_stream_open(pair.client, "stream", SHMC_STREAM_READER, &observer, &error),
		SHMC_BUSY);
	shmc_stream_close(observer);
	pair_close(&pair);
}

TEST(bad_options_are_refused_by_name)
{
	struct pair pair = pair_open(10000);
	struct shmc_stream_options options = { .capacity_bytes = UINT64_C(1) << 36 };
	struct shmc_error error;

	shmt_assert_result(shmc_stream_create(pair.client, "big", &options, &error), SHMC_TOO_BIG);
	shmt_assert_says(&error, "capacity_bytes");
	options = (struct shmc_stream_options){ .metadata_bytes_max = (1 << 24) + 1 };
	shmt_assert_result(shmc_stream_create(pair.client, "big", &options, &error), SHMC_TOO_BIG);
	shmt_assert_says(&error, "metadata_bytes_max");
	options = (struct shmc_stream_options){ .capacity_bytes = 16352,
						.metadata_bytes_max = METADATA,
						.reuse = 1 };
	shmt_assert_ok(shmc_stream_create(pair.client, "stream", &options, &error));
	options.metadata_bytes_max++;
	shmt_assert_result(shmc_stream_create(pair.client, "stream", &options, &error),
			   SHMC_MISMATCH);
	shmt_assert_says(&error, "metadata_bytes_max");
	pair_close(&pair);
}

TEST(the_status_says_sizes_positions_counts_and_pids)
{
	struct pair pair = pair_open(4064);
	struct shmc_stream *observer = shmt_frames_open(pair.client, "stream",
							SHMC_STREAM_OBSERVER);
	struct shmc_stream_status status = shmt_frames_status(observer), now;
	struct shmc_statistics own, peer;

	ck_assert_uint_eq(status.payload_size, 4064);
	ck_assert_uint_eq(status.metadata_size, METADATA);
	ck_assert_uint_eq(status.writer_pid, (uint32_t)getpid());
	ck_assert_uint_eq(status.reader_pid, (uint32_t)getpid());
	ck_assert_int_eq(status.writer, SHMC_PEER_ACTIVE);
	shmt_assert_ok(shmt_frame_write(pair.writer, 1000, 1, SHMC_TRY));
	shmt_assert_ok(shmt_frame_write(pair.writer, 1000, 2, SHMC_TRY));
	shmt_frame_expect(pair.reader, 1000, 1, 0);
	now = shmt_frames_status(observer);
	ck_assert_uint_eq(now.payload_write_position - status.payload_write_position, 2 * 1024);
	ck_assert_uint_eq(now.payload_read_position - status.payload_read_position, 1024);
	ck_assert_uint_eq(now.payload_free_bytes, 4064 - 1024);
	ck_assert_uint_eq(now.payload_written_count, 2);
	ck_assert_uint_eq(now.payload_read_count, 1);
	ck_assert_uint_eq(now.last_sequence, 2);
	shmt_assert_ok(shmc_stream_statistics(pair.reader, &own, &peer));
	ck_assert_uint_eq(own.bytes, 1000);
	ck_assert_uint_eq(peer.bytes, 2000);
	shmc_stream_close(pair.reader);
	pair.reader = NULL;
	now = shmt_frames_status(observer);
	ck_assert_uint_eq(now.reader_pid, 0);
	ck_assert_int_eq(now.reader, SHMC_PEER_LEFT);
	shmc_stream_close(observer);
	pair_close(&pair);
}

struct shown {
	char what[4][16];
	uint64_t numbers[4];
	uint64_t count;
};

static int note(void *context, const struct shmc_item *item)
{
	struct shown *shown = context;

	ck_assert_uint_lt(shown->count, 4);
	snprintf(shown->what[shown->count], sizeof(shown->what[0]), "%s", item->what);
	ck_assert_uint_eq(item->data_bytes, item->size);
	if (item->number != UINT64_MAX)
		ck_assert(shmt_frame_is(item->data, item->size, item->number));
	shown->numbers[shown->count++] = item->number;
	return 0;
}

TEST(a_look_shows_the_metadata_and_what_was_not_released)
{
	struct pair pair = pair_open(0);
	char buffer[5000];
	struct shmc_look look = { .buffer = buffer, .buffer_bytes = sizeof(buffer) };
	struct shown shown = { .count = 0 };

	shmt_assert_ok(shmc_stream_set_metadata(pair.writer, "about", 5));
	for (uint64_t number = 1; number <= 3; number++)
		shmt_assert_ok(shmt_frame_write(pair.writer, 5000, number, SHMC_TRY));
	shmt_frame_expect(pair.reader, 5000, 1, 0);
	shmt_assert_ok(shmc_stream_look(pair.reader, &look, note, &shown));
	ck_assert_uint_eq(shown.count, 3);
	ck_assert_str_eq(shown.what[0], "metadata");
	ck_assert_str_eq(shown.what[1], "frame");
	ck_assert_uint_eq(shown.numbers[1], 2);
	ck_assert_uint_eq(shown.numbers[2], 3);
	pair_close(&pair);
}

TEST(in_a_forked_child_every_call_says_so)
{
	struct pair pair = pair_open(0);
	struct shmc_stream_status status;
	struct shmc_bytes metadata;
	struct shmc_frame frame;
	int wait_status = 0;
	void *room;
	pid_t pid = fork();

	if (pid == 0) {
		bool is_told =
			shmc_stream_write(pair.writer, "x", 1, SHMC_TRY) == SHMC_FORKED &&
			shmc_stream_reserve(pair.writer, 1, SHMC_TRY, &room) == SHMC_FORKED &&
			shmc_stream_commit(pair.writer, 0) == SHMC_FORKED &&
			shmc_stream_abort(pair.writer) == SHMC_FORKED &&
			shmc_stream_skip(pair.writer, 1) == SHMC_FORKED &&
			shmc_stream_set_metadata(pair.writer, "x", 1) == SHMC_FORKED &&
			shmc_stream_metadata(pair.reader, SHMC_TRY, &metadata) == SHMC_FORKED &&
			shmc_stream_read(pair.reader, NULL, 0, SHMC_TRY, &frame) == SHMC_FORKED &&
			shmc_stream_borrow(pair.reader, SHMC_TRY, &frame) == SHMC_FORKED &&
			shmc_stream_release(pair.reader, &frame) == SHMC_FORKED &&
			shmc_stream_wait_peer(pair.reader, SHMC_TRY) == SHMC_FORKED &&
			shmc_stream_is_writer_connected(pair.reader, 0) == SHMC_FORKED &&
			shmc_stream_status(pair.reader, &status) == SHMC_FORKED &&
			shmc_stream_statistics(pair.reader, NULL, NULL) == SHMC_FORKED;

		shmc_stream_close(pair.writer);
		_exit(is_told ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &wait_status, 0), pid);
	ck_assert_int_eq(wait_status, 0);
	pair_close(&pair);
}

SHMT_MAIN
