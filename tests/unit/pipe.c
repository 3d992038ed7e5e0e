/* Who speaks with whom in a pipe, and what is stale. How a ring moves messages: spsc.c. */
#include "protocol/pipe.h"

#include "tests/support/pipe.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

#define HOST   SHMP_PIPE_HOST
#define CLIENT SHMP_PIPE_CLIENT

static uint64_t stale(const struct shmt_pipe *pipe, uint32_t sender)
{
	const struct shmp_pipe_control *control = pipe->segment.map.control;

	return atomic_load(&control->reader[sender].refused);
}

/* @from sends a message of its own size that says @number. */
static void send(struct shmt_pipe *pipe, uint32_t from, uint64_t number)
{
	ck_assert_int_eq(shmt_pipe_send(pipe, from, number % 100, number), SHMP_DONE);
}

static void expect(struct shmt_pipe *pipe, uint32_t to, uint64_t number, uint32_t flags)
{
	uint32_t got = 77;

	ck_assert_int_eq(shmt_pipe_receive(pipe, to, number % 100, number, &got), SHMP_DONE);
	ck_assert_uint_eq(got, flags);
}

static void expect_none(struct shmt_pipe *pipe, uint32_t to, int r)
{
	ck_assert_int_eq(shmt_pipe_receive(pipe, to, 0, 0, NULL), r);
}

/* What is told of the other side's end stays so, both ways. */
static void expect_ended(struct shmt_pipe *pipe, uint32_t role, int r)
{
	for (int i = 0; i < 3; i++) {
		expect_none(pipe, role, r);
		ck_assert_int_eq(shmt_pipe_send(pipe, role, 8, 0), r);
	}
}

TEST(messages_cross_both_ways_at_every_offset)
{
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	for (uint64_t number = 0; number < 3000; number++) {
		for (uint32_t role = 0; role < 2; role++)
			ck_assert_int_eq(shmt_pipe_send(&pipe, role, number % 71, number + role),
					 SHMP_DONE);
		for (uint32_t role = 0; role < 2; role++)
			ck_assert_int_eq(shmt_pipe_receive(&pipe, role, number % 71,
							   number + 1 - role, NULL),
					 SHMP_DONE);
	}
	expect_none(&pipe, HOST, SHMP_EMPTY);
	expect_none(&pipe, CLIENT, SHMP_EMPTY);
	shmt_pipe_free(&pipe);
}

TEST(a_full_direction_leaves_the_other_alone)
{
	struct shmt_pipe pipe;
	uint64_t count = 0;

	shmt_pipe_open(&pipe);
	while (shmt_pipe_send(&pipe, HOST, 0, 0) == SHMP_DONE)
		count++;
	ck_assert_uint_eq(count, (SHMT_PIPE_CAPACITY - 8) / 8);
	ck_assert_int_eq(shmt_pipe_send(&pipe, HOST, 0, 0), SHMP_FULL);
	ck_assert_int_eq(shmt_pipe_send(&pipe, CLIENT, SHMT_PIPE_LONGEST, 1), SHMP_DONE);
	ck_assert_int_eq(shmt_pipe_receive(&pipe, HOST, SHMT_PIPE_LONGEST, 1, NULL), SHMP_DONE);
	ck_assert_int_eq(shmt_pipe_send(&pipe, CLIENT, SHMT_PIPE_LONGEST + 1, 1), SHMP_TOO_BIG);
	while (count-- > 0)
		expect(&pipe, CLIENT, 0, 0);
	expect_none(&pipe, CLIENT, SHMP_EMPTY);
	shmt_pipe_free(&pipe);
}

