/* shmbrokerctl deaths: who died, for people and for scripts. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/holders.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"

static struct shmt_broker broker;
static struct shmc_client *client;

static void begin(void)
{
	broker = shmt_broker_start(NULL);
	setenv("SHMBROKER_ADDRESS", broker.address, 1);
	client = shmt_connect(&broker);
	shmt_holders_create(client);
}

static void end(void)
{
	shmc_disconnect(client);
	shmt_broker_stop(&broker);
}

/* To be freed. */
static char *deaths(const char *option, const char *name)
{
	const char *argv[] = { shmt_program("SHMBROKERCTL"), "deaths", option, name, NULL };
	struct shmt_process process = shmt_process_start(argv);
	struct shmt_result result = shmt_process_finish(&process, "", 0);

	ck_assert_msg(result.code == 0, "%s", result.err);
	free(result.err);
	return result.out;
}

static void expect(const char *option, const char *name, const char *part)
{
	char *text = deaths(option, name);

	ck_assert_msg(strstr(text, part), "%s is not in: %s", part, text);
	free(text);
}

/* Waits until it is written in the record, so often. */
static void kill_one(enum shmt_deed deed, const char *segment, int times)
{
	struct shmt_peer peer = shmt_holder_start(&broker, deed);
	char part[64];
	char *text;

	shmt_peer_kill(&peer);
	snprintf(part, sizeof(part), "\"pid\":%d,", peer.pid);
	for (bool is_there = false; !is_there;) {
		text = deaths("--json", segment);
		is_there = strstr(text, part) && strstr(text, "\"repair_ns\"");
		free(text);
	}
	snprintf(part, sizeof(part), "\"count\":%d,", times);
	expect("--json", segment, part);
}

TEST(nobody_died_is_said_to_people_and_nothing_to_scripts)
{
	char *text;

	begin();
	expect(NULL, NULL, "no deaths are recorded\n");
	expect("nobody", NULL, "no deaths are recorded of a segment or process of that name\n");
	text = deaths("--json", NULL);
	ck_assert_str_eq(text, "");
	free(text);
	end();
}

TEST(a_line_says_who_died_of_what_and_what_became_of_what_he_held)
{
	begin();
	kill_one(SHMT_LOCKS_TO_WRITE, "lock", 1);
	expect(NULL, NULL, "REPAIRED  HELD");
	expect(NULL, NULL, "holder");
	expect(NULL, NULL, "1 lock to write: freed; the next one is told");
	expect("--json", NULL, "\"segment\":\"lock\"");
	expect("--json", NULL, "\"holds\":[{\"what\":\"lock to write\",\"count\":1,");
	end();
}

TEST(one_thing_is_not_told_as_several)
{
	struct shmt_peer caller;

	begin();
	caller = shmt_holder_start(&broker, SHMT_WAITS_FOR_ANSWER);
	kill_one(SHMT_TAKES_REQUEST, "service", 1);
	expect("service", NULL, "1 request: ");
	kill_one(SHMT_ACQUIRES, "pool", 1);
	expect("pool", NULL, "2 objects: ");
	shmt_peer_kill(&caller);
	end();
}

TEST(who_dies_again_is_one_line_with_a_count)
{
	char *text, *second;

	begin();
	for (int i = 1; i <= 3; i++)
		kill_one(SHMT_LOCKS_TO_READ, "lock", i);
	text = deaths("--json", NULL);
	second = strchr(text, '\n');
	ck_assert_str_eq(second, "\n");
	free(text);
	end();
}

TEST(a_name_chooses_the_segment_or_the_process_and_the_newest_is_first)
{
	char *text;

	begin();
	kill_one(SHMT_ACQUIRES, "pool", 1);
	kill_one(SHMT_PEEKS, "queue", 1);
	text = deaths("--json", "pool");
	ck_assert(strstr(text, "\"pool\"") && !strstr(text, "\"queue\""));
	free(text);
	text = deaths("--json", "holder");
	ck_assert(strstr(text, "\"queue\"") < strstr(text, "\"pool\""));
	free(text);
	text = deaths("--json", "nobody");
	ck_assert_str_eq(text, "");
	free(text);
	end();
}

SHMT_MAIN
