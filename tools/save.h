/*
 * Save: what the command save has of the segment that it is at, for the rows of save_kind.c. What
 * returns an int returns an exit code, whose fault is reported.
 */
#ifndef SHMBROKERCTL_SAVE_H
#define SHMBROKERCTL_SAVE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "shmclient/shmclient.h"
#include "tools/archive.h"
#include "tools/options.h"

struct saving {
	const struct options *options;
	struct shmc_client *client;
	struct archive_writer *writer;
	/* the segment, or object */
	const char *name;
	bool is_part; /* of an arena that is saved as a whole */
	struct shmc_observer *observer;
	cJSON *description; /* gone to the file with save_begin() */
	uint64_t count;	    /* of what the row counts */
	uint64_t bytes;	    /* of payload */
};

struct save_kind {
	const char *name;
	const char *counts; /* "messages", ...; NULL: nothing in particular */
	int (*save)(struct saving *saving);
};

/* NULL: this program does not know the kind. */
const struct save_kind *save_kind_find(const char *name);

/* One of the segment's options, 0 when there is none of that name. */
uint64_t save_option(const struct saving *saving, const char *name);
/* Writes the description, to which whatever there is to add was added. */
int save_begin(struct saving *saving);
int save_refuse(const struct saving *saving, enum shmc_result result, const char *while_doing);

/* Saves what has @name, whichever it is; @is_part: it may have gone. */
int save_segment(struct saving *saving, const char *name, bool is_part);

#endif
