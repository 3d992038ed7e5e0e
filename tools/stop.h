/*
 * Stop: ending by signal in good order, so that the other side of a queue sees one who left and
 * not one who died. The second signal ends the process at once.
 */
#ifndef SHMBROKERCTL_STOP_H
#define SHMBROKERCTL_STOP_H

#include <stdint.h>

/* SIGINT, SIGTERM and SIGHUP, unless ignored, are noted from now on. 0 or -errno. */
int stop_catch(void);
/* The exit code that the signal asks for, 0 = none came. */
int stop_code(void);
/*
 * Waits until @fd is readable: 0; -ETIMEDOUT after @timeout_ns (-1 = never); -EINTR when a signal
 * came; another -errno.
 */
int stop_or_readable(int fd, int64_t timeout_ns);
/* The same with two; 0 also when both are, 1 when only @other is. */
int stop_or_either(int fd, int other, int64_t timeout_ns);

#endif
