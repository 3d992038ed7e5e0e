/*
 * ring: elements of one size, one producer, one consumer, as many at a time as one likes. The
 * producer waits for room, or writes over the oldest: for samples, measurements, audio.
 *
 * Progress: every call with SHMC_TRY is wait-free. A stopped peer holds nobody up beyond FULL or
 * EMPTY, and who overwrites never waits. Crash: whatever instant a process dies at, the elements of
 * a push are there all or not at all; those that were in a dead consumer's hands come again, and
 * are counted. A producer that dies while it overwrites may have lost the oldest ones for nothing.
 * A successor opens the same role and goes on.
 *
 * Elements that were written over are gone, and exactly so many are reported as lost. Positions
 * count elements since the ring was made.
 *
 * A handle serves one thread at a time. In a forked child every call returns FORKED. vfork and
 * CLONE_VM children must not use handles.
 */
#ifndef SHMCLIENT_RING_H
#define SHMCLIENT_RING_H

#include <stdint.h>

#include "shmclient/client.h"
#include "shmclient/observer.h"
#include "shmclient/type.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_ring;

enum shmc_ring_role {
	SHMC_RING_PRODUCER = 0,
	SHMC_RING_CONSUMER = 1,
	SHMC_RING_OBSERVER = 2, /* any number of them; takes no place, reads and takes nothing */
};

/** How to make a ring, or what is expected of one. Zero-filled is the default for everything. */
struct shmc_ring_options {
	/** Size of an element in bytes, up to 2^31; 0: that of element_type, or 1. */
	uint64_t element_bytes;
	/** How many it holds at most, 1 or more; 0: 1024. All together at most 2^36 bytes; memory
	 *  is taken up to the next power of two, at least 4096. */
	uint64_t elements;
	/** What they are: a scalar enum shmc_type, 0, or from SHMC_TYPE_OWN to 2^53 - 1 whatever
	 *  number the application gives its struct. */
	uint64_t element_type;
	/** Rights as in chmod; 0: SHMC_MODE_PRIVATE. */
	uint32_t mode;
	/** Not 0: an existing ring of the same options is as good as a new one. */
	uint32_t reuse;
	/** Owner, group, huge pages, prefault, mlock; NULL: the defaults. */
	const struct shmc_create_options *common;
};

/** Some elements, contiguous in memory. */
struct shmc_ring_span {
	const void *data;
	uint64_t count;
	uint64_t position;    /* of the first */
	uint64_t lost;	      /* were written over between what was taken last and the oldest one */
	uint64_t redelivered; /* so many, from the first on, were in a dead consumer's hands */
};

/**
 * Makes a ring. It stays, with what is in it, until shmc_unlink() or the broker's end.
 *
 * @param name		1 to 255 bytes, parts of [A-Za-z0-9_.-] joined by '/'
 * @param options	NULL for the defaults
 *
 * Return: OK; EXISTS; MISMATCH (reuse: exists with other kind or options); INVALID (names the
 * argument); TOO_BIG (names the limit); DENIED; QUOTA; NO_SPACE; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the ring exists whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_ring_create(struct shmc_client *client, const char *name,
				  const struct shmc_ring_options *options,
				  struct shmc_error *error);

/**
 * Opens a ring in a role. Opening erases nothing: a consumer reads what is there, a producer goes
 * on behind it.
 *
 * @param expected	of element_bytes, elements and element_type, what is not 0 must be so; NULL:
 *			whatever it is
 * @param ret_ring	the handle, given back with shmc_ring_close()
 *
 * Return: OK; NOT_FOUND; MISMATCH (another kind, a layout this library does not know, or not as
 * expected, with both numbers); BUSY (names the pid that holds the role); DENIED; QUOTA; CORRUPT
 * (its positions are such that no producer or consumer wrote); NO_SPACE; INVALID; BROKER_LOST;
 * FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the role is free again as soon as the broker sees the process end.
 * Since: 0.1
 */
enum shmc_result shmc_ring_open(struct shmc_client *client, const char *name,
				enum shmc_ring_role role, const struct shmc_ring_options *expected,
				struct shmc_ring **ret_ring, struct shmc_error *error);

/**
 * Gives the role back and frees the handle. What is in the ring stays. A reservation is dropped;
 * elements peeked at and not released come again to the successor, as redelivered.
 *
 * Return: NULL, always; NULL is taken.
 * Threads: the handle's. Context: blocks up to the control timeout.
 * Crash: the counterpart sees PEER_DEAD rather than CLOSED.
 * Since: 0.1
 */
struct shmc_ring *shmc_ring_close(struct shmc_ring *ring);

