/*
 * record: one value of many fields, changed as a whole by writers who take turns, and read whole by
 * any number of readers who write nothing and are never held up.
 *
 *	ctl:	newest, four version words (128) | the writers' lock (256) |
 *		where those wait who want the next version (128)
 *	data:	the schema (schema.h), to the next 64 | four versions of the record
 *
 * Use. A writer: lock (lock.h), shmp_record_begin, changes in the draft, shmp_record_commit or
 * nothing, unlock; then, if shmp_record_is_watched, shmp_record_tell. A reader: shmp_record_read.
 * One who has a place, a watcher, may also sleep on `committed` until shmp_record_is_newer.
 *
 * Guarantee. A read gives one committed version, whole. What was committed before the read began is
 * in it. A writer that dies or is stopped anywhere disturbs no reader; the next writer begins with
 * the version that was committed last, and needs no telling that its predecessor died.
 *
 * Commit number c lies in slot c mod 4, and its version word is c; the number of a fresh record, of
 * zeroes, is 1. begin: slot s of c + 1; version[s] = 0; release fence; the newest is copied, and
 * changed. commit: version[s] = c + 1, release; newest = c + 1, release: this is the commit. Reader:
 * newest, acquire; version[s] is that number, acquire; copy; acquire fence; version[s] once more.
 *
 * Why it is correct.
 * - A reader that sees a byte of a later change in its copy sees, behind the two fences, the 0 that
 *   was stored before it, or a later number: the copy is discarded. Numbers are of 64 bits and never
 *   come again; parity would.
 * - A slot is written again only by the fourth commit from the one that is in it. So a read begins
 *   anew only if three others were committed, and a fourth begun, since it loaded `newest`. Not
 *   wait-free, but held up only by commits that are done.
 * - A writer dead before newest = c + 1 has published nothing: newest still says c, and slot c mod 4
 *   is whole. Its successor takes the same slot s and makes its version 0 again. So repair has only
 *   the lock to do, and NEEDS_RECOVERY says nothing: the successor clears it without a look.
 * - Whoever waits is told as everywhere (waiter.h): the commit is the publication.
 *   A writer dead between its commit and the telling leaves nobody asleep, since repair wakes all.
 *
 * Hostile words: the number chooses one of four slots by its last two bits, and attempts are
 * counted; it ends in a wrong copy, or -EBADMSG.
 *
 * Edges:
 * [N] newest: commit -> read, publishes a version and its word
 * [V] version: commit -> read, publishes the slot
 * [D] draft: begin's release fence -> read's acquire fence; who sees a changed byte sees the 0
 *
 * Calls that may run together: reads with everything; writers exclude each other by the lock.
 * Progress: read lock-free; writers blocking, by the lock; telling wait-free.
 */
#ifndef SHMP_RECORD_H
#define SHMP_RECORD_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/abi.h"
#include "protocol/copy.h"
#include "protocol/kinds.h"
#include "protocol/lock.h"
#include "protocol/look.h"
#include "protocol/outcome.h"
#include "protocol/schema.h"
#include "protocol/segment.h"
#include "protocol/waiter.h"

#define SHMP_RECORD_VERSION  2u
#define SHMP_RECORD_SLOTS    4u
#define SHMP_RECORD_ATTEMPTS (1u << 16) /* more than commits can spoil in a row */

enum shmp_record_option {
	SHMP_RECORD_BYTES = 0,
	SHMP_RECORD_SCHEMA_BYTES = 1,
	SHMP_RECORD_LAYOUT_HASH = 2,
	SHMP_RECORD_SCHEMA_VERSION = 3,
	SHMP_RECORD_ENDPOINTS_MAX = 4,
};

struct shmp_record_control {
	_Alignas(128) _Atomic uint64_t newest;
	_Atomic uint64_t version[SHMP_RECORD_SLOTS];
	uint64_t reserved[11];
	struct shmp_lock lock;
	struct shmp_waiter committed;
	uint64_t waiter_reserved[8];
};
SHMP_FREEZE(shmp_record_control, 512);
SHMP_FIELD(shmp_record_control, newest, 0);
SHMP_FIELD(shmp_record_control, version, 8);
SHMP_FIELD(shmp_record_control, reserved, 40);
SHMP_FIELD(shmp_record_control, lock, 128);
SHMP_FIELD(shmp_record_control, committed, 384);
SHMP_FIELD(shmp_record_control, waiter_reserved, 448);

extern const struct shmp_kind shmp_record_kind;

