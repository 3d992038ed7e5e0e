#include "daemon/options_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define AT(field) offsetof(struct options, field)

const struct option_row option_rows[] = {
	{ "user", OPTION_FLAG, false, AT(user), 0, 1, 0,
	  "serve this user: sockets under $XDG_RUNTIME_DIR/shmbroker" },
	{ "config", OPTION_PATH, false, AT(config), 0, 0, 0,
	  "configuration file (default: " SHMBROKER_SYSCONFDIR "/shmbroker/shmbroker.json;"
	  " with --user: $XDG_CONFIG_HOME/shmbroker/shmbroker.json)" },
	{ "supervise", OPTION_FLAG, false, AT(supervise), 0, 1, 0,
	  "keep a broker running where systemd does not: restart it whenever it ends, with all that"
	  " it had; SIGHUP restarts it, from a new binary if there is one; SIGTERM ends it" },
	{ "check-config", OPTION_FLAG, false, AT(check_config), 0, 1, 0,
	  "read the configuration, say what is wrong with it, and end" },
	{ "client-socket", OPTION_PATH, true, AT(client_socket), 0, 0, 0,
	  "socket for clients (default: /run/shmbroker/shmbroker.sock)" },
	{ "control-socket", OPTION_PATH, true, AT(control_socket), 0, 0, 0,
	  "socket for administration (default: /run/shmbroker/control.sock)" },
	{ "client-mode", OPTION_MODE, true, AT(client_mode), 0600, 0777, 0666,
	  "rights of the client socket, octal" },
	{ "control-mode", OPTION_MODE, true, AT(control_mode), 0600, 0777, 0660,
	  "rights of the control socket, octal" },
	{ "bytes", OPTION_BYTES, true, AT(bytes), 0, INT64_MAX, 0,
	  "memory of all segments together; 0: half of the machine's" },
	{ "bytes-per-uid", OPTION_BYTES, true, AT(bytes_per_uid), 0, INT64_MAX, 0,
	  "memory of the segments one user made; 0: as --bytes" },
	{ "segments-per-uid", OPTION_COUNT, true, AT(segments_per_uid), 0, 1u << 20, 16384,
	  "segments that one user made" },
	{ "connections-per-uid", OPTION_COUNT, true, AT(connections_per_uid), 1, 1u << 20, 4096,
	  "connections of one user" },
	{ "endpoints-per-uid", OPTION_COUNT, true, AT(endpoints_per_uid), 0, 1u << 20, 65536,
	  "endpoints and observers of one user" },
	{ "monitor-bytes", OPTION_BYTES, true, AT(monitor_bytes), 1024, 1u << 30, 256u << 10,
	  "events queued for a monitor that reads slowly; what is more is dropped and counted" },
	{ "no-peer-pidfd", OPTION_FLAG, false, AT(no_peer_pidfd), 0, 1, 0, NULL },
	{ "no-passrights", OPTION_FLAG, false, AT(no_passrights), 0, 1, 0, NULL },
	{ "no-backoff", OPTION_FLAG, false, AT(no_backoff), 0, 1, 0, NULL },
	{ "help", OPTION_FLAG, false, AT(help), 0, 1, 0, "say this and end" },
	{ "version", OPTION_FLAG, false, AT(version), 0, 1, 0, "say the version and end" },
};

const size_t option_row_count = sizeof(option_rows) / sizeof(option_rows[0]);

