/*
 * simulation [STEPS]: one process makes an arena with an array, a queue and an atomic in it and
 * moves some particles; another knows nothing but the arena's name, finds all three by their names,
 * and follows.
 *
 * Ends with status 1 when the follower sees anything else than what was done.
 */
#include <shmclient/shmclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARTICLES 1000

struct particle {
	double position;
	double speed;
};

struct event {
	uint64_t step;
	uint64_t particle;
};

static void check(enum shmc_result result, const struct shmc_error *error)
{
	if (result == SHMC_OK)
		return;
	fprintf(stderr, "simulation: %s\n", error->text);
	exit(1);
}

static void make(struct shmc_client *client)
{
	struct shmc_arena_options arena = { .table = SHMC_ARENA_TABLE_32X64, .reuse = 1 };
	struct shmc_array_options particles = { .element_bytes = sizeof(struct particle),
						.elements = PARTICLES,
						.reuse = 1 };
	struct shmc_spsc_options events = { .capacity_bytes = 65536, .reuse = 1 };
	struct shmc_atomic_options step = { .type = SHMC_TYPE_U64, .reuse = 1 };
	struct shmc_error error;

	check(shmc_arena_create(client, "sim", &arena, &error), &error);
	check(shmc_array_create(client, "sim:particles", &particles, &error), &error);
	check(shmc_spsc_create(client, "sim:events", &events, &error), &error);
	check(shmc_atomic_create(client, "sim:step", &step, &error), &error);
}

/* The simulation itself: everything moves, and who comes to the wall turns back and says so. */

static void simulate(uint64_t steps)
{
	struct shmc_client *client;
	struct shmc_array *particles;
	struct shmc_spsc *events;
	struct shmc_atomic *step;
	struct shmc_error error;
	struct particle *all;

	check(shmc_connect(NULL, &client, &error), &error);
	check(shmc_array_open(client, "sim:particles", SHMC_ARRAY_WRITER, NULL, &particles, &error),
	      &error);
	check(shmc_spsc_open(client, "sim:events", SHMC_SPSC_PRODUCER, &events, &error), &error);
	check(shmc_atomic_open(client, "sim:step", SHMC_ATOMIC_WRITER, SHMC_TYPE_U64, &step,
			       &error),
	      &error);
	all = shmc_array_edit(particles);
	for (uint64_t i = 0; i < PARTICLES; i++)
		all[i].speed = (double)(i + 1) / PARTICLES;
	for (uint64_t now = 1; now <= steps; now++) {
		for (uint64_t i = 0; i < PARTICLES; i++) {
			struct event event = { .step = now, .particle = i };

			all[i].position += all[i].speed;
			if (all[i].position >= 0 && all[i].position <= 10)
				continue;
			all[i].speed = -all[i].speed;
			shmc_spsc_push(events, &event, sizeof(event), SHMC_FOREVER);
		}
		shmc_atomic_store(step, now, SHMC_ORDER_RELEASE);
		shmc_atomic_wake(step);
	}
	shmc_spsc_close(events);
	shmc_atomic_close(step);
	shmc_array_close(particles);
	shmc_disconnect(client);
}

/* Who looks on: what there is, it learns from the arena. */

static int show(void *context, const char *name, const struct shmc_arena_object *object)
{
	(void)context;
	printf("%s: %s, %llu bytes\n", name, object->kind, (unsigned long long)object->data_bytes);
	return 0;
}

static void expect(const struct shmc_arena *arena, const char *name, const char *kind)
{
	struct shmc_arena_object object;

	if (shmc_arena_find(arena, name, &object) == SHMC_OK && strcmp(object.kind, kind) == 0)
		return;
	fprintf(stderr, "simulation: the arena has no %s %s\n", kind, name);
	exit(1);
}

static uint64_t count_events(struct shmc_client *client)
{
	struct shmc_message message;
	struct shmc_spsc *events;
	struct shmc_error error;
	struct event event;
	uint64_t count = 0;

	check(shmc_spsc_open(client, "sim:events", SHMC_SPSC_CONSUMER, &events, &error), &error);
	while (shmc_spsc_pop(events, &event, sizeof(event), SHMC_FOREVER, &message) == SHMC_OK)
		count += event.particle < PARTICLES;
	shmc_spsc_close(events);
	return count;
}

static int follow(uint64_t steps)
{
	struct shmc_client *client;
	struct shmc_arena *arena;
	struct shmc_array *particles;
	struct shmc_atomic *step;
	struct shmc_error error;
	const struct particle *all;
	uint64_t events, now = 0, outside = 0;

	check(shmc_connect(NULL, &client, &error), &error);
	check(shmc_arena_open(client, "sim", &arena, &error), &error);
	shmc_arena_each(arena, show, NULL);
	expect(arena, "particles", "array");
	expect(arena, "events", "spsc");
	expect(arena, "step", "atomic");
	events = count_events(client);
	check(shmc_array_open(client, "sim:particles", SHMC_ARRAY_READER, NULL, &particles, &error),
	      &error);
	check(shmc_atomic_open(client, "sim:step", SHMC_ATOMIC_READER, SHMC_TYPE_U64, &step,
			       &error),
	      &error);
	while (now < steps)
		shmc_atomic_wait(step, now, SHMC_FOREVER, &now);
	all = shmc_array_data(particles);
	for (uint64_t i = 0; i < PARTICLES; i++)
		outside += all[i].position < -1 || all[i].position > 11;
	printf("%llu steps, %llu turns, %llu of %d particles outside\n", (unsigned long long)now,
	       (unsigned long long)events, (unsigned long long)outside, PARTICLES);
	shmc_atomic_close(step);
	shmc_array_close(particles);
	shmc_arena_close(arena);
	shmc_unlink(client, "sim", NULL);
	shmc_disconnect(client);
	return outside == 0 && now == steps ? 0 : 1;
}

int main(int argc, char **argv)
{
	uint64_t steps = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
	struct shmc_client *client;
	struct shmc_error error;
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		/* a process of its own: it shares nothing with this one but the broker */
		check(shmc_connect(NULL, &client, &error), &error);
		make(client);
		shmc_disconnect(client);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		return 1;
	pid = fork();
	if (pid == 0) {
		simulate(steps);
		_exit(0);
	}
	status = follow(steps);
	return pid > 0 && waitpid(pid, NULL, 0) == pid ? status : 1;
}
