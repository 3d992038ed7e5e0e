/*
 * record: one value of many named fields. Writers take turns and change any number of fields in one
 * transaction; readers get the whole of the newest committed version and write nothing shared, so
 * that no number of them and nothing they do disturbs anybody.
 *
 * The fields stand in the segment: their names, types and places. A reader that was built for
 * another version finds them by name, and shmbrokerctl shows and sets them.
 *
 * Progress: a read is lock-free, and begun anew only if three versions were committed while it
 * copied; a stopped writer disturbs no reader. A transaction waits for other writers. Crash: a
 * writer that dies anywhere in a transaction has changed nothing, and the next one is not told.
 *
 * A handle serves one thread at a time; open one for each thread. In a forked child every call
 * returns FORKED. vfork and CLONE_VM children must not use handles.
 */
#ifndef SHMCLIENT_RECORD_H
#define SHMCLIENT_RECORD_H

#include <stdint.h>

#include "shmclient/client.h"
#include "shmclient/type.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_record;

enum shmc_record_role {
	SHMC_RECORD_WRITER = 0,
	SHMC_RECORD_READER = 1,	 /* takes no endpoint; everything is mapped read-only */
	SHMC_RECORD_WATCHER = 2, /* reads, and can wait for the next version: takes an endpoint */
};

/** One field, as it is described. Names: 1 to 47 letters, digits and _, no digit first. */
struct shmc_field {
	const char *name;
	enum shmc_type type;
	/** Elements of an array at most, up to 2^24; 0: one value. */
	uint32_t count;
	/** Room for a string in bytes, its NUL included, or size of SHMC_TYPE_BYTES; else 0. */
	uint32_t bytes;
	/** Fields of a struct; else 0 and NULL. */
	uint32_t field_count;
	const struct shmc_field *fields;
};

/** How to make a record. */
struct shmc_record_options {
	/** The fields, 1 to 500 with those inside of structs, at most 2^26 bytes in all. */
	const struct shmc_field *fields;
	uint32_t field_count;
	/** Rights as in chmod; 0: SHMC_MODE_PRIVATE. */
	uint32_t mode;
	/** The application's number of this schema, below 2^53. */
	uint64_t version;
	/** Writers and watchers together, 1 to 255; 0: 16. Readers take no place. */
	uint64_t endpoints_max;
	/** What all kinds can be made with, see client.h; NULL: nothing of it. */
	const struct shmc_create_options *common;
	/** Not 0: an existing record of the same fields, version and options is as good. */
	uint32_t reuse;
	uint32_t reserved;
};

/** Which schema in the segment is good for a program that expects another. Equal versions must have
 *  equal fields in equal order, in any case but CALLBACK. */
enum shmc_record_rule {
	SHMC_RECORD_STRICT = 0,	  /* the same version */
	SHMC_RECORD_FORWARD = 1,  /* or a later one that has every field expected */
	SHMC_RECORD_BACKWARD = 2, /* or an earlier one; fields it lacks are NOT_FOUND */
	SHMC_RECORD_FULL = 3,	  /* or any; fields it lacks are NOT_FOUND */
	SHMC_RECORD_CALLBACK = 4, /* what `accept` says */
};

/** Decides from version and fields of the opened record; not 0: good. */
typedef int (*shmc_record_accept_fn)(void *context, const struct shmc_record *record);

/** What a program expects. Fields of the same name must have the same type, size and count. */
struct shmc_record_expected {
	const struct shmc_field *fields;
	uint32_t field_count;
	uint32_t rule; /* enum shmc_record_rule */
	uint64_t version;
	shmc_record_accept_fn accept;
	void *context;
};

/** Where a field is; found by shmc_record_find(), good for this handle. */
struct shmc_place {
	uint64_t offset; /* in the record, of the value or the first element */
	uint64_t length_at;
	uint32_t index;
	uint32_t type;	/* enum shmc_type */
	uint32_t count; /* elements of an array; 0: one value */
	uint32_t bytes; /* of one element */
	uint32_t field;
	uint32_t reserved;
};

/** A field as it stands in the segment. */
struct shmc_field_info {
	const char *name; /* lives as long as the handle */
	uint32_t type;	  /* enum shmc_type */
	uint32_t count;
	uint32_t bytes;	 /* of one element */
	uint32_t parent; /* index + 1 of its struct, which comes before it; 0: none */
	uint64_t offset; /* in an element of the struct, or in the record */
};

