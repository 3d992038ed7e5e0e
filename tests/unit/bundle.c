/*
 * Descriptors that outlive who put them away. The manager is a socket of this test here; what it was
 * given comes back as if this process were the next one.
 */
#include "daemon/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/systemd.h"
#include "tests/support/descriptors.h"
#include "tests/support/runner.h"

enum {
	KEPT_MAX = 64,
	FILE_BYTES = 8192,
	NUMBER_MAX = 100000,
};

static uv_loop_t loop;
static struct bundles bundles;
static struct bundle_findings findings;
static bool known[NUMBER_MAX];
static struct {
	int fd;
	char names[KEPT_MAX][32];
	int fds[KEPT_MAX];
	size_t count;
} manager;

static void begin(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t bytes = sizeof(name);
	char path[128];

	log_to(-1);
	manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(manager.fd, (struct sockaddr *)&name, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(manager.fd, (struct sockaddr *)&name, &bytes), 0);
	snprintf(path, sizeof(path), "@%.*s", (int)(bytes - sizeof(sa_family_t) - 1),
		 name.sun_path + 1);
	setenv("NOTIFY_SOCKET", path, 1);
	setenv("FDSTORE", "64", 1);
	uv_loop_init(&loop);
	systemd_init(&loop);
	bundles = BUNDLES_NULL;
}

static void forget(const char *name)
{
	for (size_t i = manager.count; i > 0; i--) {
		if (strcmp(manager.names[i - 1], name) != 0)
			continue;
		close(manager.fds[i - 1]);
		manager.count--;
		manager.fds[i - 1] = manager.fds[manager.count];
		memmove(manager.names[i - 1], manager.names[manager.count], 32);
	}
}

/* One message; false when there is none. */
static bool hear(void)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char text[512], name[32];
	struct iovec part = { text, sizeof(text) - 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control) };
	ssize_t r = recvmsg(manager.fd, &header, MSG_CMSG_CLOEXEC);

	if (r < 0)
		return false;
	text[r] = '\0';
	if (sscanf(text, "FDSTOREREMOVE=1\nFDNAME=%31s", name) == 1) {
		forget(name);
	} else if (sscanf(text, "FDSTORE=1\nFDNAME=%31s", name) == 1) {
		ck_assert_uint_lt(manager.count, KEPT_MAX);
		ck_assert_ptr_nonnull(CMSG_FIRSTHDR(&header));
		memcpy(&manager.fds[manager.count], CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(int));
		memcpy(manager.names[manager.count++], name, sizeof(name));
	}
	return true;
}

static void hear_all(void)
{
	while (hear() || !systemd_is_flushed())
		uv_run(&loop, UV_RUN_NOWAIT);
}

