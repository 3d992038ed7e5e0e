/*
 * Reserve: getting a segment's memory, by a helper that may be killed for it.
 *
 * Beyond the limit of a memory cgroup fallocate does not fail: somebody is killed. A forked helper
 * offers itself (oom_score_adj 1000), so that shortage is an error for the creator and never the
 * broker's death. One user has one helper at a time; the others' creations wait behind it only for
 * him.
 */
#ifndef SHMBROKER_RESERVE_H
#define SHMBROKER_RESERVE_H

#include <sys/types.h>

#include "daemon/list.h"

struct broker;
struct segment;

struct reserve {
	struct list queued;
	struct list running;
};

/* The reservation has ended: 0, -ENOMEM when the helper was killed for memory, another -errno. */
typedef void (*reserve_fn)(struct segment *segment, int result);

void reserve_init(struct reserve *reserve);
/* 0 and @done is called later from the loop, or -errno and it is not. */
int reserve_start(struct segment *segment, reserve_fn done);
/* Ends all helpers; no @done is called. The segments stay their callers'. */
void reserve_close(struct broker *broker);

#endif
