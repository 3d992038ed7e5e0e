/*
 * The host and the client of a pipe both die in the middle of a public call; see couple.h. When a
 * client comes first it gets all that the dead host had sent and the dead client had not taken; when
 * a host does, the session is over, and nobody gets anything of it. Then both directions go on.
 */
#include <string.h>

#include "tests/crash/couple.h"
#include "tests/support/pipe_client.h"

enum {
	CAPACITY = 4096,
	WORDS = 6,
	BYTES = WORDS * 8,
	HOST = 0, /* the sides */
	CLIENT = 1,
	THERE = 4, /* messages that each side has sent before, numbers from 0 on */
	OWN = 3,
	NUMBERS = THERE + OWN,
};

struct act {
	void (*prepare)(void);
	void (*operate)(void);
	uint64_t sends; /* all of them or none */
	/* of what was there, */
	uint64_t held;	/* shown before the call, */
	uint64_t shown; /* by its end, */
	uint64_t taken; /* and taken by its end */
};

static struct scene {
	struct couple couple;
	const struct act *act[2];
	uint64_t (*witness)[WORDS]; /* received to */
	/* a child's */
	unsigned self;
	struct shmc_pipe *own;
	void *room;
} scene;

#define CHECK(condition_) COUPLE_CHECK(&scene.couple, condition_)

static void fill(uint64_t *words, unsigned side, uint64_t number)
{
	words[0] = side;
	for (uint64_t i = 1; i < WORDS; i++)
		words[i] = number * 1000 + i;
}

static bool is_message(const void *data, uint64_t size, unsigned side, uint64_t number)
{
	uint64_t words[WORDS];

	fill(words, side, number);
	return size == BYTES && memcmp(data, words, BYTES) == 0;
}

static enum shmc_result send_number(struct shmc_pipe *pipe, unsigned side, uint64_t number)
{
	uint64_t words[WORDS];

	fill(words, side, number);
	return shmc_pipe_send(pipe, words, BYTES, SHMC_TRY);
}

/* The successors */

static struct shmc_pipe *succeed(enum shmc_pipe_role role)
{
	struct shmc_pipe *pipe = NULL;

	COUPLE_SUCCEED(&scene.couple,
		       shmc_pipe_open(scene.couple.client, "pipe", role, NULL, &pipe, NULL));
	return pipe;
}

static bool is_touched(unsigned side)
{
	for (int i = 0; i < WORDS; i++)
		if (scene.witness[side][i] != UINT64_MAX)
			return true;
	return false;
}

static void check_flags(uint64_t number, uint32_t flags)
{
	const struct act *act = scene.act[CLIENT];
	bool must_be = number < act->held ||
		       (scene.couple.has_ended[CLIENT] && number < act->shown) ||
		       (number == 0 && is_touched(CLIENT));

	CHECK(flags == 0 || flags == SHMC_REDELIVERED);
	CHECK(number < act->shown || flags == 0);
	CHECK(!must_be || flags == SHMC_REDELIVERED);
}

/* All that the dead host sent and the dead client did not take, once; then that he is dead. */
static void client_reads(struct shmc_pipe *pipe)
{
	uint64_t number = 0, words[WORDS], sent;
	struct shmc_message message;
	enum shmc_result result;
	bool is_first = true;

	while ((result = shmc_pipe_receive(pipe, words, BYTES, COUPLE_SOON_NS, &message)) ==
	       SHMC_OK) {
		while (is_first && !is_message(words, message.size, HOST, number))
			CHECK(++number <= scene.act[CLIENT]->taken);
		CHECK(!is_first || !scene.couple.has_ended[CLIENT] ||
		      number == scene.act[CLIENT]->taken);
		is_first = false;
		CHECK(number < NUMBERS && is_message(words, message.size, HOST, number));
		check_flags(number, message.flags);
		number++;
	}
	CHECK(result == SHMC_PEER_DEAD && number >= THERE);
	sent = number - THERE;
	CHECK(sent == 0 || sent == scene.act[HOST]->sends);
	CHECK(!scene.couple.has_ended[HOST] || sent == scene.act[HOST]->sends);
	CHECK(send_number(pipe, CLIENT, 0) == SHMC_PEER_DEAD);
}

static void find_nothing(struct shmc_pipe *pipe)
{
	struct shmc_message message;

	CHECK(shmc_pipe_peek(pipe, SHMC_TRY, &message) == SHMC_EMPTY);
}

static void go_on(struct shmc_pipe *from, struct shmc_pipe *to, unsigned side)
{
	struct shmc_message message;
	uint64_t words[WORDS];

	for (uint64_t number = 0; number < 100; number++) {
		CHECK(send_number(from, side, number) == SHMC_OK);
		CHECK(shmc_pipe_try_receive(to, words, BYTES, &message) == SHMC_OK);
		CHECK(is_message(words, message.size, side, number) && message.flags == 0);
	}
	for (uint64_t number = 0; number < (CAPACITY - 8) / (BYTES + 8); number++)
		CHECK(send_number(from, side, number) == SHMC_OK);
	CHECK(send_number(from, side, 0) == SHMC_FULL);
}

