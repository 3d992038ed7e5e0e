/*
 * A producer or a consumer dies after every instruction of everything it does, in every state that
 * matters; others go on before anybody knows, also one that was stopped between its intent and its
 * claim. Nothing published is lost, nothing is there twice unless it was in dead hands and says so,
 * nobody is held up after the repair, which is killed, too, and run again.
 *
 * Messages are numbered from 1; what one holds follows from its number. Compiled twice: without
 * checksums and, where SUMMED, with them.
 */
#include "protocol/mpmc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "protocol/checksum.h"
#include "tests/crash/stepper.h"
#include "tests/support/mpmc.h"
#include "tests/support/ring.h"
#include "tests/support/runner.h"

#ifndef SUMMED
#define SUMMED 0
#endif

enum {
	SLOTS = 4,
	LONGEST = 100,
	DEAD_PRODUCER = 0,
	PRODUCERS = 1, /* 1 and 2 */
	STOPPED_PRODUCER = 3,
	DEAD_CONSUMER = 4,
	CONSUMERS = 5, /* 5 and 6 */
	STOPPED_CONSUMER = 7,
	PLACES = 8,
	NUMBERS = 256,
	SAMPLES_MAX = 60,
};

struct scene {
	struct shmt_mpmc queue;
	struct shmp_mpmc at[PLACES];
	uint64_t next;	       /* number of the next message */
	bool sent[NUMBERS];    /* published, by one who lived */
	uint32_t got[NUMBERS]; /* by one who lived */
	uint32_t flagged[NUMBERS];
	/* of the death */
	unsigned long point;
	bool has_ended;
	uint8_t *witness; /* where the dead consumer read to; it outlives him */
	uint64_t own;	  /* number of the message that the dead one sends */
	uint64_t target;  /* number of the message that the dead one pops, 0 = none */
	/* of the stopped one: the index words it loaded */
	uint64_t tail, head;
	/* saved */
	uint8_t *ctl, *data;
	struct scene *before;
};

typedef void (*scene_fn)(struct scene *scene);

static struct count {
	unsigned long acts, points, deaths;
} * count;

static void *shared(size_t bytes)
{
	void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			     0);

	SHMT_REQUIRE(address != MAP_FAILED);
	return address;
}

#define CHECK(scene_, condition_)                                                              \
	do {                                                                                   \
		if (!(condition_))                                                             \
			ck_abort_msg("%s:%d: %s, %lu instructions done%s", __FILE__, __LINE__, \
				     #condition_, (scene_)->point,                             \
				     (scene_)->has_ended ? ", all of them" : "");              \
	} while (0)

/* Moves of the living */

static uint64_t size_of(uint64_t number)
{
	return number * 7 % (LONGEST + 1);
}

static void commit(struct shmp_mpmc *queue, uint64_t size)
{
	if (SUMMED)
		shmp_mpmc_commit_summed(queue, size);
	else
		shmp_mpmc_commit(queue, size);
}

static int peek(struct shmp_mpmc *queue, uint64_t size_max, struct shmp_mpmc_message *ret_message)
{
	return SUMMED ? shmp_mpmc_peek_summed(queue, size_max, ret_message) :
			shmp_mpmc_peek(queue, size_max, ret_message);
}

static int push(struct scene *scene, uint32_t place)
{
	uint8_t *room;
	int r = shmp_mpmc_reserve(&scene->at[place], size_of(scene->next), &room);

	if (r != SHMP_DONE)
		return r;
	shmt_message_fill(room, size_of(scene->next), scene->next);
	commit(&scene->at[place], size_of(scene->next));
	scene->sent[scene->next++] = true;
	return SHMP_DONE;
}

/* By its length; each length of so few messages is one number's. */
static uint64_t number_of(struct scene *scene, const struct shmp_mpmc_message *message)
{
	for (uint64_t number = 1; number < NUMBERS; number++)
		if (size_of(number) == message->size &&
		    shmt_message_is(message->data, message->size, number) &&
		    (message->size > 0 || scene->got[number] == 0))
			return number;
	CHECK(scene, !"the message is none that was sent");
	return 0;
}

static void note(struct scene *scene, const struct shmp_mpmc_message *message)
{
	uint64_t number = number_of(scene, message);

	scene->got[number]++;
	scene->flagged[number] += message->flags == SHMP_MPMC_REDELIVERED;
}

static int pop(struct scene *scene, uint32_t place)
{
	struct shmp_mpmc_message message;
	int r = peek(&scene->at[place], LONGEST, &message);

	if (r == SHMP_DONE) {
		note(scene, &message);
		shmp_mpmc_release(&scene->at[place]);
	}
	return r;
}

