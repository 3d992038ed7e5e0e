#include "tests/crash/broadcast_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

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

/* Moves of the living */

static uint64_t size_of(uint64_t number)
{
	return number * 67 % (LONGEST + 1);
}

int scene_push(struct scene *scene, uint32_t i)
{
	int r;

	if (scene->next >= NUMBERS)
		return SHMP_FULL;
	r = shmt_broadcast_push(&scene->writer[i], size_of(scene->next), scene->next);
	if (r == SHMP_DONE)
		scene->sent[scene->next++] = true;
	return r;
}

/* By its length, which is one number's; the numbers are few enough. */
uint64_t scene_number_of(struct scene *scene, const struct shmp_broadcast_message *message)
{
	for (uint64_t number = 1; number < scene->next; number++)
		if (size_of(number) == message->size &&
		    shmt_message_is(message->data, message->size, number))
			return number;
	SCENE_CHECK(scene, !"the message is none that was sent");
	return 0;
}

void scene_note(struct scene *scene, uint32_t i, uint64_t number)
{
	scene->seen[i][number]++;
	if (scene->got[i] < NUMBERS)
		scene->order[i][scene->got[i]++] = number;
}

int scene_pop(struct scene *scene, uint32_t i)
{
	struct shmp_broadcast_message message;
	uint8_t buffer[LONGEST];
	int r = shmp_broadcast_pop(&scene->reader[i], buffer, sizeof(buffer), &message);
	uint64_t number;

	if (r != SHMP_DONE)
		return r;
	number = scene_number_of(scene, &message);
	scene_note(scene, i, number);
	return r;
}

/* Two readers get all that there is; one of them may have been lapped where that is allowed. */
void scene_drain(struct scene *scene)
{
	for (uint32_t i = READERS; i < READERS + 2; i++) {
		int r;

		while ((r = scene_pop(scene, i)) == SHMP_DONE)
			;
		SCENE_CHECK(scene, r == SHMP_EMPTY);
	}
}

static void scene_attach_writer(struct scene *scene, uint32_t i)
{
	shmt_broadcast_attach_writer(&scene->broadcast, i, &scene->writer[i]);
}

static void scene_attach_reader(struct scene *scene, uint32_t i)
{
	shmt_broadcast_attach_reader(&scene->broadcast, i, SHMP_BROADCAST_FROM_NEWEST, 0,
				     &scene->reader[i]);
}

/* The broker's part; it, too, dies after some of the repairs. */
void scene_bury(struct scene *scene, uint32_t place)
{
	const struct shmp_endpoint *self = &scene->broadcast.segment.map.endpoints[place];

	shmt_place_vacate(&scene->broadcast.segment, place, true, 1 + (int)(scene->point % 3));
	SCENE_CHECK(scene, place >= scene->broadcast.writers || atomic_load(&self->intent[0]) == 0);
	SCENE_CHECK(scene, (scene->is_exclusive && place == DEAD_WRITER) ||
				   atomic_load(&self->cursor) == 0);
	SCENE_CHECK(scene, !shmp_broadcast_kind.waits(&scene->broadcast.segment.map, place));
}

/* States before the operation */

void is_fresh(struct scene *scene)
{
	(void)scene;
}

void has_some(struct scene *scene)
{
	for (uint32_t i = 0; i < 3; i++)
		scene_push(scene, scene->is_exclusive ? 0 : WRITERS + i % 2);
}

void is_laps_later(struct scene *scene)
{
	for (uint32_t i = 0; i < 40; i++) {
		scene_push(scene, scene->is_exclusive ? 0 : WRITERS + i % 2);
		for (uint32_t k = 0; k < 3; k++)
			scene_pop(scene, k);
	}
	has_some(scene);
}

void is_full(struct scene *scene)
{
	while (scene_push(scene, WRITERS) == SHMP_DONE)
		;
}

void begins_with_padding(struct scene *scene)
{
	uint64_t tail;

	for (int i = 0; i < 2; i++) {
		SHMT_REQUIRE(shmp_broadcast_take(&scene->writer[WRITERS], 5, &tail) == SHMP_DONE);
		shmt_place_vacate(&scene->broadcast.segment, WRITERS, true, 1);
		scene_attach_writer(scene, WRITERS);
	}
	scene_push(scene, WRITERS);
}

void is_waited_for(struct scene *scene)
{
	struct shmp_broadcast_reader *reader = &scene->reader[READERS];

	shmp_waiter_prepare(&reader->ring.control->not_empty, reader->self, reader->endpoint,
			    false);
}

void is_waited_for_room(struct scene *scene)
{
	struct shmp_broadcast_writer *writer = &scene->writer[WRITERS];

	has_some(scene);
	shmp_waiter_prepare(&writer->ring.control->not_full, writer->self, writer->endpoint, false);
}

