/*
 * As client.h, for buffers; and a puppet: another process with a handle of its own, which does what
 * it is told and says what came of it. Every failure ends the test.
 */
#ifndef SHMT_BUFFER_CLIENT_H
#define SHMT_BUFFER_CLIENT_H

#include "shmclient/buffer.h"
#include "tests/support/client.h"
#include "tests/support/peer.h"

void shmt_buffer_create(struct shmc_client *client, const char *name,
			struct shmc_buffer_options options);
struct shmc_buffer *shmt_buffer_open(struct shmc_client *client, const char *name,
				     enum shmc_buffer_role role);
struct shmc_buffer_owner shmt_buffer_owner(const struct shmc_buffer *buffer);
/* Returns when exactly so many endpoints sleep until they get the lock. */
void shmt_buffer_await_waiting(const struct shmc_buffer *buffer, uint32_t count);
/* Returns when the lock is told of a dead owner so often. */
void shmt_buffer_await_deaths(const struct shmc_buffer *buffer, uint64_t count);

enum shmt_puppet_act {
	PUPPET_LOCK_READ,
	PUPPET_LOCK_WRITE,
	PUPPET_UNLOCK,
	PUPPET_MARK_CONSISTENT,
	PUPPET_PUT_BACK,
	PUPPET_WRITE, /* one byte */
	PUPPET_READ,
	PUPPET_VERIFY, /* one byte */
	PUPPET_END,
};

struct shmt_puppet {
	struct shmt_peer peer;
	uint8_t byte; /* of the last READ */
};

struct shmt_puppet shmt_puppet_start(const struct shmt_broker *broker, const char *name,
				     enum shmc_buffer_role role);
/* Begins; the result is to be asked for. @value: timeout in ns, or offset. */
void shmt_puppet_begin(struct shmt_puppet *puppet, enum shmt_puppet_act act, int64_t value,
		       uint8_t byte);
enum shmc_result shmt_puppet_result(struct shmt_puppet *puppet);
/* Both. */
enum shmc_result shmt_puppet_do(struct shmt_puppet *puppet, enum shmt_puppet_act act,
				int64_t value);
enum shmc_result shmt_puppet_write(struct shmt_puppet *puppet, uint64_t offset, uint8_t byte);
/* It must be able to. */
uint8_t shmt_puppet_read(struct shmt_puppet *puppet, uint64_t offset);
/* It closes everything and ends. */
void shmt_puppet_end(struct shmt_puppet *puppet);

#endif
