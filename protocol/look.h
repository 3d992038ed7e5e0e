/*
 * Look: what is in a structure, seen by somebody who maps it read-only and tells nobody. A kind
 * walks its own memory; what it finds it shows piece by piece.
 *
 * Those who use the structure go on meanwhile and know nothing of it, so each piece is copied out
 * first and shown only if it is certain afterwards that nobody wrote over it before the copy was
 * whole. Which word tells that is the kind's affair.
 *
 * Hostile bytes: every word is loaded once and bounded, as in a move. The number of steps follows
 * from the plan and from @max, never from shared memory. A look may say -EBADMSG, and may show
 * nonsense that a peer wrote; it does not loop and does not leave the mapping.
 *
 * Threads: any number of lookers beside everything else. Progress: wait-free, bounded.
 */
#ifndef SHMP_LOOK_H
#define SHMP_LOOK_H

#include <stdbool.h>
#include <stdint.h>

struct shmp_segment;

#define SHMP_LOOK_OLDEST 0u
#define SHMP_LOOK_NEWEST UINT64_MAX /* shows nothing: only where the next one will be */

enum shmp_item_flag {
	SHMP_ITEM_REDELIVERED = 1u, /* was in hands that died, or will be flagged so */
	SHMP_ITEM_UNFINISHED = 2u,  /* claimed, not yet published: no payload */
	SHMP_ITEM_GONE = 4u,	    /* taken by its receiver already; bytes still whole */
};

/* One piece. Strings are constants or live as long as the call; NULL = nothing to say. */
struct shmp_item {
	const char *what;  /* "message", "slot", "field", "element", "object", "frame" */
	const char *name;  /* of a field */
	const char *state; /* "ready", "taken", ... */
	const char *text;  /* the value for people, where bytes alone do not tell */
	uint64_t position; /* grows along a look; another look may begin with it */
	uint64_t number;   /* by the kind's own count (a sequence number), UINT64_MAX = none */
	int64_t endpoint;  /* who wrote or holds it; -1 = nobody, or not known */
	uint32_t flags;
	uint64_t size;		/* payload bytes of the piece */
	const void *payload;	/* the copy, in the looker's room; NULL = not copied */
	uint64_t payload_bytes; /* copied: size, or as many as there was room for */
};

/* 0: go on. Anything else ends the look, whose next one begins with this piece again. */
typedef int (*shmp_item_fn)(void *context, const struct shmp_item *item);

struct shmp_look {
	uint64_t from; /* first position wanted; afterwards where the next look goes on */
	uint64_t max;  /* pieces to show at most */
	bool gone;     /* also what was taken already, where the kind can tell that it is whole */
	void *room;    /* for one payload */
	uint64_t room_bytes;
	uint64_t missed; /* grows by what lay behind @from and is not to be had any more; messages,
			  * or bytes where positions count bytes */
};

/* Copies what others may be writing, to be judged afterwards. */
void shmp_look_copy(void *to, const void *from, uint64_t bytes);

/* Copies as much of a payload of @size as there is room for, and says so in @item. */
void shmp_look_take(const struct shmp_look *look, const void *from, uint64_t size,
		    struct shmp_item *item);

#endif
