/* type: values as text and back. See type.h. */
#include "protocol/type.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS INT64_C(1000000000)
#define DAY_S	  INT64_C(86400)

static const char *const names[SHMP_TYPE_COUNT] = {
	[SHMP_TYPE_BYTES] = "bytes",
	[SHMP_TYPE_BOOL] = "bool",
	[SHMP_TYPE_I8] = "i8",
	[SHMP_TYPE_I16] = "i16",
	[SHMP_TYPE_I32] = "i32",
	[SHMP_TYPE_I64] = "i64",
	[SHMP_TYPE_U8] = "u8",
	[SHMP_TYPE_U16] = "u16",
	[SHMP_TYPE_U32] = "u32",
	[SHMP_TYPE_U64] = "u64",
	[SHMP_TYPE_FLOAT] = "float",
	[SHMP_TYPE_DOUBLE] = "double",
	[SHMP_TYPE_DECIMAL128] = "decimal128",
	[SHMP_TYPE_UUID] = "uuid",
	[SHMP_TYPE_TIME] = "time",
	[SHMP_TYPE_DURATION] = "duration",
	[SHMP_TYPE_STRING] = "string",
	[SHMP_TYPE_STRUCT] = "struct",
};

const char *shmp_type_name(uint32_t type)
{
	return type < SHMP_TYPE_COUNT ? names[type] : "own";
}

/* Integers */

static bool is_signed(uint32_t type)
{
	return type >= SHMP_TYPE_I8 && type <= SHMP_TYPE_I64;
}

static bool is_unsigned(uint32_t type)
{
	return type >= SHMP_TYPE_U8 && type <= SHMP_TYPE_U64;
}

static int64_t load_signed(uint32_t bytes, const void *value)
{
	int8_t i8;
	int16_t i16;
	int32_t i32;
	int64_t i64;

	switch (bytes) {
	case 1:
		memcpy(&i8, value, 1);
		return i8;
	case 2:
		memcpy(&i16, value, 2);
		return i16;
	case 4:
		memcpy(&i32, value, 4);
		return i32;
	default:
		memcpy(&i64, value, 8);
		return i64;
	}
}

static uint64_t load_unsigned(uint32_t bytes, const void *value)
{
	uint64_t mask = bytes < 8 ? (UINT64_C(1) << bytes * 8) - 1 : UINT64_MAX;

	return (uint64_t)load_signed(bytes, value) & mask;
}

/* The lower bytes of @value, whichever end comes first here. */
static void store_integer(uint32_t bytes, uint64_t value, void *ret_value)
{
	uint8_t u8 = (uint8_t)value;
	uint16_t u16 = (uint16_t)value;
	uint32_t u32 = (uint32_t)value;

	switch (bytes) {
	case 1:
		memcpy(ret_value, &u8, 1);
		break;
	case 2:
		memcpy(ret_value, &u16, 2);
		break;
	case 4:
		memcpy(ret_value, &u32, 4);
		break;
	default:
		memcpy(ret_value, &value, 8);
	}
}

/* Times */

struct civil {
	int64_t year;
	unsigned int month, day;
};

/* Of the proleptic Gregorian calendar; days since 1970-01-01. */
static struct civil civil_of(int64_t days)
{
	int64_t shifted = days + 719468;
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	unsigned int of_era = (unsigned int)(shifted - era * 146097);
	unsigned int year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned int of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned int month = (5 * of_year + 2) / 153;
	struct civil civil = { .day = of_year - (153 * month + 2) / 5 + 1 };

	civil.month = month < 10 ? month + 3 : month - 9;
	civil.year = (int64_t)year + era * 400 + (civil.month <= 2);
	return civil;
}

static int64_t days_of(struct civil civil)
{
	int64_t year = civil.year - (civil.month <= 2);
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t of_era = year - era * 400;
	int64_t month = civil.month > 2 ? civil.month - 3 : civil.month + 9;
	int64_t of_year = (153 * month + 2) / 5 + civil.day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int format_time(int64_t ns, char *text, size_t room)
{
	int64_t rest = ns % SECOND_NS;
	int64_t seconds = ns / SECOND_NS - (rest < 0);
	int64_t days = seconds / DAY_S - (seconds % DAY_S < 0);
	int64_t of_day = seconds - days * DAY_S;
	struct civil civil = civil_of(days);

	return snprintf(text, room,
			"%04" PRId64 "-%02u-%02uT%02" PRId64 ":%02" PRId64 ":%02" PRId64
			".%09" PRId64 "Z",
			civil.year, civil.month, civil.day, of_day / 3600, of_day / 60 % 60,
			of_day % 60, rest < 0 ? rest + SECOND_NS : rest);
}

static int format_duration(int64_t ns, char *text, size_t room)
{
	uint64_t size = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;

	return snprintf(text, room, "%s%" PRIu64 ".%09" PRIu64 "s", ns < 0 ? "-" : "",
			size / SECOND_NS, size % SECOND_NS);
}

/* Bytes */

static int format_hex(const uint8_t *value, size_t bytes, char *text, size_t room)
{
	size_t shown;

	if (room == 0)
		return (int)(2 * bytes);
	shown = bytes > (room - 1) / 2 ? (room - 1) / 2 : bytes;
	for (size_t i = 0; i < shown; i++)
		snprintf(text + 2 * i, room - 2 * i, "%02x", value[i]);
	text[2 * shown] = '\0';
	return (int)(2 * bytes);
}

static int format_uuid(const uint8_t *v, char *text, size_t room)
{
	return snprintf(text, room,
			"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
			v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11],
			v[12], v[13], v[14], v[15]);
}

