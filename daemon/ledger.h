/*
 * Ledger: what of segments, places, clients and attachments is written into the state as it changes,
 * so that a successor can take it up (recovery.h). See state.h for the order that makes a kill at
 * any instruction harmless:
 *
 *	made	descriptors parked, records in force, then visible to others
 *	taken	holding, place HELD, then the shared record
 *	back	place LEAVING or DYING, the kind's repair, place LEFT or DEAD, then no holding
 *	gone	record out of force, then the descriptors' item
 *
 * Without a state all of it does nothing and succeeds.
 */
#ifndef SHMBROKER_LEDGER_H
#define SHMBROKER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/state.h"

struct attachment;
struct broker;
struct client;
struct death_notice;
struct segment;

/* A segment that is complete but for being visible. 0 or -errno. */
int ledger_segment(struct segment *segment);
/* Its name is free. */
void ledger_unlinked(const struct segment *segment);
/* It is about to be unlinked by a call with @tag: who says that call again has done it once. */
void ledger_unlink(const struct segment *segment, uint64_t tag);
bool ledger_knows_unlink(struct broker *broker, uint64_t tag);
/* Of a broker that died between the two. */
void ledger_forget_unlink(const struct segment *segment);
/* Its nest has strangers. */
void ledger_strangers(const struct segment *segment);
/* The last use of it; its memory is given back. */
void ledger_segment_gone(struct segment *segment);

/* The attachment has its id; @incarnation is the place's that is about to be taken. 0 or -errno. */
int ledger_attachment(struct attachment *attachment, uint64_t incarnation);
void ledger_attachment_gone(struct attachment *attachment);
void ledger_client_gone(struct client *client);
/* Its death is noticed, unless an earlier broker has done so: then @notice becomes that one's. */
void ledger_client_died(struct client *client, struct death_notice *notice);
/* Whether an earlier broker has, and not come to the end of it. */
bool ledger_is_dying(const struct client *client);

/* As the place now is. */
void ledger_place(const struct segment *segment, uint32_t index, enum state_place_status status);
/* The entry in the record of deaths that waits for its repair. */
void ledger_death(const struct segment *segment, uint32_t index);
/* Its doorbell. 0 or -errno. */
int ledger_bell(struct segment *segment, uint32_t index);
void ledger_bell_gone(struct segment *segment, uint32_t index);

/* A number that was never given out. */
uint64_t ledger_next_generation(struct broker *broker);
uint64_t ledger_next_serial(struct broker *broker);

#endif
