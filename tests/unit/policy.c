/*
 * Who may do what, without anybody connected.
 */
#include "daemon/policy.h"

#include <string.h>

#include "tests/support/runner.h"

static gid_t crew[] = { 50, 60, POLICY_NOBODY };

static struct credentials user(uid_t uid, gid_t gid)
{
	return (struct credentials){ .uid = uid, .gid = gid };
}

static struct credentials member(uid_t uid)
{
	return (struct credentials){ .uid = uid, .gid = 1, .groups = crew, .group_count = 3 };
}

TEST(first_class_that_matches_decides_alone)
{
	struct ownership what = { 1000, 50, 0046 };
	struct credentials owner = user(1000, 50), in_group = user(1001, 50), other = user(1002, 7);

	/* the owner has less than others have, and does not become one of them */
	ck_assert(!policy_may_read(&owner, &what) && !policy_may_write(&owner, &what));
	ck_assert(policy_may_read(&in_group, &what) && !policy_may_write(&in_group, &what));
	ck_assert(policy_may_read(&other, &what) && policy_may_write(&other, &what));
}

TEST(supplementary_groups_count)
{
	struct ownership what = { 1000, 60, 0060 };
	struct credentials who = member(1001);

	ck_assert(policy_may_write(&who, &what));
}

TEST(overflow_id_owns_nothing_and_is_in_no_group)
{
	struct ownership owned = { POLICY_NOBODY, 1, 0600 };
	struct ownership grouped = { 1, POLICY_NOBODY, 0060 };
	struct credentials nobody = user(POLICY_NOBODY, POLICY_NOBODY), who = member(1001);
	struct policy free_for_all = POLICY_NULL;

	ck_assert(!policy_may_read(&nobody, &owned) && !policy_may_manage(&nobody, &owned));
	ck_assert(!policy_may_read(&nobody, &grouped) && !policy_may_read(&who, &grouped));
	ck_assert(!policy_may_create(&free_for_all, &nobody, "a"));
}

TEST(only_owner_and_root_manage)
{
	struct ownership what = { 1000, 50, 0666 };
	struct credentials root = user(0, 0), owner = user(1000, 1), in_group = user(1, 50);

	ck_assert(policy_may_manage(&root, &what));
	ck_assert(policy_may_manage(&owner, &what));
	ck_assert(!policy_may_manage(&in_group, &what));
}

TEST(root_reads_and_writes_whatever_the_mode)
{
	struct ownership what = { 1000, 50, 0 };
	struct credentials root = user(0, 0);

	ck_assert(policy_may_read(&root, &what) && policy_may_write(&root, &what));
}

static struct policy parse(const char *text)
{
	struct policy policy = POLICY_NULL;
	cJSON *array = cJSON_Parse(text);
	char complaint[128];

	ck_assert_ptr_nonnull(array);
	ck_assert_int_eq(policy_parse(array, &policy, complaint, sizeof(complaint)), 0);
	cJSON_Delete(array);
	return policy;
}

TEST(longest_prefix_decides_alone)
{
	struct policy policy = parse("[{\"prefix\":\"a/b/\",\"uids\":[7]},{\"prefix\":\"a/\","
				     "\"uids\":[8],\"gids\":[60]},{\"prefix\":\"\"}]");
	struct credentials seven = user(7, 1), eight = user(8, 1), in_group = member(9);

	ck_assert(policy_may_create(&policy, &seven, "a/b/c"));
	ck_assert(!policy_may_create(&policy, &eight, "a/b/c"));
	ck_assert(policy_may_create(&policy, &eight, "a/bc"));
	ck_assert(policy_may_create(&policy, &in_group, "a/x"));
	ck_assert(!policy_may_create(&policy, &seven, "a/x"));
	ck_assert(!policy_may_create(&policy, &seven, "b"));
	policy_deinit(&policy);
}

TEST(name_that_no_rule_fits_is_free_for_all)
{
	struct policy policy = parse("[{\"prefix\":\"a/\",\"uids\":[]}]");
	struct credentials who = user(7, 1), root = user(0, 0);

	ck_assert(policy_may_create(&policy, &who, "b"));
	ck_assert(!policy_may_create(&policy, &who, "a/b"));
	ck_assert(policy_may_create(&policy, &root, "a/b"));
	policy_deinit(&policy);
}

SHMT_MAIN
