#include "daemon/systemd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/handles.h"
#include "daemon/list.h"
#include "daemon/log.h"

#define LISTEN_FDS_START 3
#define MESSAGE_BYTES	 320 /* of our own: the longest name and the words around it */
#define RETRY_MS	 1   /* doubled while nothing goes */
#define RETRY_MS_MAX	 100

enum manager {
	MANAGER_UNKNOWN, /* not looked yet */
	MANAGER_NONE,
	MANAGER_THERE,
};

struct message {
	struct list link;
	int fd; /* goes along, -1 = none */
	char text[];
};

struct barrier {
	struct list link;
	struct handles handles;
	uv_poll_t poll;
	int fd; /* hangs up when the manager has closed the other end */
	systemd_barrier_fn *fn;
	void *context;
};

static struct {
	/* passed */
	bool is_counted;
	size_t count;
	char *names; /* NUL where the colons were; NULL = none */
	const char **name_of;
	/* the manager */
	enum manager manager;
	bool has_store;
	bool is_lost; /* it kept descriptors, and is gone */
	pid_t keeper; /* our parent, where it is our manager; else 0 */
	int fd;
	/* what waits */
	struct list messages;
	struct list barriers;
	uv_loop_t *loop;
	struct handles handles;
	uv_timer_t timer;
	uint64_t retry_ms;
} self = {
	.fd = -1,
	.messages = { &self.messages, &self.messages },
	.barriers = { &self.barriers, &self.barriers },
};

static uint64_t environment_number(const char *name)
{
	const char *text = getenv(name);
	char *end;
	uint64_t value;

	if (!text || *text < '0' || *text > '9')
		return 0;
	value = strtoull(text, &end, 10);
	return *end == '\0' ? value : 0;
}

/* Passed descriptors. */

static void forget_names(void)
{
	free(self.names);
	free(self.name_of);
	self.names = NULL;
	self.name_of = NULL;
}

/* As many as there are names; what is left has none. */
static void split_names(void)
{
	char *rest = self.names;

	for (size_t i = 0; i < self.count; i++) {
		char *name = rest ? strsep(&rest, ":") : NULL;

		self.name_of[i] = name && *name ? name : NULL;
	}
}

/* 0 or -ENOMEM. */
static int count_passed(void)
{
	const char *names = getenv("LISTEN_FDNAMES");
	uint64_t count = environment_number("LISTEN_FDS");
	long most = sysconf(_SC_OPEN_MAX);

	if (self.is_counted)
		return 0;
	if (environment_number("LISTEN_PID") != (uint64_t)getpid())
		count = 0;
	if (most < 0 || count > (uint64_t)most)
		count = 0; /* nobody can have passed so many */
	if (count > 0) {
		self.names = names ? strdup(names) : NULL;
		self.name_of = calloc(count, sizeof(*self.name_of));
		if (!self.name_of || (names && !self.names)) {
			forget_names();
			return -ENOMEM;
		}
	}
	self.is_counted = true;
	self.count = count;
	split_names();
	for (size_t i = 0; i < count; i++)
		fcntl(LISTEN_FDS_START + (int)i, F_SETFD, FD_CLOEXEC);
	return 0;
}

size_t systemd_passed_count(void)
{
	count_passed();
	return self.count;
}

int systemd_passed(size_t index, const char **ret_name)
{
	int fd = LISTEN_FDS_START + (int)index;

	count_passed();
	if (index >= self.count || fcntl(fd, F_GETFD) < 0)
		return -1;
	if (ret_name)
		*ret_name = self.name_of[index] ? self.name_of[index] : "unknown";
	return fd;
}

int systemd_listen_fd(const char *name)
{
	for (size_t i = 0; i < systemd_passed_count(); i++) {
		const char *here = "";
		int fd = systemd_passed(i, &here);

		if (strcmp(here, name) == 0)
			return fd;
	}
	return -1;
}

void systemd_listen_done(void)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	forget_names();
	self.count = 0;
	self.is_counted = true;
}

/* Messages to the manager. */

/* Connected, it is one manager for life: another one at the same path keeps nothing for us.
 * Return: the socket or -errno. */
static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(path);
	socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	int fd;

	if (length < 2 || length >= sizeof(address.sun_path))
		return -EINVAL;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0'; /* abstract */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)(void *)&address, bytes) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

/* A manager whose socket is called so is keeper.h, and that is whoever forked us. */
static bool is_of_keeper(const char *path)
{
	static const char ending[] = ".keeper";
	size_t bytes = strlen(path), most = strlen(ending);

	return bytes > most && strcmp(path + bytes - most, ending) == 0;
}

