/*
 * Notice: one message that a service sent to its manager, "READY=1\nSTATUS=Serving", read. The
 * manager's side of systemd.h; what is not of the protocol is passed over, as systemd does it.
 */
#ifndef SHMBROKER_NOTICE_H
#define SHMBROKER_NOTICE_H

#include <stdbool.h>
#include <stddef.h>

#define NOTICE_BYTES_MAX      4096u
#define NOTICE_NAME_BYTES_MAX 255u

struct notice {
	bool is_ready;
	bool is_alive;	  /* WATCHDOG=1 */
	bool is_stopping; /* nothing is done about it */
	bool is_barrier;  /* BARRIER=1, and nothing else */
	bool stores;	  /* FDSTORE=1 */
	bool removes;	  /* FDSTOREREMOVE=1 */
	const char *name; /* FDNAME=, NULL = none; in the text */
	const char *status;
};

/* @text is cut into lines in place, and has to live as long as the notice. */
void notice_read(char *text, struct notice *ret_notice);
/* What can stand in LISTEN_FDNAMES: 1 to 255 printable bytes of ASCII without ':'. */
bool notice_name_is_valid(const char *name);

#endif
