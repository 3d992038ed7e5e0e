#include "tests/support/hostile_pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/hostile.h"
#include "tests/support/segment.h"

#define PAGE	     4096u
#define MESSAGES_MAX 16
#define MOVES	     12

/* Maps @parts of @fd, each @times in a row, between untouchable pages. */
static uint8_t *map_guarded(int fd, uint64_t bytes, uint64_t parts, uint64_t times)
{
	uint8_t *room = mmap(NULL, bytes * parts * times + 2 * PAGE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	SHMT_REQUIRE(room != MAP_FAILED);
	for (uint64_t i = 0; i < parts * times; i++)
		SHMT_REQUIRE(mmap(room + PAGE + i * bytes, bytes, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_FIXED, fd,
				  (off_t)(i / times * bytes)) != MAP_FAILED);
	return room + PAGE;
}

static void make(struct hostile_pipe *pipe)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { HOSTILE_PIPE_RING, HOSTILE_PIPE_MESSAGE };
	struct shmt_segment segment;
	uint8_t *ctl;

	shmt_segment_make(&segment, "pipe", option);
	SHMT_REQUIRE(segment.plan.ctl_bytes == PAGE);
	ctl = map_guarded(segment.fds.ctl, PAGE, 1, 1);
	pipe->segment = segment.map;
	pipe->segment.head = (void *)ctl;
	pipe->segment.control = ctl + sizeof(struct shmp_head);
	pipe->segment.endpoints =
		(void *)(ctl + sizeof(struct shmp_head) + segment.plan.control_bytes);
	pipe->segment.data = map_guarded(segment.fds.data, HOSTILE_PIPE_RING, 2, 2);
	pipe->segment.read_data = map_guarded(segment.fds.data, HOSTILE_PIPE_RING, 2, 2);
	memset(pipe->payload, 0x77, sizeof(pipe->payload));
	shmt_segment_free(&segment);
}

struct hostile_pipe *hostile_pipe(void)
{
	static struct hostile_pipe pipe;

	if (!pipe.segment.head)
		make(&pipe);
	return &pipe;
}

void hostile_pipe_write(struct hostile_pipe *pipe, uint32_t word, uint64_t value)
{
	uint8_t *base = (uint8_t *)pipe->segment.head;
	uint32_t part = word % HOSTILE_PIPE_WORDS / 512;

	if (part > 0)
		base = pipe->segment.data + (part - 1) * 2 * HOSTILE_PIPE_RING;
	atomic_store((_Atomic uint64_t *)(void *)(base + word % 512 * 8), value);
}

uint64_t hostile_pipe_number(uint32_t index)
{
	const uint64_t marks[HOSTILE_PIPE_NUMBERS] = {
		0,
		shmp_pipe_mark(SHMP_PIPE_HOST, 1, 0),
		shmp_pipe_mark(SHMP_PIPE_HOST, 2, 0),
		shmp_pipe_mark(SHMP_PIPE_CLIENT, 1, 1),
		shmp_pipe_mark(SHMP_PIPE_CLIENT, 1, 2),
		shmp_pipe_mark(SHMP_PIPE_CLIENT, 7, 1),
	};
	uint64_t number = hostile_number(index / HOSTILE_PIPE_NUMBERS);
	uint64_t mark = marks[index % HOSTILE_PIPE_NUMBERS];

	return mark == 0 ? number : mark | (number & SHMP_PIPE_BYTES);
}

uint32_t hostile_pipe_number_count(void)
{
	return hostile_number_count * HOSTILE_PIPE_NUMBERS;
}

/* What the moves may say */

static bool is_outcome(int r)
{
	return (r >= SHMP_DONE && r <= SHMP_PEER_LEFT) || r == -EBADMSG;
}

static void attach(struct hostile_pipe *pipe, uint32_t role)
{
	int r = shmp_pipe_attach(&pipe->segment, role, &pipe->side[role]);

	SHMT_REQUIRE(r == 0 || r == -EBADMSG);
	pipe->is_there[role] = r == 0;
}

static void push(struct hostile_pipe *pipe, uint32_t role, uint64_t size)
{
	SHMT_REQUIRE(is_outcome(shmp_pipe_push(&pipe->side[role], pipe->payload, size)));
}

