#include "daemon/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "protocol/varlink.h"

/* The kernel says how much room it wants, and the groups may grow in between. */
static int read_groups(int socket_fd, struct credentials *credentials)
{
	socklen_t bytes = 64 * sizeof(gid_t);

	for (;;) {
		gid_t *groups = realloc(credentials->groups, bytes);

		if (!groups)
			return -ENOMEM;
		credentials->groups = groups;
		if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) == 0)
			break;
		if (errno != ERANGE)
			return -errno;
	}
	credentials->group_count = bytes / sizeof(gid_t);
	if (credentials->group_count == 0) {
		free(credentials->groups);
		credentials->groups = NULL;
	}
	return 0;
}

int credentials_read(int socket_fd, struct credentials *ret_credentials)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);
	struct credentials credentials = { .groups = NULL };
	int r;

	if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0)
		return -errno;
	credentials.pid = peer.pid;
	credentials.uid = peer.uid;
	credentials.gid = peer.gid;
	r = read_groups(socket_fd, &credentials);
	if (r < 0) {
		credentials_deinit(&credentials);
		return r;
	}
	*ret_credentials = credentials;
	return 0;
}

void credentials_deinit(struct credentials *credentials)
{
	free(credentials->groups);
	credentials->groups = NULL;
	credentials->group_count = 0;
}

bool credentials_in_group(const struct credentials *credentials, gid_t gid)
{
	if (gid == POLICY_NOBODY)
		return false;
	if (credentials->gid == gid)
		return true;
	for (size_t i = 0; i < credentials->group_count; i++) {
		if (credentials->groups[i] == gid)
			return true;
	}
	return false;
}

static bool is_owner(const struct credentials *who, const struct ownership *what)
{
	return who->uid == what->uid && who->uid != POLICY_NOBODY;
}

static bool may(const struct credentials *who, const struct ownership *what, uint32_t right)
{
	if (who->uid == 0)
		return true;
	if (is_owner(who, what))
		return what->mode >> 6 & right;
	if (credentials_in_group(who, what->gid))
		return what->mode >> 3 & right;
	return what->mode & right;
}

bool policy_may_read(const struct credentials *who, const struct ownership *what)
{
	return may(who, what, POLICY_MODE_READ);
}

bool policy_may_write(const struct credentials *who, const struct ownership *what)
{
	return may(who, what, POLICY_MODE_WRITE);
}

bool policy_may_manage(const struct credentials *who, const struct ownership *what)
{
	return who->uid == 0 || is_owner(who, what);
}

bool policy_may_give(const struct credentials *who, uid_t uid, gid_t gid)
{
	return who->uid == 0 ||
	       (who->uid == uid && (who->gid == gid || credentials_in_group(who, gid)));
}

/* Rules of creation. */

static int complain(char *complaint, size_t bytes, size_t index, const char *what)
{
	snprintf(complaint, bytes, "create[%zu]: %s", index, what);
	return -EINVAL;
}

/* A list of ids; absent is empty. */
static int parse_ids(const cJSON *object, const char *key, uint32_t **ret_ids, size_t *ret_count)
{
	const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, key);
	const cJSON *item;
	uint32_t *ids;
	size_t count = 0;

	if (!array)
		return 0;
	if (!cJSON_IsArray(array))
		return -EINVAL;
	ids = calloc((size_t)cJSON_GetArraySize(array) + 1, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	cJSON_ArrayForEach(item, array)
	{
		double number = cJSON_GetNumberValue(item);

		if (!(number >= 0 && number < POLICY_NOBODY) || number != (uint32_t)number) {
			free(ids);
			return -EINVAL;
		}
		ids[count++] = (uint32_t)number;
	}
	*ret_ids = ids;
	*ret_count = count;
	return 0;
}

static const char *unknown_key(const cJSON *object)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, object)
	{
		if (strcmp(item->string, "prefix") != 0 && strcmp(item->string, "uids") != 0 &&
		    strcmp(item->string, "gids") != 0)
			return item->string;
	}
	return NULL;
}

static int parse_rule(const cJSON *object, size_t index, struct policy_rule *rule, char *complaint,
		      size_t bytes)
{
	const char *prefix;

	if (!cJSON_IsObject(object))
		return complain(complaint, bytes, index, "is not an object");
	if (unknown_key(object))
		return complain(complaint, bytes, index, "knows only prefix, uids and gids");
	if (shmp_json_repeated(object))
		return complain(complaint, bytes, index, "has a key twice");
	if (shmp_json_string(object, "prefix", &prefix) != 0)
		return complain(complaint, bytes, index, "prefix is not a string");
	rule->prefix = strdup(prefix);
	if (!rule->prefix)
		return -ENOMEM;
	if (parse_ids(object, "uids", &rule->uids, &rule->uid_count) < 0)
		return complain(complaint, bytes, index, "uids is not a list of ids below 65534");
	if (parse_ids(object, "gids", &rule->gids, &rule->gid_count) < 0)
		return complain(complaint, bytes, index, "gids is not a list of ids below 65534");
	return 0;
}

int policy_parse(const cJSON *array, struct policy *ret_policy, char *complaint, size_t bytes)
{
	struct policy policy = POLICY_NULL;
	const cJSON *item;
	int r = 0;

	if (!cJSON_IsArray(array)) {
		snprintf(complaint, bytes, "create is not a list of rules");
		return -EINVAL;
	}
	policy.rules = calloc((size_t)cJSON_GetArraySize(array) + 1, sizeof(*policy.rules));
	if (!policy.rules)
		return -ENOMEM;
	cJSON_ArrayForEach(item, array)
	{
		size_t index = policy.rule_count++;

		r = parse_rule(item, index, &policy.rules[index], complaint, bytes);
		if (r < 0)
			break;
	}
	if (r < 0)
		policy_deinit(&policy);
	else
		*ret_policy = policy;
	return r;
}

void policy_deinit(struct policy *policy)
{
	for (size_t i = 0; i < policy->rule_count; i++) {
		free(policy->rules[i].prefix);
		free(policy->rules[i].uids);
		free(policy->rules[i].gids);
	}
	free(policy->rules);
	*policy = POLICY_NULL;
}

const struct policy_rule *policy_rule_for(const struct policy *policy, const char *name)
{
	const struct policy_rule *best = NULL;

	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		size_t length = strlen(rule->prefix);

		if (strncmp(name, rule->prefix, length) != 0)
			continue;
		if (!best || length >= strlen(best->prefix))
			best = rule;
	}
	return best;
}

bool policy_may_create(const struct policy *policy, const struct credentials *who, const char *name)
{
	const struct policy_rule *rule = policy_rule_for(policy, name);

	if (who->uid == POLICY_NOBODY)
		return false; /* nobody could manage what it owns */
	if (!rule || who->uid == 0)
		return true;
	for (size_t i = 0; i < rule->uid_count; i++) {
		if (rule->uids[i] == who->uid)
			return true;
	}
	for (size_t i = 0; i < rule->gid_count; i++) {
		if (credentials_in_group(who, rule->gids[i]))
			return true;
	}
	return false;
}
