#include "tests/support/hostile.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/segment.h"

#define PAGE	     4096u
#define MESSAGES_MAX 16

/* Maps @fd @times in a row, with an untouchable page on either side. */
static uint8_t *map_guarded(int fd, uint64_t bytes, uint64_t times)
{
	uint8_t *room = mmap(NULL, bytes * times + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);

	SHMT_REQUIRE(room != MAP_FAILED);
	for (uint64_t i = 0; i < times; i++)
		SHMT_REQUIRE(mmap(room + PAGE + i * bytes, bytes, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED);
	return room + PAGE;
}

static void make(struct hostile *hostile)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { HOSTILE_CAPACITY, 1000 };
	struct shmt_segment segment;
	uint8_t *ctl;

	shmt_segment_make(&segment, "spsc", option);
	ctl = map_guarded(segment.fds.ctl, segment.plan.ctl_bytes, 1);
	hostile->segment = segment.map;
	hostile->segment.head = (void *)ctl;
	hostile->segment.control = ctl + sizeof(struct shmp_head);
	hostile->segment.endpoints =
		(void *)(ctl + sizeof(struct shmp_head) + segment.plan.control_bytes);
	hostile->segment.data = map_guarded(segment.fds.data, HOSTILE_CAPACITY, 2);
	memset(hostile->payload, 0x77, sizeof(hostile->payload));
	shmt_segment_free(&segment);
}

struct hostile *hostile_ring(void)
{
	static struct hostile ring;

	if (!ring.segment.head)
		make(&ring);
	return &ring;
}

static _Atomic uint64_t *word_of(struct hostile *hostile, uint32_t word)
{
	uint8_t *base = (uint8_t *)hostile->segment.head;

	if (word >= HOSTILE_WORDS / 2)
		base = hostile->segment.data;
	return (_Atomic uint64_t *)(void *)(base + word % (HOSTILE_WORDS / 2) * 8);
}

void hostile_write(struct hostile *hostile, uint32_t word, uint64_t value)
{
	atomic_store(word_of(hostile, word % HOSTILE_WORDS), value);
}

static const uint64_t numbers[] = {
	0,
	1,
	7,
	8,
	16,
	999,
	1000,
	1001,
	2048,
	HOSTILE_CAPACITY - 16,
	HOSTILE_CAPACITY - 8,
	HOSTILE_CAPACITY,
	HOSTILE_CAPACITY + 8,
	2 * HOSTILE_CAPACITY,
	UINT64_C(1) << 31,
	UINT64_C(1) << 32,
	UINT64_C(1) << 62,
	SHMP_SPSC_PUBLISHED,
	SHMP_SPSC_PUBLISHED | 8,
	SHMP_SPSC_PUBLISHED | 1000,
	SHMP_SPSC_PUBLISHED | 1001,
	SHMP_SPSC_PUBLISHED | HOSTILE_CAPACITY,
	SHMP_SPSC_PUBLISHED | UINT64_C(1) << 62,
	SHMP_SPSC_PUBLISHED - 1,
	UINT64_C(1) << 8 | SHMP_ENDPOINT_LEFT,
	UINT64_C(1) << 8 | SHMP_ENDPOINT_DYING,
	UINT64_C(1) << 8 | SHMP_ENDPOINT_DEAD,
	0 - UINT64_C(8),
	0 - UINT64_C(16),
	0 - (uint64_t)HOSTILE_CAPACITY,
	0 - (uint64_t)HOSTILE_CAPACITY - 8,
	UINT64_MAX,
};
const uint32_t hostile_number_count = sizeof(numbers) / sizeof(*numbers);

uint64_t hostile_number(uint32_t index)
{
	return numbers[index % hostile_number_count];
}

/* What the moves may say */

static int is_outcome(int r)
{
	return (r >= SHMP_DONE && r <= SHMP_PEER_LEFT) || r == -EBADMSG;
}

static int is_inside(const struct hostile *hostile, const struct shmp_spsc_message *message)
{
	const uint8_t *at = message->data, *data = hostile->segment.data;

	return message->size <= 1000 && at >= data &&
	       at + message->size <= data + 2 * HOSTILE_CAPACITY;
}

