/* Messages to a manager, well-formed and not. */
#include "daemon/notice.h"

#include <string.h>

#include "tests/support/random.h"
#include "tests/support/runner.h"

static char text[NOTICE_BYTES_MAX + 1];

static struct notice read_text(const char *what)
{
	struct notice notice;

	strcpy(text, what);
	notice_read(text, &notice);
	return notice;
}

TEST(each_word_is_understood_among_others)
{
	struct notice notice =
		read_text("READY=1\nSTATUS=Serving\nWATCHDOG=1\nMAINPID=7\nSTOPPING=1");

	ck_assert(notice.is_ready && notice.is_alive && notice.is_stopping);
	ck_assert_str_eq(notice.status, "Serving");
	ck_assert(!notice.stores && !notice.removes && !notice.is_barrier);
	ck_assert_ptr_null(notice.name);
}

TEST(storing_and_removing_have_a_name)
{
	struct notice notice = read_text("FDSTORE=1\nFDNAME=bundle-1\nFDPOLL=0\n");

	ck_assert(notice.stores && !notice.removes);
	ck_assert_str_eq(notice.name, "bundle-1");
	notice = read_text("FDNAME=bundle-1\nFDSTOREREMOVE=1");
	ck_assert(!notice.stores && notice.removes);
	ck_assert_str_eq(notice.name, "bundle-1");
}

TEST(a_barrier_is_alone)
{
	ck_assert(read_text("BARRIER=1").is_barrier);
	ck_assert(!read_text("BARRIER=1\nREADY=1").is_barrier);
	ck_assert(!read_text("BARRIER=0").is_barrier);
}

TEST(what_is_nearly_a_word_says_nothing)
{
	struct notice notice = read_text("READY=0\nREADY=11\nXREADY=1\nREADY\nFDSTORE=\nFDSTORE=2\n"
					 "FDSTOREREMOVE\nwatchdog=1\n =\n=\n\n\nFDNAMES=x\nSTATUS");

	ck_assert(!notice.is_ready && !notice.is_alive && !notice.stores && !notice.removes);
	ck_assert_ptr_null(notice.name);
	ck_assert_ptr_null(notice.status);
}

TEST(nothing_is_nothing)
{
	struct notice notice = read_text("");

	ck_assert(!notice.is_ready && !notice.stores && !notice.is_barrier);
}

TEST(names_are_printable_without_colons_and_not_too_long)
{
	char name[NOTICE_NAME_BYTES_MAX + 2];

	ck_assert(notice_name_is_valid("own-client"));
	ck_assert(notice_name_is_valid(" ~"));
	ck_assert(!notice_name_is_valid(""));
	ck_assert(!notice_name_is_valid("a:b"));
	ck_assert(!notice_name_is_valid("a\tb"));
	ck_assert(!notice_name_is_valid("\x7f"));
	ck_assert(!notice_name_is_valid("\xc3\xa4"));
	memset(name, 'x', sizeof(name));
	name[NOTICE_NAME_BYTES_MAX] = '\0';
	ck_assert(notice_name_is_valid(name));
	name[NOTICE_NAME_BYTES_MAX] = 'x';
	name[NOTICE_NAME_BYTES_MAX + 1] = '\0';
	ck_assert(!notice_name_is_valid(name));
}

static void read_random(struct shmt_random *random)
{
	static const char *const pieces[] = { "READY",	   "=",	      "1", "\n",
					      "FDNAME=",   "STATUS=", ":", "FDSTORE=1",
					      "BARRIER=1", "\n\n",    "x" };
	struct notice notice;

	text[0] = '\0';
	for (int i = 0; i < 40; i++)
		strcat(text, pieces[shmt_random_below(random, 11)]);
	notice_read(text, &notice);
	ck_assert(!notice.name || strlen(notice.name) < sizeof(text));
	ck_assert(!notice.status || strlen(notice.status) < sizeof(text));
}

/* A sanitizer looks on. */
TEST(random_lines_are_cut_within_the_text)
{
	struct shmt_random random = { shmt_seed() };

	for (int i = 0; i < 2000; i++)
		read_random(&random);
}

SHMT_MAIN