TEST(reserve_batch_and_peek_work_either_way, .rounds = 2)
{
	uint32_t from = (uint32_t)_i, to = 1 - from;
	struct shmp_spsc_message messages[8];
	struct shmt_pipe pipe;
	uint64_t count = 0;
	uint8_t *room = NULL;

	shmt_pipe_open(&pipe);
	ck_assert_int_eq(shmp_pipe_reserve(&pipe.side[from], 50, &room), SHMP_DONE);
	memcpy(room, "abc", 3);
	shmp_spsc_commit(&pipe.side[from].out, 3);
	ck_assert_int_eq(shmp_pipe_batch_add(&pipe.side[from], "d", 1), SHMP_DONE);
	ck_assert_int_eq(shmp_pipe_batch_add(&pipe.side[from], "ef", 2), SHMP_DONE);
	shmp_spsc_batch_publish(&pipe.side[from].out);
	ck_assert_int_eq(shmp_pipe_peek(&pipe.side[to], messages, 8, &count), SHMP_DONE);
	ck_assert_uint_eq(count, 3);
	ck_assert_mem_eq(messages[0].data, "abc", 3);
	ck_assert_mem_eq(messages[2].data, "ef", 2);
	ck_assert_int_eq(shmp_spsc_release(&pipe.side[to].in, 3), SHMP_DONE);
	expect_none(&pipe, to, SHMP_EMPTY);
	shmt_pipe_free(&pipe);
}

TEST(what_is_sent_before_anybody_is_there_waits, .rounds = 2)
{
	uint32_t first = (uint32_t)_i, second = 1 - first;
	struct shmt_pipe pipe;

	shmt_pipe_make(&pipe);
	shmt_pipe_come(&pipe, first);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[first]), SHMP_EMPTY);
	send(&pipe, first, 1);
	send(&pipe, first, 2);
	expect_none(&pipe, first, SHMP_EMPTY);
	shmt_pipe_come(&pipe, second);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[first]), SHMP_DONE);
	expect(&pipe, second, 1, 0);
	send(&pipe, first, 3);
	send(&pipe, second, 4);
	expect(&pipe, second, 2, 0);
	expect(&pipe, second, 3, 0);
	expect(&pipe, first, 4, 0);
	shmt_pipe_free(&pipe);
}

TEST(who_is_awaited_for_ever_leaves_full_full, .rounds = 2)
{
	uint32_t role = (uint32_t)_i;
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	shmt_pipe_go(&pipe, HOST, true);
	shmt_pipe_go(&pipe, CLIENT, false);
	shmt_pipe_come(&pipe, role);
	while (shmt_pipe_send(&pipe, role, 1000, 1) == SHMP_DONE)
		;
	ck_assert_int_eq(shmt_pipe_send(&pipe, role, 1000, 1), SHMP_FULL);
	expect_none(&pipe, role, SHMP_EMPTY);
	shmt_pipe_free(&pipe);
}

TEST(all_that_was_sent_is_read_before_the_end_is_told, .rounds = 4)
{
	uint32_t gone = (uint32_t)_i % 2, role = 1 - gone;
	bool died = _i >= 2;
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	send(&pipe, gone, 1);
	send(&pipe, gone, 2);
	shmt_pipe_go(&pipe, gone, died);
	expect(&pipe, role, 1, 0);
	expect(&pipe, role, 2, 0);
	expect_ended(&pipe, role, died ? SHMP_PEER_DEAD : SHMP_PEER_LEFT);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[role]), SHMP_EMPTY);
	shmt_pipe_free(&pipe);
}

/* Also when the successor was there before anybody looked. */
TEST(the_end_is_told_whoever_came_since, .rounds = 4)
{
	uint32_t gone = (uint32_t)_i % 2, role = 1 - gone;
	bool died = _i >= 2;
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	send(&pipe, gone, 1);
	shmt_pipe_succeed(&pipe, gone, died);
	send(&pipe, gone, 2);
	expect(&pipe, role, 1, 0);
	expect_ended(&pipe, role, died ? SHMP_PEER_DEAD : SHMP_PEER_LEFT);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[role]), SHMP_DONE);
	expect(&pipe, role, 2, 0);
	send(&pipe, role, 3);
	expect(&pipe, gone, 3, 0);
	shmt_pipe_free(&pipe);
}

TEST(a_death_among_those_who_left_is_told, .rounds = 2)
{
	uint32_t gone = (uint32_t)_i, role = 1 - gone;
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	shmt_pipe_succeed(&pipe, gone, true);
	shmt_pipe_succeed(&pipe, gone, false);
	expect_ended(&pipe, role, SHMP_PEER_DEAD);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[role]), SHMP_DONE);
	shmt_pipe_succeed(&pipe, gone, false);
	expect_ended(&pipe, role, SHMP_PEER_LEFT);
	shmt_pipe_free(&pipe);
}

