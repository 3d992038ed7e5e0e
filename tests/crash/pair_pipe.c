/*
 * A pipe, and host and client at once in the middle of something; see pairs.h. Who lives gets what
 * the dead one sent, hears of its end and meets who came after it; a client's successor gets what it
 * had not taken; nobody gets anything twice, or of a session that is over.
 *
 * A message is its number, in three ways; those of either direction are counted by themselves.
 */
#include "protocol/pipe.h"

#include <string.h>
#include <sys/mman.h>

#include "tests/crash/pairs.h"
#include "tests/support/runner.h"

#define HOST   SHMP_PIPE_HOST
#define CLIENT SHMP_PIPE_CLIENT

enum {
	CAPACITY = 4096,
	NUMBERS = 256,
	BEFORE = 2, /* of either side, unread: numbers 1 and 2 */
	OWN = 10,   /* what an act sends */
	SUCCESSOR_S = 11,
	LATER = 20, /* and from there on */
	WORDS = 3,
	ROOM = 16, /* the compiler wants more words than a message has */
	ROUNDS_MAX = 20,
	UNTOLD = -1,
};

struct own {
	struct shmp_pipe side[2];
	uint64_t words[2][ROOM];		   /* received by the act of this side */
	int r[2];				   /* of the act of this side */
	uint8_t sent[2][NUMBERS], got[2][NUMBERS]; /* by who sends */
	bool was_told[2];			   /* that a peer has gone */
};

static struct scene {
	struct shmt_segment segment;
	struct own *own;
	bool sends[2]; /* the act of this side, or receives */
	struct pairs pairs;
} scene;

#define CHECK(condition_) PAIRS_CHECK(&scene.pairs, condition_)

static void take_up(uint32_t side)
{
	shmt_place_assign(&scene.segment, side);
	CHECK(shmp_pipe_attach(&scene.segment.map, side, &scene.own->side[side]) == 0);
	scene.own->was_told[side] = false;
}

static void make(uint64_t number, uint64_t *words)
{
	words[0] = number;
	words[1] = ~number;
	words[2] = number * UINT64_C(0x9e3779b97f4a7c15);
}

static bool is_made_of(uint64_t number, const uint64_t *words)
{
	uint64_t whole[WORDS];

	make(number, whole);
	return memcmp(words, whole, sizeof(whole)) == 0;
}

static int send_number(uint32_t from, uint64_t number)
{
	uint64_t words[ROOM];

	make(number, words);
	return shmp_pipe_push(&scene.own->side[from], words, sizeof(*words) * WORDS);
}

static int receive_words(uint32_t to, uint64_t *words)
{
	struct shmp_spsc_message message;

	return shmp_pipe_pop(&scene.own->side[to], words, sizeof(*words) * WORDS, &message);
}

static bool is_gone(int r)
{
	return r == SHMP_PEER_DEAD || r == SHMP_PEER_LEFT;
}

static void note(uint32_t to, const uint64_t *words)
{
	CHECK(words[0] > 0 && words[0] < NUMBERS && is_made_of(words[0], words));
	CHECK(++scene.own->got[1 - to][words[0]] == 1);
}

static void move(uint32_t side)
{
	int r = send_number(side, SUCCESSOR_S);

	scene.own->sent[side][SUCCESSOR_S] = r == SHMP_DONE;
	CHECK(r == SHMP_DONE || is_gone(r));
}

/* Acts, stepped */

static void act_of(uint32_t side)
{
	scene.own->r[side] = scene.sends[side] ? send_number(side, OWN) :
						 receive_words(side, scene.own->words[side]);
}

static void host_acts(void)
{
	act_of(HOST);
}

static void client_acts(void)
{
	act_of(CLIENT);
}

/* What must be */

/* All that comes from whom it speaks with, and from whoever is next, until there is nobody new. */
static void receive_all(uint32_t side)
{
	struct shmp_pipe *pipe = &scene.own->side[side];
	uint64_t words[ROOM];

	for (int round = 0; round < ROUNDS_MAX; round++) {
		int r = receive_words(side, words);

		if (r == SHMP_DONE) {
			note(side, words);
			continue;
		}
		CHECK(r == SHMP_EMPTY || is_gone(r));
		scene.own->was_told[side] |= r == SHMP_PEER_DEAD;
		if (r == SHMP_EMPTY && shmp_pipe_is_met(pipe))
			return;
		CHECK(shmp_pipe_meet(pipe) == SHMP_DONE);
	}
	CHECK(!"it ends");
}

static bool is_dead(uint32_t side)
{
	return scene.pairs.is_dead[scene.pairs.act[0].place == side ? 0 : 1];
}

/* A dead receiver that was not told may have had one message, in its buffer. */
static bool was_in_dead_hands(uint32_t side, uint64_t number)
{
	return !scene.sends[side] && scene.own->r[side] == UNTOLD &&
	       is_made_of(number, scene.own->words[side]);
}

