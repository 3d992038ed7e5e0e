/*
 * Segment, the broker's side: what it is made of, whose it is, and who holds which place.
 *
 * The table of places lives here, in private memory, and is the authority: what stands in the
 * shared records is written from it and read back only for statistics. Nothing stays mapped; a
 * segment is mapped for the length of one call.
 *
 *	made (claimed, invisible) -> ready -> unlinked -> gone with its last attachment and repair
 */
#ifndef SHMBROKER_SEGMENT_H
#define SHMBROKER_SEGMENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/list.h"
#include "daemon/policy.h"
#include "daemon/quota.h"
#include "protocol/kinds.h"
#include "protocol/segment.h"

struct attachment;
struct broker;
struct bundle_finding;
struct call;
struct nest;
struct state_place;
struct state_segment;

/* One endpoint's place. */
struct place {
	struct attachment *holder;    /* NULL = nobody */
	const struct shmp_role *role; /* of the last holder, NULL = nobody yet */
	uint64_t incarnation;	      /* of the last holder */
	pid_t pid;		      /* of the last holder */
	uid_t uid;
	uint32_t deaths;
	bool is_repairing; /* the holder is gone, what he left is not all taken back */
	bool has_died;	   /* how he went */
	uint64_t death;	   /* entry in the record of deaths that waits for the repair, 0 = none */
	int ring_fd;	   /* doorbell, -1 = none */
	int poll_fd;	   /* its other end, so that asking twice gives the same */
	struct state_place *kept;
};

struct segment {
	struct broker *broker;
	char *name;
	const struct shmp_kind *kind;
	struct shmp_plan plan;
	struct shmp_segment_fds fds; /* of an object: its parent's, that they are pieces of */
	struct segment *parent;	     /* NULL: it is no object in another */
	struct list sibling;	     /* in the parent's nest */
	uint32_t entry;		     /* in the parent's table, while it is linked */
	struct nest *nest;	     /* NULL: it holds no objects, or is not complete */
	struct ownership ownership;
	uint64_t generation;
	uint64_t created_ns; /* CLOCK_REALTIME */
	uint64_t tag;	     /* of the call that made it, 0 = none: it may be said again */
	struct state_segment *kept;
	struct charge charge; /* of the segment */
	struct charge bytes;  /* of its memory */
	bool is_ready;	      /* complete */
	bool is_linked;	      /* has its name */
	uint32_t attachments; /* endpoints and observers */
	uint32_t repairing;   /* places */
	uint32_t objects;     /* in its nest */
	struct list pending;  /* in repairs, while repairing > 0 */
	void *init;	      /* what the creation brought, until it is complete */
	size_t init_bytes;
	struct call *creator;  /* while being made; NULL = hung up */
	int creator_pidfd;     /* while being made; -1 = not known, or nobody has to live for it */
	struct list waiting;   /* calls that want the same name, while being made */
	struct place places[]; /* plan.endpoint_count */
};

uint64_t segment_bytes(const struct segment *segment);

/*
 * Makes an unreserved segment and claims @name for it. @owner pays. 0; -EDQUOT with *ret_quota
 * naming the limit; -ENOSPC the limit on all memory; another -errno.
 */
int segment_new(struct broker *broker, const char *name, const struct shmp_kind *kind,
		const struct shmp_plan *plan, const struct ownership *owner,
		enum quota_kind *ret_quota, struct segment **ret_segment);
/*
 * The same for @name in @parent, whose owner pays for the segment and has paid for the bytes. 0;
 * an enum nest_lack; -EDQUOT; another -errno. What is in its memory is to be cleared.
 */
int segment_new_inside(struct segment *parent, const char *name, const struct shmp_kind *kind,
		       const struct shmp_plan *plan, struct segment **ret_segment);
/*
 * Takes up what an earlier broker kept, with the descriptors that were found for it; an object
 * takes its parent's, which is there already. 0 or -errno.
 */
int segment_restore(struct broker *broker, struct state_segment *kept, const char *name,
		    const struct shmp_kind *kind, struct segment *parent,
		    const struct bundle_finding *finding, struct segment **ret_segment);
/* While it is being made: for whom. */
void segment_set_creator(struct segment *segment, struct call *creator);
/* Whether the process that it is being made for has ended; asked once, before it is complete. */
bool segment_lost_creator(struct segment *segment);
/* Reserved by now: seals and initialises it and makes it visible. 0 or -errno. */
int segment_complete(struct segment *segment);
/* Frees the name, and those of all objects; the segment goes when nobody needs it any more. */
void segment_unlink(struct segment *segment);
/* To be called when an attachment or a repair has ended. */
void segment_release(struct segment *segment);

/* Maps what the kind's functions need; init needs @all. 0 or -errno. */
int segment_map(const struct segment *segment, enum shmp_access access, bool all,
		struct shmp_segment *ret_map);
/* Rings every doorbell there is. */
void segment_ring(const struct segment *segment);
/* As what place @index is or was held, or can only be held; NULL when that is open. */
const struct shmp_role *segment_role_at(const struct segment *segment, uint32_t index);
/* Places of a role: from shmp_role_first() on. */
uint32_t segment_role_places(const struct segment *segment, const struct shmp_role *role);

/* How its memory is had: "huge_pages", "prefault", "mlock". */
void segment_add_memory(cJSON *object, const struct segment *segment);
/* The effective options under "options". */
void segment_add_options(cJSON *object, const struct segment *segment);

#endif
