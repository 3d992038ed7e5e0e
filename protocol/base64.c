#include "protocol/base64.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void shmp_base64_encode(const void *data, size_t bytes, char *text)
{
	const uint8_t *byte = data;

	for (size_t i = 0; i < bytes; i += 3) {
		size_t left = bytes - i;
		uint32_t word = (uint32_t)byte[i] << 16;

		word |= left > 1 ? (uint32_t)byte[i + 1] << 8 : 0;
		word |= left > 2 ? byte[i + 2] : 0;
		*text++ = digits[word >> 18];
		*text++ = digits[word >> 12 & 63];
		*text++ = left > 1 ? digits[word >> 6 & 63] : '=';
		*text++ = left > 2 ? digits[word & 63] : '=';
	}
	*text = '\0';
}

static int digit_of(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

int shmp_base64_decode(const char *text, void *data, size_t room, size_t *ret_bytes)
{
	size_t length = strlen(text);
	size_t padding = 0, bytes;
	uint8_t *to = data;

	if (length % 4 != 0)
		return -EINVAL;
	while (padding < 2 && padding < length && text[length - padding - 1] == '=')
		padding++;
	bytes = length / 4 * 3 - padding;
	if (bytes > room)
		return -ERANGE;
	for (size_t i = 0, at = 0; i < length; i += 4) {
		uint32_t word = 0;

		for (size_t k = 0; k < 4; k++) {
			int digit = i + k >= length - padding ? 0 : digit_of(text[i + k]);

			if (digit < 0)
				return -EINVAL;
			word = word << 6 | (uint32_t)digit;
		}
		for (int shift = 16; shift >= 0 && at < bytes; shift -= 8)
			to[at++] = (uint8_t)(word >> shift);
	}
	*ret_bytes = bytes;
	return 0;
}
