/* stream: frames, one to one, in order, held in place. */
#include "tests/soak/kinds.h"
#include "tests/soak/line.h"

static struct shmc_frame shown; /* of this process */

static enum shmc_result create(struct shmc_client *client, const char *segment,
			       struct shmc_error *error)
{
	struct shmc_stream_options options = { .capacity_bytes = 16384, .reuse = 1 };

	return shmc_stream_create(client, segment, &options, error);
}

static enum shmc_result open_stream(struct shmc_client *client, const char *segment, bool sends,
				    void **ret_handle, struct shmc_error *error)
{
	return shmc_stream_open(client, segment, sends ? SHMC_STREAM_WRITER : SHMC_STREAM_READER,
				(struct shmc_stream **)ret_handle, error);
}

static void close_stream(void *handle)
{
	shmc_stream_close(handle);
}

static enum shmc_result send_frame(void *handle, const void *data, uint64_t size,
				   int64_t timeout_ns)
{
	return shmc_stream_write(handle, data, size, timeout_ns);
}

static enum shmc_result receive(void *handle, void *buffer, uint64_t bytes, int64_t timeout_ns,
				struct soak_received *ret_received)
{
	struct shmc_frame frame = { 0 };
	enum shmc_result result = shmc_stream_read(handle, buffer, bytes, timeout_ns, &frame);

	*ret_received = (struct soak_received){ frame.data, frame.size, frame.flags };
	return result;
}

static enum shmc_result peek(void *handle, int64_t timeout_ns, struct soak_received *ret_received)
{
	enum shmc_result result = shmc_stream_borrow(handle, timeout_ns, &shown);

	*ret_received = (struct soak_received){ shown.data, shown.size, shown.flags };
	return result;
}

static enum shmc_result release(void *handle)
{
	return shmc_stream_release(handle, &shown);
}

static enum shmc_result wait_peer(void *handle, int64_t timeout_ns)
{
	return shmc_stream_wait_peer(handle, timeout_ns);
}

static const struct soak_line line = {
	.is_ordered = true,
	.has_peers = true,
	.open = open_stream,
	.close = close_stream,
	.send = send_frame,
	.receive = receive,
	.peek = peek,
	.release = release,
	.wait_peer = wait_peer,
};

static void play_writer(struct soak_player *player)
{
	soak_line_send(player, &line);
}

static void play_reader(struct soak_player *player)
{
	soak_line_receive(player, &line);
}

static void account(struct soak_player *heir)
{
	soak_line_account(heir, &line);
}

const struct soak_kind soak_stream = {
	.name = "stream",
	.lanes = 1,
	.create = create,
	.roles = { { "writer", 1, 1, play_writer }, { "reader", 1, 0, play_reader } },
	.account = account,
};