static void drain(struct scene *scene)
{
	int r;

	while ((r = pop(scene, CONSUMERS)) == SHMP_DONE)
		;
	CHECK(scene, r == SHMP_EMPTY);
}

/* The broker's part; it, too, dies after some of the repairs. */
static void bury(struct scene *scene, uint32_t place)
{
	shmt_place_vacate(&scene->queue.segment, place, true, 1 + (int)(scene->point % 3));
	CHECK(scene, atomic_load(&scene->at[place].self->intent[SHMP_MPMC_PUSHING]) == 0);
	CHECK(scene, atomic_load(&scene->at[place].self->intent[SHMP_MPMC_POPPING]) == 0);
	CHECK(scene, !shmp_mpmc_kind.waits(&scene->queue.map, place));
}

/* States before the operation */

static void is_fresh(struct scene *scene)
{
	(void)scene;
}

static void has_one(struct scene *scene)
{
	push(scene, PRODUCERS);
}

/* Those who are going to die have moved messages, too, and what they intended still stands. */
static void is_laps_later(struct scene *scene)
{
	for (int i = 0; i < 3 * SLOTS + 1; i++) {
		push(scene, DEAD_PRODUCER + (uint32_t)i % 3);
		pop(scene, DEAD_CONSUMER + (uint32_t)i % 3);
	}
	push(scene, PRODUCERS);
	push(scene, PRODUCERS + 1);
}

static void is_full(struct scene *scene)
{
	while (push(scene, PRODUCERS) == SHMP_DONE)
		;
}

static void begins_with_tombs(struct scene *scene)
{
	uint8_t *room;

	for (int i = 0; i < 2; i++) {
		SHMT_REQUIRE(shmp_mpmc_reserve(&scene->at[PRODUCERS], 8, &room) == SHMP_DONE);
		shmp_mpmc_abort(&scene->at[PRODUCERS]);
	}
	push(scene, PRODUCERS);
}

/* The first message was in hands that died; it is flagged before anything happens here. */
static void has_one_handed_back(struct scene *scene)
{
	struct shmp_mpmc_message message;

	push(scene, PRODUCERS);
	push(scene, PRODUCERS);
	SHMT_REQUIRE(peek(&scene->at[CONSUMERS], LONGEST, &message) == SHMP_DONE);
	shmt_place_vacate(&scene->queue.segment, CONSUMERS, true, 1);
	shmt_mpmc_attach(&scene->queue, CONSUMERS, SHMP_MPMC_CONSUMER, &scene->at[CONSUMERS]);
}

static void is_waited_for(struct scene *scene)
{
	shmp_waiter_prepare(&scene->at[0].control->not_empty, scene->at[CONSUMERS].self, CONSUMERS,
			    false);
}

/* Operations of the dead one, stepped */

static void tell(struct shmp_mpmc *queue)
{
	if (shmp_mpmc_consumers_wait(queue))
		shmp_mpmc_tell_consumers(queue, NULL, NULL);
}

static void dies_in_push(struct scene *scene)
{
	struct shmp_mpmc *queue = &scene->at[DEAD_PRODUCER];
	uint64_t size = size_of(scene->own);
	uint8_t payload[LONGEST];
	int r;

	/* the bytes of the message are worked out by whoever checks them, too */
	shmt_message_fill(payload, size, scene->own);
	r = SUMMED ? shmp_mpmc_push_summed(queue, payload, size) :
		     shmp_mpmc_push(queue, payload, size);
	if (r == SHMP_DONE)
		tell(queue);
}

static void dies_in_quick_push(struct scene *scene)
{
	uint8_t payload[LONGEST];

	shmt_message_fill(payload, size_of(scene->own), scene->own);
	if (shmp_mpmc_push_quick(&scene->at[DEAD_PRODUCER], payload, size_of(scene->own)))
		tell(&scene->at[DEAD_PRODUCER]);
}

static void dies_in_reserve_and_commit(struct scene *scene)
{
	struct shmp_mpmc *queue = &scene->at[DEAD_PRODUCER];
	uint8_t *room;

	if (shmp_mpmc_reserve(queue, LONGEST, &room) != SHMP_DONE)
		return;
	shmt_message_fill(room, size_of(scene->own), scene->own);
	commit(queue, size_of(scene->own));
}

