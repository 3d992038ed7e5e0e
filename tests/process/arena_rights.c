/*
 * Who may do what in an arena: its owner and mode decide for all that is in it, and the directory
 * is nobody's to write. Needs root, to be others.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/arena.h"
#include "protocol/waiter.h"
#include "tests/support/broker.h"
#include "tests/support/raw.h"
#include "tests/support/runner.h"

#define ALICE 12345
#define BOB   12346

#define ARENA  "{'name':'sim','kind':'arena','mode':%d}"
#define CREATE "{'name':'sim:%s','kind':'%s','options':{'endpoints_max':4}}"
#define ATTACH "{'name':'sim:%s','role':'%s'}"

static struct shmt_broker broker;

/* Does @act as another user. */
static void as(uid_t uid, void (*act)(struct shmt_raw *raw))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
			_exit(2);
		act(shmt_raw_open(broker.address));
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
}

static void begin(void)
{
	broker = shmt_broker_start(NULL);
	ck_assert_int_eq(chmod(broker.folder, 0711), 0);
}

static void make_in(struct shmt_raw *raw, unsigned int mode)
{
	ck_assert_str_eq(shmt_raw_call(raw, "Create", ARENA, mode), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", CREATE, "array", "array"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", CREATE, "atomic", "atomic"), "");
}

static void make_private(struct shmt_raw *raw)
{
	make_in(raw, 0600);
}

static void make_readable(struct shmt_raw *raw)
{
	make_in(raw, 0604);
}

static void make_writable(struct shmt_raw *raw)
{
	make_in(raw, 0606);
}

static void try_everything_in_vain(struct shmt_raw *raw)
{
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", "{'name':'sim','role':'observer'}"),
			 "Denied");
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "array", "observer"), "Denied");
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "array", "writer"), "Denied");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", CREATE, "mine", "array"), "Denied");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'sim:array'}"), "Denied");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'sim'}"), "Denied");
}

TEST(objects_are_as_private_as_their_arena)
{
	begin();
	as(ALICE, make_private);
	as(BOB, try_everything_in_vain);
	shmt_broker_stop(&broker);
}

static void check_readonly(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ck_assert_int_lt(open(path, O_RDWR), 0);
	ck_assert_ptr_eq(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	ck_assert_int_lt(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
	ck_assert_ptr_ne(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
}

/* An atomic's reader writes where it waits, and its ctl is the neighbours', too. */
static void read_but_write_nothing(struct shmt_raw *raw)
{
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "array", "reader"), "");
	check_readonly(shmt_raw_fd(raw, "ctl"));
	check_readonly(shmt_raw_fd(raw, "data"));
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "atomic", "observer"), "");
	check_readonly(shmt_raw_fd(raw, "ctl"));
	check_readonly(shmt_raw_fd(raw, "data"));
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "atomic", "reader"), "Denied");
	ck_assert_ptr_nonnull(strstr(shmt_raw_string(raw, "message"), "write"));
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "array", "writer"), "Denied");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", CREATE, "mine", "array"), "Denied");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'sim:array'}"), "Denied");
}

TEST(who_may_only_read_gets_nothing_that_can_be_written)
{
	begin();
	as(ALICE, make_readable);
	as(BOB, read_but_write_nothing);
	shmt_broker_stop(&broker);
}

static void use_as_writer(struct shmt_raw *raw)
{
	ck_assert_str_eq(shmt_raw_call(raw, "Create", CREATE, "more", "array"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "array", "writer"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'sim:array'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'sim'}"), "Denied");
}

TEST(who_may_write_makes_and_unlinks_objects_but_not_the_arena)
{
	begin();
	as(ALICE, make_writable);
	as(BOB, use_as_writer);
	shmt_broker_stop(&broker);
}

static void look_for_the_directory(struct shmt_raw *raw)
{
	struct stat directory, heap;
	int ctl;

	ck_assert_str_eq(shmt_raw_call(raw, "Attach", "{'name':'sim','role':'observer'}"), "");
	ctl = shmt_raw_fd(raw, "ctl");
	ck_assert_int_eq(shmt_raw_fd(raw, "data"), -1);
	check_readonly(ctl);
	ck_assert_int_lt(fchmod(ctl, 0666), 0);
	ck_assert_int_eq(fstat(ctl, &directory), 0);
	/* nor do the heaps lead there */
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "atomic", "writer"), "");
	ck_assert_int_eq(fstat(shmt_raw_fd(raw, "ctl"), &heap), 0);
	ck_assert_uint_ne(heap.st_ino, directory.st_ino);
	ck_assert_int_eq(fstat(shmt_raw_fd(raw, "data"), &heap), 0);
	ck_assert_uint_ne(heap.st_ino, directory.st_ino);
}

TEST(the_directory_is_readonly_even_for_those_who_may_write)
{
	begin();
	as(ALICE, make_writable);
	as(BOB, look_for_the_directory);
	shmt_broker_stop(&broker);
}

