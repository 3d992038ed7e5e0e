/*
 * shmbrokerctl: asks the broker, moves lines through queues.
 */
#include <signal.h>

#include "tools/commands.h"
#include "tools/help.h"

int main(int argc, char **argv)
{
	const struct command *command;
	struct options options;
	int r;

	signal(SIGPIPE, SIG_IGN); /* a reader of stdout that goes away must not cost a message */
	r = options_parse(argc, argv, &options, &command);
	if (r != 0)
		return r;
	if (options.help)
		return help_print(command);
	return command->run(&options);
}
