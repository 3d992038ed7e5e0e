#include "tests/interleave/mpmc_scene.h"

#include <string.h>

struct mpmc_scene mpmc_scene;

void mpmc_scene_fill(uint64_t *payload, uint64_t number)
{
	payload[0] = number;
	payload[1] = ~number;
	payload[2] = number << 32;
}

uint64_t mpmc_scene_number(const void *payload, uint64_t size)
{
	uint64_t word[3], wanted[3];

	if (size != MPMC_MESSAGE_BYTES)
		return 0;
	memcpy(word, payload, sizeof(word));
	mpmc_scene_fill(wanted, word[0]);
	return memcmp(word, wanted, sizeof(word)) == 0 && word[0] < MPMC_NUMBERS ? word[0] : 0;
}

static int push(uint32_t place, uint64_t number)
{
	struct shmp_mpmc *queue = &mpmc_scene.own->at[place];
	uint64_t payload[3];
	int r = SHMP_DONE;

	mpmc_scene_fill(payload, number);
	if (!shmp_mpmc_push_quick(queue, payload, sizeof(payload)))
		r = shmp_mpmc_push(queue, payload, sizeof(payload));
	if (r == SHMP_DONE && shmp_mpmc_consumers_wait(queue))
		shmp_mpmc_tell_consumers(queue, NULL, NULL);
	return r;
}

static struct mpmc_move take(uint32_t place, uint8_t *buffer)
{
	struct shmp_mpmc *queue = &mpmc_scene.own->at[place];
	struct mpmc_move move = { .result = SHMP_DONE };
	struct shmp_mpmc_message message;

	if (!shmp_mpmc_pop_quick(queue, buffer, SHMP_COPY_INLINE, &message))
		move.result = shmp_mpmc_pop(queue, buffer, SHMP_COPY_INLINE, &message);
	if (move.result != SHMP_DONE)
		return move;
	if (shmp_mpmc_producers_wait(queue))
		shmp_mpmc_tell_producers(queue, NULL, NULL);
	move.number = mpmc_scene_number(buffer, message.size);
	move.flags = message.flags;
	return move;
}

/* Of somebody who is no actor. */
static struct mpmc_move take_last(void)
{
	uint8_t buffer[SHMP_COPY_INLINE];

	return take(MPMC_CONSUMERS + 1, buffer);
}

void mpmc_scene_push(unsigned by, uint32_t place)
{
	struct mpmc_moves *moves = &mpmc_scene.own->by[by];
	struct mpmc_move *move = &moves->move[moves->count++];

	/* numbers of the actors are apart, so that they do not depend on the order */
	move->number = mpmc_scene.own->next + by * MPMC_MOVES + moves->count;
	move->is_push = true;
	move->result = MPMC_UNFINISHED;
	move->result = push(place, move->number);
}

void mpmc_scene_pop(unsigned by, uint32_t place)
{
	struct mpmc_moves *moves = &mpmc_scene.own->by[by];

	moves->move[moves->count] = take(place, mpmc_scene.own->buffer[by]);
	moves->count++;
}

bool mpmc_scene_drain(struct mpmc_moves *ret_moves)
{
	ret_moves->count = 0;
	while (ret_moves->count < MPMC_DRAIN) {
		struct mpmc_move move = take_last();

		if (move.result != SHMP_DONE)
			return move.result == SHMP_EMPTY;
		ret_moves->move[ret_moves->count++] = move;
	}
	return false;
}

const char *mpmc_scene_is_whole(void)
{
	const char *why;

	for (uint64_t number = 50; number < 50 + mpmc_scene.slots; number++)
		if (push(MPMC_PRODUCERS + 1, number) != SHMP_DONE)
			return "there is no room, though it is empty";
	if (push(MPMC_PRODUCERS + 1, 60) != SHMP_FULL)
		return "it is never full";
	for (uint64_t number = 50; number < 50 + mpmc_scene.slots; number++)
		if (take_last().number != number)
			return "what was sent at last does not come";
	if (take_last().result != SHMP_EMPTY)
		return "something is left";
	return shmp_mpmc_kind.validate(&mpmc_scene.segment.map, &why) == 0 ? NULL : "not valid";
}

void mpmc_scene_open(const char *name, unsigned laps, unsigned stored)
{
	unsigned slots = mpmc_scene.slots ? mpmc_scene.slots : MPMC_SLOTS;
	uint64_t option[SHMP_OPTIONS_MAX] = { [SHMP_MPMC_SLOTS] = slots,
					      [SHMP_MPMC_MESSAGE_BYTES_MAX] = 48,
					      [SHMP_MPMC_ENDPOINTS_MAX] = MPMC_PLACES,
					      [SHMP_MPMC_REDELIVERY] = 1 };
	struct mpmc_own *own = explorer_memory(sizeof(*own));

	mpmc_scene.own = own;
	mpmc_scene.slots = slots;
	shmt_segment_make(&mpmc_scene.segment, "mpmc", option);
	for (uint32_t i = 0; i < MPMC_PLACES; i++) {
		shmt_place_assign(&mpmc_scene.segment, i);
		SHMT_REQUIRE(shmp_mpmc_attach(&mpmc_scene.segment.map, i,
					      i < MPMC_CONSUMERS ? SHMP_MPMC_PRODUCER :
								   SHMP_MPMC_CONSUMER,
					      &own->at[i]) == 0);
	}
	/* the intents of these are still there */
	for (unsigned i = 0; i < laps * slots; i++) {
		SHMT_REQUIRE(push(MPMC_PRODUCERS + i % 2, 1) == SHMP_DONE);
		SHMT_REQUIRE(take(MPMC_CONSUMERS + i % 2, own->buffer[0]).number == 1);
	}
	memset(own->buffer, 0, sizeof(own->buffer));
	own->first = 10;
	for (own->next = 10; own->stored < stored; own->stored++)
		SHMT_REQUIRE(push(MPMC_PRODUCERS + own->stored % 2, own->next++) == SHMP_DONE);
	mpmc_scene.explorer = (struct explorer){
		.name = name, .segment = &mpmc_scene.segment, .own = own, .own_bytes = sizeof(*own)
	};
}

void mpmc_scene_close(void)
{
	mpmc_scene.slots = 0;
	shmt_segment_free(&mpmc_scene.segment);
}
