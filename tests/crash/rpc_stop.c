/*
 * A client of a service is stopped after every instruction of a look for his answer, while one worker
 * comes and the other one dies. There is always one: he is not told that there is none.
 */
#include "protocol/rpc.h"

#include <string.h>
#include <sys/mman.h>

#include "tests/crash/deaths.h"
#include "tests/support/runner.h"

enum {
	WORKER = 0,
	OTHER_WORKER = 1,
	CLIENT = 2,
};

/* Shared with who is stopped. */
struct stopped {
	struct shmp_rpc client;
	int r;
};

static struct scene {
	struct shmt_segment segment;
	struct stopped *stopped;
	uint32_t comes, dies;
	struct deaths deaths;
} scene;

#define CHECK(condition) DEATHS_CHECK(&scene.deaths, condition)

static void look(void *context)
{
	struct shmp_rpc_answer answer;

	(void)context;
	scene.stopped->r = shmp_rpc_receive(&scene.stopped->client, 0, &answer);
}

static void one_comes_and_the_other_dies(void *context)
{
	(void)context;
	shmt_place_assign(&scene.segment, scene.comes);
	shmt_place_vacate(&scene.segment, scene.dies, true, 1);
}

static void is_told_of_nothing(void *context)
{
	(void)context;
	CHECK(scene.stopped->r == SHMP_EMPTY);
	look(NULL);
	CHECK(scene.stopped->r == SHMP_EMPTY);
	shmt_place_vacate(&scene.segment, scene.comes, false, 1);
	look(NULL);
	CHECK(scene.stopped->r == SHMP_PEER_DEAD);
}

/* Whichever of the two places is looked at first. */
TEST(who_looks_while_workers_change_is_not_told_that_there_is_none, .rounds = 2, .timeout_s = 60)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { [SHMP_RPC_MESSAGE_BYTES_MAX] = 100,
					      [SHMP_RPC_CALLS] = 1,
					      [SHMP_RPC_WORKERS_MAX] = 2,
					      [SHMP_RPC_CLIENTS_MAX] = 1 };
	uint64_t id;

	scene = (struct scene){ .comes = (uint32_t)_i, .dies = 1 - (uint32_t)_i };
	scene.stopped = mmap(NULL, sizeof(*scene.stopped), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	SHMT_REQUIRE(scene.stopped != MAP_FAILED);
	shmt_segment_make(&scene.segment, "rpc", option);
	shmt_place_assign(&scene.segment, scene.dies);
	shmt_place_assign(&scene.segment, CLIENT);
	SHMT_REQUIRE(shmp_rpc_attach(&scene.segment.map, CLIENT, &scene.stopped->client) == 0);
	SHMT_REQUIRE(shmp_rpc_start(&scene.stopped->client, "x", 1, UINT64_MAX, &id) == SHMP_DONE);
	scene.deaths = (struct deaths){ .name = "receive, one worker comes and the other dies",
					.segment = &scene.segment,
					.own = scene.stopped,
					.own_bytes = sizeof(*scene.stopped),
					.operate = look,
					.meanwhile = one_comes_and_the_other_dies,
					.check = is_told_of_nothing };
	deaths_everywhere(&scene.deaths);
	shmt_segment_free(&scene.segment);
	munmap(scene.stopped, sizeof(*scene.stopped));
}

DEATHS_MAIN
