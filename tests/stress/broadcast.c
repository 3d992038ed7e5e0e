/*
 * Many messages of many writers to many readers: each reader gets what each writer sent, whole, in
 * the order it was sent in, and is told exactly what is missing. Threads share one mapping, which is
 * what a thread sanitizer can follow.
 */
#include "protocol/broadcast.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "tests/support/broadcast.h"
#include "tests/support/runner.h"

enum {
	MANY = 4,
	LONGEST = 120
};

struct world {
	struct shmt_broadcast broadcast;
	uint32_t writers, readers;
	uint64_t messages; /* of each writer */
};

struct worker {
	struct world *world;
	uint32_t index; /* within the role */
	struct shmp_broadcast_writer writer;
	struct shmp_broadcast_reader reader;
};

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
	SHMT_REQUIRE(memcmp(payload, &number, 8) == 0);
	for (uint64_t i = 8; i < size; i++)
		SHMT_REQUIRE(payload[i] == (number & 0xff));
}

static void *write_all(void *context)
{
	struct worker *worker = context;
	uint8_t payload[LONGEST + 8];
	int r;

	for (uint64_t i = 0; i < worker->world->messages; i++) {
		uint64_t size = fill(payload, i);

		while ((r = shmp_broadcast_push(&worker->writer, payload, size)) == SHMP_FULL)
			sched_yield();
		SHMT_REQUIRE(r == SHMP_DONE);
	}
	return NULL;
}

/* Everything of everybody; what is lost is part of it. */
static void *read_all(void *context)
{
	struct worker *worker = context;
	const struct world *world = worker->world;
	uint64_t next[MANY] = { 0 }, lost[SHMP_ENDPOINTS_MAX], left = world->writers;
	struct shmp_broadcast_message message;
	uint8_t payload[LONGEST + 8];
	int r;

	while (left > 0) {
		r = shmp_broadcast_pop(&worker->reader, payload, sizeof(payload), &message);
		if (r == SHMP_EMPTY) {
			sched_yield();
			left = 0;
			/* the last messages of one may be lost before the last of another come */
			r = shmp_broadcast_count_lost(&worker->reader, lost);
			SHMT_REQUIRE(r == SHMP_DONE || r == SHMP_EMPTY);
			for (uint32_t i = 0; i < world->writers; i++)
				left += next[i] + lost[i] - worker->reader.lost[i] <
					world->messages;
			continue;
		}
		SHMT_REQUIRE(r == SHMP_DONE);
		check(payload, message.size, message.sequence);
		SHMT_REQUIRE(message.sequence == next[message.writer] + message.lost);
		next[message.writer] = message.sequence + 1;
	}
	SHMT_REQUIRE(worker->world->broadcast.segment.plan.option[SHMP_BROADCAST_BLOCK] == 0 ||
		     shmp_broadcast_total_lost(worker->reader.self) == 0);
	return NULL;
}

static void run(uint32_t writers, uint32_t readers, uint64_t messages, bool blocks,
		bool is_exclusive)
{
	struct world world = { .writers = writers, .readers = readers, .messages = messages };
	struct worker *workers = calloc(writers + readers, sizeof(*workers));
	pthread_t threads[2 * MANY];

	shmt_broadcast_make(&world.broadcast,
			    &(const struct shmt_broadcast_options){ .capacity = 4096,
								    .writers = writers,
								    .readers = readers,
								    .blocks = blocks,
								    .is_exclusive = is_exclusive });
	/* one mapping, or a sanitizer would see different memory */
	shmp_segment_unmap(&world.broadcast.reader_map);
	world.broadcast.reader_map = world.broadcast.writer_map;
	for (uint32_t i = 0; i < writers + readers; i++) {
		workers[i].world = &world;
		if (i < writers)
			shmt_broadcast_attach_writer(&world.broadcast, i, &workers[i].writer);
		else
			shmt_broadcast_attach_reader(&world.broadcast, i - writers,
						     SHMP_BROADCAST_FROM_OLDEST, 0,
						     &workers[i].reader);
	}
	for (uint32_t i = 0; i < writers + readers; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
						i < writers ? write_all : read_all, &workers[i]),
				 0);
	for (uint32_t i = 0; i < writers + readers; i++)
		pthread_join(threads[i], NULL);
	world.broadcast.reader_map = SHMP_SEGMENT_NULL;
	shmt_broadcast_free(&world.broadcast);
	free(workers);
}

TEST(many_to_many_lose_nothing_where_writers_block, .timeout_s = 100)
{
	run(3, 3, 20000, true, false);
}

TEST(many_to_many_know_what_they_lose_where_writers_overwrite, .timeout_s = 100)
{
	run(3, 3, 20000, false, false);
}

TEST(one_exclusive_writer_reaches_all, .timeout_s = 100)
{
	run(1, 4, 50000, true, true);
	run(1, 4, 50000, false, true);
}

SHMT_MAIN
