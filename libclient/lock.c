#include "libclient/lock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "libclient/move.h"
#include "libclient/wait.h"

/* gettid() is a system call. A child of fork() has another word of `alive`, and another thread. */
static _Thread_local struct {
	const uint32_t *alive;
	uint32_t tid;
} lock_thread __attribute__((tls_model("initial-exec")));

static SHMP_COLD uint32_t lock_ask_tid(const uint32_t *alive)
{
	lock_thread.alive = alive;
	lock_thread.tid = (uint32_t)syscall(SYS_gettid);
	return lock_thread.tid;
}

static inline uint32_t lock_tid(const struct shmc__object *object)
{
	if (SHMP_LIKELY(lock_thread.alive == object->alive))
		return lock_thread.tid;
	return lock_ask_tid(object->alive);
}

static int lock_move_read(void *locker)
{
	return shmp_lock_try_read(locker);
}

static int lock_move_claim(void *locker)
{
	return shmp_lock_claim(locker);
}

static int lock_move_enter(void *locker)
{
	return shmp_lock_enter(locker);
}

static SHMP_COLD int lock_read_later(struct shmc__object *object, struct shmp_locker *locker,
				     int64_t timeout_ns)
{
	return shmc__wait(object, &locker->lock->freed, timeout_ns, lock_move_read, locker);
}

SHMC__HOT int shmc__lock_read(struct shmc__object *object, struct shmp_locker *locker,
			      int64_t timeout_ns)
{
	int r = shmp_lock_try_read(locker);

	if (SHMP_LIKELY(r != SHMP_HELD) || timeout_ns == 0)
		return r;
	return lock_read_later(object, locker, timeout_ns);
}

/* What is left of a timeout that began at @start_ns. */
static int64_t lock_remaining(int64_t timeout_ns, uint64_t start_ns)
{
	uint64_t passed = shmp_clock_ns() - start_ns;

	if (timeout_ns < 0)
		return timeout_ns;
	return passed < (uint64_t)timeout_ns ? timeout_ns - (int64_t)passed : 0;
}

static SHMP_COLD int lock_write_later(struct shmc__object *object, struct shmp_locker *locker,
				      int64_t timeout_ns)
{
	uint64_t start_ns = shmp_clock_ns();
	int r = shmc__wait(object, &locker->lock->freed, timeout_ns, lock_move_claim, locker);

	if (r == SHMP_DONE)
		r = shmc__wait(object, &locker->lock->left, lock_remaining(timeout_ns, start_ns),
			       lock_move_enter, locker);
	shmp_lock_withdraw(locker); /* unless it has become more than a claim */
	return r;
}

SHMC__HOT int shmc__lock_write(struct shmc__object *object, struct shmp_locker *locker,
			       int64_t timeout_ns)
{
	int r;

	locker->tid = lock_tid(object);
	r = shmp_lock_try_write(locker);
	if (SHMP_LIKELY(r != SHMP_HELD) || timeout_ns == 0)
		return r;
	return lock_write_later(object, locker, timeout_ns);
}
