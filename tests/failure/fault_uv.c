/*
 * Faults of libuv: what it asks the kernel for goes past fault.c, but it says so by its result.
 */
#include <errno.h>
#include <uv.h>

#include "tests/failure/fault.h"

#define WRAP(name_, declared_, passed_, ...)                                  \
	int __real_##name_ declared_;                                         \
	int __wrap_##name_ declared_;                                         \
	int __wrap_##name_ declared_                                          \
	{                                                                     \
		return fault_fails(#name_, (const int[]){ __VA_ARGS__, 0 }) ? \
			       -errno :                                       \
			       __real_##name_ passed_;                        \
	}

WRAP(uv_loop_init, (uv_loop_t * loop), (loop), ENOMEM, EMFILE, ENFILE)
WRAP(uv_signal_init, (uv_loop_t * loop, uv_signal_t *signal), (loop, signal), EMFILE, ENFILE)
WRAP(uv_signal_start, (uv_signal_t * signal, uv_signal_cb fn, int number), (signal, fn, number),
     ENOMEM)
WRAP(uv_poll_init, (uv_loop_t * loop, uv_poll_t *poll, int fd), (loop, poll, fd), ENOMEM, ENOSPC)
