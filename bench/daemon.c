/* daemon: see daemon.h. */
#include "bench/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/contest.h"
#include "shmclient/shmclient.h"

#define START_NS UINT64_C(5000000000)

static pid_t daemon_pid;
static pid_t daemon_owner;
static char folder[64];
static char address[96];
static char control[96];
static char lines[96];

const char *bench_daemon_beside(const char *path)
{
	static char beside[4096];
	ssize_t n = readlink("/proc/self/exe", beside, sizeof(beside) / 2);
	char *slash;

	if (n < 0)
		bench_die("/proc/self/exe: %s", strerror(errno));
	beside[n] = '\0';
	slash = strrchr(beside, '/');
	snprintf(slash, sizeof(beside) - (size_t)(slash - beside), "/../%s", path);
	return beside;
}

static void run_daemon(void)
{
	const char *path = getenv("SHMBENCH_BROKER");
	int fd = open(lines, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (path == NULL)
		path = bench_daemon_beside("daemon/shmbrokerd");
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	bench_unpin(); /* whoever starts it may be */
	if (fd >= 0)
		dup2(fd, 2);
	execl(path, path, "--client-socket", address, "--control-socket", control, (char *)NULL);
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	_exit(127);
}

static void show_lines(void)
{
	char line[512];
	FILE *file = fopen(lines, "re");

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		fputs(line, stderr);
	if (file != NULL)
		fclose(file);
}

static void await_daemon(void)
{
	struct shmc_client_options options = { .address = address };
	uint64_t until = bench_clock_ns() + START_NS;
	struct shmc_client *client;
	struct shmc_error error;

	while (shmc_connect(&options, &client, &error) != SHMC_OK) {
		if (bench_clock_ns() > until || waitpid(daemon_pid, NULL, WNOHANG) != 0) {
			show_lines();
			bench_die("the broker does not start: %s", error.text);
		}
		usleep(1000);
	}
	shmc_disconnect(client);
}

const char *bench_daemon_start(void)
{
	if (daemon_pid != 0)
		return address;
	snprintf(folder, sizeof(folder), "/tmp/shmbench.XXXXXX");
	if (mkdtemp(folder) == NULL)
		bench_die("%s: %s", folder, strerror(errno));
	snprintf(address, sizeof(address), "%s/client", folder);
	snprintf(control, sizeof(control), "%s/control", folder);
	snprintf(lines, sizeof(lines), "%s/lines", folder);
	daemon_owner = getpid();
	daemon_pid = fork();
	if (daemon_pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (daemon_pid == 0)
		run_daemon();
	atexit(bench_daemon_stop);
	await_daemon();
	return address;
}

/* What a broker leaves in its folder, itself too. */
static void remove_folder(void)
{
	static const char *const names[] = { "client",	     "client.lock", "control",
					     "control.lock", "lines",	    "" };
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		if (remove(path) < 0 && errno != ENOENT)
			fprintf(stderr, "shmbench: %s: %s\n", path, strerror(errno));
	}
}

void bench_daemon_stop(void)
{
	if (daemon_pid == 0 || daemon_owner != getpid())
		return;
	kill(daemon_pid, SIGTERM);
	waitpid(daemon_pid, NULL, 0);
	daemon_pid = 0;
	remove_folder();
}

pid_t bench_daemon_pid(void)
{
	return daemon_pid;
}

struct shmc_client *bench_daemon_connect(int64_t spin_ns)
{
	struct shmc_client_options options = { .address = address, .spin_ns = spin_ns };
	struct shmc_client *client;
	struct shmc_error error;

	if (shmc_connect(&options, &client, &error) != SHMC_OK)
		bench_die("connect: %s", error.text);
	return client;
}
