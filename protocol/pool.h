/*
 * pool: objects of one size that processes acquire, hand to each other and release.
 *
 * Use. A process holds an endpoint by one struct shmp_pool. What it acquires it names by a handle,
 * a number that may travel through any queue; what it owns it may read and write in place.
 *
 * Layout. ctl: a waiter, counts, the hint (a summary and a bitmap, one bit for each object), then a
 * word for each object, then the endpoints. data: the objects, each a whole number of lines.
 *
 *	word:	generation << 32 | incarnation << 10 | endpoint << 2 | state
 *	handle:	generation << 32 | index + 1
 *
 *	FREE(g) --acquire--> OWNED(me, g) --release--> FREE(g+1)
 *	FREE(g) --adopt-----> OWNED(me, h), h not before g
 *	                      |        ^
 *	                      |        +--claim by him-----------+
 *	                      +--transfer to one--> TRANSIT_TO(him, g) --his repair, reclaim--> FREE(g+1)
 *	                      |        +--claim by anybody-------+
 *	                      +--transfer to anyone--> TRANSIT_ANY(giver, g) --reclaim--> FREE(g+1)
 *	                      +--repair of the owner--> FREE(g+1)
 *
 * Why it is correct.
 * - The word is the only authority. Every move is one compare-exchange of exactly the word that was
 *   looked at, which names its owner by endpoint and incarnation: no moment of anonymous ownership,
 *   and a repair that is repeated, however late, finds either his words or others'.
 * - A generation is over as soon as the object is free again: a handle that was released, or whose
 *   owner died, is STALE for ever (2^32 releases of one object excepted), so a second release and a
 *   late claim do nothing.
 * - What is in transit to one who dies or leaves is his: his repair returns it. It closes his door
 *   (intent 1, where he has put his name) before it scans; who transfers looks at the door again after
 *   the move, a full fence between each pair: one of the two sees the other. If the giver dies
 *   between, his own repair does what he would have done, by the same door: repairs go in pieces, and
 *   the recipient's may have come past the object already.
 * - What is in transit to anyone belongs to the message that carries the handle. Nobody can tell
 *   whether that was sent, so no death returns it; it is listed, with its giver, and reclaimed by
 *   who knows better.
 * - The hint may say free of what is not: whoever finds that out clears the bit and looks at the
 *   word once more; a release makes the word free and looks at the bit after that. These four are
 *   sequentially consistent, so no living process leaves a free object without its bit. (An acquire
 *   that cleared without looking again would.) The summary is to the bitmap as that to the words.
 * - Whoever dies between a word and its bit leaves a free object unhinted. That costs time and no
 *   object: repair sets what is missing, and nobody says EMPTY before he has seen all words.
 * - EMPTY: the releases of all are counted after their words are free. If the count is the same
 *   before and after a look at every word, no release was completed meanwhile: of those that were
 *   under way one may say that they came after. Where others release during each of four such
 *   looks, each of them saw every object in somebody's hands, but not all at one moment.
 *
 * A release does not clear what it need not set: who releases and acquires again takes the same
 * object, whose bit stays set meanwhile. That is two locked instructions for the two.
 *
 * Hostile bytes: words name places, never addresses; indices come from handles and the plan, and are
 * bounded by the plan. Steps follow from the number of objects.
 *
 * Edges:
 * [W] word: release, transfer -> acquire, claim; publishes what was written into the object
 * [B] hint: release -> acquire; against the word, both ways, seq_cst
 * [C] counts: release, repair -> acquire that finds nothing; says that something became free
 * [O] door: attach, repair -> transfer; says by which name things may be sent to a place
 * [I] how far repair has come (intent 0): repair -> repair
 *
 * Calls that may run together: all, of different endpoints; of one endpoint one at a time. Repair of
 * an endpoint with everything but that endpoint's own and another repair.
 * Progress: wait-free, bounded by the number of objects, and by a constant where the hint is right.
 */
#ifndef SHMP_POOL_H
#define SHMP_POOL_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/abi.h"
#include "protocol/endpoint.h"
#include "protocol/kinds.h"
#include "protocol/outcome.h"
#include "protocol/segment.h"
#include "protocol/waiter.h"

#define SHMP_POOL_VERSION     1u
#define SHMP_POOL_OBJECTS_MAX (UINT64_C(1) << 20)
#define SHMP_POOL_ANYONE      UINT32_MAX
#define SHMP_POOL_CHUNK	      (UINT64_C(1) << 16) /* words that repair looks at in one go */

enum shmp_pool_option {
	SHMP_POOL_OBJECT_BYTES = 0,
	SHMP_POOL_OBJECTS = 1,
	SHMP_POOL_ENDPOINTS_MAX = 2,
};

enum shmp_pool_state {
	SHMP_POOL_FREE = 0,
	SHMP_POOL_OWNED = 1,
	SHMP_POOL_TRANSIT_TO = 2,  /* the endpoint is the recipient's */
	SHMP_POOL_TRANSIT_ANY = 3, /* the endpoint is the giver's */
};

