/*
 * buffer: raw bytes that several processes share, a read/write lock over them, and checksums of
 * ranges.
 *
 * The lock is the caller's to take: read and write copy bytes with or without it. Under it a reader
 * sees what a writer wrote whole. It may be taken again by who holds it, and is given back as
 * often; who reads cannot go over to writing without giving it back first.
 *
 * Progress: copies are wait-free. Who wants the lock is held up by who holds it, for as long as
 * that one lives, also when it is stopped: shmc_buffer_owner() and `shmbrokerctl describe` name it.
 * A writer that waits keeps new readers out, so that it gets in; writers that come one after the
 * other without a pause can keep readers out.
 *
 * Crash: a reader's hold ends with it. When a writer dies with the lock in hand, the next ones get
 * it with SHMC_OWNER_DIED, readers too, until a writer that holds it says
 * shmc_buffer_mark_consistent(). A writer that gives it back without saying so makes the buffer
 * SHMC_UNRECOVERABLE for good. Who dies while it waits leaves nothing.
 *
 * A handle serves one thread at a time; open one for each thread. In a forked child every call
 * returns FORKED. vfork and CLONE_VM children must not use handles.
 */
#ifndef SHMCLIENT_BUFFER_H
#define SHMCLIENT_BUFFER_H

#include <stdint.h>

#include "shmclient/client.h"
#include "shmclient/observer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_buffer;

enum shmc_buffer_role {
	SHMC_BUFFER_READER = 0,
	SHMC_BUFFER_WRITER = 1,	  /* may read, too */
	SHMC_BUFFER_OBSERVER = 2, /* takes no endpoint and makes no move */
};

/** How to make a buffer. Zero-filled is the default for everything. */
struct shmc_buffer_options {
	/** Bytes in it, 1 to 2^40; 0: 65536. */
	uint64_t size_bytes;
	/** Readers and writers together, 1 to 255; 0: 64. */
	uint64_t endpoints_max;
	/** Ranges whose checksum can be stored at a time, 1 to 4096; 0: 16. */
	uint64_t checksums_max;
	/** Rights as in chmod; 0: SHMC_MODE_PRIVATE. */
	uint32_t mode;
	/** Not 0: an existing buffer of the same options is as good as a new one. */
	uint32_t reuse;
	/** Owner, group, huge pages, prefault, mlock; NULL: the defaults. */
	const struct shmc_create_options *common;
};

/**
 * Makes a buffer of zeroes. It stays, with what is in it, until shmc_unlink() or the broker's end.
 *
 * @param name		1 to 255 bytes, parts of [A-Za-z0-9_.-] joined by '/'
 * @param options	NULL for the defaults
 *
 * Return: OK; EXISTS; MISMATCH (reuse: exists with other kind or options); INVALID (names the
 * argument); TOO_BIG (names the limit); DENIED; QUOTA; NO_SPACE; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the buffer exists whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_create(struct shmc_client *client, const char *name,
				    const struct shmc_buffer_options *options,
				    struct shmc_error *error);

/**
 * Opens a buffer as one of its readers or writers, or to look on. Opening erases nothing. An
 * observer looks (shmc_buffer_look()), asks who holds the lock, and reads statistics; everything
 * else answers it INVALID.
 *
 * @param ret_buffer	the handle, given back with shmc_buffer_close()
 *
 * Return: OK; NOT_FOUND; MISMATCH (another kind, or a layout this library does not know); BUSY (all
 * endpoints are taken; names one of their pids); DENIED; QUOTA; CORRUPT (its lock holds bytes that
 * no holder wrote); NO_SPACE; INVALID; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the endpoint is free again as soon as the broker sees the process end.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_open(struct shmc_client *client, const char *name,
				  enum shmc_buffer_role role, struct shmc_buffer **ret_buffer,
				  struct shmc_error *error);

/**
 * Gives the endpoint back and frees the handle. What is in the buffer stays. A lock that it still
 * holds to write counts as a dead writer's.
 *
 * Return: NULL, always; NULL is taken.
 * Threads: the handle's. Context: blocks up to the control timeout.
 * Crash: the same as never having called it.
 * Since: 0.1
 */
struct shmc_buffer *shmc_buffer_close(struct shmc_buffer *buffer);

