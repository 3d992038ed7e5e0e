#include "tests/crash/scene.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/runner.h"

#define SAMPLES_MAX 20 /* points of an operation, where a sanitizer multiplies them */

struct scene_saved {
	uint64_t size[SCENE_NUMBERS];
	uint64_t items; /* of the producer's place */
	uint8_t data[SCENE_CAPACITY];
	struct shmp_spsc_producer producer;
	struct shmp_spsc_consumer consumer;
	uint8_t ctl[]; /* plan.ctl_bytes */
};

/* Of the whole program; tests are processes of their own. */
static struct scene_count {
	unsigned long acts, points, deaths;
} * scene_count;

static void *shared(size_t bytes)
{
	void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			     0);

	SHMT_REQUIRE(address != MAP_FAILED);
	return address;
}

struct scene *scene_open(uint64_t offset)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	SHMT_REQUIRE(scene);
	shmt_ring_open_at(&scene->ring, SCENE_CAPACITY, offset);
	scene->has_membarrier = shmp_membarrier_register();
	scene->first = 1;
	scene->next = 1;
	for (uint64_t number = 0; number < SCENE_NUMBERS; number++)
		scene->size[number] = number * 37 % 500;
	scene->witness = shared(SCENE_LONGEST);
	scene->saved = malloc(sizeof(*scene->saved) + scene->ring.segment.plan.ctl_bytes);
	SHMT_REQUIRE(scene->saved);
	return scene;
}

void scene_close(struct scene *scene)
{
	shmt_ring_free(&scene->ring);
	munmap(scene->witness, SCENE_LONGEST);
	free(scene->saved);
	free(scene);
}

void scene_publish(struct scene *scene, uint64_t size)
{
	SHMT_REQUIRE(scene->own == 0);
	SHMT_REQUIRE(shmt_ring_push(&scene->ring, size, scene->next) == SHMP_DONE);
	scene->size[scene->next++] = size;
}

void scene_compose(struct scene *scene, uint64_t size)
{
	uint64_t number = scene->next + scene->own;

	SHMT_REQUIRE(scene->own < SCENE_OWN);
	scene->size[number] = size;
	shmt_message_fill(scene->payload[scene->own++], size, number);
}

/* Right when nobody is in the middle of a publication. */
static uint64_t items_of_producer(const struct scene *scene)
{
	return atomic_load(&scene->ring.segment.map.endpoints[SHMP_SPSC_PRODUCER].items);
}

static void save(struct scene *scene)
{
	const struct shmt_segment *segment = &scene->ring.segment;

	memcpy(scene->saved->size, scene->size, sizeof(scene->size));
	scene->saved->items = items_of_producer(scene);
	memcpy(scene->saved->data, segment->map.data, SCENE_CAPACITY);
	memcpy(scene->saved->ctl, segment->map.head, segment->plan.ctl_bytes);
	scene->saved->producer = scene->ring.producer;
	scene->saved->consumer = scene->ring.consumer;
	scene->tail = scene->ring.consumer.tail;
}

static void restore(struct scene *scene)
{
	const struct shmt_segment *segment = &scene->ring.segment;

	memcpy(scene->size, scene->saved->size, sizeof(scene->size));
	memcpy(segment->map.data, scene->saved->data, SCENE_CAPACITY);
	memcpy(segment->map.head, scene->saved->ctl, segment->plan.ctl_bytes);
	scene->ring.producer = scene->saved->producer;
	scene->ring.consumer = scene->saved->consumer;
	memset(scene->witness, SCENE_UNTOUCHED, SCENE_LONGEST);
	memset(scene->flags, 0, sizeof(scene->flags));
}

/* Runs */

struct run {
	struct scene *scene;
	const struct scene_act *act;
};

static void run_prepare(void *context)
{
	const struct run *run = context;

	if (run->act->prepare)
		run->act->prepare(run->scene);
}

static void run_operate(void *context)
{
	const struct run *run = context;

	run->act->operate(run->scene);
}

static void start(struct scene *scene, const struct scene_act *act, struct stepper *ret_stepper)
{
	struct run run = { scene, act };

	restore(scene);
	if (act->before)
		act->before(scene);
	*ret_stepper = (struct stepper){ .may_sleep = act->may_sleep };
	stepper_start(ret_stepper, run_prepare, run_operate, &run);
}

static void measure(struct scene *scene, const struct scene_act *act, struct stepper_path *ret_path)
{
	struct stepper stepper;

	start(scene, act, &stepper);
	stepper_measure(&stepper, ret_path);
	stepper_kill(&stepper);
}

