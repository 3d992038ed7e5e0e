/*
 * Log: one structured line per event on stderr, "event=died pid=42 uid=1000 ...".
 *
 * A reader that does not read must not stop the broker: a line that cannot go now is dropped and
 * counted, and the next one that goes is preceded by the count. The same is done beyond a rate,
 * since strangers can cause lines. To the journal each line has its
 * priority in front ("<5>"), otherwise the time.
 */
#ifndef SHMBROKER_LOG_H
#define SHMBROKER_LOG_H

#include <syslog.h>

/* Looks once where stderr goes. */
void log_init(void);
/* Writes to @fd instead of stderr; -1: nowhere, as tests want it. */
void log_to(int fd);

/* A healthy day writes nothing but start and stop; every other line names who caused it. */
void log_event(int priority, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
