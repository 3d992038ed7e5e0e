/*
 * The grammar of names. One pass over bytes that a client wrote.
 */
#include "protocol/name.h"

#include <stdbool.h>
#include <string.h>

/* By hand: isalnum() follows the locale, a name must not. */
static bool is_part_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '.' || c == '-';
}

static bool is_dots(const char *part, size_t bytes)
{
	return (bytes == 1 && part[0] == '.') || (bytes == 2 && part[0] == '.' && part[1] == '.');
}

static const char *check_part(const char *part, size_t bytes)
{
	if (bytes == 0)
		return "has an empty part (a '/' or ':' at its start or end, or two in a row)";
	if (is_dots(part, bytes))
		return "has the part \".\" or \"..\"";
	for (size_t i = 0; i < bytes; i++) {
		if (!is_part_byte(part[i]))
			return "has a character other than A-Z a-z 0-9 _ . - and '/', or ':' "
			       "between an arena and its object";
	}
	return NULL;
}

const char *shmp_name_check(const char *name)
{
	bool is_object = false;

	if (!name)
		return "is NULL";
	if (name[0] == '\0')
		return "is empty";
	if (strnlen(name, SHMP_NAME_MAX + 1) > SHMP_NAME_MAX)
		return "is longer than 255 bytes";

	for (;;) {
		size_t bytes = strcspn(name, "/:");
		const char *wrong = check_part(name, bytes);

		if (wrong || name[bytes] == '\0')
			return wrong;
		if (name[bytes] == ':' && is_object)
			return "has more than one ':'";
		is_object |= name[bytes] == ':';
		name += bytes + 1;
	}
}

const char *shmp_name_object(const char *name)
{
	const char *colon = strchr(name, ':');

	return colon ? colon + 1 : NULL;
}