/* A compiler may not leave this out. */
static void read_all(const struct shmp_spsc_message *message)
{
	static volatile uint8_t sum;

	for (uint64_t i = 0; i < message->size; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)message->data)[i]);
}

static void attach_producer(struct hostile *hostile)
{
	int r = shmp_spsc_attach_producer(&hostile->segment, &hostile->producer);

	SHMT_REQUIRE(r == 0 || r == -EBADMSG);
	hostile->has_producer = r == 0;
}

static void attach_consumer(struct hostile *hostile)
{
	int r = shmp_spsc_attach_consumer(&hostile->segment, &hostile->consumer);

	SHMT_REQUIRE(r == 0 || r == -EBADMSG);
	hostile->has_consumer = r == 0;
}

static void push(struct hostile *hostile, uint64_t size)
{
	SHMT_REQUIRE(is_outcome(shmp_spsc_push(&hostile->producer, hostile->payload, size)));
}

static void reserve_and_commit(struct hostile *hostile, uint64_t size)
{
	uint8_t *room = NULL;
	int r = shmp_spsc_reserve(&hostile->producer, size, &room);

	SHMT_REQUIRE(is_outcome(r));
	if (r != SHMP_DONE)
		return;
	memset(room, 0x55, size);
	shmp_spsc_commit(&hostile->producer, size / 2);
}

static void send_batch(struct hostile *hostile, uint64_t size)
{
	for (uint64_t i = 0; i < 4; i++)
		SHMT_REQUIRE(is_outcome(
			shmp_spsc_batch_add(&hostile->producer, hostile->payload, size / (i + 1))));
	shmp_spsc_batch_publish(&hostile->producer);
}

static void ring(void *ringer, uint32_t endpoint)
{
	SHMT_REQUIRE(ringer == NULL && endpoint < 2);
}

static void tell(struct hostile *hostile)
{
	if (hostile->has_producer && shmp_spsc_consumer_waits(&hostile->producer))
		shmp_spsc_tell_consumer(&hostile->producer, ring, NULL);
	if (hostile->has_consumer && shmp_spsc_producer_waits(&hostile->consumer))
		shmp_spsc_tell_producer(&hostile->consumer, ring, NULL);
}

static void pop(struct hostile *hostile, uint64_t room)
{
	struct shmp_spsc_message message = { 0 };
	uint8_t *buffer = malloc(room + 1);
	int r = shmp_spsc_pop(&hostile->consumer, buffer, room, &message);

	SHMT_REQUIRE(is_outcome(r));
	if (r == SHMP_DONE)
		SHMT_REQUIRE(message.size <= room && message.size <= 1000 &&
			     message.data == buffer);
	free(buffer);
}

static void peek(struct hostile *hostile, uint64_t max)
{
	struct shmp_spsc_message messages[MESSAGES_MAX];
	uint64_t count = 0;
	int r = shmp_spsc_peek(&hostile->consumer, messages, 1 + max % MESSAGES_MAX, &count);

	SHMT_REQUIRE(is_outcome(r));
	if (r == SHMP_DONE)
		SHMT_REQUIRE(count >= 1 && count <= MESSAGES_MAX);
	for (uint64_t i = 0; i < count; i++) {
		SHMT_REQUIRE(is_inside(hostile, &messages[i]));
		read_all(&messages[i]);
	}
}

static void release(struct hostile *hostile, uint64_t count)
{
	int r = shmp_spsc_release(&hostile->consumer, count % (MESSAGES_MAX + 1));

	SHMT_REQUIRE(r == SHMP_DONE || r == -EINVAL || r == -EBADMSG);
}

static void wait_a_moment(struct hostile *hostile, uint32_t place)
{
	struct shmp_spsc_control *control = hostile->segment.control;
	struct shmp_waiter *waiter = place ? &control->not_empty : &control->not_full;
	uint32_t key = shmp_waiter_prepare(waiter, &hostile->segment.endpoints[place], place,
					   false);

	shmp_waiter_sleep(waiter, key, 0);
	shmp_waiter_finish(waiter, place);
}

static void add_figure(void *context, const char *name, uint64_t value)
{
	*(uint64_t *)context += value;
	SHMT_REQUIRE(name[0] != '\0');
}

