/*
 * Head start: how a stream is received by whoever is faster than its senders.
 *
 * Who reads as fast as others write, and looks all the time, takes each line away from them while
 * they fill it, and all wait for lines more than they work. So where messages come one after the
 * other the senders get a head start whenever the queue has been emptied. That it is a stream shows
 * in messages that are there sooner than any answer could be; that it has ended, in a head start
 * that brought next to nothing. In the other direction it is the same: a sender who has filled the
 * queue, and takes each slot as it comes free, holds up the receivers it waits for.
 *
 * Threads: the handle's.
 */
#ifndef SHMC__HEAD_START_H
#define SHMC__HEAD_START_H

#include <stdbool.h>
#include <stdint.h>

enum {
	SHMC__HEAD_START_LOOKS = 64,  /* of a close look, each with a pause behind it */
	SHMC__HEAD_START_PAUSES = 32, /* about a microsecond */
};

/* Of a receiving handle. All zero: nothing has come yet. */
struct shmc__head_start {
	uint64_t taken_before; /* messages, when it was last waited for one */
	uint32_t came_soon;    /* messages, one after the other */
	bool is_stream;
};

/*
 * Nothing is there, and @taken messages have been received so far. If they are a stream's, lets it
 * go on for a while, and returns true; otherwise look closely, and note how many looks it took.
 */
bool shmc__head_start_give(struct shmc__head_start *start, uint64_t taken);
void shmc__head_start_note(struct shmc__head_start *start, unsigned looks);

/* There is no room in a queue of @slots: lets receivers free some, few if there are but few. */
void shmc__head_start_give_receivers(uint64_t slots);

#endif
