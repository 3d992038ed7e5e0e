/*
 * mpmc.2p2c: two senders and two receivers, four processes on two cores, waiting as the library
 * waits. Each does half of the work; a slice lasts until the last one has done his.
 */
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/daemon.h"
#include "bench/groups.h"
#include "bench/stream.h"
#include "shmclient/shmclient.h"

#define SLOTS UINT64_C(1024)
#define NAME  "bench/mpmc.2p2c"

enum {
	HELPERS = 3, /* senders, and the receiver that does not look at the clock */
	SENDERS = 2,
	PIECE = 1024,
};

/* Between the four. */
struct yard {
	sem_t go[HELPERS];
	sem_t done;
	uint64_t count; /* of the slice; 0: it is over */
};

struct crowd {
	struct yard *yard;
	pid_t helper[HELPERS];
	struct shmc_client *client;
	struct shmc_mpmc *queue;
	uint64_t *words;
};

static void make(struct bench_contender *self)
{
	const uint64_t *bytes = self->argument;
	struct shmc_mpmc_options options = { .slots = SLOTS, .message_bytes_max = *bytes };
	struct shmc_client *client;
	struct shmc_error error;

	bench_daemon_start();
	client = bench_daemon_connect(0);
	if (shmc_mpmc_create(client, NAME, &options, &error) != SHMC_OK)
		bench_die("create: %s", error.text);
	shmc_disconnect(client);
}

static void unmake(struct bench_contender *self)
{
	struct shmc_client *client = bench_daemon_connect(0);
	struct shmc_error error;

	(void)self;
	if (shmc_unlink(client, NAME, &error) != SHMC_OK)
		bench_die("unlink: %s", error.text);
	shmc_disconnect(client);
}

static void join(struct crowd *crowd, uint64_t bytes, enum shmc_mpmc_role role)
{
	struct shmc_error error;

	crowd->client = bench_daemon_connect(0);
	crowd->words = bench_message_new(bytes);
	if (shmc_mpmc_open(crowd->client, NAME, role, &crowd->queue, &error) != SHMC_OK)
		bench_die("open: %s", error.text);
}

static void leave(struct crowd *crowd)
{
	shmc_mpmc_close(crowd->queue);
	shmc_disconnect(crowd->client);
	free(crowd->words);
}

static void await(sem_t *semaphore)
{
	while (sem_wait(semaphore) < 0) {
		if (errno != EINTR)
			bench_die("sem_wait failed");
	}
}

static void send_all(struct crowd *crowd, uint64_t bytes, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		bench_message_write(crowd->words, bytes, i);
		if (shmc_mpmc_push(crowd->queue, crowd->words, bytes, SHMC_FOREVER) != SHMC_OK)
			bench_die("push failed");
	}
}

static void receive_all(struct crowd *crowd, uint64_t bytes, uint64_t count)
{
	struct shmc_message message;

	for (uint64_t i = 0; i < count; i++) {
		if (shmc_mpmc_pop(crowd->queue, crowd->words, bytes, SHMC_FOREVER, &message) !=
			    SHMC_OK ||
		    message.size != bytes)
			bench_die("pop failed");
		if (crowd->words[0] != crowd->words[bytes / 8 - 1])
			bench_die("message %llu is damaged", (unsigned long long)crowd->words[0]);
	}
}

static void help(struct crowd *crowd, uint64_t bytes, unsigned number)
{
	bool sends = number < SENDERS;

	join(crowd, bytes, sends ? SHMC_MPMC_PRODUCER : SHMC_MPMC_CONSUMER);
	for (;;) {
		sem_post(&crowd->yard->done);
		await(&crowd->yard->go[number]);
		if (crowd->yard->count == 0)
			break;
		(sends ? send_all : receive_all)(crowd, bytes, crowd->yard->count / 2);
	}
	leave(crowd);
}

static pid_t start(struct crowd *crowd, uint64_t bytes, unsigned number)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		bench_die("fork failed");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	help(crowd, bytes, number);
	_exit(0);
}

static void await_helpers(struct crowd *crowd)
{
	for (int i = 0; i < HELPERS; i++)
		await(&crowd->yard->done);
}

static void begin(struct crowd *crowd, uint64_t count)
{
	crowd->yard->count = count;
	for (int i = 0; i < HELPERS; i++)
		sem_post(&crowd->yard->go[i]);
}

static void open_crowd(struct bench_contender *self, unsigned side)
{
	const uint64_t *bytes = self->argument;
	struct crowd *crowd = calloc(1, sizeof(*crowd));

	(void)side;
	if (crowd == NULL)
		bench_die("out of memory");
	crowd->yard = bench_shared_new(sizeof(*crowd->yard));
	sem_init(&crowd->yard->done, 1, 0);
	for (unsigned i = 0; i < HELPERS; i++)
		sem_init(&crowd->yard->go[i], 1, 0);
	bench_unpin();
	for (unsigned i = 0; i < HELPERS; i++)
		crowd->helper[i] = start(crowd, *bytes, i);
	join(crowd, *bytes, SHMC_MPMC_CONSUMER);
	await_helpers(crowd);
	self->own = crowd;
}

static void run(struct bench_contender *self, unsigned side, uint64_t count,
		struct bench_pieces *pieces)
{
	const uint64_t *bytes = self->argument;
	struct crowd *crowd = self->own;

	(void)side;
	begin(crowd, count);
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count; done += PIECE) {
		receive_all(crowd, *bytes, PIECE / 2);
		bench_pieces_next(pieces);
	}
	await_helpers(crowd);
}

static void close_crowd(struct bench_contender *self, unsigned side)
{
	struct crowd *crowd = self->own;

	(void)side;
	begin(crowd, 0);
	for (int i = 0; i < HELPERS; i++) {
		int status = 0;

		if (waitpid(crowd->helper[i], &status, 0) != crowd->helper[i] || status != 0)
			bench_die("a process of mpmc.2p2c failed");
	}
	leave(crowd);
	bench_shared_free(crowd->yard, sizeof(*crowd->yard));
	free(crowd);
	bench_pin(bench_manner.cpu[0]);
}

static void measure(struct bench_report *report, uint64_t bytes)
{
	struct bench_result result = BENCH_RESULT_NULL;
	struct bench_contender ours = {
		.name = "mpmc",
		.piece = PIECE,
		.argument = &bytes,
		.make = make,
		.open = open_crowd,
		.run = run,
		.close = close_crowd,
		.unmake = unmake,
	};
	struct bench_contest contest = {
		.contender = { &ours },
		.contenders = 1,
		.sides = 1,
		.is_crowded = true,
		.centre = BENCH_CENTRE_MEAN,
	};

	bench_contest_run(&contest);
	result.bench = "mpmc.2p2c";
	result.param[0] = (struct bench_param){ .name = "bytes", .number = bytes };
	result.param[1] = (struct bench_param){ .name = "slots", .number = SLOTS };
	result.unit = "ns";
	result.batch = 1;
	result.p50 = bench_contest_at(&contest, 0, 0.5);
	result.p99 = bench_contest_at(&contest, 0, 0.99);
	result.p999 = bench_contest_at(&contest, 0, 0.999);
	result.rounds = contest.rounds;
	result.note = bench_report_text(report,
					"%.1f million messages/s; four processes on two cores",
					1000.0 / bench_contest_centre(&contest, 0));
	bench_report_add(report, &result);
	bench_contest_deinit(&contest);
}

void bench_mpmc_2p2c(struct bench_report *report)
{
	measure(report, 8);
	measure(report, 64);
}
