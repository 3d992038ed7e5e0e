#include "tests/support/hostile_ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/segment.h"

enum {
	BYTES = 12,
	ROOM = 300, /* elements that are given and taken at most */
};

struct hostile_ring *hostile_ring_open(void)
{
	static struct hostile_ring ring;
	uint64_t option[SHMP_OPTIONS_MAX] = { BYTES, HOSTILE_RING_ELEMENTS };
	struct shmt_segment segment;

	if (ring.segment.head)
		return &ring;
	shmt_segment_make(&segment, "ring", option);
	ring.segment = shmt_segment_map_guarded(&segment, PROT_READ | PROT_WRITE);
	shmt_segment_free(&segment);
	return &ring;
}

uint32_t hostile_ring_words(const struct hostile_ring *hostile)
{
	(void)hostile;
	return (uint32_t)(sizeof(struct shmp_ring_control) + 2 * sizeof(struct shmp_endpoint)) / 8;
}

_Atomic uint64_t *hostile_ring_word(struct hostile_ring *hostile, uint32_t word)
{
	return (_Atomic uint64_t *)hostile->segment.control + word % hostile_ring_words(hostile);
}

static const uint64_t numbers[] = {
	0,
	1,
	2,
	HOSTILE_RING_ELEMENTS - 1,
	HOSTILE_RING_ELEMENTS,
	HOSTILE_RING_ELEMENTS + 1,
	2 * HOSTILE_RING_ELEMENTS,
	4096,
	UINT64_C(1) << 8 | SHMP_ENDPOINT_LEFT,
	UINT64_C(1) << 8 | SHMP_ENDPOINT_DYING,
	UINT64_C(1) << 8 | SHMP_ENDPOINT_DEAD,
	UINT64_C(1) << 31,
	UINT64_C(1) << 32,
	UINT64_C(1) << 60,
	UINT64_C(1) << 63,
	0 - (uint64_t)HOSTILE_RING_ELEMENTS,
	0 - UINT64_C(2),
	UINT64_MAX,
};
const uint32_t hostile_ring_number_count = sizeof(numbers) / sizeof(numbers[0]);

uint64_t hostile_ring_number(uint32_t index)
{
	return numbers[index % hostile_ring_number_count];
}

/* What the moves may say */

static int is_outcome(int r)
{
	return (r >= SHMP_DONE && r <= SHMP_PEER_LEFT) || r == SHMP_LAPPED || r == -EBADMSG;
}

static void attach_producer(struct hostile_ring *hostile)
{
	int r = shmp_ring_attach_producer(&hostile->segment, &hostile->producer);

	SHMT_REQUIRE(r == 0 || r == -EBADMSG);
	hostile->has_producer = r == 0;
}

static void attach_consumer(struct hostile_ring *hostile)
{
	int r = shmp_ring_attach_consumer(&hostile->segment, &hostile->consumer);

	SHMT_REQUIRE(r == 0 || r == -EBADMSG);
	hostile->has_consumer = r == 0;
}

/* On the heap, so that a sanitizer sees its end. */
static uint8_t *elements(uint64_t count)
{
	uint8_t *made = malloc(count * BYTES + 1);

	SHMT_REQUIRE(made);
	memset(made, 0x77, count * BYTES + 1);
	return made;
}

static void push(struct hostile_ring *hostile, uint64_t count, uint64_t least)
{
	uint8_t *given = elements(count);
	uint64_t went = 0;
	int r = shmp_ring_push(&hostile->producer, given, count, least, &went);

	SHMT_REQUIRE(is_outcome(r));
	if (r == SHMP_DONE)
		SHMT_REQUIRE(went >= least && went <= count && went <= HOSTILE_RING_ELEMENTS);
	free(given);
}

static void push_over(struct hostile_ring *hostile, uint64_t count)
{
	uint8_t *given = elements(count);

	SHMT_REQUIRE(is_outcome(shmp_ring_push_over(&hostile->producer, given, count)));
	free(given);
}

