/* As client.h, for broadcasts. Every failure ends the test. */
#ifndef SHMT_BROADCAST_CLIENT_H
#define SHMT_BROADCAST_CLIENT_H

#include "shmclient/broadcast.h"
#include "tests/support/client.h"

void shmt_broadcast_create(struct shmc_client *client, const char *name,
			   struct shmc_broadcast_options options);
struct shmc_broadcast *shmt_writer_open(struct shmc_client *client, const char *name);
struct shmc_broadcast *shmt_reader_open(struct shmc_client *client, const char *name,
					enum shmc_broadcast_from from, uint64_t position);

/* A message of @size bytes, 8 or more, that says its number in every word. */
enum shmc_result shmt_broadcast_send(struct shmc_broadcast *broadcast, uint64_t number,
				     uint64_t size, int64_t timeout_ns);
/* One that must be whole, of at most 4096 bytes. */
enum shmc_result shmt_broadcast_receive(struct shmc_broadcast *broadcast, uint64_t *ret_number,
					struct shmc_broadcast_message *ret_message,
					int64_t timeout_ns);
/* Returns when at least so many sleeps of writers, or of readers, have begun. */
void shmt_broadcast_await_sleeps(const struct shmc_broadcast *broadcast,
				 enum shmc_broadcast_role role, uint64_t count);

#endif