int option_complain(struct complaint *complaint, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(complaint->text, sizeof(complaint->text), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

void *option_field(struct options *options, const struct option_row *row)
{
	return (char *)options + row->offset;
}

static int shift_of(char suffix)
{
	const char *suffixes = "KMGT";
	const char *at = suffix ? strchr(suffixes, suffix) : NULL;

	return at ? 10 * (int)(at - suffixes + 1) : -1;
}

/* Digits, and for bytes one suffix. 0 or -EINVAL. */
static int parse_number(const struct option_row *row, const char *text, uint64_t *ret_value)
{
	int base = row->type == OPTION_MODE ? 8 : 10;
	uint64_t value;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, base);
	if (errno)
		return -EINVAL;
	if (*end && row->type == OPTION_BYTES) {
		int shift = shift_of(*end++);

		if (shift < 0 || value > UINT64_MAX >> shift)
			return -EINVAL;
		value <<= shift;
	}
	if (*end)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

int option_set_number(struct options *options, const struct option_row *row, uint64_t value,
		      struct complaint *complaint)
{
	const char *format = row->type == OPTION_MODE ?
				     "%s: %" PRIo64 " is not between %" PRIo64 " and %" PRIo64 :
				     "%s: %" PRIu64 " is not between %" PRIu64 " and %" PRIu64;

	if (value < row->min || value > row->max) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		return option_complain(complaint, format, row->name, value, row->min, row->max);
#pragma GCC diagnostic pop
	}
	*(uint64_t *)option_field(options, row) = value;
	return 0;
}

static int set_path(struct options *options, const struct option_row *row, const char *text,
		    struct complaint *complaint)
{
	char **field = option_field(options, row);
	char *copy;

	if (*text == '\0')
		return option_complain(complaint, "%s: the path is empty", row->name);
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

int option_set_text(struct options *options, const struct option_row *row, const char *text,
		    struct complaint *complaint)
{
	static const char *const forms[] = {
		[OPTION_COUNT] = "a number",
		[OPTION_BYTES] = "a number of bytes such as 4096 or 512M",
		[OPTION_MODE] = "an octal mode such as 0660",
	};
	uint64_t value = 0;

	if (row->type == OPTION_PATH)
		return set_path(options, row, text, complaint);
	if (parse_number(row, text, &value) < 0)
		return option_complain(complaint, "%s: \"%.64s\" is not %s", row->name, text,
				       forms[row->type]);
	return option_set_number(options, row, value, complaint);
}

void options_init(struct options *options)
{
	*options = (struct options){ .policy = POLICY_NULL };
	for (size_t i = 0; i < option_row_count; i++) {
		if (option_rows[i].type != OPTION_FLAG && option_rows[i].type != OPTION_PATH)
			*(uint64_t *)option_field(options, &option_rows[i]) = option_rows[i].preset;
	}
}

void options_deinit(struct options *options)
{
	for (size_t i = 0; i < option_row_count; i++) {
		if (option_rows[i].type == OPTION_PATH)
			free(*(char **)option_field(options, &option_rows[i]));
	}
	free(options->config_read);
	policy_deinit(&options->policy);
	*options = (struct options){ .policy = POLICY_NULL };
}

static void print_preset(FILE *file, const struct option_row *row)
{
	if (row->type == OPTION_MODE)
		fprintf(file, " (default: 0%" PRIo64 ")", row->preset);
	else if (row->type == OPTION_COUNT || row->type == OPTION_BYTES)
		fprintf(file, " (default: %" PRIu64 "; %" PRIu64 " to %" PRIu64 ")", row->preset,
			row->min, row->max);
}

void options_print_help(FILE *file)
{
	static const char *const values[] = {
		[OPTION_FLAG] = "",	   [OPTION_PATH] = " PATH", [OPTION_COUNT] = " COUNT",
		[OPTION_BYTES] = " BYTES", [OPTION_MODE] = " MODE",
	};

	fputs("usage: shmbrokerd [OPTION...]\n\n"
	      "Creates and owns named shared-memory segments, hands them to processes and repairs\n"
	      "what a dead one left behind. Stays in the foreground; SIGTERM ends it cleanly.\n\n"
	      "  --system\n\tserve the machine: sockets under /run/shmbroker (default)\n",
	      file);
	for (size_t i = 0; i < option_row_count; i++) {
		if (!option_rows[i].help)
			continue;
		fprintf(file, "  --%s%s\n\t%s", option_rows[i].name, values[option_rows[i].type],
			option_rows[i].help);
		print_preset(file, &option_rows[i]);
		fputc('\n', file);
	}
	fputs("\nThe configuration file is one JSON object. Its keys are the options that have a\n"
	      "value, except --config, with '_' for '-', and \"create\": who may create names,\n"
	      "e.g. [{\"prefix\": \"robot/\", \"uids\": [1000], \"gids\": [50]}]; the longest prefix that\n"
	      "fits a name decides, root may always, and a name that none fits is free for all.\n",
	      file);
}
