/*
 * Bundles: descriptors that outlive the broker.
 *
 * The manager keeps few descriptors well and many badly, so it keeps bundles: both ends of a socket
 * pair in whose queue the descriptors lie, a message for each item. A successor peeks at all of
 * them, which leaves them where they are for its own successor.
 *
 * A dropped item stays in its queue for a while. When there are more of them than others, queues
 * are turned over, a little with each drop: what is dropped goes, what is not is sent to the end
 * before it is taken from the head. Whoever is killed in between leaves it there twice.
 *
 * What lies in a queue is in flight: all of it counts against RLIMIT_NOFILE of the broker's user,
 * beyond which nobody but root sends a descriptor to anybody.
 */
#ifndef SHMBROKER_BUNDLE_H
#define SHMBROKER_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUNDLE_FDS_MAX 3u /* in one item */

struct bundle {
	int in;
	int out; /* its queue is the bundle */
	size_t messages;
};

struct bundle_item {
	uint64_t number;
	size_t copies; /* messages */
};

struct bundles {
	struct bundle *bundles;
	size_t count;
	size_t room;
	size_t filling;		   /* index of the one that is filled */
	size_t turning;		   /* index of the one that is being turned over */
	size_t turned;		   /* messages of it so far */
	size_t messages;	   /* in all of them */
	size_t descriptors;	   /* in all messages: that many are in flight */
	struct bundle_item *items; /* that are not dropped, by number */
	size_t item_count;
	size_t item_room;
	uint32_t number; /* of the bundle made last: its name */
};

#define BUNDLES_NULL ((struct bundles){ .bundles = NULL })

/* An item as an earlier broker left it. */
struct bundle_finding {
	uint64_t number;
	size_t fd_count;
	int fds[BUNDLE_FDS_MAX];
};

struct bundle_findings {
	struct bundle_finding *findings; /* by number */
	size_t count;
	size_t room;
};

/* Forgets them: the manager has them all. */
void bundles_deinit(struct bundles *bundles);

/*
 * Puts duplicates of @fds into a bundle, as item @number, greater than any before. 0; -ETOOMANYREFS
 * as much is in flight as may be, less what turning over and the answers to clients need; another
 * -errno.
 */
int bundles_park(struct bundles *bundles, uint64_t number, const int *fds, size_t fd_count);
/* Harmless on 0, and on what is not there. */
void bundles_drop(struct bundles *bundles, uint64_t number);

/* Whether somebody knows the item @number. */
typedef bool bundle_known_fn(void *context, uint64_t number);

/*
 * Takes over what was passed to this process. What nobody knows is dropped as it is met, with its
 * memory: there may be as much of it as of the rest, and no room for both. 0 or -errno.
 */
int bundles_take(struct bundles *bundles, bundle_known_fn *is_known, void *context,
		 struct bundle_findings *ret_findings);
/* The descriptors of an item, the caller's from now on; 0 or -ENOENT. */
int bundle_findings_take(struct bundle_findings *findings, uint64_t number,
			 struct bundle_finding *ret_finding);
/* Drops what nobody took, with its memory. */
void bundle_findings_drop(struct bundle_findings *findings, struct bundles *bundles);
/* Forgets it. */
void bundle_findings_deinit(struct bundle_findings *findings);

/* Gives back the memory of a memfd that others may have open: a queue has, for a while. */
void bundle_empty_file(int fd);

#endif
