/*
 * Shortage of memory is the creator's error: within a control group that has less than the broker
 * believes, the helper is killed and nobody else. Needs leave to make a control group.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define LIMIT "50331648" /* 48 MiB */

/* Both generations of control groups. */
static const struct {
	const char *folder, *limit;
} groups[] = {
	{ "/sys/fs/cgroup/shmbroker-test", "memory.max" },
	{ "/sys/fs/cgroup/memory/shmbroker-test", "memory.limit_in_bytes" },
};

static int group = -1;

static bool write_in(int which, const char *file, const char *text)
{
	char path[128];
	int fd;
	bool done;

	snprintf(path, sizeof(path), "%s/%s", groups[which].folder, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return done;
}

/* The first generation that lets us limit memory. */
static bool make_group(void)
{
	for (int i = 0; i < 2; i++) {
		if (mkdir(groups[i].folder, 0755) < 0 && errno != EEXIST)
			continue;
		if (write_in(i, groups[i].limit, LIMIT)) {
			group = i;
			return true;
		}
		rmdir(groups[i].folder);
	}
	return false;
}

static void create_too_much(struct shmt_raw *raw)
{
	ck_assert_str_eq(shmt_raw_call(raw, "Create",
				       "{'name':'big','kind':'spsc','options':"
				       "{'capacity_bytes':134217728}}"),
			 "NoSpace");
	ck_assert_ptr_nonnull(strstr(shmt_raw_string(raw, "message"), "134"));
}

TEST(memory_that_is_not_there_is_the_creators_error_and_nobodys_death, .timeout_s = 60)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	struct shmt_raw *raw = shmt_raw_open(broker.address);
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", broker.pid);
	ck_assert(write_in(group, "cgroup.procs", pid));
	for (int i = 0; i < 5; i++) {
		create_too_much(raw);
		ck_assert_str_eq(shmt_raw_call(raw, "Create",
					       "{'name':'small','kind':'spsc','options':"
					       "{'capacity_bytes':16777216}}"),
				 "");
		ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'small'}"), "");
	}
	ck_assert_uint_eq(shmt_broker_said(&broker, "event=no_memory segment=big"), 5);
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

int main(int argc, char **argv)
{
	int r;

	if (!make_group())
		return shmt_skip("needs leave to make a control group with limited memory");
	r = shmt_run(argc, argv);
	rmdir(groups[group].folder);
	return r;
}
