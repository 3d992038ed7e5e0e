/*
 * Lock: how a handle takes the lock of its segment (protocol/lock.h) within a time.
 */
#ifndef SHMC__LOCK_H
#define SHMC__LOCK_H

#include <stdint.h>

#include "libclient/object.h"
#include "protocol/lock.h"

/*
 * DONE; OWNER_DIED (done, too); HELD (@timeout_ns 0) or SHMC__WAIT_TIMEOUT; UNRECOVERABLE; -EINVAL:
 * to write while reading; -EBADMSG. Unless it is done, nothing is held that was not before.
 */
int shmc__lock_read(struct shmc__object *object, struct shmp_locker *locker, int64_t timeout_ns);
int shmc__lock_write(struct shmc__object *object, struct shmp_locker *locker, int64_t timeout_ns);

#endif
