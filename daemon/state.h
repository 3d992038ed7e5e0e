/*
 * State: what the broker knows, in a private memfd that outlives it.
 *
 * Blocks of one size, each of which says by itself what it is and whose. A block is in force from
 * the store of its type on, the last of its making, until that word is cleared; a word in force is
 * changed by one store. So a broker that is killed between any two instructions leaves the old or
 * the new, and its successor reads all blocks and drops those whose owner is not there.
 *
 *	head | block | block | ...
 *
 * The broker is the only one that maps it. Where nobody keeps descriptors for it there is no state:
 * adding succeeds and gives NULL, and everything else takes NULL.
 *
 * One thread writes and a later process reads: what was executed before the kill is in memory, so
 * the order that matters is the compiler's.
 *
 * Edges:
 * [W] every word in force: broker -> its successor, publishes what was written before
 */
#ifndef SHMBROKER_STATE_H
#define SHMBROKER_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/name.h"
#include "protocol/segment.h"

#ifndef STATE_VERSION /* a test builds a broker of another one */
#define STATE_VERSION 1u
#endif
#define STATE_BLOCK_BYTES 512u
#define STATE_TEXT_BYTES  33u

enum state_type {
	STATE_FREE = 0,
	STATE_SEGMENT = 1,
	STATE_PLACES = 2,
	STATE_CLIENT = 3,
	STATE_HOLDINGS = 4,
	STATE_TYPES = 5,
};

/* A call that unlinked the segment of this generation. */
struct state_unlink {
	_Atomic uint64_t tag; /* last; 0 = none, or it was begun and did nothing */
	uint64_t generation;
};

#define STATE_UNLINKS 16u /* broker and answer are lost together: more than one at once is rare */

struct state_unlinks {
	_Atomic uint64_t
		count; /* of all there ever were: the next is calls[count % STATE_UNLINKS] */
	struct state_unlink calls[STATE_UNLINKS];
};

struct state_head {
	/* to `broker`: in every version, so that each can say what it does not understand */
	_Atomic uint64_t magic; /* last */
	uint32_t version;
	uint32_t block_bytes;
	char epoch[STATE_TEXT_BYTES];
	char broker[STATE_TEXT_BYTES]; /* version of who wrote it last */
	uint8_t reserved[6];
	/* given out last; never again */
	_Atomic uint64_t generation;
	_Atomic uint64_t client_serial;
	_Atomic uint64_t item;
	_Atomic uint64_t restarts;
	struct state_unlinks unlinks; /* the newest */
};

/* Of every block. */
struct state_mark {
	_Atomic uint64_t word; /* part << 8 | type: its owner's blocks of a type, from 0 on */
	uint64_t owner;
};

/* Owner: its generation. */
struct state_segment {
	struct state_mark mark;
	uint64_t parent; /* generation of the arena it is in, 0 = none */
	uint64_t created_ns;
	uint64_t item; /* its descriptors; an object's are its parent's */
	uint64_t tag;  /* of the call that made it */
	_Atomic uint64_t flags;
	uint32_t kind;
	uint32_t kind_version;
	uint32_t uid;
	uint32_t gid;
	uint32_t mode;
	uint32_t entry; /* in the parent's table */
	struct shmp_plan plan;
	char name[SHMP_NAME_MAX + 1];
};

enum state_segment_flag {
	STATE_LINKED = 1u,
	STATE_STRANGERS = 2u, /* a nest that has them */
};

enum state_place_status {
	STATE_PLACE_NEVER = 0,
	STATE_PLACE_HELD = 1,
	STATE_PLACE_LEAVING = 2, /* to be repaired, as is */
	STATE_PLACE_DYING = 3,
	STATE_PLACE_LEFT = 4,
	STATE_PLACE_DEAD = 5,
};

struct state_place {
	_Atomic uint64_t word; /* deaths << 8 | status; a death counts from DYING on */
	uint64_t incarnation;  /* this and below: in force with the word */
	_Atomic uint64_t bell; /* its descriptors, 0 = none */
	uint32_t pid;
	uint32_t uid;
	uint32_t role;
	uint32_t death; /* low half of the id of the record of deaths that waits for its repair */
};

#define STATE_PLACES_PER_BLOCK 12u

/* Owner: the segment's generation. */
struct state_places {
	struct state_mark mark;
	struct state_place places[STATE_PLACES_PER_BLOCK];
};

