/*
 * array_shared [ELEMENTS]: a child fills an array in shared memory and copies numbers into it, the
 * parent adds them up through a pointer, and an atomic says how far the child has got.
 *
 * Ends with status 1 when the sum is not what it has to be.
 */
#include <shmclient/shmclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK 1000

static void check(enum shmc_result result, const struct shmc_error *error)
{
	if (result == SHMC_OK)
		return;
	fprintf(stderr, "array_shared: %s\n", error->text);
	exit(1);
}

static struct shmc_client *join(enum shmc_array_role role, uint64_t elements,
				struct shmc_array **array, struct shmc_atomic **done)
{
	struct shmc_array_options options = { .element_type = SHMC_TYPE_DOUBLE,
					      .elements = elements,
					      .reuse = 1 };
	struct shmc_atomic_options counter = { .type = SHMC_TYPE_U64, .reuse = 1 };
	struct shmc_client *client;
	struct shmc_error error;

	check(shmc_connect(NULL, &client, &error), &error);
	check(shmc_array_create(client, "prices", &options, &error), &error);
	check(shmc_array_open(client, "prices", role, &options, array, &error), &error);
	check(shmc_atomic_create(client, "prices/done", &counter, &error), &error);
	check(shmc_atomic_open(client, "prices/done", SHMC_ATOMIC_WRITER, SHMC_TYPE_U64, done,
			       &error),
	      &error);
	return client;
}

static void leave(struct shmc_client *client, struct shmc_array *array, struct shmc_atomic *done)
{
	shmc_array_close(array);
	shmc_atomic_close(done);
	shmc_disconnect(client);
}

static void write_all(uint64_t elements)
{
	struct shmc_array *array;
	struct shmc_atomic *done;
	struct shmc_client *client = join(SHMC_ARRAY_WRITER, elements, &array, &done);
	double block[BLOCK], one = 1;

	shmc_array_fill(array, 0, elements, &one);
	for (int i = 0; i < BLOCK; i++)
		block[i] = i;
	for (uint64_t at = 0; at + BLOCK <= elements; at += 2 * (uint64_t)BLOCK)
		shmc_array_write(array, at, BLOCK, block);
	shmc_atomic_store(done, elements, SHMC_ORDER_RELEASE);
	leave(client, array, done);
}

int main(int argc, char **argv)
{
	uint64_t elements = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
	double expected = 0, sum = 0;
	struct shmc_client *client;
	struct shmc_array *array;
	struct shmc_atomic *done;
	const double *prices;

	/* fork first: a handle is its own process's */
	if (fork() == 0) {
		write_all(elements);
		return 0;
	}
	client = join(SHMC_ARRAY_READER, elements, &array, &done);
	shmc_atomic_wait(done, 0, SHMC_FOREVER, NULL);
	prices = shmc_array_data(array);
	for (uint64_t i = 0; i < elements; i++) {
		uint64_t begin = i - i % BLOCK;

		sum += prices[i];
		expected += begin / BLOCK % 2 == 0 && begin + BLOCK <= elements ? i % BLOCK : 1;
	}
	printf("%llu prices, their sum is %.0f\n", (unsigned long long)elements, sum);
	wait(NULL);
	shmc_unlink(client, "prices", NULL);
	shmc_unlink(client, "prices/done", NULL);
	leave(client, array, done);
	return sum == expected ? 0 : 1;
}
