/*
 * Value: the fields of a record, for the commands that show them.
 */
#ifndef SHMBROKERCTL_VALUE_H
#define SHMBROKERCTL_VALUE_H

#include <cjson/cJSON.h>

#include "tools/options.h"

/*
 * Adds what the schema of record @name says to @segment, under "fields". Whoever may not read the
 * record gets a description without them.
 */
void value_add_fields(const struct options *options, const char *name, cJSON *segment);
/* And prints them as a table, if there are any. */
void value_print_fields(const cJSON *segment);

#endif
