/*
 * event_log [EVENTS]: four processes write events into one log, two read all of it, as JSON.
 *
 * Each writer logs EVENTS events (500), the last of which is no JSON at all, as if a program of
 * another make were among them: the readers show such a one as the bytes that it is, and go on. Each
 * reader adds up what the events say. Ends with status 1 when a reader did not get every event.
 *
 *	cc event_log.c $(pkg-config --cflags --libs shmclient libcjson)
 */
#include <cjson/cJSON.h>
#include <shmclient/shmclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITERS 4
#define READERS 2

static struct shmc_broadcast *join(struct shmc_client **client, enum shmc_broadcast_role role)
{
	struct shmc_broadcast_options options = { .policy = SHMC_BROADCAST_BLOCK, .reuse = 1 };
	struct shmc_broadcast *log;
	struct shmc_error error;

	if (shmc_connect(NULL, client, &error) != SHMC_OK ||
	    shmc_broadcast_create(*client, "events", &options, &error) != SHMC_OK ||
	    shmc_broadcast_open(*client, "events", role, &log, &error) != SHMC_OK) {
		fprintf(stderr, "event_log: %s\n", error.text);
		exit(1);
	}
	return log;
}

static int write_log(unsigned long events)
{
	struct shmc_client *client;
	struct shmc_broadcast *log = join(&client, SHMC_BROADCAST_WRITER);
	struct shmc_port port = shmc_port_broadcast(log);
	cJSON *event = cJSON_CreateObject();
	cJSON *number = cJSON_AddNumberToObject(event, "number", 0);
	enum shmc_result result = SHMC_OK;

	cJSON_AddNumberToObject(event, "process", getpid());
	cJSON_AddStringToObject(event, "text", "\"said\" a process\n");
	for (unsigned long i = 1; i < events && result == SHMC_OK; i++) {
		cJSON_SetNumberValue(number, (double)i);
		result = shmc_port_send_value(&port, shmc_codec_json(), event, SHMC_FOREVER);
	}
	if (result == SHMC_OK)
		result = shmc_broadcast_push(log, "no JSON", 7, SHMC_FOREVER);
	cJSON_Delete(event);
	shmc_broadcast_close(log);
	shmc_disconnect(client);
	return result == SHMC_OK ? 0 : 1;
}

/* Tells through the pipe that it listens. */
static int read_log(unsigned long events, int ready)
{
	struct shmc_client *client;
	struct shmc_broadcast *log = join(&client, SHMC_BROADCAST_READER);
	struct shmc_port port = shmc_port_broadcast(log);
	unsigned long got = 0, bad = 0;
	struct shmc_message message;
	double sum = 0;
	cJSON *event;

	if (write(ready, "r", 1) != 1)
		return 1;
	while (got + bad < WRITERS * events) {
		enum shmc_result result = shmc_port_receive_value(&port, shmc_codec_json(), &event,
								  SHMC_FOREVER, &message);

		if (result == SHMC_OK) {
			sum += cJSON_GetNumberValue(cJSON_GetObjectItem(event, "number"));
			cJSON_Delete(event);
			got++;
		} else if (result == SHMC_BAD_VALUE) {
			printf("reader %d: not an event: %.*s\n", getpid(), (int)message.size,
			       (const char *)message.data);
			shmc_port_release(&port);
			bad++;
		} else {
			fprintf(stderr, "event_log: %s\n", shmc_result_text(result));
			break;
		}
	}
	printf("reader %d: %lu events, %lu others, sum %.0f\n", getpid(), got, bad, sum);
	shmc_broadcast_close(log);
	shmc_disconnect(client);
	return got + bad == WRITERS * events ? 0 : 1;
}

int main(int argc, char **argv)
{
	unsigned long events = argc > 1 ? strtoul(argv[1], NULL, 10) : 500;
	int ready[2], status, failed = 0;
	char byte;

	/* fork first: a handle is its own process's */
	if (pipe(ready) < 0)
		return 1;
	for (int i = 0; i < READERS; i++)
		if (fork() == 0)
			return read_log(events, ready[1]);
	for (int i = 0; i < READERS; i++)
		if (read(ready[0], &byte, 1) != 1)
			return 1;
	for (int i = 0; i < WRITERS; i++)
		if (fork() == 0)
			return write_log(events);
	while (wait(&status) > 0)
		failed |= status != 0;
	return failed;
}
