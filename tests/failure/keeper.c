/*
 * The keeper when memory is short or the kernel refuses: each call fails once, with each of its errors,
 * while it starts, while it starts another broker after one was killed, and while it ends. It keeps a
 * broker nevertheless, with all that was kept, or ends before there is one and says why; no file is
 * left behind, and the next start works.
 *
 * A keeper starts the program that it is: this one, which is a broker then, and has no faults.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "daemon/broker.h"
#include "daemon/dispatch.h"
#include "daemon/keeper.h"
#include "daemon/log.h"
#include "tests/failure/launch.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define CONTROL "org.shmbroker.control."

static char *program;

static int serve_keeper(void)
{
	static char be_a_broker[] = "--be-a-broker";
	char *argv[] = { program, be_a_broker, launch.client, launch.control, NULL };
	struct options options = launch_options();

	options.no_backoff = true;
	return keeper_serve(&options, argv);
}

static int be_broker(char **argv)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log_to(LAUNCH_LOG_FD);
	snprintf(launch.client, sizeof(launch.client), "%s", argv[2]);
	snprintf(launch.control, sizeof(launch.control), "%s", argv[3]);
	return launch_serve_broker();
}

/* ---- the start ------------------------------------------------------------------------------- */

static void begin(void)
{
	launch_open(false);
	launch.is_keeper = true;
}

static void start_whole(const char *act)
{
	if (!launch_begin(NULL, serve_keeper))
		ck_abort_msg("%s: does not start after %s: %s", act, fault_text(), launch_said());
}

static void stop_whole(const char *act)
{
	if (launch_stop() != 0)
		ck_abort_msg("%s (%s): ended with status 0x%x: %s", act, fault_text(),
			     (unsigned)launch.status, launch_said());
	launch_expect_nothing_left(act);
	launch_forget();
}

static void report(const char *act, const struct fault_round *round)
{
	printf("# %s: %lu calls, %lu failures\n", act, round->chosen - 1, round->failures);
	ck_assert_uint_gt(round->failures, 0);
}

TEST(start_of_a_keeper_is_whole_or_nothing, .timeout_s = 60)
{
	struct fault_round round = { .chosen = 0 };

	begin();
	while (fault_next(&round)) {
		if (!launch_begin(&round, serve_keeper)) {
			launch_expect_complaint("start");
			launch_expect_nothing_left("start");
			launch_forget();
			start_whole("start");
		}
		launch_expect_service("start");
		stop_whole("start");
	}
	report("start", &round);
	launch_close();
}

/* ---- its life -------------------------------------------------------------------------------- */

/* Of the one that said last that it has started. */
static pid_t broker_pid(void)
{
	const char *at = launch_said();
	pid_t pid = 0;

	while ((at = strstr(at, "event=started "))) {
		at = strstr(at, " pid=") + 5;
		pid = (pid_t)strtol(at, NULL, 10);
	}
	return pid;
}

static void await_next(pid_t last, const struct fault_round *round)
{
	struct timespec pause = { .tv_nsec = 500000 };

	for (unsigned long i = 0; i < shmt_scaled(20000); i++) {
		if (broker_pid() != last)
			return;
		if (i % 50 == 49)
			launch_hasten();
		launch_drain();
		nanosleep(&pause, NULL);
	}
	ck_abort_msg("call %lu (%s): no broker comes: %s", round->chosen, fault_text(),
		     launch_said());
}

static void replace_broker(const struct fault_round *round)
{
	pid_t last = broker_pid();

	kill(last, SIGKILL);
	await_next(last, round);
}

/* What it could not keep it has named. */
static void expect_kept(int count)
{
	struct shmt_raw *control = shmt_raw_open(launch.control);

	ck_assert_str_eq(shmt_raw_call(control, CONTROL "Status", "{}"), "");
	if (shmt_raw_int(control, "segments") != count && !strstr(launch_said(), "event=not_kept"))
		ck_abort_msg("%s: it is lost: %s", fault_text(), launch_said());
	shmt_raw_close(control);
}

/* One that was told but part of what there is must not run at all. */
static void expect_no_half_broker(void)
{
	static const char *const calls[] = { "setenv", "dup2", "execv" };

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(fault->call, calls[i]) == 0 &&
		    !strstr(launch_said(), "event=cannot_exec"))
			ck_abort_msg("%s: a broker ran: %s", fault_text(), launch_said());
}

static void make_kept(int number)
{
	struct shmt_raw *raw = shmt_raw_open(launch.client);

	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'kept/%d','kind':'spsc'}", number),
			 "");
	shmt_raw_close(raw);
}

TEST(killed_broker_has_a_successor_whatever_fails, .timeout_s = 60)
{
	struct fault_round round = { .chosen = 0 };

	begin();
	while (fault_next(&round)) {
		start_whole("restart");
		make_kept(1);
		fault_arm(round.chosen, round.error);
		replace_broker(&round);
		if (fault_disarm())
			expect_no_half_broker();
		expect_kept(1);
		launch_expect_service("restart");
		/* nor has the successor lost what it needs for the one after it */
		make_kept(2);
		replace_broker(&round);
		expect_kept(2);
		stop_whole("restart");
	}
	report("restart", &round);
	launch_close();
}

TEST(end_of_a_keeper_is_in_order_whatever_fails, .timeout_s = 60)
{
	struct fault_round round = { .chosen = 0 };

	begin();
	while (fault_next(&round)) {
		start_whole("end");
		fault_arm(round.chosen, round.error);
		stop_whole("end");
		fault_disarm();
	}
	report("end", &round);
	launch_close();
}

int main(int argc, char **argv)
{
	program = argv[0];
	if (argc == 4 && strcmp(argv[1], "--be-a-broker") == 0)
		return be_broker(argv);
	return shmt_run(argc, argv);
}
