/* segment: memfds and mappings. See segment.h. */
#include "protocol/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3; older headers lack it */
#endif

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#endif

#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define LABEL_MAX  200

static uint64_t ctl_needs(const struct shmp_plan *plan)
{
	return sizeof(struct shmp_head) + plan->control_bytes +
	       plan->endpoint_count * sizeof(struct shmp_endpoint);
}

uint64_t shmp_segment_ctl_bytes(const struct shmp_plan *plan)
{
	return shmp_round_up(ctl_needs(plan), SHMP_PAGE);
}

uint64_t shmp_segment_bytes(const struct shmp_plan *plan)
{
	return plan->ctl_bytes + plan->data_bytes + plan->objects_bytes;
}

void shmp_segment_plan_packed(struct shmp_plan *plan)
{
	plan->ctl_bytes = shmp_round_up(ctl_needs(plan), SHMP_SEGMENT_PACKING);
}

static uint64_t ring_count(const struct shmp_plan *plan)
{
	return plan->rings != 0 ? plan->rings : 1;
}

int shmp_segment_plan_memory(struct shmp_plan *plan, bool mirrored, uint32_t memory,
			     const char **ret_why)
{
	plan->memory = memory;
	if ((memory & SHMP_MEMORY_HUGE_PAGES) == 0)
		return 0;
	if (plan->data_bytes == 0) {
		*ret_why = "a segment of this kind has no data to put into them";
		return -EINVAL;
	}
	if (plan->objects_bytes != 0) {
		*ret_why = "the objects of an arena are mapped by the page of 4 KiB";
		return -EINVAL;
	}
	if (!mirrored) {
		plan->data_bytes = shmp_round_up(plan->data_bytes, SHMP_HUGE_PAGE_BYTES);
		return 0;
	}
	/* what is mapped twice in a row must end where a page does */
	if (plan->data_bytes / ring_count(plan) % SHMP_HUGE_PAGE_BYTES == 0)
		return 0;
	*ret_why = "they are of 2 MiB, and the ring must be at least as large";
	return -EINVAL;
}

static int make_memfd(const char *label, const char *part, uint64_t bytes, unsigned int flags,
		      int *ret_fd)
{
	char name[LABEL_MAX + 16];
	int fd, r;

	snprintf(name, sizeof(name), "shmbroker:%.*s.%s", LABEL_MAX - 16, label, part);
	flags |= MFD_CLOEXEC | MFD_ALLOW_SEALING;
	fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, flags);
	if (fd < 0)
		return -errno;
	/* memfds start with 0777: without this a read-only descriptor protects nothing */
	if (fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)bytes) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int open_readonly(int proc_fd_dir, int fd, int *ret_fd)
{
	char number[16];
	int r;

	snprintf(number, sizeof(number), "%d", fd);
	r = openat(proc_fd_dir, number, O_RDONLY | O_CLOEXEC);
	if (r < 0)
		return -errno;
	*ret_fd = r;
	return 0;
}

static int open_missing(int proc_fd_dir, int fd, int *readonly)
{
	return fd < 0 || *readonly >= 0 ? 0 : open_readonly(proc_fd_dir, fd, readonly);
}

int shmp_segment_open_readonly(int proc_fd_dir, struct shmp_segment_fds *fds)
{
	int r = open_missing(proc_fd_dir, fds->ctl, &fds->ctl_readonly);

	if (r == 0)
		r = open_missing(proc_fd_dir, fds->data, &fds->data_readonly);
	if (r == 0)
		r = open_missing(proc_fd_dir, fds->objects, &fds->objects_readonly);
	return r;
}

int shmp_segment_make(const struct shmp_plan *plan, const char *label, int proc_fd_dir,
		      struct shmp_segment_fds *ret_fds)
{
	bool is_huge = (plan->memory & SHMP_MEMORY_HUGE_PAGES) != 0;
	struct shmp_segment_fds fds = SHMP_SEGMENT_FDS_NULL;
	int r;

	r = make_memfd(label, "ctl", plan->ctl_bytes, 0, &fds.ctl);
	if (r == 0 && plan->data_bytes != 0)
		r = make_memfd(label, "data", plan->data_bytes,
			       is_huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0, &fds.data);
	if (r == 0 && plan->objects_bytes != 0)
		r = make_memfd(label, "objects", plan->objects_bytes, 0, &fds.objects);
	if (r == 0)
		r = shmp_segment_open_readonly(proc_fd_dir, &fds);
	if (r < 0)
		shmp_segment_close(&fds);
	else
		*ret_fds = fds;
	return r;
}

