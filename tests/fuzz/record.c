/*
 * A record in which a hostile peer writes what it likes between any two moves of ours: none of them
 * leaves the mapping, hangs, or says what it has no word for; and what honest writers commit is read
 * whole as long as he keeps still. The input is a list of commands.
 */
#include "protocol/record.h"

#include <string.h>

#include "tests/support/fuzz.h"

enum {
	PLACES = 4,
	COMMANDS_MAX = 64, /* a read of what never is whole is long, though bounded */
	WORDS = 9,
};

struct image {
	struct shmp_schema schema;
	struct shmp_schema_field field[2];
};

struct party {
	struct shmp_record record;
	struct shmp_locker locker;
};

struct input {
	const uint8_t *at;
	size_t left;
};

static struct party parties[PLACES];

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
static struct shmp_segment make(void)
{
	struct image image = {
		.schema = { .field_count = 2 },
		.field = { { .name = "name", .type = SHMP_TYPE_STRING, .bytes = 16 },
			   { .name = "words", .type = SHMP_TYPE_U64, .count = WORDS - 3 } }
	};
	uint64_t option[SHMP_OPTIONS_MAX] = { 0 };
	struct shmp_segment segment = { .mirrored = false };
	const char *why;
	uint32_t field;

	FUZZ_CHECK(shmp_schema_seal(&image.schema, &why, &field) == 0);
	FUZZ_CHECK(image.schema.record_bytes == WORDS * 8);
	option[SHMP_RECORD_BYTES] = image.schema.record_bytes;
	option[SHMP_RECORD_SCHEMA_BYTES] = sizeof(image);
	option[SHMP_RECORD_LAYOUT_HASH] = image.schema.layout_hash;
	option[SHMP_RECORD_ENDPOINTS_MAX] = PLACES;
	FUZZ_CHECK(shmp_record_kind.plan(option, &segment.plan, &why) == 0);
	segment.head = aligned_alloc(SHMP_PAGE, segment.plan.ctl_bytes);
	segment.data = aligned_alloc(SHMP_PAGE, segment.plan.data_bytes);
	FUZZ_CHECK(segment.head && segment.data);
	memset(segment.head, 0, segment.plan.ctl_bytes);
	memset(segment.data, 0, segment.plan.data_bytes);
	segment.control = (uint8_t *)segment.head + sizeof(struct shmp_head);
	segment.endpoints = (void *)((uint8_t *)segment.control + segment.plan.control_bytes);
	shmp_record_kind.init(&segment);
	FUZZ_CHECK(shmp_record_kind.check_init(&segment.plan, &image, sizeof(image), &why) == 0);
	shmp_record_kind.load_init(&segment, &image, sizeof(image));
	return segment;
}

/* Any word; often the numbers', the lock's or the waiter's, which so few of them are. */
static void scribble(struct shmp_segment *segment, struct input *input)
{
	uint8_t how = (uint8_t)take(input, 1);
	uint64_t at = take(input, 2), value = take(input, how & 2 ? 8 : 1);
	uint8_t *part = how & 1 ? segment->data : (uint8_t *)segment->head;
	uint64_t bytes = how & 1 ? segment->plan.data_bytes : segment->plan.ctl_bytes;
	uint64_t word;

	if ((how & 5) == 4)
		at = sizeof(struct shmp_head) / 8 + at % (sizeof(struct shmp_record_control) / 8);
	if (how & 8)
		memset(part, how & 16 ? 0xff : (int)value, bytes);
	memcpy(&word, part + at * 8 % bytes, sizeof(word));
	word = how & 32 ? word ^ value : value;
	memcpy(part + at * 8 % bytes, &word, sizeof(word));
}

static bool is_known(int r)
{
	return r == SHMP_DONE || r == SHMP_HELD || r == SHMP_OWNER_DIED ||
	       r == SHMP_UNRECOVERABLE || r == -EINVAL || r == -EBADMSG;
}

static void read_newest(const struct party *party, bool *ret_is_whole)
{
	uint64_t words[WORDS], number = 0;
	int r = shmp_record_read(&party->record, words, &number);

	FUZZ_CHECK(r == SHMP_DONE || r == -EBADMSG);
	*ret_is_whole = r == SHMP_DONE;
	for (int i = 1; *ret_is_whole && i < WORDS; i++)
		*ret_is_whole = words[i] == words[0];
}

