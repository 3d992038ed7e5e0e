#include "tools/queue_kind.h"

#include <inttypes.h>
#include <stdlib.h>

#include "tools/queue.h"
#include "tools/report.h"
#include "tools/text.h"

#define ROOM_FIRST (128u << 10)

/* spsc */

static enum shmc_result spsc_open(struct queue *queue, struct shmc_error *error)
{
	enum shmc_spsc_role role = queue->sends ? SHMC_SPSC_PRODUCER : SHMC_SPSC_CONSUMER;
	struct shmc_spsc_options options = { .message_bytes_max = 0 };
	enum shmc_result result = shmc_spsc_open(queue->client, queue->name, role,
						 &queue->handle.spsc, error);

	if (result == SHMC_OK)
		shmc_spsc_options_of(queue->handle.spsc, &options);
	queue->message_bytes_max = options.message_bytes_max;
	return result;
}

static void spsc_close(struct queue *queue)
{
	queue->handle.spsc = shmc_spsc_close(queue->handle.spsc);
}

static enum shmc_result spsc_push(struct queue *queue, const struct shmc_bytes *messages,
				  uint64_t count, int64_t timeout_ns, uint64_t *ret_count)
{
	return shmc_spsc_push_batch(queue->handle.spsc, messages, count, timeout_ns, ret_count);
}

static enum shmc_result spsc_receive(struct queue *queue, struct shmc_message *messages,
				     uint64_t max, uint64_t *ret_count)
{
	return shmc_spsc_peek_batch(queue->handle.spsc, messages, max, SHMC_TRY, ret_count);
}

static void spsc_release(struct queue *queue, uint64_t count)
{
	shmc_spsc_release(queue->handle.spsc, count);
}

static enum shmc_result spsc_fd(struct queue *queue, int *ret_fd, struct shmc_error *error)
{
	return shmc_spsc_fd(queue->handle.spsc, ret_fd, error);
}

static enum shmc_result spsc_wait_peer(struct queue *queue, int64_t timeout_ns)
{
	return shmc_spsc_wait_peer(queue->handle.spsc, timeout_ns);
}

/* mpmc: a message at a time, since what is popped in a batch could not come again. */

static enum shmc_result mpmc_open(struct queue *queue, struct shmc_error *error)
{
	enum shmc_mpmc_role role = queue->sends ? SHMC_MPMC_PRODUCER : SHMC_MPMC_CONSUMER;
	struct shmc_mpmc_options options = { .message_bytes_max = 0 };
	enum shmc_result result = shmc_mpmc_open(queue->client, queue->name, role,
						 &queue->handle.mpmc, error);

	if (result == SHMC_OK)
		shmc_mpmc_options_of(queue->handle.mpmc, &options);
	queue->message_bytes_max = options.message_bytes_max;
	return result;
}

static void mpmc_close(struct queue *queue)
{
	queue->handle.mpmc = shmc_mpmc_close(queue->handle.mpmc);
}

static enum shmc_result mpmc_push(struct queue *queue, const struct shmc_bytes *messages,
				  uint64_t count, int64_t timeout_ns, uint64_t *ret_count)
{
	return shmc_mpmc_push_batch(queue->handle.mpmc, messages, count, timeout_ns, ret_count);
}

static enum shmc_result mpmc_receive(struct queue *queue, struct shmc_message *messages,
				     uint64_t max, uint64_t *ret_count)
{
	*ret_count = 1;
	return max > 0 ? shmc_mpmc_peek(queue->handle.mpmc, SHMC_TRY, messages) : SHMC_INVALID;
}

static void mpmc_release(struct queue *queue, uint64_t count)
{
	if (count > 0)
		shmc_mpmc_release(queue->handle.mpmc);
}

static enum shmc_result mpmc_fd(struct queue *queue, int *ret_fd, struct shmc_error *error)
{
	return shmc_mpmc_fd(queue->handle.mpmc, ret_fd, error);
}

/* broadcast: messages are copied out, since a writer may write over them while they are shown. */

static enum shmc_result broadcast_open(struct queue *queue, struct shmc_error *error)
{
	bool from_oldest = queue->options->from == OPTIONS_FROM_OLDEST;
	struct shmc_broadcast_options options = { .message_bytes_max = 0 };
	struct shmc_broadcast **handle = &queue->handle.broadcast;
	enum shmc_result result;

	if (queue->sends)
		result = shmc_broadcast_open(queue->client, queue->name, SHMC_BROADCAST_WRITER,
					     handle, error);
	else
		result = shmc_broadcast_open_from(queue->client, queue->name,
						  from_oldest ? SHMC_BROADCAST_OLDEST :
								SHMC_BROADCAST_NEWEST,
						  0, handle, error);
	if (result == SHMC_OK)
		shmc_broadcast_options_of(*handle, &options);
	queue->sender_count = (uint32_t)options.writers_max;
	queue->message_bytes_max = options.message_bytes_max;
	return result;
}

static void broadcast_close(struct queue *queue)
{
	queue->handle.broadcast = shmc_broadcast_close(queue->handle.broadcast);
}

