/*
 * rpc: calls from many clients to the workers of a service. A client may have several calls open and
 * hears of each in whatever order they are done; a worker may have several requests in hand.
 *
 * Progress: a client's calls are wait-free, a worker's lock-free. Crash: the caller always learns the
 * outcome. What a worker dies with goes to another, flagged SHMC_REDELIVERED (its handler may have run
 * before), or ends as PEER_DEAD, as chosen at creation; each call is answered at most once. When the
 * last worker has gone, who waits is told, and may wait for a successor. What a client dies with is
 * dropped, and the service goes on.
 *
 * A handle serves one thread at a time; open one for each thread. In a forked child every call
 * returns FORKED. vfork and CLONE_VM children must not use handles.
 */
#ifndef SHMCLIENT_RPC_H
#define SHMCLIENT_RPC_H

#include <stdint.h>

#include "shmclient/client.h"
#include "shmclient/observer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_rpc;

enum shmc_rpc_role {
	SHMC_RPC_WORKER = 0,
	SHMC_RPC_CLIENT = 1,
	SHMC_RPC_OBSERVER = 2, /* takes no endpoint and makes no move */
};

/** As a call: any of those that are open. */
#define SHMC_RPC_ANY UINT64_C(0)

/** How to make a service. Zero-filled is the default for everything. */
struct shmc_rpc_options {
	/** Largest request and largest answer in bytes, up to 2^30; 0: 1024. */
	uint64_t message_bytes_max;
	/** Calls that each client may have open, 1 to 64; 0: 16. */
	uint64_t calls;
	/** Workers at the same time; 0: 8. With the clients at most 255. */
	uint64_t workers_max;
	/** Clients at the same time; 0: 32. */
	uint64_t clients_max;
	/** Not 0: what a worker dies with ends as PEER_DEAD, so that no handler runs twice. 0: it goes
	 *  to another, flagged SHMC_REDELIVERED. */
	uint32_t no_redelivery;
	/** Rights as in chmod; 0: SHMC_MODE_PRIVATE. */
	uint32_t mode;
	/** Not 0: an existing service of the same options is as good as a new one. */
	uint32_t reuse;
	uint32_t reserved;
	/** Owner, group, huge pages, prefault, mlock; NULL: the defaults. */
	const struct shmc_create_options *common;
};

/** In a worker's hands, until it is answered. */
struct shmc_rpc_request {
	uint64_t call[2];     /* which one; not to be changed */
	const void *data;     /* in place */
	uint64_t size;	      /* bytes */
	void *room;	      /* where an answer may be written in place, message_bytes_max bytes */
	uint64_t deadline_ns; /* of CLOCK_MONOTONIC; UINT64_MAX: none */
	uint32_t client;      /* which one, from 0 on */
	uint32_t flags;	      /* SHMC_REDELIVERED */
};

/** What became of a call. */
struct shmc_rpc_answer {
	uint64_t id;	  /* of the call that this ends; 0: of none, all go on */
	const void *data; /* in place, until shmc_rpc_end() */
	uint64_t size;	  /* bytes */
	int32_t status;	  /* the handler's own: 0, or its error */
	uint32_t reserved;
};

/**
 * Makes a service without workers and clients. It stays until shmc_unlink() or the broker's end.
 *
 * @param name		1 to 255 bytes, parts of [A-Za-z0-9_.-] joined by '/'
 * @param options	NULL for the defaults
 *
 * Return: OK; EXISTS; MISMATCH (reuse: exists with other kind or options); INVALID (names the
 * argument); TOO_BIG (names the limit); DENIED; QUOTA; NO_SPACE; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the service exists whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_rpc_create(struct shmc_client *client, const char *name,
				 const struct shmc_rpc_options *options, struct shmc_error *error);

/**
 * Opens a service to work in it, to call it, or to look on.
 *
 * @param ret_rpc	the handle, given back with shmc_rpc_close()
 *
 * Return: OK; NOT_FOUND; MISMATCH (another kind, or a layout this library does not know); BUSY (all
 * endpoints of the role are taken; names one of their pids); DENIED; QUOTA; CORRUPT; NO_SPACE;
 * INVALID; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the endpoint is free again as soon as the broker sees the process end.
 * Since: 0.1
 */
enum shmc_result shmc_rpc_open(struct shmc_client *client, const char *name,
			       enum shmc_rpc_role role, struct shmc_rpc **ret_rpc,
			       struct shmc_error *error);

/**
 * Gives the endpoint back and frees the handle. A client's calls end; a worker's requests go to
 * another, or end as PEER_DEAD.
 *
 * Return: NULL, always; NULL is taken.
 * Threads: the handle's. Context: blocks up to the control timeout.
 * Crash: the same as never having called it.
 * Since: 0.1
 */
