#include "daemon/heap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Pieces that are out separate at most as many ranges and one more. */
static int make_room(struct heap *heap, size_t taken)
{
	struct heap_range *ranges;
	size_t room = heap->room ? 2 * heap->room : 16;

	if (taken + 1 <= heap->room)
		return 0;
	ranges = realloc(heap->ranges, room * sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	heap->ranges = ranges;
	heap->room = room;
	return 0;
}

int heap_init(struct heap *heap, uint64_t bytes)
{
	*heap = HEAP_NULL;
	if (make_room(heap, 0) < 0)
		return -ENOMEM;
	heap->ranges[0] = (struct heap_range){ .bytes = bytes };
	heap->count = 1;
	heap->free_bytes = bytes;
	return 0;
}

void heap_deinit(struct heap *heap)
{
	assert(heap->taken == 0);
	free(heap->ranges);
	*heap = HEAP_NULL;
}

static void insert(struct heap *heap, size_t at, struct heap_range range)
{
	assert(heap->count < heap->room);
	memmove(heap->ranges + at + 1, heap->ranges + at,
		(heap->count - at) * sizeof(heap->ranges[0]));
	heap->ranges[at] = range;
	heap->count++;
}

static void drop(struct heap *heap, size_t at)
{
	heap->count--;
	memmove(heap->ranges + at, heap->ranges + at + 1,
		(heap->count - at) * sizeof(heap->ranges[0]));
}

int heap_take(struct heap *heap, uint64_t bytes, uint64_t *ret_offset)
{
	size_t at = 0;
	int r;

	while (at < heap->count && heap->ranges[at].bytes < bytes)
		at++;
	if (at == heap->count)
		return 1;
	r = make_room(heap, heap->taken + 1);
	if (r < 0)
		return r;
	*ret_offset = heap->ranges[at].offset;
	heap->ranges[at].offset += bytes;
	heap->ranges[at].bytes -= bytes;
	if (heap->ranges[at].bytes == 0)
		drop(heap, at);
	heap->taken++;
	heap->free_bytes -= bytes;
	return 0;
}

/* Index of the first range behind @offset. */
static size_t position_of(const struct heap *heap, uint64_t offset)
{
	size_t low = 0, high = heap->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (heap->ranges[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int heap_take_at(struct heap *heap, uint64_t offset, uint64_t bytes)
{
	size_t at = position_of(heap, offset + 1);
	struct heap_range *range = at > 0 ? &heap->ranges[at - 1] : NULL;
	uint64_t before, behind;
	int r;

	if (!range || offset - range->offset > range->bytes ||
	    bytes > range->bytes - (offset - range->offset))
		return -EBADMSG;
	r = make_room(heap, heap->taken + 1);
	if (r < 0)
		return r;
	range = &heap->ranges[at - 1];
	before = offset - range->offset;
	behind = range->bytes - before - bytes;
	heap->taken++;
	heap->free_bytes -= bytes;
	range->bytes = before;
	if (behind > 0)
		insert(heap, at, (struct heap_range){ offset + bytes, behind });
	if (before == 0)
		drop(heap, at - 1);
	return 0;
}

void heap_give(struct heap *heap, uint64_t offset, uint64_t bytes)
{
	size_t at = position_of(heap, offset);
	struct heap_range *before = at > 0 ? &heap->ranges[at - 1] : NULL;
	struct heap_range *behind = at < heap->count ? &heap->ranges[at] : NULL;

	assert(heap->taken > 0);
	assert(!before || before->offset + before->bytes <= offset);
	assert(!behind || offset + bytes <= behind->offset);
	heap->taken--;
	heap->free_bytes += bytes;
	if (before && before->offset + before->bytes == offset) {
		before->bytes += bytes;
		if (behind && offset + bytes == behind->offset) {
			before->bytes += behind->bytes;
			drop(heap, at);
		}
	} else if (behind && offset + bytes == behind->offset) {
		behind->offset = offset;
		behind->bytes += bytes;
	} else {
		insert(heap, at, (struct heap_range){ offset, bytes });
	}
}

uint64_t heap_largest(const struct heap *heap)
{
	uint64_t largest = 0;

	for (size_t i = 0; i < heap->count; i++)
		if (heap->ranges[i].bytes > largest)
			largest = heap->ranges[i].bytes;
	return largest;
}
