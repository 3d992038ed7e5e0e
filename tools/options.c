#include "tools/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/report.h"
#include "tools/units.h"

#define GENERAL_COUNT	6
#define ROWS_MAX	32
#define FIELDS_MAX	512 /* more than any record has */
#define LONG_ONLY_FIRST 256 /* getopt's value for a row without a letter: this plus its index */

static int read_address(struct options *options, const char *text)
{
	options->address = text;
	return 0;
}

static int read_control(struct options *options, const char *text)
{
	options->control = text;
	return 0;
}

static int read_user(struct options *options, const char *text)
{
	options->user = true;
	return 0;
}

static int read_system(struct options *options, const char *text)
{
	options->system = true;
	return 0;
}

static int read_json(struct options *options, const char *text)
{
	options->json = true;
	report_as_json(true);
	return 0;
}

static int read_help(struct options *options, const char *text)
{
	options->help = true;
	return 0;
}

static int read_all(struct options *options, const char *text)
{
	options->all = true;
	return 0;
}

static int read_create(struct options *options, const char *text)
{
	options->create = true;
	return text ? units_parse(text, &options->create_bytes) : 0;
}

static int read_reuse(struct options *options, const char *text)
{
	options->reuse = true;
	return 0;
}

static int read_block(struct options *options, const char *text)
{
	int r = units_parse(text, &options->block_bytes);

	return r == 0 && options->block_bytes == 0 ? -EINVAL : r;
}

static int read_raw(struct options *options, const char *text)
{
	options->raw = true;
	return 0;
}

static int read_hex(struct options *options, const char *text)
{
	options->hex = true;
	return 0;
}

static int read_max(struct options *options, const char *text)
{
	int r = units_parse(text, &options->max);

	return r == 0 && options->max == 0 ? -EINVAL : r;
}

static int read_count(struct options *options, const char *text)
{
	int r = units_parse(text, &options->count);

	return r == 0 && options->count == 0 ? -EINVAL : r;
}

static int read_field(struct options *options, const char *text)
{
	static const char *fields[FIELDS_MAX];

	if (options->field_count == FIELDS_MAX)
		return -ERANGE;
	options->fields = fields;
	fields[options->field_count++] = text;
	return 0;
}

static int read_fields(struct options *options, const char *text)
{
	options->fields_file = text;
	return 0;
}

static int read_follow(struct options *options, const char *text)
{
	options->follow = true;
	return 0;
}

static int read_from(struct options *options, const char *text)
{
	if (strcmp(text, "oldest") == 0)
		options->from = OPTIONS_FROM_OLDEST;
	else if (strcmp(text, "newest") == 0)
		options->from = OPTIONS_FROM_NEWEST;
	else
		return -EINVAL;
	return 0;
}

static int read_timeout(struct options *options, const char *text)
{
	return units_parse_seconds(text, &options->timeout_ns);
}

const struct option_row option_rows[] = {
	{ "address", 'a', "PATH", "client socket of the broker to ask; control.sock is beside it",
	  read_address },
	{ "control", 0, "PATH", "control socket, where it is not beside the client socket",
	  read_control },
	{ "user", 'u', NULL, "only your own broker, under $XDG_RUNTIME_DIR/shmbroker", read_user },
	{ "system", 's', NULL, "only the system's broker, under /run/shmbroker", read_system },
	{ "json", 'j', NULL, "one JSON object per line on stdout; a fault is one on stderr",
	  read_json },
	{ "help", 'h', NULL, "explain; after a command, that command", read_help },

	{ "all", 0, NULL, "also those who wait for what nobody owes them, the next message say",
	  read_all },
	{ "block", 'b', "BYTES", "cut stdin into messages of this size instead of lines",
	  read_block },
	{ "count", 'n', "N", "end after N messages", read_count },
	{ "create", 'c', "[=BYTES]",
	  "make the queue, of kind spsc, if nothing is there, with room for BYTES", read_create },
	{ "field", 0, "NAME:TYPE", "a field of the record, the next one each time it is given",
	  read_field },
	{ "fields", 0, "FILE", "the fields of the record, in JSON; - is stdin", read_fields },
	{ "follow", 'f', NULL, "do not end: wait for what comes, and for a successor of who goes",
	  read_follow },
	{ "from", 0, "WHERE",
	  "in a broadcast: oldest, with what is there, or newest, with the next message that is sent "
	  "(the default)",
	  read_from },
	{ "hex", 'x', NULL, "bytes as hexadecimal digits, beside what is printable", read_hex },
	{ "max", 'm', "N", "of what is there at first show N: peek the oldest, tail the newest",
	  read_max },
	{ "raw", 'r', NULL, "messages as they are, without a newline after each", read_raw },
	{ "reuse", 0, NULL, "an existing one of the same kind and sizes is as good", read_reuse },
	{ "timeout", 't', "SECONDS", "end when nothing could be sent or received for so long",
	  read_timeout },
};
const size_t option_row_count = sizeof(option_rows) / sizeof(*option_rows);

bool option_is_general(const struct option_row *row)
{
	return row < option_rows + GENERAL_COUNT;
}

