/*
 * A host or a client is stopped after every instruction of receiving, meeting and coming, while others
 * come to the other side, send something and go. Nothing of it is lost, or nonsense, to who goes on.
 */
#include "protocol/pipe.h"

#include <string.h>
#include <sys/mman.h>

#include "tests/crash/deaths.h"
#include "tests/support/pipe.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

#define HOST   SHMP_PIPE_HOST
#define CLIENT SHMP_PIPE_CLIENT

enum {
	SIZE = 24,
	LOOKS_MAX = 30,
};

/* Shared with who is stopped. */
struct stopped {
	struct shmp_pipe side;
	int r;
	uint8_t buffer[SHMT_PIPE_LONGEST];
	struct shmp_spsc_message message;
};

static struct scene {
	struct shmt_pipe pipe;
	struct stopped *stopped;
	uint32_t role;
	uint64_t sent;	/* by the other side, numbered from 0 */
	uint64_t stale; /* the first that must come */
	uint64_t next;	/* the first that has not come */
	struct deaths deaths;
} scene;

#define CHECK(condition) DEATHS_CHECK(&scene.deaths, condition)

static uint32_t other(void)
{
	return 1 - scene.role;
}

static void other_sends(void)
{
	CHECK(shmt_pipe_send(&scene.pipe, other(), SIZE, scene.sent++) == SHMP_DONE);
}

/* What a host sends to nobody is nobody's any more. */
static void other_is_succeeded(bool died)
{
	shmt_pipe_succeed(&scene.pipe, other(), died);
	if (other() == HOST)
		scene.stale = scene.sent;
}

/* Operations */

static void receive(void *context)
{
	struct stopped *stopped = scene.stopped;

	(void)context;
	stopped->r = shmp_pipe_pop(&stopped->side, stopped->buffer, sizeof(stopped->buffer),
				   &stopped->message);
}

static void meet(void *context)
{
	(void)context;
	scene.stopped->r = shmp_pipe_meet(&scene.stopped->side);
}

static void come(void *context)
{
	(void)context;
	scene.stopped->r = shmp_pipe_attach(&scene.pipe.map[scene.role], scene.role,
					    &scene.stopped->side);
}

/* Afterwards */

/* A message came: the next one, or one that is not stale. */
static void take_note(void)
{
	CHECK(scene.stopped->message.size == SIZE);
	while (scene.next < scene.sent && !shmt_message_is(scene.stopped->buffer, SIZE, scene.next))
		scene.next++;
	CHECK(scene.next < scene.sent);
	scene.next++;
}

/* Receives and meets until there is nothing any more. */
static void go_on(void)
{
	for (int looks = 0; looks < LOOKS_MAX; looks++) {
		uint64_t expected = scene.next > scene.stale ? scene.next : scene.stale;

		receive(NULL);
		if (scene.stopped->r == SHMP_DONE) {
			take_note();
			CHECK(scene.next <= expected + 1);
			continue;
		}
		CHECK(scene.stopped->r == SHMP_EMPTY || scene.stopped->r == SHMP_PEER_DEAD ||
		      scene.stopped->r == SHMP_PEER_LEFT);
		meet(NULL);
		CHECK(scene.stopped->r == SHMP_DONE || scene.stopped->r == SHMP_EMPTY);
		if (scene.stopped->r == SHMP_EMPTY)
			break;
	}
}

/* All that counts has come, and more comes from whoever is next. */
static void check(void *context)
{
	(void)context;
	CHECK(scene.stopped->r >= 0);
	if (scene.deaths.operate == receive && scene.stopped->r == SHMP_DONE)
		take_note();
	go_on();
	CHECK(scene.next == scene.sent);
	if (shmp_endpoint_is_open(shmp_endpoint_look(&scene.pipe.segment.map.endpoints[other()])))
		shmt_pipe_come(&scene.pipe, other());
	else
		other_is_succeeded(false);
	other_sends();
	go_on();
	CHECK(scene.next == scene.sent);
}

