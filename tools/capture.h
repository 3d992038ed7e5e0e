/*
 * Capture: the messages that are in a queue, as of one moment, while others go on with it.
 *
 * The moment is that at which the position of the next message is read: what is sent later is not
 * in it. What was copied and is gone by the end of it is taken out again, so that of what one
 * receiver has taken there is nothing left, or the last of it: no message is there which he took
 * before one that is not. So the messages are those that a successor would have found if all who
 * send had stopped at that moment, and each receiver at some moment since.
 */
#ifndef SHMBROKERCTL_CAPTURE_H
#define SHMBROKERCTL_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmclient/shmclient.h"

struct capture_message {
	uint64_t position; /* in its direction */
	uint64_t number;
	uint64_t at; /* its bytes, in all of them */
	uint64_t size;
	uint32_t sender; /* of a pipe */
	bool is_in_hand; /* of a receiver, or of one who died */
	bool is_metadata;
	bool is_for_next; /* in a pipe: for a host who has not come yet */
	bool is_there;
};

struct capture {
	const struct shmc_observer *observer;
	bool is_pipe;
	bool is_shared; /* several receivers: what is taken may lie behind what is not */
	/* filled in */
	struct capture_message *messages; /* those that are there, in their order */
	size_t count;
	uint8_t *bytes;
	/* private */
	size_t room;
	uint64_t used, bytes_room;
	uint64_t end; /* position of the moment */
	uint64_t limit;
	size_t next;
	bool has_no_room;
};

/* Of a queue whose receivers take: OK; CORRUPT; NO_SPACE; BUSY (receivers were always faster). */
enum shmc_result capture_queue(struct capture *capture, uint64_t message_bytes_max);
/*
 * Of a broadcast: the messages up to the newest that can be read, without a gap. Writers that are
 * faster than the copy leave as much as was copied between two times that it was overtaken.
 */
enum shmc_result capture_ring(struct capture *capture, uint64_t message_bytes_max,
			      uint64_t capacity_bytes);
void capture_free(struct capture *capture);

#endif
