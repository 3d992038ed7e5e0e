/*
 * shmbrokerd-certify: the broker, speaking org.varlink.certification as well.
 */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/broker.h"
#include "daemon/dispatch.h"
#include "daemon/log.h"
#include "tests/wire/certification.h"

static const struct interface *const client_interfaces[] = {
	&interface_service,
	&interface_client,
	&interface_certification,
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

int main(int argc, char **argv)
{
	struct complaint complaint;
	struct options options;
	int r;

	log_init();
	if (options_read(argc, argv, &options, &complaint) < 0) {
		fprintf(stderr, "shmbrokerd-certify: %s\n", complaint.text);
		return EXIT_FAILURE;
	}
	r = broker_serve(&options, &interfaces);
	options_deinit(&options);
	return r;
}
