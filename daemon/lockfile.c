#include "daemon/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

void lockfile_path(const char *socket, char path[LOCKFILE_PATH_MAX])
{
	snprintf(path, LOCKFILE_PATH_MAX, "%s.lock", socket);
}

/* 1 when the file that is locked is still the one that others would open; 0; -errno. */
static int is_current(const char *path, int fd)
{
	struct stat here, there;

	if (fstat(fd, &here) < 0 || stat(path, &there) < 0)
		return errno == ENOENT ? 0 : -errno;
	return here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

int lockfile_take(const char *path, int *ret_fd)
{
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		int r;

		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			int error = errno == EWOULDBLOCK ? EADDRINUSE : errno;

			close(fd);
			return -error;
		}
		r = is_current(path, fd);
		if (r > 0) {
			*ret_fd = fd;
			return 0;
		}
		close(fd);
		if (r < 0)
			return r;
		/* its holder took it away while ending */
	}
}

int lockfile_is_held(const char *path, int fd)
{
	int r = is_current(path, fd);

	if (r <= 0)
		return r;
	/* of the same opening, so that it succeeds for who holds it already */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 1;
	return errno == EWOULDBLOCK ? 0 : -errno;
}

void lockfile_remove(const char *path, int fd)
{
	unlink(path);
	close(fd);
}
