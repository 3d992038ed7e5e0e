/*
 * Rings through the library, with a real broker: a producer or a consumer dies after every instruction
 * of a public call. What was pushed is there, all or nothing; what was in a dead consumer's hands comes
 * again; totals stay exact. (Doorbells are rung as in client_spsc.c, by the same code.)
 */
#include <string.h>

#include "tests/crash/sweep.h"

enum {
	ELEMENTS = 16,
	BEFORE = 4, /* elements that the child has pushed before */
	THERE = 6,  /* elements that the child finds */
	OWN_MAX = 3,
};

struct element {
	uint64_t number, word[2];
};

struct act {
	const char *name;
	void (*prepare)(void *scene);
	void (*operate)(void *scene);
	uint64_t sends; /* elements: all of them or none */
	bool is_full;	/* it pushes over the oldest */
	/* of THERE elements, */
	uint64_t held;	/* shown before the call, */
	uint64_t shown; /* by its end, */
	uint64_t taken; /* and taken by its end */
	bool is_skip;
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	enum shmc_ring_role role; /* the child's */
	struct shmc_ring *ring;	  /* the parent's end */
	struct element *witness;
	const struct act *act;
	struct sweep sweep;
	/* the child's */
	struct shmc_ring *own;
	struct element payload[OWN_MAX];
	void *room;
};

#define CHECK(condition) SWEEP_CHECK(&scene->sweep, condition)

static struct element element_of(uint64_t number)
{
	return (struct element){ number, { ~number, number * 3 } };
}

static bool is_element(const struct element *element, uint64_t number)
{
	struct element expected = element_of(number);

	return memcmp(element, &expected, sizeof(expected)) == 0;
}

static enum shmc_result open_ring(struct shmc_client *client, enum shmc_ring_role role,
				  struct shmc_ring **ret_ring)
{
	return shmc_ring_open(client, "ring", role, NULL, ret_ring, NULL);
}

static void push(struct scene *scene, struct shmc_ring *ring, uint64_t first, uint64_t count)
{
	struct element elements[ELEMENTS];
	uint64_t went;

	for (uint64_t i = 0; i < count; i++)
		elements[i] = element_of(first + i);
	CHECK(shmc_ring_push(ring, elements, count, count, SHMC_TRY, &went) == SHMC_OK);
}

static struct shmc_ring_totals totals_of(struct scene *scene, const struct shmc_ring *ring)
{
	struct shmc_ring_totals totals;

	CHECK(shmc_ring_totals(ring, &totals) == SHMC_OK);
	CHECK(totals.pushed == totals.popped + totals.skipped + totals.overwritten + totals.depth);
	return totals;
}

/* As many as there are, each what its position says. */
static enum shmc_result pop(struct scene *scene, struct shmc_ring *ring, int64_t timeout_ns,
			    struct shmc_ring_span *ret_span)
{
	struct element elements[ELEMENTS];
	enum shmc_result result = shmc_ring_pop(ring, elements, ELEMENTS, 1, timeout_ns, ret_span);

	for (uint64_t i = 0; result == SHMC_OK && i < ret_span->count; i++)
		CHECK(is_element(&elements[i], ret_span->position + i));
	return result;
}

/* Laps in bulks, from position @number on; then all of it can be used. */
static void go_on(struct scene *scene, struct shmc_ring *producer, struct shmc_ring *consumer,
		  uint64_t number)
{
	struct shmc_ring_span span;
	uint64_t went;

	for (uint64_t bulk = 1; bulk < ELEMENTS; number += bulk, bulk++) {
		push(scene, producer, number, bulk);
		CHECK(pop(scene, consumer, SHMC_TRY, &span) == SHMC_OK);
		CHECK(span.count == bulk && span.position == number && span.redelivered == 0 &&
		      span.lost == 0);
	}
	push(scene, producer, number, ELEMENTS);
	CHECK(shmc_ring_push(producer, &span, 1, 1, SHMC_TRY, &went) == SHMC_FULL);
}

/* After the death of a producer */

