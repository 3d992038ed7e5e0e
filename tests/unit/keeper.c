/* How long a broker that dies again and again has to wait. */
#include "daemon/keeper.h"

#include "tests/support/runner.h"

TEST(the_first_deaths_cost_no_time)
{
	for (uint32_t deaths = 0; deaths <= 5; deaths++)
		ck_assert_uint_eq(keeper_delay_ms(deaths), 0);
}

TEST(a_loop_of_deaths_waits_twice_as_long_each_time_up_to_five_seconds)
{
	static const uint32_t expected[] = { 100, 200, 400, 800, 1600, 3200, 5000, 5000 };

	for (uint32_t i = 0; i < 8; i++)
		ck_assert_uint_eq(keeper_delay_ms(6 + i), expected[i]);
	ck_assert_uint_eq(keeper_delay_ms(UINT32_MAX), 5000);
}

SHMT_MAIN
