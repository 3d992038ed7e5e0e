/*
 * A buffer in which a hostile peer writes what it likes between any two calls of ours: none of them
 * leaves the mapping, hangs, or says what it has no word for. The input is a list of commands.
 */
#include "protocol/buffer.h"

#include <string.h>

#include "tests/support/fuzz.h"

enum {
	PLACES = 4,
	COMMANDS_MAX = 256,
};

struct input {
	const uint8_t *at;
	size_t left;
};

static uint64_t take(struct input *input, size_t bytes)
{
	uint64_t value = 0;
	size_t some = bytes < input->left ? bytes : input->left;

	memcpy(&value, input->at, some);
	input->at += some;
	input->left -= some;
	return value;
}

/* On the heap, so that a sanitizer sees the end of each part. */
static struct shmp_segment make(struct input *input)
{
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_BUFFER_SIZE_BYTES] = 1 + take(input, 2),
		[SHMP_BUFFER_ENDPOINTS_MAX] = PLACES,
		[SHMP_BUFFER_CHECKSUMS_MAX] = 1 + take(input, 1) % 4,
	};
	struct shmp_segment segment = { .mirrored = false };
	const char *why;

	FUZZ_CHECK(shmp_buffer_kind.plan(option, &segment.plan, &why) == 0);
	segment.head = aligned_alloc(SHMP_PAGE, segment.plan.ctl_bytes);
	segment.data = aligned_alloc(SHMP_PAGE, segment.plan.data_bytes);
	FUZZ_CHECK(segment.head && segment.data);
	memset(segment.head, 0, segment.plan.ctl_bytes);
	memset(segment.data, 0, segment.plan.data_bytes);
	segment.control = (uint8_t *)segment.head + sizeof(struct shmp_head);
	segment.endpoints = (void *)((uint8_t *)segment.control + segment.plan.control_bytes);
	return segment;
}

/* Any word of ctl; often near one that is there, since most others are refused at once. */
static void scribble(struct shmp_segment *segment, struct input *input)
{
	uint8_t how = (uint8_t)take(input, 1);
	uint64_t at = take(input, 2), value = take(input, how & 2 ? 8 : 1);
	uint64_t *word =
		(uint64_t *)(void *)((uint8_t *)segment->head + at * 8 % segment->plan.ctl_bytes);

	/* the lock's word is one of so many that it would seldom be hit */
	if (how & 1)
		word = segment->control;
	if (how & 8)
		memset(segment->head, how & 16 ? 0xff : (int)value, segment->plan.ctl_bytes);
	*word = how & 4 ? *word ^ value : value;
}

static bool is_known(int r)
{
	return r == SHMP_DONE || r == SHMP_HELD || r == SHMP_OWNER_DIED ||
	       r == SHMP_UNRECOVERABLE || r == -EINVAL || r == -EBADMSG;
}

static void take_lock(struct shmp_locker *locker, uint8_t how)
{
	switch (how % 8) {
	case 0:
		FUZZ_CHECK(is_known(shmp_lock_try_read(locker)));
		break;
	case 1:
		FUZZ_CHECK(is_known(shmp_lock_try_write(locker)));
		break;
	case 2:
		FUZZ_CHECK(is_known(shmp_lock_claim(locker)));
		break;
	case 3:
		if (locker->hold == SHMP_LOCK_CLAIMING)
			FUZZ_CHECK(is_known(shmp_lock_enter(locker)));
		break;
	case 4:
		shmp_lock_withdraw(locker);
		break;
	case 5:
		FUZZ_CHECK(is_known(shmp_lock_mark_consistent(locker)));
		break;
	case 6:
		shmp_lock_put_back(locker);
		break;
	default:
		FUZZ_CHECK(is_known(shmp_lock_unlock(locker)));
	}
}

/* Of a range that lies inside, as the callers see to. */
static void sum(struct shmp_buffer *buffer, struct input *input)
{
	uint8_t how = (uint8_t)take(input, 1);
	uint64_t offset = take(input, 2) % (buffer->size + 1);
	uint64_t bytes = take(input, 2) % (buffer->size - offset + 1);
	int r;

	FUZZ_CHECK(shmp_buffer_has(buffer, offset, bytes));
	FUZZ_CHECK(!shmp_buffer_has(buffer, offset, buffer->size + 1));
	if (how % 3 == 0)
		r = shmp_buffer_store_checksum(buffer, offset, bytes);
	else if (how % 3 == 1)
		r = shmp_buffer_forget_checksum(buffer, offset, bytes);
	else
		r = shmp_buffer_verify(buffer, offset, bytes, NULL);
	FUZZ_CHECK(r == SHMP_DONE || r == SHMP_EMPTY || r == SHMP_FULL || r == SHMP_DAMAGED);
}

static void count_figure(void *context, const char *name, uint64_t value)
{
	(void)value;
	*(size_t *)context += strlen(name);
}

static int count_item(void *context, const struct shmp_item *item)
{
	*(size_t *)context += item->payload_bytes + 1;
	return 0;
}

static void look(const struct shmp_segment *segment)
{
	static uint8_t room[100];
	struct shmp_look look = { .max = UINT64_MAX, .room = room, .room_bytes = sizeof(room) };
	const char *why;
	size_t shown = 0;

	shmp_buffer_kind.figures(segment, count_figure, &shown);
	FUZZ_CHECK(shmp_buffer_kind.look(segment, &look, count_item, &shown) == 0);
	FUZZ_CHECK(shown > 0 && look.from == segment->plan.option[SHMP_BUFFER_SIZE_BYTES]);
	shmp_buffer_kind.validate(segment, &why);
}

/* The handle's owner goes; a successor comes if the bytes still make sense. */
static bool succeed(struct shmp_segment *segment, struct shmp_buffer *buffer, uint32_t place)
{
	FUZZ_CHECK(shmp_buffer_kind.repair(segment, place, true) == 0);
	shmp_buffer_kind.wake(segment);
	shmp_buffer_kind.attach(segment, place);
	return shmp_buffer_attach(segment, place, buffer) == 0;
}

static void run(struct shmp_segment *segment, struct shmp_buffer *buffers, struct input *input)
{
	for (int i = 0; i < COMMANDS_MAX && input->left > 0; i++) {
		uint8_t command = (uint8_t)take(input, 1);
		uint32_t place = command >> 6 & 3;

		switch (command & 7) {
		case 0:
		case 1:
			scribble(segment, input);
			break;
		case 2:
			if (!succeed(segment, &buffers[place], place))
				return;
			break;
		case 3:
			look(segment);
			break;
		case 4:
			sum(&buffers[place], input);
			break;
		default:
			take_lock(&buffers[place].locker, command >> 3);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct shmp_segment segment = make(&input);
	static struct shmp_buffer buffers[PLACES];

	for (uint32_t i = 0; i < PLACES; i++)
		FUZZ_CHECK(succeed(&segment, &buffers[i], i));
	run(&segment, buffers, &input);
	free(segment.head);
	free(segment.data);
	return 0;
}
