/*
 * Segment: two memfds, ctl (head, kind's control words, endpoints) and data (payload).
 *
 * The broker makes, reserves, seals and keeps them, mode 0600; clients check seals and size and
 * map. What a process believes about sizes comes from the plan (broker) or the broker's reply
 * (client), never from shared memory: the head in ctl is for people and for post-mortem.
 *
 *	ctl:	head (256) | kind's control area (plan.control_bytes) | endpoints[] (128 each)
 *	data:	payload; when the kind says so, rings of one size, each mapped twice in a row
 *
 * An arena has a third one, objects: its objects' ctl lie there, and their data in its data, each
 * object at an offset that the plan says. Ctl lies packed, so the pages that are mapped show
 * neighbours' ctl, too; data has whole pages.
 */
#ifndef SHMP_SEGMENT_H
#define SHMP_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/abi.h"
#include "protocol/endpoint.h"

#define SHMP_SEGMENT_MAGIC	  0x0031676573626d68u /* "hmbseg1" */
#define SHMP_SEGMENT_VERSION	  1u
#define SHMP_OPTIONS_MAX	  8
#define SHMP_SEGMENT_RESERVE_STEP (4u << 20)
#define SHMP_HUGE_PAGE_BYTES	  (2u << 20)
#define SHMP_SEGMENT_PACKING	  128u /* ctl of an object begins and ends at a multiple */

/* How its memory is to be had, of any kind; chosen at creation. */
enum shmp_memory {
	SHMP_MEMORY_HUGE_PAGES = 1u, /* data in pages of 2 MiB, reserved by the administrator */
	SHMP_MEMORY_PREFAULT = 2u,   /* whoever maps it has all of its page tables at once */
	SHMP_MEMORY_MLOCK = 4u,	     /* whoever maps it locks it */
};

/* Everything that follows from the options of a creation; both sides compute with this only. */
struct shmp_plan {
	uint64_t ctl_bytes;	/* whole pages, or packed: an object in an arena */
	uint64_t data_bytes;	/* whole pages; 0 = no data memfd */
	uint64_t objects_bytes; /* whole pages; 0 = it holds no objects */
	uint64_t ctl_offset;	/* of an object, in its arena's objects; packed */
	uint64_t data_offset;	/* of an object, in its arena's data; whole pages */
	uint64_t control_bytes; /* kind's area between head and endpoints, a multiple of 128 */
	uint32_t endpoint_count;
	uint32_t memory;		   /* enum shmp_memory */
	uint64_t rings;			   /* equal parts of data that is mirrored; 0 counts as 1 */
	uint64_t option[SHMP_OPTIONS_MAX]; /* effective values, by the kind's option table */
};

struct shmp_head {
	_Alignas(64) uint64_t magic;
	uint32_t version;      /* of head and endpoint layout */
	uint32_t kind;	       /* id in the kinds table */
	uint32_t kind_version; /* of the kind's layout */
	uint32_t endpoint_count;
	uint64_t generation;
	uint64_t ctl_bytes;
	uint64_t data_bytes;
	uint64_t control_bytes;
	uint64_t created_ns; /* CLOCK_REALTIME */
	uint64_t option[SHMP_OPTIONS_MAX];
	uint64_t reserved[16];
};
SHMP_FREEZE(shmp_head, 256);
SHMP_FIELD(shmp_head, version, 8);
SHMP_FIELD(shmp_head, kind, 12);
SHMP_FIELD(shmp_head, kind_version, 16);
SHMP_FIELD(shmp_head, endpoint_count, 20);
SHMP_FIELD(shmp_head, generation, 24);
SHMP_FIELD(shmp_head, ctl_bytes, 32);
SHMP_FIELD(shmp_head, data_bytes, 40);
SHMP_FIELD(shmp_head, control_bytes, 48);
SHMP_FIELD(shmp_head, created_ns, 56);
SHMP_FIELD(shmp_head, option, 64);
SHMP_FIELD(shmp_head, reserved, 128);

enum shmp_access {
	SHMP_ACCESS_NONE = 0, /* not mapped */
	SHMP_ACCESS_READ = 1,
	SHMP_ACCESS_WRITE = 2,
};

/* A mapped segment: addresses of this process, geometry from the plan. */
struct shmp_segment {
	struct shmp_head *head;
	void *control;
	struct shmp_endpoint *endpoints;
	uint8_t *data;		  /* NULL when not mapped */
	const uint8_t *read_data; /* see shmp_segment_data_addresses; NULL: there is none */
	bool mirrored;
	struct shmp_plan plan;
};