/* Meanwhile */

static struct scene before;

static void begin_again(void)
{
	scene.pipe.side[other()] = before.pipe.side[other()];
	scene.sent = before.sent;
	scene.stale = before.stale;
	scene.next = before.next;
}

static void another_comes_and_sends(void *context)
{
	(void)context;
	begin_again();
	other_sends();
	other_is_succeeded(true);
	other_sends();
}

static void another_comes_at_once(void *context)
{
	(void)context;
	begin_again();
	other_is_succeeded(false);
	other_sends();
}

static void it_sends_and_leaves(void *context)
{
	(void)context;
	begin_again();
	other_sends();
	shmt_pipe_go(&scene.pipe, other(), false);
}

static void one_comes_sends_and_leaves(void *context)
{
	(void)context;
	begin_again();
	shmt_pipe_come(&scene.pipe, other());
	other_sends();
	shmt_pipe_go(&scene.pipe, other(), false);
}

/* Before */

static void open_for(uint32_t role)
{
	scene = (struct scene){ .role = role };
	scene.stopped = mmap(NULL, sizeof(*scene.stopped), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	SHMT_REQUIRE(scene.stopped != MAP_FAILED);
	shmt_pipe_open(&scene.pipe);
	scene.stopped->side = scene.pipe.side[role];
}

static void stop_in(const char *name, void (*operate)(void *context),
		    void (*meanwhile)(void *context))
{
	static const char *const roles[] = { "host", "client" };
	char text[80];

	before = scene;
	snprintf(text, sizeof(text), "%s, %s", name, roles[scene.role]);
	scene.deaths = (struct deaths){ .name = text,
					.segment = &scene.pipe.segment,
					.own = scene.stopped,
					.own_bytes = sizeof(*scene.stopped),
					.operate = operate,
					.meanwhile = meanwhile,
					.check = check };
	deaths_everywhere(&scene.deaths);
	shmt_pipe_free(&scene.pipe);
	munmap(scene.stopped, sizeof(*scene.stopped));
}

#define BOTH .rounds = 2, .timeout_s = 60

TEST(who_receives_while_another_comes_hears_of_both, BOTH)
{
	open_for((uint32_t)_i);
	stop_in("receive, another comes", receive, another_comes_and_sends);
}

TEST(who_receives_while_one_is_succeeded_hears_of_it, BOTH)
{
	open_for((uint32_t)_i);
	stop_in("receive, another comes at once", receive, another_comes_at_once);
}

TEST(who_receives_gets_what_the_other_sent_before_it_left, BOTH)
{
	open_for((uint32_t)_i);
	stop_in("receive, the other sends and leaves", receive, it_sends_and_leaves);
}

/* The first one has gone, and that was told; the second is there. */
static void with_a_second(uint32_t role)
{
	open_for(role);
	other_is_succeeded(true);
	receive(NULL);
	SHMT_REQUIRE(scene.stopped->r == SHMP_PEER_DEAD);
}

TEST(who_meets_one_that_leaves_gets_what_it_sent, BOTH)
{
	with_a_second((uint32_t)_i);
	stop_in("meet, it sends and leaves", meet, it_sends_and_leaves);
}

TEST(who_meets_one_that_is_succeeded_hears_of_both, BOTH)
{
	with_a_second((uint32_t)_i);
	stop_in("meet, another comes", meet, another_comes_and_sends);
}

TEST(who_comes_gets_what_one_sent_that_came_and_left, BOTH)
{
	open_for((uint32_t)_i);
	shmt_pipe_go(&scene.pipe, other(), false);
	shmt_pipe_go(&scene.pipe, scene.role, false);
	shmt_place_assign(&scene.pipe.segment, scene.role);
	stop_in("attach, one comes and leaves", come, one_comes_sends_and_leaves);
}

DEATHS_MAIN