struct shmc_rpc *shmc_rpc_close(struct shmc_rpc *rpc);

/**
 * Starts a call; a client's.
 *
 * @param timeout_ns	nanoseconds from now on until it ends as TIMEOUT, or SHMC_FOREVER
 * @param ret_id	names the call; never 0
 *
 * Return: OK; FULL (as many calls are open as may be, or were cancelled and are still in the hands
 * of workers); TOO_BIG (larger than message_bytes_max); INVALID (something is reserved; not a
 * client's); FORKED.
 * Threads: the handle's. Context: never blocks; no allocation, save for the first rings of a worker's
 * descriptor; not signal-safe.
 * Crash: it was called or not; nobody waits for an answer any more.
 * Since: 0.1
 */
enum shmc_result shmc_rpc_start(struct shmc_rpc *rpc, const void *data, uint64_t size,
				int64_t timeout_ns, uint64_t *ret_id);

/**
 * Room to write a request in place, message_bytes_max bytes, until shmc_rpc_commit() or
 * shmc_rpc_abort().
 *
 * Return: OK; FULL; INVALID (something is reserved; not a client's); FORKED.
 * Threads, Context: as shmc_rpc_start(). Crash: nothing was called.
 * Since: 0.1
 */
enum shmc_result shmc_rpc_reserve(struct shmc_rpc *rpc, void **ret_data);

/**
 * Starts a call with what was reserved.
 *
 * Return: OK; TOO_BIG (it is still reserved); INVALID (nothing is reserved; not a client's); FORKED.
 * Threads, Context, Crash: as shmc_rpc_start().
 * Since: 0.1
 */
enum shmc_result shmc_rpc_commit(struct shmc_rpc *rpc, uint64_t size, int64_t timeout_ns,
				 uint64_t *ret_id);

/**
 * Gives what was reserved back; nothing was called.
 *
 * Return: OK; INVALID (nothing is reserved; not a client's); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_rpc_abort(struct shmc_rpc *rpc);

/**
 * Waits for what becomes of a call.
 *
 * @param id		of the call, or SHMC_RPC_ANY: the oldest of those that are done and whose
 *			answers were not received yet
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait
 * @param ret_answer	the id says which call it concerns. OK: the answer, to be given back with
 *			shmc_rpc_end(). TIMEOUT or PEER_DEAD with an id: that call is over, and given
 *			back already. With the id 0 the calls go on
 *
 * Return: OK (also when the handler failed: see its status); EMPTY (SHMC_TRY: nothing yet); TIMEOUT
 * (the time to wait is up, or with an id: the call's own); PEER_DEAD (with an id: its worker died with
 * it; with the id 0: no worker is there, and one died), CLOSED (no worker is there, the last ones left
 * in good order; for both see shmc_rpc_wait_worker()); STALE (there is no such call, or none at all); CORRUPT; INVALID (not a client's);
 * FORKED.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation; not signal-safe.
 * Crash: the call is dropped.
 * Since: 0.1
 */
enum shmc_result shmc_rpc_receive(struct shmc_rpc *rpc, uint64_t id, int64_t timeout_ns,
				  struct shmc_rpc_answer *ret_answer);

/**
 * Ends a call: gives its answer back, or cancels it. A worker who has it in hand goes on, and its
 * answer is dropped.
 *
 * Return: OK; STALE (there is no such call); CORRUPT; INVALID (not a client's); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: the call is dropped.
 * Since: 0.1
 */
enum shmc_result shmc_rpc_end(struct shmc_rpc *rpc, uint64_t id);

/**
 * Start, receive, a copy of the answer, and end. No call stays open, whatever the result.
 *
 * @param buffer	room for the answer, @buffer_bytes
 * @param timeout_ns	SHMC_FOREVER or nanoseconds for the whole call
 * @param ret_answer	data is @buffer
 *
 * Return: OK; TOO_BIG (the request, or with an id the answer, whose size is there; it is lost); FULL;
 * TIMEOUT; PEER_DEAD, CLOSED; CORRUPT; INVALID; FORKED.
 * Threads: the handle's. Context: blocks; no allocation, save for the first rings of a worker's
 * descriptor; not signal-safe.
 * Crash: it was called or not.
 * Since: 0.1
 */
enum shmc_result shmc_rpc_call(struct shmc_rpc *rpc, const void *data, uint64_t size, void *buffer,
			       uint64_t buffer_bytes, int64_t timeout_ns,
			       struct shmc_rpc_answer *ret_answer);

/**
 * Takes a request; a worker's. The oldest of a client, the clients in turn. One whose deadline has
 * passed is ended instead.
 *
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait for one
 *
 * Return: OK; EMPTY; TIMEOUT; CORRUPT; INVALID (not a worker's); FORKED.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation; not signal-safe.
 * Crash: goes to another worker, or ends as PEER_DEAD.
 * Since: 0.1
 */
