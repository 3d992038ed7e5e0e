/*
 * rpc: calls from many clients to whichever worker of a service is free, each answered once.
 *
 * Use. A process holds an endpoint, as worker or as client, by one struct shmp_rpc. A client writes
 * a request into a slot of his own, posts it and looks there for the answer; he may have as many
 * calls open as he has slots. A worker takes what is posted and answers it in the same slot; he may
 * hold several requests and answer them in any order.
 *
 * Layout. ctl: where workers wait, a mask for each client (which of his slots are worth a look), a
 * waiter for each client, then the endpoints, workers first. data: the slots, client by client; each
 * is a head of one line, room for a request, and room for an answer, whole lines.
 *
 *	word:	call number << 24 | incarnation << 12 | endpoint of the worker << 4 | REDELIVERED << 3 | state
 *
 *	FREE --post--> OPEN --take--> TAKEN(worker) --answer--> DONE --release--> FREE
 *	                | ^                 | |
 *	                | +--his repair-----+ +--his repair, without redelivery--> DEAD --release--> FREE
 *	                |                   |
 *	                |                   +--cancel, the client's repair--> ORPHAN(worker)
 *	                |                                        --answer, the worker's repair--> FREE
 *	                |                   +--who took it too late--> EXPIRED --release--> FREE
 *	                +--cancel, the client's repair--> FREE
 *
 * Why it is correct.
 * - The word is the only authority, and every move but post and release, which are its owner's alone,
 *   is one compare-exchange of exactly the word that was looked at. It holds the call's number, which
 *   does not come again in that slot (2^40 calls of one client excepted), and names the worker by
 *   place and incarnation: a move that comes too late does nothing. So each call is taken by one
 *   worker at a time, and of all answers that may be tried exactly one is accepted.
 * - The request's bytes are the client's until OPEN and nobody's to write from then on, so that a
 *   redelivered request is whole whatever the dead worker wrote: answers have room of their own. They
 *   are written by the one whom TAKEN or ORPHAN names, and read after DONE.
 * - A slot is used again only when FREE, hence never while a worker still has his hands in it: what is
 *   cancelled in his hands is ORPHAN until he lets go or is dead.
 * - Repair of a worker looks at every slot, repair of a client at his own: what names the dead one
 *   moves on, what does not stays. Repeated, it finds nothing; in either order, when both sides of a
 *   call are dead, the slot ends FREE.
 * - Repair that is repeated when the place has been used again, by a broker that died in the middle
 *   of it and knows of the dead one only, takes nothing from the successor. A worker's words name his
 *   incarnation, a client's slots hold it (caller, written before the word opens); repair leaves alone
 *   what is a later one's. If it went by place, it would open again what the successor has in hand:
 *   two workers would write one answer's room. The rest that goes by place is the attention bit, the
 *   park key and the arming: a successor who loses these is woken and rung by the broker behind every
 *   repair, looks, and says anew that he waits. The mask is not repair's at all.
 * - A mask is written by its client only, behind the words, before he tells. It names all his calls
 *   that are not over, so what repair opens again is found by the next look; a bit too many costs a
 *   load. A client that makes one call after the other never changes it.
 * - The caller always learns: an answer, or DEAD, or EXPIRED stands in the word until he releases it;
 *   while none does and no worker has the request, he is told when the last worker has gone, after
 *   all states were looked at and then his word once more. The call stays open, for a successor to
 *   take, until he cancels it.
 *
 * Limits, by contract. A request is redelivered once for each worker that dies with it, flagged: its
 * handler may have run before. A worker that is stopped with it in hand keeps it; its deadline and
 * cancel end the call without him.
 *
 * Hostile bytes: words name places, never addresses; sizes are loaded once and bounded by the plan. A
 * request that claims to be longer is not looked at again by who finds it, and hurts its client only.
 * Steps follow from the plan.
 *
 * Edges:
 * [W] word: post, take, answer, cancel, repair -> the other side; publishes request and answer
 * [M] mask: post -> take; publishes the words it names
 *
 * Calls that may run together: all, of different endpoints; of one endpoint one at a time. Repair of
 * an endpoint with everything but that endpoint's own and another repair.
 * Progress: wait-free for clients, lock-free for workers; bounded by the slots of all clients.
 */
#ifndef SHMP_RPC_H
#define SHMP_RPC_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "protocol/abi.h"
#include "protocol/endpoint.h"
#include "protocol/kinds.h"
#include "protocol/outcome.h"
#include "protocol/segment.h"
#include "protocol/waiter.h"

