/*
 * logger [LINES]: three processes write a log at once, two read all of it.
 *
 * Each writer logs LINES lines (1000); each reader counts them by writer, and says what it lost,
 * which is nothing here: the log blocks its writers rather than lose a line. Ends with status 1 when
 * a reader did not get every line.
 */
#include <shmclient/shmclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITERS 3
#define READERS 2

static struct shmc_broadcast *join(struct shmc_client **client, enum shmc_broadcast_role role)
{
	struct shmc_broadcast_options options = { .policy = SHMC_BROADCAST_BLOCK, .reuse = 1 };
	struct shmc_broadcast *log;
	struct shmc_error error;

	if (shmc_connect(NULL, client, &error) != SHMC_OK ||
	    shmc_broadcast_create(*client, "log", &options, &error) != SHMC_OK ||
	    shmc_broadcast_open(*client, "log", role, &log, &error) != SHMC_OK) {
		fprintf(stderr, "logger: %s\n", error.text);
		exit(1);
	}
	return log;
}

static int write_log(unsigned long lines)
{
	struct shmc_client *client;
	struct shmc_broadcast *log = join(&client, SHMC_BROADCAST_WRITER);
	char line[80];

	for (unsigned long i = 0; i < lines; i++) {
		int length = snprintf(line, sizeof(line), "process %d: line %lu", getpid(), i);

		if (shmc_broadcast_push(log, line, (uint64_t)length, SHMC_FOREVER) != SHMC_OK)
			return 1;
	}
	shmc_broadcast_close(log);
	shmc_disconnect(client);
	return 0;
}

/* Tells through the pipe that it listens. */
static int read_log(unsigned long lines, int ready)
{
	struct shmc_broadcast_message message = { .size = 0 };
	struct shmc_client *client;
	struct shmc_broadcast *log = join(&client, SHMC_BROADCAST_READER);
	unsigned long got = 0, lost = 0;
	char line[80] = "";

	if (write(ready, "r", 1) != 1)
		return 1;
	while (got + lost < WRITERS * lines &&
	       shmc_broadcast_pop(log, line, sizeof(line), SHMC_FOREVER, &message) == SHMC_OK) {
		got++;
		lost += message.lost;
	}
	printf("reader %d: %lu lines, %lu lost, the last: %.*s\n", getpid(), got, lost,
	       (int)message.size, line);
	shmc_broadcast_close(log);
	shmc_disconnect(client);
	return got == WRITERS * lines ? 0 : 1;
}

int main(int argc, char **argv)
{
	unsigned long lines = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
	int ready[2], status, failed = 0;
	char byte;

	/* fork first: a handle is its own process's */
	if (pipe(ready) < 0)
		return 1;
	for (int i = 0; i < READERS; i++)
		if (fork() == 0)
			return read_log(lines, ready[1]);
	for (int i = 0; i < READERS; i++)
		if (read(ready[0], &byte, 1) != 1)
			return 1;
	for (int i = 0; i < WRITERS; i++)
		if (fork() == 0)
			return write_log(lines);
	while (wait(&status) > 0)
		failed |= status != 0;
	return failed;
}
