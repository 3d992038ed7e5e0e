/*
 * Show: fields of the broker's replies as text. What is absent or of another type is shown as "-".
 */
#ifndef SHMBROKERCTL_SHOW_H
#define SHMBROKERCTL_SHOW_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/table.h"

/* The plain values; 0, "" and false when absent. */
uint64_t show_u64(const cJSON *object, const char *key);
const char *show_string(const cJSON *object, const char *key);
bool show_bool(const cJSON *object, const char *key);

/* One cell each. */
void show_number_cell(struct table *table, const cJSON *object, const char *key);
void show_string_cell(struct table *table, const cJSON *object, const char *key);
void show_bytes_cell(struct table *table, const cJSON *object, const char *key);
void show_pid_cell(struct table *table, const cJSON *object, const char *key);
void show_user_cell(struct table *table, const cJSON *object, const char *key);
void show_group_cell(struct table *table, const cJSON *object, const char *key);
/* How long ago a CLOCK_MONOTONIC was. */
void show_age_cell(struct table *table, const cJSON *object, const char *key);

#define SHOW_END_BYTES 24
/* How a process ended: "SIGKILL", "exit 7", "?" when that is not known. */
const char *show_end(const cJSON *object, char room[SHOW_END_BYTES]);

/* "NAME VALUE, NAME VALUE" of an object of numbers, bytes in units; to be freed. */
char *show_figures(const cJSON *object);

#endif
