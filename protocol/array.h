/*
 * Array: a fixed number of elements of a fixed size, one behind the other from the first byte of
 * data on, as C lays out an array. Nothing else is shared: there is no position, no lock and no
 * order between processes, so a death leaves nothing to repair, and whoever reads through the
 * pointer pays what memory costs.
 *
 *	data:	element 0 | element 1 | ... | element count - 1 | zeroes up to the page
 *
 * Bounds come from the plan, never from memory: what stands in the elements is the application's,
 * and no value of it can lead a move outside.
 *
 * Calls that may run together: all. What two processes do to the same element at the same time is
 * theirs to order.
 * Progress: every move is wait-free.
 */
#ifndef SHMP_ARRAY_H
#define SHMP_ARRAY_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/abi.h"
#include "protocol/kinds.h"
#include "protocol/segment.h"
#include "protocol/type.h"

#define SHMP_ARRAY_VERSION 1u

enum shmp_array_option {
	SHMP_ARRAY_ELEMENT_BYTES = 0,
	SHMP_ARRAY_ELEMENTS = 1,
	SHMP_ARRAY_ELEMENT_TYPE = 2,
	SHMP_ARRAY_ENDPOINTS_MAX = 3,
};

extern const struct shmp_kind shmp_array_kind;

/* Private to the process. */
struct shmp_array {
	uint8_t *data;
	uint64_t element_bytes;
	uint64_t count;
};

void shmp_array_view(const struct shmp_segment *segment, struct shmp_array *ret_array);

/* Whether @count elements from @first on are there. */
static inline bool shmp_array_has(const struct shmp_array *array, uint64_t first, uint64_t count)
{
	return SHMP_LIKELY(first <= array->count && count <= array->count - first);
}

static inline uint8_t *shmp_array_at(const struct shmp_array *array, uint64_t index)
{
	return array->data + index * array->element_bytes;
}

/* @count elements from @first on become copies of @element; all within the array. */
void shmp_array_fill(const struct shmp_array *array, uint64_t first, uint64_t count,
		     const void *element);

#endif