/**
 * Copies elements in, as many as there is room for. They become visible all at once.
 *
 * @param count		of @elements, 1 or more
 * @param least		1 to @count: with less room than that nothing is done; @count is all or none
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait for that much room
 * @param ret_count	how many went
 *
 * Return: OK; FULL (SHMC_TRY); TIMEOUT; TOO_BIG (@least is more than the ring holds); PEER_DEAD,
 * CLOSED (less room, and nobody is left to make more); CORRUPT; INVALID (not a producer, @least out
 * of range, a reservation is open); FORKED. Anything but OK: nothing was written.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation, save for the first rings of
 * a consumer's descriptor; not signal-safe.
 * Crash: all of what would have gone is there, or nothing of it.
 * Since: 0.1
 */
enum shmc_result shmc_ring_push(struct shmc_ring *ring, const void *elements, uint64_t count,
				uint64_t least, int64_t timeout_ns, uint64_t *ret_count);

/**
 * Copies all elements in, over the oldest ones where there is no room, read or not. Of more
 * elements than the ring holds the last ones are in it afterwards, and the others are lost as if
 * they had been.
 *
 * @param count	of @elements, 1 or more
 *
 * Return: OK; CORRUPT; INVALID (not a producer, a reservation is open); FORKED.
 * Threads: the handle's. Context: never blocks; else as shmc_ring_push().
 * Crash: all of them are there, or none; if none, those that they would have written over may be
 * lost, and are counted.
 * Since: 0.1
 */
enum shmc_result shmc_ring_push_overwrite(struct shmc_ring *ring, const void *elements,
					  uint64_t count);

/**
 * Takes room for elements, to be written in place and sent with shmc_ring_commit().
 *
 * @param count		wanted, 1 or more; @least as in shmc_ring_push()
 * @param ret_elements	room for *ret_count of them, contiguous, aligned as their size allows; until
 *			commit or abort
 *
 * Return: as shmc_ring_push(); anything but OK: nothing is reserved.
 * Threads, Context: as shmc_ring_push(). No asynchronous I/O into the room: it may end after the
 * process and hit a successor's elements.
 * Crash: nothing was pushed.
 * Since: 0.1
 */
enum shmc_result shmc_ring_reserve(struct shmc_ring *ring, uint64_t count, uint64_t least,
				   int64_t timeout_ns, void **ret_elements, uint64_t *ret_count);

/**
 * Pushes the first @count elements of the reservation; the rest of it is given back.
 *
 * Return: OK; INVALID (nothing reserved, or less than that: the reservation stays); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: all of them or none.
 * Since: 0.1
 */
enum shmc_result shmc_ring_commit(struct shmc_ring *ring, uint64_t count);

/**
 * Gives a reservation back.
 *
 * Return: OK; INVALID (nothing reserved); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_ring_abort(struct shmc_ring *ring);

/**
 * Takes the oldest elements into a buffer.
 *
 * @param buffer	room for @max elements, 1 or more
 * @param least		1 to @max: with less nothing is done, unless the producer is gone
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait for so many
 * @param ret_span	data = @buffer, and how many; may not be NULL
 *
 * Return: OK; EMPTY (SHMC_TRY); TIMEOUT; TOO_BIG (@least is more than the ring holds); PEER_DEAD,
 * CLOSED (none is left, and the producer is gone; stays so until a successor opens, see
 * shmc_ring_wait_peer()); LAPPED (the producer wrote over them again and again while they were
 * copied: nothing was taken); CORRUPT; INVALID (not a consumer, @least out of range, elements are
 * peeked at); FORKED.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation; not signal-safe.
 * Crash: they were taken, or come again to the successor, as redelivered.
 * Since: 0.1
 */
enum shmc_result shmc_ring_pop(struct shmc_ring *ring, void *buffer, uint64_t max, uint64_t least,
			       int64_t timeout_ns, struct shmc_ring_span *ret_span);

/**
 * Shows elements where they lie, until shmc_ring_release(). May be repeated. A producer that
 * overwrites may do so while they are looked at: act on nothing before release has said OK. A
 * hostile producer may change them at any time: copy before you check.
 *
 * @param offset	elements behind the oldest to begin with
 * @param max, least	as in shmc_ring_pop(), counted from there
 *
 * Return: as shmc_ring_pop(), without LAPPED; TOO_BIG also when @offset leaves no room for @least.
 * Threads, Context: as shmc_ring_pop().
 * Crash: come again to the successor, as redelivered.
 * Since: 0.1
 */
enum shmc_result shmc_ring_peek(struct shmc_ring *ring, uint64_t offset, uint64_t max,
				uint64_t least, int64_t timeout_ns,
				struct shmc_ring_span *ret_span);

