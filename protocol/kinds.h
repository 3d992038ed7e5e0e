/*
 * Kinds: the one table through which the broker knows structures. Adding a structure adds its
 * protocol/<kind>.[ch] and one row in kinds.c; the broker learns nothing else about it.
 */
#ifndef SHMP_KINDS_H
#define SHMP_KINDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/hold.h"
#include "protocol/look.h"
#include "protocol/segment.h"

/* One creation option, the source of the parser, the checks, describe and the documentation. */
struct shmp_option {
	const char *name; /* field of the options object, e.g. "capacity_bytes" */
	const char *help;
	uint64_t min;
	uint64_t max;
	uint64_t preset; /* when not given */
};

/*
 * Who may open it and as what. The role named "observer" has no endpoint, maps everything
 * read-only, needs only the read right, and makes no move: it looks and reads figures.
 */
struct shmp_role {
	const char *name;
	uint32_t first; /* place of its first endpoint */
	uint32_t count; /* places; 0 = as many as the plan has from first on, or an observer */
	/* index + 1 of the option that says first or count instead; 0 = none does */
	uint32_t first_option;
	uint32_t count_option;
	enum shmp_access ctl;
	enum shmp_access data;
	bool writes; /* needs the write right on the name, else the read right is enough */
	bool observes;
};

/* Reads one number of a structure for status: called once per figure. */
typedef void (*shmp_figure_fn)(void *context, const char *name, uint64_t value);

/* An object in a segment that holds others, for the table that clients read. */
struct shmp_holding {
	uint64_t generation;
	uint32_t index; /* in the table, from 0 on */
	uint32_t kind;
	uint64_t control_bytes;
	uint64_t data_offset;
	uint64_t data_bytes;
};

/* What is free in it, in all and in one piece. */
struct shmp_room {
	uint64_t control_free;
	uint64_t control_largest;
	uint64_t data_free;
	uint64_t data_largest;
};

/* How the broker tells those who map such a segment what is in it. Its plan has objects_bytes. */
struct shmp_holder {
	uint32_t name_option;	 /* index of the option with the longest name in bytes */
	uint32_t entries_option; /* ... with the number of entries */
	void (*enlist)(const struct shmp_segment *segment, const char *name,
		       const struct shmp_holding *holding);
	void (*delist)(const struct shmp_segment *segment, uint32_t index);
	/*
	 * Makes the table right after a broker that may have died in the middle of a change: begin,
	 * relist for each object there is, end. Who looks meanwhile finds what is there.
	 */
	void (*relist_begin)(const struct shmp_segment *segment);
	void (*relist)(const struct shmp_segment *segment, const char *name,
		       const struct shmp_holding *holding);
	void (*relist_end)(const struct shmp_segment *segment);
	void (*write_room)(const struct shmp_segment *segment, const struct shmp_room *room);
};

struct shmp_kind {
	const char *name;
	uint32_t id;
	uint32_t version;
	bool mirrored; /* data is mapped twice in a row */
	bool streams;  /* a position of look() is never used again: who follows goes by them */
	bool byte_positions; /* they count bytes, else items */
	bool ctl_suffices;   /* all below but init do without data, which is NULL then */
	const struct shmp_role *roles;
	size_t role_count;
	const struct shmp_option *options;
	size_t option_count;
	size_t init_bytes_max;		  /* of what a creation brings, 0 = nothing */
	const struct shmp_holder *holder; /* NULL: it holds no objects */

