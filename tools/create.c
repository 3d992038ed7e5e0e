/*
 * Commands create and kinds: what can be made, and making it. Fields of a record: fields.h.
 */
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/type.h"
#include "tools/commands.h"
#include "tools/control.h"
#include "tools/fields.h"
#include "tools/report.h"
#include "tools/show.h"
#include "tools/text.h"
#include "tools/units.h"

#define CLIENT "org.shmbroker."

static int add_mode(cJSON *parameters, const char *text)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (!isdigit((unsigned char)*text) || *end != '\0' || mode > 0777)
		return report(EXIT_USAGE, "Usage", "mode=%s: not an octal number up to 777", text);
	return shmp_json_add_u64(parameters, "mode", mode) < 0 ? EXIT_REFUSED : 0;
}

static int add_owner(cJSON *parameters, const char *text)
{
	const struct passwd *user = getpwnam(text);
	uint64_t uid;

	if (user)
		uid = user->pw_uid;
	else if (units_parse(text, &uid) < 0)
		return report(EXIT_USAGE, "Usage", "owner=%s: no such user", text);
	return shmp_json_add_u64(parameters, "owner", uid) < 0 ? EXIT_REFUSED : 0;
}

static int add_group(cJSON *parameters, const char *text)
{
	const struct group *group = getgrnam(text);
	uint64_t gid;

	if (group)
		gid = group->gr_gid;
	else if (units_parse(text, &gid) < 0)
		return report(EXIT_USAGE, "Usage", "group=%s: no such group", text);
	return shmp_json_add_u64(parameters, "group", gid) < 0 ? EXIT_REFUSED : 0;
}

static int add_choice(cJSON *parameters, const char *name, const char *text)
{
	bool is_yes = strcmp(text, "yes") == 0;

	if (!is_yes && strcmp(text, "no") != 0)
		return report(EXIT_USAGE, "Usage", "%s=%s: neither yes nor no", name, text);
	must(cJSON_AddBoolToObject(parameters, name, is_yes));
	return 0;
}

/* What is an option of all kinds: its exit code; -1 when it is none. */
static int add_common_option(cJSON *parameters, const char *word)
{
	static const char *const choices[] = { "huge_pages", "mlock", "prefault" };
	size_t length = strcspn(word, "=");
	const char *value = word + length + 1;

	if (strncmp(word, "mode=", 5) == 0)
		return add_mode(parameters, value);
	if (strncmp(word, "owner=", 6) == 0)
		return add_owner(parameters, value);
	if (strncmp(word, "group=", 6) == 0)
		return add_group(parameters, value);
	for (size_t i = 0; i < sizeof(choices) / sizeof(*choices); i++) {
		if (strlen(choices[i]) == length && strncmp(word, choices[i], length) == 0)
			return add_choice(parameters, choices[i], value);
	}
	return -1;
}

/* "u64" where an option is a type: its number. 0, or as units_parse. */
static int parse_type(const char *word, const char *value, uint64_t *ret_type)
{
	if (strncmp(word, "type=", 5) != 0 && strncmp(word, "element_type=", 13) != 0)
		return -EINVAL;
	for (uint32_t type = 0; type < SHMP_TYPE_COUNT; type++) {
		if (strcmp(shmp_type_name(type), value) != 0)
			continue;
		*ret_type = type;
		return 0;
	}
	return -EINVAL;
}

/* One OPTION=VALUE of the command line. */
static int add_option(cJSON *parameters, cJSON *kind_options, const char *word)
{
	const char *equals = strchr(word, '=');
	char *name;
	uint64_t value;
	int r;

	if (!equals || equals == word)
		return report(EXIT_USAGE, "Usage", "'%s' is not OPTION=VALUE", word);
	r = add_common_option(parameters, word);
	if (r >= 0)
		return r;
	r = parse_type(word, equals + 1, &value);
	if (r < 0)
		r = units_parse(equals + 1, &value);
	if (r < 0)
		return report(EXIT_USAGE, "Usage", "%s: %s", word,
			      r == -ERANGE ? "too large" : "the value is not a number");
	name = must_print("%.*s", (int)(equals - word), word);
	r = shmp_json_add_u64(kind_options, name, value);
	free(name);
	return r < 0 ? EXIT_REFUSED : 0;
}