static void dies_in_reserve_and_abort(struct scene *scene)
{
	uint8_t *room;

	if (shmp_mpmc_reserve(&scene->at[DEAD_PRODUCER], LONGEST, &room) == SHMP_DONE)
		shmp_mpmc_abort(&scene->at[DEAD_PRODUCER]);
}

static void dies_in_pop(struct scene *scene)
{
	struct shmp_mpmc *queue = &scene->at[DEAD_CONSUMER];
	struct shmp_mpmc_message message;
	int r = SUMMED ? shmp_mpmc_pop_summed(queue, scene->witness, LONGEST, &message) :
			 shmp_mpmc_pop(queue, scene->witness, LONGEST, &message);

	if (r == SHMP_DONE && shmp_mpmc_producers_wait(queue))
		shmp_mpmc_tell_producers(queue, NULL, NULL);
}

static void dies_in_quick_pop(struct scene *scene)
{
	struct shmp_mpmc *queue = &scene->at[DEAD_CONSUMER];
	struct shmp_mpmc_message message;

	if (shmp_mpmc_pop_quick(queue, scene->witness, LONGEST, &message) &&
	    shmp_mpmc_producers_wait(queue))
		shmp_mpmc_tell_producers(queue, NULL, NULL);
}

static void dies_in_peek_and_release(struct scene *scene)
{
	struct shmp_mpmc *queue = &scene->at[DEAD_CONSUMER];
	struct shmp_mpmc_message message;

	if (peek(queue, LONGEST, &message) != SHMP_DONE)
		return;
	memcpy(scene->witness, message.data, message.size);
	shmp_mpmc_release(queue);
}

static void dies_in_pop_of_too_much(struct scene *scene)
{
	struct shmp_mpmc_message message;

	shmp_mpmc_pop(&scene->at[DEAD_CONSUMER], scene->witness, 0, &message);
}

static void dies_in_attach(struct scene *scene)
{
	struct shmp_mpmc again;

	shmp_mpmc_attach(&scene->queue.map, DEAD_CONSUMER, SHMP_MPMC_CONSUMER, &again);
}

/* What others do between the death and its repair */

static void nobody_moves(struct scene *scene)
{
	bury(scene, DEAD_PRODUCER);
	bury(scene, DEAD_CONSUMER);
}

static void others_go_on(struct scene *scene)
{
	for (int i = 0; i < 2 * SLOTS; i++) {
		push(scene, PRODUCERS + (uint32_t)i % 2);
		if (i % 3 != 0)
			pop(scene, CONSUMERS + (uint32_t)i % 2);
	}
	while (push(scene, PRODUCERS) == SHMP_DONE)
		;
	nobody_moves(scene);
}

/* The claims right behind the dead one's are held by the living while he is repaired. */
static void others_hold(struct scene *scene)
{
	struct shmp_mpmc_message message;
	uint64_t number = scene->next;
	uint8_t *room = NULL;
	bool has_room = shmp_mpmc_reserve(&scene->at[PRODUCERS], LONGEST, &room) == SHMP_DONE;
	bool has_message;

	scene->next += has_room;
	push(scene, PRODUCERS + 1);
	has_message = peek(&scene->at[CONSUMERS], LONGEST, &message) == SHMP_DONE;
	pop(scene, CONSUMERS + 1);
	nobody_moves(scene);
	/* what repair takes from the living by mistake would go to somebody now */
	while (pop(scene, CONSUMERS + 1) == SHMP_DONE)
		;
	if (has_message) {
		note(scene, &message);
		shmp_mpmc_release(&scene->at[CONSUMERS]);
	}
	if (has_room) {
		shmt_message_fill(room, size_of(number), number);
		commit(&scene->at[PRODUCERS], size_of(number));
		scene->sent[number] = true;
	}
}

