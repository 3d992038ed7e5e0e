/*
 * mpmc: many producers, many consumers, a bounded number of slots, each message to exactly one
 * consumer.
 *
 * Progress: every call with SHMC_TRY is lock-free. A stopped process holds up nobody unless it has
 * a message in hand: a producer between claim and publication those who receive, a consumer that
 * has not released those who send, once they have come round to its slot. `shmbrokerctl describe`
 * names it. Crash: whatever instant a process dies at, every message whose push or commit returned
 * arrives, none arrives in part, and one that was in a dead consumer's hands goes to another,
 * flagged SHMC_REDELIVERED; k deaths with it in hand are at most k repeats. Without redelivery
 * (an option) it is dropped instead, and counted.
 *
 * Order: messages of one producer are handed out in the order in which they were sent.
 *
 * A handle serves one thread at a time; open one for each thread. In a forked child every call
 * returns FORKED. vfork and CLONE_VM children must not use handles.
 */
#ifndef SHMCLIENT_MPMC_H
#define SHMCLIENT_MPMC_H

#include <stdint.h>

#include "shmclient/client.h"
#include "shmclient/observer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_mpmc;

enum shmc_mpmc_role {
	SHMC_MPMC_PRODUCER = 0,
	SHMC_MPMC_CONSUMER = 1,
	SHMC_MPMC_OBSERVER = 2, /* takes no endpoint and makes no move */
};

