/*
 * Queue kind: what pub and sub need of a kind that moves messages. A row for each.
 */
#ifndef SHMBROKERCTL_QUEUE_KIND_H
#define SHMBROKERCTL_QUEUE_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmclient/shmclient.h"

struct queue;

union queue_handle {
	struct shmc_spsc *spsc;
	struct shmc_mpmc *mpmc;
	struct shmc_broadcast *broadcast;
	struct shmc_stream *stream;
	struct shmc_pipe *pipe;
};

struct queue_kind {
	const char *name;
	const char *sender; /* the roles, as the broker names them */
	const char *receiver;
	bool takes_from; /* a receiver chooses where it begins */

	/* As sender or receiver; also sets message_bytes_max. */
	enum shmc_result (*open)(struct queue *queue, struct shmc_error *error);
	/* Takes a handle that was never opened. */
	void (*close)(struct queue *queue);
	enum shmc_result (*push)(struct queue *queue, const struct shmc_bytes *messages,
				 uint64_t count, int64_t timeout_ns, uint64_t *ret_count);
	/* What is there, up to @max, without waiting; valid until the next call or release. */
	enum shmc_result (*receive)(struct queue *queue, struct shmc_message *messages,
				    uint64_t max, uint64_t *ret_count);
	/* They have been dealt with: until then, where the kind can, they come again. */
	void (*release)(struct queue *queue, uint64_t count);
	enum shmc_result (*fd)(struct queue *queue, int *ret_fd, struct shmc_error *error);
	/* NULL where nobody in particular is at the other side: it never is gone. */
	enum shmc_result (*wait_peer)(struct queue *queue, int64_t timeout_ns);
};

extern const struct queue_kind queue_kinds[];
extern const size_t queue_kind_count;

#endif
