/*
 * spsc: one producer, one consumer, messages of any length up to a limit, each contiguous in
 * memory. The lowest latency there is between two processes.
 *
 * Progress: every call with SHMC_TRY is wait-free. A stopped peer holds nobody up beyond FULL or
 * EMPTY. Crash: whatever instant a process dies at, every message whose push or commit returned
 * arrives, none arrives in part, and one that was in a dead consumer's hands arrives again,
 * flagged SHMC_REDELIVERED. A successor opens the same role and goes on.
 *
 * A handle serves one thread at a time. In a forked child every call returns FORKED. vfork and
 * CLONE_VM children must not use handles.
 */
#ifndef SHMCLIENT_SPSC_H
#define SHMCLIENT_SPSC_H

#include <stdint.h>

#include "shmclient/client.h"
#include "shmclient/observer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_spsc;

enum shmc_spsc_role {
	SHMC_SPSC_PRODUCER = 0,
	SHMC_SPSC_CONSUMER = 1,
	SHMC_SPSC_OBSERVER = 2, /* any number of them; takes no place and makes no move */
};

/** How to make a queue. Zero-filled is the default for everything. */
struct shmc_spsc_options {
	/** Ring size in bytes, up to 2^36, rounded up to a power of two, at least 4096; 0: 65 536.
	 *  A message takes 8 bytes more than its size, rounded up to 8. */
	uint64_t capacity_bytes;
	/** Largest message in bytes; 0: as large as the ring allows, capacity_bytes - 16. */
	uint64_t message_bytes_max;
	/** Rights as in chmod; 0: SHMC_MODE_PRIVATE. */
	uint32_t mode;
	/** Not 0: an existing queue of the same capacity and limit is as good as a new one; its
	 *  mode stays what it is. */
	uint32_t reuse;
	/** Owner, group, huge pages, prefault, mlock; NULL: the defaults. */
	const struct shmc_create_options *common;
	/** Not 0: each message carries its CRC32C. One that does not fit it is skipped, and the
	 *  consumer is told: DAMAGED. Messages are shorter than 2^31 bytes then. */
	uint32_t checksum;
	uint32_t reserved;
};

/**
 * Makes a queue. It stays, with what is in it, until shmc_unlink() or the broker's end.
 *
 * @param name		1 to 255 bytes, parts of [A-Za-z0-9_.-] joined by '/'
 * @param options	NULL for the defaults
 *
 * Return: OK; EXISTS; MISMATCH (reuse: exists with other kind or options); INVALID (names the
 * argument); TOO_BIG (names the limit); DENIED; QUOTA; NO_SPACE; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the queue exists whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_spsc_create(struct shmc_client *client, const char *name,
				  const struct shmc_spsc_options *options,
				  struct shmc_error *error);

/**
 * Opens a queue in a role. Opening erases nothing: a consumer reads what is there, a producer
 * goes on behind it. An observer looks (shmc_spsc_look()) and reads statistics; moves and waits
 * answer it INVALID.
 *
 * @param ret_queue	the handle, given back with shmc_spsc_close()
 *
 * Return: OK; NOT_FOUND; MISMATCH (another kind, or a layout this library does not know); BUSY
 * (names the pid that holds the role); DENIED; QUOTA; CORRUPT (the ring holds bytes that no
 * producer wrote); NO_SPACE; INVALID; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the role is free again as soon as the broker sees the process end.
 * Since: 0.1
 */
enum shmc_result shmc_spsc_open(struct shmc_client *client, const char *name,
				enum shmc_spsc_role role, struct shmc_spsc **ret_queue,
				struct shmc_error *error);

/**
 * Gives the role back and frees the handle. What is in the queue stays. A reservation is dropped;
 * messages peeked at and not released stay in the queue and come again, flagged.
 *
 * Return: NULL, always; NULL is taken.
 * Threads: the handle's. Context: blocks up to the control timeout.
 * Crash: the counterpart sees PEER_DEAD rather than CLOSED.
 * Since: 0.1
 */
struct shmc_spsc *shmc_spsc_close(struct shmc_spsc *queue);

