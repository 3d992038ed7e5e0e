/*
 * Clients that call, receive and cancel, and workers that answer or die with what they have in hand,
 * as threads that share one mapping, so that the thread sanitizer sees them. Every call that is not
 * cancelled is answered once, by bytes of its own.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "protocol/rpc.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"
#include "tests/support/segment.h"

enum {
	WORKERS = 2,
	CLIENTS = 2,
	CALLS = 4,
	WORDS = 8,
	ROUNDS = 50000
};

static struct shmt_segment segment;
static _Atomic uint32_t callers; /* who are not done yet */
static uint64_t seed;

struct side {
	struct shmp_rpc rpc;
	uint32_t place;
	uint64_t answered, cancelled;
	struct shmt_random random;
};

static void attach(struct side *side)
{
	shmt_place_assign(&segment, side->place);
	SHMT_REQUIRE(shmp_rpc_attach(&segment.map, side->place, &side->rpc) == 0);
}

static void fill(uint64_t *words, uint64_t first)
{
	for (uint64_t i = 0; i < WORDS; i++)
		words[i] = first + i;
}

static bool is_filled(const uint64_t *words, uint64_t first)
{
	for (uint64_t i = 0; i < WORDS; i++)
		if (words[i] != first + i)
			return false;
	return true;
}

static void take_answer(struct side *side)
{
	struct shmp_rpc_answer answer;
	int r = shmp_rpc_receive(&side->rpc, 0, &answer);

	if (r != SHMP_DONE) {
		SHMT_REQUIRE(r == SHMP_EMPTY || r == SHMP_RPC_STALE || r == SHMP_PEER_DEAD ||
			     r == SHMP_PEER_LEFT);
		sched_yield();
		return;
	}
	SHMT_REQUIRE(answer.size == sizeof(uint64_t[WORDS]));
	SHMT_REQUIRE(is_filled(answer.data, (answer.id << 8) + side->place + 1));
	SHMT_REQUIRE(shmp_rpc_release(&side->rpc, answer.id) == SHMP_DONE);
	side->answered++;
}

static void *call(void *context)
{
	struct side *side = context;
	uint64_t words[WORDS], id, started = 0;

	while (started < ROUNDS / shmt_scaled(1)) {
		void *room;

		if (shmp_rpc_reserve(&side->rpc, &room) == SHMP_DONE) {
			uint64_t next = shmp_rpc_id(side->rpc.filling - UINT64_C(1),
						    side->rpc.number + 1);

			fill(words, (next << 8) + side->place);
			memcpy(room, words, sizeof(words));
			SHMT_REQUIRE(shmp_rpc_post(&side->rpc, sizeof(words), UINT64_MAX, &id) ==
				     SHMP_DONE);
			SHMT_REQUIRE(id == next);
			started++;
			if (shmt_random_below(&side->random, 8) == 0) {
				SHMT_REQUIRE(shmp_rpc_release(&side->rpc, id) == SHMP_DONE);
				side->cancelled++;
			}
		}
		take_answer(side);
	}
	while (side->rpc.open != 0)
		take_answer(side);
	SHMT_REQUIRE(side->answered + side->cancelled == started);
	atomic_fetch_sub(&callers, 1);
	return NULL;
}

static void *work(void *context)
{
	struct side *side = context;
	struct shmp_rpc_request request;
	uint64_t words[WORDS];

	while (atomic_load(&callers) != 0) {
		int r = shmp_rpc_take(&side->rpc, &request);

		if (r != SHMP_DONE) {
			SHMT_REQUIRE(r == SHMP_EMPTY);
			sched_yield();
			continue;
		}
		/* dies and is followed by another; only the first, since repairs take turns */
		if (side->place == 0 && shmt_random_below(&side->random, 64) == 0) {
			shmt_place_vacate(&segment, side->place, true, 2);
			attach(side);
			continue;
		}
		SHMT_REQUIRE(request.size == sizeof(words));
		memcpy(words, request.data, sizeof(words));
		SHMT_REQUIRE(is_filled(words, words[0]));
		fill(words, words[0] + 1);
		r = shmp_rpc_answer(&side->rpc, &request, 0, words, sizeof(words));
		SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_RPC_STALE);
		side->answered += r == SHMP_DONE;
	}
	return NULL;
}

TEST(every_call_is_answered_once_or_cancelled, .timeout_s = 200)
{
	static struct side sides[WORKERS + CLIENTS];
	uint64_t option[SHMP_OPTIONS_MAX] = { sizeof(uint64_t[WORDS]), CALLS, WORKERS, CLIENTS, 1 };
	pthread_t thread[WORKERS + CLIENTS];
	struct shmp_rpc_counts counts;

	seed = shmt_seed();
	shmt_segment_make(&segment, "rpc", option);
	atomic_store(&callers, CLIENTS);
	for (uint32_t i = 0; i < WORKERS + CLIENTS; i++) {
		sides[i] = (struct side){ .place = i, .random = { seed + i } };
		attach(&sides[i]);
	}
	for (uint32_t i = 0; i < WORKERS + CLIENTS; i++)
		ck_assert_int_eq(
			pthread_create(&thread[i], NULL, i < WORKERS ? work : call, &sides[i]), 0);
	for (uint32_t i = 0; i < WORKERS + CLIENTS; i++)
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
	shmp_rpc_count(&segment.map, &counts);
	/* a worker may have ended with the end of a call that was cancelled in his hands */
	ck_assert_uint_eq(counts.of[SHMP_RPC_OPEN] + counts.of[SHMP_RPC_DONE], 0);
	ck_assert_uint_gt(counts.returned, 0);
	shmt_segment_free(&segment);
}

SHMT_MAIN