static int show(void *context, const struct shmp_item *item)
{
	uint64_t *left = context;

	SHMT_REQUIRE(item->size <= 1000 && item->payload_bytes <= 500);
	SHMT_REQUIRE(*left > 0);
	*left -= 1;
	return 0;
}

static void look(struct hostile *hostile, uint64_t from)
{
	uint8_t room[500];
	uint64_t left = HOSTILE_CAPACITY / SHMP_SPSC_HEADER;
	struct shmp_look look = {
		.from = from, .max = left, .room = room, .room_bytes = sizeof(room)
	};
	int r = shmp_spsc_kind.look(&hostile->segment, &look, show, &left);

	SHMT_REQUIRE(r == 0 || r == -EBADMSG);
}

/* The broker's part, in the order of a death. */
static void bury(struct hostile *hostile, uint32_t place)
{
	const struct shmp_kind *kind = &shmp_spsc_kind;
	const char *why = NULL;
	uint64_t sum = 0;
	int r = kind->validate(&hostile->segment, &why);

	SHMT_REQUIRE(r == 0 || (r == -EBADMSG && why));
	SHMT_REQUIRE(kind->repair(&hostile->segment, place, true) == 0);
	kind->wake(&hostile->segment);
	kind->figures(&hostile->segment, add_figure, &sum);
	look(hostile, place ? SHMP_LOOK_OLDEST : sum);
	kind->attach(&hostile->segment, place);
}

static void move_producer(struct hostile *hostile, uint8_t what, uint64_t argument)
{
	if (!hostile->has_producer)
		return;
	switch (what) {
	case 0:
		push(hostile, argument % 1100);
		break;
	case 1:
		push(hostile, argument % 32);
		break;
	case 2:
		reserve_and_commit(hostile, argument % 1100);
		break;
	default:
		send_batch(hostile, argument % 1100);
		break;
	}
}

static void move_consumer(struct hostile *hostile, uint8_t what, uint64_t argument)
{
	if (!hostile->has_consumer)
		return;
	switch (what) {
	case 0:
		pop(hostile, argument % 1100);
		break;
	case 1:
		pop(hostile, 1000);
		break;
	case 2:
		peek(hostile, argument);
		break;
	default:
		release(hostile, argument);
		break;
	}
}

void hostile_move(struct hostile *hostile, uint8_t what, uint16_t argument)
{
	switch (what % 14) {
	case 0:
	case 1:
	case 2:
	case 3:
		move_producer(hostile, what % 14, argument);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		move_consumer(hostile, what % 14 - 4, argument);
		break;
	case 8:
		tell(hostile);
		break;
	case 9:
		wait_a_moment(hostile, argument % 2);
		break;
	case 10:
	case 11:
		bury(hostile, what % 14 - 10);
		break;
	case 12:
		attach_producer(hostile);
		break;
	default:
		attach_consumer(hostile);
		break;
	}
}

void hostile_all_moves(struct hostile *hostile)
{
	static const uint8_t order[] = { 0, 8,	4,  6,	7,  3, 5, 2, 8, 1, 5, 6, 7,
					 9, 10, 12, 11, 13, 0, 5, 6, 3, 7, 1, 5, 8 };

	for (size_t i = 0; i < sizeof(order); i++)
		hostile_move(hostile, order[i], (uint16_t)(37 * i + 3));
	for (int i = 0; i < 10; i++)
		hostile_move(hostile, 0, 900);
	for (int i = 0; i < 10; i++)
		hostile_move(hostile, 5, 0);
}

void hostile_reset(struct hostile *hostile, unsigned int state)
{
	uint64_t turns = (state % HOSTILE_STATES) * 7;

	memset(hostile->segment.head, 0, hostile->segment.plan.ctl_bytes);
	memset(hostile->segment.data, 0, HOSTILE_CAPACITY);
	for (uint32_t place = 0; place < 2; place++)
		shmp_endpoint_set_state(&hostile->segment.endpoints[place], 1,
					SHMP_ENDPOINT_ACTIVE);
	attach_producer(hostile);
	attach_consumer(hostile);
	for (uint64_t i = 0; i < turns; i++) {
		push(hostile, i * 13 % 400);
		if (i % 4 != 0)
			pop(hostile, 1000);
	}
	if (state % 2)
		peek(hostile, 2);
}