static void read_and_succeed(struct scene *scene)
{
	uint64_t before = scene->act->is_full ? ELEMENTS : BEFORE, first, end = 0, sent;
	struct shmc_ring_span span = { .count = 0 };
	struct shmc_ring_totals totals;
	struct shmc_ring *successor;
	enum shmc_result result;

	/* what it is told last is that; until then elements */
	result = pop(scene, scene->ring, SWEEP_SOON_NS, &span);
	CHECK(result == SHMC_OK);
	first = span.position;
	end = first + span.count;
	CHECK(span.lost == first);
	CHECK(pop(scene, scene->ring, SWEEP_SOON_NS, &span) == SHMC_PEER_DEAD);
	sent = end - before;
	CHECK(sent == 0 || sent == scene->act->sends);
	CHECK(!scene->sweep.has_ended || sent == scene->act->sends);
	/* what was to be written over may be gone already */
	CHECK(first == (scene->act->is_full ? sent : 0) ||
	      (scene->act->is_full && sent == 0 && first == scene->act->sends));
	totals = totals_of(scene, scene->ring);
	CHECK(totals.pushed == end && totals.overwritten == first && totals.depth == 0);
	SWEEP_SUCCEED(&scene->sweep, open_ring(scene->client, SHMC_RING_PRODUCER, &successor));
	go_on(scene, successor, scene->ring, end);
	totals_of(scene, successor);
	shmc_ring_close(successor);
}

/* After the death of a consumer */

static bool is_touched(const struct scene *scene)
{
	return scene->witness->number != UINT64_MAX;
}

static void succeed_and_read(struct scene *scene)
{
	const struct act *act = scene->act;
	struct shmc_ring_totals totals;
	struct shmc_ring_span span;
	struct shmc_ring *successor;
	uint64_t shown;

	SWEEP_SUCCEED(&scene->sweep, open_ring(scene->client, SHMC_RING_CONSUMER, &successor));
	totals = totals_of(scene, successor);
	CHECK(pop(scene, successor, SHMC_TRY, &span) == SHMC_OK);
	CHECK(span.position == 0 || span.position == act->taken);
	CHECK(!scene->sweep.has_ended || span.position == act->taken);
	CHECK(span.position + span.count == THERE);
	CHECK(totals.depth == span.count && totals.overwritten == 0);
	CHECK(totals.skipped == (act->is_skip ? span.position : 0));
	/* what was seen of it comes flagged, and nothing else does */
	shown = act->shown > span.position ? act->shown - span.position : 0;
	CHECK(span.redelivered <= shown);
	if (act->held != 0 || scene->sweep.has_ended || is_touched(scene))
		CHECK(span.redelivered == shown);
	go_on(scene, scene->ring, successor, THERE);
	shmc_ring_close(successor);
}

static void check(void *context)
{
	struct scene *scene = context;

	if (scene->role == SHMC_RING_PRODUCER)
		read_and_succeed(scene);
	else
		succeed_and_read(scene);
}

/* Before it */

static void set_up(void *context)
{
	struct scene *scene = context;
	struct shmc_ring_options options = { .element_bytes = sizeof(struct element),
					     .elements = ELEMENTS };
	bool is_producer = scene->role == SHMC_RING_PRODUCER;

	shmt_assert_ok(shmc_ring_create(scene->client, "ring", &options, NULL));
	shmt_assert_ok(open_ring(scene->client,
				 is_producer ? SHMC_RING_CONSUMER : SHMC_RING_PRODUCER,
				 &scene->ring));
	if (!is_producer)
		push(scene, scene->ring, 0, THERE);
	scene->witness = sweep_witness(OWN_MAX * sizeof(struct element));
}

static void prepare(void *context)
{
	struct scene *scene = context;
	uint64_t before = scene->act->is_full ? ELEMENTS : BEFORE;
	struct shmc_ring_span span;

	shmt_assert_ok(open_ring(shmt_connect(&scene->broker), scene->role, &scene->own));
	if (scene->role == SHMC_RING_PRODUCER)
		push(scene, scene->own, 0, before);
	for (uint64_t i = 0; i < OWN_MAX; i++)
		scene->payload[i] = element_of(before + i);
	if (scene->act->held != 0)
		shmt_assert_ok(shmc_ring_peek(scene->own, 0, scene->act->held, scene->act->held,
					      SHMC_TRY, &span));
	if (scene->act->prepare)
		scene->act->prepare(scene);
}

static void tear_down(void *context)
{
	struct scene *scene = context;

	shmc_ring_close(scene->ring);
	shmt_assert_ok(shmc_unlink(scene->client, "ring", NULL));
}

static void kill_everywhere(enum shmc_ring_role role, struct act act)
{
	struct scene scene = { .broker = shmt_broker_start(NULL), .role = role, .act = &act };

	scene.client = shmt_connect(&scene.broker);
	scene.sweep = (struct sweep){ .name = act.name,
				      .scene = &scene,
				      .set_up = set_up,
				      .prepare = prepare,
				      .operate = act.operate,
				      .check = check,
				      .tear_down = tear_down };
	sweep_everywhere(&scene.sweep);
	shmc_disconnect(scene.client);
	shmt_broker_stop(&scene.broker);
}

