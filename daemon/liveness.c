#include "daemon/liveness.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5; older headers lack it */
#endif
#define PIDFS_MAGIC 0x50494446 /* Linux 6.9: a pidfd's inode is the process's own */

#define STAT_FIELD_START_TIME 22 /* of /proc/PID/stat, counted from 1 */
#define STAT_FIELD_EXIT_CODE  52

/* Linux 6.15, not in older headers: what PIDFD_GET_INFO tells of a process that is reaped. */
struct pidfd_end {
	uint64_t mask;
	uint64_t cgroup;
	uint32_t ids[11];
	int32_t exit_code;
};
static_assert(sizeof(struct pidfd_end) == 64, "the kernel goes by the size; what follows is newer");
#define PIDFD_END      _IOWR(0xFF, 11, struct pidfd_end)
#define PIDFD_END_MASK (UINT64_C(1) << 3)

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
static int parse_stat(const char *text, int number, uint64_t *ret_value)
{
	const char *at = strrchr(text, ')');

	for (int field = 2; at && field < number; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return -EBADMSG;
	*ret_value = strtoull(at + 1, NULL, 10);
	return 0;
}

/* Field @number of /proc/PID/stat. 0 or -errno. */
static int read_stat(pid_t pid, int number, uint64_t *ret_value)
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
	return parse_stat(text, number, ret_value);
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
	r = read_stat(pid, STAT_FIELD_START_TIME, &found);
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

static enum death_end end_of(int wait_status, uint32_t *ret_value)
{
	bool is_killed = WIFSIGNALED(wait_status);

	*ret_value = (uint32_t)(is_killed ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status));
	return is_killed ? DEATH_END_KILLED : DEATH_END_EXITED;
}

/* The number is still its own if it has not been waited for even now. */
static bool is_unreaped(int pidfd)
{
	return syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0 || errno == EPERM;
}

/* Of one that has not been waited for. */
static enum death_end end_by_proc(int pidfd, pid_t pid, uid_t uid, uint32_t *ret_value)
{
	uint64_t status = 0;

	if (pid <= 0 || read_stat(pid, STAT_FIELD_EXIT_CODE, &status) < 0 || !is_unreaped(pidfd))
		return DEATH_END_UNKNOWN;
	/* who may not see it is told 0 */
	if (status == 0 && geteuid() != 0 && geteuid() != uid)
		return DEATH_END_UNKNOWN;
	return end_of((int)status, ret_value);
}

enum death_end liveness_end(int pidfd, pid_t pid, uid_t uid, uint32_t *ret_value)
{
	struct pidfd_end info = { .mask = PIDFD_END_MASK };
	/* in this order: its parent may wait for it in between */
	enum death_end end = end_by_proc(pidfd, pid, uid, ret_value);

	if (end != DEATH_END_UNKNOWN)
		return end;
	*ret_value = 0;
	if (ioctl(pidfd, PIDFD_END, &info) < 0 || (info.mask & PIDFD_END_MASK) == 0)
		return DEATH_END_UNKNOWN;
	return end_of(info.exit_code, ret_value);
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
