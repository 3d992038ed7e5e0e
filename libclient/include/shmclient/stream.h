/*
 * stream: frames of any size up to the whole ring, one writer, one reader. Each frame carries a
 * sequence number; metadata are written once and stay. Both sides can work in place: the writer
 * fills a frame where it will be read, the reader holds as many as it needs and gives them back
 * in any order.
 *
 * Progress: every call with SHMC_TRY is wait-free. A stopped peer holds nobody up beyond FULL or
 * EMPTY. Crash: whatever instant a process dies at, every frame whose write or commit returned
 * arrives, none arrives in part, and what a dead reader had not given back arrives again, flagged
 * SHMC_REDELIVERED. A successor opens the same role and goes on, with the next sequence number.
 *
 * A handle serves one thread at a time. In a forked child every call returns FORKED. vfork and
 * CLONE_VM children must not use handles.
 */
#ifndef SHMCLIENT_STREAM_H
#define SHMCLIENT_STREAM_H

#include <stdint.h>

#include "shmclient/client.h"
#include "shmclient/observer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_stream;

enum shmc_stream_role {
	SHMC_STREAM_WRITER = 0,
	SHMC_STREAM_READER = 1,
	SHMC_STREAM_OBSERVER = 2, /* any number of them; takes no place and makes no move */
};

/** Frames that a reader may hold at once. */
#define SHMC_STREAM_LOANS_MAX 256u

/** How to make a stream. Zero-filled is the default for everything. */
struct shmc_stream_options {
	/** Largest frame in bytes, up to 2^36 - 32; 0: 65 504. With 32 bytes more it is the ring,
	 *  rounded up to a power of two, at least 4096: what that brings is frame size, too. A
	 *  frame takes 16 bytes more than its size, rounded up to 16. */
	uint64_t capacity_bytes;
	/** Room for the metadata in bytes, up to 2^24; 0: 1024. */
	uint64_t metadata_bytes_max;
	/** Rights as in chmod; 0: SHMC_MODE_PRIVATE. */
	uint32_t mode;
	/** Not 0: an existing stream of the same options is as good as a new one; its mode stays
	 *  what it is. */
	uint32_t reuse;
	/** Owner, group, huge pages, prefault, mlock; NULL: the defaults. */
	const struct shmc_create_options *common;
};

/**
 * Makes a stream. It stays, with what is in it, until shmc_unlink() or the broker's end.
 *
 * @param name		1 to 255 bytes, parts of [A-Za-z0-9_.-] joined by '/'
 * @param options	NULL for the defaults
 *
 * Return: OK; EXISTS; MISMATCH (reuse: exists with other kind or options); INVALID (names the
 * argument); TOO_BIG (names the limit); DENIED; QUOTA; NO_SPACE; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the stream exists whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_stream_create(struct shmc_client *client, const char *name,
				    const struct shmc_stream_options *options,
				    struct shmc_error *error);

/**
 * Opens a stream in a role. Opening erases nothing: a reader reads what is there, a writer goes on
 * behind it. An observer looks (shmc_stream_look()), reads metadata, status and statistics; moves
 * and waits answer it INVALID.
 *
 * @param ret_stream	the handle, given back with shmc_stream_close()
 *
 * Return: OK; NOT_FOUND; MISMATCH (another kind, or a layout this library does not know); BUSY
 * (names the pid that holds the role); DENIED; QUOTA; CORRUPT (the ring holds bytes that no writer
 * wrote); NO_SPACE; INVALID; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the role is free again as soon as the broker sees the process end.
 * Since: 0.1
 */
enum shmc_result shmc_stream_open(struct shmc_client *client, const char *name,
				  enum shmc_stream_role role, struct shmc_stream **ret_stream,
				  struct shmc_error *error);

/**
 * Gives the role back and frees the handle. What is in the stream stays. A reservation is dropped;
 * frames that are held, and those given back behind them, stay in the stream and come again,
 * flagged.
 *
 * Return: NULL, always; NULL is taken.
 * Threads: the handle's. Context: blocks up to the control timeout.
 * Crash: the counterpart sees PEER_DEAD rather than CLOSED.
 * Since: 0.1
 */
struct shmc_stream *shmc_stream_close(struct shmc_stream *stream);

/**
 * Writes the metadata, once for the life of the stream. They can be read by whoever opens it, from
 * now on, and outlive their writer.
 *
 * @param data	may be NULL when @size is 0
 * @param size	bytes, 0 to metadata_bytes_max; 0 are metadata, too
 *
 * Return: OK; EXISTS (written before, maybe by a predecessor); TOO_BIG; INVALID (not a writer);
 * FORKED. Anything but OK: nothing was changed.
 * Threads: the handle's. Context: never blocks.
 * Crash: they are there whole or not at all; then a successor may write them.
 * Since: 0.1
 */
enum shmc_result shmc_stream_set_metadata(struct shmc_stream *stream, const void *data,
					  uint64_t size);

