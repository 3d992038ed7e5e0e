/*
 * A buffer without a broker, with as many handles as a test wants, all on one mapping.
 */
#ifndef SHMT_BUFFER_H
#define SHMT_BUFFER_H

#include <stdint.h>

#include "protocol/buffer.h"
#include "tests/support/segment.h"

struct shmt_buffer {
	struct shmt_segment segment;
	struct shmp_segment map;
};

void shmt_buffer_make(struct shmt_buffer *buffer, uint64_t size, uint64_t endpoints,
		      uint64_t checksums);
void shmt_buffer_free(struct shmt_buffer *buffer);
/* Takes the place up; it must be nobody's. */
void shmt_buffer_attach(struct shmt_buffer *buffer, uint32_t place, struct shmp_buffer *ret_handle);
struct shmp_lock *shmt_buffer_lock(const struct shmt_buffer *buffer);
/* The figure of that name; UINT64_MAX when the kind does not tell it now. */
uint64_t shmt_buffer_figure(const struct shmt_buffer *buffer, const char *name);

#endif