static int reserve_all(int fd, uint64_t bytes)
{
	uint64_t step, at;
	int r;

	for (at = 0; at < bytes; at += step) {
		step = bytes - at < SHMP_SEGMENT_RESERVE_STEP ? bytes - at :
								SHMP_SEGMENT_RESERVE_STEP;
		do
			r = fallocate(fd, 0, (off_t)at, (off_t)step);
		while (r < 0 && errno == EINTR);
		if (r < 0)
			return -errno;
	}
	return 0;
}

int shmp_segment_reserve(const struct shmp_segment_fds *fds, const struct shmp_plan *plan)
{
	int r = reserve_all(fds->ctl, plan->ctl_bytes);

	if (r == 0 && plan->data_bytes != 0)
		r = reserve_all(fds->data, plan->data_bytes);
	if (r == 0 && plan->objects_bytes != 0)
		r = reserve_all(fds->objects, plan->objects_bytes);
	return r;
}

/* By write: where a peer punched a hole, an error tells what a store would be killed for. */
static int clear_part(int fd, uint64_t offset, uint64_t bytes)
{
	static const uint8_t zeroes[4 * SHMP_PAGE];

	while (bytes > 0) {
		size_t step = bytes < sizeof(zeroes) ? bytes : sizeof(zeroes);
		ssize_t written = pwrite(fd, zeroes, step, (off_t)offset);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			offset += (uint64_t)written;
			bytes -= (uint64_t)written;
		}
	}
	return 0;
}

int shmp_segment_clear(const struct shmp_segment_fds *fds, const struct shmp_plan *plan)
{
	int r = clear_part(fds->ctl, plan->ctl_offset, plan->ctl_bytes);

	return r < 0 || plan->data_bytes == 0 ?
		       r :
		       clear_part(fds->data, plan->data_offset, plan->data_bytes);
}

static int seal(int fd)
{
	return fd >= 0 && fcntl(fd, F_ADD_SEALS, SIZE_SEALS) < 0 ? -errno : 0;
}

int shmp_segment_seal(const struct shmp_segment_fds *fds)
{
	int r = seal(fds->ctl);

	if (r == 0)
		r = seal(fds->data);
	return r < 0 ? r : seal(fds->objects);
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void shmp_segment_close(struct shmp_segment_fds *fds)
{
	close_one(&fds->ctl);
	close_one(&fds->data);
	close_one(&fds->data_readonly);
	close_one(&fds->ctl_readonly);
	close_one(&fds->objects);
	close_one(&fds->objects_readonly);
}

void shmp_segment_write_head(const struct shmp_segment *segment, uint32_t kind,
			     uint32_t kind_version, uint64_t generation, uint64_t created_ns)
{
	const struct shmp_plan *plan = &segment->plan;

	*segment->head = (struct shmp_head){
		.magic = SHMP_SEGMENT_MAGIC,
		.version = SHMP_SEGMENT_VERSION,
		.kind = kind,
		.kind_version = kind_version,
		.endpoint_count = plan->endpoint_count,
		.generation = generation,
		.ctl_bytes = plan->ctl_bytes,
		.data_bytes = plan->data_bytes,
		.control_bytes = plan->control_bytes,
		.created_ns = created_ns,
	};
	memcpy(segment->head->option, plan->option, sizeof(plan->option));
}

int shmp_segment_check(int fd, uint64_t bytes)
{
	struct stat status;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SIZE_SEALS) != SIZE_SEALS)
		return -EBADF;
	if (fstat(fd, &status) < 0 || (uint64_t)status.st_size != bytes)
		return -EBADF;
	return 0;
}

static int protection_of(enum shmp_access access)
{
	return access == SHMP_ACCESS_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
}

static int flags_of(uint32_t memory)
{
	return MAP_SHARED | ((memory & SHMP_MEMORY_PREFAULT) != 0 ? MAP_POPULATE : 0);
}

