/*
 * pool: objects of one size that processes acquire, write in place, hand to each other and release,
 * without a copy. What travels is a handle, a plain number, in any message of any queue.
 *
 * Progress: every call is wait-free, and acquire and release take constant time; only who finds
 * nothing looks at every object before it says EMPTY. Crash: whatever instant a process dies at, what
 * it owned, and what was on the way to it, is free again as soon as the broker has seen it end, and
 * nothing is ever in two hands. A handle that was released, or whose owner died, is STALE for good.
 * What was given to anyone and not claimed stays until somebody reclaims it.
 *
 * A handle of the pool serves one thread at a time; open one for each thread. In a forked child every
 * call returns FORKED. vfork and CLONE_VM children must not use handles.
 */
#ifndef SHMCLIENT_POOL_H
#define SHMCLIENT_POOL_H

#include <stdint.h>

#include "shmclient/client.h"
#include "shmclient/observer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_pool;

enum shmc_pool_role {
	SHMC_POOL_USER = 0,
	SHMC_POOL_OBSERVER = 1, /* takes no endpoint and makes no move */
};

/** As a recipient: whoever claims it first. */
#define SHMC_POOL_ANYONE UINT32_MAX

/** How to make a pool, or what is expected of one. Zero-filled is the default for everything. */
struct shmc_pool_options {
	/** Size of an object in bytes, up to 2^36; 0: 4096. Takes up to the next multiple of 64. */
	uint64_t object_bytes;
	/** How many there are, up to 2^20; 0: 64. All together at most 2^40 bytes. */
	uint64_t objects;
	/** Users at the same time, 1 to 255; 0: 64. */
	uint64_t endpoints_max;
	/** Rights as in chmod; 0: SHMC_MODE_PRIVATE. */
	uint32_t mode;
	/** Not 0: an existing pool of the same options is as good as a new one. */
	uint32_t reuse;
	/** Owner, group, huge pages, prefault, mlock; NULL: the defaults. */
	const struct shmc_create_options *common;
};

/**
 * Makes a pool of free objects, all zero. It stays until shmc_unlink() or the broker's end.
 *
 * @param name		1 to 255 bytes, parts of [A-Za-z0-9_.-] joined by '/'
 * @param options	NULL for the defaults
 *
 * Return: OK; EXISTS; MISMATCH (reuse: exists with other kind or options); INVALID (names the
 * argument); TOO_BIG (names the limit); DENIED; QUOTA; NO_SPACE; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the pool exists whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_pool_create(struct shmc_client *client, const char *name,
				  const struct shmc_pool_options *options,
				  struct shmc_error *error);

/**
 * Opens a pool to use it, or to look on.
 *
 * @param expected	of object_bytes and objects, what is not 0 must be so; NULL: whatever it is
 * @param ret_pool	the handle, given back with shmc_pool_close()
 *
 * Return: OK; NOT_FOUND; MISMATCH (another kind, a layout this library does not know, or not as
 * expected, with both numbers); BUSY (all endpoints are taken; names one of their pids); DENIED;
 * QUOTA; CORRUPT (it holds words that no user wrote); NO_SPACE; INVALID; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the endpoint is free again as soon as the broker sees the process end.
 * Since: 0.1
 */
enum shmc_result shmc_pool_open(struct shmc_client *client, const char *name,
				enum shmc_pool_role role, const struct shmc_pool_options *expected,
				struct shmc_pool **ret_pool, struct shmc_error *error);

/**
 * Gives the endpoint back and frees the handle. What it owned, and what was on the way to it, is
 * free; what it gave to anyone stays on its way.
 *
 * Return: NULL, always; NULL is taken.
 * Threads: the handle's. Context: blocks up to the control timeout.
 * Crash: the same as never having called it.
 * Since: 0.1
 */
struct shmc_pool *shmc_pool_close(struct shmc_pool *pool);