static int format_float(uint32_t type, const void *value, char *text, size_t room)
{
	float narrow;
	double wide;

	if (type == SHMP_TYPE_DOUBLE) {
		memcpy(&wide, value, sizeof(wide));
		return snprintf(text, room, "%.17g", wide);
	}
	memcpy(&narrow, value, sizeof(narrow));
	return snprintf(text, room, "%.9g", (double)narrow);
}

static int format(uint32_t type, const void *value, size_t bytes, char *text, size_t room)
{
	if (type == SHMP_TYPE_STRING)
		return snprintf(text, room, "%.*s", (int)strnlen(value, bytes),
				(const char *)value);
	if (bytes != shmp_type_bytes(type))
		return format_hex(value, bytes, text, room);
	if (is_signed(type))
		return snprintf(text, room, "%" PRId64, load_signed((uint32_t)bytes, value));
	if (is_unsigned(type))
		return snprintf(text, room, "%" PRIu64, load_unsigned((uint32_t)bytes, value));
	switch (type) {
	case SHMP_TYPE_BOOL:
		return snprintf(text, room, "%s", *(const uint8_t *)value ? "true" : "false");
	case SHMP_TYPE_FLOAT:
	case SHMP_TYPE_DOUBLE:
		return format_float(type, value, text, room);
	case SHMP_TYPE_UUID:
		return format_uuid(value, text, room);
	case SHMP_TYPE_TIME:
		return format_time(load_signed(8, value), text, room);
	case SHMP_TYPE_DURATION:
		return format_duration(load_signed(8, value), text, room);
	default:
		return format_hex(value, bytes, text, room);
	}
}

size_t shmp_type_format(uint32_t type, const void *value, size_t bytes, char *text, size_t room)
{
	int length = format(type, value, bytes, text, room);

	return length < 0 ? 0 : (size_t)length;
}

/* And back. */

static int parse_signed(uint32_t bytes, const char *text, void *ret_value)
{
	int64_t most = bytes < 8 ? (INT64_C(1) << (bytes * 8 - 1)) - 1 : INT64_MAX;
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 0);
	if (end == text || *end != '\0')
		return -EINVAL;
	if (errno == ERANGE || value > most || value < -most - 1)
		return -ERANGE;
	store_integer(bytes, (uint64_t)value, ret_value);
	return 0;
}

static int parse_unsigned(uint32_t bytes, const char *text, void *ret_value)
{
	uint64_t most = bytes < 8 ? (UINT64_C(1) << bytes * 8) - 1 : UINT64_MAX;
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (end == text || *end != '\0')
		return -EINVAL;
	if (errno == ERANGE || value > most || strchr(text, '-'))
		return -ERANGE;
	store_integer(bytes, value, ret_value);
	return 0;
}

static int parse_float(uint32_t type, const char *text, void *ret_value)
{
	char *end;
	double wide;
	float narrow;

	errno = 0;
	wide = strtod(text, &end);
	if (end == text || *end != '\0')
		return -EINVAL;
	/* too small is a denormal or zero, and fine */
	if (errno == ERANGE && fabs(wide) > 1)
		return -ERANGE;
	if (type == SHMP_TYPE_DOUBLE) {
		memcpy(ret_value, &wide, sizeof(wide));
		return 0;
	}
	narrow = (float)wide;
	if (isinf(narrow) && !isinf(wide))
		return -ERANGE;
	memcpy(ret_value, &narrow, sizeof(narrow));
	return 0;
}

