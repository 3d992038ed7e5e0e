/*
 * Making, finding and removing names: who wins, what is told, what is left.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define CREATORS 8

static struct shmt_broker broker;
static struct shmt_raw *raw;

static void begin(void)
{
	broker = shmt_broker_start(NULL);
	raw = shmt_raw_open(broker.address);
}

static void end(void)
{
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

/* All ask before any is answered; returns how many were told that they made it. */
static int race(const char *more, int *ret_errors)
{
	struct shmt_raw *creators[CREATORS];
	char text[256];
	int winners = 0;

	snprintf(text, sizeof(text),
		 "{\"method\":\"org.shmbroker.Create\",\"parameters\":{\"name\":\"race\","
		 "\"kind\":\"spsc\",\"options\":{\"capacity_bytes\":67108864}%s}}",
		 more);
	for (int i = 0; i < CREATORS; i++)
		creators[i] = shmt_raw_open(broker.address);
	for (int i = 0; i < CREATORS; i++)
		shmt_raw_send(creators[i], text);
	for (int i = 0; i < CREATORS; i++) {
		const char *error = shmt_raw_receive(creators[i]);

		if (strcmp(error, "") == 0)
			winners += shmt_raw_bool(creators[i], "created");
		*ret_errors += strcmp(error, "org.shmbroker.Exists") == 0;
		shmt_raw_close(creators[i]);
	}
	return winners;
}

TEST(of_many_creators_of_one_name_exactly_one_wins)
{
	int errors = 0;

	begin();
	ck_assert_int_eq(race("", &errors), 1);
	ck_assert_int_eq(errors, CREATORS - 1);
	end();
}

TEST(creators_who_accept_an_existing_one_all_get_it)
{
	int errors = 0;

	begin();
	ck_assert_int_eq(race(",\"reuse\":true", &errors), 1);
	ck_assert_int_eq(errors, 0);
	end();
}

TEST(segment_being_made_is_found_by_nobody)
{
	struct shmt_raw *creator;
	const char *error;

	begin();
	creator = shmt_raw_open(broker.address);
	shmt_raw_send(creator,
		      "{\"method\":\"org.shmbroker.Create\",\"parameters\":{\"name\":\"a\","
		      "\"kind\":\"spsc\",\"options\":{\"capacity_bytes\":268435456}}}");
	error = shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'producer'}");
	/* it is complete or it is not there */
	ck_assert(strcmp(error, "NotFound") == 0 || (strcmp(error, "") == 0 && raw->fd_count == 2));
	ck_assert_str_eq(shmt_raw_receive(creator), "");
	ck_assert(shmt_raw_bool(creator, "created"));
	shmt_raw_close(creator);
	end();
}

TEST(name_of_255_bytes_is_taken_and_a_longer_one_refused)
{
	char name[257];

	begin();
	memset(name, 'x', 256);
	name[255] = '\0';
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'%s','kind':'spsc'}", name), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'%s'}", name), "");
	name[255] = 'x';
	name[256] = '\0';
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'%s','kind':'spsc'}", name),
			 "Invalid");
	ck_assert_str_eq(shmt_raw_string(raw, "parameter"), "name");
	end();
}

TEST(illegal_names_are_refused_and_make_nothing)
{
	static const char *const names[] = { "",    "/",      "/a",  "a/",   "a//b",	"..",
					     "a/.", "a/../b", "a b", "a\\n", "\xc3\xa4" };

	begin();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_str_eq(
			shmt_raw_call(raw, "Create", "{'name':'%s','kind':'spsc'}", names[i]),
			"Invalid");
	end();
}

TEST(sizes_are_rounded_up_and_reported)
{
	uint64_t bytes = 0;

	begin();
	ck_assert_str_eq(shmt_raw_call(raw, "Create",
				       "{'name':'a','kind':'spsc','options':"
				       "{'capacity_bytes':100000}}"),
			 "");
	shmp_json_u64(shmt_raw_item(raw, "options"), "capacity_bytes", INT64_MAX, &bytes);
	ck_assert_uint_eq(bytes, 131072);
	ck_assert_str_eq(shmt_raw_call(raw, "Create",
				       "{'name':'b','kind':'spsc','options':"
				       "{'capacity_bytes':0}}"),
			 "");
	end();
}

TEST(existing_one_of_other_options_is_a_mismatch_that_names_both)
{
	begin();
	shmt_raw_call(raw, "Create",
		      "{'name':'a','kind':'spsc','options':{'capacity_bytes':8192}}");
	ck_assert_str_eq(shmt_raw_call(raw, "Create",
				       "{'name':'a','kind':'spsc','reuse':true,'options':"
				       "{'capacity_bytes':16384}}"),
			 "Mismatch");
	ck_assert_str_eq(shmt_raw_string(raw, "parameter"), "capacity_bytes");
	ck_assert_ptr_nonnull(strstr(shmt_raw_string(raw, "message"), "8192"));
	ck_assert_ptr_nonnull(strstr(shmt_raw_string(raw, "message"), "16384"));
	end();
}

TEST(unlinked_name_is_free_while_its_segment_is_held)
{
	int64_t first;

	begin();
	shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}");
	shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'producer'}");
	first = shmt_raw_int(raw, "generation");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'a'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'a'}"), "NotFound");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}"), "");
	shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'producer'}");
	ck_assert_int_ne(shmt_raw_int(raw, "generation"), first);
	/* the first is still served under its id */
	ck_assert_str_eq(
		shmt_raw_call(raw, "MakeDoorbell", "{'id':1,'endpoint':0,'incarnation':1}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Detach", "{'id':1,'endpoint':0,'incarnation':1}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Detach", "{'id':1,'endpoint':0,'incarnation':1}"),
			 "Stale");
	end();
}

TEST(second_holder_of_a_role_is_told_who_has_it)
{
	begin();
	shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}");
	shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'consumer'}");
	ck_assert_str_eq(
		shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'consumer'}"),
		"Busy");
	ck_assert_int_eq(shmt_raw_int(raw, "pid"), getpid());
	ck_assert_str_eq(shmt_raw_string(raw, "role"), "consumer");
	end();
}

TEST(other_kind_and_unknown_role_are_told_apart)
{
	begin();
	shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}");
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", "{'name':'a','kind':'x','role':'producer'}"),
			 "Mismatch");
	ck_assert_ptr_nonnull(strstr(shmt_raw_string(raw, "message"), "spsc"));
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", "{'name':'a','kind':'spsc','role':'x'}"),
			 "Invalid");
	ck_assert_str_eq(shmt_raw_string(raw, "parameter"), "role");
	end();
}

static void cycle(void)
{
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a/b','kind':'spsc'}"), "");
	ck_assert_str_eq(
		shmt_raw_call(raw, "Attach", "{'name':'a/b','kind':'spsc','role':'producer'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Detach", "{'id':%lld,'endpoint':0,'incarnation':1}",
				       (long long)shmt_raw_int(raw, "id")),
			 "");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'a/b'}"), "");
}

TEST(a_thousand_lives_of_a_segment_leave_nothing, .timeout_s = 60)
{
	size_t descriptors, kib;

	begin();
	for (int i = 0; i < 50; i++)
		cycle();
	descriptors = shmt_broker_descriptors(&broker);
	kib = shmt_broker_memory_kib(&broker);
	for (int i = 0; i < 1000; i++)
		cycle();
	ck_assert_uint_eq(shmt_broker_descriptors(&broker), descriptors);
	ck_assert_uint_le(shmt_broker_memory_kib(&broker), kib + 64);
	end();
}

SHMT_MAIN
