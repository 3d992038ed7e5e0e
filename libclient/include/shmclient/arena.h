/*
 * arena: many named objects of any other kind inside one segment.
 *
 * An object is made, opened and unlinked by the calls of its kind under the name "arena:object",
 * as in shmc_array_create(client, "sim:positions", ...). It has its arena's owner and mode: whoever
 * may write the arena may make and unlink objects in it, and open them in any role; whoever may only
 * read it may open them in roles that write nothing, not even where a position or a lock is kept.
 * Memory that an object gives back is used again. An object that was unlinked stays for those who
 * have it open; unlinking the arena unlinks all of its objects.
 *
 * A handle on the arena itself is for looking names up: without the broker, without a system call,
 * while others make and unlink objects. Nothing of an arena is lost with a process, whoever made it.
 *
 * A handle may be used by several threads at once, but to close it. In a forked child every call
 * returns FORKED. vfork and CLONE_VM children must not use handles.
 */
#ifndef SHMCLIENT_ARENA_H
#define SHMCLIENT_ARENA_H

#include <stdint.h>

#include "shmclient/client.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_arena;

/** Tables of usual sizes: longest name in bytes x entries. */
enum shmc_arena_table {
	SHMC_ARENA_TABLE_OWN = 0,     /* as name_bytes and entries say */
	SHMC_ARENA_TABLE_16X16 = 1,   /* 896 bytes */
	SHMC_ARENA_TABLE_32X64 = 2,   /* 4416 bytes */
	SHMC_ARENA_TABLE_64X256 = 3,  /* 25 664 bytes */
	SHMC_ARENA_TABLE_256X1024 = 4 /* 299 072 bytes */
};

/** How to make an arena. Zero-filled is the default for everything. */
struct shmc_arena_options {
	/** Longest name of an object in bytes, 1 to 256, rounded up to a multiple of 8; 0: 32. */
	uint64_t name_bytes;
	/** How many objects at most, 1 to 4096; 0: 64. */
	uint64_t entries;
	/** Room for what objects need beside their data, in bytes, up to 2^40: 256, what the kind
	 *  needs, and 128 for each endpoint there may be. 0: 10 KiB for each entry. */
	uint64_t control_bytes;
	/** Room for their data in bytes, up to 2^40; each takes whole pages of 4096. 0: 1 MiB. */
	uint64_t data_bytes;
	/** An enum shmc_arena_table; not OWN: name_bytes and entries are what it says. */
	uint32_t table;
	/** Rights as in chmod, for the arena and all that is in it; 0: SHMC_MODE_PRIVATE. */
	uint32_t mode;
	/** Not 0: an existing arena of the same options is as good as a new one. */
	uint32_t reuse;
	uint32_t reserved; /* must be 0 */
	/** Owner, group; prefault and mlock, which are the directory's: an object is told of them
	 *  when it is made. NULL: the defaults. */
	const struct shmc_create_options *common;
};

/** An object, as it was when it was looked up. A handle on its name: see shmc_arena_check(). */
struct shmc_arena_object {
	uint64_t generation; /* no two objects of a broker ever have the same */
	uint64_t data_bytes; /* of the arena's, whole pages */
	uint64_t control_bytes;
	const char *kind; /* "array", ...; "" for one that this library does not know */
	uint32_t index;	  /* in the table, from 0 on, until it is unlinked */
	uint32_t reserved;
};

/** What is used and what is free, each right for some moment. */
struct shmc_arena_statistics {
	uint64_t entries;
	uint64_t entries_used;
	uint64_t directory_bytes; /* what the table takes */
	uint64_t control_bytes;
	uint64_t control_free_bytes;
	uint64_t control_largest_bytes; /* the largest object that fits */
	uint64_t data_bytes;
	uint64_t data_free_bytes;
	uint64_t data_largest_bytes;
};

