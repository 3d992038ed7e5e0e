/*
 * Doorbell: what makes a waiting endpoint readable in epoll, poll and libuv.
 *
 * One end of an AF_UNIX stream socketpair is the receiver's pollable descriptor; the other end
 * rings. Ringing is one byte sent without blocking; a full buffer means "already rung". (An
 * eventfd can be turned against its writer: O_NONBLOCK belongs to the shared file.)
 *
 * The receiver arms in the call that returns EMPTY, in this order: drain, arm, barrier, look
 * again. Any other order loses a ring. Only the receiver, or repair, disarms.
 */
#ifndef SHMP_DOORBELL_H
#define SHMP_DOORBELL_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/waiter.h"

/*
 * Broker: makes the pair, close-on-exec, and rings once so that the first poll returns. -errno.
 * @has_passrights: the kernel can keep descriptors out of it. Where it cannot, closing the last of
 * an end may block for as long as whoever sent one there chose.
 */
int shmp_doorbell_make(bool has_passrights, int *ret_ring_fd, int *ret_poll_fd);

/* Rings without blocking; harmless on a dead or full bell. */
void shmp_doorbell_ring(int ring_fd);

/*
 * Drains @poll_fd, arms with the non-zero @arming (count it up per arming) and passes the
 * barrier. The caller looks at the structure again afterwards. 0, or -EBADMSG when a ringer has
 * shut it down: it is readable for ever, and whoever polls it would never sleep again.
 */
int shmp_doorbell_arm(int poll_fd, struct shmp_waiter *waiter, struct shmp_endpoint *self,
		      uint32_t endpoint, uint32_t arming, bool has_membarrier);

/* The receiver is awake again. */
void shmp_doorbell_disarm(struct shmp_waiter *waiter, struct shmp_endpoint *self,
			  uint32_t endpoint);

#endif
