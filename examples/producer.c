/*
 * producer NAME FILE [LINES_PER_S]: streams a file into a queue, line by line.
 *
 * Killed at any instant and started again, it goes on with the first line that was not sent: the
 * queue itself knows how many were. Without LINES_PER_S it is as fast as it can.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lines.h"

struct text {
	const char *at;
	size_t left;
};

static struct text map_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	struct text text = { "", 0 };

	if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0) {
		text.left = (size_t)status.st_size;
		text.at = mmap(NULL, text.left, PROT_READ, MAP_PRIVATE, fd, 0);
	}
	if (fd < 0 || text.at == MAP_FAILED) {
		fprintf(stderr, "producer: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	close(fd);
	return text;
}

/* Bytes of the line at the front, its newline included. 0: the text is at its end. */
static size_t line_size(const struct text *text)
{
	size_t most = text->left < LINE_TEXT_BYTES ? text->left : LINE_TEXT_BYTES;
	const char *newline = most ? memchr(text->at, '\n', most) : NULL;

	return newline ? (size_t)(newline - text->at) + 1 : most;
}

/* Writes the line straight into the ring: there is no copy but this one. */
static enum shmc_result send_line(struct shmc_spsc *queue, uint64_t number, const char *text,
				  size_t size)
{
	struct line *line;
	void *room;
	enum shmc_result result = shmc_spsc_reserve(queue, sizeof(*line) + size, SHMC_FOREVER,
						    &room);

	if (result != SHMC_OK)
		return result;
	line = room;
	line->number = number;
	line->sent_ns = now_ns();
	memcpy(line->text, text, size);
	return shmc_spsc_commit(queue, sizeof(*line) + size);
}

static void sleep_until(uint64_t time_ns)
{
	struct timespec time = { .tv_sec = (time_t)(time_ns / 1000000000),
				 .tv_nsec = (long)(time_ns % 1000000000) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR)
		;
}

static void skip_lines(struct text *text, uint64_t count)
{
	for (; count > 0; count--) {
		size_t size = line_size(text);

		text->at += size;
		text->left -= size;
	}
}

/* A full queue whose consumer is gone waits for the next one. */
static enum shmc_result send_rest(struct shmc_spsc *queue, struct text text, uint64_t number,
				  uint64_t gap_ns)
{
	uint64_t due_ns = now_ns();
	enum shmc_result result;

	while (text.left > 0) {
		result = send_line(queue, number, text.at, line_size(&text));
		if (result == SHMC_PEER_DEAD || result == SHMC_CLOSED) {
			fprintf(stderr, "producer: %s, waiting for a consumer\n",
				shmc_result_name(result));
			result = shmc_spsc_wait_peer(queue, SHMC_FOREVER);
			if (result == SHMC_OK)
				continue;
		}
		if (result != SHMC_OK)
			return result;
		skip_lines(&text, 1);
		number++;
		due_ns += gap_ns;
		if (gap_ns && due_ns > now_ns())
			sleep_until(due_ns);
	}
	return SHMC_OK;
}

int main(int argc, char **argv)
{
	struct shmc_statistics before, after;
	struct shmc_client *client;
	struct shmc_spsc *queue;
	enum shmc_result result;
	uint64_t rate = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
	struct text text;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: producer NAME FILE [LINES_PER_S]\n");
		return 2;
	}
	text = map_file(argv[2]);
	queue = open_lines(argv[1], SHMC_SPSC_PRODUCER, &client);
	shmc_spsc_statistics(queue, &before, NULL, NULL);
	if (before.messages)
		fprintf(stderr, "producer: %llu lines are sent already, going on behind them\n",
			(unsigned long long)before.messages);

	skip_lines(&text, before.messages);
	result = send_rest(queue, text, before.messages, rate ? 1000000000 / rate : 0);
	shmc_spsc_statistics(queue, &after, NULL, NULL);
	fprintf(stderr, "producer: %llu lines sent: %s\n",
		(unsigned long long)(after.messages - before.messages), shmc_result_text(result));

	shmc_spsc_close(queue);
	shmc_disconnect(client);
	return result != SHMC_OK;
}
