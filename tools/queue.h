/*
 * Queue: what pub and sub have in common. Faults are reported here; what is returned is the exit
 * code.
 */
#ifndef SHMBROKERCTL_QUEUE_H
#define SHMBROKERCTL_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "shmclient/shmclient.h"
#include "tools/options.h"
#include "tools/queue_kind.h"

#define QUEUE_BATCH_MAX	  256 /* messages moved together */
#define QUEUE_SENDERS_MAX 255

struct queue {
	const struct options *options;
	const char *name;
	bool sends;
	struct shmc_client *client;
	const struct queue_kind *kind; /* NULL = not open */
	union queue_handle handle;
	void *room; /* for messages that are copied out */
	uint64_t room_bytes;
	struct shmc_frame held[QUEUE_BATCH_MAX]; /* of a stream: those that were received last */
	uint64_t message_bytes_max;
	uint64_t messages; /* moved by this run */
	uint64_t bytes;
	/* of a broadcast: what was told to be lost, by writer */
	uint64_t told_lost[QUEUE_SENDERS_MAX];
	uint32_t sender_count;
};

/*
 * Connects, makes the queue if --create says so, opens it as what it is, to send or to receive.
 * On failure nothing is left open.
 */
int queue_open(const struct options *options, bool sends, struct queue *ret_queue);
void queue_close(struct queue *queue);

/* The other side is gone: waits for its successor with --follow, otherwise says what happened. */
int queue_peer_gone(struct queue *queue, enum shmc_result result);
/*
 * Where the broker hung up, looks for the one that goes on with what is open: OK; BROKER_LOST there
 * is none; STALE it does not know it.
 */
enum shmc_result queue_find_broker(struct shmc_client *client, struct shmc_error *ret_error);
/* Without a broker nobody new comes, and nobody is told of a death: 0, or what was reported. */
int queue_check_broker(const struct queue *queue);
/* Nothing moved for --timeout. */
int queue_timed_out(const struct queue *queue);
/* A control call failed: its text names everything. */
int queue_report_error(const struct shmc_error *error);
int queue_report(const struct queue *queue, const char *what, enum shmc_result result);

#endif
