/*
 * Finding: what a check found, told as it is found.
 */
#ifndef SHMBROKERCTL_FINDING_H
#define SHMBROKERCTL_FINDING_H

#include <stdbool.h>
#include <stdint.h>

enum finding_severity {
	FINDING_NOTE = 0,    /* worth knowing, and no reason to do anything */
	FINDING_WARNING = 1, /* may hurt soon, or hurts somebody */
	FINDING_ERROR = 2,   /* wrong now */
	FINDING_SEVERITIES = 3,
};

struct findings {
	bool as_json;
	int code; /* the exit code of a stdout that cannot be written, 0 = it can */
	uint64_t count[FINDING_SEVERITIES];
};

struct finding {
	enum finding_severity severity;
	const char *check; /* the machine's name of what was looked at */
	const char *where; /* segment, process, limit, path */
	const char *remedy;
};

/* @format: what is the matter, a sentence without its stop. */
__attribute__((format(printf, 3, 4))) void finding_tell(struct findings *findings,
							const struct finding *finding,
							const char *format, ...);
/* For people how many of which, or that all is well. 0 or an exit code: 1 when it is not well. */
int findings_end(struct findings *findings);

#endif