/**
 * Sends a copy of a message.
 *
 * @param data		may be NULL when @size is 0
 * @param size		bytes, 0 to the queue's limit; 0 is a message
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait for room
 *
 * Return: OK; FULL (SHMC_TRY); TIMEOUT; TOO_BIG; PEER_DEAD, CLOSED (full, and nobody is left to
 * make room; with room it is OK: a successor reads it); CORRUPT; INVALID (not a producer,
 * a reservation is open); FORKED. Anything but OK: nothing was written.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation, save for the first rings of
 * a consumer's descriptor; not signal-safe.
 * Crash: sent whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_spsc_push(struct shmc_spsc *queue, const void *data, uint64_t size,
				int64_t timeout_ns);

/** shmc_spsc_push() with SHMC_TRY. Since: 0.1 */
enum shmc_result shmc_spsc_try_push(struct shmc_spsc *queue, const void *data, uint64_t size);

/**
 * Sends several messages that become visible all at once.
 *
 * @param messages	@count of them, each up to the limit
 * @param count		1 or more
 * @param ret_count	how many went: as many from the first on as there was room for
 *
 * Return: OK (ret_count >= 1); otherwise as shmc_spsc_push(), with nothing sent. TOO_BIG counts
 * only for a message that would be next.
 * Threads, Context: as shmc_spsc_push().
 * Crash: the whole batch was sent, or nothing of it.
 * Since: 0.1
 */
enum shmc_result shmc_spsc_push_batch(struct shmc_spsc *queue, const struct shmc_bytes *messages,
				      uint64_t count, int64_t timeout_ns, uint64_t *ret_count);

/**
 * Takes room for a message, to be written in place and sent with shmc_spsc_commit().
 *
 * @param size		bytes, 0 to the queue's limit
 * @param ret_data	@size writable bytes, 8-byte aligned, contiguous; until commit or abort
 *
 * Return: as shmc_spsc_push(); anything but OK: nothing is reserved.
 * Threads, Context: as shmc_spsc_push(). No asynchronous I/O into the room: it may end after the
 * process and hit a successor's message.
 * Crash: nothing was sent.
 * Since: 0.1
 */
enum shmc_result shmc_spsc_reserve(struct shmc_spsc *queue, uint64_t size, int64_t timeout_ns,
				   void **ret_data);

/**
 * Sends what was written into the reservation.
 *
 * @param size	bytes used, up to what was reserved
 *
 * Return: OK; INVALID (nothing reserved, or more than that: the reservation stays); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: sent whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_spsc_commit(struct shmc_spsc *queue, uint64_t size);

/**
 * Gives a reservation back unsent.
 *
 * Return: OK; INVALID (nothing reserved); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_spsc_abort(struct shmc_spsc *queue);

/**
 * Takes the next message into a buffer.
 *
 * @param buffer	may be NULL when @buffer_bytes is 0
 * @param ret_message	data = @buffer, its size and flags; may not be NULL
 *
 * Return: OK; EMPTY (SHMC_TRY); TIMEOUT; TOO_BIG (longer than the buffer: it stays, and
 * ret_message->size says how long it is); PEER_DEAD, CLOSED (empty, and the producer is gone: all
 * it published has been read; stays so until a successor opens, see shmc_spsc_wait_peer());
 * DAMAGED (with checksums: the message was skipped); CORRUPT; INVALID (not a consumer, messages are
 * peeked at); FORKED.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation; not signal-safe.
 * Crash: the message was taken, or comes again to the successor, flagged SHMC_REDELIVERED.
 * Since: 0.1
 */
enum shmc_result shmc_spsc_pop(struct shmc_spsc *queue, void *buffer, uint64_t buffer_bytes,
			       int64_t timeout_ns, struct shmc_message *ret_message);

/** shmc_spsc_pop() with SHMC_TRY. Since: 0.1 */
enum shmc_result shmc_spsc_try_pop(struct shmc_spsc *queue, void *buffer, uint64_t buffer_bytes,
				   struct shmc_message *ret_message);

