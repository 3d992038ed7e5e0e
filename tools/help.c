#include "tools/help.h"

#include <stdio.h>
#include <string.h>

#include "config.h"
#include "tools/report.h"

#define COLUMNS	     96
#define OPTION_WIDTH 24

struct note {
	const char *name;
	const char *text;
};

static const struct note environment[] = {
	{ "SHMBROKER_ADDRESS", "client socket of the broker, where no option names one" },
	{ "SHMBROKER_CONTROL_ADDRESS", "control socket, where it is not beside the client socket" },
	{ "XDG_RUNTIME_DIR", "where your own broker is looked for, before the system's" },
};

static const struct note examples[] = {
	{ "shmbrokerctl pub --create=1M lines < /var/log/syslog", "send a file line by line" },
	{ "shmbrokerctl sub lines | wc -l", "and take it out again" },
	{ "shmbrokerctl --json ls demo/ | jq -r .name", "names of segments, for a script" },
	{ "shmbrokerctl monitor", "watch who comes, goes and dies" },
};

static const struct note exit_codes[] = {
#define EXIT_NOTE(symbol, code, text) { #code, text },
	EXIT_CODES(EXIT_NOTE)
#undef EXIT_NOTE
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* @text from @column on, broken at blanks. */
static void print_wrapped(const char *text, int column)
{
	int at = column;

	while (*text) {
		int word = (int)strcspn(text, " ");

		if (at > column && at + 1 + word > COLUMNS) {
			printf("\n%*s", column, "");
			at = column;
		}
		at += printf("%s%.*s", at > column ? " " : "", word, text);
		text += word;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_note(const char *name, const char *text, int width)
{
	int used = printf("  %-*s", width, name);

	if (used > width + 2)
		printf("\n%*s", width + 2, "");
	print_wrapped(text, width + 2);
}

static void print_notes(const char *title, const struct note *notes, size_t count, int width)
{
	printf("\n%s:\n", title);
	for (size_t i = 0; i < count; i++)
		print_note(notes[i].name, notes[i].text, width);
}

/* "-b, --block=BYTES" */
static void format_option(const struct option_row *row, char *text, size_t bytes)
{
	const char *argument = row->argument ? row->argument : "";

	snprintf(text, bytes, "%c%c%s--%s%s%s", row->letter ? '-' : ' ',
		 row->letter ? row->letter : ' ', row->letter ? ", " : "  ", row->name,
		 *argument && *argument != '[' ? "=" : "", argument);
}

static void print_option(const struct option_row *row)
{
	char text[64];

	format_option(row, text, sizeof(text));
	print_note(text, row->help, OPTION_WIDTH);
}

static void print_general_options(void)
{
	printf("\noptions of all commands:\n");
	for (size_t i = 0; i < option_row_count; i++) {
		if (option_is_general(&option_rows[i]))
			print_option(&option_rows[i]);
	}
}

static void print_own_options(const struct command *command)
{
	if (*command->options)
		printf("\noptions:\n");
	for (size_t i = 0; i < option_row_count; i++) {
		if (option_is_of(&option_rows[i], command))
			print_option(&option_rows[i]);
	}
}

static void print_command(const struct command *command)
{
	printf("usage: shmbrokerctl %s%s%s%s\n\n", command->name,
	       *command->options ? " [OPTION]..." : "", *command->arguments ? " " : "",
	       command->arguments);
	print_wrapped(command->line, 0);
	if (*command->help) {
		putchar('\n');
		print_wrapped(command->help, 0);
	}
	print_own_options(command);
	print_general_options();
}

static void print_all(void)
{
	printf("usage: shmbrokerctl [OPTION]... COMMAND [ARGUMENT]...\n\n"
	       "Asks shmbrokerd, the broker of shared-memory segments, and moves lines through "
	       "its queues.\n\ncommands:\n");
	for (size_t i = 0; i < command_count; i++) {
		char text[64];

		snprintf(text, sizeof(text), "%s %s", commands[i].name, commands[i].arguments);
		print_note(text, commands[i].line, OPTION_WIDTH);
	}
	print_general_options();
	printf("\nMore about one of them: shmbrokerctl help COMMAND\n");
	print_notes("environment", environment, COUNT(environment), 28);
	print_notes("exit code", exit_codes, COUNT(exit_codes), 4);
	print_notes("examples", examples, COUNT(examples), 56);
}

int help_print(const struct command *command)
{
	if (command)
		print_command(command);
	else
		print_all();
	return report_flush();
}

/* The manual page: the same tables in man(7)'s language. */

static void man_text(const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", stdout);
	for (; *text; text++) {
		if (*text == '-')
			fputs("\\-", stdout);
		else if (*text == '\\')
			fputs("\\e", stdout);
		else
			putchar(*text);
	}
	putchar('\n');
}

static void man_note(const char *name, const char *text)
{
	fputs(".TP\n.B ", stdout);
	man_text(name);
	man_text(text);
}

static void man_notes(const char *title, const struct note *notes, size_t count)
{
	printf(".SH %s\n", title);
	for (size_t i = 0; i < count; i++)
		man_note(notes[i].name, notes[i].text);
}

static void man_option(const struct option_row *row)
{
	char text[64];

	format_option(row, text, sizeof(text));
	man_note(text + strspn(text, " "), row->help);
}

static void man_command(const struct command *command)
{
	printf(".SS \"%s%s%s\"\n", command->name, *command->arguments ? " " : "",
	       command->arguments);
	man_text(command->line);
	if (*command->help) {
		puts(".PP");
		man_text(command->help);
	}
	for (size_t i = 0; i < option_row_count; i++) {
		if (option_is_of(&option_rows[i], command))
			man_option(&option_rows[i]);
	}
}

static int man_print(void)
{
	puts(".TH SHMBROKERCTL 1 \"\" \"shmbroker " SHMBROKER_VERSION "\"\n"
	     ".SH NAME\nshmbrokerctl \\- ask the broker of shared\\-memory segments\n"
	     ".SH SYNOPSIS\n.B shmbrokerctl\n[OPTION]... COMMAND [ARGUMENT]...\n"
	     ".SH DESCRIPTION\nAsks shmbrokerd(8) about segments, sessions and itself, removes and "
	     "makes segments, and moves lines between the standard streams and queues.\n"
	     ".SH COMMANDS");
	for (size_t i = 0; i < command_count; i++)
		man_command(&commands[i]);
	puts(".SH OPTIONS\nThese are taken by all commands, before or after the command's name.");
	for (size_t i = 0; i < option_row_count; i++) {
		if (option_is_general(&option_rows[i]))
			man_option(&option_rows[i]);
	}
	man_notes("ENVIRONMENT", environment, COUNT(environment));
	man_notes("EXIT STATUS", exit_codes, COUNT(exit_codes));
	man_notes("EXAMPLES", examples, COUNT(examples));
	puts(".SH SEE ALSO\n.BR shmbrokerd (8)");
	return report_flush();
}

int run_help(const struct options *options)
{
	const char *topic = options->argument_count > 0 ? options->arguments[0] : NULL;
	const struct command *command = topic ? command_find(topic) : NULL;

	if (topic && strcmp(topic, "man") == 0)
		return man_print();
	if (topic && !command)
		return report(EXIT_USAGE, "Usage", "no such command: '%s'; try: shmbrokerctl help",
			      topic);
	return help_print(command);
}
