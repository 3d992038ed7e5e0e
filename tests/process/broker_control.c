/*
 * The control socket: what is shown, page by page, and what monitors hear.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/lives.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define CONTROL "org.shmbroker.control."
#define MONITOR "{\"method\":\"org.shmbroker.control.Monitor\",\"more\":true}"

static struct shmt_broker broker;
static struct shmt_raw *raw, *control;

static void begin(const char *option, const char *value)
{
	const char *const options[] = { option, value, NULL };

	broker = shmt_broker_start(options);
	raw = shmt_raw_open(broker.address);
	control = shmt_raw_open(broker.control);
}

static void end(void)
{
	shmt_raw_close(raw);
	shmt_raw_close(control);
	shmt_broker_stop(&broker);
}

static void create(const char *name)
{
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'%s','kind':'spsc'}", name), "");
}

TEST(status_counts_what_there_is)
{
	begin(NULL, NULL);
	create("a");
	shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'producer'}");
	ck_assert_str_eq(shmt_raw_call(control, CONTROL "Status", "{}"), "");
	ck_assert_int_eq(shmt_raw_int(control, "segments"), 1);
	ck_assert_int_eq(shmt_raw_int(control, "sessions"), 1);
	ck_assert_int_eq(shmt_raw_int(control, "endpoints"), 1);
	ck_assert_int_eq(shmt_raw_int(control, "bytes"), 65536 + 4096);
	ck_assert_int_eq(shmt_raw_int(control, "pid"), broker.pid);
	ck_assert_str_eq(shmt_raw_string(control, "client_address"), broker.address);
	end();
}

/* Reads all pages of @limit; returns how many names came, each once and in order. */
static int count_pages(int limit)
{
	char after[64] = "";
	int count = 0;

	for (;;) {
		const cJSON *item, *next;

		ck_assert_str_eq(shmt_raw_call(control, CONTROL "List", "{'after':'%s','limit':%d}",
					       after, limit),
				 "");
		cJSON_ArrayForEach(item, shmt_raw_item(control, "segments"))
		{
			const char *name = cJSON_GetObjectItem(item, "name")->valuestring;

			ck_assert_str_lt(after, name);
			snprintf(after, sizeof(after), "%s", name);
			count++;
		}
		next = cJSON_GetObjectItem(control->reply.parameters, "next");
		if (!next)
			return count;
		ck_assert_str_eq(next->valuestring, after);
	}
}

TEST(list_comes_in_pages_in_order_of_name)
{
	begin(NULL, NULL);
	for (int i = 0; i < 25; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%d", i * 7 % 25);
		create(name);
	}
	ck_assert_int_eq(count_pages(1), 25);
	ck_assert_int_eq(count_pages(10), 25);
	ck_assert_int_eq(count_pages(25), 25);
	ck_assert_int_eq(count_pages(0), 25);
	end();
}

TEST(sessions_come_in_pages_without_those_of_the_control_socket)
{
	struct shmt_raw *more[5];

	begin(NULL, NULL);
	for (int i = 0; i < 5; i++)
		more[i] = shmt_hello(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Hello", "{'name':'me'}"), "");
	ck_assert_str_eq(shmt_raw_call(control, CONTROL "Sessions", "{'limit':4}"), "");
	ck_assert_int_eq(cJSON_GetArraySize(shmt_raw_item(control, "sessions")), 4);
	ck_assert_str_eq(shmt_raw_call(control, CONTROL "Sessions", "{'after':%lld}",
				       (long long)shmt_raw_int(control, "next")),
			 "");
	ck_assert_int_eq(cJSON_GetArraySize(shmt_raw_item(control, "sessions")), 2);
	ck_assert_ptr_null(cJSON_GetObjectItem(control->reply.parameters, "next"));
	for (int i = 0; i < 5; i++)
		shmt_raw_close(more[i]);
	end();
}

TEST(administrator_unlinks_what_others_hold)
{
	begin(NULL, NULL);
	create("a");
	ck_assert_str_eq(shmt_raw_call(control, CONTROL "Unlink", "{'name':'a'}"), "");
	ck_assert_str_eq(shmt_raw_call(control, CONTROL "Unlink", "{'name':'a'}"),
			 "control.NotFound");
	ck_assert_str_eq(shmt_raw_call(control, CONTROL "Describe", "{'name':'a'}"),
			 "control.NotFound");
	end();
}

TEST(holes_punched_by_a_peer_are_seen)
{
	const cJSON *segment;

	begin(NULL, NULL);
	create("a");
	shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'producer'}");
	ck_assert_int_eq(fallocate(shmt_raw_fd(raw, "data"),
				   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192),
			 0);
	ck_assert_str_eq(shmt_raw_call(control, CONTROL "Describe", "{'name':'a'}"), "");
	segment = shmt_raw_item(control, "segment");
	ck_assert_ptr_nonnull(strstr(cJSON_GetObjectItem(segment, "health")->valuestring, "8192"));
	end();
}

