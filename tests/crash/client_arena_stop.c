/*
 * Who looks up and opens an object of an arena is stopped, not dead, in the middle, with a real
 * broker. Others delete the object meanwhile and make another of that name, and one dies with a
 * lock: the broker serves them at once. When the stopped one goes on it gets either object, whole,
 * with the memory of that one and no other; the memory comes back when it has closed it.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/sweep.h"

enum {
	ELEMENTS = 512, /* a page */
	SAMPLES = 200,
	MARK = 0, /* element that says which object it is */
	WORD = 1, /* that is written by both */
	OLD = 1,
	NEW = 2,
	OWN = 7,
	OTHERS = 9,
};

/* Shared with who is stopped. */
struct own {
	enum shmc_result found_r, open_r;
	struct shmc_arena_object found;
	uint64_t mark, word; /* that it read in its object, behind its own store */
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	struct shmc_arena *arena;
	/* the parent's handles: of the new one; of the one before, in every other run */
	struct shmc_array *array, *old_array;
	bool was_open; /* he had the old one when he was stopped */
	struct shmc_arena_object old, new;
	uint64_t free_bytes; /* of the arena, when there is nothing in it */
	struct own *own;
	struct sweep sweep;
	/* the child's */
	struct shmc_client *own_client;
	struct shmc_arena *own_arena;
};

#define CHECK(condition) SWEEP_CHECK(&scene->sweep, condition)

static uint64_t get(struct scene *scene, const struct shmc_array *array, uint64_t index)
{
	uint64_t value = 0;

	CHECK(shmc_array_get(array, index, &value, sizeof(value)) == SHMC_OK);
	return value;
}

static void set(struct scene *scene, struct shmc_array *array, uint64_t index, uint64_t value)
{
	CHECK(shmc_array_set(array, index, &value, sizeof(value)) == SHMC_OK);
}

static enum shmc_result open_array(struct shmc_client *client, struct shmc_array **ret_array)
{
	return shmc_array_open(client, "sim:a", SHMC_ARRAY_WRITER, NULL, ret_array, NULL);
}

/* An object of that name, that says which it is. */
static struct shmc_array *make(struct scene *scene, uint64_t mark,
			       struct shmc_arena_object *ret_found)
{
	struct shmc_array_options options = { .element_bytes = 8,
					      .elements = ELEMENTS,
					      .endpoints_max = 4 };
	struct shmc_array *array;

	CHECK(shmc_array_create(scene->client, "sim:a", &options, NULL) == SHMC_OK);
	CHECK(open_array(scene->client, &array) == SHMC_OK);
	for (uint64_t i = 0; i < ELEMENTS; i++)
		CHECK(get(scene, array, i) == 0);
	set(scene, array, MARK, mark);
	CHECK(shmc_arena_find(scene->arena, "a", ret_found) == SHMC_OK);
	return array;
}

/* Of somebody else, who dies holding it. */
static void die_with_a_lock(struct scene *scene)
{
	struct shmc_buffer *buffer;
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		shmt_be_child();
		shmt_assert_ok(shmc_buffer_open(shmt_connect(&scene->broker), "sim:b",
						SHMC_BUFFER_WRITER, &buffer, NULL));
		shmt_assert_ok(shmc_buffer_lock_write(buffer, SHMC_TRY));
		kill(getpid(), SIGKILL);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	CHECK(shmc_buffer_open(scene->client, "sim:b", SHMC_BUFFER_WRITER, &buffer, NULL) ==
	      SHMC_OK);
	CHECK(shmc_buffer_lock_write(buffer, SWEEP_SOON_NS) == SHMC_OWNER_DIED);
	CHECK(shmc_buffer_mark_consistent(buffer) == SHMC_OK);
	CHECK(shmc_buffer_unlock(buffer) == SHMC_OK);
	shmc_buffer_close(buffer);
}

/* Who is stopped */

static void prepare(void *context)
{
	struct scene *scene = context;

	/* while he is stopped, too, his time goes by */
	scene->own_client = shmt_connect_as(
		&scene->broker, (struct shmc_client_options){
					.control_timeout_ns = (int64_t)shmt_scaled(60000000000) });
	shmt_assert_ok(shmc_arena_open(scene->own_client, "sim", &scene->own_arena, NULL));
}

static void looks_up_and_opens(void *context)
{
	struct scene *scene = context;
	struct own *own = scene->own;
	struct shmc_array *array;
	uint64_t word = OWN;

	own->found_r = shmc_arena_find(scene->own_arena, "a", &own->found);
	own->open_r = open_array(scene->own_client, &array);
	if (own->open_r != SHMC_OK)
		return;
	shmc_array_get(array, MARK, &own->mark, sizeof(own->mark));
	shmc_array_set(array, WORD, &word, sizeof(word));
	shmc_array_get(array, WORD, &own->word, sizeof(own->word));
	shmc_array_close(array);
}

