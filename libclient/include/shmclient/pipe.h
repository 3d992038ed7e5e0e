/*
 * pipe: a host and a client that send each other messages, each contiguous in memory, both ways at
 * once. The shortest round trip there is between two processes.
 *
 * Each side speaks with one incarnation of the other at a time: with whoever is there when it opens,
 * or else with the first to come; what is sent before that waits. When the other side has gone, what
 * it has sent is read to the end; then receiving says PEER_DEAD or CLOSED, as sending does at once,
 * and both go on saying so until shmc_pipe_wait_peer() has found a successor, even if one came in
 * the same moment. So nobody waits for an answer from one who never got the question.
 *
 *	host restarts	it begins a new session: whatever was sent to or by the one before is stale,
 *			and neither it nor any client gets it to see
 *	client restarts	it goes on in the session of the one before: what that one had not taken
 *			comes to it, flagged SHMC_REDELIVERED if it may have been seen
 *
 * Messages may have a type in each direction, which both sides name when they open: another is
 * refused before the pair notices anything.
 *
 * Progress: every call with SHMC_TRY is wait-free. A stopped peer holds nobody up beyond FULL or
 * EMPTY. Crash: a message is sent whole or not at all, whatever instant a process dies at; within a
 * session every message that was sent arrives.
 *
 * A handle serves one thread at a time, for both directions. In a forked child every call returns
 * FORKED. vfork and CLONE_VM children must not use handles.
 */
#ifndef SHMCLIENT_PIPE_H
#define SHMCLIENT_PIPE_H

#include <stddef.h>
#include <stdint.h>

#include "shmclient/client.h"
#include "shmclient/observer.h"
#include "shmclient/type.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_pipe;

enum shmc_pipe_role {
	SHMC_PIPE_HOST = 0,
	SHMC_PIPE_CLIENT = 1,
	SHMC_PIPE_OBSERVER = 2, /* any number of them; takes no place and makes no move */
};

/** A member of a message's struct. */
struct shmc_pipe_field {
	const char *name;
	enum shmc_type type;
	uint32_t offset; /* in the struct */
	uint32_t bytes;	 /* of it, all elements of an array together */
	uint32_t reserved;
};

/** The description of a member, e.g. SHMC_PIPE_FIELD(struct request, number, SHMC_TYPE_U32). */
#ifdef __cplusplus
#define SHMC__PIPE_SIZE(of, member) sizeof(of::member)
#define SHMC__PIPE_U32(value)	    static_cast<uint32_t>(value)
#else
#define SHMC__PIPE_SIZE(of, member) sizeof(((of *)0)->member)
#define SHMC__PIPE_U32(value)	    ((uint32_t)(value))
#endif
#define SHMC_PIPE_FIELD(of, member, member_type)                            \
	{                                                                   \
#member, member_type, SHMC__PIPE_U32(offsetof(of, member)), \
			SHMC__PIPE_U32(SHMC__PIPE_SIZE(of, member)), 0      \
	}

/**
 * A type of messages. Two are the same when name, size and all fields are: names, types, offsets
 * and sizes, in the same order.
 */
struct shmc_pipe_type {
	const char *name;
	/** Size of each message in bytes; 0: they may have any. */
	uint64_t bytes;
	/** The layout; NULL: nothing is said of it. */
	const struct shmc_pipe_field *fields;
	uint32_t field_count;
	uint32_t reserved;
};

/** What the two sides send. NULL, where a pipe is made: messages of any size, of no type; where it
 *  is opened: whatever it was made with. */
struct shmc_pipe_types {
	const struct shmc_pipe_type *host;
	const struct shmc_pipe_type *client;
};

/** How to make a pipe. Zero-filled is the default for everything. */
struct shmc_pipe_options {
	/** Ring size of each direction in bytes, up to 2^32, rounded up to a power of two, at least
	 *  4096; 0: 65 536. A message takes 8 bytes more than its size, rounded up to 8. */
	uint64_t capacity_bytes;
	/** Largest message in bytes; 0: as large as the ring allows, capacity_bytes - 16. */
	uint64_t message_bytes_max;
	struct shmc_pipe_types types;
	/** Rights as in chmod; both sides need the write right. 0: SHMC_MODE_PRIVATE. */
	uint32_t mode;
	/** Not 0: an existing pipe of the same types, capacity and limit is as good as a new one;
	 *  its mode stays what it is. */
	uint32_t reuse;
	/** Owner, group, huge pages, prefault, mlock; NULL: the defaults. */
	const struct shmc_create_options *common;
};

