/*
 * buffer: raw bytes, a lock over them, and checksums of ranges.
 *
 * Use. A process holds an endpoint, as reader or as writer, by one struct shmp_buffer. The bytes
 * are at shmp_buffer_at; the lock (lock.h) is in it, and is the caller's to take: bytes that one
 * writer writes and others read at their own time need none.
 *
 * Guarantee. No access outside the size. What was written under the lock is seen whole under it,
 * or, when the writer was killed, with OWNER_DIED. A stored checksum is of the whole range and
 * was stored in whole: what a writer was about to store when it was killed is not stored.
 *
 * Layout. ctl: the lock; a table of checksums; then the endpoints. data: the bytes, in whole pages.
 * An entry of the table is changed by who holds the lock to write, and read by who holds it at all:
 *
 *	NONE --store: offset, bytes, then sum--> sum | STORED --store again, or forget--> NONE
 *
 * `sum` is 0 while offset and bytes change, so that a death in between leaves NONE.
 *
 * Edges: those of lock.h.
 *
 * Calls that may run together: all, of different endpoints; of one endpoint one at a time.
 * Progress: wait-free, but for the lock.
 */
#ifndef SHMP_BUFFER_H
#define SHMP_BUFFER_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/abi.h"
#include "protocol/endpoint.h"
#include "protocol/kinds.h"
#include "protocol/lock.h"
#include "protocol/outcome.h"
#include "protocol/segment.h"

#define SHMP_BUFFER_VERSION 1u

enum shmp_buffer_option {
	SHMP_BUFFER_SIZE_BYTES = 0,
	SHMP_BUFFER_ENDPOINTS_MAX = 1,
	SHMP_BUFFER_CHECKSUMS_MAX = 2,
};

/* Index in the kind's roles. */
enum shmp_buffer_role {
	SHMP_BUFFER_READER = 0,
	SHMP_BUFFER_WRITER = 1,
	SHMP_BUFFER_OBSERVER = 2,
};

struct shmp_buffer_control {
	struct shmp_lock lock;
};
SHMP_FREEZE(shmp_buffer_control, 256);
SHMP_FIELD(shmp_buffer_control, lock, 0);

#define SHMP_BUFFER_STORED (UINT64_C(1) << 32)

/* Behind the control, as many as the option says. */
struct shmp_buffer_checksum {
	_Alignas(32) _Atomic uint64_t offset;
	_Atomic uint64_t bytes;
	_Atomic uint64_t sum; /* CRC32C | STORED, 0 = none */
	uint64_t reserved;
};
SHMP_FREEZE(shmp_buffer_checksum, 32);
SHMP_FIELD(shmp_buffer_checksum, offset, 0);
SHMP_FIELD(shmp_buffer_checksum, bytes, 8);
SHMP_FIELD(shmp_buffer_checksum, sum, 16);
SHMP_FIELD(shmp_buffer_checksum, reserved, 24);

extern const struct shmp_kind shmp_buffer_kind;

/* Private to the process that holds the endpoint. */
struct shmp_buffer {
	uint8_t *data;
	uint64_t size;
	struct shmp_buffer_checksum *checksums;
	uint64_t checksum_count;
	struct shmp_locker locker;
};

/* Takes up @endpoint of a mapped segment, assigned by the broker. 0 or -EBADMSG. */
int shmp_buffer_attach(const struct shmp_segment *segment, uint32_t endpoint,
		       struct shmp_buffer *ret_buffer);

/* Whether @bytes from @offset on lie inside; nothing at the very end does. */
static inline bool shmp_buffer_has(const struct shmp_buffer *buffer, uint64_t offset,
				   uint64_t bytes)
{
	return SHMP_LIKELY(offset <= buffer->size && bytes <= buffer->size - offset);
}

static inline uint8_t *shmp_buffer_at(const struct shmp_buffer *buffer, uint64_t offset)
{
	return buffer->data + offset;
}

/* The kind's look: buffer_look.c. */
int shmp_buffer_look(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		     void *context);

/* Checksums of ranges that lie inside: buffer_checksum.c. */

/* Holding the lock to write: DONE; FULL: the table has no room for another range. */
int shmp_buffer_store_checksum(struct shmp_buffer *buffer, uint64_t offset, uint64_t bytes);
/* Holding the lock to write: DONE; EMPTY: none of this range is stored. */
int shmp_buffer_forget_checksum(struct shmp_buffer *buffer, uint64_t offset, uint64_t bytes);
/* Holding the lock: the range of entry @index of the table; false: it has none. */
bool shmp_buffer_checksum_range(const struct shmp_buffer *buffer, uint64_t index,
				uint64_t *ret_offset, uint64_t *ret_bytes);
/*
 * Holding the lock: whether the bytes at @copy, or those of the buffer itself if NULL, are those
 * that were there when their checksum was stored. DONE; DAMAGED; EMPTY: none is stored.
 */
int shmp_buffer_verify(const struct shmp_buffer *buffer, uint64_t offset, uint64_t bytes,
		       const void *copy);

#endif
