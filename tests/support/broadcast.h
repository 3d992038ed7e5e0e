/*
 * A broadcast without a broker, with as many handles as a test wants, and numbered messages as in
 * ring.h. The writers share one mapping, the readers another, which is read-only where the data is.
 */
#ifndef SHMT_BROADCAST_H
#define SHMT_BROADCAST_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/broadcast.h"
#include "tests/support/segment.h"

struct shmt_broadcast {
	struct shmt_segment segment;
	struct shmp_segment writer_map;
	struct shmp_segment reader_map;
	uint32_t writers;
};

struct shmt_broadcast_options {
	uint64_t capacity, message_max, writers, readers;
	bool blocks, is_exclusive;
};

void shmt_broadcast_make(struct shmt_broadcast *broadcast,
			 const struct shmt_broadcast_options *options);
void shmt_broadcast_free(struct shmt_broadcast *broadcast);

/* Takes the place up; it must be nobody's. Readers count from 0, too. */
void shmt_broadcast_attach_writer(struct shmt_broadcast *broadcast, uint32_t index,
				  struct shmp_broadcast_writer *ret_writer);
void shmt_broadcast_attach_reader(struct shmt_broadcast *broadcast, uint32_t index,
				  enum shmp_broadcast_from from, uint64_t position,
				  struct shmp_broadcast_reader *ret_reader);

/* Moves numbered messages; what a move says. A pop checks size and bytes. */
int shmt_broadcast_push(struct shmp_broadcast_writer *writer, uint64_t size, uint64_t number);
int shmt_broadcast_pop(struct shmp_broadcast_reader *reader, uint64_t size, uint64_t number,
		       struct shmp_broadcast_message *ret_message);

/* The figure of that name; UINT64_MAX when the kind does not tell it now. */
uint64_t shmt_broadcast_figure(const struct shmt_broadcast *broadcast, const char *name);

#endif
