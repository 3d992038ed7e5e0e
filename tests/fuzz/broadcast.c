/*
 * A broadcast in which a hostile peer writes what it likes between any two calls of ours: none of
 * them leaves the mapping, hangs, or says what it has no word for. The input is a list of commands.
 */
#include "protocol/broadcast.h"

#include <string.h>

#include "tests/support/fuzz.h"
#include "tests/support/segment.h"

enum {
	WRITERS = 2,
	READERS = 2,
	CAPACITY = 4096,
	COMMANDS_MAX = 64, /* an attempt at what never ends is long, though bounded */
};

struct input {
	const uint8_t *at;
	size_t left;
};

struct world {
	struct shmt_segment segment;
	uint32_t writers;
	struct shmp_broadcast_writer writer[WRITERS];
	struct shmp_broadcast_reader reader[READERS];
	bool has_writer[WRITERS], has_reader[READERS];
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

/* Any word, in ctl or data; often near one that is there, since most others are refused at once. */
static void scribble(struct world *world, struct input *input)
{
	struct shmp_segment *map = &world->segment.map;
	uint8_t how = (uint8_t)take(input, 1);
	uint64_t at = take(input, 2), value = take(input, how & 2 ? 8 : 1);
	uint64_t bytes = how & 1 ? map->plan.ctl_bytes : map->plan.data_bytes;
	uint8_t *part = how & 1 ? (uint8_t *)map->head : map->data;
	uint64_t *word = (uint64_t *)(void *)(part + at * 8 % bytes);

	*word = how & 4 ? *word + (value - 128) * (how & 8 ? 256 : 1) : value << (how >> 4 & 8);
}

/* All of it: ones, or bytes that follow from one. */
static void scribble_all(struct world *world, struct input *input)
{
	struct shmp_segment *map = &world->segment.map;
	uint64_t word = take(input, 1) & 1 ? UINT64_MAX : take(input, 8);

	for (uint64_t i = sizeof(struct shmp_head); i < map->plan.ctl_bytes; i += 8) {
		memcpy((uint8_t *)map->head + i, &word, 8);
		word = word == UINT64_MAX ? word : word * 6364136223846793005u + 1;
	}
	for (uint64_t i = 0; i < map->plan.data_bytes; i += 8) {
		memcpy(map->data + i, &word, 8);
		word = word == UINT64_MAX ? word : word * 6364136223846793005u + 1;
	}
}

static bool is_known(int r)
{
	return r == SHMP_DONE || r == SHMP_FULL || r == SHMP_EMPTY || r == SHMP_TOO_BIG ||
	       r == -EBADMSG;
}

static void check_message(const struct shmp_broadcast_reader *reader,
			  const struct shmp_broadcast_message *message)
{
	uint8_t sum = 0;

	FUZZ_CHECK(message->size <= reader->ring.message_max);
	FUZZ_CHECK(message->writer < reader->ring.writers);
	for (uint64_t i = 0; i < message->size; i++)
		sum ^= ((const uint8_t *)message->data)[i];
	FUZZ_CHECK(sum == 0 || sum != 0);
}

static void send(struct shmp_broadcast_writer *writer, struct input *input)
{
	static uint8_t payload[CAPACITY];
	uint64_t size = take(input, 2) % CAPACITY;
	uint8_t *room;
	int r;

	if (writer->is_holding) {
		if (size & 1)
			shmp_broadcast_commit(writer, size % 8);
		else
			shmp_broadcast_abort(writer);
	} else if (take(input, 1) & 1 || !writer->ring.is_exclusive) {
		FUZZ_CHECK(is_known(shmp_broadcast_push(writer, payload, size)));
	} else {
		r = shmp_broadcast_reserve(writer, size + 8, &room);
		FUZZ_CHECK(is_known(r));
		if (r == SHMP_DONE)
			memset(room, 7, size + 8);
	}
}

static void receive(struct shmp_broadcast_reader *reader, struct input *input)
{
	struct shmp_broadcast_message message = { .size = 0 };
	static uint8_t payload[CAPACITY];
	uint64_t lost[SHMP_ENDPOINTS_MAX];
	uint8_t how = (uint8_t)take(input, 1);
	int r;

	if (reader->is_showing) {
		FUZZ_CHECK(is_known(shmp_broadcast_release(reader, &message)));
		return;
	}
	if (how % 4 == 0) {
		FUZZ_CHECK(is_known(shmp_broadcast_count_lost(reader, lost)));
		return;
	}
	r = how % 4 == 1 ? shmp_broadcast_peek(reader, &message) :
			   shmp_broadcast_pop(reader, payload, take(input, 2) % CAPACITY, &message);
	FUZZ_CHECK(is_known(r));
	if (r == SHMP_DONE)
		check_message(reader, &message);
}

static void count_figure(void *context, const char *name, uint64_t value)
{
	(void)value;
	*(size_t *)context += strlen(name);
}

struct shown {
	struct shmp_look look;
	uint64_t items;
};

static int show(void *context, const struct shmp_item *item)
{
	struct shown *shown = context;

	FUZZ_CHECK(++shown->items <= 2 * CAPACITY / 16 + 1);
	FUZZ_CHECK(item->payload_bytes <= shown->look.room_bytes && item->what);
	return 0;
}

static void look(struct world *world, struct input *input)
{
	uint8_t room[100];
	size_t length = 0;
	struct shown shown = {
		.look = { .from = take(input, 1) % 4 ? take(input, 2) : SHMP_LOOK_NEWEST,
			  .max = UINT64_MAX,
			  .room = room,
			  .room_bytes = sizeof(room) },
	};
	int r = shmp_broadcast_kind.look(&world->segment.map, &shown.look, show, &shown);

	FUZZ_CHECK(r == 0 || r == -EBADMSG);
	shmp_broadcast_kind.figures(&world->segment.map, count_figure, &length);
	FUZZ_CHECK(length > 0);
}

static void succeed_writer(struct world *world, uint32_t i)
{
	const struct shmp_segment *map = &world->segment.map;

	FUZZ_CHECK(shmp_broadcast_kind.repair(map, i, true) == 0);
	shmp_broadcast_kind.attach(map, i);
	memset(&world->writer[i], 0, sizeof(world->writer[i]));
	world->has_writer[i] = shmp_broadcast_attach_writer(map, i, &world->writer[i]) == 0;
}

static void succeed_reader(struct world *world, uint32_t i, struct input *input)
{
	const struct shmp_segment *map = &world->segment.map;
	uint32_t place = world->writers + i;

	FUZZ_CHECK(shmp_broadcast_kind.repair(map, place, true) == 0);
	shmp_broadcast_kind.attach(map, place);
	memset(&world->reader[i], 0, sizeof(world->reader[i]));
	world->has_reader[i] = shmp_broadcast_attach_reader(
				       map, place, (enum shmp_broadcast_from)(take(input, 1) % 3),
				       take(input, 2), &world->reader[i]) == 0;
}

static void command(struct world *world, struct input *input)
{
	uint8_t what = (uint8_t)take(input, 1);
	uint32_t i = what >> 4 & 1, k = i % world->writers;

	switch (what & 7) {
	case 0:
		scribble(world, input);
		break;
	case 1:
		if (what >> 5 == 7)
			scribble_all(world, input);
		else
			scribble(world, input);
		break;
	case 2:
		if (what & 32)
			succeed_writer(world, k);
		else
			succeed_reader(world, i, input);
		break;
	case 3:
		look(world, input);
		break;
	case 4:
	case 5:
		if (world->has_reader[i])
			receive(&world->reader[i], input);
		break;
	default:
		if (world->has_writer[k])
			send(&world->writer[k], input);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world world;
	struct input input = { data, size };
	uint8_t mode = (uint8_t)take(&input, 1);
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_BROADCAST_CAPACITY_BYTES] = CAPACITY,
		[SHMP_BROADCAST_WRITERS_MAX] = mode & 2 ? 1 : WRITERS,
		[SHMP_BROADCAST_READERS_MAX] = READERS,
		[SHMP_BROADCAST_BLOCK] = mode & 1,
		[SHMP_BROADCAST_EXCLUSIVE] = mode >> 1 & 1,
	};

	memset(&world, 0, sizeof(world));
	world.writers = (uint32_t)option[SHMP_BROADCAST_WRITERS_MAX];
	shmt_segment_make(&world.segment, "broadcast", option);
	for (uint32_t i = 0; i < world.writers; i++)
		succeed_writer(&world, i);
	for (uint32_t i = 0; i < READERS; i++)
		succeed_reader(&world, i, &input);
	for (int i = 0; i < COMMANDS_MAX && input.left > 0; i++)
		command(&world, &input);
	shmt_segment_free(&world.segment);
	return 0;
}
