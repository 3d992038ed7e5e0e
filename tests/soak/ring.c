/* ring: a message to each element, one to one, in order; the producer waits for room. */
#include <string.h>

#include "tests/soak/kinds.h"
#include "tests/soak/line.h"

static enum shmc_result create(struct shmc_client *client, const char *segment,
			       struct shmc_error *error)
{
	struct shmc_ring_options options = { .element_bytes = SOAK_MESSAGE_MAX,
					     .elements = 24,
					     .reuse = 1 };

	return shmc_ring_create(client, segment, &options, error);
}

static enum shmc_result open_ring(struct shmc_client *client, const char *segment, bool sends,
				  void **ret_handle, struct shmc_error *error)
{
	return shmc_ring_open(client, segment, sends ? SHMC_RING_PRODUCER : SHMC_RING_CONSUMER,
			      NULL, (struct shmc_ring **)ret_handle, error);
}

static void close_ring(void *handle)
{
	shmc_ring_close(handle);
}

static enum shmc_result send_element(void *handle, const void *data, uint64_t size,
				     int64_t timeout_ns)
{
	uint8_t element[SOAK_MESSAGE_MAX] = { 0 };
	uint64_t count;

	memcpy(element, data, size);
	return shmc_ring_push(handle, element, 1, 1, timeout_ns, &count);
}

/* The message's own size; nothing is ever lost here. */
static struct soak_received received_of(const struct shmc_ring_span *span)
{
	struct soak_head head;

	if (span->count != 1 || span->lost != 0)
		return (struct soak_received){ .data = span->data };
	memcpy(&head, span->data, sizeof(head));
	return (struct soak_received){ span->data, head.size <= SOAK_MESSAGE_MAX ? head.size : 0,
				       span->redelivered ? SHMC_REDELIVERED : 0 };
}

static enum shmc_result receive(void *handle, void *buffer, uint64_t bytes, int64_t timeout_ns,
				struct soak_received *ret_received)
{
	struct shmc_ring_span span = { 0 };
	enum shmc_result result = shmc_ring_pop(handle, buffer, 1, 1, timeout_ns, &span);

	if (result == SHMC_OK)
		*ret_received = received_of(&span);
	return result;
}

static enum shmc_result peek(void *handle, int64_t timeout_ns, struct soak_received *ret_received)
{
	struct shmc_ring_span span = { 0 };
	enum shmc_result result = shmc_ring_peek(handle, 0, 1, 1, timeout_ns, &span);

	if (result == SHMC_OK)
		*ret_received = received_of(&span);
	return result;
}

static enum shmc_result release(void *handle)
{
	return shmc_ring_release(handle, 1);
}

static enum shmc_result wait_peer(void *handle, int64_t timeout_ns)
{
	return shmc_ring_wait_peer(handle, timeout_ns);
}

static const struct soak_line line = {
	.is_ordered = true,
	.has_peers = true,
	.open = open_ring,
	.close = close_ring,
	.send = send_element,
	.receive = receive,
	.peek = peek,
	.release = release,
	.wait_peer = wait_peer,
};

static void produce(struct soak_player *player)
{
	soak_line_send(player, &line);
}

static void consume(struct soak_player *player)
{
	soak_line_receive(player, &line);
}

static void account(struct soak_player *heir)
{
	soak_line_account(heir, &line);
}

const struct soak_kind soak_ring = {
	.name = "ring",
	.lanes = 1,
	.create = create,
	.roles = { { "producer", 1, 1, produce }, { "consumer", 1, 0, consume } },
	.account = account,
};