/**
 * Makes a record of zeroes. It stays until shmc_unlink() or the broker's end.
 *
 * @param name		1 to 255 bytes, parts of [A-Za-z0-9_.-] joined by '/'
 *
 * Return: OK; INVALID (names the field and what is wrong with it: name, size, twice there); EXISTS;
 * MISMATCH (reuse: exists with another kind, version, layout or option); DENIED; QUOTA; NO_SPACE;
 * BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the record exists whole, with its schema, or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_record_create(struct shmc_client *client, const char *name,
				    const struct shmc_record_options *options,
				    struct shmc_error *error);

/**
 * Opens a record.
 *
 * @param expected	NULL: whatever fields it has
 * @param ret_record	the handle, given back with shmc_record_close()
 *
 * Return: OK; NOT_FOUND (nobody has made it yet); MISMATCH (another kind, or not as expected: names
 * the versions or the field); BUSY (all places of
 * writers and watchers are taken); CORRUPT; DENIED; QUOTA;
 * NO_SPACE; INVALID; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the endpoint is free again as soon as the broker sees the process end.
 * Since: 0.1
 */
enum shmc_result shmc_record_open(struct shmc_client *client, const char *name,
				  enum shmc_record_role role,
				  const struct shmc_record_expected *expected,
				  struct shmc_record **ret_record, struct shmc_error *error);

/**
 * Frees the handle. A transaction that is open is given up.
 *
 * Return: NULL, always; NULL is taken.
 * Threads: the handle's. Context: blocks up to the control timeout.
 * Crash: the same as never having called it.
 * Since: 0.1
 */
struct shmc_record *shmc_record_close(struct shmc_record *record);

/** The application's version of the schema; bytes of a record; fields in all. Since: 0.1 */
uint64_t shmc_record_version(const struct shmc_record *record);
uint64_t shmc_record_bytes(const struct shmc_record *record);
uint32_t shmc_record_field_count(const struct shmc_record *record);

/** Field @index as it stands in the segment: OK; INVALID when there are not so many. Since: 0.1 */
enum shmc_result shmc_record_field(const struct shmc_record *record, uint32_t index,
				   struct shmc_field_info *ret_info);

/**
 * Finds a field: "temperature", "wheels[2].pressure", "samples" (the array), "samples[7]".
 *
 * Return: OK; NOT_FOUND (no such field); INVALID (not a path to one, or an index out of bounds).
 * Threads: any. Context: does not block; do it once, outside of loops. Since: 0.1
 */
enum shmc_result shmc_record_find(const struct shmc_record *record, const char *path,
				  struct shmc_place *ret_place);

/**
 * Takes a copy of the newest version into the handle, whole; the get calls read from it.
 *
 * Return: OK; CORRUPT; INVALID (in a transaction); FORKED.
 * Threads: the handle's. Context: never blocks, writes nothing shared.
 * Crash: nothing.
 * Since: 0.1
 */
enum shmc_result shmc_record_snapshot(struct shmc_record *record);

/** The same into memory of one's own. @param bytes at least shmc_record_bytes(), else TOO_BIG.
 *  @param ret_number may be NULL. Since: 0.1 */
enum shmc_result shmc_record_read(const struct shmc_record *record, void *ret_record,
				  uint64_t bytes, uint64_t *ret_number);

/**
 * Waits until another version is the newest than the one in the snapshot, and takes it as the
 * snapshot, whole. Where no snapshot was taken yet, it waits for the first commit, if there was
 * none. Versions that came and went in between are not seen: shmc_record_number() counts them.
 *
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait
 *
 * Return: OK; EMPTY (SHMC_TRY: there is none yet); TIMEOUT; CORRUPT; INVALID (a reader, who has no
 * place to wait at, or in a transaction); FORKED. Never PEER_DEAD, CLOSED or OWNER_DIED: whoever
 * opens it as writer is the next one, and what a dead one left unfinished is nowhere to be seen.
 * Anything but OK: the snapshot is as it was.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation; not signal-safe.
 * Crash: nothing; the place is free again as soon as the broker sees the process end.
 * Since: 0.1
 */
enum shmc_result shmc_record_wait(struct shmc_record *record, int64_t timeout_ns);

/**
 * A descriptor that is readable when there may be a newer version: for poll, epoll, libuv. When it
 * is, or at first, call shmc_record_wait() with SHMC_TRY until it says EMPTY; that arms it again.
 *
 * @param ret_fd	the handle's; not to be closed, read or written
 *
 * Return: OK; INVALID (a reader, who has no place); NO_SPACE; BROKER_LOST; STALE; FORKED.
 * Threads: the handle's. Context: blocks up to the control timeout the first time.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_record_fd(struct shmc_record *record, int *ret_fd, struct shmc_error *error);

/** How many versions were committed up to the snapshot; 0: it is the zeroes of the beginning.
 *  Since: 0.1 */
uint64_t shmc_record_number(const struct shmc_record *record);

