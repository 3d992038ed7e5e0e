/*
 * calls: what is asked of a broker that is killed, restarted or stopped. See restart.sh.
 *
 *	calls fill COUNT	makes so many segments and leaves messages in each
 *	calls empty COUNT	takes them out again, and removes the segments
 *	calls kill COUNT SHOW	kills the broker so often, whose pid the command SHOW prints, asks the
 *				next one each time, and says how long it took
 *	calls learn		holds a segment until a line comes in; by then it must be another
 *				broker, which knows nothing, and says so
 */
#include <inttypes.h>
#include <poll.h>
#include <shmclient/shmclient.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MESSAGES    3
#define KILLS_MAX   1000
#define PATIENCE_NS INT64_C(20000000000)

static struct shmc_client *client;
static struct shmc_error error;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s %s\n", what, shmc_result_name(error.result), error.text);
	exit(1);
}

/* For calls that say nothing but their result, too. */
static void expect(const char *what, enum shmc_result result, enum shmc_result expected)
{
	if (result == expected)
		return;
	if (result == SHMC_OK || error.result != result)
		error = (struct shmc_error){ .result = result };
	fail(what);
}

static void expect_ok(const char *what, enum shmc_result result)
{
	expect(what, result, SHMC_OK);
}

static void connect_patiently(void)
{
	struct shmc_client_options options = { .control_timeout_ns = PATIENCE_NS };

	expect_ok("connect", shmc_connect(&options, &client, &error));
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- many segments --------------------------------------------------------------------------- */

static const char *name_of(uint64_t number)
{
	static char name[32];

	snprintf(name, sizeof(name), "many/%" PRIu64, number);
	return name;
}

static uint64_t message_of(uint64_t number, uint64_t index)
{
	return (number * MESSAGES + index) * UINT64_C(0x9e3779b97f4a7c15);
}

static void fill(uint64_t count)
{
	struct shmc_spsc_options options = { .capacity_bytes = 4096 };

	for (uint64_t i = 0; i < count; i++) {
		struct shmc_spsc *queue = NULL;

		expect_ok("create", shmc_spsc_create(client, name_of(i), &options, &error));
		expect_ok("open",
			  shmc_spsc_open(client, name_of(i), SHMC_SPSC_PRODUCER, &queue, &error));
		for (uint64_t k = 0; k < MESSAGES; k++) {
			uint64_t message = message_of(i, k);

			expect_ok("push", shmc_spsc_try_push(queue, &message, sizeof(message)));
		}
		shmc_spsc_close(queue);
	}
}

static void empty(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct shmc_spsc *queue = NULL;
		struct shmc_message about;
		uint64_t message = 0;

		expect_ok("open",
			  shmc_spsc_open(client, name_of(i), SHMC_SPSC_CONSUMER, &queue, &error));
		for (uint64_t k = 0; k < MESSAGES; k++) {
			expect_ok("pop",
				  shmc_spsc_try_pop(queue, &message, sizeof(message), &about));
			if (message != message_of(i, k) || about.flags != 0)
				fail("another message");
		}
		expect("pop", shmc_spsc_try_pop(queue, &message, sizeof(message), &about),
		       SHMC_CLOSED);
		shmc_spsc_close(queue);
		expect_ok("unlink", shmc_unlink(client, name_of(i), &error));
	}
}

/* ---- kills ----------------------------------------------------------------------------------- */

static pid_t ask_pid(const char *command)
{
	FILE *pipe = popen(command, "r");
	long pid = 0;

	if (!pipe || fscanf(pipe, "%ld", &pid) != 1)
		pid = 0;
	if (pipe)
		pclose(pipe);
	return (pid_t)pid;
}

/* Not before it is dead: an answer is the next one's. Return: when it was killed. */
static uint64_t kill_now(pid_t pid)
{
	struct pollfd death = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	uint64_t killed_us = now_us();

	if (pid <= 1 || death.fd < 0 || kill(pid, SIGKILL) < 0 || poll(&death, 1, -1) != 1) {
		perror("kill");
		exit(1);
	}
	close(death.fd);
	return killed_us;
}

static int compare_us(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return (one > other) - (one < other);
}

/* 1 if nobody listened, and it has to be asked again. */
static uint64_t ask(void)
{
	struct shmc_spsc *queue = NULL;
	enum shmc_result result = shmc_spsc_open(client, "nobody/made/this", SHMC_SPSC_PRODUCER,
						 &queue, &error);

	if (result != SHMC_BROKER_LOST)
		expect("a call", result, SHMC_NOT_FOUND);
	return result == SHMC_BROKER_LOST ? 1 : 0;
}

static void kill_often(uint64_t count, const char *command)
{
	static uint64_t took_us[KILLS_MAX];
	uint64_t refused = 0;
	pid_t last = 0;

	for (uint64_t i = 0; i < count && i < KILLS_MAX; i++) {
		pid_t pid = ask_pid(command);
		uint64_t killed_us;

		if (pid == last)
			fail("nobody came after the last one");
		last = pid;
		killed_us = kill_now(pid);
		while (now_us() - killed_us < (uint64_t)PATIENCE_NS / 1000 && ask() == 1) {
			refused++;
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		}
		took_us[i] = now_us() - killed_us;
	}
	qsort(took_us, count, sizeof(took_us[0]), compare_us);
	printf("%" PRIu64 " kills, kill to first answer: p50 %.1f ms, max %.1f ms, refused %" PRIu64
	       " times\n",
	       count, (double)took_us[count / 2] / 1000, (double)took_us[count - 1] / 1000,
	       refused);
}

/* ---- another broker -------------------------------------------------------------------------- */

static void await_line(void)
{
	puts("ready");
	fflush(stdout);
	if (getchar() != '\n')
		exit(1);
}

/* What is mapped goes on; what is asked for is answered by its name; all can be had anew. */
static void learn(void)
{
	struct shmc_spsc *producer = NULL, *consumer = NULL;
	struct shmc_message message;
	char byte = 0;
	int fd;

	expect_ok("create", shmc_spsc_create(client, "learnt", NULL, &error));
	expect_ok("open", shmc_spsc_open(client, "learnt", SHMC_SPSC_PRODUCER, &producer, &error));
	expect_ok("open", shmc_spsc_open(client, "learnt", SHMC_SPSC_CONSUMER, &consumer, &error));
	await_line();
	expect_ok("push", shmc_spsc_try_push(producer, "x", 1));
	expect_ok("pop", shmc_spsc_try_pop(consumer, &byte, 1, &message));

	expect("fd", shmc_spsc_fd(consumer, &fd, &error), SHMC_STALE);
	printf("%s: %s\n", shmc_result_name(error.result), error.text);
	shmc_spsc_close(producer);
	shmc_spsc_close(consumer);
	expect("open", shmc_spsc_open(client, "learnt", SHMC_SPSC_PRODUCER, &producer, &error),
	       SHMC_NOT_FOUND);
	expect_ok("create", shmc_spsc_create(client, "learnt", NULL, &error));
	expect_ok("open", shmc_spsc_open(client, "learnt", SHMC_SPSC_PRODUCER, &producer, &error));
	shmc_spsc_close(producer);
	expect_ok("unlink", shmc_unlink(client, "learnt", &error));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;

	connect_patiently();
	if (strcmp(what, "fill") == 0)
		fill(count);
	else if (strcmp(what, "empty") == 0)
		empty(count);
	else if (strcmp(what, "kill") == 0 && argc == 4 && count > 0)
		kill_often(count, argv[3]);
	else if (strcmp(what, "learn") == 0)
		learn();
	else
		return 2;
	shmc_disconnect(client);
	return 0;
}