enum shmc_result shmc_rpc_take(struct shmc_rpc *rpc, int64_t timeout_ns,
			       struct shmc_rpc_request *ret_request);

/**
 * Answers a request, in any order.
 *
 * @param status	0, or the handler's error: an answer like any other
 * @param data		the answer, @size bytes; may be the request's room, and is not copied then
 *
 * Return: OK; TOO_BIG (it is still in hand); STALE (the caller does not wait any more, or it was
 * answered before: either way it is not in hand); INVALID (not a worker's); FORKED.
 * Threads: the handle's. Context: never blocks; no allocation, save for the first ring of a client's
 * descriptor; not signal-safe.
 * Crash: it is answered, or goes to another worker, or ends as PEER_DEAD.
 * Since: 0.1
 */
enum shmc_result shmc_rpc_answer(struct shmc_rpc *rpc, const struct shmc_rpc_request *request,
				 int32_t status, const void *data, uint64_t size);

/**
 * Waits until a worker is there: before the first call, or after PEER_DEAD or CLOSED with the id 0; a
 * client's. One who has come, ended one of the caller's open calls and gone again meanwhile counts as
 * well. Calls stay as they are, and whoever comes takes those that are open.
 *
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait. Deadlines of open calls do not
 *			end it: see shmc_rpc_next_deadline()
 *
 * Return: OK (receive, or call, again; by then he may have gone again, too); TIMEOUT; CORRUPT; INVALID
 * (not a client's); FORKED.
 * Threads: the handle's. Context: blocks up to @timeout_ns. With SHMC_TRY and a descriptor it never
 * blocks, and TIMEOUT makes the descriptor unreadable until a worker comes.
 * Crash: nothing stays behind; calls are dropped. A broker that has ended lets nobody in: then it waits
 * until the time is up.
 * Since: 0.1
 */
enum shmc_result shmc_rpc_wait_worker(struct shmc_rpc *rpc, int64_t timeout_ns);

/**
 * The earliest moment of CLOCK_MONOTONIC, in ns, at which an open call ends as TIMEOUT: what an event
 * loop sets its timer to, since the descriptor does not tell of that. UINT64_MAX: none. Since: 0.1
 */
uint64_t shmc_rpc_next_deadline(const struct shmc_rpc *rpc);

/**
 * A descriptor for epoll, poll or an event loop: readable when there may be a request, or an answer.
 * When it is readable, take, or receive any, with SHMC_TRY until neither is OK: EMPTY, STALE (no
 * call is open), PEER_DEAD and CLOSED with the id 0, and no other answers, make it unreadable until
 * something new happens, a worker's coming included. It stays the library's: do not read or close it.
 *
 * Return: OK; INVALID (an observer's); BROKER_LOST; STALE; QUOTA; FORKED.
 * Threads: the handle's. Context: the first call asks the broker and blocks up to the control
 * timeout.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_rpc_fd(struct shmc_rpc *rpc, int *ret_fd, struct shmc_error *error);

/**
 * Shows the calls that are not over, in any role: see shmc_observer_look(). Number is the call's
 * among its client's, endpoint the client's.
 *
 * Return, Threads, Context: as shmc_observer_look().
 * Since: 0.1
 */
enum shmc_result shmc_rpc_look(const struct shmc_rpc *rpc, struct shmc_look *look, shmc_item_fn fn,
			       void *context);

/** What the service was made with, in effective values; mode and reuse are 0. Since: 0.1 */
enum shmc_result shmc_rpc_options_of(const struct shmc_rpc *rpc,
				     struct shmc_rpc_options *ret_options);

/** Numbers of a service. */
struct shmc_rpc_statistics {
	uint64_t waiting;     /* requests in nobody's hands, now */
	uint64_t in_hand;     /* now */
	uint64_t cancelled;   /* and still in hand, now */
	uint64_t called;      /* since the service was made */
	uint64_t answered;    /* accepted answers */
	uint64_t redelivered; /* by repair, of workers that died or left */
	uint64_t lost;	      /* ended by repair as PEER_DEAD */
	uint64_t dropped;     /* calls of clients that died or left */
	uint64_t refused;     /* FULL, EMPTY or TIMEOUT */
	uint64_t waits;	      /* times somebody went to sleep */
	uint64_t workers;     /* that are there now, maybe stopped */
	uint64_t clients;     /* the same */
};

/**
 * Numbers of the service. Each is right for some moment during the call.
 *
 * Return: OK; FORKED.
 * Threads: any. Context: never blocks; looks at every slot.
 * Since: 0.1
 */
enum shmc_result shmc_rpc_statistics(const struct shmc_rpc *rpc,
				     struct shmc_rpc_statistics *ret_statistics);

#ifdef __cplusplus
}
#endif

#endif