static void count_ring(void *ringer, uint32_t endpoint)
{
	FUZZ_CHECK(endpoint < PLACES);
	++*(size_t *)ringer;
}

/* As libclient does it. True: committed. */
static bool transact(struct party *party, uint64_t value, bool commits)
{
	struct shmp_record *record = &party->record;
	size_t rings = 0;
	int r = shmp_lock_try_write(&party->locker);

	FUZZ_CHECK(is_known(r));
	if (r == SHMP_OWNER_DIED)
		shmp_lock_mark_consistent(&party->locker);
	else if (r != SHMP_DONE)
		return false;
	shmp_record_begin(record);
	shmp_record_keep(record);
	for (uint64_t i = 0; i < record->bytes / 8; i++)
		memcpy(record->draft + i * 8, &value, sizeof(value));
	if (commits)
		shmp_record_commit(record);
	shmp_lock_unlock(&party->locker);
	if (commits && shmp_record_is_watched(record))
		shmp_record_tell(record, count_ring, &rings);
	FUZZ_CHECK(rings <= PLACES);
	return commits;
}

static void count_figure(void *context, const char *name, uint64_t value)
{
	(void)value;
	*(size_t *)context += strlen(name);
}

static int show(void *context, const struct shmp_item *item)
{
	FUZZ_CHECK(item->payload_bytes <= item->size && strlen(item->text) < 2000);
	++*(size_t *)context;
	return 0;
}

static void look(const struct shmp_segment *segment)
{
	static uint8_t room[20];
	struct shmp_look look = { .max = UINT64_MAX, .room = room, .room_bytes = sizeof(room) };
	const char *why;
	size_t shown = 0, names = 0;
	int r;

	shmp_record_kind.figures(segment, count_figure, &names);
	r = shmp_record_kind.validate(segment, &why);
	FUZZ_CHECK(r == 0 || (r == -EBADMSG && why));
	r = shmp_record_kind.look(segment, &look, show, &shown);
	FUZZ_CHECK((r == 0 && shown == 2) || r == -EBADMSG);
}

static void succeed(struct shmp_segment *segment, uint32_t place)
{
	struct party *party = &parties[place];

	FUZZ_CHECK(shmp_record_kind.repair(segment, place, true) == 0);
	FUZZ_CHECK(!shmp_record_kind.waits(segment, place));
	shmp_record_kind.wake(segment);
	shmp_record_kind.attach(segment, place);
	shmp_endpoint_set_state(&segment->endpoints[place],
				shmp_endpoint_incarnation(&segment->endpoints[place]) + 1,
				SHMP_ENDPOINT_ACTIVE);
	shmp_record_view(segment, &party->record);
	shmp_lock_attach(&party->record.control->lock, segment, place, &party->locker);
}

static void wait_in_vain(struct shmp_segment *segment, uint32_t place)
{
	struct shmp_waiter *waiter = &parties[place].record.control->committed;
	uint32_t key = shmp_waiter_prepare(waiter, &segment->endpoints[place], place, false);

	shmp_record_is_newer(&parties[place].record, key);
	shmp_waiter_wake_all(waiter);
	FUZZ_CHECK(shmp_waiter_sleep(waiter, key, UINT64_MAX) == 0);
	shmp_waiter_finish(waiter, place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct shmp_segment segment = make();
	bool is_hostile = false, is_whole;

	for (uint32_t i = 0; i < PLACES; i++)
		succeed(&segment, i);
	for (int i = 0; i < COMMANDS_MAX && input.left > 0; i++) {
		uint8_t command = (uint8_t)take(&input, 1);
		uint32_t place = command >> 6;

		switch (command & 7) {
		case 0:
			is_hostile = true;
			scribble(&segment, &input);
			break;
		case 1:
			succeed(&segment, place);
			break;
		case 2:
			look(&segment);
			break;
		case 3:
			wait_in_vain(&segment, place);
			break;
		case 4:
			read_newest(&parties[place], &is_whole);
			FUZZ_CHECK(is_whole || is_hostile);
			break;
		default:
			FUZZ_CHECK(transact(&parties[place], take(&input, 1), command & 8) ||
				   is_hostile || !(command & 8));
		}
	}
	free(segment.head);
	free(segment.data);
	return 0;
}
