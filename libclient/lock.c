#include "libclient/lock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "libclient/wait.h"

_Thread_local struct shmc__lock_thread shmc__lock_thread;

void shmc__lock_ask_thread(const uint32_t *alive)
{
	shmc__lock_thread.alive = alive;
	shmc__lock_thread.tid = (uint32_t)syscall(SYS_gettid);
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

int shmc__lock_read_later(struct shmc__object *object, struct shmp_locker *locker,
			  int64_t timeout_ns)
{
	return shmc__wait(object, &locker->lock->freed, timeout_ns, lock_move_read, locker);
}

/* What is left of a timeout that began at @start_ns. */
static int64_t lock_remaining(int64_t timeout_ns, uint64_t start_ns)
{
	uint64_t passed = shmp_clock_ns() - start_ns;

	if (timeout_ns < 0)
		return timeout_ns;
	return passed < (uint64_t)timeout_ns ? timeout_ns - (int64_t)passed : 0;
}

int shmc__lock_write_later(struct shmc__object *object, struct shmp_locker *locker,
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
