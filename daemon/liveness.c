#include "daemon/liveness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5; older headers lack it */
#endif
#define PIDFS_MAGIC 0x50494446 /* Linux 6.9: a pidfd's inode is the process's own */

#define STAT_FIELD_START_TIME 22 /* of /proc/PID/stat, counted from 1 */

int liveness_of_peer(int socket_fd, int *ret_pidfd)
{
	int pidfd = -1;
	socklen_t bytes = sizeof(pidfd);

	if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &bytes) == 0) {
		*ret_pidfd = pidfd;
		return 0;
	}
	if (errno == ENOPROTOOPT)
		return -EOPNOTSUPP;
	/* a reaped process has no pidfd any more; kernels differ in how they say so */
	return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -ESRCH;
}

/* The name in the second field may hold spaces and parentheses: count from the last one. */
static int parse_start_time(const char *text, uint64_t *ret_start_time)
{
	const char *at = strrchr(text, ')');

	for (int field = 2; at && field < STAT_FIELD_START_TIME; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return -EBADMSG;
	*ret_start_time = strtoull(at + 1, NULL, 10);
	return 0;
}

static int read_start_time(pid_t pid, uint64_t *ret_start_time)
{
	char path[32], text[1024];
	ssize_t bytes;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	bytes = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (bytes <= 0)
		return -ESRCH;
	text[bytes] = '\0';
	return parse_start_time(text, ret_start_time);
}

int liveness_of_pid(pid_t pid, uint64_t start_time, int *ret_pidfd)
{
	uint64_t found = 0;
	int pidfd, r;

	if (pid <= 0)
		return -ESRCH;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return -errno;
	r = read_start_time(pid, &found);
	/* alive after the look: the number cannot have passed to another meanwhile */
	if (r < 0 || found != start_time || liveness_is_over(pidfd)) {
		close(pidfd);
		return r < 0 && r != -ENOENT ? r : -ESRCH;
	}
	*ret_pidfd = pidfd;
	return 0;
}

bool liveness_is_over(int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

static bool has_own_inode(int pidfd, struct stat *ret_status)
{
	struct statfs fs;

	return fstatfs(pidfd, &fs) == 0 && fs.f_type == PIDFS_MAGIC &&
	       fstat(pidfd, ret_status) == 0;
}

bool liveness_is_same(int pidfd_a, pid_t pid_a, int pidfd_b, pid_t pid_b)
{
	struct stat a, b;

	if (pid_a != pid_b)
		return false;
	if (has_own_inode(pidfd_a, &a) && has_own_inode(pidfd_b, &b))
		return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
	return pid_a != 0 && !liveness_is_over(pidfd_a) && !liveness_is_over(pidfd_b);
}
