/* Memory as the broker makes it and clients map it. What another user may do: segment_rights.c. */
#include "protocol/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/descriptors.h"
#include "tests/support/runner.h"
#include "tests/support/segment.h"

#define DATA	  65536u
#define ALL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

static struct shmt_segment make(void)
{
	struct shmt_segment segment;

	shmt_segment_make(&segment, "spsc", (uint64_t[SHMP_OPTIONS_MAX]){ DATA, 0 });
	return segment;
}

/* All of a segment's descriptors. */
static void all_fds(const struct shmt_segment *segment, int ret_fds[4])
{
	ret_fds[0] = segment->fds.ctl;
	ret_fds[1] = segment->fds.data;
	ret_fds[2] = segment->fds.ctl_readonly;
	ret_fds[3] = segment->fds.data_readonly;
}

TEST(sizes_are_sealed_on_every_descriptor)
{
	struct shmt_segment segment = make();
	int fds[4];

	all_fds(&segment, fds);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(fcntl(fds[i], F_GET_SEALS) & ALL_SEALS, ALL_SEALS);
		ck_assert_int_eq(ALL_SEALS, 7);
	}
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(ftruncate(fds[i], 0), -1);
		ck_assert_int_eq(ftruncate(fds[i], 1 << 20), -1);
		ck_assert_int_eq(fcntl(fds[i], F_ADD_SEALS, F_SEAL_WRITE), -1);
	}
	shmt_segment_free(&segment);
}

TEST(memory_cannot_be_made_executable)
{
	struct shmt_segment segment = make();
	int seals = fcntl(segment.fds.data, F_GET_SEALS);

	if (seals & F_SEAL_EXEC) /* Linux 6.3 */
		ck_assert_int_eq(fchmod(segment.fds.data, 0700), -1);
	shmt_segment_free(&segment);
}

TEST(mode_is_private_on_every_descriptor)
{
	struct shmt_segment segment = make();
	struct stat status;
	int fds[4];

	all_fds(&segment, fds);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(fstat(fds[i], &status), 0);
		ck_assert_uint_eq(status.st_mode & 07777, 0600);
	}
	shmt_segment_free(&segment);
}

TEST(descriptors_are_closed_by_exec)
{
	struct shmt_segment segment = make();
	int fds[4];

	all_fds(&segment, fds);
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	shmt_segment_free(&segment);
}

TEST(readonly_descriptors_cannot_be_written_through)
{
	struct shmt_segment segment = make();
	int readonly[] = { segment.fds.ctl_readonly, segment.fds.data_readonly };
	void *map;

	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(fcntl(readonly[i], F_GETFL) & O_ACCMODE, O_RDONLY);
		ck_assert_int_eq(write(readonly[i], "x", 1), -1);
		map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, readonly[i], 0);
		ck_assert_ptr_eq(map, MAP_FAILED);
		map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, readonly[i], 0);
		ck_assert_ptr_ne(map, MAP_FAILED);
		ck_assert_int_eq(mprotect(map, 4096, PROT_READ | PROT_WRITE), -1);
		ck_assert_int_eq(errno, EACCES);
		ck_assert_int_eq(
			fallocate(readonly[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096),
			-1);
	}
	shmt_segment_free(&segment);
}

/* The compiler takes two addresses for two bytes; what an honest user does between is a fence. */
static uint8_t load(const uint8_t *address)
{
	atomic_signal_fence(memory_order_seq_cst);
	return *address;
}

TEST(both_halves_of_a_double_mapping_are_the_same_memory)
{
	struct shmt_segment segment = make();
	struct shmp_segment consumer;
	uint8_t *data = segment.map.data;

	shmt_segment_map(&segment, "consumer", &consumer);
	for (uint32_t at = 0; at < DATA; at += 509) {
		data[at] = (uint8_t)(at + 1);
		ck_assert_uint_eq(load(data + at + DATA), (uint8_t)(at + 1));
		data[at + DATA] = (uint8_t)(at + 2);
		ck_assert_uint_eq(load(data + at), (uint8_t)(at + 2));
		ck_assert_uint_eq(load(consumer.data + at), (uint8_t)(at + 2));
		ck_assert_uint_eq(load(consumer.data + at + DATA), (uint8_t)(at + 2));
	}
	memset(data + DATA - 100, 0x5a, 200);
	ck_assert_uint_eq(load(data + 99), 0x5a);
	ck_assert_uint_eq(load(data + DATA + 100), load(data + 100));
	shmp_segment_unmap(&consumer);
	shmt_segment_free(&segment);
}

