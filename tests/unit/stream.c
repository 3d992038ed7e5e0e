/* The moves of a writer and a reader who both live; loans. Successors: stream_attach.c. */
#include "protocol/stream.h"

#include <string.h>

#include "tests/support/ring.h"
#include "tests/support/runner.h"
#include "tests/support/stream.h"

enum {
	RING = 4096,
	CAPACITY = RING - SHMP_STREAM_OVERHEAD,
	METADATA = 100,
};

static uint64_t cursor_of(const struct shmt_stream *stream, uint32_t place)
{
	return atomic_load(&stream->segment.map.endpoints[place].cursor);
}

static struct shmp_stream_frame lend(struct shmt_stream *stream)
{
	struct shmp_stream_frame frame;

	ck_assert_int_eq(shmp_stream_lend(&stream->reader, &frame), SHMP_DONE);
	return frame;
}

static int give_back(struct shmt_stream *stream, const struct shmp_stream_frame *frame)
{
	return shmp_stream_give_back(&stream->reader, frame->loan, frame->position);
}

static uint64_t capacity_for(uint64_t wanted)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { wanted, METADATA };
	struct shmp_plan plan;
	const char *why;

	ck_assert_int_eq(shmp_stream_kind.plan(option, &plan, &why), 0);
	ck_assert_uint_eq(plan.data_bytes & (plan.data_bytes - 1), 0);
	ck_assert_uint_eq(plan.option[0], plan.data_bytes - SHMP_STREAM_OVERHEAD);
	return plan.option[0];
}

TEST(capacity_is_the_largest_frame_and_grows_with_the_ring_only)
{
	ck_assert_uint_eq(capacity_for(0), CAPACITY);
	ck_assert_uint_eq(capacity_for(1), CAPACITY);
	ck_assert_uint_eq(capacity_for(CAPACITY), CAPACITY);
	ck_assert_uint_eq(capacity_for(CAPACITY + 1), 2 * RING - SHMP_STREAM_OVERHEAD);
	ck_assert_uint_eq(capacity_for(104857600), (128u << 20) - SHMP_STREAM_OVERHEAD);
}

TEST(every_length_arrives_as_it_was_sent, .timeout_s = 30)
{
	struct shmt_stream stream;

	shmt_stream_open(&stream, CAPACITY, METADATA);
	for (uint64_t size = 0; size <= CAPACITY; size++) {
		ck_assert_int_eq(shmt_stream_write(&stream, size, size), SHMP_DONE);
		ck_assert_int_eq(shmt_stream_read(&stream, size, size, size + 1), SHMP_DONE);
	}
	ck_assert_int_eq(shmt_stream_read(&stream, 0, 0, 0), SHMP_EMPTY);
	shmt_stream_free(&stream);
}

TEST(the_largest_frame_fits_into_the_empty_ring_at_every_offset)
{
	struct shmt_stream stream;
	uint64_t sequence = 1;

	shmt_stream_open(&stream, CAPACITY, METADATA);
	for (uint64_t offset = 0; offset < RING; offset += SHMP_STREAM_ALIGN) {
		ck_assert_int_eq(shmt_stream_write(&stream, CAPACITY, offset), SHMP_DONE);
		ck_assert_int_eq(shmt_stream_write(&stream, 0, 0), SHMP_FULL);
		ck_assert_int_eq(shmt_stream_read(&stream, CAPACITY, offset, sequence++),
				 SHMP_DONE);
		/* 16 bytes short of a lap, and one of these on */
		ck_assert_int_eq(shmt_stream_write(&stream, 0, 0), SHMP_DONE);
		ck_assert_int_eq(shmt_stream_read(&stream, 0, 0, sequence++), SHMP_DONE);
		ck_assert_int_eq(shmt_stream_write(&stream, 0, 0), SHMP_DONE);
		ck_assert_int_eq(shmt_stream_read(&stream, 0, 0, sequence++), SHMP_DONE);
	}
	ck_assert_int_eq(shmt_stream_write(&stream, CAPACITY + 1, 0), SHMP_TOO_BIG);
	shmt_stream_free(&stream);
}