#define SHMP_RPC_VERSION     2u
#define SHMP_RPC_CALLS_MAX   64u
#define SHMP_RPC_REDELIVERED 8u			/* in a word, and as a request's flag */
#define SHMP_RPC_NAME	     UINT64_C(0xfffff0) /* endpoint and incarnation, in a word */
#define SHMP_RPC_NUMBER_MAX  ((UINT64_C(1) << 40) - 1)
#define SHMP_RPC_ATTEMPTS    1024 /* lost races in a row, of one call: workers that took it and died */

enum shmp_rpc_option {
	SHMP_RPC_MESSAGE_BYTES_MAX = 0,
	SHMP_RPC_CALLS = 1, /* open at the same time, of one client */
	SHMP_RPC_WORKERS_MAX = 2,
	SHMP_RPC_CLIENTS_MAX = 3,
	SHMP_RPC_REDELIVERY = 4, /* 0: what a worker died with ends DEAD */
};

enum shmp_rpc_role {
	SHMP_RPC_WORKER = 0,
	SHMP_RPC_CLIENT = 1,
	SHMP_RPC_OBSERVER = 2, /* holds no endpoint */
};

enum shmp_rpc_state {
	SHMP_RPC_FREE = 0,
	SHMP_RPC_OPEN = 1,
	SHMP_RPC_TAKEN = 2,
	SHMP_RPC_ORPHAN = 3,
	SHMP_RPC_DONE = 4,
	SHMP_RPC_DEAD = 5,
	SHMP_RPC_EXPIRED = 6,
	SHMP_RPC_STATES = 8, /* 7 is none */
};

/* Beside the outcomes */
enum shmp_rpc_outcome {
	SHMP_RPC_STALE = 64,   /* that call is over, or never was */
	SHMP_RPC_TIMEOUT = 65, /* its deadline has passed */
};

struct shmp_rpc_control {
	struct shmp_waiter requests;		/* where workers wait */
	_Alignas(64) _Atomic uint64_t returned; /* requests that repair opened again */
	_Atomic uint64_t lost;			/* that it ended DEAD */
	_Atomic uint64_t dropped;		/* calls whose client was gone */
	uint64_t reserved[5];
};
SHMP_FREEZE(shmp_rpc_control, 128);
SHMP_FIELD(shmp_rpc_control, requests, 0);
SHMP_FIELD(shmp_rpc_control, returned, 64);
SHMP_FIELD(shmp_rpc_control, lost, 72);
SHMP_FIELD(shmp_rpc_control, dropped, 80);
SHMP_FIELD(shmp_rpc_control, reserved, 88);

struct shmp_rpc_slot {
	_Alignas(64) _Atomic uint64_t word;
	/* published by the word; loaded once by the other side, whatever becomes of them meanwhile */
	_Atomic uint64_t deadline_ns; /* CLOCK_MONOTONIC; UINT64_MAX = none */
	_Atomic uint64_t request_bytes;
	_Atomic uint64_t answer_bytes;
	_Atomic int32_t status;	 /* the handler's */
	_Atomic uint32_t caller; /* incarnation of the client, lower bits */
	uint32_t reserved[6];
};
SHMP_FREEZE(shmp_rpc_slot, 64);
SHMP_FIELD(shmp_rpc_slot, word, 0);
SHMP_FIELD(shmp_rpc_slot, deadline_ns, 8);
SHMP_FIELD(shmp_rpc_slot, request_bytes, 16);
SHMP_FIELD(shmp_rpc_slot, answer_bytes, 24);
SHMP_FIELD(shmp_rpc_slot, status, 32);
SHMP_FIELD(shmp_rpc_slot, caller, 36);
SHMP_FIELD(shmp_rpc_slot, reserved, 40);

extern const struct shmp_kind shmp_rpc_kind;

/* Where things lie, from the plan alone. */
struct shmp_rpc_view {
	uint8_t *data;
	uint64_t message_max;
	uint64_t room; /* bytes of it in a slot, for each of request and answer */
	uint64_t stride;
	uint32_t calls; /* slots of one client */
	uint32_t workers;
	uint32_t clients;
	bool redelivers;
	_Atomic uint64_t *masks;
	struct shmp_waiter *answers; /* one for each client */
	struct shmp_rpc_control *control;
	struct shmp_endpoint *endpoints;
};

