#include "tests/support/pipe_client.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

void shmt_create_pipe(struct shmc_client *client, uint64_t capacity_bytes)
{
	struct shmc_pipe_options options = { .capacity_bytes = capacity_bytes };
	struct shmc_error error;

	ck_assert_msg(shmc_pipe_create(client, "pipe", &options, &error) == SHMC_OK, "%s",
		      error.text);
}

struct shmc_pipe *shmt_open_pipe(struct shmc_client *client, enum shmc_pipe_role role)
{
	struct shmc_pipe *pipe = NULL;
	struct shmc_error error;

	ck_assert_msg(shmc_pipe_open(client, "pipe", role, NULL, &pipe, &error) == SHMC_OK, "%s",
		      error.text);
	return pipe;
}

static uint8_t byte_of(uint64_t number, uint64_t at)
{
	return (uint8_t)(number * 31 + at * 7);
}

enum shmc_result shmt_send_number(struct shmc_pipe *pipe, uint64_t number, uint64_t size,
				  int64_t timeout_ns)
{
	uint8_t *message = malloc(size);
	enum shmc_result result;

	for (uint64_t at = 8; at < size; at++)
		message[at] = byte_of(number, at);
	memcpy(message, &number, 8);
	result = shmc_pipe_send(pipe, message, size, timeout_ns);
	free(message);
	return result;
}

enum shmc_result shmt_receive_number(struct shmc_pipe *pipe, int64_t timeout_ns,
				     uint64_t *ret_number, uint64_t *ret_size, uint32_t *ret_flags)
{
	struct shmc_message message;
	enum shmc_result result = shmc_pipe_peek(pipe, timeout_ns, &message);
	const uint8_t *bytes = message.data;

	if (result != SHMC_OK)
		return result;
	memcpy(ret_number, bytes, 8);
	for (uint64_t at = 8; at < message.size; at++)
		if (bytes[at] != byte_of(*ret_number, at))
			ck_abort_msg("message %lu is not whole", *ret_number);
	*ret_size = message.size;
	*ret_flags = message.flags;
	return shmc_pipe_release(pipe, 1);
}

void shmt_expect_number(struct shmc_pipe *pipe, uint64_t number, uint32_t flags)
{
	uint64_t got = 0, size;
	uint32_t got_flags = 0;

	shmt_assert_ok(shmt_receive_number(pipe, SHMC_FOREVER, &got, &size, &got_flags));
	ck_assert_uint_eq(got, number);
	ck_assert_uint_eq(got_flags, flags);
}

void shmt_expect_no_message(struct shmc_pipe *pipe, int64_t timeout_ns, enum shmc_result result)
{
	struct shmc_message message;
	char buffer[8];

	shmt_assert_result(shmc_pipe_receive(pipe, buffer, sizeof(buffer), timeout_ns, &message),
			   result);
}

void shmt_await_pipe_sleeper(struct shmc_pipe *pipe, enum shmc_pipe_role sleeper, uint64_t before)
{
	struct shmc_pipe_statistics statistics;

	do {
		sched_yield();
		shmt_assert_ok(shmc_pipe_statistics(pipe, &statistics));
	} while ((sleeper == SHMC_PIPE_HOST ? statistics.host : statistics.client).waits <= before);
}
