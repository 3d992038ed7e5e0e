/*
 * Disposal: closing what a stranger may have put a slow end to.
 *
 * A descriptor that a client sent can block whoever closes it for as long as the client chose, and
 * so can a socket with such descriptors unread. Kernels since 6.16 keep them out; on others they
 * are closed on libuv's thread pool, and until that is done they count as connections of their
 * sender, who gets no further ones beyond his limit.
 */
#ifndef SHMBROKER_DISPOSAL_H
#define SHMBROKER_DISPOSAL_H

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/list.h"

struct broker;
struct shmp_wire;

void disposals_init(struct list *disposals);
/* Waits for none. True when some were under way: the thread pool has them for ever. */
bool disposals_abandon(struct list *disposals);

/* Ends the wire of @uid's connection and closes its socket, here or elsewhere. */
void dispose_wire(struct broker *broker, struct shmp_wire *wire, uid_t uid);
/* Closes both ends of a pair to which clients have ends, too, @uid above all. */
void dispose_pair(struct broker *broker, int one, int other, uid_t uid);

#endif