/* Private to the process. */
struct shmp_rpc {
	struct shmp_rpc_view view;
	struct shmp_endpoint *self;
	uint32_t endpoint;
	uint32_t client;    /* index among clients; a worker's: where the next look begins */
	uint32_t attention; /* words of it */
	uint64_t incarnation;
	uint64_t name;	 /* endpoint and incarnation, as words have them */
	uint64_t number; /* of the last call; a client's */
	uint64_t open;	 /* his slots whose calls are not released */
	uint64_t given;	 /* of these, whose answers he has */
	uint64_t numbers[SHMP_RPC_CALLS_MAX];
	uint64_t deadlines[SHMP_RPC_CALLS_MAX];
	uint64_t mask;	  /* what his mask says */
	uint32_t filling; /* slot that is reserved, + 1 */
	struct shmp_waiter_memory telling;
	struct shmp_waiter_memory ringing[SHMP_ENDPOINTS_MAX];
};

/* In a worker's hands. */
struct shmp_rpc_request {
	uint64_t word; /* of its slot, as it was taken */
	uint64_t slot;
	const void *data;
	uint64_t size;
	uint64_t deadline_ns;
	uint32_t flags; /* SHMP_RPC_REDELIVERED */
	uint32_t client;
	void *room; /* for the answer */
};

/* In a client's hands. */
struct shmp_rpc_answer {
	uint64_t id;
	const void *data;
	uint64_t size;
	int32_t status;
};

void shmp_rpc_view(const struct shmp_segment *segment, struct shmp_rpc_view *ret_view);
/* Takes up a place that the broker has assigned. 0, or -EBADMSG for words that nobody writes. */
int shmp_rpc_attach(const struct shmp_segment *segment, uint32_t endpoint,
		    struct shmp_rpc *ret_rpc);

static inline enum shmp_rpc_state shmp_rpc_state_of(uint64_t word)
{
	return (enum shmp_rpc_state)(word & 7);
}

static inline uint32_t shmp_rpc_worker_of(uint64_t word)
{
	return (uint32_t)(word >> 4) & 0xff;
}

static inline uint64_t shmp_rpc_incarnation_of(uint64_t word)
{
	return word >> 12 & 0xfff;
}

static inline uint64_t shmp_rpc_number_of(uint64_t word)
{
	return word >> 24;
}

static inline uint64_t shmp_rpc_name(uint32_t worker, uint64_t incarnation)
{
	return (incarnation & 0xfff) << 12 | (uint64_t)worker << 4;
}

static inline uint64_t shmp_rpc_word(uint64_t number, uint64_t name, uint64_t flags,
				     enum shmp_rpc_state state)
{
	return number << 24 | name | flags | state;
}

/* Whether one incarnation of a place came after another; of each the lower bits are enough. */
static inline bool shmp_rpc_is_later(uint64_t incarnation, uint64_t than)
{
	uint64_t ahead = (incarnation - than) & 0xfff;

	return ahead != 0 && ahead < 0x800;
}

/* The same call in another state, in nobody's hands. */
static inline uint64_t shmp_rpc_turned(uint64_t word, enum shmp_rpc_state state)
{
	return shmp_rpc_word(shmp_rpc_number_of(word), 0, word & SHMP_RPC_REDELIVERED, state);
}

static inline uint64_t shmp_rpc_slots(const struct shmp_rpc_view *view)
{
	return (uint64_t)view->clients * view->calls;
}

static inline struct shmp_rpc_slot *shmp_rpc_slot(const struct shmp_rpc_view *view, uint64_t slot)
{
	return (struct shmp_rpc_slot *)(void *)(view->data + slot * view->stride);
}

static inline void *shmp_rpc_request_of(struct shmp_rpc_slot *slot)
{
	return slot + 1;
}

static inline void *shmp_rpc_answer_of(const struct shmp_rpc_view *view, struct shmp_rpc_slot *slot)
{
	return (uint8_t *)(slot + 1) + view->room;
}

static inline uint64_t shmp_rpc_load(const struct shmp_rpc_slot *slot)
{
	/* [W] acquire; pairs with shmp_rpc_move */
	return atomic_load_explicit(&slot->word, memory_order_acquire);
}

static inline bool shmp_rpc_move(struct shmp_rpc_slot *slot, uint64_t from, uint64_t to)
{
	/* [W] acq_rel; pairs with shmp_rpc_load */
	return atomic_compare_exchange_strong_explicit(&slot->word, &from, to, memory_order_acq_rel,
						       memory_order_acquire);
}

/* Where nobody else moves it. */
static inline void shmp_rpc_put(struct shmp_rpc_slot *slot, uint64_t word)
{
	/* [W] release; pairs with shmp_rpc_load */
	atomic_store_explicit(&slot->word, word, memory_order_release);
}

static inline uint64_t shmp_rpc_load_mask(const struct shmp_rpc_view *view, uint32_t client)
{
	/* [M] acquire; pairs with shmp_rpc_set_mask */
	return atomic_load_explicit(&view->masks[client], memory_order_acquire);
}

