#include "tools/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefixes[] = "KMGTPE";

/* By how many bits a suffix shifts; -1 when it is none. */
static int shift_of(const char *suffix)
{
	const char *prefix;

	if (*suffix == '\0')
		return 0;
	prefix = strchr(prefixes, toupper((unsigned char)*suffix));
	if (!prefix)
		return strcmp(suffix, "B") == 0 ? 0 : -1;
	suffix++;
	if (*suffix != '\0' && strcmp(suffix, "iB") != 0 && strcmp(suffix, "B") != 0)
		return -1;
	return 10 * (int)(prefix - prefixes + 1);
}

int units_parse(const char *text, uint64_t *ret_value)
{
	unsigned long long value;
	char *end;
	int shift;

	if (!isdigit((unsigned char)*text)) /* strtoull takes signs and blanks */
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno == ERANGE)
		return -ERANGE;
	shift = shift_of(end);
	if (shift < 0)
		return -EINVAL;
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*ret_value = (uint64_t)value << shift;
	return 0;
}

int units_parse_seconds(const char *text, int64_t *ret_ns)
{
	double seconds;
	char *end;

	if (!isdigit((unsigned char)*text) && *text != '.')
		return -EINVAL;
	seconds = strtod(text, &end);
	if (end == text || *end != '\0')
		return -EINVAL;
	if (!(seconds < 9e9))
		return -ERANGE;
	*ret_ns = (int64_t)(seconds * 1e9);
	return 0;
}

char *units_bytes(uint64_t bytes, char text[static UNITS_BYTES])
{
	double value = (double)bytes;
	size_t step = 0;

	while (value >= 1024 && prefixes[step] != '\0') {
		value /= 1024;
		step++;
	}
	if (step == 0)
		snprintf(text, UNITS_BYTES, "%" PRIu64 " B", bytes);
	else
		snprintf(text, UNITS_BYTES, "%.*f %ciB", value < 10 && value != (uint64_t)value,
			 value, prefixes[step - 1]);
	return text;
}

char *units_bytes_exact(uint64_t bytes, char text[static UNITS_BYTES])
{
	uint64_t value = bytes;
	size_t step = 0;

	while (value > 0 && value % 1024 == 0) {
		value /= 1024;
		step++;
	}
	if (step == 0)
		snprintf(text, UNITS_BYTES, "%" PRIu64 " B", value);
	else
		snprintf(text, UNITS_BYTES, "%" PRIu64 " %ciB", value, prefixes[step - 1]);
	return text;
}

/* Under a minute: the unit that leaves one to three digits before the point. */
static void short_duration(uint64_t ns, char text[static UNITS_BYTES])
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = (double)ns;
	size_t unit = 0;

	while (value >= 1000 && unit < 3) {
		value /= 1000;
		unit++;
	}
	snprintf(text, UNITS_BYTES, "%.*f %s", value < 10 && value != (uint64_t)value, value,
		 units[unit]);
}

char *units_duration(uint64_t ns, char text[static UNITS_BYTES])
{
	static const struct {
		uint64_t seconds;
		char name;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	uint64_t seconds = ns / 1000000000u;
	size_t i = 0;

	if (seconds < 60) {
		short_duration(ns, text);
		return text;
	}
	while (seconds < units[i].seconds)
		i++;
	snprintf(text, UNITS_BYTES, "%" PRIu64 " %c %" PRIu64 " %c", seconds / units[i].seconds,
		 units[i].name, seconds % units[i].seconds / units[i + 1].seconds,
		 units[i + 1].name);
	return text;
}
