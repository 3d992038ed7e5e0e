/*
 * Status: segments as the control socket shows them.
 */
#ifndef SHMBROKER_STATUS_H
#define SHMBROKER_STATUS_H

#include <cjson/cJSON.h>

struct segment;

/* A Segment of org.shmbroker.control, its shared figures read as they stand. */
cJSON *status_of_segment(const struct segment *segment);

#endif
