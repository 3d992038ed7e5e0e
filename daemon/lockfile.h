/*
 * Lock file: says beside a socket whether anybody serves it. Held for life by a flock, which the
 * kernel ends with its last holder, whatever became of him; a copy of the descriptor that a
 * manager keeps (systemd.h) is a holder, too, and so the lock spans a restart.
 */
#ifndef SHMBROKER_LOCKFILE_H
#define SHMBROKER_LOCKFILE_H

#define LOCKFILE_PATH_MAX 128 /* a socket's path and its end, with NUL */

/* Where the lock of the socket at @socket is. */
void lockfile_path(const char *socket, char path[LOCKFILE_PATH_MAX]);
/* Return: 0 with @ret_fd; -EADDRINUSE when somebody else holds it, -errno. Never waits. */
int lockfile_take(const char *path, int *ret_fd);
/* Whether @fd, which was kept, holds the lock at @path: 1, 0, -errno where that cannot be told. */
int lockfile_is_held(const char *path, int fd);
/* Takes the file away, and lets go. */
void lockfile_remove(const char *path, int fd);

#endif
