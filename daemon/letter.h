/*
 * Letter: what comes to a manager's socket: text (notice.h), descriptors, and the sender by the
 * kernel's word. The socket is a file for its user and root alone.
 */
#ifndef SHMBROKER_LETTER_H
#define SHMBROKER_LETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "daemon/notice.h"

#define LETTER_FDS_MAX 253 /* the kernel's limit */

struct letter {
	struct ucred sender; /* pid 0: unknown */
	bool is_short;	     /* descriptors are missing: this process can have no more */
	size_t fd_count;
	int fds[LETTER_FDS_MAX]; /* close-on-exec; -1 = taken */
	char text[NOTICE_BYTES_MAX + 1];
};

/* Replaces what is at @path. Return: the socket or -errno. */
int letter_socket(const char *path);
/* The next one; false when there is none now. Never waits. Too long a text is an empty one. */
bool letter_receive(int socket, struct letter *ret_letter);
/* Closes the descriptors that nobody took. */
void letter_close(struct letter *letter);

#endif