/* Whoever maps one object's ctl maps the futexes of all, if only to read them. */
static void look_at_the_array(struct shmt_raw *raw)
{
	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, "array", "reader"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Leave", "{}"), "");
}

static uint32_t mode_of(struct shmt_raw *raw, const char *name)
{
	const cJSON *geometry;
	uint64_t offset = 0, bytes = 0;
	const uint8_t *ctl;

	ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, name, "observer"), "");
	geometry = shmt_raw_item(raw, "geometry");
	ck_assert_int_eq(shmp_json_u64(geometry, "ctl_offset", INT64_MAX, &offset), 0);
	ck_assert_int_eq(shmp_json_u64(geometry, "ctl_file_bytes", INT64_MAX, &bytes), 0);
	ck_assert_uint_eq(offset % SHMP_SEGMENT_PACKING, 0);
	ctl = mmap(NULL, bytes, PROT_READ, MAP_SHARED, shmt_raw_fd(raw, "ctl"), 0);
	ck_assert_ptr_ne(ctl, MAP_FAILED);
	/* an atomic's control begins with its waiter */
	return ((const struct shmp_waiter *)(const void *)(ctl + offset + sizeof(struct shmp_head)))
		->mode;
}

static void see_no_pieces(struct shmt_raw *raw)
{
	ck_assert_uint_eq(mode_of(raw, "atomic"), 0);
}

static void see_pieces(struct shmt_raw *raw)
{
	ck_assert_uint_eq(mode_of(raw, "atomic"), SHMP_WAITER_PIECES);
	/* one that is made later, too */
	ck_assert_str_eq(shmt_raw_call(raw, "Create", CREATE, "later", "atomic"), "");
	ck_assert_uint_eq(mode_of(raw, "later"), SHMP_WAITER_PIECES);
}

TEST(nobody_in_the_arena_sleeps_for_long_once_a_stranger_reads_there)
{
	begin();
	as(ALICE, make_readable);
	as(ALICE, see_no_pieces);
	as(BOB, look_at_the_array);
	as(ALICE, see_pieces);
	shmt_broker_stop(&broker);
}

/* The segments' quota counts objects, the bytes' the arena alone. */
static void make_up_to_the_quota(struct shmt_raw *raw)
{
	ck_assert_str_eq(shmt_raw_call(raw, "Create",
				       "{'name':'sim','kind':'arena','options':"
				       "{'control_bytes':32768,'data_bytes':32768}}"),
			 "");
	/* 32768 and 32768, and two pages for head and names: not a byte is left */
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'more','kind':'atomic'}"), "Quota");
	ck_assert_str_eq(shmt_raw_string(raw, "limit"), "bytes");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", CREATE, "a", "array"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", CREATE, "b", "array"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", CREATE, "c", "array"), "Quota");
	ck_assert_str_eq(shmt_raw_string(raw, "limit"), "segments");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'sim:a'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", CREATE, "c", "array"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'sim'}"), "");
	ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'sim','kind':'atomic'}"), "");
}

TEST(an_object_is_a_segment_of_the_owners_and_its_bytes_are_paid_for)
{
	const char *options[] = { "--segments-per-uid=3", "--bytes-per-uid=73728", NULL };

	broker = shmt_broker_start(options);
	ck_assert_int_eq(chmod(broker.folder, 0711), 0);
	as(ALICE, make_up_to_the_quota);
	shmt_broker_stop(&broker);
}

/* Whatever kind there is, with what it is by default: made, opened in each role, and left. */
TEST(every_kind_but_arena_and_record_has_its_place_in_an_arena)
{
	struct shmt_raw *raw;

	broker = shmt_broker_start(NULL);
	raw = shmt_raw_open(broker.address);
	ck_assert_str_eq(shmt_raw_call(raw, "Create",
				       "{'name':'sim','kind':'arena','options':"
				       "{'data_bytes':16777216}}"),
			 "");
	for (size_t i = 0; i < shmp_kind_count; i++) {
		const struct shmp_kind *kind = shmp_kinds[i];

		if (kind->holder || kind->check_init)
			continue;
		ck_assert_str_eq(shmt_raw_call(raw, "Create", "{'name':'sim:%s','kind':'%s'}",
					       kind->name, kind->name),
				 "");
		for (size_t k = 0; k < kind->role_count; k++)
			ck_assert_str_eq(shmt_raw_call(raw, "Attach", ATTACH, kind->name,
						       kind->roles[k].name),
					 "");
	}
	ck_assert_str_eq(shmt_raw_call(raw, "Unlink", "{'name':'sim'}"), "");
	shmt_raw_close(raw);
	shmt_broker_stop(&broker);
}

int main(int argc, char **argv)
{
	if (geteuid() != 0)
		return shmt_skip("needs root");
	return shmt_run(argc, argv);
}