/* One that is heard from the next event on: the broker has read its call before it answers ours. */
static struct shmt_raw *open_monitor(void)
{
	struct shmt_raw *monitor = shmt_raw_open(broker.control);

	shmt_raw_send(monitor, MONITOR);
	for (int i = 0; i < 2; i++)
		ck_assert_str_eq(shmt_raw_call(control, CONTROL "Status", "{}"), "");
	return monitor;
}

/* Waits for the next event. */
static const char *next_event(struct shmt_raw *monitor, const char *key)
{
	const cJSON *event;

	ck_assert_str_eq(shmt_raw_receive(monitor), "");
	ck_assert(monitor->reply.continues);
	event = shmt_raw_item(monitor, "event");
	ck_assert_ptr_nonnull(cJSON_GetObjectItem(event, "time"));
	return cJSON_GetObjectItem(event, key)->valuestring;
}

TEST(monitor_hears_a_whole_life)
{
	static const char *const kinds[] = { "created", "attached", "detached", "refused",
					     "unlinked" };
	struct shmt_raw *monitor;

	begin(NULL, NULL);
	ck_assert_str_eq(shmt_raw_call(raw, "Kinds", "{}"), "");
	monitor = open_monitor();
	create("a");
	shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'producer'}");
	shmt_raw_call(raw, "Detach", "{'id':1,'endpoint':0,'incarnation':1}");
	shmt_raw_call(raw, "Create",
		      "{'name':'b','kind':'spsc','options':{'capacity_bytes':68719476736}}");
	shmt_raw_call(raw, "Unlink", "{'name':'a'}");
	for (size_t i = 0; i < 5; i++)
		ck_assert_str_eq(next_event(monitor, "kind"), kinds[i]);
	shmt_raw_close(monitor);
	end();
}

TEST(monitor_without_more_is_told_to_ask_for_more)
{
	begin(NULL, NULL);
	ck_assert_str_eq(shmt_raw_call(control, CONTROL "Monitor", "{}"),
			 "org.varlink.service.ExpectedMore");
	end();
}

TEST(monitor_that_reads_slowly_loses_events_and_is_told_how_many)
{
	struct shmt_raw *monitor;
	int64_t lost = 0;

	begin("--monitor-bytes", "1024");
	monitor = open_monitor();
	for (int i = 0; i < 1000; i++)
		shmt_raw_close(shmt_hello(broker.address));
	while (lost == 0) {
		const cJSON *event;

		ck_assert_str_eq(shmt_raw_receive(monitor), "");
		event = shmt_raw_item(monitor, "event");
		if (strcmp(cJSON_GetObjectItem(event, "kind")->valuestring, "lost") == 0)
			lost = cJSON_GetObjectItem(event, "count")->valueint;
	}
	ck_assert_int_gt(lost, 100);
	ck_assert_str_eq(shmt_raw_call(control, CONTROL "Status", "{}"), "");
	ck_assert_int_ge(shmt_raw_int(control, "events_lost"), lost);
	shmt_raw_close(monitor);
	end();
}

SHMT_MAIN
