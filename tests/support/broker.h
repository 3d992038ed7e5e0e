/*
 * A real broker of one's own: in a new folder, gone with the test.
 */
#ifndef SHMT_BROKER_H
#define SHMT_BROKER_H

#include <stddef.h>
#include <sys/types.h>

struct shmt_broker {
	pid_t pid;
	pid_t keeper; /* its parent, 0 = none: it is ours */
	char folder[64];
	char address[96]; /* client socket */
	char control[96]; /* control socket */
	char log[96];	  /* what it said */
};

/*
 * Starts the broker that $SHMBROKERD names, with @options (ends with NULL; may be NULL) beside
 * the sockets, and waits until it listens.
 */
struct shmt_broker shmt_broker_start(const char *const *options);
/* The same with --supervise: a keeper that starts another broker whenever this one ends. */
struct shmt_broker shmt_broker_supervised(const char *const *options);
/* Waits until its keeper has started one that is not @broker->pid, which becomes that one's. */
void shmt_broker_next(struct shmt_broker *broker);
/* SIGTERM to it or its keeper, which must end with 0. Removes the folder. */
void shmt_broker_stop(struct shmt_broker *broker);
/* SIGKILL, of the broker in any case; the folder and the socket files stay. */
void shmt_broker_kill(struct shmt_broker *broker);
void shmt_broker_remove(struct shmt_broker *broker);
/* A connected socket, close-on-exec. */
int shmt_broker_connect(const char *path);

/* What it holds: descriptors, and resident memory of its own in KiB, which is 0 under a
 * sanitizer: that one holds freed memory back. */
size_t shmt_broker_descriptors(const struct shmt_broker *broker);
size_t shmt_broker_memory_kib(const struct shmt_broker *broker);
/* Waits until it has no more than @descriptors again; ends the test when it keeps some. */
void shmt_broker_settle(const struct shmt_broker *broker, size_t descriptors);
/* In how many lines of its log @text stands. */
size_t shmt_broker_said(const struct shmt_broker *broker, const char *text);

#endif
