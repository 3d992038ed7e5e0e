/*
 * How a broker comes to its sockets and goes: passed by a service manager or made by itself,
 * ready, watched, stopped.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/broker.h"
#include "tests/support/process.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

static char folder[64];
static char client_path[256], control_path[256], notify_path[256];

static void begin(void)
{
	strcpy(folder, "/tmp/shmbroker-test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(client_path, sizeof(client_path), "%s/client", folder);
	snprintf(control_path, sizeof(control_path), "%s/control", folder);
	snprintf(notify_path, sizeof(notify_path), "%s/notify", folder);
}

static void end(void)
{
	unlink(client_path);
	unlink(control_path);
	unlink(notify_path);
	ck_assert_int_eq(rmdir(folder), 0);
}

static int bound(const char *path, int type)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type, 0);

	strncpy(name.sun_path, path, sizeof(name.sun_path) - 1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

static int listening(const char *path)
{
	int fd = bound(path, SOCK_STREAM);

	ck_assert_int_eq(listen(fd, 8), 0);
	return fd;
}

/* Starts the broker with @first and @second, if any, as descriptors 3 and 4. */
static pid_t start(int first, int second, const char *names)
{
	const char *path = shmt_program("SHMBROKERD");
	pid_t pid = fork();
	char number[16];

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (names) {
		first = fcntl(first, F_DUPFD, 10);
		second = fcntl(second, F_DUPFD, 10);
		dup2(first, 3);
		dup2(second, 4);
		snprintf(number, sizeof(number), "%d", getpid());
		setenv("LISTEN_PID", number, 1);
		setenv("LISTEN_FDS", "2", 1);
		setenv("LISTEN_FDNAMES", names, 1);
	}
	execl(path, path, "--client-socket", client_path, "--control-socket", control_path, NULL);
	_exit(127);
}

static void wait_for_word(int notify, const char *word)
{
	struct pollfd poll_fd = { .fd = notify, .events = POLLIN };
	char text[512];

	do {
		ck_assert_int_eq(poll(&poll_fd, 1, (int)shmt_scaled(5000)), 1);
		text[recv(notify, text, sizeof(text) - 1, 0)] = '\0';
	} while (!strstr(text, word));
}

