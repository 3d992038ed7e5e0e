/*
 * Both sides of an spsc ring, each with a mapping of its own, and numbered messages: the number
 * decides every byte, so that what arrives can be checked against nothing but its number.
 */
#ifndef SHMT_RING_H
#define SHMT_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "protocol/spsc.h"
#include "tests/support/segment.h"

struct shmt_ring {
	struct shmt_segment segment;
	struct shmp_segment producer_map;
	struct shmp_segment consumer_map;
	struct shmp_spsc_producer producer;
	struct shmp_spsc_consumer consumer;
};

/* @message_max 0: as large as the ring allows. Nobody is attached yet. */
void shmt_ring_make(struct shmt_ring *ring, uint64_t capacity, uint64_t message_max);
/* The same with both roles held. */
void shmt_ring_open(struct shmt_ring *ring, uint64_t capacity, uint64_t message_max);
/* The same with checksums, and messages as large as it allows. */
void shmt_ring_open_summed(struct shmt_ring *ring, uint64_t capacity);
void shmt_ring_free(struct shmt_ring *ring);

/* Takes the place and the role up. */
void shmt_ring_attach_producer(struct shmt_ring *ring);
void shmt_ring_attach_consumer(struct shmt_ring *ring);

/* An empty ring of @capacity whose next message lies at @offset; both roles are held. */
void shmt_ring_open_at(struct shmt_ring *ring, uint64_t capacity, uint64_t offset);

/* Writes message @number of @size bytes. */
void shmt_message_fill(uint8_t *payload, uint64_t size, uint64_t number);
bool shmt_message_is(const uint8_t *payload, uint64_t size, uint64_t number);

/* Moves numbered messages; what a move says. A pop checks size, bytes and that it lies inside. */
int shmt_ring_push(struct shmt_ring *ring, uint64_t size, uint64_t number);
int shmt_ring_pop(struct shmt_ring *ring, uint64_t size, uint64_t number, uint32_t *ret_flags);

#endif
