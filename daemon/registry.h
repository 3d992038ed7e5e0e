/*
 * Registry: names to segments, in order of name.
 *
 * A name is claimed before its segment is complete; until then it exists for other creators only,
 * who wait for the outcome. Everybody else finds complete segments and nothing in between.
 */
#ifndef SHMBROKER_REGISTRY_H
#define SHMBROKER_REGISTRY_H

#include <stddef.h>

struct segment;

struct registry {
	struct segment **segments; /* sorted by name */
	size_t count;
	size_t room;
};

#define REGISTRY_NULL ((struct registry){ .segments = NULL })

/* Asserts that it is empty. */
void registry_deinit(struct registry *registry);

/* NULL when there is none, or it is still being made. */
struct segment *registry_find(const struct registry *registry, const char *name);
/* The same, also while it is being made. */
struct segment *registry_find_claimed(const struct registry *registry, const char *name);
/* Index of the first segment whose name comes after @name (NULL: 0). */
size_t registry_after(const struct registry *registry, const char *name);

/* The name must be free. 0 or -ENOMEM. */
int registry_add(struct registry *registry, struct segment *segment);
void registry_remove(struct registry *registry, const struct segment *segment);

#endif
