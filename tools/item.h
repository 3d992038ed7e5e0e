/*
 * Item: one piece of what is in a segment, as a line for people or an object for programs; and
 * bytes that may be anything.
 */
#ifndef SHMBROKERCTL_ITEM_H
#define SHMBROKERCTL_ITEM_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "shmclient/observer.h"
#include "tools/options.h"

/* Prints it as --json, --hex or text; 0, or the exit code of a stdout that cannot be written. */
int item_print(const struct options *options, const struct shmc_item *item);

/* Adds "text" where @data is UTF-8, else "base64". */
void item_add_bytes(cJSON *object, const void *data, size_t bytes);

#endif