/* What @from sent and was told so. To a host it comes as long as that lives, to a client always. */
static void has_come(uint32_t from, uint64_t number)
{
	uint32_t to = 1 - from;
	bool must = !(is_dead(from) && is_dead(to)) && (to == CLIENT || !is_dead(to));

	CHECK(!must || scene.own->got[from][number] == 1 ||
	      (is_dead(to) && was_in_dead_hands(to, number)));
}

static void note_acts(void)
{
	for (uint32_t side = 0; side < 2; side++) {
		int r = scene.own->r[side];

		CHECK(r == SHMP_DONE || is_gone(r) || (r == UNTOLD && is_dead(side)));
		if (r == SHMP_DONE && scene.sends[side])
			scene.own->sent[side][OWN] = 1;
		else if (r == SHMP_DONE)
			note(side, scene.own->words[side]);
		scene.own->was_told[side] |= r == SHMP_PEER_DEAD && !is_dead(side);
	}
}

static void check_messages(void)
{
	for (uint32_t from = 0; from < 2; from++) {
		for (uint64_t number = 1; number < NUMBERS; number++) {
			bool may = number == OWN && scene.sends[from] &&
				   scene.own->r[from] == UNTOLD;

			if (scene.own->sent[from][number] && number != SUCCESSOR_S)
				has_come(from, number);
			else if (!scene.own->sent[from][number])
				CHECK(!scene.own->got[from][number] || may);
		}
		/* of one who lives to one who does */
		if (scene.own->sent[from][SUCCESSOR_S] && !is_dead(1 - from))
			CHECK(scene.own->got[from][SUCCESSOR_S] == 1);
	}
}

/* As much as there is room for, both ways. */
static void converse(void)
{
	uint64_t words[ROOM], number[2] = { LATER, LATER };

	for (uint32_t from = 0; from < 2; from++) {
		while (send_number(from, number[from]) == SHMP_DONE)
			number[from]++;
		CHECK(number[from] == LATER + CAPACITY / 32 - 1);
	}
	for (uint32_t from = 0; from < 2; from++) {
		for (uint64_t i = LATER; i < number[from]; i++) {
			CHECK(receive_words(1 - from, words) == SHMP_DONE);
			CHECK(is_made_of(i, words));
		}
		CHECK(receive_words(1 - from, words) == SHMP_EMPTY);
	}
}

static void judge(void)
{
	const char *why;

	CHECK(shmp_pipe_kind.validate(&scene.segment.map, &why) == 0);
	note_acts();
	for (uint32_t side = 0; side < 2; side++)
		receive_all(side);
	for (uint32_t side = 0; side < 2; side++)
		CHECK(is_dead(side) || !is_dead(1 - side) || scene.own->was_told[side]);
	check_messages();
	converse();
	CHECK(shmp_pipe_kind.validate(&scene.segment.map, &why) == 0);
}

static void pair_in(enum pairs_way way, const char *name, uint32_t first, bool host_sends,
		    bool client_sends)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { [SHMP_PIPE_CAPACITY_BYTES] = CAPACITY };

	scene = (struct scene){ .own = pairs_memory(sizeof(*scene.own)),
				.sends = { host_sends, client_sends } };
	scene.pairs = (struct pairs){ .name = name,
				      .segment = &scene.segment,
				      .own = scene.own,
				      .own_bytes = sizeof(*scene.own),
				      .handle_bytes = offsetof(struct own, words),
				      .act = { { HOST, host_acts }, { CLIENT, client_acts } },
				      .take_up = take_up,
				      .move = move,
				      .judge = judge,
				      .way = "" };
	if (first == CLIENT) {
		scene.pairs.act[0] = (struct pairs_act){ CLIENT, client_acts };
		scene.pairs.act[1] = (struct pairs_act){ HOST, host_acts };
	}
	shmt_segment_make(&scene.segment, "pipe", option);
	take_up(HOST);
	take_up(CLIENT);
	for (uint32_t from = 0; from < 2; from++)
		for (uint64_t number = 1; number <= BEFORE; number++) {
			CHECK(send_number(from, number) == SHMP_DONE);
			scene.own->sent[from][number] = 1;
		}
	scene.own->r[0] = scene.own->r[1] = UNTOLD;
	pairs_go(&scene.pairs, way);
	shmt_segment_free(&scene.segment);
	munmap(scene.own, sizeof(*scene.own));
}

static void pair(enum pairs_way way)
{
	pair_in(way, "host sends, client receives", HOST, true, false);
	pair_in(way, "client receives, host sends", CLIENT, true, false);
	pair_in(way, "host receives, client sends", HOST, false, true);
	pair_in(way, "client sends, host receives", CLIENT, false, true);
	pair_in(way, "host and client send", HOST, true, true);
	pair_in(way, "client and host send", CLIENT, true, true);
	pair_in(way, "host and client receive", HOST, false, false);
	pair_in(way, "client and host receive", CLIENT, false, false);
}

PAIRS_TESTS

PAIRS_MAIN