static void reserve(struct hostile_ring *hostile, uint64_t count)
{
	uint64_t got = 0;
	void *room;
	int r = shmp_ring_reserve(&hostile->producer, count, 1, &room, &got);

	SHMT_REQUIRE(is_outcome(r));
	if (r != SHMP_DONE)
		return;
	SHMT_REQUIRE(got >= 1 && got <= HOSTILE_RING_ELEMENTS);
	memset(room, 0x55, got * BYTES);
	SHMT_REQUIRE(shmp_ring_commit(&hostile->producer, got + 1) == -EINVAL);
	SHMT_REQUIRE(shmp_ring_commit(&hostile->producer, got / 2) == SHMP_DONE);
}

/* A compiler may not leave this out. */
static void read_all(const struct shmp_ring_span *span)
{
	static volatile uint8_t sum;

	for (uint64_t i = 0; i < span->count * BYTES; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)span->data)[i]);
}

static void pop(struct hostile_ring *hostile, uint64_t most, uint64_t least)
{
	struct shmp_ring_span span = { 0 };
	uint8_t *buffer = elements(most);
	int r = shmp_ring_pop(&hostile->consumer, buffer, most, least, &span);

	SHMT_REQUIRE(is_outcome(r));
	if (r == SHMP_DONE)
		SHMT_REQUIRE(span.count >= 1 && span.count <= most &&
			     span.redelivered <= span.count && span.data == buffer);
	free(buffer);
}

static void peek(struct hostile_ring *hostile, uint64_t offset, uint64_t most)
{
	const uint8_t *data = hostile->segment.data;
	struct shmp_ring_span span = { 0 };
	int r = shmp_ring_peek(&hostile->consumer, offset, most, 1, &span);

	SHMT_REQUIRE(is_outcome(r));
	if (r != SHMP_DONE)
		return;
	SHMT_REQUIRE(span.count >= 1 && span.count <= most && span.redelivered <= span.count);
	SHMT_REQUIRE((const uint8_t *)span.data >= data &&
		     (const uint8_t *)span.data + span.count * BYTES <=
			     data + 2 * hostile->segment.plan.data_bytes);
	read_all(&span);
}

static void release(struct hostile_ring *hostile, uint64_t count)
{
	int r = shmp_ring_release(&hostile->consumer, count);

	SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_LAPPED || r == -EINVAL);
}

static void skip(struct hostile_ring *hostile, uint64_t most)
{
	uint64_t count = 0;
	int r = shmp_ring_skip(&hostile->consumer, most, &count);

	SHMT_REQUIRE(r == SHMP_DONE || r == -EBADMSG);
	SHMT_REQUIRE(count <= most && count <= HOSTILE_RING_ELEMENTS);
}

static void read_some(struct hostile_ring *hostile, uint64_t offset, bool from_newest)
{
	uint64_t position, count = 0, most = 1 + offset % ROOM;
	struct shmp_ring_view view;
	uint8_t *buffer = elements(most);
	int r;

	shmp_ring_view(&hostile->segment, &view);
	r = shmp_ring_read(&view, offset % 7, from_newest, buffer, most, &position, &count);
	SHMT_REQUIRE(is_outcome(r) && (r != SHMP_DONE || (count >= 1 && count <= most)));
	free(buffer);
}

static void ring(void *ringer, uint32_t endpoint)
{
	SHMT_REQUIRE(ringer == NULL && endpoint < 2);
}

static void tell(struct hostile_ring *hostile)
{
	if (hostile->has_producer && shmp_ring_consumer_waits(&hostile->producer))
		shmp_ring_tell_consumer(&hostile->producer, ring, NULL);
	if (hostile->has_consumer && shmp_ring_producer_waits(&hostile->consumer))
		shmp_ring_tell_producer(&hostile->consumer, ring, NULL);
}

static void add_figure(void *context, const char *name, uint64_t value)
{
	*(uint64_t *)context += value;
	SHMT_REQUIRE(name[0] != '\0');
}

