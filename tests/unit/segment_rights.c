/*
 * What another user can do with the descriptors of a reader: not make them writable again. Needs
 * root, to become somebody else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/runner.h"
#include "tests/support/segment.h"

#define STRANGER 12345

static struct shmt_segment make(void)
{
	struct shmt_segment segment;

	shmt_segment_make(&segment, "spsc", (uint64_t[SHMP_OPTIONS_MAX]){ 4096, 0 });
	return segment;
}

/* Runs @attempt as a stranger who holds descriptor @fd. */
static void as_stranger(int (*attempt)(int fd), int fd)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (setgid(STRANGER) < 0 || setuid(STRANGER) < 0)
			_exit(99);
		_exit(attempt(fd));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "attempt: status 0x%x",
		      (unsigned)status);
}

static int open_again(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

static int reopens_for_writing(int fd)
{
	if (open_again(fd, O_RDWR) >= 0 || errno != EACCES)
		return 1;
	return open_again(fd, O_WRONLY) >= 0 || errno != EACCES;
}

static int maps_for_writing(int fd)
{
	void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map != MAP_FAILED)
		return 1;
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return 2;
	return mprotect(map, 4096, PROT_READ | PROT_WRITE) == 0;
}

static int changes_the_file(int fd)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0)
		return 1;
	if (fchmod(fd, 0666) == 0)
		return 2;
	if (ftruncate(fd, 0) == 0)
		return 3;
	return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0 ? 4 : 0;
}

static int reads(int fd)
{
	char byte;

	return pread(fd, &byte, 1, 0) == 1 ? 0 : 1;
}

TEST(a_reader_of_another_user_reads)
{
	struct shmt_segment segment = make();

	as_stranger(reads, segment.fds.data_readonly);
	as_stranger(reads, segment.fds.ctl_readonly);
}

TEST(a_reader_of_another_user_cannot_reopen_for_writing)
{
	struct shmt_segment segment = make();

	as_stranger(reopens_for_writing, segment.fds.data_readonly);
	as_stranger(reopens_for_writing, segment.fds.ctl_readonly);
}

TEST(a_reader_of_another_user_cannot_map_for_writing)
{
	struct shmt_segment segment = make();

	as_stranger(maps_for_writing, segment.fds.data_readonly);
	as_stranger(maps_for_writing, segment.fds.ctl_readonly);
}

TEST(a_reader_of_another_user_cannot_change_the_memory)
{
	struct shmt_segment segment = make();

	as_stranger(changes_the_file, segment.fds.data_readonly);
	as_stranger(changes_the_file, segment.fds.ctl_readonly);
}

int main(int argc, char **argv)
{
	if (geteuid() != 0)
		return shmt_skip("needs root, to become another user");
	return shmt_run(argc, argv);
}
