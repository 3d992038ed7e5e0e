/* Base64 there and back, and what is none. */
#include "protocol/base64.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "tests/support/runner.h"

TEST(the_vectors_of_the_rfc_hold)
{
	static const char *const rows[][2] = { { "", "" },
					       { "f", "Zg==" },
					       { "fo", "Zm8=" },
					       { "foo", "Zm9v" },
					       { "foob", "Zm9vYg==" },
					       { "fooba", "Zm9vYmE=" },
					       { "foobar", "Zm9vYmFy" } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[SHMP_BASE64_BYTES(6)], back[7] = "";
		size_t bytes;

		shmp_base64_encode(rows[i][0], strlen(rows[i][0]), text);
		ck_assert_str_eq(text, rows[i][1]);
		ck_assert_int_eq(shmp_base64_decode(text, back, 6, &bytes), 0);
		ck_assert_uint_eq(bytes, strlen(rows[i][0]));
		ck_assert_str_eq(back, rows[i][0]);
	}
}

TEST(all_bytes_come_back)
{
	uint8_t data[300], back[300];
	char text[SHMP_BASE64_BYTES(300)];
	size_t bytes;

	for (size_t size = 0; size <= sizeof(data); size++) {
		for (size_t i = 0; i < size; i++)
			data[i] = (uint8_t)(i * 7 + size);
		shmp_base64_encode(data, size, text);
		ck_assert_uint_eq(strlen(text) + 1, SHMP_BASE64_BYTES(size));
		ck_assert_int_eq(shmp_base64_decode(text, back, size, &bytes), 0);
		ck_assert_uint_eq(bytes, size);
		ck_assert(size == 0 || memcmp(data, back, size) == 0);
	}
}

TEST(what_is_none_or_too_long_is_refused)
{
	static const char *const bad[] = {
		"Z",	  "Zg=",  "Zg=a", "Z===",     "====",
		"Zm9v\n", "Zm9 ", "=Zm9", "Zm9v=Zm9", "\xff\xff\xff\xff"
	};
	uint8_t back[16];
	size_t bytes;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(shmp_base64_decode(bad[i], back, sizeof(back), &bytes) == -EINVAL,
			      "%s", bad[i]);
	ck_assert_int_eq(shmp_base64_decode("Zm9vYmFy", back, 5, &bytes), -ERANGE);
}

SHMT_MAIN