/* Whether it has what its kind is made of. */
static int check_fields(const struct options *options, const char *kind)
{
	bool is_record = strcmp(kind, "record") == 0;

	if (is_record == fields_are_given(options))
		return 0;
	if (is_record)
		return report(EXIT_USAGE, "Usage",
			      "a record has fields: --field=NAME:TYPE for each, or --fields=FILE; "
			      "try: shmbrokerctl help create");
	return report(EXIT_USAGE, "Usage", "--field: what is of kind %s has no fields", kind);
}

/* NAME [KIND] [OPTION=VALUE]... as parameters of Create; on failure nothing is left. */
static int read_creation(const struct options *options, cJSON **ret_parameters)
{
	cJSON *parameters = must(cJSON_CreateObject());
	cJSON *kind_options = must(cJSON_AddObjectToObject(parameters, "options"));
	const char *kind = fields_are_given(options) ? "record" : "spsc";
	size_t i = 1;
	int code;

	must(cJSON_AddStringToObject(parameters, "name", options->arguments[0]));
	if (options->argument_count > 1 && !strchr(options->arguments[1], '='))
		kind = options->arguments[i++];
	must(cJSON_AddStringToObject(parameters, "kind", kind));
	if (options->reuse)
		must(cJSON_AddTrueToObject(parameters, "reuse"));
	code = check_fields(options, kind);
	for (; code == 0 && i < options->argument_count; i++)
		code = add_option(parameters, kind_options, options->arguments[i]);
	if (code == 0 && fields_are_given(options))
		code = fields_add(options, parameters, kind_options);
	if (code)
		cJSON_Delete(parameters);
	else
		*ret_parameters = parameters;
	return code;
}

static int print_creation(const struct options *options, cJSON *reply)
{
	char *figures;

	if (options->json)
		return report_json(reply);
	figures = show_figures(cJSON_GetObjectItemCaseSensitive(reply, "options"));
	printf("%s %s%s%s\n",
	       show_bool(reply, "created") ? "created" : "already there:", options->arguments[0],
	       *figures ? ": " : "", figures);
	free(figures);
	return report_flush();
}

int run_create(const struct options *options)
{
	struct shmp_varlink_reply reply;
	cJSON *parameters;
	int code = read_creation(options, &parameters);

	if (code == 0)
		code = control_ask(options, CONTROL_SOCKET_CLIENT, CLIENT "Create", parameters,
				   &reply);
	if (code)
		return code;
	code = print_creation(options, reply.parameters);
	shmp_varlink_reply_deinit(&reply);
	return code;
}

static void add_kind(struct table *table, const cJSON *kind)
{
	const cJSON *all = cJSON_GetObjectItemCaseSensitive(kind, "options");
	const cJSON *option;

	cJSON_ArrayForEach(option, all)
	{
		table_add(table, "%s", show_string(kind, "name"));
		show_string_cell(table, option, "name");
		show_number_cell(table, option, "default");
		show_number_cell(table, option, "min");
		show_number_cell(table, option, "max");
		show_string_cell(table, option, "help");
	}
}

static int print_kinds(const cJSON *reply, bool as_json)
{
	static const char *const headers[] = { "KIND", "OPTION", ">DEFAULT",
					       ">MIN", ">MAX",	 "MEANING" };
	struct table *table = table_new(headers, sizeof(headers) / sizeof(*headers));
	cJSON *kind;
	int code = 0;

	cJSON_ArrayForEach(kind, cJSON_GetObjectItemCaseSensitive(reply, "kinds"))
	{
		if (!as_json)
			add_kind(table, kind);
		else if (code == 0)
			code = report_json(kind);
	}
	table_print(table, stdout);
	table_free(table);
	return code ? code : report_flush();
}

int run_kinds(const struct options *options)
{
	struct shmp_varlink_reply reply;
	int code = control_ask(options, CONTROL_SOCKET_CLIENT, CLIENT "Kinds", NULL, &reply);

	if (code)
		return code;
	code = print_kinds(reply.parameters, options->json);
	shmp_varlink_reply_deinit(&reply);
	return code;
}
