/* pair: see pair.h. BENCH_PAIR is the name of the function. */
#include "bench/pair.h"

#include "bench/stream.h"

static __attribute__((cold, noinline, noreturn)) void failed(const char *what,
							     enum shmc_result result)
{
	bench_die("%s: %s", what, shmc_result_name(result));
}

BENCH_INLINE void push(void *queue, const void *data, uint64_t bytes)
{
	enum shmc_result result = shmc_spsc_push(queue, data, bytes, SHMC_FOREVER);

	if (result != SHMC_OK)
		failed("push", result);
}

BENCH_INLINE void pop(void *queue, void *data, uint64_t bytes)
{
	struct shmc_message message;
	enum shmc_result result = shmc_spsc_pop(queue, data, bytes, SHMC_FOREVER, &message);

	if (result != SHMC_OK || message.size != bytes)
		failed("pop", result);
}

BENCH_INLINE void pair_of(struct bench_pair *pair, uint64_t count, struct bench_pieces *pieces,
			  const uint64_t bytes)
{
	uint64_t number = pair->number;

	bench_pair(pair->to, push, pair->from, pop, pair->words, bytes, &number, count, pair->piece,
		   pieces);
	pair->number = number;
}

/* The size is a constant where there is a bar, as it is for the peer. */
void BENCH_PAIR(struct bench_pair *pair, uint64_t count, struct bench_pieces *pieces)
{
	if (pair->bytes == 8)
		pair_of(pair, count, pieces, 8);
	else if (pair->bytes == 64)
		pair_of(pair, count, pieces, 64);
	else
		pair_of(pair, count, pieces, pair->bytes);
}
