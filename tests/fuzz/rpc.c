/*
 * A service in which a hostile peer writes what it likes between any two moves of ours: none of them
 * leaves the memory, hangs, or says what it has no word for. The input is a list of commands.
 */
#include "protocol/rpc.h"

#include <string.h>

#include "tests/support/fuzz.h"

enum {
	WORKERS = 2,
	CLIENTS = 2,
	PLACES = WORKERS + CLIENTS,
	HANDS = 4, /* requests that are remembered, of each worker */
	IDS = 8,   /* calls that are, of each client */
	COMMANDS_MAX = 256,
};

static const uint64_t message_bytes[] = { 1, 40, 64, 200 };
static const uint64_t call_counts[] = { 1, 2, 5, SHMP_RPC_CALLS_MAX };

struct input {
	const uint8_t *at;
	size_t left;
};

struct place {
	struct shmp_rpc rpc;
	struct shmp_rpc_request request[HANDS]; /* a worker's */
	uint64_t id[IDS];			/* a client's */
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
	uint8_t how = (uint8_t)take(input, 1);
	uint64_t option[SHMP_OPTIONS_MAX] = {
		[SHMP_RPC_MESSAGE_BYTES_MAX] = message_bytes[how & 3],
		[SHMP_RPC_CALLS] = call_counts[how >> 2 & 3],
		[SHMP_RPC_WORKERS_MAX] = WORKERS,
		[SHMP_RPC_CLIENTS_MAX] = CLIENTS,
		[SHMP_RPC_REDELIVERY] = how >> 4 & 1,
	};
	struct shmp_segment segment = { .mirrored = false };
	const char *why;

	FUZZ_CHECK(shmp_rpc_kind.plan(option, &segment.plan, &why) == 0);
	segment.head = aligned_alloc(SHMP_PAGE, segment.plan.ctl_bytes);
	segment.data = aligned_alloc(SHMP_PAGE, segment.plan.data_bytes);
	FUZZ_CHECK(segment.head && segment.data);
	memset(segment.head, 0, segment.plan.ctl_bytes);
	memset(segment.data, 0, segment.plan.data_bytes);
	segment.control = (uint8_t *)segment.head + sizeof(struct shmp_head);
	segment.endpoints = (void *)((uint8_t *)segment.control + segment.plan.control_bytes);
	shmp_rpc_kind.init(&segment);
	return segment;
}

/* Half of the time the head of a slot, which is what is believed most. */
static uint64_t *target(struct shmp_segment *segment, uint8_t how, uint64_t at)
{
	uint64_t bytes = segment->plan.ctl_bytes - sizeof(struct shmp_head);
	struct shmp_rpc_view view;

	if (how & 1)
		return (uint64_t *)(void *)((uint8_t *)segment->control + at * 8 % bytes);
	shmp_rpc_view(segment, &view);
	return (uint64_t *)(void *)shmp_rpc_slot(&view, at / 8 % shmp_rpc_slots(&view)) + at % 8;
}

/* Any word behind the head; often near what is there, since most others are refused at once. */
static void scribble(struct shmp_segment *segment, struct input *input)
{
	uint8_t how = (uint8_t)take(input, 1);
	uint64_t at = take(input, 2), value = take(input, how & 2 ? 8 : 1);
	uint64_t *word = target(segment, how, at);

	if (how & 8)
		memset(segment->control, how & 16 ? 0xff : (int)value,
		       segment->plan.ctl_bytes - sizeof(struct shmp_head));
	if (how & 32)
		memset(segment->data, how & 16 ? 0xff : (int)value, segment->plan.data_bytes);
	*word = how & 4 ? *word ^ value : value;
}

static bool is_known(int r)
{
	return (r >= SHMP_DONE && r <= SHMP_PEER_LEFT) || r == SHMP_RPC_STALE ||
	       r == SHMP_RPC_TIMEOUT || r == -EINVAL || r == -EBADMSG;
}

static void ring(void *ringer, uint32_t endpoint)
{
	(void)ringer;
	FUZZ_CHECK(endpoint < PLACES);
}

/* All of them, as who was shown them may. */
static void read_bytes(const struct shmp_rpc *rpc, const void *data, uint64_t size)
{
	uint64_t sum = 0;

	FUZZ_CHECK(size <= rpc->view.message_max);
	for (uint64_t i = 0; i < size; i++)
		sum += ((const uint8_t *)data)[i];
	FUZZ_CHECK(sum <= size * UINT8_MAX);
}

static void call(struct shmp_rpc *rpc, uint8_t how, uint64_t *id)
{
	uint64_t deadline_ns = how & 16 ? 1 : UINT64_MAX;
	void *room;

	if (shmp_rpc_reserve(rpc, &room) != SHMP_DONE)
		return;
	memset(room, 0x5a, rpc->view.message_max);
	FUZZ_CHECK(is_known(shmp_rpc_post(rpc, how & 32 ? rpc->view.message_max + 1 : how >> 6,
					  deadline_ns, id)));
	if (shmp_rpc_workers_wait(rpc))
		shmp_rpc_tell_workers(rpc, ring, NULL);
}

