#include "daemon/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/broker.h"
#include "daemon/lockfile.h"
#include "daemon/log.h"
#include "daemon/session.h"
#include "daemon/systemd.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16; older headers lack it */
#endif

#define BACKLOG		4096
#define ACCEPT_PER_TURN 32
#define KEPT_NAME_MAX	32

static int fail(const struct listener *listener, const char *what, int error)
{
	log_event(LOG_ERR, "cannot_listen", "socket=%s path=%s reason=\"%s: %s\"", listener->name,
		  listener->path, what, strerror(error));
	return -error;
}

int listener_make_folder(const char *path, bool is_private)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (!slash || slash == folder)
		return 0;
	*slash = '\0';
	return mkdir(folder, is_private ? 0700 : 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* Under these names a manager keeps what was made here; sockets of its own it passes as @name. */
static void kept_name(const struct listener *listener, const char *front, char name[KEPT_NAME_MAX])
{
	snprintf(name, KEPT_NAME_MAX, "%s-%s", front, listener->name);
}

static int take_kept(const struct listener *listener, const char *front)
{
	char name[KEPT_NAME_MAX];

	kept_name(listener, front, name);
	return systemd_listen_fd(name);
}

static int keep(const struct listener *listener, const char *front, int fd)
{
	char name[KEPT_NAME_MAX];
	int r;

	kept_name(listener, front, name);
	r = systemd_store(name, fd);
	return r < 0 ? fail(listener, "have it kept", -r) : 0;
}

/* What is of no use any more: another path, a file that is gone. */
static void give_up_kept(const struct listener *listener, const char *front)
{
	char name[KEPT_NAME_MAX];
	int fd = take_kept(listener, front);

	if (fd < 0)
		return;
	close(fd);
	kept_name(listener, front, name);
	systemd_unstore(name);
}

static int lock(struct listener *listener)
{
	char path[LOCKFILE_PATH_MAX];
	int kept = take_kept(listener, LISTENER_KEPT_LOCK);
	int r;

	lockfile_path(listener->path, path);
	r = kept >= 0 ? lockfile_is_held(path, kept) : 0;
	if (r < 0)
		return fail(listener, "look at its lock", -r);
	if (r > 0) {
		listener->lock_fd = kept;
		return 0;
	}
	give_up_kept(listener, LISTENER_KEPT_LOCK);
	r = lockfile_take(path, &listener->lock_fd);
	if (r == -EADDRINUSE)
		return fail(listener, "another broker serves it", -r);
	if (r < 0)
		return fail(listener, "take its lock", -r);
	return keep(listener, LISTENER_KEPT_LOCK, listener->lock_fd);
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

static bool is_listening(int fd)
{
	int listening = 0;
	socklen_t bytes = sizeof(listening);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &bytes) == 0 && listening;
}

static int take_over(struct listener *listener, int fd)
{
	if (!is_listening(fd))
		return fail(listener, "the socket passed does not listen", EINVAL);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	listener->fd = fd;
	return 0;
}

/* The lock is held: nobody else has replaced the file, and a socket there is this one's. 1, 0 or
 * -errno. */
static int is_at_path(const struct listener *listener, int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNSPEC };
	socklen_t bytes = sizeof(address) - 1;
	struct stat status;

	if (!is_listening(fd))
		return 0;
	if (getsockname(fd, (struct sockaddr *)(void *)&address, &bytes) < 0)
		return -errno;
	if (address.sun_family != AF_UNIX || strcmp(address.sun_path, listener->path) != 0)
		return 0;
	if (lstat(listener->path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISSOCK(status.st_mode);
}

/* Who connected while there was no broker waits in it. 1; 0 there is none; -errno. */
static int resume(struct listener *listener, unsigned mode)
{
	int fd = take_kept(listener, LISTENER_KEPT_SOCKET);
	int r = fd < 0 ? 0 : is_at_path(listener, fd);

	if (r < 0)
		return fail(listener, "look at it", -r);
	if (r == 0) {
		give_up_kept(listener, LISTENER_KEPT_SOCKET);
		return 0;
	}
	listener->fd = fd;
	listener->has_file = true;
	/* once more: who connects asks the socket who serves it, and that is who did this last */
	listen(fd, BACKLOG);
	if (chmod(listener->path, mode) < 0)
		log_event(LOG_WARNING, "rights", "path=%s reason=\"left as they are: %s\"",
			  listener->path, strerror(errno));
	return 1;
}

static int make(struct listener *listener, unsigned mode)
{
	int r = listener_make_folder(listener->path, listener->broker->options->user);

	if (r < 0)
		return fail(listener, "make its folder", -r);
	r = lock(listener);
	if (r == 0)
		r = resume(listener, mode);
	if (r != 0)
		return r < 0 ? r : 0;
	r = remove_stale(listener);
	if (r == 0)
		r = make_socket(listener, mode);
	if (r == 0)
		r = keep(listener, LISTENER_KEPT_SOCKET, listener->fd);
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
	int r;

	if (passed >= 0) {
		/* a socket unit has taken the place of what was made here */
		give_up_kept(listener, LISTENER_KEPT_SOCKET);
		give_up_kept(listener, LISTENER_KEPT_LOCK);
		r = take_over(listener, passed);
	} else {
		r = make(listener, mode);
	}
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
	listener->is_kept = systemd_has_store();
	if (listener->has_file && !listener->is_kept)
		unlink(listener->path);
}

void listener_free(struct listener *listener)
{
	char path[LOCKFILE_PATH_MAX];

	if (listener->fd >= 0)
		close(listener->fd);
	if (listener->lock_fd >= 0 && listener->is_kept) {
		close(listener->lock_fd);
	} else if (listener->lock_fd >= 0) {
		lockfile_path(listener->path, path);
		lockfile_remove(path, listener->lock_fd);
	}
	if (listener->spare_fd >= 0)
		close(listener->spare_fd);
	*listener = LISTENER_NULL;
}
