/*
 * Foreign clients against our broker: the Go implementation's certification run, and what a person
 * types.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/broker.h"
#include "tests/support/process.h"
#include "tests/support/runner.h"

TEST(go_client_certifies_the_broker, .timeout_s = 30)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	char address[128];
	const char *argv[] = { shmt_program("CERTIFICATION"), "-client", "-varlink", address,
			       NULL };
	struct shmt_process process;
	struct shmt_result result;

	snprintf(address, sizeof(address), "unix:%s", broker.address);
	process = shmt_process_start(argv);
	result = shmt_process_finish(&process, "", 0);
	ck_assert_msg(result.code == 0, "%s%s", result.out, result.err);
	ck_assert_msg(strstr(result.out, "End: 'true'") != NULL, "%s%s", result.out, result.err);
	shmt_result_free(&result);
	shmt_broker_stop(&broker);
}

TEST(line_typed_into_socat_is_answered)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	char command[256];
	const char *argv[] = { "/bin/sh", "-c", command, NULL };
	struct shmt_process process;
	struct shmt_result result;

	snprintf(command, sizeof(command),
		 "printf '{\"method\":\"org.varlink.service.GetInfo\"}\\0' | "
		 "socat -t 5 - UNIX:%s",
		 broker.address);
	process = shmt_process_start(argv);
	result = shmt_process_finish(&process, "", 0);
	ck_assert_int_eq(result.code, 0);
	ck_assert_msg(strstr(result.out, "\"org.shmbroker\"") != NULL, "%s%s", result.out,
		      result.err);
	shmt_result_free(&result);
	shmt_broker_stop(&broker);
}

int main(int argc, char **argv)
{
	if (!getenv("CERTIFICATION"))
		return shmt_skip(
			"varlink-go-certification (package varlink-go) or socat is missing");
	return shmt_run(argc, argv);
}
