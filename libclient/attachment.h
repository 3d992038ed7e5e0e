/*
 * Attachment: what the broker's answer to Attach says, checked.
 *
 * Sizes are those that the kind computes from the options, and the answer must say the same: a
 * broker that is broken or hostile gets an error, never a mapping that some bound does not fit.
 */
#ifndef SHMC__ATTACHMENT_H
#define SHMC__ATTACHMENT_H

#include <stdint.h>

#include "libclient/control.h"
#include "protocol/kinds.h"
#include "protocol/segment.h"
#include "shmclient/result.h"

#define SHMC__NO_ENDPOINT UINT32_MAX /* an observer's */

/* Whose it is, and who may what; none of it is needed to map it. */
struct shmc__rights {
	uint32_t mode; /* 0: brokers before this one do not say, and the others mean nothing */
	uint32_t owner;
	uint32_t group;
	uint32_t memory; /* enum shmp_memory, as its creator chose */
};

struct shmc__attachment {
	uint64_t id;
	uint64_t generation;
	uint64_t incarnation;
	uint32_t endpoint;
	struct shmp_plan plan;
	uint64_t ctl_file_bytes; /* of the file that it is all, or a piece of */
	uint64_t data_file_bytes;
	struct shmc__rights rights;
	int ctl_fd;  /* the reply's */
	int data_fd; /* the reply's; -1 when the kind has none */
};

/*
 * OK; MISMATCH for a layout of another version, naming both; UNSUPPORTED for an answer that does
 * not have the promised form; CORRUPT for one that contradicts itself or its descriptors.
 */
enum shmc_result shmc__attachment_read(const struct shmp_kind *kind, const struct shmp_role *role,
				       const struct shmc__reply *reply,
				       struct shmc__attachment *ret_attachment,
				       struct shmc_error *error);

#endif