/**
 * The metadata where they lie, for as long as the handle is open. A hostile peer may change them
 * meanwhile: copy before you check.
 *
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait for them; anything but SHMC_TRY
 *			for readers only
 *
 * Return: OK; EMPTY (SHMC_TRY: none yet); TIMEOUT; PEER_DEAD, CLOSED (none, and the writer is
 * gone); CORRUPT; INVALID (who is no reader waits); FORKED.
 * Threads: the handle's. Context: SHMC_TRY never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_stream_metadata(struct shmc_stream *stream, int64_t timeout_ns,
				      struct shmc_bytes *ret_metadata);

/**
 * Writes a copy of a frame.
 *
 * @param data		may be NULL when @size is 0
 * @param size		bytes, 0 to capacity_bytes; 0 is a frame
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait for room
 *
 * Return: OK; FULL (SHMC_TRY); TIMEOUT; TOO_BIG; PEER_DEAD, CLOSED (full, and nobody is left to
 * make room; with room it is OK: a successor reads it); CORRUPT; INVALID (not a writer, a
 * reservation is open); FORKED. Anything but OK: nothing was written.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation, save for the first rings of
 * a reader's descriptor; not signal-safe.
 * Crash: written whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_stream_write(struct shmc_stream *stream, const void *data, uint64_t size,
				   int64_t timeout_ns);

/**
 * Takes room for a frame, to be filled in place and sent with shmc_stream_commit().
 *
 * @param size		bytes, 0 to capacity_bytes
 * @param ret_data	@size writable bytes, aligned to 16, contiguous; until commit or abort
 *
 * Return: as shmc_stream_write(); anything but OK: nothing is reserved.
 * Threads, Context: as shmc_stream_write(). No asynchronous I/O into the room: it may end after the
 * process and hit a successor's frame.
 * Crash: nothing was written.
 * Since: 0.1
 */
enum shmc_result shmc_stream_reserve(struct shmc_stream *stream, uint64_t size, int64_t timeout_ns,
				     void **ret_data);

/**
 * Sends what was written into the reservation.
 *
 * @param size	bytes used, up to what was reserved
 *
 * Return: OK; INVALID (nothing reserved, or less than that: the reservation stays); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: written whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_stream_commit(struct shmc_stream *stream, uint64_t size);

/**
 * Gives a reservation back unsent.
 *
 * Return: OK; INVALID (nothing reserved); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_stream_abort(struct shmc_stream *stream);

/**
 * Leaves sequence numbers out, so that the reader is told of frames that were never written: those
 * that came while the stream was FULL, or that the source itself lost.
 *
 * @param count	numbers, 1 to 2^32; the next frame's is higher by so many
 *
 * Return: OK; INVALID (not a writer, @count); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: left out or not.
 * Since: 0.1
 */
enum shmc_result shmc_stream_skip(struct shmc_stream *stream, uint64_t count);

/** Flag of a frame: its number is not the expected one. */
#define SHMC_GAP 2u

/** A frame as seen by the reader. */
struct shmc_frame {
	const void *data;  /* aligned to 16 where it lies in the stream */
	uint64_t size;	   /* bytes */
	uint64_t sequence; /* from 1 on, through all writers */
	uint64_t expected; /* one more than that of the frame before, through all readers */
	uint32_t flags;	   /* SHMC_REDELIVERED, SHMC_GAP */
	uint32_t reserved;
	uint64_t
		position; /* of the frame in the stream; both are what shmc_stream_release() needs */
	uint64_t loan;
};

/**
 * Takes the next frame into a buffer, whatever other frames are held.
 *
 * @param buffer	may be NULL when @buffer_bytes is 0
 * @param ret_frame	data = @buffer, its size, numbers and flags; nothing to be released
 *
 * Return: OK; EMPTY (SHMC_TRY); TIMEOUT; TOO_BIG (longer than the buffer: it stays, and
 * ret_frame->size says how long it is); FULL (SHMC_STREAM_LOANS_MAX are held, or frames read one
 * by one between so many that are: release one); PEER_DEAD, CLOSED (empty, and the writer is gone:
 * all it published has been read; stays so until a successor opens, see shmc_stream_wait_peer());
 * CORRUPT; INVALID (not a reader); FORKED.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation; not signal-safe.
 * Crash: the frame was taken, or comes again to the successor, flagged SHMC_REDELIVERED.
 * Since: 0.1
 */
enum shmc_result shmc_stream_read(struct shmc_stream *stream, void *buffer, uint64_t buffer_bytes,
				  int64_t timeout_ns, struct shmc_frame *ret_frame);

/**
 * Lends the next frame where it lies, until shmc_stream_release(). Each call lends another one;
 * none that is held is ever written over. A hostile writer may change it nevertheless: copy before
 * you check.
 *
 * Return: as shmc_stream_read() without TOO_BIG.
 * Threads, Context: as shmc_stream_read().
 * Crash: comes again to the successor, flagged SHMC_REDELIVERED.
 * Since: 0.1
 */
enum shmc_result shmc_stream_borrow(struct shmc_stream *stream, int64_t timeout_ns,
				    struct shmc_frame *ret_frame);

