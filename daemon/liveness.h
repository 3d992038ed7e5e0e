/*
 * Liveness: which process is at the other end, and when it has ended, by the kernel's knowledge.
 *
 * A pidfd names the process that made the connection and nothing else ever; it becomes readable
 * when the process is a zombie, not when it is stopped. Kernels before 6.5 do not tell it for a
 * socket: there it is opened by number and proved by the start time the process gives.
 */
#ifndef SHMBROKER_LIVENESS_H
#define SHMBROKER_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/deaths.h"

/* 0; -ESRCH dead and reaped; -EOPNOTSUPP the kernel cannot tell; another -errno. */
int liveness_of_peer(int socket_fd, int *ret_pidfd);

/*
 * The living process @pid if it started at @start_time (clock ticks since boot). 0; -ESRCH when it
 * is not there or is another one; another -errno.
 */
int liveness_of_pid(pid_t pid, uint64_t start_time, int *ret_pidfd);

bool liveness_is_over(int pidfd);

/*
 * How the process behind @pidfd ended, which is over; its exit code or signal in *ret_value. Until
 * its parent has waited for it /proc tells, where the broker may see it there; afterwards the pidfd
 * does, on kernels since 6.15.
 */
enum death_end liveness_end(int pidfd, pid_t pid, uid_t uid, uint32_t *ret_value);

/* Whether two pidfds name one process: its number while both live, or its inode (6.9). */
bool liveness_is_same(int pidfd_a, pid_t pid_a, int pidfd_b, pid_t pid_b);

#endif
