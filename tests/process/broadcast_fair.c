/* Writers of a broadcast that want all of it at the same time, or more room than there is. */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/support/broadcast_client.h"
#include "tests/support/broker.h"
#include "tests/support/descriptors.h"
#include "tests/support/peer.h"
#include "tests/support/runner.h"

#define OPTIONS(...) ((struct shmc_broadcast_options){ __VA_ARGS__ })

enum {
	WRITERS = 4,
	CROWD = 3, /* of small messages, beside one of large ones */
	LARGE = 3000,
	LARGE_COUNT = 20,
};

struct shared {
	_Atomic uint64_t sent[WRITERS];
	_Atomic bool stop;
};

struct scene {
	struct shmt_broker broker;
	struct shmc_client *client;
	size_t descriptors;
	struct shared *shared;
	struct shmt_peer peer[WRITERS];
	/* of a peer, as it is forked */
	uint64_t own, size;
};

static struct scene scene_open(struct shmc_broadcast_options options)
{
	struct scene scene = { .broker = shmt_broker_start(NULL),
			       .descriptors = shmt_descriptor_count() };

	scene.shared = mmap(NULL, sizeof(*scene.shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	scene.client = shmt_connect(&scene.broker);
	shmt_broadcast_create(scene.client, "news", options);
	return scene;
}

static void scene_close(struct scene *scene)
{
	shmc_disconnect(scene->client);
	munmap(scene->shared, sizeof(*scene->shared));
	ck_assert_uint_eq(shmt_descriptor_count(), scene->descriptors);
	shmt_broker_stop(&scene->broker);
}

/* A message says whose it is. */
static void write_until_stopped(struct shmt_peer *other, void *context)
{
	const struct scene *scene = context;
	struct shmc_client *client = shmt_connect(&scene->broker);
	struct shmc_broadcast *writer = shmt_writer_open(client, "news");

	shmt_peer_tell(other);
	for (uint64_t i = 0; !atomic_load(&scene->shared->stop); i++) {
		shmt_assert_ok(shmt_broadcast_send(writer, scene->own, scene->size, SHMC_FOREVER));
		atomic_store(&scene->shared->sent[scene->own], i + 1);
	}
	shmc_broadcast_close(writer);
	shmc_disconnect(client);
}

static void start(struct scene *scene, uint64_t own, uint64_t size)
{
	scene->own = own;
	scene->size = size;
	scene->peer[own] = shmt_peer_start(write_until_stopped, scene);
	shmt_peer_await(&scene->peer[own]);
}

static uint64_t clock_of(clockid_t clock)
{
	struct timespec now;

	ck_assert_int_eq(clock_gettime(clock, &now), 0);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* What has happened so far. */
struct account {
	uint64_t wall_ns, cpu_ns; /* cpu: of all writers */
	uint64_t sent[WRITERS];
};

static struct account take_account(const struct scene *scene)
{
	struct account now = { .wall_ns = clock_of(CLOCK_MONOTONIC) };
	clockid_t clock;

	for (int i = 0; i < WRITERS; i++) {
		ck_assert_int_eq(clock_getcpuclockid(scene->peer[i].pid, &clock), 0);
		now.cpu_ns += clock_of(clock);
		now.sent[i] = atomic_load(&scene->shared->sent[i]);
	}
	return now;
}

/* One stretch, from now on until the busiest has sent @count. */
static struct account account_for(const struct scene *scene, uint64_t count, double *ret_unfairness)
{
	struct account first = take_account(scene), now;
	uint64_t least, most;

	do {
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		now = take_account(scene);
		least = UINT64_MAX;
		most = 0;
		for (int i = 0; i < WRITERS; i++) {
			now.sent[i] -= first.sent[i];
			least = now.sent[i] < least ? now.sent[i] : least;
			most = now.sent[i] > most ? now.sent[i] : most;
		}
	} while (most < count);
	now.wall_ns -= first.wall_ns;
	now.cpu_ns -= first.cpu_ns;
	*ret_unfairness = (double)most / (double)(least > 0 ? least : 1);
	return now;
}

/* Cores that the writers could have had, and did not, in hundredths. */
static double strangers_share(const struct account *account)
{
	cpu_set_t set;
	int cores;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	cores = CPU_COUNT(&set) < WRITERS ? CPU_COUNT(&set) : WRITERS;
	return 100 - 100 * (double)account->cpu_ns / (double)(account->wall_ns * (uint64_t)cores);
}

/*
 * Messages are told apart by turns, not by time, so that the shares are the same to the message as
 * long as all can run. Where strangers use the cores as well, who has to share his with them cannot
 * send while he does not run; catching up keeps that within bounds.
 */
TEST(writers_that_saturate_it_get_as_much_each, .timeout_s = 60)
{
	struct scene scene = scene_open(OPTIONS(.capacity_bytes = 65536));
	struct account account;
	double unfairness, strangers;

	for (uint64_t i = 0; i < WRITERS; i++)
		start(&scene, i, 56);
	account = account_for(&scene, 4000000, &unfairness);
	strangers = strangers_share(&account);
	printf("# busiest to slowest of %d writers: %.2f; strangers had %.0f%%\n", WRITERS,
	       unfairness, strangers);
	atomic_store(&scene.shared->stop, true);
	for (int i = 0; i < WRITERS; i++)
		shmt_peer_join(&scene.peer[i]);
	ck_assert(unfairness <= (strangers < 10 ? 1.2 : 20));
	scene_close(&scene);
}

/* A slow reader: each time it has made room for a small one, there is a small one that wants it. */
TEST(a_large_message_gets_its_room_among_many_small_ones, .timeout_s = 60)
{
	struct scene scene =
		scene_open(OPTIONS(.capacity_bytes = 4096, .policy = SHMC_BROADCAST_BLOCK));
	struct shmc_broadcast *reader = shmt_reader_open(scene.client, "news",
							 SHMC_BROADCAST_OLDEST, 0);
	uint64_t small = 0, large = 0, number;

	for (uint64_t i = 0; i < CROWD; i++)
		start(&scene, i, 56);
	start(&scene, CROWD, LARGE);
	while (large < LARGE_COUNT) {
		shmt_assert_ok(shmt_broadcast_receive(reader, &number, NULL, SHMC_FOREVER));
		large += number == CROWD;
		small += number != CROWD;
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	}
	printf("# %lu small ones between two large ones\n", (unsigned long)(small / large));
	/* as many as are there when it comes, and those whose turn is before its own */
	ck_assert_uint_le(small / large, 4096 / 80 + CROWD * 64);
	atomic_store(&scene.shared->stop, true);
	shmc_broadcast_close(reader);
	for (int i = 0; i < WRITERS; i++)
		shmt_peer_join(&scene.peer[i]);
	scene_close(&scene);
}

SHMT_MAIN
