/*
 * Shelf: descriptors with names, in the order in which they came. What the keeper keeps for its
 * broker, and how the next one gets it: from descriptor 3 on, with the names in LISTEN_FDNAMES.
 */
#ifndef SHMBROKER_SHELF_H
#define SHMBROKER_SHELF_H

#include <stddef.h>

#include "daemon/notice.h"

/* One string of the environment can be 128 KiB long, with its name and NUL; beyond it exec fails. */
#define SHELF_NAMES_BYTES_MAX ((128u << 10) - sizeof("LISTEN_FDNAMES="))

struct shelf_entry {
	int fd;
	char name[NOTICE_NAME_BYTES_MAX + 1];
};

struct shelf {
	struct shelf_entry *entries;
	size_t count;
	size_t most;
	size_t names_bytes; /* of LISTEN_FDNAMES */
};

#define SHELF_NULL ((struct shelf){ .count = 0 })

/* Empty, for @most descriptors, 1 or more. All its memory is had now, and used when it is needed: what
 * is to be kept cannot be refused for want of it. Return: 0 or -ENOMEM. */
int shelf_init(struct shelf *shelf, size_t most);
/* Closes all. */
void shelf_deinit(struct shelf *shelf);
/*
 * Takes @fd under @name, which may be there already. On failure the descriptor stays the caller's.
 * Return: 0; -ENOSPC: there are `most`; -E2BIG: the name is too long, or all together.
 */
int shelf_add(struct shelf *shelf, const char *name, int fd);
/* Closes all of this name. Return: how many. */
size_t shelf_remove(struct shelf *shelf, const char *name);
/*
 * In a forked child: all at 3 and the following numbers, and open across exec. Closes what was
 * there. The shelf itself is of no use afterwards. Return: 0 or -errno.
 */
int shelf_lay_out(struct shelf *shelf);
/* "name:name:name", to be freed; NULL when there is no memory. */
char *shelf_names(const struct shelf *shelf);

#endif
