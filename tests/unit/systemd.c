/*
 * What passes between a service and its manager, which is a socket of this test here.
 */
#include "daemon/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/log.h"
#include "tests/support/runner.h"

enum {
	NONE = -2, /* no message is there */
	PASSED_MAX = 5,
};

static uv_loop_t loop;
static int manager;

/* An address that the kernel chooses; the service finds it by its environment. */
static void begin(const char *store)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t bytes = sizeof(name);
	char path[128];

	log_to(-1);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(manager, (struct sockaddr *)&name, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(manager, (struct sockaddr *)&name, &bytes), 0);
	snprintf(path, sizeof(path), "@%.*s", (int)(bytes - sizeof(sa_family_t) - 1),
		 name.sun_path + 1);
	setenv("NOTIFY_SOCKET", path, 1);
	if (store)
		setenv("FDSTORE", store, 1);
	uv_loop_init(&loop);
	systemd_init(&loop);
}

static void end(void)
{
	systemd_deinit();
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	close(manager);
}

/* The next message, and the descriptor that came with it or -1; NONE when there is no message. */
static int receive(char *text, size_t bytes)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec part = { text, bytes - 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control) };
	ssize_t r = recvmsg(manager, &header, MSG_CMSG_CLOEXEC);
	int fd = -1;

	if (r < 0)
		return NONE;
	text[r] = '\0';
	if (CMSG_FIRSTHDR(&header))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(fd));
	return fd;
}

static void expect(const char *expected)
{
	char text[512];

	while (receive(text, sizeof(text)) == NONE)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_str_eq(text, expected);
}

