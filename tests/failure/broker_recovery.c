/*
 * A broker that takes over from a dead one when memory is short or the kernel refuses: each call
 * fails once, with each of its errors. Either it has everything, or it ends, says why, leaves all as
 * it was, and the next one has everything: no segment, no place, no doorbell and no session is lost,
 * and whoever died meanwhile is repaired.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/failure/launch.h"
#include "tests/support/lives.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define CONTROL "org.shmbroker.control."

enum {
	SEGMENTS = 4, /* lines, shared, arena, arena:inner */
};

static pid_t resident; /* lives through it all */
static pid_t mortal;   /* dies between two brokers */

/* ---- who is there ---------------------------------------------------------------------------- */

static void ask(struct shmt_raw *raw, const char *method, const char *parameters)
{
	const char *error = shmt_raw_call(raw, method, "%s", parameters);

	if (*error)
		_exit(1);
}

/* A queue of one's own with a doorbell, a place in an arena, and a mere look at what is shared. */
static void reside(void)
{
	struct shmt_raw *raw = shmt_hello(launch.client);

	ask(raw, "Create", "{'name':'lines','kind':'spsc'}");
	ask(raw, "Create", "{'name':'shared','kind':'mpmc'}");
	ask(raw, "Create", "{'name':'arena','kind':'arena','options':{'data_bytes':65536}}");
	ask(raw, "Create", "{'name':'arena:inner','kind':'spsc'}");
	ask(raw, "Attach", "{'name':'lines','role':'consumer'}");
	ask(raw, "MakeDoorbell", "{'id':1,'endpoint':1,'incarnation':1}");
	ask(raw, "Attach", "{'name':'arena:inner','role':'producer'}");
	ask(raw, "Attach", "{'name':'shared','role':'observer'}");
}

static void be_mortal(void)
{
	struct shmt_raw *raw = shmt_hello(launch.client);
	char bell[64];

	ask(raw, "Attach", "{'name':'lines','role':'producer'}");
	snprintf(bell, sizeof(bell), "{'id':1,'endpoint':0,'incarnation':%d}",
		 (int)shmt_raw_int(raw, "incarnation"));
	ask(raw, "MakeDoorbell", bell);
}

/* ---- what must be there ---------------------------------------------------------------------- */

static int64_t number_of(struct shmt_raw *control, const char *segment, int index, const char *key)
{
	return (int64_t)shmt_endpoint_field(control, segment, index, key)->valuedouble;
}

static void expect_held(struct shmt_raw *control, const char *segment, int index, pid_t pid)
{
	if (number_of(control, segment, index, "pid") != pid)
		ck_abort_msg("%s: endpoint %d of %s is held by %ld, not %d: %s", fault_text(),
			     index, segment, (long)number_of(control, segment, index, "pid"), pid,
			     launch_said());
}

static void expect_all(void)
{
	struct shmt_raw *control = shmt_raw_open(launch.control), *raw;

	ck_assert_str_eq(shmt_raw_call(control, CONTROL "Status", "{}"), "");
	if (shmt_raw_int(control, "segments") != SEGMENTS)
		ck_abort_msg("%s: %ld segments: %s", fault_text(),
			     (long)shmt_raw_int(control, "segments"), launch_said());
	expect_held(control, "lines", 1, resident);
	expect_held(control, "arena:inner", 0, resident);
	ck_assert_str_eq(shmt_raw_call(control, CONTROL "Describe", "{'name':'shared'}"), "");
	ck_assert_int_eq(
		cJSON_GetObjectItem(shmt_raw_item(control, "segment"), "observers")->valueint, 1);
	if (mortal)
		shmt_wait_for_state(control, "lines", 0, "dead");
	shmt_raw_close(control);
	/* the bell as well, which the dead one's successor rings */
	raw = shmt_hello(launch.client);
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", "{'name':'lines','role':'producer'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "TakeDoorbell", "{'id':1,'endpoint':1}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Leave", "{}"), "");
	shmt_raw_close(raw);
	if (strstr(launch_said(), "event=lost"))
		ck_abort_msg("%s: %s", fault_text(), launch_said());
}

/* ---- the rounds ------------------------------------------------------------------------------ */

/* Somebody comes, the broker dies, and then he. */
static void lose_broker(void)
{
	mortal = shmt_child(be_mortal);
	launch_kill();
	shmt_bury(mortal);
}

static bool take_over(const struct fault_round *round)
{
	bool is_ready;

	lose_broker();
	is_ready = launch_begin(round, launch_serve_broker);
	if (!is_ready) {
		launch_expect_complaint("take over");
		launch_expect_nothing_left("take over");
		if (!launch_begin(NULL, launch_serve_broker))
			ck_abort_msg("call %lu (%s): the next one does not start: %s",
				     round->chosen, fault_text(), launch_said());
	}
	expect_all();
	launch_expect_service("take over");
	return is_ready;
}

TEST(broker_that_takes_over_has_everything_or_leaves_it, .timeout_s = 60)
{
	struct fault_round round = { .chosen = 0 };
	unsigned long count = 0;

	launch_open(true);
	ck_assert(launch_begin(NULL, launch_serve_broker));
	resident = shmt_child(reside);
	expect_all();
	while (fault_next(&round))
		count += take_over(&round);
	printf("# take over: %lu calls, %lu failures: %lu came up\n", round.chosen - 1,
	       round.failures, count);
	ck_assert_uint_gt(round.failures, 0);
	shmt_bury(resident);
	ck_assert_int_eq(launch_stop(), 0);
	launch_close();
}

SHMT_MAIN
