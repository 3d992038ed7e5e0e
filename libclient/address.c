#include "libclient/address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "libclient/error.h"
#include "protocol/waiter.h"

#define ADDRESS_SYSTEM "/run/shmbroker/shmbroker.sock"
#define ADDRESS_USER   "/shmbroker/shmbroker.sock" /* under $XDG_RUNTIME_DIR */

enum {
	ADDRESSES_MAX = 2,
};

struct address_list {
	char path[ADDRESSES_MAX][SHMC__ADDRESS_BYTES];
	int errnum[ADDRESSES_MAX]; /* what each said */
	size_t count;
};

/* @folder/@path. False when it is longer than a socket's path may be. */
static bool address_add(struct address_list *list, const char *folder, const char *path)
{
	int length = snprintf(list->path[list->count], SHMC__ADDRESS_BYTES, "%s%s", folder, path);

	if (length < 0 || (size_t)length >= SHMC__ADDRESS_BYTES)
		return false;
	list->count++;
	return true;
}

static const char *address_path(const char *address)
{
	return strncmp(address, "unix:", 5) == 0 ? address + 5 : address;
}

static enum shmc_result address_candidates(const char *chosen, struct address_list *ret_list,
					   struct shmc_error *error)
{
	const char *only = chosen ? chosen : secure_getenv("SHMBROKER_ADDRESS");
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");

	*ret_list = (struct address_list){ .count = 0 };
	if (only && *only != '\0') {
		if (address_add(ret_list, "", address_path(only)))
			return SHMC_OK;
		return shmc__error(error, SHMC_INVALID,
				   "address: longer than the %zu bytes of a socket's path: %s",
				   SHMC__ADDRESS_BYTES - 1, only);
	}
	/* One too long names no socket that could exist. */
	if (runtime && *runtime != '\0')
		address_add(ret_list, runtime, ADDRESS_USER);
	address_add(ret_list, "", ADDRESS_SYSTEM);
	return SHMC_OK;
}

/*
 * The broker's queue of new connections is full: sleep until it is not. Only a blocking socket
 * can, for as long as its send timeout says.
 */
static int address_wait(int fd, const struct sockaddr_un *name, uint64_t deadline_ns)
{
	int r;

	fcntl(fd, F_SETFL, 0);
	do {
		uint64_t now = shmp_clock_ns();
		uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
		struct timeval timeout = {
			.tv_sec = (time_t)(left / UINT64_C(1000000000)),
			.tv_usec = (suseconds_t)(left % UINT64_C(1000000000) / 1000),
		};

		if (timeout.tv_sec == 0 && timeout.tv_usec == 0)
			return -EAGAIN; /* a timeout of 0 would mean none */
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
		r = connect(fd, (const struct sockaddr *)name, sizeof(*name));
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int address_try(int fd, const char *path, uint64_t deadline_ns)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	memcpy(name.sun_path, path, strlen(path) + 1);
	if (connect(fd, (const struct sockaddr *)&name, sizeof(name)) == 0)
		return 0;
	if (errno == EAGAIN && deadline_ns != 0)
		return address_wait(fd, &name, deadline_ns);
	return -errno;
}

/* The socket is known to the fork handler from its first moment. */
static int address_socket(struct shmc__holding *ret_socket)
{
	int r = 0;
	int fd;

	shmc__process_lock();
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		r = -errno;
	else
		shmc__process_hold_fd(ret_socket, fd);
	shmc__process_unlock();
	return r;
}

static enum shmc_result address_none(const struct address_list *list, struct shmc_error *error)
{
	enum shmc_result result = SHMC_BROKER_LOST;
	const char *remedy =
		"Start one: systemctl start shmbrokerd, or shmbrokerd --user --supervise";
	char tried[384] = "";
	size_t used = 0;

	for (size_t i = 0; i < list->count; i++) {
		char text[64];

		if (list->errnum[i] == EACCES || list->errnum[i] == EPERM)
			result = SHMC_DENIED;
		snprintf(tried + used, sizeof(tried) - used, "%s%s: %s", used ? "; " : "",
			 list->path[i], strerror_r(list->errnum[i], text, sizeof(text)));
		used = strlen(tried);
	}
	if (result == SHMC_DENIED)
		remedy = "One is there that this user may not reach: ask for the right to its "
			 "folder and socket, or start one: shmbrokerd --user --supervise";
	return shmc__error(error, result, "no broker answers (%s%s). %s", tried,
			   getenv("XDG_RUNTIME_DIR") ? "" : "; XDG_RUNTIME_DIR is not set", remedy);
}

enum shmc_result shmc__address_connect(const char *chosen, uint64_t deadline_ns,
				       struct shmc__holding *ret_socket,
				       char (*ret_address)[SHMC__ADDRESS_BYTES],
				       struct shmc_error *error)
{
	struct address_list list;
	enum shmc_result result = address_candidates(chosen, &list, error);

	if (result != SHMC_OK)
		return result;
	for (size_t i = 0; i < list.count; i++) {
		int r = address_socket(ret_socket);

		if (r < 0)
			return shmc__error_from_errno(error, "make a socket", -r);
		r = address_try(ret_socket->fd, list.path[i], deadline_ns);
		if (r == 0) {
			memcpy(*ret_address, list.path[i], SHMC__ADDRESS_BYTES);
			return SHMC_OK;
		}
		list.errnum[i] = -r;
		shmc__process_close_fd(ret_socket);
	}
	return address_none(&list, error);
}
