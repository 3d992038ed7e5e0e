/*
 * demo_kill PID: kills it; says when, and when the kernel had ended it, in ns of CLOCK_MONOTONIC,
 * the clock of the consumer's report. A shell cannot do that within a microsecond.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int main(int argc, char **argv)
{
	pid_t pid = argc == 2 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
	struct pollfd ended = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	int64_t killed_ns = now_ns();

	if (ended.fd < 0 || kill(pid, SIGKILL) < 0 || poll(&ended, 1, -1) != 1) {
		perror("demo_kill");
		return 1;
	}
	printf("%" PRId64 " %" PRId64 "\n", killed_ns, now_ns());
	return 0;
}
