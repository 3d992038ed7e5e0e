/*
 * lock: many readers or one writer, in shared memory, over data that a structure keeps elsewhere.
 *
 * Use. A structure embeds one struct shmp_lock in its control words; whoever holds an endpoint has
 * one struct shmp_locker. To write: shmp_lock_claim, and then shmp_lock_enter until it says
 * something else than HELD; who gives up in between withdraws. shmp_lock_try_write is all of that
 * once. To read: shmp_lock_try_read. Whoever holds it may take it again, as often as he gives it
 * back. HELD while claiming is waited out on `freed`, while entering on `left`.
 *
 * Guarantee. No writer beside anybody else. A claim holds new readers off, so that writers are not
 * starved. What a holder who was killed had, is free again after his repair: a reader's mark goes
 * without a trace; a writer's lock is given to the next ones with OWNER_DIED, readers too, until a
 * writer says mark_consistent; a writer who lets go without that leaves it UNRECOVERABLE for good.
 * Who was killed while he only claimed has changed nothing, and nobody is told.
 *
 *	FREE --claim, CAS--> PENDING(me) --enter, all marks gone--> HELD(me) --unlock--> FREE
 *	  ^                      |                                    |   |
 *	  +--withdraw, repair----+                     +--repair------+   +--unlock, not mended--+
 *	  |                                            v                                        v
 *	  +--mark_consistent and unlock-- FREE + NEEDS_RECOVERY ...                UNRECOVERABLE
 *
 * The flag NEEDS_RECOVERY stays on the word through every move but mark_consistent. A word that is
 * PENDING or HELD is changed by nobody but its owner, or by repair when he is dead. It names him by
 * endpoint and incarnation, so that a repair that is repeated never takes from his successor.
 *
 * A reader marks his own endpoint's line (intent[0]) and then looks at the word; a writer makes the
 * word PENDING and then looks at all marks. These four are sequentially consistent: one of the two
 * sees the other. A reader who finds the word taken takes his mark back and waits, and he marks
 * only after a look that found it free, so that those who wait do not hold up who claims.
 *
 * Places beyond `reach` were never given out and need no look. The broker raises it when it gives a
 * place out; a writer loads it after his CAS. One who loads it too early for a newcomer has made
 * the word PENDING before the newcomer looks at it.
 *
 * Edges:
 * [L] word: unlock, claim, repair -> lock; publishes what was written under it
 * [M] marks: reader -> writer; when cleared, the reader has read
 * [N] reach: broker -> writer; there are marks up to here
 * [T] turns: writer -> looker; what is written from now on is of another turn
 *
 * Calls that may run together: all, of different endpoints; of one endpoint one at a time. Repair
 * of an endpoint with everything but that endpoint's own.
 * Progress: the calls here are wait-free, but claim, which is lock-free; who waits is held up by
 * those who hold the lock, for as long as they live. Hostile words: -EBADMSG, or HELD.
 */
#ifndef SHMP_LOCK_H
#define SHMP_LOCK_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "protocol/abi.h"
#include "protocol/endpoint.h"
#include "protocol/kinds.h"
#include "protocol/outcome.h"
#include "protocol/segment.h"
#include "protocol/waiter.h"

/* The word: incarnation << 16 | (endpoint + 1) << 8 | flags | state. */
enum shmp_lock_state {
	SHMP_LOCK_FREE = 0,
	SHMP_LOCK_PENDING = 1,
	SHMP_LOCK_HELD = 2,
};
#define SHMP_LOCK_STATE		 UINT64_C(3)
#define SHMP_LOCK_NEEDS_RECOVERY UINT64_C(4)
#define SHMP_LOCK_UNRECOVERABLE	 UINT64_C(8)
#define SHMP_LOCK_RESERVED	 UINT64_C(0xf0)
#define SHMP_LOCK_MARK		 0 /* index of the intent that is the reader's mark */
#define SHMP_LOCK_CLAIMS_MAX	 (1u << 16)

struct shmp_lock {
	_Alignas(128) _Atomic uint64_t word;
	_Atomic uint64_t since_ns; /* CLOCK_MONOTONIC when it was last HELD, up to a second less */
	_Atomic uint32_t tid;	   /* of the thread that made it so, in its own pid namespace */
	_Atomic uint32_t reach;	   /* places that were ever given out */
	_Atomic uint64_t deaths;   /* holders who died writing */
	_Atomic uint64_t turns;	   /* times that it was HELD */
	uint64_t reserved[11];
	struct shmp_waiter freed; /* where those wait who found it taken */
	struct shmp_waiter left;  /* where a writer waits for the readers to leave */
};
SHMP_FREEZE(shmp_lock, 256);
SHMP_FIELD(shmp_lock, word, 0);
SHMP_FIELD(shmp_lock, since_ns, 8);
SHMP_FIELD(shmp_lock, tid, 16);
SHMP_FIELD(shmp_lock, reach, 20);
SHMP_FIELD(shmp_lock, deaths, 24);
SHMP_FIELD(shmp_lock, turns, 32);
SHMP_FIELD(shmp_lock, reserved, 40);
SHMP_FIELD(shmp_lock, freed, 128);
SHMP_FIELD(shmp_lock, left, 192);

