/*
 * shmbrokerd --supervise: a broker that comes back whatever ends it, with what was kept for it.
 */
#include "daemon/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/systemd.h"
#include "tests/support/broker.h"
#include "tests/support/process.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

enum {
	KEPT = 300
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void ask(const char *path)
{
	struct shmt_raw *raw = shmt_raw_open(path);

	ck_assert_str_eq(shmt_raw_call(raw, "Kinds", "{}"), "");
	shmt_raw_close(raw);
}

static void ask_control(const char *path)
{
	struct shmt_raw *raw = shmt_raw_open(path);

	ck_assert_str_eq(shmt_raw_call(raw, "org.shmbroker.control.Ping", "{'ping':'x'}"), "");
	shmt_raw_close(raw);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static ino_t inode(const char *path)
{
	struct stat status;

	ck_assert_msg(stat(path, &status) == 0, "%s: %s", path, strerror(errno));
	return status.st_ino;
}

/* A broker or keeper by hand, which is to fail. Return: its exit code. */
static int try_second(const struct shmt_broker *broker, const char *mode)
{
	const char *argv[] = { shmt_program("SHMBROKERD"),
			       "--client-socket",
			       broker->address,
			       "--control-socket",
			       broker->control,
			       mode,
			       NULL };
	struct shmt_process process = shmt_process_start(argv);
	struct shmt_result result = shmt_process_finish(&process, "", 0);

	for (char *rest = result.err, *line; (line = strsep(&rest, "\n"));)
		printf("# %s\n", line);
	shmt_result_free(&result);
	return result.code;
}

static void expect_only_the_log(const struct shmt_broker *broker)
{
	char path[128];

	ck_assert(!exists(broker->address) && !exists(broker->control));
	snprintf(path, sizeof(path), "%s.lock", broker->address);
	ck_assert(!exists(path));
	snprintf(path, sizeof(path), "%s.lock", broker->control);
	ck_assert(!exists(path));
	snprintf(path, sizeof(path), "%s.keeper", broker->control);
	ck_assert(!exists(path));
	snprintf(path, sizeof(path), "%s.keeper.lock", broker->control);
	ck_assert(!exists(path));
}

/* Ends the keeper, but leaves the folder to be looked at. */
static void end_keeper(const struct shmt_broker *broker, int signal)
{
	int status;

	kill(broker->keeper, signal);
	ck_assert_int_eq(waitpid(broker->keeper, &status, 0), broker->keeper);
	ck_assert_int_eq(status, 0);
}

static void wait_for_lines(const struct shmt_broker *broker, const char *text, size_t count)
{
	struct timespec pause = { .tv_nsec = 1000000 };

	while (shmt_broker_said(broker, text) < count)
		nanosleep(&pause, NULL);
}

/* Death and return. */

TEST(who_connects_to_a_dead_broker_is_answered_by_the_next)
{
	struct shmt_broker broker = shmt_broker_supervised(NULL);
	ino_t socket = inode(broker.address);
	struct shmt_raw *raw;

	/* there is no broker while its keeper stands still */
	kill(broker.keeper, SIGSTOP);
	shmt_broker_kill(&broker);
	raw = shmt_raw_open(broker.address);
	shmt_raw_send(raw, "{\"method\":\"org.shmbroker.Kinds\"}");
	kill(broker.keeper, SIGCONT);
	ck_assert_str_eq(shmt_raw_receive(raw), "");
	shmt_raw_close(raw);
	shmt_broker_next(&broker);
	ck_assert_uint_eq(inode(broker.address), socket);
	ask_control(broker.control);
	ck_assert_uint_eq(shmt_broker_said(&broker, "cause=\"signal 9, Killed\""), 1);
	shmt_broker_stop(&broker);
}

/* What it takes to run the program at all, on this machine, among all that it does now. */
static uint64_t start_ms(void)
{
	const char *argv[] = { shmt_program("SHMBROKERD"), "--version", NULL };
	uint64_t before = now_ms();
	struct shmt_process process = shmt_process_start(argv);
	struct shmt_result result = shmt_process_finish(&process, "", 0);

	shmt_result_free(&result);
	return now_ms() - before;
}

/* And the best of some tries. */
TEST(a_killed_broker_is_replaced_within_200_ms)
{
	struct shmt_broker broker = shmt_broker_supervised(NULL);
	bool is_within = false;

	for (int i = 0; i < 4; i++) {
		uint64_t allowed = shmt_scaled(200) + 5 * start_ms(), before = now_ms(), took;

		shmt_broker_kill(&broker);
		shmt_broker_next(&broker);
		ask(broker.address);
		took = now_ms() - before;
		printf("# from kill to answer: %d of %d ms\n", (int)took, (int)allowed);
		is_within |= took <= allowed;
	}
	ck_assert(is_within);
	shmt_broker_stop(&broker);
}

TEST(any_end_that_was_not_asked_for_is_followed_by_a_start)
{
	struct shmt_broker broker = shmt_broker_supervised(NULL);

	kill(broker.pid, SIGTERM);
	shmt_broker_next(&broker);
	ck_assert_uint_eq(shmt_broker_said(&broker, "cause=\"exit code 0\""), 1);
	kill(broker.pid, SIGABRT);
	shmt_broker_next(&broker);
	ck_assert_uint_eq(shmt_broker_said(&broker, "cause=\"signal 6, Aborted\""), 1);
	ask(broker.address);
	shmt_broker_stop(&broker);
}

TEST(a_loop_of_deaths_is_slowed_down, .timeout_s = 30)
{
	static const uint32_t expected_ms[] = { 0, 0, 0, 0, 0, 100, 200, 400, 800, 1600 };
	struct shmt_broker broker = shmt_broker_supervised(NULL);
	char text[64];

	for (int i = 0; i < 10; i++) {
		uint64_t before = now_ms();

		shmt_broker_kill(&broker);
		shmt_broker_next(&broker);
		printf("# %d ms\n", (int)(now_ms() - before));
		ck_assert_uint_ge(now_ms() - before, expected_ms[i]);
		snprintf(text, sizeof(text), "restart_in_ms=%u\n", expected_ms[i]);
		ck_assert_uint_ge(shmt_broker_said(&broker, text), 1);
	}
	ck_assert_uint_eq(shmt_broker_said(&broker, "restart_in_ms=0"), 5);
	ask(broker.address);
	shmt_broker_stop(&broker);
}

TEST(a_restart_that_is_asked_for_does_not_wait_for_a_delay)
{
	const char *options[] = { "--no-backoff", NULL };
	struct shmt_broker broker = shmt_broker_supervised(options);

	for (int i = 0; i < 12; i++) {
		kill(broker.keeper, i % 2 ? SIGUSR2 : SIGHUP);
		shmt_broker_next(&broker);
	}
	ck_assert_uint_eq(shmt_broker_said(&broker, "broker_ended"), 0);
	/* nor do deaths with the option that tests have */
	for (int i = 0; i < 12; i++) {
		shmt_broker_kill(&broker);
		shmt_broker_next(&broker);
	}
	ck_assert_uint_eq(shmt_broker_said(&broker, "restart_in_ms=0"), 12);
	shmt_broker_stop(&broker);
}

TEST(a_broker_that_hangs_is_replaced)
{
	struct shmt_broker broker;

	setenv("WATCHDOG_USEC", "300000", 1);
	broker = shmt_broker_supervised(NULL);
	unsetenv("WATCHDOG_USEC");
	kill(broker.pid, SIGSTOP);
	shmt_broker_next(&broker);
	ck_assert_uint_eq(shmt_broker_said(&broker, "event=broker_hung"), 1);
	ask(broker.address);
	shmt_broker_stop(&broker);
}

/* Its end. */

TEST(end_of_the_keeper_ends_both_and_leaves_no_file, .rounds = 2)
{
	struct shmt_broker broker = shmt_broker_supervised(NULL);

	end_keeper(&broker, _i ? SIGINT : SIGTERM);
	ck_assert_int_eq(kill(broker.pid, 0), -1);
	expect_only_the_log(&broker);
	shmt_broker_remove(&broker);
}

TEST(end_while_the_next_start_waits_starts_none)
{
	struct shmt_broker broker = shmt_broker_supervised(NULL);

	for (int i = 0; i < 8; i++) {
		shmt_broker_kill(&broker);
		shmt_broker_next(&broker);
	}
	shmt_broker_kill(&broker);
	wait_for_lines(&broker, "restart_in_ms=800", 1);
	end_keeper(&broker, SIGTERM);
	ck_assert_uint_eq(shmt_broker_said(&broker, "event=started"), 9);
	expect_only_the_log(&broker);
	shmt_broker_remove(&broker);
}

TEST(a_killed_keeper_leaves_a_broker_that_serves)
{
	struct shmt_broker broker;
	char path[128];

	/* it is to tell that it lives every 100 ms, and so notices */
	setenv("WATCHDOG_USEC", "200000", 1);
	broker = shmt_broker_supervised(NULL);
	unsetenv("WATCHDOG_USEC");
	kill(broker.keeper, SIGKILL);
	waitpid(broker.keeper, NULL, 0);
	wait_for_lines(&broker, "event=keeper_lost", 1);
	ask(broker.address);
	/* nor does another keeper take its place, as long as it lives */
	ck_assert_int_eq(try_second(&broker, "--supervise"), 1);
	ask(broker.address);
	kill(broker.pid, SIGTERM);
	while (exists(broker.control))
		;
	ck_assert_uint_eq(shmt_broker_said(&broker, "event=keeper_lost"), 1);
	snprintf(path, sizeof(path), "%s.keeper", broker.control);
	unlink(path);
	snprintf(path, sizeof(path), "%s.keeper.lock", broker.control);
	unlink(path);
	shmt_broker_remove(&broker);
}

/* Others. */

TEST(second_broker_and_second_keeper_are_refused)
{
	struct shmt_broker broker = shmt_broker_supervised(NULL);
	ino_t socket = inode(broker.address);

	ck_assert_int_eq(try_second(&broker, NULL), 1);
	ck_assert_int_eq(try_second(&broker, "--supervise"), 1);
	/* also while there is none: its place is kept */
	kill(broker.keeper, SIGSTOP);
	shmt_broker_kill(&broker);
	ck_assert_int_eq(try_second(&broker, NULL), 1);
	kill(broker.keeper, SIGCONT);
	shmt_broker_next(&broker);
	ck_assert_int_eq(try_second(&broker, NULL), 1);
	ck_assert_uint_eq(inode(broker.address), socket);
	ask(broker.address);
	shmt_broker_stop(&broker);
}

static void say_to(const char *path, const char *text, int fd)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec part = { (void *)text, strlen(text) };
	struct msghdr header = { .msg_name = &name,
				 .msg_namelen = sizeof(name),
				 .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control) };
	int from = socket(AF_UNIX, SOCK_DGRAM, 0);