/* The stopped ones go on with the claims that they intended before the dead one began. */
static void go_on_after_stop(struct scene *scene)
{
	struct shmp_mpmc *producer = &scene->at[STOPPED_PRODUCER];
	struct shmp_mpmc *consumer = &scene->at[STOPPED_CONSUMER];
	uint64_t tail = scene->tail & ~SHMP_MPMC_INTENDED;
	uint64_t head = scene->head & ~SHMP_MPMC_INTENDED;

	if (scene->tail != 0 && shmp_mpmc_claim_tail(producer, tail)) {
		uint64_t place = shmp_mpmc_place(producer, tail >> 8);

		producer->hand = (struct shmp_mpmc_claim){ shmp_mpmc_slot(producer, place),
							   (tail >> 8) - place,
							   shmp_mpmc_about(tail, 0) };
		shmt_message_fill(producer->hand.slot->payload, size_of(scene->next), scene->next);
		commit(producer, size_of(scene->next));
		scene->sent[scene->next++] = true;
	}
	if (scene->head != 0 && shmp_mpmc_claim_head(consumer, head)) {
		uint64_t place = shmp_mpmc_place(consumer, head >> 8);
		struct shmp_mpmc_slot *slot = shmp_mpmc_slot(consumer, place);
		uint64_t size = shmp_mpmc_size_of(shmp_mpmc_load_about(slot));
		struct shmp_mpmc_message message = { slot->payload, size, 0 };

		consumer->hand = (struct shmp_mpmc_claim){ slot, (head >> 8) - place,
							   shmp_mpmc_about(head, size) };
		note(scene, &message);
		shmp_mpmc_release(consumer);
	}
}

static void stopped_go_on_at_once(struct scene *scene)
{
	go_on_after_stop(scene);
	others_hold(scene);
}

static void stopped_go_on_at_last(struct scene *scene)
{
	others_go_on(scene);
	go_on_after_stop(scene);
}

/* The stopped ones are killed, too: their intents must take nothing from anybody. */
static void stopped_die(struct scene *scene)
{
	push(scene, PRODUCERS);
	pop(scene, CONSUMERS);
	bury(scene, STOPPED_PRODUCER);
	bury(scene, STOPPED_CONSUMER);
	others_hold(scene);
}

static const scene_fn aftermaths[] = { nobody_moves, others_go_on, others_hold };
static const scene_fn aftermaths_of_stopped[] = { stopped_go_on_at_once, stopped_go_on_at_last,
						  stopped_die };

/* The scene */

static struct scene *scene_open(scene_fn state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	scene->queue.is_summed = SUMMED;
	shmt_mpmc_make(&scene->queue, SLOTS, LONGEST, PLACES);
	for (uint32_t i = 0; i < PLACES; i++)
		shmt_mpmc_attach(&scene->queue, i,
				 i < DEAD_CONSUMER ? SHMP_MPMC_PRODUCER : SHMP_MPMC_CONSUMER,
				 &scene->at[i]);
	scene->witness = shared(LONGEST);
	shmp_checksum(scene, 1); /* finds out how, the first time, which is another path */
	scene->next = 1;
	state(scene);
	for (uint64_t number = 1; number < scene->next && scene->target == 0; number++)
		if (scene->got[number] == 0)
			scene->target = number;
	scene->own = scene->next++;
	scene->ctl = malloc(scene->queue.segment.plan.ctl_bytes);
	scene->data = malloc(scene->queue.segment.plan.data_bytes);
	scene->before = malloc(sizeof(*scene));
	SHMT_REQUIRE(scene->ctl && scene->data && scene->before);
	return scene;
}

/* As if each had been stopped between its intent and its claim. */
static void stop(struct scene *scene)
{
	struct shmp_mpmc *producer = &scene->at[STOPPED_PRODUCER];
	struct shmp_mpmc *consumer = &scene->at[STOPPED_CONSUMER];
	uint64_t tail = shmp_mpmc_load_tail(producer), head = shmp_mpmc_load_head(consumer);

	if (tail - head < SLOTS << 8) {
		scene->tail = tail | SHMP_MPMC_INTENDED;
		shmp_mpmc_intend(producer, SHMP_MPMC_PUSHING, scene->tail);
	}
	if (shmt_mpmc_state(&scene->queue, (head >> 8) % SLOTS) == SHMP_MPMC_READY &&
	    head >> 8 < tail >> 8) {
		scene->head = head | SHMP_MPMC_INTENDED;
		shmp_mpmc_intend(consumer, SHMP_MPMC_POPPING, scene->head);
	}
}

static void save(struct scene *scene)
{
	memcpy(scene->ctl, scene->queue.map.head, scene->queue.segment.plan.ctl_bytes);
	memcpy(scene->data, scene->queue.map.data, scene->queue.segment.plan.data_bytes);
	memcpy(scene->before, scene, sizeof(*scene));
}

static void restore(struct scene *scene)
{
	struct scene *before = scene->before;

	memcpy(scene, before, sizeof(*scene));
	memcpy(scene->queue.map.head, scene->ctl, scene->queue.segment.plan.ctl_bytes);
	memcpy(scene->queue.map.data, scene->data, scene->queue.segment.plan.data_bytes);
	memset(scene->witness, 0xee, LONGEST);
}

