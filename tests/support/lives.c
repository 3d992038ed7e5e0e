#include "tests/support/lives.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/runner.h"

unsigned long long shmt_start_time(void)
{
	FILE *file = fopen("/proc/self/stat", "re");
	char text[1024];
	const char *at;

	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), file));
	fclose(file);
	at = strrchr(text, ')');
	for (int field = 2; field < 22; field++)
		at = strchr(at + 1, ' ');
	return strtoull(at + 1, NULL, 10);
}

struct shmt_raw *shmt_hello(const char *address)
{
	struct shmt_raw *client = shmt_raw_open(address);

	ck_assert_str_eq(shmt_raw_call(client, "Hello", "{'membarrier':true,'start_time':%llu}",
				       shmt_start_time()),
			 "");
	return client;
}

pid_t shmt_child(void (*live)(void))
{
	int ready[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		shmt_be_child();
		live();
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

void shmt_bury(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

const cJSON *shmt_endpoint_field(struct shmt_raw *control, const char *segment, int index,
				 const char *key)
{
	const cJSON *list;

	ck_assert_str_eq(
		shmt_raw_call(control, "org.shmbroker.control.Describe", "{'name':'%s'}", segment),
		"");
	list = cJSON_GetObjectItem(shmt_raw_item(control, "segment"), "endpoints");
	return cJSON_GetObjectItem(cJSON_GetArrayItem(list, index), key);
}

void shmt_wait_for_state(struct shmt_raw *control, const char *segment, int index,
			 const char *state)
{
	struct timespec moment = { .tv_nsec = 500000 };

	for (unsigned long i = 0; i < shmt_scaled(10000); i++) {
		const cJSON *field = shmt_endpoint_field(control, segment, index, "state");

		if (strcmp(field->valuestring, state) == 0)
			return;
		nanosleep(&moment, NULL);
	}
	ck_abort_msg("endpoint %d of %s never became %s", index, segment, state);
}