/* Owner: the client's serial. */
struct state_client {
	struct state_mark mark;
	uint64_t item; /* its pidfd */
	uint64_t start_time;
	uint64_t since_ns;
	_Atomic uint64_t attachment_id; /* given out last */
	uint32_t pid;
	uint32_t uid;
	uint32_t gid;
	uint8_t has_membarrier;
	uint8_t is_control;
	char token[STATE_TEXT_BYTES];
	char name[65];
	uint8_t reserved[4];
	_Atomic uint64_t noticed_ns; /* that it has died, by CLOCK_MONOTONIC; 0 = it has not */
	uint64_t died_ns; /* the same moment by CLOCK_REALTIME; in force with noticed_ns */
	uint64_t held;	  /* what it had then */
};

/* One attachment. */
struct state_holding {
	_Atomic uint64_t id; /* last; 0 = free */
	uint64_t generation;
	uint64_t incarnation;
	uint32_t place; /* not an observer's */
	uint32_t role;
};

#define STATE_HOLDINGS_PER_BLOCK 15u

/* Owner: the client's serial. */
struct state_holdings {
	struct state_mark mark;
	struct state_holding holdings[STATE_HOLDINGS_PER_BLOCK];
};

_Static_assert(sizeof(struct state_segment) <= STATE_BLOCK_BYTES, "a block");
_Static_assert(sizeof(struct state_places) <= STATE_BLOCK_BYTES, "a block");
_Static_assert(sizeof(struct state_client) <= STATE_BLOCK_BYTES, "a block");
_Static_assert(sizeof(struct state_holdings) <= STATE_BLOCK_BYTES, "a block");
_Static_assert(sizeof(struct state_head) <= STATE_BLOCK_BYTES, "a block");

struct state {
	int fd;
	uint8_t *base;	/* NULL = there is none */
	uint32_t count; /* blocks, the head's included */
	uint32_t free;	/* the first that is not in force, 0 = none; its owner is the next */
};

#define STATE_NULL ((struct state){ .fd = -1 })

/* Who left one. */
struct state_origin {
	uint32_t version; /* of the state */
	char broker[STATE_TEXT_BYTES];
};

/* A new one. 0 or -errno. */
int state_make(const char *epoch, struct state *ret_state);
/*
 * One that an earlier broker left; takes @fd on success. 0; -EPROTONOSUPPORT it is of another
 * version, *ret_origin; -EBADMSG it is none; another -errno.
 */
int state_take(int fd, struct state *ret_state, struct state_origin *ret_origin);
/* What is written from here on stays with this process: its successor gets what there was. 0; -errno,
 * and what is written goes to the successor as before. */
int state_freeze(struct state *state);
/* Forgets it and leaves it as it is. */
void state_close(struct state *state);

static inline bool state_is_there(const struct state *state)
{
	return state->base != NULL;
}

/* NULL without a state. */
struct state_head *state_head(const struct state *state);

/*
 * A block of zeroes, not in force yet; *ret_block stays NULL without a state. It stays where it is.
 * 0; -ENOSPC; another -errno.
 */
int state_add(struct state *state, void **ret_block);
/* Puts it in force: all else of it is written. Harmless on NULL. */
void state_commit(struct state_mark *mark, enum state_type type, uint64_t owner, uint32_t part);
/* Takes it out of force, or gives it back unused. Harmless on NULL. */
void state_drop(struct state *state, struct state_mark *mark);

/* Calls @fn for every block of @type in force. */
void state_each(const struct state *state, enum state_type type,
		void (*fn)(void *context, struct state_mark *mark), void *context);

static inline void state_write(_Atomic uint64_t *word, uint64_t value)
{
	/* [W] release; pairs with state_read */
	atomic_store_explicit(word, value, memory_order_release);
	/* [W] fence; pairs with state_read: nothing that follows comes before it either */
	atomic_signal_fence(memory_order_seq_cst);
}

static inline uint64_t state_read(const _Atomic uint64_t *word)
{
	/* [W] acquire; pairs with state_write */
	return atomic_load_explicit(word, memory_order_acquire);
}

static inline enum state_type state_type_of(const struct state_mark *mark)
{
	return (enum state_type)(state_read(&mark->word) & 0xff);
}

static inline uint32_t state_part_of(const struct state_mark *mark)
{
	return (uint32_t)(state_read(&mark->word) >> 8);
}

/* ---- a file of one size, for what else outlives the broker ---------------------------------- */

struct state_file {
	int fd;
	void *base;
	size_t bytes;
};

#define STATE_FILE_NULL ((struct state_file){ .fd = -1 })

/* All zeroes. 0 or -errno. */
int state_file_make(const char *name, size_t bytes, struct state_file *ret_file);
/* Takes @fd, that an earlier broker left, in place of the one made here: where it is mapped stays.
 * 0; -EBADMSG it is of another size, and not taken; another -errno. */
int state_file_take(struct state_file *file, int fd);
/* As state_freeze. */
int state_file_freeze(struct state_file *file);
void state_file_close(struct state_file *file);

#endif
