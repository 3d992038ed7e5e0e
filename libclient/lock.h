/*
 * Lock: how a handle takes the lock of its segment (protocol/lock.h) within a time.
 */
#ifndef SHMC__LOCK_H
#define SHMC__LOCK_H

#include <stdint.h>

#include "libclient/object.h"
#include "protocol/lock.h"

/* gettid() is a system call. A child of fork() has another word of `alive`, and another thread. */
struct shmc__lock_thread {
	const uint32_t *alive;
	uint32_t tid;
};

extern _Thread_local struct shmc__lock_thread shmc__lock_thread
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

SHMP_COLD void shmc__lock_ask_thread(const uint32_t *alive);
SHMP_COLD int shmc__lock_read_later(struct shmc__object *object, struct shmp_locker *locker,
				    int64_t timeout_ns);
SHMP_COLD int shmc__lock_write_later(struct shmc__object *object, struct shmp_locker *locker,
				     int64_t timeout_ns);

/*
 * DONE; OWNER_DIED (done, too); HELD (@timeout_ns 0) or SHMC__WAIT_TIMEOUT; UNRECOVERABLE; -EINVAL:
 * to write while reading; -EBADMSG. Unless it is done, nothing is held that was not before.
 */
static inline __attribute__((always_inline)) int shmc__lock_read(struct shmc__object *object,
								 struct shmp_locker *locker,
								 int64_t timeout_ns)
{
	int r = shmp_lock_try_read(locker);

	if (SHMP_LIKELY(r != SHMP_HELD) || timeout_ns == 0)
		return r;
	return shmc__lock_read_later(object, locker, timeout_ns);
}

static inline __attribute__((always_inline)) int shmc__lock_write(struct shmc__object *object,
								  struct shmp_locker *locker,
								  int64_t timeout_ns)
{
	int r;

	if (SHMP_UNLIKELY(shmc__lock_thread.alive != object->alive))
		shmc__lock_ask_thread(object->alive);
	locker->tid = shmc__lock_thread.tid;
	r = shmp_lock_try_write(locker);
	if (SHMP_LIKELY(r != SHMP_HELD) || timeout_ns == 0)
		return r;
	return shmc__lock_write_later(object, locker, timeout_ns);
}

#endif
