#include "daemon/quota.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"

static const struct {
	const char *name;
	const char *option;
} kinds[QUOTA_KINDS] = {
	[QUOTA_CONNECTIONS] = { "connections", "connections-per-uid" },
	[QUOTA_SEGMENTS] = { "segments", "segments-per-uid" },
	[QUOTA_BYTES] = { "bytes", "bytes-per-uid" },
	[QUOTA_ENDPOINTS] = { "endpoints", "endpoints-per-uid" },
};

const char *quota_name(enum quota_kind kind)
{
	return kinds[kind].name;
}

const char *quota_option(enum quota_kind kind)
{
	return kinds[kind].option;
}

void quota_init(struct quota *quota, const uint64_t limit[QUOTA_KINDS])
{
	*quota = (struct quota){ .users = NULL };
	memcpy(quota->limit, limit, sizeof(quota->limit));
}

void quota_deinit(struct quota *quota)
{
	assert(quota->user_count == 0);
	free(quota->users);
	quota->users = NULL;
}

/* Index of the first user whose uid is not below @uid. */
static size_t position_of(const struct quota *quota, uid_t uid)
{
	size_t low = 0, high = quota->user_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (quota->users[middle]->uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct quota_user *find(const struct quota *quota, uid_t uid)
{
	size_t at = position_of(quota, uid);

	return at < quota->user_count && quota->users[at]->uid == uid ? quota->users[at] : NULL;
}

static int make_room(struct quota *quota)
{
	size_t room = quota->user_room ? 2 * quota->user_room : 8;
	struct quota_user **users;

	if (quota->user_count < quota->user_room)
		return 0;
	users = realloc(quota->users, room * sizeof(struct quota_user *));
	if (!users)
		return -ENOMEM;
	quota->users = users;
	quota->user_room = room;
	return 0;
}

static struct quota_user *add(struct quota *quota, uid_t uid)
{
	size_t at = position_of(quota, uid);
	struct quota_user *user;

	if (make_room(quota) < 0)
		return NULL;
	user = calloc(1, sizeof(*user));
	if (!user)
		return NULL;
	user->quota = quota;
	user->uid = uid;
	memmove(quota->users + at + 1, quota->users + at,
		(quota->user_count - at) * sizeof(struct quota_user *));
	quota->users[at] = user;
	quota->user_count++;
	return user;
}

static void drop(struct quota_user *user)
{
	struct quota *quota = user->quota;
	size_t at = position_of(quota, user->uid);

	quota->user_count--;
	memmove(quota->users + at, quota->users + at + 1,
		(quota->user_count - at) * sizeof(struct quota_user *));
	free(user);
}

static void refuse(struct quota *quota, struct quota_user *user, uid_t uid, enum quota_kind kind,
		   uint64_t amount)
{
	quota->refusals++;
	if (user && user->told[kind])
		return;
	if (user)
		user->told[kind] = true;
	log_event(LOG_WARNING, "quota",
		  "uid=%u limit=%s asked=%" PRIu64 " used=%" PRIu64 " max=%" PRIu64 " option=%s",
		  uid, kinds[kind].name, amount, user ? user->used[kind] : 0, quota->limit[kind],
		  kinds[kind].option);
}

struct charge quota_force(struct quota *quota, uid_t uid, enum quota_kind kind, uint64_t amount)
{
	struct quota_user *user = find(quota, uid);

	if (!user)
		user = add(quota, uid);
	if (!user)
		return CHARGE_NULL;
	user->used[kind] += amount;
	user->charges++;
	return (struct charge){ user, kind, amount };
}

int quota_charge(struct quota *quota, uid_t uid, enum quota_kind kind, uint64_t amount,
		 struct charge *ret_charge)
{
	struct quota_user *user = find(quota, uid);
	uint64_t used = user ? user->used[kind] : 0;

	if (amount > quota->limit[kind] || used > quota->limit[kind] - amount) {
		refuse(quota, user, uid, kind, amount);
		return 1;
	}
	*ret_charge = quota_force(quota, uid, kind, amount);
	return ret_charge->user ? 0 : -ENOMEM;
}

uint64_t quota_used(const struct quota *quota, uid_t uid, enum quota_kind kind)
{
	const struct quota_user *user = find(quota, uid);

	return user ? user->used[kind] : 0;
}

void charge_release(struct charge *charge)
{
	struct quota_user *user = charge->user;

	if (!user)
		return;
	assert(user->used[charge->kind] >= charge->amount);
	user->used[charge->kind] -= charge->amount;
	if (charge->amount > 0)
		user->told[charge->kind] = false;
	if (--user->charges == 0)
		drop(user);
	*charge = CHARGE_NULL;
}
