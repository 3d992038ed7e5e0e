/*
 * Message: how what lies in a ring of messages (spsc, pipe) gets to who receives it, and comes from
 * who sends it. The handles say who may do that, and whom to tell; what they do then is here.
 *
 * Threads: the handle's.
 */
#ifndef SHMC__MESSAGE_H
#define SHMC__MESSAGE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "libclient/head_start.h"
#include "libclient/move.h"
#include "libclient/wait.h"
#include "protocol/spsc.h"

/* Arguments of a sending move, for waiting. */
struct shmc__sending {
	void *moves; /* what protocol/ calls the one who makes it */
	const void *data;
	uint64_t size;
	uint8_t *room; /* of a reservation */
};

/* And of a receiving one: into a buffer, or shown in place. */
struct shmc__receiving {
	void *moves;
	void *buffer;
	uint64_t buffer_bytes;
	struct shmc_message *messages;
	uint64_t max;
	uint64_t count; /* of what was shown */
};

/* The two are the same but for their names: filled in as one, read as the other. */
static_assert(sizeof(struct shmc_message) == sizeof(struct shmp_spsc_message), "message size");
static_assert(offsetof(struct shmc_message, data) == offsetof(struct shmp_spsc_message, data),
	      "message.data");
static_assert(offsetof(struct shmc_message, size) == offsetof(struct shmp_spsc_message, size),
	      "message.size");
static_assert(offsetof(struct shmc_message, flags) == offsetof(struct shmp_spsc_message, flags),
	      "message.flags");

static inline void shmc__message_give(const struct shmp_spsc_message *message,
				      struct shmc_message *ret_message)
{
	shmc__move_give(message->data, message->size, message->flags, ret_message);
}

/* The end of a move that pops: says @r. Of what has no room its size is told. */
static inline int shmc__message_popped(const struct shmc__receiving *receiving, int r,
				       const struct shmp_spsc_message *message)
{
	if (SHMP_LIKELY(r == SHMP_DONE))
		shmc__message_give(message, receiving->messages);
	else if (r == SHMP_TOO_BIG)
		receiving->messages->size = message->size;
	return r;
}

/* The end of a move that shows: says @r. */
static inline int shmc__message_shown(const struct shmc__receiving *receiving, int r)
{
	if (r != SHMP_DONE)
		return r;
	for (uint64_t i = 0; i < receiving->count; i++) {
		struct shmp_spsc_message message;

		memcpy(&message, &receiving->messages[i], sizeof(message));
		shmc__message_give(&message, &receiving->messages[i]);
	}
	return SHMP_DONE;
}

/*
 * An answer to what was just sent comes within a few hundred ns: nothing is done between looks. How
 * many were in vain, SHMC__HEAD_START_LOOKS if nothing came.
 */
static inline unsigned int shmc__message_look_closely(const struct shmp_spsc_consumer *consumer)
{
	unsigned int looks = 0;

	while (looks < SHMC__HEAD_START_LOOKS && !shmp_spsc_look(consumer)) {
		shmc__wait_pause();
		looks++;
	}
	return looks;
}

#endif
