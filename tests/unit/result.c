/* Results: names, texts, and values that are no errno. */
#include "shmclient/result.h"

#include <string.h>

#include "tests/support/runner.h"

static const enum shmc_result results[] = {
#define RESULT(symbol, value, text) SHMC_##symbol,
	SHMC_RESULTS(RESULT)
};

#define RESULTS (sizeof(results) / sizeof(*results))

TEST(no_result_can_be_taken_for_an_errno)
{
	for (size_t i = 0; i < RESULTS; i++)
		ck_assert(results[i] >= 0 || results[i] <= -1000);
}

TEST(done_is_zero_and_nothing_else_is)
{
	ck_assert_int_eq(SHMC_OK, 0);
	for (size_t i = 1; i < RESULTS; i++)
		ck_assert_int_ne(results[i], 0);
}

TEST(every_result_has_its_own_name_and_text)
{
	for (size_t i = 0; i < RESULTS; i++) {
		ck_assert_str_ne(shmc_result_name(results[i]), "UNKNOWN");
		ck_assert_str_ne(shmc_result_text(results[i]), "unknown result");
		for (size_t j = 0; j < i; j++) {
			ck_assert_int_ne(results[i], results[j]);
			ck_assert_str_ne(shmc_result_name(results[i]),
					 shmc_result_name(results[j]));
			ck_assert_str_ne(shmc_result_text(results[i]),
					 shmc_result_text(results[j]));
		}
	}
	ck_assert_str_eq(shmc_result_name(SHMC_PEER_DEAD), "PEER_DEAD");
}

TEST(what_is_no_result_has_a_name_too)
{
	ck_assert_str_eq(shmc_result_name((enum shmc_result) - 1), "UNKNOWN");
	ck_assert_str_eq(shmc_result_text((enum shmc_result)12345), "unknown result");
}

SHMT_MAIN