/**
 * Ends what was peeked at and takes the first @count elements, counted from what was the oldest at
 * the last peek, those before its offset included; the others stay.
 *
 * Return: OK (what was shown was whole to the end); LAPPED (the same, but some of it was written
 * over meanwhile: what was read is worth nothing, and what is gone counts as lost); INVALID (so many
 * were not shown: nothing is done); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: all were taken, or all come again, as redelivered.
 * Since: 0.1
 */
enum shmc_result shmc_ring_release(struct shmc_ring *ring, uint64_t count);

/**
 * Takes the oldest elements without reading them.
 *
 * @param count		at most so many: what is there
 * @param ret_count	how many there were; may be NULL
 *
 * Return: OK (also when there was none); CORRUPT; INVALID (not a consumer, elements are peeked at);
 * FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: all of them or none.
 * Since: 0.1
 */
enum shmc_result shmc_ring_skip(struct shmc_ring *ring, uint64_t count, uint64_t *ret_count);

/** shmc_ring_skip() of everything that is there. Since: 0.1 */
enum shmc_result shmc_ring_clear(struct shmc_ring *ring, uint64_t *ret_count);

/**
 * Copies elements out and takes nothing, in any role.
 *
 * @param offset	elements behind the oldest to begin with
 * @param ret_count	how many of @max (1 or more) there were
 *
 * Return: OK; EMPTY (none there); LAPPED (they were written over each time); CORRUPT; INVALID;
 * FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_ring_read(const struct shmc_ring *ring, uint64_t offset, void *buffer,
				uint64_t max, uint64_t *ret_count);

/** The same with the newest @max elements that are there, the oldest of them first. Since: 0.1 */
enum shmc_result shmc_ring_last(const struct shmc_ring *ring, void *buffer, uint64_t max,
				uint64_t *ret_count);

/**
 * A descriptor for epoll, poll or an event loop: readable when there may be elements, or when the
 * producer came, left or died. Consumers only. When it is readable, take elements with SHMC_TRY
 * until there are none: EMPTY, CLOSED and PEER_DEAD, and no other answers, make it unreadable until
 * something new happens. It stays the library's: do not read or close it.
 *
 * Return: OK; INVALID (not a consumer); BROKER_LOST; STALE; QUOTA; FORKED.
 * Threads: the handle's. Context: the first call asks the broker and blocks up to the control
 * timeout.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_ring_fd(struct shmc_ring *ring, int *ret_fd, struct shmc_error *error);

/**
 * Who is at the other side now.
 *
 * Return: see enum shmc_peer; SHMC_PEER_NONE in a forked child, and for an observer.
 * Threads: any. Context: never blocks; signal-safe.
 * Since: 0.1
 */
enum shmc_peer shmc_ring_peer(const struct shmc_ring *ring);

/**
 * Waits until the other side is there: before the first element, or for a successor. One that has
 * come, pushed or taken something and gone again meanwhile counts as well.
 *
 * Return: OK (try again what found nobody); TIMEOUT; INVALID (an observer's); FORKED.
 * Threads: the handle's. Context: blocks up to @timeout_ns.
 * Since: 0.1
 */
enum shmc_result shmc_ring_wait_peer(struct shmc_ring *ring, int64_t timeout_ns);

/**
 * Shows what is in the ring, element by element, and takes nothing: see shmc_observer_look().
 * Positions count elements.
 *
 * Return, Threads, Context: as shmc_observer_look().
 * Since: 0.1
 */
enum shmc_result shmc_ring_look(const struct shmc_ring *ring, struct shmc_look *look,
				shmc_item_fn fn, void *context);

/**
 * What the ring was made with, in effective values; mode and reuse are 0.
 *
 * Return: OK; FORKED. Threads: any. Context: does not block. Since: 0.1
 */
enum shmc_result shmc_ring_options_of(const struct shmc_ring *ring,
				      struct shmc_ring_options *ret_options);

/** Numbers of a ring since it was made, over all producers and consumers, whoever died. */
struct shmc_ring_totals {
	uint64_t pushed;
	uint64_t popped;
	uint64_t skipped;      /* by skip and clear */
	uint64_t overwritten;  /* before they were taken */
	uint64_t depth;	       /* are there now: pushed less the other three */
	uint64_t push_refused; /* FULL or TIMEOUT */
	uint64_t pop_refused;  /* EMPTY or TIMEOUT */
	uint64_t push_waits;   /* times a producer went to sleep */
	uint64_t pop_waits;    /* times a consumer did */
};

/**
 * The numbers of the ring. Each is right for some moment during the call; when nobody else is at it
 * they fit together, and no death makes them wrong.
 *
 * Return: OK; FORKED.
 * Threads: any. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_ring_totals(const struct shmc_ring *ring,
				  struct shmc_ring_totals *ret_totals);

#ifdef __cplusplus
}
#endif

#endif
