/*
 * pool_images [IMAGES]: a child fills image buffers in place and sends their handles through an mpmc
 * queue; the parent claims each image, adds it up where it lies and releases it for the next one. No
 * image is copied, and no more exist at a time than the pool has buffers for.
 *
 * Ends with status 1 when an image is not what was drawn.
 */
#include <shmclient/shmclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WIDTH  640
#define HEIGHT 480

static void check(enum shmc_result result, const struct shmc_error *error)
{
	if (result == SHMC_OK)
		return;
	fprintf(stderr, "pool_images: %s\n", error->text);
	exit(1);
}

static struct shmc_client *join(enum shmc_mpmc_role role, struct shmc_pool **pool,
				struct shmc_mpmc **queue)
{
	struct shmc_pool_options buffers = { .object_bytes = WIDTH * HEIGHT,
					     .objects = 8,
					     .reuse = 1 };
	struct shmc_mpmc_options handles = { .message_bytes_max = sizeof(uint64_t), .reuse = 1 };
	struct shmc_client *client;
	struct shmc_error error;

	check(shmc_connect(NULL, &client, &error), &error);
	check(shmc_pool_create(client, "images", &buffers, &error), &error);
	check(shmc_pool_open(client, "images", SHMC_POOL_USER, &buffers, pool, &error), &error);
	check(shmc_mpmc_create(client, "images/ready", &handles, &error), &error);
	check(shmc_mpmc_open(client, "images/ready", role, queue, &error), &error);
	return client;
}

static void leave(struct shmc_client *client, struct shmc_pool *pool, struct shmc_mpmc *queue)
{
	shmc_mpmc_close(queue);
	shmc_pool_close(pool);
	shmc_disconnect(client);
}

static void draw(unsigned long images)
{
	struct shmc_pool *pool;
	struct shmc_mpmc *queue;
	struct shmc_client *client = join(SHMC_MPMC_PRODUCER, &pool, &queue);

	for (unsigned long i = 0; i < images; i++) {
		uint64_t handle;
		void *pixels;

		/* waits while all buffers are in use */
		shmc_pool_acquire(pool, SHMC_FOREVER, &handle, &pixels);
		memset(pixels, (int)(i % 256), (size_t)WIDTH * HEIGHT);
		shmc_pool_transfer(pool, handle, SHMC_POOL_ANYONE);
		shmc_mpmc_push(queue, &handle, sizeof(handle), SHMC_FOREVER);
	}
	leave(client, pool, queue);
}

int main(int argc, char **argv)
{
	unsigned long images = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
	unsigned long right = 0;
	struct shmc_client *client;
	struct shmc_mpmc *queue;
	struct shmc_pool *pool;

	/* fork first: a handle is its own process's */
	if (fork() == 0) {
		draw(images);
		return 0;
	}
	client = join(SHMC_MPMC_CONSUMER, &pool, &queue);
	for (unsigned long i = 0; i < images; i++) {
		struct shmc_message message;
		unsigned long sum = 0;
		uint64_t handle;
		void *pixels;

		shmc_mpmc_pop(queue, &handle, sizeof(handle), SHMC_FOREVER, &message);
		if (shmc_pool_claim(pool, handle, &pixels) != SHMC_OK)
			continue;
		for (long at = 0; at < (long)WIDTH * HEIGHT; at++)
			sum += ((const unsigned char *)pixels)[at];
		right += sum == i % 256 * WIDTH * HEIGHT;
		shmc_pool_release(pool, handle);
	}
	wait(NULL);
	printf("%lu of %lu images as they were drawn\n", right, images);
	shmc_unlink(client, "images", NULL);
	shmc_unlink(client, "images/ready", NULL);
	leave(client, pool, queue);
	return right == images ? 0 : 1;
}
