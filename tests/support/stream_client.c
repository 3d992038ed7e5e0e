#include "tests/support/stream_client.h"

#include <string.h>

void shmt_frames_create(struct shmc_client *client, const char *name, uint64_t capacity_bytes)
{
	struct shmc_stream_options options = { .capacity_bytes = capacity_bytes };
	struct shmc_error error = { .text = "" };

	ck_assert_msg(shmc_stream_create(client, name, &options, &error) == SHMC_OK, "%s",
		      error.text);
}

struct shmc_stream *shmt_frames_open(struct shmc_client *client, const char *name,
				     enum shmc_stream_role role)
{
	struct shmc_error error = { .text = "" };
	struct shmc_stream *stream = NULL;

	ck_assert_msg(shmc_stream_open(client, name, role, &stream, &error) == SHMC_OK, "%s",
		      error.text);
	return stream;
}

static uint64_t word_of(uint64_t number, uint64_t at)
{
	return (number * UINT64_C(0x9e3779b97f4a7c15) ^ at) * UINT64_C(0x100000001b3);
}

void shmt_frame_fill(void *data, uint64_t size, uint64_t number)
{
	uint8_t *bytes = data;
	uint64_t at, word;

	for (at = 0; at + sizeof(word) <= size; at += sizeof(word)) {
		word = word_of(number, at);
		memcpy(bytes + at, &word, sizeof(word));
	}
	word = word_of(number, at);
	memcpy(bytes + at, &word, size - at);
}

bool shmt_frame_is(const void *data, uint64_t size, uint64_t number)
{
	const uint8_t *bytes = data;
	uint64_t at, word, wrong = 0;

	for (at = 0; at + sizeof(word) <= size; at += sizeof(word)) {
		memcpy(&word, bytes + at, sizeof(word));
		wrong |= word ^ word_of(number, at);
	}
	word = word_of(number, at);
	return wrong == 0 && memcmp(bytes + at, &word, size - at) == 0;
}

enum shmc_result shmt_frame_write(struct shmc_stream *stream, uint64_t size, uint64_t number,
				  int64_t timeout_ns)
{
	void *room;
	enum shmc_result result = shmc_stream_reserve(stream, size, timeout_ns, &room);

	if (result != SHMC_OK)
		return result;
	if ((uintptr_t)room % 16 != 0)
		ck_abort_msg("a frame's room is not aligned");
	shmt_frame_fill(room, size, number);
	return shmc_stream_commit(stream, size);
}

enum shmc_result shmt_frame_read(struct shmc_stream *stream, uint64_t size, uint64_t number,
				 int64_t timeout_ns, struct shmc_frame *ret_frame)
{
	enum shmc_result result = shmc_stream_borrow(stream, timeout_ns, ret_frame);

	if (result != SHMC_OK)
		return result;
	if (ret_frame->size != size || !shmt_frame_is(ret_frame->data, size, number))
		ck_abort_msg("frame %llu is not as it was written", (unsigned long long)number);
	return shmc_stream_release(stream, ret_frame);
}

void shmt_frame_expect(struct shmc_stream *stream, uint64_t size, uint64_t number, uint32_t flags)
{
	struct shmc_frame frame;

	shmt_assert_ok(shmt_frame_read(stream, size, number, SHMC_FOREVER, &frame));
	if (frame.sequence != number || frame.flags != flags)
		ck_abort_msg("frame %llu came as %llu, flags %u", (unsigned long long)number,
			     (unsigned long long)frame.sequence, frame.flags);
}

struct shmc_stream_status shmt_frames_status(const struct shmc_stream *stream)
{
	struct shmc_stream_status status;

	shmt_assert_ok(shmc_stream_status(stream, &status));
	return status;
}
