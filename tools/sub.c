/*
 * Command sub: messages, to stdout.
 *
 * A batch is shown, written, flushed and only then released: what stdout did not take is still in
 * the queue, where each message goes to one receiver.
 */
#include <errno.h>
#include <stdio.h>

#include "tools/commands.h"
#include "tools/item.h"
#include "tools/queue.h"
#include "tools/report.h"
#include "tools/stop.h"
#include "tools/text.h"

static int print_object(const struct shmc_message *message)
{
	cJSON *object = must(cJSON_CreateObject());

	must(cJSON_AddNumberToObject(object, "bytes", (double)message->size));
	item_add_bytes(object, message->data, message->size);
	if (message->flags & SHMC_REDELIVERED)
		must(cJSON_AddTrueToObject(object, "redelivered"));
	return report_json_take(object);
}

static int print_message(const struct options *options, const struct shmc_message *message)
{
	if (options->json)
		return print_object(message);
	fwrite(message->data, 1, message->size, stdout);
	if (!options->raw)
		putchar('\n');
	return ferror(stdout) ? report_flush() : 0;
}

static int print_batch(struct queue *queue, const struct shmc_message *messages, uint64_t count)
{
	uint64_t bytes = 0;
	int code = 0;

	for (uint64_t i = 0; i < count && code == 0; i++) {
		code = print_message(queue->options, &messages[i]);
		bytes += messages[i].size;
	}
	if (code == 0)
		code = report_flush();
	if (code)
		return code;
	queue->kind->release(queue, count);
	queue->messages += count;
	queue->bytes += bytes;
	return 0;
}

/* For a message, or for the end of the broker: without one that goes on nobody new could come. */
static int wait_for_more(struct queue *queue, int fd)
{
	int broker_fd;
	int r;

	if (shmc_client_fd(queue->client, &broker_fd, NULL) != SHMC_OK)
		return queue_check_broker(queue); /* if there is one again, the next try waits */
	r = stop_or_either(fd, broker_fd, queue->options->timeout_ns);
	if (r == -EINTR)
		return stop_code();
	if (r == -ETIMEDOUT)
		return queue_timed_out(queue);
	return r > 0 ? queue_check_broker(queue) : 0;
}

static uint64_t wanted(const struct queue *queue)
{
	uint64_t left = queue->options->count - queue->messages;

	return queue->options->count > 0 && left < QUEUE_BATCH_MAX ? left : QUEUE_BATCH_MAX;
}

/* *ret_is_over: the sender left in good order and everything is read. */
static int receive(struct queue *queue, int fd, bool *ret_is_over)
{
	struct shmc_message messages[QUEUE_BATCH_MAX];
	uint64_t count;
	enum shmc_result result = queue->kind->receive(queue, messages, wanted(queue), &count);

	switch (result) {
	case SHMC_OK:
		return print_batch(queue, messages, count);
	case SHMC_EMPTY:
		return wait_for_more(queue, fd);
	case SHMC_DAMAGED: /* skipped already, and the next one may be whole */
		return report(0, "DAMAGED", "a message of '%s' is left out: %s", queue->name,
			      shmc_result_text(result));
	case SHMC_PEER_DEAD:
	case SHMC_CLOSED:
		*ret_is_over = !queue->options->follow;
		return queue_peer_gone(queue, result);
	default:
		return queue_report(queue, "receiving from", result);
	}
}

static int sub(struct queue *queue, int fd)
{
	bool is_over = false;
	int code = 0;

	while (code == 0 && !is_over && wanted(queue) > 0) {
		code = receive(queue, fd, &is_over);
		if (stop_code())
			code = stop_code(); /* also where it made a write fail */
	}
	return code;
}

int run_sub(const struct options *options)
{
	struct queue queue;
	struct shmc_error error;
	int code;
	int fd;

	stop_catch();
	code = queue_open(options, false, &queue);
	if (code)
		return code;
	if (queue.kind->fd(&queue, &fd, &error) == SHMC_OK)
		code = sub(&queue, fd);
	else
		code = queue_report_error(&error);
	queue_close(&queue);
	return code;
}
