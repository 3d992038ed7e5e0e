/*
 * Pairs at a queue whose messages each go to one: who dies, or stands by, in a push or a pop. What
 * was sent comes once, unless it was in the hands of one who died; nothing comes twice, nothing that
 * nobody sent; everybody can use all of it afterwards.
 *
 * A message is its number, in three ways.
 */
#ifndef SHMT_PAIRS_QUEUE_H
#define SHMT_PAIRS_QUEUE_H

#include "protocol/outcome.h"
#include "tests/crash/pairs.h"

enum {
	PAIRS_QUEUE_PLACES = 6,
	PAIRS_QUEUE_HANDLE = 20480,
	PAIRS_QUEUE_WORDS = 3,
	PAIRS_QUEUE_FULL = 1000,
};

struct pairs_queue {
	const char *kind;
	const uint64_t *option;
	uint32_t producers, consumers; /* places, the producers' first */
	uint64_t before;	       /* messages that are there when the acts begin, or _FULL */
	int (*attach)(const struct shmp_segment *segment, uint32_t place, void *ret_handle);
	int (*push)(void *handle, const uint64_t *words);
	int (*pop)(void *handle, uint64_t *words);
};

/* The two at @first and @second; a producer pushes, a consumer pops. */
void pairs_queue(const struct pairs_queue *queue, const char *name, enum pairs_way way,
		 uint32_t first, uint32_t second);
/* The same, but that one of them has just been given its place, behind one who died, and takes it up. */
void pairs_queue_attach(const struct pairs_queue *queue, const char *name, enum pairs_way way,
			uint32_t first, uint32_t second, uint32_t newcomer);

#endif
