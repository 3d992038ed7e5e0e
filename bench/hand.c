/* hand: see hand.h. */
#include "bench/hand.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/contest.h"
#include "bench/daemon.h"
#include "bench/death.h"
#include "shmclient/client.h"

#define QUIET_US 300 /* from the survivor's sleep to the blow: what it set off is over */

struct bench_hand {
	pid_t pid;
	pid_t survivor;
	const char *name;
	int orders[2]; /* to the hand: a death, then a byte when it is time */
	int raised[2]; /* from each victim: its pid */
	_Atomic uint64_t *struck_ns;
};

struct order {
	const struct bench_death *death;
};

/* ---- the hand's side ------------------------------------------------------------------------- */

static void be_victim(const struct bench_hand *hand, const struct bench_death *death)
{
	struct bench_ends ends;
	pid_t pid = getpid();

	death->open(bench_daemon_connect(0), hand->name, true, &ends);
	death->act(&ends);
	if (write(hand->raised[1], &pid, sizeof(pid)) != sizeof(pid))
		_exit(1);
	for (;;)
		pause();
}

/* False when there will be no more. */
static bool read_order(const struct bench_hand *hand, void *order, size_t bytes)
{
	return read(hand->orders[0], order, bytes) == (ssize_t)bytes;
}

static int open_survivor(const struct bench_hand *hand)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)hand->survivor);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		bench_die("%s: %s", path, strerror(errno));
	return fd;
}

/* "pid (name) S ..." */
static bool is_asleep(int stat_fd)
{
	char stat[512];
	ssize_t n = pread(stat_fd, stat, sizeof(stat) - 1, 0);
	const char *end;

	if (n <= 0)
		return true;
	stat[n] = '\0';
	end = strrchr(stat, ')');
	return end != NULL && end[1] == ' ' && end[2] == 'S';
}

static void kill_in_sleep(const struct bench_hand *hand, int stat_fd, pid_t victim)
{
	while (!is_asleep(stat_fd))
		usleep(20);
	usleep(QUIET_US);
	atomic_store_explicit(hand->struck_ns, bench_clock_ns(), memory_order_release);
	kill(victim, SIGKILL);
}

/* Who was killed is reaped when the next one is due: until then nothing stirs here. */
static void be_hand(const struct bench_hand *hand)
{
	struct order next;
	int stat_fd = open_survivor(hand);
	char now;

	close(hand->orders[1]);
	while (read_order(hand, &next, sizeof(next))) {
		pid_t victim;

		while (waitpid(-1, NULL, 0) > 0)
			;
		victim = bench_fork(bench_manner.cpu[1]);
		if (victim == 0)
			be_victim(hand, next.death);
		if (!read_order(hand, &now, sizeof(now)))
			break;
		kill_in_sleep(hand, stat_fd, victim);
	}
	_exit(0);
}

/* ---- the survivor's side --------------------------------------------------------------------- */

struct bench_hand *bench_hand_new(const char *name)
{
	struct bench_hand *hand = calloc(1, sizeof(*hand));

	if (hand == NULL)
		bench_die("out of memory");
	if (pipe2(hand->orders, O_CLOEXEC) < 0 || pipe2(hand->raised, O_CLOEXEC) < 0)
		bench_die("pipe: %s", strerror(errno));
	hand->name = name;
	hand->survivor = getpid();
	hand->struck_ns = bench_shared_new(sizeof(*hand->struck_ns));
	hand->pid = bench_fork(bench_manner.cpu[1]);
	if (hand->pid == 0)
		be_hand(hand);
	close(hand->orders[0]);
	close(hand->raised[1]);
	return hand;
}

struct bench_hand *bench_hand_free(struct bench_hand *hand)
{
	close(hand->orders[1]);
	waitpid(hand->pid, NULL, 0);
	close(hand->raised[0]);
	bench_shared_free((void *)hand->struck_ns, sizeof(*hand->struck_ns));
	free(hand);
	return NULL;
}

static void give_order(const struct bench_hand *hand, const void *order, size_t bytes)
{
	if (write(hand->orders[1], order, bytes) != (ssize_t)bytes)
		bench_die("detect: the hand is gone: %s", strerror(errno));
}

pid_t bench_hand_raise(struct bench_hand *hand, const struct bench_death *death)
{
	const struct order next = { .death = death };
	struct pollfd poll_fd = { .fd = hand->raised[0], .events = POLLIN };
	pid_t victim;

	give_order(hand, &next, sizeof(next));
	if (poll(&poll_fd, 1, (int)(BENCH_PATIENCE_NS / 1000000)) != 1 ||
	    read(hand->raised[0], &victim, sizeof(victim)) != sizeof(victim))
		bench_die("detect: %s: no %s came", death->kind, death->who);
	return victim;
}

void bench_hand_strike(struct bench_hand *hand)
{
	give_order(hand, "", 1);
}

uint64_t bench_hand_struck_ns(const struct bench_hand *hand)
{
	return atomic_load_explicit(hand->struck_ns, memory_order_acquire);
}
