/*
 * Client: the connection to the broker, and what is done to segments by name.
 *
 * These are control calls: they talk to the broker and may block for its answer. The data path
 * (spsc.h and its like) never does.
 */
#ifndef SHMCLIENT_CLIENT_H
#define SHMCLIENT_CLIENT_H

#include <stdint.h>

#include "shmclient/result.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Timeouts are relative nanoseconds on CLOCK_MONOTONIC. 0 is SHMC_TRY; every negative one means
 *  the same as SHMC_FOREVER, however it was computed. */
#define SHMC_TRY     INT64_C(0)
#define SHMC_FOREVER INT64_C(-1)

/** Rights for `mode` in creation options, as in chmod: r to receive, w to send. */
#define SHMC_MODE_PRIVATE 0600u

/** What may be chosen for a new segment of any kind, beside `mode` and the kind's own options.
 *  Zero-filled is the default for everything. */
struct shmc_create_options {
	/** SHMC_CREATE_OWNER, _GROUP, _HUGE_PAGES, _PREFAULT, _MLOCK. */
	uint32_t flags;
	/** User whose it is and for whose limits it counts, with SHMC_CREATE_OWNER: only root may
	 *  name another one. Otherwise the creator. */
	uint32_t owner;
	/** Group of its mode, with SHMC_CREATE_GROUP: one that the creator is in, or any for root.
	 *  Otherwise the creator's first. */
	uint32_t group;
	uint32_t reserved;
};

#define SHMC_CREATE_OWNER 1u
#define SHMC_CREATE_GROUP 2u
/** Data in pages of 2 MiB, of which the administrator must have reserved enough. */
#define SHMC_CREATE_HUGE_PAGES 4u
/** Whoever opens it gets all of its page tables at once: no page fault later. */
#define SHMC_CREATE_PREFAULT 8u
/** Whoever opens it locks it into memory, and gets QUOTA if his RLIMIT_MEMLOCK is too low. */
#define SHMC_CREATE_MLOCK 16u

struct shmc_client;

/** How to connect. Zero-filled is the default for everything. */
struct shmc_client_options {
	/** Path of the broker's client socket; NULL: $SHMBROKER_ADDRESS if set, else the user's
	 *  broker ($XDG_RUNTIME_DIR/shmbroker/shmbroker.sock), else the system's
	 *  (/run/shmbroker/shmbroker.sock): the first that answers. */
	const char *address;
	/** Shown in the broker's status beside the pid; NULL: the program's name. */
	const char *name;
	/** How long a waiting call spins before it sleeps, in ns; 0: the default of 20 000,
	 *  negative: not at all. */
	int64_t spin_ns;
	/** How long a control call waits for the broker's answer, in ns; 0: 5 s. */
	int64_t control_timeout_ns;
};

/**
 * Connects to the broker.
 *
 * @param options	NULL for the defaults
 * @param ret_client	the handle, given back with shmc_disconnect()
 * @param error		may be NULL; filled on failure
 *
 * Best called early, while the process has one thread: registering for the kernel's membarrier
 * takes 4 us then and up to 13 ms later. A broker that is restarted is found again by the next
 * control call, and knows the session where a manager keeps things for it (systemd, --supervise);
 * what is mapped goes on working meanwhile.
 *
 * Return: OK; BROKER_LOST with the addresses tried; DENIED; QUOTA; NO_SPACE; INVALID.
 * Threads: any. Context: blocks up to control_timeout_ns, allocates; not signal-safe.
 * Crash: the broker sees the process end and forgets the session.
 * Since: 0.1
 */
enum shmc_result shmc_connect(const struct shmc_client_options *options,
			      struct shmc_client **ret_client, struct shmc_error *error);

/**
 * Leaves the broker and frees the handle. Handles opened through it must be closed before.
 *
 * Return: NULL, always.
 * Threads: when no other thread uses the client. In a forked child it frees memory
 *   only, and not that if another thread of the parent was using the client when it was forked.
 * Crash: the same as never having called it.
 * Since: 0.1
 */
struct shmc_client *shmc_disconnect(struct shmc_client *client);

/**
 * A descriptor for epoll, poll or an event loop: readable when the broker has something to say, in
 * particular when it has gone. Then call shmc_client_check(). It stays the library's, and is another
 * one after the connection was made anew: ask again after each check and control call.
 *
 * Return: OK; BROKER_LOST (there is no connection now); FORKED.
 * Threads: any; control calls of one client take turns. Context: does not talk to the broker.
 * Since: 0.1
 */
enum shmc_result shmc_client_fd(struct shmc_client *client, int *ret_fd, struct shmc_error *error);

/**
 * Hears what the broker has said, without asking or waiting. What is mapped goes on working when
 * the broker is lost, but nobody is told of deaths any more and nobody new comes, until there is a
 * broker again that knows what is open here: shmc_client_resume() finds out.
 *
 * Return: OK; BROKER_LOST with its address; NO_SPACE (the connection is closed, and made anew by the
 * next control call); FORKED.
 * Threads: any; control calls of one client take turns. Context: never blocks on the broker.
 * Since: 0.1
 */
enum shmc_result shmc_client_check(struct shmc_client *client, struct shmc_error *error);

/**
 * Makes the connection anew where the broker hung up, as any control call does, and says whether
 * the broker goes on with what is open here. For a program that waits at shmc_client_fd(), after
 * shmc_client_check() said BROKER_LOST.
 *
 * Return: OK, also when nothing was lost; STALE it is connected, but what was opened before is not
 * known any more (the broker was ended and started, not restarted): open that again; BROKER_LOST
 * with the addresses tried; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to control_timeout_ns,
 * allocates; not signal-safe.
 * Crash: as of shmc_connect().
 * Since: 0.1
 */
enum shmc_result shmc_client_resume(struct shmc_client *client, struct shmc_error *error);

/**
 * Removes a name. Those who have the segment open keep it until they close it.
 *
 * @param name	1 to 255 bytes, parts of [A-Za-z0-9_.-] joined by '/'
 *
 * Return: OK; NOT_FOUND; DENIED (only owner and root may); INVALID; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: done or not done.
 * Since: 0.1
 */
enum shmc_result shmc_unlink(struct shmc_client *client, const char *name,
			     struct shmc_error *error);

/** Who is at the other side of a structure with a fixed counterpart. */
enum shmc_peer {
	SHMC_PEER_NONE = 0,   /* nobody has come yet */
	SHMC_PEER_ACTIVE = 1, /* alive, maybe stopped */
	SHMC_PEER_LEFT = 2,   /* closed in good order */
	SHMC_PEER_DYING = 3,  /* ended; being repaired */
	SHMC_PEER_DIED = 4,   /* ended without closing; repaired */
};

/** A message as seen by the receiver. */
struct shmc_message {
	const void *data;
	uint64_t size;	/* bytes */
	uint32_t flags; /* SHMC_REDELIVERED */
	uint32_t reserved;
};

/** A message to be sent in a batch. */
struct shmc_bytes {
	const void *data;
	uint64_t size; /* bytes */
};

/** An earlier receiver died with this message in its hands: it may have been acted on already. */
#define SHMC_REDELIVERED 1u

/** Numbers of one endpoint, since it was first opened by anybody. */
struct shmc_statistics {
	uint64_t messages;
	uint64_t bytes;	  /* payload */
	uint64_t refused; /* FULL or EMPTY answers */
	uint64_t waits;	  /* times it went to sleep */
};

#ifdef __cplusplus
}
#endif

#endif