static void check(void)
{
	struct shmc_pipe *host = NULL, *client;
	bool is_host_late = scene.couple.turn & 1;

	if (!is_host_late) {
		host = succeed(SHMC_PIPE_HOST);
		find_nothing(host);
	}
	client = succeed(SHMC_PIPE_CLIENT);
	if (is_host_late) {
		client_reads(client);
		host = succeed(SHMC_PIPE_HOST);
		find_nothing(host);
		CHECK(shmc_pipe_wait_peer(client, SHMC_TRY) == SHMC_OK);
	}
	find_nothing(client);
	go_on(host, client, HOST);
	go_on(client, host, CLIENT);
	shmc_pipe_close(host);
	shmc_pipe_close(client);
}

/* Before */

static void set_up(void)
{
	shmt_create_pipe(scene.couple.client, CAPACITY);
	scene.witness = couple_memory(2 * sizeof(*scene.witness));
}

static void tear_down(void)
{
	shmt_assert_ok(shmc_unlink(scene.couple.client, "pipe", NULL));
}

static void prepare(unsigned side)
{
	scene.self = side;
	scene.own = shmt_open_pipe(shmt_connect(&scene.couple.broker),
				   side == HOST ? SHMC_PIPE_HOST : SHMC_PIPE_CLIENT);
	for (uint64_t number = 0; number < THERE; number++)
		CHECK(send_number(scene.own, side, number) == SHMC_OK);
	if (scene.act[side]->prepare)
		scene.act[side]->prepare();
}

static void host_prepares(void)
{
	prepare(HOST);
}

static void client_prepares(void)
{
	prepare(CLIENT);
}

static void die_in(const char *name, const struct act *host, const struct act *client)
{
	scene = (struct scene){ .act = { host, client } };
	scene.couple = (struct couple){
		.name = name,
		.side = { { .prepare = host_prepares, .operate = host->operate },
			  { .prepare = client_prepares, .operate = client->operate } },
		.set_up = set_up,
		.check = check,
		.tear_down = tear_down
	};
	couple_everywhere(&scene.couple);
}

/* Calls */

static void send_one(void)
{
	send_number(scene.own, scene.self, THERE);
}

static void send_batch(void)
{
	uint64_t payload[OWN][WORDS];
	struct shmc_bytes messages[OWN];
	uint64_t count;

	for (size_t i = 0; i < OWN; i++) {
		fill(payload[i], scene.self, THERE + i);
		messages[i] = (struct shmc_bytes){ .data = payload[i], .size = BYTES };
	}
	shmc_pipe_send_batch(scene.own, messages, OWN, SHMC_TRY, &count);
}

static void reserve(void)
{
	if (shmc_pipe_reserve(scene.own, BYTES, SHMC_TRY, &scene.room) == SHMC_OK)
		fill(scene.room, scene.self, THERE);
}

static void commit(void)
{
	shmc_pipe_commit(scene.own, BYTES);
}

static void receive_one(void)
{
	struct shmc_message message;

	shmc_pipe_receive(scene.own, scene.witness[scene.self], BYTES, SHMC_TRY, &message);
}

static void peek_batch(void)
{
	struct shmc_message messages[3];
	uint64_t count;

	shmc_pipe_peek_batch(scene.own, messages, 3, SHMC_TRY, &count);
}

static void release_2(void)
{
	shmc_pipe_release(scene.own, 2);
}

/* What was there is the answer. */
static void call(void)
{
	uint64_t words[WORDS];
	struct shmc_message message;

	fill(words, scene.self, THERE);
	shmc_pipe_call(scene.own, words, BYTES, scene.witness[scene.self], BYTES, COUPLE_SOON_NS,
		       &message);
}

static const struct act sends = { .operate = send_one, .sends = 1 };
static const struct act sends_a_batch = { .operate = send_batch, .sends = OWN };
static const struct act commits = { .prepare = reserve, .operate = commit, .sends = 1 };
static const struct act receives = { .operate = receive_one, .shown = 1, .taken = 1 };
static const struct act releases = {
	.prepare = peek_batch, .operate = release_2, .held = 3, .shown = 3, .taken = 2
};
static const struct act calls = { .operate = call, .sends = 1, .shown = 1, .taken = 1 };

TEST(host_and_client_die_sending_and_receiving, .timeout_s = 60)
{
	die_in("shmc_pipe_send, host, and shmc_pipe_receive, client", &sends, &receives);
	die_in("shmc_pipe_receive, host, and shmc_pipe_send, client", &receives, &sends);
	die_in("shmc_pipe_commit, host, and shmc_pipe_release, client", &commits, &releases);
}

TEST(host_and_client_die_while_both_send, .timeout_s = 60)
{
	die_in("shmc_pipe_send_batch, host, and shmc_pipe_send, client", &sends_a_batch, &sends);
}

TEST(host_and_client_die_while_one_calls_and_the_other_answers, .timeout_s = 60)
{
	die_in("shmc_pipe_send, host, and shmc_pipe_call, client", &sends, &calls);
}

COUPLE_MAIN