/* Beside the outcomes */
enum shmp_pool_outcome {
	SHMP_POOL_STALE = 64,  /* that object was released since */
	SHMP_POOL_DENIED = 65, /* it is in other hands, or on the way to them */
};

#define SHMP_POOL_NAME	      UINT64_C(0xfffffffc) /* endpoint and incarnation, in a word */
#define SHMP_POOL_INCARNATION UINT64_C(0x3fffff)
#define SHMP_POOL_PROGRESS    0 /* index of the intent that says how far repair has come */
#define SHMP_POOL_DOOR	      1 /* and of the owned word, but for the generation; 0 = closed */

struct shmp_pool_control {
	struct shmp_waiter freed;		/* where those wait who found nothing free */
	_Alignas(64) _Atomic uint64_t repaired; /* repairs that came to their end */
	_Atomic uint64_t returned;		/* objects that they freed */
	uint64_t reserved[6];
};
SHMP_FREEZE(shmp_pool_control, 128);
SHMP_FIELD(shmp_pool_control, freed, 0);
SHMP_FIELD(shmp_pool_control, repaired, 64);
SHMP_FIELD(shmp_pool_control, returned, 72);
SHMP_FIELD(shmp_pool_control, reserved, 80);

extern const struct shmp_kind shmp_pool_kind;

/* Where things lie, from the plan alone. */
struct shmp_pool_view {
	uint8_t *data;
	uint64_t stride; /* bytes from one object to the next */
	uint64_t count;
	_Atomic uint64_t *summary; /* a bit for each word of the bitmap */
	_Atomic uint64_t *bitmap;
	_Atomic uint64_t *words;
	struct shmp_pool_control *control;
	struct shmp_endpoint *endpoints;
	uint32_t endpoint_count;
};

/* Private to the process. */
struct shmp_pool {
	struct shmp_pool_view view;
	struct shmp_endpoint *self;
	uint64_t owned; /* an owned word, but for the generation */
	uint64_t last;	/* index of what was released last */
	uint64_t home;	/* word of the summary where the search begins */
	uint32_t endpoint;
	uint32_t attention; /* words of it */
	struct shmp_waiter_memory telling;
	struct shmp_waiter_memory ringing[SHMP_ENDPOINTS_MAX];
};

void shmp_pool_view(const struct shmp_segment *segment, struct shmp_pool_view *ret_view);
/* Takes up a place that the broker has assigned. 0, or -EBADMSG for words that nobody writes. */
int shmp_pool_attach(const struct shmp_segment *segment, uint32_t endpoint,
		     struct shmp_pool *ret_pool);

static inline enum shmp_pool_state shmp_pool_state_of(uint64_t word)
{
	return (enum shmp_pool_state)(word & 3);
}

static inline uint32_t shmp_pool_endpoint_of(uint64_t word)
{
	return (uint32_t)(word >> 2) & 0xff;
}

static inline uint64_t shmp_pool_name(uint32_t endpoint, uint64_t incarnation)
{
	return (incarnation & SHMP_POOL_INCARNATION) << 10 | (uint64_t)endpoint << 2;
}

static inline uint64_t shmp_pool_generation(uint64_t word_or_handle)
{
	return word_or_handle & ~UINT64_C(0xffffffff);
}

/* The word of an object that was given up: the next generation, and nobody's. */
static inline uint64_t shmp_pool_freed(uint64_t word)
{
	return shmp_pool_generation(word) + (UINT64_C(1) << 32);
}

static inline uint64_t shmp_pool_handle(uint64_t word, uint64_t index)
{
	return shmp_pool_generation(word) | (index + 1);
}

/* Index of an object, or one that no pool has. */
static inline uint64_t shmp_pool_index(uint64_t handle)
{
	return (handle & 0xffffffff) - 1;
}

static inline uint64_t shmp_pool_load(const struct shmp_pool_view *view, uint64_t index)
{
	/* [W] acquire; pairs with shmp_pool_move */
	return atomic_load_explicit(&view->words[index], memory_order_acquire);
}

static inline bool shmp_pool_move(const struct shmp_pool_view *view, uint64_t index, uint64_t from,
				  uint64_t to)
{
	/* [W] seq_cst; pairs with shmp_pool_load
	 * [B] seq_cst; pairs with shmp_pool_forget: the hint is looked at after that */
	return atomic_compare_exchange_strong_explicit(&view->words[index], &from, to,
						       memory_order_seq_cst, memory_order_acquire);
}

static inline void *shmp_pool_at(const struct shmp_pool_view *view, uint64_t index)
{
	return view->data + index * view->stride;
}

/* Whether @index is one of the pool, and the word is that of the handle's generation. */
static inline bool shmp_pool_is_own(const struct shmp_pool *pool, uint64_t handle,
				    uint64_t *ret_index)
{
	uint64_t index = shmp_pool_index(handle);

	*ret_index = index;
	return index < pool->view.count &&
	       shmp_pool_load(&pool->view, index) == (shmp_pool_generation(handle) | pool->owned);
}

/* Says in the hint that @index is free. */
SHMP_COLD void shmp_pool_hint(const struct shmp_pool_view *view, uint64_t index);

