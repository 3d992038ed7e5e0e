#include "tests/crash/manager.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/segment.h"

enum {
	KEPT_MAX = 32,
	WATCHED_MAX = 64,
};

static struct {
	int notify;
	char names[KEPT_MAX][64];
	int fds[KEPT_MAX];
	size_t count;
} manager;

void manager_open(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t bytes = sizeof(name);
	char path[128];

	manager.notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	SHMT_REQUIRE(bind(manager.notify, (struct sockaddr *)&name, sizeof(sa_family_t)) == 0);
	SHMT_REQUIRE(getsockname(manager.notify, (struct sockaddr *)&name, &bytes) == 0);
	snprintf(path, sizeof(path), "@%.*s", (int)(bytes - sizeof(sa_family_t) - 1),
		 name.sun_path + 1);
	setenv("NOTIFY_SOCKET", path, 1);
	setenv("FDSTORE", "512", 1);
}

static bool manager_receive(void)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char text[512], name[64];
	struct iovec part = { text, sizeof(text) - 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control) };
	ssize_t r = recvmsg(manager.notify, &header, MSG_CMSG_CLOEXEC);

	if (r < 0)
		return false;
	text[r] = '\0';
	if (sscanf(text, "FDSTORE=1\nFDNAME=%63s", name) != 1)
		return true;
	SHMT_REQUIRE(CMSG_FIRSTHDR(&header) && manager.count < KEPT_MAX);
	memcpy(&manager.fds[manager.count], CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(int));
	snprintf(manager.names[manager.count++], sizeof(name), "%s", name);
	return true;
}

void manager_drain(void)
{
	while (manager_receive())
		;
}

void manager_forget(void)
{
	manager_drain();
	while (manager.count > 0)
		close(manager.fds[--manager.count]);
}

/* To this process, as if it had been started with them. */
void manager_pass(void)
{
	char names[KEPT_MAX * 64] = "", number[16];
	int high[KEPT_MAX];

	for (size_t i = 0; i < manager.count; i++)
		high[i] = fcntl(manager.fds[i], F_DUPFD, 100);
	for (size_t i = 0; i < manager.count; i++) {
		dup2(high[i], 3 + (int)i);
		close(high[i]);
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 i > 0 ? ":" : "", manager.names[i]);
	}
	snprintf(number, sizeof(number), "%d", (int)getpid());
	setenv("LISTEN_PID", number, 1);
	snprintf(number, sizeof(number), "%zu", manager.count);
	setenv("LISTEN_FDS", number, 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

/* ---- what outlives the broker ---------------------------------------------------------------- */

/* What outlives the broker, as it was after the last instruction. */
static struct watched {
	int fd;
	uint64_t bytes;
	uint8_t *now, *before;
} watched[WATCHED_MAX];
static size_t watched_count;

static bool is_watched(const struct stat *file)
{
	struct stat other;

	for (size_t i = 0; i < watched_count; i++)
		if (fstat(watched[i].fd, &other) == 0 && other.st_ino == file->st_ino)
			return true;
	return false;
}

/* Takes @fd. */
static void watch_file(int fd)
{
	struct watched *it = &watched[watched_count];
	struct stat file;

	if (fstat(fd, &file) < 0 || !S_ISREG(file.st_mode) || is_watched(&file)) {
		close(fd);
		return;
	}
	SHMT_REQUIRE(watched_count < WATCHED_MAX);
	it->fd = fd;
	it->bytes = (uint64_t)file.st_size;
	it->now = mmap(NULL, it->bytes, PROT_READ, MAP_SHARED, fd, 0);
	it->before = malloc(it->bytes);
	SHMT_REQUIRE(it->now != MAP_FAILED && it->before);
	memcpy(it->before, it->now, it->bytes);
	watched_count++;
}

void manager_unwatch(void)
{
	while (watched_count > 0) {
		struct watched *it = &watched[--watched_count];

		munmap(it->now, it->bytes);
		free(it->before);
		close(it->fd);
	}
}

/* What lies in a bundle by now. */
static void watch_bundle(int out)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))];
	uint64_t number;
	struct iovec part = { &number, sizeof(number) };
	int from = 0, none = -1, fds[3];

	setsockopt(out, SOL_SOCKET, SO_PEEK_OFF, &from, sizeof(from));
	for (;;) {
		struct msghdr header = { .msg_iov = &part,
					 .msg_iovlen = 1,
					 .msg_control = control,
					 .msg_controllen = sizeof(control) };
		size_t fd_count;

		if (recvmsg(out, &header, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
			break;
		fd_count = (CMSG_FIRSTHDR(&header)->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&header)), fd_count * sizeof(int));
		for (size_t i = 0; i < fd_count; i++)
			watch_file(fds[i]);
	}
	setsockopt(out, SOL_SOCKET, SO_PEEK_OFF, &none, sizeof(none));
}

void manager_watch(void)
{
	manager_drain();
	for (size_t i = 0; i < manager.count; i++) {
		if (strstr(manager.names[i], "-out"))
			watch_bundle(manager.fds[i]);
		else
			watch_file(fcntl(manager.fds[i], F_DUPFD_CLOEXEC, 0));
	}
}

bool manager_has_changed(void)
{
	bool is_other = false;

	for (size_t i = 0; i < watched_count; i++) {
		struct watched *it = &watched[i];

		if (memcmp(it->before, it->now, it->bytes) == 0)
			continue;
		memcpy(it->before, it->now, it->bytes);
		is_other = true;
	}
	return is_other;
}
void manager_close(void)
{
	close(manager.notify);
}