/* What rings that do not wrap refuse for ever. */
TEST(large_frames_of_any_order_fit_once_it_is_empty)
{
	static const uint64_t sizes[] = { 6144, 7168, 9216, 1, 9216, 10240, 10240, 7, 10240 };
	struct shmt_stream stream;

	shmt_stream_open(&stream, 10240, METADATA);
	for (uint64_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ck_assert_int_eq(shmt_stream_write(&stream, sizes[i], i), SHMP_DONE);
		ck_assert_int_eq(shmt_stream_read(&stream, sizes[i], i, i + 1), SHMP_DONE);
	}
	shmt_stream_free(&stream);
}

TEST(free_bytes_are_what_can_be_written_and_come_back)
{
	struct shmt_stream stream;
	uint64_t left, sequence = 1;

	shmt_stream_open(&stream, CAPACITY, METADATA);
	for (uint64_t size = 0; size < 1200; size++) {
		ck_assert_uint_eq(shmt_stream_figure(&stream, "free_bytes"), CAPACITY);
		ck_assert_int_eq(shmt_stream_write(&stream, size, 1), SHMP_DONE);
		left = shmt_stream_figure(&stream, "free_bytes");
		ck_assert_int_eq(shmt_stream_write(&stream, left + 1, 2), SHMP_FULL);
		ck_assert_int_eq(shmt_stream_write(&stream, left, 2), SHMP_DONE);
		ck_assert_uint_eq(shmt_stream_figure(&stream, "free_bytes"), 0);
		ck_assert_int_eq(shmt_stream_read(&stream, size, 1, sequence++), SHMP_DONE);
		ck_assert_int_eq(shmt_stream_read(&stream, left, 2, sequence++), SHMP_DONE);
	}
	shmt_stream_free(&stream);
}

TEST(a_reservation_is_sent_with_what_was_used_of_it)
{
	struct shmt_stream stream;
	uint8_t *room;

	shmt_stream_open(&stream, CAPACITY, METADATA);
	for (uint64_t used = 0; used <= 1000; used++) {
		ck_assert_int_eq(shmp_stream_reserve(&stream.writer, 1000, &room), SHMP_DONE);
		shmt_message_fill(room, used, used);
		shmp_stream_commit(&stream.writer, used);
		ck_assert_int_eq(shmt_stream_read(&stream, used, used, used + 1), SHMP_DONE);
	}
	shmt_stream_free(&stream);
}

TEST(a_buffer_too_small_leaves_the_frame_and_its_length)
{
	struct shmp_stream_frame frame;
	struct shmt_stream stream;
	uint8_t buffer[10];

	shmt_stream_open(&stream, CAPACITY, METADATA);
	ck_assert_int_eq(shmt_stream_write(&stream, 11, 5), SHMP_DONE);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(shmp_stream_read(&stream.reader, buffer, 10, &frame),
				 SHMP_TOO_BIG);
		ck_assert_uint_eq(frame.size, 11);
	}
	ck_assert_int_eq(shmt_stream_read(&stream, 11, 5, 1), SHMP_DONE);
	shmt_stream_free(&stream);
}

/* Sequence numbers */

TEST(skipped_numbers_are_told_as_expected_and_got)
{
	struct shmp_stream_frame frame;
	struct shmt_stream stream;

	shmt_stream_open(&stream, CAPACITY, METADATA);
	shmp_stream_skip(&stream.writer, 2);
	ck_assert_int_eq(shmt_stream_write(&stream, 8, 1), SHMP_DONE);
	ck_assert_int_eq(shmt_stream_write(&stream, 8, 2), SHMP_DONE);
	frame = lend(&stream);
	ck_assert_uint_eq(frame.expected, 1);
	ck_assert_uint_eq(frame.sequence, 3);
	ck_assert_uint_eq(frame.flags, SHMP_STREAM_GAP);
	frame = lend(&stream);
	ck_assert_uint_eq(frame.expected, 4);
	ck_assert_uint_eq(frame.sequence, 4);
	ck_assert_uint_eq(frame.flags, 0);
	shmt_stream_free(&stream);
}

/* Loans */