/**
 * Makes a pipe. It stays until shmc_unlink() or the broker's end.
 *
 * @param name		1 to 255 bytes, parts of [A-Za-z0-9_.-] joined by '/'
 * @param options	NULL for the defaults
 *
 * Return: OK; EXISTS; MISMATCH (reuse: exists with another kind, type or option); INVALID (names
 * the argument); TOO_BIG (names the limit); DENIED; QUOTA; NO_SPACE; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the pipe exists whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_pipe_create(struct shmc_client *client, const char *name,
				  const struct shmc_pipe_options *options,
				  struct shmc_error *error);

/**
 * Opens a pipe in a role. A host begins a new session; a client joins the one there is, or waits for
 * the next. An observer looks (shmc_pipe_look()) and reads statistics; moves and waits answer it
 * INVALID.
 *
 * @param types		what it must have been made with; NULL: whatever it was
 * @param ret_pipe	the handle, given back with shmc_pipe_close()
 *
 * Return: OK; NOT_FOUND; MISMATCH (another kind or type, which it names, or a layout this library
 * does not know); BUSY (names the pid that holds the role); DENIED; QUOTA; CORRUPT (a ring holds
 * bytes that no host or client wrote); NO_SPACE; INVALID; BROKER_LOST; FORKED. Nobody at the pipe
 * notices one who is refused.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the role is free again as soon as the broker sees the process end.
 * Since: 0.1
 */
enum shmc_result shmc_pipe_open(struct shmc_client *client, const char *name,
				enum shmc_pipe_role role, const struct shmc_pipe_types *types,
				struct shmc_pipe **ret_pipe, struct shmc_error *error);

/**
 * Gives the role back and frees the handle. What was sent can still be received. A reservation is
 * dropped; messages peeked at and not released count as not received.
 *
 * Return: NULL, always; NULL is taken.
 * Threads: the handle's. Context: blocks up to the control timeout.
 * Crash: the other side sees PEER_DEAD rather than CLOSED.
 * Since: 0.1
 */
struct shmc_pipe *shmc_pipe_close(struct shmc_pipe *pipe);

/**
 * Sends a copy of a message.
 *
 * @param data		may be NULL when @size is 0
 * @param size		bytes, 0 to the limit; 0 is a message; that of the type, where it has one
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait for room
 *
 * Return: OK; FULL (SHMC_TRY); TIMEOUT; TOO_BIG; MISMATCH (smaller than the type); PEER_DEAD,
 * CLOSED (the other side has gone: see above); CORRUPT; INVALID (an observer's, a reservation is
 * open); FORKED. Anything but OK: nothing was sent.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation, save for the first rings of
 * the other side's descriptor; not signal-safe.
 * Crash: sent whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_pipe_send(struct shmc_pipe *pipe, const void *data, uint64_t size,
				int64_t timeout_ns);

/** shmc_pipe_send() with SHMC_TRY. Since: 0.1 */
enum shmc_result shmc_pipe_try_send(struct shmc_pipe *pipe, const void *data, uint64_t size);

/**
 * Sends several messages that become visible all at once.
 *
 * @param messages	@count of them, each up to the limit
 * @param count		1 or more
 * @param ret_count	how many went: as many from the first on as there was room for
 *
 * Return: OK (ret_count >= 1); otherwise as shmc_pipe_send(), with nothing sent. TOO_BIG and
 * MISMATCH count only for a message that would be next.
 * Threads, Context: as shmc_pipe_send().
 * Crash: the whole batch was sent, or nothing of it.
 * Since: 0.1
 */
enum shmc_result shmc_pipe_send_batch(struct shmc_pipe *pipe, const struct shmc_bytes *messages,
				      uint64_t count, int64_t timeout_ns, uint64_t *ret_count);

/**
 * Takes room for a message, to be written in place and sent with shmc_pipe_commit().
 *
 * @param size		bytes, 0 to the limit; that of the type, where it has one
 * @param ret_data	@size writable bytes, 8-byte aligned, contiguous; until commit or abort
 *
 * Return: as shmc_pipe_send(); anything but OK: nothing is reserved.
 * Threads, Context: as shmc_pipe_send(). No asynchronous I/O into the room: it may end after the
 * process and hit a successor's message.
 * Crash: nothing was sent.
 * Since: 0.1
 */
