/*
 * Attachment: one opening of a segment by a client, an endpoint's place or an observer's view.
 * It is charged to the client and keeps the segment, unlinked or not.
 */
#ifndef SHMBROKER_ATTACHMENT_H
#define SHMBROKER_ATTACHMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/quota.h"

struct client;
struct segment;
struct shmp_role;
struct state_holding;

struct attachment {
	uint64_t id; /* within the client */
	struct client *client;
	struct segment *segment;
	const struct shmp_role *role;
	struct charge charge;
	uint32_t place;	 /* not an observer's */
	bool is_held;	 /* while a Hello is worked off: its client says so */
	bool is_unheard; /* its client may not know of it, and says the Attach again */
	struct state_holding *kept;
};

/*
 * Opens @segment for @client, in @place unless the role observes. 0; -EDQUOT; another -errno.
 */
int attachment_open(struct client *client, struct segment *segment, const struct shmp_role *role,
		    uint32_t place, struct attachment **ret_attachment);
/* One that an earlier broker kept, as it was. Its place is place_restore_holder's. 0 or -errno. */
int attachment_restore(struct client *client, struct segment *segment, const struct shmp_role *role,
		       struct state_holding *kept, struct attachment **ret_attachment);
/* Ends it, by itself or with its process; the place is repaired and its counterparts woken. */
void attachment_close(struct attachment *attachment, bool died);

/*
 * The one that an Attach made of which the client did not get the answer, now that it says it again:
 * NULL when there is none. Others that it does not know of are given back.
 */
struct attachment *attachment_claim(struct client *client, const struct segment *segment,
				    const struct shmp_role *role);

/* NULL when the client has none of that id. */
struct attachment *attachment_find(const struct client *client, uint64_t id);
bool attachment_observes(const struct attachment *attachment);

#endif