static void log_lost(int error)
{
	self.is_lost = true;
	log_event(LOG_WARNING, "keeper_lost",
		  "reason=\"%s: %s\" message=\"serves on, but the next broker will not "
		  "know the segments of this one\"",
		  getenv("NOTIFY_SOCKET"), strerror(error));
}

static bool is_shortage(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -ENOBUFS;
}

/* 0, also when there is none; -errno when it could not be found out: another time. */
static int meet_manager(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	bool keeps = environment_number("FDSTORE") > 0;
	int fd;

	if (self.manager != MANAGER_UNKNOWN)
		return 0;
	/* before it is called: who answers then was our parent at this moment */
	self.keeper = path && is_of_keeper(path) ? getppid() : 0;
	fd = path ? connect_to(path) : -ENOENT;
	if (is_shortage(fd))
		return fd;
	self.fd = fd < 0 ? -1 : fd;
	self.manager = fd < 0 ? MANAGER_NONE : MANAGER_THERE;
	self.has_store = fd >= 0 && keeps;
	if (fd < 0 && path && keeps)
		log_lost(-fd);
	return 0;
}

static bool find_manager(void)
{
	meet_manager();
	return self.manager == MANAGER_THERE;
}

int systemd_meet(void)
{
	int r = count_passed();

	return r < 0 ? r : meet_manager();
}

static void free_message(struct message *message)
{
	list_remove(&message->link);
	if (message->fd >= 0)
		close(message->fd);
	free(message);
}

/* Closes the descriptors that wait, too: whoever stands behind a barrier is let go. */
static void drop_messages(void)
{
	while (!list_is_empty(&self.messages))
		free_message(list_entry(self.messages.next, struct message, link));
}

static void lose_manager(int error)
{
	if (self.has_store)
		log_lost(error);
	self.manager = MANAGER_NONE;
	self.has_store = false;
	close(self.fd);
	self.fd = -1;
	drop_messages();
}

static ssize_t send_with(const char *text, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec part = { (void *)text, strlen(text) };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *rights;

		header.msg_control = control;
		header.msg_controllen = sizeof(control);
		rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
	}
	return sendmsg(self.fd, &header, MSG_NOSIGNAL);
}

/* False when it has to wait. True when it went, or there is nobody any more. */
static bool try_send(const char *text, int fd)
{
	ssize_t r;

	do {
		r = send_with(text, fd);
	} while (r < 0 && errno == EINTR);
	if (r >= 0)
		return true;
	/* the last: too many descriptors of this user are on their way to somebody */
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS)
		return false;
	lose_manager(errno);
	return true;
}

/* True when some of it went. */
static bool send_waiting(void)
{
	bool has_moved = false;

	while (!list_is_empty(&self.messages)) {
		struct message *first = list_entry(self.messages.next, struct message, link);

		if (!try_send(first->text, first->fd))
			break;
		has_moved = true;
		if (self.manager != MANAGER_THERE)
			break; /* all are dropped */
		free_message(first);
	}
	return has_moved;
}

static void on_retry(uv_timer_t *timer)
{
	uint64_t next_ms = send_waiting() ? RETRY_MS : self.retry_ms * 2;

	self.retry_ms = next_ms > RETRY_MS_MAX ? RETRY_MS_MAX : next_ms;
	if (!list_is_empty(&self.messages))
		uv_timer_start(&self.timer, on_retry, self.retry_ms, 0);
}

void systemd_flush(void)
{
	send_waiting();
}

/* A second sign of life behind the first says nothing new. */
static bool is_repeated(const char *text)
{
	const struct message *last;

	if (list_is_empty(&self.messages))
		return false;
	last = list_entry(self.messages.previous, struct message, link);
	return last->fd < 0 && strcmp(last->text, text) == 0;
}

/* Takes a copy of @fd. */
static int enqueue(const char *text, int fd)
{
	size_t bytes = strlen(text) + 1;
	struct message *message;

	if (fd < 0 && is_repeated(text))
		return 0;
	message = malloc(sizeof(*message) + bytes);
	if (!message)
		return -ENOMEM;
	message->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && message->fd < 0) {
		int error = errno;

		free(message);
		return -error;
	}
	memcpy(message->text, text, bytes);
	if (self.loop && list_is_empty(&self.messages)) {
		self.retry_ms = RETRY_MS;
		uv_timer_start(&self.timer, on_retry, self.retry_ms, 0);
	}
	list_append(&self.messages, &message->link);
	return 0;
}