TEST(a_new_host_finds_nothing_of_the_session_before)
{
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	send(&pipe, CLIENT, 1);
	send(&pipe, CLIENT, 2);
	shmt_pipe_succeed(&pipe, HOST, true);
	expect_none(&pipe, HOST, SHMP_EMPTY);
	ck_assert_uint_eq(stale(&pipe, CLIENT), 2);
	shmt_pipe_free(&pipe);
}

/* The client has looked at the host's place, and publishes after that changed hands. */
TEST(what_was_on_its_way_to_a_dead_host_reaches_nobody)
{
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	shmt_pipe_succeed(&pipe, HOST, true);
	ck_assert_int_eq(shmp_spsc_push(&pipe.side[CLIENT].out, "late", 4), SHMP_DONE);
	expect_none(&pipe, HOST, SHMP_EMPTY);
	ck_assert_uint_eq(stale(&pipe, CLIENT), 1);
	expect_ended(&pipe, CLIENT, SHMP_PEER_DEAD);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[CLIENT]), SHMP_DONE);
	send(&pipe, CLIENT, 3);
	expect(&pipe, HOST, 3, 0);
	shmt_pipe_free(&pipe);
}

TEST(a_living_client_reads_the_old_session_to_its_end_and_no_further)
{
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	send(&pipe, HOST, 1);
	send(&pipe, HOST, 2);
	shmt_pipe_succeed(&pipe, HOST, true);
	send(&pipe, HOST, 3);
	expect(&pipe, CLIENT, 1, 0);
	/* it is told that the host died, and does not care for the rest */
	ck_assert_int_eq(shmt_pipe_send(&pipe, CLIENT, 8, 0), SHMP_PEER_DEAD);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[CLIENT]), SHMP_DONE);
	expect(&pipe, CLIENT, 3, 0);
	expect_none(&pipe, CLIENT, SHMP_EMPTY);
	ck_assert_uint_eq(stale(&pipe, HOST), 1);
	shmt_pipe_free(&pipe);
}

TEST(a_new_client_gets_the_session_of_now_only)
{
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	send(&pipe, HOST, 1);
	shmt_pipe_go(&pipe, CLIENT, true);
	shmt_pipe_succeed(&pipe, HOST, false);
	send(&pipe, HOST, 2);
	shmt_pipe_come(&pipe, CLIENT);
	expect(&pipe, CLIENT, 2, 0);
	expect_none(&pipe, CLIENT, SHMP_EMPTY);
	send(&pipe, CLIENT, 3);
	expect(&pipe, HOST, 3, 0);
	ck_assert_uint_eq(stale(&pipe, HOST), 1);
	shmt_pipe_free(&pipe);
}

TEST(a_new_client_goes_on_in_the_session_of_a_dead_one)
{
	struct shmp_spsc_message messages[2];
	struct shmt_pipe pipe;
	uint64_t count;

	shmt_pipe_open(&pipe);
	for (uint64_t number = 1; number <= 4; number++)
		send(&pipe, HOST, number);
	expect(&pipe, CLIENT, 1, 0);
	ck_assert_int_eq(shmp_pipe_peek(&pipe.side[CLIENT], messages, 2, &count), SHMP_DONE);
	shmt_pipe_succeed(&pipe, CLIENT, true);
	expect(&pipe, CLIENT, 2, SHMP_PIPE_REDELIVERED);
	expect(&pipe, CLIENT, 3, SHMP_PIPE_REDELIVERED);
	expect(&pipe, CLIENT, 4, 0);
	shmt_pipe_free(&pipe);
}

