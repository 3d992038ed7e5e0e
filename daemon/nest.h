/*
 * Nest: what is in a segment that holds objects. An object is a segment like any other, with its
 * places, its kind and its name, "arena:object"; only its memory is a piece of its parent's, and
 * owner and rights are its parent's.
 *
 * Who allocates is this, in private memory; the table that clients read is written from it. That
 * table stays mapped, unlike anything a client can write: taking a name out of it cannot fail.
 *
 * An entry and its name are free again when the object is unlinked; its memory when nobody has it
 * open any more, nor anything in it to be repaired.
 */
#ifndef SHMBROKER_NEST_H
#define SHMBROKER_NEST_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/heap.h"
#include "daemon/list.h"
#include "protocol/kinds.h"
#include "protocol/segment.h"

struct segment;

struct nest {
	struct shmp_segment map; /* the table */
	struct heap control;
	struct heap data;
	uint32_t used;	     /* entries, those of objects being made included */
	struct list objects; /* that have memory, linked or not */
	bool has_strangers;  /* somebody who may only read has, or had, one of them open */
	uint32_t entry_count;
	struct segment *entries[]; /* NULL = free */
};

/* Why there is no place for an object. */
enum nest_lack {
	NEST_LACK_NONE = 0,
	NEST_LACK_ENTRY = 1,
	NEST_LACK_CONTROL = 2,
	NEST_LACK_DATA = 3,
};

/* For a complete segment whose kind holds objects. 0 or -errno. */
int nest_new(const struct segment *parent, struct nest **ret_nest);
/* NULL, always; takes NULL. Nothing may be in it. */
struct nest *nest_free(struct nest *nest);

/* Longest name of an object. */
uint32_t nest_name_bytes(const struct segment *parent);

/* Entry and memory for @object, whose plan gets its offsets. 0; -ENOMEM; or an enum nest_lack. */
int nest_take(struct segment *object);
/* What it had under an earlier broker, its entry included if it is linked. 0 or -errno. */
int nest_restore(struct segment *object);
/* Makes the table that clients read say just what is there, whatever an earlier broker left. */
void nest_relist(const struct segment *parent);
/* Tells clients of it: it is complete. */
void nest_enlist(const struct segment *object);
/* Its name is free from here on. */
void nest_delist(struct segment *object);
/* Its memory is free from here on. */
void nest_give(struct segment *object);

/* Somebody who may only read maps all that is in it: see require_pieces in kinds.h. 0 or -errno. */
int nest_beware(struct segment *parent);

#endif
