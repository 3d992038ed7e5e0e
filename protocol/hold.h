/*
 * Hold: what an endpoint has in its hands, and whom those who wait for it wait for. It is told from
 * what stands in shared memory already, to who only looks: it costs the data path nothing.
 *
 * Of a dead holder it is final, since nobody else writes what names him: right before his repair it
 * says what that will find. Of a living one it is right for some moment. A segment says that
 * somebody waits, and not since when: only a lock says since when it is held.
 *
 * Hostile bytes: every word is loaded once; places are bounded by the plan before they are told.
 * The number of steps follows from the plan. What is told may be nonsense that a peer wrote.
 */
#ifndef SHMP_HOLD_H
#define SHMP_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#define SHMP_HOLD_TEXT 64u /* bytes of each text below at most, NUL included */

/* Strings are constants. */
struct shmp_hold {
	const char *what; /* "lock to write", "requests", "objects", ... */
	const char *fate; /* what repair makes of it: "freed", "given to another, flagged", ... */
	uint64_t count;
	bool is_least; /* there may be more of it: the look ended before it had seen all */
};

typedef void (*shmp_hold_fn)(void *context, const struct shmp_hold *hold);

/* Strings are constants. */
struct shmp_wait {
	uint32_t endpoint; /* who waits */
	bool is_idle;	   /* for what nobody owes him: the next message, the next change */
	int64_t by;	   /* the endpoint whose move it takes; -1: any of @role */
	const char *role;  /* NULL where @by is one */
	const char *what;  /* "lock", "room", "message", ... */
	const char *why;   /* what keeps it: "holds it to write", "is the slowest reader", ... */
	uint64_t count; /* bytes, objects or requests that keep it; 0 = not a matter of how many */
	uint64_t
		since_ns; /* CLOCK_MONOTONIC since when he keeps it; 0 = the segment does not say */
	uint32_t tid; /* of his thread, in its own pid namespace; 0 = the segment does not say */
};

typedef void (*shmp_wait_fn)(void *context, const struct shmp_wait *wait);

#endif