static void scene_close(struct scene *scene)
{
	shmt_mpmc_free(&scene->queue);
	munmap(scene->witness, LONGEST);
	free(scene->ctl);
	free(scene->data);
	free(scene->before);
	free(scene);
}

/* What must be, however far he came */

static bool witness_is(const struct scene *scene, uint64_t number)
{
	uint64_t size = size_of(number);

	return shmt_message_is(scene->witness, size, number);
}

static bool witness_is_touched(const struct scene *scene)
{
	for (uint64_t i = 0; i < LONGEST; i++)
		if (scene->witness[i] != 0xee)
			return true;
	return false;
}

static void check_messages(struct scene *scene, bool sends, bool takes)
{
	for (uint64_t number = 1; number < scene->next; number++) {
		uint32_t got = scene->got[number], flagged = scene->flagged[number];

		CHECK(scene, got <= 1);
		if (number == scene->own && sends) {
			CHECK(scene, got == 1 || !scene->has_ended);
		} else if (number == scene->target && takes) {
			CHECK(scene, got == 1 || witness_is(scene, number));
			CHECK(scene, got == 0 || !scene->has_ended);
			CHECK(scene, got == 0 || flagged || !witness_is_touched(scene));
		} else {
			CHECK(scene, got == scene->sent[number]);
			CHECK(scene,
			      flagged == scene->before->flagged[number] || number == scene->target);
		}
	}
}

/* Every slot can be used by everybody, for some laps. */
static void check_going_on(struct scene *scene)
{
	const char *why = NULL;

	for (uint32_t place = 0; place < PLACES; place++) {
		uint64_t word = atomic_load(&scene->at[place].self->state);

		if (shmp_endpoint_is_open(shmp_endpoint_state_of(word)))
			shmt_mpmc_attach(&scene->queue, place,
					 place < DEAD_CONSUMER ? SHMP_MPMC_PRODUCER :
								 SHMP_MPMC_CONSUMER,
					 &scene->at[place]);
	}
	for (uint32_t lap = 0; lap < 3; lap++) {
		uint32_t free_slots = 0;

		while (push(scene, (lap + free_slots) % DEAD_CONSUMER) == SHMP_DONE)
			free_slots++;
		CHECK(scene, free_slots == SLOTS);
		for (uint32_t i = 0; i < SLOTS; i++)
			CHECK(scene, pop(scene, DEAD_CONSUMER + (lap + i) % 4) == SHMP_DONE);
		CHECK(scene, pop(scene, DEAD_CONSUMER) == SHMP_EMPTY);
	}
	CHECK(scene, shmp_mpmc_kind.validate(&scene->queue.map, &why) == 0);
	CHECK(scene, shmp_mpmc_depth(&scene->queue.map) == 0);
}

/* Runs */

struct act {
	const char *name;
	scene_fn operate;
	bool sends, takes; /* what comes of the operation when it is done */
};

struct run {
	struct scene *scene;
	const struct act *act;
};

static void run_operate(void *context)
{
	const struct run *run = context;

	run->act->operate(run->scene);
}

static void run_prepare(void *context)
{
	(void)context;
}

static void start(struct run *run, struct stepper *ret_stepper)
{
	restore(run->scene);
	*ret_stepper = (struct stepper){ .pid = 0 };
	stepper_start(ret_stepper, run_prepare, run_operate, run);
}

static void die_at(struct run *run, const struct stepper_path *path, unsigned long point)
{
	struct stepper stepper;

	start(run, &stepper);
	run->scene->has_ended = stepper_go_to(&stepper, path, point) == STEPPER_ENDED;
	run->scene->point = point;
	stepper_kill(&stepper);
	count->deaths++;
}

static void kill_everywhere(struct scene *scene, const struct act *act, const scene_fn *after,
			    size_t after_count)
{
	struct run run = { scene, act };
	struct stepper stepper;
	struct stepper_path path;
	unsigned long stride, points = 0;

	save(scene);
	start(&run, &stepper);
	stepper_measure(&stepper, &path);
	stepper_kill(&stepper);
	stride = STEPPER_SAMPLES ? 1 + path.count / SAMPLES_MAX : 1;
	for (unsigned long point = 0; point <= path.count; point += stride, points++) {
		for (size_t i = 0; i < after_count; i++) {
			die_at(&run, &path, point);
			after[i](scene);
			drain(scene);
			check_messages(scene, act->sends, act->takes);
			check_going_on(scene);
		}
	}
	restore(scene);
	stepper_forget(&path);
	printf("# %s%s: %lu kill points\n", act->name,
	       after == aftermaths_of_stopped ? ", beside a stopped one" : "", points);
	count->acts++;
	count->points += points;
}