/* The same where it is likely said already. */
static inline void shmp_pool_hint_again(const struct shmp_pool_view *view, uint64_t index)
{
	/* [B] seq_cst; pairs with shmp_pool_forget: behind the word */
	uint64_t bits = atomic_load_explicit(&view->bitmap[index / 64], memory_order_seq_cst);

	if (SHMP_UNLIKELY((bits >> index % 64 & 1) == 0))
		shmp_pool_hint(view, index);
}

/* Takes the object if its word says that it is free. */
static inline bool shmp_pool_take(struct shmp_pool *pool, uint64_t index, uint64_t *ret_handle)
{
	uint64_t word = shmp_pool_load(&pool->view, index);

	if (shmp_pool_state_of(word) != SHMP_POOL_FREE ||
	    !shmp_pool_move(&pool->view, index, word, shmp_pool_generation(word) | pool->owned))
		return false;
	*ret_handle = shmp_pool_handle(word, index);
	return true;
}

/* Any free object, by the hint, then by looking at all words. DONE, EMPTY. */
SHMP_COLD int shmp_pool_search(struct shmp_pool *pool, uint64_t *ret_handle);

/* DONE, EMPTY. */
static inline int shmp_pool_acquire(struct shmp_pool *pool, uint64_t *ret_handle)
{
	if (SHMP_UNLIKELY(!shmp_pool_take(pool, pool->last, ret_handle))) {
		int r = shmp_pool_search(pool, ret_handle);

		if (r != SHMP_DONE)
			return r;
	}
	shmp_endpoint_count(&pool->self->items, 1);
	return SHMP_DONE;
}

/* Why a handle is not one that this can be done with. STALE, DENIED, -EINVAL. */
SHMP_COLD int shmp_pool_refuse(const struct shmp_pool_view *view, uint64_t handle);

/* Says that something became free, behind its word. */
static inline void shmp_pool_count_release(struct shmp_pool *pool)
{
	/* relaxed: written by this thread only */
	uint64_t count = atomic_load_explicit(&pool->self->cursor, memory_order_relaxed);

	/* [C] release; pairs with count_releases */
	atomic_store_explicit(&pool->self->cursor, count + 1, memory_order_release);
}

/* Gives back what this one owns. DONE, STALE, DENIED, -EINVAL. */
static inline int shmp_pool_release(struct shmp_pool *pool, uint64_t handle)
{
	uint64_t index = shmp_pool_index(handle);
	uint64_t word = shmp_pool_generation(handle) | pool->owned;

	if (SHMP_UNLIKELY(index >= pool->view.count) ||
	    SHMP_UNLIKELY(!shmp_pool_move(&pool->view, index, word, shmp_pool_freed(word))))
		return shmp_pool_refuse(&pool->view, handle);
	shmp_pool_hint_again(&pool->view, index);
	shmp_pool_count_release(pool);
	pool->last = index;
	return SHMP_DONE;
}

/*
 * Lets go of an object for endpoint @to, or SHMP_POOL_ANYONE, to claim it. DONE; STALE, DENIED,
 * -EINVAL; PEER_DEAD, PEER_LEFT: nobody is there, and it is still this one's.
 */
int shmp_pool_transfer(struct shmp_pool *pool, uint64_t handle, uint32_t to);
/* Takes what is in transit to this one, or to anyone. DONE, STALE, DENIED, -EINVAL. */
int shmp_pool_claim(struct shmp_pool *pool, uint64_t handle);
/*
 * Takes a free object under a handle of its next generation or a later one: for who brings back
 * what a pool held while messages with its handles are still about. DONE, STALE, DENIED, -EINVAL.
 */
int shmp_pool_adopt(struct shmp_pool *pool, uint64_t handle);
/* Frees what is in transit. DONE, STALE, DENIED, -EINVAL. */
int shmp_pool_reclaim(struct shmp_pool *pool, uint64_t handle);
/* Frees all that is in transit to anyone from givers who are gone. How many. */
uint64_t shmp_pool_reclaim_abandoned(struct shmp_pool *pool);

static inline bool shmp_pool_is_awaited(const struct shmp_pool *pool)
{
	return shmp_waiter_wanted(&pool->view.control->freed, pool->attention);
}

static inline void shmp_pool_tell(struct shmp_pool *pool, shmp_ring_fn ring, void *ringer)
{
	shmp_waiter_notify_all(&pool->view.control->freed, pool->view.endpoints,
			       pool->view.endpoint_count, &pool->telling, pool->ringing, ring,
			       ringer);
}

struct shmp_pool_counts {
	uint64_t of[4];	   /* objects, by enum shmp_pool_state */
	uint64_t acquired; /* all endpoints */
	uint64_t released;
	uint64_t returned; /* by repair */
};

/* Looks at every word. */
void shmp_pool_count(const struct shmp_segment *segment, struct shmp_pool_counts *ret_counts);

/* The kind's. */
void shmp_pool_holds(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
		     void *context);
void shmp_pool_waits_for(const struct shmp_segment *segment, shmp_wait_fn fn, void *context);

#endif
