/*
 * array: a fixed number of elements of one size in shared memory, used through a pointer as any
 * array is, or by calls that check every bound.
 *
 * Nothing orders what two processes do to the same element at the same time: let each write its own
 * part, or use an atomic, a record or a lock where that is not enough. Every call is wait-free.
 * Crash: what a process had stored when it died is there, nothing else; there is nothing to repair.
 *
 * A handle may be used by several threads at once, but to close it. In a forked child every call
 * returns FORKED and the pointer leads nowhere. vfork and CLONE_VM children must not use handles.
 */
#ifndef SHMCLIENT_ARRAY_H
#define SHMCLIENT_ARRAY_H

#include <stdint.h>

#include "shmclient/client.h"
#include "shmclient/type.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_array;

enum shmc_array_role {
	SHMC_ARRAY_WRITER = 0,
	SHMC_ARRAY_READER = 1,	 /* its memory is mapped read-only */
	SHMC_ARRAY_OBSERVER = 2, /* as a reader, and takes no endpoint */
};

/** How to make an array, or what is expected of one. Zero-filled is the default for everything. */
struct shmc_array_options {
	/** Size of an element in bytes, up to 2^31; 0: that of element_type, or 1. */
	uint64_t element_bytes;
	/** How many there are, 1 to 2^40; 0: 1024. All together at most 2^40 bytes. */
	uint64_t elements;
	/** What they are: a scalar enum shmc_type, 0, or from SHMC_TYPE_OWN to 2^53 - 1 whatever
	 *  number the application gives its struct. */
	uint64_t element_type;
	/** Writers and readers together, 1 to 255; 0: 64. */
	uint64_t endpoints_max;
	/** Rights as in chmod; 0: SHMC_MODE_PRIVATE. */
	uint32_t mode;
	/** Not 0: an existing array of the same options is as good as a new one. */
	uint32_t reuse;
	/** Owner, group, huge pages, prefault, mlock; NULL: the defaults. */
	const struct shmc_create_options *common;
};

/**
 * Makes an array of zeroes. It stays until shmc_unlink() or the broker's end.
 *
 * @param name		1 to 255 bytes, parts of [A-Za-z0-9_.-] joined by '/'
 * @param options	NULL for the defaults
 *
 * Return: OK; EXISTS; MISMATCH (reuse: exists with other kind or options; names what is there and
 * what was wanted); INVALID (names the argument); TOO_BIG (names the limit); DENIED; QUOTA;
 * NO_SPACE; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the array exists whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_array_create(struct shmc_client *client, const char *name,
				   const struct shmc_array_options *options,
				   struct shmc_error *error);

/**
 * Opens an array.
 *
 * @param expected	NULL, or what it must be: each of element_bytes, elements and element_type
 *			that is not 0 is compared with what is there; the rest is ignored
 * @param ret_array	the handle, given back with shmc_array_close()
 *
 * Return: OK; NOT_FOUND; MISMATCH (another kind, or not as expected: names both); BUSY (all
 * endpoints are taken); DENIED; QUOTA; NO_SPACE; INVALID; BROKER_LOST; FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: the endpoint is free again as soon as the broker sees the process end.
 * Since: 0.1
 */
enum shmc_result shmc_array_open(struct shmc_client *client, const char *name,
				 enum shmc_array_role role,
				 const struct shmc_array_options *expected,
				 struct shmc_array **ret_array, struct shmc_error *error);

/**
 * Gives the endpoint back and frees the handle; pointers into the array end with it.
 *
 * Return: NULL, always; NULL is taken.
 * Threads: when no other thread uses the handle. Context: blocks up to the control timeout.
 * Crash: the same as never having called it.
 * Since: 0.1
 */
struct shmc_array *shmc_array_close(struct shmc_array *array);

/**
 * The first element, aligned to a page. Valid until the handle is closed.
 *
 * Return: the address; NULL in a forked child. shmc_array_edit: NULL for a reader, too.
 * Threads: any. Context: does not block or allocate; signal-safe.
 * Since: 0.1
 */
const void *shmc_array_data(const struct shmc_array *array);
void *shmc_array_edit(struct shmc_array *array);

/**
 * Copies one element out (get) or in (set).
 *
 * @param index		from 0 on
 * @param element_bytes	size of what @ret_element or @element points to
 *
 * Return: OK; INVALID (no such element; set: not a writer); MISMATCH (elements are of another
 * size); FORKED. Anything but OK: nothing was copied.
 * Threads: any. Context: does not block or allocate; signal-safe.
 * Crash: set: any part of the element may have been written.
 * Since: 0.1
 */
enum shmc_result shmc_array_get(const struct shmc_array *array, uint64_t index, void *ret_element,
				uint64_t element_bytes);
enum shmc_result shmc_array_set(struct shmc_array *array, uint64_t index, const void *element,
				uint64_t element_bytes);

/**
 * Copies many elements out (read) or in (write).
 *
 * @param first		the first of them, from 0 on
 * @param count		how many, 0 is fine; @first + @count must be within the array
 *
 * Return: OK; INVALID (beyond the end; write: not a writer); FORKED. Anything but OK: nothing was
 * copied.
 * Threads: any. Context: does not block or allocate.
 * Crash: write: any part of them may have been written.
 * Since: 0.1
 */
enum shmc_result shmc_array_read(const struct shmc_array *array, uint64_t first, uint64_t count,
				 void *ret_elements);
enum shmc_result shmc_array_write(struct shmc_array *array, uint64_t first, uint64_t count,
				  const void *elements);

/**
 * Makes @count elements from @first on copies of one (fill), or all of them zeroes (clear).
 *
 * @param element	one element; it may lie in the array
 *
 * Return, threads, context, crash: as shmc_array_write().
 * Since: 0.1
 */
enum shmc_result shmc_array_fill(struct shmc_array *array, uint64_t first, uint64_t count,
				 const void *element);
enum shmc_result shmc_array_clear(struct shmc_array *array);

/**
 * What the array was made with, as rounded by the broker; mode and reuse are 0.
 *
 * Return: OK; FORKED. Threads: any. Context: does not block. Since: 0.1
 */
enum shmc_result shmc_array_options_of(const struct shmc_array *array,
				       struct shmc_array_options *ret_options);

/**
 * What writers copied in by calls, elements as messages; what went through pointers nobody counts.
 *
 * Return: OK; FORKED. Threads: any. Context: does not block. Since: 0.1
 */
enum shmc_result shmc_array_statistics(const struct shmc_array *array,
				       struct shmc_statistics *ret_statistics);

#ifdef __cplusplus
}
#endif

#endif