/* Private to the process. */
struct shmp_record {
	const uint8_t *schema;
	uint8_t *slots;
	struct shmp_record_control *control;
	uint64_t bytes;	 /* of the record */
	uint64_t stride; /* from slot to slot */
	uint64_t number; /* of the draft */
	uint8_t *draft;
	const struct shmp_endpoint *endpoints;
	uint32_t endpoint_count;
	uint32_t words; /* of attention */
	struct shmp_waiter_memory telling;
	struct shmp_waiter_memory ringing[SHMP_ENDPOINTS_MAX];
};

void shmp_record_view(const struct shmp_segment *segment, struct shmp_record *ret_record);

static inline uint8_t *shmp_record_slot(const struct shmp_record *record, uint64_t number)
{
	return record->slots + number % SHMP_RECORD_SLOTS * record->stride;
}

static inline uint64_t shmp_record_newest(const struct shmp_record *record)
{
	/* [N] acquire; pairs with shmp_record_commit */
	return atomic_load_explicit(&record->control->newest, memory_order_acquire);
}

/* A race by design, kept from the thread sanitizer: what comes of it is judged afterwards. */
static inline void shmp_record_copy(void *to, const void *from, uint64_t bytes)
{
#if defined(__SANITIZE_THREAD__)
	shmp_look_copy(to, from, bytes);
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
	shmp_look_copy(to, from, bytes);
#else
	shmp_copy(to, from, bytes);
#endif
#else
	shmp_copy(to, from, bytes);
#endif
}

/* One try: whether @ret_record is version @number, whole. */
static inline bool shmp_record_try_read(const struct shmp_record *record, uint64_t number,
					void *ret_record)
{
	const _Atomic uint64_t *version = &record->control->version[number % SHMP_RECORD_SLOTS];

	/* [V] acquire; pairs with shmp_record_commit */
	if (SHMP_UNLIKELY(atomic_load_explicit(version, memory_order_acquire) != number))
		return false;
	shmp_record_copy(ret_record, shmp_record_slot(record, number), record->bytes);
	/* [D] fence; pairs with shmp_record_begin */
	atomic_thread_fence(memory_order_acquire);
	/* relaxed: ordered behind the copy by the fence */
	return SHMP_LIKELY(atomic_load_explicit(version, memory_order_relaxed) == number);
}

/* The newest version, whole: DONE with its number, or -EBADMSG. */
static inline int shmp_record_read(const struct shmp_record *record, void *ret_record,
				   uint64_t *ret_number)
{
	for (unsigned int i = 0; i < SHMP_RECORD_ATTEMPTS; i++) {
		uint64_t number = shmp_record_newest(record);

		if (SHMP_LIKELY(shmp_record_try_read(record, number, ret_record))) {
			*ret_number = number;
			return SHMP_DONE;
		}
	}
	return -EBADMSG;
}

/* Under the lock: makes record->draft, whose bytes are of an old version. */
static inline void shmp_record_begin(struct shmp_record *record)
{
	/* [N] acquire; pairs with shmp_record_commit. The lock orders it already */
	uint64_t number = atomic_load_explicit(&record->control->newest, memory_order_acquire) + 1;

	record->number = number;
	record->draft = shmp_record_slot(record, number);
	/* relaxed: ordered before the draft's bytes by the fence */
	atomic_store_explicit(&record->control->version[number % SHMP_RECORD_SLOTS], 0,
			      memory_order_relaxed);
	/* [D] fence; pairs with shmp_record_try_read */
	atomic_thread_fence(memory_order_release);
}

/* Then, unless all of it is going to be written: the draft begins as the newest version. */
static inline void shmp_record_keep(const struct shmp_record *record)
{
	shmp_record_copy(record->draft, shmp_record_slot(record, record->number - 1),
			 record->bytes);
}

static inline void shmp_record_commit(struct shmp_record *record)
{
	struct shmp_record_control *control = record->control;

	/* [V] release; pairs with shmp_record_try_read */
	atomic_store_explicit(&control->version[record->number % SHMP_RECORD_SLOTS], record->number,
			      memory_order_release);
	/* [N] release; pairs with shmp_record_newest */
	atomic_store_explicit(&control->newest, record->number, memory_order_release);
	record->draft = NULL;
}

/* Whether another version than @number is the newest; 0: than that of a fresh record. */
static inline bool shmp_record_is_newer(const struct shmp_record *record, uint64_t number)
{
	return shmp_record_newest(record) != (number != 0 ? number : 1);
}

/* After a commit: whether somebody waits for it. */
static inline bool shmp_record_is_watched(const struct shmp_record *record)
{
	return shmp_waiter_wanted(&record->control->committed, record->words);
}

/* ... and telling all of them. */
SHMP_COLD void shmp_record_tell(struct shmp_record *record, shmp_ring_fn ring, void *ringer);

#endif
