/*
 * A queue in which a hostile peer writes what it likes between any two calls of ours: none of them
 * leaves the mapping, hangs, or says what it has no word for. The input is a list of commands.
 */
#include "protocol/mpmc.h"

#include <string.h>

#include "tests/support/fuzz.h"

enum {
	PLACES = 4,
	COMMANDS_MAX = 64, /* an attempt at what never ends is long, though bounded */
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
	uint8_t slots = (uint8_t)take(input, 1);
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_MPMC_SLOTS] = 2 + slots % 16,
		[SHMP_MPMC_MESSAGE_BYTES_MAX] = 1 + take(input, 1),
		[SHMP_MPMC_ENDPOINTS_MAX] = PLACES,
		[SHMP_MPMC_REDELIVERY] = slots < 128,
	};
	struct shmp_segment segment = { .mirrored = false };
	const char *why;

	FUZZ_CHECK(shmp_mpmc_kind.plan(option, &segment.plan, &why) == 0);
	segment.head = aligned_alloc(SHMP_PAGE, segment.plan.ctl_bytes);
	segment.data = aligned_alloc(SHMP_PAGE, segment.plan.data_bytes);
	FUZZ_CHECK(segment.head && segment.data);
	memset(segment.head, 0, segment.plan.ctl_bytes);
	memset(segment.data, 0, segment.plan.data_bytes);
	segment.control = (uint8_t *)segment.head + sizeof(struct shmp_head);
	segment.endpoints = (void *)((uint8_t *)segment.control + segment.plan.control_bytes);
	return segment;
}

/* Any word, in ctl or data; often near one that is there, since most others are refused at once. */
static void scribble(struct shmp_segment *segment, struct input *input)
{
	uint8_t how = (uint8_t)take(input, 1);
	uint64_t at = take(input, 2), value = take(input, how & 2 ? 8 : 1);
	uint64_t bytes = how & 1 ? segment->plan.ctl_bytes : segment->plan.data_bytes;
	uint8_t *part = how & 1 ? (uint8_t *)segment->head : segment->data;
	uint64_t *word = (uint64_t *)(void *)(part + at * 8 % bytes);

	*word = how & 4 ? *word + (value - 128) * (how & 8 ? 256 : 1) : value << (how >> 4 & 8);
}

static bool is_known(int r)
{
	return r == SHMP_DONE || r == SHMP_FULL || r == SHMP_EMPTY || r == SHMP_TOO_BIG ||
	       r == -EBADMSG;
}

static void check_message(const struct shmp_mpmc *queue, const struct shmp_mpmc_message *message)
{
	uint8_t sum = 0;

	FUZZ_CHECK(message->size <= queue->message_max);
	for (uint64_t i = 0; i < message->size; i++)
		sum ^= ((const uint8_t *)message->data)[i];
	FUZZ_CHECK(sum == 0 || sum != 0);
}

static void send(struct shmp_mpmc *queue, struct input *input)
{
	uint8_t payload[256] = { 1, 2, 3 }, *room;
	uint64_t size = take(input, 1), how;
	int r;

	if (queue->hand.slot) {
		if (size & 1)
			shmp_mpmc_commit(queue, size % queue->message_max);
		else
			shmp_mpmc_abort(queue);
	} else if ((how = take(input, 1)) & 1) {
		/* quickly where that is possible, as the library does */
		if (!(how & 2) || !shmp_mpmc_push_quick(queue, payload, size))
			FUZZ_CHECK(is_known(shmp_mpmc_push(queue, payload, size)));
	} else {
		r = shmp_mpmc_reserve(queue, size, &room);
		FUZZ_CHECK(is_known(r));
		if (r == SHMP_DONE)
			memset(room, 7, size);
	}
}

static void receive(struct shmp_mpmc *queue, struct input *input)
{
	struct shmp_mpmc_message message = { .size = 0 };
	uint64_t how, room;
	uint8_t payload[256];
	int r = SHMP_DONE;

	if (queue->hand.slot) {
		shmp_mpmc_release(queue);
		return;
	}
	how = take(input, 1);
	room = how & 1 ? take(input, 1) : 0;
	FUZZ_CHECK(shmp_mpmc_has_news(queue) || !shmp_mpmc_must_scan(queue));
	if ((how & 3) == 3 && shmp_mpmc_pop_quick(queue, payload, room, &message))
		;
	else if (how & 1)
		r = shmp_mpmc_pop(queue, payload, room, &message);
	else
		r = shmp_mpmc_peek(queue, queue->message_max, &message);
	FUZZ_CHECK(is_known(r));
	if (r == SHMP_DONE)
		check_message(queue, &message);
}

static void count_figure(void *context, const char *name, uint64_t value)
{
	(void)value;
	*(size_t *)context += strlen(name);
}

/* The handle's owner goes; a successor comes if the bytes still make sense. */
static bool succeed(struct shmp_segment *segment, struct shmp_mpmc *queue, uint32_t place)
{
	FUZZ_CHECK(shmp_mpmc_kind.repair(segment, place, true) == 0);
	shmp_mpmc_kind.attach(segment, place);
	return shmp_mpmc_attach(segment, place, place % 2 ? SHMP_MPMC_CONSUMER : SHMP_MPMC_PRODUCER,
				queue) == 0;
}

struct shown {
	struct shmp_look look;
	uint64_t items;
	uint64_t items_max;
};

static int show(void *context, const struct shmp_item *item)
{
	struct shown *shown = context;

	FUZZ_CHECK(++shown->items <= shown->items_max);
	FUZZ_CHECK(item->payload_bytes <= shown->look.room_bytes && item->what);
	return 0;
}

/* From anywhere; never more than there are slots. */
static void look(struct shmp_segment *segment, struct input *input)
{
	uint8_t room[100];
	struct shown shown = {
		.look = { .from = take(input, 1) % 4 ? take(input, 2) : SHMP_LOOK_NEWEST,
			  .max = UINT64_MAX,
			  .gone = take(input, 1) & 1,
			  .room = room,
			  .room_bytes = sizeof(room) },
		.items_max = segment->plan.option[SHMP_MPMC_SLOTS],
	};
	int r = shmp_mpmc_kind.look(segment, &shown.look, show, &shown);

	FUZZ_CHECK(r == 0 || r == -EBADMSG);
}

static void run(struct shmp_segment *segment, struct shmp_mpmc *queues, struct input *input)
{
	const char *why;
	size_t shown = 0;

	for (int i = 0; i < COMMANDS_MAX && input->left > 0; i++) {
		uint8_t command = (uint8_t)take(input, 1);
		uint32_t place = command >> 4 & 3;

		switch (command & 7) {
		case 0:
		case 1:
			scribble(segment, input);
			break;
		case 2:
			if (!succeed(segment, &queues[place], place))
				return;
			break;
		case 3:
			shmp_mpmc_kind.figures(segment, count_figure, &shown);
			FUZZ_CHECK(shown > 0);
			break;
		case 4:
			shmp_mpmc_kind.validate(segment, &why);
			shmp_mpmc_pass_on(&queues[place], NULL, NULL);
			look(segment, input);
			break;
		default:
			if (place % 2)
				receive(&queues[place], input);
			else
				send(&queues[place], input);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct shmp_segment segment = make(&input);
	static struct shmp_mpmc queues[PLACES];

	for (uint32_t i = 0; i < PLACES; i++)
		FUZZ_CHECK(succeed(&segment, &queues[i], i));
	run(&segment, queues, &input);
	free(segment.head);
	free(segment.data);
	return 0;
}
