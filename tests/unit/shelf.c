/* Descriptors with names: kept, removed by name, and laid out for the next process. */
#include "daemon/shelf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/runner.h"

static struct shelf shelf;

/* A descriptor that says which one it is. */
static int numbered(int number)
{
	int fd = memfd_create("numbered", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, number), 0);
	return fd;
}

static int number_of(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 ? (int)status.st_size : -1;
}

static void add(const char *name, int number)
{
	ck_assert_int_eq(shelf_add(&shelf, name, numbered(number)), 0);
}

static void expect_names(const char *names)
{
	char *got = shelf_names(&shelf);

	ck_assert_str_eq(got, names);
	free(got);
}

TEST(names_stand_in_the_order_of_coming_and_may_repeat)
{
	shelf_init(&shelf, 10);
	expect_names("");
	add("client", 1);
	expect_names("client");
	add("bundle", 2);
	add("bundle", 3);
	expect_names("client:bundle:bundle");
	shelf_deinit(&shelf);
}

TEST(all_of_a_name_are_removed_and_closed)
{
	int fd;

	shelf_init(&shelf, 10);
	add("bundle", 1);
	fd = shelf.entries[0].fd;
	add("client", 2);
	add("bundle", 3);
	ck_assert_uint_eq(shelf_remove(&shelf, "bundle"), 2);
	ck_assert_uint_eq(shelf_remove(&shelf, "bundle"), 0);
	ck_assert_int_eq(number_of(fd), -1);
	expect_names("client");
	ck_assert_int_eq(number_of(shelf.entries[0].fd), 2);
	shelf_deinit(&shelf);
}

TEST(one_more_than_most_is_refused_and_stays_its_giver_s)
{
	int fd = numbered(7);

	shelf_init(&shelf, 20);
	for (int i = 0; i < 20; i++)
		add("x", i);
	ck_assert_int_eq(shelf_add(&shelf, "x", fd), -ENOSPC);
	ck_assert_int_eq(number_of(fd), 7);
	ck_assert_uint_eq(shelf.count, 20);
	shelf_remove(&shelf, "x");
	ck_assert_int_eq(shelf_add(&shelf, "x", fd), 0);
	shelf_deinit(&shelf);
}

/* As an environment takes them: the exec at the end is the proof. */
TEST(names_as_long_as_an_environment_takes_and_no_longer)
{
	char name[256] = "", *names;
	int status, r, fd = numbered(1);
	pid_t pid;

	memset(name, 'n', sizeof(name) - 1);
	shelf_init(&shelf, 4096);
	do {
		r = shelf_add(&shelf, name, fcntl(fd, F_DUPFD_CLOEXEC, 0));
	} while (r == 0);
	ck_assert_int_eq(r, -E2BIG);
	/* to the last byte */
	name[SHELF_NAMES_BYTES_MAX - shelf.names_bytes - 1] = '\0';
	ck_assert_int_eq(shelf_add(&shelf, name, fcntl(fd, F_DUPFD_CLOEXEC, 0)), 0);
	ck_assert_int_eq(shelf_add(&shelf, "", fd), -E2BIG);
	names = shelf_names(&shelf);
	ck_assert_uint_eq(strlen(names), SHELF_NAMES_BYTES_MAX - 1);
	setenv("LISTEN_FDNAMES", names, 1);
	free(names);
	pid = fork();
	if (pid == 0) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	shelf_deinit(&shelf);
}

static int lay_out_and_look(void)
{
	if (shelf_lay_out(&shelf) < 0)
		return 1;
	for (int i = 0; i < (int)shelf.count; i++) {
		if (number_of(3 + i) != i + 1 || fcntl(3 + i, F_GETFD) != 0)
			return 2;
	}
	return 0;
}

/* Wherever they are before: below, among and above the numbers that they get. */
TEST(all_are_laid_out_from_three_on, .rounds = 3)
{
	int base[] = { 3, 20, 200 }, status;
	pid_t pid;

	shelf_init(&shelf, 100);
	for (int i = 0; i < 40; i++) {
		int fd = numbered(i + 1);

		/* backwards: the first one sits where the last one goes */
		ck_assert_int_eq(
			shelf_add(&shelf, "x", fcntl(fd, F_DUPFD_CLOEXEC, base[_i] + 39 - i)), 0);
		close(fd);
	}
	pid = fork();
	if (pid == 0) {
		shmt_be_child();
		_exit(lay_out_and_look());
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	shelf_deinit(&shelf);
}

SHMT_MAIN
