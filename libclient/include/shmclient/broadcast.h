/*
 * broadcast: many writers, many readers, messages of any length; each reader sees all of them, in
 * one order that is the same for all, at its own pace.
 *
 * What happens to a reader that is slow is chosen at creation. Overwrite: writers never wait for
 * readers; a reader that was lapped goes on at the oldest message that is still whole and is told
 * how many of each writer it lost. Block: writers wait for the slowest reader.
 *
 * Progress: calls with SHMC_TRY do not block; writers that race give way to each other for a
 * millisecond at most. A process stopped in the middle of a push holds the other writers after one
 * lap of the ring, and readers at its message; in block mode a stopped reader holds the writers.
 * `shmbrokerctl describe` names it. Crash: whatever instant a process dies at, every message whose
 * push or commit returned is seen by every reader, none is seen in part, and nobody is held up
 * longer than the broker's repair takes.
 *
 * A handle serves one thread at a time; open one for each thread. In a forked child every call
 * returns FORKED. vfork and CLONE_VM children must not use handles.
 */
#ifndef SHMCLIENT_BROADCAST_H
#define SHMCLIENT_BROADCAST_H

#include <stdint.h>

#include "shmclient/client.h"
#include "shmclient/observer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_broadcast;

enum shmc_broadcast_role {
	SHMC_BROADCAST_WRITER = 0,
	SHMC_BROADCAST_READER = 1,
	SHMC_BROADCAST_OBSERVER = 2, /* takes no endpoint and makes no move */
};

enum shmc_broadcast_policy {
	SHMC_BROADCAST_OVERWRITE = 0, /* what a slow reader has not read */
	SHMC_BROADCAST_BLOCK = 1,     /* writers, until the slowest reader has read */
};

/** Where a reader begins. */
enum shmc_broadcast_from {
	SHMC_BROADCAST_NEWEST = 0,   /* with the next message that is sent */
	SHMC_BROADCAST_OLDEST = 1,   /* with the oldest that is there, to a sixteenth of the ring */
	SHMC_BROADCAST_POSITION = 2, /* with a position that an earlier reader noted */
};

/** How to make a broadcast. Zero-filled is the default for everything. */
struct shmc_broadcast_options {
	/** Ring size in bytes, rounded up to a power of two, 4096 to 2^36; 0: 65536. A message takes
	 *  24 bytes more, rounded up to 16. */
	uint64_t capacity_bytes;
	/** Largest message in bytes, up to 15/16 of the ring less 24, and 2^31; 0: that. */
	uint64_t message_bytes_max;
	/** Writers at a time, 1 to 254; 0: 16, or 1 if exclusive. */
	uint64_t writers_max;
	/** Readers at a time, 1 to 254, together with the writers 255; 0: 64. */
	uint64_t readers_max;
	/** enum shmc_broadcast_policy. */
	uint32_t policy;
	/** Not 0: one writer at a time, which sends quicker and writes in place. */
	uint32_t exclusive;
	/** Rights as in chmod; 0: SHMC_MODE_PRIVATE. */
	uint32_t mode;
	/** Not 0: an existing broadcast of the same options is as good as a new one. */
	uint32_t reuse;
	/** Owner, group, huge pages, prefault, mlock; NULL: the defaults. */
	const struct shmc_create_options *common;
};

