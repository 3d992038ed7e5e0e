/*
 * A million messages between many: each arrives once, whole, and behind those that its producer
 * sent before it. Threads share one mapping, which is what a thread sanitizer can follow; processes
 * have one each.
 */
#include "protocol/mpmc.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/mpmc.h"
#include "tests/support/runner.h"

enum {
	MESSAGES = 1000000,
	MANY = 16,
	LONGEST = 120,
};

struct world {
	struct shmt_mpmc queue;
	uint32_t producers, consumers;
	uint32_t messages; /* in all, a multiple of producers */
	_Atomic uint64_t received;
	_Atomic uint8_t got[MESSAGES];
};

struct worker {
	struct world *world;
	uint32_t index; /* within the role */
	struct shmp_mpmc handle;
};

/* Message i of a producer: number, then bytes that follow from it. */
static uint64_t fill(uint8_t *payload, uint64_t number)
{
	uint64_t size = 8 + number % (LONGEST - 7);

	memcpy(payload, &number, 8);
	memset(payload + 8, (int)(number & 0xff), size - 8);
	return size;
}

static void check(const uint8_t *payload, uint64_t size, uint64_t number)
{
	SHMT_REQUIRE(size == 8 + number % (LONGEST - 7));
	for (uint64_t i = 8; i < size; i++)
		SHMT_REQUIRE(payload[i] == (number & 0xff));
}

static void produce(struct worker *worker)
{
	const struct world *world = worker->world;
	uint8_t payload[SHMP_COPY_INLINE];
	int r;

	for (uint32_t i = worker->index; i < world->messages; i += world->producers) {
		uint64_t size = fill(payload, i);

		while ((r = shmp_mpmc_push(&worker->handle, payload, size)) == SHMP_FULL)
			sched_yield();
		SHMT_REQUIRE(r == SHMP_DONE);
	}
}

static void consume(struct worker *worker)
{
	struct world *world = worker->world;
	uint64_t next[MANY] = { 0 }, number;
	uint8_t payload[SHMP_COPY_INLINE];
	struct shmp_mpmc_message message;
	int r;

	while (atomic_load(&world->received) < world->messages) {
		r = shmp_mpmc_pop(&worker->handle, payload, sizeof(payload), &message);
		if (r == SHMP_EMPTY) {
			sched_yield();
			continue;
		}
		SHMT_REQUIRE(r == SHMP_DONE && message.flags == 0);
		memcpy(&number, payload, 8);
		SHMT_REQUIRE(number < world->messages);
		check(payload, message.size, number);
		SHMT_REQUIRE(number >= next[number % world->producers]);
		next[number % world->producers] = number + 1;
		SHMT_REQUIRE(atomic_fetch_add(&world->got[number], 1) == 0);
		atomic_fetch_add(&world->received, 1);
	}
}

static struct world *world_open(uint64_t slots, uint32_t producers, uint32_t consumers,
				uint32_t messages)
{
	struct world *world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(world, MAP_FAILED);
	world->producers = producers;
	world->consumers = consumers;
	world->messages = messages / producers * producers;
	shmt_mpmc_make(&world->queue, slots, LONGEST, producers + consumers);
	return world;
}

static void world_close(struct world *world)
{
	struct shmp_mpmc_counts pushed, popped;
	const char *why = NULL;

	for (uint32_t i = 0; i < world->messages; i++)
		if (atomic_load(&world->got[i]) != 1)
			ck_abort_msg("message %u came %u times", i, atomic_load(&world->got[i]));
	shmp_mpmc_count_role(&world->queue.map, SHMP_MPMC_PRODUCER, &pushed);
	shmp_mpmc_count_role(&world->queue.map, SHMP_MPMC_CONSUMER, &popped);
	ck_assert_uint_eq(pushed.of[SHMP_MPMC_ITEMS], world->messages);
	ck_assert_uint_eq(popped.of[SHMP_MPMC_ITEMS], world->messages);
	ck_assert_uint_eq(popped.of[SHMP_MPMC_BYTES], pushed.of[SHMP_MPMC_BYTES]);
	ck_assert_int_eq(shmp_mpmc_kind.validate(&world->queue.map, &why), 0);
	shmt_mpmc_free(&world->queue);
	munmap(world, sizeof(*world));
}

static void worker_init(struct worker *worker, struct world *world, struct shmt_mpmc *queue,
			uint32_t number)
{
	bool produces = number < world->producers;

	worker->world = world;
	worker->index = produces ? number : number - world->producers;
	shmt_mpmc_attach(queue, number, produces ? SHMP_MPMC_PRODUCER : SHMP_MPMC_CONSUMER,
			 &worker->handle);
}

static void *run_thread(void *context)
{
	struct worker *worker = context;

	if (worker->handle.endpoint < worker->world->producers)
		produce(worker);
	else
		consume(worker);
	return NULL;
}

static void run_threads(uint64_t slots, uint32_t producers, uint32_t consumers, uint32_t messages)
{
	struct world *world = world_open(slots, producers, consumers, messages);
	struct worker *workers = calloc(producers + consumers, sizeof(*workers));
	pthread_t threads[2 * MANY];

	for (uint32_t i = 0; i < producers + consumers; i++)
		worker_init(&workers[i], world, &world->queue, i);
	for (uint32_t i = 0; i < producers + consumers; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run_thread, &workers[i]), 0);
	for (uint32_t i = 0; i < producers + consumers; i++)
		pthread_join(threads[i], NULL);
	free(workers);
	world_close(world);
}

/* With a mapping of its own, at another address. */
static void run_process(struct world *world, uint32_t number)
{
	struct shmt_mpmc queue = world->queue;
	struct worker worker;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	shmt_segment_map(&queue.segment, "producer", &queue.map);
	worker_init(&worker, world, &queue, number);
	run_thread(&worker);
	_exit(0);
}

static void run_processes(uint64_t slots, uint32_t producers, uint32_t consumers, uint32_t messages)
{
	struct world *world = world_open(slots, producers, consumers, messages);
	int status;

	for (uint32_t i = 0; i < producers + consumers; i++) {
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			run_process(world, i);
	}
	for (uint32_t i = 0; i < producers + consumers; i++) {
		ck_assert_int_gt(wait(&status), 0);
		ck_assert_int_eq(status, 0);
	}
	world_close(world);
}

#define LONG .timeout_s = 120

TEST(one_thread_to_one, LONG)
{
	run_threads(64, 1, 1, MESSAGES);
}

TEST(four_threads_to_one, LONG)
{
	run_threads(64, 4, 1, MESSAGES);
}

TEST(one_thread_to_four, LONG)
{
	run_threads(64, 1, 4, MESSAGES);
}

TEST(four_threads_to_four, LONG)
{
	run_threads(64, 4, 4, MESSAGES);
}

TEST(four_threads_to_four_through_two_slots, LONG)
{
	run_threads(2, 4, 4, MESSAGES / 10);
}

TEST(four_threads_to_four_through_seven_slots, LONG)
{
	run_threads(7, 4, 4, MESSAGES / 4);
}

TEST(sixteen_threads_to_sixteen, LONG)
{
	run_threads(1024, MANY, MANY, MESSAGES);
}

TEST(four_processes_to_four, LONG)
{
	run_processes(64, 4, 4, MESSAGES);
}

TEST(sixteen_processes_to_sixteen, LONG)
{
	run_processes(1024, MANY, MANY, MESSAGES);
}

TEST(four_processes_to_four_through_two_slots, LONG)
{
	run_processes(2, 4, 4, MESSAGES / 10);
}

SHMT_MAIN