/**
 * Shows the next message where it lies, until shmc_spsc_release(). Repeated calls show the same
 * message. A hostile producer may change it meanwhile: copy before you check.
 *
 * Return: as shmc_spsc_pop() without TOO_BIG.
 * Threads, Context: as shmc_spsc_pop().
 * Crash: comes again to the successor, flagged SHMC_REDELIVERED.
 * Since: 0.1
 */
enum shmc_result shmc_spsc_peek(struct shmc_spsc *queue, int64_t timeout_ns,
				struct shmc_message *ret_message);

/**
 * Shows up to @max next messages where they lie, until shmc_spsc_release().
 *
 * @param messages	room for @max, 1 or more
 * @param ret_count	how many were there, at least 1 on OK
 *
 * Return, Threads, Context, Crash: as shmc_spsc_peek().
 * Since: 0.1
 */
enum shmc_result shmc_spsc_peek_batch(struct shmc_spsc *queue, struct shmc_message *messages,
				      uint64_t max, int64_t timeout_ns, uint64_t *ret_count);

/**
 * Done with the first @count messages that were peeked at; their room is the producer's again.
 *
 * Return: OK; INVALID (fewer were peeked at), CORRUPT (they were scribbled over since): nothing is
 * released; FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: released or not; what is not comes again, flagged.
 * Since: 0.1
 */
enum shmc_result shmc_spsc_release(struct shmc_spsc *queue, uint64_t count);

/**
 * A descriptor for epoll, poll or an event loop: readable when there may be messages, or when the
 * producer came, left or died. Consumers only. When it is readable, take messages with SHMC_TRY
 * until there are none: EMPTY, CLOSED and PEER_DEAD, and no other answers, make it unreadable until
 * something new happens. It stays the library's: do not read or close it.
 *
 * Return: OK; INVALID (not a consumer); BROKER_LOST; STALE; QUOTA; FORKED.
 * Threads: the handle's. Context: the first call asks the broker and blocks up to the control
 * timeout.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_spsc_fd(struct shmc_spsc *queue, int *ret_fd, struct shmc_error *error);

/**
 * Who is at the other side now.
 *
 * Return: see enum shmc_peer; SHMC_PEER_NONE in a forked child, and for an observer.
 * Threads: any. Context: never blocks; signal-safe.
 * Since: 0.1
 */
enum shmc_peer shmc_spsc_peer(const struct shmc_spsc *queue);

/**
 * Waits until the other side is there: before the first message, or for a successor. One that has
 * come, sent or received something and gone again meanwhile counts as well.
 *
 * Return: OK (try again what found nobody); TIMEOUT; INVALID (an observer's); FORKED.
 * Threads: the handle's. Context: blocks up to @timeout_ns.
 * Since: 0.1
 */
enum shmc_result shmc_spsc_wait_peer(struct shmc_spsc *queue, int64_t timeout_ns);

/**
 * Shows what is in the queue and takes nothing, in any role: see shmc_observer_look(). Positions
 * count bytes. A message is shown for as long as the consumer has not released it.
 *
 * Return, Threads, Context: as shmc_observer_look().
 * Since: 0.1
 */
enum shmc_result shmc_spsc_look(const struct shmc_spsc *queue, struct shmc_look *look,
				shmc_item_fn fn, void *context);

/** What the creator chose, in effective values. Since: 0.1 */
enum shmc_result shmc_spsc_options_of(const struct shmc_spsc *queue,
				      struct shmc_spsc_options *ret_options);

/**
 * Numbers of this side and the depth of the queue. Each is right for some moment during the call.
 *
 * @param ret_own	may be NULL; an observer gets the producer's
 * @param ret_peer	may be NULL; an observer gets the consumer's
 * @param ret_depth	messages sent and not yet taken; may be NULL
 *
 * Return: OK; FORKED.
 * Threads: any. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_spsc_statistics(const struct shmc_spsc *queue,
				      struct shmc_statistics *ret_own,
				      struct shmc_statistics *ret_peer, uint64_t *ret_depth);

#ifdef __cplusplus
}
#endif

#endif