/* The dead reader was lapped; the others were not, since they read on. */
void has_lapped_him(struct scene *scene)
{
	for (int i = 0; i < 40; i++) {
		scene_push(scene, WRITERS);
		scene_pop(scene, READERS);
		scene_pop(scene, READERS + 1);
	}
	scene->target = 0;
}

/* What others do between the death and its repair */

static void bury_the_dead(struct scene *scene)
{
	scene_bury(scene, DEAD_WRITER);
	scene_bury(scene, scene->broadcast.writers + DEAD_READER);
	scene_bury(scene, scene->broadcast.writers + LATE_READER);
}

static void nobody_moves(struct scene *scene)
{
	bury_the_dead(scene);
}

/* Writers go on for more than a lap if they can, and readers keep up. */
static void others_go_on(struct scene *scene)
{
	for (uint32_t i = 0; i < 30 && !scene->is_exclusive; i++) {
		scene_push(scene, WRITERS + i % 2);
		scene_pop(scene, READERS);
		scene_pop(scene, READERS + 1);
	}
	bury_the_dead(scene);
}

/* The claims right behind the dead one's are held by the living while he is repaired. */
static void others_hold(struct scene *scene)
{
	uint64_t number = scene->next, size = size_of(number), tail = 0;
	struct shmp_broadcast_writer *writer = &scene->writer[WRITERS];
	bool holds;

	if (scene->is_exclusive) {
		bury_the_dead(scene);
		return;
	}
	holds = shmp_broadcast_take(writer, shmp_broadcast_need(size), &tail) == SHMP_DONE;
	scene->next += holds;
	scene_push(scene, WRITERS + 1);
	bury_the_dead(scene);
	for (uint32_t k = READERS; k < READERS + 2; k++)
		while (scene_pop(scene, k) == SHMP_DONE)
			;
	if (!holds)
		return;
	shmt_message_fill(shmp_broadcast_payload(&writer->ring, tail >> 8), size, number);
	shmp_broadcast_settle(writer, tail, shmp_broadcast_need(size), size, 0);
	scene->sent[number] = true;
}

/* The stopped one goes on with the claim that it intended before the dead one began. */
static void go_on_after_stop(struct scene *scene)
{
	struct shmp_broadcast_writer *writer = &scene->writer[STOPPED_WRITER];
	uint64_t tail = scene->tail & ~SHMP_BROADCAST_INTENDED;
	uint64_t number = scene->next, size = size_of(number), need = shmp_broadcast_need(size);

	atomic_store(&writer->self->intent[1], need);
	if (scene->tail == 0 ||
	    !shmp_broadcast_claim(
		    writer, tail,
		    shmp_broadcast_tail_word((tail >> 8) + need, writer->endpoint + UINT64_C(1))))
		return;
	shmt_message_fill(shmp_broadcast_payload(&writer->ring, tail >> 8), size, number);
	shmp_broadcast_settle(writer, tail, need, size, 0);
	scene->sent[scene->next++] = true;
}

static void stopped_goes_on_at_once(struct scene *scene)
{
	go_on_after_stop(scene);
	others_hold(scene);
}

static void stopped_goes_on_at_last(struct scene *scene)
{
	others_go_on(scene);
	go_on_after_stop(scene);
}

/* The stopped one is killed, too: its intent must take nothing from anybody. */
static void stopped_dies(struct scene *scene)
{
	scene_push(scene, WRITERS);
	scene_bury(scene, STOPPED_WRITER);
	others_hold(scene);
}

const scene_fn scene_nobody_moves[1] = { nobody_moves };
static const scene_fn aftermaths[] = { nobody_moves, others_go_on, others_hold };
static const scene_fn aftermaths_of_stopped[] = { stopped_goes_on_at_once, stopped_goes_on_at_last,
						  stopped_dies };

/* The scene */

struct scene *scene_open(scene_fn state, enum mode mode)
{
	struct scene *scene = shared(sizeof(*scene));