/* The producer's calls */

static void do_push(void *context)
{
	struct scene *scene = context;
	uint64_t went;

	shmc_ring_push(scene->own, scene->payload, OWN_MAX, OWN_MAX, SHMC_FOREVER, &went);
}

static void do_push_overwrite(void *context)
{
	struct scene *scene = context;

	shmc_ring_push_overwrite(scene->own, scene->payload, OWN_MAX);
}

static void do_reserve(void *context)
{
	struct scene *scene = context;
	uint64_t count;

	if (shmc_ring_reserve(scene->own, OWN_MAX, OWN_MAX, SHMC_TRY, &scene->room, &count) ==
	    SHMC_OK)
		memcpy(scene->room, scene->payload, sizeof(scene->payload));
}

static void do_commit_2(void *context)
{
	struct scene *scene = context;

	shmc_ring_commit(scene->own, 2);
}

static void do_abort(void *context)
{
	struct scene *scene = context;

	shmc_ring_abort(scene->own);
}

TEST(a_push_is_there_whole_or_not_at_all, .timeout_s = 120)
{
	kill_everywhere(SHMC_RING_PRODUCER, (struct act){ .name = "shmc_ring_push of 3",
							  .operate = do_push,
							  .sends = OWN_MAX });
	kill_everywhere(SHMC_RING_PRODUCER,
			(struct act){ .name = "shmc_ring_push_overwrite of 3, full",
				      .operate = do_push_overwrite,
				      .sends = OWN_MAX,
				      .is_full = true });
}

TEST(a_reservation_is_pushed_with_its_commit_or_never, .timeout_s = 120)
{
	kill_everywhere(SHMC_RING_PRODUCER,
			(struct act){ .name = "shmc_ring_reserve of 3", .operate = do_reserve });
	kill_everywhere(SHMC_RING_PRODUCER, (struct act){ .name = "shmc_ring_abort",
							  .prepare = do_reserve,
							  .operate = do_abort });
	kill_everywhere(SHMC_RING_PRODUCER, (struct act){ .name = "shmc_ring_commit of 2 of 3",
							  .prepare = do_reserve,
							  .operate = do_commit_2,
							  .sends = 2 });
}

/* The consumer's calls */

static void do_pop_3(void *context)
{
	struct scene *scene = context;
	struct shmc_ring_span span;

	shmc_ring_pop(scene->own, scene->witness, OWN_MAX, OWN_MAX, SHMC_FOREVER, &span);
}

static void do_peek_3(void *context)
{
	struct scene *scene = context;
	struct shmc_ring_span span;

	shmc_ring_peek(scene->own, 0, 3, 3, SHMC_TRY, &span);
}

static void do_release_2(void *context)
{
	struct scene *scene = context;

	shmc_ring_release(scene->own, 2);
}

static void do_skip_2(void *context)
{
	struct scene *scene = context;

	shmc_ring_skip(scene->own, 2, NULL);
}

static void do_last(void *context)
{
	struct scene *scene = context;
	struct element elements[2];
	uint64_t count;

	shmc_ring_last(scene->own, elements, 2, &count);
}

TEST(what_is_popped_is_taken_or_comes_again, .timeout_s = 120)
{
	kill_everywhere(SHMC_RING_CONSUMER, (struct act){ .name = "shmc_ring_pop of 3",
							  .operate = do_pop_3,
							  .shown = 3,
							  .taken = 3 });
}

TEST(what_is_shown_comes_again_until_it_is_released, .timeout_s = 120)
{
	kill_everywhere(
		SHMC_RING_CONSUMER,
		(struct act){ .name = "shmc_ring_peek of 3", .operate = do_peek_3, .shown = 3 });
	kill_everywhere(SHMC_RING_CONSUMER, (struct act){ .name = "shmc_ring_release of 2 of 3",
							  .operate = do_release_2,
							  .held = 3,
							  .shown = 3,
							  .taken = 2 });
}

TEST(a_skip_skips_all_or_nothing_and_a_look_takes_nothing, .timeout_s = 120)
{
	kill_everywhere(SHMC_RING_CONSUMER, (struct act){ .name = "shmc_ring_skip of 2",
							  .operate = do_skip_2,
							  .taken = 2,
							  .is_skip = true });
	kill_everywhere(SHMC_RING_CONSUMER,
			(struct act){ .name = "shmc_ring_last of 2", .operate = do_last });
}

SWEEP_MAIN