/**
 * Takes a free object. Its bytes are what its last owner left.
 *
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait for one
 * @param ret_handle	names it, until it is released; never 0
 * @param ret_data	where it is, a multiple of 64 in memory; may be NULL
 *
 * Return: OK; EMPTY (SHMC_TRY: every object was seen in use during the call); TIMEOUT; CORRUPT;
 * INVALID (an observer's); FORKED.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation; not signal-safe.
 * Crash: it is free again.
 * Since: 0.1
 */
enum shmc_result shmc_pool_acquire(struct shmc_pool *pool, int64_t timeout_ns, uint64_t *ret_handle,
				   void **ret_data);

/**
 * Takes up to @count free objects; waits for the first only.
 *
 * @param ret_handles	room for @count, 1 or more
 * @param ret_count	how many there were, at least 1 on OK
 *
 * Return, Threads, Context, Crash: as shmc_pool_acquire().
 * Since: 0.1
 */
enum shmc_result shmc_pool_acquire_batch(struct shmc_pool *pool, uint64_t count, int64_t timeout_ns,
					 uint64_t *ret_handles, uint64_t *ret_count);

/**
 * Gives an object back. Its handle is worth nothing from now on.
 *
 * Return: OK; STALE (it was released before: also by reclaiming it, or because its owner died);
 * DENIED (another owns it, or it is in transit); INVALID (no handle of this pool; an observer's);
 * FORKED. Anything but OK: nothing was done.
 * Threads: the handle's. Context: never blocks; no allocation, save for the first rings of a
 * waiter's descriptor; not signal-safe.
 * Crash: it is free, by this call or by repair.
 * Since: 0.1
 */
enum shmc_result shmc_pool_release(struct shmc_pool *pool, uint64_t handle);

/**
 * Gives several objects back; who waits is told once.
 *
 * @param ret_count	how many were, from the first on; may be NULL
 *
 * Return: OK (all of them); otherwise as shmc_pool_release() of the first that was not: those
 * before it were, those behind it were not looked at.
 * Threads, Context, Crash: as shmc_pool_release().
 * Since: 0.1
 */
enum shmc_result shmc_pool_release_batch(struct shmc_pool *pool, const uint64_t *handles,
					 uint64_t count, uint64_t *ret_count);

/**
 * Where an object that this handle owns lies; until it is released or transferred.
 *
 * Return: the address; NULL when it is not owned, and in a forked child.
 * Threads: the handle's. Context: never blocks.
 * Since: 0.1
 */
void *shmc_pool_data(const struct shmc_pool *pool, uint64_t handle);

/**
 * Lets go of an object so that another can claim it: then send the handle. What was written into it
 * before is seen by who claims it. No asynchronous I/O into it may go on.
 *
 * @param to	shmc_pool_endpoint() of the recipient, or SHMC_POOL_ANYONE. In transit to one, the
 *		object is free again if he dies or leaves; in transit to anyone it stays so until it
 *		is claimed or reclaimed, since the message with the handle may still be on its way.
 *
 * Return: OK; PEER_DEAD, CLOSED (the recipient died, or nobody is there: it is still owned);
 * STALE, DENIED, INVALID as shmc_pool_release(); INVALID also for an endpoint there cannot be;
 * FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: it is in transit, or free by repair.
 * Since: 0.1
 */
enum shmc_result shmc_pool_transfer(struct shmc_pool *pool, uint64_t handle, uint32_t to);

/**
 * Takes an object that was transferred to this handle or to anyone.
 *
 * @param ret_data	where it is; may be NULL
 *
 * Return: OK; STALE (it was freed meanwhile); DENIED (it is owned, by another or by this one, or on
 * the way to another); INVALID (no handle of this pool; an observer's); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: it is free again, or still in transit.
 * Since: 0.1
 */
enum shmc_result shmc_pool_claim(struct shmc_pool *pool, uint64_t handle, void **ret_data);

