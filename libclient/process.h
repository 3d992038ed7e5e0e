/*
 * Process: what belongs to this process and must not live on in a forked child.
 *
 * fork() would give the child every shared mapping, and with it the means to write into a role
 * that is its parent's; and every socket, which would hide the parent's hang-up. So all of them
 * are known here, and in the child, before fork() returns, the mappings are covered by memory
 * that cannot be touched (a hole would be filled by the child's next mmap, and a stale handle
 * would hit that) and the descriptors are closed.
 *
 * The word `alive` lies on a page that the kernel wipes in every child, also in one that came
 * into the world past the fork handlers: each handle checks it in each call.
 *
 * Threads: any. The lock here is the innermost one and is held for system calls that do not
 * block only.
 */
#ifndef SHMC__PROCESS_H
#define SHMC__PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/abi.h"

/* One mapping or one descriptor. Embedded; in the list from hold to release. */
struct shmc__holding {
	void *address; /* NULL: a descriptor */
	size_t bytes;
	int fd;
	struct shmc__holding *previous;
	struct shmc__holding *next;
};

#define SHMC__HOLDING_NULL ((struct shmc__holding){ .fd = -1 })

/*
 * Gives the word of this process: non-zero here, 0 in every child forked from here. It is never
 * freed. 0 or -errno.
 */
int shmc__process_enter(const uint32_t **ret_alive);

static inline bool shmc__process_is_forked(const uint32_t *alive)
{
	return SHMP_UNLIKELY(*alive == 0);
}

/* No fork happens between these: what is made inside is held before a child can inherit it. */
void shmc__process_lock(void);
void shmc__process_unlock(void);

/* With the lock held. */
void shmc__process_hold_mapping(struct shmc__holding *holding, void *address, size_t bytes);
void shmc__process_hold_fd(struct shmc__holding *holding, int fd);
/* Forgets it; not to be called in a forked child, where nothing is held. */
void shmc__process_release(struct shmc__holding *holding);

/* Whether two more descriptors could be had now; @fd is one that is open. */
bool shmc__process_has_room(int fd);

/* Takes and gives the lock itself: releases and closes. Harmless on the NULL holding. */
void shmc__process_close_fd(struct shmc__holding *holding);

#endif