static enum shmc_result broadcast_push(struct queue *queue, const struct shmc_bytes *messages,
				       uint64_t count, int64_t timeout_ns, uint64_t *ret_count)
{
	return shmc_broadcast_push_batch(queue->handle.broadcast, messages, count, timeout_ns,
					 ret_count);
}

static void grow_room(struct queue *queue, uint64_t bytes)
{
	queue->room = must(realloc(queue->room, bytes));
	queue->room_bytes = bytes;
}

/* " (writer 0: 12, writer 3: 7)": what was not told yet; *ret_more in all. Tells it herewith. */
static char *print_lost(struct queue *queue, const uint64_t *lost, uint64_t *ret_more)
{
	char *all = must_print("%s", "");
	uint64_t more = 0;

	for (uint32_t i = 0; i < queue->sender_count; i++) {
		uint64_t new = lost[i] - queue->told_lost[i];
		char *longer;

		if (lost[i] <= queue->told_lost[i])
			continue;
		longer = must_print("%s%swriter %" PRIu32 ": %" PRIu64, all, *all ? ", " : "", i,
				    new);
		free(all);
		all = longer;
		more += new;
		queue->told_lost[i] = lost[i];
	}
	*ret_more = more;
	return all;
}

/*
 * Once for each time that it was lapped, with what was lost of every writer: the messages say it
 * only one by one, each writer's next, and then it has been told.
 */
static void tell_lost(struct queue *queue, const struct shmc_broadcast_message *messages,
		      uint64_t count)
{
	uint64_t lost[QUEUE_SENDERS_MAX] = { 0 };
	enum shmc_result result;
	uint64_t more, i = 0;
	char *whose;

	while (i < count && !(messages[i].flags & SHMC_LOST))
		i++;
	if (i == count)
		return;
	result = shmc_broadcast_lost(queue->handle.broadcast, lost, queue->sender_count);
	if (result != SHMC_OK && result != SHMC_EMPTY)
		return; /* the next receive says what is wrong */
	whose = print_lost(queue, lost, &more);
	if (more > 0)
		report(0, "LAPPED",
		       "lapped: %" PRIu64
		       " messages of '%s' were written over before they were read (%s)",
		       more, queue->name, whose);
	free(whose);
}

static enum shmc_result broadcast_receive(struct queue *queue, struct shmc_message *messages,
					  uint64_t max, uint64_t *ret_count)
{
	struct shmc_broadcast_message popped[QUEUE_BATCH_MAX];
	enum shmc_result result;
	uint64_t count = 0;

	if (!queue->room)
		grow_room(queue, ROOM_FIRST);
	max = max < QUEUE_BATCH_MAX ? max : QUEUE_BATCH_MAX;
	while ((result = shmc_broadcast_pop_batch(queue->handle.broadcast, queue->room,
						  queue->room_bytes, popped, max, SHMC_TRY,
						  &count)) == SHMC_TOO_BIG)
		grow_room(queue, popped[0].size);
	if (result != SHMC_OK)
		return result;
	tell_lost(queue, popped, count);
	for (uint64_t i = 0; i < count; i++)
		messages[i] = (struct shmc_message){ .data = popped[i].data,
						     .size = popped[i].size };
	*ret_count = count;
	return SHMC_OK;
}

static void broadcast_release(struct queue *queue, uint64_t count)
{
	/* popped is popped */
}

static enum shmc_result broadcast_fd(struct queue *queue, int *ret_fd, struct shmc_error *error)
{
	return shmc_broadcast_fd(queue->handle.broadcast, ret_fd, error);
}

/* stream: a frame is a message; those that are being shown are held. */

static enum shmc_result stream_open(struct queue *queue, struct shmc_error *error)
{
	enum shmc_stream_role role = queue->sends ? SHMC_STREAM_WRITER : SHMC_STREAM_READER;
	struct shmc_stream_options options = { .capacity_bytes = 0 };
	enum shmc_result result = shmc_stream_open(queue->client, queue->name, role,
						   &queue->handle.stream, error);

	if (result == SHMC_OK)
		shmc_stream_options_of(queue->handle.stream, &options);
	queue->message_bytes_max = options.capacity_bytes;
	return result;
}

static void stream_close(struct queue *queue)
{
	queue->handle.stream = shmc_stream_close(queue->handle.stream);
}

static enum shmc_result stream_push(struct queue *queue, const struct shmc_bytes *messages,
				    uint64_t count, int64_t timeout_ns, uint64_t *ret_count)
{
	enum shmc_result result = SHMC_OK;
	uint64_t sent;

	for (sent = 0; sent < count && result == SHMC_OK; sent += result == SHMC_OK)
		result = shmc_stream_write(queue->handle.stream, messages[sent].data,
					   messages[sent].size, sent == 0 ? timeout_ns : SHMC_TRY);
	*ret_count = sent;
	return sent > 0 ? SHMC_OK : result;
}

static void tell_gap(const struct queue *queue, const struct shmc_frame *frame)
{
	if (frame->flags & SHMC_GAP)
		report(0, "GAP", "'%s': frame %" PRIu64 " came where %" PRIu64 " was expected",
		       queue->name, frame->sequence, frame->expected);
}