/* The names in command->options are separated by blanks. */
bool option_is_of(const struct option_row *row, const struct command *command)
{
	size_t length = strlen(row->name);

	for (const char *at = command->options; *at; at += strspn(at, " ")) {
		size_t word = strcspn(at, " ");

		if (word == length && memcmp(at, row->name, length) == 0)
			return true;
		at += word;
	}
	return false;
}

static int value_of(const struct option_row *row)
{
	return row->letter ? row->letter : LONG_ONLY_FIRST + (int)(row - option_rows);
}

static const struct option_row *row_of(int value)
{
	for (size_t i = 0; i < option_row_count; i++) {
		if (value_of(&option_rows[i]) == value)
			return &option_rows[i];
	}
	return NULL;
}

static int argument_kind(const struct option_row *row)
{
	if (!row->argument)
		return no_argument;
	return row->argument[0] == '[' ? optional_argument : required_argument;
}

/* The table as getopt_long wants it. */
static void make_getopt(struct option *ret_longs, char *ret_shorts)
{
	for (size_t i = 0; i < option_row_count; i++) {
		const struct option_row *row = &option_rows[i];

		ret_longs[i] = (struct option){ .name = row->name,
						.has_arg = argument_kind(row),
						.val = value_of(row) };
		if (!row->letter)
			continue;
		*ret_shorts++ = row->letter;
		for (int colons = argument_kind(row); colons > 0; colons--)
			*ret_shorts++ = ':';
	}
	ret_longs[option_row_count] = (struct option){ .name = NULL };
	*ret_shorts = '\0';
}

static int refuse_value(const struct option_row *row, const char *text, int r)
{
	return report(EXIT_USAGE, "Usage", "--%s %s: %s", row->name, text,
		      r == -ERANGE ? "too large" : "that means nothing here");
}

static int refuse_option(int value, char **argv)
{
	if (value == ':')
		return report(EXIT_USAGE, "Usage", "%s needs an argument", argv[optind - 1]);
	return report(EXIT_USAGE, "Usage", "no such option: %s; try --help", argv[optind - 1]);
}

/* Options that the chosen command does not take are mistakes, not decoration. */
static int check_options(const bool *was_given, const struct command *command)
{
	for (size_t i = 0; command && i < option_row_count; i++) {
		const struct option_row *row = &option_rows[i];

		if (was_given[i] && !option_is_general(row) && !option_is_of(row, command))
			return report(EXIT_USAGE, "Usage",
				      "%s takes no --%s; try: shmbrokerctl help %s", command->name,
				      row->name, command->name);
	}
	return 0;
}

static bool has_runtime_folder(void)
{
	const char *path = getenv("XDG_RUNTIME_DIR");

	return path && *path;
}

static int check_arguments(const struct options *options, const struct command *command)
{
	if (options->user + options->system + (options->address != NULL) > 1)
		return report(EXIT_USAGE, "Usage", "one of --user, --system, --address will do");
	if (options->user && !has_runtime_folder())
		return report(EXIT_USAGE, "Usage",
			      "--user: $XDG_RUNTIME_DIR is not set; name the "
			      "socket with --address");
	if (options->help)
		return 0;
	if (!command)
		return report(EXIT_USAGE, "Usage", "no command; try: shmbrokerctl help");
	if (options->argument_count < command->arguments_min)
		return report(EXIT_USAGE, "Usage", "usage: shmbrokerctl %s %s", command->name,
			      command->arguments);
	if (options->argument_count > command->arguments_max)
		return report(EXIT_USAGE, "Usage",
			      "one argument too many: '%s'; usage: shmbrokerctl "
			      "%s %s",
			      options->arguments[command->arguments_max], command->name,
			      command->arguments);
	return 0;
}

/* What is no option: the command and its arguments. */
static int take_words(char **words, size_t count, struct options *options,
		      const struct command **ret_command)
{
	if (count == 0)
		return 0;
	*ret_command = command_find(words[0]);
	if (!*ret_command)
		return report(EXIT_USAGE, "Usage", "no such command: '%s'; try: shmbrokerctl help",
			      words[0]);
	options->arguments = words + 1;
	options->argument_count = count - 1;
	return 0;
}

int options_parse(int argc, char **argv, struct options *ret_options,
		  const struct command **ret_command)
{
	struct option longs[ROWS_MAX];
	char shorts[3 * ROWS_MAX + 2] = ":";
	bool was_given[ROWS_MAX] = { false };
	int value;
	int r;

	*ret_options = (struct options){ .timeout_ns = -1 };
	*ret_command = NULL;
	make_getopt(longs, shorts + 1);
	while ((value = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct option_row *row = row_of(value);

		if (!row)
			return refuse_option(value, argv);
		was_given[row - option_rows] = true;
		r = row->read(ret_options, optarg);
		if (r < 0)
			return refuse_value(row, optarg, r);
	}
	r = take_words(argv + optind, (size_t)(argc - optind), ret_options, ret_command);
	if (r == 0)
		r = check_options(was_given, *ret_command);
	return r ? r : check_arguments(ret_options, *ret_command);
}
