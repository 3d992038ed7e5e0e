/*
 * A pool in which a hostile peer writes what it likes between any two moves of ours: none of them
 * leaves the memory, hangs, or says what it has no word for. The input is a list of commands.
 */
#include "protocol/pool.h"

#include <string.h>

#include "tests/support/fuzz.h"

enum {
	PLACES = 3,
	BYTES = 40,
	HANDLES = 16,
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
		[SHMP_POOL_OBJECT_BYTES] = BYTES,
		[SHMP_POOL_OBJECTS] = 1 + take(input, 2) % 200,
		[SHMP_POOL_ENDPOINTS_MAX] = PLACES,
	};
	struct shmp_segment segment = { .mirrored = false };
	const char *why;

	FUZZ_CHECK(shmp_pool_kind.plan(option, &segment.plan, &why) == 0);
	segment.head = aligned_alloc(SHMP_PAGE, segment.plan.ctl_bytes);
	segment.data = aligned_alloc(SHMP_PAGE, segment.plan.data_bytes);
	FUZZ_CHECK(segment.head && segment.data);
	memset(segment.head, 0, segment.plan.ctl_bytes);
	memset(segment.data, 0, segment.plan.data_bytes);
	segment.control = (uint8_t *)segment.head + sizeof(struct shmp_head);
	segment.endpoints = (void *)((uint8_t *)segment.control + segment.plan.control_bytes);
	shmp_pool_kind.init(&segment);
	return segment;
}

/* Any word behind the head; often near what is there, since most others are refused at once. */
static void scribble(struct shmp_segment *segment, struct input *input)
{
	uint8_t how = (uint8_t)take(input, 1);
	uint64_t at = take(input, 2), value = take(input, how & 2 ? 8 : 1);
	uint64_t bytes = segment->plan.ctl_bytes - sizeof(struct shmp_head);
	uint64_t *word = (uint64_t *)(void *)((uint8_t *)segment->control + at * 8 % bytes);

	if (how & 8)
		memset(segment->control, how & 16 ? 0xff : (int)value, bytes);
	*word = how & 4 ? *word ^ value : value;
}

static bool is_known(int r)
{
	return (r >= SHMP_DONE && r <= SHMP_PEER_LEFT) || r == SHMP_POOL_STALE ||
	       r == SHMP_POOL_DENIED || r == -EINVAL;
}

/* All of it, as its owner may. */
static void write_object(struct shmp_pool *pool, uint64_t handle)
{
	uint64_t index;

	if (shmp_pool_is_own(pool, handle, &index))
		memset(shmp_pool_at(&pool->view, index), 0x5a, BYTES);
}

static void move(struct shmp_pool *pool, uint8_t how, uint64_t *handle)
{
	int r;

	switch (how % 7) {
	case 0:
	case 1:
		r = shmp_pool_acquire(pool, handle);
		FUZZ_CHECK(r == SHMP_DONE || r == SHMP_EMPTY);
		FUZZ_CHECK(r == SHMP_EMPTY || shmp_pool_index(*handle) < pool->view.count);
		break;
	case 2:
		FUZZ_CHECK(is_known(shmp_pool_release(pool, *handle)));
		break;
	case 3:
		FUZZ_CHECK(is_known(shmp_pool_transfer(pool, *handle,
						       how & 8 ? SHMP_POOL_ANYONE : how >> 4 & 3)));
		break;
	case 4:
		FUZZ_CHECK(is_known(shmp_pool_claim(pool, *handle)));
		break;
	case 5:
		FUZZ_CHECK(is_known(shmp_pool_reclaim(pool, *handle)));
		break;
	default:
		FUZZ_CHECK(shmp_pool_reclaim_abandoned(pool) <= pool->view.count);
	}
	write_object(pool, *handle);
}

static void count_figure(void *context, const char *name, uint64_t value)
{
	(void)value;
	*(size_t *)context += strlen(name);
}

static int count_item(void *context, const struct shmp_item *item)
{
	FUZZ_CHECK(item->payload_bytes <= BYTES);
	*(size_t *)context += 1;
	return 0;
}

static void look(const struct shmp_segment *segment)
{
	static uint8_t room[100];
	struct shmp_look look = { .max = UINT64_MAX, .room = room, .room_bytes = sizeof(room) };
	const char *why;
	size_t shown = 0;

	shmp_pool_kind.figures(segment, count_figure, &shown);
	shown = 0;
	FUZZ_CHECK(shmp_pool_kind.look(segment, &look, count_item, &shown) == 0);
	FUZZ_CHECK(shown == segment->plan.option[SHMP_POOL_OBJECTS]);
	shmp_pool_kind.validate(segment, &why);
}

/* The handle's owner goes; a successor comes if the words still make sense. */
static bool succeed(struct shmp_segment *segment, struct shmp_pool *pool, uint32_t place)
{
	FUZZ_CHECK(shmp_pool_kind.repair(segment, place, true) == 0);
	shmp_pool_kind.wake(segment);
	shmp_pool_kind.attach(segment, place);
	return shmp_pool_attach(segment, place, pool) == 0;
}

static void run(struct shmp_segment *segment, struct shmp_pool *pools, struct input *input)
{
	static uint64_t handles[HANDLES];

	memset(handles, 0, sizeof(handles));
	for (int i = 0; i < COMMANDS_MAX && input->left > 0; i++) {
		uint8_t command = (uint8_t)take(input, 1), how = (uint8_t)take(input, 1);
		uint32_t place = (command >> 6 & 3) % PLACES;

		switch (command & 7) {
		case 0:
			scribble(segment, input);
			break;
		case 1:
			if (!succeed(segment, &pools[place], place))
				return;
			break;
		case 2:
			look(segment);
			break;
		case 3:
			handles[how % HANDLES] = take(input, 8);
			break;
		default:
			move(&pools[place], how, &handles[(command >> 3 & 7) + (how & 8)]);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct shmp_segment segment = make(&input);
	static struct shmp_pool pools[PLACES];

	for (uint32_t i = 0; i < PLACES; i++)
		FUZZ_CHECK(succeed(&segment, &pools[i], i));
	run(&segment, pools, &input);
	free(segment.head);
	free(segment.data);
	return 0;
}