/** How to make a queue. Zero-filled is the default for everything. */
struct shmc_mpmc_options {
	/** Messages it holds at most, 2 to 2^32; a power of two is faster; 0: 1024. */
	uint64_t slots;
	/** Largest message in bytes, 1 to 2^31; 0: 48. A slot takes 16 bytes more, rounded up to
	 *  64. */
	uint64_t message_bytes_max;
	/** Producers and consumers together, 2 to 255; 0: 64. */
	uint64_t endpoints_max;
	/** Rights as in chmod; 0: SHMC_MODE_PRIVATE. */
	uint32_t mode;
	/** Not 0: an existing queue of the same options is as good as a new one. */
	uint32_t reuse;
	/** Not 0: a message that a consumer died with, or left with, is dropped and counted: at
	 *  most once instead of at least once. 0: it goes to another, flagged SHMC_REDELIVERED. */
	uint32_t no_redelivery;
	/** Not 0: each message carries its CRC32C. One that does not fit it is skipped, and whoever
	 *  would have got it is told: DAMAGED. A slot takes 8 bytes more. */
	uint32_t checksum;
	/** Owner, group, huge pages, prefault, mlock; NULL: the defaults. */
	const struct shmc_create_options *common;
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
enum shmc_result shmc_mpmc_create(struct shmc_client *client, const char *name,
				  const struct shmc_mpmc_options *options,
				  struct shmc_error *error);

/**
 * Opens a queue as one of its producers or consumers, or to look on. Opening erases nothing. An
 * observer looks (shmc_mpmc_look()) and reads statistics; moves and waits answer it INVALID.
 *
 * @param ret_queue	the handle, given back with shmc_mpmc_close()
 *
 * Return: OK; NOT_FOUND; MISMATCH (another kind, or a layout this library does not know); BUSY (all
 * endpoints are taken; names one of their pids); DENIED; QUOTA; CORRUPT (it holds bytes that no
 * producer or consumer wrote); NO_SPACE; INVALID; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the endpoint is free again as soon as the broker sees the process end.
 * Since: 0.1
 */
enum shmc_result shmc_mpmc_open(struct shmc_client *client, const char *name,
				enum shmc_mpmc_role role, struct shmc_mpmc **ret_queue,
				struct shmc_error *error);

/**
 * Gives the endpoint back and frees the handle. What is in the queue stays. A reservation is
 * dropped; a message peeked at and not released goes to another consumer, flagged.
 *
 * Return: NULL, always; NULL is taken.
 * Threads: the handle's. Context: blocks up to the control timeout.
 * Crash: the same as never having called it.
 * Since: 0.1
 */
struct shmc_mpmc *shmc_mpmc_close(struct shmc_mpmc *queue);

/**
 * Sends a copy of a message.
 *
 * @param data		may be NULL when @size is 0
 * @param size		bytes, 0 to the queue's limit; 0 is a message
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait for room
 *
 * Return: OK; FULL (SHMC_TRY); TIMEOUT; TOO_BIG; CORRUPT; INVALID (not a producer, a reservation
 * is open); FORKED. Anything but OK: nothing was sent. That no consumer is left is no error: one
 * may come.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation; not signal-safe.
 * Crash: sent whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_mpmc_push(struct shmc_mpmc *queue, const void *data, uint64_t size,
				int64_t timeout_ns);

/** shmc_mpmc_push() with SHMC_TRY. Since: 0.1 */
enum shmc_result shmc_mpmc_try_push(struct shmc_mpmc *queue, const void *data, uint64_t size);

/**
 * Sends several messages, one after the other; consumers are told once. Others' messages may come
 * between them.
 *
 * @param messages	@count of them, each up to the limit
 * @param count		1 or more
 * @param ret_count	how many went: as many from the first on as there was room for
 *
 * Return: OK (ret_count >= 1); otherwise as shmc_mpmc_push(), with nothing sent. TOO_BIG counts
 * only for a message that would be next.
 * Threads, Context: as shmc_mpmc_push(); waits for the first only.
 * Crash: each was sent whole or not at all, those before it were.
 * Since: 0.1
 */
enum shmc_result shmc_mpmc_push_batch(struct shmc_mpmc *queue, const struct shmc_bytes *messages,
				      uint64_t count, int64_t timeout_ns, uint64_t *ret_count);

/**
 * Takes a slot for a message, to be written in place and sent with shmc_mpmc_commit(). Nothing that
 * is sent behind it can be received before that: do not linger.
 *
 * @param size		bytes, 0 to the queue's limit
 * @param ret_data	@size writable bytes, 16-byte aligned; until commit or abort
 *
 * Return: as shmc_mpmc_push(); anything but OK: nothing is reserved.
 * Threads, Context: as shmc_mpmc_push(). No asynchronous I/O into the slot: it may end after the
 * process and hit another's message.
 * Crash: nothing was sent; the slot is skipped.
 * Since: 0.1
 */
enum shmc_result shmc_mpmc_reserve(struct shmc_mpmc *queue, uint64_t size, int64_t timeout_ns,
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
enum shmc_result shmc_mpmc_commit(struct shmc_mpmc *queue, uint64_t size);

/**
 * Gives a reservation back unsent: consumers skip and count it.
 *
 * Return: OK; INVALID (nothing reserved); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_mpmc_abort(struct shmc_mpmc *queue);

/**
 * Takes the next message into a buffer.
 *
 * @param buffer	may be NULL when @buffer_bytes is 0
 * @param ret_message	data = @buffer, its size and flags; may not be NULL
 *
 * Return: OK; EMPTY (SHMC_TRY); TIMEOUT; TOO_BIG (longer than the buffer: it stays, and
 * ret_message->size says how long it is); CORRUPT; INVALID (not a consumer, a message is peeked
 * at); FORKED.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation; not signal-safe.
 * Crash: the message was taken, or goes to another consumer, flagged SHMC_REDELIVERED.
 * Since: 0.1
 */
enum shmc_result shmc_mpmc_pop(struct shmc_mpmc *queue, void *buffer, uint64_t buffer_bytes,
			       int64_t timeout_ns, struct shmc_message *ret_message);

/** shmc_mpmc_pop() with SHMC_TRY. Since: 0.1 */
enum shmc_result shmc_mpmc_try_pop(struct shmc_mpmc *queue, void *buffer, uint64_t buffer_bytes,
				   struct shmc_message *ret_message);

/**
 * Takes several messages into one buffer, one behind the other, each at a multiple of 8; producers
 * are told once.
 *
 * @param messages	room for @max, 1 or more; their data lies in @buffer
 * @param ret_count	how many were taken: as many as were there and fit
 *
 * Return: OK (ret_count >= 1); otherwise as shmc_mpmc_pop(), TOO_BIG with the size in messages[0].
 * Threads, Context: as shmc_mpmc_pop(); waits for the first only.
 * Crash: each was taken, or goes to another consumer, flagged.
 * Since: 0.1
 */
enum shmc_result shmc_mpmc_pop_batch(struct shmc_mpmc *queue, void *buffer, uint64_t buffer_bytes,
				     struct shmc_message *messages, uint64_t max,
				     int64_t timeout_ns, uint64_t *ret_count);

/**
 * Takes the next message where it lies, until shmc_mpmc_release(): no other consumer gets it. One
 * at a time. A hostile producer may change it meanwhile: copy before you check.
 *
 * Return: as shmc_mpmc_pop() without TOO_BIG.
 * Threads, Context: as shmc_mpmc_pop().
 * Crash: goes to another consumer, flagged SHMC_REDELIVERED.
 * Since: 0.1
 */
enum shmc_result shmc_mpmc_peek(struct shmc_mpmc *queue, int64_t timeout_ns,
				struct shmc_message *ret_message);

/**
 * Done with the message that was peeked at; its slot is the producers' again.
 *
 * Return: OK; INVALID (none was peeked at); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: released or not; if not, it goes to another consumer, flagged.
 * Since: 0.1
 */
enum shmc_result shmc_mpmc_release(struct shmc_mpmc *queue);

/**
 * A descriptor for epoll, poll or an event loop: readable when there may be messages. Consumers
 * only. When it is readable, take messages with SHMC_TRY until EMPTY: that answer, and no other,
 * makes it unreadable until something new happens. All consumers that wait are told of a message,
 * and one of them gets it. It stays the library's: do not read or close it.
 *
 * Return: OK; INVALID (not a consumer); BROKER_LOST; STALE; QUOTA; FORKED.
 * Threads: the handle's. Context: the first call asks the broker and blocks up to the control
 * timeout.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_mpmc_fd(struct shmc_mpmc *queue, int *ret_fd, struct shmc_error *error);

/**
 * Shows what is in the queue and takes nothing, in any role: see shmc_observer_look(). Positions
 * count messages. With SHMC_LOOK_GONE also what was taken, until its slot is claimed again: who
 * comes back before the queue has gone round misses nothing.
 *
 * Return, Threads, Context: as shmc_observer_look().
 * Since: 0.1
 */
enum shmc_result shmc_mpmc_look(const struct shmc_mpmc *queue, struct shmc_look *look,
				shmc_item_fn fn, void *context);

/** What the creator chose, in effective values. Since: 0.1 */
enum shmc_result shmc_mpmc_options_of(const struct shmc_mpmc *queue,
				      struct shmc_mpmc_options *ret_options);

/** Numbers of a queue, since it was made. */
struct shmc_mpmc_statistics {
	struct shmc_statistics producers; /* of all of them; refused: FULL or TIMEOUT */
	struct shmc_statistics consumers; /* of all of them; refused: EMPTY or TIMEOUT */
	uint64_t depth;			  /* messages sent, or being sent, and not yet taken */
	uint64_t tombstones;		  /* claims that were given up, or whose owner died */
	uint64_t dropped; /* messages that consumers died or left with, without redelivery */
};

/**
 * Numbers of the whole queue. Each is right for some moment during the call.
 *
 * Return: OK; FORKED.
 * Threads: any. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_mpmc_statistics(const struct shmc_mpmc *queue,
				      struct shmc_mpmc_statistics *ret_statistics);

/** One endpoint: who is there, and what all its holders moved. */
struct shmc_mpmc_endpoint {
	enum shmc_peer state;
	uint32_t is_own; /* not 0: this handle's */
	struct shmc_statistics pushed;
	struct shmc_statistics popped;
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
enum shmc_result shmc_mpmc_endpoint(const struct shmc_mpmc *queue, uint32_t index,
				    struct shmc_mpmc_endpoint *ret_endpoint);

#ifdef __cplusplus
}
#endif

#endif
