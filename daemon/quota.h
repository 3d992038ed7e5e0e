/*
 * Quota: what each user may use at most, so that one never starves another.
 *
 * A charge is an object that lives beside what it pays for and is released with it; when the
 * broker ends, nothing may be charged any more. A refusal is counted and logged once per user and
 * kind, until he has fallen below the limit again.
 */
#ifndef SHMBROKER_QUOTA_H
#define SHMBROKER_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum quota_kind {
	QUOTA_CONNECTIONS,
	QUOTA_SEGMENTS,
	QUOTA_BYTES,
	QUOTA_ENDPOINTS,
	QUOTA_KINDS,
};

struct quota;

struct quota_user {
	struct quota *quota;
	uid_t uid;
	uint32_t charges; /* living ones; the last takes the user with it */
	uint64_t used[QUOTA_KINDS];
	bool told[QUOTA_KINDS]; /* the refusal is in the log already */
};

struct quota {
	uint64_t limit[QUOTA_KINDS];
	struct quota_user **users; /* sorted by uid */
	size_t user_count;
	size_t user_room;
	uint64_t refusals;
};

struct charge {
	struct quota_user *user; /* NULL = nothing charged */
	enum quota_kind kind;
	uint64_t amount;
};

#define CHARGE_NULL ((struct charge){ .user = NULL })

void quota_init(struct quota *quota, const uint64_t limit[QUOTA_KINDS]);
/* Asserts that nothing is charged. */
void quota_deinit(struct quota *quota);

/* "bytes", and the option that sets its limit, "bytes-per-uid". */
const char *quota_name(enum quota_kind kind);
const char *quota_option(enum quota_kind kind);

/* 0; 1 refused, the limit would be passed; -ENOMEM. */
int quota_charge(struct quota *quota, uid_t uid, enum quota_kind kind, uint64_t amount,
		 struct charge *ret_charge);
/* For what is there whether it is wanted or not: may pass the limit. Null when out of memory. */
struct charge quota_force(struct quota *quota, uid_t uid, enum quota_kind kind, uint64_t amount);
/* What @uid has in use. */
uint64_t quota_used(const struct quota *quota, uid_t uid, enum quota_kind kind);
/* Harmless on a null charge, and leaves one. */
void charge_release(struct charge *charge);

#endif
