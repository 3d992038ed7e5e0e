/*
 * Listener: one of the two sockets, passed by the service manager or made here.
 *
 * A socket file left by a broker that was killed is replaced: a lock beside it, held for life,
 * says whether anybody serves it. With a manager that keeps descriptors (systemd.h), it keeps both
 * the socket and the lock over a restart: clients that connect meanwhile wait, a broker started by
 * hand is refused, and at the end the file stays for the next one. Descriptors from clients are refused by the kernel where it can.
 */
#ifndef SHMBROKER_LISTENER_H
#define SHMBROKER_LISTENER_H

#include <stdbool.h>
#include <uv.h>

/* What the manager keeps of one is called by these, '-' and the listener's name. */
#define LISTENER_KEPT_SOCKET "own"
#define LISTENER_KEPT_LOCK   "lock"

struct broker;
struct interface;

struct listener {
	struct broker *broker;
	const struct interface *const *interfaces; /* ends with NULL */
	const char *name;			   /* "client", "control" */
	const char *path;
	uv_poll_t poll;
	int fd;		 /* -1 = not open */
	int lock_fd;	 /* -1 = the socket was passed */
	int spare_fd;	 /* given up for a moment when there are no more descriptors */
	bool has_file;	 /* the socket file is ours to take away */
	bool is_kept;	 /* since listener_close: by the manager, whose the files are now */
	bool is_starved; /* of descriptors, and it is in the log */
};

#define LISTENER_NULL ((struct listener){ .fd = -1, .lock_fd = -1, .spare_fd = -1 })

/* The folder of the socket at @path, if it is missing; a system's is made by its package.
 * 0 or -errno. */
int listener_make_folder(const char *path, bool is_private);
/* name, path, interfaces and broker are set. 0 or -errno, with the reason logged. */
int listener_open(struct listener *listener, unsigned mode);
/* Starts to accept. 0 or -errno. */
int listener_start(struct listener *listener);
/* Stops, and takes the socket file away unless it was passed, or is kept for the next broker. */
void listener_close(struct listener *listener);
/* After the loop has closed its handle. */
void listener_free(struct listener *listener);

#endif