/**
 * Copies bytes into the buffer.
 *
 * @param offset	bytes from its beginning
 * @param data		may be NULL when @bytes is 0
 * @param bytes		0 is fine, also at the very end
 *
 * Return: OK; TOO_BIG (not all of the range lies inside: nothing was written); INVALID (not a
 * writer); FORKED.
 * Threads: the handle's. Context: never blocks; no allocation.
 * Crash: any part of the bytes may have been written. Hold the lock, and the next ones are told.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_write(struct shmc_buffer *buffer, uint64_t offset, const void *data,
				   uint64_t bytes);

/**
 * Copies bytes out of the buffer. Without the lock they may be torn where somebody writes.
 *
 * Return: OK; TOO_BIG (not all of the range lies inside: nothing was read); FORKED.
 * Threads: the handle's. Context: never blocks; no allocation.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_read(struct shmc_buffer *buffer, uint64_t offset, void *data,
				  uint64_t bytes);

/**
 * Where a range lies, to be read in place, until the handle is closed. Others may change it at any
 * time unless the lock is held, hostile ones even then: copy before you check.
 *
 * Return: OK; TOO_BIG (not all of the range lies inside); FORKED.
 * Threads: the handle's. Context: never blocks; no allocation.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_view(const struct shmc_buffer *buffer, uint64_t offset, uint64_t bytes,
				  const void **ret_data);

/**
 * The same, to be written in place. No asynchronous I/O into it: it may end after the process and
 * after the lock was given to another.
 *
 * Return: OK; TOO_BIG; INVALID (not a writer); FORKED.
 * Threads: the handle's. Context: never blocks; no allocation.
 * Crash: as shmc_buffer_write().
 * Since: 0.1
 */
enum shmc_result shmc_buffer_edit(struct shmc_buffer *buffer, uint64_t offset, uint64_t bytes,
				  void **ret_data);

/**
 * Takes the lock to read: together with other readers, and with no writer. Who holds it already, in
 * either way, gets it once more.
 *
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait
 *
 * Return: OK; OWNER_DIED (it is held: what it guards may be half written); TIMEOUT (also SHMC_TRY);
 * UNRECOVERABLE; CORRUPT; FORKED. Only OK and OWNER_DIED hold it.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation; not signal-safe.
 * Crash: it is free again once the broker has seen the end.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_lock_read(struct shmc_buffer *buffer, int64_t timeout_ns);

/**
 * Takes the lock to write: with nobody else. Who writes already gets it once more.
 *
 * Return: as shmc_buffer_lock_read(); INVALID: not a writer, or it is held to read here, which
 * would wait for itself. A try may say TIMEOUT because of another try.
 * Threads, Context: as shmc_buffer_lock_read().
 * Crash: while it waits: nothing. From then on until unlock: the next ones get OWNER_DIED.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_lock_write(struct shmc_buffer *buffer, int64_t timeout_ns);

/**
 * Gives the lock back, once for each time it was taken.
 *
 * Return: OK; INVALID (this handle does not hold it); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: given back or not; if not, as if it had been held.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_unlock(struct shmc_buffer *buffer);

/**
 * The writer has looked at what the dead one left, and made it good: nobody is told any more.
 *
 * Return: OK, also when there was nothing to mend; INVALID (it does not hold the lock to write);
 * FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: said or not; the next ones get OWNER_DIED in either case, for this one died with it.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_mark_consistent(struct shmc_buffer *buffer);

/**
 * Gives up the lock that came with OWNER_DIED without mending anything, however often it was taken:
 * the next ones are told as well. Otherwise the same as giving it back.
 *
 * Return: OK; INVALID (this handle does not hold it); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: as shmc_buffer_unlock().
 * Since: 0.1
 */
enum shmc_result shmc_buffer_put_back(struct shmc_buffer *buffer);

/**
 * For a variable that gives the lock back at the end of its scope, unless it was set to NULL:
 *
 *	__attribute__((cleanup(shmc_buffer_guard))) struct shmc_buffer *held = buffer;
 *
 * Gives it back once, and sets the variable to NULL.
 *
 * Threads: the handle's. Context: never blocks.
 * Since: 0.1
 */
void shmc_buffer_guard(struct shmc_buffer **held);

/** Who holds the lock, or waits for it. */
struct shmc_buffer_owner {
	uint32_t is_held;	/* not 0: somebody writes; the next three are his */
	uint32_t pid;		/* as the broker sees it */
	uint32_t tid;		/* as the holder sees it */
	uint32_t readers;	/* endpoints that hold it to read */
	uint64_t since_ns;	/* CLOCK_MONOTONIC, up to a second less */
	uint32_t waiting;	/* endpoints that sleep until they get it */
	uint32_t owner_died;	/* not 0: the next ones get OWNER_DIED */
	uint64_t deaths;	/* writers that died with it, since the buffer was made */
	uint32_t unrecoverable; /* not 0: given up for good, nobody gets it any more */
	uint32_t reserved;
};