/* From the saved scene on, @point instructions far. */
static void run_until(struct scene *scene, const struct scene_act *act,
		      const struct stepper_path *path, unsigned long point,
		      struct stepper *ret_stepper)
{
	enum stepper_result result;

	start(scene, act, ret_stepper);
	result = stepper_go_to(ret_stepper, path, point);
	scene->point = point;
	scene->has_ended = result == STEPPER_ENDED;
	scene->is_asleep = result == STEPPER_ASLEEP;
}

/* From point to point; one of the last is the last. */
static unsigned long next_point(const struct stepper_path *path, unsigned long point)
{
	unsigned long stride = STEPPER_SAMPLES ? 1 + path->count / SAMPLES_MAX : 1;

	return point < path->count && point + stride > path->count ? path->count : point + stride;
}

static void report(const struct scene_act *act, const char *what, unsigned long points,
		   unsigned long of)
{
	printf("# %s: %lu %s", act->name, points, what);
	if (points < of)
		printf(", samples of %lu", of);
	printf("\n");
	scene_count->acts++;
	scene_count->points += points;
}

void scene_kill_everywhere(struct scene *scene, const struct scene_act *act)
{
	struct stepper_path path;
	struct stepper stepper;
	unsigned long points = 0;

	save(scene);
	measure(scene, act, &path);
	for (unsigned long at = 0; at <= path.count; at = next_point(&path, at), points++) {
		for (scene_fn *check = act->checks; *check; check++) {
			run_until(scene, act, &path, at, &stepper);
			stepper_kill(&stepper);
			(*check)(scene);
			scene_count->deaths++;
		}
	}
	report(act, "kill points", points, path.count + 1);
	stepper_forget(&path);
}

void scene_stop_everywhere(struct scene *scene, const struct scene_act *act, scene_fn afterwards)
{
	struct stepper_path path;
	struct stepper stepper;
	unsigned long points = 0;

	save(scene);
	measure(scene, act, &path);
	for (unsigned long at = 0; at < path.count; at = next_point(&path, at), points++) {
		run_until(scene, act, &path, at, &stepper);
		stepper_stop(&stepper);
		for (scene_fn *check = act->checks; *check; check++)
			(*check)(scene);
		stepper_go_on(&stepper);
		afterwards(scene);
	}
	report(act, "stops", points, path.count);
	stepper_forget(&path);
}

void scene_fail(const struct scene *scene, const char *file, int line, const char *condition)
{
	const char *how = scene->is_asleep ? ", asleep" : "";

	ck_abort_msg("%s:%d: %s, %lu instructions done%s", file, line, condition, scene->point,
		     scene->has_ended ? ", all of them" : how);
	abort();
}

/* Others */

static bool waits(const struct shmp_waiter *waiter, uint32_t place)
{
	return atomic_load(&waiter->attention[0]) >> place & 1;
}

void scene_bury(struct scene *scene, uint32_t place)
{
	const struct shmt_segment *segment = &scene->ring.segment;
	const struct shmp_spsc_control *control = segment->map.control;

	shmt_place_vacate(segment, place, true, 1 + (int)(scene->point % 3));
	SCENE_CHECK(scene, !waits(&control->not_empty, place));
	SCENE_CHECK(scene, !waits(&control->not_full, place));
	SCENE_CHECK(scene, atomic_load(&segment->map.endpoints[place].doorbell) == 0);
}

uint64_t scene_drain(struct scene *scene, uint64_t number, int end)
{
	struct shmp_spsc_consumer *consumer = &scene->ring.consumer;
	struct shmp_spsc_message message;
	uint8_t buffer[SCENE_LONGEST];
	int r;

	while ((r = shmp_spsc_pop(consumer, buffer, sizeof(buffer), &message)) == SHMP_DONE) {
		SCENE_CHECK(scene, number < SCENE_NUMBERS);
		SCENE_CHECK(scene, message.size == scene->size[number]);
		SCENE_CHECK(scene, shmt_message_is(buffer, message.size, number));
		scene->flags[number++] = message.flags;
	}
	SCENE_CHECK(scene, r == end);
	return number;
}

/* The sleeper's one move: 0 or what shmp_spsc says. */
static int move(struct scene *scene, uint32_t place)
{
	if (place == SHMP_SPSC_CONSUMER)
		return shmt_ring_pop(&scene->ring, scene->size[scene->next], scene->next, NULL);
	return shmt_ring_push(&scene->ring, SCENE_LARGE, scene->next);
}

