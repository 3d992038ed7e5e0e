/*
 * Arena: many named objects of the other kinds inside one segment. Here is the directory that tells
 * of them; an object itself is laid out as a segment of its kind is (segment.h), at an offset.
 *
 *	ctl:	what is used and free (64) | buckets, 4 bytes each | entries, 32 bytes and a name each
 *	objects: the objects' ctl, packed
 *	data:	the objects' data, in whole pages
 *
 * The broker alone writes the directory; clients get a descriptor that is read-only, and look names
 * up by themselves. What they map follows from the broker's reply to Attach, never from here: an
 * entry says that there is such an object, and which one it is.
 *
 * An entry stays in its place for as long as its object has its name. Its generation is the
 * object's, 0 while there is none and while it is being changed; generations are never used twice,
 * so an index and a generation are a handle that tells a deleted object from its successor. Entries
 * of one hash modulo the buckets are a chain, whose links are an index + 1, 0 at the end.
 *
 * Guarantee. A look-up finds an object that has its name during all of the look-up, and finds none
 * that never had it meanwhile. What it says of an object is of that object, whole.
 *
 * Why it is correct.
 * - Who reads a field of a later object in an entry finds, behind the two fences, another generation
 *   than before, and drops what it read.
 * - A chain may lead astray while it is being changed: a link is followed out of an entry that has
 *   become another's. So a miss is believed only if the directory's version is even and the same
 *   before and after. Else, after some tries, each entry is looked at in turn: an object that is
 *   there all the time is in one of them.
 * - A broker that dies within a change leaves an odd version, or an entry that nobody finds: misses
 *   then take the long way for ever, and are right.
 *
 * Hostile words: there are none as long as only the broker can write; even so an index is bounded
 * before it is used, and a chain is followed for as many steps as there are entries.
 *
 * Edges:
 * [G] entry.generation: enlist -> what reads an entry, publishes its fields
 * [E] entry: enlist's and delist's release fence -> readers' acquire fence; who sees a later field
 *     sees another generation
 * [V] version: enlist and delist, when done -> find; the chains that belong to it
 * [C] chains: enlist's and delist's release fence -> find's acquire fence; who sees a changed link
 *     sees another version
 *
 * Calls that may run together: readers with everything; enlist and delist are the broker's, one at a
 * time. Progress: all wait-free; a look-up takes at most tries + 1 walks over all entries.
 */
#ifndef SHMP_ARENA_H
#define SHMP_ARENA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/abi.h"
#include "protocol/kinds.h"
#include "protocol/segment.h"

#define SHMP_ARENA_VERSION	  1u
#define SHMP_ARENA_ENTRIES_MAX	  4096u
#define SHMP_ARENA_NAME_BYTES_MAX 256u
#define SHMP_ARENA_NAME_WORDS_MAX (SHMP_ARENA_NAME_BYTES_MAX / 8)

enum shmp_arena_option {
	SHMP_ARENA_NAME_BYTES = 0,
	SHMP_ARENA_ENTRIES = 1,
	SHMP_ARENA_CONTROL_BYTES = 2,
	SHMP_ARENA_DATA_BYTES = 3,
};

struct shmp_arena_control {
	_Alignas(64) _Atomic uint64_t version; /* odd while the directory is being changed */
	_Atomic uint64_t used;		       /* entries */
	_Atomic uint64_t control_free;	       /* bytes of objects */
	_Atomic uint64_t control_largest;      /* ... in one piece */
	_Atomic uint64_t data_free;
	_Atomic uint64_t data_largest;
	uint64_t reserved[2];
};
SHMP_FREEZE(shmp_arena_control, 64);
SHMP_FIELD(shmp_arena_control, used, 8);
SHMP_FIELD(shmp_arena_control, control_free, 16);
SHMP_FIELD(shmp_arena_control, control_largest, 24);
SHMP_FIELD(shmp_arena_control, data_free, 32);
SHMP_FIELD(shmp_arena_control, data_largest, 40);
SHMP_FIELD(shmp_arena_control, reserved, 48);

struct shmp_arena_entry {
	_Alignas(8) _Atomic uint64_t generation;
	_Atomic uint32_t hash;
	_Atomic uint32_t next; /* index + 1 */
	_Atomic uint32_t kind;
	_Atomic uint32_t control_lines; /* of SHMP_SEGMENT_PACKING bytes */
	_Atomic uint32_t data_page;	/* where data begins; without any: 0 */
	_Atomic uint32_t data_pages;
	_Atomic uint64_t name[]; /* name_bytes / 8, filled up with zeroes */
};
SHMP_FREEZE(shmp_arena_entry, 32);
SHMP_FIELD(shmp_arena_entry, hash, 8);
SHMP_FIELD(shmp_arena_entry, next, 12);
SHMP_FIELD(shmp_arena_entry, kind, 16);
SHMP_FIELD(shmp_arena_entry, control_lines, 20);
SHMP_FIELD(shmp_arena_entry, data_page, 24);
SHMP_FIELD(shmp_arena_entry, data_pages, 28);
SHMP_FIELD(shmp_arena_entry, name, 32);

extern const struct shmp_kind shmp_arena_kind;

/* Private to the process. */
struct shmp_arena {
	struct shmp_arena_control *control;
	_Atomic uint32_t *buckets;
	uint8_t *entries;
	uint32_t bucket_mask;
	uint32_t entry_count;
	uint32_t entry_bytes;
	uint32_t name_words;
};

/* One object, as it was at some moment. */
struct shmp_arena_object {
	uint64_t generation;
	uint32_t index; /* of its entry */
	uint32_t kind;
	uint64_t control_bytes;
	uint64_t data_offset;
	uint64_t data_bytes;
};

void shmp_arena_view(const struct shmp_segment *segment, struct shmp_arena *ret_arena);

/* Bytes of a directory. */
uint64_t shmp_arena_directory_bytes(uint64_t name_bytes, uint64_t entries);

/* Whether there is an object of that name, and which. */
bool shmp_arena_find(const struct shmp_arena *arena, const char *name,
		     struct shmp_arena_object *ret_object);
/* Whether @index still is, or was a moment ago, the object of that generation. */
bool shmp_arena_is_current(const struct shmp_arena *arena, uint32_t index, uint64_t generation);
/* Entry @index, if there is an object in it. @ret_name: SHMP_ARENA_NAME_BYTES_MAX + 1 bytes. */
bool shmp_arena_read(const struct shmp_arena *arena, uint32_t index, char *ret_name,
		     struct shmp_arena_object *ret_object);

/* The broker's: takes a name into entry @index, which is free, or out of it. */
void shmp_arena_enlist(const struct shmp_arena *arena, const char *name,
		       const struct shmp_arena_object *object);
void shmp_arena_delist(const struct shmp_arena *arena, uint32_t index);
/*
 * The broker's, after one that may have died in the middle of either: begin, then relist for each
 * object there is, then end. An entry that is right stays in force all the while, and since the
 * version is odd, who does not find it by the links looks at every entry.
 */
void shmp_arena_relist_begin(const struct shmp_arena *arena);
void shmp_arena_relist(const struct shmp_arena *arena, const char *name,
		       const struct shmp_arena_object *object);
void shmp_arena_relist_end(const struct shmp_arena *arena);

#endif
