/*
 * A segment as the broker makes it and gives its places out, but without a broker: the same calls
 * of the kind, in the same order. Every failure ends the program: nothing here is what is tested.
 */
#ifndef SHMT_SEGMENT_H
#define SHMT_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/kinds.h"
#include "protocol/segment.h"

struct shmt_segment {
	const struct shmp_kind *kind;
	struct shmp_plan plan;
	struct shmp_segment_fds fds;
	struct shmp_segment map; /* the broker's own, read and write */
};

/* Unlike ck_assert also in children that check knows nothing of. */
#define SHMT_REQUIRE(condition_)                                                         \
	do {                                                                             \
		if (!(condition_)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition_); \
			abort();                                                         \
		}                                                                        \
	} while (0)

/* @option by the kind's table, each within its range. */
void shmt_segment_make(struct shmt_segment *segment, const char *kind, const uint64_t *option);
/* With what the kind wants beside numbers. */
void shmt_segment_make_with(struct shmt_segment *segment, const char *kind, const uint64_t *option,
			    const void *init, size_t bytes);
void shmt_segment_free(struct shmt_segment *segment);

/* What a client of that role maps. */
void shmt_segment_map(const struct shmt_segment *segment, const char *role,
		      struct shmp_segment *ret_map);

/* The whole of it, between pages that nobody may touch; for the rest of the program. */
struct shmp_segment shmt_segment_map_guarded(const struct shmt_segment *segment, int protection);

/* Gives a place out: validate, attach, ACTIVE with the next incarnation. */
void shmt_place_assign(const struct shmt_segment *segment, uint32_t place);
/*
 * Takes a place back: DYING, repair, DEAD (or, not @died, repair and LEFT), wake. With @times > 1
 * as if the broker had been killed after each repair but the last, and started anew.
 */
void shmt_place_vacate(const struct shmt_segment *segment, uint32_t place, bool died, int times);

#endif
