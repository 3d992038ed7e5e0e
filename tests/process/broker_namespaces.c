/*
 * Clients in other pid, user and mount namespaces work as anybody, and their death is seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define ATTACH "{'name':'a','kind':'spsc','role':'%s'}"

static struct shmt_broker broker;
static struct shmt_raw *raw;
static size_t descriptors;

static void begin(void)
{
	broker = shmt_broker_start(NULL);
	raw = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'a','kind':'spsc'}"), "");
	descriptors = shmt_broker_descriptors(&broker);
}

static void end(void)
{
	shmt_broker_settle(&broker, descriptors);
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* Root inside, who he was outside. */
static bool map_user(uid_t uid, gid_t gid)
{
	char users[32], groups[32];

	snprintf(users, sizeof(users), "0 %u 1", uid);
	snprintf(groups, sizeof(groups), "0 %u 1", gid);
	return write_file("/proc/self/setgroups", "deny") &&
	       write_file("/proc/self/uid_map", users) && write_file("/proc/self/gid_map", groups);
}

/* A root folder with nothing in it but the socket. */
static bool leave_all_but_the_socket(void)
{
	char root[128], path[160];

	snprintf(root, sizeof(root), "%s/root", broker.folder);
	snprintf(path, sizeof(path), "%s/socket", root);
	return mkdir(root, 0700) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", root, "tmpfs", 0, NULL) == 0 &&
	       close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) == 0 &&
	       mount(broker.address, path, NULL, MS_BIND, NULL) == 0 && chroot(root) == 0 &&
	       chdir("/") == 0;
}

/* Says the pid that the broker sees, and stays. */
static void be_client(const char *address, const char *role, int say)
{
	struct shmt_raw *client = shmt_raw_open(address);
	int64_t pid;

	ck_assert_str_eq(shmt_raw_call(client, "Hello", "{}"), "");
	pid = shmt_raw_int(client, "pid");
	ck_assert_str_eq(shmt_raw_call(client, "Attach", ATTACH, role), "");
	ck_assert_int_eq(write(say, &pid, sizeof(pid)), sizeof(pid));
	pause();
}

/* Goes into namespaces of its own and leaves a client there, whose pid out here it tells. */
static void settle_elsewhere(int tell, int say)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	pid_t inner;

	if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS) < 0 || !map_user(uid, gid) ||
	    !leave_all_but_the_socket())
		_exit(1);
	inner = fork();
	if (inner == 0)
		be_client("/socket", "consumer", say);
	_exit(write(tell, &inner, sizeof(inner)) != sizeof(inner));
}

/* Returns the client's pid out here, and as the broker sees it. */
static pid_t client_elsewhere(int64_t *ret_seen)
{
	int tells[2], says[2];
	pid_t pid, inner = 0;

	ck_assert_int_eq(pipe2(tells, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(says, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		settle_elsewhere(tells[1], says[1]);
	close(tells[1]);
	close(says[1]);
	ck_assert_int_eq(read(tells[0], &inner, sizeof(inner)), sizeof(inner));
	ck_assert_int_eq(read(says[0], ret_seen, sizeof(*ret_seen)), sizeof(*ret_seen));
	close(tells[0]);
	close(says[0]);
	waitpid(pid, NULL, 0);
	return inner;
}

TEST(client_with_nothing_but_the_socket_works_and_its_death_is_seen)
{
	char root[128];
	int64_t seen;
	pid_t pid;

	begin();
	pid = client_elsewhere(&seen);
	ck_assert_int_eq(seen, pid);
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "consumer"), "Busy");
	ck_assert_int_eq(shmt_raw_int(raw, "pid"), pid);
	kill(pid, SIGKILL);
	shmt_broker_settle(&broker, descriptors);
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "consumer"), "");
	ck_assert_int_eq(shmt_raw_int(raw, "incarnation"), 2);
	shmt_raw_call(raw, "Detach", "{'id':1,'endpoint':1,'incarnation':2}");
	snprintf(root, sizeof(root), "%s/root", broker.folder);
	rmdir(root);
	end();
}

/* Waits for the broker's address, then is its client. */
static pid_t client_for_later(int *ret_address, int *ret_says)
{
	int address[2], says[2];
	pid_t pid;

	ck_assert_int_eq(pipe2(address, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(says, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		char path[128] = "";

		ck_assert_int_gt(read(address[0], path, sizeof(path) - 1), 0);
		be_client(path, "consumer", says[1]);
	}
	*ret_address = address[1];
	*ret_says = says[0];
	return pid;
}

TEST(broker_that_cannot_name_its_clients_still_sees_them_die)
{
	int address, says;
	int64_t seen = -1;
	pid_t pid = client_for_later(&address, &says);

	ck_assert_int_eq(unshare(CLONE_NEWPID), 0);
	begin(); /* its process is the new namespace's first */
	ck_assert_int_gt(write(address, broker.address, strlen(broker.address)), 0);
	ck_assert_int_eq(read(says, &seen, sizeof(seen)), sizeof(seen));
	ck_assert_int_eq(seen, 0);
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "consumer"), "Busy");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	shmt_broker_settle(&broker, descriptors);
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "consumer"), "");
	shmt_raw_call(raw, "Leave", "{}");
	shmt_broker_stop(&broker);
}

/* Whether this machine lets a process have namespaces of its own. */
static bool has_namespaces(void)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	pid_t pid = fork();
	int status = 1;

	if (pid == 0) {
		bool can = unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS) == 0 &&
			   map_user(uid, gid) && mount("none", "/tmp", "tmpfs", 0, NULL) == 0;

		_exit(!can);
	}
	waitpid(pid, &status, 0);
	return status == 0 && geteuid() == 0;
}

int main(int argc, char **argv)
{
	if (!has_namespaces())
		return shmt_skip("needs root and leave to make pid, user and mount namespaces");
	return shmt_run(argc, argv);
}