static enum shmc_result stream_receive(struct queue *queue, struct shmc_message *messages,
				       uint64_t max, uint64_t *ret_count)
{
	enum shmc_result result = SHMC_OK;
	uint64_t count = 0;

	max = max < QUEUE_BATCH_MAX ? max : QUEUE_BATCH_MAX;
	while (count < max) {
		struct shmc_frame *frame = &queue->held[count];

		result = shmc_stream_borrow(queue->handle.stream, SHMC_TRY, frame);
		if (result != SHMC_OK)
			break;
		tell_gap(queue, frame);
		messages[count++] = (struct shmc_message){
			.data = frame->data,
			.size = frame->size,
			.flags = frame->flags & SHMC_REDELIVERED,
		};
	}
	*ret_count = count;
	return count > 0 ? SHMC_OK : result;
}

static void stream_release(struct queue *queue, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		shmc_stream_release(queue->handle.stream, &queue->held[i]);
}

static enum shmc_result stream_fd(struct queue *queue, int *ret_fd, struct shmc_error *error)
{
	return shmc_stream_fd(queue->handle.stream, ret_fd, error);
}

static enum shmc_result stream_wait_peer(struct queue *queue, int64_t timeout_ns)
{
	return shmc_stream_wait_peer(queue->handle.stream, timeout_ns);
}

/* pipe: who publishes is a client, who subscribes the host that clients come to. */

static enum shmc_result pipe_open(struct queue *queue, struct shmc_error *error)
{
	enum shmc_pipe_role role = queue->sends ? SHMC_PIPE_CLIENT : SHMC_PIPE_HOST;
	struct shmc_pipe_info info = { .message_bytes_max = 0 };
	enum shmc_result result = shmc_pipe_open(queue->client, queue->name, role, NULL,
						 &queue->handle.pipe, error);

	if (result == SHMC_OK)
		shmc_pipe_options_of(queue->handle.pipe, &info);
	queue->message_bytes_max = info.client_bytes != 0 ? info.client_bytes :
							    info.message_bytes_max;
	return result;
}

static void pipe_close(struct queue *queue)
{
	queue->handle.pipe = shmc_pipe_close(queue->handle.pipe);
}

static enum shmc_result pipe_push(struct queue *queue, const struct shmc_bytes *messages,
				  uint64_t count, int64_t timeout_ns, uint64_t *ret_count)
{
	return shmc_pipe_send_batch(queue->handle.pipe, messages, count, timeout_ns, ret_count);
}

static enum shmc_result pipe_receive(struct queue *queue, struct shmc_message *messages,
				     uint64_t max, uint64_t *ret_count)
{
	return shmc_pipe_peek_batch(queue->handle.pipe, messages, max, SHMC_TRY, ret_count);
}

static void pipe_release(struct queue *queue, uint64_t count)
{
	shmc_pipe_release(queue->handle.pipe, count);
}

static enum shmc_result pipe_fd(struct queue *queue, int *ret_fd, struct shmc_error *error)
{
	return shmc_pipe_fd(queue->handle.pipe, ret_fd, error);
}

static enum shmc_result pipe_wait_peer(struct queue *queue, int64_t timeout_ns)
{
	return shmc_pipe_wait_peer(queue->handle.pipe, timeout_ns);
}

const struct queue_kind queue_kinds[] = {
	{
		.name = "spsc",
		.sender = "producer",
		.receiver = "consumer",
		.open = spsc_open,
		.close = spsc_close,
		.push = spsc_push,
		.receive = spsc_receive,
		.release = spsc_release,
		.fd = spsc_fd,
		.wait_peer = spsc_wait_peer,
	},
	{
		.name = "mpmc",
		.sender = "producer",
		.receiver = "consumer",
		.open = mpmc_open,
		.close = mpmc_close,
		.push = mpmc_push,
		.receive = mpmc_receive,
		.release = mpmc_release,
		.fd = mpmc_fd,
	},
	{
		.name = "broadcast",
		.sender = "writer",
		.receiver = "reader",
		.takes_from = true,
		.open = broadcast_open,
		.close = broadcast_close,
		.push = broadcast_push,
		.receive = broadcast_receive,
		.release = broadcast_release,
		.fd = broadcast_fd,
	},
	{
		.name = "stream",
		.sender = "writer",
		.receiver = "reader",
		.open = stream_open,
		.close = stream_close,
		.push = stream_push,
		.receive = stream_receive,
		.release = stream_release,
		.fd = stream_fd,
		.wait_peer = stream_wait_peer,
	},
	{
		.name = "pipe",
		.sender = "client",
		.receiver = "host",
		.open = pipe_open,
		.close = pipe_close,
		.push = pipe_push,
		.receive = pipe_receive,
		.release = pipe_release,
		.fd = pipe_fd,
		.wait_peer = pipe_wait_peer,
	},
};
const size_t queue_kind_count = sizeof(queue_kinds) / sizeof(*queue_kinds);