/* 0, also when there is nobody; -ENOMEM or -EMFILE when it would have to wait and cannot. */
static int post(const char *text, int fd)
{
	if (!find_manager())
		return 0;
	if (list_is_empty(&self.messages) && try_send(text, fd))
		return 0;
	return enqueue(text, fd);
}

void systemd_notify(const char *state)
{
	post(state, -1);
}

/* The store. */

bool systemd_has_store(void)
{
	return find_manager() && self.has_store;
}

enum systemd_keeper systemd_keeper(pid_t *ret_pid)
{
	/* whose parent has died has another one by then */
	if (systemd_has_store() && self.keeper != 0 && getppid() != self.keeper)
		lose_manager(ECONNREFUSED);
	*ret_pid = self.keeper;
	if (systemd_has_store())
		return self.keeper != 0 ? SYSTEMD_KEEPER_PARENT : SYSTEMD_KEEPER_SYSTEMD;
	return self.is_lost ? SYSTEMD_KEEPER_LOST : SYSTEMD_KEEPER_NOBODY;
}

int systemd_store(const char *name, int fd)
{
	char text[MESSAGE_BYTES];

	if (!systemd_has_store())
		return 0;
	/* FDPOLL=0: what hangs up with this process is just what is to be kept */
	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	return post(text, fd);
}

int systemd_unstore(const char *name)
{
	char text[MESSAGE_BYTES];

	if (!systemd_has_store())
		return 0;
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	return post(text, -1);
}

bool systemd_is_flushed(void)
{
	return list_is_empty(&self.messages);
}

static void free_barrier(void *owner)
{
	struct barrier *barrier = owner;

	close(barrier->fd);
	free(barrier);
}

static void close_barrier(struct barrier *barrier)
{
	list_remove(&barrier->link);
	handles_close((uv_handle_t *)&barrier->poll);
}

static void on_hang_up(uv_poll_t *poll, int status, int events)
{
	struct barrier *barrier = handles_owner((uv_handle_t *)poll);
	systemd_barrier_fn *fn = barrier->fn;
	void *context = barrier->context;

	close_barrier(barrier);
	fn(context);
}

static int watch_barrier(struct barrier *barrier)
{
	int r = uv_poll_init(self.loop, &barrier->poll, barrier->fd);

	if (r < 0) {
		free_barrier(barrier);
		return r;
	}
	handles_init(&barrier->handles, barrier, free_barrier);
	handles_adopt(&barrier->handles, (uv_handle_t *)&barrier->poll);
	list_append(&self.barriers, &barrier->link);
	r = uv_poll_start(&barrier->poll, UV_READABLE | UV_DISCONNECT, on_hang_up);
	if (r < 0)
		close_barrier(barrier);
	return r;
}

int systemd_barrier(systemd_barrier_fn *fn, void *context)
{
	struct barrier *barrier = malloc(sizeof(*barrier));
	int ends[2], r;

	assert(self.loop);
	if (!barrier)
		return -ENOMEM;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		r = -errno;
		free(barrier);
		return r;
	}
	*barrier = (struct barrier){ .fd = ends[0], .fn = fn, .context = context };
	r = watch_barrier(barrier);
	if (r == 0) {
		r = post("BARRIER=1", ends[1]);
		if (r < 0)
			close_barrier(barrier);
	}
	/* the manager's copy is what is left; without a manager the pipe hangs up at once */
	close(ends[1]);
	return r;
}

/* Life. */

static void on_last(void *owner)
{
	/* there is nothing to free */
}

void systemd_init(uv_loop_t *loop)
{
	self.loop = loop;
	handles_init(&self.handles, &self, on_last);
	uv_timer_init(loop, &self.timer);
	handles_adopt(&self.handles, (uv_handle_t *)&self.timer);
}

void systemd_deinit(void)
{
	while (!list_is_empty(&self.barriers))
		close_barrier(list_entry(self.barriers.next, struct barrier, link));
	drop_messages();
	if (self.loop)
		handles_close((uv_handle_t *)&self.timer);
	self.loop = NULL;
	if (self.fd >= 0)
		close(self.fd);
	self.fd = -1;
	self.manager = MANAGER_UNKNOWN;
	self.has_store = false;
	self.is_lost = false;
	self.keeper = 0;
}

uint64_t systemd_watchdog_us(void)
{
	const char *pid = getenv("WATCHDOG_PID");

	if (pid && environment_number("WATCHDOG_PID") != (uint64_t)getpid())
		return 0;
	return environment_number("WATCHDOG_USEC");
}