TEST(loans_end_in_any_order_and_room_comes_back_from_the_oldest_on)
{
	static const int orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					 { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	struct shmp_stream_frame frames[3];
	struct shmt_stream stream;

	shmt_stream_open(&stream, CAPACITY, METADATA);
	for (size_t order = 0; order < 6; order++) {
		uint64_t tail = cursor_of(&stream, SHMP_STREAM_READER), ends[4] = { tail };
		bool is_back[4] = { false };

		for (uint64_t i = 0; i < 3; i++) {
			ck_assert_int_eq(shmt_stream_write(&stream, 500 + i, i), SHMP_DONE);
			frames[i] = lend(&stream);
			ends[i + 1] = cursor_of(&stream, SHMP_STREAM_WRITER);
		}
		for (int i = 0; i < 3; i++) {
			uint64_t whole = 0;

			ck_assert_int_eq(give_back(&stream, &frames[orders[order][i]]), SHMP_DONE);
			is_back[orders[order][i]] = true;
			while (is_back[whole])
				whole++;
			ck_assert_uint_eq(cursor_of(&stream, SHMP_STREAM_READER), ends[whole]);
		}
	}
	ck_assert_uint_eq(atomic_load(&stream.segment.map.endpoints[1].items), 18);
	ck_assert_uint_eq(atomic_load(&stream.segment.map.endpoints[1].bytes), 6 * 1503);
	shmt_stream_free(&stream);
}

TEST(a_held_frame_never_changes_whatever_the_writer_does)
{
	struct shmt_stream stream;
	uint64_t number = 0, taken = 0;

	shmt_stream_open(&stream, CAPACITY, METADATA);
	for (int round = 0; round < 200; round++) {
		struct shmp_stream_frame first, second;

		ck_assert_int_eq(shmt_stream_write(&stream, 900, number), SHMP_DONE);
		ck_assert_int_eq(shmt_stream_write(&stream, 700, number + 1), SHMP_DONE);
		first = lend(&stream);
		second = lend(&stream);
		if (round % 2)
			ck_assert_int_eq(give_back(&stream, &second), SHMP_DONE);
		taken = number + 2;
		for (number += 2; shmt_stream_write(&stream, 333, number) == SHMP_DONE; number++)
			;
		ck_assert(shmt_stream_is(&stream, &first, 900, taken - 2));
		ck_assert(shmt_stream_is(&stream, &second, 700, taken - 1));
		ck_assert_int_eq(give_back(&stream, &first), SHMP_DONE);
		if (round % 2 == 0) {
			ck_assert(shmt_stream_write(&stream, 333, number++) == SHMP_DONE);
			ck_assert(shmt_stream_is(&stream, &second, 700, taken - 1));
			ck_assert_int_eq(give_back(&stream, &second), SHMP_DONE);
		}
		for (; taken < number; taken++)
			ck_assert_int_eq(shmt_stream_read(&stream, 333, taken, taken + 1),
					 SHMP_DONE);
	}
	shmt_stream_free(&stream);
}

TEST(no_loan_ends_twice_and_none_that_was_not_made)
{
	struct shmp_stream_frame first, second, third;
	struct shmt_stream stream;

	shmt_stream_open(&stream, CAPACITY, METADATA);
	for (uint64_t i = 0; i < 3; i++)
		ck_assert_int_eq(shmt_stream_write(&stream, i, i), SHMP_DONE);
	first = lend(&stream);
	ck_assert_int_eq(shmp_stream_give_back(&stream.reader, first.loan + 1, 0), -EINVAL);
	second = lend(&stream);
	ck_assert_int_eq(give_back(&stream, &second), SHMP_DONE);
	ck_assert_int_eq(give_back(&stream, &second), -EINVAL);
	third = lend(&stream);
	ck_assert_int_eq(give_back(&stream, &third), SHMP_DONE);
	ck_assert_int_eq(give_back(&stream, &third), -EINVAL);
	ck_assert_int_eq(give_back(&stream, &first), SHMP_DONE);
	ck_assert_int_eq(give_back(&stream, &first), -EINVAL);
	ck_assert_int_eq(give_back(&stream, &second), -EINVAL);
	ck_assert_uint_eq(shmt_stream_figure(&stream, "depth_bytes"), 0);
	shmt_stream_free(&stream);
}

TEST(as_many_loans_as_there_may_be_and_one_more_is_refused)
{
	struct shmp_stream_frame frames[SHMP_STREAM_LOANS], more;
	struct shmt_stream stream;

	shmt_stream_open(&stream, 32768, METADATA);
	for (uint64_t i = 0; i < SHMP_STREAM_LOANS; i++) {
		ck_assert_int_eq(shmt_stream_write(&stream, 8, i), SHMP_DONE);
		frames[i] = lend(&stream);
	}
	ck_assert_int_eq(shmt_stream_write(&stream, 8, SHMP_STREAM_LOANS), SHMP_DONE);
	ck_assert_int_eq(shmp_stream_lend(&stream.reader, &more), SHMP_FULL);
	ck_assert_int_eq(shmp_stream_read(&stream.reader, NULL, 0, &more), SHMP_FULL);
	ck_assert_int_eq(give_back(&stream, &frames[0]), SHMP_DONE);
	more = lend(&stream);
	ck_assert(shmt_stream_is(&stream, &more, 8, SHMP_STREAM_LOANS));
	for (uint64_t i = 1; i < SHMP_STREAM_LOANS; i++)
		ck_assert_int_eq(give_back(&stream, &frames[i]), SHMP_DONE);
	ck_assert_int_eq(give_back(&stream, &more), SHMP_DONE);
	ck_assert_uint_eq(shmt_stream_figure(&stream, "depth_bytes"), 0);
	shmt_stream_free(&stream);
}

TEST(who_holds_one_frame_reads_all_others)
{
	struct shmp_stream_frame held;
	struct shmt_stream stream;

	shmt_stream_open(&stream, 65536, METADATA);
	ck_assert_int_eq(shmt_stream_write(&stream, 8, 0), SHMP_DONE);
	held = lend(&stream);
	for (uint64_t i = 1; i < 2000; i++) {
		ck_assert_int_eq(shmt_stream_write(&stream, 8, i), SHMP_DONE);
		ck_assert_int_eq(shmt_stream_read(&stream, 8, i, i + 1), SHMP_DONE);
	}
	ck_assert_int_eq(give_back(&stream, &held), SHMP_DONE);
	ck_assert_uint_eq(shmt_stream_figure(&stream, "depth_bytes"), 0);
	ck_assert_uint_eq(atomic_load(&stream.segment.map.endpoints[1].items), 2000);
	ck_assert_uint_eq(atomic_load(&stream.segment.map.endpoints[1].bytes), 16000);
	shmt_stream_free(&stream);
}

/* Metadata */

static int set_metadata(struct shmt_stream *stream, uint64_t size)
{
	uint8_t bytes[METADATA + 1];

	shmt_message_fill(bytes, size, 99);
	return shmp_stream_set_metadata(&stream->writer, bytes, size);
}

static void scribble(struct shmt_stream *stream, uint32_t place)
{
	atomic_store(&stream->segment.map.endpoints[place].cursor,
		     cursor_of(stream, place) + SHMP_SPSC_HEADER);
}

/* Either side may scribble over the other's position: no address is given out that is not aligned. */
TEST(positions_that_are_no_frame_s_are_corrupt)
{
	struct shmt_stream stream;
	uint8_t *room;

	shmt_stream_open(&stream, CAPACITY, METADATA);
	scribble(&stream, SHMP_STREAM_WRITER);
	ck_assert_int_eq(shmp_stream_reserve(&stream.writer, 100, &room), -EBADMSG);
	ck_assert_int_eq(shmt_stream_write(&stream, 100, 1), -EBADMSG);
	ck_assert_int_eq(shmp_stream_attach_writer(&stream.writer_map, &stream.writer), -EBADMSG);
	scribble(&stream, SHMP_STREAM_READER);
	ck_assert_int_eq(shmp_stream_attach_reader(&stream.reader_map, &stream.reader), -EBADMSG);
	shmt_stream_free(&stream);
}

TEST(metadata_of_every_size_are_there_for_all_once)
{
	for (uint64_t size = 0; size <= METADATA; size++) {
		struct shmt_stream stream;
		const void *bytes;
		uint64_t got;

		shmt_stream_open(&stream, CAPACITY, METADATA);
		ck_assert_int_eq(shmp_stream_metadata(&stream.reader_map, &bytes, &got),
				 SHMP_EMPTY);
		ck_assert_int_eq(set_metadata(&stream, METADATA + 1), SHMP_TOO_BIG);
		ck_assert_int_eq(set_metadata(&stream, size), SHMP_DONE);
		ck_assert_int_eq(set_metadata(&stream, 1), SHMP_FULL);
		ck_assert_int_eq(shmp_stream_metadata(&stream.reader_map, &bytes, &got), SHMP_DONE);
		ck_assert_uint_eq(got, size);
		ck_assert(shmt_message_is(bytes, size, 99));
		shmt_stream_free(&stream);
	}
}

/* Looking */

struct seen {
	struct shmp_item items[8];
	uint64_t count;
};

static int note(void *context, const struct shmp_item *item)
{
	struct seen *seen = context;

	ck_assert_uint_lt(seen->count, 8);
	if (item->payload) /* the room is used again */
		ck_assert(shmt_message_is(item->payload, item->payload_bytes,
					  item->number == UINT64_MAX ? 99 : item->number));
	seen->items[seen->count++] = *item;
	return 0;
}

static uint64_t look(struct shmt_stream *stream, struct shmp_look *look, struct seen *ret_seen)
{
	*ret_seen = (struct seen){ .count = 0 };
	ck_assert_int_eq(shmp_stream_kind.look(&stream->reader_map, look, note, ret_seen), 0);
	return ret_seen->count;
}

TEST(a_look_shows_the_metadata_once_and_every_frame_whole)
{
	uint8_t room[100];
	struct shmp_look all = { .max = 8, .room = room, .room_bytes = sizeof(room) };
	struct shmp_look none = { .max = 8 };
	struct shmt_stream stream;
	struct seen seen;

	shmt_stream_open(&stream, CAPACITY, METADATA);
	ck_assert_int_eq(set_metadata(&stream, 20), SHMP_DONE);
	for (uint64_t i = 1; i <= 3; i++)
		ck_assert_int_eq(shmt_stream_write(&stream, 33 * i, i), SHMP_DONE);
	lend(&stream);
	ck_assert_uint_eq(look(&stream, &all, &seen), 4);
	ck_assert_str_eq(seen.items[0].what, "metadata");
	ck_assert_uint_eq(seen.items[0].payload_bytes, 20);
	for (uint64_t i = 1; i <= 3; i++) {
		ck_assert_str_eq(seen.items[i].what, "frame");
		ck_assert_str_eq(seen.items[i].state, i == 1 ? "taken" : "ready");
		ck_assert_uint_eq(seen.items[i].number, i);
		ck_assert_uint_eq(seen.items[i].payload_bytes, 33 * i);
	}
	ck_assert_uint_eq(look(&stream, &all, &seen), 0);
	ck_assert_uint_eq(look(&stream, &none, &seen), 4);
	ck_assert_ptr_null(seen.items[1].payload);
	ck_assert_uint_eq(seen.items[1].size, 33);
	shmt_stream_free(&stream);
}

TEST(a_look_at_so_many_pieces_goes_on_behind_them)
{
	struct shmp_look one = { .max = 1 };
	struct shmt_stream stream;
	struct seen seen;

	shmt_stream_open(&stream, CAPACITY, METADATA);
	ck_assert_int_eq(set_metadata(&stream, 20), SHMP_DONE);
	ck_assert_int_eq(shmt_stream_write(&stream, 8, 1), SHMP_DONE);
	ck_assert_uint_eq(look(&stream, &one, &seen), 1);
	ck_assert_str_eq(seen.items[0].what, "metadata");
	one.max = 1;
	ck_assert_uint_eq(look(&stream, &one, &seen), 1);
	ck_assert_str_eq(seen.items[0].what, "frame");
	one.max = 1;
	ck_assert_uint_eq(look(&stream, &one, &seen), 0);
	shmt_stream_free(&stream);
}

SHMT_MAIN
