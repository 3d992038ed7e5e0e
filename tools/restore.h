/*
 * Restore: what the command restore has of the segment that it is making, for the rows of
 * restore_kind.c. What returns an int returns an exit code, whose fault is reported.
 */
#ifndef SHMBROKERCTL_RESTORE_H
#define SHMBROKERCTL_RESTORE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmclient/shmclient.h"
#include "tools/archive.h"
#include "tools/options.h"

struct restore_kind;

struct restoring {
	const struct options *options;
	struct shmc_client *client;
	const struct restore_kind *kind;
	const char *name;	  /* of the segment, or object, as it will be */
	const cJSON *description; /* as the file has it */
	union {
		void *any; /* NULL: nothing was needed yet */
		struct shmc_array *array;
		struct shmc_broadcast *broadcast;
		struct shmc_buffer *buffer;
		struct shmc_mpmc *mpmc;
		struct shmc_pipe *pipe;
		struct shmc_pool *pool;
		struct shmc_spsc *spsc;
		struct shmc_stream *stream;
	} handle;
	struct shmc_pipe *client_side; /* of a pipe */
	uint8_t *room;		       /* for what is put in as a whole; freed by restore.c */
	uint64_t room_bytes;
	uint64_t sequence; /* of a stream: of the last frame */
	uint64_t count;	   /* of this segment */
	uint64_t in_hand;  /* messages, from the first on */
};

struct restore_kind {
	const char *name;
	const char *counts; /* as save counts them */
	uint32_t pieces;    /* bits of 1 << enum archive_type: what may be in it */
	/* All may be NULL. Before the first piece; for each; after the last, to put in what was
	 * collected. */
	int (*begin)(struct restoring *restoring);
	int (*put)(struct restoring *restoring, const struct archive_piece *piece);
	int (*end)(struct restoring *restoring);
	/* Gives back what is open, whatever happened. */
	void (*close)(struct restoring *restoring);
};

/* NULL: this program does not know the kind. */
const struct restore_kind *restore_kind_find(const char *name);

int restore_refuse(const struct restoring *restoring, enum shmc_result result, const char *what);

#endif