/** The snapshot, or in a transaction the draft, as bytes; NULL in a forked child. Since: 0.1 */
const void *shmc_record_data(const struct shmc_record *record);

/**
 * Reads one value of the snapshot, or in a transaction of the draft.
 *
 * @param type		what the field must be
 * @param bytes		size of what @ret_value points to: of a string, room with its NUL; else
 *			exactly that of the field
 *
 * Return: OK; MISMATCH (another type or size, or the field is an array); TOO_BIG (the string is
 * longer); NOT_FOUND (an element that the array does not use now); CORRUPT; INVALID (not a place of
 * this record); FORKED. Anything but OK: nothing was copied.
 * Threads: the handle's. Context: does not block. Crash: nothing. Since: 0.1
 */
enum shmc_result shmc_record_get(const struct shmc_record *record, const struct shmc_place *place,
				 enum shmc_type type, void *ret_value, uint64_t bytes);

/**
 * Reads an array: as many of its elements as are used. Strings lie one behind the other, each in
 * its room.
 *
 * @param max		elements that @ret_values has room for; fewer than there are: TOO_BIG
 *
 * Return: OK, and as shmc_record_get(); MISMATCH: not an array. Since: 0.1
 */
enum shmc_result shmc_record_get_array(const struct shmc_record *record,
				       const struct shmc_place *place, enum shmc_type type,
				       void *ret_values, uint64_t max, uint64_t *ret_count);

/** A value or an array as text, cut to @bytes, NUL included. Returns as find and get. Since: 0.1 */
enum shmc_result shmc_record_get_text(const struct shmc_record *record, const char *path,
				      char *ret_text, uint64_t bytes);

/**
 * Begins a transaction: from here to commit or abort this handle is the only writer. The draft is
 * the newest version.
 *
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait for other writers
 *
 * Return: OK; TIMEOUT (another writes, also with SHMC_TRY); CORRUPT; INVALID (not a writer, or in a
 * transaction already); FORKED.
 * Threads: the handle's. Context: SHMC_TRY never blocks; no allocation; not signal-safe.
 * Crash: nothing of the transaction is seen; the next writer waits for the broker's notice, some
 * 0.2 ms.
 * Since: 0.1
 */
enum shmc_result shmc_record_begin(struct shmc_record *record, int64_t timeout_ns);

/**
 * Changes one value of the draft. Setting an element of an array behind those in use uses all up to
 * it.
 *
 * @param bytes		size of @value; of a string, its length without the NUL
 *
 * Return: OK; MISMATCH (another type or size, or the field is an array); TOO_BIG (the string has no
 * room); INVALID (no transaction; not UTF-8; a bool that is neither 0 nor 1; not a place of this
 * record); CORRUPT; FORKED. Anything but OK: nothing was changed.
 * Threads: the handle's. Context: does not block. Crash: as begin. Since: 0.1
 */
enum shmc_result shmc_record_put(struct shmc_record *record, const struct shmc_place *place,
				 enum shmc_type type, const void *value, uint64_t bytes);

/**
 * Makes an array these elements and no others. Of structs it must be all of them.
 *
 * Return: as put; MISMATCH: not an array; TOO_BIG: more than it can hold. Since: 0.1
 */
enum shmc_result shmc_record_put_array(struct shmc_record *record, const struct shmc_place *place,
				       enum shmc_type type, const void *values, uint64_t count);

/** The same from text, for one value. Returns as find and put. Since: 0.1 */
enum shmc_result shmc_record_put_text(struct shmc_record *record, const char *path,
				      const char *text);

/** The draft as bytes, for programs that know the layout; NULL outside of a transaction.
 *  Since: 0.1 */
void *shmc_record_edit(struct shmc_record *record);

/**
 * Ends a transaction: readers see all of it from now on (commit), or it never was (abort).
 *
 * Return: OK; INVALID (no transaction); FORKED.
 * Threads: the handle's. Context: does not block. Crash: done or not done. Since: 0.1
 */
enum shmc_result shmc_record_commit(struct shmc_record *record);
enum shmc_result shmc_record_abort(struct shmc_record *record);

/**
 * A whole record as one transaction.
 *
 * @param bytes		exactly shmc_record_bytes(), else MISMATCH
 *
 * Return, threads, context, crash: as begin. Since: 0.1
 */
enum shmc_result shmc_record_write(struct shmc_record *record, const void *data, uint64_t bytes,
				   int64_t timeout_ns);

/** What all writers did: commits as messages, sleeps as waits. Returns OK; FORKED. Since: 0.1 */
enum shmc_result shmc_record_statistics(const struct shmc_record *record,
					struct shmc_statistics *ret_statistics);

#ifdef __cplusplus
}
#endif

#endif
