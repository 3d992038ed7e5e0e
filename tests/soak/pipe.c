/*
 * pipe: host and client, each sends and receives. What was on its way to a host that ends, or from it
 * to a client that does not come before the next one, goes with its session: counted as lost.
 */
#include "tests/soak/kinds.h"
#include "tests/soak/line.h"

static enum shmc_result create(struct shmc_client *client, const char *segment,
			       struct shmc_error *error)
{
	struct shmc_pipe_options options = { .capacity_bytes = 8192, .reuse = 1 };

	return shmc_pipe_create(client, segment, &options, error);
}

static enum shmc_result open_pipe(struct shmc_client *client, const char *segment, bool sends,
				  void **ret_handle, struct shmc_error *error)
{
	return shmc_pipe_open(client, segment, sends ? SHMC_PIPE_HOST : SHMC_PIPE_CLIENT, NULL,
			      (struct shmc_pipe **)ret_handle, error);
}

static void close_pipe(void *handle)
{
	shmc_pipe_close(handle);
}

static enum shmc_result send_message(void *handle, const void *data, uint64_t size,
				     int64_t timeout_ns)
{
	return shmc_pipe_send(handle, data, size, timeout_ns);
}

static enum shmc_result receive(void *handle, void *buffer, uint64_t bytes, int64_t timeout_ns,
				struct soak_received *ret_received)
{
	struct shmc_message message = { 0 };
	enum shmc_result result = shmc_pipe_receive(handle, buffer, bytes, timeout_ns, &message);

	*ret_received = (struct soak_received){ message.data, message.size, message.flags };
	return result;
}

static enum shmc_result peek(void *handle, int64_t timeout_ns, struct soak_received *ret_received)
{
	struct shmc_message message = { 0 };
	enum shmc_result result = shmc_pipe_peek(handle, timeout_ns, &message);

	*ret_received = (struct soak_received){ message.data, message.size, message.flags };
	return result;
}

static enum shmc_result release(void *handle)
{
	return shmc_pipe_release(handle, 1);
}

static enum shmc_result wait_peer(void *handle, int64_t timeout_ns)
{
	return shmc_pipe_wait_peer(handle, timeout_ns);
}

static const struct soak_line line = {
	.is_ordered = true,
	.is_mutual = true,
	.has_peers = true,
	.open = open_pipe,
	.close = close_pipe,
	.send = send_message,
	.receive = receive,
	.peek = peek,
	.release = release,
	.wait_peer = wait_peer,
};

static void play_host(struct soak_player *player)
{
	soak_line_talk(player, &line, true);
}

static void play_client(struct soak_player *player)
{
	soak_line_talk(player, &line, false);
}

static void account(struct soak_player *heir)
{
	heir->lane->may_lose = 1;
	soak_line_account(heir, &line);
}

const struct soak_kind soak_pipe = {
	.name = "pipe",
	.lanes = 1,
	.create = create,
	.roles = { { "host", 1, 0, play_host }, { "client", 1, 0, play_client } },
	.account = account,
};