TEST(a_host_sends_to_a_dead_client_only_before_it_knows)
{
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	send(&pipe, HOST, 1);
	shmt_pipe_go(&pipe, CLIENT, true);
	ck_assert_int_eq(shmt_pipe_send(&pipe, HOST, 8, 2), SHMP_PEER_DEAD);
	shmt_pipe_come(&pipe, CLIENT);
	ck_assert_int_eq(shmt_pipe_send(&pipe, HOST, 8, 2), SHMP_PEER_DEAD);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[HOST]), SHMP_DONE);
	send(&pipe, HOST, 3);
	expect(&pipe, CLIENT, 1, 0);
	expect(&pipe, CLIENT, 3, 0);
	shmt_pipe_free(&pipe);
}

TEST(a_host_tells_clients_apart_that_follow_each_other)
{
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	for (uint64_t number = 1; number <= 3; number++) {
		send(&pipe, CLIENT, 10 * number);
		send(&pipe, CLIENT, 10 * number + 1);
		if (number < 3)
			shmt_pipe_succeed(&pipe, CLIENT, number == 1);
	}
	for (uint64_t number = 1; number <= 3; number++) {
		expect(&pipe, HOST, 10 * number, 0);
		expect(&pipe, HOST, 10 * number + 1, 0);
		if (number == 3)
			break;
		/* of one who was found gone it is known that somebody died since, not who */
		expect_ended(&pipe, HOST, SHMP_PEER_DEAD);
		ck_assert_int_eq(shmp_pipe_meet(&pipe.side[HOST]), SHMP_DONE);
	}
	expect_none(&pipe, HOST, SHMP_EMPTY);
	shmt_pipe_free(&pipe);
}

TEST(meeting_drops_what_is_unread_only_after_the_end_was_told)
{
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	send(&pipe, CLIENT, 1);
	send(&pipe, CLIENT, 2);
	shmt_pipe_succeed(&pipe, CLIENT, true);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[HOST]), SHMP_DONE);
	expect(&pipe, HOST, 1, 0);
	ck_assert_int_eq(shmt_pipe_send(&pipe, HOST, 8, 0), SHMP_PEER_DEAD);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[HOST]), SHMP_DONE);
	expect_none(&pipe, HOST, SHMP_EMPTY);
	ck_assert_uint_eq(stale(&pipe, CLIENT), 1);
	shmt_pipe_free(&pipe);
}

TEST(an_end_that_only_cut_a_batch_short_was_not_told, .rounds = 2)
{
	uint32_t role = (uint32_t)_i;
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	send(&pipe, 1 - role, 8);
	ck_assert_int_eq(shmp_pipe_batch_add(&pipe.side[role], "one", 3), SHMP_DONE);
	shmt_pipe_succeed(&pipe, 1 - role, false);
	ck_assert_int_ne(shmp_pipe_batch_add(&pipe.side[role], "two", 3), SHMP_DONE);
	shmp_spsc_batch_publish(&pipe.side[role].out);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[role]), SHMP_DONE);
	expect(&pipe, role, 8, 0);
	shmt_pipe_free(&pipe);
}

TEST(one_who_came_sent_and_went_is_met, .rounds = 2)
{
	uint32_t role = (uint32_t)_i, other = 1 - role;
	struct shmt_pipe pipe;

	shmt_pipe_make(&pipe);
	shmt_pipe_come(&pipe, role);
	shmt_pipe_come(&pipe, other);
	send(&pipe, other, 1);
	shmt_pipe_go(&pipe, other, false);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[role]), SHMP_DONE);
	expect(&pipe, role, 1, 0);
	expect_ended(&pipe, role, SHMP_PEER_LEFT);

	shmt_pipe_come(&pipe, other);
	send(&pipe, other, 2);
	shmt_pipe_go(&pipe, other, false);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[role]), SHMP_DONE);
	expect(&pipe, role, 2, 0);
	expect_ended(&pipe, role, SHMP_PEER_LEFT);

	/* and who came for nothing is not */
	shmt_pipe_come(&pipe, other);
	shmt_pipe_go(&pipe, other, false);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[role]), SHMP_EMPTY);
	shmt_pipe_come(&pipe, other);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[role]), SHMP_DONE);
	shmt_pipe_free(&pipe);
}