enum shmp_lock_hold {
	SHMP_LOCK_NOTHING = 0,
	SHMP_LOCK_CLAIMING = 1,
	SHMP_LOCK_READING = 2,
	SHMP_LOCK_WRITING = 3,
};

/* Private to the process that holds the endpoint. */
struct shmp_locker {
	struct shmp_lock *lock;
	struct shmp_endpoint *self;
	struct shmp_endpoint *endpoints;
	uint64_t name;	/* of this holder of the endpoint, as in the word */
	uint64_t depth; /* how often it was taken */
	uint64_t flags; /* of the word, when it was taken or claimed */
	enum shmp_lock_hold hold;
	uint32_t endpoint;
	uint32_t endpoint_count;
	uint32_t words;	    /* of attention */
	uint32_t tid;	    /* the caller's word on which thread it is; kept up to date by him */
	int64_t second;	    /* of the clock, when it was looked at last */
	uint64_t second_ns; /* and CLOCK_MONOTONIC then */
	struct shmp_waiter_memory telling_freed;
	struct shmp_waiter_memory telling_left;
};

/* Takes up @endpoint, assigned by the broker. */
void shmp_lock_attach(struct shmp_lock *lock, const struct shmp_segment *segment, uint32_t endpoint,
		      struct shmp_locker *ret_locker);

static inline uint64_t shmp_lock_name(uint32_t endpoint, uint64_t incarnation)
{
	return incarnation << 16 | (endpoint + UINT64_C(1)) << 8;
}

static inline enum shmp_lock_state shmp_lock_state_of(uint64_t word)
{
	return (enum shmp_lock_state)(word & SHMP_LOCK_STATE);
}

static inline uint64_t shmp_lock_load(const struct shmp_lock *lock)
{
	/* [L] seq_cst; pairs with shmp_lock_claim, and acquire for what was written under it */
	return atomic_load_explicit(&lock->word, memory_order_seq_cst);
}

/* By who is in the word, or nobody: it is his to change. */
static inline void shmp_lock_store(struct shmp_lock *lock, uint64_t word)
{
	/* [L] release; pairs with shmp_lock_load */
	atomic_store_explicit(&lock->word, word, memory_order_release);
}

/* What the word @word of a lock that is not simply free says to one who wants it. */
SHMP_COLD int shmp_lock_taken(const struct shmp_locker *locker, uint64_t word);
/* The same to a reader who has marked; takes the mark back unless he has it after all. */
SHMP_COLD int shmp_lock_read_marked(struct shmp_locker *locker, uint64_t word);
/* Tells those who wait on `freed`, or on `left`. */
SHMP_COLD void shmp_lock_tell_freed(struct shmp_locker *locker);
SHMP_COLD void shmp_lock_tell_left(struct shmp_locker *locker);

static inline void shmp_lock_mark(struct shmp_locker *locker)
{
	/* [M] seq_cst; pairs with shmp_lock_enter */
	atomic_exchange_explicit(&locker->self->intent[SHMP_LOCK_MARK], 1, memory_order_seq_cst);
}

static inline void shmp_lock_unmark(struct shmp_locker *locker)
{
	/* [M] release; pairs with shmp_lock_enter */
	atomic_store_explicit(&locker->self->intent[SHMP_LOCK_MARK], 0, memory_order_release);
	if (SHMP_UNLIKELY(shmp_waiter_wanted(&locker->lock->left, locker->words)))
		shmp_lock_tell_left(locker);
}

static inline void shmp_lock_begin(struct shmp_locker *locker, enum shmp_lock_hold hold,
				   uint64_t flags)
{
	locker->depth = 1;
	locker->hold = hold;
	locker->flags = flags;
}

/*
 * DONE, OWNER_DIED (done, too), HELD, UNRECOVERABLE, -EBADMSG. Who writes may read.
 */
static inline int shmp_lock_try_read(struct shmp_locker *locker)
{
	uint64_t word;

	if (SHMP_UNLIKELY(locker->hold != SHMP_LOCK_NOTHING)) {
		locker->depth++;
		return SHMP_DONE;
	}
	word = shmp_lock_load(locker->lock);
	if (SHMP_UNLIKELY((word & ~SHMP_LOCK_NEEDS_RECOVERY) != SHMP_LOCK_FREE))
		return shmp_lock_taken(locker, word);
	shmp_lock_mark(locker);
	word = shmp_lock_load(locker->lock);
	if (SHMP_UNLIKELY(word != SHMP_LOCK_FREE))
		return shmp_lock_read_marked(locker, word);
	shmp_lock_begin(locker, SHMP_LOCK_READING, 0);
	return SHMP_DONE;
}

