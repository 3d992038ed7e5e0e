/*
 * What tests of pipes do through the library: make and open one, and send messages that say which
 * they are.
 */
#ifndef SHMT_PIPE_CLIENT_H
#define SHMT_PIPE_CLIENT_H

#include "tests/support/client.h"

/* "pipe", of @capacity_bytes each way and no type. */
void shmt_create_pipe(struct shmc_client *client, uint64_t capacity_bytes);
struct shmc_pipe *shmt_open_pipe(struct shmc_client *client, enum shmc_pipe_role role);

/* A message of @size bytes, 8 at least, that says @number. */
enum shmc_result shmt_send_number(struct shmc_pipe *pipe, uint64_t number, uint64_t size,
				  int64_t timeout_ns);
/* Any message; it must be whole. */
enum shmc_result shmt_receive_number(struct shmc_pipe *pipe, int64_t timeout_ns,
				     uint64_t *ret_number, uint64_t *ret_size, uint32_t *ret_flags);
/* One that must say @number, of any size. */
void shmt_expect_number(struct shmc_pipe *pipe, uint64_t number, uint32_t flags);
/* There must be none, and this the reason. */
void shmt_expect_no_message(struct shmc_pipe *pipe, int64_t timeout_ns, enum shmc_result result);

/* Returns when the other side has gone to sleep more than @before times. */
void shmt_await_pipe_sleeper(struct shmc_pipe *pipe, enum shmc_pipe_role sleeper, uint64_t before);

#endif