/* A client that comes after its host's end reads what that one left, then hears of it. */
TEST(a_client_that_comes_too_late_reads_what_is_left)
{
	struct shmt_pipe pipe;

	shmt_pipe_make(&pipe);
	shmt_pipe_come(&pipe, HOST);
	send(&pipe, HOST, 1);
	shmt_pipe_go(&pipe, HOST, true);
	shmt_pipe_come(&pipe, CLIENT);
	expect(&pipe, CLIENT, 1, 0);
	expect_ended(&pipe, CLIENT, SHMP_PEER_DEAD);
	shmt_pipe_go(&pipe, CLIENT, false);

	shmt_pipe_come(&pipe, CLIENT);
	send(&pipe, CLIENT, 2);
	shmt_pipe_come(&pipe, HOST);
	expect(&pipe, HOST, 2, 0);
	shmt_pipe_free(&pipe);
}

/* A dead client's messages, for the session that goes on, and its successor's behind them. */
TEST(a_successor_walks_over_the_messages_of_all_before)
{
	struct shmt_pipe pipe;
	uint64_t cursor;

	shmt_pipe_open(&pipe);
	send(&pipe, CLIENT, 1);
	shmt_pipe_succeed(&pipe, HOST, true);
	send(&pipe, HOST, 7);
	ck_assert_int_eq(shmt_pipe_send(&pipe, CLIENT, 8, 0), SHMP_PEER_DEAD);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[CLIENT]), SHMP_DONE);
	send(&pipe, CLIENT, 2);
	cursor = atomic_load(&pipe.segment.map.endpoints[CLIENT].cursor);
	send(&pipe, CLIENT, 3);
	atomic_store(&pipe.segment.map.endpoints[CLIENT].cursor, cursor);
	shmt_pipe_succeed(&pipe, CLIENT, true);
	send(&pipe, CLIENT, 4);
	expect(&pipe, HOST, 2, 0);
	expect(&pipe, HOST, 3, 0);
	expect_ended(&pipe, HOST, SHMP_PEER_DEAD);
	ck_assert_int_eq(shmp_pipe_meet(&pipe.side[HOST]), SHMP_DONE);
	expect(&pipe, HOST, 4, 0);
	expect(&pipe, CLIENT, 7, 0);
	shmt_pipe_free(&pipe);
}

/* The tags have the last bits of an incarnation only. */
TEST(many_sessions_and_clients_are_told_apart, .timeout_s = 30)
{
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	for (uint64_t i = 0; i < 70000; i++) {
		uint32_t role = i % 3 ? CLIENT : HOST;

		shmt_pipe_succeed(&pipe, role, false);
		ck_assert_int_eq(shmp_pipe_meet(&pipe.side[1 - role]), SHMP_DONE);
		SHMT_REQUIRE(shmt_pipe_send(&pipe, HOST, 8, i) == SHMP_DONE);
		SHMT_REQUIRE(shmt_pipe_send(&pipe, CLIENT, 16, i) == SHMP_DONE);
		SHMT_REQUIRE(shmt_pipe_receive(&pipe, HOST, 16, i, NULL) == SHMP_DONE);
		SHMT_REQUIRE(shmt_pipe_receive(&pipe, CLIENT, 8, i, NULL) == SHMP_DONE);
	}
	shmt_pipe_free(&pipe);
}

/* A client that sends what is stale for ever holds no call of the host's. */
TEST(nobody_is_held_by_what_is_stale)
{
	uint8_t payload[1000] = { 0 };
	struct shmt_pipe pipe;

	shmt_pipe_open(&pipe);
	pipe.side[CLIENT].out.mark = shmp_pipe_mark(CLIENT, 7, 1);
	for (int i = 0; i < 20; i++) {
		while (shmp_spsc_push(&pipe.side[CLIENT].out, payload, 1000) == SHMP_DONE)
			;
		expect_none(&pipe, HOST, SHMP_EMPTY);
	}
	ck_assert_uint_ge(stale(&pipe, CLIENT), 60);
	shmt_pipe_free(&pipe);
}

