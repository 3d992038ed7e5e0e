/*
 * Systemd: the two small protocols by which a service manager starts and watches a service.
 * Written out here: both are a handful of lines, a library would be more to carry than to use.
 */
#ifndef SHMBROKER_SYSTEMD_H
#define SHMBROKER_SYSTEMD_H

#include <stdint.h>

/*
 * The listening socket that was passed under @name (FileDescriptorName=), -1 when there is none.
 */
int systemd_listen_fd(const char *name);
/* Takes the variables away, so that no child believes them. */
void systemd_listen_done(void);

/* "READY=1", "STATUS=..."; nothing happens without NOTIFY_SOCKET. Never blocks. */
void systemd_notify(const char *state);

/* Microseconds between two signs of life that the manager wants, 0 = none. */
uint64_t systemd_watchdog_us(void);

#endif
