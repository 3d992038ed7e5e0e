/*
 * Wait: how a call with a timeout spends it. First it looks, closely and then ever less often,
 * for the client's spin time; then it parks on the structure's waiter.
 *
 * Spinning looks without pause at first: that is what a peer answering at once needs. After that
 * the pause grows, since each look takes the line from the producer that is filling it.
 *
 * A process that may use one cpu only cannot know whether the other side has to use the same one.
 * It finds out: when spinning was in vain several times, it is tried now and then only.
 */
#ifndef SHMC__WAIT_H
#define SHMC__WAIT_H

#include <stdint.h>

#include "libclient/object.h"
#include "protocol/waiter.h"

/* One move of the structure: an enum shmp_outcome or -errno. FULL, EMPTY and HELD are waited out. */
typedef int (*shmc__move_fn)(void *context);

/* What a polite processor does between two looks at a word. */
static inline void shmc__wait_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
	__asm__ __volatile__("yield");
#endif
}

#define SHMC__WAIT_TIMEOUT 100 /* beside the outcomes: the time is up */

/*
 * Repeats @move until it says anything but FULL, EMPTY or HELD, or @timeout_ns (negative: for ever) has
 * passed since the call. @waiter is the one that the counterpart notifies; no doorbell is armed.
 */
int shmc__wait(struct shmc__object *object, struct shmp_waiter *waiter, int64_t timeout_ns,
	       shmc__move_fn move, void *context);

#endif
