/*
 * pipe: host and client, messages both ways, each contiguous in memory: two rings of spsc.
 *
 * Layout. ctl: two waiters and the reader's line for each direction, then endpoint 0 (host) and 1
 * (client), whose own lines are those of the directions in which they send. Direction 0 is what the
 * host sends, 1 what the client sends. data: the ring of each, one behind the other, each mapped
 * twice in a row. Moves, walk and repair are those of spsc.h; a header has a tag besides:
 *
 *	PUBLISHED (bit 63) | tag 31 | payload bytes 32
 *	host's:   session
 *	client's: session 15 | client 16
 *
 * A session is an incarnation of the host's place, and client one of the client's, of which a tag
 * has the last bits. So what was sent to or by a host that has gone cannot be taken for anything of
 * its successor's, and it is seen where one client's messages end and the next one's begin.
 *
 *	sent by		reaches
 *	the host	the clients of its session: what one did not take, its successor finds
 *	a client	that host and no other
 *
 * Each side converses with one incarnation of the other, its peer: with whoever is there when it
 * comes, or else with the next to come. Once the peer has gone there is nothing to send to it; what
 * it has sent is read to the end, then its end is told, and both stay so until shmp_pipe_meet finds
 * a successor. That is how both sides always know with whom they speak, however fast one follows
 * the other.
 *
 *	        +--------------- meet: nobody yet <---------------+
 *	        v                                                 |
 *	  AWAITED --it comes--> HERE --it leaves, dies--> GONE --told--> ENDED --meet--> HERE
 *
 * What is stale is dropped by the one who would read it, when it meets a peer and wherever it comes
 * across it: nobody else writes behind the reader's back, so there is nothing to be repaired.
 *
 * Why it is correct:
 * - A host sends with its own session. It knows of a client's death or not, which changes nothing:
 *   the successor takes what is left.
 * - A client looks at the host's place before it sends. If the host dies between that and the
 *   header, the tag is the dead one's, and its successor drops the message. It was sent to nobody.
 * - A client that meets a host drops what has another tag, but only as long as the place has not
 *   changed hands since: what it sees was published before it looked again, so it is no successor's.
 * - PEER_DEAD: the place is loaded first, then the header once more, as in spsc.
 *
 * Hostile bytes: as in spsc; a tag that the reader cannot have met so far is -EBADMSG. A peer can
 * send what is stale for ever; a call drops a ring's length of it at most, and says EMPTY.
 *
 * Edges are those of spsc.h and endpoint.h.
 *
 * Calls that may run together: one host's with one client's; repair with either. One handle, one
 * thread. Progress: as spsc; meet is bounded by the capacity.
 */
#ifndef SHMP_PIPE_H
#define SHMP_PIPE_H

#include "protocol/spsc.h"

#define SHMP_PIPE_VERSION 1u
#define SHMP_PIPE_HOST	  0u /* endpoint, and the direction in which it sends */
#define SHMP_PIPE_CLIENT  1u

#define SHMP_PIPE_BYTES	      UINT64_C(0xffffffff) /* of a header: the length */
#define SHMP_PIPE_TAGS	      (~SHMP_SPSC_PUBLISHED & ~SHMP_PIPE_BYTES)
#define SHMP_PIPE_REDELIVERED SHMP_SPSC_REDELIVERED /* message flag */

enum shmp_pipe_option {
	SHMP_PIPE_CAPACITY_BYTES = 0,
	SHMP_PIPE_MESSAGE_BYTES_MAX = 1,
	/* of what the host sends, and the client; 0 = any. A size ahead of its type, which contains
	 * it: where both are other ones, the size is what is told */
	SHMP_PIPE_HOST_BYTES = 2,
	SHMP_PIPE_HOST_TYPE = 3,
	SHMP_PIPE_CLIENT_BYTES = 4,
	SHMP_PIPE_CLIENT_TYPE = 5,
};

struct shmp_pipe_control {
	struct shmp_waiter not_empty[2]; /* where the one who reads a direction waits */
	struct shmp_waiter not_full[2];	 /* where the one who sends waits */
	/* his line who reads a direction; of `refused`: messages that were stale */
	struct shmp_endpoint reader[2];
};
SHMP_FREEZE(shmp_pipe_control, 512);
SHMP_FIELD(shmp_pipe_control, not_empty, 0);
SHMP_FIELD(shmp_pipe_control, not_full, 128);
SHMP_FIELD(shmp_pipe_control, reader, 256);

extern const struct shmp_kind shmp_pipe_kind;

/* Private to the process that holds the role. */
struct shmp_pipe {
	struct shmp_endpoint *place; /* the other side's */
	uint64_t peer_here;	     /* its state while the peer is there */
	struct shmp_spsc_producer out;
	struct shmp_spsc_consumer in;
	uint64_t peer; /* its incarnation */
	uint64_t self; /* the own one */
	uint64_t capacity;
	uint32_t deaths; /* at the other side's place, when the peer was met */
	uint32_t role;
	bool is_ended; /* that the peer has gone was told */
};

/* What the tag of a message says, whoever sent it. */
static inline uint64_t shmp_pipe_mark(uint32_t sender, uint64_t session, uint64_t client)
{
	uint64_t tag = sender == SHMP_PIPE_HOST ? session & 0x7fffffff :
						  (session & 0x7fff) << 16 | (client & 0xffff);

	return SHMP_SPSC_PUBLISHED | tag << 32;
}