	CMSG_FIRSTHDR(&header)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&header)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&header)->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&header)), &fd, sizeof(fd));
	strncpy(name.sun_path, path, sizeof(name.sun_path) - 1);
	ck_assert_int_eq(sendmsg(from, &header, 0), (ssize_t)strlen(text));
	close(from);
}

TEST(word_of_a_stranger_counts_for_nothing)
{
	struct shmt_broker broker = shmt_broker_supervised(NULL), keeper = broker;
	ino_t socket = inode(broker.address);
	char path[128];
	size_t kept;

	keeper.pid = broker.keeper;
	kept = shmt_broker_descriptors(&keeper);
	snprintf(path, sizeof(path), "%s.keeper", broker.control);
	say_to(path, "FDSTOREREMOVE=1\nFDNAME=own-client", STDIN_FILENO);
	say_to(path, "FDSTORE=1\nFDNAME=own-client", STDIN_FILENO);
	wait_for_lines(&broker, "event=stranger", 2);
	ck_assert_uint_eq(shmt_broker_descriptors(&keeper), kept);
	shmt_broker_kill(&broker);
	shmt_broker_next(&broker);
	ck_assert_uint_eq(inode(broker.address), socket);
	ask(broker.address);
	shmt_broker_stop(&broker);
}

TEST(keeper_s_socket_is_its_user_s_alone)
{
	struct shmt_broker broker = shmt_broker_supervised(NULL);
	struct stat status;
	char path[128];

	snprintf(path, sizeof(path), "%s.keeper", broker.control);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 0777, 0600);
	shmt_broker_stop(&broker);
}

