#include "daemon/registry.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/segment.h"

void registry_deinit(struct registry *registry)
{
	assert(registry->count == 0);
	free(registry->segments);
	*registry = REGISTRY_NULL;
}

/* Index of the first segment whose name is not below @name, or not at it either if @beyond. */
static size_t position_of(const struct registry *registry, const char *name, int beyond)
{
	size_t low = 0, high = registry->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(registry->segments[middle]->name, name) < beyond)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct segment *registry_find_claimed(const struct registry *registry, const char *name)
{
	size_t at = position_of(registry, name, 0);

	if (at == registry->count || strcmp(registry->segments[at]->name, name) != 0)
		return NULL;
	return registry->segments[at];
}

struct segment *registry_find(const struct registry *registry, const char *name)
{
	struct segment *segment = registry_find_claimed(registry, name);

	return segment && segment->is_ready ? segment : NULL;
}

size_t registry_after(const struct registry *registry, const char *name)
{
	return name ? position_of(registry, name, 1) : 0;
}

int registry_add(struct registry *registry, struct segment *segment)
{
	size_t at = position_of(registry, segment->name, 0);

	if (registry->count == registry->room) {
		size_t room = registry->room ? 2 * registry->room : 64;
		struct segment **segments = realloc(registry->segments,
						    room * sizeof(struct segment *));

		if (!segments)
			return -ENOMEM;
		registry->segments = segments;
		registry->room = room;
	}
	memmove(registry->segments + at + 1, registry->segments + at,
		(registry->count - at) * sizeof(struct segment *));
	registry->segments[at] = segment;
	registry->count++;
	return 0;
}

void registry_remove(struct registry *registry, const struct segment *segment)
{
	size_t at = position_of(registry, segment->name, 0);

	assert(at < registry->count && registry->segments[at] == segment);
	registry->count--;
	memmove(registry->segments + at, registry->segments + at + 1,
		(registry->count - at) * sizeof(struct segment *));
}