static void move_client(struct shmp_rpc *rpc, uint8_t how, uint64_t *id)
{
	struct shmp_rpc_answer answer;
	int r;

	switch (how % 6) {
	case 0:
	case 1:
		call(rpc, how, id);
		break;
	case 2:
	case 3:
		r = shmp_rpc_receive(rpc, how & 16 ? *id : 0, &answer);
		FUZZ_CHECK(is_known(r));
		if (r == SHMP_DONE)
			read_bytes(rpc, answer.data, answer.size);
		break;
	case 4:
		FUZZ_CHECK(is_known(shmp_rpc_release(rpc, *id)));
		break;
	default:
		r = shmp_rpc_meet(rpc);
		FUZZ_CHECK(r == SHMP_DONE || r == SHMP_EMPTY);
		shmp_rpc_next_deadline(rpc, how & 16 ? *id : 0);
	}
}

static void answer(struct shmp_rpc *rpc, uint8_t how, struct shmp_rpc_request *request)
{
	static const uint8_t bytes[200];
	uint64_t size = how & 16 ? rpc->view.message_max : how >> 5;
	int r = shmp_rpc_answer(rpc, request, how, how & 8 ? request->room : bytes, size);

	FUZZ_CHECK(is_known(r));
	if (r == SHMP_DONE &&
	    shmp_rpc_client_waits(rpc, (uint32_t)(request->slot / rpc->view.calls)))
		shmp_rpc_tell_client(rpc, (uint32_t)(request->slot / rpc->view.calls), ring, NULL);
}

static void move_worker(struct shmp_rpc *rpc, uint8_t how, struct shmp_rpc_request *request)
{
	int r;

	if (how % 2 == 1) {
		/* what is in hand, or was once */
		if (request->room)
			answer(rpc, how, request);
		return;
	}
	r = shmp_rpc_take(rpc, request);
	FUZZ_CHECK(r == SHMP_DONE || r == SHMP_EMPTY);
	if (r != SHMP_DONE)
		return;
	FUZZ_CHECK(request->client < CLIENTS && request->slot < shmp_rpc_slots(&rpc->view));
	read_bytes(rpc, request->data, request->size);
	memset(request->room, 0xa5, rpc->view.message_max);
}

static void move(struct place *places, uint8_t command, uint8_t how)
{
	uint32_t at = command >> 6;

	if (at < WORKERS)
		move_worker(&places[at].rpc, how, &places[at].request[(command >> 3 & 7) % HANDS]);
	else
		move_client(&places[at].rpc, how, &places[at].id[(command >> 3 & 7) % IDS]);
}

/* A number of a call that was not given, or a request that was not taken. */
static void forge(struct place *places, uint8_t command, struct input *input)
{
	struct place *place = &places[command >> 6];
	uint32_t hand = (command >> 3 & 7) % HANDS;

	place->id[(command >> 3 & 7) % IDS] = take(input, 8);
	place->request[hand].slot = take(input, 2);
	place->request[hand].word = place->request[hand].word ^ take(input, 8);
}

static void count_figure(void *context, const char *name, uint64_t value)
{
	(void)value;
	*(size_t *)context += strlen(name);
}

static int count_item(void *context, const struct shmp_item *item)
{
	FUZZ_CHECK(item->payload_bytes <= message_bytes[3]);
	*(size_t *)context += 1;
	return 0;
}

static void look(const struct shmp_segment *segment)
{
	static uint8_t room[100];
	struct shmp_look look = { .max = UINT64_MAX, .room = room, .room_bytes = sizeof(room) };
	const char *why;
	size_t shown = 0;

	shmp_rpc_kind.figures(segment, count_figure, &shown);
	shown = 0;
	FUZZ_CHECK(shmp_rpc_kind.look(segment, &look, count_item, &shown) == 0);
	FUZZ_CHECK(shown <= CLIENTS * segment->plan.option[SHMP_RPC_CALLS]);
	shmp_rpc_kind.validate(segment, &why);
}

/* The handle's owner goes; a successor comes if the words still make sense. */
static bool succeed(struct shmp_segment *segment, struct place *place, uint32_t at)
{
	FUZZ_CHECK(shmp_rpc_kind.repair(segment, at, true) == 0);
	shmp_rpc_kind.wake(segment);
	shmp_rpc_kind.attach(segment, at);
	shmp_endpoint_set_state(&segment->endpoints[at],
				shmp_endpoint_incarnation(&segment->endpoints[at]) + 1,
				SHMP_ENDPOINT_ACTIVE);
	memset(place->request, 0, sizeof(place->request));
	return shmp_rpc_attach(segment, at, &place->rpc) == 0;
}

static void run(struct shmp_segment *segment, struct place *places, struct input *input)
{
	for (int i = 0; i < COMMANDS_MAX && input->left > 0; i++) {
		uint8_t command = (uint8_t)take(input, 1);

		switch (command & 7) {
		case 0:
			scribble(segment, input);
			break;
		case 1:
			if (!succeed(segment, &places[command >> 6], command >> 6))
				return;
			break;
		case 2:
			look(segment);
			break;
		case 3:
			forge(places, command, input);
			break;
		default:
			move(places, command, (uint8_t)take(input, 1));
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct place places[PLACES];
	struct input input = { data, size };
	struct shmp_segment segment = make(&input);

	memset(places, 0, sizeof(places));
	for (uint32_t i = 0; i < PLACES; i++)
		FUZZ_CHECK(succeed(&segment, &places[i], i));
	run(&segment, places, &input);
	free(segment.head);
	free(segment.data);
	return 0;
}
