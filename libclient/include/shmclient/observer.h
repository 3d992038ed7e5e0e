/*
 * Observer: looks at what is in a segment, of whatever kind, and takes nothing. Those who use it
 * do not notice: everything is mapped read-only, and no endpoint is taken.
 *
 * What is shown is a copy of something that was there whole at some moment during the call. What
 * moves on faster than it can be copied is not shown, and counted where a look follows another.
 *
 * A handle serves one thread at a time. In a forked child every call returns FORKED.
 */
#ifndef SHMCLIENT_OBSERVER_H
#define SHMCLIENT_OBSERVER_H

#include <stdint.h>

#include "shmclient/client.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_observer;

/** Flags of an item. */
#define SHMC_ITEM_REDELIVERED 1u /* was in the hands of a receiver that died */
#define SHMC_ITEM_UNFINISHED  2u /* claimed and not yet published: nothing to see in it */
#define SHMC_ITEM_GONE	      4u /* taken by its receiver already; its bytes are still whole */

/** One piece of what is in a segment: a message, slot, field, element, object. It and what it
 *  points to live as long as the call that shows it. */
struct shmc_item {
	const char *what;  /* "message", "slot", "field", "element", ... */
	const char *name;  /* of a field; NULL: it has none */
	const char *state; /* "ready", "taken", ...; NULL: nothing to say */
	const char *text;  /* the value for people; NULL: it is just bytes */
	uint64_t position; /* where it is; grows along a look */
	uint64_t number;   /* by the kind's own count; UINT64_MAX: none */
	int64_t endpoint;  /* who wrote or holds it; -1: nobody, or not known */
	uint32_t flags;	   /* SHMC_ITEM_* */
	uint32_t reserved;
	uint64_t size;	     /* bytes it has */
	const void *data;    /* copy of them; NULL: there is none */
	uint64_t data_bytes; /* bytes of the copy: size, or what the buffer had room for */
};

/** Gets one item. 0: go on; anything else ends the look, and the next one begins with it again.
 *  May not call anything with the same handle. */
typedef int (*shmc_item_fn)(void *context, const struct shmc_item *item);

#define SHMC_LOOK_OLDEST UINT64_C(0)
#define SHMC_LOOK_NEWEST UINT64_MAX /* shows nothing: where the next item will be */
#define SHMC_LOOK_GONE	 1u /* also what was taken already, where the kind can still tell it */

/** What to look at. Zero-filled: everything that is there, without its bytes. */
struct shmc_look {
	/** Position of the first item: SHMC_LOOK_OLDEST, SHMC_LOOK_NEWEST, or what an earlier look
	 *  left here. Afterwards, where the next look goes on. */
	uint64_t from;
	/** Items to show at most; 0: no limit. */
	uint64_t max;
	/** Room for the bytes of one item; NULL: they are not copied. */
	void *buffer;
	uint64_t buffer_bytes;
	/** Grows by what lay between an earlier look and this one and was gone: messages, or bytes
	 *  with SHMC_POSITIONS_BYTES. */
	uint64_t missed;
	uint32_t flags; /* SHMC_LOOK_GONE */
	uint32_t reserved;
};

/**
 * Opens a segment of any kind that this library knows, to look at it. Its memory is neither filled
 * in nor locked, whatever its creator chose (SHMC_CREATE_PREFAULT, _MLOCK).
 *
 * @param ret_observer	the handle, given back with shmc_observer_close()
 *
 * Return: OK; NOT_FOUND; MISMATCH (a kind or layout that this library does not know, with both
 * versions); DENIED (the read right on the name is needed); QUOTA; NO_SPACE; INVALID; BROKER_LOST;
 * FORKED.
 * Threads: any; control calls of one client take turns. Context: blocks up to the control timeout.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_observer_open(struct shmc_client *client, const char *name,
				    struct shmc_observer **ret_observer, struct shmc_error *error);

/**
 * Frees the handle.
 *
 * Return: NULL, always; NULL is taken.
 * Threads: the handle's. Context: blocks up to the control timeout.
 * Since: 0.1
 */
struct shmc_observer *shmc_observer_close(struct shmc_observer *observer);

/** The kind's name, e.g. "spsc"; lives as long as the library. Since: 0.1 */
const char *shmc_observer_kind(const struct shmc_observer *observer);

/** What a segment was made with, beside the options of its kind. */
struct shmc_observer_info {
	uint32_t kind_version; /* of the layout */
	uint32_t flags;	       /* SHMC_CREATE_HUGE_PAGES, _PREFAULT, _MLOCK */
	uint32_t mode;	       /* rights as in chmod; 0: this broker does not say */
	uint32_t owner;	       /* user, with the mode; of an object: its arena's */
	uint32_t group;
	uint32_t reserved;
};

/** Fills it in. Return: OK; FORKED. Threads: any. Context: never blocks. Since: 0.1 */
enum shmc_result shmc_observer_info(const struct shmc_observer *observer,
				    struct shmc_observer_info *ret_info);

/** What its positions mean to who follows. */
enum shmc_positions {
	SHMC_POSITIONS_REUSED = 0, /* what is there changes: fields, elements */
	SHMC_POSITIONS_ITEMS = 1, /* never used again, they count items: go on where a look ended */
	SHMC_POSITIONS_BYTES = 2, /* the same, they count bytes */
};

/** Whether it can be followed by positions. Since: 0.1 */
enum shmc_positions shmc_observer_positions(const struct shmc_observer *observer);

/**
 * Shows what is in the segment, item by item.
 *
 * @param look	what is wanted; afterwards where to go on
 * @param fn	gets each item
 *
 * Return: OK; CORRUPT (it holds bytes that none of its users writes; what came before was shown);
 * NO_SPACE (of a record, which is copied whole first); FORKED.
 * Threads: the handle's. Context: never blocks, but for what @fn does; bounded by what the segment
 * can hold.
 * Crash: nothing stays behind.
 * Since: 0.1
 */
enum shmc_result shmc_observer_look(const struct shmc_observer *observer, struct shmc_look *look,
				    shmc_item_fn fn, void *context);

/** Gets one number of the structure, e.g. "depth_messages". */
typedef void (*shmc_figure_fn)(void *context, const char *name, uint64_t value);

/**
 * The kind's numbers, as `shmbrokerctl describe` shows them; each right for some moment.
 *
 * Return: OK; FORKED.
 * Threads: any. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_observer_figures(const struct shmc_observer *observer, shmc_figure_fn fn,
				       void *context);

/**
 * The options of the kind that it was made with, in effective values: what a segment of the same
 * size and behaviour is made with. Of a record they say how large its schema is, not what it says.
 *
 * @param fn	gets each, by the name that `shmbrokerctl kinds` shows
 *
 * Return: OK; FORKED.
 * Threads: any. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_observer_options(const struct shmc_observer *observer, shmc_figure_fn fn,
				       void *context);

#ifdef __cplusplus
}
#endif

#endif