static int memory(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static bool is_same(int a, int b)
{
	struct stat here, there;

	return fstat(a, &here) == 0 && fstat(b, &there) == 0 && here.st_ino == there.st_ino;
}

/* Until the manager's queue takes no more. Return: how many messages were sent or wait. */
static int fill(void)
{
	char text[64];
	int count = 0;

	while (systemd_is_flushed()) {
		snprintf(text, sizeof(text), "STATUS=%d", count++);
		systemd_notify(text);
	}
	return count;
}

static void on_barrier(void *context)
{
	++*(int *)context;
}

TEST(what_is_stored_arrives_with_its_name)
{
	char text[512];
	int fd = memory("state"), got;

	begin("16");
	ck_assert(systemd_has_store());
	ck_assert_int_eq(systemd_store("state", fd), 0);
	ck_assert(systemd_is_flushed());
	got = receive(text, sizeof(text));
	ck_assert_str_eq(text, "FDSTORE=1\nFDNAME=state\nFDPOLL=0");
	ck_assert(is_same(fd, got));
	ck_assert_int_eq(systemd_unstore("state"), 0);
	expect("FDSTOREREMOVE=1\nFDNAME=state");
	end();
}

TEST(without_a_manager_nothing_is_done_and_barriers_are_passed)
{
	int fd = memory("state"), passed = 0;

	unsetenv("NOTIFY_SOCKET");
	uv_loop_init(&loop);
	systemd_init(&loop);
	manager = -1;
	systemd_notify("READY=1");
	ck_assert(!systemd_has_store());
	ck_assert_int_eq(systemd_store("state", fd), 0);
	ck_assert_int_eq(systemd_unstore("state"), 0);
	ck_assert_int_eq(systemd_barrier(on_barrier, &passed), 0);
	ck_assert_int_eq(passed, 0);
	while (!passed)
		uv_run(&loop, UV_RUN_ONCE);
	end();
}

TEST(a_manager_that_only_listens_is_no_store)
{
	begin(NULL);
	ck_assert(!systemd_has_store());
	ck_assert_int_eq(systemd_store("state", memory("state")), 0);
	systemd_notify("READY=1");
	expect("READY=1");
	end();
}

TEST(what_a_full_queue_refuses_comes_later_and_in_order)
{
	char text[512], expected[64];
	int fd = memory("state"), got, count;

	begin("16");
	count = fill();
	expect("STATUS=0"); /* now there is room, but one waits already */
	ck_assert_int_eq(systemd_store("state", fd), 0);
	systemd_notify("WATCHDOG=1");
	for (int i = 1; i < count; i++) {
		snprintf(expected, sizeof(expected), "STATUS=%d", i);
		expect(expected);
	}
	while ((got = receive(text, sizeof(text))) == NONE)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_str_eq(text, "FDSTORE=1\nFDNAME=state\nFDPOLL=0");
	ck_assert(is_same(fd, got));
	expect("WATCHDOG=1");
	ck_assert(systemd_is_flushed());
	end();
}

TEST(what_waits_is_kept_although_its_giver_closed_it)
{
	char text[512];
	int fd = memory("state"), twin = dup(fd), got;

	begin("16");
	fill();
	ck_assert_int_eq(systemd_store("state", fd), 0);
	close(fd);
	do {
		uv_run(&loop, UV_RUN_NOWAIT);
		got = receive(text, sizeof(text));
	} while (got < 0);
	ck_assert(is_same(twin, got));
	end();
}

TEST(without_a_loop_what_waits_goes_when_it_is_flushed)
{
	char text[512];

	begin("16");
	systemd_deinit();
	fill();
	while (receive(text, sizeof(text)) != NONE)
		;
	ck_assert(!systemd_is_flushed());
	systemd_flush();
	ck_assert(systemd_is_flushed());
	ck_assert_int_ne(receive(text, sizeof(text)), NONE);
	end();
}

TEST(signs_of_life_do_not_heap_up)
{
	char text[512];
	int signs = 0;

	begin("16");
	fill();
	for (int i = 0; i < 100; i++)
		systemd_notify("WATCHDOG=1");
	while (!systemd_is_flushed()) {
		receive(text, sizeof(text));
		uv_run(&loop, UV_RUN_ONCE);
	}
	while (receive(text, sizeof(text)) != NONE)
		signs += strcmp(text, "WATCHDOG=1") == 0;
	ck_assert_int_eq(signs, 1);
	end();
}

TEST(a_barrier_is_passed_when_the_manager_closes_its_pipe)
{
	char text[512];
	int passed = 0, pipe;

	begin("16");
	ck_assert_int_eq(systemd_barrier(on_barrier, &passed), 0);
	pipe = receive(text, sizeof(text));
	ck_assert_str_eq(text, "BARRIER=1");
	uv_run(&loop, UV_RUN_NOWAIT);
	ck_assert_int_eq(passed, 0);
	close(pipe);
	while (!passed)
		uv_run(&loop, UV_RUN_ONCE);
	uv_run(&loop, UV_RUN_NOWAIT);
	ck_assert_int_eq(passed, 1);
	end();
}

TEST(a_barrier_comes_behind_what_waits)
{
	char text[512];
	int passed = 0, pipe;

	begin("16");
	fill();
	ck_assert_int_eq(systemd_store("state", memory("state")), 0);
	ck_assert_int_eq(systemd_barrier(on_barrier, &passed), 0);
	do {
		uv_run(&loop, UV_RUN_NOWAIT);
		pipe = receive(text, sizeof(text));
		ck_assert_int_eq(passed, 0);
	} while (strcmp(text, "BARRIER=1") != 0);
	close(pipe);
	while (!passed)
		uv_run(&loop, UV_RUN_ONCE);
	end();
}

TEST(a_manager_that_died_is_no_store_and_holds_up_no_barrier)
{
	int passed = 0;

	begin("16");
	fill();
	ck_assert_int_eq(systemd_store("state", memory("state")), 0);
	ck_assert_int_eq(systemd_barrier(on_barrier, &passed), 0);
	close(manager);
	manager = -1;
	while (!passed)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert(!systemd_has_store());
	ck_assert(systemd_is_flushed());
	end();
}

TEST(an_end_with_messages_and_barriers_leaves_nothing)
{
	int passed = 0, before, after;

	before = memory("before");
	close(before);
	begin("16");
	fill();
	ck_assert_int_eq(systemd_store("state", manager), 0);
	ck_assert_int_eq(systemd_barrier(on_barrier, &passed), 0);
	end();
	ck_assert_int_eq(passed, 0);
	after = memory("after");
	ck_assert_int_eq(after, before);
}

/* Passed descriptors: main has opened them. */

static void pass(const char *names, unsigned count)
{
	char number[32];

	ck_assert_uint_le(count, PASSED_MAX);
	for (int fd = 3; fd < 3 + (int)count; fd++)
		ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
	snprintf(number, sizeof(number), "%d", getpid());
	setenv("LISTEN_PID", number, 1);
	snprintf(number, sizeof(number), "%u", count);
	setenv("LISTEN_FDS", number, 1);
	if (names)
		setenv("LISTEN_FDNAMES", names, 1);
}

static void expect_passed(size_t index, const char *name)
{
	const char *got = "";

	ck_assert_int_eq(systemd_passed(index, &got), 3 + (int)index);
	ck_assert_str_eq(got, name);
}

TEST(all_that_was_passed_is_found_with_names_that_repeat)
{
	pass("client:bundle:control:bundle", 4);
	ck_assert_uint_eq(systemd_passed_count(), 4);
	expect_passed(0, "client");
	expect_passed(1, "bundle");
	expect_passed(2, "control");
	expect_passed(3, "bundle");
	ck_assert_int_eq(systemd_passed(4, NULL), -1);
	ck_assert_int_eq(systemd_listen_fd("bundle"), 4);
	ck_assert_int_eq(systemd_listen_fd("control"), 5);
	ck_assert_int_eq(systemd_listen_fd("con"), -1);
	for (int fd = 3; fd < 7; fd++)
		ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

TEST(what_has_no_name_is_unknown)
{
	pass("client::x", 5);
	expect_passed(0, "client");
	expect_passed(1, "unknown");
	expect_passed(2, "x");
	expect_passed(3, "unknown");
	expect_passed(4, "unknown");
}

TEST(without_names_all_are_unknown)
{
	unsetenv("LISTEN_FDNAMES");
	pass(NULL, 2);
	expect_passed(1, "unknown");
}

TEST(what_was_passed_to_another_process_is_not_ours)
{
	pass("client", 1);
	setenv("LISTEN_PID", "1", 1);
	ck_assert_uint_eq(systemd_passed_count(), 0);
	ck_assert_int_eq(systemd_listen_fd("client"), -1);
}

TEST(numbers_that_cannot_be_are_none)
{
	pass("client", 1);
	setenv("LISTEN_FDS", "18446744073709551615", 1);
	ck_assert_uint_eq(systemd_passed_count(), 0);
}

TEST(a_number_that_is_not_open_is_not_passed)
{
	pass("client:control", 2);
	close(4);
	ck_assert_int_eq(systemd_passed(1, NULL), -1);
	ck_assert_int_eq(systemd_listen_fd("control"), -1);
	ck_assert_int_eq(systemd_listen_fd("client"), 3);
}

TEST(after_all_were_taken_nothing_is_passed_on)
{
	pass("client", 1);
	ck_assert_uint_eq(systemd_passed_count(), 1);
	systemd_listen_done();
	ck_assert_uint_eq(systemd_passed_count(), 0);
	ck_assert_ptr_null(getenv("LISTEN_FDS"));
	ck_assert_ptr_null(getenv("LISTEN_PID"));
	ck_assert_ptr_null(getenv("LISTEN_FDNAMES"));
}

/* Before check opens a file of its own at the number of the first one. */
int main(int argc, char **argv)
{
	while (open("/dev/null", O_RDONLY) < 2 + PASSED_MAX)
		;
	return shmt_run(argc, argv);
}
