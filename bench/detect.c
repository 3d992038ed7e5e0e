/*
 * detect: from the kill of a producer to its consumer's PEER_DEAD, next to what the kernel takes
 * to make the pidfd of such a process readable.
 *
 * The victim is the same both times: connected, a producer, one message sent. A third process,
 * on the victim's processor, notes the time and kills; the first is asleep until it learns of it.
 */
#include "bench/groups.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/daemon.h"
#include "shmclient/shmclient.h"

#define KILLS	 101
#define QUIET_US 3000 /* before the kill: longer than anybody spins */
#define NAME	 "bench/detect"

struct scene {
	_Atomic uint64_t killed_ns;
	_Atomic uint32_t victim_ready;
};

static pid_t fork_on(int cpu)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		bench_pin(cpu);
	}
	return pid;
}

static void be_victim(struct scene *scene)
{
	struct shmc_client *client = bench_daemon_connect(0);
	struct shmc_spsc *queue;
	struct shmc_error error;

	if (shmc_spsc_open(client, NAME, SHMC_SPSC_PRODUCER, &queue, &error) != SHMC_OK)
		bench_die("detect: %s", error.text);
	if (shmc_spsc_push(queue, "ready", 5, SHMC_TRY) != SHMC_OK)
		bench_die("detect: the victim cannot push");
	atomic_store_explicit(&scene->victim_ready, 1, memory_order_release);
	for (;;)
		pause();
}

static void be_killer(struct scene *scene, pid_t victim)
{
	usleep(QUIET_US);
	atomic_store_explicit(&scene->killed_ns, bench_clock_ns(), memory_order_release);
	kill(victim, SIGKILL);
	_exit(0);
}

static void await_queue(struct shmc_spsc *queue)
{
	struct shmc_message message;
	char buffer[8];
	enum shmc_result result;

	result = shmc_spsc_pop(queue, buffer, sizeof(buffer), SHMC_FOREVER, &message);
	if (result != SHMC_OK)
		bench_die("detect: %s instead of the message", shmc_result_name(result));
	result = shmc_spsc_pop(queue, buffer, sizeof(buffer), SHMC_FOREVER, &message);
	if (result != SHMC_PEER_DEAD)
		bench_die("detect: %s instead of PEER_DEAD", shmc_result_name(result));
}

static void await_pidfd(int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

	if (poll(&poll_fd, 1, -1) != 1)
		bench_die("detect: poll: %s", strerror(errno));
}

/* Between two kills: what is left of the last one is over. */
static void settle(struct shmc_spsc *queue)
{
	struct shmc_message message;
	char buffer[8];

	while (shmc_spsc_peer(queue) == SHMC_PEER_ACTIVE ||
	       shmc_spsc_peer(queue) == SHMC_PEER_DYING)
		usleep(200);
	while (shmc_spsc_pop(queue, buffer, sizeof(buffer), SHMC_TRY, &message) == SHMC_OK)
		;
}

/* Nanoseconds from the kill until the first process knew. */
static uint64_t kill_one(struct scene *scene, struct shmc_spsc *queue, bool by_pidfd)
{
	pid_t victim, killer;
	uint64_t known_ns;
	int pidfd;

	atomic_store_explicit(&scene->victim_ready, 0, memory_order_release);
	victim = fork_on(bench_manner.cpu[1]);
	if (victim == 0)
		be_victim(scene);
	pidfd = (int)syscall(SYS_pidfd_open, victim, 0);
	while (!atomic_load_explicit(&scene->victim_ready, memory_order_acquire))
		usleep(100);
	killer = fork_on(bench_manner.cpu[1]);
	if (killer == 0)
		be_killer(scene, victim);
	if (by_pidfd)
		await_pidfd(pidfd);
	else
		await_queue(queue);
	known_ns = bench_clock_ns();
	close(pidfd);
	waitpid(killer, NULL, 0);
	waitpid(victim, NULL, 0);
	settle(queue);
	return known_ns - atomic_load_explicit(&scene->killed_ns, memory_order_acquire);
}

void bench_detect_kill(struct bench_report *report)
{
	struct scene *scene = bench_shared_new(sizeof(*scene));
	struct bench_figures *extra = bench_figures_new();
	double ours_us[KILLS], pidfd_us[KILLS], ratio[KILLS];
	struct bench_result result = BENCH_RESULT_NULL;
	struct shmc_client *client;
	struct shmc_spsc *queue;
	struct shmc_error error;

	bench_daemon_start();
	bench_pin(bench_manner.cpu[0]);
	client = bench_daemon_connect(0);
	if (shmc_spsc_create(client, NAME, NULL, &error) != SHMC_OK ||
	    shmc_spsc_open(client, NAME, SHMC_SPSC_CONSUMER, &queue, &error) != SHMC_OK)
		bench_die("detect: %s", error.text);
	kill_one(scene, queue, false);
	kill_one(scene, queue, true);
	for (unsigned i = 0; i < KILLS; i++) {
		uint64_t ours_ns = kill_one(scene, queue, false);
		uint64_t pidfd_ns = kill_one(scene, queue, true);

		bench_figures_add(extra, ours_ns > pidfd_ns ? ours_ns - pidfd_ns : 0);
		ours_us[i] = (double)ours_ns / 1e3;
		pidfd_us[i] = (double)pidfd_ns / 1e3;
		ratio[i] = (double)ours_ns / (double)pidfd_ns;
	}
	result.bench = "detect.kill";
	result.param[0] = (struct bench_param){ .name = "kind", .text = "spsc" };
	result.unit = "us";
	result.p50 = bench_figures_at(extra, 0.5) / 1e3;
	result.p99 = bench_figures_at(extra, 0.99) / 1e3;
	result.p999 = bench_figures_at(extra, 0.999) / 1e3;
	result.limit_p50 = bench_median(pidfd_us, KILLS);
	result.ratio = bench_median(ratio, KILLS);
	result.against = "pidfd alone";
	result.bar = 500;
	result.judged = BENCH_VALUE;
	result.rounds = KILLS;
	result.note = bench_report_text(report, "extra time; from kill to PEER_DEAD %.0f us",
					bench_median(ours_us, KILLS));
	bench_report_add(report, &result);

	shmc_spsc_close(queue);
	shmc_unlink(client, NAME, &error);
	shmc_disconnect(client);
	bench_figures_free(extra);
	bench_shared_free(scene, sizeof(*scene));
}