static bool is_nothing(int r)
{
	return r == SHMP_EMPTY || r == SHMP_FULL;
}

static int move_or_sleep(struct scene *scene, uint32_t place)
{
	struct shmp_spsc_control *control = scene->ring.segment.map.control;
	struct shmp_waiter *waiter = place == SHMP_SPSC_CONSUMER ? &control->not_empty :
								   &control->not_full;
	struct shmp_endpoint *self = &scene->ring.segment.map.endpoints[place];
	uint32_t key;
	int r;

	do {
		key = shmp_waiter_prepare(waiter, self, place, scene->has_membarrier);
		r = move(scene, place);
		if (is_nothing(r))
			shmp_waiter_sleep(waiter, key, UINT64_MAX);
		shmp_waiter_finish(waiter, place);
	} while (is_nothing(r) && is_nothing(r = move(scene, place)));
	return r;
}

void scene_put_to_sleep(struct scene *scene, uint32_t place)
{
	fflush(NULL);
	scene->sleeper = fork();
	SHMT_REQUIRE(scene->sleeper >= 0);
	if (scene->sleeper == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(move_or_sleep(scene, place));
	}
	scene->sleeper_place = place;
	stepper_await_sleep(scene->sleeper);
}

int scene_await_riser(struct scene *scene)
{
	int timeout_ms = (int)shmt_scaled(5000), status = 0;
	struct pollfd end = { .fd = (int)syscall(SYS_pidfd_open, scene->sleeper, 0),
			      .events = POLLIN };

	SHMT_REQUIRE(end.fd >= 0);
	if (poll(&end, 1, timeout_ms) != 1) {
		kill(scene->sleeper, SIGKILL);
		scene_fail(scene, __FILE__, __LINE__, "it sleeps for ever");
	}
	close(end.fd);
	SHMT_REQUIRE(waitpid(scene->sleeper, &status, 0) == scene->sleeper);
	SHMT_REQUIRE(WIFEXITED(status));
	shmt_place_vacate(&scene->ring.segment, scene->sleeper_place, false, 1);
	if (scene->sleeper_place == SHMP_SPSC_CONSUMER)
		shmt_ring_attach_consumer(&scene->ring);
	else
		shmt_ring_attach_producer(&scene->ring);
	return WEXITSTATUS(status);
}

uint64_t scene_published(const struct scene *scene)
{
	return items_of_producer(scene) - scene->saved->items;
}

static void fill_up(struct scene *scene)
{
	struct shmt_ring *ring = &scene->ring;
	uint64_t count = 0;

	while (shmt_ring_push(ring, 0, 0) == SHMP_DONE)
		count++;
	SCENE_CHECK(scene, count == (SCENE_CAPACITY - 8) / 8);
	while (count-- > 0)
		SCENE_CHECK(scene, shmt_ring_pop(ring, 0, 0, NULL) == SHMP_DONE);
	SCENE_CHECK(scene, shmt_ring_pop(ring, 0, 0, NULL) == SHMP_EMPTY);
	SCENE_CHECK(scene, shmt_ring_push(ring, SCENE_LONGEST, 1) == SHMP_DONE);
	SCENE_CHECK(scene, shmt_ring_pop(ring, SCENE_LONGEST, 1, NULL) == SHMP_DONE);
}

void scene_go_on(struct scene *scene)
{
	struct shmt_ring *ring = &scene->ring;
	const char *why = NULL;
	uint32_t flags;

	for (uint64_t number = 1; number < 40; number++) {
		uint64_t size = number * 61 % 700;

		SCENE_CHECK(scene, shmt_ring_push(ring, size, number) == SHMP_DONE);
		SCENE_CHECK(scene, shmt_ring_push(ring, 16, number) == SHMP_DONE);
		SCENE_CHECK(scene, shmt_ring_pop(ring, size, number, &flags) == SHMP_DONE);
		SCENE_CHECK(scene, flags == 0);
		SCENE_CHECK(scene, shmt_ring_pop(ring, 16, number, &flags) == SHMP_DONE);
	}
	fill_up(scene);
	SCENE_CHECK(scene, ring->segment.kind->validate(&ring->segment.map, &why) == 0);
}

int scene_main(int argc, char **argv)
{
	int r;

	if (!STEPPER_WORKS)
		return shmt_skip("there is no single-stepping on this processor");
	scene_count = shared(sizeof(*scene_count));
	r = shmt_run(argc, argv);
	printf("# in all: %lu points of %lu operations and states, %lu deaths\n",
	       scene_count->points, scene_count->acts, scene_count->deaths);
	return r;
}