	scene->blocks = mode == BLOCK;
	scene->is_exclusive = mode == EXCLUSIVE;
	shmt_broadcast_make(&scene->broadcast,
			    &(const struct shmt_broadcast_options){
				    .capacity = CAPACITY,
				    .message_max = LONGEST + 100,
				    .writers = scene->is_exclusive ? 1 : ALL_WRITERS,
				    .readers = ALL_READERS,
				    .blocks = scene->blocks,
				    .is_exclusive = scene->is_exclusive });
	for (uint32_t i = 0; i < scene->broadcast.writers; i++)
		scene_attach_writer(scene, i);
	for (uint32_t i = 0; i < LATE_READER; i++)
		scene_attach_reader(scene, i);
	shmt_place_assign(&scene->broadcast.segment, scene->broadcast.writers + LATE_READER);
	scene->witness = shared(LONGEST);
	scene->next = 1;
	state(scene);
	for (uint64_t number = 1; number < scene->next && scene->target == 0; number++)
		if (state != has_lapped_him && scene->seen[DEAD_READER][number] == 0)
			scene->target = number;
	scene->own = scene->next;
	for (int i = 0; i < OWN; i++) {
		scene->own_size[i] = size_of(scene->next);
		shmt_message_fill(scene->payload[i], scene->own_size[i], scene->next++);
	}
	scene->ctl = malloc(scene->broadcast.segment.plan.ctl_bytes);
	scene->data = malloc(CAPACITY);
	scene->before = malloc(sizeof(*scene));
	SHMT_REQUIRE(scene->ctl && scene->data && scene->before);
	return scene;
}

/* As if it had been stopped between its intent and its claim. */
static void stop(struct scene *scene)
{
	struct shmp_broadcast_writer *writer = &scene->writer[STOPPED_WRITER];
	uint64_t tail = shmp_broadcast_load_tail(&writer->ring);

	scene->tail = tail | SHMP_BROADCAST_INTENDED;
	atomic_store(&writer->self->intent[1], shmp_broadcast_need(LONGEST));
	if (shmp_broadcast_room_again(writer, (tail >> 8) + shmp_broadcast_need(LONGEST)) !=
	    SHMP_DONE)
		scene->tail = 0;
	else
		shmp_broadcast_intend(writer->self, scene->tail);
}

static void save(struct scene *scene)
{
	memcpy(scene->ctl, scene->broadcast.segment.map.head,
	       scene->broadcast.segment.plan.ctl_bytes);
	memcpy(scene->data, scene->broadcast.segment.map.data, CAPACITY);
	memcpy(scene->before, scene, sizeof(*scene));
}

static void restore(struct scene *scene)
{
	struct scene *before = scene->before;

	memcpy(scene, before, sizeof(*scene));
	memcpy(scene->broadcast.segment.map.head, scene->ctl,
	       scene->broadcast.segment.plan.ctl_bytes);
	memcpy(scene->broadcast.segment.map.data, scene->data, CAPACITY);
	memset(scene->witness, 0xee, LONGEST);
}

void scene_close(struct scene *scene)
{
	shmt_broadcast_free(&scene->broadcast);
	munmap(scene->witness, LONGEST);
	free(scene->ctl);
	free(scene->data);
	free(scene->before);
	munmap(scene, sizeof(*scene));
}

/* What must be, however far he came */

static bool witness_is(const struct scene *scene, uint64_t number)
{
	return shmt_message_is(scene->witness, size_of(number), number);
}

/* Of what the dead one sent so much is there, from the first on; all of it when it was done. */
static void check_own(struct scene *scene, uint64_t sends)
{
	uint64_t got = 0;

	while (got < OWN && scene->seen[READERS][scene->own + got] == 1)
		got++;
	for (uint64_t i = got; i < OWN; i++)
		SCENE_CHECK(scene, scene->seen[READERS][scene->own + i] == 0);
	SCENE_CHECK(scene, got <= sends && (got == sends || !scene->has_ended));
}

static bool is_own(const struct scene *scene, uint64_t number)
{
	return number >= scene->own && number < scene->own + OWN;
}

static void check_messages(struct scene *scene, uint64_t sends, bool takes)
{
	bool loses = scene->reader[READERS].lost[DEAD_WRITER] != 0;

	for (uint64_t number = 1; number < scene->next; number++) {
		uint32_t got = scene->seen[READERS][number];

		SCENE_CHECK(scene, got <= 1);
		SCENE_CHECK(scene, scene->reader[READERS].laps || scene->reader[READERS + 1].laps ||
					   got == scene->seen[READERS + 1][number]);
		if (!is_own(scene, number))
			SCENE_CHECK(scene,
				    scene->reader[READERS].laps || got == scene->sent[number]);
	}
	check_own(scene, sends);
	if (takes && scene->has_ended)
		SCENE_CHECK(scene, witness_is(scene, scene->target));
	SCENE_CHECK(scene, !loses || scene->reader[READERS].laps);
}

/* The exact count of what was sent: no sequence number is missing, none is there twice. */
static void check_counts(struct scene *scene)
{
	uint64_t sent = 0, own = 0;

	for (uint64_t number = 1; number < scene->next; number++)
		sent += scene->sent[number];
	for (uint32_t i = 0; i < scene->broadcast.writers; i++)
		own += atomic_load(&scene->broadcast.segment.map.endpoints[i].items);
	for (uint64_t i = 0; i < OWN; i++)
		own -= scene->seen[READERS][scene->own + i];
	SCENE_CHECK(scene, scene->reader[READERS].laps || own == sent);
	for (uint32_t i = 0; i < scene->broadcast.writers; i++) {
		struct shmp_broadcast_reader *reader = &scene->reader[READERS];
		uint64_t items = atomic_load(&scene->broadcast.segment.map.endpoints[i].items);

		SCENE_CHECK(scene,
			    reader->next[i] == items || reader->next[i] == SHMP_BROADCAST_UNKNOWN);
		SCENE_CHECK(scene, reader->lost[i] == 0 || reader->laps != 0);
	}
}