/**
 * Makes a broadcast. It stays, with what is in it, until shmc_unlink() or the broker's end.
 *
 * @param name		1 to 255 bytes, parts of [A-Za-z0-9_.-] joined by '/'
 * @param options	NULL for the defaults
 *
 * Return: OK; EXISTS; MISMATCH (reuse: exists with other kind or options); INVALID (names the
 * argument); TOO_BIG (names the limit); DENIED; QUOTA; NO_SPACE; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the broadcast exists whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_create(struct shmc_client *client, const char *name,
				       const struct shmc_broadcast_options *options,
				       struct shmc_error *error);

/**
 * Opens a broadcast as a writer, as a reader that begins at the newest message, or to look on.
 *
 * @param ret_broadcast	the handle, given back with shmc_broadcast_close()
 *
 * Return: OK; NOT_FOUND; MISMATCH (another kind, or a layout this library does not know); BUSY (all
 * places of the role are taken; names one of their pids); DENIED; QUOTA; CORRUPT (it holds bytes
 * that no writer wrote); NO_SPACE; INVALID; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the endpoint is free again as soon as the broker sees the process end.
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_open(struct shmc_client *client, const char *name,
				     enum shmc_broadcast_role role,
				     struct shmc_broadcast **ret_broadcast,
				     struct shmc_error *error);

/**
 * Opens a broadcast as a reader that begins @from somewhere.
 *
 * @param position	for SHMC_BROADCAST_POSITION: shmc_broadcast_message.position of the last
 *			message that was dealt with. When what lies there has been overwritten, the
 *			first message that comes is flagged SHMC_LOST.
 *
 * Return: as shmc_broadcast_open(); INVALID also when no message begins at @position.
 * Threads, Context, Crash: as shmc_broadcast_open().
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_open_from(struct shmc_client *client, const char *name,
					  enum shmc_broadcast_from from, uint64_t position,
					  struct shmc_broadcast **ret_broadcast,
					  struct shmc_error *error);

/**
 * Gives the endpoint back and frees the handle. What was sent stays. A reservation is dropped.
 *
 * Return: NULL, always; NULL is taken.
 * Threads: the handle's. Context: blocks up to the control timeout.
 * Crash: the same as never having called it.
 * Since: 0.1
 */
struct shmc_broadcast *shmc_broadcast_close(struct shmc_broadcast *broadcast);

/**
 * Sends a copy of a message.
 *
 * @param data		may be NULL when @size is 0
 * @param size		bytes, 0 to the limit; 0 is a message
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait for room
 *
 * Return: OK; FULL (SHMC_TRY: a reader in block mode, or a writer that is not finished after a
 * whole lap, is in the way); TIMEOUT; TOO_BIG; CORRUPT; INVALID (not a writer, a reservation is
 * open); FORKED. Anything but OK: nothing was sent. That nobody reads is no error.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation; not signal-safe.
 * Crash: sent whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_push(struct shmc_broadcast *broadcast, const void *data,
				     uint64_t size, int64_t timeout_ns);

/** shmc_broadcast_push() with SHMC_TRY. Since: 0.1 */
enum shmc_result shmc_broadcast_try_push(struct shmc_broadcast *broadcast, const void *data,
					 uint64_t size);

