/*
 * Heap: which ranges of a file are free, in private memory. First fit, lowest first; neighbours
 * that are free grow together. Everything is a multiple of one unit.
 */
#ifndef SHMBROKER_HEAP_H
#define SHMBROKER_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_range {
	uint64_t offset;
	uint64_t bytes;
};

struct heap {
	struct heap_range *ranges; /* free, by offset, none touches the next */
	size_t count;
	size_t room;
	size_t taken; /* pieces that are out */
	uint64_t free_bytes;
};

#define HEAP_NULL ((struct heap){ .ranges = NULL })

/* 0 or -ENOMEM. */
int heap_init(struct heap *heap, uint64_t bytes);
/* Asserts that everything was given back. */
void heap_deinit(struct heap *heap);

/* 0; 1 when no free range is large enough; -ENOMEM. @bytes: not 0. */
int heap_take(struct heap *heap, uint64_t bytes, uint64_t *ret_offset);
/* Just this range. 0; -EBADMSG when not all of it is free; -ENOMEM. */
int heap_take_at(struct heap *heap, uint64_t offset, uint64_t bytes);
/* Never fails: the room for it was made when the piece was taken. */
void heap_give(struct heap *heap, uint64_t offset, uint64_t bytes);

uint64_t heap_largest(const struct heap *heap);

#endif
