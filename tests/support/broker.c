#include "tests/support/broker.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/process.h"
#include "tests/support/runner.h"

#define ARGUMENTS_MAX 32

static void print_log(const struct shmt_broker *broker)
{
	FILE *file = fopen(broker->log, "re");
	char line[1024];

	while (file && fgets(line, sizeof(line), file))
		printf("# broker: %s", line);
	if (file)
		fclose(file);
	fflush(stdout);
}

static void become(const struct shmt_broker *broker, const char *mode, const char *const *options)
{
	const char *argv[ARGUMENTS_MAX] = {
		shmt_program("SHMBROKERD"), "--client-socket", broker->address,
		"--control-socket",	    broker->control,   mode
	};
	int log = open(broker->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	for (int i = mode ? 6 : 5; options && *options && i < ARGUMENTS_MAX - 1; i++)
		argv[i] = *options++;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (log >= 0 && dup2(log, 2) >= 0)
		execv(argv[0], (char *const *)argv);
	_exit(127);
}

int shmt_broker_connect(const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(name.sun_path, path, sizeof(name.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Where the broker says READY=1, as to systemd. */
static int notify_socket(const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strncpy(name.sun_path, path, sizeof(name.sun_path) - 1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

static void wait_until_ready(const struct shmt_broker *broker, int notify)
{
	struct pollfd fds[] = {
		{ .fd = notify, .events = POLLIN },
		{ .fd = (int)syscall(SYS_pidfd_open, broker->pid, 0), .events = POLLIN },
	};
	char text[256] = "";

	do {
		text[0] = '\0';
		poll(fds, 2, (int)shmt_scaled(5000));
		if (fds[0].revents)
			text[recv(notify, text, sizeof(text) - 1, 0)] = '\0';
	} while (*text && !strstr(text, "READY=1"));
	close(fds[1].fd);
	if (strstr(text, "READY=1"))
		return;
	print_log(broker);
	ck_abort_msg("the broker at %s is not ready", broker->address);
}

static struct shmt_broker start(const char *mode, const char *const *options)
{
	struct shmt_broker broker = { .folder = "/tmp/shmbroker-test.XXXXXX" };
	char path[96];
	int notify;

	ck_assert_ptr_nonnull(mkdtemp(broker.folder));
	snprintf(broker.address, sizeof(broker.address), "%s/shmbroker.sock", broker.folder);
	snprintf(broker.control, sizeof(broker.control), "%s/control.sock", broker.folder);
	snprintf(broker.log, sizeof(broker.log), "%s/log", broker.folder);
	snprintf(path, sizeof(path), "%s/notify", broker.folder);
	notify = notify_socket(path);
	broker.pid = fork();
	ck_assert_int_ge(broker.pid, 0);
	if (broker.pid == 0) {
		setenv("NOTIFY_SOCKET", path, 1);
		become(&broker, mode, options);
	}
	wait_until_ready(&broker, notify);
	close(notify);
	unlink(path);
	return broker;
}

struct shmt_broker shmt_broker_start(const char *const *options)
{
	return start(NULL, options);
}

/* Of the one that said last that it has started. */
static pid_t last_started(const struct shmt_broker *broker)
{
	FILE *file = fopen(broker->log, "re");
	char line[1024];
	pid_t pid = 0;

	while (file && fgets(line, sizeof(line), file)) {
		const char *text = strstr(line, "event=started ");

		text = text ? strstr(text, " pid=") : NULL;
		if (text)
			pid = (pid_t)strtol(text + 5, NULL, 10);
	}
	if (file)
		fclose(file);
	return pid;
}

void shmt_broker_next(struct shmt_broker *broker)
{
	struct timespec pause = { .tv_nsec = 1000000 };

	for (unsigned long i = 0; i < shmt_scaled(8000); i++) {
		pid_t pid = last_started(broker);

		if (pid != 0 && pid != broker->pid) {
			broker->pid = pid;
			return;
		}
		nanosleep(&pause, NULL);
	}
	print_log(broker);
	ck_abort_msg("no broker came after %d", broker->pid);
}

struct shmt_broker shmt_broker_supervised(const char *const *options)
{
	struct shmt_broker broker = start("--supervise", options);

	broker.keeper = broker.pid;
	shmt_broker_next(&broker);
	return broker;
}

void shmt_broker_stop(struct shmt_broker *broker)
{
	pid_t pid = broker->keeper ? broker->keeper : broker->pid;
	int status;

	kill(pid, SIGTERM);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		print_log(broker);
		ck_abort_msg("the broker ended with status 0x%x", (unsigned)status);
	}
	shmt_broker_remove(broker);
}

void shmt_broker_kill(struct shmt_broker *broker)
{
	kill(broker->pid, SIGKILL);
	if (!broker->keeper)
		waitpid(broker->pid, NULL, 0);
}

void shmt_broker_remove(struct shmt_broker *broker)
{
	char lock[128];

	unlink(broker->address);
	unlink(broker->control);
	unlink(broker->log);
	snprintf(lock, sizeof(lock), "%s.lock", broker->address);
	unlink(lock);
	snprintf(lock, sizeof(lock), "%s.lock", broker->control);
	unlink(lock);
	ck_assert_msg(rmdir(broker->folder) == 0, "%s: %s", broker->folder, strerror(errno));
}

size_t shmt_broker_descriptors(const struct shmt_broker *broker)
{
	char path[64];
	size_t count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", broker->pid);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HOLDS_MEMORY_BACK 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HOLDS_MEMORY_BACK 1
#endif

size_t shmt_broker_memory_kib(const struct shmt_broker *broker)
{
#ifdef HOLDS_MEMORY_BACK
	return 0;
#endif
	char path[64], line[256];
	size_t kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", broker->pid);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "RssAnon: %zu", &kib);
	fclose(file);
	return kib;
}

void shmt_broker_settle(const struct shmt_broker *broker, size_t descriptors)
{
	struct timespec pause = { .tv_nsec = 1000000 };
	size_t now = 0;

	for (unsigned long i = 0; i < shmt_scaled(5000); i++) {
		now = shmt_broker_descriptors(broker);
		if (now <= descriptors)
			return;
		nanosleep(&pause, NULL);
	}
	print_log(broker);
	ck_abort_msg("the broker keeps %zu descriptors, not %zu", now, descriptors);
}

size_t shmt_broker_said(const struct shmt_broker *broker, const char *text)
{
	FILE *file = fopen(broker->log, "re");
	char line[1024];
	size_t count = 0;

	while (file && fgets(line, sizeof(line), file))
		count += strstr(line, text) != NULL;
	if (file)
		fclose(file);
	return count;
}
