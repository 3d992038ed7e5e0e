/*
 * Mapping: a segment in this process's memory, known to the fork handler.
 *
 * There is one of each segment, however many handles of this process are in it: two addresses for
 * the same bytes cost address space and page tables, and stores to the one that are loaded by the
 * other are not forwarded inside the cpu. (What processes send each other both ways has two
 * nevertheless: see shmp_segment_data_addresses.) It has the rights of all of them together; what
 * is mapped for reading is mapped over for writing, in place, when somebody comes who writes.
 */
#ifndef SHMC__MAPPING_H
#define SHMC__MAPPING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libclient/attachment.h"
#include "libclient/process.h"
#include "protocol/kinds.h"
#include "protocol/segment.h"

struct shmc__mapping {
	struct shmp_segment segment;
	const uint32_t *alive; /* of the process that made it */
	/* under the process lock */
	unsigned int references;
	enum shmp_access ctl_access;
	enum shmp_access data_access;
	bool is_locked; /* as the plan wants it */
	dev_t device;
	ino_t ctl_inode;
	ino_t data_inode;
	struct shmc__holding ctl;
	struct shmc__holding data;
	struct shmc__mapping *next;
};

/* One more reference, with at least the rights of @role. 0 or -errno. The descriptors stay the
 * caller's. */
int shmc__mapping_ref(const uint32_t *alive, const struct shmp_kind *kind,
		      const struct shmp_role *role, const struct shmc__attachment *attachment,
		      struct shmc__mapping **ret_mapping);
/* NULL, always. In a forked child, where nothing is held any more, only addresses are given back. */
struct shmc__mapping *shmc__mapping_unref(struct shmc__mapping *mapping);

#endif
