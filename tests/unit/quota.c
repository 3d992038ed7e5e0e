/*
 * Charges: what is used, refused and given back.
 */
#include "daemon/quota.h"

#include "daemon/log.h"
#include "tests/support/random.h"
#include "tests/support/runner.h"

static struct quota quota;

static void begin(uint64_t most)
{
	const uint64_t limit[QUOTA_KINDS] = { most, most, most, most };

	quota_init(&quota, limit);
	log_to(-1);
}

TEST(charge_up_to_the_limit_is_taken_and_one_beyond_refused)
{
	struct charge a = CHARGE_NULL, b = CHARGE_NULL;

	begin(10);
	ck_assert_int_eq(quota_charge(&quota, 1, QUOTA_BYTES, 10, &a), 0);
	ck_assert_int_eq(quota_charge(&quota, 1, QUOTA_BYTES, 1, &b), 1);
	ck_assert_ptr_null(b.user);
	ck_assert_uint_eq(quota_used(&quota, 1, QUOTA_BYTES), 10);
	charge_release(&a);
	ck_assert_int_eq(quota_charge(&quota, 1, QUOTA_BYTES, 1, &b), 0);
	charge_release(&b);
	quota_deinit(&quota);
}

TEST(amounts_near_the_end_of_numbers_do_not_wrap)
{
	struct charge a = CHARGE_NULL, b = CHARGE_NULL;

	begin(UINT64_MAX - 1);
	ck_assert_int_eq(quota_charge(&quota, 1, QUOTA_BYTES, 100, &a), 0);
	ck_assert_int_eq(quota_charge(&quota, 1, QUOTA_BYTES, UINT64_MAX - 1, &b), 1);
	ck_assert_int_eq(quota_charge(&quota, 1, QUOTA_BYTES, UINT64_MAX, &b), 1);
	charge_release(&a);
	quota_deinit(&quota);
}

TEST(users_and_kinds_are_counted_apart)
{
	struct charge a = CHARGE_NULL, b = CHARGE_NULL, c = CHARGE_NULL;

	begin(1);
	ck_assert_int_eq(quota_charge(&quota, 7, QUOTA_SEGMENTS, 1, &a), 0);
	ck_assert_int_eq(quota_charge(&quota, 6, QUOTA_SEGMENTS, 1, &b), 0);
	ck_assert_int_eq(quota_charge(&quota, 7, QUOTA_ENDPOINTS, 1, &c), 0);
	charge_release(&a);
	charge_release(&b);
	charge_release(&c);
	quota_deinit(&quota);
}

TEST(releasing_twice_or_nothing_is_harmless)
{
	struct charge a = CHARGE_NULL;

	begin(1);
	charge_release(&a);
	ck_assert_int_eq(quota_charge(&quota, 1, QUOTA_BYTES, 1, &a), 0);
	charge_release(&a);
	charge_release(&a);
	ck_assert_uint_eq(quota_used(&quota, 1, QUOTA_BYTES), 0);
	quota_deinit(&quota);
}

TEST(what_is_forced_passes_the_limit_and_keeps_others_out)
{
	struct charge forced, a = CHARGE_NULL;

	begin(10);
	forced = quota_force(&quota, 1, QUOTA_CONNECTIONS, 50);
	ck_assert_uint_eq(quota_used(&quota, 1, QUOTA_CONNECTIONS), 50);
	ck_assert_int_eq(quota_charge(&quota, 1, QUOTA_CONNECTIONS, 1, &a), 1);
	charge_release(&forced);
	ck_assert_int_eq(quota_charge(&quota, 1, QUOTA_CONNECTIONS, 1, &a), 0);
	charge_release(&a);
	quota_deinit(&quota);
}

#define CHARGES 64

TEST(any_order_of_charges_and_releases_ends_at_zero)
{
	struct shmt_random random = { shmt_seed() };
	struct charge charges[CHARGES] = { { .user = NULL } };

	begin(100);
	for (int i = 0; i < 20000; i++) {
		struct charge *charge = &charges[shmt_random_below(&random, CHARGES)];

		if (charge->user)
			charge_release(charge);
		else
			quota_charge(&quota, (uid_t)shmt_random_below(&random, 9),
				     (enum quota_kind)shmt_random_below(&random, QUOTA_KINDS),
				     shmt_random_below(&random, 40), charge);
	}
	for (int i = 0; i < CHARGES; i++)
		charge_release(&charges[i]);
	quota_deinit(&quota);
}

SHMT_MAIN