/**
 * Makes an arena with nothing in it. It stays until shmc_unlink() or the broker's end.
 *
 * @param name		1 to 255 bytes, parts of [A-Za-z0-9_.-] joined by '/'
 * @param options	NULL for the defaults
 *
 * What is made in it later: QUOTA when all entries are used, NO_SPACE when no free piece of its
 * memory is large enough, TOO_BIG for a longer name; nothing is changed then, and the error says
 * what there is. Its owner's quota of bytes pays for the arena, once; each object is one segment.
 *
 * Return: OK; EXISTS; MISMATCH (reuse: exists with other kind or options; names what is there and
 * what was wanted); INVALID (names the argument); TOO_BIG (names the limit); DENIED; QUOTA;
 * NO_SPACE; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the arena exists whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_arena_create(struct shmc_client *client, const char *name,
				   const struct shmc_arena_options *options,
				   struct shmc_error *error);

/**
 * Opens an arena to look names up in it; its objects are opened without it. Takes no endpoint in
 * anything; needs the right to read.
 *
 * @param ret_arena	the handle, given back with shmc_arena_close()
 *
 * Return: OK; NOT_FOUND; MISMATCH (another kind); DENIED; QUOTA; NO_SPACE; INVALID; BROKER_LOST;
 * FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: nothing is left behind.
 * Since: 0.1
 */
enum shmc_result shmc_arena_open(struct shmc_client *client, const char *name,
				 struct shmc_arena **ret_arena, struct shmc_error *error);

/**
 * Frees the handle. Objects that are open stay open.
 *
 * Return: NULL, always; NULL is taken.
 * Threads: when no other thread uses the handle. Context: blocks up to the control timeout.
 * Crash: the same as never having called it.
 * Since: 0.1
 */
struct shmc_arena *shmc_arena_close(struct shmc_arena *arena);

/**
 * Looks an object up by its name within the arena, as "positions" for "sim:positions".
 *
 * @param ret_object	may be NULL
 *
 * An object that has the name all the while is found, whatever others make and unlink meanwhile.
 *
 * Return: OK; NOT_FOUND; FORKED.
 * Threads: any. Context: wait-free; no system call, no allocation; signal-safe.
 * Crash: nothing is left behind.
 * Since: 0.1
 */
enum shmc_result shmc_arena_find(const struct shmc_arena *arena, const char *name,
				 struct shmc_arena_object *ret_object);

/**
 * Whether an object that was looked up still has its name: OK, or NOT_FOUND when it was unlinked,
 * even if there is another of the same name, or in the same place, by now. Asked after opening it,
 * OK also says that what was opened is what was found.
 *
 * Return: OK; NOT_FOUND; FORKED.
 * Threads: any. Context: wait-free; no system call, no allocation; signal-safe.
 * Crash: nothing is left behind.
 * Since: 0.1
 */
enum shmc_result shmc_arena_check(const struct shmc_arena *arena,
				  const struct shmc_arena_object *object);

/** What shmc_arena_each() calls; both arguments live as long as the call. Not 0: no more. */
typedef int (*shmc_arena_fn)(void *context, const char *name,
			     const struct shmc_arena_object *object);

/**
 * Shows all objects, in the order of the table. Each that is there all the while is shown once;
 * one that is made or unlinked meanwhile may be shown or not. @fn may make, open and unlink objects.
 *
 * Return: OK, also when @fn ended it; FORKED.
 * Threads: any. Context: what @fn does; else wait-free and no system call.
 * Crash: nothing is left behind.
 * Since: 0.1
 */
enum shmc_result shmc_arena_each(const struct shmc_arena *arena, shmc_arena_fn fn, void *context);

/**
 * How much of it is used.
 *
 * Return: OK; FORKED. Threads: any. Context: does not block. Since: 0.1
 */
enum shmc_result shmc_arena_statistics(const struct shmc_arena *arena,
				       struct shmc_arena_statistics *ret_statistics);

/**
 * What the arena was made with, as rounded by the broker; table, mode and reuse are 0.
 *
 * Return: OK; FORKED. Threads: any. Context: does not block. Since: 0.1
 */
enum shmc_result shmc_arena_options_of(const struct shmc_arena *arena,
				       struct shmc_arena_options *ret_options);

#ifdef __cplusplus
}
#endif

#endif