static int show(void *context, const struct shmp_item *item)
{
	uint64_t *left = context;

	SHMT_REQUIRE(item->size == BYTES && item->payload_bytes == BYTES && *left > 0);
	*left -= 1;
	return 0;
}

/* The broker's part, in the order of a death, and an observer's. */
static void bury(struct hostile_ring *hostile, uint32_t place)
{
	const struct shmp_kind *kind = &shmp_ring_kind;
	uint8_t room[BYTES];
	uint64_t sum = 0, left = HOSTILE_RING_ELEMENTS;
	struct shmp_look look = { .max = left, .room = room, .room_bytes = sizeof(room) };
	const char *why = NULL;
	int r = kind->validate(&hostile->segment, &why);

	SHMT_REQUIRE(r == 0 || (r == -EBADMSG && why));
	SHMT_REQUIRE(kind->repair(&hostile->segment, place, true) == 0);
	kind->wake(&hostile->segment);
	kind->figures(&hostile->segment, add_figure, &sum);
	look.from = place ? SHMP_LOOK_OLDEST : sum;
	r = kind->look(&hostile->segment, &look, show, &left);
	SHMT_REQUIRE(r == 0 || r == -EBADMSG);
	kind->attach(&hostile->segment, place);
}

static void move_producer(struct hostile_ring *hostile, uint8_t what, uint64_t argument)
{
	uint64_t count = 1 + argument % ROOM;

	if (!hostile->has_producer)
		return;
	if (what == 0)
		push(hostile, count, 1);
	else if (what == 1)
		push(hostile, count, count);
	else if (what == 2)
		push_over(hostile, count);
	else
		reserve(hostile, count);
}

static void move_consumer(struct hostile_ring *hostile, uint8_t what, uint64_t argument)
{
	uint64_t count = 1 + argument % ROOM;

	if (!hostile->has_consumer)
		return;
	if (what <= 1 && hostile->consumer.shown_to == 0)
		pop(hostile, count, what ? count : 1);
	else if (what == 2)
		peek(hostile, argument % 11, count);
	else if (what == 3)
		release(hostile, argument % ROOM);
	else if (what == 4 && hostile->consumer.shown_to == 0)
		skip(hostile, argument % 40);
}

void hostile_ring_move(struct hostile_ring *hostile, uint8_t what, uint16_t argument)
{
	what %= HOSTILE_RING_MOVES;
	if (what < 4)
		move_producer(hostile, what, argument);
	else if (what < 9)
		move_consumer(hostile, what - 4, argument);
	else if (what < 11)
		read_some(hostile, argument, what == 9);
	else if (what < 12)
		tell(hostile);
	else if (what < 14)
		bury(hostile, what - 12);
	else if (what == 14)
		attach_producer(hostile);
	else
		attach_consumer(hostile);
}

void hostile_ring_all_moves(struct hostile_ring *hostile)
{
	static const uint8_t order[] = { 0,  9,	 4, 6, 10, 7,  2,  4,  11, 3, 8,  5,
					 2,  6,	 2, 7, 1,  11, 9,  12, 2,  5, 14, 13,
					 10, 15, 4, 0, 9,  6,  10, 7,  8,  3, 4,  4 };

	for (size_t i = 0; i < sizeof(order); i++)
		hostile_ring_move(hostile, order[i], (uint16_t)(37 * i + 3));
}

void hostile_ring_reset(struct hostile_ring *hostile, unsigned int state)
{
	uint64_t turns = (state % HOSTILE_RING_STATES) * 7;

	memset(hostile->segment.head, 0, hostile->segment.plan.ctl_bytes);
	for (uint32_t place = 0; place < 2; place++)
		shmp_endpoint_set_state(&hostile->segment.endpoints[place], 1,
					SHMP_ENDPOINT_ACTIVE);
	attach_producer(hostile);
	attach_consumer(hostile);
	for (uint64_t i = 0; i < turns; i++) {
		push_over(hostile, 1 + i * 13 % 150);
		if (i % 4 != 0)
			pop(hostile, 1 + i * 7 % 50, 1);
	}
	if (state % 2)
		peek(hostile, 1, 2);
}
