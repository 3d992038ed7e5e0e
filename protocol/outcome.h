/*
 * Outcomes: what a move of a structure says. Inside the project a call returns an int: 0 done,
 * -errno broken (forwarded unchanged), positive an expected outcome, consumed by its caller and
 * never forwarded. These are the positive ones that all structures share; -EBADMSG says that
 * a peer wrote bytes that no honest one writes.
 */
#ifndef SHMP_OUTCOME_H
#define SHMP_OUTCOME_H

enum shmp_outcome {
	SHMP_DONE = 0,
	SHMP_FULL = 1,
	SHMP_EMPTY = 2,
	SHMP_TOO_BIG = 3,
	SHMP_PEER_DEAD =
		4, /* and drained (or full): nothing will ever change that but a successor */
	SHMP_PEER_LEFT = 5,
	SHMP_HELD = 16,		 /* the lock is another's */
	SHMP_OWNER_DIED = 17,	 /* done; who held it before died over it */
	SHMP_DAMAGED = 19,	 /* not the bytes that the checksum was made of */
	SHMP_UNRECOVERABLE = 18, /* and its successor did not mend what he left */
	SHMP_LAPPED = 20,	 /* written over meanwhile: what was read is worth nothing */
};

#endif
