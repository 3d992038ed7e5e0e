#include "protocol/name.h"

#include <stdbool.h>
#include <string.h>

#include "protocol/fault.h"
#include "tests/support/runner.h"

TEST(plain_names_and_paths_are_legal)
{
	static const char *const legal[] = {
		"a", "Z9", "a/b/c", "camera-1/frames.raw", "...", "a/..b", "_", "-", "a.b-c_d",
	};

	for (size_t i = 0; i < sizeof(legal) / sizeof(*legal); i++)
		ck_assert_msg(!shmp_name_check(legal[i]), "%s: refused", legal[i]);
}

TEST(an_object_is_a_name_in_another)
{
	static const char *const illegal[] = { ":",    "a:",   ":a",  "a:b:c", "a::b",
					       "a/:b", "a:/b", "a:.", "..:b",  "a:b/" };

	ck_assert_ptr_null(shmp_name_check("a/b:c/d"));
	ck_assert_str_eq(shmp_name_object("a/b:c/d"), "c/d");
	ck_assert_ptr_null(shmp_name_object("a/b"));
	for (size_t i = 0; i < sizeof(illegal) / sizeof(*illegal); i++)
		ck_assert_ptr_nonnull(shmp_name_check(illegal[i]));
}

TEST(empty_parts_are_refused)
{
	static const char *const illegal[] = { NULL, "", "/", "/a", "a/", "a//b" };

	for (size_t i = 0; i < sizeof(illegal) / sizeof(*illegal); i++)
		ck_assert_ptr_nonnull(shmp_name_check(illegal[i]));
}

TEST(dot_parts_are_refused)
{
	static const char *const illegal[] = { ".", "..", "a/..", "../a", "a/./b" };

	for (size_t i = 0; i < sizeof(illegal) / sizeof(*illegal); i++)
		ck_assert_ptr_nonnull(shmp_name_check(illegal[i]));
}

TEST(every_other_byte_is_refused)
{
	const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/:";

	for (int byte = 1; byte < 256; byte++) {
		char name[] = { 'a', (char)byte, 'a', '\0' };
		bool is_legal = strchr(allowed, byte);

		ck_assert_msg(is_legal == !shmp_name_check(name), "byte 0x%02x", byte);
	}
}

TEST(longest_name_is_legal_and_one_more_is_not)
{
	char name[SHMP_NAME_MAX + 2];

	memset(name, 'n', sizeof(name));
	name[SHMP_NAME_MAX] = '\0';
	ck_assert_ptr_null(shmp_name_check(name));
	name[SHMP_NAME_MAX] = 'n';
	name[SHMP_NAME_MAX + 1] = '\0';
	ck_assert_str_eq(shmp_name_check(name), "is longer than 255 bytes");
}

TEST(every_fault_is_found_by_its_error)
{
	for (enum shmp_fault fault = SHMP_FAULT_INVALID; fault <= SHMP_FAULT_UNSUPPORTED; fault++)
		ck_assert_int_eq(shmp_fault_find(shmp_fault_error(fault)), fault);
	ck_assert_str_eq(shmp_fault_error(SHMP_FAULT_NO_SPACE), "org.shmbroker.NoSpace");
}

TEST(strange_errors_are_no_faults)
{
	ck_assert_ptr_null(shmp_fault_error(SHMP_FAULT_NONE));
	ck_assert_ptr_null(shmp_fault_error((enum shmp_fault)1000));
	ck_assert_int_eq(shmp_fault_find(""), SHMP_FAULT_NONE);
	ck_assert_int_eq(shmp_fault_find("org.varlink.service.MethodNotFound"), SHMP_FAULT_NONE);
}

SHMT_MAIN