TEST(tags_that_nobody_can_have_are_corrupt, .rounds = 2)
{
	uint32_t role = (uint32_t)_i;
	uint64_t marks[] = { shmp_pipe_mark(role, 1, 2), shmp_pipe_mark(role, 2, 1),
			     SHMP_SPSC_PUBLISHED };
	struct shmt_pipe pipe;

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		bool is_stale = role == CLIENT && marks[i] != shmp_pipe_mark(role, 1, 2);

		shmt_pipe_open(&pipe);
		if (pipe.side[role].out.mark != marks[i]) {
			pipe.side[role].out.mark = marks[i];
			ck_assert_int_eq(shmp_spsc_push(&pipe.side[role].out, "x", 1), SHMP_DONE);
			expect_none(&pipe, 1 - role, is_stale ? SHMP_EMPTY : -EBADMSG);
		}
		shmt_pipe_free(&pipe);
	}
}

/* Looking */

struct seen {
	uint64_t count;
	int64_t endpoint[16];
	uint64_t size[16], position[16];
	bool is_stale[16];
};

static int see(void *context, const struct shmp_item *item)
{
	struct seen *seen = context;

	ck_assert_str_eq(item->what, "message");
	seen->endpoint[seen->count] = item->endpoint;
	seen->size[seen->count] = item->size;
	seen->position[seen->count] = item->position;
	seen->is_stale[seen->count++] = strcmp(item->state, "stale") == 0;
	return 0;
}

static struct seen look(const struct shmt_pipe *pipe, struct shmp_look *look)
{
	struct seen seen = { 0 };

	ck_assert_int_eq(pipe->segment.kind->look(&pipe->segment.map, look, see, &seen), 0);
	return seen;
}

TEST(a_look_shows_both_directions_and_goes_on_where_it_was)
{
	struct shmp_look from = { .max = 16 };
	struct shmt_pipe pipe;
	struct seen seen;

	shmt_pipe_open(&pipe);
	send(&pipe, HOST, 1);
	send(&pipe, CLIENT, 2);
	send(&pipe, HOST, 3);
	seen = look(&pipe, &from);
	ck_assert_uint_eq(seen.count, 3);
	ck_assert_int_eq(seen.endpoint[0], HOST);
	ck_assert_uint_eq(seen.size[1], 3);
	ck_assert_int_eq(seen.endpoint[2], CLIENT);
	ck_assert_uint_lt(seen.position[0], seen.position[1]);
	ck_assert_uint_lt(seen.position[1], seen.position[2]);
	ck_assert_uint_eq(look(&pipe, &from).count, 0);
	send(&pipe, CLIENT, 4);
	seen = look(&pipe, &from);
	ck_assert_uint_eq(seen.count, 1);
	ck_assert_uint_eq(seen.size[0], 4);
	ck_assert_uint_eq(from.missed, 0);
	shmt_pipe_free(&pipe);
}

TEST(a_look_begins_where_an_item_was)
{
	struct shmp_look from = { .max = 2 };
	struct shmt_pipe pipe;
	struct seen all;

	shmt_pipe_open(&pipe);
	for (uint64_t number = 1; number <= 2; number++) {
		send(&pipe, HOST, number);
		send(&pipe, CLIENT, 10 + number);
	}
	ck_assert_uint_eq(look(&pipe, &from).count, 2);
	all = look(&pipe, &from);
	ck_assert_uint_eq(all.count, 2);
	ck_assert_uint_eq(all.size[0], 11);
	from = (struct shmp_look){ .max = 16, .from = all.position[1] };
	all = look(&pipe, &from);
	ck_assert_uint_eq(all.count, 1);
	ck_assert_uint_eq(all.size[0], 12);
	from = (struct shmp_look){ .max = 16, .from = SHMP_LOOK_NEWEST };
	ck_assert_uint_eq(look(&pipe, &from).count, 0);
	send(&pipe, HOST, 5);
	ck_assert_uint_eq(look(&pipe, &from).count, 1);
	shmt_pipe_free(&pipe);
}