/* The claim of a lock that is not simply free: as shmp_lock_claim. */
SHMP_COLD int shmp_lock_claim_again(struct shmp_locker *locker, uint64_t word);

/*
 * The first half of writing: DONE (now enter), HELD, UNRECOVERABLE, -EBADMSG; -EINVAL: it is read
 * by the same one, who would wait for himself.
 */
static inline int shmp_lock_claim(struct shmp_locker *locker)
{
	uint64_t word = SHMP_LOCK_FREE;

	if (SHMP_UNLIKELY(locker->hold != SHMP_LOCK_NOTHING))
		return locker->hold == SHMP_LOCK_READING ? -EINVAL : SHMP_DONE;
	/* [L] seq_cst; pairs with shmp_lock_load
	 * [L] acquire; pairs with shmp_lock_store */
	if (SHMP_UNLIKELY(!atomic_compare_exchange_strong_explicit(
		    &locker->lock->word, &word, locker->name | SHMP_LOCK_PENDING,
		    memory_order_seq_cst, memory_order_acquire)))
		return shmp_lock_claim_again(locker, word);
	locker->hold = SHMP_LOCK_CLAIMING;
	locker->flags = 0;
	return SHMP_DONE;
}

/* Whether any reader's mark stands. */
static inline bool shmp_lock_is_read(const struct shmp_locker *locker)
{
	/* [N] seq_cst; pairs with shmp_lock_admit */
	uint32_t reach = atomic_load_explicit(&locker->lock->reach, memory_order_seq_cst);
	uint32_t count = reach < locker->endpoint_count ? reach : locker->endpoint_count;
	uint64_t marks = 0;

	for (uint32_t i = 0; i < count; i++)
		/* [M] seq_cst; pairs with shmp_lock_mark; acquire for its end */
		marks |= atomic_load_explicit(&locker->endpoints[i].intent[SHMP_LOCK_MARK],
					      memory_order_seq_cst);
	return marks != 0;
}

/* How often somebody wrote, or began to. */
static inline uint64_t shmp_lock_turns(const struct shmp_lock *lock)
{
	/* [T] acquire; pairs with shmp_lock_turn */
	return atomic_load_explicit(&lock->turns, memory_order_acquire);
}

/*
 * CLOCK_MONOTONIC when the second began in which the holder took it. A look at the seconds costs a
 * load; one at any finer clock more than all the rest of the lock.
 */
static inline uint64_t shmp_lock_second_ns(struct shmp_locker *locker)
{
	int64_t second = time(NULL);

	if (SHMP_UNLIKELY(second != locker->second)) {
		locker->second = second;
		locker->second_ns = shmp_clock_ns();
	}
	return locker->second_ns;
}

/* Who writes and since when, before the word says that he does. */
static inline void shmp_lock_note(struct shmp_locker *locker)
{
	struct shmp_lock *lock = locker->lock;

	/* relaxed: published by the word */
	atomic_store_explicit(&lock->since_ns, shmp_lock_second_ns(locker), memory_order_relaxed);
	/* relaxed: as above */
	atomic_store_explicit(&lock->tid, locker->tid, memory_order_relaxed);
}

/*
 * After the word says HELD: who looks and finds this turn already finds that word or a later one,
 * and who found the word before it finds another turn afterwards.
 */
static inline void shmp_lock_turn(struct shmp_lock *lock)
{
	/* relaxed: only who holds the lock to write changes it */
	uint64_t now = atomic_load_explicit(&lock->turns, memory_order_relaxed);

	/* [T] release; pairs with shmp_lock_turns */
	atomic_store_explicit(&lock->turns, now + 1, memory_order_release);
	/* what is written comes after the turn, also for those who only look */
	atomic_thread_fence(memory_order_release); /* [T] fence; pairs with shmp_lock_turns */
}

/* The second half, after claim: DONE, OWNER_DIED (done, too), HELD: somebody reads. */
static inline int shmp_lock_enter(struct shmp_locker *locker)
{
	struct shmp_lock *lock = locker->lock;

	if (SHMP_UNLIKELY(locker->hold == SHMP_LOCK_WRITING)) {
		locker->depth++;
		return SHMP_DONE;
	}
	if (SHMP_UNLIKELY(shmp_lock_is_read(locker)))
		return SHMP_HELD;
	shmp_lock_note(locker);
	shmp_lock_store(lock, locker->name | locker->flags | SHMP_LOCK_HELD);
	shmp_lock_turn(lock);
	shmp_lock_begin(locker, SHMP_LOCK_WRITING, locker->flags);
	return SHMP_UNLIKELY(locker->flags != 0) ? SHMP_OWNER_DIED : SHMP_DONE;
}