static int parse_bool(const char *text, void *ret_value)
{
	uint8_t value = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;

	if (!value && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
		return -EINVAL;
	memcpy(ret_value, &value, 1);
	return 0;
}

static int digit_of(char c)
{
	const char *digits = "0123456789abcdef0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)((at - digits) % 16) : -1;
}

/* Two digits a byte; dashes, as of a UUID, are left out. */
static int parse_hex(const char *text, uint8_t *ret_value, size_t bytes)
{
	uint8_t value[64];
	size_t count = 0;

	if (bytes > sizeof(value))
		return -ERANGE;
	for (; *text; text++) {
		int digit = digit_of(*text);

		if (*text == '-')
			continue;
		if (digit < 0)
			return -EINVAL;
		if (count == 2 * bytes)
			return -ERANGE;
		value[count / 2] = (uint8_t)(count % 2 ? value[count / 2] << 4 | digit : digit);
		count++;
	}
	if (count != 2 * bytes)
		return -EINVAL;
	memcpy(ret_value, value, bytes);
	return 0;
}

/* Digits behind a point, as nanoseconds; *text moves behind them. */
static int64_t parse_fraction(const char **text)
{
	int64_t ns = 0, unit = SECOND_NS / 10;

	if (**text != '.')
		return 0;
	for (++*text; **text >= '0' && **text <= '9'; ++*text, unit /= 10)
		ns += (**text - '0') * unit;
	return ns;
}

/* A plain number is ns; else 2026-11-21T14:30:00.5Z. */
static int parse_time(const char *text, void *ret_value)
{
	int year, month, day, hour, minute, second, length = 0;
	struct civil civil;
	int64_t ns, seconds;

	if (sscanf(text, "%d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second,
		   &length) != 6)
		return parse_signed(8, text, ret_value);
	text += length;
	ns = parse_fraction(&text);
	if (strcmp(text, "Z") != 0 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 ||
	    hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
		return -EINVAL;
	if (year < 1970 - 292 || year > 1970 + 291)
		return -ERANGE;
	civil = (struct civil){ year, (unsigned int)month, (unsigned int)day };
	seconds = days_of(civil) * DAY_S + hour * 3600 + minute * 60 + second;
	ns += seconds * SECOND_NS;
	memcpy(ret_value, &ns, sizeof(ns));
	return 0;
}

/* A plain number is ns; else a number of s, ms, us or ns. */
static int parse_duration(const char *text, void *ret_value)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = { { "s", 1e9 }, { "ms", 1e6 }, { "us", 1e3 }, { "ns", 1 } };
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end == '\0')
		return parse_signed(8, text, ret_value);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		double ns = number * units[i].ns;
		int64_t value;

		if (strcmp(end, units[i].name) != 0)
			continue;
		if (!(fabs(ns) < 9.2e18))
			return -ERANGE;
		value = (int64_t)(ns < 0 ? ns - 0.5 : ns + 0.5);
		memcpy(ret_value, &value, sizeof(value));
		return 0;
	}
	return -EINVAL;
}

static int parse_string(const char *text, void *ret_value, size_t bytes)
{
	size_t length = strlen(text);

	/* the last byte is for the zero */
	if (length >= bytes)
		return -ERANGE;
	if (!shmp_type_is_text(text, length))
		return -EINVAL;
	memset(ret_value, 0, bytes);
	memcpy(ret_value, text, length);
	return 0;
}

int shmp_type_parse(uint32_t type, const char *text, void *ret_value, size_t bytes)
{
	if (type == SHMP_TYPE_STRING)
		return parse_string(text, ret_value, bytes);
	if (bytes != shmp_type_bytes(type))
		return parse_hex(text, ret_value, bytes);
	if (is_signed(type))
		return parse_signed((uint32_t)bytes, text, ret_value);
	if (is_unsigned(type))
		return parse_unsigned((uint32_t)bytes, text, ret_value);
	switch (type) {
	case SHMP_TYPE_BOOL:
		return parse_bool(text, ret_value);
	case SHMP_TYPE_FLOAT:
	case SHMP_TYPE_DOUBLE:
		return parse_float(type, text, ret_value);
	case SHMP_TYPE_TIME:
		return parse_time(text, ret_value);
	case SHMP_TYPE_DURATION:
		return parse_duration(text, ret_value);
	default:
		return parse_hex(text, ret_value, bytes);
	}
}

/* Bytes of the sequence that begins with @first, 0 = none does. */
static size_t sequence_of(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef)
		return 3;
	return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/* The second byte excludes overlong forms, surrogates and what lies beyond U+10FFFF. */
static bool is_second(uint8_t first, uint8_t second)
{
	uint8_t least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	uint8_t most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

	return second >= least && second <= most;
}

bool shmp_type_is_text(const char *text, size_t bytes)
{
	const uint8_t *at = (const uint8_t *)text, *end = at + bytes;

	while (at < end) {
		size_t length = sequence_of(*at);

		if (length == 0 || length > (size_t)(end - at) || *at == 0)
			return false;
		if (length > 1 && !is_second(at[0], at[1]))
			return false;
		for (size_t i = 2; i < length; i++)
			if ((at[i] & 0xc0) != 0x80)
				return false;
		at += length;
	}
	return true;
}
