/* attach: what it takes to get into a queue, once and over and over. */
#include "bench/groups.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/daemon.h"
#include "shmclient/shmclient.h"

#define ATTACHES     2000
#define RATE_NS	     UINT64_C(1000000000)
#define RATE_ROUNDS  5
#define RATE_CLIENTS 2
#define NAME	     "bench/attach"

static void create(struct shmc_client *client)
{
	struct shmc_error error;

	if (shmc_spsc_create(client, NAME, NULL, &error) != SHMC_OK)
		bench_die("attach: %s", error.text);
}

static struct shmc_spsc *open_queue(struct shmc_client *client, const char *name)
{
	struct shmc_spsc *queue;
	struct shmc_error error;

	if (shmc_spsc_open(client, name, SHMC_SPSC_CONSUMER, &queue, &error) != SHMC_OK)
		bench_die("attach: %s", error.text);
	return queue;
}

static void unlink_queue(struct shmc_client *client, const char *name)
{
	struct shmc_error error;

	if (shmc_unlink(client, name, &error) != SHMC_OK)
		bench_die("attach: %s", error.text);
}

void bench_attach_latency(struct bench_report *report)
{
	struct bench_result result = BENCH_RESULT_NULL;
	struct bench_figures *figures = bench_figures_new();
	struct shmc_client *keeper;

	bench_daemon_start();
	keeper = bench_daemon_connect(0);
	create(keeper);
	for (unsigned i = 0; i < ATTACHES; i++) {
		uint64_t since = bench_clock_ns();
		struct shmc_client *client = bench_daemon_connect(0);
		struct shmc_spsc *queue = open_queue(client, NAME);

		/* the first hundred warm up */
		if (i >= 100)
			bench_figures_add(figures, bench_clock_ns() - since);
		shmc_spsc_close(queue);
		shmc_disconnect(client);
	}
	unlink_queue(keeper, NAME);
	shmc_disconnect(keeper);

	result.bench = "attach.latency";
	result.unit = "us";
	result.p50 = bench_figures_at(figures, 0.5) / 1e3;
	result.p99 = bench_figures_at(figures, 0.99) / 1e3;
	result.p999 = bench_figures_at(figures, 0.999) / 1e3;
	result.bar = 150;
	result.judged = BENCH_VALUE;
	result.note = "connect, open and map, in a process with one thread";
	bench_report_add(report, &result);
	bench_figures_free(figures);
}

/* ---- rate ------------------------------------------------------------------------------------ */

struct tally {
	_Alignas(64) _Atomic uint32_t go;
	_Alignas(64) uint64_t attaches[RATE_CLIENTS];
};

static void attach_for_a_while(struct tally *tally, unsigned number)
{
	struct shmc_client *client = bench_daemon_connect(0);
	struct shmc_spsc_options options = { .capacity_bytes = 4096 };
	struct shmc_error error;
	char name[32];
	uint64_t until, count = 0;

	snprintf(name, sizeof(name), NAME "%u", number);
	if (shmc_spsc_create(client, name, &options, &error) != SHMC_OK)
		bench_die("attach: %s", error.text);
	while (!atomic_load_explicit(&tally->go, memory_order_acquire))
		usleep(100);
	until = bench_clock_ns() + RATE_NS;
	while (bench_clock_ns() < until) {
		shmc_spsc_close(open_queue(client, name));
		count++;
	}
	unlink_queue(client, name);
	shmc_disconnect(client);
	tally->attaches[number] = count;
}

static double one_round(struct tally *tally)
{
	pid_t pid[RATE_CLIENTS];
	uint64_t sum = 0;

	atomic_store_explicit(&tally->go, 0, memory_order_release);
	fflush(stdout);
	for (unsigned i = 0; i < RATE_CLIENTS; i++) {
		pid[i] = fork();
		if (pid[i] < 0)
			bench_die("fork: %s", strerror(errno));
		if (pid[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			attach_for_a_while(tally, i);
			_exit(0);
		}
	}
	usleep(50000);
	atomic_store_explicit(&tally->go, 1, memory_order_release);
	for (unsigned i = 0; i < RATE_CLIENTS; i++) {
		int status;

		if (waitpid(pid[i], &status, 0) != pid[i] || status != 0)
			bench_die("attach: a client failed");
		sum += tally->attaches[i];
	}
	return (double)sum / ((double)RATE_NS / 1e9);
}

void bench_attach_rate(struct bench_report *report)
{
	struct tally *tally = bench_shared_new(sizeof(*tally));
	struct bench_result result = BENCH_RESULT_NULL;
	double rate[RATE_ROUNDS];

	bench_daemon_start();
	bench_unpin();
	for (unsigned i = 0; i < RATE_ROUNDS; i++)
		rate[i] = one_round(tally);
	result.bench = "attach.rate";
	result.unit = "per s";
	result.p50 = bench_median(rate, RATE_ROUNDS);
	result.bar = 15000;
	result.judged = BENCH_VALUE_OVER;
	result.rounds = RATE_ROUNDS;
	result.note = "opened and closed again by two connected clients";
	bench_report_add(report, &result);
	bench_shared_free(tally, sizeof(*tally));
}
