/*
 * port: one side of a queue, broadcast, stream or whatever else carries messages, as that through
 * which values are sent or received. It is made of an open handle, takes nothing from it, and is
 * given back by forgetting it, before the handle is closed.
 *
 * What is said of the handle holds for its ports: one thread at a time, and so on. Several ports of
 * one handle are one too many.
 */
#ifndef SHMCLIENT_PORT_H
#define SHMCLIENT_PORT_H

#include <stdint.h>

#include "shmclient/client.h"
#include "shmclient/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmc_broadcast;
struct shmc_mpmc;
struct shmc_pipe;
struct shmc_spsc;
struct shmc_stream;

struct shmc_port_kind;

/** The library's; only to be kept. */
struct shmc_port {
	const struct shmc_port_kind *kind;
	void *handle;
	const uint32_t *alive;
	uint64_t message_bytes_max;
	struct shmc_message message; /* that is in hand */
	uint64_t loan;
	uint64_t position;
	uint32_t is_holding;
	uint32_t reserved;
};

/** A handle's port, in the role that the handle has. An observer's answers INVALID to everything.
 *  Threads: any. Context: never blocks. Since: 0.1 */
struct shmc_port shmc_port_broadcast(struct shmc_broadcast *broadcast);
struct shmc_port shmc_port_mpmc(struct shmc_mpmc *queue);
struct shmc_port shmc_port_pipe(struct shmc_pipe *pipe); /* both directions */
struct shmc_port shmc_port_spsc(struct shmc_spsc *queue);
struct shmc_port shmc_port_stream(struct shmc_stream *stream);

/**
 * Sends a value as a message, written where it will be read if the codec can do that.
 *
 * @param value		of the type that the codec takes; stays the caller's
 * @param timeout_ns	SHMC_TRY, SHMC_FOREVER or nanoseconds to wait for room
 *
 * Return: OK; BAD_VALUE (the codec cannot encode it), or what else the codec says; TOO_BIG (more
 * bytes than a message may have); UNSUPPORTED (this codec only decodes); NO_SPACE; otherwise as the
 * kind's push. Anything but OK: nothing was sent.
 * Threads: the handle's. Context: SHMC_TRY never blocks; may allocate; not signal-safe.
 * Crash: sent whole or not at all.
 * Since: 0.1
 */
enum shmc_result shmc_port_send_value(struct shmc_port *port, const struct shmc_codec *codec,
				      const void *value, int64_t timeout_ns);

/**
 * Takes the next message as a value. One that is none stays in hand: its bytes can be read where
 * they lie, the next call tries the same one again, maybe with another codec, and
 * shmc_port_release() passes it over.
 *
 * @param ret_value	of the type that the codec makes; on OK the caller's, to be given back as the
 *			codec says
 * @param ret_message	size and flags of the message (SHMC_REDELIVERED, SHMC_LOST, SHMC_GAP), and its
 *			data as long as it is in hand, else NULL; may be NULL
 *
 * Return: OK; BAD_VALUE (the bytes are no value of the codec's), MISMATCH (a value of another type),
 * NO_SPACE, or what else the codec says: the message is in hand; LAPPED (it was written over while it
 * was read: lost, the next call goes on with the next); UNSUPPORTED (this codec only encodes);
 * otherwise as the kind's peek and release.
 * Threads: the handle's. Context: SHMC_TRY never blocks; may allocate; not signal-safe.
 * Crash: as the kind's peek: what was not taken comes again where that is promised.
 * Since: 0.1
 */
enum shmc_result shmc_port_receive_value(struct shmc_port *port, const struct shmc_codec *codec,
					 void *ret_value, int64_t timeout_ns,
					 struct shmc_message *ret_message);

/**
 * Done with the message in hand, which no codec could read.
 *
 * Return: OK; INVALID (there is none); LAPPED (it had been written over: what was read of it is
 * worth nothing); otherwise as the kind's release.
 * Threads: the handle's. Context: never blocks.
 * Since: 0.1
 */
enum shmc_result shmc_port_release(struct shmc_port *port);

#ifdef __cplusplus
}
#endif

#endif