static int stop(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int wait_for_exit(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void ask(const char *path, const char *method, const char *parameters)
{
	struct shmt_raw *raw = shmt_raw_open(path);

	ck_assert_str_eq(shmt_raw_call(raw, method, "%s", parameters), "");
	shmt_raw_close(raw);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

TEST(passed_sockets_are_served_whatever_their_order_and_left_behind)
{
	int client, control;
	pid_t pid;

	begin();
	client = listening(client_path);
	control = listening(control_path);
	pid = start(control, client, "control:client");
	/* a connection made before it runs waits for it */
	ask(client_path, "Kinds", "{}");
	ask(control_path, "org.shmbroker.control.Ping", "{'ping':'x'}");
	ck_assert_int_eq(stop(pid), 0);
	ck_assert(exists(client_path) && exists(control_path));
	end();
}

TEST(readiness_and_stop_are_told)
{
	int notify;
	pid_t pid;

	begin();
	notify = bound(notify_path, SOCK_DGRAM);
	setenv("NOTIFY_SOCKET", notify_path, 1);
	pid = start(-1, -1, NULL);
	wait_for_word(notify, "READY=1");
	ask(client_path, "Kinds", "{}");
	kill(pid, SIGINT);
	wait_for_word(notify, "STOPPING=1");
	ck_assert_int_eq(wait_for_exit(pid), 0);
	ck_assert(!exists(client_path) && !exists(control_path));
	end();
}

TEST(watchdog_is_fed_twice_in_its_time)
{
	int notify;
	pid_t pid;

	begin();
	notify = bound(notify_path, SOCK_DGRAM);
	setenv("NOTIFY_SOCKET", notify_path, 1);
	setenv("WATCHDOG_USEC", "100000", 1);
	pid = start(-1, -1, NULL);
	for (int i = 0; i < 3; i++)
		wait_for_word(notify, "WATCHDOG=1");
	ck_assert_int_eq(stop(pid), 0);
	end();
}

TEST(sockets_are_born_with_their_rights)
{
	struct stat client, control;
	int notify;
	pid_t pid;

	begin();
	umask(0077);
	notify = bound(notify_path, SOCK_DGRAM);
	setenv("NOTIFY_SOCKET", notify_path, 1);
	pid = start(-1, -1, NULL);
	wait_for_word(notify, "READY=1");
	ck_assert_int_eq(stat(client_path, &client), 0);
	ck_assert_int_eq(stat(control_path, &control), 0);
	ck_assert_uint_eq(client.st_mode & 0777, 0666);
	ck_assert_uint_eq(control.st_mode & 0777, 0660);
	ck_assert_int_eq(stop(pid), 0);
	end();
}

TEST(socket_of_a_killed_broker_is_taken_over)
{
	struct shmt_broker broker = shmt_broker_start(NULL);
	pid_t pid;

	begin();
	snprintf(client_path, sizeof(client_path), "%s", broker.address);
	snprintf(control_path, sizeof(control_path), "%s", broker.control);
	shmt_broker_kill(&broker);
	ck_assert(exists(client_path));
	pid = start(listening(notify_path), -1, NULL);
	while (shmt_broker_connect(client_path) < 0)
		ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	ck_assert_int_eq(stop(pid), 0);
	ck_assert(!exists(client_path));
	shmt_broker_remove(&broker);
	end();
}

TEST(second_broker_leaves_a_served_socket_alone)
{
	struct shmt_broker broker = shmt_broker_start(NULL);

	begin();
	snprintf(client_path, sizeof(client_path), "%s", broker.address);
	ck_assert_int_eq(wait_for_exit(start(-1, -1, NULL)), 1);
	ask(broker.address, "Kinds", "{}");
	shmt_broker_stop(&broker);
	end();
}

TEST(socket_of_a_stranger_is_left_alone)
{
	int stranger;

	begin();
	stranger = listening(client_path);
	ck_assert_int_eq(wait_for_exit(start(-1, -1, NULL)), 1);
	ck_assert(exists(client_path));
	close(stranger);
	end();
}

TEST(file_that_is_no_socket_is_left_alone)
{
	begin();
	close(open(client_path, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(wait_for_exit(start(-1, -1, NULL)), 1);
	ck_assert(exists(client_path));
	end();
}

/* In this order, so that the first socket would become standard error. */
TEST(broker_without_standard_descriptors_serves_and_stops)
{
	int kept[3];
	pid_t pid;

	begin();
	for (int fd = 0; fd < 3; fd++) {
		kept[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
		close(fd);
	}
	pid = start(-1, -1, NULL);
	for (int fd = 0; fd < 3; fd++)
		dup2(kept[fd], fd);
	while (shmt_broker_connect(client_path) < 0)
		ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	ask(client_path, "Kinds", "{}");
	ck_assert_int_eq(stop(pid), 0);
	end();
}

TEST(broker_of_a_user_makes_a_private_folder)
{
	const char *argv[] = { shmt_program("SHMBROKERD"), "--user", NULL };
	struct shmt_process process;
	struct shmt_result result;
	struct stat status;
	char path[128];

	begin();
	setenv("XDG_RUNTIME_DIR", folder, 1);
	snprintf(path, sizeof(path), "%s/shmbroker", folder);
	snprintf(client_path, sizeof(client_path), "%s/shmbroker.sock", path);
	process = shmt_process_start(argv);
	while (shmt_broker_connect(client_path) < 0)
		ck_assert_int_eq(waitpid(process.pid, NULL, WNOHANG), 0);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 0777, 0700);
	kill(process.pid, SIGTERM);
	result = shmt_process_finish(&process, "", 0);
	ck_assert_int_eq(result.code, 0);
	shmt_result_free(&result);
	ck_assert_int_eq(rmdir(path), 0);
	end();
}

SHMT_MAIN
