/*
 * deaths: who died, what he held, and what was made of it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/control.h"
#include "tools/report.h"
#include "tools/show.h"
#include "tools/text.h"
#include "tools/units.h"

struct deaths_shown {
	const struct options *options;
	struct table *table;
	uint64_t count;
};

/* To the second; JSON has the rest. */
static void add_time(struct table *table, const cJSON *death)
{
	const char *last = show_string(death, "last");

	table_add(table, "%.19sZ", last);
}

/* The broker says what there may be several of. To be freed. */
static char *words_for(uint64_t count, const char *what)
{
	size_t length = strlen(what);

	if (count != 1 || length == 0)
		return must_print("%s", what);
	if (strcmp(what, "objects on their way to it") == 0)
		return must_print("object on its way to it");
	return must_print("%.*s", (int)(length - (what[length - 1] == 's')), what);
}

/* "3 objects: freed; 1 lock to write: ..." */
static char *holds_of(const cJSON *death)
{
	char *all = must_print("%s", "");
	const cJSON *held;

	cJSON_ArrayForEach(held, cJSON_GetObjectItemCaseSensitive(death, "holds"))
	{
		uint64_t count = show_u64(held, "count");
		char *what = words_for(count, show_string(held, "what"));
		char *more = must_print("%s%s%s%" PRIu64 " %s: %s", all, *all ? "; " : "",
					show_bool(held, "at_least") ? "at least " : "", count, what,
					show_string(held, "fate"));

		free(what);
		free(all);
		all = more;
	}
	return all;
}

static void add_repaired(struct table *table, const cJSON *death)
{
	char text[UNITS_BYTES];

	if (!cJSON_GetObjectItemCaseSensitive(death, "endpoint"))
		table_add(table, "-");
	else if (show_u64(death, "repair_ns") == 0)
		table_add(table, "not yet");
	else
		table_add(table, "%s", units_duration(show_u64(death, "repair_ns"), text));
}

static void add_death(struct table *table, const cJSON *death)
{
	char *holds = holds_of(death);
	char end[SHOW_END_BYTES];

	add_time(table, death);
	show_number_cell(table, death, "count");
	show_string_cell(table, death, "name");
	show_pid_cell(table, death, "pid");
	show_user_cell(table, death, "uid");
	table_add(table, "%s", show_end(death, end));
	show_string_cell(table, death, "segment");
	show_string_cell(table, death, "role");
	add_repaired(table, death);
	table_add(table, "%s", *holds ? holds : "nothing");
	free(holds);
}

static int show_page(void *context, const cJSON *page)
{
	struct deaths_shown *shown = context;
	cJSON *death;
	int code = 0;

	cJSON_ArrayForEach(death, cJSON_GetObjectItemCaseSensitive(page, "deaths"))
	{
		shown->count++;
		if (!shown->options->json)
			add_death(shown->table, death);
		else if (code == 0)
			code = report_json(death);
	}
	return code;
}

static void print_deaths(const struct deaths_shown *shown, const char *name)
{
	if (shown->count > 0)
		table_print(shown->table, stdout);
	else if (!shown->options->json && name)
		printf("no deaths are recorded of a segment or process of that name\n");
	else if (!shown->options->json)
		printf("no deaths are recorded\n");
}

int run_deaths(const struct options *options)
{
	static const char *const headers[] = { "LAST",	   ">TIMES",  "NAME", ">PID",	   "USER",
					       "ENDED BY", "SEGMENT", "ROLE", ">REPAIRED", "HELD" };
	const char *name = options->argument_count > 0 ? options->arguments[0] : NULL;
	struct deaths_shown shown = { .options = options };
	struct control control;
	int code = control_open(options, CONTROL_SOCKET_CONTROL, &control);

	if (code)
		return code;
	shown.table = table_new(headers, sizeof(headers) / sizeof(*headers));
	code = control_call_pages(&control, "org.shmbroker.control.Deaths", name, "before",
				  show_page, &shown);
	if (code == 0)
		print_deaths(&shown, name);
	table_free(shown.table);
	control_close(&control);
	return code ? code : report_flush();
}
