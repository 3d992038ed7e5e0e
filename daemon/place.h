/*
 * Place: giving an endpoint's place to a holder, and taking it back.
 *
 * Order of a death, so that nobody is woken to an unfinished past: state DYING, the kind's repair,
 * state DEAD, wake everybody, ring every doorbell. What repair cannot decide yet goes to the
 * pending list and the place stays taken.
 */
#ifndef SHMBROKER_PLACE_H
#define SHMBROKER_PLACE_H

#include <stdbool.h>
#include <stdint.h>

struct attachment;
struct place;
struct segment;
struct shmp_role;
struct state_place;

/* 0 and a free place; 1 when all of the role's places are taken, then one of the taken. */
int place_find(const struct segment *segment, const struct shmp_role *role, uint32_t *ret_place);
/* That of the next holder. */
uint64_t place_next_incarnation(const struct segment *segment, uint32_t index);
/* 0 or -errno; -EBADMSG when the segment's bytes cannot be made sense of. */
int place_assign(struct segment *segment, uint32_t index, struct attachment *holder);
/* Takes the place from its holder and repairs it, now or later; a stopping broker only forgets. */
void place_vacate(struct segment *segment, uint32_t index, bool died);
/* Once more, for a place that is_repairing. 0 done, 1 not yet. */
int place_repair(struct segment *segment, uint32_t index);

/* The doorbell of a held place, made when it has none that works. 0 or -errno. */
int place_make_bell(struct segment *segment, uint32_t index);

/*
 * What an earlier broker kept: first each place, whose repair goes on if it was under way; then
 * those who hold them, whose attach is finished if it was under way; then those who are not there
 * any more.
 */
void place_restore(struct segment *segment, uint32_t index, struct state_place *kept);
/* Whether somebody held it; whether he held it under this incarnation, and is not here yet. */
bool place_is_kept(const struct place *place);
bool place_is_kept_for(const struct segment *segment, uint32_t index, uint64_t incarnation);
/* 0 or -errno. */
int place_restore_holder(struct segment *segment, uint32_t index, struct attachment *holder);
void place_restore_end(struct segment *segment, uint32_t index);

#endif
