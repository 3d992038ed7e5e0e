/*
 * ring_samples [SAMPLES]: a child measures and pushes its samples a block at a time, without ever
 * waiting; the parent takes them in blocks of its own, in place, and averages them. What it was too
 * slow for is written over and counted.
 *
 * Ends with status 1 when what came and what was lost is not all there was.
 */
#include <shmclient/shmclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK 64

static void check(enum shmc_result result, const struct shmc_error *error)
{
	if (result == SHMC_OK)
		return;
	fprintf(stderr, "ring_samples: %s\n", error->text);
	exit(1);
}

static struct shmc_ring *join(enum shmc_ring_role role, struct shmc_client **client)
{
	struct shmc_ring_options options = { .element_type = SHMC_TYPE_DOUBLE,
					     .elements = 4096,
					     .reuse = 1 };
	struct shmc_error error;
	struct shmc_ring *ring;

	check(shmc_connect(NULL, client, &error), &error);
	check(shmc_ring_create(*client, "samples", &options, &error), &error);
	check(shmc_ring_open(*client, "samples", role, &options, &ring, &error), &error);
	return ring;
}

static void measure(unsigned long long samples)
{
	struct shmc_client *client;
	struct shmc_ring *ring = join(SHMC_RING_PRODUCER, &client);
	double block[BLOCK];

	for (unsigned long long at = 0; at < samples; at += BLOCK) {
		unsigned long long count = samples - at < BLOCK ? samples - at : BLOCK;

		for (unsigned long long i = 0; i < count; i++)
			block[i] = (double)((at + i) % 100);
		shmc_ring_push_overwrite(ring, block, count);
	}
	shmc_ring_close(ring);
	shmc_disconnect(client);
}

int main(int argc, char **argv)
{
	unsigned long long samples = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	unsigned long long taken = 0, lost = 0;
	enum shmc_result result;
	struct shmc_ring_span span;
	struct shmc_client *client;
	struct shmc_ring *ring;
	double sum = 0;

	/* fork first: a handle is its own process's */
	if (fork() == 0) {
		measure(samples);
		return 0;
	}
	ring = join(SHMC_RING_CONSUMER, &client);
	shmc_ring_wait_peer(ring, SHMC_FOREVER);
	/* until CLOSED: the child has left, and all that it pushed was taken */
	while ((result = shmc_ring_peek(ring, 0, 1000, 1, SHMC_FOREVER, &span)) == SHMC_OK) {
		const double *values = span.data;
		double part = 0;

		for (uint64_t i = 0; i < span.count; i++)
			part += values[i];
		/* LAPPED: some were written over while they were added up */
		if (shmc_ring_release(ring, span.count) != SHMC_OK)
			continue;
		sum += part;
		taken += span.count;
	}
	wait(NULL);
	lost = samples - taken;
	printf("%llu samples, their mean is %.2f; %llu came too fast\n", taken,
	       taken ? sum / (double)taken : 0.0, lost);
	shmc_ring_close(ring);
	shmc_unlink(client, "samples", NULL);
	shmc_disconnect(client);
	return result == SHMC_CLOSED ? 0 : 1;
}
