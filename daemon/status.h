/*
 * Status: segments as the control socket shows them.
 */
#ifndef SHMBROKER_STATUS_H
#define SHMBROKER_STATUS_H

#include <cjson/cJSON.h>
#include <stdint.h>

struct place;
struct segment;

/* "free", "active", "left", "dying", "dead". */
const char *status_of_place(const struct place *place);
/* A CLOCK_REALTIME as text: 2026-11-21T14:30:05.123456Z. */
void status_add_time(cJSON *object, const char *key, uint64_t realtime_ns);
/* How a process ended: an enum death_end and its value. */
void status_add_end(cJSON *object, uint32_t end, uint32_t value);
/* A Segment of org.shmbroker.control, its shared figures read as they stand. */
cJSON *status_of_segment(const struct segment *segment);

#endif