TEST(each_mapping_of_a_segment_is_the_same_memory)
{
	struct shmt_segment segment = make();
	struct shmp_segment first, second;

	shmt_segment_map(&segment, "producer", &first);
	shmt_segment_map(&segment, "consumer", &second);
	ck_assert_ptr_ne(first.data, second.data);
	atomic_store(&first.endpoints[1].cursor, 8);
	ck_assert_uint_eq(atomic_load(&second.endpoints[1].cursor), 8);
	memcpy(first.data, "hello", 5);
	ck_assert_int_eq(memcmp(second.data, "hello", 5), 0);
	shmp_segment_unmap(&first);
	shmp_segment_unmap(&second);
	shmt_segment_free(&segment);
}

TEST(parts_of_ctl_lie_where_the_plan_says)
{
	struct shmt_segment segment = make();
	const uint8_t *start = (const uint8_t *)segment.map.head;

	ck_assert_ptr_eq((const uint8_t *)segment.map.control, start + 256);
	ck_assert_ptr_eq((const uint8_t *)segment.map.endpoints,
			 start + 256 + segment.plan.control_bytes);
	ck_assert_uint_eq((uintptr_t)segment.map.endpoints % 128, 0);
	ck_assert_uint_eq((uintptr_t)segment.map.data % 4096, 0);
	shmt_segment_free(&segment);
}

TEST(a_fresh_segment_is_all_zero_and_reserved)
{
	struct shmt_segment segment = make();
	uint64_t missing = 77;

	for (uint32_t at = 0; at < DATA; at++)
		ck_assert(segment.map.data[at] == 0);
	ck_assert_int_eq(shmp_segment_holes(&segment.fds, &segment.plan, &missing), 0);
	ck_assert_uint_eq(missing, 0);
	shmt_segment_free(&segment);
}

TEST(punched_holes_are_found)
{
	struct shmt_segment segment = make();
	uint64_t missing = 0;

	ck_assert_int_eq(
		fallocate(segment.fds.data, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 4096),
		0);
	ck_assert_int_eq(shmp_segment_holes(&segment.fds, &segment.plan, &missing), 0);
	ck_assert_uint_eq(missing, 4096);
	ck_assert_int_eq(
		fallocate(segment.fds.ctl, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
	ck_assert_int_eq(shmp_segment_holes(&segment.fds, &segment.plan, &missing), 0);
	ck_assert_uint_eq(missing, 8192);
	shmt_segment_free(&segment);
}

TEST(a_client_takes_sealed_memory_of_the_right_size_only)
{
	struct shmt_segment segment = make();
	int fds[4], memfd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	all_fds(&segment, fds);
	for (size_t i = 0; i < 4; i++) {
		uint64_t bytes = i % 2 == 0 ? segment.plan.ctl_bytes : DATA;

		ck_assert_int_eq(shmp_segment_check(fds[i], bytes), 0);
		ck_assert_int_eq(shmp_segment_check(fds[i], bytes - 1), -EBADF);
		ck_assert_int_eq(shmp_segment_check(fds[i], bytes + 4096), -EBADF);
		ck_assert_int_eq(shmp_segment_check(fds[i], 0), -EBADF);
	}
	ck_assert_int_eq(ftruncate(memfd, DATA), 0);
	ck_assert_int_eq(shmp_segment_check(memfd, DATA), -EBADF);
	fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	ck_assert_int_eq(shmp_segment_check(memfd, DATA), -EBADF);
	ck_assert_int_eq(shmp_segment_check(null, 0), -EBADF);
	ck_assert_int_eq(shmp_segment_check(-1, DATA), -EBADF);
	close(memfd);
	close(null);
	shmt_segment_free(&segment);
}

TEST(long_labels_are_cut_not_refused)
{
	struct shmp_segment_fds fds = SHMP_SEGMENT_FDS_NULL;
	int proc = open("/proc/self/fd", O_PATH | O_CLOEXEC);
	struct shmp_plan plan = { .ctl_bytes = 4096, .data_bytes = 4096 };
	char label[300];

	memset(label, 'n', sizeof(label) - 1);
	label[sizeof(label) - 1] = '\0';
	ck_assert_int_eq(shmp_segment_make(&plan, label, proc, &fds), 0);
	shmp_segment_close(&fds);
	close(proc);
}

TEST(a_segment_without_data_has_no_data_descriptors)
{
	struct shmp_segment_fds fds = SHMP_SEGMENT_FDS_NULL;
	int proc = open("/proc/self/fd", O_PATH | O_CLOEXEC);
	struct shmp_plan plan = { .ctl_bytes = 4096, .control_bytes = 128, .endpoint_count = 2 };
	struct shmp_segment map;
	uint64_t missing;

	ck_assert_int_eq(shmp_segment_make(&plan, "ctl only", proc, &fds), 0);
	ck_assert_int_eq(fds.data, -1);
	ck_assert_int_eq(fds.data_readonly, -1);
	ck_assert_int_eq(shmp_segment_reserve(&fds, &plan), 0);
	ck_assert_int_eq(shmp_segment_seal(&fds), 0);
	ck_assert_int_eq(shmp_segment_holes(&fds, &plan, &missing), 0);
	ck_assert_int_eq(shmp_segment_map(&plan, true, fds.ctl, SHMP_ACCESS_WRITE, -1,
					  SHMP_ACCESS_WRITE, &map),
			 0);
	ck_assert_ptr_null(map.data);
	shmp_segment_unmap(&map);
	shmp_segment_close(&fds);
	close(proc);
}

TEST(failure_leaves_nothing_behind)
{
	struct shmp_segment_fds fds = SHMP_SEGMENT_FDS_NULL;
	struct shmp_segment map = SHMP_SEGMENT_NULL;
	struct shmt_segment segment = make();
	size_t before = shmt_descriptor_count();

	ck_assert_int_lt(shmp_segment_make(&segment.plan, "x", -1, &fds), 0);
	ck_assert_int_eq(fds.ctl, -1);
	ck_assert_int_eq(shmp_segment_map(&segment.plan, true, segment.fds.ctl, SHMP_ACCESS_WRITE,
					  segment.fds.data_readonly, SHMP_ACCESS_WRITE, &map),
			 -EACCES);
	ck_assert_ptr_null(map.head);
	ck_assert_uint_eq(shmt_descriptor_count(), before);
	shmt_segment_free(&segment);
	ck_assert_uint_eq(shmt_descriptor_count(), before - 4);
}

/* The VmFlags of the mapping that begins at @address; false when there is none. */
static bool flags_of(const void *address, char *ret_flags, size_t size)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long start, end;
	bool is_here = false, is_found = false;
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			is_here = start <= (uintptr_t)address && (uintptr_t)address < end;
		if (is_here && strncmp(line, "VmFlags:", 8) == 0) {
			snprintf(ret_flags, size, "%s", line);
			is_found = true;
		}
	}
	if (file)
		fclose(file);
	return is_found;
}

