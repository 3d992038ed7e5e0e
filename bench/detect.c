/*
 * detect: from the kill of a process until the one that waits for it has what it was promised, next
 * to what the kernel takes to make the pidfd of such a process readable; in an empty broker, and in
 * one with a thousand segments and two hundred clients.
 *
 * The victim is the same both times: connected, in a role, in the middle of what the kind is for.
 * On its processor somebody notes the time and kills; this process, on the other one, is asleep
 * until it learns of it. The two take turns. What is judged is what recovery takes longer than the
 * bare pidfd, quantile by quantile. To wait for a processor that a stranger has is no part of it:
 * where they may, all of these processes and the broker run at real-time priority.
 *
 * A kill takes 1.3 ms: 0.7 until the victim is there, 0.4 of quiet, 0.2 until its death is known.
 */
#include "bench/groups.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/crowd.h"
#include "bench/daemon.h"
#include "bench/death.h"
#include "bench/hand.h"
#include "shmclient/shmclient.h"

#define NAME "bench/detect"

static bool is_preferred; /* real-time priority was granted */

struct circumstance {
	const char *others;
	unsigned kills;
	double bar_us; /* more than the bare pidfd */
	enum bench_judged judged;
};

static const struct circumstance alone = { "none", 101, 500, BENCH_VALUE };
static const struct circumstance crowded = { BENCH_CROWD_NAME, 1000, 1000, BENCH_VALUE_P99 };

/* The broker stays off this processor meanwhile: it learns of the same death. */
static uint64_t await_pidfd(pid_t victim, struct bench_hand *hand)
{
	const int *cpu = bench_manner.cpu;
	int pidfd = (int)syscall(SYS_pidfd_open, victim, 0);
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };
	uint64_t known_ns;

	bench_place(bench_daemon_pid(), cpu[1], cpu[1]);
	bench_hand_strike(hand);
	if (pidfd < 0 || poll(&poll_fd, 1, -1) != 1)
		bench_die("detect: pidfd: %s", strerror(errno));
	known_ns = bench_clock_ns();
	bench_place(bench_daemon_pid(), cpu[0], cpu[1]);
	close(pidfd);
	return known_ns;
}

/* Nanoseconds from the kill until this process knew. */
static uint64_t kill_one(struct bench_hand *hand, const struct bench_death *death,
			 struct bench_ends *ends, bool by_pidfd)
{
	uint64_t known_ns;
	pid_t victim;

	if (death->prepare != NULL)
		death->prepare(ends);
	victim = bench_hand_raise(hand, death);
	if (by_pidfd) {
		known_ns = await_pidfd(victim, hand);
		death->await(ends);
	} else {
		bench_hand_strike(hand);
		death->await(ends);
		known_ns = bench_clock_ns();
	}
	if (death->settle != NULL)
		death->settle(ends);
	return known_ns - bench_hand_struck_ns(hand);
}

struct sample {
	struct bench_figures *recovery;
	struct bench_figures *pidfd;
	double *ratio;
	unsigned kills;
};

static struct sample sample_new(unsigned kills)
{
	struct sample sample = { .recovery = bench_figures_new(),
				 .pidfd = bench_figures_new(),
				 .ratio = calloc(kills, sizeof(double)),
				 .kills = kills };

	if (sample.ratio == NULL)
		bench_die("out of memory");
	return sample;
}

static void sample_free(struct sample *sample)
{
	bench_figures_free(sample->recovery);
	bench_figures_free(sample->pidfd);
	free(sample->ratio);
}

/* What recovery takes longer, in us; below 0 when the machine was busier beside the pidfd. */
static double extra_us(const struct sample *sample, double quantile)
{
	return (bench_figures_at(sample->recovery, quantile) -
		bench_figures_at(sample->pidfd, quantile)) /
	       1e3;
}

static void report_sample(struct bench_report *report, const struct bench_death *death,
			  const struct circumstance *circumstance, const struct sample *sample)
{
	struct bench_result result = BENCH_RESULT_NULL;

	result.bench = "detect.kill";
	result.param[0] = (struct bench_param){ .name = "kind", .text = death->kind };
	result.param[1] = (struct bench_param){ .name = "dies", .text = death->who };
	result.param[2] = (struct bench_param){ .name = "others", .text = circumstance->others };
	result.unit = "us";
	result.p50 = extra_us(sample, 0.5);
	result.p99 = extra_us(sample, 0.99);
	result.p999 = extra_us(sample, 0.999);
	result.against = "pidfd alone";
	result.limit_p50 = bench_figures_at(sample->pidfd, 0.5) / 1e3;
	result.ratio = bench_median(sample->ratio, sample->kills);
	result.bar = circumstance->bar_us;
	result.judged = circumstance->judged;
	result.rounds = sample->kills;
	result.note = bench_report_text(
		report,
		"extra time; from kill to recovery p50 %.0f us, p99 %.0f us; to the pidfd "
		"%.0f us and %.0f us; %u kills of each%s",
		bench_figures_at(sample->recovery, 0.5) / 1e3,
		bench_figures_at(sample->recovery, 0.99) / 1e3,
		bench_figures_at(sample->pidfd, 0.5) / 1e3,
		bench_figures_at(sample->pidfd, 0.99) / 1e3, sample->kills,
		is_preferred ? ", at real-time priority" : "");
	bench_report_add(report, &result);
}

static void measure(struct bench_report *report, struct shmc_client *client,
		    struct bench_hand *hand, const struct bench_death *death,
		    const struct circumstance *circumstance)
{
	struct sample sample = sample_new(circumstance->kills);
	struct bench_ends ends;

	death->create(client, NAME);
	death->open(client, NAME, false, &ends);
	kill_one(hand, death, &ends, false);
	kill_one(hand, death, &ends, true);
	for (unsigned i = 0; i < sample.kills; i++) {
		uint64_t recovery_ns = kill_one(hand, death, &ends, false);
		uint64_t pidfd_ns = kill_one(hand, death, &ends, true);

		bench_figures_add(sample.recovery, recovery_ns);
		bench_figures_add(sample.pidfd, pidfd_ns);
		sample.ratio[i] = (double)recovery_ns / (double)pidfd_ns;
	}
	report_sample(report, death, circumstance, &sample);
	death->close(&ends);
	shmc_unlink(client, NAME, NULL);
	sample_free(&sample);
}

static bool set_policy(int policy, int priority)
{
	const struct sched_param param = { .sched_priority = priority };

	return sched_setscheduler(0, policy, &param) == 0 &&
	       sched_setscheduler(bench_daemon_pid(), policy, &param) == 0;
}

static void measure_all(struct bench_report *report, struct shmc_client *client,
			struct bench_hand *hand, const struct circumstance *circumstance)
{
	const struct bench_death *death;

	for (unsigned i = 0; (death = bench_death_at(i)) != NULL; i++)
		measure(report, client, hand, death, circumstance);
}

void bench_detect_kill(struct bench_report *report)
{
	struct bench_hand *hand;
	struct shmc_client *client;
	pid_t crowd;

	bench_daemon_start();
	bench_pin(bench_manner.cpu[0]);
	is_preferred = set_policy(SCHED_RR, 1);
	hand = bench_hand_new(NAME);
	client = bench_daemon_connect(0);
	measure_all(report, client, hand, &alone);
	crowd = bench_crowd_gather(client);
	measure_all(report, client, hand, &crowded);
	bench_crowd_disperse(client, crowd);
	shmc_disconnect(client);
	bench_hand_free(hand);
	set_policy(SCHED_OTHER, 0);
}