/* What cannot be. */

TEST(mistake_in_the_options_ends_the_keeper_with_it)
{
	const char *wrong[] = { shmt_program("SHMBROKERD"), "--supervise", "--client-mode=999",
				NULL };
	const char *absent[] = { shmt_program("SHMBROKERD"), "--supervise",
				 "--config=/nonexistent/file", NULL };
	struct shmt_process process = shmt_process_start(wrong);
	struct shmt_result result = shmt_process_finish(&process, "", 0);

	ck_assert_int_eq(result.code, 78);
	shmt_result_free(&result);
	process = shmt_process_start(absent);
	result = shmt_process_finish(&process, "", 0);
	ck_assert_int_eq(result.code, 78);
	shmt_result_free(&result);
}

TEST(first_broker_that_cannot_start_ends_the_keeper_with_its_code)
{
	struct shmt_broker broker = { .folder = "/tmp/shmbroker-test.XXXXXX" };

	ck_assert_ptr_nonnull(mkdtemp(broker.folder));
	snprintf(broker.address, sizeof(broker.address), "%s/shmbroker.sock", broker.folder);
	snprintf(broker.control, sizeof(broker.control), "%s/control.sock", broker.folder);
	close(open(broker.address, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(try_second(&broker, "--supervise"), 1);
	/* a file that is no socket is not ours to remove; all else is */
	ck_assert(exists(broker.address));
	unlink(broker.address);
	expect_only_the_log(&broker);
	shmt_broker_remove(&broker);
}

/* Another program at its path. */

struct program {
	char folder[32];
	char path[64];
};

/* As a package manager does it: a new file, moved over the old one. */
static void install(const struct program *program, const char *from)
{
	char new[128];
	int in = open(from, O_RDONLY | O_CLOEXEC), out;
	struct stat status;

	snprintf(new, sizeof(new), "%s.new", program->path);
	out = open(new, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	ck_assert_int_eq(fstat(in, &status), 0);
	for (off_t left = status.st_size; left > 0;) {
		ssize_t r = sendfile(out, in, NULL, (size_t)left);

		ck_assert_int_gt(r, 0);
		left -= r;
	}
	close(in);
	close(out);
	ck_assert_int_eq(rename(new, program->path), 0);
}

static void start_from(struct program *program)
{
	const char *from = shmt_program("SHMBROKERD");

	strcpy(program->folder, "/tmp/shmbroker-test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(program->folder));
	snprintf(program->path, sizeof(program->path), "%s/shmbrokerd", program->folder);
	install(program, from);
	setenv("SHMBROKERD", program->path, 1);
}

static void uninstall(const struct program *program)
{
	unlink(program->path);
	ck_assert_int_eq(rmdir(program->folder), 0);
}

static ino_t program_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return inode(path);
}

TEST(an_upgrade_runs_the_new_program_on_the_same_socket)
{
	const char *real = shmt_program("SHMBROKERD");
	struct program program;
	struct shmt_broker broker;
	ino_t old, socket;

	start_from(&program);
	broker = shmt_broker_supervised(NULL);
	old = program_of(broker.pid);
	socket = inode(broker.address);
	ck_assert_uint_eq(old, inode(program.path));
	install(&program, real);
	ck_assert_uint_ne(old, inode(program.path));
	ck_assert_uint_eq(program_of(broker.pid), old);
	kill(broker.keeper, SIGHUP);
	shmt_broker_next(&broker);
	ask(broker.address);
	ck_assert_uint_eq(program_of(broker.pid), inode(program.path));
	ck_assert_uint_eq(inode(broker.address), socket);
	ck_assert_uint_eq(shmt_broker_said(&broker, "broker_ended"), 0);
	shmt_broker_stop(&broker);
	uninstall(&program);
}

TEST(a_program_that_is_missing_is_waited_for)
{
	const char *real = shmt_program("SHMBROKERD");
	struct program program;
	struct shmt_broker broker;

	start_from(&program);
	broker = shmt_broker_supervised(NULL);
	unlink(program.path);
	kill(broker.keeper, SIGHUP);
	wait_for_lines(&broker, "event=cannot_exec", 1);
	install(&program, real);
	shmt_broker_next(&broker);
	ask(broker.address);
	shmt_broker_stop(&broker);
	uninstall(&program);
}

/* In place of a broker: this program, in several lives, which stores and looks what it gets. */

static void report(const char *what)
{
	FILE *file = fopen(getenv("SHMT_FAKE_REPORT"), "ae");

	fprintf(file, "%d %s\n", getpid(), what);
	fclose(file);
}

static void say(const char *text)
{
	systemd_notify(text);
	while (!systemd_is_flushed())
		systemd_flush();
}

static void store_sized(const char *name, int bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (ftruncate(fd, bytes) == 0)
		systemd_store(name, fd);
	close(fd);
	while (!systemd_is_flushed())
		systemd_flush();
}

/* Each size once, from 1 to as many as there are. Return: how many, -1 when it is not so. */
static int count_kept(const char *name)
{
	bool seen[KEPT + 1] = { false };
	int count = 0;

	for (size_t i = 0; i < systemd_passed_count(); i++) {
		const char *here = "";
		int fd = systemd_passed(i, &here);
		struct stat status;

		if (strcmp(here, name) != 0)
			continue;
		if (fstat(fd, &status) < 0 || status.st_size < 1 || status.st_size > KEPT ||
		    seen[status.st_size])
			return -1;
		seen[status.st_size] = true;
		count++;
	}
	return count;
}

__attribute__((noreturn)) static void be_broker(void)
{
	char text[64];
	int count = count_kept("kept"), sockets = systemd_listen_fd("own-client") >= 0;

	snprintf(text, sizeof(text), "has %d and its socket: %d", count, sockets);
	if (count == 0 && count_kept("done") == 0) {
		for (int i = 1; i <= KEPT; i++)
			store_sized("kept", i);
		store_sized("two:names", 1); /* refused */
	} else if (count > 0) {
		systemd_unstore("kept");
		store_sized("done", 1);
	}
	say("READY=1\nSTATUS=Pretending");
	report(text);
	for (;;)
		pause();
}

/* Waits for a line with @text; returns who wrote it. */
static pid_t wait_for_report(const char *path, const char *text)
{
	struct timespec wait = { .tv_nsec = 1000000 };

	for (;;) {
		FILE *file = fopen(path, "re");
		char line[128];

		while (file && fgets(line, sizeof(line), file)) {
			if (strstr(line, text)) {
				fclose(file);
				return (pid_t)strtol(line, NULL, 10);
			}
		}
		if (file)
			fclose(file);
		nanosleep(&wait, NULL);
	}
}

/* Killed right after it has sent them: what was sent is kept. */
TEST(what_a_broker_stored_reaches_the_next_and_what_it_gave_up_does_not)
{
	struct program program;
	struct shmt_broker broker;
	char path[128];

	start_from(&program);
	snprintf(path, sizeof(path), "%s/report", program.folder);
	setenv("SHMT_FAKE_REPORT", path, 1);
	broker = shmt_broker_supervised(NULL);
	install(&program, "/proc/self/exe");
	kill(broker.keeper, SIGHUP);
	kill(wait_for_report(path, "has 0 and its socket: 1"), SIGKILL);
	kill(wait_for_report(path, "has 300 and its socket: 1"), SIGKILL);
	unlink(path);
	wait_for_report(path, "has 0 and its socket: 1");
	ck_assert_uint_eq(shmt_broker_said(&broker, "event=not_kept name=?"), 1);
	end_keeper(&broker, SIGTERM);
	expect_only_the_log(&broker);
	unlink(path);
	shmt_broker_remove(&broker);
	uninstall(&program);
}

/* 4096 on a machine that allows them; here the limit is the process's. */
TEST(more_than_can_be_kept_is_refused_and_the_rest_arrives)
{
	const struct rlimit limit = { 300, 300 };
	struct program program;
	struct shmt_broker broker;
	char path[128];

	start_from(&program);
	snprintf(path, sizeof(path), "%s/report", program.folder);
	setenv("SHMT_FAKE_REPORT", path, 1);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	broker = shmt_broker_supervised(NULL);
	install(&program, "/proc/self/exe");
	kill(broker.keeper, SIGHUP);
	kill(wait_for_report(path, "has 0 and its socket: 1"), SIGKILL);
	/* half of the numbers less 64, of which six are the broker's sockets, locks, state and record of deaths */
	wait_for_report(path, "has 112 and its socket: 1");
	ck_assert_uint_ge(shmt_broker_said(&broker, "event=not_kept name=kept"), 1);
	end_keeper(&broker, SIGTERM);
	expect_only_the_log(&broker);
	unlink(path);
	shmt_broker_remove(&broker);
	uninstall(&program);
}

/* Under a manager of its own. */

static int bound(const char *path, int type)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strncpy(name.sun_path, path, sizeof(name.sun_path) - 1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

static void wait_for_word(int notify, const char *word)
{
	char text[512];

	do {
		text[recv(notify, text, sizeof(text) - 1, 0)] = '\0';
	} while (!strstr(text, word));
}

static pid_t start_with_sockets(const struct shmt_broker *broker, int client, int control)
{
	const char *path = shmt_program("SHMBROKERD");
	pid_t pid = fork();
	char number[16];

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	client = fcntl(client, F_DUPFD_CLOEXEC, 10);
	control = fcntl(control, F_DUPFD_CLOEXEC, 10);
	dup2(client, 3);
	dup2(control, 4);
	dup2(open(broker->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), 2);
	snprintf(number, sizeof(number), "%d", getpid());
	setenv("LISTEN_PID", number, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "client:control", 1);
	setenv("WATCHDOG_USEC", "200000", 1);
	execl(path, path, "--supervise", "--client-socket", broker->address, "--control-socket",
	      broker->control, NULL);
	_exit(127);
}

TEST(sockets_and_words_go_through_the_keeper)
{
	struct shmt_broker broker = { .folder = "/tmp/shmbroker-test.XXXXXX" };
	int client, control, notify;
	char path[96];

	ck_assert_ptr_nonnull(mkdtemp(broker.folder));
	snprintf(broker.address, sizeof(broker.address), "%s/shmbroker.sock", broker.folder);
	snprintf(broker.control, sizeof(broker.control), "%s/control.sock", broker.folder);
	snprintf(broker.log, sizeof(broker.log), "%s/log", broker.folder);
	snprintf(path, sizeof(path), "%s/notify", broker.folder);
	client = bound(broker.address, SOCK_STREAM);
	control = bound(broker.control, SOCK_STREAM);
	listen(client, 8);
	listen(control, 8);
	notify = bound(path, SOCK_DGRAM);
	setenv("NOTIFY_SOCKET", path, 1);
	broker.keeper = start_with_sockets(&broker, client, control);
	wait_for_word(notify, "READY=1\nSTATUS=Serving");
	shmt_broker_next(&broker);
	ask(broker.address);
	shmt_broker_kill(&broker);
	shmt_broker_next(&broker);
	ask(broker.address);
	ask_control(broker.control);
	for (int i = 0; i < 3; i++)
		wait_for_word(notify, "WATCHDOG=1");
	kill(broker.keeper, SIGTERM);
	wait_for_word(notify, "STOPPING=1");
	ck_assert_int_eq(waitpid(broker.keeper, NULL, 0), broker.keeper);
	ck_assert(exists(broker.address) && exists(broker.control));
	unlink(path);
	shmt_broker_remove(&broker);
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');

	if (name && strcmp(name, "/shmbrokerd") == 0)
		be_broker();
	return shmt_run(argc, argv);
}