/* Every place can be used by everybody, for some laps. */
static void check_going_on(struct scene *scene)
{
	const struct shmp_endpoint *endpoints = scene->broadcast.segment.map.endpoints;
	uint32_t writers = scene->broadcast.writers;
	const char *why = NULL;

	for (uint32_t i = 0; i < writers; i++)
		if (shmp_endpoint_is_open(shmp_endpoint_look(&endpoints[i])))
			scene_attach_writer(scene, i);
	for (uint32_t i = 0; i < ALL_READERS; i++)
		if (shmp_endpoint_is_open(shmp_endpoint_look(&endpoints[writers + i])))
			scene_attach_reader(scene, i);
	for (uint32_t i = 0; i < 20; i++) {
		SCENE_CHECK(scene, scene_push(scene, i % writers) == SHMP_DONE);
		for (uint32_t k = 0; k < ALL_READERS; k++) {
			SCENE_CHECK(scene, scene_pop(scene, k) == SHMP_DONE);
			SCENE_CHECK(scene, scene_pop(scene, k) == SHMP_EMPTY);
		}
	}
	SCENE_CHECK(scene, shmp_broadcast_kind.validate(&scene->broadcast.segment.map, &why) == 0);
}

/* Runs */

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

static void measure(struct run *run, struct stepper_path *ret_path)
{
	struct stepper stepper;

	save(run->scene);
	start(run, &stepper);
	stepper_measure(&stepper, ret_path);
	stepper_kill(&stepper);
}

static unsigned long stride_of(const struct stepper_path *path)
{
	return STEPPER_SAMPLES ? 1 + path->count / SAMPLES_MAX : 1;
}

static void finish(struct run *run, struct stepper_path *path, const char *others,
		   unsigned long points, const char *what)
{
	restore(run->scene);
	stepper_forget(path);
	printf("# %s%s: %lu %s\n", run->act->name, others, points, what);
	count->acts++;
	count->points += points;
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

void scene_check(struct scene *scene, const struct act *act)
{
	scene_drain(scene);
	check_messages(scene, act->sends, act->takes);
	check_counts(scene);
	check_going_on(scene);
}

void scene_kill_everywhere(struct scene *scene, const struct act *act, const scene_fn *after,
			   size_t after_count, const char *others)
{
	struct run run = { scene, act };
	struct stepper_path path;
	unsigned long stride, points = 0;

	measure(&run, &path);
	stride = stride_of(&path);
	for (unsigned long point = 0; point <= path.count; point += stride, points++) {
		for (size_t i = 0; i < after_count; i++) {
			die_at(&run, &path, point);
			after[i](scene);
			scene_check(scene, act);
		}
	}
	finish(&run, &path, others, points, "kill points");
}

/* Whoever has ended is not stopped: the last point is before the last instruction. */
void scene_stop_everywhere(struct scene *scene, const struct act *act, scene_fn meanwhile,
			   void (*check)(struct scene *scene, const struct act *act),
			   const char *others)
{
	struct run run = { scene, act };
	struct stepper_path path;
	unsigned long stride, points = 0;

	measure(&run, &path);
	stride = stride_of(&path);
	for (unsigned long point = 0; point < path.count; point += stride, points++) {
		struct stepper stepper;

		start(&run, &stepper);
		stepper_go_to(&stepper, &path, point);
		scene->point = point;
		stepper_stop(&stepper);
		meanwhile(scene);
		stepper_go_on(&stepper);
		scene->has_ended = true;
		check(scene, act);
	}
	finish(&run, &path, others, points, "stops");
}

void scene_kill_in(scene_fn state, enum mode mode, const struct act *act)
{
	struct scene *scene = scene_open(state, mode);

	scene_kill_everywhere(scene, act, aftermaths, 3, "");
	if (!scene->is_exclusive) {
		stop(scene);
		scene_kill_everywhere(scene, act, aftermaths_of_stopped, 3, ", one more stopped");
	}
	scene_close(scene);
}

void scene_kill_reader_in(scene_fn state, enum mode mode, const struct act *act)
{
	struct scene *scene = scene_open(state, mode);

	scene_kill_everywhere(scene, act, aftermaths + 1, 2, "");
	scene_close(scene);
}

int scene_main(int argc, char **argv)
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
