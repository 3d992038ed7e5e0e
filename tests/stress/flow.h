/*
 * Flow: a long stream of numbered messages through a ring, every byte of it checked, sent and
 * taken in all the ways there are, in a random mixture that a seed decides.
 *
 * The number of a message decides its length and its bytes, so that either side can be taken up
 * by anybody who knows the number: the producer's is the count in its place, the consumer's is in
 * the journal.
 */
#ifndef SHMT_FLOW_H
#define SHMT_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/spsc.h"
#include "tests/support/random.h"
#include "tests/support/ring.h"

enum {
	FLOW_CAPACITY = 16384,
	FLOW_LONGEST = FLOW_CAPACITY - 16
};

/* What a consumer leaves to its successor, in shared memory, one of two whole records. */
struct flow_journal {
	_Atomic uint32_t now;
	struct flow_progress {
		uint64_t number;   /* of the message at position */
		uint64_t position; /* where it may be that the cursor has not come yet */
		uint64_t seen; /* messages below were given out, to be flagged if they come again */
	} record[2];
};

struct flow {
	struct shmt_ring *ring;
	struct flow_journal *journal;
	uint64_t total;	     /* messages */
	bool has_membarrier; /* of this side */
	struct shmt_random random;
	uint64_t given; /* a predecessor has given out what is below: it must be flagged */
};

uint64_t flow_size(uint64_t number);

/* Sends messages until the last, beginning with the one its place says is next. */
void flow_produce(struct flow *flow);
/* Takes messages until the last, beginning where the journal and the cursor say. */
void flow_consume(struct flow *flow);

#endif