static void reserve_and_commit(struct hostile_pipe *pipe, uint32_t role, uint64_t size)
{
	uint8_t *room = NULL;
	int r = shmp_pipe_reserve(&pipe->side[role], size, &room);

	SHMT_REQUIRE(is_outcome(r));
	if (r != SHMP_DONE)
		return;
	memset(room, 0x55, size);
	shmp_spsc_commit(&pipe->side[role].out, size / 2);
}

static void send_batch(struct hostile_pipe *pipe, uint32_t role, uint64_t size)
{
	for (uint64_t i = 0; i < 4; i++)
		SHMT_REQUIRE(is_outcome(
			shmp_pipe_batch_add(&pipe->side[role], pipe->payload, size / (i + 1))));
	shmp_spsc_batch_publish(&pipe->side[role].out);
}

static void pop(struct hostile_pipe *pipe, uint32_t role, uint64_t room)
{
	struct shmp_spsc_message message = { 0 };
	uint8_t *buffer = malloc(room + 1);
	int r = SHMP_EMPTY;

	if (pipe->side[role].in.shown_items == 0)
		r = shmp_pipe_pop(&pipe->side[role], buffer, room, &message);
	SHMT_REQUIRE(is_outcome(r));
	if (r == SHMP_DONE)
		SHMT_REQUIRE(message.size <= room && message.data == buffer);
	free(buffer);
}

static bool is_in_ring(const uint8_t *data, uint32_t role, const struct shmp_spsc_message *message)
{
	const uint8_t *ring = data + 2 * HOSTILE_PIPE_RING * (1 - role);
	const uint8_t *at = message->data;

	return at >= ring && at + message->size <= ring + 2 * HOSTILE_PIPE_RING;
}

static bool is_inside(const struct hostile_pipe *pipe, uint32_t role,
		      const struct shmp_spsc_message *message)
{
	return message->size <= HOSTILE_PIPE_MESSAGE &&
	       (is_in_ring(pipe->segment.data, role, message) ||
		is_in_ring(pipe->segment.read_data, role, message));
}

static void peek(struct hostile_pipe *pipe, uint32_t role, uint64_t max)
{
	struct shmp_spsc_message messages[MESSAGES_MAX];
	uint64_t count = 0;
	int r = shmp_pipe_peek(&pipe->side[role], messages, 1 + max % MESSAGES_MAX, &count);

	SHMT_REQUIRE(is_outcome(r) && count <= MESSAGES_MAX);
	SHMT_REQUIRE(r != SHMP_DONE || count >= 1);
	for (uint64_t i = 0; i < count; i++)
		SHMT_REQUIRE(is_inside(pipe, role, &messages[i]));
}

static void release(struct hostile_pipe *pipe, uint32_t role, uint64_t count)
{
	int r = shmp_spsc_release(&pipe->side[role].in, count % (MESSAGES_MAX + 1));

	SHMT_REQUIRE(r == SHMP_DONE || r == -EINVAL || r == -EBADMSG);
}

static void meet(struct hostile_pipe *pipe, uint32_t role)
{
	if (pipe->side[role].in.shown_items == 0)
		SHMT_REQUIRE(is_outcome(shmp_pipe_meet(&pipe->side[role])));
}

static void ring(void *ringer, uint32_t endpoint)
{
	SHMT_REQUIRE(ringer == NULL && endpoint < 2);
}

static void tell(struct hostile_pipe *pipe, uint32_t role)
{
	if (shmp_pipe_reader_waits(&pipe->side[role]))
		shmp_pipe_tell_reader(&pipe->side[role], ring, NULL);
	if (shmp_pipe_sender_waits(&pipe->side[role]))
		shmp_pipe_tell_sender(&pipe->side[role], ring, NULL);
}

static void add_figure(void *context, const char *name, uint64_t value)
{
	*(uint64_t *)context += value;
	SHMT_REQUIRE(name[0] != '\0');
}

static int show(void *context, const struct shmp_item *item)
{
	uint64_t *left = context;

	SHMT_REQUIRE(item->size <= HOSTILE_PIPE_MESSAGE && item->payload_bytes <= 500);
	SHMT_REQUIRE(*left > 0);
	*left -= 1;
	return 0;
}

static void look(struct hostile_pipe *pipe, uint64_t from)
{
	uint8_t room[500];
	uint64_t left = 2 * HOSTILE_PIPE_RING / SHMP_SPSC_HEADER;
	struct shmp_look look = {
		.from = from, .max = left, .room = room, .room_bytes = sizeof(room)
	};
	int r = shmp_pipe_kind.look(&pipe->segment, &look, show, &left);

	SHMT_REQUIRE(r == 0 || r == -EBADMSG);
}

