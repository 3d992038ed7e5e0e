#include "daemon/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES	 1024u /* below PIPE_BUF: a pipe that polls writable takes it whole */
#define LINES_AT_ONCE	 200u
#define LINES_PER_SECOND 20u

static struct {
	int fd;
	bool to_journal;
	bool is_socket;
	uint64_t lost;
	uint64_t lost_told;
	uint64_t credit_ms; /* of lines, each costs 1000 / LINES_PER_SECOND */
	uint64_t credit_at_ms;
} self = { .fd = STDERR_FILENO };

/* Standard error is the journal's when it is the very stream, DEVICE:INODE, that systemd made. */
static bool is_journal(const struct stat *status)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char *end;

	if (!stream || strtoull(stream, &end, 10) != status->st_dev || *end != ':')
		return false;
	return strtoull(end + 1, NULL, 10) == status->st_ino;
}

void log_to(int fd)
{
	self.fd = fd;
	log_init();
}

void log_init(void)
{
	struct stat status;

	if (fstat(self.fd, &status) < 0)
		return;
	self.to_journal = is_journal(&status);
	self.is_socket = S_ISSOCK(status.st_mode);
}

/* O_NONBLOCK would be set for all who share the file: ask instead whether it would block. */
static bool write_line(const char *line, size_t bytes)
{
	struct pollfd poll_fd = { .fd = self.fd, .events = POLLOUT };
	ssize_t r;

	if (self.is_socket) {
		r = send(self.fd, line, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
		return r == (ssize_t)bytes;
	}
	if (poll(&poll_fd, 1, 0) != 1 || !(poll_fd.revents & POLLOUT))
		return false;
	return write(self.fd, line, bytes) == (ssize_t)bytes;
}

static size_t write_front(char *line, int priority)
{
	struct timespec now;
	struct tm parts;
	size_t used;

	if (self.to_journal)
		return (size_t)snprintf(line, LINE_BYTES, "<%d>", priority);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &parts);
	used = strftime(line, LINE_BYTES, "%Y-%m-%dT%H:%M:%S", &parts);
	used += (size_t)snprintf(line + used, LINE_BYTES - used,
				 ".%03ldZ shmbrokerd: ", now.tv_nsec / 1000000);
	return used;
}

/* One line stays one line, whatever a peer called itself. */
static void clean(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
	}
}

__attribute__((format(printf, 3, 0))) static bool put_line(int priority, const char *event,
							   const char *format, va_list arguments)
{
	char line[LINE_BYTES + 1];
	size_t used = write_front(line, priority);
	size_t text = used;

	used += (size_t)snprintf(line + used, LINE_BYTES - used, "event=%s ", event);
	vsnprintf(line + used, LINE_BYTES - used, format, arguments);
	clean(line + text);
	used = strlen(line);
	while (used > 0 && line[used - 1] == ' ')
		used--;
	line[used++] = '\n';
	return write_line(line, used);
}

static bool put(int priority, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool put(int priority, const char *event, const char *format, ...)
{
	va_list arguments;
	bool r;

	va_start(arguments, format);
	r = put_line(priority, event, format, arguments);
	va_end(arguments);
	return r;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A bucket that fills with time. */
static bool may_write(void)
{
	const uint64_t cost = 1000 / LINES_PER_SECOND, most = LINES_AT_ONCE * cost;
	uint64_t now = now_ms();

	self.credit_ms += now - self.credit_at_ms;
	self.credit_at_ms = now;
	if (self.credit_ms > most)
		self.credit_ms = most;
	if (self.credit_ms < cost)
		return false;
	self.credit_ms -= cost;
	return true;
}

static void tell_lost(void)
{
	uint64_t lost = self.lost;

	if (lost == self.lost_told)
		return;
	if (put(LOG_WARNING, "log_lost", "count=%" PRIu64, lost - self.lost_told))
		self.lost_told = lost;
}

void log_event(int priority, const char *event, const char *format, ...)
{
	int error = errno;
	va_list arguments;

	if (!may_write()) {
		self.lost++;
		return;
	}
	tell_lost();
	va_start(arguments, format);
	if (!put_line(priority, event, format, arguments))
		self.lost++;
	va_end(arguments);
	errno = error;
}
