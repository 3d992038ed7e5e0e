#include "tests/support/process.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct stream {
	int fd; /* -1 = over */
	char *text;
	size_t bytes;
};

/* Only calls that are allowed between fork and exec. */
static void become(const char *const *argv, int in, int out, int err)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(err, 2) >= 0)
		execv(argv[0], (char *const *)argv);
	_exit(127);
}

struct shmt_process shmt_process_start(const char *const *argv)
{
	int in[2], out[2], err[2];
	pid_t pid;

	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(err, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		become(argv, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	return (struct shmt_process){ .pid = pid, .in = in[1], .out = out[0], .err = err[0] };
}

static void collect(struct stream *stream)
{
	char *text = realloc(stream->text, stream->bytes + 65537);
	ssize_t got = read(stream->fd, text + stream->bytes, 65536);

	stream->text = text;
	if (got > 0)
		stream->bytes += (size_t)got;
	stream->text[stream->bytes] = '\0';
	if (got <= 0)
		stream->fd = -1;
}

/* A program that does not read its input to the end is no failure here: its exit code tells. */
static void feed(struct shmt_process *process, const char **input, size_t *bytes)
{
	ssize_t sent = *bytes ? write(process->in, *input, *bytes) : 0;

	if (sent > 0) {
		*input += sent;
		*bytes -= (size_t)sent;
	}
	if (*bytes == 0 || (sent < 0 && errno != EAGAIN)) {
		close(process->in);
		process->in = -1;
	}
}

static int reap(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct shmt_result shmt_process_finish(struct shmt_process *process, const void *input,
				       size_t bytes)
{
	struct stream out = { .fd = process->out, .text = calloc(1, 1) };
	struct stream err = { .fd = process->err, .text = calloc(1, 1) };
	const char *left = input;
	int code;

	signal(SIGPIPE, SIG_IGN);
	fcntl(process->in, F_SETFL, O_NONBLOCK);
	while (out.fd >= 0 || err.fd >= 0) {
		struct pollfd fds[] = {
			{ .fd = process->in, .events = POLLOUT },
			{ .fd = out.fd, .events = POLLIN },
			{ .fd = err.fd, .events = POLLIN },
		};

		poll(fds, 3, -1);
		if (fds[0].revents)
			feed(process, &left, &bytes);
		if (fds[1].revents)
			collect(&out);
		if (fds[2].revents)
			collect(&err);
	}
	code = reap(process->pid);
	close(process->out);
	close(process->err);
	if (process->in >= 0)
		close(process->in);
	return (struct shmt_result){ code, out.text, out.bytes, err.text, err.bytes };
}

void shmt_process_write(struct shmt_process *process, const char *text)
{
	ck_assert_int_eq(write(process->in, text, strlen(text)), (ssize_t)strlen(text));
}

void shmt_process_expect(struct shmt_process *process, const char *text)
{
	char seen[8192] = "";
	size_t bytes = 0;

	/* byte by byte: what comes behind it is for the next one who reads */
	while (!strstr(seen, text)) {
		ck_assert_uint_lt(bytes, sizeof(seen) - 1);
		ck_assert_msg(read(process->out, seen + bytes, 1) == 1, "ended before '%s': %s",
			      text, seen);
		seen[++bytes] = '\0';
	}
}

void shmt_process_kill(struct shmt_process *process)
{
	kill(process->pid, SIGKILL);
	reap(process->pid);
	close(process->out);
	close(process->err);
	if (process->in >= 0)
		close(process->in);
}

void shmt_result_free(struct shmt_result *result)
{
	free(result->out);
	free(result->err);
}

const char *shmt_program(const char *name)
{
	const char *path = getenv(name);

	ck_assert_msg(path != NULL, "$%s does not name a program: run by meson test", name);
	return path;
}
