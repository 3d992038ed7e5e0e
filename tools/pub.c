/*
 * Command pub: stdin, cut into messages.
 *
 * What has been read stands in one buffer [start, end); whole messages in it are sent in batches
 * as soon as they are there, however few: an interactive line does not wait for others.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/commands.h"
#include "tools/queue.h"
#include "tools/report.h"
#include "tools/stop.h"
#include "tools/text.h"

#define ROOM_FIRST (128u << 10)
#define SLICE_NS   INT64_C(200000000) /* how late a signal may be noticed in a push */

struct input {
	char *data;
	size_t room;
	size_t start;
	size_t end;
	bool is_over;	/* end of file was read */
	uint64_t block; /* 0 = lines */
};

/* The next whole message: its size, with its separator in *ret_taken; false when there is none. */
static bool input_next(const struct input *input, size_t at, size_t *ret_size, size_t *ret_taken)
{
	size_t left = input->end - at;
	const char *newline = NULL;

	if (left == 0)
		return false;
	if (input->block == 0)
		newline = memchr(input->data + at, '\n', left);
	if (newline)
		*ret_size = (size_t)(newline - (input->data + at));
	else if (input->block > 0 && left >= input->block)
		*ret_size = input->block;
	else if (input->is_over)
		*ret_size = left;
	else
		return false;
	*ret_taken = *ret_size + (newline ? 1 : 0);
	return true;
}

/* Room for more behind end. */
static void input_make_room(struct input *input)
{
	if (input->end < input->room)
		return;
	if (input->start > 0) {
		memmove(input->data, input->data + input->start, input->end - input->start);
		input->end -= input->start;
		input->start = 0;
		return;
	}
	input->room = input->room ? 2 * input->room : ROOM_FIRST;
	input->data = must(realloc(input->data, input->room));
}

/* Waits for some bytes of stdin, or its end. */
static int input_fill(struct input *input)
{
	ssize_t got;
	int r;

	input_make_room(input);
	r = stop_or_readable(STDIN_FILENO, -1);
	if (r == -EINTR)
		return stop_code();
	got = read(STDIN_FILENO, input->data + input->end, input->room - input->end);
	if (got < 0 && errno != EINTR && errno != EAGAIN)
		return report(EXIT_REFUSED, "Input", "cannot read stdin: %s", strerror(errno));
	if (got > 0)
		input->end += (size_t)got;
	input->is_over = got == 0;
	return 0;
}

static int report_too_big(const struct queue *queue, size_t size)
{
	return report(EXIT_REFUSED, "TOO_BIG",
		      "line %" PRIu64 " has %zu bytes or more; a message of '%s' may have %" PRIu64
		      ". The lines before it were sent. Make a larger queue (shmbrokerctl rm, then "
		      "pub --create=BYTES) or send blocks with --block",
		      queue->messages + 1, size, queue->name, queue->message_bytes_max);
}

/* A pipe with types of its own takes messages of one size only. */
static int report_too_small(const struct queue *queue)
{
	return report(EXIT_REFUSED, "MISMATCH",
		      "line %" PRIu64
		      " is too short: messages of '%s' have a type, and each of them %" PRIu64
		      " bytes. The lines before it were sent",
		      queue->messages + 1, queue->name, queue->message_bytes_max);
}

/* Nothing could be sent: whether to try again, 0, or with which exit code to end. */
static int push_failed(struct queue *queue, enum shmc_result result, int64_t waited_ns)
{
	int64_t timeout_ns = queue->options->timeout_ns;

	if (result == SHMC_PEER_DEAD || result == SHMC_CLOSED)
		return queue_peer_gone(queue, result);
	if (result == SHMC_MISMATCH)
		return report_too_small(queue);
	if (result != SHMC_TIMEOUT)
		return queue_report(queue, "sending to", result);
	if (timeout_ns >= 0 && waited_ns >= timeout_ns)
		return queue_timed_out(queue);
	return queue_check_broker(queue);
}

static void count_sent(struct queue *queue, const struct shmc_bytes *messages, uint64_t count)
{
	queue->messages += count;
	for (uint64_t i = 0; i < count; i++)
		queue->bytes += messages[i].size;
}

/* Sends all of them, waiting for room as long as it takes. */
static int push(struct queue *queue, const struct shmc_bytes *messages, uint64_t count)
{
	int64_t waited_ns = 0;
	uint64_t done = 0;
	int code = 0;

	while (done < count && code == 0) {
		uint64_t sent = 0;
		enum shmc_result result = queue->kind->push(queue, messages + done, count - done,
							    SLICE_NS, &sent);

		if (result == SHMC_OK) {
			count_sent(queue, messages + done, sent);
			done += sent;
			waited_ns = 0;
		} else {
			waited_ns += SLICE_NS;
			code = push_failed(queue, result, waited_ns);
		}
		if (code == 0)
			code = stop_code();
	}
	return code;
}

/* Sends what is whole in the buffer, up to a batch; there is at least one message. */
static int send_whole(struct queue *queue, struct input *input)
{
	struct shmc_bytes batch[QUEUE_BATCH_MAX] = { { .size = 0 } };
	size_t at = input->start;
	size_t count = 0;
	size_t size = 0;
	size_t taken;

	while (count < QUEUE_BATCH_MAX && input_next(input, at, &size, &taken) &&
	       size <= queue->message_bytes_max) {
		batch[count++] = (struct shmc_bytes){ .data = input->data + at, .size = size };
		at += taken;
	}
	if (count == 0)
		return report_too_big(queue, size);
	input->start = at;
	return push(queue, batch, count);
}

static int pub(struct queue *queue, struct input *input)
{
	size_t size;
	size_t taken;
	int code = 0;

	while (code == 0) {
		while (code == 0 && input_next(input, input->start, &size, &taken))
			code = send_whole(queue, input);
		if (code != 0 || input->is_over)
			return code;
		if (input->end - input->start > queue->message_bytes_max)
			return report_too_big(queue, input->end - input->start);
		code = input_fill(input);
	}
	return code;
}

static int print_summary(const struct queue *queue)
{
	cJSON *object = must(cJSON_CreateObject());

	must(cJSON_AddNumberToObject(object, "messages", (double)queue->messages));
	must(cJSON_AddNumberToObject(object, "bytes", (double)queue->bytes));
	return report_json_take(object);
}

static int check_block(const struct queue *queue)
{
	if (queue->options->block_bytes <= queue->message_bytes_max)
		return 0;
	return report(EXIT_REFUSED, "TOO_BIG",
		      "--block %" PRIu64 ": a message of '%s' may have %" PRIu64 " bytes",
		      queue->options->block_bytes, queue->name, queue->message_bytes_max);
}

int run_pub(const struct options *options)
{
	struct input input = { .block = options->block_bytes };
	struct queue queue;
	int code;

	stop_catch();
	code = queue_open(options, true, &queue);
	if (code)
		return code;
	code = check_block(&queue);
	if (code == 0)
		code = pub(&queue, &input);
	free(input.data);
	if (options->json && print_summary(&queue) != 0 && code == 0)
		code = EXIT_REFUSED;
	queue_close(&queue);
	return code;
}
