/*
 * Guardian: a small child that takes back a segment which is being made, should its maker be killed
 * before it is whole. It knows of that end from the kernel, by a pipe that nobody else holds.
 */
#ifndef SHMBROKERCTL_GUARDIAN_H
#define SHMBROKERCTL_GUARDIAN_H

#include <stdint.h>
#include <sys/types.h>

#include "tools/options.h"

struct guardian {
	pid_t pid; /* 0 = there is none */
	int line;
	uint64_t tag; /* what the creation has to have, so that no stranger's is taken for it */
};

#define GUARDIAN_NULL ((struct guardian){ .line = -1 })

/* For the segment @name of @kind, which is about to be made. 0, or the exit code of a fault. */
int guardian_start(const struct options *options, const char *name, const char *kind,
		   struct guardian *ret_guardian);
/* It is whole, or taken back already. Harmless where there is none. */
void guardian_dismiss(struct guardian *guardian);

#endif
