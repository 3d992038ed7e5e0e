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
};

#endif
