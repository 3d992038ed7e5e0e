/*
 * Options: one table feeds the parser, --help and the manual page, and each command names the
 * options that it takes beside those of all commands.
 */
#ifndef SHMBROKERCTL_OPTIONS_H
#define SHMBROKERCTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct command;

enum options_from {
	OPTIONS_FROM_PRESET,
	OPTIONS_FROM_NEWEST,
	OPTIONS_FROM_OLDEST,
};

struct options {
	/* of all commands */
	const char *address;
	const char *control;
	bool user;
	bool system;
	bool json;
	bool help;
	/* of some */
	bool all;
	bool create;
	uint64_t create_bytes; /* 0 = the broker's default */
	bool reuse;
	uint64_t block_bytes; /* 0 = lines */
	bool raw;
	bool hex;
	uint64_t count; /* 0 = no end */
	uint64_t max;	/* 0 = not given */
	bool follow;
	enum options_from from;
	const char *const *fields; /* of a record to be made, as they were given */
	size_t field_count;
	const char *fields_file; /* NULL = none */
	int64_t timeout_ns;	 /* -1 = for ever */
	/* what remains */
	char **arguments;
	size_t argument_count;
};

struct option_row {
	const char *name;
	char letter;	      /* 0 = none */
	const char *argument; /* NULL = none; "[=X]" = may be left out */
	const char *help;
	int (*read)(struct options *options, const char *text); /* -EINVAL, -ERANGE */
};

extern const struct option_row option_rows[];
extern const size_t option_row_count;

/* Options of all commands come first in the table. */
bool option_is_general(const struct option_row *row);
/* Whether @command names it among its own. */
bool option_is_of(const struct option_row *row, const struct command *command);

/* Reads options wherever they stand; *ret_command is the word found first, NULL = none. */
int options_parse(int argc, char **argv, struct options *ret_options,
		  const struct command **ret_command);

#endif
