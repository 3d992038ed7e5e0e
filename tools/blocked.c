/*
 * blocked: who waits for whom.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/control.h"
#include "tools/process.h"
#include "tools/report.h"
#include "tools/show.h"
#include "tools/text.h"
#include "tools/units.h"

struct blocked {
	const struct options *options;
	struct table *table;
	bool is_in_sight; /* pids mean the same here */
	uint64_t omitted;
};

static enum process_state look(const struct blocked *blocked, uint64_t pid, uint64_t uid)
{
	return blocked->is_in_sight ? process_look(pid, uid) : PROCESS_UNSEEN;
}

/*
 * What is the matter with those whose move it takes: "nobody" is there; all of them are "stopped" or
 * "traced"; "" = nothing that can be seen. Adds what each is doing to @wait, as by_states.
 */
static const char *add_trouble(const struct blocked *blocked, cJSON *wait)
{
	cJSON *states = must(cJSON_AddArrayToObject(wait, "by_states"));
	uint64_t count = show_u64(wait, "by_count"), held_up = 0;
	const char *trouble = "";
	const cJSON *pid;

	cJSON_ArrayForEach(pid, cJSON_GetObjectItemCaseSensitive(wait, "by_pids"))
	{
		enum process_state state = look(blocked, (uint64_t)pid->valuedouble, UINT64_MAX);

		cJSON_AddItemToArray(states, must(cJSON_CreateString(process_state_name(state))));
		if (!process_is_held_up(state))
			continue;
		held_up++;
		trouble = process_state_name(state);
	}
	if (count == 0)
		trouble = "nobody";
	else if (held_up < count)
		trouble = "";
	must(cJSON_AddStringToObject(wait, "trouble", trouble));
	return trouble;
}

static void add_by(struct table *table, const cJSON *wait, const char *trouble)
{
	const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(wait, "by_pids"),
						0);
	const char *state = show_string(wait, "by_state");
	uint64_t count = show_u64(wait, "by_count");
	const char *role = show_string(wait, "by_role");

	if (count == 0)
		table_add(table, "%s (nobody%s%s)", *role ? role : "?", *state ? ", " : "", state);
	else if (count == 1)
		table_add(table, "%s %.0f%s%s%s", role, first ? first->valuedouble : 0,
			  *trouble ? " (" : "", trouble, *trouble ? ")" : "");
	else
		table_add(table, "any of %" PRIu64 " %ss%s%s%s", count, role,
			  *trouble ? " (all " : "", trouble, *trouble ? ")" : "");
}

static void add_why(struct table *table, const cJSON *wait)
{
	uint64_t count = show_u64(wait, "count");

	if (count > 0)
		table_add(table, "%s: %" PRIu64, show_string(wait, "why"), count);
	else
		table_add(table, "%s", show_string(wait, "why"));
}

static void add_wait(const struct blocked *blocked, const cJSON *wait, const char *trouble)
{
	struct table *table = blocked->table;
	enum process_state state = look(blocked, show_u64(wait, "pid"), show_u64(wait, "uid"));

	show_string_cell(table, wait, "segment");
	table_add(table, "%s %" PRIu64 "%s%s%s", show_string(wait, "role"), show_u64(wait, "pid"),
		  process_is_held_up(state) ? " (" : "",
		  process_is_held_up(state) ? process_state_name(state) : "",
		  process_is_held_up(state) ? ")" : "");
	show_string_cell(table, wait, "what");
	add_by(table, wait, trouble);
	show_age_cell(table, wait, "since_ns");
	add_why(table, wait);
}

static int show_page(void *context, const cJSON *page)
{
	struct blocked *blocked = context;
	cJSON *wait;
	int code = 0;

	blocked->omitted += show_u64(page, "omitted");
	cJSON_ArrayForEach(wait, cJSON_GetObjectItemCaseSensitive(page, "waits"))
	{
		const char *trouble = add_trouble(blocked, wait);

		if (!blocked->options->all && show_bool(wait, "idle") && !*trouble)
			continue;
		if (!blocked->options->json)
			add_wait(blocked, wait, trouble);
		else if (code == 0)
			code = report_json(wait);
	}
	return code;
}

static void print_blocked(const struct blocked *blocked)
{
	table_print(blocked->table, stdout);
	if (blocked->omitted > 0 && !blocked->options->json)
		printf("and %" PRIu64 " more, where too many wait in one segment\n",
		       blocked->omitted);
}

int run_blocked(const struct options *options)
{
	static const char *const headers[] = { "SEGMENT", "WAITING", "FOR", "BY", ">KEPT", "WHY" };
	const char *name = options->argument_count > 0 ? options->arguments[0] : NULL;
	struct blocked blocked = { .options = options };
	struct control control;
	int code = control_open(options, CONTROL_SOCKET_CONTROL, &control);

	if (code)
		return code;
	blocked.is_in_sight = process_ask_sight(&control);
	blocked.table = table_new(headers, sizeof(headers) / sizeof(*headers));
	code = control_call_pages(&control, "org.shmbroker.control.Blocked", name, "after",
				  show_page, &blocked);
	if (code == 0)
		print_blocked(&blocked);
	table_free(blocked.table);
	control_close(&control);
	return code ? code : report_flush();
}
