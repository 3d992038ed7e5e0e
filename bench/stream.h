/*
 * Stream: the work of the two ends of a queue, the same for every queue. Messages carry their
 * number in the first and the last word and a pattern between; every one is written and read
 * whole, its number is checked, and now and then all of it.
 *
 * The push and pop given here are constants, so that they are compiled into the loop as far as
 * the queue allows: nobody pays for an indirect call.
 */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#include <stdlib.h>
#include <string.h>

#include "bench/contest.h"

#define BENCH_INLINE static inline __attribute__((always_inline))

#define BENCH_PATTERN  UINT64_C(0x9e3779b97f4a7c15)
#define BENCH_THOROUGH 1021 /* one message in so many is checked word by word */

/* Both return when it is done, however long that takes. */
typedef void (*bench_push_fn)(void *queue, const void *data, uint64_t bytes);
typedef void (*bench_pop_fn)(void *queue, void *data, uint64_t bytes);

static inline uint64_t *bench_message_new(uint64_t bytes)
{
	uint64_t *words = aligned_alloc(4096, (bytes + 4095) & ~UINT64_C(4095));

	if (words == NULL)
		bench_die("out of memory");
	for (uint64_t i = 0; i < bytes / 8; i++)
		words[i] = BENCH_PATTERN * i;
	return words;
}

BENCH_INLINE void bench_message_write(uint64_t *words, uint64_t bytes, uint64_t number)
{
	words[0] = number;
	words[bytes / 8 - 1] = number;
}

static inline void bench_message_check_all(const uint64_t *words, uint64_t bytes)
{
	for (uint64_t i = 1; i < bytes / 8 - 1; i++)
		if (words[i] != BENCH_PATTERN * i)
			bench_die("message %llu is damaged", (unsigned long long)words[0]);
}

BENCH_INLINE void bench_message_check(const uint64_t *words, uint64_t bytes, uint64_t number)
{
	if (words[0] != number || words[bytes / 8 - 1] != number)
		bench_die("message %llu came for %llu", (unsigned long long)words[0],
			  (unsigned long long)number);
	if (bytes > 16 && number % BENCH_THOROUGH == 0)
		bench_message_check_all(words, bytes);
}

BENCH_INLINE void bench_stream_send(void *queue, bench_push_fn push, uint64_t *words,
				    uint64_t bytes, uint64_t *number, uint64_t count)
{
	for (uint64_t end = *number + count; *number < end;) {
		bench_message_write(words, bytes, ++*number);
		push(queue, words, bytes);
	}
}

BENCH_INLINE void bench_stream_receive(void *queue, bench_pop_fn pop, uint64_t *words,
				       uint64_t bytes, uint64_t *number, uint64_t count,
				       uint64_t piece, struct bench_pieces *pieces)
{
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count; done += piece) {
		for (uint64_t i = 0; i < piece; i++) {
			pop(queue, words, bytes);
			bench_message_check(words, bytes, ++*number);
		}
		bench_pieces_next(pieces);
	}
}

/* A message and its answer. */
BENCH_INLINE void bench_rtt_ask(void *to, bench_push_fn push, void *from, bench_pop_fn pop,
				uint64_t *words, uint64_t bytes, uint64_t *number, uint64_t count,
				struct bench_pieces *pieces)
{
	bench_pieces_start(pieces);
	for (uint64_t end = *number + count; *number < end;) {
		bench_message_write(words, bytes, ++*number);
		push(to, words, bytes);
		pop(from, words, bytes);
		bench_message_check(words, bytes, *number);
		bench_pieces_next(pieces);
	}
}

BENCH_INLINE void bench_rtt_answer(void *to, bench_push_fn push, void *from, bench_pop_fn pop,
				   uint64_t *words, uint64_t bytes, uint64_t *number,
				   uint64_t count)
{
	for (uint64_t end = *number + count; *number < end;) {
		pop(from, words, bytes);
		bench_message_check(words, bytes, ++*number);
		push(to, words, bytes);
	}
}

/* In and out again, in one thread. */
BENCH_INLINE void bench_pair(void *to, bench_push_fn push, void *from, bench_pop_fn pop,
			     uint64_t *words, uint64_t bytes, uint64_t *number, uint64_t count,
			     uint64_t piece, struct bench_pieces *pieces)
{
	bench_pieces_start(pieces);
	for (uint64_t done = 0; done < count; done += piece) {
		for (uint64_t i = 0; i < piece; i++) {
			bench_message_write(words, bytes, ++*number);
			push(to, words, bytes);
			pop(from, words, bytes);
			bench_message_check(words, bytes, *number);
		}
		bench_pieces_next(pieces);
	}
}

#endif