/**
 * Sends several messages, one after the other; readers are told once. Up to 64 of them, a quarter
 * of the ring at most, are claimed together: others' messages may come only between those groups,
 * and other writers wait for one group as for one message.
 *
 * @param messages	@count of them, each up to the limit
 * @param count		1 or more
 * @param ret_count	how many went: as many from the first on as there was room for
 *
 * Return: OK (ret_count >= 1); otherwise as shmc_broadcast_push(), with nothing sent. TOO_BIG
 * counts only for a message that would be next.
 * Threads, Context: as shmc_broadcast_push(); waits for the first only.
 * Crash: each was sent whole or not at all, those before it were.
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_push_batch(struct shmc_broadcast *broadcast,
					   const struct shmc_bytes *messages, uint64_t count,
					   int64_t timeout_ns, uint64_t *ret_count);

/**
 * Room for a message, to be written in place and sent with shmc_broadcast_commit(). In the ring for
 * an exclusive writer; for one of many in memory of its own, since nobody could see what others
 * send meanwhile.
 *
 * @param size		bytes, 0 to the limit
 * @param ret_data	@size writable bytes, 8-byte aligned; until commit or abort
 *
 * Return: as shmc_broadcast_push(), and NO_SPACE; anything but OK: nothing is reserved. FULL and
 * TIMEOUT only for an exclusive writer; for one of many they come from commit.
 * Threads: the handle's. Context: as shmc_broadcast_push(); one of many allocates once. No
 * asynchronous I/O into it: it may end after the process and hit another's message.
 * Crash: nothing was sent.
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_reserve(struct shmc_broadcast *broadcast, uint64_t size,
					int64_t timeout_ns, void **ret_data);

/**
 * Sends what was written into the reservation.
 *
 * @param size		bytes used, up to what was reserved
 * @param timeout_ns	as in shmc_broadcast_push(); of no use to an exclusive writer
 *
 * Return: OK; FULL, TIMEOUT (not exclusive: the reservation stays); INVALID (nothing reserved, or
 * more than that: the reservation stays); CORRUPT; FORKED.
 * Threads: the handle's. Context: SHMC_TRY never blocks.
 * Crash: sent whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_commit(struct shmc_broadcast *broadcast, uint64_t size,
				       int64_t timeout_ns);

/**
 * Gives a reservation back unsent.
 *
 * Return: OK; INVALID (nothing reserved); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_abort(struct shmc_broadcast *broadcast);

/** Messages of this writer were lost before this one; shmc_broadcast_message.lost says how many,
 *  0 when that is not known: after SHMC_BROADCAST_POSITION, and when the reader was lapped before it
 *  had seen one of some writer's; then they may be any writer's. */
#define SHMC_LOST 2u

/** A message as seen by a reader. */
struct shmc_broadcast_message {
	const void *data;
	uint64_t size;	   /* bytes */
	uint32_t flags;	   /* SHMC_LOST */
	uint32_t writer;   /* index of its endpoint; a successor in the place goes on counting */
	uint64_t sequence; /* this writer's, from 0 */
	uint64_t lost;	   /* messages of this writer lost since the last one */
	uint64_t position; /* of the next message; see shmc_broadcast_open_from() */
};

/**
 * Takes the next message into a buffer.
 *
 * @param buffer	may be NULL when @buffer_bytes is 0
 * @param ret_message	data = @buffer; may not be NULL
 *
 * Return: OK; EMPTY (SHMC_TRY); TIMEOUT; TOO_BIG (longer than the buffer: it stays, and
 * ret_message->size says how long it is); CORRUPT; INVALID (not a reader, a message is peeked at);
 * FORKED. A reader that was lapped is not told EMPTY: it gets the oldest message there is.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation; not signal-safe.
 * Crash: nobody else is concerned; in block mode its place in the ring is the writers' again.
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_pop(struct shmc_broadcast *broadcast, void *buffer,
				    uint64_t buffer_bytes, int64_t timeout_ns,
				    struct shmc_broadcast_message *ret_message);

/** shmc_broadcast_pop() with SHMC_TRY. Since: 0.1 */
enum shmc_result shmc_broadcast_try_pop(struct shmc_broadcast *broadcast, void *buffer,
					uint64_t buffer_bytes,
					struct shmc_broadcast_message *ret_message);

