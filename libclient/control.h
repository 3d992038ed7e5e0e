/*
 * Control: one connection to a broker, calls and their replies.
 *
 * Replies come in the order of the calls, so what is awaited is a queue: each entry has a
 * function for its reply. A call that somebody waits for is an entry like those whose replies are
 * collected whenever the connection is next looked at.
 *
 * A connection that broke is closed at once, and every entry gets a NULL reply.
 *
 * Threads: one at a time; the client's mutex.
 */
#ifndef SHMC__CONTROL_H
#define SHMC__CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libclient/process.h"
#include "protocol/varlink.h"
#include "protocol/wire.h"

struct shmc__reply {
	struct shmp_varlink_reply varlink;
	int fds[SHMP_WIRE_FDS_MAX];
	size_t fd_count;
};

/* Closes what nobody took: set a descriptor to -1 to keep it. Harmless on a zeroed one. */
void shmc__reply_deinit(struct shmc__reply *reply);

/* Gets the reply, or NULL when it will never come. The reply is freed afterwards. */
typedef void (*shmc__reply_fn)(void *context, struct shmc__reply *reply);

struct shmc__awaited;

struct shmc__control {
	struct shmp_wire wire; /* wire.fd >= 0: connected */
	struct shmc__holding socket;
	struct shmc__awaited *first;
	struct shmc__awaited *last;
};

void shmc__control_init(struct shmc__control *control);
/* Takes over @socket. */
void shmc__control_open(struct shmc__control *control, struct shmc__holding *socket);
void shmc__control_close(struct shmc__control *control);
/* In a forked child: frees memory; the socket is closed already. */
void shmc__control_abandon(struct shmc__control *control);

static inline bool shmc__control_is_open(const struct shmc__control *control)
{
	return control->wire.fd >= 0;
}

/* Whether some reply has yet to come. */
static inline bool shmc__control_awaits(const struct shmc__control *control)
{
	return control->first != NULL;
}

/* A message as it goes out, with its NUL, at once and without memory, or not at all: 0; -EPIPE,
 * connection closed; another -errno. */
int shmc__control_send_text(struct shmc__control *control, const char *text, size_t bytes);
/*
 * Sends without waiting. With @fn the reply is awaited, without it is a oneway call. What does
 * not go out now goes with a later call. 0; -EPIPE, connection closed; -ENOMEM.
 */
int shmc__control_send(struct shmc__control *control, const char *method, const cJSON *parameters,
		       shmc__reply_fn fn, void *context);

/* Hands out the replies that have come, without waiting. 0; -EPIPE or -EBADMSG, closed. */
int shmc__control_collect(struct shmc__control *control);

/* Replies awaited for @context go to nobody any more. */
void shmc__control_forget(struct shmc__control *control, const void *context);

/*
 * Calls and waits. 0: @ret_reply is the caller's to deinit, an error reply included. -ETIMEDOUT:
 * when the answer comes after all, @late gets it; -EPIPE; -EBADMSG; -ENOMEM; -EMSGSIZE.
 */
int shmc__control_call(struct shmc__control *control, const char *method, const cJSON *parameters,
		       uint64_t deadline_ns, shmc__reply_fn late, void *late_context,
		       struct shmc__reply *ret_reply);

#endif
