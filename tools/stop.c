#include "tools/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "tools/report.h"

static volatile sig_atomic_t stopped;
static int stop_pipe[2]; /* so that a signal just before poll is not slept through */

static void on_signal(int number)
{
	int saved = errno;

	stopped = number;
	(void)!write(stop_pipe[1], "", 1);
	errno = saved;
}

static void catch_one(int number)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
	struct sigaction before;

	/* nohup and background jobs of a shell have them ignored: leave it so */
	if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
		sigaction(number, &action, NULL);
}

int stop_catch(void)
{
	if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	catch_one(SIGINT);
	catch_one(SIGTERM);
	catch_one(SIGHUP);
	return 0;
}

int stop_code(void)
{
	return stopped ? EXIT_SIGNAL + stopped : 0;
}

int stop_or_either(int fd, int other, int64_t timeout_ns)
{
	struct pollfd fds[] = {
		{ .fd = stop_pipe[0], .events = POLLIN },
		{ .fd = fd, .events = POLLIN },
		{ .fd = other, .events = POLLIN },
	};
	struct timespec timeout = {
		.tv_sec = timeout_ns / 1000000000,
		.tv_nsec = timeout_ns % 1000000000,
	};
	int r = ppoll(fds, 3, timeout_ns < 0 ? NULL : &timeout, NULL);

	if (r < 0)
		return -errno;
	if (r == 0)
		return -ETIMEDOUT;
	if (stopped)
		return -EINTR; /* whichever came first: poll may see only the other */
	return fds[1].revents == 0 && fds[2].revents != 0;
}

int stop_or_readable(int fd, int64_t timeout_ns)
{
	return stop_or_either(fd, -1, timeout_ns);
}