/* In the parent */

static void set_up(void *context)
{
	struct scene *scene = context;
	struct shmc_buffer_options options = { .size_bytes = 64 };

	shmt_assert_ok(shmc_buffer_create(scene->client, "sim:b", &options, NULL));
	shmc_array_close(make(scene, OLD, &scene->old));
	if (scene->sweep.point % 2)
		CHECK(open_array(scene->client, &scene->old_array) == SHMC_OK);
	*scene->own = (struct own){ .found_r = SHMC_INVALID, .open_r = SHMC_INVALID };
}

/* Nobody waits for the stopped one. */
static void it_is_made_anew(void *context)
{
	struct scene *scene = context;

	scene->was_open = scene->own->open_r == SHMC_OK;
	CHECK(shmc_unlink(scene->client, "sim:a", NULL) == SHMC_OK);
	CHECK(shmc_arena_check(scene->arena, &scene->old) == SHMC_NOT_FOUND);
	scene->array = make(scene, NEW, &scene->new);
	set(scene, scene->array, WORD, OTHERS);
	die_with_a_lock(scene);
}

static uint64_t free_bytes(struct scene *scene)
{
	struct shmc_arena_statistics statistics;

	CHECK(shmc_arena_statistics(scene->arena, &statistics) == SHMC_OK);
	return statistics.data_free_bytes;
}

static void has_either(void *context)
{
	struct scene *scene = context;
	const struct own *own = scene->own;
	bool is_new = own->mark == NEW;

	CHECK(own->found_r == SHMC_OK);
	CHECK(own->found.generation == scene->old.generation ||
	      own->found.generation == scene->new.generation);
	/* not there only at the moment between the two */
	CHECK(own->open_r == SHMC_OK || (own->open_r == SHMC_NOT_FOUND && scene->sweep.point > 0));
	CHECK(scene->sweep.point > 0 || is_new);
	CHECK(!scene->was_open || own->mark == OLD);
	if (own->open_r == SHMC_OK) {
		CHECK(own->mark == OLD || own->mark == NEW);
		CHECK(own->word == OWN);
	}
	/* who writes to the one that is gone writes nowhere else; or both wrote to the new one */
	CHECK(get(scene, scene->array, MARK) == NEW);
	CHECK(get(scene, scene->array, WORD) == OTHERS ||
	      (is_new && get(scene, scene->array, WORD) == OWN));
	for (uint64_t i = WORD + 1; i < ELEMENTS; i++)
		CHECK(get(scene, scene->array, i) == 0);
	if (!scene->old_array)
		return;
	CHECK(get(scene, scene->old_array, MARK) == OLD);
	CHECK(get(scene, scene->old_array, WORD) == (own->mark == OLD ? OWN : 0));
}

static void tear_down(void *context)
{
	struct scene *scene = context;
	uint64_t end_ns = shmp_clock_ns() + shmt_scaled((unsigned long)SWEEP_SOON_NS);

	scene->array = shmc_array_close(scene->array);
	scene->old_array = shmc_array_close(scene->old_array);
	shmt_assert_ok(shmc_unlink(scene->client, "sim:a", NULL));
	shmt_assert_ok(shmc_unlink(scene->client, "sim:b", NULL));
	while (free_bytes(scene) != scene->free_bytes)
		CHECK(shmp_clock_ns() < end_ns);
}

TEST(who_is_stopped_opening_an_object_that_is_made_anew_gets_either, .timeout_s = 120)
{
	struct scene scene = { .broker = shmt_broker_start(NULL) };

	scene.client = shmt_connect(&scene.broker);
	scene.own = mmap(NULL, sizeof(*scene.own), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(scene.own != MAP_FAILED);
	shmt_assert_ok(shmc_arena_create(scene.client, "sim", NULL, NULL));
	shmt_assert_ok(shmc_arena_open(scene.client, "sim", &scene.arena, NULL));
	scene.free_bytes = free_bytes(&scene);
	scene.sweep = (struct sweep){ .name = "find, open, set and close; it is made anew",
				      .scene = &scene,
				      .set_up = set_up,
				      .prepare = prepare,
				      .operate = looks_up_and_opens,
				      .meanwhile = it_is_made_anew,
				      .check = has_either,
				      .tear_down = tear_down,
				      .samples = SAMPLES };
	sweep_everywhere(&scene.sweep);
	shmc_arena_close(scene.arena);
	shmc_disconnect(scene.client);
	shmt_broker_stop(&scene.broker);
	munmap(scene.own, sizeof(*scene.own));
}

SWEEP_MAIN