enum shmc_result shmc_pipe_reserve(struct shmc_pipe *pipe, uint64_t size, int64_t timeout_ns,
				   void **ret_data);

/**
 * Sends what was written into the reservation.
 *
 * @param size	bytes used, up to what was reserved; that of the type, where it has one
 *
 * Return: OK; INVALID (nothing reserved, or more than that), MISMATCH (smaller than the type): the
 * reservation stays; FORKED. That the other side has gone meanwhile is told by the next call.
 * Threads: the handle's. Context: never blocks.
 * Crash: sent whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_pipe_commit(struct shmc_pipe *pipe, uint64_t size);

/**
 * Gives a reservation back unsent.
 *
 * Return: OK; INVALID (nothing reserved); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_pipe_abort(struct shmc_pipe *pipe);

/**
 * Takes the next message into a buffer.
 *
 * @param buffer	may be NULL when @buffer_bytes is 0
 * @param ret_message	data = @buffer, its size and flags; may not be NULL
 *
 * Return: OK; EMPTY (SHMC_TRY); TIMEOUT; TOO_BIG (longer than the buffer: it stays, and
 * ret_message->size says how long it is); PEER_DEAD, CLOSED (the other side has gone, and all it
 * sent has been read: see above); CORRUPT; INVALID (an observer's, messages are peeked at); FORKED.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation; not signal-safe.
 * Crash: in a client, the message was taken, or comes again to the successor, flagged
 * SHMC_REDELIVERED. In a host it is gone with its session.
 * Since: 0.1
 */
enum shmc_result shmc_pipe_receive(struct shmc_pipe *pipe, void *buffer, uint64_t buffer_bytes,
				   int64_t timeout_ns, struct shmc_message *ret_message);

/** shmc_pipe_receive() with SHMC_TRY. Since: 0.1 */
enum shmc_result shmc_pipe_try_receive(struct shmc_pipe *pipe, void *buffer, uint64_t buffer_bytes,
				       struct shmc_message *ret_message);

/**
 * Sends a request and takes the next message, its answer, into a buffer. Whoever calls again after
 * TIMEOUT or EMPTY, or has left messages unread, takes them first: messages have no numbers.
 *
 * @param size		bytes of the request, as in shmc_pipe_send()
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds, for both together
 *
 * Return: OK. Nothing was sent: FULL (no room within the time); TOO_BIG (@size); MISMATCH; INVALID
 * (as for sending and receiving); FORKED. The request was sent, and its answer, should there be
 * one, can still be received: TIMEOUT; EMPTY (SHMC_TRY); TOO_BIG (ret_message->size says how long
 * the answer is; it is 0 when the request was too big). PEER_DEAD, CLOSED (whether the other side
 * saw the request is not known); CORRUPT.
 * Threads, Context: as shmc_pipe_send() and shmc_pipe_receive().
 * Crash: the request was sent whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_pipe_call(struct shmc_pipe *pipe, const void *request, uint64_t size,
				void *buffer, uint64_t buffer_bytes, int64_t timeout_ns,
				struct shmc_message *ret_message);

/**
 * Shows the next message where it lies, until shmc_pipe_release(). Repeated calls show the same
 * message. A hostile peer may change it meanwhile: copy before you check.
 *
 * Return: as shmc_pipe_receive() without TOO_BIG.
 * Threads, Context: as shmc_pipe_receive().
 * Crash: as shmc_pipe_receive().
 * Since: 0.1
 */
enum shmc_result shmc_pipe_peek(struct shmc_pipe *pipe, int64_t timeout_ns,
				struct shmc_message *ret_message);

/**
 * Shows up to @max next messages where they lie, until shmc_pipe_release().
 *
 * @param messages	room for @max, 1 or more
 * @param ret_count	how many were there, at least 1 on OK
 *
 * Return, Threads, Context, Crash: as shmc_pipe_peek().
 * Since: 0.1
 */
enum shmc_result shmc_pipe_peek_batch(struct shmc_pipe *pipe, struct shmc_message *messages,
				      uint64_t max, int64_t timeout_ns, uint64_t *ret_count);

