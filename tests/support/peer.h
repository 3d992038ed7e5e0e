/*
 * The other process of a test: forked before anything is connected, with a line to talk over. It
 * dies with the test.
 */
#ifndef SHMT_PEER_H
#define SHMT_PEER_H

#include <sys/types.h>

struct shmt_peer {
	pid_t pid;
	int line;
};

/* What it does; @other is the test. A failed assertion, or anything but a return, fails join. */
typedef void (*shmt_peer_fn)(struct shmt_peer *other, void *context);

struct shmt_peer shmt_peer_start(shmt_peer_fn fn, void *context);

/* One byte each way: "I am there" and "now". Both work from either side. */
void shmt_peer_tell(struct shmt_peer *peer);
void shmt_peer_await(struct shmt_peer *peer);
/* Whole objects, for what one process knows and the other has to check. */
void shmt_peer_send(struct shmt_peer *peer, const void *data, size_t bytes);
void shmt_peer_receive(struct shmt_peer *peer, void *data, size_t bytes);

/* It must come to its end by itself. */
void shmt_peer_join(struct shmt_peer *peer);
/* SIGKILL, and reaped. */
void shmt_peer_kill(struct shmt_peer *peer);
/* SIGKILL; returns as soon as it is sent. */
void shmt_peer_kill_soon(struct shmt_peer *peer);
void shmt_peer_reap(struct shmt_peer *peer);

/* For good: in a call that does not return before it is killed. */
void shmt_peer_hang(void);

#endif
