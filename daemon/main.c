/*
 * shmbrokerd: reads the options and runs the broker.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config.h"
#include "daemon/broker.h"
#include "daemon/dispatch.h"
#include "daemon/keeper.h"
#include "daemon/log.h"

#define EXIT_CONFIG 78 /* EX_CONFIG: systemd shows it as a configuration error */

static const struct interface *const client_interfaces[] = {
	&interface_service,
	&interface_client,
	NULL,
};

static const struct interface *const control_interfaces[] = {
	&interface_service,
	&interface_control,
	NULL,
};

static const struct broker_interfaces interfaces = {
	.client = client_interfaces,
	.control = control_interfaces,
};

/* Else a socket takes the place of a closed standard error, and the log goes to a client. */
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct complaint complaint;
	struct options options;
	int r;

	fill_standard_fds();
	log_init();
	if (options_read(argc, argv, &options, &complaint) < 0) {
		fprintf(stderr, "shmbrokerd: %s\n", complaint.text);
		return EXIT_CONFIG;
	}
	if (options.help) {
		options_print_help(stdout);
		r = EXIT_SUCCESS;
	} else if (options.version) {
		puts("shmbrokerd " SHMBROKER_VERSION);
		r = EXIT_SUCCESS;
	} else if (options.check_config) {
		printf("configuration is good: %s\n", options.config_read ?
							      options.config_read :
							      "all defaults, no file is there");
		r = EXIT_SUCCESS;
	} else if (options.supervise) {
		r = keeper_serve(&options, argv);
	} else {
		r = broker_serve(&options, &interfaces);
	}
	options_deinit(&options);
	return r;
}