/* The claim is given up; harmless when there is none. */
SHMP_COLD void shmp_lock_withdraw(struct shmp_locker *locker);

/* Both halves at once, and nothing is left claimed: as claim, and enter. */
static inline int shmp_lock_try_write(struct shmp_locker *locker)
{
	int r = shmp_lock_claim(locker);

	if (SHMP_LIKELY(r == SHMP_DONE))
		r = shmp_lock_enter(locker);
	if (SHMP_UNLIKELY(r == SHMP_HELD))
		shmp_lock_withdraw(locker);
	return r;
}

/* The writer's word when he lets go of it. */
static inline uint64_t shmp_lock_after(uint64_t flags)
{
	return SHMP_UNLIKELY(flags != 0) ? SHMP_LOCK_UNRECOVERABLE : SHMP_LOCK_FREE;
}

static inline void shmp_lock_let_go(struct shmp_locker *locker, uint64_t word)
{
	locker->hold = SHMP_LOCK_NOTHING;
	shmp_lock_store(locker->lock, word);
	if (SHMP_UNLIKELY(shmp_waiter_wanted(&locker->lock->freed, locker->words)))
		shmp_lock_tell_freed(locker);
}

/* Gives it back once. DONE; -EINVAL: it is not held here. */
static inline int shmp_lock_unlock(struct shmp_locker *locker)
{
	if (SHMP_UNLIKELY(locker->hold < SHMP_LOCK_READING))
		return -EINVAL;
	if (SHMP_UNLIKELY(--locker->depth > 0))
		return SHMP_DONE;
	if (locker->hold == SHMP_LOCK_READING) {
		locker->hold = SHMP_LOCK_NOTHING;
		shmp_lock_unmark(locker);
	} else {
		shmp_lock_let_go(locker, shmp_lock_after(locker->flags));
	}
	return SHMP_DONE;
}

/* The writer has mended what the dead one left. DONE; -EINVAL: does not write. */
int shmp_lock_mark_consistent(struct shmp_locker *locker);

/*
 * Lets go altogether of what was taken to look and not to mend: NEEDS_RECOVERY stays, where unlock
 * would make it UNRECOVERABLE.
 */
void shmp_lock_put_back(struct shmp_locker *locker);

/* Who has it, right for some moment. */
struct shmp_lock_owner {
	enum shmp_lock_state state;
	uint32_t endpoint; /* of who writes or claims */
	uint32_t pid;	   /* as the broker sees it */
	uint32_t tid;	   /* HELD only */
	uint64_t since_ns; /* HELD only; CLOCK_MONOTONIC, up to a second less */
	uint32_t readers;  /* marks that stand */
	uint32_t waiting;  /* endpoints that sleep */
	uint64_t deaths;   /* holders who died writing */
	bool needs_recovery;
	bool is_unrecoverable;
};

/* The endpoint that writes or claims; -1: nobody. */
int64_t shmp_lock_holder(const struct shmp_lock *lock, const struct shmp_segment *segment);
void shmp_lock_look(const struct shmp_lock *lock, const struct shmp_segment *segment,
		    struct shmp_lock_owner *ret_owner);

/* The broker's part, for the kind's moves of the same name; the kind clears the rest of the line. */

/* For attach: before the place is given out. */
void shmp_lock_admit(struct shmp_lock *lock, const struct shmp_segment *segment, uint32_t endpoint);
/* For repair; the mark last. */
void shmp_lock_repair(struct shmp_lock *lock, const struct shmp_segment *segment,
		      uint32_t endpoint);
void shmp_lock_wake(struct shmp_lock *lock);
bool shmp_lock_waits(const struct shmp_lock *lock, uint32_t endpoint);
int shmp_lock_require_fence(struct shmp_lock *lock);
void shmp_lock_require_pieces(struct shmp_lock *lock);
/* 0, or -EBADMSG with *ret_why. */
int shmp_lock_validate(const struct shmp_lock *lock, const struct shmp_segment *segment,
		       const char **ret_why);
/* The kind's ailment. */
const char *shmp_lock_ailment(const struct shmp_lock *lock);
/* The kind's holds, with what becomes of a dead writer's lock, and its waits_for. In lock_hold.c. */
void shmp_lock_holds(const struct shmp_lock *lock, const struct shmp_segment *segment,
		     uint32_t endpoint, const char *fate, shmp_hold_fn fn, void *context);
void shmp_lock_waits_for(const struct shmp_lock *lock, const struct shmp_segment *segment,
			 shmp_wait_fn fn, void *context);
/* lock_...: the state, and who holds it, where somebody does. */
void shmp_lock_figures(const struct shmp_lock *lock, const struct shmp_segment *segment,
		       shmp_figure_fn figure, void *context);

#endif
