/*
 * Policy: who may do what to a name, by what the kernel says about the caller.
 *
 * A name has an owner and a mode like a file: the first class that matches - owner, group,
 * others - decides. Managing it (unlink) is the owner's. Root may everything. The overflow id
 * 65534 stands for whoever could not be named: it owns nothing and matches no group.
 */
#ifndef SHMBROKER_POLICY_H
#define SHMBROKER_POLICY_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define POLICY_NOBODY	  65534u
#define POLICY_MODE_MAX	  0666u
#define POLICY_MODE_READ  04u
#define POLICY_MODE_WRITE 02u

struct credentials {
	pid_t pid; /* 0 = in a pid namespace that the broker cannot see into */
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary */
	size_t group_count;
};

/* Of the process that made the connection, at that moment. -errno. */
int credentials_read(int socket_fd, struct credentials *ret_credentials);
void credentials_deinit(struct credentials *credentials);
bool credentials_in_group(const struct credentials *credentials, gid_t gid);

struct ownership {
	uid_t uid;
	gid_t gid;
	uint32_t mode;
};

bool policy_may_read(const struct credentials *who, const struct ownership *what);
bool policy_may_write(const struct credentials *who, const struct ownership *what);
bool policy_may_manage(const struct credentials *who, const struct ownership *what);
/* As in chown: only root gives to another user, only root and members to another group. */
bool policy_may_give(const struct credentials *who, uid_t uid, gid_t gid);

/* Who may create under a prefix; the longest prefix that fits a name decides alone. */
struct policy_rule {
	char *prefix;
	uid_t *uids;
	size_t uid_count;
	gid_t *gids;
	size_t gid_count;
};

struct policy {
	struct policy_rule *rules; /* none: everybody may create everything */
	size_t rule_count;
};

#define POLICY_NULL ((struct policy){ .rules = NULL })

/*
 * Reads [{"prefix": "robot/", "uids": [1000], "gids": [50]}]. 0, or -EINVAL with @complaint
 * naming the rule and field, or -ENOMEM.
 */
int policy_parse(const cJSON *array, struct policy *ret_policy, char *complaint, size_t bytes);
void policy_deinit(struct policy *policy);
/* The rule that decides about @name, NULL when none does. */
const struct policy_rule *policy_rule_for(const struct policy *policy, const char *name);
bool policy_may_create(const struct policy *policy, const struct credentials *who,
		       const char *name);

#endif