/**
 * Done with the first @count messages that were peeked at; their room is the sender's again.
 *
 * Return: OK; INVALID (fewer were peeked at), CORRUPT (they were scribbled over since): nothing is
 * released; FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: released or not; what is not counts as not received.
 * Since: 0.1
 */
enum shmc_result shmc_pipe_release(struct shmc_pipe *pipe, uint64_t count);

/**
 * A descriptor for epoll, poll or an event loop: readable when there may be messages, or when the
 * other side came, left or died. When it is readable, take messages with SHMC_TRY until there are
 * none: EMPTY, CLOSED and PEER_DEAD from receiving, and no other answers, make it unreadable until
 * something new happens. It stays the library's: do not read or close it.
 *
 * Return: OK; INVALID (an observer's); BROKER_LOST; STALE; QUOTA; FORKED.
 * Threads: the handle's. Context: the first call asks the broker and blocks up to the control
 * timeout.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_pipe_fd(struct shmc_pipe *pipe, int *ret_fd, struct shmc_error *error);

/**
 * Who is at the other side now, be it the one this side speaks with or a successor.
 *
 * Return: see enum shmc_peer; SHMC_PEER_NONE in a forked child, and for an observer.
 * Threads: any. Context: never blocks; signal-safe.
 * Since: 0.1
 */
enum shmc_peer shmc_pipe_peer(const struct shmc_pipe *pipe);

/**
 * Waits until there is somebody to speak with: at first, or after PEER_DEAD and CLOSED. In that
 * case what is unread of the one who has gone is dropped as soon as a successor is there; whoever
 * wants it receives until PEER_DEAD or CLOSED. One who has come, sent something and gone again
 * meanwhile counts as well. After OK the descriptor is readable: something may have been sent
 * meanwhile.
 *
 * Return: OK; TIMEOUT; CORRUPT; INVALID (an observer's; a reservation is open, messages are peeked
 * at); FORKED.
 * Threads: the handle's. Context: blocks up to @timeout_ns.
 * Since: 0.1
 */
enum shmc_result shmc_pipe_wait_peer(struct shmc_pipe *pipe, int64_t timeout_ns);

/**
 * Shows what is in the pipe and takes nothing, in any role: see shmc_observer_look(). First the
 * host's messages, then the client's; the item's endpoint says whose: 0 the host's, 1 the client's.
 * Those of an earlier session have the state "stale", those that wait for one "for the next host". Positions are one of each direction; what was
 * missed counts bytes.
 *
 * Return, Threads, Context: as shmc_observer_look().
 * Since: 0.1
 */
enum shmc_result shmc_pipe_look(const struct shmc_pipe *pipe, struct shmc_look *look,
				shmc_item_fn fn, void *context);

/** What the creator chose, in effective values; types are numbers of theirs, 0: none. */
struct shmc_pipe_info {
	uint64_t capacity_bytes;
	uint64_t message_bytes_max;
	uint64_t host_bytes; /* 0: any size */
	uint64_t host_type;
	uint64_t client_bytes;
	uint64_t client_type;
};

/** Return: OK; FORKED. Threads: any. Context: never blocks. Since: 0.1 */
enum shmc_result shmc_pipe_options_of(const struct shmc_pipe *pipe,
				      struct shmc_pipe_info *ret_info);

/** The number of a type, never 0, for those who look: 0 if it has no name. Since: 0.1 */
uint64_t shmc_pipe_type_number(const struct shmc_pipe_type *type);

/** One direction, since the pipe was made. */
struct shmc_pipe_direction {
	uint64_t sent;
	uint64_t sent_bytes; /* payload */
	uint64_t received;
	uint64_t received_bytes;
	uint64_t stale; /* messages dropped unread, since those they were for had gone */
	uint64_t depth; /* messages sent, and neither received nor dropped */
};

struct shmc_pipe_statistics {
	struct shmc_pipe_direction to_client;
	struct shmc_pipe_direction to_host;
	struct shmc_statistics host;   /* messages, bytes: those it sent */
	struct shmc_statistics client; /* refused: FULL and EMPTY answers */
	uint64_t session;	       /* hosts there have been */
};

/**
 * Numbers of both directions. Each is right for some moment during the call.
 *
 * Return: OK; FORKED.
 * Threads: any. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_pipe_statistics(const struct shmc_pipe *pipe,
				      struct shmc_pipe_statistics *ret_statistics);

#ifdef __cplusplus
}
#endif

#endif
