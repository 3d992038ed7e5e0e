/* crowd: see crowd.h. */
#include "bench/crowd.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/contest.h"
#include "bench/daemon.h"
#include "shmclient/shmclient.h"

#define SEGMENTS 1000
#define CLIENTS	 200

struct name {
	char text[32];
};

static struct name name_of(int number)
{
	struct name name;

	snprintf(name.text, sizeof(name.text), "bench/crowd/%d", number);
	return name;
}

/* Each holds a queue's end, and is asleep for good. */
static void be_crowd(int gathered)
{
	struct shmc_spsc *queue;
	struct shmc_error error;

	for (int i = 0; i < CLIENTS; i++)
		if (shmc_spsc_open(bench_daemon_connect(0), name_of(i).text, SHMC_SPSC_PRODUCER,
				   &queue, &error) != SHMC_OK)
			bench_die("crowd: %s", error.text);
	if (write(gathered, "", 1) != 1)
		bench_die("crowd: nobody waits for it");
	for (;;)
		pause();
}

pid_t bench_crowd_gather(struct shmc_client *client)
{
	const struct shmc_spsc_options options = { .capacity_bytes = 4096 };
	struct shmc_error error;
	int gathered[2];
	char byte;
	pid_t pid;

	for (int i = 0; i < SEGMENTS; i++)
		if (shmc_spsc_create(client, name_of(i).text, &options, &error) != SHMC_OK)
			bench_die("crowd: %s", error.text);
	if (pipe(gathered) < 0)
		bench_die("crowd: no pipe");
	pid = bench_fork(bench_manner.cpu[1]);
	if (pid == 0)
		be_crowd(gathered[1]);
	close(gathered[1]);
	if (read(gathered[0], &byte, 1) != 1)
		bench_die("crowd: did not gather");
	close(gathered[0]);
	return pid;
}

void bench_crowd_disperse(struct shmc_client *client, pid_t crowd)
{
	kill(crowd, SIGKILL);
	waitpid(crowd, NULL, 0);
	for (int i = 0; i < SEGMENTS; i++)
		shmc_unlink(client, name_of(i).text, NULL);
}