TEST(rings_of_two_directions_are_there_once_more_for_reading)
{
	uint64_t option[SHMP_OPTIONS_MAX] = { DATA };
	struct shmt_segment segment;
	struct shmp_segment map;
	char flags[512];

	shmt_segment_make(&segment, "pipe", option);
	shmt_segment_map(&segment, "host", &map);
	for (uint32_t at = 0; at < 4 * DATA; at += 509) {
		map.data[at] = (uint8_t)(at + 1);
		ck_assert_uint_eq(load(map.read_data + at), (uint8_t)(at + 1));
	}
	for (size_t part = 0; part < 4; part++) {
		ck_assert(flags_of(map.data + part * DATA, flags, sizeof(flags)));
		ck_assert_msg(strstr(flags, " wr "), "%s", flags);
		ck_assert(flags_of(map.read_data + part * DATA, flags, sizeof(flags)));
		ck_assert_msg(!strstr(flags, " wr ") && strstr(flags, " dd"), "%s", flags);
	}
	shmp_segment_unmap(&map);
	ck_assert_ptr_null(map.read_data);
	shmt_segment_free(&segment);
}

TEST(neither_half_of_a_ring_is_dumped_into_cores)
{
	struct shmt_segment segment = make();
	char flags[512];

	for (size_t half = 0; half < 2; half++) {
		ck_assert(flags_of(segment.map.data + half * DATA, flags, sizeof(flags)));
		ck_assert_msg(strstr(flags, " dd"), "%s", flags);
	}
	ck_assert(flags_of(segment.map.head, flags, sizeof(flags)));
	ck_assert_msg(!strstr(flags, " dd"), "ctl is for post-mortems: %s", flags);
	shmt_segment_free(&segment);
}

TEST(unmapping_leaves_no_mapping)
{
	struct shmt_segment segment = make();
	struct shmp_segment map;
	uint8_t *data;
	char flags[512];

	shmt_segment_map(&segment, "producer", &map);
	data = map.data;
	shmp_segment_unmap(&map);
	ck_assert_ptr_null(map.head);
	for (size_t half = 0; half < 2; half++)
		ck_assert(!flags_of(data + half * DATA, flags, sizeof(flags)));
	shmp_segment_unmap(&map);
	shmt_segment_free(&segment);
}

SHMT_MAIN