/**
 * Done with a frame that was lent, in any order. Its room is the writer's again once every frame
 * before it is released, too.
 *
 * @param frame	as shmc_stream_borrow() filled it in; only its position and loan are looked at
 *
 * Return: OK; INVALID (not a reader; it is not lent, or was released already); FORKED.
 * Threads: the handle's. Context: never blocks.
 * Crash: released or not; what is not comes again, flagged, and what lies behind it as well.
 * Since: 0.1
 */
enum shmc_result shmc_stream_release(struct shmc_stream *stream, const struct shmc_frame *frame);

/**
 * A descriptor for epoll, poll or an event loop. A reader's is readable when there may be frames,
 * or when the writer came, left or died; a writer's when there may be room, or when the reader
 * came, left or died. When it is readable, go on with SHMC_TRY until there is nothing to do: EMPTY,
 * a writer's FULL, CLOSED and PEER_DEAD, and no other answers, make it unreadable until something
 * new happens. A reader's FULL does not: more frames may be there. It stays the library's: do not
 * read or close it.
 *
 * Return: OK; INVALID (an observer's); BROKER_LOST; STALE; QUOTA; FORKED.
 * Threads: the handle's. Context: the first call asks the broker and blocks up to the control
 * timeout.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_stream_fd(struct shmc_stream *stream, int *ret_fd, struct shmc_error *error);

/**
 * Who is at the other side now.
 *
 * Return: see enum shmc_peer; SHMC_PEER_NONE in a forked child, and for an observer.
 * Threads: any. Context: never blocks; signal-safe.
 * Since: 0.1
 */
enum shmc_peer shmc_stream_peer(const struct shmc_stream *stream);

/**
 * Waits until the other side is there: before the first frame, or for a successor. One that has
 * come, written or released something and gone again meanwhile counts as well.
 *
 * Return: OK (try again what found nobody); TIMEOUT; INVALID (an observer's); FORKED.
 * Threads: the handle's. Context: blocks up to @timeout_ns.
 * Since: 0.1
 */
enum shmc_result shmc_stream_wait_peer(struct shmc_stream *stream, int64_t timeout_ns);

/**
 * Whether a writer has it open, now or within the time given.
 *
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds; an observer cannot wait
 *
 * Return: OK (there is one); TIMEOUT (there is none); INVALID (an observer waits); FORKED.
 * Threads: the handle's. Context: SHMC_TRY never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_stream_is_writer_connected(struct shmc_stream *stream, int64_t timeout_ns);

/** The same of a reader. Since: 0.1 */
enum shmc_result shmc_stream_is_reader_connected(struct shmc_stream *stream, int64_t timeout_ns);

/**
 * Shows what is in the stream and takes nothing, in any role: see shmc_observer_look(). First, from
 * SHMC_LOOK_OLDEST on, the metadata, then each frame that has not been released, its sequence
 * number as the item's number. Positions count bytes.
 *
 * Return, Threads, Context: as shmc_observer_look().
 * Since: 0.1
 */
enum shmc_result shmc_stream_look(const struct shmc_stream *stream, struct shmc_look *look,
				  shmc_item_fn fn, void *context);

/** What the creator chose, in effective values. Since: 0.1 */
enum shmc_result shmc_stream_options_of(const struct shmc_stream *stream,
					struct shmc_stream_options *ret_options);

/** The state of a stream. Sizes in bytes. */
struct shmc_stream_status {
	uint64_t metadata_size;		 /* room for metadata */
	uint64_t metadata_free_bytes;	 /* all of it, or nothing once they are written */
	uint64_t metadata_written_bytes; /* by shmc_stream_set_metadata() */
	uint64_t payload_size;		 /* the largest frame */
	uint64_t payload_free_bytes;	 /* the largest frame there is room for now */
	uint64_t payload_write_position; /* bytes, for ever; in the ring: modulo its size */
	uint64_t payload_read_position;	 /* of the oldest frame that has not been released */
	uint64_t payload_written_count;	 /* frames, by all writers */
	uint64_t payload_read_count;	 /* frames released, by all readers */
	uint64_t payload_skipped_count;	 /* sequence numbers left out */
	uint64_t last_sequence;		 /* of the last frame written, or left out; 0: none */
	uint32_t writer_pid;		 /* as the broker sees it; 0: nobody is there */
	uint32_t reader_pid;
	enum shmc_peer writer;
	enum shmc_peer reader;
};

/**
 * Sizes, positions, counts and who is there. Each is right for some moment during the call.
 *
 * Return: OK; FORKED.
 * Threads: any. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_stream_status(const struct shmc_stream *stream,
				    struct shmc_stream_status *ret_status);

/**
 * Numbers of the two sides. Each is right for some moment during the call.
 *
 * @param ret_own	may be NULL; an observer gets the writer's
 * @param ret_peer	may be NULL; an observer gets the reader's
 *
 * Return: OK; FORKED.
 * Threads: any. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_stream_statistics(const struct shmc_stream *stream,
					struct shmc_statistics *ret_own,
					struct shmc_statistics *ret_peer);

#ifdef __cplusplus
}
#endif

#endif