/**
 * Takes several messages into one buffer, one behind the other, each at a multiple of 8.
 *
 * @param messages	room for @max, 1 or more; their data lies in @buffer
 * @param ret_count	how many were taken: as many as were there and fit
 *
 * Return: OK (ret_count >= 1); otherwise as shmc_broadcast_pop(), TOO_BIG with the size in
 * messages[0].
 * Threads, Context, Crash: as shmc_broadcast_pop(); waits for the first only.
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_pop_batch(struct shmc_broadcast *broadcast, void *buffer,
					  uint64_t buffer_bytes,
					  struct shmc_broadcast_message *messages, uint64_t max,
					  int64_t timeout_ns, uint64_t *ret_count);

/**
 * Shows the next message where it lies, until shmc_broadcast_release(). One at a time. In overwrite
 * mode, and in block mode behind SHMC_BROADCAST_OLDEST, a writer may write over it meanwhile: act on
 * nothing before release has said OK. A hostile writer may change it at any time.
 *
 * Return: as shmc_broadcast_pop() without TOO_BIG.
 * Threads, Context, Crash: as shmc_broadcast_pop().
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_peek(struct shmc_broadcast *broadcast, int64_t timeout_ns,
				     struct shmc_broadcast_message *ret_message);

/**
 * Takes the message that was peeked at.
 *
 * Return: OK (it was whole to the end); LAPPED (it has been written over: what was read is worth
 * nothing, and it counts as lost); INVALID (none was peeked at); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_release(struct shmc_broadcast *broadcast);

/**
 * How many messages of each writer this reader has lost, by now, not only at their next message.
 * Counted from the first message of a writer that this reader saw, or from the first of all if it
 * began there.
 *
 * @param ret_lost	by the index of the writer's endpoint, @count of them
 * @param count		0 to writers_max; more: INVALID
 *
 * Return: OK; EMPTY (what is being sent just now is in the way: ret_lost is what is known so far);
 * CORRUPT; INVALID (not a reader); FORKED.
 * Threads: the handle's. Context: never blocks; looks at every message that was not read yet.
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_lost(struct shmc_broadcast *broadcast, uint64_t *ret_lost,
				     uint32_t count);

/**
 * A descriptor for epoll, poll or an event loop. A reader's is readable when there may be messages:
 * take them with SHMC_TRY until EMPTY. A writer's is readable when there may be room again: push
 * with SHMC_TRY until FULL. That answer, and no other, makes it unreadable until something new
 * happens. It stays the library's: do not read or close it.
 *
 * Return: OK; INVALID (an observer); BROKER_LOST; STALE; QUOTA; FORKED.
 * Threads: the handle's. Context: the first call asks the broker and blocks up to the control
 * timeout.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_fd(struct shmc_broadcast *broadcast, int *ret_fd,
				   struct shmc_error *error);

/**
 * Shows what is in the ring and takes nothing, in any role: see shmc_observer_look(). Positions are
 * those of the messages.
 *
 * Return, Threads, Context: as shmc_observer_look().
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_look(const struct shmc_broadcast *broadcast, struct shmc_look *look,
				     shmc_item_fn fn, void *context);

/** What the creator chose, in effective values. Since: 0.1 */
enum shmc_result shmc_broadcast_options_of(const struct shmc_broadcast *broadcast,
					   struct shmc_broadcast_options *ret_options);

/** Numbers of a broadcast, since it was made. */
struct shmc_broadcast_statistics {
	struct shmc_statistics writers; /* of all of them; refused: FULL or TIMEOUT */
	struct shmc_statistics readers; /* of all of them; refused: EMPTY or TIMEOUT */
	uint64_t lost;			/* by all readers, as far as they know */
	uint64_t behind_bytes;		/* of the slowest reader */
	uint64_t position;		/* of the next message to be sent */
};

/**
 * Numbers of the whole. Each is right for some moment during the call.
 *
 * Return: OK; FORKED.
 * Threads: any. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_statistics(const struct shmc_broadcast *broadcast,
					   struct shmc_broadcast_statistics *ret_statistics);

/** One endpoint: who is there, and what all its holders moved. */
struct shmc_broadcast_endpoint {
	enum shmc_peer state;
	enum shmc_broadcast_role role;
	uint32_t is_own; /* not 0: this handle's */
	uint32_t reserved;
	struct shmc_statistics moved;
	uint64_t lost;	       /* by a reader, as far as it knows */
	uint64_t behind_bytes; /* a reader's */
};

/**
 * Numbers of one endpoint; writers come first.
 *
 * @param index	0 to writers_max + readers_max - 1
 *
 * Return: OK; INVALID (no such endpoint); FORKED.
 * Threads: any. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_broadcast_endpoint(const struct shmc_broadcast *broadcast, uint32_t index,
					 struct shmc_broadcast_endpoint *ret_endpoint);

#ifdef __cplusplus
}
#endif

#endif