/* What begins within a page is mapped with all of it. */
static int map_once(int fd, uint64_t offset, uint64_t bytes, enum shmp_access access,
		    uint32_t memory, void **ret_address)
{
	uint64_t before = offset % SHMP_PAGE;
	uint8_t *address = mmap(NULL, before + bytes, protection_of(access), flags_of(memory), fd,
				(off_t)(offset - before));

	if (address == MAP_FAILED)
		return -errno;
	*ret_address = address + before;
	return 0;
}

/* Addresses that nobody has, from a multiple of @step on. */
static int find_room(uint64_t bytes, uint64_t step, uint8_t **ret_room)
{
	uint8_t *all = mmap(NULL, bytes + step, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *room;

	if (all == MAP_FAILED)
		return -errno;
	room = all + (shmp_round_up((uintptr_t)all, step) - (uintptr_t)all);
	if (room > all)
		munmap(all, (size_t)(room - all));
	if (room < all + step)
		munmap(room + bytes, (size_t)(all + step - room));
	*ret_room = room;
	return 0;
}

uint64_t shmp_segment_data_room(const struct shmp_plan *plan, bool mirrored)
{
	return plan->data_bytes * (mirrored ? 2 : 1);
}

static bool has_read_data(const struct shmp_plan *plan)
{
	return ring_count(plan) > 1;
}

uint64_t shmp_segment_data_addresses(const struct shmp_plan *plan, bool mirrored)
{
	return shmp_segment_data_room(plan, mirrored) * (has_read_data(plan) ? 2 : 1);
}

/* Each ring twice in a row: what wraps at its end is contiguous in memory. */
static int map_rings(uint8_t *room, const struct shmp_plan *plan, enum shmp_access access, int fd)
{
	uint64_t bytes = plan->data_bytes / ring_count(plan);
	int flags = flags_of(plan->memory) | MAP_FIXED;

	for (uint64_t i = 0; i < 2 * ring_count(plan); i++)
		if (mmap(room + i * bytes, bytes, protection_of(access), flags, fd,
			 (off_t)(plan->data_offset + i / 2 * bytes)) == MAP_FAILED)
			return -errno;
	return 0;
}

static int map_mirrored(const struct shmp_plan *plan, enum shmp_access access, int fd,
			void **ret_address)
{
	bool is_huge = (plan->memory & SHMP_MEMORY_HUGE_PAGES) != 0;
	uint64_t bytes = shmp_segment_data_addresses(plan, true);
	uint8_t *room = NULL;
	int r = find_room(bytes, is_huge ? SHMP_HUGE_PAGE_BYTES : SHMP_PAGE, &room);

	if (r < 0)
		return r;
	r = map_rings(room, plan, access, fd);
	if (r == 0 && has_read_data(plan))
		r = map_rings(room + shmp_segment_data_room(plan, true), plan, SHMP_ACCESS_READ,
			      fd);
	if (r < 0)
		munmap(room, bytes);
	else
		*ret_address = room;
	return r;
}

static uint64_t mapped_data_bytes(const struct shmp_segment *segment)
{
	return shmp_segment_data_addresses(&segment->plan, segment->mirrored);
}

static int map_data(struct shmp_segment *segment, int fd, enum shmp_access access)
{
	const struct shmp_plan *plan = &segment->plan;
	void *address = NULL;
	int r;

	if (access == SHMP_ACCESS_NONE || plan->data_bytes == 0)
		return 0;
	if (segment->mirrored)
		r = map_mirrored(plan, access, fd, &address);
	else
		r = map_once(fd, plan->data_offset, plan->data_bytes, access, plan->memory,
			     &address);
	if (r < 0)
		return r;
	segment->data = address;
	if (has_read_data(plan))
		segment->read_data = segment->data + shmp_segment_data_room(plan, true);
	/* payload does not belong into core files, least of all twice */
	madvise(address, mapped_data_bytes(segment), MADV_DONTDUMP);
	return 0;
}

void shmp_segment_ctl_pages(const struct shmp_segment *segment, void **ret_address,
			    uint64_t *ret_bytes)
{
	uint64_t before = segment->plan.ctl_offset % SHMP_PAGE;

	*ret_address = (uint8_t *)segment->head - before;
	*ret_bytes = shmp_round_up(before + segment->plan.ctl_bytes, SHMP_PAGE);
}

static int map_over(void *address, uint64_t bytes, uint32_t memory, int fd, uint64_t offset)
{
	if (mmap(address, bytes, protection_of(SHMP_ACCESS_WRITE), flags_of(memory) | MAP_FIXED, fd,
		 (off_t)offset) == MAP_FAILED)
		return -errno;
	return 0;
}

int shmp_segment_map_ctl_over(const struct shmp_segment *segment, int ctl_fd)
{
	const struct shmp_plan *plan = &segment->plan;
	void *address;
	uint64_t bytes;

	shmp_segment_ctl_pages(segment, &address, &bytes);
	return map_over(address, bytes, plan->memory, ctl_fd,
			plan->ctl_offset - plan->ctl_offset % SHMP_PAGE);
}

int shmp_segment_map_data_over(const struct shmp_segment *segment, int data_fd)
{
	const struct shmp_plan *plan = &segment->plan;
	int r = 0;

	if (segment->mirrored)
		r = map_rings(segment->data, plan, SHMP_ACCESS_WRITE, data_fd);
	else
		r = map_over(segment->data, plan->data_bytes, plan->memory, data_fd,
			     plan->data_offset);
	if (r == 0)
		madvise(segment->data, mapped_data_bytes(segment), MADV_DONTDUMP);
	return r;
}

/* What may not be locked at all, and what is more than may be: one remedy. */
static int lock_part(const void *address, uint64_t bytes)
{
	if (!address || mlock(address, bytes) == 0)
		return 0;
	return errno == ENOMEM || errno == EPERM || errno == EAGAIN ? -EDQUOT : -errno;
}

int shmp_segment_lock(const struct shmp_segment *segment)
{
	int r;

	if ((segment->plan.memory & SHMP_MEMORY_MLOCK) == 0)
		return 0;
	r = lock_part(segment->head, segment->plan.ctl_bytes);
	return r < 0 ? r : lock_part(segment->data, mapped_data_bytes(segment));
}

int shmp_segment_map(const struct shmp_plan *plan, bool mirrored, int ctl_fd,
		     enum shmp_access ctl_access, int data_fd, enum shmp_access data_access,
		     struct shmp_segment *ret_segment)
{
	struct shmp_segment segment = { .mirrored = mirrored, .plan = *plan };
	void *ctl = NULL;
	int r;

	r = map_once(ctl_fd, plan->ctl_offset, plan->ctl_bytes, ctl_access, plan->memory, &ctl);
	if (r < 0)
		return r;
	segment.head = ctl;
	segment.control = (uint8_t *)ctl + sizeof(struct shmp_head);
	segment.endpoints = (void *)((uint8_t *)segment.control + plan->control_bytes);
	r = map_data(&segment, data_fd, data_access);
	if (r == 0)
		r = shmp_segment_lock(&segment);
	if (r < 0)
		shmp_segment_unmap(&segment);
	else
		*ret_segment = segment;
	return r;
}

void shmp_segment_unmap(struct shmp_segment *segment)
{
	uint64_t ctl_bytes;
	void *ctl;

	if (segment->data != NULL)
		munmap(segment->data, mapped_data_bytes(segment));
	if (segment->head != NULL) {
		shmp_segment_ctl_pages(segment, &ctl, &ctl_bytes);
		munmap(ctl, ctl_bytes);
	}
	*segment = SHMP_SEGMENT_NULL;
}

static int missing(int fd, uint64_t bytes, uint64_t *ret_missing)
{
	struct stat status;
	uint64_t there;

	if (fstat(fd, &status) < 0)
		return -errno;
	there = (uint64_t)status.st_blocks * 512;
	*ret_missing += there < bytes ? bytes - there : 0;
	return 0;
}

int shmp_segment_holes(const struct shmp_segment_fds *fds, const struct shmp_plan *plan,
		       uint64_t *ret_missing_bytes)
{
	uint64_t sum = 0;
	int r = missing(fds->ctl, plan->ctl_bytes, &sum);

	if (r == 0 && plan->data_bytes != 0)
		r = missing(fds->data, plan->data_bytes, &sum);
	if (r == 0 && plan->objects_bytes != 0)
		r = missing(fds->objects, plan->objects_bytes, &sum);
	if (r == 0)
		*ret_missing_bytes = sum;
	return r;
}
