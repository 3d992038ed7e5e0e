/*
 * Listening sockets that a broker made itself and a manager keeps: this test is the manager.
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

enum {
	KEPT = 6, /* two sockets, their locks, the state, and the record of deaths */
	KEPT_MAX = 8
};

static char folder[64];
static char client_path[100], control_path[100];
static int notify;
static struct {
	char name[64];
	int fd;
} kept[KEPT_MAX];
static int kept_count;

static void begin(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t bytes = sizeof(name);
	char path[128];

	strcpy(folder, "/tmp/shmbroker-test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(client_path, sizeof(client_path), "%s/client", folder);
	snprintf(control_path, sizeof(control_path), "%s/control", folder);
	/* an abstract address that the kernel chooses */
	notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(notify, (struct sockaddr *)&name, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(notify, (struct sockaddr *)&name, &bytes), 0);
	snprintf(path, sizeof(path), "@%.*s", (int)(bytes - sizeof(sa_family_t) - 1),
		 name.sun_path + 1);
	setenv("NOTIFY_SOCKET", path, 1);
	setenv("FDSTORE", "16", 1);
}

static void remove_with_lock(const char *path)
{
	char lock[256];

	unlink(path);
	snprintf(lock, sizeof(lock), "%s.lock", path);
	unlink(lock);
}

static void end(void)
{
	remove_with_lock(client_path);
	remove_with_lock(control_path);
	ck_assert_int_eq(rmdir(folder), 0);
}

/* With all that is kept, the last one first. */
static pid_t start(const char *client)
{
	const char *path = shmt_program("SHMBROKERD");
	pid_t pid = fork();
	char number[16], names[KEPT_MAX * 65] = "";

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < kept_count; i++)
		kept[i].fd = fcntl(kept[i].fd, F_DUPFD_CLOEXEC, 30);
	for (int i = 0; i < kept_count; i++) {
		int from = kept_count - 1 - i;

		dup2(kept[from].fd, 3 + i);
		strcat(names, kept[from].name);
		strcat(names, i + 1 < kept_count ? ":" : "");
	}
	snprintf(number, sizeof(number), "%d", getpid());
	setenv("LISTEN_PID", number, 1);
	snprintf(number, sizeof(number), "%d", kept_count);
	setenv("LISTEN_FDS", number, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	execl(path, path, "--client-socket", client, "--control-socket", control_path, NULL);
	_exit(127);
}

static void keep(const char *text, int fd)
{
	const char *name = strstr(text, "FDNAME=") + strlen("FDNAME=");

	ck_assert_int_lt(kept_count, KEPT_MAX);
	kept[kept_count].fd = fd;
	snprintf(kept[kept_count].name, sizeof(kept[0].name), "%.*s", (int)strcspn(name, "\n"),
		 name);
	kept_count++;
}

static void give_up(const char *text)
{
	const char *name = strstr(text, "FDNAME=") + strlen("FDNAME=");
	int left = 0;

	for (int i = 0; i < kept_count; i++) {
		if (strcmp(kept[i].name, name) == 0)
			close(kept[i].fd);
		else
			kept[left++] = kept[i];
	}
	kept_count = left;
}

/* Works off what the broker says, until it says @word. */
static void manage_until(const char *word)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct pollfd poll_fd = { .fd = notify, .events = POLLIN };
	char text[512];

	do {
		struct iovec part = { text, sizeof(text) - 1 };
		struct msghdr header = { .msg_iov = &part,
					 .msg_iovlen = 1,
					 .msg_control = control,
					 .msg_controllen = sizeof(control) };
		int fd = -1;

		ck_assert_int_eq(poll(&poll_fd, 1, (int)shmt_scaled(5000)), 1);
		text[recvmsg(notify, &header, MSG_CMSG_CLOEXEC)] = '\0';
		if (CMSG_FIRSTHDR(&header))
			memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(fd));
		if (strncmp(text, "FDSTORE=1", 9) == 0)
			keep(text, fd);
		else if (strncmp(text, "FDSTOREREMOVE=1", 15) == 0)
			give_up(text);
	} while (!strstr(text, word));
}

static pid_t start_until_ready(const char *client)
{
	pid_t pid = start(client);

	manage_until("READY=1");
	return pid;
}

static bool is_kept(const char *name)
{
	for (int i = 0; i < kept_count; i++) {
		if (strcmp(kept[i].name, name) == 0)
			return true;
	}
	return false;
}