/* To this process, as if it had been started with them. Once in a test. */
static void pass(void)
{
	char names[KEPT_MAX * 33] = "", number[16];
	int high[KEPT_MAX];

	hear_all();
	for (size_t i = 0; i < manager.count; i++)
		high[i] = fcntl(manager.fds[i], F_DUPFD, 100);
	for (size_t i = 0; i < manager.count; i++) {
		close(manager.fds[i]);
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 i > 0 ? ":" : "", manager.names[i]);
	}
	for (size_t i = 0; i < manager.count; i++) {
		ck_assert_int_ge(dup2(high[i], 3 + (int)i), 0);
		close(high[i]);
	}
	snprintf(number, sizeof(number), "%d", (int)getpid());
	setenv("LISTEN_PID", number, 1);
	snprintf(number, sizeof(number), "%zu", manager.count);
	setenv("LISTEN_FDS", number, 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

static bool is_known(void *context, uint64_t number)
{
	return known[number];
}

/* Who put them away is gone. 0 or -errno. */
static int take_over(void)
{
	hear_all();
	systemd_deinit();
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	close(manager.fd); /* below what is passed */
	bundles_deinit(&bundles);
	manager.fd = -1;
	pass();
	return bundles_take(&bundles, is_known, NULL, &findings);
}

static int file(void)
{
	int fd = memfd_create("item", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fallocate(fd, 0, 0, FILE_BYTES), 0);
	return fd;
}

static int park(uint64_t number)
{
	int fds[2] = { file(), file() };
	int r = bundles_park(&bundles, number, fds, 2);

	known[number] = r == 0;
	close(fds[0]);
	close(fds[1]);
	return r;
}

static void drop(uint64_t number)
{
	known[number] = false;
	bundles_drop(&bundles, number);
}

TEST(what_is_put_away_is_there_for_a_successor_with_all_its_descriptors)
{
	int fds[3] = { file(), file(), file() };
	struct bundle_finding finding = { .fd_count = 0 };
	struct stat here, there;

	begin();
	known[5] = known[7] = true;
	ck_assert_int_eq(bundles_park(&bundles, 5, fds, 3), 0);
	ck_assert_int_eq(bundles_park(&bundles, 7, fds + 1, 1), 0);
	fds[0] = fcntl(fds[0], F_DUPFD, 150);
	ck_assert_int_eq(take_over(), 0);
	ck_assert_uint_eq(findings.count, 2);
	ck_assert_int_eq(bundle_findings_take(&findings, 6, &finding), -ENOENT);
	ck_assert_int_eq(bundle_findings_take(&findings, 5, &finding), 0);
	ck_assert_uint_eq(finding.fd_count, 3);
	ck_assert(fstat(fds[0], &here) == 0 && fstat(finding.fds[0], &there) == 0);
	ck_assert_uint_eq(here.st_ino, there.st_ino);
	ck_assert_int_eq(bundle_findings_take(&findings, 5, &finding), -ENOENT);
	ck_assert_int_eq(bundle_findings_take(&findings, 7, &finding), 0);
	ck_assert_uint_eq(finding.fd_count, 1);
	bundle_findings_deinit(&findings);
	bundles_deinit(&bundles);
}

TEST(what_comes_and_goes_leaves_the_queues_as_long_as_what_stays, .timeout_s = 60)
{
	enum {
		STAY = 300,
		TURNS = 20000,
		BUNDLES = 8
	};
	size_t descriptors;

	begin();
	for (uint64_t i = 1; i <= STAY; i++)
		ck_assert_int_eq(park(i), 0);
	hear_all();
	descriptors = shmt_descriptor_count();
	for (uint64_t i = STAY + 1; i <= STAY + TURNS; i++) {
		ck_assert_int_eq(park(i), 0);
		drop(i);
		ck_assert_uint_le(bundles.messages, 2 * STAY + 100);
		ck_assert_uint_le(bundles.count, BUNDLES);
		hear_all();
	}
	ck_assert_uint_eq(bundles.item_count, STAY);
	ck_assert_uint_eq(bundles.descriptors, 2 * bundles.messages);
	/* of a bundle there are both ends, here and at the manager's */
	ck_assert_uint_le(shmt_descriptor_count(), descriptors + 2 * 2 * BUNDLES);
	ck_assert_int_eq(take_over(), 0);
	ck_assert_uint_eq(findings.count, STAY);
	bundle_findings_deinit(&findings);
	bundles_deinit(&bundles);
}

static struct rlimit lower_limit(rlim_t to)
{
	struct rlimit before, after;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	after = before;
	after.rlim_cur = to;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &after), 0);
	return before;
}

/* Else no client could be given a descriptor any more, and nothing could be turned over. */
TEST(before_too_much_is_in_flight_it_is_refused_and_what_is_dropped_makes_room)
{
	uint64_t number = 0, first = 1;

	begin();
	lower_limit(256);
	while (park(++number) == 0)
		;
	ck_assert_int_eq(park(number), -ETOOMANYREFS);
	ck_assert_uint_le(bundles.descriptors, 224);
	ck_assert_uint_ge(bundles.item_count, 100);
	for (int i = 0; i < 1000; i++) {
		drop(first++);
		ck_assert_int_eq(park(number++), 0);
		ck_assert_uint_le(bundles.descriptors, 224);
	}
	while (first < number - 1)
		drop(first++);
	ck_assert_uint_eq(bundles.item_count, 1);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(park(number++), 0);
	bundles_deinit(&bundles);
}