/* The broker's part of a death, and somebody new in the place. */
static void succeed(struct hostile_pipe *pipe, uint32_t role, bool died)
{
	const struct shmp_kind *kind = &shmp_pipe_kind;
	struct shmp_endpoint *place = &pipe->segment.endpoints[role];
	uint64_t incarnation = shmp_endpoint_incarnation(place);
	const char *why = NULL;
	uint64_t sum = 0;
	int r = kind->validate(&pipe->segment, &why);

	SHMT_REQUIRE(r == 0 || (r == -EBADMSG && why));
	SHMT_REQUIRE(kind->repair(&pipe->segment, role, died) == 0);
	shmp_endpoint_set_state(place, incarnation, died ? SHMP_ENDPOINT_DEAD : SHMP_ENDPOINT_LEFT);
	kind->wake(&pipe->segment);
	kind->figures(&pipe->segment, add_figure, &sum);
	look(pipe, role ? SHMP_LOOK_OLDEST : sum);
	kind->attach(&pipe->segment, role);
	shmp_endpoint_set_state(place, incarnation + 1, SHMP_ENDPOINT_ACTIVE);
	attach(pipe, role);
}

void hostile_pipe_move(struct hostile_pipe *pipe, uint8_t what, uint16_t argument)
{
	uint32_t role = what / MOVES % 2;

	if (what % MOVES >= 10 || !pipe->is_there[role]) {
		succeed(pipe, role, what % 2);
		return;
	}
	switch (what % MOVES) {
	case 0:
		push(pipe, role, argument % 1100);
		break;
	case 1:
		push(pipe, role, argument % 32);
		break;
	case 2:
		reserve_and_commit(pipe, role, argument % 1100);
		break;
	case 3:
		send_batch(pipe, role, argument % 1100);
		break;
	case 4:
		pop(pipe, role, argument % 1100);
		break;
	case 5:
		pop(pipe, role, HOSTILE_PIPE_MESSAGE);
		break;
	case 6:
		peek(pipe, role, argument);
		break;
	case 7:
		release(pipe, role, argument);
		break;
	case 8:
		meet(pipe, role);
		break;
	default:
		tell(pipe, role);
		break;
	}
}

void hostile_pipe_all_moves(struct hostile_pipe *pipe)
{
	static const uint8_t order[] = { 0, 9, 5,  4, 6, 7, 3, 8, 2,  1,
					 6, 7, 10, 0, 5, 8, 5, 1, 11, 4 };

	for (size_t i = 0; i < sizeof(order); i++) {
		hostile_pipe_move(pipe, order[i], (uint16_t)(37 * i + 3));
		hostile_pipe_move(pipe, (uint8_t)(MOVES + order[(i + 3) % sizeof(order)]),
				  (uint16_t)(41 * i + 5));
	}
	for (int i = 0; i < 6; i++)
		for (uint32_t role = 0; role < 2; role++) {
			hostile_pipe_move(pipe, (uint8_t)(role * MOVES), 900);
			hostile_pipe_move(pipe, (uint8_t)((1 - role) * MOVES + 5), 0);
		}
}

void hostile_pipe_reset(struct hostile_pipe *pipe, unsigned int state)
{
	state %= HOSTILE_PIPE_STATES;
	memset(pipe->segment.head, 0, PAGE);
	memset(pipe->segment.data, 0, HOSTILE_PIPE_RING);
	memset(pipe->segment.data + 2 * HOSTILE_PIPE_RING, 0, HOSTILE_PIPE_RING);
	for (uint32_t role = 0; role < 2; role++)
		shmp_endpoint_set_state(&pipe->segment.endpoints[role], 1, SHMP_ENDPOINT_ACTIVE);
	for (uint32_t role = 0; role < 2; role++)
		attach(pipe, role);
	for (uint64_t i = 0; i < 7 * state; i++) {
		push(pipe, i % 2, i * 13 % 400);
		if (i % 4 != 0)
			pop(pipe, (i + 1) % 2, HOSTILE_PIPE_MESSAGE);
	}
	if (state % 2)
		peek(pipe, 0, 2);
	if (state > 3)
		succeed(pipe, state % 2, true);
}