static void kill_now(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int stop(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	waitpid(pid, &status, 0);
	return status;
}

static struct shmt_raw *ask_early(const char *path)
{
	struct shmt_raw *raw = shmt_raw_open(path);

	shmt_raw_send(raw, "{\"method\":\"org.shmbroker.Kinds\"}");
	return raw;
}

static void expect_answer(struct shmt_raw *raw)
{
	ck_assert_str_eq(shmt_raw_receive(raw), "");
	shmt_raw_close(raw);
}

static ino_t inode(const char *path)
{
	struct stat status;

	ck_assert_int_eq(stat(path, &status), 0);
	return status.st_ino;
}

TEST(sockets_made_here_and_their_locks_are_kept)
{
	begin();
	kill_now(start_until_ready(client_path));
	ck_assert_int_eq(kept_count, KEPT);
	ck_assert(is_kept("own-client") && is_kept("own-control"));
	ck_assert(is_kept("lock-client") && is_kept("lock-control"));
	end();
}

TEST(next_broker_takes_them_in_any_order_and_stores_nothing_again, .rounds = 2)
{
	struct shmt_raw *raw;
	ino_t socket;
	pid_t pid;

	begin();
	pid = start_until_ready(client_path);
	socket = inode(client_path);
	if (_i == 0)
		kill_now(pid);
	else
		ck_assert_int_eq(stop(pid), 0);
	/* its file has stayed, and takes connections */
	raw = ask_early(client_path);
	pid = start_until_ready(client_path);
	expect_answer(raw);
	ck_assert_uint_eq(inode(client_path), socket);
	ck_assert_int_eq(kept_count, KEPT);
	ck_assert_int_eq(stop(pid), 0);
	end();
}

static pid_t peer_of(const char *path)
{
	struct ucred peer = { .pid = 0 };
	socklen_t bytes = sizeof(peer);
	int fd = shmt_broker_connect(path);

	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes), 0);
	close(fd);
	return peer.pid;
}

TEST(who_connects_is_told_the_broker_of_now)
{
	pid_t pid;

	begin();
	pid = start_until_ready(client_path);
	ck_assert_int_eq(peer_of(client_path), pid);
	kill_now(pid);
	pid = start_until_ready(client_path);
	ck_assert_int_eq(peer_of(client_path), pid);
	ck_assert_int_eq(stop(pid), 0);
	end();
}

TEST(broker_by_hand_is_refused_while_the_lock_is_kept)
{
	pid_t pid;
	int status;

	begin();
	kill_now(start_until_ready(client_path));
	pid = fork();
	if (pid == 0) {
		unsetenv("NOTIFY_SOCKET");
		kept_count = 0;
		waitpid(start(client_path), &status, 0);
		_exit(WEXITSTATUS(status));
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(WEXITSTATUS(status), 1);
	pid = start_until_ready(client_path);
	expect_answer(ask_early(client_path));
	ck_assert_int_eq(stop(pid), 0);
	end();
}

TEST(socket_of_another_path_is_given_up)
{
	char other[200];
	pid_t pid;

	begin();
	kill_now(start_until_ready(client_path));
	snprintf(other, sizeof(other), "%s.other", client_path);
	pid = start_until_ready(other);
	expect_answer(ask_early(other));
	ck_assert_int_eq(kept_count, KEPT);
	ck_assert_int_eq(shmt_broker_connect(client_path), -1);
	ck_assert_int_eq(stop(pid), 0);
	remove_with_lock(other);
	end();
}

TEST(socket_whose_file_is_gone_is_made_anew)
{
	pid_t pid;

	begin();
	kill_now(start_until_ready(client_path));
	unlink(client_path);
	pid = start_until_ready(client_path);
	expect_answer(ask_early(client_path));
	ck_assert_int_eq(kept_count, KEPT);
	ck_assert_int_eq(stop(pid), 0);
	end();
}

TEST(socket_is_made_anew_when_only_its_lock_is_kept)
{
	pid_t pid;

	begin();
	kill_now(start_until_ready(client_path));
	give_up("FDNAME=own-client");
	pid = start_until_ready(client_path);
	expect_answer(ask_early(client_path));
	ck_assert_int_eq(kept_count, KEPT);
	ck_assert_int_eq(stop(pid), 0);
	end();
}

TEST(socket_of_a_unit_takes_the_place_of_one_made_here)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	begin();
	kill_now(start_until_ready(client_path));
	unlink(client_path);
	strcpy(name.sun_path, client_path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	keep("FDNAME=client", fd);
	pid = start_until_ready(client_path);
	expect_answer(ask_early(client_path));
	ck_assert(!is_kept("own-client") && !is_kept("lock-client"));
	ck_assert_int_eq(stop(pid), 0);
	end();
}

TEST(rights_are_those_of_the_options_of_now)
{
	struct stat status;
	pid_t pid;

	begin();
	kill_now(start_until_ready(client_path));
	chmod(client_path, 0600);
	pid = start_until_ready(client_path);
	ck_assert_int_eq(stat(client_path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 0777, 0666);
	ck_assert_int_eq(stop(pid), 0);
	end();
}

SHMT_MAIN
