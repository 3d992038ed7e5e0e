#include "tools/show.h"

#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "protocol/type.h"
#include "protocol/varlink.h"
#include "tools/text.h"
#include "tools/units.h"

uint64_t show_u64(const cJSON *object, const char *key)
{
	uint64_t value = 0;

	shmp_json_u64(object, key, UINT64_MAX, &value);
	return value;
}

const char *show_string(const cJSON *object, const char *key)
{
	const char *value = "";

	shmp_json_string(object, key, &value);
	return value;
}

bool show_bool(const cJSON *object, const char *key)
{
	bool value = false;

	shmp_json_bool(object, key, &value);
	return value;
}

static bool is_there(const cJSON *object, const char *key)
{
	return cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(object, key));
}

void show_number_cell(struct table *table, const cJSON *object, const char *key)
{
	if (is_there(object, key))
		table_add(table, "%" PRIu64, show_u64(object, key));
	else
		table_add(table, "-");
}

void show_string_cell(struct table *table, const cJSON *object, const char *key)
{
	const char *value = show_string(object, key);

	table_add(table, "%s", *value ? value : "-");
}

void show_bytes_cell(struct table *table, const cJSON *object, const char *key)
{
	char text[UNITS_BYTES];

	if (is_there(object, key))
		table_add(table, "%s", units_bytes(show_u64(object, key), text));
	else
		table_add(table, "-");
}

/* 0: nobody, or out of the broker's sight. */
void show_pid_cell(struct table *table, const cJSON *object, const char *key)
{
	uint64_t pid = show_u64(object, key);

	if (pid > 0)
		table_add(table, "%" PRIu64, pid);
	else
		table_add(table, "-");
}

void show_user_cell(struct table *table, const cJSON *object, const char *key)
{
	const struct passwd *user = is_there(object, key) ? getpwuid((uid_t)show_u64(object, key)) :
							    NULL;

	if (user)
		table_add(table, "%s", user->pw_name);
	else
		show_number_cell(table, object, key);
}

void show_group_cell(struct table *table, const cJSON *object, const char *key)
{
	const struct group *group = is_there(object, key) ? getgrgid((gid_t)show_u64(object, key)) :
							    NULL;

	if (group)
		table_add(table, "%s", group->gr_name);
	else
		show_number_cell(table, object, key);
}

static uint64_t show_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void show_age_cell(struct table *table, const cJSON *object, const char *key)
{
	uint64_t since = show_u64(object, key);
	uint64_t now_ns = show_now_ns();
	char text[UNITS_BYTES];

	if (since > 0 && since <= now_ns)
		table_add(table, "%s", units_duration(now_ns - since, text));
	else
		table_add(table, "-");
}

static bool is_bytes(const char *name)
{
	size_t length = strlen(name);

	return length >= 5 && (strcmp(name + length - 5, "bytes") == 0 || strstr(name, "_bytes_"));
}

static bool ends_with(const char *name, const char *end)
{
	size_t length = strlen(name), end_length = strlen(end);

	return length > end_length && strcmp(name + length - end_length, end) == 0;
}

/* "lock_held_since 1.5 s ago" */
static char *print_moment(const char *name, uint64_t since_ns)
{
	uint64_t now_ns = show_now_ns();
	char text[UNITS_BYTES];

	return must_print("%.*s %s ago", (int)(strlen(name) - strlen("_ns")), name,
			  units_duration(since_ns < now_ns ? now_ns - since_ns : 0, text));
}

/* What values are: options of arrays and atomics. */
static bool is_type(const char *name)
{
	return strcmp(name, "type") == 0 || strcmp(name, "element_type") == 0;
}

static char *print_figure(const char *name, uint64_t value)
{
	char bytes[UNITS_BYTES];

	if (ends_with(name, "_since_ns"))
		return print_moment(name, value);
	if (is_type(name) && value < SHMP_TYPE_COUNT)
		return must_print("%s %s", name, shmp_type_name((uint32_t)value));
	if (is_bytes(name))
		return must_print("%s %s", name, units_bytes_exact(value, bytes));
	return must_print("%s %" PRIu64, name, value);
}

/* Limits that one compares and types again: no digit may be lost. */
char *show_figures(const cJSON *object)
{
	char *all = must_print("%s", "");
	const cJSON *figure;

	cJSON_ArrayForEach(figure, object)
	{
		char *text = print_figure(figure->string, show_u64(object, figure->string));
		char *more = must_print("%s%s%s", all, *all ? ", " : "", text);

		free(text);
		free(all);
		all = more;
	}
	return all;
}

const char *show_end(const cJSON *object, char room[SHOW_END_BYTES])
{
	const char *end = show_string(object, "end");
	int number = (int)show_u64(object, "signal");
	const char *name = sigabbrev_np(number);

	if (strcmp(end, "killed") == 0 && name)
		snprintf(room, SHOW_END_BYTES, "SIG%s", name);
	else if (strcmp(end, "killed") == 0)
		snprintf(room, SHOW_END_BYTES, "signal %d", number);
	else if (strcmp(end, "exited") == 0)
		snprintf(room, SHOW_END_BYTES, "exit %" PRIu64, show_u64(object, "code"));
	else
		snprintf(room, SHOW_END_BYTES, "?");
	return room;
}
