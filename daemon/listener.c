#include "daemon/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/broker.h"
#include "daemon/log.h"
#include "daemon/session.h"
#include "daemon/systemd.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16; older headers lack it */
#endif

#define BACKLOG		4096
#define ACCEPT_PER_TURN 32

static int fail(const struct listener *listener, const char *what, int error)
{
	log_event(LOG_ERR, "cannot_listen", "socket=%s path=%s reason=\"%s: %s\"", listener->name,
		  listener->path, what, strerror(error));
	return -error;
}

/* The socket's folder, private for a user; a system's is made by its package. */
static int make_folder(const struct listener *listener)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(folder, sizeof(folder), "%s", listener->path);
	slash = strrchr(folder, '/');
	if (!slash || slash == folder)
		return 0;
	*slash = '\0';
	if (mkdir(folder, listener->broker->options->user ? 0700 : 0755) < 0 && errno != EEXIST)
		return fail(listener, "make its folder", errno);
	return 0;
}

/* True when the file that is locked is still the one that others would open. */
static bool is_current(int fd, const char *path)
{
	struct stat here, there;

	return fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino &&
	       here.st_dev == there.st_dev;
}

static void lock_path(const struct listener *listener, char *path, size_t bytes)
{
	snprintf(path, bytes, "%s.lock", listener->path);
}

static int lock(struct listener *listener)
{
	char path[128];

	lock_path(listener, path, sizeof(path));
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return fail(listener, "open its lock", errno);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			int error = errno == EWOULDBLOCK ? EADDRINUSE : errno;

			close(fd);
			return fail(listener, "another broker serves it", error);
		}
		listener->lock_fd = fd;
		if (is_current(fd, path))
			return 0;
		close(fd); /* its holder took it away while ending */
		listener->lock_fd = -1;
	}
}

static struct sockaddr_un address_of(const struct listener *listener)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	/* its length was checked with the options */
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", listener->path);
	return address;
}

/* Somebody else's server, one that knows nothing of our lock, must not lose its socket. */
static bool is_answered(const struct listener *listener)
{
	struct sockaddr_un address = address_of(listener);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return true;
	r = connect(fd, (struct sockaddr *)(void *)&address, sizeof(address));
	r = r < 0 ? errno : 0;
	close(fd);
	return r == 0 || r == EAGAIN;
}

static int remove_stale(const struct listener *listener)
{
	struct stat status;

	if (lstat(listener->path, &status) < 0)
		return errno == ENOENT ? 0 : fail(listener, "look at it", errno);
	if (!S_ISSOCK(status.st_mode))
		return fail(listener, "it is no socket", EEXIST);
	if (is_answered(listener))
		return fail(listener, "another server answers", EADDRINUSE);
	if (unlink(listener->path) < 0)
		return fail(listener, "remove the old socket", errno);
	return 0;
}

static int make_socket(struct listener *listener, unsigned mode)
{
	struct sockaddr_un address = address_of(listener);
	mode_t mask;
	int r;

	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return fail(listener, "make a socket", errno);
	/* born with its rights: nobody gets in between bind and chmod */
	mask = umask(0777 & ~mode);
	r = bind(listener->fd, (struct sockaddr *)(void *)&address, sizeof(address));
	umask(mask);
	if (r < 0)
		return fail(listener, "bind", errno);
	listener->has_file = true;
	if (listen(listener->fd, BACKLOG) < 0)
		return fail(listener, "listen", errno);
	return 0;
}

static int take_over(struct listener *listener, int fd)
{
	int listening = 0;
	socklen_t bytes = sizeof(listening);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &bytes) < 0 || !listening)
		return fail(listener, "the socket passed does not listen", EINVAL);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	listener->fd = fd;
	return 0;
}

static int make(struct listener *listener, unsigned mode)
{
	int r = make_folder(listener);

	if (r == 0)
		r = lock(listener);
	if (r == 0)
		r = remove_stale(listener);
	if (r == 0)
		r = make_socket(listener, mode);
	return r;
}

/* Accepted sockets inherit it; the sender gets EPERM. */
static void refuse_descriptors(struct listener *listener)
{
	int none = 0;

	if (listener->broker->options->no_passrights ||
	    setsockopt(listener->fd, SOL_SOCKET, SO_PASSRIGHTS, &none, sizeof(none)) < 0)
		listener->broker->has_passrights = false;
}

int listener_open(struct listener *listener, unsigned mode)
{
	int passed = systemd_listen_fd(listener->name);
	int r = passed >= 0 ? take_over(listener, passed) : make(listener, mode);

	if (r == 0)
		refuse_descriptors(listener);
	listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return r;
}

/* Without this the listener would stay readable and the loop spin. */
static void drop_one(struct listener *listener)
{
	int fd;

	if (!listener->is_starved)
		log_event(LOG_ERR, "no_descriptors", "socket=%s message=\"raise LimitNOFILE\"",
			  listener->name);
	listener->is_starved = true;
	close(listener->spare_fd);
	fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		close(fd);
	listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct listener *listener =
		(struct listener *)(void *)((char *)poll - offsetof(struct listener, poll));

	for (int i = 0; i < ACCEPT_PER_TURN; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			listener->is_starved = false;
			session_new(listener, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE)
			drop_one(listener);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

int listener_start(struct listener *listener)
{
	int r = uv_poll_init(&listener->broker->loop, &listener->poll, listener->fd);

	if (r < 0)
		return fail(listener, "watch it", -r);
	handles_adopt(&listener->broker->handles, (uv_handle_t *)&listener->poll);
	return uv_poll_start(&listener->poll, UV_READABLE, on_connection);
}

void listener_close(struct listener *listener)
{
	if (listener->poll.data)
		handles_close((uv_handle_t *)&listener->poll);
	if (listener->has_file)
		unlink(listener->path);
}

void listener_free(struct listener *listener)
{
	char path[128];

	if (listener->fd >= 0)
		close(listener->fd);
	if (listener->lock_fd >= 0) {
		lock_path(listener, path, sizeof(path));
		unlink(path);
		close(listener->lock_fd);
	}
	if (listener->spare_fd >= 0)
		close(listener->spare_fd);
	*listener = LISTENER_NULL;
}