/* A direction of a mapped segment. */
struct shmp_spsc_ring shmp_pipe_ring(const struct shmp_segment *segment, uint32_t sender);

/*
 * Takes up a role in a mapped segment whose place the broker has assigned to this process, and
 * meets whoever is there. 0, or -EBADMSG when a ring holds what no host or client wrote.
 */
int shmp_pipe_attach(const struct shmp_segment *segment, uint32_t role, struct shmp_pipe *ret_pipe);

/* Whether the peer is there, for all that is known: what is sent now is sent to it. */
static inline bool shmp_pipe_is_met(const struct shmp_pipe *pipe)
{
	/* [endpoint.S] acquire; pairs with shmp_endpoint_set_state */
	return SHMP_LIKELY(atomic_load_explicit(&pipe->place->state, memory_order_acquire) ==
			   pipe->peer_here);
}

/* Whether anything may be sent, where it is not: DONE, PEER_DEAD, PEER_LEFT. */
SHMP_COLD int shmp_pipe_may_send(struct shmp_pipe *pipe);

/* No room, or nobody to make some, as the ring said in @r: FULL, PEER_DEAD, PEER_LEFT, -EBADMSG. */
SHMP_COLD int shmp_pipe_no_room(struct shmp_pipe *pipe, int r);

/*
 * Nothing to be taken, as the ring said in @r, by an empty header or one with another mark. DONE:
 * look again, there is something now. EMPTY, PEER_DEAD, PEER_LEFT, -EBADMSG.
 */
SHMP_COLD int shmp_pipe_nothing(struct shmp_pipe *pipe, int r);

/* DONE, or FULL with nothing done: see shmp_spsc_push_quick. */
static inline int shmp_pipe_push_quick(struct shmp_pipe *pipe, const void *payload, uint64_t size)
{
	return shmp_pipe_is_met(pipe) ? shmp_spsc_push_quick(&pipe->out, payload, size) : SHMP_FULL;
}

/* DONE, FULL, TOO_BIG, PEER_DEAD, PEER_LEFT, -EBADMSG. */
static inline int shmp_pipe_push(struct shmp_pipe *pipe, const void *payload, uint64_t size)
{
	int r = shmp_pipe_is_met(pipe) ? SHMP_DONE : shmp_pipe_may_send(pipe);

	if (SHMP_LIKELY(r == SHMP_DONE))
		r = shmp_spsc_push(&pipe->out, payload, size);
	return SHMP_LIKELY(r == SHMP_DONE || r == SHMP_TOO_BIG) ? r : shmp_pipe_no_room(pipe, r);
}

/* As shmp_spsc_reserve and shmp_spsc_batch_add; sent by those of pipe->out. */
static inline int shmp_pipe_reserve(struct shmp_pipe *pipe, uint64_t size, uint8_t **ret_payload)
{
	int r = shmp_pipe_is_met(pipe) ? SHMP_DONE : shmp_pipe_may_send(pipe);

	if (SHMP_LIKELY(r == SHMP_DONE))
		r = shmp_spsc_reserve(&pipe->out, size, ret_payload);
	return SHMP_LIKELY(r == SHMP_DONE || r == SHMP_TOO_BIG) ? r : shmp_pipe_no_room(pipe, r);
}

int shmp_pipe_batch_add(struct shmp_pipe *pipe, const void *payload, uint64_t size);

/* As shmp_spsc_pop and shmp_spsc_peek; given back by those of pipe->in. */
static inline int shmp_pipe_pop(struct shmp_pipe *pipe, void *buffer, uint64_t buffer_bytes,
				struct shmp_spsc_message *ret_message)
{
	int r = shmp_spsc_pop(&pipe->in, buffer, buffer_bytes, ret_message);

	if (SHMP_LIKELY(r == SHMP_DONE || r == SHMP_TOO_BIG))
		return r;
	r = shmp_pipe_nothing(pipe, r);
	if (r != SHMP_DONE)
		return r;
	return shmp_spsc_pop(&pipe->in, buffer, buffer_bytes, ret_message);
}

int shmp_pipe_peek(struct shmp_pipe *pipe, struct shmp_spsc_message *messages, uint64_t max,
		   uint64_t *ret_count);

/*
 * Looks for somebody to speak with: the peer, if its end was not told and it is there or has left
 * messages, or else who came after it, and what is unread of the peer is dropped. Not while messages
 * are shown. DONE, EMPTY: nobody yet; -EBADMSG.
 */
int shmp_pipe_meet(struct shmp_pipe *pipe);

/* Whether the other side wants to be told, after something was sent to it, or taken. */
static inline bool shmp_pipe_reader_waits(const struct shmp_pipe *pipe)
{
	/* only the other side ever waits there */
	return shmp_waiter_wanted(pipe->out.not_empty, 1);
}

static inline bool shmp_pipe_sender_waits(const struct shmp_pipe *pipe)
{
	return shmp_waiter_wanted(pipe->in.not_full, 1);
}

static inline void shmp_pipe_tell_reader(struct shmp_pipe *pipe, shmp_ring_fn ring, void *ringer)
{
	shmp_waiter_notify(pipe->out.not_empty, pipe->out.places, 1 - pipe->role, &pipe->out.memory,
			   ring, ringer);
}

static inline void shmp_pipe_tell_sender(struct shmp_pipe *pipe, shmp_ring_fn ring, void *ringer)
{
	shmp_waiter_notify(pipe->in.not_full, pipe->in.places, 1 - pipe->role, &pipe->in.memory,
			   ring, ringer);
}

#endif