#define SHMP_SEGMENT_NULL ((struct shmp_segment){ 0 })

/* The broker's descriptors of one segment. */
struct shmp_segment_fds {
	int ctl;
	int data;	   /* -1 when the kind has none */
	int data_readonly; /* opened after fchmod: cannot be upgraded by another uid */
	int ctl_readonly;
	int objects; /* -1 when it holds none */
	int objects_readonly;
};

#define SHMP_SEGMENT_FDS_NULL ((struct shmp_segment_fds){ -1, -1, -1, -1, -1, -1 })

/*
 * Adds @memory to a plan of the kind, whose data may grow to whole huge pages. 0, or -EINVAL with
 * *ret_why: the kind cannot have these.
 */
int shmp_segment_plan_memory(struct shmp_plan *plan, bool mirrored, uint32_t memory,
			     const char **ret_why);

/* ctl_bytes of a plan whose other fields are set. */
uint64_t shmp_segment_ctl_bytes(const struct shmp_plan *plan);
/* All of its memory. */
uint64_t shmp_segment_bytes(const struct shmp_plan *plan);
/* Makes the plan that of an object in an arena, whose offsets are still to be set. */
void shmp_segment_plan_packed(struct shmp_plan *plan);

/*
 * Makes the memfds, sized, mode 0600, not yet reserved or sealed. @proc_fd_dir: O_PATH descriptor
 * of /proc/self/fd, taken at start. -errno, with nothing left open.
 */
int shmp_segment_make(const struct shmp_plan *plan, const char *label, int proc_fd_dir,
		      struct shmp_segment_fds *ret_fds);
/* The read-only ones of those that are writable and lack theirs. -errno, with nothing closed. */
int shmp_segment_open_readonly(int proc_fd_dir, struct shmp_segment_fds *fds);
/* Reserves every page, in steps; run by a helper process that may be killed for it. -errno. */
int shmp_segment_reserve(const struct shmp_segment_fds *fds, const struct shmp_plan *plan);
/* Writes zeroes over an object, to which those before it left their bytes. -errno. */
int shmp_segment_clear(const struct shmp_segment_fds *fds, const struct shmp_plan *plan);
/* Seals the sizes. -errno. */
int shmp_segment_seal(const struct shmp_segment_fds *fds);
void shmp_segment_close(struct shmp_segment_fds *fds);

/* Broker: fills the head of a fresh segment from its plan. */
void shmp_segment_write_head(const struct shmp_segment *segment, uint32_t kind,
			     uint32_t kind_version, uint64_t generation, uint64_t created_ns);

/* Client: 0 when @fd is a memfd sealed against size changes of @bytes; -EBADF otherwise. */
int shmp_segment_check(int fd, uint64_t bytes);

/*
 * Maps what the access asks for, with plan->memory; data_fd is not looked at for ACCESS_NONE. -errno;
 * -EDQUOT when it may not be locked.
 */
int shmp_segment_map(const struct shmp_plan *plan, bool mirrored, int ctl_fd,
		     enum shmp_access ctl_access, int data_fd, enum shmp_access data_access,
		     struct shmp_segment *ret_segment);
void shmp_segment_unmap(struct shmp_segment *segment);
/* The pages that ctl is mapped in, which may show others' before and behind it. */
void shmp_segment_ctl_pages(const struct shmp_segment *segment, void **ret_address,
			    uint64_t *ret_bytes);
/* Bytes that data shows, mirrored or not. */
uint64_t shmp_segment_data_room(const struct shmp_plan *plan, bool mirrored);
/*
 * Bytes of addresses that it takes. Where there are rings of several directions, so that each process
 * writes some and reads others, all of them are there once more, for reading only: on processors of
 * AMD a line that another core has written comes through a page that may be written as one to be
 * written, and its next writer has to get it back.
 */
uint64_t shmp_segment_data_addresses(const struct shmp_plan *plan, bool mirrored);
/* Maps ctl or data, now writable, over what is mapped: whoever uses it sees the same bytes. -errno. */
int shmp_segment_map_ctl_over(const struct shmp_segment *segment, int ctl_fd);
int shmp_segment_map_data_over(const struct shmp_segment *segment, int data_fd);
/* Locks what is mapped, if the plan says so, once more: after something was mapped over it. */
int shmp_segment_lock(const struct shmp_segment *segment);

/* Bytes actually reserved against those planned; less means that somebody punched holes. */
int shmp_segment_holes(const struct shmp_segment_fds *fds, const struct shmp_plan *plan,
		       uint64_t *ret_missing_bytes);

#endif