	/*
	 * Sizes from options that are each within their range; rounds up where the kind allows and
	 * leaves the effective values in ret_plan->option. 0, or the index of the option that
	 * cannot be had together with the others, plus 1, with *ret_why saying so.
	 */
	int (*plan)(const uint64_t *option, struct shmp_plan *ret_plan, const char **ret_why);
	/*
	 * What a creation has to bring beside numbers, bytes that mean something to this kind only;
	 * both NULL where it may bring nothing. check_init, before anything is made: 0, -ENOMEM,
	 * or -EINVAL with *ret_why; load_init writes what was checked, right after init.
	 */
	int (*check_init)(const struct shmp_plan *plan, const void *init, size_t bytes,
			  const char **ret_why);
	void (*load_init)(const struct shmp_segment *segment, const void *init, size_t bytes);
	/* A fresh, zeroed segment, before anybody else can see it. */
	void (*init)(const struct shmp_segment *segment);
	/* Bytes a peer may have written: 0 sane, -EBADMSG with *ret_why otherwise. Never loops on
	 * them without bound, never reads outside. */
	int (*validate)(const struct shmp_segment *segment, const char **ret_why);
	/* What those who use it have to mend, or NULL, of bytes that are sane. NULL where nothing
	 * ever wants mending. */
	const char *(*ailment)(const struct shmp_segment *segment);
	/* Clears the line of a place about to be given out; keeps what successors need. */
	void (*attach)(const struct shmp_segment *segment, uint32_t endpoint);
	/*
	 * Takes back what the holder of @endpoint left, dead (@died) or detached; repeated runs
	 * give the same result. 0 done, 1 must be run again later.
	 */
	int (*repair)(const struct shmp_segment *segment, uint32_t endpoint, bool died);
	/* Wakes everybody who may wait in it; called after repair, unconditionally. */
	void (*wake)(const struct shmp_segment *segment);
	/* Broker: publishers fence from now on. -errno. */
	int (*require_fence)(const struct shmp_segment *segment);
	/* Broker: whoever sleeps does so in pieces from now on, since a stranger may look on. NULL
	 * where nobody ever sleeps. */
	void (*require_pieces)(const struct shmp_segment *segment);
	/* Whether the holder of @endpoint asked to be told: asleep, or its doorbell armed. */
	bool (*waits)(const struct shmp_segment *segment, uint32_t endpoint);
	/* What the holder of @endpoint has in hands, see hold.h: of a dead one, right before repair,
	 * what that will find. NULL where nobody ever holds anything. */
	void (*holds)(const struct shmp_segment *segment, uint32_t endpoint, shmp_hold_fn fn,
		      void *context);
	/* For whom each of those wait who wait, see hold.h. NULL where nobody ever waits. */
	void (*waits_for)(const struct shmp_segment *segment, shmp_wait_fn fn, void *context);
	/* Endpoints with a doorbell armed are found in the records; the kind adds its figures. */
	void (*figures)(const struct shmp_segment *segment, shmp_figure_fn figure, void *context);
	/*
	 * Shows what is in it, from @look->from on, to who maps it all, maybe read-only, while the
	 * others go on. 0 when it came to the end or to @look->max; what @fn said, if not 0;
	 * -EBADMSG; or -ENOMEM where a copy of all has to be made. See look.h.
	 */
	int (*look)(const struct shmp_segment *segment, struct shmp_look *look, shmp_item_fn fn,
		    void *context);
};

/* The role's row that every kind has, but for the roles that are its own. */
#define SHMP_ROLE_OBSERVER                                                             \
	{                                                                              \
		.name = "observer", .ctl = SHMP_ACCESS_READ, .data = SHMP_ACCESS_READ, \
		.observes = true                                                       \
	}

extern const struct shmp_kind *const shmp_kinds[];
extern const size_t shmp_kind_count;

/* NULL when there is no such kind. */
const struct shmp_kind *shmp_kind_find(const char *name);
const struct shmp_role *shmp_kind_role(const struct shmp_kind *kind, const char *name);
/* The places of a role in a segment of @plan: the first one, and how many from there on. */
uint32_t shmp_role_first(const struct shmp_role *role, const struct shmp_plan *plan);
uint32_t shmp_role_places(const struct shmp_role *role, const struct shmp_plan *plan);
/* Index in the option table, or -1. */
int shmp_kind_option(const struct shmp_kind *kind, const char *name);

#endif
