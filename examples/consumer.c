/*
 * consumer NAME [FILE]: writes the lines of a queue to a file, or standard output.
 *
 * When its producer dies it says so and waits for a successor; when one has closed the queue it
 * says what it measured and ends. Exit status 1 when a line was lost, doubled or swapped.
 */
#include <errno.h>
#include <string.h>

#include "lines.h"

#define BATCH	64
#define SAMPLES 16384 /* latencies kept, drawn evenly from all */

struct progress {
	uint64_t lines;
	uint64_t bytes;
	uint64_t first_ns; /* when the first line came */
	uint64_t last_ns;
	uint64_t latency_ns[SAMPLES];
};

static void take_sample(struct progress *progress, uint64_t latency_ns)
{
	uint64_t slot = progress->lines;

	if (slot >= SAMPLES)
		slot = (uint64_t)random() % (progress->lines + 1);
	if (slot < SAMPLES)
		progress->latency_ns[slot] = latency_ns;
}

/* Writes lines from where they lie in the ring. Returns whether they were the next ones. */
static int write_lines(FILE *output, struct progress *progress, const struct shmc_message *messages,
		       uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		const struct line *line = messages[i].data;

		if (messages[i].size < sizeof(*line) || line->number != progress->lines) {
			fprintf(stderr, "consumer: line %llu is not the next one\n",
				(unsigned long long)progress->lines);
			return 0;
		}
		take_sample(progress, progress->last_ns - line->sent_ns);
		fwrite(line->text, 1, messages[i].size - sizeof(*line), output);
		progress->lines++;
		progress->bytes += messages[i].size - sizeof(*line);
	}
	return fflush(output) == 0;
}

/* Until the queue is empty and nobody fills it any more. */
static enum shmc_result receive(struct shmc_spsc *queue, FILE *output, struct progress *progress)
{
	struct shmc_message messages[BATCH];
	enum shmc_result result;
	uint64_t count;

	while ((result = shmc_spsc_peek_batch(queue, messages, BATCH, SHMC_FOREVER, &count)) ==
	       SHMC_OK) {
		progress->last_ns = now_ns();
		if (progress->lines == 0)
			progress->first_ns = progress->last_ns;
		if (!write_lines(output, progress, messages, count))
			return SHMC_INVALID;
		shmc_spsc_release(queue, count); /* only now: they are written */
	}
	return result;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void report(struct progress *progress)
{
	uint64_t samples = progress->lines < SAMPLES ? progress->lines : SAMPLES;
	uint64_t *latency_ns = progress->latency_ns;
	double seconds = (double)(progress->last_ns - progress->first_ns) / 1e9;
	uint64_t p50_ns, p99_ns;

	if (samples == 0)
		return;
	seconds = seconds > 0 ? seconds : 1e-9;
	qsort(latency_ns, samples, sizeof(latency_ns[0]), by_size);
	p50_ns = latency_ns[samples / 2];
	p99_ns = latency_ns[samples * 99 / 100];
	fprintf(stderr,
		"consumer: %llu lines, %.1f MB in %.3f s: %.2f million lines/s, %.0f MB/s\n"
		"consumer: latency from send to receipt: p50 %.1f us, p99 %.1f us\n",
		(unsigned long long)progress->lines, (double)progress->bytes / 1e6, seconds,
		(double)progress->lines / seconds / 1e6, (double)progress->bytes / seconds / 1e6,
		(double)p50_ns / 1e3, (double)p99_ns / 1e3);
}

int main(int argc, char **argv)
{
	static struct progress progress;
	FILE *output = argc == 3 ? fopen(argv[2], "w") : stdout;
	struct shmc_client *client;
	struct shmc_spsc *queue;
	enum shmc_result result;

	if (argc < 2 || argc > 3 || !output) {
		fprintf(stderr, "usage: consumer NAME [FILE]\n");
		return 2;
	}
	queue = open_lines(argv[1], SHMC_SPSC_CONSUMER, &client);
	while ((result = receive(queue, output, &progress)) == SHMC_PEER_DEAD) {
		fprintf(stderr, "consumer: PEER_DEAD at %llu ns after %llu lines\n",
			(unsigned long long)now_ns(), (unsigned long long)progress.lines);
		shmc_spsc_wait_peer(queue, SHMC_FOREVER);
	}
	fprintf(stderr, "consumer: %s\n", shmc_result_text(result));
	report(&progress);

	shmc_spsc_close(queue);
	shmc_disconnect(client);
	return result != SHMC_CLOSED || fclose(output) != 0;
}
