/* mpmc: many to many, each message to one of them. */
#include "tests/soak/kinds.h"
#include "tests/soak/line.h"

static enum shmc_result create(struct shmc_client *client, const char *segment,
			       struct shmc_error *error)
{
	struct shmc_mpmc_options options = { .slots = 32,
					     .message_bytes_max = SOAK_MESSAGE_MAX,
					     .reuse = 1 };

	return shmc_mpmc_create(client, segment, &options, error);
}

static enum shmc_result open_queue(struct shmc_client *client, const char *segment, bool sends,
				   void **ret_handle, struct shmc_error *error)
{
	return shmc_mpmc_open(client, segment, sends ? SHMC_MPMC_PRODUCER : SHMC_MPMC_CONSUMER,
			      (struct shmc_mpmc **)ret_handle, error);
}

static void close_queue(void *handle)
{
	shmc_mpmc_close(handle);
}

static enum shmc_result send_message(void *handle, const void *data, uint64_t size,
				     int64_t timeout_ns)
{
	return shmc_mpmc_push(handle, data, size, timeout_ns);
}

static enum shmc_result receive(void *handle, void *buffer, uint64_t bytes, int64_t timeout_ns,
				struct soak_received *ret_received)
{
	struct shmc_message message = { 0 };
	enum shmc_result result = shmc_mpmc_pop(handle, buffer, bytes, timeout_ns, &message);

	*ret_received = (struct soak_received){ message.data, message.size, message.flags };
	return result;
}

static enum shmc_result peek(void *handle, int64_t timeout_ns, struct soak_received *ret_received)
{
	struct shmc_message message = { 0 };
	enum shmc_result result = shmc_mpmc_peek(handle, timeout_ns, &message);

	*ret_received = (struct soak_received){ message.data, message.size, message.flags };
	return result;
}

static enum shmc_result release(void *handle)
{
	return shmc_mpmc_release(handle);
}

static const struct soak_line line = {
	.is_ordered = true,
	.open = open_queue,
	.close = close_queue,
	.send = send_message,
	.receive = receive,
	.peek = peek,
	.release = release,
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

/* In an arena that is made by whoever comes first. */
static enum shmc_result create_object(struct shmc_client *client, const char *segment,
				      struct shmc_error *error)
{
	struct shmc_arena_options options = { .reuse = 1 };
	enum shmc_result result = shmc_arena_create(client, "arena", &options, error);

	return result == SHMC_OK ? create(client, segment, error) : result;
}

const struct soak_kind soak_arena_mpmc = {
	.name = "arena:mpmc",
	.lanes = 1,
	.create = create_object,
	.roles = { { "producer", 2, 1, produce }, { "consumer", 2, 0, consume } },
	.account = account,
};

const struct soak_kind soak_mpmc = {
	.name = "mpmc",
	.lanes = 1,
	.create = create,
	.roles = { { "producer", 3, 1, produce }, { "consumer", 3, 0, consume } },
	.account = account,
};
