/*
 * mpmc_statistics [MESSAGES]: four processes send at once, two receive, and all of them are counted.
 *
 * Each sender sends MESSAGES numbers (100 000); the receivers add them up. Prints what the queue
 * says of each endpoint, and ends with status 1 when the sum is not what was sent.
 */
#include <shmclient/shmclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SENDERS	  4
#define RECEIVERS 2
#define QUIET_NS  (INT64_C(500) * 1000 * 1000)

static void die(const char *what, const struct shmc_error *error)
{
	fprintf(stderr, "mpmc_statistics: %s: %s\n", what, error->text);
	exit(1);
}

static struct shmc_mpmc *join(struct shmc_client **client, enum shmc_mpmc_role role)
{
	struct shmc_mpmc_options options = { .slots = 256, .reuse = 1 };
	struct shmc_error error;
	struct shmc_mpmc *queue;

	if (shmc_connect(NULL, client, &error) != SHMC_OK)
		die("connect", &error);
	if (shmc_mpmc_create(*client, "numbers", &options, &error) != SHMC_OK)
		die("create", &error);
	if (shmc_mpmc_open(*client, "numbers", role, &queue, &error) != SHMC_OK)
		die("open", &error);
	return queue;
}

static void leave(struct shmc_mpmc *queue, struct shmc_client *client)
{
	shmc_mpmc_close(queue);
	shmc_disconnect(client);
}

/*
 * Tells that this process is here, and waits until all are: a sender that came after another has
 * left would take its place, and a place's figures go on.
 */
static void wait_for_all(const int here[2], const int all[2])
{
	char byte = 0;

	close(all[1]);
	if (write(here[1], &byte, 1) != 1 || read(all[0], &byte, 1) != 0)
		exit(1);
}

static void send_numbers(uint64_t count, const int here[2], const int all[2])
{
	struct shmc_client *client;
	struct shmc_mpmc *queue = join(&client, SHMC_MPMC_PRODUCER);

	wait_for_all(here, all);
	for (uint64_t i = 1; i <= count; i++)
		shmc_mpmc_push(queue, &i, sizeof(i), SHMC_FOREVER);
	leave(queue, client);
}

/* Until nothing has come for a while; tells the sum through the pipe. */
static void add_numbers(int pipe_fd, const int here[2], const int all[2])
{
	struct shmc_client *client;
	struct shmc_mpmc *queue = join(&client, SHMC_MPMC_CONSUMER);
	struct shmc_message message;
	uint64_t number, sum = 0;

	wait_for_all(here, all);
	while (shmc_mpmc_pop(queue, &number, sizeof(number), QUIET_NS, &message) == SHMC_OK)
		sum += number;
	if (write(pipe_fd, &sum, sizeof(sum)) != sizeof(sum))
		exit(1);
	leave(queue, client);
}

static void show(const char *name, const struct shmc_statistics *statistics)
{
	printf("%-12s %9llu messages %9llu bytes %7llu refused %6llu sleeps\n", name,
	       (unsigned long long)statistics->messages, (unsigned long long)statistics->bytes,
	       (unsigned long long)statistics->refused, (unsigned long long)statistics->waits);
}

static void show_all(const struct shmc_mpmc *queue)
{
	struct shmc_mpmc_statistics all;
	struct shmc_mpmc_endpoint endpoint;

	for (uint32_t i = 0; shmc_mpmc_endpoint(queue, i, &endpoint) == SHMC_OK; i++) {
		if (endpoint.pushed.messages > 0)
			show("sent", &endpoint.pushed);
		if (endpoint.popped.messages > 0)
			show("received", &endpoint.popped);
	}
	shmc_mpmc_statistics(queue, &all);
	show("all senders", &all.producers);
	show("all receivers", &all.consumers);
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
	uint64_t one, sum = 0;
	struct shmc_client *client;
	struct shmc_mpmc *queue;
	int ends[2], here[2], all[2];
	char byte;

	/* fork first: a handle is its own process's */
	if (pipe(ends) < 0 || pipe(here) < 0 || pipe(all) < 0)
		return 1;
	for (int i = 0; i < SENDERS + RECEIVERS; i++) {
		if (fork() == 0) {
			if (i < SENDERS)
				send_numbers(count, here, all);
			else
				add_numbers(ends[1], here, all);
			return 0;
		}
	}
	queue = join(&client, SHMC_MPMC_PRODUCER);
	for (int i = 0; i < SENDERS + RECEIVERS && read(here[0], &byte, 1) == 1; i++)
		;
	close(all[1]);
	for (int i = 0; i < RECEIVERS && read(ends[0], &one, sizeof(one)) == sizeof(one); i++)
		sum += one;
	while (wait(NULL) > 0)
		;
	show_all(queue);
	shmc_unlink(client, "numbers", NULL);
	leave(queue, client);
	return sum == SENDERS * (count * (count + 1) / 2) ? 0 : 1;
}
