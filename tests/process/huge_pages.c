/* Segments in huge pages. Skipped where none can be reserved: it takes root, and free memory. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/mpmc_client.h"
#include "tests/support/runner.h"

#define RESERVED "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
#define FREE	 "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"

enum {
	WANTED = 8,
	MIB = 1 << 20,
};

static unsigned long before;
static pid_t reserver;

static unsigned long read_number(const char *path)
{
	unsigned long number = 0;
	FILE *file = fopen(path, "re");

	if (!file)
		return 0;
	if (fscanf(file, "%lu", &number) != 1)
		number = 0;
	fclose(file);
	return number;
}

static void reserve(unsigned long count)
{
	FILE *file = fopen(RESERVED, "we");

	if (!file)
		return;
	fprintf(file, "%lu", count);
	fclose(file);
}

/* Not by the tests' own processes, which end the same way. */
static void give_back(void)
{
	if (getpid() == reserver)
		reserve(before);
}

static const struct shmc_create_options huge = { .flags = SHMC_CREATE_HUGE_PAGES };

TEST(ring_in_huge_pages_carries_messages_over_its_end)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_spsc_options options = { .capacity_bytes = 2 * MIB, .common = &huge };
	unsigned long free_before = read_number(FREE);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc *producer, *consumer;
	struct shmc_error error;

	if (shmc_spsc_create(client, "queue", &options, &error) != SHMC_OK)
		ck_abort_msg("%s", error.text);
	ck_assert_uint_eq(read_number(FREE), free_before - 1);
	producer = shmt_open(client, "queue", SHMC_SPSC_PRODUCER);
	consumer = shmt_open(client, "queue", SHMC_SPSC_CONSUMER);
	for (uint64_t i = 0; i < 5000; i++) {
		shmt_assert_ok(shmt_push_numbered(producer, i, 4000, SHMC_TRY));
		shmt_assert_ok(shmt_pop_numbered(consumer, i, 4000, SHMC_TRY, NULL));
	}
	shmc_spsc_close(producer);
	shmc_spsc_close(consumer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
	ck_assert_uint_eq(read_number(FREE), free_before);
}

TEST(slots_in_huge_pages_are_rounded_up_to_whole_ones)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_mpmc *producer, *consumer;
	uint64_t got;

	shmt_queue_create(client, "queue",
			  (struct shmc_mpmc_options){ .slots = 4, .common = &huge });
	producer = shmt_queue_open(client, "queue", SHMC_MPMC_PRODUCER);
	consumer = shmt_queue_open(client, "queue", SHMC_MPMC_CONSUMER);
	shmt_assert_ok(shmt_queue_push(producer, 7, SHMC_TRY));
	shmt_assert_ok(shmt_queue_pop(consumer, &got, NULL, SHMC_TRY));
	ck_assert_uint_eq(got, 7);
	shmc_mpmc_close(producer);
	shmc_mpmc_close(consumer);
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

TEST(want_of_huge_pages_names_the_remedy)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmc_client *client = shmt_connect(&broker);
	struct shmc_spsc_options options = { .capacity_bytes = 64 * MIB, .common = &huge };
	struct shmc_error error;
	char free_now[32];

	shmt_assert_result(shmc_spsc_create(client, "queue", &options, &error), SHMC_NO_SPACE);
	shmt_assert_says(&error, "vm.nr_hugepages");
	shmt_assert_says(&error, "32 huge pages");
	snprintf(free_now, sizeof(free_now), "%lu of", read_number(FREE));
	shmt_assert_says(&error, free_now);
	options.common = NULL;
	shmt_assert_ok(shmc_spsc_create(client, "queue", &options, &error));
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

int main(int argc, char **argv)
{
	reserver = getpid();
	before = read_number(RESERVED);
	reserve(before + WANTED);
	atexit(give_back);
	if (read_number(FREE) < 4 || read_number(FREE) > 31)
		return shmt_skip("no huge pages can be reserved here, or there are many already");
	return shmt_run(argc, argv);
}
