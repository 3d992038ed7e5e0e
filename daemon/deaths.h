/*
 * Deaths: the record of who died, what he held, what became of it and how soon.
 *
 * One entry for each segment and role that a process died in. A process that dies again in the same
 * way, the same user's by the same name in the same segment and role, is the same entry with a count
 * and the times of the first and the last. Where there is no room the entry that changed longest ago
 * gives way; one user's deaths take at most half of the room, so that he hides no other's.
 *
 * Storage is the caller's: a flat array without pointers, which outlives the broker if its memory
 * does. A record counts only with the right checksum, and is written into a free slot before the one
 * that it replaces is cleared: a broker killed at any instruction leaves the old entry, or the new
 * one, or both, of which the later counts. One slot is therefore always kept free.
 *
 *	slot:	FREE (check 0) --write, check last--> VALID --its successor is VALID--> FREE
 *
 * Edges:
 * [C] check: put -> deaths_init of a later broker, publishes the record
 */
#ifndef SHMBROKER_DEATHS_H
#define SHMBROKER_DEATHS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/hold.h"

#define DEATHS_ROOM	    257u /* entries, and the slot kept free */
#define DEATH_PLACES_MAX    32u	 /* entries that one process may make or change by dying */
#define DEATH_HOLDS_MAX	    4u
#define DEATH_NAME_BYTES    72u
#define DEATH_WORD_BYTES    24u /* a kind or a role */
#define DEATH_SEGMENT_BYTES 256u

enum death_end {
	DEATH_END_UNKNOWN = 0, /* the kernel tells it to nobody but the parent, or too late */
	DEATH_END_EXITED = 1,  /* value: exit code */
	DEATH_END_KILLED = 2,  /* value: signal */
};

struct death_hold {
	uint64_t count;
	uint32_t is_least;
	uint32_t reserved;
	char what[SHMP_HOLD_TEXT];
	char fate[SHMP_HOLD_TEXT];
};

struct death_record {
	uint64_t check;		/* of all that follows; 0 = free */
	uint64_t key;		/* hash of what makes two deaths one entry */
	uint64_t id;		/* of the entry, the same for ever */
	uint64_t serial;	/* of its last change: the newest has the highest */
	uint64_t count;		/* deaths */
	uint64_t first_ns;	/* CLOCK_REALTIME when the broker was told of the first */
	uint64_t last_ns;	/* of the last */
	uint64_t noticed_ns;	/* the same moment by CLOCK_MONOTONIC */
	uint64_t repair_ns;	/* from there to the end of the last repair; 0 = not ended yet */
	uint64_t repair_max_ns; /* the longest of all */
	/* of the last one who died so */
	uint64_t start_time; /* clock ticks since boot; 0 = not known */
	uint32_t pid;
	uint32_t uid;
	uint32_t end; /* enum death_end */
	uint32_t end_value;
	uint32_t held;	   /* places and views that the process had, in all segments */
	uint32_t places;   /* of these, in this segment and role */
	uint32_t pending;  /* of these, not yet repaired */
	uint32_t endpoint; /* one of them; UINT32_MAX = a view */
	uint32_t hold_count;
	uint32_t reserved;
	struct death_hold holds[DEATH_HOLDS_MAX];
	char name[DEATH_NAME_BYTES]; /* what it called itself */
	char kind[DEATH_WORD_BYTES];
	char role[DEATH_WORD_BYTES];
	char segment[DEATH_SEGMENT_BYTES];
};
static_assert(sizeof(struct death_hold) == 144, "no padding, which the checksum would see");
static_assert(sizeof(struct death_record) == 1080, "no padding, which the checksum would see");

/* Whoever is dying now: what all of his entries share. */
struct death_notice {
	const char *name;
	uint64_t start_time;
	uint64_t at_ns;	     /* CLOCK_REALTIME */
	uint64_t noticed_ns; /* CLOCK_MONOTONIC */
	uint32_t pid;
	uint32_t uid;
	uint32_t held;
	bool goes_on; /* an earlier broker has noted some of his places */
};

/* One place of his. */
struct death_place {
	const char *segment;
	const char *kind;
	const char *role;
	uint32_t endpoint; /* UINT32_MAX = a view: nothing to be repaired */
	bool is_pending;   /* its repair is not finished yet */
	uint32_t hold_count;
	struct shmp_hold holds[DEATH_HOLDS_MAX];
};

struct deaths {
	struct death_record *storage;
	size_t room;
	uint64_t serial;	    /* the highest given out */
	struct death_notice notice; /* of whoever is dying now */
	uint32_t noted;		    /* of his places */
};

/*
 * Takes up @room records in @storage, zeroed or left by an earlier broker: what is not whole or not
 * sane is cleared. At least 2.
 */
void deaths_init(struct deaths *deaths, struct death_record *storage, size_t room);

/* Somebody died: the places noted from now on are his. @notice->name must live until the last. */
void deaths_begin(struct deaths *deaths, const struct death_notice *notice);
/* Returns the entry's id, or 0 where this process has made as many entries as it may. */
uint64_t deaths_note(struct deaths *deaths, const struct death_place *place);
/* How he ended, in all of his entries. */
void deaths_say_end(struct deaths *deaths, enum death_end end, uint32_t value);
/* What was pending of entry @id, 0 = none, is repaired. Harmless when the entry is gone. */
void deaths_repaired(struct deaths *deaths, uint64_t id);

/* A kind's holds(): collects into the struct death_place that is the context. */
void death_add_hold(void *context, const struct shmp_hold *hold);

/* The newest entry older than serial @before, UINT64_MAX for the newest of all; NULL = no more. */
const struct death_record *deaths_next(const struct deaths *deaths, uint64_t before);

#endif
