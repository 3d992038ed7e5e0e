/*
 * Commands: the one table that main, help and the manual page go by.
 */
#ifndef SHMBROKERCTL_COMMANDS_H
#define SHMBROKERCTL_COMMANDS_H

#include <stddef.h>

#include "tools/options.h"

struct command {
	const char *name;
	const char *arguments; /* as shown, "" = none */
	size_t arguments_min;
	size_t arguments_max;
	const char *options;			   /* its own, names separated by blanks */
	const char *line;			   /* what it does, in one line */
	const char *help;			   /* what else there is to know, "" = nothing */
	int (*run)(const struct options *options); /* returns the exit code */
};

extern const struct command commands[];
extern const size_t command_count;

const struct command *command_find(const char *name);

/* blocked.c, deaths.c, doctor.c */
int run_blocked(const struct options *options);
int run_deaths(const struct options *options);
int run_doctor(const struct options *options);
/* broker.c */
int run_ping(const struct options *options);
int run_sessions(const struct options *options);
int run_status(const struct options *options);
int run_version(const struct options *options);
/* help.c */
int run_help(const struct options *options);
/* monitor.c */
int run_monitor(const struct options *options);
/* peek.c */
int run_peek(const struct options *options);
int run_tail(const struct options *options);
/* pub.c, sub.c */
int run_pub(const struct options *options);
int run_sub(const struct options *options);
/* save.c, restore.c */
int run_restore(const struct options *options);
int run_save(const struct options *options);
/* segments.c */
int run_create(const struct options *options);
int run_describe(const struct options *options);
int run_kinds(const struct options *options);
int run_ls(const struct options *options);
int run_rm(const struct options *options);

/* value.c */
int run_get(const struct options *options);
int run_set(const struct options *options);

#endif