/* There may be as much of it as of the rest, and more descriptors than may be open. */
TEST(what_nobody_knows_is_emptied_and_takes_no_descriptors)
{
	struct bundle_finding finding = { .fd_count = 0 };
	int fds[2] = { file(), file() };
	struct stat status;

	begin();
	ck_assert_int_eq(bundles_park(&bundles, 1, fds, 2), 0);
	fds[0] = fcntl(fds[0], F_DUPFD, 150);
	for (uint64_t i = 2; i < 60; i++)
		ck_assert_int_eq(park(i), 0);
	for (uint64_t i = 2; i < 59; i++)
		known[i] = false; /* as if who put them away had been killed before he wrote it */
	hear_all();
	ck_assert_int_eq(fstat(fds[0], &status), 0);
	ck_assert_int_gt(status.st_blocks, 0);
	lower_limit(180);
	ck_assert_int_eq(take_over(), 0);
	ck_assert_uint_eq(findings.count, 1);
	ck_assert_uint_eq(bundles.item_count, 1);
	ck_assert_uint_eq(bundles.messages, 59);
	ck_assert_int_eq(fstat(fds[0], &status), 0);
	ck_assert_int_eq(status.st_blocks, 0);
	ck_assert_int_eq(bundle_findings_take(&findings, 59, &finding), 0);
	bundle_findings_deinit(&findings);
	bundles_deinit(&bundles);
}

/* As it is when it was turned over by one who was killed before he took it from the head. */
TEST(what_is_there_twice_is_one_and_goes_as_one)
{
	int fds[1] = { file() };

	begin();
	known[1] = known[2] = true;
	ck_assert_int_eq(bundles_park(&bundles, 1, fds, 1), 0);
	bundles.items[0].number = 0; /* forgotten */
	ck_assert_int_eq(bundles_park(&bundles, 1, fds, 1), 0);
	ck_assert_int_eq(bundles_park(&bundles, 2, fds, 1), 0);
	ck_assert_int_eq(take_over(), 0);
	ck_assert_uint_eq(findings.count, 2);
	ck_assert_uint_eq(bundles.messages, 3);
	ck_assert_uint_eq(bundles.items[0].copies, 2);
	bundle_findings_drop(&findings, &bundles);
	ck_assert_uint_eq(bundles.item_count, 0);
	bundle_findings_deinit(&findings);
	bundles_deinit(&bundles);
}

TEST(one_end_alone_is_given_up)
{
	int fds[1] = { file() };

	begin();
	ck_assert_int_eq(bundles_park(&bundles, 1, fds, 1), 0);
	known[1] = true;
	hear_all();
	ck_assert_uint_eq(manager.count, 2);
	forget("bundle-1-out");
	ck_assert_int_eq(take_over(), 0);
	ck_assert_uint_eq(findings.count, 0);
	ck_assert_uint_eq(bundles.count, 0);
	ck_assert_uint_eq(bundles.number, 1); /* its name is not given again */
	ck_assert_int_lt(fcntl(3, F_GETFD), 0);
}

/* The manager takes no more for now, and there is no descriptor to wait with. */
TEST(a_bundle_that_cannot_be_kept_whole_is_not_kept)
{
	int fds[1] = { file() };
	struct rlimit before;
	int lowest;

	begin();
	for (int i = 0; systemd_is_flushed(); i++) {
		char text[32];

		snprintf(text, sizeof(text), "STATUS=%d", i);
		systemd_notify(text);
	}
	ck_assert(hear() && hear());
	uv_run(&loop, UV_RUN_ONCE); /* what waited is sent: there is room for one */
	ck_assert(systemd_is_flushed());
	lowest = dup(manager.fd);
	close(lowest);
	before = lower_limit((rlim_t)lowest + 2); /* the bundle's ends and no more */
	ck_assert_int_eq(bundles_park(&bundles, 1, fds, 1), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	hear_all();
	ck_assert_uint_eq(manager.count, 0);
	ck_assert_int_eq(bundles_park(&bundles, 1, fds, 1), 0);
	hear_all();
	ck_assert_uint_eq(manager.count, 2);
	bundles_deinit(&bundles);
}

int main(int argc, char **argv)
{
	/* numbers for what will be passed: else it would take those of the test's runner */
	while (dup(STDERR_FILENO) < 3 + KEPT_MAX)
		;
	return shmt_run(argc, argv);
}
