#include "daemon/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_FDS_START 3

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

/* Index of @name in the colon-separated @names, -1 when it is not there. */
static int name_index(const char *names, const char *name)
{
	size_t length = strlen(name);

	for (int i = 0; names; i++) {
		const char *colon = strchr(names, ':');
		size_t here = colon ? (size_t)(colon - names) : strlen(names);

		if (here == length && memcmp(names, name, length) == 0)
			return i;
		names = colon ? colon + 1 : NULL;
	}
	return -1;
}

int systemd_listen_fd(const char *name)
{
	int count = (int)environment_number("LISTEN_FDS");
	int index = name_index(getenv("LISTEN_FDNAMES"), name);

	if (environment_number("LISTEN_PID") != (uint64_t)getpid() || index < 0 || index >= count)
		return -1;
	fcntl(LISTEN_FDS_START + index, F_SETFD, FD_CLOEXEC);
	return LISTEN_FDS_START + index;
}

void systemd_listen_done(void)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

void systemd_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = path ? strlen(path) : 0;
	int fd;

	if (length < 2 || length >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0'; /* abstract */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)(void *)&address,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	close(fd);
}

uint64_t systemd_watchdog_us(void)
{
	const char *pid = getenv("WATCHDOG_PID");

	if (pid && environment_number("WATCHDOG_PID") != (uint64_t)getpid())
		return 0;
	return environment_number("WATCHDOG_USEC");
}
