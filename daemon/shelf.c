#include "daemon/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_FD 3

int shelf_init(struct shelf *shelf, size_t most)
{
	*shelf = (struct shelf){ .most = most };
	shelf->entries = calloc(most, sizeof(*shelf->entries));
	return shelf->entries ? 0 : -ENOMEM;
}

static void free_entry(struct shelf *shelf, struct shelf_entry *entry)
{
	shelf->names_bytes -= strlen(entry->name) + 1;
	close(entry->fd);
}

void shelf_deinit(struct shelf *shelf)
{
	for (size_t i = 0; i < shelf->count; i++)
		free_entry(shelf, &shelf->entries[i]);
	free(shelf->entries);
	*shelf = SHELF_NULL;
}

int shelf_add(struct shelf *shelf, const char *name, int fd)
{
	size_t bytes = strlen(name) + 1;
	struct shelf_entry *entry;

	if (shelf->count >= shelf->most)
		return -ENOSPC;
	if (bytes > sizeof(entry->name) || shelf->names_bytes + bytes > SHELF_NAMES_BYTES_MAX)
		return -E2BIG;
	entry = &shelf->entries[shelf->count];
	memcpy(entry->name, name, bytes);
	entry->fd = fd;
	shelf->count++;
	shelf->names_bytes += bytes;
	return 0;
}

size_t shelf_remove(struct shelf *shelf, const char *name)
{
	size_t kept = 0, removed;

	for (size_t i = 0; i < shelf->count; i++) {
		if (strcmp(shelf->entries[i].name, name) == 0)
			free_entry(shelf, &shelf->entries[i]);
		else
			shelf->entries[kept++] = shelf->entries[i];
	}
	removed = shelf->count - kept;
	shelf->count = kept;
	return removed;
}

/* Out of the way of the numbers that all are to get. */
static int move_up(struct shelf *shelf)
{
	int end = FIRST_FD + (int)shelf->count;

	for (size_t i = 0; i < shelf->count; i++) {
		int fd = shelf->entries[i].fd;

		if (fd >= end)
			continue;
		shelf->entries[i].fd = fcntl(fd, F_DUPFD_CLOEXEC, end);
		if (shelf->entries[i].fd < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

int shelf_lay_out(struct shelf *shelf)
{
	int r = move_up(shelf);

	for (size_t i = 0; r == 0 && i < shelf->count; i++) {
		if (dup2(shelf->entries[i].fd, FIRST_FD + (int)i) < 0)
			r = -errno;
	}
	return r;
}

char *shelf_names(const struct shelf *shelf)
{
	char *names = malloc(shelf->names_bytes + 1);
	char *end = names;

	if (!names)
		return NULL;
	*end = '\0';
	for (size_t i = 0; i < shelf->count; i++) {
		end = stpcpy(end, shelf->entries[i].name);
		if (i + 1 < shelf->count)
			*end++ = ':';
	}
	*end = '\0';
	return names;
}