static void kill_in_scene(struct scene *scene, const struct act *act)
{
	kill_everywhere(scene, act, aftermaths, 3);
	stop(scene);
	kill_everywhere(scene, act, aftermaths_of_stopped, 3);
	scene_close(scene);
}

static void kill_in(scene_fn state, const struct act *act)
{
	kill_in_scene(scene_open(state), act);
}

/* Messages with checksums do not go that way, and consumers only after their first look around. */
static void kill_in_quick(scene_fn state, const struct act *act)
{
	struct scene *scene;

	if (SUMMED)
		return;
	scene = scene_open(state);
	scene->at[DEAD_CONSUMER].epoch = atomic_load(&scene->at[0].control->epoch);
	kill_in_scene(scene, act);
}

/* For tests and prints. */
#define ACT(operate_, ...) (&(const struct act){ __func__, operate_, __VA_ARGS__ })
#define LONG		   .timeout_s = 120

TEST(a_push_into_an_empty_queue, LONG)
{
	kill_in(is_fresh, ACT(dies_in_push, .sends = true));
}

TEST(a_push_behind_others_laps_later, LONG)
{
	kill_in(is_laps_later, ACT(dies_in_push, .sends = true));
}

TEST(a_quick_push_into_an_empty_queue, LONG)
{
	kill_in_quick(is_fresh, ACT(dies_in_quick_push, .sends = true));
}

TEST(a_quick_push_behind_others_laps_later, LONG)
{
	kill_in_quick(is_laps_later, ACT(dies_in_quick_push, .sends = true));
}

TEST(a_push_that_finds_it_full, LONG)
{
	kill_in(is_full, ACT(dies_in_push, .sends = false));
}

TEST(a_push_that_tells_a_sleeper, LONG)
{
	kill_in(is_waited_for, ACT(dies_in_push, .sends = true));
}

TEST(a_reservation_and_its_commit, LONG)
{
	kill_in(has_one, ACT(dies_in_reserve_and_commit, .sends = true));
}

TEST(a_reservation_and_its_end_unsent, LONG)
{
	kill_in(has_one, ACT(dies_in_reserve_and_abort, .sends = false));
}

TEST(a_pop_of_the_only_message, LONG)
{
	kill_in(has_one, ACT(dies_in_pop, .takes = true));
}

TEST(a_pop_among_others_laps_later, LONG)
{
	kill_in(is_laps_later, ACT(dies_in_pop, .takes = true));
}

TEST(a_quick_pop_among_others_laps_later, LONG)
{
	kill_in_quick(is_laps_later, ACT(dies_in_quick_pop, .takes = true));
}

TEST(a_quick_pop_from_a_full_queue, LONG)
{
	kill_in_quick(is_full, ACT(dies_in_quick_pop, .takes = true));
}

TEST(a_pop_from_a_full_queue, LONG)
{
	kill_in(is_full, ACT(dies_in_pop, .takes = true));
}

TEST(a_pop_that_finds_nothing, LONG)
{
	kill_in(is_fresh, ACT(dies_in_pop, .takes = false));
}

TEST(a_pop_over_tombstones, LONG)
{
	kill_in(begins_with_tombs, ACT(dies_in_pop, .takes = true));
}

TEST(a_pop_of_what_was_in_dead_hands_before, LONG)
{
	kill_in(has_one_handed_back, ACT(dies_in_pop, .takes = true));
}

TEST(a_peek_and_its_release, LONG)
{
	kill_in(is_full, ACT(dies_in_peek_and_release, .takes = true));
}

TEST(a_pop_into_too_small_a_buffer, LONG)
{
	kill_in(has_one, ACT(dies_in_pop_of_too_much, .takes = false));
}

/* Long, since it clears the handle; nothing of it is shared but the tally. */
TEST(an_attach, LONG)
{
	struct scene *scene = scene_open(is_laps_later);

	kill_everywhere(scene, ACT(dies_in_attach, .takes = false), aftermaths, 1);
	scene_close(scene);
}

int main(int argc, char **argv)
{
	int r;

	if (!STEPPER_WORKS)
		return shmt_skip("there is no single-stepping on this processor");
	count = shared(sizeof(*count));
	r = shmt_run(argc, argv);
	printf("# in all: %lu points of %lu operations and states, %lu deaths\n", count->points,
	       count->acts, count->deaths);
	return r;
}