static inline void shmp_rpc_set_mask(struct shmp_rpc *rpc, uint64_t mask)
{
	rpc->mask = mask;
	/* [M] release; pairs with shmp_rpc_load_mask */
	atomic_store_explicit(&rpc->view.masks[rpc->client], mask, memory_order_release);
}

/* A client's number for a call, from the slot among his own, and its word. */
static inline uint64_t shmp_rpc_id(uint64_t own_slot, uint64_t number)
{
	return number << 6 | own_slot;
}

/*
 * Ends a call of which the caller wants to hear nothing more, whatever it has come to. False: its
 * word is none of it, or does not stand still as it would among honest workers.
 */
bool shmp_rpc_end(struct shmp_rpc_slot *slot, uint64_t number);

/* Client. */

/* Room for a request of up to message_max; again the same until it is posted. DONE, FULL. */
int shmp_rpc_reserve(struct shmp_rpc *rpc, void **ret_room);
/* What was reserved is a call from now on. DONE, TOO_BIG, -EINVAL: nothing is reserved. */
int shmp_rpc_post(struct shmp_rpc *rpc, uint64_t size, uint64_t deadline_ns, uint64_t *ret_id);
/* What was reserved is free again: until it is posted, nobody else knows of it. */
static inline void shmp_rpc_unreserve(struct shmp_rpc *rpc)
{
	rpc->filling = 0;
}

/* Both, with a copy. DONE, FULL, TOO_BIG. */
int shmp_rpc_start(struct shmp_rpc *rpc, const void *data, uint64_t size, uint64_t deadline_ns,
		   uint64_t *ret_id);
/*
 * What became of call @id, or of any whose answer was not given yet, 0: the oldest. DONE, with an
 * answer that stays until it is released; EMPTY: nothing yet. PEER_DEAD or SHMP_RPC_TIMEOUT with the
 * id: that call is over and released. PEER_DEAD, PEER_LEFT with the id 0: no worker is there, and the
 * call stays open. SHMP_RPC_STALE: there is no such call. -EBADMSG.
 */
int shmp_rpc_receive(struct shmp_rpc *rpc, uint64_t id, struct shmp_rpc_answer *ret_answer);
/* Gives an answer back, or ends a call whatever it has come to. DONE, SHMP_RPC_STALE, -EBADMSG. */
int shmp_rpc_release(struct shmp_rpc *rpc, uint64_t id);
/* DONE: a worker is there, or a call has come to something meanwhile. EMPTY: neither. */
int shmp_rpc_meet(const struct shmp_rpc *rpc);
/* The deadline of call @id, or the earliest of those whose answers were not given, 0; UINT64_MAX = none. */
uint64_t shmp_rpc_next_deadline(const struct shmp_rpc *rpc, uint64_t id);

/* Worker. */

/* The oldest request of the next client who has one. DONE, EMPTY. */
int shmp_rpc_take(struct shmp_rpc *rpc, struct shmp_rpc_request *ret_request);
/*
 * Ends what was taken; @data may be its room. DONE; TOO_BIG: it is still in hand; SHMP_RPC_STALE: the
 * caller did not wait for it, or this one does not hold it.
 */
int shmp_rpc_answer(struct shmp_rpc *rpc, const struct shmp_rpc_request *request, int32_t status,
		    const void *data, uint64_t size);

/* Whether somebody waits for what was just done, and telling him. */
static inline bool shmp_rpc_workers_wait(const struct shmp_rpc *rpc)
{
	return shmp_waiter_wanted(&rpc->view.control->requests, rpc->attention);
}

static inline bool shmp_rpc_client_waits(const struct shmp_rpc *rpc, uint32_t client)
{
	return shmp_waiter_wanted_by(&rpc->view.answers[client], rpc->view.workers + client);
}

SHMP_COLD void shmp_rpc_tell_workers(struct shmp_rpc *rpc, shmp_ring_fn ring, void *ringer);
SHMP_COLD void shmp_rpc_tell_client(struct shmp_rpc *rpc, uint32_t client, shmp_ring_fn ring,
				    void *ringer);

struct shmp_rpc_counts {
	uint64_t of[SHMP_RPC_STATES]; /* slots by state */
	uint64_t called;
	uint64_t answered;
	uint64_t returned;
	uint64_t lost;
	uint64_t dropped;
};

void shmp_rpc_count(const struct shmp_segment *segment, struct shmp_rpc_counts *ret_counts);

/* The kind's. */
void shmp_rpc_holds(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
		    void *context);
void shmp_rpc_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context);

#endif
