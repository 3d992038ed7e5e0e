/* As client.h, for mpmc queues. Every failure ends the test. */
#ifndef SHMT_MPMC_CLIENT_H
#define SHMT_MPMC_CLIENT_H

#include "shmclient/mpmc.h"
#include "tests/support/client.h"

void shmt_queue_create(struct shmc_client *client, const char *name,
		       struct shmc_mpmc_options options);
struct shmc_mpmc *shmt_queue_open(struct shmc_client *client, const char *name,
				  enum shmc_mpmc_role role);
/* One number as a message of 8 bytes. */
enum shmc_result shmt_queue_push(struct shmc_mpmc *queue, uint64_t number, int64_t timeout_ns);
enum shmc_result shmt_queue_pop(struct shmc_mpmc *queue, uint64_t *ret_number, uint32_t *ret_flags,
				int64_t timeout_ns);
struct shmc_mpmc_statistics shmt_queue_statistics(const struct shmc_mpmc *queue);
/* Returns when at least so many sleeps have begun, or are about to, in the role. */
void shmt_queue_await_sleeps(const struct shmc_mpmc *queue, enum shmc_mpmc_role role,
			     uint64_t count);

#endif