TEST(a_look_counts_what_it_missed_and_says_what_is_stale)
{
	struct shmp_look from = { .max = 16, .from = SHMP_LOOK_NEWEST };
	struct shmt_pipe pipe;
	struct seen seen;

	shmt_pipe_open(&pipe);
	send(&pipe, HOST, 8);
	expect(&pipe, CLIENT, 8, 0);
	look(&pipe, &from);
	send(&pipe, HOST, 8);
	expect(&pipe, CLIENT, 8, 0);
	send(&pipe, HOST, 9);
	shmt_pipe_go(&pipe, CLIENT, false);
	shmt_pipe_succeed(&pipe, HOST, false);
	send(&pipe, HOST, 10);
	seen = look(&pipe, &from);
	ck_assert_uint_eq(from.missed, 16);
	ck_assert_uint_eq(seen.count, 2);
	ck_assert(seen.is_stale[0] && !seen.is_stale[1]);
	shmt_pipe_free(&pipe);
}

/* What is for the next host waits for it; what was for one that has gone is nobody's. */
TEST(a_look_knows_for_which_host_a_message_is)
{
	struct shmt_pipe pipe;
	struct shmp_look all = { .max = UINT64_MAX };

	shmt_pipe_make(&pipe);
	shmt_pipe_come(&pipe, CLIENT);
	send(&pipe, CLIENT, 8);
	ck_assert(!look(&pipe, &all).is_stale[0]);
	shmt_pipe_come(&pipe, HOST);
	all.from = SHMP_LOOK_OLDEST;
	ck_assert(!look(&pipe, &all).is_stale[0]);
	shmt_pipe_go(&pipe, HOST, true);
	all.from = SHMP_LOOK_OLDEST;
	ck_assert(look(&pipe, &all).is_stale[0]);
	shmt_pipe_free(&pipe);
}

/* Geometry */

static int plan(uint64_t capacity, uint64_t message_max, uint64_t host_bytes, uint64_t client_bytes)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { [SHMP_PIPE_CAPACITY_BYTES] = capacity,
					      [SHMP_PIPE_MESSAGE_BYTES_MAX] = message_max,
					      [SHMP_PIPE_HOST_BYTES] = host_bytes,
					      [SHMP_PIPE_CLIENT_BYTES] = client_bytes };
	struct shmp_plan plan;
	const char *why = NULL;
	int r = shmp_pipe_kind.plan(option, &plan, &why);

	ck_assert(r == 0 ? plan.data_bytes % (2 * plan.option[0]) == 0 && plan.rings == 2 :
			   why != NULL);
	return r - 1;
}

TEST(options_that_contradict_are_refused_by_name)
{
	ck_assert_int_eq(plan(0, 0, 0, 0), -1);
	ck_assert_int_eq(plan(4097, 0, 0, 0), -1);
	ck_assert_int_eq(plan(4096, 4081, 0, 0), SHMP_PIPE_MESSAGE_BYTES_MAX);
	ck_assert_int_eq(plan(4096, 100, 101, 0), SHMP_PIPE_HOST_BYTES);
	ck_assert_int_eq(plan(4096, 100, 100, 101), SHMP_PIPE_CLIENT_BYTES);
	ck_assert_int_eq(plan(4096, 100, 100, 100), -1);
}

TEST(who_was_dead_when_he_was_met_is_told_dead_behind_his_successor)
{
	struct shmt_pipe pipe;

	shmt_pipe_make(&pipe);
	shmt_pipe_come(&pipe, SHMP_PIPE_HOST);
	ck_assert_int_eq(shmt_pipe_send(&pipe, SHMP_PIPE_HOST, 8, 1), SHMP_DONE);
	shmt_pipe_go(&pipe, SHMP_PIPE_HOST, true);
	shmt_pipe_come(&pipe, SHMP_PIPE_CLIENT);
	shmt_pipe_come(&pipe, SHMP_PIPE_HOST);
	ck_assert_int_eq(shmt_pipe_receive(&pipe, SHMP_PIPE_CLIENT, 8, 1, NULL), SHMP_DONE);
	ck_assert_int_eq(shmt_pipe_receive(&pipe, SHMP_PIPE_CLIENT, 8, 1, NULL), SHMP_PEER_DEAD);
	shmt_pipe_free(&pipe);
}

SHMT_MAIN