/**
 * Takes the free object that a handle names, and makes it that handle's: for who brings back, in a
 * new pool, what an old one held, while messages with handles of the old one are still about. The
 * handle must not be one that was released here; those between it and the last one are as released.
 *
 * @param ret_data	where it is; may be NULL
 *
 * Return: OK; STALE (the object was released under that handle or a later one); DENIED (it is not
 * free); INVALID (no handle of this pool; an observer's); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: it is free, and the handle STALE.
 * Since: 0.1
 */
enum shmc_result shmc_pool_adopt(struct shmc_pool *pool, uint64_t handle, void **ret_data);

/**
 * Frees an object that is in transit, whoever gave it and to whomever. A claim that comes later is
 * told STALE. shmc_pool_look() lists what is in transit, with handles.
 *
 * Return: OK; STALE; DENIED (it is owned); INVALID; FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: it is free, or still in transit.
 * Since: 0.1
 */
enum shmc_result shmc_pool_reclaim(struct shmc_pool *pool, uint64_t handle);

/**
 * Frees all objects that are in transit to anyone and whose givers have died or left. Messages with
 * their handles may still be in queues: who claims them is told STALE.
 *
 * @param ret_count	how many there were; may be NULL
 *
 * Return: OK; INVALID (an observer's); FORKED.
 * Threads: the handle's. Context: never blocks; looks at every object.
 * Crash: some are free, the others still in transit.
 * Since: 0.1
 */
enum shmc_result shmc_pool_reclaim_abandoned(struct shmc_pool *pool, uint64_t *ret_count);

/** This handle as a recipient of transfers; SHMC_POOL_ANYONE for an observer. Since: 0.1 */
uint32_t shmc_pool_endpoint(const struct shmc_pool *pool);

/**
 * A descriptor for epoll, poll or an event loop: readable when there may be a free object. When it
 * is readable, acquire with SHMC_TRY until EMPTY: that answer, and no other, makes it unreadable
 * until something new happens. It stays the library's: do not read or close it.
 *
 * Return: OK; INVALID (an observer's); BROKER_LOST; STALE; QUOTA; FORKED.
 * Threads: the handle's. Context: the first call asks the broker and blocks up to the control
 * timeout.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_pool_fd(struct shmc_pool *pool, int *ret_fd, struct shmc_error *error);

/**
 * Shows the objects, in any role: see shmc_observer_look(). Its number is its handle, or
 * the one that a free one is acquired by next; its endpoint the owner, the recipient, or the giver of what is in transit to anyone.
 *
 * Return, Threads, Context: as shmc_observer_look().
 * Since: 0.1
 */
enum shmc_result shmc_pool_look(const struct shmc_pool *pool, struct shmc_look *look,
				shmc_item_fn fn, void *context);

/** What the pool was made with, in effective values; mode and reuse are 0. Since: 0.1 */
enum shmc_result shmc_pool_options_of(const struct shmc_pool *pool,
				      struct shmc_pool_options *ret_options);

/** Numbers of a pool. */
struct shmc_pool_statistics {
	uint64_t free;		       /* objects, now */
	uint64_t owned;		       /* now */
	uint64_t in_transit_to_one;    /* now */
	uint64_t in_transit_to_anyone; /* now: never claimed, or not yet */
	uint64_t acquired;	       /* since the pool was made */
	uint64_t released;	       /* and reclaimed */
	uint64_t returned;	       /* by repair, of those who died or left */
	uint64_t refused;	       /* EMPTY or TIMEOUT */
	uint64_t waits;		       /* times a user went to sleep */
};

/**
 * Numbers of the pool. Each is right for some moment during the call.
 *
 * Return: OK; FORKED.
 * Threads: any. Context: never blocks; looks at every object.
 * Since: 0.1
 */
enum shmc_result shmc_pool_statistics(const struct shmc_pool *pool,
				      struct shmc_pool_statistics *ret_statistics);

#ifdef __cplusplus
}
#endif

#endif
