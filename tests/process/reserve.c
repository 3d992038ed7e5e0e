/*
 * Memory is reserved by a helper, a child of the broker. Who ends a broker politely often tells its
 * whole group to end (systemd by default, a terminal): the helper goes on, and its client gets what
 * he asked for.
 */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/broker.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define CREATE                                                                                     \
	"{\"method\":\"org.shmbroker.Create\",\"parameters\":{\"name\":\"big\",\"kind\":\"spsc\"," \
	"\"options\":{\"capacity_bytes\":268435456}}}"

static pid_t parent_of(const char *pid)
{
	char path[64];
	int parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*d (%*[^)]) %*c %d", &parent) != 1)
		parent = 0;
	if (file)
		fclose(file);
	return parent;
}

/* 0 when there is none at the moment. */
static pid_t child_of(pid_t parent)
{
	DIR *processes = opendir("/proc");
	const struct dirent *entry;
	pid_t child = 0;

	ck_assert_ptr_nonnull(processes);
	while (child == 0 && (entry = readdir(processes)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    parent_of(entry->d_name) == parent)
			child = (pid_t)atoi(entry->d_name);
	closedir(processes);
	return child;
}

/* False if it was done before it was found. */
static bool create_and_signal(struct shmt_raw *raw, pid_t broker, int number)
{
	struct pollfd reply = { .fd = raw->wire.fd, .events = POLLIN };
	pid_t helper = 0;

	shmt_raw_send(raw, CREATE);
	while (helper == 0 && poll(&reply, 1, 0) == 0)
		helper = child_of(broker);
	if (helper > 0)
		kill(helper, number);
	ck_assert_str_eq(shmt_raw_receive(raw), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'big'}"), "");
	return helper > 0;
}

TEST(a_helper_goes_on_when_its_group_is_told_to_end, .timeout_s = 60)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_raw *raw = shmt_raw_open(broker.address);

	for (size_t i = 0; i < 3; i++)
		while (!create_and_signal(raw, broker.pid, numbers[i]))
			;
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

SHMT_MAIN