/**
 * Who holds the lock now: right for some moment during the call.
 *
 * Return: OK; FORKED.
 * Threads: any. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_owner(const struct shmc_buffer *buffer,
				   struct shmc_buffer_owner *ret_owner);

/**
 * Stores the CRC32C of a range, beside its offset and length, instead of the one stored before of
 * exactly this range. The lock is taken to write, unless it is held already.
 *
 * @param timeout_ns	to wait for the lock
 *
 * Return: OK; FULL (checksums_max other ranges have one); TOO_BIG (not all of the range lies
 * inside); OWNER_DIED (nothing was stored: take the lock, mend, mark_consistent); otherwise as
 * shmc_buffer_lock_write().
 * Threads, Context: as shmc_buffer_lock_write(), and the time to read the range.
 * Crash: stored, or this range has none.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_store_checksum(struct shmc_buffer *buffer, uint64_t offset,
					    uint64_t bytes, int64_t timeout_ns);

/**
 * Forgets the checksum of exactly this range, and makes room for another.
 *
 * Return: as shmc_buffer_store_checksum(), NOT_FOUND: none was stored.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_forget_checksum(struct shmc_buffer *buffer, uint64_t offset,
					     uint64_t bytes, int64_t timeout_ns);

/**
 * Whether a range is as it was when its checksum was stored. The lock is held to read meanwhile.
 *
 * @param data	where to copy what was verified; NULL: nowhere
 *
 * Return: OK: it is; DAMAGED: it is not (and was copied); NOT_FOUND: no checksum of exactly this
 * range is stored; TOO_BIG; otherwise as shmc_buffer_lock_read(), but never OWNER_DIED: the answer
 * is about the bytes.
 * Threads, Context: as shmc_buffer_lock_read(), and the time to read the range.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_verify(struct shmc_buffer *buffer, uint64_t offset, uint64_t bytes,
				    void *data, int64_t timeout_ns);

/**
 * Which ranges have a checksum. Hold the lock, or they may change meanwhile.
 *
 * @param index	0 to checksums_max - 1, in no order, with gaps
 *
 * Return: OK; NOT_FOUND (nothing is stored there); INVALID (no such index, or an observer); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_checksum_range(const struct shmc_buffer *buffer, uint64_t index,
					    uint64_t *ret_offset, uint64_t *ret_bytes);

/**
 * Shows the bytes range by range, in any role: see shmc_observer_look(). Positions are offsets; a
 * range has 4096 bytes, or as many as @look->buffer has room for. Ranges that somebody holds the
 * lock to write, and may be changing, have the state "being written"; after a death that nobody
 * mended all are "left by a dead writer", or "given up". What is written without the lock may be
 * torn.
 *
 * Return, Threads, Context: as shmc_observer_look().
 * Since: 0.1
 */
enum shmc_result shmc_buffer_look(const struct shmc_buffer *buffer, struct shmc_look *look,
				  shmc_item_fn fn, void *context);

/** What the creator chose, in effective values. Since: 0.1 */
enum shmc_result shmc_buffer_options_of(const struct shmc_buffer *buffer,
					struct shmc_buffer_options *ret_options);

/**
 * Numbers of all endpoints together, since the buffer was made. messages: copies in and out by
 * shmc_buffer_read() and shmc_buffer_write(); refused: times that the lock was not to be had in
 * time; waits: times that somebody slept for it.
 *
 * Return: OK; FORKED.
 * Threads: any. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_statistics(const struct shmc_buffer *buffer,
					struct shmc_statistics *ret_statistics);

/** One endpoint: who is there, and what all its holders did. */
struct shmc_buffer_endpoint {
	enum shmc_peer state;
	uint32_t is_own; /* not 0: this handle's */
	struct shmc_statistics did;
};

/**
 * Numbers of one endpoint.
 *
 * @param index	0 to endpoints_max - 1
 *
 * Return: OK; INVALID (no such endpoint); FORKED.
 * Threads: any. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_buffer_endpoint(const struct shmc_buffer *buffer, uint32_t index,
				      struct shmc_buffer_endpoint *ret_endpoint);

#ifdef __cplusplus
}
#endif

#endif
