/*
 * The broker's start when memory is short or the kernel refuses: each call fails once, with each of
 * its errors, until it is ready. It serves nevertheless, or ends and says why; nothing is left
 * behind, and the next start works. So with a manager that keeps things, and at its end.
 */
#include <errno.h>
#include <string.h>

#include "tests/failure/launch.h"
#include "tests/support/runner.h"

/* ---- the start ------------------------------------------------------------------------------- */

/* @act: for messages. Return: whether it came up. */
static bool start_once(const char *act, const struct fault_round *round)
{
	if (launch_begin(round, launch_serve_broker)) {
		launch_expect_service(act);
		ck_assert_int_eq(launch_stop(), 0);
		launch_expect_nothing_left(act);
		return true;
	}
	launch_expect_complaint(act);
	launch_expect_nothing_left(act);
	return false;
}

static void start_whole(const char *act)
{
	if (!start_once(act, NULL))
		ck_abort_msg("%s: does not start after %s: %s", act, fault_text(), launch_said());
}

/* A look by a debugger, or SIGSTOP and SIGCONT, is no shortage. */
static bool was_only_interrupted(void)
{
	return fault->number == EINTR && strncmp(fault->call, "fallocate", 9) == 0;
}

static void fail_everywhere(const char *act, bool has_store)
{
	struct fault_round round = { .chosen = 0 };
	unsigned long count = 0;

	launch_open(has_store);
	start_whole(act);
	launch_forget();
	while (fault_next(&round)) {
		if (start_once(act, &round))
			count++;
		else if (was_only_interrupted())
			ck_abort_msg("%s, call %lu (%s): did not start", act, round.chosen,
				     fault_text());
		else
			start_whole(act);
		launch_forget();
	}
	printf("# %s: %lu calls, %lu failures: %lu came up\n", act, round.chosen - 1,
	       round.failures, count);
	ck_assert_uint_gt(round.failures, 0);
	launch_close();
}

TEST(start_alone_is_whole_or_nothing, .timeout_s = 60)
{
	fail_everywhere("start", false);
}

TEST(start_with_a_manager_is_whole_or_nothing, .timeout_s = 60)
{
	fail_everywhere("start with a manager", true);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void stop_once(const char *act, const struct fault_round *round)
{
	ck_assert(launch_begin(NULL, launch_serve_broker));
	launch_expect_service(act);
	fault_arm(round->chosen, round->error);
	if (launch_stop() != 0)
		ck_abort_msg("%s, call %lu (%s): ended with status 0x%x: %s", act, round->chosen,
			     fault_text(), (unsigned)launch.status, launch_said());
	fault_disarm();
	launch_expect_nothing_left(act);
}

static void fail_at_end(const char *act, bool has_store)
{
	struct fault_round round = { .chosen = 0 };

	launch_open(has_store);
	while (fault_next(&round)) {
		stop_once(act, &round);
		start_whole(act);
		launch_forget();
	}
	printf("# %s: %lu calls, %lu failures\n", act, round.chosen - 1, round.failures);
	ck_assert_uint_gt(round.failures, 0);
	launch_close();
}

TEST(end_alone_is_in_order_whatever_fails, .timeout_s = 60)
{
	fail_at_end("end", false);
}

TEST(end_with_a_manager_is_in_order_whatever_fails, .timeout_s = 60)
{
	fail_at_end("end with a manager", true);
}

SHMT_MAIN
