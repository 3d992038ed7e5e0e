/*
 * Help: the tables of commands, options and exit codes as text and as a manual page.
 */
#ifndef SHMBROKERCTL_HELP_H
#define SHMBROKERCTL_HELP_H

#include "tools/commands.h"

/* NULL: everything. Returns the exit code. */
int help_print(const struct command *command);

#endif
